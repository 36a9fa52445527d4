//! Transactions: made, sent, found, waited for, explained.

use std::collections::BTreeMap;
use std::time::Duration;

use jsonrpsee::types::ErrorObjectOwned;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout_at;

use crate::rpc::answers::{Reply, reply};
use crate::rpc::api::{BlockSelector, SubmitErrorClass};
use crate::rpc::call::{Call, address_of, decode_transaction};
use crate::rpc::errors::{
    METHOD_NEEDS_SOCKET, NOT_FOUND, bad_parameter, error, of_node, of_submit, wrong_address,
};
use crate::rpc::events::{Cursor, EventLog, EventReader, PageLimit, ParseCursorError, Topic, Wanted};
use crate::rpc::limits::{
    FINALIZED_EVENTS_DEFAULT, FINALIZED_EVENTS_MAX, SMALL_VALUE_BYTES_MAX, WAIT_MS_DEFAULT, WAIT_MS_MAX,
};
use crate::rpc::types::{
    AcceptanceInfo, EventPage, RawTransactionInfo, TransactionInfo, TransactionStatus, TransactionStatusInfo,
    WaitTarget,
};
use crate::runtime::Clock;
use crate::types::amount::UNITS_PER_TIME;
use crate::types::codec::encode;
use crate::types::limits::{MAX_FEE_DEFAULT, MEMO_BYTES_MAX};
use crate::types::{Amount, OutPoint, Transaction, TxId, TxOut};

pub(super) async fn wait_for_transaction(call: Call) -> Result<TransactionStatusInfo, ErrorObjectOwned> {
    let txid = call.required::<TxId>(0)?;
    let target = call.optional::<WaitTarget>(1)?.unwrap_or(WaitTarget::Final);
    let timeout = Duration::from_millis(call.bounded(2, WAIT_MS_DEFAULT, WAIT_MS_MAX)?);
    let status = call.node.transaction_status(txid).await.map_err(of_node)?;
    // What has lost its coin never gets any further. What is unknown may come at any moment.
    let is_over = target.is_reached_by(status.status) || status.status == TransactionStatus::Conflicted;
    if is_over || timeout.is_zero() {
        return Ok(status);
    }
    call.wait(async { call.node.wait_for_transaction(txid, target, timeout).await.map_err(of_node) }).await
}

/// A cursor as callers give it: a text of an answer before, or a number. Numbers count the events of this start of the
/// node from 0; negative ones count back from the next event.
pub(in crate::rpc) fn cursor_of(log: &EventLog, given: &Value) -> Result<Cursor, ErrorObjectOwned> {
    let wrong = |problem: &str| bad_parameter("cursor", problem);
    match given {
        Value::String(text) => text.parse().map_err(|failure: ParseCursorError| wrong(&failure.to_string())),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(sequence), _) => Ok(log.at(sequence)),
            (None, Some(back)) => Ok(log.before_head(back.unsigned_abs())),
            (None, None) => Err(wrong("a whole number or a text")),
        },
        _ => Err(wrong("a whole number or a text")),
    }
}

pub(super) async fn get_finalized_since(call: Call) -> Result<EventPage, ErrorObjectOwned> {
    let log = call.node.events();
    let cursor = call.optional::<Value>(0)?.map(|given| cursor_of(log, &given)).transpose()?;
    let events = call.limit(1, FINALIZED_EVENTS_DEFAULT, FINALIZED_EVENTS_MAX)?;
    let limit = PageLimit { events, bytes: SMALL_VALUE_BYTES_MAX };
    let wait = Duration::from_millis(call.bounded(2, 0, WAIT_MS_MAX)?);
    let Some(cursor) = cursor else {
        let next_cursor = log.head().to_string();
        return Ok(EventPage { events: Vec::new(), next_cursor, missed: None });
    };
    let deadline = Clock.instant() + wait;
    let wanted = Wanted { topic: Topic::Finalized, cursor };
    let mut reader = EventReader::new(call.node.clone(), wanted);
    loop {
        let page = reader.page(limit).await.map_err(of_node)?;
        let is_over = wait.is_zero() || Clock.instant() >= deadline;
        if is_over || !page.events.is_empty() || page.missed.is_some() {
            return Ok(page);
        }
        call.wait(async {
            // That the time is over is as good a reason to look as an event.
            let _in_time = timeout_at(deadline.into(), reader.news()).await.is_ok();
            Ok(())
        })
        .await?;
    }
}

/// The refusal of what a WebSocket answers before it comes here, unless it stands in a batch.
pub(super) fn subscribe(call: &Call) -> ErrorObjectOwned {
    if call.by_websocket {
        let hint = "send it by itself on this WebSocket, not in an array";
        return error(METHOD_NEEDS_SOCKET, "subscriptions can't be in a batch", "not_in_batch", hint);
    }
    let hint = "open a WebSocket at /ws of this address and call it there";
    error(METHOD_NEEDS_SOCKET, "subscriptions need a WebSocket", "needs_websocket", hint)
}

/// The bound on the fee that a parameter says, [`MAX_FEE_DEFAULT`] if it says none; `None` for 0, which is no bound.
fn fee_max(call: &Call, index: usize) -> Result<Option<Amount>, ErrorObjectOwned> {
    let max = match call.optional::<Value>(index)? {
        None => MAX_FEE_DEFAULT,
        Some(given) => amount(&given).ok_or_else(|| bad_parameter(call.name(index), AMOUNT_WORDS))?,
    };
    Ok((max != Amount::ZERO).then_some(max))
}

pub(super) async fn send_raw_transaction(call: Call) -> Result<TxId, ErrorObjectOwned> {
    let transaction = call.transaction(0)?;
    let fee_max = fee_max(&call, 1)?;
    call.node.submit_transaction(transaction, fee_max).await.map_err(|refusal| of_submit(&refusal))
}

/// What an amount may be.
const AMOUNT_WORDS: &str = "base units as a number, or TIME as a text such as \"1.5\"";

/// What the faucet gives unless it is told: 100 TIME.
const FAUCET_DEFAULT: Amount = Amount(100 * UNITS_PER_TIME);

pub(super) async fn faucet(call: Call) -> Result<TxId, ErrorObjectOwned> {
    let recipient = call.address(0)?;
    let wanted = match call.optional::<Value>(1)? {
        None => FAUCET_DEFAULT,
        Some(given) => amount(&given).ok_or_else(|| bad_parameter(call.name(1), AMOUNT_WORDS))?,
    };
    call.node.faucet(recipient, wanted).await.map_err(|refusal| of_submit(&refusal))
}

/// Transactions that `testmempoolaccept` judges in one call, at most, as Bitcoin Core's.
const JUDGED_MAX: usize = 25;

pub(super) async fn test_mempool_accept(call: Call) -> Result<Vec<AcceptanceInfo>, ErrorObjectOwned> {
    let texts: Vec<String> = call.required(0)?;
    if texts.is_empty() || texts.len() > JUDGED_MAX {
        let problem = format!("from 1 to {JUDGED_MAX} transactions, not {}", texts.len());
        return Err(bad_parameter(call.name(0), &problem));
    }
    let fee_max = fee_max(&call, 1)?;
    let mut judged = Vec::with_capacity(texts.len());
    for text in &texts {
        let transaction = decode_transaction(text)?;
        let txid = transaction.txid();
        judged.push(match call.node.judge_transaction(transaction, fee_max).await {
            Ok(info) => info,
            Err(refusal) if refusal.class == SubmitErrorClass::Busy => return Err(of_submit(&refusal)),
            Err(refusal) => AcceptanceInfo::refused(txid, refusal.reason, (refusal.message, refusal.hint)),
        });
    }
    Ok(judged)
}

pub(super) async fn get_raw_transaction(call: Call) -> Result<Reply, ErrorObjectOwned> {
    let txid = call.required::<TxId>(0)?;
    let is_verbose = call.verbosity(1, 0, 1)? > 0;
    let found = call.node.transaction(txid).await.map_err(of_node)?;
    let (transaction, height) = found.ok_or_else(|| {
        let hint = "this node has no such transaction in its pool or its blocks; `gettransactionstatus` tells what it knows";
        error(NOT_FOUND, "transaction not found", "transaction_not_found", hint)
    })?;
    let hex = hex::encode(encode(&*transaction));
    if !is_verbose {
        return Ok(reply(hex));
    }
    let spent = call.node.spent_outputs(transaction.clone(), height).await.map_err(of_node)?;
    let receipts = match height {
        Some(_) => call.node.receipts(vec![txid]).await.map_err(of_node)?,
        None => BTreeMap::new(),
    };
    let header = match height {
        Some(height) => call.node.header(BlockSelector::Height(height)).await.map_err(of_node)?,
        None => None,
    };
    let header = header.map(|(header, _)| header);
    let time_s = header.as_ref().map(|header| header.time / 1_000);
    let (best, _) = call.node.best_block();
    Ok(reply(RawTransactionInfo {
        transaction: TransactionInfo::of(call.node.network(), &transaction, receipts.get(&txid), &spent),
        hex,
        height,
        block_hash: header.map(|header| header.hash()),
        time: time_s,
        block_time: time_s,
        confirmations: height.map_or(0, |height| best.saturating_sub(height).saturating_add(1)),
    }))
}

/// An entry of the inputs of `createrawtransaction`, as Bitcoin Core has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputName {
    txid: TxId,
    vout: u32,
}

/// An amount: base units as a number, or TIME as a decimal text.
fn amount(value: &Value) -> Option<Amount> {
    match value {
        Value::Number(number) => number.as_u64().map(Amount),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// The outputs: an object of addresses and amounts, or an array of such objects.
fn outputs(call: &Call, index: usize) -> Result<Vec<TxOut>, ErrorObjectOwned> {
    let wrong = |what: String| bad_parameter(call.name(index), &what);
    let given: Vec<serde_json::Map<String, Value>> = match call.required::<Value>(index)? {
        Value::Object(entries) => vec![entries],
        Value::Array(entries) => entries
            .into_iter()
            .map(|entry| match entry {
                Value::Object(entries) => Ok(entries),
                other => Err(wrong(format!("an object of address and amount, not {other}"))),
            })
            .collect::<Result<_, _>>()?,
        _ => return Err(wrong("an array of objects of address and amount".to_owned())),
    };
    let network = call.node.network();
    given
        .into_iter()
        .flatten()
        .map(|(text, value)| {
            let address =
                address_of(&text, network).map_err(|problem| wrong_address(call.name(index), &problem))?;
            let value =
                amount(&value).ok_or_else(|| wrong(format!("{value} is no amount: {AMOUNT_WORDS}")))?;
            Ok(TxOut { value, lock: address.lock })
        })
        .collect()
}

pub(super) async fn create_raw_transaction(call: Call) -> Result<String, ErrorObjectOwned> {
    let inputs: Vec<InputName> = call.required(0)?;
    let inputs = inputs.into_iter().map(|name| OutPoint { txid: name.txid, index: name.vout }).collect();
    let outputs = outputs(&call, 1)?;
    let memo = match call.optional::<String>(2)? {
        None => Vec::new(),
        Some(text) => hex::decode(&text)
            .map_err(|failure| bad_parameter(call.name(2), &format!("not hexadecimal: {failure}")))?,
    };
    if memo.len() > MEMO_BYTES_MAX {
        let expected = format!("at most {MEMO_BYTES_MAX} bytes, not {}", memo.len());
        return Err(bad_parameter(call.name(2), &expected));
    }
    Ok(hex::encode(encode(&Transaction::transfer(inputs, outputs, memo))))
}
