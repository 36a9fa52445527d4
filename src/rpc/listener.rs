//! Accepts connections and speaks HTTP/1 on each, within the bounds of `rpc/limits.rs`.
//!
//! # Place
//! Both HTTP servers run on it: `rpc/server.rs` and `rpc/metrics_server.rs`.
//!
//! # Concurrency
//! One task accepts and looks for overdue connections; each connection has a task, which ends with its connection.
//! `axum::serve` would hide both the bounds on buffers and the tasks, which have to end at once when they are evicted.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::connection::{Connection, CountedStream};
use super::connections::{Connections, Entered};
use super::limits::{DRAIN_MAX, HEAD_BYTES_MAX, HEADERS_MAX, SWEEP_INTERVAL};
use crate::runtime::Clock;
use crate::runtime::stages::{Stage, during};

/// Runs a server on a task of the tracker until the token fires, then a little longer for open requests.
pub(super) fn run<H, A>(
    listener: TcpListener,
    connections: Arc<Connections>,
    token: CancellationToken,
    tracker: &TaskTracker,
    handler: H,
    after: impl FnOnce() + Send + 'static,
) where
    H: Fn(Arc<Connection>, Request) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    let work = async move {
        let tasks = TaskTracker::new();
        let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = token.cancelled() => break,
                _ = sweep.tick() => connections.close_overdue(Clock.instant()),
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => match connections.enter(peer, Clock.instant()) {
                        Some(entered) => {
                            let serving = serve(stream, entered, handler.clone(), token.clone());
                            tasks.spawn(during(Stage::Rpc, serving).in_current_span());
                        }
                        None => tracing::warn!(%peer, "No HTTP connection can be closed for a new one"),
                    },
                    Err(error) => {
                        // Most likely there are no file handles left: one less connection, one handle more.
                        tracing::debug!(%error, "Could not accept an HTTP connection");
                        connections.close_least_useful(Clock.instant());
                        tokio::time::sleep(SWEEP_INTERVAL).await;
                    }
                },
            }
        }
        drop(listener);
        tasks.close();
        tasks.wait().await;
        after();
    };
    tracker.spawn(work.in_current_span());
}

async fn serve<H, A>(stream: TcpStream, entered: Entered, handler: H, token: CancellationToken)
where
    H: Fn(Arc<Connection>, Request) -> A,
    A: Future<Output = Response> + Send + 'static,
{
    let connection = Arc::clone(&entered.connection);
    let peer = connection.peer;
    // Without it small answers wait for the peer's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "Could not set TCP_NODELAY");
    }
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let answer = handler(Arc::clone(&connection), request.map(Body::new));
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let io = TokioIo::new(CountedStream::new(stream, Arc::clone(&connection)));
    let mut http = http1::Builder::new();
    http.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
    let mut serving = std::pin::pin!(http.serve_connection(io, service).with_upgrades());
    tokio::select! {
        // An evicted connection ends at once, whatever it still has to say.
        biased;
        () = connection.closing.cancelled() => return,
        () = token.cancelled() => {}
        outcome = serving.as_mut() => {
            if let Err(error) = outcome {
                tracing::trace!(%peer, %error, "An HTTP connection ended");
            }
            let next = connection.take_next();
            // A WebSocket has a place of its own.
            drop(entered);
            if let Some(next) = next {
                next.await;
            }
            return;
        }
    }
    serving.as_mut().graceful_shutdown();
    if tokio::time::timeout(DRAIN_MAX, serving).await.is_err() {
        tracing::debug!(%peer, "Closed an HTTP connection with an open request");
    }
}
