//! What a run went through, so that a campaign can say that it reached what it is for.

use std::collections::BTreeSet;

use timed::types::Epoch;

#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub steps: u64,
    pub blocks: u64,
    pub finals: u64,
    pub crashes: u64,
    /// Restarts with the journal and without the chain.
    pub wiped: u64,
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
        let Self { steps, blocks, finals, crashes, wiped, .. } = other;
        self.steps += steps;
        self.blocks += blocks;
        self.finals += finals;
        self.crashes += crashes;
        self.wiped += wiped;
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
