//! The turns in which peers' events are taken.

use super::*;
use crate::network::tests::support::{block_vote, key, vote_batch};
use crate::types::{Released, VoteKind};

const ADDRESS: &str = "192.0.2.1:1";

fn queue(peers: u8) -> (EventSender, EventReceiver) {
    let (sender, mut receiver) = event_queue(true);
    for seed in 1..=peers {
        sender.connected(key(seed), ADDRESS.parse().unwrap(), true);
        assert!(matches!(receiver.try_recv(), Some(NetworkEvent::Connected { .. })));
    }
    (sender, receiver)
}

fn say(sender: &EventSender, seed: u8, standing: Standing, message: Message, bytes: usize) {
    assert!(sender.message((key(seed), standing), message, bytes, Held::default()));
}

fn vote(height: u64) -> Message {
    Message::BlockVote(block_vote(height))
}

/// The place of each message of a peer in the order of taking.
fn places(receiver: &mut EventReceiver, seed: u8) -> Vec<usize> {
    let all: Vec<NetworkEvent> = std::iter::from_fn(|| receiver.try_recv()).collect();
    let is_its =
        |event: &NetworkEvent| matches!(event, NetworkEvent::Message { peer, .. } if *peer == key(seed));
    all.iter().enumerate().filter(|(_, event)| is_its(event)).map(|(place, _)| place).collect()
}

#[test]
fn a_flood_of_one_peer_makes_no_other_wait_for_more_than_its_turn() {
    let (sender, mut receiver) = queue(2);
    for number in 0..10_000 {
        say(&sender, 1, Standing::Stranger, vote(number), 200);
    }
    say(&sender, 2, Standing::Stranger, vote(1), 200);
    let place = places(&mut receiver, 2)[0];
    let each = MessageKind::BlockVote.work_bytes(200) + EVENT_BYTES;
    assert!(place <= 2 * TURN_WORK_BYTES / each, "INV-NET-23: {place}");
}

#[test]
fn turns_count_work_and_not_messages() {
    let (sender, mut receiver) = queue(2);
    // Each of the one's messages is as much work as all of the other's together.
    for _ in 0..20 {
        say(&sender, 1, Standing::Stranger, Message::Certificates(Vec::new()), 2 << 20);
    }
    for number in 0..1_000 {
        say(&sender, 2, Standing::Stranger, vote(number), 200);
    }
    let votes = places(&mut receiver, 2);
    assert_eq!(votes.len(), 1_000);
    assert!(votes[999] <= 1_001, "one of the large ones at most came before the last vote: {}", votes[999]);
}

#[test]
fn members_have_longer_turns_than_strangers() {
    let (sender, mut receiver) = queue(2);
    for number in 0..2_000 {
        say(&sender, 1, Standing::Stranger, vote(number), 200);
        say(&sender, 2, Standing::Member, vote(number), 200);
    }
    let member = places(&mut receiver, 2);
    let among_the_first = member.iter().filter(|place| **place < 1_000).count();
    assert!((750..=850).contains(&among_the_first), "four of five: {among_the_first}");
}

/// INV-NET-32.
#[test]
fn all_strangers_together_have_no_more_than_one_member() {
    let (sender, mut receiver) = queue(65);
    for number in 0..2_000 {
        say(&sender, 1, Standing::Member, vote(number), 200);
    }
    for number in 0..100 {
        for seed in 2..=65 {
            say(&sender, seed, Standing::Stranger, vote(number), 200);
        }
    }
    let member = places(&mut receiver, 1);
    let among_the_first = member.iter().filter(|place| **place < 2_000).count();
    assert!((950..=1_150).contains(&among_the_first), "about half: {among_the_first}");
}

#[test]
fn all_of_one_peer_comes_in_order_and_nothing_is_lost() {
    let (sender, mut receiver) = queue(3);
    for number in 0..300 {
        for seed in 1..=3 {
            say(&sender, seed, Standing::Stranger, vote(number), 200);
        }
    }
    sender.disconnected(key(2));
    sender.connected(key(2), ADDRESS.parse().unwrap(), false);
    assert_eq!(receiver.len(), 902);
    let mut next = [0; 4];
    let mut told = Vec::new();
    while let Some(event) = receiver.try_recv() {
        match event {
            NetworkEvent::Message { peer, message: Message::BlockVote(vote) } => {
                let seed = (1..=3).find(|seed| key(*seed) == peer).unwrap();
                assert_eq!(vote.height, next[usize::from(seed)], "INV-NET-22");
                next[usize::from(seed)] += 1;
            }
            NetworkEvent::Message { .. } => panic!("nobody said this"),
            event => {
                assert_eq!(next[2], 300, "after its messages");
                told.push(matches!(event, NetworkEvent::Connected { .. }));
            }
        }
    }
    assert_eq!((next, told), ([0, 300, 300, 300], vec![false, true]));
}

/// INV-NET-24: what a peer that is back had said is its own again.
#[test]
fn who_comes_back_takes_no_room_of_those_that_are_gone() {
    const SAID: usize = LEFT_BYTES_MAX / 2 + EVENT_BYTES;
    let (sender, mut receiver) = queue(2);
    say(&sender, 1, Standing::Stranger, vote(1), SAID);
    sender.disconnected(key(1));
    sender.connected(key(1), ADDRESS.parse().unwrap(), true);
    say(&sender, 2, Standing::Stranger, vote(2), SAID);
    sender.disconnected(key(2));
    let said = std::iter::from_fn(|| receiver.try_recv());
    assert_eq!(said.filter(|event| matches!(event, NetworkEvent::Message { .. })).count(), 2);
    assert_eq!(sender.shared.state.lock().left_bytes, 0);
}

#[test]
fn what_the_gone_left_is_bounded_and_leaves_no_trace() {
    let (sender, mut receiver) = event_queue(true);
    for seed in 0..200 {
        sender.connected(key(seed), ADDRESS.parse().unwrap(), true);
        for number in 0..10 {
            say(&sender, seed, Standing::Stranger, vote(number), 100_000);
        }
        sender.disconnected(key(seed));
        let state = sender.shared.state.lock();
        assert!(state.left_bytes <= LEFT_BYTES_MAX, "INV-NET-24");
        assert!(state.peers.values().map(|queue| queue.bytes).sum::<usize>() <= LEFT_BYTES_MAX + 2_000_000);
        drop(state);
    }
    // Those for which there was no room were not heard of at all.
    let mut there = std::collections::BTreeSet::new();
    let mut count = 0;
    while let Some(event) = receiver.try_recv() {
        match event {
            NetworkEvent::Connected { peer, .. } => assert!(there.insert(peer)),
            NetworkEvent::Disconnected { peer } => assert!(there.remove(&peer)),
            NetworkEvent::Message { peer, .. } => {
                assert!(there.contains(&peer));
                count += 1;
            }
        }
    }
    assert!(there.is_empty() && (70..=90).contains(&count), "{count}");
    let state = sender.shared.state.lock();
    assert!(state.peers.is_empty() && state.turns.is_empty());
    assert_eq!((state.left_bytes, state.length), (0, 0));
}

#[tokio::test]
async fn one_call_hands_out_a_bounded_amount_of_work() {
    let (sender, mut receiver) = queue(1);
    for _ in 0..64 {
        let message = Message::GetCertificates(VoteKind::Lock, Vec::new());
        say(&sender, 1, Standing::Stranger, message, 100_000);
    }
    let mut events = Vec::new();
    assert_eq!(receiver.recv_many(&mut events, 64).await, 1, "one of these is enough");
    let batch = Message::VoteBatch(Released::heard(vote_batch(1, 1)));
    let (sender, mut receiver) = queue(1);
    for _ in 0..100 {
        say(&sender, 1, Standing::Stranger, batch.clone(), 300);
    }
    assert_eq!(receiver.recv_many(&mut events, 64).await, 64);
    drop(sender);
    assert_eq!(receiver.recv_many(&mut events, 64).await, 36);
    assert_eq!(receiver.recv_many(&mut events, 64).await, 0, "it has ended");
    assert!(receiver.recv().await.is_none());
}

#[tokio::test]
async fn a_receiver_that_is_gone_stops_the_senders() {
    let (sender, receiver) = queue(1);
    drop(receiver);
    assert!(!sender.message((key(1), Standing::Stranger), vote(1), 200, Held::default()));
    sender.connected(key(2), ADDRESS.parse().unwrap(), true);
    assert!(sender.shared.state.lock().peers.is_empty());
}

/// INV-NET-24: the last messages of a connection may come behind its end.
#[test]
fn what_comes_behind_the_end_of_a_connection_is_bounded_and_leaves_no_trace() {
    let (sender, mut receiver) = queue(2);
    sender.disconnected(key(1));
    for number in 0..200 {
        say(&sender, 1, Standing::Stranger, vote(number), 100_000);
        assert!(sender.shared.state.lock().left_bytes <= LEFT_BYTES_MAX, "INV-NET-24");
    }
    // Who is still there is not held to that, and of one that is not known any more nothing is kept either.
    say(&sender, 2, Standing::Stranger, vote(1), 100_000);
    say(&sender, 3, Standing::Stranger, vote(1), 100_000);
    let taken = std::iter::from_fn(|| receiver.try_recv());
    let said = taken.filter(|event| matches!(event, NetworkEvent::Message { .. })).count();
    let each = 100_000 + EVENT_BYTES;
    assert_eq!(said, LEFT_BYTES_MAX / each + 1);
    let state = sender.shared.state.lock();
    assert_eq!(state.peers.keys().copied().collect::<Vec<_>>(), [key(2)], "it is still connected");
    assert_eq!((state.turns.len(), state.left_bytes, state.length), (0, 0, 0));
}
