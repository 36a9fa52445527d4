//! What goes wrong in a run: crashes, lost chains, partitions, pauses.

use timed::consensus::events::Event;

use crate::world::{Item, World};

/// A clock that was set is off by so much, in milliseconds: within what headers may be ahead.
const CLOCK_STEP_MS_MAX: u64 = 2_000;
/// Now and then by so many times as much, which is days.
const CLOCK_FAR_FACTOR: i64 = 100_000;

impl World {
    pub(super) fn stop(&mut self, node: usize) {
        self.note_death(node);
        self.log(|| format!("node {node} crashes"));
        self.seen.crashes += 1;
        if let Some(epoch) = self.closing_epoch(node) {
            self.closings.crashed.insert(epoch);
        }
        self.nodes[node].crash(&mut self.random);
        self.wipe_some(node);
        let gone = self.nodes[node].peer;
        for other in 0..self.nodes.len() {
            self.feed(other, Event::PeerDisconnected(gone));
        }
        // Often it is back before the others have got over it.
        let down_ms = if self.random.chance(400) { 200 } else { 4_000 };
        // Some are away for so long that they are jailed.
        let is_long = self.plan.spares > 0 && !self.faults_over && self.random.chance(250);
        let delay =
            if is_long { self.random.between(6_000, 9_000) } else { self.random.between(20, down_ms) };
        self.after(delay, Item::Restart { node });
    }

    /// Sometimes the chain's data goes as well. Each block but the tip stays somewhere: from genesis on it could be had
    /// nowhere, and a journal that has forgotten the first epochs signs nothing in them. So does a tip that ends an epoch:
    /// its node's journal has forgotten that epoch, and could not help to end it again.
    fn wipe_some(&mut self, node: usize) {
        let others =
            self.nodes.iter().enumerate().filter(|(place, _)| *place != node && !self.is_byzantine(*place));
        let kept = others.map(|(_, other)| other.durable).max();
        if self.plan.wipes
            && kept.is_some_and(|kept| {
                kept + u64::from(self.oracle.epoch_end < self.oracle.height) >= self.oracle.height
            })
            && self.random.chance(400)
        {
            self.log(|| format!("node {node} loses its chain"));
            self.nodes[node].wipe_chain();
            self.seen.wiped += 1;
        }
    }

    /// The first node has entered closing: the worst time for what follows.
    pub(super) fn trouble_closing(&mut self) {
        if self.faults_over {
            return;
        }
        if self.plan.crashes && self.random.chance(500) {
            let all = self.random.chance(300);
            let delay = self.random.between(0, 400);
            self.after(delay, Item::Crash { all });
        }
        if self.plan.partitions && self.random.chance(300) {
            self.after(0, Item::Partition);
        }
    }

    pub(super) fn partition(&mut self) {
        let asymmetric = self.random.chance(300);
        let side: Vec<bool> = (0..self.nodes.len()).map(|_| self.random.chance(500)).collect();
        for from in 0..self.nodes.len() {
            for to in 0..self.nodes.len() {
                self.cut[from][to] =
                    if asymmetric { side[from] && !side[to] } else { side[from] != side[to] };
            }
        }
        self.note_closings();
    }

    /// One node's process stands still, as by a suspended machine; what is sent to it waits.
    pub(super) fn pause(&mut self) {
        let node = self.random.below(self.nodes.len());
        let pause_ms = self.random.between(100, 3_000);
        self.log(|| format!("node {node} stands still for {pause_ms} ms"));
        self.paused_until_ms[node] = self.now_ms + pause_ms;
        self.seen.pauses += 1;
    }

    /// Somebody sets a node's wall clock, ahead or back, and often right again some time later.
    pub(super) fn step_a_clock(&mut self) {
        if self.faults_over {
            return;
        }
        let node = self.random.below(self.nodes.len());
        let step_ms = self.random.between(0, 2 * CLOCK_STEP_MS_MAX) as i64 - CLOCK_STEP_MS_MAX as i64;
        // Far off, a node proposes in vain and prevotes nil: who does that is as good as absent.
        let is_far = !self.plan.has_missing() && self.nodes[node].skew_ms.unsigned_abs() <= CLOCK_STEP_MS_MAX;
        let is_far = is_far && self.random.chance(300);
        let skew_ms = if is_far { step_ms * CLOCK_FAR_FACTOR } else { step_ms };
        self.log(|| format!("node {node}'s clock is off by {skew_ms} ms"));
        self.seen.clock_steps += 1;
        let before_ms = std::mem::replace(&mut self.nodes[node].skew_ms, skew_ms);
        let wrong_ms = self.random.between(200, 4_000);
        self.after(wrong_ms, Item::SetClock { node, skew_ms: before_ms });
        let delay = wrong_ms + self.random.between(500, 3_000);
        self.after(delay, Item::ClockSteps);
    }

    pub(super) fn heal(&mut self) {
        for row in &mut self.cut {
            row.fill(false);
        }
    }
}
