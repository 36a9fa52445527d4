//! What the journal says of votes on payments, taken over at a start and when the chain reaches an epoch again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::moment::Moment;
use super::super::outbox::Outbox;
use super::ConsensusEngine;
use super::batching::PendingBatch;
use super::journaled::{BodyReader, JournaledContents};
use crate::protocol::finality::{self, BatchStore, Input, JournaledVotes};
use crate::protocol::state::LedgerState;
use crate::protocol::validity::CheckedTransaction;
use crate::types::{Certificate, Epoch, Transaction, TxId, VoteBatch};

/// Messages of one epoch's votes that the journal holds.
#[derive(Default)]
pub(in crate::consensus) struct JournaledMessages {
    pub(in crate::consensus) own_batches: Vec<Arc<VoteBatch>>,
    pub(in crate::consensus) batches: Vec<Arc<VoteBatch>>,
    pub(in crate::consensus) certificates: Vec<Arc<Certificate>>,
}

/// What the journal of a node that starts says of votes on payments.
#[derive(Default)]
pub(in crate::consensus) struct JournaledFinality {
    /// Its votes, for the machine.
    pub(in crate::consensus) votes: JournaledVotes,
    /// Batches and certificates, by epoch.
    pub(in crate::consensus) messages: BTreeMap<Epoch, JournaledMessages>,
    /// The next number of its own batches, by epoch.
    pub(in crate::consensus) next_seq: BTreeMap<Epoch, u64>,
    /// Names of the bodies that it holds.
    pub(in crate::consensus) bodies: BTreeSet<TxId>,
}

impl ConsensusEngine {
    /// An engine at the tip. The journal's votes are in its machine before anything else is ([`JournaledFinality`]);
    /// bodies and messages follow by [`Self::restore`].
    pub(in crate::consensus) fn new(
        state: &LedgerState,
        settled: BTreeSet<TxId>,
        mut journaled: JournaledFinality,
        bodies: Arc<dyn BodyReader>,
        vote_interval_ms: u64,
    ) -> Self {
        let epoch = state.next_epoch();
        let closing = journaled.votes.epochs.iter().filter(|(_, journaled)| journaled.closing);
        Self {
            closing_journaled: closing.map(|(epoch, _)| *epoch).collect(),
            machine: finality::Machine::new(None, state, journaled.votes, settled),
            batches: BatchStore::new(state.validators().len()),
            pending: PendingBatch::default(),
            vote_interval_ms,
            next_seq: journaled.next_seq.split_off(&epoch),
            journaled: JournaledContents::with_bodies(journaled.bodies),
            bodies,
            later: journaled.messages.split_off(&epoch),
        }
    }

    /// Bodies in the journal are looked at again, without what is in the chain; then votes of the current epoch.
    pub(in crate::consensus) fn restore(
        &mut self,
        bodies: BTreeMap<TxId, Arc<Transaction>>,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        let settled = self.machine.settled();
        let open: Vec<_> =
            bodies.into_iter().filter(|(txid, _)| !settled.contains(txid)).map(|(_, body)| body).collect();
        let (chain_id, parameters) = (at.chain.chain_id(), at.chain.parameters());
        let checked = CheckedTransaction::check_many(open, chain_id, parameters, at.chain.verifier());
        for transaction in checked.into_iter().flatten() {
            self.step(Input::TransactionReceived(transaction), at, out);
        }
        self.replay_messages(at, out);
    }

    /// Votes of the current epoch that the journal holds count again, and are served again.
    fn replay_messages(&mut self, at: &Moment<'_>, out: &mut Outbox) {
        let epoch = self.machine.epoch();
        let later = self.later.split_off(&epoch.saturating_add(1));
        let of_epoch = std::mem::replace(&mut self.later, later).remove(&epoch);
        let JournaledMessages { own_batches, batches, certificates } = of_epoch.unwrap_or_default();
        for batch in own_batches.into_iter().chain(batches) {
            self.journaled.note_batch(&batch, at.chain.chain_id());
            if let Some(member) = self.machine.validators().index_of(&batch.header.validator) {
                // It counts whether or not there is room to serve it: a promise may stand on it.
                let _noted = self.batches.insert(member, &batch);
                self.step(Input::BatchReceived(batch), at, out);
            }
        }
        for certificate in certificates {
            self.step(Input::CertificateReceived(certificate), at, out);
        }
        self.batches.settle(self.machine.settled());
    }

    /// The chain has reached an epoch again that the journal knows.
    pub(super) fn replay_journaled_epoch(&mut self, at: &Moment<'_>, out: &mut Outbox) {
        self.replay_messages(at, out);
        for txid in self.machine.spilled() {
            self.load_body(txid, at, out);
        }
    }
}
