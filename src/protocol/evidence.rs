//! What makes evidence valid.
//!
//! # Place
//! Called by the state transition for a block's section of evidence, and by whoever collects evidence for the next
//! block. What it does to the accused is in [`super::masternodes`].
//!
//! # Invariants
//! - INV-EV-1: evidence never names an honest validator: it is signed by the key that the accused had in the evidence's
//!   epoch, and no honest validator signs both sides. Voting again in a later epoch, or `Final` for one transaction after
//!   `Lock` for another, is no contradiction. Nor does an honest one precommit a block that is not valid on the state
//!   before it, which names the height's epoch and set.
//! - INV-EV-2: each pair has one valid form, so it can't be sent twice under two names. A precommit for a foreign header
//!   may name any epoch in which the accused had the key; it too takes effect once.

use std::collections::BTreeSet;

use crate::types::codec::encode;
use crate::types::evidence::{ForeignPrecommit, LockVoteProof, ProposalHead};
use crate::types::limits::EVIDENCE_BYTES_MAX;
use crate::types::{
    BlockVote, ChainId, Epoch, Evidence, FinalityVote, Header, Height, MasternodeId, OutPoint, PublicKey,
    SignatureVerifier, ValidatorSet, VoteKind, VoteStep,
};

use super::state::LedgerState;

/// Why evidence proves nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// More bytes than a block's section may have.
    #[error("evidence of {bytes} bytes exceeds {EVIDENCE_BYTES_MAX}")]
    TooLarge {
        /// Its encoded size.
        bytes: usize,
    },
    /// The two sides are of different validators, epochs, heights, rounds or steps.
    #[error("the two sides do not speak of the same step of one validator")]
    Unrelated,
    /// An honest validator may sign both.
    #[error("the two sides do not contradict each other")]
    NoContradiction,
    /// The sides stand in the other order, or carry what is not needed.
    #[error("the evidence is not in its one form")]
    NotCanonical,
    /// A Merkle path does not lead from the vote to the signed batch.
    #[error("a vote is not in the batch that it is said to be in")]
    BadPath,
    /// The epoch is in the future, or so long ago that acts in it are void.
    #[error("acts in epoch {epoch} can't be punished")]
    UnknownEpoch {
        /// The epoch.
        epoch: Epoch,
    },
    /// The height does not belong to the epoch, or comes after the block that would include the evidence.
    #[error("height {height} is not one of epoch {epoch} up to the next block")]
    WrongHeight {
        /// The height.
        height: Height,
        /// The epoch.
        epoch: Epoch,
    },
    /// The header names the epoch and the set that the chain has at its height.
    #[error("the header at height {height} names the chain's own epoch and set")]
    NotForeign {
        /// The height.
        height: Height,
    },
    /// The accused was not in the epoch's set.
    #[error("masternode {validator} was not in the set of epoch {epoch}")]
    NotMember {
        /// The accused.
        validator: MasternodeId,
        /// The epoch.
        epoch: Epoch,
    },
    /// It was punished before, or its collateral is free already.
    #[error("masternode {validator} can't be slashed (again)")]
    NotSlashable {
        /// The accused.
        validator: MasternodeId,
    },
    /// A signature does not hold.
    #[error("a signature does not hold under the key that masternode {validator} had")]
    BadSignature {
        /// The accused.
        validator: MasternodeId,
    },
}

impl EvidenceError {
    /// Whether it depends on the state: what fails by it may have held before, or may hold later, so its sender is not
    /// to blame.
    #[must_use]
    pub const fn depends_on_state(&self) -> bool {
        matches!(
            self,
            Self::UnknownEpoch { .. }
                | Self::WrongHeight { .. }
                | Self::NotForeign { .. }
                | Self::NotMember { .. }
                | Self::NotSlashable { .. }
        )
    }
}

/// Holds the rules that need neither state nor signatures.
///
/// # Errors
/// The first rule that is broken.
pub fn check_content(evidence: &Evidence) -> Result<(), EvidenceError> {
    let bytes = encode(evidence).len();
    if bytes > EVIDENCE_BYTES_MAX {
        return Err(EvidenceError::TooLarge { bytes });
    }
    match evidence {
        Evidence::Locks(first, second) => check_locks(first, second),
        Evidence::Votes(first, second) => check_votes(first, second),
        Evidence::Proposals(first, second) => check_proposals(first, second),
        Evidence::Foreign(piece) => check_foreign(piece),
    }
}

fn check_locks(first: &LockVoteProof, second: &LockVoteProof) -> Result<(), EvidenceError> {
    let place = |side: &LockVoteProof| (side.vote.header.validator, side.vote.header.epoch);
    if place(first) != place(second) {
        return Err(EvidenceError::Unrelated);
    }
    let sides = [first, second];
    if sides.iter().any(|side| !side.transaction.witnesses.is_empty()) {
        return Err(EvidenceError::NotCanonical);
    }
    let [one, other] = sides.map(|side| side.transaction.txid());
    if one == other {
        return Err(EvidenceError::NoContradiction);
    }
    if one > other {
        return Err(EvidenceError::NotCanonical);
    }
    let inputs: BTreeSet<&OutPoint> = first.transaction.inputs.iter().collect();
    if !second.transaction.inputs.iter().any(|outpoint| inputs.contains(outpoint)) {
        return Err(EvidenceError::NoContradiction);
    }
    for (side, txid) in sides.into_iter().zip([one, other]) {
        if !side.vote.proves(&FinalityVote { kind: VoteKind::Lock, txid }) {
            return Err(EvidenceError::BadPath);
        }
    }
    Ok(())
}

fn check_votes(first: &BlockVote, second: &BlockVote) -> Result<(), EvidenceError> {
    let place = |vote: &BlockVote| (vote.validator, vote.epoch, vote.height, vote.round, vote.step);
    if place(first) != place(second) {
        return Err(EvidenceError::Unrelated);
    }
    match first.value.cmp(&second.value) {
        std::cmp::Ordering::Less => Ok(()),
        std::cmp::Ordering::Equal => Err(EvidenceError::NoContradiction),
        std::cmp::Ordering::Greater => Err(EvidenceError::NotCanonical),
    }
}

fn check_proposals(first: &ProposalHead, second: &ProposalHead) -> Result<(), EvidenceError> {
    let place = |head: &ProposalHead| (head.validator, head.epoch, head.height, head.round);
    if place(first) != place(second) {
        return Err(EvidenceError::Unrelated);
    }
    let said = |head: &ProposalHead| (head.block_hash, head.pol_round);
    match said(first).cmp(&said(second)) {
        std::cmp::Ordering::Less => Ok(()),
        std::cmp::Ordering::Equal => Err(EvidenceError::NoContradiction),
        std::cmp::Ordering::Greater => Err(EvidenceError::NotCanonical),
    }
}

fn check_foreign(piece: &ForeignPrecommit) -> Result<(), EvidenceError> {
    let ForeignPrecommit { vote, header, .. } = piece;
    let place = (vote.epoch, vote.height, vote.value);
    if vote.step != VoteStep::Precommit || place != (header.epoch, header.height, Some(header.hash())) {
        return Err(EvidenceError::Unrelated);
    }
    Ok(())
}

/// Epoch and set of a height up to that of the block that would include the evidence; `None` where nobody can tell yet, or
/// any more.
fn known_at(height: Height, state: &LedgerState) -> Option<(Epoch, &ValidatorSet)> {
    let including = state.height().saturating_add(1);
    let (epoch, set) = state.epoch_of_height(height).filter(|_| height <= including && height > 0)?;
    Some((epoch, set))
}

/// Whether a header is known to name another epoch or another set than the chain has at the header's height.
pub(in crate::protocol) fn is_foreign(header: &Header, state: &LedgerState) -> bool {
    let named = (header.epoch, header.validators_hash);
    known_at(header.height, state).is_some_and(|(epoch, set)| named != (epoch, set.hash()))
}

/// Holds the rules that depend on the state before the block that would include the evidence; gives the key that both
/// sides have to be signed with.
///
/// # Errors
/// The first rule that is broken.
pub fn check_against(evidence: &Evidence, state: &LedgerState) -> Result<PublicKey, EvidenceError> {
    let (validator, epoch) = (evidence.validator(), evidence.epoch());
    let set = state.set_of_epoch(epoch).ok_or(EvidenceError::UnknownEpoch { epoch })?;
    if let Some(height) = evidence.height() {
        let (there, _) = known_at(height, state).ok_or(EvidenceError::WrongHeight { height, epoch })?;
        match evidence {
            Evidence::Foreign(piece) if is_foreign(&piece.header, state) => {}
            Evidence::Foreign(_) => return Err(EvidenceError::NotForeign { height }),
            _ if there == epoch => {}
            _ => return Err(EvidenceError::WrongHeight { height, epoch }),
        }
    }
    let place = set.index_of(&validator).ok_or(EvidenceError::NotMember { validator, epoch })?;
    let key = set.get(place).map(|member| member.key).ok_or(EvidenceError::NotMember { validator, epoch })?;
    let record = state.registry().get(&validator);
    if record.is_none_or(|record| record.slashed.is_some()) {
        return Err(EvidenceError::NotSlashable { validator });
    }
    Ok(key)
}

/// Holds the signatures to the accused one's key.
///
/// # Errors
/// [`EvidenceError::BadSignature`].
pub fn check_signatures(
    evidence: &Evidence,
    chain_id: &ChainId,
    key: PublicKey,
    verifier: &dyn SignatureVerifier,
) -> Result<(), EvidenceError> {
    verifier
        .verify_all(&evidence.signature_checks(chain_id, key))
        .map_err(|_| EvidenceError::BadSignature { validator: evidence.validator() })
}

/// Holds every rule.
///
/// # Errors
/// The first rule that is broken; signatures are checked last.
pub fn check(
    evidence: &Evidence,
    state: &LedgerState,
    verifier: &dyn SignatureVerifier,
) -> Result<(), EvidenceError> {
    check_content(evidence)?;
    let key = check_against(evidence, state)?;
    check_signatures(evidence, state.chain_id(), key, verifier)
}

#[cfg(test)]
mod tests;
