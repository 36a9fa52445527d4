//! Error codes and their `data`: Bitcoin Core's codes, a stable reason, and a hint what to do.
//!
//! # Place
//! `rpc/methods.rs` makes these; `rpc/client.rs` reads them.

use std::time::Duration;

use jsonrpsee::types::ErrorObjectOwned;

use super::api::{Holder, NodeApiError, SubmitError, SubmitErrorClass};
use super::limits::{ERROR_MESSAGE_BYTES_MAX, RETRY_AFTER_MS};
use super::types::ErrorData;
use crate::types::TxId;

/// There is no such block or transaction here, or no address of this network is written so (Bitcoin Core's
/// `RPC_INVALID_ADDRESS_OR_KEY`).
pub const NOT_FOUND: i32 = -5;
/// A parameter's value can't be.
pub const BAD_PARAMETER: i32 = -8;
/// These digits are no transaction (Bitcoin Core's `RPC_DESERIALIZATION_ERROR`).
pub const UNDECODABLE: i32 = -22;
/// An input of a transaction does not exist or is taken, or its fee is larger than wanted (Bitcoin Core's
/// `RPC_TRANSACTION_ERROR`).
pub const INPUTS_UNAVAILABLE: i32 = -25;
/// A transaction breaks a rule or this node's policy.
pub const REJECTED: i32 = -26;
/// A transaction is in a block already.
pub const ALREADY_KNOWN: i32 = -27;
/// The node is starting or stopping.
pub const STARTING: i32 = -28;
/// No peer of that name is connected (Bitcoin Core's `RPC_CLIENT_NODE_NOT_CONNECTED`).
pub const NOT_CONNECTED: i32 = -29;
/// This is added or banned already, or is never banned (Bitcoin Core's `RPC_CLIENT_NODE_ALREADY_ADDED`).
pub const NODE_ALREADY_ADDED: i32 = -23;
/// This was not added (Bitcoin Core's `RPC_CLIENT_NODE_NOT_ADDED`).
pub const NODE_NOT_ADDED: i32 = -24;
/// This is not banned, or nobody who could be (Bitcoin Core's `RPC_CLIENT_INVALID_IP_OR_SUBNET`).
pub const INVALID_IP_OR_SUBNET: i32 = -30;
/// What was asked for is done on other networks than this one only (Bitcoin Core's `RPC_MISC_ERROR`).
pub const NOT_ON_THIS_NETWORK: i32 = -1;
/// The caller gave no credentials for a method that needs them; the HTTP status is 401.
pub const UNAUTHORIZED: i32 = -32_001;
/// This is JSON and no request, or HTTP's part of it is refused, for which the HTTP status is another than 200.
pub const INVALID_REQUEST: i32 = -32_600;
/// There is no such method.
pub const UNKNOWN_METHOD: i32 = -32_601;
/// Too few or too many parameters, or an unknown name among them.
pub const BAD_PARAMETERS: i32 = -32_602;
/// A subscription was asked for by HTTP, which can't push (as go-ethereum's `notifications not supported`).
pub const METHOD_NEEDS_SOCKET: i32 = -32_011;
/// The node failed, not the request.
pub const INTERNAL: i32 = -32_603;
/// The body is no JSON, or nests too deep; the HTTP status is 400.
pub const PARSE: i32 = -32_700;
/// A batch has too many entries, for which the HTTP status is 400, or costs too much.
pub const BATCH_TOO_LONG: i32 = -32_010;
/// The node has too much to do; `data.retry_after_ms` says when to try again (EIP-1474's "limit exceeded").
pub const BUSY: i32 = -32_005;
/// The answer would exceed what a request may have.
pub const ANSWER_TOO_LARGE: i32 = -32_008;

/// What to do where a block is not here any more.
pub(super) const PRUNED_HINT: &str =
    "ask a node that keeps all blocks: `getblockchaininfo` says by pruneheight where one begins";

/// Whether a reason is what programs are promised.
fn is_snake_case(reason: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !reason.is_empty() && reason.bytes().all(is_word)
}

/// An error with its reason, in snake_case, and hint.
#[must_use]
pub fn error(code: i32, message: impl Into<String>, reason: &str, hint: &str) -> ErrorObjectOwned {
    with_data(code, message, data(reason, hint))
}

/// A transaction has lost its coin to `winner`, where that is known.
#[must_use]
pub fn lost(
    message: impl Into<String>,
    (reason, hint): (&str, &str),
    winner: Option<TxId>,
) -> ErrorObjectOwned {
    with_data(NOT_FOUND, message, ErrorData { winner, ..data(reason, hint) })
}

/// The node has too much to do of one kind; trying again in a moment helps.
#[must_use]
pub fn busy(reason: &str, message: impl Into<String>, hint: &str) -> ErrorObjectOwned {
    with_data(BUSY, message, ErrorData { retry_after_ms: Some(RETRY_AFTER_MS), ..data(reason, hint) })
}

fn data(reason: &str, hint: &str) -> ErrorData {
    ErrorData {
        reason: reason.to_owned(),
        hint: hint.to_owned(),
        retry_after_ms: None,
        winner: None,
        masternode: None,
        bound_until_ms: None,
    }
}

fn with_data(code: i32, message: impl Into<String>, data: ErrorData) -> ErrorObjectOwned {
    // Each comes by here, so each test that meets one holds it to its form.
    debug_assert!(is_snake_case(&data.reason), "{:?} is not snake_case", data.reason);
    debug_assert!(!data.hint.is_empty(), "{} does not say what to do", data.reason);
    ErrorObjectOwned::owned(code, shortened(message.into()), Some(data))
}

/// Cuts a message that quotes too much of what the caller sent.
fn shortened(mut message: String) -> String {
    if message.len() > ERROR_MESSAGE_BYTES_MAX {
        let end = message.floor_char_boundary(ERROR_MESSAGE_BYTES_MAX);
        message.truncate(end);
        message.push_str("...");
        message.shrink_to_fit();
    }
    message
}

/// A parameter's value that can't be.
#[must_use]
pub fn bad_parameter(name: &str, expected: &str) -> ErrorObjectOwned {
    bad_value(BAD_PARAMETER, name, expected)
}

/// A parameter that should be an address of this network, and is none.
#[must_use]
pub fn wrong_address(name: &str, problem: &str) -> ErrorObjectOwned {
    bad_value(NOT_FOUND, name, problem)
}

/// A parameter that should name who is to be banned, and names nobody who could be.
#[must_use]
pub fn wrong_subject(name: &str, expected: &str) -> ErrorObjectOwned {
    bad_value(INVALID_IP_OR_SUBNET, name, expected)
}

fn bad_value(code: i32, name: &str, problem: &str) -> ErrorObjectOwned {
    let message = format!("parameter \"{name}\": {problem}");
    error(code, message, "bad_parameter", "`timed rpc help` lists every method with its parameters")
}

/// What a client learns of a node that could not answer.
#[must_use]
pub fn of_node(failure: NodeApiError) -> ErrorObjectOwned {
    let (code, reason, hint) = match failure {
        NodeApiError::Starting { .. } => (STARTING, "starting", "try again in a moment"),
        NodeApiError::Stopping => (STARTING, "stopping", "ask again when it runs, or another node"),
        NodeApiError::Storage { .. } => (INTERNAL, "storage", "see the node's log"),
        NodeApiError::UnknownBlock { .. } => {
            (NOT_FOUND, "block_not_found", "`getblockhash` names this node's block of that height")
        }
        NodeApiError::BeforeHorizon { .. } => (NOT_FOUND, "block_pruned", PRUNED_HINT),
        NodeApiError::NoHistory { .. } => (
            NOT_FOUND,
            "history_missing",
            "ask a node with a longer history, or start the proof from a later block that the verifier trusts",
        ),
        NodeApiError::TooLarge { .. } => (INTERNAL, "too_large", "this version can't answer that"),
    };
    error(code, failure.to_string(), reason, hint)
}

/// What a client learns of a transaction that was not taken.
#[must_use]
pub fn of_submit(refusal: &SubmitError) -> ErrorObjectOwned {
    let code = match refusal.class {
        SubmitErrorClass::Inputs | SubmitErrorClass::Fee => INPUTS_UNAVAILABLE,
        SubmitErrorClass::Invalid | SubmitErrorClass::Policy => REJECTED,
        SubmitErrorClass::AlreadyConfirmed => ALREADY_KNOWN,
        SubmitErrorClass::Stopping => STARTING,
        SubmitErrorClass::Busy => BUSY,
        SubmitErrorClass::Internal => INTERNAL,
    };
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let mut told = ErrorData {
        retry_after_ms: refusal.retry_after.map(milliseconds),
        ..data(refusal.reason, &refusal.hint)
    };
    match refusal.holder.as_deref() {
        Some(Holder::Transaction(winner)) => told.winner = Some(*winner),
        Some(Holder::Masternode(bound)) => {
            (told.masternode, told.bound_until_ms) = (Some(bound.masternode), bound.until_ms);
        }
        None => {}
    }
    with_data(code, refusal.message.clone(), told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_when_to_submit_again_where_that_helps() {
        let of = |class, reason, retry_after| {
            let (message, hint) = ("no".to_owned(), "wait".to_owned());
            let refusal = SubmitError { class, reason, message, hint, retry_after, holder: None };
            serde_json::to_value(of_submit(&refusal)).unwrap()
        };
        let half = Some(Duration::from_millis(500));
        let data = serde_json::json!({ "reason": "busy", "hint": "wait", "retry_after_ms": 500 });
        let expected = serde_json::json!({ "code": -32_005, "message": "no", "data": data });
        assert_eq!(of(SubmitErrorClass::Busy, "busy", half), expected);
        let unknown = of(SubmitErrorClass::Inputs, "inputs_unknown", half);
        assert_eq!((&unknown["code"], &unknown["data"]["retry_after_ms"]), (&(-25).into(), &500.into()));
        let spent = of(SubmitErrorClass::Inputs, "bad_txns_inputs_spent", None);
        assert_eq!(spent["data"], serde_json::json!({ "reason": "bad_txns_inputs_spent", "hint": "wait" }));
        let read: ErrorData = serde_json::from_value(spent["data"].clone()).unwrap();
        assert_eq!(read.retry_after_ms, None, "an older node's error is understood");
    }

    #[test]
    fn a_message_that_quotes_the_caller_is_cut() {
        let error = bad_parameter("txid", &"\u{e9}".repeat(1 << 19));
        assert!(error.message().len() <= ERROR_MESSAGE_BYTES_MAX + 3 && error.message().ends_with("..."));
        assert_eq!(bad_parameter("txid", "no").message(), "parameter \"txid\": no");
    }

    #[test]
    fn a_node_that_stops_does_not_say_that_it_starts() {
        let told = |failure| {
            let error = serde_json::to_value(of_node(failure)).unwrap();
            (error["code"].clone(), error["data"]["reason"].clone(), error["message"].clone())
        };
        let (code, reason, message) = told(NodeApiError::Stopping);
        assert_eq!((code, reason), ((-28).into(), "stopping".into()));
        assert_eq!(message, "the node is stopping");
        let (code, reason, message) = told(NodeApiError::Starting { detail: "it reads its log".to_owned() });
        assert_eq!((code, reason), ((-28).into(), "starting".into()));
        assert_eq!(message, "the node is starting: it reads its log");
    }

    #[test]
    fn reasons_are_snake_case() {
        assert!(is_snake_case("bad_txns_inputs_spent"));
        for reason in ["", "bad-txns", "Bad", "bad txns"] {
            assert!(!is_snake_case(reason), "{reason}");
        }
    }
}
