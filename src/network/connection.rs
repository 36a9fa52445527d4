//! One connection to one peer, whoever opened it.
//!
//! # Place
//! `peer_manager.rs` makes it after the handshake and runs it; messages go up as [`NetworkEvent`]s, but for pings,
//! pongs and the exchange of addresses, which end here.
//!
//! # Invariants
//! - INV-NET-10: an urgent message never waits behind a bulk message: not in the send queue (two lanes), not on the
//!   wire (records alternate), not at the receiver (bulk messages have their own task and a window of credit).
//! - INV-NET-11: a peer that does not read, does not write, or floods costs bounded memory and is disconnected.
//!
//! # Concurrency
//! Three tasks: the reader, the writer, and one that hands bulk messages up. The first that ends closes all.
//! [`Connection`] itself is shared, with short locks that are never held across an await.
//!
//! # Units
//! Latency in microseconds; all sizes in bytes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::frame::{
    Assembler, BULK_WINDOW_BYTES, FrameError, LENGTH_BYTES, Lane, Opener, PLAINTEXT_BYTES_MAX,
    RECORD_BYTES_MAX, Sealer, read_record, split_lane,
};
use super::handshake::Hello;
use super::message_kind::MessageKind;
use super::metrics::add;
use super::rate_limit::{RateLimiter, Verdict};
use super::recent_set::{MessageKey, RecentSet, message_key};
use super::reputation::Misbehaviour;
use super::send_queue::{SendError, SendQueue};
use super::shared::Shared;
use super::{NetworkEvent, PeerId, now};
use crate::types::Message;
use crate::types::codec::{CodecError, decode, encode};
use crate::types::message::LimitExceeded;

/// Gossiped messages of one generation that are remembered for one peer: half a second of the batches of 100 validators
/// at 2 ms and of 5,000 transactions a second, and what fills 32,768 places of a hash table.
const KNOWN_MAX: usize = 28_672;
/// How long one generation of these lasts; see `recent_set.rs` for why it is short.
pub(crate) const KNOWN_LIFETIME: Duration = Duration::from_millis(500);
/// Bulk messages of one peer that wait to be handed up, at most; their bytes are bounded by the window.
const BULK_WAITING_MAX: usize = 32_768;
/// Of one bulk message at most so much is held against the window; the rest is granted again as it arrives, so that a
/// message larger than the window passes.
const CHARGE_MAX: usize = BULK_WINDOW_BYTES / 2;
/// Bytes that were taken are told to the sender in steps of at least this.
const GRANT_BYTES_MIN: usize = BULK_WINDOW_BYTES / 4;

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
    /// This node wanted it so.
    #[error("disconnected on request")]
    Requested,
    /// This node stops.
    #[error("this node stops")]
    Shutdown,
}

/// Credit as the receiver counts it.
#[derive(Default)]
struct Window {
    /// Bulk bytes that came and were not granted again.
    outstanding: usize,
    /// Bytes that were taken and are not told yet.
    released: usize,
}

/// A connection as everybody else sees it.
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) peer: PeerId,
    pub(crate) address: SocketAddr,
    /// Where it says that it can be reached; escaped.
    pub(crate) listen_address: String,
    pub(crate) inbound: bool,
    /// Escaped, so that it can be printed.
    pub(crate) user_agent: String,
    pub(crate) connected_at: Instant,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) messages_in: AtomicU64,
    pub(crate) messages_out: AtomicU64,
    /// Of the last ping; `u64::MAX` before the first.
    latency_us: AtomicU64,
    queue: SendQueue,
    known: Mutex<RecentSet>,
    ping: Mutex<Option<(u64, Instant)>>,
    window: Mutex<Window>,
    closing: CancellationToken,
    reason: OnceLock<DisconnectReason>,
}

impl Connection {
    /// A connection that is not running yet. Its token ends with `parent`.
    pub(crate) fn new(
        id: u64,
        remote: &Hello,
        address: SocketAddr,
        inbound: bool,
        parent: &CancellationToken,
    ) -> Self {
        let now = now();
        Self {
            id,
            peer: remote.identity,
            address,
            listen_address: remote.listen_address(address.ip()).escape_default().to_string(),
            inbound,
            user_agent: remote.user_agent.escape_default().to_string(),
            connected_at: now,
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            messages_in: AtomicU64::new(0),
            messages_out: AtomicU64::new(0),
            latency_us: AtomicU64::new(u64::MAX),
            queue: SendQueue::new(),
            known: Mutex::new(RecentSet::new(KNOWN_MAX, KNOWN_LIFETIME, now)),
            ping: Mutex::new(None),
            window: Mutex::new(Window::default()),
            closing: parent.child_token(),
            reason: OnceLock::new(),
        }
    }

    /// Ends the connection; the first reason stands.
    pub(crate) fn close(&self, reason: DisconnectReason) {
        let _first_stands = self.reason.set(reason);
        self.closing.cancel();
    }

    /// Round trip of the last ping.
    pub(crate) fn latency(&self) -> Option<Duration> {
        match self.latency_us.load(Ordering::Relaxed) {
            u64::MAX => None,
            latency_us => Some(Duration::from_micros(latency_us)),
        }
    }

    /// Queues an encoded message. A full urgent lane ends the connection.
    pub(crate) fn enqueue(&self, shared: &Shared, kind: MessageKind, encoded: Bytes) -> bool {
        if self.closing.is_cancelled() {
            return false;
        }
        match self.queue.push(kind.is_urgent(), encoded) {
            Ok(()) => {
                add(&self.messages_out, 1);
                shared.metrics.count_out(kind);
                true
            }
            Err(error) => {
                add(&shared.metrics.send_dropped, 1);
                if error == SendError::UrgentFull {
                    self.close(DisconnectReason::NotReading);
                }
                false
            }
        }
    }

    /// Queues a message that is being passed on, unless the peer has it.
    pub(crate) fn offer(
        &self,
        shared: &Shared,
        kind: MessageKind,
        encoded: Bytes,
        key: Option<MessageKey>,
        now: Instant,
    ) {
        let Some(key) = key else {
            self.enqueue(shared, kind, encoded);
            return;
        };
        if self.known.lock().contains(key, now) {
            return;
        }
        if self.enqueue(shared, kind, encoded) {
            self.known.lock().insert(key, now);
        }
    }

    /// Sends a ping, unless one is under way: to measure, and to notice a dead peer.
    pub(crate) fn ping(&self, shared: &Shared, now: Instant) {
        let number = rand::random::<u64>();
        *self.ping.lock() = Some((number, now));
        self.enqueue(shared, MessageKind::Ping, Bytes::from(encode(&Message::Ping(number))));
    }

    fn pong(&self, number: u64, now: Instant) {
        let mut ping = self.ping.lock();
        // A pong that nobody asked for says nothing.
        let Some((_, sent_at)) = ping.filter(|(expected, _)| *expected == number) else { return };
        *ping = None;
        let latency_us = now.saturating_duration_since(sent_at).as_micros();
        self.latency_us.store(u64::try_from(latency_us).unwrap_or(u64::MAX - 1), Ordering::Relaxed);
    }

    fn charge(&self, bytes: usize) -> Result<(), FrameError> {
        let mut window = self.window.lock();
        window.outstanding += bytes;
        match window.outstanding.saturating_sub(BULK_WINDOW_BYTES) {
            0 => Ok(()),
            bytes => Err(FrameError::CreditExceeded { bytes }),
        }
    }

    fn release(&self, bytes: usize) {
        let mut window = self.window.lock();
        window.released += bytes;
        if window.released < GRANT_BYTES_MIN {
            return;
        }
        let granted = std::mem::take(&mut window.released);
        window.outstanding = window.outstanding.saturating_sub(granted);
        drop(window);
        self.queue.grant(granted);
    }

    /// Runs the connection until it ends, and says why it did.
    pub(crate) async fn run<R, W>(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        reader: R,
        buffer: BytesMut,
        writer: W,
        keys: (Sealer, Opener),
    ) -> String
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let (sealer, opener) = keys;
        let (bulk, waiting) = mpsc::channel(BULK_WAITING_MAX);
        shared.tracker.spawn(hand_up(Arc::clone(shared), Arc::clone(self), waiting));
        let (shared_writer, connection) = (Arc::clone(shared), Arc::clone(self));
        shared.tracker.spawn(async move {
            let result = tokio::select! {
                () = connection.closing.cancelled() => return,
                result = write(&shared_writer, &connection, writer, sealer) => result,
            };
            if let Err(reason) = result {
                connection.close(reason);
            }
        });
        let mut receiver = Receiver {
            shared: Arc::clone(shared),
            connection: Arc::clone(self),
            limiter: RateLimiter::new(now()),
            opener,
            bulk,
        };
        let ended = tokio::select! {
            () = self.closing.cancelled() => None,
            reason = receiver.read(reader, buffer) => Some(reason),
        };
        if let Some(reason) = ended {
            receiver.blame(&reason);
            self.close(reason);
        }
        self.reason.get().unwrap_or(&DisconnectReason::Shutdown).to_string()
    }
}

/// Hands bulk messages up, and grants their bytes again when they are taken. It goes on after the connection ended
/// until it has handed up all that came: the messages count as seen, so nobody else's copy would be delivered.
async fn hand_up(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    mut waiting: mpsc::Receiver<(Message, usize)>,
) {
    while let Some((message, charge)) = waiting.recv().await {
        let event = NetworkEvent::Message { peer: connection.peer, message };
        tokio::select! {
            () = shared.token.cancelled() => return,
            sent = shared.bulk.send(event) => if sent.is_err() { return },
        }
        connection.release(charge);
    }
}

async fn write<W: AsyncWrite + Unpin>(
    shared: &Shared,
    connection: &Connection,
    mut writer: W,
    mut sealer: Sealer,
) -> Result<(), DisconnectReason> {
    let mut plaintext = Vec::with_capacity(PLAINTEXT_BYTES_MAX);
    let mut out = Vec::with_capacity(2 * (RECORD_BYTES_MAX + 2));
    let mut ping_due = now();
    loop {
        let now = now();
        if now >= ping_due {
            connection.ping(shared, now);
            ping_due = now + shared.timing.ping_interval;
        }
        out.clear();
        // One record of each lane a write: when both are full, each gets half, and neither waits for more than that.
        for lane in [Lane::Credit, Lane::Urgent, Lane::Bulk] {
            if connection.queue.take(lane, &mut plaintext) {
                sealer.seal(&plaintext, &mut out)?;
            }
        }
        if out.is_empty() {
            // That the ping is due is as good a reason to look again as that something was put in.
            let _filled_or_due = timeout_at(ping_due, connection.queue.filled()).await;
            continue;
        }
        timeout(shared.timing.write_stall_max, writer.write_all(&out))
            .await
            .map_err(|_| DisconnectReason::NotReading)?
            .map_err(DisconnectReason::Write)?;
        add(&connection.bytes_out, out.len());
        add(&shared.metrics.bytes_out, out.len());
    }
}

/// What the reading task owns.
struct Receiver {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    limiter: RateLimiter,
    opener: Opener,
    bulk: mpsc::Sender<(Message, usize)>,
}

impl Receiver {
    /// Scores what the peer did wrong.
    fn blame(&self, reason: &DisconnectReason) {
        let misbehaviour = match reason {
            DisconnectReason::Frame(FrameError::Io(_) | FrameError::Truncated | FrameError::Encrypt) => {
                return;
            }
            DisconnectReason::Frame(_) | DisconnectReason::Malformed { .. } | DisconnectReason::Limit(_) => {
                Misbehaviour::Malformed
            }
            _ => return,
        };
        self.shared.report(self.connection.peer, misbehaviour);
    }

    async fn read<R: AsyncRead + Unpin>(&mut self, mut reader: R, mut buffer: BytesMut) -> DisconnectReason {
        let mut plaintext = Vec::with_capacity(RECORD_BYTES_MAX);
        let (mut urgent, mut bulk) = (Assembler::new(true), Assembler::new(false));
        loop {
            let idle_max = self.shared.timing.idle_max;
            let record =
                match timeout(idle_max, read_record(&mut reader, &mut buffer, RECORD_BYTES_MAX)).await {
                    Err(_) => return DisconnectReason::Idle,
                    Ok(Ok(None)) => return DisconnectReason::ClosedByPeer,
                    Ok(Err(error)) => return error.into(),
                    Ok(Ok(Some(record))) => record,
                };
            add(&self.connection.bytes_in, record.len() + 2);
            add(&self.shared.metrics.bytes_in, record.len() + 2);
            if let Err(reason) = self.take_record(&record, &mut plaintext, &mut urgent, &mut bulk).await {
                return reason;
            }
        }
    }

    async fn take_record(
        &mut self,
        record: &[u8],
        plaintext: &mut Vec<u8>,
        urgent: &mut Assembler,
        bulk: &mut Assembler,
    ) -> Result<(), DisconnectReason> {
        self.opener.open(record, plaintext)?;
        let (lane, payload) = split_lane(plaintext)?;
        match lane {
            Lane::Credit => {
                let bytes = payload.try_into().map_err(|_| FrameError::InvalidCredit)?;
                self.connection.queue.add_credit(u32::from_le_bytes(bytes))?;
            }
            Lane::Urgent => {
                urgent.feed(payload);
                while let Some((kind, encoded)) = urgent.next_message()? {
                    self.receive(kind, encoded).await?;
                }
            }
            Lane::Bulk => {
                self.connection.charge(payload.len())?;
                // Each byte that came is charged to the message it belongs to, but for what exceeds `CHARGE_MAX` of
                // one message, and for messages that are not handed up.
                let mut free = bulk.pending_bytes().min(CHARGE_MAX) + payload.len();
                bulk.feed(payload);
                while let Some((kind, encoded)) = bulk.next_message()? {
                    let charge = (LENGTH_BYTES + encoded.len()).min(CHARGE_MAX);
                    if self.receive(kind, encoded).await? {
                        free = free.saturating_sub(charge);
                    }
                }
                self.connection.release(free.saturating_sub(bulk.pending_bytes().min(CHARGE_MAX)));
            }
        }
        Ok(())
    }

    /// Acts on one message; true if it was handed to the task for bulk messages, with its charge.
    async fn receive(&mut self, kind: MessageKind, encoded: Bytes) -> Result<bool, DisconnectReason> {
        let (shared, connection) = (&self.shared, &self.connection);
        let now = now();
        add(&connection.messages_in, 1);
        shared.metrics.count_in(kind);
        match self.limiter.check(kind, encoded.len(), now) {
            Verdict::Admit => {}
            verdict => {
                add(&shared.metrics.rate_limited, 1);
                if verdict == Verdict::DropAndReport {
                    shared.report(connection.peer, Misbehaviour::Flood);
                    // What is still in the buffer of a peer that was banned by this is not looked at.
                    if connection.closing.is_cancelled() {
                        return Err(DisconnectReason::Misbehaved(Misbehaviour::Flood));
                    }
                }
                return Ok(false);
            }
        }
        if kind.is_gossip() {
            let key = message_key(&encoded);
            connection.known.lock().insert(key, now);
            if !shared.seen.lock().insert(key, now) {
                add(&shared.metrics.duplicates, 1);
                return Ok(false);
            }
        }
        let message: Message =
            decode(&encoded).map_err(|source| DisconnectReason::Malformed { kind: kind.name(), source })?;
        message.check_limits()?;
        match message {
            Message::Ping(number) => {
                connection.enqueue(shared, MessageKind::Pong, Bytes::from(encode(&Message::Pong(number))));
            }
            Message::Pong(number) => connection.pong(number, now),
            Message::GetMasternodes => {
                let answer = Message::Masternodes(shared.addresses_for(connection));
                connection.enqueue(shared, MessageKind::Masternodes, Bytes::from(encode(&answer)));
            }
            Message::Masternodes(addresses) => shared.learn(connection, &addresses),
            message if kind.is_urgent() => {
                let event = NetworkEvent::Message { peer: connection.peer, message };
                if shared.urgent.send(event).await.is_err() {
                    return Err(DisconnectReason::Shutdown);
                }
            }
            message => {
                let charge = (LENGTH_BYTES + encoded.len()).min(CHARGE_MAX);
                // It waits only for a peer that sends more tiny messages than an honest one has.
                if self.bulk.send((message, charge)).await.is_err() {
                    return Err(DisconnectReason::Shutdown);
                }
                return Ok(true);
            }
        }
        Ok(false)
    }
}
