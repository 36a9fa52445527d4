//! Checks a finality proof against a genesis document.
//!
//! # Invariants
//! - INV-PROOF-2 of [`super`].

use std::sync::Arc;

use super::{Ending, EpochLink, FinalityProof, FinalityProofError, Inclusion, QuorumCommit};
use crate::protocol::commit::{check_commit, check_commit_shape};
use crate::protocol::state::LedgerState;
use crate::types::keys::SequentialVerifier;
use crate::types::{
    BlockHash, CertificateVote, ChainId, ChainParameters, Commit, Epoch, FinalityVote, GenesisDocument, Hash,
    Header, Height, SignatureVerifier, TimeMs, TxId, ValidatorSet, VoteKind, merkle,
};

/// The block that a proof shows to contain its transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProvedInclusion {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub block_hash: BlockHash,
    /// Its time.
    pub time: TimeMs,
}

/// What a proof has proved; see [`super`] for what it means, and under which assumption.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProvedFinality {
    /// The chain.
    pub chain_id: ChainId,
    /// The transaction.
    pub txid: TxId,
    /// The epoch in which it is final.
    pub epoch: Epoch,
    /// The block that contains it, if the proof shows one; otherwise some block does by the epoch's end.
    pub inclusion: Option<ProvedInclusion>,
    /// How many members of the epoch's set the proof shows to have signed.
    pub signers: usize,
    /// How many members the set has.
    pub validators: usize,
    /// The weight of those who signed.
    pub signed_weight: u64,
    /// The weight that it takes.
    pub quorum: u64,
    /// The weight of the set.
    pub total_weight: u64,
}

/// Checks a proof with nothing but the genesis document.
///
/// # Errors
/// The first rule that is broken.
pub fn verify(
    genesis: &GenesisDocument,
    proof: &FinalityProof,
) -> Result<ProvedFinality, FinalityProofError> {
    verify_with(genesis, proof, &SequentialVerifier)
}

/// The same with the caller's verifier of signatures.
///
/// # Errors
/// The first rule that is broken.
pub fn verify_with(
    genesis: &GenesisDocument,
    proof: &FinalityProof,
    verifier: &dyn SignatureVerifier,
) -> Result<ProvedFinality, FinalityProofError> {
    let (state, _) = LedgerState::genesis(genesis)?;
    let expected = *state.chain_id();
    if proof.chain_id != expected {
        return Err(FinalityProofError::ForeignChain { expected, found: proof.chain_id });
    }
    let parameters = state.parameters();
    check_bounds(proof, parameters)?;
    let mut walk = Walk {
        chain_id: expected,
        verifier,
        epoch: 0,
        height: 0,
        set_hash: state.validators().hash(),
        set: Arc::clone(state.validators()),
    };
    for link in &proof.links {
        walk.follow(link)?;
    }
    let (inclusion, shown) = match &proof.ending {
        Ending::Voted(votes) => (None, walk.check_votes(proof.txid, votes)?),
        Ending::Included(inclusion) => {
            let shown = walk.check_inclusion(proof.txid, inclusion, parameters.block_transactions_max)?;
            let Header { height, time, .. } = inclusion.header;
            (Some(ProvedInclusion { height, block_hash: inclusion.header.hash(), time }), shown)
        }
    };
    Ok(ProvedFinality {
        chain_id: expected,
        txid: proof.txid,
        epoch: walk.epoch,
        inclusion,
        signers: shown.signers,
        validators: walk.set.len(),
        signed_weight: shown.weight,
        quorum: walk.set.quorum(),
        total_weight: walk.set.total_weight(),
    })
}

fn check_bounds(proof: &FinalityProof, parameters: &ChainParameters) -> Result<(), FinalityProofError> {
    let max = parameters.max_validators;
    let exceeds = |count: usize| u32::try_from(count).map_or(true, |count| count > max);
    for (epoch, link) in (0_u64..).zip(&proof.links) {
        let Some(members) = link.next_set.as_ref().map(Vec::len) else { continue };
        if members == 0 || exceeds(members) {
            return Err(FinalityProofError::SetSize { epoch, members, max });
        }
    }
    match &proof.ending {
        Ending::Voted(votes) if exceeds(votes.len()) => {
            Err(FinalityProofError::TooManyVotes { votes: votes.len(), max })
        }
        Ending::Voted(_) | Ending::Included(_) => Ok(()),
    }
}

/// Who signed what was just checked.
struct Shown {
    signers: usize,
    weight: u64,
}

/// Weight and the lightest of some members.
fn weigh(set: &ValidatorSet, places: impl Iterator<Item = usize>) -> (u64, u64) {
    let weights = places.filter_map(|place| set.get(place)).map(|member| member.weight);
    weights.fold((0, u64::MAX), |(sum, lightest), weight| (sum.saturating_add(weight), lightest.min(weight)))
}

/// The way from the genesis document's set to that of the proof's epoch.
struct Walk<'a> {
    chain_id: ChainId,
    verifier: &'a dyn SignatureVerifier,
    /// The epoch of `set`.
    epoch: Epoch,
    /// The last block of the epoch before; 0 in epoch 0.
    height: Height,
    set: Arc<ValidatorSet>,
    set_hash: Hash,
}

impl Walk<'_> {
    fn follow(&mut self, link: &EpochLink) -> Result<(), FinalityProofError> {
        let (header, epoch) = (&link.header, self.epoch);
        if !header.epoch_end {
            return Err(FinalityProofError::NotEpochEnd { epoch, height: header.height });
        }
        self.check_header(header)?;
        let expected = header.next_validators_hash;
        let next = match &link.next_set {
            None if expected == self.set_hash => Arc::clone(&self.set),
            None => return Err(FinalityProofError::SetMissing { epoch }),
            Some(_) if expected == self.set_hash => return Err(FinalityProofError::SetRepeated { epoch }),
            Some(members) => Arc::new(ValidatorSet::new(members.clone())),
        };
        if !Arc::ptr_eq(&next, &self.set) {
            let found = next.hash();
            if found != expected {
                return Err(FinalityProofError::WrongNextSet { epoch, expected, found });
            }
        }
        self.check_commit(header, &link.commit)?;
        self.set = next;
        self.set_hash = expected;
        self.height = header.height;
        self.epoch = epoch.saturating_add(1);
        Ok(())
    }

    /// Everything that a block's place in the chain says about its header.
    fn check_header(&self, header: &Header) -> Result<(), FinalityProofError> {
        if header.chain_id != self.chain_id {
            let (expected, found) = (self.chain_id, header.chain_id);
            return Err(FinalityProofError::ForeignChain { expected, found });
        }
        if header.epoch != self.epoch {
            let (expected, found) = (self.epoch, header.epoch);
            return Err(FinalityProofError::WrongEpoch { expected, found });
        }
        // A block that ends its epoch has a parent in it.
        let least = self.height.saturating_add(1).saturating_add(u64::from(header.epoch_end));
        if header.height < least {
            return Err(FinalityProofError::HeightTooLow { least, found: header.height });
        }
        if header.validators_hash != self.set_hash {
            let (expected, found) = (self.set_hash, header.validators_hash);
            return Err(FinalityProofError::WrongValidatorsHash { height: header.height, expected, found });
        }
        Ok(())
    }

    fn check_commit(&self, header: &Header, given: &QuorumCommit) -> Result<Shown, FinalityProofError> {
        let (height, hash, set) = (header.height, header.hash(), self.set.as_ref());
        let commit = Commit {
            height,
            round: given.round,
            block_hash: hash,
            signers: given.signers.clone(),
            signatures: given.signatures.clone(),
        };
        let broken = |error| FinalityProofError::Commit { height, error };
        check_commit_shape(set, height, hash, &commit).map_err(broken)?;
        let quorum = set.quorum();
        let (weight, lightest) = weigh(set, commit.signers.iter());
        if weight.saturating_sub(lightest) >= quorum {
            return Err(FinalityProofError::SpareSigner { height, weight, lightest, quorum });
        }
        check_commit(&self.chain_id, (self.epoch, set), (height, hash), &commit, self.verifier)
            .map_err(broken)?;
        Ok(Shown { signers: commit.signatures.len(), weight })
    }

    fn check_inclusion(
        &self,
        txid: TxId,
        inclusion: &Inclusion,
        max: u64,
    ) -> Result<Shown, FinalityProofError> {
        let Inclusion { header, commit, index, count, path } = inclusion;
        self.check_header(header)?;
        let (height, index, count) = (header.height, *index, *count);
        if index >= count || u64::from(count) > max {
            return Err(FinalityProofError::NoSuchPlace { index, count, max });
        }
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        let leaves = usize::try_from(count).unwrap_or(usize::MAX);
        let end = merkle::end_of_path(&txid.0, place, leaves, path)
            .filter(|end| end.root == header.tx_root)
            .ok_or(FinalityProofError::NotIncluded { height, txid })?;
        if end.first_index != place {
            return Err(FinalityProofError::PlaceNotFirst { height });
        }
        self.check_commit(header, commit)
    }

    fn check_votes(&self, txid: TxId, votes: &[CertificateVote]) -> Result<Shown, FinalityProofError> {
        let vote = FinalityVote { kind: VoteKind::Final, txid };
        let mut places: Vec<usize> = Vec::with_capacity(votes.len());
        let mut checks = Vec::with_capacity(votes.len());
        for proof in votes {
            let header = &proof.header;
            let validator = header.validator;
            if header.epoch != self.epoch {
                let (expected, found) = (self.epoch, header.epoch);
                return Err(FinalityProofError::WrongVoteEpoch { expected, found });
            }
            let member = self.set.index_of(&validator).and_then(|place| Some((place, self.set.get(place)?)));
            let Some((place, member)) = member else {
                return Err(FinalityProofError::UnknownVoter { validator });
            };
            if places.last().is_some_and(|last| *last >= place) {
                return Err(FinalityProofError::VoteOrder { validator });
            }
            let first = proof.first_index(&vote).ok_or(FinalityProofError::NotTheVote { validator })?;
            if first != proof.index {
                return Err(FinalityProofError::VoteNotFirst { validator });
            }
            places.push(place);
            checks.push(header.signature_check(&self.chain_id, member.key));
        }
        let quorum = self.set.quorum();
        let (weight, lightest) = weigh(&self.set, places.iter().copied());
        if weight < quorum {
            return Err(FinalityProofError::VotesTooLight { weight, quorum });
        }
        if weight.saturating_sub(lightest) >= quorum {
            return Err(FinalityProofError::SpareVote { weight, lightest, quorum });
        }
        self.verifier.verify_all(&checks).map_err(|bad| {
            let validator = votes.get(bad).map(|proof| proof.header.validator).unwrap_or_default();
            FinalityProofError::BadVoteSignature { validator }
        })?;
        Ok(Shown { signers: votes.len(), weight })
    }
}
