//! Blocks and their commits; headers are in `header.rs`.
//!
//! # Place
//! Data only; what makes a block valid is in `protocol/transition.rs`.
//!
//! A block travels in three shapes: a [`BlockBlueprint`] (header, last commit, txids) is what validators propose and
//! vote on, since everybody has the transactions already; a [`Block`] has the transactions; a [`CommittedBlock`] also
//! has its own commit, and is what the block log holds and what sync sends.

use std::sync::Arc;

use bincode::{Decode, Encode};

use super::codec::encode;
use super::evidence::{Evidence, evidence_root};
use super::hash::{BlockHash, ChainId, Domain, DomainHasher, Hash, TxId};
use super::header::Header;
use super::keys::{Signature, SignatureCheck};
use super::masternode::ValidatorSet;
use super::transaction::Transaction;
use super::vote::{VoteStep, block_vote_digest};
use super::{Epoch, Height, Round, merkle};

/// Which members of a set signed, one bit each in the set's order, lowest bit first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct SignerBitmap(Vec<u8>);

impl SignerBitmap {
    /// No signer among `members`.
    #[must_use]
    pub fn empty(members: usize) -> Self {
        Self(vec![0; members.div_ceil(8)])
    }

    /// Adds a signer; places outside the bitmap are ignored.
    pub fn set(&mut self, index: usize) {
        if let Some(byte) = self.0.get_mut(index >> 3) {
            *byte |= 1 << (index & 7);
        }
    }

    /// Whether this member signed.
    #[must_use]
    pub fn contains(&self, index: usize) -> bool {
        self.0.get(index >> 3).is_some_and(|byte| byte & (1 << (index & 7)) != 0)
    }

    /// The places of those who signed, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        (0..self.0.len().saturating_mul(8)).filter(|index| self.contains(*index))
    }

    /// Whether it has just the length that a set of `members` needs and no bit beyond them.
    #[must_use]
    pub fn fits(&self, members: usize) -> bool {
        self.0.len() == members.div_ceil(8) && self.iter().all(|index| index < members)
    }
}

/// The precommits that make a block final: of weight at least the quorum, for one block in one round.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct Commit {
    /// The block's height; 0 in the empty commit of block 1.
    pub height: Height,
    /// The round of the precommits.
    pub round: Round,
    /// The block.
    pub block_hash: BlockHash,
    /// Who signed.
    pub signers: SignerBitmap,
    /// Their signatures, in the order of the signers.
    pub signatures: Vec<Signature>,
}

impl Commit {
    /// What `last_commit_root` of the next header has to be.
    #[must_use]
    pub fn root(&self) -> Hash {
        Hash(DomainHasher::new(Domain::Commit).bytes(&encode(self)).finish())
    }

    /// The signatures that have to hold, or `None` when bitmap, set and signatures don't fit each other.
    #[must_use]
    pub fn signature_checks(
        &self,
        chain_id: &ChainId,
        epoch: Epoch,
        set: &ValidatorSet,
    ) -> Option<Vec<SignatureCheck>> {
        if !self.signers.fits(set.len()) || self.signers.iter().count() != self.signatures.len() {
            return None;
        }
        let (height, round) = (self.height, self.round);
        let value = Some(self.block_hash);
        let digest = block_vote_digest(chain_id, VoteStep::Precommit, epoch, height, round, value);
        let checks = self.signers.iter().zip(&self.signatures).filter_map(|(index, signature)| {
            let key = set.get(index)?.key;
            Some(SignatureCheck { key, digest, signature: *signature })
        });
        Some(checks.collect())
    }

    /// The weight of those who signed.
    #[must_use]
    pub fn weight(&self, set: &ValidatorSet) -> u64 {
        self.signers
            .iter()
            .filter_map(|index| set.get(index))
            .fold(0, |sum, member| sum.saturating_add(member.weight))
    }
}

/// A block by the names of its transactions: what is proposed and voted on.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct BlockBlueprint {
    /// The header.
    pub header: Header,
    /// The commit of the block before it, empty in block 1.
    pub last_commit: Commit,
    /// The transactions in their order, the epoch's reward last.
    pub txids: Vec<TxId>,
    /// Contradictions that this block punishes.
    pub evidence: Vec<Arc<Evidence>>,
}

/// The Merkle root of txids in their order.
#[must_use]
pub fn tx_root(txids: &[TxId]) -> Hash {
    merkle::root(txids.iter().map(|txid| txid.0.as_slice()))
}

impl BlockBlueprint {
    /// The txids without the reward, which is the last one of an epoch's last block.
    #[must_use]
    pub fn transfers(&self) -> &[TxId] {
        match self.txids.split_last() {
            Some((_, transfers)) if self.header.epoch_end => transfers,
            _ => &self.txids,
        }
    }

    /// Whether the roots in the header are those of commit, txids and evidence. Only then does the header's hash name
    /// it.
    #[must_use]
    pub fn is_bound_by_header(&self) -> bool {
        self.header.last_commit_root == self.last_commit.root()
            && self.header.tx_root == tx_root(&self.txids)
            && self.header.evidence_root == evidence_root(self.evidence.iter().map(Arc::as_ref))
    }
}

/// A block with its transactions.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// The commit of the block before it, empty in block 1.
    pub last_commit: Commit,
    /// The transactions in their order, the epoch's reward last.
    pub transactions: Vec<Arc<Transaction>>,
    /// Contradictions that this block punishes.
    pub evidence: Vec<Arc<Evidence>>,
}

impl Block {
    /// The block by the names of its transactions.
    #[must_use]
    pub fn blueprint(&self) -> BlockBlueprint {
        BlockBlueprint {
            header: self.header.clone(),
            last_commit: self.last_commit.clone(),
            txids: self.transactions.iter().map(|transaction| transaction.txid()).collect(),
            evidence: self.evidence.clone(),
        }
    }
}

/// A block with the commit that makes it final.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct CommittedBlock {
    /// The block.
    pub block: Block,
    /// Its own commit.
    pub commit: Commit,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{MasternodeId, RuleVersion, StateDigest};

    #[test]
    fn a_bitmap_has_one_form_for_its_set() {
        let mut bitmap = SignerBitmap::empty(9);
        bitmap.set(0);
        bitmap.set(8);
        bitmap.set(99);
        assert_eq!(bitmap.iter().collect::<Vec<_>>(), [0, 8]);
        assert!(bitmap.fits(9) && bitmap.fits(16) && !bitmap.fits(8) && !bitmap.fits(17));
        assert!(!SignerBitmap(vec![0b10]).fits(1), "a bit beyond the set");
    }

    #[test]
    fn a_blueprint_is_bound_by_its_header() {
        let mut blueprint = BlockBlueprint {
            header: Header {
                chain_id: ChainId::ZERO,
                height: 1,
                round: 0,
                epoch: 0,
                epoch_end: false,
                time: 1,
                prev_hash: BlockHash::ZERO,
                last_commit_root: Commit::default().root(),
                tx_root: tx_root(&[TxId([1; 32])]),
                evidence_root: evidence_root([]),
                epoch_ends_root: Hash::ZERO,
                state_digest: StateDigest::ZERO,
                validators_hash: Hash::ZERO,
                next_validators_hash: Hash::ZERO,
                proposer: MasternodeId::ZERO,
                rules: RuleVersion::FIRST,
                announced: RuleVersion::FIRST,
            },
            last_commit: Commit::default(),
            txids: vec![TxId([1; 32])],
            evidence: Vec::new(),
        };
        assert!(blueprint.is_bound_by_header());
        blueprint.txids.push(TxId([1; 32]));
        assert!(!blueprint.is_bound_by_header());
        blueprint.txids.pop();
        blueprint.last_commit.round = 1;
        assert!(!blueprint.is_bound_by_header());
    }
}
