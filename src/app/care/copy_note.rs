//! How far a copy of the index is: a small file beside it.
//!
//! # Place
//! [`compact`](super::compact) writes it each time it has synced the copy, and reads it when it is called again.
//!
//! # Invariants
//! - INV-NOTE-1: a note says no more than what was synced before it; it takes its place whole or not at all.
//! - A note that can't be read, or is of another version, is none: then the copy is made anew.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::CareError;
use super::files::beside;
use crate::runtime::key_file::sync_directory_of;
use crate::storage::Mark;
use crate::storage::index_store::Tree;
use crate::types::{BlockHash, Height};

/// What the name of the note ends with, behind the copy's.
const NOTE_ENDING: &str = ".at";

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CopyNote {
    /// The block that the index was marked at when the copy was begun.
    height: Height,
    block_hash: BlockHash,
    /// Entries of the index.
    pub(super) total: u64,
    /// Entries in the copy.
    pub(super) copied: u64,
    /// The last of them; none before the first.
    pub(super) place: Option<(Tree, Vec<u8>)>,
}

/// The same as text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    height: Height,
    block_hash: BlockHash,
    total: u64,
    copied: u64,
    tree: String,
    key: String,
}

fn note_path(copy: &Path) -> PathBuf {
    beside(copy, NOTE_ENDING)
}

impl CopyNote {
    /// Of a copy that has nothing yet.
    pub(super) const fn of(mark: &Mark, total: u64) -> Self {
        Self { height: mark.height, block_hash: mark.block_hash, total, copied: 0, place: None }
    }

    /// Whether the index that is marked so is the one that the copy was begun of.
    pub(super) fn is_of(&self, mark: &Mark) -> bool {
        (self.height, self.block_hash) == (mark.height, mark.block_hash)
    }

    /// The note of a copy, if there is one that is whole.
    pub(super) fn read(copy: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(note_path(copy)).ok()?;
        let Written { height, block_hash, total, copied, tree, key } = serde_json::from_str(&text).ok()?;
        let tree = Tree::ALL.into_iter().find(|candidate| candidate.name() == tree)?;
        let place = Some((tree, hex::decode(key).ok()?));
        Some(Self { height, block_hash, total, copied, place })
    }

    /// Writes it, durably; nothing if nothing was copied.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn write(&self, copy: &Path) -> Result<(), CareError> {
        let Some((tree, key)) = &self.place else { return Ok(()) };
        let path = note_path(copy);
        let written = Written {
            height: self.height,
            block_hash: self.block_hash,
            total: self.total,
            copied: self.copied,
            tree: tree.name().to_owned(),
            key: hex::encode(key),
        };
        let text = serde_json::to_string(&written).map_err(|error| CareError::io(&path)(error.into()))?;
        let whole = beside(&path, ".new");
        std::fs::File::create(&whole)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&whole, &path))
            .and_then(|()| sync_directory_of(&path))
            .map_err(CareError::io(&path))
    }

    /// Removes the note of a copy; there may be none.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn remove(copy: &Path) -> Result<(), CareError> {
        let path = note_path(copy);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(CareError::io(&path)(error)),
            _ => Ok(()),
        }
    }
}
