//! Reads all unspent outputs of an index, in the order of their names.
//!
//! # Place
//! `timed db check` holds the index to the block log by this; snapshots are made by it while the index goes on.
//!
//! # Units
//! Two trees are read side by side, a page of [`SCAN_ENTRIES_MAX`] entries of each at a time: about 2 MB.

use std::collections::VecDeque;

use super::error::StorageError;
use super::index::{Index, SCAN_ENTRIES_MAX};
use super::index_records::{OutputRecord, outputs_of_record, spent_key};
use super::index_store::Tree;
use crate::types::codec::decode;
use crate::types::{Height, OutPoint, TxId, UtxoEntry};

/// A key with its value.
type Entry = (Vec<u8>, Vec<u8>);

/// The entries of one tree.
struct Entries<'a> {
    index: &'a Index,
    tree: Tree,
    page: VecDeque<Entry>,
    /// The last key of the last page; `None` before the first page.
    last: Option<Vec<u8>>,
    is_last_page: bool,
}

impl<'a> Entries<'a> {
    const fn of(index: &'a Index, tree: Tree) -> Self {
        Self { index, tree, page: VecDeque::new(), last: None, is_last_page: false }
    }

    fn fill(&mut self) -> Result<(), StorageError> {
        if self.page.is_empty() && !self.is_last_page {
            let entries = self.index.scan(self.tree, self.last.as_deref(), SCAN_ENTRIES_MAX)?;
            self.is_last_page = entries.len() < SCAN_ENTRIES_MAX;
            self.last = entries.last().map(|(key, _)| key.clone());
            self.page = entries.into();
        }
        Ok(())
    }

    fn peek(&mut self) -> Result<Option<&[u8]>, StorageError> {
        self.fill()?;
        Ok(self.page.front().map(|(key, _)| key.as_slice()))
    }

    fn next(&mut self) -> Result<Option<Entry>, StorageError> {
        self.fill()?;
        Ok(self.page.pop_front())
    }
}

/// The unspent outputs of an index, in the order of their names; ends after an error.
pub struct UnspentOutputs<'a> {
    records: Entries<'a>,
    spent: Entries<'a>,
    /// The block after which they are unspent; `None` for the last one.
    at: Option<Height>,
    /// Of the record that is being read.
    outputs: VecDeque<(OutPoint, UtxoEntry)>,
}

impl Index {
    /// All unspent outputs, while nobody writes to the index.
    #[must_use]
    pub fn unspent_outputs(&self) -> UnspentOutputs<'_> {
        let (records, spent) = (Entries::of(self, Tree::Output), Entries::of(self, Tree::Spent));
        UnspentOutputs { records, spent, at: None, outputs: VecDeque::new() }
    }

    /// The outputs that were unspent after the block of this height, which was applied, while later blocks are applied.
    /// Records and spends say their heights, so what came later is left out, and what was spent later is not; but an
    /// output that evidence made less since then has its new value. Whoever needs them exactly compares the state's digest.
    #[must_use]
    pub fn unspent_outputs_at(&self, height: Height) -> UnspentOutputs<'_> {
        UnspentOutputs { at: Some(height), ..self.unspent_outputs() }
    }

    /// How many outputs are listed by their addresses; each unspent one is, once.
    ///
    /// # Errors
    /// Those of the store.
    pub fn addresses_listed(&self) -> Result<u64, StorageError> {
        let mut addresses = Entries::of(self, Tree::Address);
        let mut count = 0;
        while addresses.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

impl UnspentOutputs<'_> {
    fn find(&mut self) -> Result<Option<(OutPoint, UtxoEntry)>, StorageError> {
        loop {
            let Some((outpoint, entry)) = self.outputs.pop_front() else {
                let Some((key, value)) = self.records.next()? else { return Ok(None) };
                let malformed = || StorageError::IndexMalformed { tree: Tree::Output.name() };
                let record: OutputRecord = decode(&value).map_err(|_| malformed())?;
                if self.at.is_none_or(|at| record.height <= at) {
                    self.outputs = outputs_of_record(&key, &record).ok_or_else(malformed)?.into();
                }
                continue;
            };
            // Both trees are in the order of transactions and of numbers in them.
            let key = spent_key(&outpoint);
            while self.spent.peek()?.is_some_and(|spent| spent < key.as_slice()) {
                self.spent.next()?;
            }
            if self.spent.peek()? != Some(key.as_slice()) || !self.counts()? {
                return Ok(Some((outpoint, entry)));
            }
        }
    }

    /// Whether the spend that comes next is one of those that count.
    fn counts(&mut self) -> Result<bool, StorageError> {
        let (Some(at), Some((_, value))) = (self.at, self.spent.page.front()) else { return Ok(true) };
        let malformed = |_| StorageError::IndexMalformed { tree: Tree::Spent.name() };
        let (_, height): (TxId, Height) = decode(value).map_err(malformed)?;
        Ok(height <= at)
    }
}

impl Iterator for UnspentOutputs<'_> {
    type Item = Result<(OutPoint, UtxoEntry), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.find().transpose()
    }
}
