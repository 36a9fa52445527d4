//! Votes that wait: until blocks have caught up, or while the node holds them.

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
