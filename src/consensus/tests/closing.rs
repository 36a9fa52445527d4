//! From the precommit of an epoch's last ordinary block to its last block: when a node votes on payments, and when it
//! proposes.

use super::*;
use crate::types::BlockBlueprint;
use crate::types::message::NodeStatus;

/// The first two blocks.
fn blocks() -> [LoggedBlock; 2] {
    let mut chain = Chain::new();
    [chain.grow(START_MS + 1), chain.grow(START_MS + 2)]
}

/// The chain after two blocks, and a node at its tip: another one proposes the third and the node the fourth.
fn start(now_ms: impl FnOnce(&Chain) -> TimeMs) -> (Chain, Node) {
    let fourth = |chain: &Chain| {
        let mut chain = chain.clone();
        chain.grow(due_ms(&chain));
        chain.state.proposer_order()[0]
    };
    start_as(fourth, now_ms)
}

/// The same with a node in this place.
fn start_as(place: impl FnOnce(&Chain) -> usize, now_ms: impl FnOnce(&Chain) -> TimeMs) -> (Chain, Node) {
    let mut chain = Chain::new();
    chain.grow(START_MS + 1);
    chain.grow(START_MS + 2);
    let node = Node::of_operator(operator(place(&chain)), &blocks(), now_ms(&chain), Vec::new());
    (chain, node)
}

/// When the first epoch is due to end.
fn due_ms(chain: &Chain) -> TimeMs {
    chain.state.epoch_start() + chain.state.parameters().epoch_duration_ms
}

/// Shows it a block with a quorum's prevotes, so that it precommits.
fn precommit(chain: &Chain, node: &mut Node, time: TimeMs) -> BlockHash {
    let (block, _) = chain.block(time, false, &[]);
    let hash = block.header.hash();
    node.hear(chain.proposal(&block));
    node.hear_block_votes(VoteStep::Prevote, hash);
    let is_precommit = |message: &Message| matches!(message, Message::BlockVote(vote) if vote.step == VoteStep::Precommit && vote.value == Some(hash));
    assert!(node.around.said.iter().any(is_precommit));
    hash
}

/// The epochs in which it voted to lock a transaction.
fn locked_in(node: &Node, txid: TxId) -> Vec<Epoch> {
    let vote = FinalityVote { kind: VoteKind::Lock, txid };
    let batches = node.around.said.iter().filter_map(|message| match message {
        Message::VoteBatch(batch) => Some(batch),
        _ => None,
    });
    batches.filter(|batch| batch.votes.contains(&vote)).map(|batch| batch.header.epoch).collect()
}

/// The blocks that it proposed.
fn proposed(node: &Node) -> Vec<BlockBlueprint> {
    let proposals = node.around.said.iter().filter_map(|message| match message {
        Message::Proposal(proposal) => Some(proposal.block.clone()),
        _ => None,
    });
    proposals.collect()
}

#[test]
fn votes_are_held_from_the_precommit_of_the_last_ordinary_block_to_the_next_epoch() {
    let (chain, mut node) = start(due_ms);
    let [before, after] = [chain.payment(0), chain.payment(1)];
    let due_ms = due_ms(&chain);
    node.feed(Event::Transaction(before.clone()));
    let hash = precommit(&chain, &mut node, due_ms);
    assert_eq!(locked_in(&node, before.txid()), [0]);
    node.hear_locks(before.txid());
    node.feed(Event::Transaction(after.clone()));
    assert!(node.consensus.finality().promises().is_empty(), "nor does it promise anything");
    node.hear_block_votes(VoteStep::Precommit, hash);
    assert_eq!(node.consensus.state().height(), 3);
    assert!(node.consensus.finality().promises().is_empty() && locked_in(&node, after.txid()).is_empty());

    node.feed(Event::TimeoutElapsed(Timer::HeightDue(4)));
    let own = proposed(&node);
    assert!(own[0].header.epoch_end && own[0].transfers() == [before.txid()], "what is certified is in it");
    for step in [VoteStep::Prevote, VoteStep::Precommit] {
        node.hear_block_votes(step, own[0].header.hash());
    }
    assert_eq!(node.consensus.state().next_epoch(), 1);
    assert_eq!(locked_in(&node, after.txid()), [1]);
}

#[test]
fn votes_go_on_while_any_other_block_is_decided() {
    let (chain, mut node) = start(|_| START_MS + 3);
    precommit(&chain, &mut node, START_MS + 3);
    let payment = chain.payment(0);
    node.feed(Event::Transaction(payment.clone()));
    assert_eq!(locked_in(&node, payment.txid()), [0]);
}

#[test]
fn votes_are_held_for_one_round_only() {
    let (chain, _) = start(due_ms);
    // The next round's proposer, and others, who have nothing else to say then.
    for place in &chain.state.proposer_order()[1..] {
        let (_, mut node) = start_as(|_| *place, due_ms);
        precommit(&chain, &mut node, due_ms(&chain));
        let payment = chain.payment(0);
        node.feed(Event::Transaction(payment.clone()));
        node.hear_locks(payment.txid());
        assert!(locked_in(&node, payment.txid()).is_empty());
        node.hear_block_votes(VoteStep::Precommit, None::<BlockHash>);
        let timer = Timer::Bft { height: 3, round: 0, kind: bft::TimeoutKind::Precommit };
        node.feed(Event::TimeoutElapsed(timer));
        assert_eq!(node.consensus.bft().round(), 1);
        assert_eq!(locked_in(&node, payment.txid()), [0]);
        assert!(node.consensus.finality().promises().contains(&payment.txid()));
    }
}

#[test]
fn a_restart_behind_that_precommit_holds_votes_as_well() {
    let (chain, mut node) = start(due_ms);
    precommit(&chain, &mut node, due_ms(&chain));
    let records = std::mem::take(&mut node.around.written);
    let secret = node.consensus.signer.me().unwrap().secret.clone();
    let mut node = Node::of_operator(secret, &blocks(), due_ms(&chain), records);
    let payment = chain.payment(0);
    node.feed(Event::Transaction(payment.clone()));
    assert!(locked_in(&node, payment.txid()).is_empty());
}

/// The precommit that locks it comes back as well, but its round is over.
#[test]
fn a_restart_in_a_later_round_holds_no_votes() {
    let (chain, mut node) = start_as(|chain| *chain.state.proposer_order().last().unwrap(), due_ms);
    precommit(&chain, &mut node, due_ms(&chain));
    node.hear_block_votes(VoteStep::Precommit, None::<BlockHash>);
    for (round, kind) in [(0, bft::TimeoutKind::Precommit), (1, bft::TimeoutKind::Propose)] {
        node.feed(Event::TimeoutElapsed(Timer::Bft { height: 3, round, kind }));
    }
    let records = std::mem::take(&mut node.around.written);
    let secret = node.consensus.signer.me().unwrap().secret.clone();
    let mut node = Node::of_operator(secret, &blocks(), due_ms(&chain), records);
    assert_eq!(node.consensus.bft().round(), 1, "it has voted there");
    let payment = chain.payment(0);
    node.feed(Event::Transaction(payment.clone()));
    assert_eq!(locked_in(&node, payment.txid()), [0]);
}

#[test]
fn votes_are_held_while_a_block_that_others_decided_is_written() {
    let (chain, mut node) = start(due_ms);
    let (block, _) = chain.block(due_ms(&chain), false, &[]);
    node.hear(chain.proposal(&block));
    let places: Vec<usize> = node.others().collect();
    let mut outputs = Vec::new();
    for place in places {
        let message = node.block_vote(place, VoteStep::Precommit, Some(block.header.hash()));
        let event = Event::Message { from: peer(), message, verified: false };
        outputs.extend(node.order(event));
    }
    assert!(outputs.iter().any(|output| matches!(output, Output::CommitBlock(_))));
    let outputs = node.order(Event::Transaction(chain.payment(0)));
    let votes = |output: &Output| matches!(output, Output::Persist(staged) if !staged.release.is_empty());
    assert!(!outputs.iter().any(votes));
    assert_eq!(node.consensus.state().height(), 2, "INV-CHAIN-1: the block is not durable yet");
}

#[test]
fn the_last_block_is_proposed_as_soon_as_nobody_is_known_to_have_more_votes() {
    for knows_more in [false, true] {
        let (chain, mut node) = start(due_ms);
        let hash = precommit(&chain, &mut node, due_ms(&chain));
        let mut status: NodeStatus = node.consensus.status();
        if knows_more {
            status.batches.iter_mut().for_each(|held| held.until += 1);
        }
        node.hear(Message::Status(status));
        node.hear_block_votes(VoteStep::Precommit, hash);
        assert_eq!(node.consensus.state().height(), 3);
        let patience_ms = chain.state.parameters().timeout_propose.base_ms / 4;
        for (wait_ms, is_over) in [(0, false), (patience_ms - 1, false), (1, true)] {
            node.now_ms += wait_ms;
            node.feed(Event::TimeoutElapsed(Timer::HeightDue(4)));
            assert_eq!(
                !proposed(&node).is_empty(),
                is_over || !knows_more,
                "peers are not believed for long"
            );
        }
    }
}

/// A node that holds its votes has written no body with them; its precommit brings what it stands on.
#[test]
fn the_bodies_of_a_block_are_durable_before_the_precommit_for_it() {
    // Who proposes neither of these two blocks.
    let (mut chain, mut node) = start_as(|chain| *chain.state.proposer_order().last().unwrap(), due_ms);
    let time = due_ms(&chain);
    let hash = precommit(&chain, &mut node, time);
    let payment = chain.payment(0);
    node.feed(Event::Transaction(payment.clone()));
    node.hear_locks(payment.txid());
    node.hear_block_votes(VoteStep::Precommit, hash);
    chain.grow(time);
    assert_eq!(node.consensus.state().tip_hash(), chain.state.tip_hash());
    let body = JournalRecord::Transaction(Arc::clone(payment.transaction()));
    assert!(!node.around.written.contains(&body), "it has voted on nothing of this");
    let (last, _) = chain.block(time + 1, true, &[payment]);
    node.hear(chain.proposal(&last));
    node.hear_block_votes(VoteStep::Prevote, last.header.hash());
    let is_precommit = |record: &JournalRecord| matches!(record, JournalRecord::BlockVote(vote) if vote.step == VoteStep::Precommit && vote.height == 4);
    let written = &node.around.written;
    let precommit = written.iter().position(is_precommit).expect("it precommits");
    assert!(written[..precommit].contains(&body));
}

/// Whatever it was that was lacking: nobody has to look at a clock for that.
#[test]
fn the_last_block_is_proposed_with_the_last_thing_that_was_lacking() {
    for way in 0..5_u8 {
        let (chain, mut node) = start(due_ms);
        let payment = chain.payment(0);
        if way == 3 {
            // The journal has what was voted on.
            node.feed(Event::Transaction(payment.clone()));
            node.consensus.finality.leave_bodies_to_the_journal();
        }
        let hash = precommit(&chain, &mut node, due_ms(&chain));
        let other = node.others().next().unwrap();
        let level: NodeStatus = node.consensus.status();
        let mut ahead = level.clone();
        ahead.batches[other].until += 1;
        let others: Vec<usize> = node.others().collect();
        match way {
            // A peer has a batch, and a quorum's votes came without the body that they are for.
            0 | 1 => node.hear(Message::Status(ahead)),
            2 => node.hear_locks(payment.txid()),
            // A copy is here, and what tells whether it is a body is read when that is certified.
            3 => {
                let child = chain.child(&payment);
                node.hear_locks(child.txid());
                node.feed(Event::Transaction(child));
            }
            _ => node.hear_locks_as(payment.txid(), 1),
        }
        node.hear_block_votes(VoteStep::Precommit, hash);
        assert_eq!(node.consensus.state().height(), 3);
        assert!(proposed(&node).is_empty(), "way {way}");
        match way {
            0 => {
                let id = chain.state.validators().get(other).unwrap().id;
                let votes = vec![FinalityVote { kind: VoteKind::Lock, txid: payment.txid() }];
                let batch = VoteBatch::signed(chain.state.chain_id(), 0, id, 0, votes, &operator(other));
                node.hear(Message::VoteBatch(Released::heard(batch)));
            }
            1 => {
                let status = NodeStatus { height: 3, tip: node.consensus.state().tip_hash(), ..level };
                node.hear(Message::Status(status));
            }
            3 => node.hear(node.certificate(payment.txid(), &others)),
            _ => node.feed(Event::Transaction(payment)),
        }
        assert_eq!(proposed(&node).len(), 1, "way {way}");
    }
}

#[test]
fn the_last_ordinary_block_is_due_with_the_epoch_and_another_a_gap_before() {
    let parameters = ChainParameters::of_network(Network::Devnet);
    let (gap_ms, interval_ms) = (parameters.min_block_gap_ms, parameters.block_interval_ms);
    // When the last block was made and when the next is due, in milliseconds before the epoch is due to end.
    let cases = [
        (2 * interval_ms, interval_ms),
        (interval_ms + gap_ms + 1, gap_ms + 1),
        (interval_ms + gap_ms - 1, gap_ms),
        (2 * gap_ms, gap_ms),
        (2 * gap_ms - 1, gap_ms - 1),
        (gap_ms + 1, 1),
        (gap_ms, 0),
    ];
    for (made, due) in cases {
        let mut chain = Chain::new();
        let first = chain.grow(START_MS + 1);
        let end_ms = due_ms(&chain);
        let blocks = [first, chain.grow(end_ms - made)];
        let secret = operator(chain.state.proposer_order()[0]);
        let mut node = Node::of_operator(secret, &blocks, end_ms - made, Vec::new());
        for (time_ms, is_due) in [(end_ms - due - 1, false), (end_ms - due, true)] {
            node.now_ms = time_ms;
            node.feed(Event::TimeoutElapsed(Timer::HeightDue(3)));
            assert_eq!(proposed(&node).len(), usize::from(is_due), "made {made} and due {due} ms before");
        }
    }
}

/// Whenever the node was started: the interval counts from the block before.
#[test]
fn a_block_is_due_an_interval_after_the_one_that_was_applied_last() {
    let mut chain = Chain::new();
    let mut later = chain.clone();
    later.grow(START_MS + 1);
    let secret = operator(later.state.proposer_order()[0]);
    let mut node = Node::of_operator(secret, &[], START_MS, Vec::new());
    let interval_ms = chain.state.parameters().block_interval_ms;
    let time = START_MS + 10 * interval_ms;
    node.now_ms = time;
    node.decide(&mut chain, time, false, &[]);
    for (wait_ms, is_due) in [(0, false), (interval_ms - 1, false), (1, true)] {
        node.now_ms += wait_ms;
        node.feed(Event::TimeoutElapsed(Timer::HeightDue(2)));
        assert_eq!(!proposed(&node).is_empty(), is_due);
    }
}

/// INV-FIN-2: whatever becomes of it before it says anything.
#[test]
fn who_starts_at_a_closing_height_writes_so_at_once() {
    let mut chain = Chain::new();
    let first = chain.grow(START_MS + 1);
    let due_ms = due_ms(&chain);
    let blocks = [first, chain.grow(due_ms)];
    assert!(chain.state.is_closing());
    let node = Node::new(&chain, &blocks, due_ms);
    let is_entered =
        |record: &JournalRecord| matches!(record, JournalRecord::ClosingEntered { epoch: 0, .. });
    assert!(node.around.written.iter().any(is_entered));
    assert_eq!(node.prevote(), None, "it has voted on nothing yet");
}

/// What was promised and finds no room comes with the next closing block.
#[test]
fn the_last_block_is_the_one_in_which_all_that_is_certified_has_room() {
    let room = GENESIS_BLOCK_TRANSACTIONS_MAX as usize - 1;
    for (count, ends) in [(room, true), (room + 1, false)] {
        let (chain, mut node) = start(due_ms);
        for nth in 0..count {
            let payment = chain.payment(nth);
            node.feed(Event::Transaction(payment.clone()));
            node.hear_locks_as(payment.txid(), nth as u64);
        }
        let hash = precommit(&chain, &mut node, due_ms(&chain));
        node.hear_block_votes(VoteStep::Precommit, hash);
        node.now_ms += chain.state.parameters().timeout_propose.base_ms;
        node.feed(Event::TimeoutElapsed(Timer::HeightDue(4)));
        let blocks = proposed(&node);
        let [block] = blocks.as_slice() else { panic!("it proposes the fourth block") };
        assert_eq!((block.transfers().len(), block.header.epoch_end), (room, ends), "{count} payments");
    }
}

/// The time of a block is its proposer's, and may be further than the time is here.
#[test]
fn a_block_whose_time_is_ahead_does_not_stand_for_the_one_before_the_epochs_end() {
    let gap_ms = ChainParameters::of_network(Network::Devnet).min_block_gap_ms;
    let mut chain = Chain::new();
    let first = chain.grow(START_MS + 1);
    let end_ms = due_ms(&chain);
    let (time_ms, here_ms) = (end_ms - gap_ms + 1, end_ms - gap_ms - gap_ms / 2);
    let blocks = [first, chain.grow(time_ms)];
    let secret = operator(chain.state.proposer_order()[0]);
    let mut node = Node::of_operator(secret, &blocks, here_ms, Vec::new());
    for (now_ms, is_due) in [(here_ms + gap_ms - 1, false), (here_ms + gap_ms, true)] {
        node.now_ms = now_ms;
        node.feed(Event::TimeoutElapsed(Timer::HeightDue(3)));
        assert_eq!(proposed(&node).len(), usize::from(is_due));
    }
}
