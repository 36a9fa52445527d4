//! Peers that do what no honest node does.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::{
    Node, RawPeer, block_vote, config, eventually, key, patient, quick, transaction, vote_batch,
};
use crate::network::frame::{BULK_WINDOW_BYTES, Lane};
use crate::network::message_kind::MessageKind;
use crate::network::{HandshakeError, Misbehaviour, NetworkEvent, RefusalReason};
use crate::types::{Message, Released};

async fn ends(mut stream: TcpStream) {
    patient(async { while matches!(stream.read(&mut [0; 1_024]).await, Ok(count) if count > 0) {} }).await;
}

#[tokio::test]
async fn what_is_no_handshake_is_closed() {
    let mut timing = quick();
    timing.handshake_deadline = Duration::from_millis(300);
    let node = Node::start_with(config(1), timing).await;
    for bytes in [&[0xff; 4][..], b"GET / HTTP/1.1\r\n\r\n", &[0; 2_000], &[0, 32]] {
        let mut stream = TcpStream::connect(node.address()).await.unwrap();
        let _closed_meanwhile = stream.write_all(bytes).await;
        ends(stream).await;
    }
    assert_eq!(node.handle.metrics().handshakes_failed, 4);
    assert!(RawPeer::connect(node.address(), 9).await.is_ok(), "honest ones still get in");
}

#[tokio::test]
async fn malformed_records_end_the_connection_and_their_repetition_is_banned() {
    let mut node = Node::start(1).await;
    let bad: [(Lane, &[u8]); 2] = [
        // Claims 4 GiB.
        (Lane::Urgent, &[0xff, 0xff, 0xff, 0xff]),
        // A ping that is cut off within: the encoding is malformed.
        (Lane::Urgent, &[5, 0, 0, 0, 0, 0, 0, 0, 1]),
    ];
    for (lane, payload) in bad {
        let mut peer = RawPeer::connect(node.address(), 9).await.unwrap();
        node.connected(key(9)).await;
        assert!(peer.record(lane, payload).await);
        peer.closed().await;
        node.disconnected(key(9)).await;
    }
    let refused = RawPeer::connect(node.address(), 9).await.err().unwrap();
    assert!(
        matches!(refused, HandshakeError::RefusedByPeer { reason: RefusalReason::Banned, .. }),
        "{refused}"
    );
    assert_eq!(node.handle.metrics().bans, 1);
    assert!(RawPeer::connect(node.address(), 8).await.is_ok(), "loopback is not banned with it");
}

#[tokio::test]
async fn changed_ciphertext_unknown_lanes_and_false_credit_end_the_connection() {
    let mut node = Node::start(1).await;
    for case in 0..4 {
        let seed = 10 + case;
        let mut peer = RawPeer::connect(node.address(), seed).await.unwrap();
        node.connected(key(seed)).await;
        match case {
            0 => {
                let mut out = Vec::new();
                peer.sealer.seal(&[Lane::Urgent.tag(), 1], &mut out).unwrap();
                out[3] ^= 1;
                peer.stream.write_all(&out).await.unwrap();
            }
            1 => {
                let mut out = Vec::new();
                peer.sealer.seal(&[9, 1], &mut out).unwrap();
                peer.stream.write_all(&out).await.unwrap();
            }
            2 => assert!(peer.record(Lane::Credit, &u32::MAX.to_le_bytes()).await),
            _ => assert!(peer.record(Lane::Credit, &[1]).await),
        }
        peer.closed().await;
        node.disconnected(key(seed)).await;
    }
}

#[tokio::test]
async fn a_peer_that_ignores_its_credit_is_closed() {
    let mut node = Node::start(1).await;
    let mut peer = RawPeer::connect(node.address(), 9).await.unwrap();
    node.connected(key(9)).await;
    // Nobody takes them, so no credit comes.
    let messages: Vec<Message> =
        (0..200).map(|number| Message::Transaction(transaction(number, 50_000))).collect();
    let mut sent = 0;
    for message in &messages {
        if !peer.say(std::slice::from_ref(message)).await {
            break;
        }
        sent += 50_000;
    }
    peer.closed().await;
    node.disconnected(key(9)).await;
    assert!(sent > BULK_WINDOW_BYTES / 2);
}

#[tokio::test]
async fn credit_comes_back_for_what_is_taken_or_dropped() {
    let mut node = Node::start(1).await;
    let mut peer = RawPeer::connect(node.address(), 9).await.unwrap();
    node.connected(key(9)).await;
    // The same one again and again: delivered once, dropped as a duplicate, and its bytes granted again.
    let message = Message::Transaction(transaction(1, 50_000));
    let mut credit = 0;
    for _ in 0..4 {
        assert!(peer.say(&vec![message.clone(); 25]).await);
        assert!(peer.say(&[Message::Ping(1)]).await);
        loop {
            let (kind, granted) = peer.hear().await;
            credit += granted;
            if kind == MessageKind::Pong {
                break;
            }
        }
    }
    assert!(credit >= BULK_WINDOW_BYTES / 2, "{credit}");
    assert_eq!(node.bulk().await, NetworkEvent::Message { peer: key(9), message });
    assert!(node.events.bulk.is_empty());
    assert!(node.handle.metrics().duplicates >= 99 - 2, "but for what came a generation later");
}

#[tokio::test]
async fn a_flood_is_dropped_then_scored_then_banned() {
    let mut node = Node::start(1).await;
    let mut peer = RawPeer::connect(node.address(), 9).await.unwrap();
    node.connected(key(9)).await;
    for _ in 0..200 {
        if !peer.say(&vec![Message::Pong(1); 20]).await {
            break;
        }
    }
    peer.closed().await;
    node.disconnected(key(9)).await;
    let metrics = node.handle.metrics();
    assert!(metrics.rate_limited >= 1_000 && metrics.bans == 1);
    assert!(RawPeer::connect(node.address(), 9).await.is_err());
}

/// INV-NET-11.
#[tokio::test]
async fn a_peer_that_does_not_read_is_closed_and_the_others_go_on() {
    let mut timing = quick();
    timing.write_stall_max = Duration::from_millis(300);
    let mut node = Node::start_with(config(1), timing).await;
    let mut honest = Node::start(2).await;
    honest.dial(node.address());
    honest.connected(key(1)).await;
    node.connected(key(2)).await;
    let _silent = RawPeer::connect(node.address(), 9).await.unwrap();
    node.connected(key(9)).await;
    let mut heard = 0;
    let mut seq = 0;
    while node.handle.peer_count() == 2 {
        seq += 1;
        node.handle.broadcast(&Message::VoteBatch(Released::heard(vote_batch(seq, 4_096))), None);
        while heard < seq {
            assert!(matches!(honest.urgent().await, NetworkEvent::Message { .. }));
            heard += 1;
        }
        tokio::task::yield_now().await;
    }
    node.disconnected(key(9)).await;
    assert_eq!(node.handle.peers()[0].peer, key(2));
}

#[tokio::test]
async fn a_silent_peer_is_closed_and_a_reported_one_too() {
    let mut timing = quick();
    timing.idle_max = Duration::from_millis(200);
    let mut node = Node::start_with(config(1), timing).await;
    let _silent = RawPeer::connect(node.address(), 9).await.unwrap();
    node.connected(key(9)).await;
    node.disconnected(key(9)).await;
    let mut liar = RawPeer::connect(node.address(), 8).await.unwrap();
    node.connected(key(8)).await;
    node.handle.report(key(8), Misbehaviour::Flood);
    assert_eq!(node.handle.peers()[0].score, 10);
    node.handle.report(key(8), Misbehaviour::InvalidSignature);
    liar.closed().await;
    node.disconnected(key(8)).await;
    assert_eq!(node.handle.metrics().bans, 0, "once is no ban");
}

#[tokio::test]
async fn beyond_the_limit_of_inbound_connections_nobody_gets_in() {
    let mut limited = config(1);
    limited.max_inbound = 2;
    let node = Node::start_with(limited, quick()).await;
    let mut kept = Vec::new();
    for seed in 10..12 {
        kept.push(RawPeer::connect(node.address(), seed).await.unwrap());
    }
    eventually(|| node.handle.peer_count() == 2).await;
    let refused = RawPeer::connect(node.address(), 12).await.err().unwrap();
    let full = RefusalReason::TooManyConnections;
    assert!(matches!(refused, HandshakeError::RefusedByPeer { reason, .. } if reason == full));
    drop(kept.pop());
    eventually(|| node.handle.peer_count() == 1).await;
    assert!(RawPeer::connect(node.address(), 12).await.is_ok());
}

/// INV-NET-18.
#[tokio::test]
async fn the_second_connection_of_a_peer_replaces_the_first() {
    let mut node = Node::start(1).await;
    let mut first = RawPeer::connect(node.address(), 9).await.unwrap();
    node.connected(key(9)).await;
    let mut second = RawPeer::connect(node.address(), 9).await.unwrap();
    first.closed().await;
    node.disconnected(key(9)).await;
    node.connected(key(9)).await;
    assert!(second.say(&[Message::BlockVote(block_vote(5))]).await);
    assert!(matches!(node.urgent().await, NetworkEvent::Message { .. }));
    assert_eq!(node.handle.peer_count(), 1);
}
