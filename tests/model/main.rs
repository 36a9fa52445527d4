//! wip
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
mod finality_node;
mod ledger;
mod tendermint;
mod tendermint_node;
mod text;

use checker::search;
use finality::FinalityModel;
use finality_node::{Delivery, Rules};
use ledger::LedgerPlan;

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn probe() {
    let env = |name: &str, default: usize| number(name).unwrap_or(default);
    let plan = LedgerPlan {
        transactions: env("TX", 2) as u8,
        capacity: env("CAP", 1000),
        ordinary_blocks: env("ORD", 0) as u64,
        blocks: env("BLOCKS", 2),
        epochs: env("EPOCHS", 1) as u64,
    };
    let rules = Rules {
        delivery: if env("EACH", 0) == 1 { Delivery::EachVote } else { Delivery::Quorums },
        slow_disk: env("SLOW", 0) == 1,
        restarts: env("RESTARTS", 1) == 1,
        wipes: env("WIPES", 0) == 1,
        mutation: None,
    };
    let mut model = FinalityModel::new(plan, rules);
    let start = std::time::SystemTime::now();
    let outcome = search(&mut model, env("MAX", 5_000_000), usize::MAX);
    println!("{plan:?} {rules:?}\n{} {:?}", outcome.figures(), start.elapsed());
    let missing: Vec<_> = (0..8).filter(|bit| outcome.sights & 1 << bit == 0).map(|bit| finality::sights::NAMES[bit]).collect();
    println!("not seen: {missing:?}");
    if let Some(violation) = outcome.violation {
        println!("{}", violation.text());
    }
}

#[test]
fn probe_bft() {
    use tendermint_node as t;
    let env = |name: &str, default: usize| number(name).unwrap_or(default);
    let plan = t::Plan {
        first_rounds: [&[0_u32, 1][..], &[0, 0, 1], &[0, 1, 2], &[0, 0]][env("VALUES", 0)],
        proposers: [&[3_u8, 3][..], &[3, 3, 3], &[0, 3], &[3, 0], &[0, 3, 1], &[0, 1, 3], &[3,0,1], &[3,3,3,3], &[0,3,3], &[3,0,3]][env("PROP", 0)],
        delivery: if env("EACH", 0) == 1 { t::Delivery::EachVote } else { t::Delivery::Together },
        slow_disk: env("SLOW", 0) == 1,
        restarts: env("RESTARTS", 1) == 1,
        mutation: None,
    };
    let mut model = tendermint::TendermintModel::new(plan);
    let start = std::time::SystemTime::now();
    let outcome = search(&mut model, env("MAX", 5_000_000), usize::MAX);
    println!("{plan:?}\n{} {:?}", outcome.figures(), start.elapsed());
    let missing: Vec<_> = (0..7).filter(|bit| outcome.sights & 1 << bit == 0).map(|bit| tendermint::sights::NAMES[bit]).collect();
    println!("not seen: {missing:?}");
    if let Some(violation) = outcome.violation {
        println!("{}", violation.text());
    }
}
