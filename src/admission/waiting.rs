//! Children of transactions that are locked here: their users' node keeps them until their parents are final.
//!
//! # Place
//! Part of [`Admission`](super::Admission). All outputs that such a child spends are known by the bodies of its parents,
//! so its fee is known and its signatures are checked; but it locks nothing and no peer hears of it before its parents
//! are final. It is carried over epochs by this node alone.
//!
//! # Invariants
//! - INV-WAITING-1: at most [`WAITING_TRANSACTIONS_MAX`] of at most [`WAITING_BYTES_MAX`], each behind at most
//!   [`ANCESTORS_MAX`] that are not final.
//! - INV-WAITING-2: no two of them spend one output.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::mempool::{WAITING_BYTES_MAX, WAITING_TRANSACTIONS_MAX};
use crate::protocol::validity::CheckedTransaction;
use crate::types::{OutPoint, TxId};

/// Transactions that are not final, before one that waits, at most.
pub const ANCESTORS_MAX: usize = 25;
/// What the store needs beside the bytes: for one that waits, and for each of its inputs.
pub(super) const WAITING_OVERHEAD_BYTES: usize = 1_024;

/// Why one does not wait here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitingError {
    /// Another one that waits spends this output.
    Taken { outpoint: OutPoint, by: TxId },
    /// Too many come before it.
    TooManyAncestors,
    /// No room.
    Full,
}

#[derive(Debug)]
struct Waiting {
    transaction: CheckedTransaction,
    /// Parents that are not final.
    parents: BTreeSet<TxId>,
}

/// Those that wait for their parents.
#[derive(Debug, Default)]
pub(super) struct WaitingStore {
    waiting: BTreeMap<TxId, Waiting>,
    children: BTreeMap<TxId, BTreeSet<TxId>>,
    spends: BTreeMap<OutPoint, TxId>,
    bytes: usize,
}

impl WaitingStore {
    /// Keeps a transaction until these parents are final.
    pub(super) fn insert(
        &mut self,
        transaction: CheckedTransaction,
        parents: BTreeSet<TxId>,
    ) -> Result<(), WaitingError> {
        self.has_room(&transaction, &parents)?;
        let (txid, bytes) = (transaction.txid(), transaction.encoded_bytes());
        if self.waiting.contains_key(&txid) {
            return Ok(());
        }
        for parent in &parents {
            self.children.entry(*parent).or_default().insert(txid);
        }
        self.spends.extend(transaction.inputs().iter().map(|outpoint| (*outpoint, txid)));
        self.bytes = self.bytes.saturating_add(bytes);
        self.waiting.insert(txid, Waiting { transaction, parents });
        Ok(())
    }

    /// Whether a transaction may wait for these parents.
    pub(super) fn has_room(
        &self,
        transaction: &CheckedTransaction,
        parents: &BTreeSet<TxId>,
    ) -> Result<(), WaitingError> {
        let (txid, bytes) = (transaction.txid(), transaction.encoded_bytes());
        let taken = |outpoint: &&OutPoint| self.spends.get(outpoint).is_some_and(|by| *by != txid);
        if let Some(outpoint) = transaction.inputs().iter().find(taken) {
            let by = self.spends.get(outpoint).copied().unwrap_or(txid);
            return Err(WaitingError::Taken { outpoint: *outpoint, by });
        }
        if self.waiting.contains_key(&txid) {
            return Ok(());
        }
        if self.ancestors(parents) > ANCESTORS_MAX {
            return Err(WaitingError::TooManyAncestors);
        }
        if self.waiting.len() >= WAITING_TRANSACTIONS_MAX
            || self.bytes.saturating_add(bytes) > WAITING_BYTES_MAX
        {
            return Err(WaitingError::Full);
        }
        Ok(())
    }

    /// How many come before it, counted up to one more than allowed.
    fn ancestors(&self, parents: &BTreeSet<TxId>) -> usize {
        let mut seen = parents.clone();
        let mut queue: VecDeque<TxId> = parents.iter().copied().collect();
        while let Some(txid) = queue.pop_front() {
            if seen.len() > ANCESTORS_MAX {
                break;
            }
            for parent in self.waiting.get(&txid).into_iter().flat_map(|waiting| &waiting.parents) {
                if seen.insert(*parent) {
                    queue.push_back(*parent);
                }
            }
        }
        seen.len()
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, txid: &TxId) -> Option<CheckedTransaction> {
        let waiting = self.waiting.remove(txid)?;
        self.bytes = self.bytes.saturating_sub(waiting.transaction.encoded_bytes());
        for outpoint in waiting.transaction.inputs() {
            self.spends.remove(outpoint);
        }
        for parent in &waiting.parents {
            if let Some(children) = self.children.get_mut(parent) {
                children.remove(txid);
                if children.is_empty() {
                    self.children.remove(parent);
                }
            }
        }
        Some(waiting.transaction)
    }

    /// Whether it waits here.
    pub(super) fn contains(&self, txid: &TxId) -> bool {
        self.waiting.contains_key(txid)
    }

    /// A parent is final: takes out those that wait for no other one.
    pub(super) fn parent_final(&mut self, parent: &TxId) -> Vec<CheckedTransaction> {
        let children = self.children.remove(parent).unwrap_or_default();
        let mut ready = Vec::new();
        for child in children {
            let Some(waiting) = self.waiting.get_mut(&child) else { continue };
            waiting.parents.remove(parent);
            if waiting.parents.is_empty() {
                ready.extend(self.remove(&child));
            }
        }
        ready
    }

    /// A transaction will never be final: takes out all that come after it.
    pub(super) fn parent_dropped(&mut self, parent: &TxId) -> Vec<CheckedTransaction> {
        let mut gone = Vec::new();
        let mut queue = VecDeque::from([*parent]);
        while let Some(txid) = queue.pop_front() {
            let children: Vec<TxId> = self.children.get(&txid).into_iter().flatten().copied().collect();
            gone.extend(children.iter().filter_map(|child| self.remove(child)));
            queue.extend(children);
        }
        gone
    }

    /// The parents that are waited for.
    pub(super) fn parents(&self) -> Vec<TxId> {
        self.children.keys().copied().collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Holds the counts against what is there.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let bytes: usize = self.waiting.values().map(|waiting| waiting.transaction.encoded_bytes()).sum();
        let inputs: usize = self.waiting.values().map(|waiting| waiting.transaction.inputs().len()).sum();
        let parents: usize = self.waiting.values().map(|waiting| waiting.parents.len()).sum();
        if bytes != self.bytes || self.waiting.len() > WAITING_TRANSACTIONS_MAX {
            return Err("INV-WAITING-1: those that wait are not counted right");
        }
        if inputs != self.spends.len() {
            return Err("INV-WAITING-2: two that wait spend one output");
        }
        if parents != self.children.values().map(BTreeSet::len).sum::<usize>() {
            return Err("those that wait are not listed by their parents");
        }
        Ok(())
    }
}
