//! How many messages of each kind one peer may send.
//!
//! # Place
//! The reader of a connection asks before it hashes, decodes or checks anything. What exceeds a limit is dropped and
//! counted; [`FLOOD_DROPS_PER_REPORT`] drops are reported as misbehaviour, which ends in a ban (`peer_manager.rs`).
//!
//! The rates themselves, and what they are derived from, are in the table of `message_kind.rs`. Own buckets rather than
//! governor's: one task owns them, so they need no atomics and no keyed map.
//!
//! # Units
//! A token is a message, an id, or a byte. Rates are tokens a second; a level is kept in thousandths of a token, so a
//! millisecond adds `rate` of these.

use std::time::Duration;

use tokio::time::Instant;

use super::message_kind::{KINDS, MessageKind};

/// Dropped messages after which the sender is reported.
pub(crate) const FLOOD_DROPS_PER_REPORT: u64 = 100;

#[derive(Clone, Copy)]
pub(crate) struct Bucket {
    level_milli: u64,
    filled_at: Instant,
}

impl Bucket {
    pub(crate) const fn full(burst: u64, now: Instant) -> Self {
        Self { level_milli: burst.saturating_mul(1_000), filled_at: now }
    }

    pub(crate) fn refill(&mut self, per_second: u64, burst: u64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled_at).as_millis();
        // Less than a millisecond adds nothing and is not lost: the mark stays behind by that.
        if elapsed == 0 {
            return;
        }
        let elapsed_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let added = per_second.saturating_mul(elapsed_ms);
        self.level_milli = self.level_milli.saturating_add(added).min(burst.saturating_mul(1_000));
        self.filled_at = self.filled_at.checked_add(Duration::from_millis(elapsed_ms)).unwrap_or(now);
    }

    pub(crate) const fn holds(&self, tokens: u64) -> bool {
        self.level_milli >= tokens.saturating_mul(1_000)
    }

    pub(crate) const fn take(&mut self, tokens: u64) {
        self.level_milli = self.level_milli.saturating_sub(tokens.saturating_mul(1_000));
    }
}

/// The buckets of one peer, owned by its reader.
pub(crate) struct RateLimiter {
    buckets: [(Bucket, Bucket); KINDS],
    drops: u64,
}

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is within the limits.
    Admit,
    /// Drop it.
    Drop,
    /// Drop it, and report its sender.
    DropAndReport,
}

impl RateLimiter {
    /// Full buckets.
    pub(crate) fn new(now: Instant) -> Self {
        let buckets = MessageKind::ALL.map(|kind| {
            let allowance = kind.allowance();
            (Bucket::full(allowance.messages_burst, now), Bucket::full(allowance.bytes_burst, now))
        });
        Self { buckets, drops: 0 }
    }

    /// Takes the tokens of one message of `bytes` encoded bytes, or none.
    pub(crate) fn check(&mut self, kind: MessageKind, bytes: usize, now: Instant) -> Verdict {
        let limit = kind.allowance();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let Some((by_count, by_bytes)) = self.buckets.get_mut(kind.index()) else { return Verdict::Drop };
        by_count.refill(limit.messages_per_second, limit.messages_burst, now);
        by_bytes.refill(limit.bytes_per_second, limit.bytes_burst, now);
        if by_count.holds(1) && by_bytes.holds(bytes) {
            by_count.take(1);
            by_bytes.take(bytes);
            return Verdict::Admit;
        }
        self.drops = self.drops.saturating_add(1);
        if self.drops.is_multiple_of(FLOOD_DROPS_PER_REPORT) { Verdict::DropAndReport } else { Verdict::Drop }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::now;

    /// INV-NET-3.
    #[test]
    fn a_flood_is_dropped_reported_and_forgiven_by_the_rate_alone() {
        let start = now();
        let mut limiter = RateLimiter::new(start);
        let burst = 32_000;
        for _ in 0..burst {
            assert_eq!(limiter.check(MessageKind::BlockVote, 200, start), Verdict::Admit);
        }
        let verdicts: Vec<Verdict> =
            (0..1_000).map(|_| limiter.check(MessageKind::BlockVote, 200, start)).collect();
        assert!(verdicts.iter().all(|verdict| *verdict != Verdict::Admit));
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::DropAndReport).count(), 10);
        assert_eq!(limiter.check(MessageKind::Transaction, 300, start), Verdict::Admit, "kinds are apart");
        let later = start + Duration::from_millis(10);
        let admitted = (0..1_000)
            .filter(|_| limiter.check(MessageKind::BlockVote, 200, later) == Verdict::Admit)
            .count();
        assert_eq!(admitted, 160, "16,000 a second for 10 ms");
    }

    #[test]
    fn bytes_are_limited_apart_from_the_number() {
        let start = now();
        let mut limiter = RateLimiter::new(start);
        let admitted = (0..1_000)
            .filter(|_| limiter.check(MessageKind::Transaction, 100_000, start) == Verdict::Admit)
            .count();
        assert_eq!(admitted, 335, "32 MiB of 100,000 bytes each");
    }

    /// Else who sends large ones too fast could send no small ones either.
    #[test]
    fn what_is_dropped_takes_nothing() {
        let start = now();
        let mut limiter = RateLimiter::new(start);
        let mut large = || limiter.check(MessageKind::Transaction, 100_000, start);
        while large() == Verdict::Admit {}
        for _ in 0..100_000 {
            assert_ne!(large(), Verdict::Admit);
        }
        assert_eq!(limiter.check(MessageKind::Transaction, 300, start), Verdict::Admit);
    }

    /// A second brings as much however often somebody looks in it.
    #[test]
    fn parts_of_a_millisecond_are_not_lost() {
        let start = now();
        let (rate, looks) = (1_000, 1_000);
        let mut bucket = Bucket::full(rate, start);
        bucket.take(rate);
        for look in 1..=looks {
            bucket.refill(rate, rate, start + Duration::from_micros(1_999 * look));
            assert!(bucket.holds(1), "at look {look}");
            bucket.take(1);
        }
        // 1,999 ms brought 1,999 tokens, and 1,000 were taken.
        assert!(bucket.holds(999) && !bucket.holds(1_000));
    }
}
