//! Signatures and policy, and where a transaction goes that passes them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::checks::{
    Action, Admission, Candidate, Inputs, Moment, Origin, RETRY_LATER_MS, RETRY_SOON_MS, answer, refuse,
};
use super::waiting::WaitingError;
use super::{ANCESTORS_MAX, Refusal};
use crate::mempool::{PoolError, TransactionSource};
use crate::protocol::state::LedgerState;
use crate::protocol::validity::{CheckedTransaction, ShapedTransaction, check_spend_of};
use crate::types::{Amount, OutPoint, Transaction, TxId, UtxoEntry};
use crate::utxo::{LockConflict, LockError, OutputState};

/// Why a child may not wait for its parents.
const fn refused_to_wait(error: WaitingError) -> Refusal {
    let retry_after_ms = RETRY_SOON_MS;
    match error {
        WaitingError::Taken { outpoint, by } => Refusal::InputsTaken(LockConflict { outpoint, held_by: by }),
        WaitingError::TooManyAncestors => Refusal::TooManyAncestors { limit: ANCESTORS_MAX, retry_after_ms },
        WaitingError::Full => Refusal::WaitingFull { retry_after_ms },
    }
}

/// What a transaction would be if it were submitted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Its name.
    pub txid: TxId,
    /// Its encoded bytes.
    pub bytes: usize,
    /// What it pays.
    pub fee: Amount,
    /// Whether it would wait for parents that are not final yet.
    pub waits: bool,
}

impl Admission {
    /// Judges a user's transaction by all rules, and changes nothing.
    ///
    /// # Errors
    /// Why it would not be taken.
    pub fn judge(
        &self,
        transaction: Arc<Transaction>,
        state: &LedgerState,
        now: Moment,
    ) -> Result<Judged, Refusal> {
        let shape = ShapedTransaction::of(transaction, state.parameters())?;
        let txid = shape.txid();
        let source = TransactionSource::Local;
        let origin = Origin { source, ticket: None, is_requested: false, fee_max: None };
        let inputs = self.inputs_of(&shape, origin, state)?;
        let (fee, parents) = match inputs {
            Inputs::Known { fee, contested } if contested.is_empty() => (fee, None),
            Inputs::Known { .. } => return Err(self.taken(&shape)),
            Inputs::ChildOf { fee, parents } => (fee, Some(parents)),
            // Only transactions of peers wait for what nobody knows.
            Inputs::Unknown(_) => return Err(Refusal::Busy { retry_after_ms: RETRY_SOON_MS }),
        };
        let mut verified =
            ShapedTransaction::verify_many(vec![shape], state.chain_id(), &*self.parts.verifier);
        // There is one for each that was given.
        let transaction = verified.pop().ok_or(Refusal::Stopping)??;
        let bytes = transaction.encoded_bytes();
        let pool = &self.parts.pool;
        match &parents {
            None => pool.would_take(&txid, bytes, fee, now.wall_ms),
            Some(parents) => {
                self.waiting.has_room(&transaction, parents).map_err(refused_to_wait)?;
                pool.would_take_waiting(&txid, bytes, fee)
            }
        }
        .map_err(Refusal::Pool)?;
        Ok(Judged { txid, bytes, fee, waits: parents.is_some() })
    }

    // -- signatures and policy ----------------------------------------------------------------------------------------

    pub(super) fn verify_and_take(
        &mut self,
        candidates: Vec<Candidate>,
        state: &LedgerState,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        if candidates.is_empty() {
            return;
        }
        let shapes = candidates.iter().map(|candidate| candidate.shape.clone()).collect();
        let verified = ShapedTransaction::verify_many(shapes, state.chain_id(), &*self.parts.verifier);
        for (verified, Candidate { shape, origin, inputs }) in verified.into_iter().zip(candidates) {
            match verified {
                Err(error) => self.refuse_copy(&shape, origin, error.into(), out),
                Ok(transaction) if origin.is_requested => {
                    self.take_requested(transaction, origin, &inputs, now, out);
                }
                Ok(transaction) => match inputs {
                    Inputs::Known { fee, contested } if contested.is_empty() => {
                        self.take(transaction, origin, fee, now, out);
                    }
                    // One before it in this very call may have been the last that is passed on.
                    Inputs::Known { contested, .. }
                        if !self.contests.improves(&transaction.txid(), &contested) =>
                    {
                        let refusal = self.taken(&shape);
                        refuse(origin, refusal, out);
                    }
                    Inputs::Known { contested, .. } => {
                        self.contests.pass(&transaction.txid(), &contested);
                        let relayed = Arc::clone(transaction.transaction());
                        out.push(Action::Consider(transaction));
                        out.push(Action::Relay(relayed, origin.peer()));
                    }
                    Inputs::ChildOf { fee, parents } => {
                        self.wait(transaction, origin, (fee, parents), state, now, out);
                    }
                    Inputs::Unknown(_) => {}
                },
            }
        }
    }

    /// All inputs are known and free.
    fn take(
        &mut self,
        transaction: CheckedTransaction,
        origin: Origin,
        fee: Amount,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        let txid = transaction.txid();
        let locked = self.parts.utxos.lock(&transaction).map_err(|error| match error {
            LockError::Conflict(conflict) => conflict.into(),
            LockError::InChain { .. } => Refusal::AlreadyConfirmed,
            LockError::Full { locked } => Refusal::LocksFull { locked, retry_after_ms: RETRY_LATER_MS },
        });
        // What a rival took a moment ago comes again as a conflict, from another peer.
        if let Err(refusal) = locked {
            refuse(origin, refusal, out);
            return;
        }
        match self.parts.pool.insert(transaction.clone(), fee, now.wall_ms, origin.source) {
            Ok(inserted) => {
                if origin.peer().is_none() {
                    self.announcements.pushed(txid, now.steady_ms);
                }
                out.push(Action::Accepted(txid, origin.source));
                out.extend(inserted.evicted.into_iter().map(Action::Gone));
                let relayed = Arc::clone(transaction.transaction());
                out.push(Action::Consider(transaction));
                out.push(Action::Relay(relayed, origin.peer()));
            }
            // Another copy of what is in the pool.
            Err(PoolError::AlreadyKnown) => {}
            Err(PoolError::AlreadyInChain { .. }) => {
                refuse(origin, Refusal::AlreadyConfirmed, out);
                return;
            }
            Err(error) => {
                self.parts.utxos.release(&transaction);
                refuse(origin, Refusal::Pool(error), out);
                return;
            }
        }
        answer(origin, Ok(txid), out);
    }

    /// Others have certified it, or a proposal names it: the machine gets it, whatever else there is to say.
    fn take_requested(
        &mut self,
        transaction: CheckedTransaction,
        origin: Origin,
        inputs: &Inputs,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        let txid = transaction.txid();
        if let Inputs::Known { fee, .. } = inputs {
            self.parts.requested.came(&txid);
            let is_free = self.parts.utxos.lock(&transaction).is_ok();
            let pool = &self.parts.pool;
            if is_free && pool.insert(transaction.clone(), *fee, now.wall_ms, origin.source).is_ok() {
                out.push(Action::Accepted(txid, origin.source));
            }
            out.push(Action::Relay(Arc::clone(transaction.transaction()), origin.peer()));
        }
        out.push(Action::Consider(transaction));
        answer(origin, Ok(txid), out);
    }

    /// A user's child of what is on its way.
    fn wait(
        &mut self,
        transaction: CheckedTransaction,
        origin: Origin,
        (fee, parents): (Amount, BTreeSet<TxId>),
        state: &LedgerState,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        let txid = transaction.txid();
        if let Err(error) = self.waiting.insert(transaction.clone(), parents.clone()) {
            refuse(origin, refused_to_wait(error), out);
            return;
        }
        match self.parts.pool.insert_waiting(transaction, fee, now.wall_ms, origin.source) {
            Ok(()) => out.push(Action::Waits(txid)),
            Err(PoolError::AlreadyKnown) => {}
            Err(error) => {
                self.waiting.remove(&txid);
                refuse(origin, Refusal::Pool(error), out);
                return;
            }
        }
        answer(origin, Ok(txid), out);
        // Shown before the last look, so that what comes between is told.
        self.parts.news.note_waiting(self.waiting.len());
        self.look_at_parents(parents, state, now, out);
    }

    // -- those who wait -----------------------------------------------------------------------------------------------

    /// The parents of a child are final: now it is a transaction like any other.
    pub(super) fn push(
        &mut self,
        child: CheckedTransaction,
        state: &LedgerState,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        let find = |outpoint: &OutPoint| {
            let (output, height) = self.parts.utxos.find_output(outpoint)?;
            let height = height.unwrap_or_else(|| state.height().saturating_add(1));
            Some(UtxoEntry { output, height })
        };
        let entries: Option<Vec<UtxoEntry>> = child.inputs().iter().map(find).collect();
        let is_sound = entries.is_some_and(|entries| check_spend_of(child.shape(), &entries, state).is_ok());
        if !is_sound || self.parts.utxos.lock(&child).is_err() {
            self.forget(&child, out);
            let descendants = self.waiting.parent_dropped(&child.txid());
            descendants.iter().for_each(|descendant| self.forget(descendant, out));
            return;
        }
        self.announcements.pushed(child.txid(), now.steady_ms);
        out.push(Action::Relay(Arc::clone(child.transaction()), None));
        out.push(Action::Consider(child));
    }

    /// Looks at parents that may have become final or gone without news.
    fn look_at_parents(
        &mut self,
        parents: impl IntoIterator<Item = TxId>,
        state: &LedgerState,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        for parent in parents {
            let first = OutPoint { txid: parent, index: 0 };
            let state_of = self.parts.utxos.output_state(&first);
            let is_there = !matches!(state_of, OutputState::Unknown);
            if is_there {
                for child in self.waiting.parent_final(&parent) {
                    self.push(child, state, now, out);
                }
            } else if self.parts.pool.get(&parent).is_none() && !self.waiting.contains(&parent) {
                for child in self.waiting.parent_dropped(&parent) {
                    self.forget(&child, out);
                }
            }
        }
    }

    pub(super) fn look_at_all_parents(&mut self, state: &LedgerState, now: Moment, out: &mut Vec<Action>) {
        let parents = self.waiting.parents();
        self.look_at_parents(parents, state, now, out);
    }

    pub(super) fn forget(&self, transaction: &CheckedTransaction, out: &mut Vec<Action>) {
        let txid = transaction.txid();
        if self.parts.pool.remove(&txid).is_some() {
            self.parts.utxos.release(transaction);
            out.push(Action::Gone(txid));
        }
    }
}
