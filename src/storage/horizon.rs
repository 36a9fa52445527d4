//! Where a block log begins: at block 1, or later if earlier blocks were pruned or never fetched.
//!
//! # Place
//! `block_log.rs` writes it before anything is left out, and holds the first file of the log to it at each open.
//! `log_check.rs` does the same without changing anything.
//!
//! # Invariants
//! - INV-HORIZON-1: a file that is missing at the log's beginning was left out on purpose, or the log does not open. The
//!   horizon is durable under its name before the first file below it is touched.
//!
//! # Layout
//! The file `horizon` in the log's directory, 62 bytes, integers little-endian: magic 8, version 2, chain id 32, sequence of
//! the first file 8, height of its first block 8, CRC-32 of all before 4. Without the file the log begins at block 1.

use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile};
use super::error::StorageError;
use super::segment_files::segment_path;
use crate::types::{ChainId, Height};

const MAGIC: [u8; 8] = *b"timedhzn";
const VERSION: u16 = 1;
const BYTES: usize = 62;
const NAME: &str = "horizon";
const NEW: &str = "horizon.new";
const REPAIR: &str = "move blocks/ and the index aside: the node fetches the chain again from its peers";

/// The first file of a block log, and its first block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Horizon {
    pub(super) sequence: u64,
    pub(super) height: Height,
}

impl Horizon {
    /// Of a log that has all blocks.
    pub(super) const WHOLE: Self = Self { sequence: 1, height: 1 };

    fn path(dir: &Path) -> PathBuf {
        dir.join(NAME)
    }

    fn to_bytes(self, chain_id: &ChainId) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&chain_id.0);
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.height.to_le_bytes());
        let sum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The version, the chain and the horizon of a whole file.
    fn of_bytes(bytes: &[u8]) -> Option<(u16, ChainId, Self)> {
        let (body, sum) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(body).to_le_bytes() != *sum {
            return None;
        }
        let (magic, rest) = body.split_first_chunk::<8>()?;
        let (version, rest) = rest.split_first_chunk::<2>()?;
        let (chain_id, rest) = rest.split_first_chunk::<32>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let height: &[u8; 8] = rest.try_into().ok()?;
        let horizon = Self { sequence: u64::from_le_bytes(*sequence), height: u64::from_le_bytes(*height) };
        let is_one = *magic == MAGIC && horizon.sequence > 0 && horizon.height > 0;
        is_one.then_some((u16::from_le_bytes(*version), ChainId(*chain_id), horizon))
    }

    /// What the directory says.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`], [`StorageError::UnsupportedVersion`], [`StorageError::WrongChain`], [`StorageError::Io`].
    pub(super) fn read<D: Disk>(disk: &D, dir: &Path, chain_id: &ChainId) -> Result<Self, StorageError> {
        let path = Self::path(dir);
        if !disk.exists(&path)? {
            return Ok(Self::WHOLE);
        }
        let file = disk.open_existing(&path)?;
        // A longer file is none of ours; its first bytes say no more.
        let mut bytes = vec![0; BYTES.min(usize::try_from(file.size_bytes()?).unwrap_or(0))];
        file.read_at(0, &mut bytes)?;
        let Some((version, found, horizon)) = Self::of_bytes(&bytes) else {
            return Err(StorageError::Corrupt { path, offset: 0, what: "the horizon", repair: REPAIR });
        };
        if version != VERSION {
            return Err(StorageError::UnsupportedVersion { path, expected: VERSION, found: version });
        }
        if found != *chain_id {
            return Err(StorageError::WrongChain { path, expected: *chain_id, found });
        }
        Ok(horizon)
    }

    /// Makes it durable. The directory exists.
    ///
    /// # Errors
    /// [`StorageError::Io`]; the one before is still there then, or this one.
    pub(super) fn write<D: Disk>(self, disk: &D, dir: &Path, chain_id: &ChainId) -> Result<(), StorageError> {
        let new = dir.join(NEW);
        let mut file = disk.open(&new)?;
        file.truncate(0)?;
        file.append(&self.to_bytes(chain_id))?;
        file.sync_data()?;
        drop(file);
        disk.rename(&new, &Self::path(dir))?;
        disk.sync_dir(dir)
    }

    /// Forgets it, where nothing of the log is left that it speaks of.
    pub(super) fn remove<D: Disk>(disk: &D, dir: &Path) -> Result<(), StorageError> {
        let path = Self::path(dir);
        if disk.exists(&path)? {
            disk.remove(&path)?;
            disk.sync_dir(dir)?;
        }
        Ok(())
    }

    /// What to say of a log that does not begin here.
    pub(super) fn missing(self, dir: &Path) -> StorageError {
        StorageError::MissingSegment { path: segment_path(dir, self.sequence), repair: REPAIR }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::memory_disk::MemoryDisk;

    const CHAIN: ChainId = ChainId([3; 32]);

    #[test]
    fn a_horizon_is_read_as_it_was_written_and_any_changed_bit_is_found() {
        let (disk, dir) = (MemoryDisk::new(), Path::new("blocks"));
        disk.create_dir_all(dir).unwrap();
        assert_eq!(Horizon::read(&disk, dir, &CHAIN).unwrap(), Horizon::WHOLE);
        let horizon = Horizon { sequence: 7, height: 900 };
        horizon.write(&disk, dir, &CHAIN).unwrap();
        assert_eq!(Horizon::read(&disk, dir, &CHAIN).unwrap(), horizon);
        assert!(matches!(
            Horizon::read(&disk, dir, &ChainId::ZERO),
            Err(StorageError::WrongChain { found: CHAIN, .. })
        ));
        let bytes = horizon.to_bytes(&CHAIN);
        assert_eq!(bytes.len(), BYTES);
        for bit in 0..8 * BYTES {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Horizon::of_bytes(&changed), None, "bit {bit}");
        }
        Horizon::remove(&disk, dir).unwrap();
        assert_eq!(Horizon::read(&disk, dir, &CHAIN).unwrap(), Horizon::WHOLE);
    }
}
