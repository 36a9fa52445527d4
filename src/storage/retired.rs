//! Segments that nobody needs any more, on their way off the disk.
//!
//! # Place
//! The journal's writer hands them out when it prunes; the node removes them on a thread of their own.
//!
//! A file system gives the blocks of a file back in one go, and whoever syncs meanwhile waits: a segment that was removed
//! at once held up votes for 45 ms on an idle machine (64 MiB, ext4) and for 66 to 128 ms on a busy one, just when an
//! epoch begins and everybody waits for votes. Cut by 4 MiB at a time with a pause after each, the longest wait was 3 ms.
//!
//! # Invariants
//! - INV-RETIRED-1: before anything in a segment is touched it has, durably and the oldest one first, a name that no log
//!   reads: a crash leaves it whole in its place, or outside of the log, and never a gap.

use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile};
use super::error::StorageError;
use super::segment_files::{segment_path, sequences};

/// Of a file that only waits to be removed.
const EXTENSION: &str = "retired";
/// What goes in one step.
const STEP_BYTES: u64 = 4 << 20;

/// The oldest segments of a log, which has forgotten them. Not removed, they come back with the next open.
#[must_use = "the files are still there"]
pub struct RetiredSegments<D: Disk> {
    disk: D,
    dir: PathBuf,
    /// The first one that is still needed.
    kept: u64,
}

impl<D: Disk> RetiredSegments<D> {
    pub(super) const fn new(disk: D, dir: PathBuf, kept: u64) -> Self {
        Self { disk, dir, kept }
    }

    /// Removes the files, and what earlier removals have left. `goes_on` is asked before each step, and may take its
    /// time; when it says no, the rest is left.
    ///
    /// # Errors
    /// [`StorageError::Io`]; the log is sound even so.
    pub fn remove(self, goes_on: &mut dyn FnMut() -> bool) -> Result<(), StorageError> {
        let Self { disk, dir, kept } = self;
        for sequence in sequences(&disk, &dir)?.into_iter().filter(|sequence| *sequence < kept) {
            if !goes_on() {
                return Ok(());
            }
            let path = segment_path(&dir, sequence);
            disk.rename(&path, &path.with_extension(EXTENSION))?;
            disk.sync_dir(&dir)?;
        }
        // An earlier removal may have failed between the two.
        disk.sync_dir(&dir)?;
        for path in retired(&disk, &dir)? {
            let mut file = disk.open_existing(&path)?;
            let mut left = file.size_bytes()?;
            while left > 0 {
                if !goes_on() {
                    return Ok(());
                }
                left = left.saturating_sub(STEP_BYTES);
                file.truncate(left)?;
            }
            disk.remove(&path)?;
        }
        disk.sync_dir(&dir)
    }
}

/// Files that only wait to be removed.
fn retired(disk: &impl Disk, dir: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let paths = disk.list(dir)?.into_iter().map(|name| dir.join(name));
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION)).collect())
}

/// Removes at once what a stop or a crash has left of retired segments.
pub(super) fn remove_leftovers(disk: &impl Disk, dir: &Path) -> Result<(), StorageError> {
    retired(disk, dir)?.iter().try_for_each(|path| disk.remove(path))
}
