//! The check of a receipt, followed from section 10 of the wire specification alone.

use serde_json::{Value, json};

use crate::plain::hash;
use crate::plain_chain::Document;
use crate::plain_proof;
use crate::proofs::of_base64;

/// Takes so many bytes.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or("too short")?;
    *bytes = rest;
    Ok(taken)
}

fn number(bytes: &mut &[u8], width: usize) -> Result<u64, String> {
    Ok(take(bytes, width)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn ensure(holds: bool, problem: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem.to_owned()) }
}

/// What `proves` has to say of a transfer: its outputs and its memo.
fn content(mut body: &[u8], prefix: &str) -> Result<(Vec<Value>, Vec<u8>), String> {
    ensure(number(&mut body, 2)? == 1, "another version")?;
    let inputs = number(&mut body, 8)?;
    take(&mut body, usize::try_from(inputs).map_err(|_| "too many")?.checked_mul(36).ok_or("too many")?)?;
    let outputs = (0..number(&mut body, 8)?)
        .map(|place| {
            let value = number(&mut body, 8)?;
            ensure(number(&mut body, 4)? == 0, "another kind of lock")?;
            let data = [&[0], take(&mut body, 32)?].concat();
            let hrp = bech32::Hrp::parse(prefix).map_err(|error| error.to_string())?;
            let address = bech32::encode::<bech32::Bech32m>(hrp, &data).map_err(|error| error.to_string())?;
            let time = format!("{}.{:08}", value / 100_000_000, value % 100_000_000);
            Ok(json!({ "n": place, "value": value, "value_time": time, "address": address }))
        })
        .collect::<Result<Vec<_>, String>>()?;
    ensure(number(&mut body, 4)? == 0, "no transfer")?;
    let length = usize::try_from(number(&mut body, 8)?).map_err(|_| "too long")?;
    let memo = take(&mut body, length)?.to_vec();
    ensure(body.is_empty(), "trailing bytes")?;
    Ok((outputs, memo))
}

/// Whether a text is a receipt that holds.
pub fn check(document: &Document, receipt: &Value) -> Result<(), String> {
    ensure(receipt["format"] == "timed payment receipt" && receipt["version"] == 1, "no receipt")?;
    let digits = receipt["transaction"].as_str().ok_or("no transaction")?;
    let bytes = hex::decode(digits).map_err(|error| error.to_string())?;
    ensure(hex::encode(&bytes) == digits, "not in small letters")?;
    // The list of witnesses is empty.
    let body = bytes.strip_suffix(&[0; 8]).ok_or("witnesses")?;
    let (outputs, memo) = content(body, "dtime")?;
    let base64 = receipt["proof"].as_str().ok_or("no proof")?;
    let proved = plain_proof::check(document, None, &of_base64(base64))?;
    ensure(proved.txid == hash("timed/tx/v1", body), "another transaction")?;
    let text = String::from_utf8(memo.clone())
        .ok()
        .filter(|text| !text.is_empty() && !text.contains(char::is_control));
    let block = proved.block;
    let expected = json!({
        "format": "timed payment receipt", "version": 1, "transaction": digits, "proof": base64,
        "proves": {
            "outputs": outputs, "memo": hex::encode(memo), "memo_text": text,
            "finality": {
                "chain_id": hex::encode(proved.chain_id), "txid": hex::encode(proved.txid), "epoch": proved.epoch,
                "trusted": null,
                "height": block.map(|(height, ..)| height),
                "blockhash": block.map(|(_, hash, _)| hex::encode(hash)),
                "block_time": block.map(|(.., time)| time),
                "signers": proved.signers, "validators": proved.validators,
                "signed_weight": proved.signed_weight, "quorum": proved.quorum, "total_weight": proved.total_weight,
            },
        },
    });
    ensure(expected == *receipt, "it says something else")
}
