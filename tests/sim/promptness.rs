//! Whoever pays and keeps the rules is not kept waiting, whatever others do meanwhile.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use timed::types::TxId;

use crate::world::World;

/// A payment that is not final everywhere.
struct Open {
    sent_ms: u64,
    /// Honest nodes where it is not final.
    lacking: BTreeSet<usize>,
}

/// Payments that conflict with none and wait for no parent, from when their users have first sent them to an honest node.
#[derive(Default)]
pub struct Promptness {
    /// Each has to be final at every honest node within so many milliseconds; 0: nothing is promised.
    limit_ms: u64,
    /// Those that no honest node has been sent.
    made: BTreeSet<TxId>,
    sent: VecDeque<TxId>,
    open: BTreeMap<TxId, Open>,
    /// How long each took of those that were promised anything, in milliseconds.
    waits_ms: Vec<u64>,
}

impl Promptness {
    /// A node found it final.
    pub fn finalized(&mut self, node: usize, txid: TxId, now_ms: u64) {
        self.made.remove(&txid);
        let Some(open) = self.open.get_mut(&txid) else { return };
        if open.lacking.remove(&node) && open.lacking.is_empty() {
            self.waits_ms.push(now_ms - open.sent_ms);
            self.open.remove(&txid);
        }
    }

    /// A payment that has waited for longer than was promised, and where.
    fn late(&mut self, now_ms: u64) -> Option<(TxId, &BTreeSet<usize>)> {
        while let Some(txid) = self.sent.front().copied() {
            if self.open.contains_key(&txid) {
                break;
            }
            self.sent.pop_front();
        }
        let txid = self.sent.front()?;
        let Open { sent_ms, lacking } = self.open.get(txid)?;
        (now_ms > sent_ms + self.limit_ms).then_some((*txid, lacking))
    }

    /// Whether anything was promised yet.
    pub const fn is_promised(&self) -> bool {
        self.limit_ms > 0
    }

    /// How many payments kept to what was promised, the median of their waits, the 99th percentile and the longest.
    pub fn figures(&self) -> (usize, [u64; 3]) {
        let mut waits_ms = self.waits_ms.clone();
        waits_ms.sort_unstable();
        let at = |per_cent: usize| {
            let place = (waits_ms.len() * per_cent / 100).min(waits_ms.len().saturating_sub(1));
            waits_ms.get(place).copied().unwrap_or(0)
        };
        (waits_ms.len(), [at(50), at(99), at(100)])
    }
}

impl World {
    /// From here on each payment of an honest user has to be final at every honest node within this time, or sooner if
    /// that was promised before.
    pub fn promise_finality_within(&mut self, limit_ms: u64) {
        let promised_ms = &mut self.promptness.limit_ms;
        *promised_ms = if *promised_ms == 0 { limit_ms } else { limit_ms.min(*promised_ms) };
    }

    /// Somebody has made a payment that conflicts with none.
    pub(super) fn expect_finality(&mut self, txid: TxId) {
        if self.promptness.limit_ms > 0 {
            self.promptness.made.insert(txid);
        }
    }

    /// A payment is sent to a node.
    pub(super) fn note_sent(&mut self, node: usize, txid: TxId) {
        if self.is_honest(node) && self.promptness.made.remove(&txid) {
            let lacking = (0..self.nodes.len()).filter(|node| self.is_honest(*node)).collect();
            self.promptness.sent.push_back(txid);
            self.promptness.open.insert(txid, Open { sent_ms: self.now_ms, lacking });
        }
    }

    pub(super) fn check_promptness(&mut self) {
        let (now_ms, limit_ms) = (self.now_ms, self.promptness.limit_ms);
        if self.is_over {
            return;
        }
        if let Some((txid, lacking)) = self.promptness.late(now_ms) {
            let late = format!("{txid} is not final after {limit_ms} ms at {lacking:?}");
            panic!("{late}; plan {:?}\n{}", self.plan, self.describe());
        }
    }
}
