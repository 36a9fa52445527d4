//! The pool's transactions, and what one pays.

use serde::{Deserialize, Serialize};

use super::TransactionStatus;
use crate::types::{Amount, TimeMs, TxId};

/// `getmempoolentry`: a transaction that no block contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MempoolEntry {
    /// Its name.
    pub txid: TxId,
    /// Encoded bytes.
    pub size: usize,
    /// What it pays, in base units.
    pub fee: Amount,
    /// The same in TIME.
    pub fee_time: String,
    /// What it pays for 1,000 bytes, in base units.
    pub fee_per_kb: Amount,
    /// When this node took it.
    pub time: TimeMs,
    /// How far it has come: `pending`, `certified` or `final`.
    pub status: TransactionStatus,
    /// Whether it waits for an output that does not exist yet.
    pub waiting: bool,
    /// Whether another transaction spends one of its coins.
    pub conflicting: bool,
    /// Whether it came by this node's RPC.
    pub local: bool,
    /// Transactions of the pool that make what it spends.
    pub depends: Vec<TxId>,
}

/// `estimatesmartfee`: what a transaction has to pay now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeEstimate {
    /// For each started 1,000 bytes, in TIME.
    pub feerate: String,
    /// The same in base units.
    pub fee_per_kb: Amount,
    /// Blocks until it is in one, which finality does not wait for.
    pub blocks: u64,
}

impl FeeEstimate {
    /// For a floor in base units for each started 1,000 bytes.
    #[must_use]
    pub fn of(floor: Amount) -> Self {
        Self { feerate: floor.to_string(), fee_per_kb: floor, blocks: 1 }
    }
}
