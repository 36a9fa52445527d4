//! The finality layer: the machine that locks inputs, votes, certifies transactions and finds them final.
//!
//! # Place
//! Floor 2, pure. `consensus/` feeds it facts ([`Input`]) and executes its orders ([`Effect`]); the simulator does
//! the same with the same executor. Signatures, Merkle paths and membership are checked before a vote gets here.
//!
//! # The protocol in short
//! The rules, 0 to 6, stand in [`crate::protocol`]; why they are safe, and when they are live, stands below under "The
//! finality protocol".
//!
//! A validator locks all inputs of a valid transaction to it, or none, and votes `Lock`. `Lock` votes of weight `Q`
//! certify it. A validator that holds certificate and body votes `Final`: a promise not to help ending the epoch
//! without that transaction in the chain. `Final` votes of weight `Q` make it final. Both votes count within their
//! epoch only. When the epoch's last ordinary block is committed the validator enters closing: no new vote of this
//! epoch, until blocks have taken up every promise and the next epoch starts with empty tallies.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `machine.rs` | rules 1 and 2: locks, and the two votes |
//! | `machine/bodies.rs` | which copy is a body, what it waits for, which bodies go |
//! | `machine/contradictions.rs` | which rival is kept; who voted for two |
//! | `machine/counting.rs`, `tally.rs` | what votes weigh, and what follows |
//! | `machine/epochs.rs` | blocks, and rule 6 |
//! | `machine/signer.rs` | whose votes are cast; what a journal makes of an epoch |
//! | `machine/reading.rs`, `explanation.rs` | nothing: what others may ask |
//! | `batches.rs` | which batches of others are kept to be served |
//!
//! # Invariants
//! - INV-FIN-1: in one epoch this node votes `Lock` for at most one of several conflicting transactions, restarts
//!   included ([`Machine::new`] and each new epoch take the journaled votes before anything else happens).
//! - INV-FIN-2: no `Lock` or `Final` vote is cast after closing was entered, nor in an epoch whose votes the journal may
//!   have forgotten.
//! - INV-FIN-3: `Final` is only voted for a transaction that is certified here and whose body is here.
//! - INV-FIN-4: a lock stays until the epoch ends; inclusion in a block removes none.
//! - INV-FIN-5: what is forgotten of certificates and own votes is a function of committed blocks alone.
//! - INV-FIN-6: every map is bounded: bodies by the constants below, votes for unknown transactions per validator,
//!   certified ones by `voted_unblocked_max` (beyond it no `Lock` is voted, so a quorum can't form).
//! - INV-FIN-7: a copy is a body only once its witnesses were held to the outputs that it spends. What is wrong with a
//!   copy condemns that copy, never the transaction; and a transaction with an input that can't be spent neither holds
//!   nor displaces anything.
//! - INV-FIN-8: a member's votes without a body are counted as they are: what is bounded by the count can't leak.
//!
#![doc = include_str!("protocol.md")]

mod batches;
mod explanation;
mod machine;
mod tally;
#[cfg(test)]
mod tests;

pub use batches::{
    BatchStore, Inserted, KEPT_BYTES_MAX, NUMBERS_BYTES_MAX, OTHER_BATCHES_MAX, RANGES_MAX, ReceivedNumbers,
};
pub use explanation::{BodyPlace, Explanation, MemberVotes, Rival};
pub use machine::{JournaledEpoch, JournaledVotes, Machine, conflict_order};
pub use tally::FinalVotes;

use super::state::LedgerState;
use super::validity::{CheckedTransaction, TransactionError, UtxoReader};
use crate::types::{Certificate, FinalityVote, PublicKey, Released, TxId, VoteBatch, VoteSource};

/// Bodies that are neither locked nor certified (waiting for a parent, or in conflict) are kept up to this number.
pub const UNLOCKED_BODIES_MAX: usize = 10_000;
/// And up to this many bytes.
pub const UNLOCKED_BYTES_MAX: usize = 64 << 20;
/// Outputs that all of them together wait for, at most; who would wait for more is forgotten.
pub const WAITING_INPUTS_MAX: usize = 65_536;
/// Bodies that are locked but not certified stay in memory up to this number of bytes; older ones are read from the
/// journal when they are needed.
pub const RESIDENT_BYTES_MAX: usize = 128 << 20;
/// Votes of one validator for transactions without a body here, at most; more are dropped (they can be had again).
pub const UNKNOWN_VOTES_MAX: u32 = 16_384;
/// The same of all validators together: each has an equal share.
pub const UNKNOWN_VOTES_OF_ALL_MAX: usize = 131_072;
/// Conflicting transactions that are remembered for one, to find out who voted for two of them. Whoever looks from the
/// other side finds the pair as well, so more are rarely needed, and never for safety.
pub const RIVALS_MAX: usize = 64;
/// Transactions whose certificates are asked for at a time, at most.
pub const WANTED_CERTIFICATES_MAX: usize = 1_024;

/// Memory of a body beside its bytes, of a vote without one, and of an output that is waited for: their entries in the
/// machine's maps, in bytes.
const BODY_OVERHEAD_BYTES: usize = 1_024;
const UNKNOWN_VOTE_BYTES: usize = 512;
const WAITING_INPUT_BYTES: usize = 256;
/// What the machine holds beside what is certified (which `voted_unblocked_bytes` bounds) and the epoch's locks, at
/// most, in bytes.
pub const UNCERTIFIED_BYTES_MAX: usize = UNLOCKED_BYTES_MAX
    + UNLOCKED_BODIES_MAX * (BODY_OVERHEAD_BYTES + RIVALS_MAX * 64)
    + WAITING_INPUTS_MAX * WAITING_INPUT_BYTES
    + RESIDENT_BYTES_MAX
    + UNKNOWN_VOTES_OF_ALL_MAX * UNKNOWN_VOTE_BYTES;

/// The chain as of its last applied block: what validity for a vote depends on.
#[derive(Clone, Copy)]
pub struct ChainView<'a> {
    /// Everything but the outputs.
    pub state: &'a LedgerState,
    /// The unspent outputs.
    pub utxos: &'a dyn UtxoReader,
}

/// A fact.
#[derive(Clone, Debug)]
pub enum Input {
    /// A transaction whose structure and signatures hold.
    TransactionReceived(CheckedTransaction),
    /// A body that [`Effect::LoadBody`] asked for, or that a restart found: this node's journal had it.
    BodyLoaded(CheckedTransaction),
    /// The executor has come to [`Effect::CarryOver`]: what the journal has of the bodies before it was handed in.
    CarriedOver,
    /// Time is up for these transactions, by the node's own policy.
    Expired(Vec<TxId>),
    /// A batch of votes of the current epoch, with its signature checked and its validator a member of the set; an own one
    /// once it is durable.
    BatchReceived(Released<VoteBatch>),
    /// A certificate of the current epoch with all of its signatures and paths checked.
    CertificateReceived(Released<Certificate>),
    /// The chain's next block was applied; the [`ChainView`] is as of that block.
    BlockApplied {
        /// Its transactions in order, without the reward.
        transactions: Vec<CheckedTransaction>,
    },
    /// From now on this node casts the votes of this operator key, or none.
    SignerChanged(Option<PublicKey>),
    /// Whether to cast nothing for now: this node has precommitted a block after which the epoch closes. What it voted
    /// before went ahead of that precommit, so the next block's proposer need not wait for more. The next applied block
    /// ends this by itself.
    VotesHeld(bool),
}

/// An order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Put this vote into the next batch. Before the batch leaves the node, body and sources are durable.
    CastVote {
        /// The vote.
        vote: FinalityVote,
        /// The transaction.
        transaction: CheckedTransaction,
        /// For `Final`: the votes that certify it.
        sources: Vec<VoteSource>,
    },
    /// All inputs of the transaction are locked to it here.
    InputsLocked(CheckedTransaction),
    /// A quorum of `Lock` votes is here.
    Certified(TxId),
    /// A quorum of `Final` votes and the body are here: its outputs can be spent.
    Finalized(CheckedTransaction),
    /// An input is locked to another transaction in this epoch.
    Conflicting {
        /// The transaction that can't be locked.
        transaction: CheckedTransaction,
        /// The one that holds the lock.
        locked_to: TxId,
    },
    /// An input is not known yet; the transaction waits for it.
    WaitingForInputs(TxId),
    /// The transaction can't become valid, or there is no room for it; it is forgotten.
    Dropped {
        /// The transaction.
        txid: TxId,
        /// Why.
        reason: DropReason,
    },
    /// Behind all votes that were cast before, journal that this epoch is closing.
    EnterClosing,
    /// The body was left to the journal; read it and hand it in as [`Input::BodyLoaded`] before the next effect.
    LoadBody(TxId),
    /// An epoch has begun, and the bodies that it takes over from the journal were named: say [`Input::CarriedOver`].
    CarryOver,
    /// A copy of a transaction is not signed by the owners of what it spends. Another one may be.
    BadCopy {
        /// The transaction.
        txid: TxId,
        /// What is wrong with the copy.
        error: TransactionError,
    },
    /// A member voted `Lock` for two transactions that share an input.
    ContradictionSeen {
        /// Its place in the set.
        member: usize,
        /// One of them; both bodies are here.
        first: TxId,
        /// The other one.
        second: TxId,
    },
}

/// Why a transaction is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// It breaks a rule.
    Invalid(TransactionError),
    /// A block has spent one of its inputs by another transaction.
    SpentBy(TxId),
    /// A conflicting transaction comes first at the epoch's start.
    WorseConflict,
    /// No room for more transactions that wait.
    NoRoom,
    /// It spends an output of this transaction, which was dropped for good.
    ParentDropped(TxId),
    /// It waited for an input until the epoch's end.
    EpochEnded,
    /// It was not certified in the time that this node gives.
    Expired,
}

impl DropReason {
    /// A stable name in snake_case.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::SpentBy(_) => "spent_by_another",
            Self::WorseConflict => "lost_conflict",
            Self::NoRoom => "no_room",
            Self::ParentDropped(_) => "parent_dropped",
            Self::EpochEnded => "inputs_never_came",
            Self::Expired => "expired",
        }
    }

    /// Whether no block can take the transaction any more, so that the same is true of what spends its outputs.
    #[must_use]
    pub const fn is_of_the_transaction(&self) -> bool {
        match self {
            Self::Invalid(_) | Self::SpentBy(_) | Self::ParentDropped(_) => true,
            Self::WorseConflict | Self::NoRoom | Self::EpochEnded | Self::Expired => false,
        }
    }
}
