//! Why a transaction is not taken: one variant a rule.
//!
//! # Place
//! Made by the checks of this folder. `rpc/` gives each variant its code, words and hint in one exhaustive match, so a
//! new rule does not compile before it can be explained; its label in metrics is [`Refusal::reason`].

use crate::mempool::PoolError;
use crate::protocol::validity::TransactionError;
use crate::types::{Amount, Height, OutPoint, TxId};
use crate::utxo::LockConflict;

/// Why a transaction is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It breaks a rule of the protocol.
    #[error(transparent)]
    Invalid(#[from] TransactionError),
    /// Whoever sent it does not want to pay as much.
    #[error("the fee is {fee} TIME, and at most {max} TIME are wanted to be paid")]
    FeeTooHigh {
        /// Inputs less outputs.
        fee: Amount,
        /// The bound that the sender set, or that holds if he set none.
        max: Amount,
    },
    /// A block has it.
    #[error("the transaction is in a block already")]
    AlreadyConfirmed,
    /// Another transaction has spent an input for good.
    #[error("the output {outpoint} was spent by transaction {by}, which is {}", final_or_in_block(.height))]
    InputsSpent {
        /// The output.
        outpoint: OutPoint,
        /// Who spent it.
        by: TxId,
        /// In which block; `None` while it is final and in none.
        height: Option<Height>,
    },
    /// Another transaction on its way holds an input.
    #[error(transparent)]
    InputsTaken(#[from] LockConflict),
    /// An input is not known here, or the transaction that makes it is not final here.
    #[error("this node knows no output {outpoint}")]
    InputsUnknown {
        /// The output.
        outpoint: OutPoint,
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// Its parents are on their way, and so are too many of theirs.
    #[error("more than {limit} transactions that are not final yet come before it")]
    TooManyAncestors {
        /// How many there may be.
        limit: usize,
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// Too many transactions wait for their parents.
    #[error("too many transactions wait for their parents here")]
    WaitingFull {
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// Too many outputs are locked.
    #[error("{locked} outputs are locked already")]
    LocksFull {
        /// How many.
        locked: usize,
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// The pool's policy.
    #[error(transparent)]
    Pool(PoolError),
    /// The node takes no more at the moment.
    #[error("the node is busy")]
    Busy {
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

fn final_or_in_block(height: &Option<Height>) -> String {
    height.map_or_else(|| "final".to_owned(), |height| format!("in block {height}"))
}

impl Refusal {
    /// Who has the coin, where that is why.
    #[must_use]
    pub const fn winner(&self) -> Option<TxId> {
        match self {
            Self::InputsSpent { by, .. } => Some(*by),
            Self::InputsTaken(conflict) => Some(conflict.held_by),
            _ => None,
        }
    }

    /// The reasons of what this node does not take now; that a transaction breaks a rule is said by some thirty others.
    pub const REASONS_FOR_NOW: [&'static str; 6] =
        ["inputs_unknown", "too_many_ancestors", "too_many_waiting", "locks_full", "pool_full", "busy"];

    /// The reasons that are no broken rule's and none of the pool's.
    const OWN_REASONS: [&'static str; 10] = [
        "max_fee_exceeded",
        "already_in_chain",
        "bad_txns_inputs_spent",
        "txn_mempool_conflict",
        "inputs_unknown",
        "too_many_ancestors",
        "too_many_waiting",
        "locks_full",
        "busy",
        "stopping",
    ];

    /// Every reason that there is; one that the pool has as well comes twice.
    pub fn reasons() -> impl Iterator<Item = &'static str> {
        Self::OWN_REASONS.into_iter().chain(PoolError::REASONS).chain(TransactionError::REASONS)
    }

    /// A stable name for programs and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(error) => error.reason(),
            Self::FeeTooHigh { .. } => "max_fee_exceeded",
            Self::AlreadyConfirmed => "already_in_chain",
            Self::InputsSpent { .. } => "bad_txns_inputs_spent",
            Self::InputsTaken(_) => "txn_mempool_conflict",
            Self::InputsUnknown { .. } => "inputs_unknown",
            Self::TooManyAncestors { .. } => "too_many_ancestors",
            Self::WaitingFull { .. } => "too_many_waiting",
            Self::LocksFull { .. } => "locks_full",
            Self::Pool(error) => error.reason(),
            Self::Busy { .. } => "busy",
            Self::Stopping => "stopping",
        }
    }

    /// When to try again, for what passes by itself, in milliseconds.
    #[must_use]
    pub const fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::InputsUnknown { retry_after_ms, .. }
            | Self::TooManyAncestors { retry_after_ms, .. }
            | Self::WaitingFull { retry_after_ms }
            | Self::LocksFull { retry_after_ms, .. }
            | Self::Busy { retry_after_ms } => Some(*retry_after_ms),
            Self::Invalid(_)
            | Self::FeeTooHigh { .. }
            | Self::AlreadyConfirmed
            | Self::InputsSpent { .. }
            | Self::InputsTaken(_)
            | Self::Pool(_)
            | Self::Stopping => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mempool::FeeRate;

    /// One of each, in the order of their declaration; `tests/architecture` holds that none is missing.
    fn one_of_each() -> [Refusal; 12] {
        let (outpoint, by, retry_after_ms) = (OutPoint { txid: TxId([0; 32]), index: 0 }, TxId([1; 32]), 1);
        [
            Refusal::Invalid(TransactionError::NoInputs),
            Refusal::FeeTooHigh { fee: Amount(2), max: Amount(1) },
            Refusal::AlreadyConfirmed,
            Refusal::InputsSpent { outpoint, by, height: None },
            Refusal::InputsTaken(LockConflict { outpoint, held_by: by }),
            Refusal::InputsUnknown { outpoint, retry_after_ms },
            Refusal::TooManyAncestors { limit: 1, retry_after_ms },
            Refusal::WaitingFull { retry_after_ms },
            Refusal::LocksFull { locked: 1, retry_after_ms },
            Refusal::Pool(PoolError::Full { rate: FeeRate(1) }),
            Refusal::Busy { retry_after_ms },
            Refusal::Stopping,
        ]
    }

    /// A pool that is full says no time, since a higher fee may help at once.
    #[test]
    fn the_reasons_for_now_are_those_of_what_passes_by_itself() {
        let is_for_now = |refusal: &Refusal| {
            refusal.retry_after_ms().is_some() || matches!(refusal, Refusal::Pool(PoolError::Full { .. }))
        };
        let reasons: Vec<&str> =
            one_of_each().iter().filter(|refusal| is_for_now(refusal)).map(Refusal::reason).collect();
        assert_eq!(reasons, Refusal::REASONS_FOR_NOW);
    }

    #[test]
    fn every_reason_is_listed() {
        let is_own = |refusal: &&Refusal| !matches!(refusal, Refusal::Invalid(_) | Refusal::Pool(_));
        let all = one_of_each();
        let own: Vec<&str> = all.iter().filter(is_own).map(Refusal::reason).collect();
        assert_eq!(own, Refusal::OWN_REASONS);
        let rate = FeeRate(1);
        let of_pool = [
            PoolError::AlreadyKnown,
            PoolError::AlreadyInChain { height: 1 },
            PoolError::BelowFloor { rate, floor: rate },
            PoolError::Full { rate },
        ];
        assert_eq!(of_pool.map(|error| error.reason()), PoolError::REASONS);
        let listed: Vec<&str> = Refusal::reasons().collect();
        assert!(all.iter().all(|refusal| listed.contains(&refusal.reason())));
    }

    /// Each reason means one thing to programs, in their spelling, and people are told something.
    #[test]
    fn reasons_are_names_of_their_own() {
        let mut names = std::collections::BTreeSet::new();
        for refusal in one_of_each() {
            let reason = refusal.reason();
            let is_name = reason.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(is_name && names.insert(reason), "{reason}");
            assert!(!refusal.to_string().is_empty(), "{reason}");
        }
    }
}
