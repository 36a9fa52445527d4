//! What the node tells its readers as transactions and blocks go by: times, watchers, blocks.
//!
//! # Place
//! `observer.rs` writes as the core notifies; RPC and the devnet's terminal read.
//!
//! # Invariants
//! - INV-FEEDS-1: the times of at most [`TIMES_MAX`] transactions are kept, the oldest go first.
//!   So are the receipts of at most [`RECEIPTS_MAX`].
//! - INV-FEEDS-2: whoever watches a transaction misses no change after [`Feeds::watch`] returned.
//!
//! # Concurrency
//! One short lock each, never held across an await.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::RandomState;
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

use super::losers::Losers;
use crate::protocol::masternodes::Receipt;
use crate::types::{BlockHash, ChainId, Epoch, Height, Round, TimeMs, TxId};

/// Transactions whose times are remembered, at most.
pub const TIMES_MAX: usize = 131_072;
/// Receipts that are remembered until the index has them, at most.
pub const RECEIPTS_MAX: usize = 4_096;
/// Blocks that a slow reader of [`Feeds::blocks`] may be behind.
pub const BLOCK_FEED_MAX: usize = 256;

/// When this node saw what of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionTimes {
    /// When it was taken, by the wall clock.
    pub accepted_ms: TimeMs,
    /// The same by the monotonic clock.
    pub accepted: Instant,
    /// When it was certified.
    pub certified_ms: Option<TimeMs>,
    /// When it became final.
    pub final_ms: Option<TimeMs>,
    /// From acceptance to final.
    pub latency: Option<Duration>,
}

/// A block in one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSummary {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: BlockHash,
    /// Its transactions, the reward included.
    pub transactions: usize,
    /// Its epoch.
    pub epoch: Epoch,
    /// The round whose precommits committed it.
    pub round: Round,
    /// Whether this node built it.
    pub own: bool,
    /// Since the block before it was applied here, or since the start.
    pub since_last: Duration,
}

#[derive(Default)]
struct Times {
    by_txid: HashMap<TxId, TransactionTimes, RandomState>,
    order: VecDeque<TxId>,
}

#[derive(Default)]
struct Receipts {
    by_txid: HashMap<TxId, Receipt, RandomState>,
    order: VecDeque<TxId>,
}

type Watches = Mutex<HashMap<TxId, watch::Sender<()>, RandomState>>;

/// Everything that readers can follow.
pub struct Feeds {
    times: Mutex<Times>,
    receipts: Mutex<Receipts>,
    losers: Mutex<Losers>,
    watches: Arc<Watches>,
    blocks: broadcast::Sender<BlockSummary>,
}

impl Default for Feeds {
    fn default() -> Self {
        let (blocks, _) = broadcast::channel(BLOCK_FEED_MAX);
        Self {
            times: Mutex::default(),
            receipts: Mutex::default(),
            losers: Mutex::default(),
            watches: Arc::default(),
            blocks,
        }
    }
}

/// Watches one transaction.
pub struct TransactionWatch {
    txid: TxId,
    receiver: watch::Receiver<()>,
    watches: Arc<Watches>,
}

impl TransactionWatch {
    /// Waits until something changed about the transaction since the last call, or since the watch began.
    pub async fn changed(&mut self) {
        // The sender lives in the registry as long as this watch does.
        let _closed = self.receiver.changed().await.is_err();
    }
}

impl Drop for TransactionWatch {
    fn drop(&mut self) {
        let mut watches = self.watches.lock();
        // This receiver is still counted.
        if watches.get(&self.txid).is_some_and(|sender| sender.receiver_count() <= 1) {
            watches.remove(&self.txid);
        }
    }
}

impl Feeds {
    /// With what an earlier run knew of losers.
    pub(super) fn with_losers(losers: Losers) -> Self {
        Self { losers: Mutex::new(losers), ..Self::default() }
    }

    /// Begins to watch a transaction, known or not. Ask for its status after this.
    #[must_use]
    pub fn watch(&self, txid: TxId) -> TransactionWatch {
        let mut watches = self.watches.lock();
        let receiver = watches.entry(txid).or_insert_with(|| watch::Sender::new(())).subscribe();
        TransactionWatch { txid, receiver, watches: Arc::clone(&self.watches) }
    }

    /// The times of a transaction, if they are remembered.
    #[must_use]
    pub fn times(&self, txid: &TxId) -> Option<TransactionTimes> {
        self.times.lock().by_txid.get(txid).copied()
    }

    /// What became of a transaction of one of the last blocks that speaks of a masternode.
    #[must_use]
    pub fn receipt(&self, txid: &TxId) -> Option<Receipt> {
        self.receipts.lock().by_txid.get(txid).copied()
    }

    /// Who has the coin of a transaction that can never be in a block for that reason, if it is remembered.
    #[must_use]
    pub fn winner(&self, loser: &TxId) -> Option<TxId> {
        self.losers.lock().winner(loser)
    }

    pub(super) fn lost(&self, loser: TxId, winner: TxId) {
        self.losers.lock().note(loser, winner);
    }

    /// What is to be written of the losers, if one has come since the last time.
    pub(super) fn take_losers(&self, chain: &ChainId) -> Option<String> {
        self.losers.lock().take_news(chain)
    }

    /// Blocks from now on.
    #[must_use]
    pub fn blocks(&self) -> broadcast::Receiver<BlockSummary> {
        self.blocks.subscribe()
    }

    pub(super) fn publish_block(&self, block: BlockSummary) {
        // Nobody needs to listen.
        let _receivers = self.blocks.send(block).is_ok();
    }

    pub(super) fn note_receipts(&self, receipts: &[Receipt]) {
        let mut known = self.receipts.lock();
        for receipt in receipts {
            if known.by_txid.insert(receipt.txid, *receipt).is_none() {
                known.order.push_back(receipt.txid);
            }
            if known.order.len() > RECEIPTS_MAX
                && let Some(oldest) = known.order.pop_front()
            {
                known.by_txid.remove(&oldest);
            }
        }
    }

    pub(super) fn changed(&self, txid: &TxId) {
        let watches = self.watches.lock();
        if let Some(sender) = watches.get(txid) {
            sender.send_replace(());
        }
    }

    pub(super) fn accepted(&self, txid: TxId, accepted_ms: TimeMs, accepted: Instant) {
        let fresh =
            TransactionTimes { accepted_ms, accepted, certified_ms: None, final_ms: None, latency: None };
        let mut times = self.times.lock();
        if times.by_txid.contains_key(&txid) {
            return;
        }
        times.by_txid.insert(txid, fresh);
        times.order.push_back(txid);
        if times.order.len() > TIMES_MAX
            && let Some(oldest) = times.order.pop_front()
        {
            times.by_txid.remove(&oldest);
        }
    }

    pub(super) fn certified(&self, txid: &TxId, now_ms: TimeMs) {
        if let Some(times) = self.times.lock().by_txid.get_mut(txid) {
            times.certified_ms.get_or_insert(now_ms);
        }
    }

    /// Gives the latency the first time, if the acceptance is remembered.
    pub(super) fn finalized(&self, txid: &TxId, now_ms: TimeMs, now: Instant) -> Option<Duration> {
        let mut times = self.times.lock();
        let times = times.by_txid.get_mut(txid).filter(|times| times.final_ms.is_none())?;
        let latency = now.saturating_duration_since(times.accepted);
        times.final_ms = Some(now_ms);
        times.latency = Some(latency);
        Some(latency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Clock;
    use crate::types::MasternodeId;

    fn txid(index: usize) -> TxId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&index.to_le_bytes());
        TxId(bytes)
    }

    /// INV-FEEDS-2.
    #[tokio::test]
    async fn a_watch_misses_nothing_and_leaves_nothing_behind() {
        let feeds = Feeds::default();
        let mut first = feeds.watch(txid(1));
        let mut second = feeds.watch(txid(1));
        feeds.changed(&txid(1));
        feeds.changed(&txid(2));
        first.changed().await;
        second.changed().await;
        drop(first);
        assert_eq!(feeds.watches.lock().len(), 1, "the second still watches");
        feeds.changed(&txid(1));
        second.changed().await;
        drop(second);
        assert!(feeds.watches.lock().is_empty());
    }

    /// INV-FEEDS-1.
    #[test]
    fn times_are_kept_once_and_within_the_bound() {
        let feeds = Feeds::default();
        let now = Clock.instant();
        feeds.accepted(txid(0), 5, now);
        feeds.accepted(txid(0), 9, now);
        feeds.certified(&txid(0), 6);
        feeds.certified(&txid(0), 8);
        let later = now + Duration::from_millis(4);
        assert_eq!(feeds.finalized(&txid(0), 7, later), Some(Duration::from_millis(4)));
        assert_eq!(feeds.finalized(&txid(0), 8, later), None, "final is told once");
        let times = feeds.times(&txid(0)).unwrap();
        assert_eq!((times.accepted_ms, times.certified_ms, times.final_ms), (5, Some(6), Some(7)));
        for index in 1..=TIMES_MAX {
            feeds.accepted(txid(index), 1, now);
        }
        assert_eq!(feeds.times(&txid(0)), None);
        assert_eq!(feeds.times.lock().by_txid.len(), TIMES_MAX);
    }

    #[test]
    fn receipts_are_kept_within_the_bound() {
        let feeds = Feeds::default();
        let receipt = |index| Receipt { txid: txid(index), effect: Ok(MasternodeId([1; 32])) };
        feeds.note_receipts(&[receipt(0), receipt(0)]);
        assert_eq!(feeds.receipt(&txid(0)), Some(receipt(0)));
        feeds.note_receipts(&(1..=RECEIPTS_MAX).map(receipt).collect::<Vec<_>>());
        assert_eq!(feeds.receipt(&txid(0)), None);
        assert_eq!(feeds.receipt(&txid(RECEIPTS_MAX)), Some(receipt(RECEIPTS_MAX)));
        let known = feeds.receipts.lock();
        assert_eq!((known.by_txid.len(), known.order.len()), (RECEIPTS_MAX, RECEIPTS_MAX));
    }
}
