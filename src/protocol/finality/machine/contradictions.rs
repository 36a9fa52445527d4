//! Transactions that spend the same outputs: which of them is kept, and who voted `Lock` for two of them.

use std::collections::BTreeSet;

use super::{Entry, Machine, conflict_order};
use crate::protocol::finality::{DropReason, Effect, RIVALS_MAX};
use crate::protocol::validity::CheckedTransaction;
use crate::types::TxId;

impl Machine {
    /// Rule 6: beside the locked one, for each output the conflicting transaction that comes first in the next epoch is
    /// kept. The cost is that of the transaction's inputs: places are counted, nobody looks for them.
    pub(super) fn note_conflict(&mut self, tx: &CheckedTransaction, locked_to: TxId, out: &mut Vec<Effect>) {
        let txid = tx.txid();
        let order = conflict_order(self.epoch.saturating_add(1), &txid);
        let mut places = 0_usize;
        let mut displaced = BTreeSet::new();
        for outpoint in tx.inputs() {
            if let Some(holder) = self.locks.get(outpoint).copied() {
                self.note_rivals(txid, holder);
            }
            match self.conflicts.get(outpoint).copied() {
                Some((_, other)) if other == txid => places = places.saturating_add(1),
                Some((before, other)) if before < order => self.note_rivals(txid, other),
                other => {
                    places = places.saturating_add(1);
                    self.conflicts.insert(*outpoint, (order, txid));
                    if let Some((_, other)) = other {
                        self.note_rivals(txid, other);
                        if self.leave_place(&other) {
                            displaced.insert(other);
                        }
                    }
                }
            }
        }
        if places > 0 {
            self.conflict_places.insert(txid, places);
            out.push(Effect::Conflicting { transaction: tx.clone(), locked_to });
        }
        for other in displaced {
            self.drop_body(other, DropReason::WorseConflict, out);
        }
        if places == 0 {
            self.drop_body(txid, DropReason::WorseConflict, out);
        }
    }

    /// Whether that was its last place.
    fn leave_place(&mut self, txid: &TxId) -> bool {
        let Some(places) = self.conflict_places.get_mut(txid) else { return false };
        *places = places.saturating_sub(1);
        let is_last = *places == 0;
        if is_last {
            self.conflict_places.remove(txid);
        }
        is_last
    }

    /// Takes a transaction's places away.
    pub(super) fn remove_conflicts(&mut self, tx: &CheckedTransaction) {
        let txid = tx.txid();
        if self.conflict_places.remove(&txid).is_none() {
            return;
        }
        for outpoint in tx.inputs() {
            if self.conflicts.get(outpoint).is_some_and(|(_, of)| *of == txid) {
                self.conflicts.remove(outpoint);
            }
        }
    }

    fn note_rivals(&mut self, one: TxId, other: TxId) {
        for (of, rival) in [(one, other), (other, one)] {
            if of != rival
                && let Some(entry) = self.entries.get_mut(&of)
                && entry.rivals.len() < RIVALS_MAX
            {
                entry.rivals.insert(rival);
            }
        }
    }

    pub(super) fn lock_voters(&self, txid: &TxId) -> Vec<usize> {
        self.entries.get(txid).map(|entry| entry.lock_votes.voters().collect()).unwrap_or_default()
    }

    /// Evidence needs both transactions: a member's `Lock` votes for this one and for another that is known to spend one
    /// of its inputs. More than one pair is not needed. A vote costs a look at the few transactions that are known to
    /// conflict, however many inputs there are.
    pub(super) fn look_for_contradiction(&self, member: usize, txid: TxId, out: &mut Vec<Effect>) {
        let Some(entry) = self.entries.get(&txid).filter(|entry| entry.resident().is_some()) else { return };
        let votes_for = |rival: &&TxId| {
            let entry = self.entries.get(*rival);
            entry
                .is_some_and(|entry: &Entry| entry.lock_votes.has_voted(member) && entry.resident().is_some())
        };
        if let Some(rival) = entry.rivals.iter().find(votes_for) {
            out.push(Effect::ContradictionSeen { member, first: txid, second: *rival });
        }
    }

    /// What is wrong with the places of conflicting transactions, if anything is.
    pub(super) fn check_conflicts(&self) -> Result<(), String> {
        let counted: usize = self.conflict_places.values().sum();
        if counted != self.conflicts.len() {
            return Err("the places of conflicting transactions are not counted right".to_owned());
        }
        let kept = |txid: &TxId| self.entries.get(txid).is_some_and(|entry| entry.resident().is_some());
        if let Some(txid) = self.conflict_places.keys().find(|txid| !kept(txid)) {
            return Err(format!("the conflicting {txid} has a place and no body"));
        }
        if self.entries.sorted().into_iter().any(|(_, entry)| entry.rivals.len() > RIVALS_MAX) {
            return Err("INV-FIN-6: more rivals than allowed".to_owned());
        }
        Ok(())
    }
}
