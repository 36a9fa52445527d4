//! Error codes and their `data`: Bitcoin Core's codes, a stable reason, and a hint what to do.
//!
//! # Place
//! `rpc/methods.rs` makes these; `cli/rpc_client.rs` reads them.

use jsonrpsee::types::ErrorObjectOwned;

use super::api::{NodeApiError, SubmitError, SubmitErrorClass};
use super::types::ErrorData;

/// There is no such block, transaction or address here.
pub const NOT_FOUND: i32 = -5;
/// A parameter's value can't be.
pub const BAD_PARAMETER: i32 = -8;
/// An input of a transaction does not exist or is taken.
pub const INPUTS_UNAVAILABLE: i32 = -25;
/// A transaction breaks a rule or this node's policy.
pub const REJECTED: i32 = -26;
/// A transaction is in a block already.
pub const ALREADY_KNOWN: i32 = -27;
/// The node is starting.
pub const STARTING: i32 = -28;
/// No peer of that name is connected (Bitcoin Core's `RPC_CLIENT_NODE_NOT_CONNECTED`).
pub const NOT_CONNECTED: i32 = -29;
/// The node takes no more at the moment; `retry_after_ms` says when to try again.
pub const BUSY: i32 = -32_005;
/// The caller gave no credentials for a method that needs them; the HTTP status is 401.
pub const UNAUTHORIZED: i32 = -32_001;
/// Too few or too many parameters, or an unknown name among them.
pub const BAD_PARAMETERS: i32 = -32_602;
/// The node failed, not the request.
pub const INTERNAL: i32 = -32_603;
/// The body is no JSON, or nests too deep; the HTTP status is 400.
pub const PARSE: i32 = -32_700;
/// A batch has too many entries; the HTTP status is 400.
pub const BATCH_TOO_LONG: i32 = -32_010;

/// Whether a reason is what programs are promised.
fn is_snake_case(reason: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !reason.is_empty() && reason.bytes().all(is_word)
}

/// An error with its reason, in snake_case, and hint.
#[must_use]
pub fn error(code: i32, message: impl Into<String>, reason: &str, hint: &str) -> ErrorObjectOwned {
    // Each comes by here, so each test that meets one holds it to its form.
    debug_assert!(is_snake_case(reason), "{reason:?} is not snake_case");
    let data = ErrorData { reason: reason.to_owned(), hint: hint.to_owned(), retry_after_ms: None };
    ErrorObjectOwned::owned(code, message, Some(data))
}

/// A parameter's value that can't be.
#[must_use]
pub fn bad_parameter(name: &str, expected: &str) -> ErrorObjectOwned {
    let message = format!("parameter \"{name}\": {expected}");
    error(BAD_PARAMETER, message, "bad_parameter", "`timed rpc help` lists every method with its parameters")
}

impl From<NodeApiError> for ErrorData {
    fn from(error: NodeApiError) -> Self {
        let (reason, hint) = match error {
            NodeApiError::Starting { .. } => ("starting", "try again in a moment"),
            NodeApiError::Storage { .. } => ("storage", "see the node's log"),
            NodeApiError::TooLarge { .. } => ("too_large", "this version can't answer that"),
        };
        Self { reason: reason.to_owned(), hint: hint.to_owned(), retry_after_ms: None }
    }
}

/// What a client learns of a node that could not answer.
#[must_use]
pub fn of_node(failure: NodeApiError) -> ErrorObjectOwned {
    let code = match failure {
        NodeApiError::Starting { .. } => STARTING,
        NodeApiError::Storage { .. } | NodeApiError::TooLarge { .. } => INTERNAL,
    };
    let message = failure.to_string();
    ErrorObjectOwned::owned(code, message, Some(ErrorData::from(failure)))
}

/// What a client learns of a transaction that was not taken.
#[must_use]
pub fn of_submit(refusal: &SubmitError) -> ErrorObjectOwned {
    let code = match refusal.class {
        SubmitErrorClass::Inputs => INPUTS_UNAVAILABLE,
        SubmitErrorClass::Invalid | SubmitErrorClass::Policy => REJECTED,
        SubmitErrorClass::AlreadyConfirmed => ALREADY_KNOWN,
        SubmitErrorClass::Starting => STARTING,
        SubmitErrorClass::Busy => BUSY,
        SubmitErrorClass::Internal => INTERNAL,
    };
    debug_assert!(is_snake_case(refusal.reason), "{:?} is not snake_case", refusal.reason);
    let data = ErrorData {
        reason: refusal.reason.to_owned(),
        hint: refusal.hint.clone(),
        retry_after_ms: refusal.retry_after_ms,
    };
    ErrorObjectOwned::owned(code, refusal.message.clone(), Some(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_snake_case() {
        assert!(is_snake_case("bad_txns_inputs_spent"));
        for reason in ["", "bad-txns", "Bad", "bad txns"] {
            assert!(!is_snake_case(reason), "{reason}");
        }
    }
}
