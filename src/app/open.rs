//! Opens a data directory: lock, keys, vote journal, block log, index.
//!
//! # Place
//! `start.rs` calls it on a blocking thread, before any task of the node runs.
//!
//! # Invariants
//! - INV-OPEN-1: an index that does not open, is damaged, or does not fit the block log is moved aside and built again
//!   from it, once in a start; journal and log are never touched for that.
//! - INV-OPEN-2: reading of journal and log and replay say every [`PROGRESS_EVERY`] how far they are, and end between two
//!   records when the node is to stop.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::disk_growth;
use super::losers::{self, Losers};
use super::places::{index_path, journal_path};
use super::rules::tell_of_rules;
use super::start_error::StartError;
use super::trust;
use crate::consensus::replay::{ReplayError, Replayed, replay_from};
use crate::consensus::vote_replay::JournaledState;
use crate::runtime::config::StorageEngine;
use crate::runtime::key_file::{create_key_file, generate_key, read_key_file};
use crate::runtime::time_text::duration_words;
use crate::runtime::{Clock, Config, StartStatus};
use crate::storage::{
    BlockLog, BlockReader, DirectoryLock, FjallIndex, Index, IndexGuard, IndexStore, JournalIdentity,
    JournalOrigin, JournalReader, JournalWriter, OpenedJournal, RealDisk, SledIndex, SnapshotStore,
    StorageError,
};
use crate::types::{BlockHash, ChainId, GenesisDocument, PublicKey, SecretKey};

/// How often the progress of long work is logged.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// An opened data directory.
pub(super) struct Data {
    pub(super) lock: DirectoryLock,
    pub(super) operator: Option<SecretKey>,
    pub(super) journal: JournalWriter<RealDisk>,
    pub(super) journal_reader: JournalReader<RealDisk>,
    pub(super) journal_origin: JournalOrigin,
    pub(super) journaled: JournaledState,
    pub(super) log: BlockLog<RealDisk>,
    pub(super) index: Index,
    /// What stands between the index and its database.
    pub(super) index_guard: Arc<IndexGuard>,
    pub(super) replayed: Replayed,
    /// What the last run knew of payments that lost their coin.
    pub(super) losers: Losers,
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

/// Who wants to know how far a start is, and who may end it.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    pub(super) status: StartStatus,
    pub(super) token: CancellationToken,
}

/// Says from time to time how far long work is, and hears that the node is to stop.
struct Progress<'a> {
    what: &'static str,
    watched: &'a Watched,
    started: Instant,
    last_told: Instant,
    /// What was done when it was first asked.
    from: Option<u64>,
}

impl<'a> Progress<'a> {
    fn of(what: &'static str, watched: &'a Watched) -> Self {
        let now = Clock.instant();
        watched.status.set(what);
        Self { what, watched, started: now, last_told: now, from: None }
    }

    /// Whether to go on.
    fn step(&mut self, done: u64, total: u64) -> bool {
        let now = Clock.instant();
        let from = *self.from.get_or_insert(done);
        if now.saturating_duration_since(self.last_told) >= PROGRESS_EVERY {
            self.last_told = now;
            let elapsed = now.saturating_duration_since(self.started);
            let (percent, remaining_s) = estimate(from, done, total, elapsed);
            tracing::info!(done, total, percent, remaining_s, "{}", self.what);
            let remaining = duration_words(remaining_s);
            self.watched.status.set(&format!("{}: {percent} %, some {remaining} to go", self.what));
        }
        !self.watched.token.is_cancelled()
    }
}

/// How much of all is done in percent, and how many seconds the rest takes at the same pace.
fn estimate(from: u64, done: u64, total: u64, elapsed: Duration) -> (u64, u64) {
    let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100).min(100);
    let (since, left) = (u128::from(done.saturating_sub(from)), u128::from(total.saturating_sub(done)));
    let left_ms = elapsed.as_millis().saturating_mul(left).checked_div(since).unwrap_or(0);
    (percent, u64::try_from(left_ms.div_ceil(1_000)).unwrap_or(u64::MAX))
}

/// A data directory that is this process' alone, with the node's keys.
pub(super) struct Locked {
    lock: DirectoryLock,
    pub(super) identity_key: SecretKey,
    pub(super) operator: Option<SecretKey>,
}

/// Takes the data directory, and reads the node's keys or makes them. Blocks.
pub(super) fn lock(config: &Config) -> Result<Locked, StartError> {
    let lock = DirectoryLock::acquire(&config.node.data_dir)?;
    Ok(Locked { lock, identity_key: identity_key(config)?, operator: operator_key(config)? })
}

/// Opens everything and brings index and state to the tip of the block log. Blocks. Ends soon after `watched.token` was
/// cancelled.
pub(super) fn open(
    locked: Locked,
    config: &Config,
    genesis: &GenesisDocument,
    watched: &Watched,
) -> Result<Data, StartError> {
    let Locked { lock, operator, .. } = locked;
    let data_dir = &config.node.data_dir;
    let chain_id = genesis.chain_id();
    let identity = JournalIdentity { chain_id, operator: operator.as_ref().map(SecretKey::public) };
    let votes = journal_path(data_dir);
    let mut progress = Progress::of("Reading the vote journal", watched);
    let mut watch = |done, total| progress.step(done, total);
    let journal = match &operator {
        Some(_) => JournalWriter::open_watched(RealDisk, &votes, identity, &mut watch)?,
        None => JournalWriter::open_or_create_watched(RealDisk, &votes, identity, &mut watch)?,
    };
    let OpenedJournal { writer, reader, contents, origin, .. } = journal;
    let mut progress = Progress::of("Reading the block log", watched);
    let log = BlockLog::open_watched(RealDisk, &data_dir.join("blocks"), chain_id, &mut |done, total| {
        progress.step(done, total)
    })?;
    let (index_guard, index, replayed) =
        open_index(config, genesis, &log.reader(), watched, &mut engine(config))?;
    let tip = (replayed.state.height(), replayed.state.tip_time());
    trust::check_chain(config, &genesis.parameters, tip, &log.reader(), Clock.now_ms())?;
    let mut progress = Progress::of("Reading own votes", watched);
    let journaled = JournaledState::read(contents, &reader, &replayed.state, &mut |done, total| {
        progress.step(done, total)
    })?;
    tell_of_chain(&operator, &log, &replayed);
    disk_growth::tell(config, &log.reader());
    tell_of_rules(&replayed.state);
    tell_of_other_engines(config);
    Ok(Data {
        lock,
        operator,
        journal: writer,
        journal_reader: reader,
        journal_origin: origin,
        journaled,
        log,
        index,
        index_guard,
        replayed,
        losers: losers::of_last_run(&losers::path_in(data_dir), &chain_id),
    })
}

fn tell_of_chain(operator: &Option<SecretKey>, log: &BlockLog<RealDisk>, replayed: &Replayed) {
    match operator {
        Some(secret) => {
            let key = secret.public();
            match replayed.state.registry().owner_of_key(&key) {
                Some(id) => tracing::info!(
                    height = log.height(),
                    masternode = %id.short(),
                    "Chain opened; this node votes"
                ),
                None => tracing::warn!(
                    height = log.height(),
                    operator_key = %key,
                    "Chain opened; the operator key is no masternode's yet: this node follows, and votes once it is registered"
                ),
            }
        }
        None => tracing::info!(height = log.height(), "Chain opened; this node follows"),
    }
}

fn identity_key(config: &Config) -> Result<SecretKey, StartError> {
    let path = config.identity_key_path();
    if !path.exists() {
        let key = generate_key()?;
        create_key_file(&path, &key)?;
        tracing::info!(path = %path.display(), identity = %key.public(), "Made a new identity key for this node");
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

/// Opens the store of an index, or makes it.
type OpenStore<'a> = &'a mut dyn FnMut(&Path) -> Result<Box<dyn IndexStore>, StorageError>;

pub(super) fn engine(config: &Config) -> impl FnMut(&Path) -> Result<Box<dyn IndexStore>, StorageError> {
    // The other half is the UTXO manager's cache.
    let cache_mib = (config.storage.half_cache_bytes() >> 20).max(8);
    let engine = config.storage.engine;
    move |path| {
        Ok(match engine {
            StorageEngine::Sled => Box::new(SledIndex::open(path, cache_mib)?) as Box<dyn IndexStore>,
            StorageEngine::Fjall => Box::new(FjallIndex::open(path, cache_mib)?),
        })
    }
}

/// Says what takes room and is not used.
fn tell_of_other_engines(config: &Config) {
    for engine in StorageEngine::ALL.into_iter().filter(|engine| *engine != config.storage.engine) {
        let path = index_path(config, engine);
        if path.exists() {
            tracing::info!(
                path = %path.display(),
                "The index of another storage.engine is not used; remove it, or keep it to change back"
            );
        }
    }
}

/// Opens the index at the tip; one that is unusable is moved aside and built again, once.
fn open_index(
    config: &Config,
    genesis: &GenesisDocument,
    blocks: &BlockReader<RealDisk>,
    watched: &Watched,
    open_store: OpenStore<'_>,
) -> Result<(Arc<IndexGuard>, Index, Replayed), StartError> {
    let path = index_path(config, config.storage.engine);
    IndexGuard::take_back(&path)?;
    let snapshots = SnapshotStore::new(RealDisk, config.snapshots_path());
    let reading = (blocks, &snapshots);
    match try_index(&path, genesis, reading, watched, open_store) {
        Err(StartError::Replay(ReplayError::Storage(error)) | StartError::Storage(error))
            if is_repaired_by_rebuilding(&error) =>
        {
            let aside = IndexGuard::set_aside(&path)?;
            tracing::warn!(
                %error,
                aside = %aside.display(),
                "The index is built again from the block log; what was moved aside can be removed"
            );
            try_index(&path, genesis, reading, watched, open_store)
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
    path: &Path,
    genesis: &GenesisDocument,
    (blocks, snapshots): (&BlockReader<RealDisk>, &SnapshotStore<RealDisk>),
    watched: &Watched,
    open_store: OpenStore<'_>,
) -> Result<(Arc<IndexGuard>, Index, Replayed), StartError> {
    let unusable = |reason| StorageError::Unopenable { path: path.to_owned(), reason };
    if let Some(reason) = IndexGuard::damage_of(path) {
        return Err(unusable(format!("it was damaged when it was last used: {reason}")).into());
    }
    let guard = Arc::new(IndexGuard::new(open_store(path)?, path));
    let index = Index::new(Arc::clone(&guard) as Arc<dyn IndexStore>);
    if let Some(reason) = misfit(&index, genesis, blocks)? {
        return Err(unusable(reason).into());
    }
    let mut progress = Progress::of("Building the index", watched);
    let reading = (blocks, Some(snapshots));
    let replayed = replay_from(genesis, &index, reading, &mut |done, total| progress.step(done, total))?;
    Ok((guard, index, replayed))
}

/// Why an index can't be brought forward from this log, if it can't.
pub(super) fn misfit(
    index: &Index,
    genesis: &GenesisDocument,
    blocks: &BlockReader<RealDisk>,
) -> Result<Option<String>, StorageError> {
    let Some(highest) = index.highest_written()? else { return Ok(None) };
    if let Some(format) = index.unknown_format()? {
        return Ok(Some(format!("another version of the program wrote it, in format {format}")));
    }
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
mod tests;
