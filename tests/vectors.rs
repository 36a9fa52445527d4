//! Test vectors of the wire specification (`src/types/wire.md`).
//!
//! The crate makes them (`vectors/make.rs`, `proofs.rs`, `refused.rs`); the files hold them, so that no change of the wire goes
//! unnoticed; and each is made again from its inputs by `vectors/plain*.rs`, which follow the text of the specification
//! with BLAKE3 and pushed bytes alone. What these can do, an integrator can.
//!
//! A change of the wire that is meant: `BLESS=1 cargo test --test vectors` writes the files anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a failed expectation is a test's verdict"
)]

#[path = "vectors/browser.rs"]
mod browser;
#[path = "support/far_proof.rs"]
mod far_proof;
#[path = "vectors/forged.rs"]
mod forged;
#[path = "support/heard.rs"]
mod heard;
#[path = "vectors/make.rs"]
mod make;
#[path = "vectors/plain.rs"]
mod plain;
#[path = "vectors/plain_chain.rs"]
mod plain_chain;
#[path = "vectors/plain_memo.rs"]
mod plain_memo;
#[path = "vectors/plain_proof.rs"]
mod plain_proof;
#[path = "vectors/plain_receipt.rs"]
mod plain_receipt;
#[path = "vectors/proofs.rs"]
mod proofs;
#[path = "vectors/refused.rs"]
mod refused;
#[path = "support/story.rs"]
mod story;

use std::path::PathBuf;
use std::sync::LazyLock;

use plain::{Bytes, Digest, digest, hex, list, number, text};
use plain_chain::Document;
use serde_json::Value;
use timed::types::codec::{decode, encode};
use timed::types::{Certificate, Commit, Evidence, Header, Message, SecretKey, Transaction, VoteBatch};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

/// What the crate makes, and what the file holds; that is written first if it is asked for.
fn made_and_held(name: &str, make: fn() -> Value) -> (Value, Value) {
    let made = make();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(file(name), format!("{made:#}\n")).unwrap();
    }
    let held = std::fs::read_to_string(file(name)).unwrap();
    (made, serde_json::from_str(&held).unwrap())
}

static WIRE: LazyLock<(Value, Value)> = LazyLock::new(|| made_and_held("wire.json", make::vectors));
static PROOFS: LazyLock<(Value, Value)> = LazyLock::new(|| made_and_held("proofs.json", proofs::vectors));
static REFUSED: LazyLock<(Value, Value)> = LazyLock::new(|| made_and_held("refused.json", refused::vectors));

/// Names the first place at which two values differ, which in hundreds of lines nobody finds by eye.
fn assert_same(place: &str, made: &Value, held: &Value) {
    match (made, held) {
        (Value::Object(made), Value::Object(held)) => {
            assert!(made.keys().eq(held.keys()), "{place}: other members; BLESS=1 writes the file anew");
            made.iter().for_each(|(name, value)| assert_same(&format!("{place}.{name}"), value, &held[name]));
        }
        (Value::Array(made), Value::Array(held)) => {
            assert_eq!(made.len(), held.len(), "{place}: another length");
            let places = made.iter().zip(held).enumerate();
            places.for_each(|(index, (made, held))| assert_same(&format!("{place}[{index}]"), made, held));
        }
        _ => {
            assert_eq!(made, held, "{place}: the wire has changed; if that is meant, BLESS=1 writes it anew")
        }
    }
}

/// What an integrator reads.
fn vectors() -> &'static Value {
    &WIRE.1
}

/// Signs with a secret key of a vector; Ed25519 by RFC 8032 leaves no choice in a signature.
fn sign(secret: &Value, digest: &Digest) -> String {
    SecretKey::from_seed(&plain::digest(secret)).sign(digest).to_string()
}

#[test]
fn the_wire_is_what_the_files_hold() {
    assert_same("wire", &WIRE.0, &WIRE.1);
    assert_same("proofs", &PROOFS.0, &PROOFS.1);
    assert_same("refused", &REFUSED.0, &REFUSED.1);
}

// -- the text alone ---------------------------------------------------------------------------------------------------

#[test]
fn hashes_have_the_domains_of_the_text() {
    let page = include_str!("../src/types/wire.md");
    for domain in list(&vectors()["domains"]) {
        let tag = text(&domain["tag"]);
        assert_eq!(plain::hash(tag, &hex(&domain["content"])), digest(&domain["hash"]), "{tag}");
        assert!(page.contains(&format!("`{tag}`")), "{tag} is missing in the text");
    }
}

#[test]
fn keys_and_addresses_follow_from_the_text() {
    for key in list(&vectors()["keys"]) {
        let public = hex(&key["public_key"]);
        let hash = plain::key_hash(&public);
        assert_eq!(hash, digest(&key["key_hash"]));
        for (network, prefix) in [("mainnet", "time"), ("testnet", "ttime"), ("devnet", "dtime")] {
            let address = text(&key["addresses"][network]);
            let prefix = bech32::Hrp::parse(prefix).unwrap();
            let data = Bytes::default().u8(0).raw(&hash).0;
            assert_eq!(bech32::encode::<bech32::Bech32m>(prefix, &data).unwrap(), address);
            assert_eq!(plain_chain::key_hash_of_address(address), hash);
        }
        assert_eq!(sign(&key["secret_key"], &digest(&key["digest"])), text(&key["signature"]));
    }
}

#[test]
fn a_chain_id_and_the_first_state_follow_from_the_text() {
    let vectors = vectors();
    let genesis = &vectors["genesis"];
    let document = Document::of_toml(text(&genesis["document"]));
    assert_eq!(document.chain_id(), digest(&genesis["chain_id"]));
    assert_eq!(document.set_hash(), digest(&genesis["validators_hash"]));
    assert_eq!(plain_chain::state_digest(&document.state_elements()), digest(&genesis["state_digest"]));
    let allocations = 2;
    for (place, id) in (0..).zip(list(&genesis["masternode_ids"])) {
        assert_eq!(plain::masternode_id(&document.chain_id(), allocations + place), digest(id));
    }
}

#[test]
fn merkle_roots_and_paths_follow_from_the_text() {
    for tree in list(&vectors()["merkle_trees"]) {
        let leaves: Vec<Vec<u8>> = list(&tree["leaves"]).iter().map(hex).collect();
        let root = digest(&tree["root"]);
        assert_eq!(plain::merkle_root(&leaves), root);
        for (index, path) in list(&tree["paths"]).iter().enumerate() {
            let path: Vec<Digest> = list(path).iter().map(digest).collect();
            assert_eq!(plain::merkle_path(&leaves, index), path);
            let end = plain::follow_path(&leaves[index], index as u64, leaves.len() as u64, &path);
            assert_eq!(end, Some((root, index as u64)));
        }
    }
}

#[test]
fn transactions_follow_from_the_text() {
    for vector in list(&vectors()["transactions"]) {
        let (name, transaction) = (text(&vector["name"]), &vector["transaction"]);
        let (chain_id, txid) = (hex(&vector["chain_id"]), plain::txid(transaction));
        assert_eq!(txid, digest(&vector["txid"]), "{name}");
        let consent = plain::consent_digest(&chain_id, transaction);
        assert_eq!(consent, digest(&vector["consent_digest"]), "{name}");
        let signed = plain::signing_digest(&chain_id, &txid);
        assert_eq!(signed, digest(&vector["signing_digest"]), "{name}");
        let encoding = plain::transaction(transaction);
        assert_eq!(encoding, hex(&vector["encoding"]), "{name}");
        assert_eq!(encoding.len() as u64, number(&vector["encoded_bytes"]), "{name}");

        let mut signatures: Vec<(Vec<u8>, String)> = list(&vector["secret_keys"])
            .iter()
            .map(|secret| (public(secret), sign(secret, &signed)))
            .collect();
        signatures.sort();
        let witnesses = list(&transaction["witnesses"]).iter();
        let given: Vec<(Vec<u8>, String)> =
            witnesses.map(|witness| (hex(&witness["key"]), text(&witness["signature"]).to_owned())).collect();
        assert_eq!(given, signatures, "{name}: one for each key, by ascending key");
        for secret in list(&vector["operator_secret_keys"]) {
            let payload = &transaction["payload"];
            let mut consents = [&payload["operator"], &payload["unjail"]].into_iter();
            let own = consents.find(|consent| consent.is_object()).unwrap();
            assert_eq!(hex(&own["key"]), public(secret), "{name}");
            assert_eq!(text(&own["signature"]), sign(secret, &consent), "{name}");
        }
        let read = decode::<Transaction>(&encoding).unwrap();
        assert_eq!((read.txid().0, encode(&read)), (txid, encoding), "{name}");
    }
}

fn public(secret: &Value) -> Vec<u8> {
    SecretKey::from_seed(&digest(secret)).public().0.to_vec()
}

#[test]
fn sets_and_blocks_follow_from_the_text() {
    let vectors = vectors();
    let (set, blocks) = (&vectors["validator_set"], &vectors["blocks"]);
    let members = plain::members(&set["members"]);
    assert_eq!(plain::set_hash(&members), digest(&set["hash"]));
    assert_eq!(plain::total_weight(&members), number(&set["total_weight"]));
    assert_eq!(plain::quorum(&members), number(&set["quorum"]));

    let header = plain::header(&blocks["header"]);
    assert_eq!(header, hex(&blocks["header_encoding"]));
    assert_eq!(plain::block_hash(&header), digest(&blocks["block_hash"]));
    assert_eq!(encode(&decode::<Header>(&header).unwrap()), header);
    let txids: Vec<Digest> = list(&blocks["txids"]).iter().map(digest).collect();
    assert_eq!(plain::tx_root(&txids), digest(&blocks["tx_root"]));
    assert_eq!(plain::merkle_root(&[]), digest(&blocks["empty_root"]));

    // INV-VOTE-1: all signatures of a commit are of one digest.
    let own = &blocks["commits"][1];
    let place = plain::Place {
        epoch: number(&blocks["header"]["epoch"]),
        height: number(&own["height"]),
        round: number(&own["round"]),
    };
    let (chain_id, hash) = (hex(&blocks["header"]["chain_id"]), hex(&own["block_hash"]));
    let signed = plain::block_vote_digest(&chain_id, "precommit", &place, Some(&hash));
    for (seed, signature) in [0x10, 0x12].into_iter().zip(list(&own["signatures"])) {
        assert_eq!(SecretKey::from_seed(&[seed; 32]).sign(&signed).to_string(), text(signature));
    }
    for commit in list(&blocks["commits"]) {
        let encoding = plain::commit(commit);
        assert_eq!(encoding, hex(&commit["encoding"]));
        assert_eq!(plain::commit_root(&encoding), digest(&commit["root"]));
        assert_eq!(encode(&decode::<Commit>(&encoding).unwrap()), encoding);
    }
    list(&blocks["votes"]).iter().for_each(|vote| drop(block_vote(vote)));
    let proposal = &blocks["proposal"];
    let signed = plain::proposal_digest(&hex(&proposal["chain_id"]), proposal);
    assert_eq!(signed, digest(&proposal["digest"]));
    assert_eq!(sign(&proposal["secret_key"], &signed), text(&proposal["signature"]));
}

fn block_vote(vote: &Value) -> Vec<u8> {
    let place = plain::Place {
        epoch: number(&vote["epoch"]),
        height: number(&vote["height"]),
        round: number(&vote["round"]),
    };
    let value = (!vote["value"].is_null()).then(|| hex(&vote["value"]));
    let signed =
        plain::block_vote_digest(&hex(&vote["chain_id"]), text(&vote["step"]), &place, value.as_deref());
    assert_eq!(signed, digest(&vote["digest"]));
    assert_eq!(sign(&vote["secret_key"], &signed), text(&vote["signature"]));
    let encoding = plain::block_vote(vote);
    assert_eq!(encoding, hex(&vote["encoding"]));
    encoding
}

#[test]
fn evidence_follows_from_the_text() {
    let vectors = vectors();
    let evidence = &vectors["evidence"];
    let votes: Vec<Vec<u8>> = list(&evidence["votes"]).iter().map(block_vote).collect();
    let encoding = Bytes::default().u32(1).raw(&votes.concat()).0;
    assert_eq!(encoding, hex(&evidence["encoding"]));
    let hash = plain::evidence_hash(&encoding);
    assert_eq!(hash, digest(&evidence["hash"]));
    assert_eq!(plain::merkle_root(&[hash.to_vec()]), digest(&evidence["evidence_root"]));
    assert_eq!(encode(&decode::<Evidence>(&encoding).unwrap()), encoding);

    let foreign = &evidence["foreign"];
    let (vote, header) = (block_vote(&foreign["vote"]), plain::header(&foreign["header"]));
    assert_eq!(
        plain::block_hash(&header).to_vec(),
        hex(&foreign["vote"]["value"]),
        "the vote names the header"
    );
    let epoch = number(&foreign["member_in"]);
    let encoding = Bytes::default().u32(3).u64(epoch).raw(&vote).raw(&header).0;
    assert_eq!(encoding, hex(&foreign["encoding"]));
    assert_eq!(plain::evidence_hash(&encoding), digest(&foreign["hash"]));
    assert_eq!(encode(&decode::<Evidence>(&encoding).unwrap()), encoding);
}

#[test]
fn votes_on_payments_follow_from_the_text() {
    let vectors = vectors();
    let batch = &vectors["vote_batch"];
    let votes = plain::votes(&batch["votes"]);
    let root = plain::merkle_root(&votes);
    assert_eq!(root, digest(&batch["votes_root"]));
    assert_eq!(votes.len() as u64, number(&batch["count"]));
    let signed = plain::batch_digest(&hex(&batch["chain_id"]), &plain::batch_head(batch).0);
    assert_eq!(signed, digest(&batch["digest"]));
    assert_eq!(sign(&batch["secret_key"], &signed), text(&batch["signature"]));
    let encoding = plain::batch(batch);
    assert_eq!(encoding, hex(&batch["encoding"]));
    assert_eq!(encode(&decode::<VoteBatch>(&encoding).unwrap()), encoding);
    for (index, proof) in list(&batch["proofs"]).iter().enumerate() {
        let path: Vec<Digest> = list(&proof["path"]).iter().map(digest).collect();
        assert_eq!(path, plain::merkle_path(&votes, index));
        assert_eq!(plain::follow_path(&votes[index], index as u64, 3, &path), Some((root, index as u64)));
    }

    let certificate = &vectors["certificate"];
    let encoding = plain::certificate(certificate);
    assert_eq!(encoding, hex(&certificate["encoding"]));
    assert_eq!(encode(&decode::<Certificate>(&encoding).unwrap()), encoding);

    let heartbeat = &vectors["heartbeat"];
    let signed = plain::heartbeat_digest(&hex(&heartbeat["chain_id"]), heartbeat);
    assert_eq!(signed, digest(&heartbeat["digest"]));
    assert_eq!(sign(&heartbeat["secret_key"], &signed), text(&heartbeat["signature"]));
}

#[test]
fn handshakes_and_message_tags_follow_from_the_text() {
    let (vectors, page) = (vectors(), include_str!("../src/types/wire.md"));
    let handshake = &vectors["handshake"];
    for (role, name) in [(0, "initiator"), (1, "responder")] {
        let content =
            Bytes::default().u8(role).raw(&hex(&handshake["transcript"])).raw(&hex(&handshake["chain_id"]));
        assert_eq!(plain::hash("timed/handshake/v1", &content.0), digest(&handshake[name]));
        let content = content.raw(&hex(&handshake["identity"]));
        let member = &handshake[format!("{name}_member").as_str()];
        assert_eq!(plain::hash("timed/member/v1", &content.0), digest(member));
    }
    // The reasons' numbers, by the first and the last of them and the one that came last.
    use timed::network::RefusalReason::{Duplicate, TooManyFromAddress, WrongVersion};
    for (number, reason) in [(0, WrongVersion), (8, TooManyFromAddress), (9, Duplicate)] {
        assert_eq!(encode(&reason), Bytes::default().u32(number).0, "{reason:?}");
    }
    for message in list(&vectors["messages"]) {
        let (name, encoding) = (text(&message["name"]), hex(&message["encoding"]));
        let tag = u32::from_le_bytes(encoding[..4].try_into().unwrap());
        assert!(page.contains(&format!("| {tag} | `{name}` |")), "{tag} {name} is missing in the text");
        assert_eq!(encode(&decode::<Message>(&encoding).unwrap()), encoding, "{name}");
        if name == "status" {
            assert_eq!(plain::status(&message["content"]), encoding);
        }
    }
}

#[test]
fn messages_of_people_follow_from_the_text() {
    for vector in list(&vectors()["signed_messages"]) {
        let network = match text(&vector["network"]) {
            "mainnet" => 0,
            "testnet" => 1,
            _ => 2,
        };
        let key_hash = plain_chain::key_hash_of_address(text(&vector["address"]));
        let signed = plain::message_digest(network, &key_hash, text(&vector["message"]));
        assert_eq!(signed, digest(&vector["digest"]));
        let key = public(&vector["secret_key"]);
        assert_eq!(plain::key_hash(&key), key_hash);
        let signature = format!("{}{}", ::hex::encode(key), sign(&vector["secret_key"], &signed));
        assert_eq!(signature, text(&vector["signature"]));
    }
}

#[test]
fn memos_for_the_receiver_alone_follow_from_the_text() {
    for vector in list(&vectors()["sealed_memos"]) {
        let (memo, text) = (hex(&vector["memo"]), hex(&vector["text"]));
        let receiver = hex(&vector["receiver_public_key"]);
        assert_eq!(public(&vector["receiver_secret_key"]), receiver);
        let seed = digest(&vector["receiver_secret_key"]);
        assert_eq!(plain_memo::open(&memo, &seed, &receiver, &digest(&vector["chain_id"])), text);
        let once = digest(&vector["once_secret"]);
        let written = plain_memo::seal(&text, &receiver, &digest(&vector["chain_id"]), &once);
        assert_eq!(written, memo);
    }
}

#[test]
fn finality_proofs_are_checked_by_the_text_alone() {
    let vectors = &PROOFS.1;
    let document = Document::of_toml(text(&vectors["document"]));
    for proof in list(&vectors["proofs"]) {
        let (bytes, json) = (hex(&proof["bytes"]), &proof["json"]);
        assert_eq!(proofs::of_base64(text(&json["proof"])), bytes);
        assert_eq!(json["format"], "timed finality proof");
        assert_eq!(json["version"], 3);
        let says = &json["proves"];
        let trusted = says["trusted"].as_str();
        let proved = plain_proof::check(&document, trusted, &bytes).unwrap();
        assert_eq!(proved.trusted.as_deref(), trusted);
        assert_eq!(proved.chain_id, digest(&says["chain_id"]));
        assert_eq!(proved.txid, digest(&says["txid"]));
        let block = proved.block.map(|(height, hash, time)| (height, hash.to_vec(), time));
        let said = (!says["height"].is_null())
            .then(|| (number(&says["height"]), hex(&says["blockhash"]), number(&says["block_time"])));
        assert_eq!(block, said);
        let counted = [
            ("epoch", proved.epoch),
            ("signers", proved.signers),
            ("validators", proved.validators),
            ("signed_weight", proved.signed_weight),
            ("quorum", proved.quorum),
            ("total_weight", proved.total_weight),
        ];
        counted.into_iter().for_each(|(name, value)| assert_eq!(value, number(&says[name]), "{name}"));

        // As the crate's own check, this one finds each changed byte.
        for place in (0..bytes.len()).step_by(7) {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(plain_proof::check(&document, trusted, &changed).is_err(), "byte {place}");
        }
    }
}

#[test]
fn receipts_are_checked_by_the_text_alone() {
    let vectors = &PROOFS.1;
    let document = Document::of_toml(text(&vectors["document"]));
    let receipts = list(&vectors["receipts"]);
    assert!(!receipts.is_empty());
    for receipt in receipts {
        assert_eq!(plain_receipt::check(&document, receipt), Ok(()));
    }
}

#[test]
fn what_is_refused_has_a_reason_and_is_refused_by_the_text_alone() {
    let vectors = &REFUSED.1;
    let document = Document::of_toml(text(&vectors["document"]));
    let mut reasons = std::collections::BTreeSet::new();
    for refused in list(&vectors["proofs"]) {
        reasons.insert(text(&refused["reason"]));
        // What stands beside the bytes is compared by the reader; the bytes alone are those of a proof that holds.
        let Value::String(base64) = &refused["text"] else { continue };
        if is_base64(base64) {
            let judged = plain_proof::check(&document, None, &proofs::of_base64(base64));
            assert!(judged.is_err(), "{}", refused["what"]);
        }
    }
    for refused in list(&vectors["receipts"]) {
        reasons.insert(text(&refused["reason"]));
        assert!(plain_receipt::check(&document, &refused["text"]).is_err(), "{}", refused["what"]);
    }
    // As many kinds of reasons as a reader has to tell apart; a file that names one for all would say nothing.
    assert!(reasons.len() > 15, "{reasons:?}");
}

fn is_base64(text: &str) -> bool {
    text.len().is_multiple_of(4) && !text.contains('?')
}
