//! Transactions with each kind of payload.

use std::sync::Arc;

use timed::protocol::validity::{CheckedTransaction, UtxoReader, check_spend};
use timed::types::codec::encode;
use timed::types::keys::SequentialVerifier;
use timed::types::{
    Amount, ChainId, MasternodeUpdate, OutPoint, Payload, Signature, Transaction, TxId, Witness,
};

use crate::flip::{Case, Object, Promise, Verdict, without_first, without_last};
use crate::story::{Step, Story, operator, owner, user};

/// What a node holds a transaction to before it votes for it.
fn judge(step: &Step, transaction: &Transaction) -> Verdict {
    let (chain_id, parameters) = (step.state.chain_id(), step.state.parameters());
    let transaction = Arc::new(transaction.clone());
    let checked = CheckedTransaction::check(transaction, chain_id, parameters, &SequentialVerifier).ok()?;
    let entries: Option<Vec<_>> = checked.inputs().iter().map(|input| step.utxos.utxo(input)).collect();
    check_spend(&checked, &entries?, &step.state).ok()?;
    Some(checked.txid().0)
}

/// One of each kind, with the state in which it is valid.
fn each_kind(story: &Story) -> [(&'static str, &Step, &Transaction); 6] {
    let of = |name, step: usize, place: usize| {
        let step = &story.steps[step];
        (name, step, &*step.block.transactions[place])
    };
    let all = [
        of("a transfer", 0, 0),
        of("a registration", 1, 0),
        of("an update", 1, 1),
        of("an exit", 1, 2),
        of("a transfer of two keys", 2, 0),
        of("an un-jailing", 4, 0),
    ];
    assert!(matches!(all[1].2.payload, Payload::MasternodeRegister(_)));
    assert!(matches!(all[3].2.payload, Payload::MasternodeExit { .. }));
    assert!(matches!(&all[5].2.payload, Payload::MasternodeUpdate(update) if update.unjail.is_some()));
    all
}

#[test]
fn every_byte_of_a_transaction_counts() {
    for (name, step, value) in each_kind(&Story::tell()) {
        let judge = |transaction: &Transaction| judge(step, transaction);
        Object { name, value, judge: &judge }.flip_every_byte(|_| Promise::Rejected);
        // Of the id alone: it covers the body, and no witness.
        let body = encode(&(value.version, &value.inputs, &value.outputs, &value.payload)).len();
        let txid = value.txid();
        let by_id = |changed: &Transaction| {
            let in_witness = encode(changed)[..body] == encode(value)[..body];
            assert_eq!(changed.txid() == txid, in_witness, "{name}");
            Some(if in_witness && changed != value { [0; 32] } else { changed.txid().0 })
        };
        Object { name, value, judge: &by_id }.flip_every_byte(|_| Promise::AnotherId);
    }
}

#[test]
fn an_operators_consent_covers_what_the_owner_could_sign_again() {
    let story = Story::tell();
    let kinds = each_kind(&story);
    for ((name, step, value), secret) in [(kinds[1], user(1)), (kinds[2], owner(1)), (kinds[5], user(0))] {
        let chain_id = *step.state.chain_id();
        let again = |transaction: &Transaction| {
            let witnessed = transaction.clone().signed(&chain_id, &[&secret]);
            judge(step, &witnessed)
        };
        let body = encode(&(value.version, &value.inputs, &value.outputs, &value.payload)).len();
        let without = Transaction { witnesses: Vec::new(), ..value.clone() };
        let object = Object { name, value: &without, judge: &again };
        // What follows is the number of witnesses, which signing replaces.
        object.flip_every_byte(|place| {
            assert!(place < body + 8);
            Promise::Rejected
        });
    }
}

#[test]
fn a_transactions_parts_can_not_be_moved_doubled_or_left_out() {
    let story = Story::tell();
    let step = &story.steps[2];
    let judge = |transaction: &Transaction| judge(step, transaction);
    let value = &*step.block.transactions[0];
    assert_eq!((value.inputs.len(), value.outputs.len(), value.witnesses.len()), (2, 3, 2));
    let another =
        |secret: &timed::types::SecretKey| Witness { key: secret.public(), signature: Signature::EMPTY };
    assert!(!value.witnesses.contains(&another(&user(2))));
    let cases: [Case<Transaction>; 16] = [
        ("swapped witnesses", Promise::Rejected, |tx| tx.witnesses.swap(0, 1)),
        ("a witness twice", Promise::Rejected, |tx| tx.witnesses.push(tx.witnesses[1])),
        ("a witness in the place of another", Promise::Rejected, |tx| tx.witnesses[0] = tx.witnesses[1]),
        ("the first witness left out", Promise::Rejected, |tx| without_first(&mut tx.witnesses)),
        ("the last witness left out", Promise::Rejected, |tx| without_last(&mut tx.witnesses)),
        ("no witness", Promise::Rejected, |tx| tx.witnesses.clear()),
        ("the other witness' signature", Promise::Rejected, |tx| {
            tx.witnesses[0].signature = tx.witnesses[1].signature;
        }),
        ("swapped inputs", Promise::Rejected, |tx| tx.inputs.swap(0, 1)),
        ("an input twice", Promise::Rejected, |tx| tx.inputs.push(tx.inputs[0])),
        ("an input left out", Promise::Rejected, |tx| without_last(&mut tx.inputs)),
        ("an unknown input", Promise::Rejected, |tx| {
            tx.inputs.push(OutPoint { txid: TxId([1; 32]), index: 0 });
        }),
        ("swapped outputs", Promise::Rejected, |tx| tx.outputs.swap(0, 1)),
        ("an output left out", Promise::Rejected, |tx| without_last(&mut tx.outputs)),
        ("an output twice", Promise::Rejected, |tx| tx.outputs.push(tx.outputs[0])),
        ("a unit more", Promise::Rejected, |tx| tx.outputs[0].value = Amount(tx.outputs[0].value.0 + 1)),
        ("another payload", Promise::Rejected, |tx| {
            let masternode = Default::default();
            tx.payload = Payload::MasternodeExit { masternode };
        }),
    ];
    Object { name: "a transfer of two keys", value, judge: &judge }.change(&cases);

    // Signed again by those who own the inputs, these are transactions of their own, or against the rules.
    let again = |transaction: &Transaction| {
        judge(&transaction.clone().signed(step.state.chain_id(), &[&user(0), &user(1)]))
    };
    let cases: [Case<Transaction>; 8] = [
        ("swapped inputs", Promise::AnotherId, |tx| tx.inputs.swap(0, 1)),
        ("swapped outputs", Promise::AnotherId, |tx| tx.outputs.swap(0, 1)),
        ("an output left out", Promise::AnotherId, |tx| without_last(&mut tx.outputs)),
        ("an input twice", Promise::Rejected, |tx| tx.inputs.push(tx.inputs[0])),
        ("an input left out", Promise::Rejected, |tx| without_last(&mut tx.inputs)),
        ("another version", Promise::Rejected, |tx| tx.version += 1),
        ("an output of nothing", Promise::Rejected, |tx| tx.outputs[0].value = Amount::ZERO),
        ("a wrapping sum", Promise::Rejected, |tx| {
            let value = Amount(u64::MAX - tx.outputs[0].value.0);
            tx.outputs[1].value = value;
        }),
    ];
    Object { name: "signed again", value, judge: &again }.change(&cases);
}

#[test]
fn a_consent_can_not_be_moved() {
    let story = Story::tell();
    let (name, step, value) = each_kind(&story)[2];
    let chain_id = *step.state.chain_id();
    let again = |tx: &Transaction| judge(step, &tx.clone().signed(&chain_id, &[&owner(1)]));
    fn update(tx: &mut Transaction) -> &mut MasternodeUpdate {
        match &mut tx.payload {
            Payload::MasternodeUpdate(update) => update,
            _ => panic!("an update was expected"),
        }
    }
    let cases: [Case<Transaction>; 6] = [
        ("as un-jailing", Promise::Rejected, |tx| update(tx).unjail = update(tx).operator.take()),
        ("also as un-jailing", Promise::Rejected, |tx| update(tx).unjail = update(tx).operator),
        ("another's key", Promise::Rejected, |tx| {
            update(tx).operator.as_mut().unwrap().key = operator(5).public();
        }),
        ("no payout", Promise::Rejected, |tx| update(tx).payout = None),
        ("no address", Promise::Rejected, |tx| update(tx).network_address = None),
        // The owner's own: without a new key nobody has to agree.
        ("no key", Promise::AnotherId, |tx| update(tx).operator = None),
    ];
    Object { name, value, judge: &again }.change(&cases);
}

#[test]
fn no_transaction_holds_on_another_chain() {
    for (name, step, value) in each_kind(&Story::tell()) {
        let (other, parameters) = (ChainId([1; 32]), step.state.parameters());
        let transaction = Arc::new(value.clone());
        assert!(
            CheckedTransaction::check(transaction, &other, parameters, &SequentialVerifier).is_err(),
            "{name}"
        );
        let held = value.signature_checks(&other, &value.txid());
        assert!(!held.iter().any(timed::types::SignatureCheck::holds), "{name}: not one of {}", held.len());
    }
}
