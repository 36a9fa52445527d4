//! How blocks are told in the log: one line each, and one for many while the node catches up.

use std::time::{Duration, Instant};

use crate::types::TimeMs;

/// A block whose time is longer ago was decided while this node was not there.
pub(super) const OLD_BLOCK_MS: TimeMs = 10_000;
/// How often the log tells how far the node is when it catches up.
const CAUGHT_UP_EVERY: Duration = Duration::from_secs(2);

/// How a block is told in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockLine {
    /// A line of its own.
    Whole,
    /// One for many blocks, this one among them.
    Sum(CaughtUp),
    /// None but at `debug`.
    Quiet,
}

/// What a node did since the last line while it caught up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CaughtUp {
    /// How many blocks it applied.
    pub(super) blocks: u64,
    /// How many of them in a second, on average.
    pub(super) per_second: u64,
    /// How long the rest takes at this pace, while the chain goes on; `None` if it does not come closer.
    pub(super) left: Option<Duration>,
}

/// Which blocks have had no line yet.
pub(super) struct BlockLines {
    last: Instant,
    /// How old the block of the last line was.
    last_age_ms: Option<u64>,
    untold: u64,
}

impl BlockLines {
    pub(super) const fn new(start: Instant) -> Self {
        Self { last: start, last_age_ms: None, untold: 0 }
    }

    /// The line for a block of this age.
    pub(super) fn next(&mut self, age_ms: u64, now: Instant) -> BlockLine {
        let (is_old, since) = (age_ms > OLD_BLOCK_MS, now.saturating_duration_since(self.last));
        if is_old && since < CAUGHT_UP_EVERY {
            self.untold = self.untold.saturating_add(1);
            return BlockLine::Quiet;
        }
        self.last = now;
        let before = self.last_age_ms.replace(age_ms);
        match std::mem::take(&mut self.untold) {
            untold if is_old && untold > 0 => {
                let blocks = untold.saturating_add(1);
                let ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1);
                let per_second = blocks.saturating_mul(1_000).checked_div(ms).unwrap_or(0);
                let gained_ms =
                    before.and_then(|before| before.checked_sub(age_ms)).filter(|gained| *gained > 0);
                let left = gained_ms.and_then(|gained| age_ms.saturating_mul(ms).checked_div(gained));
                BlockLine::Sum(CaughtUp { blocks, per_second, left: left.map(Duration::from_millis) })
            }
            _ => BlockLine::Whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Clock;

    #[test]
    fn a_block_has_a_line_when_it_is_new_and_shares_one_while_the_node_catches_up() {
        let start = Clock.instant();
        let at = |ms| start + Duration::from_millis(ms);
        let mut lines = BlockLines::new(start);
        for ms in [1, 2, 3] {
            assert_eq!(lines.next(0, at(ms)), BlockLine::Whole, "new blocks may come fast");
        }
        for ms in 4..104 {
            assert_eq!(lines.next(OLD_BLOCK_MS + 1, at(ms)), BlockLine::Quiet);
        }
        let caught = CaughtUp { blocks: 101, per_second: 50, left: None };
        assert_eq!(lines.next(OLD_BLOCK_MS + 1, at(2_003)), BlockLine::Sum(caught));
        assert_eq!(lines.next(OLD_BLOCK_MS + 1, at(2_004)), BlockLine::Quiet);
        assert_eq!(lines.next(0, at(2_005)), BlockLine::Whole, "it has caught up");
        assert_eq!(lines.next(OLD_BLOCK_MS + 1, at(9_000)), BlockLine::Whole, "a height took many rounds");
    }

    #[test]
    fn the_rest_takes_as_long_as_the_distance_shrinks() {
        let start = Clock.instant();
        let mut lines = BlockLines::new(start);
        let mut line = |age_s: u64, second| {
            let now = start + Duration::from_secs(second);
            assert_eq!(lines.next(age_s * 1_000, now - Duration::from_millis(1)), BlockLine::Quiet);
            match lines.next(age_s * 1_000, now) {
                BlockLine::Sum(caught) => caught.left,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(line(1_000, 2), None, "nothing to compare it with");
        assert_eq!(line(900, 4), Some(Duration::from_secs(18)), "100 seconds of the chain in two");
        assert_eq!(line(900, 6), None, "it comes no closer");
        assert_eq!(line(950, 8), None);
    }
}
