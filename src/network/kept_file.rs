//! Files of this folder that are kept over restarts: whole or not there, and never in the way of a start.
//!
//! # Place
//! `ban_file.rs` and `address_file.rs` read and write by it. What is in these files is no data of the chain.
//!
//! # Invariants
//! - INV-NET-29: a file is whole or not there: it is written beside its place, synced, and then renamed. Its owner alone
//!   can read it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::runtime::key_file::sync_directory_of;

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

/// Puts a new text in the place of a file. Blocks.
///
/// # Errors
/// What the file system says.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let staged = beside(path, ".tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&staged, path)?;
    sync_directory_of(path)
}

/// Reads a file; `None` if there is none. Blocks.
///
/// # Errors
/// What the file system says, and when it is longer than so many bytes, or no text.
pub(crate) fn read(path: &Path, bytes_max: usize) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_string(&mut text)?;
    if text.len() > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is longer than this node writes"));
    }
    Ok(Some(text))
}

/// Moves a file away that is of no use, so that it can be looked at, and says where it is now. Blocks.
///
/// # Errors
/// What the file system says.
pub(crate) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = beside(path, ".damaged");
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    /// INV-NET-29.
    #[test]
    fn a_file_is_replaced_whole_and_its_owner_alone_reads_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("kept");
        assert_eq!(read(&path, 9).unwrap(), None);
        // What a crash left is written over, whatever is in it.
        std::fs::write(home.path().join("kept.tmp"), "longer than what comes").unwrap();
        replace(&path, "one").unwrap();
        replace(&path, "two").unwrap();
        assert_eq!(read(&path, 3).unwrap().as_deref(), Some("two"));
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "nothing is left beside it");
        assert!(read(&path, 2).is_err(), "it is not read beyond its bound");
        replace(&path, "2").unwrap();
        assert_eq!(set_aside(&path).unwrap(), home.path().join("kept.damaged"));
        assert_eq!(read(&path, 9).unwrap(), None);
    }

    #[test]
    fn a_new_file_is_its_owners_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("kept");
        replace(&path, "secret").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }
}
