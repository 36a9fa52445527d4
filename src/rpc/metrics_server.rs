//! `GET /metrics` on an address of its own, for Prometheus.
//!
//! # Place
//! `app/` starts it with a function that renders the recorder. Nothing here is secret, so it asks for no credentials;
//! it has no other page. A client that is silent or slow is closed as on the RPC address, and holds no place there.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Connection;
use super::connections::Connections;
use super::http::held_until_taken;
use super::limits::Limits;
use super::listener::run;
use super::server::{RpcError, bind};

/// Connections, at most, beside those for newcomers.
const CONNECTIONS_MAX: usize = 16;

/// Renders all metrics in Prometheus' text format.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// Starts metrics servers.
pub struct MetricsServer;

impl MetricsServer {
    /// Binds and serves on a task of `tracker` until `token` fires.
    ///
    /// # Errors
    /// When the address can't be had.
    pub async fn start(
        address: SocketAddr,
        render: Render,
        token: CancellationToken,
        tracker: &TaskTracker,
    ) -> Result<SocketAddr, RpcError> {
        let (listener, local_address) = bind(address, "[metrics] listen_address").await?;
        let connections = Connections::new(Limits::of(CONNECTIONS_MAX));
        let handler = move |connection, request| metrics(render.clone(), connection, request);
        run(listener, connections, token, tracker, handler, || ());
        tracing::info!(address = %local_address, "Metrics are listening");
        Ok(local_address)
    }
}

async fn metrics(render: Render, connection: Arc<Connection>, request: Request) -> Response {
    connection.head_arrived();
    let response = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render()).into_response()
        }
        (_, "/metrics") => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    };
    held_until_taken(response, None, connection.taking()).await
}
