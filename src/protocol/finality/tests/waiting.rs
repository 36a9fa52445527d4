//! Votes that wait: until blocks have caught up, or while the node holds them.

use std::sync::Arc;

use super::*;

#[test]
fn locks_wait_while_too_many_certified_transactions_wait_for_blocks() {
    let mut fixture = Fixture::with(|genesis| genesis.parameters.voted_unblocked_max = 1);
    let (first, second) = (fixture.pay(0, 1), fixture.pay(1, 2));
    fixture.receive(&first);
    fixture.all_vote(lock_vote(first.txid()), &[1, 2, 3]);
    assert!(cast(&fixture.receive(&second)).is_empty());
    let effects = fixture.block(1_000, false, &[first]);
    assert_eq!(cast(&effects), [lock_vote(second.txid())]);
}

/// What is certified adds nothing that blocks have to catch up with: locks alone wait, those that were held too.
#[test]
fn what_was_held_while_blocks_lag_says_its_final_votes_at_once_and_its_locks_later() {
    let mut fixture = Fixture::with(|genesis| genesis.parameters.voted_unblocked_max = 1);
    let (certified, locked) = (fixture.pay(0, 1), fixture.pay(1, 2));
    fixture.step(Input::VotesHeld(true));
    for transaction in [&certified, &locked] {
        assert!(cast(&fixture.receive(transaction)).is_empty());
    }
    assert!(cast(&fixture.all_vote(lock_vote(certified.txid()), &[1, 2, 3])).is_empty());
    assert_eq!(cast(&fixture.step(Input::VotesHeld(false))), [final_vote(certified.txid())]);
    let effects = fixture.block(1_000, false, &[certified]);
    assert_eq!(cast(&effects), [lock_vote(locked.txid())]);
}

#[test]
fn all_locks_that_waited_for_blocks_are_said_once_blocks_have_caught_up() {
    let mut fixture = Fixture::with(|genesis| genesis.parameters.voted_unblocked_max = 2);
    let [first, second, third, fourth] =
        [(0, 1), (1, 2), (2, 3), (3, 0)].map(|(from, to)| fixture.pay(from, to));
    for certified in [&first, &second] {
        fixture.receive(certified);
        fixture.all_vote(lock_vote(certified.txid()), &[1, 2, 3]);
    }
    for waits in [&third, &fourth] {
        assert!(cast(&fixture.receive(waits)).is_empty());
    }
    let effects = fixture.block(1_000, false, &[first, second]);
    assert_eq!(cast(&effects), [lock_vote(third.txid()), lock_vote(fourth.txid())]);
}

#[test]
fn what_is_held_is_said_with_the_next_block_or_when_the_hold_ends() {
    for by_block in [false, true] {
        let mut fixture = Fixture::new();
        let (locked, certified) = (fixture.pay(0, 1), fixture.pay(1, 2));
        assert!(fixture.step(Input::VotesHeld(true)).is_empty());
        assert!(cast(&fixture.receive(&locked)).is_empty() && cast(&fixture.receive(&certified)).is_empty());
        assert!(cast(&fixture.all_vote(lock_vote(certified.txid()), &[1, 2, 3])).is_empty());
        assert!(fixture.machine.promises().is_empty());
        let effects =
            if by_block { fixture.block(1, false, &[]) } else { fixture.step(Input::VotesHeld(false)) };
        let mut expected =
            vec![lock_vote(locked.txid()), lock_vote(certified.txid()), final_vote(certified.txid())];
        expected.sort_unstable();
        let mut said = cast(&effects);
        said.sort_unstable();
        assert_eq!(said, expected);
        assert!(cast(&fixture.step(Input::VotesHeld(false))).is_empty(), "once");
    }
}

/// INV-FIN-6: what is certified is bounded in bytes as well, which a few large payments reach before their number does.
#[test]
fn locks_wait_while_too_many_certified_bytes_wait_for_blocks() {
    for (spare, waits) in [(0, true), (1, false)] {
        let mut fixture = Fixture::new();
        let (first, second) = (fixture.pay(0, 1), fixture.pay(1, 2));
        let mut parameters = fixture.chain.state.parameters().as_ref().clone();
        parameters.voted_unblocked_bytes_max = u64::try_from(first.encoded_bytes()).unwrap() + spare;
        fixture.chain.state.parameters = Arc::new(parameters);
        let me = Some(fixture.key(0));
        let (state, journaled) = (&fixture.chain.state, JournaledVotes::default());
        fixture.machine = Machine::new(me, state, journaled, BTreeSet::new());
        fixture.receive(&first);
        fixture.all_vote(lock_vote(first.txid()), &[1, 2, 3]);
        assert_eq!(cast(&fixture.receive(&second)).is_empty(), waits, "{spare} bytes to spare");
        let effects = fixture.block(1_000, false, &[first]);
        assert_eq!(cast(&effects) == [lock_vote(second.txid())], waits, "{spare} bytes to spare");
    }
}

/// Its votes decide: it is bounded as a certified one, and is not left behind at the epoch's end like one that waits.
#[test]
fn what_others_have_certified_waits_for_nothing_any_more() {
    let mut fixture = Fixture::new();
    let parent = fixture.pay(0, 1);
    let child = fixture.spend(&parent, 1, 2);
    fixture.receive(&parent);
    assert!(matches!(fixture.receive(&child)[..], [Effect::WaitingForInputs(_)]));
    assert_eq!(fixture.machine.sizes().waiting_inputs, 1);
    let said = cast(&fixture.all_vote(lock_vote(child.txid()), &[1, 2, 3]));
    assert_eq!(said, [final_vote(child.txid())]);
    let sizes = fixture.machine.sizes();
    assert_eq!((sizes.waiting_inputs, sizes.unlocked), (0, 0));
    assert!(fixture.machine.explain(&child.txid()).unwrap().waits_for.is_empty());
    assert_eq!(fixture.machine.candidates().collect::<Vec<_>>(), [&child]);
}

/// Lock votes may have been lost on their way here: the others say that it is final all the same.
#[test]
fn a_body_is_asked_for_beyond_a_third_of_the_final_votes_alone() {
    let mut fixture = Fixture::new();
    let payment = fixture.pay(0, 1);
    let vote = final_vote(payment.txid());
    fixture.votes(1, &[vote]);
    assert_eq!(fixture.machine.wanted_bodies().count(), 0, "one of four may be lying");
    fixture.votes(2, &[vote]);
    assert_eq!(fixture.machine.wanted_bodies().collect::<Vec<_>>(), [payment.txid()]);
    assert!(finalized(&fixture.votes(3, &[vote])).is_empty());
    assert_eq!(finalized(&fixture.receive(&payment)), [payment.txid()]);
    assert_eq!(fixture.machine.wanted_bodies().count(), 0);
}

/// Else more than a third of the weight, which certifies nothing, could keep a node from proposing by what does not exist.
#[test]
fn a_proposer_waits_for_the_bodies_of_what_is_certified_and_for_no_others() {
    let mut fixture = Fixture::new();
    let payment = fixture.pay(0, 1);
    fixture.all_vote(lock_vote(payment.txid()), &[1, 2]);
    assert_eq!(fixture.machine.wanted_bodies().count(), 1, "it is asked for");
    assert!(fixture.machine.lacks_no_body(), "and nobody waits for it");
    fixture.votes(3, &[lock_vote(payment.txid())]);
    assert!(!fixture.machine.lacks_no_body());
    fixture.receive(&payment);
    assert!(fixture.machine.lacks_no_body());
}

/// Whoever is sent less than a quorum can certify nothing by it, and blames the sender.
#[test]
fn certificates_and_proofs_are_given_of_a_quorum_only() {
    let mut fixture = Fixture::new();
    let txid = fixture.pay(0, 1).txid();
    for vote in [lock_vote(txid), final_vote(txid)] {
        for (place, is_quorum) in [(1, false), (2, false), (3, true)] {
            fixture.votes(place, &[vote]);
            let machine = &fixture.machine;
            assert_eq!(machine.certificate(vote).is_some(), is_quorum, "{vote:?} by {place}");
            assert_eq!(machine.certifying_votes(vote).is_some(), is_quorum, "{vote:?} by {place}");
            let proves_finality = is_quorum && vote.kind == VoteKind::Final;
            assert_eq!(machine.final_votes(&txid).is_some(), proves_finality, "{vote:?} by {place}");
        }
    }
}

/// INV-FIN-7: an output's name binds its owner, whatever is wrong with the copy of the transaction that makes it.
#[test]
fn a_copy_is_held_to_the_owner_whom_a_parent_names_that_is_no_body_yet() {
    let mut fixture = Fixture::new();
    let parent = fixture.spend(&fixture.pay(0, 1), 1, 2);
    fixture.receive(&parent);
    assert!(fixture.machine.transaction(&parent.txid()).is_none(), "its own parent is not here");
    let outputs = vec![TxOut { value: Amount(1_000), lock: lock(&user(3)) }];
    let inputs = vec![OutPoint { txid: parent.txid(), index: 0 }];
    let [bad, good] = [77, 2].map(|owner| fixture.chain.pay(&user(owner), inputs.clone(), outputs.clone()));
    assert_eq!(bad.txid(), good.txid());
    assert!(matches!(fixture.receive(&bad)[..], [Effect::BadCopy { .. }]));
    fixture.receive(&good);
    assert!(fixture.machine.transaction(&good.txid()).is_some());
}
