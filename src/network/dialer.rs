//! Opens connections: to whom the configuration and the chain name, to a few by chance, and short ones that feel addresses.
//!
//! # Place
//! `tasks.rs` starts these tasks; whom to dial says the address book; a connection that was made runs
//! in `peer_manager.rs`.
//!
//! # Rules
//! Pinned addresses come first, whatever group they are of: validators have to reach each other, and dial each other even when
//! all their places are taken. What peers told is dialled for
//! some of the places, and one outbound connection to a group of addresses is enough. Each [`Timing::feeler_interval`](super::shared::Timing) a short
//! connection sees whether somebody answers at an address of which this node only heard: so there are proved addresses to
//! choose from when they are needed. Names are looked up by the runtime's blocking threads.
//!
//! # Invariants
//! - INV-DIAL-1: no outbound connection to what peers told is opened into a group in which there is one.
//! - INV-DIAL-2: where the chain or the name service leads is dialled only if it leads into the world, or into this node's own
//!   kind of local network.
//! - INV-DIAL-3: however nodes come, go and move, each finds peers from two names in its configuration on, all are one network,
//!   and masternodes are connected to each other.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

use super::address::{NetGroup, Reach, canonical};
use super::address_book::HOSTS_MAX;
use super::attempt::{Attempt, Purpose};
use super::handshake::{Established, HandshakeError, RefusalReason};
use super::peer::{PeerId, now};
use super::peer_manager::{Approach, greet, serve};
use super::shared::Shared;
use crate::runtime::Clock;
use crate::runtime::config::DNS_SEEDS_MAX;

/// Attempts to dial under way, at most.
pub(crate) const DIALING_MAX: usize = 16;
/// Addresses that are taken of one of them, at most.
const SEED_ADDRESSES_MAX: usize = 32;
/// What the lookup of a name may take.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(10);
/// With so many outbound peers no more addresses have to be looked for.
const OUTBOUND_ENOUGH: usize = 2;

/// Dials what is due, for ever.
pub(crate) async fn dial(shared: &Arc<Shared>) {
    loop {
        if !shared.is_isolated() {
            let permits = shared.dialing.available_permits();
            let places = permits.min(shared.manager.outbound_free());
            let beside = if shared.manager.meets_members() { permits.saturating_sub(places) } else { 0 };
            let is_connected = |peer| shared.manager.contains(peer);
            let due = shared.book.lock().take_due((places, beside), now(), is_connected);
            let left = places.saturating_sub(due.len());
            let learned = (left > 0).then(|| take_learned(shared)).flatten();
            for attempt in due.into_iter().chain(learned) {
                begin(shared, attempt);
            }
        }
        sleep(shared.timing.dial_interval).await;
    }
}

/// Feels an address now and then, for ever.
pub(crate) async fn feel(shared: &Arc<Shared>) {
    loop {
        sleep(shared.timing.feeler_interval).await;
        if shared.is_isolated() {
            continue;
        }
        let is_barred = barred(shared);
        let feeler = shared.book.lock().take_feeler(Clock.now_ms(), &mut rand::rng(), is_barred);
        if let Some(attempt) = feeler {
            begin(shared, attempt);
        }
    }
}

/// Who is not dialled: who is connected or banned.
fn barred(shared: &Shared) -> impl Fn(SocketAddr, Option<PeerId>) -> bool {
    let banned = shared.banned_now();
    move |address, identity| {
        banned.is_banned(address.ip(), identity) || identity.is_some_and(|peer| shared.manager.contains(peer))
    }
}

fn take_learned(shared: &Shared) -> Option<Attempt> {
    let outbound = shared.manager.all().into_iter().filter(|connection| !connection.inbound);
    let outbound: Vec<SocketAddr> = outbound.map(|connection| connection.address).collect();
    let is_barred = barred(shared);
    let mut book = shared.book.lock();
    if book.learned().len() >= book.learned_max(shared.manager.outbound_max()) {
        return None;
    }
    let taken: HashSet<NetGroup> =
        outbound.into_iter().chain(book.learned()).map(|address| book.group(address)).collect();
    book.take_learned(&taken, Clock.now_ms(), &mut rand::rng(), is_barred)
}

fn begin(shared: &Arc<Shared>, attempt: Attempt) {
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

/// Where an attempt may lead.
async fn targets(shared: &Shared, attempt: &Attempt) -> std::io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = match attempt.address.parse() {
        Ok(address) => vec![address],
        Err(_) => lookup_host(&attempt.address).await?.take(HOSTS_MAX).collect(),
    };
    let mut book = shared.book.lock();
    book.note_hosts(&attempt.address, found.iter().map(SocketAddr::ip));
    // INV-DIAL-2.
    let may_be = |address: &SocketAddr| attempt.may_be_local || book.is_dialled(Reach::of(address.ip()));
    let fit: Vec<SocketAddr> = found.into_iter().filter(may_be).collect();
    if fit.is_empty() {
        return Err(std::io::Error::other(
            "it leads into a local network, where the chain can't mean anybody",
        ));
    }
    Ok(fit)
}

async fn open(shared: &Shared, attempt: &Attempt) -> std::io::Result<(TcpStream, SocketAddr)> {
    let mut last = None;
    for target in targets(shared, attempt).await? {
        match TcpStream::connect(target).await {
            Ok(stream) => return Ok((stream, target)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::ErrorKind::NotFound.into()))
}

/// A connection that was made: what came of the handshake, and where.
type Connected = (Result<Established<TcpStream>, HandshakeError>, Option<SocketAddr>);

async fn connect(shared: &Arc<Shared>, attempt: &Attempt) -> Connected {
    let (stream, address) = match timeout(shared.timing.connect_deadline, open(shared, attempt)).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return (Err(error.into()), None),
        Err(_) => return (Err(HandshakeError::Deadline), None),
    };
    let approach = match attempt.purpose {
        Purpose::Pinned => Approach::Dialled,
        Purpose::Learned(_) => Approach::Learned,
        Purpose::Feeler(_) => Approach::Feeler,
    };
    let established = greet(shared, stream, address, approach, attempt.expected).await;
    (established, Some(address))
}

/// Notes how an attempt went, and runs the connection if there is one to be kept.
async fn conclude(shared: &Arc<Shared>, attempt: &Attempt, (connected, address): Connected) {
    let error = match (connected, address) {
        (Ok(established), Some(address)) => {
            let (identity, hides) = (established.remote.identity, established.remote.hides());
            answered(shared, attempt, (identity, hides, Some(address)));
            if matches!(attempt.purpose, Purpose::Feeler(_)) {
                return;
            }
            let started = now();
            let has_served = serve(shared, established, address, false).await;
            // What ends with the node is an anchor of the next start.
            if shared.token.is_cancelled() {
                return;
            }
            let has_held = now().saturating_duration_since(started) >= shared.timing.stable_after;
            let mut book = shared.book.lock();
            if has_served {
                book.ended(attempt, has_held, (now(), Clock.now_ms()));
            } else {
                book.is_connected_already(attempt);
            }
            return;
        }
        (Ok(_), None) => return,
        (Err(error), _) => error,
    };
    shared.note_foreign(&attempt.address, true, &error);
    tracing::debug!(address = attempt.address, %error, "Could not connect");
    if let HandshakeError::NotAdmitted { identity, reason: RefusalReason::Duplicate }
    | HandshakeError::RefusedByPeer { identity, reason: RefusalReason::Duplicate } = error
    {
        // What it wants to be told of, it has said on the connection that there is.
        let kept = shared.manager.get(identity);
        answered(shared, attempt, (identity, kept.is_none_or(|kept| kept.hides), address));
        shared.book.lock().is_connected_already(attempt);
        return;
    }
    let (inbound, outbound) = shared.manager.counts();
    let mut book = shared.book.lock();
    match error {
        HandshakeError::SelfConnection => book.is_own(attempt),
        HandshakeError::WrongChain { .. }
        | HandshakeError::WrongVersion { .. }
        | HandshakeError::UnexpectedIdentity { .. } => book.foreign(attempt, now()),
        _ => book.failed(attempt, inbound.saturating_add(outbound) > 0, now()),
    }
}

fn answered(shared: &Shared, attempt: &Attempt, who: (PeerId, bool, Option<SocketAddr>)) {
    shared.book.lock().answered(attempt, who, (now(), Clock.now_ms()), &mut rand::rng());
}

/// Looks addresses of peers up in the name service, once, if the node knows hardly any and has hardly any peers: the peers of
/// its configuration come first.
pub(crate) async fn seed(shared: &Arc<Shared>) {
    let names = &shared.dns_seeds;
    if names.is_empty() {
        return;
    }
    loop {
        sleep(shared.timing.seeds_after).await;
        let (_, outbound) = shared.manager.counts();
        let is_needed = outbound < OUTBOUND_ENOUGH && shared.book.lock().is_nearly_empty();
        if !shared.is_isolated() && is_needed {
            for name in names.iter().take(DNS_SEEDS_MAX) {
                look_up(shared, name).await;
            }
        }
    }
}

async fn look_up(shared: &Shared, name: &str) {
    let found = match timeout(LOOKUP_DEADLINE, lookup_host(name)).await {
        Ok(Ok(found)) => found.take(SEED_ADDRESSES_MAX).map(canonical).collect::<Vec<SocketAddr>>(),
        Ok(Err(error)) => {
            tracing::warn!(name, %error, "A name of [network] dns_seeds can't be looked up");
            return;
        }
        Err(_) => {
            tracing::warn!(name, "A name of [network] dns_seeds can't be looked up: no answer came");
            return;
        }
    };
    let mut book = shared.book.lock();
    let found: Vec<SocketAddr> =
        found.into_iter().filter(|address| book.is_dialled(Reach::of(address.ip()))).collect();
    for address in &found {
        // One name is one teller, whatever it leads to.
        book.learn(*address, (NetGroup::of_name(name), None), Clock.now_ms(), &mut rand::rng());
    }
    drop(book);
    tracing::info!(name, addresses = found.len(), "Looked up addresses of peers");
}
