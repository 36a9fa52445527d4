//! What owners and operators do while a world runs: they register masternodes whose nodes are there already, leave, hand
//! keys over, and free who was jailed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use timed::protocol::masternodes::{Jail, MasternodeRecord};
use timed::protocol::state::LedgerState;
use timed::protocol::validity::CheckedTransaction;
use timed::types::{
    Amount, GenesisDocument, MasternodeId, MasternodeRegistration, MasternodeUpdate, OperatorConsent,
    OutPoint, Payload, PublicKey, SecretKey, TxOut,
};

use crate::plan::{LARGE_WEIGHT, ghost_operator, operator, spare_operator};
use crate::workload::Coin;
use crate::world::{Item, World};

/// So long after an unsuccessful try the same is tried again, in milliseconds.
const AGAIN_MS: u64 = 8_000;

/// Keys of masternodes whose nodes never come up.
const GHOSTS: usize = 4;

/// What was asked for already.
#[derive(Default)]
pub struct Acts {
    /// When each spare key was registered or announced last.
    keys: BTreeMap<PublicKey, u64>,
    /// Of whom the jail since then was asked to end.
    freed: BTreeSet<(MasternodeId, u64)>,
    left: BTreeSet<MasternodeId>,
    /// Masternodes whose nodes never come up.
    ghosts: BTreeSet<MasternodeId>,
    /// Who was registered and has signed something.
    joined: BTreeSet<MasternodeId>,
}

impl World {
    /// The nodes that wait for a masternode, with their keys.
    fn spares(&self) -> Vec<(usize, SecretKey)> {
        let first = self.plan.validators + self.plan.full_nodes;
        (0..self.plan.spares).map(|spare| (first + spare, spare_operator(spare))).collect()
    }

    /// Masternodes that do as they please, or are not there.
    fn troubled(&self) -> BTreeSet<MasternodeId> {
        let absent = self.plan.absent.map(|index| self.id_of(index));
        let ghosts = self.acts.ghosts.iter().copied();
        self.oracle.signed.faulty.iter().copied().chain(absent).chain(ghosts).collect()
    }

    /// The weight of those of the current set that are in trouble, and of all.
    fn weight_in_trouble(&self) -> (u64, u64) {
        let (troubled, set) = (self.troubled(), self.oracle.state().validators());
        let members = set.members().iter().filter(|member| troubled.contains(&member.id));
        (members.map(|member| member.weight).sum(), set.members().iter().map(|member| member.weight).sum())
    }

    /// Whether less than a third of the next set's weight is in trouble: beyond that nothing is promised.
    pub(super) fn is_within_bounds(&self) -> bool {
        let (troubled, all) = self.weight_in_trouble();
        3 * troubled < all
    }

    /// Somebody acts.
    pub(super) fn act(&mut self) {
        let state = Arc::clone(self.oracle.state());
        let made = self.free_somebody(&state).or_else(|| {
            if self.faults_over {
                return None;
            }
            match self.random.below(4) {
                0 => self.leave(&state),
                1 => self.hand_over(&state),
                _ => self.register(&state),
            }
        });
        if let Some((coin, transaction)) = made {
            for transaction in self.workload.acted(coin, transaction, &mut self.random, self.now_ms) {
                self.submit_soon(transaction);
            }
        }
        let delay = self.random.between(300, 1_500);
        self.after(delay, Item::Act);
    }

    fn keys_that_are_free(&self, state: &LedgerState) -> Vec<(usize, SecretKey)> {
        let is_free = |(_, secret): &(usize, SecretKey)| {
            let asked = self.acts.keys.get(&secret.public());
            state.registry().owner_of_key(&secret.public()).is_none()
                && asked.is_none_or(|at_ms| at_ms + AGAIN_MS < self.now_ms)
        };
        self.spares().into_iter().filter(is_free).collect()
    }

    fn register(&mut self, state: &LedgerState) -> Option<(Coin, CheckedTransaction)> {
        let mut keys = self.keys_that_are_free(state);
        // Whoever enters weighs 1. With those who are in trouble already that has to stay less than a third.
        let (troubled, all) = self.weight_in_trouble();
        if 3 * (troubled + 2) < all + 2 && self.random.chance(300) {
            return self.register_ghost(state);
        }
        // Sometimes a key that is taken: the transfer stands, the registration is void.
        if keys.is_empty() && self.random.chance(300) {
            keys = self.spares();
        }
        if keys.is_empty() {
            return None;
        }
        let place = self.random.below(keys.len());
        let (node, secret) = keys.swap_remove(place);
        let weight = [1, 2, LARGE_WEIGHT][self.random.below(3)];
        let (id, coin, transaction) = self.registration(&secret, weight)?;
        self.log(|| format!("{} of weight {weight} is registered for node {node}", id.short()));
        self.nodes[node].ids.insert(id);
        Some((coin, transaction))
    }

    /// Somebody registers a large masternode, and no node has its key.
    fn register_ghost(&mut self, state: &LedgerState) -> Option<(Coin, CheckedTransaction)> {
        let is_free = |secret: &SecretKey| {
            let asked = self.acts.keys.get(&secret.public());
            state.registry().owner_of_key(&secret.public()).is_none()
                && asked.is_none_or(|at_ms| at_ms + AGAIN_MS < self.now_ms)
        };
        let secret = (0..GHOSTS).map(ghost_operator).find(is_free)?;
        let (id, coin, transaction) = self.registration(&secret, LARGE_WEIGHT)?;
        self.log(|| format!("{} is registered and never comes up", id.short()));
        self.acts.ghosts.insert(id);
        Some((coin, transaction))
    }

    /// A masternode of anybody who has the coins for it.
    fn registration(
        &mut self,
        secret: &SecretKey,
        weight: u64,
    ) -> Option<(MasternodeId, Coin, CheckedTransaction)> {
        let collateral = Amount(weight * 1_000_000);
        let coin = self.workload.take_coin(None, collateral.0 + 100_000, &mut self.random)?;
        let lock = self.workload.lock(coin.owner);
        let payload = Payload::MasternodeRegister(MasternodeRegistration {
            collateral_index: 0,
            operator: OperatorConsent::unsigned(secret.public()),
            payout: lock,
            network_address: String::new(),
        });
        let outputs = vec![TxOut { value: collateral, lock }];
        let transaction = self.workload.with_payload(coin, outputs, payload, &[secret]);
        let collateral = OutPoint { txid: transaction.txid(), index: 0 };
        self.acts.keys.insert(secret.public(), self.now_ms);
        Some((GenesisDocument::masternode_id(&collateral), coin, transaction))
    }

    /// Those in the set of whom nothing is known that would keep them from acting.
    fn able<'a>(&self, state: &'a LedgerState) -> Vec<(MasternodeId, &'a MasternodeRecord)> {
        let members = state.validators().members().iter();
        let records = members.filter_map(|member| Some((member.id, state.registry().get(&member.id)?)));
        let is_able = |(id, record): &(MasternodeId, &MasternodeRecord)| {
            record.is_eligible() && record.exit_requested.is_none() && !self.acts.left.contains(id)
        };
        records.filter(is_able).collect()
    }

    /// One leaves, while enough stay to do without one that is in trouble.
    fn leave(&mut self, state: &LedgerState) -> Option<(Coin, CheckedTransaction)> {
        let able = self.able(state);
        if able.len() <= 4 + self.troubled().len() {
            return None;
        }
        let (masternode, record) = able[self.random.below(able.len())];
        let owner = self.workload.owner_of(&record.owner)?;
        let coin = self.workload.take_coin(Some(owner), 100_000, &mut self.random)?;
        self.acts.left.insert(masternode);
        self.log(|| format!("{} is to leave", masternode.short()));
        let payload = Payload::MasternodeExit { masternode };
        Some((coin, self.workload.with_payload(coin, Vec::new(), payload, &[])))
    }

    /// A masternode's votes become another node's. Of those in trouble, so do those of a key that was copied.
    fn hand_over(&mut self, state: &LedgerState) -> Option<(Coin, CheckedTransaction)> {
        let troubled = self.troubled();
        let mut able = self.able(state);
        able.retain(|(id, _)| self.plan.copies > 0 || !troubled.contains(id));
        let (node, secret) = self.keys_that_are_free(state).pop()?;
        if able.is_empty() {
            return None;
        }
        let (masternode, record) = able[self.random.below(able.len())];
        let owner = self.workload.owner_of(&record.owner)?;
        let coin = self.workload.take_coin(Some(owner), 100_000, &mut self.random)?;
        self.acts.keys.insert(secret.public(), self.now_ms);
        self.nodes[node].ids.insert(masternode);
        self.log(|| format!("{} is handed over to node {node}", masternode.short()));
        let operator = Some(OperatorConsent::unsigned(secret.public()));
        let update =
            MasternodeUpdate { masternode, operator, payout: None, network_address: None, unjail: None };
        let payload = Payload::MasternodeUpdate(update);
        Some((coin, self.workload.with_payload(coin, Vec::new(), payload, &[&secret])))
    }

    /// An operator says that its node is up again, whether it is or not.
    fn free_somebody(&mut self, state: &LedgerState) -> Option<(Coin, CheckedTransaction)> {
        let jailed = state.masternodes().iter().find_map(|(id, record)| match record.jail {
            Some(Jail::Absence { since })
                if record.slashed.is_none() && !record.exited && !self.acts.freed.contains(&(*id, since)) =>
            {
                Some((*id, since, record.operator_key))
            }
            _ => None,
        });
        let (id, since, key) = jailed.filter(|_| self.random.chance(600))?;
        let validators = (0..self.plan.validators).map(operator);
        let spares = self.spares().into_iter().map(|(_, secret)| secret);
        let mut secrets = validators.chain(spares).chain((0..GHOSTS).map(ghost_operator));
        let secret = secrets.find(|secret| secret.public() == key)?;
        let coin = self.workload.take_coin(None, 100_000, &mut self.random)?;
        self.acts.freed.insert((id, since));
        let payload = Payload::MasternodeUpdate(MasternodeUpdate::unjail(id, key));
        Some((coin, self.workload.with_payload(coin, Vec::new(), payload, &[&secret])))
    }

    /// An epoch ended: collaterals that became free can be spent by their owners.
    pub(super) fn free_collaterals(&mut self) {
        let (oracle, state) = (&self.oracle, self.oracle.state());
        let freed = self.workload.free_collaterals(|outpoint| {
            let entry = oracle.utxo(outpoint)?;
            (!state.is_bound(outpoint)).then_some(entry.output.value)
        });
        self.seen.collaterals_freed += freed;
    }

    /// Somebody signed for this masternode.
    pub(super) fn note_signer(&mut self, id: MasternodeId) {
        if !self.ids.contains(&id) && self.acts.joined.insert(id) {
            self.seen.joined += 1;
        }
    }
}
