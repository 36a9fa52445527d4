//! What the finality machine decided, for readers: outputs, pool, and those who wait.
//!
//! # Place
//! The node's observer calls this on the observers' thread, in the order of consensus; the simulator does the same. All
//! of it is in memory.
//!
//! # Invariants
//! - Outputs change before anybody is told that they did, so whoever looks after the news finds them.
//! - INV-MIRROR-2: of two transactions with a common input neither takes a place of the pool, whichever holds it.

use std::sync::Arc;

use super::News;
use crate::mempool::{TransactionPool, TransactionSource};
use crate::protocol::validity::CheckedTransaction;
use crate::types::{Amount, Epoch, Height, TimeMs, TxId};
use crate::utxo::UtxoManager;

/// Outputs and pool as the finality machine has decided.
#[derive(Clone)]
pub struct Mirror {
    /// The outputs.
    pub utxos: Arc<UtxoManager>,
    /// The pool.
    pub pool: Arc<TransactionPool>,
    /// Those who wait.
    pub news: Arc<News>,
}

impl Mirror {
    /// All inputs are locked to it.
    pub fn locked(&self, transaction: &CheckedTransaction) {
        // Where admission locked another one first, the vote that follows decides.
        let _mirrored = self.utxos.lock(transaction).is_ok();
        self.pool.mark_pending(&transaction.txid());
    }

    /// This node's votes for these are out.
    pub fn voted(&self, txids: &[TxId]) {
        for txid in txids {
            if let Some(transaction) = self.pool.get(txid) {
                self.utxos.mark_voted(*txid, transaction.inputs());
            }
        }
    }

    /// It is final, and its outputs can be spent. Whether anybody waits for that.
    pub fn finalized(&self, transaction: &CheckedTransaction, now_ms: TimeMs) -> bool {
        let txid = transaction.txid();
        self.utxos.mark_final(transaction);
        if self.pool.mark_final(&txid, now_ms).is_none() {
            // The pool had no place for it; now it can't be kept out, whatever it pays. A block may have it already.
            let (fee, source) = (Amount::ZERO, TransactionSource::Local);
            let _kept = self.pool.insert_certified(transaction.clone(), fee, now_ms, source).is_ok();
            self.pool.mark_final(&txid, now_ms);
        }
        self.news.settled(txid)
    }

    /// Another transaction holds one of its inputs.
    pub fn conflicting(&self, txid: &TxId, locked_to: &TxId) {
        self.pool.mark_conflicting(txid);
        self.pool.mark_conflicting(locked_to);
    }

    /// It was forgotten. Whether anybody waits for that.
    pub fn dropped(&self, txid: TxId) -> bool {
        if let Some(transaction) = self.pool.remove(&txid) {
            self.utxos.release(&transaction);
        }
        self.news.dropped(txid)
    }

    /// A block has taken these; the outputs say so. Whether anybody waits for that.
    pub fn included(&self, txids: &[TxId], height: Height, now_ms: TimeMs) -> bool {
        // A block makes final what was not.
        self.pool.remove_included(txids, height, now_ms);
        txids.iter().fold(false, |somebody, txid| self.news.settled(*txid) | somebody)
    }

    /// An epoch has begun: locks go, and what is not in the chain counts again. Gives what had to leave the pool.
    pub fn epoch_started(&self, epoch: Epoch, now_ms: TimeMs) -> Vec<TxId> {
        self.utxos.start_epoch();
        let gone = self.pool.start_epoch(now_ms);
        self.news.epoch_started(epoch);
        gone
    }
}
