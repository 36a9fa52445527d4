//! RPC callers that are slow or wait for nothing: probes, the operator and payments go on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::net::{DEADLINE, Net, Node};
use crate::turns::Needs;

const SLOW: usize = 150;
const WAITING: usize = 200;

fn connect(node: &Node) -> TcpStream {
    let stream = TcpStream::connect(node.url().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn send(node: &Node, text: &str) -> TcpStream {
    let mut stream = connect(node);
    // The node may have closed it before, which is its right.
    let _broken = stream.write_all(text.as_bytes()).is_err();
    stream
}

fn page(node: &Node, path: &str) -> String {
    let text = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    send(node, &text).read_to_string(&mut answer).unwrap();
    answer
}

fn assert_serves(node: &Node, when: &str) {
    for path in ["/health", "/ready"] {
        let answer = page(node, path);
        assert!(answer.starts_with("HTTP/1.1 200"), "{when}: {path}: {answer}");
    }
    node.call::<Value>("getnodestatus", &[]);
}

#[test]
fn slow_callers_and_those_who_wait_shut_nobody_out() {
    let net = Net::running(Needs::Machine);
    let node = &net.nodes[0];
    let payer = net.pay_through(&[0], 0);
    payer.wait_more(3);
    let post = |length: usize, body: &str| {
        format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    for (name, text) in [
        ("silent", String::new()),
        ("in the middle of a head", "POST / HTTP/1.1\r\nhost: localh".to_owned()),
        ("in the middle of a body", post(500_000, "{")),
    ] {
        let slow: Vec<TcpStream> = (0..SLOW).map(|_| send(node, &text)).collect();
        assert_serves(node, name);
        payer.wait_more(3);
        drop(slow);
    }
    let params = json!(["99".repeat(32), "final", 60_000]);
    let body =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "waitfortransaction", "params": params }).to_string();
    let mut waiting: Vec<TcpStream> = (0..WAITING).map(|_| send(node, &post(body.len(), &body))).collect();
    assert_serves(node, "waiting");
    payer.wait_more(3);
    let mut refused = 0;
    for stream in &mut waiting {
        stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let mut answer = [0; 1_024];
        let length = stream.read(&mut answer).unwrap_or(0);
        refused += usize::from(String::from_utf8_lossy(&answer[..length]).contains("too_many_waits"));
    }
    assert!(refused > 0, "none of those who wait was told that they are too many");
}
