//! An index store in memory, for the simulator and tests: it may forget what was not synced when told to crash.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;

use super::error::StorageError;
use super::index_store::{Change, Entries, IndexStore, Tree};

type Key = (Tree, Vec<u8>);

#[derive(Default)]
struct State {
    map: BTreeMap<Key, Vec<u8>>,
    /// What the keys changed since the last sync had at that time, oldest change first.
    undo: Vec<(Key, Option<Vec<u8>>)>,
}

/// A store in memory. Clones are the same store.
#[derive(Clone, Default)]
pub struct MemoryIndex {
    state: Arc<Mutex<State>>,
}

impl MemoryIndex {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Loses power: of the keys changed since the last sync each has its new value or the one it had at the sync, by the
    /// seed. That is harsher than sled, which loses the latest changes first.
    pub fn crash(&self, seed: u64) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let mut synced = BTreeMap::new();
        for (key, before) in state.undo.drain(..) {
            synced.entry(key).or_insert(before);
        }
        for (place, (key, before)) in synced.into_iter().enumerate() {
            let is_lost = crc32fast::hash(format!("{seed} {place}").as_bytes()).is_multiple_of(2);
            match before {
                _ if !is_lost => {}
                Some(value) => drop(state.map.insert(key, value)),
                None => drop(state.map.remove(&key)),
            }
        }
    }
}

impl IndexStore for MemoryIndex {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.state.lock().map.get(&(tree, key.to_vec())).cloned())
    }

    fn scan_prefix(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, StorageError> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded((tree, after.to_vec())),
            _ => Bound::Included((tree, prefix.to_vec())),
        };
        let state = self.state.lock();
        let entries = state
            .map
            .range((start, Bound::Unbounded))
            .take_while(|((found, key), _)| *found == tree && key.starts_with(prefix));
        Ok(entries.take(limit).map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        for change in changes {
            let (key, before) = match change {
                Change::Put { tree, key, value } => {
                    let key = (tree, key);
                    let before = state.map.insert(key.clone(), value);
                    (key, before)
                }
                Change::Delete { tree, key } => {
                    let key = (tree, key);
                    let before = state.map.remove(&key);
                    (key, before)
                }
            };
            state.undo.push((key, before));
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.state.lock().undo.clear();
        Ok(())
    }
}
