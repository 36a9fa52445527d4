//! Accepts, keeps connections running, and exchanges addresses.
//!
//! # Place
//! `tasks.rs` starts what runs for ever; whom to dial is in `dialer.rs`, what outlives a restart in `keeping.rs`. Each connection
//! has a task of its own.
//!
//! # Invariants
//! - INV-HIDE-1: a node that hides lets in only who comes from a host of its configuration, and tells nobody where it is.
//! - INV-NET-18: for each peer that is registered, `Connected` is told once before and `Disconnected` once after; a
//!   replacement tells both. Messages of a connection may still come after its `Disconnected`.
//! - INV-NET-33: while the node is isolated no connection is kept: those that are there end, and none begins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::address::told_by;
use super::connection::{Connection, DisconnectReason};
use super::connection_manager::Newcomer;
use super::handshake::{Established, HandshakeError, Hello, RefusalReason, Role, handshake};
use super::message_kind::MessageKind;
use super::metrics::add;
use super::neighbours::ANNOUNCE_PAUSE;
use super::peer::{Origin, PeerId, Standing, now};
use super::reputation::BanTarget;
use super::session;
use super::shared::Shared;
use crate::types::Message;
use crate::types::codec::encode;
use crate::types::limits::NEIGHBOURS_MAX;

/// How long to wait when the operating system gives no more sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

pub(super) async fn accept(shared: &Arc<Shared>, listener: TcpListener) {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "Accepting a connection failed; is the limit of open files too low?");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // INV-HIDE-1. The peer is told nothing: there is nobody for it here.
        if shared.is_isolated() || shared.local.hides && !shared.book.lock().is_listed(address.ip()) {
            drop(stream);
            continue;
        }
        // Even from a banned address a member of the set may come, so it has to say who it is first.
        let is_banned = shared.reputation.lock().is_address_banned(address.ip(), now());
        let origin = Origin::of(address.ip());
        let Some(place) = shared.half_open.enter(origin, is_banned, &shared.token, now()) else {
            add(&shared.common.metrics.handshakes_failed, 1);
            continue;
        };
        let task = Arc::clone(shared);
        shared.spawn(async move {
            let greeting = greet(&task, stream, address, Approach::Accepted, None);
            let established = place.closing.run_until_cancelled(greeting).await;
            drop(place);
            match established {
                Some(Ok(established)) => {
                    let token = task.token.clone();
                    token.run_until_cancelled(serve(&task, established, address, true)).await;
                }
                Some(Err(error)) => {
                    task.note_foreign(&address.ip().to_string(), false, &error);
                    tracing::debug!(%address, %error, "Inbound handshake failed");
                }
                None => {
                    add(&task.common.metrics.handshakes_failed, 1);
                    tracing::debug!(%address, "Inbound handshake made room for another");
                }
            }
        });
    }
}

/// How a connection came to be, for who wants a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Approach {
    /// The peer opened it.
    Accepted,
    /// This node dialled a pinned address.
    Dialled,
    /// It dialled what peers told. A connection that there is to the same peer is never given up for it.
    Learned,
    /// It only feels an address, and needs no place.
    Feeler,
}

/// Runs the handshake.
pub(super) async fn greet(
    shared: &Shared,
    stream: TcpStream,
    address: SocketAddr,
    approach: Approach,
    expected: Option<crate::types::PublicKey>,
) -> Result<Established<TcpStream>, HandshakeError> {
    stream.set_nodelay(true)?;
    let role = if approach == Approach::Accepted { Role::Responder } else { Role::Initiator };
    let admit = |remote: &Hello| {
        let now = now();
        let newcomer = Newcomer {
            peer: remote.identity,
            operator: remote.operator(),
            standing: shared.common.members.standing(remote.operator()),
            address,
            inbound: approach == Approach::Accepted,
        };
        if newcomer.standing == Standing::Stranger {
            let reputation = shared.reputation.lock();
            if reputation.is_banned(BanTarget::Identity(remote.identity), now)
                || reputation.is_address_banned(address.ip(), now)
            {
                return Err(RefusalReason::Banned);
            }
        }
        if matches!(approach, Approach::Learned | Approach::Feeler)
            && shared.manager.contains(remote.identity)
        {
            return Err(RefusalReason::Duplicate);
        }
        if approach == Approach::Feeler {
            return Ok(());
        }
        let decision = shared.manager.check(&newcomer, now).map(|_| ());
        if decision == Err(RefusalReason::Duplicate)
            && let Some(kept) = shared.manager.get(remote.identity)
        {
            // Perhaps the peer is back after a crash, and the connection that is kept is dead: that shows now.
            kept.probe();
        }
        decision
    };
    let deadline = shared.timing.handshake_deadline;
    let result = handshake(stream, role, &shared.local, expected, deadline, admit).await;
    if result.is_err() {
        add(&shared.common.metrics.handshakes_failed, 1);
    }
    result
}

/// Registers a connection and runs it until it ends; false if it was not wanted after all.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    established: Established<TcpStream>,
    address: SocketAddr,
    inbound: bool,
) -> bool {
    let Established { stream, buffer, sealer, opener, remote, version } = established;
    let id = shared.next_connection.fetch_add(1, Ordering::Relaxed);
    let connection = Connection::new(id, (&remote, version), address, inbound, &shared.common, &shared.token);
    let connection = Arc::new(connection);
    if !admit_connection(shared, &connection).await {
        return false;
    }
    tracing::info!(
        peer = remote.identity.short(),
        %address,
        direction = if inbound { "inbound" } else { "outbound" },
        member = connection.standing() == Standing::Member,
        user_agent = connection.user_agent,
        version,
        "Connected to peer"
    );
    if inbound {
        learn_listening_address(shared, &remote, address);
    }
    shared.send(remote.identity, &Message::GetMasternodes);
    let (reader, writer) = stream.into_split();
    let reason = session::run(shared, &connection, reader, buffer, writer, (sealer, opener)).await;
    let lifecycle = shared.lifecycle.lock().await;
    if shared.manager.remove(&connection) {
        tell_gone(shared, &connection);
    }
    drop(lifecycle);
    tracing::info!(peer = remote.identity.short(), %address, reason, "Disconnected from peer");
    true
}

async fn admit_connection(shared: &Arc<Shared>, connection: &Arc<Connection>) -> bool {
    let _lifecycle = shared.lifecycle.lock().await;
    let place = match shared.manager.register(connection, now()) {
        Err(reason) => {
            tracing::debug!(peer = connection.peer.short(), %reason, "Connection not kept");
            return false;
        }
        Ok(place) => place,
    };
    if let Some(replaced) = place.replaced {
        replaced.close(DisconnectReason::Replaced);
        tell_gone(shared, &replaced);
    }
    if let Some(evicted) = place.evicted {
        evicted.close(DisconnectReason::Evicted);
        tell_gone(shared, &evicted);
    }
    if connection.visits() {
        let (task, visitor) = (Arc::clone(shared), Arc::clone(connection));
        shared.spawn(async move {
            task.token.run_until_cancelled(sleep(task.timing.visit)).await;
            visitor.close(DisconnectReason::Visit);
        });
    }
    // A handshake may have ended just when the node was isolated.
    if shared.is_isolated() {
        connection.close(DisconnectReason::Isolated);
    }
    shared.bulk.connected(connection.peer, connection.address, connection.inbound);
    shared.urgent.connected(connection.peer, connection.address, connection.inbound);
    shared.links_changed.notify_one();
    true
}

fn tell_gone(shared: &Shared, connection: &Connection) {
    shared.bulk.disconnected(connection.peer);
    shared.urgent.disconnected(connection.peer);
    shared.links_changed.notify_one();
}

/// A peer that connected to this node can probably be reached where it says it listens.
fn learn_listening_address(shared: &Shared, remote: &Hello, address: SocketAddr) {
    if let Some(listening) = told_by(&remote.listen_address(address.ip()), address.ip()) {
        shared.learn_one(listening, address.ip(), Some(remote.identity));
    }
}

pub(super) async fn exchange(shared: &Shared) {
    let mut first = true;
    loop {
        if first {
            tracing::info!(peers = shared.manager.all().len(), "Broadcasting GetMasternodes to all peers");
            first = false;
        } else {
            tracing::debug!(peers = shared.manager.all().len(), "Broadcasting GetMasternodes to all peers");
        }
        shared.broadcast(&Message::GetMasternodes, None);
        sleep(shared.timing.exchange_interval).await;
    }
}

/// Tells peers whom of the set this node is connected to, whenever that has changed and to everybody who is new.
pub(super) async fn announce(shared: &Shared) {
    let (mut edition, mut last) = (0, Vec::new());
    loop {
        shared.links_changed.notified().await;
        let connections = shared.manager.all();
        let is_member = |connection: &&Arc<Connection>| connection.standing() == Standing::Member;
        let mut members: Vec<PeerId> =
            connections.iter().filter(is_member).map(|connection| connection.peer).collect();
        members.sort_unstable();
        members.truncate(NEIGHBOURS_MAX);
        if edition == 0 || members != last {
            (edition, last) = (edition + 1, members);
        }
        let encoded = Bytes::from(encode(&Message::Neighbours(last.clone())));
        for connection in connections {
            if connection.neighbours.tell(edition) {
                connection.enqueue(MessageKind::Neighbours, encoded.clone());
            }
        }
        sleep(ANNOUNCE_PAUSE).await;
    }
}
