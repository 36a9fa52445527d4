//! Durations as people write them on a command line.

use std::time::Duration;

/// Reads `500ms`, `2s`, `5m` or `1h`.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration such as 500ms, 2s, 5m or 1h".to_owned();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit_ms = match text.get(digits.len()..) {
        Some("ms") => 1,
        Some("s") => 1_000,
        Some("m" | "min") => 60_000,
        Some("h") => 3_600_000,
        _ => return Err(wrong()),
    };
    let ms = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms)).ok_or_else(wrong)?;
    Ok(Duration::from_millis(ms))
}

/// Reads how long a network waits from block to block: a millisecond to an hour.
pub(super) fn parse_block_interval(text: &str) -> Result<Duration, String> {
    let interval = parse(text)?;
    if interval.is_zero() || interval > Duration::from_secs(3_600) {
        return Err("blocks come every 1ms to 1h".to_owned());
    }
    Ok(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_bounds() {
        for (text, ms) in
            [("500ms", 500), ("2s", 2_000), ("5m", 300_000), ("5min", 300_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "2", "-1s", "1.5s", "2 s", "2d", "99999999999999999999h"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse_block_interval("1ms").is_ok() && parse_block_interval("1h").is_ok());
        assert!(parse_block_interval("0s").is_err() && parse_block_interval("61m").is_err());
    }
}
