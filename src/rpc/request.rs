//! What makes a JSON text a request of JSON-RPC, and what is wrong with one that is none.
//!
//! # Place
//! `rpc/http.rs` asks before jsonrpsee sees the text, whose own refusals have neither a reason nor a hint.
//!
//! # Invariants
//! - INV-REQUEST-1: what is let through here is a request, a notification or a batch for jsonrpsee too.
//! - INV-REQUEST-2: what has an id has an answer, alone and in a batch.

use axum::body::Bytes;
use jsonrpsee::core::JsonRawValue;
use jsonrpsee::types::{ErrorObjectOwned, Id, Notification, Request};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::errors::{INVALID_REQUEST, error};

/// The text without the spaces before it, of which jsonrpsee takes a few alone.
pub(super) fn trimmed(text: Bytes) -> Bytes {
    match text.iter().position(|byte| !byte.is_ascii_whitespace()) {
        Some(start) => text.slice(start..),
        None => text,
    }
}

/// The refusal of what is no request.
pub(super) fn invalid_request(problem: &str) -> ErrorObjectOwned {
    let hint = r#"a request is {"jsonrpc":"2.0","id":1,"method":"getblockcount","params":[]}; without "id" it has no answer"#;
    error(INVALID_REQUEST, problem, "invalid_request", hint)
}

/// The response to a JSON text that is neither a request nor a notification nor a batch; `None` if it is one. The
/// entries of a batch are looked at one by one when they are made.
pub(super) fn not_a_request(text: &[u8]) -> Option<Value> {
    if text.first() == Some(&b'[') || is_request(text) {
        return None;
    }
    let value = serde_json::from_slice::<Value>(text).unwrap_or(Value::Null);
    let (problem, id) = match &value {
        Value::Object(members) => (problem_of(members), id_of(members)),
        _ => ("a request is an object, and a batch an array of them", Value::Null),
    };
    Some(json!({ "jsonrpc": "2.0", "error": invalid_request(problem), "id": id }))
}

/// A batch in which `null` stands for each entry that has an id of no kind that is taken: jsonrpsee would take it for a
/// notification and never answer. Everything else is as it was.
pub(super) fn without_silent_entries(text: Bytes) -> Bytes {
    if text.first() != Some(&b'[') {
        return text;
    }
    let Ok(entries) = serde_json::from_slice::<Vec<&JsonRawValue>>(&text) else { return text };
    let is_silent = |entry: &&JsonRawValue| {
        let entry = entry.get().as_bytes();
        !is_request(entry) && serde_json::from_slice::<Notification<'_, Option<&JsonRawValue>>>(entry).is_ok()
    };
    if !entries.iter().any(is_silent) {
        return text;
    }
    let kept = entries.iter().map(|entry| if is_silent(entry) { "null" } else { entry.get() });
    format!("[{}]", kept.collect::<Vec<_>>().join(",")).into()
}

fn is_request(text: &[u8]) -> bool {
    if serde_json::from_slice::<Request<'_>>(text).is_ok() {
        return true;
    }
    // What has an id wants an answer: jsonrpsee would take it for a notification if the id is none of its own.
    serde_json::from_slice::<Notification<'_, Option<&JsonRawValue>>>(text).is_ok()
        && serde_json::from_slice::<Map<String, Value>>(text).is_ok_and(|members| !members.contains_key("id"))
}

fn problem_of(members: &Map<String, Value>) -> &'static str {
    if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return "\"jsonrpc\" is missing or not \"2.0\"";
    }
    if !members.get("method").is_some_and(Value::is_string) {
        return "\"method\" is missing or no text";
    }
    if members.get("id").is_some_and(|id| <Id<'_> as Deserialize>::deserialize(id).is_err()) {
        return "\"id\" is neither a text nor a whole number from 0 nor null";
    }
    "a member of the request stands twice"
}

/// The id to answer with, as far as there is one.
fn id_of(members: &Map<String, Value>) -> Value {
    match members.get("id") {
        Some(id @ (Value::String(_) | Value::Number(_))) => id.clone(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// INV-REQUEST-1.
    #[test]
    fn what_is_no_request_is_told_what_is_missing() {
        for (text, problem, id) in [
            (r#"{"id":1,"method":"uptime"}"#, "\"jsonrpc\" is", json!(1)),
            (r#"{"jsonrpc":"1.0","id":"a","method":"uptime"}"#, "\"jsonrpc\" is", json!("a")),
            (r#"{"jsonrpc":2.0,"id":1,"method":"uptime"}"#, "\"jsonrpc\" is", json!(1)),
            (r#"{"jsonrpc":"2.0","id":1}"#, "\"method\" is", json!(1)),
            (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, "\"method\" is", json!(1)),
            (r#"{"jsonrpc":"2.0","id":{},"method":"uptime"}"#, "\"id\" is", Value::Null),
            (r#"{"jsonrpc":"2.0","id":-1,"method":"uptime"}"#, "\"id\" is", json!(-1)),
            (r#"{"jsonrpc":"2.0","id":1,"method":"uptime","method":"stop"}"#, "twice", json!(1)),
            ("{}", "\"jsonrpc\" is", Value::Null),
            ("5", "an object", Value::Null),
            ("\"uptime\"", "an object", Value::Null),
            ("null", "an object", Value::Null),
        ] {
            let refused = not_a_request(text.as_bytes()).unwrap();
            let error = &refused["error"];
            assert!(error["message"].as_str().unwrap().contains(problem), "{text}: {error}");
            assert_eq!((&error["code"], &refused["id"]), (&json!(-32_600), &id), "{text}");
            assert_eq!(error["data"]["reason"], "invalid_request", "{text}");
        }
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"uptime"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"uptime","params":[1]}"#,
            r#"{"jsonrpc":"2.0","method":"uptime","params":[]}"#,
            r#"{"jsonrpc":"2.0","method":"uptime"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"uptime","params":{"a":{}},"more":1}"#,
            "[]",
            "[1]",
        ] {
            assert_eq!(not_a_request(text.as_bytes()), None, "{text}");
        }
        assert_eq!(trimmed(Bytes::from_static(b" \n\t{} ")), "{} ");
    }

    /// INV-REQUEST-2.
    #[test]
    fn an_entry_of_a_batch_is_silent_only_without_an_id() {
        let checked = |text: &'static str| without_silent_entries(Bytes::from_static(text.as_bytes()));
        for (entry, is_kept) in [
            (r#"{"jsonrpc":"2.0","id":-1,"method":"uptime"}"#, false),
            (r#"{"jsonrpc":"2.0","id":0.5,"method":"uptime","params":[]}"#, false),
            (r#"{"jsonrpc":"2.0","id":[],"method":"uptime"}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"method":"uptime"}"#, true),
            (r#"{"jsonrpc":"2.0","method":"uptime"}"#, true),
            (r#"{"id":1}"#, true),
            ("1", true),
        ] {
            let batch = format!(r#"[{{"jsonrpc":"2.0","id":"a","method":"help"}}, {entry}]"#);
            let expected = match is_kept {
                true => batch.clone(),
                false => r#"[{"jsonrpc":"2.0","id":"a","method":"help"},null]"#.to_owned(),
            };
            assert_eq!(without_silent_entries(batch.into()), expected, "{entry}");
        }
        assert_eq!(checked("[]"), "[]");
        assert_eq!(checked(r#"{"jsonrpc":"2.0","id":-1}"#), r#"{"jsonrpc":"2.0","id":-1}"#);
    }
}
