//! The UTXO manager: the state of every output, in memory over the index.
//!
//! # Place
//! Consensus applies blocks to it; the observers' thread tells it what the finality machine decided; admission asks it for
//! inputs and locks them early; RPC asks it for states and addresses. It reads the index and never writes it.
//!
//! An output passes through `Unspent -> Locked -> SpentPending -> SpentFinalized -> Confirmed` (section 2 of [`crate::protocol`]).
//! What the chain's state says of it is in `chain.rs`; the locks, a mirror of the finality machine's for all readers,
//! in `locks.rs`. The machine decides: where the mirror took another transaction first, the machine's word replaces it.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `chain.rs` | what the chain's state says of an output |
//! | `locks.rs` | which transaction holds an output, and how firmly |
//!
//! # Invariants
//! - INV-UTXO-1, INV-UTXO-2: see `chain.rs`. INV-UTXO-3, INV-UTXO-4: see `locks.rs`.
//! - INV-UTXO-5: an output of a final transaction is held here until a block has it, and in that block's state from
//!   then on; a reader that asks meanwhile finds it in one of the two.
//! - INV-UTXO-6: a read error of the index poisons the manager; it is never an answer.
//!
//! # Concurrency
//! `apply_block` is called by the consensus thread alone; `mark_voted`, `mark_final` and `start_epoch` by the observers',
//! which may be behind; everything else from any thread. All methods are synchronous and give back owned values. Those that
//! may read the index say so.
//!
//! # Units
//! Sizes are estimated bytes of memory.

mod chain;
mod locks;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use ahash::RandomState;
use dashmap::DashMap;

use self::chain::{ChainOutput, ChainOutputs, OutputsByLock};
use self::locks::{LockStage, LockTable};
use crate::protocol::validity::{CheckedTransaction, UtxoReader};
use crate::storage::Index;
use crate::types::{Height, Lock, OutPoint, TxId, TxOut, UtxoEntry};

pub use self::chain::OVERLAY_BYTES_MAX;
pub use self::locks::{LOCKED_OUTPUT_BYTES, LOCKED_OUTPUTS_MAX, LockConflict, LockError};

/// Outputs that one step of a question about an address looks at.
const ADDRESS_PAGE_OUTPUTS: usize = 256;

/// How far the spending of an output has come, as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputState {
    /// The node knows no such output.
    Unknown,
    /// It can be spent.
    Unspent,
    /// This node has locked it to a transaction.
    Locked {
        /// The transaction.
        by: TxId,
    },
    /// This node has voted for the transaction that spends it.
    SpentPending {
        /// The transaction.
        by: TxId,
    },
    /// The transaction that spends it is final.
    SpentFinalized {
        /// The transaction.
        by: TxId,
    },
    /// A block contains the spend.
    Confirmed {
        /// The transaction.
        by: TxId,
        /// The block's height.
        height: Height,
    },
}

/// An output of an address that neither a block nor a final transaction spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressOutput {
    /// Its name.
    pub outpoint: OutPoint,
    /// Its value and owner.
    pub output: TxOut,
    /// The block that made it; `None` when it is final but in no block yet.
    pub height: Option<Height>,
    /// Whether a transaction on its way has locked it.
    pub is_locked: bool,
}

/// The states of outputs.
pub struct UtxoManager {
    chain: ChainOutputs,
    locks: LockTable,
    /// Outputs of final transactions that no block has yet. As many as the finality machine lets wait for a block.
    final_outputs: DashMap<OutPoint, TxOut, RandomState>,
    /// The unspent ones of the overlay, and the final ones.
    by_lock: OutputsByLock,
}

impl UtxoManager {
    /// The manager over an index, with a cache of about so many bytes.
    #[must_use]
    pub fn new(index: Arc<Index>, cache_bytes: usize) -> Self {
        Self::with_limits(index, cache_bytes, LOCKED_OUTPUTS_MAX)
    }

    fn with_limits(index: Arc<Index>, cache_bytes: usize, locked_outputs_max: usize) -> Self {
        Self {
            chain: ChainOutputs::new(index, cache_bytes),
            locks: LockTable::new(locked_outputs_max),
            final_outputs: DashMap::with_hasher(RandomState::new()),
            by_lock: OutputsByLock::new(),
        }
    }

    /// Brings the chain's state forward by a block, and with it locks and states. `created` is net of the block: an
    /// output that it makes and spends itself is not in it. `spenders` names every input of the block's
    /// transactions with the transaction, such outputs included. Heights come in order.
    pub fn apply_block(
        &self,
        height: Height,
        created: &[(OutPoint, UtxoEntry)],
        spenders: &[(OutPoint, TxId)],
    ) {
        let mut changed = Vec::with_capacity(created.len().saturating_add(spenders.len()));
        for (outpoint, entry) in created {
            self.chain.create(height, *outpoint, *entry);
            self.by_lock.add(entry.output.lock, *outpoint);
            // After the overlay has it: readers look here first (INV-UTXO-5).
            self.final_outputs.remove(outpoint);
            changed.push(*outpoint);
        }
        for (outpoint, by) in spenders {
            if let Some(entry) = self.chain.spend(height, *outpoint, *by) {
                self.by_lock.remove(entry.output.lock, outpoint);
            }
            if let Some((_, output)) = self.final_outputs.remove(outpoint) {
                self.by_lock.remove(output.lock, outpoint);
            }
            self.locks.spent(outpoint);
            changed.push(*outpoint);
        }
        self.chain.note_changes(height, changed);
    }

    /// Gives outputs of the chain's state another entry, as the evidence of the block at `height` does with collaterals:
    /// they are neither spent nor made. Together with [`Self::apply_block`] of the same block.
    pub fn replace_outputs(&self, height: Height, outputs: &[(OutPoint, UtxoEntry)]) {
        for (outpoint, entry) in outputs {
            self.chain.create(height, *outpoint, *entry);
            self.by_lock.add(entry.output.lock, *outpoint);
        }
        self.chain.note_changes(height, outputs.iter().map(|(outpoint, _)| *outpoint).collect());
    }

    /// Drops from memory what the index has marked: everything up to this height.
    pub fn forget_through(&self, height: Height) {
        for (outpoint, entry) in self.chain.forget_through(height) {
            self.by_lock.remove(entry.output.lock, &outpoint);
        }
    }

    /// Memory of what the index has not marked yet, in bytes.
    #[must_use]
    pub fn overlay_bytes(&self) -> usize {
        self.chain.overlay_bytes()
    }

    /// Whether the next block has to wait until the index has caught up and [`Self::forget_through`] was called.
    #[must_use]
    pub fn is_overlay_full(&self) -> bool {
        self.overlay_bytes() >= OVERLAY_BYTES_MAX
    }

    /// Whether a read of the index has failed. From then on "unknown" may be wrong, so the node must decide nothing by
    /// it any more: fatal.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.chain.is_poisoned()
    }

    /// Warms the cache, so that the consensus core finds these outputs in memory. Reads the index.
    pub fn prefetch(&self, outpoints: &[OutPoint]) {
        for outpoint in outpoints {
            self.chain.unspent(outpoint);
        }
    }

    /// Locks all inputs to the transaction, or none; again for the same one is no error and changes nothing. Never
    /// reads the index.
    ///
    /// # Errors
    /// [`LockError`]: another transaction holds an input or a recent block spent it, or there are too many locks.
    pub fn lock(&self, transaction: &CheckedTransaction) -> Result<(), LockError> {
        let txid = transaction.txid();
        self.locks.lock(txid, transaction.inputs(), |outpoint| match self.chain.recent(outpoint) {
            Some(ChainOutput::Spent { by, height }) if by == txid => Some(LockError::InChain { height }),
            Some(ChainOutput::Spent { by, .. }) => {
                Some(LockConflict { outpoint: *outpoint, held_by: by }.into())
            }
            _ => None,
        })
    }

    /// The first of these outputs that another transaction than `txid` holds or has spent in a recent block. Never reads
    /// the index.
    #[must_use]
    pub fn conflict_of(&self, inputs: &[OutPoint], txid: TxId) -> Option<LockConflict> {
        inputs.iter().find_map(|outpoint| {
            let held_by = match self.chain.recent(outpoint) {
                Some(ChainOutput::Spent { by, .. }) => by,
                _ => self.locks.get(outpoint)?.by,
            };
            (held_by != txid).then_some(LockConflict { outpoint: *outpoint, held_by })
        })
    }

    /// The transaction that an output is locked to, if it is. Never reads the index.
    #[must_use]
    pub fn holder_of(&self, outpoint: &OutPoint) -> Option<TxId> {
        self.locks.get(outpoint).map(|record| record.by)
    }

    fn is_recently_spent(&self, outpoint: &OutPoint) -> bool {
        matches!(self.chain.recent(outpoint), Some(ChainOutput::Spent { .. }))
    }

    /// This node's vote for the transaction is out: its inputs are pending, whichever transaction held them here.
    pub fn mark_voted(&self, txid: TxId, inputs: &[OutPoint]) {
        let conflict = self.locks.decide(txid, inputs, LockStage::Voted, |o| self.is_recently_spent(o));
        if let Some(conflict) = conflict {
            tracing::error!(%txid, %conflict, "Voted for a transaction that conflicts with a final one");
        }
    }

    /// The transaction is final: its inputs are spent whatever comes, and its outputs can be spent. Does nothing for one
    /// that the chain has. Reads the index only if nothing in memory tells whether it has.
    pub fn mark_final(&self, transaction: &CheckedTransaction) {
        let (txid, inputs) = (transaction.txid(), transaction.inputs());
        if self.is_in_chain(txid, inputs) {
            return;
        }
        let conflict = self.locks.decide(txid, inputs, LockStage::Final, |o| self.is_recently_spent(o));
        if let Some(conflict) = conflict {
            tracing::error!(%txid, %conflict, "Two conflicting transactions are final: a third of the weight is faulty");
        }
        for (outpoint, output) in transaction.transaction().created(txid) {
            self.final_outputs.insert(outpoint, *output);
            self.by_lock.add(output.lock, outpoint);
            // Its block may be applied meanwhile, and took away only what stood here by then (INV-UTXO-5).
            match self.chain.recent(&outpoint) {
                None => {}
                Some(ChainOutput::Unspent(_)) => {
                    self.final_outputs.remove(&outpoint);
                }
                Some(ChainOutput::Spent { .. }) => {
                    self.final_outputs.remove(&outpoint);
                    self.by_lock.remove(output.lock, &outpoint);
                }
            }
        }
    }

    /// A transaction is in the chain when its first input is spent there by it.
    fn is_in_chain(&self, txid: TxId, inputs: &[OutPoint]) -> bool {
        let Some(outpoint) = inputs.first() else { return false };
        match self.chain.in_memory(outpoint) {
            Some(ChainOutput::Spent { by, .. }) => by == txid,
            Some(ChainOutput::Unspent(_)) => false,
            // A block takes the locks of what it spends, so whoever holds one is not in the chain.
            None if self.locks.get(outpoint).is_some_and(|record| record.by == txid) => false,
            None if self.final_outputs.contains_key(outpoint) => false,
            None => self.chain.spender(outpoint).is_some_and(|(by, _)| by == txid),
        }
    }

    /// The transaction was dropped: gives back its locks, unless it is final.
    pub fn release(&self, transaction: &CheckedTransaction) {
        self.locks.release(transaction.txid(), transaction.inputs());
    }

    /// An epoch's closing block was applied: gives back all locks but those of final transactions.
    pub fn start_epoch(&self) {
        self.locks.clear_unfinal();
    }

    /// How many outputs are locked, final ones included.
    #[must_use]
    pub fn locked_count(&self) -> usize {
        self.locks.len()
    }

    /// How many outputs of final transactions wait for a block.
    #[must_use]
    pub fn final_output_count(&self) -> usize {
        self.final_outputs.len()
    }

    /// How far the spending of an output has come. May read the index.
    ///
    /// A lock that is taken in the very moment in which the index catches up with a block that spends the output is
    /// shown until the epoch's end; nothing is decided by it.
    #[must_use]
    pub fn output_state(&self, outpoint: &OutPoint) -> OutputState {
        // The lock first: a block records the spend before it takes the lock away.
        let record = self.locks.get(outpoint);
        if let Some(ChainOutput::Spent { by, height }) = self.chain.recent(outpoint) {
            return OutputState::Confirmed { by, height };
        }
        if let Some(record) = record {
            let by = record.by;
            return match record.stage {
                LockStage::Locked => OutputState::Locked { by },
                LockStage::Voted => OutputState::SpentPending { by },
                LockStage::Final => OutputState::SpentFinalized { by },
            };
        }
        if self.find_output(outpoint).is_some() {
            return OutputState::Unspent;
        }
        match self.chain.spender(outpoint) {
            Some((by, height)) => OutputState::Confirmed { by, height },
            None => OutputState::Unknown,
        }
    }

    /// Who spent an output in the chain, and in which block, whoever holds its lock. May read the index.
    #[must_use]
    pub fn spender_of(&self, outpoint: &OutPoint) -> Option<(TxId, Height)> {
        self.chain.spender(outpoint)
    }

    /// The output that a new transaction may spend, locked or not: one of the chain's state, with its block's height, or
    /// one of a final transaction, with `None`. May read the index.
    #[must_use]
    pub fn find_output(&self, outpoint: &OutPoint) -> Option<(TxOut, Option<Height>)> {
        // In this order: a block puts an output into the overlay before it takes it from here.
        if let Some(output) = self.final_outputs.get(outpoint).map(|output| *output) {
            return match self.chain.recent(outpoint) {
                None => Some((output, None)),
                Some(ChainOutput::Unspent(entry)) => Some((entry.output, Some(entry.height))),
                Some(ChainOutput::Spent { .. }) => None,
            };
        }
        self.chain.unspent(outpoint).map(|entry| (entry.output, Some(entry.height)))
    }

    /// At most `limit` outputs of an address that are neither spent nor locked: first those of final transactions and of
    /// recent blocks, then those of the index. Reads the index.
    #[must_use]
    pub fn spendable_of(&self, lock: &Lock, limit: usize) -> Vec<(OutPoint, TxOut, Option<Height>)> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        let mut after = None;
        // Memory before the index: what moves meanwhile moves that way.
        while found.len() < limit {
            let page = self.by_lock.page(lock, after, ADDRESS_PAGE_OUTPUTS);
            let Some(last) = page.last() else { break };
            after = Some(*last);
            for outpoint in page {
                if self.locks.get(&outpoint).is_none()
                    && let Some((output, height)) = self.find_output(&outpoint)
                    && seen.insert(outpoint)
                {
                    found.push((outpoint, output, height));
                }
            }
        }
        after = None;
        while found.len() < limit {
            let page = self.chain.indexed_of(lock, after.as_ref(), ADDRESS_PAGE_OUTPUTS);
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            for (outpoint, entry) in page {
                let is_free = self.locks.get(&outpoint).is_none() && !self.is_recently_spent(&outpoint);
                if is_free && seen.insert(outpoint) {
                    found.push((outpoint, entry.output, Some(entry.height)));
                }
            }
        }
        found.truncate(limit);
        found
    }

    /// At most `limit` outputs of an address after `after`, in the order of their names: all that no block and no final
    /// transaction spends, locked ones too, of final transactions too. Reads the index.
    #[must_use]
    pub fn outputs_of(&self, lock: &Lock, mut after: Option<OutPoint>, limit: usize) -> Vec<AddressOutput> {
        let mut found = Vec::new();
        while found.len() < limit {
            // Memory before the index: what moves meanwhile moves that way.
            let recent = self.by_lock.page(lock, after, ADDRESS_PAGE_OUTPUTS);
            let indexed = self.chain.indexed_of(lock, after.as_ref(), ADDRESS_PAGE_OUTPUTS);
            // A full page says nothing of what comes after its last entry.
            let full_until =
                |length: usize, last: Option<OutPoint>| last.filter(|_| length >= ADDRESS_PAGE_OUTPUTS);
            let recent_until = full_until(recent.len(), recent.last().copied());
            let indexed_until = full_until(indexed.len(), indexed.last().map(|(outpoint, _)| *outpoint));
            let until = recent_until.into_iter().chain(indexed_until).min();
            let names: BTreeSet<OutPoint> =
                recent.into_iter().chain(indexed.into_iter().map(|(outpoint, _)| outpoint)).collect();
            let within = names.into_iter().filter(|outpoint| until.is_none_or(|until| *outpoint <= until));
            found.extend(within.filter_map(|outpoint| self.address_output(outpoint)));
            match until {
                Some(until) => after = Some(until),
                None => break,
            }
        }
        found.truncate(limit);
        found
    }

    fn address_output(&self, outpoint: OutPoint) -> Option<AddressOutput> {
        let stage = self.locks.get(&outpoint).map(|record| record.stage);
        if stage == Some(LockStage::Final) {
            return None;
        }
        let (output, height) = self.find_output(&outpoint)?;
        Some(AddressOutput { outpoint, output, height, is_locked: stage.is_some() })
    }

    /// Holds the counters against the maps; while nobody changes anything.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check_invariants(&self) -> Result<(), &'static str> {
        if self.locks.recount() != self.locks.len() {
            return Err("the counter of locked outputs differs from their number");
        }
        Ok(())
    }
}

impl UtxoReader for UtxoManager {
    /// The chain's state as of the tip; outputs of final transactions are not in it. Reads the index if the output was
    /// not prefetched.
    fn utxo(&self, outpoint: &OutPoint) -> Option<UtxoEntry> {
        self.chain.unspent(outpoint)
    }
}
