//! The pool of transactions that no block contains.

use jsonrpsee::types::ErrorObjectOwned;
use serde::{Serialize, Serializer};

use crate::rpc::answers::{Reply, reply};
use crate::rpc::call::Call;
use crate::rpc::errors::{NOT_FOUND, bad_parameter, error};
use crate::rpc::limits::CONF_TARGET_MAX;
use crate::rpc::types::{FeeEstimate, MempoolEntry};
use crate::types::TxId;

/// What Bitcoin Core's `estimatesmartfee` can be asked to be, in letters of either case.
pub(in crate::rpc) const ESTIMATE_MODES: [&str; 3] = ["unset", "economical", "conservative"];

/// An object with a member for each entry, written without another copy of them all.
struct ByName(Vec<MempoolEntry>);

impl Serialize for ByName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|entry| (entry.txid, entry)))
    }
}

pub(super) async fn get_raw_mempool(call: Call) -> Result<Reply, ErrorObjectOwned> {
    let is_verbose = call.optional::<bool>(0)?.unwrap_or(false);
    let entries = call.node.mempool();
    Ok(if is_verbose {
        reply(ByName(entries))
    } else {
        reply(entries.into_iter().map(|entry| entry.txid).collect::<Vec<_>>())
    })
}

pub(super) fn get_mempool_entry(call: &Call) -> Result<MempoolEntry, ErrorObjectOwned> {
    let txid: TxId = call.required(0)?;
    call.node.mempool_entry(txid).ok_or_else(|| {
        let hint = "it may be in a block, or nobody has sent it here; `gettransactionstatus` tells";
        error(NOT_FOUND, "transaction not in mempool", "transaction_not_in_mempool", hint)
    })
}

pub(super) fn estimate_smart_fee(call: &Call) -> Result<FeeEstimate, ErrorObjectOwned> {
    // Votes decide within a second, whatever a payment pays above the floor: there is no market for places in blocks.
    let _target = call.limit(0, 1, CONF_TARGET_MAX)?;
    let mode = call.optional::<String>(1)?.map(|mode| mode.to_ascii_lowercase());
    if mode.is_some_and(|mode| !ESTIMATE_MODES.contains(&mode.as_str())) {
        let expected = format!("one of {}", ESTIMATE_MODES.join(", "));
        return Err(bad_parameter(call.name(1), &expected));
    }
    Ok(FeeEstimate::of(call.node.mempool_info().min_fee_per_kb))
}
