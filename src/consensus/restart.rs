//! Makes consensus from what the disk holds: the chain's state at the tip and the vote journal.
//!
//! # Invariants
//! - INV-RESTORE-1: before any input is taken, every lock and vote of the journal is in the machines: those of the
//!   current epoch and height at once, those of later ones (the chain's data was lost) when the chain reaches them.
//! - INV-RESTORE-2: a chain that stands at a closing height has its `ClosingEntered` in the journal before anything else
//!   is written: the block may have become durable just before a crash, and the record not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::blocks::{BftConsensus, JournaledBlocks};
use super::chain::Chain;
use super::dispatch::{Consensus, moment};
use super::events::{Now, Output, Signing};
use super::evidence::EvidencePool;
use super::finality::journaled::BodyReader;
use super::finality::{ConsensusEngine, JournaledFinality};
use super::heartbeats::Heartbeats;
use super::instances::Instances;
use super::moment::Moment;
use super::outbox::Outbox;
use super::peers::Peers;
use super::replay::Replayed;
use super::signing::Signer;
use super::sync::BlockSync;
use super::sync::forks::{BlockSource, Forks};
use crate::protocol::state::LedgerState;
use crate::storage::block_log::BlockReader;
use crate::storage::disk::Disk;
use crate::storage::journal::{JournalReader, JournalRecord};
use crate::types::fork::ForkProof;
use crate::types::{
    BlockVote, ChainId, Commit, Epoch, Evidence, MasternodeId, Proposal, PublicKey, SecretKey,
    SignatureCheck, SignatureVerifier, TimeMs, Transaction, TxId,
};
use crate::utxo::UtxoManager;

/// What consensus needs beside the chain.
#[derive(Clone)]
pub struct ConsensusConfig {
    /// The operator key, if this node is to vote.
    pub operator: Option<SecretKey>,
    /// How long another node with that key has to answer before this one is acknowledged and votes
    /// ([`LISTEN_MS`](super::instances::LISTEN_MS)); 0: this node votes unasked.
    pub listen_ms: u64,
    /// Random, of this start.
    pub instance: [u8; 16],
    /// It votes only in epochs that start later than this; 0 for any.
    pub signs_after_ms: TimeMs,
    /// At most this long does a vote wait for others before its batch is signed, in milliseconds.
    pub vote_interval_ms: u64,
    /// Checks what arrives unverified.
    pub verifier: Arc<dyn SignatureVerifier + Send + Sync>,
}

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

/// Consensus at the tip, and what it wants done first.
pub struct Opened {
    /// All parts.
    pub consensus: Consensus,
    /// Their first orders.
    pub outputs: Vec<Output>,
}

/// The journal, sorted by what it is needed for.
#[derive(Default)]
struct Sorted {
    bodies: BTreeMap<TxId, Arc<Transaction>>,
    /// The last epoch that started: earlier ones are no longer there as a whole.
    started: Epoch,
    finality: JournaledFinality,
    blocks: JournaledBlocks,
    fork: Option<Arc<ForkProof>>,
    acknowledged_forks: Vec<Arc<ForkProof>>,
    evidence: BTreeMap<MasternodeId, Arc<Evidence>>,
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
                let next = sorted.finality.next_seq.entry(batch.header.epoch).or_insert(0);
                *next = (*next).max(batch.header.seq.saturating_add(1));
                sorted.finality.messages.entry(batch.header.epoch).or_default().own_batches.push(batch);
            }
            JournalRecord::PeerBatch(batch) => {
                sorted.finality.messages.entry(batch.header.epoch).or_default().batches.push(batch);
            }
            JournalRecord::Certificate(certificate) => {
                sorted.finality.messages.entry(certificate.epoch).or_default().certificates.push(certificate);
            }
            JournalRecord::ClosingEntered { epoch, .. } => {
                sorted.finality.votes.epochs.entry(epoch).or_default().closing = true;
            }
            JournalRecord::Proposal(proposal) => {
                let height = proposal.block.header.height;
                if own.has_proposal(&proposal) {
                    sorted
                        .blocks
                        .own_proposals
                        .insert((height, proposal.round), proposal.block.header.hash());
                }
                sorted.blocks.heights.entry(height).or_default().proposals.push(proposal);
            }
            JournalRecord::BlockVote(vote) => {
                if own.has_vote(&vote) {
                    sorted.blocks.own_votes.insert((vote.height, vote.round, vote.step), Arc::clone(&vote));
                }
                sorted.blocks.heights.entry(vote.height).or_default().votes.push(vote);
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
    let JournaledFinality { votes, messages, bodies, .. } = &mut sorted.finality;
    votes.forgotten_before = sorted.started;
    for batch in messages.values().flat_map(|messages| &messages.own_batches) {
        let epoch = votes.epochs.entry(batch.header.epoch).or_default();
        for vote in &batch.votes {
            let inputs = sorted.bodies.get(&vote.txid).map(|body| body.inputs.clone()).unwrap_or_default();
            epoch.votes.push((*vote, inputs));
        }
    }
    bodies.extend(sorted.bodies.keys().copied());
    sorted
}

impl Consensus {
    /// Makes consensus at the tip of the chain on disk.
    #[must_use]
    pub fn open(config: ConsensusConfig, restart: Restart, now: Now) -> Opened {
        let ConsensusConfig { operator, listen_ms, instance, signs_after_ms, vote_interval_ms, verifier } =
            config;
        let Restart { state, last_commit, settled, records, utxos, bodies, blocks } = restart;
        let is_untouched = state.height() == 0 && records.is_empty();
        let own = OwnVotes {
            key: operator.as_ref().map(SecretKey::public),
            chain_id: state.chain_id(),
            verifier: &*verifier,
            verdicts: BTreeMap::new(),
        };
        let sorted = sort(records, own);
        let signing = match (&operator, &sorted.fork) {
            (None, _) => Signing::NoKey,
            (Some(_), Some(_)) => Signing::Forked,
            // Nobody has voted on this chain yet.
            (Some(_), None) if listen_ms == 0 || is_untouched => Signing::Allowed,
            (Some(_), None) => Signing::Listening { acknowledged: 0, quorum: 0 },
        };
        let mut consensus = Self {
            finality: ConsensusEngine::new(&state, settled, sorted.finality, bodies, vote_interval_ms),
            blocks: BftConsensus::new(&state, last_commit, sorted.blocks),
            forks: Forks::new(blocks, sorted.fork, sorted.acknowledged_forks),
            signer: Signer::new(operator, signs_after_ms, sorted.started, signing),
            chain: Chain::new(state, utxos, verifier, now),
            peers: Peers::default(),
            sync: BlockSync::default(),
            evidence: EvidencePool::default(),
            heartbeats: Heartbeats::default(),
            instances: Instances::new(instance, listen_ms, now.monotonic_ms),
            last_status_ms: 0,
            now,
            out: Outbox::default(),
        };
        let evidence = sorted.evidence.into_values().collect();
        consensus.take_over(evidence, sorted.bodies);
        let outputs = consensus.out.take();
        Opened { consensus, outputs }
    }

    fn take_over(&mut self, evidence: Vec<Arc<Evidence>>, bodies: BTreeMap<TxId, Arc<Transaction>>) {
        let at = moment!(self);
        if self.chain.state().is_closing() {
            self.finality.enter_closing(&at, &mut self.out);
        }
        self.evidence.restore(evidence, &at, &mut self.out);
        self.finality.restore(bodies, &at, &mut self.out);
        self.signer.take_seat(&self.chain);
        let at = moment!(self);
        self.finality.set_signer(&at, &mut self.out);
        self.blocks.restart_height(&mut self.finality, &self.evidence, &at, &mut self.out);
        self.settle();
        self.finality.flush_if_due(&moment!(self), &mut self.out);
    }
}
