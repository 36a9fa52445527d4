//! What happened at this node, numbered, for those who must not miss a payment.
//!
//! ```text
//!   observers --push--> EventLog (a ring in memory) --\
//!                                                      EventReader --> getfinalizedsince, subscriptions of /ws
//!   blocks on the disk, finals in the pool -----------/
//! ```
//!
//! # Place
//! `app/observer.rs` pushes when outputs, pool and times say so already, so whoever is told finds what it asks for.
//! [`EventReader`] reads on from a [`Cursor`].
//!
//! # Why nothing is lost
//! A cursor names a place in the ring, and the last block that was told before it. Whoever comes back too late for the
//! ring, or after a restart, is told what the blocks above that one contain, then what the pool knows to be final and no
//! block contains, and goes on in the ring. A payment that was not told before a cursor is in none of the blocks up to its
//! height, since a block's payments are told before the block is. So each payment is told at least once; the txid tells
//! who was told twice.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `reader.rs` | what a topic tells, and from where it is read |
//! | `cursor.rs` | where a reader is |
//! | `describe.rs` | in which words |
//!
//! # Invariants
//! - INV-EVENTS-1: the ring holds at most [`EVENTS_MAX`] events and [`EVENTS_BYTES_MAX`] bytes.
//! - INV-EVENTS-2: whoever reads on from the cursor of a page, over restarts too, is told of each final payment.
//! - INV-EVENTS-3: what can't be told any more is said, with the blocks to read instead.
//!
//! # Concurrency
//! One short lock, never held across an await. Any number of readers; those who read blocks take turns.

mod cursor;
mod describe;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use super::limits::{EVENT_BYTES, EVENTS_BYTES_MAX, EVENTS_MAX};
use super::types::BlockEvent;
use crate::types::{Height, Transaction, TxId};

pub use cursor::{Cursor, ParseCursorError};
pub use reader::{EventReader, PageLimit, Topic, Wanted, block_event};

/// Readers of blocks at once, at most.
const REPLAYS_AT_ONCE: usize = 2;

/// What happened.
#[derive(Clone, Debug)]
pub enum Happened {
    /// A transaction is final.
    Final {
        /// Its name.
        txid: TxId,
        /// All of it.
        transaction: Arc<Transaction>,
        /// The block that made it known, unless votes did.
        height: Option<Height>,
        /// Since this node took it, if it did.
        latency: Option<Duration>,
    },
    /// A block was committed, and all its transactions were told.
    Block(BlockEvent),
    /// A transaction was taken. Told only while somebody listens.
    Accepted(TxId),
    /// A transaction has left the pool without becoming final.
    Dropped {
        /// Its name.
        txid: TxId,
        /// Why.
        reason: &'static str,
        /// Who has its coin.
        winner: Option<TxId>,
    },
    /// Two transactions spend the same coin.
    Doublespend {
        /// The one that holds the coin here.
        first: (TxId, Option<Arc<Transaction>>),
        /// The other one.
        second: (TxId, Option<Arc<Transaction>>),
    },
}

/// An event of the ring.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) happened: Happened,
    pub(super) at: Instant,
    /// The last block that was told before it.
    height: Height,
    bytes: usize,
}

impl Entry {
    /// The place before it.
    pub(super) const fn place(&self, life: u32, sequence: u64) -> Cursor {
        Cursor::Live { height: self.height, life, sequence }
    }
}

#[derive(Default)]
struct Ring {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The number of the next event; the oldest kept is `next - entries.len()`.
    next: u64,
    /// The last block that was told.
    height: Height,
    /// The last block before the first event.
    began: Height,
}

impl Ring {
    fn oldest(&self) -> u64 {
        self.next.saturating_sub(count(self.entries.len()))
    }

    /// The event of a number, if it is kept.
    fn get(&self, sequence: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(sequence.checked_sub(self.oldest())?).ok()?)
    }

    /// The place before an event, or where the next one will be. One that was forgotten may have been before any block of
    /// this life.
    fn cursor(&self, life: u32, sequence: u64) -> Cursor {
        let is_forgotten = sequence < self.oldest();
        let otherwise = if is_forgotten { self.began } else { self.height };
        let height = self.get(sequence).map_or(otherwise, |entry| entry.height);
        Cursor::Live { height, life, sequence }
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

impl Happened {
    fn memory_bytes(&self) -> usize {
        let bodies = match self {
            Self::Final { transaction, .. } => transaction.memory_bytes(),
            Self::Doublespend { first, second } => [first, second]
                .into_iter()
                .filter_map(|(_, transaction)| transaction.as_ref())
                .map(|transaction| transaction.memory_bytes())
                .fold(0, usize::saturating_add),
            Self::Block(_) | Self::Accepted(_) | Self::Dropped { .. } => 0,
        };
        bodies.saturating_add(EVENT_BYTES)
    }
}

/// The node's recent events.
pub struct EventLog {
    /// Tells the cursors of this start from those of others.
    life: u32,
    ring: Mutex<Ring>,
    head: watch::Sender<u64>,
    /// Counts what is not kept: steps of the consensus.
    steps: watch::Sender<u64>,
    /// Those who want to hear of what enters the pool.
    pool_listeners: AtomicUsize,
    replays: Arc<Semaphore>,
}

impl EventLog {
    /// A log of a node whose chain is at `height`. `life` is a number that other starts of the node don't have.
    #[must_use]
    pub fn new(life: u32, height: Height) -> Self {
        Self {
            life,
            ring: Mutex::new(Ring { height, began: height, ..Ring::default() }),
            head: watch::Sender::new(0),
            steps: watch::Sender::new(0),
            pool_listeners: AtomicUsize::new(0),
            replays: Arc::new(Semaphore::new(REPLAYS_AT_ONCE)),
        }
    }

    /// Notes what happened at `at`. Of a block, all transactions have to be told before.
    pub fn push(&self, happened: Happened, at: Instant) {
        let bytes = happened.memory_bytes();
        let next = {
            let mut ring = self.ring.lock();
            let height = ring.height;
            if let Happened::Block(block) = &happened {
                ring.height = block.height;
            }
            ring.entries.push_back(Entry { happened, at, height, bytes });
            ring.bytes = ring.bytes.saturating_add(bytes);
            ring.next = ring.next.saturating_add(1);
            while ring.entries.len() > EVENTS_MAX || ring.bytes > EVENTS_BYTES_MAX {
                let Some(oldest) = ring.entries.pop_front() else { break };
                ring.bytes = ring.bytes.saturating_sub(oldest.bytes);
            }
            ring.next
        };
        self.head.send_replace(next);
    }

    /// A transaction was taken into the pool.
    pub fn accepted(&self, txid: TxId, at: Instant) {
        if self.pool_listeners.load(Ordering::Relaxed) > 0 {
            self.push(Happened::Accepted(txid), at);
        }
    }

    /// The consensus has made a step.
    pub fn stepped(&self) {
        self.steps.send_modify(|steps| *steps = steps.wrapping_add(1));
    }

    /// Where the next event will be.
    #[must_use]
    pub fn head(&self) -> Cursor {
        self.at(u64::MAX)
    }

    /// So many events before the next one, or as many as are kept.
    #[must_use]
    pub fn before_head(&self, events: u64) -> Cursor {
        let ring = self.ring.lock();
        ring.cursor(self.life, ring.next.saturating_sub(events).max(ring.oldest()))
    }

    /// The place of an event of this start of the node; beyond the last one where the next will be.
    #[must_use]
    pub fn at(&self, sequence: u64) -> Cursor {
        let ring = self.ring.lock();
        ring.cursor(self.life, sequence.min(ring.next))
    }

    /// The last block that was told.
    #[must_use]
    pub fn height(&self) -> Height {
        self.ring.lock().height
    }

    /// Whether this is a place of this start from which on nothing was forgotten.
    fn holds(&self, life: u32, sequence: u64) -> bool {
        let ring = self.ring.lock();
        life == self.life && (ring.oldest()..=ring.next).contains(&sequence)
    }

    /// At most `limit` events from a number on, and the place after them; `None` if the ring has not got them.
    fn part(&self, sequence: u64, limit: usize) -> Option<(Vec<Entry>, Cursor)> {
        let ring = self.ring.lock();
        let skip = usize::try_from(sequence.checked_sub(ring.oldest())?).ok()?;
        if sequence > ring.next {
            return None;
        }
        let entries: Vec<Entry> = ring.entries.iter().skip(skip).take(limit).cloned().collect();
        let next = sequence.saturating_add(count(entries.len()));
        Some((entries, ring.cursor(self.life, next)))
    }

    /// What has happened since a place that the ring still has.
    #[cfg(test)]
    pub fn told_since(&self, cursor: Cursor) -> Vec<Happened> {
        let Cursor::Live { sequence, .. } = cursor else { return Vec::new() };
        let part = self.part(sequence, usize::MAX).unwrap_or_else(|| (Vec::new(), cursor));
        part.0.into_iter().map(|entry| entry.happened).collect()
    }

    /// Waits until there is an event at this number or after it.
    async fn reached(&self, sequence: u64) {
        let mut head = self.head.subscribe();
        // A closed channel can't be while `self` lives.
        let _closed = head.wait_for(|head| *head > sequence).await.is_err();
    }

    /// Hears each step of the consensus, the last one at least.
    fn steps(&self) -> watch::Receiver<u64> {
        self.steps.subscribe()
    }

    /// As long as this lives, what enters the pool is told.
    fn listen_to_the_pool(self: &Arc<Self>) -> PoolListener {
        self.pool_listeners.fetch_add(1, Ordering::Relaxed);
        PoolListener(Arc::clone(self))
    }
}

/// Somebody who wants to hear of what enters the pool.
struct PoolListener(Arc<EventLog>);

impl Drop for PoolListener {
    fn drop(&mut self) {
        self.0.pool_listeners.fetch_sub(1, Ordering::Relaxed);
    }
}
