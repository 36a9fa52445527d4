//! What the journal says of votes on payments, taken over at a start and when the chain reaches an epoch again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::moment::Moment;
use super::super::outbox::Outbox;
use super::ConsensusEngine;
use super::batching::PendingBatch;
use super::journaled::{JournalSource, JournaledContents};
use crate::protocol::finality::{self, BatchStore, Input, JournaledVotes};
use crate::protocol::state::LedgerState;
use crate::protocol::validity::CheckedTransaction;
use crate::storage::JournaledMessages;
use crate::types::{Epoch, Message, Released, TxId, VoteBatch};

/// Bodies that are read from the journal and checked together.
const REPLAYED_BODIES: usize = 256;
/// Messages that are read from the journal before those that are settled leave memory.
const REPLAYED_MESSAGES: u64 = 256;

/// What the journal of a node that starts says of votes on payments.
#[derive(Default)]
pub(in crate::consensus) struct JournaledFinality {
    /// Its votes, for the machine.
    pub(in crate::consensus) votes: JournaledVotes,
    /// Epochs whose closing was entered.
    pub(in crate::consensus) closing: BTreeSet<Epoch>,
    /// Where batches and certificates lie, by epoch.
    pub(in crate::consensus) messages: BTreeMap<Epoch, JournaledMessages>,
    /// The next number of its own batches, by epoch.
    pub(in crate::consensus) next_seq: BTreeMap<Epoch, u64>,
    /// Names of the bodies that it holds, in order.
    pub(in crate::consensus) bodies: Vec<TxId>,
}

impl ConsensusEngine {
    /// An engine at the tip. The journal's votes are in its machine before anything else is ([`JournaledFinality`]);
    /// bodies and messages follow by [`Self::restore`].
    pub(in crate::consensus) fn new(
        state: &LedgerState,
        settled: BTreeSet<TxId>,
        journaled: &JournaledFinality,
        source: Arc<dyn JournalSource>,
        vote_interval_ms: u64,
    ) -> Self {
        Self {
            machine: finality::Machine::new(None, state, journaled.votes.clone(), settled),
            batches: BatchStore::new(state.validators().len()),
            pending: PendingBatch::default(),
            vote_interval_ms,
            next_seq: journaled.next_seq.clone(),
            journaled: JournaledContents::with_bodies(journaled.bodies.iter().copied()),
            source,
            later: journaled.messages.clone(),
            closing_journaled: journaled.closing.clone(),
        }
    }

    /// Bodies in the journal are looked at again, some at a time, without what is in the chain; then votes of the current
    /// epoch.
    pub(in crate::consensus) fn restore(&mut self, bodies: &[TxId], at: &Moment<'_>, out: &mut Outbox) {
        let settled = self.machine.settled();
        let open: Vec<TxId> = bodies.iter().filter(|txid| !settled.contains(txid)).copied().collect();
        let (chain_id, parameters) = (at.chain.chain_id(), at.chain.parameters());
        for some in open.chunks(REPLAYED_BODIES) {
            let bodies = some.iter().filter_map(|txid| self.source.body(txid)).collect();
            let checked = CheckedTransaction::check_many(bodies, chain_id, parameters, at.chain.verifier());
            for transaction in checked.into_iter().flatten() {
                self.step(Input::TransactionReceived(transaction), at, out);
            }
        }
        self.replay_messages(at, out);
    }

    /// Votes of the current epoch that the journal holds count again, and are served again. They are read one by one, and
    /// what is settled goes as it comes: an epoch's votes may be more than fits into memory at once.
    fn replay_messages(&mut self, at: &Moment<'_>, out: &mut Outbox) {
        let epoch = self.machine.epoch();
        let later = self.later.split_off(&epoch.saturating_add(1));
        let of_epoch = std::mem::replace(&mut self.later, later).remove(&epoch);
        let JournaledMessages { own_batches, batches, certificates } = of_epoch.unwrap_or_default();
        for (count, place) in (1_u64..).zip(own_batches.into_iter().chain(batches).chain(certificates)) {
            match self.source.message(place) {
                Some(Message::VoteBatch(batch)) => self.replay_batch(batch, at, out),
                Some(Message::Certificates(certificates)) => {
                    for certificate in certificates {
                        self.journaled.note_certificate(&certificate);
                        self.step(Input::CertificateReceived(certificate), at, out);
                    }
                }
                _ => {}
            }
            if count.is_multiple_of(REPLAYED_MESSAGES) {
                self.batches.settle(self.machine.settled());
            }
        }
        self.batches.settle(self.machine.settled());
    }

    fn replay_batch(&mut self, batch: Released<VoteBatch>, at: &Moment<'_>, out: &mut Outbox) {
        self.journaled.note_batch(&batch);
        if let Some(member) = self.machine.validators().index_of(&batch.header.validator) {
            // It counts whether or not there is room to serve it: a promise may stand on it.
            let _noted = self.batches.insert(member, &batch);
            self.step(Input::BatchReceived(batch), at, out);
        }
    }

    /// The chain has reached an epoch again that the journal knows.
    pub(super) fn replay_journaled_epoch(&mut self, at: &Moment<'_>, out: &mut Outbox) {
        self.replay_messages(at, out);
        for txid in self.machine.spilled() {
            self.load_body(txid, at, out);
        }
    }
}
