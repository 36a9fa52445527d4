//! Snapshots as files: those that this node made or fetched, and one that is on its way.
//!
//! # Place
//! `app/snapshots/` fills directories and serves of them, `consensus/replay.rs` builds an index of one where the block log does
//! not begin at block 1. What the parts mean is [`snapshot`](crate::protocol::snapshot)'s.
//!
//! # Layout
//! `snapshots/HEIGHT/` with a file for each part. A file: magic 8, version 2, kind 1, CRC-32 of the rest 4, then the part as
//! it travels. The manifest is called `incoming` until all other parts are there.
//!
//! # Invariants
//! - INV-SNAPSHOTS-1: a snapshot with a manifest is whole: every other part was durable under its name before. It is taken
//!   apart in the other order.
//! - INV-SNAPSHOTS-2: a part whose checksum does not hold is never given out.

use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile};
use super::error::StorageError;
use crate::types::Height;
use crate::types::limits::MESSAGE_BYTES_MAX;

const MAGIC: [u8; 8] = *b"timedsnp";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 15;
const REPAIR: &str = "remove that snapshot's directory; a node that needs it begins with another one, and makes a new one within the hour";

/// A part of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SnapshotPart {
    /// All but the outputs.
    Manifest,
    /// That the block is of the chain.
    Proof,
    /// The block itself, with its commit.
    Block,
    /// Outputs, by their place in the manifest.
    Chunk(u32),
}

impl SnapshotPart {
    fn name(self) -> String {
        match self {
            Self::Manifest => "manifest".to_owned(),
            Self::Proof => "proof".to_owned(),
            Self::Block => "block".to_owned(),
            Self::Chunk(place) => format!("chunk-{place:06}"),
        }
    }

    /// Whether a file of this name in a snapshot's directory is a part of it.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let place = name.strip_prefix("chunk-").and_then(|place| place.parse().ok());
        let named = [Self::Manifest, Self::Proof, Self::Block].into_iter().chain(place.map(Self::Chunk));
        named.into_iter().any(|part| part.name() == name)
    }

    const fn kind(self) -> u8 {
        match self {
            Self::Manifest => 1,
            Self::Proof => 2,
            Self::Block => 3,
            Self::Chunk(_) => 4,
        }
    }
}

/// The directory of one snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotDir<D: Disk> {
    disk: D,
    dir: PathBuf,
    height: Height,
}

impl<D: Disk> SnapshotDir<D> {
    /// Of which block it is.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The names of the files of its parts, ascending.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn names(&self) -> Result<Vec<String>, StorageError> {
        let mut names = self.disk.list(&self.dir)?;
        names.retain(|name| SnapshotPart::is_name(name));
        names.sort_unstable();
        Ok(names)
    }

    fn write_as(&self, name: &str, kind: u8, payload: &[u8]) -> Result<(), StorageError> {
        let new = self.dir.join(format!("{name}.new"));
        let mut file = self.disk.open(&new)?;
        file.truncate(0)?;
        let mut bytes = Vec::with_capacity(HEAD_BYTES + payload.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(&sum_of(kind, payload));
        bytes.extend_from_slice(payload);
        file.append(&bytes)?;
        file.sync_data()?;
        drop(file);
        self.disk.rename(&new, &self.dir.join(name))
    }

    /// Writes a part other than the manifest. Its name is durable with [`Self::finish`].
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn write(&self, part: SnapshotPart, payload: &[u8]) -> Result<(), StorageError> {
        self.write_as(&part.name(), part.kind(), payload)
    }

    /// Notes the manifest of a snapshot whose parts are still to come.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn begin(&self, manifest: &[u8]) -> Result<(), StorageError> {
        self.write_as("incoming", SnapshotPart::Manifest.kind(), manifest)?;
        self.disk.sync_dir(&self.dir)
    }

    /// The manifest of a snapshot whose parts are still to come, if it was noted.
    ///
    /// # Errors
    /// [`StorageError::Io`], [`StorageError::Corrupt`].
    pub fn begun(&self) -> Result<Option<Vec<u8>>, StorageError> {
        self.read_as("incoming", SnapshotPart::Manifest.kind())
    }

    /// INV-SNAPSHOTS-1: makes it a whole snapshot. All other parts were written.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn finish(&self, manifest: &[u8]) -> Result<(), StorageError> {
        self.disk.sync_dir(&self.dir)?;
        self.write(SnapshotPart::Manifest, manifest)?;
        self.disk.sync_dir(&self.dir)?;
        let incoming = self.dir.join("incoming");
        if self.disk.exists(&incoming)? { self.disk.remove(&incoming) } else { Ok(()) }
    }

    /// Whether there is a file of this part; whether it is well shows when it is read.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn has(&self, part: SnapshotPart) -> Result<bool, StorageError> {
        self.disk.exists(&self.dir.join(part.name()))
    }

    /// A part; `None` if there is none.
    ///
    /// # Errors
    /// [`StorageError::Io`], [`StorageError::Corrupt`], [`StorageError::UnsupportedVersion`].
    pub fn read(&self, part: SnapshotPart) -> Result<Option<Vec<u8>>, StorageError> {
        self.read_as(&part.name(), part.kind())
    }

    fn read_as(&self, name: &str, kind: u8) -> Result<Option<Vec<u8>>, StorageError> {
        let path = self.dir.join(name);
        if !self.disk.exists(&path)? {
            return Ok(None);
        }
        let file = self.disk.open_existing(&path)?;
        let corrupt = |what| StorageError::Corrupt { path: path.clone(), offset: 0, what, repair: REPAIR };
        let length = usize::try_from(file.size_bytes()?).unwrap_or(usize::MAX);
        if !(HEAD_BYTES..=HEAD_BYTES + MESSAGE_BYTES_MAX).contains(&length) {
            return Err(corrupt("the size of a snapshot's part"));
        }
        let mut bytes = vec![0; length];
        file.read_at(0, &mut bytes)?;
        let payload = bytes.split_off(HEAD_BYTES);
        let (magic, rest) = bytes.split_at(MAGIC.len());
        let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(|| corrupt("a part's head"))?;
        let version = u16::from_le_bytes(*version);
        if magic == MAGIC && version != VERSION {
            return Err(StorageError::UnsupportedVersion { path, expected: VERSION, found: version });
        }
        let is_whole =
            magic == MAGIC && rest.first() == Some(&kind) && rest.get(1..) == Some(&sum_of(kind, &payload));
        if is_whole { Ok(Some(payload)) } else { Err(corrupt("a part of a snapshot")) }
    }

    /// Removes it.
    ///
    /// # Errors
    /// [`StorageError::Io`]; what is left is no snapshot, and the next call goes on.
    pub fn remove(self) -> Result<(), StorageError> {
        if !self.disk.exists(&self.dir)? {
            return Ok(());
        }
        let manifest = self.dir.join(SnapshotPart::Manifest.name());
        if self.disk.exists(&manifest)? {
            self.disk.remove(&manifest)?;
            self.disk.sync_dir(&self.dir)?;
        }
        for name in self.disk.list(&self.dir)? {
            self.disk.remove(&self.dir.join(name))?;
        }
        self.disk.remove_dir(&self.dir)
    }
}

fn sum_of(kind: u8, payload: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(payload);
    hasher.finalize().to_le_bytes()
}

/// All snapshots of a node.
#[derive(Clone, Debug)]
pub struct SnapshotStore<D: Disk> {
    disk: D,
    root: PathBuf,
}

impl<D: Disk> SnapshotStore<D> {
    /// Those in this directory, which need not exist.
    pub const fn new(disk: D, root: PathBuf) -> Self {
        Self { disk, root }
    }

    fn at(&self, height: Height) -> SnapshotDir<D> {
        SnapshotDir { disk: self.disk.clone(), dir: self.root.join(format!("{height:012}")), height }
    }

    fn all(&self) -> Result<Vec<SnapshotDir<D>>, StorageError> {
        let names = self.disk.list(&self.root)?;
        let mut heights: Vec<Height> = names.iter().filter_map(|name| name.parse().ok()).collect();
        heights.sort_unstable();
        heights.dedup();
        Ok(heights.into_iter().rev().map(|height| self.at(height)).collect())
    }

    /// The whole ones, the newest first.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn list(&self) -> Result<Vec<SnapshotDir<D>>, StorageError> {
        let mut whole = Vec::new();
        for snapshot in self.all()? {
            if snapshot.has(SnapshotPart::Manifest)? {
                whole.push(snapshot);
            }
        }
        Ok(whole)
    }

    /// The whole one of this height.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn get(&self, height: Height) -> Result<Option<SnapshotDir<D>>, StorageError> {
        let snapshot = self.at(height);
        Ok(snapshot.has(SnapshotPart::Manifest)?.then_some(snapshot))
    }

    /// A directory for parts of the snapshot of this height; what is there already stays.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn begin(&self, height: Height) -> Result<SnapshotDir<D>, StorageError> {
        let snapshot = self.at(height);
        self.disk.create_dir_all(&snapshot.dir)?;
        Ok(snapshot)
    }

    /// Removes all but the newest `kept` whole ones; also unfinished ones, but for that of `spared`.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn keep_newest(&self, kept: usize, spared: Option<Height>) -> Result<(), StorageError> {
        let mut whole = 0;
        for snapshot in self.all()? {
            if snapshot.has(SnapshotPart::Manifest)? {
                whole += 1;
                if whole <= kept {
                    continue;
                }
            } else if spared == Some(snapshot.height) {
                continue;
            }
            snapshot.remove()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::storage::memory_disk::{Fault, MemoryDisk};

    fn store(disk: &MemoryDisk) -> SnapshotStore<MemoryDisk> {
        SnapshotStore::new(disk.clone(), PathBuf::from("/node/snapshots"))
    }

    fn fill(store: &SnapshotStore<MemoryDisk>, height: Height) -> Result<(), StorageError> {
        let dir = store.begin(height)?;
        dir.write(SnapshotPart::Block, &[1; 40])?;
        dir.write(SnapshotPart::Chunk(0), &[2; 900])?;
        dir.write(SnapshotPart::Chunk(1), &[])?;
        dir.finish(&[3; 60])
    }

    fn assert_whole(dir: &SnapshotDir<MemoryDisk>) {
        assert_eq!(dir.read(SnapshotPart::Manifest).unwrap(), Some(vec![3; 60]));
        assert_eq!(dir.read(SnapshotPart::Block).unwrap(), Some(vec![1; 40]));
        assert_eq!(dir.read(SnapshotPart::Chunk(0)).unwrap(), Some(vec![2; 900]));
        assert_eq!(dir.read(SnapshotPart::Chunk(1)).unwrap(), Some(vec![]));
        assert_eq!(dir.read(SnapshotPart::Chunk(2)).unwrap(), None);
        assert_eq!(dir.read(SnapshotPart::Proof).unwrap(), None);
    }

    #[test]
    fn the_files_of_a_snapshot_are_those_of_its_parts() {
        let disk = MemoryDisk::new();
        fill(&store(&disk), 7).unwrap();
        let dir = store(&disk).get(7).unwrap().unwrap();
        dir.begin(&[1]).unwrap();
        disk.open(&dir.path().join("chunk-000002.new")).unwrap();
        assert_eq!(dir.names().unwrap(), ["block", "chunk-000000", "chunk-000001", "manifest"]);
        for name in ["", "incoming", "chunk-", "chunk-1", "chunk-+00001", "../block", "chunk-00000000001"] {
            assert!(!SnapshotPart::is_name(name), "{name}");
        }
    }

    #[test]
    fn the_newest_snapshots_are_kept_and_unfinished_ones_are_not() {
        let disk = MemoryDisk::new();
        let store = store(&disk);
        assert!(store.list().unwrap().is_empty());
        for height in [9, 1_000, 200] {
            fill(&store, height).unwrap();
        }
        store.begin(5_000).unwrap().write(SnapshotPart::Block, &[1]).unwrap();
        store.begin(6_000).unwrap().begin(&[4; 9]).unwrap();
        let heights = || store.list().unwrap().iter().map(SnapshotDir::height).collect::<Vec<_>>();
        assert_eq!(heights(), [1_000, 200, 9]);
        store.keep_newest(2, Some(6_000)).unwrap();
        assert_eq!(heights(), [1_000, 200]);
        assert_eq!(store.begin(6_000).unwrap().begun().unwrap(), Some(vec![4; 9]));
        assert!(!store.begin(5_000).unwrap().has(SnapshotPart::Block).unwrap());
        assert!(store.get(9).unwrap().is_none() && store.get(6_000).unwrap().is_none());
        assert_whole(&store.get(1_000).unwrap().unwrap());
    }

    /// INV-SNAPSHOTS-2.
    #[test]
    fn a_flipped_bit_in_any_part_is_named_and_the_part_not_given_out() {
        let disk = MemoryDisk::new();
        fill(&store(&disk), 7).unwrap();
        let dir = store(&disk).get(7).unwrap().unwrap();
        for part in [SnapshotPart::Manifest, SnapshotPart::Block, SnapshotPart::Chunk(0)] {
            let path = dir.path().join(part.name());
            let bits = 8 * disk.open_existing(&path).unwrap().size_bytes().unwrap();
            for bit in 0..bits {
                disk.flip_bit(&path, bit).unwrap();
                assert!(dir.read(part).is_err(), "{part:?}, bit {bit}");
                disk.flip_bit(&path, bit).unwrap();
            }
        }
        assert_whole(&dir);
    }

    /// INV-SNAPSHOTS-1.
    #[test]
    fn a_crash_at_any_step_leaves_a_whole_snapshot_or_none() {
        let operations = {
            let disk = MemoryDisk::new();
            fill(&store(&disk), 7).unwrap();
            store(&disk).keep_newest(0, None).unwrap();
            disk.operations()
        };
        let mut seen = [0, 0];
        for operation in 1..=operations {
            for seed in 0..8 {
                let disk = MemoryDisk::new();
                disk.fail_after(operation, Fault::InputOutput);
                let _failed = fill(&store(&disk), 7).and_then(|()| store(&disk).keep_newest(0, None));
                disk.crash(seed);
                let found = store(&disk).get(7).unwrap();
                seen[usize::from(found.is_some())] += 1;
                if let Some(dir) = found {
                    assert_whole(&dir);
                }
                fill(&store(&disk), 7).unwrap();
                assert_whole(&store(&disk).get(7).unwrap().unwrap());
            }
        }
        assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    }

    /// Whoever reads a part gives it to a peer in one message.
    #[test]
    fn a_part_may_be_as_large_as_a_message_and_a_larger_one_is_not_read() {
        let disk = MemoryDisk::new();
        let dir = store(&disk).begin(7).unwrap();
        for (bytes, is_read) in [(MESSAGE_BYTES_MAX, true), (MESSAGE_BYTES_MAX + 1, false)] {
            dir.write(SnapshotPart::Proof, &vec![1; bytes]).unwrap();
            assert_eq!(dir.read(SnapshotPart::Proof).is_ok(), is_read, "{bytes} bytes");
        }
    }
    /// Notes which names were given, and which of them were made durable: `None` is a sync of all that were.
    #[derive(Clone)]
    struct Noting(MemoryDisk, Arc<Mutex<Vec<Option<String>>>>);

    impl Disk for Noting {
        type File = <MemoryDisk as Disk>::File;

        fn create_dir_all(&self, dir: &Path) -> Result<(), StorageError> {
            self.0.create_dir_all(dir)
        }

        fn list(&self, dir: &Path) -> Result<Vec<String>, StorageError> {
            self.0.list(dir)
        }

        fn exists(&self, path: &Path) -> Result<bool, StorageError> {
            self.0.exists(path)
        }

        fn open(&self, path: &Path) -> Result<Self::File, StorageError> {
            self.0.open(path)
        }

        fn open_existing(&self, path: &Path) -> Result<Self::File, StorageError> {
            self.0.open_existing(path)
        }

        fn remove(&self, path: &Path) -> Result<(), StorageError> {
            self.0.remove(path)
        }

        fn remove_dir(&self, dir: &Path) -> Result<(), StorageError> {
            self.0.remove_dir(dir)
        }

        fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
            let name = to.file_name().and_then(|name| name.to_str()).map(str::to_owned);
            self.1.lock().push(name);
            self.0.rename(from, to)
        }

        fn sync_dir(&self, dir: &Path) -> Result<(), StorageError> {
            self.1.lock().push(None);
            self.0.sync_dir(dir)
        }
    }

    /// INV-SNAPSHOTS-1: a crash may keep a later name and lose an earlier one.
    #[test]
    fn the_names_of_all_parts_are_durable_before_the_manifest_has_its_own() {
        let disk = Noting(MemoryDisk::new(), Arc::default());
        let dir = SnapshotStore::new(disk.clone(), PathBuf::from("/node/snapshots")).begin(7).unwrap();
        dir.begin(&[3; 60]).unwrap();
        for part in [SnapshotPart::Block, SnapshotPart::Proof, SnapshotPart::Chunk(0)] {
            dir.write(part, &[1; 40]).unwrap();
        }
        dir.finish(&[3; 60]).unwrap();
        let noted = disk.1.lock();
        let manifest = Some(SnapshotPart::Manifest.name());
        let before = noted.iter().position(|name| *name == manifest).unwrap();
        assert_eq!(noted[before - 1], None);
    }
}
