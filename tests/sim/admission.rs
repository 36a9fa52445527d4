//! Admission at each node: the same as in the node, driven by the world.

use std::sync::Arc;

use timed::admission::{Action, Moment, Submission};
use timed::consensus::events::{Event, Notification, Now};
use timed::mempool::TransactionSource;
use timed::network::PeerId;
use timed::protocol::validity::CheckedTransaction;
use timed::types::{Message, Transaction, TxId};

use crate::world::World;

impl World {
    fn moment(&self, node: usize) -> Moment {
        let Now { monotonic_ms, wall_ms } = self.nodes[node].now(self.now_ms);
        Moment { wall_ms, steady_ms: monotonic_ms }
    }

    /// Hands transactions in; whether the first one was taken, if a user sent it.
    pub fn admit(
        &mut self,
        node: usize,
        source: TransactionSource,
        transactions: Vec<Arc<Transaction>>,
    ) -> Option<bool> {
        let now = self.moment(node);
        let running = self.nodes[node].running.as_mut()?;
        let ticket = matches!(source, TransactionSource::Local).then_some(0);
        let submission = |transaction| Submission { transaction, source, ticket, fee_max: None };
        let submissions = transactions.into_iter().map(submission).collect();
        let state = Arc::clone(running.consensus.state());
        let actions = running.admission.admit(submissions, &state, now);
        let answer = actions.iter().find_map(|action| match action {
            Action::Answer(Some(_), outcome) => Some(outcome.is_ok()),
            _ => None,
        });
        self.execute_actions(node, actions);
        answer
    }

    /// Time passes for those who wait.
    pub(super) fn tick_admission(&mut self, node: usize) {
        let now = self.moment(node);
        let Some(running) = &mut self.nodes[node].running else { return };
        let actions = running.admission.tick(now);
        self.execute_actions(node, actions);
    }

    /// A peer says that transactions lack votes.
    pub fn hear_announcement(&mut self, node: usize, from: PeerId, txids: &[TxId]) {
        let now = self.moment(node);
        let Some(running) = &mut self.nodes[node].running else { return };
        let actions = running.admission.announced(from, txids, now);
        self.execute_actions(node, actions);
    }

    /// Those who wait at a node look at what happened.
    pub fn hear(&mut self, node: usize) {
        let now = self.moment(node);
        loop {
            let Some(running) = &mut self.nodes[node].running else { return };
            let happened = running.mirror.news.take();
            let more = || running.admission.has_ready().then(Default::default);
            let Some(happened) = happened.or_else(more) else { return };
            let state = Arc::clone(running.consensus.state());
            let actions = running.admission.hear(happened, &state, now);
            self.execute_actions(node, actions);
        }
    }

    fn execute_actions(&mut self, node: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Consider(transaction) => self.feed(node, Event::Transaction(transaction)),
                Action::Relay(transaction, except) => {
                    self.broadcast(node, &Message::Transaction(transaction), except);
                }
                Action::Expired(txids) => self.feed(node, Event::Expired(txids)),
                Action::Blame(peer, what) => {
                    assert!(self.may_be_blamed(peer), "an honest peer is blamed: {what}");
                    self.seen.blamed += 1;
                }
                Action::Announce(txids) => self.broadcast(node, &Message::Announce(txids), None),
                Action::Ask(peer, txids) => {
                    if let Some(to) = self.nodes.iter().position(|node| node.peer == peer) {
                        self.send(node, to, Message::GetTransactions(txids));
                    }
                }
                Action::Accepted(..) | Action::Waits(_) | Action::Gone(_) | Action::Answer(..) => {}
            }
        }
    }

    /// What the node's observer does with what the core says, in its order.
    pub fn mirror(&mut self, node: usize, notification: &Notification) {
        let now_ms = self.moment(node).wall_ms;
        let Some(running) = &self.nodes[node].running else { return };
        let mirror = &running.mirror;
        match notification {
            Notification::Locked(transaction) => mirror.locked(transaction),
            Notification::Voted(txids) => mirror.voted(txids),
            Notification::Certified(txid) => {
                mirror.pool.mark_certified(txid);
            }
            Notification::Finalized(transaction) => {
                mirror.finalized(transaction, now_ms);
            }
            Notification::Conflicting { transaction, locked_to } => {
                mirror.conflicting(&transaction.txid(), locked_to);
            }
            Notification::WaitingForInputs(txid) => {
                mirror.pool.mark_waiting(txid);
            }
            Notification::Dropped(txid, _) => {
                mirror.dropped(*txid);
            }
            Notification::BlockApplied(applied) => {
                let header = &applied.committed.block.header;
                let txids: Vec<TxId> = applied.transactions.iter().map(CheckedTransaction::txid).collect();
                mirror.included(&txids, header.height, now_ms);
                if header.epoch_end {
                    mirror.epoch_started(applied.state.next_epoch(), now_ms);
                }
            }
            _ => {}
        }
    }
}
