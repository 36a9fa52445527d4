//! A verifier and an index that count, and take their time.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::storage::error::StorageError;
use crate::storage::index_store::{Change, Entries, IndexStore, Tree};
use crate::storage::memory_index::MemoryIndex;
use crate::types::keys::SequentialVerifier;
use crate::types::{SignatureCheck, SignatureVerifier};

/// Checks one by one, and counts how many signatures it was asked about.
#[derive(Default)]
pub(super) struct CountingVerifier {
    pub(super) asked: AtomicUsize,
    /// What another thread does while it checks, once.
    pub(super) meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl SignatureVerifier for CountingVerifier {
    fn verify_all(&self, checks: &[SignatureCheck]) -> Result<(), usize> {
        self.asked.fetch_add(checks.len(), Ordering::SeqCst);
        let meanwhile = self.meanwhile.lock().take();
        if let Some(happens) = meanwhile {
            happens();
        }
        SequentialVerifier.verify_all(checks)
    }
}

/// An index in memory that counts how often one of its keys was read.
#[derive(Default)]
pub(super) struct CountingIndex {
    store: MemoryIndex,
    pub(super) reads: AtomicUsize,
    /// What another thread does during a read, once.
    pub(super) meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl IndexStore for CountingIndex {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let found = self.store.get(tree, key);
        let meanwhile = self.meanwhile.lock().take();
        if let Some(happens) = meanwhile {
            happens();
        }
        found
    }

    fn scan_prefix(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, StorageError> {
        self.store.scan_prefix(tree, prefix, after, limit)
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        self.store.write(changes)
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.store.sync()
    }
}
