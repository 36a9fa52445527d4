//! What stands before JSON-RPC: host and origin, credentials, sizes, depth, and the plain pages.
//!
//! # Place
//! `rpc/router.rs` calls these for each request. What they let through goes to jsonrpsee with a [`Caller`].
//!
//! # Invariants
//! - INV-HTTP-2: wrong credentials are refused even for methods that need none, so that a mistake shows.
//! - INV-HTTP-3: at most [`BODY_BYTES_MAX`] of a body are kept, and it has to arrive at the pace of
//!   [`Limits::body`](super::limits::Limits::body). What exceeds [`BODY_FREE_BYTES`] counts among the bodies of all.
//! - INV-HTTP-4: the plain pages need no place, no turn and no room that calls could have taken.
//!
//! A method without the credentials it needs turns the status into 401.
//!
//! A request takes its place when its body is there. Until then, and while its answer is being taken, its connection
//! can be evicted: a slow sender or reader never holds a place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use jsonrpsee::core::middleware::RpcServiceBuilder;
use jsonrpsee::server::http::call_with_service_builder;
use jsonrpsee::server::{ConnectionGuard, ConnectionState, ServerConfig, StopHandle};
use serde::de::IgnoredAny;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use tower::layer::util::{Identity, Stack};

use super::answers::{AnswerRoom, Answers};
use super::auth::{Authenticator, Credentials};
use super::busy_pace::BusyPace;
use super::connection::{Connection, Taking};
use super::connections::{Connections, client_of};
use super::hosts::Hosts;
use super::limits::{
    BODY_BYTES_MAX, BODY_FREE_BYTES, JSON_DEPTH_MAX, JSON_VALUES_MAX, Pace, RESPONSE_BYTES_MAX,
};
use super::meter::MeterLayer;
use super::methods::Caller;
use super::places::{Places, RequestWaits};
use super::refusal::{Refusal, ask_for_credentials, json};
use super::request::{not_a_request, trimmed, without_silent_entries};
use super::shares::{Share, Shares};
use super::startup::Startup;
use crate::runtime::Clock;
use crate::runtime::config::RpcRole;

pub use super::limits::BATCH_LENGTH_MAX;

/// Bytes of an oversized body that are read and dropped, so that its sender gets to read the refusal.
const DRAIN_BYTES_MAX: usize = 8 << 20;

/// What the handler shares among requests.
pub struct HttpState {
    /// WebSockets that were closed since they read too slowly.
    pub(super) slow_sockets: AtomicU64,
    /// How long a WebSocket has to take a message, and then its rest.
    pub(super) socket_send: (Duration, Duration),
    /// The node and the registered methods.
    pub(super) startup: Startup,
    /// Who may call.
    pub authenticator: Arc<Authenticator>,
    /// The server's names.
    pub(super) hosts: Hosts,
    /// Limits of jsonrpsee.
    pub config: ServerConfig,
    /// How fast a body has to arrive.
    pub body_pace: Pace,
    /// All open connections.
    pub connections: Arc<Connections>,
    /// Places for requests and waiting calls.
    pub places: Arc<Places>,
    /// Who is told `busy` too often rests.
    pub busy_pace: BusyPace,
    /// The bytes of large bodies.
    pub bodies: Arc<Shares>,
    /// The bytes of large answers, and their turns.
    pub answers: Answers,
    /// Counts requests, which is how jsonrpsee wants it; there are never more than places.
    pub guard: ConnectionGuard,
    /// jsonrpsee's own stop signal.
    pub stop: StopHandle,
    /// Fires when the node stops.
    pub stopping: CancellationToken,
    /// Counts and times calls.
    pub middleware: RpcServiceBuilder<Stack<MeterLayer, Identity>>,
}

/// Marks the request that a message of a WebSocket is.
#[derive(Clone, Copy)]
struct ByWebSocket;

/// A response, the room that its bytes take, and the place of its request.
pub(super) struct Answered {
    pub(super) response: Response,
    pub(super) room: Option<Arc<AnswerRoom>>,
    pub(super) place: Option<Share>,
}

impl Answered {
    pub(super) const fn plain(response: Response) -> Self {
        Self { response, room: None, place: None }
    }
}

/// INV-ANSWERS-3: an answer's bytes, which take along what has to last until the system has them all.
struct Held {
    bytes: Bytes,
    _room: Option<Arc<AnswerRoom>>,
    _taking: Taking,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

pub(super) async fn held_until_taken(
    response: Response,
    room: Option<Arc<AnswerRoom>>,
    taking: Taking,
) -> Response {
    let (parts, body) = response.into_parts();
    // The body is one piece in memory already, so nothing is copied or awaited here.
    match to_bytes(body, RESPONSE_BYTES_MAX).await {
        Ok(bytes) => {
            let held = Bytes::from_owner(Held { bytes, _room: room, _taking: taking });
            Response::from_parts(parts, Body::from(held))
        }
        Err(failure) => {
            tracing::error!(%failure, "An answer exceeds its bound");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Whether a caller gets what is kept back from others: whoever may do more than read. A reader could take all of it with the
/// largest answers.
pub(super) fn has_kept_places(role: Option<RpcRole>) -> bool {
    role.is_some_and(|role| role > RpcRole::Read)
}

/// Makes the calls of a body that is here: a request's, or a message's of a WebSocket.
pub(super) async fn answer_calls(
    state: &HttpState,
    connection: &Connection,
    role: Option<RpcRole>,
    request: axum::http::Request<Bytes>,
) -> Result<Answered, Refusal> {
    let authenticated = has_kept_places(role);
    let (mut parts, bytes) = request.into_parts();
    check_json(&bytes)?;
    let bytes = trimmed(bytes);
    if let Some(refused) = not_a_request(&bytes) {
        return Ok(Answered::plain(json(StatusCode::OK, &refused)));
    }
    let bytes = without_silent_entries(bytes);
    let place = state.places.request(authenticated).ok_or(Refusal::Busy)?;
    let permit = state.guard.try_acquire().ok_or(Refusal::Busy)?;
    connection.answering();
    let room = AnswerRoom::new(&state.answers, authenticated);
    let waits = RequestWaits::new(state.places.clone(), client_of(connection.peer), authenticated);
    let (refused, busy) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let by_websocket = parts.extensions.get::<ByWebSocket>().is_some();
    parts.extensions.insert(Caller {
        role,
        by_websocket,
        refused: refused.clone(),
        room: room.clone(),
        waits,
        busy: busy.clone(),
    });
    let response = call_with_service_builder(
        Request::from_parts(parts, Body::from(bytes)),
        state.config.clone(),
        ConnectionState::new(state.stop.clone(), 0, permit),
        state.startup.methods().clone(),
        state.middleware.clone(),
    )
    .await;
    let mut response = without_answer_to_nothing(response.map(Body::new)).await;
    if refused.load(Ordering::Relaxed) {
        ask_for_credentials(&mut response);
    }
    let busy = busy.load(Ordering::Relaxed);
    if busy > 0 {
        let now = Clock.instant();
        connection.rest_until(now + state.busy_pace.refused(busy, now));
    }
    if room.was_short() {
        state.connections.close_slowest_reader(Clock.instant());
    }
    Ok(Answered { response, room: Some(room), place: Some(place) })
}

/// JSON-RPC 2.0: to notifications alone nothing is returned, and jsonrpsee writes `null`, which no answer is.
async fn without_answer_to_nothing(response: Response) -> Response {
    const NOTHING: &[u8] = b"null";
    let length = u64::try_from(NOTHING.len()).ok();
    if response.status() != StatusCode::OK || response.body().size_hint().exact() != length {
        return response;
    }
    let (parts, body) = response.into_parts();
    match to_bytes(body, NOTHING.len()).await {
        Ok(bytes) if bytes.as_ref() == NOTHING => StatusCode::NO_CONTENT.into_response(),
        Ok(bytes) => Response::from_parts(parts, Body::from(bytes)),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The answer to a message of a WebSocket, as text. Its room and place last until it has been sent.
pub(super) async fn answer_message(
    state: &HttpState,
    connection: &Connection,
    role: Option<RpcRole>,
    message: Vec<u8>,
) -> (String, MessageRoom) {
    connection.rest().await;
    let mut request = axum::http::Request::new(Bytes::from(message));
    *request.method_mut() = Method::POST;
    request.extensions_mut().insert(ByWebSocket);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let answered = match answer_calls(state, connection, role, request).await {
        Ok(answered) => answered,
        Err(refusal) => Answered::plain(refusal.response().await),
    };
    let body = to_bytes(answered.response.into_body(), RESPONSE_BYTES_MAX).await;
    let text = body.ok().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()).unwrap_or_default();
    (text, MessageRoom { _room: answered.room, _place: answered.place })
}

/// What an answer takes until it has been sent.
#[derive(Default)]
pub(super) struct MessageRoom {
    _room: Option<Arc<AnswerRoom>>,
    _place: Option<Share>,
}

/// What the caller may do by its credentials; none if it has given none.
pub(super) fn authenticate(
    state: &HttpState,
    connection: &Connection,
    headers: &HeaderMap,
) -> Result<Option<RpcRole>, Refusal> {
    let authorization = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or(""));
    let judged = state.authenticator.judge(authorization);
    connection.authenticated(matches!(judged, Credentials::Valid(_)));
    match judged {
        Credentials::Valid(role) => Ok(Some(role)),
        Credentials::Wrong => Err(Refusal::CredentialsWrong),
        Credentials::Absent if connection.peer.ip().to_canonical().is_loopback() => Ok(None),
        Credentials::Absent => Err(Refusal::CredentialsNeeded),
    }
}

/// INV-HTTP-3: the body, with its part of what all bodies may have.
pub(super) async fn read_body(
    body: Body,
    state: &HttpState,
    authenticated: bool,
) -> Result<(Bytes, Option<Share>), Refusal> {
    let begun = Clock.instant();
    let mut stream = body.into_data_stream();
    let (mut bytes, mut share) = (Vec::new(), None);
    let mut total: usize = 0;
    while let Some(chunk) = timeout_at(state.body_pace.due(begun, total).into(), stream.next())
        .await
        .map_err(|_| Refusal::BodyTooSlow)?
    {
        let chunk = chunk.map_err(|_| Refusal::BodyBroken)?;
        let before = total;
        total = total.saturating_add(chunk.len());
        if total > DRAIN_BYTES_MAX {
            return Err(Refusal::BodyTooLarge);
        }
        if total > BODY_BYTES_MAX {
            (bytes, share) = (Vec::new(), None);
            continue;
        }
        let counted = total.saturating_sub(before.max(BODY_FREE_BYTES));
        if counted > 0 && !grow(&mut share, counted, state, authenticated) {
            return Err(Refusal::Busy);
        }
        bytes.extend_from_slice(&chunk);
    }
    if total > BODY_BYTES_MAX {
        return Err(Refusal::BodyTooLarge);
    }
    Ok((bytes.into(), share))
}

fn grow(share: &mut Option<Share>, bytes: usize, state: &HttpState, authenticated: bool) -> bool {
    match share {
        Some(share) => share.grow(bytes),
        None => {
            *share = state.bodies.take(bytes, authenticated);
            share.is_some()
        }
    }
}

/// Bounds depth and batch without recursion, then makes sure that it is JSON at all.
pub(super) fn check_json(body: &[u8]) -> Result<(), Refusal> {
    let is_batch = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let (mut depth, mut separators, mut values) = (0_usize, 0_usize, 1_usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in body {
        // Each value but the first follows one of these.
        if !in_string && matches!(byte, b'[' | b'{' | b',' | b':') {
            values = values.saturating_add(1);
        }
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (true, _) => {}
            (false, b'[' | b'{') => {
                depth = depth.saturating_add(1);
                if depth > JSON_DEPTH_MAX {
                    return Err(Refusal::TooDeep);
                }
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            (false, b',') if is_batch && depth == 1 => separators = separators.saturating_add(1),
            _ => {}
        }
    }
    if separators >= BATCH_LENGTH_MAX {
        return Err(Refusal::BatchTooLong);
    }
    if values > JSON_VALUES_MAX {
        return Err(Refusal::TooManyValues);
    }
    // What ignores a value does not look into its strings: bytes that are no UTF-8 would come through to jsonrpsee, whose
    // refusal has neither a reason nor a hint.
    let text = std::str::from_utf8(body).map_err(|_| Refusal::NotJson)?;
    serde_json::from_str::<IgnoredAny>(text).map(|_| ()).map_err(|_| Refusal::NotJson)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_and_batches_are_bounded_outside_of_strings_only() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check_json(deep(JSON_DEPTH_MAX).as_bytes()), Ok(()));
        assert_eq!(check_json(deep(JSON_DEPTH_MAX + 1).as_bytes()), Err(Refusal::TooDeep));
        assert_eq!(check_json("[".repeat(10_000).as_bytes()), Err(Refusal::TooDeep));
        assert_eq!(check_json(b"[{\"id\": \"\xff\"}]"), Err(Refusal::NotJson), "no UTF-8");
        let quoted = format!(r#"{{"a":"\"{}\\"}}"#, "[".repeat(99));
        assert_eq!(check_json(quoted.as_bytes()), Ok(()));
        let batch = |length: usize| format!(" [{}]", vec![r#"{"a":[1,2],"b":","}"#; length].join(","));
        assert_eq!(check_json(batch(BATCH_LENGTH_MAX).as_bytes()), Ok(()));
        assert_eq!(check_json(batch(BATCH_LENGTH_MAX + 1).as_bytes()), Err(Refusal::BatchTooLong));
        let wide = |values: usize| format!(r#"{{"a":[{}]}}"#, vec!["0"; values - 3].join(","));
        assert_eq!(check_json(wide(JSON_VALUES_MAX).as_bytes()), Ok(()));
        assert_eq!(check_json(wide(JSON_VALUES_MAX + 1).as_bytes()), Err(Refusal::TooManyValues));
        for text in ["", "{", "nonsense", "{}{}", "[1,]"] {
            assert_eq!(check_json(text.as_bytes()), Err(Refusal::NotJson), "{text:?}");
        }
    }
}
