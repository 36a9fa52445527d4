//! The node's recent finality events, numbered, for meters that must not ask for each transaction.
//!
//! # Place
//! The node calls [`FinalityFeed::push`] when it sees a transaction become final; `NodeApi::finalized_since` is
//! [`FinalityFeed::since`].
//!
//! # Invariants
//! - INV-FEED-1: it holds at most [`FINALITY_FEED_MAX`] events; who reads too slowly learns how many were missed.
//!
//! # Concurrency
//! One short lock, never held across an await. Any number of readers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::limits::FINALITY_FEED_MAX;
use super::types::{FinalizedEvent, FinalizedPage};
use crate::types::TxId;

struct Entry {
    txid: TxId,
    latency: Duration,
    at: Instant,
}

#[derive(Default)]
struct Ring {
    entries: VecDeque<Entry>,
    /// The sequence of the next event; the oldest kept is `next - entries.len()`.
    next: u64,
}

/// The node's recent finality events.
pub struct FinalityFeed {
    ring: Mutex<Ring>,
    head: watch::Sender<u64>,
}

impl Default for FinalityFeed {
    fn default() -> Self {
        Self { ring: Mutex::new(Ring::default()), head: watch::Sender::new(0) }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

impl FinalityFeed {
    /// Notes that a transaction became final at `at`, `latency` after this node had accepted it.
    pub fn push(&self, txid: TxId, latency: Duration, at: Instant) {
        let head = {
            let mut ring = self.ring.lock();
            if ring.entries.len() >= FINALITY_FEED_MAX {
                ring.entries.pop_front();
            }
            ring.entries.push_back(Entry { txid, latency, at });
            ring.next = ring.next.saturating_add(1);
            ring.next
        };
        self.head.send_replace(head);
    }

    /// Up to `limit` events from `cursor` on, waiting up to `wait` for the first. Without a cursor it answers at once
    /// with the place where the next event will be. A cursor beyond that place - the node has restarted - is taken as
    /// that place. `now` reads the clock when the answer is made.
    pub async fn since(
        &self,
        cursor: Option<u64>,
        limit: usize,
        wait: Duration,
        now: impl Fn() -> Instant,
    ) -> FinalizedPage {
        let mut head = self.head.subscribe();
        let start = *head.borrow_and_update();
        let Some(cursor) = cursor else {
            return FinalizedPage { events: Vec::new(), next_cursor: start, missed: 0 };
        };
        let cursor = cursor.min(start);
        if cursor == start {
            // A deadline that passes leaves an empty page; so does a closed channel, which can't be while `self` lives.
            let _elapsed = tokio::time::timeout(wait, head.wait_for(|head| *head > cursor)).await.is_err();
        }
        self.page(cursor, limit, now())
    }

    fn page(&self, cursor: u64, limit: usize, now: Instant) -> FinalizedPage {
        let ring = self.ring.lock();
        let oldest = ring.next.saturating_sub(count(ring.entries.len()));
        let first = cursor.max(oldest);
        let skip = usize::try_from(first.saturating_sub(oldest)).unwrap_or(usize::MAX);
        let events: Vec<FinalizedEvent> = ring
            .entries
            .iter()
            .skip(skip)
            .take(limit)
            .zip(first..)
            .map(|(entry, sequence)| FinalizedEvent {
                sequence,
                txid: entry.txid,
                latency_us: micros(entry.latency),
                age_us: micros(now.saturating_duration_since(entry.at)),
            })
            .collect();
        let next_cursor = first.saturating_add(count(events.len()));
        FinalizedPage { events, next_cursor, missed: first.saturating_sub(cursor) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Clock;

    #[test]
    fn an_event_takes_no_more_than_is_counted() {
        assert!(size_of::<Entry>() <= super::super::limits::FEED_ENTRY_BYTES);
    }

    fn txid(index: usize) -> TxId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&index.to_le_bytes());
        TxId(bytes)
    }

    #[tokio::test]
    async fn pages_follow_each_other_without_gap_or_repeat() {
        let feed = FinalityFeed::default();
        let base = Clock.instant();
        for index in 0..10 {
            feed.push(txid(index), Duration::from_micros(7), base);
        }
        let later = base + Duration::from_micros(5);
        let mut cursor = 0;
        let mut seen = Vec::new();
        for _ in 0..4 {
            let page = feed.since(Some(cursor), 3, Duration::ZERO, || later).await;
            assert_eq!(page.missed, 0);
            assert!(page.events.iter().all(|event| (event.latency_us, event.age_us) == (7, 5)));
            seen.extend(page.events.iter().map(|event| (event.sequence, event.txid)));
            cursor = page.next_cursor;
        }
        assert_eq!(seen, (0..10).map(|index| (index as u64, txid(index))).collect::<Vec<_>>());
        assert_eq!(cursor, 10);
    }

    /// INV-FEED-1.
    #[tokio::test]
    async fn a_slow_reader_learns_what_it_missed_and_the_ring_is_bounded() {
        let feed = FinalityFeed::default();
        let now = Clock.instant();
        for index in 0..FINALITY_FEED_MAX + 5 {
            feed.push(txid(index), Duration::ZERO, now);
        }
        assert_eq!(feed.ring.lock().entries.len(), FINALITY_FEED_MAX);
        let page = feed.since(Some(2), 1, Duration::ZERO, || now).await;
        assert_eq!((page.missed, page.next_cursor, page.events[0].txid), (3, 6, txid(5)));
    }

    #[tokio::test]
    async fn a_reader_at_the_head_waits_for_the_next_event() {
        let feed = std::sync::Arc::new(FinalityFeed::default());
        let now = Clock.instant();
        feed.push(txid(0), Duration::ZERO, now);
        assert_eq!(feed.since(None, 9, Duration::ZERO, || now).await.next_cursor, 1);
        let empty = feed.since(Some(1), 9, Duration::from_millis(5), || now).await;
        assert_eq!((empty.events.len(), empty.next_cursor), (0, 1));
        let reader = feed.since(Some(1), 9, Duration::from_secs(3_600), || now);
        let writer = async {
            tokio::task::yield_now().await;
            feed.push(txid(1), Duration::ZERO, now);
        };
        let (page, ()) = tokio::join!(reader, writer);
        assert_eq!((page.events[0].txid, page.next_cursor), (txid(1), 2));
        let restarted = feed.since(Some(99), 9, Duration::ZERO, || now).await;
        assert_eq!((restarted.events.len(), restarted.next_cursor), (0, 2));
    }
}
