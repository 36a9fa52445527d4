//! One connection to one peer, whoever opened it, as everybody but its own tasks sees it.
//!
//! # Place
//! `peer_manager.rs` makes it after the handshake; `session.rs` runs it; whoever sends finds it in
//! `connection_manager.rs`.
//!
//! # Concurrency
//! Shared, with short locks that are never held across an await.
//!
//! # Units
//! Latency in microseconds; all sizes in bytes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::credit::CreditWindow;
use super::frame::{FrameError, OWN_MESSAGE_BYTES_MAX};
use super::handshake::Hello;
use super::message_kind::MessageKind;
use super::metrics::{NetworkMetrics, add};
use super::neighbours::Neighbours;
use super::peer::{Members, Origin, PeerId, Standing, now};
use super::pools::Pools;
use super::recent_set::{MessageKey, RecentSet};
use super::reputation::Misbehaviour;
use super::send_queue::{SendError, SendQueue};
use crate::types::codec::{CodecError, encode};
use crate::types::message::LimitExceeded;
use crate::types::{Message, PublicKey};

/// How long the answer to a ping is waited for: less than a silent connection is kept.
const PING_ANSWER_MAX: Duration = Duration::from_secs(15);
/// Gossiped messages of one generation that are remembered for one peer: half a second of the batches of 100 validators
/// at 2 ms and of 5,000 transactions a second, and what fills 32,768 places of a hash table.
pub(crate) const KNOWN_MAX: usize = 28_672;
/// How long one generation of these lasts; see `recent_set.rs` for why it is short.
pub(crate) const KNOWN_LIFETIME: Duration = Duration::from_millis(500);
/// Urgent messages of one peer that come in or wait to be taken hold so much, but for large ones, which hold memory of a
/// pool.
pub(crate) const URGENT_EVENTS_BYTES_MAX: usize = 2 * OWN_MESSAGE_BYTES_MAX;
/// Bulk messages of one peer that wait to be taken, at most; their bytes are bounded by the window.
pub(crate) const BULK_EVENTS_MAX: usize = 4_096;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum DisconnectReason {
    /// The other side ended it.
    #[error("closed by the peer")]
    ClosedByPeer,
    /// What came is no frame, or reading failed.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// What came is no message.
    #[error("malformed {kind} message: {source}")]
    Malformed {
        /// The kind by its tag.
        kind: &'static str,
        /// Why.
        source: CodecError,
    },
    /// A list in a message is too long.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// Nothing came for too long.
    #[error("the peer sent nothing for too long")]
    Idle,
    /// The rest of a message did not come in time.
    #[error("the rest of a {kind} message of {length} bytes did not come within {allowed_ms} ms")]
    Unfinished {
        /// The kind by its tag, or "unknown".
        kind: &'static str,
        /// Its length, as far as it is known.
        length: usize,
        /// What it was given.
        allowed_ms: u128,
    },
    /// The peer reads too slowly.
    #[error("the peer does not read what is sent to it")]
    NotReading,
    /// Writing failed.
    #[error("writing to the peer failed: {0}")]
    Write(std::io::Error),
    /// It misbehaved.
    #[error("misbehaved: {0}")]
    Misbehaved(Misbehaviour),
    /// Another connection to the same peer is kept instead.
    #[error("replaced by another connection to the same peer")]
    Replaced,
    /// Its place was needed for a member of the set, or for a peer that makes the neighbourhood more diverse.
    #[error("made room for another peer")]
    Evicted,
    /// There was no place for it, and it has been told of other nodes.
    #[error("was here for a visit, since all places are taken")]
    Visit,
    /// This node wanted it so.
    #[error("disconnected on request")]
    Requested,
    /// This node is to have no connections.
    #[error("this node is isolated from all peers")]
    Isolated,
    /// This node stops.
    #[error("this node stops")]
    Shutdown,
}

/// What all connections share.
#[derive(Default)]
pub(crate) struct Common {
    pub(crate) pools: Pools,
    pub(crate) metrics: NetworkMetrics,
    pub(crate) members: Members,
}

/// A connection.
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) peer: PeerId,
    /// The version of the protocol that both sides agreed on.
    pub(crate) version: u32,
    /// The operator key that the peer proved on this connection.
    pub(crate) operator: Option<PublicKey>,
    pub(crate) address: SocketAddr,
    /// Where it says that it can be reached; escaped.
    pub(crate) listen_address: String,
    pub(crate) inbound: bool,
    /// Whether it is to be told to nobody.
    pub(crate) hides: bool,
    /// Escaped, so that it can be printed.
    pub(crate) user_agent: String,
    pub(crate) connected_at: Instant,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) messages_in: AtomicU64,
    pub(crate) messages_out: AtomicU64,
    /// When something new came from it, in milliseconds of this connection's life, plus one; 0 if never. Of payments, and
    /// of votes and blocks.
    payment_ms: AtomicU64,
    vote_ms: AtomicU64,
    /// Whether it has said up to where it has blocks.
    serves_blocks: AtomicBool,
    /// Whether it has no place, and leaves soon.
    visits: AtomicBool,
    /// Of the last ping; `u64::MAX` before the first.
    latency_us: AtomicU64,
    pub(super) queue: Arc<SendQueue>,
    pub(super) known: Mutex<RecentSet>,
    pub(super) neighbours: Neighbours,
    ping: Mutex<Option<(u64, Instant)>>,
    pub(super) window: Arc<CreditWindow>,
    /// Bytes of small urgent messages that may still come in.
    pub(super) urgent_memory: Arc<Semaphore>,
    /// Places for bulk messages that wait to be taken.
    pub(super) bulk_places: Arc<Semaphore>,
    pub(super) closing: CancellationToken,
    pub(super) reason: OnceLock<DisconnectReason>,
    pub(super) common: Arc<Common>,
}

impl Connection {
    /// A connection that is not running yet, with what the handshake gave: the peer's hello and the version that both
    /// sides speak. Its token ends with `parent`.
    pub(crate) fn new(
        id: u64,
        (remote, version): (&Hello, u32),
        address: SocketAddr,
        inbound: bool,
        common: &Arc<Common>,
        parent: &CancellationToken,
    ) -> Self {
        let now = now();
        let queue = Arc::new(SendQueue::new());
        Self {
            id,
            peer: remote.identity,
            version,
            operator: remote.operator(),
            address,
            listen_address: remote.listen_address(address.ip()).escape_default().to_string(),
            inbound,
            hides: remote.hides(),
            user_agent: remote.user_agent.escape_default().to_string(),
            connected_at: now,
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            messages_in: AtomicU64::new(0),
            messages_out: AtomicU64::new(0),
            payment_ms: AtomicU64::new(0),
            vote_ms: AtomicU64::new(0),
            serves_blocks: AtomicBool::new(false),
            visits: AtomicBool::new(false),
            latency_us: AtomicU64::new(u64::MAX),
            window: Arc::new(CreditWindow::new(Arc::clone(&queue))),
            queue,
            known: Mutex::new(RecentSet::new(KNOWN_MAX, KNOWN_LIFETIME, now)),
            neighbours: Neighbours::default(),
            ping: Mutex::new(None),
            urgent_memory: Arc::new(Semaphore::new(URGENT_EVENTS_BYTES_MAX)),
            bulk_places: Arc::new(Semaphore::new(BULK_EVENTS_MAX)),
            closing: parent.child_token(),
            reason: OnceLock::new(),
            common: Arc::clone(common),
        }
    }

    /// What the peer is now: the set may have changed since it connected.
    pub(crate) fn standing(&self) -> Standing {
        self.common.members.standing(self.operator)
    }

    /// Whether it is a registered masternode now, in the set or not.
    pub(crate) fn is_registered(&self) -> bool {
        self.common.members.is_registered(self.operator)
    }

    /// Whether it is here for a visit only.
    pub(crate) fn visits(&self) -> bool {
        self.visits.load(Ordering::Acquire)
    }

    /// Notes that it has no place.
    pub(super) fn note_visit(&self) {
        self.visits.store(true, Ordering::Release);
    }

    /// Where it comes from.
    pub(crate) fn origin(&self) -> Origin {
        Origin::of(self.address.ip())
    }

    /// Ends the connection; the first reason stands.
    pub(crate) fn close(&self, reason: DisconnectReason) {
        let _first_stands = self.reason.set(reason);
        self.closing.cancel();
    }

    /// Notes that something came that nobody else had brought: a payment, or a vote or a part of a block.
    pub(crate) fn note_useful(&self, is_vote: bool, now: Instant) {
        let life_ms = now.saturating_duration_since(self.connected_at).as_millis();
        let mark = u64::try_from(life_ms).unwrap_or(u64::MAX).saturating_add(1);
        let place = if is_vote { &self.vote_ms } else { &self.payment_ms };
        place.store(mark, Ordering::Relaxed);
    }

    /// When something new came last; when it connected, if never.
    pub(crate) fn useful_at(&self) -> Instant {
        self.payment_at().max(self.vote_at()).unwrap_or(self.connected_at)
    }

    /// When a new payment came last.
    pub(crate) fn payment_at(&self) -> Option<Instant> {
        self.moment(&self.payment_ms)
    }

    /// When a new vote or part of a block came last.
    pub(crate) fn vote_at(&self) -> Option<Instant> {
        self.moment(&self.vote_ms)
    }

    fn moment(&self, mark: &AtomicU64) -> Option<Instant> {
        let life_ms = mark.load(Ordering::Relaxed).checked_sub(1)?;
        self.connected_at.checked_add(Duration::from_millis(life_ms))
    }

    /// Notes that it has said up to where it has blocks; true the first time.
    pub(crate) fn note_serves_blocks(&self) -> bool {
        !self.serves_blocks.swap(true, Ordering::Relaxed)
    }

    /// Round trip of the last ping.
    pub(crate) fn latency(&self) -> Option<Duration> {
        match self.latency_us.load(Ordering::Relaxed) {
            u64::MAX => None,
            latency_us => Some(Duration::from_micros(latency_us)),
        }
    }

    /// Queues an encoded message, unless the agreed version has no such kind. A full urgent lane ends the connection.
    pub(crate) fn enqueue(&self, kind: MessageKind, encoded: Bytes) -> bool {
        let queued = self.try_enqueue(kind, encoded);
        if queued == Err(SendError::UrgentFull) {
            self.close(DisconnectReason::NotReading);
        }
        queued == Ok(true)
    }

    /// The same of what is asked for again if it does not come: a full lane costs this message alone.
    pub(crate) fn enqueue_answer(&self, kind: MessageKind, encoded: Bytes) -> bool {
        self.try_enqueue(kind, encoded) == Ok(true)
    }

    /// Whether little of what the peer was sent in a lane still waits to be taken.
    pub(crate) fn takes_answers(&self, is_urgent: bool) -> bool {
        self.queue.has_room_for_answers(is_urgent)
    }

    fn try_enqueue(&self, kind: MessageKind, encoded: Bytes) -> Result<bool, SendError> {
        if self.closing.is_cancelled() || !kind.is_in(self.version) {
            return Ok(false);
        }
        let Common { pools, metrics, .. } = &*self.common;
        let pool = if kind.is_urgent() { &pools.send_urgent } else { &pools.send_bulk };
        match self.queue.push(kind.is_urgent(), encoded, |bytes| pool.try_take(self.standing(), bytes)) {
            Ok(()) => {
                add(&self.messages_out, 1);
                metrics.count_out(kind);
                Ok(true)
            }
            Err(error) => {
                add(&metrics.send_dropped, 1);
                Err(error)
            }
        }
    }

    /// Queues a message that is being passed on, unless the peer has it.
    pub(crate) fn offer(&self, kind: MessageKind, encoded: Bytes, key: Option<MessageKey>, now: Instant) {
        let Some(key) = key else {
            self.enqueue(kind, encoded);
            return;
        };
        if self.known.lock().contains(key, now) {
            return;
        }
        if self.enqueue(kind, encoded) {
            self.known.lock().insert(key, now);
        }
    }

    /// Sends a ping, unless one is under way: to measure, and to notice a dead peer. An answer to one that was forgotten for
    /// the next one would measure nothing.
    pub(crate) fn ping(&self, now: Instant) {
        let mut ping = self.ping.lock();
        if ping.is_some_and(|(_, sent_at)| now.saturating_duration_since(sent_at) < PING_ANSWER_MAX) {
            return;
        }
        let number = rand::random::<u64>();
        if self.enqueue(MessageKind::Ping, Bytes::from(encode(&Message::Ping(number)))) {
            *ping = Some((number, now));
        }
    }

    /// Sends a ping whose answer is not waited for: a connection to a peer that is gone ends by it.
    pub(crate) fn probe(&self) {
        let number = rand::random::<u64>();
        self.enqueue(MessageKind::Ping, Bytes::from(encode(&Message::Ping(number))));
    }

    /// Sets the round trip, as the answer to a ping would.
    #[cfg(test)]
    pub(crate) fn set_latency(&self, latency: Duration) {
        self.latency_us.store(u64::try_from(latency.as_micros()).unwrap(), Ordering::Relaxed);
    }

    /// Takes the answer to a ping.
    pub(super) fn pong(&self, number: u64, now: Instant) {
        let mut ping = self.ping.lock();
        // A pong that nobody asked for says nothing.
        let Some((_, sent_at)) = ping.filter(|(expected, _)| *expected == number) else { return };
        *ping = None;
        let latency_us = now.saturating_duration_since(sent_at).as_micros();
        self.latency_us.store(u64::try_from(latency_us).unwrap_or(u64::MAX - 1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::frame::Lane;
    use crate::network::pools::SEND_BULK_POOL_BYTES;
    use crate::network::send_queue::LANE_OWN_BYTES;
    use crate::network::tests::support::{connection_of, key};

    fn connection(common: &Arc<Common>) -> Arc<Connection> {
        connection_of(1, key(1), "192.0.2.1", None, true, common)
    }

    /// INV-NET-34: a peer gets nothing that its version does not know.
    #[test]
    fn a_message_that_the_agreed_version_lacks_is_not_sent() {
        let mut connection = Arc::into_inner(connection(&Arc::default())).unwrap();
        let ping = Bytes::from(encode(&Message::Ping(1)));
        assert!(connection.enqueue(MessageKind::Ping, ping.clone()));
        connection.version = MessageKind::Ping.since() - 1;
        assert!(!connection.enqueue(MessageKind::Ping, ping));
        assert!(!connection.closing.is_cancelled(), "that ends nothing");
    }

    /// Else a peer whose queue was full would not get it when somebody else passes it on.
    #[test]
    fn a_peer_is_offered_again_what_its_queue_had_no_room_for() {
        let common = Arc::default();
        let (connection, at) = (connection(&common), now());
        // Others have all that connections share.
        let _taken = common.pools.send_bulk.try_take(Standing::Stranger, SEND_BULK_POOL_BYTES).unwrap();
        let filling = Bytes::from(vec![0; LANE_OWN_BYTES / 4]);
        while connection.enqueue(MessageKind::Transaction, filling.clone()) {}
        let offer = || connection.offer(MessageKind::Transaction, filling.clone(), Some(7), at);
        let written = || {
            let (mut plaintext, mut bytes) = (Vec::new(), 0);
            while connection.queue.take(Lane::Bulk, &mut plaintext) {
                bytes += plaintext.len();
            }
            bytes
        };
        offer();
        assert!(written() > 0);
        offer();
        assert!(written() > 0, "now there is room");
        offer();
        assert_eq!(written(), 0, "it has it");
    }

    /// A peer can't say how far away it is by an answer to nothing.
    #[test]
    fn the_latency_is_that_of_an_answer_to_a_ping() {
        let (connection, at) = (connection(&Arc::default()), now());
        let later = |ms: u64| at + Duration::from_millis(ms);
        connection.pong(0, later(1));
        connection.ping(at);
        let (number, _) = connection.ping.lock().unwrap();
        connection.pong(number.wrapping_add(1), later(2));
        assert_eq!(connection.latency(), None, "nobody asked for that");
        connection.pong(number, later(5));
        connection.pong(number, later(9));
        assert_eq!(connection.latency(), Some(Duration::from_millis(5)));
    }

    /// Else a peer that answers later than the next ping is sent would have no latency at all.
    #[test]
    fn no_second_ping_is_sent_while_one_is_under_way() {
        let (connection, at) = (connection(&Arc::default()), now());
        let under_way = || connection.ping.lock().unwrap().0;
        connection.ping(at);
        let first = under_way();
        connection.ping(at + PING_ANSWER_MAX / 2);
        assert_eq!(under_way(), first);
        connection.pong(first, at + PING_ANSWER_MAX / 2);
        assert_eq!(connection.latency(), Some(PING_ANSWER_MAX / 2));
        connection.ping(at + PING_ANSWER_MAX / 2);
        let second = under_way();
        assert_ne!(second, first, "the first one was answered");
        connection.ping(at + 2 * PING_ANSWER_MAX);
        assert_ne!(under_way(), second, "nobody waits for ever");
    }
}
