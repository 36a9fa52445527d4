//! Finality proofs: what convinces somebody who has nothing but the genesis document that a transaction is final.
//!
//! # Place
//! Floor 2, pure. A node builds proofs from its block log and its finality machine ([`EpochLink::new`],
//! [`Ending::voted`], [`Ending::included`]); `timed verify-proof` and RPC check them with [`verify()`]. Everything in a
//! proof comes from a stranger.
//!
//! # What a proof states
//! It names a chain and a transaction, not the transaction's body: a txid binds all of a transaction but its witnesses,
//! so whoever has the body compares `txid()` of it. The statement is one of two, by the proof's [`Ending`]:
//!
//! - *voted*: a quorum of epoch `e`'s validators voted `Final` for the transaction. No transaction that spends one of its
//!   inputs ever becomes final or enters the chain, and it is itself in the chain by the end of epoch `e`.
//! - *included*: block `h` of epoch `e`, with its hash and time, is in the chain and contains the transaction.
//!
//! # How
//! The genesis document names the set of epoch 0. Each link is the header of an epoch's last block with the commit of
//! that epoch's set; the header binds the set of the next epoch. So the links of epochs `0..e` lead to the set of epoch
//! `e`, and its signatures carry the ending. Nothing of it depends on a clock or on the node that made the proof.
//!
//! # Under which assumption
//! In each of the sets of epochs `0..=e`, validators with less than a third of the weight are faulty; a quorum then has
//! an honest member, and that one signed nothing but its own chain. A key counts as faulty if anybody misuses it, however
//! late: two thirds of an old set's keys, sold after their owners left, could sign another past. A verifier that knows a
//! later block by other means compares it with the chain it comes from, as a node that was away for longer than
//! `unbonding_time` asks for a checkpoint.
//!
//! # Size
//! In bytes of the encoding; the text is base64, a third more. Validators of equal weight, no change of the set, votes in
//! batches of 100, blocks of 1,000 transactions:
//!
//! | validators | epochs before | voted | included |
//! |---|---|---|---|
//! | 4 | 0 | 1,258 | 996 |
//! | 4 | 1 | 1,821 | 1,559 |
//! | 4 | 24 | 14,770 | 14,508 |
//! | 100 | 0 | 25,834 | 5,104 |
//! | 100 | 1 | 30,505 | 9,775 |
//! | 100 | 24 | 137,938 | 117,208 |
//!
//! An epoch adds 563 bytes with 4 validators and 4,671 with 100; one after which the set changes adds 72 bytes for each
//! member of the next set. [`FINALITY_PROOF_BYTES_MAX`] is reached after some 2,700 epochs of 100 validators.
//!
//! # Invariants
//! - INV-PROOF-1: every byte of an accepted proof counts. Each is bound by a signature or a hash, or a rule fixes it:
//!   no spare link, set, signer, vote, path or byte, lists in the set's order, one encoding. So whoever changes a proof
//!   without a validator's key has one that is refused. Different quorums and other signatures by the signers themselves
//!   are other proofs of the same.
//! - INV-PROOF-2: bounds come before work, structure before signatures, and signatures link by link: a forged link costs
//!   its verifier no more than the genuine links before it.

mod error;
#[cfg(test)]
mod tests;
mod verify;

use std::cmp::Reverse;

use bincode::{Decode, Encode};

pub use error::FinalityProofError;
pub use verify::{ProvedFinality, ProvedInclusion, verify, verify_with};

use crate::types::codec::{decode, encode};
use crate::types::limits::FINALITY_PROOF_BYTES_MAX;
use crate::types::{
    Block, CertificateVote, ChainId, Commit, Epoch, FinalityVote, Hash, Header, Round, Signature,
    SignerBitmap, TxId, Validator, ValidatorSet, VoteKind, merkle,
};

/// What the encoding of a proof begins with, before its version.
const FORMAT: &[u8] = b"timed/finality-proof";
/// The only version there is. It also stands for the rules by which a proof is checked.
pub const FINALITY_PROOF_VERSION: u16 = 1;

/// The precommits of a quorum for one block, and no more than it takes. Height and block are those of the header that
/// it stands beside.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct QuorumCommit {
    round: Round,
    signers: SignerBitmap,
    signatures: Vec<Signature>,
}

/// How an epoch ended, and who votes in the next one.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct EpochLink {
    header: Header,
    commit: QuorumCommit,
    /// The members of the next epoch's set, if it is not the same again.
    next_set: Option<Vec<Validator>>,
}

/// A committed block and the way from the transaction to its header.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Inclusion {
    header: Header,
    commit: QuorumCommit,
    /// The transaction's place in the block.
    index: u32,
    /// Transactions of the block.
    count: u32,
    /// The siblings up to the header's `tx_root`.
    path: Vec<Hash>,
}

/// What the set that the links lead to says of the transaction.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Ending {
    /// `Final` votes of a quorum, in the set's order, and no more than it takes.
    Voted(Vec<CertificateVote>),
    /// A block that contains it.
    Included(Box<Inclusion>),
}

/// A proof that a transaction is final. See the module for what it states.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct FinalityProof {
    chain_id: ChainId,
    txid: TxId,
    /// Of epochs 0, 1, 2 and so on, up to the one before the ending's.
    links: Vec<EpochLink>,
    ending: Ending,
}

/// The heaviest that reach the quorum, ties by the set's order; their places ascend. `None` if all together don't.
fn quorum_of(places: impl Iterator<Item = usize>, set: &ValidatorSet) -> Option<Vec<usize>> {
    let mut candidates: Vec<(Reverse<u64>, usize)> =
        places.filter_map(|place| Some((Reverse(set.get(place)?.weight), place))).collect();
    candidates.sort_unstable();
    candidates.dedup();
    let (quorum, mut weight) = (set.quorum(), 0_u64);
    let mut chosen = Vec::new();
    for (Reverse(member_weight), place) in candidates {
        if weight >= quorum {
            break;
        }
        weight = weight.saturating_add(member_weight);
        chosen.push(place);
    }
    chosen.sort_unstable();
    (weight >= quorum).then_some(chosen)
}

impl QuorumCommit {
    /// The part of a commit that it takes; `None` if the commit does not fit the set or is too light.
    fn of(commit: &Commit, set: &ValidatorSet) -> Option<Self> {
        if !commit.signers.fits(set.len()) || commit.signers.iter().count() != commit.signatures.len() {
            return None;
        }
        let chosen = quorum_of(commit.signers.iter(), set)?;
        let mut signers = SignerBitmap::empty(set.len());
        chosen.iter().for_each(|place| signers.set(*place));
        let signed = commit.signers.iter().zip(&commit.signatures);
        let signatures =
            signed.filter(|(place, _)| signers.contains(*place)).map(|(_, signature)| *signature);
        Some(Self { round: commit.round, signatures: signatures.collect(), signers })
    }
}

impl EpochLink {
    /// The link of an epoch whose last block has this header and this commit by the epoch's `set`. `None` if they don't
    /// fit each other: what is handed in is no part of one chain.
    #[must_use]
    pub fn new(header: &Header, commit: &Commit, set: &ValidatorSet, next: &ValidatorSet) -> Option<Self> {
        let is_last = header.epoch_end && header.next_validators_hash == next.hash();
        if !is_last || !is_of(commit, header) || header.validators_hash != set.hash() {
            return None;
        }
        let commit = QuorumCommit::of(commit, set)?;
        let next_set = (next != set).then(|| next.members().to_vec());
        Some(Self { header: header.clone(), commit, next_set })
    }
}

fn is_of(commit: &Commit, header: &Header) -> bool {
    commit.height == header.height && commit.block_hash == header.hash()
}

impl Ending {
    /// What `Final` votes of an epoch say; `None` unless they weigh a quorum of its `set`. Votes for something else and
    /// repeated ones are left out.
    #[must_use]
    pub fn voted(
        txid: TxId,
        epoch: Epoch,
        votes: impl IntoIterator<Item = CertificateVote>,
        set: &ValidatorSet,
    ) -> Option<Self> {
        let vote = FinalityVote { kind: VoteKind::Final, txid };
        let place_of = |mut proof: CertificateVote| {
            proof.index = proof.first_index(&vote)?;
            let place = set.index_of(&proof.header.validator)?;
            (proof.header.epoch == epoch).then_some((place, proof))
        };
        let mut placed: Vec<(usize, CertificateVote)> = votes.into_iter().filter_map(place_of).collect();
        placed.sort_by_key(|(place, _)| *place);
        placed.dedup_by_key(|(place, _)| *place);
        let chosen = quorum_of(placed.iter().map(|(place, _)| *place), set)?;
        placed.retain(|(place, _)| chosen.binary_search(place).is_ok());
        Some(Self::Voted(placed.into_iter().map(|(_, proof)| proof).collect()))
    }

    /// What a block says that contains the transaction and that its epoch's `set` committed; `None` if it does not, or if
    /// they don't fit each other.
    #[must_use]
    pub fn included(txid: TxId, block: &Block, commit: &Commit, set: &ValidatorSet) -> Option<Self> {
        let header = &block.header;
        if !is_of(commit, header) || header.validators_hash != set.hash() {
            return None;
        }
        let txids: Vec<TxId> = block.transactions.iter().map(|transaction| transaction.txid()).collect();
        let index = txids.iter().position(|other| *other == txid)?;
        let path = merkle::path(txids.iter().map(|txid| txid.0.as_slice()), index)?;
        Some(Self::Included(Box::new(Inclusion {
            header: header.clone(),
            commit: QuorumCommit::of(commit, set)?,
            index: u32::try_from(index).ok()?,
            count: u32::try_from(txids.len()).ok()?,
            path,
        })))
    }
}

impl FinalityProof {
    /// A proof of its parts. Whether it proves anything is [`verify()`]'s to say.
    #[must_use]
    pub const fn new(chain_id: ChainId, txid: TxId, links: Vec<EpochLink>, ending: Ending) -> Self {
        Self { chain_id, txid, links, ending }
    }

    /// The canonical encoding: format, version, content.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [FORMAT, &FINALITY_PROOF_VERSION.to_le_bytes(), &encode(self)].concat()
    }

    /// Reads an encoding. That it is one says nothing about what it proves.
    ///
    /// # Errors
    /// [`FinalityProofError::TooLarge`], [`FinalityProofError::NotAProof`], [`FinalityProofError::UnknownVersion`],
    /// [`FinalityProofError::Malformed`], [`FinalityProofError::NotCanonical`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FinalityProofError> {
        let length = bytes.len();
        if length > FINALITY_PROOF_BYTES_MAX {
            return Err(FinalityProofError::TooLarge { length });
        }
        let versioned = bytes.strip_prefix(FORMAT).ok_or(FinalityProofError::NotAProof)?;
        let (version, content) = versioned.split_first_chunk().ok_or(FinalityProofError::NotAProof)?;
        let version = u16::from_le_bytes(*version);
        if version != FINALITY_PROOF_VERSION {
            return Err(FinalityProofError::UnknownVersion { version });
        }
        let proof: Self = decode(content)?;
        // The decoder accepts one encoding of each value; this holds it to that.
        if encode(&proof) != content {
            return Err(FinalityProofError::NotCanonical);
        }
        Ok(proof)
    }

    /// The transaction that it speaks of.
    #[must_use]
    pub const fn txid(&self) -> TxId {
        self.txid
    }

    /// The epoch that its ending is of: the number of its links.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        u64::try_from(self.links.len()).unwrap_or(u64::MAX)
    }
}
