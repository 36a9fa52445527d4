//! Honest nodes on loopback.

use std::time::Duration;

use super::support::{
    Node, RawPeer, block_vote, config, eventually, key, one_of_each, patient, quick, transaction, vote_batch,
};
use crate::network::{BanTarget, MessageKind, Network, NetworkError, NetworkEvent};
use crate::types::block::Block;
use crate::types::{Commit, CommittedBlock, Message, Released};

async fn pair() -> (Node, Node) {
    let (mut one, mut other) = (Node::start(1).await, Node::start(2).await);
    one.dial(other.address());
    one.connected(key(2)).await;
    other.connected(key(1)).await;
    (one, other)
}

#[tokio::test]
async fn two_nodes_connect_and_everything_they_say_arrives() {
    let (mut one, mut other) = pair().await;
    // What the network itself does not take.
    let carried: Vec<Message> = one_of_each()
        .into_iter()
        .filter(|message| {
            !matches!(
                MessageKind::of(message).name(),
                "ping" | "pong" | "get_masternodes" | "masternodes" | "neighbours"
            )
        })
        .collect();
    for message in &carried {
        assert!(one.handle.send(key(2), message));
        assert!(other.handle.send(key(1), message));
    }
    for (node, from) in [(&mut one, key(2)), (&mut other, key(1))] {
        for message in carried.clone() {
            let event =
                if MessageKind::of(&message).is_urgent() { node.urgent().await } else { node.bulk().await };
            assert_eq!(event, NetworkEvent::Message { peer: from, message });
        }
    }
    eventually(|| one.handle.peers().iter().all(|peer| peer.latency.is_some())).await;
    let peers = other.handle.peers();
    assert_eq!((peers.len(), peers[0].peer, peers[0].inbound), (1, key(1), true));
    assert_eq!(peers[0].user_agent, "test/1");
    assert!(peers[0].bytes_in > 0 && peers[0].bytes_out > 0 && peers[0].score == 0);
    let metrics = one.handle.metrics();
    let votes = metrics.messages.iter().find(|count| count.name == "block_vote").unwrap();
    assert_eq!((votes.count_in, votes.count_out), (1, 1));

    assert!(!one.handle.send(key(9), &carried[0]), "nobody of this name");
    assert!(one.handle.disconnect(key(2)));
    one.disconnected(key(2)).await;
    other.disconnected(key(1)).await;
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn both_dial_at_once_and_one_connection_is_left() {
    let (mut one, mut other) = (Node::start(1).await, Node::start(2).await);
    one.dial(other.address());
    other.dial(one.address());
    eventually(|| one.handle.peer_count() == 1 && other.handle.peer_count() == 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((one.handle.peer_count(), other.handle.peer_count()), (1, 1));
    assert_ne!(one.handle.peers()[0].inbound, other.handle.peers()[0].inbound);
    // Whatever was replaced, the events say: there, (gone, there)*.
    for (node, peer) in [(&mut one, key(2)), (&mut other, key(1))] {
        let mut is_there = false;
        while let Some(event) = node.events.urgent.try_recv() {
            match event {
                NetworkEvent::Connected { peer: found, .. } => {
                    assert!(!is_there && found == peer);
                    is_there = true;
                }
                NetworkEvent::Disconnected { .. } => {
                    assert!(is_there);
                    is_there = false;
                }
                NetworkEvent::Message { .. } => panic!("nobody said anything"),
            }
        }
        assert!(is_there);
    }
    assert!(one.handle.send(key(2), &Message::BlockVote(block_vote(1))));
    assert!(matches!(other.urgent().await, NetworkEvent::Message { .. }));
}

#[tokio::test]
async fn a_peer_that_restarts_is_found_again() {
    let (mut one, other) = pair().await;
    let address = other.address();
    other.stop().await;
    one.disconnected(key(2)).await;
    let mut again = config(2);
    again.listen_address = address;
    let mut other = Node::start_with(again, quick()).await;
    one.connected(key(2)).await;
    other.connected(key(1)).await;
}

/// INV-NET-33.
#[tokio::test]
async fn an_isolated_node_has_no_connection_until_it_is_healed() {
    let (mut one, mut other) = pair().await;
    one.handle.isolate(true);
    one.disconnected(key(2)).await;
    other.disconnected(key(1)).await;
    // Both dial for ever; whoever knocks is not greeted.
    other.dial(one.address());
    assert!(RawPeer::connect(one.address(), 9).await.is_err());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((one.handle.peer_count(), other.handle.peer_count()), (0, 0));
    assert!(one.events.urgent.try_recv().is_none(), "not for a moment either");
    assert!(one.handle.is_isolated() && !other.handle.is_isolated());
    one.handle.isolate(false);
    one.connected(key(2)).await;
    other.connected(key(1)).await;
}

#[tokio::test]
async fn gossip_is_delivered_once_and_never_sent_back() {
    let (mut one, mut other) = pair().await;
    let mut third = Node::start(3).await;
    third.dial(one.address());
    third.dial(other.address());
    eventually(|| [&one, &other, &third].iter().all(|node| node.handle.peer_count() == 2)).await;
    let message = Message::VoteBatch(Released::heard(vote_batch(1, 3)));
    one.handle.broadcast(&message, None);
    // Each passes it on, as consensus does.
    for node in [&mut other, &mut third] {
        loop {
            if let NetworkEvent::Message { peer, message } = node.urgent().await {
                node.handle.broadcast(&message, Some(peer));
                break;
            }
        }
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    for node in [&mut one, &mut other, &mut third] {
        while let Some(event) = node.events.urgent.try_recv() {
            assert!(!matches!(event, NetworkEvent::Message { .. }), "delivered again");
        }
    }
    let received = |node: &Node| {
        let metrics = node.handle.metrics();
        metrics.messages.iter().find(|count| count.name == "vote_batch").unwrap().count_in
    };
    assert_eq!(received(&one), 0, "the author got none back");
    // After its short memory the same bytes pass again: a vote that came too early must.
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    one.handle.broadcast(&message, None);
    assert_eq!(other.urgent().await, NetworkEvent::Message { peer: key(1), message });
}

#[tokio::test]
async fn addresses_travel_and_everybody_meets() {
    let middle = Node::start(1).await;
    let timing = || {
        let mut timing = quick();
        timing.exchange_interval = Duration::from_millis(200);
        timing
    };
    let (one, other) =
        (Node::start_with(config(2), timing()).await, Node::start_with(config(3), timing()).await);
    for node in [&one, &other] {
        node.dial(middle.address());
    }
    eventually(|| [&one, &other, &middle].iter().all(|node| node.handle.peer_count() == 2)).await;
}

fn large_block() -> CommittedBlock {
    let Message::Proposal(proposal) = one_of_each().swap_remove(5) else { panic!("the order changed") };
    let header = proposal.block.header.clone();
    let transactions: Vec<_> = (0..84).map(|number| transaction(number, 100_000)).collect();
    CommittedBlock {
        block: Block { header, last_commit: Commit::default(), transactions, evidence: Vec::new() },
        commit: Commit::default(),
    }
}

#[tokio::test]
async fn a_block_of_8_mib_passes_both_ways_and_votes_pass_it() {
    let (mut one, mut other) = pair().await;
    let blocks = Message::Blocks(vec![Released::heard(large_block())]);
    for turn in 0..2 {
        assert!(one.handle.send(key(2), &blocks));
        assert!(other.handle.send(key(1), &blocks));
        assert!(!one.handle.send(key(2), &blocks), "one that waits is enough for one peer");
        // Nobody takes the blocks yet; the votes that follow them come all the same.
        let heights = 100 * turn..100 * turn + 100;
        for height in heights.clone() {
            assert!(one.handle.send(key(2), &Message::BlockVote(block_vote(height))));
            assert!(other.handle.send(key(1), &Message::BlockVote(block_vote(height))));
        }
        for (node, from) in [(&mut one, key(2)), (&mut other, key(1))] {
            for height in heights.clone() {
                let message = Message::BlockVote(block_vote(height));
                assert_eq!(node.urgent().await, NetworkEvent::Message { peer: from, message });
            }
        }
        for (node, from) in [(&mut one, key(2)), (&mut other, key(1))] {
            assert!(node.bulk().await == NetworkEvent::Message { peer: from, message: blocks.clone() });
        }
    }
}

/// INV-NET-10.
#[tokio::test]
async fn votes_arrive_while_nobody_takes_transactions_and_none_of_these_is_lost() {
    let (mut one, mut other) = pair().await;
    // 8 MB: far more than the window holds.
    let count = 2_000;
    for number in 0..count {
        let message = Message::Transaction(transaction(number, 4_000));
        assert!(one.handle.send(key(2), &message));
    }
    eventually(|| other.handle.metrics().bytes_in > 1_000_000).await;
    assert!(one.handle.send(key(2), &Message::BlockVote(block_vote(1))));
    assert!(matches!(other.urgent().await, NetworkEvent::Message { .. }));
    assert!(other.handle.metrics().bytes_in < 1_200_000, "INV-NET-21: the window holds the sender back");
    for number in 0..count {
        let message = Message::Transaction(transaction(number, 4_000));
        assert_eq!(other.bulk().await, NetworkEvent::Message { peer: key(1), message });
    }
    assert_eq!(one.handle.metrics().send_dropped, 0);
    one.disconnect_and_check(&mut other).await;
}

impl Node {
    async fn disconnect_and_check(&mut self, other: &mut Self) {
        assert!(self.handle.disconnect(other.handle.identity()));
        self.disconnected(other.handle.identity()).await;
        other.disconnected(self.handle.identity()).await;
    }
}

#[tokio::test]
async fn an_address_in_use_and_nonsense_are_named() {
    let node = Node::start(1).await;
    let mut taken = config(2);
    taken.listen_address = node.address();
    let (token, tracker) = (node.token.clone(), node.tracker.clone());
    let result = Network::start(taken, token.clone(), &tracker).await;
    assert!(matches!(result, Err(NetworkError::AddressInUse { address }) if address == node.address()));
    let mut nonsense = config(2);
    nonsense.bootstrap_peers = vec!["nonsense".to_owned()];
    let result = Network::start(nonsense, token.clone(), &tracker).await;
    assert!(matches!(result, Err(NetworkError::InvalidAddress { key: "bootstrap_peers", .. })));
    let mut long = config(2);
    long.user_agent = "x".repeat(65);
    let result = Network::start(long, token, &tracker).await;
    assert!(matches!(result, Err(NetworkError::UserAgentTooLong { length: 65 })));
}

/// INV-NET-17.
#[tokio::test]
async fn a_banned_identity_stays_out_until_it_is_unbanned() {
    let (mut one, mut other) = pair().await;
    let target = BanTarget::Identity(key(1));
    assert!(!other.handle.is_banned(target) && other.handle.ban(target, Duration::from_secs(60)));
    assert!(other.handle.is_banned(target) && !other.handle.is_banned(BanTarget::Identity(key(3))));
    other.disconnected(key(1)).await;
    one.disconnected(key(2)).await;
    let failed = |node: &Node| node.handle.metrics().handshakes_failed;
    eventually(|| failed(&other) >= 2).await;
    assert_eq!((other.handle.peer_count(), other.handle.banned()[0].0), (0, target));
    assert!(other.handle.unban(target) && !other.handle.is_banned(target));
    patient(other.connected(key(1))).await;
    assert!(!other.handle.ban(BanTarget::Ip(one.address().ip()), Duration::from_secs(60)), "loopback");
}
