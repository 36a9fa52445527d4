//! The pool's transactions as RPC shows them.

use crate::mempool::{PoolEntry, Stage, TransactionPool, TransactionSource};
use crate::rpc::types::{MempoolEntry, TransactionStatus};
use crate::types::{Amount, TxId};

/// Describes an entry, with those of its parents that the pool has too.
pub(super) fn mempool_entry(pool: &TransactionPool, entry: &PoolEntry) -> MempoolEntry {
    let transaction = &entry.transaction;
    let mut depends: Vec<TxId> = transaction.inputs().iter().map(|input| input.txid).collect();
    depends.sort_unstable();
    depends.dedup();
    depends.retain(|parent| pool.get(parent).is_some());
    MempoolEntry {
        txid: transaction.txid(),
        size: transaction.encoded_bytes(),
        fee: entry.fee,
        fee_time: entry.fee.to_string(),
        fee_per_kb: Amount(entry.rate.0),
        fee_per_kb_time: Amount(entry.rate.0).to_string(),
        time: entry.received_ms,
        status: match entry.stage {
            Stage::Pending | Stage::Waiting | Stage::Conflicting => TransactionStatus::Pending,
            Stage::Certified => TransactionStatus::Certified,
            Stage::Final { .. } => TransactionStatus::Final,
        },
        waiting: entry.stage == Stage::Waiting,
        conflicting: entry.stage == Stage::Conflicting,
        local: entry.source == TransactionSource::Local,
        depends,
    }
}
