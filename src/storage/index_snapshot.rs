//! Fills an empty index from a snapshot.
//!
//! # Place
//! `consensus/replay.rs` does it where the block log does not begin at block 1.
//!
//! # Invariants
//! - INV-INDEX-SNAPSHOT-1: until all is there the index has no mark, and says that it has seen the snapshot's block. So one
//!   that a crash left half filled is thrown away at the next open.
//!
//! # Units
//! The records of outputs come in the order of their keys, addresses do not. Either goes to the store in batches of its own, in
//! order, which a store of tables takes as tables: [`RECORDS_BYTES`] of records, and [`ADDRESSES`], sorted, some 45 MB of memory.
//! The fewer tables share a range of keys, the less is merged later: five million outputs are twenty such batches.

use super::error::StorageError;
use super::index::{FORMAT, Index, KEY_FORMAT, KEY_HIGHEST, Progress};
use super::index_epoch_keys::of_snapshot;
use super::index_history::Range;
use super::index_records::{OUTPUTS_A_RECORD, OutputRecord, address_key, record_key};
use super::index_store::{Change, Tree, put};
use super::index_window::WindowChange;
use crate::protocol::finality_proof::ProvedEnd;
use crate::types::codec::encode;
use crate::types::{BlockHash, Header, OutPoint, TxId, UtxoEntry, ValidatorSet};

/// Bytes of keys and values of records that are written at once.
const RECORDS_BYTES: usize = 4 << 20;
/// Addresses that are sorted and written at once.
const ADDRESSES: usize = 262_144;

/// An index that is being filled.
pub struct SnapshotLoad<'a> {
    index: &'a Index,
    /// Transaction and group of the outputs that came last, which may go on.
    open: Option<((TxId, u32), OutputRecord)>,
    records: Vec<Change>,
    records_bytes: usize,
    addresses: Vec<Change>,
    outputs: u64,
}

/// What is known of the chain up to a snapshot's block.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotHead<'a> {
    /// The block.
    pub header: &'a Header,
    /// The last blocks of the epochs before its own.
    pub epoch_ends: &'a [BlockHash],
    /// The set of the next epoch.
    pub next_set: &'a ValidatorSet,
    /// Ends of epochs with their headers and commits.
    pub ends: &'a [ProvedEnd],
    /// The encoded ledger state after the block.
    pub state: &'a [u8],
}

impl Index {
    /// Begins to fill an empty index with the outputs after the block of this height.
    ///
    /// # Errors
    /// Those of the store.
    pub fn load_snapshot(&self, header: &Header) -> Result<SnapshotLoad<'_>, StorageError> {
        let store = self.window.store();
        store.write(vec![put(Tree::State, KEY_HIGHEST.to_vec(), encode(&header.height))])?;
        // Before any of it is there.
        store.sync()?;
        let (records, addresses) = (Vec::new(), Vec::new());
        Ok(SnapshotLoad { index: self, open: None, records, records_bytes: 0, addresses, outputs: 0 })
    }
}

impl SnapshotLoad<'_> {
    /// Takes outputs, which come in the order of their names.
    ///
    /// # Errors
    /// Those of the store.
    pub fn add(&mut self, outputs: &[(OutPoint, UtxoEntry)]) -> Result<(), StorageError> {
        for (outpoint, entry) in outputs {
            let group = (outpoint.txid, outpoint.index / OUTPUTS_A_RECORD);
            if self.open.as_ref().is_none_or(|(open, _)| *open != group) {
                self.close();
                self.open = Some((group, OutputRecord::new(entry.height, None)));
            }
            if let Some((_, record)) = &mut self.open {
                record.set(outpoint.index, entry.output);
            }
            self.addresses.push(put(Tree::Address, address_key(&entry.output.lock, outpoint), Vec::new()));
            self.outputs = self.outputs.saturating_add(1);
            if self.records_bytes >= RECORDS_BYTES {
                self.write_records()?;
            }
            if self.addresses.len() >= ADDRESSES {
                self.write_addresses()?;
            }
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some(((txid, group), record)) = self.open.take() {
            let (key, value) = (record_key(&txid, group.saturating_mul(OUTPUTS_A_RECORD)), encode(&record));
            self.records_bytes = self.records_bytes.saturating_add(key.len()).saturating_add(value.len());
            self.records.push(put(Tree::Output, key, value));
        }
    }

    fn write_records(&mut self) -> Result<(), StorageError> {
        self.records_bytes = 0;
        self.index.window.store().write(std::mem::take(&mut self.records))
    }

    fn write_addresses(&mut self) -> Result<(), StorageError> {
        let mut addresses = std::mem::take(&mut self.addresses);
        addresses.sort_unstable_by(|one, other| one.key().cmp(other.key()));
        self.index.window.store().write(addresses)
    }

    /// Marks the index at the snapshot's block, behind which blocks are applied now.
    ///
    /// # Errors
    /// Those of the store.
    pub fn finish(mut self, head: &SnapshotHead<'_>) -> Result<(), StorageError> {
        let SnapshotHead { header, epoch_ends, next_set, ends, state } = *head;
        self.close();
        self.write_records()?;
        self.write_addresses()?;
        let store = self.index.window.store();
        store.write(of_snapshot(header, epoch_ends, next_set, ends))?;
        let (height, hash) = (header.height, header.hash());
        let mut changes = Vec::new();
        Range::after(0).begin(height.saturating_add(1), &mut changes);
        changes.push(WindowChange::new(Tree::State, KEY_FORMAT.to_vec(), encode(&FORMAT), false));
        changes.push(WindowChange::new(Tree::Block, hash.0.to_vec(), encode(&height), false));
        self.index.window.write(changes);
        let (height, unspent, written) = (Some(height), self.outputs, Some(header.height));
        self.index.set_progress(Progress { height, unspent, history: 0, written });
        self.index.set_mark(header.height, hash, state)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::memory_index::MemoryIndex;
    use crate::types::{Amount, KeyHash, Lock, TxOut};

    fn outputs() -> Vec<(OutPoint, UtxoEntry)> {
        let output = |number: u8, index: u32| {
            let output = TxOut { value: Amount(index.into()), lock: Lock::KeyHash(KeyHash([number; 32])) };
            (OutPoint { txid: TxId([number; 32]), index }, UtxoEntry { output, height: number.into() })
        };
        (1..6).flat_map(|number| (0..40).map(move |index| output(number, index))).collect()
    }

    /// INV-INDEX-SNAPSHOT-1.
    #[test]
    fn an_index_that_is_half_filled_has_no_mark_and_one_that_is_full_has_every_output() {
        let header = crate::storage::block_log::tests::block(90).committed.block.header;
        // However the outputs are cut: a group of one transaction's may be in two chunks.
        for size in [1, 7, 40, 1_000] {
            let store = MemoryIndex::new();
            let index = Index::new(Arc::new(store.clone()));
            let mut load = index.load_snapshot(&header).unwrap();
            let (outputs, set) = (outputs(), ValidatorSet::new(Vec::new()));
            for chunk in outputs.chunks(size) {
                load.add(chunk).unwrap();
            }
            let begun = Index::new(Arc::new(store.clone()));
            assert_eq!(begun.mark().unwrap(), None);
            assert_eq!(begun.highest_written().unwrap(), Some(90));
            let names = [BlockHash([1; 32])];
            let state = vec![5; 20_000];
            load.finish(&SnapshotHead {
                header: &header,
                epoch_ends: &names,
                next_set: &set,
                ends: &[],
                state: &state,
            })
            .unwrap();
            let index = Index::new(Arc::new(store));
            let mark = index.mark().unwrap().unwrap();
            assert_eq!((mark.height, mark.block_hash, mark.state), (90, header.hash(), state));
            assert_eq!(index.unspent().unwrap(), 200);
            assert_eq!(index.unspent_outputs().map(Result::unwrap).collect::<Vec<_>>(), outputs);
            for (outpoint, entry) in &outputs {
                assert_eq!(index.utxo(outpoint).unwrap(), Some(*entry), "chunks of {size}");
            }
            let mine = Lock::KeyHash(KeyHash([3; 32]));
            assert_eq!(index.address_utxos(&mine, None, 100).unwrap().len(), 40);
            assert_eq!(index.epoch_end_hash(0).unwrap(), Some(names[0]));
            assert_eq!(index.epoch_end_hash(1).unwrap(), Some(header.hash()), "the block itself ends it");
            assert_eq!(index.epochs_from().unwrap(), header.epoch + 1);
            assert_eq!(index.unknown_format().unwrap(), None);
            assert_eq!(index.history_from().unwrap(), Some(91));
        }
    }

    /// Says in which order it was written to and synced.
    struct Recording {
        inner: MemoryIndex,
        done: Arc<parking_lot::Mutex<Vec<Done>>>,
    }

    #[derive(PartialEq, Debug)]
    enum Done {
        Written(Vec<Change>),
        Synced,
    }

    impl crate::storage::index_store::IndexStore for Recording {
        fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
            self.inner.get(tree, key)
        }

        fn scan_prefix(
            &self,
            tree: Tree,
            prefix: &[u8],
            after: Option<&[u8]>,
            limit: usize,
        ) -> Result<crate::storage::index_store::Entries, StorageError> {
            self.inner.scan_prefix(tree, prefix, after, limit)
        }

        fn write(&self, changes: Vec<Change>) -> Result<(), StorageError> {
            self.done.lock().push(Done::Written(changes.clone()));
            self.inner.write(changes)
        }

        fn sync(&self) -> Result<(), StorageError> {
            self.done.lock().push(Done::Synced);
            self.inner.sync()
        }
    }

    /// INV-INDEX-SNAPSHOT-1: a crash may take what was written last and leave what came before, or the other way round.
    #[test]
    fn that_an_index_is_being_filled_is_durable_before_anything_of_it_is_written() {
        let header = crate::storage::block_log::tests::block(90).committed.block.header;
        let done = Arc::default();
        let store = Recording { inner: MemoryIndex::new(), done: Arc::clone(&done) };
        let index = Index::new(Arc::new(store));
        let _load = index.load_snapshot(&header).unwrap();
        assert_eq!(index.highest_written().unwrap(), Some(90));
        assert!(matches!(done.lock()[..], [Done::Written(_), Done::Synced]));
    }

    /// A snapshot may have more outputs than there is memory for.
    #[test]
    fn outputs_are_written_as_they_come_and_do_not_gather_in_memory() {
        let header = crate::storage::block_log::tests::block(90).committed.block.header;
        let index = Index::new(Arc::new(MemoryIndex::new()));
        let mut load = index.load_snapshot(&header).unwrap();
        let output = TxOut { value: Amount(1), lock: Lock::KeyHash(KeyHash([7; 32])) };
        let entry = UtxoEntry { output, height: 1 };
        let mut most_bytes = 0;
        for number in 0..=u32::try_from(ADDRESSES).unwrap() {
            let mut txid = TxId::ZERO;
            txid.0[..4].copy_from_slice(&number.to_be_bytes());
            load.add(&[(OutPoint { txid, index: 0 }, entry)]).unwrap();
            assert!(load.addresses.len() < ADDRESSES, "{} after {number}", load.addresses.len());
            most_bytes = most_bytes.max(load.records_bytes);
        }
        assert!((RECORDS_BYTES / 2..RECORDS_BYTES + 1_000).contains(&most_bytes), "{most_bytes}");
        assert_eq!(load.addresses.len(), 1, "of the last one");
    }

    /// A store of tables takes what comes in the order of keys many times faster.
    #[test]
    fn records_and_addresses_come_to_the_store_each_in_the_order_of_their_keys() {
        let header = crate::storage::block_log::tests::block(90).committed.block.header;
        let done = Arc::default();
        let store = Recording { inner: MemoryIndex::new(), done: Arc::clone(&done) };
        let index = Index::new(Arc::new(store));
        let mut load = index.load_snapshot(&header).unwrap();
        done.lock().clear();
        load.add(&outputs()).unwrap();
        load.close();
        load.write_records().unwrap();
        load.write_addresses().unwrap();
        let done = done.lock();
        let [Done::Written(records), Done::Written(addresses)] = &done[..] else {
            panic!("each is written at once: {} steps", done.len())
        };
        assert_eq!((records.len(), addresses.len()), (5 * 3, 5 * 40));
        for (batch, tree) in [(records, Tree::Output), (addresses, Tree::Address)] {
            assert!(batch.iter().all(|change| change.tree() == tree));
            assert!(batch.is_sorted_by(|before, after| before.key() < after.key()), "{tree:?}");
        }
    }
}
