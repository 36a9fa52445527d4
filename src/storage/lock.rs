//! One process a data directory: a lock on a file in it that names its holder.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use fs4::TryLockError;

use super::error::StorageError;

const LOCK_FILE: &str = "LOCK";
/// Bytes of the lock file that are read to name the holder.
const HOLDER_BYTES_MAX: u64 = 16;

/// The lock on a data directory, held until it is dropped. The file stays; the operating system lets go of the lock
/// however the process ends.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the directory for this process, and makes it if it is missing.
    ///
    /// # Errors
    /// [`StorageError::InUse`] with the holder's process id, [`StorageError::Io`].
    pub fn acquire(dir: &Path) -> Result<Self, StorageError> {
        std::fs::create_dir_all(dir).map_err(StorageError::io("create directory", dir))?;
        let path = dir.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StorageError::io("open", &path))?;
        match fs4::FileExt::try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _unreadable = file.take(HOLDER_BYTES_MAX).read_to_string(&mut text);
                return Err(StorageError::InUse {
                    path: dir.to_path_buf(),
                    holder: text.trim().parse().ok(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(StorageError::io("lock", path)(source)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(StorageError::io("write to", &path))?;
        Ok(Self { _file: file })
    }

    /// The process that holds a directory, as far as the operating system tells. Nothing is touched: whoever takes the lock
    /// to find out might be in the way of a node that starts.
    #[must_use]
    pub fn holder(dir: &Path) -> Option<u32> {
        let path = dir.join(LOCK_FILE);
        let holder = std::fs::read_to_string(&path).ok()?.trim().parse().ok()?;
        let node = std::fs::metadata(&path).ok()?.ino();
        // `1: FLOCK ADVISORY WRITE 1234 fe:01:5678 0 EOF`
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        let mut held = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        held.any(|words| {
            let is_file = words.get(5).and_then(|place| place.rsplit(':').next()) == Some(&node.to_string());
            is_file && words.get(4).is_some_and(|process| process.parse() == Ok(holder))
        })
        .then_some(holder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_and_told_who_holds_it_until_the_first_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirectoryLock::acquire(dir.path()).unwrap();
        let error = DirectoryLock::acquire(dir.path()).unwrap_err();
        let pid = std::process::id();
        assert!(matches!(error, StorageError::InUse { holder: Some(holder), .. } if holder == pid));
        assert!(error.to_string().contains(&format!("in use by process {pid}")), "{error}");
        assert_eq!(DirectoryLock::holder(dir.path()), Some(pid));
        drop(first);
        assert_eq!(DirectoryLock::holder(dir.path()), None, "the file is still there");
        DirectoryLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn a_holder_left_by_an_earlier_process_does_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(LOCK_FILE), "123456789012\n").unwrap();
        let _held = DirectoryLock::acquire(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join(LOCK_FILE)).unwrap();
        assert_eq!(text.trim(), std::process::id().to_string());
    }
}
