//! The deterministic simulator: real machines, journal, log and executor over a simulated disk, network and clock.
//!
//! `SIM_SEEDS=2000 cargo test --test sim` runs more seeds (from `SIM_FIRST` on); `SIM_SEED=17 cargo test --test sim`
//! replays one, and `SIM_VERBOSE=1` says what happens in it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a failed expectation is a test's verdict"
)]

mod across_the_world;
mod acting;
mod admission;
mod beyond;
mod byzantine;
mod copies;
mod disk;
mod faults;
mod fork_rules;
mod geography;
mod gossip_rules;
#[path = "../support/heard.rs"]
mod heard;
mod instance_rules;
mod lossy;
mod masternodes;
mod membership;
mod node;
mod one_node;
mod oracle;
mod plan;
mod promptness;
mod proofs;
mod random;
mod restart_rules;
mod seen;
mod signed;
mod strangers;
mod traffic;
mod upgrades;
mod verifier;
mod workload;
mod world;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use beyond::Outcome;
use seen::Seen;
use timed::runtime::clock::Clock;
use world::World;

/// As in the node; and the simulator's small, short-lived objects cost a tenth less with it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// So many seeds reach everything that the campaign is for.
const COVERING_SEEDS: u64 = 150;

/// So many twins meet sets of every kind.
const COVERING_TWINS: u64 = 100;

/// Seeds that failed once, with the plans of their time.
const REGRESSIONS: &[u64] = &[230, 382, 581, 916];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs the cases up to a number on all cores.
fn for_each(count: u64, run: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let case = next.fetch_add(1, Ordering::Relaxed);
                    if case >= count {
                        break;
                    }
                    run(case);
                }
            });
        }
    });
}

/// What a campaign went through.
#[derive(Default)]
struct Totals {
    seeds: u64,
    seen: Seen,
    /// Seconds of this machine, and the seed.
    slowest: (f64, u64),
    failed: Vec<u64>,
}

fn run(seed: u64, totals: &Mutex<Totals>) {
    let started = Clock.instant();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed);
        world.run();
        world.seen()
    }));
    let seconds = started.elapsed().as_secs_f64();
    let mut totals = totals.lock().expect("no panic while locked");
    totals.seeds += 1;
    if seconds > totals.slowest.0 {
        totals.slowest = (seconds, seed);
    }
    match outcome {
        Ok(seen) => totals.seen.add(&seen),
        Err(_) => {
            println!("failed: SIM_SEED={seed} cargo test --test sim simulation");
            totals.failed.push(seed);
        }
    }
}

#[test]
fn simulation() {
    if let Some(seed) = number("SIM_SEED") {
        let mut world = World::new(seed);
        world.run();
        println!("{:?}", world.seen());
        return;
    }
    let (first, count) = (number("SIM_FIRST").unwrap_or(0), number("SIM_SEEDS").unwrap_or(200));
    let regressions = REGRESSIONS.iter().copied().filter(|_| first == 0);
    let seeds: BTreeSet<u64> = regressions.chain(first..first + count).collect();
    let seeds: Vec<u64> = seeds.into_iter().collect();
    let totals = Mutex::new(Totals::default());
    for_each(seeds.len() as u64, |place| run(seeds[place as usize], &totals));
    let Totals { seeds, seen, slowest, failed } = totals.into_inner().expect("no panic while locked");
    println!("{seeds} seeds: {seen:?}; the slowest was {} with {:.1} s", slowest.1, slowest.0);
    assert!(failed.is_empty(), "seeds that failed: {failed:?}; replay one with SIM_SEED=N");
    if count >= COVERING_SEEDS {
        seen.assert_complete();
    }
}

/// Twins: two nodes with one key, each with a journal of its own. `SIM_TWINS=1000 cargo test --test sim twins` runs
/// more of them (from `SIM_FIRST` on), `SIM_TWIN=17` one.
#[test]
fn twins() {
    let run = |case: u64| {
        let mut random = random::Random::new(1_000_000 + case);
        let plan = plan::Plan::with_twin(&mut random);
        let mut world = World::with_plan(plan, random);
        world.run();
        world.seen()
    };
    if let Some(case) = number("SIM_TWIN") {
        println!("{:?}", run(case));
        return;
    }
    let (first, count) = (number("SIM_FIRST").unwrap_or(0), number("SIM_TWINS").unwrap_or(100));
    let total = Mutex::new((Seen::default(), Vec::new()));
    for_each(count, |place| {
        let case = first + place;
        let outcome = catch_unwind(AssertUnwindSafe(|| run(case)));
        let mut total = total.lock().expect("no panic while locked");
        match outcome {
            Ok(seen) => total.0.add(&seen),
            Err(_) => {
                println!("failed: SIM_TWIN={case} cargo test --test sim twins");
                total.1.push(case);
            }
        }
    });
    let (seen, failed) = total.into_inner().expect("no panic while locked");
    println!("{count} cases: {seen:?}");
    assert!(failed.is_empty(), "cases that failed: {failed:?}");
    // Most are noticed by both, some only after they have contradicted each other.
    assert!(seen.copies_heard > count && 8 * seen.slashed > count, "twins are heard, and slashed");
    if count >= COVERING_TWINS {
        let others = [seen.heard_in_other_set, seen.joined, seen.exited, seen.handed_over];
        assert!(others.iter().all(|times| *times > 0), "sets change under twins");
    }
}

/// Copied data directories in a network that hears both: nobody contradicts itself. `SIM_COPIES=1000 cargo test --test sim
/// copied` runs more of them, `SIM_COPY=17` one.
#[test]
fn copied_disks() {
    let run = |case: u64| {
        let mut random = random::Random::new(3_000_000 + case);
        let plan = plan::Plan::with_copied_disk(&mut random);
        let mut world = World::with_plan(plan, random);
        world.run();
        let seen = world.seen();
        assert_eq!((seen.evidence, seen.slashed), (0, 0), "the two contradicted each other");
        // Who comes up while an epoch ends may be told by votes alone, and says nothing more. The other one is not told, and
        // is the only one that signs.
        assert!(seen.copies_heard >= 1, "nobody is told");
        seen
    };
    let _seen = campaign("SIM_COPY", "copied", number("SIM_COPIES").unwrap_or(40), run);
}

/// The plans of the first campaign, with nodes that ask before they sign. `SIM_LISTENING=1000 cargo test --test sim
/// listening` runs more of them, `SIM_LISTENER=17` one.
#[test]
fn listening() {
    let run = |case: u64| {
        let mut random = random::Random::new(4_000_000 + case);
        let plan = plan::Plan::listening(&mut random);
        let mut world = World::with_plan(plan, random);
        world.run();
        world.seen()
    };
    let _seen = campaign("SIM_LISTENER", "listening", number("SIM_LISTENING").unwrap_or(40), run);
}

/// Peers without stake say anything all the time, and nobody who keeps the rules notices. `SIM_STRANGERS=100 cargo test
/// --test sim strangers` runs more of them, `SIM_STRANGER=17` one.
#[test]
fn strangers() {
    let run = |case: u64| {
        let mut random = random::Random::new(5_000_000 + case);
        let plan = plan::Plan::with_strangers(&mut random);
        let mut world = World::with_plan(plan, random);
        world.run_among_strangers();
        world.seen()
    };
    let _seen = campaign("SIM_STRANGER", "strangers", number("SIM_STRANGERS").unwrap_or(16), run);
}

/// Runs one case that a variable of the environment names, or so many; then it gives what all of them went through.
fn campaign(variable: &str, test: &str, count: u64, run: impl Fn(u64) -> Seen + Sync) -> Option<Seen> {
    if let Some(case) = number(variable) {
        println!("{:?}", run(case));
        return None;
    }
    let total = Mutex::new((Seen::default(), Vec::new()));
    for_each(count, |case| {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(case)));
        let mut total = total.lock().expect("no panic while locked");
        match outcome {
            Ok(seen) => total.0.add(&seen),
            Err(_) => {
                println!("failed: {variable}={case} cargo test --test sim {test}");
                total.1.push(case);
            }
        }
    });
    let (seen, failed) = total.into_inner().expect("no panic while locked");
    println!("{count} cases: {seen:?}");
    assert!(failed.is_empty(), "cases that failed: {failed:?}");
    Some(seen)
}

/// More than a third of the weight in two places at once. `SIM_BEYOND=1000 cargo test --test sim beyond_a_third` runs
/// more of them, `SIM_BEYOND_CASE=17` one.
#[test]
fn beyond_a_third() {
    let run = |case: u64| {
        let mut random = random::Random::new(2_000_000 + case);
        let plan = plan::Plan::beyond_a_third(&mut random);
        World::with_plan(plan, random).run_beyond()
    };
    if let Some(case) = number("SIM_BEYOND_CASE") {
        println!("{:?}", run(case));
        return;
    }
    let cases = number("SIM_BEYOND").unwrap_or(60);
    let total = Mutex::new((Outcome::default(), Vec::new()));
    for_each(cases, |case| {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(case)));
        let mut total = total.lock().expect("no panic while locked");
        match outcome {
            Ok(outcome) => total.0.add(&outcome),
            Err(_) => {
                println!("failed: SIM_BEYOND_CASE={case} cargo test --test sim beyond_a_third");
                total.1.push(case);
            }
        }
    });
    let (outcome, failed) = total.into_inner().expect("no panic while locked");
    println!("{cases} cases: {outcome:?}");
    assert!(failed.is_empty(), "cases that failed: {failed:?}");
    assert!(outcome.forks > 0 && outcome.met_early > 0 && outcome.conflicts > 0 && outcome.evidence > 0);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 11, 29, 58] {
        let run = || {
            let mut world = World::new(seed);
            world.traces_bytes = true;
            world.run()
        };
        assert_eq!(run(), run(), "seed {seed}");
    }
}
