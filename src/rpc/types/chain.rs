//! Headers, commits, the tip, and what is kept of outputs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{
    Amount, BlockHash, CommittedBlock, Epoch, Hash, Header, Height, MasternodeId, Round, RuleVersion,
    StateDigest, TimeMs, ValidatorSet,
};

/// `getblockheader`: a header's fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeaderInfo {
    /// The block's hash.
    pub hash: BlockHash,
    /// 1 at the tip.
    pub confirmations: u64,
    /// Its height.
    pub height: Height,
    /// The round of its first proposal.
    pub round: Round,
    /// Its epoch.
    pub epoch: Epoch,
    /// Whether it ends its epoch.
    pub epoch_end: bool,
    /// Its time.
    pub time: TimeMs,
    /// The block before it.
    #[serde(rename = "previousblockhash")]
    pub previous_block_hash: BlockHash,
    /// The block after it; absent at the tip.
    #[serde(rename = "nextblockhash", default, skip_serializing_if = "Option::is_none")]
    pub next_block_hash: Option<BlockHash>,
    /// Merkle root of the txids.
    #[serde(rename = "merkleroot")]
    pub merkle_root: Hash,
    /// Hash of the commit of the block before it.
    pub last_commit_root: Hash,
    /// Merkle root of the contradictions that it punishes.
    pub evidence_root: Hash,
    /// Merkle root of the last blocks of all ended epochs.
    pub epoch_ends_root: Hash,
    /// The state after it.
    pub state_digest: StateDigest,
    /// Hash of the set that votes on it.
    pub validators_hash: Hash,
    /// Hash of the set that votes on the next one.
    pub next_validators_hash: Hash,
    /// Who proposed it first.
    pub proposer: MasternodeId,
    /// The version of the rules that it keeps to.
    pub rules: RuleVersion,
    /// The newest version of the rules that its proposer's program knows.
    pub announced: RuleVersion,
    /// How many transactions the block holds.
    #[serde(rename = "nTx")]
    pub transaction_count: usize,
}

impl HeaderInfo {
    /// Describes a header of a block with so many transactions, under a chain of `best` blocks and before the block `next`.
    #[must_use]
    pub fn of(header: &Header, transaction_count: usize, (best, next): (Height, Option<BlockHash>)) -> Self {
        Self {
            hash: header.hash(),
            confirmations: best.saturating_sub(header.height).saturating_add(1),
            height: header.height,
            round: header.round,
            epoch: header.epoch,
            epoch_end: header.epoch_end,
            time: header.time,
            previous_block_hash: header.prev_hash,
            next_block_hash: next,
            merkle_root: header.tx_root,
            last_commit_root: header.last_commit_root,
            evidence_root: header.evidence_root,
            epoch_ends_root: header.epoch_ends_root,
            state_digest: header.state_digest,
            validators_hash: header.validators_hash,
            next_validators_hash: header.next_validators_hash,
            proposer: header.proposer,
            rules: header.rules,
            announced: header.announced,
            transaction_count,
        }
    }
}

/// `getcommit`: the precommits that committed a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommitInfo {
    /// The block's height.
    pub height: Height,
    /// Its hash.
    pub hash: BlockHash,
    /// Its epoch.
    pub epoch: Epoch,
    /// The round of the precommits.
    pub round: Round,
    /// What the signers weigh; absent while the index does not know the epoch's set.
    pub signed_weight: Option<u64>,
    /// What it takes; absent likewise.
    pub quorum: Option<u64>,
    /// Who signed, in the set's order.
    pub signers: Vec<CommitSigner>,
}

/// A member of [`CommitInfo`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommitSigner {
    /// Its place in the epoch's set.
    pub index: usize,
    /// Which masternode it is; absent while the index does not know the epoch's set.
    pub masternode: Option<MasternodeId>,
    /// Its precommit's signature, in hexadecimal.
    pub signature: String,
}

impl CommitInfo {
    /// Describes a block's commit, with names and weights where its epoch's set is given.
    #[must_use]
    pub fn of(committed: &CommittedBlock, set: Option<&ValidatorSet>) -> Self {
        let (header, commit) = (&committed.block.header, &committed.commit);
        let signers = commit.signers.iter().zip(&commit.signatures);
        Self {
            height: header.height,
            hash: header.hash(),
            epoch: header.epoch,
            round: commit.round,
            signed_weight: set.map(|set| commit.weight(set)),
            quorum: set.map(ValidatorSet::quorum),
            signers: signers
                .map(|(index, signature)| CommitSigner {
                    index,
                    masternode: set.and_then(|set| set.get(index)).map(|member| member.id),
                    signature: hex::encode(signature.0),
                })
                .collect(),
        }
    }
}

/// `waitfornewblock`, `waitforblockheight`: the tip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockTip {
    /// Its hash; the chain id's bytes before block 1.
    pub hash: BlockHash,
    /// Its height.
    pub height: Height,
}

/// `gettxoutsetinfo`: the unspent outputs of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputSetInfo {
    /// The last block that the index has.
    pub height: Height,
    /// How many outputs are unspent after it.
    #[serde(rename = "txouts")]
    pub outputs: u64,
    /// The chain's last block.
    #[serde(rename = "bestblock")]
    pub best_block: BlockHash,
    /// The digest of the state after the chain's last block, which covers all outputs.
    pub state_digest: StateDigest,
    /// The coins of all outputs after the chain's last block, in base units.
    pub total_amount: Amount,
    /// The same in TIME.
    pub total_amount_time: String,
}

/// `getindexinfo`: how far the index is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IndexInfo {
    /// Whether it has the chain's last block.
    pub synced: bool,
    /// The last block that it has.
    #[serde(rename = "best_block_height")]
    pub height: Height,
    /// The database that it is in, as `[storage] engine` names it.
    pub engine: String,
}
