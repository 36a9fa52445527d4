//! One simulated node: the real core, journal, block log, index and UTXO manager over a disk in memory.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use timed::admission::{Admission, AdmissionParts, Mirror, News, RequestedBodies};
use timed::consensus::dispatch::Consensus;
use timed::consensus::events::{AppliedBlock, Now, Output};
use timed::consensus::replay::{ReplayError, index_change, replay_knowing};
use timed::consensus::restart::{ConsensusConfig, Opened, Restart};
use timed::consensus::serve::Assembler;
use timed::consensus::signing::Identity;
use timed::consensus::trust::ChainTrust;
use timed::consensus::vote_journal::{JournalQueue, JournalStep};
use timed::consensus::vote_replay::JournaledState;
use timed::mempool::{PoolLimits, TransactionPool};
use timed::storage::block_log::{BlockLog, LoggedBlock};
use timed::storage::disk::DiskFile as _;
use timed::storage::index::Index;
use timed::storage::journal::{
    Durable, JournalIdentity, JournalRecord, JournalWriter, OpenedJournal, Staged,
};
use timed::storage::memory_disk::MemoryDisk;
use timed::storage::memory_index::MemoryIndex;
use timed::storage::{Disk, StorageError};
use timed::types::{
    Evidence, GenesisDocument, Height, MasternodeId, Message, OwnMessage, PublicKey, RuleVersion, SecretKey,
    SignatureVerifier,
};
use timed::utxo::UtxoManager;

use crate::heard::heard;
use crate::plan::START_MS;
use crate::proofs::{Prover, prover};
use crate::random::Random;
use crate::upgrades::NEXT_RULES;

/// What lives in memory and is lost with a crash.
pub struct Running {
    pub consensus: Consensus,
    pub assembler: Assembler,
    pub journal: JournalWriter<MemoryDisk>,
    pub log: BlockLog<MemoryDisk>,
    pub index: Index,
    pub utxos: Arc<UtxoManager>,
    pub prover: Prover,
    /// Takes transactions in, as in the node.
    pub admission: Admission,
    /// What the machine decided, for admission.
    pub mirror: Mirror,
    pub requested: Arc<RequestedBodies>,
    /// Staged writes that the disk has not taken yet.
    pub writes: JournalQueue,
    pub write_scheduled: bool,
    pub blocks_to_write: Vec<LoggedBlock>,
    /// Evidence that was written in this life.
    pub evidence_on_disk: Vec<Arc<Evidence>>,
    /// The newest rules that the program of this life knows.
    pub knows: RuleVersion,
}

pub struct Node {
    pub peer: PublicKey,
    pub operator: Option<SecretKey>,
    /// The masternodes that are known to be voted for with that key.
    pub ids: BTreeSet<MasternodeId>,
    pub disk: MemoryDisk,
    /// The index's files: they survive a crash as of their last mark, or are lost.
    pub index: Arc<MemoryIndex>,
    pub running: Option<Running>,
    /// Counts starts, so that timers of an earlier life are ignored.
    pub life: u64,
    /// What its wall clock shows more than the world's time.
    pub skew_ms: i64,
    /// Where its monotonic clock began: that one is nobody's business but its own.
    booted_ms: u64,
    /// The highest block that the log said is durable.
    pub durable: Height,
    /// How long another node with its key has to answer; 0: it votes unasked.
    pub listen_ms: u64,
    /// The newest rules that the installed program knows; who runs uses it from the next start on.
    pub knows: RuleVersion,
}

impl Node {
    pub fn new(seed: u8, identity: Option<Identity>, skew_ms: i64) -> Self {
        Self {
            peer: SecretKey::from_seed(&[seed.wrapping_add(0x40); 32]).public(),
            ids: identity.iter().map(|identity| identity.id).collect(),
            operator: identity.map(|identity| identity.secret),
            disk: MemoryDisk::new(),
            index: Arc::new(MemoryIndex::new()),
            running: None,
            life: 0,
            skew_ms,
            booted_ms: START_MS - 60_000 - 1_000 * u64::from(seed),
            durable: 0,
            listen_ms: 0,
            knows: RuleVersion::FIRST,
        }
    }

    /// Starts from what the disk holds. Panics when something acknowledged is gone (I7). Gives the core's first orders and
    /// what of its own the journal holds: some of it may never have been sent, and can be now.
    pub fn start(
        &mut self,
        genesis: &GenesisDocument,
        verifier: Arc<dyn SignatureVerifier + Send + Sync>,
        random: &mut Random,
        now_ms: u64,
    ) -> (Vec<Output>, Vec<Message>) {
        let chain_id = genesis.chain_id();
        let operator = self.operator.as_ref().map(SecretKey::public);
        let identity = JournalIdentity { chain_id, operator };
        let (journal, own) = self.open_journal(identity);
        let OpenedJournal { writer: journal, reader, contents, .. } = journal;
        let log = BlockLog::open(self.disk.clone(), Path::new("blocks"), chain_id).expect("the log opens");
        assert!(log.height() >= self.durable, "I7: a durable block is gone");
        if random.chance(300) {
            self.index = Arc::new(MemoryIndex::new());
        }
        let index = Index::new(Arc::clone(&self.index) as _);
        let replay = |knows| replay_knowing(knows, genesis, &index, (&log.reader(), None), &mut |_, _| true);
        let replayed = match replay(self.knows) {
            // It died with the block before the new rules: the old program refuses, and its operator installs the next one.
            Err(ReplayError::Rules(_)) => {
                self.knows = NEXT_RULES;
                replay(self.knows)
            }
            outcome => outcome,
        }
        .expect("the chain replays");
        let tip = log.read(log.height()).expect("reads").map(|logged| logged.committed.block.header);
        if let Some(header) = tip {
            assert_eq!(
                header.state_digest,
                replayed.state.digest(),
                "I7: the state is the fold of its blocks"
            );
        }
        let utxos = Arc::new(UtxoManager::new(Arc::new(index.clone()), 1 << 20));
        let pool = Arc::new(TransactionPool::new(PoolLimits::default()));
        let (news, requested) = (Arc::new(News::default()), Arc::new(RequestedBodies::default()));
        let admission = Admission::new(AdmissionParts {
            utxos: Arc::clone(&utxos),
            pool: Arc::clone(&pool),
            verifier: Arc::clone(&verifier),
            requested: Arc::clone(&requested),
            news: Arc::clone(&news),
            expiry_ms: 86_400_000,
        });
        let mirror = Mirror { utxos: Arc::clone(&utxos), pool, news };
        let config = ConsensusConfig {
            operator: self.operator.clone(),
            listen_ms: self.listen_ms,
            instance: self.instance(),
            signs_after_ms: 0,
            vote_interval_ms: 5,
            knows: self.knows,
            trust: ChainTrust::default(),
            verifier,
        };
        let journaled = JournaledState::read(contents, &reader, &replayed.state, &mut |_, _| true)
            .expect("the journal is read");
        let restart = Restart::new(replayed, (journaled, reader), Arc::clone(&utxos), log.reader());
        let assembler = Assembler::new(Arc::clone(&restart.bodies), Arc::clone(&restart.blocks));
        let now = self.now(now_ms);
        let Opened { consensus, outputs } = Consensus::open(config, restart, now);
        self.life += 1;
        self.running = Some(Running {
            consensus,
            assembler,
            journal,
            prover: prover(genesis, &index, log.reader()),
            log,
            index,
            utxos,
            admission,
            mirror,
            requested,
            writes: JournalQueue::default(),
            write_scheduled: false,
            blocks_to_write: Vec::new(),
            evidence_on_disk: Vec::new(),
            knows: self.knows,
        });
        (outputs, own)
    }

    /// What its clocks show at a time of the world.
    pub fn now(&self, now_ms: u64) -> Now {
        Now {
            monotonic_ms: now_ms - self.booted_ms,
            wall_ms: now_ms.checked_add_signed(self.skew_ms).expect("clocks start in the present"),
        }
    }

    /// The number of its next start, another one for each.
    fn instance(&self) -> [u8; 16] {
        let mut start = [0; 16];
        start[..8].copy_from_slice(&self.life.to_le_bytes());
        start[8..].copy_from_slice(&self.peer.0[..8]);
        start
    }

    /// Takes over all that another node has on disk, as a copied data directory does.
    pub fn copy_disk(&mut self, other: &Self) {
        self.disk = MemoryDisk::new();
        for dir in [Path::new("votes"), Path::new("blocks")] {
            self.disk.create_dir_all(dir).expect("made");
            for name in other.disk.list(dir).expect("listed") {
                let path = dir.join(name);
                let source = other.disk.open_existing(&path).expect("opened");
                let mut bytes = vec![0; usize::try_from(source.size_bytes().expect("sized")).expect("small")];
                source.read_at(0, &mut bytes).expect("read");
                let mut target = self.disk.open(&path).expect("made");
                target.append(&bytes).and_then(|()| target.sync_data()).expect("written");
            }
            self.disk.sync_dir(dir).expect("synced");
        }
        (self.index, self.durable) = (Arc::new(MemoryIndex::new()), other.durable);
    }

    /// The journal, and what of the node's own it holds.
    fn open_journal(&self, identity: JournalIdentity) -> (OpenedJournal<MemoryDisk>, Vec<Message>) {
        let (votes, mut own) = (Path::new("votes"), Vec::new());
        let scanned = JournalWriter::scan(self.disk.clone(), votes, identity, &mut |record| {
            own.extend(self.own_message(record));
            Ok(())
        });
        let opened = match scanned {
            Err(StorageError::NoJournal { .. }) => {
                JournalWriter::open_or_create(self.disk.clone(), votes, identity)
            }
            outcome => outcome,
        };
        (opened.expect("the journal opens"), own)
    }

    fn own_message(&self, record: JournalRecord) -> Option<Message> {
        match record {
            JournalRecord::OwnBatch(batch) => Some(Message::VoteBatch(heard(&*batch))),
            JournalRecord::BlockVote(vote) if self.ids.contains(&vote.validator) => {
                Some(Message::BlockVote(heard(&*vote)))
            }
            JournalRecord::Proposal(proposal) if self.ids.contains(&proposal.validator) => {
                Some(Message::Proposal(heard(&*proposal)))
            }
            _ => None,
        }
    }

    /// The chain's data is lost, or moved away by the operator as the node's own errors advise; the journal stays.
    pub fn wipe_chain(&mut self) {
        let dir = Path::new("blocks");
        for name in self.disk.list(dir).expect("listed") {
            self.disk.remove(&dir.join(name)).expect("removed");
        }
        self.disk.sync_dir(dir).expect("synced");
        self.index = Arc::new(MemoryIndex::new());
        self.durable = 0;
    }

    /// What its operator does with its journal while it does not run.
    pub fn write_to_journal(&mut self, genesis: &GenesisDocument, record: JournalRecord) {
        let operator = self.operator.as_ref().map(SecretKey::public);
        let identity = JournalIdentity { chain_id: genesis.chain_id(), operator };
        let opened = JournalWriter::open(self.disk.clone(), Path::new("votes"), identity);
        let staged = Staged::<OwnMessage> { records: vec![record], release: Vec::new() };
        let _none = opened.expect("the journal opens").writer.commit(vec![staged]).expect("it is written");
    }

    /// Everything in memory is gone, and unsynced writes are lost or torn.
    pub fn crash(&mut self, random: &mut Random) {
        self.running = None;
        self.life += 1;
        self.disk.crash(random.next());
    }
}

impl Running {
    /// What the journal's thread does next: commits that stand together share one write and one sync.
    pub fn write_journal(&mut self) -> Result<Vec<Durable<OwnMessage>>, StorageError> {
        let group = loop {
            match self.writes.next_step() {
                Some(JournalStep::Prune(epoch)) => self.journal.prune_before(epoch).remove(&mut || true)?,
                Some(JournalStep::Commit(group)) => break group,
                None => return Ok(Vec::new()),
            }
        };
        let records = group.iter().flat_map(|staged| &staged.records);
        let evidence: Vec<_> = records
            .filter_map(|record| match record {
                JournalRecord::Evidence(piece) => Some(Arc::clone(piece)),
                _ => None,
            })
            .collect();
        let durable = self.journal.commit(group)?;
        self.evidence_on_disk.extend(evidence);
        Ok(durable)
    }

    /// What the index writer's thread does in the node, some blocks behind.
    pub fn index_block(&mut self, applied: &AppliedBlock, mark: bool) {
        let committed = &applied.committed;
        let change = index_change(&committed.block, &committed.commit, applied.into());
        self.index.apply(&change).expect("the index takes a block");
        if mark {
            self.index.set_mark(change.height, change.block_hash, &change.state).expect("the mark moves");
            self.utxos.forget_through(change.height);
        }
    }
}
