//! How many messages of each kind one peer may send.
//!
//! # Place
//! The reader of a connection asks before it hashes, decodes or checks anything. What exceeds a limit is dropped and
//! counted; [`FLOOD_DROPS_PER_REPORT`] drops are reported as misbehaviour, which ends in a ban (`peer_manager.rs`).
//!
//! # Invariants
//! - INV-NET-3: an honest peer that relays 5,000 transactions a second with all votes is never limited.
//!
//! The arithmetic for one link at 5,000 tx/s of 300 bytes, of which a peer relays each message at most once:
//!
//! | kind | honest, at most | allowed | factor |
//! |---|---|---|---|
//! | transaction | 5,000/s, 1.5 MB/s | 20,000/s, 16 MiB/s | 4, 11 |
//! | vote batch | 100 validators x 200 batches/s (one in 5 ms) = 20,000/s; 100 x 2 votes x 5,000 x 33 B = 33 MB/s | 40,000/s, 64 MiB/s | 2, 2 |
//! | block vote | 5 blocks/s (gap 200 ms) x 2 x 100 = 1,000/s | 4,000/s | 4 |
//! | proposal | 5/s, one more for each round | 20/s | 4 |
//! | status | 10/s | 100/s | 10 |
//! | ids asked for | 5,000/s that were all missed | 50,000/s | 10 |
//! | answers | as many as were asked for | 1,000/s | |
//!
//! Bursts are two seconds of the rate, or more where one message may cost much. Own buckets rather than governor's: one
//! task owns them, so they need no atomics and no keyed map.
//!
//! # Units
//! A token is a message, an id, or a byte. Rates are tokens a second; a level is kept in thousandths of a token, so a
//! millisecond adds `rate` of these.

use tokio::time::Instant;

use super::message_kind::{KINDS, MessageKind};

/// Dropped messages after which the sender is reported.
pub(crate) const FLOOD_DROPS_PER_REPORT: u64 = 100;

/// How a kind is limited.
#[derive(Clone, Copy)]
struct Allowance {
    messages_per_second: u64,
    messages_burst: u64,
    bytes_per_second: u64,
    bytes_burst: u64,
}

const MIB: u64 = 1 << 20;

const fn messages(per_second: u64, burst: u64) -> Allowance {
    // Where only the number of messages matters, bytes are held by the kind's size alone.
    Allowance {
        messages_per_second: per_second,
        messages_burst: burst,
        bytes_per_second: 64 * MIB,
        bytes_burst: 128 * MIB,
    }
}

const fn allowance(kind: MessageKind) -> Allowance {
    match kind {
        MessageKind::Ping | MessageKind::Pong => messages(10, 20),
        MessageKind::Status => messages(100, 200),
        MessageKind::Transaction => Allowance {
            messages_per_second: 20_000,
            messages_burst: 40_000,
            bytes_per_second: 16 * MIB,
            bytes_burst: 32 * MIB,
        },
        MessageKind::VoteBatch => messages(40_000, 80_000),
        MessageKind::Proposal => messages(20, 64),
        MessageKind::BlockVote => messages(4_000, 8_000),
        // 32 bytes an id: 50,000 ids a second.
        MessageKind::GetTransactions | MessageKind::GetCertificates => Allowance {
            messages_per_second: 1_000,
            messages_burst: 2_000,
            bytes_per_second: 50_000 * 32,
            bytes_burst: 200_000 * 32,
        },
        MessageKind::Transactions | MessageKind::Certificates | MessageKind::Blocks => messages(1_000, 2_000),
        MessageKind::GetBatches | MessageKind::BatchesEnd => messages(500, 1_000),
        MessageKind::GetBlocks => messages(100, 200),
        MessageKind::GetMasternodes | MessageKind::Masternodes => messages(1, 10),
        // While all members of the largest set have just started, each says two a second.
        MessageKind::Instance => messages(500, 1_000),
        // One for each member of the largest set, at once after a connection is made.
        MessageKind::Evidence | MessageKind::Heartbeat => messages(20, 200),
    }
}

#[derive(Clone, Copy)]
struct Bucket {
    level_milli: u64,
    filled_at: Instant,
}

impl Bucket {
    const fn full(burst: u64, now: Instant) -> Self {
        Self { level_milli: burst.saturating_mul(1_000), filled_at: now }
    }

    fn refill(&mut self, per_second: u64, burst: u64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled_at).as_millis();
        // Less than a millisecond adds nothing and is not lost: the mark stays.
        if elapsed == 0 {
            return;
        }
        let elapsed_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let added = per_second.saturating_mul(elapsed_ms);
        self.level_milli = self.level_milli.saturating_add(added).min(burst.saturating_mul(1_000));
        self.filled_at = now;
    }

    const fn holds(&self, tokens: u64) -> bool {
        self.level_milli >= tokens.saturating_mul(1_000)
    }

    const fn take(&mut self, tokens: u64) {
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
            let allowance = allowance(kind);
            (Bucket::full(allowance.messages_burst, now), Bucket::full(allowance.bytes_burst, now))
        });
        Self { buckets, drops: 0 }
    }

    /// Takes the tokens of one message of `bytes` encoded bytes, or none.
    pub(crate) fn check(&mut self, kind: MessageKind, bytes: usize, now: Instant) -> Verdict {
        let limit = allowance(kind);
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
    use std::time::Duration;

    use super::*;
    use crate::network::now;

    #[test]
    fn an_honest_relay_of_5000_transactions_a_second_is_never_limited() {
        let start = now();
        let mut limiter = RateLimiter::new(start);
        for millisecond in 0..60_000_u64 {
            let at = start + Duration::from_millis(millisecond);
            for _ in 0..5 {
                assert_eq!(limiter.check(MessageKind::Transaction, 300, at), Verdict::Admit);
            }
            for _ in 0..20 {
                assert_eq!(limiter.check(MessageKind::VoteBatch, 1_650 + 200, at), Verdict::Admit);
            }
            assert_eq!(limiter.check(MessageKind::BlockVote, 200, at), Verdict::Admit);
        }
    }

    #[test]
    fn a_flood_is_dropped_reported_and_forgiven_by_the_rate_alone() {
        let start = now();
        let mut limiter = RateLimiter::new(start);
        let burst = 8_000;
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
        assert_eq!(admitted, 40, "4,000 a second for 10 ms");
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

    #[test]
    fn every_kind_can_be_sent_at_its_largest_size() {
        for kind in MessageKind::ALL {
            let mut limiter = RateLimiter::new(now());
            assert_eq!(limiter.check(kind, kind.bytes_max(), now()), Verdict::Admit, "{kind:?}");
        }
    }
}
