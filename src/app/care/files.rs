//! Trees of files: how large they are, copies of them, and names that become durable.
//!
//! # Place
//! The other files of [`care`](super) do with these what has no rule of its own.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::{CareError, Tell, Work, tell};
use crate::runtime::key_file::sync_directory_of;

/// Bytes that are read at once.
pub(super) const CHUNK_BYTES: usize = 1 << 20;
/// Directories within one another, at most; no index has more than three.
const DEPTH_MAX: usize = 8;

/// The files below a directory with their sizes in bytes, in the order of their names; none if it is not there.
pub(super) fn files_below(directory: &Path) -> Result<Vec<(PathBuf, u64)>, CareError> {
    let mut found = Vec::new();
    collect(directory, DEPTH_MAX, &mut found)?;
    found.sort_unstable();
    Ok(found)
}

fn collect(directory: &Path, depth: usize, found: &mut Vec<(PathBuf, u64)>) -> Result<(), CareError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(CareError::io(directory)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(CareError::io(directory))?;
        let path = entry.path();
        let metadata = entry.metadata().map_err(CareError::io(&path))?;
        if metadata.is_file() {
            found.push((path, metadata.len()));
        } else if metadata.is_dir() && depth > 0 {
            collect(&path, depth - 1, found)?;
        }
    }
    Ok(())
}

/// Bytes of all files below a directory.
pub(super) fn bytes_below(directory: &Path) -> Result<u64, CareError> {
    Ok(files_below(directory)?.iter().map(|(_, bytes)| bytes).sum())
}

/// Refuses if a copy of so many bytes may not fit on the disk of `path`: to find out in its middle takes the room of all
/// others first.
pub(super) fn make_sure_of_room(path: &Path, needed_bytes: u64) -> Result<(), CareError> {
    let free_bytes = fs4::available_space(path).map_err(CareError::io(path))?;
    if free_bytes < needed_bytes {
        return Err(CareError::NoRoom { path: path.to_owned(), needed_bytes, free_bytes });
    }
    Ok(())
}

/// Removes a directory with all in it; it may be missing.
pub(super) fn remove_directory(path: &Path) -> Result<(), CareError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(CareError::io(path)(error)),
        _ => Ok(()),
    }
}

/// Copies a directory to a new one; nothing is synced.
pub(super) fn copy_directory(from: &Path, to: &Path, work: Work, told: Tell<'_>) -> Result<(), CareError> {
    let files = files_below(from)?;
    let total = files.iter().map(|(_, bytes)| bytes).sum();
    let mut done = 0;
    for (path, bytes) in files {
        let target = to.join(path.strip_prefix(from).unwrap_or(&path));
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(CareError::io(parent))?;
        }
        fs::copy(&path, &target).map_err(CareError::io(&path))?;
        done += bytes;
        tell(told, work, done, total)?;
    }
    Ok(())
}

/// Gives a file or directory another name, durably; the name may be that of an empty directory.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), CareError> {
    fs::rename(from, to).and_then(|()| sync_directory_of(to)).map_err(CareError::io(to))
}

/// A directory's name with an ending.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

/// Copies so many bytes of a reader, and hashes them.
pub(super) fn hash_part(
    source: &mut dyn io::Read,
    bytes: u64,
    mut target: impl io::Write,
) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut source = source.take(bytes);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut left = bytes;
    while left > 0 {
        let read = source.read(&mut chunk)?;
        let part = chunk.get(..read).filter(|part| !part.is_empty()).ok_or(ErrorKind::UnexpectedEof)?;
        hasher.update(part);
        target.write_all(part)?;
        left = left.saturating_sub(u64::try_from(part.len()).unwrap_or(left));
    }
    Ok(hasher.finalize())
}

/// Writes a new file that only its owner reads, synced; its name is not yet durable.
pub(super) fn write_synced(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), CareError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    opened
        .and_then(|mut file: File| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(CareError::io(path))
}
