//! What became of the transactions that the chain has taken most recently.
//!
//! # Place
//! Part of [`TransactionPool`](super::TransactionPool): RPC can still tell how long finality took.

use std::collections::{HashMap, VecDeque};

use ahash::RandomState;

use super::PoolStatus;
use crate::types::TxId;

/// Transactions in the chain whose course is remembered, at most; the oldest goes first.
pub const RECENT_TRANSACTIONS_MAX: usize = 65_536;

#[derive(Default)]
pub(super) struct RecentRing {
    order: VecDeque<TxId>,
    by_txid: HashMap<TxId, PoolStatus, RandomState>,
}

impl RecentRing {
    pub(super) fn push(&mut self, txid: TxId, status: PoolStatus) {
        if self.by_txid.insert(txid, status).is_none() {
            self.order.push_back(txid);
        }
        while self.order.len() > RECENT_TRANSACTIONS_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.by_txid.remove(&oldest);
            }
        }
    }

    pub(super) fn get(&self, txid: &TxId) -> Option<PoolStatus> {
        self.by_txid.get(txid).copied()
    }

    pub(super) fn is_consistent(&self) -> bool {
        self.order.len() == self.by_txid.len() && self.order.len() <= RECENT_TRANSACTIONS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mempool::Stage;

    #[test]
    fn the_oldest_goes_first_and_nothing_is_counted_twice() {
        let mut ring = RecentRing::default();
        let txid = |number: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            TxId(bytes)
        };
        let status = |height| PoolStatus { stage: Stage::Certified, received_ms: 0, included: Some(height) };
        for number in 0..RECENT_TRANSACTIONS_MAX {
            ring.push(txid(number), status(1));
        }
        ring.push(txid(0), status(2));
        assert_eq!(ring.get(&txid(0)), Some(status(2)));
        ring.push(txid(RECENT_TRANSACTIONS_MAX), status(3));
        assert_eq!(ring.get(&txid(0)), None);
        assert_eq!(ring.get(&txid(1)), Some(status(1)));
        assert_eq!(ring.get(&txid(RECENT_TRANSACTIONS_MAX)), Some(status(3)));
        assert!(ring.is_consistent());
    }
}
