//! Connections to peers: frames, handshake, queues, addresses, limits. Knows peers, not consensus.
//!
//! # Place
//! Floor 5. It carries [`Message`]s between nodes that proved their identities, and looks into none of them but pings
//! and addresses. `app/` starts it; consensus sends by the [`NetworkHandle`] and takes from [`NetworkEvents`].
//!
//! # Invariants
//! Each is defined in one file of this folder and held by its tests. Those that users of the network rely on:
//! votes never wait behind transactions or blocks, nor one peer's behind another's (`session.rs`, `events.rs`);
//! whatever a peer does costs bounded memory and ends with a typed reason (`memory.rs`, `session.rs`);
//! there is one connection to an identity, and a place for each member of the set (`connection_manager.rs`);
//! nobody who holds the addresses of a few networks becomes all of a node's peers (`address_tables.rs`, `dialer.rs`);
//! `Connected` and `Disconnected` of a peer alternate (`peer_manager.rs`).
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `handshake.rs`, `versions.rs`, `peer.rs` | who a peer is, and which messages both speak |
//! | `half_open.rs`, `connection_manager.rs`, `eviction.rs` | who gets a place, and who makes room |
//! | `dialer.rs`, `attempt.rs`, `port_mapping.rs` | whom to dial, when; a way in |
//! | `address_book.rs`, `address_tables.rs`, `address.rs` | which addresses are kept and believed |
//! | `address_file.rs`, `ban_file.rs`, `kept_file.rs`, `keeping.rs` | what outlives a restart |
//! | `message_kind.rs`, `rate_limit.rs` | lane, size, rate and cost of each kind of message |
//! | `frame.rs`, `session.rs`, `credit.rs` | bytes to messages; deadlines; how much bulk may come |
//! | `send_queue.rs`, `pools.rs`, `memory.rs` | what waits for a peer, and what all may take |
//! | `events.rs` | whose message is taken next |
//! | `recent_set.rs`, `neighbours.rs` | what a peer gets anyway |
//! | `reputation.rs`, `other_chains.rs` | what is a wrong, and who is banned for it |
//! | `peer_manager.rs`, `connection.rs`, `shared.rs`, `tasks.rs` | nothing: what runs, and what it shares |
//! | `metrics.rs` | nothing: counters |
//!
//! # Where to change what
//! A wrong that peers do: [`Misbehaviour`]. A bound: the constant beside the queue, and the sum in `memory.rs`. A deadline:
//! `Timing` in `shared.rs`.
//!
//! # To add a kind of message
//! | touch | a forgotten one is found by |
//! |---|---|
//! | [`Message`]: a variant at the end, since its place is its tag, and bounds of its lists in `check_limits` | the compiler asks for both; a bound that is too wide, nobody |
//! | `check_density` there, for a list of transactions | nothing |
//! | its row in `message_kind.rs`, since a version of `versions.rs` | the compiler, and tests of the row |
//! | `PROTOCOL_VERSION` there, raised if the version was released, with section 11 of `types/wire.md`: an older peer ends the connection at a tag that it does not know | `kinds_of_a_released_version_stay_as_they_are` |
//! | one of it in `src/network/tests/support.rs`, by which tables, carriage and fuzzing know it | the tests of `message_kind.rs` |
//! | what is done with it: `consensus/messages.rs`, or here in `session.rs`, or in `app/admission.rs` and `route_bulk` of `admission/thread.rs` | the compiler asks consensus alone |
//! | what it takes while it waits: `consensus/inbox.rs` | the compiler |
//! | its signature, if members sign it: `epoch_of` and `without_signature` in `consensus/verify.rs`, or whoever hears it, as for heartbeats and evidence | nothing: it is handled as unverified |
//! | `OwnMessage`, `JournalRecord` and `consensus/vote_journal.rs`, if this node signs it | nothing, if it is sent without |
//! | section 11 of `types/wire.md`, a vector in `tests/vectors/make.rs` | `tests/architecture/additions.rs` |
//! | what a stranger makes of it: `tests/sim/strangers.rs` | that simulation, which asks for every kind |
//! | an answer: `Answer` in `consensus/events.rs`, then `consensus/serve.rs`, where `has_room` bounds it for each peer | the compiler asks for the answer; one of a kind waits for a peer if `has_room` says nothing |
//!
//! # Concurrency
//! Eight tasks, one more where the router is asked for a way in, and two more for each connection, all on the caller's tracker and under its token. The handle's
//! methods are synchronous.
//!
//! # Units
//! Bytes are counted on the wire. A gossiped message that comes again within [`SEEN_LIFETIME`] to twice that is not
//! delivered again.

pub(crate) mod address;
pub(crate) mod address_book;
pub(crate) mod address_file;
pub(crate) mod address_tables;
pub(crate) mod attempt;
pub(crate) mod ban_file;
pub(crate) mod connection;
pub(crate) mod connection_manager;
pub(crate) mod credit;
pub(crate) mod dialer;
pub(crate) mod events;
pub(crate) mod eviction;
pub(crate) mod frame;
pub(crate) mod half_open;
pub(crate) mod handshake;
pub(crate) mod keeping;
pub(crate) mod kept_file;
pub(crate) mod memory;
pub(crate) mod message_kind;
pub(crate) mod metrics;
pub(crate) mod neighbours;
pub(crate) mod other_chains;
pub(crate) mod peer;
pub(crate) mod peer_manager;
pub(crate) mod pools;
mod port_mapping;
pub(crate) mod rate_limit;
pub(crate) mod recent_set;
pub(crate) mod reputation;
pub(crate) mod send_queue;
pub(crate) mod session;
pub(crate) mod shared;
mod tasks;
#[cfg(test)]
pub(crate) mod tests;
mod versions;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::address::{Grouping, is_address};
use self::address_book::AddressBook;
use self::address_file::Kept;
pub use self::address_file::{PeersFile, peers_file_state};
use self::attempt::Policy;
pub use self::ban_file::bans_file_state;
use self::connection::Common;
pub use self::connection::DisconnectReason;
use self::connection_manager::ConnectionManager;
use self::events::event_queue;
pub use self::events::{EventReceiver, NetworkEvent};
pub use self::frame::FrameError;
pub use self::half_open::HALF_OPEN_MAX;
use self::half_open::HalfOpen;
use self::handshake::LocalNode;
pub use self::handshake::{HandshakeError, RefusalReason};
pub use self::memory::{NETWORK_BYTES_MAX, network_bytes_max};
pub use self::message_kind::PROPOSAL_BYTES_MAX;
pub use self::message_kind::{MessageKind, MessageLane};
pub use self::metrics::{MessageCount, MetricsSnapshot};
pub use self::other_chains::OtherChain;
pub use self::peer::PeerId;
pub use self::peer::Standing;
pub(crate) use self::peer::now;
use self::recent_set::RecentSet;
use self::reputation::Reputation;
pub use self::reputation::{BanTarget, Misbehaviour};
use self::shared::{SEEN_MAX, Shared, Timing};
pub use self::versions::{OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION, VersionRange};
use crate::storage::journal::Durable;
use crate::types::limits::USER_AGENT_BYTES_MAX;
use crate::types::message::PeerAddress;
use crate::types::{ChainId, Message, OwnMessage, PublicKey, SecretKey};

/// How long one generation of the memory of gossiped messages lasts. It covers the way of a message through the network;
/// for why it is not longer see `recent_set.rs`.
pub const SEEN_LIFETIME: Duration = Duration::from_millis(500);

/// What the network needs to know.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Where to listen; port 0 takes any free one.
    pub listen_address: SocketAddr,
    /// `host:port` that others are told, if it is not what they see.
    pub external_address: Option<String>,
    /// Whether the router is asked to forward the port.
    pub maps_port: bool,
    /// `host:port` of peers to dial for ever.
    pub bootstrap_peers: Vec<String>,
    /// `host:port` in the name service that lead to peers, for a node that knows hardly any.
    pub dns_seeds: Vec<String>,
    /// Whether this node dials and lets in the bootstrap peers alone, and nobody is told of it.
    pub hides: bool,
    /// Whether the addresses of the chain's masternodes are dialled.
    pub dials_masternodes: bool,
    /// Whether all nodes are on one machine or in one private network, as in a devnet: local addresses are then as good as any.
    pub is_local: bool,
    /// Inbound connections, at most.
    pub max_inbound: usize,
    /// Outbound connections, at most.
    pub max_outbound: usize,
    /// The chain that peers must be on.
    pub chain_id: ChainId,
    /// The node's own key, which names it to its peers.
    pub identity: SecretKey,
    /// A masternode's operator key: with it the node proves on each connection that it is a member of the set.
    pub operator: Option<SecretKey>,
    /// Where bans are kept over restarts.
    pub bans_path: Option<PathBuf>,
    /// Where addresses of peers are kept over restarts.
    pub peers_path: Option<PathBuf>,
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

/// The two queues of events. Urgent ones never wait behind bulk ones, and each hands out in fair turns of the peers.
#[derive(Debug)]
pub struct NetworkEvents {
    /// Connections, and messages for which [`MessageKind::is_urgent`] holds. When a peer has too many here, reading from
    /// it waits.
    pub urgent: EventReceiver,
    /// All other messages. A peer that has too many here is granted no more credit for these.
    pub bulk: EventReceiver,
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
    /// Whether it proved that it is a member of the present validator set.
    pub member: bool,
    /// What it says it runs; escaped, so that it can be printed.
    pub user_agent: String,
    /// The version of the protocol that both sides agreed on.
    pub version: u32,
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
        let grouping = if config.is_local { Grouping::ByPort } else { Grouping::Strict };
        #[cfg(test)]
        let grouping = timing.grouping.unwrap_or(grouping);
        let (reputation, kept) = read_kept(&config, now).await;
        let manager = Arc::new(ConnectionManager::new(
            identity,
            (config.max_inbound, config.max_outbound),
            config.operator.is_some(),
            (kept.secret, grouping),
        ));
        manager.set_local_address(address);
        let dials_masternodes = config.dials_masternodes && !config.hides;
        let policy = Policy { grouping, hides: config.hides, dials_masternodes };
        let mut book = AddressBook::new(policy, timing.backoff, kept);
        for peer in &config.bootstrap_peers {
            book.pin(peer, None, now);
        }
        if let Some(external) = &config.external_address {
            book.note_own_place(external);
        }
        let (heard, tried) = book.counts();
        tracing::info!(heard, tried, "Addresses of peers that the last run kept");
        let (urgent, urgent_events) = event_queue(true);
        let (bulk, bulk_events) = event_queue(false);
        let shared = Arc::new(Shared {
            local: LocalNode {
                versions: VersionRange::SPOKEN,
                chain_id: config.chain_id,
                secret: config.identity,
                identity,
                operator: config.operator,
                user_agent: config.user_agent,
                advertised: ArcSwapOption::from_pointee(config.external_address.filter(|_| !config.hides)),
                listen_port: if config.hides { 0 } else { address.port() },
                hides: config.hides,
            },
            timing,
            manager,
            book: Mutex::new(book),
            reputation: Mutex::new(reputation),
            other_chains: Mutex::default(),
            other_versions: Mutex::default(),
            seen: Mutex::new(RecentSet::new(SEEN_MAX, SEEN_LIFETIME, now)),
            common: Arc::new(Common::default()),
            urgent,
            bulk,
            token,
            tracker: tracker.clone(),
            lifecycle: tokio::sync::Mutex::new(()),
            next_connection: AtomicU64::new(0),
            links_changed: Notify::new(),
            half_open: HalfOpen::new(now),
            bans_path: config.bans_path,
            peers_path: config.peers_path,
            dns_seeds: config.dns_seeds,
            dialing: Arc::new(Semaphore::new(dialer::DIALING_MAX)),
            isolated: AtomicBool::new(false),
        });
        tracing::info!(%address, identity = identity.short(), "Listening for peers");
        tasks::start(&shared, listener);
        if config.maps_port && !config.hides {
            tasks::map_port(&shared, address);
        }
        Ok((NetworkHandle { shared }, NetworkEvents { urgent: urgent_events, bulk: bulk_events }))
    }
}

/// What the last run kept, read off the runtime's threads.
async fn read_kept(config: &NetworkConfig, now: tokio::time::Instant) -> (Reputation, Kept) {
    let (bans, peers) = (config.bans_path.clone(), config.peers_path.clone());
    let reading = tokio::task::spawn_blocking(move || {
        (keeping::reputation_from(bans.as_deref(), now), keeping::addresses_from(peers.as_deref()))
    });
    // Reading does not panic; if it did, a node starts with nothing all the same.
    reading.await.unwrap_or_else(|_| (Reputation::default(), keeping::addresses_from(None)))
}

fn check(config: &NetworkConfig) -> Result<(), NetworkError> {
    let length = config.user_agent.len();
    if length > USER_AGENT_BYTES_MAX {
        return Err(NetworkError::UserAgentTooLong { length });
    }
    let named = config.bootstrap_peers.iter().map(|text| ("bootstrap_peers", text));
    let seeds = config.dns_seeds.iter().map(|text| ("dns_seeds", text));
    let external = config.external_address.iter().map(|text| ("external_address", text));
    let mut all = named.chain(seeds).chain(external);
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

    /// Under which address this node says that it can be reached, if it says one: the operator's, or the router's.
    #[must_use]
    pub fn advertised(&self) -> Option<String> {
        self.shared.local.advertised.load().as_deref().cloned()
    }

    /// Where this node listens; the port is the real one if the configuration said 0.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.shared.manager.local_address()
    }

    /// Passes a message on to all peers but one, usually the one it came from. Gossip goes only to peers that did not
    /// send it or get it a moment ago. A peer whose queue of bulk messages is full misses it.
    ///
    /// An own vote that is not durable is no part of a [`Message`]:
    /// ```compile_fail,E0308
    /// # use {std::sync::Arc, timed::network::NetworkHandle, timed::types::{Message, VoteBatch}};
    /// fn relay(network: &NetworkHandle, own: Arc<VoteBatch>) {
    ///     network.broadcast(&Message::VoteBatch(own), None);
    /// }
    /// ```
    /// ```compile_fail,E0308
    /// # use {timed::network::NetworkHandle, timed::types::OwnMessage};
    /// fn relay(network: &NetworkHandle, own: &OwnMessage) {
    ///     network.broadcast(own, None);
    /// }
    /// ```
    /// What a peer has said is:
    /// ```
    /// # use {timed::network::NetworkHandle, timed::types::{Message, Released, VoteBatch}};
    /// fn relay(network: &NetworkHandle, heard: Released<VoteBatch>) {
    ///     network.broadcast(&Message::VoteBatch(heard), None);
    /// }
    /// ```
    pub fn broadcast(&self, message: &Message, except: Option<PeerId>) {
        self.shared.broadcast(message, except);
    }

    /// Sends this node's own votes and proposals to all peers, once they are durable:
    /// ```compile_fail,E0308
    /// # use {timed::network::NetworkHandle, timed::types::OwnMessage};
    /// fn say(network: &NetworkHandle, own: &OwnMessage) {
    ///     network.publish(own);
    /// }
    /// ```
    /// ```
    /// # use {timed::network::NetworkHandle, timed::storage::Durable, timed::types::OwnMessage};
    /// fn say(network: &NetworkHandle, own: &Durable<OwnMessage>) {
    ///     network.publish(own);
    /// }
    /// ```
    pub fn publish(&self, message: &Durable<OwnMessage>) {
        self.shared.broadcast(&message.clone().into(), None);
    }

    /// What a peer has proved to be; one that is gone is a stranger.
    #[must_use]
    pub fn standing(&self, peer: PeerId) -> Standing {
        self.shared.standing(peer)
    }

    /// Sends to one peer, even what it has already; false if it is not connected or its queue is full.
    ///
    /// An own proposal that is not durable can't be sent, one that was decoded can:
    /// ```compile_fail,E0308
    /// # use {std::sync::Arc, timed::network::{NetworkHandle, PeerId}, timed::types::{Message, Proposal}};
    /// fn answer(network: &NetworkHandle, to: PeerId, own: Arc<Proposal>) -> bool {
    ///     network.send(to, &Message::Proposal(own))
    /// }
    /// ```
    /// ```
    /// # use {timed::network::{NetworkHandle, PeerId}, timed::types::{Message, Proposal, Released}};
    /// fn answer(network: &NetworkHandle, to: PeerId, heard: Released<Proposal>) -> bool {
    ///     network.send(to, &Message::Proposal(heard))
    /// }
    /// ```
    #[must_use]
    pub fn send(&self, peer: PeerId, message: &Message) -> bool {
        self.shared.send(peer, message)
    }

    /// As [`NetworkHandle::send`], of what the peer asks for again if it does not come: a full queue is no reason to part.
    #[must_use]
    pub fn answer(&self, peer: PeerId, message: &Message) -> bool {
        self.shared.answer(peer, message)
    }

    /// The same to all peers that have room for it.
    pub fn answer_all(&self, message: &Message) {
        self.shared.answer_all(message);
    }

    /// Whether a peer has taken so much of what it was sent in that lane that another answer is of use. Of one that is gone it is, which
    /// ends the answer.
    #[must_use]
    pub fn takes_answers(&self, peer: PeerId, is_urgent: bool) -> bool {
        self.shared.takes_answers(peer, is_urgent)
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
                member: connection.standing() == Standing::Member,
                user_agent: connection.user_agent.clone(),
                version: connection.version,
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

    /// Peers that were on another chain when they were met, the last one first.
    #[must_use]
    pub fn other_chains(&self) -> Vec<OtherChain> {
        self.shared.other_chains.lock().all(now())
    }

    /// Ends the connection to a peer; false if there is none. It may connect again.
    pub fn disconnect(&self, peer: PeerId) -> bool {
        let connection = self.shared.manager.get(peer);
        if let Some(connection) = &connection {
            connection.close(DisconnectReason::Requested);
        }
        connection.is_some()
    }

    /// Ends the connections to all peers, and dials and lets in nobody until it is called with false. For networks of
    /// tests, where it stands for a cable that was pulled.
    pub fn isolate(&self, isolated: bool) {
        self.shared.isolate(isolated);
    }

    /// Whether peers are left alone, as [`Self::isolate`] says it.
    #[must_use]
    pub fn is_isolated(&self) -> bool {
        self.shared.is_isolated()
    }

    /// Counts what a peer did wrong: it is disconnected or banned if that is enough.
    pub fn report(&self, peer: PeerId, what: Misbehaviour) {
        self.shared.report(peer, what);
    }

    /// Adds an address of the operator, which is tried until it is taken back; false if it is no address.
    pub fn add_address(&self, peer: &PeerAddress) -> bool {
        self.shared.book.lock().add(&peer.address, peer.identity, now())
    }

    /// Whether an address of the configuration or the operator is dialled until it is taken back.
    #[must_use]
    pub fn is_added(&self, address: &str) -> bool {
        self.shared.book.lock().is_added(address)
    }

    /// Has an address dialled once, now; false if it is no address.
    pub fn try_address(&self, address: &str) -> bool {
        self.shared.book.lock().try_once(address, now())
    }

    /// Takes back an address that was added; false if it was not. A connection that there is stays.
    pub fn take_back_address(&self, address: &str) -> bool {
        self.shared.book.lock().take_back(address)
    }

    /// Says where the chain's masternodes are, which are tried for ever, and where this node is if it is one of them. Returns
    /// those that are not dialled: what is no address, or leads into a local network where it can't be meant. To be called
    /// at the start and at each new epoch; a node that hides dials none of them.
    pub fn set_chain_addresses(&self, addresses: &[String], own: Option<&str>) -> Vec<String> {
        let mut book = self.shared.book.lock();
        if let Some(own) = own {
            book.note_own_place(own);
        }
        book.set_chain(addresses, now())
    }

    /// Says which operator keys the present validator set has. Who proved one of them always gets a place, has budgets
    /// and turns of its own, and is never banned. To be called at the start and at each new epoch.
    pub fn set_members(&self, keys: impl IntoIterator<Item = PublicKey>) {
        self.shared.common.members.set(keys);
        self.shared.links_changed.notify_one();
    }

    /// Says which operator keys registered masternodes have, in the set or not. Who proved one of them keeps its place when
    /// strangers want it. To be called at the start and at each new epoch.
    pub fn set_registered(&self, keys: impl IntoIterator<Item = PublicKey>) {
        self.shared.common.members.set_registered(keys);
    }

    /// Bans for a time and disconnects; false for loopback addresses, which are never banned. Proven members of the set
    /// are let in all the same.
    pub fn ban(&self, target: BanTarget, time: Duration) -> bool {
        let now = now();
        let Some(until) = now.checked_add(time) else { return false };
        if !self.shared.reputation.lock().ban(target, until, now) {
            return false;
        }
        for connection in self.shared.manager.all() {
            let banned = self.shared.reputation.lock();
            let is_hit = banned.is_banned(BanTarget::Identity(connection.peer), now)
                || banned.is_address_banned(connection.address.ip(), now);
            drop(banned);
            if is_hit && connection.standing() == Standing::Stranger {
                connection.close(DisconnectReason::Requested);
            }
        }
        true
    }

    /// Whether this very one is banned, and not what it is part of alone.
    #[must_use]
    pub fn is_banned(&self, target: BanTarget) -> bool {
        self.shared.reputation.lock().is_banned(target, now())
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
        self.shared.common.metrics.snapshot()
    }
}
