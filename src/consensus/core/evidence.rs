//! Evidence against validators: built from what this node sees, passed on, and put into its own blocks.
//!
//! # Invariants
//! - INV-EVIDENCE-1: the pool holds evidence that is valid on the present state only, one piece for each accused.
//! - INV-EVIDENCE-2: an accused masternode costs signature checks until one piece against it is here; a flood of further
//!   contradictions costs none.
//! - INV-EVIDENCE-3: what the pool holds is in the journal: who contradicted itself does not get off by a crash of
//!   everybody who saw it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::{info, warn};

use super::{Core, Notification, Output};
use crate::network::PeerId;
use crate::protocol::bft::BlockMessage;
use crate::protocol::evidence;
use crate::protocol::state::LedgerState;
use crate::storage::journal::{JournalRecord, Staged};
use crate::types::codec::encode;
use crate::types::evidence::{LockVoteProof, ProposalHead};
use crate::types::limits::EVIDENCE_BYTES_MAX;
use crate::types::{
    CertificateVote, Evidence, FinalityVote, MasternodeId, Message, Transaction, TxId, VoteKind,
};

/// Evidence that no block contains yet, by the accused.
#[derive(Debug, Default)]
pub(super) struct EvidencePool {
    valid: BTreeMap<MasternodeId, Arc<Evidence>>,
    /// From the journal, of heights or epochs that the chain here (which lost its data) has not reached.
    early: Vec<Arc<Evidence>>,
}

impl EvidencePool {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Evidence>> {
        self.valid.values()
    }

    /// What the journal has to keep.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Evidence>> {
        self.valid.values().chain(&self.early)
    }

    /// What fits into the next block.
    pub(super) fn for_block(&self, state: &LedgerState) -> Vec<Arc<Evidence>> {
        let mut bytes = 0_usize;
        let valid = self.valid.values().filter(|piece| evidence::check_against(piece, state).is_ok());
        valid
            .take_while(|piece| {
                bytes = bytes.saturating_add(encode(piece.as_ref()).len());
                bytes <= EVIDENCE_BYTES_MAX
            })
            .cloned()
            .collect()
    }
}

fn without_witnesses(transaction: &Transaction) -> Transaction {
    Transaction { witnesses: Vec::new(), ..transaction.clone() }
}

impl Core {
    /// Evidence that no block of this node's chain contains yet.
    pub fn pending_evidence(&self) -> impl Iterator<Item = &Arc<Evidence>> {
        self.evidence.iter()
    }

    pub(super) fn on_evidence_message(&mut self, from: PeerId, piece: Arc<Evidence>) {
        match self.take_evidence(&piece) {
            Ok(true) => self.out.push(Output::Relay(Message::Evidence(piece), Some(from))),
            Ok(false) => {}
            // It may have held, or may hold later, at the peer's height.
            Err(error) if error.depends_on_state() => {}
            Err(_) => self.out.push(Output::Misbehaved(from, "bad evidence")),
        }
    }

    /// Checks a piece and keeps it; false when the accused is accused already.
    fn take_evidence(&mut self, piece: &Arc<Evidence>) -> Result<bool, evidence::EvidenceError> {
        let accused = piece.validator();
        if self.evidence.valid.contains_key(&accused) {
            return Ok(false);
        }
        evidence::check(piece, &self.state, &*self.config.verifier)?;
        warn!(
            masternode = %accused.short(),
            kind = piece.kind(),
            epoch = piece.epoch(),
            "evidence: a masternode contradicted itself"
        );
        let records = vec![JournalRecord::Evidence(Arc::clone(piece))];
        self.out.push(Output::Persist(Staged { records, release: Vec::new() }));
        self.keep_evidence(Arc::clone(piece));
        Ok(true)
    }

    fn keep_evidence(&mut self, piece: Arc<Evidence>) {
        self.evidence.valid.insert(piece.validator(), Arc::clone(&piece));
        self.notify(Notification::EvidenceFound(piece));
    }

    /// Takes over what the journal holds, without what blocks contain by now.
    pub(super) fn restore_evidence(&mut self, pieces: Vec<Arc<Evidence>>) {
        for piece in pieces {
            if self.evidence.valid.contains_key(&piece.validator()) {
                continue;
            }
            match evidence::check(&piece, &self.state, &*self.config.verifier) {
                Ok(()) => {
                    let (masternode, kind) = (piece.validator(), piece.kind());
                    info!(masternode = %masternode.short(), kind, "evidence is not in a block yet");
                    self.keep_evidence(piece);
                }
                Err(error) if error.depends_on_state() && piece.epoch() >= self.state.next_epoch() => {
                    self.evidence.early.push(piece);
                }
                Err(_) => {}
            }
        }
    }

    /// Forgets what a new state makes void: the accused was slashed, or its epoch is too old. Looks again at what was
    /// too early.
    pub(super) fn settle_evidence(&mut self) {
        let state = &self.state;
        self.evidence.valid.retain(|_, piece| evidence::check_against(piece, state).is_ok());
        let early = std::mem::take(&mut self.evidence.early);
        self.restore_evidence(early);
    }

    /// What this node found by itself. It is checked like any other, so that a mistake here names nobody.
    pub(super) fn report_evidence(&mut self, piece: Evidence) {
        let piece = Arc::new(piece);
        match self.take_evidence(&piece) {
            Ok(true) => self.out.push(Output::Relay(Message::Evidence(piece), None)),
            Ok(false) => {}
            Err(problem) => {
                tracing::debug!(%problem, masternode = %piece.validator().short(), "a contradiction proves nothing");
            }
        }
    }

    /// Two messages of the block layer.
    pub(super) fn on_equivocation(&mut self, first: BlockMessage, second: BlockMessage) {
        let piece = match (first, second) {
            (BlockMessage::Vote(first), BlockMessage::Vote(second)) => {
                Evidence::of_votes(first.as_ref().clone(), second.as_ref().clone())
            }
            (BlockMessage::Proposal(first), BlockMessage::Proposal(second)) => {
                Evidence::of_proposals(ProposalHead::of(&first), ProposalHead::of(&second))
            }
            _ => return,
        };
        self.report_evidence(piece);
    }

    /// Two `Lock` votes.
    pub(super) fn on_contradiction(&mut self, member: usize, first: TxId, second: TxId) {
        let Some(accused) = self.finality.validators().get(member).map(|member| member.id) else { return };
        if self.evidence.valid.contains_key(&accused) {
            return;
        }
        let side = |txid: TxId| -> Option<LockVoteProof> {
            let transaction = without_witnesses(self.finality.transaction(&txid)?.transaction());
            Some(LockVoteProof { vote: self.lock_vote(member, accused, txid)?, transaction })
        };
        if let (Some(first), Some(second)) = (side(first), side(second)) {
            self.report_evidence(Evidence::of_locks(first, second));
        }
    }

    /// From the tally, or from the batches that are kept: a tally forgets where it had votes beyond the quorum from.
    fn lock_vote(&self, member: usize, accused: MasternodeId, txid: TxId) -> Option<CertificateVote> {
        self.finality.lock_vote_of(&accused, &txid).or_else(|| {
            let vote = FinalityVote { kind: VoteKind::Lock, txid };
            let (batch, place) = self.batches.find(member, &vote)?;
            batch.prove(place)
        })
    }
}
