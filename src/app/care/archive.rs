//! The archive that a backup is: a tar file with the manifest first, and then exactly the files that it names.
//!
//! # Place
//! [`backup`](super::backup) writes one and reads it again, [`restore`](super::restore) reads it.
//!
//! # Invariants
//! - INV-ARCHIVE-1: nothing is handed out that the manifest does not name in this place, with this size, as a plain file;
//!   and what was handed out counts only if its hash is the manifest's.
//! - INV-ARCHIVE-2: a file that lacks its last byte, or has one more, is no archive: it was not copied whole.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::CareError;
use super::manifest::{
    BACKUP_FORMAT, MANIFEST_BYTES_MAX, MANIFEST_NAME, Manifest, ManifestFile, WHOLE_FORMAT,
};
use crate::types::TimeMs;

/// A tar file ends with two of these, all zero.
const BLOCK_BYTES: usize = 512;

/// An archive that is read.
pub(super) struct Archive<R: Read> {
    path: PathBuf,
    archive: tar::Archive<R>,
}

/// Is handed the manifest and each file's contents, and gives the hash of what it read.
pub(super) type Take<'a> =
    &'a mut dyn FnMut(&Manifest, &ManifestFile, &mut dyn Read) -> Result<blake3::Hash, CareError>;

/// What an entry of the archive says of itself.
pub(super) fn header(bytes: u64, time_ms: TimeMs) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(time_ms / 1_000);
    header
}

/// The format alone: another version's manifest may have other fields.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

impl<R: Read> Archive<R> {
    pub(super) fn new(path: &Path, source: R) -> Self {
        Self { path: path.to_owned(), archive: tar::Archive::new(source) }
    }

    /// Reads all of it, and gives its manifest.
    pub(super) fn read(mut self, take: Take<'_>) -> Result<Manifest, CareError> {
        let path = self.path.clone();
        let bad = |reason: String| CareError::BadBackup { path: path.clone(), reason };
        let unreadable = |error: io::Error| bad(format!("it can't be read to its end ({error})"));
        let mut entries = self.archive.entries().map_err(unreadable)?;
        let first = entries.next().ok_or_else(|| bad("it is empty".to_owned()))?;
        let mut first = first.map_err(unreadable)?;
        if name_of(&first).as_deref() != Some(MANIFEST_NAME) || first.size() > MANIFEST_BYTES_MAX {
            return Err(bad("it does not begin with a manifest: it is another kind of file".to_owned()));
        }
        let mut text = Vec::new();
        first.read_to_end(&mut text).map_err(unreadable)?;
        let malformed = |error: serde_json::Error| bad(format!("its manifest is malformed: {error}"));
        let Format { format: found } = serde_json::from_slice(&text).map_err(malformed)?;
        if !(WHOLE_FORMAT..=BACKUP_FORMAT).contains(&found) {
            return Err(CareError::OtherFormat { path, found, expected: BACKUP_FORMAT });
        }
        let manifest: Manifest = serde_json::from_slice(&text).map_err(malformed)?;
        if let Some(problem) = manifest.problem() {
            return Err(bad(problem));
        }
        for file in &manifest.files {
            let missing = || bad(format!("{} is missing: it ends early", file.name));
            let mut entry = entries.next().ok_or_else(missing)?.map_err(unreadable)?;
            let is_named = name_of(&entry).as_deref() == Some(&file.name);
            if !is_named || entry.size() != file.bytes || !entry.header().entry_type().is_file() {
                return Err(bad(format!("{} is not where its manifest says", file.name)));
            }
            let hash = take(&manifest, file, &mut entry).map_err(|error| match error {
                CareError::Io { source, .. } if source.kind() == io::ErrorKind::UnexpectedEof => missing(),
                error => error,
            })?;
            if !blake3::Hash::from_hex(&file.blake3).is_ok_and(|named| named == hash) {
                return Err(bad(format!("{} does not have its hash", file.name)));
            }
        }
        match entries.next() {
            None => {}
            Some(Err(error)) => return Err(unreadable(error)),
            Some(Ok(_)) => return Err(bad("it holds more than its manifest names".to_owned())),
        }
        // The first block of the end was read just now.
        let (mut end, limit) = (Vec::new(), u64::try_from(BLOCK_BYTES + 1).unwrap_or(u64::MAX));
        self.archive.into_inner().take(limit).read_to_end(&mut end).map_err(unreadable)?;
        if end == [0; BLOCK_BYTES] {
            return Ok(manifest);
        }
        let short = end.len() < BLOCK_BYTES;
        Err(bad(if short { "its last bytes are missing" } else { "something follows its end" }.to_owned()))
    }
}

/// The name of an entry, if it is a text.
fn name_of<R: Read>(entry: &tar::Entry<'_, R>) -> Option<String> {
    String::from_utf8(entry.path_bytes().into_owned()).ok()
}
