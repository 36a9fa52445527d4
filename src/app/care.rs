//! Care of a data directory: checking it, building its index again, giving back room, copies and what comes of them.
//!
//! # Place
//! `timed db` calls these. Everything here blocks. Beside [`backup`], which reads a running node's
//! files too, all of it holds the directory's lock.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `check.rs`, `check_blocks.rs`, `check_index.rs`, `check_note.rs` | what is damaged, and how deep that was looked for |
//! | `report.rs` | in which words |
//! | `repair.rs`, `reindex.rs`, `compact.rs`, `copy_note.rs` | what is mended, built anew, made smaller |
//! | `backup.rs`, `restore.rs`, `manifest.rs`, `archive.rs` | what is in a backup, and when it is whole |
//! | `snapshot.rs` | snapshots as files of an operator |
//! | `files.rs` | how files are copied and named |
//!
//! # Invariants
//! - INV-CARE-1: block log and vote journal are changed by [`repair`] alone, which cuts the block log and
//!   deletes nothing of it. No command changes a vote journal.
//! - INV-CARE-2: what is made appears under its name when it is whole and synced, and not before.
//!
//! # Concurrency
//! One command a directory, by its lock. Work that takes long asks [`Tell`] whether to go on.

mod archive;
pub mod backup;
pub mod check;
mod check_blocks;
mod check_index;
mod check_note;
pub mod compact;
mod copy_note;
mod files;
pub mod manifest;
pub mod reindex;
pub mod repair;
pub mod report;
pub mod restore;
pub mod snapshot;

use std::io;
use std::path::{Path, PathBuf};

use super::networks::{NetworksError, load_genesis};
use super::places::journal_path;
use crate::app::snapshots::fetch::FetchError;
use crate::consensus::replay::ReplayError;
use crate::runtime::cpu_pool::CpuPoolError;
use crate::runtime::key_file::{SecretFileError, read_key_file};
use crate::runtime::{Config, io_advice};
use crate::storage::{DirectoryLock, JournalIdentity, StorageError};
use crate::types::{ChainId, GenesisDocument, Height};

/// What long work is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes that were read or written, shown as sizes.
    Bytes,
    /// Blocks that were applied.
    Blocks,
    /// Entries of the index.
    Entries,
}

/// One stretch of long work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// What is done, such as "reading the block log".
    pub what: &'static str,
    /// What it is counted in.
    pub unit: Unit,
}

/// Told how much of some work is done, and how much there is in all; says whether to go on.
pub type Tell<'a> = &'a mut dyn FnMut(Work, u64, u64) -> bool;

/// Tells of the work, and ends it with [`StorageError::Interrupted`] if it is not to go on.
fn tell(told: Tell<'_>, work: Work, done: u64, total: u64) -> Result<(), CareError> {
    if told(work, done, total) { Ok(()) } else { Err(StorageError::Interrupted.into()) }
}

/// Why a command of `timed db` did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CareError {
    /// The configuration leads to no genesis document.
    #[error(transparent)]
    Networks(#[from] NetworksError),
    /// A key file is missing, malformed, or readable by others.
    #[error(transparent)]
    Key(#[from] SecretFileError),
    /// The data directory.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The blocks don't make a chain.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// No threads for signatures.
    #[error(transparent)]
    CpuPool(#[from] CpuPoolError),
    /// Nothing is there.
    #[error(
        "there is no data directory {path}: no node has run with this configuration yet; look at [node] data_dir"
    )]
    NoData {
        /// Where it should be.
        path: PathBuf,
    },
    /// `[masternode] enabled` without a key.
    #[error("[masternode] enabled needs [masternode] operator_key, the file with the key that votes")]
    NoOperatorKey,
    /// The index is not there.
    #[error("there is no index {path} to make smaller; the next start builds it from the block log")]
    NoIndex {
        /// Where it should be.
        path: PathBuf,
    },
    /// The index can't be read to its end.
    #[error("the index {path} can't be copied: {reason}; `timed db reindex` builds it from the block log")]
    BadIndex {
        /// The index.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The block log has damage, so that a copy of it would be of no use.
    #[error(
        "{path} is damaged ({what}): a backup of it would be one of the damage; `timed db check` says what to do first"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// There is no room for what would be written.
    #[error(
        "the disk of {} has {free_bytes} bytes left, and a copy may take {needed_bytes}: make room there, or move the data \
         directory to a larger disk; nothing was changed", path.display()
    )]
    NoRoom {
        /// What lies on that disk.
        path: PathBuf,
        /// What may be needed, in bytes.
        needed_bytes: u64,
        /// What there is, in bytes.
        free_bytes: u64,
    },
    /// Nobody could execute the blocks of a backup.
    #[error(
        "the block log begins with block {horizon}, and no whole snapshot of a block in it is here to begin with: a node makes one about every hour, unless [storage] snapshots is 0; back up again then"
    )]
    Pruned {
        /// The first block that is here.
        horizon: Height,
    },
    /// The chain is too old to be believed without a checkpoint, or has rules that this program does not know.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// There is no snapshot.
    #[error(
        "{path} holds no whole snapshot; a node makes one about every hour, unless [storage] snapshots is 0"
    )]
    NoSnapshot {
        /// Where it should be.
        path: PathBuf,
    },
    /// A snapshot is not that of this chain.
    #[error("{path} is no snapshot of this chain that can be believed: {reason}")]
    BadSnapshot {
        /// Its directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A snapshot is what a node begins with.
    #[error(
        "this node has blocks already, and a snapshot takes the place of none; use another data directory, or move blocks/ and the index aside"
    )]
    HasBlocks,
    /// What would be written is there.
    #[error("{path} exists already and is not overwritten; move it away or choose another name")]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// A directory that should be empty is not.
    #[error("{path} is not empty, and nothing is restored over what is there; choose a new directory")]
    NotEmpty {
        /// Which directory.
        path: PathBuf,
    },
    /// The file is no backup, or not a whole one.
    #[error("{path} is no whole backup: {reason}; take another copy of it, or another backup")]
    BadBackup {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another version wrote the backup.
    #[error(
        "{path} is a backup of format {found}, this program reads {expected}; restore it with the version that wrote it"
    )]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// What this program reads.
        expected: u64,
    },
    /// A file can't be read or written.
    #[error("{path}: {source}{}", io_advice(source))]
    Io {
        /// Which file.
        path: PathBuf,
        /// The file system's reason.
        source: io::Error,
    },
}

impl CareError {
    /// Makes a [`CareError::Io`] of the file system's reason.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// The data directory that a configuration names.
pub struct CarePlace {
    config: Config,
    config_path: PathBuf,
    genesis: GenesisDocument,
    /// Nobody holds it while a backup of a running node is made.
    lock: Option<DirectoryLock>,
}

impl CarePlace {
    /// Takes the directory, which no node may be running in. `config_path` is the file that the configuration is of.
    ///
    /// # Errors
    /// When there is no genesis document or no data directory, or it is in use.
    pub fn take(config: Config, config_path: &Path) -> Result<Self, CareError> {
        let mut place = Self::look(config, config_path)?;
        place.lock = Some(DirectoryLock::acquire(&place.config.node.data_dir)?);
        Ok(place)
    }

    /// The same without the lock: for what only reads what a running node never changes.
    ///
    /// # Errors
    /// When there is no genesis document or no data directory.
    pub fn look(config: Config, config_path: &Path) -> Result<Self, CareError> {
        let genesis = load_genesis(&config)?;
        let path = &config.node.data_dir;
        if !path.is_dir() {
            return Err(CareError::NoData { path: path.clone() });
        }
        Ok(Self { config, config_path: config_path.to_owned(), genesis, lock: None })
    }

    /// The directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.config.node.data_dir
    }

    /// The chain of the genesis document.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        self.genesis.chain_id()
    }

    fn blocks(&self) -> PathBuf {
        self.data_dir().join("blocks")
    }

    fn votes(&self) -> PathBuf {
        journal_path(self.data_dir())
    }

    /// Whose vote journal the configured node opens.
    fn journal_identity(&self) -> Result<JournalIdentity, CareError> {
        let chain_id = self.chain_id();
        if !self.config.masternode.enabled {
            return Ok(JournalIdentity { chain_id, operator: None });
        }
        let key = self.config.masternode.operator_key.as_ref().ok_or(CareError::NoOperatorKey)?;
        Ok(JournalIdentity { chain_id, operator: Some(read_key_file(key)?.public()) })
    }

    /// A command line of `timed` for this configuration.
    fn command(&self, words: &str) -> String {
        format!("timed {words} --config {}", quoted(&self.config_path))
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+@,:".contains(c));
    if is_plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests;
