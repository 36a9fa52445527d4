//! The end of an epoch: who leaves, who is jailed, who votes next.

use std::collections::BTreeMap;

use super::*;
use crate::protocol::fixtures::{document, operator};
use crate::protocol::masternodes::epoch_end::EpochEnd;
use crate::protocol::masternodes::membership::genesis_set;
use crate::protocol::masternodes::slashing::slash;
use crate::protocol::masternodes::{Attendance, Registry, membership};
use crate::types::ValidatorSet;

const END: u64 = 5_000_000;
const WINDOW: u32 = 9;

/// A registry at an epoch's end, outside of any chain.
struct Ending {
    registry: Registry,
    parameters: ChainParameters,
    ids: Vec<MasternodeId>,
    ended: ValidatorSet,
    attendance: BTreeMap<MasternodeId, Attendance>,
}

impl Ending {
    fn new(weights: &[u64]) -> Self {
        let document = document(weights, 0);
        let registry = Registry::genesis(&document).unwrap();
        let mut parameters = document.parameters.clone();
        parameters.recent_commits = WINDOW;
        let outpoints = (0..weights.len()).map(|index| document.collateral_outpoint(index));
        let ids = outpoints.map(|outpoint| crate::types::GenesisDocument::masternode_id(&outpoint)).collect();
        let ended = genesis_set(&registry, &parameters);
        let mut ending = Self { registry, parameters, ids, ended, attendance: BTreeMap::new() };
        (0..weights.len()).for_each(|registration| ending.attend(registration, WINDOW, WINDOW));
        ending
    }

    fn attend(&mut self, registration: usize, signed: u32, counted: u32) {
        let mut attendance = Attendance::default();
        (0..counted).for_each(|commit| attendance.note(commit < signed, WINDOW));
        self.attendance.insert(self.ids[registration], attendance);
    }

    fn ask_to_leave(&mut self, registration: usize) {
        let request = self.registry.next_request();
        self.registry.get_mut(&self.ids[registration]).unwrap().exit_requested = Some(request);
    }

    fn lie(&mut self, registration: usize) {
        slash(&mut self.registry, &self.parameters, self.ids[registration]).unwrap();
    }

    /// Ends the epoch and gives the registrations in the next set, in its order.
    fn end(&mut self) -> Vec<usize> {
        let (ended, attendance) = (self.ended.clone(), self.attendance.clone());
        let at = EpochEnd {
            parameters: &self.parameters,
            ended: &ended,
            attendance: &attendance,
            commits: 1,
            end: END,
        };
        self.ended = membership::end_epoch(&mut self.registry, &at);
        let place = |id: &MasternodeId| self.ids.iter().position(|other| other == id).unwrap();
        self.ended.members().iter().map(|member| place(&member.id)).collect()
    }

    fn jailed(&self) -> Vec<usize> {
        let is_jailed = |id: &MasternodeId| self.registry.get(id).unwrap().jail.is_some();
        (0..self.ids.len()).filter(|registration| is_jailed(&self.ids[*registration])).collect()
    }
}

#[test]
fn the_absent_are_jailed_under_the_caps() {
    struct Case {
        description: &'static str,
        weights: &'static [u64],
        /// Of the nine last commits; who is not named signed all.
        signed: &'static [(usize, u32)],
        cap: (u64, u64),
        min: u32,
        leaving: &'static [usize],
        jailed: &'static [usize],
    }
    let base = Case {
        description: "",
        weights: &[1; 10],
        signed: &[],
        cap: (1, 10),
        min: 3,
        leaving: &[],
        jailed: &[],
    };
    let cases = [
        Case { description: "nobody is absent", ..base },
        Case { description: "a third signed is enough", signed: &[(4, 3)], ..base },
        Case { description: "less is not", signed: &[(4, 2)], jailed: &[4], ..base },
        Case { description: "the cap itself may be reached", signed: &[(4, 0)], jailed: &[4], ..base },
        Case { description: "and not exceeded", weights: &[1; 9], signed: &[(4, 0)], ..base },
        Case { description: "the worst first", signed: &[(2, 1), (7, 0), (8, 2)], jailed: &[7], ..base },
        Case { description: "ties by registration", signed: &[(7, 1), (2, 1), (8, 2)], jailed: &[2], ..base },
        Case {
            description: "ties by registration, not by weight",
            weights: &[1, 1, 1, 1, 1, 10, 10],
            signed: &[(4, 0), (5, 0), (6, 0)],
            cap: (11, 25),
            jailed: &[4, 5],
            ..base
        },
        Case {
            description: "one that does not fit is skipped, and a later one taken",
            weights: &[10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
            signed: &[(0, 0), (5, 1), (6, 2)],
            jailed: &[5, 6],
            ..base
        },
        Case {
            description: "all of them if the cap allows",
            signed: &[(1, 0), (3, 2)],
            cap: (1, 5),
            jailed: &[1, 3],
            ..base
        },
        Case { description: "a cap of nothing", signed: &[(1, 0)], cap: (0, 1), ..base },
        Case {
            description: "never below the smallest set",
            signed: &[(1, 0), (3, 1), (4, 2)],
            cap: (1, 1),
            min: 8,
            jailed: &[1, 3],
            ..base
        },
        Case {
            description: "who asked to leave goes first",
            signed: &[(1, 0)],
            min: 9,
            leaving: &[5],
            ..base
        },
        Case {
            description: "who leaves anyway is not jailed and takes nobody's room",
            signed: &[(1, 0), (5, 1)],
            leaving: &[1],
            jailed: &[5],
            ..base
        },
        Case {
            description: "who waits to leave is not jailed instead",
            signed: &[(1, 0)],
            min: 10,
            leaving: &[1],
            ..base
        },
    ];
    for case in cases {
        let mut ending = Ending::new(case.weights);
        ending.parameters.jail_cap = Ratio { numerator: case.cap.0, denominator: case.cap.1 };
        ending.parameters.min_masternodes = case.min;
        case.signed.iter().for_each(|(registration, signed)| ending.attend(*registration, *signed, WINDOW));
        case.leaving.iter().for_each(|registration| ending.ask_to_leave(*registration));
        let next = ending.end();
        assert_eq!(ending.jailed(), case.jailed, "{}", case.description);
        for registration in case.jailed {
            assert!(!next.contains(registration), "{}", case.description);
            let record = ending.registry.get(&ending.ids[*registration]).unwrap();
            assert_eq!(record.jail, Some(Jail::Absence { since: END }));
            assert_eq!((record.left, record.exited), (Some(END), false));
        }
    }
}

/// What its lie costs it stays, and the cap is there for those who were absent only.
#[test]
fn a_liar_who_was_absent_too_is_jailed_for_good_and_takes_nobodys_room() {
    let mut ending = Ending::new(&[1; 10]);
    ending.attend(1, 0, WINDOW);
    ending.attend(5, 1, WINDOW);
    ending.lie(1);
    assert_eq!(ending.end(), [0, 2, 3, 4, 6, 7, 8, 9]);
    let jail = |registration: usize| ending.registry.get(&ending.ids[registration]).unwrap().jail;
    assert_eq!(jail(1), Some(Jail::Evidence { since: END }));
    assert_eq!(jail(5), Some(Jail::Absence { since: END }), "there was room for one of ten");
}

#[test]
fn who_was_there_for_too_few_commits_is_not_judged() {
    for (counted, jailed) in [(WINDOW - 1, vec![]), (WINDOW, vec![4])] {
        let mut ending = Ending::new(&[1; 10]);
        ending.attend(4, 0, counted);
        ending.end();
        assert_eq!(ending.jailed(), jailed);
    }
}

#[test]
fn requests_to_leave_are_granted_in_their_order_while_enough_stay() {
    #[derive(Clone, Copy)]
    enum Request {
        Exit(usize),
        Lie(usize),
    }
    use Request::{Exit, Lie};
    type Case = (&'static str, usize, &'static [Request], &'static [usize]);
    let cases: [Case; 8] = [
        ("nobody asks", 4, &[], &[0, 1, 2, 3]),
        ("one exit", 4, &[Exit(1)], &[0, 2, 3]),
        ("one liar", 4, &[Lie(1)], &[0, 2, 3]),
        ("an exit before a liar", 4, &[Exit(2), Lie(1)], &[0, 1, 3]),
        ("a liar before an exit", 4, &[Lie(1), Exit(2)], &[0, 2, 3]),
        ("a liar who had asked before another did", 5, &[Exit(3), Exit(1), Lie(3)], &[0, 2, 4]),
        ("no one at the smallest set", 3, &[Lie(0), Exit(1)], &[0, 1, 2]),
        ("all that fit", 6, &[Exit(5), Lie(0), Exit(1), Lie(2)], &[2, 3, 4]),
    ];
    for (description, members, requests, expected) in cases {
        let mut ending = Ending::new(&vec![1; members]);
        for request in requests {
            match request {
                Exit(registration) => ending.ask_to_leave(*registration),
                Lie(registration) => ending.lie(*registration),
            }
        }
        assert_eq!(ending.end(), expected, "{description}");
        for request in requests {
            let (Exit(registration) | Lie(registration)) = request;
            let is_out = !expected.contains(registration);
            let record = ending.registry.get(&ending.ids[*registration]).unwrap();
            let (asked, lied) = (record.exit_requested.is_some(), record.slashed.is_some());
            assert_eq!(record.exited, is_out && asked, "{description}");
            let jail = (is_out && lied).then_some(Jail::Evidence { since: END });
            assert_eq!((record.jail, record.left), (jail, is_out.then_some(END)), "{description}");
        }
        // Who waits is in the same place of the queue at the next end.
        let still = ending.end();
        assert_eq!(still, expected, "{description}: nothing new");
    }
}

#[test]
fn who_is_out_of_the_set_leaves_at_once_and_takes_nobodys_place() {
    let mut ending = Ending::new(&[1; 4]);
    ending.parameters.jail_cap = Ratio { numerator: 1, denominator: 1 };
    ending.attend(3, 0, WINDOW);
    assert_eq!(ending.end(), [0, 1, 2]);
    // At the smallest set now: a member waits, the jailed one does not.
    ending.ask_to_leave(0);
    ending.ask_to_leave(3);
    assert_eq!(ending.end(), [0, 1, 2]);
    let exited = |registration: usize| ending.registry.get(&ending.ids[registration]).unwrap().exited;
    assert!(!exited(0) && exited(3));
}

#[test]
fn a_waiting_exit_is_granted_when_another_joins() {
    let mut chain = net(&[1, 1, 1]);
    let (first, second) = (chain.registered(1), chain.registered(0));
    let exits = [chain.exit((102, 0), first), chain.exit((101, 0), second)];
    block(&mut chain, &exits);
    end_epoch(&mut chain, &[]);
    assert_eq!(chain.state.validators().len(), 3);
    assert_eq!(chain.record(first).status(), MasternodeStatus::Exiting);
    let joins = chain.register((0, 0), 20, 1);
    block(&mut chain, &[joins]);
    end_epoch(&mut chain, &[]);
    assert!(chain.is_member(first), "the newcomer has not signed anything yet");
    end_epoch(&mut chain, &[]);
    assert!(!chain.is_member(first) && chain.is_member(second) && chain.is_member(chain.registered(3)));
    let joins = chain.register((0, 0), 21, 1);
    block(&mut chain, &[joins]);
    end_epoch(&mut chain, &[]);
    end_epoch(&mut chain, &[]);
    assert!(!chain.is_member(second));
    assert_eq!(chain.state.validators().len(), 3);
}

/// INV-SET-2.
#[test]
fn the_set_is_cut_by_weight_and_then_by_registration() {
    let mut chain = net_with(&[1, 1, 10, 1], |parameters| parameters.max_validators = 4);
    let id = |chain: &Chain, registration| chain.registered(registration);
    let in_set = |chain: &Chain| -> Vec<u64> {
        let members = chain.state.validators().members().iter();
        members.map(|member| chain.record(member.id).registration).collect()
    };
    assert_eq!(in_set(&chain), [2, 0, 1, 3]);
    let joins = [chain.register((0, 0), 20, 1), chain.register((1, 0), 21, 10)];
    block(&mut chain, &joins);
    end_epoch(&mut chain, &[]);
    assert_eq!(
        in_set(&chain),
        [2, 0, 1, 5],
        "the youngest of the lightest is squeezed out, or does not get in; who got in weighs 1"
    );
    let (squeezed, never) = (id(&chain, 3), id(&chain, 4));
    assert_eq!(chain.record(squeezed).left, Some(chain.state.tip_time()));
    assert_eq!(chain.record(never).left, None);
    assert_eq!(chain.record(squeezed).status(), MasternodeStatus::Eligible);
    let exit = chain.exit((103, 0), id(&chain, 2));
    block(&mut chain, &[exit]);
    end_epoch(&mut chain, &[]);
    assert_eq!(in_set(&chain), [5, 0, 1, 3], "and comes back first; the other has grown");
    assert_eq!(chain.state.validators().members()[0].weight, 2);
    assert_eq!(chain.record(squeezed).left, None);
    assert_eq!(chain.state.attendance()[&squeezed].counted(), 0, "it is judged afresh");
    assert!(chain.state.attendance()[&id(&chain, 0)].counted() > 0, "the others are not");
}

#[test]
fn a_jailed_one_comes_back_when_its_operator_says_so() {
    let mut chain = net(&[1; 4]);
    let id = chain.registered(3);
    end_epoch(&mut chain, &[id]);
    let since = chain.state.tip_time();
    assert_eq!(chain.record(id).jail, Some(Jail::Absence { since }));
    assert_eq!(chain.record(id).left, Some(since));
    assert!(!chain.is_member(id) && !chain.state.attendance().contains_key(&id));
    end_epoch(&mut chain, &[]);
    assert_eq!(chain.record(id).jail, Some(Jail::Absence { since }), "it stays out until then");
    let unjail = chain.unjail((0, 0), id, &operator(4));
    assert_eq!(verdict(&block(&mut chain, &[unjail])), Ok(id));
    assert_eq!(chain.record(id).status(), MasternodeStatus::Eligible);
    assert!(!chain.is_member(id));
    end_epoch(&mut chain, &[]);
    assert!(chain.is_member(id));
    assert_eq!(chain.record(id).left, None);
    assert_eq!(chain.state.attendance()[&id].counted(), 0);
    // It stays away again: two of its own commits are needed to judge, those of before don't count.
    let (duration, silent) = (chain.state.parameters().epoch_duration_ms, [id]);
    chain.advance(duration, false, &[], &silent);
    chain.advance(1, true, &[], &silent);
    assert_eq!(chain.state.attendance()[&id].counted(), 1);
    assert!(chain.is_member(id), "one commit is too few to judge by");
    end_epoch(&mut chain, &[id]);
    assert!(!chain.is_member(id));
}

#[test]
fn a_leaver_is_paid_for_the_last_commit_that_it_signed() {
    for unbonding_time_ms in [0, 600_000] {
        let mut chain = net_with(&[1; 4], |parameters| parameters.unbonding_time_ms = unbonding_time_ms);
        let id = chain.registered(3);
        let payout = chain.record(id).payout;
        let exit = chain.exit((104, 0), id);
        block(&mut chain, &[exit]);
        end_epoch(&mut chain, &[]);
        assert!(!chain.is_member(id) && !chain.state.credits().contains_key(&id));
        block(&mut chain, &[]);
        assert_eq!(chain.state.credits()[&id], 1, "the commit of the last block in which it voted");
        let outcome = end_epoch(&mut chain, &[]);
        let reward = outcome.reward.unwrap();
        assert_eq!(reward.outputs.iter().filter(|output| output.lock == payout).count(), 1);
        assert_eq!(chain.state.registry().get(&id).is_some(), unbonding_time_ms > 0);
        let outcome = end_epoch(&mut chain, &[]);
        assert!(outcome.reward.unwrap().outputs.iter().all(|output| output.lock != payout));
    }
}

#[test]
fn a_reward_for_all_who_take_part_fits_its_reserve() {
    let mut document = crate::protocol::fixtures::document_with_funds(&[&[1; 100][..], &[10]].concat(), 0);
    // The tier of weight 10 is there for those who join; the last one only brings it.
    document.masternodes.pop();
    let mut chain = Chain::new(&document);
    chain.advance(1_000, false, &[], &[]);
    let joins: Vec<_> = (0..100).map(|index| chain.register((101 + index, 0), 101 + index, 10)).collect();
    chain.advance(1_000, false, &joins, &[]);
    chain.advance(chain.state.parameters().epoch_duration_ms, false, &[], &[]);
    chain.advance(1, true, &[], &[]);
    assert_eq!(chain.state.validators().total_weight(), 100, "a tenth of the seats are others'");
    let (_, outcome) = chain.finish_epoch();
    chain.hold_invariants();
    let reward = outcome.reward.unwrap();
    assert_eq!(reward.outputs.len(), 110, "the set and those who left it with their last commit");
    assert!(reward.outputs.len() <= crate::protocol::rewards::REWARD_OUTPUTS_MAX);
    let bytes = crate::types::codec::encode(reward.as_ref()).len();
    assert!(u64::try_from(bytes).unwrap() <= crate::protocol::rewards::REWARD_BYTES_MAX, "{bytes}");
}
