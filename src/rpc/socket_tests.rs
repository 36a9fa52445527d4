//! What a WebSocket's client sees.

use std::time::Duration;

use serde_json::{Value, json};
use soketto::connection::CloseReason;
use soketto::handshake::{Client as Handshake, ServerResponse};
use soketto::{Incoming, Receiver, Sender};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

use super::tests::{Fixture, call};
use crate::rpc::events::Happened;
use crate::rpc::fake_node::output;
use crate::rpc::limits::{
    Limits, SOCKET_CALLS_MAX, SOCKET_MESSAGE_BYTES_MAX, SOCKETS_MAX, SUBSCRIPTIONS_MAX,
};
use crate::runtime::Clock;
use crate::types::{Address, Network, Transaction, TxId};

const SOON: Duration = Duration::from_secs(20);

struct Client {
    sender: Sender<Compat<TcpStream>>,
    receiver: Receiver<Compat<TcpStream>>,
}

impl Client {
    async fn open(fixture: &Fixture) -> Self {
        Self::try_open(fixture, "/ws").await.expect("the socket is accepted")
    }

    async fn try_open(fixture: &Fixture, path: &str) -> Result<Self, u16> {
        let stream = TcpStream::connect(fixture.address).await.unwrap();
        let host = fixture.address.to_string();
        let mut handshake = Handshake::new(stream.compat(), &host, path);
        match handshake.handshake().await.unwrap() {
            ServerResponse::Accepted { .. } => {
                let (sender, receiver) = handshake.into_builder().finish();
                Ok(Self { sender, receiver })
            }
            ServerResponse::Rejected { status_code } => Err(status_code),
            ServerResponse::Redirect { status_code, .. } => Err(status_code),
        }
    }

    async fn send(&mut self, text: &str) {
        self.sender.send_text(text).await.unwrap();
        self.sender.flush().await.unwrap();
    }

    async fn call(&mut self, id: u64, method: &str, params: Value) -> Value {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string())
            .await;
        self.next().await
    }

    async fn next(&mut self) -> Value {
        let mut text = Vec::new();
        tokio::time::timeout(SOON, self.receiver.receive_data(&mut text))
            .await
            .expect("it comes soon")
            .unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Whether the other end closes.
    async fn is_closed(&mut self) -> bool {
        let mut text = Vec::new();
        tokio::time::timeout(SOON, self.receiver.receive_data(&mut text)).await.expect("it ends").is_err()
    }
}

fn finalized(byte: u8) -> Happened {
    let transaction = Transaction::transfer(Vec::new(), Vec::new(), vec![byte]);
    let txid = transaction.txid();
    Happened::Final { txid, transaction: transaction.into(), height: None, latency: None }
}

#[tokio::test]
async fn notifications_are_not_answered_by_websocket_either() {
    let fixture = Fixture::start().await;
    let mut client = Client::open(&fixture).await;
    let told = json!({ "jsonrpc": "2.0", "method": "uptime", "params": [] });
    client.send(&told.to_string()).await;
    client.send(&json!([told, told]).to_string()).await;
    let answer = client.call(7, "uptime", json!([])).await;
    assert_eq!((&answer["id"], &answer["result"]), (&json!(7), &json!(3)), "the first answer is the call's");
}

#[tokio::test]
async fn calls_go_by_websocket_as_by_http() {
    let fixture = Fixture::start().await;
    let mut client = Client::open(&fixture).await;
    let answer = client.call(1, "getblockcount", json!([])).await;
    assert_eq!((&answer["id"], &answer["result"]), (&json!(1), &json!(1)));
    let refused = client.call(2, "stop", json!([])).await;
    assert_eq!(refused["error"]["data"]["reason"], "unauthorized");
    let unknown = client.call(3, "getblokcount", json!([])).await;
    assert_eq!(unknown["error"]["data"]["hint"], "did you mean `getblockcount`?");
    client
        .send(r#"[{"jsonrpc":"2.0","id":4,"method":"uptime"},{"jsonrpc":"2.0","id":5,"method":"nothing"}]"#)
        .await;
    let batch = client.next().await;
    assert_eq!((&batch[0]["id"], &batch[1]["id"]), (&json!(4), &json!(5)));
    client.send("{nonsense").await;
    assert_eq!(client.next().await["error"]["code"], -32_700);
    client.send(&"[".repeat(1_000)).await;
    assert_eq!(client.next().await["error"]["data"]["reason"], "too_deep");
}

/// INV-SOCKET-3.
#[tokio::test]
async fn a_subscription_begins_with_its_number_and_goes_on_from_a_cursor() {
    let fixture = Fixture::start().await;
    let start = fixture.node.events.head().to_string();
    fixture.node.events.push(finalized(1), Clock.instant());
    let mut client = Client::open(&fixture).await;
    assert_eq!(client.call(1, "subscribe", json!(["finalized", null, start])).await["result"], 1);
    let told = client.next().await;
    assert_eq!((&told["method"], &told["params"]["subscription"]), (&json!("event"), &json!(1)));
    assert_eq!(told["params"]["result"]["events"][0]["kind"], "final");
    fixture.node.events.push(finalized(2), Clock.instant());
    let told = client.next().await;
    let cursor = told["params"]["result"]["next_cursor"].clone();
    assert_eq!(cursor, fixture.node.events.head().to_string());
    // Another connection goes on where this one was.
    fixture.node.events.push(finalized(3), Clock.instant());
    let mut other = Client::open(&fixture).await;
    other.call(1, "subscribe", json!({ "topic": "finalized", "cursor": cursor })).await;
    let told = other.next().await;
    assert_eq!(told["params"]["result"]["events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_subscription_ends_when_it_is_told_to_and_others_go_on() {
    let fixture = Fixture::start().await;
    let mut client = Client::open(&fixture).await;
    for id in [1, 2] {
        assert_eq!(client.call(id, "subscribe", json!(["finalized"])).await["result"], id);
    }
    assert_eq!(client.call(3, "unsubscribe", json!([1])).await["result"], true);
    let again = client.call(4, "unsubscribe", json!([1])).await;
    assert_eq!(again["error"]["data"]["reason"], "unknown_subscription");
    let none = client.call(4, "unsubscribe", json!([])).await;
    assert_eq!(none["error"]["data"]["reason"], "bad_parameters");
    fixture.node.events.push(finalized(1), Clock.instant());
    assert_eq!(client.next().await["params"]["subscription"], 2);
    assert_eq!(client.call(5, "uptime", json!([])).await["id"], 5, "nothing came of the first one");
}

#[tokio::test]
async fn what_is_wrong_with_a_subscription_is_said() {
    let fixture = Fixture::start().await;
    let mut client = Client::open(&fixture).await;
    let elsewhere = "tc1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq";
    let mainnet = Address::of_lock(Network::Mainnet, output().lock).to_string();
    for (params, code, reason) in [
        (json!([]), -32_602, "bad_parameters"),
        (json!(["payments"]), -8, "bad_parameter"),
        (json!(["address"]), -8, "bad_parameter"),
        (json!(["address", elsewhere]), -5, "bad_parameter"),
        (json!(["address", mainnet]), -5, "bad_parameter"),
        (json!([5]), -8, "bad_parameter"),
        (json!(["finalized", null, "soon"]), -8, "bad_parameter"),
        (json!(["finalized", null, 1.5]), -8, "bad_parameter"),
    ] {
        let refused = client.call(1, "subscribe", params.clone()).await;
        let error = &refused["error"];
        assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(code), &json!(reason)), "{params}");
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    for (params, blamed) in [
        (json!([{ "nonsense": [true] }]), "\"topic\""),
        (json!(["payments", 7]), "\"topic\""),
        (json!(["address", "x"]), "\"about\""),
        (json!(["blocks", 7]), "\"about\""),
    ] {
        let refused = client.call(1, "subscribe", params.clone()).await;
        assert!(refused["error"]["message"].as_str().unwrap().contains(blamed), "{refused}");
    }
    let by_http = fixture.post(&[], &call("subscribe", json!(["blocks"]))).await;
    assert_eq!(by_http.json()["error"]["data"]["reason"], "needs_websocket");
    let plain = fixture.request("GET /ws", &[], "").await;
    assert_eq!(plain.status, 426);
}

/// INV-SOCKET-5: a name that nobody reads would begin at the head, and lose what was before.
#[tokio::test]
async fn a_subscription_is_asked_for_by_the_names_and_the_number_of_parameters_that_the_table_has() {
    let fixture = Fixture::start().await;
    let mut client = Client::open(&fixture).await;
    for (method, params, blamed) in [
        ("subscribe", json!({ "topic": "finalized", "cursr": "1+0" }), "\"cursr\""),
        ("subscribe", json!(["finalized", null, null, 1]), "at most 3"),
        ("subscribe", json!("finalized"), "an array or an object"),
        ("unsubscribe", json!({ "subscription": 1, "all": true }), "\"all\""),
        ("unsubscribe", json!([1, 2]), "at most 1"),
    ] {
        let error = client.call(1, method, params.clone()).await["error"].take();
        let told = (&error["code"], &error["data"]["reason"]);
        assert_eq!(told, (&json!(-32_602), &json!("bad_parameters")), "{method} {params}: {error}");
        assert!(error["message"].as_str().unwrap().contains(blamed), "{method} {params}: {error}");
    }
    let begun = client.call(1, "subscribe", json!({ "topic": "finalized" })).await;
    assert_eq!(begun["result"], 1, "nothing was made of the others");
}

/// INV-SOCKET-5.
#[tokio::test]
async fn a_subscription_is_asked_for_by_a_request_alone() {
    let fixture = Fixture::start().await;
    let mut client = Client::open(&fixture).await;
    for (method, params) in [("subscribe", json!(["finalized"])), ("unsubscribe", json!([1]))] {
        for version in [Value::Null, json!("1.0"), json!(2)] {
            let mut request = json!({ "id": 7, "method": method, "params": params });
            if !version.is_null() {
                request["jsonrpc"] = version;
            }
            client.send(&request.to_string()).await;
            let answer = client.next().await;
            assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(7), &json!(-32_600)), "{request}");
        }
        // Neither does a notification anything, nor is it answered.
        let told = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        client.send(&told.to_string()).await;
    }
    let begun = client.call(8, "subscribe", json!(["finalized"])).await;
    assert_eq!((&begun["id"], &begun["result"]), (&json!(8), &json!(1)), "nothing was made before");
    client.send(r#"{"jsonrpc":"2.0","method":"unsubscribe","params":[1]}"#).await;
    fixture.node.events.push(finalized(1), Clock.instant());
    assert_eq!(client.next().await["params"]["subscription"], 1, "a notification ends nothing");
    client.send(r#"{"jsonrpc":"2.0","id":null,"method":"unsubscribe","params":[1]}"#).await;
    let ended = client.next().await;
    assert_eq!((&ended["id"], &ended["result"]), (&Value::Null, &json!(true)), "null is an id");
}

/// INV-SOCKET-5.
#[tokio::test]
async fn values_in_the_order_of_a_requests_members_are_a_batch_of_what_is_no_request() {
    let fixture = Fixture::start().await;
    let mut client = Client::open(&fixture).await;
    client.send(r#"["subscribe", 1, ["finalized"]]"#).await;
    assert_eq!(client.next().await[0]["error"]["code"], -32_600);
}

#[tokio::test]
async fn in_a_batch_a_subscription_is_refused_with_what_to_do() {
    let fixture = Fixture::start().await;
    let mut client = Client::open(&fixture).await;
    let batch = json!([
        call("subscribe", json!(["blocks"])),
        call("unsubscribe", json!([1])),
        call("uptime", json!([])),
    ]);
    client.send(&batch.to_string()).await;
    let answers = client.next().await;
    for answer in &answers.as_array().unwrap()[..2] {
        let error = &answer["error"];
        let told = (&error["code"], &error["data"]["reason"]);
        assert_eq!(told, (&json!(-32_011), &json!("not_in_batch")), "{error}");
        assert!(error["data"]["hint"].as_str().unwrap().contains("by itself"), "{error}");
    }
    assert_eq!(answers[2]["result"], 3, "others are answered");
    let by_http = fixture.post(&[], &batch).await.json();
    assert_eq!(by_http[0]["error"]["data"]["reason"], "needs_websocket", "where there is none");
}

/// INV-SOCKET-1.
#[tokio::test]
async fn a_connection_has_so_many_subscriptions_and_calls_at_once() {
    let fixture = Fixture::start().await;
    let mut client = Client::open(&fixture).await;
    for id in 1..=SUBSCRIPTIONS_MAX {
        assert_eq!(client.call(1, "subscribe", json!(["blocks"])).await["result"], id);
    }
    let refused = client.call(1, "subscribe", json!(["blocks"])).await;
    assert_eq!(refused["error"]["data"]["reason"], "too_many_subscriptions");
    client.call(2, "unsubscribe", json!([3])).await;
    assert_eq!(client.call(1, "subscribe", json!(["blocks"])).await["result"], SUBSCRIPTIONS_MAX + 1);
    let mut waiting = Client::open(&fixture).await;
    let wait = json!({
        "jsonrpc": "2.0", "id": 1, "method": "waitfortransaction",
        "params": [TxId([9; 32]).to_string(), "final", 60_000],
    });
    for _ in 0..SOCKET_CALLS_MAX + 3 {
        waiting.send(&wait.to_string()).await;
    }
    let begun = || fixture.node.waits_begun.load(std::sync::atomic::Ordering::Relaxed);
    // Strangers may have fewer waits than a socket may have calls; those that are refused make room for others.
    while begun() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(begun() <= SOCKET_CALLS_MAX, "INV-SOCKET-1");
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_connection_and_a_foreign_page_opens_none() {
    let fixture = Fixture::start().await;
    let mut client = Client::open(&fixture).await;
    let large = format!("\"{}\"", "x".repeat(SOCKET_MESSAGE_BYTES_MAX));
    let _sent = client.sender.send_text(&large).await;
    let _flushed = client.sender.flush().await;
    let mut nothing = Vec::new();
    let farewell = tokio::time::timeout(SOON, client.receiver.receive(&mut nothing)).await.expect("it ends");
    match farewell.unwrap() {
        Incoming::Closed(CloseReason { code, descr }) => {
            assert_eq!(code, 1_009, "INV-SOCKET-4");
            assert!(descr.unwrap().contains("65536"));
        }
        other => panic!("{other:?}"),
    }
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    assert_eq!(upgrade(&mut stream, &fixture, "origin: http://evil.example\r\n").await, "HTTP/1.1 403");
}

/// Asks for a WebSocket by hand, and gives the answer's status.
async fn upgrade(stream: &mut TcpStream, fixture: &Fixture, header: &str) -> String {
    let host = fixture.address;
    let request = format!(
        "GET /ws HTTP/1.1\r\nhost: {host}\r\n{header}connection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8_lossy(&answer[..12]).into_owned()
}

/// INV-SOCKET-4, INV-FAREWELL-1: its sender waits for an answer, and sends nothing more.
#[tokio::test]
async fn a_message_that_becomes_too_large_frame_by_frame_ends_the_connection_at_once() {
    let fixture = Fixture::start().await;
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    assert_eq!(upgrade(&mut stream, &fixture, "").await, "HTTP/1.1 101");
    let half = u16::try_from(SOCKET_MESSAGE_BYTES_MAX / 2).unwrap() + 1;
    let frame = |opcode: u8| {
        let head = [[opcode, 0xfe], half.to_be_bytes(), [0; 2], [0; 2]].concat();
        [head, vec![b' '; half.into()]].concat()
    };
    stream.write_all(&[frame(1), frame(0)].concat()).await.unwrap();
    let mut come = Vec::new();
    let read = async {
        while !come.ends_with(b"POST /") {
            come.push(stream.read_u8().await.unwrap());
        }
    };
    tokio::time::timeout(SOON, read).await.expect("it is told without sending more");
    let close = come.iter().position(|byte| *byte == 0x88).expect("a close frame");
    assert_eq!(come[close + 2..close + 4], 1_009_u16.to_be_bytes());
}

#[tokio::test]
async fn a_call_in_two_frames_is_answered_whatever_comes_between_them() {
    let fixture = Fixture::start().await;
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    assert_eq!(upgrade(&mut stream, &fixture, "").await, "HTTP/1.1 101");
    let frame = |opcode: u8, payload: &[u8]| {
        let length = 0x80 | u8::try_from(payload.len()).unwrap();
        [&[opcode, length, 0, 0, 0, 0], payload].concat()
    };
    let (begins, ends) = br#"{"jsonrpc":"2.0","id":7,"method":"uptime"}"#.split_at(11);
    for between in [Vec::new(), frame(0x89, b"?"), frame(0x8a, b"!"), frame(0x8a, b"")] {
        let sent = [frame(0x01, begins), between.clone(), frame(0x80, ends)].concat();
        stream.write_all(&sent).await.unwrap();
        let mut come = Vec::new();
        let read = async {
            while !come.ends_with(b"\"result\":3}") {
                come.push(stream.read_u8().await.unwrap());
            }
        };
        tokio::time::timeout(SOON, read).await.unwrap_or_else(|_| panic!("{between:?}"));
    }
}

/// INV-SOCKET-2: a reader that takes nothing holds nothing, and hears of all when it reads again.
#[tokio::test]
async fn a_slow_reader_is_told_later_and_more_at_once() {
    let fixture = Fixture::start().await;
    let mut client = Client::open(&fixture).await;
    client.call(1, "subscribe", json!(["finalized"])).await;
    let events = 20_000;
    for index in 0..events {
        fixture.node.events.push(finalized(index as u8), Clock.instant());
        if index % 1_000 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    let (mut told, mut messages) = (0, 0);
    while told < events {
        told += client.next().await["params"]["result"]["events"].as_array().unwrap().len();
        messages += 1;
    }
    assert_eq!(told, events);
    assert!(messages < events, "{messages} messages");
}

/// What the connection of a reader ends with that reads nothing for a while, if it ends.
async fn read_late(fixture: &Fixture, pause: Duration) -> Option<CloseReason> {
    let mut client = Client::open(fixture).await;
    client.call(1, "subscribe", json!(["finalized"])).await;
    // More than what lies between both ends holds.
    let events = 40_000;
    for index in 0..events {
        fixture.node.events.push(finalized(index as u8), Clock.instant());
    }
    tokio::time::sleep(pause).await;
    let mut told = 0;
    while told < events {
        let mut text = Vec::new();
        let came =
            tokio::time::timeout(SOON, client.receiver.receive(&mut text)).await.expect("it comes soon");
        match came.expect("no end without a close frame") {
            Incoming::Closed(reason) => return Some(reason),
            Incoming::Pong(_) => {}
            Incoming::Data(_) => {
                let message: Value = serde_json::from_slice(&text).unwrap();
                told += message["params"]["result"]["events"].as_array().unwrap().len();
            }
        }
    }
    None
}

/// INV-SOCKET-2.
#[tokio::test]
async fn a_reader_that_was_too_slow_is_told_so_by_the_close_frame() {
    let mut limits = Limits::of(8);
    limits.socket_send = (Duration::from_millis(20), SOON);
    let fixture = Fixture::start_with(limits).await;
    // A busy machine may need longer to fill what lies between.
    let mut pause = Duration::from_millis(200);
    let reason = loop {
        if let Some(reason) = read_late(&fixture, pause).await {
            break reason;
        }
        pause *= 2;
        assert!(pause < SOON, "nobody was too slow");
    };
    assert_eq!(reason.code, 1_008);
    assert!(reason.descr.as_deref().is_some_and(|words| words.contains("next_cursor")), "{reason:?}");
}

#[tokio::test]
async fn places_for_sockets_are_bounded_and_come_back() {
    let fixture = Fixture::start().await;
    let mut open = Vec::new();
    let refused = loop {
        match Client::try_open(&fixture, "/ws").await {
            Ok(client) => open.push(client),
            Err(status) => break status,
        }
        assert!(open.len() < SOCKETS_MAX);
    };
    assert_eq!(refused, 503);
    let count = fixture.request("GET /health", &[], "").await.status;
    assert_eq!(count, 200, "plain pages are answered all the same");
    drop(open);
    let again = async {
        while Client::try_open(&fixture, "/ws").await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, again).await.expect("places come back");
}

#[tokio::test]
async fn a_node_that_stops_says_goodbye() {
    let fixture = Fixture::start().await;
    let mut client = Client::open(&fixture).await;
    client.call(1, "subscribe", json!(["blocks"])).await;
    let ((), closed) = tokio::join!(fixture.stop(), client.is_closed());
    assert!(closed);
}
