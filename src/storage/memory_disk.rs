//! A disk in memory that loses and tears what was not synced, for the simulator, tests and benches.
//!
//! # Invariants
//! - INV-DISK-2: [`MemoryDisk::crash`] keeps each byte that was synced, in each file whose name was synced; what it
//!   does to the rest is a function of the seed alone.
//! - INV-DISK-3: a handle from before a crash is dead: the process that held it is gone.
//!
//! # Concurrency
//! Clones share one state behind one mutex.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{Disk, DiskFile};
use super::error::StorageError;

/// Bytes of garbage behind a torn tail, at most.
const GARBAGE_BYTES_MAX: u64 = 40;

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EIO: the device failed.
    InputOutput,
    /// ENOSPC: the file system is full.
    NoSpace,
}

impl Fault {
    fn error(self) -> io::Error {
        // The numbers are Linux's, so that messages read as they would from the real disk.
        io::Error::from_raw_os_error(match self {
            Self::InputOutput => 5,
            Self::NoSpace => 28,
        })
    }
}

#[derive(Clone, Default)]
struct Contents {
    data: Vec<u8>,
    /// The first bytes of `data` that are durable.
    synced_length: usize,
    /// Durable bytes that stood behind `synced_length` until a truncation that is not synced.
    truncated: Vec<u8>,
}

type Inode = u64;

/// A change of names that is not durable yet.
enum NameChange {
    Created(PathBuf),
    Removed(PathBuf, Inode),
    Renamed { from: PathBuf, to: PathBuf, replaced: Option<Inode> },
}

impl NameChange {
    fn is_in(&self, dir: &Path) -> bool {
        match self {
            Self::Created(path) | Self::Removed(path, _) => path.parent() == Some(dir),
            Self::Renamed { to, .. } => to.parent() == Some(dir),
        }
    }
}

#[derive(Default)]
struct State {
    names: BTreeMap<PathBuf, Inode>,
    inodes: BTreeMap<Inode, Contents>,
    directories: BTreeSet<PathBuf>,
    next_inode: Inode,
    name_changes: Vec<NameChange>,
    /// Writes and syncs so far.
    operations: u64,
    /// Which operation fails next.
    failure: Option<(u64, Fault)>,
    /// Crashes so far.
    generation: u64,
    watcher: Option<Box<dyn Fn() + Send>>,
}

impl State {
    /// Counts a write or sync, and fails it if it is the one.
    fn operate(&mut self) -> io::Result<()> {
        self.operations += 1;
        if let Some(watcher) = &self.watcher {
            watcher();
        }
        match self.failure {
            Some((at, fault)) if at == self.operations => {
                self.failure = None;
                Err(fault.error())
            }
            _ => Ok(()),
        }
    }

    fn contents(&mut self, inode: Inode, generation: u64) -> io::Result<&mut Contents> {
        if generation != self.generation {
            return Err(io::Error::other("the process that opened this file has crashed"));
        }
        self.inodes.get_mut(&inode).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

/// Steele, Lea and Flood's SplitMix64: small, and the same on every machine.
struct Choices(u64);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `limit`, both included.
    fn up_to(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit as u64 + 1)).unwrap_or(limit)
    }
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryDisk").field("operations", &self.operations()).finish_non_exhaustive()
    }
}

/// An open file of a [`MemoryDisk`].
pub struct MemoryFile {
    state: Arc<Mutex<State>>,
    path: PathBuf,
    inode: Inode,
    generation: u64,
}

impl MemoryDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many writes and syncs there were, failed ones included: appends, truncations, syncs of data and
    /// directories, creations, removals and renames.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// Calls this at each write and sync from now on, before it is done; it must not use the disk.
    pub fn watch(&self, watcher: impl Fn() + Send + 'static) {
        self.state.lock().watcher = Some(Box::new(watcher));
    }

    /// Makes the `count`-th write or sync from now fail once (1 is the next one); half of a failed append is written.
    pub fn fail_after(&self, count: u64, fault: Fault) {
        let mut state = self.state.lock();
        state.failure = Some((state.operations.saturating_add(count), fault));
    }

    /// Loses power. Of what was not synced each file keeps a prefix, followed by garbage at times, and names come,
    /// stay or go, new ones in their order; all by the seed. Handles opened before are dead.
    pub fn crash(&self, seed: u64) {
        let mut choices = Choices(seed);
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.generation += 1;
        state.failure = None;
        let kept = choices.up_to(state.name_changes.len());
        // Names go in their order on most file systems, but none promises it of removals.
        for change in state.name_changes.iter().take(kept) {
            if let NameChange::Removed(path, inode) = change
                && choices.next().is_multiple_of(2)
            {
                state.names.entry(path.clone()).or_insert(*inode);
            }
        }
        for change in state.name_changes.drain(..).skip(kept).rev() {
            match change {
                NameChange::Created(path) => {
                    state.names.remove(&path);
                }
                NameChange::Removed(path, inode) => {
                    state.names.insert(path, inode);
                }
                NameChange::Renamed { from, to, replaced } => {
                    if let Some(inode) = state.names.remove(&to) {
                        state.names.insert(from, inode);
                    }
                    if let Some(inode) = replaced {
                        state.names.insert(to, inode);
                    }
                }
            }
        }
        let live: BTreeSet<Inode> = state.names.values().copied().collect();
        state.inodes.retain(|inode, _| live.contains(inode));
        for contents in state.inodes.values_mut() {
            tear(contents, &mut choices);
        }
    }

    /// Inverts one bit of a file, durably, as a failing medium would.
    ///
    /// # Errors
    /// [`StorageError::Io`] if there is no such file or no such bit.
    pub fn flip_bit(&self, path: &Path, bit: u64) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        let flipped = state.names.get(path).copied().and_then(|inode| {
            let contents = state.inodes.get_mut(&inode)?;
            let byte = contents.data.get_mut(usize::try_from(bit / 8).ok()?)?;
            *byte ^= 1 << (bit % 8);
            Some(())
        });
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        flipped.ok_or_else(missing).map_err(StorageError::io("flip a bit of", path))
    }

    fn open_file(&self, path: &Path, create: bool) -> Result<MemoryFile, StorageError> {
        let failed = || StorageError::io("open", path);
        let mut state = self.state.lock();
        let inode = match state.names.get(path).copied() {
            Some(inode) => inode,
            None if !create => return Err(failed()(io::ErrorKind::NotFound.into())),
            None => {
                state.operate().map_err(failed())?;
                let inode = state.next_inode;
                state.next_inode += 1;
                state.inodes.insert(inode, Contents::default());
                state.names.insert(path.to_path_buf(), inode);
                state.name_changes.push(NameChange::Created(path.to_path_buf()));
                inode
            }
        };
        let generation = state.generation;
        Ok(MemoryFile { state: Arc::clone(&self.state), path: path.to_path_buf(), inode, generation })
    }
}

fn tear(contents: &mut Contents, choices: &mut Choices) {
    let restored = !contents.truncated.is_empty() && choices.next().is_multiple_of(2);
    if restored {
        contents.data.truncate(contents.synced_length);
        contents.data.append(&mut contents.truncated);
    } else {
        let unsynced = contents.data.len().saturating_sub(contents.synced_length);
        let kept = match choices.next() % 4 {
            0 => 0,
            1 => unsynced,
            _ => choices.up_to(unsynced),
        };
        contents.data.truncate(contents.synced_length.saturating_add(kept));
        // A longer file whose last pages never came: zeros or old contents of the medium.
        if unsynced > 0 && choices.next().is_multiple_of(2) {
            let room = u64::try_from(unsynced - kept).unwrap_or(0).min(GARBAGE_BYTES_MAX);
            let count = choices.up_to(usize::try_from(room).unwrap_or(0));
            let zeros = choices.next().is_multiple_of(2);
            contents.data.extend((0..count).map(|_| if zeros { 0 } else { choices.next().to_le_bytes()[0] }));
        }
    }
    contents.truncated.clear();
    contents.synced_length = contents.data.len();
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn create_dir_all(&self, dir: &Path) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        for ancestor in dir.ancestors() {
            state.directories.insert(ancestor.to_path_buf());
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, StorageError> {
        let state = self.state.lock();
        let children = state.names.keys().chain(&state.directories).filter(|path| path.parent() == Some(dir));
        let mut names: Vec<String> = children
            .filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> Result<bool, StorageError> {
        let state = self.state.lock();
        Ok(state.names.contains_key(path) || state.directories.contains(path))
    }

    fn open(&self, path: &Path) -> Result<MemoryFile, StorageError> {
        self.open_file(path, true)
    }

    fn open_existing(&self, path: &Path) -> Result<MemoryFile, StorageError> {
        self.open_file(path, false)
    }

    fn remove(&self, path: &Path) -> Result<(), StorageError> {
        let failed = || StorageError::io("remove", path);
        let mut state = self.state.lock();
        state.operate().map_err(failed())?;
        let inode = state.names.remove(path).ok_or_else(|| failed()(io::ErrorKind::NotFound.into()))?;
        state.name_changes.push(NameChange::Removed(path.to_path_buf(), inode));
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> Result<(), StorageError> {
        let failed = || StorageError::io("remove directory", dir);
        let mut state = self.state.lock();
        state.operate().map_err(failed())?;
        let is_within = |path: &&PathBuf| path.parent() == Some(dir);
        if state.names.keys().chain(&state.directories).any(|path| is_within(&path)) {
            return Err(failed()(io::ErrorKind::DirectoryNotEmpty.into()));
        }
        state.directories.remove(dir);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        let failed = || StorageError::io("rename", from);
        let mut state = self.state.lock();
        state.operate().map_err(failed())?;
        let inode = state.names.remove(from).ok_or_else(|| failed()(io::ErrorKind::NotFound.into()))?;
        let replaced = state.names.insert(to.to_path_buf(), inode);
        let change = NameChange::Renamed { from: from.to_path_buf(), to: to.to_path_buf(), replaced };
        state.name_changes.push(change);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), StorageError> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.operate().map_err(StorageError::io("sync directory", dir))?;
        state.name_changes.retain(|change| !change.is_in(dir));
        // Files without a name are unreachable for good once no undo can bring them back; a handle that is still open
        // on one would fail, which no log does.
        let undoable = state.name_changes.iter().filter_map(|change| match change {
            NameChange::Created(_) => None,
            NameChange::Removed(_, inode) => Some(*inode),
            NameChange::Renamed { replaced, .. } => *replaced,
        });
        let live: BTreeSet<Inode> = state.names.values().copied().chain(undoable).collect();
        state.inodes.retain(|inode, _| live.contains(inode));
        Ok(())
    }
}

impl MemoryFile {
    fn with<R>(
        &self,
        operation: &'static str,
        act: impl FnOnce(&mut State) -> io::Result<R>,
    ) -> Result<R, StorageError> {
        act(&mut self.state.lock()).map_err(StorageError::io(operation, &self.path))
    }
}

impl DiskFile for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let (inode, generation) = (self.inode, self.generation);
        self.with("write to", |state| {
            let outcome = state.operate();
            let written = if outcome.is_ok() { bytes } else { bytes.split_at(bytes.len() / 2).0 };
            state.contents(inode, generation)?.data.extend_from_slice(written);
            outcome
        })
    }

    fn sync_data(&mut self) -> Result<(), StorageError> {
        let (inode, generation) = (self.inode, self.generation);
        self.with("sync", |state| {
            state.operate()?;
            let contents = state.contents(inode, generation)?;
            contents.synced_length = contents.data.len();
            contents.truncated.clear();
            Ok(())
        })
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.with("read", |state| {
            let contents = state.contents(self.inode, self.generation)?;
            let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
            let start = usize::try_from(offset).map_err(|_| ended())?;
            let end = start.checked_add(buffer.len()).ok_or_else(ended)?;
            buffer.copy_from_slice(contents.data.get(start..end).ok_or_else(ended)?);
            Ok(())
        })
    }

    fn size_bytes(&self) -> Result<u64, StorageError> {
        self.with("measure", |state| {
            Ok(u64::try_from(state.contents(self.inode, self.generation)?.data.len()).unwrap_or(u64::MAX))
        })
    }

    fn truncate(&mut self, length: u64) -> Result<(), StorageError> {
        let (inode, generation) = (self.inode, self.generation);
        self.with("truncate", |state| {
            state.operate()?;
            let contents = state.contents(inode, generation)?;
            let length = usize::try_from(length).unwrap_or(usize::MAX).min(contents.data.len());
            if length < contents.synced_length {
                let mut cut = contents.data.get(length..contents.synced_length).unwrap_or_default().to_vec();
                cut.append(&mut contents.truncated);
                contents.truncated = cut;
                contents.synced_length = length;
            }
            contents.data.truncate(length);
            Ok(())
        })
    }
}
