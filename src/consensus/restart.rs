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
use super::finality::journaled::JournalSource;
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
use super::trust::ChainTrust;
use super::vote_replay::JournaledState;
use crate::protocol::bft;
use crate::protocol::state::LedgerState;
use crate::storage::block_log::BlockReader;
use crate::storage::disk::Disk;
use crate::storage::journal::JournalReader;
use crate::types::{
    BlockVote, ChainId, Commit, Epoch, Evidence, Height, MasternodeId, Proposal, PublicKey, RuleVersion,
    SecretKey, SignatureCheck, SignatureVerifier, TimeMs, TxId,
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
    /// The newest rules that this program knows ([`RuleVersion::NEWEST`]): it announces them, and goes no further.
    pub knows: RuleVersion,
    /// What it relies on beside signatures.
    pub trust: ChainTrust,
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
    /// What the vote journal says.
    pub journal: JournaledState,
    /// The outputs, at the tip.
    pub utxos: Arc<UtxoManager>,
    /// Reads what was left to the journal.
    pub bodies: Arc<dyn JournalSource>,
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

/// Consensus at the tip, and what it wants done first.
pub struct Opened {
    /// All parts.
    pub consensus: Consensus,
    /// Their first orders.
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

/// Messages about blocks, with those that this node signed.
fn of_blocks(heights: BTreeMap<Height, bft::Journaled>, mut own: OwnVotes<'_>) -> JournaledBlocks {
    let mut blocks = JournaledBlocks::default();
    for (height, journaled) in &heights {
        for proposal in journaled.proposals.iter().filter(|proposal| own.has_proposal(proposal)) {
            blocks.own_proposals.insert((*height, proposal.round), proposal.block.header.hash());
        }
        for vote in journaled.votes.iter().filter(|vote| own.has_vote(vote)) {
            blocks.own_votes.insert((*height, vote.round, vote.step), Arc::clone(vote.as_arc()));
        }
    }
    blocks.heights = heights;
    blocks
}

impl Consensus {
    /// Makes consensus at the tip of the chain on disk.
    #[must_use]
    pub fn open(config: ConsensusConfig, restart: Restart, now: Now) -> Opened {
        let ConsensusConfig {
            operator,
            listen_ms,
            instance,
            signs_after_ms,
            vote_interval_ms,
            knows,
            trust,
            verifier,
        } = config;
        let Restart { state, last_commit, settled, journal, utxos, bodies, blocks } = restart;
        let is_untouched = state.height() == 0 && journal.is_empty;
        let own = OwnVotes {
            key: operator.as_ref().map(SecretKey::public),
            chain_id: state.chain_id(),
            verifier: &*verifier,
            verdicts: BTreeMap::new(),
        };
        let signing = match (&operator, &journal.fork) {
            (None, _) => Signing::NoKey,
            (Some(_), Some(_)) => Signing::Forked,
            // Nobody has voted on this chain yet.
            (Some(_), None) if listen_ms == 0 || is_untouched => Signing::Allowed,
            (Some(_), None) => Signing::Listening { acknowledged: 0, quorum: 0 },
        };
        let JournaledState { votes, closing, messages, next_seq, bodies: journaled_bodies, .. } = journal;
        let signs_from = votes.forgotten_before;
        let finality = JournaledFinality { votes, closing, messages, next_seq, bodies: journaled_bodies };
        let mut consensus = Self {
            finality: ConsensusEngine::new(&state, settled, &finality, bodies, vote_interval_ms),
            blocks: BftConsensus::new(&state, last_commit, of_blocks(journal.heights, own)),
            forks: Forks::new(blocks, journal.fork, journal.acknowledged_forks),
            signer: Signer::new(operator, signs_after_ms, signs_from, signing),
            chain: Chain::new(state, utxos, verifier, (knows, trust), now),
            peers: Peers::default(),
            sync: BlockSync::default(),
            evidence: EvidencePool::default(),
            heartbeats: Heartbeats::default(),
            instances: Instances::new(instance, listen_ms, now.monotonic_ms),
            last_status_ms: 0,
            now,
            out: Outbox::default(),
        };
        consensus.take_over(journal.evidence, &finality.bodies);
        let outputs = consensus.out.take();
        Opened { consensus, outputs }
    }

    fn take_over(&mut self, evidence: Vec<Arc<Evidence>>, bodies: &[TxId]) {
        if self.stops_at_unknown_rules() {
            return;
        }
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
