//! The operator's explicit steps with a vote journal: making one, and carrying votes from machine to machine.
//!
//! # Place
//! `timed votes` calls these, on a data directory that no node runs in. Everything here blocks.
//!
//! # Invariants
//! - INV-VOTES-1: a key that may have voted before gets a new journal only under the rule that it signs in later epochs
//!   alone, unless its operator takes the risk.
//! - INV-VOTES-3: a copy of a journal is no more than a new one, since the key may have gone on where it was. Only a journal
//!   that was taken away from its node before it was copied lets its key sign at once.
//! - INV-VOTES-2: what is there is never overwritten; only the journal of a node without a key, which holds no vote,
//!   makes room.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::networks::{NetworksError, load_genesis};
use super::places::journal_path;
use super::vote_file::{VoteFileError, VoteFileHead, VoteFileSink, VoteFileWriter, read_vote_file};
use crate::runtime::key_file::{SecretFileError, read_key_file, sync_directory_of};
use crate::runtime::{Clock, Config, io_advice};
use crate::storage::{
    BlockLog, DirectoryLock, JournalIdentity, JournalImport, JournalOrigin, JournalRecord, JournalWriter,
    RealDisk, Staged, StorageError,
};
use crate::types::fork::ForkProof;
use crate::types::{ChainId, Epoch, GenesisDocument, Height, PublicKey, TimeMs};

/// Why nothing was done with a vote journal.
#[derive(Debug, thiserror::Error)]
pub enum VotesError {
    /// No genesis document.
    #[error(transparent)]
    Networks(#[from] NetworksError),
    /// No key is named.
    #[error(
        "a vote journal belongs to an operator key: name its file by [masternode] operator_key in the configuration"
    )]
    NoOperatorKey,
    /// The key can't be read.
    #[error(transparent)]
    Key(#[from] SecretFileError),
    /// The data directory or the journal.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The file of votes.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: VoteFileError,
    },
    /// Nothing to decide on.
    #[error("the journal in {path} knows of no fork that is not acknowledged")]
    NoFork {
        /// The journal.
        path: PathBuf,
    },
    /// The file of votes can't be read or written.
    #[error("{path}: {source}{}", io_advice(source))]
    Io {
        /// Which file.
        path: PathBuf,
        /// The file system's reason.
        source: io::Error,
    },
}

/// The vote journal's place in a data directory, which is held for this process.
#[derive(Debug)]
pub struct VotesPlace {
    directory: PathBuf,
    blocks: PathBuf,
    genesis: GenesisDocument,
    chain_id: ChainId,
    operator: PublicKey,
    /// Whether it was taken away from the node.
    moved: bool,
    _lock: DirectoryLock,
}

/// A journal that was made, exported or imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VotesSummary {
    /// Where the journal is.
    pub directory: PathBuf,
    /// The chain that is voted on.
    pub chain_id: ChainId,
    /// The key that votes.
    pub operator: PublicKey,
    /// How it came to be.
    pub origin: JournalOrigin,
    /// How many records it holds.
    pub records: usize,
    /// Whether the journal of a node without a key was removed for it.
    pub replaced_keyless: bool,
}

/// From when on a key signs whose new journal may not know all that it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstVote {
    /// In epochs that start later than this.
    pub after_ms: TimeMs,
    /// When the first of these begins at the latest, about, as long as blocks come; `None` where that can't be said.
    pub until_ms: Option<TimeMs>,
    /// Which epoch that is at the earliest, as far as the data directory knows.
    pub epoch: Option<Epoch>,
    /// The last block of the data directory; 0 before block 1.
    pub height: Height,
}

impl VotesPlace {
    /// The place that a configuration names.
    ///
    /// # Errors
    /// When it names no operator key, or the data directory is in use.
    pub fn of(config: &Config) -> Result<Self, VotesError> {
        let genesis = load_genesis(config)?;
        let chain_id = genesis.chain_id();
        let key = config.masternode.operator_key.as_ref().ok_or(VotesError::NoOperatorKey)?;
        let operator = read_key_file(key)?.public();
        let data_dir = &config.node.data_dir;
        let lock = DirectoryLock::acquire(data_dir)?;
        let (directory, blocks) = (journal_path(data_dir), data_dir.join("blocks"));
        Ok(Self { directory, blocks, genesis, chain_id, operator, moved: false, _lock: lock })
    }

    /// Whether a configuration's data directory has the vote journal of its operator key on its chain. Reads the head of a
    /// file, also while a node runs there.
    ///
    /// # Errors
    /// [`StorageError::WrongChain`] and [`StorageError::WrongOperator`] for a foreign one; when it, the key or the genesis
    /// document can't be read.
    pub fn has_journal(config: &Config) -> Result<bool, VotesError> {
        let key = config.masternode.operator_key.as_ref().ok_or(VotesError::NoOperatorKey)?;
        let operator = Some(read_key_file(key)?.public());
        let identity = JournalIdentity { chain_id: load_genesis(config)?.chain_id(), operator };
        match JournalWriter::is_keyless(&RealDisk, &journal_path(&config.node.data_dir), identity) {
            Err(StorageError::JournalExists { .. }) => Ok(true),
            // There is none, or one that holds no vote.
            Ok(_) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    const fn identity(&self) -> JournalIdentity {
        JournalIdentity { chain_id: self.chain_id, operator: Some(self.operator) }
    }

    fn summary(&self, origin: JournalOrigin, records: usize, replaced_keyless: bool) -> VotesSummary {
        let (directory, chain_id, operator) = (self.directory.clone(), self.chain_id, self.operator);
        VotesSummary { directory, chain_id, operator, origin, records, replaced_keyless }
    }

    /// Makes a journal. Unless `forced`, the key signs only in epochs that start later than now by twice the clocks'
    /// drift.
    ///
    /// # Errors
    /// When there is one, of this key or another.
    pub fn make(&self, forced: bool) -> Result<VotesSummary, VotesError> {
        let origin = JournalOrigin { created_ms: Clock.now_ms(), forced };
        let replaced =
            JournalWriter::create_over_keyless(RealDisk, &self.directory, self.identity(), origin)?;
        Ok(self.summary(origin, 0, replaced))
    }

    /// From when on a key signs with a journal of this origin; `None` if at once.
    ///
    /// # Errors
    /// When the block log can't be read.
    pub fn first_vote(&self, origin: JournalOrigin) -> Result<Option<FirstVote>, VotesError> {
        let after_ms = origin.signs_after_ms();
        if after_ms == 0 {
            return Ok(None);
        }
        let duration_ms = self.genesis.parameters.epoch_duration_ms;
        let Some((height, running, time_ms)) = self.tip()? else {
            // Nothing was signed before the genesis document's time, when epoch 0 begins at the earliest.
            let lies_ahead = self.genesis.time_ms > after_ms;
            let (until_ms, epoch) =
                if lies_ahead { (Some(self.genesis.time_ms), Some(0)) } else { (None, None) };
            return Ok(Some(FirstVote { after_ms, until_ms, epoch, height: 0 }));
        };
        // An epoch that began just before has its whole duration before it.
        let until_ms = Some(after_ms.saturating_add(duration_ms));
        let is_recent = origin.created_ms.saturating_sub(time_ms) <= duration_ms;
        let epoch = is_recent.then(|| running.saturating_add(1));
        Ok(Some(FirstVote { after_ms, until_ms, epoch, height }))
    }

    /// Height and time of the data directory's last block, and the epoch of the one after it.
    fn tip(&self) -> Result<Option<(Height, Epoch, TimeMs)>, VotesError> {
        if !self.blocks.exists() {
            return Ok(None);
        }
        let log = BlockLog::open(RealDisk, &self.blocks, self.chain_id)?;
        let Some(tip) = log.reader().read_committed(log.height())? else { return Ok(None) };
        let header = &tip.block.header;
        let epoch = header.epoch.saturating_add(u64::from(header.epoch_end));
        Ok(Some((header.height, epoch, header.time)))
    }

    /// Takes the journal away from the node, which does not start without it: what is exported then stays all that the key
    /// has said. It keeps lying beside, under another name.
    ///
    /// # Errors
    /// When there is none, it is damaged or another's, or it can't be renamed.
    pub fn take_away(&mut self) -> Result<(), VotesError> {
        JournalWriter::scan(RealDisk, &self.directory, self.identity(), &mut |_| Ok(()))?;
        let aside = self.directory.with_file_name(format!("votes.moved-{}", Clock.now_ms()));
        self.rename_to(aside)?;
        self.moved = true;
        Ok(())
    }

    /// Gives a journal that was taken away back to the node.
    ///
    /// # Errors
    /// When it can't be renamed.
    pub fn give_back(&mut self) -> Result<(), VotesError> {
        self.rename_to(self.directory.with_file_name("votes"))?;
        self.moved = false;
        Ok(())
    }

    fn rename_to(&mut self, to: PathBuf) -> Result<(), VotesError> {
        let renamed = std::fs::rename(&self.directory, &to).and_then(|()| sync_directory_of(&to));
        renamed.map_err(|source| VotesError::Io { path: self.directory.clone(), source })?;
        self.directory = to;
        Ok(())
    }

    /// Writes the journal as JSON; `name` says where to, for errors.
    ///
    /// # Errors
    /// When there is none, it is damaged or another's, or the file can't be written.
    pub fn export(&self, out: impl Write, name: &Path) -> Result<VotesSummary, VotesError> {
        let failed = |source| VotesError::Io { path: name.to_owned(), source };
        let scan = |visit: &mut dyn FnMut(JournalRecord) -> Result<(), StorageError>| {
            JournalWriter::scan(RealDisk, &self.directory, self.identity(), visit)
        };
        // Once to learn where bodies lie, so that they need not be held; once to write.
        let journal = scan(&mut |_| Ok(()))?;
        let (origin, epoch) = (journal.origin, journal.epoch);
        let (chain_id, operator_key, moved) = (self.chain_id, self.operator, self.moved);
        let head = VoteFileHead { chain_id, operator_key, origin, epoch, moved };
        let mut writer = VoteFileWriter::begin(BufWriter::new(out), head).map_err(failed)?;
        let mut body = |txid: &_| journal.reader.transaction(txid).map_err(io::Error::other);
        scan(&mut |record| writer.push(&record, &mut body).map_err(StorageError::io("write", name)))?;
        let records = writer.finish().map_err(failed)?;
        Ok(self.summary(origin, records, false))
    }

    /// Makes a journal of what [`Self::export`] wrote elsewhere. Unless it was taken away there, or `forced`, the key signs
    /// only in epochs that start later than now, as with [`Self::make`].
    ///
    /// # Errors
    /// When there is one, or the file is malformed, of another chain or of another key; nothing is left then.
    pub fn import(&self, path: &Path, forced: bool) -> Result<VotesSummary, VotesError> {
        let file = File::open(path).map_err(|source| VotesError::Io { path: path.to_owned(), source })?;
        let mut sink = Importer { place: self, forced, begun: None };
        let records = read_vote_file(BufReader::new(file), &mut sink).map_err(|error| match error {
            VoteFileError::Storage(error) => VotesError::Storage(error),
            source => VotesError::File { path: path.to_owned(), source },
        })?;
        let Some((import, origin)) = sink.begun else {
            // A file that was read to its end has a head.
            return Err(StorageError::NoJournal { path: self.directory.clone() }.into());
        };
        let replaced = import.replaces_keyless();
        import.finish()?;
        Ok(self.summary(origin, records, replaced))
    }
}

/// The fork that keeps a node from signing, and with `acknowledge` the record that its operator has decided.
///
/// # Errors
/// When there is none, there is no journal, it is another's, or a node runs in the data directory.
pub fn open_fork(config: &Config, acknowledge: bool) -> Result<Arc<ForkProof>, VotesError> {
    let chain_id = load_genesis(config)?.chain_id();
    // A node without a key notices forks too, and keeps them in a journal without a key.
    let key = config.masternode.operator_key.as_ref().filter(|_| config.masternode.enabled);
    let operator = key.map(|path| read_key_file(path)).transpose()?.map(|key| key.public());
    let _lock = DirectoryLock::acquire(&config.node.data_dir)?;
    let path = journal_path(&config.node.data_dir);
    let mut open: Option<Arc<ForkProof>> = None;
    let mut journal =
        JournalWriter::scan(RealDisk, &path, JournalIdentity { chain_id, operator }, &mut |record| {
            match record {
                JournalRecord::Fork(fork) => open = Some(fork),
                JournalRecord::ForkAcknowledged(fork) => drop(open.take_if(|found| *found == fork)),
                _ => {}
            }
            Ok(())
        })?;
    let fork = open.ok_or(VotesError::NoFork { path })?;
    if acknowledge {
        let records = vec![JournalRecord::ForkAcknowledged(Arc::clone(&fork))];
        let _durable = journal.writer.commit(vec![Staged::<()> { records, release: Vec::new() }])?;
    }
    Ok(fork)
}

struct Importer<'a> {
    place: &'a VotesPlace,
    forced: bool,
    begun: Option<(JournalImport, JournalOrigin)>,
}

impl VoteFileSink for Importer<'_> {
    fn head(&mut self, head: &VoteFileHead) -> Result<(), VoteFileError> {
        let identity = self.place.identity();
        head.check(identity)?;
        let origin = if head.moved || self.forced {
            head.origin
        } else {
            JournalOrigin { created_ms: Clock.now_ms(), forced: false }
        };
        let import = JournalImport::begin(&self.place.directory, identity, origin)?;
        self.begun = Some((import, origin));
        Ok(())
    }

    fn record(&mut self, record: JournalRecord) -> Result<(), VoteFileError> {
        match &mut self.begun {
            Some((import, _)) => Ok(import.push(record)?),
            // Records come after the head.
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
