//! The pool's transactions, and what one pays.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TransactionStatus;
use crate::types::{Amount, TimeMs, TxId};

/// `getmempoolentry`: a transaction that no block contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// The same in TIME.
    pub fee_per_kb_time: String,
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

/// `testmempoolaccept`: whether a transaction would be taken, one entry for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AcceptanceInfo {
    /// Its name.
    pub txid: TxId,
    /// Whether it would be taken now.
    pub allowed: bool,
    /// Encoded bytes, if it would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// What it pays, in base units, if it would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee: Option<Amount>,
    /// The same in TIME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_time: Option<String>,
    /// Whether it would wait for parents that are not final yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
    /// Why it would not: the stable name that `sendrawtransaction` would give.
    #[serde(default, rename = "reject-reason", skip_serializing_if = "Option::is_none")]
    pub reject_reason: Option<String>,
    /// The same in a sentence.
    #[serde(default, rename = "reject-details", skip_serializing_if = "Option::is_none")]
    pub reject_details: Option<String>,
    /// What to do about it.
    #[serde(default, rename = "reject-hint", skip_serializing_if = "Option::is_none")]
    pub reject_hint: Option<String>,
}

impl AcceptanceInfo {
    /// One that would not be taken.
    #[must_use]
    pub fn refused(txid: TxId, reason: &str, (details, hint): (String, String)) -> Self {
        Self {
            txid,
            allowed: false,
            size: None,
            fee: None,
            fee_time: None,
            waits: false,
            reject_reason: Some(reason.to_owned()),
            reject_details: Some(details),
            reject_hint: Some(hint),
        }
    }

    /// One that would be taken.
    #[must_use]
    pub fn taken(txid: TxId, size: usize, fee: Amount, waits: bool) -> Self {
        Self {
            txid,
            allowed: true,
            size: Some(size),
            fee: Some(fee),
            fee_time: Some(fee.to_string()),
            waits,
            reject_reason: None,
            reject_details: None,
            reject_hint: None,
        }
    }
}

/// `estimatesmartfee`: what a transaction has to pay now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
