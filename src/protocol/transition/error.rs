//! Why a block is invalid.
//!
//! # Place
//! Part of the state transition; one variant for each rule that it holds.

use crate::protocol::commit::CommitError;
use crate::protocol::evidence::EvidenceError;
use crate::protocol::validity::TransactionError;
use crate::types::limits::EVIDENCE_BYTES_MAX;
use crate::types::{
    BlockHash, ChainId, Epoch, Hash, Height, MasternodeId, Round, RuleVersion, StateDigest, TimeMs, TxId,
};

/// Why a block is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// A block of another network.
    #[error("the block belongs to chain {found}, not to {expected}")]
    ForeignChain {
        /// Ours.
        expected: ChainId,
        /// The header's.
        found: ChainId,
    },
    /// Not the height after the tip's.
    #[error("the block is at height {found}, the next one is {expected}")]
    WrongHeight {
        /// The tip's plus one.
        expected: Height,
        /// The header's.
        found: Height,
    },
    /// Not a child of the tip.
    #[error("the block follows {found}, the tip is {expected}")]
    WrongParent {
        /// The tip.
        expected: BlockHash,
        /// The header's.
        found: BlockHash,
    },
    /// Not the epoch that the chain is in.
    #[error("the block is of epoch {found}, the next one is of {expected}")]
    WrongEpoch {
        /// The chain's.
        expected: Epoch,
        /// The header's.
        found: Epoch,
    },
    /// Not the rules that are in force.
    #[error("the block keeps to rules {found}, those in force are {expected}")]
    WrongRules {
        /// The chain's.
        expected: RuleVersion,
        /// The header's.
        found: RuleVersion,
    },
    /// Nobody proposes by rules that he does not know.
    #[error("the proposer knows rules up to {found}, those in force are {in_force}")]
    AnnouncesLess {
        /// The chain's.
        in_force: RuleVersion,
        /// What the header announces.
        found: RuleVersion,
    },
    /// Not later than its parent.
    #[error("the block's time {found} is not after its parent's {previous}")]
    TimeNotLater {
        /// The parent's, in milliseconds.
        previous: TimeMs,
        /// The header's, in milliseconds.
        found: TimeMs,
    },
    /// Not the round's proposer.
    #[error("round {round} belongs to masternode {expected}, not to {found}")]
    WrongProposer {
        /// The header's round.
        round: Round,
        /// Whose turn it is.
        expected: MasternodeId,
        /// The header's.
        found: MasternodeId,
    },
    /// The header does not bind this last commit.
    #[error("last_commit_root is not that of the last commit")]
    WrongLastCommitRoot,
    /// The header does not bind these txids.
    #[error("tx_root is not that of the transactions")]
    WrongTxRoot,
    /// The header does not bind this evidence.
    #[error("evidence_root is not that of the block's evidence")]
    WrongEvidenceRoot,
    /// Evidence that does not hold, or speaks twice of one masternode.
    #[error("evidence {index}: {error}")]
    Evidence {
        /// Its place, from 0.
        index: usize,
        /// What is wrong with it.
        error: EvidenceError,
    },
    /// More bytes of evidence than a block may have.
    #[error("evidence of {bytes} bytes exceeds the {EVIDENCE_BYTES_MAX} of a block")]
    TooMuchEvidence {
        /// The encoded sizes' sum.
        bytes: usize,
    },
    /// The header names other last blocks of ended epochs.
    #[error("epoch_ends_root is {found}, that of the ended epochs is {expected}")]
    WrongEpochEndsRoot {
        /// That of the epochs that ended below the block.
        expected: Hash,
        /// The header's.
        found: Hash,
    },
    /// Another set than the one that votes on this block.
    #[error("validators_hash is {found}, the set is {expected}")]
    WrongValidatorsHash {
        /// The set's.
        expected: Hash,
        /// The header's.
        found: Hash,
    },
    /// Another set than the one that votes on the next block.
    #[error("next_validators_hash is {found}, the next set is {expected}")]
    WrongNextValidatorsHash {
        /// The next set's.
        expected: Hash,
        /// The header's.
        found: Hash,
    },
    /// The header states another state than execution gives.
    #[error("state_digest is {found}, execution gives {expected}")]
    WrongStateDigest {
        /// What execution gives.
        expected: StateDigest,
        /// The header's.
        found: StateDigest,
    },
    /// The commit of the parent does not hold.
    #[error("last commit: {0}")]
    LastCommit(#[from] CommitError),
    /// The transactions given are not those that the txids name.
    #[error("place {index} of the block names another transaction than the one given")]
    WrongTransaction {
        /// The place, from 0.
        index: usize,
    },
    /// There are more or fewer txids than transactions and the reward.
    #[error("the block names {named} transactions, {expected} belong in it (the reward included)")]
    WrongTransactionCount {
        /// What it should name.
        expected: usize,
        /// What it names.
        named: usize,
    },
    /// The last transaction is not the epoch's reward.
    #[error("the epoch's reward is transaction {expected}, the block has another")]
    WrongReward {
        /// What the rule gives.
        expected: TxId,
    },
    /// A transaction is invalid at its place.
    #[error("transaction {index} ({txid}): {error}")]
    Transaction {
        /// Its place, from 0.
        index: usize,
        /// Its name.
        txid: TxId,
        /// What is wrong with it.
        error: TransactionError,
    },
    /// More bytes than a block may have.
    #[error("transactions of {bytes} bytes exceed the {max} that a block has for them")]
    TooManyBytes {
        /// Their encoded sizes' sum.
        bytes: u64,
        /// What the limit leaves after the reward's reserve.
        max: u64,
    },
    /// More transactions than a block may have.
    #[error("{count} transactions are more than the {max} that a block has places for")]
    TooManyTransactions {
        /// How many there are without the reward.
        count: u64,
        /// What the limit leaves after the reward's place.
        max: u64,
    },
    /// `epoch_end` in an ordinary block.
    #[error("the block ends its epoch before the epoch is closing")]
    EarlyEpochEnd,
    /// A closing block with room left that does not end its epoch.
    #[error("a closing block without epoch_end must be full")]
    ClosingNotFull,
    /// More or fewer recorded inputs than the block spends: the log is damaged.
    #[error("the block spends {spent} recorded outputs, {recorded} are recorded; rebuild the data directory")]
    RecordedInputs {
        /// How many the block spends.
        spent: usize,
        /// How many are recorded.
        recorded: usize,
    },
    /// The state contradicts itself: what should be impossible.
    #[error("the ledger state is inconsistent: {what}; rebuild the data directory")]
    InconsistentState {
        /// What does not fit.
        what: &'static str,
    },
}

impl BlockError {
    /// Whether another copy of the same block may be valid, because only its witnesses are bad or other transactions
    /// than the named ones came with it: blame who sent it, and fetch it elsewhere.
    #[must_use]
    pub const fn is_of_this_copy_only(&self) -> bool {
        match self {
            Self::Transaction { error, .. } => error.is_of_this_copy_only(),
            Self::WrongLastCommitRoot
            | Self::WrongTxRoot
            | Self::WrongEvidenceRoot
            | Self::WrongTransaction { .. } => true,
            _ => false,
        }
    }
}
