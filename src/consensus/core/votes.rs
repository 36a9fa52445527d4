//! The finality layer's side of the core: effects, batches of own votes, and what comes back durable.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Core, Notification, Output, Timer};
use crate::protocol::bft;
use crate::protocol::finality::{Effect, Input, VoteSource};
use crate::protocol::validity::CheckedTransaction;
use crate::storage::journal::{Durable, JournalRecord, Staged};
use crate::types::limits::BATCH_VOTES_MAX;
use crate::types::{FinalityVote, Message, TimeMs, TxId, VoteBatch};

/// So many votes in the last batch add one vote interval to the wait for the next.
const INTERVAL_VOTES: usize = 8;
/// Vote intervals between two batches, at most.
const INTERVAL_GROWTH_MAX: u64 = 4;

/// Votes that wait for their batch, with what has to be durable before it leaves.
#[derive(Debug, Default)]
pub(super) struct PendingBatch {
    votes: Vec<FinalityVote>,
    records: Vec<JournalRecord>,
    last_flush_ms: TimeMs,
    last_votes: usize,
    scheduled: bool,
    /// Batches that were signed and are not durable yet.
    unwritten: usize,
}

impl Core {
    pub(super) fn on_transaction(&mut self, transaction: CheckedTransaction) {
        let txid = transaction.txid();
        self.step_finality(Input::TransactionReceived(transaction));
        self.on_body(&txid);
        self.schedule_flush();
        self.check_closing_due();
    }

    pub(super) fn execute_finality(&mut self, effect: Effect) {
        match effect {
            Effect::CastVote { vote, transaction, sources } => self.cast_vote(vote, &transaction, &sources),
            Effect::InputsLocked(transaction) => self.notify(Notification::Locked(transaction)),
            Effect::Certified(txid) => {
                self.on_certified(&txid);
                self.notify(Notification::Certified(txid));
            }
            Effect::Finalized(transaction) => self.notify(Notification::Finalized(transaction)),
            Effect::Conflicting { txid, locked_to } => {
                self.notify(Notification::Conflicting { txid, locked_to });
            }
            Effect::WaitingForInputs(txid) => self.notify(Notification::WaitingForInputs(txid)),
            Effect::Dropped { txid, reason } => self.notify(Notification::Dropped(txid, reason)),
            Effect::EnterClosing => self.enter_closing(),
            Effect::LoadBody(txid) => self.load_body(txid),
            Effect::CarryOver => self.step_finality(Input::CarriedOver),
            Effect::BadCopy { txid, error } => {
                tracing::debug!(txid = %txid.short(), %error, "a bad copy of a transaction");
            }
            Effect::ContradictionSeen { member, first, second } => {
                self.on_contradiction(member, first, second)
            }
        }
    }

    /// Rule 5: from here on no new vote of this epoch, whatever becomes of the chain's data.
    pub(super) fn enter_closing(&mut self) {
        let (epoch, height) = (self.state.next_epoch(), self.state.height());
        if !self.closing_journaled.insert(epoch) {
            return;
        }
        self.flush_votes();
        let records = vec![JournalRecord::ClosingEntered { epoch, height }];
        self.out.push(Output::Persist(Staged { records, release: Vec::new() }));
    }

    /// A body that was left to the journal. It was checked before it was written; checking it again costs little
    /// beside the read, and makes a damaged journal harmless.
    pub(super) fn load_body(&mut self, txid: TxId) {
        if let Some(transaction) = self.bodies.body(&txid) {
            let (chain_id, parameters) = (*self.state.chain_id(), Arc::clone(self.state.parameters()));
            let verifier = Arc::clone(&self.config.verifier);
            if let Ok(checked) = CheckedTransaction::check(transaction, &chain_id, &parameters, &*verifier) {
                self.step_finality(Input::BodyLoaded(checked));
                self.on_body(&txid);
                self.check_closing_due();
            }
        }
    }

    fn cast_vote(&mut self, vote: FinalityVote, transaction: &CheckedTransaction, sources: &[VoteSource]) {
        let body = self.body_record(transaction);
        self.pending.records.extend(body);
        for source in sources {
            let (record, key) = match source {
                VoteSource::Batch(batch, _) => {
                    (JournalRecord::PeerBatch(Arc::clone(batch)), batch.header.digest(self.state.chain_id()))
                }
                VoteSource::Certificate(certificate, _) => {
                    (JournalRecord::Certificate(Arc::clone(certificate)), certificate.vote.txid.0)
                }
            };
            if self.journaled_batches.insert(key) {
                self.pending.records.push(record);
            }
        }
        self.pending.votes.push(vote);
        if self.pending.votes.len() >= BATCH_VOTES_MAX {
            self.flush_votes();
        }
    }

    /// The record that makes a body durable, unless one was made in this epoch.
    pub(super) fn body_record(&mut self, transaction: &CheckedTransaction) -> Option<JournalRecord> {
        self.journaled_bodies
            .insert(transaction.txid())
            .then(|| JournalRecord::Transaction(Arc::clone(transaction.transaction())))
    }

    /// Whether a batch was written to the journal already, as own or as another's.
    pub(super) fn mark_journaled(&mut self, batch: &VoteBatch) {
        self.journaled_batches.insert(batch.header.digest(self.state.chain_id()));
    }

    /// The first vote after a pause leaves at once; those that follow within the vote interval, or before the journal
    /// has written the last batch, share one. The journal writes one at a time, so waiting for it delays nothing, and
    /// on a slow disk or a busy machine the batches grow instead of the queue. The interval grows with the last batch,
    /// up to [`INTERVAL_GROWTH_MAX`] times: a batch costs every member a check and a sync, whatever is in it.
    pub(super) fn schedule_flush(&mut self) {
        if self.pending.votes.is_empty() || self.pending.scheduled || self.pending.unwritten > 0 {
            return;
        }
        let growth = u64::try_from(self.pending.last_votes / INTERVAL_VOTES).unwrap_or(u64::MAX);
        let interval =
            self.config.vote_interval_ms.saturating_mul(growth.saturating_add(1).min(INTERVAL_GROWTH_MAX));
        let due = self.pending.last_flush_ms.saturating_add(interval);
        if self.now_ms >= due {
            self.flush_votes();
        } else {
            self.pending.scheduled = true;
            self.out.push(Output::Schedule(Timer::FlushVotes, due.saturating_sub(self.now_ms)));
        }
    }

    /// The wait for the next batch is over, unless the journal still writes one that left since it began: what it says
    /// then comes next. The clock is not asked again; it may have been set back.
    pub(super) fn flush_due(&mut self) {
        self.pending.scheduled = false;
        if self.pending.unwritten == 0 {
            self.flush_votes();
        }
    }

    /// Signs what was cast as one batch and stages it with all that has to be durable before it leaves.
    pub(super) fn flush_votes(&mut self) {
        self.pending.scheduled = false;
        let votes = std::mem::take(&mut self.pending.votes);
        let Some(identity) = self.me.clone().filter(|_| !votes.is_empty()) else { return };
        let epoch = self.finality.epoch();
        let seq = self.next_seq.entry(epoch).or_insert(0);
        let batch =
            VoteBatch::signed(self.state.chain_id(), epoch, identity.id, *seq, votes, &identity.secret);
        *seq = seq.saturating_add(1);
        self.mark_journaled(&batch);
        let batch = Arc::new(batch);
        let mut records = std::mem::take(&mut self.pending.records);
        records.push(JournalRecord::OwnBatch(Arc::clone(&batch)));
        self.pending.last_flush_ms = self.now_ms;
        self.pending.last_votes = batch.votes.len();
        self.pending.unwritten = self.pending.unwritten.saturating_add(1);
        self.out.push(Output::Persist(Staged { records, release: vec![Message::VoteBatch(batch)] }));
    }

    /// Own messages that are durable, and so were sent: now they count here as well.
    pub(super) fn on_persisted(&mut self, messages: Vec<Durable<Message>>) {
        for message in messages {
            let message = message.into_inner();
            if matches!(message, Message::VoteBatch(_)) {
                self.pending.unwritten = self.pending.unwritten.saturating_sub(1);
            }
            match message {
                Message::VoteBatch(batch) if batch.header.epoch == self.finality.epoch() => {
                    let voted: BTreeSet<TxId> = batch.votes.iter().map(|vote| vote.txid).collect();
                    self.notify(Notification::Voted(voted.into_iter().collect()));
                    self.count_batch(batch);
                }
                Message::Proposal(proposal) if proposal.block.header.height == self.next_height() => {
                    self.bft_inputs.push_back(bft::Input::ProposalReceived(proposal));
                }
                Message::BlockVote(vote) if vote.height == self.next_height() => {
                    self.bft_inputs.push_back(bft::Input::VoteReceived(vote));
                }
                _ => {}
            }
        }
        self.schedule_flush();
    }

    /// Counts a verified batch of the current epoch; false when it was here before.
    pub(super) fn count_batch(&mut self, batch: Arc<VoteBatch>) -> bool {
        let Some(member) = self.finality.validators().index_of(&batch.header.validator) else { return false };
        if !self.batches.insert(member, &batch) && !self.batches.insert_other(member, &batch) {
            return false;
        }
        self.step_finality(Input::BatchReceived(batch));
        self.schedule_flush();
        self.check_closing_due();
        true
    }
}
