//! More than a third of the weight is faulty: keys that live in two places, in a network of two halves. Each half has a
//! quorum, so two chains grow, and conflicting payments become final. Nothing can prevent that; it has to be noticed,
//! proved and stopped.

use std::collections::{BTreeMap, BTreeSet};

use timed::consensus::events::{Event, Signing};
use timed::protocol::state::LedgerState;
use timed::storage::journal::{JournalRecord, Staged};
use timed::types::fork::ForkProof;
use timed::types::{Height, MasternodeId, Message, OutPoint, OwnMessage, UtxoEntry};

use crate::oracle::Oracle;
use crate::world::{Item, World};

/// A journal may take so long to have a record.
const UNWRITTEN_MS: u64 = 10;

/// What is known of a node that has found the fork.
#[derive(Clone, Copy)]
struct Aware {
    since_ms: u64,
    died_at_once: bool,
}

/// Two networks that were one, or will be.
pub struct Halves {
    /// Watches the second half; the world's own watches the first.
    pub other: Oracle,
    is_second: Vec<bool>,
    is_apart: bool,
    /// The nodes that know of the fork: since when, and whether the machine died just then.
    aware: BTreeMap<usize, Aware>,
    /// Whom each honest node has evidence against.
    accused: BTreeSet<(usize, MasternodeId)>,
}

/// What became of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    pub forks: u64,
    /// Outputs that final payments of both halves spend.
    pub conflicts: u64,
    /// Runs whose halves met before they had different blocks.
    pub met_early: u64,
    pub evidence: u64,
    /// Of two Lock votes.
    pub lock_evidence: u64,
}

impl Outcome {
    pub fn add(&mut self, other: &Self) {
        self.forks += other.forks;
        self.conflicts += other.conflicts;
        self.met_early += other.met_early;
        self.evidence += other.evidence;
        self.lock_evidence += other.lock_evidence;
    }
}

impl World {
    /// The second nodes of the faulty keys listen for now; the rest is one network.
    pub(super) fn begin_in_halves(&mut self, state: &LedgerState, outputs: &[(OutPoint, UtxoEntry)]) {
        let (copies, count) = (self.plan.copies, self.nodes.len());
        // The first of each key here, the second there; honest ones by turns.
        let is_second = (0..count)
            .map(|node| node >= count - copies || (node >= copies && (node - copies) % 2 == 1))
            .collect::<Vec<bool>>();
        for from in count - copies..count {
            self.cut[from].fill(true);
        }
        let mut other = Oracle::new(state, outputs);
        (0..copies).for_each(|index| other.expect_faults(self.ids[index]));
        let (aware, accused) = (BTreeMap::new(), BTreeSet::new());
        self.halves = Some(Box::new(Halves { other, is_second, is_apart: false, aware, accused }));
    }

    fn part(&mut self) {
        let Some(halves) = &mut self.halves else { return };
        halves.is_apart = true;
        (self.oracle.is_torn, halves.other.is_torn) = (true, true);
        for (from, row) in self.cut.iter_mut().enumerate() {
            for (to, cut) in row.iter_mut().enumerate() {
                *cut = halves.is_second[from] != halves.is_second[to];
            }
        }
        for (here, there) in self.pairs_across() {
            self.feed(here, Event::PeerDisconnected(self.nodes[there].peer));
        }
    }

    fn join(&mut self) {
        self.oracle.is_blind = true;
        if let Some(halves) = &mut self.halves {
            halves.other.is_blind = true;
        }
        self.faults_over = true;
        self.heal();
        for (here, there) in self.pairs_across() {
            self.feed(here, Event::PeerConnected(self.nodes[there].peer));
        }
    }

    fn pairs_across(&self) -> Vec<(usize, usize)> {
        let is_second = self.halves.as_ref().map(|halves| halves.is_second.clone()).unwrap_or_default();
        let pairs =
            (0..is_second.len()).flat_map(|here| (0..is_second.len()).map(move |there| (here, there)));
        pairs.filter(|(here, there)| is_second[*here] != is_second[*there]).collect()
    }

    /// What a node has signed.
    pub(super) fn note_signed(&mut self, node: usize, message: &Message) {
        self.oracle_of(node).signed(message);
        if let Some(halves) = self.halves.as_mut().filter(|halves| !halves.is_apart) {
            let elsewhere = if halves.is_second[node] { &mut self.oracle } else { &mut halves.other };
            elsewhere.signed_elsewhere(message);
        }
    }

    /// Whoever watches the part of the network that a node is in.
    pub(super) fn oracle_of(&mut self, node: usize) -> &mut Oracle {
        match &mut self.halves {
            Some(halves) if halves.is_second[node] => &mut halves.other,
            _ => &mut self.oracle,
        }
    }

    pub(super) fn is_copied(&self, node: usize) -> bool {
        self.nodes[node].ids.iter().any(|id| self.oracle.signed.faulty.contains(id))
    }

    fn honest(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.nodes.len()).filter(|node| !self.is_copied(*node))
    }

    /// A split brain does not hear that there are two of it.
    pub(super) fn is_unheard(&self, to: usize, message: &Message) -> bool {
        let by = match message {
            Message::BlockVote(vote) => vote.validator,
            Message::Proposal(proposal) => proposal.validator,
            Message::VoteBatch(batch) => batch.header.validator,
            Message::Heartbeat(heartbeat) => heartbeat.validator,
            Message::Instance(statement) => statement.validator,
            _ => return false,
        };
        self.halves.is_some() && self.is_copied(to) && self.nodes[to].ids.contains(&by)
    }

    pub(super) fn fork_detected(&mut self, node: usize, fork: &ForkProof) {
        self.log(|| format!("node {node} detects a fork at {}", fork.ours.0.height));
        assert!(self.halves.is_some(), "a fork: {fork:?}");
        assert_ne!(fork.ours.1.block_hash, fork.theirs.1.block_hash);
        let set = self.oracle.signed.set(1);
        let faulty = &self.oracle.signed.faulty;
        assert!(fork.guilty.iter().all(|id| faulty.contains(id)), "an honest masternode is named: {fork:?}");
        let guilty = set.members().iter().filter(|member| fork.guilty.contains(&member.id));
        let total: u64 = set.members().iter().map(|member| member.weight).sum();
        assert!(3 * guilty.map(|member| member.weight).sum::<u64>() >= total, "too few are named: {fork:?}");
        if let Some(halves) = &mut self.halves {
            halves.aware.insert(node, Aware { since_ms: self.now_ms, died_at_once: false });
        }
    }

    /// Who knows of a fork signs nothing more.
    pub(super) fn check_silence(&self, node: usize, staged: &Staged<OwnMessage>) {
        let is_aware = self.halves.as_ref().is_some_and(|halves| halves.aware.contains_key(&node));
        assert!(
            !is_aware || staged.release.is_empty(),
            "node {node} signs after a fork: {:?}",
            staged.release
        );
    }

    /// A machine that dies before its journal has the fork starts without it, and finds it again.
    pub(super) fn forget_unwritten_fork(&mut self, node: usize) {
        let running = self.nodes[node].running.as_ref();
        let is_known = running.is_some_and(|running| running.consensus.fork().is_some());
        let Some(halves) = self.halves.as_mut().filter(|_| !is_known) else { return };
        if let Some(Aware { died_at_once, .. }) = halves.aware.remove(&node) {
            assert!(died_at_once, "node {node} has forgotten a fork");
        }
    }

    pub(super) fn note_death(&mut self, node: usize) {
        let now_ms = self.now_ms;
        if let Some(aware) = self.halves.as_mut().and_then(|halves| halves.aware.get_mut(&node)) {
            aware.died_at_once |= now_ms <= aware.since_ms + UNWRITTEN_MS;
        }
    }

    pub(super) fn note_accused(&mut self, node: usize, id: MasternodeId) {
        if let Some(halves) = &mut self.halves {
            halves.accused.insert((node, id));
        }
    }

    /// The first height at which the halves differ.
    fn parting(&self) -> Option<Height> {
        let other = &self.halves.as_ref()?.other.blocks;
        let here = self.oracle.blocks.iter();
        here.filter(|(height, hash)| other.get(height).is_some_and(|theirs| theirs != *hash))
            .map(|(height, _)| *height)
            .next()
    }

    /// Outputs that final payments of both halves spend, each its own.
    fn conflicts(&self) -> u64 {
        let Some(halves) = &self.halves else { return 0 };
        let here = self.oracle.spent_by_final.iter();
        let other = &halves.other.spent_by_final;
        here.filter(|(outpoint, txid)| other.get(outpoint).is_some_and(|theirs| theirs != *txid)).count()
            as u64
    }

    fn is_aware_everywhere(&self) -> bool {
        let aware = self.halves.as_ref().map(|halves| &halves.aware);
        aware.is_some_and(|aware| self.honest().all(|node| aware.contains_key(&node)))
    }

    /// Whether each honest node has evidence against a third of the weight.
    fn is_proved_everywhere(&self) -> bool {
        let Some(halves) = &self.halves else { return false };
        self.honest().all(|node| {
            let accused = self.ids.iter().filter(|id| halves.accused.contains(&(node, **id)));
            3 * accused.count() >= self.plan.validators
        })
    }

    /// Lets two chains grow, joins the halves, and asks for the alarm.
    pub fn run_beyond(&mut self) -> Outcome {
        let meets_early = self.random.chance(400);
        let more = self.random.between(0, 5);
        let common = self.random.below(3) as Height * self.random.between(0, 7);
        self.run_until("a common beginning", 30_000, |world| world.oracle.height >= common);
        self.part();
        // What both halves have certified keeps some epochs from ending for ever.
        let patience_ms = self.now_ms + 15_000;
        if meets_early {
            self.run_until("conflicting final payments", 20_000, |world| {
                world.conflicts() > 0 || world.parting().is_some() || world.now_ms > patience_ms
            });
        } else {
            self.run_until("two chains", 20_000, |world| {
                let heights =
                    world.halves.as_ref().map(|halves| halves.other.height.min(world.oracle.height));
                let grown = world.parting().zip(heights);
                grown.is_some_and(|(parting, height)| height >= parting + more) || world.now_ms > patience_ms
            });
        }
        let is_fork = self.parting().is_some();
        let mut outcome = Outcome {
            forks: u64::from(is_fork),
            conflicts: self.conflicts(),
            met_early: u64::from(!is_fork),
            ..Outcome::default()
        };
        self.join();
        if is_fork {
            self.run_until("the alarm everywhere", 30_000, Self::is_aware_everywhere);
        } else {
            self.run_until("evidence everywhere", 30_000, |world| {
                world.is_proved_everywhere() || world.is_aware_everywhere()
            });
        }
        self.pass(2_000);
        self.restart_the_aware();
        self.pass(2_000);
        self.check_reads();
        self.acknowledge();
        outcome.evidence = self.halves.as_ref().map_or(0, |halves| halves.accused.len() as u64);
        outcome.lock_evidence = self.seen.lock_evidence;
        outcome
    }

    fn pass(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while self.now_ms < until {
            self.step();
        }
    }

    /// A restart changes nothing.
    fn restart_the_aware(&mut self) {
        let aware = self.halves.as_ref().map(|halves| halves.aware.clone()).unwrap_or_default();
        for node in aware.into_keys() {
            if self.nodes[node].running.is_some() && self.random.chance(500) {
                self.stop(node);
                self.after(0, Item::Restart { node });
            }
        }
    }

    /// The operator of an honest node decides for its chain: it signs again, beside peers of the other one.
    fn acknowledge(&mut self) {
        let aware = self.halves.as_ref().map(|halves| halves.aware.clone()).unwrap_or_default();
        let Some(node) =
            self.honest().find(|node| aware.contains_key(node) && !self.nodes[*node].ids.is_empty())
        else {
            return;
        };
        let fork = self.nodes[node].running.as_ref().and_then(|running| running.consensus.fork().cloned());
        let fork = fork.expect("it is aware");
        self.nodes[node].crash(&mut self.random);
        self.nodes[node].write_to_journal(&self.genesis, JournalRecord::ForkAcknowledged(fork));
        if let Some(halves) = &mut self.halves {
            halves.aware.remove(&node);
        }
        self.after(0, Item::Restart { node });
        self.pass(5_000);
        let core = &self.nodes[node].running.as_ref().expect("it is up").consensus;
        assert!(core.fork().is_none(), "node {node} sees the same fork again");
        assert_eq!(core.signing(), Signing::Allowed, "node {node}");
    }

    /// Whoever stopped signing answers questions.
    fn check_reads(&mut self) {
        let aware = self.halves.as_ref().map(|halves| halves.aware.clone()).unwrap_or_default();
        for node in aware.into_keys() {
            let running = self.nodes[node].running.as_ref().expect("it is up");
            assert_eq!(running.consensus.signing(), Signing::Forked, "node {node}");
            assert!(running.consensus.fork().is_some());
            running.consensus.check_invariants().expect("invariants hold");
            let height = running.consensus.state().height();
            let block = running.log.read(height).expect("the log reads").expect("a block");
            assert_eq!(block.committed.block.header.state_digest, running.consensus.state().digest());
        }
    }
}
