//! The one home of wall-clock and monotonic time.
//!
//! # Place
//! Shells above read time here and hand it down as an input; `types/` and `protocol/` never see a clock.
//!
//! # Units
//! Wall time is milliseconds since the Unix epoch. Durations come from [`Instant`], which never goes backwards.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::types::TimeMs;

/// Where the monotonic clock starts: 34 years, in milliseconds.
const MONOTONIC_START_MS: TimeMs = 1 << 40;

/// The clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// Wall time. A clock that is set before 1970 reads 0: a proposer's rule for header times then takes the last
    /// block's time instead.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one home of the wall clock")]
    pub fn now_ms(self) -> TimeMs {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|since| u64::try_from(since.as_millis()).ok())
            .unwrap_or(0)
    }

    /// Milliseconds of a clock that never goes back and that nobody sets; only differences between two of its values mean
    /// anything. It starts so late that differences to earlier times never underflow, and far from any wall time of
    /// today: whoever takes one for the other is wrong at once, and not only after somebody has set the clock.
    #[must_use]
    pub fn monotonic_ms(self) -> TimeMs {
        static STARTED: OnceLock<Instant> = OnceLock::new();
        let started = STARTED.get_or_init(|| self.instant());
        let elapsed = self.instant().saturating_duration_since(*started).as_millis();
        MONOTONIC_START_MS.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// A point in time that later ones are measured from.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one home of the monotonic clock")]
    pub fn instant(self) -> Instant {
        Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_is_in_milliseconds() {
        let year_2020_ms = 1_577_836_800_000;
        let year_2200_ms = 7_258_118_400_000;
        assert!((year_2020_ms..year_2200_ms).contains(&Clock.now_ms()));
    }
}
