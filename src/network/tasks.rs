//! Starts what runs for as long as the network does.
//!
//! # Place
//! Called by [`Network::start`](super::Network::start). The tasks end with its token; what keeps files writes them once more first.

use std::sync::Arc;

use tokio::net::TcpListener;

use super::dialer::{dial, feel, seed};
use super::keeping::{keep_addresses, keep_bans};
use super::peer_manager::{accept, announce, exchange};
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
