//! Random payloads on a registry agree with a reading of the rules that looks at all records each time.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::protocol::fixtures::{document, lock, operator, user};
use crate::protocol::masternodes::Registry;
use crate::protocol::masternodes::membership::{self, EpochEnd, validator_set};
use crate::protocol::masternodes::payloads::{self, Call};
use crate::types::codec::{decode, encode};
use crate::types::{
    Amount, Lock, MasternodeRegistration, MasternodeUpdate, OperatorConsent, Payload, PublicKey, Transaction,
    TxId, TxOut,
};

/// What one step does, to which of the masternodes that exist, with which of a few keys.
#[derive(Clone, Copy, Debug)]
enum Step {
    Register { key: u8 },
    Announce { which: usize, key: u8, is_owner: bool },
    Exit { which: usize, is_owner: bool },
    EndEpoch { after_ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 1..12_u8;
    prop_oneof![
        3 => key().prop_map(|key| Step::Register { key }),
        5 => (0..8_usize, key(), prop::bool::weighted(0.9))
            .prop_map(|(which, key, is_owner)| Step::Announce { which, key, is_owner }),
        2 => (0..8_usize, prop::bool::weighted(0.9)).prop_map(|(which, is_owner)| Step::Exit { which, is_owner }),
        2 => (1..150_000_u64).prop_map(|after_ms| Step::EndEpoch { after_ms }),
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
}

impl World {
    fn apply(&mut self, payload: Payload, input_locks: &[Lock]) -> Result<MasternodeId, VoidReason> {
        self.number += 1;
        let mut txid = TxId::ZERO;
        txid.0[..8].copy_from_slice(&self.number.to_le_bytes());
        let collateral = TxOut { value: Amount(1_000_000), lock: lock(&user(0)) };
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
            Step::Register { key } => {
                let payload = Payload::MasternodeRegister(MasternodeRegistration {
                    collateral_index: 0,
                    operator: OperatorConsent::unsigned(public(key)),
                    payout: lock(&user(1)),
                    network_address: String::new(),
                });
                let marks = self.registry.void_collaterals().len();
                let effect = self.apply(payload, &[lock(&user(0))]);
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
            Step::EndEpoch { after_ms } => {
                self.now += after_ms;
                let (ended, attendance) = (validator_set(&self.registry, &self.parameters), BTreeMap::new());
                let at = EpochEnd {
                    parameters: &self.parameters,
                    ended: &ended,
                    attendance: &attendance,
                    end: self.now,
                };
                let next = membership::end_epoch(&mut self.registry, &at);
                assert!(next.len() >= 3);
                for member in next.members() {
                    assert_eq!(self.registry.get(&member.id).unwrap().operator_key, member.key);
                }
                assert!(self.registry.void_collaterals().is_empty());
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_key_belongs_to_two_and_none_is_lost(steps in prop::collection::vec(step(), 1..80)) {
        let document = document(&[1; 4], 0);
        let mut parameters = document.parameters.clone();
        parameters.unbonding_time_ms = 200_000;
        let registry = Registry::genesis(&document).unwrap();
        let mut world = World { registry, parameters, now: 1_000_000, number: 0 };
        steps.into_iter().for_each(|step| world.take(step));
    }
}
