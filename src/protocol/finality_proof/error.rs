//! Why a finality proof proves nothing.
//!
//! # Place
//! One variant for each rule that [`verify`](super::verify()) and [`FinalityProof::from_bytes`](super::FinalityProof::from_bytes)
//! hold.

use crate::protocol::commit::CommitError;
use crate::types::codec::CodecError;
use crate::types::genesis::GenesisError;
use crate::types::limits::FINALITY_PROOF_BYTES_MAX;
use crate::types::{ChainId, Checkpoint, Epoch, Hash, Height, MasternodeId, TimeMs, TxId};

/// Why a finality proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FinalityProofError {
    /// More bytes than a proof may have.
    #[error("{length} bytes exceed the limit of {FINALITY_PROOF_BYTES_MAX} for a proof")]
    TooLarge {
        /// Length of the encoding.
        length: usize,
    },
    /// It does not begin as a proof does.
    #[error("these bytes are no finality proof")]
    NotAProof,
    /// A proof of other rules than this program knows.
    #[error("version {version} of the proof's format is not known here")]
    UnknownVersion {
        /// The version.
        version: u16,
    },
    /// The bytes after the version are no proof.
    #[error(transparent)]
    Malformed(#[from] CodecError),
    /// The bytes are not the one encoding of what they say.
    #[error("the encoding is not the canonical one")]
    NotCanonical,
    /// The genesis document breaks a rule.
    #[error("the genesis document: {0}")]
    Genesis(#[from] GenesisError),
    /// A proof or a header of another network than the genesis document's.
    #[error("it belongs to chain {found}; the genesis document starts {expected}")]
    ForeignChain {
        /// The genesis document's.
        expected: ChainId,
        /// The one named.
        found: ChainId,
    },
    /// It starts from a block that the verifier did not name.
    #[error("it starts from block {found}, which has to be known to be of the chain by other means")]
    NotTrusted {
        /// The block.
        found: Checkpoint,
    },
    /// It starts from the genesis document, and the verifier named a block to start from.
    #[error("it starts from the genesis document, and not from block {named}")]
    NotFromTrusted {
        /// The block that was named.
        named: Checkpoint,
    },
    /// The trusted block's header does not commit to an epoch's end that is given.
    #[error("block {height} is none of those to which the trusted block commits as ends of earlier epochs")]
    NotInHistory {
        /// The block.
        height: Height,
    },
    /// A link leads on from an epoch's end before the trusted block, which would do for it.
    #[error("a link to block {height} leads on from epoch {epoch}, which ended before the trusted block")]
    LinkFromPast {
        /// The epoch.
        epoch: Epoch,
        /// The link's block.
        height: Height,
    },
    /// A set without members, or with more than the chain's parameters allow.
    #[error("a set that is given with block {height} has {members} members; it may have 1 to {max}")]
    SetSize {
        /// The link's block.
        height: Height,
        /// Members given.
        members: usize,
        /// Members, at most.
        max: u32,
    },
    /// A proof about an epoch's end that names none.
    #[error("the proof has no link, and its anchor names no past epoch: it proves no block")]
    NoEnd,
    /// More votes than any set has members.
    #[error("{votes} votes are more than the {max} that a set has members")]
    TooManyVotes {
        /// Votes given.
        votes: usize,
        /// Members of a set, at most.
        max: u32,
    },
    /// A block is not of the epoch that the links lead to: one is missing or spare.
    #[error("a block of epoch {found} stands where one of epoch {expected} is needed")]
    WrongEpoch {
        /// The epoch that follows the links.
        expected: Epoch,
        /// The header's.
        found: Epoch,
    },
    /// Epochs don't ascend: a link is of an epoch before that of the trusted set.
    #[error("a link of epoch {found} stands where the set of epoch {least} is trusted")]
    EpochTooLow {
        /// The epoch of the trusted set.
        least: Epoch,
        /// The header's.
        found: Epoch,
    },
    /// A link's header does not end its epoch.
    #[error("block {height} is given as the last one of epoch {epoch}, and is not")]
    NotEpochEnd {
        /// The epoch.
        epoch: Epoch,
        /// The block.
        height: Height,
    },
    /// Heights don't ascend as an epoch's blocks make them: an epoch has two blocks at least.
    #[error("block {found} is given where block {least} is the first that can be")]
    HeightTooLow {
        /// The lowest height that can be.
        least: Height,
        /// The header's.
        found: Height,
    },
    /// Times don't ascend.
    #[error("block {height} has the time {found} ms, which is not later than {before} ms before it")]
    TimeTooLow {
        /// The block.
        height: Height,
        /// The time of what comes before it, in milliseconds.
        before: TimeMs,
        /// The header's.
        found: TimeMs,
    },
    /// A header names another set than the one that votes in its epoch.
    #[error("block {height} was voted on by set {found}, not by {expected}")]
    WrongValidatorsHash {
        /// The block.
        height: Height,
        /// The hash of the set of its epoch.
        expected: Hash,
        /// The header's.
        found: Hash,
    },
    /// A header names a set that the verifier does not have, and the proof does not give it.
    #[error("block {height} names a set that the proof does not give")]
    SetMissing {
        /// The link's block.
        height: Height,
    },
    /// A set is given that the verifier has.
    #[error("a set is given with block {height} that is the one before it again")]
    SetRepeated {
        /// The link's block.
        height: Height,
    },
    /// A set is not given in its one form, or fits no set before it.
    #[error("a set is given with block {height} in another form than its one")]
    SetNotCanonical {
        /// The link's block.
        height: Height,
    },
    /// The set given is not the one that the header names.
    #[error("the set given with block {height} is {found}, not {expected}")]
    WrongSet {
        /// The link's block.
        height: Height,
        /// The hash in the header.
        expected: Hash,
        /// The hash of the members.
        found: Hash,
    },
    /// A masternode or a key stands in a given set twice.
    #[error("a masternode or a key stands twice in the set given with block {height}")]
    SetNotDistinct {
        /// The link's block.
        height: Height,
    },
    /// Those who signed are no quorum of the trusted set.
    #[error(
        "the signers of block {height} weigh {weight} in the set that is trusted, less than its quorum of {quorum}"
    )]
    TrustedTooLight {
        /// The block.
        height: Height,
        /// Their weight by the keys and weights of the trusted set.
        weight: u64,
        /// What it takes.
        quorum: u64,
    },
    /// The set that was trusted before the link before would do for this one.
    #[error("the link before block {height} is spare: the set that was trusted before it reaches this block")]
    SpareLink {
        /// The block of the link after the spare one.
        height: Height,
    },
    /// A commit does not prove its block.
    #[error("the commit of block {height}: {error}")]
    Commit {
        /// The block.
        height: Height,
        /// Which rule of commits is broken.
        error: CommitError,
    },
    /// The others reach the same quorums without this signer.
    #[error("the commit of block {height} has {validator} to spare")]
    SpareSigner {
        /// The block.
        height: Height,
        /// Who could be left out.
        validator: MasternodeId,
    },
    /// More transactions than a block may have, or a place outside of them.
    #[error("place {index} among {count} transactions can't be; a block has at most {max}")]
    NoSuchPlace {
        /// The place given.
        index: u32,
        /// The number given.
        count: u32,
        /// Transactions of a block, at most.
        max: u64,
    },
    /// The path does not lead from the transaction to the block's header.
    #[error("block {height} does not contain {txid} as the proof says")]
    NotIncluded {
        /// The block.
        height: Height,
        /// The transaction.
        txid: TxId,
    },
    /// Another place fits the same path.
    #[error("the transaction's place in block {height} is not given in its one form")]
    PlaceNotFirst {
        /// The block.
        height: Height,
    },
    /// A vote of another epoch than the links lead to: a link is missing or spare.
    #[error("a vote of epoch {found} stands where one of epoch {expected} is needed")]
    WrongVoteEpoch {
        /// The epoch that follows the links.
        expected: Epoch,
        /// The vote's.
        found: Epoch,
    },
    /// A vote of nobody in the set.
    #[error("{validator} is no member of the set that votes")]
    UnknownVoter {
        /// Who voted.
        validator: MasternodeId,
    },
    /// Votes are not in the set's order, or one is given twice.
    #[error("the vote of {validator} is out of order or given twice")]
    VoteOrder {
        /// Who voted.
        validator: MasternodeId,
    },
    /// The path does not lead from the vote to the header of its batch.
    #[error("{validator} did not vote for the transaction in the batch that is given")]
    NotTheVote {
        /// Who should have voted.
        validator: MasternodeId,
    },
    /// The batch says the same several times, and this is not the first.
    #[error("the place of {validator}'s vote in its batch is not given in its one form")]
    VoteNotFirst {
        /// Who voted.
        validator: MasternodeId,
    },
    /// The votes are no quorum.
    #[error("the votes weigh {weight}, less than the quorum of {quorum}")]
    VotesTooLight {
        /// Their weight.
        weight: u64,
        /// What it takes.
        quorum: u64,
    },
    /// The votes are a quorum without the lightest of them.
    #[error("the votes weigh {weight}: one of {lightest} is spare, {quorum} is enough")]
    SpareVote {
        /// Their weight.
        weight: u64,
        /// The weight of the lightest.
        lightest: u64,
        /// What it takes.
        quorum: u64,
    },
    /// The signature of a batch does not hold.
    #[error("the signature of {validator}'s votes does not hold")]
    BadVoteSignature {
        /// Whose it should be.
        validator: MasternodeId,
    },
}

impl FinalityProofError {
    /// The rule's stable name, for programs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "proof_too_large",
            Self::NotAProof => "not_a_proof",
            Self::UnknownVersion { .. } => "unknown_proof_version",
            Self::Malformed(_) => "malformed_proof",
            Self::NotCanonical => "proof_not_canonical",
            Self::Genesis(_) => "invalid_genesis",
            Self::ForeignChain { .. } => "foreign_chain",
            Self::NotTrusted { .. } => "not_trusted",
            Self::NotFromTrusted { .. } => "not_from_trusted",
            Self::NotInHistory { .. } => "not_in_history",
            Self::LinkFromPast { .. } => "link_from_past",
            Self::SetSize { .. } => "set_size",
            Self::NoEnd => "no_end",
            Self::TooManyVotes { .. } => "too_many_votes",
            Self::WrongEpoch { .. } => "wrong_epoch",
            Self::EpochTooLow { .. } => "epoch_too_low",
            Self::NotEpochEnd { .. } => "not_epoch_end",
            Self::HeightTooLow { .. } => "height_too_low",
            Self::TimeTooLow { .. } => "time_too_low",
            Self::WrongValidatorsHash { .. } => "wrong_validators_hash",
            Self::SetMissing { .. } => "set_missing",
            Self::SetRepeated { .. } => "set_repeated",
            Self::SetNotCanonical { .. } => "set_not_canonical",
            Self::WrongSet { .. } => "wrong_set",
            Self::SetNotDistinct { .. } => "set_not_distinct",
            Self::TrustedTooLight { .. } => "trusted_too_light",
            Self::SpareLink { .. } => "spare_link",
            Self::Commit { error, .. } => match error {
                CommitError::BadSignature { .. } => "bad_commit_signature",
                CommitError::TooLight { .. } => "commit_too_light",
                CommitError::Misshapen { .. }
                | CommitError::NotEmpty
                | CommitError::WrongHeight { .. }
                | CommitError::WrongBlock { .. } => "malformed_commit",
            },
            Self::SpareSigner { .. } => "spare_signer",
            Self::NoSuchPlace { .. } => "no_such_place",
            Self::NotIncluded { .. } => "not_included",
            Self::PlaceNotFirst { .. } => "place_not_first",
            Self::WrongVoteEpoch { .. } => "wrong_vote_epoch",
            Self::UnknownVoter { .. } => "unknown_voter",
            Self::VoteOrder { .. } => "vote_order",
            Self::NotTheVote { .. } => "not_the_vote",
            Self::VoteNotFirst { .. } => "vote_not_first",
            Self::VotesTooLight { .. } => "votes_too_light",
            Self::SpareVote { .. } => "spare_vote",
            Self::BadVoteSignature { .. } => "bad_vote_signature",
        }
    }
}
