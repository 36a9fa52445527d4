//! Which error codes each method can give.
//!
//! # Place
//! `rpc/discover.rs` writes them into the document. The tests of the server hold each error that they meet to this list.

use serde_json::{Value, json};

use super::Described;
use crate::rpc::errors::{
    ALREADY_KNOWN, ANSWER_TOO_LARGE, BAD_PARAMETER, BAD_PARAMETERS, BUSY, INPUTS_UNAVAILABLE, INTERNAL,
    INVALID_IP_OR_SUBNET, METHOD_NEEDS_SOCKET, NODE_ALREADY_ADDED, NODE_NOT_ADDED, NOT_CONNECTED, NOT_FOUND,
    NOT_ON_THIS_NETWORK, REJECTED, STARTING, UNAUTHORIZED, UNDECODABLE,
};

/// What reads the disk.
const READS: &[i32] = &[INTERNAL];
/// What looks for something on the disk.
const FINDS: &[i32] = &[NOT_FOUND, INTERNAL];
/// What waits for something to happen, in one of a bounded number of places.
const WAITS: &[i32] = &[BUSY];
const READS_AND_WAITS: &[i32] = &[BUSY, INTERNAL];
/// What sends a payment, that the caller has made or the node.
const SENDS: &[i32] = &[UNDECODABLE, INPUTS_UNAVAILABLE, REJECTED, ALREADY_KNOWN, BUSY, INTERNAL];
const PAYS: &[i32] = &[NOT_FOUND, INPUTS_UNAVAILABLE, REJECTED, ALREADY_KNOWN, BUSY, INTERNAL];

/// What is a method's own, beside what any can give; `None` for a method that is not known here.
pub(super) fn own(method: &str) -> Option<&'static [i32]> {
    Some(match method {
        "getblockchaininfo" | "getgenesis" | "getblockcount" | "getbestblockhash" | "getpeerinfo"
        | "listbanned" | "clearbanned" | "getnetworkinfo" | "getnettotals" | "getmempoolinfo"
        | "getrawmempool" | "estimatesmartfee" | "masternodelist" | "getheartbeats" | "getvotelatency"
        | "getvalidators" | "validateaddress" | "getnodestatus" | "getconsensusinfo" | "getreadiness"
        | "uptime" | "getresourceinfo" | "getmemoryinfo" | "stop" | "rpc.discover" | "help" => &[],
        "listevidence"
        | "getutxostate"
        | "gettxout"
        | "gettxoutsetinfo"
        | "getindexinfo"
        | "getdiskinfo"
        | "gettransactionstatus"
        | "explaintransaction"
        | "logging" => READS,
        "getblockhash" | "getblock" | "getblockheader" | "getcommit" | "getrawtransaction"
        | "getaddressbalance" | "getaddressutxos" | "getaddresshistory" | "getfinalityproof"
        | "getreceipt" => FINDS,
        "verifyfinalityproof" => &[REJECTED, INTERNAL],
        "waitfornewblock" | "waitforblockheight" => WAITS,
        "waitfortransaction" | "getfinalizedsince" => READS_AND_WAITS,
        "sendrawtransaction" => SENDS,
        "faucet" => PAYS,
        "decoderawtransaction" => &[UNDECODABLE],
        "testmempoolaccept" => &[UNDECODABLE, BUSY],
        "getmempoolentry" | "getmasternode" | "createrawtransaction" => &[NOT_FOUND],
        "disconnectnode" => &[NOT_CONNECTED],
        "addnode" => &[NODE_ALREADY_ADDED, NODE_NOT_ADDED],
        "setban" => &[NODE_ALREADY_ADDED, INVALID_IP_OR_SUBNET],
        "setnetworkactive" => &[NOT_ON_THIS_NETWORK],
        "subscribe" => &[METHOD_NEEDS_SOCKET, NOT_FOUND, BUSY],
        "unsubscribe" => &[METHOD_NEEDS_SOCKET, NOT_FOUND],
        _ => return None,
    })
}

/// All that a method can give, in ascending order.
pub(super) fn all(method: &Described) -> Vec<i32> {
    let mut codes = own(method.name).unwrap_or_default().to_vec();
    // A node that starts or stops answers nothing.
    codes.extend([BAD_PARAMETERS, STARTING]);
    if !method.parameters.is_empty() {
        codes.push(BAD_PARAMETER);
    }
    if method.write {
        codes.push(UNAUTHORIZED);
    }
    if method.large {
        codes.extend([BUSY, ANSWER_TOO_LARGE]);
    }
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// What a code means.
const fn meaning(code: i32) -> &'static str {
    match code {
        NOT_FOUND => "there is none here, or this is no address of this network",
        UNDECODABLE => "these digits are no transaction",
        BAD_PARAMETER => "a parameter's value can't be",
        INPUTS_UNAVAILABLE => {
            "a coin is spent, taken or not known; data.winner names the payment that has it"
        }
        REJECTED => "it breaks a rule, or this node's policy",
        ALREADY_KNOWN => "a block has the transaction already",
        STARTING => "the node is starting or stopping",
        NOT_CONNECTED => "no such peer is connected",
        NODE_ALREADY_ADDED => "this is added or banned already, or is never banned",
        NODE_NOT_ADDED => "this was not added",
        INVALID_IP_OR_SUBNET => "this is not banned, or nobody who could be",
        NOT_ON_THIS_NETWORK => "this is done on devnets alone",
        UNAUTHORIZED => "credentials are needed, or a role that may do more",
        BAD_PARAMETERS => "too few or too many parameters, or an unknown name",
        METHOD_NEEDS_SOCKET => "this is called by WebSocket alone, and not in a batch",
        BUSY => "the node has too much to do; data.retry_after_ms says when to try again",
        ANSWER_TOO_LARGE => "the answer exceeds what a request may have",
        _ => "the node failed, not the request",
    }
}

/// The errors of a method, as the document lists them.
pub(super) fn listed(method: &Described) -> Vec<Value> {
    all(method).into_iter().map(|code| json!({ "code": code, "message": meaning(code) })).collect()
}
