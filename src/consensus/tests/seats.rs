//! Who signs when a masternode's key changes hands, and what leaves before an epoch closes.

use super::proofs::hand_over;
use super::*;
use crate::types::MasternodeId;
use crate::types::message::NodeStatus;

fn due_ms(chain: &Chain) -> TimeMs {
    chain.state.epoch_start() + chain.state.parameters().epoch_duration_ms
}

/// The place of who proposes neither of the two blocks behind the first.
fn last_place() -> usize {
    let mut chain = Chain::new();
    chain.grow(START_MS + 1);
    *chain.state.proposer_order().last().unwrap()
}

/// Has an empty block decided by the votes of all members but one.
fn decide(chain: &mut Chain, node: &mut Node, without: usize, time: TimeMs, epoch_end: bool) {
    let (block, outcome) = chain.block(time, epoch_end, &[]);
    let hash = block.header.hash();
    node.hear(chain.proposal(&block));
    for step in [VoteStep::Prevote, VoteStep::Precommit] {
        for place in (0..MEMBERS.into()).filter(|place| *place != without) {
            node.hear(node.block_vote(place, step, Some(hash)));
        }
    }
    assert_eq!(node.consensus.state().tip_hash(), hash);
    chain.commit(block, outcome);
}

/// The masternodes under whose names it voted on payments in an epoch.
fn voters(node: &Node, epoch: Epoch) -> Vec<MasternodeId> {
    let said = node.around.said.iter();
    let voters = said.filter_map(|message| match message {
        Message::VoteBatch(batch) if batch.header.epoch == epoch => Some(batch.header.validator),
        _ => None,
    });
    voters.collect()
}

/// A seat is taken and lost with the first block of an epoch, and at no other time.
#[test]
fn a_key_that_takes_a_seat_signs_from_the_next_epoch_on_and_the_one_before_no_more() {
    let place = last_place();
    for (key, signs) in [(place, [true, false]), (9, [false, true])] {
        let mut chain = Chain::new();
        let id = chain.state.validators().get(place).unwrap().id;
        let change = hand_over(&chain, place, 0, &operator(9));
        let (block, outcome) = chain.block(START_MS + 1, false, &[change]);
        let blocks = [chain.commit(block, outcome)];
        let due_ms = due_ms(&chain);
        let mut node = Node::of_operator(operator(key), &blocks, due_ms, Vec::new());
        node.feed(Event::Transaction(chain.payment(1)));
        assert_eq!(voters(&node, 0), if signs[0] { vec![id] } else { Vec::new() }, "of key {key}");
        decide(&mut chain, &mut node, place, due_ms, false);
        decide(&mut chain, &mut node, place, due_ms + 1, true);
        assert_eq!(node.consensus.state().next_epoch(), 1);
        let was_carried_over = usize::from(signs[1]);
        assert_eq!(voters(&node, 1), vec![id; was_carried_over], "of key {key}");
        node.feed(Event::Transaction(chain.payment(2)));
        assert_eq!(voters(&node, 1), vec![id; 2 * was_carried_over], "of key {key}");
        let (block, _) = chain.block(due_ms + 2, false, &[]);
        node.hear(chain.proposal(&block));
        let vote = signs[1].then_some(Some(block.header.hash()));
        assert_eq!(node.prevote(), vote, "of key {key}");
    }
}

/// INV-ENGINE-4: it is cast, so it counts as said, and after the record nothing of its epoch may be.
#[test]
fn a_vote_that_waits_for_its_batch_leaves_before_its_epoch_closes() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let due_ms = due_ms(&chain);
    let mut node = Node::with_interval(operator(last_place()), 2, &blocks, due_ms, Vec::new());
    let [first, second] = [0, 1].map(|nth| chain.payment(nth));
    node.feed(Event::Transaction(first.clone()));
    node.feed(Event::Transaction(second.clone()));
    let voted = |node: &Node| -> Vec<TxId> {
        let batches = node.around.written.iter().filter_map(|record| match record {
            JournalRecord::OwnBatch(batch) => Some(batch),
            _ => None,
        });
        batches.flat_map(|batch| batch.votes.iter().map(|vote| vote.txid)).collect()
    };
    assert_eq!(voted(&node), [first.txid()], "the second one waits");
    // The last ordinary block comes from a peer, so no vote for it takes others along.
    let last_ordinary = chain.grow(due_ms).committed;
    let status = NodeStatus { height: 2, tip: chain.state.tip_hash(), ..node.consensus.status() };
    node.hear(Message::Status(status.clone()));
    node.now_ms += 1_000;
    node.hear(Message::Status(status));
    node.hear(Message::Blocks(vec![Released::heard(last_ordinary)]));
    assert!(node.consensus.state().is_closing());
    assert_eq!(voted(&node), [first.txid(), second.txid()]);
    let place = |is_it: fn(&JournalRecord) -> bool| node.around.written.iter().rposition(is_it);
    let last_batch = place(|record| matches!(record, JournalRecord::OwnBatch(_)));
    let closing = place(|record| matches!(record, JournalRecord::ClosingEntered { .. }));
    assert!(last_batch.is_some() && last_batch < closing);
}

/// Who is a moment ahead votes in the next epoch while this node still writes the last block of the old one.
#[test]
fn votes_of_the_next_epoch_that_come_while_its_last_block_is_written_count() {
    let place = last_place();
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let due_ms = due_ms(&chain);
    let mut node = Node::of_operator(operator(place), &blocks, due_ms, Vec::new());
    decide(&mut chain, &mut node, place, due_ms, false);
    let (block, _) = chain.block(due_ms + 1, true, &[]);
    let hash = block.header.hash();
    node.hear(chain.proposal(&block));
    node.hear_block_votes(VoteStep::Prevote, hash);
    let others: Vec<usize> = node.others().collect();
    let mut decided = None;
    for other in &others {
        let message = node.block_vote(*other, VoteStep::Precommit, Some(hash));
        for output in node.order(Event::Message { from: peer(), message, verified: false }) {
            if let Output::CommitBlock(block) = output {
                decided = Some(block);
            }
        }
    }
    let vote = FinalityVote { kind: VoteKind::Lock, txid: TxId([7; 32]) };
    let id = chain.state.validators().get(others[0]).unwrap().id;
    let batch = VoteBatch::signed(chain.state.chain_id(), 1, id, 0, vec![vote], &operator(others[0]));
    node.hear(Message::VoteBatch(Released::heard(batch)));
    assert_eq!(node.consensus.state().next_epoch(), 0);
    let durable = node.around.log.append(&decided.unwrap()).unwrap();
    node.feed(Event::BlockPersisted(durable));
    assert_eq!(node.consensus.state().next_epoch(), 1);
    let validators = node.consensus.state().validators();
    assert!(node.consensus.finality.batches().has(validators.index_of(&id).unwrap(), 0));
}
