//! Connections to peers: frames, handshake, queues, addresses, limits. Knows peers, not consensus.
//!
//! # Place
//! Floor 5. It carries [`Message`]s between nodes that proved their identities, and looks into none of them but pings
//! and addresses. `app/` starts it; consensus sends by the [`NetworkHandle`] and takes from [`NetworkEvents`].
//!
//! # Invariants
//! - INV-NET-10: votes never wait behind transactions or blocks (`connection.rs`).
//! - INV-NET-11: whatever a peer does, it costs bounded memory, and its end is a typed reason.
//! - INV-NET-12: one connection to an identity (`connection_manager.rs`).
//! - INV-NET-18: `Connected` and `Disconnected` of a peer alternate (`peer_manager.rs`).
//!
//! # Concurrency
//! Three tasks, and three more for each connection, all on the caller's tracker and under its token. The handle's
//! methods are synchronous.
//!
//! # Units
//! Bytes are counted on the wire. A gossiped message that comes again within [`SEEN_LIFETIME`] to twice that is not
//! delivered again.

pub(crate) mod address_book;
pub(crate) mod connection;
pub(crate) mod connection_manager;
pub(crate) mod frame;
pub(crate) mod handshake;
pub(crate) mod message_kind;
pub(crate) mod metrics;
pub(crate) mod peer_manager;
pub(crate) mod rate_limit;
pub(crate) mod recent_set;
pub(crate) mod reputation;
pub(crate) mod send_queue;
pub(crate) mod shared;
#[cfg(test)]
pub(crate) mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::address_book::{AddressBook, Source, is_address};
pub use self::connection::DisconnectReason;
use self::connection_manager::ConnectionManager;
pub use self::frame::FrameError;
use self::handshake::LocalNode;
pub use self::handshake::{HandshakeError, PROTOCOL_VERSION, RefusalReason};
pub use self::message_kind::{MessageKind, MessageLane};
use self::metrics::NetworkMetrics;
pub use self::metrics::{MessageCount, MetricsSnapshot};
use self::recent_set::RecentSet;
use self::reputation::Reputation;
pub use self::reputation::{BanTarget, Misbehaviour};
use self::shared::{SEEN_MAX, Shared, Timing};
use crate::storage::journal::Durable;
use crate::types::limits::USER_AGENT_BYTES_MAX;
use crate::types::message::PeerAddress;
use crate::types::{ChainId, Message, PublicKey, SecretKey};

/// Urgent events that wait, at most.
pub const URGENT_EVENTS_MAX: usize = 16_384;
/// Bulk events that wait, at most; beyond, each peer's own window holds it back.
pub const BULK_EVENTS_MAX: usize = 1_024;
/// How long one generation of the memory of gossiped messages lasts. It covers the way of a message through the network;
/// for why it is not longer see `recent_set.rs`.
pub const SEEN_LIFETIME: Duration = Duration::from_millis(500);

/// Names a peer: the identity key that it proved.
pub type PeerId = PublicKey;

/// The network's only look at the clock; monotonic, and never part of a message.
pub(crate) fn now() -> tokio::time::Instant {
    #[allow(
        clippy::disallowed_methods,
        reason = "deadlines and rates of sockets need a monotonic clock, in one place"
    )]
    tokio::time::Instant::now()
}

/// What the network needs to know.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Where to listen; port 0 takes any free one.
    pub listen_address: SocketAddr,
    /// `host:port` that others are told, if it is not what they see.
    pub external_address: Option<String>,
    /// `host:port` of peers to dial for ever.
    pub bootstrap_peers: Vec<String>,
    /// Inbound connections, at most.
    pub max_inbound: usize,
    /// Outbound connections, at most.
    pub max_outbound: usize,
    /// The chain that peers must be on.
    pub chain_id: ChainId,
    /// The node's own key, which names it to its peers.
    pub identity: SecretKey,
    /// Name and version of the program, at most [`USER_AGENT_BYTES_MAX`] bytes.
    pub user_agent: String,
}

/// Why the network can't start.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Another program listens there.
    #[error("{address} is in use: stop the other program, or set [network] listen_address to another port")]
    AddressInUse {
        /// Where.
        address: SocketAddr,
    },
    /// The operating system refuses.
    #[error("can't listen on {address}: {source}; check [network] listen_address")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A text in the configuration is no address.
    #[error("{text:?} in [network] {key} is no address; write host:port")]
    InvalidAddress {
        /// The key of the configuration.
        key: &'static str,
        /// What it says.
        text: String,
    },
    /// The user agent is too long.
    #[error("the user agent has {length} bytes, more than {USER_AGENT_BYTES_MAX}; shorten [node] name")]
    UserAgentTooLong {
        /// Its length.
        length: usize,
    },
}

/// What happens on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkEvent {
    /// A peer is there.
    Connected {
        /// Who.
        peer: PeerId,
        /// From where.
        address: SocketAddr,
        /// Whether it opened the connection.
        inbound: bool,
    },
    /// A peer is gone.
    Disconnected {
        /// Who.
        peer: PeerId,
    },
    /// A peer said something.
    Message {
        /// Who.
        peer: PeerId,
        /// What. It is decoded and within the limits of [`Message::check_limits`]; nothing else of it is checked.
        message: Message,
    },
}

/// The two queues of events. Urgent ones never wait behind bulk ones.
#[derive(Debug)]
pub struct NetworkEvents {
    /// Connections, and messages for which [`MessageKind::is_urgent`] holds. When it is full, reading from peers waits.
    pub urgent: mpsc::Receiver<NetworkEvent>,
    /// All other messages. When it is full, peers are granted no more credit for these.
    pub bulk: mpsc::Receiver<NetworkEvent>,
}

/// What operators see of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Counts the connections of this node.
    pub id: u64,
    /// Who.
    pub peer: PeerId,
    /// Its address as this node sees it.
    pub address: SocketAddr,
    /// `host:port` where it says that it listens; escaped, so that it can be printed.
    pub listen_address: String,
    /// Whether it opened the connection.
    pub inbound: bool,
    /// What it says it runs; escaped, so that it can be printed.
    pub user_agent: String,
    /// For how long.
    pub connected: Duration,
    /// Bytes received on the wire.
    pub bytes_in: u64,
    /// Bytes sent on the wire.
    pub bytes_out: u64,
    /// Messages received.
    pub messages_in: u64,
    /// Messages queued for it.
    pub messages_out: u64,
    /// Round trip of the last ping.
    pub latency: Option<Duration>,
    /// Points of misbehaviour; 100 are a ban.
    pub score: u32,
}

/// Starts the network.
#[derive(Debug)]
pub struct Network;

impl Network {
    /// Binds, and starts all tasks on `tracker`; they end when `token` is cancelled.
    ///
    /// # Errors
    /// See [`NetworkError`]. Nothing runs then.
    pub async fn start(
        config: NetworkConfig,
        token: CancellationToken,
        tracker: &TaskTracker,
    ) -> Result<(NetworkHandle, NetworkEvents), NetworkError> {
        Self::start_with(config, Timing::default(), token, tracker).await
    }

    pub(crate) async fn start_with(
        config: NetworkConfig,
        timing: Timing,
        token: CancellationToken,
        tracker: &TaskTracker,
    ) -> Result<(NetworkHandle, NetworkEvents), NetworkError> {
        check(&config)?;
        let listener = bind(config.listen_address).await?;
        let address = listener
            .local_addr()
            .map_err(|source| NetworkError::Bind { address: config.listen_address, source })?;
        let now = now();
        let identity = config.identity.public();
        let manager = Arc::new(ConnectionManager::new(identity, config.max_inbound, config.max_outbound));
        manager.set_local_address(address);
        let mut book = AddressBook::new(timing.backoff);
        for peer in &config.bootstrap_peers {
            book.add(peer, None, Source::Pinned, now);
        }
        let (urgent, urgent_events) = mpsc::channel(URGENT_EVENTS_MAX);
        let (bulk, bulk_events) = mpsc::channel(BULK_EVENTS_MAX);
        let shared = Arc::new(Shared {
            local: LocalNode {
                chain_id: config.chain_id,
                secret: config.identity,
                identity,
                user_agent: config.user_agent,
                advertised: config.external_address,
                listen_port: address.port(),
            },
            timing,
            manager,
            book: Mutex::new(book),
            reputation: Mutex::new(Reputation::default()),
            seen: Mutex::new(RecentSet::new(SEEN_MAX, SEEN_LIFETIME, now)),
            metrics: NetworkMetrics::default(),
            urgent,
            bulk,
            token,
            tracker: tracker.clone(),
            lifecycle: tokio::sync::Mutex::new(()),
            next_connection: AtomicU64::new(0),
            pending_inbound: Arc::new(Semaphore::new(peer_manager::PENDING_INBOUND_MAX)),
            dialing: Arc::new(Semaphore::new(peer_manager::DIALING_MAX)),
        });
        tracing::info!(%address, identity = identity.short(), "listening for peers");
        peer_manager::start(&shared, listener);
        Ok((NetworkHandle { shared }, NetworkEvents { urgent: urgent_events, bulk: bulk_events }))
    }
}

fn check(config: &NetworkConfig) -> Result<(), NetworkError> {
    let length = config.user_agent.len();
    if length > USER_AGENT_BYTES_MAX {
        return Err(NetworkError::UserAgentTooLong { length });
    }
    let named = config.bootstrap_peers.iter().map(|text| ("bootstrap_peers", text));
    let mut all = named.chain(config.external_address.iter().map(|text| ("external_address", text)));
    match all.find(|(_, text)| !is_address(text)) {
        Some((key, text)) => Err(NetworkError::InvalidAddress { key, text: text.clone() }),
        None => Ok(()),
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, NetworkError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => NetworkError::AddressInUse { address },
        _ => NetworkError::Bind { address, source },
    })
}

/// Talks to peers. Clones are cheap and speak for the same network.
#[derive(Clone)]
pub struct NetworkHandle {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for NetworkHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NetworkHandle({})", self.shared.local.identity.short())
    }
}

impl NetworkHandle {
    /// This node's identity.
    #[must_use]
    pub fn identity(&self) -> PeerId {
        self.shared.local.identity
    }

    /// Where this node listens; the port is the real one if the configuration said 0.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.shared.manager.local_address()
    }

    /// Passes a message on to all peers but one, usually the one it came from. Gossip goes only to peers that did not
    /// send it or get it a moment ago. A peer whose queue of bulk messages is full misses it.
    pub fn broadcast(&self, message: &Message, except: Option<PeerId>) {
        self.shared.broadcast(message, except);
    }

    /// Sends this node's own votes and proposals to all peers. That they are durable is in the type: what is not in the
    /// journal can't be sent (floor 4).
    pub fn publish(&self, message: &Durable<Message>) {
        self.shared.broadcast(message.get(), None);
    }

    /// Sends to one peer, even what it has already; false if it is not connected or its queue is full.
    #[must_use]
    pub fn send(&self, peer: PeerId, message: &Message) -> bool {
        self.shared.send(peer, message)
    }

    /// All peers.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        let now = now();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let connections = self.shared.manager.all();
        let reputation = self.shared.reputation.lock();
        connections
            .iter()
            .map(|connection| PeerInfo {
                id: connection.id,
                peer: connection.peer,
                address: connection.address,
                listen_address: connection.listen_address.clone(),
                inbound: connection.inbound,
                user_agent: connection.user_agent.clone(),
                connected: now.saturating_duration_since(connection.connected_at),
                bytes_in: read(&connection.bytes_in),
                bytes_out: read(&connection.bytes_out),
                messages_in: read(&connection.messages_in),
                messages_out: read(&connection.messages_out),
                latency: connection.latency(),
                score: reputation.points(connection.peer, now),
            })
            .collect()
    }

    /// How many peers are connected: inbound and outbound.
    #[must_use]
    pub fn peer_counts(&self) -> (usize, usize) {
        self.shared.manager.counts()
    }

    /// How many peers are connected.
    #[must_use]
    pub fn peer_count(&self) -> usize {
        let (inbound, outbound) = self.peer_counts();
        inbound + outbound
    }

    /// Ends the connection to a peer; false if there is none. It may connect again.
    pub fn disconnect(&self, peer: PeerId) -> bool {
        let connection = self.shared.manager.get(peer);
        if let Some(connection) = &connection {
            connection.close(DisconnectReason::Requested);
        }
        connection.is_some()
    }

    /// Counts what a peer did wrong: it is disconnected or banned if that is enough.
    pub fn report(&self, peer: PeerId, what: Misbehaviour) {
        self.shared.report(peer, what);
    }

    /// Adds an address of the chain or of the operator, which is tried for ever; false if it is no address.
    pub fn add_address(&self, peer: &PeerAddress) -> bool {
        self.shared.book.lock().add(&peer.address, peer.identity, Source::Pinned, now())
    }

    /// Bans for a time and disconnects; false for loopback addresses, which are never banned.
    pub fn ban(&self, target: BanTarget, time: Duration) -> bool {
        let now = now();
        let Some(until) = now.checked_add(time) else { return false };
        if !self.shared.reputation.lock().ban(target, until, now) {
            return false;
        }
        for connection in self.shared.manager.all() {
            let banned = self.shared.reputation.lock();
            if banned.is_banned(BanTarget::Identity(connection.peer), now)
                || banned.is_banned(BanTarget::Ip(connection.address.ip()), now)
            {
                connection.close(DisconnectReason::Requested);
            }
        }
        true
    }

    /// Lifts a ban; false if there was none.
    pub fn unban(&self, target: BanTarget) -> bool {
        self.shared.reputation.lock().unban(target)
    }

    /// All bans, with the time that is left.
    #[must_use]
    pub fn banned(&self) -> Vec<(BanTarget, Duration)> {
        self.shared.reputation.lock().banned(now())
    }

    /// The counters as they are now.
    #[must_use]
    pub fn metrics(&self) -> MetricsSnapshot {
        self.shared.metrics.snapshot()
    }
}
