//! The chain's unspent outputs as of the tip: an overlay of recent blocks over a bounded cache over the index.
//!
//! # Place
//! The lower half of [`UtxoManager`](super::UtxoManager), which alone uses it.
//!
//! # Invariants
//! - INV-UTXO-1: the overlay holds the last change of every output that a block above the index's mark made or spent,
//!   so whatever half of a block the index shows is never looked at.
//! - INV-UTXO-2: an output in the cache is unspent as of the tip, or the overlay says otherwise.
//!
//! # Concurrency
//! One writer of blocks; `forget_through` may run on another thread; any number of readers. An entry goes into the
//! cache only under the overlay's guard of its output, and only if the overlay does not know that output and nothing
//! was forgotten since before the index was read: otherwise a slow reader could put back what was spent meanwhile.
//! Order of locks: overlay, then cache. Nothing else is taken under either.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use ahash::RandomState;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::Mutex;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::storage::{Index, StorageError};
use crate::types::{Height, Lock, OutPoint, TxId, UtxoEntry};

/// Memory of one entry of the cache, in bytes, with the cache's own overhead: all entries have the same size.
const CACHE_ENTRY_BYTES: usize = 256;
/// Memory of one change in the overlay, in bytes: its entry, its place in the list of its height, and in the list of
/// its lock.
const OVERLAY_CHANGE_BYTES: usize = 256;
/// Memory of the overlay, in bytes, from which on the caller waits for the index before it applies another block. The
/// block that crosses it is still taken whole.
pub const OVERLAY_BYTES_MAX: usize = 256 << 20;

/// What the chain's state says of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChainOutput {
    /// It can be spent.
    Unspent(UtxoEntry),
    /// A recent block spends it.
    Spent {
        /// The transaction that does.
        by: TxId,
        /// Its block.
        height: Height,
    },
}

#[derive(Clone, Copy)]
enum Change {
    Created(UtxoEntry),
    SpentBy(TxId),
}

#[derive(Clone, Copy)]
struct OverlayEntry {
    height: Height,
    change: Change,
}

impl OverlayEntry {
    const fn output(self) -> ChainOutput {
        match self.change {
            Change::Created(entry) => ChainOutput::Unspent(entry),
            Change::SpentBy(by) => ChainOutput::Spent { by, height: self.height },
        }
    }
}

/// Outputs in memory by their lock: candidates for a question about an address, each to be looked up by itself.
pub(super) struct OutputsByLock(DashMap<Lock, BTreeSet<OutPoint>, RandomState>);

impl OutputsByLock {
    pub(super) fn new() -> Self {
        Self(DashMap::with_hasher(RandomState::new()))
    }

    pub(super) fn add(&self, lock: Lock, outpoint: OutPoint) {
        self.0.entry(lock).or_default().insert(outpoint);
    }

    pub(super) fn remove(&self, lock: Lock, outpoint: &OutPoint) {
        if let Entry::Occupied(mut slot) = self.0.entry(lock) {
            slot.get_mut().remove(outpoint);
            if slot.get().is_empty() {
                slot.remove();
            }
        }
    }

    /// At most `limit` of them after `after`, in order.
    pub(super) fn page(&self, lock: &Lock, after: Option<OutPoint>, limit: usize) -> Vec<OutPoint> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.0.get(lock).map_or_else(Vec::new, |outpoints| {
            outpoints.range((from, Bound::Unbounded)).take(limit).copied().collect()
        })
    }

    /// How many there are in all; walks through the map.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|outpoints| outpoints.len()).sum()
    }
}

/// The unspent outputs of the chain's state at its tip.
pub(super) struct ChainOutputs {
    index: Arc<Index>,
    overlay: DashMap<OutPoint, OverlayEntry, RandomState>,
    /// Which outputs each block above the mark changed, so that forgetting a height costs its own changes only.
    changed: Mutex<BTreeMap<Height, Vec<OutPoint>>>,
    overlay_bytes: AtomicUsize,
    cache: Cache<OutPoint, UtxoEntry, UnitWeighter, RandomState>,
    /// How often something was forgotten.
    generation: AtomicU64,
    poisoned: AtomicBool,
}

impl ChainOutputs {
    pub(super) fn new(index: Arc<Index>, cache_bytes: usize) -> Self {
        let entries = cache_bytes.div_euclid(CACHE_ENTRY_BYTES);
        let capacity = u64::try_from(entries).unwrap_or(u64::MAX);
        Self {
            index,
            overlay: DashMap::with_hasher(RandomState::new()),
            changed: Mutex::new(BTreeMap::new()),
            overlay_bytes: AtomicUsize::new(0),
            cache: Cache::with(
                entries,
                capacity,
                UnitWeighter,
                RandomState::new(),
                DefaultLifecycle::default(),
            ),
            generation: AtomicU64::new(0),
            poisoned: AtomicBool::new(false),
        }
    }

    /// Records that the block at `height` makes an output and leaves it unspent.
    pub(super) fn create(&self, height: Height, outpoint: OutPoint, entry: UtxoEntry) {
        self.overlay.insert(outpoint, OverlayEntry { height, change: Change::Created(entry) });
    }

    /// Records that a transaction of the block at `height` spends an output. Gives the output's entry if the overlay
    /// held it as unspent.
    pub(super) fn spend(&self, height: Height, outpoint: OutPoint, by: TxId) -> Option<UtxoEntry> {
        let before = self.overlay.insert(outpoint, OverlayEntry { height, change: Change::SpentBy(by) });
        self.cache.remove(&outpoint);
        match before?.change {
            Change::Created(entry) => Some(entry),
            Change::SpentBy(_) => None,
        }
    }

    /// Notes what a block changed, after all of it was recorded.
    pub(super) fn note_changes(&self, height: Height, outpoints: Vec<OutPoint>) {
        self.overlay_bytes.fetch_add(outpoints.len().saturating_mul(OVERLAY_CHANGE_BYTES), Ordering::Relaxed);
        self.changed.lock().entry(height).or_default().extend(outpoints);
    }

    /// Drops what the index has for sure; gives the outputs that are left unspent by it.
    pub(super) fn forget_through(&self, height: Height) -> Vec<(OutPoint, UtxoEntry)> {
        let marked = {
            let mut changed = self.changed.lock();
            let above = height.checked_add(1).map_or_else(BTreeMap::new, |next| changed.split_off(&next));
            std::mem::replace(&mut *changed, above)
        };
        if marked.is_empty() {
            return Vec::new();
        }
        self.generation.fetch_add(1, Ordering::SeqCst);
        let mut settled = Vec::new();
        let mut forgotten = 0_usize;
        for outpoint in marked.into_values().flatten() {
            forgotten = forgotten.saturating_add(1);
            let Entry::Occupied(slot) = self.overlay.entry(outpoint) else { continue };
            if slot.get().height > height {
                continue;
            }
            if let Change::Created(entry) = slot.get().change {
                // Young outputs are spent soonest. In the cache first: a reader must find it in one of them.
                self.cache.insert(outpoint, entry);
                settled.push((outpoint, entry));
            }
            slot.remove();
        }
        self.overlay_bytes.fetch_sub(forgotten.saturating_mul(OVERLAY_CHANGE_BYTES), Ordering::Relaxed);
        settled
    }

    /// What the blocks that the index has not marked yet say of an output.
    pub(super) fn recent(&self, outpoint: &OutPoint) -> Option<ChainOutput> {
        self.overlay.get(outpoint).map(|entry| entry.output())
    }

    /// What memory knows of an output.
    pub(super) fn in_memory(&self, outpoint: &OutPoint) -> Option<ChainOutput> {
        self.recent(outpoint).or_else(|| self.cache.get(outpoint).map(ChainOutput::Unspent))
    }

    /// The output's entry if it is unspent: memory first, then the index.
    pub(super) fn unspent(&self, outpoint: &OutPoint) -> Option<UtxoEntry> {
        match self.in_memory(outpoint) {
            Some(ChainOutput::Unspent(entry)) => return Some(entry),
            Some(ChainOutput::Spent { .. }) => return None,
            None => {}
        }
        let generation = self.generation.load(Ordering::SeqCst);
        let entry = self.read("look up an output", |index| index.utxo(outpoint))??;
        if let Entry::Vacant(_guard) = self.overlay.entry(*outpoint)
            && self.generation.load(Ordering::SeqCst) == generation
        {
            self.cache.insert(*outpoint, entry);
        }
        Some(entry)
    }

    /// Who spent an output in the chain, and in which block.
    pub(super) fn spender(&self, outpoint: &OutPoint) -> Option<(TxId, Height)> {
        match self.recent(outpoint) {
            Some(ChainOutput::Spent { by, height }) => Some((by, height)),
            Some(ChainOutput::Unspent(_)) => None,
            None => self.read("look up a spend", |index| index.spent_by(outpoint))?,
        }
    }

    /// At most `limit` outputs of a lock after `after` that the index holds, perhaps in the middle of a block.
    pub(super) fn indexed_of(
        &self,
        lock: &Lock,
        after: Option<&OutPoint>,
        limit: usize,
    ) -> Vec<(OutPoint, UtxoEntry)> {
        self.read("scan an address", |index| index.address_utxos(lock, after, limit)).unwrap_or_default()
    }

    /// A failed read must not pass for "spent" or "unknown": it is recorded, and whoever decides by these answers asks
    /// [`Self::is_poisoned`] before acting on them.
    fn read<T>(
        &self,
        operation: &'static str,
        query: impl FnOnce(&Index) -> Result<T, StorageError>,
    ) -> Option<T> {
        match query(&self.index) {
            Ok(answer) => Some(answer),
            Err(error) => {
                if !self.poisoned.swap(true, Ordering::SeqCst) {
                    tracing::error!(%error, operation, "The index can't be read; the node stops trusting its unspent outputs");
                }
                None
            }
        }
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::SeqCst)
    }

    pub(super) fn overlay_bytes(&self) -> usize {
        self.overlay_bytes.load(Ordering::Relaxed)
    }

    /// Entries of the overlay and of the cache; walks through the shards.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.overlay.len(), self.cache.len())
    }
}
