//! Bodies: which copy of a transaction is one, what it waits for, and how many are kept.
//!
//! Witnesses are not part of a txid, so a copy says little for the transaction: whoever wants to hurt it sends one with
//! the witness of a stranger. So a copy becomes a body once its witnesses were held to the outputs that it spends; until
//! then one copy a transaction is kept aside, and what is wrong with it condemns that copy alone (INV-FIN-7).

use std::collections::BTreeSet;

use super::{Body, Entry, Machine};
use crate::protocol::finality::{
    ChainView, DropReason, Effect, RESIDENT_BYTES_MAX, UNLOCKED_BODIES_MAX, UNLOCKED_BYTES_MAX,
    WAITING_INPUTS_MAX,
};
use crate::protocol::validity::{CheckedTransaction, TransactionError, check_spend, check_witnesses};
use crate::types::{Lock, OutPoint, TxId, UtxoEntry};

/// What an output has to be before the transaction that waits for it is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Readiness {
    /// The transaction that makes it is here, so that its owner is known.
    Known,
    /// It can be spent.
    Spendable,
}

/// What a transaction waits for.
#[derive(Clone, Debug)]
pub(super) struct Lack {
    readiness: Readiness,
    outpoints: BTreeSet<OutPoint>,
}

impl Lack {
    /// The outputs, ascending.
    pub(super) fn outpoints(&self) -> Vec<OutPoint> {
        self.outpoints.iter().copied().collect()
    }
}

/// What is to be said of a transaction's inputs.
pub(super) enum Spend {
    /// All can be spent; this is what the rules say then.
    Judged(Result<(), TransactionError>),
    /// Some can't be spent, or not yet.
    Lacking {
        /// What was found, in the inputs' order.
        found: Vec<Option<UtxoEntry>>,
        /// What was not.
        missing: Vec<OutPoint>,
    },
    /// A block of this epoch has spent one by this transaction.
    SpentBy(TxId),
}

/// What is to be said of a copy.
enum Verdict {
    Sound,
    /// Another copy may be sound.
    Bad(TransactionError),
    /// No copy is.
    Never(TransactionError),
    /// The makers of these outputs are not here.
    Unknown(Vec<OutPoint>),
}

impl Machine {
    /// A transaction of whoever sent it.
    pub(super) fn on_transaction(
        &mut self,
        chain: &ChainView<'_>,
        tx: CheckedTransaction,
        out: &mut Vec<Effect>,
    ) {
        let txid = tx.txid();
        let is_done = |entry: &Entry| entry.dead || entry.resident().is_some();
        if self.settled.contains(&txid) || self.entries.get(&txid).is_some_and(is_done) {
            return;
        }
        let spend = self.judge_spend(chain, &tx);
        self.take_copy(chain, tx, spend, out);
    }

    fn take_copy(
        &mut self,
        chain: &ChainView<'_>,
        tx: CheckedTransaction,
        spend: Spend,
        out: &mut Vec<Effect>,
    ) {
        let txid = tx.txid();
        match self.judge_copy(&tx, &spend) {
            Verdict::Sound => self.take_body(chain, tx, Some(spend), out),
            Verdict::Bad(error) => out.push(Effect::BadCopy { txid, error }),
            Verdict::Never(error) => self.take_body(chain, tx, Some(Spend::Judged(Err(error))), out),
            Verdict::Unknown(missing) => self.keep_unchecked(tx, missing, out),
        }
    }

    /// A body that this node wrote to its journal: it was one then, so it is one now.
    pub(super) fn on_loaded(&mut self, chain: &ChainView<'_>, tx: CheckedTransaction, out: &mut Vec<Effect>) {
        let txid = tx.txid();
        self.carry_on(chain, Some(&txid), out);
        let is_done = |entry: &Entry| entry.dead || entry.resident().is_some();
        if !self.settled.contains(&txid) && !self.entries.get(&txid).is_some_and(is_done) {
            self.take_body(chain, tx, None, out);
        }
    }

    /// What the rules say, if all inputs can be spent.
    pub(super) fn judge_spend(&self, chain: &ChainView<'_>, tx: &CheckedTransaction) -> Spend {
        let mut entries = Vec::with_capacity(tx.inputs().len());
        for outpoint in tx.inputs() {
            match self.spendable(chain, outpoint) {
                Some(entry) => entries.push(entry),
                None => return self.judge_lacking(chain, tx),
            }
        }
        Spend::Judged(check_spend(tx, &entries, chain.state).map(drop))
    }

    fn judge_lacking(&self, chain: &ChainView<'_>, tx: &CheckedTransaction) -> Spend {
        let mut found = Vec::with_capacity(tx.inputs().len());
        let mut missing = Vec::new();
        for outpoint in tx.inputs() {
            let holder = self.locks.get(outpoint).filter(|by| self.settled.contains(by));
            if let Some(by) = holder {
                return Spend::SpentBy(*by);
            }
            let entry = self.spendable(chain, outpoint);
            if entry.is_none() {
                missing.push(*outpoint);
            }
            found.push(entry);
        }
        Spend::Lacking { found, missing }
    }

    /// An output as rule 1 sees it: in the chain's state, or made by a transaction that is final in this epoch.
    fn spendable(&self, chain: &ChainView<'_>, outpoint: &OutPoint) -> Option<UtxoEntry> {
        // Memory first: what is final and here is not in the chain yet.
        let parent = self.entries.get(&outpoint.txid).filter(|entry| entry.is_final);
        let Some(parent) = parent.and_then(Entry::resident) else { return chain.utxos.utxo(outpoint) };
        let output = *parent.outputs().get(usize::try_from(outpoint.index).ok()?)?;
        Some(UtxoEntry { output, height: chain.state.height().saturating_add(1) })
    }

    /// The transaction that makes an output, in any copy: its txid binds its outputs.
    fn maker_of(&self, outpoint: &OutPoint) -> Option<&CheckedTransaction> {
        match &self.entries.get(&outpoint.txid)?.body {
            Body::Resident(maker) | Body::Unchecked(maker) => Some(maker),
            Body::Missing | Body::Spilled => None,
        }
    }

    /// Whether the witnesses are those of the outputs' owners. The name of an output binds its owner, so it does not matter
    /// how far the transaction that makes it has come.
    fn judge_copy(&self, tx: &CheckedTransaction, spend: &Spend) -> Verdict {
        let (found, missing) = match spend {
            Spend::Judged(Err(error)) if error.is_of_this_copy_only() => return Verdict::Bad(error.clone()),
            // What is spent is dropped as a transaction, whichever copy it is.
            Spend::Judged(_) | Spend::SpentBy(_) => return Verdict::Sound,
            Spend::Lacking { found, missing } => (found, missing),
        };
        let unknown: Vec<OutPoint> =
            missing.iter().filter(|outpoint| self.maker_of(outpoint).is_none()).copied().collect();
        if !unknown.is_empty() {
            return Verdict::Unknown(unknown);
        }
        let mut locks: Vec<Lock> = Vec::with_capacity(found.len());
        for (outpoint, entry) in tx.inputs().iter().zip(found) {
            let place = usize::try_from(outpoint.index).unwrap_or(usize::MAX);
            let made = || self.maker_of(outpoint).and_then(|maker| maker.outputs().get(place).copied());
            match entry.map(|entry| entry.output).or_else(made) {
                Some(output) => locks.push(output.lock),
                None => return Verdict::Never(TransactionError::MissingInput { outpoint: *outpoint }),
            }
        }
        check_witnesses(tx.shape(), locks).map_or_else(Verdict::Bad, |()| Verdict::Sound)
    }

    /// Sets a body; the votes that came without one count as such no more, or again. Whether there was none.
    pub(super) fn set_body(&mut self, txid: TxId, body: Body) -> bool {
        let entry = self.entries.get_or_default(txid);
        let was_missing = matches!(entry.body, Body::Missing);
        let is_missing = matches!(body, Body::Missing);
        entry.body = body;
        if was_missing != is_missing {
            for member in entry.lock_votes.voters().chain(entry.final_votes.voters()) {
                if let Some(count) = self.unknown_votes.get_mut(member) {
                    *count = if is_missing { count.saturating_add(1) } else { count.saturating_sub(1) };
                }
            }
        }
        was_missing
    }

    fn take_body(
        &mut self,
        chain: &ChainView<'_>,
        tx: CheckedTransaction,
        spend: Option<Spend>,
        out: &mut Vec<Effect>,
    ) {
        let (txid, bytes) = (tx.txid(), tx.encoded_bytes());
        self.stop_waiting(&txid);
        self.remove_unlocked(txid);
        self.set_body(txid, Body::Resident(tx.clone()));
        self.wanted_bodies.remove(&txid);
        let Some(entry) = self.entries.get(&txid) else { return };
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
            self.try_lock(chain, txid, spend, out);
        }
        // Votes may have come before the body: only now it is known what they contradict.
        for member in self.lock_voters(&txid) {
            self.look_for_contradiction(member, txid, out);
        }
        self.vote_final(txid, out);
        if is_final {
            self.announce_final(tx, out);
        } else {
            self.wake(txid, Readiness::Known);
        }
        self.bound_unlocked(txid, out);
    }

    /// A copy that can't be held to what it spends: the first one is kept aside. If it is bad another one is taken then,
    /// and asked for if votes say that there is one.
    fn keep_unchecked(&mut self, tx: CheckedTransaction, missing: Vec<OutPoint>, out: &mut Vec<Effect>) {
        let (txid, bytes) = (tx.txid(), tx.encoded_bytes());
        if self.lacking.contains_key(&txid) {
            return;
        }
        if matches!(self.entries.get(&txid).map(|entry| &entry.body), Some(Body::Spilled)) {
            // The journal has it.
            return;
        }
        self.set_body(txid, Body::Unchecked(tx));
        self.add_unlocked(txid, bytes);
        self.wait_for(txid, Readiness::Known, missing, out);
        self.bound_unlocked(txid, out);
    }

    /// Forgets a body that is not certified, and those that can't come without it. The votes stay, and so does a lock:
    /// the transaction may be certified by others, and then its body is asked for.
    pub(super) fn drop_body(&mut self, txid: TxId, reason: DropReason, out: &mut Vec<Effect>) {
        let mut doomed = vec![(txid, reason)];
        while let Some((txid, reason)) = doomed.pop() {
            if !self.forget_body(txid, &reason) {
                continue;
            }
            if reason.is_of_the_transaction() {
                let children = self.waiting.range(outputs_of(txid)).flat_map(|(_, children)| children);
                doomed.extend(children.map(|child| (*child, DropReason::ParentDropped(txid))));
            }
            out.push(Effect::Dropped { txid, reason });
        }
    }

    fn forget_body(&mut self, txid: TxId, reason: &DropReason) -> bool {
        let Some(entry) = self.entries.get_mut(&txid) else { return false };
        let is_certified = entry.certified.is_some();
        if is_certified && !matches!(entry.body, Body::Unchecked(_)) {
            return false;
        }
        entry.dead |= reason.is_of_the_transaction();
        if entry.dead {
            self.wanted_bodies.remove(&txid);
        }
        let forget = entry.lock_votes.weight() == 0
            && entry.final_votes.weight() == 0
            && !entry.voted_lock
            && !entry.voted_final;
        if let Body::Resident(body) = &entry.body {
            let body = body.clone();
            self.remove_conflicts(&body);
        }
        self.stop_waiting(&txid);
        self.remove_unlocked(txid);
        self.set_body(txid, Body::Missing);
        if forget {
            self.entries.remove(&txid);
        }
        true
    }

    /// Time is up for these: what is locked stays until the epoch's end and is not carried over it.
    pub(super) fn on_expired(&mut self, txids: &[TxId], out: &mut Vec<Effect>) {
        for txid in txids {
            match self.entries.get_mut(txid) {
                Some(entry) if entry.locked || entry.certified.is_some() => entry.expired = true,
                Some(_) => self.drop_body(*txid, DropReason::Expired, out),
                None => {}
            }
        }
    }

    // -- what waits -------------------------------------------------------------------------------------------------

    pub(super) fn wait_for(
        &mut self,
        txid: TxId,
        readiness: Readiness,
        missing: Vec<OutPoint>,
        out: &mut Vec<Effect>,
    ) {
        if self.waiting_inputs.saturating_add(missing.len()) > WAITING_INPUTS_MAX {
            self.drop_body(txid, DropReason::NoRoom, out);
            return;
        }
        self.waiting_inputs = self.waiting_inputs.saturating_add(missing.len());
        for outpoint in &missing {
            self.waiting.entry(*outpoint).or_default().insert(txid);
        }
        self.lacking.insert(txid, Lack { readiness, outpoints: missing.into_iter().collect() });
        out.push(Effect::WaitingForInputs(txid));
    }

    pub(super) fn stop_waiting(&mut self, txid: &TxId) {
        let Some(lack) = self.lacking.remove(txid) else { return };
        for outpoint in lack.outpoints {
            self.waiting_inputs = self.waiting_inputs.saturating_sub(1);
            if let Some(children) = self.waiting.get_mut(&outpoint) {
                children.remove(txid);
                if children.is_empty() {
                    self.waiting.remove(&outpoint);
                }
            }
        }
    }

    /// The outputs of `parent` are ready. Who lacks nothing else is looked at again, once, at the end of this step: so a
    /// transaction with many inputs costs its size and not its square.
    pub(super) fn wake(&mut self, parent: TxId, ready: Readiness) {
        let waiting = self.waiting.range(outputs_of(parent));
        let some: Vec<(OutPoint, TxId)> = waiting
            .flat_map(|(outpoint, children)| children.iter().map(|child| (*outpoint, *child)))
            .collect();
        for (outpoint, child) in some {
            let Some(lack) = self.lacking.get_mut(&child) else { continue };
            if lack.readiness > ready || !lack.outpoints.remove(&outpoint) {
                continue;
            }
            let is_ready = lack.outpoints.is_empty();
            self.waiting_inputs = self.waiting_inputs.saturating_sub(1);
            if let Some(children) = self.waiting.get_mut(&outpoint) {
                children.remove(&child);
                if children.is_empty() {
                    self.waiting.remove(&outpoint);
                }
            }
            if is_ready {
                self.lacking.remove(&child);
                self.woken.push_back(child);
            }
        }
    }

    /// Looks again at those whose inputs have become ready.
    pub(super) fn look_again(&mut self, chain: &ChainView<'_>, out: &mut Vec<Effect>) {
        while let Some(txid) = self.woken.pop_front() {
            let Some(entry) = self.entries.get(&txid).filter(|entry| !entry.dead) else { continue };
            match &entry.body {
                Body::Unchecked(copy) => {
                    let copy = copy.clone();
                    let votes = entry.certified.is_some()
                        || entry.is_final
                        || self.set.exceeds_third(entry.lock_votes.weight());
                    self.remove_unlocked(txid);
                    self.set_body(txid, Body::Missing);
                    if votes {
                        self.wanted_bodies.insert(txid);
                    }
                    let spend = self.judge_spend(chain, &copy);
                    self.take_copy(chain, copy, spend, out);
                    self.forget_unvoted(&txid);
                }
                Body::Resident(_) if !entry.locked => {
                    self.try_lock(chain, txid, None, out);
                    self.vote_final(txid, out);
                }
                _ => {}
            }
        }
    }

    /// A bad copy leaves nothing behind when no vote names its transaction.
    fn forget_unvoted(&mut self, txid: &TxId) {
        let is_nothing = |entry: &Entry| {
            matches!(entry.body, Body::Missing)
                && entry.lock_votes.weight() == 0
                && entry.final_votes.weight() == 0
                && !entry.voted_lock
                && !entry.voted_final
                && !entry.locked
        };
        if self.entries.get(txid).is_some_and(is_nothing) {
            self.entries.remove(txid);
        }
    }

    // -- bounds -----------------------------------------------------------------------------------------------------

    fn add_unlocked(&mut self, txid: TxId, bytes: usize) {
        if self.unlocked.insert(txid, bytes).is_none() {
            self.unlocked_bytes = self.unlocked_bytes.saturating_add(bytes);
        }
    }

    pub(super) fn remove_unlocked(&mut self, txid: TxId) {
        if let Some(bytes) = self.unlocked.remove(&txid) {
            self.unlocked_bytes = self.unlocked_bytes.saturating_sub(bytes);
        }
    }

    fn bound_unlocked(&mut self, newest: TxId, out: &mut Vec<Effect>) {
        let over = self.unlocked.len() > UNLOCKED_BODIES_MAX || self.unlocked_bytes > UNLOCKED_BYTES_MAX;
        if over && self.unlocked.contains_key(&newest) {
            self.drop_body(newest, DropReason::NoRoom, out);
        }
    }

    /// Bodies that are locked but not certified leave memory, oldest first; the journal has them, since a body is
    /// durable before its `Lock` vote. A node that does not vote has no such record and asks its peers again.
    pub(super) fn keep_resident(&mut self, txid: TxId, bytes: usize) {
        self.resident.push_back((txid, bytes));
        self.resident_bytes = self.resident_bytes.saturating_add(bytes);
        while self.resident_bytes > RESIDENT_BYTES_MAX {
            let Some((oldest, bytes)) = self.resident.pop_front() else { break };
            self.resident_bytes = self.resident_bytes.saturating_sub(bytes);
            let is_spare =
                |entry: &&Entry| entry.locked && entry.certified.is_none() && entry.resident().is_some();
            if let Some(entry) = self.entries.get(&oldest).filter(is_spare) {
                let body = if entry.voted_lock { Body::Spilled } else { Body::Missing };
                self.set_body(oldest, body);
            }
        }
    }

    /// Lets so much be locked that all that is spare leaves memory.
    #[cfg(test)]
    pub(crate) fn leave_bodies_to_the_journal(&mut self) {
        self.keep_resident(TxId::ZERO, RESIDENT_BYTES_MAX);
    }

    pub(super) fn trim_resident(&mut self) {
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

    /// What is wrong with the bookkeeping of this file, if anything is.
    pub(super) fn check_bodies(&self) -> Result<(), String> {
        let mut waiting_inputs = 0_usize;
        for (txid, lack) in self.lacking.sorted() {
            waiting_inputs = waiting_inputs.saturating_add(lack.outpoints.len());
            let is_listed = |outpoint| self.waiting.get(outpoint).is_some_and(|of| of.contains(txid));
            if !lack.outpoints.iter().all(is_listed) || !self.unlocked.contains_key(txid) {
                return Err(format!("{txid} waits, and is not listed so"));
            }
        }
        let listed: usize = self.waiting.values().map(BTreeSet::len).sum();
        if listed != waiting_inputs || listed != self.waiting_inputs || listed > WAITING_INPUTS_MAX {
            return Err("INV-FIN-6: the outputs that are waited for are not counted right".to_owned());
        }
        let bytes: usize = self.unlocked.sorted().into_iter().map(|(_, bytes)| *bytes).sum();
        if bytes != self.unlocked_bytes {
            return Err("the bytes of unlocked bodies are not counted right".to_owned());
        }
        let resident: usize = self.resident.iter().map(|(_, bytes)| bytes).sum();
        if resident != self.resident_bytes || resident > RESIDENT_BYTES_MAX {
            return Err("INV-FIN-6: the bytes of locked bodies are not counted right".to_owned());
        }
        let certified = self.certified.values().filter_map(|txid| self.entries.get(txid)?.resident());
        if certified.map(CheckedTransaction::encoded_bytes).sum::<usize>() != self.certified_bytes {
            return Err("INV-FIN-6: the bytes of certified bodies are not counted right".to_owned());
        }
        for (txid, entry) in self.entries.sorted() {
            let is_unlocked = match &entry.body {
                Body::Unchecked(_) => true,
                Body::Resident(_) => !entry.locked && entry.certified.is_none(),
                Body::Missing | Body::Spilled => false,
            };
            if is_unlocked != self.unlocked.contains_key(txid) {
                return Err(format!("INV-FIN-6: the body of {txid} is counted wrongly"));
            }
        }
        Ok(())
    }
}

fn outputs_of(txid: TxId) -> std::ops::RangeInclusive<OutPoint> {
    OutPoint { txid, index: 0 }..=OutPoint { txid, index: u32::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::finality::{Input, JournaledVotes};
    use crate::protocol::fixtures::{Chain, document, lock, user};
    use crate::types::{Amount, TxOut};

    /// A node that does not vote has written nothing: what leaves its memory is gone, and is asked for again.
    #[test]
    fn a_locked_body_is_left_to_the_journal_only_if_that_has_it() {
        let chain = Chain::new(&document(&[1, 1, 1, 1], 4));
        let view = ChainView { state: &chain.state, utxos: &chain.utxos };
        let payment = chain.split(&user(0), chain.owned(&user(0))[0], lock(&user(1)), 1);
        for votes in [false, true] {
            let me = votes.then(|| chain.state.validators().members()[0].key);
            let mut machine = Machine::new(me, &chain.state, JournaledVotes::default(), BTreeSet::new());
            let _cast = machine.step(&view, Input::TransactionReceived(payment.clone()));
            assert!(machine.transaction(&payment.txid()).is_some());
            machine.leave_bodies_to_the_journal();
            assert!(machine.transaction(&payment.txid()).is_none(), "INV-FIN-6");
            assert_eq!(machine.spilled().contains(&payment.txid()), votes);
            assert_eq!(machine.resident_bytes, RESIDENT_BYTES_MAX, "what has left counts no more");
        }
    }

    /// INV-FIN-6: else, after many blocks, bodies that wait for votes would leave memory though there is room.
    #[test]
    fn what_is_in_the_chain_takes_no_room_of_locked_bodies() {
        let mut chain = Chain::new(&document(&[1, 1, 1, 1], 4));
        let [open, included] =
            [0, 1].map(|from| chain.split(&user(from), chain.owned(&user(from))[0], lock(&user(2)), 1));
        let mut machine = Machine::new(None, &chain.state, JournaledVotes::default(), BTreeSet::new());
        let view = ChainView { state: &chain.state, utxos: &chain.utxos };
        for payment in [&open, &included] {
            let _locked = machine.step(&view, Input::TransactionReceived(payment.clone()));
        }
        assert_eq!(machine.resident_bytes, included.encoded_bytes() + open.encoded_bytes());
        let transactions = vec![included];
        chain.advance(1_000, false, &transactions, &[]);
        let view = ChainView { state: &chain.state, utxos: &chain.utxos };
        let _settled = machine.step(&view, Input::BlockApplied { transactions });
        machine.keep_resident(TxId::ZERO, RESIDENT_BYTES_MAX - open.encoded_bytes());
        assert!(machine.transaction(&open.txid()).is_some(), "all that is left fits");
        machine.keep_resident(TxId::ZERO, 1);
        assert!(machine.transaction(&open.txid()).is_none());
    }

    /// INV-FIN-6: whoever makes up parents must not fill memory with their names.
    #[test]
    fn what_waits_no_more_leaves_nothing_behind() {
        let chain = Chain::new(&document(&[1, 1, 1, 1], 4));
        let view = ChainView { state: &chain.state, utxos: &chain.utxos };
        let mut machine = Machine::new(None, &chain.state, JournaledVotes::default(), BTreeSet::new());
        let made_up = OutPoint { txid: TxId([7; 32]), index: 0 };
        let output = TxOut { value: Amount(1_000), lock: lock(&user(1)) };
        let child = chain.pay(&user(0), vec![made_up], vec![output]);
        let _waits = machine.step(&view, Input::TransactionReceived(child.clone()));
        assert_eq!((machine.waiting.len(), machine.lacking.len()), (1, 1));
        let _gone = machine.step(&view, Input::Expired(vec![child.txid()]));
        assert!(machine.waiting.is_empty() && machine.lacking.is_empty());
        assert!(machine.entries.is_empty() && machine.unlocked.is_empty());
    }

    /// INV-FIN-6: it comes again when there is room.
    #[test]
    fn a_body_for_whose_bytes_there_is_no_room_is_not_kept() {
        let chain = Chain::new(&document(&[1, 1, 1, 1], 4));
        let view = ChainView { state: &chain.state, utxos: &chain.utxos };
        let output = TxOut { value: Amount(1_000), lock: lock(&user(1)) };
        let child = chain.pay(&user(0), vec![OutPoint { txid: TxId([7; 32]), index: 0 }], vec![output]);
        let [held, rival] =
            [1, 2].map(|to| chain.split(&user(0), chain.owned(&user(0))[0], lock(&user(to)), 1));
        // One waits for what nobody knows, and one for the next epoch.
        let cases = [&child, &rival].map(|body| (body, UNLOCKED_BYTES_MAX - body.encoded_bytes()));
        let cases = cases.into_iter().flat_map(|(body, room)| [(body, room, true), (body, room + 1, false)]);
        for (body, others, fits) in cases {
            let mut machine = Machine::new(None, &chain.state, JournaledVotes::default(), BTreeSet::new());
            let _locked = machine.step(&view, Input::TransactionReceived(held.clone()));
            machine.add_unlocked(TxId([1; 32]), others);
            let effects = machine.step(&view, Input::TransactionReceived(body.clone()));
            let is_refused =
                |effect: &Effect| matches!(effect, Effect::Dropped { reason: DropReason::NoRoom, .. });
            assert_eq!(effects.iter().any(is_refused), !fits);
            assert_eq!(machine.unlocked.contains_key(&body.txid()), fits);
            assert!(machine.unlocked_bytes <= UNLOCKED_BYTES_MAX);
        }
    }

    /// INV-FIN-6: small ones are bounded by their number.
    #[test]
    fn no_more_bodies_than_there_are_places_for_are_kept_unlocked() {
        let chain = Chain::new(&document(&[1, 1, 1, 1], 4));
        let view = ChainView { state: &chain.state, utxos: &chain.utxos };
        let output = TxOut { value: Amount(1_000), lock: lock(&user(1)) };
        let child = chain.pay(&user(0), vec![OutPoint { txid: TxId([7; 32]), index: 0 }], vec![output]);
        for (others, fits) in [(UNLOCKED_BODIES_MAX - 1, true), (UNLOCKED_BODIES_MAX, false)] {
            let mut machine = Machine::new(None, &chain.state, JournaledVotes::default(), BTreeSet::new());
            for number in 0..others {
                let mut name = [1; 32];
                name[..8].copy_from_slice(&number.to_le_bytes());
                machine.add_unlocked(TxId(name), 1);
            }
            let _effects = machine.step(&view, Input::TransactionReceived(child.clone()));
            assert_eq!(machine.unlocked.contains_key(&child.txid()), fits, "beside {others}");
            assert_eq!(machine.lacking.contains_key(&child.txid()), fits, "beside {others}");
        }
    }

    /// INV-FIN-6.
    #[test]
    fn what_would_wait_for_more_than_there_is_room_for_is_not_kept() {
        let chain = Chain::new(&document(&[1, 1, 1, 1], 4));
        let view = ChainView { state: &chain.state, utxos: &chain.utxos };
        let output = TxOut { value: Amount(1_000), lock: lock(&user(1)) };
        let missing = [7, 8].map(|byte| OutPoint { txid: TxId([byte; 32]), index: 0 });
        let child = chain.pay(&user(0), missing.to_vec(), vec![output]);
        for (others, fits) in [(WAITING_INPUTS_MAX - 2, true), (WAITING_INPUTS_MAX - 1, false)] {
            let mut machine = Machine::new(None, &chain.state, JournaledVotes::default(), BTreeSet::new());
            machine.waiting_inputs = others;
            let _effects = machine.step(&view, Input::TransactionReceived(child.clone()));
            assert_eq!(machine.lacking.contains_key(&child.txid()), fits);
            assert_eq!(machine.waiting_inputs, others + if fits { 2 } else { 0 });
        }
    }
}
