//! Programs that are replaced while the chain goes on, until new rules come into force.
//!
//! `SIM_UPGRADES=1000 cargo test --test sim upgrades` runs more cases, `SIM_UPGRADE=17` one.

use timed::consensus::events::Output;
use timed::protocol::activation::UnknownRules;
use timed::types::{Header, RuleVersion};

use crate::plan::Plan;
use crate::random::Random;
use crate::world::{Item, World};
use crate::{campaign, number};

/// What the new programs know.
pub const NEXT_RULES: RuleVersion = RuleVersion::DUST;

/// How long all of it may take once faults are over: each member's turn to propose, and two ends of an epoch.
const IN_FORCE_WITHIN_MS: u64 = 120_000;

impl Plan {
    /// Any plan, in which each node is upgraded sooner or later.
    fn upgrading(random: &mut Random) -> Self {
        Self { upgrades: true, epochs: 4, payments_per_second: 8, ..Self::of(random) }
    }
}

impl World {
    /// Each operator upgrades at a time of his own. One is late, and often meets the new rules first; where the others are
    /// no quorum without it, they wait for it.
    fn plan_upgrades(&mut self) {
        let late = self.random.below(self.nodes.len());
        for node in 0..self.nodes.len() {
            let (from_ms, to_ms) = if node == late { (20_000, 60_000) } else { (500, 12_000) };
            let delay = self.random.between(from_ms, to_ms);
            self.after(delay, Item::Upgrade { node });
        }
    }

    /// The new program is installed, and the node started again with it.
    pub(super) fn upgrade(&mut self, node: usize) {
        if self.nodes[node].knows < NEXT_RULES {
            self.log(|| format!("node {node} is upgraded"));
            self.nodes[node].knows = NEXT_RULES;
        }
        if self.nodes[node].running.as_ref().is_some_and(|running| running.knows < NEXT_RULES) {
            self.stop(node);
        }
    }

    /// A node stops at rules that it does not know. Somebody looks after it some time later.
    pub(super) fn outdated(&mut self, node: usize, why: UnknownRules) {
        self.log(|| format!("node {node} stops: {why}"));
        let Some(running) = &self.nodes[node].running else { return };
        let state = running.consensus.state();
        assert_eq!((why.version, why.known), (NEXT_RULES, running.knows), "only what is announced comes");
        assert_eq!(
            state.next_epoch(),
            why.epoch,
            "INV-DISPATCH-3: it stops before the first block of the epoch"
        );
        self.seen.outdated += 1;
        let delay = self.random.between(50, 3_000);
        self.after(delay, Item::Upgrade { node });
    }

    /// INV-DISPATCH-3: what a program orders once it is outdated is its stop, and that its last block is told.
    pub(super) fn hold_outdated_to_silence(&self, node: usize, outputs: &[Output]) {
        let Some(running) = &self.nodes[node].running else { return };
        if running.consensus.state().rules().in_force() > running.knows {
            let is_last_word = |output: &Output| matches!(output, Output::Stop(_) | Output::Notify(_));
            assert!(outputs.iter().all(is_last_word), "INV-DISPATCH-3: node {node} goes on: {outputs:?}");
        }
    }

    /// INV-DISPATCH-3: no block is written by a program that does not know its rules.
    pub(super) fn hold_to_known_rules(&self, node: usize, header: &Header) {
        let knows = self.nodes[node].running.as_ref().map(|running| running.knows);
        assert!(
            knows.is_none_or(|knows| header.rules <= knows),
            "INV-DISPATCH-3: node {node} writes {header:?}"
        );
    }
}

#[test]
fn upgrades() {
    let run = |case: u64| {
        let mut random = Random::new(6_000_000 + case);
        let plan = Plan::upgrading(&mut random);
        let mut world = World::with_plan(plan, random);
        world.plan_upgrades();
        world.run();
        world.run_until("new rules in force", IN_FORCE_WITHIN_MS, |world| {
            world.oracle.state().rules().in_force() == NEXT_RULES
        });
        let (since, height) = (world.oracle.state().rules().since(), world.oracle.height);
        world.run_until("every node goes on under them", 60_000, |world| {
            world.heights().iter().all(|reached| *reached > height + 2)
        });
        if !world.is_over {
            assert_eq!(world.oracle.state().rules().since(), since, "INV-RULES-2");
            world.seen.activated += 1;
        }
        world.seen()
    };
    let seen = campaign("SIM_UPGRADE", "upgrades", number("SIM_UPGRADES").unwrap_or(24), run);
    if let Some(seen) = seen {
        assert!(seen.activated > 0 && seen.outdated > 0, "rules come into force, and somebody is late");
    }
}
