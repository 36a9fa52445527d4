//! Whose votes the machine casts, and what a restart finds in the journal of them.

use std::collections::BTreeMap;

use super::{Body, Machine};
use crate::protocol::finality::Effect;
use crate::types::{Epoch, FinalityVote, OutPoint, PublicKey, TxId, VoteKind};

/// What a node's journal says of its votes.
#[derive(Clone, Debug, Default)]
pub struct JournaledVotes {
    /// The journal may have forgotten what was voted in earlier epochs than this one. Their closing blocks were durable
    /// then; if the chain's data was lost since and such an epoch is gone through again, nothing is voted in it.
    pub forgotten_before: Epoch,
    /// What it did in the others.
    pub epochs: BTreeMap<Epoch, JournaledEpoch>,
}

/// What a node's journal says it did in one epoch.
#[derive(Clone, Debug, Default)]
pub struct JournaledEpoch {
    /// Its votes, with the inputs of their transactions.
    pub votes: Vec<(FinalityVote, Vec<OutPoint>)>,
    /// Whether it entered closing. Its first prevote at a closing height stands behind that record.
    pub closing: bool,
}

impl Machine {
    /// Takes over what the journal says of the current epoch (INV-FIN-1), before any transaction is looked at.
    pub(super) fn restore(&mut self) {
        self.closing |= self.epoch < self.journaled.forgotten_before;
        let epochs = &mut self.journaled.epochs;
        *epochs = epochs.split_off(&self.epoch);
        let Some(JournaledEpoch { votes, closing }) = epochs.remove(&self.epoch) else { return };
        self.closing |= closing;
        for (vote, inputs) in votes {
            let settled = self.settled.contains(&vote.txid);
            if vote.kind == VoteKind::Lock {
                for outpoint in inputs {
                    self.locks.get_or_insert(outpoint, vote.txid);
                }
            }
            if settled {
                continue;
            }
            let entry = self.entries.get_or_default(vote.txid);
            if matches!(entry.body, Body::Missing) {
                entry.body = Body::Spilled;
            }
            match vote.kind {
                VoteKind::Lock => {
                    entry.voted_lock = true;
                    entry.locked = true;
                }
                VoteKind::Final => {
                    entry.voted_final = true;
                    self.promises.insert(vote.txid);
                }
            }
        }
    }

    /// Transactions that the journal holds for this epoch and that are not in the chain: to be handed in again when
    /// the epoch begins.
    #[must_use]
    pub fn spilled(&self) -> Vec<TxId> {
        let spilled =
            self.entries.sorted().into_iter().filter(|(_, entry)| matches!(entry.body, Body::Spilled));
        spilled.map(|(txid, _)| *txid).collect()
    }

    /// A node that begins to sign in the middle of an epoch says what it would have said: the journal's locks were taken
    /// over before anything else (INV-FIN-1), so nothing here contradicts it. One that stops casts nothing more.
    pub(super) fn on_signer(&mut self, me: Option<PublicKey>, out: &mut Vec<Effect>) {
        self.me = me;
        self.my_place = me.and_then(|key| self.set.find_key(&key)).map(|(place, _)| place);
        self.cast_all(out);
    }

    pub(super) fn on_hold(&mut self, held: bool, out: &mut Vec<Effect>) {
        let was_held = std::mem::replace(&mut self.held, held);
        if was_held && !held {
            self.cast_all(out);
        }
    }

    /// Whether no vote is cast at present, whatever happens.
    pub(super) const fn is_silent(&self) -> bool {
        self.my_place.is_none() || self.closing || self.held
    }

    /// Says what was not said while the machine was silent.
    fn cast_all(&mut self, out: &mut Vec<Effect>) {
        if self.is_silent() {
            return;
        }
        // They are all looked at again.
        self.throttled.clear();
        let known: Vec<TxId> = self.entries.sorted().into_iter().map(|(txid, _)| *txid).collect();
        for txid in known {
            self.vote_lock(txid, out);
            self.vote_final(txid, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::protocol::finality::{ChainView, Input, JournaledVotes, Machine};
    use crate::protocol::fixtures::{Chain, document, lock, user};
    use crate::types::{FinalityVote, Released, VoteKind};

    /// INV-FIN-6: votes are held and let go with each round, and blocks may take many rounds to catch up.
    #[test]
    fn a_lock_waits_for_blocks_once_however_often_votes_are_held() {
        let mut genesis = document(&[1, 1, 1, 1], 4);
        genesis.parameters.voted_unblocked_max = 1;
        let chain = Chain::new(&genesis);
        let me = chain.state.validators().members()[0].key;
        let mut machine = Machine::new(Some(me), &chain.state, JournaledVotes::default(), BTreeSet::new());
        let view = ChainView { state: &chain.state, utxos: &chain.utxos };
        let [certified, waits] =
            [0, 1].map(|from| chain.split(&user(from), chain.owned(&user(from))[0], lock(&user(3)), 1));
        let vote = FinalityVote { kind: VoteKind::Lock, txid: certified.txid() };
        let _locked = machine.step(&view, Input::TransactionReceived(certified));
        for place in 1..4 {
            let batch = Released::heard(chain.votes(place, 0, vec![vote]));
            let _counted = machine.step(&view, Input::BatchReceived(batch));
        }
        let txid = waits.txid();
        let _waits = machine.step(&view, Input::TransactionReceived(waits));
        assert_eq!(machine.throttled, [txid]);
        for held in [true, false].repeat(10) {
            let _said = machine.step(&view, Input::VotesHeld(held));
        }
        assert_eq!(machine.throttled, [txid]);
    }
}
