//! What a run went through, so that a campaign can say that it reached what it is for.

use std::collections::BTreeSet;

use timed::types::{Epoch, Proposal};

use crate::world::World;

#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub steps: u64,
    pub blocks: u64,
    pub finals: u64,
    pub crashes: u64,
    pub pauses: u64,
    /// Restarts with the journal and without the chain.
    pub wiped: u64,
    /// Nodes that heard another one with their key, and stopped signing.
    pub copies_heard: u64,
    /// Masternodes that blocks slashed.
    pub slashed: u64,
    pub epochs_ended: u64,
    /// Of these: a validator entered closing with promises that were not in the chain.
    pub ended_under_load: u64,
    /// The network was partitioned at some time between the last ordinary block and the epoch's end.
    pub ended_in_partition: u64,
    /// A validator refused its first prevote to a last block that lacked what it had promised.
    pub ended_after_lacking_promise: u64,
    /// A validator crashed between the last ordinary block and the epoch's end.
    pub ended_after_crash: u64,
}

impl Seen {
    pub fn add(&mut self, other: &Self) {
        let Self { steps, blocks, finals, crashes, pauses, wiped, .. } = other;
        self.steps += steps;
        self.blocks += blocks;
        self.finals += finals;
        self.crashes += crashes;
        self.pauses += pauses;
        self.wiped += wiped;
        self.copies_heard += other.copies_heard;
        self.slashed += other.slashed;
        self.epochs_ended += other.epochs_ended;
        self.ended_under_load += other.ended_under_load;
        self.ended_in_partition += other.ended_in_partition;
        self.ended_after_lacking_promise += other.ended_after_lacking_promise;
        self.ended_after_crash += other.ended_after_crash;
    }

    /// A campaign that never gets to these proves nothing about them.
    pub fn assert_complete(&self) {
        let reached = [
            ("a crash", self.crashes),
            ("a pause", self.pauses),
            ("a lost chain", self.wiped),
            ("an epoch's end under load", self.ended_under_load),
            ("an epoch's end in a partition", self.ended_in_partition),
            ("a last block that lacks a promise", self.ended_after_lacking_promise),
            ("a crash while an epoch closed", self.ended_after_crash),
        ];
        for (what, times) in reached {
            assert!(times > 0, "the campaign did not see {what}");
        }
    }
}

/// What happened to epochs while they were closing.
#[derive(Debug, Default)]
pub struct Closings {
    pub begun: BTreeSet<Epoch>,
    pub loaded: BTreeSet<Epoch>,
    pub partitioned: BTreeSet<Epoch>,
    pub lacking: BTreeSet<Epoch>,
    pub crashed: BTreeSet<Epoch>,
    pub ended: BTreeSet<Epoch>,
}

impl Closings {
    pub fn count_into(&self, seen: &mut Seen) {
        let ended = |epochs: &BTreeSet<Epoch>| epochs.intersection(&self.ended).count() as u64;
        seen.epochs_ended = self.ended.len() as u64;
        seen.ended_under_load = ended(&self.loaded);
        seen.ended_in_partition = ended(&self.partitioned);
        seen.ended_after_lacking_promise = ended(&self.lacking);
        seen.ended_after_crash = ended(&self.crashed);
    }
}

impl World {
    /// The epoch that a node is closing, if it is.
    pub(super) fn closing_epoch(&self, node: usize) -> Option<Epoch> {
        let core = &self.nodes[node].running.as_ref()?.core;
        core.state().is_closing().then(|| core.state().next_epoch())
    }

    /// A last block of an epoch reaches a validator that promised something that is not in it.
    pub(super) fn note_lacking_promise(&mut self, node: usize, proposal: &Proposal) {
        let header = &proposal.block.header;
        if header.epoch_end && self.closing_epoch(node) == Some(header.epoch) {
            let Some(running) = &self.nodes[node].running else { return };
            let mut promises = running.core.finality().promises().iter();
            if promises.any(|txid| !proposal.block.txids.contains(txid)) {
                self.closings.lacking.insert(header.epoch);
            }
        }
    }

    /// Looks at the closing of epochs whenever a block was applied or the network changed.
    pub(super) fn note_closings(&mut self) {
        let is_cut = self.cut.iter().flatten().any(|cut| *cut);
        for node in 0..self.nodes.len() {
            let Some(epoch) = self.closing_epoch(node) else { continue };
            if self.closings.begun.insert(epoch) {
                self.trouble_closing();
            }
            if is_cut {
                self.closings.partitioned.insert(epoch);
            }
            let running = self.nodes[node].running.as_ref();
            if running.is_some_and(|running| !running.core.finality().promises().is_empty()) {
                self.closings.loaded.insert(epoch);
            }
        }
    }

    /// What the run went through.
    pub fn seen(&self) -> Seen {
        let mut seen = self.seen.clone();
        seen.blocks = self.oracle.height;
        seen.finals = self.oracle.finals() as u64;
        self.closings.count_into(&mut seen);
        seen
    }
}
