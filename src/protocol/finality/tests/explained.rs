//! What is told of a transaction that is not final.

use super::*;
use crate::protocol::finality::{BodyPlace, Explanation, Rival};

fn explained(fixture: &Fixture, txid: TxId) -> Explanation {
    fixture.machine.explain(&txid).unwrap()
}

/// Places of the set whose votes are here: `Lock`, then `Final`.
fn voters(explanation: &Explanation) -> [Vec<usize>; 2] {
    let places = |has: fn(&crate::protocol::finality::MemberVotes) -> bool| {
        let members = explanation.votes.iter().enumerate();
        members.filter(|(_, member)| has(member)).map(|(place, _)| place).collect()
    };
    [places(|member| member.lock), places(|member| member.finalizes)]
}

#[test]
fn votes_are_told_by_member_from_the_first_one_to_finality() {
    let mut fixture = Fixture::new();
    let payment = fixture.pay(0, 1);
    let txid = payment.txid();
    assert!(fixture.machine.explain(&txid).is_none(), "nothing is known of it");
    fixture.votes(2, &[lock_vote(txid)]);
    let known = explained(&fixture, txid);
    assert_eq!((known.body, voters(&known)), (BodyPlace::Missing, [vec![2], vec![]]));
    assert_eq!((known.epoch, known.set.quorum(), known.lock_weight()), (0, 3, 1));
    fixture.receive(&payment);
    fixture.all_vote(lock_vote(txid), &[1, 3]);
    fixture.votes(3, &[final_vote(txid)]);
    let known = explained(&fixture, txid);
    assert_eq!((known.body, voters(&known)), (BodyPlace::Held, [vec![1, 2, 3], vec![3]]));
    assert!(known.is_certified && !known.is_final && !known.is_dead);
    fixture.all_vote(final_vote(txid), &[1, 2]);
    let known = explained(&fixture, txid);
    assert!(known.is_final);
    assert_eq!(known.final_weight(), 3);
    fixture.block(1_000, false, &[payment]);
    assert!(fixture.machine.explain(&txid).is_none(), "it is in a block");
}

#[test]
fn what_it_waits_for_and_conflicts_with_is_named() {
    let mut fixture = Fixture::new();
    let (first, second) = (fixture.pay(0, 1), fixture.pay(0, 2));
    let child = fixture.spend(&fixture.pay(1, 2), 2, 3);
    for transaction in [&first, &second, &child] {
        fixture.receive(transaction);
    }
    fixture.votes(1, &[lock_vote(first.txid())]);
    let rival = Rival { txid: first.txid(), lock_weight: 1, is_certified: false, is_final: false };
    assert_eq!(explained(&fixture, second.txid()).rivals, [rival]);
    assert_eq!(explained(&fixture, child.txid()).waits_for, child.inputs());
    fixture.all_vote(lock_vote(first.txid()), &[2, 3]);
    let [rival] = explained(&fixture, second.txid()).rivals[..] else { panic!("one rival") };
    assert!(rival.is_certified && !rival.is_final);
    fixture.all_vote(final_vote(first.txid()), &[1, 2, 3]);
    let [rival] = explained(&fixture, second.txid()).rivals[..] else { panic!("one rival") };
    assert!(rival.is_final);
    let duration = fixture.chain.state.parameters().epoch_duration_ms;
    fixture.block(duration, false, &[]);
    fixture.block(duration, false, &[]);
    assert!(explained(&fixture, first.txid()).is_closing);
}

#[test]
fn what_waits_until_blocks_have_caught_up_says_so() {
    let mut fixture = Fixture::with(|genesis| genesis.parameters.voted_unblocked_max = 1);
    let (first, second) = (fixture.pay(0, 1), fixture.pay(1, 2));
    fixture.receive(&first);
    fixture.all_vote(lock_vote(first.txid()), &[1, 2, 3]);
    fixture.receive(&second);
    assert!(explained(&fixture, second.txid()).waits_for_blocks);
    assert!(!explained(&fixture, first.txid()).waits_for_blocks);
    fixture.block(1_000, false, &[first]);
    assert!(!explained(&fixture, second.txid()).waits_for_blocks);
}
