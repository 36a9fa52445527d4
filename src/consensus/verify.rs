//! Checks of everything signed by validators, before it reaches a machine.
//!
//! # Place
//! Called by the node's crypto pool with the set of the moment, and by the core for what arrived early.
//!
//! # Invariants
//! - INV-VERIFY-1: a message counts as verified for the epoch that it names only, by that epoch's set and keys.
//! - INV-VERIFY-2: the cheap checks (member of the set, bounds, Merkle root) come before any signature.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::types::limits::BATCH_VOTES_MAX;
use crate::types::{
    BlockVote, Certificate, ChainId, Epoch, MasternodeId, Message, Proposal, PublicKey, SignatureCheck,
    SignatureVerifier, ValidatorSet, VoteBatch,
};

/// Who votes in an epoch.
#[derive(Clone, Debug)]
pub struct Voters {
    /// The network.
    pub chain_id: ChainId,
    /// The epoch.
    pub epoch: Epoch,
    /// Its set.
    pub set: Arc<ValidatorSet>,
}

impl Voters {
    /// A member's weight.
    #[must_use]
    pub fn weight_of(&self, validator: &MasternodeId) -> Option<u64> {
        let place = self.set.index_of(validator)?;
        self.set.get(place).map(|member| member.weight)
    }

    fn key_of(&self, validator: &MasternodeId) -> Result<PublicKey, VerifyError> {
        let place = self.set.index_of(validator).ok_or(VerifyError::UnknownValidator)?;
        Ok(self.set.get(place).ok_or(VerifyError::UnknownValidator)?.key)
    }
}

/// Why a signed message counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The signer is not in the epoch's set.
    #[error("the signer is no validator of this epoch")]
    UnknownValidator,
    /// A root in a header is not that of what it stands for.
    #[error("the content is not what the signed header names")]
    NotBound,
    /// A batch without votes or with too many, or a certificate that names a validator twice.
    #[error("malformed votes")]
    Malformed,
    /// A signature does not hold.
    #[error("a signature does not hold")]
    BadSignature,
}

/// The epoch that a signed message names, or `None` for messages that no validator signs.
#[must_use]
pub fn epoch_of(message: &Message) -> Option<Epoch> {
    match message {
        Message::VoteBatch(batch) => Some(batch.header.epoch),
        Message::Proposal(proposal) => Some(proposal.block.header.epoch),
        Message::BlockVote(vote) => Some(vote.epoch),
        _ => None,
    }
}

/// Checks a signed message of the voters' epoch.
///
/// # Errors
/// See [`VerifyError`]: each one but [`VerifyError::UnknownValidator`] is the sender's fault.
pub fn verify(
    message: &Message,
    voters: &Voters,
    verifier: &dyn SignatureVerifier,
) -> Result<(), VerifyError> {
    match message {
        Message::VoteBatch(batch) => batch_of(batch, voters, verifier),
        Message::Proposal(proposal) => proposal_of(proposal, voters, verifier),
        Message::BlockVote(vote) => block_vote_of(vote, voters, verifier),
        _ => Ok(()),
    }
}

fn all_hold(verifier: &dyn SignatureVerifier, checks: &[SignatureCheck]) -> Result<(), VerifyError> {
    verifier.verify_all(checks).map_err(|_| VerifyError::BadSignature)
}

fn batch_of(batch: &VoteBatch, voters: &Voters, verifier: &dyn SignatureVerifier) -> Result<(), VerifyError> {
    let key = voters.key_of(&batch.header.validator)?;
    if batch.votes.is_empty() || batch.votes.len() > BATCH_VOTES_MAX {
        return Err(VerifyError::Malformed);
    }
    if !batch.is_bound_by_header() {
        return Err(VerifyError::NotBound);
    }
    all_hold(verifier, &[batch.header.signature_check(&voters.chain_id, key)])
}

fn proposal_of(
    proposal: &Proposal,
    voters: &Voters,
    verifier: &dyn SignatureVerifier,
) -> Result<(), VerifyError> {
    let key = voters.key_of(&proposal.validator)?;
    if proposal.block.header.chain_id != voters.chain_id || !proposal.block.is_bound_by_header() {
        return Err(VerifyError::NotBound);
    }
    all_hold(verifier, &[proposal.signature_check(key)])
}

fn block_vote_of(
    vote: &BlockVote,
    voters: &Voters,
    verifier: &dyn SignatureVerifier,
) -> Result<(), VerifyError> {
    let key = voters.key_of(&vote.validator)?;
    all_hold(verifier, &[vote.signature_check(&voters.chain_id, key)])
}

/// Checks certificates of the voters' epoch: members, each at most once; paths; signatures, each distinct one once.
/// That their weight reaches a quorum is left to the tally, which counts each vote for itself.
///
/// # Errors
/// See [`VerifyError`].
pub fn verify_certificates(
    certificates: &[Arc<Certificate>],
    voters: &Voters,
    verifier: &dyn SignatureVerifier,
) -> Result<(), VerifyError> {
    let mut seen = BTreeSet::new();
    let mut checks = Vec::new();
    for certificate in certificates {
        let mut members = BTreeSet::new();
        for vote in &certificate.votes {
            let place = voters.set.index_of(&vote.header.validator).ok_or(VerifyError::UnknownValidator)?;
            if vote.header.epoch != voters.epoch || !members.insert(place) {
                return Err(VerifyError::Malformed);
            }
            if !vote.proves(&certificate.vote) {
                return Err(VerifyError::NotBound);
            }
            let Some(member) = voters.set.get(place) else { return Err(VerifyError::UnknownValidator) };
            let check = vote.header.signature_check(&voters.chain_id, member.key);
            if seen.insert((check.digest, check.signature, check.key)) {
                checks.push(check);
            }
        }
    }
    all_hold(verifier, &checks)
}
