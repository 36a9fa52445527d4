//! `GET /metrics` on an address of its own, for Prometheus.
//!
//! # Place
//! `app/` starts it with a function that renders the recorder. Nothing here is secret, so it asks for no credentials;
//! it has no other page.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{BoundedListener, ConnectionInfo, REQUEST_ARRIVAL_MAX, RunningRequest};
use super::server::{RpcError, RpcHandle, bind, run};

/// Open connections, at most.
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
    ) -> Result<RpcHandle, RpcError> {
        let (listener, local_address) = bind(address).await?;
        let router = Router::new().route("/metrics", get(metrics)).with_state(render);
        let listener = BoundedListener::new(listener, CONNECTIONS_MAX, REQUEST_ARRIVAL_MAX);
        run(router, listener, token, tracker, || ());
        tracing::info!(address = %local_address, "metrics are listening");
        Ok(RpcHandle { local_address })
    }
}

async fn metrics(
    State(render): State<Render>,
    ConnectInfo(connection): ConnectInfo<ConnectionInfo>,
) -> impl IntoResponse {
    let _running = RunningRequest::begin(&connection.activity);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render())
}
