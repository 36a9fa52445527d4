//! What one node says, and how often, when its peers say odd things.

use timed::consensus::events::Event;
use timed::protocol::finality::{OTHER_BATCHES_MAX, RANGES_MAX};
use timed::types::message::{HeldBatches, NodeStatus};
use timed::types::{BlockBlueprint, BlockHash, FinalityVote, Message, Round, TxId, VoteKind, VoteStep};

use crate::one_node::{OneNode, peer};

/// How often a message was passed on.
fn relays(one: &OneNode, message: &Message) -> usize {
    one.relayed.iter().filter(|relayed| *relayed == message).count()
}

/// INV-GOSSIP-3.
#[test]
fn a_late_vote_that_is_not_kept_is_not_passed_on() {
    let mut one = OneNode::new(&[1, 2, 3]);
    one.wait(600);
    // Round 0 fails without this vote, and a later one decides.
    let late = one.vote(3, VoteStep::Precommit, 0, None);
    one.vote_round(false, &[1, 2]);
    assert!(one.running().consensus.bft().round() > 0);
    one.commit_until(1);
    for from in [1, 2, 3, 1, 2, 3] {
        one.hear(from, late.clone());
    }
    assert_eq!(relays(&one, &late), 0, "each peer would send it back for ever");
}

fn some_votes() -> Vec<FinalityVote> {
    vec![FinalityVote { kind: VoteKind::Lock, txid: TxId([7; 32]) }]
}

/// INV-BATCH-2.
#[test]
fn a_batch_below_all_that_is_remembered_counts_and_is_not_passed_on_again_and_again() {
    let mut one = OneNode::new(&[1, 2]);
    let txid = one.pay(one.payment(1)).txid();
    let lock = vec![FinalityVote { kind: VoteKind::Lock, txid }];
    // Gaps everywhere, so that each number is a range of its own.
    for seq in 1..=RANGES_MAX as u64 {
        let batch = one.batch(3, 2 * seq, some_votes());
        one.hear(1, batch);
    }
    let low = one.batch(3, 0, lock.clone());
    for from in [1, 2, 1, 2] {
        one.hear(from, low.clone());
    }
    assert_eq!(relays(&one, &low), 0, "each peer would send it back for ever");
    let other = one.batch(2, 0, lock);
    one.hear(1, other);
    assert!(one.running().consensus.finality().promises().contains(&txid), "but its votes count");
}

/// INV-GOSSIP-1.
#[test]
fn nothing_that_a_peer_says_makes_a_batch_count_as_received() {
    let mut one = OneNode::new(&[1, 2]);
    for validator in (0..4).map(|index| one.member(index)).collect::<Vec<_>>() {
        for before_seq in [1, 100, u64::MAX] {
            one.hear(1, Message::BatchesEnd { epoch: 0, validator, before_seq });
        }
    }
    let txid = one.pay(one.payment(1)).txid();
    for by in [1, 2] {
        let batch = one.batch(by, 0, vec![FinalityVote { kind: VoteKind::Lock, txid }]);
        one.hear(2, batch.clone());
        assert_eq!(relays(&one, &batch), 1);
    }
    assert!(one.running().consensus.finality().promises().contains(&txid));
}

/// INV-EVIDENCE-1, INV-GOSSIP-3.
#[test]
fn a_second_batch_under_one_number_counts_and_proves_the_contradiction() {
    let mut one = OneNode::new(&[1, 2]);
    let lock = |txid| vec![FinalityVote { kind: VoteKind::Lock, txid }];
    let (first, second) = (one.pay(one.payment(1)).txid(), one.pay(one.payment(2)).txid());
    // Two copies of a key, from one snapshot: both go on with the same number.
    let (here, there) = (one.batch(3, 0, lock(first)), one.batch(3, 0, lock(second)));
    for from in [1, 2, 1, 2] {
        one.hear(from, here.clone());
        one.hear(from, there.clone());
    }
    assert_eq!((relays(&one, &here), relays(&one, &there)), (1, 1), "others have to see both");
    let accused: Vec<_> = one.running().consensus.pending_evidence().map(|piece| piece.validator()).collect();
    assert_eq!(accused, [one.member(3)]);
}

/// INV-BATCH-3.
#[test]
fn a_flood_of_batches_under_one_number_ends() {
    let mut one = OneNode::new(&[1, 2]);
    let vote = |byte: u32| {
        let txid = TxId(*blake3::hash(&byte.to_le_bytes()).as_bytes());
        vec![FinalityVote { kind: VoteKind::Lock, txid }]
    };
    for version in 0..100 {
        let batch = one.batch(3, 0, vote(version));
        one.hear(1, batch);
    }
    let passed_on = one.relayed.iter().filter(|message| matches!(message, Message::VoteBatch(_))).count();
    assert_eq!(passed_on, 1 + OTHER_BATCHES_MAX);
}

/// What a peer says that has 10 batches of each validator.
fn rich(one: &OneNode) -> NodeStatus {
    NodeStatus { batches: vec![HeldBatches { from: 0, until: 10 }; 4], ..one.status() }
}

/// Requests for batches, as (peer, first number).
fn asked(one: &OneNode) -> Vec<(u8, u64)> {
    let number = |to| [1, 2, 3].into_iter().find(|number| peer(*number) == to).expect("a peer");
    let sent = one.sent.iter();
    sent.filter_map(|(to, message)| match message {
        Message::GetBatches { validator, from_seq, .. } if *validator == one.member(3) => {
            Some((number(*to), *from_seq))
        }
        _ => None,
    })
    .collect()
}

/// INV-PULL-1.
#[test]
fn lacking_batches_are_asked_of_one_peer_at_a_time() {
    let mut one = OneNode::new(&[1, 2, 3]);
    for _ in 0..2 {
        for from in [1, 2, 3] {
            let status = rich(&one);
            one.hear(from, Message::Status(status));
        }
        assert_eq!(asked(&one), [(1, 0)], "an answer is due");
        one.wait(250);
    }
    one.wait(1_500);
    for from in [1, 2, 3] {
        let status = rich(&one);
        one.hear(from, Message::Status(status));
    }
    assert_eq!(asked(&one), [(1, 0), (2, 0)], "the first one takes long");
    for seq in 0..4 {
        let batch = one.batch(3, seq, some_votes());
        one.hear(2, batch);
    }
    let end = Message::BatchesEnd { epoch: 0, validator: one.member(3), before_seq: 4 };
    one.hear(1, end.clone());
    assert_eq!(asked(&one).len(), 2, "another's answer");
    one.hear(2, end);
    assert_eq!(asked(&one), [(1, 0), (2, 0), (2, 4)], "what is left of what it has");
    one.feed(Event::PeerDisconnected(peer(2)));
    let status = rich(&one);
    one.hear(3, Message::Status(status));
    assert_eq!(asked(&one).last(), Some(&(3, 4)), "who is gone does not answer");
}

/// INV-PULL-2.
#[test]
fn what_an_answer_did_not_contain_is_asked_of_that_peer_again_after_a_while_only() {
    let mut one = OneNode::new(&[1]);
    let status = rich(&one);
    one.hear(1, Message::Status(status.clone()));
    assert_eq!(asked(&one), [(1, 0)]);
    // Of each member it has none: who answers nothing at all is passed over for longer.
    for member in 0..4 {
        one.hear(1, Message::BatchesEnd { epoch: 0, validator: one.member(member), before_seq: 10 });
    }
    one.hear(1, Message::Status(status.clone()));
    one.wait(1_900);
    one.hear(1, Message::Status(status.clone()));
    assert_eq!(asked(&one).len(), 1, "it had none of them");
    one.wait(200);
    one.hear(1, Message::Status(status));
    assert_eq!(asked(&one), [(1, 0), (1, 0)]);
}

/// INV-PULL-2.
#[test]
fn the_end_of_an_answer_says_nothing_of_what_was_not_asked_for() {
    let mut one = OneNode::new(&[1]);
    let status = rich(&one);
    one.hear(1, Message::Status(status));
    one.hear(1, Message::BatchesEnd { epoch: 0, validator: one.member(3), before_seq: u64::MAX });
    let status = NodeStatus { batches: vec![HeldBatches { from: 0, until: 20 }; 4], ..one.status() };
    one.hear(1, Message::Status(status));
    assert_eq!(asked(&one), [(1, 0), (1, 10)], "it may have come by them since");
}

#[test]
fn a_status_that_arrives_after_its_peer_has_gone_is_ignored() {
    let mut one = OneNode::new(&[1, 2]);
    one.feed(Event::PeerDisconnected(peer(1)));
    one.sent.clear();
    let status = NodeStatus { height: 100, ..rich(&one) };
    one.hear(1, Message::Status(status));
    one.wait(3_000);
    let gone: Vec<_> = one.sent.iter().filter(|(to, _)| *to == peer(1)).collect();
    assert!(gone.is_empty(), "{gone:?}");
    assert!(!one.running().consensus.is_syncing());
}

fn block_votes(one: &mut OneNode, by: &[usize], step: VoteStep, round: Round, value: Option<BlockHash>) {
    for by in by {
        let vote = one.vote(*by, step, round, value);
        one.hear(1, vote);
    }
}

/// Its own proposal of a round is prevoted by these of the others, and the round fails; what it was, and when.
fn proposed_in_vain(one: &mut OneNode, prevoters: &[usize]) -> (Round, BlockBlueprint) {
    one.wait(600);
    while !one.is_proposer() {
        one.vote_round(false, &[1, 2]);
    }
    let round = one.running().consensus.bft().round();
    let block = one.proposal(round).expect("its own").block.clone();
    block_votes(one, prevoters, VoteStep::Prevote, round, Some(block.header.hash()));
    block_votes(one, &[3], VoteStep::Prevote, round, None);
    one.wait(500);
    block_votes(one, &[1, 2, 3], VoteStep::Precommit, round, None);
    one.wait(1_000);
    (round, block)
}

#[test]
fn a_proposal_without_the_proof_that_it_names_is_not_had() {
    let mut one = OneNode::new(&[1, 2]);
    let (first, block) = proposed_in_vain(&mut one, &[1]);
    let round = one.running().consensus.bft().round();
    let proposal = one.again(round, first, &block);
    one.hear(2, proposal);
    assert!(!one.status().has_proposal, "peers see what it lacks");
    assert!(!one.has_prevoted(round));
    block_votes(&mut one, &[2], VoteStep::Prevote, first, Some(block.header.hash()));
    assert!(one.status().has_proposal && one.has_prevoted(round));
}

#[test]
fn a_block_is_proposed_again_together_with_its_proof() {
    let mut one = OneNode::new(&[1, 2]);
    let (first, block) = proposed_in_vain(&mut one, &[1, 2]);
    assert_eq!(one.running().consensus.bft().locked(), Some((first, block.header.hash())));
    while !one.is_proposer() {
        one.relayed.clear();
        one.vote_round(false, &[1, 2]);
    }
    let round = one.running().consensus.bft().round();
    assert_eq!(one.proposal(round).expect("its own").pol_round, Some(first));
    let proof: Vec<_> =
        [1, 2].map(|by| one.vote(by, VoteStep::Prevote, first, Some(block.header.hash()))).into();
    assert!(proof.iter().all(|vote| relays(&one, vote) == 1));
    // A peer that lost it says so.
    one.sent.clear();
    let status = NodeStatus { has_proposal: false, ..one.status() };
    one.hear(2, Message::Status(status));
    assert!(proof.iter().all(|vote| one.sent.contains(&(peer(2), vote.clone()))));
}
