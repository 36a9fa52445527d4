//! The explorer's own check of proofs (`src/rpc/page/proof.js`) under a real browser, over the same vectors.
//!
//! A server on 127.0.0.1, which a browser regards as secure, gives the scripts and what to check; the page posts what came
//! out. Where no Chromium is installed the tests say so and check nothing; with `E2E_BROWSER=required` they fail.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::forged::{self, Forged, Started};
use crate::{PROOFS, digest, hex, list, plain, text, vectors};

/// A browser takes seconds on a busy machine; only one that hangs comes near it.
const DEADLINE: Duration = Duration::from_secs(120);
/// Each so many-th byte is changed.
const STEP: usize = 5;

// -- the browser ------------------------------------------------------------------------------------------------------

/// A process that does not outlive its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

const FILES: [(&str, &str, &str); 6] = [
    ("/", "text/html", include_str!("browser.html")),
    ("/browser.js", "text/javascript", include_str!("browser.js")),
    ("/proof.js", "text/javascript", include_str!("../../src/rpc/page/proof.js")),
    ("/genesis.js", "text/javascript", include_str!("../../src/rpc/page/genesis.js")),
    ("/bytes.js", "text/javascript", include_str!("../../src/rpc/page/bytes.js")),
    ("/blake3.js", "text/javascript", include_str!("../../src/rpc/page/blake3.js")),
];

/// Answers one request; gives what was posted.
fn serve(stream: TcpStream, given: &str) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut head = String::new();
        reader.read_line(&mut head).ok()?;
        let head = head.trim().to_ascii_lowercase();
        if head.is_empty() {
            break;
        }
        if let Some(value) = head.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let file = FILES.iter().find(|(name, ..)| *name == path).map(|(_, kind, content)| (*kind, *content));
    let file = if path == "/given.json" { Some(("application/json", given)) } else { file };
    let (status, (kind, content)) =
        file.map_or(("404 Not Found", ("text/plain", "")), |file| ("200 OK", file));
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        content.len()
    );
    let mut stream = reader.into_inner();
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(content.as_bytes())).ok()?;
    if path == "/result" { serde_json::from_slice(&body).ok() } else { None }
}

fn listen(given: String) -> (std::net::SocketAddr, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A browser opens connections ahead of need, which must not hold up the others.
            let (given, sender) = (given.clone(), sender.clone());
            std::thread::spawn(move || {
                if let Some(result) = serve(stream, &given) {
                    let _sent = sender.send(result);
                }
            });
        }
    });
    (address, receiver)
}

/// What the page makes of this; `None` where there is no browser.
fn run(given: &Value) -> Option<Value> {
    let home = tempfile::tempdir().unwrap();
    let (address, result) = listen(given.to_string());
    let child = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"])
        .arg(format!("--user-data-dir={}", home.path().display()))
        .arg(format!("http://{address}/"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let _browser = Process(child);
    let result = result.recv_timeout(DEADLINE).expect("the page posts its result");
    assert_eq!(result.get("failure"), None, "{result}");
    Some(result)
}

/// Proofs made for this test: those that hold, and those that break a rule.
static FORGED: LazyLock<Forged> = LazyLock::new(forged::proofs);

// -- what it is given -------------------------------------------------------------------------------------------------

fn changed_bytes(bytes: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let changed = |place: usize| {
        let mut changed = bytes.to_vec();
        changed[place] ^= 1 << (place % 8);
        (format!("byte {place}"), changed)
    };
    (0..bytes.len()).step_by(STEP).map(changed)
}

/// Proofs that have to be refused, and why.
fn altered() -> Vec<(String, Started)> {
    let mut altered: Vec<(String, Started)> =
        FORGED.broken.iter().cloned().map(|(rule, started)| (rule.to_owned(), started)).collect();
    for proof in list(&PROOFS.1["proofs"]) {
        let (bytes, trusted) = (hex(&proof["bytes"]), trusted_of(&proof["json"]));
        let started = |bytes: Vec<u8>| Started { bytes, trusted: trusted.clone() };
        altered.extend(changed_bytes(&bytes).map(|(change, bytes)| (change, started(bytes))));
        altered.push(("a byte less".to_owned(), started(bytes[..bytes.len() - 1].to_vec())));
        altered.push(("a byte more".to_owned(), started([&bytes[..], &[0]].concat())));
        let other = if trusted.is_some() { None } else { Some(format!("1:{}", "00".repeat(32))) };
        altered.push(("another block is trusted".to_owned(), Started { bytes, trusted: other }));
    }
    altered
}

/// The block from which the proof of a text starts, if it is not the document.
fn trusted_of(json: &Value) -> Option<String> {
    json["proves"]["trusted"].as_str().map(str::to_owned)
}

/// Texts that have to be refused, with the block that is trusted: each says something else than its proof.
fn altered_texts(json: &Value) -> Vec<(String, Value)> {
    let mut texts = Vec::new();
    for name in json["proves"].as_object().unwrap().keys() {
        for value in [json!(7), json!("7"), Value::Null] {
            let mut other = json.clone();
            if other["proves"][name] != value {
                other["proves"][name] = value;
                texts.push((format!("another {name}"), other.to_string()));
            }
        }
        let mut other = json.clone();
        other["proves"].as_object_mut().unwrap().remove(name);
        texts.push((format!("no {name}"), other.to_string()));
    }
    for (name, value) in
        [("format", json!("timed payment receipt")), ("version", json!(1)), ("note", json!(1))]
    {
        let mut other = json.clone();
        other[name] = value;
        texts.push((format!("another {name}"), other.to_string()));
    }
    texts.push(("blanks in base64".to_owned(), format!("{} =", text(&json["proof"]))));
    texts.push(("nothing".to_owned(), String::new()));
    let trusted = trusted_of(json);
    texts.into_iter().map(|(change, text)| (change, json!({ "text": text, "trusted": trusted }))).collect()
}

/// Documents that have to be refused, or start another chain.
fn other_documents(document: &str) -> Vec<String> {
    vec![
        document.replacen("block_reward", "block_rewards", 1),
        document.replacen("network = \"devnet\"", "network = \"testnet\"", 1),
        document.replacen("dtime1q", "dtime1p", 1),
        document.replacen("time_ms = ", "time_ms = -", 1),
        document.replacen("[parameters]", "[parameters]\nunknown = 1", 1),
        document.replacen("time_ms", "network = \"devnet\"\ntime_ms", 1),
        document.replacen("collateral = 100000000000\nowner", "collateral = 5\nowner", 1),
    ]
}

struct Given {
    documents: Vec<(String, String)>,
    altered: Vec<(String, Started)>,
    texts: Vec<(String, Value)>,
    /// What the page made of it.
    result: Option<Value>,
}

/// BLAKE3 of nothing, of each length about a block and a chunk, and of several chunks.
fn hashed() -> Vec<(String, Vec<u8>)> {
    let lengths =
        [0, 1, 50, 51, 52, 63, 64, 65, 1_008, 1_009, 1_010, 1_011, 1_024, 2_048, 2_049, 5_000, 70_000];
    let content = |length: usize| (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let made = lengths.iter().map(|length| ("timed/set/v1".to_owned(), content(*length)));
    let domains = list(&vectors()["domains"]);
    made.chain(domains.iter().map(|domain| (text(&domain["tag"]).to_owned(), hex(&domain["content"]))))
        .collect()
}

static GIVEN: LazyLock<Given> = LazyLock::new(|| {
    let document = text(&PROOFS.1["document"]);
    let documents = [document, text(&vectors()["genesis"]["document"])]
        .into_iter()
        .map(|document| (document.to_owned(), plain_chain_id(document)))
        .collect::<Vec<_>>();
    let proofs = list(&PROOFS.1["proofs"]);
    let texts: Vec<(String, Value)> = proofs.iter().flat_map(|proof| altered_texts(&proof["json"])).collect();
    let altered = altered();
    let good =
        proofs.iter().map(|proof| json!({ "bytes": proof["bytes"], "trusted": trusted_of(&proof["json"]) }));
    let started = |one: &Started| json!({ "bytes": hex::encode(&one.bytes), "trusted": one.trusted });
    let of_text = |json: &Value, text: &str| json!({ "text": text, "trusted": trusted_of(json) });
    let whole = proofs.iter().map(|proof| of_text(&proof["json"], &proof["json"].to_string()));
    let bare = proofs.iter().map(|proof| of_text(&proof["json"], text(&proof["json"]["proof"])));
    let paths: Vec<Value> = paths().into_iter().map(|(given, _)| given).collect();
    let given = json!({
        "document": document,
        "hashes": hashed().iter().map(|(tag, content)| json!({ "tag": tag, "content": hex::encode(content) })).collect::<Vec<_>>(),
        "paths": paths,
        "documents": documents.iter().map(|(document, _)| document.clone()).chain(other_documents(document)).collect::<Vec<_>>(),
        "texts": whole.chain(bare).chain(texts.iter().map(|(_, text)| text.clone())).collect::<Vec<_>>(),
        "proofs": good.chain(altered.iter().map(|(_, one)| started(one))).chain(FORGED.good.iter().map(started)).collect::<Vec<_>>(),
    });
    let result = run(&given);
    Given { documents, altered, texts, result }
});

fn plain_chain_id(document: &str) -> String {
    hex::encode(crate::Document::of_toml(document).chain_id())
}

/// What the page is asked to follow, and where that leads.
fn paths() -> Vec<(Value, Value)> {
    let mut paths = Vec::new();
    for tree in list(&vectors()["merkle_trees"]) {
        let leaves = list(&tree["leaves"]);
        for (index, path) in list(&tree["paths"]).iter().enumerate() {
            let given = |path: &Value| json!({ "leaf": leaves[index], "index": index, "leaves": leaves.len(), "path": path });
            let path_bytes: Vec<plain::Digest> = list(path).iter().map(digest).collect();
            let count = leaves.len() as u64;
            let end = plain::follow_path(&hex(&leaves[index]), index as u64, count, &path_bytes);
            let end = end.map(|(root, first)| json!({ "root": hex::encode(root), "first": first }));
            paths.push((given(path), end.unwrap()));
            let longer: Vec<Value> = list(path).iter().cloned().chain([json!("00".repeat(32))]).collect();
            paths.push((given(&json!(longer)), Value::Null));
            let mut beyond = given(path);
            beyond["index"] = json!(leaves.len());
            paths.push((beyond, Value::Null));
            if let Some((_, shorter)) = list(path).split_last() {
                paths.push((given(&json!(shorter)), Value::Null));
            }
        }
    }
    paths
}

/// The page's results, or nothing where no browser is.
fn results() -> Option<&'static Value> {
    let result = GIVEN.result.as_ref();
    if result.is_none() {
        assert!(std::env::var_os("E2E_BROWSER").is_none_or(|wish| wish != "required"), "no chromium");
        println!("skipped: no chromium is installed");
    }
    result
}

// -- the tests --------------------------------------------------------------------------------------------------------

#[test]
fn a_browser_hashes_and_follows_paths_as_the_text_says() {
    let Some(results) = results() else { return };
    for ((tag, content), found) in hashed().iter().zip(list(&results["hashes"])) {
        assert_eq!(
            text(found),
            hex::encode(plain::hash(tag, content)),
            "{} bytes under {tag}",
            content.len()
        );
    }
    let paths = paths();
    assert!(paths.len() > 10 && list(&results["paths"]).len() == paths.len());
    for ((given, end), found) in paths.iter().zip(list(&results["paths"])) {
        assert_eq!(found, end, "{given}");
    }
}

#[test]
fn a_browser_takes_the_chain_and_its_first_set_from_the_document() {
    let Some(results) = results() else { return };
    let (documents, found) = (&GIVEN.documents, list(&results["documents"]));
    for ((document, chain_id), found) in documents.iter().zip(found) {
        assert_eq!(found["accepted"]["chain_id"], json!(chain_id));
        let set = crate::Document::of_toml(document).set();
        let ids: Vec<String> = set.iter().map(|member| hex::encode(member.id)).collect();
        assert_eq!(found["accepted"]["ids"], json!(ids));
    }
    let others = other_documents(&documents[0].0);
    assert_eq!(found.len(), documents.len() + others.len());
    for (document, found) in others.iter().zip(&found[documents.len()..]) {
        assert!(found["refused"].is_string(), "{found}: {}", document.lines().take(5).collect::<String>());
    }
}

#[test]
fn a_browser_accepts_a_proof_and_refuses_each_altered_one() {
    let Some(results) = results() else { return };
    let good = list(&PROOFS.1["proofs"]);
    let (proofs, texts) = (list(&results["proofs"]), list(&results["texts"]));
    assert_eq!(proofs.len(), good.len() + GIVEN.altered.len() + FORGED.good.len());
    for found in &proofs[good.len() + GIVEN.altered.len()..] {
        assert_eq!(found["accepted"]["txid"], good[0]["json"]["proves"]["txid"], "{found}");
    }
    assert_eq!(texts.len(), 2 * good.len() + GIVEN.texts.len());
    // As bytes, as JSON, and as base64 alone.
    let accepted = proofs[..good.len()].iter().chain(&texts[..2 * good.len()]);
    for (found, proof) in accepted.zip(good.iter().cycle()) {
        assert_eq!(found["accepted"], proof["json"]["proves"], "{found}");
    }
    for ((change, _), found) in GIVEN.altered.iter().zip(&proofs[good.len()..]) {
        assert!(found["refused"].is_string(), "{change}: {found}");
    }
    for ((change, _), found) in GIVEN.texts.iter().zip(&texts[2 * good.len()..]) {
        assert!(found["refused"].is_string(), "{change}: {found}");
    }
    assert!(GIVEN.altered.len() > 1_000);
}
