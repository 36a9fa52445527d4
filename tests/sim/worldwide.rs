//! Finality over real distances: 4, 20 and 100 validators in ten regions of the world, in virtual time.
//!
//! A payment needs three one-way delays: to the validators, with their `Lock` votes among them, with their `Final`
//! votes back. `SIM_WORLDS=100 cargo test --test sim worldwide -- --nocapture` prints what one size gives.

use std::collections::BTreeMap;
use std::fmt;

use timed::consensus::core::Event;
use timed::types::{CommittedBlock, Height, TxId};

use crate::number;
use crate::plan::Plan;
use crate::random::Random;
use crate::world::World;

/// What a validator waits at most before it signs its votes.
const VOTE_INTERVAL_MS: u64 = 5;
/// Measured blocks of each phase.
const BLOCKS: Height = 6;

/// A payment is final after this at the latest, whatever epoch ends or proposer fails.
const LAST_WAIT_MS: u64 = 10_000;

/// When things happened, in virtual time.
#[derive(Default)]
pub struct Stopwatch {
    /// Payments that conflict with none and wait for no parent, with the node that took it and when.
    watched: BTreeMap<TxId, Option<(usize, u64)>>,
    /// From a node's acceptance of a payment to its finality there.
    finality_ms: Vec<u64>,
    /// When the first node applied each block, and the round that committed it.
    blocks: BTreeMap<Height, (u64, u64)>,
}

impl Stopwatch {
    pub fn watch(&mut self, txid: TxId) {
        self.watched.insert(txid, None);
    }

    pub fn submitted(&mut self, node: usize, txid: TxId, now_ms: u64) {
        if let Some(start) = self.watched.get_mut(&txid) {
            start.get_or_insert((node, now_ms));
        }
    }

    /// Final by votes, or since a block contains it.
    pub fn finalized(&mut self, node: usize, txid: TxId, now_ms: u64) {
        if let Some(Some((taken_by, at_ms))) = self.watched.get(&txid)
            && *taken_by == node
        {
            self.finality_ms.push(now_ms - at_ms);
            self.watched.remove(&txid);
        }
    }

    /// A payment that was taken before this time and is not final.
    fn open_since(&self, time_ms: u64) -> Option<TxId> {
        let is_open = |start: &Option<(usize, u64)>| start.is_some_and(|(_, at_ms)| at_ms < time_ms);
        self.watched.iter().find(|(_, start)| is_open(start)).map(|(txid, _)| *txid)
    }

    pub fn applied(&mut self, committed: &CommittedBlock, now_ms: u64) {
        let (height, round) = (committed.block.header.height, committed.commit.round);
        self.blocks.entry(height).or_insert((now_ms, u64::from(round)));
    }
}

/// What one phase of a run gave.
struct Figures {
    payments: usize,
    median_ms: u64,
    p99_ms: u64,
    /// The slowest direct link of the closest quorum.
    link_ms: u64,
    block_interval_ms: u64,
    failed_rounds: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { payments, median_ms, p99_ms, link_ms, block_interval_ms, failed_rounds } = self;
        let (whole, part) = (median_ms / link_ms, 100 * median_ms / link_ms % 100);
        write!(
            f,
            "{payments} payments, final after {median_ms} ms (median, {whole}.{part:02} one-way delays of the "
        )?;
        write!(
            f,
            "quorum's slowest link, {link_ms} ms), p99 {p99_ms} ms; a block each {block_interval_ms} ms, "
        )?;
        write!(f, "{failed_rounds} failed rounds")
    }
}

fn measure(world: &mut World, nodes: &[usize], quorum: usize) -> Figures {
    world.stopwatch = Stopwatch::default();
    let (height, began_ms) = (world.oracle.height, world.now_ms);
    while world.oracle.height < height + BLOCKS {
        assert!(world.now_ms < began_ms + 120_000, "blocks stand still at {}", world.oracle.height);
        world.step();
    }
    let (blocks, end_ms) = (std::mem::take(&mut world.stopwatch.blocks), world.now_ms);
    // What was paid last may be on its way.
    while let Some(txid) = world.stopwatch.open_since(end_ms) {
        assert!(world.now_ms < end_ms + LAST_WAIT_MS, "{txid} is not final after {LAST_WAIT_MS} ms");
        world.step();
    }
    let mut finality_ms = std::mem::take(&mut world.stopwatch.finality_ms);
    finality_ms.sort_unstable();
    let geography = world.plan.geography.as_ref().expect("a world");
    Figures {
        payments: finality_ms.len(),
        median_ms: finality_ms[finality_ms.len() / 2],
        p99_ms: finality_ms[finality_ms.len() * 99 / 100],
        link_ms: geography.slowest_quorum_link_ms(nodes, quorum),
        block_interval_ms: (end_ms - began_ms) / BLOCKS,
        failed_rounds: blocks.values().map(|(_, round)| round).sum(),
    }
}

fn run(validators: usize) -> [Figures; 2] {
    let mut random = Random::new(validators as u64);
    let plan = Plan::worldwide(validators, &mut random);
    let mut world = World::with_plan(plan, random);
    while world.oracle.height < 1 {
        world.step();
    }
    let quorum = 2 * validators / 3 + 1;
    let all: Vec<usize> = (0..validators).collect();
    let whole = measure(&mut world, &all, quorum);
    // A third minus one, everywhere.
    let mut alive = all;
    for _ in 0..(validators - 1) / 3 {
        let place = world.random.below(alive.len());
        world.lose(alive.swap_remove(place));
    }
    let crashed = measure(&mut world, &alive, quorum);
    [whole, crashed]
}

impl World {
    /// A node goes and does not come back.
    fn lose(&mut self, node: usize) {
        self.nodes[node].crash(&mut self.random);
        let gone = self.nodes[node].peer;
        for other in 0..self.nodes.len() {
            self.feed(other, Event::PeerDisconnected(gone));
        }
    }
}

#[test]
fn worldwide_finality_takes_three_one_way_delays() {
    for validators in [4, 20, 100] {
        if number("SIM_WORLDS").is_some_and(|only| only != validators) {
            continue;
        }
        let [whole, crashed] = run(validators as usize);
        println!("{validators} validators: {whole}\n{validators}, a third minus one crashed: {crashed}");
        for figures in [&whole, &crashed] {
            assert!(figures.payments >= 20, "too few to say: {figures}");
            // Virtual time: the same on every machine.
            let limit_ms = 7 * figures.link_ms / 2 + VOTE_INTERVAL_MS;
            assert!(figures.median_ms < limit_ms, "{validators} validators: {figures}, limit {limit_ms} ms");
        }
        assert_eq!(whole.failed_rounds, 0, "nobody is faulty: {whole}");
    }
}
