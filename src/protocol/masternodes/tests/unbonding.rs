//! When a collateral is free, and when an act is forgotten: at the same moment.

use super::*;
use crate::protocol::evidence::{EvidenceError, check};
use crate::protocol::fixtures::{lock, operator, user};
use crate::types::keys::SequentialVerifier;
use crate::types::{OutPoint, Payload};

const UNBONDING: u64 = 200_000;

fn unbonding_net(weights: &[u64]) -> Chain {
    net_with(weights, |parameters| parameters.unbonding_time_ms = UNBONDING)
}

/// Spends a collateral, if its owner can.
fn reclaim(chain: &mut Chain, owner: u8, outpoint: OutPoint) {
    let value = chain.entry(&outpoint).output.value;
    let payload = Payload::Transfer { memo: Vec::new() };
    let spend = chain.act_on((&user(owner), outpoint), value, Vec::new(), payload);
    block(chain, &[spend]);
    assert!(!chain.utxos.contains_key(&outpoint));
}

/// How an operator of registration 3 comes to be out of the set since the end of epoch 0.
type Leave = fn(&mut Chain, MasternodeId);

const LEAVE: [(&str, Leave); 4] = [
    ("it asked to", |chain, id| {
        let exit = chain.exit((104, 0), id);
        block(chain, &[exit]);
        end_epoch(chain, &[]);
    }),
    ("it lied", |chain, id| {
        let evidence = chain.two_votes(id, 0, 1);
        punish(chain, &[], &[evidence]);
        end_epoch(chain, &[]);
    }),
    ("it was away", |chain, id| drop(end_epoch(chain, &[id]))),
    ("it was away and lied, as turned out an epoch later", |chain, id| {
        end_epoch(chain, &[id]);
        let evidence = chain.two_locks(id, 0);
        punish(chain, &[], &[evidence]);
        end_epoch(chain, &[]);
    }),
];

#[test]
fn a_collateral_is_free_in_epochs_that_start_later_than_the_unbonding_time() {
    for (description, leave) in LEAVE {
        let mut left = unbonding_net(&[1; 6]);
        let id = left.registered(3);
        leave(&mut left, id);
        let outpoint = left.record(id).collateral;
        let end = left.record(id).left.unwrap();
        assert_eq!(left.state.past_epochs().get(0).map(|past| past.end), Some(end), "{description}");
        for late in [0, 1] {
            let mut chain = left.clone();
            let elapsed = end + UNBONDING + late - chain.state.epoch_start();
            let jailed = chain.record(id).jail.is_some();
            end_epoch_after(&mut chain, elapsed);
            assert_eq!(chain.state.epoch_start(), end + UNBONDING + late);
            if late == 0 {
                let record = chain.record(id);
                assert_eq!(
                    record.exited, !jailed,
                    "{description}: exactly the unbonding time is not beyond it"
                );
                assert!(chain.state.is_bound(&outpoint));
                // The next epoch in which it is free need not start at the first moment.
                end_epoch(&mut chain, &[]);
            }
            assert_eq!(chain.state.registry().get(&id), None, "{description}");
            assert_eq!(chain.state.registry().owner_of_key(&operator(4).public()), None);
            assert!(!chain.state.is_bound(&outpoint), "{description}");
            reclaim(&mut chain, 104, outpoint);
            // It may come back as another masternode with the same key.
            let again = chain.register((104, 0), 4, 1);
            assert!(verdict(&block(&mut chain, &[again])).is_ok(), "{description}");
        }
    }
}

/// INV-REG-4.
#[test]
fn an_act_is_void_in_epochs_that_start_later_than_the_unbonding_time() {
    // Of a masternode that stays, so that nothing but time makes the evidence void.
    let mut acted = unbonding_net(&[1; 5]);
    let id = acted.registered(3);
    end_epoch(&mut acted, &[]);
    let end = acted.state.tip_time();
    assert_eq!(
        acted.state.past_epochs().get(0).map(|past| (past.first_height, past.last_height)),
        Some((1, 3))
    );
    for late in [0, 1] {
        let mut chain = acted.clone();
        let pieces = [
            acted.two_locks(id, 0),
            acted.two_votes(id, 0, 1),
            acted.two_votes(id, 0, 2),
            acted.two_proposals(id, 0, 3),
            acted.foreign_precommit(id, 0, 3),
        ];
        end_epoch_after(&mut chain, UNBONDING + late);
        assert_eq!(chain.state.epoch_start(), end + UNBONDING + late);
        let expected = if late == 0 { Ok(()) } else { Err(EvidenceError::UnknownEpoch { epoch: 0 }) };
        for piece in pieces {
            assert_eq!(check(&piece, &chain.state, &SequentialVerifier), expected, "{}", piece.kind());
        }
        // A height of it is judged by nobody any more, though the key still counts.
        let (height, header) = (1, chain.header((0, 1), crate::types::Hash([9; 32])));
        let expected = if late == 0 { Ok(()) } else { Err(EvidenceError::WrongHeight { height, epoch: 1 }) };
        let piece = chain.precommit_for((id, 1), header);
        assert_eq!(check(&piece, &chain.state, &SequentialVerifier), expected);
    }
}

#[test]
fn all_epochs_that_are_too_long_ago_are_forgotten_at_once() {
    let mut chain = unbonding_net(&[1; 5]);
    (0..2).for_each(|_| drop(end_epoch(&mut chain, &[])));
    end_epoch_after(&mut chain, UNBONDING + 1);
    let kept: Vec<_> = chain.state.past_epochs().iter().map(|past| past.epoch).collect();
    assert_eq!(kept, [2]);
}

#[test]
fn all_heights_of_the_oldest_epoch_that_counts_are_known() {
    let mut chain = unbonding_net(&[1; 5]);
    let id = chain.registered(3);
    (0..3).for_each(|_| drop(end_epoch(&mut chain, &[])));
    // Epochs take 61 seconds here.
    end_epoch_after(&mut chain, UNBONDING - 62_000);
    let oldest = chain.state.past_epochs().iter().next().unwrap().clone();
    assert_eq!(oldest.epoch, 1);
    for height in 0..=chain.state.height() + 2 {
        let epoch = match height {
            4..=6 => 1,
            7..=9 => 2,
            10..=12 => 3,
            13 => 4,
            _ => 9,
        };
        for claimed in 1..=4 {
            let evidence = chain.two_votes(id, claimed, height);
            let wrong = EvidenceError::WrongHeight { height, epoch: claimed };
            let expected = if claimed == epoch { Ok(()) } else { Err(wrong) };
            assert_eq!(
                check(&evidence, &chain.state, &SequentialVerifier),
                expected,
                "{height} of {claimed}"
            );
        }
        let known = chain.state.epoch_of_height(height).map(|(epoch, _)| epoch);
        let expected = if height < 4 { None } else { Some(if height > 12 { 4 } else { epoch }) };
        assert_eq!(known, expected, "{height}");
    }
}

#[test]
fn who_never_was_in_a_set_is_bound_from_its_leaving_on() {
    // Registered and gone within one epoch; and for long, but too light for the set.
    let mut chain = net_with(&[1; 4], |parameters| {
        parameters.unbonding_time_ms = UNBONDING;
        parameters.max_validators = 4;
    });
    let (first, second) = (chain.register((0, 0), 20, 1), chain.register((1, 0), 21, 1));
    block(&mut chain, &[first, second]);
    let (quick, light) = (chain.registered(4), chain.registered(5));
    let exit = chain.exit((0, 0), quick);
    block(&mut chain, &[exit]);
    end_epoch(&mut chain, &[]);
    let gone = chain.state.tip_time();
    assert_eq!((chain.record(quick).left, chain.record(light).left), (Some(gone), None));
    assert!(!chain.is_member(quick) && !chain.is_member(light));
    let exit = chain.exit((1, 0), light);
    end_epoch_after(&mut chain, UNBONDING);
    assert_eq!(chain.record(quick).status(), MasternodeStatus::Unbonding);
    block(&mut chain, &[exit]);
    end_epoch(&mut chain, &[]);
    assert_eq!(chain.state.registry().get(&quick), None);
    assert_eq!(chain.record(light).left, Some(chain.state.tip_time()));
    end_epoch_after(&mut chain, UNBONDING);
    assert!(chain.state.registry().get(&light).is_some());
    end_epoch(&mut chain, &[]);
    assert_eq!(chain.state.registry().get(&light), None);
}

#[test]
fn who_was_out_for_long_before_it_leaves_is_free_at_once() {
    let mut chain = unbonding_net(&[1; 5]);
    let id = chain.registered(3);
    end_epoch(&mut chain, &[id]);
    end_epoch_after(&mut chain, UNBONDING);
    let outpoint = chain.record(id).collateral;
    let exit = chain.exit((104, 0), id);
    block(&mut chain, &[exit]);
    end_epoch(&mut chain, &[]);
    assert_eq!(chain.state.registry().get(&id), None);
    reclaim(&mut chain, 104, outpoint);
}

#[test]
fn who_comes_back_is_bound_from_its_last_epoch_on() {
    let mut chain = unbonding_net(&[1; 5]);
    let id = chain.registered(3);
    end_epoch(&mut chain, &[id]);
    let unjail = chain.unjail((0, 0), id, &operator(4));
    block(&mut chain, &[unjail]);
    end_epoch(&mut chain, &[]);
    assert!(chain.is_member(id));
    end_epoch_after(&mut chain, 2 * UNBONDING);
    assert_eq!(chain.record(id).left, None, "members don't age");
    let exit = chain.exit((104, 0), id);
    block(&mut chain, &[exit]);
    end_epoch(&mut chain, &[]);
    let end = chain.state.tip_time();
    assert_eq!(chain.record(id).left, Some(end));
    end_epoch_after(&mut chain, UNBONDING);
    assert!(chain.state.registry().get(&id).is_some());
    end_epoch_after(&mut chain, 100_000);
    assert_eq!(chain.state.registry().get(&id), None);
}

#[test]
fn a_jailed_one_that_is_too_late_to_be_freed_is_gone() {
    let mut chain = unbonding_net(&[1; 5]);
    let id = chain.registered(3);
    end_epoch(&mut chain, &[id]);
    let mut late = chain.clone();
    // In the last epoch in which it can.
    end_epoch_after(&mut chain, UNBONDING);
    let unjail = chain.unjail((0, 0), id, &operator(4));
    assert_eq!(verdict(&block(&mut chain, &[unjail])), Ok(id));
    end_epoch(&mut chain, &[]);
    assert!(chain.is_member(id));
    // And in the one after it.
    end_epoch_after(&mut late, UNBONDING + 1);
    let unjail = late.unjail((0, 0), id, &operator(4));
    let unknown = VoidReason::UnknownMasternode { masternode: id };
    assert_eq!(verdict(&block(&mut late, &[unjail])), Err(unknown));
}

#[test]
fn without_unbonding_time_the_record_outlives_its_last_reward() {
    let mut chain = net_with(&[1; 4], |parameters| parameters.unbonding_time_ms = 0);
    let id = chain.registered(3);
    let exit = chain.exit((104, 0), id);
    block(&mut chain, &[exit]);
    end_epoch(&mut chain, &[]);
    assert!(chain.state.registry().get(&id).is_some(), "its epoch has just ended");
    let payout = lock(&user(54));
    let outcome = end_epoch(&mut chain, &[]);
    assert!(outcome.reward.unwrap().outputs.iter().any(|output| output.lock == payout));
    assert_eq!(chain.state.registry().get(&id), None);
}
