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
use crate::consensus::vote_replay::JournaledState;
use crate::protocol::bft;
use crate::protocol::finality::{self, BatchStore, Input};
use crate::protocol::state::LedgerState;
use crate::protocol::validity::CheckedTransaction;
use crate::storage::JournaledMessages;
use crate::storage::block_log::BlockReader;
use crate::storage::disk::Disk;
use crate::storage::journal::{JournalReader, JournalRecord};
use crate::types::{
    BlockHash, BlockVote, ChainId, Commit, Epoch, Height, MasternodeId, Proposal, PublicKey, Round,
    SecretKey, SignatureCheck, SignatureVerifier, TimeMs, TxId, VoteBatch, VoteStep,
};
use crate::utxo::UtxoManager;

/// Bodies that are read from the journal and checked together.
const REPLAYED_BODIES: usize = 256;
/// Messages that are read from the journal before those that are settled leave memory.
const REPLAYED_MESSAGES: u64 = 256;

/// What the disk holds at start.
pub struct Restart {
    /// The state at the tip.
    pub state: Arc<LedgerState>,
    /// The tip's commit; the empty one at genesis.
    pub last_commit: Commit,
    /// Transactions in the blocks of the tip's epoch, if the next block belongs to it.
    pub settled: BTreeSet<TxId>,
    /// What the vote journal says.
    pub journal: JournaledState,
    /// The outputs, at the tip.
    pub utxos: Arc<UtxoManager>,
    /// Reads what was left to the journal.
    pub bodies: Arc<dyn BodyReader>,
    /// Committed blocks.
    pub blocks: Arc<dyn BlockSource>,
}

impl Restart {
    /// What log and journal hold, once the log was replayed.
    #[must_use]
    pub fn new<D: Disk>(
        replayed: Replayed,
        (journal, bodies): (JournaledState, JournalReader<D>),
        utxos: Arc<UtxoManager>,
        blocks: BlockReader<D>,
    ) -> Self {
        let Replayed { state, last_commit, settled } = replayed;
        let (bodies, blocks) = (Arc::new(bodies), Arc::new(blocks));
        Self { state, last_commit, settled, journal, utxos, bodies, blocks }
    }
}

/// A core, and what it wants done first.
pub struct Opened {
    /// The core.
    pub core: Core,
    /// Its first orders.
    pub outputs: Vec<Output>,
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

/// Own votes and proposals of the heights that are to come.
#[derive(Default)]
struct OwnMessages {
    votes: BTreeMap<(Height, Round, VoteStep), Arc<BlockVote>>,
    proposals: BTreeMap<(Height, Round), BlockHash>,
}

impl OwnMessages {
    fn among(heights: &BTreeMap<Height, bft::Journaled>, mut own: OwnVotes<'_>) -> Self {
        let mut messages = Self::default();
        for (height, journaled) in heights {
            for proposal in journaled.proposals.iter().filter(|proposal| own.has_proposal(proposal)) {
                messages.proposals.insert((*height, proposal.round), proposal.block.header.hash());
            }
            for vote in &journaled.votes {
                if own.has_vote(vote) {
                    messages.votes.insert((*height, vote.round, vote.step), Arc::clone(vote));
                }
            }
        }
        messages
    }
}

impl Core {
    /// Makes a core at the tip of the chain on disk.
    #[must_use]
    pub fn open(config: CoreConfig, restart: Restart, now_ms: TimeMs) -> Opened {
        let Restart { state, last_commit, settled, journal, utxos, bodies, blocks } = restart;
        let is_untouched = state.height() == 0 && journal.is_empty;
        let own = OwnVotes {
            key: config.operator.as_ref().map(SecretKey::public),
            chain_id: state.chain_id(),
            verifier: &*config.verifier,
            verdicts: BTreeMap::new(),
        };
        let own = OwnMessages::among(&journal.heights, own);
        let signing = match (&config.operator, &journal.fork) {
            (None, _) => Signing::NoKey,
            (Some(_), Some(_)) => Signing::Forked,
            // Nobody has voted on this chain yet.
            (Some(_), None) if config.listen_ms == 0 || is_untouched => Signing::Allowed,
            (Some(_), None) => Signing::Listening { until_ms: None },
        };
        let signs_from = journal.votes.forgotten_before;
        let finality = finality::Machine::new(None, &state, journal.votes, settled);
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
            own_block_votes: own.votes,
            own_proposals: own.proposals,
            evidence: super::evidence::EvidencePool::default(),
            heartbeats: super::heartbeats::Heartbeats::default(),
            fork: journal.fork,
            acknowledged_forks: journal.acknowledged_forks,
            recent_hashes: BTreeMap::new(),
            other_chains: super::fork::OtherChains::new(),
            signing,
            me: None,
            journaled_heights: journal.heights,
            journaled_votes: journal.messages,
            signs_from,
            closing_journaled: journal.closing,
            next_seq: journal.next_seq,
            pending: PendingBatch::default(),
            journaled_bodies: journal.bodies.iter().copied().collect(),
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
        core.restore_evidence(journal.evidence);
        core.replay_bodies(&journal.bodies);
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

    /// Bodies in the journal are looked at again, some at a time; what is in the chain is skipped.
    fn replay_bodies(&mut self, journaled: &[TxId]) {
        let settled = self.finality.settled();
        let unsettled: Vec<TxId> = journaled.iter().filter(|txid| !settled.contains(txid)).copied().collect();
        for some in unsettled.chunks(REPLAYED_BODIES) {
            let bodies = some.iter().filter_map(|txid| self.bodies.body(txid)).collect();
            let (chain_id, parameters) = (self.state.chain_id(), self.state.parameters());
            let checked =
                CheckedTransaction::check_many(bodies, chain_id, parameters, &*self.config.verifier);
            for transaction in checked.into_iter().flatten() {
                self.step_finality(Input::TransactionReceived(transaction));
            }
        }
    }

    /// Votes of the current epoch that the journal holds count again, and are served again. They are read one by one, and
    /// what is settled goes as it comes: an epoch's votes may be more than fits into memory at once.
    fn replay_messages(&mut self) {
        let epoch = self.finality.epoch();
        let later = self.journaled_votes.split_off(&epoch.saturating_add(1));
        let of_epoch = std::mem::replace(&mut self.journaled_votes, later).remove(&epoch);
        let JournaledMessages { own_batches, batches, certificates } = of_epoch.unwrap_or_default();
        for (count, place) in (1_u64..).zip(own_batches.into_iter().chain(batches).chain(certificates)) {
            match self.bodies.record(place) {
                Some(JournalRecord::OwnBatch(batch) | JournalRecord::PeerBatch(batch)) => {
                    self.replay_batch(batch);
                }
                Some(JournalRecord::Certificate(certificate)) => {
                    self.mark_certificate_journaled(&certificate);
                    self.step_finality(Input::CertificateReceived(certificate));
                }
                _ => {}
            }
            if count.is_multiple_of(REPLAYED_MESSAGES) {
                self.batches.settle(self.finality.settled());
            }
        }
        self.batches.settle(self.finality.settled());
    }

    fn replay_batch(&mut self, batch: Arc<VoteBatch>) {
        self.mark_journaled(&batch);
        if let Some(member) = self.finality.validators().index_of(&batch.header.validator) {
            // It counts whether or not there is room to serve it: a promise may stand on it.
            self.batches.insert(member, &batch);
            self.step_finality(Input::BatchReceived(batch));
        }
    }

    /// The chain has reached an epoch again that the journal knows.
    pub(super) fn replay_journaled_epoch(&mut self) {
        self.replay_messages();
        for txid in self.finality.spilled() {
            self.load_body(txid);
        }
    }
}
