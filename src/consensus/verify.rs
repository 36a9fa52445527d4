//! Checks of everything signed by validators, before it reaches a machine.
//!
//! # Place
//! Called on the CPU pool with the set of the moment, and by consensus for what arrived early.
//!
//! # Invariants
//! - INV-VERIFY-1: a message counts as verified for the epoch that it names only, by that epoch's set and keys.
//! - INV-VERIFY-2: the cheap checks (member of the set, bounds, Merkle root) come before any signature.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::types::limits::BATCH_VOTES_MAX;
use crate::types::{
    Certificate, ChainId, Epoch, MasternodeId, Message, Proposal, PublicKey, Signature, SignatureCheck,
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
    /// The votes of a certificate weigh less than a quorum.
    #[error("a certificate of less than a quorum")]
    NoQuorum,
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
    match without_signature(message, voters)? {
        Some(check) => all_hold(verifier, &[check]),
        None => Ok(()),
    }
}

/// Checks all of a signed message but its signature, which it gives back: many of these cost less together. `None` is for
/// messages that no validator signs.
///
/// # Errors
/// As [`verify`].
pub fn without_signature(message: &Message, voters: &Voters) -> Result<Option<SignatureCheck>, VerifyError> {
    match message {
        Message::VoteBatch(batch) => batch_of(batch, voters).map(Some),
        Message::Proposal(proposal) => proposal_of(proposal, voters).map(Some),
        Message::BlockVote(vote) => {
            Ok(Some(vote.signature_check(&voters.chain_id, voters.key_of(&vote.validator)?)))
        }
        _ => Ok(None),
    }
}

fn all_hold(verifier: &dyn SignatureVerifier, checks: &[SignatureCheck]) -> Result<(), VerifyError> {
    verifier.verify_all(checks).map_err(|_| VerifyError::BadSignature)
}

fn batch_of(batch: &VoteBatch, voters: &Voters) -> Result<SignatureCheck, VerifyError> {
    let key = voters.key_of(&batch.header.validator)?;
    if batch.votes.is_empty() || batch.votes.len() > BATCH_VOTES_MAX {
        return Err(VerifyError::Malformed);
    }
    if !batch.is_bound_by_header() {
        return Err(VerifyError::NotBound);
    }
    Ok(batch.header.signature_check(&voters.chain_id, key))
}

fn proposal_of(proposal: &Proposal, voters: &Voters) -> Result<SignatureCheck, VerifyError> {
    let key = voters.key_of(&proposal.validator)?;
    if proposal.block.header.chain_id != voters.chain_id || !proposal.block.is_bound_by_header() {
        return Err(VerifyError::NotBound);
    }
    Ok(proposal.signature_check(key))
}

/// Checks certificates of the voters' epoch, one after the other: a bad one costs no more than its own signatures, however
/// many stand behind it. A signed header that was checked once is not checked again.
#[derive(Default)]
pub struct CertificateChecks {
    held: BTreeSet<([u8; 32], Signature, PublicKey)>,
}

impl CertificateChecks {
    /// Checks members, each at most once; weight; paths; signatures, all at once.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub fn check(
        &mut self,
        certificate: &Certificate,
        voters: &Voters,
        verifier: &dyn SignatureVerifier,
    ) -> Result<(), VerifyError> {
        let (mut members, mut weight, mut checks) = (BTreeSet::new(), 0_u64, Vec::new());
        for vote in &certificate.votes {
            let place = voters.set.index_of(&vote.header.validator).ok_or(VerifyError::UnknownValidator)?;
            let member = voters.set.get(place).ok_or(VerifyError::UnknownValidator)?;
            if vote.header.epoch != voters.epoch || !members.insert(place) {
                return Err(VerifyError::Malformed);
            }
            weight = weight.saturating_add(member.weight);
            checks.push(vote.header.signature_check(&voters.chain_id, member.key));
        }
        if weight < voters.set.quorum() {
            return Err(VerifyError::NoQuorum);
        }
        if certificate.votes.iter().any(|vote| !vote.proves(&certificate.vote)) {
            return Err(VerifyError::NotBound);
        }
        checks.retain(|check| !self.held.contains(&(check.digest, check.signature, check.key)));
        all_hold(verifier, &checks)?;
        self.held.extend(checks.into_iter().map(|check| (check.digest, check.signature, check.key)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::keys::SequentialVerifier;
    use crate::types::{FinalityVote, Released, SecretKey, TxId, Validator, VoteKind};

    /// Rule "Batches" of section 4: who has much to say fills batches to the last vote.
    #[test]
    fn a_batch_has_as_many_votes_as_the_rules_allow_and_one_at_least() {
        let secret = SecretKey::from_seed(&[1; 32]);
        let id = MasternodeId([1; 32]);
        let member = Validator { id, key: secret.public(), weight: 1 };
        let set = Arc::new(ValidatorSet::new(vec![member]));
        let voters = Voters { chain_id: ChainId([7; 32]), epoch: 3, set };
        let vote = FinalityVote { kind: VoteKind::Lock, txid: TxId([2; 32]) };
        for (count, expected) in [
            (0, Err(VerifyError::Malformed)),
            (1, Ok(())),
            (BATCH_VOTES_MAX, Ok(())),
            (BATCH_VOTES_MAX + 1, Err(VerifyError::Malformed)),
        ] {
            let votes = vec![vote; count];
            let batch = VoteBatch::signed(&voters.chain_id, voters.epoch, id, 0, votes, &secret);
            let message = Message::VoteBatch(Released::heard(batch));
            assert_eq!(verify(&message, &voters, &SequentialVerifier), expected, "{count} votes");
        }
    }

    /// INV-VERIFY-1: a certificate speaks for a quorum, so each of its votes has to be one for what it says.
    #[test]
    fn a_certificate_holds_by_votes_of_different_members_for_just_what_it_says() {
        let secrets = [1, 2, 3, 4, 5].map(|byte| SecretKey::from_seed(&[byte; 32]));
        let id = |place: usize| MasternodeId([place as u8; 32]);
        let member = |place: usize| Validator { id: id(place), key: secrets[place].public(), weight: 1 };
        let set = Arc::new(ValidatorSet::new((0..4).map(member).collect()));
        let voters = Voters { chain_id: ChainId([7; 32]), epoch: 3, set };
        let [vote, other] = [2, 3].map(|byte| FinalityVote { kind: VoteKind::Lock, txid: TxId([byte; 32]) });
        let of = |place: usize, epoch: Epoch, vote: FinalityVote, key: usize| {
            let batch = VoteBatch::signed(&voters.chain_id, epoch, id(place), 0, vec![vote], &secrets[key]);
            Released::heard(batch).prove(0).unwrap()
        };
        let good = |place: usize| of(place, 3, vote, place);
        for (third, expected) in [
            (Some(good(2)), Ok(())),
            (None, Err(VerifyError::NoQuorum)),
            (Some(good(1)), Err(VerifyError::Malformed)),
            (Some(of(2, 2, vote, 2)), Err(VerifyError::Malformed)),
            (Some(of(2, 3, other, 2)), Err(VerifyError::NotBound)),
            (Some(of(2, 3, vote, 3)), Err(VerifyError::BadSignature)),
            (Some(good(4)), Err(VerifyError::UnknownValidator)),
        ] {
            let votes = [good(0), good(1)].into_iter().chain(third).collect();
            let certificate = Certificate { vote, epoch: 3, votes };
            let found = CertificateChecks::default().check(&certificate, &voters, &SequentialVerifier);
            assert_eq!(found, expected);
        }
    }
}
