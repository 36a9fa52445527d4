//! Attacks on the RPC port of a node, whose rightful user still gets answers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use timed::runtime::Clock;

use crate::hostile_siege::{ATTACKED, Attack, Siege, rpc_port};

/// No answer takes longer on a machine that has other things to do.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const SLOW_CONNECTIONS: usize = 150;
const WAITERS: usize = 150;

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "RPC: foreign Host and Origin", run: foreign_host },
        Attack { name: "RPC: wrong credentials", run: wrong_credentials },
        Attack { name: "RPC: body too large", run: large_body },
        Attack { name: "RPC: JSON of depth 10,000", run: deep_json },
        Attack { name: "RPC: batch too long", run: long_batch },
        Attack { name: "RPC: no HTTP", run: no_http },
    ]
}

fn dial() -> TcpStream {
    let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], rpc_port(ATTACKED)))).unwrap();
    stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
    stream.set_write_timeout(Some(ANSWER_MAX)).unwrap();
    stream
}

fn request(headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn own_host() -> String {
    format!("Host: 127.0.0.1:{}\r\n", rpc_port(ATTACKED))
}

/// The status of the answer; none if the connection was closed.
fn status_of(bytes: &[u8]) -> Option<u16> {
    let mut stream = dial();
    // The node may close before all is written.
    let _written = stream.write_all(bytes);
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).ok()?;
    std::str::from_utf8(&answer).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

/// Does it until the attack is over, while the rightful user of the same node goes on.
fn repeat(siege: &Siege, mut act: impl FnMut()) -> String {
    let (mut times, mut slowest) = (0, Duration::ZERO);
    while !siege.is_over() {
        act();
        times += 1;
        if times % 10 == 1 {
            let asked = Clock.instant();
            siege.attacked().height();
            slowest = slowest.max(Clock.instant().saturating_duration_since(asked));
        }
    }
    assert!(slowest < ANSWER_MAX, "the rightful user waited {slowest:?}");
    format!("{times} times; the rightful user waited {slowest:?} at most")
}

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getblockcount","params":[]}"#;

/// Web pages that resolved their own name to the node's address are refused.
fn foreign_host(siege: &Siege) -> String {
    repeat(siege, || {
        assert_eq!(status_of(&request("Host: evil.example\r\n", CALL)), Some(403));
        let origin = format!("{}Origin: http://evil.example\r\n", own_host());
        assert_eq!(status_of(&request(&origin, CALL)), Some(403));
        assert_eq!(status_of(&request("", CALL)), Some(403));
    })
}

/// Guessed credentials are refused.
fn wrong_credentials(siege: &Siege) -> String {
    repeat(siege, || {
        let guess = format!("{}Authorization: Basic X19jb29raWVfXzpndWVzcw==\r\n", own_host());
        assert_eq!(status_of(&request(&guess, CALL)), Some(401));
        let send = r#"{"jsonrpc":"2.0","id":1,"method":"sendrawtransaction","params":["00"]}"#;
        let refused = body_of(&request(&own_host(), send));
        assert!(refused.contains("unauthorized"), "{refused}");
    })
}

fn body_of(bytes: &[u8]) -> String {
    let mut stream = dial();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let _written = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut buffer = [0; 4_096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..count]);
        if answer.ends_with(b"}") {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// A body of more than a megabyte is refused or cut off.
fn large_body(siege: &Siege) -> String {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"getblockcount","params":["{}"]}}"#,
        "x".repeat(2 << 20)
    );
    repeat(siege, || {
        assert!(matches!(status_of(&request(&own_host(), &body)), Some(413) | None));
    })
}

/// JSON that nests 10,000 levels deep is refused.
fn deep_json(siege: &Siege) -> String {
    let arrays = "[".repeat(10_000) + &"]".repeat(10_000);
    let objects = r#"{"a":"#.repeat(10_000) + "1" + &"}".repeat(10_000);
    repeat(siege, || {
        assert_eq!(status_of(&request(&own_host(), &arrays)), Some(400));
        assert_eq!(status_of(&request(&own_host(), &objects)), Some(400));
    })
}

/// Thousands of calls in one body are refused as a whole.
fn long_batch(siege: &Siege) -> String {
    let body = format!("[{}]", vec![CALL; 5_000].join(","));
    repeat(siege, || assert_eq!(status_of(&request(&own_host(), &body)), Some(400)))
}

/// Bytes that are no HTTP.
fn no_http(siege: &Siege) -> String {
    repeat(siege, || {
        let garbage: Vec<u8> = (0..4_096).map(|_| rand::random()).collect();
        assert!(matches!(status_of(&garbage), Some(400) | None));
        let header = format!("GET /ready HTTP/1.1\r\n{}X: {}\r\n\r\n", own_host(), "x".repeat(1 << 20));
        assert!(matches!(status_of(header.as_bytes()), Some(400 | 431) | None));
    })
}

/// What the node answers to the question whether it is ready: the whole answer, or nothing.
fn ask_ready(within: Duration) -> Option<String> {
    let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], rpc_port(ATTACKED)))).ok()?;
    stream.set_read_timeout(Some(within)).unwrap();
    let question = format!("GET /ready HTTP/1.1\r\n{}Connection: close\r\n\r\n", own_host());
    let _written = stream.write_all(question.as_bytes());
    let mut answer = Vec::new();
    let _read = stream.read_to_end(&mut answer);
    Some(String::from_utf8_lossy(&answer).into_owned()).filter(|answer| !answer.is_empty())
}

/// Asks until the attack is over whether the node is ready, and tells how often it was.
fn readiness(siege: &Siege) -> String {
    let (mut ready, mut others) = (0, Vec::new());
    while !siege.is_over() || ready + others.len() < 5 {
        match ask_ready(Duration::from_secs(2)) {
            Some(answer) if answer.starts_with("HTTP/1.1 200") => ready += 1,
            other => others.push(other),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(ready > others.len(), "/ready said so {ready} times, and {} times not: {others:?}", others.len());
    format!("/ready {ready} times, {} times not", others.len())
}

/// Connections on which a request comes a byte at a time.
pub fn slow_connections(siege: &Siege) -> String {
    let mut slow: Vec<TcpStream> = (0..SLOW_CONNECTIONS).map(|_| dial()).collect();
    for stream in &mut slow {
        let _written = stream.write_all(b"POST / HTTP/1.1\r\nHo");
    }
    readiness(siege)
}

/// Calls that wait a minute for a payment that nobody made, without credentials.
pub fn waiters(siege: &Siege) -> String {
    let txid = hex::encode(rand::random::<[u8; 32]>());
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"waitfortransaction","params":["{txid}","final",60000]}}"#
    );
    let waiting: Vec<TcpStream> = (0..WAITERS)
        .map(|_| {
            let mut stream = dial();
            let _written = stream.write_all(&request(&own_host(), &call));
            stream
        })
        .collect();
    let said = readiness(siege);
    drop(waiting);
    said
}
