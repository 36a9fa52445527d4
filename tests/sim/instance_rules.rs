//! What a node does that asks before it signs: for itself, for others, and when there are two of it.

use std::sync::Arc;

use timed::consensus::events::{Event, Signing};
use timed::consensus::instances::LISTEN_MS;
use timed::types::heartbeat::Heartbeat;
use timed::types::instance::{Acknowledged, InstanceId, InstanceStatement};
use timed::types::{BlockVote, Message, Signature, SignerBitmap, VoteStep};

use crate::heard::heard;
use crate::one_node::{ME, OneNode, peer};
use crate::plan::{START_MS, operator};

/// A network of four that has blocks, in which the node has just been started again.
fn restarted() -> OneNode {
    let mut one = OneNode::new(&[1, 2, 3]);
    one.node.listen_ms = LISTEN_MS;
    one.commit_until(2);
    restart(&mut one);
    one
}

fn restart(one: &mut OneNode) {
    one.crash();
    one.start();
    one.relayed.clear();
    one.sent.clear();
    one.published.clear();
    for number in [1, 2, 3] {
        one.feed(Event::PeerConnected(peer(number)));
    }
    one.wait(50);
}

fn statements(one: &OneNode) -> Vec<Arc<InstanceStatement>> {
    let statement = |message: &Message| match message {
        Message::Instance(statement) => Some(Arc::clone(statement)),
        _ => None,
    };
    let sent = one.sent.iter().map(|(_, message)| message);
    one.relayed.iter().chain(sent).filter_map(statement).collect()
}

/// What the node last said of itself.
fn last(one: &OneNode) -> Arc<InstanceStatement> {
    let mine = one.member(ME);
    // What the tests make up under the same key has larger numbers.
    let is_own = |it: &Arc<InstanceStatement>| it.validator == mine && it.seq < START_MS;
    let own = statements(one).into_iter().filter(is_own);
    own.max_by_key(|statement| (statement.instance.attempt, statement.seq)).expect("it said something")
}

fn other(number: u8) -> InstanceId {
    InstanceId { start: [number; 16], attempt: 0 }
}

fn say(one: &mut OneNode, by: usize, change: impl FnOnce(&mut InstanceStatement)) {
    let mut statement = InstanceStatement {
        validator: one.member(by),
        epoch: one.state().next_epoch(),
        instance: other(by as u8 + 1),
        // The clock ascends.
        seq: one.now_ms,
        asks: false,
        rivals: Vec::new(),
        acknowledged: Vec::new(),
        signature: Signature::EMPTY,
    };
    change(&mut statement);
    let statement = statement.signed(one.state().chain_id(), &operator(by));
    one.hear(1, Message::Instance(Arc::new(statement)));
}

fn acknowledge(one: &mut OneNode, by: usize, instance: InstanceId) {
    let validator = one.member(ME);
    say(one, by, |it| it.acknowledged = vec![Acknowledged { validator, instance }]);
    one.wait(50);
}

fn signing(one: &OneNode) -> Signing {
    one.running().consensus.signing()
}

/// Lets time pass in which peers go on talking.
fn wait_among_peers(one: &mut OneNode, ms: u64) {
    for _ in 0..ms / 250 {
        one.wait(250);
        let status = one.status();
        one.hear(1, Message::Status(status));
    }
}

#[test]
fn a_restarted_node_signs_once_a_quorum_has_acknowledged_it() {
    let mut one = restarted();
    let asked = last(&one);
    assert!(asked.asks && asked.acknowledged.is_empty() && asked.rivals.is_empty());
    acknowledge(&mut one, 1, asked.instance);
    acknowledge(&mut one, 2, asked.instance);
    // Two of four; its own weight counts when the window is over.
    wait_among_peers(&mut one, LISTEN_MS - 500);
    assert!(one.published.is_empty() && matches!(signing(&one), Signing::Listening { .. }));
    wait_among_peers(&mut one, 1_000);
    assert_eq!(signing(&one), Signing::Allowed);
    wait_among_peers(&mut one, 2_000);
    assert!(!one.published.is_empty());
    assert!(!last(&one).asks || last(&one).seq < 10, "it asks no more");
}

/// What its journal says of the height is for the machine that signs, not for the one that only looks on.
#[test]
fn a_restarted_node_that_has_to_ask_first_is_locked_as_it_was() {
    let mut one = OneNode::new(&[1, 2, 3]);
    one.node.listen_ms = LISTEN_MS;
    one.commit_until(2);
    let locked = |one: &OneNode| one.running().consensus.bft().locked();
    while locked(&one).is_none() {
        one.wait(600);
        // Its own block has a quorum's prevotes, and is not decided.
        let precommits: &[usize] = if one.is_proposer() { &[] } else { &[1, 2, 3] };
        one.vote_round(true, precommits);
    }
    let before = locked(&one);
    restart(&mut one);
    assert!(matches!(signing(&one), Signing::Listening { .. }));
    let asked = last(&one);
    for by in [1, 2, 3] {
        acknowledge(&mut one, by, asked.instance);
    }
    assert_eq!((signing(&one), locked(&one)), (Signing::Allowed, before));
}

#[test]
fn three_others_are_a_quorum_at_once() {
    let mut one = restarted();
    let asked = last(&one);
    for by in [1, 2, 3] {
        acknowledge(&mut one, by, asked.instance);
    }
    assert_eq!(signing(&one), Signing::Allowed);
}

#[test]
fn acknowledgements_of_an_earlier_start_count_nothing() {
    let mut one = restarted();
    let earlier = last(&one).instance;
    restart(&mut one);
    assert_ne!(last(&one).instance, earlier);
    for by in [1, 2, 3] {
        acknowledge(&mut one, by, earlier);
    }
    wait_among_peers(&mut one, 3 * LISTEN_MS);
    assert!(one.published.is_empty() && matches!(signing(&one), Signing::Listening { .. }));
}

#[test]
fn a_listening_node_acknowledges_others() {
    let mut one = restarted();
    for _ in 0..=LISTEN_MS / 500 {
        assert!(last(&one).acknowledged.is_empty());
        say(&mut one, 2, |it| it.asks = true);
        one.wait(500);
    }
    say(&mut one, 2, |it| it.asks = true);
    one.wait(500);
    let expected = Acknowledged { validator: one.member(2), instance: other(3) };
    assert_eq!(last(&one).acknowledged, [expected]);
    assert!(one.published.is_empty(), "it signs nothing yet");
}

#[test]
fn two_live_starts_of_one_key_are_told_and_sign_nothing() {
    for is_signing in [false, true] {
        let mut one = restarted();
        let mine = last(&one).instance;
        if is_signing {
            for by in [1, 2, 3] {
                acknowledge(&mut one, by, mine);
            }
        }
        let before = signing(&one);
        // An earlier start, or another one: it is asked.
        say(&mut one, ME, |it| (it.instance, it.asks) = (other(77), true));
        one.wait(500);
        assert_eq!(last(&one).rivals, [other(77)]);
        assert_eq!(std::mem::discriminant(&signing(&one)), std::mem::discriminant(&before));
        // It lives.
        say(&mut one, ME, |it| (it.instance, it.rivals) = (other(77), vec![mine]));
        assert_eq!(signing(&one), Signing::KeyCopied);
        one.published.clear();
        wait_among_peers(&mut one, 2 * LISTEN_MS);
        assert!(one.published.is_empty());
        // Whoever starts again while it still runs is told.
        say(&mut one, ME, |it| (it.instance, it.asks) = (other(78), true));
        one.wait(500);
        assert!(last(&one).rivals.contains(&other(78)));
    }
}

fn heartbeat(one: &OneNode, instance: InstanceId, time_ms: u64) -> Message {
    let heartbeat = Heartbeat {
        validator: one.member(ME),
        instance,
        epoch: one.state().next_epoch(),
        height: one.state().height(),
        next_seq: 0,
        time_ms,
        heard: SignerBitmap::empty(4),
        signature: Signature::EMPTY,
    };
    Message::Heartbeat(heard(&heartbeat.signed(one.state().chain_id(), &operator(ME))))
}

#[test]
fn an_own_heartbeat_of_a_time_when_the_clock_was_ahead_is_no_copy() {
    let mut one = restarted();
    let mine = last(&one).instance;
    for by in [1, 2, 3] {
        acknowledge(&mut one, by, mine);
    }
    wait_among_peers(&mut one, 6_000);
    let ahead_ms = one.now_ms + 10_000_000;
    let message = heartbeat(&one, other(9), ahead_ms);
    one.hear(1, message);
    one.wait(500);
    assert_eq!(last(&one).rivals, [other(9)], "the other start is asked whether it lives");
    wait_among_peers(&mut one, 2_000);
    assert_eq!(signing(&one), Signing::Allowed);
}

#[test]
fn who_stood_still_asks_again_and_keeps_its_promises() {
    let mut one = restarted();
    let mine = last(&one).instance;
    for by in [1, 2, 3] {
        acknowledge(&mut one, by, mine);
    }
    wait_among_peers(&mut one, 1_000);
    let payment = one.pay(one.payment(1)).txid();
    one.wait(50);
    one.published.clear();
    // A suspended machine: the next event comes late, and its timers with it.
    one.now_ms += 3_000;
    one.pay(one.payment(2));
    wait_among_peers(&mut one, 1_000);
    assert!(one.published.is_empty(), "another one may have been acknowledged");
    let again = InstanceId { attempt: 1, ..mine };
    assert!(last(&one).asks && last(&one).instance == again);
    for by in [1, 2, 3] {
        acknowledge(&mut one, by, mine);
    }
    assert!(matches!(signing(&one), Signing::Listening { .. }), "of the attempt before");
    for by in [1, 2, 3] {
        acknowledge(&mut one, by, again);
    }
    assert_eq!(signing(&one), Signing::Allowed);
    wait_among_peers(&mut one, 1_000);
    let votes_for_rival = one.published.iter().any(|message| match message {
        Message::VoteBatch(batch) => batch.votes.iter().any(|vote| vote.txid != payment),
        _ => false,
    });
    assert!(!votes_for_rival, "it has locked the coin");
}

#[test]
fn a_node_that_hears_nobody_asks_again() {
    let mut one = restarted();
    let mine = last(&one).instance;
    for by in [1, 2, 3] {
        acknowledge(&mut one, by, mine);
    }
    one.wait(1_500);
    assert_eq!(signing(&one), Signing::Allowed);
    one.wait(1_500);
    assert!(matches!(signing(&one), Signing::Listening { .. }));
    one.published.clear();
    one.wait(5_000);
    assert!(one.published.is_empty());
}

#[test]
fn the_first_start_of_a_new_network_asks_nobody() {
    let mut one = OneNode::new(&[]);
    one.node.listen_ms = LISTEN_MS;
    one.crash();
    one.node.disk = timed::storage::memory_disk::MemoryDisk::new();
    one.start();
    assert_eq!(signing(&one), Signing::Allowed);
}

#[test]
fn who_finds_blocks_where_it_knew_of_none_asks() {
    let mut one = OneNode::new(&[1, 2, 3]);
    one.node.listen_ms = LISTEN_MS;
    one.commit_until(2);
    one.crash();
    one.node.wipe_chain();
    one.node.disk = timed::storage::memory_disk::MemoryDisk::new();
    one.start();
    assert_eq!(signing(&one), Signing::Allowed, "nothing on its disk says that the network is not new");
    one.published.clear();
    one.sync_from(1);
    assert!(matches!(signing(&one), Signing::Listening { .. }));
}

/// INV-BLOCKS-PAST-1.
#[test]
fn a_late_vote_under_the_own_key_is_a_copys_unless_the_journal_has_it() {
    for restarts in [false, true] {
        let mut one = OneNode::new(&[1, 2, 3]);
        one.commit_until(1);
        assert_eq!(one.state().next_epoch(), 0, "the block is of the epoch that goes on");
        if restarts {
            one.crash();
            one.start();
        }
        let own: Vec<Message> = one.published.clone();
        assert!(own.iter().any(|message| matches!(message, Message::BlockVote(vote) if vote.height == 1)));
        for message in own {
            one.hear(1, message);
        }
        one.wait(50);
        assert_eq!(signing(&one), Signing::Allowed, "it said all that itself");
        let Message::BlockVote(vote) = one.vote(ME, VoteStep::Precommit, 7, None) else { unreachable!() };
        let mut vote = BlockVote::clone(&vote);
        vote.height = 1;
        let forged = vote.clone();
        one.tolerates_blame = true;
        one.hear(1, Message::BlockVote(heard(&forged)));
        assert_eq!(signing(&one), Signing::Allowed, "a stranger made it");
        let vote = vote.signed(one.state().chain_id(), &operator(ME));
        one.hear(1, Message::BlockVote(heard(&vote)));
        // A restarted node does not know what it said at heights that were over: others have to tell it of a copy.
        let expected = if restarts { Signing::Allowed } else { Signing::KeyCopied };
        assert_eq!(signing(&one), expected);
    }
}
