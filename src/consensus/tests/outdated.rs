//! A program that does not know the rules to come: up to where it goes, and that it goes no further.

use super::super::events::Notification;
use super::super::replay::{ReplayError, replay_knowing};
use super::*;
use crate::protocol::activation::UnknownRules;

const OLD: RuleVersion = RuleVersion::FIRST;
const NEXT: RuleVersion = RuleVersion::DUST;
/// What a node stops with whose program knows the old rules alone.
const WHY: UnknownRules = UnknownRules { version: NEXT, epoch: 2, known: OLD };

/// A chain whose other members all know new rules, up to the last block but one before these are in force.
fn before_new_rules() -> (Chain, Vec<LoggedBlock>) {
    let mut chain = Chain::new();
    chain.announces = NEXT;
    let mut blocks = Vec::new();
    for epoch in 0..2 {
        for _ in 0..MEMBERS {
            let next_ms = chain.state.tip_time() + 1;
            blocks.push(chain.grow(next_ms));
        }
        let due_ms = chain.state.epoch_due();
        blocks.push(chain.grow(due_ms));
        assert!(chain.state.is_closing());
        if epoch == 0 {
            blocks.push(chain.grow_by(due_ms + 1, true));
        }
    }
    (chain, blocks)
}

fn is_of_new_epoch(message: &Message) -> bool {
    match message {
        Message::VoteBatch(batch) => batch.header.epoch >= WHY.epoch,
        Message::BlockVote(vote) => vote.epoch >= WHY.epoch,
        Message::Proposal(proposal) => proposal.block.header.epoch >= WHY.epoch,
        _ => false,
    }
}

/// INV-DISPATCH-3.
#[test]
fn a_program_that_does_not_know_the_rules_in_force_stops_behind_the_block_before_them() {
    let (mut chain, blocks) = before_new_rules();
    let mut node = Node::new(&chain, &blocks, chain.state.tip_time());
    let payment = chain.payment(0);
    node.feed(Event::Transaction(payment.clone()));
    assert_eq!(node.around.stopped, None);
    let end_ms = chain.state.tip_time() + 1;
    node.decide(&mut chain, end_ms, true, &[]);
    assert_eq!(chain.state.rules().in_force(), NEXT);
    assert_eq!(node.around.stopped, Some(WHY));
    let is_told = |told: &Notification| match told {
        Notification::BlockApplied(applied) => applied.state.height() == chain.state.height(),
        _ => false,
    };
    assert!(node.around.told.iter().any(is_told), "readers and the index hear of its last block");
    // Whatever comes now, it says and writes nothing more.
    let written = node.around.written.len();
    let (next, _) = chain.block(chain.state.tip_time() + 1, false, &[]);
    node.around.said.clear();
    node.around.sent.clear();
    node.feed(Event::Transaction(chain.payment(1)));
    node.hear(chain.proposal(&next));
    node.hear_block_votes(VoteStep::Prevote, next.header.hash());
    node.hear_block_votes(VoteStep::Precommit, next.header.hash());
    node.hear_locks(payment.txid());
    node.now_ms += 60_000;
    node.feed(Event::Tick);
    node.feed(Event::PeerConnected(peer()));
    assert_eq!((node.around.said.len(), node.around.sent.len()), (0, 0), "INV-DISPATCH-3");
    assert_eq!(node.around.written.len(), written, "INV-DISPATCH-3");
    assert_eq!(node.consensus.state().tip_hash(), chain.state.tip_hash());
}

/// INV-DISPATCH-3: blocks that come in one answer are written before the ones below them are applied.
#[test]
fn a_program_in_sync_writes_no_block_whose_rules_it_does_not_know() {
    let (mut chain, mut blocks) = before_new_rules();
    let start_ms = chain.state.tip_time();
    blocks.push(chain.grow_by(start_ms + 1, true));
    let last = chain.state.height();
    for nth in 2..6 {
        blocks.push(chain.grow(start_ms + nth));
    }
    let mut node = Node::new(&chain, &[], start_ms + 10);
    let mut status = node.consensus.status();
    (status.height, status.tip) = (chain.state.height(), chain.state.tip_hash());
    node.hear(Message::Status(status));
    let all = blocks.iter().map(|block| Released::heard(block.committed.clone())).collect();
    node.hear(Message::Blocks(all));
    assert_eq!(node.around.stopped, Some(WHY));
    assert_eq!((node.consensus.state().height(), node.around.log.height()), (last, last));
    assert!(!node.around.said.iter().any(is_of_new_epoch));
}

/// INV-DISPATCH-3: after a newer program, or a stop.
#[test]
fn a_program_that_does_not_know_the_rules_in_force_does_not_open_the_chain() {
    let (mut chain, mut blocks) = before_new_rules();
    let end_ms = chain.state.tip_time() + 1;
    blocks.push(chain.grow_by(end_ms, true));
    let refused = |blocks: &[LoggedBlock], knows| {
        let mut log = BlockLog::open(MemoryDisk::new(), Path::new("blocks"), genesis().chain_id()).unwrap();
        for block in blocks {
            log.append(block).unwrap();
        }
        let index = Index::new(Arc::new(MemoryIndex::new()));
        let replay =
            |knows| replay_knowing(knows, &genesis(), &index, (&log.reader(), None), &mut |_, _| true);
        // The index may be further than the old program, too.
        let _newer = replay(NEXT).unwrap();
        match replay(knows) {
            Err(ReplayError::Rules(why)) => Some(why),
            outcome => {
                outcome.unwrap();
                None
            }
        }
    };
    assert_eq!(refused(&blocks, OLD), Some(WHY), "its last block is the one before");
    assert_eq!(refused(&blocks, NEXT), None);
    let next_ms = chain.state.tip_time() + 1;
    blocks.push(chain.grow(next_ms));
    assert_eq!(refused(&blocks, OLD), Some(WHY));
    assert_eq!(refused(&blocks, NEXT), None);
    blocks.truncate(blocks.len() - 2);
    assert_eq!(refused(&blocks, OLD), None, "a version that is pending stops nobody");
}
