//! The RPC server: one address for JSON-RPC, health and readiness.
//!
//! # Place
//! `app/` opens it before it opens the node's data, and has it serve when the node can answer; it ends with the node's token.
//!
//! # Invariants
//! - INV-RPC-3 of [`crate::rpc`].
//! - INV-SERVER-1: the cookie exists while the server serves, and is gone afterwards.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jsonrpsee::core::middleware::RpcServiceBuilder;
use jsonrpsee::server::{
    BatchRequestConfig, ConnectionGuard, RegisterMethodError, ServerConfig, stop_channel,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answers::Answers;
use super::api::NodeApi;
use super::auth::{Authenticator, CookieError, RpcUser};
use super::busy_pace::BusyPace;
use super::connections::Connections;
use super::hosts::{Allowed, Hosts};
use super::http::HttpState;
use super::limits::{
    BATCH_LENGTH_MAX, BODIES_BYTES_MAX, BODIES_UNAUTHENTICATED_BYTES_MAX, BODY_BYTES_MAX, Limits,
};
use super::listener::run;
use super::meter::MeterLayer;
use super::methods::{Context, module};
use super::places::Places;
use super::router::serve;
use super::shares::Shares;
use super::startup::Startup;

pub use super::limits::RESPONSE_BYTES_MAX;
use crate::runtime::{Clock, StartStatus};

/// What the server needs to know.
#[derive(Clone, Debug)]
pub struct RpcServerConfig {
    /// Where it listens; port 0 lets the system choose.
    pub listen_address: SocketAddr,
    /// Requests that are answered at once, at most; a few more connections are open for probes.
    pub connections_max: usize,
    /// Where the cookie is written; `None` makes none.
    pub cookie_path: Option<PathBuf>,
    /// Users beside the cookie.
    pub users: Vec<RpcUser>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// Reachable from elsewhere, and nobody could ever authenticate.
    #[error(
        "RPC would listen on {address}, which other machines can reach, without any authentication; \
         configure the cookie or users, or listen on 127.0.0.1"
    )]
    OpenWithoutAuth {
        /// The address.
        address: SocketAddr,
    },
    /// Another program listens there.
    #[error("{address} is in use: stop the other program, or set {key} to another port")]
    AddressInUse {
        /// The address.
        address: SocketAddr,
        /// The key of the configuration that names it.
        key: &'static str,
    },
    /// The address can't be had.
    #[error("can't listen on {address}: {source}; check {key}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The key of the configuration that names it.
        key: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// No cookie.
    #[error(transparent)]
    Cookie(#[from] CookieError),
    /// The table of methods contradicts itself.
    #[error("a method is registered twice: {0}")]
    Methods(#[from] RegisterMethodError),
}

/// A running server.
pub struct RpcHandle {
    /// Where it listens.
    pub local_address: SocketAddr,
    state: Arc<HttpState>,
}

impl std::fmt::Debug for RpcHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RpcHandle({})", self.local_address)
    }
}

impl RpcHandle {
    /// From now on calls are answered by this node; until then they are told that it is starting.
    ///
    /// # Errors
    /// When the table of methods contradicts itself.
    pub fn serve(&self, node: Arc<dyn NodeApi>) -> Result<(), RpcError> {
        let stopping = self.state.stopping.clone();
        let context = Context { node: Arc::clone(&node), stopping, listens: self.local_address };
        self.state.startup.serve(node, module(context)?.into());
        Ok(())
    }
}

/// Binds an address, which `key` of the configuration names.
pub(super) async fn bind(
    address: SocketAddr,
    key: &'static str,
) -> Result<(TcpListener, SocketAddr), RpcError> {
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AddrInUse => RpcError::AddressInUse { address, key },
        _ => RpcError::Bind { address, key, source },
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Starts RPC servers.
pub struct RpcServer;

impl RpcServer {
    /// Binds, writes the cookie and listens on a task of the tracker until the token fires. Hosts and origins are allowed
    /// beside the node's own. Calls are told what `status` says until [`RpcHandle::serve`].
    ///
    /// # Errors
    /// When the address can't be had, the cookie can't be written, or nobody could authenticate on an address that
    /// other machines can reach.
    pub async fn open(
        config: RpcServerConfig,
        allowed: Allowed,
        status: StartStatus,
        (token, tracker): (CancellationToken, &TaskTracker),
    ) -> Result<RpcHandle, RpcError> {
        let limits = Limits::of(config.connections_max);
        Self::open_with(config, (limits, allowed), status, (token, tracker)).await
    }

    /// A server of a node that serves already.
    #[cfg(test)]
    pub(crate) async fn start(
        config: RpcServerConfig,
        node: Arc<dyn NodeApi>,
        token: CancellationToken,
        tracker: &TaskTracker,
    ) -> Result<RpcHandle, RpcError> {
        let handle = Self::open(config, Allowed::default(), StartStatus::default(), (token, tracker)).await?;
        handle.serve(node)?;
        Ok(handle)
    }

    /// As [`RpcServer::open`], with other bounds on time, for tests.
    pub(super) async fn open_with(
        config: RpcServerConfig,
        (limits, allowed): (Limits, Allowed),
        status: StartStatus,
        (token, tracker): (CancellationToken, &TaskTracker),
    ) -> Result<RpcHandle, RpcError> {
        let address = config.listen_address;
        if !address.ip().is_loopback() && config.cookie_path.is_none() && config.users.is_empty() {
            return Err(RpcError::OpenWithoutAuth { address });
        }
        let (listener, bound) = bind(address, "[rpc] listen_address").await?;
        let authenticator = Arc::new(Authenticator::start(config.cookie_path, config.users)?);
        let (stop, stop_sender) = stop_channel();
        let connections = Connections::new(limits);
        let state = Arc::new(HttpState {
            slow_sockets: AtomicU64::new(0),
            socket_send: limits.socket_send,
            startup: Startup::new(status)?,
            authenticator: authenticator.clone(),
            hosts: Hosts::new(bound, allowed),
            config: server_config(),
            body_pace: limits.body,
            connections: connections.clone(),
            places: Places::new(&limits),
            bodies: Shares::new(BODIES_BYTES_MAX, BODIES_UNAUTHENTICATED_BYTES_MAX),
            busy_pace: BusyPace::new(limits.busy_answers_per_s, Clock.instant()),
            answers: Answers::new(limits.large_call_turn_max),
            guard: ConnectionGuard::new(limits.requests_max),
            stop,
            stopping: token.clone(),
            middleware: RpcServiceBuilder::new().layer(MeterLayer),
        });
        let serving = Arc::clone(&state);
        let handler = move |connection, request| serve(serving.clone(), connection, request);
        run(listener, connections, token, tracker, handler, move || {
            authenticator.stop();
            drop(stop_sender);
        });
        tracing::info!(address = %bound, "RPC is listening");
        Ok(RpcHandle { local_address: bound, state })
    }
}

fn server_config() -> ServerConfig {
    let bytes = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    ServerConfig::builder()
        .http_only()
        .max_request_body_size(bytes(BODY_BYTES_MAX))
        .max_response_body_size(bytes(RESPONSE_BYTES_MAX))
        .set_batch_request_config(BatchRequestConfig::Limit(bytes(BATCH_LENGTH_MAX)))
        .build()
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "server_operator_tests.rs"]
mod operator_tests;

#[cfg(test)]
#[path = "server_hostile_tests.rs"]
mod hostile_tests;

#[cfg(test)]
#[path = "server_fuzz_tests.rs"]
mod fuzz_tests;

#[cfg(test)]
#[path = "server_error_tests.rs"]
mod error_tests;

#[cfg(test)]
#[path = "socket_tests.rs"]
mod socket_tests;

#[cfg(test)]
#[path = "server_startup_tests.rs"]
mod startup_tests;
