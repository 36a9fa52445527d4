//! One process a data directory: a lock on a file in it that names its holder.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
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
        drop(first);
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
