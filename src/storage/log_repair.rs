//! Cuts a block log before its first damage, so that the node fetches what is missing from its peers.
//!
//! # Place
//! `timed db repair` calls it by what `log_check.rs` found, while no node runs. There is none for vote journals: a vote
//! that is lost can't be fetched from anybody.
//!
//! # Invariants
//! - INV-REPAIR-1: nothing is deleted; what does not stay in the log is whole in the directory aside.
//! - INV-REPAIR-2: a crash at any step leaves a log that the same call cuts again; the last files leave first, so that
//!   there is never a gap.

use std::path::Path;

use super::disk::{Disk, DiskFile};
use super::error::StorageError;
use super::horizon::Horizon;
use super::record::SEGMENT_HEADER_BYTES;
use super::segment_files::{segment_path, sequences};

/// Bytes that are copied at once.
const COPY_BYTES: u64 = 4 << 20;

/// The first damage of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogCut {
    /// The damaged or missing file.
    pub sequence: u64,
    /// Where its last whole record ends, in bytes.
    pub whole_bytes: u64,
}

/// Moves what is behind the cut to the directory `aside`, which must not exist or be one that an earlier call began.
///
/// # Errors
/// [`StorageError::Io`]; call it again then.
pub fn cut_log<D: Disk>(disk: &D, dir: &Path, aside: &Path, cut: LogCut) -> Result<(), StorageError> {
    disk.create_dir_all(aside)?;
    let (path, target) = (segment_path(dir, cut.sequence), segment_path(aside, cut.sequence));
    let keeps_part = cut.whole_bytes > SEGMENT_HEADER_BYTES;
    if keeps_part {
        // First: without the files behind it, damage at its end would pass for what a crash left, and be cut off.
        copy(disk, &path, &target)?;
        disk.sync_dir(aside)?;
    }
    for sequence in sequences(disk, dir)?.into_iter().rev() {
        if sequence < cut.sequence || sequence == cut.sequence && keeps_part {
            break;
        }
        disk.rename(&segment_path(dir, sequence), &segment_path(aside, sequence))?;
        disk.sync_dir(aside)?;
        disk.sync_dir(dir)?;
    }
    if sequences(disk, dir)?.is_empty() {
        // Nothing is left that it could speak of: the node begins like one that never had a block.
        Horizon::remove(disk, dir)?;
    }
    if keeps_part {
        let mut file = disk.open_existing(&path)?;
        file.truncate(cut.whole_bytes)?;
        file.sync_data()?;
    }
    Ok(())
}

fn copy<D: Disk>(disk: &D, from: &Path, to: &Path) -> Result<(), StorageError> {
    let source = disk.open_existing(from)?;
    let mut target = disk.open(to)?;
    target.truncate(0)?;
    let end = source.size_bytes()?;
    let mut offset = 0;
    while offset < end {
        let length = (end - offset).min(COPY_BYTES);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        source.read_at(offset, &mut bytes)?;
        target.append(&bytes)?;
        offset += length;
    }
    target.sync_data()
}
