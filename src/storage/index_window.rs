//! What was applied to the index and is not in its store yet.
//!
//! # Place
//! Between [`Index`](super::index::Index) and its store. Blocks are applied here, in memory; when the mark moves all of
//! it is written, in the order of the keys. What is put and deleted in between is never written.
//!
//! # Invariants
//! - INV-WINDOW-1: readers find the window's word before the store's, and never neither, also while it is written.
//! - INV-WINDOW-2: what is deleted may be left out of what is written only if the store can't hold it: it was put as new
//!   since the last mark.
//!
//! # Bounds
//! It holds the blocks since the mark: less than [`MARK_ENTRIES`](super::index_writer::MARK_ENTRIES) entries and one block.
//! With what is on its way to the store that is [`WINDOW_BYTES_MAX`], which only the largest block comes near.
//!
//! # Concurrency
//! One writer; any number of readers. Readers wait while a block's changes are taken in, not while they are written.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

use super::error::StorageError;
use super::index_store::{Change, Entries, IndexStore, Tree, put};

/// Memory of the window at its largest, in bytes.
pub(super) const WINDOW_BYTES_MAX: usize = 96 << 20;
/// Changes that are handed to the store at once.
const BATCH_CHANGES: usize = 32_768;
/// Entries of window and store that a scan looks at in one step, at least: many of them may be deleted.
const SCAN_STEP: usize = 64;
/// Memory of a change beside its key and value, in bytes.
const CHANGE_OVERHEAD_BYTES: usize = 80;

/// One change of one key.
pub(super) struct WindowChange {
    tree: Tree,
    key: Vec<u8>,
    pending: Pending,
}

impl WindowChange {
    /// Sets a key; `is_new` says that the store can't hold it.
    pub(super) const fn new(tree: Tree, key: Vec<u8>, value: Vec<u8>, is_new: bool) -> Self {
        Self { tree, key, pending: if is_new { Pending::New(value) } else { Pending::Put(value) } }
    }

    pub(super) const fn delete(tree: Tree, key: Vec<u8>) -> Self {
        Self { tree, key, pending: Pending::Delete }
    }
}

enum Pending {
    Put(Vec<u8>),
    /// The store has nothing under this key.
    New(Vec<u8>),
    Delete,
}

impl Pending {
    const fn value(&self) -> Option<&Vec<u8>> {
        match self {
            Self::Put(value) | Self::New(value) => Some(value),
            Self::Delete => None,
        }
    }

    fn value_bytes(&self) -> usize {
        self.value().map_or(0, Vec::len)
    }

    /// What both of them come to; `None` if the key was never there.
    fn followed_by(&self, next: Self) -> Option<Self> {
        match (self, next) {
            (Self::New(_), Self::Delete) => None,
            (Self::New(_), Self::Put(value)) => Some(Self::New(value)),
            (Self::Put(_) | Self::Delete, Self::New(value)) => Some(Self::Put(value)),
            (_, next) => Some(next),
        }
    }
}

type Changes = BTreeMap<Vec<u8>, Pending>;

/// The window over a store.
pub(super) struct IndexWindow {
    store: Arc<dyn IndexStore>,
    changes: RwLock<BTreeMap<Tree, Changes>>,
    bytes: AtomicUsize,
}

impl IndexWindow {
    pub(super) fn new(store: Arc<dyn IndexStore>) -> Self {
        Self { store, changes: RwLock::default(), bytes: AtomicUsize::new(0) }
    }

    /// What lies below: for what belongs to no block.
    pub(super) fn store(&self) -> &dyn IndexStore {
        &*self.store
    }

    /// Memory of the window, in bytes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let changes = self.changes.read();
        if let Some(pending) = changes.get(&tree).and_then(|changes| changes.get(key)) {
            return Ok(pending.value().cloned());
        }
        // Let go first: the store may take its time. What the window loses meanwhile, the store has.
        drop(changes);
        self.store.get(tree, key)
    }

    /// As [`IndexStore::scan_prefix`].
    pub(super) fn scan_prefix(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, StorageError> {
        let mut after = after.map(<[u8]>::to_vec);
        let mut entries = Entries::new();
        let step = limit.max(SCAN_STEP);
        while entries.len() < limit {
            let start = match &after {
                Some(after) if after.as_slice() >= prefix => Bound::Excluded(after.as_slice()),
                _ => Bound::Included(prefix),
            };
            let pending: Vec<(Vec<u8>, Option<Vec<u8>>)> = {
                let changes = self.changes.read();
                let of_tree = changes.get(&tree).into_iter();
                let found = of_tree.flat_map(|changes| changes.range::<[u8], _>((start, Bound::Unbounded)));
                let found = found.take_while(|(key, _)| key.starts_with(prefix)).take(step);
                found.map(|(key, pending)| (key.clone(), pending.value().cloned())).collect()
            };
            let stored = self.store.scan_prefix(tree, prefix, after.as_deref(), step)?;
            // Beyond the end of a list that is full, that side is not known yet.
            let end = |last: Option<&Vec<u8>>, is_full: bool| last.filter(|_| is_full).cloned();
            let ends = [
                end(pending.last().map(|(key, _)| key), pending.len() == step),
                end(stored.last().map(|(key, _)| key), stored.len() == step),
            ];
            let until = ends.into_iter().flatten().min();
            let mut merged: BTreeMap<Vec<u8>, Option<Vec<u8>>> =
                stored.into_iter().map(|(key, value)| (key, Some(value))).collect();
            merged.extend(pending);
            let known = merged.into_iter().filter(|(key, _)| until.as_ref().is_none_or(|until| key <= until));
            entries.extend(known.filter_map(|(key, value)| Some((key, value?))));
            let Some(until) = until else { break };
            after = Some(until);
        }
        entries.truncate(limit);
        Ok(entries)
    }

    /// Takes changes in, in order.
    pub(super) fn write(&self, list: Vec<WindowChange>) {
        let mut changes = self.changes.write();
        for WindowChange { tree, key, pending } in list {
            let key_bytes = key.len().saturating_add(CHANGE_OVERHEAD_BYTES);
            match changes.entry(tree).or_default().entry(key) {
                Entry::Vacant(place) => {
                    self.bytes.fetch_add(key_bytes + pending.value_bytes(), Ordering::Relaxed);
                    place.insert(pending);
                }
                Entry::Occupied(mut known) => {
                    self.bytes.fetch_sub(known.get().value_bytes(), Ordering::Relaxed);
                    let Some(merged) = known.get().followed_by(pending) else {
                        self.bytes.fetch_sub(key_bytes, Ordering::Relaxed);
                        known.remove();
                        continue;
                    };
                    self.bytes.fetch_add(merged.value_bytes(), Ordering::Relaxed);
                    known.insert(merged);
                }
            }
        }
    }

    /// Writes all of it to the store, in the order of the keys. It stays until [`Self::clear`].
    pub(super) fn flush(&self) -> Result<(), StorageError> {
        let changes = self.changes.read();
        for (tree, of_tree) in &*changes {
            let mut batch = Vec::with_capacity(of_tree.len().min(BATCH_CHANGES));
            for (key, pending) in of_tree {
                let (tree, key) = (*tree, key.clone());
                batch.push(match pending.value() {
                    Some(value) => put(tree, key, value.clone()),
                    None => Change::Delete { tree, key },
                });
                if batch.len() == BATCH_CHANGES {
                    self.store.write(std::mem::take(&mut batch))?;
                }
            }
            self.store.write(batch)?;
        }
        Ok(())
    }

    /// Forgets what the store has.
    pub(super) fn clear(&self) {
        let changes = std::mem::take(&mut *self.changes.write());
        self.bytes.store(0, Ordering::Relaxed);
        // Outside the lock: it takes its time.
        drop(changes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::memory_index::MemoryIndex;

    const TREE: Tree = Tree::ALL[0];

    fn key(byte: u8) -> Vec<u8> {
        vec![byte; 8]
    }

    /// What is shown to be within a bound is what there is.
    #[test]
    fn what_was_replaced_or_undone_gives_its_bytes_back() {
        let window = IndexWindow::new(Arc::new(MemoryIndex::new()));
        let set = |byte, bytes, is_new| {
            window.write(vec![WindowChange::new(TREE, key(byte), vec![0; bytes], is_new)]);
            window.bytes()
        };
        let delete = |byte| {
            window.write(vec![WindowChange::delete(TREE, key(byte))]);
            window.bytes()
        };
        let head = 8 + CHANGE_OVERHEAD_BYTES;
        assert_eq!([set(1, 100, true), set(2, 50, true)], [head + 100, 2 * head + 150]);
        assert_eq!([set(2, 70, false), set(1, 10, true)], [2 * head + 170, 2 * head + 80]);
        assert_eq!([delete(2), delete(1)], [head + 10, 0], "the store never had them");
        assert_eq!([set(3, 5, false), delete(3)], [head + 5, head], "it may have that one");
        window.clear();
        assert_eq!(window.bytes(), 0);
    }

    /// INV-WINDOW-2.
    #[test]
    fn what_the_store_has_is_deleted_though_it_was_put_as_new_in_between() {
        let old = || put(TREE, key(1), vec![1]);
        for begins_with_delete in [true, false] {
            let store = MemoryIndex::new();
            store.write(vec![old()]).unwrap();
            let window = IndexWindow::new(Arc::new(store.clone()));
            window.write(vec![if begins_with_delete {
                WindowChange::delete(TREE, key(1))
            } else {
                WindowChange::new(TREE, key(1), vec![2], false)
            }]);
            window.write(vec![
                WindowChange::new(TREE, key(1), vec![3], true),
                WindowChange::delete(TREE, key(1)),
            ]);
            assert_eq!(window.get(TREE, &key(1)).unwrap(), None);
            window.flush().unwrap();
            assert_eq!(store.get(TREE, &key(1)).unwrap(), None);
        }
    }

    /// Notes how many changes come at once.
    struct Counting(MemoryIndex, parking_lot::Mutex<Vec<usize>>);

    impl IndexStore for Counting {
        fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
            self.0.get(tree, key)
        }

        fn scan_prefix(
            &self,
            tree: Tree,
            prefix: &[u8],
            after: Option<&[u8]>,
            limit: usize,
        ) -> Result<Entries, StorageError> {
            self.0.scan_prefix(tree, prefix, after, limit)
        }

        fn write(&self, changes: Vec<Change>) -> Result<(), StorageError> {
            self.1.lock().push(changes.len());
            self.0.write(changes)
        }

        fn sync(&self) -> Result<(), StorageError> {
            self.0.sync()
        }
    }

    /// What is on its way to the store is a copy, which counts beside the window.
    #[test]
    fn a_large_window_is_written_in_parts_and_whole() {
        let store = Arc::new(Counting(MemoryIndex::new(), parking_lot::Mutex::default()));
        let window = IndexWindow::new(Arc::clone(&store) as _);
        let key = |number: u32| number.to_be_bytes().to_vec();
        let count = 2 * u32::try_from(BATCH_CHANGES).unwrap() + 1;
        window.write((0..count).map(|number| WindowChange::new(TREE, key(number), vec![1], true)).collect());
        window.flush().unwrap();
        assert_eq!(*store.1.lock(), [BATCH_CHANGES, BATCH_CHANGES, 1]);
        for number in [0, count / 2, count - 1] {
            assert_eq!(store.get(TREE, &key(number)).unwrap(), Some(vec![1]));
        }
    }

    /// A store beside which something happens once a page was read.
    #[derive(Default)]
    struct Hooked(MemoryIndex, parking_lot::Mutex<Option<Box<dyn FnOnce() + Send>>>);

    impl IndexStore for Hooked {
        fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
            self.0.get(tree, key)
        }

        fn scan_prefix(
            &self,
            tree: Tree,
            prefix: &[u8],
            after: Option<&[u8]>,
            limit: usize,
        ) -> Result<Entries, StorageError> {
            let page = self.0.scan_prefix(tree, prefix, after, limit);
            let meanwhile = self.1.lock().take();
            meanwhile.into_iter().for_each(|happens| happens());
            page
        }

        fn write(&self, changes: Vec<Change>) -> Result<(), StorageError> {
            self.0.write(changes)
        }

        fn sync(&self) -> Result<(), StorageError> {
            self.0.sync()
        }
    }

    /// INV-WINDOW-1: else an address would be shown without some of its coins, now and then.
    #[test]
    fn what_moves_into_the_store_while_a_page_is_read_is_on_the_page() {
        let store = Arc::new(Hooked::default());
        store.write(vec![put(TREE, key(1), vec![1]), put(TREE, key(2), vec![2])]).unwrap();
        let window = Arc::new(IndexWindow::new(Arc::clone(&store) as _));
        window.write(vec![
            WindowChange::new(TREE, key(3), vec![3], true),
            WindowChange::new(TREE, key(1), vec![9], false),
            WindowChange::delete(TREE, key(2)),
        ]);
        let marked = Arc::clone(&window);
        *store.1.lock() = Some(Box::new(move || {
            marked.flush().unwrap();
            marked.clear();
        }));
        let page = || window.scan_prefix(TREE, &[], None, 10).unwrap();
        let expected = [(key(1), vec![9]), (key(3), vec![3])];
        assert_eq!(page(), expected);
        assert!(store.1.lock().is_none() && window.bytes() == 0, "it has moved");
        assert_eq!(page(), expected);
    }
}
