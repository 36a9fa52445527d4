//! Which partings of chains are new forks, and what it takes to tell.

use super::super::events::Signing;
use super::super::peers::{REQUEST_TIMEOUT_MS, STATUS_INTERVAL_MS};
use super::super::sync::forks::APART_MS;
use super::*;
use crate::types::message::NodeStatus;

/// Blocks of each chain.
const TIP: u64 = 12;

/// Too short a time for the epoch to end.
fn grow_to_tip(chain: &mut Chain, shift_ms: u64) -> Vec<LoggedBlock> {
    let heights = chain.state.height() + 1..=TIP;
    heights.map(|height| chain.grow(START_MS + 10 * height + shift_ms)).collect()
}

/// A chain, and for each height the state before it.
struct Trunk {
    blocks: Vec<LoggedBlock>,
    before: Vec<Chain>,
}

impl Trunk {
    fn new() -> Self {
        let (mut chain, mut blocks, mut before) = (Chain::new(), Vec::new(), Vec::new());
        for height in 1..=TIP {
            before.push(chain.clone());
            blocks.push(chain.grow(START_MS + 10 * height));
        }
        Self { blocks, before }
    }

    /// A chain that is another one from this height on.
    fn parted_at(&self, height: Height, shift_ms: u64) -> Vec<LoggedBlock> {
        let same = usize::try_from(height).unwrap() - 1;
        let mut blocks = self.blocks[..same].to_vec();
        blocks.extend(grow_to_tip(&mut self.before[same].clone(), shift_ms));
        blocks
    }

    fn fork_with(&self, other: &[LoggedBlock], height: Height) -> ForkProof {
        let side = |blocks: &[LoggedBlock]| {
            let CommittedBlock { block, commit } = &blocks[usize::try_from(height).unwrap() - 1].committed;
            (block.header.clone(), commit.clone())
        };
        ForkProof::new(self.before[0].state.validators(), side(&self.blocks), side(other))
    }

    /// The node with this chain, whose operator has decided on these.
    fn node(&self, decided: &[ForkProof]) -> Node {
        let records =
            decided.iter().cloned().map(Arc::new).flat_map(|fork| {
                [JournalRecord::Fork(Arc::clone(&fork)), JournalRecord::ForkAcknowledged(fork)]
            });
        Node::with_records(&Chain::new(), &self.blocks, START_MS + 10 * TIP + 1, records.collect())
    }
}

/// A peer says that it has these blocks, and gives those that it is asked for, but at most so many; which these are.
fn meet(node: &mut Node, chain: &[LoggedBlock], most: usize) -> Vec<Height> {
    let header = &chain.last().unwrap().committed.block.header;
    let status = NodeStatus { height: header.height, tip: header.hash(), ..node.consensus.status() };
    let mut given = Vec::new();
    node.around.sent.clear();
    node.hear(Message::Status(status));
    while let Some(message) = node.around.sent.pop() {
        if let Message::GetBlocks { from, count: 1 } = message
            && given.len() < most
        {
            given.push(from);
            let block = &chain[usize::try_from(from).unwrap() - 1].committed;
            node.hear(Message::Blocks(vec![Released::heard(block.clone())]));
        }
    }
    given
}

/// Height of the fork that the node knows of.
fn found(node: &Node) -> Option<Height> {
    node.consensus.fork().map(|fork| fork.ours.0.height)
}

fn swapped(fork: &ForkProof) -> ForkProof {
    let ForkProof { ours, theirs, guilty } = fork.clone();
    ForkProof { ours: theirs, theirs: ours, guilty }
}

/// INV-FORK-3, INV-FORK-4.
#[test]
fn a_parting_is_judged_by_its_own_two_blocks() {
    let trunk = Trunk::new();
    for decided_at in [1, 2, 5, 6, TIP - 1, TIP] {
        let decided = trunk.parted_at(decided_at, 1);
        let fork = trunk.fork_with(&decided, decided_at);
        for fork in [swapped(&fork), fork] {
            for parts_at in 1..=TIP {
                let mut node = trunk.node(std::slice::from_ref(&fork));
                let given = meet(&mut node, &trunk.parted_at(parts_at, 2), usize::MAX);
                let shown = if parts_at <= decided_at { decided_at } else { TIP };
                assert_eq!(found(&node), Some(shown), "{decided_at} was decided on");
                assert!(given.len() <= 2, "at once: {given:?}");
            }
            let mut node = trunk.node(&[fork]);
            assert_eq!(meet(&mut node, &decided, usize::MAX), [decided_at], "one look at it is enough");
            assert_eq!(found(&node), None, "{decided_at} was decided on");
        }
    }
}

#[test]
fn each_of_several_decisions_stands() {
    let trunk = Trunk::new();
    let chains = [3, 7, 8].map(|height| (height, trunk.parted_at(height, height)));
    let forks: Vec<_> = chains.iter().map(|(height, chain)| trunk.fork_with(chain, *height)).collect();
    for (height, chain) in &chains {
        let mut node = trunk.node(&forks);
        assert!(meet(&mut node, chain, usize::MAX).len() <= 3);
        assert_eq!(found(&node), None, "{height}");
    }
    for parts_at in 1..=TIP {
        let mut node = trunk.node(&forks);
        meet(&mut node, &trunk.parted_at(parts_at, 1), usize::MAX);
        let shown = [3, 7, 8, TIP].into_iter().find(|height| *height >= parts_at);
        assert_eq!(found(&node), shown);
    }
}

#[test]
fn what_was_decided_on_above_the_parting_stands_too() {
    let trunk = Trunk::new();
    let chain = trunk.parted_at(3, 1);
    let mut node = trunk.node(&[trunk.fork_with(&chain, 9)]);
    assert_eq!(meet(&mut node, &chain, usize::MAX), [9]);
    assert_eq!(found(&node), None);
}

/// INV-FORK-4.
#[test]
fn who_is_on_the_other_side_is_not_asked_again_for_a_while() {
    let trunk = Trunk::new();
    let chain = trunk.parted_at(3, 1);
    let mut node = trunk.node(&[trunk.fork_with(&chain, 3)]);
    assert_eq!(meet(&mut node, &chain, usize::MAX), [3]);
    node.now_ms += APART_MS - 1;
    assert!(meet(&mut node, &chain, usize::MAX).is_empty());
    node.now_ms += 1;
    assert_eq!(meet(&mut node, &chain, usize::MAX), [3]);
    node.feed(Event::PeerDisconnected(peer()));
    node.feed(Event::PeerConnected(peer()));
    assert_eq!(meet(&mut node, &chain, usize::MAX), [3], "it may have been started anew on another chain");
}

/// INV-FORK-3.
#[test]
fn a_second_block_that_was_shown_is_not_hidden_by_silence() {
    let trunk = Trunk::new();
    let chain = trunk.parted_at(3, 1);
    let decided = [7, 5].map(|height| trunk.fork_with(&trunk.parted_at(height, height), height));
    for is_lost in [false, true] {
        let mut node = trunk.node(&decided);
        assert_eq!(meet(&mut node, &chain, 1), [7]);
        assert_eq!(found(&node), None, "it may be the fork at 5");
        if is_lost {
            node.feed(Event::PeerDisconnected(peer()));
        } else {
            node.now_ms += REQUEST_TIMEOUT_MS - 1;
            node.feed(Event::Tick);
            assert_eq!(found(&node), None);
            node.now_ms += STATUS_INTERVAL_MS;
            node.feed(Event::Tick);
        }
        assert_eq!(found(&node), Some(7));
        assert_eq!(node.consensus.signing(), Signing::Forked, "it signs nothing any more");
        node.now_ms += STATUS_INTERVAL_MS;
        node.feed(Event::Tick);
        let forks = node.around.written.iter().filter(|record| matches!(record, JournalRecord::Fork(_)));
        assert_eq!(forks.count(), 1, "it is found once");
    }
}

/// INV-FORK-3: nor by a block below it that nobody signed.
#[test]
fn a_second_block_that_was_shown_is_not_hidden_by_one_that_proves_nothing() {
    let trunk = Trunk::new();
    let mut chain = trunk.parted_at(3, 1);
    let signatures = &mut chain[4].committed.commit.signatures;
    signatures.fill(Signature::EMPTY);
    let decided = [7, 5].map(|height| trunk.fork_with(&trunk.parted_at(height, height), height));
    let mut node = trunk.node(&decided);
    assert_eq!(meet(&mut node, &chain, usize::MAX), [7, 5]);
    assert_eq!(found(&node), Some(7));
}

/// Five blocks, the last of which ends the second epoch, when the first one is too long ago.
fn two_epochs(shift_ms: u64) -> (Chain, Vec<LoggedBlock>) {
    let parameters = genesis().parameters;
    let (first, closing) = (START_MS + 1 + shift_ms, START_MS + 2 + shift_ms + parameters.epoch_duration_ms);
    let later = closing + 2 + parameters.unbonding_time_ms;
    let times = [(first, false), (closing, false), (closing + 1, true), (later, false), (later + 1, true)];
    let mut chain = Chain::new();
    let blocks = times.map(|(time, epoch_end)| chain.grow_by(time, epoch_end)).into();
    (chain, blocks)
}

/// INV-FORK-1.
#[test]
fn a_parting_that_is_too_old_is_judged_by_a_block_that_is_not() {
    let (ours, blocks) = two_epochs(0);
    assert!(ours.state.epoch_of_height(3).is_none() && ours.state.epoch_of_height(4).is_some());
    let now_ms = ours.state.tip_time();
    let (_, same_keys) = two_epochs(1);
    let mut node = Node::new(&Chain::new(), &blocks, now_ms);
    meet(&mut node, &same_keys, usize::MAX);
    assert_eq!(found(&node), Some(5), "they still vote");

    // Keys that have left can sign anything; what they sign is of an epoch that is over.
    let (mut chain, mut of_old_keys) = (Chain::new(), Vec::new());
    (0..blocks.len() as u64).for_each(|nth| of_old_keys.push(chain.grow(START_MS + 2 + nth)));
    let mut node = Node::new(&Chain::new(), &blocks, now_ms);
    assert!(!meet(&mut node, &of_old_keys, usize::MAX).is_empty());
    assert_eq!(found(&node), None);
    node.now_ms += REQUEST_TIMEOUT_MS;
    assert!(meet(&mut node, &of_old_keys, usize::MAX).is_empty(), "told once");
}

#[test]
fn a_decision_on_a_fork_that_several_epochs_wrote_down_is_one() {
    let mut chain = Chain::new();
    let committed = chain.grow(START_MS + 1_000).committed;
    let side = (committed.block.header.clone(), committed.commit);
    let fork = Arc::new(ForkProof { ours: side.clone(), theirs: side, guilty: Vec::new() });
    let open = JournalRecord::Fork(Arc::clone(&fork));
    let decided = JournalRecord::ForkAcknowledged(Arc::clone(&fork));
    // Else each restart would make them more, since each epoch writes them all again.
    let records = vec![open, decided.clone(), decided];
    let node = Node::with_records(&Chain::new(), &[], START_MS, records);
    assert_eq!(node.consensus.forks.records().collect::<Vec<_>>(), [JournalRecord::ForkAcknowledged(fork)]);
    assert!(node.consensus.fork().is_none());
}

/// INV-FORK-2: each epoch writes the open one down again before those that were decided on.
#[test]
fn a_decision_on_one_fork_leaves_another_one_open() {
    let trunk = Trunk::new();
    let [open, decided] = [3, 7].map(|height| Arc::new(trunk.fork_with(&trunk.parted_at(height, 1), height)));
    let records = vec![JournalRecord::Fork(Arc::clone(&open)), JournalRecord::ForkAcknowledged(decided)];
    let node = Node::with_records(&Chain::new(), &trunk.blocks, START_MS + 10 * TIP + 1, records);
    assert_eq!(node.consensus.fork(), Some(&open));
    assert_eq!(node.consensus.signing(), Signing::Forked);
}

/// INV-FORK-4.
#[test]
fn who_was_on_the_other_side_is_asked_for_blocks_again_after_a_while() {
    let trunk = Trunk::new();
    let chain = trunk.parted_at(3, 1);
    let mut node = trunk.node(&[trunk.fork_with(&chain, 3)]);
    assert_eq!(meet(&mut node, &chain, usize::MAX), [3]);
    let further = NodeStatus { height: TIP + 3, tip: BlockHash([1; 32]), ..node.consensus.status() };
    for is_over in [false, true] {
        node.around.sent.clear();
        node.hear(Message::Status(further.clone()));
        let is_request = |message: &Message| matches!(message, Message::GetBlocks { .. });
        assert_eq!(node.around.sent.iter().any(is_request), is_over);
        node.now_ms += APART_MS;
    }
}

/// INV-FORK-3: however long it has been running.
#[test]
fn another_block_at_the_tip_is_noticed_after_many_blocks() {
    const BLOCKS: u64 = 300;
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1);
    let blocks: Vec<_> =
        (1..=BLOCKS).map(|height| Released::heard(chain.grow(START_MS + height).committed)).collect();
    let status =
        |node: &Node, tip| Message::Status(NodeStatus { height: BLOCKS, tip, ..node.consensus.status() });
    while node.consensus.state().height() < BLOCKS {
        node.hear(status(&node, chain.state.tip_hash()));
        for message in std::mem::take(&mut node.around.sent) {
            if let Message::GetBlocks { from, count } = message {
                let some = blocks.iter().skip(usize::try_from(from).unwrap() - 1);
                node.hear(Message::Blocks(some.take(usize::try_from(count).unwrap()).cloned().collect()));
            }
        }
    }
    node.around.sent.clear();
    node.hear(status(&node, BlockHash([1; 32])));
    assert!(node.around.sent.contains(&Message::GetBlocks { from: BLOCKS, count: 1 }));
}

/// INV-FORK-3: a peer that is behind has no block of this node's height to show.
#[test]
fn who_is_behind_on_another_chain_is_asked_for_the_block_at_its_own_tip() {
    let trunk = Trunk::new();
    let other = trunk.parted_at(5, 1);
    let mut chain = trunk.before[7].clone();
    let mut node = Node::new(&chain, &trunk.blocks[..7], START_MS + 10 * TIP);
    for height in [8, 9] {
        node.decide(&mut chain, START_MS + 10 * height, false, &[]);
    }
    let header = &other[7].committed.block.header;
    let status = NodeStatus { height: 8, tip: header.hash(), ..node.consensus.status() };
    node.around.sent.clear();
    node.hear(Message::Status(status));
    assert!(node.around.sent.contains(&Message::GetBlocks { from: 8, count: 1 }));
    node.hear(Message::Blocks(vec![Released::heard(other[7].committed.clone())]));
    assert_eq!(found(&node), Some(8));
}

/// Else each status of a peer that is on another chain would be one more question.
#[test]
fn who_is_on_another_chain_is_asked_for_one_block_at_a_time() {
    let trunk = Trunk::new();
    let (mut node, other) = (trunk.node(&[]), trunk.parted_at(5, 1));
    let header = &other.last().unwrap().committed.block.header;
    for (wait_ms, asks) in [(0, true), (0, false), (REQUEST_TIMEOUT_MS - 1, false), (1, true)] {
        node.now_ms += wait_ms;
        node.around.sent.clear();
        let status = NodeStatus { height: header.height, tip: header.hash(), ..node.consensus.status() };
        node.hear(Message::Status(status));
        let asked = node.around.sent.iter().any(|message| matches!(message, Message::GetBlocks { .. }));
        assert_eq!(asked, asks, "after {wait_ms} ms");
    }
}

/// Nobody would answer, and nothing would end the search.
#[test]
fn no_search_for_a_fork_begins_at_a_peer_that_is_gone() {
    let trunk = Trunk::new();
    let other = trunk.parted_at(2, 1);
    let blocks = [&trunk.blocks[1], &other[2]].map(|block| Released::heard(block.committed.clone()));
    for is_gone in [false, true] {
        let mut node = Node::new(&Chain::new(), &trunk.blocks[..1], START_MS + 10 * TIP + 1);
        let status = NodeStatus { height: 3, tip: BlockHash([1; 32]), ..node.consensus.status() };
        node.hear(Message::Status(status));
        let message = Message::Blocks(blocks.to_vec());
        let ordered = node.order(Event::Message { from: peer(), message, verified: false });
        let written = ordered.into_iter().find_map(|output| match output {
            Output::CommitBlock(block) => Some(block),
            _ => None,
        });
        let durable = node.around.log.append(&written.unwrap()).unwrap();
        if is_gone {
            node.feed(Event::PeerDisconnected(peer()));
        }
        node.around.sent.clear();
        node.feed(Event::BlockPersisted(durable));
        assert_eq!(node.consensus.state().height(), 2);
        let question = Message::GetBlocks { from: 2, count: 1 };
        assert_eq!(node.around.sent.contains(&question), !is_gone);
    }
}

/// INV-FORK-3: not from the next height on, but at once.
#[test]
fn who_has_found_a_fork_signs_nothing_more_at_that_height() {
    let mut chain = Chain::new();
    let rival = chain.clone().grow(START_MS + 7).committed;
    let blocks = [chain.grow(START_MS + 1)];
    let (block, _) = chain.block(START_MS + 10, false, &[]);
    for is_forked in [false, true] {
        let mut node = Node::new(&chain, &blocks, START_MS + 10);
        if is_forked {
            let (height, tip) = (1, rival.block.header.hash());
            node.hear(Message::Status(NodeStatus { height, tip, ..node.consensus.status() }));
            node.hear(Message::Blocks(vec![Released::heard(rival.clone())]));
            assert_eq!(found(&node), Some(1));
        }
        node.around.said.clear();
        node.feed(Event::Transaction(chain.payment(0)));
        node.hear(chain.proposal(&block));
        let said = &node.around.said;
        let votes_on_payments = said.iter().any(|message| matches!(message, Message::VoteBatch(_)));
        let votes_on_blocks = said.iter().any(|message| matches!(message, Message::BlockVote(_)));
        assert_eq!((votes_on_payments, votes_on_blocks), (!is_forked, !is_forked));
    }
}

/// INV-FORK-3: each block that is looked at costs a read, signatures and a question, so it has to be one that was asked
/// for.
#[test]
fn a_block_of_another_chain_that_was_not_asked_for_is_not_looked_at() {
    let trunk = Trunk::new();
    let (mut node, other) = (trunk.node(&[]), trunk.parted_at(3, 1));
    assert!(meet(&mut node, &other, 0).is_empty(), "it is asked for its tip, and says nothing");
    for block in &other[..other.len() - 1] {
        node.hear(Message::Blocks(vec![Released::heard(block.committed.clone())]));
        assert_eq!((node.around.sent.len(), found(&node)), (0, None));
    }
    let tip = other.last().unwrap().committed.clone();
    node.hear(Message::Blocks(vec![Released::heard(tip)]));
    assert_eq!(found(&node), Some(TIP), "that one was");
}
