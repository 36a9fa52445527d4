//! Makes a node's directory of a backup.
//!
//! # Place
//! `timed db restore`. The node that starts there builds its index and goes on from the backup's last block.
//!
//! # Invariants
//! - INV-UNPACK-1: nothing is restored over what is there: the directory is new or empty.
//! - INV-UNPACK-2: it appears under its name when every file had its hash, the blocks make the chain that the manifest
//!   names, its snapshot is of one of them where they begin later, and all is synced. What a kill leaves is removed by the
//!   next call.
//! - INV-UNPACK-3: the configuration leads to the restored files and to no others, whatever the original's said: two
//!   nodes must never share a directory or a log.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use serde::Serialize;
use toml_edit::{DocumentMut, Item, Table, value};

use super::archive::Archive;
use super::check_blocks::{ChainCheck, Depth};
use super::files::{beside, hash_part, remove_directory, rename, write_synced};
use super::manifest::{CONFIG_NAME, GENESIS_NAME, Manifest, OPERATOR_KEY_NAME};
use super::snapshot::look_at;
use super::{CareError, Tell, Unit, Work, tell};
use crate::app::networks::read_genesis;
use crate::runtime::key_file::sync_directory_of;
use crate::runtime::{Config, ConfigSources};
use crate::storage::log_check::check_blocks;
use crate::storage::{RealDisk, SnapshotStore};
use crate::types::{ChainId, Height};

const UNPACKING: Work = Work { what: "unpacking the backup", unit: Unit::Bytes };
const READING: Work = Work { what: "reading the block log", unit: Unit::Bytes };
/// What the name of the directory ends with until it is whole.
const STAGING_ENDING: &str = ".timed-restore";
const DATA_NAME: &str = "data";
const LOG_NAME: &str = "timed.log";

/// A directory that was restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// The directory.
    pub home: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
    /// The chain.
    pub chain_id: ChainId,
    /// The last block.
    pub height: Height,
    /// Whether the configuration is a masternode's, which needs a vote journal before it starts.
    pub is_masternode: bool,
    /// Whether the key that votes is there.
    pub has_operator_key: bool,
}

/// Restores a backup to a directory that is new or empty.
///
/// # Errors
/// When the directory is not empty, the file is no whole backup, or something can't be written; nothing is left then.
pub fn restore(file: &Path, home: &Path, told: Tell<'_>) -> Result<RestoreReport, CareError> {
    let is_empty = match fs::read_dir(home) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(CareError::io(home)(error)),
    };
    if !is_empty {
        return Err(CareError::NotEmpty { path: home.to_owned() });
    }
    let staging = beside(home, STAGING_ENDING);
    remove_directory(&staging)?;
    let restored = fill(file, &staging, told).and_then(|restored| {
        rename(&staging, home)?;
        Ok(restored)
    });
    if restored.is_err() {
        remove_directory(&staging)?;
    }
    let (manifest, is_masternode) = restored?;
    Ok(RestoreReport {
        config: home.join(CONFIG_NAME),
        home: home.to_owned(),
        chain_id: manifest.chain_id,
        height: manifest.height,
        is_masternode,
        has_operator_key: manifest.has(OPERATOR_KEY_NAME),
    })
}

fn fill(file: &Path, staging: &Path, told: Tell<'_>) -> Result<(Manifest, bool), CareError> {
    let source = File::open(file).map_err(CareError::io(file))?;
    let data = staging.join(DATA_NAME);
    let blocks = data.join("blocks");
    fs::create_dir_all(&blocks).map_err(CareError::io(&blocks))?;
    let mut done = 0;
    let mut directories = BTreeSet::from([blocks, data.join("snapshots"), data, staging.to_owned()]);
    let archive = Archive::new(file, BufReader::with_capacity(1 << 20, source));
    let manifest = archive.read(&mut |manifest, named, content| {
        // INV-MANIFEST-1: the name leads nowhere else.
        let path = staging.join(&named.name);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(CareError::io(directory))?;
            directories.insert(directory.to_owned());
        }
        let hash = unpack(&path, content, named.bytes)?;
        done += named.bytes;
        let total = manifest.files.iter().map(|file| file.bytes).sum();
        tell(told, UNPACKING, done, total)?;
        Ok(hash)
    })?;
    hold_to_chain(file, staging, &manifest, told)?;
    let is_masternode = rewrite_config(file, staging, manifest.has(OPERATOR_KEY_NAME))?;
    // Those within others come behind them.
    for directory in directories.iter().rev().filter(|directory| directory.exists()) {
        File::open(directory).and_then(|it| it.sync_all()).map_err(CareError::io(directory))?;
    }
    Ok((manifest, is_masternode))
}

fn unpack(path: &Path, content: &mut dyn io::Read, bytes: u64) -> Result<blake3::Hash, CareError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = opened.map_err(CareError::io(path))?;
    let hash = hash_part(content, bytes, &file).map_err(CareError::io(path))?;
    file.sync_all().map_err(CareError::io(path))?;
    Ok(hash)
}

/// INV-UNPACK-2: hashes tell that the file is as it was written, this that it was written of a chain.
fn hold_to_chain(file: &Path, staging: &Path, manifest: &Manifest, told: Tell<'_>) -> Result<(), CareError> {
    let bad = |reason: String| CareError::BadBackup { path: file.to_owned(), reason };
    let genesis = read_genesis(&staging.join(GENESIS_NAME))?;
    if genesis.chain_id() != manifest.chain_id {
        return Err(bad(format!("its genesis document is of chain {}", genesis.chain_id())));
    }
    let (mut chain, mut of_snapshot) = (ChainCheck::new(&genesis, Depth::Hashes, None, None)?, None);
    let segments = check_blocks(
        &RealDisk,
        &staging.join(DATA_NAME).join("blocks"),
        manifest.chain_id,
        &mut |place, block| {
            if manifest.snapshot() == Some(place.height) {
                of_snapshot = Some(block.committed.block.header.hash());
            }
            chain.see(place, &block);
        },
        &mut |done, total| told(READING, done, total),
    )?;
    let hash = chain.tip_hash();
    let checked = chain.finish()?;
    let problem = segments.into_iter().find_map(|segment| segment.problem).map(|error| error.to_string());
    let problem = problem.or_else(|| checked.faults.first().map(|fault| fault.what.clone()));
    if let Some(problem) = problem {
        return Err(bad(problem));
    }
    if (checked.height, hash) != (manifest.height, manifest.block_hash) {
        return Err(bad(format!(
            "its blocks end at {}, its manifest says {}",
            checked.height, manifest.height
        )));
    }
    if let Some(height) = manifest.snapshot() {
        let store = SnapshotStore::new(RealDisk, staging.join(DATA_NAME).join("snapshots"));
        let dir = store.get(height)?.ok_or_else(|| bad("its snapshot is not whole".to_owned()))?;
        let found = look_at(&dir, true, told)?.header.hash();
        if of_snapshot != Some(found) {
            return Err(bad(format!("its snapshot is not of its block {height}")));
        }
    }
    Ok(())
}

/// INV-UNPACK-3. Says whether it is a masternode's.
fn rewrite_config(file: &Path, staging: &Path, has_operator_key: bool) -> Result<bool, CareError> {
    let path = staging.join(CONFIG_NAME);
    let bad = |reason: String| CareError::BadBackup { path: file.to_owned(), reason };
    let text = fs::read_to_string(&path).map_err(CareError::io(&path))?;
    let mut document: DocumentMut =
        text.parse().map_err(|error| bad(format!("its configuration can't be read: {error}")))?;
    let mut set = |section: &str, key: &str, to: &str| {
        let table = document.entry(section).or_insert(Item::Table(Table::new()));
        if let Some(table) = table.as_table_like_mut() {
            table.insert(key, value(to));
        }
    };
    set("node", "data_dir", DATA_NAME);
    set("node", "genesis", GENESIS_NAME);
    let names =
        |section: &str, key: &str| document.get(section).is_some_and(|table| table.get(key).is_some());
    let (names_key, names_log) = (names("masternode", "operator_key"), names("logging", "file"));
    let mut set = |section: &str, key: &str, to: &str| {
        if let Some(table) = document.get_mut(section).and_then(Item::as_table_like_mut) {
            table.insert(key, value(to));
        }
    };
    if names_key || has_operator_key {
        set("masternode", "operator_key", OPERATOR_KEY_NAME);
    }
    if names_log {
        set("logging", "file", LOG_NAME);
    }
    fs::remove_file(&path).map_err(CareError::io(&path))?;
    write_synced(&path, 0o600, document.to_string().as_bytes())?;
    sync_directory_of(&path).map_err(CareError::io(&path))?;
    // What was written is what a node will read.
    let sources = ConfigSources { file: Some(path), ..ConfigSources::default() };
    let config = Config::load(&sources).map_err(|error| bad(error.to_string()))?;
    Ok(config.masternode.enabled)
}
