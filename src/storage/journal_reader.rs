//! Reads records of the vote journal, one at a time, from any thread.
//!
//! # Place
//! Handed out by [`JournalWriter`](super::JournalWriter) with the journal it opened or made.
//!
//! # Invariants
//! - INV-STORAGE-2 of [`super`]: each read checks the record's checksum.
//!
//! # Units
//! The map of bodies takes about [`BODY_PLACE_BYTES`] for each body that the journal retains, whatever its size.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::disk::Disk;
use super::error::StorageError;
use super::journal_contents::RecordPlace;
use super::journal_record::{FrameRecords, JournalRecord, RECORD_HEAD_BYTES};
use super::segment_log::{Position, SegmentReader};
use crate::types::{Transaction, TxId};

/// Memory of one body's place in the map, in bytes, with the map's own overhead.
pub const BODY_PLACE_BYTES: usize = 128;

/// Where the last journaled body of each transaction lies. It holds retained segments only, so it is bounded by what
/// the journal holds of the running epoch and those not yet pruned.
#[derive(Clone, Default)]
pub(super) struct Bodies(Arc<RwLock<HashMap<TxId, RecordPlace, ahash::RandomState>>>);

impl Bodies {
    pub(super) fn note(&self, record: &JournalRecord, place: RecordPlace) {
        if let JournalRecord::Transaction(transaction) = record {
            self.0.write().insert(transaction.txid(), place);
        }
    }

    /// Forgets bodies in segments before this one.
    pub(super) fn retain_from(&self, sequence: u64) {
        self.0.write().retain(|_, place| place.0.sequence >= sequence);
    }

    fn get(&self, txid: &TxId) -> Option<RecordPlace> {
        self.0.read().get(txid).copied()
    }
}

/// Reads journaled records from any thread.
pub struct JournalReader<D: Disk> {
    reader: SegmentReader<D>,
    bodies: Bodies,
}

impl<D: Disk> Clone for JournalReader<D> {
    fn clone(&self) -> Self {
        Self { reader: self.reader.clone(), bodies: self.bodies.clone() }
    }
}

impl<D: Disk> JournalReader<D> {
    pub(super) const fn new(reader: SegmentReader<D>, bodies: Bodies) -> Self {
        Self { reader, bodies }
    }

    /// The record at a place that the journal's contents name.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`]; [`StorageError::Io`], also when its segment was pruned.
    pub fn record(&self, place: RecordPlace) -> Result<JournalRecord, StorageError> {
        let found = place.0;
        let whole = Position {
            offset: found.offset.saturating_sub(u64::from(RECORD_HEAD_BYTES)),
            length: found.length.saturating_add(RECORD_HEAD_BYTES),
            ..found
        };
        let bytes = self.reader.bytes(whole)?;
        match FrameRecords::of(&bytes).next().flatten() {
            Some((_, record)) => Ok(record),
            None => Err(self.reader.corrupt(found, "a record")),
        }
    }

    /// The journaled body of a transaction; `None` if there is none, or it went with an old epoch.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`], [`StorageError::Io`].
    pub fn transaction(&self, txid: &TxId) -> Result<Option<Arc<Transaction>>, StorageError> {
        let Some(place) = self.bodies.get(txid) else { return Ok(None) };
        match self.record(place) {
            Ok(JournalRecord::Transaction(transaction)) if transaction.txid() == *txid => {
                Ok(Some(transaction))
            }
            // The segment was pruned between the look into the map and the read.
            Err(_) if self.bodies.get(txid) != Some(place) => Ok(None),
            Err(error) => Err(error),
            Ok(_) => Err(self.reader.corrupt(place.0, "a transaction's body")),
        }
    }

    /// The error for a record that is not what it should be.
    #[must_use]
    pub fn damaged(&self, place: RecordPlace, what: &'static str) -> StorageError {
        self.reader.corrupt(place.0, what)
    }

    /// The transactions whose bodies are here, in the order of their ids.
    #[must_use]
    pub fn transactions(&self) -> Vec<TxId> {
        let mut ids: Vec<TxId> = self.bodies.0.read().keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// About how much memory the places of the bodies take, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.bodies.0.read().len() * BODY_PLACE_BYTES
    }
}
