//! The state of one epoch's votes and the step function; see the module above for the protocol.

mod contradictions;
mod reading;
mod signer;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use signer::{JournaledEpoch, JournaledVotes};

use super::super::validity::{CheckedTransaction, TransactionError, check_spend};
use super::tally::{Tally, VoteSource};
use super::{
    ChainView, DropReason, Effect, Input, RESIDENT_BYTES_MAX, UNKNOWN_VOTES_MAX, UNLOCKED_BODIES_MAX,
    UNLOCKED_BYTES_MAX,
};
use crate::protocol::state::LedgerState;
use crate::types::hash::{Domain, DomainHasher};
use crate::types::{
    Certificate, ChainParameters, Epoch, FinalityVote, OutPoint, PublicKey, TxId, UtxoEntry, ValidatorSet,
    VoteBatch, VoteKind,
};

/// The body of a transaction that votes speak of.
#[derive(Clone, Debug, Default)]
enum Body {
    /// Never seen.
    #[default]
    Missing,
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
}

impl Entry {
    const fn resident(&self) -> Option<&CheckedTransaction> {
        match &self.body {
            Body::Resident(transaction) => Some(transaction),
            Body::Missing | Body::Spilled => None,
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
    entries: BTreeMap<TxId, Entry>,
    /// The transaction that each output is locked to in this epoch.
    locks: BTreeMap<OutPoint, TxId>,
    /// For each output the conflicting transaction that comes first in the next epoch.
    conflicts: BTreeMap<OutPoint, TxId>,
    /// Transactions that wait for an output, by output.
    waiting: BTreeMap<OutPoint, BTreeSet<TxId>>,
    /// Locked ones whose vote waits for blocks to catch up, in their order.
    throttled: VecDeque<TxId>,
    /// Certified ones that are not in the chain, by the order of certification.
    certified: BTreeMap<u64, TxId>,
    certified_bytes: usize,
    next_certified: u64,
    /// Own `Final` votes whose transactions are not in the chain.
    promises: BTreeSet<TxId>,
    /// Transactions in this epoch's blocks.
    settled: BTreeSet<TxId>,
    /// Locked and not certified ones in memory, oldest first, with their bytes.
    resident: VecDeque<(TxId, usize)>,
    resident_bytes: usize,
    unlocked: BTreeMap<TxId, usize>,
    unlocked_bytes: usize,
    /// Votes for transactions without a body, by member.
    unknown_votes: Vec<u32>,
    wanted_bodies: BTreeSet<TxId>,
    wanted_certificates: BTreeSet<TxId>,
    /// What the journal says of epochs that the chain here has not reached.
    journaled: JournaledVotes,
}

/// The place of a transaction among conflicting ones at an epoch's start.
fn conflict_order(epoch: Epoch, txid: &TxId) -> [u8; 32] {
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
        machine.settled = settled;
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
            entries: BTreeMap::new(),
            locks: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            waiting: BTreeMap::new(),
            throttled: VecDeque::new(),
            certified: BTreeMap::new(),
            certified_bytes: 0,
            next_certified: 0,
            promises: BTreeSet::new(),
            settled: BTreeSet::new(),
            resident: VecDeque::new(),
            resident_bytes: 0,
            unlocked: BTreeMap::new(),
            unlocked_bytes: 0,
            wanted_bodies: BTreeSet::new(),
            wanted_certificates: BTreeSet::new(),
            journaled: JournaledVotes::default(),
        }
    }

    /// Takes one fact and gives the orders that follow from it.
    #[must_use]
    pub fn step(&mut self, chain: &ChainView<'_>, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::TransactionReceived(transaction) => self.on_transaction(chain, transaction, &mut effects),
            Input::BatchReceived(batch) => self.on_batch(chain, &batch, &mut effects),
            Input::CertificateReceived(certificate) => self.on_certificate(chain, &certificate, &mut effects),
            Input::BlockApplied { transactions } => self.on_block(chain, &transactions, &mut effects),
            Input::SignerChanged(me) => self.on_signer(me, &mut effects),
            Input::VotesHeld(held) => self.on_hold(held, &mut effects),
        }
        effects
    }

    // -- transactions ---------------------------------------------------------------------------------------------

    fn on_transaction(&mut self, chain: &ChainView<'_>, tx: CheckedTransaction, out: &mut Vec<Effect>) {
        let txid = tx.txid();
        if self.settled.contains(&txid) {
            return;
        }
        let bytes = tx.encoded_bytes();
        let entry = self.entries.entry(txid).or_default();
        if entry.dead || entry.resident().is_some() {
            return;
        }
        let was_missing = matches!(entry.body, Body::Missing);
        entry.body = Body::Resident(tx.clone());
        self.wanted_bodies.remove(&txid);
        if was_missing {
            for member in entry.lock_votes.voters().chain(entry.final_votes.voters()) {
                if let Some(count) = self.unknown_votes.get_mut(member) {
                    *count = count.saturating_sub(1);
                }
            }
        }
        let (certified, is_final, locked) = (entry.certified.is_some(), entry.is_final, entry.locked);
        if certified {
            self.certified_bytes = self.certified_bytes.saturating_add(bytes);
        } else if locked {
            // Locked before a restart, or left to the journal since: readers may not know.
            self.keep_resident(txid, bytes);
            out.push(Effect::InputsLocked(tx.clone()));
        } else {
            self.add_unlocked(txid, bytes);
        }
        if !locked {
            self.try_lock(chain, txid, out);
        }
        if was_missing {
            // Votes came before the body: only now it is known what they contradict.
            let voters: Vec<usize> = self.lock_voters(&txid);
            for member in voters {
                self.look_for_contradiction(member, txid, out);
            }
        }
        self.vote_final(txid, out);
        if is_final {
            self.announce_final(chain, tx, out);
        }
        self.bound_unlocked(txid, out);
    }

    /// Rule 1: locks all inputs to the transaction, or none, and votes `Lock`.
    fn try_lock(&mut self, chain: &ChainView<'_>, txid: TxId, out: &mut Vec<Effect>) {
        let Some(tx) = self.entries.get(&txid).and_then(|entry| entry.resident().cloned()) else { return };
        let holder =
            tx.inputs().iter().find_map(|outpoint| self.locks.get(outpoint).filter(|id| **id != txid));
        if let Some(locked_to) = holder.copied() {
            self.note_conflict(&tx, locked_to, out);
            return;
        }
        if let Some(outpoint) = tx.inputs().iter().find(|outpoint| self.is_marked(outpoint)) {
            let error = TransactionError::CollateralBound { outpoint: *outpoint };
            self.drop_body(txid, DropReason::Invalid(error), out);
            return;
        }
        let mut inputs = Vec::with_capacity(tx.inputs().len());
        let mut missing = false;
        for outpoint in tx.inputs() {
            match self.spendable(chain, outpoint) {
                Some(entry) => inputs.push(entry),
                None => {
                    missing = true;
                    self.waiting.entry(*outpoint).or_default().insert(txid);
                }
            }
        }
        if missing {
            out.push(Effect::WaitingForInputs(txid));
            return;
        }
        if let Err(error) = check_spend(&tx, &inputs, chain.state) {
            self.drop_body(txid, DropReason::Invalid(error), out);
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

    /// An output as rule 1 sees it: in the chain's state, or made by a transaction that is final in this epoch.
    fn spendable(&self, chain: &ChainView<'_>, outpoint: &OutPoint) -> Option<UtxoEntry> {
        chain.utxos.utxo(outpoint).or_else(|| {
            let parent = self.entries.get(&outpoint.txid).filter(|entry| entry.is_final)?.resident()?;
            let output = *parent.outputs().get(usize::try_from(outpoint.index).ok()?)?;
            Some(UtxoEntry { output, height: chain.state.height().saturating_add(1) })
        })
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

    /// Beside the locked one, for each output the conflicting transaction that comes first in the next epoch is kept.
    fn note_conflict(&mut self, tx: &CheckedTransaction, locked_to: TxId, out: &mut Vec<Effect>) {
        let txid = tx.txid();
        let next_epoch = self.epoch.saturating_add(1);
        let order = conflict_order(next_epoch, &txid);
        let mut keeps = false;
        let mut displaced = Vec::new();
        for outpoint in tx.inputs() {
            match self.conflicts.get(outpoint).copied() {
                Some(other) if other == txid => keeps = true,
                Some(other) if conflict_order(next_epoch, &other) < order => {}
                other => {
                    displaced.extend(other);
                    self.conflicts.insert(*outpoint, txid);
                    keeps = true;
                }
            }
        }
        if keeps {
            out.push(Effect::Conflicting { txid, locked_to });
        }
        for other in displaced {
            if !self.conflicts.values().any(|kept| *kept == other) {
                self.drop_body(other, DropReason::WorseConflict, out);
            }
        }
        if !keeps {
            self.drop_body(txid, DropReason::WorseConflict, out);
        }
    }

    /// Forgets a body that is not certified. The votes stay, and so does a lock: the transaction may be certified by
    /// others, and then its body is asked for.
    fn drop_body(&mut self, txid: TxId, reason: DropReason, out: &mut Vec<Effect>) {
        let Some(entry) = self.entries.get_mut(&txid) else { return };
        if entry.certified.is_some() {
            return;
        }
        entry.body = Body::Missing;
        entry.dead |= matches!(reason, DropReason::Invalid(_) | DropReason::SpentBy(_));
        let forget = entry.lock_votes.weight() == 0 && entry.final_votes.weight() == 0 && !entry.voted_lock;
        self.remove_unlocked(txid);
        if forget {
            self.entries.remove(&txid);
        }
        out.push(Effect::Dropped { txid, reason });
    }

    // -- bounds ---------------------------------------------------------------------------------------------------

    fn add_unlocked(&mut self, txid: TxId, bytes: usize) {
        if self.unlocked.insert(txid, bytes).is_none() {
            self.unlocked_bytes = self.unlocked_bytes.saturating_add(bytes);
        }
    }

    fn remove_unlocked(&mut self, txid: TxId) {
        if let Some(bytes) = self.unlocked.remove(&txid) {
            self.unlocked_bytes = self.unlocked_bytes.saturating_sub(bytes);
        }
    }

    fn bound_unlocked(&mut self, newest: TxId, out: &mut Vec<Effect>) {
        let over = self.unlocked.len() > UNLOCKED_BODIES_MAX || self.unlocked_bytes > UNLOCKED_BYTES_MAX;
        if over && self.unlocked.contains_key(&newest) {
            self.conflicts.retain(|_, txid| *txid != newest);
            self.stop_waiting(newest);
            self.drop_body(newest, DropReason::NoRoom, out);
        }
    }

    fn stop_waiting(&mut self, txid: TxId) {
        self.waiting.retain(|_, waiting| {
            waiting.remove(&txid);
            !waiting.is_empty()
        });
    }

    /// Bodies that are locked but not certified leave memory, oldest first; the journal has them, since a body is
    /// durable before its `Lock` vote. A node that does not vote has no such record and asks its peers again.
    fn keep_resident(&mut self, txid: TxId, bytes: usize) {
        self.resident.push_back((txid, bytes));
        self.resident_bytes = self.resident_bytes.saturating_add(bytes);
        while self.resident_bytes > RESIDENT_BYTES_MAX {
            let Some((oldest, bytes)) = self.resident.pop_front() else { break };
            self.resident_bytes = self.resident_bytes.saturating_sub(bytes);
            if let Some(entry) = self.entries.get_mut(&oldest).filter(|entry| entry.certified.is_none()) {
                entry.body = if entry.voted_lock { Body::Spilled } else { Body::Missing };
            }
        }
    }

    fn trim_resident(&mut self) {
        let entries = &self.entries;
        let mut bytes_left = 0_usize;
        self.resident.retain(|(txid, bytes)| {
            let keep = entries.get(txid).is_some_and(|entry| entry.certified.is_none());
            if keep {
                bytes_left = bytes_left.saturating_add(*bytes);
            }
            keep
        });
        self.resident_bytes = bytes_left;
    }

    // -- votes ----------------------------------------------------------------------------------------------------

    fn on_batch(&mut self, chain: &ChainView<'_>, batch: &Arc<VoteBatch>, out: &mut Vec<Effect>) {
        if batch.header.epoch != self.epoch {
            return;
        }
        let Some(member) = self.set.index_of(&batch.header.validator) else { return };
        for (place, vote) in batch.votes.iter().enumerate() {
            self.count_vote(chain, member, *vote, VoteSource::Batch(Arc::clone(batch), place), out);
        }
    }

    fn on_certificate(
        &mut self,
        chain: &ChainView<'_>,
        certificate: &Arc<Certificate>,
        out: &mut Vec<Effect>,
    ) {
        if certificate.epoch != self.epoch {
            return;
        }
        for (place, proof) in certificate.votes.iter().enumerate() {
            if let Some(member) = self.set.index_of(&proof.header.validator) {
                let source = VoteSource::Certificate(Arc::clone(certificate), place);
                self.count_vote(chain, member, certificate.vote, source, out);
            }
        }
    }

    fn count_vote(
        &mut self,
        chain: &ChainView<'_>,
        member: usize,
        vote: FinalityVote,
        source: VoteSource,
        out: &mut Vec<Effect>,
    ) {
        let txid = vote.txid;
        if self.settled.contains(&txid) {
            return;
        }
        let known = self.entries.get(&txid).is_some_and(|entry| !matches!(entry.body, Body::Missing));
        if !known {
            let Some(count) = self.unknown_votes.get_mut(member) else { return };
            // A certificate is bounded by what this node asked for, so it is never turned away.
            if *count >= UNKNOWN_VOTES_MAX && matches!(source, VoteSource::Batch(..)) {
                return;
            }
            *count = count.saturating_add(1);
        }
        let quorum = self.set.quorum();
        let entry = self.entries.entry(txid).or_default();
        let tally = match vote.kind {
            VoteKind::Lock => &mut entry.lock_votes,
            VoteKind::Final => &mut entry.final_votes,
        };
        if !tally.add(&self.set, member, source) {
            if !known && let Some(count) = self.unknown_votes.get_mut(member) {
                *count = count.saturating_sub(1);
            }
            return;
        }
        let weight = tally.weight();
        if vote.kind == VoteKind::Lock {
            self.look_for_contradiction(member, txid, out);
        }
        let Some(entry) = self.entries.get_mut(&txid) else { return };
        if !known && self.set.exceeds_third(weight) {
            self.wanted_bodies.insert(txid);
        }
        match vote.kind {
            VoteKind::Lock if weight >= quorum && entry.certified.is_none() => self.certify(txid, out),
            VoteKind::Final if entry.certified.is_none() => {
                self.wanted_certificates.insert(txid);
            }
            VoteKind::Lock | VoteKind::Final => {}
        }
        let Some(entry) = self.entries.get_mut(&txid) else { return };
        if vote.kind == VoteKind::Final && weight >= quorum && !entry.is_final {
            entry.is_final = true;
            match &entry.body {
                Body::Resident(transaction) => {
                    let transaction = transaction.clone();
                    self.announce_final(chain, transaction, out);
                }
                Body::Spilled => out.push(Effect::LoadBody(txid)),
                Body::Missing => {
                    self.wanted_bodies.insert(txid);
                }
            }
        }
    }

    fn certify(&mut self, txid: TxId, out: &mut Vec<Effect>) {
        let place = self.next_certified;
        self.next_certified = place.saturating_add(1);
        let Some(entry) = self.entries.get_mut(&txid) else { return };
        entry.certified = Some(place);
        self.certified.insert(place, txid);
        self.wanted_certificates.remove(&txid);
        match &entry.body {
            Body::Resident(transaction) => {
                self.certified_bytes = self.certified_bytes.saturating_add(transaction.encoded_bytes());
            }
            Body::Spilled => out.push(Effect::LoadBody(txid)),
            Body::Missing => {
                self.wanted_bodies.insert(txid);
            }
        }
        self.remove_unlocked(txid);
        out.push(Effect::Certified(txid));
        self.vote_final(txid, out);
    }

    /// Rule 3: the outputs of a final transaction can be spent; those who waited for them are tried again.
    fn announce_final(
        &mut self,
        chain: &ChainView<'_>,
        transaction: CheckedTransaction,
        out: &mut Vec<Effect>,
    ) {
        let txid = transaction.txid();
        let outputs = transaction.outputs().len();
        out.push(Effect::Finalized(transaction));
        self.wake(chain, txid, outputs, out);
    }

    fn wake(&mut self, chain: &ChainView<'_>, parent: TxId, outputs: usize, out: &mut Vec<Effect>) {
        if self.waiting.is_empty() {
            return;
        }
        for index in 0..u32::try_from(outputs).unwrap_or(u32::MAX) {
            for child in self.waiting.remove(&OutPoint { txid: parent, index }).unwrap_or_default() {
                if self.entries.get(&child).is_some_and(|entry| !entry.locked && !entry.dead) {
                    self.try_lock(chain, child, out);
                    self.vote_final(child, out);
                }
            }
        }
    }

    // -- blocks ---------------------------------------------------------------------------------------------------

    fn on_block(&mut self, chain: &ChainView<'_>, block: &[CheckedTransaction], out: &mut Vec<Effect>) {
        for transaction in block {
            self.settle(transaction, out);
        }
        for transaction in block {
            self.wake(chain, transaction.txid(), transaction.outputs().len(), out);
        }
        self.trim_resident();
        if chain.state.next_epoch() != self.epoch {
            self.start_epoch(chain, out);
            return;
        }
        if chain.state.is_closing() && !self.closing {
            self.closing = true;
            out.push(Effect::EnterClosing);
        }
        self.on_hold(false, out);
        while !self.closing && !self.blocks_must_catch_up() {
            let Some(txid) = self.throttled.pop_front() else { break };
            self.vote_lock(txid, out);
        }
    }

    /// The transaction is in the chain: votes for it are settled, its rivals are dead, its locks stay.
    fn settle(&mut self, transaction: &CheckedTransaction, out: &mut Vec<Effect>) {
        let txid = transaction.txid();
        self.settled.insert(txid);
        self.promises.remove(&txid);
        self.wanted_bodies.remove(&txid);
        self.wanted_certificates.remove(&txid);
        self.remove_unlocked(txid);
        if let Some(entry) = self.entries.remove(&txid) {
            if let Some(place) = entry.certified {
                self.certified.remove(&place);
                if let Some(resident) = entry.resident() {
                    self.certified_bytes = self.certified_bytes.saturating_sub(resident.encoded_bytes());
                }
            }
            if matches!(entry.body, Body::Missing) {
                for member in entry.lock_votes.voters().chain(entry.final_votes.voters()) {
                    if let Some(count) = self.unknown_votes.get_mut(member) {
                        *count = count.saturating_sub(1);
                    }
                }
            }
        }
        for outpoint in transaction.inputs() {
            let holder = *self.locks.entry(*outpoint).or_insert(txid);
            let rivals = [Some(holder), self.conflicts.remove(outpoint)];
            for rival in rivals.into_iter().flatten().filter(|rival| *rival != txid) {
                self.drop_body(rival, DropReason::SpentBy(txid), out);
            }
        }
    }

    /// Rule 6: tallies and locks start anew; what was not included is voted on afresh, conflicting ones in the order
    /// of `H(epoch, txid)`, which is the same at every node.
    fn start_epoch(&mut self, chain: &ChainView<'_>, out: &mut Vec<Effect>) {
        let fresh = Self::empty(self.me, chain.state);
        let ended = std::mem::replace(self, fresh);
        self.journaled = ended.journaled;
        self.restore();
        let mut carried: Vec<([u8; 32], CheckedTransaction)> = Vec::new();
        for (txid, entry) in ended.entries {
            match entry.body {
                Body::Resident(transaction) if !entry.dead => {
                    carried.push((conflict_order(self.epoch, &txid), transaction));
                }
                Body::Spilled if !entry.dead => out.push(Effect::LoadBody(txid)),
                Body::Resident(_) | Body::Missing | Body::Spilled => {}
            }
        }
        carried.sort_by_key(|(order, _)| *order);
        for (_, transaction) in carried {
            self.on_transaction(chain, transaction, out);
        }
    }
}
