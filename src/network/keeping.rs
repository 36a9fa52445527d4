//! Keeps bans and addresses of peers over restarts: read at the start, written after changes and at the end.
//!
//! # Place
//! [`Network::start`](super::Network::start) reads by it; `peer_manager.rs` starts the two tasks that write. The files are those of
//! `ban_file.rs` and `address_file.rs`.
//!
//! # Invariants
//! - INV-KEEPING-1: no file that can't be read or is damaged keeps a node from starting. A damaged one is set aside.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::address_file::{self, Found, Kept};
use super::ban_file::{self, KeptBans};
use super::kept_file::set_aside;
use super::peer::now;
use super::reputation::Reputation;
use super::shared::Shared;
use crate::runtime::Clock;

/// With the bans and points of the last run. Blocks.
pub(crate) fn reputation_from(path: Option<&Path>, now: Instant) -> Reputation {
    let mut reputation = Reputation::default();
    let Some(path) = path else { return reputation };
    match ban_file::read(path, Clock.now_ms()) {
        Ok(kept) => {
            for (target, left) in kept.bans {
                let until = now.checked_add(left).unwrap_or(now);
                reputation.ban(target, until, now);
            }
            for (target, points) in kept.points {
                reputation.restore_points(target, points, now);
            }
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => match set_aside(path) {
            Ok(aside) => tracing::warn!(
                aside = %aside.display(),
                %error,
                "The bans of the last run are damaged; a new file begins with nobody banned, the old one can be removed"
            ),
            Err(moving) => tracing::warn!(
                path = %path.display(),
                %error,
                %moving,
                "The bans of the last run are damaged, and can't be moved away"
            ),
        },
        Err(error) => tracing::warn!(path = %path.display(), %error, "Bans of the last run can't be read"),
    }
    // What was read need not be written again.
    let _read = reputation.take_changed();
    reputation
}

/// The addresses of the last run, or none with a new secret. Blocks.
pub(crate) fn addresses_from(path: Option<&Path>) -> Kept {
    let new = || Kept { secret: rand::random(), anchors: Vec::new(), entries: Vec::new() };
    let Some(path) = path else { return new() };
    match address_file::read(path) {
        Ok(Found::Kept(kept)) => kept,
        Ok(Found::Nothing) => new(),
        Ok(Found::Damaged) => {
            match set_aside(path) {
                Ok(aside) => tracing::warn!(
                    aside = %aside.display(),
                    "The addresses of peers of the last run are damaged; a new file begins, the old one can be removed"
                ),
                Err(error) => tracing::warn!(
                    path = %path.display(),
                    %error,
                    "The addresses of peers of the last run are damaged, and can't be moved away"
                ),
            }
            new()
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "The addresses of peers of the last run can't be read");
            new()
        }
    }
}

/// Waits; true if this is the last time, since the node stops.
async fn is_last(shared: &Shared, pause: Duration) -> bool {
    shared.token.run_until_cancelled(sleep(pause)).await.is_none()
}

/// Writes bans after they changed, and with points at the end.
pub(crate) async fn keep_bans(shared: &Shared) {
    let Some(path) = &shared.bans_path else { return };
    loop {
        let is_last = is_last(shared, shared.timing.bans_kept_interval).await;
        let bans = {
            let mut reputation = shared.reputation.lock();
            // Points change often, and are kept when the node stops.
            let points = reputation.scored(now());
            let is_due = reputation.take_changed() || is_last && !points.is_empty();
            is_due.then(|| KeptBans { bans: reputation.banned(now()), points })
        };
        if let Some(bans) = bans {
            let target = path.clone();
            let written =
                tokio::task::spawn_blocking(move || ban_file::write(&target, &bans, Clock.now_ms())).await;
            if let Ok(Err(error)) = written {
                tracing::warn!(path = %path.display(), %error, "Bans can't be kept over a restart");
            }
        }
        if is_last {
            return;
        }
    }
}

/// Writes the addresses of peers after they changed, and at the end.
pub(crate) async fn keep_addresses(shared: &Shared) {
    let Some(path) = &shared.peers_path else { return };
    let mut is_first = true;
    loop {
        // The secret is to outlive a crash of the first minutes, too.
        let pause =
            if is_first { shared.timing.bans_kept_interval } else { shared.timing.addresses_kept_interval };
        let is_last = is_last(shared, pause).await;
        let kept = {
            let mut book = shared.book.lock();
            (book.take_changed() || is_first).then(|| book.kept())
        };
        is_first = false;
        if let Some(kept) = kept {
            let target = path.clone();
            let written = tokio::task::spawn_blocking(move || address_file::write(&target, &kept)).await;
            if let Ok(Err(error)) = written {
                tracing::warn!(path = %path.display(), %error, "Addresses of peers can't be kept over a restart");
            }
        }
        if is_last {
            return;
        }
    }
}
