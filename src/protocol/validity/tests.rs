//! Every rule of a transaction, broken one at a time.

use std::collections::BTreeSet;

use super::*;
use crate::protocol::fixtures::{Chain, document, lock, operator, update_of, user};
use crate::types::keys::SequentialVerifier;
use crate::types::{
    MasternodeId, MasternodeRegistration, MasternodeUpdate, OperatorConsent, SecretKey, Signature, TxId,
    Witness,
};

fn chain() -> Chain {
    Chain::new(&document(&[1, 1, 1, 1], 3))
}

/// User 0 pays user 9 all but `fee`.
fn payment(chain: &Chain, fee: u64) -> Transaction {
    let (outpoint, entry) = chain.owned(&user(0))[0];
    let output = TxOut { value: Amount(entry.output.value.0 - fee), lock: lock(&user(9)) };
    Transaction::transfer(vec![outpoint], vec![output], b"hello".to_vec())
}

fn signed(chain: &Chain, transaction: Transaction, secrets: &[&SecretKey]) -> Transaction {
    transaction.signed(chain.state.chain_id(), secrets)
}

fn check(chain: &Chain, transaction: &Transaction) -> Result<CheckedTransaction, TransactionError> {
    let (chain_id, parameters) = (chain.state.chain_id(), chain.state.parameters());
    CheckedTransaction::check(Arc::new(transaction.clone()), chain_id, parameters, &SequentialVerifier)
}

fn spend(chain: &Chain, transaction: &Transaction) -> Result<Amount, TransactionError> {
    let checked = check(chain, transaction)?;
    let entries: Vec<UtxoEntry> = checked.inputs().iter().map(|outpoint| chain.entry(outpoint)).collect();
    check_spend(&checked, &entries, &chain.state)
}

fn outpoint(index: u32) -> OutPoint {
    OutPoint { txid: TxId([7; 32]), index }
}

fn witness(number: u32) -> Witness {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    Witness { key: PublicKey(key), signature: Signature::EMPTY }
}

#[test]
fn a_payment_is_valid_and_pays_its_fee() {
    let chain = chain();
    let transaction = signed(&chain, payment(&chain, 1_234), &[&user(0)]);
    assert_eq!(spend(&chain, &transaction), Ok(Amount(1_234)));
    let checked = check(&chain, &transaction).unwrap();
    assert_eq!(checked.txid(), transaction.txid());
    assert_eq!(checked.encoded_bytes(), encode(&transaction).len());
    assert_eq!(check_structure(&transaction, chain.state.parameters()), Ok(()));
}

#[test]
fn each_rule_of_the_shape_is_held() {
    use TransactionError as E;
    let chain = chain();
    let base = signed(&chain, payment(&chain, 1_000), &[&user(0)]);
    type Change = fn(&mut Transaction);
    let cases: [(Change, E); 18] = [
        (|tx| tx.version = 0, E::UnsupportedVersion { version: 0 }),
        (|tx| tx.version = 2, E::UnsupportedVersion { version: 2 }),
        (|tx| tx.payload = Payload::Reward { height: 1 }, E::RewardFromOutside),
        (|tx| tx.inputs.clear(), E::NoInputs),
        (|tx| tx.inputs = (0..1_001).map(outpoint).collect(), E::TooManyInputs { count: 1_001 }),
        (|tx| tx.outputs.clear(), E::NoOutputs),
        (|tx| tx.outputs = vec![tx.outputs[0]; 1_001], E::TooManyOutputs { count: 1_001 }),
        (
            |tx| tx.inputs = vec![outpoint(1), outpoint(2), outpoint(1)],
            E::DuplicateInput { outpoint: outpoint(1) },
        ),
        (|tx| tx.outputs.push(TxOut { value: Amount::ZERO, ..tx.outputs[0] }), E::ZeroOutput { index: 1 }),
        (|tx| tx.outputs.push(TxOut { value: Amount(u64::MAX), ..tx.outputs[0] }), E::OutputsOverflow),
        (|tx| tx.payload = Payload::Transfer { memo: vec![0; 257] }, E::MemoTooLong { length: 257 }),
        (
            |tx| {
                tx.inputs = (0..1_000).map(outpoint).collect();
                tx.witnesses = (0..1_000).map(witness).collect();
            },
            E::TooLarge { bytes: 132_000 + 44 + 2 + 5 + 4 + 4 * 8 },
        ),
        (|tx| tx.witnesses.clear(), E::NoWitness),
        (|tx| tx.witnesses.push(witness(u32::MAX)), E::TooManyWitnesses { witnesses: 2, inputs: 1 }),
        (
            |tx| {
                tx.inputs.push(outpoint(1));
                tx.witnesses = vec![witness(1), witness(1)];
            },
            E::UnorderedWitnesses { index: 1 },
        ),
        (
            |tx| {
                tx.inputs.extend([outpoint(1), outpoint(2)]);
                tx.witnesses = vec![witness(1), witness(3), witness(2)];
            },
            E::UnorderedWitnesses { index: 2 },
        ),
        (|tx| tx.witnesses[0].signature.0[5] ^= 1, E::BadSignature { key: user(0).public() }),
        (|tx| tx.outputs[0].value.0 -= 1, E::BadSignature { key: user(0).public() }),
    ];
    for (change, expected) in cases {
        let mut changed = base.clone();
        change(&mut changed);
        assert_eq!(check(&chain, &changed).unwrap_err(), expected);
        if !matches!(expected, E::BadSignature { .. }) {
            assert_eq!(check_structure(&changed, chain.state.parameters()), Err(expected));
        }
    }
}

#[test]
fn a_transaction_may_have_all_of_its_bytes_and_not_one_more() {
    let chain = chain();
    let of = |count: u32, memo: usize| {
        let mut transaction = payment(&chain, 1_000);
        transaction.inputs = (0..count).map(outpoint).collect();
        transaction.witnesses = (0..count).map(witness).collect();
        transaction.payload = Payload::Transfer { memo: vec![0; memo] };
        transaction
    };
    let bytes = |count: u32, memo: usize| encode(&of(count, memo)).len();
    let count = (1..1_000).rev().find(|count| bytes(*count, 0) <= TRANSACTION_BYTES_MAX).unwrap();
    let memo = TRANSACTION_BYTES_MAX - bytes(count, 0);
    for (memo, is_too_large) in [(memo, false), (memo + 1, true)] {
        let error = check(&chain, &of(count, memo)).unwrap_err();
        assert_eq!(matches!(error, TransactionError::TooLarge { .. }), is_too_large, "{error:?}");
    }
}

fn registration(index: u32) -> Payload {
    Payload::MasternodeRegister(MasternodeRegistration {
        collateral_index: index,
        operator: OperatorConsent::unsigned(operator(9).public()),
        payout: lock(&user(2)),
        network_address: "time.example:24000".to_owned(),
    })
}

/// User 0 registers a masternode: output 0 is the collateral.
fn register(chain: &Chain) -> Transaction {
    let mut transaction = payment(chain, 1_000);
    let change =
        TxOut { value: Amount(transaction.outputs[0].value.0 - 1_000_000), ..transaction.outputs[0] };
    transaction.outputs = vec![TxOut { value: Amount(1_000_000), ..change }, change];
    transaction.payload = registration(0);
    transaction
}

fn consented(chain: &Chain, transaction: Transaction) -> Transaction {
    let operators = [&operator(7), &operator(8), &operator(9)];
    signed(chain, transaction.consented(chain.state.chain_id(), &operators), &[&user(0)])
}

#[test]
fn each_rule_of_a_registration_is_held() {
    use TransactionError as E;
    let chain = chain();
    let base = register(&chain);
    assert_eq!(spend(&chain, &consented(&chain, base.clone())), Ok(Amount(1_000)));
    let register_with = |change: fn(&mut MasternodeRegistration)| {
        let mut transaction = base.clone();
        if let Payload::MasternodeRegister(registration) = &mut transaction.payload {
            change(registration);
        }
        transaction
    };
    let with_value = |value: u64| {
        let mut transaction = base.clone();
        transaction.outputs[0].value = Amount(value);
        transaction
    };
    let weak = PublicKey::ZERO;
    assert!(weak.is_weak());
    let cases: Vec<(&str, Transaction, Option<E>)> = vec![
        (
            "the last output as collateral is no tier's",
            Transaction { payload: registration(1), ..base.clone() },
            { Some(E::UnknownTier { value: base.outputs[1].value }) },
        ),
        (
            "no such output",
            Transaction { payload: registration(2), ..base.clone() },
            Some(E::NoCollateral { index: 2, outputs: 2 }),
        ),
        (
            "the last place of all",
            Transaction { payload: registration(u32::MAX), ..base.clone() },
            Some(E::NoCollateral { index: u32::MAX, outputs: 2 }),
        ),
        ("one unit less", with_value(999_999), Some(E::UnknownTier { value: Amount(999_999) })),
        ("one unit more", with_value(1_000_001), Some(E::UnknownTier { value: Amount(1_000_001) })),
        (
            "a weak key",
            register_with(|r| r.operator.key = PublicKey::ZERO),
            Some(E::WeakOperatorKey { key: weak }),
        ),
        (
            "an address with a space",
            register_with(|r| r.network_address = "a b".to_owned()),
            Some(E::BadNetworkAddress),
        ),
        (
            "with a line break",
            register_with(|r| r.network_address = "a\n".to_owned()),
            Some(E::BadNetworkAddress),
        ),
        (
            "beyond ASCII",
            register_with(|r| r.network_address = "\u{e9}".to_owned()),
            Some(E::BadNetworkAddress),
        ),
        ("too long", register_with(|r| r.network_address = "a".repeat(129)), Some(E::BadNetworkAddress)),
        ("as long as may be", register_with(|r| r.network_address = "a".repeat(128)), None),
    ];
    all_are_judged(&chain, cases);
}

#[test]
fn each_rule_of_an_update_is_held() {
    use TransactionError as E;
    let chain = chain();
    let base = register(&chain);
    let update_with = |change: fn(&mut MasternodeUpdate)| {
        let mut update = update_of(MasternodeId([1; 32]));
        change(&mut update);
        Transaction { payload: Payload::MasternodeUpdate(update), ..base.clone() }
    };
    let weak = PublicKey::ZERO;
    let unsigned = OperatorConsent::unsigned;
    let cases: Vec<(&str, Transaction, Option<E>)> = vec![
        ("an update of nothing", update_with(|_| ()), Some(E::EmptyUpdate)),
        ("an update of the payout", update_with(|u| u.payout = Some(lock(&user(1)))), None),
        ("of the address", update_with(|u| u.network_address = Some("a".to_owned())), None),
        (
            "of a bad address",
            update_with(|u| u.network_address = Some(" ".to_owned())),
            Some(E::BadNetworkAddress),
        ),
        (
            "of the key",
            update_with(|u| u.operator = Some(OperatorConsent::unsigned(operator(8).public()))),
            None,
        ),
        (
            "to a weak key",
            update_with(|u| u.operator = Some(OperatorConsent::unsigned(PublicKey::ZERO))),
            Some(E::WeakOperatorKey { key: weak }),
        ),
        (
            "un-jailing by a weak key",
            update_with(|u| u.unjail = Some(OperatorConsent::unsigned(PublicKey::ZERO))),
            Some(E::WeakOperatorKey { key: weak }),
        ),
        (
            "un-jailing alone",
            {
                let update = MasternodeUpdate {
                    unjail: Some(unsigned(operator(7).public())),
                    ..update_of(MasternodeId::ZERO)
                };
                Transaction { payload: Payload::MasternodeUpdate(update), ..base.clone() }
            },
            None,
        ),
        (
            "an exit",
            Transaction {
                payload: Payload::MasternodeExit { masternode: MasternodeId::ZERO },
                ..base.clone()
            },
            None,
        ),
    ];
    all_are_judged(&chain, cases);
}

/// Each is refused for its rule, or taken.
fn all_are_judged(chain: &Chain, cases: Vec<(&str, Transaction, Option<TransactionError>)>) {
    for (description, transaction, expected) in cases {
        let found = check(chain, &consented(chain, transaction)).err();
        assert_eq!(found, expected, "{description}");
    }
}

#[test]
fn an_operator_agrees_to_one_transaction_on_one_chain() {
    let chain = chain();
    let chain_id = chain.state.chain_id();
    let good = consented(&chain, register(&chain));
    assert!(check(&chain, &good).is_ok());
    let bad = TransactionError::BadConsent { key: operator(9).public() };
    assert!(!bad.is_of_this_copy_only(), "the txid covers it, so every copy has it");
    let sign = |transaction: Transaction| transaction.signed(chain_id, &[&user(0)]);
    // Nobody agreed; another key did; it was on another chain.
    assert_eq!(check(&chain, &sign(register(&chain))).unwrap_err(), bad);
    let mut by_another = register(&chain);
    if let Payload::MasternodeRegister(registration) = &mut by_another.payload {
        registration.operator.signature = operator(8).sign(&register(&chain).consent_digest(chain_id));
    }
    assert_eq!(check(&chain, &sign(by_another)).unwrap_err(), bad);
    let elsewhere = register(&chain).consented(&ChainId([1; 32]), &[&operator(9)]);
    assert_eq!(check(&chain, &sign(elsewhere)).unwrap_err(), bad);
    // Whatever else of the transaction changes, the operator did not agree to it.
    type Change = fn(&mut Transaction);
    let changes: [Change; 6] = [
        |tx| tx.inputs[0].index ^= 1,
        |tx| tx.outputs[1].value.0 -= 1,
        |tx| tx.outputs[0].lock = lock(&user(5)),
        |tx| tx.outputs.truncate(1),
        |tx| {
            if let Payload::MasternodeRegister(registration) = &mut tx.payload {
                registration.payout = lock(&user(5));
            }
        },
        |tx| {
            if let Payload::MasternodeRegister(registration) = &mut tx.payload {
                registration.network_address.push('0');
            }
        },
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut changed = good.clone();
        change(&mut changed);
        assert_ne!(changed.txid(), good.txid());
        assert_eq!(check(&chain, &sign(changed)).unwrap_err(), bad, "case {index}");
    }
    // Its signature is part of the txid, so a stranger can't change it under the owner's.
    let mut forged = good.clone();
    if let Payload::MasternodeRegister(registration) = &mut forged.payload {
        registration.operator.signature.0[0] ^= 1;
    }
    assert_ne!(forged.txid(), good.txid());
    assert_eq!(check(&chain, &forged).unwrap_err(), TransactionError::BadSignature { key: user(0).public() });
    assert_eq!(check(&chain, &sign(forged)).unwrap_err(), bad);

    // Of two operators each one is needed.
    let update = MasternodeUpdate {
        operator: Some(OperatorConsent::unsigned(operator(8).public())),
        unjail: Some(OperatorConsent::unsigned(operator(7).public())),
        ..update_of(MasternodeId::ZERO)
    };
    let both = Transaction { payload: Payload::MasternodeUpdate(update), ..register(&chain) };
    for (operators, expected) in [
        (vec![operator(7), operator(8)], None),
        (vec![operator(8)], Some(TransactionError::BadConsent { key: operator(7).public() })),
        (vec![operator(7)], Some(TransactionError::BadConsent { key: operator(8).public() })),
    ] {
        let by: Vec<&SecretKey> = operators.iter().collect();
        assert_eq!(check(&chain, &sign(both.clone().consented(chain_id, &by))).err(), expected);
    }
    let copies = [good.clone(), sign(register(&chain)), good].map(Arc::new);
    let parameters = chain.state.parameters();
    let many = CheckedTransaction::check_many(copies.into(), chain_id, parameters, &SequentialVerifier);
    assert!(many[0].is_ok() && many[2].is_ok());
    assert_eq!(many[1], Err(bad));
}

#[test]
fn bounds_themselves_are_allowed() {
    let chain = chain();
    let mut transaction = payment(&chain, 1_000);
    transaction.inputs = (0..1_000).map(outpoint).collect();
    transaction.outputs = vec![TxOut { value: Amount(1), ..transaction.outputs[0] }; 1_000];
    transaction.payload = Payload::Transfer { memo: vec![0; 256] };
    let transaction = signed(&chain, transaction, &[&user(0)]);
    assert_eq!(check_structure(&transaction, chain.state.parameters()), Ok(()));
}

#[test]
fn a_signature_of_another_chain_does_not_hold() {
    let chain = chain();
    let transaction = payment(&chain, 1_000).signed(&ChainId([1; 32]), &[&user(0)]);
    assert_eq!(
        check(&chain, &transaction).unwrap_err(),
        TransactionError::BadSignature { key: user(0).public() }
    );
}

/// INV-VALID-3.
#[test]
fn each_rule_of_spending_is_held() {
    use TransactionError as E;
    let chain = chain();
    let base = payment(&chain, 1_000);
    let value = chain.owned(&user(0))[0].1.output.value;
    let (other, _) = chain.owned(&user(1))[0];
    let (collateral, bound) = chain.owned(&user(101))[0];

    let stranger = signed(&chain, base.clone(), &[&user(5)]);
    assert_eq!(spend(&chain, &stranger), Err(E::MissingWitness { outpoint: base.inputs[0] }));

    let mut two = base.clone();
    two.inputs.push(other);
    let half = signed(&chain, two.clone(), &[&user(0)]);
    assert_eq!(spend(&chain, &half), Err(E::MissingWitness { outpoint: other }));
    let both = signed(&chain, two.clone(), &[&user(0), &user(1)]);
    assert_eq!(spend(&chain, &both), Ok(Amount(1_000 + value.0)));

    two.inputs = [chain.owned(&user(0))[0].0, base.inputs[0]].to_vec();
    two.inputs[0] = other;
    let extra = signed(&chain, two, &[&user(0), &user(1)]);
    assert!(spend(&chain, &extra).is_ok());
    let checked = check(&chain, &extra).unwrap();
    let own = chain.entry(&base.inputs[0]);
    let unneeded = check_spend(&checked, &[own, own], &chain.state);
    assert_eq!(unneeded, Err(E::UnneededWitness { key: user(1).public() }));
    assert_eq!(check_spend(&checked, &[own], &chain.state), Err(E::InputsMismatch { inputs: 2, given: 1 }));

    let mut thief = base.clone();
    thief.inputs = vec![collateral];
    thief.outputs[0].value = Amount(bound.output.value.0 - 1_000);
    let thief = signed(&chain, thief, &[&user(101)]);
    assert_eq!(spend(&chain, &thief), Err(E::CollateralBound { outpoint: collateral }));

    let mut overspent = base.clone();
    overspent.outputs[0].value = Amount(value.0 + 1);
    let expected = E::Overspent { inputs: value, outputs: Amount(value.0 + 1) };
    assert_eq!(spend(&chain, &signed(&chain, overspent, &[&user(0)])), Err(expected));

    let cheap = signed(&chain, payment(&chain, 999), &[&user(0)]);
    let expected = E::FeeTooLow { fee: Amount(999), minimum: Amount(1_000) };
    assert_eq!(spend(&chain, &cheap), Err(expected));

    let mut entries = [own, own];
    entries[0].output.value = Amount(u64::MAX);
    entries[0].output.lock = lock(&user(1));
    assert_eq!(check_spend(&checked, &entries, &chain.state), Err(E::InputsOverflow));
}

#[test]
fn the_fee_counts_started_thousands() {
    let chain = chain();
    let parameters = chain.state.parameters();
    for (bytes, steps) in [(1, 1), (1_000, 1), (1_001, 2), (99_001, 100), (100_000, 100)] {
        assert_eq!(minimum_fee(bytes, parameters), Amount(steps * 1_000), "{bytes}");
    }
    let dear = ChainParameters { min_fee_per_kb: Amount(u64::MAX), ..parameters.as_ref().clone() };
    assert_eq!(minimum_fee(2_000, &dear), Amount(u64::MAX));
}

#[test]
fn many_are_checked_at_once_and_only_the_bad_ones_fail() {
    let chain = chain();
    let good = |seed: u8| {
        let mut transaction = payment(&chain, 1_000);
        transaction.payload = Payload::Transfer { memo: vec![seed] };
        signed(&chain, transaction, &[&user(0)])
    };
    let mut forged = good(2);
    forged.witnesses[0].signature.0[0] ^= 1;
    let mut malformed = good(3);
    malformed.outputs.clear();
    let mut swapped = good(6);
    swapped.witnesses[0].signature = good(1).witnesses[0].signature;
    let batch: Vec<Arc<Transaction>> =
        [good(1), malformed, forged, good(4), good(5), swapped, good(7)].map(Arc::new).into();
    let (chain_id, parameters) = (chain.state.chain_id(), chain.state.parameters());
    let results = CheckedTransaction::check_many(batch.clone(), chain_id, parameters, &SequentialVerifier);
    let bad = Err(TransactionError::BadSignature { key: user(0).public() });
    for (index, (result, transaction)) in results.iter().zip(&batch).enumerate() {
        match index {
            1 => assert_eq!(*result, Err(TransactionError::NoOutputs)),
            2 | 5 => assert_eq!(*result, bad),
            _ => assert_eq!(result.as_ref().unwrap().transaction(), transaction),
        }
    }
    assert_eq!(results.len(), batch.len());
    let fine =
        CheckedTransaction::check_many(vec![Arc::new(good(1))], chain_id, parameters, &SequentialVerifier);
    assert!(fine[0].is_ok());
}

/// INV-VALID-1.
#[test]
fn a_malleated_copy_is_another_checked_transaction_of_the_same_name() {
    let chain = chain();
    let transaction = signed(&chain, payment(&chain, 1_000), &[&user(0)]);
    let checked = check(&chain, &transaction).unwrap();
    let mut copy = transaction;
    copy.witnesses[0].signature.0[0] ^= 1;
    let copy = CheckedTransaction::from_own_log(Arc::new(copy));
    assert_eq!(copy.txid(), checked.txid());
    assert_ne!(copy, checked);
}

#[test]
fn reasons_are_distinct_and_witness_faults_blame_the_copy() {
    use TransactionError as E;
    let (outpoint, key, amount) = (outpoint(0), PublicKey::ZERO, Amount::ZERO);
    let of_the_copy = [
        E::TooLarge { bytes: 0 },
        E::NoWitness,
        E::TooManyWitnesses { witnesses: 0, inputs: 0 },
        E::UnorderedWitnesses { index: 0 },
        E::BadSignature { key },
        E::MissingWitness { outpoint },
        E::UnneededWitness { key },
    ];
    let of_the_transaction = [
        E::UnsupportedVersion { version: 0 },
        E::RewardFromOutside,
        E::NoInputs,
        E::TooManyInputs { count: 0 },
        E::NoOutputs,
        E::TooManyOutputs { count: 0 },
        E::DuplicateInput { outpoint },
        E::ZeroOutput { index: 0 },
        E::DustOutput { index: 0, value: amount },
        E::OutputsOverflow,
        E::MemoTooLong { length: 0 },
        E::MissingInput { outpoint },
        E::InputsMismatch { inputs: 0, given: 0 },
        E::CollateralBound { outpoint },
        E::InputsOverflow,
        E::BadConsent { key },
        E::BadNetworkAddress,
        E::WeakOperatorKey { key },
        E::NoCollateral { index: 0, outputs: 0 },
        E::UnknownTier { value: amount },
        E::EmptyUpdate,
        E::Overspent { inputs: amount, outputs: amount },
        E::FeeTooLow { fee: amount, minimum: amount },
    ];
    assert!(of_the_copy.iter().all(E::is_of_this_copy_only));
    assert!(!of_the_transaction.iter().any(E::is_of_this_copy_only));
    let all = of_the_copy.iter().chain(&of_the_transaction);
    let reasons: BTreeSet<&str> = all.map(E::reason).collect();
    assert_eq!(reasons.len(), of_the_copy.len() + of_the_transaction.len());
    assert_eq!(reasons, BTreeSet::from(E::REASONS), "each is counted before it happens");
    assert!(reasons.iter().all(|reason| reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
}
