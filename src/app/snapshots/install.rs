//! Makes a fetched snapshot the beginning of the block log.
//!
//! # Invariants
//! - INV-SNAPSHOT-INSTALL-1: the log with the snapshot's block takes the place of an empty one at once, when the snapshot is
//!   whole; the index is built of it by the start that follows, as of any log.

use std::path::Path;

use crate::storage::{BlockLog, LoggedBlock, RealDisk, StorageError};
use crate::types::{ChainId, CommittedBlock};

/// The name under which a log is made.
const NEW: &str = "blocks.new";

/// Whether the directory has no block.
///
/// # Errors
/// Those of the file system.
pub(in crate::app) fn has_no_blocks(data_dir: &Path) -> Result<bool, StorageError> {
    let blocks = data_dir.join("blocks");
    let entries = match std::fs::read_dir(&blocks) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(StorageError::io("read directory", &blocks)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(StorageError::io("read directory", &blocks))?;
        let bytes = entry.metadata().map_err(StorageError::io("look at", &entry.path()))?.len();
        // A log that was just made is one file with its head; so is what a horizon alone stands beside.
        let is_segment = entry.path().extension().is_some_and(|extension| extension == "seg");
        if is_segment && bytes > EMPTY_SEGMENT_BYTES_MAX {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A file of a log that holds no block is no larger.
const EMPTY_SEGMENT_BYTES_MAX: u64 = 128;

/// Puts a log that begins with this block in the place of one without blocks.
///
/// # Errors
/// Those of the file system.
pub(in crate::app) fn install(
    data_dir: &Path,
    chain_id: ChainId,
    committed: CommittedBlock,
) -> Result<(), StorageError> {
    let (blocks, new) = (data_dir.join("blocks"), data_dir.join(NEW));
    let removed = |path: &Path| match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StorageError::io("remove directory", path)(error))
        }
        _ => Ok(()),
    };
    removed(&new)?;
    let first = LoggedBlock { committed, spent: Vec::new() };
    drop(BlockLog::begin_at(RealDisk, &new, chain_id, &first)?);
    if !has_no_blocks(data_dir)? {
        return Err(StorageError::NotNext { expected: 1, found: first.committed.block.header.height });
    }
    removed(&blocks)?;
    std::fs::rename(&new, &blocks).map_err(StorageError::io("rename", &new))?;
    crate::storage::Disk::sync_dir(&RealDisk, data_dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::fixtures::block;

    /// INV-SNAPSHOT-INSTALL-1.
    #[test]
    fn a_log_takes_the_place_of_an_empty_one_and_of_no_other() {
        let home = tempfile::tempdir().unwrap();
        let committed = block(700);
        let chain_id = committed.block.header.chain_id;
        assert!(has_no_blocks(home.path()).unwrap());
        drop(BlockLog::open(RealDisk, &home.path().join("blocks"), chain_id).unwrap());
        assert!(has_no_blocks(home.path()).unwrap(), "a start that was ended leaves an empty one");
        install(home.path(), chain_id, committed.clone()).unwrap();
        assert!(!has_no_blocks(home.path()).unwrap());
        let log = BlockLog::open(RealDisk, &home.path().join("blocks"), chain_id).unwrap();
        assert_eq!((log.horizon(), log.height()), (700, 700));
        drop(log);
        assert!(install(home.path(), chain_id, committed).is_err(), "blocks are never replaced");
        let log = BlockLog::open(RealDisk, &home.path().join("blocks"), chain_id).unwrap();
        assert_eq!(log.height(), 700);
    }
}
