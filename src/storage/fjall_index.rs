//! The index store for large sets: fjall 3, a log-structured merge tree.
//!
//! # Place
//! Behind [`IndexGuard`](super::index_guard::IndexGuard), which takes its panics, where `[storage] engine` asks for it.
//! Blocking: called from the writer's thread and through `spawn_blocking`.
//!
//! # Invariants
//! - What the index hands in at once and in the order of its keys becomes a table of the tree at once, synced, without the
//!   detour through fjall's own journal: the block log is the journal. Small or unordered changes take the usual way.
//! - [`StorageError::Index`] means damage. What the operating system refuses for want of room, rights or handles is
//!   [`StorageError::Io`], and no reason to build the index again.
//!
//! # Units
//! The cache is in MiB. Beside it fjall keeps an index of about 2 % of the data in memory, and [`MEMTABLE_BYTES`] a tree.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::compaction::Leveled;
use fjall::config::{
    BlockSizePolicy, BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry, PartitioningPolicy,
    PinningPolicy,
};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::error::StorageError;
use super::index_guard::without_panic;
use super::index_store::{Change, Entries, IndexStore, Tree, VALUE_BYTES_MAX};
use super::sled_index::is_of_machine;
use crate::runtime::{Clock, metric_names};

/// Ordered changes of one tree that are worth a table of their own.
const TABLE_CHANGES_MIN: usize = 1_024;
/// Memory of what one tree has not written yet, in bytes.
const MEMTABLE_BYTES: u64 = 8 << 20;
/// Memory beside cache and index, in bytes, at most: of each tree what is not written yet, and what is being written.
pub const FJALL_BYTES_MAX: usize = 128 << 20;
/// Bytes of fjall's own journal, at most; the least that it takes.
const JOURNAL_BYTES: u64 = 64 << 20;
/// Threads that merge tables.
const MERGE_THREADS: usize = 1;
/// Tables that wait to be merged, at most, before they are. Keys are random, so each merge writes all of the next level
/// again: the more tables share one, the less is written. Four, the default, cost 28 us of CPU a payment in a set of a
/// million outputs, 16 cost 23, 32 cost 19, but twice as long at the node's stop, which waits for a merge.
const TABLES_UNMERGED_MAX: u8 = 16;
/// Bytes of a merged table.
const TABLE_BYTES: u64 = 16 << 20;
/// How much larger each level is than the one before.
const LEVEL_RATIO: f32 = 10.0;
/// Bits of a key's filter: one of 120 lookups of what is not there reads a table in vain.
const FILTER_BITS: f32 = 10.0;
/// Bytes that are read to find one key. Of the sizes 4, 2 KiB the smaller one took a third off a lookup's CPU.
const READ_BYTES: u32 = 2 << 10;

/// An open fjall database.
pub struct FjallIndex {
    path: PathBuf,
    database: Database,
    /// In the order of [`Tree::ALL`].
    trees: Vec<Keyspace>,
}

/// How a tree is kept.
fn options(tree: Tree) -> KeyspaceCreateOptions {
    let merging = Leveled::default()
        .with_l0_threshold(TABLES_UNMERGED_MAX)
        .with_table_target_size(TABLE_BYTES)
        .with_level_ratio_policy(vec![LEVEL_RATIO]);
    let filter = match tree {
        // They are read in ranges alone, where filters do not help.
        Tree::Address | Tree::History => FilterPolicyEntry::None,
        _ => FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(FILTER_BITS)),
    };
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES)
        .compaction_strategy(Arc::new(merging))
        .filter_policy(FilterPolicy::all(filter))
        .data_block_size_policy(BlockSizePolicy::all(READ_BYTES))
        .index_block_partitioning_policy(PartitioningPolicy::all(false))
        .index_block_pinning_policy(PinningPolicy::all(true))
}

impl FjallIndex {
    /// Opens the database in a directory, or makes it.
    ///
    /// # Errors
    /// [`StorageError::Unopenable`]: remove it and build it again; [`StorageError::InUse`] if it is open already;
    /// [`StorageError::Io`].
    pub fn open(path: &Path, cache_mb: u64) -> Result<Self, StorageError> {
        std::fs::create_dir_all(path).map_err(StorageError::io("create directory", path))?;
        let open = || {
            let database = Database::builder(path)
                .cache_size(cache_mb.saturating_mul(1 << 20))
                .max_journaling_size(JOURNAL_BYTES)
                .worker_threads(MERGE_THREADS)
                .open()?;
            let trees = Tree::ALL.map(|tree| database.keyspace(tree.name(), || options(tree)));
            Ok::<_, fjall::Error>((database, trees.into_iter().collect::<Result<Vec<_>, _>>()?))
        };
        let unopenable = |reason: String| StorageError::Unopenable { path: path.to_path_buf(), reason };
        let opened = without_panic(|| Ok(open())).map_err(|panic| unopenable(panic.to_string()))?;
        let (database, trees) = opened.map_err(|error| match error {
            fjall::Error::Locked => StorageError::InUse { path: path.to_path_buf(), holder: None },
            fjall::Error::Io(error) if is_of_machine(&error) => {
                StorageError::io("open the index", path)(error)
            }
            error => unopenable(error.to_string()),
        })?;
        Ok(Self { path: path.to_path_buf(), database, trees })
    }

    fn failed(&self, error: fjall::Error) -> StorageError {
        match error {
            fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error))
                if is_of_machine(&error) =>
            {
                StorageError::io("read or write the index", &self.path)(error)
            }
            error => StorageError::Index { reason: error.to_string() },
        }
    }

    fn tree(&self, tree: Tree) -> Result<&Keyspace, StorageError> {
        let place = Tree::ALL.iter().position(|candidate| *candidate == tree);
        let not_open = || StorageError::Index { reason: "a tree is not open".to_owned() };
        place.and_then(|place| self.trees.get(place)).ok_or_else(not_open)
    }

    /// Writes changes of one tree in ascending order as a table.
    fn ingest(&self, tree: &Keyspace, changes: Vec<Change>) -> Result<(), fjall::Error> {
        let mut table = tree.start_ingestion()?;
        for change in changes {
            match change {
                Change::Put { key, value, .. } => table.write(key, value)?,
                Change::Delete { key, .. } => table.write_tombstone(key)?,
            }
        }
        table.finish()
    }

    fn batch(&self, tree: &Keyspace, changes: Vec<Change>) -> Result<(), fjall::Error> {
        let mut batch = self.database.batch();
        for change in changes {
            match change {
                Change::Put { key, value, .. } => batch.insert(tree, key, value),
                Change::Delete { key, .. } => batch.remove(tree, key),
            }
        }
        batch.commit()
    }
}

/// Whether the keys ascend, each once.
fn is_ascending(changes: &[Change]) -> bool {
    changes.is_sorted_by(|before, after| before.key() < after.key())
}

impl IndexStore for FjallIndex {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.tree(tree)?.get(key).map_err(|error| self.failed(error))?.map(|value| value.to_vec()))
    }

    fn scan_prefix(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, StorageError> {
        use std::ops::Bound;
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut entries = Vec::new();
        for entry in self.tree(tree)?.range::<&[u8], _>((start, Bound::Unbounded)).take(limit) {
            let (key, value) = entry.into_inner().map_err(|error| self.failed(error))?;
            if !key.starts_with(prefix) {
                break;
            }
            entries.push((key.to_vec(), value.to_vec()));
        }
        Ok(entries)
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        let mut rest = changes.into_iter().peekable();
        while let Some(tree) = rest.peek().map(Change::tree) {
            let mut run = Vec::new();
            while let Some(change) = rest.next_if(|change| change.tree() == tree) {
                if let Change::Put { value, .. } = &change
                    && value.len() > VALUE_BYTES_MAX
                {
                    let (bytes, limit) = (value.len(), VALUE_BYTES_MAX);
                    return Err(StorageError::RecordTooLarge { bytes, limit });
                }
                run.push(change);
            }
            let keyspace = self.tree(tree)?;
            let outcome = if run.len() >= TABLE_CHANGES_MIN && is_ascending(&run) {
                self.ingest(keyspace, run)
            } else {
                self.batch(keyspace, run)
            };
            outcome.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StorageError> {
        let started = Clock.instant();
        self.database.persist(PersistMode::SyncData).map_err(|error| self.failed(error))?;
        metrics::histogram!(metric_names::STORAGE_FLUSH_SECONDS).record(started.elapsed().as_secs_f64());
        Ok(())
    }
}

#[cfg(test)]
#[path = "fjall_tests.rs"]
mod tests;
