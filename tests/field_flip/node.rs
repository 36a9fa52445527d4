//! The real consensus of a node that has the blocks before one of the story's, and hears changed messages.

use std::path::Path;
use std::sync::{Arc, Mutex};

use timed::consensus::dispatch::Consensus;
use timed::consensus::events::{Event, Now, Output};
use timed::consensus::replay::replay;
use timed::consensus::restart::{ConsensusConfig, Restart};
use timed::consensus::trust::ChainTrust;
use timed::consensus::vote_replay::JournaledState;
use timed::protocol::transition::inputs_in_order;
use timed::storage::{
    BlockLog, Index, JournalIdentity, JournalWriter, LoggedBlock, MemoryDisk, MemoryIndex, OpenedJournal,
};
use timed::types::keys::SequentialVerifier;
use timed::types::message::NodeStatus;
use timed::types::{BlockHash, CommittedBlock, Message, PublicKey, RuleVersion, SignerBitmap};
use timed::utxo::UtxoManager;

use crate::flip::Verdict;
use crate::heard::heard;
use crate::story::{Step, Story};

pub fn committed(step: &Step) -> CommittedBlock {
    CommittedBlock { block: step.block.clone(), commit: step.commit.clone() }
}

#[derive(Default)]
struct Life {
    /// `None` while there is none: it is made anew after it took something.
    consensus: Option<Consensus>,
    peers: u64,
}

pub struct Node<'a> {
    story: &'a Story,
    next: usize,
    life: Mutex<Life>,
}

impl<'a> Node<'a> {
    pub fn new(story: &'a Story, next: usize) -> Self {
        Self { story, next, life: Mutex::default() }
    }

    fn open(&self) -> Consensus {
        let (genesis, disk) = (&self.story.genesis, MemoryDisk::new());
        let chain_id = genesis.chain_id();
        let mut log = BlockLog::open(disk.clone(), Path::new("blocks"), chain_id).unwrap();
        for step in &self.story.steps[..self.next] {
            let spent = inputs_in_order(&step.outcome);
            log.append(&LoggedBlock { committed: committed(step), spent }).unwrap();
        }
        let index = Index::new(Arc::new(MemoryIndex::new()));
        let replayed = replay(genesis, &index, &log.reader(), &mut |_, _| true).unwrap();
        let identity = JournalIdentity { chain_id, operator: None };
        let opened = JournalWriter::open_or_create(disk, Path::new("votes"), identity).unwrap();
        let config = ConsensusConfig {
            operator: None,
            listen_ms: 0,
            instance: [0; 16],
            signs_after_ms: 0,
            vote_interval_ms: 5,
            knows: RuleVersion::NEWEST,
            trust: ChainTrust::default(),
            verifier: Arc::new(SequentialVerifier),
        };
        let utxos = Arc::new(UtxoManager::new(Arc::new(index), 1 << 20));
        let OpenedJournal { reader, contents, .. } = opened;
        let journaled = JournaledState::read(contents, &reader, &replayed.state, &mut |_, _| true).unwrap();
        let restart = Restart::new(replayed, (journaled, reader), utxos, log.reader());
        let now = Now::both(self.story.state.tip_time());
        Consensus::open(config, restart, now).consensus
    }

    /// A new peer says these things, each made of the node's height; whether the answers to them have this effect.
    fn hear<T>(
        &self,
        said: &[&dyn Fn(u64) -> Message],
        effect: impl Fn(&[Vec<Output>]) -> Option<T>,
    ) -> Option<T> {
        let mut life = self.life.lock().unwrap();
        let mut consensus = life.consensus.take().unwrap_or_else(|| self.open());
        life.peers += 1;
        let mut peer = [0x77; 32];
        peer[..8].copy_from_slice(&life.peers.to_le_bytes());
        let (from, now, height) =
            (PublicKey(peer), Now::both(self.story.state.tip_time()), consensus.state().height());
        consensus.handle(Event::PeerConnected(from), now);
        let mut answer = |message| {
            let mut ordered = consensus.handle(Event::Message { from, message, verified: false }, now);
            let checks = ordered.extract_if(.., |output| matches!(output, Output::CheckBlocks(_)));
            for check in checks.collect::<Vec<_>>() {
                let Output::CheckBlocks(order) = check else { unreachable!() };
                let held = Arc::new(order.check(&SequentialVerifier));
                ordered.extend(consensus.handle(Event::BlocksChecked { answer: order.answer, held }, now));
            }
            ordered
        };
        let answers: Vec<Vec<Output>> = said.iter().map(|message| answer(message(height))).collect();
        let found = effect(&answers);
        consensus.handle(Event::PeerDisconnected(from), now);
        if found.is_none() {
            assert_eq!(consensus.state().height(), height);
            life.consensus = Some(consensus);
        }
        found
    }

    /// A peer is further than the node, is asked for the next blocks, and answers with this one; the hash of the block that
    /// the node then sends to its log.
    pub fn takes_block(&self, block: &CommittedBlock) -> Verdict {
        let status = |height| {
            Message::Status(NodeStatus {
                height: height + 2,
                horizon: 1,
                tip: BlockHash::ZERO,
                epoch: 0,
                round: 0,
                has_proposal: false,
                prevotes: SignerBitmap::default(),
                precommits: SignerBitmap::default(),
                batches: Vec::new(),
            })
        };
        let answer = |_| Message::Blocks(vec![heard(block)]);
        self.hear(&[&status, &answer], |answers| {
            let asks = |output: &Output| matches!(output, Output::Send(_, Message::GetBlocks { .. }));
            assert!(answers[0].iter().any(asks), "it is behind and asks for blocks");
            answers[1].iter().find_map(|output| match output {
                Output::CommitBlock(logged) => {
                    assert_eq!(logged.committed, *block, "it takes what it was given");
                    Some(logged.committed.block.header.hash().0)
                }
                _ => None,
            })
        })
    }

    /// Whether the node passes on what a peer says: it does so with all that it takes, and with nothing else.
    pub fn passes_on(&self, message: &Message) -> bool {
        let say = |_| message.clone();
        let passed = |output: &Output| match output {
            Output::Relay(relayed, Some(_)) if relayed == message => Some(()),
            _ => None,
        };
        self.hear(&[&say], |answers| answers[0].iter().find_map(passed)).is_some()
    }
}
