//! Callers that are silent, slow, many or greedy, over real sockets: others are served meanwhile.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::limits::{
    ANSWER_BYTES_MAX, BATCH_COST_MAX, BODIES_UNAUTHENTICATED_BYTES_MAX, Pace, WAITS_PER_REQUEST_MAX,
    WAITS_PER_REQUEST_UNAUTHENTICATED_MAX,
};
use super::tests::{Fixture, call, spend_of};
use super::*;
use crate::types::TxId;

/// Bounds on time that tests can wait for, and that no busy machine meets by chance.
fn hasty(connections_max: usize) -> Limits {
    let pace = Pace {
        grace: Duration::from_millis(300),
        bytes_per_s_min: 1_000,
        whole_max: Duration::from_millis(600),
    };
    Limits {
        silence_max: Duration::from_millis(300),
        idle_max: Duration::from_millis(400),
        head: pace,
        body: pace,
        ..Limits::of(connections_max)
    }
}

async fn send(fixture: &Fixture, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    // The server may have closed it before.
    let _broken = stream.write_all(text.as_bytes()).await.is_err();
    stream
}

/// What comes until the other side closes; the time limit is only met when it never does.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _reset = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut bytes)).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn post(fixture: &Fixture, headers: &str, body: &str, length: usize) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: {}\r\n{headers}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}",
        fixture.address
    )
}

fn long_wait() -> Value {
    call("waitfortransaction", json!([TxId([9; 32]).to_string(), "final", 60_000]))
}

/// All waiting calls that strangers can have are there.
async fn until_waits_are_refused(fixture: &Fixture) {
    let refused = async {
        let poll = call("getfinalizedsince", json!([0, 10, 1]));
        while fixture.post(&[], &poll).await.json()["error"]["data"]["reason"] != "too_many_waits" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), refused).await.expect("each call that waits is bounded");
}

/// The probes answer, and a caller with credentials is served.
async fn all_is_well(fixture: &Fixture) {
    for page in ["GET /health", "GET /ready"] {
        assert_eq!(fixture.request(page, &[], "").await.status, 200, "{page}");
    }
    assert_eq!(fixture.call("getblockcount", json!([])).await, Ok(json!(1)));
}

#[tokio::test]
async fn a_hundred_and_fifty_slow_connections_shut_nobody_out() {
    let fixture = Fixture::start_with(Limits::of(100)).await;
    let (partial_body, host) = (post(&fixture, "", "{", 1_000), format!("host: {}\r\n", fixture.address));
    let partial_head = format!("POST / HTTP/1.1\r\n{host}");
    let idle = format!("GET /health HTTP/1.1\r\n{host}\r\n");
    for text in ["", partial_head.as_str(), &partial_body, &idle] {
        let mut slow = Vec::new();
        for _ in 0..150 {
            slow.push(send(&fixture, text).await);
        }
        all_is_well(&fixture).await;
        // Strangers are served too.
        assert_eq!(fixture.post(&[], &call("uptime", json!([]))).await.status, 200, "{text}");
    }
}

/// INV-CALL-1, INV-HTTP-4.
#[tokio::test]
async fn two_hundred_strangers_who_wait_shut_nobody_out() {
    let fixture = Fixture::start_with(Limits::of(100)).await;
    let body = long_wait().to_string();
    let text = post(&fixture, "connection: close\r\n", &body, body.len());
    let mut waiting = Vec::new();
    for _ in 0..25 {
        waiting.push(send(&fixture, &text).await);
    }
    until_waits_are_refused(&fixture).await;
    // A quarter of the places waits, INV-PLACES-3; the others learn at once when to try again.
    for _ in 25..200 {
        let answer = rest(&mut send(&fixture, &text).await).await;
        assert!(answer.contains("too_many_waits") && answer.contains("\"retry_after_ms\":1000"), "{answer}");
    }
    all_is_well(&fixture).await;
    assert_eq!(fixture.post(&[], &call("uptime", json!([]))).await.json()["result"], 3);
    let own = call("waitfortransaction", json!([TxId([9; 32]).to_string(), "final", 50]));
    let reply = fixture.post(&[("authorization", &fixture.cookie())], &own).await;
    assert_eq!(reply.json()["result"]["status"], "unknown", "credentials have waits of their own");
    // What is reached already needs no place.
    let reached = call("waitfortransaction", json!([TxId([7; 32]).to_string(), "final", 60_000]));
    assert_eq!(fixture.post(&[], &reached).await.json()["result"]["status"], "final");
    // Who leaves gives the place back.
    drop(waiting);
    let again = call("waitfortransaction", json!([TxId([9; 32]).to_string(), "final", 1]));
    let served = async {
        while fixture.post(&[], &again).await.json()["error"].is_object() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), served).await.unwrap();
}

#[tokio::test]
async fn one_batch_waits_for_a_bounded_number_of_transactions() {
    let fixture = Fixture::start().await;
    let short = call("waitfortransaction", json!([TxId([9; 32]).to_string(), "final", 20]));
    let batch = Value::from(vec![short; 100]);
    for (headers, most) in [
        (vec![], WAITS_PER_REQUEST_UNAUTHENTICATED_MAX),
        (vec![("authorization", fixture.cookie())], WAITS_PER_REQUEST_MAX),
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answers = fixture.post(&headers, &batch).await.json();
        let answers = answers.as_array().unwrap();
        assert_eq!(
            answers.iter().filter(|answer| answer["result"].is_object()).count(),
            most,
            "INV-PLACES-2"
        );
        let refused = &answers.last().unwrap()["error"];
        assert_eq!(
            (&refused["code"], &refused["data"]["reason"]),
            (&json!(-32_005), &json!("too_many_waits"))
        );
    }
    let feed = call("getfinalizedsince", json!([0, 10, 60_000]));
    let mut holding = Vec::new();
    for _ in 0..2 {
        let body = feed.to_string();
        holding.push(send(&fixture, &post(&fixture, "", &body, body.len())).await);
    }
    until_waits_are_refused(&fixture).await;
    let at_once = call("getfinalizedsince", json!([0, 10, 0]));
    assert!(fixture.post(&[], &at_once).await.json()["result"].is_object());
}

#[tokio::test]
async fn places_for_those_with_credentials_stay_free() {
    let fixture = Fixture::start_with(Limits::of(4)).await;
    let body = long_wait().to_string();
    // One stranger may wait; the requests of all others are refused at once, so no place is held.
    let _one = send(&fixture, &post(&fixture, "", &body, body.len())).await;
    let _known = send(
        &fixture,
        &post(&fixture, &format!("authorization: {}\r\n", fixture.cookie()), &body, body.len()),
    )
    .await;
    for _ in 0..20 {
        all_is_well(&fixture).await;
    }
}

#[tokio::test]
async fn a_batch_stops_where_its_answers_end() {
    // How fast this machine writes large answers is of no interest here.
    let patient = Limits { large_call_turn_max: Duration::from_secs(300), ..Limits::of(100) };
    let fixture = Fixture::start_with(patient).await;
    *fixture.node.evidence_bytes.lock() = ANSWER_BYTES_MAX / 8;
    let large = call("listevidence", json!([3]));
    let made =
        crate::types::Transaction::transfer(Vec::new(), vec![super::super::fake_node::output()], Vec::new());
    let hex = hex::encode(crate::types::codec::encode(&made));
    let mut calls = vec![large; 8];
    calls.push(call("sendrawtransaction", json!([hex])));
    let reply = fixture.post(&[("authorization", &fixture.cookie())], &Value::from(calls)).await;
    assert!(reply.body.len() <= RESPONSE_BYTES_MAX);
    let answers = reply.json();
    let fits = answers.as_array().unwrap().iter().take_while(|answer| answer["result"].is_array()).count();
    assert_eq!(fits, 2, "three eighths each");
    for answer in &answers.as_array().unwrap()[2..8] {
        let error = &answer["error"];
        assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32_008), &json!("answer_too_large")));
    }
    assert_eq!(answers[8]["result"], json!(made.txid()), "what was done is told");
    let asked = fixture.node.evidence_asked.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(asked, 3, "INV-ANSWERS-2: the node is not asked for what can't be told");
    *fixture.node.evidence_bytes.lock() = RESPONSE_BYTES_MAX;
    let alone = fixture.call("listevidence", json!([1])).await.unwrap_err();
    assert_eq!((&alone["code"], &alone["data"]["reason"]), (&json!(-32_008), &json!("answer_too_large")));
}

#[tokio::test]
async fn a_batch_costs_a_bounded_amount_of_work() {
    let fixture = Fixture::start().await;
    let most = usize::try_from(BATCH_COST_MAX / 20).unwrap();
    let batch = |length: usize| Value::from(vec![call("getblock", json!([1])); length]);
    assert_eq!(fixture.post(&[], &batch(most)).await.json().as_array().unwrap().len(), most);
    let refused = fixture.post(&[], &batch(most + 1)).await.json();
    assert_eq!(refused["error"]["data"]["reason"], "batch_too_costly", "INV-METER-1");
    let mut costly = vec![call("stop", json!([]))];
    costly.extend(vec![call("getblock", json!([1])); most]);
    fixture.post(&[("authorization", &fixture.cookie())], &Value::from(costly)).await;
    let stopped = fixture.node.stopped.load(std::sync::atomic::Ordering::Relaxed);
    assert!(!stopped, "INV-METER-1: none of its calls was made");
}

#[tokio::test]
async fn silent_idle_and_trickling_connections_are_closed_in_time() {
    let fixture = Fixture::start_with(hasty(8)).await;
    assert_eq!(rest(&mut send(&fixture, "").await).await, "", "silent");
    let idle = format!("GET /health HTTP/1.1\r\nhost: {}\r\n\r\n", fixture.address);
    assert!(rest(&mut send(&fixture, &idle).await).await.starts_with("HTTP/1.1 200"), "idle");
    // A byte each 20 ms is 50 a second: slower than the rate. Bytes that come fast enough end with the whole time.
    for trickle in ["x", &"x".repeat(100)] {
        let mut stream = send(&fixture, "POST / HTTP/1.1\r\nhost: ").await;
        let writing = async {
            while stream.write_all(trickle.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), writing).await.expect("trickling doesn't hold it open");
    }
    for trickle in ["x", &"x".repeat(100)] {
        let mut stream = send(&fixture, &post(&fixture, "", "", 1 << 20)).await;
        let (mut reading, mut writing) = stream.split();
        let mut answer = Vec::new();
        let trickling = async {
            while writing.write_all(trickle.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            _ = reading.read_to_end(&mut answer) => {}
            () = trickling => {}
            () = tokio::time::sleep(Duration::from_secs(60)) => panic!("trickling holds it open"),
        }
        if !answer.is_empty() {
            assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 408"));
        }
    }
    all_is_well(&fixture).await;
}

#[tokio::test]
async fn a_long_wait_outlives_the_deadlines_for_arrival() {
    let fixture = Fixture::start_with(hasty(2)).await;
    let wait = call("waitfortransaction", json!([TxId([9; 32]).to_string(), "final", 1_500]));
    assert_eq!(fixture.post(&[], &wait).await.json()["result"]["status"], "unknown");
}

#[tokio::test]
async fn answers_that_nobody_takes_are_given_up() {
    let mut limits = Limits::of(8);
    limits.answer = Pace {
        grace: Duration::from_millis(500),
        bytes_per_s_min: 8 << 20,
        whole_max: Duration::from_secs(2),
    };
    let fixture = Fixture::start_with(limits).await;
    *fixture.node.evidence_bytes.lock() = ANSWER_BYTES_MAX / 2;
    let body = call("listevidence", json!([1])).to_string();
    let mut holding = Vec::new();
    for _ in 0..3 {
        let mut stream = send(&fixture, &post(&fixture, "", &body, body.len())).await;
        // The answer has begun.
        stream.read_exact(&mut [0; 16]).await.unwrap();
        holding.push(stream);
    }
    // Two of them hold all that strangers can have. It is free again although nobody has read them.
    let text = post(&fixture, "connection: close\r\n", &body, body.len());
    let again = async {
        while rest(&mut send(&fixture, &text).await).await.len() < ANSWER_BYTES_MAX / 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), again).await.expect("untaken answers are given up");
    drop(holding);
    all_is_well(&fixture).await;
}

/// One answer of a connection that stays open.
async fn one_answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase().lines().find_map(|line| {
                line.strip_prefix("content-length: ").and_then(|length| length.parse::<usize>().ok())
            });
            if Some(body.len()) == length {
                return text;
            }
        }
        let mut bytes = [0; 4_096];
        let count =
            tokio::time::timeout(Duration::from_secs(60), stream.read(&mut bytes)).await.unwrap().unwrap();
        assert!(count > 0, "closed after {text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
}

/// INV-BUSY-1, at the socket.
#[tokio::test]
async fn who_was_refused_too_often_rests_before_the_next_request_is_read() {
    let fixture = Fixture::start_with(Limits { busy_answers_per_s: 1, ..Limits::of(100) }).await;
    fixture.node.is_busy.store(true, std::sync::atomic::Ordering::Relaxed);
    let submit = call("sendrawtransaction", json!([spend_of(TxId([7; 32]))])).to_string();
    let credentials = format!("authorization: {}\r\n", fixture.cookie());
    let text = post(&fixture, &credentials, &submit, submit.len());
    let mut crowd = send(&fixture, &text).await;
    let begun = Clock.instant();
    let refused = one_answer(&mut crowd).await;
    assert!(refused.contains("\"busy\"") && refused.contains("\"retry_after_ms\":50"), "{refused}");
    // The pace is one a second: the next is read only when the first has been paid for.
    crowd.write_all(text.as_bytes()).await.unwrap();
    all_is_well(&fixture).await;
    one_answer(&mut crowd).await;
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
    // Whoever is not refused waits for nobody, on the same connection after its rest too.
    fixture.node.is_busy.store(false, std::sync::atomic::Ordering::Relaxed);
    crowd.write_all(text.as_bytes()).await.unwrap();
    assert!(one_answer(&mut crowd).await.contains("\"result\""));
}

/// INV-HTTP-3: a body is in memory until its request is answered.
#[tokio::test]
async fn bodies_of_requests_that_wait_count_among_all_bodies() {
    let fixture = Fixture::start_with(Limits::of(100)).await;
    let padded = |call: Value| format!("{call}{}", " ".repeat(BODY_BYTES_MAX - call.to_string().len()));
    let text = |call| post(&fixture, "connection: close\r\n", &padded(call), BODY_BYTES_MAX);
    let (wait, large) = (text(long_wait()), text(call("uptime", json!([]))));
    let mut waiting = Vec::new();
    for count in 1..=BODIES_UNAUTHENTICATED_BYTES_MAX / BODY_BYTES_MAX {
        waiting.push(send(&fixture, &wait).await);
        let arrived = async {
            while fixture.node.waits_begun.load(std::sync::atomic::Ordering::Relaxed) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), arrived).await.expect("there is room for so many");
    }
    let answer = rest(&mut send(&fixture, &large).await).await;
    // A refusal in the middle of a body may be cut off.
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(fixture.post(&[], &call("uptime", json!([]))).await.status, 200, "small ones have room");
    drop(waiting);
    let served = async {
        while !rest(&mut send(&fixture, &large).await).await.starts_with("HTTP/1.1 200") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), served).await.expect("who leaves gives the room back");
}
