//! Which versions of the messages this program speaks, and which one a connection uses.
//!
//! # Place
//! Each side of a handshake says its range; `handshake.rs` agrees, and the connection keeps the result. The table in
//! `message_kind.rs` says since which version each kind exists.
//!
//! # Rule
//! A version adds kinds of messages, and never changes one: a kind whose bytes have to change is a new kind. So the agreed
//! version says all that is to know: what it lacks is not sent, and whoever sends it all the same is at fault. A kind goes
//! when the oldest version that has it is spoken no more.
//!
//! # Invariants
//! - INV-NET-34: both ends compute the same version of the same two ranges, and nothing that one of them chooses alone; a
//!   connection whose ranges do not overlap is refused.

use std::fmt;

use bincode::{Decode, Encode};

/// The newest version of the messages that this program speaks.
pub const PROTOCOL_VERSION: u32 = 5;
/// The oldest one. What lies before was never released.
pub const OLDEST_PROTOCOL_VERSION: u32 = 5;

/// The versions that one side of a connection speaks: all from the oldest to the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VersionRange {
    /// The first one.
    pub oldest: u32,
    /// The last one.
    pub newest: u32,
}

impl VersionRange {
    /// What this program speaks.
    pub const SPOKEN: Self = Self { oldest: OLDEST_PROTOCOL_VERSION, newest: PROTOCOL_VERSION };

    /// The newest version that both speak, if there is one.
    #[must_use]
    pub fn agreed(self, other: Self) -> Option<u32> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.oldest == self.newest {
            return write!(formatter, "{}", self.newest);
        }
        write!(formatter, "{} to {}", self.oldest, self.newest)
    }
}

/// Which side has to be upgraded, for a pair of ranges that do not overlap: the one whose newest is the lower.
pub(super) const fn upgrade_advice(ours: VersionRange, theirs: VersionRange) -> &'static str {
    if theirs.newest < theirs.oldest {
        "the other side's range is none"
    } else if theirs.newest < ours.oldest {
        "the other side has to install a newer timed"
    } else {
        "install a newer timed here"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn range(oldest: u32, newest: u32) -> VersionRange {
        VersionRange { oldest, newest }
    }

    /// INV-NET-34.
    #[test]
    fn both_ends_agree_on_the_newest_version_that_both_speak() {
        let cases = [
            (range(5, 5), range(5, 5), Some(5)),
            (range(5, 7), range(5, 6), Some(6)),
            (range(5, 6), range(6, 9), Some(6)),
            (range(5, 6), range(7, 9), None),
            (range(1, 4), range(5, 5), None),
            (range(5, 9), range(9, 5), None),
            (range(0, u32::MAX), range(5, 5), Some(5)),
        ];
        for (one, other, agreed) in cases {
            assert_eq!(one.agreed(other), agreed, "{one}, {other}");
            assert_eq!(other.agreed(one), agreed, "INV-NET-34: {other}, {one}");
        }
    }

    #[test]
    fn the_side_with_the_older_program_is_told_to_upgrade() {
        assert!(upgrade_advice(range(5, 6), range(2, 4)).starts_with("the other side has to install"));
        assert!(upgrade_advice(range(5, 6), range(7, 9)).starts_with("install a newer timed here"));
        assert!(upgrade_advice(range(5, 6), range(9, 5)).ends_with("is none"));
    }

    #[test]
    fn this_program_speaks_a_range() {
        assert_eq!(VersionRange::SPOKEN.agreed(VersionRange::SPOKEN), Some(PROTOCOL_VERSION));
        assert_eq!(range(5, 7).to_string(), "5 to 7");
        assert_eq!(range(5, 5).to_string(), "5");
    }
}
