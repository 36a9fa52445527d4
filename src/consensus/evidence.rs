//! Evidence against validators: built from what this node sees, passed on, and put into its own blocks.
//!
//! # Invariants
//! - INV-EVIDENCE-1: the pool holds evidence that is valid on the present state only, one piece for each accused.
//! - INV-EVIDENCE-4: contradicting votes of one member are looked at [`LOOKS_MAX`] times between two blocks, and not at all
//!   while a piece against it is here or once it is slashed: a proof hashes whole batches, and the next pair costs a vote.
//!   More than once, since not every pair can be proved, and its author knows which.
//! - INV-EVIDENCE-3: what the pool holds is in the journal: who contradicted itself does not get off by a crash of
//!   everybody who saw it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::{info, warn};

use super::events::Notification;
use super::finality::ConsensusEngine;
use super::moment::Moment;
use super::outbox::Outbox;
use crate::network::PeerId;
use crate::protocol::bft::BlockMessage;
use crate::protocol::evidence;
use crate::protocol::state::LedgerState;
use crate::storage::journal::JournalRecord;
use crate::types::codec::encode;
use crate::types::evidence::LockVoteProof;
use crate::types::limits::EVIDENCE_BYTES_MAX;
use crate::types::{BlockVote, Evidence, MasternodeId, Message, Transaction, TxId};

/// Looks at contradicting `Lock` votes of one member between two blocks, of some 2 ms each.
const LOOKS_MAX: usize = 16;

/// Evidence that no block contains yet, by the accused.
#[derive(Debug, Default)]
pub(super) struct EvidencePool {
    valid: BTreeMap<MasternodeId, Arc<Evidence>>,
    /// From the journal, of heights or epochs that the chain here (which lost its data) has not reached.
    early: Vec<Arc<Evidence>>,
    /// How often contradicting `Lock` votes of a member were looked at since the last block.
    pub(super) looks: BTreeMap<MasternodeId, usize>,
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

/// Whether the chain has to grow before anybody can tell.
fn is_early(piece: &Evidence, at: &Moment<'_>) -> bool {
    let next = at.state().height().saturating_add(1);
    piece.epoch() >= at.chain.epoch() || piece.height().is_some_and(|height| height > next)
}

fn without_witnesses(transaction: &Transaction) -> Transaction {
    Transaction { witnesses: Vec::new(), ..transaction.clone() }
}

impl EvidencePool {
    /// A peer sent a piece.
    pub(super) fn on_message(
        &mut self,
        from: PeerId,
        piece: Arc<Evidence>,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        match self.take(&piece, at, out) {
            Ok(true) => out.relay(Message::Evidence(piece), Some(from)),
            Ok(false) => {}
            // It may have held, or may hold later, at the peer's height.
            Err(error) if error.depends_on_state() => {}
            Err(_) => out.misbehaved(from, "bad evidence"),
        }
    }

    /// Checks a piece and keeps it; false when the accused is accused already.
    fn take(
        &mut self,
        piece: &Arc<Evidence>,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) -> Result<bool, evidence::EvidenceError> {
        let accused = piece.validator();
        if self.valid.contains_key(&accused) {
            return Ok(false);
        }
        evidence::check(piece, at.state(), at.chain.verifier())?;
        warn!(
            masternode = %accused.short(),
            kind = piece.kind(),
            epoch = piece.epoch(),
            "Evidence: a masternode contradicted itself"
        );
        out.persist(vec![JournalRecord::Evidence(Arc::clone(piece))]);
        self.keep(Arc::clone(piece), out);
        Ok(true)
    }

    fn keep(&mut self, piece: Arc<Evidence>, out: &mut Outbox) {
        self.valid.insert(piece.validator(), Arc::clone(&piece));
        out.notify(Notification::EvidenceFound(piece));
    }

    /// Takes over what the journal holds, without what blocks contain by now.
    pub(super) fn restore(&mut self, pieces: Vec<Arc<Evidence>>, at: &Moment<'_>, out: &mut Outbox) {
        for piece in pieces {
            if self.valid.contains_key(&piece.validator()) {
                continue;
            }
            match evidence::check(&piece, at.state(), at.chain.verifier()) {
                Ok(()) => {
                    let (masternode, kind) = (piece.validator(), piece.kind());
                    info!(masternode = %masternode.short(), kind, "Evidence is not in a block yet");
                    self.keep(piece, out);
                }
                Err(error) if error.depends_on_state() && is_early(&piece, at) => self.early.push(piece),
                Err(_) => {}
            }
        }
    }

    /// Forgets what a new state makes void: the accused was slashed, or its epoch is too old. Looks again at what was
    /// too early.
    pub(super) fn on_block(&mut self, at: &Moment<'_>, out: &mut Outbox) {
        self.looks.clear();
        self.valid.retain(|_, piece| evidence::check_against(piece, at.state()).is_ok());
        let early = std::mem::take(&mut self.early);
        self.restore(early, at, out);
    }

    /// What this node found by itself. It is checked like any other, so that a mistake here names nobody.
    pub(super) fn report(&mut self, piece: Evidence, at: &Moment<'_>, out: &mut Outbox) {
        let piece = Arc::new(piece);
        match self.take(&piece, at, out) {
            Ok(true) => out.relay(Message::Evidence(piece), None),
            Ok(false) => {}
            Err(problem) => {
                tracing::debug!(%problem, masternode = %piece.validator().short(), "A contradiction proves nothing");
            }
        }
    }

    /// Two messages of the block layer.
    pub(super) fn on_equivocation(
        &mut self,
        (first, second): (BlockMessage, BlockMessage),
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        let piece = match (first, second) {
            (BlockMessage::Vote(first), BlockMessage::Vote(second)) => {
                Evidence::of_votes(BlockVote::clone(&first), BlockVote::clone(&second))
            }
            (BlockMessage::Proposal(first), BlockMessage::Proposal(second)) => {
                Evidence::of_proposals(first.head(), second.head())
            }
            _ => return,
        };
        self.report(piece, at, out);
    }

    /// Two `Lock` votes of one member.
    pub(super) fn on_contradiction(
        &mut self,
        (member, first, second): (usize, TxId, TxId),
        finality: &ConsensusEngine,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        let machine = finality.machine();
        let Some(accused) = machine.validators().get(member).map(|member| member.id) else { return };
        let is_slashed = at.state().masternodes().get(&accused).is_none_or(|record| record.slashed.is_some());
        if is_slashed || self.valid.contains_key(&accused) {
            return;
        }
        let looks = self.looks.entry(accused).or_default();
        if *looks >= LOOKS_MAX {
            return;
        }
        *looks = looks.saturating_add(1);
        let side = |txid: TxId| -> Option<LockVoteProof> {
            let transaction = without_witnesses(machine.transaction(&txid)?.transaction());
            Some(LockVoteProof { vote: finality.lock_vote(member, accused, txid)?, transaction })
        };
        if let (Some(first), Some(second)) = (side(first), side(second)) {
            self.report(Evidence::of_locks(first, second), at, out);
        }
    }
}
