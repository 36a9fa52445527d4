//! What the index keeps of outputs: records of some of a transaction's outputs, and the keys of spends and addresses.
//!
//! # Place
//! Keys and values of three of [`Index`](super::index::Index)'s trees.

use bincode::{Decode, Encode};

use crate::types::{Height, Lock, OutPoint, TxId, TxOut, UtxoEntry};

/// Outputs of one transaction that share a record: reading one of a thousand does not read all of them.
pub(super) const OUTPUTS_A_RECORD: u32 = 16;
/// Bytes of a lock's hash that addresses' keys begin with. Whoever finds a key compares the whole lock in the record.
/// Locks that begin like somebody else's take some 2^79 hashes to find.
const LOCK_BYTES: usize = 10;
/// Bytes of an outpoint in a key.
const OUTPOINT_BYTES: usize = 36;

/// Some outputs of one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct OutputRecord {
    /// The block that the transaction is in; 0 for the genesis document's outputs.
    pub(super) height: Height,
    /// The transaction's place in that block, in its first record. Genesis has no transactions.
    pub(super) place: Option<u32>,
    /// Place in the group and output, ascending.
    outputs: Vec<(u8, TxOut)>,
}

/// An output's place in its group.
fn place_in_group(index: u32) -> u8 {
    u8::try_from(index % OUTPUTS_A_RECORD).unwrap_or(u8::MAX)
}

impl OutputRecord {
    pub(super) const fn new(height: Height, place: Option<u32>) -> Self {
        Self { height, place, outputs: Vec::new() }
    }

    /// An output of the group, spent or not.
    pub(super) fn entry(&self, index: u32) -> Option<UtxoEntry> {
        let found = self.outputs.binary_search_by_key(&place_in_group(index), |(place, _)| *place).ok()?;
        self.outputs.get(found).map(|(_, output)| UtxoEntry { output: *output, height: self.height })
    }

    pub(super) fn set(&mut self, index: u32, output: TxOut) {
        let place = place_in_group(index);
        match self.outputs.binary_search_by_key(&place, |(place, _)| *place) {
            Ok(found) => {
                if let Some(known) = self.outputs.get_mut(found) {
                    known.1 = output;
                }
            }
            Err(missing) => self.outputs.insert(missing, (place, output)),
        }
    }
}

/// The outputs of a record, spent ones too, by the record's key; `None` if it is no key of a record.
pub(super) fn outputs_of_record(key: &[u8], record: &OutputRecord) -> Option<Vec<(OutPoint, UtxoEntry)>> {
    let (txid, group) = key.split_first_chunk::<32>()?;
    let first = u32::from_be_bytes(group.try_into().ok()?).checked_mul(OUTPUTS_A_RECORD)?;
    let output = |(place, output): &(u8, TxOut)| {
        let outpoint = OutPoint { txid: TxId(*txid), index: first.checked_add(u32::from(*place))? };
        Some((outpoint, UtxoEntry { output: *output, height: record.height }))
    };
    record.outputs.iter().map(output).collect()
}

/// A transaction and a number, so that the keys of one transaction are in order.
fn numbered(mut key: Vec<u8>, txid: &TxId, number: u32) -> Vec<u8> {
    key.extend_from_slice(&txid.0);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// The key of the record that has an output.
pub(super) fn record_key(txid: &TxId, index: u32) -> Vec<u8> {
    numbered(Vec::with_capacity(OUTPOINT_BYTES), txid, index / OUTPUTS_A_RECORD)
}

/// The key that says who spent an output.
pub(super) fn spent_key(outpoint: &OutPoint) -> Vec<u8> {
    numbered(Vec::with_capacity(OUTPOINT_BYTES), &outpoint.txid, outpoint.index)
}

/// What the keys of a lock's outputs begin with: the lock's kind and a part of its hash.
pub(super) fn address_prefix(lock: &Lock) -> Vec<u8> {
    let Lock::KeyHash(hash) = lock;
    let mut key = Vec::with_capacity(1 + LOCK_BYTES + OUTPOINT_BYTES);
    key.push(0);
    key.extend(hash.0.iter().take(LOCK_BYTES));
    key
}

/// The key of an unspent output of a lock. Those of one lock are in the order of the outputs' names.
pub(super) fn address_key(lock: &Lock, outpoint: &OutPoint) -> Vec<u8> {
    numbered(address_prefix(lock), &outpoint.txid, outpoint.index)
}

/// The output that an address's key names.
pub(super) fn outpoint_of_address(key: &[u8]) -> Option<OutPoint> {
    let (txid, index) = key.get(1 + LOCK_BYTES..)?.split_first_chunk::<32>()?;
    Some(OutPoint { txid: TxId(*txid), index: u32::from_be_bytes(index.try_into().ok()?) })
}
