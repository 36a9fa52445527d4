//! redb 4 as an index store, to compare with.

use std::ops::Bound;
use std::path::Path;

use redb::{Database, Durability, ReadableDatabase as _, TableDefinition};
use timed::storage::index_store::Entries;
use timed::storage::{Change, IndexStore, StorageError, Tree};

const fn table(tree: Tree) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(tree.name())
}

fn failed(error: impl std::fmt::Display) -> StorageError {
    StorageError::Index { reason: error.to_string() }
}

pub(crate) struct RedbIndex(Database);

impl RedbIndex {
    pub(crate) fn open(path: &Path, cache_mb: u64) -> Result<Self, StorageError> {
        std::fs::create_dir_all(path).map_err(failed)?;
        let cache = usize::try_from(cache_mb << 20).map_err(failed)?;
        let database = Database::builder().set_cache_size(cache).create(path.join("redb")).map_err(failed)?;
        let open = database.begin_write().map_err(failed)?;
        for tree in Tree::ALL {
            open.open_table(table(tree)).map_err(failed)?;
        }
        open.commit().map_err(failed)?;
        Ok(Self(database))
    }
}

impl IndexStore for RedbIndex {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let read = self.0.begin_read().map_err(failed)?;
        let found = read.open_table(table(tree)).map_err(failed)?.get(key).map_err(failed)?;
        Ok(found.map(|value| value.value().to_vec()))
    }

    fn scan_prefix(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, StorageError> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let read = self.0.begin_read().map_err(failed)?;
        let opened = read.open_table(table(tree)).map_err(failed)?;
        let mut entries = Vec::new();
        for entry in opened.range::<&[u8]>((start, Bound::Unbounded)).map_err(failed)?.take(limit) {
            let (key, value) = entry.map_err(failed)?;
            if !key.value().starts_with(prefix) {
                break;
            }
            entries.push((key.value().to_vec(), value.value().to_vec()));
        }
        Ok(entries)
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        let mut write = self.0.begin_write().map_err(failed)?;
        write.set_durability(Durability::None).map_err(failed)?;
        for change in changes {
            let mut opened = write.open_table(table(change.tree())).map_err(failed)?;
            match &change {
                Change::Put { key, value, .. } => opened.insert(key.as_slice(), value.as_slice()),
                Change::Delete { key, .. } => opened.remove(key.as_slice()),
            }
            .map_err(failed)?;
        }
        write.commit().map_err(failed)
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.0.begin_write().map_err(failed)?.commit().map_err(failed)
    }
}
