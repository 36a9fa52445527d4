//! Where a reader of events is.
//!
//! # Text
//! `HEIGHT-LIFE-SEQUENCE` is a place among the events of one start of the node, LIFE in 8 hexadecimal digits; every block up
//! to HEIGHT was told before it. A fourth part, `-AFTER`, is a place among what is final in the pool of that start, which is
//! told between the blocks up to HEIGHT and SEQUENCE. `HEIGHT+PLACE` is a transaction's place in a block: `1000+0` begins with block 1,000.
//! Programs hand back what they were given, or begin at a block of their choice.

use std::fmt;
use std::str::FromStr;

use crate::types::Height;

/// Where a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// Among the events of one start of a node.
    Live {
        /// The last block that was told before.
        height: Height,
        /// Which start.
        life: u32,
        /// The number of the next event.
        sequence: u64,
    },
    /// Among what is final in the pool, on the way from the chain to the events of one start.
    Pool {
        /// The last block that was told before.
        height: Height,
        /// Which start.
        life: u32,
        /// The number of the event with which the reader goes on behind the pool.
        sequence: u64,
        /// The pool's number of the last one that was told.
        after: u64,
    },
    /// In the chain.
    Chain {
        /// The block.
        height: Height,
        /// The place of the next transaction in it, from 0.
        place: usize,
    },
}

impl Cursor {
    /// The same place for who has not got the events: behind the last block that was told.
    pub(super) const fn in_chain(self) -> (Height, usize) {
        match self {
            Self::Live { height, .. } | Self::Pool { height, .. } => (height.saturating_add(1), 0),
            Self::Chain { height, place } => (height, place),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live { height, life, sequence } => write!(f, "{height}-{life:08x}-{sequence}"),
            Self::Pool { height, life, sequence, after } => {
                write!(f, "{height}-{life:08x}-{sequence}-{after}")
            }
            Self::Chain { height, place } => write!(f, "{height}+{place}"),
        }
    }
}

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the \"next_cursor\" of an answer before, or HEIGHT+0 to begin with a block")]
pub struct ParseCursorError;

impl FromStr for Cursor {
    type Err = ParseCursorError;

    fn from_str(text: &str) -> Result<Self, ParseCursorError> {
        let number = |text: &str| text.parse::<u64>().map_err(|_| ParseCursorError);
        if let Some((height, place)) = text.split_once('+') {
            let place = usize::try_from(number(place)?).map_err(|_| ParseCursorError)?;
            // Genesis is no block.
            return Ok(Self::Chain { height: number(height)?.max(1), place });
        }
        let mut parts = text.splitn(4, '-');
        let (Some(height), Some(life), Some(sequence)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(ParseCursorError);
        };
        let life = u32::from_str_radix(life, 16).map_err(|_| ParseCursorError)?;
        let (height, sequence) = (number(height)?, number(sequence)?);
        Ok(match parts.next() {
            Some(after) => Self::Pool { height, life, sequence, after: number(after)? },
            None => Self::Live { height, life, sequence },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_its_text_and_nothing_else_is_one() {
        let live = Cursor::Live { height: 7, life: 0xab, sequence: 12 };
        let chain = Cursor::Chain { height: 7, place: 3 };
        let pool = Cursor::Pool { height: 7, life: 0xab, sequence: 12, after: 5 };
        for (cursor, text) in [(live, "7-000000ab-12"), (pool, "7-000000ab-12-5"), (chain, "7+3")] {
            assert_eq!((cursor.to_string().as_str(), text.parse()), (text, Ok(cursor)));
        }
        assert_eq!("0+0".parse(), Ok(Cursor::Chain { height: 1, place: 0 }));
        for text in [
            "",
            "7",
            "7-ab",
            "7-xy-1",
            "7-ab-",
            "7-ab-1-",
            "7-ab-1-2-3",
            "-7+1",
            "7+",
            "7+1+2",
            "99999999999999999999+0",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(ParseCursorError), "{text:?}");
        }
    }
}
