//! What a node may sign after a restart, whatever else its disk has lost.

use timed::types::{FinalityVote, Message, VoteKind, VoteStep};

use crate::one_node::{ME, OneNode, peer};

/// How many batches of votes it has sent.
fn batches(one: &OneNode) -> usize {
    one.published.iter().filter(|message| matches!(message, Message::VoteBatch(_))).count()
}

/// The heights of its block votes so far.
fn heights(one: &OneNode) -> Vec<u64> {
    let height = |message: &Message| match message {
        Message::BlockVote(vote) => Some(vote.height),
        Message::Proposal(proposal) => Some(proposal.block.header.height),
        _ => None,
    };
    one.published.iter().filter_map(height).collect()
}

/// It dies when the last ordinary block is durable and the record of closing is not.
fn dead_at_closing() -> OneNode {
    let mut one = OneNode::new(&[1, 2, 3]);
    one.dies_at_closing = true;
    one.commit_while(|_| true);
    one.dies_at_closing = false;
    one
}

/// INV-ENGINE-4, INV-RESTORE-2.
#[test]
fn closing_is_journaled_by_the_next_start_if_a_crash_came_before() {
    let mut one = dead_at_closing();
    one.start();
    assert!(one.state().is_closing());
    // It prevotes at a closing height; then it loses the chain, and would see an epoch that is far from closing.
    one.wait(1_000);
    assert_eq!(heights(&one).last(), Some(&(one.state().height() + 1)), "it takes part in closing");
    one.crash();
    one.node.wipe_chain();
    one.start();
    assert_eq!(one.state().height(), 0);
    one.pay(one.payment(1));
    one.wait(100);
    assert_eq!(batches(&one), 0, "it has prevoted on the epoch's end");
}

#[test]
fn a_chain_lost_before_closing_was_known_to_anybody_binds_nobody() {
    let mut one = dead_at_closing();
    one.node.wipe_chain();
    one.start();
    one.pay(one.payment(1));
    one.wait(100);
    assert_eq!(batches(&one), 0, "the last ordinary block may be decided in this round yet");
    let round = one.running().consensus.bft().round();
    for by in [1, 2, 3] {
        let vote = one.vote(by, VoteStep::Precommit, round, None);
        one.hear(1, vote);
    }
    one.wait(1_000);
    assert_eq!(batches(&one), 1);
}

/// INV-DISPATCH-2.
#[test]
fn nothing_is_signed_again_in_epochs_that_the_journal_has_forgotten() {
    let mut one = OneNode::new(&[1, 2, 3]);
    one.pay(one.payment(1));
    one.commit_while(|one| one.state().next_epoch() < 3);
    let (voted, signed) = (batches(&one), heights(&one).len());
    assert!(voted > 0 && signed > 0);
    one.crash();
    one.node.wipe_chain();
    one.start();
    one.pay(one.payment(2));
    one.wait(5_000);
    for round in 0..4 {
        for by in [1, 2, 3] {
            let vote = one.vote(by, VoteStep::Prevote, round, None);
            one.hear(1, vote);
        }
        one.wait(1_000);
    }
    assert_eq!(batches(&one), voted, "the journal no longer knows its vote for the rival");
    assert_eq!(heights(&one).len(), signed, "nor its votes on the blocks of these heights");
}

/// INV-DISPATCH-2.
#[test]
fn nor_in_those_between_once_the_chain_comes_back() {
    let mut one = OneNode::new(&[1, 2, 3]);
    one.commit_while(|one| one.state().next_epoch() < 3);
    one.crash();
    one.node.wipe_chain();
    one.start();
    let first_of_last = one.chain.iter().position(|block| block.block.header.epoch == 2).expect("its blocks");
    one.chain.truncate(first_of_last + 1);
    one.published.clear();
    one.sync_from(1);
    assert_eq!(one.state().next_epoch(), 2, "two epochs have begun since");
    one.pay(one.payment(2));
    one.wait(5_000);
    assert!(one.published.is_empty(), "the journal has the third epoch and later ones: {:?}", one.published);
}

/// INV-RESTORE-1.
#[test]
fn what_was_voted_in_an_epoch_is_served_again_when_the_chain_is_back_in_it() {
    let mut one = OneNode::new(&[1, 2, 3]);
    one.commit_while(|one| one.state().next_epoch() < 1);
    let txid = one.pay(one.payment(1)).txid();
    let lock = FinalityVote { kind: VoteKind::Lock, txid };
    for by in [1, 2] {
        let batch = one.batch(by, 0, vec![lock]);
        one.hear(1, batch);
    }
    one.wait(50);
    assert!(one.running().consensus.finality().promises().contains(&txid));
    let own: Vec<_> = one.published.iter().filter(|m| matches!(m, Message::VoteBatch(_))).cloned().collect();
    one.crash();
    one.node.wipe_chain();
    one.start();
    one.sync_from(1);
    assert_eq!(one.state().next_epoch(), 1);
    assert!(one.running().consensus.finality().promises().contains(&txid));
    one.sent.clear();
    one.hear(2, Message::GetBatches { epoch: 1, validator: one.member(ME), from_seq: 0, count: 10 });
    one.hear(2, Message::GetCertificates(VoteKind::Lock, vec![txid]));
    one.hear(2, Message::GetTransactions(vec![txid]));
    let answers: Vec<_> = one.sent.iter().filter(|(to, _)| *to == peer(2)).map(|(_, m)| m.clone()).collect();
    assert!(own.len() == 2 && own.iter().all(|batch| answers.contains(batch)), "its own votes");
    let certificate = |message: &Message| match message {
        Message::Certificates(found) => found.iter().any(|certificate| certificate.vote == lock),
        _ => false,
    };
    assert!(answers.iter().any(certificate), "what its promise stands on");
    let body = |message: &Message| match message {
        Message::Transactions(found) => found.iter().any(|body| body.txid() == txid),
        _ => false,
    };
    assert!(answers.iter().any(body), "the body");
}
