//! Fuzzing of what callers send, over a real socket: `cargo test --lib fuzz`, for `FUZZ_SECONDS` each.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::discover;
use super::super::methods::METHODS;
use super::tests::{Fixture, call};
use crate::runtime::fuzz::fuzz;

/// What came for these bytes; `None` when a call waits for something to happen, as some do for a minute.
async fn answer(fixture: &Fixture, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    // The server may have closed it before all was written.
    let _broken = stream.write_all(bytes).await.is_err();
    let _broken = stream.shutdown().await.is_err();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(3), read).await.ok().map(|_reset| answer)
}

fn request(fixture: &Fixture, body: &str) -> Vec<u8> {
    let (address, cookie) = (fixture.address, fixture.cookie());
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nconnection: close\r\nhost: {address}\r\ncontent-type: application/json\r\nauthorization: \
         {cookie}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// All that a call may be answered with: a status and, if that is success, JSON-RPC.
fn check(answer: &[u8]) {
    if answer.is_empty() {
        return;
    }
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    assert!((200..600).contains(&status), "{text}");
    let is_json = head.to_ascii_lowercase().contains("content-type: application/json");
    if status == 200 && is_json && !head.to_ascii_lowercase().contains("transfer-encoding") {
        let json: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text}"));
        for one in json.as_array().map_or(std::slice::from_ref(&json), Vec::as_slice) {
            if let Some(error) = one.get("error") {
                let is_told = error["data"]["reason"].is_string() && error["data"]["hint"].is_string();
                assert!(is_told, "neither a reason nor a hint: {error}");
            }
        }
    }
}

fn calls() -> Vec<String> {
    let waits = ["waitfortransaction", "getfinalizedsince", "stop", "subscribe", "unsubscribe"];
    let names = METHODS.iter().map(|method| method.name).filter(|name| !waits.contains(name));
    let mut calls: Vec<_> =
        names.map(|name| call(name, discover::sample(name).unwrap_or(json!([]))).to_string()).collect();
    calls.push(json!([call("getblockcount", json!([])), call("getblockhash", json!([1]))]).to_string());
    calls
}

#[test]
fn every_call_is_answered_or_refused_with_a_reason() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fixture = runtime.block_on(Fixture::start());
    let samples: Vec<_> = calls().into_iter().map(String::into_bytes).collect();
    fuzz("RPC bodies", &samples, |_, bytes| {
        let mut whole = request(&fixture, &"0".repeat(bytes.len()));
        whole.truncate(whole.len() - bytes.len());
        whole.extend_from_slice(bytes);
        runtime.block_on(answer(&fixture, &whole)).iter().for_each(|answer| check(answer));
    });
    let lives = runtime.block_on(fixture.call("getblockcount", json!([])));
    assert_eq!(lives, Ok(json!(1)));
    runtime.block_on(fixture.stop());
}

#[test]
fn every_request_is_answered_or_its_connection_closed() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fixture = runtime.block_on(Fixture::start());
    let mut samples: Vec<_> = calls().iter().map(|call| request(&fixture, call)).collect();
    for path in ["/health", "/ready", "/", "/ws", "/metrics"] {
        let host = fixture.address;
        samples
            .push(format!("GET {path} HTTP/1.1\r\nconnection: close\r\nhost: {host}\r\n\r\n").into_bytes());
    }
    fuzz("RPC requests", &samples, |_, bytes| {
        runtime.block_on(answer(&fixture, bytes)).iter().for_each(|answer| check(answer));
    });
    let lives = runtime.block_on(fixture.call("getblockcount", json!([])));
    assert_eq!(lives, Ok(json!(1)));
    runtime.block_on(fixture.stop());
}
