//! A node of one core by itself: what it orders is done at once, and what it says is kept.

use std::sync::Arc;

use super::{Core, CoreConfig, Event, Opened, Output, Restart};
use crate::consensus::replay::Replayed;
use crate::consensus::vote_replay::JournaledState;
use crate::storage::block_log::BlockLog;
use crate::storage::disk::Disk;
use crate::storage::index::Index;
use crate::storage::journal::{JournalOrigin, JournalReader, JournalRecord, JournalWriter, OpenedJournal};
use crate::types::keys::SequentialVerifier;
use crate::types::{Message, PublicKey, SecretKey, TimeMs};
use crate::utxo::UtxoManager;

/// The one peer of a node.
pub(crate) fn peer() -> PublicKey {
    SecretKey::from_seed(&[0x55; 32]).public()
}

pub(crate) struct SingleNode<D: Disk> {
    pub(crate) core: Core,
    pub(crate) journal: JournalWriter<D>,
    log: BlockLog<D>,
    pub(crate) now_ms: TimeMs,
    /// What it has written to its journal.
    pub(crate) written: Vec<JournalRecord>,
    /// What is in its journal, and so was sent, in its order.
    pub(crate) said: Vec<Message>,
    /// What it sent to its peer alone.
    pub(crate) sent: Vec<Message>,
}

impl<D: Disk> SingleNode<D> {
    /// Starts from what a disk holds.
    pub(crate) fn open(
        operator: Option<SecretKey>,
        (replayed, index): (Replayed, Index),
        journal: OpenedJournal<D>,
        log: BlockLog<D>,
        now_ms: TimeMs,
    ) -> Self {
        let OpenedJournal { writer, reader, contents, origin, .. } = journal;
        let journaled = JournaledState::read(contents, &reader, &replayed.state, &mut |_, _| true).unwrap();
        Self::start(operator, (replayed, index), (writer, reader, origin, journaled), log, now_ms)
    }

    /// The same, when the journal was read.
    pub(crate) fn start(
        operator: Option<SecretKey>,
        (replayed, index): (Replayed, Index),
        (journal, reader, origin, journaled): (
            JournalWriter<D>,
            JournalReader<D>,
            JournalOrigin,
            JournaledState,
        ),
        log: BlockLog<D>,
        now_ms: TimeMs,
    ) -> Self {
        let config = CoreConfig {
            operator,
            listen_ms: 0,
            signs_after_ms: origin.signs_after_ms(),
            vote_interval_ms: 0,
            verifier: Arc::new(SequentialVerifier),
        };
        let utxos = Arc::new(UtxoManager::new(Arc::new(index), 1 << 20));
        let restart = Restart::new(replayed, (journaled, reader), utxos, log.reader());
        let Opened { core, outputs } = Core::open(config, restart, now_ms);
        let (written, said, sent) = (Vec::new(), Vec::new(), Vec::new());
        let mut node = Self { core, journal, log, now_ms, written, said, sent };
        node.execute(outputs);
        node.feed(Event::PeerConnected(peer()));
        node
    }

    pub(crate) fn feed(&mut self, event: Event) {
        let outputs = self.core.handle(event, self.now_ms);
        self.execute(outputs);
    }

    pub(crate) fn hear(&mut self, message: Message) {
        self.feed(Event::Message { from: peer(), message, verified: false });
    }

    fn execute(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Persist(staged) => {
                    self.written.extend(staged.records.iter().cloned());
                    let durable = self.journal.commit(vec![staged]).unwrap();
                    self.said.extend(durable.iter().map(|message| message.get().clone()));
                    self.feed(Event::Persisted(durable));
                }
                Output::CommitBlock(block) => {
                    self.log.append(&block).unwrap();
                    self.feed(Event::BlockPersisted);
                }
                Output::Send(_, message) => self.sent.push(message),
                Output::Misbehaved(_, why) => panic!("it blames its peer: {why}"),
                _ => {}
            }
        }
    }
}
