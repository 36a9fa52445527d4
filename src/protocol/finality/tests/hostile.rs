//! What strangers, owners of their own coins, and a single member can't do to the machine.

use super::*;
use crate::protocol::finality::{
    RIVALS_MAX, UNCERTIFIED_BYTES_MAX, UNKNOWN_VOTES_OF_ALL_MAX, WAITING_INPUTS_MAX, conflict_order,
};
use crate::types::{SecretKey, Transaction};

const COIN: u64 = 100_000_000_000;

/// A transfer of these coins to user 3, signed by these keys.
fn signed_by(
    fixture: &Fixture,
    inputs: Vec<OutPoint>,
    value: u64,
    keys: &[&SecretKey],
) -> CheckedTransaction {
    let outputs = vec![TxOut { value: Amount(value), lock: lock(&user(3)) }];
    let transaction = Transaction::transfer(inputs, outputs, Vec::new());
    fixture.chain.check(transaction.signed(fixture.chain.state.chain_id(), keys))
}

/// The coins of users 0 and 1 in one payment: as it should be, without one owner, and with a stranger's witness too.
fn copies(fixture: &Fixture) -> [CheckedTransaction; 3] {
    let inputs = || vec![fixture.coin(0).0, fixture.coin(1).0];
    let signers: [&[&SecretKey]; 3] = [&[&user(0), &user(1)], &[&user(0), &user(77)], &[&user(0), &user(1)]];
    let mut copies = signers.map(|keys| signed_by(fixture, inputs(), 2 * COIN - 1_000, keys));
    // Two inputs need two witnesses at most, so the surplus one stands in place of an owner's.
    copies[2] = signed_by(fixture, inputs(), 2 * COIN - 1_000, &[&user(1), &user(78)]);
    assert!(copies.iter().all(|copy| copy.txid() == copies[0].txid()));
    copies
}

fn is_bad_copy(effects: &[Effect]) -> bool {
    matches!(effects, [Effect::BadCopy { error, .. }] if error.is_of_this_copy_only())
}

fn dropped(effects: &[Effect]) -> Vec<(TxId, DropReason)> {
    let of = |effect: &Effect| match effect {
        Effect::Dropped { txid, reason } => Some((*txid, reason.clone())),
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

fn finish_epoch(fixture: &mut Fixture) -> Vec<Effect> {
    fixture.block(1_000, false, &[]);
    let duration = fixture.chain.state.parameters().epoch_duration_ms;
    fixture.block(duration, false, &[]);
    fixture.block(1, true, &[])
}

fn invented(number: u32) -> TxId {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    TxId(bytes)
}

#[test]
fn a_bad_copy_condemns_itself_alone_before_and_after_certification() {
    for is_certified in [false, true] {
        let mut fixture = Fixture::new();
        let [good, without_an_owner, of_a_stranger] = copies(&fixture);
        let txid = good.txid();
        if is_certified {
            fixture.all_vote(lock_vote(txid), &[1, 2, 3]);
        }
        for bad in [&without_an_owner, &of_a_stranger] {
            assert!(is_bad_copy(&fixture.receive(bad)), "INV-FIN-7");
            assert!(fixture.machine.transaction(&txid).is_none(), "a bad copy is no body");
        }
        assert_eq!(fixture.machine.wanted_bodies().count(), usize::from(is_certified), "still asked for");
        let said = cast(&fixture.receive(&good));
        if is_certified {
            assert_eq!(said, [lock_vote(txid), final_vote(txid)]);
        } else {
            assert_eq!(said, [lock_vote(txid)]);
        }
        assert_eq!(fixture.machine.transaction(&txid), Some(&good));
        assert!(fixture.receive(&without_an_owner).is_empty(), "the body is here");
        assert_eq!(fixture.machine.transaction(&txid), Some(&good));
    }
}

#[test]
fn a_bad_copy_whose_parent_is_not_here_makes_room_once_it_is() {
    let mut fixture = Fixture::new();
    let parent = fixture.pay(0, 1);
    let inputs = || vec![OutPoint { txid: parent.txid(), index: 0 }];
    let value = parent.outputs()[0].value.0 - 1_000;
    let good = signed_by(&fixture, inputs(), value, &[&user(1)]);
    let bad = signed_by(&fixture, inputs(), value, &[&user(77)]);
    assert_eq!(good.txid(), bad.txid());
    fixture.all_vote(lock_vote(good.txid()), &[1, 2, 3]);
    assert!(matches!(fixture.receive(&bad)[..], [Effect::WaitingForInputs(_)]));
    assert!(!fixture.machine.promises().contains(&good.txid()), "no promise on a copy that is not checked");
    assert_eq!(fixture.machine.wanted_bodies().count(), 0, "nobody can tell a better one now");
    let effects = fixture.receive(&parent);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::BadCopy { .. })), "{effects:?}");
    assert_eq!(fixture.machine.wanted_bodies().collect::<Vec<_>>(), [good.txid()]);
    assert_eq!(cast(&fixture.receive(&good)), [final_vote(good.txid())], "its owner is known by its parent");
}

#[test]
fn a_child_whose_copy_came_first_is_a_body_once_its_parent_is_here() {
    let mut fixture = Fixture::new();
    let parent = fixture.pay(0, 1);
    let child = fixture.spend(&parent, 1, 2);
    let grandchild = fixture.spend(&child, 2, 3);
    for transaction in [&grandchild, &child] {
        assert!(matches!(fixture.receive(transaction)[..], [Effect::WaitingForInputs(_)]));
        assert!(fixture.machine.transaction(&transaction.txid()).is_none());
    }
    assert_eq!(cast(&fixture.receive(&parent))[..], [lock_vote(parent.txid())]);
    assert!(fixture.machine.transaction(&grandchild.txid()).is_some());
    for (transaction, next) in [(&parent, Some(&child)), (&child, Some(&grandchild)), (&grandchild, None)] {
        fixture.all_vote(lock_vote(transaction.txid()), &[1, 2, 3]);
        let said = cast(&fixture.all_vote(final_vote(transaction.txid()), &[1, 2, 3]));
        assert_eq!(said, next.map(|next| lock_vote(next.txid())).into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn one_with_an_unknown_input_holds_and_displaces_nothing_and_goes_with_the_epoch() {
    let mut fixture = Fixture::new();
    let (first, second) = (fixture.pay(0, 1), fixture.pay(0, 2));
    fixture.receive(&first);
    fixture.receive(&second);
    let coin = fixture.coin(0).0;
    for number in 0..64 {
        let unknown = OutPoint { txid: invented(number), index: 0 };
        let mixed = signed_by(&fixture, vec![coin, unknown], 1_000, &[&user(0)]);
        let effects = fixture.receive(&mixed);
        assert!(matches!(effects[..], [Effect::WaitingForInputs(_)]), "{effects:?}");
    }
    let free = fixture.coin(1).0;
    let unknown = OutPoint { txid: invented(99), index: 0 };
    let mixed = signed_by(&fixture, vec![free, unknown], 1_000, &[&user(77)]);
    fixture.receive(&mixed);
    assert_eq!(fixture.machine.locked_to(&free), None);
    let effects = finish_epoch(&mut fixture);
    let ended = dropped(&effects).into_iter().filter(|(_, reason)| *reason == DropReason::EpochEnded);
    assert_eq!(ended.count(), 65);
    let expected = [&first, &second].into_iter().min_by_key(|tx| conflict_order(1, &tx.txid())).unwrap();
    assert_eq!(cast(&effects), [lock_vote(expected.txid())]);
    assert_eq!(fixture.machine.sizes().waiting_inputs, 0);
}

#[test]
fn what_waits_is_bounded_and_counted_back_whyever_it_goes() {
    let mut fixture = Fixture::new();
    let coin = fixture.coin(0).0;
    let wide = |fixture: &Fixture, start: u32| {
        let unknown = (0..900).map(|place| OutPoint { txid: invented(start), index: place });
        let inputs = unknown.chain([coin]).collect();
        signed_by(fixture, inputs, 1_000, &[&user(0)])
    };
    let limit = u32::try_from(WAITING_INPUTS_MAX / 900).unwrap();
    for number in 0..limit {
        let effects = fixture.receive(&wide(&fixture, number));
        assert!(matches!(effects[..], [Effect::WaitingForInputs(_)]));
    }
    let effects = fixture.receive(&wide(&fixture, limit));
    assert_eq!(dropped(&effects).len(), 1, "no room");
    assert_eq!(dropped(&effects)[0].1, DropReason::NoRoom);
    let of_one = wide(&fixture, 0).txid();
    assert_eq!(dropped(&fixture.step(Input::Expired(vec![of_one]))), [(of_one, DropReason::Expired)]);
    let effects = fixture.receive(&wide(&fixture, limit));
    assert!(matches!(effects[..], [Effect::WaitingForInputs(_)]), "and now there is: {effects:?}");
    finish_epoch(&mut fixture);
    let sizes = fixture.machine.sizes();
    assert_eq!((sizes.unlocked, sizes.waiting_inputs, sizes.entries), (0, 0, 0), "nothing is carried over");
}

#[test]
fn a_long_chain_of_children_becomes_known_in_one_step() {
    let mut fixture = Fixture::new();
    let parent = fixture.pay(0, 1);
    let mut chain = vec![parent.clone()];
    for _ in 0..3_000 {
        chain.push(fixture.spend(chain.last().unwrap(), 1, 1));
    }
    for child in chain[1..].iter().rev() {
        let view = ChainView { state: &fixture.chain.state, utxos: &fixture.chain.utxos };
        drop(fixture.machine.step(&view, Input::TransactionReceived(child.clone())));
    }
    fixture.receive(&parent);
    assert!(chain.iter().all(|transaction| fixture.machine.transaction(&transaction.txid()).is_some()));
}

#[test]
fn the_descendants_of_a_conflicts_loser_go_with_it() {
    let mut fixture = Fixture::new();
    let (loser, winner) = (fixture.pay(0, 1), fixture.pay(0, 2));
    let child = fixture.spend(&loser, 1, 2);
    let grandchild = fixture.spend(&child, 2, 3);
    fixture.receive(&loser);
    fixture.receive(&winner);
    fixture.receive(&child);
    fixture.receive(&grandchild);
    let effects = fixture.block(1_000, false, std::slice::from_ref(&winner));
    let expected = [
        (loser.txid(), DropReason::SpentBy(winner.txid())),
        (child.txid(), DropReason::ParentDropped(loser.txid())),
        (grandchild.txid(), DropReason::ParentDropped(child.txid())),
    ];
    assert_eq!(dropped(&effects), expected);
    let sizes = fixture.machine.sizes();
    assert_eq!((sizes.unlocked, sizes.waiting_inputs), (0, 0));
    assert!(fixture.receive(&loser).is_empty());
}

/// Its name binds what it spends, so no other copy is better: it is asked for no more.
#[test]
fn who_spends_what_its_parent_does_not_make_is_condemned_in_all_copies_with_its_child() {
    let mut fixture = Fixture::new();
    let parent = fixture.pay(0, 1);
    let missing = OutPoint { txid: parent.txid(), index: 1 };
    let orphan = signed_by(&fixture, vec![missing], 9_000, &[&user(1)]);
    let child = fixture.spend(&orphan, 3, 2);
    fixture.receive(&parent);
    assert!(matches!(fixture.receive(&child)[..], [Effect::WaitingForInputs(_)]));
    fixture.all_vote(lock_vote(orphan.txid()), &[1, 2]);
    assert_eq!(fixture.machine.wanted_bodies().collect::<Vec<_>>(), [orphan.txid()]);
    let expected = [
        (orphan.txid(), DropReason::Invalid(TransactionError::MissingInput { outpoint: missing })),
        (child.txid(), DropReason::ParentDropped(orphan.txid())),
    ];
    assert_eq!(dropped(&fixture.receive(&orphan)), expected);
    fixture.votes(3, &[lock_vote(orphan.txid())]);
    assert_eq!(fixture.machine.wanted_bodies().count(), 0);
    assert!(fixture.receive(&orphan).is_empty());
}

/// Nobody may keep a place beside what a block has taken.
#[test]
fn a_block_ends_what_was_kept_beside_the_one_that_it_contains() {
    let mut fixture = Fixture::new();
    let (held, rival) = (fixture.pay(0, 1), fixture.pay(0, 2));
    fixture.receive(&held);
    assert!(dropped(&fixture.receive(&rival)).is_empty(), "it may be the one in the next epoch");
    let effects = fixture.block(1_000, false, std::slice::from_ref(&held));
    assert_eq!(dropped(&effects), [(rival.txid(), DropReason::SpentBy(held.txid()))]);
    assert!(fixture.machine.transaction(&rival.txid()).is_none());
}

/// Rule 6: its parent may be carried over, and become final or not; whoever wants it sends it again.
#[test]
fn a_child_that_waits_at_the_end_of_its_epoch_is_not_carried_over_with_its_parent() {
    let mut fixture = Fixture::new();
    let parent = fixture.pay(0, 1);
    let child = fixture.spend(&parent, 1, 2);
    fixture.receive(&parent);
    fixture.receive(&child);
    let effects = finish_epoch(&mut fixture);
    assert_eq!(dropped(&effects), [(child.txid(), DropReason::EpochEnded)]);
    assert_eq!(cast(&effects), [lock_vote(parent.txid())]);
}

/// INV-FIN-6: many members have no more of them together than few.
#[test]
fn votes_without_a_body_are_shared_out_among_the_members() {
    const MEMBERS: usize = 16;
    let chain = Chain::new(&document(&[1; MEMBERS], 4));
    let machine = Machine::new(None, &chain.state, JournaledVotes::default(), BTreeSet::new());
    let mut fixture = Fixture { chain, machine, next_seq: 0 };
    let share = UNKNOWN_VOTES_OF_ALL_MAX / MEMBERS;
    assert!(share < UNKNOWN_VOTES_MAX as usize);
    let votes: Vec<_> = (0..share as u32 + 9).map(|number| lock_vote(invented(number))).collect();
    fixture.votes(3, &votes);
    assert_eq!(fixture.machine.entries_without_body(), share);
    let payment = fixture.pay(0, 1);
    fixture.receive(&payment);
    fixture.all_vote(lock_vote(payment.txid()), &(3..MEMBERS).collect::<Vec<_>>());
    assert!(fixture.machine.is_certified(&payment.txid()), "its votes on what is there count");
}

/// INV-FIN-6: no body of it comes to anything.
#[test]
fn what_went_with_its_parent_is_asked_for_no_more() {
    let mut fixture = Fixture::new();
    // It spends a collateral that is bound.
    let parent = fixture.chain.split(&user(101), fixture.coin(101), lock(&user(1)), 1);
    let child = fixture.spend(&parent, 1, 2);
    fixture.all_vote(lock_vote(child.txid()), &[1, 2]);
    assert_eq!(fixture.machine.wanted_bodies().collect::<Vec<_>>(), [child.txid()]);
    fixture.receive(&child);
    assert_eq!(fixture.machine.wanted_bodies().count(), 0, "a copy waits for its parent");
    let gone = dropped(&fixture.receive(&parent));
    assert!(gone.contains(&(child.txid(), DropReason::ParentDropped(parent.txid()))), "{gone:?}");
    assert_eq!(fixture.machine.wanted_bodies().count(), 0);
}

/// What a closing block's proposer waits for; in whatever order votes and copy came.
#[test]
fn a_copy_that_waits_for_its_parent_is_no_body_of_a_certified_transaction() {
    for copy_first in [false, true] {
        let mut fixture = Fixture::new();
        let parent = fixture.pay(0, 1);
        let child = fixture.spend(&parent, 1, 2);
        if copy_first {
            fixture.receive(&child);
        }
        fixture.all_vote(lock_vote(child.txid()), &[1, 2, 3]);
        if !copy_first {
            fixture.receive(&child);
        }
        assert!(!fixture.machine.lacks_no_body(), "copy first: {copy_first}");
        assert_eq!(fixture.machine.wanted_bodies().count(), 0, "another copy would be no better");
        fixture.receive(&parent);
        assert!(fixture.machine.lacks_no_body() && fixture.machine.transaction(&child.txid()).is_some());
    }
}

/// One of them spends several of its outputs, and goes once.
#[test]
fn all_children_of_what_no_block_can_take_any_more_are_dropped_with_it() {
    let fixture = Fixture::new();
    let winner = fixture.pay(0, 1);
    let parent = fixture.chain.split(&user(0), fixture.coin(0), lock(&user(2)), 3);
    let child = |outputs: &[u32]| {
        let inputs = outputs.iter().map(|index| OutPoint { txid: parent.txid(), index: *index });
        signed_by(&fixture, inputs.collect(), COIN / 4, &[&user(2)])
    };
    for (one, two) in [(child(&[0]), child(&[1, 2])), (child(&[2]), child(&[0, 1]))] {
        let mut fixture = Fixture::new();
        for transaction in [&parent, &one, &two] {
            fixture.receive(transaction);
        }
        let gone = dropped(&fixture.block(1_000, false, std::slice::from_ref(&winner)));
        let of_parent = DropReason::ParentDropped(parent.txid());
        let expected = [
            (parent.txid(), DropReason::SpentBy(winner.txid())),
            (one.txid(), of_parent.clone()),
            (two.txid(), of_parent),
        ];
        assert_eq!(gone.len(), expected.len(), "{gone:?}");
        assert!(expected.iter().all(|one| gone.contains(one)), "{gone:?}");
    }
}

#[test]
fn a_child_outlives_a_body_that_was_only_let_go() {
    let mut fixture = Fixture::new();
    let (locked, parent) = (fixture.pay(0, 1), fixture.pay(0, 2));
    let child = fixture.spend(&parent, 2, 3);
    for transaction in [&locked, &parent, &child] {
        fixture.receive(transaction);
    }
    let effects = fixture.step(Input::Expired(vec![parent.txid()]));
    assert_eq!(dropped(&effects), [(parent.txid(), DropReason::Expired)], "a block may take it all the same");
    fixture.all_vote(lock_vote(parent.txid()), &[1, 2, 3]);
    assert_eq!(cast(&fixture.receive(&parent)), [final_vote(parent.txid())]);
    let effects = fixture.all_vote(final_vote(parent.txid()), &[1, 2, 3]);
    assert_eq!(cast(&effects), [lock_vote(child.txid())]);
}

#[test]
fn one_that_conflicts_at_many_outputs_goes_with_its_last_place() {
    let mut fixture = Fixture::with(|genesis| {
        let allocation = genesis.allocations[0].clone();
        genesis.allocations.extend(std::iter::repeat_n(allocation, 2));
    });
    let coins: Vec<OutPoint> =
        fixture.chain.owned(&user(0)).into_iter().map(|(outpoint, _)| outpoint).collect();
    assert_eq!(coins.len(), 3);
    let pay = |fixture: &Fixture, coins: &[OutPoint], value: u64| {
        signed_by(fixture, coins.to_vec(), value, &[&user(0)])
    };
    for coin in &coins {
        let holder = pay(&fixture, &[*coin], COIN - 9_000);
        assert_eq!(cast(&fixture.receive(&holder)).len(), 1);
    }
    // The worst of many, so that it can be displaced, and for each coin one that comes before it.
    let order = |transaction: &CheckedTransaction| conflict_order(1, &transaction.txid());
    let wide = (0..50).map(|more| pay(&fixture, &coins, 3 * COIN - 2_000 - more)).max_by_key(order).unwrap();
    assert!(matches!(fixture.receive(&wide)[..], [Effect::Conflicting { .. }]));
    for (place, coin) in coins.iter().enumerate() {
        let better = (0..500).map(|more| pay(&fixture, &[*coin], COIN - 2_000 - more));
        let better = better.into_iter().find(|transaction| order(transaction) < order(&wide)).unwrap();
        let effects = fixture.receive(&better);
        let expected: &[(TxId, DropReason)] =
            if place == 2 { &[(wide.txid(), DropReason::WorseConflict)] } else { &[] };
        assert_eq!(dropped(&effects), expected, "place {place}");
    }
    let effects = fixture.receive(&wide);
    assert_eq!(dropped(&effects), [(wide.txid(), DropReason::WorseConflict)], "it has no place any more");
}

#[test]
fn a_contradiction_is_found_however_many_conflict_with_one() {
    let count = RIVALS_MAX + 8;
    let mut fixture = Fixture::with(|genesis| {
        let allocation = genesis.allocations[0].clone();
        genesis.allocations.extend(std::iter::repeat_n(allocation, count - 1));
    });
    let coins: Vec<OutPoint> =
        fixture.chain.owned(&user(0)).into_iter().map(|(outpoint, _)| outpoint).collect();
    let all = signed_by(&fixture, coins.clone(), COIN, &[&user(0)]);
    fixture.receive(&all);
    let singles: Vec<_> =
        coins.iter().map(|coin| signed_by(&fixture, vec![*coin], COIN - 5_000, &[&user(0)])).collect();
    singles.iter().for_each(|single| drop(fixture.receive(single)));
    fixture.votes(2, &[lock_vote(all.txid())]);
    for single in &singles {
        let seen = contradictions(&fixture.votes(2, &[lock_vote(single.txid())]));
        assert_eq!(seen, [(2, BTreeSet::from([all.txid(), single.txid()]))]);
    }
}

/// A pair of which one body is not here proves nothing, and must not hide another one that does.
#[test]
fn a_contradiction_is_found_whatever_was_voted_for_bodies_that_were_let_go() {
    let mut before = 0;
    for to in 1..24 {
        let mut fixture = Fixture::new();
        let locked = fixture.pay(0, 77);
        let mut rivals =
            [to, to + 24].map(|to| fixture.chain.split(&user(0), fixture.coin(0), lock(&user(to)), 1));
        rivals.sort_by_key(|rival| conflict_order(1, &rival.txid()));
        let [kept, gone] = rivals;
        for transaction in [&locked, &gone, &kept] {
            fixture.receive(transaction);
        }
        assert!(fixture.machine.transaction(&gone.txid()).is_none(), "rule 6");
        let mut seen = fixture.votes(2, &[lock_vote(gone.txid())]);
        seen.extend(fixture.votes(2, &[lock_vote(locked.txid())]));
        assert!(contradictions(&seen).is_empty(), "one of the two bodies is not here");
        let seen = contradictions(&fixture.votes(2, &[lock_vote(kept.txid())]));
        assert_eq!(seen, [(2, BTreeSet::from([kept.txid(), locked.txid()]))]);
        before += usize::from(gone.txid() < locked.txid());
    }
    assert!(before > 0, "some come first among the rivals");
}

#[test]
fn votes_without_a_body_are_counted_back_when_bodies_come_and_go() {
    let mut fixture = Fixture::new();
    let payments: Vec<_> =
        (1..40).map(|to| fixture.chain.split(&user(0), fixture.coin(0), lock(&user(to)), 1)).collect();
    // INV-FIN-8 is held after each step. Most bodies are dropped as worse conflicts, with votes for them.
    for (place, payment) in payments.iter().enumerate() {
        fixture.votes(1 + place % 3, &[lock_vote(payment.txid()), final_vote(payment.txid())]);
        fixture.receive(payment);
        fixture.votes(1 + (place + 1) % 3, &[lock_vote(payment.txid())]);
    }
    assert!(fixture.machine.entries_without_body() > 10);
    fixture.block(1_000, false, &payments[5..6]);
    finish_epoch(&mut fixture);
    assert_eq!(fixture.machine.entries_without_body(), 0);
}

#[test]
fn final_votes_of_one_member_for_nothing_take_no_more_than_its_turns() {
    let mut fixture = Fixture::new();
    for start in (0..12_288).step_by(4_096) {
        let votes: Vec<_> = (start..start + 4_096).map(|number| final_vote(invented(number))).collect();
        fixture.votes(1, &votes);
    }
    let honest: Vec<TxId> =
        (1..40).map(|to| fixture.chain.split(&user(0), fixture.coin(0), lock(&user(to)), 1).txid()).collect();
    let votes: Vec<_> = honest.iter().map(|txid| final_vote(*txid)).collect();
    fixture.votes(2, &votes);
    let first: Vec<TxId> = fixture.machine.wanted_certificates().take(100).collect();
    assert!(honest.iter().all(|txid| first.contains(txid)), "each member has its turns");
    let unique: BTreeSet<_> = fixture.machine.wanted_certificates().collect();
    assert_eq!(unique.len(), fixture.machine.wanted_certificates().count(), "each once");
    // What is certified is wanted no more, whoever wanted it.
    fixture.votes(3, &votes[..1]);
    fixture.all_vote(lock_vote(honest[0]), &[0, 2, 3]);
    assert!(!fixture.machine.wanted_certificates().any(|txid| txid == honest[0]));
}

#[test]
fn a_certificate_that_several_members_want_is_asked_for_once() {
    let mut fixture = Fixture::new();
    let wanted: BTreeSet<TxId> = (0..4).map(invented).collect();
    let votes: Vec<_> = wanted.iter().map(|txid| final_vote(*txid)).collect();
    fixture.votes(1, &votes[..3]);
    fixture.votes(2, &votes);
    let mut asked: Vec<TxId> = fixture.machine.wanted_certificates().collect();
    asked.sort_unstable();
    assert_eq!(asked, Vec::from_iter(wanted));
}

#[test]
fn late_votes_for_what_a_block_contains_leave_nothing_behind() {
    let mut fixture = Fixture::new();
    let payment = fixture.pay(0, 77);
    let txid = payment.txid();
    fixture.receive(&payment);
    fixture.all_vote(lock_vote(txid), &[1, 2, 3]);
    fixture.block(1_000, false, std::slice::from_ref(&payment));
    assert_eq!(fixture.machine.sizes().entries, 0);
    fixture.votes(1, &[final_vote(txid)]);
    fixture.votes(0, &[lock_vote(txid), final_vote(txid)]);
    assert_eq!(fixture.machine.sizes().entries, 0);
    assert_eq!(fixture.machine.wanted_certificates().count(), 0);
}

#[test]
fn what_was_left_to_the_journal_comes_back_in_its_place() {
    let (mut before, mut after) = (0, 0);
    for to in 1..24 {
        let fixture = Fixture::new();
        let (spilled, rival) =
            (fixture.pay(0, 77), fixture.chain.split(&user(0), fixture.coin(0), lock(&user(to)), 1));
        let votes = vec![(lock_vote(spilled.txid()), spilled.inputs().to_vec())];
        let journaled = journal(0, JournaledEpoch { votes, closing: false });
        let machine = Machine::new(Some(fixture.key(0)), &fixture.chain.state, journaled, BTreeSet::new());
        let mut fixture = Fixture { machine, ..fixture };
        assert!(matches!(fixture.receive(&rival)[..], [Effect::Conflicting { .. }]));
        let effects = finish_epoch(&mut fixture);
        assert!(cast(&effects).is_empty(), "nothing is locked before the journal was read: {effects:?}");
        let ends =
            matches!(effects[..], [.., Effect::LoadBody(txid), Effect::CarryOver] if txid == spilled.txid());
        assert!(ends, "{effects:?}");
        let mut said = cast(&fixture.step(Input::BodyLoaded(spilled.clone())));
        said.extend(cast(&fixture.step(Input::CarriedOver)));
        let is_before = conflict_order(1, &spilled.txid()) < conflict_order(1, &rival.txid());
        *(if is_before { &mut before } else { &mut after }) += 1;
        let expected = if is_before { &spilled } else { &rival };
        assert_eq!(said, [lock_vote(expected.txid())], "rule 6");
    }
    assert!(before > 0 && after > 0);
}

/// A body may be read for two reasons, before all is carried over.
#[test]
fn a_body_that_is_loaded_twice_takes_nobodys_place() {
    for to in 1..24 {
        let fixture = Fixture::new();
        let spilled = fixture.pay(0, 77);
        let other = fixture.chain.split(&user(1), fixture.coin(1), lock(&user(to)), 1);
        let votes = vec![(lock_vote(spilled.txid()), spilled.inputs().to_vec())];
        let journaled = journal(0, JournaledEpoch { votes, closing: false });
        let machine = Machine::new(Some(fixture.key(0)), &fixture.chain.state, journaled, BTreeSet::new());
        let mut fixture = Fixture { machine, ..fixture };
        fixture.receive(&other);
        finish_epoch(&mut fixture);
        let loaded = || Input::BodyLoaded(spilled.clone());
        let mut said = Vec::new();
        for input in [loaded(), loaded(), Input::CarriedOver] {
            said.extend(cast(&fixture.step(input)));
        }
        said.sort_unstable();
        let mut expected = vec![lock_vote(spilled.txid()), lock_vote(other.txid())];
        expected.sort_unstable();
        assert_eq!(said, expected);
    }
}

#[test]
fn a_body_that_the_journal_lost_holds_up_nobody() {
    let fixture = Fixture::new();
    let (spilled, rival) = (fixture.pay(0, 1), fixture.pay(0, 2));
    let votes = vec![(lock_vote(spilled.txid()), spilled.inputs().to_vec())];
    let journaled = journal(0, JournaledEpoch { votes, closing: false });
    let machine = Machine::new(Some(fixture.key(0)), &fixture.chain.state, journaled, BTreeSet::new());
    let mut fixture = Fixture { machine, ..fixture };
    fixture.receive(&rival);
    finish_epoch(&mut fixture);
    assert_eq!(cast(&fixture.step(Input::CarriedOver)), [lock_vote(rival.txid())]);
}

#[test]
fn what_has_expired_is_not_carried_into_the_next_epoch() {
    let mut fixture = Fixture::new();
    let (locked, rival, fresh) = (fixture.pay(0, 1), fixture.pay(0, 2), fixture.pay(1, 2));
    for transaction in [&locked, &rival, &fresh] {
        fixture.receive(transaction);
    }
    let effects = fixture.step(Input::Expired(vec![locked.txid(), rival.txid(), invented(1)]));
    assert_eq!(dropped(&effects), [(rival.txid(), DropReason::Expired)], "a lock stays until the epoch ends");
    let coin = fixture.coin(0).0;
    assert_eq!(fixture.machine.locked_to(&coin), Some(locked.txid()));
    let effects = finish_epoch(&mut fixture);
    assert_eq!(dropped(&effects), [(locked.txid(), DropReason::Expired)]);
    assert_eq!(cast(&effects), [lock_vote(fresh.txid())]);
    assert_eq!(fixture.machine.locked_to(&coin), None);
}

#[test]
fn the_bounds_add_up() {
    // INV-FIN-6. Beside this share stand the certified ones, with a bound of the genesis document.
    const { assert!(UNCERTIFIED_BYTES_MAX <= 352 << 20) };
}

/// Else a stranger's bad copy could keep out the good one for as long as nobody sends it unasked.
#[test]
fn when_the_copy_that_was_kept_turns_out_bad_another_is_asked_for_if_votes_name_it() {
    for is_voted in [false, true] {
        let mut fixture = Fixture::new();
        let parent = fixture.pay(0, 1);
        let (good, bad) = (fixture.spend(&parent, 1, 2), fixture.spend(&parent, 3, 2));
        let txid = good.txid();
        assert_eq!(bad.txid(), txid);
        fixture.receive(&bad);
        if is_voted {
            fixture.all_vote(lock_vote(txid), &[1, 2]);
        }
        let effects = fixture.receive(&parent);
        assert!(
            effects.iter().any(|effect| matches!(effect, Effect::BadCopy { txid: of, .. } if *of == txid))
        );
        let wanted: Vec<TxId> = fixture.machine.wanted_bodies().collect();
        assert_eq!(wanted, if is_voted { vec![txid] } else { Vec::new() });
    }
}

/// The journal has it, and a copy that can't be judged yet is anybody's.
#[test]
fn a_copy_takes_no_place_of_a_body_that_was_left_to_the_journal() {
    let mut fixture = Fixture::new();
    let parent = fixture.pay(0, 1);
    let child = fixture.spend(&parent, 1, 2);
    let txid = child.txid();
    let of_epoch = JournaledEpoch { votes: vec![(lock_vote(txid), child.inputs().to_vec())], closing: false };
    let journaled = JournaledVotes { forgotten_before: 0, epochs: BTreeMap::from([(0, of_epoch)]) };
    let me = fixture.key(0);
    fixture.machine = Machine::new(Some(me), &fixture.chain.state, journaled, BTreeSet::new());
    assert_eq!(fixture.machine.spilled(), [txid]);
    // Its parent is not here, so that nobody knows whose witness it has to have.
    assert!(fixture.receive(&child).is_empty());
    assert_eq!(fixture.machine.spilled(), [txid], "it is read from there");
}

/// What was asked for is not turned away for what was not.
#[test]
fn a_certificate_counts_behind_a_flood_of_votes_for_what_does_not_exist() {
    let mut fixture = Fixture::new();
    let most = UNKNOWN_VOTES_MAX;
    for (place, first) in (1..4).zip((0..).step_by(most as usize)) {
        for start in (first..first + most).step_by(4_096) {
            let votes: Vec<_> = (start..start + 4_096).map(|number| lock_vote(invented(number))).collect();
            fixture.votes(place, &votes);
        }
    }
    let vote = lock_vote(fixture.pay(0, 1).txid());
    fixture.all_vote(vote, &[1, 2, 3]);
    assert!(!fixture.machine.is_certified(&vote.txid), "there is no room for more");
    let votes = (1..4).map(|place| fixture.chain.votes(place, 9, vec![vote]).prove(0).unwrap());
    let certificate = Certificate { vote, epoch: 0, votes: votes.collect() };
    fixture.step(Input::CertificateReceived(Released::heard(certificate)));
    assert!(fixture.machine.is_certified(&vote.txid));
}

/// What is no member's vote takes nothing from the votes behind it.
#[test]
fn a_certificate_counts_by_its_members_votes_whoever_stands_among_them() {
    for members in [2, 3] {
        let mut fixture = Fixture::new();
        let vote = lock_vote(fixture.pay(0, 1).txid());
        let prove = |place| fixture.chain.votes(place, 9, vec![vote]).prove(0).unwrap();
        let mut votes: Vec<_> = (1..=members).map(prove).collect();
        let mut stranger = votes[0].clone();
        stranger.header.validator = MasternodeId([9; 32]);
        votes.insert(0, stranger);
        let certificate = Certificate { vote, epoch: 0, votes };
        fixture.step(Input::CertificateReceived(Released::heard(certificate)));
        assert_eq!(fixture.machine.is_certified(&vote.txid), members == 3);
    }
}

/// Each would hold a batch in memory, and make the certificate larger for everybody.
#[test]
fn a_certificate_has_no_more_votes_than_it_needs() {
    let mut fixture = Fixture::new();
    let vote = lock_vote(fixture.pay(0, 1).txid());
    fixture.all_vote(vote, &[0, 1, 2, 3]);
    assert_eq!(fixture.machine.certificate(vote).unwrap().votes.len(), 3);
}
