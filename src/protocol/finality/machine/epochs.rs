//! Blocks, and what an epoch's end leaves: rule 6.

use super::bodies::Readiness;
use super::{Body, Machine, conflict_order};
use crate::protocol::finality::{ChainView, DropReason, Effect};
use crate::protocol::validity::CheckedTransaction;
use crate::types::TxId;

impl Machine {
    pub(super) fn on_block(
        &mut self,
        chain: &ChainView<'_>,
        block: &[CheckedTransaction],
        out: &mut Vec<Effect>,
    ) {
        for transaction in block {
            self.settle(transaction, out);
        }
        for transaction in block {
            self.wake(transaction.txid(), Readiness::Spendable);
        }
        self.look_again(chain, out);
        self.trim_resident();
        if chain.state.next_epoch() != self.epoch {
            self.start_epoch(chain, out);
            return;
        }
        if chain.state.is_closing() && !self.closing {
            self.closing = true;
            out.push(Effect::EnterClosing);
        }
        self.on_hold(false, out);
        while !self.closing && !self.blocks_must_catch_up() {
            let Some(txid) = self.throttled.pop_front() else { break };
            self.vote_lock(txid, out);
        }
    }

    /// The transaction is in the chain: votes for it are settled, its rivals are dead, its locks stay.
    fn settle(&mut self, transaction: &CheckedTransaction, out: &mut Vec<Effect>) {
        let txid = transaction.txid();
        self.settled.insert(txid);
        self.promises.remove(&txid);
        self.wanted_bodies.remove(&txid);
        self.want_no_certificate(&txid);
        self.stop_waiting(&txid);
        self.remove_unlocked(txid);
        self.remove_conflicts(transaction);
        if let Some(entry) = self.entries.get(&txid) {
            if let Some(place) = entry.certified {
                self.certified.remove(&place);
                if let Some(resident) = entry.resident() {
                    self.certified_bytes = self.certified_bytes.saturating_sub(resident.encoded_bytes());
                }
            }
            // A body counts no votes as unknown.
            self.set_body(txid, Body::Unchecked(transaction.clone()));
            self.entries.remove(&txid);
        }
        let mut rivals: Vec<TxId> = Vec::new();
        for outpoint in transaction.inputs() {
            rivals.push(*self.locks.get_or_insert(*outpoint, txid));
            rivals.extend(self.conflicts.get(outpoint).map(|(_, rival)| *rival));
        }
        // All of one rival's inputs name it.
        rivals.sort_unstable();
        rivals.dedup();
        for rival in rivals.into_iter().filter(|rival| *rival != txid) {
            self.drop_body(rival, DropReason::SpentBy(txid), out);
        }
    }

    /// Rule 6: tallies and locks start anew; what was not included is voted on afresh, conflicting ones in the order
    /// of `H(epoch, txid)`, which is the same at every node. Those that were left to the journal come back in their places:
    /// the executor loads them in the order of these effects, and says when it is through. What waited for an input that
    /// nobody has seen final is not carried over.
    fn start_epoch(&mut self, chain: &ChainView<'_>, out: &mut Vec<Effect>) {
        let fresh = Self::empty(self.me, chain.state);
        let ended = std::mem::replace(self, fresh);
        self.journaled = ended.journaled;
        self.restore();
        let mut carried: Vec<([u8; 32], TxId, Option<CheckedTransaction>)> = Vec::new();
        for (txid, entry) in ended.entries.into_sorted() {
            if entry.dead {
                continue;
            }
            let order = conflict_order(self.epoch, &txid);
            let reason = if entry.expired { DropReason::Expired } else { DropReason::EpochEnded };
            let is_left = entry.expired || ended.lacking.contains_key(&txid);
            match entry.body {
                Body::Missing => {}
                _ if is_left => out.push(Effect::Dropped { txid, reason }),
                Body::Unchecked(_) => out.push(Effect::Dropped { txid, reason: DropReason::EpochEnded }),
                Body::Resident(transaction) => carried.push((order, txid, Some(transaction))),
                Body::Spilled => carried.push((order, txid, None)),
            }
        }
        carried.sort_unstable_by_key(|(order, txid, _)| (*order, *txid));
        let spilled = carried.iter().filter(|(.., body)| body.is_none());
        out.extend(spilled.map(|(_, txid, _)| Effect::LoadBody(*txid)));
        let none_spilled = carried.iter().all(|(.., body)| body.is_some());
        self.carried = carried.into();
        if none_spilled {
            self.carry_on(chain, None, out);
        } else {
            out.push(Effect::CarryOver);
        }
    }

    /// Looks at what was carried over, in its order: up to the body that was just loaded, or all of it. One of the journal
    /// that did not come by then is not there any more.
    pub(super) fn carry_on(&mut self, chain: &ChainView<'_>, loaded: Option<&TxId>, out: &mut Vec<Effect>) {
        if self.carried.is_empty() {
            return;
        }
        let until = loaded.map(|txid| (conflict_order(self.epoch, txid), *txid));
        while let Some((order, txid, body)) = self.carried.pop_front() {
            match until {
                Some(until) if (order, txid) == until => return,
                Some(until) if (order, txid) > until => {
                    self.carried.push_front((order, txid, body));
                    return;
                }
                _ => {}
            }
            if let Some(transaction) = body {
                self.on_transaction(chain, transaction, out);
            }
        }
    }
}
