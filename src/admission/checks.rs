//! The checks before the signatures, in the order of their cost.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use ahash::RandomState;

use super::announcements::Announcements;
use super::contests::Contests;
use super::news::Happened;
use super::orphans::OrphanStore;
use super::waiting::WaitingStore;
use super::{ANCESTORS_MAX, News, REFUSED_COPIES_MAX, Refusal, RequestedBodies};
use crate::mempool::{Stage, TransactionPool, TransactionSource};
use crate::network::{Misbehaviour, PeerId};
use crate::protocol::state::LedgerState;
use crate::protocol::validity::{
    CheckedTransaction, CopyId, ShapedTransaction, TransactionError, check_spend_of,
};
use crate::types::{Amount, OutPoint, SignatureVerifier, TimeMs, Transaction, TxId, UtxoEntry};
use crate::utxo::{OutputState, UtxoManager};

/// When to ask again for what passes within a few votes, in milliseconds.
pub(super) const RETRY_SOON_MS: u64 = 500;
/// When to ask again for what passes with a block, in milliseconds.
pub(super) const RETRY_LATER_MS: u64 = 2_000;

/// When something is asked of admission, which reads no clock itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock, for people and for the pool, in milliseconds.
    pub wall_ms: TimeMs,
    /// A clock that never goes back, for intervals, in milliseconds.
    pub steady_ms: u64,
}

/// Names an answer that somebody waits for.
pub type Ticket = usize;

/// A transaction that comes in.
#[derive(Clone, Debug)]
pub struct Submission {
    /// As it came: nothing of it is checked yet.
    pub transaction: Arc<Transaction>,
    /// Who pays for it with their share of the checks, and is blamed if it is bad.
    pub source: TransactionSource,
    /// For whom the answer is, if anybody waits for one.
    pub ticket: Option<Ticket>,
    /// The largest fee that whoever sent it wants to pay; `None` for any.
    pub fee_max: Option<Amount>,
}

/// What admission orders; whoever owns it executes these in their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Hand it to the finality machine.
    Consider(CheckedTransaction),
    /// Tell all peers but this one.
    Relay(Arc<Transaction>, Option<PeerId>),
    /// It is in the pool now, and on its way.
    Accepted(TxId, TransactionSource),
    /// It is in the pool now, and waits for its parents.
    Waits(TxId),
    /// Tell peers the names of these, which lack votes.
    Announce(Vec<TxId>),
    /// Ask this peer for these bodies.
    Ask(PeerId, Vec<TxId>),
    /// It is in the pool no more.
    Gone(TxId),
    /// Tell the finality machine that time is up for these.
    Expired(Vec<TxId>),
    /// This peer sent what no honest node passes on.
    Blame(PeerId, Misbehaviour),
    /// What is answered to whoever sent it; once for each ticket.
    Answer(Option<Ticket>, Result<TxId, Refusal>),
}

/// What admission works with.
#[derive(Clone)]
pub struct AdmissionParts {
    /// The outputs.
    pub utxos: Arc<UtxoManager>,
    /// The pool.
    pub pool: Arc<TransactionPool>,
    /// Checks signatures.
    pub verifier: Arc<dyn SignatureVerifier + Send + Sync>,
    /// What this node asked for.
    pub requested: Arc<RequestedBodies>,
    /// What happened meanwhile.
    pub news: Arc<News>,
    /// How long an uncertified transaction stays in the pool, in milliseconds.
    pub expiry_ms: u64,
}

/// Copies that no state makes right, with what is wrong with them.
#[derive(Default)]
struct RefusedCopies {
    errors: HashMap<CopyId, TransactionError, RandomState>,
    order: VecDeque<CopyId>,
}

impl RefusedCopies {
    fn note(&mut self, id: CopyId, error: TransactionError) {
        if self.errors.insert(id, error).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > REFUSED_COPIES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.errors.remove(&oldest);
        }
    }
}

/// Where a transaction that passed the shape came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) source: TransactionSource,
    pub(super) ticket: Option<Ticket>,
    pub(super) is_requested: bool,
    pub(super) fee_max: Option<Amount>,
}

impl Origin {
    pub(super) const fn peer(&self) -> Option<PeerId> {
        match self.source {
            TransactionSource::Local => None,
            TransactionSource::Peer(peer) => Some(peer),
        }
    }
}

/// What is known of a transaction's inputs.
pub(super) enum Inputs {
    /// All can be spent, and the rules allow it.
    Known {
        fee: Amount,
        /// Those that another transaction holds.
        contested: Vec<OutPoint>,
    },
    /// Some are made by transactions that are on their way here; the rules allow it.
    ChildOf { fee: Amount, parents: BTreeSet<TxId> },
    /// These are not known.
    Unknown(Vec<OutPoint>),
}

impl Inputs {
    /// What the transaction pays, if all that it spends is known.
    const fn fee(&self) -> Option<Amount> {
        match self {
            Self::Known { fee, .. } | Self::ChildOf { fee, .. } => Some(*fee),
            Self::Unknown(_) => None,
        }
    }
}

/// What passed all checks but that of its signatures.
pub(super) struct Candidate {
    pub(super) shape: ShapedTransaction,
    pub(super) origin: Origin,
    pub(super) inputs: Inputs,
}

/// Orphans that are looked at in one go once their parents are there: they hold up what others send no longer than its own
/// batch does.
pub(super) const READY_PER_LOOK_MAX: usize = 128;

/// Takes transactions in.
pub struct Admission {
    pub(super) parts: AdmissionParts,
    orphans: OrphanStore,
    pub(super) waiting: WaitingStore,
    pub(super) contests: Contests,
    refused: RefusedCopies,
    pub(super) announcements: Announcements,
}

impl Admission {
    /// Admission to a node.
    #[must_use]
    pub fn new(parts: AdmissionParts) -> Self {
        Self {
            parts,
            orphans: OrphanStore::default(),
            waiting: WaitingStore::default(),
            contests: Contests::default(),
            refused: RefusedCopies::default(),
            announcements: Announcements::default(),
        }
    }

    /// Takes a batch in; signatures are checked together.
    #[must_use]
    pub fn admit(&mut self, submissions: Vec<Submission>, state: &LedgerState, now: Moment) -> Vec<Action> {
        let mut out = Vec::with_capacity(submissions.len().saturating_mul(4));
        self.contests.start_epoch(state.next_epoch());
        let mut candidates = Vec::with_capacity(submissions.len());
        let mut seen = BTreeSet::new();
        for Submission { transaction, source, ticket, fee_max } in submissions {
            let mut origin = Origin { source, ticket, is_requested: false, fee_max };
            match ShapedTransaction::of(transaction, state.parameters()) {
                Err(error) => refuse(origin, error.into(), &mut out),
                Ok(shape) => {
                    origin.is_requested =
                        origin.peer().is_some() && self.parts.requested.contains(&shape.txid());
                    if origin.peer().is_none() || seen.insert(shape.copy_id()) {
                        candidates.extend(self.look(shape, origin, state, now, &mut out));
                    }
                }
            }
        }
        self.verify_and_take(candidates, state, now, &mut out);
        self.parts.news.note_waiting(self.orphans.len().saturating_add(self.waiting.len()));
        out
    }

    /// Whether some that waited for their parents wait for another call of [`Self::hear`] now.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.orphans.has_ready()
    }

    /// Those who waited, after what happened meanwhile; of orphans whose parents came some at a time.
    #[must_use]
    pub fn hear(&mut self, happened: Happened, state: &LedgerState, now: Moment) -> Vec<Action> {
        let mut out = Vec::new();
        let mut candidates = Vec::new();
        let Happened { settled, dropped, is_incomplete, epoch } = happened;
        if let Some(epoch) = epoch {
            self.contests.start_epoch(epoch);
            self.orphans.clear();
        }
        for parent in &settled {
            self.orphans.parent_came(*parent);
            for child in self.waiting.parent_final(parent) {
                self.push(child, state, now, &mut out);
            }
        }
        for parent in &dropped {
            for child in self.waiting.parent_dropped(parent) {
                self.forget(&child, &mut out);
            }
        }
        if is_incomplete || epoch.is_some() {
            let utxos = &self.parts.utxos;
            self.orphans.look_for_ready(|outpoint| utxos.find_output(outpoint).is_some());
            self.look_at_all_parents(state, now, &mut out);
        }
        for orphan in self.orphans.take_ready(READY_PER_LOOK_MAX) {
            let source = TransactionSource::Peer(orphan.from);
            let is_requested = self.parts.requested.contains(&orphan.transaction.txid());
            let origin = Origin { source, ticket: None, is_requested, fee_max: None };
            candidates.extend(self.look(orphan.transaction, origin, state, now, &mut out));
        }
        self.verify_and_take(candidates, state, now, &mut out);
        self.parts.news.note_waiting(self.orphans.len().saturating_add(self.waiting.len()));
        out
    }

    /// A peer says that these lack votes: those that are not here are asked for. What comes is checked as any other.
    #[must_use]
    pub fn announced(&mut self, from: PeerId, txids: &[TxId], now: Moment) -> Vec<Action> {
        let is_unknown = |txid: &&TxId| self.parts.pool.status(txid).is_none();
        let unknown: Vec<TxId> = txids.iter().filter(is_unknown).copied().collect();
        if unknown.is_empty() || !self.announcements.may_ask(from, now.steady_ms) {
            return Vec::new();
        }
        vec![Action::Ask(from, unknown)]
    }

    /// Time has passed: what is too old goes, and what lacks votes is announced.
    #[must_use]
    pub fn tick(&mut self, now: Moment) -> Vec<Action> {
        self.orphans.expire(now.steady_ms);
        let mut out = Vec::new();
        let before_ms = now.wall_ms.saturating_sub(self.parts.expiry_ms);
        let expired = self.parts.pool.expire(before_ms);
        for txid in &expired {
            self.waiting.remove(txid);
            for child in self.waiting.parent_dropped(txid) {
                self.forget(&child, &mut out);
            }
            out.push(Action::Gone(*txid));
        }
        if !expired.is_empty() {
            out.push(Action::Expired(expired));
        }
        let pool = &self.parts.pool;
        let lacks_votes = |txid: &TxId| {
            let status = pool.status(txid).filter(|status| status.included.is_none());
            status.is_some_and(|status| status.stage == Stage::Pending)
        };
        let due = self.announcements.due(now.steady_ms, lacks_votes);
        if !due.is_empty() {
            out.push(Action::Announce(due));
        }
        self.parts.news.note_waiting(self.orphans.len().saturating_add(self.waiting.len()));
        out
    }

    // -- known-ness and inputs ----------------------------------------------------------------------------------------

    /// Steps 2 and 3: gives what is worth a look at its signatures.
    fn look(
        &mut self,
        shape: ShapedTransaction,
        origin: Origin,
        state: &LedgerState,
        now: Moment,
        out: &mut Vec<Action>,
    ) -> Option<Candidate> {
        if self.is_known(&shape, origin, out) {
            return None;
        }
        if let Some(error) = self.refused.errors.get(&shape.copy_id()) {
            refuse(origin, error.clone().into(), out);
            return None;
        }
        let inputs = match self.inputs_of(&shape, origin, state) {
            Ok(inputs) => inputs,
            Err(refusal) => {
                self.refuse_copy(&shape, origin, refusal, out);
                return None;
            }
        };
        if let (Some(fee), Some(max)) = (inputs.fee(), origin.fee_max)
            && fee > max
        {
            refuse(origin, Refusal::FeeTooHigh { fee, max }, out);
            return None;
        }
        match &inputs {
            // The machine keeps it until its parents are there.
            Inputs::Unknown(_) if origin.is_requested => {}
            Inputs::Unknown(missing) => {
                self.keep_orphan(shape, origin, missing, now, out);
                return None;
            }
            Inputs::Known { contested, .. } if !contested.is_empty() && !origin.is_requested => {
                let is_local = origin.peer().is_none();
                if is_local || !self.contests.improves(&shape.txid(), contested) {
                    let refusal = self.taken(&shape);
                    refuse(origin, refusal, out);
                    return None;
                }
            }
            Inputs::Known { .. } | Inputs::ChildOf { .. } => {}
        }
        Some(Candidate { shape, origin, inputs })
    }

    /// Whether nothing is to be done for these bytes.
    fn is_known(&self, shape: &ShapedTransaction, origin: Origin, out: &mut Vec<Action>) -> bool {
        let txid = shape.txid();
        let Some(_) = origin.peer() else {
            // What a user sends is answered for its own bytes; what is in a block, with the rest.
            let pooled = self.parts.pool.get(&txid);
            let is_same = pooled.filter(|pooled| pooled.copy_id() == shape.copy_id());
            if let Some(pooled) = is_same {
                // Once more to the machine, which may have had no room for it; those who wait stay where they are.
                if !self.waiting.contains(&txid) {
                    out.push(Action::Consider(pooled));
                }
                answer(origin, Ok(txid), out);
                return true;
            }
            return false;
        };
        if let Some(pooled) = self.parts.pool.get(&txid) {
            // The body that this node asked for is here, checked: no copy is needed.
            if origin.is_requested && !self.waiting.contains(&txid) {
                self.parts.requested.came(&txid);
                out.push(Action::Consider(pooled));
            }
            return true;
        }
        let is_included = self.parts.pool.status(&txid).is_some_and(|status| status.included.is_some());
        is_included || (!origin.is_requested && self.orphans.contains(&shape.copy_id()))
    }

    /// What is known of the inputs, or the rule that they break.
    pub(super) fn inputs_of(
        &self,
        shape: &ShapedTransaction,
        origin: Origin,
        state: &LedgerState,
    ) -> Result<Inputs, Refusal> {
        let (utxos, txid) = (&self.parts.utxos, shape.txid());
        let mut entries = Vec::with_capacity(shape.inputs().len());
        let mut missing = Vec::new();
        for outpoint in shape.inputs() {
            match utxos.find_output(outpoint) {
                Some((output, Some(height))) => entries.push(UtxoEntry { output, height }),
                Some((output, None)) => {
                    // Final, and in no block yet: what it marks is bound, whatever becomes of the registration.
                    if self.is_marked(outpoint) {
                        return Err(TransactionError::CollateralBound { outpoint: *outpoint }.into());
                    }
                    entries.push(UtxoEntry { output, height: state.height().saturating_add(1) });
                }
                None => {
                    if missing.is_empty() {
                        self.refuse_spent(outpoint, &txid)?;
                    }
                    missing.push(*outpoint);
                    let may_wait = shape.inputs().len() <= super::ORPHAN_INPUTS_MAX;
                    if origin.peer().is_some() && !origin.is_requested && !may_wait {
                        return Err(unknown(*outpoint));
                    }
                }
            }
        }
        if missing.is_empty() {
            let fee = check_spend_of(shape, &entries, state)?;
            let is_held = |outpoint: &&OutPoint| utxos.holder_of(outpoint).is_some_and(|by| by != txid);
            let contested = shape.inputs().iter().filter(is_held).copied().collect();
            return Ok(Inputs::Known { fee, contested });
        }
        match origin.peer() {
            Some(_) => Ok(Inputs::Unknown(missing)),
            None => self.child_of(shape, &missing, state),
        }
    }

    /// A user's transaction whose missing inputs are made by what is on its way here.
    fn child_of(
        &self,
        shape: &ShapedTransaction,
        missing: &[OutPoint],
        state: &LedgerState,
    ) -> Result<Inputs, Refusal> {
        let parents: BTreeSet<TxId> = missing.iter().map(|outpoint| outpoint.txid).collect();
        if parents.len() > ANCESTORS_MAX {
            return Err(Refusal::TooManyAncestors { limit: ANCESTORS_MAX, retry_after_ms: RETRY_SOON_MS });
        }
        let mut entries = Vec::with_capacity(shape.inputs().len());
        for outpoint in shape.inputs() {
            let made = || {
                let parent = self.parts.pool.entry(&outpoint.txid)?;
                let is_on_its_way = !matches!(parent.stage, crate::mempool::Stage::Conflicting);
                let place = usize::try_from(outpoint.index).ok()?;
                let output = *parent.transaction.outputs().get(place).filter(|_| is_on_its_way)?;
                Some((output, None))
            };
            let (output, height) =
                self.parts.utxos.find_output(outpoint).or_else(made).ok_or_else(|| unknown(*outpoint))?;
            if self.is_marked(outpoint) {
                return Err(TransactionError::CollateralBound { outpoint: *outpoint }.into());
            }
            let height = height.unwrap_or_else(|| state.height().saturating_add(1));
            entries.push(UtxoEntry { output, height });
        }
        let fee = check_spend_of(shape, &entries, state)?;
        if let Some(conflict) = self.parts.utxos.conflict_of(shape.inputs(), shape.txid()) {
            return Err(conflict.into());
        }
        Ok(Inputs::ChildOf { fee, parents })
    }

    /// Whether a transaction of the pool has marked its output as collateral.
    fn is_marked(&self, outpoint: &OutPoint) -> bool {
        let made_by = self.parts.pool.get(&outpoint.txid);
        made_by.is_some_and(|parent| parent.transaction().marked_collateral() == Some(outpoint.index))
    }

    /// An output that is not there may have been spent in the chain, by another transaction or by this one: whatever is in
    /// the chain has spent each of its inputs there.
    fn refuse_spent(&self, outpoint: &OutPoint, txid: &TxId) -> Result<(), Refusal> {
        match self.parts.utxos.spender_of(outpoint) {
            Some((by, _)) if by == *txid => Err(Refusal::AlreadyConfirmed),
            Some((by, height)) => Err(Refusal::InputsSpent { outpoint: *outpoint, by, height: Some(height) }),
            None => Ok(()),
        }
    }

    pub(super) fn taken(&self, shape: &ShapedTransaction) -> Refusal {
        match self.parts.utxos.conflict_of(shape.inputs(), shape.txid()) {
            Some(conflict) => match self.parts.utxos.output_state(&conflict.outpoint) {
                OutputState::SpentFinalized { by } => {
                    Refusal::InputsSpent { outpoint: conflict.outpoint, by, height: None }
                }
                OutputState::Confirmed { by, height } => {
                    Refusal::InputsSpent { outpoint: conflict.outpoint, by, height: Some(height) }
                }
                _ => conflict.into(),
            },
            // Whoever held it has just let go.
            None => Refusal::Busy { retry_after_ms: RETRY_SOON_MS },
        }
    }

    fn keep_orphan(
        &mut self,
        shape: ShapedTransaction,
        origin: Origin,
        missing: &[OutPoint],
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        let Some((from, first)) = origin.peer().zip(missing.first()) else { return };
        let refusal = unknown(*first);
        if self.orphans.insert(shape, from, missing, now.steady_ms) {
            // Shown before the last look, so that what comes between is told.
            self.parts.news.note_waiting(self.orphans.len());
            if missing.iter().all(|outpoint| self.parts.utxos.find_output(outpoint).is_some()) {
                for outpoint in missing {
                    self.parts.news.settled(outpoint.txid);
                }
            }
        }
        refuse(origin, refusal, out);
    }

    /// Refuses a copy, and remembers it if no state makes it right.
    pub(super) fn refuse_copy(
        &mut self,
        shape: &ShapedTransaction,
        origin: Origin,
        refusal: Refusal,
        out: &mut Vec<Action>,
    ) {
        if let Refusal::Invalid(error) = &refusal
            && is_for_ever(error)
        {
            self.refused.note(shape.copy_id(), error.clone());
        }
        refuse(origin, refusal, out);
    }

    /// How many wait: orphans of peers, and children of users.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        (self.orphans.len(), self.waiting.len())
    }

    /// Holds the counts of all parts.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check_invariants(&self) -> Result<(), &'static str> {
        self.orphans.check()?;
        self.waiting.check()
    }
}

/// Whether no state of the chain makes these bytes right, before or after this one: a peer that is behind may pass on what
/// later rules forbid.
const fn is_for_ever(error: &TransactionError) -> bool {
    // Each one by name: a rule that is missing here would have honest peers blamed.
    match error {
        TransactionError::CollateralBound { .. }
        | TransactionError::MissingInput { .. }
        | TransactionError::DustOutput { .. } => false,
        TransactionError::UnsupportedVersion { .. }
        | TransactionError::RewardFromOutside
        | TransactionError::NoInputs
        | TransactionError::TooManyInputs { .. }
        | TransactionError::NoOutputs
        | TransactionError::TooManyOutputs { .. }
        | TransactionError::DuplicateInput { .. }
        | TransactionError::ZeroOutput { .. }
        | TransactionError::OutputsOverflow
        | TransactionError::MemoTooLong { .. }
        | TransactionError::TooLarge { .. }
        | TransactionError::NoWitness
        | TransactionError::TooManyWitnesses { .. }
        | TransactionError::UnorderedWitnesses { .. }
        | TransactionError::BadSignature { .. }
        | TransactionError::BadConsent { .. }
        | TransactionError::InputsMismatch { .. }
        | TransactionError::MissingWitness { .. }
        | TransactionError::UnneededWitness { .. }
        | TransactionError::InputsOverflow
        | TransactionError::BadNetworkAddress
        | TransactionError::WeakOperatorKey { .. }
        | TransactionError::NoCollateral { .. }
        | TransactionError::UnknownTier { .. }
        | TransactionError::EmptyUpdate
        | TransactionError::Overspent { .. }
        | TransactionError::FeeTooLow { .. } => true,
    }
}

const fn unknown(outpoint: OutPoint) -> Refusal {
    Refusal::InputsUnknown { outpoint, retry_after_ms: RETRY_SOON_MS }
}

pub(super) fn answer(origin: Origin, outcome: Result<TxId, Refusal>, out: &mut Vec<Action>) {
    out.push(Action::Answer(origin.ticket, outcome));
}

/// Answers, and blames a peer for what no honest one passes on.
pub(super) fn refuse(origin: Origin, refusal: Refusal, out: &mut Vec<Action>) {
    if let (Some(peer), Refusal::Invalid(error)) = (origin.peer(), &refusal)
        && is_for_ever(error)
    {
        let what = match error {
            TransactionError::BadSignature { .. } | TransactionError::BadConsent { .. } => {
                Misbehaviour::InvalidSignature
            }
            _ => Misbehaviour::InvalidContent,
        };
        out.push(Action::Blame(peer, what));
    }
    answer(origin, Err(refusal), out);
}
