//! What can happen to a node of the finality model, and how it is written as a number.

use timed::types::VoteKind;

use super::ledger::{NAMES, Tx};
use crate::checker::{Code, exchanged};

pub const KINDS: [VoteKind; 2] = [VoteKind::Lock, VoteKind::Final];
const TRANSACTIONS: Code = 3;
/// A block has at most so many possible successors.
const CHILDREN_MAX: Code = 10;
const PREVOTE: Code = 49;
/// How many happenings there are.
pub const CODES: Code = PREVOTE + 2 * CHILDREN_MAX;

/// What can happen to a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Happening {
    /// The transaction's body arrives.
    Body(Tx),
    /// A vote of the current epoch arrives.
    Vote {
        voter: u8,
        kind: VoteKind,
        tx: Tx,
    },
    /// Votes of these others (bit 0 is 1, bit 1 is 2) and of the Byzantine one arrive, and make a quorum.
    Quorum {
        kind: VoteKind,
        tx: Tx,
        others: u8,
    },
    /// The oldest write becomes durable.
    Persist,
    Restart,
    /// A restart that finds no chain.
    Wipe,
    /// The node has listened for a copy of its key, and begins to sign.
    Sign,
    /// A first prevote for the block that makes this child of the node's chain.
    Prevote {
        child: u8,
    },
    /// The block that makes this child of the node's chain is applied.
    Apply {
        child: u8,
    },
}

fn kind_code(kind: VoteKind) -> Code {
    Code::from(kind == VoteKind::Final)
}

impl Happening {
    pub fn code(self) -> Code {
        match self {
            Self::Body(tx) => Code::from(tx),
            Self::Vote { voter, kind, tx } => {
                3 + (Code::from(voter) - 1) * 6 + kind_code(kind) * TRANSACTIONS + Code::from(tx)
            }
            Self::Quorum { kind, tx, others } => {
                21 + Code::from(others) * 6 + kind_code(kind) * TRANSACTIONS + Code::from(tx)
            }
            Self::Persist => 45,
            Self::Restart => 46,
            Self::Wipe => 47,
            Self::Sign => 48,
            Self::Prevote { child } => PREVOTE + Code::from(child),
            Self::Apply { child } => PREVOTE + CHILDREN_MAX + Code::from(child),
        }
    }

    pub fn of(code: Code) -> Self {
        let vote = |rest: Code| (KINDS[usize::from(rest % 6 / 3)], (rest % 3) as Tx, (rest / 6) as u8);
        match code {
            0..3 => Self::Body(code as Tx),
            3..21 => {
                let (kind, tx, voter) = vote(code - 3);
                Self::Vote { voter: voter + 1, kind, tx }
            }
            21..45 => {
                let (kind, tx, others) = vote(code - 21);
                Self::Quorum { kind, tx, others }
            }
            45 => Self::Persist,
            46 => Self::Restart,
            47 => Self::Wipe,
            48 => Self::Sign,
            _ if code < PREVOTE + CHILDREN_MAX => Self::Prevote { child: (code - PREVOTE) as u8 },
            _ => Self::Apply { child: (code - PREVOTE - CHILDREN_MAX) as u8 },
        }
    }

    pub fn mirrored(self) -> Self {
        match self {
            Self::Vote { voter: voter @ 1..=2, kind, tx } => Self::Vote { voter: 3 - voter, kind, tx },
            Self::Quorum { kind, tx, others } => Self::Quorum { kind, tx, others: exchanged(others) },
            other => other,
        }
    }
}

/// A vote in words.
pub fn vote_name(kind: VoteKind, tx: Tx) -> String {
    format!("{kind:?}({})", NAMES[usize::from(tx)])
}
