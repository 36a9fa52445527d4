//! The index: outputs, where things are in the chain, and the ledger's state at a marked height.
//!
//! # Place
//! The [`IndexWriter`](super::index_writer::IndexWriter) applies blocks to it behind the block log; the UTXO manager and
//! RPC read it. All of it can be built again from genesis and block log.
//!
//! # What a payment costs
//! Random keys are what an ordered store pays for, so there are few of them, and short ones. A transaction's place and up
//! to [`OUTPUTS_A_RECORD`] of its outputs are one record, which only a slashed collateral changes. A spend is a key of its
//! own, written without a look at what it spends; an address has one key for each unspent output. So a payment with one
//! input and two outputs changes five keys: its record, the spend, and three of addresses; and one key of history for each
//! address that it concerns (`index_history.rs`). Changes gather in a window
//! (`index_window.rs`) until the mark moves, so what comes and goes in between is never written.
//!
//! # Invariants
//! - INV-INDEX-1: applying a change again, and every change after it in order, ends in the same contents. So after a
//!   crash the log is applied from the mark on, whatever part of it had arrived.
//! - INV-STORAGE-5 of [`super`]: the mark is written after a real sync of everything it stands for, and its state is whole before.
//! - INV-INDEX-2: values are at most [`VALUE_BYTES_MAX`] bytes.
//! - INV-INDEX-3: no block is left out, and the outputs of none are counted twice.
//!
//! # Concurrency
//! One writer; any number of readers, who may see a block half applied. What must be exact is read from memory first.

use std::collections::BTreeMap;
use std::sync::Arc;

use bincode::{Decode, Encode};
use parking_lot::Mutex;

use super::error::StorageError;
pub use super::index_change::{EpochEnd, IndexChange, PunishedEvidence};
use super::index_epoch_keys;
use super::index_history::{self, BlockHistory, HistoryEntry, HistoryPlace, Range};
use super::index_records::{
    OUTPUTS_A_RECORD, OutputRecord, address_key, address_prefix, outpoint_of_address, record_key, spent_key,
};
use super::index_store::{Change, Entries, IndexStore, Tree, VALUE_BYTES_MAX, put};
use super::index_window::{IndexWindow, WindowChange};
use crate::protocol::masternodes::Receipt;
use crate::types::codec::{decode, encode};
use crate::types::{BlockHash, Height, Lock, OutPoint, TxId, UtxoEntry};

/// Entries that one scan returns, at most.
pub const SCAN_ENTRIES_MAX: usize = 10_000;
/// Pieces of older states that are looked up at once to be deleted.
const STATE_SCAN_ENTRIES: usize = 256;

/// Up to where the index is durable, and the ledger's state there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The last block that the index holds for sure.
    pub height: Height,
    /// That block; compare it with the block log's before the index is trusted.
    pub block_hash: BlockHash,
    /// The encoded ledger state after it.
    pub state: Vec<u8>,
}

/// What keys and values look like. It changes when a program of an older version would misread them. An index of another
/// format is set aside and built again from the block log.
pub const FORMAT: u32 = 4;
pub(super) const KEY_FORMAT: &[u8] = b"format";
const KEY_MARK: &[u8] = b"mark";
pub(super) const KEY_HIGHEST: &[u8] = b"highest";
const STATE_PREFIX: &[u8] = b"piece/";

/// Ascending keys are descending heights.
fn evidence_key(evidence: &PunishedEvidence) -> Vec<u8> {
    [(u64::MAX - evidence.block_height).to_be_bytes().as_slice(), &evidence.hash.0].concat()
}

fn piece_key(height: Height, piece: u32) -> Vec<u8> {
    [STATE_PREFIX, height.to_be_bytes().as_slice(), &piece.to_be_bytes()].concat()
}

/// What the mark's value says.
#[derive(Encode, Decode)]
struct MarkValue {
    height: Height,
    block_hash: BlockHash,
    /// Outputs that are unspent there.
    unspent: u64,
    /// Entries of the history there.
    history: u64,
    state_bytes: u64,
    /// CRC-32.
    state_sum: u32,
}

/// How far the index has come.
#[derive(Clone, Copy)]
pub(super) struct Progress {
    /// The last change applied; `None` before genesis.
    pub(super) height: Option<Height>,
    /// Outputs that are unspent after it.
    pub(super) unspent: u64,
    /// Entries of the history up to it.
    pub(super) history: u64,
    /// Up to where the store may hold parts of blocks from before a crash.
    pub(super) written: Option<Height>,
}

/// The index over a store. Clones share it.
#[derive(Clone)]
pub struct Index {
    pub(super) window: Arc<IndexWindow>,
    /// Read from the store when it is first asked for.
    progress: Arc<Mutex<Option<Progress>>>,
}

impl Index {
    /// The index in this store, which nobody else writes to.
    #[must_use]
    pub fn new(store: Arc<dyn IndexStore>) -> Self {
        Self { window: Arc::new(IndexWindow::new(store)), progress: Arc::default() }
    }

    pub(super) fn get<T: bincode::Decode<()>>(
        &self,
        tree: Tree,
        key: &[u8],
    ) -> Result<Option<T>, StorageError> {
        let Some(value) = self.window.get(tree, key)? else { return Ok(None) };
        let malformed = |_| StorageError::IndexMalformed { tree: tree.name() };
        decode(&value).map(Some).map_err(malformed)
    }

    fn record(&self, txid: &TxId, index: u32) -> Result<Option<OutputRecord>, StorageError> {
        self.get(Tree::Output, &record_key(txid, index))
    }

    /// The entry of an output, if it is unspent.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn utxo(&self, outpoint: &OutPoint) -> Result<Option<UtxoEntry>, StorageError> {
        let Some(record) = self.record(&outpoint.txid, outpoint.index)? else { return Ok(None) };
        let Some(entry) = record.entry(outpoint.index) else { return Ok(None) };
        // In this order: what is spent meanwhile is found to be.
        let is_spent = self.window.get(Tree::Spent, &spent_key(outpoint))?.is_some();
        Ok((!is_spent).then_some(entry))
    }

    /// In which block a transaction is, and its place there from 0.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn transaction(&self, txid: &TxId) -> Result<Option<(Height, u32)>, StorageError> {
        Ok(self.record(txid, 0)?.and_then(|record| Some((record.height, record.place?))))
    }

    /// Who spent an output, and in which block.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn spent_by(&self, outpoint: &OutPoint) -> Result<Option<(TxId, Height)>, StorageError> {
        self.get(Tree::Spent, &spent_key(outpoint))
    }

    /// What became of a transaction that speaks of a masternode and is in the chain.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn receipt(&self, txid: &TxId) -> Result<Option<Receipt>, StorageError> {
        self.get(Tree::Receipt, &txid.0)
    }

    /// At most `limit` pieces of evidence that blocks punished, the newest first.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn evidence(&self, limit: usize) -> Result<Vec<PunishedEvidence>, StorageError> {
        let malformed = |_| StorageError::IndexMalformed { tree: Tree::Evidence.name() };
        let entries = self.window.scan_prefix(Tree::Evidence, &[], None, limit.min(SCAN_ENTRIES_MAX))?;
        entries.iter().map(|(_, value)| decode(value).map_err(malformed)).collect()
    }

    /// The height of a block.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn block_height(&self, hash: &BlockHash) -> Result<Option<Height>, StorageError> {
        self.get(Tree::Block, &hash.0)
    }

    /// At most `limit` unspent outputs of a lock after `after`, in the order of their names.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn address_utxos(
        &self,
        lock: &Lock,
        after: Option<&OutPoint>,
        limit: usize,
    ) -> Result<Vec<(OutPoint, UtxoEntry)>, StorageError> {
        let malformed = || StorageError::IndexMalformed { tree: Tree::Address.name() };
        let mut after = after.map(|outpoint| address_key(lock, outpoint));
        let limit = limit.min(SCAN_ENTRIES_MAX);
        let mut found = Vec::new();
        // More than once only if blocks spend outputs meanwhile, or if two locks begin alike.
        while found.len() < limit {
            let wanted = limit - found.len();
            let keys =
                self.window.scan_prefix(Tree::Address, &address_prefix(lock), after.as_deref(), wanted)?;
            let is_last = keys.len() < wanted;
            for (key, _) in keys {
                let outpoint = outpoint_of_address(&key).ok_or_else(malformed)?;
                let entry = self.utxo(&outpoint)?.filter(|entry| entry.output.lock == *lock);
                found.extend(entry.map(|entry| (outpoint, entry)));
                after = Some(key);
            }
            if is_last {
                break;
            }
        }
        Ok(found)
    }

    /// At most `limit` entries of an address's past before a place, the newest first.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn history(
        &self,
        lock: &Lock,
        before: Option<HistoryPlace>,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, StorageError> {
        let malformed = || StorageError::IndexMalformed { tree: Tree::History.name() };
        let limit = limit.min(SCAN_ENTRIES_MAX);
        let mut found = Vec::new();
        for (range, first) in index_history::ranges(&self.window)?.into_iter().rev() {
            if found.len() >= limit {
                break;
            }
            if before.is_some_and(|before| before.height < first) {
                continue;
            }
            // In an older range than the one with `before` all keys are behind this one.
            let after = before.map(|before| range.key(lock, before));
            let wanted = limit - found.len();
            let entries =
                self.window.scan_prefix(Tree::History, &range.prefix(lock), after.as_deref(), wanted)?;
            for (key, value) in entries {
                found.push(index_history::entry(&key, &value).ok_or_else(malformed)?);
            }
        }
        Ok(found)
    }

    /// The range of a block that was applied before.
    fn history_range(&self, height: Height) -> Result<Range, StorageError> {
        let ranges = index_history::ranges(&self.window)?;
        let range = ranges.into_iter().rev().find(|(_, first)| *first <= height);
        Ok(range.map_or(Range::after(0), |(range, _)| range))
    }

    /// INV-HISTORY-1: the height from which on the history of addresses is complete; `None` in an index of an older version,
    /// which has none and has to be built again.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn history_from(&self) -> Result<Option<Height>, StorageError> {
        Ok(index_history::ranges(&self.window)?.first().map(|(_, height)| *height))
    }

    /// The mark with its state; `None` in an index where none was completed.
    ///
    /// # Errors
    /// Those of the store; [`StorageError::IndexMalformed`] if its state is not whole: build the index again.
    pub fn mark(&self) -> Result<Option<Mark>, StorageError> {
        let malformed = || StorageError::IndexMalformed { tree: Tree::State.name() };
        let Some(mark) = self.get::<MarkValue>(Tree::State, KEY_MARK)? else { return Ok(None) };
        let MarkValue { height, block_hash, state_bytes, state_sum, .. } = mark;
        let length = usize::try_from(state_bytes).map_err(|_| malformed())?;
        let mut state = Vec::new();
        for piece in 0..length.div_ceil(VALUE_BYTES_MAX) {
            let piece = u32::try_from(piece).map_err(|_| malformed())?;
            let bytes = self.window.get(Tree::State, &piece_key(height, piece))?.ok_or_else(malformed)?;
            state.extend_from_slice(&bytes);
        }
        if state.len() != length || crc32fast::hash(&state) != state_sum {
            return Err(malformed());
        }
        Ok(Some(Mark { height, block_hash, state }))
    }

    /// The format of an index that another version of the program wrote, which can't be used: build it again. Those of
    /// the first versions say none; what they lack is looked for by itself.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn unknown_format(&self) -> Result<Option<u32>, StorageError> {
        Ok(self.get::<u32>(Tree::State, KEY_FORMAT)?.filter(|format| *format != FORMAT))
    }

    /// At most `limit` entries of a tree behind a key, in order.
    pub(super) fn scan(
        &self,
        tree: Tree,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, StorageError> {
        self.window.scan_prefix(tree, &[], after, limit)
    }

    /// The highest block of which anything may be in the store; `None` if nothing ever was. If it is above the block
    /// log's height, the log has lost its end to damage, and the index has to be built again.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn highest_written(&self) -> Result<Option<Height>, StorageError> {
        self.get(Tree::State, KEY_HIGHEST)
    }

    /// Outputs that are unspent after the last block applied.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn unspent(&self) -> Result<u64, StorageError> {
        Ok(self.progress()?.unspent)
    }

    /// The last block applied; `None` before genesis.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn applied(&self) -> Result<Option<Height>, StorageError> {
        Ok(self.progress()?.height)
    }

    /// Memory of what was applied and is not written yet, in bytes, about.
    #[cfg(test)]
    pub(super) fn window_bytes(&self) -> usize {
        self.window.bytes()
    }

    fn progress(&self) -> Result<Progress, StorageError> {
        if let Some(progress) = *self.progress.lock() {
            return Ok(progress);
        }
        let mark = self.get::<MarkValue>(Tree::State, KEY_MARK)?;
        let progress = Progress {
            height: mark.as_ref().map(|mark| mark.height),
            unspent: mark.as_ref().map_or(0, |mark| mark.unspent),
            history: mark.map_or(0, |mark| mark.history),
            written: self.highest_written()?,
        };
        Ok(*self.progress.lock().get_or_insert(progress))
    }

    pub(super) fn set_progress(&self, progress: Progress) {
        *self.progress.lock() = Some(progress);
    }

    /// Applies the next block, or again one that was applied, and then those after it too; genesis as height 0 begins
    /// anew. Readers see it; it is not durable before [`Index::set_mark`].
    ///
    /// # Errors
    /// Those of the store; [`StorageError::IndexOrder`] if one was left out.
    pub fn apply(&self, change: &IndexChange) -> Result<(), StorageError> {
        let before = match change.height {
            0 => Progress { height: None, unspent: 0, history: 0, ..self.progress()? },
            _ => self.progress()?,
        };
        let next = before.height.map_or(0, |height| height.saturating_add(1));
        if change.height > next {
            let last = before.height.unwrap_or(0);
            return Err(StorageError::IndexOrder { last, found: change.height });
        }
        // What is there of this block already has to be removed by name.
        let is_next = change.height == next;
        let is_new = is_next && before.written.is_none_or(|written| written < change.height);
        let mut changes = Vec::new();
        self.outputs(change, is_new, &mut changes)?;
        let range = match is_next {
            true => Range::after(before.history),
            false => self.history_range(change.height)?,
        };
        let IndexChange { height, transactions, created, spent, .. } = change;
        let block = BlockHistory { height: *height, transactions, created, spent };
        let entries = index_history::history(&block, range, is_new);
        let history = before.history.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        changes.extend(entries);
        if *height == 0 {
            range.begin(0, &mut changes);
            changes.push(WindowChange::new(Tree::State, KEY_FORMAT.to_vec(), encode(&FORMAT), false));
        }
        if is_next && Range::after(history) != range {
            Range::after(history).begin(height.saturating_add(1), &mut changes);
        }
        rest(change, &mut changes);
        self.window.write(changes);
        if is_next {
            let made = u64::try_from(change.created.len()).unwrap_or(u64::MAX);
            let spent = u64::try_from(change.spent.len()).unwrap_or(u64::MAX);
            let unspent = before.unspent.saturating_add(made).saturating_sub(spent);
            *self.progress.lock() =
                Some(Progress { height: Some(change.height), unspent, history, ..before });
        }
        Ok(())
    }

    /// What a block does to outputs and addresses.
    fn outputs(
        &self,
        change: &IndexChange,
        is_new: bool,
        changes: &mut Vec<WindowChange>,
    ) -> Result<(), StorageError> {
        let mut records: BTreeMap<(TxId, u32), OutputRecord> = BTreeMap::new();
        for (place, txid) in (0_u32..).zip(&change.transactions) {
            records.insert((*txid, 0), OutputRecord::new(change.height, Some(place)));
        }
        for (outpoint, entry) in &change.created {
            let group = (outpoint.txid, outpoint.index / OUTPUTS_A_RECORD);
            let record = records.entry(group).or_insert_with(|| OutputRecord::new(entry.height, None));
            record.set(outpoint.index, entry.output);
            let key = address_key(&entry.output.lock, outpoint);
            changes.push(WindowChange::new(Tree::Address, key, Vec::new(), is_new));
        }
        for ((txid, group), record) in records {
            let key = record_key(&txid, group.saturating_mul(OUTPUTS_A_RECORD));
            changes.push(WindowChange::new(Tree::Output, key, encode(&record), is_new));
        }
        for (outpoint, entry) in &change.replaced {
            let malformed = StorageError::IndexMalformed { tree: Tree::Output.name() };
            let mut record = self.record(&outpoint.txid, outpoint.index)?.ok_or(malformed)?;
            record.set(outpoint.index, entry.output);
            let key = record_key(&outpoint.txid, outpoint.index);
            changes.push(WindowChange::new(Tree::Output, key, encode(&record), false));
        }
        for (outpoint, entry, by) in &change.spent {
            let value = encode(&(*by, change.height));
            changes.push(WindowChange::new(Tree::Spent, spent_key(outpoint), value, is_new));
            let key = address_key(&entry.output.lock, outpoint);
            changes.push(WindowChange::delete(Tree::Address, key));
        }
        Ok(())
    }

    /// Makes everything applied so far durable and marks it: `height` is the last change applied.
    ///
    /// # Errors
    /// Those of the store. The mark is then either the old or the new one, each with its whole state.
    pub fn set_mark(&self, height: Height, block_hash: BlockHash, state: &[u8]) -> Result<(), StorageError> {
        let store = self.window.store();
        let progress = self.progress()?;
        let written = progress.written.map_or(height, |written| written.max(height));
        store.write(vec![put(Tree::State, KEY_HIGHEST.to_vec(), encode(&written))])?;
        // Before any of it is there: a restart has to know of which blocks parts may be (INV-WINDOW-2).
        store.sync()?;
        self.window.flush()?;
        let pieces = (0_u32..).zip(state.chunks(VALUE_BYTES_MAX));
        let pieces =
            pieces.map(|(piece, bytes)| put(Tree::State, piece_key(height, piece), bytes.to_vec())).collect();
        store.write(pieces)?;
        store.sync()?;
        let mark = MarkValue {
            height,
            block_hash,
            unspent: progress.unspent,
            history: progress.history,
            state_bytes: u64::try_from(state.len()).unwrap_or(u64::MAX),
            state_sum: crc32fast::hash(state),
        };
        store.write(vec![put(Tree::State, KEY_MARK.to_vec(), encode(&mark))])?;
        store.sync()?;
        tracing::debug!(
            height,
            unspent = progress.unspent,
            window_bytes = self.window.bytes(),
            "Index marked"
        );
        self.window.clear();
        *self.progress.lock() = Some(Progress { written: Some(written), ..progress });
        self.delete_other_states(height)
    }

    fn delete_other_states(&self, height: Height) -> Result<(), StorageError> {
        let store = self.window.store();
        let kept = [STATE_PREFIX, height.to_be_bytes().as_slice()].concat();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let entries =
                store.scan_prefix(Tree::State, STATE_PREFIX, after.as_deref(), STATE_SCAN_ENTRIES)?;
            let Some((last, _)) = entries.last() else { return Ok(()) };
            after = Some(last.clone());
            let stale = entries.into_iter().filter(|(key, _)| !key.starts_with(&kept));
            store.write(stale.map(|(key, _)| Change::Delete { tree: Tree::State, key }).collect())?;
        }
    }
}

/// What a block adds beside outputs.
fn rest(change: &IndexChange, changes: &mut Vec<WindowChange>) {
    let mut put = |tree, key, value| changes.push(WindowChange::new(tree, key, value, false));
    put(Tree::Block, change.block_hash.0.to_vec(), encode(&change.height));
    for receipt in &change.receipts {
        put(Tree::Receipt, receipt.txid.0.to_vec(), encode(receipt));
    }
    index_epoch_keys::changes(change, &mut put);
    for evidence in &change.evidence {
        put(Tree::Evidence, evidence_key(evidence), encode(evidence));
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
