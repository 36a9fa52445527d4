//! What an opened journal holds, by what it is about: places of records instead of the records.
//!
//! # Place
//! Made by [`JournalWriter`](super::JournalWriter) while it opens a journal. `consensus/vote_replay.rs` reads by it what a
//! start needs.
//!
//! # Invariants
//! - INV-JOURNAL-3: what is held of a record does not depend on its size, but for pieces of evidence (one for each accused)
//!   and forks (each took a decision of the operator).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::journal_record::{InFrame, JournalRecord};
use super::segment_log::Position;
use crate::types::codec::encode;
use crate::types::fork::ForkProof;
use crate::types::{Epoch, Evidence, Height, MasternodeId};

/// Where a record's encoding lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPlace(pub(super) Position);

impl RecordPlace {
    /// A record of the frame at this position.
    pub(super) fn of(frame: Position, record: InFrame) -> Self {
        let offset = frame.offset.saturating_add(u64::from(record.offset));
        Self(Position { sequence: frame.sequence, offset, length: record.length })
    }
}

/// Where the messages of one epoch's votes lie, each kind in the order in which it was written.
#[derive(Clone, Debug, Default)]
pub struct JournaledMessages {
    /// Batches of this node.
    pub own_batches: Vec<RecordPlace>,
    /// Batches of others.
    pub batches: Vec<RecordPlace>,
    /// Certificates.
    pub certificates: Vec<RecordPlace>,
}

/// Where the messages about one block lie, each kind in the order in which it was written.
#[derive(Clone, Debug, Default)]
pub struct JournaledHeight {
    /// Proposals.
    pub proposals: Vec<RecordPlace>,
    /// Prevotes and precommits.
    pub votes: Vec<RecordPlace>,
}

/// What a journal retains, beside the bodies of transactions, which its reader finds by their ids.
#[derive(Clone, Debug, Default)]
pub struct JournalContents {
    /// How many records there are.
    pub records: u64,
    /// The last epoch that started: earlier ones are no longer there as a whole.
    pub started: Epoch,
    /// Epochs whose closing was entered.
    pub closing: BTreeSet<Epoch>,
    /// Messages of finality votes.
    pub messages: BTreeMap<Epoch, JournaledMessages>,
    /// Messages about blocks.
    pub heights: BTreeMap<Height, JournaledHeight>,
    /// The number of this node's next batch.
    pub next_seq: BTreeMap<Epoch, u64>,
    /// The fork that is not decided on.
    pub fork: Option<Arc<ForkProof>>,
    /// Forks that the operator has decided on.
    pub acknowledged_forks: Vec<Arc<ForkProof>>,
    /// Evidence, the last of each accused.
    pub evidence: BTreeMap<MasternodeId, Arc<Evidence>>,
}

impl JournalContents {
    /// Takes note of the next record.
    pub(super) fn note(&mut self, record: &JournalRecord, place: RecordPlace) {
        self.records = self.records.saturating_add(1);
        match record {
            JournalRecord::Transaction(_) => {}
            JournalRecord::OwnBatch(batch) => {
                let epoch = batch.header.epoch;
                let next = self.next_seq.entry(epoch).or_insert(0);
                *next = (*next).max(batch.header.seq.saturating_add(1));
                self.messages.entry(epoch).or_default().own_batches.push(place);
            }
            JournalRecord::PeerBatch(batch) => {
                self.messages.entry(batch.header.epoch).or_default().batches.push(place);
            }
            JournalRecord::Certificate(certificate) => {
                self.messages.entry(certificate.epoch).or_default().certificates.push(place);
            }
            JournalRecord::ClosingEntered { epoch, .. } => drop(self.closing.insert(*epoch)),
            JournalRecord::Proposal(proposal) => {
                self.heights.entry(proposal.block.header.height).or_default().proposals.push(place);
            }
            JournalRecord::BlockVote(vote) => {
                self.heights.entry(vote.height).or_default().votes.push(place);
            }
            JournalRecord::EpochStarted { epoch } => self.started = self.started.max(*epoch),
            JournalRecord::Evidence(piece) => {
                // Each epoch's start writes it again.
                self.evidence.insert(piece.validator(), Arc::clone(piece));
            }
            JournalRecord::Fork(fork) => self.fork = Some(Arc::clone(fork)),
            JournalRecord::ForkAcknowledged(fork) => {
                self.fork.take_if(|open| open == fork);
                // Each epoch's start writes it again, and an earlier one may not be pruned yet.
                if !self.acknowledged_forks.contains(fork) {
                    self.acknowledged_forks.push(Arc::clone(fork));
                }
            }
        }
    }

    /// About how much memory it takes, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let of_messages = |messages: &JournaledMessages| {
            let JournaledMessages { own_batches, batches, certificates } = messages;
            own_batches.capacity() + batches.capacity() + certificates.capacity()
        };
        let of_height = |height: &JournaledHeight| height.proposals.capacity() + height.votes.capacity();
        let places = self.messages.values().map(of_messages).sum::<usize>()
            + self.heights.values().map(of_height).sum::<usize>();
        let forks = self.fork.iter().chain(&self.acknowledged_forks).map(|fork| encode(&**fork).len());
        let evidence = self.evidence.values().map(|piece| encode(&**piece).len());
        places * size_of::<RecordPlace>()
            + self.messages.len() * size_of::<(Epoch, JournaledMessages)>()
            + self.heights.len() * size_of::<(Height, JournaledHeight)>()
            + forks.chain(evidence).sum::<usize>()
    }
}
