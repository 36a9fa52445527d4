//! Opens a data directory: lock, keys, vote journal, block log, index.
//!
//! # Place
//! `start.rs` calls it on a blocking thread, before any task of the node runs.
//!
//! # Invariants
//! - INV-OPEN-1: an index that does not open, is damaged, or does not fit the block log is destroyed and built again
//!   from it; journal and log are never touched for that.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::start::StartError;
use crate::consensus::replay::{ReplayError, Replayed, replay};
use crate::runtime::key_file::{create_key_file, generate_key, read_key_file};
use crate::runtime::{Clock, Config};
use crate::storage::{
    BlockLog, BlockReader, DirectoryLock, Index, JournalIdentity, JournalOrigin, JournalWriter,
    OpenedJournal, RealDisk, SledIndex, StorageError,
};
use crate::types::{BlockHash, ChainId, GenesisDocument, PublicKey, SecretKey};

/// How often the progress of a long replay is logged.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// An opened data directory.
pub(super) struct Data {
    pub(super) lock: DirectoryLock,
    pub(super) identity_key: SecretKey,
    pub(super) operator: Option<SecretKey>,
    pub(super) journal: OpenedJournal<RealDisk>,
    pub(super) log: BlockLog<RealDisk>,
    pub(super) index: Index,
    pub(super) replayed: Replayed,
}

pub(super) fn journal_path(data_dir: &Path) -> PathBuf {
    data_dir.join("votes")
}

/// Makes the vote journal of an operator key that was just made, and so has never voted: it may sign at once. For any
/// other key there is [`super::votes`]. Blocks.
///
/// # Errors
/// When there is one already, or the disk refuses.
pub fn create_journal(data_dir: &Path, chain_id: ChainId, operator: PublicKey) -> Result<(), StorageError> {
    std::fs::create_dir_all(data_dir).map_err(StorageError::io("create directory", data_dir))?;
    let identity = JournalIdentity { chain_id, operator: Some(operator) };
    let origin = JournalOrigin { created_ms: Clock.now_ms(), forced: true };
    JournalWriter::create(RealDisk, &journal_path(data_dir), identity, origin).map(drop)
}

/// Opens everything and brings index and state to the tip of the block log. Blocks.
pub(super) fn open(config: &Config, genesis: &GenesisDocument) -> Result<Data, StartError> {
    let data_dir = &config.node.data_dir;
    let lock = DirectoryLock::acquire(data_dir)?;
    let identity_key = identity_key(config)?;
    let operator = operator_key(config)?;
    let chain_id = genesis.chain_id();
    let identity = JournalIdentity { chain_id, operator: operator.as_ref().map(SecretKey::public) };
    let votes = journal_path(data_dir);
    let journal = match &operator {
        Some(_) => JournalWriter::open(RealDisk, &votes, identity)?,
        None => JournalWriter::open_or_create(RealDisk, &votes, identity)?,
    };
    let log = BlockLog::open(RealDisk, &data_dir.join("blocks"), chain_id)?;
    let (index, replayed) = open_index(config, genesis, &log.reader())?;
    match &operator {
        Some(secret) => {
            let key = secret.public();
            match replayed.state.registry().owner_of_key(&key) {
                Some(id) => tracing::info!(
                    height = log.height(),
                    masternode = %id.short(),
                    "chain opened; this node votes"
                ),
                None => tracing::warn!(
                    height = log.height(),
                    operator_key = %key,
                    "chain opened; the operator key is no masternode's yet: this node follows, and votes once it is registered"
                ),
            }
        }
        None => tracing::info!(height = log.height(), "chain opened; this node follows"),
    }
    Ok(Data { lock, identity_key, operator, journal, log, index, replayed })
}

fn identity_key(config: &Config) -> Result<SecretKey, StartError> {
    let path = config.identity_key_path();
    if !path.exists() {
        let key = generate_key()?;
        create_key_file(&path, &key)?;
        tracing::info!(path = %path.display(), identity = %key.public(), "made a new identity key for this node");
        return Ok(key);
    }
    Ok(read_key_file(&path)?)
}

fn operator_key(config: &Config) -> Result<Option<SecretKey>, StartError> {
    if !config.masternode.enabled {
        return Ok(None);
    }
    let path = config.masternode.operator_key.as_ref().ok_or(StartError::NoOperatorKey)?;
    Ok(Some(read_key_file(path)?))
}

/// Opens the index at the tip; one that is unusable is built again, once.
fn open_index(
    config: &Config,
    genesis: &GenesisDocument,
    blocks: &BlockReader<RealDisk>,
) -> Result<(Index, Replayed), StartError> {
    let path = config.node.data_dir.join("index");
    match try_index(config, &path, genesis, blocks) {
        Err(StartError::Replay(ReplayError::Storage(error)) | StartError::Storage(error))
            if is_repaired_by_rebuilding(&error) =>
        {
            tracing::warn!(%error, "the index is built again from the block log");
            SledIndex::destroy(&path)?;
            try_index(config, &path, genesis, blocks)
        }
        outcome => outcome,
    }
}

const fn is_repaired_by_rebuilding(error: &StorageError) -> bool {
    matches!(
        error,
        StorageError::Unopenable { .. } | StorageError::IndexMalformed { .. } | StorageError::Index { .. }
    )
}

fn try_index(
    config: &Config,
    path: &Path,
    genesis: &GenesisDocument,
    blocks: &BlockReader<RealDisk>,
) -> Result<(Index, Replayed), StartError> {
    // The other half is the UTXO manager's cache.
    let cache_mib = (config.storage.cache_mb.saturating_mul(500_000) >> 20).max(8);
    let index = Index::new(Arc::new(SledIndex::open(path, cache_mib)?));
    if let Some(reason) = misfit(&index, genesis, blocks)? {
        return Err(StorageError::Unopenable { path: path.to_owned(), reason }.into());
    }
    let mut last_told = Clock.instant();
    let mut progress = |height, tip| {
        let now = Clock.instant();
        if now.saturating_duration_since(last_told) >= PROGRESS_EVERY {
            last_told = now;
            tracing::info!(height, tip, "replaying blocks");
        }
    };
    let replayed = replay(genesis, &index, blocks, &mut progress)?;
    Ok((index, replayed))
}

/// Why an index can't be brought forward from this log, if it can't.
fn misfit(
    index: &Index,
    genesis: &GenesisDocument,
    blocks: &BlockReader<RealDisk>,
) -> Result<Option<String>, StorageError> {
    let Some(highest) = index.highest_applied()? else { return Ok(None) };
    let tip = blocks.height();
    if highest > tip {
        return Ok(Some(format!("it has seen block {highest}, the block log ends at {tip}")));
    }
    let Some(mark) = index.mark()? else { return Ok(Some("it was never marked".to_owned())) };
    let logged = match mark.height {
        0 => Some(BlockHash(genesis.chain_id().0)),
        height => blocks.read_committed(height)?.map(|committed| committed.block.header.hash()),
    };
    let fits = logged == Some(mark.block_hash);
    Ok((!fits).then(|| format!("its block {} is not the block log's", mark.height)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::networks::{devnet_genesis, devnet_operator_key};
    use crate::types::Network;

    fn config(data_dir: &Path) -> Config {
        let mut config = Config::of_network(Network::Devnet);
        config.node.data_dir = data_dir.to_owned();
        config
    }

    /// INV-START-1.
    #[test]
    fn a_masternode_without_a_journal_refuses_and_with_one_starts() {
        let home = tempfile::tempdir().unwrap();
        let genesis = devnet_genesis(4);
        let mut config = config(home.path());
        let key_path = home.path().join("operator.key");
        create_key_file(&key_path, &devnet_operator_key(1)).unwrap();
        config.masternode.enabled = true;
        config.masternode.operator_key = Some(key_path.clone());
        let refused = open(&config, &genesis).err().unwrap();
        assert!(matches!(refused, StartError::Storage(StorageError::NoJournal { .. })), "{refused}");
        create_journal(home.path(), genesis.chain_id(), devnet_operator_key(1).public()).unwrap();
        let identity_key = {
            let data = open(&config, &genesis).unwrap();
            assert_eq!(data.operator.unwrap().public(), devnet_operator_key(1).public());
            data.identity_key.public()
        };
        assert_eq!(open(&config, &genesis).unwrap().identity_key.public(), identity_key, "kept");
        let again = create_journal(home.path(), genesis.chain_id(), devnet_operator_key(1).public());
        assert!(matches!(again, Err(StorageError::JournalExists { .. })));
    }

    #[test]
    fn a_node_with_a_key_of_no_masternode_follows_until_it_is_registered() {
        let home = tempfile::tempdir().unwrap();
        let genesis = devnet_genesis(4);
        let mut config = config(home.path());
        let key_path = home.path().join("operator.key");
        create_key_file(&key_path, &devnet_operator_key(50)).unwrap();
        create_journal(home.path(), genesis.chain_id(), devnet_operator_key(50).public()).unwrap();
        config.masternode.enabled = true;
        config.masternode.operator_key = Some(key_path);
        assert_eq!(open(&config, &genesis).unwrap().replayed.state.height(), 0);
    }

    /// INV-OPEN-1.
    #[test]
    fn an_index_that_does_not_fit_is_built_again() {
        let home = tempfile::tempdir().unwrap();
        let genesis = devnet_genesis(4);
        let config = config(home.path());
        drop(open(&config, &genesis).unwrap());
        let path = home.path().join("index");
        {
            // It has seen a block that the log does not have.
            let index = Index::new(Arc::new(SledIndex::open(&path, 8).unwrap()));
            let mark = index.mark().unwrap().unwrap();
            index.set_mark(7, mark.block_hash, &mark.state).unwrap();
        }
        let data = open(&config, &genesis).unwrap();
        assert_eq!(data.index.mark().unwrap().unwrap().height, 0);
        drop(data);
        std::fs::remove_dir_all(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("db"), [7; 4096]).unwrap();
        std::fs::write(path.join("conf"), b"rubbish").unwrap();
        assert_eq!(open(&config, &genesis).unwrap().replayed.state.height(), 0);
    }
}
