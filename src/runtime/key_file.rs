//! Files that hold one private key as 64 hexadecimal digits, and the rule for files that hold secrets.
//!
//! # Place
//! The node's identity and a masternode's operator key. A wallet's keys live in its encrypted keystore instead.
//!
//! # Invariants
//! - INV-KEYFILE-1: a secret is readable by its owner alone (0600), from the moment its file exists, and a file that
//!   others can read is refused.
//! - INV-KEYFILE-2: an existing file is never overwritten.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::runtime::io_advice;
use crate::types::SecretKey;

/// Bytes of a file with a secret, at most.
pub const SECRET_FILE_BYTES_MAX: u64 = 64 << 10;

/// Why a file with a secret can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It is there already.
    #[error("{path} exists already and is not overwritten; move it away or choose another place")]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// Others than its owner can read or write it.
    #[error("{path} can be read by others (mode {mode:03o}); run: chmod 600 {path}")]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is larger than any secret.
    #[error("{path} is larger than {SECRET_FILE_BYTES_MAX} bytes: not the file that was meant")]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// It is not one line of 64 hexadecimal digits.
    #[error("{path} does not hold a private key of 64 hexadecimal digits")]
    Malformed {
        /// Which file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("{path}: {source}{}", io_advice(source))]
    Io {
        /// Which file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
}

/// Makes a new file with mode 0600, synced to disk. It appears under its name whole or not at all.
///
/// # Errors
/// When it exists or can't be written.
pub fn create_secret_file(path: &Path, contents: &[u8]) -> Result<(), SecretFileError> {
    let mut unique = [0_u8; 8];
    let mut name = path.file_name().unwrap_or_default().to_owned();
    let drawn = getrandom::fill(&mut unique).map_err(io::Error::other);
    name.push(format!(".{}.tmp", hex::encode(unique)));
    let staged = path.with_file_name(name);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
        file.write_all(contents)?;
        file.sync_all()?;
        // Unlike a rename, a link never replaces a file that is there.
        std::fs::hard_link(&staged, path)
    };
    let written = drawn.and_then(|()| write());
    // Where it was never made there is nothing to remove.
    let _ = std::fs::remove_file(&staged);
    written.and_then(|()| sync_directory_of(path)).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => SecretFileError::Exists { path: path.to_owned() },
        _ => SecretFileError::Io { path: path.to_owned(), source },
    })
}

/// Makes a file's name durable.
///
/// # Errors
/// When its directory can't be synced.
pub fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// Reads a file that only its owner may read; the contents are wiped when dropped.
///
/// # Errors
/// When others can read it, it is too large, or it can't be read.
pub fn read_secret_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    let io_error = |source| SecretFileError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io_error)?;
    let metadata = file.metadata().map_err(io_error)?;
    let mode = metadata.mode() & 0o777;
    // Pipes, as shells make for <(...), have no lasting contents to protect.
    if metadata.is_file() && mode & 0o077 != 0 {
        return Err(SecretFileError::Exposed { path: path.to_owned(), mode });
    }
    // Reserved at once: a growing vector would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_FILE_BYTES_MAX as usize + 1));
    file.take(SECRET_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io_error)?;
    if bytes.len() as u64 > SECRET_FILE_BYTES_MAX {
        return Err(SecretFileError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

/// Writes a key to a new file.
///
/// # Errors
/// See [`create_secret_file`].
pub fn create_key_file(path: &Path, key: &SecretKey) -> Result<(), SecretFileError> {
    let mut text = Zeroizing::new([0_u8; 65]);
    text[64] = b'\n';
    // The lengths fit: 32 bytes are 64 digits.
    let encoded = hex::encode_to_slice(key.seed().as_slice(), &mut text[..64]);
    encoded.map_err(|_| SecretFileError::Malformed { path: path.to_owned() })?;
    create_secret_file(path, text.as_slice())
}

/// Reads a key from its file.
///
/// # Errors
/// When others can read the file, or it is not a key's.
pub fn read_key_file(path: &Path) -> Result<SecretKey, SecretFileError> {
    let bytes = read_secret_file(path)?;
    let text = std::str::from_utf8(&bytes).ok().map(str::trim_ascii);
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| SecretFileError::Malformed { path: path.to_owned() })
}

/// A new key from the operating system's random numbers.
///
/// # Errors
/// When the operating system has none to give.
pub fn generate_key() -> Result<SecretKey, getrandom::Error> {
    let mut seed = Zeroizing::new([0_u8; 32]);
    getrandom::fill(seed.as_mut_slice())?;
    Ok(SecretKey::from_seed(&seed))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// INV-KEYFILE-2.
    #[test]
    fn a_key_round_trips_and_is_never_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("node.key");
        let key = generate_key().unwrap();
        create_key_file(&path, &key).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_key_file(&path).unwrap().public(), key.public());
        let other = generate_key().unwrap();
        assert_ne!(other.public(), key.public());
        assert!(matches!(create_key_file(&path, &other), Err(SecretFileError::Exists { .. })));
        assert_eq!(read_key_file(&path).unwrap().public(), key.public());
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "nothing else is left");
    }

    /// INV-KEYFILE-1.
    #[test]
    fn files_that_others_can_read_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("node.key");
        create_key_file(&path, &SecretKey::from_seed(&[1; 32])).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = read_key_file(&path).unwrap_err();
            assert!(
                matches!(&error, SecretFileError::Exposed { mode: found, .. } if *found == mode),
                "{error}"
            );
            assert!(error.to_string().contains("chmod 600"));
        }
    }

    #[test]
    fn rubbish_is_not_a_key_and_is_not_quoted() {
        let home = tempfile::tempdir().unwrap();
        for (index, contents) in ["", "abcd", &"zz".repeat(32), &"00".repeat(33)].into_iter().enumerate() {
            let path = home.path().join(index.to_string());
            create_secret_file(&path, contents.as_bytes()).unwrap();
            let error = read_key_file(&path).unwrap_err();
            assert!(matches!(error, SecretFileError::Malformed { .. }));
            assert!(!error.to_string().contains("zzzz"));
        }
        let path = home.path().join("large");
        create_secret_file(&path, &vec![b'0'; SECRET_FILE_BYTES_MAX as usize + 1]).unwrap();
        assert!(matches!(read_key_file(&path), Err(SecretFileError::TooLarge { .. })));
        assert!(matches!(read_key_file(&home.path().join("none")), Err(SecretFileError::Io { .. })));
    }
}
