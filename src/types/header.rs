//! The headers of blocks.
//!
//! # Place
//! Data only; what a header has to say is in `protocol/transition.rs`.

use bincode::{Decode, Encode};

use super::codec::encode;
use super::hash::{BlockHash, ChainId, Domain, DomainHasher, Hash, MasternodeId, StateDigest};
use super::rules::RuleVersion;
use super::{Epoch, Height, Round, TimeMs};

/// What a block says about itself; its hash names the block.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Header {
    /// The network.
    pub chain_id: ChainId,
    /// From 1.
    pub height: Height,
    /// The round of the block's first proposal.
    pub round: Round,
    /// The epoch it belongs to.
    pub epoch: Epoch,
    /// Whether it is the last block of its epoch.
    pub epoch_end: bool,
    /// Later than the previous block's.
    pub time: TimeMs,
    /// The previous block; for block 1 the chain id's bytes.
    pub prev_hash: BlockHash,
    /// Binds the commit of the previous block.
    pub last_commit_root: Hash,
    /// Merkle root of the txids in their order.
    pub tx_root: Hash,
    /// Merkle root of the evidence.
    pub evidence_root: Hash,
    /// Merkle root of the names of the last blocks of all ended epochs, in their order: who trusts this header needs a
    /// path of hashes to trust any of them.
    pub epoch_ends_root: Hash,
    /// The state after this block.
    pub state_digest: StateDigest,
    /// The set that votes on this block.
    pub validators_hash: Hash,
    /// The set that votes on the next block.
    pub next_validators_hash: Hash,
    /// Who proposed it first.
    pub proposer: MasternodeId,
    /// The version of the rules that the block keeps to.
    pub rules: RuleVersion,
    /// The newest version that its proposer's program knows.
    pub announced: RuleVersion,
}

impl Header {
    /// The block's name.
    #[must_use]
    pub fn hash(&self) -> BlockHash {
        BlockHash(DomainHasher::new(Domain::Block).bytes(&encode(self)).finish())
    }
}
