//! The transaction pool: what RPC and gossip see of transactions that the chain does not have yet.
//!
//! # Place
//! Admission puts checked transactions in; the consensus core reports what becomes of them; RPC and gossip read. It
//! decides nothing: a node's policy is what it relays and shows, never what is valid.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `stage.rs` | how far a transaction has come, and which limits count it |
//! | `floor.rs` | below which rate a full pool takes nothing |
//! | `judging.rs` | whether one would be taken |
//! | `recent.rs` | what is remembered of those that blocks took |
//! | `error.rs` | why one is not taken |
//! | `invariants.rs` | nothing: holds counters and limits to the map |
//!
//! # Invariants
//! - INV-POOL-1: the limits hold for transactions that are not certified; a certified or final one is never evicted.
//!   What waits for a parent, and what has a known rival, has limits of its own: neither takes the place of others, nor
//!   moves the floor.
//! - INV-POOL-2: the counters equal what is in the map.
//! - INV-POOL-3: nothing is evicted for a transaction that pays no better rate, and what was turned away or evicted
//!   needs a better one for a while.
//!
//! # Concurrency
//! All methods are synchronous and give back owned values. Writers go one after the other through `order`; readers use
//! the map and the counters alone. Order of locks: `order`, then the map's shard; `order`, then `recent`.
//!
//! # Units
//! Sizes are encoded bytes, times milliseconds since the Unix epoch, rates base units for 1,000 bytes.

mod error;
mod floor;
mod invariants;
mod judging;
mod recent;
mod stage;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ahash::RandomState;
use dashmap::DashMap;
use parking_lot::Mutex;

use self::floor::{Fullness, RollingFloor};
use self::recent::RecentRing;
use self::stage::{ByClass, Class};
use crate::protocol::validity::CheckedTransaction;
use crate::types::{Amount, Height, PublicKey, TimeMs, Transaction, TxId};

pub use self::error::PoolError;
pub use self::floor::{FLOOR_HALF_LIFE_MS, FLOOR_INCREMENT, FeeRate};
pub use self::recent::RECENT_TRANSACTIONS_MAX;
pub use self::stage::Stage;

/// Transactions that wait for their parents, at most.
pub const WAITING_TRANSACTIONS_MAX: usize = 4_096;
/// Their encoded bytes, at most.
pub const WAITING_BYTES_MAX: usize = 8 << 20;
/// Transactions with a known rival, at most.
pub const CONTESTED_TRANSACTIONS_MAX: usize = 4_096;
/// Their encoded bytes, at most.
pub const CONTESTED_BYTES_MAX: usize = 8 << 20;
/// Memory of a transaction in the pool beside its bytes, in bytes.
pub const POOL_OVERHEAD_BYTES: usize = 1_024;

/// What the pool takes of transactions that are not certified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// How many, at most.
    pub max_transactions: usize,
    /// Their encoded bytes together, at most.
    pub max_bytes: usize,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { max_transactions: 10_000, max_bytes: 300_000_000 }
    }
}

/// Where a transaction came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionSource {
    /// This node's RPC.
    Local,
    /// A peer, by its identity.
    Peer(PublicKey),
}

/// What the pool knows of a transaction's course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// How far it has come.
    pub stage: Stage,
    /// When it was accepted here.
    pub received_ms: TimeMs,
    /// The block that contains it, for one that has left the pool that way.
    pub included: Option<Height>,
}

/// A transaction of the pool with what is known of it.
#[derive(Clone, Debug)]
pub struct PoolEntry {
    /// The transaction.
    pub transaction: CheckedTransaction,
    /// What it pays.
    pub fee: Amount,
    /// What it pays for its size.
    pub rate: FeeRate,
    /// When it was accepted here.
    pub received_ms: TimeMs,
    /// Where it came from.
    pub source: TransactionSource,
    /// How far it has come.
    pub stage: Stage,
    /// Its number in the order of acceptance.
    sequence: u64,
}

impl PoolEntry {
    /// Sorted by this, what is evicted first comes first: the lowest rate, and of these the youngest.
    fn eviction_key(&self) -> EvictionKey {
        (self.rate, Reverse(self.sequence), self.transaction.txid())
    }
}

type EvictionKey = (FeeRate, Reverse<u64>, TxId);

/// What an accepted transaction pushed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inserted {
    /// Transactions that were evicted for it, in order.
    pub evicted: Vec<TxId>,
}

/// What writers take turns for.
#[derive(Default)]
struct Order {
    /// The uncertified ones, the first to be evicted first.
    evictable: ByClass<BTreeSet<EvictionKey>>,
    floor: RollingFloor,
    next_sequence: u64,
}

/// A count and a sum of bytes that readers get at once.
#[derive(Default)]
struct Usage {
    transactions: AtomicUsize,
    bytes: AtomicUsize,
}

impl Usage {
    fn add(&self, bytes: usize) {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn subtract(&self, bytes: usize) {
        self.transactions.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn get(&self) -> (usize, usize) {
        (self.transactions.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// The pool.
pub struct TransactionPool {
    limits: PoolLimits,
    entries: DashMap<TxId, PoolEntry, RandomState>,
    order: Mutex<Order>,
    recent: Mutex<RecentRing>,
    /// Everything in the pool.
    all: Usage,
    /// What the limits count.
    uncertified: ByClass<Usage>,
}

impl TransactionPool {
    /// An empty pool.
    #[must_use]
    pub fn new(limits: PoolLimits) -> Self {
        Self {
            limits,
            entries: DashMap::with_hasher(RandomState::new()),
            order: Mutex::new(Order::default()),
            recent: Mutex::new(RecentRing::default()),
            all: Usage::default(),
            uncertified: ByClass::default(),
        }
    }

    /// Takes a transaction as pending. If that needs room, those with the lowest rates go.
    ///
    /// # Errors
    /// [`PoolError`]; then nothing was evicted.
    pub fn insert(
        &self,
        transaction: CheckedTransaction,
        fee: Amount,
        now_ms: TimeMs,
        source: TransactionSource,
    ) -> Result<Inserted, PoolError> {
        let mut order = self.order.lock();
        self.refuse_known(&transaction.txid())?;
        let bytes = transaction.encoded_bytes();
        let rate = FeeRate::of(fee, bytes);
        order.floor = order.floor.decayed(now_ms, self.fullness());
        let floor = order.floor.rate();
        if rate < floor {
            return Err(PoolError::BelowFloor { rate, floor });
        }
        // One that is larger than the whole pool says nothing about what a place is worth.
        let victims = self.victims_for(&order, bytes).ok_or(PoolError::Full { rate })?;
        // They come in order of their rates, so the last one pays best.
        if victims.last().is_some_and(|last| last.0 >= rate) {
            order.floor.lift_above(rate, now_ms);
            return Err(PoolError::Full { rate });
        }
        let evicted = self.evict(&mut order, victims, now_ms);
        self.put(
            &mut order,
            PoolEntry {
                transaction,
                fee,
                rate,
                received_ms: now_ms,
                source,
                stage: Stage::Pending,
                sequence: 0,
            },
        );
        Ok(Inserted { evicted })
    }

    /// Takes a transaction that waits for its parents. It does not move the floor, and others keep their places.
    ///
    /// # Errors
    /// [`PoolError`].
    pub fn insert_waiting(
        &self,
        transaction: CheckedTransaction,
        fee: Amount,
        now_ms: TimeMs,
        source: TransactionSource,
    ) -> Result<(), PoolError> {
        let mut order = self.order.lock();
        let bytes = transaction.encoded_bytes();
        self.would_take_waiting(&transaction.txid(), bytes, fee)?;
        let rate = FeeRate::of(fee, bytes);
        let (stage, received_ms) = (Stage::Waiting, now_ms);
        let entry = PoolEntry { transaction, fee, rate, received_ms, source, stage, sequence: 0 };
        self.put(&mut order, entry);
        Ok(())
    }

    /// Takes a transaction that is certified already, as no limit may keep it out. One that the pool has becomes
    /// certified.
    ///
    /// # Errors
    /// [`PoolError::AlreadyInChain`].
    pub fn insert_certified(
        &self,
        transaction: CheckedTransaction,
        fee: Amount,
        now_ms: TimeMs,
        source: TransactionSource,
    ) -> Result<(), PoolError> {
        let mut order = self.order.lock();
        let txid = transaction.txid();
        match self.refuse_known(&txid) {
            Err(PoolError::AlreadyKnown) => {
                self.certify(&mut order, &txid);
                Ok(())
            }
            Err(error) => Err(error),
            Ok(()) => {
                let rate = FeeRate::of(fee, transaction.encoded_bytes());
                let stage = Stage::Certified;
                let received_ms = now_ms;
                self.put(
                    &mut order,
                    PoolEntry { transaction, fee, rate, received_ms, source, stage, sequence: 0 },
                );
                Ok(())
            }
        }
    }

    fn refuse_known(&self, txid: &TxId) -> Result<(), PoolError> {
        if self.entries.contains_key(txid) {
            return Err(PoolError::AlreadyKnown);
        }
        match self.recent.lock().get(txid).and_then(|status| status.included) {
            Some(height) => Err(PoolError::AlreadyInChain { height }),
            None => Ok(()),
        }
    }

    /// Those to evict so that so many bytes more fit, lowest rates first; `None` if they never fit.
    fn victims_for(&self, order: &Order, bytes: usize) -> Option<Vec<EvictionKey>> {
        let (mut transactions, mut used) = self.uncertified.counted.get();
        let mut victims = Vec::new();
        let mut candidates = order.evictable.counted.iter();
        while transactions >= self.limits.max_transactions
            || used.saturating_add(bytes) > self.limits.max_bytes
        {
            let key = candidates.next()?;
            let size = self.entries.get(&key.2).map_or(0, |entry| entry.transaction.encoded_bytes());
            transactions = transactions.saturating_sub(1);
            used = used.saturating_sub(size);
            victims.push(*key);
        }
        Some(victims)
    }

    fn evict(&self, order: &mut Order, victims: Vec<EvictionKey>, now_ms: TimeMs) -> Vec<TxId> {
        if let Some((rate, ..)) = victims.last() {
            order.floor.lift_above(*rate, now_ms);
        }
        for (_, _, txid) in &victims {
            self.take(order, txid);
        }
        victims.into_iter().map(|(_, _, txid)| txid).collect()
    }

    fn put(&self, order: &mut Order, mut entry: PoolEntry) {
        entry.sequence = order.next_sequence;
        order.next_sequence = order.next_sequence.saturating_add(1);
        let bytes = entry.transaction.encoded_bytes();
        self.all.add(bytes);
        if let Some(class) = entry.stage.class() {
            self.uncertified.of(class).add(bytes);
            order.evictable.of_mut(class).insert(entry.eviction_key());
        }
        self.entries.insert(entry.transaction.txid(), entry);
    }

    fn take(&self, order: &mut Order, txid: &TxId) -> Option<PoolEntry> {
        let (_, entry) = self.entries.remove(txid)?;
        let bytes = entry.transaction.encoded_bytes();
        self.all.subtract(bytes);
        if let Some(class) = entry.stage.class() {
            self.uncertified.of(class).subtract(bytes);
            order.evictable.of_mut(class).remove(&entry.eviction_key());
        }
        Some(entry)
    }

    /// Moves a transaction to the stage that `next` makes of its entry; gives back the stages before and after.
    fn change(
        &self,
        order: &mut Order,
        txid: &TxId,
        next: impl FnOnce(&PoolEntry) -> Stage,
    ) -> Option<(Stage, Stage)> {
        let mut entry = self.entries.get_mut(txid)?;
        let (before, after) = (entry.stage, next(&entry));
        entry.stage = after;
        let bytes = entry.transaction.encoded_bytes();
        let key = entry.eviction_key();
        drop(entry);
        if before.class() != after.class() {
            if let Some(class) = before.class() {
                self.uncertified.of(class).subtract(bytes);
                order.evictable.of_mut(class).remove(&key);
            }
            if let Some(class) = after.class() {
                self.uncertified.of(class).add(bytes);
                order.evictable.of_mut(class).insert(key);
            }
        }
        Some((before, after))
    }

    fn set_uncertified(&self, txid: &TxId, stage: Stage) -> bool {
        let mut order = self.order.lock();
        let next = |entry: &PoolEntry| if entry.stage.is_uncertified() { stage } else { entry.stage };
        let is_set = self.change(&mut order, txid, next).is_some_and(|(_, after)| after == stage);
        if let Some(class) = stage.class().filter(|_| is_set) {
            for (_, _, txid) in self.surplus(&order, class) {
                self.take(&mut order, &txid);
            }
        }
        is_set
    }

    const fn limits_of(&self, class: Class) -> PoolLimits {
        match class {
            Class::Counted => self.limits,
            Class::Waiting => {
                PoolLimits { max_transactions: WAITING_TRANSACTIONS_MAX, max_bytes: WAITING_BYTES_MAX }
            }
            Class::Contested => {
                PoolLimits { max_transactions: CONTESTED_TRANSACTIONS_MAX, max_bytes: CONTESTED_BYTES_MAX }
            }
        }
    }

    /// Those of a class that are too many, lowest rates first.
    fn surplus(&self, order: &Order, class: Class) -> Vec<EvictionKey> {
        let limits = self.limits_of(class);
        let (mut transactions, mut bytes) = self.uncertified.of(class).get();
        let mut victims = Vec::new();
        for key in order.evictable.of(class) {
            if transactions <= limits.max_transactions && bytes <= limits.max_bytes {
                break;
            }
            let size = self.entries.get(&key.2).map_or(0, |entry| entry.transaction.encoded_bytes());
            transactions = transactions.saturating_sub(1);
            bytes = bytes.saturating_sub(size);
            victims.push(*key);
        }
        victims
    }

    /// The transaction can be voted on. Whether it is in the pool and was not certified.
    pub fn mark_pending(&self, txid: &TxId) -> bool {
        self.set_uncertified(txid, Stage::Pending)
    }

    /// The transaction lacks an input. Whether it is in the pool and was not certified.
    pub fn mark_waiting(&self, txid: &TxId) -> bool {
        self.set_uncertified(txid, Stage::Waiting)
    }

    /// Another transaction was first. Whether it is in the pool and was not certified.
    pub fn mark_conflicting(&self, txid: &TxId) -> bool {
        self.set_uncertified(txid, Stage::Conflicting)
    }

    fn certify(&self, order: &mut Order, txid: &TxId) -> bool {
        let next = |entry: &PoolEntry| match entry.stage {
            Stage::Final { .. } => entry.stage,
            _ => Stage::Certified,
        };
        self.change(order, txid, next).is_some()
    }

    /// Lock votes of a quorum are there. Whether it is in the pool.
    pub fn mark_certified(&self, txid: &TxId) -> bool {
        self.certify(&mut self.order.lock(), txid)
    }

    /// The transaction is final. Gives the milliseconds since its acceptance here, the first time.
    pub fn mark_final(&self, txid: &TxId, now_ms: TimeMs) -> Option<u64> {
        let changed = self.change(&mut self.order.lock(), txid, |entry| finalized(entry, now_ms));
        match changed? {
            (Stage::Final { .. }, _) => None,
            (_, Stage::Final { after_ms }) => Some(after_ms),
            _ => None,
        }
    }

    /// A block has taken these transactions: they leave the pool, and their course is remembered for a while. A block
    /// makes final what was not, so for those it gives the milliseconds since their acceptance here.
    pub fn remove_included(&self, txids: &[TxId], height: Height, now_ms: TimeMs) -> Vec<(TxId, u64)> {
        let mut finalized_now = Vec::new();
        for txid in txids {
            // One turn each: a large block must not keep others waiting.
            let mut order = self.order.lock();
            let Some((before, after)) = self.change(&mut order, txid, |entry| finalized(entry, now_ms))
            else {
                continue;
            };
            if let (false, Stage::Final { after_ms }) = (matches!(before, Stage::Final { .. }), after) {
                finalized_now.push((*txid, after_ms));
            }
            if let Some(received_ms) = self.entries.get(txid).map(|entry| entry.received_ms) {
                // Remembered before it leaves, so that a reader finds it in one of the two.
                let status = PoolStatus { stage: after, received_ms, included: Some(height) };
                self.recent.lock().push(*txid, status);
            }
            self.take(&mut order, txid);
        }
        finalized_now
    }

    /// Drops a transaction, whatever its stage; gives it back.
    pub fn remove(&self, txid: &TxId) -> Option<CheckedTransaction> {
        self.take(&mut self.order.lock(), txid).map(|entry| entry.transaction)
    }

    /// A new epoch: what was certified and is not in the chain is voted on afresh, so it is pending and counts again.
    /// Gives what had to go for the limits.
    pub fn start_epoch(&self, now_ms: TimeMs) -> Vec<TxId> {
        let mut order = self.order.lock();
        let certified: Vec<TxId> = self
            .entries
            .iter()
            .filter(|entry| entry.stage == Stage::Certified)
            .map(|entry| *entry.key())
            .collect();
        for txid in certified {
            self.change(&mut order, &txid, |_| Stage::Pending);
        }
        let victims = self.surplus(&order, Class::Counted);
        order.floor = order.floor.decayed(now_ms, self.fullness());
        self.evict(&mut order, victims, now_ms)
    }

    /// Drops what was accepted before `received_before_ms` and is not certified; gives the names.
    pub fn expire(&self, received_before_ms: TimeMs) -> Vec<TxId> {
        let mut order = self.order.lock();
        let is_old =
            |txid: &TxId| self.entries.get(txid).is_some_and(|entry| entry.received_ms < received_before_ms);
        let all = Class::ALL.iter().flat_map(|class| order.evictable.of(*class));
        let expired: Vec<TxId> = all.map(|(_, _, txid)| *txid).filter(|txid| is_old(txid)).collect();
        for txid in &expired {
            self.take(&mut order, txid);
        }
        expired
    }

    /// The transaction, if it is in the pool.
    #[must_use]
    pub fn get(&self, txid: &TxId) -> Option<CheckedTransaction> {
        self.entries.get(txid).map(|entry| entry.transaction.clone())
    }

    /// The transaction with all that is known of it, if it is in the pool.
    #[must_use]
    pub fn entry(&self, txid: &TxId) -> Option<PoolEntry> {
        self.entries.get(txid).map(|entry| entry.clone())
    }

    /// How far a transaction has come, if it is in the pool or a block has taken it from there not long ago.
    #[must_use]
    pub fn status(&self, txid: &TxId) -> Option<PoolStatus> {
        let pooled = self.entries.get(txid).map(|entry| PoolStatus {
            stage: entry.stage,
            received_ms: entry.received_ms,
            included: None,
        });
        pooled.or_else(|| self.recent.lock().get(txid))
    }

    /// All transactions, in the order of acceptance.
    #[must_use]
    pub fn all_in_order(&self) -> Vec<PoolEntry> {
        let mut entries = self.entries(usize::MAX);
        entries.sort_unstable_by_key(|entry| entry.sequence);
        entries
    }

    /// At most `limit` transactions, in no order.
    #[must_use]
    pub fn entries(&self, limit: usize) -> Vec<PoolEntry> {
        self.entries.iter().take(limit).map(|entry| entry.clone()).collect()
    }

    /// At most `limit` of those that are final and were accepted after the one of this number, in the order of acceptance,
    /// each with its number.
    #[must_use]
    pub fn finals(&self, after: Option<u64>, limit: usize) -> Vec<(u64, TxId, Arc<Transaction>)> {
        let is_next = |entry: &PoolEntry| {
            matches!(entry.stage, Stage::Final { .. }) && after.is_none_or(|after| entry.sequence > after)
        };
        let mut numbers: Vec<(u64, TxId)> = self
            .entries
            .iter()
            .filter(|entry| is_next(entry))
            .map(|entry| (entry.sequence, *entry.key()))
            .collect();
        numbers.sort_unstable();
        numbers.truncate(limit);
        // What a block has taken meanwhile is told by the block.
        let found = |(sequence, txid): (u64, TxId)| {
            Some((sequence, txid, Arc::clone(self.entries.get(&txid)?.transaction.transaction())))
        };
        numbers.into_iter().filter_map(found).collect()
    }

    /// Whether a transaction of the pool is final.
    #[must_use]
    pub fn is_final(&self, txid: &TxId) -> bool {
        self.entries.get(txid).is_some_and(|entry| matches!(entry.stage, Stage::Final { .. }))
    }

    /// How many transactions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.get().0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Their encoded bytes together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.all.get().1
    }

    /// How many transactions, and how many bytes, are not certified.
    #[must_use]
    pub fn uncertified(&self) -> (usize, usize) {
        Class::ALL
            .iter()
            .map(|class| self.uncertified.of(*class).get())
            .fold((0, 0), |sum, one| (sum.0.saturating_add(one.0), sum.1.saturating_add(one.1)))
    }

    /// How many transactions, and how many bytes, the configured limits count: those that can be voted on and have no
    /// known rival.
    #[must_use]
    pub fn counted(&self) -> (usize, usize) {
        self.uncertified.counted.get()
    }

    /// Memory that a pool of these limits takes at most, certified ones apart, in bytes.
    #[must_use]
    pub const fn bytes_max(limits: PoolLimits) -> usize {
        let transactions = limits
            .max_transactions
            .saturating_add(WAITING_TRANSACTIONS_MAX)
            .saturating_add(CONTESTED_TRANSACTIONS_MAX);
        limits
            .max_bytes
            .saturating_add(WAITING_BYTES_MAX)
            .saturating_add(CONTESTED_BYTES_MAX)
            .saturating_add(transactions.saturating_mul(POOL_OVERHEAD_BYTES))
            .saturating_add(RECENT_TRANSACTIONS_MAX.saturating_mul(160))
    }

    /// What the limits are.
    #[must_use]
    pub const fn limits(&self) -> PoolLimits {
        self.limits
    }

    /// The rate below which nothing is taken at `now_ms`.
    #[must_use]
    pub fn floor(&self, now_ms: TimeMs) -> FeeRate {
        self.order.lock().floor.decayed(now_ms, self.fullness()).rate()
    }

    /// By the fuller of the two limits.
    fn fullness(&self) -> Fullness {
        let (transactions, bytes) = self.uncertified.counted.get();
        let by_count = Fullness::of(transactions, self.limits.max_transactions);
        let by_bytes = Fullness::of(bytes, self.limits.max_bytes);
        by_count.max(by_bytes)
    }
}

fn finalized(entry: &PoolEntry, now_ms: TimeMs) -> Stage {
    match entry.stage {
        stage @ Stage::Final { .. } => stage,
        _ => Stage::Final { after_ms: now_ms.saturating_sub(entry.received_ms) },
    }
}
