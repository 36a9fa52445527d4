use serde_json::json;

use super::*;
use crate::protocol::finality_proof::{Ending, verify};
use crate::protocol::state::LedgerState;
use crate::types::genesis::GenesisMasternode;
use crate::types::{
    Address, Amount, ChainParameters, FinalityVote, GenesisDocument, Network, SecretKey, VoteBatch, VoteKind,
};

/// A network of four, and the proof that transaction 07..07 is final in its first epoch.
pub(crate) fn proof() -> (GenesisDocument, FinalityProof) {
    proof_of(TxId([7; 32]))
}

/// The same for this transaction.
pub(crate) fn proof_of(txid: TxId) -> (GenesisDocument, FinalityProof) {
    let operators: Vec<SecretKey> = (1..=4).map(|index| SecretKey::from_seed(&[index; 32])).collect();
    let masternode = |operator: &SecretKey| GenesisMasternode {
        collateral: Amount::from_time(1_000).unwrap(),
        owner: Address::of_key_hash(Network::Devnet, operator.public().key_hash()),
        operator_key: operator.public(),
        payout: Address::of_key_hash(Network::Devnet, operator.public().key_hash()),
        network_address: "127.0.0.1:24200".to_owned(),
    };
    let genesis = GenesisDocument {
        network: Network::Devnet,
        time_ms: 1_750_000_000_000,
        parameters: ChainParameters::of_network(Network::Devnet),
        allocations: Vec::new(),
        masternodes: operators.iter().map(masternode).collect(),
    };
    let (state, _) = LedgerState::genesis(&genesis).unwrap();
    let vote = FinalityVote { kind: VoteKind::Final, txid };
    let votes = state.validators().members().iter().map(|member| {
        let secret = operators.iter().find(|secret| secret.public() == member.key).unwrap();
        VoteBatch::signed(state.chain_id(), 0, member.id, 0, vec![vote], secret).prove(0).unwrap()
    });
    let ending = Ending::voted(txid, 0, votes, state.validators()).unwrap();
    let proof = FinalityProof::new(genesis.chain_id(), txid, Vec::new(), ending);
    (genesis, proof)
}

fn info() -> FinalityProofInfo {
    let (genesis, proof) = proof();
    FinalityProofInfo::of(&proof, &verify(&genesis, &proof).unwrap())
}

/// As `timed verify-proof` does it.
fn judge(text: &str) -> Result<ProvedInfo, ProofTextError> {
    let read = ProofText::parse(text)?;
    read.compare(&verify(&proof().0, &read.proof)?)
}

#[test]
fn the_text_is_read_in_each_of_its_forms() {
    let info = info();
    let value = serde_json::to_value(&info).unwrap();
    let texts = [
        serde_json::to_string(&info).unwrap(),
        serde_json::to_string_pretty(&value).unwrap() + "\n",
        format!("\n {} \n", info.proof),
        json!(info.proof).to_string(),
    ];
    for text in texts {
        assert_eq!(judge(&text).unwrap(), info.proves, "{text}");
    }
    assert_eq!((info.proves.signers, info.proves.validators, info.proves.height), (3, 4, None));
}

#[test]
fn whatever_the_text_says_has_to_be_what_the_proof_proves() {
    let value = serde_json::to_value(info()).unwrap();
    let members: Vec<String> = value["proves"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(members.len(), 12);
    for member in members {
        let mut changed = value.clone();
        changed["proves"][&member] = match &value["proves"][&member] {
            serde_json::Value::String(text) => json!(text.replace('0', "1").to_uppercase() + "A"),
            serde_json::Value::Number(number) => json!(number.as_u64().unwrap() + 1),
            _ => json!(7),
        };
        let by_text = judge(&changed.to_string()).unwrap_err();
        assert!(matches!(by_text.reason(), "other_summary" | "malformed_proof"), "{member}: {by_text}");
        let read = ProofText::of_value(changed).unwrap();
        let proved = verify(&proof().0, &read.proof).unwrap();
        assert!(matches!(read.compare(&proved), Err(ProofTextError::OtherSummary)), "{member}");
    }
    for pointer in ["/proves", ""] {
        let mut added = value.clone();
        let object = added.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
        object.insert("note".to_owned(), json!("paid"));
        assert!(judge(&added.to_string()).is_err());
    }
    // One name twice: a reader might believe the first.
    let twice = value.to_string().replacen("\"epoch\":0", "\"epoch\":9,\"epoch\":0", 1);
    assert!(matches!(judge(&twice), Err(ProofTextError::Malformed(_))));
}

#[test]
fn no_letter_of_the_text_can_be_changed() {
    let text = serde_json::to_string(&info()).unwrap();
    for place in 0..text.len() {
        for change in [0x01, 0x02, 0x20] {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= change;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(judge(&changed).is_err(), "{place}: {changed}");
        }
        assert!(judge(&text[..place]).is_err(), "cut to {place}");
    }
}

#[test]
fn what_is_no_proof_is_named() {
    let value = serde_json::to_value(info()).unwrap();
    let with = |member: &str, to: Value| {
        let mut changed = value.clone();
        changed[member] = to;
        judge(&changed.to_string()).unwrap_err()
    };
    for (error, reason) in [
        (judge("").unwrap_err(), "not_a_proof"),
        (judge("hello").unwrap_err(), "malformed_proof"),
        (judge("{}").unwrap_err(), "malformed_proof"),
        (judge("{\"format\":").unwrap_err(), "malformed_proof"),
        (judge("aGVsbG8=").unwrap_err(), "not_a_proof"),
        (judge(&"A".repeat(PROOF_TEXT_BYTES_MAX + 1)).unwrap_err(), "proof_too_large"),
        (with("format", json!("timed block")), "malformed_proof"),
        (with("version", json!(2)), "unknown_proof_version"),
        (with("version", json!(4)), "unknown_proof_version"),
        (with("version", json!("3")), "malformed_proof"),
        (with("proof", json!(7)), "malformed_proof"),
        (with("proof", json!("not base64")), "malformed_proof"),
    ] {
        assert_eq!(error.reason(), reason, "{error}");
        assert!(!error.hint().is_empty());
    }
}
