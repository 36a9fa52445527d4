//! Votes of both layers, proposals and finality certificates.
//!
//! # Place
//! Data and what is signed of it; who may sign and what it counts for is in `protocol/`.
//!
//! # Invariants
//! - INV-TYPES-3 of [`super`]: every digest here covers the chain id.
//! - INV-VOTE-1: all precommits of one commit sign the same digest, so a commit stores signatures only.

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use super::hash::{BatchRoot, BlockHash, ChainId, Domain, DomainHasher, Hash, MasternodeId, TxId};
use super::keys::{PublicKey, SecretKey, Signature, SignatureCheck};
use super::merkle::{self, MerkleTree};
use super::{Epoch, Height, Round};

/// The two steps of the block layer that are voted on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub enum VoteStep {
    /// First vote of a round.
    Prevote,
    /// Second vote of a round.
    Precommit,
}

/// What a prevote or precommit signs.
#[must_use]
pub fn block_vote_digest(
    chain_id: &ChainId,
    step: VoteStep,
    epoch: Epoch,
    height: Height,
    round: Round,
    value: Option<BlockHash>,
) -> [u8; 32] {
    let domain = match step {
        VoteStep::Prevote => Domain::Prevote,
        VoteStep::Precommit => Domain::Precommit,
    };
    DomainHasher::new(domain)
        .bytes(&chain_id.0)
        .u64(epoch)
        .u64(height)
        .u32(round)
        .optional(value.as_ref().map(BlockHash::as_bytes))
        .finish()
}

/// A signed prevote or precommit.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct BlockVote {
    /// Which of the two.
    pub step: VoteStep,
    /// The chain's epoch at this height.
    pub epoch: Epoch,
    /// The height voted on.
    pub height: Height,
    /// The round voted in.
    pub round: Round,
    /// The block, or nil.
    pub value: Option<BlockHash>,
    /// Who votes.
    pub validator: MasternodeId,
    /// By the validator's operator key.
    pub signature: Signature,
}

impl BlockVote {
    /// What its signature signs.
    #[must_use]
    pub fn digest(&self, chain_id: &ChainId) -> [u8; 32] {
        block_vote_digest(chain_id, self.step, self.epoch, self.height, self.round, self.value)
    }

    /// The vote with its signature.
    #[must_use]
    pub fn signed(mut self, chain_id: &ChainId, secret: &SecretKey) -> Self {
        self.signature = secret.sign(&self.digest(chain_id));
        self
    }

    /// The signature that has to hold.
    #[must_use]
    pub fn signature_check(&self, chain_id: &ChainId, key: PublicKey) -> SignatureCheck {
        SignatureCheck { key, digest: self.digest(chain_id), signature: self.signature }
    }
}

/// What a proposal signs: where it stands, and its block's hash, which binds the rest of the block.
#[must_use]
pub fn proposal_digest(
    chain_id: &ChainId,
    (epoch, height, round): (Epoch, Height, Round),
    pol_round: Option<Round>,
    validator: &MasternodeId,
    block_hash: &BlockHash,
) -> [u8; 32] {
    let hasher = DomainHasher::new(Domain::Proposal).bytes(&chain_id.0).u64(epoch).u64(height).u32(round);
    let hasher = match pol_round {
        None => hasher.bytes(&[0]),
        Some(round) => hasher.bytes(&[1]).u32(round),
    };
    hasher.bytes(&validator.0).bytes(&block_hash.0).finish()
}

/// The two votes of the finality layer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum VoteKind {
    /// The transaction's inputs are locked to it; a quorum certifies it.
    Lock,
    /// The transaction is certified, and the epoch will not end without it; a quorum makes it final.
    Final,
}

impl VoteKind {
    const fn tag(self) -> u8 {
        match self {
            Self::Lock => 0,
            Self::Final => 1,
        }
    }
}

// One byte instead of the derive's four: millions of these are stored and sent.
impl Encode for VoteKind {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.tag().encode(encoder)
    }
}

impl<Context> Decode<Context> for VoteKind {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        match u8::decode(decoder)? {
            0 => Ok(Self::Lock),
            1 => Ok(Self::Final),
            _ => Err(DecodeError::Other("unknown kind of finality vote")),
        }
    }
}

bincode::impl_borrow_decode!(VoteKind);

/// One vote of a batch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct FinalityVote {
    /// Lock or Final.
    pub kind: VoteKind,
    /// The transaction.
    pub txid: TxId,
}

impl FinalityVote {
    fn leaf(&self) -> [u8; 33] {
        let mut leaf = [0; 33];
        let (kind, txid) = leaf.split_at_mut(1);
        kind.copy_from_slice(&[self.kind.tag()]);
        txid.copy_from_slice(&self.txid.0);
        leaf
    }
}

/// The signed head of a batch of finality votes: what a certificate keeps of it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct BatchHeader {
    /// The epoch whose set and keys it counts in.
    pub epoch: Epoch,
    /// Who votes.
    pub validator: MasternodeId,
    /// Counts the validator's batches of this epoch from 0 without gaps.
    pub seq: u64,
    /// How many votes the batch has.
    pub count: u32,
    /// Merkle root of the votes.
    pub votes_root: BatchRoot,
    /// By the validator's operator key.
    pub signature: Signature,
}

impl BatchHeader {
    /// What its signature signs.
    #[must_use]
    pub fn digest(&self, chain_id: &ChainId) -> [u8; 32] {
        DomainHasher::new(Domain::VoteBatch)
            .bytes(&chain_id.0)
            .u64(self.epoch)
            .bytes(&self.validator.0)
            .u64(self.seq)
            .u32(self.count)
            .bytes(&self.votes_root.0)
            .finish()
    }

    /// The signature that has to hold.
    #[must_use]
    pub fn signature_check(&self, chain_id: &ChainId, key: PublicKey) -> SignatureCheck {
        SignatureCheck { key, digest: self.digest(chain_id), signature: self.signature }
    }
}

/// What one validator had to say within a few milliseconds, signed once.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct VoteBatch {
    /// The signed head.
    pub header: BatchHeader,
    /// The votes, 1 to [`BATCH_VOTES_MAX`](super::limits::BATCH_VOTES_MAX).
    pub votes: Vec<FinalityVote>,
}

fn votes_root(votes: &[FinalityVote]) -> BatchRoot {
    let leaves: Vec<[u8; 33]> = votes.iter().map(FinalityVote::leaf).collect();
    BatchRoot(merkle::root(leaves.iter().map(<[u8; 33]>::as_slice)).0)
}

impl VoteBatch {
    /// Makes and signs a batch.
    #[must_use]
    pub fn signed(
        chain_id: &ChainId,
        epoch: Epoch,
        validator: MasternodeId,
        seq: u64,
        votes: Vec<FinalityVote>,
        secret: &SecretKey,
    ) -> Self {
        let count = u32::try_from(votes.len()).unwrap_or(u32::MAX);
        let votes_root = votes_root(&votes);
        let mut header =
            BatchHeader { epoch, validator, seq, count, votes_root, signature: Signature::EMPTY };
        header.signature = secret.sign(&header.digest(chain_id));
        Self { header, votes }
    }

    /// Whether count and root in the header are those of the votes.
    #[must_use]
    pub fn is_bound_by_header(&self) -> bool {
        u32::try_from(self.votes.len()) == Ok(self.header.count)
            && self.header.votes_root == votes_root(&self.votes)
    }

    /// The tree over its votes: hashes all of them.
    #[must_use]
    pub fn tree(&self) -> MerkleTree {
        let leaves: Vec<[u8; 33]> = self.votes.iter().map(FinalityVote::leaf).collect();
        MerkleTree::of(leaves.iter().map(<[u8; 33]>::as_slice))
    }

    /// The vote at `index` with its path to the signed root. Hashes all of its votes.
    #[must_use]
    pub fn prove(&self, index: usize) -> Option<CertificateVote> {
        self.prove_in(&self.tree(), index)
    }

    /// The same by a tree that was made before.
    #[must_use]
    pub fn prove_in(&self, tree: &MerkleTree, index: usize) -> Option<CertificateVote> {
        let (header, path) = (self.header.clone(), tree.path(index)?);
        Some(CertificateVote { header, index: u32::try_from(index).ok()?, path })
    }
}

/// One validator's vote with the proof that it is in a signed batch.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct CertificateVote {
    /// The signed head of the batch.
    pub header: BatchHeader,
    /// The vote's place in the batch.
    pub index: u32,
    /// Its siblings up to the root.
    pub path: Vec<Hash>,
}

impl CertificateVote {
    /// Whether the path leads from this vote to the root in the header. The signature is checked apart from this.
    #[must_use]
    pub fn proves(&self, vote: &FinalityVote) -> bool {
        self.first_index(vote).is_some()
    }

    /// The first place in the batch that this path proves for the vote, or `None` when the path does not lead to the root
    /// in the header. It differs from `index` only when the batch says the same thing several times.
    #[must_use]
    pub fn first_index(&self, vote: &FinalityVote) -> Option<u32> {
        let (index, count) = (usize::try_from(self.index).ok()?, usize::try_from(self.header.count).ok()?);
        let end = merkle::end_of_path(&vote.leaf(), index, count, &self.path)?;
        let leads_there = end.root.0 == self.header.votes_root.0;
        u32::try_from(end.first_index).ok().filter(|_| leads_there)
    }
}

/// Votes of one kind for one transaction in one epoch, of different validators; of weight at least the quorum they
/// certify it (Lock) or prove it final (Final).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Certificate {
    /// What the votes say.
    pub vote: FinalityVote,
    /// The epoch of all of them.
    pub epoch: Epoch,
    /// The votes.
    pub votes: Vec<CertificateVote>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(count: u8) -> (ChainId, SecretKey, VoteBatch) {
        let chain_id = ChainId([1; 32]);
        let secret = SecretKey::from_seed(&[1; 32]);
        let votes = (0..count).map(|i| FinalityVote { kind: VoteKind::Lock, txid: TxId([i; 32]) }).collect();
        let batch = VoteBatch::signed(&chain_id, 3, MasternodeId([9; 32]), 7, votes, &secret);
        (chain_id, secret, batch)
    }

    #[test]
    fn every_vote_of_a_batch_can_be_proved_and_no_other() {
        let (chain_id, secret, batch) = batch(5);
        assert!(batch.is_bound_by_header());
        assert!(batch.header.signature_check(&chain_id, secret.public()).holds());
        for (index, vote) in batch.votes.iter().enumerate() {
            let proof = batch.prove(index).unwrap();
            assert!(proof.proves(vote));
            assert!(!proof.proves(&FinalityVote { kind: VoteKind::Final, txid: vote.txid }));
        }
        assert!(batch.prove(5).is_none());
    }

    #[test]
    fn a_changed_batch_is_noticed() {
        let (chain_id, secret, batch) = batch(3);
        let mut changed = batch.clone();
        changed.votes[0].kind = VoteKind::Final;
        assert!(!changed.is_bound_by_header());
        type Change = fn(&mut BatchHeader);
        let changes: [Change; 5] = [
            |header| header.epoch += 1,
            |header| header.seq += 1,
            |header| header.count += 1,
            |header| header.validator.0[0] ^= 1,
            |header| header.votes_root.0[0] ^= 1,
        ];
        for change in changes {
            let mut header = batch.header.clone();
            change(&mut header);
            assert!(!header.signature_check(&chain_id, secret.public()).holds());
        }
    }

    /// Else votes would count here that can't be proved to anybody else, since a path needs the number of leaves.
    #[test]
    fn a_batch_with_another_number_of_votes_than_its_header_says_is_noticed() {
        let (_, _, batch) = batch(3);
        for count in [0, 2, 4, u32::MAX] {
            let mut changed = batch.clone();
            changed.header.count = count;
            assert!(!changed.is_bound_by_header(), "{count}");
        }
    }

    #[test]
    fn batches_and_proposals_are_bound_to_the_chain() {
        let (chain_id, secret, batch) = batch(3);
        let holds = |chain_id| batch.header.signature_check(chain_id, secret.public()).holds();
        assert!(holds(&chain_id) && !holds(&ChainId([2; 32])));
        let digest = |chain: u8| {
            let chain_id = ChainId([chain; 32]);
            proposal_digest(&chain_id, (1, 1, 1), None, &MasternodeId([9; 32]), &BlockHash::ZERO)
        };
        assert_ne!(digest(1), digest(2));
    }

    #[test]
    fn block_votes_of_other_step_height_round_epoch_value_and_chain_differ() {
        let digest = |chain: u8, step, epoch, height, round, value| {
            block_vote_digest(&ChainId([chain; 32]), step, epoch, height, round, value)
        };
        let base = digest(1, VoteStep::Prevote, 1, 1, 1, None);
        for other in [
            digest(2, VoteStep::Prevote, 1, 1, 1, None),
            digest(1, VoteStep::Precommit, 1, 1, 1, None),
            digest(1, VoteStep::Prevote, 2, 1, 1, None),
            digest(1, VoteStep::Prevote, 1, 2, 1, None),
            digest(1, VoteStep::Prevote, 1, 1, 2, None),
            digest(1, VoteStep::Prevote, 1, 1, 1, Some(BlockHash::ZERO)),
        ] {
            assert_ne!(base, other);
        }
    }
}
