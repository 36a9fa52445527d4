//! Which transaction each output is locked to.
//!
//! # Place
//! Part of [`UtxoManager`](super::UtxoManager), which alone uses it.
//!
//! # Invariants
//! - INV-UTXO-3: a transaction gets all of its inputs or none, and an output is locked to one transaction at a time,
//!   whatever the threads.
//! - INV-UTXO-4: a lock of a final transaction goes only when the chain spends the output.
//!
//! # Concurrency
//! A change takes the stripes of all its outputs, each once and in ascending order, so that two changes can't wait for
//! each other; under them it looks and then writes. Readers use the map alone. Taking the map's entries one by one with
//! a way back would do without stripes, but then a transaction that is about to fail could turn away another one.

use std::sync::atomic::{AtomicUsize, Ordering};

use ahash::RandomState;
use dashmap::DashMap;
use parking_lot::{Mutex, MutexGuard};

use crate::types::{OutPoint, TxId};

/// Locked outputs from which on [`UtxoManager::lock`](super::UtxoManager::lock) refuses more. The finality machine's
/// own decisions pass, since it has bounds of its own.
pub const LOCKED_OUTPUTS_MAX: usize = 4_000_000;
/// Memory of one of them, in bytes, in a table that doubles when it is seven eighths full.
pub const LOCKED_OUTPUT_BYTES: usize = 176;
const STRIPES: usize = 64;

/// How far the spending of a locked output has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LockStage {
    Locked,
    Voted,
    Final,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LockRecord {
    pub(super) by: TxId,
    pub(super) stage: LockStage,
}

/// An output that another transaction holds, or has spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the output {outpoint} is taken by the transaction {held_by}; wait until it is final or dropped, or spend another output"
)]
pub struct LockConflict {
    /// The output.
    pub outpoint: OutPoint,
    /// The transaction that holds it.
    pub held_by: TxId,
}

/// Why a transaction's inputs were not locked to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Another transaction was first.
    #[error(transparent)]
    Conflict(#[from] LockConflict),
    /// A block contains this very transaction.
    #[error("the transaction is in block {height} already; nothing is left to do")]
    InChain {
        /// The block's height.
        height: u64,
    },
    /// The table is full.
    #[error("{locked} outputs are locked already; try again after the next block")]
    Full {
        /// How many there are.
        locked: usize,
    },
}

pub(super) struct LockTable {
    records: DashMap<OutPoint, LockRecord, RandomState>,
    stripes: Vec<Mutex<()>>,
    count: AtomicUsize,
    limit: usize,
}

impl LockTable {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            records: DashMap::with_hasher(RandomState::new()),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            count: AtomicUsize::new(0),
            limit,
        }
    }

    fn guard(&self, outpoints: &[OutPoint]) -> Vec<MutexGuard<'_, ()>> {
        let hasher = self.records.hasher();
        let mut places = [false; STRIPES];
        for outpoint in outpoints {
            let place = usize::try_from(hasher.hash_one(outpoint) % STRIPES as u64).unwrap_or(0);
            if let Some(is_taken) = places.get_mut(place) {
                *is_taken = true;
            }
        }
        let wanted = self.stripes.iter().zip(places).filter(|(_, is_taken)| *is_taken);
        wanted.map(|(stripe, _)| stripe.lock()).collect()
    }

    pub(super) fn get(&self, outpoint: &OutPoint) -> Option<LockRecord> {
        self.records.get(outpoint).map(|record| *record)
    }

    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn insert(&self, outpoint: OutPoint, record: LockRecord) {
        if self.records.insert(outpoint, record).is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn remove_if(&self, outpoint: &OutPoint, condition: impl FnOnce(&LockRecord) -> bool) {
        if self.records.remove_if(outpoint, |_, record| condition(record)).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Locks all inputs to a transaction, or none. `refusal` looks at what recent blocks did to an output; it is asked
    /// under the stripes, so that a block can't spend an output between the look and the lock.
    pub(super) fn lock(
        &self,
        txid: TxId,
        inputs: &[OutPoint],
        refusal: impl Fn(&OutPoint) -> Option<LockError>,
    ) -> Result<(), LockError> {
        let _guards = self.guard(inputs);
        let mut missing = 0_usize;
        for outpoint in inputs {
            if let Some(error) = refusal(outpoint) {
                return Err(error);
            }
            match self.get(outpoint) {
                Some(record) if record.by != txid => {
                    return Err(LockConflict { outpoint: *outpoint, held_by: record.by }.into());
                }
                Some(_) => {}
                None => missing = missing.saturating_add(1),
            }
        }
        let locked = self.len();
        if missing > 0 && locked.saturating_add(missing) > self.limit {
            return Err(LockError::Full { locked });
        }
        for outpoint in inputs {
            let record = LockRecord { by: txid, stage: LockStage::Locked };
            // One that it holds already may have come further.
            if self.get(outpoint).is_none() {
                self.insert(*outpoint, record);
            }
        }
        Ok(())
    }

    /// Records what the finality machine decided: the inputs belong to this transaction, at least at this stage. Only
    /// another final transaction keeps its lock, which would be a fault of a third of the weight: the first such output
    /// is given back. Outputs for which `is_spent` says so are left alone.
    pub(super) fn decide(
        &self,
        txid: TxId,
        inputs: &[OutPoint],
        stage: LockStage,
        is_spent: impl Fn(&OutPoint) -> bool,
    ) -> Option<LockConflict> {
        let _guards = self.guard(inputs);
        let mut conflict = None;
        for outpoint in inputs {
            let stage = match self.get(outpoint) {
                Some(record) if record.by == txid => record.stage.max(stage),
                Some(LockRecord { by, stage: LockStage::Final }) => {
                    conflict = conflict.or(Some(LockConflict { outpoint: *outpoint, held_by: by }));
                    continue;
                }
                _ => stage,
            };
            if !is_spent(outpoint) {
                self.insert(*outpoint, LockRecord { by: txid, stage });
            }
        }
        conflict
    }

    /// Gives back what a transaction holds, unless it is final.
    pub(super) fn release(&self, txid: TxId, inputs: &[OutPoint]) {
        let _guards = self.guard(inputs);
        for outpoint in inputs {
            self.remove_if(outpoint, |record| record.by == txid && record.stage != LockStage::Final);
        }
    }

    /// The chain has spent the output.
    pub(super) fn spent(&self, outpoint: &OutPoint) {
        let _guards = self.guard(std::slice::from_ref(outpoint));
        self.remove_if(outpoint, |_| true);
    }

    /// Gives back all locks but those of final transactions.
    pub(super) fn clear_unfinal(&self) {
        let _guards: Vec<_> = self.stripes.iter().map(Mutex::lock).collect();
        let mut removed = 0_usize;
        self.records.retain(|_, record| {
            let is_kept = record.stage == LockStage::Final;
            removed = removed.saturating_add(usize::from(!is_kept));
            is_kept
        });
        self.count.fetch_sub(removed, Ordering::Relaxed);
    }

    /// The number of records, counted afresh.
    pub(super) fn recount(&self) -> usize {
        self.records.len()
    }
}
