//! Keeps the index database's faults from the node: a panic is an error, and damage is remembered until the index was built
//! again.
//!
//! # Place
//! Between [`Index`](super::index::Index) and its store. `app/open.rs` asks for the mark before it opens an index, and
//! moves a damaged one aside.
//!
//! # Invariants
//! - INV-GUARD-1: no panic of the store passes, at its end neither; it is the error [`StorageError::Index`].
//! - INV-GUARD-2: after that error, which the store itself gives for damage, nothing more reaches the store, and a file
//!   beside it says so to the next start, also if this process is killed.
//!
//! # Concurrency
//! Any thread. The owner is told once, by the thread that met the damage.

use std::any::Any;
use std::fs::{self, File};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::error::StorageError;
use super::index_store::{Change, Entries, IndexStore, Tree};

/// What the name of the file ends with that says: build this index again.
const MARK_SUFFIX: &str = ".rebuild";
/// What the name of an index ends with that was moved aside.
const ASIDE_SUFFIX: &str = ".damaged";
/// Bytes of a reason that are kept.
const REASON_BYTES_MAX: usize = 1_024;

type Told = Box<dyn Fn(&str) + Send + Sync>;

/// A store whose faults stay here.
pub struct IndexGuard {
    /// Always there until the guard is dropped.
    store: Option<Box<dyn IndexStore>>,
    /// The store's directory.
    path: PathBuf,
    damage: OnceLock<String>,
    told: OnceLock<Told>,
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn sync_parent(path: &Path) -> Result<(), StorageError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(StorageError::io("sync directory", parent))
}

fn missing_is_fine(outcome: std::io::Result<()>) -> std::io::Result<()> {
    outcome.or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// The text of a panic.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

/// Runs what may panic.
pub(super) fn without_panic<T>(work: impl FnOnce() -> Result<T, StorageError>) -> Result<T, StorageError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let reason = format!("the database panicked: {}", panic_text(panic.as_ref()));
        Err(StorageError::Index { reason })
    })
}

fn write_mark(path: &Path, reason: &str) -> Result<(), StorageError> {
    let mark = beside(path, MARK_SUFFIX);
    let reason: String = reason.chars().take(REASON_BYTES_MAX).collect();
    File::create(&mark)
        .and_then(|mut file| file.write_all(reason.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(StorageError::io("write", &mark))?;
    sync_parent(path)
}

impl IndexGuard {
    /// Guards the store in a directory.
    #[must_use]
    pub fn new(store: Box<dyn IndexStore>, path: &Path) -> Self {
        let (store, path) = (Some(store), path.to_path_buf());
        Self { store, path, damage: OnceLock::new(), told: OnceLock::new() }
    }

    /// Has the owner told of damage, in words, once: the node has to stop. Damage that was met before is told at once.
    pub fn on_damage(&self, told: impl Fn(&str) + Send + Sync + 'static) {
        if self.told.set(Box::new(told)).is_ok()
            && let (Some(reason), Some(told)) = (self.damage.get(), self.told.get())
        {
            told(reason);
        }
    }

    /// Why the index in a directory has to be built again, if a guard has met damage in it.
    #[must_use]
    pub fn damage_of(path: &Path) -> Option<String> {
        match fs::read_to_string(beside(path, MARK_SUFFIX)) {
            Ok(reason) => Some(reason),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => Some(error.to_string()),
        }
    }

    /// Moves a damaged index aside, where it takes the place of an earlier one, and forgets its mark. Gives the place.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn set_aside(path: &Path) -> Result<PathBuf, StorageError> {
        let (aside, mark) = (beside(path, ASIDE_SUFFIX), beside(path, MARK_SUFFIX));
        // After a crash in here it is there alone.
        if path.exists() {
            missing_is_fine(fs::remove_dir_all(&aside)).map_err(StorageError::io("remove", &aside))?;
            fs::rename(path, &aside).map_err(StorageError::io("rename", path))?;
            sync_parent(path)?;
        }
        missing_is_fine(fs::remove_file(&mark)).map_err(StorageError::io("remove", &mark))?;
        sync_parent(path)?;
        Ok(aside)
    }

    /// What the name of an index ends with while another one takes its place.
    pub const REPLACED_ENDING: &str = ".old";

    /// Gives an index its name back that the machine stopped over while another one took its place. What a pruned node knows
    /// of the time before its first block stands nowhere else.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn take_back(path: &Path) -> Result<(), StorageError> {
        let replaced = beside(path, Self::REPLACED_ENDING);
        if path.exists() || !replaced.exists() {
            return Ok(());
        }
        fs::rename(&replaced, path).map_err(StorageError::io("rename", &replaced))?;
        sync_parent(path)?;
        tracing::warn!(index = %path.display(), "The index was being replaced when the machine stopped; it is taken back");
        Ok(())
    }

    /// Forgets the mark of a damaged index, in whose place is another one.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn forget_damage(path: &Path) -> Result<(), StorageError> {
        let mark = beside(path, MARK_SUFFIX);
        missing_is_fine(fs::remove_file(&mark)).map_err(StorageError::io("remove", &mark))?;
        sync_parent(path)
    }

    fn run<T>(
        &self,
        work: impl FnOnce(&dyn IndexStore) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        if let Some(reason) = self.damage.get() {
            return Err(StorageError::Index { reason: reason.clone() });
        }
        let Some(store) = self.store.as_deref() else {
            return Err(StorageError::Index { reason: "it is closed".to_owned() });
        };
        let outcome = without_panic(|| work(store));
        if let Err(StorageError::Index { reason }) = &outcome {
            self.note_damage(reason);
        }
        outcome
    }

    fn note_damage(&self, reason: &str) {
        if self.damage.set(reason.to_owned()).is_err() {
            return;
        }
        match write_mark(&self.path, reason) {
            Ok(()) => tracing::error!(reason, "The index is damaged; the next start builds it again"),
            Err(error) => tracing::error!(reason, %error, "The index is damaged, and that can't be noted"),
        }
        if let Some(told) = self.told.get() {
            told(reason);
        }
    }
}

impl Drop for IndexGuard {
    fn drop(&mut self) {
        let store = self.store.take();
        let outcome = without_panic(|| {
            drop(store);
            Ok(())
        });
        if let Err(StorageError::Index { reason }) = outcome {
            self.note_damage(&reason);
        }
    }
}

impl IndexStore for IndexGuard {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.run(|store| store.get(tree, key))
    }

    fn scan_prefix(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, StorageError> {
        self.run(|store| store.scan_prefix(tree, prefix, after, limit))
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        self.run(|store| store.write(changes))
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.run(IndexStore::sync)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::storage::index::Index;
    use crate::storage::memory_index::MemoryIndex;

    #[test]
    fn an_index_whose_successor_did_not_come_is_taken_back() {
        let home = tempfile::tempdir().unwrap();
        let (index, replaced) = (home.path().join("index"), home.path().join("index.old"));
        IndexGuard::take_back(&index).unwrap();
        fs::create_dir(&replaced).unwrap();
        IndexGuard::take_back(&index).unwrap();
        assert!(index.exists() && !replaced.exists());
        fs::create_dir(&replaced).unwrap();
        IndexGuard::take_back(&index).unwrap();
        assert!(replaced.exists(), "whose successor is there");
    }

    /// Panics at an operation, and when it is dropped.
    struct Panicking {
        inner: MemoryIndex,
        left: AtomicUsize,
        at_end: bool,
    }

    impl Panicking {
        fn spend(&self) {
            assert_ne!(self.left.fetch_sub(1, Ordering::SeqCst), 0, "planted");
        }
    }

    impl Drop for Panicking {
        fn drop(&mut self) {
            assert!(!self.at_end, "planted at the end");
        }
    }

    impl IndexStore for Panicking {
        fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
            self.spend();
            self.inner.get(tree, key)
        }

        fn scan_prefix(
            &self,
            tree: Tree,
            prefix: &[u8],
            after: Option<&[u8]>,
            limit: usize,
        ) -> Result<Entries, StorageError> {
            self.spend();
            self.inner.scan_prefix(tree, prefix, after, limit)
        }

        fn write(&self, changes: Vec<Change>) -> Result<(), StorageError> {
            self.spend();
            self.inner.write(changes)
        }

        fn sync(&self) -> Result<(), StorageError> {
            self.spend();
            self.inner.sync()
        }
    }

    fn guard(path: &Path, operations: usize, at_end: bool) -> IndexGuard {
        let left = AtomicUsize::new(operations);
        IndexGuard::new(Box::new(Panicking { inner: MemoryIndex::new(), left, at_end }), path)
    }

    fn change() -> Change {
        Change::Put { tree: Tree::State, key: vec![1], value: vec![2] }
    }

    #[test]
    fn a_panic_is_an_error_and_the_last_thing_that_reaches_the_store() {
        type Operation = fn(&IndexGuard) -> Result<(), StorageError>;
        let operations: [Operation; 4] = [
            |guard| guard.get(Tree::State, &[1]).map(drop),
            |guard| guard.scan_prefix(Tree::State, &[], None, 1).map(drop),
            |guard| guard.write(vec![change()]),
            IndexGuard::sync,
        ];
        for operation in operations {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("index");
            let guard = guard(&path, 1, false);
            let told = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&told);
            guard.on_damage(move |reason| {
                assert!(reason.contains("planted"));
                count.fetch_add(1, Ordering::SeqCst);
            });
            guard.write(vec![change()]).unwrap();
            assert_eq!(IndexGuard::damage_of(&path), None);
            assert!(matches!(operation(&guard), Err(StorageError::Index { .. })), "INV-GUARD-1");
            assert!(IndexGuard::damage_of(&path).unwrap().contains("planted"), "INV-GUARD-2");
            // The store would take these, since its counter is past the planted panic.
            for operation in operations {
                assert!(matches!(operation(&guard), Err(StorageError::Index { .. })), "INV-GUARD-2");
            }
            assert_eq!(told.load(Ordering::SeqCst), 1);
        }
    }

    #[test]
    fn a_panic_at_the_end_is_remembered_too() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("index");
        drop(guard(&path, 9, true));
        assert!(IndexGuard::damage_of(&path).unwrap().contains("at the end"), "INV-GUARD-1");
    }

    #[test]
    fn damage_that_came_first_is_told_to_whoever_asks_later() {
        let home = tempfile::tempdir().unwrap();
        let guard = guard(&home.path().join("index"), 0, false);
        assert!(Index::new(Arc::new(MemoryIndex::new())).mark().unwrap().is_none());
        assert!(guard.sync().is_err());
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        guard.on_damage(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(told.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn what_is_damaged_is_moved_aside_with_its_mark_and_one_copy_stays() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("index");
        for number in [b"1", b"2"] {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("db"), number).unwrap();
            write_mark(&path, "why").unwrap();
            assert_eq!(IndexGuard::damage_of(&path).as_deref(), Some("why"));
            let aside = IndexGuard::set_aside(&path).unwrap();
            assert_eq!(fs::read(aside.join("db")).unwrap(), number);
            assert_eq!((path.exists(), IndexGuard::damage_of(&path)), (false, None));
        }
        // A crash after the move: what stands aside is not lost to a second try.
        write_mark(&path, "why").unwrap();
        let aside = IndexGuard::set_aside(&path).unwrap();
        assert_eq!(fs::read(aside.join("db")).unwrap(), b"2");
        assert_eq!(IndexGuard::damage_of(&path), None);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    /// INV-GUARD-2: that somebody wrote one is what counts.
    #[test]
    fn a_mark_that_cannot_be_read_has_the_index_built_again_too() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("index");
        fs::write(beside(&path, MARK_SUFFIX), [0xff, 0xfe]).unwrap();
        assert!(IndexGuard::damage_of(&path).is_some());
        IndexGuard::set_aside(&path).unwrap();
        assert_eq!(IndexGuard::damage_of(&path), None);
    }
}
