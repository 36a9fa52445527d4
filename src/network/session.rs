//! What runs one connection: a task that reads and one that writes, until the first of them ends.
//!
//! # Place
//! `peer_manager.rs` runs it; messages go up into the queues of `events.rs`, but for pings, pongs and the exchange of
//! addresses, which end here.
//!
//! # Invariants
//! - INV-NET-10: an urgent message never waits behind a bulk message: not in the send queue (two lanes), not on the
//!   wire (records alternate), not at the receiver (two queues, and a window of credit for the bulk lane).
//! - INV-NET-11: a peer that does not read, does not write, or floods costs bounded memory and is disconnected.
//! - INV-NET-25: a message that began is complete within [`Timing::message_deadline`](super::shared::Timing) and the time
//!   that its length takes at [`MESSAGE_BYTES_PER_SECOND_MIN`], or its peer is disconnected. Only time counts in which this node waited for
//!   the peer, and in the bulk lane only while the peer had credit.
//!
//! # Memory
//! A message has its memory before it comes: as soon as its header says how long it is, that much is taken. A small one
//! takes of what its connection has, a large one of a pool. In the urgent lane reading waits until there is some; in
//! the bulk lane the peer gets no credit until then, so that votes go on.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::{Connection, DisconnectReason};
use super::credit::Credit;
use super::events::{EVENT_BYTES, Held};
use super::frame::{
    Assembler, FrameError, LENGTH_BYTES, Lane, OWN_MESSAGE_BYTES_MAX, Opener, PLAINTEXT_BYTES_MAX,
    RECORD_BYTES_MAX, Sealer, Unfinished, read_record, split_lane,
};
use super::message_kind::MessageKind;
use super::metrics::add;
use super::peer::now;
use super::pools::{Taken, permits};
use super::rate_limit::{RateLimiter, Verdict};
use super::recent_set::message_key;
use super::reputation::Misbehaviour;
use super::shared::Shared;
use crate::runtime::stages::{Stage, during, enter};
use crate::types::Message;
use crate::types::codec::{decode, encode};

/// The slowest that a message may come, beyond the time that any message has: a block of 12 MiB has a minute.
pub(crate) const MESSAGE_BYTES_PER_SECOND_MIN: u64 = 256 << 10;

/// Runs the connection until it ends, and says why it did.
pub(crate) async fn run<R, W>(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
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
    let (shared_writer, writing) = (Arc::clone(shared), Arc::clone(connection));
    shared.spawn(async move {
        let result = tokio::select! {
            () = writing.closing.cancelled() => return,
            result = during(Stage::Frames, write(&shared_writer, &writing, writer, sealer)) => result,
        };
        if let Err(reason) = result {
            writing.close(reason);
        }
    });
    let mut receiver = Receiver::new(shared, connection, opener);
    let ended = tokio::select! {
        () = connection.closing.cancelled() => None,
        reason = during(Stage::Frames, receiver.read(reader, buffer)) => Some(reason),
    };
    if let Some(reason) = ended {
        receiver.blame(&reason);
        connection.close(reason);
    }
    connection.reason.get().unwrap_or(&DisconnectReason::Shutdown).to_string()
}

/// Bulk bytes that a peer has to take within [`Timing::bulk_stall_max`](super::shared::Timing) while more wait. Who takes a byte
/// now and then would keep the memory of others' answers for ever.
const BULK_STEP_BYTES: usize = 256 << 10;

/// How a peer takes its bulk messages.
struct BulkPace {
    /// When it had last taken a step, or all.
    moved: Instant,
    /// What it took since.
    bytes: usize,
}

impl BulkPace {
    const fn took(&mut self, bytes: usize, now: Instant) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes >= BULK_STEP_BYTES {
            *self = Self { moved: now, bytes: 0 };
        }
    }

    fn is_stalled(&mut self, more_waits: bool, stall_max: Duration, now: Instant) -> bool {
        if !more_waits {
            *self = Self { moved: now, bytes: 0 };
        }
        now.saturating_duration_since(self.moved) >= stall_max
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
    let mut bulk = BulkPace { moved: ping_due, bytes: 0 };
    loop {
        let now = now();
        if now >= ping_due {
            connection.ping(now);
            ping_due = now + shared.timing.ping_interval;
        }
        out.clear();
        // One record of each lane a write: when both are full, each gets half, and neither waits for more than that.
        for lane in [Lane::Credit, Lane::Urgent, Lane::Bulk] {
            if connection.queue.take(lane, &mut plaintext) {
                sealer.seal(&plaintext, &mut out)?;
                if lane == Lane::Bulk {
                    bulk.took(plaintext.len(), now);
                }
            }
        }
        if bulk.is_stalled(connection.queue.has_bulk(), shared.timing.bulk_stall_max, now) {
            return Err(DisconnectReason::NotReading);
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
        add(&connection.common.metrics.bytes_out, out.len());
    }
}

type Wanted = Pin<Box<dyn Future<Output = Option<Taken>> + Send>>;

/// What the reading task owns.
struct Receiver {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    limiter: RateLimiter,
    opener: Opener,
    urgent: Assembler,
    /// Of the urgent message that is coming.
    urgent_memory: Option<Taken>,
    bulk: Assembler,
    /// Of the bulk message that is coming, if it is large.
    bulk_memory: Option<Taken>,
    /// Waits for that.
    bulk_wanted: Option<Wanted>,
    /// Bytes of it that were given back to the peer.
    bulk_released: usize,
}

enum Came {
    Memory(Option<Taken>),
    Record(Result<Option<BytesMut>, FrameError>),
    Nothing,
}

/// Never ends when nothing is wanted.
async fn wait_for(wanted: &mut Option<Wanted>) -> Option<Taken> {
    match wanted {
        Some(wanted) => wanted.await,
        None => std::future::pending().await,
    }
}

impl Receiver {
    fn new(shared: &Arc<Shared>, connection: &Arc<Connection>, opener: Opener) -> Self {
        Self {
            shared: Arc::clone(shared),
            connection: Arc::clone(connection),
            limiter: RateLimiter::new(now()),
            opener,
            urgent: Assembler::new(true, connection.version),
            urgent_memory: None,
            bulk: Assembler::new(false, connection.version),
            bulk_memory: None,
            bulk_wanted: None,
            bulk_released: 0,
        }
    }

    /// Scores what the peer did wrong.
    fn blame(&self, reason: &DisconnectReason) {
        let misbehaviour = match reason {
            DisconnectReason::Frame(FrameError::Io(_) | FrameError::Truncated | FrameError::Encrypt) => {
                return;
            }
            DisconnectReason::Frame(_) | DisconnectReason::Malformed { .. } | DisconnectReason::Limit(_) => {
                Misbehaviour::Malformed
            }
            DisconnectReason::Unfinished { .. } => Misbehaviour::Unfinished,
            _ => return,
        };
        self.shared.report(self.connection.peer, misbehaviour);
    }

    /// How long a message of this length may be waited for.
    fn allowed(&self, length: usize) -> Duration {
        let bytes = u64::try_from(length).unwrap_or(u64::MAX);
        let for_bytes = Duration::from_millis(bytes.saturating_mul(1_000) / MESSAGE_BYTES_PER_SECOND_MIN);
        self.shared.timing.message_deadline.saturating_add(for_bytes)
    }

    /// Whether a message took too long.
    fn overdue(&self) -> Option<DisconnectReason> {
        let late = |unfinished: &Unfinished| unfinished.waited >= self.allowed(unfinished.length);
        let unfinished =
            [self.urgent.unfinished(), self.bulk.unfinished()].into_iter().flatten().find(late)?;
        Some(DisconnectReason::Unfinished {
            kind: unfinished.kind.map_or("unknown", MessageKind::name),
            length: unfinished.length,
            allowed_ms: self.allowed(unfinished.length).as_millis(),
        })
    }

    /// How long the next record may take.
    fn patience(&self, silent: Duration, bulk_counts: bool) -> Duration {
        let left = |unfinished: Unfinished| self.allowed(unfinished.length).saturating_sub(unfinished.waited);
        let bulk = self.bulk.unfinished().filter(|_| bulk_counts);
        let idle = self.shared.timing.idle_max.saturating_sub(silent);
        [self.urgent.unfinished(), bulk].into_iter().flatten().map(left).min().unwrap_or(idle).min(idle)
    }

    async fn read<R: AsyncRead + Unpin>(&mut self, mut reader: R, mut buffer: BytesMut) -> DisconnectReason {
        let mut plaintext = Vec::with_capacity(RECORD_BYTES_MAX);
        let mut silent = Duration::ZERO;
        loop {
            let bulk_counts = self.connection.window.has_room();
            let patience = self.patience(silent, bulk_counts);
            let since = now();
            // Reading keeps what has come in `buffer`, so nothing is lost when it is dropped.
            let came = tokio::select! {
                memory = wait_for(&mut self.bulk_wanted) => Came::Memory(memory),
                record = timeout(patience, read_record(&mut reader, &mut buffer, RECORD_BYTES_MAX)) => {
                    record.map_or(Came::Nothing, Came::Record)
                }
            };
            let waited = now().saturating_duration_since(since);
            silent = silent.saturating_add(waited);
            self.urgent.note_waited(waited);
            if bulk_counts {
                self.bulk.note_waited(waited);
            }
            let taken = match came {
                Came::Memory(memory) => self.take_memory(memory).await,
                Came::Nothing => return self.overdue().unwrap_or(DisconnectReason::Idle),
                Came::Record(Ok(None)) => return DisconnectReason::ClosedByPeer,
                Came::Record(Err(error)) => return error.into(),
                Came::Record(Ok(Some(record))) => {
                    silent = Duration::ZERO;
                    add(&self.connection.bytes_in, record.len() + 2);
                    add(&self.connection.common.metrics.bytes_in, record.len() + 2);
                    self.take_record(&record, &mut plaintext).await
                }
            };
            if let Some(reason) = taken.err().or_else(|| self.overdue()) {
                return reason;
            }
        }
    }

    async fn take_memory(&mut self, memory: Option<Taken>) -> Result<(), DisconnectReason> {
        self.bulk_wanted = None;
        self.bulk_memory = Some(memory.ok_or(DisconnectReason::Shutdown)?);
        self.take_bulk().await
    }

    async fn take_record(&mut self, record: &[u8], plaintext: &mut Vec<u8>) -> Result<(), DisconnectReason> {
        self.opener.open(record, plaintext)?;
        let (lane, payload) = split_lane(plaintext)?;
        match lane {
            Lane::Credit => {
                let bytes = payload.try_into().map_err(|_| FrameError::InvalidCredit)?;
                Ok(self.connection.queue.add_credit(u32::from_le_bytes(bytes))?)
            }
            Lane::Urgent => {
                self.urgent.feed(payload);
                self.take_urgent().await
            }
            Lane::Bulk => {
                self.connection.window.charge(payload.len())?;
                self.bulk.feed(payload);
                self.take_bulk().await
            }
        }
    }

    /// Acts on the urgent messages that are complete, and gets memory for the one that is not.
    async fn take_urgent(&mut self) -> Result<(), DisconnectReason> {
        while let Some((kind, length)) = self.urgent.header()? {
            if self.urgent_memory.is_none() {
                let bytes = length.saturating_add(EVENT_BYTES);
                let memory = if bytes <= OWN_MESSAGE_BYTES_MAX {
                    let own = Arc::clone(&self.connection.urgent_memory);
                    own.acquire_many_owned(permits(bytes)).await.ok()
                } else {
                    let pool = &self.connection.common.pools.receive_urgent;
                    pool.take(self.connection.standing(), bytes).await
                };
                self.urgent_memory = Some(memory.ok_or(DisconnectReason::Shutdown)?);
            }
            let Some(encoded) = self.urgent.take(length) else { return Ok(()) };
            let held = Held::memory(self.urgent_memory.take());
            self.receive(kind, &encoded, held)?;
        }
        Ok(())
    }

    /// Acts on the bulk messages that are complete, and gets memory for the one that is not, if it is large.
    async fn take_bulk(&mut self) -> Result<(), DisconnectReason> {
        while let Some((kind, length)) = self.bulk.header()? {
            let size = LENGTH_BYTES + length;
            if size > OWN_MESSAGE_BYTES_MAX {
                if !self.has_bulk_memory(size) {
                    return Ok(());
                }
                // The memory is there, so what came needs no credit any more.
                let here = self.bulk.pending_bytes().min(size);
                self.connection.window.release(here - self.bulk_released);
                self.bulk_released = here;
            }
            let Some(encoded) = self.bulk.take(length) else { return Ok(()) };
            let bytes = size - std::mem::take(&mut self.bulk_released);
            // It waits only for a peer that sends more tiny messages than an honest one has.
            let places = Arc::clone(&self.connection.bulk_places);
            let place = places.acquire_owned().await.map_err(|_| DisconnectReason::Shutdown)?;
            let window = Arc::clone(&self.connection.window);
            let credit = Credit::new(window, bytes, (self.bulk_memory.take(), place));
            self.receive(kind, &encoded, Held::credit(credit))?;
        }
        Ok(())
    }

    fn has_bulk_memory(&mut self, bytes: usize) -> bool {
        if self.bulk_memory.is_some() {
            return true;
        }
        if self.bulk_wanted.is_none() {
            let (pool, standing) = (&self.connection.common.pools.receive_bulk, self.connection.standing());
            self.bulk_memory = pool.try_take(standing, bytes);
            if self.bulk_memory.is_none() {
                self.bulk_wanted = Some(Box::pin(pool.take(standing, bytes)));
            }
        }
        self.bulk_memory.is_some()
    }

    /// Acts on one message. What it holds is given back when it is dropped, or taken by the consumer.
    fn receive(&mut self, kind: MessageKind, encoded: &Bytes, held: Held) -> Result<(), DisconnectReason> {
        let (shared, connection) = (&self.shared, &self.connection);
        let metrics = &connection.common.metrics;
        let now = now();
        add(&connection.messages_in, 1);
        metrics.count_in(kind);
        match self.limiter.check(kind, encoded.len(), now) {
            Verdict::Admit => {}
            verdict => {
                add(&metrics.rate_limited, 1);
                if verdict == Verdict::DropAndReport {
                    shared.report(connection.peer, Misbehaviour::Flood);
                    // What is still in the buffer of a peer that was banned by this is not looked at.
                    if connection.closing.is_cancelled() {
                        return Err(DisconnectReason::Misbehaved(Misbehaviour::Flood));
                    }
                }
                return Ok(());
            }
        }
        if kind.is_gossip() {
            let key = message_key(encoded);
            connection.known.lock().insert(key, now);
            if !shared.seen.lock().insert(key, now) {
                add(&metrics.duplicates, 1);
                return Ok(());
            }
            connection.note_useful(kind.is_urgent(), now);
        }
        let decoding = enter(Stage::Decode);
        let message: Message =
            decode(encoded).map_err(|source| DisconnectReason::Malformed { kind: kind.name(), source })?;
        message.check_limits()?;
        message.check_density(encoded.len())?;
        drop(decoding);
        match message {
            Message::Ping(number) => {
                connection.enqueue(MessageKind::Pong, Bytes::from(encode(&Message::Pong(number))));
            }
            Message::Pong(number) => connection.pong(number, now),
            Message::GetMasternodes => {
                let answer = Message::Masternodes(shared.addresses_for(connection));
                connection.enqueue(MessageKind::Masternodes, Bytes::from(encode(&answer)));
            }
            Message::Masternodes(addresses) => shared.learn(connection, &addresses),
            Message::Neighbours(members) => connection.neighbours.learn(members),
            message => {
                if kind == MessageKind::Status && !connection.inbound && connection.note_serves_blocks() {
                    shared.book.lock().serves(connection.address, connection.connected_at);
                }
                let events = if kind.is_urgent() { &shared.urgent } else { &shared.bulk };
                let from = (connection.peer, connection.standing());
                if !events.message(from, message, encoded.len(), held) {
                    return Err(DisconnectReason::Shutdown);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// INV-NET-11.
    #[test]
    fn who_takes_a_byte_now_and_then_stalls_as_who_takes_none() {
        let (began, max) = (now(), Duration::from_secs(60));
        let second = |seconds: u64| began + Duration::from_secs(seconds);
        let mut slow = BulkPace { moved: began, bytes: 0 };
        for seconds in 1..60 {
            slow.took(1_000, second(seconds));
            assert!(!slow.is_stalled(true, max, second(seconds)), "{seconds}");
        }
        assert!(slow.is_stalled(true, max, second(60)));
        assert!(!slow.is_stalled(false, max, second(60)), "it has all");
        for seconds in 61..200 {
            slow.took(BULK_STEP_BYTES / 50, second(seconds));
            assert!(!slow.is_stalled(true, max, second(seconds)), "{seconds}");
        }
    }
}
