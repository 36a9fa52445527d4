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
