//! What can happen to a node of the Tendermint model, and how it is written as a number.

use timed::protocol::bft::TimeoutKind;
use timed::types::{Round, VoteStep};

use crate::checker::{Code, exchanged};

/// Place of a block in [`Plan::first_rounds`](super::node::Plan::first_rounds).
pub type Value = u8;
/// A vote for no block.
pub const NIL: Value = 7;
pub const STEPS: [VoteStep; 2] = [VoteStep::Prevote, VoteStep::Precommit];
const TIMEOUTS: [TimeoutKind; 3] = [TimeoutKind::Propose, TimeoutKind::Prevote, TimeoutKind::Precommit];

/// What others have of one vote of a node: nothing, or its value.
pub type Said = Option<Value>;

/// What can happen to a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Happening {
    /// The height is due.
    Due,
    Persist,
    Restart,
    Timeout(TimeoutKind),
    /// A block's first proposal arrives.
    Fresh(Value),
    /// A block's first proposal arrives, if it has not, and the block becomes acceptable.
    Acceptable(Value),
    /// A block's first proposal arrives, if it has not, and the block will never be acceptable to this node.
    Unacceptable(Value),
    /// A block that this node was asked to build is ready.
    Built(Value),
    /// A later proposal of a block arrives, with the prevotes of these others (bit 0 is the first of them) and of the
    /// Byzantine one in the round of its proof of lock.
    Again {
        round: Round,
        value: Value,
        pol_round: Round,
        others: u8,
    },
    /// Votes of these others and of the Byzantine one for one value arrive.
    Quorum {
        step: VoteStep,
        round: Round,
        value: Value,
        others: u8,
    },
    /// Votes of others, where they are given, arrive in the current round with one of the Byzantine one for nil, and
    /// the step's timeout runs out.
    Expired {
        step: VoteStep,
        others: [Said; 2],
    },
    /// A prevote of one of the others (0 or 1) in a later round arrives, with one of the Byzantine one.
    Later {
        round: Round,
        other: u8,
        value: Value,
    },
    /// One vote arrives.
    Vote {
        voter: u8,
        step: VoteStep,
        round: Round,
        value: Value,
    },
}

const VALUES: Code = 4;
const SAID: Code = VALUES + 1;
const ROUNDS: Code = 4;

fn value_code(value: Value) -> Code {
    if value == NIL { 0 } else { Code::from(value) + 1 }
}

fn value_of(code: Code) -> Value {
    if code == 0 { NIL } else { (code - 1) as Value }
}

pub fn said_code(said: Said) -> Code {
    said.map_or(0, |value| value_code(value) + 1)
}

pub fn said_of(code: Code) -> Said {
    (code > 0).then(|| value_of(code - 1))
}

fn step_code(step: VoteStep) -> Code {
    Code::from(step == VoteStep::Precommit)
}

fn timeout_code(kind: TimeoutKind) -> Code {
    TIMEOUTS.iter().position(|other| *other == kind).unwrap_or(0) as Code
}

const AGAIN: Code = 22;
const QUORUM: Code = AGAIN + ROUNDS * ROUNDS * VALUES * 4;
const EXPIRED: Code = QUORUM + 2 * ROUNDS * VALUES * 4;
const LATER: Code = EXPIRED + 2 * SAID * SAID;
const VOTE: Code = LATER + ROUNDS * 2 * VALUES;
/// How many happenings there are.
pub const CODES: Code = VOTE + 4 * 2 * ROUNDS * VALUES;

/// A number from digits, each with its base.
fn number(digits: &[(Code, Code)]) -> Code {
    digits.iter().fold(0, |number, (base, digit)| number * base + digit)
}

/// Takes the last digit off a number.
fn digit(number: &mut Code, base: Code) -> Code {
    let digit = *number % base;
    *number /= base;
    digit
}

impl Happening {
    pub fn code(self) -> Code {
        match self {
            Self::Due => 0,
            Self::Persist => 1,
            Self::Restart => 2,
            Self::Timeout(kind) => 3 + timeout_code(kind),
            Self::Fresh(value) => 6 + Code::from(value),
            Self::Acceptable(value) => 10 + Code::from(value),
            Self::Built(value) => 14 + Code::from(value),
            Self::Unacceptable(value) => 18 + Code::from(value),
            Self::Again { round, value, pol_round, others } => {
                let rounds = [(ROUNDS, round as Code), (ROUNDS, pol_round as Code)];
                AGAIN + number(&[rounds[0], rounds[1], (VALUES, Code::from(value)), (4, Code::from(others))])
            }
            Self::Quorum { step, round, value, others } => {
                let vote = [(2, step_code(step)), (ROUNDS, round as Code), (VALUES, value_code(value))];
                QUORUM + number(&[vote[0], vote[1], vote[2], (4, Code::from(others))])
            }
            Self::Expired { step, others: [one, two] } => {
                EXPIRED + number(&[(2, step_code(step)), (SAID, said_code(one)), (SAID, said_code(two))])
            }
            Self::Later { round, other, value } => {
                LATER
                    + number(&[(ROUNDS, round as Code), (2, Code::from(other)), (VALUES, value_code(value))])
            }
            Self::Vote { voter, step, round, value } => {
                let vote = [(2, step_code(step)), (ROUNDS, round as Code), (VALUES, value_code(value))];
                VOTE + number(&[(4, Code::from(voter)), vote[0], vote[1], vote[2]])
            }
        }
    }

    pub fn of(code: Code) -> Self {
        let steps = |code: Code| STEPS[usize::from(code)];
        let mut rest = code;
        match code {
            0 => Self::Due,
            1 => Self::Persist,
            2 => Self::Restart,
            3..6 => Self::Timeout(TIMEOUTS[usize::from(code - 3)]),
            6..10 => Self::Fresh((code - 6) as Value),
            10..14 => Self::Acceptable((code - 10) as Value),
            14..18 => Self::Built((code - 14) as Value),
            18..AGAIN => Self::Unacceptable((code - 18) as Value),
            AGAIN..QUORUM => {
                rest -= AGAIN;
                let others = digit(&mut rest, 4) as u8;
                let value = digit(&mut rest, VALUES) as Value;
                let pol_round = digit(&mut rest, ROUNDS).into();
                Self::Again { round: rest.into(), value, pol_round, others }
            }
            QUORUM..EXPIRED => {
                rest -= QUORUM;
                let others = digit(&mut rest, 4) as u8;
                let value = value_of(digit(&mut rest, VALUES));
                let round = digit(&mut rest, ROUNDS).into();
                Self::Quorum { step: steps(rest), round, value, others }
            }
            EXPIRED..LATER => {
                rest -= EXPIRED;
                let two = said_of(digit(&mut rest, SAID));
                let one = said_of(digit(&mut rest, SAID));
                Self::Expired { step: steps(rest), others: [one, two] }
            }
            LATER..VOTE => {
                rest -= LATER;
                let value = value_of(digit(&mut rest, VALUES));
                let other = digit(&mut rest, 2) as u8;
                Self::Later { round: rest.into(), other, value }
            }
            _ => {
                rest -= VOTE;
                let value = value_of(digit(&mut rest, VALUES));
                let round = digit(&mut rest, ROUNDS).into();
                let step = steps(digit(&mut rest, 2));
                Self::Vote { voter: rest as u8, step, round, value }
            }
        }
    }

    pub fn mirrored(self) -> Self {
        match self {
            Self::Again { round, value, pol_round, others } => {
                Self::Again { round, value, pol_round, others: exchanged(others) }
            }
            Self::Quorum { step, round, value, others } => {
                Self::Quorum { step, round, value, others: exchanged(others) }
            }
            Self::Expired { step, others: [one, two] } => Self::Expired { step, others: [two, one] },
            Self::Later { round, other, value } => Self::Later { round, other: 1 - other, value },
            Self::Vote { voter: voter @ 1..=2, step, round, value } => {
                Self::Vote { voter: 3 - voter, step, round, value }
            }
            other => other,
        }
    }
}
