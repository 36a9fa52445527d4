//! The few operations on files that the logs need, so that a simulator can stand in for the disk.
//!
//! # Place
//! Block log and vote journal do everything through [`Disk`]; [`RealDisk`] is `std::fs`,
//! [`MemoryDisk`](super::memory_disk::MemoryDisk) loses and tears what was not synced.
//!
//! # Contract
//! Bytes are durable after [`DiskFile::sync_data`], a file's name after [`Disk::sync_dir`] of its
//! directory; before that a crash may take either.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::error::StorageError;
use crate::runtime::syncs;

/// A file system, or what stands in for one.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;

    /// Makes a directory and those above it, durably; it may exist.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn create_dir_all(&self, dir: &Path) -> Result<(), StorageError>;

    /// The names in a directory, sorted; none if there is no such directory.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn list(&self, dir: &Path) -> Result<Vec<String>, StorageError>;

    /// Whether there is a file or directory of this name.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn exists(&self, path: &Path) -> Result<bool, StorageError>;

    /// Opens a file to read and append, and makes it if it is missing.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn open(&self, path: &Path) -> Result<Self::File, StorageError>;

    /// Opens a file to read and append that must exist.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn open_existing(&self, path: &Path) -> Result<Self::File, StorageError>;

    /// Removes a file. Durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn remove(&self, path: &Path) -> Result<(), StorageError>;

    /// Removes a directory, which has to be empty. Durable after [`Disk::sync_dir`] of the one above.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn remove_dir(&self, dir: &Path) -> Result<(), StorageError>;

    /// Gives a file another name, replacing what has it. Durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn sync_dir(&self, dir: &Path) -> Result<(), StorageError>;
}

/// An open file: appended by one owner, read by any number.
pub trait DiskFile: Send + Sync + 'static {
    /// Writes all of `bytes` at the file's end. On an error any prefix of them may be there.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError>;

    /// Makes contents and length durable.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn sync_data(&mut self) -> Result<(), StorageError>;

    /// Fills `buffer` from `offset` in bytes.
    ///
    /// # Errors
    /// [`StorageError::Io`], also when the file ends before the buffer is full.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError>;

    /// Length in bytes.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn size_bytes(&self) -> Result<u64, StorageError>;

    /// Cuts the file to `length` bytes. Durable after [`DiskFile::sync_data`].
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn truncate(&mut self, length: u64) -> Result<(), StorageError>;
}

/// The machine's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// A file of the machine's file system, with its path for errors.
#[derive(Debug)]
pub struct RealFile {
    file: File,
    path: PathBuf,
}

fn sync_directory(dir: &Path) -> Result<(), StorageError> {
    File::open(dir).and_then(|handle| handle.sync_all()).map_err(StorageError::io("sync directory", dir))
}

impl RealDisk {
    fn open_with(path: &Path, create: bool) -> Result<RealFile, StorageError> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(create)
            .open(path)
            .map_err(StorageError::io("open", path))?;
        Ok(RealFile { file, path: path.to_path_buf() })
    }
}

impl Disk for RealDisk {
    type File = RealFile;

    fn create_dir_all(&self, dir: &Path) -> Result<(), StorageError> {
        let missing: Vec<&Path> = dir.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
        fs::create_dir_all(dir).map_err(StorageError::io("create directory", dir))?;
        for created in missing {
            match created.parent() {
                Some(parent) if parent.as_os_str().is_empty() => sync_directory(Path::new("."))?,
                Some(parent) => sync_directory(parent)?,
                None => {}
            }
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, StorageError> {
        let failed = || StorageError::io("list", dir);
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed()(error)),
        };
        let mut names = entries
            .map(|entry| Ok(entry.map_err(failed())?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<Vec<String>, StorageError>>()?;
        names.sort_unstable();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> Result<bool, StorageError> {
        path.try_exists().map_err(StorageError::io("look for", path))
    }

    fn open(&self, path: &Path) -> Result<RealFile, StorageError> {
        Self::open_with(path, true)
    }

    fn open_existing(&self, path: &Path) -> Result<RealFile, StorageError> {
        Self::open_with(path, false)
    }

    fn remove(&self, path: &Path) -> Result<(), StorageError> {
        fs::remove_file(path).map_err(StorageError::io("remove", path))
    }

    fn remove_dir(&self, dir: &Path) -> Result<(), StorageError> {
        fs::remove_dir(dir).map_err(StorageError::io("remove directory", dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        fs::rename(from, to).map_err(StorageError::io("rename", from))
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), StorageError> {
        sync_directory(dir)
    }
}

impl DiskFile for RealFile {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.file.write_all(bytes).map_err(StorageError::io("write to", &self.path))
    }

    fn sync_data(&mut self) -> Result<(), StorageError> {
        self.file.sync_data().map_err(StorageError::io("sync", &self.path))?;
        syncs::note();
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        use std::os::unix::fs::FileExt as _;
        self.file.read_exact_at(buffer, offset).map_err(StorageError::io("read", &self.path))
    }

    fn size_bytes(&self) -> Result<u64, StorageError> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(StorageError::io("measure", &self.path))
    }

    fn truncate(&mut self, length: u64) -> Result<(), StorageError> {
        self.file.set_len(length).map_err(StorageError::io("truncate", &self.path))
    }
}
