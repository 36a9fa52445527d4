//! A node by itself: what it orders is done at once, and what it says is kept. And a block of no chain.

use std::collections::VecDeque;
use std::sync::Arc;

use super::dispatch::Consensus;
use super::events::{
    Answer, Event, JournalOrder, Notification, Now, Output, Recipient, Shell, Shortfall, Timer, execute,
};
use super::replay::Replayed;
use super::restart::{ConsensusConfig, Opened, Restart};
use super::serve::Assembler;
use super::sync::ahead::BlocksToCheck;
use super::trust::ChainTrust;
use super::vote_journal::{JournalQueue, JournalStep};
use super::vote_replay::JournaledState;
use crate::network::PeerId;
use crate::protocol::activation::UnknownRules;
use crate::storage::block_log::{BlockLog, LoggedBlock};
use crate::storage::disk::Disk;
use crate::storage::index::Index;
use crate::storage::journal::{JournalOrigin, JournalReader, JournalRecord, JournalWriter, OpenedJournal};
use crate::types::keys::SequentialVerifier;
use crate::types::{
    Block, BlockHash, ChainId, Commit, CommittedBlock, Epoch, Hash, Header, Height, MasternodeId, Message,
    PublicKey, RuleVersion, SecretKey, StateDigest, TimeMs, Transaction,
};
use crate::utxo::UtxoManager;

/// The one peer of a node.
pub(crate) fn peer() -> PublicKey {
    SecretKey::from_seed(&[0x55; 32]).public()
}

/// Disks that do at once what they are asked for, and a peer that remembers.
pub(crate) struct Surroundings<D: Disk> {
    pub(crate) journal: JournalWriter<D>,
    queue: JournalQueue,
    pub(crate) log: BlockLog<D>,
    pub(crate) assembler: Assembler,
    /// What the node owes itself, and has not heard yet.
    owed: VecDeque<Event>,
    /// What it has written to its journal.
    pub(crate) written: Vec<JournalRecord>,
    /// What it said to everybody, in its order: what its journal has taken, and what it sent again.
    pub(crate) said: Vec<Message>,
    /// What it sent to its peer alone.
    pub(crate) sent: Vec<Message>,
    /// The same with whom it sent it to.
    pub(crate) addressed: Vec<(PeerId, Message)>,
    /// What it wants to be called back about, and when.
    pub(crate) scheduled: Vec<(Timer, u64)>,
    /// Epochs before which its journal was to forget.
    pub(crate) pruned: Vec<Epoch>,
    /// What it told readers.
    pub(crate) told: Vec<Notification>,
    /// How its peer failed it.
    pub(crate) failed: Vec<Shortfall>,
    /// Why it was to stop.
    pub(crate) stopped: Option<UnknownRules>,
}

impl<D: Disk> Shell for Surroundings<D> {
    fn journal(&mut self, order: JournalOrder) {
        self.queue.push(order);
        while let Some(step) = self.queue.next_step() {
            match step {
                JournalStep::Prune(epoch) => {
                    self.pruned.push(epoch);
                    drop(self.journal.prune_before(epoch));
                }
                JournalStep::Commit(group) => {
                    self.written.extend(group.iter().flat_map(|staged| staged.records.iter().cloned()));
                    let durable = self.journal.commit(group).unwrap();
                    self.said.extend(durable.iter().cloned().map(Message::from));
                    self.owed.push_back(Event::Persisted(durable));
                }
            }
        }
    }

    fn commit_block(&mut self, block: Box<LoggedBlock>) {
        let durable = self.log.append(&block).unwrap();
        self.owed.push_back(Event::BlockPersisted(durable));
    }

    fn check_blocks(&mut self, order: BlocksToCheck) {
        let held = Arc::new(order.check(&SequentialVerifier));
        self.owed.push_back(Event::BlocksChecked { answer: order.answer, held });
    }

    fn send(&mut self, to: PeerId, message: Message) {
        self.addressed.push((to, message.clone()));
        self.sent.push(message);
    }

    fn relay(&mut self, message: Message, except: Option<PeerId>) {
        // What came from its peer is not its own.
        self.said.extend(except.is_none().then_some(message));
    }

    fn serve(&mut self, _to: Recipient, answer: Answer) {
        let (messages, _) = self.assembler.messages(answer);
        self.sent.extend(messages);
    }

    fn schedule(&mut self, timer: Timer, delay_ms: u64) {
        self.scheduled.push((timer, delay_ms));
    }

    fn misbehaved(&mut self, _peer: PeerId, what: &'static str) {
        panic!("it blames its peer: {what}");
    }

    fn failed(&mut self, _peer: PeerId, what: Shortfall) {
        self.failed.push(what);
    }

    fn check_transactions(&mut self, _from: PeerId, _transactions: Vec<Arc<Transaction>>) {}

    fn stop(&mut self, why: UnknownRules) {
        self.stopped = Some(why);
    }

    fn notify(&mut self, notification: Notification) {
        self.told.push(notification);
    }
}

pub(crate) struct SingleNode<D: Disk> {
    pub(crate) consensus: Consensus,
    pub(crate) around: Surroundings<D>,
    pub(crate) now_ms: TimeMs,
}

impl<D: Disk> SingleNode<D> {
    /// Starts from what a disk holds.
    pub(crate) fn open(
        operator: Option<SecretKey>,
        (replayed, index): (Replayed, Index),
        vote_interval_ms: u64,
        journal: OpenedJournal<D>,
        log: BlockLog<D>,
        now_ms: TimeMs,
    ) -> Self {
        let OpenedJournal { writer, reader, contents, origin, .. } = journal;
        let journaled = JournaledState::read(contents, &reader, &replayed.state, &mut |_, _| true).unwrap();
        let journal = (writer, reader, origin, journaled);
        Self::start(operator, (replayed, index), vote_interval_ms, journal, log, now_ms)
    }

    /// The same, when the journal was read. Votes wait so long for others.
    pub(crate) fn start(
        operator: Option<SecretKey>,
        (replayed, index): (Replayed, Index),
        vote_interval_ms: u64,
        (journal, reader, origin, journaled): (
            JournalWriter<D>,
            JournalReader<D>,
            JournalOrigin,
            JournaledState,
        ),
        log: BlockLog<D>,
        now_ms: TimeMs,
    ) -> Self {
        let config = ConsensusConfig {
            operator,
            listen_ms: 0,
            instance: [0; 16],
            signs_after_ms: origin.signs_after_ms(),
            vote_interval_ms,
            knows: RuleVersion::FIRST,
            trust: ChainTrust::default(),
            verifier: Arc::new(SequentialVerifier),
        };
        let utxos = Arc::new(UtxoManager::new(Arc::new(index), 1 << 20));
        let restart = Restart::new(replayed, (journaled, reader), utxos, log.reader());
        let assembler = Assembler::new(Arc::clone(&restart.bodies), Arc::clone(&restart.blocks));
        let Opened { consensus, outputs } = Consensus::open(config, restart, Now::both(now_ms));
        let around = Surroundings {
            journal,
            queue: JournalQueue::default(),
            log,
            assembler,
            owed: VecDeque::new(),
            written: Vec::new(),
            said: Vec::new(),
            sent: Vec::new(),
            addressed: Vec::new(),
            scheduled: Vec::new(),
            pruned: Vec::new(),
            told: Vec::new(),
            failed: Vec::new(),
            stopped: None,
        };
        let mut node = Self { consensus, around, now_ms };
        node.execute(outputs);
        node.feed(Event::PeerConnected(peer()));
        node
    }

    pub(crate) fn feed(&mut self, event: Event) {
        let outputs = self.order(event);
        self.execute(outputs);
    }

    /// What it orders, which is not done, but for signatures of blocks: these are checked.
    pub(crate) fn order(&mut self, event: Event) -> Vec<Output> {
        let mut ordered = Vec::new();
        for output in self.consensus.handle(event, Now::both(self.now_ms)) {
            if let Output::CheckBlocks(order) = output {
                let held = Arc::new(order.check(&SequentialVerifier));
                ordered.extend(self.order(Event::BlocksChecked { answer: order.answer, held }));
            } else {
                ordered.push(output);
            }
        }
        ordered
    }

    pub(crate) fn hear(&mut self, message: Message) {
        self.feed(Event::Message { from: peer(), message, verified: false });
    }

    fn execute(&mut self, outputs: Vec<Output>) {
        execute(outputs, &mut self.around);
        while let Some(event) = self.around.owed.pop_front() {
            let outputs = self.order(event);
            execute(outputs, &mut self.around);
        }
    }
}

/// A block of a height, with nothing in it.
pub(crate) fn block(height: Height) -> CommittedBlock {
    let header = Header {
        chain_id: ChainId([1; 32]),
        height,
        round: 0,
        epoch: 0,
        epoch_end: false,
        time: 0,
        prev_hash: BlockHash::ZERO,
        last_commit_root: Hash::ZERO,
        tx_root: Hash::ZERO,
        evidence_root: Hash::ZERO,
        epoch_ends_root: Hash::ZERO,
        state_digest: StateDigest::ZERO,
        validators_hash: Hash::ZERO,
        next_validators_hash: Hash::ZERO,
        proposer: MasternodeId::ZERO,
        rules: RuleVersion::FIRST,
        announced: RuleVersion::FIRST,
    };
    let block =
        Block { header, last_commit: Commit::default(), transactions: Vec::new(), evidence: Vec::new() };
    CommittedBlock { block, commit: Commit::default() }
}
