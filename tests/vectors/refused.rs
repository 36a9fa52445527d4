//! Texts that prove nothing, each with the reason why: proofs and receipts as a reader may get them.
//!
//! Those of `forged.rs` break one rule of section 10 each, under signatures that hold; here are those beside that are no
//! proof, or say something else than their proof does.

use serde_json::{Value, json};
use timed::protocol::finality_proof::{FinalityProof, ProvedFinality, verify};
use timed::rpc::base64;
use timed::rpc::finality_proof::{FinalityProofInfo, ProofText};
use timed::rpc::receipt::{self, PaymentReceipt};
use timed::types::codec::encode;
use timed::types::{Amount, GenesisDocument};

use crate::forged;
use crate::proofs::{Paid, of_base64};

/// The texts of a proof and of a receipt that hold.
pub fn good(paid: &Paid) -> (FinalityProofInfo, PaymentReceipt) {
    let (proof, proved) = proved(paid);
    let receipt = PaymentReceipt::of(paid.genesis.network, &paid.payment, &proof, &proved);
    (FinalityProofInfo::of(&proof, &proved), receipt)
}

fn proved(paid: &Paid) -> (FinalityProof, ProvedFinality) {
    let proof = paid.included();
    let proved = verify(&paid.genesis, &proof).unwrap();
    (proof, proved)
}

/// The reason that the check gives which a reader makes of a proof's text. Its words may change with each version.
fn judge_proof(genesis: &GenesisDocument, text: &str) -> &'static str {
    let judged = ProofText::parse(text).and_then(|read| {
        let proved = verify(genesis, &read.proof)?;
        read.compare(&proved)
    });
    judged.expect_err(text).reason()
}

fn judge_receipt(genesis: &GenesisDocument, text: &str) -> &'static str {
    receipt::check(genesis, text, |proof| verify(genesis, proof)).expect_err(text).reason()
}

/// A value with one member replaced.
fn with(value: &Value, pointer: &str, member: Value) -> Value {
    let mut other = value.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match other.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.insert(name.to_owned(), member)),
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = member,
        _ => unreachable!("{pointer} names nothing"),
    }
    other
}

fn proofs(paid: &Paid) -> Vec<(&'static str, Value)> {
    let (info, _) = good(paid);
    let whole = json!(info);
    let bytes = of_base64(&info.proof);
    let of = |bytes: &[u8]| json!(base64::encode(bytes));
    let changed = |place: usize, byte: u8| {
        let mut other = bytes.clone();
        other[place] = byte;
        of(&other)
    };
    // Behind the words come the version, the chain id, the txid and the links.
    let version = b"timed/finality-proof".len();
    let mut all = vec![
        ("the last byte is missing", of(&bytes[..bytes.len() - 1])),
        ("a byte too many", of(&[bytes.as_slice(), &[0]].concat())),
        ("other words at the beginning", changed(0, b'T')),
        ("another version of the bytes", changed(version, 1)),
        ("another chain", changed(version + 2, bytes[version + 2] ^ 1)),
        ("another transaction", changed(version + 34, bytes[version + 34] ^ 1)),
        ("more links than follow", changed(version + 66, 0xff)),
        ("no base64", json!("?")),
        (
            "base64 without its padding",
            json!(base64::encode(&bytes[..bytes.len() - 1]).trim_end_matches('=')),
        ),
        ("another format", with(&whole, "/format", json!("timed payment receipt"))),
        ("another version of the text", with(&whole, "/version", json!(1))),
        ("another number of signers", with(&whole, "/proves/signers", json!(info.proves.signers + 1))),
        ("another block", with(&whole, "/proves/blockhash", json!("00".repeat(32)))),
        ("a member that is not known", with(&whole, "/note", json!("paid"))),
    ];
    // The file names what the crate takes for a rule; the bytes are made by the text.
    let of_document = forged::proofs().broken.into_iter().filter(|(_, one)| one.trusted.is_none());
    all.extend(of_document.map(|(rule, one)| (rule, of(&one.bytes))));
    all
}

fn receipts(paid: &Paid) -> Vec<(&'static str, Value)> {
    let (info, receipt) = good(paid);
    let whole = json!(receipt);
    let mut richer = paid.payment.clone();
    richer.witnesses = Vec::new();
    richer.outputs[0].value = Amount(richer.outputs[0].value.units() + 1);
    let light =
        forged::proofs().broken.into_iter().find(|(rule, _)| *rule == "less than the quorum").unwrap().1;
    let value = receipt.proves.outputs[0].value.units() + 1;
    vec![
        ("another amount in words", with(&whole, "/proves/outputs/0/value_time", json!("1.00000000"))),
        ("another amount", with(&whole, "/proves/outputs/0/value", json!(value))),
        (
            "another amount in the transaction",
            with(&whole, "/transaction", json!(hex::encode(encode(&richer)))),
        ),
        ("another memo", with(&whole, "/proves/memo_text", json!("paid twice"))),
        ("the payer's signatures", with(&whole, "/transaction", json!(hex::encode(encode(&paid.payment))))),
        ("half of the transaction", with(&whole, "/transaction", json!(receipt.transaction[..40]))),
        ("capital letters", with(&whole, "/transaction", json!(receipt.transaction.to_uppercase()))),
        ("a proof of too few votes", with(&whole, "/proof", json!(base64::encode(&light.bytes)))),
        ("no proof", with(&whole, "/proof", json!(""))),
        ("another epoch", with(&whole, "/proves/finality/epoch", json!(receipt.proves.finality.epoch + 1))),
        ("another version", with(&whole, "/version", json!(2))),
        ("another format", with(&whole, "/format", json!("timed finality proof"))),
        ("a member that is not known", with(&whole, "/note", json!("paid"))),
        ("a proof's text", json!(info)),
    ]
}

/// All of them, each with what the crate says of it.
pub fn vectors() -> Value {
    let paid = Paid::of_the_story();
    let listed = |texts: Vec<(&'static str, Value)>, judge: fn(&GenesisDocument, &str) -> &'static str| {
        let told = |(what, text): (&'static str, Value)| {
            let given = match &text {
                Value::String(alone) => alone.clone(),
                whole => whole.to_string(),
            };
            json!({ "what": what, "reason": judge(&paid.genesis, &given), "text": text })
        };
        texts.into_iter().map(told).collect::<Vec<_>>()
    };
    json!({
        "document": paid.genesis.to_toml().unwrap(),
        "proofs": listed(proofs(&paid), judge_proof),
        "receipts": listed(receipts(&paid), judge_receipt),
    })
}
