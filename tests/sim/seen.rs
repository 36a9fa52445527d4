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
    /// Members that went when all faults were over and never came back.
    pub lost_for_good: u64,
    /// Wall clocks that were set.
    pub clock_steps: u64,
    /// Messages of peers without stake.
    pub intrusions: u64,
    /// Answers with certificates that nodes gave each other.
    pub certificates: u64,
    /// What the slowest payment took for which a time was promised, in milliseconds.
    pub slowest_ms: u64,
    /// Copies of transactions with other witnesses.
    pub copies: u64,
    /// Second, different versions of what a faulty validator had signed.
    pub equivocations: u64,
    /// Blocks with what was not certified that a faulty validator tried to propose.
    pub overreached: u64,
    /// Messages that somebody was rightly blamed for.
    pub blamed: u64,
    /// Times that a node found evidence, or was told of some, that it had not.
    pub evidence: u64,
    /// Of these: two Lock votes.
    pub lock_evidence: u64,
    /// Restarts with the journal and without the chain.
    pub wiped: u64,
    /// Nodes that heard another one with their key, and stopped signing.
    pub copies_heard: u64,
    /// Of these: in an epoch whose set is not the first one.
    pub heard_in_other_set: u64,
    /// Masternodes that blocks slashed.
    pub slashed: u64,
    /// Masternodes that were registered and then signed.
    pub joined: u64,
    pub exited: u64,
    pub jailed: u64,
    pub unjailed: u64,
    /// Masternodes whose votes became another node's.
    pub handed_over: u64,
    /// Members that an epoch's end gave more weight.
    pub grown: u64,
    /// Members that were jailed before they had attended a full window.
    pub failed_trials: u64,
    /// Epochs in which masternodes waited for a trial.
    pub waited: u64,
    /// Payloads without effect.
    pub void: u64,
    pub collaterals_freed: u64,
    /// Programs that stopped at rules that they do not know.
    pub outdated: u64,
    /// Runs in which new rules came into force.
    pub activated: u64,
    /// Runs that ended early, since a third of a set's weight was in trouble.
    pub out_of_bounds: u64,
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
        let Self { steps, blocks, finals, crashes, pauses, equivocations, blamed, evidence, wiped, .. } =
            other;
        self.steps += steps;
        self.blocks += blocks;
        self.finals += finals;
        self.crashes += crashes;
        self.pauses += pauses;
        self.lost_for_good += other.lost_for_good;
        self.clock_steps += other.clock_steps;
        self.intrusions += other.intrusions;
        self.copies += other.copies;
        self.slowest_ms = self.slowest_ms.max(other.slowest_ms);
        self.certificates += other.certificates;
        self.equivocations += equivocations;
        self.blamed += blamed;
        self.evidence += evidence;
        self.lock_evidence += other.lock_evidence;
        self.overreached += other.overreached;
        self.wiped += wiped;
        self.copies_heard += other.copies_heard;
        self.heard_in_other_set += other.heard_in_other_set;
        self.slashed += other.slashed;
        self.joined += other.joined;
        self.exited += other.exited;
        self.jailed += other.jailed;
        self.unjailed += other.unjailed;
        self.handed_over += other.handed_over;
        self.grown += other.grown;
        self.failed_trials += other.failed_trials;
        self.waited += other.waited;
        self.void += other.void;
        self.collaterals_freed += other.collaterals_freed;
        self.outdated += other.outdated;
        self.activated += other.activated;
        self.out_of_bounds += other.out_of_bounds;
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
            ("a member that never came back", self.lost_for_good),
            ("a clock that was set", self.clock_steps),
            ("a message of a stranger", self.intrusions),
            ("a certificate that was asked for", self.certificates),
            ("a copy with other witnesses", self.copies),
            ("an equivocation", self.equivocations),
            ("a proposal of what is not certified", self.overreached),
            ("a forged message that was noticed", self.blamed),
            ("evidence of a contradiction", self.evidence),
            ("evidence of two Lock votes", self.lock_evidence),
            ("a slashed masternode", self.slashed),
            ("a lost chain", self.wiped),
            ("a joined masternode that voted", self.joined),
            ("an exit", self.exited),
            ("a jailing", self.jailed),
            ("an end of jail", self.unjailed),
            ("a key that was handed over", self.handed_over),
            ("a member that grew", self.grown),
            ("a newcomer that never came up", self.failed_trials),
            ("a newcomer that waited for its turn", self.waited),
            ("a void payload", self.void),
            ("a collateral that is free again", self.collaterals_freed),
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
        let core = &self.nodes[node].running.as_ref()?.consensus;
        core.state().is_closing().then(|| core.state().next_epoch())
    }

    /// A last block of an epoch reaches a validator that promised something that is not in it.
    pub(super) fn note_lacking_promise(&mut self, node: usize, proposal: &Proposal) {
        let header = &proposal.block.header;
        if header.epoch_end && self.closing_epoch(node) == Some(header.epoch) {
            let Some(running) = &self.nodes[node].running else { return };
            let mut promises = running.consensus.finality().promises().iter();
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
            if running.is_some_and(|running| !running.consensus.finality().promises().is_empty()) {
                self.closings.loaded.insert(epoch);
            }
        }
    }

    /// Whether a node's epoch has another set than the genesis document.
    pub(super) fn is_in_other_set(&self, node: usize) -> bool {
        let Some(running) = &self.nodes[node].running else { return false };
        running.consensus.state().validators().as_ref() != self.oracle.signed.set(1)
    }

    /// What the run went through.
    pub fn seen(&self) -> Seen {
        let mut seen = self.seen.clone();
        seen.blocks = self.oracle.height;
        seen.finals = self.oracle.finals() as u64;
        seen.slowest_ms = self.promptness.figures().1[2];
        seen.out_of_bounds = u64::from(self.is_over);
        let changes = self.oracle.changes();
        (seen.exited, seen.jailed, seen.unjailed) = (changes.exited, changes.jailed, changes.unjailed);
        (seen.handed_over, seen.void) = (changes.handed_over, changes.void);
        (seen.grown, seen.failed_trials, seen.waited) =
            (changes.grown, changes.failed_trials, changes.waited);
        self.closings.count_into(&mut seen);
        seen
    }
}
