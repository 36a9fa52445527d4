//! Makes a core from what the disk holds: the chain's state at the tip and the vote journal.
//!
//! # Invariants
//! - INV-RESTORE-1: before any input is taken, every lock and vote of the journal is in the machines: those of the
//!   current epoch and height at once, those of later ones (the chain's data was lost) when the chain reaches them.
//! - INV-RESTORE-2: nothing is signed in epochs that the journal was pruned of: a node that lost its chain comes through
//!   them again, and no longer knows what it said there.
//! - INV-RESTORE-3: a node that starts at a closing height has the journal's record of closing before it signs anything
//!   more; its machine does not order it, as it may have been killed between the block and the record.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::blocks::height_context;
use super::votes::PendingBatch;
use super::{BodyReader, Core, CoreConfig, Output};
use crate::protocol::bft;
use crate::protocol::finality::{self, BatchStore, Input, JournaledVotes};
use crate::protocol::state::LedgerState;
use crate::protocol::validity::CheckedTransaction;
use crate::storage::journal::{JournalRecord, Staged};
use crate::types::{
    BlockVote, Certificate, Commit, Epoch, Height, MasternodeId, Round, TimeMs, Transaction, TxId, VoteBatch,
    VoteStep,
};
use crate::utxo::UtxoManager;

/// What the disk holds at start.
pub struct Restart {
    /// The state at the tip.
    pub state: Arc<LedgerState>,
    /// The tip's commit; the empty one at genesis.
    pub last_commit: Commit,
    /// Transactions in the blocks of the tip's epoch, if the next block belongs to it.
    pub settled: BTreeSet<TxId>,
    /// The vote journal's records, in order.
    pub records: Vec<JournalRecord>,
    /// The outputs, at the tip.
    pub utxos: Arc<UtxoManager>,
    /// Bodies in the journal.
    pub bodies: Arc<dyn BodyReader>,
}

/// A core, and what it wants done first.
pub struct Opened {
    /// The core.
    pub core: Core,
    /// Its first orders.
    pub outputs: Vec<Output>,
}

/// The journal, sorted by what it is needed for.
#[derive(Default)]
struct Sorted {
    bodies: BTreeMap<TxId, Arc<Transaction>>,
    votes: JournaledVotes,
    heights: BTreeMap<Height, bft::Journaled>,
    own_batches: Vec<Arc<VoteBatch>>,
    batches: Vec<Arc<VoteBatch>>,
    certificates: Vec<Arc<Certificate>>,
    own_block_votes: BTreeMap<(Height, Round, VoteStep), Arc<BlockVote>>,
    next_seq: BTreeMap<Epoch, u64>,
}

fn sort(records: Vec<JournalRecord>, me: Option<MasternodeId>) -> Sorted {
    let mut sorted = Sorted::default();
    for record in records {
        match record {
            JournalRecord::Transaction(transaction) => {
                sorted.bodies.insert(transaction.txid(), transaction);
            }
            JournalRecord::OwnBatch(batch) => {
                let next = sorted.next_seq.entry(batch.header.epoch).or_insert(0);
                *next = (*next).max(batch.header.seq.saturating_add(1));
                sorted.own_batches.push(batch);
            }
            JournalRecord::PeerBatch(batch) => sorted.batches.push(batch),
            JournalRecord::Certificate(certificate) => sorted.certificates.push(certificate),
            JournalRecord::ClosingEntered { epoch, .. } => {
                sorted.votes.epochs.entry(epoch).or_default().closing = true;
            }
            JournalRecord::Proposal(proposal) => {
                let height = proposal.block.header.height;
                sorted.heights.entry(height).or_default().proposals.push(proposal);
            }
            JournalRecord::BlockVote(vote) => {
                if Some(vote.validator) == me {
                    sorted.own_block_votes.insert((vote.height, vote.round, vote.step), Arc::clone(&vote));
                }
                sorted.heights.entry(vote.height).or_default().votes.push(vote);
            }
            JournalRecord::EpochStarted { epoch } => {
                sorted.votes.complete_from = sorted.votes.complete_from.max(epoch);
            }
        }
    }
    for batch in &sorted.own_batches {
        let epoch = sorted.votes.epochs.entry(batch.header.epoch).or_default();
        for vote in &batch.votes {
            let inputs = sorted.bodies.get(&vote.txid).map(|body| body.inputs.clone()).unwrap_or_default();
            epoch.votes.push((*vote, inputs));
        }
    }
    sorted
}

impl Core {
    /// Makes a core at the tip of the chain on disk.
    #[must_use]
    pub fn open(config: CoreConfig, restart: Restart, now_ms: TimeMs) -> Opened {
        let Restart { state, last_commit, settled, records, utxos, bodies } = restart;
        let me = config.identity.as_ref().map(|identity| identity.id);
        let mut sorted = sort(records, me);
        let epoch = state.next_epoch();
        let height = state.height().saturating_add(1);
        let signs_from = sorted.votes.complete_from;
        let is_closing_journaled = sorted.votes.epochs.get(&epoch).is_some_and(|journaled| journaled.closing);
        let finality = finality::Machine::new(me, &state, std::mem::take(&mut sorted.votes), settled);
        let context = height_context(&state, me.filter(|_| epoch >= signs_from));
        let journaled = sorted.heights.remove(&height);
        let journaled_heights = sorted.heights.split_off(&height);
        let (bft, effects) = match journaled {
            Some(journaled) => bft::Machine::restore(context, journaled),
            None => (bft::Machine::new(context), Vec::new()),
        };
        let mut core = Self {
            batches: BatchStore::new(state.validators().len()),
            utxos,
            bodies,
            finality,
            bft,
            previous_bft: None,
            last_commit,
            applied_at_ms: now_ms,
            triggered_height: 0,
            bft_inputs: VecDeque::new(),
            candidates: BTreeMap::new(),
            committing: None,
            signs_from,
            own_block_votes: sorted.own_block_votes.split_off(&(height, 0, VoteStep::Prevote)),
            journaled_heights,
            next_seq: std::mem::take(&mut sorted.next_seq).split_off(&epoch),
            pending: PendingBatch::default(),
            journaled_bodies: sorted.bodies.keys().copied().collect(),
            journaled_batches: BTreeSet::new(),
            early: BTreeMap::new(),
            peers: BTreeMap::new(),
            next_peer: 0,
            last_status_ms: 0,
            sync: super::sync::BlockSync::default(),
            lacking: BTreeSet::new(),
            progress: None,
            out: Vec::new(),
            now_ms,
            config,
            state,
        };
        if core.finality.is_closing() && !is_closing_journaled {
            let records = vec![JournalRecord::ClosingEntered { epoch, height: core.state.height() }];
            core.out.push(Output::Persist(Staged { records, release: Vec::new() }));
        }
        core.replay_votes(sorted);
        for effect in effects {
            core.execute_bft(effect);
        }
        core.drive();
        core.schedule_height();
        core.schedule_flush();
        let outputs = std::mem::take(&mut core.out);
        Opened { core, outputs }
    }

    /// Bodies and votes of the current epoch that the journal holds count again; what is in the chain is skipped by
    /// the machine.
    fn replay_votes(&mut self, sorted: Sorted) {
        let epoch = self.finality.epoch();
        let settled = self.finality.settled();
        let bodies: Vec<_> = sorted
            .bodies
            .into_iter()
            .filter(|(txid, _)| !settled.contains(txid))
            .map(|(_, body)| body)
            .collect();
        let verifier = Arc::clone(&self.config.verifier);
        let checked = CheckedTransaction::check_many(
            bodies,
            self.state.chain_id(),
            self.state.parameters(),
            &*verifier,
        );
        for transaction in checked.into_iter().flatten() {
            self.step_finality(Input::TransactionReceived(transaction));
        }
        let batches = sorted.own_batches.into_iter().chain(sorted.batches);
        for batch in batches.filter(|batch| batch.header.epoch == epoch) {
            self.mark_journaled(&batch);
            self.count_batch(batch);
        }
        for certificate in sorted.certificates.into_iter().filter(|certificate| certificate.epoch == epoch) {
            self.step_finality(Input::CertificateReceived(certificate));
        }
        self.batches.settle(self.finality.settled());
    }
}
