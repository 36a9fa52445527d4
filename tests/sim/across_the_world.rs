//! Finality over real distances: 4, 20 and 100 validators in ten regions of the world, in virtual time.
//!
//! A payment needs three one-way delays: to the validators, with their `Lock` votes among them, with their `Final`
//! votes back. While an epoch closes nobody votes on payments: how long nothing becomes final, and how much longer the
//! payments of that time wait, is measured apart.
//! `SIM_WORLDS=100 cargo test --test sim across_the_world -- --nocapture` prints what one size gives.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use timed::consensus::events::{AppliedBlock, Event};
use timed::types::{Epoch, Height, Message, Round, TimeMs, TxId};

use crate::number;
use crate::plan::Plan;
use crate::random::Random;
use crate::world::World;

/// What a validator waits at most before it signs its votes.
const VOTE_INTERVAL_MS: u64 = 5;
/// Measured blocks of each phase.
const BLOCKS: Height = 6;

/// People pay from so long before an epoch's due end on.
const LEAD_MS: u64 = 1_000;

/// A payment is final after this at the latest, whatever epoch ends or proposer fails.
const LAST_WAIT_MS: u64 = 10_000;

/// A payment, in virtual time.
#[derive(Clone, Copy)]
struct Wait {
    from_ms: u64,
    to_ms: u64,
}

/// A block, in virtual time.
struct Applied {
    first_ms: u64,
    last_ms: u64,
    round: Round,
    epoch: Epoch,
    ends_epoch: bool,
    /// The next one closes its epoch.
    begins_closing: bool,
}

/// When things happened, in virtual time.
#[derive(Default)]
pub struct Stopwatch {
    /// Payments that conflict with none and wait for no parent, with the node that took it and when.
    watched: BTreeMap<TxId, Option<(usize, u64)>>,
    /// From a node's acceptance of a payment to its finality there.
    waits: Vec<Wait>,
    /// Where each payment is final, and when payments became final at each node.
    known_final: BTreeSet<(usize, TxId)>,
    finals_ms: BTreeMap<usize, Vec<u64>>,
    blocks: BTreeMap<Height, Applied>,
    /// When each proposal left.
    proposals: BTreeMap<(Height, Round), (u64, TimeMs)>,
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
        if self.known_final.insert((node, txid)) {
            self.finals_ms.entry(node).or_default().push(now_ms);
        }
        if let Some(Some((taken_by, from_ms))) = self.watched.get(&txid)
            && *taken_by == node
        {
            self.waits.push(Wait { from_ms: *from_ms, to_ms: now_ms });
            self.watched.remove(&txid);
        }
    }

    /// A payment that was taken before this time and is not final.
    fn open_since(&self, time_ms: u64) -> Option<TxId> {
        let is_open = |start: &Option<(usize, u64)>| start.is_some_and(|(_, at_ms)| at_ms < time_ms);
        self.watched.iter().find(|(_, start)| is_open(start)).map(|(txid, _)| *txid)
    }

    /// A message left.
    pub fn signed(&mut self, message: &Message, now_ms: u64) {
        if let Message::Proposal(proposal) = message {
            let header = &proposal.block.header;
            self.proposals.entry((header.height, proposal.round)).or_insert((now_ms, header.time));
        }
    }

    pub fn applied(&mut self, applied: &AppliedBlock, now_ms: u64) {
        let header = &applied.committed.block.header;
        let block = self.blocks.entry(header.height).or_insert(Applied {
            first_ms: now_ms,
            last_ms: now_ms,
            round: applied.committed.commit.round,
            epoch: header.epoch,
            ends_epoch: header.epoch_end,
            begins_closing: applied.state.is_closing(),
        });
        block.last_ms = now_ms;
    }

    /// When each epoch closed: from the first node's last ordinary block to the last node's last block.
    fn closings(&self) -> Vec<Wait> {
        let begun = |epoch: Epoch| {
            self.blocks
                .values()
                .find(|block| block.epoch == epoch && block.begins_closing)
                .map(|block| block.first_ms)
        };
        let ends = self.blocks.values().filter(|block| block.ends_epoch);
        ends.filter_map(|block| Some(Wait { from_ms: begun(block.epoch)?, to_ms: block.last_ms })).collect()
    }

    /// From the first node's last ordinary block to the last node's last block, of the slowest epoch.
    pub fn longest_closing_ms(&self) -> Option<u64> {
        self.closings().into_iter().map(Wait::ms).max()
    }

    /// The longest time in which nothing became final at a node, of those that overlap with an epoch's closing.
    fn longest_silence_ms(&self, closings: &[Wait]) -> Option<u64> {
        let pairs = self.finals_ms.values().flat_map(|times_ms| times_ms.windows(2));
        let silences = pairs.map(|pair| Wait { from_ms: pair[0], to_ms: pair[1] });
        silences
            .filter(|silence| closings.iter().any(|closing| silence.overlaps(*closing)))
            .map(Wait::ms)
            .max()
    }

    /// How long the slowest of the blocks that ended an epoch took, from its proposal to its commit at the last node.
    fn last_block_ms(&self) -> Option<u64> {
        let ends = self.blocks.iter().filter(|(_, block)| block.ends_epoch);
        ends.filter_map(|(height, block)| {
            Some(block.last_ms - self.proposals.get(&(*height, block.round))?.0)
        })
        .max()
    }
}

impl Wait {
    const fn ms(self) -> u64 {
        self.to_ms - self.from_ms
    }

    const fn overlaps(self, other: Self) -> bool {
        self.from_ms <= other.to_ms && other.from_ms <= self.to_ms
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
    /// The longest time in which nothing became final at a node while an epoch closed.
    silence_ms: u64,
    /// Payments that waited while an epoch closed.
    at_closings: usize,
    /// What the slowest of them waited longer than the median of the others.
    delay_ms: u64,
    /// An epoch's last block, from its proposal to its commit at the last node.
    last_block_ms: u64,
    /// From the first node's last ordinary block to the last node's last block of an epoch.
    closing_ms: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { payments, median_ms, p99_ms, link_ms, block_interval_ms, failed_rounds, .. } = self;
        let hops = |ms: u64| format!("{}.{:02}", ms / link_ms, 100 * ms / link_ms % 100);
        write!(
            f,
            "{payments} payments, final after {median_ms} ms (median, {} one-way delays of the ",
            hops(*median_ms)
        )?;
        write!(
            f,
            "quorum's slowest link, {link_ms} ms), p99 {p99_ms} ms; a block each {block_interval_ms} ms, "
        )?;
        write!(f, "{failed_rounds} failed rounds; ")?;
        write!(
            f,
            "while an epoch closed nothing was final for {} of these delays at most, its last block took {}, closing {}; ",
            hops(self.silence_ms),
            hops(self.last_block_ms),
            hops(self.closing_ms)
        )?;
        write!(f, "{} payments of that time waited up to {} longer", self.at_closings, hops(self.delay_ms))
    }
}

impl World {
    /// From so long before an epoch is due to end, or from the proposal of its last ordinary block, until it has ended at
    /// the first node.
    fn is_around_closing(&self, lead_ms: Option<u64>) -> bool {
        let state = self.oracle.state();
        let due = state.epoch_start() + state.parameters().epoch_duration_ms;
        let mut next = self.stopwatch.proposals.range((state.height() + 1, 0)..);
        lead_ms.is_some_and(|lead_ms| self.now_ms + lead_ms >= due)
            || state.is_closing()
            || next.any(|(_, (_, time))| *time >= due)
    }
}

/// Without `lead_ms` the silence that is given can be too long, by what nobody paid before.
fn measure(world: &mut World, nodes: &[usize], quorum: usize, lead_ms: Option<u64>) -> Figures {
    world.stopwatch = Stopwatch::default();
    let (height, began_ms) = (world.oracle.height, world.now_ms);
    // Close enough to meet the worst moment; a large network's votes are many.
    let pause_ms = 20.max(nodes.len() as u64 / 2);
    let mut next_ms = began_ms;
    while world.oracle.height < height + BLOCKS {
        assert!(world.now_ms < began_ms + 120_000, "blocks stand still at {}", world.oracle.height);
        if world.now_ms >= next_ms && world.is_around_closing(lead_ms) {
            world.pay_once();
            next_ms = world.now_ms + pause_ms;
        }
        world.step();
    }
    let end_ms = world.now_ms;
    let failed_rounds = world.stopwatch.blocks.values().map(|block| u64::from(block.round)).sum();
    // What was paid last may be on its way.
    while let Some(txid) = world.stopwatch.open_since(end_ms) {
        assert!(world.now_ms < end_ms + LAST_WAIT_MS, "{txid} is not final after {LAST_WAIT_MS} ms");
        world.step();
    }
    let stopwatch = std::mem::take(&mut world.stopwatch);
    let closings = stopwatch.closings();
    let is_at_closing = |wait: &Wait| closings.iter().any(|closing| wait.overlaps(*closing));
    let (late, ordinary): (Vec<Wait>, Vec<Wait>) =
        stopwatch.waits.iter().partition(|wait| is_at_closing(wait));
    let mut finality_ms: Vec<u64> = ordinary.into_iter().map(Wait::ms).collect();
    finality_ms.sort_unstable();
    let median_ms = finality_ms[finality_ms.len() / 2];
    let longest = |waits: &[Wait]| waits.iter().map(|wait| wait.ms()).max().expect("an epoch closed");
    let geography = world.plan.geography.as_ref().expect("a world");
    Figures {
        payments: finality_ms.len(),
        median_ms,
        p99_ms: finality_ms[finality_ms.len() * 99 / 100],
        link_ms: geography.slowest_quorum_link_ms(nodes, quorum),
        block_interval_ms: (end_ms - began_ms) / BLOCKS,
        failed_rounds,
        silence_ms: stopwatch.longest_silence_ms(&closings).expect("an epoch closed under load"),
        at_closings: late.len(),
        delay_ms: longest(&late).saturating_sub(median_ms),
        last_block_ms: stopwatch.last_block_ms().expect("an epoch closed"),
        closing_ms: longest(&closings),
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
    let whole = measure(&mut world, &all, quorum, Some(LEAD_MS));
    // A third minus one, everywhere.
    let mut alive = all;
    for _ in 0..(validators - 1) / 3 {
        let place = world.random.below(alive.len());
        world.lose(alive.swap_remove(place));
    }
    let crashed = measure(&mut world, &alive, quorum, None);
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

fn holds(validators: u64) {
    if number("SIM_WORLDS").is_some_and(|only| only != validators) {
        return;
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
    // The pause is seen from one payment to the next, so it seems longer by what lies between them.
    let seen_ms = whole.last_block_ms + whole.link_ms;
    assert!(whole.silence_ms <= seen_ms, "a pause longer than the block: {whole}");
    // A payment that comes just after the validators began to hold their votes waits for the precommits of the last
    // ordinary block, too. Where a proposer is missing, its timeouts come on top.
    let two_blocks_ms = 5 * whole.link_ms + 2 * VOTE_INTERVAL_MS;
    assert!(whole.delay_ms <= two_blocks_ms, "longer than two blocks: {whole}");
    for figures in [&whole, &crashed] {
        assert!(
            figures.delay_ms <= figures.closing_ms + 2 * figures.link_ms,
            "longer than the closing: {figures}"
        );
    }
}

/// The largest takes longest, so it begins first.
#[test]
fn finality_of_100_takes_three_one_way_delays() {
    holds(100);
}

#[test]
fn finality_of_4_and_of_20_takes_three_one_way_delays() {
    holds(4);
    holds(20);
}
