//! Evidence against a validator: two signed votes that no honest one signs both, or one that no honest one signs at all.
//!
//! # Place
//! Data only; what makes evidence valid is in `protocol/evidence.rs`. A block has a section of it, which
//! `evidence_root` in its header binds.
//!
//! # Invariants
//! - INV-EV-2 of `protocol/evidence.rs`: a pair has one form: the two sides stand in the order that the constructors give them.

use bincode::{Decode, Encode};

use super::codec::encode;
use super::hash::{BlockHash, Domain, DomainHasher, Hash, MasternodeId};
use super::header::Header;
use super::keys::{PublicKey, Signature, SignatureCheck};
use super::transaction::Transaction;
use super::vote::{BlockVote, CertificateVote, proposal_digest};
use super::{ChainId, Epoch, Height, Round, merkle};

/// A `Lock` vote with its proof and the transaction that it is for, without witnesses.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct LockVoteProof {
    /// The vote's place in a signed batch.
    pub vote: CertificateVote,
    /// What it locks; only its inputs matter, but they can't be had without all that the txid covers.
    pub transaction: Transaction,
}

/// What a proposal's signature covers, without the block itself.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ProposalHead {
    /// The chain's epoch at this height.
    pub epoch: Epoch,
    /// The height.
    pub height: Height,
    /// The round it is proposed in.
    pub round: Round,
    /// The earlier round with a quorum of prevotes for the block, if it is proposed again.
    pub pol_round: Option<Round>,
    /// Who proposes.
    pub validator: MasternodeId,
    /// The block.
    pub block_hash: BlockHash,
    /// By the validator's operator key.
    pub signature: Signature,
}

impl ProposalHead {
    /// What its signature signs.
    #[must_use]
    pub fn digest(&self, chain_id: &ChainId) -> [u8; 32] {
        let place = (self.epoch, self.height, self.round);
        proposal_digest(chain_id, place, self.pol_round, &self.validator, &self.block_hash)
    }
}

/// A precommit and the header that it is for, whose epoch or set is not the chain's at its height.
///
/// A proof that leads to a set that never was needs such headers, signed by a quorum of a set that was.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ForeignPrecommit {
    /// An epoch in whose set the validator had the key that signed. It need not be the one that the header claims.
    pub member_in: Epoch,
    /// What it signed.
    pub vote: BlockVote,
    /// The header that the vote's value names.
    pub header: Header,
}

/// What a validator signed against the rules.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Evidence {
    /// `Lock` votes of one epoch for transactions that share an input.
    Locks(Box<LockVoteProof>, Box<LockVoteProof>),
    /// Prevotes, or precommits, for different values in one round; nil is a value.
    Votes(BlockVote, BlockVote),
    /// Proposals of one round.
    Proposals(ProposalHead, ProposalHead),
    /// A precommit for a header that can't stand in the chain.
    Foreign(Box<ForeignPrecommit>),
}

impl Evidence {
    /// Evidence of two `Lock` votes, in its one form.
    #[must_use]
    pub fn of_locks(one: LockVoteProof, other: LockVoteProof) -> Self {
        let (one, other) = (Box::new(one), Box::new(other));
        if one.transaction.txid() <= other.transaction.txid() {
            Self::Locks(one, other)
        } else {
            Self::Locks(other, one)
        }
    }

    /// Evidence of two votes of the block layer, in its one form.
    #[must_use]
    pub fn of_votes(one: BlockVote, other: BlockVote) -> Self {
        if one.value <= other.value { Self::Votes(one, other) } else { Self::Votes(other, one) }
    }

    /// Evidence of two proposals, in its one form.
    #[must_use]
    pub fn of_proposals(one: ProposalHead, other: ProposalHead) -> Self {
        let key = |head: &ProposalHead| (head.block_hash, head.pol_round);
        if key(&one) <= key(&other) { Self::Proposals(one, other) } else { Self::Proposals(other, one) }
    }

    /// Evidence of a precommit, by a key that its validator had in this epoch, for a header that is not the chain's.
    #[must_use]
    pub fn of_foreign(member_in: Epoch, vote: BlockVote, header: Header) -> Self {
        Self::Foreign(Box::new(ForeignPrecommit { member_in, vote, header }))
    }

    /// Who is accused.
    #[must_use]
    pub const fn validator(&self) -> MasternodeId {
        match self {
            Self::Locks(first, _) => first.vote.header.validator,
            Self::Votes(first, _) => first.validator,
            Self::Proposals(first, _) => first.validator,
            Self::Foreign(piece) => piece.vote.validator,
        }
    }

    /// The epoch of the act, by whose set and keys it is judged.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        match self {
            Self::Locks(first, _) => first.vote.header.epoch,
            Self::Votes(first, _) => first.epoch,
            Self::Proposals(first, _) => first.epoch,
            Self::Foreign(piece) => piece.member_in,
        }
    }

    /// The height of the act; `Lock` votes have none.
    #[must_use]
    pub const fn height(&self) -> Option<Height> {
        match self {
            Self::Locks(..) => None,
            Self::Votes(first, _) => Some(first.height),
            Self::Proposals(first, _) => Some(first.height),
            Self::Foreign(piece) => Some(piece.vote.height),
        }
    }

    /// Its kind, for programs and metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Locks(..) => "conflicting_locks",
            Self::Votes(..) => "conflicting_votes",
            Self::Proposals(..) => "conflicting_proposals",
            Self::Foreign(..) => "foreign_precommit",
        }
    }

    /// The signatures that have to hold under the accused one's key.
    #[must_use]
    pub fn signature_checks(&self, chain_id: &ChainId, key: PublicKey) -> Vec<SignatureCheck> {
        let check = |digest, signature| SignatureCheck { key, digest, signature };
        match self {
            Self::Locks(first, second) => {
                [first, second].map(|side| side.vote.header.signature_check(chain_id, key)).to_vec()
            }
            Self::Votes(first, second) => {
                [first, second].map(|vote| vote.signature_check(chain_id, key)).to_vec()
            }
            Self::Proposals(first, second) => {
                [first, second].map(|head| check(head.digest(chain_id), head.signature)).to_vec()
            }
            Self::Foreign(piece) => vec![piece.vote.signature_check(chain_id, key)],
        }
    }

    /// Its name: covers every byte.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash(DomainHasher::new(Domain::Evidence).bytes(&encode(self)).finish())
    }
}

/// What a header's `evidence_root` has to be.
#[must_use]
pub fn evidence_root<'a>(evidence: impl IntoIterator<Item = &'a Evidence>) -> Hash {
    let hashes: Vec<Hash> = evidence.into_iter().map(Evidence::hash).collect();
    merkle::root(hashes.iter().map(|hash| hash.0.as_slice()))
}
