//! Why a request is refused as a whole, before any call of it is made.
//!
//! # Place
//! `rpc/http.rs` and `rpc/router.rs` refuse with these. Each has an HTTP status of its own, and a JSON-RPC error as body.
//!
//! # Invariants
//! - INV-REFUSAL-1: each says what to do next, with the limit's value or the configuration's key.

use std::time::Duration;

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::errors::{BATCH_TOO_LONG, BUSY, INVALID_REQUEST, PARSE, STARTING, UNAUTHORIZED, busy, error};
use super::hosts::Foreign;
use super::limits::{BATCH_LENGTH_MAX, BODY_BYTES_MAX, JSON_DEPTH_MAX, JSON_VALUES_MAX};

/// Who presents wrong credentials waits this long for the answer.
const WRONG_CREDENTIALS_DELAY: Duration = Duration::from_millis(250);

/// Why a request is refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("only HTTP/1 is spoken here")]
    HttpVersion,
    #[error("the Host header is not one of this node's names")]
    Host,
    #[error("the request comes from a web page of another origin")]
    Origin,
    #[error("credentials are needed from another machine")]
    CredentialsNeeded,
    #[error("wrong credentials")]
    CredentialsWrong,
    #[error("there is no such page")]
    Path,
    #[error("this page takes no such HTTP method")]
    Method,
    #[error("the Content-Type header is not that of JSON")]
    ContentType,
    #[error("/ws speaks WebSocket, and the request asks for none")]
    NoWebSocket,
    #[error("the body exceeds {BODY_BYTES_MAX} bytes")]
    BodyTooLarge,
    #[error("the body took too long to arrive")]
    BodyTooSlow,
    #[error("the body broke off")]
    BodyBroken,
    #[error("the body nests deeper than {JSON_DEPTH_MAX} levels")]
    TooDeep,
    #[error("the batch has more than {BATCH_LENGTH_MAX} entries")]
    BatchTooLong,
    #[error("the body holds more than {JSON_VALUES_MAX} values")]
    TooManyValues,
    #[error("the body is no JSON")]
    NotJson,
    #[error("too many requests at once")]
    Busy,
    #[error("the node is starting")]
    Starting,
}

impl Refusal {
    /// All of them.
    #[cfg(test)]
    pub(super) const ALL: [Self; 18] = [
        Self::HttpVersion,
        Self::Host,
        Self::Origin,
        Self::CredentialsNeeded,
        Self::CredentialsWrong,
        Self::Path,
        Self::Method,
        Self::ContentType,
        Self::NoWebSocket,
        Self::BodyTooLarge,
        Self::BodyTooSlow,
        Self::BodyBroken,
        Self::TooDeep,
        Self::BatchTooLong,
        Self::TooManyValues,
        Self::NotJson,
        Self::Busy,
        Self::Starting,
    ];

    pub(super) const fn of_foreign(foreign: Foreign) -> Self {
        match foreign {
            Foreign::Host => Self::Host,
            Foreign::Origin => Self::Origin,
        }
    }

    const fn facts(self) -> (StatusCode, i32, &'static str) {
        match self {
            Self::HttpVersion => (StatusCode::HTTP_VERSION_NOT_SUPPORTED, INVALID_REQUEST, "http_version"),
            Self::Host => (StatusCode::FORBIDDEN, INVALID_REQUEST, "host_not_allowed"),
            Self::Origin => (StatusCode::FORBIDDEN, INVALID_REQUEST, "origin_not_allowed"),
            Self::CredentialsNeeded => (StatusCode::UNAUTHORIZED, UNAUTHORIZED, "unauthorized"),
            Self::CredentialsWrong => (StatusCode::UNAUTHORIZED, UNAUTHORIZED, "wrong_credentials"),
            Self::Path => (StatusCode::NOT_FOUND, INVALID_REQUEST, "no_such_page"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, INVALID_REQUEST, "http_method"),
            Self::ContentType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, "content_type"),
            Self::NoWebSocket => (StatusCode::UPGRADE_REQUIRED, INVALID_REQUEST, "no_websocket"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST, "body_too_large"),
            Self::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, INVALID_REQUEST, "body_too_slow"),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, INVALID_REQUEST, "body_broken"),
            Self::TooDeep => (StatusCode::BAD_REQUEST, PARSE, "too_deep"),
            Self::BatchTooLong => (StatusCode::BAD_REQUEST, BATCH_TOO_LONG, "batch_too_long"),
            Self::TooManyValues => (StatusCode::BAD_REQUEST, PARSE, "too_many_values"),
            Self::NotJson => (StatusCode::BAD_REQUEST, PARSE, "not_json"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, BUSY, "too_many_requests"),
            Self::Starting => (StatusCode::SERVICE_UNAVAILABLE, STARTING, "starting"),
        }
    }

    /// What to do about it.
    fn hint(self) -> String {
        let text = match self {
            Self::HttpVersion => "ask by HTTP/1.1",
            Self::Host => {
                "ask by the node's address or localhost, or name this host in [rpc] allowed_hosts of the node's configuration"
            }
            Self::Origin => "name the page's origin in [rpc] allowed_origins of the node's configuration",
            Self::CredentialsNeeded | Self::CredentialsWrong => {
                "send the content of the node's cookie file, or a configured user, by HTTP Basic authentication"
            }
            Self::Path => {
                "JSON-RPC is POST /, the explorer GET /, subscriptions GET /ws, and there are GET /health and GET /ready"
            }
            Self::Method => "JSON-RPC is POST /, all other pages are GET",
            Self::ContentType => "send the header Content-Type: application/json",
            Self::NoWebSocket => "send the headers of a WebSocket's handshake (RFC 6455)",
            Self::BodyTooLarge => {
                return format!(
                    "send at most {BODY_BYTES_MAX} bytes in one request: split a batch, and check large proofs by `timed verify-proof`"
                );
            }
            Self::BodyTooSlow | Self::BodyBroken => {
                "send it again, over a better connection or in smaller requests"
            }
            Self::TooDeep => return format!("nest arrays and objects at most {JSON_DEPTH_MAX} deep"),
            Self::BatchTooLong => {
                return format!("spread the calls over several requests, at most {BATCH_LENGTH_MAX} in each");
            }
            Self::TooManyValues => {
                return format!(
                    "spread the calls over several requests, at most {JSON_VALUES_MAX} values in each"
                );
            }
            Self::NotJson => {
                r#"send one JSON object as {"jsonrpc":"2.0","id":1,"method":"getblockcount","params":[]}, or an array of them"#
            }
            Self::Busy => {
                "try again in a moment, or send credentials of a user who may do more than read: places are kept for these"
            }
            Self::Starting => "try again in a moment; GET /ready says how far it is",
        };
        text.to_owned()
    }

    pub(super) async fn response(self) -> Response {
        if self == Self::CredentialsWrong {
            tokio::time::sleep(WRONG_CREDENTIALS_DELAY).await;
        }
        let (status, code, reason) = self.facts();
        let error = match self {
            Self::Busy => busy(reason, self.to_string(), &self.hint()),
            _ => error(code, self.to_string(), reason, &self.hint()),
        };
        let body = serde_json::json!({ "jsonrpc": "2.0", "error": error, "id": null });
        let mut response = json(status, &body);
        if status == StatusCode::UNAUTHORIZED {
            ask_for_credentials(&mut response);
        }
        match self {
            Self::Busy | Self::Starting => {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"))
            }
            // RFC 9110 wants it.
            Self::Method => response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, GET, HEAD")),
            _ => None,
        };
        response
    }
}

/// Turns an answer into one that asks for credentials.
pub(super) fn ask_for_credentials(response: &mut Response) {
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"timed\""));
}

/// An answer of JSON.
pub(super) fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    let text = serde_json::to_string(body).unwrap_or_default();
    (status, [(CONTENT_TYPE, "application/json; charset=utf-8")], text).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::body::to_bytes;
    use serde_json::Value;

    use super::*;

    /// INV-REFUSAL-1.
    #[tokio::test]
    async fn each_refusal_has_a_reason_of_its_own_and_says_what_to_do() {
        let mut reasons = BTreeSet::new();
        for refusal in Refusal::ALL {
            let response = refusal.response().await;
            assert!(
                response.status().is_client_error() || response.status().is_server_error(),
                "{refusal:?}"
            );
            let body = to_bytes(response.into_body(), 4_096).await.unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            let data = &body["error"]["data"];
            assert!(!data["hint"].as_str().unwrap().is_empty(), "{refusal:?}");
            assert!(reasons.insert(data["reason"].clone().to_string()), "{refusal:?}");
        }
        for (refusal, named) in [
            (Refusal::Host, "[rpc] allowed_hosts"),
            (Refusal::Origin, "[rpc] allowed_origins"),
            (Refusal::BodyTooLarge, "1048576"),
            (Refusal::NotJson, "\"jsonrpc\":\"2.0\""),
        ] {
            assert!(refusal.hint().contains(named), "{refusal:?}: {}", refusal.hint());
        }
    }
}
