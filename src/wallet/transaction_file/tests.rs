use serde_json::{Value, json};

use super::*;
use crate::app::networks::{DEVNET_VALIDATORS, devnet_genesis};
use crate::types::limits::MEMO_BYTES_MAX;
use crate::types::{MasternodeId, MasternodeUpdate};

const CHAIN: ChainId = ChainId([9; 32]);

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn lock(seed: u8) -> Lock {
    Lock::KeyHash(key(seed).public().key_hash())
}

fn address(seed: u8) -> Address {
    Address { network: Network::Devnet, lock: lock(seed) }
}

/// Somebody paid keys 1 and 2; it has a signature, as a node's answer has.
fn earlier() -> Transaction {
    let input = OutPoint { txid: TxId([3; 32]), index: 0 };
    let outputs = [(1, 500_000), (2, 300_000)];
    let outputs = outputs.map(|(seed, value)| TxOut { value: Amount(value), lock: lock(seed) }).to_vec();
    Transaction::transfer(vec![input], outputs, b"wages".to_vec()).signed(&CHAIN, &[&key(7)])
}

/// Keys 1 and 2 together pay key 8.
fn plan() -> Plan {
    let (earlier, txid) = (earlier(), earlier().txid());
    let inputs = vec![OutPoint { txid, index: 0 }, OutPoint { txid, index: 1 }];
    let output = |seed, value| TxOut { value: Amount(value), lock: lock(seed) };
    let outputs = vec![output(8, 700_000), output(1, 99_000)];
    let transaction = Transaction::transfer(inputs, outputs, b"rent".to_vec());
    Plan { transaction, spent: earlier.outputs, fee: Amount(1_000), change: Amount(99_000) }
}

fn file() -> TransactionFile {
    TransactionFile::new(Network::Devnet, CHAIN, plan(), vec![earlier()], None).unwrap()
}

fn value(file: &TransactionFile) -> Value {
    serde_json::from_str(&file.to_text().unwrap()).unwrap()
}

fn read(value: &Value) -> Result<TransactionFile, TransactionFileError> {
    TransactionFile::from_text(&value.to_string())
}

#[test]
fn two_people_sign_their_own_copies_and_together_they_are_complete() {
    let sent = file().to_text().unwrap();
    let mut copies = [1, 2].map(|seed| {
        let mut copy = TransactionFile::from_text(&sent).unwrap();
        assert_eq!(copy.sign(&[&key(seed), &key(9)], false), Ok(1));
        assert_eq!(copy.sign(&[&key(seed)], false), Ok(0), "once is enough");
        TransactionFile::from_text(&copy.to_text().unwrap()).unwrap()
    });
    assert_eq!(copies[0].missing(), [address(2)]);
    assert_eq!(copies[0].complete(), None);
    assert_eq!(copies[0].sign(&[&key(9)], false), Ok(0), "a stranger's signature is not added");
    let [first, second] = copies;
    for (a, b) in [(first.clone(), second.clone()), (second, first)] {
        let whole = a.combine(b).unwrap();
        assert!(whole.missing().is_empty());
        let expected = plan().transaction.signed(&CHAIN, &[&key(1), &key(2)]);
        assert_eq!(whole.complete(), Some(&expected));
        assert_eq!(whole.size(), encode(&expected).len());
    }
}

#[test]
fn it_shows_who_pays_whom() {
    let file = TransactionFile::from_text(&file().to_text().unwrap()).unwrap();
    let payments: Vec<_> = file.payments().collect();
    assert_eq!(payments, [(address(8), Amount(700_000)), (address(1), Amount(99_000))]);
    assert_eq!(
        (file.fee(), file.memo(), file.txid()),
        (Amount(1_000), &b"rent"[..], plan().transaction.txid())
    );
    assert_eq!(file.spent().iter().map(|coin| coin.output.value.0).sum::<u64>(), 800_000);
    assert!(file.spent().iter().all(|coin| coin.proved));
}

/// INV-TXFILE-1.
#[test]
fn amounts_that_the_earlier_transaction_does_not_have_are_lies() {
    let value = value(&file());
    for (pointer, changed) in [
        ("/inputs/0/value", json!(500_001)),
        ("/inputs/1/value", json!(299_999)),
        ("/inputs/0/address", json!(address(2))),
    ] {
        let mut other = value.clone();
        *other.pointer_mut(pointer).unwrap() = changed;
        // The fee that follows is said as well, so that nothing else gives it away.
        let sum: u64 = [0, 1].map(|place| other["inputs"][place]["value"].as_u64().unwrap()).iter().sum();
        other["fee"] = json!(sum - 799_000);
        assert!(matches!(read(&other), Err(TransactionFileError::Forged { .. })), "{pointer}");
    }
}

/// INV-TXFILE-1.
#[test]
fn what_is_not_proved_is_signed_only_by_who_knows_it() {
    let mut value = value(&file());
    value["previous"] = json!([]);
    let mut unproved = read(&value).unwrap();
    assert!(unproved.spent().iter().all(|coin| !coin.proved));
    let refused = unproved.sign(&[&key(1)], false);
    assert!(matches!(refused, Err(TransactionFileError::NotProved { .. })));
    assert!(unproved.signed().is_empty());
    assert_eq!(unproved.sign(&[&key(1)], true), Ok(1));
    // Whoever said less than there is, would be found out by a copy that has the proof.
    value["inputs"][0]["value"] = json!(499_500);
    value["fee"] = json!(500);
    let lying = read(&value).unwrap();
    assert!(matches!(file().combine(lying.clone()).unwrap().spent()[0].output.value, Amount(500_000)));
    assert!(matches!(lying.combine(file()), Err(TransactionFileError::Forged { .. })));
}

/// INV-TXFILE-1.
#[test]
fn whatever_else_does_not_fit_is_refused() {
    let value = value(&file());
    type Check = fn(&TransactionFileError) -> bool;
    let is_malformed: Check = |error| matches!(error, TransactionFileError::Malformed(_));
    let with_outputs = |outputs: Vec<TxOut>, memo: &[u8]| {
        let Transaction { inputs, .. } = plan().transaction;
        json!(hex::encode(encode(&Transaction::transfer(inputs, outputs, memo.to_vec()))))
    };
    let output = |value| TxOut { value: Amount(value), lock: lock(8) };
    let payload = Payload::MasternodeUpdate(MasternodeUpdate::unjail(MasternodeId([1; 32]), key(3).public()));
    let about_masternodes = Transaction { payload, ..plan().transaction };
    let mut foreign = address(1);
    foreign.network = Network::Testnet;
    let cases: [(&str, Value, Check); 16] = [
        ("/format", json!("timed payment receipt"), is_malformed),
        ("/version", json!(2), |error| *error == TransactionFileError::UnknownVersion(2)),
        ("/note", json!("x"), is_malformed),
        ("/fee", json!(999), |error| matches!(error, TransactionFileError::OtherFee { .. })),
        ("/network", json!("mainnet"), |error| matches!(error, TransactionFileError::OtherNetwork { .. })),
        ("/inputs/0/address", json!(foreign), |error| {
            matches!(error, TransactionFileError::OtherNetwork { .. })
        }),
        ("/inputs/0/vout", json!(1), |error| *error == TransactionFileError::OtherInputs),
        ("/inputs", json!([]), |error| *error == TransactionFileError::OtherInputs),
        ("/transaction", json!("00"), is_malformed),
        ("/transaction", json!(hex::encode(encode(&about_masternodes))), |error| {
            *error == TransactionFileError::NotAPayment
        }),
        ("/transaction", with_outputs(vec![output(0)], b""), |error| {
            matches!(error, TransactionFileError::Invalid(TransactionError::ZeroOutput { .. }))
        }),
        ("/transaction", with_outputs(vec![output(1)], &[0; MEMO_BYTES_MAX + 1]), |error| {
            matches!(error, TransactionFileError::Invalid(TransactionError::MemoTooLong { .. }))
        }),
        ("/transaction", with_outputs(vec![output(800_001)], b""), |error| {
            matches!(error, TransactionFileError::Overspent { .. })
        }),
        ("/transaction", with_outputs(vec![output(u64::MAX), output(1)], b""), |error| {
            matches!(error, TransactionFileError::Invalid(TransactionError::OutputsOverflow))
        }),
        ("/previous/0", json!(hex::encode(encode(&plan().transaction))), |error| {
            *error == TransactionFileError::Superfluous
        }),
        ("/previous/0", json!(hex::encode(encode(&earlier()))), |error| {
            *error == TransactionFileError::Superfluous
        }),
    ];
    for (pointer, changed, is_expected) in cases {
        let mut other = value.clone();
        match other.pointer_mut(pointer) {
            Some(place) => *place = changed.clone(),
            None => other[&pointer[1..]] = changed.clone(),
        }
        let error = read(&other).unwrap_err();
        assert!(is_expected(&error), "{pointer} {changed}: {error}");
    }
    let twice = value.to_string().replacen("\"fee\":1000", "\"fee\":1000,\"fee\":1000", 1);
    assert!(matches!(TransactionFile::from_text(&twice), Err(TransactionFileError::Malformed(_))));
    let long = " ".repeat(FILE_BYTES_MAX + 1);
    assert_eq!(TransactionFile::from_text(&long), Err(TransactionFileError::TooLarge));
}

/// INV-TXFILE-2.
#[test]
fn signatures_that_do_not_hold_or_are_not_needed_are_refused() {
    let signed = plan().transaction.signed(&CHAIN, &[&key(1), &key(2)]);
    let with = |witnesses: Vec<Witness>| {
        let mut value = value(&file());
        let transaction = Transaction { witnesses, ..signed.clone() };
        value["transaction"] = json!(hex::encode(encode(&transaction)));
        read(&value)
    };
    let [a, b] = [signed.witnesses[0], signed.witnesses[1]];
    assert!(with(vec![a, b]).unwrap().complete().is_some());
    let of_other_chain = plan().transaction.signed(&ChainId([8; 32]), &[&key(1)]).witnesses[0];
    let of_stranger = plan().transaction.signed(&CHAIN, &[&key(3)]).witnesses[0];
    let taken_over = Witness { signature: b.signature, ..a };
    for wrong in [vec![b, a], vec![a, a], vec![of_other_chain], vec![of_stranger], vec![taken_over, b]] {
        let found = with(wrong.clone());
        assert!(matches!(found, Err(TransactionFileError::BadSignature { .. })), "{wrong:?}");
    }
}

#[test]
fn files_of_other_transactions_and_chains_do_not_mix() {
    let mut other = plan();
    other.transaction.payload = Payload::Transfer { memo: b"other".to_vec() };
    let other = TransactionFile::new(Network::Devnet, CHAIN, other, vec![earlier()], None).unwrap();
    let combined = file().combine(other);
    assert!(matches!(combined, Err(TransactionFileError::OtherTransaction { .. })));
    let chain = ChainId([8; 32]);
    let abroad = TransactionFile::new(Network::Devnet, chain, plan(), vec![earlier()], None).unwrap();
    assert!(matches!(file().combine(abroad), Err(TransactionFileError::OtherTransaction { .. })));
}

#[test]
fn the_genesis_document_proves_its_own_coins() {
    let document = devnet_genesis(DEVNET_VALIDATORS);
    let chain = document.chain_id();
    let (outpoint, output) = document.outputs()[0];
    let paid = TxOut { value: Amount(output.value.0 - 1_000), lock: lock(8) };
    let plan = Plan {
        transaction: Transaction::transfer(vec![outpoint], vec![paid], Vec::new()),
        spent: vec![output],
        fee: Amount(1_000),
        change: Amount::ZERO,
    };
    let make = |spent: Vec<TxOut>, fee, genesis| {
        let plan = Plan { spent, fee: Amount(fee), ..plan.clone() };
        TransactionFile::new(Network::Devnet, chain, plan, Vec::new(), genesis)
    };
    let file = make(vec![output], 1_000, Some(document.clone())).unwrap();
    let read = TransactionFile::from_text(&file.to_text().unwrap()).unwrap();
    assert!(read == file && read.spent()[0].proved);
    assert!(!make(vec![output], 1_000, None).unwrap().spent()[0].proved);
    let less = vec![TxOut { value: Amount(output.value.0 - 500), ..output }];
    let forged = make(less, 500, Some(document.clone()));
    assert!(matches!(forged, Err(TransactionFileError::Forged { .. })));
    let other = GenesisDocument { time_ms: document.time_ms + 1, ..document };
    assert_eq!(make(vec![output], 1_000, Some(other)), Err(TransactionFileError::Superfluous));
}
