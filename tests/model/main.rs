//! The rules that make the chain safe, searched to the last state: the finality layer with the closing of its epochs,
//! and the block layer, as models over the code that the node runs.
//!
//! `cargo test --test model -- --nocapture` prints what was searched and a trace for each rule that is taken out;
//! `MODEL_SIZE=2` adds larger models (minutes and gigabytes), and `MODEL_SIZE=3` those whose end is not known, as far as
//! it goes.
//!
//! # What is modelled
//! Four validators of weight 1, of which the last is Byzantine. The three honest ones are the real
//! `protocol::finality::Machine` and `protocol::bft::Machine`, driven through `step`, `new` and `restore` alone, on
//! states and blocks made by the real transition. Around them stands what `src/consensus` does with their orders:
//! the order of the journal, what has to be durable before what, what a restart finds, and the checks before a first
//! prevote. `tests/sim/restart_rules.rs` holds what of this is easily wrong against the real core.
//!
//! - The network is what was sent: everybody may receive any of it at any time, in any order, or never.
//! - The Byzantine validator sends anything to anybody at any time: every vote for every transaction, block and nil,
//!   and any block that the rules allow, as often as it is asked.
//! - Honest nodes crash at any time, as often as they like, and come back with what is durable. A *wipe* loses the
//!   chain's data as well, never the journal. In some models they listen, without a vote, for as long as they like
//!   before they sign again (for Tendermint that is a crash that ends later).
//! - **Finality:** transactions `A` and `B` spend one coin, `C` spends an output of `A`; an ordinary block, closing
//!   blocks, the epoch's last block, the next epoch with its new votes, and in some models its blocks.
//! - **Tendermint:** one height, two or three rounds, two or three blocks; proposals by the Byzantine one in every round
//!   or by honest ones in turn. Each node finds a block acceptable at any time, or never, or knows that it never will.
//!
//! # What is abstracted, and why it is sound
//! - *Blocks in the finality model.* A block is committed when two honest nodes have prevoted it by rules 4 and 5, and
//!   one block a height. That it takes no less is what the Tendermint model holds ("rule 4": nothing is precommitted
//!   without first prevotes of two honest nodes; I1: one block a height). It may take more, which only makes fewer
//!   things happen. Prevotes for blocks that are not committed change nothing, so the first prevote of a height
//!   says which block is meant.
//! - *Proposers.* Any block that is valid may be proposed, whoever is the proposer: what honest proposers would do is
//!   among it.
//! - *Votes together.* Votes that reach no quorum change nothing that anybody sees, and may as well arrive with the
//!   one that makes it. So votes arrive in sets that make a machine do something, and what a node heard without
//!   consequence is forgotten (`finality/node.rs`, `tendermint/forgetful.rs`). Two tests look for what this misses:
//!   models in which each vote arrives alone, and nothing is forgotten, are searched as far as is affordable, nearest
//!   worlds first and then along random walks, and come to no world whose deeds the others don't have.
//! - *The disk.* A vote is durable as soon as it is cast, since a crash before that leaves what a crash before the cast
//!   would; the models with a slow disk have a queue of writes instead, and hold this.
//! - *Batches.* Each vote is a batch of its own: what one of many leaves out may as well come later.
//! - *Sets.* All epochs have the same validators. Nobody registers, leaves or is punished.
//! - *Time.* Every timeout that is scheduled may run out at once or later. The clock rule of a first prevote only delays.
//! - *Signatures, bodies of blocks, gossip* are checked elsewhere: whatever arrives was signed by its sender.
//!
//! # What holds
//! I1 to I6 (section 9 of `timed::protocol`): I3 over wipes as well, I5 over parents as well. S1, two conflicting
//! transactions are never certified in one epoch. Rule 4: blocks hold certified transactions; nothing is precommitted
//! that two honest nodes did not accept. Rule 5: no new vote after a prevote at a closing height. I10: no honest node is
//! reported for a contradiction (by Tendermint: where each vote arrives alone). And the machines' own
//! `check_invariants` after each step.
//!
//! # How it is tested
//! Each rule that is taken out gives a counterexample to the property that it is there for, with the shortest trace to
//! it. Each model says what it must come across (`sights`), or it would prove nothing. The nodes' names don't matter,
//! which the search asserts of every local state instead of trusting it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a failed expectation is a test's verdict"
)]

mod checker;
mod finality;
#[path = "../support/heard.rs"]
mod heard;
mod tendermint;
mod text;

use std::collections::HashSet;

use checker::{Model, Outcome, View, search, search_with, walk};
use finality::{FinalityModel, LedgerPlan, Rules};
use tendermint::{Plan, TendermintModel};

/// Worlds that a model is searched for at most, times the size.
const WORLDS_MAX: usize = 30_000_000;
/// Models from this size on need not end before that: what is known of them is that the nearest worlds are sound.
const OPEN_SIZE: usize = 3;
/// Worlds in which each vote arrives alone that are compared with those where votes arrive together: the nearest ones,
/// and those on random walks.
const COMPARED_WORLDS: usize = 200_000;
const COMPARED_WALKS: usize = 500;
const WALK_STEPS: usize = 600;

/// How far to go; 1 is what CI does.
fn size() -> usize {
    std::env::var("MODEL_SIZE").ok().map_or(1, |text| text.parse().expect("a number"))
}

// -- finality -----------------------------------------------------------------------------------------------------

struct FinalityCase {
    name: &'static str,
    /// The `MODEL_SIZE` from which on it is searched.
    size: usize,
    plan: LedgerPlan,
    rules: Rules,
    sights: u32,
}

/// An ordinary block and closing ones, without a bound on their transactions.
const LEDGER: LedgerPlan =
    LedgerPlan { transactions: 2, capacity: 1_000, ordinary_blocks: 0, blocks: 2, epochs: 1 };
const RULES: Rules = Rules {
    delivery: finality::Delivery::Together,
    slow_disk: false,
    restarts: false,
    wipes: false,
    listens: false,
    mutation: None,
};
const RESTARTS: Rules = Rules { restarts: true, ..RULES };
const WIPES: Rules = Rules { wipes: true, ..RESTARTS };
const LISTENS: Rules = Rules { listens: true, ..RESTARTS };

fn search_finality(case: &FinalityCase) {
    if size() < case.size {
        return;
    }
    let outcome = search(&mut FinalityModel::new(case.plan, case.rules), WORLDS_MAX * size());
    report(&format!("finality, {}", case.name), case.size, &outcome);
    assert_seen(&outcome, case.sights, &finality::sights::NAMES);
}

#[test]
fn finality_holds_across_restarts_and_wipes() {
    use finality::sights::{CERTIFIED, CLOSING, EPOCH_ENDED, FINAL, LEFT_OUT, OTHER_NEXT_EPOCH};
    let sights = CERTIFIED | FINAL | CLOSING | EPOCH_ENDED | LEFT_OUT | OTHER_NEXT_EPOCH;
    search_finality(&FinalityCase {
        name: "restarts and wipes",
        size: 1,
        plan: LEDGER,
        rules: WIPES,
        sights,
    });
}

#[test]
fn finality_holds_with_children_full_blocks_epochs_and_slow_disks() {
    use finality::sights::{CHILD_FINAL, EPOCH_ENDED, FINAL, FULL_CLOSING_BLOCK, LEFT_OUT, OTHER_NEXT_EPOCH};
    let ended = FINAL | EPOCH_ENDED | LEFT_OUT | OTHER_NEXT_EPOCH;
    let three = LedgerPlan { transactions: 3, ..LEDGER };
    let single = LedgerPlan { transactions: 1, ..LEDGER };
    let slow_disk = Rules { slow_disk: true, ..RULES };
    let slow_restarts = Rules { slow_disk: true, ..RESTARTS };
    let slow_wipes = Rules { slow_disk: true, ..WIPES };
    let case = |name, size, plan, rules, sights| FinalityCase { name, size, plan, rules, sights };
    let cases = [
        case("a child", 1, three, RULES, ended | CHILD_FINAL),
        case("blocks of two epochs", 1, LedgerPlan { blocks: 3, epochs: 2, ..LEDGER }, RESTARTS, ended),
        case(
            "full closing blocks",
            1,
            LedgerPlan { capacity: 1, blocks: 3, ..LEDGER },
            RESTARTS,
            ended | FULL_CLOSING_BLOCK,
        ),
        case(
            "two ordinary blocks",
            1,
            LedgerPlan { ordinary_blocks: 1, blocks: 3, ..LEDGER },
            RESTARTS,
            ended,
        ),
        case("restarts that listen first", 1, LEDGER, LISTENS, ended),
        case(
            "restarts and wipes that listen first, one transaction",
            2,
            single,
            Rules { listens: true, ..WIPES },
            FINAL | EPOCH_ENDED,
        ),
        case("a slow disk", 1, LEDGER, slow_disk, ended),
        case("a slow disk with restarts, one transaction", 1, single, slow_restarts, FINAL | EPOCH_ENDED),
        case(
            "a slow disk with restarts and wipes, one transaction",
            2,
            single,
            slow_wipes,
            FINAL | EPOCH_ENDED,
        ),
        case("a child with restarts", 2, three, RESTARTS, ended | CHILD_FINAL),
        case(
            "a child and full closing blocks",
            2,
            LedgerPlan { capacity: 1, blocks: 4, ..three },
            RULES,
            ended | CHILD_FINAL | FULL_CLOSING_BLOCK,
        ),
        case("a slow disk with restarts", 3, LEDGER, slow_restarts, FINAL | EPOCH_ENDED),
        case(
            "blocks of two epochs with wipes",
            3,
            LedgerPlan { blocks: 3, epochs: 2, ..LEDGER },
            WIPES,
            FINAL,
        ),
    ];
    cases.iter().for_each(search_finality);
}

#[test]
fn each_rule_of_finality_that_is_taken_out_gives_a_counterexample() {
    use finality::Mutation;
    let three = LedgerPlan { transactions: 3, ..LEDGER };
    let single = LedgerPlan { transactions: 1, ..LEDGER };
    let slow_disk = Rules { slow_disk: true, ..RESTARTS };
    let slow_wipes = Rules { slow_disk: true, ..WIPES };
    let cases = [
        (Mutation::PromisesUnchecked, LEDGER, RULES, "I6"),
        (Mutation::CertificatesUnchecked, LEDGER, RULES, "rule 4"),
        (Mutation::CertificatesUnchecked, LEDGER, RULES, "I6"),
        (Mutation::ClosingNotEntered, LEDGER, RULES, "I6"),
        (Mutation::LocksForgotten, LEDGER, RESTARTS, "I3"),
        (Mutation::LocksForgotten, LEDGER, RESTARTS, "I5"),
        (Mutation::PromisesForgotten, LEDGER, RESTARTS, "I6"),
        (Mutation::ClosingForgotten, LEDGER, WIPES, "I6"),
        (Mutation::ClosingUnrecorded, single, slow_wipes, "I6"),
        (Mutation::PrunedEpochsVoted, LEDGER, WIPES, "I3"),
        (Mutation::PrunedEpochsVoted, LEDGER, WIPES, "S1"),
        (Mutation::SentBeforeDurable, LEDGER, slow_disk, "I3"),
        (Mutation::SentBeforeDurable, LEDGER, slow_disk, "S1"),
        (Mutation::OldVotesCount, LEDGER, RULES, "S1"),
        (Mutation::UnconfirmedParents, three, RULES, "I5"),
        (Mutation::SmallQuorum, LEDGER, RULES, "S1"),
    ];
    for (mutation, plan, rules, property) in cases {
        let rules = Rules { mutation: Some(mutation), ..rules };
        let mut model = FinalityModel::new(plan, rules).only(property);
        report_violation(&format!("{mutation:?}"), property, &search(&mut model, WORLDS_MAX));
    }
}

#[test]
fn finality_votes_that_arrive_alone_lead_nowhere_else() {
    let one_by_one = Rules { delivery: finality::Delivery::EachVote, ..RESTARTS };
    compare(
        "finality",
        &mut FinalityModel::new(LEDGER, RESTARTS),
        &mut FinalityModel::new(LEDGER, one_by_one),
    );
}

// -- Tendermint ---------------------------------------------------------------------------------------------------

/// Two rounds with a block each, both proposed by the Byzantine one.
const PLAN: Plan = Plan {
    first_rounds: &[0, 1],
    proposers: &[3, 3],
    delivery: tendermint::Delivery::Together,
    slow_disk: false,
    restarts: true,
    mutation: None,
};

fn search_tendermint(name: &str, from: usize, plan: Plan) {
    if size() < from {
        return;
    }
    let outcome = search(&mut TendermintModel::new(plan), WORLDS_MAX * size());
    report(&format!("tendermint, {name}"), from, &outcome);
    assert_seen(&outcome, tendermint::sights::ALL, &tendermint::sights::NAMES);
}

#[test]
fn tendermint_holds_for_two_rounds() {
    search_tendermint("a Byzantine proposer", 1, PLAN);
    search_tendermint("a Byzantine proposer with two blocks", 1, Plan { first_rounds: &[0, 0, 1], ..PLAN });
    search_tendermint("an honest proposer, then the Byzantine one", 1, Plan { proposers: &[0, 3], ..PLAN });
    search_tendermint("the Byzantine proposer, then an honest one", 1, Plan { proposers: &[3, 0], ..PLAN });
    search_tendermint("honest proposers", 1, Plan { proposers: &[0, 1], ..PLAN });
}

#[test]
fn tendermint_holds_for_three_rounds() {
    search_tendermint("three rounds", 1, Plan { proposers: &[3, 3, 3], ..PLAN });
    let blocks = &[0, 1, 2];
    search_tendermint(
        "three rounds, three blocks",
        2,
        Plan { proposers: &[3, 3, 3], first_rounds: blocks, ..PLAN },
    );
    let between = Plan { proposers: &[3, 0, 3], ..PLAN };
    let standing = Plan { restarts: false, ..between };
    search_tendermint("three rounds, one honest proposer, no restarts", 2, standing);
    search_tendermint("three rounds, one honest proposer", 3, between);
    search_tendermint("three rounds, two honest proposers", 3, Plan { proposers: &[0, 3, 1], ..PLAN });
}

#[test]
fn each_rule_of_tendermint_that_is_taken_out_gives_a_counterexample() {
    use tendermint::Mutation;
    let cases = [
        (Mutation::SmallQuorum, "I1"),
        (Mutation::LocksForgotten, "I4"),
        (Mutation::LocksForgotten, "I1"),
        (Mutation::VotesForgotten, "I3"),
        (Mutation::VotesForgotten, "I1"),
        (Mutation::ProofUnchecked, "I4"),
        (Mutation::ProofUnchecked, "I1"),
        (Mutation::SentBeforeDurable, "I3"),
    ];
    for (mutation, property) in cases {
        let plan = match mutation {
            // Only a block of the first round can be proposed again in the next one.
            Mutation::ProofUnchecked => Plan { first_rounds: &[0, 0], ..PLAN },
            // The lock of round 0 is forgotten once there is a vote of round 1.
            Mutation::LocksForgotten => Plan { first_rounds: &[0, 2], proposers: &[3, 3, 3], ..PLAN },
            // One round is enough to say everything twice.
            Mutation::VotesForgotten => Plan { first_rounds: &[0, 0], proposers: &[3], ..PLAN },
            Mutation::SentBeforeDurable => Plan { slow_disk: true, ..PLAN },
            Mutation::SmallQuorum => PLAN,
        };
        let mut model = TendermintModel::new(Plan { mutation: Some(mutation), ..plan }).only(property);
        report_violation(&format!("{mutation:?}"), property, &search(&mut model, WORLDS_MAX));
    }
}

#[test]
fn tendermint_votes_that_arrive_alone_lead_nowhere_else() {
    let one_by_one = Plan { delivery: tendermint::Delivery::EachVote, ..PLAN };
    compare("tendermint", &mut TendermintModel::new(PLAN), &mut TendermintModel::new(one_by_one));
}

// -- both ---------------------------------------------------------------------------------------------------------

fn report(name: &str, size: usize, outcome: &Outcome) {
    println!("{name}: {}", outcome.figures());
    if let Some(violation) = &outcome.violation {
        panic!("{name}\n{}", violation.text());
    }
    let may_stay_open = size >= OPEN_SIZE;
    assert!(outcome.complete || may_stay_open, "{name}: there are more than {} worlds", outcome.worlds);
}

fn assert_seen(outcome: &Outcome, wanted: u32, names: &[&str]) {
    let missing: Vec<_> =
        (0..).zip(names).filter(|(bit, _)| wanted & !outcome.sights & 1 << bit != 0).collect();
    assert!(missing.is_empty(), "the search never came across {missing:?}");
}

fn report_violation(mutation: &str, property: &str, outcome: &Outcome) {
    let violation = outcome.violation.as_ref();
    let violation =
        violation.unwrap_or_else(|| panic!("{mutation} does not break {property}: {}", outcome.figures()));
    println!("without a rule, {mutation}: {}\n{}", outcome.figures(), violation.text());
    assert!(violation.property.starts_with(property));
}

/// Every world of the second model is, by what was done in it, one of the first.
fn compare<M: Model>(name: &str, together: &mut M, one_by_one: &mut M) {
    let mut views: HashSet<View> = HashSet::new();
    let first = search_with(together, WORLDS_MAX, &mut |model, world| {
        views.insert(model.view(world));
        None
    });
    assert!(first.complete && first.violation.is_none(), "{}", first.figures());
    let mut seen: HashSet<View> = HashSet::new();
    let mut is_known = |model: &mut M, world| {
        let view = model.view(world);
        seen.insert(view);
        (!views.contains(&view)).then(|| "votes together come here too".to_owned())
    };
    let second = search_with(one_by_one, COMPARED_WORLDS * size(), &mut is_known);
    let strayed = walk(one_by_one, COMPARED_WALKS * size(), WALK_STEPS, &mut is_known);
    println!("{name}, together: {}; {} kinds", first.figures(), views.len());
    println!("{name}, one by one: {}; with the walks {} of these kinds", second.figures(), seen.len());
    if let Some(violation) = second.violation.or(strayed) {
        panic!("{}", violation.text());
    }
}
