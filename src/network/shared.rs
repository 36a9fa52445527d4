//! What all tasks of the network share.
//!
//! # Place
//! Made by [`Network::start`](super::Network::start); connections and `peer_manager.rs` work on it.
//!
//! # Concurrency
//! Lock order: none is taken while another is held, but for `lifecycle`, which is taken first.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

#[cfg(test)]
use super::address::Grouping;
use super::address::{Reach, told_by};
use super::address_book::AddressBook;
use super::attempt::Backoff;
use super::connection::{Common, Connection, DisconnectReason};
use super::connection_manager::ConnectionManager;
use super::events::EventSender;
use super::half_open::HalfOpen;
use super::handshake::{HANDSHAKE_DEADLINE, HandshakeError, LocalNode};
use super::message_kind::{MessageKind, Spread};
use super::metrics::add;
use super::other_chains::OtherNodes;
use super::peer::{PeerId, Standing, now};
use super::recent_set::{RecentSet, message_key};
use super::reputation::{BAN_TIME, BannedNow, Misbehaviour, Reputation};
use super::versions::{VersionRange, upgrade_advice};
use crate::runtime::{Clock, metric_names};
use crate::types::codec::encode;
use crate::types::limits::PEER_ADDRESSES_MAX;
use crate::types::message::PeerAddress;
use crate::types::{ChainId, Message};

/// Gossiped messages of one generation that are remembered, at most: four times what one peer relays meanwhile, and what
/// fills 131,072 places of a hash table.
pub(crate) const SEEN_MAX: usize = 114_688;

/// All times of the network, in one place so that tests need not wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// For a whole handshake.
    pub(crate) handshake_deadline: Duration,
    /// For opening a connection.
    pub(crate) connect_deadline: Duration,
    /// Between pings.
    pub(crate) ping_interval: Duration,
    /// Without a byte from the peer; several pings fit.
    pub(crate) idle_max: Duration,
    /// Until one write is taken.
    pub(crate) write_stall_max: Duration,
    /// Until a peer takes any more of the bulk messages that wait for it.
    pub(crate) bulk_stall_max: Duration,
    /// For the rest of a message that began, beside the time for its length.
    pub(crate) message_deadline: Duration,
    /// Between looks whether bans changed, to keep them.
    pub(crate) bans_kept_interval: Duration,
    /// Between looks for addresses that are due.
    pub(crate) dial_interval: Duration,
    /// Between attempts at one address.
    pub(crate) backoff: Backoff,
    /// Between exchanges of addresses.
    pub(crate) exchange_interval: Duration,
    /// A connection that held so long proves its address.
    pub(crate) stable_after: Duration,
    /// How long a visitor may stay: questions are answered at once.
    pub(crate) visit: Duration,
    /// Between short connections to addresses of which this node only heard.
    pub(crate) feeler_interval: Duration,
    /// Between writes of the addresses of peers.
    pub(crate) addresses_kept_interval: Duration,
    /// Between looks whether the name service is needed.
    pub(crate) seeds_after: Duration,
    /// How a test groups addresses.
    #[cfg(test)]
    pub(crate) grouping: Option<Grouping>,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            handshake_deadline: HANDSHAKE_DEADLINE,
            connect_deadline: Duration::from_secs(5),
            ping_interval: Duration::from_secs(5),
            idle_max: Duration::from_secs(20),
            write_stall_max: Duration::from_secs(10),
            bulk_stall_max: Duration::from_secs(60),
            message_deadline: Duration::from_secs(10),
            bans_kept_interval: Duration::from_secs(2),
            dial_interval: Duration::from_millis(250),
            backoff: Backoff { min: Duration::from_secs(1), max: Duration::from_secs(60) },
            exchange_interval: Duration::from_secs(30),
            stable_after: Duration::from_secs(10),
            visit: Duration::from_secs(5),
            feeler_interval: Duration::from_secs(120),
            addresses_kept_interval: Duration::from_secs(300),
            seeds_after: Duration::from_secs(15),
            #[cfg(test)]
            grouping: None,
        }
    }
}

/// The network's state.
pub(crate) struct Shared {
    pub(crate) local: LocalNode,
    pub(crate) timing: Timing,
    pub(crate) manager: Arc<ConnectionManager>,
    pub(crate) book: Mutex<AddressBook>,
    pub(crate) reputation: Mutex<Reputation>,
    pub(crate) other_chains: Mutex<OtherNodes<ChainId>>,
    pub(crate) other_versions: Mutex<OtherNodes<VersionRange>>,
    pub(crate) seen: Mutex<RecentSet>,
    pub(crate) common: Arc<Common>,
    pub(crate) urgent: EventSender,
    pub(crate) bulk: EventSender,
    pub(crate) token: CancellationToken,
    pub(crate) tracker: TaskTracker,
    /// Held while a connection is registered or removed and this is told, so that the events of one peer come in the
    /// order in which it happened.
    pub(crate) lifecycle: tokio::sync::Mutex<()>,
    pub(crate) next_connection: AtomicU64,
    /// Told when a connection begins or ends, and when the set changes.
    pub(crate) links_changed: Notify,
    /// Handshakes of inbound connections.
    pub(crate) half_open: Arc<HalfOpen>,
    /// Where bans are kept.
    pub(crate) bans_path: Option<std::path::PathBuf>,
    /// Where addresses of peers are kept.
    pub(crate) peers_path: Option<std::path::PathBuf>,
    /// Names that lead to peers.
    pub(crate) dns_seeds: Vec<String>,
    /// Attempts to dial that are under way.
    pub(crate) dialing: Arc<Semaphore>,
    /// Whether peers are left alone: none is dialled, let in or kept.
    pub(crate) isolated: AtomicBool,
}

impl Shared {
    /// Whether this node is to have no connections at present.
    pub(crate) fn is_isolated(&self) -> bool {
        self.isolated.load(Ordering::SeqCst)
    }

    /// Ends all connections and lets no new one begin, or lets them begin again.
    pub(crate) fn isolate(&self, isolated: bool) {
        // Set before it looks: what is registered later sees it, and ends by itself.
        self.isolated.store(isolated, Ordering::SeqCst);
        if isolated {
            for connection in self.manager.all() {
                connection.close(DisconnectReason::Isolated);
            }
        }
    }

    /// Starts a task whose lines in the log stand in the span of its starter.
    pub(crate) fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) {
        self.tracker.spawn(work.in_current_span());
    }

    /// Encodes a message; `None` (and a line in the log) if peers would refuse it for its size.
    pub(crate) fn encode(message: &Message) -> Option<(MessageKind, Bytes)> {
        let kind = MessageKind::of(message);
        let encoded = Bytes::from(encode(message));
        if encoded.len() > kind.bytes_max() || message.check_limits().is_err() {
            tracing::error!(
                kind = kind.name(),
                bytes = encoded.len(),
                "Message exceeds the limits of peers, not sent"
            );
            return None;
        }
        Some((kind, encoded))
    }

    /// Sends to all peers but the one that it came from, and if the message is gossip, only to those that don't have it
    /// and don't get it from there anyway (see `neighbours.rs`).
    pub(crate) fn broadcast(&self, message: &Message, except: Option<PeerId>) {
        let Some((kind, encoded)) = Self::encode(message) else { return };
        let now = now();
        let key = kind.is_gossip().then(|| message_key(&encoded));
        if let Some(key) = key {
            // It need not come back.
            self.seen.lock().insert(key, now);
        }
        let member = except
            .filter(|source| kind.spread() == Spread::Mesh && self.standing(*source) == Standing::Member);
        for connection in self.manager.all() {
            let has_it_anyway = member.is_some_and(|member| connection.neighbours.contains(&member));
            if Some(connection.peer) != except && !has_it_anyway {
                connection.offer(kind, encoded.clone(), key, now);
            }
        }
    }

    pub(crate) fn standing(&self, peer: PeerId) -> Standing {
        self.manager.get(peer).map_or(Standing::Stranger, |connection| connection.standing())
    }

    /// Sends to one peer; false if it is not connected or its queue is full.
    pub(crate) fn send(&self, peer: PeerId, message: &Message) -> bool {
        let Some(connection) = self.manager.get(peer) else { return false };
        Self::encode(message).is_some_and(|(kind, encoded)| connection.enqueue(kind, encoded))
    }

    /// As `send`, of what may be lost: a full queue does not end the connection.
    pub(crate) fn answer(&self, peer: PeerId, message: &Message) -> bool {
        let Some(connection) = self.manager.get(peer) else { return false };
        Self::encode(message).is_some_and(|(kind, encoded)| connection.enqueue_answer(kind, encoded))
    }

    pub(crate) fn answer_all(&self, message: &Message) {
        let Some((kind, encoded)) = Self::encode(message) else { return };
        for connection in self.manager.all() {
            let _has_room = connection.enqueue_answer(kind, encoded.clone());
        }
    }

    pub(crate) fn takes_answers(&self, peer: PeerId, is_urgent: bool) -> bool {
        self.manager.get(peer).is_none_or(|connection| connection.takes_answers(is_urgent))
    }

    /// Counts what a peer did wrong, and acts on it.
    pub(crate) fn report(&self, peer: PeerId, what: Misbehaviour) {
        let connection = self.manager.get(peer);
        let standing = connection.as_ref().map_or(Standing::Stranger, |connection| connection.standing());
        let origin = connection.as_ref().map(|connection| connection.origin());
        let banned = self.reputation.lock().report((peer, standing), origin, what, now());
        tracing::debug!(peer = peer.short(), what = what.name(), banned, "Peer misbehaved");
        if banned {
            add(&self.common.metrics.bans, 1);
            metrics::counter!(metric_names::PEER_BANS_TOTAL, "reason" => what.name()).increment(1);
            tracing::warn!(
                peer = peer.short(),
                reason = what.name(),
                seconds = BAN_TIME.as_secs(),
                "Peer banned for misbehaviour"
            );
        }
        if let Some(connection) = connection.filter(|_| banned || what.disconnects()) {
            connection.close(DisconnectReason::Misbehaved(what));
        }
    }

    /// Tells the operator of a handshake that failed since the peer is on another chain or speaks another version.
    pub(crate) fn note_foreign(&self, address: &str, dialled: bool, error: &HandshakeError) {
        match error {
            HandshakeError::WrongChain { ours, theirs }
                if self.other_chains.lock().note(address, dialled, *theirs, now()) =>
            {
                tracing::info!(
                    address,
                    dialled,
                    %ours,
                    %theirs,
                    "A peer is on another chain; if this node is the wrong one, check [node] network and genesis"
                );
            }
            HandshakeError::WrongVersion { ours, theirs }
                if self.other_versions.lock().note(address, dialled, *theirs, now()) =>
            {
                tracing::info!(
                    address,
                    dialled,
                    %ours,
                    %theirs,
                    advice = upgrade_advice(*ours, *theirs),
                    "A peer speaks no version of the protocol that this node speaks"
                );
            }
            _ => {}
        }
    }

    /// What a peer that asks is told.
    pub(crate) fn addresses_for(&self, connection: &Connection) -> Vec<PeerAddress> {
        let teller = Reach::of(connection.address.ip());
        let banned = self.banned_now();
        self.book.lock().tellable(
            PEER_ADDRESSES_MAX,
            Clock.now_ms(),
            &mut rand::rng(),
            |told, address| {
                told.identity != Some(connection.peer)
                    && Reach::of(address.ip()).is_meant_by(teller)
                    && !banned.is_banned(address.ip(), told.identity)
            },
            |peer| self.manager.contains(peer),
        )
    }

    /// Who is not dialled at present, and not told to others.
    pub(crate) fn banned_now(&self) -> BannedNow {
        BannedNow::of(self.reputation.lock().banned(now()))
    }

    /// Takes the addresses that a peer told. Who else is said to be there is not believed.
    pub(crate) fn learn(&self, connection: &Connection, addresses: &[PeerAddress]) {
        for peer in addresses {
            let told = told_by(&peer.address, connection.address.ip());
            if let Some(address) = told.filter(|_| peer.identity != Some(self.local.identity)) {
                self.learn_one(address, connection.address.ip(), None);
            }
        }
    }

    /// Takes one address, told from there.
    pub(crate) fn learn_one(&self, address: SocketAddr, teller: IpAddr, of_itself: Option<PeerId>) {
        let mut book = self.book.lock();
        let teller = book.teller(teller);
        book.learn(address, (teller, of_itself), Clock.now_ms(), &mut rand::rng());
    }
}
