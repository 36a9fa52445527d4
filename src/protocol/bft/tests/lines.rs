//! Tables: each line of the paper, as inputs and the effects they must have.

use super::TimeoutKind::{Precommit, Prevote, Propose};
use super::*;

type Row = (Input, Vec<&'static str>);

const START_0: [&str; 2] = ["start 0", "timeout propose 0 100"];

fn due() -> Row {
    (Input::HeightDue, START_0.to_vec())
}

fn ok(input: Input) -> Row {
    (input, vec![])
}

fn gives(input: Input, effects: &[&'static str]) -> Row {
    (input, effects.to_vec())
}

#[test]
fn line_10_round_0_starts_when_it_is_due_or_proposed_or_voted_on() {
    let Blocks { a, c, .. } = Blocks::new();
    let hash = Some(hash_of(&a));
    check("due", Some(3), vec![due(), ok(Input::HeightDue)]);
    check(
        "a valid proposal",
        Some(3),
        vec![
            gives(proposed(0, None, &a), &["validate a"]),
            ok(acceptable(&a)),
            gives(validated(&a, true), &["start 0", "timeout propose 0 100", "prevote 0 a"]),
            ok(Input::HeightDue),
        ],
    );
    check(
        "an invalid proposal starts nothing, and is prevoted nil once the height is due",
        Some(3),
        vec![
            gives(proposed(0, None, &a), &["validate a"]),
            ok(validated(&a, false)),
            gives(Input::HeightDue, &["start 0", "timeout propose 0 100", "prevote 0 nil"]),
        ],
    );
    check(
        "a valid proposal of a later round starts nothing",
        Some(3),
        vec![ok(proposed(1, None, &c)), ok(validated(&c, true))],
    );
    check(
        "votes of more than a third",
        Some(3),
        vec![
            ok(prevote(0, 0, hash)),
            ok(precommit(0, 0, None)),
            gives(precommit(1, 0, None), &START_0),
            ok(elapsed(Propose, 1)),
        ],
    );
    check(
        "timeouts before the start count for nothing",
        Some(3),
        vec![ok(elapsed(Propose, 0)), ok(elapsed(Prevote, 0)), ok(elapsed(Precommit, 0)), due()],
    );
}

#[test]
fn line_14_the_proposer_builds_or_proposes_its_valid_value_again() {
    let Blocks { a, b, c } = Blocks::new();
    let hash = Some(hash_of(&a));
    let built = |round, block: &BlockBlueprint| Input::BlockBuilt { round, block: Arc::new(block.clone()) };
    check(
        "builds, and proposes once",
        Some(0),
        vec![
            gives(Input::HeightDue, &["start 0", "build 0", "timeout propose 0 100"]),
            ok(built(1, &c)),
            ok(built(0, &c)),
            gives(built(0, &a), &["propose 0 a"]),
            ok(built(0, &b)),
            gives(proposed(0, None, &a), &["validate a"]),
        ],
    );
    check(
        "a block that is late, or that nobody ordered, is not proposed",
        Some(0),
        vec![
            ok(built(0, &a)),
            gives(Input::HeightDue, &["start 0", "build 0", "timeout propose 0 100"]),
            gives(elapsed(Propose, 0), &["prevote 0 nil"]),
            ok(built(0, &a)),
        ],
    );
    check(
        "the valid value goes before a new one; a quorum after the nil precommit makes it valid without a lock",
        Some(1),
        vec![
            due(),
            gives(proposed(0, None, &a), &["validate a"]),
            ok(validated(&a, true)),
            gives(elapsed(Propose, 0), &["prevote 0 nil"]),
            ok(prevote(1, 0, None)),
            ok(prevote(0, 0, hash)),
            gives(prevote(2, 0, None), &["timeout prevote 0 200"]),
            gives(elapsed(Prevote, 0), &["precommit 0 nil"]),
            ok(prevote(3, 0, hash)),
            gives(prevote(2, 0, hash), &["equivocation nil a"]),
            ok(prevote(0, 1, None)),
            gives(prevote(3, 1, None), &["start 1", "propose 1 a pol 0", "timeout propose 1 110"]),
        ],
    );
}

#[test]
fn line_22_a_first_prevote_asks_for_validity_and_local_checks() {
    let Blocks { a, b, .. } = Blocks::new();
    let received = || gives(proposed(0, None, &a), &["validate a"]);
    for (desc, steps) in [
        ("valid, then acceptable", vec![ok(validated(&a, true)), gives(acceptable(&a), &["prevote 0 a"])]),
        ("acceptable, then valid", vec![ok(acceptable(&a)), gives(validated(&a, true), &["prevote 0 a"])]),
        ("invalid", vec![gives(validated(&a, false), &["prevote 0 nil"]), ok(acceptable(&a))]),
        ("acceptable, invalid", vec![ok(acceptable(&a)), gives(validated(&a, false), &["prevote 0 nil"])]),
        (
            "valid, never acceptable: waits for the timeout",
            vec![ok(validated(&a, true)), gives(elapsed(Propose, 0), &["prevote 0 nil"]), ok(acceptable(&a))],
        ),
        ("unacceptable: nil at once", vec![gives(unacceptable(&a), &["prevote 0 nil"]), ok(acceptable(&a))]),
        (
            "acceptable first: what comes later does not take it back",
            vec![ok(acceptable(&a)), ok(unacceptable(&a)), gives(validated(&a, true), &["prevote 0 a"])],
        ),
        ("unknown: waits for the timeout", vec![gives(elapsed(Propose, 0), &["prevote 0 nil"])]),
        (
            "the first answer stands",
            vec![ok(validated(&a, true)), ok(validated(&a, false)), gives(acceptable(&a), &["prevote 0 a"])],
        ),
        (
            "answers for other blocks don't count",
            vec![ok(validated(&b, true)), ok(acceptable(&b)), ok(validated(&a, true))],
        ),
    ] {
        check(desc, Some(3), [vec![due(), received()], steps].concat());
    }
}

/// Node 3 locks `a` in round 0 and is then drawn into round `round` by precommits of others.
fn locked_on_a(round: Round, start: &[&'static str]) -> Vec<Row> {
    let a = Blocks::new().a;
    let hash = Some(hash_of(&a));
    vec![
        due(),
        gives(proposed(0, None, &a), &["validate a"]),
        ok(validated(&a, true)),
        gives(acceptable(&a), &["prevote 0 a"]),
        ok(prevote(3, 0, hash)),
        ok(prevote(0, 0, hash)),
        gives(prevote(1, 0, hash), &["precommit 0 a because a 3"]),
        ok(precommit(0, round, None)),
        gives(precommit(1, round, None), start),
    ]
}

#[test]
fn line_23_a_lock_refuses_another_first_proposal_at_once() {
    let c = Blocks::new().c;
    let mut steps = locked_on_a(1, &["start 1", "timeout propose 1 110"]);
    steps.push(gives(proposed(1, None, &c), &["validate c", "prevote 1 nil"]));
    check("locked on a", Some(3), steps);
}

#[test]
fn line_28_a_proof_of_lock_stands_for_the_local_checks_and_unlocks() {
    let Blocks { a, c, .. } = Blocks::new();
    let (hash_a, hash_c) = (Some(hash_of(&a)), Some(hash_of(&c)));
    let start_2 = ["start 2", "timeout propose 2 120"];
    let proof = |count| (0..count).map(|place| ok(prevote(place, 1, hash_c)));

    let mut steps = locked_on_a(1, &["start 1", "timeout propose 1 110"]);
    steps.push(gives(proposed(1, Some(0), &a), &["prevote 1 a"]));
    check("its own value with its proof", Some(3), steps);

    let mut steps = locked_on_a(2, &start_2);
    steps.push(gives(proposed(2, Some(1), &c), &["validate c"]));
    steps.push(ok(validated(&c, true)));
    steps.extend(proof(2));
    steps.push(gives(prevote(2, 1, hash_c), &["prevote 2 c"]));
    check("a proof later than the lock, local checks fail", Some(3), steps);

    let mut steps = locked_on_a(2, &start_2);
    steps.extend(proof(3));
    steps.push(gives(proposed(2, Some(1), &c), &["validate c"]));
    steps.push(gives(validated(&c, false), &["prevote 2 nil"]));
    check("an invalid block", Some(3), steps);

    let mut steps = locked_on_a(2, &start_2);
    steps.extend(proof(2));
    steps.push(gives(proposed(2, Some(1), &c), &["validate c"]));
    steps.extend([ok(validated(&c, true)), ok(acceptable(&c))]);
    steps.push(gives(elapsed(Propose, 2), &["prevote 2 nil"]));
    check("no quorum behind the proof", Some(3), steps);

    let steps = vec![
        due(),
        ok(proposed(1, None, &c)),
        ok(prevote(0, 1, hash_c)),
        gives(prevote(1, 1, hash_c), &["validate c", "start 1", "timeout propose 1 110"]),
        ok(acceptable(&c)),
        gives(validated(&c, true), &["prevote 1 c"]),
        gives(prevote(3, 1, hash_c), &["precommit 1 c because c 3"]),
        ok(precommit(0, 2, None)),
        gives(precommit(1, 2, None), &start_2),
        ok(prevote(0, 0, hash_a)),
        ok(prevote(1, 0, hash_a)),
        gives(proposed(2, Some(0), &a), &["validate a"]),
        gives(prevote(2, 0, hash_a), &["prevote 2 nil"]),
    ];
    check("a proof of round 0 does not undo a lock of round 1", Some(3), steps);
}

#[test]
fn lines_34_to_46_prevotes_lead_to_a_precommit() {
    let Blocks { a, b, .. } = Blocks::new();
    let (hash_a, hash_b) = (Some(hash_of(&a)), Some(hash_of(&b)));
    let prevoted_nil = || vec![due(), gives(elapsed(Propose, 0), &["prevote 0 nil"])];
    let prevoted_a = || {
        let received = gives(proposed(0, None, &a), &["validate a"]);
        vec![due(), received, ok(acceptable(&a)), gives(validated(&a, true), &["prevote 0 a"])]
    };
    for (desc, before, steps) in [
        (
            "36: locks what a quorum prevoted, whatever it prevoted itself and without the checks of line 22",
            prevoted_nil(),
            vec![
                gives(proposed(0, None, &a), &["validate a"]),
                ok(prevote(0, 0, hash_a)),
                ok(prevote(1, 0, hash_a)),
                gives(prevote(2, 0, hash_a), &["timeout prevote 0 200"]),
                gives(validated(&a, true), &["precommit 0 a because a 3"]),
            ],
        ),
        (
            "36: an unknown block can't be locked",
            prevoted_nil(),
            vec![
                ok(prevote(0, 0, hash_a)),
                ok(prevote(1, 0, hash_a)),
                gives(prevote(2, 0, hash_a), &["timeout prevote 0 200"]),
                gives(elapsed(Prevote, 0), &["precommit 0 nil"]),
                gives(proposed(0, None, &a), &["validate a"]),
                ok(validated(&a, true)),
            ],
        ),
        (
            "44: a quorum for nil",
            prevoted_nil(),
            vec![
                ok(prevote(0, 0, None)),
                ok(prevote(1, 0, None)),
                gives(prevote(2, 0, None), &["precommit 0 nil"]),
                ok(prevote(3, 0, None)),
            ],
        ),
        (
            "34: any quorum, counted by validators, scheduled once; 61: precommit nil",
            prevoted_a(),
            vec![
                ok(elapsed(Prevote, 0)),
                ok(prevote(0, 0, hash_b)),
                gives(prevote(0, 0, None), &["equivocation b nil"]),
                ok(prevote(1, 0, hash_a)),
                gives(prevote(2, 0, None), &["timeout prevote 0 200"]),
                ok(prevote(3, 0, hash_b)),
                gives(elapsed(Prevote, 0), &["precommit 0 nil"]),
                ok(elapsed(Prevote, 0)),
            ],
        ),
        (
            "a vote that comes twice counts once",
            prevoted_a(),
            vec![ok(prevote(0, 0, hash_a)), ok(prevote(1, 0, hash_a)), ok(prevote(1, 0, hash_a))],
        ),
        (
            "both votes of an equivocator count, each for its own value",
            prevoted_a(),
            vec![
                ok(prevote(0, 0, None)),
                ok(prevote(1, 0, hash_a)),
                gives(prevote(0, 0, hash_a), &["equivocation nil a"]),
                gives(prevote(3, 0, hash_a), &["precommit 0 a because a 3"]),
            ],
        ),
    ] {
        check(desc, Some(3), [before, steps].concat());
    }
}

#[test]
fn before_its_own_prevote_a_node_does_not_precommit() {
    let a = Blocks::new().a;
    let hash = Some(hash_of(&a));
    check(
        "line 36 asks for step prevote",
        Some(3),
        vec![
            due(),
            gives(proposed(0, None, &a), &["validate a"]),
            ok(validated(&a, true)),
            ok(prevote(0, 0, hash)),
            ok(prevote(1, 0, hash)),
            ok(prevote(2, 0, hash)),
            gives(elapsed(Propose, 0), &["prevote 0 nil", "precommit 0 a because a 3"]),
        ],
    );
}

#[test]
fn line_49_decides_in_any_round_and_step_once_block_and_quorum_are_there() {
    let Blocks { a, b, c } = Blocks::new();
    let (hash_a, hash_b) = (Some(hash_of(&a)), Some(hash_of(&b)));
    for (desc, steps) in [
        (
            "the quorum comes last; nothing happens after it",
            vec![
                due(),
                gives(proposed(0, None, &a), &["validate a"]),
                ok(validated(&a, true)),
                ok(precommit(2, 0, hash_a)),
                ok(precommit(0, 0, hash_a)),
                gives(precommit(1, 0, hash_a), &["decide 0 a by [0, 1, 2]"]),
                ok(elapsed(Propose, 0)),
                ok(acceptable(&a)),
                ok(precommit(0, 5, None)),
                ok(precommit(1, 5, None)),
                ok(proposed(1, None, &c)),
            ],
        ),
        (
            "the block comes last; before its validity is known there is no decision",
            vec![
                ok(precommit(0, 0, hash_a)),
                gives(precommit(1, 0, hash_a), &START_0),
                gives(precommit(2, 0, hash_a), &["timeout precommit 0 300"]),
                gives(proposed(0, None, &a), &["validate a"]),
                gives(validated(&a, true), &["decide 0 a by [0, 1, 2]"]),
            ],
        ),
        (
            "an earlier round",
            vec![
                due(),
                ok(precommit(0, 3, None)),
                gives(precommit(1, 3, None), &["start 3", "build 3", "timeout propose 3 130"]),
                ok(precommit(0, 0, hash_a)),
                ok(precommit(1, 0, hash_a)),
                ok(precommit(2, 0, hash_a)),
                gives(proposed(0, None, &a), &["validate a"]),
                gives(validated(&a, true), &["decide 0 a by [0, 1, 2]"]),
            ],
        ),
        (
            "an invalid block is never decided",
            vec![
                ok(precommit(0, 0, hash_a)),
                gives(precommit(1, 0, hash_a), &START_0),
                gives(precommit(2, 0, hash_a), &["timeout precommit 0 300"]),
                gives(proposed(0, None, &a), &["validate a"]),
                gives(validated(&a, false), &["prevote 0 nil"]),
            ],
        ),
        (
            "the block may come by the second proposal of an equivocator",
            vec![
                due(),
                gives(proposed(0, None, &a), &["validate a"]),
                gives(proposed(0, None, &b), &["equivocation a b", "validate b"]),
                ok(validated(&b, true)),
                ok(precommit(0, 0, hash_b)),
                ok(precommit(1, 0, hash_b)),
                gives(precommit(2, 0, hash_b), &["decide 0 b by [0, 1, 2]"]),
            ],
        ),
    ] {
        check(desc, Some(3), steps);
    }
}

#[test]
fn a_late_precommit_completes_the_commit() {
    let a = Blocks::new().a;
    let hash = Some(hash_of(&a));
    let mut machine = Machine::new(context(None));
    for input in [proposed(0, None, &a), validated(&a, true), precommit(3, 0, hash), precommit(1, 0, hash)] {
        let _ = machine.step(input);
    }
    assert_eq!((machine.decided(), machine.late_commit()), (None, None));
    let _ = machine.step(precommit(2, 0, hash));
    assert_eq!(machine.decided(), Some((0, hash_of(&a))));
    let _ = machine.step(precommit(0, 0, hash));
    let commit = machine.late_commit().unwrap();
    assert_eq!(commit.signers.iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    let expected: Vec<_> = (1..=4).map(|place| Signature([place; 64])).collect();
    assert_eq!(commit.signatures, expected, "signatures in the order of the set");
}

#[test]
fn lines_47_and_65_any_precommits_end_the_round() {
    let a = Blocks::new().a;
    check(
        "a quorum of different precommits",
        Some(3),
        vec![
            due(),
            ok(elapsed(Precommit, 0)),
            ok(precommit(0, 0, Some(hash_of(&a)))),
            ok(precommit(1, 0, None)),
            gives(precommit(2, 0, None), &["timeout precommit 0 300"]),
            ok(precommit(3, 0, None)),
            ok(elapsed(Precommit, 1)),
            gives(elapsed(Precommit, 0), &["start 1", "timeout propose 1 110"]),
            ok(elapsed(Precommit, 0)),
            ok(elapsed(Propose, 0)),
            gives(elapsed(Propose, 1), &["prevote 1 nil"]),
        ],
    );
}

#[test]
fn line_55_more_than_a_third_draws_into_a_later_round() {
    check(
        "different validators, any votes, the highest such round; earlier ones draw nobody back",
        Some(3),
        vec![
            due(),
            ok(prevote(0, 5, None)),
            ok(precommit(0, 5, None)),
            ok(prevote(1, 2, None)),
            gives(prevote(2, 2, None), &["start 2", "timeout propose 2 120"]),
            gives(prevote(2, 5, None), &["start 5", "timeout propose 5 150"]),
            ok(prevote(0, 4, None)),
            ok(prevote(1, 4, None)),
        ],
    );
}

#[test]
fn an_observer_follows_without_a_word() {
    let Blocks { a, c, .. } = Blocks::new();
    let hash = Some(hash_of(&a));
    check(
        "observer",
        None,
        vec![
            due(),
            gives(proposed(0, None, &a), &["validate a"]),
            ok(validated(&a, true)),
            ok(acceptable(&a)),
            ok(Input::BlockBuilt { round: 1, block: Arc::new(c) }),
            ok(prevote(0, 0, hash)),
            ok(prevote(1, 0, hash)),
            ok(prevote(2, 0, hash)),
            ok(precommit(0, 0, hash)),
            ok(precommit(1, 0, None)),
            gives(precommit(3, 0, None), &["timeout precommit 0 300"]),
            gives(elapsed(Precommit, 0), &["start 1", "timeout propose 1 110"]),
            ok(elapsed(Propose, 1)),
            ok(precommit(2, 0, hash)),
            gives(precommit(3, 0, hash), &["equivocation nil a", "decide 0 a by [0, 2, 3]"]),
        ],
    );
}
