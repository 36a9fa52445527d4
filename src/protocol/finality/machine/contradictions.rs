//! `Lock` votes of one member for transactions that share an input.

use super::{Entry, Machine};
use crate::protocol::finality::Effect;
use crate::types::TxId;

impl Machine {
    pub(super) fn lock_voters(&self, txid: &TxId) -> Vec<usize> {
        self.entries.get(txid).map(|entry| entry.lock_votes.voters().collect()).unwrap_or_default()
    }

    /// Evidence needs both transactions: a member's `Lock` votes for this one and for another that is known to spend one
    /// of its inputs. Those are the one that holds the lock and the best of the rest; more than one pair is not needed.
    pub(super) fn look_for_contradiction(&self, member: usize, txid: TxId, out: &mut Vec<Effect>) {
        let Some(transaction) = self.entries.get(&txid).and_then(Entry::resident) else { return };
        let votes_for = |rival: &TxId| {
            let entry = self.entries.get(rival);
            entry.is_some_and(|entry| entry.lock_votes.has_voted(member) && entry.resident().is_some())
        };
        let rival = transaction.inputs().iter().find_map(|outpoint| {
            let known = [self.locks.get(outpoint), self.conflicts.get(outpoint)];
            known.into_iter().flatten().copied().find(|rival| *rival != txid && votes_for(rival))
        });
        if let Some(rival) = rival {
            out.push(Effect::ContradictionSeen { member, first: txid, second: rival });
        }
    }
}
