//! The server over real sockets, with a fake node behind it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::base64;
use super::super::discover;
use super::super::fake_node::{FakeNode, LOSER, PEER, block, masternode, output};
use super::super::finality_proof;
use super::super::limits::{BATCH_LENGTH_MAX, BODY_BYTES_MAX};
use super::super::methods::{self, METHODS, openrpc};
use super::super::metrics_server::{MetricsServer, Render};
use super::*;
use crate::runtime::config::RpcRole;
use crate::types::codec::encode;
use crate::types::{Address, Amount, Network, OutPoint, SecretKey, Transaction, TxId};

pub(super) struct Fixture {
    pub(super) address: SocketAddr,
    pub(super) node: Arc<FakeNode>,
    /// What is said while the node starts.
    pub(super) status: StartStatus,
    handle: RpcHandle,
    cookie_path: PathBuf,
    token: CancellationToken,
    tracker: TaskTracker,
    _directory: tempfile::TempDir,
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} {}", self.head, self.body))
    }
}

impl Fixture {
    pub(super) async fn start() -> Self {
        Self::start_with(Limits::of(8)).await
    }

    pub(super) async fn start_with(limits: Limits) -> Self {
        Self::start_allowing(limits, Allowed::default()).await
    }

    pub(super) async fn start_allowing(limits: Limits, allowed: Allowed) -> Self {
        let fixture = Self::open_allowing(limits, allowed).await;
        fixture.serve();
        fixture
    }

    /// A server whose node starts.
    pub(super) async fn open() -> Self {
        Self::open_allowing(Limits::of(8), Allowed::default()).await
    }

    pub(super) fn serve(&self) {
        self.handle.serve(self.node.clone()).unwrap();
    }

    async fn open_allowing(limits: Limits, allowed: Allowed) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cookie_path = directory.path().join(".cookie");
        let config = RpcServerConfig {
            listen_address: "127.0.0.1:0".parse().unwrap(),
            connections_max: limits.requests_max,
            cookie_path: Some(cookie_path.clone()),
            users: users(),
        };
        let (node, token, tracker) = (FakeNode::funded(), CancellationToken::new(), TaskTracker::new());
        let status = StartStatus::default();
        let (told, running) = (status.clone(), (token.clone(), &tracker));
        let handle = RpcServer::open_with(config, (limits, allowed), status, running).await.unwrap();
        let address = handle.local_address;
        Self { address, handle, status: told, node, cookie_path, token, tracker, _directory: directory }
    }

    pub(super) async fn stop(&self) {
        self.token.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }

    pub(super) fn cookie(&self) -> String {
        basic(&std::fs::read_to_string(&self.cookie_path).unwrap())
    }

    async fn raw(&self, text: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Reply { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub(super) async fn request(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut text = format!("{line} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "host") {
            text.push_str(&format!("host: {}\r\n", self.address));
        }
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            text.push_str("content-type: application/json\r\n");
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        self.raw(format!("{text}\r\n{body}").as_bytes()).await
    }

    pub(super) async fn post(&self, headers: &[(&str, &str)], body: &Value) -> Reply {
        self.request("POST /", headers, &body.to_string()).await
    }

    /// Calls with the cookie: the result or the error.
    pub(super) async fn call(&self, method: &str, params: Value) -> Result<Value, Value> {
        let reply = self.post(&[("authorization", &self.cookie())], &call(method, params)).await;
        let mut json = reply.json();
        assert_eq!(reply.status, 200, "{json}");
        match json["error"].take() {
            Value::Null => Ok(json["result"].take()),
            error => {
                let is_listed =
                    methods::find(method).is_none() || discover::tests::is_listed(method, &error["code"]);
                assert!(is_listed, "INV-DISCOVER-2: {method}: {error}");
                Err(error)
            }
        }
    }
}

/// `alice` may do everything, `reader` and `shop` what their names say; the password of all is `secret`.
fn users() -> Vec<RpcUser> {
    let of_role = [("alice", RpcRole::Admin), ("reader", RpcRole::Read), ("shop", RpcRole::Wallet)];
    of_role.map(|(name, role)| RpcUser::line(name, "f00d", "secret", role).unwrap().parse().unwrap()).to_vec()
}

pub(super) fn basic(pair: &str) -> String {
    format!("Basic {}", base64::encode(pair.as_bytes()))
}

pub(super) fn call(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// INV-RPC-1.
#[tokio::test]
async fn every_method_answers() {
    let fixture = Fixture::start().await;
    let spend = hex::encode(encode(&Transaction::transfer(Vec::new(), vec![output()], Vec::new())));
    let proof = base64::encode(&finality_proof::tests::proof().1.to_bytes());
    let document = openrpc(Some(fixture.address));
    assert_eq!(fixture.call("rpc.discover", json!([])).await.as_ref(), Ok(&document));
    for (method, described) in METHODS.iter().zip(document["methods"].as_array().unwrap()) {
        // The document's own samples, but where this node has nothing of that name.
        let params = match method.name {
            "addnode" | "disconnectnode" => json!([PEER]),
            "getreceipt" | "getrawtransaction" => json!([block().block.transactions[0].txid().to_string()]),
            "verifyfinalityproof" => json!([proof]),
            "sendrawtransaction" => json!([spend]),
            // These are answered by a WebSocket alone.
            "subscribe" | "unsubscribe" => continue,
            name => discover::sample(name).unwrap(),
        };
        let answer = fixture.call(method.name, params).await;
        let is_silent = matches!(method.name, "disconnectnode" | "addnode" | "setban" | "clearbanned");
        let is_well = answer.as_ref().is_ok_and(|answer| answer.is_null() == is_silent);
        assert!(is_well, "{}: {answer:?}", method.name);
        let held = discover::tests::hold(&answer.unwrap(), &described["result"]["schema"], &document);
        assert_eq!(held, Ok(()), "INV-DISCOVER-1: {}", method.name);
    }
    assert!(fixture.node.stopped.load(std::sync::atomic::Ordering::Relaxed));
    let help = fixture.call("help", json!([])).await.unwrap();
    let listed: Vec<_> = help
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["usage"].as_str().unwrap().split(' ').next())
        .collect();
    assert_eq!(listed, METHODS.iter().map(|method| Some(method.name)).collect::<Vec<_>>());
}

#[tokio::test]
async fn answers_have_the_documented_shapes() {
    let fixture = Fixture::start().await;
    let hash = block().block.header.hash().to_string();
    assert_eq!(fixture.call("getblockcount", json!([])).await, Ok(json!(1)));
    assert_eq!(fixture.call("getblockcount", Value::Null).await, Ok(json!(1)));
    assert_eq!(fixture.call("getblockhash", json!({ "height": 1 })).await, Ok(json!(hash)));
    assert_eq!(fixture.call("getblock", json!([hash, 0])).await, Ok(json!(hex::encode(encode(&block())))));
    let full = fixture.call("getblock", json!([hash, 2])).await.unwrap();
    assert_eq!((&full["confirmations"], &full["tx"][0]["memo"]), (&json!(1), &json!("6869")));
    let ids = fixture.call("getblock", json!([1])).await.unwrap();
    assert_eq!(ids["tx"][0], json!(block().block.transactions[0].txid().to_string()));
    let state = fixture.call("getutxostate", json!([TxId([7; 32]).to_string(), 0])).await.unwrap();
    assert_eq!(state["state"], "unspent");
    let out = fixture.call("gettxout", json!([TxId([7; 32]).to_string(), 0])).await.unwrap();
    assert_eq!(out["value_time"], "10000.00000000");
    assert_eq!(fixture.call("gettxout", json!([TxId([8; 32]).to_string(), 0])).await, Ok(Value::Null));
    // As Bitcoin Core's clients ask, for what blocks have alone.
    for in_pool_too in [json!(true), json!(false), Value::Null] {
        let asked = fixture.call("gettxout", json!([TxId([7; 32]).to_string(), 0, in_pool_too])).await;
        assert_eq!(asked.as_ref(), Ok(&out), "a block has it");
    }
    let address = Address::of_lock(Network::Devnet, output().lock).to_string();
    let balance = fixture.call("getaddressbalance", json!([address])).await.unwrap();
    assert_eq!((&balance["spendable"], &balance["utxo_count"]), (&json!(1_000_000_000_000_u64), &json!(1)));
    let waited = fixture.call("waitfortransaction", json!([TxId([9; 32]).to_string(), "final", 1])).await;
    let waited = waited.unwrap();
    assert_eq!(waited["status"], "unknown");
    assert!(waited["note"].as_str().unwrap().contains("never seen it"), "{waited}");
    // Nothing is waited for that can't come; a wait would take a place, and its whole time.
    let lost = fixture.call("waitfortransaction", json!([LOSER.to_string(), "final", 60_000])).await.unwrap();
    assert_eq!((&lost["status"], &lost["winner"]), (&json!("conflicted"), &json!(TxId([7; 32]).to_string())));
    assert_eq!(lost.get("note"), None);
    let error = fixture.call("getfinalityproof", json!([LOSER.to_string()])).await.unwrap_err();
    assert_eq!(error["data"]["reason"], "transaction_conflicted");
    assert_eq!(error["data"]["winner"], json!(TxId([7; 32]).to_string()));
    assert_eq!(fixture.node.waits_begun.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_proof_that_was_given_is_checked_as_it_is() {
    let fixture = Fixture::start().await;
    let given = fixture.call("getfinalityproof", json!([TxId([7; 32]).to_string()])).await.unwrap();
    assert_eq!(given["proves"]["signers"], 3);
    for proof in [&given, &given["proof"]] {
        assert_eq!(fixture.call("verifyfinalityproof", json!([proof])).await.as_ref(), Ok(&given["proves"]));
    }
    let mut changed = given.clone();
    changed["proves"]["txid"] = json!(TxId([8; 32]).to_string());
    let error = fixture.call("verifyfinalityproof", json!([changed])).await.unwrap_err();
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-26), &json!("other_summary")));
    let second = fixture.node.utxos.lock().keys().next().unwrap().txid;
    assert_eq!(second, TxId([7; 32]));
    let spend = fixture.call("sendrawtransaction", json!([spend_of(second)])).await.unwrap();
    let error = fixture.call("getfinalityproof", json!([spend])).await.unwrap_err();
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-5), &json!("transaction_not_final")));
}

/// A transaction that the fake node takes, and has no proof of.
pub(super) fn spend_of(txid: TxId) -> String {
    let input = crate::types::OutPoint { txid, index: 0 };
    hex::encode(encode(&Transaction::transfer(vec![input], vec![output()], Vec::new())))
}

#[tokio::test]
async fn masternodes_and_what_became_of_their_transactions_are_told() {
    let fixture = Fixture::start().await;
    let unjail = block().block.transactions[1].txid().to_string();
    let full = fixture.call("getblock", json!([1, 2])).await.unwrap();
    assert_eq!(full["evidence"][0]["kind"], "conflicting_votes");
    assert_eq!(full["tx"][0].get("receipt"), None, "a transfer has none");
    let raw = fixture.call("getrawtransaction", json!([unjail, 1])).await.unwrap();
    for told in [&full["tx"][1], &raw] {
        assert_eq!((&told["txid"], &told["kind"]), (&json!(unjail), &json!("masternode_update")));
        assert_eq!(told["masternode"]["id"], json!(masternode().id));
        assert_eq!(told["masternode"]["unjail"], json!(masternode().operator_key));
        assert_eq!(told["masternode"].get("payout"), None, "what stays is not told");
        assert_eq!(
            (&told["receipt"]["void"], &told["receipt"]["reason"]),
            (&json!(true), &json!("not_jailed"))
        );
        assert!(told["receipt"]["message"].as_str().unwrap().contains("is not jailed"));
    }
    assert_eq!((&raw["height"], &raw["confirmations"]), (&json!(1), &json!(1)));
    assert_eq!(raw["blockhash"], full["hash"]);
    assert_eq!((&full["time"], &raw["time"], &raw["blocktime"]), (&json!(5_999), &json!(5), &json!(5)));
    let hex = fixture.call("getrawtransaction", json!([unjail])).await.unwrap();
    // As Bitcoin Core's clients ask.
    for (is_verbose, same) in [(true, &raw), (false, &hex)] {
        assert_eq!(&fixture.call("getrawtransaction", json!([unjail, is_verbose])).await.unwrap(), same);
    }
    let block_hex = fixture.call("getblock", json!([1, 0])).await.unwrap();
    assert_eq!(fixture.call("getblock", json!([1, false])).await, Ok(block_hex));
    assert_eq!(hex, json!(hex::encode(encode(&*block().block.transactions[1]))));
    assert_eq!(raw["hex"], hex);
    let decoded = fixture.call("decoderawtransaction", json!([hex])).await.unwrap();
    assert_eq!((&decoded["txid"], decoded.get("receipt")), (&json!(unjail), None));
    let list = fixture.call("masternodelist", json!([])).await.unwrap();
    let one = fixture.call("getmasternode", json!([masternode().id])).await.unwrap();
    assert_eq!((&list[0], &one["jailed"], &one["in_set"]), (&one, &json!("absence"), &Value::Null));
    let heartbeats = fixture.call("getheartbeats", json!([])).await.unwrap();
    assert_eq!(
        (&heartbeats[0]["masternode"], &heartbeats[0]["next_seq"]),
        (&json!(masternode().id), &json!(3))
    );
    let evidence = fixture.call("listevidence", json!([2])).await.unwrap();
    assert_eq!(evidence.as_array().unwrap().len(), 2);
    assert_eq!((&evidence[0]["burned"], &evidence[0]["block_height"]), (&json!(50), &json!(1)));
}

/// INV-HTTP-2, INV-RPC-2.
#[tokio::test]
async fn reading_is_free_on_loopback_and_writing_needs_credentials() {
    let fixture = Fixture::start().await;
    let (cookie, alice) = (fixture.cookie(), basic("alice:secret"));
    let wrong = [basic("alice:wrong"), basic("__cookie__:"), "Basic !".to_owned(), "Bearer x".to_owned()];
    for write in [false, true] {
        let body = call(if write { "stop" } else { "uptime" }, json!([]));
        let none = fixture.post(&[], &body).await;
        assert_eq!(none.status, if write { 401 } else { 200 });
        if write {
            assert_eq!(none.json()["error"]["code"], -32_001);
            assert!(none.head.contains("www-authenticate: basic"));
            assert!(!fixture.node.stopped.load(std::sync::atomic::Ordering::Relaxed));
        }
        for good in [&cookie, &alice] {
            let reply = fixture.post(&[("authorization", good)], &body).await;
            assert_eq!((reply.status, reply.json()["result"].is_null()), (200, false));
        }
        for bad in &wrong {
            assert_eq!(fixture.post(&[("authorization", bad)], &body).await.status, 401, "{bad}");
        }
        fixture.node.stopped.store(false, std::sync::atomic::Ordering::Relaxed);
    }
    let batch = json!([call("stop", json!([])), call("uptime", json!([]))]);
    let reply = fixture.post(&[], &batch).await;
    assert_eq!((reply.status, &reply.json()[1]["result"]), (401, &json!(3)));
    let notification = json!({ "jsonrpc": "2.0", "method": "stop", "params": [] });
    fixture.post(&[], &notification).await;
    assert!(!fixture.node.stopped.load(std::sync::atomic::Ordering::Relaxed));
}

/// INV-HTTP-1.
#[tokio::test]
async fn foreign_hosts_and_origins_are_refused_on_every_page() {
    let fixture = Fixture::start().await;
    let cookie = fixture.cookie();
    let origin = format!("http://{}", fixture.address);
    let body = call("uptime", json!([])).to_string();
    for line in ["POST /", "GET /health", "GET /ready", "GET /else"] {
        for header in [("host", "evil.example"), ("origin", "http://evil.example"), ("origin", "null")] {
            let reply = fixture.request(line, &[header, ("authorization", &cookie)], &body).await;
            assert_eq!(reply.status, 403, "{line} {header:?}");
        }
    }
    assert_eq!(fixture.request("POST /", &[("origin", &origin)], &body).await.status, 200);
    // The page of a devnet pays of the faucet without credentials; no other page does.
    let key = SecretKey::from_seed(&[1; 32]).public().key_hash();
    let recipient = Address::of_key_hash(Network::Devnet, key);
    let pays = call("faucet", json!([recipient])).to_string();
    let of_own = fixture.request("POST /", &[("origin", &origin)], &pays).await;
    assert!(of_own.status == 200 && of_own.json()["result"].is_string(), "{}", of_own.body);
    let foreign = fixture.request("POST /", &[("origin", "http://evil.example")], &pays).await;
    assert_eq!(foreign.status, 403);
    assert_eq!(fixture.request("POST /", &[("host", "localhost")], &body).await.status, 200);
}

/// INV-HTTP-3, INV-RPC-3.
#[tokio::test]
async fn oversized_deep_and_long_requests_are_refused() {
    let fixture = Fixture::start().await;
    let padded = |length: usize| format!("{}{}", call("uptime", json!([])), " ".repeat(length - 60));
    let large = fixture.request("POST /", &[], &padded(BODY_BYTES_MAX + 60)).await;
    assert_eq!((large.status, &large.json()["error"]["data"]["reason"]), (413, &json!("body_too_large")));
    assert_eq!(fixture.request("POST /", &[], &padded(BODY_BYTES_MAX - 60)).await.status, 200);
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"uptime","params":{}{}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let deep = fixture.request("POST /", &[], &deep).await;
    assert_eq!((deep.status, &deep.json()["error"]["data"]["reason"]), (400, &json!("too_deep")));
    let batch = |length: usize| Value::from(vec![call("uptime", json!([])); length]);
    let long = fixture.post(&[], &batch(BATCH_LENGTH_MAX + 1)).await;
    assert_eq!((long.status, &long.json()["error"]["data"]["reason"]), (400, &json!("batch_too_long")));
    let full = fixture.post(&[], &batch(BATCH_LENGTH_MAX)).await;
    assert_eq!((full.status, full.json().as_array().unwrap().len()), (200, BATCH_LENGTH_MAX));
    for nonsense in ["", "{", "\u{0}"] {
        assert_eq!(fixture.request("POST /", &[], nonsense).await.status, 400);
    }
    assert_eq!(fixture.post(&[], &json!([])).await.json()["error"]["code"], -32_600);
    assert_eq!(fixture.request("POST /else", &[], "{}").await.status, 404);
    assert_eq!(fixture.request("PUT /", &[], "{}").await.status, 405);
    for (line, kind) in [("GET /", "text/html"), ("GET /explorer.js", "text/javascript")] {
        let page = fixture.request(line, &[], "").await;
        assert!(page.status == 200 && page.head.contains(kind), "{line}: {}", page.head);
        assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
        let foreign = fixture.request(line, &[("host", "evil.example")], "").await;
        assert_eq!(foreign.status, 403, "{line} under another name");
    }
    let plain = [("content-type", "text/plain")];
    assert_eq!(fixture.request("POST /", &plain, &call("uptime", json!([])).to_string()).await.status, 415);
}

#[tokio::test]
async fn a_fee_is_bounded_by_one_time_unless_the_caller_says_otherwise() {
    let fixture = Fixture::start().await;
    let spend = hex::encode(encode(&Transaction::transfer(Vec::new(), vec![output()], Vec::new())));
    for (given, expected) in [
        (None, Some(Amount(100_000_000))),
        (Some(json!(null)), Some(Amount(100_000_000))),
        (Some(json!(5_000)), Some(Amount(5_000))),
        (Some(json!("1.5")), Some(Amount(150_000_000))),
        (Some(json!(0)), None),
    ] {
        for (method, first) in [("testmempoolaccept", json!([spend])), ("sendrawtransaction", json!(spend))] {
            let params: Vec<Value> = std::iter::once(first).chain(given.clone()).collect();
            *fixture.node.fee_max.lock() = Some(Amount(1));
            fixture.call(method, json!(params)).await.unwrap();
            assert_eq!(*fixture.node.fee_max.lock(), expected, "{method} {given:?}");
        }
    }
    let wrong = fixture.call("sendrawtransaction", json!([spend, -1])).await.unwrap_err();
    assert_eq!(wrong["data"]["reason"], "bad_parameter");
}

#[tokio::test]
async fn a_judgement_says_what_to_do_as_the_refusal_would() {
    let fixture = Fixture::start().await;
    let spend = Transaction::transfer(vec![OutPoint { txid: LOSER, index: 0 }], vec![output()], Vec::new());
    let judged = fixture.call("testmempoolaccept", json!([[hex::encode(encode(&spend))]])).await.unwrap();
    assert_eq!(
        (&judged[0]["allowed"], &judged[0]["reject-reason"]),
        (&json!(false), &json!("input_not_found"))
    );
    assert_eq!(judged[0]["reject-hint"], "ask for the wallet's outputs again");
}

#[tokio::test]
async fn a_batch_runs_side_by_side_and_keeps_its_order() {
    let fixture = Fixture::start().await;
    let made = Transaction::transfer(Vec::new(), vec![output()], Vec::new());
    // The wait comes before what it waits for: one after the other it would end with its deadline, unknown.
    let batch = json!([
        call("waitfortransaction", json!([made.txid().to_string(), "final", 20_000])),
        call("sendrawtransaction", json!([hex::encode(encode(&made))])),
    ]);
    let reply = fixture.post(&[("authorization", &fixture.cookie())], &batch).await.json();
    assert_eq!(reply[0]["result"]["status"], "final");
    assert_eq!(reply[1]["result"], made.txid().to_string());
}

#[tokio::test]
async fn health_and_readiness_have_their_pages() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.request("GET /health", &[], "").await.json(), json!({ "status": "alive" }));
    let ready = fixture.request("GET /ready", &[], "").await;
    assert_eq!((ready.status, ready.json()), (200, json!({ "ready": true, "reasons": [] })));
    fixture.node.not_ready.store(true, std::sync::atomic::Ordering::Relaxed);
    let not_ready = fixture.request("GET /ready", &[], "").await;
    assert_eq!((not_ready.status, &not_ready.json()["reasons"][0]["reason"]), (503, &json!("syncing")));
}

/// INV-CALL-1, INV-SERVER-1.
#[tokio::test]
async fn stopping_ends_waits_and_removes_the_cookie() {
    let fixture = Fixture::start().await;
    assert!(fixture.cookie_path.exists());
    let wait = call("waitfortransaction", json!([TxId([9; 32]).to_string(), "final", 60_000]));
    let stop = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        fixture.token.cancel();
    };
    let (reply, ()) = tokio::join!(fixture.post(&[], &wait), stop);
    assert_eq!(reply.json()["error"]["data"]["reason"], "stopping");
    fixture.tracker.close();
    fixture.tracker.wait().await;
    assert!(!fixture.cookie_path.exists());
}

#[tokio::test]
async fn starting_fails_with_the_address_in_words() {
    let fixture = Fixture::start().await;
    let config = |listen_address| RpcServerConfig {
        listen_address,
        connections_max: 1,
        cookie_path: None,
        users: Vec::new(),
    };
    let start =
        |config| RpcServer::start(config, FakeNode::funded(), CancellationToken::new(), &fixture.tracker);
    let taken = start(config(fixture.address)).await.unwrap_err();
    assert!(matches!(taken, RpcError::AddressInUse { address, .. } if address == fixture.address));
    let said = taken.to_string();
    assert!(said.contains(&fixture.address.to_string()) && said.contains("[rpc] listen_address"), "{said}");
    let (render, token) = (Arc::new(String::new) as Render, CancellationToken::new());
    let taken = MetricsServer::start(fixture.address, render, token, &fixture.tracker).await.unwrap_err();
    assert!(taken.to_string().contains("[metrics] listen_address"), "{taken}");
    let open = start(config("0.0.0.0:0".parse().unwrap())).await.unwrap_err();
    assert!(matches!(open, RpcError::OpenWithoutAuth { .. }));
    assert!(fixture.cookie_path.exists(), "a server that did not start leaves the other's cookie alone");
}

#[tokio::test]
async fn calls_are_counted_and_metrics_are_rendered() {
    let (token, tracker) = (CancellationToken::new(), TaskTracker::new());
    let render = Arc::new(|| "timed_block_height 7\n".to_owned());
    let any = "127.0.0.1:0".parse().unwrap();
    let address = MetricsServer::start(any, render, token.clone(), &tracker).await.unwrap();
    let fixture = Fixture { address, ..Fixture::start().await };
    let page = fixture.request("GET /metrics", &[], "").await;
    assert_eq!((page.status, page.body.as_str()), (200, "timed_block_height 7\n"));
    assert_eq!(fixture.request("GET /", &[], "").await.status, 404);
    token.cancel();
    tracker.close();
    tracker.wait().await;
}

#[tokio::test]
async fn headers_commits_and_the_pool_are_told() {
    let fixture = Fixture::start().await;
    let committed = block();
    let hash = committed.block.header.hash().to_string();
    let header = fixture.call("getblockheader", json!([hash])).await.unwrap();
    assert_eq!((&header["hash"], &header["nTx"]), (&json!(hash), &json!(2)));
    let bytes = fixture.call("getblockheader", json!([1, false])).await;
    assert_eq!(bytes, Ok(json!(hex::encode(encode(&committed.block.header)))));
    let commit = fixture.call("getcommit", json!([1])).await.unwrap();
    assert_eq!(
        (&commit["hash"], &commit["quorum"], &commit["signers"]),
        (&json!(hash), &json!(1), &json!([]))
    );
    let tip = json!({ "hash": hash, "height": 1 });
    for (method, params) in [
        ("waitforblockheight", json!([1])),
        ("waitforblockheight", json!([9, 1])),
        ("waitfornewblock", json!([0])),
        ("waitfornewblock", json!([1])),
    ] {
        assert_eq!(fixture.call(method, params.clone()).await.as_ref(), Ok(&tip), "{method} {params}");
    }
    let entry = fixture.call("getmempoolentry", json!([TxId([7; 32]).to_string()])).await.unwrap();
    assert_eq!((&entry["status"], &entry["fee_time"]), (&json!("certified"), &json!("0.00001000")));
    assert_eq!(fixture.call("getrawmempool", json!([])).await, Ok(json!([entry["txid"]])));
    let verbose = fixture.call("getrawmempool", json!([true])).await.unwrap();
    assert_eq!(verbose[entry["txid"].as_str().unwrap()], entry);
    let fee = fixture.call("estimatesmartfee", json!([6])).await.unwrap();
    assert_eq!((&fee["feerate"], &fee["fee_per_kb"]), (&json!("0.00001000"), &json!(1_000)));
    for mode in ["unset", "economical", "conservative", "ECONOMICAL"] {
        assert_eq!(fixture.call("estimatesmartfee", json!([6, mode])).await.as_ref(), Ok(&fee), "{mode}");
    }
}

#[tokio::test]
async fn what_no_block_has_says_nothing_of_a_block_and_is_left_out_where_blocks_alone_are_asked_for() {
    let fixture = Fixture::start().await;
    let sent = fixture.call("sendrawtransaction", json!([spend_of(TxId([7; 32]))])).await.unwrap();
    let transaction = Transaction::transfer(Vec::new(), vec![output()], b"waits".to_vec());
    let waits = transaction.txid();
    fixture.node.finals.lock().push((waits, transaction.into()));
    let raw = fixture.call("getrawtransaction", json!([waits.to_string(), true])).await.unwrap();
    assert_eq!((&raw["confirmations"], &raw["height"]), (&json!(0), &Value::Null));
    for name in ["blockhash", "time", "blocktime"] {
        assert_eq!(raw.get(name), None, "{name}");
    }
    let out = fixture.call("gettxout", json!([sent, 0])).await.unwrap();
    assert_eq!(out["confirmations"], 0);
    assert_eq!(fixture.call("gettxout", json!([sent, 0, true])).await, Ok(out));
    assert_eq!(fixture.call("gettxout", json!([sent, 0, false])).await, Ok(Value::Null));
}

#[tokio::test]
async fn a_block_names_the_next_one_where_there_is_one() {
    let fixture = Fixture::start().await;
    let next_of = async |method: &str, height: u64| {
        let told = fixture.call(method, json!([height])).await.unwrap();
        told.get("nextblockhash").cloned()
    };
    for method in ["getblock", "getblockheader"] {
        *fixture.node.next.lock() = None;
        assert_eq!(next_of(method, 1).await, None, "{method}: it is the last one");
        let second = crate::types::BlockHash([2; 32]);
        *fixture.node.next.lock() = Some(second);
        assert_eq!(next_of(method, 1).await, Some(json!(second)), "{method}");
    }
}

#[tokio::test]
async fn bans_are_made_told_and_lifted() {
    let fixture = Fixture::start().await;
    for (subject, seconds) in [("192.0.2.7", 60), ("198.51.100.0/24", 90), ("203.0.113.9", 0)] {
        assert_eq!(fixture.call("setban", json!([subject, "add", seconds])).await, Ok(Value::Null));
    }
    let listed = fixture.call("listbanned", json!([])).await.unwrap();
    let expected = json!([
        { "address": "192.0.2.7", "time_remaining": 60 },
        { "address": "198.51.100.0/24", "time_remaining": 90 },
        // As in Bitcoin Core, 0 is the usual time.
        { "address": "203.0.113.9", "time_remaining": 86_400 }
    ]);
    assert_eq!(listed, expected);
    let twice = fixture.call("setban", json!(["192.0.2.7", "add", 5])).await.unwrap_err();
    assert_eq!((&twice["code"], &twice["data"]["reason"]), (&json!(-23), &json!("already_banned")));
    assert_eq!(fixture.call("listbanned", json!([])).await, Ok(expected), "it lasts as long as before");
    assert_eq!(fixture.call("setban", json!(["192.0.2.7", "remove"])).await, Ok(Value::Null));
    assert_eq!(fixture.call("listbanned", json!([])).await.unwrap().as_array().unwrap().len(), 2);
    assert_eq!(fixture.call("clearbanned", json!([])).await, Ok(Value::Null));
    assert_eq!(fixture.call("listbanned", json!([])).await, Ok(json!([])));
}

#[tokio::test]
async fn a_transaction_is_made_of_names_and_amounts_in_either_unit() {
    let fixture = Fixture::start().await;
    let address = Address::of_lock(Network::Devnet, output().lock).to_string();
    let inputs = json!([{ "txid": TxId([7; 32]).to_string(), "vout": 2 }]);
    let many = json!([{ address.as_str(): 5 }, { address.as_str(): "1.5" }]);
    let made = fixture.call("createrawtransaction", json!([inputs, many, "6869"])).await.unwrap();
    let decoded = fixture.call("decoderawtransaction", json!([made])).await.unwrap();
    let named = json!({
        "txid": TxId([7; 32]).to_string(), "vout": 2, "value": null, "value_time": null, "address": null,
    });
    assert_eq!((&decoded["vin"], &decoded["fee"]), (&json!([named]), &Value::Null));
    let values: Vec<_> = decoded["vout"].as_array().unwrap().iter().map(|output| &output["value"]).collect();
    assert_eq!((values, &decoded["memo"]), (vec![&json!(5), &json!(150_000_000)], &json!("6869")));
    let one = fixture.call("createrawtransaction", json!([inputs, { address.as_str(): 5 }])).await.unwrap();
    let decoded = fixture.call("decoderawtransaction", json!([one])).await.unwrap();
    assert_eq!(decoded["vout"][0]["address"], json!(address));
    let valid = fixture.call("validateaddress", json!([address])).await.unwrap();
    assert_eq!((&valid["isvalid"], &valid["address"]), (&json!(true), &json!(address)));
    let invalid = fixture.call("validateaddress", json!(["nowhere"])).await.unwrap();
    assert_eq!((&invalid["isvalid"], invalid.get("address")), (&json!(false), None));
}

/// The calls of a batch are answered whatever notifications stand between them.
#[tokio::test]
async fn notifications_of_a_batch_have_no_answer_and_take_none_from_others() {
    let fixture = Fixture::start().await;
    let told = json!({ "jsonrpc": "2.0", "method": "uptime", "params": [] });
    let reply = fixture.post(&[], &json!([told, call("uptime", json!([])), told])).await;
    let answers = reply.json();
    assert_eq!((answers.as_array().unwrap().len(), &answers[0]["result"]), (1, &json!(3)));
    for nothing_asked in [json!([told, told]), told] {
        let reply = fixture.post(&[], &nothing_asked).await;
        assert_eq!((reply.status, reply.body.as_str()), (204, ""), "nothing is returned for {nothing_asked}");
    }
}

#[tokio::test]
async fn parameters_are_given_by_their_names_as_well_as_in_their_order() {
    let fixture = Fixture::start().await;
    let named = json!({ "verbosity": 0, "hash_or_height": 1 });
    let hex = fixture.call("getblock", named).await;
    assert!(hex.as_ref().is_ok_and(Value::is_string), "{hex:?}");
    assert_eq!(hex, fixture.call("getblock", json!([1, 0])).await);
}
