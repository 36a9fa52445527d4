//! Weights grow into the set by attendance.

use super::*;
use crate::protocol::commit::CommitError;
use crate::protocol::fixtures::operator;
use crate::protocol::masternodes::growth::{step, trials};
use crate::types::keys::SequentialVerifier;

/// Four silver ones, and tiers of bronze and gold beside them; a window of two commits and the devnet's cap of a tenth.
fn silver_net() -> Chain {
    net_of_silver(4, |_| {})
}

fn net_of_silver(count: usize, change: impl FnOnce(&mut ChainParameters)) -> Chain {
    let mut document = document_with_funds(&[&vec![10; count][..], &[1, 100]].concat(), 20);
    document.masternodes.truncate(count);
    document.parameters.recent_commits = 2;
    change(&mut document.parameters);
    Chain::new(&document)
}

fn effective(chain: &Chain, registration: u64) -> u64 {
    let id = chain.registered(registration);
    let (record, set) = (chain.record(id), chain.state.validators());
    let weighs = set.index_of(&id).map(|place| set.members()[place].weight);
    assert!(weighs.is_none_or(|weight| weight == record.effective_weight), "the set holds another weight");
    record.effective_weight
}

/// Registers gold ones with the operator keys from `first_key` on, one for each user from `first_user` on.
fn golds(chain: &mut Chain, first_user: u8, first_key: u8, count: u8) {
    for index in 0..count {
        let joins = chain.register((first_user + index, 0), first_key + index, 100);
        block(chain, &[joins]);
    }
}

#[test]
fn a_step_is_a_tenth_and_at_least_one() {
    for (whole, expected) in
        [(0, 1), (1, 1), (9, 1), (10, 1), (19, 1), (20, 2), (41, 4), (140, 14), (u64::MAX, u64::MAX / 10)]
    {
        assert_eq!(step(whole), expected, "{whole}");
    }
}

#[test]
fn trials_are_bounded_by_weight_and_by_seats() {
    let document = document_with_funds(&[1; 4], 0);
    for (min, max, proven, weight, expected) in [
        (3, 100, 4, 40, 4),
        (3, 100, 3, 3, 1),
        (3, 100, 40, 400, 40),
        (3, 100, 90, 900, 10),
        (3, 100, 95, 950, 10),
        (3, 100, 100, 1_000, 10),
        (3, 100, 100, 50_000, 10),
        (3, 4, 4, 40, 1),
        (3, 3, 3, 30, 0),
        (3, 100, 0, 0, 1),
    ] {
        let mut parameters = document.parameters.clone();
        (parameters.min_masternodes, parameters.max_validators) = (min, max);
        let description = format!("{proven} that weigh {weight} of at most {max}");
        assert_eq!(trials(proven, weight, &parameters), expected, "{description}");
    }
}

#[test]
fn members_of_the_genesis_document_weigh_all_at_once() {
    let chain = net(&[1, 10, 100, 10]);
    for (id, record) in chain.state.masternodes() {
        assert_eq!((record.effective_weight, record.on_trial), (record.weight, false));
        assert!(chain.is_member(*id));
    }
    assert_eq!(chain.state.validators().total_weight(), 121);
}

#[test]
fn a_newcomer_enters_with_one_and_grows_by_a_tenth_of_the_set_to_its_full_weight() {
    let mut chain = silver_net();
    golds(&mut chain, 0, 20, 1);
    assert_eq!(chain.record(chain.registered(4)).status(), MasternodeStatus::Eligible);
    end_epoch(&mut chain, &[]);
    assert_eq!((effective(&chain, 4), chain.state.validators().total_weight()), (1, 41));
    assert!(chain.record(chain.registered(4)).on_trial);
    // W = 41, 45, 49, 53, 58, ...: a tenth each time, rounded down.
    for expected in [5, 9, 13, 18, 23, 29, 35, 42, 50, 59, 68, 78, 89, 100, 100] {
        end_epoch(&mut chain, &[]);
        assert_eq!(effective(&chain, 4), expected);
        assert!(!chain.record(chain.registered(4)).on_trial);
    }
    assert!((0..4).all(|registration| effective(&chain, registration) == 10));
}

#[test]
fn rewards_and_hashes_follow_the_effective_weight() {
    let mut chain = silver_net();
    golds(&mut chain, 0, 20, 1);
    end_epoch(&mut chain, &[]);
    let id = chain.registered(4);
    block(&mut chain, &[]);
    block(&mut chain, &[]);
    assert_eq!(chain.state.credits()[&id], 1, "one commit, by weight 1 of 100");
    assert_eq!(chain.state.credits()[&chain.registered(0)], 20);
    let before = chain.state.validators().hash();
    end_epoch(&mut chain, &[]);
    assert_ne!(chain.state.validators().hash(), before, "it grew, and nothing else changed");
}

#[test]
fn a_gold_one_that_never_comes_up_cannot_stop_the_chain() {
    let mut chain = silver_net();
    golds(&mut chain, 0, 20, 1);
    let dead = chain.registered(4);
    end_epoch(&mut chain, &[]);
    let set = Arc::clone(chain.state.validators());
    // With its full weight 94 of 140 would be needed, and the others weigh 40.
    assert_eq!((set.total_weight(), set.quorum()), (41, 28));
    // Nobody else may be missing but one: 30 is a quorum, 20 is none.
    let silent = |others: &[u64]| -> Vec<MasternodeId> {
        others.iter().map(|other| chain.registered(*other)).chain([dead]).collect()
    };
    let commits = |silent: &[MasternodeId]| {
        let draft = chain.draft(1_000, false, &[]);
        let (block, _) = crate::protocol::transition::propose(&chain.state, &chain.utxos, &draft).unwrap();
        let commit = chain.seal(&block, silent);
        chain.state.check_commit(&block.header, &commit, &SequentialVerifier)
    };
    assert_eq!(commits(&silent(&[])), Ok(()));
    assert_eq!(commits(&silent(&[2])), Ok(()));
    assert_eq!(commits(&silent(&[2, 3])), Err(CommitError::TooLight { weight: 20, quorum: 28 }), "I2");
    // It never grows, and is jailed although a tenth of 41 is more than it weighs.
    end_epoch(&mut chain, &[dead]);
    let since = chain.state.tip_time();
    assert_eq!(chain.record(dead).jail, Some(Jail::Absence { since }));
    assert_eq!(chain.state.validators().total_weight(), 40);
}

#[test]
fn no_crowd_that_never_comes_up_can_stop_the_chain() {
    let mut chain = silver_net();
    golds(&mut chain, 0, 20, 20);
    // Beside 40, 21 that weigh 1 each would make 41 of 61 needed.
    for _ in 0..8 {
        let dead: Vec<MasternodeId> = (4..24).map(|registration| chain.registered(registration)).collect();
        end_epoch(&mut chain, &dead);
        let set = chain.state.validators();
        assert!(set.total_weight() <= 44 && set.quorum() <= 30, "{}", set.total_weight());
    }
    let jailed = |chain: &Chain| {
        (4..24).filter(|number| chain.record(chain.registered(*number)).jail.is_some()).count()
    };
    assert_eq!(jailed(&chain), 20, "four at a time");
    assert_eq!(chain.state.validators().len(), 4);
}

#[test]
fn a_member_on_trial_is_jailed_beyond_the_cap_and_takes_no_room_under_it() {
    for cap in [(0, 1), (1, 4)] {
        let mut chain = net_of_silver(5, |parameters| {
            parameters.jail_cap = Ratio { numerator: cap.0, denominator: cap.1 };
        });
        golds(&mut chain, 0, 20, 2);
        end_epoch(&mut chain, &[]);
        let newcomers = [chain.registered(5), chain.registered(6)];
        let silent = [newcomers[0], newcomers[1], chain.registered(3)];
        end_epoch(&mut chain, &silent);
        let is_jailed = |id: MasternodeId| chain.record(id).jail.is_some();
        assert!(newcomers.into_iter().all(is_jailed), "a cap of {cap:?}");
        // 10 of 52 fit under a quarter, 12 too; under nothing 10 do not.
        assert_eq!(is_jailed(chain.registered(3)), cap.0 > 0, "a cap of {cap:?}");
    }
}

#[test]
fn a_growing_member_that_dies_is_jailed_beyond_the_cap_and_starts_again() {
    let mut chain = silver_net();
    golds(&mut chain, 0, 20, 1);
    let id = chain.registered(4);
    for _ in 0..4 {
        end_epoch(&mut chain, &[]);
    }
    assert_eq!(effective(&chain, 4), 13);
    // 13 of 53 are more than a tenth.
    end_epoch(&mut chain, &[id]);
    assert!(chain.record(id).jail.is_some() && !chain.is_member(id));
    let unjail = chain.unjail((0, 0), id, &operator(20));
    assert_eq!(verdict(&block(&mut chain, &[unjail])), Ok(id));
    end_epoch(&mut chain, &[]);
    assert!(chain.is_member(id) && chain.record(id).on_trial);
    assert_eq!((effective(&chain, 4), chain.state.validators().total_weight()), (1, 41));
    end_epoch(&mut chain, &[]);
    assert_eq!(effective(&chain, 4), 5);
}

#[test]
fn a_genesis_member_that_is_unjailed_starts_again_too() {
    let mut chain = net_of_silver(5, |parameters| {
        parameters.jail_cap = Ratio { numerator: 1, denominator: 4 };
    });
    let id = chain.registered(3);
    end_epoch(&mut chain, &[id]);
    let unjail = chain.unjail((0, 0), id, &operator(4));
    block(&mut chain, &[unjail]);
    end_epoch(&mut chain, &[]);
    assert_eq!((effective(&chain, 3), chain.state.validators().total_weight()), (1, 41));
}

#[test]
fn nobody_grows_by_what_it_signed_in_earlier_epochs() {
    // A window that reaches over several epochs, of three blocks each.
    let mut chain = net_of_silver(4, |parameters| parameters.recent_commits = 9);
    golds(&mut chain, 0, 20, 1);
    let id = chain.registered(4);
    end_epoch(&mut chain, &[]);
    // It enters too late for the commit of the block before: 2, 5 and 8 commits are no full window.
    for _ in 0..3 {
        end_epoch(&mut chain, &[]);
        assert_eq!(effective(&chain, 4), 1);
    }
    end_epoch(&mut chain, &[]);
    assert_eq!(effective(&chain, 4), 5);
    // It dies: of the last nine commits it signed seven, of the epoch's own none.
    end_epoch(&mut chain, &[id]);
    assert!(!chain.state.attendance()[&id].is_absent(&chain.state.parameters().max_missed, 9));
    assert_eq!(effective(&chain, 4), 5);
}

#[test]
fn members_together_grow_by_one_step_an_epoch_the_older_ones_first() {
    let mut chain = silver_net();
    golds(&mut chain, 0, 20, 2);
    let bronze = chain.register((5, 0), 30, 1);
    block(&mut chain, &[bronze]);
    end_epoch(&mut chain, &[]);
    assert_eq!(chain.state.validators().total_weight(), 43);
    for expected in [[5, 1], [9, 1]] {
        end_epoch(&mut chain, &[]);
        assert_eq!([effective(&chain, 4), effective(&chain, 5)], expected);
        assert!((4..7).all(|number| !chain.record(chain.registered(number)).on_trial));
    }
    // Who does not sign is passed over.
    let (mut other, older) = (chain.clone(), chain.registered(4));
    end_epoch(&mut other, &[older]);
    assert!(other.record(older).jail.is_some());
    assert_eq!(effective(&other, 5), 6, "a tenth of 51");
    // What the older one leaves is the younger one's.
    while effective(&chain, 4) < 100 {
        let (before, total) =
            (effective(&chain, 4) + effective(&chain, 5), chain.state.validators().total_weight());
        end_epoch(&mut chain, &[]);
        assert_eq!(effective(&chain, 4) + effective(&chain, 5), before + total / 10);
    }
    assert!(effective(&chain, 5) > 1);
}

#[test]
fn the_oldest_grows_first_whatever_its_name() {
    let mut chain = net_of_silver(6, |_| {});
    golds(&mut chain, 0, 20, 6);
    let names: Vec<MasternodeId> = (6..12).map(|number| chain.registered(number)).collect();
    assert!(!names.is_sorted_by_key(|name| name.0) && names.iter().min() != names.first());
    end_epoch(&mut chain, &[]);
    end_epoch(&mut chain, &[]);
    let weights: Vec<u64> = (6..12).map(|number| effective(&chain, number)).collect();
    assert_eq!(weights, [7, 1, 1, 1, 1, 1], "a tenth of 66");
}

#[test]
fn who_has_to_leave_does_not_grow() {
    let mut chain = net_of_silver(3, |_| {});
    golds(&mut chain, 0, 20, 1);
    end_epoch(&mut chain, &[]);
    end_epoch(&mut chain, &[]);
    assert_eq!(effective(&chain, 3), 4);
    // Three of four have asked before it did, and only one may go.
    let exits = [0, 1, 2].map(|owner| chain.exit((101 + owner, 0), chain.registered(u64::from(owner))));
    block(&mut chain, &exits);
    let exit = chain.exit((0, 0), chain.registered(3));
    block(&mut chain, &[exit]);
    end_epoch(&mut chain, &[]);
    assert_eq!(chain.record(chain.registered(3)).status(), MasternodeStatus::Exiting);
    assert_eq!(effective(&chain, 3), 4);
}

#[test]
fn an_exit_waits_until_a_newcomer_has_proved_that_it_signs() {
    for is_dead in [false, true] {
        let mut chain = net(&[1, 1, 1]);
        let leaver = chain.registered(1);
        let exit = chain.exit((102, 0), leaver);
        let joins = chain.register((0, 0), 20, 1);
        block(&mut chain, &[exit, joins]);
        end_epoch(&mut chain, &[]);
        assert!(chain.is_member(leaver), "without it a dead newcomer would stop the chain");
        assert_eq!(chain.state.validators().quorum(), 3);
        let silent: Vec<MasternodeId> = is_dead.then(|| chain.registered(3)).into_iter().collect();
        end_epoch(&mut chain, &silent);
        assert_eq!(chain.is_member(leaver), is_dead);
        assert_eq!(chain.state.validators().len(), 3);
    }
}

#[test]
fn whoever_was_jailed_and_unjailed_stands_behind_every_newcomer() {
    let mut chain = net(&[1, 1, 1]);
    let joins = chain.register((0, 0), 20, 1);
    block(&mut chain, &[joins]);
    end_epoch(&mut chain, &[]);
    let dead = chain.registered(3);
    end_epoch(&mut chain, &[dead]);
    let unjail = chain.unjail((0, 0), dead, &operator(20));
    let joins = chain.register((1, 0), 21, 1);
    block(&mut chain, &[unjail, joins]);
    end_epoch(&mut chain, &[]);
    assert!(chain.is_member(chain.registered(4)), "one trial beside three of weight 1");
    assert!(!chain.is_member(dead));
    end_epoch(&mut chain, &[]);
    assert!(chain.is_member(dead), "the other one is proven");
}

/// Else one with much behind it, which is jailed and un-jailed over and over again, would keep out all that are smaller.
#[test]
fn turns_come_before_weight_among_those_who_wait_for_a_trial() {
    let mut document = document_with_funds(&[1, 1, 1, 10], 4);
    document.masternodes.truncate(3);
    document.parameters.recent_commits = 2;
    let mut chain = Chain::new(&document);
    // There is one trial at a time. Both have been in the set, the light one left it first.
    for (index, weight) in [(0, 1), (1, 10)] {
        let joins = chain.register((index, 0), 20 + index, weight);
        block(&mut chain, &[joins]);
        end_epoch(&mut chain, &[]);
        let dead = chain.registered(3 + u64::from(index));
        assert!(chain.is_member(dead));
        end_epoch(&mut chain, &[dead]);
        assert_eq!(chain.record(dead).status(), MasternodeStatus::Jailed);
    }
    let [light, heavy] = [3, 4].map(|registration| chain.registered(registration));
    let acts = [
        chain.unjail((0, 0), light, &operator(20)),
        chain.unjail((0, 1), heavy, &operator(21)),
        chain.register((2, 0), 22, 1),
    ];
    block(&mut chain, &acts);
    let new = chain.registered(5);
    for expected in [[true, false, false], [true, true, false], [true, true, true]] {
        end_epoch(&mut chain, &[]);
        assert_eq!([new, light, heavy].map(|id| chain.is_member(id)), expected);
    }
}

#[test]
fn a_full_set_of_the_smallest_is_open_to_large_ones_a_tenth_of_its_seats_at_a_time() {
    let mut document = document_with_funds(&[&[1; 20][..], &[100]].concat(), 10);
    document.masternodes.truncate(20);
    (document.parameters.recent_commits, document.parameters.max_validators) = (2, 20);
    let mut chain = Chain::new(&document);
    golds(&mut chain, 0, 200, 10);
    end_epoch(&mut chain, &[]);
    let members = |chain: &Chain| -> Vec<u64> {
        let numbers = chain.state.validators().members().iter();
        numbers.map(|member| chain.record(member.id).registration).collect()
    };
    assert_eq!(members(&chain), (0..18).chain([20, 21]).collect::<Vec<_>>(), "the youngest gave way");
    assert_eq!(chain.state.validators().total_weight(), 20);
    let squeezed = chain.record(chain.registered(19));
    assert_eq!((squeezed.status(), squeezed.on_trial), (MasternodeStatus::Eligible, true));
    // They never come up: jailed, and two others are tried. They do: two more take seats.
    let mut dead = chain.clone();
    let silent = [dead.registered(20), dead.registered(21)];
    end_epoch(&mut dead, &silent);
    assert_eq!(members(&dead), (0..18).chain([22]).collect::<Vec<_>>(), "a tenth of 18");
    end_epoch(&mut chain, &[]);
    assert_eq!(effective(&chain, 20), 3, "a tenth of 20");
    assert_eq!(members(&chain), [20].into_iter().chain(0..16).chain([21, 22, 23]).collect::<Vec<_>>());
}

/// Else small newcomers, one after another, would keep out a large one that comes back.
#[test]
fn whoever_is_too_light_for_a_seat_takes_no_trial_from_one_that_is_not() {
    let mut chain = net_with(&[1, 1, 10, 1], |parameters| parameters.max_validators = 4);
    let joins = chain.register((0, 0), 20, 10);
    block(&mut chain, &[joins]);
    end_epoch(&mut chain, &[]);
    let heavy = chain.registered(4);
    assert!(chain.is_member(heavy), "its weight takes a seat of a full set");
    end_epoch(&mut chain, &[heavy]);
    end_epoch(&mut chain, &[]);
    assert_eq!(chain.record(heavy).status(), MasternodeStatus::Jailed);
    assert_eq!(chain.state.validators().len(), 4);
    let acts = [chain.unjail((0, 0), heavy, &operator(20)), chain.register((1, 0), 21, 1)];
    block(&mut chain, &acts);
    end_epoch(&mut chain, &[]);
    let newcomer = chain.registered(5);
    assert_eq!([heavy, newcomer].map(|id| chain.is_member(id)), [true, false], "one trial at a time");
}
