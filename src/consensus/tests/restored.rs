//! What a start makes of the journal's votes on payments.

use super::super::events::Notification;
use super::*;
use crate::types::message::HeldBatches;

/// The others' batches under a number, each with a lock for all of these.
fn hear_locks_of(node: &mut Node, seq: u64, txids: &[TxId], most: usize) {
    for other in node.others().take(most).collect::<Vec<_>>() {
        let state = node.consensus.state();
        let (chain_id, epoch) = (*state.chain_id(), state.next_epoch());
        let id = state.validators().get(other).unwrap().id;
        let votes = txids.iter().map(|txid| FinalityVote { kind: VoteKind::Lock, txid: *txid }).collect();
        let batch = VoteBatch::signed(&chain_id, epoch, id, seq, votes, &operator(other));
        node.hear(Message::VoteBatch(Released::heard(batch)));
    }
}

fn written(node: &Node, is_kind: fn(&JournalRecord) -> bool) -> usize {
    node.around.written.iter().filter(|record| is_kind(record)).count()
}

const fn is_peer_batch(record: &JournalRecord) -> bool {
    matches!(record, JournalRecord::PeerBatch(_))
}

fn promises(node: &Node) -> Vec<TxId> {
    let batches = node.around.said.iter().filter_map(|message| match message {
        Message::VoteBatch(batch) => Some(batch),
        _ => None,
    });
    let votes = batches.flat_map(|batch| batch.votes.iter());
    votes.filter(|vote| vote.kind == VoteKind::Final).map(|vote| vote.txid).collect()
}

/// Else a journal would grow with each restart, and with each payment of a batch.
#[test]
fn batches_that_the_journal_holds_are_not_written_again() {
    let chain = Chain::new();
    let (first, second, third) = (chain.payment(0), chain.payment(1), chain.payment(2));
    let names = [&first, &second, &third].map(CheckedTransaction::txid);
    let mut node = Node::new(&chain, &[], START_MS);
    hear_locks_of(&mut node, 0, &names, 3);
    node.feed(Event::Transaction(first));
    assert_eq!((promises(&node).as_slice(), written(&node, is_peer_batch)), (&names[..1], 3));
    node.feed(Event::Transaction(second));
    assert_eq!((promises(&node).as_slice(), written(&node, is_peer_batch)), (&names[..2], 3));
    let mut again = Node::with_records(&chain, &[], START_MS, node.around.written);
    again.feed(Event::Transaction(third));
    assert_eq!(promises(&again), [names[2]], "by the votes in the journal");
    assert_eq!(written(&again, is_peer_batch), 0, "they are there");
}

/// Two proposals of one round would cost its collateral, so the first one is durable before anybody hears of it.
#[test]
fn who_proposed_and_starts_again_says_the_same_proposal_and_no_other_one() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let due_ms = START_MS + 1 + chain.state.parameters().block_interval_ms;
    let start = |now_ms, records| {
        let mut node = Node::of_operator(operator(chain.state.proposer_order()[0]), &blocks, now_ms, records);
        let timer = Timer::HeightDue(chain.state.height() + 1);
        node.feed(Event::TimeoutElapsed(timer));
        node
    };
    let proposals = |node: &Node| -> Vec<BlockHash> {
        let hash = |message: &Message| match message {
            Message::Proposal(proposal) => Some(proposal.block.header.hash()),
            _ => None,
        };
        node.around.said.iter().filter_map(hash).collect()
    };
    let node = start(due_ms, Vec::new());
    let first = proposals(&node);
    assert_eq!(first.len(), 1);
    // The vote that follows the proposal has not become durable, and blocks that are built later have another time.
    let is_vote = |record: &JournalRecord| matches!(record, JournalRecord::BlockVote(_));
    let records = node.around.written.into_iter().filter(|record| !is_vote(record)).collect();
    assert_eq!(proposals(&start(due_ms + 10, records)), first);
}

/// Its own batches stand in the journal as its own.
#[test]
fn own_batches_behind_a_promise_are_not_written_again() {
    let chain = Chain::new();
    let (first, second) = (chain.payment(0), chain.payment(1));
    let txid = first.txid();
    let mut node = Node::new(&chain, &[], START_MS);
    node.feed(Event::Transaction(first));
    let mut again = Node::with_records(&chain, &[], START_MS, node.around.written.clone());
    for node in [&mut node, &mut again] {
        // Its own lock is one of the three that make a quorum.
        hear_locks_of(node, 0, &[txid], 2);
        assert_eq!(promises(node), [txid]);
        assert_eq!(written(node, is_peer_batch), 2, "those of the others");
    }
    again.feed(Event::Transaction(second));
}

/// INV-FIN-6: blocks say what those votes said.
#[test]
fn batches_whose_votes_all_are_in_the_chain_are_not_kept_after_a_restart() {
    let mut chain = Chain::new();
    let (included, open) = (chain.payment(0), chain.payment(1));
    let mut node = Node::new(&chain, &[], START_MS + 1);
    for (seq, payment) in [(0, &included), (1, &open)] {
        node.feed(Event::Transaction(payment.clone()));
        node.hear_locks_as(payment.txid(), seq);
    }
    let other = node.others().next().unwrap();
    let held = |node: &Node| node.consensus.status().batches[other];
    assert_eq!(held(&node), HeldBatches { from: 0, until: 2 });
    let (block, outcome) = chain.block(START_MS + 1, false, &[included]);
    let blocks = [chain.commit(block, outcome)];
    let again = Node::with_records(&chain, &blocks, START_MS + 2, node.around.written.clone());
    assert_eq!(held(&again), HeldBatches { from: 1, until: 2 });
    assert!(again.consensus.finality.batches().has(other, 0), "it is not asked for again");
}

/// Whoever watches a node that starts hears of what its journal made final or locked.
#[test]
fn what_the_journal_locked_is_told_after_a_restart() {
    let chain = Chain::new();
    let payment = chain.payment(0);
    let txid = payment.txid();
    let mut node = Node::new(&chain, &[], START_MS);
    node.feed(Event::Transaction(payment));
    node.hear_locks(txid);
    let again = Node::with_records(&chain, &[], START_MS, node.around.written);
    let told = &again.around.told;
    let is_locked = |it: &Notification| matches!(it, Notification::Locked(of) if of.txid() == txid);
    let is_certified = |it: &Notification| matches!(it, Notification::Certified(of) if *of == txid);
    assert!(told.iter().any(is_locked) && told.iter().any(is_certified), "{told:?}");
}

/// INV-RESTORE-1: its chain was lost and its journal was not. What spends an output of a payment that was final then waits
/// for it in the epochs before, and is not carried over from there.
#[test]
fn what_an_epoch_had_locked_is_there_again_when_it_comes_back() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let before = chain.clone();
    let due_ms = chain.state.epoch_start() + chain.state.parameters().epoch_duration_ms;
    let to_next_epoch = |node: &mut Node, chain: &mut Chain| {
        node.decide(chain, due_ms, false, &[]);
        node.decide(chain, due_ms + 1, true, &[]);
        assert_eq!(node.consensus.state().next_epoch(), 1);
    };
    let mut node = Node::new(&chain, &blocks, due_ms);
    to_next_epoch(&mut node, &mut chain);
    let parent = chain.payment(0);
    let child = chain.child(&parent);
    node.feed(Event::Transaction(parent.clone()));
    node.hear_locks(parent.txid());
    for other in node.others().collect::<Vec<_>>() {
        let id = chain.state.validators().get(other).unwrap().id;
        let votes = vec![FinalityVote { kind: VoteKind::Final, txid: parent.txid() }];
        let batch = VoteBatch::signed(chain.state.chain_id(), 1, id, 1, votes, &operator(other));
        node.hear(Message::VoteBatch(Released::heard(batch)));
    }
    node.feed(Event::Transaction(child.clone()));
    let is_told = |node: &Node| {
        let tells = |it: &Notification| matches!(it, Notification::Locked(of) if of.txid() == child.txid());
        node.around.told.iter().any(tells) && node.consensus.finality().transaction(&child.txid()).is_some()
    };
    assert!(is_told(&node), "its parent is final");
    let mut again = Node::with_records(&before, &blocks, due_ms, node.around.written.clone());
    assert!(!is_told(&again));
    to_next_epoch(&mut again, &mut before.clone());
    assert!(is_told(&again));
}

/// Its chain was lost and its journal was not. Whoever hears two batches of one number takes its key for a copied one.
#[test]
fn the_numbers_of_its_batches_go_on_in_an_epoch_that_comes_back() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let before = chain.clone();
    let due_ms = chain.state.epoch_start() + chain.state.parameters().epoch_duration_ms;
    let mut node = Node::new(&chain, &blocks, due_ms);
    let to_next_epoch = |node: &mut Node, chain: &mut Chain| {
        node.decide(chain, due_ms, false, &[]);
        node.decide(chain, due_ms + 1, true, &[]);
    };
    // Each leaves in a batch of its own, with what else is said of it.
    let numbers = |node: &Node, payment: &CheckedTransaction| -> Vec<u64> {
        let batches = node.around.said.iter().filter_map(|message| match message {
            Message::VoteBatch(batch) if batch.votes.iter().any(|vote| vote.txid == payment.txid()) => {
                Some((batch.header.epoch, batch.header.seq))
            }
            _ => None,
        });
        batches.filter(|(epoch, _)| *epoch == 1).map(|(_, seq)| seq).collect()
    };
    to_next_epoch(&mut node, &mut chain);
    for (nth, seq) in [(0, 0), (1, 1)] {
        let payment = chain.payment(nth);
        node.feed(Event::Transaction(payment.clone()));
        assert_eq!(numbers(&node, &payment), [seq]);
    }
    let mut again = Node::with_records(&before, &blocks, due_ms, node.around.written.clone());
    to_next_epoch(&mut again, &mut before.clone());
    let payment = chain.payment(2);
    again.feed(Event::Transaction(payment.clone()));
    assert_eq!(numbers(&again, &payment), [2]);
}
