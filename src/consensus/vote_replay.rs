//! Reads from the vote journal what a node needs at its start, and leaves the rest on the disk.
//!
//! # Place
//! The node's start and the simulator call it once the chain is at its tip; a
//! [`Restart`](super::restart::Restart) takes the result.
//!
//! # Invariants
//! - INV-VOTE-REPLAY-1: a start fails that can't read one of its own votes, or what it locks: it would sign without knowing
//!   what it has signed.
//! - INV-VOTE-REPLAY-2: of epochs and heights that the chain has behind it nothing is read, and of others no more than own
//!   votes and the messages about blocks is held. Bodies and other validators' votes are read when they are replayed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::protocol::bft;
use crate::protocol::finality::{JournaledEpoch, JournaledVotes};
use crate::protocol::state::LedgerState;
use crate::storage::disk::Disk;
use crate::storage::journal::{JournalReader, JournalRecord};
use crate::storage::watch::{Watch, ask};
use crate::storage::{JournalContents, JournaledHeight, JournaledMessages, RecordPlace, StorageError};
use crate::types::fork::ForkProof;
use crate::types::{Epoch, Evidence, FinalityVote, Height, Message, OutPoint, TxId, VoteKind};

/// What the journal says, as far as the chain here has not left it behind.
#[derive(Debug, Default)]
pub struct JournaledState {
    /// Whether nothing was ever written.
    pub is_empty: bool,
    /// Transactions whose bodies the journal holds, in order.
    pub bodies: Vec<TxId>,
    /// Epochs whose closing was entered.
    pub closing: BTreeSet<Epoch>,
    /// Own votes with the inputs that they lock.
    pub votes: JournaledVotes,
    /// Messages about blocks.
    pub heights: BTreeMap<Height, bft::Journaled>,
    /// Where messages of finality votes lie.
    pub messages: BTreeMap<Epoch, JournaledMessages>,
    /// The number of this node's next batch.
    pub next_seq: BTreeMap<Epoch, u64>,
    /// The fork that is not decided on.
    pub fork: Option<Arc<ForkProof>>,
    /// Forks that the operator has decided on.
    pub acknowledged_forks: Vec<Arc<ForkProof>>,
    /// Evidence, the last of each accused.
    pub evidence: Vec<Arc<Evidence>>,
}

impl JournaledState {
    /// Reads what the journal says of the epoch and height after `state`, and of later ones. `watch` is told own batches
    /// and blocks, and may end it between them.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`], [`StorageError::Io`], [`StorageError::Interrupted`].
    pub fn read<D: Disk>(
        contents: JournalContents,
        reader: &JournalReader<D>,
        state: &LedgerState,
        watch: Watch<'_>,
    ) -> Result<Self, StorageError> {
        let next = (state.next_epoch(), state.height().saturating_add(1));
        Self::read_from(contents, reader, next, watch)
    }

    fn read_from<D: Disk>(
        contents: JournalContents,
        reader: &JournalReader<D>,
        (epoch, height): (Epoch, Height),
        watch: Watch<'_>,
    ) -> Result<Self, StorageError> {
        let is_empty = contents.records == 0;
        let JournalContents { started, closing, mut messages, mut heights, mut next_seq, .. } = contents;
        let messages = messages.split_off(&epoch);
        let heights = heights.split_off(&height);
        let own_batches: usize = messages.values().map(|messages| messages.own_batches.len()).sum();
        let total = u64::try_from(own_batches.saturating_add(heights.len())).unwrap_or(u64::MAX);
        let mut done = 0_u64;
        let mut step = || {
            done = done.saturating_add(1);
            ask(watch, done, total)
        };
        let mut votes = JournaledVotes { forgotten_before: started, epochs: BTreeMap::new() };
        for epoch in closing.range(epoch..) {
            votes.epochs.entry(*epoch).or_default().closing = true;
        }
        for (epoch, messages) in &messages {
            let of_epoch = votes.epochs.entry(*epoch).or_default();
            for place in &messages.own_batches {
                // What was voted in an epoch that the journal may have forgotten counts as lost anyway.
                read_own_votes(reader, *place, *epoch >= started, of_epoch)?;
                step()?;
            }
        }
        let mut journaled_heights = BTreeMap::new();
        for (height, places) in heights {
            journaled_heights.insert(height, read_height(reader, &places)?);
            step()?;
        }
        Ok(Self {
            is_empty,
            bodies: reader.transactions(),
            closing,
            votes,
            heights: journaled_heights,
            messages,
            next_seq: next_seq.split_off(&epoch),
            fork: contents.fork,
            acknowledged_forks: contents.acknowledged_forks,
            evidence: contents.evidence.into_values().collect(),
        })
    }

    /// About how much memory it takes, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let of_epoch = |epoch: &JournaledEpoch| {
            let inputs: usize = epoch.votes.iter().map(|(_, inputs)| inputs.capacity()).sum();
            epoch.votes.capacity() * size_of::<(FinalityVote, Vec<OutPoint>)>()
                + inputs * size_of::<OutPoint>()
        };
        let of_messages = |messages: &JournaledMessages| {
            let JournaledMessages { own_batches, batches, certificates } = messages;
            own_batches.capacity() + batches.capacity() + certificates.capacity()
        };
        self.votes.epochs.values().map(of_epoch).sum::<usize>()
            + self.messages.values().map(of_messages).sum::<usize>() * size_of::<RecordPlace>()
            + self.bodies.capacity() * size_of::<TxId>()
    }
}

/// Adds the votes of one own batch, those to lock with the inputs of their transactions.
fn read_own_votes<D: Disk>(
    reader: &JournalReader<D>,
    place: RecordPlace,
    needs_bodies: bool,
    epoch: &mut JournaledEpoch,
) -> Result<(), StorageError> {
    let JournalRecord::OwnBatch(batch) = reader.record(place)? else {
        return Err(reader.damaged(place, "another record than a batch of own votes"));
    };
    for vote in &batch.votes {
        let inputs = match vote.kind {
            VoteKind::Final => Vec::new(),
            VoteKind::Lock => match reader.transaction(&vote.txid)? {
                Some(body) => body.inputs.clone(),
                None if needs_bodies => {
                    return Err(reader.damaged(place, "a vote to lock the inputs of an unknown transaction"));
                }
                None => Vec::new(),
            },
        };
        epoch.votes.push((*vote, inputs));
    }
    Ok(())
}

fn read_height<D: Disk>(
    reader: &JournalReader<D>,
    places: &JournaledHeight,
) -> Result<bft::Journaled, StorageError> {
    let mut journaled = bft::Journaled::default();
    for place in places.proposals.iter().chain(&places.votes) {
        match reader.message(*place)? {
            Some(Message::Proposal(proposal)) => journaled.proposals.push(proposal),
            Some(Message::BlockVote(vote)) => journaled.votes.push(vote),
            _ => return Err(reader.damaged(*place, "another record than one about a block")),
        }
    }
    Ok(journaled)
}

#[cfg(test)]
mod tests;
