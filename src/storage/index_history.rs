//! What the index keeps of each address's past: one entry for each transaction that pays it or spends of it.
//!
//! # Place
//! A tree of [`Index`](super::Index). Entries carry what a reader wants to see, so that a page is one scan and reads
//! no block.
//!
//! # Keys
//! A lock's kind and the first [`LOCK_BYTES`] bytes of its hash, then height and place in the block, both counted down from
//! the highest number there is: the newest comes first. To get into somebody else's history by a lock that begins like
//! theirs takes some 2^128 hashes.
//!
//! # Cost
//! One key of 29 bytes and a value of some 42 for each address of a transaction. They are written once and never changed, with
//! the rest of the index's window. Beside a million outputs, in fjall, with three addresses a payment that nobody used before:
//! 19.4 us of CPU a payment instead of 9.1, 2.8 an output instead of 1.2, and 2.9 bytes on disk for each byte of the raw set
//! instead of 1.9 (`cargo bench --bench index -- fjall 1000000`, 2 cores, one run each after the other). The keys of a block
//! lie all over the tree, so that much is written again as it grows; ordered by ranges of blocks first, less would be.
//!
//! # Invariants
//! - INV-HISTORY-1: the history of an address is complete from the height on that [`Index::history_from`](super::Index::history_from) tells.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};

use super::index_store::Tree;
use super::index_window::WindowChange;
use crate::types::codec::{decode, encode};
use crate::types::{Amount, Height, Lock, OutPoint, TxId, UtxoEntry};

/// Bytes of a lock's hash that keys begin with.
const LOCK_BYTES: usize = 16;
/// From which height on the history is complete.
pub(super) const KEY_FROM: &[u8] = b"history";

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

pub(super) fn prefix(lock: &Lock) -> Vec<u8> {
    let Lock::KeyHash(hash) = lock;
    let mut key = vec![0];
    key.extend(hash.0.iter().take(LOCK_BYTES));
    key
}

pub(super) fn key(lock: &Lock, at: HistoryPlace) -> Vec<u8> {
    let mut key = prefix(lock);
    key.extend_from_slice(&(Height::MAX - at.height).to_be_bytes());
    key.extend_from_slice(&(u32::MAX - at.place).to_be_bytes());
    key
}

fn place_of(key: &[u8]) -> Option<HistoryPlace> {
    let (height, place) = key.get(1 + LOCK_BYTES..)?.split_first_chunk::<8>()?;
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

/// Notes that the history is complete: an index begins with genesis, or it has none.
pub(super) fn begin(changes: &mut Vec<WindowChange>) {
    let genesis: Height = 0;
    changes.push(WindowChange::new(Tree::State, KEY_FROM.to_vec(), encode(&genesis), false));
}

/// What a block adds to the history of addresses. `is_new` says that the store can't hold any of it.
pub(super) fn history(block: &BlockHistory<'_>, is_new: bool, changes: &mut Vec<WindowChange>) {
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
    for ((txid, lock), (received, sent)) in sums {
        let place = places.get(&txid).copied().unwrap_or_else(|| {
            unplaced = unplaced.saturating_add(1);
            unplaced.saturating_sub(1)
        });
        let key = key(&lock, HistoryPlace { height: block.height, place });
        let value = encode(&Value { txid, received, sent });
        changes.push(WindowChange::new(Tree::History, key, value, is_new));
    }
}
