//! The simulated world: virtual time, a lossy network, disks that crash, and nodes that run the real code.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use timed::consensus::events::{Event, Notification, Output, Signing, Timer, execute};
use timed::consensus::instances::LISTEN_MS;
use timed::consensus::signing::Identity;
use timed::mempool::TransactionSource;
use timed::network::MessageKind;
use timed::protocol::evidence::check_against;
use timed::protocol::state::LedgerState;
use timed::protocol::validity::CheckedTransaction;
use timed::runtime::clock::Clock;
use timed::types::codec::encode;
use timed::types::{
    Evidence, GenesisDocument, Height, MasternodeId, Message, PublicKey, SignatureVerifier, Transaction, TxId,
};

use crate::across_the_world::Stopwatch;
use crate::acting::Acting;
use crate::beyond::Halves;
use crate::byzantine::{Tampered, Versions};
use crate::masternodes::Acts;
use crate::node::Node;
use crate::oracle::Oracle;
use crate::plan::{Plan, START_MS, genesis, identity, operator, spare_operator, users};
use crate::promptness::Promptness;
use crate::proofs;
use crate::random::Random;
use crate::seen::{Closings, Seen};
use crate::strangers::Strangers;
use crate::traffic::Traffic;
use crate::verifier::CachingVerifier;
use crate::workload::Workload;

#[derive(Debug)]
pub enum Item {
    Deliver { from: usize, to: usize, message: Message },
    Timer { node: usize, life: u64, timer: Timer },
    Tick { node: usize, life: u64 },
    WriteJournal { node: usize, life: u64 },
    WriteBlock { node: usize, life: u64 },
    BlocksChecked { node: usize, life: u64, answer: u64 },
    Pay,
    Act,
    Submit { transaction: CheckedTransaction },
    Offer { copy: Arc<Transaction>, is_right: bool },
    Intrude,
    Crash { all: bool },
    Crashes,
    Restart { node: usize },
    Partition,
    Partitions,
    Heal,
    Pauses,
    SetClock { node: usize, skew_ms: i64 },
    Upgrade { node: usize },
    ClockSteps,
}

impl Item {
    /// The node that has to be awake for it.
    const fn needs(&self) -> Option<usize> {
        match self {
            Self::Deliver { to: node, .. }
            | Self::Timer { node, .. }
            | Self::Tick { node, .. }
            | Self::WriteJournal { node, .. }
            | Self::WriteBlock { node, .. }
            | Self::BlocksChecked { node, .. } => Some(*node),
            _ => None,
        }
    }
}

pub struct World {
    pub plan: Plan,
    pub random: Random,
    pub now_ms: u64,
    /// What happens in each millisecond, in order.
    pub queue: BTreeMap<u64, VecDeque<Item>>,
    pub in_flight: usize,
    pub nodes: Vec<Node>,
    pub genesis: GenesisDocument,
    pub verifier: Arc<CachingVerifier>,
    pub workload: Workload,
    pub versions: Versions,
    /// The validators' masternodes.
    pub ids: Vec<MasternodeId>,
    pub acts: Acts,
    /// A third of a set's weight is absent or faulty: nothing is promised any more.
    pub is_over: bool,
    pub halves: Option<Box<Halves>>,
    pub oracle: Oracle,
    proofs: proofs::Checker,
    /// What somebody has on disk against a faulty masternode.
    pub evidence_on_disk: Vec<Arc<Evidence>>,
    /// For each pair, whether messages from the first reach the second.
    pub cut: Vec<Vec<bool>>,
    /// Until when each node's process stands still.
    pub paused_until_ms: Vec<u64>,
    pub faults_over: bool,
    pub trace: blake3::Hasher,
    /// Whether the trace has the bytes of messages too, which costs as much as the run: what depends on the order of a hash
    /// map shows there.
    pub traces_bytes: bool,
    pub seen: Seen,
    pub closings: Closings,
    pub stopwatch: Stopwatch,
    pub promptness: Promptness,
    pub strangers: Strangers,
    /// What arrives, where that is measured.
    pub traffic: Option<Traffic>,
    pub verbose: bool,
}

/// Events that wait, at most. The busiest honest moments (a restart that has everything to catch up with) stay well
/// below; traffic that feeds itself does not.
const IN_FLIGHT_MAX: usize = 200_000;
/// The same for each pair of nodes of a large network, where every vote of everybody is on every link at once.
const IN_FLIGHT_OF_A_LINK_MAX: usize = 400;

/// Once faults are over and nodes have caught up, a payment of an honest user is final everywhere within this time.
const FINAL_AFTER_FAULTS_MS: u64 = 5_000;

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::of(&mut random);
        Self::with_plan(plan, random)
    }

    pub fn with_plan(plan: Plan, mut random: Random) -> Self {
        let users = users();
        let genesis = genesis(&plan, &users);
        let operators = (0..plan.validators).map(operator).chain((0..plan.spares).map(spare_operator));
        let verifier = Arc::new(CachingVerifier::knowing(
            operators.chain(users.iter().cloned()).chain(Strangers::secrets(plan.strangers)),
        ));
        let ids: Vec<_> = (0..plan.validators).map(|index| identity(&genesis, index).id).collect();
        let first_spare = plan.validators + plan.full_nodes;
        let first_copy = first_spare + plan.spares;
        let count = first_copy + plan.copies;
        let nodes = (0..count)
            .map(|i| {
                let key = if i < first_copy { i } else { i - first_copy };
                let identity =
                    (key < plan.validators).then(|| Identity { id: ids[key], secret: operator(key) });
                let mut node = Node::new(i as u8, identity, random.between(0, plan.skew_ms_max) as i64);
                node.listen_ms = if plan.listens { LISTEN_MS } else { 0 };
                if (first_spare..first_spare + plan.spares).contains(&i) {
                    node.operator = Some(spare_operator(i - first_spare));
                }
                node
            })
            .collect();
        let (state, outputs) = LedgerState::genesis(&genesis).expect("a sound genesis document");
        let workload = Workload::new(
            users,
            genesis.outputs().into_iter(),
            &state.registry().collaterals().keys().copied().collect(),
            genesis.chain_id(),
            Arc::clone(state.parameters()),
            Arc::clone(&verifier) as _,
            plan.contested_per_mille,
        );
        let strangers = Strangers::new(plan.strangers, count, &mut random);
        let mut world = Self {
            oracle: Oracle::new(&state, &outputs),
            proofs: proofs::Checker::default(),
            cut: vec![vec![false; count]; count],
            paused_until_ms: vec![0; count],
            plan,
            random,
            now_ms: START_MS,
            queue: BTreeMap::new(),
            in_flight: 0,
            nodes,
            genesis,
            verifier,
            workload,
            versions: Versions::default(),
            ids,
            acts: Acts::default(),
            is_over: false,
            halves: None,
            faults_over: false,
            trace: blake3::Hasher::new(),
            traces_bytes: false,
            seen: Seen::default(),
            closings: Closings::default(),
            stopwatch: Stopwatch::default(),
            promptness: Promptness::default(),
            strangers,
            traffic: None,
            evidence_on_disk: Vec::new(),
            verbose: std::env::var_os("SIM_VERBOSE").is_some(),
        };
        for index in (0..world.plan.copies).chain(world.byzantine()).collect::<Vec<_>>() {
            world.oracle.expect_faults(world.ids[index]);
        }
        if world.plan.halves {
            world.begin_in_halves(&state, &outputs);
        }
        for node in 0..count {
            if node >= first_copy && world.plan.copies_start_ms > 0 {
                world.after(world.plan.copies_start_ms, Item::Restart { node });
            } else {
                world.start(node);
            }
        }
        world.after(10, Item::Pay);
        if world.plan.spares > 0 {
            world.after(400, Item::Act);
        }
        if world.plan.crashes {
            world.after(1_000, Item::Crashes);
        }
        if world.plan.partitions {
            world.after(1_500, Item::Partitions);
        }
        if world.plan.pauses {
            world.after(1_200, Item::Pauses);
        }
        if world.plan.clock_steps {
            world.after(1_100, Item::ClockSteps);
        }
        if world.plan.strangers > 0 {
            world.after(100, Item::Intrude);
        }
        world
    }

    pub fn after(&mut self, delay_ms: u64, item: Item) {
        self.in_flight += 1;
        self.queue.entry(self.now_ms + delay_ms).or_default().push_back(item);
    }

    /// The validators that do not keep the rules.
    fn byzantine(&self) -> impl Iterator<Item = usize> + '_ {
        self.plan.byzantine.iter().map(|byzantine| byzantine.index)
    }

    pub fn is_byzantine(&self, node: usize) -> bool {
        self.byzantine().any(|index| index == node)
    }

    /// Who may break rules: whoever relays for others may not be taken for one of them. On two branches of a fork weights
    /// differ, so there a certificate of the other branch may lack votes on this one.
    pub fn may_be_blamed(&self, peer: PublicKey) -> bool {
        let node = self.nodes.iter().position(|node| node.peer == peer);
        self.plan.halves || self.strangers.is_one(peer) || node.is_some_and(|node| self.is_byzantine(node))
    }

    fn peer_at(&self, place: usize) -> PublicKey {
        match self.nodes.get(place) {
            Some(node) => node.peer,
            None => self.strangers.peer(place - self.nodes.len()),
        }
    }

    /// A validator's masternode.
    pub fn id_of(&self, index: usize) -> MasternodeId {
        self.ids[index]
    }

    /// One line for whoever replays a seed.
    pub fn log(&self, line: impl FnOnce() -> String) {
        if self.verbose {
            println!("{:>7} {}", self.now_ms - START_MS, line());
        }
    }

    pub(super) fn log_signed(&self, node: usize, message: &Message) {
        match message {
            Message::Proposal(proposal) => self.log(|| {
                let (header, pol) = (&proposal.block.header, proposal.pol_round);
                let (height, round, count) = (header.height, proposal.round, proposal.block.txids.len());
                let end = if header.epoch_end { ", ends the epoch" } else { "" };
                let hash = header.hash();
                format!("node {node} proposes {hash:?} at {height}/{round}, {count} txs, pol {pol:?}{end}")
            }),
            Message::BlockVote(vote) => self.log(|| {
                let (step, height, round, value) = (vote.step, vote.height, vote.round, vote.value);
                format!("node {node} {step:?} {value:?} at {height}/{round}")
            }),
            _ => {}
        }
    }

    // -- nodes ----------------------------------------------------------------------------------------------------

    pub fn start(&mut self, node: usize) {
        if self.plan.absent == Some(node) {
            return;
        }
        self.log(|| format!("node {node} starts"));
        let verifier = Arc::clone(&self.verifier) as Arc<dyn SignatureVerifier + Send + Sync>;
        let (outputs, own) = self.nodes[node].start(&self.genesis, verifier, &mut self.random, self.now_ms);
        for message in own {
            self.note_signed(node, &message);
        }
        self.forget_unwritten_fork(node);
        let life = self.nodes[node].life;
        self.execute(node, outputs);
        self.after(1, Item::Tick { node, life });
        for other in 0..self.nodes.len() {
            if other != node && self.are_connected(node, other) && self.nodes[other].running.is_some() {
                let (here, there) = (self.nodes[node].peer, self.nodes[other].peer);
                self.feed(node, Event::PeerConnected(there));
                self.feed(other, Event::PeerConnected(here));
            }
        }
        self.connect_strangers(node);
    }

    /// A copy that comes up for the first time has the disk of the node whose key it has.
    fn copy_disk_once(&mut self, node: usize) {
        let first_copy = self.nodes.len() - self.plan.copies;
        if self.plan.listens && node >= first_copy && self.nodes[node].life == 0 {
            let [original, copy] = self.nodes.get_disjoint_mut([node - first_copy, node]).expect("two nodes");
            copy.copy_disk(original);
        }
    }

    pub fn feed(&mut self, node: usize, event: Event) {
        let now = self.nodes[node].now(self.now_ms);
        let Some(running) = &mut self.nodes[node].running else { return };
        let is_batch = matches!(event, Event::Message { message: Message::VoteBatch(_), .. });
        let since = Clock.instant();
        let outputs = running.consensus.handle(event, now);
        if let Some(traffic) = self.traffic.as_mut().filter(|_| is_batch) {
            traffic.counted(since);
        }
        self.execute(node, outputs);
    }

    fn execute(&mut self, node: usize, outputs: Vec<Output>) {
        self.hold_outdated_to_silence(node, &outputs);
        execute(outputs, &mut Acting { world: self, node });
        // Behind all outputs: admission hands transactions in, and an event is not handled within another one.
        self.hear(node);
    }

    pub(super) fn notified(&mut self, node: usize, notification: Notification) {
        self.mirror(node, &notification);
        self.noted(node, notification);
    }

    fn noted(&mut self, node: usize, notification: Notification) {
        match notification {
            Notification::Finalized(transaction) => {
                let Some(running) = &self.nodes[node].running else { return };
                let epoch = running.consensus.finality().epoch();
                self.oracle_of(node).finalized(&transaction, epoch);
                self.stopwatch.finalized(node, transaction.txid(), self.now_ms);
                self.promptness.finalized(node, transaction.txid(), self.now_ms);
                let Some(running) = &self.nodes[node].running else { return };
                if proofs::is_sampled(&transaction.txid()) {
                    self.proofs.prove_final(&self.genesis, running, transaction.txid(), &*self.verifier);
                }
                self.workload.settled(&transaction);
            }
            Notification::BlockApplied(applied) => {
                self.oracle_of(node).applied(&applied);
                self.stopwatch.applied(&applied, self.now_ms);
                let header = &applied.committed.block.header;
                if header.epoch_end && self.closings.ended.insert(header.epoch) {
                    self.free_collaterals();
                    self.is_over |= self.halves.is_none() && !self.is_within_bounds();
                }
                self.note_closings();
                for transaction in &applied.transactions {
                    self.stopwatch.finalized(node, transaction.txid(), self.now_ms);
                    self.promptness.finalized(node, transaction.txid(), self.now_ms);
                    self.workload.settled(transaction);
                }
                self.seen.slashed = self.oracle.slashed;
                let mark = self.random.chance(250);
                if let Some(running) = &mut self.nodes[node].running {
                    running.index_block(&applied, mark);
                }
            }
            Notification::EvidenceFound(piece) => {
                self.log(|| format!("node {node} has evidence against {}", piece.validator().short()));
                self.oracle.accused(piece.validator());
                self.note_accused(node, piece.validator());
                self.seen.evidence += 1;
                self.seen.lock_evidence += u64::from(matches!(*piece, Evidence::Locks(..)));
            }
            Notification::SigningChanged(Signing::KeyCopied) => {
                let may = self.is_copied(node) || self.is_byzantine(node);
                assert!(may, "node {node} hears a copy of its key, and there is none");
                self.seen.copies_heard += 1;
                self.seen.heard_in_other_set += u64::from(self.is_in_other_set(node));
            }
            Notification::ForkDetected(fork) => self.fork_detected(node, &fork),
            _ => {}
        }
    }

    // -- network --------------------------------------------------------------------------------------------------

    fn are_connected(&self, one: usize, other: usize) -> bool {
        self.plan.geography.as_ref().is_none_or(|geography| geography.are_connected(one, other))
    }

    fn delay_ms(&mut self, from: usize, to: usize) -> u64 {
        match &self.plan.geography {
            Some(geography) => geography.delay_ms(from, to, &mut self.random),
            None => self.random.between(1, self.plan.delay_ms_max),
        }
    }

    pub(super) fn broadcast(&mut self, from: usize, message: &Message, except: Option<PublicKey>) {
        self.strangers.overhear(message);
        self.hold_to_wire(from, message);
        let is_often = matches!(message, Message::Transaction(_) | Message::VoteBatch(_));
        let source = except.filter(|_| self.plan.mesh && is_often).and_then(|peer| self.member_at(&peer));
        for to in 0..self.nodes.len() {
            let has_it_anyway =
                source.is_some_and(|source| self.are_connected(source, to) && !self.cut[source][to]);
            let is_told = to != from && self.are_connected(from, to) && Some(self.nodes[to].peer) != except;
            if is_told && !has_it_anyway {
                self.send(from, to, message.clone());
            }
        }
    }

    /// The node of a validator, by its peers' name for it.
    fn member_at(&self, peer: &PublicKey) -> Option<usize> {
        self.nodes.iter().take(self.plan.validators).position(|node| node.peer == *peer)
    }

    pub(super) fn send(&mut self, from: usize, to: usize, message: Message) {
        if self.cut[from][to] || (!self.faults_over && self.random.chance(self.plan.loss_per_mille)) {
            return;
        }
        let faulty = self.plan.byzantine.iter().find(|faulty| faulty.index == from).cloned();
        let (message, late_ms) = match faulty {
            None => (message, 0),
            Some(faulty) => match self.tamper(&faulty, to, message) {
                Tampered::Lost => return,
                Tampered::Sent { message, delay_ms } => (message, delay_ms),
            },
        };
        if self.random.chance(self.plan.duplicate_per_mille) {
            let delay = self.delay_ms(from, to);
            self.after(delay, Item::Deliver { from, to, message: message.clone() });
        }
        let delay = self.delay_ms(from, to);
        self.after(delay + late_ms, Item::Deliver { from, to, message });
    }

    /// The network would refuse what is longer than its kind may be, and close the connection.
    pub(super) fn hold_to_wire(&self, from: usize, message: &Message) {
        let (kind, bytes) = (MessageKind::of(message), encode(message).len());
        assert!(bytes <= kind.bytes_max(), "node {from} sends a {} of {bytes} bytes", kind.name());
        let listed = message.check_limits().and_then(|()| message.check_density(bytes));
        assert_eq!(listed, Ok(()), "node {from} sends a {} that is refused", kind.name());
    }

    // -- steps ----------------------------------------------------------------------------------------------------

    pub(super) fn is_alive(&self, node: usize, life: u64) -> bool {
        self.nodes[node].life == life && self.nodes[node].running.is_some()
    }

    /// Takes the next item of the queue.
    pub fn step(&mut self) {
        let item = loop {
            let mut next = self.queue.first_entry().expect("ticks never end");
            self.now_ms = *next.key();
            match next.get_mut().pop_front() {
                Some(item) => break item,
                None => drop(next.remove()),
            }
        };
        let at_ms = self.now_ms;
        self.in_flight -= 1;
        self.seen.steps += 1;
        if self.in_flight > IN_FLIGHT_MAX.max(IN_FLIGHT_OF_A_LINK_MAX * self.nodes.len().pow(2)) {
            self.too_much_in_flight();
        }
        if let Some(until_ms) =
            item.needs().map(|node| self.paused_until_ms[node]).filter(|until| *until > at_ms)
        {
            self.after(until_ms - at_ms, item);
            return;
        }
        self.trace.update(&at_ms.to_le_bytes());
        if let Item::Deliver { from, to, message } = &item {
            self.trace.update(&[*from as u8, *to as u8]);
            self.trace.update(MessageKind::of(message).name().as_bytes());
            if self.traces_bytes {
                self.trace.update(&encode(message));
            }
        }
        match item {
            Item::Deliver { from, to, message } => {
                if self.is_unheard(to, &message) {
                    return;
                }
                self.seen.certificates +=
                    u64::from(matches!(&message, Message::Certificates(_)) && from < self.nodes.len());
                if let Message::Proposal(proposal) = &message {
                    self.note_lacking_promise(to, proposal);
                }
                let from = self.peer_at(from);
                if let Some(traffic) = &mut self.traffic {
                    traffic.arrives(to, &message);
                }
                if let Message::Announce(txids) = &message {
                    self.hear_announcement(to, from, txids);
                } else {
                    self.feed(to, Event::Message { from, message, verified: false });
                }
                self.check(to);
            }
            Item::Timer { node, life, timer } if self.is_alive(node, life) => {
                self.feed(node, Event::TimeoutElapsed(timer));
            }
            Item::Tick { node, life } if self.is_alive(node, life) => {
                self.feed(node, Event::Tick);
                self.tick_admission(node);
                self.after(100, Item::Tick { node, life });
            }
            Item::WriteJournal { node, life } if self.is_alive(node, life) => self.write_journal(node),
            Item::WriteBlock { node, life } if self.is_alive(node, life) => self.write_blocks(node),
            Item::BlocksChecked { node, life, answer } if self.is_alive(node, life) => {
                self.feed(node, Event::BlocksChecked { answer, held: Arc::default() });
            }
            Item::Timer { .. }
            | Item::Tick { .. }
            | Item::WriteJournal { .. }
            | Item::WriteBlock { .. }
            | Item::BlocksChecked { .. } => {}
            Item::Pay => self.pay(),
            Item::Act => self.act(),
            Item::Submit { transaction } => self.submit(&transaction),
            Item::Offer { copy, is_right } => self.offer(copy, is_right),
            Item::Intrude => self.intrude(),
            Item::Crash { all } => {
                let node = self.random.below(self.nodes.len());
                for node in if all { 0..self.nodes.len() } else { node..node + 1 } {
                    if !self.faults_over && self.nodes[node].running.is_some() {
                        self.stop(node);
                    }
                }
            }
            Item::Crashes => {
                if !self.faults_over {
                    let all = self.random.chance(100);
                    self.after(0, Item::Crash { all });
                    let delay = self.random.between(200, 4_000);
                    self.after(delay, Item::Crashes);
                }
            }
            Item::Restart { node } => {
                if self.nodes[node].running.is_none() {
                    self.copy_disk_once(node);
                    self.start(node);
                }
            }
            Item::Partition => {
                if !self.faults_over {
                    self.partition();
                    let delay = self.random.between(300, 3_000);
                    self.after(delay, Item::Heal);
                }
            }
            Item::Partitions => {
                self.after(0, Item::Partition);
                let delay = self.random.between(800, 7_000);
                self.after(delay, Item::Partitions);
            }
            Item::Heal => self.heal(),
            Item::Pauses => {
                if !self.faults_over {
                    self.pause();
                    let delay = self.random.between(500, 5_000);
                    self.after(delay, Item::Pauses);
                }
            }
            Item::SetClock { node, skew_ms } => self.nodes[node].skew_ms = skew_ms,
            Item::ClockSteps => self.step_a_clock(),
            Item::Upgrade { node } => self.upgrade(node),
        }
    }

    fn too_much_in_flight(&self) -> ! {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for item in self.queue.values().flatten() {
            let kind = if let Item::Deliver { message, .. } = item {
                MessageKind::of(message).name()
            } else {
                "other"
            };
            *kinds.entry(kind).or_default() += 1;
        }
        panic!("I9: more is in flight than any honest traffic: {kinds:?}\n{}", self.describe());
    }

    fn check(&self, node: usize) {
        // Each step would cost more than all the rest.
        if self.seen.steps.is_multiple_of(256)
            && let Some(running) = &self.nodes[node].running
        {
            running.consensus.check_invariants().expect("invariants hold");
            running.admission.check_invariants().expect("invariants hold");
            running.mirror.pool.check_invariants().expect("invariants hold");
        }
    }

    /// Somebody pays.
    pub fn pay_once(&mut self) {
        let made = self.workload.next(&mut self.random, self.now_ms);
        if let [alone] = made.as_slice() {
            self.stopwatch.watch(alone.txid());
            self.expect_finality(alone.txid());
        }
        for transaction in made {
            self.copy_some(transaction.transaction());
            self.submit_soon(transaction);
        }
    }

    fn pay(&mut self) {
        self.check_promptness();
        self.pay_once();
        let oracle = &self.oracle;
        for transaction in self.workload.due_again(self.now_ms, |txid| oracle.is_final(txid)) {
            self.after(0, Item::Submit { transaction });
        }
        // What is asked for after the faults is progress under load, not under the most.
        let payments_per_second = if self.faults_over {
            self.plan.payments_per_second.div_ceil(2)
        } else {
            self.plan.payments_per_second
        };
        let pause = 2_000 / payments_per_second;
        let delay = self.random.between(1, pause.max(1));
        self.after(delay, Item::Pay);
    }

    pub fn submit_soon(&mut self, transaction: CheckedTransaction) {
        self.oracle.know(&transaction);
        if let Some(halves) = &mut self.halves {
            halves.other.know(&transaction);
        }
        let delay = self.random.between(0, 5);
        self.after(delay, Item::Submit { transaction });
    }

    fn submit(&mut self, transaction: &CheckedTransaction) {
        let live: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].running.is_some()).collect();
        if live.is_empty() {
            return;
        }
        let node = live[self.random.below(live.len())];
        self.stopwatch.submitted(node, transaction.txid(), self.now_ms);
        self.note_sent(node, transaction.txid());
        let _sent_again_later =
            self.admit(node, TransactionSource::Local, vec![Arc::clone(transaction.transaction())]);
    }

    // -- the run --------------------------------------------------------------------------------------------------

    /// Whether a node is there and keeps the rules.
    pub(super) fn is_honest(&self, node: usize) -> bool {
        self.plan.absent != Some(node) && !self.is_byzantine(node)
    }

    pub(super) fn heights(&self) -> Vec<Height> {
        let present = self.nodes.iter().enumerate().filter(|(place, _)| self.is_honest(*place));
        present
            .map(|(_, node)| node.running.as_ref().map_or(0, |running| running.consensus.state().height()))
            .collect()
    }

    pub fn run_until(&mut self, what: &str, limit_ms: u64, mut done: impl FnMut(&Self) -> bool) {
        let deadline = self.now_ms + limit_ms;
        while !done(self) && !self.is_over {
            assert!(
                self.now_ms < deadline,
                "{what}: not within {limit_ms} ms; heights {:?}, plan {:?}\n{}",
                self.heights(),
                self.plan,
                self.describe()
            );
            self.step();
        }
    }

    /// Whether nothing that somebody has had on disk against a masternode could still be put into a block, whoever has
    /// crashed since.
    fn is_all_evidence_in_blocks(&self) -> bool {
        let is_open = |piece: &Arc<Evidence>| check_against(piece, self.oracle.state()).is_ok();
        !self.evidence_on_disk.iter().any(is_open)
    }

    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for (place, node) in self.nodes.iter().enumerate() {
            let Some(running) = &node.running else { continue };
            let (core, machine) = (&running.consensus, running.consensus.bft());
            text += &format!(
                "node {place}: height {} epoch {} closing {} round {} step {:?} locked {:?} promises {} unblocked {:?} signing {:?} seat {} status {:?}\n",
                core.state().height(),
                core.finality().epoch(),
                core.finality().is_closing(),
                machine.round(),
                machine.current_step(),
                machine.locked(),
                core.finality().promises().len(),
                core.finality().unblocked(),
                core.signing(),
                core.own_seat().is_some(),
                core.status(),
            );
        }
        text
    }

    /// One member goes and never comes back, where everybody else is well: the others go on. Whether one has gone.
    fn lose_one_for_good(&mut self) -> bool {
        let others_are_well =
            !self.plan.has_missing() && !self.plan.listens && !self.plan.upgrades && !self.plan.halves;
        let node = self.random.below(self.plan.validators);
        // What was promised at each node was promised at this one too.
        let may = others_are_well && !self.promptness.is_promised() && !self.is_over;
        if !may || self.random.chance(500) || self.nodes[node].running.is_none() {
            return false;
        }
        self.stop(node);
        // It is not started again, and nobody counts on it.
        self.plan.absent = Some(node);
        self.seen.lost_for_good += 1;
        true
    }

    /// Runs faults, heals, and asks for progress: more blocks at each node and more epochs, what is accused slashed, and
    /// every payment whose owner signed no conflict in the chain.
    pub fn run(&mut self) -> [u8; 32] {
        let (blocks, epochs) = (self.plan.blocks, self.plan.epochs);
        let faults_end = self.now_ms + 40_000;
        let is_short = |oracle: &Oracle| oracle.height < blocks || oracle.epoch < epochs;
        while is_short(&self.oracle) && self.now_ms < faults_end && !self.is_over {
            self.step();
        }
        self.faults_over = true;
        self.heal();
        let (height, epoch) = (self.oracle.height, self.oracle.epoch);
        let (blocks, epochs) =
            (height + self.plan.blocks_after, (epoch + self.plan.epochs_after).max(epochs));
        self.run_until("more blocks at each node", 60_000, |world| {
            world.heights().iter().all(|reached| *reached >= blocks)
        });
        let is_whole = !self.lose_one_for_good();
        // Who is upgraded late is away for a while then, perhaps beside one that is faulty. A proposer that never comes back
        // costs its timeouts each time.
        if !self.plan.upgrades && is_whole {
            self.promise_finality_within(FINAL_AFTER_FAULTS_MS);
        }
        self.run_until("more epochs", 60_000, |world| world.oracle.epoch >= epochs);
        self.run_until("all evidence in blocks", 30_000, Self::is_all_evidence_in_blocks);
        let mut owed: Vec<TxId> = self
            .workload
            .payments
            .iter()
            .filter(|(_, payment)| !payment.contested)
            .map(|(txid, _)| *txid)
            .collect();
        self.run_until("every honest payment in the chain", 60_000, |world| {
            while owed.pop_if(|txid| world.oracle.chain.contains_key(txid)).is_some() {}
            owed.is_empty()
        });
        for node in &self.nodes {
            if let Some(running) = &node.running {
                running.consensus.check_invariants().expect("invariants hold");
                let reached = running.consensus.state().height();
                let chain = self.oracle.chain.iter().map(|(txid, height)| (*txid, *height));
                for place in chain.filter(|(txid, height)| proofs::is_sampled(txid) && *height <= reached) {
                    self.proofs.prove_included(&self.genesis, running, place, &*self.verifier);
                }
            }
        }
        *self.trace.finalize().as_bytes()
    }
}
