//! How fast a node says that it is busy: beyond that it stops to read from those who hear it.
//!
//! To refuse costs a tenth of what it costs to take, so a crowd that is refused could still take all of a node's time. After
//! answers of `busy` beyond the pace a connection rests before its next request is read; its sender meets a socket that
//! takes no more. Other connections are not held up, nor are `/health` and `/ready`, which nobody refuses.
//!
//! # Invariants
//! - INV-BUSY-1: whatever all callers send, at most [`busy_answers_per_s`] calls a second are refused as `busy` for long,
//!   but for one request of each new connection.
//!
//! [`busy_answers_per_s`]: super::limits::Limits::busy_answers_per_s

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::limits::{BUSY_BURST, BUSY_REST_MAX};

/// The generic cell rate algorithm (ITU-T I.371) over all connections.
#[derive(Debug)]
pub struct BusyPace {
    /// The time of one refusal at the pace.
    each: Duration,
    /// When all that was refused would have been refused at the pace.
    level: Mutex<Instant>,
}

impl BusyPace {
    /// Nothing was refused yet.
    #[must_use]
    pub fn new(answers_per_s: u32, now: Instant) -> Self {
        Self { each: Duration::from_secs(1) / answers_per_s.max(1), level: Mutex::new(now) }
    }

    /// One request had so many refusals. How long its connection has to rest.
    pub fn refused(&self, calls: u32, now: Instant) -> Duration {
        let mut level = self.level.lock();
        *level = (*level).max(now) + self.each.saturating_mul(calls);
        let ahead = level.saturating_duration_since(now);
        ahead.saturating_sub(BUSY_BURST).min(BUSY_REST_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::BUSY_ANSWERS_PER_S;
    use super::*;
    use crate::runtime::Clock;

    /// INV-BUSY-1.
    #[test]
    fn connections_that_are_refused_rest_so_that_all_together_keep_the_pace() {
        let start = Clock.instant();
        let pace = BusyPace::new(BUSY_ANSWERS_PER_S, start);
        // A hundred connections that each send a batch of fifty as soon as they may.
        let mut ready = [start; 100];
        let mut refused = 0;
        for step in 0..10_000_u64 {
            let now = start + Duration::from_millis(step);
            for ready in ready.iter_mut().filter(|ready| **ready <= now) {
                refused += 50;
                *ready = now + pace.refused(50, now).max(Duration::from_millis(1));
            }
        }
        let allowed = 10 * BUSY_ANSWERS_PER_S + BUSY_ANSWERS_PER_S / 4 + 100 * 50;
        assert!(refused <= allowed, "{refused} of {allowed}");
        assert!(refused >= 9 * BUSY_ANSWERS_PER_S, "it does refuse: {refused}");
    }

    #[test]
    fn a_few_refusals_hold_nobody_up() {
        let start = Clock.instant();
        let pace = BusyPace::new(BUSY_ANSWERS_PER_S, start);
        for step in 0..100 {
            assert_eq!(pace.refused(10, start + Duration::from_millis(10 * step)), Duration::ZERO);
        }
    }

    #[test]
    fn nobody_rests_for_longer_than_is_stated() {
        let start = Clock.instant();
        let pace = BusyPace::new(1, start);
        assert_eq!(pace.refused(1_000, start), BUSY_REST_MAX);
    }
}
