//! What the index keeps of each address's past: one entry for each transaction that pays it or spends of it.
//!
//! # Place
//! A tree of [`Index`](super::Index). Entries carry what a reader wants to see, so that a page reads no block.
//!
//! # Keys
//! A range of blocks, a lock's kind and the first [`LOCK_BYTES`] bytes of its hash, then height and place in the block. Those two
//! are counted down from the highest number there is: within a range the newest comes first. To get into somebody
//! else's history by a lock that begins like theirs takes some 2^128 hashes.
//!
//! # Ranges
//! Locks are random: a tree in their order alone is written again and again as it grows. So a range ends with the block
//! that brings it to [`RANGE_ENTRIES`] entries, and nothing is added to it any more. A reader looks into each range, which
//! some 350,000 payments fill. Where ranges begin follows from the blocks alone, and stands in the tree of states.
//!
//! # Cost
//! One key of 33 bytes and a value of some 42 for each address of a transaction, written once and never changed, with the
//! rest of the index's window. In fjall, with three addresses a payment that nobody used before, beside a million outputs:
//! 18 us of CPU a payment instead of 10 without any history, 2.7 an output instead of 1.1, and 2.9 bytes on disk for each byte
//! of the raw set instead of 1.9. Beside 5 million, ranges make of 23 and 27 us a payment 17 and 21, and of the longest mark 0.5
//! to 0.9 s instead of 2.1 (`cargo bench --bench index -- fjall 5000000`, two runs each in turns, 2 busy cores).
//!
//! # Invariants
//! - INV-HISTORY-1: the history of an address is complete from the height on that [`Index::history_from`](super::Index::history_from) tells.
//! - INV-HISTORY-2: a block that is applied again, also after a crash, writes the same keys.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};

use super::error::StorageError;
use super::index_store::Tree;
use super::index_window::{IndexWindow, WindowChange};
use crate::types::codec::{decode, encode};
use crate::types::{Amount, Height, Lock, OutPoint, TxId, UtxoEntry};

/// Bytes of a lock's hash that keys begin with.
const LOCK_BYTES: usize = 16;
/// Bytes of a range's number, a lock's kind, and what there is of its hash.
const PREFIX_BYTES: usize = 4 + 1 + LOCK_BYTES;
/// Bytes of a key.
const KEY_BYTES: usize = PREFIX_BYTES + 8 + 4;
/// Entries of a range: with the block that reaches this number it ends. Few in tests, which so have many ranges.
pub(super) const RANGE_ENTRIES: u64 = if cfg!(test) { 5 } else { 1 << 20 };
/// Ranges that are read, at most: they hold ten billion entries.
const RANGES_MAX: usize = 10_000;
/// What the names of ranges begin with in the tree of states.
const RANGE_PREFIX: &[u8] = b"history/";

/// A place in the chain: of a transaction in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryPlace {
    /// The block; 0 for the genesis document.
    pub height: Height,
    /// The place in it, from 0.
    pub place: u32,
}

/// What one transaction did to one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Where it is in the chain.
    pub at: HistoryPlace,
    /// The transaction.
    pub txid: TxId,
    /// What the address got by it.
    pub received: Amount,
    /// What it spent of the address.
    pub sent: Amount,
}

#[derive(Encode, Decode)]
struct Value {
    txid: TxId,
    received: Amount,
    sent: Amount,
}

/// A range of blocks, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range(u32);

impl Range {
    /// Where a block's entries go that has so many before it.
    pub(super) fn after(entries: u64) -> Self {
        Self(u32::try_from(entries / RANGE_ENTRIES).unwrap_or(u32::MAX))
    }

    /// What the keys of a lock begin with.
    pub(super) fn prefix(self, lock: &Lock) -> Vec<u8> {
        let Lock::KeyHash(hash) = lock;
        let mut key = Vec::with_capacity(KEY_BYTES);
        key.extend_from_slice(&self.0.to_be_bytes());
        key.push(0);
        key.extend(hash.0.iter().take(LOCK_BYTES));
        key
    }

    pub(super) fn key(self, lock: &Lock, at: HistoryPlace) -> Vec<u8> {
        let mut key = self.prefix(lock);
        key.extend_from_slice(&(Height::MAX - at.height).to_be_bytes());
        key.extend_from_slice(&(u32::MAX - at.place).to_be_bytes());
        key
    }

    /// Notes the height that it begins with.
    pub(super) fn begin(self, height: Height, changes: &mut Vec<WindowChange>) {
        let name = [RANGE_PREFIX, self.0.to_be_bytes().as_slice()].concat();
        changes.push(WindowChange::new(Tree::State, name, encode(&height), false));
    }
}

/// The ranges, each with its first height, ascending. One that a crash undid may be among them, and is empty.
///
/// # Errors
/// Those of the store, [`StorageError::IndexMalformed`].
pub(super) fn ranges(window: &IndexWindow) -> Result<Vec<(Range, Height)>, StorageError> {
    let range = |(name, value): (Vec<u8>, Vec<u8>)| {
        let number = name.strip_prefix(RANGE_PREFIX)?.try_into().ok()?;
        Some((Range(u32::from_be_bytes(number)), decode(&value).ok()?))
    };
    let malformed = || StorageError::IndexMalformed { tree: Tree::State.name() };
    let entries = window.scan_prefix(Tree::State, RANGE_PREFIX, None, RANGES_MAX)?;
    entries.into_iter().map(|entry| range(entry).ok_or_else(malformed)).collect()
}

fn place_of(key: &[u8]) -> Option<HistoryPlace> {
    let (height, place) = key.get(PREFIX_BYTES..)?.split_first_chunk::<8>()?;
    let height = Height::MAX - u64::from_be_bytes(*height);
    Some(HistoryPlace { height, place: u32::MAX - u32::from_be_bytes(place.try_into().ok()?) })
}

/// What a block does to outputs, as far as addresses are concerned.
pub(super) struct BlockHistory<'a> {
    pub(super) height: Height,
    pub(super) transactions: &'a [TxId],
    pub(super) created: &'a [(OutPoint, UtxoEntry)],
    /// Each with who spends it.
    pub(super) spent: &'a [(OutPoint, UtxoEntry, TxId)],
}

/// What an entry of the tree says; `None` if it is none.
pub(super) fn entry(key: &[u8], value: &[u8]) -> Option<HistoryEntry> {
    let Value { txid, received, sent } = decode(value).ok()?;
    Some(HistoryEntry { at: place_of(key)?, txid, received, sent })
}

/// What a block adds to the history of addresses, in its range. `is_new` says that the store can't hold any of it.
pub(super) fn history(block: &BlockHistory<'_>, range: Range, is_new: bool) -> Vec<WindowChange> {
    let places: BTreeMap<TxId, u32> = block.transactions.iter().copied().zip(0..).collect();
    let mut sums: BTreeMap<(TxId, Lock), (Amount, Amount)> = BTreeMap::new();
    for (outpoint, entry) in block.created {
        let sum = sums.entry((outpoint.txid, entry.output.lock)).or_default();
        sum.0 = Amount(sum.0.0.saturating_add(entry.output.value.0));
    }
    for (_, entry, by) in block.spent {
        let sum = sums.entry((*by, entry.output.lock)).or_default();
        sum.1 = Amount(sum.1.0.saturating_add(entry.output.value.0));
    }
    // The genesis document has no transactions: its outputs stand in the order of their names.
    let mut unplaced = 0_u32;
    let change = |((txid, lock), (received, sent))| {
        let place = places.get(&txid).copied().unwrap_or_else(|| {
            unplaced = unplaced.saturating_add(1);
            unplaced.saturating_sub(1)
        });
        let key = range.key(&lock, HistoryPlace { height: block.height, place });
        let value = encode(&Value { txid, received, sent });
        WindowChange::new(Tree::History, key, value, is_new)
    };
    sums.into_iter().map(change).collect()
}
