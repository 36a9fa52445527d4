//! Whom a node asks for blocks, when, and when again.

use super::super::peers::REQUEST_TIMEOUT_MS;
use super::super::sync::{SECOND_ASK_MS, SYNC_BYTES_MAX};
use super::pulled::{ahead, asked, hear_from, stranger};
use super::*;
use crate::network::PeerId;
use crate::types::codec::encode;

/// INV-SYNC-2: two of each peer, sixteen in all.
#[test]
fn ranges_are_asked_of_several_peers_and_none_twice() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let get = |from, count| Message::GetBlocks { from, count };
    node.hear(ahead(&node, 1_000));
    assert_eq!(asked(&mut node), [(peer(), get(1, 64)), (peer(), get(65, 64))], "of one peer two at most");
    let others: Vec<PeerId> = (1..=8).map(stranger).collect();
    for (nth, other) in (1..).zip(&others) {
        node.feed(Event::PeerConnected(*other));
        let far = ahead(&node, 2_000);
        hear_from(&mut node, *other, far);
        let first = 1 + 128 * nth;
        let two = vec![(*other, get(first, 64)), (*other, get(first + 64, 64))];
        assert_eq!(asked(&mut node), if nth < 8 { two } else { Vec::new() }, "sixteen in all");
    }
    // What one that left was asked for goes to another.
    node.feed(Event::PeerDisconnected(peer()));
    let far = ahead(&node, 2_000);
    hear_from(&mut node, others[7], far);
    assert_eq!(asked(&mut node), [(others[7], get(1, 64)), (others[7], get(65, 64))]);
}

/// A node that is far behind never waits for a clock to ask for more.
#[test]
fn with_the_blocks_of_a_range_the_next_one_is_asked_for() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 10_000);
    node.hear(ahead(&node, 1_000));
    asked(&mut node);
    let blocks = (1..=64).map(|height| Released::heard(chain.grow(START_MS + height).committed)).collect();
    node.hear(Message::Blocks(blocks));
    assert_eq!(node.consensus.state().height(), 64);
    assert_eq!(asked(&mut node), [(peer(), Message::GetBlocks { from: 129, count: 64 })]);
}

/// INV-SYNC-2, INV-SYNC-4: what later blocks take of the store is no reason to stand still, nor to take one block at a time.
#[test]
fn what_everything_waits_for_is_asked_for_and_taken_though_the_store_is_full() {
    let mut chain = Chain::new();
    let blocks: Vec<_> =
        (1..=64).map(|height| Released::heard(chain.grow(START_MS + height).committed)).collect();
    let junk = |memo: usize| {
        let body = Transaction::transfer(Vec::new(), Vec::new(), vec![7; memo]);
        let mut block = (*blocks[0]).clone();
        block.block.header.height = 129;
        block.block.transactions = vec![Arc::new(body)];
        block
    };
    let head = encode(&junk(SYNC_BYTES_MAX >> 1)).len() - (SYNC_BYTES_MAX >> 1);
    for spare in [0, 1_000] {
        let mut node = Node::new(&Chain::new(), &[], START_MS + 10_000);
        let (filler, honest) = (stranger(1), stranger(2));
        for who in [peer(), filler] {
            node.feed(Event::PeerConnected(who));
            let far = ahead(&node, 1_000);
            hear_from(&mut node, who, far);
        }
        let filling = Released::heard(junk(SYNC_BYTES_MAX - head - spare));
        hear_from(&mut node, filler, Message::Blocks(vec![filling]));
        // Who was asked for the next block goes.
        node.feed(Event::PeerDisconnected(peer()));
        asked(&mut node);
        node.feed(Event::PeerConnected(honest));
        let far = ahead(&node, 1_000);
        hear_from(&mut node, honest, far);
        assert_eq!(asked(&mut node)[0], (honest, Message::GetBlocks { from: 1, count: 64 }), "{spare}");
        hear_from(&mut node, honest, Message::Blocks(blocks.clone()));
        node.consensus.check_invariants().unwrap();
        assert_eq!(node.consensus.state().height(), 64, "later ones make room: {spare}");
    }
}

/// What nobody vouches for any more takes no room.
#[test]
fn blocks_of_a_peer_that_never_delivered_go_with_it() {
    let chain = Chain::new();
    let mut later = chain.clone().grow(START_MS + 1).committed;
    later.block.header.height = 65;
    let mut node = Node::new(&chain, &[], START_MS + 10_000);
    node.hear(ahead(&node, 1_000));
    node.hear(Message::Blocks(vec![Released::heard(later)]));
    asked(&mut node);
    node.feed(Event::PeerDisconnected(peer()));
    let other = stranger(1);
    node.feed(Event::PeerConnected(other));
    let far = ahead(&node, 1_000);
    hear_from(&mut node, other, far);
    let get = |from| (other, Message::GetBlocks { from, count: 64 });
    assert_eq!(asked(&mut node), [get(1), get(65)]);
}

/// INV-SYNC-4, INV-SYNC-6: names are free, so the lowest has no advantage, nor who comes anew.
#[test]
fn silent_peers_that_hold_all_ranges_cost_a_moment_and_newcomers_come_last() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let low = |nth: u8| crate::types::PublicKey([nth; 32]);
    let say = |node: &mut Node, who: PeerId| {
        node.feed(Event::PeerConnected(who));
        let far = ahead(node, 2_000);
        hear_from(node, who, far);
    };
    (100..108).for_each(|nth| say(&mut node, low(nth)));
    assert_eq!(asked(&mut node).len(), 16, "all ranges are theirs");
    say(&mut node, peer());
    (0..8).for_each(|nth| say(&mut node, low(nth)));
    assert_eq!(asked(&mut node), []);
    node.now_ms += SECOND_ASK_MS;
    node.feed(Event::Tick);
    node.consensus.check_invariants().unwrap();
    assert_eq!(asked(&mut node), [(peer(), Message::GetBlocks { from: 1, count: 64 })]);
    for _ in 0..20 {
        node.now_ms += SECOND_ASK_MS;
        node.feed(Event::Tick);
        node.consensus.check_invariants().unwrap();
    }
}

/// INV-SYNC-4: who says that it has more than all others is not asked alone.
#[test]
fn a_height_that_one_peer_claims_leaves_the_others_their_turns() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let (honest, other, boaster) = (stranger(1), stranger(3), stranger(2));
    for (who, height) in [(honest, 20), (other, 20), (boaster, 64)] {
        node.feed(Event::PeerConnected(who));
        let far = ahead(&node, height);
        hear_from(&mut node, who, far);
    }
    let get = |from, count| Message::GetBlocks { from, count };
    assert_eq!(asked(&mut node), [(honest, get(1, 20)), (boaster, get(21, 44))]);
    node.feed(Event::PeerDisconnected(honest));
    let far = ahead(&node, 20);
    hear_from(&mut node, other, far);
    assert_eq!(asked(&mut node), [(other, get(1, 20))], "who has waited longest");
    // The other way round it is asked again, of what the other one has.
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    for (who, height) in [(boaster, 64), (honest, 20)] {
        node.feed(Event::PeerConnected(who));
        let far = ahead(&node, height);
        hear_from(&mut node, who, far);
    }
    assert_eq!(asked(&mut node), [(boaster, get(1, 64))]);
    node.now_ms += SECOND_ASK_MS;
    node.feed(Event::Tick);
    assert_eq!(asked(&mut node), [(honest, get(1, 20))]);
}

/// Its last block is the one that a peer is likely to be about to get.
#[test]
fn who_is_one_block_behind_asks_when_its_patience_is_over_and_anew_each_time() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    for height in [1, 2] {
        let status = ahead(&node, height);
        for (wait_ms, is_over) in [(0, false), (299, false), (1, true)] {
            node.now_ms += wait_ms;
            node.hear(status.clone());
            assert_eq!(!asked(&mut node).is_empty(), is_over, "height {height}, {wait_ms} ms later");
            assert!(!node.consensus.is_syncing(), "that block is being decided");
        }
        let time = START_MS + height;
        let block = chain.grow(time).committed;
        node.hear(Message::Blocks(vec![Released::heard(block)]));
        assert_eq!(node.consensus.state().height(), height);
        // Nobody is ahead any more.
        let level = Message::Status(node.consensus.status());
        node.hear(level);
        asked(&mut node);
    }
}

/// INV-SYNC-3: who delivered is believed, and one block is no backlog.
#[test]
fn a_node_is_syncing_when_a_proven_peer_has_more_than_the_next_block() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1_000);
    node.hear(ahead(&node, 2));
    let blocks = (1..=2).map(|height| Released::heard(chain.grow(START_MS + height).committed)).collect();
    node.hear(Message::Blocks(blocks));
    assert_eq!(node.consensus.state().height(), 2);
    for (height, is_syncing) in [(3, false), (4, true)] {
        node.hear(ahead(&node, height));
        assert_eq!((node.consensus.sync_target(), node.consensus.is_syncing()), (height, is_syncing));
    }
}

/// A peer that fails is left alone for longer each time, but for no longer than until nobody else is left.
#[test]
fn who_fails_to_deliver_is_asked_again_later_each_time_while_others_are_there() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let (bad, good) = (peer(), stranger(1));
    let is_asked = |node: &mut Node, whom: PeerId| asked(node).iter().any(|(to, _)| *to == whom);
    node.hear(ahead(&node, 500));
    assert!(is_asked(&mut node, bad));
    node.feed(Event::PeerConnected(good));
    for (failure, avoided_ms) in [(1, 10_000), (2, 20_000), (3, 40_000)] {
        // An empty answer: it has nothing of what it said.
        node.hear(Message::Blocks(Vec::new()));
        asked(&mut node);
        let since = node.now_ms;
        while !{
            let status = ahead(&node, 500);
            hear_from(&mut node, good, status.clone());
            hear_from(&mut node, bad, status);
            is_asked(&mut node, bad)
        } {
            // The other one fails as well, and is forgiven: it is asked again and again.
            node.feed(Event::PeerDisconnected(good));
            node.feed(Event::PeerConnected(good));
            let status = ahead(&node, 500);
            hear_from(&mut node, good, status);
            asked(&mut node);
            node.now_ms += 100;
            assert!(node.now_ms - since <= avoided_ms, "failure {failure}");
        }
        assert_eq!(node.now_ms - since, avoided_ms, "failure {failure}");
    }
}

/// INV-SYNC-4: whoever keeps it back costs a moment and not its whole time.
#[test]
fn what_everything_waits_for_is_soon_asked_of_another_peer_as_well_and_counts_once() {
    let mut chain = Chain::new();
    let blocks: Vec<_> =
        (1..=64).map(|height| Released::heard(chain.grow(START_MS + height).committed)).collect();
    let mut node = Node::new(&Chain::new(), &[], START_MS + 10_000);
    let (slow, other) = (peer(), stranger(1));
    let far = ahead(&node, 64);
    node.hear(far.clone());
    node.feed(Event::PeerConnected(other));
    asked(&mut node);
    let first = Message::GetBlocks { from: 1, count: 64 };
    for (wait_ms, expected) in [(SECOND_ASK_MS - 1, None), (1, Some((other, first))), (SECOND_ASK_MS, None)] {
        node.now_ms += wait_ms;
        hear_from(&mut node, other, far.clone());
        assert_eq!(asked(&mut node), Vec::from_iter(expected), "of one other, once");
    }
    // A part comes from the one, and then all of it from the other.
    hear_from(&mut node, other, Message::Blocks(blocks[..10].to_vec()));
    node.hear(Message::Blocks(blocks));
    node.consensus.check_invariants().unwrap();
    assert_eq!(node.consensus.state().height(), 64);
    // Both answered in time, so both are asked on.
    let far = ahead(&node, 1_000);
    hear_from(&mut node, slow, far);
    assert!(asked(&mut node).iter().any(|(to, _)| *to == slow));
}

/// What is late is not waited for any longer, and not a moment less.
#[test]
fn who_does_not_answer_within_its_time_is_asked_no_more_while_others_are_there() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let silent = peer();
    let far = ahead(&node, 2_000);
    node.hear(far.clone());
    let get = |from| Message::GetBlocks { from, count: 64 };
    assert_eq!(asked(&mut node), [(silent, get(1)), (silent, get(65))]);
    // The first range is asked for again early, the second one only when its time is over.
    for (nth, wait_ms, expected) in [(1, REQUEST_TIMEOUT_MS - 1, [1, 129]), (2, 1, [65, 193])] {
        node.now_ms += wait_ms;
        node.feed(Event::PeerConnected(stranger(nth)));
        hear_from(&mut node, stranger(nth), far.clone());
        assert_eq!(asked(&mut node), expected.map(|from| (stranger(nth), get(from))));
    }
    node.hear(far);
    assert_eq!(asked(&mut node), [], "it is left alone");
}

/// The block that is being written is here already.
#[test]
fn a_node_that_writes_a_block_asks_for_those_behind_it() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1);
    let (block, _) = chain.block(START_MS + 1, false, &[]);
    node.hear(chain.proposal(&block));
    for place in node.others().collect::<Vec<_>>() {
        let message = node.block_vote(place, VoteStep::Precommit, Some(block.header.hash()));
        let _not_written = node.order(Event::Message { from: peer(), message, verified: false });
    }
    node.hear(ahead(&node, 10));
    assert_eq!(asked(&mut node), [(peer(), Message::GetBlocks { from: 2, count: 9 })]);
}

#[test]
fn blocks_out_of_order_are_the_senders_fault() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1_000);
    node.hear(ahead(&node, 3));
    let blocks: Vec<_> =
        (1..=3).map(|height| Released::heard(chain.grow(START_MS + height).committed)).collect();
    let message = Message::Blocks(vec![blocks[0].clone(), blocks[2].clone()]);
    let outputs = node.order(Event::Message { from: peer(), message, verified: false });
    let blames = |output: &Output| matches!(output, Output::Misbehaved(whom, _) if *whom == peer());
    assert!(outputs.iter().any(blames));
}

/// INV-SYNC-1: its sender is blamed, and the block is fetched elsewhere.
#[test]
fn a_block_without_a_valid_commit_is_asked_of_another_peer() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1_000);
    let other = stranger(1);
    let far = ahead(&node, 2);
    node.hear(far.clone());
    node.feed(Event::PeerConnected(other));
    let mut block = chain.grow(START_MS + 1).committed;
    block.commit.signatures = vec![Signature::EMPTY; block.commit.signatures.len()];
    let message = Message::Blocks(vec![Released::heard(block)]);
    let outputs = node.order(Event::Message { from: peer(), message, verified: false });
    let blames = |output: &Output| matches!(output, Output::Misbehaved(whom, _) if *whom == peer());
    assert!(outputs.iter().any(blames));
    asked(&mut node);
    hear_from(&mut node, other, far.clone());
    node.hear(far);
    assert_eq!(asked(&mut node), [(other, Message::GetBlocks { from: 1, count: 2 })]);
}

/// INV-SYNC-3: what it said before it failed counts no more when it is asked again.
#[test]
fn who_failed_once_has_to_deliver_again_before_its_height_is_believed() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1_000);
    node.hear(ahead(&node, 2));
    let blocks = (1..=2).map(|height| Released::heard(chain.grow(START_MS + height).committed)).collect();
    node.hear(Message::Blocks(blocks));
    node.hear(ahead(&node, 50));
    assert!(node.consensus.is_syncing());
    node.hear(Message::Blocks(Vec::new()));
    node.now_ms += 10_000;
    node.hear(ahead(&node, 50));
    assert!(!node.consensus.is_syncing(), "it is asked again, and not believed");
}

/// A connection that begins again begins anew.
#[test]
fn who_failed_and_comes_back_is_asked_at_once() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let other = stranger(1);
    node.feed(Event::PeerConnected(other));
    node.hear(ahead(&node, 500));
    node.hear(Message::Blocks(Vec::new()));
    let far = ahead(&node, 100);
    hear_from(&mut node, other, far);
    asked(&mut node);
    node.hear(ahead(&node, 500));
    assert_eq!(asked(&mut node), [], "it failed a moment ago");
    node.feed(Event::PeerDisconnected(peer()));
    node.feed(Event::PeerConnected(peer()));
    node.hear(ahead(&node, 500));
    assert!(asked(&mut node).iter().any(|(to, _)| *to == peer()));
}
