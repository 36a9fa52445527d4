//! Hears what the core decides and tells those who show it: outputs, pool, feeds, log, metrics.
//!
//! # Place
//! Called on the observers' thread; all it does is in memory. What a block does to the disk is `block_commit.rs`'s, which
//! hears of it last: whoever reads memory first and the index after that misses nothing.
//!
//! # Invariants
//! - The log has a line for each block that is new, and one for many while old ones are caught up with
//!   ([`block_lines`]).
//! - The mirrors follow the core's order: a block's transactions leave the pool, then the epoch ends,
//!   then what the next epoch decided comes.

mod block_lines;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use self::block_lines::{BlockLine, BlockLines, CaughtUp};
use super::feeds::{BlockSummary, Feeds};
use super::masternode_links::tell_of_masternodes;
use super::rules::tell_of_rules;
use super::vote_latency::VoteLatency;
use crate::admission::{AdmissionHandle, Mirror};
use crate::consensus::block_commit::BlockOrder;
use crate::consensus::events::{AppliedBlock, Notification, Progress};
use crate::consensus::observers::Observer;
use crate::mempool::TransactionPool;
use crate::network::NetworkHandle;
use crate::protocol::finality::DropReason;
use crate::protocol::masternodes::MasternodeStatus;
use crate::protocol::state::LedgerState;
use crate::protocol::validity::CheckedTransaction;
use crate::rpc::EventLog;
use crate::rpc::events::{Happened, block_event};
use crate::runtime::time_text::{duration_words, milliseconds};
use crate::runtime::{Clock, TaskRegistry, metric_names};
use crate::types::{Epoch, Height, MasternodeId, Payload, PublicKey, TxId};
use crate::utxo::UtxoManager;

/// What changes from block to block.
struct LastBlock {
    at: Instant,
    epoch: Epoch,
}

/// Mirrors what the core decides.
pub(super) struct NodeObserver {
    /// Outputs and pool.
    pub(super) mirror: Mirror,
    /// Times, watches, blocks.
    pub(super) feeds: Arc<Feeds>,
    /// What happened, numbered.
    pub(super) events: Arc<EventLog>,
    /// How late votes come.
    latency: Arc<VoteLatency>,
    /// Where transactions of peers go, and who waits for news.
    pub(super) admission: AdmissionHandle,
    /// The peers, among which members of the set have places of their own.
    network: NetworkHandle,
    /// The operator key whose votes this node casts.
    pub(super) identity: Option<PublicKey>,
    last_block: LastBlock,
    lines: BlockLines,
    /// To the block log's thread, which keeps the index.
    blocks: SyncSender<BlockOrder>,
    failures: TaskRegistry,
}

impl NodeObserver {
    /// An observer from this state of the chain on.
    pub(super) fn new(
        utxos: Arc<UtxoManager>,
        pool: Arc<TransactionPool>,
        (feeds, events, latency): (Arc<Feeds>, Arc<EventLog>, Arc<VoteLatency>),
        (admission, network): (AdmissionHandle, NetworkHandle),
        identity: Option<PublicKey>,
        state: &LedgerState,
        (blocks, failures): (SyncSender<BlockOrder>, TaskRegistry),
    ) -> Self {
        let last_block = LastBlock { at: Clock.instant(), epoch: state.next_epoch() };
        let lines = BlockLines::new(last_block.at);
        let mirror = admission.mirror(utxos, pool);
        Self {
            mirror,
            feeds,
            events,
            latency,
            admission,
            network,
            identity,
            last_block,
            lines,
            blocks,
            failures,
        }
    }

    fn certified(&self, txid: &TxId) {
        self.mirror.pool.mark_certified(txid);
        self.feeds.certified(txid, Clock.now_ms());
        self.feeds.changed(txid);
    }

    fn finalized(&self, transaction: &CheckedTransaction) {
        let txid = transaction.txid();
        // Votes that come again, as after a restart, tell nothing new.
        let is_new = !self.mirror.pool.is_final(&txid);
        if self.mirror.finalized(transaction, Clock.now_ms()) {
            self.admission.wake();
        }
        self.told_final(transaction, None, is_new);
    }

    /// A transaction is final: by votes, or by the block of this height. `is_new` says that it was not before.
    fn told_final(&self, transaction: &CheckedTransaction, height: Option<Height>, is_new: bool) {
        let txid = transaction.txid();
        self.admission.finalized(&txid);
        let now = Clock.instant();
        let latency = self.feeds.finalized(&txid, Clock.now_ms(), now);
        if let Some(latency) = latency {
            metrics::histogram!(metric_names::FINALITY_SECONDS).record(latency.as_secs_f64());
            let latency_ms = milliseconds(latency);
            tracing::debug!(txid = %txid.short(), latency_ms, "Transaction finalized");
        }
        if is_new {
            let transaction = Arc::clone(transaction.transaction());
            self.events.push(Happened::Final { txid, transaction, height, latency }, now);
        }
        self.feeds.changed(&txid);
    }

    fn dropped(&self, txid: &TxId, reason: &DropReason) {
        tracing::debug!(txid = %txid.short(), ?reason, "Transaction dropped");
        let winner = match reason {
            DropReason::SpentBy(winner) => Some(*winner),
            _ => None,
        };
        if let Some(winner) = winner {
            self.feeds.lost(*txid, winner);
        }
        self.admission.contested(txid);
        if self.mirror.dropped(*txid) {
            self.admission.wake();
        }
        self.events.push(Happened::Dropped { txid: *txid, reason: reason.name(), winner }, Clock.instant());
        self.feeds.changed(txid);
    }

    fn applied(&mut self, applied: &Arc<AppliedBlock>) {
        let header = &applied.committed.block.header;
        let (now, now_ms) = (Clock.instant(), Clock.now_ms());
        let txids: Vec<TxId> = applied.transactions.iter().map(CheckedTransaction::txid).collect();
        let was_final: Vec<bool> = txids.iter().map(|txid| self.mirror.pool.is_final(txid)).collect();
        // Before anybody can see that it is in a block.
        self.feeds.note_receipts(&applied.receipts);
        if self.mirror.included(&txids, header.height, now_ms) {
            self.admission.wake();
        }
        for (transaction, was_final) in applied.transactions.iter().zip(was_final) {
            self.told_final(transaction, Some(header.height), !was_final);
        }
        self.reward(applied);
        let epoch = applied.state.next_epoch();
        let last = std::mem::replace(&mut self.last_block, LastBlock { at: now, epoch });
        let since_last = now.saturating_duration_since(last.at);
        if epoch != last.epoch {
            for address in tell_of_masternodes(&self.network, &applied.state, self.identity) {
                tracing::debug!(address, "A masternode's address can't be dialled");
            }
            tell_of_rules(&applied.state);
            self.latency.set_voters(applied.state.validators(), now);
            for txid in self.mirror.epoch_started(epoch, now_ms) {
                self.feeds.changed(&txid);
            }
            self.admission.wake();
        }
        let transactions = applied.committed.block.transactions.len();
        let round = applied.committed.commit.round;
        self.log_block(applied, since_last);
        self.measure(applied, since_last.as_secs_f64());
        self.feeds.publish_block(BlockSummary {
            height: header.height,
            hash: applied.hash,
            transactions,
            epoch: header.epoch,
            round,
            own: applied.own,
            since_last,
        });
        self.events.push(Happened::Block(block_event(&applied.committed)), now);
        if self.blocks.send(BlockOrder::Index(Arc::clone(applied))).is_err() {
            self.failures.fail("observers", "the block log's thread is gone");
        }
    }

    fn log_block(&mut self, applied: &AppliedBlock, since_last: Duration) {
        let header = &applied.committed.block.header;
        let age_ms = Clock.now_ms().saturating_sub(header.time);
        let line = self.lines.next(age_ms, Clock.instant());
        if let BlockLine::Sum(CaughtUp { blocks, per_second, left }) = line {
            let behind = duration_words(age_ms / 1_000);
            let left = left.map_or_else(|| "unknown".to_owned(), |left| duration_words(left.as_secs()));
            tracing::info!(
                height = header.height,
                blocks,
                per_second,
                behind,
                left,
                "Catching up with blocks"
            );
            return;
        }
        // A macro has one level.
        macro_rules! tell {
            ($level:ident) => {
                tracing::$level!(
                    height = header.height,
                    hash = %applied.hash.short(),
                    txs = applied.committed.block.transactions.len(),
                    epoch = header.epoch,
                    round = applied.committed.commit.round,
                    proposer = %header.proposer.short(),
                    own = applied.own,
                    since_last_ms = since_last.as_millis(),
                    "Block produced"
                )
            };
        }
        if line == BlockLine::Whole { tell!(info) } else { tell!(debug) }
    }

    /// Nobody votes on a reward: its block makes it final. It stands last.
    fn reward(&self, applied: &AppliedBlock) {
        let last = applied.committed.block.transactions.last();
        if let Some(transaction) = last.filter(|one| matches!(one.payload, Payload::Reward { .. })) {
            let (txid, height) = (transaction.txid(), applied.committed.block.header.height);
            let transaction = Arc::clone(transaction);
            let happened = Happened::Final { txid, transaction, height: Some(height), latency: None };
            self.events.push(happened, Clock.instant());
        }
    }

    fn conflicting(&self, transaction: &CheckedTransaction, locked_to: TxId) {
        let known = self.mirror.pool.get(&locked_to);
        let first = (locked_to, known.map(|known| Arc::clone(known.transaction())));
        let second = (transaction.txid(), Some(Arc::clone(transaction.transaction())));
        let happened = Happened::Doublespend { first, second };
        self.events.push(happened, Clock.instant());
    }

    fn measure(&self, applied: &AppliedBlock, since_last_s: f64) {
        metrics::gauge!(metric_names::BLOCK_HEIGHT).set(as_gauge(applied.state.height()));
        metrics::histogram!(metric_names::BLOCK_INTERVAL_SECONDS).record(since_last_s);
        let (set, state) = (&applied.state.tip_validators().set, &applied.state);
        let place = self.identity.and_then(|key| set.find_key(&key)).map(|(place, _)| place);
        if place.is_some_and(|place| !applied.committed.commit.signers.contains(place)) {
            metrics::counter!(metric_names::MISSED_COMMITS_TOTAL).increment(1);
        }
        measure_masternodes(state);
    }
}

/// The states by which masternodes are counted: each is in one of them.
const MASTERNODE_STATES: [&str; 5] = ["active", "inactive", "jailed", "slashed", "unbonding"];

/// The state by which a masternode is counted: who is in the set votes, whatever is to become of it.
const fn counted_as(in_set: bool, status: MasternodeStatus) -> &'static str {
    match status {
        _ if in_set => "active",
        MasternodeStatus::Eligible | MasternodeStatus::Exiting => "inactive",
        MasternodeStatus::Jailed => "jailed",
        MasternodeStatus::Slashed => "slashed",
        MasternodeStatus::Unbonding => "unbonding",
    }
}

/// Sets the gauges of masternodes, also of states that none is in.
pub(super) fn measure_masternodes(state: &LedgerState) {
    let set: BTreeSet<MasternodeId> = state.validators().members().iter().map(|member| member.id).collect();
    let mut counts = MASTERNODE_STATES.map(|name| (name, 0_u64));
    for (id, record) in state.masternodes() {
        let name = counted_as(set.contains(id), record.status());
        if let Some((_, count)) = counts.iter_mut().find(|(counted, _)| *counted == name) {
            *count = count.saturating_add(1);
        }
    }
    for (name, count) in counts {
        metrics::gauge!(metric_names::MASTERNODES, "state" => name).set(as_gauge(count));
    }
}

/// Gauges are floats; above 2^53 the last digits are lost, which no gauge here reaches.
#[allow(clippy::cast_precision_loss, reason = "see above")]
pub(super) const fn as_gauge(value: u64) -> f64 {
    value as f64
}

impl Observer for NodeObserver {
    fn notified(&mut self, notification: Notification) {
        match notification {
            Notification::Locked(transaction) => {
                self.mirror.locked(&transaction);
            }
            Notification::Voted(txids) => self.mirror.voted(&txids),
            Notification::VotesHeard { batch, was_asked } => {
                let accepted = |txid: &TxId| self.feeds.times(txid).map(|times| times.accepted);
                self.latency.votes_heard(&batch, was_asked, accepted, Clock.instant());
            }
            Notification::PrecommitHeard { member, height, round } => {
                self.latency.precommit_heard(&member, height, round, Clock.instant());
            }
            Notification::Certified(txid) => self.certified(&txid),
            Notification::Finalized(transaction) => self.finalized(&transaction),
            Notification::Conflicting { transaction, locked_to } => {
                let txid = transaction.txid();
                tracing::debug!(txid = %txid.short(), locked_to = %locked_to.short(), "Conflicting transaction");
                self.mirror.conflicting(&txid, &locked_to);
                self.conflicting(&transaction, locked_to);
                self.admission.contested(&txid);
                self.admission.contested(&locked_to);
            }
            Notification::WaitingForInputs(txid) => {
                self.mirror.pool.mark_waiting(&txid);
            }
            Notification::Dropped(txid, reason) => self.dropped(&txid, &reason),
            Notification::BlockApplied(applied) => self.applied(&applied),
            Notification::ForkDetected(_) => metrics::gauge!(metric_names::FORK_DETECTED).set(1.0),
            Notification::SigningChanged(_)
            | Notification::EvidenceFound(_)
            | Notification::Heartbeats(_) => {}
            Notification::Progress(Progress { round, .. }) => {
                metrics::gauge!(metric_names::CONSENSUS_ROUND).set(f64::from(round));
                self.events.stepped();
            }
        }
    }
}

#[cfg(test)]
mod tests;
