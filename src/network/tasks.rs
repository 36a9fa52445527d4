//! Starts what runs for as long as the network does.
//!
//! # Place
//! Called by [`Network::start`](super::Network::start). The tasks end with its token; what keeps files writes them once more first.

use std::net::SocketAddr;
use std::sync::Arc;

use igd_next::SearchOptions;
use tokio::net::TcpListener;

use super::dialer::{dial, feel, seed};
use super::keeping::{keep_addresses, keep_bans};
use super::peer_manager::{accept, announce, exchange};
use super::port_mapping::keep_mapping;
use super::shared::Shared;

/// Starts the tasks.
pub(crate) fn start(shared: &Arc<Shared>, listener: TcpListener) {
    let of_shared = |shared: &Arc<Shared>| (Arc::clone(shared), shared.token.clone());
    let (task, token) = of_shared(shared);
    shared.spawn(async move { token.run_until_cancelled(accept(&task, listener)).await });
    let (task, token) = of_shared(shared);
    shared.spawn(async move { token.run_until_cancelled(dial(&task)).await });
    let (task, token) = of_shared(shared);
    shared.spawn(async move { token.run_until_cancelled(feel(&task)).await });
    let (task, token) = of_shared(shared);
    shared.spawn(async move { token.run_until_cancelled(seed(&task)).await });
    let (task, token) = of_shared(shared);
    shared.spawn(async move { token.run_until_cancelled(exchange(&task)).await });
    let (task, token) = of_shared(shared);
    shared.spawn(async move { token.run_until_cancelled(announce(&task)).await });
    let (task, _) = of_shared(shared);
    shared.spawn(async move { keep_bans(&task).await });
    let (task, _) = of_shared(shared);
    shared.spawn(async move { keep_addresses(&task).await });
}

/// Keeps a way in by the router to where this node listens.
pub(crate) fn map_port(shared: &Arc<Shared>, listening: SocketAddr) {
    let task = Arc::clone(shared);
    shared.spawn(async move {
        let is_named = task.local.advertised.load().is_some();
        let advertise = |external: Option<SocketAddr>| {
            if let Some(external) = external {
                task.book.lock().note_own_place(&external.to_string());
            }
            // The operator's word counts more.
            if !is_named {
                task.local.advertised.store(external.map(|external| Arc::new(external.to_string())));
            }
        };
        keep_mapping(listening, SearchOptions::default, advertise, &task.token).await;
    });
}
