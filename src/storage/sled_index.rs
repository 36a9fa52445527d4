//! The index store of a real node: sled 0.34, kept where its faults can't reach anything that matters.
//!
//! # Place
//! Behind [`IndexGuard`](super::index_guard::IndexGuard), which takes its panics. Blocking: called from the writer's thread
//! and through `spawn_blocking`.
//!
//! # Invariants
//! - Sync is sled's flush and then an fsync of its file, since the flush alone is none on Linux.
//! - INV-SLED-2: what a killed process leaves of a snapshot it was making is removed before sled is opened, which would
//!   fail otherwise.
//! - [`StorageError::Index`] means damage. What the operating system refuses for want of room, rights or
//!   handles is [`StorageError::Io`], and no reason to build the index again.
//! - Single keys are written, never sled's batches, which stop every reader.
//!
//! # Units
//! The cache is in MiB. sled takes up to two and a half times of it in memory, and about four times the raw data on disk.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::StorageError;
use super::index_guard::without_panic;
use super::index_store::{Change, Entries, IndexStore, Tree, VALUE_BYTES_MAX};
use crate::runtime::{Clock, metric_names};

/// How often sled writes by itself what has gathered, in milliseconds; without it, it never cleans up.
const FLUSH_EVERY_MS: u64 = 500;
/// How often a database that somebody has open is tried again. The node holds the data directory's own lock before, so
/// this one is its own, from a moment ago: sled closes in the background after the last handle is gone.
const CLOSE_ATTEMPTS: usize = 40;
/// How long to wait between two attempts.
const CLOSE_INTERVAL: Duration = Duration::from_millis(50);
/// The file in sled's directory that holds everything but snapshots, which sled syncs itself.
const DATA_FILE: &str = "db";
/// What a file of sled's snapshot that was never completed ends with.
const GENERATING: &str = ".generating";

/// An open sled database.
pub struct SledIndex {
    path: PathBuf,
    database: sled::Db,
    /// In the order of [`Tree::ALL`].
    trees: Vec<sled::Tree>,
    data_file: File,
}

/// Answers of the operating system to a process or a machine that has too many open files.
const TOO_MANY_FILES: [i32; 2] = [23, 24];

/// Whether the operating system's answer speaks of the machine and not of the files.
pub(super) fn is_of_machine(error: &std::io::Error) -> bool {
    let of_machine = matches!(
        error.kind(),
        ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::OutOfMemory
    );
    of_machine || error.raw_os_error().is_some_and(|code| TOO_MANY_FILES.contains(&code))
}

fn remove_incomplete_snapshots(path: &Path) -> Result<(), StorageError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StorageError::io("list", path)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(StorageError::io("list", path))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(GENERATING) {
            fs::remove_file(entry.path()).map_err(StorageError::io("remove", entry.path()))?;
        }
    }
    Ok(())
}

/// Whether somebody has the database open.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

impl SledIndex {
    /// Opens the database in a directory, or makes it.
    ///
    /// # Errors
    /// [`StorageError::Unopenable`]: call [`SledIndex::destroy`] and build it again; [`StorageError::InUse`] if it is
    /// open already; [`StorageError::Io`].
    pub fn open(path: &Path, cache_mb: u64) -> Result<Self, StorageError> {
        fs::create_dir_all(path).map_err(StorageError::io("create directory", path))?;
        remove_incomplete_snapshots(path)?;
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(cache_mb.saturating_mul(1 << 20))
            .flush_every_ms(Some(FLUSH_EVERY_MS));
        let open = || {
            let database = config.open()?;
            let trees = Tree::ALL.map(|tree| database.open_tree(tree.name()));
            Ok::<_, sled::Error>((database, trees.into_iter().collect::<Result<Vec<_>, _>>()?))
        };
        let unopenable = |reason: String| StorageError::Unopenable { path: path.to_path_buf(), reason };
        // Some kinds of damage make sled panic instead of returning an error.
        let mut opened = without_panic(|| Ok(open())).map_err(|panic| unopenable(panic.to_string()))?;
        for _ in 0..CLOSE_ATTEMPTS {
            if !opened.as_ref().is_err_and(is_locked) {
                break;
            }
            std::thread::sleep(CLOSE_INTERVAL);
            opened = without_panic(|| Ok(open())).map_err(|panic| unopenable(panic.to_string()))?;
        }
        let (database, trees) = opened.map_err(|error| match error {
            error if is_locked(&error) => StorageError::InUse { path: path.to_path_buf(), holder: None },
            sled::Error::Io(error) if is_of_machine(&error) => {
                StorageError::io("open the index", path)(error)
            }
            error => unopenable(error.to_string()),
        })?;
        let data_file = path.join(DATA_FILE);
        let data_file = File::open(&data_file).map_err(StorageError::io("open", &data_file))?;
        Ok(Self { path: path.to_path_buf(), database, trees, data_file })
    }

    /// Waits until a database that was dropped is closed, which sled does in the background: only then may its directory
    /// be renamed. One that was never there is closed.
    ///
    /// # Errors
    /// [`StorageError::InUse`] if it stays open.
    pub fn wait_closed(path: &Path) -> Result<(), StorageError> {
        let Ok(file) = File::open(path.join(DATA_FILE)) else { return Ok(()) };
        for _ in 0..CLOSE_ATTEMPTS {
            if fs4::FileExt::try_lock(&file).is_ok() {
                return Ok(());
            }
            std::thread::sleep(CLOSE_INTERVAL);
        }
        Err(StorageError::InUse { path: path.to_path_buf(), holder: None })
    }

    /// Removes the database in a directory, with everything in it.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn destroy(path: &Path) -> Result<(), StorageError> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StorageError::io("remove", path)(error))
            }
            _ => Ok(()),
        }
    }

    fn failed(&self, error: sled::Error) -> StorageError {
        match error {
            sled::Error::Io(error) if is_of_machine(&error) => {
                StorageError::io("read or write the index", &self.path)(error)
            }
            error => StorageError::Index { reason: error.to_string() },
        }
    }

    fn tree(&self, tree: Tree) -> Result<&sled::Tree, StorageError> {
        let place = Tree::ALL.iter().position(|candidate| *candidate == tree);
        let not_open = || StorageError::Index { reason: "a tree is not open".to_owned() };
        place.and_then(|place| self.trees.get(place)).ok_or_else(not_open)
    }
}

impl IndexStore for SledIndex {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.tree(tree)?.get(key).map_err(|error| self.failed(error))?.map(|value| value.to_vec()))
    }

    fn scan_prefix(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, StorageError> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut entries = Vec::new();
        for entry in self.tree(tree)?.range::<&[u8], _>((start, Bound::Unbounded)).take(limit) {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
            if !key.starts_with(prefix) {
                break;
            }
            entries.push((key.to_vec(), value.to_vec()));
        }
        Ok(entries)
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        for change in changes {
            match change {
                Change::Put { value, .. } if value.len() > VALUE_BYTES_MAX => {
                    let (bytes, limit) = (value.len(), VALUE_BYTES_MAX);
                    return Err(StorageError::RecordTooLarge { bytes, limit });
                }
                Change::Put { tree, key, value } => {
                    self.tree(tree)?.insert(key, value).map_err(|error| self.failed(error))?
                }
                Change::Delete { tree, key } => {
                    self.tree(tree)?.remove(key).map_err(|error| self.failed(error))?
                }
            };
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StorageError> {
        let started = Clock.instant();
        self.database.flush().map_err(|error| self.failed(error))?;
        let data_file = self.path.join(DATA_FILE);
        self.data_file.sync_all().map_err(StorageError::io("sync", data_file))?;
        File::open(&self.path)
            .and_then(|dir| dir.sync_all())
            .map_err(StorageError::io("sync directory", &self.path))?;
        metrics::histogram!(metric_names::STORAGE_FLUSH_SECONDS).record(started.elapsed().as_secs_f64());
        Ok(())
    }
}
