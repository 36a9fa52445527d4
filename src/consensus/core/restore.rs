//! Makes a core from what the disk holds: the chain's state at the tip and the vote journal.
//!
//! # Invariants
//! - INV-RESTORE-1: before any input is taken, every lock and vote of the journal is in the machines: those of the
//!   current epoch and height at once, those of later ones (the chain's data was lost) when the chain reaches them.
//! - INV-RESTORE-2: a chain that stands at a closing height has its `ClosingEntered` in the journal before anything else
//!   is written: the block may have become durable just before a crash, and the record not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::batches::BatchRequests;
use super::blocks::height_context;
use super::votes::PendingBatch;
use super::{BlockSource, BodyReader, Core, CoreConfig, Output, Signing};
use crate::consensus::replay::Replayed;
use crate::protocol::bft;
use crate::protocol::finality::{self, BatchStore, Input, JournaledEpoch, JournaledVotes};
use crate::protocol::state::LedgerState;
use crate::protocol::validity::CheckedTransaction;
use crate::storage::block_log::BlockReader;
use crate::storage::disk::Disk;
use crate::storage::journal::{JournalReader, JournalRecord};
use crate::types::fork::ForkProof;
use crate::types::{
    BlockHash, BlockVote, Certificate, ChainId, Commit, Epoch, Evidence, Height, MasternodeId, Proposal,
    PublicKey, Round, SecretKey, SignatureCheck, SignatureVerifier, TimeMs, Transaction, TxId, VoteBatch,
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
    /// Committed blocks.
    pub blocks: Arc<dyn BlockSource>,
}

impl Restart {
    /// What log and journal hold, once the log was replayed.
    #[must_use]
    pub fn new<D: Disk>(
        replayed: Replayed,
        (records, bodies): (Vec<JournalRecord>, JournalReader<D>),
        utxos: Arc<UtxoManager>,
        blocks: BlockReader<D>,
    ) -> Self {
        let Replayed { state, last_commit, settled } = replayed;
        let (bodies, blocks) = (Arc::new(bodies), Arc::new(blocks));
        Self { state, last_commit, settled, records, utxos, bodies, blocks }
    }
}

/// A core, and what it wants done first.
pub struct Opened {
    /// The core.
    pub core: Core,
    /// Its first orders.
    pub outputs: Vec<Output>,
}

/// Messages of one epoch's votes that the journal holds.
#[derive(Default)]
pub(super) struct JournaledMessages {
    own_batches: Vec<Arc<VoteBatch>>,
    batches: Vec<Arc<VoteBatch>>,
    certificates: Vec<Arc<Certificate>>,
}

/// The journal, sorted by what it is needed for.
#[derive(Default)]
struct Sorted {
    bodies: BTreeMap<TxId, Arc<Transaction>>,
    /// The last epoch that started: earlier ones are no longer there as a whole.
    started: Epoch,
    epochs: BTreeMap<Epoch, JournaledEpoch>,
    heights: BTreeMap<Height, bft::Journaled>,
    messages: BTreeMap<Epoch, JournaledMessages>,
    own_block_votes: BTreeMap<(Height, Round, VoteStep), Arc<BlockVote>>,
    own_proposals: BTreeMap<(Height, Round), BlockHash>,
    fork: Option<Arc<ForkProof>>,
    acknowledged_forks: Vec<Arc<ForkProof>>,
    evidence: BTreeMap<MasternodeId, Arc<Evidence>>,
    next_seq: BTreeMap<Epoch, u64>,
}

/// Which votes of the journal this node cast: those that its key signed. Who votes with a key is known only for epochs
/// that the chain here has reached, so the signature tells, once for each validator and epoch.
struct OwnVotes<'a> {
    key: Option<PublicKey>,
    chain_id: &'a ChainId,
    verifier: &'a dyn SignatureVerifier,
    verdicts: BTreeMap<(Epoch, MasternodeId), bool>,
}

impl OwnVotes<'_> {
    fn has(
        &mut self,
        epoch: Epoch,
        validator: MasternodeId,
        check: impl FnOnce(PublicKey) -> SignatureCheck,
    ) -> bool {
        let Some(key) = self.key else { return false };
        let verifier = self.verifier;
        *self.verdicts.entry((epoch, validator)).or_insert_with(|| verifier.verify_all(&[check(key)]).is_ok())
    }

    fn has_vote(&mut self, vote: &BlockVote) -> bool {
        let chain_id = self.chain_id;
        self.has(vote.epoch, vote.validator, |key| vote.signature_check(chain_id, key))
    }

    fn has_proposal(&mut self, proposal: &Proposal) -> bool {
        self.has(proposal.block.header.epoch, proposal.validator, |key| proposal.signature_check(key))
    }
}

fn sort(records: Vec<JournalRecord>, mut own: OwnVotes<'_>) -> Sorted {
    let mut sorted = Sorted::default();
    for record in records {
        match record {
            JournalRecord::Transaction(transaction) => {
                sorted.bodies.insert(transaction.txid(), transaction);
            }
            JournalRecord::OwnBatch(batch) => {
                let next = sorted.next_seq.entry(batch.header.epoch).or_insert(0);
                *next = (*next).max(batch.header.seq.saturating_add(1));
                sorted.messages.entry(batch.header.epoch).or_default().own_batches.push(batch);
            }
            JournalRecord::PeerBatch(batch) => {
                sorted.messages.entry(batch.header.epoch).or_default().batches.push(batch);
            }
            JournalRecord::Certificate(certificate) => {
                sorted.messages.entry(certificate.epoch).or_default().certificates.push(certificate);
            }
            JournalRecord::ClosingEntered { epoch, .. } => {
                sorted.epochs.entry(epoch).or_default().closing = true;
            }
            JournalRecord::Proposal(proposal) => {
                let height = proposal.block.header.height;
                if own.has_proposal(&proposal) {
                    sorted.own_proposals.insert((height, proposal.round), proposal.block.header.hash());
                }
                sorted.heights.entry(height).or_default().proposals.push(proposal);
            }
            JournalRecord::BlockVote(vote) => {
                if own.has_vote(&vote) {
                    sorted.own_block_votes.insert((vote.height, vote.round, vote.step), Arc::clone(&vote));
                }
                sorted.heights.entry(vote.height).or_default().votes.push(vote);
            }
            JournalRecord::EpochStarted { epoch } => sorted.started = sorted.started.max(epoch),
            JournalRecord::Evidence(piece) => {
                // Each epoch's start writes it again.
                sorted.evidence.insert(piece.validator(), piece);
            }
            JournalRecord::Fork(fork) => sorted.fork = Some(fork),
            JournalRecord::ForkAcknowledged(fork) => {
                sorted.fork.take_if(|open| *open == fork);
                // Each epoch's start writes it again, and an earlier one may not be pruned yet.
                if !sorted.acknowledged_forks.contains(&fork) {
                    sorted.acknowledged_forks.push(fork);
                }
            }
        }
    }
    for batch in sorted.messages.values().flat_map(|messages| &messages.own_batches) {
        let epoch = sorted.epochs.entry(batch.header.epoch).or_default();
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
        let Restart { state, last_commit, settled, records, utxos, bodies, blocks } = restart;
        let is_untouched = state.height() == 0 && records.is_empty();
        let own = OwnVotes {
            key: config.operator.as_ref().map(SecretKey::public),
            chain_id: state.chain_id(),
            verifier: &*config.verifier,
            verdicts: BTreeMap::new(),
        };
        let mut sorted = sort(records, own);
        let signing = match (&config.operator, &sorted.fork) {
            (None, _) => Signing::NoKey,
            (Some(_), Some(_)) => Signing::Forked,
            // Nobody has voted on this chain yet.
            (Some(_), None) if config.listen_ms == 0 || is_untouched => Signing::Allowed,
            (Some(_), None) => Signing::Listening { until_ms: None },
        };
        let epoch = state.next_epoch();
        let height = state.height().saturating_add(1);
        let closing_journaled = sorted
            .epochs
            .iter()
            .filter(|(_, journaled)| journaled.closing)
            .map(|(epoch, _)| *epoch)
            .collect();
        let epochs = std::mem::take(&mut sorted.epochs);
        let journaled = JournaledVotes { forgotten_before: sorted.started, epochs };
        let finality = finality::Machine::new(None, &state, journaled, settled);
        let mut core = Self {
            batches: BatchStore::new(state.validators().len()),
            batch_requests: BatchRequests::default(),
            utxos,
            bodies,
            blocks,
            finality,
            bft: bft::Machine::new(height_context(&state, None)),
            previous_bft: None,
            last_commit,
            applied_at_ms: now_ms,
            opened_ms: now_ms,
            triggered_height: 0,
            bft_inputs: VecDeque::new(),
            candidates: BTreeMap::new(),
            committing: None,
            own_block_votes: sorted.own_block_votes.split_off(&(height, 0, VoteStep::Prevote)),
            own_proposals: sorted.own_proposals.split_off(&(height, 0)),
            evidence: super::evidence::EvidencePool::default(),
            heartbeats: super::heartbeats::Heartbeats::default(),
            fork: sorted.fork.take(),
            acknowledged_forks: std::mem::take(&mut sorted.acknowledged_forks),
            recent_hashes: BTreeMap::new(),
            other_chains: super::fork::OtherChains::new(),
            signing,
            me: None,
            journaled_heights: sorted.heights.split_off(&height),
            journaled_votes: sorted.messages.split_off(&epoch),
            signs_from: sorted.started,
            closing_journaled,
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
        if core.state.is_closing() {
            core.enter_closing();
        }
        core.note_hash();
        core.restore_evidence(sorted.evidence.into_values().collect());
        core.replay_bodies(sorted.bodies);
        core.replay_messages();
        core.set_signer();
        let (bft, effects) = core.machine_of_height();
        core.bft = bft;
        for effect in effects {
            core.execute_bft(effect);
        }
        core.drive();
        core.schedule_height();
        core.schedule_flush();
        let outputs = std::mem::take(&mut core.out);
        Opened { core, outputs }
    }

    /// Bodies in the journal are looked at again; what is in the chain is skipped by the machine.
    fn replay_bodies(&mut self, bodies: BTreeMap<TxId, Arc<Transaction>>) {
        let settled = self.finality.settled();
        let bodies: Vec<_> =
            bodies.into_iter().filter(|(txid, _)| !settled.contains(txid)).map(|(_, body)| body).collect();
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
    }

    /// Votes of the current epoch that the journal holds count again, and are served again.
    fn replay_messages(&mut self) {
        let epoch = self.finality.epoch();
        let later = self.journaled_votes.split_off(&epoch.saturating_add(1));
        let of_epoch = std::mem::replace(&mut self.journaled_votes, later).remove(&epoch);
        let JournaledMessages { own_batches, batches, certificates } = of_epoch.unwrap_or_default();
        for batch in own_batches.into_iter().chain(batches) {
            self.mark_journaled(&batch);
            if let Some(member) = self.finality.validators().index_of(&batch.header.validator) {
                // It counts whether or not there is room to serve it: a promise may stand on it.
                self.batches.insert(member, &batch);
                self.step_finality(Input::BatchReceived(batch));
            }
        }
        for certificate in certificates {
            self.step_finality(Input::CertificateReceived(certificate));
        }
        self.batches.settle(self.finality.settled());
    }

    /// The chain has reached an epoch again that the journal knows.
    pub(super) fn replay_journaled_epoch(&mut self) {
        self.replay_messages();
        for txid in self.finality.spilled() {
            self.load_body(txid);
        }
    }
}
