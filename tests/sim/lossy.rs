//! Large networks all over the world in which a tenth of all messages gets lost, with a third minus one of the validators
//! faulty and a stranger among the peers: epochs close, certificates arrive, payments become final.
//!
//! `SIM_LOSSY=24,40,100 cargo test --test sim lossy -- --nocapture` runs these sizes and prints what each gives.

use std::fmt;

use crate::plan::Plan;
use crate::random::Random;
use crate::world::World;

/// Epochs that have to end.
const EPOCHS: u64 = 4;
/// One epoch lasts 9 s before it closes; so long may all of them take.
const EPOCHS_WITHIN_MS: u64 = 80_000;
/// Each payment that an honest node was sent is final at all of them within this time, while epochs close too.
/// With 22 to 26 validators the longest took 2.5 to 4.1 s.
const FINAL_WITHIN_MS: u64 = 5_000;
/// Half of them within this time, some four round trips of half the world; 1.4 to 1.7 s with 22 to 26 validators.
const MEDIAN_MS_MAX: u64 = 2_000;

/// What a network gave.
struct Figures {
    validators: usize,
    faulty: usize,
    epochs_ms: u64,
    closing_ms: u64,
    payments: usize,
    median_ms: u64,
    p99_ms: u64,
    longest_ms: u64,
    steps: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { validators, faulty, epochs_ms, closing_ms, payments, median_ms, p99_ms, .. } = self;
        write!(f, "{validators} validators, {faulty} faulty: {EPOCHS} epochs in {epochs_ms} ms, ")?;
        write!(f, "the slowest closing {closing_ms} ms; {payments} payments final after {median_ms} ms ")?;
        write!(f, "(median), {p99_ms} ms (99 %), {} ms (all); {} steps", self.longest_ms, self.steps)
    }
}

fn run(validators: usize) -> Figures {
    let mut random = Random::new(validators as u64);
    let plan = Plan::lossy(validators, &mut random);
    let faulty = plan.byzantine.len();
    let mut world = World::with_plan(plan, random);
    let began_ms = world.now_ms;
    world.promise_finality_within(FINAL_WITHIN_MS);
    world.run_until("epochs end", EPOCHS_WITHIN_MS, |world| world.oracle.epoch >= EPOCHS);
    let epochs_ms = world.now_ms - began_ms;
    // Whoever decided in time is not all: the slowest gets there as well.
    let (height, limit_ms) = (world.oracle.height, EPOCHS_WITHIN_MS / EPOCHS);
    world.run_until("every honest node follows", limit_ms, |world| {
        world.heights().iter().all(|reached| *reached >= height)
    });
    assert!(world.seen.certificates > 0, "certificates reached nobody");
    let (payments, [median_ms, p99_ms, longest_ms]) = world.promptness.figures();
    let closing_ms = world.stopwatch.longest_closing_ms().expect("epochs closed");
    let steps = world.seen().steps;
    Figures { validators, faulty, epochs_ms, closing_ms, payments, median_ms, p99_ms, longest_ms, steps }
}

fn sizes() -> Vec<usize> {
    let text = std::env::var("SIM_LOSSY").unwrap_or_else(|_| "24".to_owned());
    text.split(',').map(|size| size.trim().parse().expect("a number of validators")).collect()
}

#[test]
fn lossy_networks_with_a_third_minus_one_faulty_go_on() {
    for validators in sizes() {
        let figures = run(validators);
        println!("{figures}");
        assert!(figures.payments >= 50, "too few to say: {figures}");
        assert!(figures.median_ms <= MEDIAN_MS_MAX, "slow: {figures}");
    }
}
