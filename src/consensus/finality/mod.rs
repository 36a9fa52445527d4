//! Votes on payments: what this node says about them, and what it counts of others.
//!
//! # Place
//! [`ConsensusEngine`] drives the finality machine of `protocol/finality`. Its sibling
//! [`BftConsensus`](super::blocks::BftConsensus) decides blocks; it reads here what is certified, and orders three things:
//! votes flushed before a block vote, votes held, and the epoch's closing.
//!
//! # Decided here
//! When cast votes leave as a batch ([`batching`]), what has to be durable before they do, and which batches of others are
//! kept to be served. What a vote says is the machine's.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `batching.rs` | when cast votes leave, and how many at a time |
//! | `journaled.rs` | what of others' words needs no second record |
//! | `restore.rs` | what the journal makes of an epoch at a start |
//!
//! # To change when votes leave
//! | touch | a forgotten one is found by |
//! |---|---|
//! | `batching.rs`: `is_due`, `wait_is_over` and its two constants | `consensus/tests/batches.rs` |
//! | who flushes: here, `blocks/mod.rs` before each block vote, `dispatch.rs`, `restart.rs` | those tests, in part |
//! | `consensus/vote_pace.rs` and `network/message_kind.rs`: both count on 2 ms between two batches | nothing: a faster pace is limited, and its votes are pulled later |
//! | "Messages and their number" in `protocol/finality/protocol.md`, "Batches" in section 4 of the rules, `config.toml`, `cli/init.rs` | nothing |
//! | figures: `cargo test --test sim traffic` and `across_the_world` | nothing, for what tables say |
//!
//! # Invariants
//! - INV-ENGINE-3: own batches leave as the payload of a staged write, behind the bodies, the batches and the
//!   certificates that they stand on; they count here when they are durable.
//! - INV-ENGINE-4: `ClosingEntered` stands in the journal behind every vote that was cast before it, and before the first
//!   prevote at a closing height: so whoever has that prevote in the journal has the record, whatever has become of the
//!   chain's data.
//!
//! # Concurrency
//! One owner, the consensus thread. Nothing here blocks but reads of journaled bodies and of outputs that are not cached.

pub(super) mod batching;
pub(super) mod journaled;
mod restore;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::batching::PendingBatch;
use self::journaled::{JournalSource, JournaledContents};
pub(super) use self::restore::JournaledFinality;
use super::events::{CertificateParts, Notification};
use super::moment::Moment;
use super::outbox::{Fact, Outbox};
use crate::protocol::finality::{self, BatchStore, Effect, Input, Inserted};
use crate::protocol::validity::CheckedTransaction;
use crate::storage::JournaledMessages;
use crate::storage::journal::JournalRecord;
use crate::types::limits::{CERTIFICATE_VOTE_BYTES_MAX, REQUEST_CERTIFICATES_MAX};
use crate::types::{
    Certificate, CertificateVote, Epoch, FinalityVote, MasternodeId, OwnMessage, Released, TxId, VoteBatch,
    VoteKind,
};

/// How many certificates of a set of `members` fit into so many bytes; one at least.
pub(super) fn certificates_within(bytes: usize, members: usize) -> usize {
    let each = members.max(1).saturating_mul(CERTIFICATE_VOTE_BYTES_MAX);
    bytes.checked_div(each).unwrap_or(1).clamp(1, REQUEST_CERTIFICATES_MAX)
}

/// Bytes of certificates in a message that nobody has asked for.
const UNASKED_BYTES_MAX: usize = 256 << 10;

/// Drives the finality machine.
pub struct ConsensusEngine {
    machine: finality::Machine,
    batches: BatchStore,
    pending: PendingBatch,
    vote_interval_ms: u64,
    /// The next number of this node's batches, by epoch.
    next_seq: BTreeMap<Epoch, u64>,
    journaled: JournaledContents,
    source: Arc<dyn JournalSource>,
    /// What the journal holds of epochs that the chain here has not reached.
    later: BTreeMap<Epoch, JournaledMessages>,
    /// Epochs, from the current one on, whose `ClosingEntered` is in the journal or on its way there.
    closing_journaled: BTreeSet<Epoch>,
}

impl ConsensusEngine {
    /// The machine, for questions.
    pub(super) const fn machine(&self) -> &finality::Machine {
        &self.machine
    }

    /// The batches that are kept, for questions.
    pub(super) const fn batches(&self) -> &BatchStore {
        &self.batches
    }

    /// The number of this node's next batch in an epoch.
    pub(super) fn next_seq(&self, epoch: Epoch) -> u64 {
        self.next_seq.get(&epoch).copied().unwrap_or(0)
    }

    // -- what comes in --------------------------------------------------------------------------------------------

    /// Takes a checked transaction.
    pub(super) fn receive_transaction(
        &mut self,
        transaction: CheckedTransaction,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        let txid = transaction.txid();
        self.step(Input::TransactionReceived(transaction), at, out);
        out.tell(Fact::BodyArrived(txid));
        self.flush_if_due(at, out);
    }

    /// Takes a verified batch of the current epoch; whether it was new, and is kept.
    pub(super) fn receive_batch(
        &mut self,
        batch: Released<VoteBatch>,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) -> bool {
        let Some(member) = self.machine.validators().index_of(&batch.header.validator) else { return false };
        let inserted = self.batches.insert(member, &batch);
        if inserted == Inserted::Known && !self.batches.insert_other(member, &batch) {
            return false;
        }
        self.step(Input::BatchReceived(batch), at, out);
        self.flush_if_due(at, out);
        inserted != Inserted::NotRemembered
    }

    /// Time is up for these uncertified transactions.
    pub(super) fn expire(&mut self, txids: Vec<TxId>, at: &Moment<'_>, out: &mut Outbox) {
        self.step(Input::Expired(txids), at, out);
    }

    /// Whether a batch of the current epoch needs no second look: its signer is no member, or it was counted.
    pub(super) fn is_known(&self, batch: &VoteBatch) -> bool {
        let member = self.machine.validators().index_of(&batch.header.validator);
        member.is_none_or(|member| {
            self.batches.has(member, batch.header.seq) && !self.batches.takes_other(member, batch)
        })
    }

    /// Takes verified certificates of the current epoch.
    pub(super) fn receive_certificates(
        &mut self,
        certificates: Vec<Released<Certificate>>,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        for certificate in certificates {
            self.step(Input::CertificateReceived(certificate), at, out);
        }
        self.flush_if_due(at, out);
    }

    /// Whether what a certificate of this vote would prove is known here: nothing is verified for it again.
    pub(super) fn is_proved(&self, vote: &FinalityVote) -> bool {
        self.machine.settled().contains(&vote.txid)
            || match vote.kind {
                VoteKind::Lock => self.machine.is_certified(&vote.txid),
                VoteKind::Final => self.machine.is_final(&vote.txid),
            }
    }

    /// An own batch that is durable, and so was sent: now it counts here as well.
    pub(super) fn on_own_batch(&mut self, batch: Released<VoteBatch>, at: &Moment<'_>, out: &mut Outbox) {
        self.pending.written();
        if batch.header.epoch == self.machine.epoch() {
            let voted: BTreeSet<TxId> = batch.votes.iter().map(|vote| vote.txid).collect();
            out.notify(Notification::Voted(voted.into_iter().collect()));
            out.notify(Notification::VotesHeard { batch: batch.clone(), was_asked: false });
            self.receive_batch(batch, at, out);
        }
    }

    /// A verified batch under this node's own key: whether it is none of its own.
    pub(super) fn is_foreign(&self, batch: &VoteBatch) -> bool {
        let member = self.machine.validators().index_of(&batch.header.validator);
        let kept = member.and_then(|member| self.batches.get(member, batch.header.seq));
        let differs = kept.is_some_and(|kept| kept.header.votes_root != batch.header.votes_root);
        batch.header.seq >= self.next_seq(batch.header.epoch) || differs
    }

    // -- what the chain does --------------------------------------------------------------------------------------

    /// A block was applied.
    pub(super) fn on_block(
        &mut self,
        transactions: Vec<CheckedTransaction>,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        let is_new_epoch = at.chain.epoch() != self.machine.epoch();
        if is_new_epoch {
            self.forget_epoch(at);
        }
        self.step(Input::BlockApplied { transactions }, at, out);
        if is_new_epoch {
            self.replay_journaled_epoch(at, out);
        }
    }

    /// What follows once it is known who signs behind the block.
    pub(super) fn settle(&mut self, at: &Moment<'_>, out: &mut Outbox) {
        self.batches.settle(self.machine.settled());
        self.flush_if_due(at, out);
    }

    /// Everything of the ended epoch goes: its closing block is durable. What is in the pending batch was cast before
    /// closing was entered, and was flushed then.
    fn forget_epoch(&mut self, at: &Moment<'_>) {
        let epoch = at.chain.epoch();
        self.journaled.clear();
        self.next_seq = self.next_seq.split_off(&epoch);
        self.closing_journaled = self.closing_journaled.split_off(&epoch);
        self.batches = BatchStore::new(at.state().validators().len());
    }

    /// Another masternode signs here now, or none.
    pub(super) fn set_signer(&mut self, at: &Moment<'_>, out: &mut Outbox) {
        let key = at.me().map(|identity| identity.secret.public());
        self.step(Input::SignerChanged(key), at, out);
    }

    /// This node signs nothing any more: what was cast and not signed is forgotten.
    pub(super) fn forget_pending(&mut self) {
        self.pending = PendingBatch::default();
    }

    /// What was cast while the node may not sign, and was not signed until the epoch closes, is not said any more.
    fn forget_unsigned(&mut self) {
        if !self.pending.is_empty() {
            self.pending = PendingBatch::default();
        }
    }

    /// Whether votes are held for now.
    pub(super) fn hold(&mut self, is_held: bool, at: &Moment<'_>, out: &mut Outbox) {
        self.step(Input::VotesHeld(is_held), at, out);
    }

    /// Rule 5: from here on no new vote of this epoch, whatever becomes of the chain's data.
    pub(super) fn enter_closing(&mut self, at: &Moment<'_>, out: &mut Outbox) {
        let (epoch, height) = (at.chain.epoch(), at.chain.height());
        if !self.closing_journaled.insert(epoch) {
            return;
        }
        self.flush(at, out);
        self.forget_unsigned();
        out.persist(vec![JournalRecord::ClosingEntered { epoch, height }]);
    }

    // -- what the machine orders ----------------------------------------------------------------------------------

    fn step(&mut self, input: Input, at: &Moment<'_>, out: &mut Outbox) {
        for effect in self.machine.step(&at.chain.view(), input) {
            self.execute(effect, at, out);
        }
    }

    fn execute(&mut self, effect: Effect, at: &Moment<'_>, out: &mut Outbox) {
        match effect {
            Effect::CastVote { vote, transaction, sources } => {
                let records = self.journaled.records_behind(&transaction, &sources);
                if self.pending.push(vote, records) {
                    self.flush(at, out);
                }
            }
            Effect::InputsLocked(transaction) => out.notify(Notification::Locked(transaction)),
            Effect::Certified(txid) => {
                out.tell(Fact::Certified(txid));
                out.notify(Notification::Certified(txid));
            }
            Effect::Finalized(transaction) => out.notify(Notification::Finalized(transaction)),
            Effect::Conflicting { transaction, locked_to } => {
                out.notify(Notification::Conflicting { transaction, locked_to });
            }
            Effect::WaitingForInputs(txid) => out.notify(Notification::WaitingForInputs(txid)),
            Effect::CarryOver => self.step(Input::CarriedOver, at, out),
            Effect::BadCopy { txid, error } => {
                tracing::debug!(txid = %txid.short(), %error, "A bad copy of a transaction");
            }
            Effect::Dropped { txid, reason } => out.notify(Notification::Dropped(txid, reason)),
            Effect::EnterClosing => self.enter_closing(at, out),
            Effect::LoadBody(txid) => self.load_body(txid, at, out),
            Effect::ContradictionSeen { member, first, second } => {
                out.tell(Fact::LocksContradict { member, first, second });
            }
        }
    }

    /// A body that was left to the journal. It was checked before it was written; checking it again costs little
    /// beside the read, and makes a damaged journal harmless.
    fn load_body(&mut self, txid: TxId, at: &Moment<'_>, out: &mut Outbox) {
        let Some(transaction) = self.source.body(&txid) else { return };
        let (chain_id, parameters) = (at.chain.chain_id(), at.chain.parameters());
        if let Ok(checked) = CheckedTransaction::check(transaction, chain_id, parameters, at.chain.verifier())
        {
            self.step(Input::BodyLoaded(checked), at, out);
            out.tell(Fact::BodyArrived(txid));
        }
    }

    /// Signs what was cast as one batch and stages it with all that has to be durable before it leaves, if it is due.
    pub(super) fn flush_if_due(&mut self, at: &Moment<'_>, out: &mut Outbox) {
        if self.pending.is_due(self.vote_interval_ms, at, out) {
            self.flush(at, out);
        }
    }

    /// The wait for the next batch is over.
    pub(super) fn on_flush_timer(&mut self, at: &Moment<'_>, out: &mut Outbox) {
        if self.pending.wait_is_over() {
            self.flush(at, out);
        }
    }

    /// The same at once, whether it is due or not.
    pub(super) fn flush(&mut self, at: &Moment<'_>, out: &mut Outbox) {
        if self.pending.is_empty() {
            return;
        }
        // They wait for the node that asks whether it may go on signing, until the epoch closes.
        let Some(identity) = at.me() else { return };
        let (votes, records) = self.pending.take(at.now_ms());
        let epoch = self.machine.epoch();
        let seq = self.next_seq.entry(epoch).or_insert(0);
        let chain_id = at.chain.chain_id();
        let batch = VoteBatch::signed(chain_id, epoch, identity.id, *seq, votes, &identity.secret);
        *seq = seq.saturating_add(1);
        self.journaled.note_batch(&batch);
        out.say(OwnMessage::VoteBatch(Arc::new(batch)), records);
    }

    /// The records that make the bodies of a block's transactions durable, without those that are.
    pub(super) fn body_records(&mut self, transactions: &[CheckedTransaction]) -> Vec<JournalRecord> {
        transactions.iter().filter_map(|transaction| self.journaled.body_record(transaction)).collect()
    }

    /// Lets so many votes wait, as if the machine had cast them.
    #[cfg(test)]
    pub(super) fn let_votes_wait(&mut self, count: usize) {
        let vote = FinalityVote { kind: VoteKind::Lock, txid: TxId::ZERO };
        for _ in 0..count {
            let _is_full = self.pending.push(vote, None);
        }
    }

    /// Lets so much be locked that what can be read from the journal leaves memory.
    #[cfg(test)]
    pub(super) fn leave_bodies_to_the_journal(&mut self) {
        self.machine.leave_bodies_to_the_journal();
    }

    // -- questions ------------------------------------------------------------------------------------------------

    /// The bodies of these transactions, if all are here.
    pub(super) fn bodies_of(&self, txids: &[TxId]) -> Option<Vec<CheckedTransaction>> {
        txids.iter().map(|txid| self.machine.transaction(txid).cloned()).collect()
    }

    /// Own promises that are not among these transactions.
    pub(super) fn promises_outside(&self, transfers: &[TxId]) -> Vec<TxId> {
        let included: BTreeSet<&TxId> = transfers.iter().collect();
        self.machine.promises().iter().filter(|txid| !included.contains(txid)).copied().collect()
    }

    /// How many certificates of this set are sent unasked in one message: what nobody has asked for is to leave room in each
    /// peer's queue.
    pub(super) fn certificates_per_message(&self) -> usize {
        certificates_within(UNASKED_BYTES_MAX, self.machine.validators().len())
    }

    /// What certifies these transactions or makes them final, as far as it is known: to be proved by whoever sends it.
    pub(super) fn certificate_parts(&self, kind: VoteKind, txids: &[TxId]) -> Vec<CertificateParts> {
        let parts = |txid: &TxId| {
            let vote = FinalityVote { kind, txid: *txid };
            let sources = self.machine.certifying_votes(vote)?;
            Some(CertificateParts { vote, epoch: self.machine.epoch(), sources })
        };
        txids.iter().filter_map(parts).collect()
    }

    /// A member's `Lock` vote for a transaction with its proof: from the tally, or from the batches that are kept, since a
    /// tally forgets where it had votes beyond the quorum from.
    pub(super) fn lock_vote(
        &self,
        member: usize,
        validator: MasternodeId,
        txid: TxId,
    ) -> Option<CertificateVote> {
        self.machine.lock_vote_of(&validator, &txid).or_else(|| {
            let (batch, place) = self.batches.find(member, &FinalityVote { kind: VoteKind::Lock, txid })?;
            batch.prove(place)
        })
    }
}
