//! What an index is kept in: trees of keys in order, behind a few verbs, so that one engine can take another one's place.
//!
//! # Place
//! Below [`Index`](super::index::Index), which says what the keys mean. Implemented by the engines, by a store in memory, and
//! by the guard that stands before an engine.

use super::error::StorageError;

/// Bytes of one value, at most: larger ones are cut into pieces.
pub const VALUE_BYTES_MAX: usize = 7 << 10;

/// The parts of the index, each with keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tree {
    /// Transaction and group of its outputs to its place in the chain, and to what they hold.
    Output,
    /// Output to the transaction that spent it, and the height.
    Spent,
    /// Lock and output to nothing, while it is unspent.
    Address,
    /// Lock, height and place, the newest first, to what a transaction did to it.
    History,
    /// Block hash to height.
    Block,
    /// Transaction about a masternode to what became of it.
    Receipt,
    /// Epoch to the height of its last block and the hash of the set after it; that hash to pieces of the set.
    Epoch,
    /// Evidence that blocks punished, the newest first.
    Evidence,
    /// The mark, and pieces of the ledger's state.
    State,
}

impl Tree {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::Output,
        Self::Spent,
        Self::Address,
        Self::History,
        Self::Block,
        Self::Receipt,
        Self::Epoch,
        Self::Evidence,
        Self::State,
    ];

    /// Its name in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Spent => "spent",
            Self::Address => "address",
            Self::History => "history",
            Self::Block => "block",
            Self::Receipt => "receipt",
            Self::Epoch => "epoch",
            Self::Evidence => "evidence",
            Self::State => "state",
        }
    }
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Sets a key.
    Put {
        /// In which tree.
        tree: Tree,
        /// The key.
        key: Vec<u8>,
        /// At most [`VALUE_BYTES_MAX`] bytes.
        value: Vec<u8>,
    },
    /// Removes a key; it may be missing.
    Delete {
        /// In which tree.
        tree: Tree,
        /// The key.
        key: Vec<u8>,
    },
}

impl Change {
    /// The tree that it changes.
    #[must_use]
    pub const fn tree(&self) -> Tree {
        match self {
            Self::Put { tree, .. } | Self::Delete { tree, .. } => *tree,
        }
    }

    /// The key that it changes.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key, .. } => key,
        }
    }
}

/// Entries in the order of their keys.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// An ordered key-value store with few verbs, so that it can be exchanged.
pub trait IndexStore: Send + Sync + 'static {
    /// The value of a key.
    ///
    /// # Errors
    /// [`StorageError::Index`].
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError>;

    /// At most `limit` entries whose keys start with `prefix` and come after `after`, in order.
    ///
    /// # Errors
    /// [`StorageError::Index`].
    fn scan_prefix(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, StorageError>;

    /// Applies changes in order; together they are not atomic.
    ///
    /// # Errors
    /// [`StorageError::Index`].
    fn write(&self, changes: Vec<Change>) -> Result<(), StorageError>;

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// [`StorageError::Index`], [`StorageError::Io`].
    fn sync(&self) -> Result<(), StorageError>;
}

/// Sets a key.
pub(super) fn put(tree: Tree, key: Vec<u8>, value: Vec<u8>) -> Change {
    Change::Put { tree, key, value }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::fjall_index::FjallIndex;
    use crate::storage::memory_index::MemoryIndex;
    use crate::storage::sled_index::SledIndex;

    /// A page begins behind the key that the last one ended with, whichever engine holds the index.
    #[test]
    fn every_store_goes_on_behind_the_last_key_of_a_page() {
        let home = tempfile::tempdir().unwrap();
        let stores: [Arc<dyn IndexStore>; 3] = [
            Arc::new(MemoryIndex::new()),
            Arc::new(SledIndex::open(&home.path().join("sled"), 16).unwrap()),
            Arc::new(FjallIndex::open(&home.path().join("fjall"), 8).unwrap()),
        ];
        let keys: [&[u8]; 6] = [&[1], &[2], &[2, 0], &[2, 0, 0], &[2, 255], &[3]];
        for (place, store) in stores.iter().enumerate() {
            store.write(keys.iter().map(|key| put(Tree::Receipt, key.to_vec(), vec![7])).collect()).unwrap();
            let mut after: Option<Vec<u8>> = None;
            for key in &keys[1..5] {
                let page = store.scan_prefix(Tree::Receipt, &[2], after.as_deref(), 1).unwrap();
                assert_eq!(page, [(key.to_vec(), vec![7])], "store {place} after {after:?}");
                after = Some(key.to_vec());
            }
            let behind = |after: &[u8]| store.scan_prefix(Tree::Receipt, &[2], Some(after), 9).unwrap().len();
            assert_eq!((behind(&[2, 255]), behind(&[1]), behind(&[2, 0, 0])), (0, 4, 1), "store {place}");
            assert_eq!(behind(&[0]), 4, "store {place}: there is another key between it and the prefix");
        }
    }
}
