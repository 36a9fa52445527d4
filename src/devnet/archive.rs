//! A devnet in one file: a tar archive in an LZ4 frame.
//!
//! # Place
//! `timed devnet export` and `import`. The file holds the genesis document, and each node's keys, block log and vote
//! journal. The index is not in it, a node builds that anew at its start; nor are configurations, which
//! [`Directory::prepare`] writes: so what a file says can't lead a node to other paths of the machine.
//!
//! # Invariants
//! - INV-EXPORT-1: nothing is written before the whole file was read and found good; the directory is there whole, or not
//!   at all. A file that lacks its last byte, or has one more, is not good.
//! - INV-EXPORT-2: members are regular files with the names of [`is_member`], each once: no link, no path that leads out.
//!
//! # Bounds
//! [`MEMBERS_MAX`] members, [`BYTES_MAX`] bytes together, [`SMALL_BYTES_MAX`] for what is no log.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use lz4_flex::frame::{FrameDecoder, FrameEncoder, FrameInfo};
use serde::{Deserialize, Serialize};

use crate::app::care::{Tell, Unit, Work};
use crate::app::devnet::{
    Devnet as Directory, DevnetError as DirectoryError, DevnetWishes, GENESIS_FILE, base_port_in,
    validators_in, write_marker,
};
use crate::runtime::io_advice;
use crate::storage::{DirectoryLock, StorageError};
use crate::types::GenesisDocument;
use crate::types::genesis::GenesisError;

/// Members of an archive, at most.
pub const MEMBERS_MAX: usize = 100_000;
/// Bytes of all members together, at most: 64 GiB.
pub const BYTES_MAX: u64 = 64 << 30;
/// Bytes of a member that is no segment of a log, at most.
pub const SMALL_BYTES_MAX: u64 = 16 << 20;
/// Bytes behind the last member, at most: the padding of a tar archive.
const PADDING_BYTES_MAX: u64 = 1 << 20;
const EXPORTING: Work = Work { what: "exporting", unit: Unit::Bytes };
const CHECKING: Work = Work { what: "checking the file", unit: Unit::Bytes };
const UNPACKING: Work = Work { what: "unpacking", unit: Unit::Bytes };
/// The first member: what the file is.
const MANIFEST: &str = "export.toml";
const VERSION: u32 = 1;

/// Why there is no export, or no import.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file is not what an export makes.
    #[error("{path} is no export of a devnet, or is damaged ({why}); nothing was written")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is something in the way.
    #[error("{path} is not empty: choose another directory by --dir, or remove this one")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The devnet's directory can't be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A node of it runs.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file can't be read or written.
    #[error("{path}: {source}{}", io_advice(source))]
    Io {
        /// Which one.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> ArchiveError + '_ {
    move |source| ArchiveError::Io { path: path.to_owned(), source }
}

/// What an export or import has moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Nodes.
    pub nodes: usize,
    /// The port for peers of node 0.
    pub base_port: u16,
    /// The chain.
    pub chain_id: String,
    /// Bytes of all members.
    pub bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u32,
    nodes: usize,
    base_port: u16,
    members: usize,
    bytes: u64,
}

/// Whether an archive of so many nodes may have a member of this name.
fn is_member(name: &str, nodes: usize) -> bool {
    if name == GENESIS_FILE {
        return true;
    }
    let Some((node, rest)) = name.strip_prefix("node").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let is_node = (0..nodes).any(|index| index.to_string() == node);
    let is_segment = |name: &str| {
        name.strip_suffix(".seg").is_some_and(|digits| {
            digits.len() >= 8 && digits.len() <= 20 && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    is_node
        && match rest.strip_prefix("data/") {
            None => rest == "operator.key",
            Some("node.key") => true,
            Some(data) => {
                data.strip_prefix("votes/").or_else(|| data.strip_prefix("blocks/")).is_some_and(is_segment)
            }
        }
}

/// How much of all members was read, told as it is.
struct Pace<'a> {
    work: Work,
    done: u64,
    total: u64,
    told: Tell<'a>,
    /// It is not to go on.
    stopped: bool,
}

impl<'a> Pace<'a> {
    fn of(work: Work, total: u64, told: Tell<'a>) -> Self {
        Self { work, done: 0, total, told, stopped: false }
    }

    /// What an error is that came while this read.
    fn checked<T>(&self, read: Result<T, ArchiveError>) -> Result<T, ArchiveError> {
        if self.stopped { Err(StorageError::Interrupted.into()) } else { read }
    }
}

/// A member that is read at a pace.
struct Paced<'p, 'a, R> {
    inner: R,
    pace: &'p mut Pace<'a>,
}

impl<R: Read> Read for Paced<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let pace = &mut *self.pace;
        pace.done = pace.done.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        pace.stopped = !(pace.told)(pace.work, pace.done, pace.total);
        if pace.stopped { Err(io::Error::other("stopped")) } else { Ok(count) }
    }
}

fn is_log(name: &str) -> bool {
    name.ends_with(".seg")
}

/// What every node needs in it.
fn needed(nodes: usize) -> impl Iterator<Item = String> {
    let of_node = |index: usize| {
        ["operator.key", "data/node.key"].into_iter().map(move |file| format!("node{index}/{file}"))
    };
    std::iter::once(GENESIS_FILE.to_owned()).chain((0..nodes).flat_map(of_node))
}

/// The names of the segments in a directory, in order.
fn segments(directory: &Path, below: &str, nodes: usize) -> Result<Vec<String>, ArchiveError> {
    let path = directory.join(below);
    let mut names = Vec::new();
    let entries = match std::fs::read_dir(&path) {
        Ok(entries) => entries,
        // A node that never started has no blocks.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        Err(error) => return Err(io_error(&path)(error)),
    };
    for entry in entries {
        let name = entry.map_err(io_error(&path))?.file_name();
        let name = format!("{below}/{}", name.to_string_lossy());
        if is_member(&name, nodes) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Writes the devnet in a directory, of which no node runs, to a file that does not exist yet. Blocks. `told` hears how far
/// it is, and may end it.
///
/// # Errors
/// When a node runs, something is missing, the disk refuses, or it is to end; there is no file then.
pub fn export(directory: &Path, file: &Path, told: Tell<'_>) -> Result<Moved, ArchiveError> {
    let nodes = validators_in(directory)?;
    let mut locks = Vec::with_capacity(nodes);
    let mut names: Vec<String> = needed(nodes).collect();
    for index in 0..nodes {
        // One that runs alone, by `timed run`, is found by its own lock.
        locks.push(DirectoryLock::acquire(&directory.join(format!("node{index}/data")))?);
        for log in ["votes", "blocks"] {
            names.extend(segments(directory, &format!("node{index}/data/{log}"), nodes)?);
        }
    }
    let draft =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(io_error(file))?;
    let written = write_archive(directory, (nodes, &names), (&draft, file), told);
    if written.is_err() {
        // What is half written is of no use to anybody.
        let _gone = std::fs::remove_file(file).is_ok();
    }
    written
}

fn write_archive(
    directory: &Path,
    (nodes, names): (usize, &[String]),
    (draft, file): (&File, &Path),
    told: Tell<'_>,
) -> Result<Moved, ArchiveError> {
    let mut opened = Vec::with_capacity(names.len());
    let mut bytes = 0_u64;
    for name in names {
        let path = directory.join(name);
        let found = std::fs::symlink_metadata(&path).map_err(io_error(&path))?;
        if !found.is_file() {
            let why = "it is no regular file";
            return Err(io_error(&path)(io::Error::new(io::ErrorKind::InvalidInput, why)));
        }
        bytes = bytes.saturating_add(found.len());
        opened.push((name, path, found.len()));
    }
    let base_port = base_port_in(directory);
    let manifest = Manifest { version: VERSION, nodes, base_port, members: names.len(), bytes };
    let text = toml::to_string(&manifest)
        .map_err(|error| io_error(file)(io::Error::new(io::ErrorKind::InvalidData, error)))?;
    let info = FrameInfo::new().content_checksum(true).block_checksums(true);
    let frame = FrameEncoder::with_frame_info(info, BufWriter::new(draft));
    let mut archive = tar::Builder::new(frame);
    append(&mut archive, MANIFEST, text.len() as u64, text.as_bytes()).map_err(io_error(file))?;
    let mut pace = Pace::of(EXPORTING, bytes, told);
    for (name, path, length) in opened {
        let source = BufReader::new(File::open(&path).map_err(io_error(&path))?);
        let source = Paced { inner: source.take(length), pace: &mut pace };
        let appended = append(&mut archive, name, length, source).map_err(io_error(file));
        pace.checked(appended)?;
    }
    let frame = archive.into_inner().map_err(io_error(file))?;
    let failed = |error: io::Error| io_error(file)(error);
    let mut buffer = frame.finish().map_err(|error| failed(io::Error::other(error)))?;
    buffer.flush().map_err(failed)?;
    draft.sync_all().map_err(io_error(file))?;
    let file_bytes = draft.metadata().map_err(io_error(file))?.len();
    let genesis = std::fs::read_to_string(directory.join(GENESIS_FILE)).map_err(io_error(directory))?;
    let document = GenesisDocument::from_toml(&genesis).map_err(DirectoryError::Genesis)?;
    Ok(Moved { nodes, base_port, chain_id: document.chain_id().to_string(), bytes, file_bytes })
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    name: &str,
    length: u64,
    data: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(length);
    header.set_mode(0o600);
    archive.append_data(&mut header, name, data)
}

/// Makes a directory of what a file holds, with the file's ports or with others. Blocks. `told` hears how far it is, and may
/// end it.
///
/// # Errors
/// When the directory is not empty, the file is not good, or it is to end: nothing is written then.
pub fn import(
    file: &Path,
    directory: &Path,
    base_port: Option<u16>,
    told: Tell<'_>,
) -> Result<Moved, ArchiveError> {
    let directory = std::path::absolute(directory).map_err(io_error(directory))?;
    match std::fs::read_dir(&directory) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(ArchiveError::NotEmpty { path: directory });
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io_error(&directory)(error)),
    }
    // One handle for both readings: what is checked is what is unpacked.
    let mut source = File::open(file).map_err(io_error(file))?;
    let mut genesis = String::new();
    let mut check = |name: &str, data: &mut dyn Read| match name {
        GENESIS_FILE => data.read_to_string(&mut genesis).map(drop),
        _ => io::copy(data, &mut io::sink()).map(drop),
    };
    let manifest = read_archive(&source, file, &mut check, &mut Pace::of(CHECKING, 0, told))?;
    let unusable = |why: String| ArchiveError::Unusable { path: file.to_owned(), why };
    let document =
        GenesisDocument::from_toml(&genesis).map_err(|error: GenesisError| unusable(error.to_string()))?;
    if document.masternodes.len() != manifest.nodes {
        let found = document.masternodes.len();
        return Err(unusable(format!("{} nodes, and {found} masternodes at its start", manifest.nodes)));
    }
    source.rewind().map_err(io_error(file))?;
    let parent = directory.parent().unwrap_or(Path::new("/")).to_owned();
    std::fs::create_dir_all(&parent).map_err(io_error(&parent))?;
    let draft =
        tempfile::Builder::new().prefix(".importing-").tempdir_in(&parent).map_err(io_error(&parent))?;
    let into = draft.path().to_owned();
    let mut unpack = |name: &str, data: &mut dyn Read| {
        let path = into.join(name);
        if let Some(above) = path.parent() {
            std::fs::create_dir_all(above)?;
        }
        let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        io::copy(data, &mut target)?;
        target.sync_all()
    };
    read_archive(&source, file, &mut unpack, &mut Pace::of(UNPACKING, 0, told))?;
    let base_port = base_port.unwrap_or(manifest.base_port);
    write_marker(&into, manifest.nodes, base_port)?;
    let chain_id = Directory::prepare(&into, &DevnetWishes::default(), false)?.chain_id.to_string();
    // Over an empty directory, or where none is.
    std::fs::rename(&into, &directory).map_err(io_error(&directory))?;
    let _moved = draft.keep();
    let file_bytes = source.metadata().map_err(io_error(file))?.len();
    Ok(Moved { nodes: manifest.nodes, base_port, chain_id, bytes: manifest.bytes, file_bytes })
}

/// A source, and whether somebody wanted more of it than there is. lz4_flex takes a frame for whole that breaks off where its
/// end should stand.
struct Source<R> {
    inner: R,
    was_short: bool,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.was_short |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

/// What is done with each member.
type Take<'a> = &'a mut dyn FnMut(&str, &mut dyn Read) -> io::Result<()>;

/// What is wrong with the frame or the members, in words: the library's own name its types.
fn archive_words(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<lz4_flex::frame::Error>()) {
        Some(lz4_flex::frame::Error::WrongMagicNumber) => "it does not begin as an export does".to_owned(),
        Some(_) => "its compressed data is damaged".to_owned(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "it breaks off".to_owned(),
        None => error.to_string(),
    }
}

/// Reads the whole file, and holds it to all rules.
fn read_archive(
    source: &File,
    file: &Path,
    take: Take<'_>,
    pace: &mut Pace<'_>,
) -> Result<Manifest, ArchiveError> {
    let unusable = |why: String| ArchiveError::Unusable { path: file.to_owned(), why };
    let failed = |error: io::Error| unusable(archive_words(&error));
    let source = Source { inner: BufReader::new(source), was_short: false };
    let mut archive = tar::Archive::new(FrameDecoder::new(source));
    let (mut manifest, mut seen, mut bytes) = (None::<Manifest>, BTreeSet::new(), 0_u64);
    // Raw: what would extend another member's header is a member itself, and refused.
    for entry in archive.entries().map_err(failed)?.raw(true) {
        let mut entry = entry.map_err(failed)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let shown = name.escape_debug().to_string();
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(unusable(format!("{shown} is no regular file")));
        }
        let length = entry.size();
        if !is_log(&name) && length > SMALL_BYTES_MAX {
            return Err(unusable(format!("{shown} has {length} bytes, more than {SMALL_BYTES_MAX}")));
        }
        let Some(manifest) = &manifest else {
            manifest = Some(read_manifest(&name, &mut entry).map_err(unusable)?);
            continue;
        };
        bytes = bytes.saturating_add(length);
        if bytes > BYTES_MAX || bytes > manifest.bytes || seen.len() >= manifest.members {
            return Err(unusable("it holds more than it says".to_owned()));
        }
        if !is_member(&name, manifest.nodes) || !seen.insert(name.clone()) {
            return Err(unusable(format!("{shown} does not belong there")));
        }
        pace.total = manifest.bytes;
        let taken = take(&name, &mut Paced { inner: &mut entry, pace: &mut *pace });
        pace.checked(taken.map_err(failed))?;
    }
    let manifest = manifest.ok_or_else(|| unusable("it is empty".to_owned()))?;
    // Up to the end, where the checksum of all stands.
    let mut rest = archive.into_inner().take(PADDING_BYTES_MAX);
    let padding = io::copy(&mut rest, &mut io::sink()).map_err(failed)?;
    let mut source = rest.into_inner().into_inner();
    if source.was_short {
        return Err(unusable("its last bytes are missing".to_owned()));
    }
    if padding >= PADDING_BYTES_MAX || source.read(&mut [0]).map_err(failed)? > 0 {
        return Err(unusable("something follows its end".to_owned()));
    }
    if let Some(missing) = needed(manifest.nodes).find(|name| !seen.contains(name)) {
        return Err(unusable(format!("{missing} is missing")));
    }
    if (seen.len(), bytes) != (manifest.members, manifest.bytes) {
        return Err(unusable("it holds less than it says".to_owned()));
    }
    Ok(manifest)
}

fn read_manifest(name: &str, entry: &mut impl Read) -> Result<Manifest, String> {
    if name != MANIFEST {
        return Err(format!("it does not begin with {MANIFEST}"));
    }
    let mut text = String::new();
    entry.read_to_string(&mut text).map_err(|error| error.to_string())?;
    let manifest: Manifest = toml::from_str(&text).map_err(|error| error.message().to_owned())?;
    if manifest.version != VERSION {
        return Err(format!("its version is {}, this program knows {VERSION}", manifest.version));
    }
    if manifest.members > MEMBERS_MAX || manifest.bytes > BYTES_MAX || manifest.nodes > 100 {
        return Err("it says that it is larger than any".to_owned());
    }
    Ok(manifest)
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
