//! Writes a backup: blocks, genesis document and configuration, and the keys if that is asked for.
//!
//! # Place
//! `timed db backup`, of a node that runs or does not. A backup is a tar archive whose first file is a
//! [`Manifest`].
//!
//! A running node is not asked: it only appends to its block log, each record is checked by itself, and one that is whole
//! is a committed block, whether or not the node has synced it yet. So what is whole in the files when they are read is a
//! backup of the node at that block. The index is not in it, since the node builds it. Where the block log does not begin
//! with block 1, the newest snapshot of a block in it is there too, which the index is then built of.
//!
//! # Invariants
//! - INV-BACKUP-1: the vote journal is never in a backup. A key that goes on with an old journal signs again what it has
//!   signed otherwise since, and is slashed for it. `votes export`, of a node that is stopped for good, carries votes.
//! - INV-BACKUP-2: the file appears under its name after it was written, synced, read again and found to hold what the
//!   manifest says. What is there already is not overwritten.
//! - INV-BACKUP-3: a block log with damage is not backed up as if it were whole, nor is one of which nobody could build a
//!   state.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::archive::{Archive, header};
use super::check_blocks::{ChainCheck, Depth};
use super::files::{beside, hash_part, rename};
use super::manifest::{
    BACKUP_FORMAT, CONFIG_BYTES_MAX, CONFIG_NAME, GENESIS_NAME, HORIZON_NAME, IDENTITY_KEY_NAME,
    MANIFEST_NAME, Manifest, ManifestFile, OPERATOR_KEY_NAME, WHOLE_FORMAT, part_name, segment_name,
};
use super::snapshot::look_at;
use super::{CareError, CarePlace, Tell, Unit, Work, tell};
use crate::runtime::Clock;
use crate::runtime::key_file::read_secret_file;
use crate::storage::log_check::check_blocks;
use crate::storage::{DirectoryLock, RealDisk, SnapshotStore, StorageError};
use crate::types::{BlockHash, ChainId, Height};

const READING: Work = Work { what: "reading the block log", unit: Unit::Bytes };
const HASHING: Work = Work { what: "hashing", unit: Unit::Bytes };
const WRITING: Work = Work { what: "writing the backup", unit: Unit::Bytes };
const VERIFYING: Work = Work { what: "verifying the backup", unit: Unit::Bytes };
/// What the name of a backup ends with that is not whole yet.
const PARTIAL_ENDING: &str = ".partial";

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackupReport {
    /// The file.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The chain.
    pub chain_id: ChainId,
    /// The first block in it; earlier ones were left out before.
    pub first: Height,
    /// The last block in it.
    pub height: Height,
    /// Whether the keys are in it.
    pub with_keys: bool,
    /// Whether the node ran meanwhile.
    pub was_running: bool,
}

/// What one file of a backup is made of.
enum Source {
    Text(Vec<u8>),
    /// The first bytes of a file.
    Part(PathBuf, u64),
}

impl Source {
    const fn len(&self) -> u64 {
        match self {
            Self::Text(bytes) => bytes.len() as u64,
            Self::Part(_, bytes) => *bytes,
        }
    }

    fn read(&self) -> Result<Box<dyn io::Read + '_>, CareError> {
        Ok(match self {
            Self::Text(bytes) => Box::new(bytes.as_slice()),
            Self::Part(path, bytes) => Box::new(File::open(path).map_err(CareError::io(path))?.take(*bytes)),
        })
    }
}

/// What is backed up of the block log.
struct Blocks {
    parts: Vec<(String, Source)>,
    first: Height,
    height: Height,
    hash: BlockHash,
}

impl CarePlace {
    /// Backs the node up to a new file, or to a file in a directory. `version` is that of this program.
    ///
    /// # Errors
    /// When there is such a file, the block log is damaged, or something can't be read or written.
    pub fn backup(
        &self,
        out: &Path,
        with_keys: bool,
        version: &str,
        told: Tell<'_>,
    ) -> Result<BackupReport, CareError> {
        // Held for as long as it takes, where no node runs.
        let lock = match DirectoryLock::acquire(self.data_dir()) {
            Ok(lock) => Some(lock),
            Err(StorageError::InUse { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let blocks = self.whole_blocks(told)?;
        let mut files = vec![
            (GENESIS_NAME.to_owned(), Source::Text(self.genesis_text()?)),
            (CONFIG_NAME.to_owned(), Source::Text(self.config_text()?)),
        ];
        if with_keys {
            files.extend(self.keys()?);
        }
        files.extend(blocks.parts);
        let named = manifest_files(&files, told)?;
        let manifest = Manifest {
            format: if blocks.first > 1 { BACKUP_FORMAT } else { WHOLE_FORMAT },
            version: version.to_owned(),
            created_ms: Clock.now_ms(),
            network: self.genesis.network,
            chain_id: self.chain_id(),
            height: blocks.height,
            block_hash: blocks.hash,
            with_keys,
            files: named,
        };
        let file = if out.is_dir() {
            out.join(format!("timed-{}-{}.tar", manifest.network, manifest.height))
        } else {
            out.to_owned()
        };
        if file.exists() {
            return Err(CareError::Exists { path: file });
        }
        let partial = beside(&file, PARTIAL_ENDING);
        let written = write(&partial, &manifest, &files, told).and_then(|()| {
            verify(&partial, &manifest, told)?;
            rename(&partial, &file)
        });
        if written.is_err() {
            // What is there is no backup.
            let _gone = fs::remove_file(&partial);
        }
        written?;
        let bytes = fs::metadata(&file).map_err(CareError::io(&file))?.len();
        let (chain_id, height, was_running) = (manifest.chain_id, manifest.height, lock.is_none());
        let first = blocks.first;
        Ok(BackupReport { file, bytes, chain_id, first, height, with_keys, was_running })
    }

    /// INV-BACKUP-3.
    fn whole_blocks(&self, told: Tell<'_>) -> Result<Blocks, CareError> {
        let mut chain = ChainCheck::new(&self.genesis, Depth::Hashes, None, None)?;
        let store = SnapshotStore::new(RealDisk, self.config.snapshots_path());
        let mut of_snapshots: BTreeMap<Height, Option<BlockHash>> =
            store.list()?.iter().map(|dir| (dir.height(), None)).collect();
        let mut begins = None;
        let segments = check_blocks(
            &RealDisk,
            &self.blocks(),
            self.chain_id(),
            &mut |place, block| {
                begins.get_or_insert(place.height);
                if let Some(hash) = of_snapshots.get_mut(&place.height) {
                    *hash = Some(block.committed.block.header.hash());
                }
                chain.see(place, &block);
            },
            &mut |done, total| told(READING, done, total),
        )?;
        let hash = chain.tip_hash();
        let checked = chain.finish()?;
        if let Some(fault) = checked.faults.into_iter().next() {
            return Err(CareError::Damaged { path: fault.place.path, what: fault.what });
        }
        let (mut parts, first) = (Vec::new(), begins.unwrap_or(1));
        if first > 1 {
            parts.extend(self.beginning(&store, first, &of_snapshots, told)?);
            parts.push((HORIZON_NAME.to_owned(), Source::Text(self.horizon_text()?)));
        }
        for segment in segments {
            match segment.problem {
                Some(StorageError::Corrupt { what, .. }) => {
                    return Err(CareError::Damaged { path: segment.path, what: what.to_owned() });
                }
                Some(error) => return Err(error.into()),
                // One that the node is just making has nothing in it.
                None if segment.whole_bytes == 0 => {}
                None => {
                    let source = Source::Part(segment.path, segment.whole_bytes);
                    parts.push((segment_name(segment.sequence), source));
                }
            }
        }
        Ok(Blocks { parts, first, height: checked.height, hash })
    }

    /// What says where the block log begins. It is read behind the log: a running node may leave out more meanwhile, and files
    /// below what it says are passed over, while missing ones above make a log that does not open.
    fn horizon_text(&self) -> Result<Vec<u8>, CareError> {
        let path = self.blocks().join("horizon");
        match fs::read(&path) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(CareError::io(&path)(error)),
        }
    }

    /// The newest snapshot that is whole and of one of these blocks.
    fn beginning(
        &self,
        store: &SnapshotStore<RealDisk>,
        horizon: Height,
        hashes: &BTreeMap<Height, Option<BlockHash>>,
        told: Tell<'_>,
    ) -> Result<Vec<(String, Source)>, CareError> {
        for dir in store.list()? {
            let hash = hashes.get(&dir.height()).copied().flatten();
            match look_at(&dir, true, told) {
                Ok(manifest) if Some(manifest.header.hash()) == hash => {}
                Err(error @ CareError::Storage(StorageError::Interrupted)) => return Err(error),
                Err(problem) => {
                    tracing::warn!(%problem, "A snapshot is of no use in a backup");
                    continue;
                }
                Ok(_) => continue,
            }
            let mut parts = Vec::new();
            for name in dir.names()? {
                let path = dir.path().join(&name);
                let bytes = fs::metadata(&path).map_err(CareError::io(&path))?.len();
                parts.push((part_name(dir.height(), &name), Source::Part(path, bytes)));
            }
            return Ok(parts);
        }
        Err(CareError::Pruned { horizon })
    }

    fn genesis_text(&self) -> Result<Vec<u8>, CareError> {
        // As it is written, with its comments; `look` has read and checked it.
        match &self.config.node.genesis {
            Some(path) => fs::read(path).map_err(CareError::io(path)),
            None => Ok(Vec::new()),
        }
    }

    fn config_text(&self) -> Result<Vec<u8>, CareError> {
        let path = &self.config_path;
        let mut text = Vec::new();
        File::open(path)
            // One byte more shows that it is too large.
            .and_then(|file| file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut text))
            .map_err(CareError::io(path))?;
        Ok(text)
    }

    fn keys(&self) -> Result<Vec<(String, Source)>, CareError> {
        let identity =
            (IDENTITY_KEY_NAME, Some(self.config.identity_key_path()).filter(|path| path.exists()));
        let operator = (OPERATOR_KEY_NAME, self.config.masternode.operator_key.clone());
        let mut keys = Vec::new();
        for (name, path) in [identity, operator] {
            if let Some(path) = path {
                keys.push((name.to_owned(), Source::Text(read_secret_file(&path)?.to_vec())));
            }
        }
        Ok(keys)
    }
}

fn manifest_files(files: &[(String, Source)], told: Tell<'_>) -> Result<Vec<ManifestFile>, CareError> {
    let total = files.iter().map(|(_, source)| source.len()).sum();
    let mut done = 0;
    let mut named = Vec::with_capacity(files.len());
    for (name, source) in files {
        let (name, bytes) = (name.clone(), source.len());
        let hash =
            hash_part(&mut source.read()?, bytes, io::sink()).map_err(CareError::io(Path::new(&name)))?;
        done += bytes;
        tell(told, HASHING, done, total)?;
        named.push(ManifestFile { name, bytes, blake3: hash.to_hex().to_string() });
    }
    Ok(named)
}

fn write(
    path: &Path,
    manifest: &Manifest,
    files: &[(String, Source)],
    told: Tell<'_>,
) -> Result<(), CareError> {
    let failed = || CareError::io(path);
    // Keys may be in it, and hashes of passwords are. One that a kill left is written anew.
    let _gone = fs::remove_file(path);
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut builder = tar::Builder::new(BufWriter::with_capacity(1 << 20, opened.map_err(failed())?));
    let text = serde_json::to_vec_pretty(manifest).map_err(io::Error::other).map_err(failed())?;
    let total = files.iter().map(|(_, source)| source.len()).sum();
    let mut done = 0;
    let mut append = |name: &str, bytes: u64, source: Box<dyn io::Read + '_>| {
        let mut header = header(bytes, manifest.created_ms);
        builder.append_data(&mut header, name, source).map_err(failed())
    };
    append(MANIFEST_NAME, u64::try_from(text.len()).unwrap_or(u64::MAX), Box::new(text.as_slice()))?;
    for (name, source) in files {
        append(name, source.len(), source.read()?)?;
        done += source.len();
        tell(told, WRITING, done, total)?;
    }
    let mut file = builder.into_inner().map_err(failed())?;
    file.flush().map_err(failed())?;
    file.get_ref().sync_all().map_err(failed())
}

/// INV-BACKUP-2.
fn verify(path: &Path, manifest: &Manifest, told: Tell<'_>) -> Result<(), CareError> {
    let file = File::open(path).map_err(CareError::io(path))?;
    let archive = Archive::new(path, BufReader::with_capacity(1 << 20, file));
    let total = manifest.files.iter().map(|file| file.bytes).sum();
    let mut done = 0;
    let found = archive.read(&mut |_, file, content| {
        let hash = hash_part(content, file.bytes, io::sink()).map_err(CareError::io(path))?;
        done += file.bytes;
        tell(told, VERIFYING, done, total)?;
        Ok(hash)
    })?;
    if found == *manifest {
        Ok(())
    } else {
        Err(CareError::BadBackup {
            path: path.to_owned(),
            reason: "its manifest reads otherwise than it was written".to_owned(),
        })
    }
}
