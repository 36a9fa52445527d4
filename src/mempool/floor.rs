//! Fee rates, and the rising floor below which a full pool takes nothing.
//!
//! # Place
//! Part of [`TransactionPool`](super::TransactionPool), which alone moves the floor.
//!
//! After Bitcoin Core's rolling minimum fee (`CTxMemPool::GetMinFee`, `trackPackageRemoved`): an eviction lifts the
//! floor above the rate of what went, so that a sender can't push others out again and again at no cost; afterwards it
//! decays, faster while the pool is emptier. Core halves it in 12 hours; here transactions leave within milliseconds, so
//! it is about a minute.
//!
//! # Units
//! Rates are base units for 1,000 bytes. Times are milliseconds.

use std::fmt;

use crate::types::{Amount, TimeMs};

/// What a transaction pays for its size: base units for 1,000 bytes, rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FeeRate(pub u64);

impl FeeRate {
    /// The rate of a fee for so many bytes.
    #[must_use]
    pub fn of(fee: Amount, bytes: usize) -> Self {
        let bytes = u128::try_from(bytes.max(1)).unwrap_or(u128::MAX);
        let rate = u128::from(fee.0).saturating_mul(1_000).div_euclid(bytes);
        Self(u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for FeeRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} units per 1,000 bytes", self.0)
    }
}

/// How far above an evicted transaction's rate the floor goes; below half of it the floor is gone.
pub const FLOOR_INCREMENT: FeeRate = FeeRate(1_000);
/// In which time the floor halves, with a pool that is at least half full.
pub const FLOOR_HALF_LIFE_MS: u64 = 64_000;
/// The floor decays in steps of this part of its half-life.
const STEPS_PER_HALF_LIFE: u64 = 64;
const STEP_MS: u64 = FLOOR_HALF_LIFE_MS / STEPS_PER_HALF_LIFE;
/// 2^(-1/64) in units of 2^-32: what one step leaves.
const STEP_FACTOR: u128 = 4_248_701_965;

/// The floor at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RollingFloor {
    rate: u64,
    updated_ms: TimeMs,
}

/// How full the pool is: a fuller one keeps its floor longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fullness {
    BelowQuarter,
    BelowHalf,
    Fuller,
}

impl Fullness {
    pub(super) fn of(used: usize, limit: usize) -> Self {
        if used < limit / 4 {
            Self::BelowQuarter
        } else if used < limit / 2 {
            Self::BelowHalf
        } else {
            Self::Fuller
        }
    }

    const fn speed(self) -> u64 {
        match self {
            Self::BelowQuarter => 4,
            Self::BelowHalf => 2,
            Self::Fuller => 1,
        }
    }
}

impl RollingFloor {
    /// The floor as it has become at `now_ms`. A clock that goes back changes nothing.
    #[must_use]
    pub(super) fn decayed(self, now_ms: TimeMs, fullness: Fullness) -> Self {
        let steps = now_ms.saturating_sub(self.updated_ms).div_euclid(STEP_MS);
        if self.rate == 0 || steps == 0 {
            return self;
        }
        let faster = steps.saturating_mul(fullness.speed());
        let halvings = u32::try_from(faster.div_euclid(STEPS_PER_HALF_LIFE)).unwrap_or(u32::MAX);
        // The steps' factors first and one rounding at the end: rounding after each step could take more off in 63 steps
        // than the halving that follows.
        let factor =
            (0..faster.rem_euclid(STEPS_PER_HALF_LIFE)).fold(1 << 32, |all, _| (all * STEP_FACTOR) >> 32);
        let halved = u128::from(self.rate.checked_shr(halvings).unwrap_or(0));
        let mut rate = u64::try_from((halved * factor) >> 32).unwrap_or(self.rate);
        if rate < FLOOR_INCREMENT.0 / 2 {
            rate = 0;
        }
        // Only whole steps are used up, so that frequent questions slow nothing down.
        let updated_ms = self.updated_ms.saturating_add(steps.saturating_mul(STEP_MS));
        Self { rate, updated_ms }
    }

    /// Lifts the floor above a rate that did not get or keep a place.
    pub(super) fn lift_above(&mut self, evicted: FeeRate, now_ms: TimeMs) {
        let lifted = evicted.0.saturating_add(FLOOR_INCREMENT.0);
        if lifted > self.rate {
            *self = Self { rate: lifted, updated_ms: now_ms };
        }
    }

    pub(super) const fn rate(self) -> FeeRate {
        FeeRate(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_exact_and_never_wraps() {
        assert_eq!(FeeRate::of(Amount(1_000), 1_000), FeeRate(1_000));
        assert_eq!(FeeRate::of(Amount(1_999), 2_000), FeeRate(999));
        assert_eq!(FeeRate::of(Amount(u64::MAX), 1), FeeRate(u64::MAX));
        assert_eq!(FeeRate::of(Amount(7), 0), FeeRate(7_000));
    }

    #[test]
    fn the_floor_halves_in_its_half_life_however_often_it_is_looked_at() {
        let start = RollingFloor { rate: 1 << 40, updated_ms: 1_000 };
        let end_ms = 1_000 + STEP_MS * STEPS_PER_HALF_LIFE;
        let at_once = start.decayed(end_ms, Fullness::Fuller);
        assert_eq!(at_once.rate, 1 << 39);
        let mut often = start;
        for now_ms in 1_000..=end_ms {
            often = often.decayed(now_ms, Fullness::Fuller);
        }
        let difference = often.rate.abs_diff(at_once.rate);
        assert!(difference < 1 << 20, "{difference}");
        let quarter = start.decayed(end_ms, Fullness::BelowHalf);
        assert_eq!(quarter.rate, 1 << 38);
        assert_eq!(start.decayed(end_ms, Fullness::BelowQuarter).rate, 1 << 36);
    }

    #[test]
    fn the_floor_never_rises_by_waiting() {
        for rate in [500, 501, 999, 1_000, 1_001, 77_777, u64::MAX] {
            let start = RollingFloor { rate, updated_ms: 0 };
            let mut before = rate;
            for step in 0..1_000 {
                let after = start.decayed(step * STEP_MS, Fullness::BelowHalf).rate;
                assert!(after <= before, "{rate} after {step} steps: {after} > {before}");
                before = after;
            }
        }
    }

    #[test]
    fn the_floor_rises_at_once_and_ends_at_nothing() {
        let mut floor = RollingFloor::default();
        floor.lift_above(FeeRate(5_000), 10);
        assert_eq!(floor.rate(), FeeRate(6_000));
        floor.lift_above(FeeRate(4_000), 20);
        assert_eq!(floor.rate(), FeeRate(6_000), "a lower one does not lower it");
        assert_eq!(floor.decayed(0, Fullness::Fuller).rate(), FeeRate(6_000), "a clock that goes back");
        assert_eq!(floor.decayed(u64::MAX, Fullness::Fuller).rate(), FeeRate(0));
        let mut last = floor;
        for minute in 1..=4 {
            last = last.decayed(10 + minute * FLOOR_HALF_LIFE_MS, Fullness::Fuller);
        }
        assert_eq!(last.rate(), FeeRate(0), "below half an increment it is gone");
        floor.lift_above(FeeRate(u64::MAX), 30);
        assert_eq!(floor.rate(), FeeRate(u64::MAX));
    }
}
