//! The state of one epoch's votes and the step function; see the module above for the protocol.

mod bodies;
mod contradictions;
mod counting;
mod epochs;
mod reading;
mod signer;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use signer::{JournaledEpoch, JournaledVotes};

use self::bodies::{Lack, Readiness, Spend};
use super::super::validity::{CheckedTransaction, TransactionError};
use super::tally::Tally;
use super::{ChainView, DropReason, Effect, Input};
use crate::protocol::state::LedgerState;
use crate::types::hash::{Domain, DomainHasher};
use crate::types::keyed::{KeyedMap, KeyedSet};
use crate::types::{ChainParameters, Epoch, FinalityVote, OutPoint, PublicKey, TxId, ValidatorSet, VoteKind};

/// The body of a transaction that votes speak of.
#[derive(Clone, Debug, Default)]
enum Body {
    /// Never seen, or forgotten.
    #[default]
    Missing,
    /// A copy whose witnesses could not be held to what they spend yet: no body so far.
    Unchecked(CheckedTransaction),
    /// In memory.
    Resident(CheckedTransaction),
    /// In the journal.
    Spilled,
}

/// What is known of one transaction that is not in the chain.
#[derive(Clone, Debug, Default)]
struct Entry {
    body: Body,
    lock_votes: Tally,
    final_votes: Tally,
    /// Its inputs are locked to it here.
    locked: bool,
    voted_lock: bool,
    voted_final: bool,
    /// Place in the order of certification, once certified.
    certified: Option<u64>,
    is_final: bool,
    /// It can't get into the chain any more.
    dead: bool,
    /// It is not carried into the next epoch.
    expired: bool,
    /// Transactions that spend one of its inputs, as far as bodies have shown it.
    rivals: BTreeSet<TxId>,
}

impl Entry {
    const fn resident(&self) -> Option<&CheckedTransaction> {
        match &self.body {
            Body::Resident(transaction) => Some(transaction),
            Body::Missing | Body::Unchecked(_) | Body::Spilled => None,
        }
    }
}

/// The finality machine of one node.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The operator key whose votes this node casts.
    me: Option<PublicKey>,
    my_place: Option<usize>,
    epoch: Epoch,
    set: Arc<ValidatorSet>,
    parameters: Arc<ChainParameters>,
    closing: bool,
    /// Nothing is cast before the next block or round: see [`Input::VotesHeld`].
    held: bool,
    entries: KeyedMap<TxId, Entry>,
    /// The transaction that each output is locked to in this epoch.
    locks: KeyedMap<OutPoint, TxId>,
    /// For each output the conflicting transaction that comes first in the next epoch, with its place there.
    conflicts: BTreeMap<OutPoint, ([u8; 32], TxId)>,
    /// For how many outputs each of them stands there.
    conflict_places: BTreeMap<TxId, usize>,
    /// Transactions that wait for an output, by output.
    waiting: BTreeMap<OutPoint, BTreeSet<TxId>>,
    /// What each of them waits for.
    lacking: KeyedMap<TxId, Lack>,
    waiting_inputs: usize,
    /// Those that wait for nothing more, to be looked at before the step ends.
    woken: VecDeque<TxId>,
    /// What an epoch's start has not looked at yet, in rule 6's order; those in the journal without a body.
    carried: VecDeque<([u8; 32], TxId, Option<CheckedTransaction>)>,
    /// Locked ones whose vote waits for blocks to catch up, in their order.
    throttled: VecDeque<TxId>,
    /// Certified ones that are not in the chain, by the order of certification.
    certified: BTreeMap<u64, TxId>,
    certified_bytes: usize,
    next_certified: u64,
    /// Own `Final` votes whose transactions are not in the chain.
    promises: KeyedSet<TxId>,
    /// Transactions in this epoch's blocks.
    settled: KeyedSet<TxId>,
    /// Locked and not certified ones in memory, oldest first, with their bytes.
    resident: VecDeque<(TxId, usize)>,
    resident_bytes: usize,
    unlocked: KeyedMap<TxId, usize>,
    unlocked_bytes: usize,
    /// Votes for transactions without a body, by member.
    unknown_votes: Vec<u32>,
    wanted_bodies: BTreeSet<TxId>,
    /// By member whose `Final` vote says that there is one.
    wanted_certificates: BTreeMap<usize, BTreeSet<TxId>>,
    /// What the journal says of epochs that the chain here has not reached.
    journaled: JournaledVotes,
}

/// The place of a transaction among conflicting ones at an epoch's start.
#[must_use]
pub fn conflict_order(epoch: Epoch, txid: &TxId) -> [u8; 32] {
    DomainHasher::new(Domain::ConflictOrder).u64(epoch).bytes(&txid.0).finish()
}

impl Machine {
    /// A machine at the epoch of the chain's next block. `me` is the operator key whose votes this node casts,
    /// `journaled` what it did (if the chain's data was lost since, in later epochs as well), `settled` the transactions
    /// of this epoch's blocks.
    #[must_use]
    pub fn new(
        me: Option<PublicKey>,
        state: &LedgerState,
        journaled: JournaledVotes,
        settled: BTreeSet<TxId>,
    ) -> Self {
        let mut machine = Self::empty(me, state);
        machine.settled = settled.into_iter().collect();
        machine.journaled = journaled;
        machine.restore();
        machine
    }

    fn empty(me: Option<PublicKey>, state: &LedgerState) -> Self {
        let set = Arc::clone(state.validators());
        Self {
            me,
            my_place: me.and_then(|key| set.find_key(&key)).map(|(place, _)| place),
            epoch: state.next_epoch(),
            unknown_votes: vec![0; set.len()],
            set,
            parameters: Arc::clone(state.parameters()),
            // A node that starts at a closing height must not vote in this epoch any more; the executor sees to it
            // that the record is there before anything else is signed.
            closing: state.is_closing(),
            held: false,
            entries: KeyedMap::new(),
            locks: KeyedMap::new(),
            conflicts: BTreeMap::new(),
            conflict_places: BTreeMap::new(),
            waiting: BTreeMap::new(),
            lacking: KeyedMap::new(),
            waiting_inputs: 0,
            woken: VecDeque::new(),
            carried: VecDeque::new(),
            throttled: VecDeque::new(),
            certified: BTreeMap::new(),
            certified_bytes: 0,
            next_certified: 0,
            promises: KeyedSet::new(),
            settled: KeyedSet::new(),
            resident: VecDeque::new(),
            resident_bytes: 0,
            unlocked: KeyedMap::new(),
            unlocked_bytes: 0,
            wanted_bodies: BTreeSet::new(),
            wanted_certificates: BTreeMap::new(),
            journaled: JournaledVotes::default(),
        }
    }

    /// Takes one fact and gives the orders that follow from it.
    #[must_use]
    pub fn step(&mut self, chain: &ChainView<'_>, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::TransactionReceived(transaction) => self.on_transaction(chain, transaction, &mut effects),
            Input::BodyLoaded(transaction) => self.on_loaded(chain, transaction, &mut effects),
            Input::CarriedOver => self.carry_on(chain, None, &mut effects),
            Input::Expired(txids) => self.on_expired(&txids, &mut effects),
            Input::BatchReceived(batch) => self.on_batch(&batch, &mut effects),
            Input::CertificateReceived(certificate) => self.on_certificate(&certificate, &mut effects),
            Input::BlockApplied { transactions } => self.on_block(chain, &transactions, &mut effects),
            Input::SignerChanged(me) => self.on_signer(me, &mut effects),
            Input::VotesHeld(held) => self.on_hold(held, &mut effects),
        }
        self.look_again(chain, &mut effects);
        effects
    }

    /// Rule 1: locks all inputs to the transaction, or none, and votes `Lock`. `spend` is what was found of its inputs, if
    /// somebody has looked.
    fn try_lock(&mut self, chain: &ChainView<'_>, txid: TxId, spend: Option<Spend>, out: &mut Vec<Effect>) {
        let Some(tx) = self.entries.get(&txid).and_then(|entry| entry.resident().cloned()) else { return };
        if let Some(outpoint) = tx.inputs().iter().find(|outpoint| self.is_marked(outpoint)) {
            let error = TransactionError::CollateralBound { outpoint: *outpoint };
            self.drop_body(txid, DropReason::Invalid(error), out);
            return;
        }
        match spend.unwrap_or_else(|| self.judge_spend(chain, &tx)) {
            // Before conflicts: one whose inputs are not all there holds and displaces nothing.
            Spend::Lacking { missing, .. } => {
                if self.entries.get(&txid).is_some_and(|entry| entry.certified.is_none()) {
                    self.wait_for(txid, Readiness::Spendable, missing, out);
                }
                return;
            }
            Spend::SpentBy(by) => {
                self.drop_body(txid, DropReason::SpentBy(by), out);
                return;
            }
            Spend::Judged(Err(error)) => {
                self.drop_body(txid, DropReason::Invalid(error), out);
                return;
            }
            Spend::Judged(Ok(())) => {}
        }
        let holder =
            tx.inputs().iter().find_map(|outpoint| self.locks.get(outpoint).filter(|id| **id != txid));
        if let Some(locked_to) = holder.copied() {
            self.note_conflict(&tx, locked_to, out);
            return;
        }
        for outpoint in tx.inputs() {
            self.locks.insert(*outpoint, txid);
        }
        self.remove_unlocked(txid);
        if let Some(entry) = self.entries.get_mut(&txid) {
            entry.locked = true;
            if entry.certified.is_none() {
                self.keep_resident(txid, tx.encoded_bytes());
            }
        }
        out.push(Effect::InputsLocked(tx));
        self.vote_lock(txid, out);
    }

    /// Whether a transaction that is final in this epoch and in no block yet marks the output as collateral. Whatever
    /// becomes of the registration, the output can't be spent before the next epoch; once it is in a block, the chain's
    /// state says so.
    fn is_marked(&self, outpoint: &OutPoint) -> bool {
        let parent =
            self.entries.get(&outpoint.txid).filter(|entry| entry.is_final).and_then(Entry::resident);
        parent.and_then(|parent| parent.transaction().marked_collateral()) == Some(outpoint.index)
    }

    fn vote_lock(&mut self, txid: TxId, out: &mut Vec<Effect>) {
        if self.is_silent() {
            return;
        }
        let must_wait = self.blocks_must_catch_up();
        let Some(entry) = self.entries.get_mut(&txid) else { return };
        let Body::Resident(transaction) = &entry.body else { return };
        if entry.voted_lock || !entry.locked {
            return;
        }
        if must_wait {
            self.throttled.push_back(txid);
            return;
        }
        entry.voted_lock = true;
        let vote = FinalityVote { kind: VoteKind::Lock, txid };
        out.push(Effect::CastVote { vote, transaction: transaction.clone(), sources: Vec::new() });
    }

    fn blocks_must_catch_up(&self) -> bool {
        let count = u64::try_from(self.certified.len()).unwrap_or(u64::MAX);
        let bytes = u64::try_from(self.certified_bytes).unwrap_or(u64::MAX);
        count >= self.parameters.voted_unblocked_max || bytes >= self.parameters.voted_unblocked_bytes_max
    }

    /// Rule 2: certified and the body here: votes `Final`, whatever was locked.
    fn vote_final(&mut self, txid: TxId, out: &mut Vec<Effect>) {
        if self.is_silent() {
            return;
        }
        let Some(entry) = self.entries.get_mut(&txid) else { return };
        let Body::Resident(transaction) = &entry.body else { return };
        if entry.voted_final || entry.certified.is_none() {
            return;
        }
        entry.voted_final = true;
        self.promises.insert(txid);
        let vote = FinalityVote { kind: VoteKind::Final, txid };
        let sources = entry.lock_votes.sources().to_vec();
        out.push(Effect::CastVote { vote, transaction: transaction.clone(), sources });
    }
}
