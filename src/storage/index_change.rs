//! What a block does to the index, as whoever executed it says.
//!
//! # Place
//! `consensus/replay.rs` makes it; [`Index`](super::index::Index) applies it.

use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::protocol::masternodes::Receipt;
use crate::types::{
    Amount, BlockHash, Commit, Epoch, Hash, Header, Height, MasternodeId, OutPoint, Signature, TxId,
    UtxoEntry, Validator, ValidatorSet,
};

/// What the last block of an epoch ends and begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch that it ends.
    pub epoch: Epoch,
    /// Who votes in the next one.
    pub next_set: Arc<ValidatorSet>,
    /// The block's header and a commit of it: proofs need them when the block itself is pruned.
    pub head: Option<Box<(Header, Commit)>>,
}

/// Evidence that a block punished.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PunishedEvidence {
    /// The evidence's name.
    pub hash: Hash,
    /// Its kind, in snake_case.
    pub kind: String,
    /// Who is accused.
    pub masternode: MasternodeId,
    /// The epoch of the act.
    pub epoch: Epoch,
    /// The height of the act, if it has one.
    pub height: Option<Height>,
    /// The block that punished it.
    pub block_height: Height,
    /// What it burned of the collateral.
    pub burned: Amount,
}

/// What one block, or as height 0 the genesis document, does to the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexChange {
    /// The block's height; 0 for genesis.
    pub height: Height,
    /// The block; for genesis the chain id's bytes.
    pub block_hash: BlockHash,
    /// The encoded ledger state after it.
    pub state: Vec<u8>,
    /// Outputs it spends, with their entries and who spends them.
    pub spent: Vec<(OutPoint, UtxoEntry, TxId)>,
    /// Outputs it makes; those that it spends itself may be among them.
    pub created: Vec<(OutPoint, UtxoEntry)>,
    /// Outputs that it gives another value and leaves unspent.
    pub replaced: Vec<(OutPoint, UtxoEntry)>,
    /// Its transactions in order.
    pub transactions: Vec<TxId>,
    /// What became of those that speak of masternodes.
    pub receipts: Vec<Receipt>,
    /// If it is the last block of an epoch.
    pub epoch_end: Option<EpochEnd>,
    /// If it is the first block of an epoch: the one before, and the commit of its last block that this block contains.
    pub fuller: Option<Box<(Epoch, Commit)>>,
    /// What it punished.
    pub evidence: Vec<PunishedEvidence>,
}

/// Memory of a commit in bytes, about.
fn commit_bytes(commit: &Commit) -> usize {
    size_of::<Commit>() + commit.signatures.len() * size_of::<Signature>()
}

impl EpochEnd {
    fn size_bytes(&self) -> usize {
        let head = self.head.as_ref().map_or(0, |head| size_of::<Header>() + commit_bytes(&head.1));
        head + self.next_set.len() * size_of::<Validator>()
    }
}

impl IndexChange {
    /// Outputs and transactions that it writes of.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.spent.len().saturating_add(self.created.len()).saturating_add(self.transactions.len())
    }

    /// About how much memory it takes, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + self.state.len()
            + self.spent.len() * size_of::<(OutPoint, UtxoEntry, TxId)>()
            + (self.created.len() + self.replaced.len()) * size_of::<(OutPoint, UtxoEntry)>()
            + self.transactions.len() * size_of::<TxId>()
            + self.receipts.len() * size_of::<Receipt>()
            + self.epoch_end.as_ref().map_or(0, EpochEnd::size_bytes)
            + self.fuller.as_ref().map_or(0, |fuller| commit_bytes(&fuller.1))
            + self.evidence.len() * size_of::<PunishedEvidence>()
    }
}
