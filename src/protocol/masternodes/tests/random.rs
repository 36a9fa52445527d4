//! Random payloads on a registry agree with a reading of the rules that looks at all records each time.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::protocol::fixtures::{document, lock, operator, user};
use crate::protocol::masternodes::epoch_end::EpochEnd;
use crate::protocol::masternodes::membership::{self, genesis_set};
use crate::protocol::masternodes::payloads::{self, Call};
use crate::protocol::masternodes::{Attendance, Registry};
use crate::types::codec::{decode, encode};
use crate::types::genesis::Tier;
use crate::types::{
    Amount, Lock, MasternodeRegistration, MasternodeUpdate, OperatorConsent, Payload, PublicKey, Transaction,
    TxId, TxOut, ValidatorSet,
};

/// Commits by which members are judged.
const WINDOW: u32 = 6;
const TIERS: [u64; 3] = [1, 10, 100];

/// What one step does, to which of the masternodes that exist, with which of a few keys.
#[derive(Clone, Debug)]
enum Step {
    Register {
        key: u8,
        tier: usize,
    },
    Announce {
        which: usize,
        key: u8,
        is_owner: bool,
    },
    Exit {
        which: usize,
        is_owner: bool,
    },
    Unjail {
        which: usize,
    },
    /// Of each ten bits one for each commit of the epoch's own blocks, and which of the members sign it.
    EndEpoch {
        after_ms: u64,
        commits: Vec<u16>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 1..12_u8;
    // Mostly everybody, sometimes half of them.
    let signers = prop_oneof![3 => Just(u16::MAX), 1 => any::<u16>(), 1 => Just(0b111)];
    prop_oneof![
        3 => (key(), 0..TIERS.len()).prop_map(|(key, tier)| Step::Register { key, tier }),
        5 => (0..8_usize, key(), prop::bool::weighted(0.9))
            .prop_map(|(which, key, is_owner)| Step::Announce { which, key, is_owner }),
        2 => (0..8_usize, prop::bool::weighted(0.9)).prop_map(|(which, is_owner)| Step::Exit { which, is_owner }),
        2 => (0..8_usize).prop_map(|which| Step::Unjail { which }),
        4 => (1..60_000_u64, prop::collection::vec(signers, 1..9))
            .prop_map(|(after_ms, commits)| Step::EndEpoch { after_ms, commits }),
    ]
}

fn public(key: u8) -> PublicKey {
    operator(key).public()
}

/// Who votes or will vote with each key, by all records.
fn holders(registry: &Registry) -> BTreeMap<PublicKey, MasternodeId> {
    let mut holders = BTreeMap::new();
    for (id, record) in registry.records() {
        let announced = record.pending.as_ref().and_then(|pending| pending.operator_key);
        for key in announced.into_iter().chain([record.operator_key]) {
            assert_eq!(holders.insert(key, *id), None, "INV-REG-1: {key} belongs to two");
        }
    }
    holders
}

struct World {
    registry: Registry,
    parameters: ChainParameters,
    now: u64,
    number: u64,
    set: ValidatorSet,
    attendance: BTreeMap<MasternodeId, Attendance>,
    /// The same, commit by commit.
    signed: BTreeMap<MasternodeId, VecDeque<bool>>,
}

impl World {
    fn apply(&mut self, payload: Payload, input_locks: &[Lock]) -> Result<MasternodeId, VoidReason> {
        self.apply_with(1, payload, input_locks)
    }

    fn apply_with(
        &mut self,
        weight: u64,
        payload: Payload,
        input_locks: &[Lock],
    ) -> Result<MasternodeId, VoidReason> {
        self.number += 1;
        let mut txid = TxId::ZERO;
        txid.0[..8].copy_from_slice(&self.number.to_le_bytes());
        let collateral = TxOut { value: Amount(weight * 1_000_000), lock: lock(&user(0)) };
        let transaction = Transaction {
            version: 1,
            inputs: Vec::new(),
            outputs: vec![collateral],
            payload,
            witnesses: Vec::new(),
        };
        let call = Call { txid, transaction: &transaction, input_locks };
        payloads::apply(&mut self.registry, &self.parameters, self.number, call).unwrap().effect
    }

    fn owner(&self, id: MasternodeId, is_owner: bool) -> [Lock; 2] {
        [lock(&user(99)), if is_owner { self.registry.get(&id).unwrap().owner } else { lock(&user(98)) }]
    }

    fn pick(&self, which: usize) -> MasternodeId {
        let ids = self.registry.records().keys();
        *ids.clone().nth(which % ids.len()).unwrap()
    }

    fn take(&mut self, step: Step) {
        let before = holders(&self.registry);
        match step {
            Step::Register { key, tier } => {
                let payload = Payload::MasternodeRegister(MasternodeRegistration {
                    collateral_index: 0,
                    operator: OperatorConsent::unsigned(public(key)),
                    payout: lock(&user(1)),
                    network_address: String::new(),
                });
                let marks = self.registry.void_collaterals().len();
                let effect = self.apply_with(TIERS[tier], payload, &[lock(&user(0))]);
                assert_eq!(effect.is_ok(), !before.contains_key(&public(key)));
                assert_eq!(self.registry.void_collaterals().len(), marks + usize::from(effect.is_err()));
            }
            Step::Announce { which, key, is_owner } => {
                let (masternode, operator) = (self.pick(which), Some(OperatorConsent::unsigned(public(key))));
                let record = self.registry.get(&masternode).unwrap().clone();
                let update = MasternodeUpdate {
                    masternode,
                    operator,
                    payout: None,
                    network_address: None,
                    unjail: None,
                };
                let locks = self.owner(masternode, is_owner);
                let effect = self.apply(Payload::MasternodeUpdate(update), &locks);
                let allowed = is_owner && !record.exited && !before.contains_key(&public(key));
                assert_eq!(effect.is_ok(), allowed);
                let holder = self.registry.owner_of_key(&public(key));
                assert_eq!(holder, before.get(&public(key)).copied().or(allowed.then_some(masternode)));
            }
            Step::Exit { which, is_owner } => {
                let masternode = self.pick(which);
                let record = self.registry.get(&masternode).unwrap().clone();
                let locks = self.owner(masternode, is_owner);
                let effect = self.apply(Payload::MasternodeExit { masternode }, &locks);
                assert_eq!(effect.is_ok(), is_owner && !record.exited && record.exit_requested.is_none());
            }
            Step::Unjail { which } => {
                let masternode = self.pick(which);
                let record = self.registry.get(&masternode).unwrap().clone();
                let update = MasternodeUpdate::unjail(masternode, record.operator_key);
                let effect = self.apply(Payload::MasternodeUpdate(update), &[]);
                assert_eq!(effect.is_ok(), record.jail.is_some() && !record.exited);
            }
            Step::EndEpoch { after_ms, commits } => {
                self.now += after_ms;
                self.end_epoch(&commits);
            }
        }
        let after = holders(&self.registry);
        for key in 0..20 {
            assert_eq!(self.registry.owner_of_key(&public(key)), after.get(&public(key)).copied());
        }
        // What follows from the records follows from them again.
        assert_eq!(decode::<Registry>(&encode(&self.registry)).as_ref(), Ok(&self.registry));
    }
}

impl World {
    fn end_epoch(&mut self, commits: &[u16]) {
        for commit in commits {
            for (place, member) in self.set.members().iter().enumerate() {
                let has_signed = commit >> place & 1 == 1;
                self.attendance.entry(member.id).or_default().note(has_signed, WINDOW);
                let signed = self.signed.entry(member.id).or_default();
                signed.push_front(has_signed);
                signed.truncate(usize::try_from(WINDOW).unwrap());
            }
        }
        let (before, ended) = (self.registry.clone(), self.set.clone());
        let at = EpochEnd {
            parameters: &self.parameters,
            ended: &ended,
            attendance: &self.attendance,
            commits: u32::try_from(commits.len()).unwrap(),
            end: self.now,
        };
        self.set = membership::end_epoch(&mut self.registry, &at);
        self.hold_growth(&before, &ended, commits.len());
        self.hold_set(&before, &ended);
        let (set, registry) = (&self.set, &self.registry);
        self.attendance.retain(|id, _| set.index_of(id).is_some());
        self.signed.retain(|id, _| set.index_of(id).is_some());
        for member in set.members() {
            let record = registry.get(&member.id).unwrap();
            assert_eq!((record.operator_key, record.effective_weight), (member.key, member.weight));
            self.attendance.entry(member.id).or_default();
        }
        assert!(registry.void_collaterals().is_empty());
    }

    /// Of the `newest` commits, more than two thirds were missed.
    fn misses(&self, id: &MasternodeId, newest: usize) -> bool {
        let signed: Vec<bool> = self.signed[id].iter().copied().take(newest).collect();
        signed.iter().filter(|signed| !**signed).count() * 3 > signed.len() * 2
    }

    /// INV-REG-5, and who is jailed beyond the cap.
    fn hold_growth(&self, before: &Registry, ended: &ValidatorSet, commits: usize) {
        let window = usize::try_from(WINDOW).unwrap();
        let mut growth = 0;
        for member in ended.members() {
            let old = before.get(&member.id).unwrap();
            let Some(new) = self.registry.get(&member.id) else { continue };
            let is_full = self.signed[&member.id].len() == window;
            let has_attended =
                is_full && !self.misses(&member.id, window) && !self.misses(&member.id, commits);
            if self.set.index_of(&member.id).is_some() {
                let step = new.effective_weight - old.effective_weight;
                growth += step;
                assert!(step == 0 || has_attended, "INV-REG-5: it grew without attending");
                assert!(new.effective_weight <= new.weight, "INV-REG-5");
                assert_eq!(new.on_trial, old.on_trial && !has_attended);
            }
            let wants_out = old.exit_requested.is_some() || old.slashed.is_some();
            if is_full && self.misses(&member.id, window) && old.is_growing() && !wants_out {
                assert!(
                    new.jail.is_some() || !old.on_trial,
                    "on trial and absent: jailed whatever the cap is"
                );
                assert!(
                    new.jail.is_some() || self.proven() == 3,
                    "growing and absent: jailed beyond the cap"
                );
            }
        }
        assert!(
            growth <= (ended.total_weight() / 10).max(1),
            "INV-REG-5: {growth} of {}",
            ended.total_weight()
        );
    }

    fn proven(&self) -> usize {
        self.registry.records().values().filter(|record| record.is_proven()).count()
    }

    /// INV-REG-2 and INV-REG-6, and that the set is the one that the rules say.
    fn hold_set(&self, before: &Registry, ended: &ValidatorSet) {
        let set = &self.set;
        let mut proven = 0;
        let mut on_trial = 0;
        for member in set.members() {
            let record = self.registry.get(&member.id).unwrap();
            assert!(record.is_eligible() && record.left.is_none());
            if record.on_trial {
                on_trial += 1;
                assert_eq!(member.weight, 1);
            } else {
                proven += member.weight;
                assert!(ended.index_of(&member.id).is_some(), "nobody enters as proven");
            }
        }
        assert!(set.len() <= usize::try_from(self.parameters.max_validators).unwrap());
        assert!(self.proven() >= 3, "INV-REG-2");
        assert!(proven >= set.quorum(), "INV-REG-6: {proven} of {}", set.total_weight());
        for (id, record) in self.registry.records() {
            if set.index_of(id).is_none() {
                assert_eq!((record.effective_weight, record.on_trial), (1, true));
            }
        }
        // Whoever gave way to another has no more weight than anybody who stays, by its tier.
        let lightest = set.members().iter().map(|member| self.registry.get(&member.id).unwrap().weight).min();
        for member in ended.members() {
            let record = self.registry.get(&member.id).filter(|record| record.is_eligible());
            let was_proven = before.get(&member.id).unwrap().is_proven();
            if let Some(record) = record.filter(|_| was_proven && set.index_of(&member.id).is_none()) {
                assert!(Some(record.weight) <= lightest);
            }
        }
        // A trial that is free is given, if somebody waits who could keep a seat.
        let free = usize::try_from(self.parameters.max_validators).unwrap() > set.len();
        let waits = self.registry.records().iter();
        let mut waits = waits.filter(|(id, record)| record.is_eligible() && set.index_of(id).is_none());
        assert!(
            !free || on_trial >= (proven / 10).max(1) || waits.next().is_none(),
            "a seat and a trial are free"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_key_belongs_to_two_and_no_set_depends_on_newcomers(
        steps in prop::collection::vec(step(), 1..120),
        weight in prop::sample::select(TIERS.to_vec()),
        max_validators in 4..12_u32,
    ) {
        let document = document(&[weight; 4], 0);
        let mut parameters = document.parameters.clone();
        parameters.unbonding_time_ms = 200_000;
        parameters.recent_commits = WINDOW;
        parameters.max_validators = max_validators;
        parameters.jail_cap = Ratio { numerator: 1, denominator: 4 };
        parameters.tiers = TIERS
            .map(|weight| Tier { name: weight.to_string(), collateral: Amount(weight * 1_000_000), weight })
            .to_vec();
        let registry = Registry::genesis(&document).unwrap();
        let set = genesis_set(&registry, &parameters);
        let (attendance, signed) = (BTreeMap::new(), BTreeMap::new());
        let (now, number) = (1_000_000, 0);
        let mut world = World { registry, parameters, now, number, set, attendance, signed };
        steps.into_iter().for_each(|step| world.take(step));
    }
}
