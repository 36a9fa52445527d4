//! When load makes a block due, and when people hear that blocks stand still.

use super::super::blocks::PeersVotes;
use super::super::events::{Notification, Progress};
use super::super::moment::Moment;
use super::*;
use crate::protocol::transition::BlockCapacity;

/// The proposer of the second block, which came a millisecond ago.
fn proposer() -> (Chain, Node) {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let secret = operator(chain.state.proposer_order()[0]);
    let node = Node::of_operator(secret, &blocks, START_MS + 2, Vec::new());
    (chain, node)
}

/// Hears so many large payments and the votes for them that they make the next block due; how many that are.
fn load(chain: &Chain, node: &mut Node, first: usize) -> usize {
    let mut bytes = 0;
    for number in first.. {
        assert!(bytes + 100_000 < GENESIS_BLOCK_BYTES_MAX, "it should be due");
        let payment = chain.payment_of_bytes(number, 90_000);
        bytes += payment.encoded_bytes() as u64;
        node.feed(Event::Transaction(payment.clone()));
        node.around.scheduled.clear();
        let step = node.consensus.bft().current_step();
        assert_eq!(step, bft::Step::NewHeight, "{bytes} bytes are certified");
        node.hear_locks_as(payment.txid(), number as u64);
        if bytes + 100_000 >= GENESIS_BLOCK_BYTES_MAX {
            return number + 1 - first;
        }
        assert!(!node.around.scheduled.iter().any(|(timer, _)| matches!(timer, Timer::HeightDue(_))));
    }
    unreachable!()
}

/// Nobody has to look at a clock for that: the votes themselves begin the height.
#[test]
fn enough_certified_payments_begin_the_height_at_once_when_the_gap_is_over() {
    let (chain, mut node) = proposer();
    let parameters = Arc::clone(chain.state.parameters());
    node.now_ms = START_MS + 1 + parameters.min_block_gap_ms;
    assert!(node.now_ms < START_MS + parameters.block_interval_ms);
    let count = load(&chain, &mut node, 0);
    let proposed = node.around.said.iter().find_map(|message| match message {
        Message::Proposal(proposal) => Some(proposal.block.transfers().len()),
        _ => None,
    });
    assert_eq!(proposed, Some(count));
}

/// What load did at a height says nothing of the next: votes for one more payment begin that as well.
#[test]
fn load_makes_the_block_of_each_height_due() {
    let (mut chain, mut node) = proposer();
    let gap_ms = chain.state.parameters().min_block_gap_ms;
    let next = load(&chain, &mut node, 0);
    node.around.scheduled.clear();
    let unchanged = chain.clone();
    node.decide(&mut chain, START_MS + 2, false, &[]);
    assert!(node.around.scheduled.contains(&(Timer::HeightDue(3), gap_ms)), "it takes what is left");
    node.now_ms += gap_ms;
    let payment = unchanged.payment(next);
    node.feed(Event::Transaction(payment.clone()));
    assert_eq!(node.consensus.bft().current_step(), bft::Step::NewHeight);
    node.hear_locks_as(payment.txid(), next as u64);
    assert_ne!(node.consensus.bft().current_step(), bft::Step::NewHeight);
}

#[test]
fn enough_certified_payments_within_the_gap_make_the_block_due_at_its_end() {
    let (chain, mut node) = proposer();
    let gap_ms = chain.state.parameters().min_block_gap_ms;
    load(&chain, &mut node, 0);
    assert_eq!(node.consensus.bft().current_step(), bft::Step::NewHeight);
    assert!(
        node.around.scheduled.contains(&(Timer::HeightDue(2), gap_ms - 1)),
        "{:?}",
        node.around.scheduled
    );
    // Further votes ask for nothing more: that timer comes.
    node.around.scheduled.clear();
    let payment = chain.payment(39);
    node.feed(Event::Transaction(payment.clone()));
    node.hear_locks_as(payment.txid(), 39);
    assert!(!node.around.scheduled.iter().any(|(timer, _)| matches!(timer, Timer::HeightDue(_))));
    for (wait_ms, is_due) in [(gap_ms - 2, false), (1, true)] {
        node.now_ms += wait_ms;
        node.feed(Event::TimeoutElapsed(Timer::HeightDue(2)));
        assert_eq!(node.consensus.bft().current_step() != bft::Step::NewHeight, is_due);
    }
}

/// Many small payments make a block due by their number.
#[test]
fn so_many_certified_payments_make_the_block_due() {
    let (chain, mut node) = proposer();
    let parameters = Arc::clone(chain.state.parameters());
    node.now_ms = START_MS + 1 + parameters.min_block_gap_ms;
    for number in 1..=GENESIS_BLOCK_TRIGGER {
        let payment = chain.payment(number as usize);
        node.feed(Event::Transaction(payment.clone()));
        assert_eq!(node.consensus.bft().current_step(), bft::Step::NewHeight);
        node.hear_locks_as(payment.txid(), number);
        let is_due = node.consensus.bft().current_step() != bft::Step::NewHeight;
        assert_eq!(is_due, number == GENESIS_BLOCK_TRIGGER, "{number} payments");
    }
}

/// A closing block that has room for more has to end its epoch, and no block may have more than fits.
#[test]
fn a_proposer_fills_a_block_to_its_last_byte_and_no_further() {
    for over in [0, 1] {
        let (chain, mut node) = proposer();
        let capacity = BlockCapacity::of(chain.state.parameters()).bytes as usize;
        let (mut left, mut count) = (capacity + over, 0);
        let mut pay = |payment: CheckedTransaction| {
            node.feed(Event::Transaction(payment.clone()));
            node.hear_locks_as(payment.txid(), count as u64);
            count += 1;
        };
        let large = |nth: usize| chain.payment_of_bytes(nth, 90_000);
        let mut nth = 0;
        while left >= 2 * large(nth).encoded_bytes() {
            left -= large(nth).encoded_bytes();
            pay(large(nth));
            nth += 1;
        }
        // Two more that take just what is left.
        let first = left / 2;
        for bytes in [first, left - first] {
            pay(chain.payment_of_just(nth, bytes));
            nth += 1;
        }
        node.now_ms += chain.state.parameters().block_interval_ms;
        node.feed(Event::TimeoutElapsed(Timer::HeightDue(2)));
        let transfers = node.around.said.iter().find_map(|message| match message {
            Message::Proposal(proposal) => Some(proposal.block.transfers().len()),
            _ => None,
        });
        assert_eq!(transfers, Some(nth - over), "{over} bytes too many");
    }
}

/// An unripe timer is set anew, or a height whose timer came early would never begin.
#[test]
fn a_height_that_is_not_due_yet_is_looked_at_again_when_it_is() {
    let (chain, mut node) = proposer();
    let interval_ms = chain.state.parameters().block_interval_ms;
    assert!(node.around.scheduled.contains(&(Timer::HeightDue(2), interval_ms - 1)), "from the start on");
    node.around.scheduled.clear();
    node.now_ms += 10;
    node.feed(Event::TimeoutElapsed(Timer::HeightDue(2)));
    assert_eq!(node.around.scheduled, [(Timer::HeightDue(2), interval_ms - 11)]);
    node.around.scheduled.clear();
    node.feed(Event::TimeoutElapsed(Timer::HeightDue(3)));
    assert_eq!(node.around.scheduled, [], "of another height");
}

/// What people heard last.
fn progress(node: &Node) -> Progress {
    let told = node.around.told.iter().rev().find_map(|notification| match notification {
        Notification::Progress(progress) => Some(progress.clone()),
        _ => None,
    });
    told.unwrap()
}

/// When a height without votes is reported, and not a millisecond before.
fn overdue(node: &mut Node) {
    let interval_ms = node.consensus.state().parameters().block_interval_ms;
    node.now_ms = node.consensus.state().tip_time() + interval_ms + 3_000;
    node.feed(Event::TimeoutElapsed(Timer::HeightDue(2)));
    node.feed(Event::Tick);
    assert!(!progress(node).halted);
    node.now_ms += 1;
}

#[test]
fn people_hear_when_a_height_lacks_votes_for_long_and_when_they_are_there_again() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let mut node = Node::new(&chain, &blocks, START_MS + 2);
    overdue(&mut node);
    node.feed(Event::Tick);
    let halted = progress(&node);
    let quorum = chain.state.validators().quorum();
    let expected = Progress {
        height: 2,
        epoch: 0,
        round: 0,
        step: bft::Step::Propose,
        closing: false,
        prevote_weight: 0,
        precommit_weight: 0,
        quorum,
        halted: true,
    };
    assert_eq!(halted, expected);
    let count = node.around.told.len();
    node.feed(Event::Tick);
    assert_eq!(node.around.told.len(), count, "nothing has changed");

    // With each vote the weight grows; a quorum ends it.
    let mut seen = 0;
    for other in node.others().collect::<Vec<_>>() {
        let weight = chain.state.validators().get(other).unwrap().weight;
        node.hear(node.block_vote(other, VoteStep::Prevote, None));
        seen += weight;
        let now = progress(&node);
        assert_eq!((now.prevote_weight, now.halted), (seen, seen < quorum));
    }
}

#[test]
fn a_node_that_writes_a_block_or_fetches_some_does_not_call_the_chain_halted() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let (block, _) = chain.block(START_MS + 2, false, &[]);
    let mut node = Node::new(&chain, &blocks, START_MS + 2);
    node.hear(chain.proposal(&block));
    for place in node.others().collect::<Vec<_>>() {
        let message = node.block_vote(place, VoteStep::Precommit, Some(block.header.hash()));
        // The block is ordered to be written, and is not.
        let _orders = node.order(Event::Message { from: peer(), message, verified: false });
    }
    overdue(&mut node);
    node.feed(Event::Tick);
    assert!(!progress(&node).halted);

    let mut node = Node::new(&chain, &blocks, START_MS + 2);
    overdue(&mut node);
    let consensus = &mut node.consensus;
    let now = super::super::events::Now::both(node.now_ms);
    for is_syncing in [true, false] {
        let at = Moment { chain: &consensus.chain, signer: &consensus.signer, now };
        consensus.blocks.report_progress(&consensus.finality, is_syncing, &at, &mut consensus.out);
        let told = consensus.out.take();
        let says =
            |output: &Output| matches!(output, Output::Notify(Notification::Progress(it)) if it.halted);
        assert_eq!(told.iter().any(says), !is_syncing);
    }
    // What peers may have more of plays no part in when an ordinary block is due.
    let at = Moment { chain: &consensus.chain, signer: &consensus.signer, now };
    consensus.blocks.check_due(&consensus.finality, PeersVotes::Lacking, &at, &mut consensus.out);
}
