//! Which of the last commits a member of the set signed.

use bincode::{Decode, Encode};

use crate::types::genesis::Ratio;
use crate::types::limits::RECENT_COMMITS_MAX;

/// The last commits of the chain since a masternode entered the set, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct Attendance {
    /// How many commits are counted, at most the parameter `recent_commits`.
    counted: u32,
    /// The newest in the lowest bit; set if it was signed. No bit at or above `counted` is set.
    signed: u128,
}

impl Attendance {
    /// Notes one more commit; the oldest beyond `limit` is forgotten.
    pub fn note(&mut self, has_signed: bool, limit: u32) {
        let limit = limit.min(RECENT_COMMITS_MAX);
        self.counted = self.counted.saturating_add(1).min(limit);
        let unused = u128::BITS.saturating_sub(self.counted);
        let mask = u128::MAX.checked_shr(unused).unwrap_or(0);
        self.signed = ((self.signed << 1) | u128::from(has_signed)) & mask;
    }

    /// How many commits are counted.
    #[must_use]
    pub const fn counted(&self) -> u32 {
        self.counted
    }

    /// How many of them it signed.
    #[must_use]
    pub const fn signed(&self) -> u32 {
        self.signed.count_ones()
    }

    /// Whether it missed more than `max_missed` of the last `window` commits, of which there are as many.
    #[must_use]
    pub fn is_absent(&self, max_missed: &Ratio, window: u32) -> bool {
        self.counted >= window && self.misses(self.counted, max_missed)
    }

    /// Whether it can be judged by a full window and missed at most `max_missed` of it, and at most as much of the
    /// `newest` commits. Windows overlap: without the second condition one that is gone would go on attending until
    /// its misses outweigh what it signed before.
    #[must_use]
    pub fn has_attended(&self, max_missed: &Ratio, window: u32, newest: u32) -> bool {
        self.counted >= window
            && !self.misses(self.counted, max_missed)
            && !self.misses(newest.min(self.counted), max_missed)
    }

    /// Whether it missed more than `max_missed` of the `newest` commits, which are counted.
    fn misses(&self, newest: u32, max_missed: &Ratio) -> bool {
        let unused = u128::BITS.saturating_sub(newest);
        let mask = u128::MAX.checked_shr(unused).unwrap_or(0);
        let missed = u128::from(newest.saturating_sub((self.signed & mask).count_ones()));
        let (numerator, denominator) = (u128::from(max_missed.numerator), u128::from(max_missed.denominator));
        missed.saturating_mul(denominator) > u128::from(newest).saturating_mul(numerator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_THIRDS: Ratio = Ratio { numerator: 2, denominator: 3 };

    #[test]
    fn it_counts_the_last_commits_only() {
        let mut attendance = Attendance::default();
        for round in 0..200_u32 {
            attendance.note(round % 4 == 0, 50);
            assert_eq!(attendance.counted(), (round + 1).min(50));
        }
        let expected = (150..200).filter(|round| round % 4 == 0).count();
        assert_eq!(usize::try_from(attendance.signed()), Ok(expected));
        let mut full = Attendance::default();
        (0..300).for_each(|_| full.note(true, 1_000));
        assert_eq!((full.counted(), full.signed()), (128, 128));
    }

    #[test]
    fn exactly_two_thirds_missed_is_not_too_much() {
        let with = |signed: u32, counted: u32| {
            let mut attendance = Attendance::default();
            (0..counted).for_each(|commit| attendance.note(commit < signed, 50));
            attendance
        };
        assert!(!with(17, 50).is_absent(&TWO_THIRDS, 50), "33 of 50 missed");
        assert!(with(16, 50).is_absent(&TWO_THIRDS, 50), "34 of 50 missed");
        assert!(!with(10, 30).is_absent(&TWO_THIRDS, 30), "20 of 30 missed is two thirds exactly");
        assert!(with(9, 30).is_absent(&TWO_THIRDS, 30));
        assert!(!with(0, 49).is_absent(&TWO_THIRDS, 50), "too few commits to judge");
    }

    #[test]
    fn a_window_is_attended_when_it_is_full_and_its_newest_part_too() {
        // Signs the first `signed` of `counted` commits, then misses the rest.
        let attended = |signed: u32, counted: u32, newest: u32| {
            let mut attendance = Attendance::default();
            (0..counted).for_each(|commit| attendance.note(commit < signed, 50));
            attendance.has_attended(&TWO_THIRDS, 50, newest)
        };
        assert!(attended(50, 50, 10));
        assert!(!attended(49, 49, 10), "the window is not full yet");
        assert!(attended(44, 50, 9), "6 of the newest 9 missed is two thirds exactly");
        assert!(!attended(43, 50, 9), "7 of the newest 9 missed");
        assert!(!attended(16, 50, 0), "absent over the window");
        assert!(attended(17, 50, 0), "no commit of this epoch's: the window decides");
        assert!(!attended(60, 100, 30) && attended(80, 100, 30), "the oldest are forgotten");
        assert!(attended(50, 50, 200) && !attended(16, 50, 200), "more than are counted: all of them");
        let mut late = Attendance::default();
        (0..50).for_each(|commit| late.note(commit >= 33, 50));
        assert!(late.has_attended(&TWO_THIRDS, 50, 10), "17 of 50, the newest among them");
    }
}
