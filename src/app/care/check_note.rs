//! How far a check in depth has come: a file in the data directory.
//!
//! # Place
//! [`check`](super::check) writes it every [`KEEP_EVERY`] and when it is stopped, goes on from it when it is called again, and
//! removes it at its end.
//!
//! # Invariants
//! - INV-CHECKNOTE-1: a note spares the execution of blocks and the signatures of their commits, and nothing else: the whole
//!   log is read and held to its hashes again. It counts only if the log's block at its height has its hash, and names its
//!   state.
//! - A note that can't be read, or is of another version, is none.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bincode::{Decode, Encode};

use super::CareError;
use super::files::{beside, rename, write_synced};
use crate::protocol::state::LedgerState;
use crate::types::codec::{decode, encode};

/// So much work is lost by a kill.
pub(super) const KEEP_EVERY: Duration = Duration::from_secs(15);
const NAME: &str = "check.at";
const FORMAT: &[u8] = b"timed/check-note/1";

/// From where a check in depth goes on, and what it need not count again.
#[derive(Clone, Debug, Encode, Decode)]
pub(super) struct CheckNote {
    /// Signatures of commits.
    pub(super) signatures: u64,
    /// The state behind the last block that was executed.
    pub(super) state: LedgerState,
}

fn path_in(data_dir: &Path) -> PathBuf {
    data_dir.join(NAME)
}

impl CheckNote {
    /// The note of this directory, if there is one that is whole.
    pub(super) fn read(data_dir: &Path) -> Option<Self> {
        let bytes = std::fs::read(path_in(data_dir)).ok()?;
        let (sum, content) = bytes.strip_prefix(FORMAT)?.split_first_chunk::<{ blake3::OUT_LEN }>()?;
        if blake3::hash(content).as_bytes() != sum {
            return None;
        }
        decode(content).ok()
    }

    /// Writes it in the place of the one before.
    pub(super) fn write(&self, data_dir: &Path) -> Result<(), CareError> {
        let path = path_in(data_dir);
        let new = beside(&path, ".new");
        remove(&new)?;
        let content = encode(self);
        let bytes = [FORMAT, blake3::hash(&content).as_bytes(), &content].concat();
        write_synced(&new, 0o600, &bytes)?;
        rename(&new, &path)
    }

    /// Removes the note of this directory.
    pub(super) fn remove(data_dir: &Path) -> Result<(), CareError> {
        remove(&path_in(data_dir))
    }
}

fn remove(path: &Path) -> Result<(), CareError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(CareError::io(path)(error)),
        _ => Ok(()),
    }
}
