//! Which request goes where: calls, WebSockets, and the plain pages.
//!
//! # Place
//! [`serve`] is the one handler of the RPC address. What stands before a call is in `rpc/http.rs`.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{Method, StatusCode, Version};
use axum::response::Response;
use jsonrpsee::server::http::content_type_is_json;

use super::connection::Connection;
use super::hosts::{let_read, may_ask};
use super::http::{
    Answered, HttpState, answer_calls, authenticate, has_kept_places, held_until_taken, read_body,
};
use super::page;
use super::refusal::{Refusal, json};
use super::socket::Socket;
use super::types::Readiness;

/// Answers any request.
pub(super) async fn serve(state: Arc<HttpState>, connection: Arc<Connection>, request: Request) -> Response {
    connection.head_arrived();
    let page_elsewhere = state.hosts.page_elsewhere(request.headers());
    let Answered { mut response, room, place } = match handle(&state, &connection, request).await {
        Ok(answered) => answered,
        Err(refusal) => Answered::plain(refusal.response().await),
    };
    if let Some(origin) = page_elsewhere {
        let_read(&mut response, origin);
    }
    let taking = connection.taking();
    drop(place);
    held_until_taken(response, room, taking).await
}

async fn handle(
    state: &Arc<HttpState>,
    connection: &Arc<Connection>,
    request: Request,
) -> Result<Answered, Refusal> {
    if !matches!(request.version(), Version::HTTP_10 | Version::HTTP_11) {
        return Err(Refusal::HttpVersion);
    }
    state.hosts.check(request.headers()).map_err(Refusal::of_foreign)?;
    match (request.method(), request.uri().path()) {
        (&Method::OPTIONS, _) if state.hosts.page_elsewhere(request.headers()).is_some() => {
            return Ok(Answered::plain(may_ask()));
        }
        (&Method::GET | &Method::HEAD, "/health") => {
            return Ok(Answered::plain(json(StatusCode::OK, &serde_json::json!({ "status": "alive" }))));
        }
        (&Method::GET | &Method::HEAD, "/ready") => {
            let readiness = Readiness::of(state.startup.problems());
            let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            return Ok(Answered::plain(json(status, &readiness)));
        }
        (&Method::GET, "/ws") => {
            let role = authenticate(state, connection, request.headers())?;
            let node = state.startup.node().ok_or(Refusal::Starting)?;
            let place = state.places.socket(has_kept_places(role)).ok_or(Refusal::Busy)?;
            let socket = Socket::new(state, node, connection, (role, place));
            return socket.accept(request).map(Answered::plain).ok_or(Refusal::NoWebSocket);
        }
        (&Method::GET | &Method::HEAD, path) => {
            return page::file(path).map(Answered::plain).ok_or(Refusal::Path);
        }
        (&Method::POST, "/") if content_type_is_json(&request) => {}
        (&Method::POST, "/") => return Err(Refusal::ContentType),
        (_, "/") => return Err(Refusal::Method),
        _ => return Err(Refusal::Path),
    }
    // Behind the plain pages, which nobody is to wait for.
    connection.rest().await;
    let role = authenticate(state, connection, request.headers())?;
    let authenticated = has_kept_places(role);
    let (parts, body) = request.into_parts();
    let (bytes, _share) = read_body(body, state, authenticated).await?;
    answer_calls(state, connection, role, Request::from_parts(parts, bytes)).await
}
