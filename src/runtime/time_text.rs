//! Times and durations in words.

use std::time::Duration;

use super::Clock;
use crate::types::TimeMs;

/// A duration in milliseconds to three decimals, so that it is short wherever it is printed.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "exact below 2^53 us, which is 285 years")]
pub fn milliseconds(duration: Duration) -> f64 {
    // A division is rounded to the nearest float, which is printed as these decimals; a product of floats is not.
    duration.as_micros() as f64 / 1_000.0
}

/// A duration to the two largest units that it has.
#[must_use]
pub fn duration_words(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Year, month and day of a day since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms":
/// years begin in March, so that the leap day is the last one).
const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// `2026-01-31 12:34:56 UTC`.
#[must_use]
pub fn utc(time: TimeMs) -> String {
    let seconds = time / 1_000;
    let (year, month, day) = civil_from_days(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// A time with how far it is from `now`: "... (in 5 min 3 s)" or "... (2 d 1 h ago)".
#[must_use]
pub fn time_words(time: TimeMs, now: TimeMs) -> String {
    let distance = duration_words(time.abs_diff(now) / 1_000);
    if time > now {
        format!("{} (in {distance})", utc(time))
    } else {
        format!("{} ({distance} ago)", utc(time))
    }
}

/// The same from this machine's clock.
#[must_use]
pub fn time_from_now(time: TimeMs) -> String {
    time_words(time, Clock.now_ms())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        for (seconds, words) in
            [(59, "59 s"), (61, "1 min 1 s"), (7_260, "2 h 1 min"), (90_000, "1 d 1 h"), (0, "0 s")]
        {
            assert_eq!(duration_words(seconds), words);
        }
    }

    #[test]
    fn milliseconds_have_three_decimals_at_most() {
        for nanos in (0..4_000_000_u64).step_by(1_237) {
            let printed = milliseconds(Duration::from_nanos(nanos)).to_string();
            let decimals = printed.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            assert!(decimals <= 3, "{nanos} ns are printed as {printed} ms");
        }
        assert_eq!(milliseconds(Duration::from_nanos(2_389_999)).to_string(), "2.389");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_767_225_600, "2026-01-01 00:00:00 UTC"),
            (1_798_761_599, "2026-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(seconds * 1_000), text);
        }
    }

    #[test]
    fn times_say_how_far_they_are() {
        assert_eq!(time_words(61_000, 1_000), "1970-01-01 00:01:01 UTC (in 1 min 0 s)");
        assert_eq!(time_words(1_000, 61_000), "1970-01-01 00:00:01 UTC (1 min 0 s ago)");
    }
}
