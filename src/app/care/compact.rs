//! Gives back the room that the index does not need.
//!
//! # Place
//! `timed db compact`. Neither engine gives back all that it could while it runs: sled keeps the room of pages that were
//! written again, and fjall what its merges have not come to. So every entry is copied to a new index, in order, and that
//! takes the old one's place. To build it from the block log would take far longer. How far the copy is, a note beside it
//! says ([`copy_note`](super::copy_note)).
//!
//! # Invariants
//! - INV-COMPACT-1: the old index stays until the new one is synced and was read again, entry by entry.
//! - INV-COMPACT-2: what was stopped or killed leaves the index as it was, also between the two renames at the end. The next call goes on where the copy was synced
//!   last, if no node has run meanwhile, and else begins anew; what a crash took of the copy is found by the reading at the
//!   end, and then it is made anew too.
//! - INV-COMPACT-3: an index that would not be smaller stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::check_index::COPY_ENDING;
use super::copy_note::CopyNote;
use super::files::{beside, bytes_below, make_sure_of_room, remove_directory};
use super::reindex::{OLD_ENDING, put_in_place};
use super::{CareError, CarePlace, Tell, Unit, Work, tell};
use crate::app::open::engine;
use crate::app::places::index_path;
use crate::runtime::config::StorageEngine;
use crate::storage::index_store::{Change, Entries, IndexStore, Tree};
use crate::storage::{Index, IndexGuard, Mark, SledIndex, StorageError};

const COUNTING: Work = Work { what: "counting the index", unit: Unit::Entries };
const COPYING: Work = Work { what: "copying the index", unit: Unit::Entries };
const COMPARING: Work = Work { what: "comparing the copy", unit: Unit::Entries };
/// What the name of the copy ends with while it is made.
const COPY_OF_INDEX_ENDING: &str = ".compact";
/// Endings of what damage, checks and kills leave.
const LEFTOVERS: [&str; 4] = [".damaged", OLD_ENDING, COPY_ENDING, COPY_OF_INDEX_ENDING];
/// Entries that are copied at once.
const PAGE_ENTRIES: usize = 8_192;
/// Entries after which the copy is synced, so that a kill costs no more than these: a second's work.
const SYNC_ENTRIES: u64 = 32 * PAGE_ENTRIES as u64;

/// What was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CompactReport {
    /// The index.
    pub index: PathBuf,
    /// Its bytes before.
    pub bytes_before: u64,
    /// Its bytes now; as before if a copy would not have been smaller.
    pub bytes_after: u64,
    /// Entries that earlier calls, which were stopped, had copied.
    pub resumed_from: u64,
    /// Directories of damaged and unfinished indexes that were removed.
    pub removed: Vec<PathBuf>,
    /// Their bytes.
    pub bytes_removed: u64,
    /// Indexes of other engines, which are not used and were left alone.
    pub unused: Vec<PathBuf>,
}

/// What became of a copy.
enum Copied {
    /// It holds what the index holds.
    Whole,
    /// It does not: a crash took a part of it, or the index has changed.
    Differs,
}

impl CarePlace {
    /// Removes what is left of earlier indexes, and makes the index as small as it can be. Stopped by `told` it fails with
    /// [`StorageError::Interrupted`], and the next call goes on from there.
    ///
    /// # Errors
    /// When there is no index, it is damaged, there is no room for the copy, or the disk refuses.
    pub fn compact(&self, told: Tell<'_>) -> Result<CompactReport, CareError> {
        let path = index_path(&self.config, self.config.storage.engine);
        IndexGuard::take_back(&path)?;
        if !path.exists() {
            return Err(CareError::NoIndex { path });
        }
        if let Some(reason) = IndexGuard::damage_of(&path) {
            return Err(CareError::BadIndex { path, reason });
        }
        let copy = beside(&path, COPY_OF_INDEX_ENDING);
        let begun = CopyNote::read(&copy).filter(|_| copy.exists());
        let (removed, bytes_removed) = self.remove_leftovers(begun.is_some().then_some(copy.as_path()))?;
        let bytes_before = bytes_below(&path)?;
        make_sure_of_room(&path, bytes_before.saturating_sub(bytes_below(&copy)?))?;
        let mut outcome = self.copy_entries(&path, &copy, begun, told);
        if matches!(outcome, Ok((Copied::Differs, 1..))) {
            tracing::warn!(copy = %copy.display(), "The copy that was begun does not hold what the index holds; it is made anew");
            remove_copy(&copy)?;
            outcome = self.copy_entries(&path, &copy, None, told);
        }
        let (copied, resumed_from) = outcome.map_err(|error| match error {
            CareError::Storage(StorageError::Unopenable { reason, .. } | StorageError::Index { reason }) => {
                CareError::BadIndex { path: path.clone(), reason }
            }
            error => error,
        })?;
        if matches!(copied, Copied::Differs) {
            remove_copy(&copy)?;
            let reason = "a copy of it does not hold what it holds".to_owned();
            return Err(CareError::BadIndex { path, reason });
        }
        // Without its note the copy is a leftover, whatever happens from here on.
        CopyNote::remove(&copy)?;
        if bytes_below(&copy)? < bytes_below(&path)? {
            put_in_place(&copy, &path)?;
        } else {
            remove_directory(&copy)?;
        }
        let bytes_after = bytes_below(&path)?;
        let unused = StorageEngine::ALL.into_iter().filter(|engine| *engine != self.config.storage.engine);
        let unused = unused.map(|engine| index_path(&self.config, engine)).filter(|path| path.exists());
        let (index, unused) = (path, unused.collect());
        Ok(CompactReport { index, bytes_before, bytes_after, resumed_from, removed, bytes_removed, unused })
    }

    /// All but the copy that is gone on with.
    fn remove_leftovers(&self, kept: Option<&Path>) -> Result<(Vec<PathBuf>, u64), CareError> {
        let (mut removed, mut bytes) = (Vec::new(), 0_u64);
        for engine in StorageEngine::ALL {
            let path = index_path(&self.config, engine);
            for leftover in LEFTOVERS.map(|ending| beside(&path, ending)) {
                if leftover.exists() && kept != Some(leftover.as_path()) {
                    bytes = bytes.saturating_add(bytes_below(&leftover)?);
                    remove_copy(&leftover)?;
                    removed.push(leftover);
                }
            }
        }
        Ok((removed, bytes))
    }

    fn open_store(&self, path: &Path) -> Result<Arc<dyn IndexStore>, StorageError> {
        let store = engine(&self.config)(path)?;
        Ok(Arc::new(IndexGuard::new(store, path)))
    }

    /// Copies every entry behind those that were copied already, and reads all of both again. Nothing is open when it
    /// returns. Also how many were copied already.
    fn copy_entries(
        &self,
        from: &Path,
        to: &Path,
        begun: Option<CopyNote>,
        told: Tell<'_>,
    ) -> Result<(Copied, u64), CareError> {
        let source = self.open_store(from)?;
        let Some(mark) = Index::new(Arc::clone(&source)).mark()? else {
            let reason = "it was never marked".to_owned();
            return Err(CareError::BadIndex { path: from.to_owned(), reason });
        };
        let note = match begun.filter(|note| note.is_of(&mark)) {
            Some(note) => note,
            None => {
                remove_copy(to)?;
                begin(&*source, &mark, told)?
            }
        };
        let resumed_from = note.copied;
        let outcome = self.copy_from(&*source, to, note, told);
        drop(source);
        SledIndex::wait_closed(from)?;
        SledIndex::wait_closed(to)?;
        Ok((outcome?, resumed_from))
    }

    fn copy_from(
        &self,
        source: &dyn IndexStore,
        to: &Path,
        mut note: CopyNote,
        told: Tell<'_>,
    ) -> Result<Copied, CareError> {
        let target = self.open_store(to)?;
        let (mut synced, total) = (note.copied, note.total);
        let start = note.place.clone();
        pages(source, start.as_ref(), &mut |tree, entries| {
            let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
            let last = entries.last().map(|(key, _)| key.clone());
            let put = |(key, value)| Change::Put { tree, key, value };
            target.write(entries.into_iter().map(put).collect())?;
            note.copied = note.copied.saturating_add(count);
            note.place = last.map(|key| (tree, key));
            let goes_on = tell(told, COPYING, note.copied, total);
            if goes_on.is_err() || note.copied.saturating_sub(synced) >= SYNC_ENTRIES {
                target.sync()?;
                note.write(to)?;
                synced = note.copied;
            }
            goes_on
        })?;
        target.sync()?;
        note.write(to)?;
        drop(target);
        SledIndex::wait_closed(to)?;
        let target = self.open_store(to)?;
        let (mut compared, mut differs) = (0_u64, false);
        pages(&*target, None, &mut |tree, entries| {
            compared = compared.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
            for (key, value) in &entries {
                differs |= source.get(tree, key)?.as_ref() != Some(value);
            }
            tell(told, COMPARING, compared, total)
        })?;
        Ok(if differs || compared != total { Copied::Differs } else { Copied::Whole })
    }
}

/// Counts what is to be copied, so that the time it takes can be told.
fn begin(source: &dyn IndexStore, mark: &Mark, told: Tell<'_>) -> Result<CopyNote, CareError> {
    let mut total = 0_u64;
    pages(source, None, &mut |_, entries| {
        total = total.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        tell(told, COUNTING, total, 0)
    })?;
    Ok(CopyNote::of(mark, total))
}

fn remove_copy(copy: &Path) -> Result<(), CareError> {
    CopyNote::remove(copy)?;
    remove_directory(copy)
}

/// What is done with a page of a tree.
type Page<'a> = &'a mut dyn FnMut(Tree, Entries) -> Result<(), CareError>;

/// Shows every entry of a store behind a place, tree by tree and in order.
fn pages(store: &dyn IndexStore, start: Option<&(Tree, Vec<u8>)>, page: Page<'_>) -> Result<(), CareError> {
    let first =
        start.and_then(|(tree, _)| Tree::ALL.iter().position(|candidate| candidate == tree)).unwrap_or(0);
    for tree in Tree::ALL.into_iter().skip(first) {
        let mut after = start.filter(|(of, _)| *of == tree).map(|(_, key)| key.clone());
        loop {
            let entries = store.scan_prefix(tree, &[], after.as_deref(), PAGE_ENTRIES)?;
            let Some((last, _)) = entries.last() else { break };
            after = Some(last.clone());
            page(tree, entries)?;
        }
    }
    Ok(())
}
