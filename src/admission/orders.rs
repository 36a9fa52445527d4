//! What one call of admission orders, so gathered that what belongs together leaves together.
//!
//! # Order
//! What readers see comes first, then the machine, then the peers, and the users' answers last: whoever is told that a
//! transaction was taken finds it in the pool, and the votes on it wait for nobody's answer.
//!
//! # Bundles
//! Transactions travel in bundles, each with the costs of one message: what users sent in one turn is one, and what a
//! peer sent in one message is one again. If all of that is passed on, the bytes are those that came, so that whoever has
//! them from elsewhere is not sent them again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Refusal;
use super::checks::{Action, Origin};
use crate::network::PeerId;
use crate::protocol::validity::CheckedTransaction;
use crate::types::limits::{BUNDLE_BYTES_MAX, BUNDLE_TRANSACTIONS_MAX};
use crate::types::{Transaction, TxId};

/// Which of the messages of one turn a transaction came in; 0 for what users sent, and for what waited here.
pub type BundleNumber = usize;

/// Transactions that are sent in one message, and their bytes.
#[derive(Default)]
struct Bundle {
    transactions: Vec<Arc<Transaction>>,
    bytes: usize,
}

impl Bundle {
    fn has_room_for(&self, bytes: usize) -> bool {
        self.transactions.len() < BUNDLE_TRANSACTIONS_MAX
            && self.bytes.saturating_add(bytes) <= BUNDLE_BYTES_MAX
    }
}

/// The orders of one call.
#[derive(Default)]
pub(super) struct Orders {
    seen: Vec<Action>,
    considered: Vec<CheckedTransaction>,
    /// By the message that they came in, and whom not to tell.
    relayed: BTreeMap<(BundleNumber, Option<PeerId>), Vec<Bundle>>,
    answers: Vec<Action>,
}

impl Orders {
    /// What is neither handed to the machine, nor passed on, nor answered.
    pub(super) fn push(&mut self, action: Action) {
        self.seen.push(action);
    }

    /// Hands it to the finality machine.
    pub(super) fn consider(&mut self, transaction: CheckedTransaction) {
        self.considered.push(transaction);
    }

    /// Passes it on to all peers but the one that it came from.
    pub(super) fn relay(&mut self, transaction: &CheckedTransaction, origin: Option<Origin>) {
        let number = origin.map_or(0, |origin| origin.bundle);
        let bundles = self.relayed.entry((number, origin.and_then(|origin| origin.peer()))).or_default();
        let bytes = transaction.encoded_bytes();
        if !bundles.last().is_some_and(|bundle| bundle.has_room_for(bytes)) {
            bundles.push(Bundle::default());
        }
        if let Some(bundle) = bundles.last_mut() {
            bundle.transactions.push(Arc::clone(transaction.transaction()));
            bundle.bytes = bundle.bytes.saturating_add(bytes);
        }
    }

    /// Answers whoever sent it.
    pub(super) fn answer(&mut self, origin: Origin, outcome: Result<TxId, Refusal>) {
        self.answers.push(Action::Answer(origin.ticket, outcome));
    }

    /// All of them, in the order in which they are to be executed.
    pub(super) fn finish(self) -> Vec<Action> {
        let Self { seen: mut actions, considered, relayed, answers } = self;
        if !considered.is_empty() {
            actions.push(Action::Consider(considered));
        }
        for ((_, except), bundles) in relayed {
            actions.extend(bundles.into_iter().map(|bundle| Action::Relay(bundle.transactions, except)));
        }
        actions.extend(answers);
        actions
    }
}
