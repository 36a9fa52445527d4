//! What this node proposes, and which proposals of the current height it accepts.
//!
//! A candidate goes one way, and each step is told to the machine once:
//!
//! ```text
//!  proposed --> bodies here --> valid ------> acceptable: certified, promises kept, not ahead of the clock
//!                         \--> invalid   \--> unacceptable: it leaves out own promises for good
//! ```
//!
//! # Invariants
//! - Whether a block is acceptable goes from false to true within a height, never back (rule 4).
//! - A block whose verdict the machine asks for again is told it again: the machine may have forgotten
//!   the block meanwhile, with what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tracing::{error, warn};

use super::super::events::{Answer, Recipient};
use super::super::evidence::EvidencePool;
use super::super::finality::ConsensusEngine;
use super::super::moment::Moment;
use super::super::outbox::Outbox;
use super::BftConsensus;
use crate::protocol::bft::{self, Input};
use crate::protocol::state::LedgerState;
use crate::protocol::transition::{self, BlockCapacity, BlockDraft, BlockOutcome};
use crate::protocol::validity::{CheckedTransaction, UtxoReader as _};
use crate::types::limits::{CLOCK_DRIFT_MS_MAX, REQUEST_IDS_MAX};
use crate::types::{BlockBlueprint, BlockHash, Commit, Round, TimeMs, TxId, VoteKind};

/// The transactions of a block without the reward, and what it does.
type Checked = (Vec<CheckedTransaction>, BlockOutcome);

/// A block that was proposed at the current height.
struct Candidate {
    blueprint: Arc<BlockBlueprint>,
    /// Its transactions whose bodies are not here.
    missing: BTreeSet<TxId>,
    /// Its transactions that are not certified here.
    uncertified: BTreeSet<TxId>,
    /// Own promises that would be left out if it ended its epoch. They can't change while an epoch is closing.
    left_out: Vec<TxId>,
    /// Once all of its transactions are here and it is valid.
    checked: Option<Checked>,
    /// It was found to break a rule.
    is_invalid: bool,
    /// The machine was told that it is left out.
    refused: bool,
    /// Its verdict was told to the machine.
    judged: bool,
    acceptable: bool,
    own: bool,
}

/// The blocks that were proposed at the current height.
#[derive(Default)]
pub(super) struct Candidates {
    blocks: BTreeMap<BlockHash, Candidate>,
    /// Promises that were sent since a block lacked them. A member can propose more than one such block.
    sent: BTreeSet<TxId>,
}

impl Candidate {
    fn new(
        blueprint: Arc<BlockBlueprint>,
        own: bool,
        (finality, is_closing): (&ConsensusEngine, bool),
    ) -> Self {
        let transfers = blueprint.transfers();
        let machine = finality.machine();
        let without = |is_there: &dyn Fn(&TxId) -> bool| -> BTreeSet<TxId> {
            transfers.iter().filter(|txid| !is_there(txid)).copied().collect()
        };
        let missing = without(&|txid| machine.transaction(txid).is_some());
        let uncertified = without(&|txid| machine.is_certified(txid));
        // One that ends an epoch which is not closing is found to be invalid.
        let ends_epoch = blueprint.header.epoch_end && is_closing;
        let left_out = if ends_epoch { finality.promises_outside(transfers) } else { Vec::new() };
        let checked = None;
        Self {
            blueprint,
            missing,
            uncertified,
            left_out,
            checked,
            is_invalid: false,
            refused: false,
            judged: false,
            acceptable: false,
            own,
        }
    }

    /// Whether it may get a first prevote, by all that this node knows.
    fn passes(&self, latest: TimeMs) -> bool {
        self.judged
            && self.checked.is_some()
            && self.uncertified.is_empty()
            && self.left_out.is_empty()
            && self.blueprint.header.time <= latest
    }
}

impl Candidates {
    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.sent.clear();
    }

    /// The transactions of a valid block without the reward.
    pub(super) fn transactions(&self, hash: &BlockHash) -> Option<&[CheckedTransaction]> {
        self.blocks.get(hash)?.checked.as_ref().map(|(transactions, _)| transactions.as_slice())
    }

    /// A block that was decided: its head, what it does, and whether this node built it.
    pub(super) fn take(&mut self, hash: &BlockHash) -> Option<(Arc<BlockBlueprint>, Checked, bool)> {
        let candidate = self.blocks.remove(hash)?;
        Some((candidate.blueprint, candidate.checked?, candidate.own))
    }

    /// The machine asks about a block.
    pub(super) fn consider(
        &mut self,
        blueprint: Arc<BlockBlueprint>,
        finality: &ConsensusEngine,
        is_closing: bool,
        out: &mut Outbox,
    ) {
        let hash = blueprint.header.hash();
        if let Some(candidate) = self.blocks.get_mut(&hash) {
            (candidate.judged, candidate.refused, candidate.acceptable) = (false, false, false);
            return;
        }
        let candidate = Candidate::new(blueprint, false, (finality, is_closing));
        let unsent: Vec<TxId> =
            candidate.left_out.iter().filter(|txid| self.sent.insert(**txid)).copied().collect();
        send_promises(&unsent, finality, out);
        self.blocks.insert(hash, candidate);
    }

    /// A quorum has locked a transaction.
    pub(super) fn on_certified(&mut self, txid: &TxId) {
        for candidate in self.blocks.values_mut() {
            candidate.uncertified.remove(txid);
        }
    }

    /// A body arrived and was kept.
    pub(super) fn on_body(&mut self, txid: &TxId) {
        for candidate in self.blocks.values_mut() {
            candidate.missing.remove(txid);
        }
    }

    /// The states that valid blocks of this height would lead to.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = &LedgerState> {
        self.blocks
            .values()
            .filter_map(|candidate| candidate.checked.as_ref())
            .map(|(_, outcome)| &outcome.state)
    }

    /// Names what the blocks of this height lack before they can be judged: bodies, then certificates.
    pub(super) fn lacking(&self) -> (Vec<TxId>, Vec<TxId>) {
        let open = || self.blocks.values().filter(|candidate| !candidate.acceptable);
        let missing = open().flat_map(|candidate| candidate.missing.iter().copied());
        let uncertified = open().flat_map(|candidate| candidate.uncertified.iter().copied());
        (missing.take(REQUEST_IDS_MAX).collect(), uncertified.take(REQUEST_IDS_MAX).collect())
    }
}

/// Certificates and bodies of promises that a proposer of the epoch's last block lacks go to everybody: the next proposer
/// is among them. (Sending all promises to each proposer unasked would repeat what nearly always is there already; this
/// sends just what was seen to be missing, before the round's end.)
fn send_promises(lacking: &[TxId], finality: &ConsensusEngine, out: &mut Outbox) {
    for chunk in lacking.chunks(finality.certificates_per_message()) {
        let bodies = chunk.iter().filter_map(|txid| finality.machine().transaction(txid));
        let resident = bodies.map(|transaction| Arc::clone(transaction.transaction())).collect();
        out.serve(Recipient::All, Answer::Transactions { resident, journaled: Vec::new() });
        let parts = finality.certificate_parts(VoteKind::Lock, chunk);
        out.serve(Recipient::All, Answer::Certificates(parts));
    }
}

/// Certified transactions in an order in which each finds its inputs, and whether all of them fit.
fn select(finality: &ConsensusEngine, at: &Moment<'_>) -> (Vec<CheckedTransaction>, bool) {
    let capacity = BlockCapacity::of(at.chain.parameters());
    let mut selected: Vec<CheckedTransaction> = Vec::new();
    let mut names = BTreeSet::new();
    let mut bytes = 0_u64;
    // Children whose parent comes later in the order of certification, by parent.
    let mut deferred: BTreeMap<TxId, Vec<&CheckedTransaction>> = BTreeMap::new();
    for candidate in finality.machine().candidates() {
        let mut ready = vec![candidate];
        while let Some(transaction) = ready.pop() {
            let missing = transaction.inputs().iter().find(|outpoint| {
                !names.contains(&outpoint.txid) && at.chain.utxos().utxo(outpoint).is_none()
            });
            if let Some(outpoint) = missing {
                deferred.entry(outpoint.txid).or_default().push(transaction);
                continue;
            }
            let size = u64::try_from(transaction.encoded_bytes()).unwrap_or(u64::MAX);
            let count = u64::try_from(selected.len()).unwrap_or(u64::MAX);
            if bytes.saturating_add(size) > capacity.bytes || count >= capacity.transactions {
                return (selected, false);
            }
            bytes = bytes.saturating_add(size);
            names.insert(transaction.txid());
            selected.push(transaction.clone());
            ready.extend(deferred.remove(&transaction.txid()).unwrap_or_default());
        }
    }
    (selected, true)
}

impl BftConsensus {
    /// Builds a block to propose.
    pub(super) fn build(
        &mut self,
        round: Round,
        finality: &ConsensusEngine,
        evidence: &EvidencePool,
        at: &Moment<'_>,
    ) -> Option<Arc<BlockBlueprint>> {
        let proposer = at.me()?.id;
        let state = at.state();
        let (transactions, complete) = select(finality, at);
        let bytes: usize = transactions.iter().map(CheckedTransaction::encoded_bytes).sum();
        let size = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let full = BlockCapacity::of(state.parameters()).is_full(size(bytes), size(transactions.len()));
        let last_commit = self.fullest_last_commit();
        let evidence = evidence.for_block(state);
        let draft = BlockDraft {
            round,
            time: at.now.wall_ms.max(state.tip_time().saturating_add(1)),
            // A closing block that is not full has to end the epoch.
            epoch_end: state.is_closing() && (complete || !full),
            proposer,
            announces: at.chain.knows(),
            last_commit: &last_commit,
            transactions: &transactions,
            evidence: &evidence,
        };
        match transition::propose(state, at.chain.utxos(), &draft) {
            Ok((block, outcome)) => {
                let blueprint = Arc::new(block.blueprint());
                let hash = blueprint.header.hash();
                let mut candidate =
                    Candidate::new(Arc::clone(&blueprint), true, (finality, at.state().is_closing()));
                candidate.checked = Some((transactions, outcome));
                self.candidates.blocks.insert(hash, candidate);
                Some(blueprint)
            }
            // Certified transactions can only contradict the state when more than a third of the weight is faulty.
            Err(problem) => {
                error!(%problem, height = at.chain.next_height(), "Can't build a block");
                None
            }
        }
    }

    /// The commit of the tip with every precommit that arrived since.
    fn fullest_last_commit(&self) -> Commit {
        let late = self.previous.as_ref().and_then(bft::Machine::late_commit);
        match late {
            Some(late) if late.signatures.len() > self.last_commit.signatures.len() => late,
            _ => self.last_commit.clone(),
        }
    }

    /// A quorum has locked a transaction: blocks may have waited for it.
    pub(in crate::consensus) fn on_certified(
        &mut self,
        txid: &TxId,
        finality: &ConsensusEngine,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        self.candidates.on_certified(txid);
        self.check_load(finality, at, out);
    }

    /// A body arrived: blocks that waited for it alone can be judged.
    pub(in crate::consensus) fn on_body(&mut self, txid: &TxId, finality: &ConsensusEngine, at: &Moment<'_>) {
        // What lost against a conflicting one is not kept before it is certified.
        if finality.machine().transaction(txid).is_some() {
            self.candidates.on_body(txid);
            self.judge_candidates(finality, at);
        }
    }

    /// What the blocks of this height lack before they can be judged: bodies, then certificates.
    pub(in crate::consensus) fn lacking(&self) -> (Vec<TxId>, Vec<TxId>) {
        self.candidates.lacking()
    }

    /// Judges what is complete and was not judged, and tells the machine.
    pub(super) fn judge_candidates(&mut self, finality: &ConsensusEngine, at: &Moment<'_>) {
        let machine = &self.machine;
        for (hash, candidate) in &mut self.candidates.blocks {
            // The machine forgets what it is told of a block that it does not know. An own one becomes known to it when
            // its proposal is durable, and then it asks.
            if candidate.judged || !candidate.missing.is_empty() || !machine.has_block(hash) {
                continue;
            }
            if candidate.checked.is_none() && !candidate.is_invalid {
                let blueprint = &candidate.blueprint;
                let Some(transactions) = finality.bodies_of(blueprint.transfers()) else { continue };
                let (state, verifier) = (at.state(), at.chain.verifier());
                match transition::validate(state, at.chain.utxos(), verifier, blueprint, &transactions) {
                    Ok(outcome) => candidate.checked = Some((transactions, outcome)),
                    Err(problem) => {
                        candidate.is_invalid = true;
                        let height = blueprint.header.height;
                        warn!(%problem, height, hash = %hash.short(), "Invalid block proposed");
                    }
                }
            }
            candidate.judged = true;
            let valid = candidate.checked.is_some();
            self.inputs.push_back(Input::BlockValidated { hash: *hash, valid });
        }
        self.check_acceptable(at);
    }

    /// Rule 4: which blocks may get a first prevote. False to true only.
    pub(in crate::consensus) fn check_acceptable(&mut self, at: &Moment<'_>) {
        let latest = at.now.wall_ms.saturating_add(CLOCK_DRIFT_MS_MAX);
        for (hash, candidate) in &mut self.candidates.blocks {
            // No promise is made or fulfilled any more before the next block: this one will never do.
            if !candidate.left_out.is_empty() && !candidate.refused && self.machine.has_block(hash) {
                candidate.refused = true;
                self.inputs.push_back(Input::BlockUnacceptable { hash: *hash });
            }
            // What is judged is known to the machine.
            if !candidate.acceptable && candidate.passes(latest) {
                candidate.acceptable = true;
                self.inputs.push_back(Input::BlockAcceptable { hash: *hash });
            }
        }
    }
}
