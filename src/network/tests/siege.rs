//! Strangers that try to keep others out, over real sockets: floods, unfinished messages, places, half-open sockets,
//! and new keys.

use std::time::Duration;

use tokio::net::TcpStream;

use super::support::{
    Node, RawPeer, block_vote, config, eventually, key, patient, quick, transaction, validator,
};
use crate::network::frame::{BULK_WINDOW_BYTES, Lane};
use crate::network::{BanTarget, HandshakeError, Misbehaviour, NetworkEvent, RefusalReason};
use crate::types::Message;

/// A node with this operator key.
fn is_refused(result: Result<RawPeer, HandshakeError>, expected: RefusalReason) -> bool {
    matches!(result, Err(HandshakeError::RefusedByPeer { reason, .. }) if reason == expected)
}

#[tokio::test]
async fn a_flood_of_votes_makes_no_other_peer_wait() {
    let mut node = Node::start(1).await;
    let mut flooder = RawPeer::connect(node.address(), 9).await.unwrap();
    node.connected(key(9)).await;
    let mut honest = RawPeer::connect(node.address(), 8).await.unwrap();
    node.connected(key(8)).await;
    // All that the node takes of it while nobody takes anything: its own memory, and not a byte more.
    let flood = node.tracker.spawn(async move {
        let mut height = 0;
        loop {
            let votes: Vec<Message> =
                (0..100).map(|number| Message::BlockVote(block_vote(height + number))).collect();
            height += 100;
            if !flooder.say(&votes).await {
                return;
            }
        }
    });
    let mut waiting = 0;
    eventually(|| {
        std::mem::replace(&mut waiting, node.events.urgent.len()) == node.events.urgent.len()
            && waiting > 1_000
    })
    .await;
    assert!(honest.say(&[Message::BlockVote(block_vote(1 << 40))]).await);
    eventually(|| node.handle.peers().iter().any(|peer| peer.peer == key(8) && peer.messages_in > 0)).await;
    let mut before = 0;
    loop {
        match node.urgent().await {
            NetworkEvent::Message { peer, .. } if peer == key(8) => break,
            NetworkEvent::Message { .. } => before += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(before <= 32, "INV-NET-23: one turn of the flooder comes before it, not {before} messages");
    flood.abort();
}

#[tokio::test]
async fn a_message_that_stops_or_trickles_has_a_deadline() {
    let mut timing = quick();
    timing.message_deadline = Duration::from_millis(300);
    let mut node = Node::start_with(config(1), timing).await;
    // A message that stops, in each lane, and one of which there is no more than its length.
    let block_of_one_mib = [0, 0, 16, 0, 14, 0, 0, 0, 1, 2, 3];
    let votes = [200, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3];
    let cases: [(Lane, &[u8]); 4] = [
        (Lane::Bulk, &block_of_one_mib),
        (Lane::Bulk, &block_of_one_mib[..3]),
        (Lane::Urgent, &votes),
        (Lane::Urgent, &votes[..2]),
    ];
    for (number, (lane, bytes)) in cases.into_iter().enumerate() {
        let seed = 10 + u8::try_from(number).unwrap();
        let mut peer = RawPeer::connect(node.address(), seed).await.unwrap();
        node.connected(key(seed)).await;
        assert!(peer.record(lane, bytes).await);
        if lane == Lane::Urgent {
            // What it says meanwhile in the other lane does not help it.
            patient(async {
                while peer.say(&[Message::GetMasternodes]).await {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            })
            .await;
        } else {
            peer.closed().await;
        }
        node.disconnected(key(seed)).await;
    }
    // A byte now and then.
    let mut peer = RawPeer::connect(node.address(), 20).await.unwrap();
    node.connected(key(20)).await;
    assert!(peer.record(Lane::Urgent, &votes).await);
    patient(async {
        while peer.record(Lane::Urgent, &[1]).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    node.disconnected(key(20)).await;
    let _again = RawPeer::connect(node.address(), 20).await.unwrap();
    node.connected(key(20)).await;
    assert_eq!(node.handle.peers()[0].score, 10, "INV-NET-25: it was scored");
}

#[tokio::test]
async fn a_slow_message_within_its_time_arrives() {
    let mut timing = quick();
    timing.message_deadline = Duration::from_secs(2);
    let mut node = Node::start_with(config(1), timing).await;
    let mut peer = RawPeer::connect(node.address(), 9).await.unwrap();
    node.connected(key(9)).await;
    let message = Message::Transaction(transaction(1, 90_000));
    let encoded = crate::types::codec::encode(&message);
    let mut bytes = u32::try_from(encoded.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(encoded);
    // Five messages one after the other, each of which is in time: their times do not add up.
    for _ in 0..5 {
        for piece in bytes.chunks(30_000) {
            assert!(peer.record(Lane::Bulk, piece).await);
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }
    assert_eq!(node.bulk().await, NetworkEvent::Message { peer: key(9), message });
    assert_eq!(node.handle.peer_count(), 1);
}

#[tokio::test]
async fn a_validator_gets_in_when_strangers_hold_all_places() {
    let mut limited = config(1);
    limited.max_inbound = 4;
    let node = Node::start_with(limited, quick()).await;
    node.handle.set_members((100..110).map(key));
    let mut strangers = Vec::new();
    for seed in 10..14 {
        strangers.push(RawPeer::connect(node.address(), seed).await.unwrap());
    }
    eventually(|| node.handle.peer_count() == 4).await;
    let full = RefusalReason::TooManyConnections;
    assert!(is_refused(RawPeer::connect(node.address(), 14).await, full));
    // That it claims a key of the set is not enough.
    assert!(is_refused(RawPeer::connect_as(node.address(), &validator(14, 200)).await, full));
    let mut members = Vec::new();
    for seed in 0..6 {
        members.push(RawPeer::connect_as(node.address(), &validator(30 + seed, 100 + seed)).await.unwrap());
    }
    let is_member =
        |seed: u8| node.handle.peers().iter().any(|peer| peer.peer == key(30 + seed) && peer.member);
    eventually(|| (0..6).all(is_member)).await;
    for stranger in &mut strangers {
        stranger.closed().await;
    }
    eventually(|| node.handle.peer_counts() == (6, 0)).await;
    // It restarts, and this node has not noticed that the old connection is dead.
    let _restarted = RawPeer::connect_as(node.address(), &validator(30, 100)).await.unwrap();
    members[0].closed().await;
    eventually(|| is_member(0) && node.handle.peer_count() == 6).await;
}

#[tokio::test]
async fn half_open_sockets_shut_nobody_out() {
    let mut node = Node::start(1).await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(node.address()).await.unwrap());
    }
    for seed in 10..13 {
        let honest = RawPeer::connect(node.address(), seed).await.unwrap();
        node.connected(key(seed)).await;
        drop(honest);
        node.disconnected(key(seed)).await;
    }
    assert!(node.handle.metrics().handshakes_failed >= 170, "the oldest made room");
}

#[tokio::test]
async fn bans_outlive_a_restart_and_hold_for_strangers_only() {
    let home = tempfile::tempdir().unwrap();
    let kept = || {
        let mut config = config(1);
        config.bans_path = Some(home.path().join("bans"));
        config
    };
    let mut node = Node::start_with(kept(), quick()).await;
    let group = BanTarget::Group("203.0.113.77".parse().unwrap());
    assert!(node.handle.ban(group, Duration::from_secs(600)));
    let _peer = RawPeer::connect(node.address(), 9).await.unwrap();
    node.connected(key(9)).await;
    for _ in 0..2 {
        node.handle.report(key(9), Misbehaviour::InvalidSignature);
    }
    node.disconnected(key(9)).await;
    node.stop().await;

    let mut node = Node::start_with(kept(), quick()).await;
    let banned: Vec<BanTarget> = node.handle.banned().into_iter().map(|(target, _)| target).collect();
    assert_eq!(banned.len(), 2);
    assert!(banned.contains(&BanTarget::Group("203.0.113.0".parse().unwrap())));
    assert!(is_refused(RawPeer::connect(node.address(), 9).await, RefusalReason::Banned));
    let _neighbour = RawPeer::connect(node.address(), 8).await.unwrap();
    node.connected(key(8)).await;
    // The same identity as a member of the set.
    node.handle.set_members([key(100)]);
    let _member = RawPeer::connect_as(node.address(), &validator(9, 100)).await.unwrap();
    node.connected(key(9)).await;
    for _ in 0..9 {
        node.handle.report(key(9), Misbehaviour::FalseStatus);
    }
    assert_eq!((node.handle.metrics().bans, node.handle.peer_count()), (0, 2), "INV-NET-28");
    assert!(node.handle.unban(BanTarget::Identity(key(9))));
    node.stop().await;
    let node = Node::start_with(kept(), quick()).await;
    assert_eq!(node.handle.banned().len(), 1, "lifted bans are forgotten");
}

/// INV-NET-25: what this node does not take yet is no delay of the peer's.
#[tokio::test]
async fn a_message_whose_rest_has_no_credit_is_waited_for() {
    let mut timing = quick();
    timing.message_deadline = Duration::from_millis(100);
    timing.ping_interval = Duration::from_millis(100);
    let mut node = Node::start_with(config(1), timing).await;
    let mut peer = RawPeer::connect(node.address(), 9).await.unwrap();
    node.connected(key(9)).await;
    let framed = |number| {
        let encoded = crate::types::codec::encode(&Message::Transaction(transaction(number, 10_000)));
        let mut bytes = u32::try_from(encoded.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend(encoded);
        bytes
    };
    let each = framed(0).len();
    let whole = BULK_WINDOW_BYTES / each;
    let all: Vec<u8> = (0..=whole as u64).flat_map(framed).collect();
    let (window, rest) = all.split_at(BULK_WINDOW_BYTES);
    assert!(!rest.is_empty() && rest.len() < each, "the last one has begun and is not whole");
    for piece in window.chunks(60_000) {
        assert!(peer.record(Lane::Bulk, piece).await);
    }
    // Several times as long as the message may take, in which the peer says other things.
    let mut pings = 0;
    while pings < 10 {
        let (_, encoded, _) = peer.hear_all().await;
        if let Ok(Message::Ping(number)) = crate::types::codec::decode(&encoded) {
            pings += 1;
            assert!(peer.say(&[Message::Pong(number)]).await);
        }
        assert!(peer.say(&[Message::BlockVote(block_vote(pings))]).await);
    }
    let mut said = 0;
    while said < whole {
        said += usize::from(matches!(node.bulk().await, NetworkEvent::Message { .. }));
    }
    assert!(peer.record(Lane::Bulk, rest).await);
    assert!(matches!(node.bulk().await, NetworkEvent::Message { .. }), "it came");
}
