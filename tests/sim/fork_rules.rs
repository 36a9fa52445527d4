//! What one node makes of a peer whose chain parted from its own.

use std::sync::Arc;

use timed::consensus::events::{Event, Signing};
use timed::storage::journal::JournalRecord;
use timed::types::message::NodeStatus;
use timed::types::{CommittedBlock, Message, Released, Transaction, VoteStep};

use crate::heard::heard;
use crate::one_node::{OneNode, peer};

/// Everybody lets the next own proposal pass at once, and no other.
fn next_block(one: &mut OneNode) {
    let height = one.state().height();
    one.wait(510);
    while one.state().height() == height {
        let round = one.running().consensus.bft().round();
        let value = one.proposal(round).map(|proposal| proposal.block.header.hash());
        for step in [VoteStep::Prevote, VoteStep::Precommit] {
            for by in [1, 2, 3] {
                if one.state().height() == height {
                    let vote = one.vote(by, step, round, value);
                    one.hear(1, vote);
                }
            }
            one.wait(5);
        }
        one.wait(260);
    }
}

/// Two chains of four blocks that part at the second: the epoch of the one ended with the third, that of the other goes
/// on.
fn parted() -> (OneNode, OneNode) {
    let (mut ended, mut goes_on) = (OneNode::new(&[1, 2, 3]), OneNode::new(&[1, 2, 3]));
    next_block(&mut ended);
    ended.wait(4_000);
    (0..3).for_each(|_| next_block(&mut ended));
    (0..4).for_each(|_| next_block(&mut goes_on));
    assert_eq!((ended.state().height(), ended.state().next_epoch()), (4, 1));
    assert_eq!((goes_on.state().height(), goes_on.state().next_epoch()), (4, 0));
    (ended, goes_on)
}

/// A peer with another chain says so, and gives what it is asked for; how often it is asked.
fn meet(one: &mut OneNode, chain: &[Released<CommittedBlock>]) -> usize {
    let mut requests = 0;
    let header = &chain.last().expect("blocks").block.header;
    let (height, tip, epoch) = (header.height, header.hash(), header.epoch);
    for _ in 0..20 {
        one.sent.clear();
        let status = NodeStatus { height, tip, epoch, ..one.status() };
        one.hear(2, Message::Status(status));
        one.wait(250);
        while let Some((to, message)) = one.sent.pop() {
            if let (true, Message::GetBlocks { from, count }) = (to == peer(2), message) {
                requests += 1;
                let blocks = chain.iter().skip(from as usize - 1).take(count as usize);
                one.hear(2, Message::Blocks(blocks.cloned().collect()));
            }
        }
    }
    requests
}

/// The operator decides for the chain that the node has, and starts it again.
fn acknowledge(one: &mut OneNode) {
    let fork = one.running().consensus.fork().cloned().expect("a fork");
    one.crash();
    one.node.write_to_journal(&one.genesis, JournalRecord::ForkAcknowledged(fork));
    one.start();
    [1, 2, 3].into_iter().for_each(|number| one.feed(Event::PeerConnected(peer(number))));
    assert_eq!(one.running().consensus.signing(), Signing::Allowed);
}

#[test]
fn a_fork_is_found_by_the_side_whose_epoch_has_ended() {
    let (mut ended, goes_on) = parted();
    meet(&mut ended, &goes_on.chain);
    let fork = ended.running().consensus.fork().expect("a fork");
    assert!(fork.guilty.len() >= 3);
}

#[test]
fn a_fork_is_found_by_the_side_whose_epoch_goes_on() {
    let (mut ended, mut goes_on) = parted();
    next_block(&mut ended);
    meet(&mut goes_on, &ended.chain);
    assert!(goes_on.running().consensus.fork().is_some());
}

/// INV-SYNC-1.
#[test]
fn a_bad_block_is_not_applied_and_is_fetched_elsewhere() {
    let mut source = OneNode::new(&[1, 2, 3]);
    (0..3).for_each(|_| next_block(&mut source));
    let without_commit = |block: &mut CommittedBlock| block.commit.signatures[0].0[0] ^= 1;
    let with_another_body = |block: &mut CommittedBlock| {
        block.block.transactions.push(Arc::new(Transaction::transfer(Vec::new(), Vec::new(), Vec::new())));
    };
    let spoil: [&dyn Fn(&mut CommittedBlock); 2] = [&without_commit, &with_another_body];
    for (nth, spoil) in spoil.into_iter().enumerate() {
        let mut one = OneNode::new(&[1, 2, 3]);
        one.now_ms = source.now_ms;
        one.tolerates_blame = true;
        let spoiled = |block: &Released<CommittedBlock>| {
            let mut block = CommittedBlock::clone(block);
            spoil(&mut block);
            heard(&block)
        };
        let chain: Vec<_> = source.chain.iter().map(spoiled).collect();
        meet(&mut one, &chain);
        assert_eq!(one.state().height(), 0, "{nth}");
        assert!(!one.blamed.is_empty() && one.blamed.iter().all(|(who, _)| *who == peer(2)), "{nth}");
        one.chain.clone_from(&source.chain);
        one.sync_from(3);
        assert_eq!(one.state().tip_hash(), source.state().tip_hash(), "{nth}");
    }
}

/// INV-FORK-1.
#[test]
fn a_longer_chain_without_commits_is_no_fork() {
    let (mut ended, mut goes_on) = parted();
    next_block(&mut ended);
    let uncommitted = |block: &Released<CommittedBlock>| {
        let mut block = CommittedBlock::clone(block);
        block.commit.signatures.iter_mut().for_each(|signature| signature.0[0] ^= 1);
        heard(&block)
    };
    let chain: Vec<_> = ended.chain.iter().map(uncommitted).collect();
    goes_on.tolerates_blame = true;
    meet(&mut goes_on, &chain);
    assert!(goes_on.running().consensus.fork().is_none());
    assert_eq!(goes_on.blamed.first().map(|(peer, _)| *peer), Some(peer(2)));
}

#[test]
fn a_fork_after_one_that_was_decided_on_is_found() {
    let (mut one, decided) = parted();
    meet(&mut one, &decided.chain);
    acknowledge(&mut one);
    (0..3).for_each(|_| next_block(&mut one));
    let mut other = OneNode::new(&[1, 2, 3]);
    other.now_ms = one.now_ms;
    other.chain.clone_from(&one.chain);
    other.sync_from(1);
    let common = one.state().height();
    assert_eq!(other.state().tip_hash(), one.state().tip_hash());
    other.wait(100);
    // Nothing is heard of the others until they have built on their first block.
    (0..3).for_each(|_| next_block(&mut one));
    (0..3).for_each(|_| next_block(&mut other));
    meet(&mut one, &other.chain);
    let fork = one.running().consensus.fork().expect("a second fork");
    let shown = fork.ours.0.height;
    assert!(shown > common, "not the one that was decided on");
    assert_eq!(fork.theirs.1.block_hash, other.chain[shown as usize - 1].block.header.hash());
}

#[test]
fn the_other_side_of_a_fork_that_was_decided_on_may_grow() {
    let (mut one, mut decided) = parted();
    meet(&mut one, &decided.chain);
    acknowledge(&mut one);
    let mut requests = 0;
    for round in 0..12 {
        // That chain gets ahead, and is caught up with.
        let (more, less) = if round % 2 == 1 { (&mut one, &mut decided) } else { (&mut decided, &mut one) };
        (0..4).for_each(|_| next_block(more));
        next_block(less);
        requests += meet(&mut one, &decided.chain);
        let core = &one.running().consensus;
        assert!(core.fork().is_none() && !core.is_syncing());
        assert_eq!(core.signing(), Signing::Allowed);
    }
    assert!(requests <= 2, "asked {requests} times");
}
