//! Counters of the network, as plain atomics that others read.
//!
//! # Concurrency
//! Relaxed atomics: each counter is exact, a snapshot is not taken at one instant.

use std::sync::atomic::{AtomicU64, Ordering};

use super::message_kind::{KINDS, MessageKind};

/// The network's own counters, since its start.
#[derive(Debug, Default)]
pub(crate) struct NetworkMetrics {
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    messages_in: [AtomicU64; KINDS],
    messages_out: [AtomicU64; KINDS],
    pub(crate) duplicates: AtomicU64,
    pub(crate) rate_limited: AtomicU64,
    pub(crate) send_dropped: AtomicU64,
    pub(crate) handshakes_failed: AtomicU64,
    pub(crate) bans: AtomicU64,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl NetworkMetrics {
    pub(crate) fn count_in(&self, kind: MessageKind) {
        if let Some(counter) = self.messages_in.get(kind.index()) {
            add(counter, 1);
        }
    }

    pub(crate) fn count_out(&self, kind: MessageKind) {
        if let Some(counter) = self.messages_out.get(kind.index()) {
            add(counter, 1);
        }
    }

    pub(crate) fn snapshot(&self) -> MetricsSnapshot {
        let messages = MessageKind::ALL
            .iter()
            .zip(self.messages_in.iter().zip(&self.messages_out))
            .map(|(kind, (count_in, count_out))| MessageCount {
                name: kind.name(),
                count_in: read(count_in),
                count_out: read(count_out),
            })
            .collect();
        MetricsSnapshot {
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
            messages,
            duplicates: read(&self.duplicates),
            rate_limited: read(&self.rate_limited),
            send_dropped: read(&self.send_dropped),
            handshakes_failed: read(&self.handshakes_failed),
            bans: read(&self.bans),
        }
    }
}

/// What the counters said, all since the network's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsSnapshot {
    /// Bytes read from peers, as they were on the wire.
    pub bytes_in: u64,
    /// Bytes written to peers, as they were on the wire.
    pub bytes_out: u64,
    /// Messages by type.
    pub messages: Vec<MessageCount>,
    /// Gossiped messages that came again and were not delivered again.
    pub duplicates: u64,
    /// Messages dropped because their sender sent too many.
    pub rate_limited: u64,
    /// Messages not sent because a peer's queue was full.
    pub send_dropped: u64,
    /// Handshakes that failed, both directions.
    pub handshakes_failed: u64,
    /// Bans for misbehaviour.
    pub bans: u64,
}

/// How often one type of message went over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageCount {
    /// As [`MessageKind::name`](super::MessageKind::name) says it.
    pub name: &'static str,
    /// Received, dropped ones included.
    pub count_in: u64,
    /// Queued to be sent.
    pub count_out: u64,
}
