//! What a quorum's signatures are not enough for: another block than the operator's checkpoint, and a past that is too long.

use super::super::trust::ChainTrust;
use super::*;
use crate::types::Checkpoint;
use crate::types::message::NodeStatus;

const AWAY_MAX_MS: u64 = 1_000;

fn blocks(count: u64) -> (Chain, Vec<LoggedBlock>) {
    let mut chain = Chain::new();
    let blocks = (1..=count).map(|height| chain.grow(START_MS + height)).collect();
    (chain, blocks)
}

fn checkpoint(block: &LoggedBlock) -> Option<Checkpoint> {
    Some(Checkpoint::of(&block.committed.block.header))
}

/// A node at the first block of a chain, which asks a peer for later ones.
fn node_with(trust: ChainTrust, blocks: &[LoggedBlock], now_ms: TimeMs) -> Node {
    let mut node = Node::new(&Chain::new(), blocks, now_ms);
    node.consensus.chain.rely_on(trust);
    node.consensus.signer.take_seat(&node.consensus.chain);
    node
}

/// The height that it comes to when a peer says that it has these blocks and gives what is asked for; whether any are.
fn syncs(node: &mut Node, blocks: &[LoggedBlock]) -> (Height, bool) {
    let last = &blocks.last().unwrap().committed.block.header;
    let (height, tip) = (last.height, last.hash());
    let far = NodeStatus { height, tip, ..node.consensus.status() };
    let outputs = node.order(Event::Message { from: peer(), message: Message::Status(far), verified: false });
    let asks = |output: &Output| matches!(output, Output::Send(_, Message::GetBlocks { .. }));
    let has_asked = outputs.iter().any(asks);
    let given = blocks.iter().map(|block| Released::heard(block.committed.clone())).collect();
    node.hear(Message::Blocks(given));
    (node.consensus.state().height(), has_asked)
}

/// INV-TRUST-1.
#[test]
fn no_other_block_takes_the_checkpoints_place_although_a_quorum_signed_it() {
    let (_, right) = blocks(4);
    let mut chain = Chain::new();
    let false_ones: Vec<_> = (1..=4).map(|height| chain.grow(START_MS + 100 * height)).collect();
    let trust = ChainTrust { checkpoint: checkpoint(&right[2]), away_max_ms: None };
    let mut node = node_with(trust, &[], START_MS + 1_000_000);
    assert_eq!(syncs(&mut node, &right), (4, true));
    let mut node = node_with(trust, &[], START_MS + 1_000_000);
    assert_eq!(syncs(&mut node, &false_ones), (2, true));
    // Nor one that is decided before its eyes.
    let (mut chain, before) = blocks(2);
    let mut node = node_with(trust, &before, START_MS + 1_000_000);
    let (block, _) = chain.block(START_MS + 500, false, &[]);
    node.hear(chain.proposal(&block));
    for step in [VoteStep::Prevote, VoteStep::Precommit] {
        node.hear_block_votes(step, block.header.hash());
    }
    assert_eq!(node.consensus.state().height(), 2);
    // The right one is taken from a peer after that.
    node.now_ms += 100_000;
    let right = [chain.grow(START_MS + 3), chain.grow(START_MS + 4)];
    assert_eq!(syncs(&mut node, &right), (4, true));
}

/// INV-TRUST-2.
#[test]
fn a_node_that_was_away_too_long_asks_for_nothing_and_takes_nothing_without_a_checkpoint() {
    let (mut chain, had) = blocks(2);
    let old_ms = chain.state.tip_time() + AWAY_MAX_MS + 1;
    let mut later = vec![chain.grow(START_MS + 3), chain.grow(START_MS + 4)];
    later.extend([0, 1].map(|after| chain.grow(old_ms + after)));
    let trust = |checkpoint| ChainTrust { checkpoint, away_max_ms: Some(AWAY_MAX_MS) };
    let mut in_time = node_with(trust(None), &had, old_ms - 1);
    assert_eq!(syncs(&mut in_time, &later), (6, true));
    let mut late = node_with(trust(None), &had, old_ms);
    assert_eq!(syncs(&mut late, &later), (2, false));
    // What follows the checkpoint is taken if that one is young itself.
    let mut late = node_with(trust(checkpoint(&later[1])), &had, old_ms);
    assert_eq!(syncs(&mut late, &later), (6, true));
    let mut late = node_with(trust(checkpoint(&later[0])), &had, old_ms + AWAY_MAX_MS);
    assert_eq!(
        syncs(&mut late, &later),
        (3, true),
        "block 3 is too old for what follows it, whatever its time"
    );
}

/// INV-TRUST-2: a node that runs is not away, and on a chain that stands still nobody leaves.
#[test]
fn a_chain_that_stood_still_goes_on_for_whom_it_was_young_once() {
    let (mut chain, had) = blocks(2);
    let trust = ChainTrust { checkpoint: None, away_max_ms: Some(AWAY_MAX_MS) };
    let old_ms = chain.state.tip_time() + 10 * AWAY_MAX_MS;
    let mut node = node_with(trust, &had, chain.state.tip_time());
    node.now_ms = old_ms;
    node.decide(&mut chain, old_ms, false, &[]);
    let mut follower = node_with(trust, &had, START_MS + 2);
    follower.now_ms = old_ms;
    let (mut chain, _) = blocks(2);
    let later = [chain.grow(old_ms), chain.grow(old_ms + 1)];
    assert_eq!(syncs(&mut follower, &later), (4, true));
}

/// INV-TRUST-3.
#[test]
fn another_chain_below_the_checkpoint_is_no_fork() {
    let (chain, had) = blocks(2);
    let (_, all) = blocks(4);
    let mut other = Chain::new();
    let theirs: Vec<_> = (1..=4).map(|height| other.grow(START_MS + 100 * height)).collect();
    for (named, is_fork) in [(&all[3], false), (&all[1], true)] {
        let trust = ChainTrust { checkpoint: checkpoint(named), away_max_ms: None };
        let mut node = node_with(trust, &had, chain.state.tip_time());
        for step in 0..20 {
            let status = NodeStatus {
                height: 4,
                tip: theirs[3].committed.block.header.hash(),
                ..node.consensus.status()
            };
            node.hear(Message::Status(status));
            node.now_ms += 500 * step;
            let asked: Vec<(Height, u64)> = std::mem::take(&mut node.around.sent)
                .into_iter()
                .filter_map(|message| match message {
                    Message::GetBlocks { from, count } => Some((from, count)),
                    _ => None,
                })
                .collect();
            for (from, count) in asked {
                let given = theirs
                    .iter()
                    .filter(|block| (from..from + count).contains(&block.committed.block.header.height));
                let given = given.map(|block| Released::heard(block.committed.clone())).collect();
                node.hear(Message::Blocks(given));
            }
        }
        assert_eq!(node.consensus.fork().is_some(), is_fork);
    }
}

/// INV-TRUST-2, of a block that others decide while this node listens.
#[test]
fn what_the_old_set_decides_before_the_eyes_of_a_node_that_was_away_is_not_taken() {
    let (chain, had) = blocks(2);
    for (late_ms, height) in [(0, 3), (1, 2)] {
        let now_ms = chain.state.tip_time() + AWAY_MAX_MS + late_ms;
        let trust = ChainTrust { checkpoint: None, away_max_ms: Some(AWAY_MAX_MS) };
        let mut node = node_with(trust, &had, now_ms);
        let (block, _) = chain.block(now_ms, false, &[]);
        node.hear(chain.proposal(&block));
        for step in [VoteStep::Prevote, VoteStep::Precommit] {
            node.hear_block_votes(step, block.header.hash());
        }
        assert_eq!(node.consensus.state().height(), height);
    }
}

/// INV-TRUST-3.
#[test]
fn nothing_is_signed_below_the_checkpoint_and_all_is_from_there_on() {
    let (mut chain, all) = blocks(4);
    let trust = ChainTrust { checkpoint: checkpoint(&all[3]), away_max_ms: None };
    let mut node = node_with(trust, &all[..2], START_MS + 4);
    node.feed(Event::Transaction(chain.payment(0)));
    let (chain_below, _) = blocks(2);
    let (block, _) = chain_below.block(START_MS + 3, false, &[]);
    node.hear(chain_below.proposal(&block));
    let votes = |node: &Node| {
        let is_own = |message: &&Message| matches!(message, Message::VoteBatch(_) | Message::BlockVote(_));
        node.around.said.iter().filter(is_own).count()
    };
    assert_eq!(votes(&node), 0);
    assert_eq!(syncs(&mut node, &all[2..]), (4, true));
    node.feed(Event::Transaction(chain.payment(1)));
    assert!(votes(&node) > 0);
    node.now_ms += 1;
    let now_ms = node.now_ms;
    node.decide(&mut chain, now_ms, false, &[]);
}
