//! What a caller reads of a refusal: always a reason, a hint and words, whatever was wrong.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::base64;
use super::super::discover;
use super::super::errors::{ALREADY_KNOWN, BUSY, INPUTS_UNAVAILABLE, INTERNAL, REJECTED};
use super::super::fake_node::{ADDED, PRUNED, output};
use super::super::finality_proof;
use super::super::methods::{METHODS, Method, openrpc};
use super::tests::{Fixture, Reply, call};
use crate::types::codec::encode;
use crate::types::{Address, Network, Transaction, TxId};

/// Whether a text is one for people: no name of a type of this program, and no structure of one.
fn is_words(text: &str) -> bool {
    let is_name = |word: &str| {
        let mut letters = word.chars().zip(word.chars().skip(1));
        letters.any(|(one, next)| one.is_lowercase() && next.is_uppercase())
    };
    // This one is a name that people use.
    let text = text.replace("WebSocket", "");
    !text.is_empty() && !text.contains('{') && !text.split(|c: char| !c.is_alphanumeric()).any(is_name)
}

/// Holds an error to what every one has.
fn hold(error: &Value, about: &str) {
    let (message, data) = (error["message"].as_str().unwrap_or(""), &error["data"]);
    assert!(is_words(message), "{about}: {error}");
    assert!(data["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{about}: {error}");
    assert!(data["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{about}: {error}");
}

#[test]
fn names_of_types_are_no_words() {
    assert!(is_words("the bytes end too early"));
    for text in ["", "UnexpectedVariant", "it is Range { min: 0 }", "expected UnexpectedEnd, no"] {
        assert!(!is_words(text), "{text}");
    }
}

/// A method, its parameters, and the code and the reason of its refusal.
type Refused = (&'static str, Value, i32, &'static str);

/// Calls about peers that are refused by a node that has none.
fn refused_about_peers() -> Vec<Refused> {
    vec![
        ("disconnectnode", json!(["127.0.0.1:1"]), -29, "not_connected"),
        ("setnetworkactive", json!([false]), -1, "devnet_only"),
        ("addnode", json!(["here"]), -8, "bad_parameter"),
        ("addnode", json!(["here", "onetry"]), -8, "bad_parameter"),
        ("addnode", json!([ADDED]), -23, "already_added"),
        ("addnode", json!([ADDED, "add"]), -23, "already_added"),
        ("addnode", json!(["192.0.2.9:1", "remove"]), -24, "not_added"),
        ("addnode", json!(["192.0.2.9:1", "drop"]), -8, "bad_parameter"),
        ("setban", json!(["here", "add"]), -30, "bad_parameter"),
        ("setban", json!(["192.0.2.0/16", "remove"]), -30, "bad_parameter"),
        ("setban", json!([7, "add"]), -8, "bad_parameter"),
        ("setban", json!(["192.0.2.7", "lift"]), -8, "bad_parameter"),
        ("setban", json!(["192.0.2.7", "remove"]), -30, "not_banned"),
        ("setban", json!(["192.0.2.7", "add", 31_622_401]), -8, "bad_parameter"),
        ("setban", json!(["127.0.0.1", "add"]), -23, "not_bannable"),
    ]
}

/// Calls that a node refuses that has nothing much.
fn refused_calls() -> Vec<Refused> {
    let zero = TxId::ZERO.to_string();
    let mainnet = Address::of_lock(Network::Mainnet, output().lock).to_string();
    let devnet = Address::of_lock(Network::Devnet, output().lock).to_string();
    let spend = Transaction::transfer(
        vec![crate::types::OutPoint { txid: TxId::ZERO, index: 0 }],
        vec![output()],
        Vec::new(),
    );
    // Valid but for its last vote.
    let (_, proof) = finality_proof::tests::proof();
    let none = crate::protocol::finality_proof::Ending::Voted(Vec::new());
    let light = crate::protocol::finality_proof::FinalityProof::new(
        finality_proof::tests::proof().0.chain_id(),
        proof.txid(),
        Vec::new(),
        none,
    );
    let light = base64::encode(&light.to_bytes());
    let block = format!("1:{zero}");
    vec![
        ("getblockhash", json!([9]), -8, "height_out_of_range"),
        ("getblock", json!([zero]), -5, "block_not_found"),
        ("getblock", json!(["xyz"]), -8, "bad_parameter"),
        ("getblock", json!([1, 3]), -8, "bad_parameter"),
        ("getblock", json!([]), -32_602, "bad_parameters"),
        ("getblockcount", json!([1]), -32_602, "bad_parameters"),
        ("getblock", json!({ "nonsense": 1 }), -32_602, "bad_parameters"),
        ("getutxostate", json!([zero, -1]), -8, "bad_parameter"),
        ("getutxostate", json!(["00", 1]), -8, "bad_parameter"),
        ("getaddressbalance", json!([mainnet]), -5, "bad_parameter"),
        ("getaddressbalance", json!(["nowhere"]), -5, "bad_parameter"),
        ("getaddressbalance", json!([5]), -8, "bad_parameter"),
        ("getaddressutxos", json!([mainnet]), -5, "bad_parameter"),
        ("getaddressutxos", json!([devnet, 10_001]), -8, "bad_parameter"),
        ("sendrawtransaction", json!(["zz"]), -22, "invalid_hex"),
        ("sendrawtransaction", json!(["00"]), -22, "malformed_transaction"),
        ("sendrawtransaction", json!([hex::encode(encode(&spend))]), -25, "input_not_found"),
        ("decoderawtransaction", json!(["zz"]), -22, "invalid_hex"),
        ("decoderawtransaction", json!([""]), -22, "malformed_transaction"),
        ("gettxout", json!([zero, 0, "yes"]), -8, "bad_parameter"),
        ("estimatesmartfee", json!([6, "fast"]), -8, "bad_parameter"),
        ("getrawtransaction", json!([zero]), -5, "transaction_not_found"),
        ("getrawtransaction", json!([zero, 2]), -8, "bad_parameter"),
        ("getmasternode", json!(["ff".repeat(32)]), -5, "masternode_not_found"),
        ("listevidence", json!([0]), -8, "bad_parameter"),
        ("waitfortransaction", json!([zero, "never"]), -8, "bad_parameter"),
        ("waitfortransaction", json!([zero, "final", 60_001]), -8, "bad_parameter"),
        ("getfinalizedsince", json!([0, 0]), -8, "bad_parameter"),
        ("getfinalizedsince", json!(["7"]), -8, "bad_parameter"),
        ("getfinalizedsince", json!([true]), -8, "bad_parameter"),
        ("testmempoolaccept", json!([[]]), -8, "bad_parameter"),
        ("faucet", json!([mainnet]), -5, "bad_parameter"),
        ("faucet", json!([devnet, 1.5]), -8, "bad_parameter"),
        ("testmempoolaccept", json!([["zz"]]), -22, "invalid_hex"),
        ("testmempoolaccept", json!([["00"]]), -22, "malformed_transaction"),
        ("testmempoolaccept", json!([vec!["00"; 26]]), -8, "bad_parameter"),
        ("getaddresshistory", json!([mainnet]), -5, "bad_parameter"),
        ("getaddresshistory", json!([devnet, 1_001]), -8, "bad_parameter"),
        ("getaddresshistory", json!([devnet, 10, "7"]), -8, "bad_parameter"),
        ("getfinalityproof", json!([zero]), -5, "transaction_not_found"),
        ("getfinalityproof", json!([PRUNED.to_string()]), -5, "block_pruned"),
        ("getfinalityproof", json!([7]), -8, "bad_parameter"),
        ("getfinalityproof", json!([zero, "7"]), -8, "bad_parameter"),
        ("getfinalityproof", json!([zero, block]), -5, "block_not_found"),
        ("getreceipt", json!([zero, block]), -5, "block_not_found"),
        ("verifyfinalityproof", json!([light, block]), -26, "not_from_trusted"),
        ("verifyfinalityproof", json!([]), -32_602, "bad_parameters"),
        ("verifyfinalityproof", json!(["zz"]), -8, "malformed_proof"),
        (
            "verifyfinalityproof",
            json!([{ "format": "timed finality proof", "version": 1 }]),
            -8,
            "unknown_proof_version",
        ),
        ("verifyfinalityproof", json!([light]), -26, "votes_too_light"),
        ("getblockheader", json!([zero]), -5, "block_not_found"),
        ("getcommit", json!([2]), -5, "block_not_found"),
        ("waitforblockheight", json!([1, 60_001]), -8, "bad_parameter"),
        ("waitfornewblock", json!([-1]), -8, "bad_parameter"),
        ("getmempoolentry", json!([zero]), -5, "transaction_not_in_mempool"),
        ("createrawtransaction", json!([[{ "txid": zero }], []]), -8, "bad_parameter"),
        ("createrawtransaction", json!([[], [{ mainnet.as_str(): 1 }]]), -5, "bad_parameter"),
        ("createrawtransaction", json!([[], [{ "nowhere": 1 }]]), -5, "bad_parameter"),
        ("createrawtransaction", json!([[], [{ devnet.as_str(): 1.5 }]]), -8, "bad_parameter"),
        ("createrawtransaction", json!([[], [], "zz"]), -8, "bad_parameter"),
        ("createrawtransaction", json!([[], [], "00".repeat(257)]), -8, "bad_parameter"),
        ("explaintransaction", json!(["zz"]), -8, "bad_parameter"),
        ("getreceipt", json!([zero]), -5, "transaction_not_found"),
        ("subscribe", json!(["blocks"]), -32_011, "needs_websocket"),
        ("unsubscribe", json!([1]), -32_011, "needs_websocket"),
        ("getblokcount", json!([]), -32_601, "unknown_method"),
    ]
}

/// Methods whose parameters are read by a WebSocket alone; `socket_tests.rs` has theirs.
const BY_WEBSOCKET: [&str; 2] = ["subscribe", "unsubscribe"];

/// Calls of a method that are wrong in one parameter each, with that one's name: missing, though it is needed, and of a kind
/// that no parameter is of. All others are those of the method's sample, as far as it has them.
fn wrong_in_one_parameter(method: &Method) -> Vec<(&'static str, Value)> {
    let sample = discover::sample(method.name).unwrap();
    let sample = sample.as_array().unwrap();
    let before = |place: usize| sample.iter().cloned().chain(std::iter::repeat(Value::Null)).take(place);
    let calls = method.parameters.iter().enumerate().flat_map(|(place, name)| {
        let missing = (!name.ends_with('?')).then(|| Value::Array(before(place).collect()));
        let strange = before(place).chain([json!({ "nonsense": [true] })]).collect();
        let name = name.trim_end_matches('?');
        missing.into_iter().chain([Value::Array(strange)]).map(move |params| (name, params))
    });
    calls.collect()
}

/// The list is that of the table: a new method, or a new parameter, is held by this too.
#[tokio::test]
async fn every_method_refuses_each_of_its_parameters_by_name_where_it_is_wrong() {
    let (fixture, mut wrong) = (Fixture::start().await, Vec::new());
    for method in &METHODS {
        let too_many = vec![Value::Null; method.parameters.len() + 1];
        for params in [json!(too_many), json!({ "no such parameter": 1 })] {
            let error = fixture.call(method.name, params.clone()).await.unwrap_err();
            assert_eq!(error["data"]["reason"], "bad_parameters", "{} {params}: {error}", method.name);
            hold(&error, method.name);
        }
        if BY_WEBSOCKET.contains(&method.name) {
            continue;
        }
        for (name, params) in wrong_in_one_parameter(method) {
            let about = format!("{} {params}", method.name);
            match fixture.call(method.name, params).await {
                Ok(_) => wrong.push(format!("{about} is taken")),
                Err(error) => {
                    hold(&error, &about);
                    if !error["message"].as_str().unwrap().contains(name) {
                        wrong.push(format!("{about} does not blame {name}: {error}"));
                    }
                }
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

/// Calls with one number each that is beyond what the document says of its parameter, with that one's name.
fn beyond_the_documented_bounds(method: &Method, document: &Value) -> Vec<(&'static str, Value)> {
    let described = document["methods"].as_array().unwrap();
    let described = described.iter().find(|described| described["name"] == method.name).unwrap();
    let sample = discover::sample(method.name).unwrap();
    let sample = sample.as_array().unwrap();
    let mut calls = Vec::new();
    for (place, name) in method.parameters.iter().enumerate() {
        let schema = &described["params"][place]["schema"];
        let below = schema["minimum"].as_i64().filter(|least| *least > 0).map(|least| least - 1);
        let above = schema["maximum"].as_i64().map(|most| most + 1);
        for number in below.into_iter().chain(above) {
            let before = sample.iter().cloned().chain(std::iter::repeat(Value::Null)).take(place);
            calls.push((name.trim_end_matches('?'), Value::Array(before.chain([json!(number)]).collect())));
        }
    }
    calls
}

/// INV-DISCOVER-1: a client that keeps to the document is not refused for a number, and one that does not is.
#[tokio::test]
async fn the_bounds_of_numbers_are_those_that_the_document_says() {
    let (fixture, document) = (Fixture::start().await, openrpc(None));
    let mut seen = BTreeSet::new();
    for method in METHODS.iter().filter(|method| !BY_WEBSOCKET.contains(&method.name)) {
        for (name, params) in beyond_the_documented_bounds(method, &document) {
            let answer = fixture.call(method.name, params.clone()).await;
            let Err(error) = answer else { panic!("{} {params} is taken: {answer:?}", method.name) };
            let blamed = error["message"].as_str().unwrap().contains(name);
            assert!(blamed, "{} {params} does not blame {name}: {error}", method.name);
            seen.insert(name);
        }
    }
    assert!(seen.is_superset(&BTreeSet::from(["limit", "count", "minutes"])), "{seen:?}");
}

/// What a node refuses that has pruned its first block.
fn refused_below_the_horizon() -> Vec<Refused> {
    let of_block = |method| (method, json!([1]), -5, "block_pruned");
    ["getblockhash", "getblock", "getblockheader", "getcommit"].map(of_block).to_vec()
}

#[tokio::test]
async fn a_block_that_was_pruned_is_refused_with_what_to_do() {
    let fixture = Fixture::start().await;
    *fixture.node.horizon.lock() = 5;
    for (method, params, code, reason) in refused_below_the_horizon() {
        let error = fixture.call(method, params).await.unwrap_err();
        assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(code), &json!(reason)), "{method}");
        hold(&error, method);
    }
}

#[tokio::test]
async fn errors_have_code_reason_and_hint() {
    let (fixture, document) = (Fixture::start().await, openrpc(None));
    let shape = &document["methods"][0]["errors"][0]["data"];
    assert!(shape["$ref"].is_string(), "{shape}");
    for (method, params, code, reason) in [refused_calls(), refused_about_peers()].concat() {
        let error = fixture.call(method, params.clone()).await.unwrap_err();
        let about = format!("{method} {params}");
        assert_eq!(discover::tests::hold(&error["data"], shape, &document), Ok(()), "{about}");
        assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(code), &json!(reason)), "{about}");
        hold(&error, &about);
    }
    for (method, params, told) in [
        ("getblockcount", json!([1]), "too many parameters: none is taken, and 1 is given"),
        ("getblockhash", json!([1, 2]), "too many parameters: at most 1 is taken, and 2 are given"),
        ("getblock", json!([1, 2, 3]), "too many parameters: at most 2 are taken, and 3 are given"),
    ] {
        assert_eq!(fixture.call(method, params).await.unwrap_err()["message"], told);
    }
    let hint = async |name| {
        let error = fixture.call(name, json!([])).await.unwrap_err();
        (error["code"].clone(), error["data"]["hint"].as_str().unwrap().to_owned())
    };
    assert_eq!(hint("getblokcount").await, (json!(-32_601), "did you mean `getblockcount`?".to_owned()));
    let (code, hint) = hint("nonsense").await;
    assert!(code == json!(-32_601) && hint.contains("`help` lists"), "{code} {hint}");
}

/// INV-DISCOVER-2, the other way round: no code is listed that nothing leads to.
#[test]
fn each_code_that_the_document_lists_can_be_met() {
    let refused = [refused_calls(), refused_about_peers(), refused_below_the_horizon()].concat();
    let seen: BTreeSet<(&str, i32)> =
        refused.into_iter().map(|(method, _, code, _)| (method, code)).collect();
    // A failing disk, a node that has too much to do, and what becomes of payments are provoked in other tests.
    let elsewhere = [INTERNAL, BUSY, INPUTS_UNAVAILABLE, REJECTED, ALREADY_KNOWN];
    for method in METHODS.iter().filter(|method| !BY_WEBSOCKET.contains(&method.name)) {
        for code in discover::tests::own_codes(method.name).iter().filter(|code| !elsewhere.contains(code)) {
            assert!(seen.contains(&(method.name, *code)), "{} never gives {code}", method.name);
        }
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_reason_and_hint() {
    let fixture = Fixture::start().await;
    let uptime = call("uptime", json!([])).to_string();
    let entry = |reply: &Reply| match reply.json() {
        Value::Array(entries) => entries[0].clone(),
        answer => answer,
    };
    for (line, header, body, code, reason) in [
        ("POST /", None, "[]", -32_600, "invalid_request"),
        ("POST /", None, "[1]", -32_600, "invalid_request"),
        ("POST /", None, r#"[{"jsonrpc":"2.0","id":-1,"method":"uptime"}]"#, -32_600, "invalid_request"),
        ("POST /", None, r#"[{"jsonrpc":"2.0","id":1.5,"method":"uptime"}]"#, -32_600, "invalid_request"),
        ("POST /", None, "{}", -32_600, "invalid_request"),
        ("POST /", None, r#"{"id":1,"method":"uptime"}"#, -32_600, "invalid_request"),
        ("POST /", None, "5", -32_600, "invalid_request"),
        ("POST /", None, "", -32_700, "not_json"),
        ("POST /", None, "{", -32_700, "not_json"),
        ("POST /", Some(("content-type", "text/plain")), uptime.as_str(), -32_600, "content_type"),
        ("POST /", Some(("host", "evil.example")), uptime.as_str(), -32_600, "host_not_allowed"),
        ("POST /", Some(("origin", "http://evil.example")), uptime.as_str(), -32_600, "origin_not_allowed"),
        ("PUT /", None, uptime.as_str(), -32_600, "http_method"),
        ("POST /else", None, uptime.as_str(), -32_600, "no_such_page"),
    ] {
        let headers: Vec<(&str, &str)> = header.into_iter().collect();
        let answer = entry(&fixture.request(line, &headers, body).await);
        let error = &answer["error"];
        hold(error, body);
        assert_eq!(
            (&error["code"], &error["data"]["reason"]),
            (&json!(code), &json!(reason)),
            "{line} {body}"
        );
    }
    let spaced = format!("{}{uptime}", " ".repeat(1_000));
    assert_eq!(fixture.request("POST /", &[], &spaced).await.json()["result"], 3, "spaces are no error");
}

/// Truncated, longer, of other versions and with other bytes.
fn spoiled(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (0..bytes.len()).map(|length| bytes[..length].to_vec()).collect();
    all.push([bytes, &[0]].concat());
    for place in 0..bytes.len() {
        for byte in [0xff, 2] {
            let mut other = bytes.to_vec();
            other[place] = byte;
            all.push(other);
        }
    }
    all
}

#[tokio::test]
async fn bytes_that_are_none_of_what_they_should_be_are_refused_in_words() {
    let fixture = Fixture::start().await;
    let transaction = encode(&Transaction::transfer(Vec::new(), vec![output()], b"order 7".to_vec()));
    let mut refused = 0;
    for bytes in spoiled(&transaction) {
        let digits = hex::encode(&bytes);
        for (method, params) in [
            ("decoderawtransaction", json!([digits])),
            ("sendrawtransaction", json!([digits])),
            ("testmempoolaccept", json!([[digits]])),
        ] {
            if let Err(error) = fixture.call(method, params).await {
                hold(&error, &digits);
                refused += 1;
            }
        }
    }
    assert!(refused > 3 * transaction.len(), "all that are shorter, and more: {refused}");
    let proof = finality_proof::tests::proof().1.to_bytes();
    for bytes in spoiled(&proof[..proof.len().min(80)]) {
        let text = base64::encode(&bytes);
        let error = fixture.call("verifyfinalityproof", json!([text])).await.unwrap_err();
        hold(&error, &text);
    }
    for params in [json!([-1, 0]), json!([7, "a"]), json!(["00", -1]), json!(["00", 1.5])] {
        hold(&fixture.call("getutxostate", params.clone()).await.unwrap_err(), &params.to_string());
    }
    let wrong = json!([[{ "txid": 5 }], []]);
    hold(&fixture.call("createrawtransaction", wrong).await.unwrap_err(), "an input without a place");
}
