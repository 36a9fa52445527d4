//! Builds the index anew from the block log, beside the old one, and puts it in its place when it is whole.
//!
//! # Place
//! `timed db reindex`. A start builds an index too, when it has to; this does it while the node need not run, and can be
//! asked for.
//!
//! # Invariants
//! - INV-REINDEX-1: the old index stays until the new one is whole, synced and at the tip.
//! - INV-REINDEX-2: what was stopped or killed goes on where the new index is marked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::files::{beside, bytes_below, remove_directory, rename};
use super::{CareError, CarePlace, Tell, Unit, Work};
use crate::app::open::{engine, misfit};
use crate::app::places::index_path;
use crate::consensus::replay::replay_from;
use crate::storage::log_check::look_at_blocks;
use crate::storage::{
    BlockReader, Index, IndexGuard, IndexStore, RealDisk, SledIndex, SnapshotStore, StorageError,
};
use crate::types::Height;

const READING: Work = Work { what: "reading the block log", unit: Unit::Bytes };
const BUILDING: Work = Work { what: "building the index", unit: Unit::Blocks };
/// What the name of an index ends with that is being built.
pub(super) const NEW_ENDING: &str = ".new";
/// What the name of an index ends with whose place another one takes.
pub(super) const OLD_ENDING: &str = IndexGuard::REPLACED_ENDING;

/// An index that was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReindexReport {
    /// Where it is.
    pub index: PathBuf,
    /// The block that it is at: the last one of the block log.
    pub height: Height,
    /// The block that an earlier call had come to.
    pub resumed_from: Height,
    /// Unspent outputs in it.
    pub unspent: u64,
    /// Bytes of the one whose place it took; 0 if there was none.
    pub bytes_before: u64,
    /// Its bytes.
    pub bytes_after: u64,
}

impl CarePlace {
    /// Builds it. Stopped by `told` it fails with [`StorageError::Interrupted`], and the next call goes on from there.
    ///
    /// # Errors
    /// When the block log is damaged, or the disk refuses.
    pub fn reindex(&self, told: Tell<'_>) -> Result<ReindexReport, CareError> {
        let path = index_path(&self.config, self.config.storage.engine);
        let fresh = beside(&path, NEW_ENDING);
        let blocks = look_at_blocks(&RealDisk, &self.blocks(), self.chain_id(), &mut |done, total| {
            told(READING, done, total)
        })?;
        let (index, resumed_from) = self.begin(&fresh, &blocks)?;
        let tip = blocks.height();
        // At the tip it reads the running epoch again, which takes no time to speak of.
        let snapshots = SnapshotStore::new(RealDisk, self.config.snapshots_path());
        replay_from(&self.genesis, &index, (&blocks, Some(&snapshots)), &mut |done, total| {
            if total == tip { told(BUILDING, done, total) } else { told(BUILDING, tip, tip) }
        })?;
        let unspent = index.unspent()?;
        drop(index);
        let bytes_before = bytes_below(&path)?;
        put_in_place(&fresh, &path)?;
        let bytes_after = bytes_below(&path)?;
        Ok(ReindexReport { index: path, height: tip, resumed_from, unspent, bytes_before, bytes_after })
    }

    /// What an earlier call has begun, or an empty index.
    fn begin(&self, fresh: &Path, blocks: &BlockReader<RealDisk>) -> Result<(Index, Height), CareError> {
        let open = || -> Result<Index, StorageError> {
            let store = engine(&self.config)(fresh)?;
            Ok(Index::new(Arc::new(IndexGuard::new(store, fresh)) as Arc<dyn IndexStore>))
        };
        let is_usable = |index: &Index| -> Result<bool, StorageError> {
            Ok(misfit(index, &self.genesis, blocks)?.is_none())
        };
        let begun = open().and_then(|index| Ok(is_usable(&index)?.then_some(index)));
        match begun {
            Ok(Some(index)) => {
                let marked = index.mark()?.map_or(0, |mark| mark.height);
                return Ok((index, marked));
            }
            Err(error @ (StorageError::Io { .. } | StorageError::InUse { .. })) => return Err(error.into()),
            Ok(None) | Err(_) => {}
        }
        SledIndex::wait_closed(fresh)?;
        remove_directory(fresh)?;
        IndexGuard::forget_damage(fresh)?;
        Ok((open()?, 0))
    }
}

/// Puts a whole index in the place of another one, which is removed. After a crash in here there is the old one again, by
/// [`IndexGuard::take_back`], or the new one.
pub(super) fn put_in_place(fresh: &Path, path: &Path) -> Result<(), CareError> {
    SledIndex::wait_closed(fresh)?;
    let old = beside(path, OLD_ENDING);
    remove_directory(&old)?;
    if path.exists() {
        SledIndex::wait_closed(path)?;
        rename(path, &old)?;
    }
    rename(fresh, path)?;
    IndexGuard::forget_damage(path)?;
    remove_directory(&old)
}
