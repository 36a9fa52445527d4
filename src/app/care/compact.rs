//! Gives back the room that the index does not need.
//!
//! # Place
//! `timed db compact`. Neither engine gives back all that it could while it runs: sled keeps the room of pages that were
//! written again, and fjall what its merges have not come to. So every entry is copied to a new index, in order, and that
//! takes the old one's place. To build it from the block log would take far longer.
//!
//! # Invariants
//! - INV-COMPACT-1: the old index stays until the new one is synced and was read again, entry by entry.
//! - INV-COMPACT-2: what was stopped or killed leaves the index as it was; the next call begins anew.
//! - INV-COMPACT-3: an index that would not be smaller stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::check_index::COPY_ENDING;
use super::files::{beside, bytes_below, remove_directory};
use super::reindex::{OLD_ENDING, put_in_place};
use super::{CareError, CarePlace, Tell, Unit, Work, tell};
use crate::app::open::{engine, index_path};
use crate::runtime::config::StorageEngine;
use crate::storage::index_store::{Change, Entries, IndexStore, Tree};
use crate::storage::{Index, IndexGuard, SledIndex, StorageError};

const COPYING: Work = Work { what: "copying the index", unit: Unit::Entries };
const COMPARING: Work = Work { what: "comparing the copy", unit: Unit::Entries };
/// What the name of the copy ends with while it is made.
const COPY_OF_INDEX_ENDING: &str = ".compact";
/// Endings of what damage, checks and kills leave.
const LEFTOVERS: [&str; 4] = [".damaged", OLD_ENDING, COPY_ENDING, COPY_OF_INDEX_ENDING];
/// Entries that are copied at once.
const PAGE_ENTRIES: usize = 8_192;

/// What was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CompactReport {
    /// The index.
    pub index: PathBuf,
    /// Its bytes before.
    pub bytes_before: u64,
    /// Its bytes now; as before if a copy would not have been smaller.
    pub bytes_after: u64,
    /// Directories of damaged and unfinished indexes that were removed.
    pub removed: Vec<PathBuf>,
    /// Their bytes.
    pub bytes_removed: u64,
    /// Indexes of other engines, which are not used and were left alone.
    pub unused: Vec<PathBuf>,
}

impl CarePlace {
    /// Removes what is left of earlier indexes, and makes the index as small as it can be.
    ///
    /// # Errors
    /// When there is no index, it is damaged, or the disk refuses.
    pub fn compact(&self, told: Tell<'_>) -> Result<CompactReport, CareError> {
        let path = index_path(&self.config, self.config.storage.engine);
        if !path.exists() {
            return Err(CareError::NoIndex { path });
        }
        if let Some(reason) = IndexGuard::damage_of(&path) {
            return Err(CareError::BadIndex { path, reason });
        }
        let (removed, bytes_removed) = self.remove_leftovers()?;
        let bytes_before = bytes_below(&path)?;
        let copy = beside(&path, COPY_OF_INDEX_ENDING);
        self.copy_entries(&path, &copy, told).map_err(|error| match error {
            CareError::Storage(StorageError::Unopenable { reason, .. } | StorageError::Index { reason }) => {
                CareError::BadIndex { path: path.clone(), reason }
            }
            error => error,
        })?;
        if bytes_below(&copy)? < bytes_below(&path)? {
            put_in_place(&copy, &path)?;
        } else {
            remove_directory(&copy)?;
        }
        let bytes_after = bytes_below(&path)?;
        let unused = StorageEngine::ALL.into_iter().filter(|engine| *engine != self.config.storage.engine);
        let unused = unused.map(|engine| index_path(&self.config, engine)).filter(|path| path.exists());
        let unused = unused.collect();
        Ok(CompactReport { index: path, bytes_before, bytes_after, removed, bytes_removed, unused })
    }

    fn remove_leftovers(&self) -> Result<(Vec<PathBuf>, u64), CareError> {
        let (mut removed, mut bytes) = (Vec::new(), 0_u64);
        for engine in StorageEngine::ALL {
            let path = index_path(&self.config, engine);
            for leftover in LEFTOVERS.map(|ending| beside(&path, ending)) {
                if leftover.exists() {
                    bytes = bytes.saturating_add(bytes_below(&leftover)?);
                    remove_directory(&leftover)?;
                    removed.push(leftover);
                }
            }
        }
        Ok((removed, bytes))
    }

    /// Copies every entry, and reads both again. Nothing is open when it returns.
    fn copy_entries(&self, from: &Path, to: &Path, told: Tell<'_>) -> Result<(), CareError> {
        let open = |path: &Path| -> Result<Arc<dyn IndexStore>, StorageError> {
            let store = engine(&self.config)(path)?;
            Ok(Arc::new(IndexGuard::new(store, path)))
        };
        let source = open(from)?;
        if Index::new(Arc::clone(&source)).mark()?.is_none() {
            return Err(CareError::BadIndex {
                path: from.to_owned(),
                reason: "it was never marked".to_owned(),
            });
        }
        let target = open(to)?;
        let copied = pages(&*source, &mut |tree, entries, count| {
            let put = |(key, value)| Change::Put { tree, key, value };
            target.write(entries.into_iter().map(put).collect())?;
            // How many there are is known at the end.
            tell(told, COPYING, count, 0)
        })?;
        target.sync()?;
        drop(target);
        SledIndex::wait_closed(to)?;
        let target = open(to)?;
        let compared = pages(&*target, &mut |tree, entries, count| {
            for (key, value) in &entries {
                if source.get(tree, key)?.as_ref() != Some(value) {
                    return Err(differs(to));
                }
            }
            tell(told, COMPARING, count, copied)
        })?;
        drop((source, target));
        SledIndex::wait_closed(from)?;
        SledIndex::wait_closed(to)?;
        if compared == copied { Ok(()) } else { Err(differs(to)) }
    }
}

fn differs(path: &Path) -> CareError {
    let reason = "a copy of it does not hold what it holds".to_owned();
    CareError::BadIndex { path: path.to_owned(), reason }
}

/// What is done with a page of a tree; it is told how many entries there were with it.
type Page<'a> = &'a mut dyn FnMut(Tree, Entries, u64) -> Result<(), CareError>;

/// Shows every entry of a store, tree by tree and in order; gives their number.
fn pages(store: &dyn IndexStore, page: Page<'_>) -> Result<u64, CareError> {
    let mut count = 0_u64;
    for tree in Tree::ALL {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let entries = store.scan_prefix(tree, &[], after.as_deref(), PAGE_ENTRIES)?;
            let Some((last, _)) = entries.last() else { break };
            after = Some(last.clone());
            count = count.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
            page(tree, entries, count)?;
        }
    }
    Ok(count)
}
