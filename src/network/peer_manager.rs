//! Accepts and dials, keeps connections running, exchanges addresses, and keeps bans.
//!
//! # Place
//! Five tasks that [`Network::start`](super::Network::start) starts, and one for each connection.
//!
//! # Invariants
//! - INV-NET-18: for each peer that is registered, `Connected` is told once before and `Disconnected` once after; a
//!   replacement tells both. Messages of a connection may still come after its `Disconnected`.
//! - INV-NET-33: while the node is isolated no connection is kept: those that are there end, and none begins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::address_book::{Attempt, Source, is_tellable};
use super::ban_file;
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
use crate::runtime::Clock;
use crate::types::Message;
use crate::types::codec::encode;
use crate::types::limits::NEIGHBOURS_MAX;

/// Attempts to dial under way, at most.
pub(crate) const DIALING_MAX: usize = 16;
/// How long to wait when the operating system gives no more sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Starts the tasks.
pub(crate) fn start(shared: &Arc<Shared>, listener: TcpListener) {
    let accepting = Arc::clone(shared);
    shared.spawn(async move {
        let token = accepting.token.clone();
        token.run_until_cancelled(accept(&accepting, listener)).await
    });
    let dialing = Arc::clone(shared);
    shared.spawn(async move {
        let token = dialing.token.clone();
        token.run_until_cancelled(dial(&dialing)).await
    });
    let exchanging = Arc::clone(shared);
    shared.spawn(async move {
        let token = exchanging.token.clone();
        token.run_until_cancelled(exchange(&exchanging)).await
    });
    let announcing = Arc::clone(shared);
    shared.spawn(async move {
        let token = announcing.token.clone();
        token.run_until_cancelled(announce(&announcing)).await
    });
    let keeping = Arc::clone(shared);
    shared.spawn(async move { keep_bans(&keeping).await });
}

/// Writes bans after they changed, and at the end.
async fn keep_bans(shared: &Shared) {
    let Some(path) = &shared.bans_path else { return };
    let mut is_last = false;
    while !is_last {
        let pause = sleep(shared.timing.bans_kept_interval);
        is_last = shared.token.run_until_cancelled(pause).await.is_none();
        let bans = {
            let mut reputation = shared.reputation.lock();
            if !reputation.take_changed() {
                continue;
            }
            reputation.banned(now())
        };
        let target = path.clone();
        let written =
            tokio::task::spawn_blocking(move || ban_file::write(&target, &bans, Clock.now_ms())).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(path = %path.display(), %error, "Bans can't be kept over a restart");
        }
    }
}

async fn accept(shared: &Arc<Shared>, listener: TcpListener) {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "Accepting a connection failed; is the limit of open files too low?");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if shared.is_isolated() {
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
            let greeting = greet(&task, stream, address, Role::Responder, None);
            let established = place.closing.run_until_cancelled(greeting).await;
            drop(place);
            match established {
                Some(Ok(established)) => {
                    let token = task.token.clone();
                    token.run_until_cancelled(serve(&task, established, address, true)).await;
                }
                Some(Err(error)) => {
                    task.note_other_chain(&address.ip().to_string(), false, &error);
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

async fn dial(shared: &Arc<Shared>) {
    loop {
        if shared.is_isolated() {
            sleep(shared.timing.dial_interval).await;
            continue;
        }
        let places = shared.dialing.available_permits().min(shared.manager.outbound_free());
        let due = shared.book.lock().take_due(places, now(), |peer| shared.manager.contains(peer));
        for attempt in due {
            let permit = Arc::clone(&shared.dialing).try_acquire_owned();
            let task = Arc::clone(shared);
            shared.spawn(async move {
                let token = task.token.clone();
                token
                    .run_until_cancelled(async {
                        let connected = connect(&task, &attempt).await;
                        drop(permit);
                        conclude(&task, &attempt, connected).await;
                    })
                    .await;
            });
        }
        sleep(shared.timing.dial_interval).await;
    }
}

async fn connect(
    shared: &Arc<Shared>,
    attempt: &Attempt,
) -> Result<(Established<TcpStream>, SocketAddr), HandshakeError> {
    let stream = timeout(shared.timing.connect_deadline, TcpStream::connect(&attempt.address))
        .await
        .map_err(|_| HandshakeError::Deadline)??;
    let address = stream.peer_addr()?;
    let established = greet(shared, stream, address, Role::Initiator, attempt.expected).await?;
    Ok((established, address))
}

/// Notes how an attempt went, and runs the connection if there is one.
async fn conclude(
    shared: &Arc<Shared>,
    attempt: &Attempt,
    connected: Result<(Established<TcpStream>, SocketAddr), HandshakeError>,
) {
    let error = match connected {
        Ok((established, address)) => {
            shared.book.lock().answered(&attempt.address, established.remote.identity, now());
            let started = now();
            let served = serve(shared, established, address, false).await;
            let stable = now().saturating_duration_since(started) >= shared.timing.stable_after;
            let mut book = shared.book.lock();
            if stable {
                book.held(&attempt.address);
            }
            // A connection that ended counts as one failure, so one that ends again and again is tried less often.
            if served {
                book.failed(&attempt.address, now());
            }
            return;
        }
        Err(error) => error,
    };
    shared.note_other_chain(&attempt.address, true, &error);
    tracing::debug!(address = attempt.address, %error, "Could not connect");
    let mut book = shared.book.lock();
    match error {
        HandshakeError::SelfConnection => book.is_own(&attempt.address),
        HandshakeError::UnexpectedIdentity { .. } => book.mistaken(&attempt.address, now()),
        HandshakeError::NotAdmitted { identity, reason: RefusalReason::Duplicate }
        | HandshakeError::RefusedByPeer { identity, reason: RefusalReason::Duplicate } => {
            book.answered(&attempt.address, identity, now());
        }
        _ => book.failed(&attempt.address, now()),
    }
}

/// Runs the handshake.
async fn greet(
    shared: &Shared,
    stream: TcpStream,
    address: SocketAddr,
    role: Role,
    expected: Option<crate::types::PublicKey>,
) -> Result<Established<TcpStream>, HandshakeError> {
    stream.set_nodelay(true)?;
    let admit = |remote: &Hello| {
        let now = now();
        let newcomer = Newcomer {
            peer: remote.identity,
            operator: remote.operator(),
            standing: shared.common.members.standing(remote.operator()),
            origin: Origin::of(address.ip()),
            inbound: role == Role::Responder,
        };
        if newcomer.standing == Standing::Stranger {
            let reputation = shared.reputation.lock();
            if reputation.is_banned(BanTarget::Identity(remote.identity), now)
                || reputation.is_address_banned(address.ip(), now)
            {
                return Err(RefusalReason::Banned);
            }
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
async fn serve(
    shared: &Arc<Shared>,
    established: Established<TcpStream>,
    address: SocketAddr,
    inbound: bool,
) -> bool {
    let Established { stream, buffer, sealer, opener, remote } = established;
    let id = shared.next_connection.fetch_add(1, Ordering::Relaxed);
    let connection = Connection::new(id, &remote, address, inbound, &shared.common, &shared.token);
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

async fn admit_connection(shared: &Shared, connection: &Arc<Connection>) -> bool {
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
    let listening = remote.listen_address(address.ip());
    if is_tellable(&listening, address.ip()) {
        let source = Source::Peer(remote.identity);
        shared.book.lock().add(&listening, Some(remote.identity), source, now());
    }
}

async fn exchange(shared: &Shared) {
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
async fn announce(shared: &Shared) {
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
