//! The simulated world: virtual time, a lossy network, disks that crash, and nodes that run the real code.

use std::collections::BTreeMap;
use std::sync::Arc;

use timed::consensus::core::{Event, Identity, Notification, Output, Timer};
use timed::protocol::state::LedgerState;
use timed::protocol::validity::CheckedTransaction;
use timed::storage::memory_disk::Fault;
use timed::types::genesis::{Allocation, GenesisMasternode, Timeout};
use timed::types::{
    Address, Amount, ChainParameters, GenesisDocument, Height, Message, Network, PublicKey, SecretKey,
    SignatureVerifier, Transaction, TxId,
};

use crate::node::Node;
use crate::oracle::Oracle;
use crate::proofs;
use crate::random::Random;
use crate::verifier::CachingVerifier;
use crate::workload::Workload;

/// What one run is made of; a function of the seed.
#[derive(Clone, Debug)]
pub struct Plan {
    pub validators: usize,
    pub weights: Vec<u64>,
    pub full_nodes: usize,
    pub loss_per_mille: u64,
    pub duplicate_per_mille: u64,
    pub delay_ms_max: u64,
    pub payments_per_second: u64,
    /// Blocks at least, before faults end.
    pub blocks: Height,
    /// Epochs at least.
    pub epochs: u64,
    pub crashes: bool,
    pub partitions: bool,
    pub voted_unblocked_max: u64,
    /// A validator that never comes up: the others' proposers can't do without their own votes.
    pub absent: Option<usize>,
}

impl Plan {
    pub fn of(random: &mut Random) -> Self {
        let validators = random.between(4, 7) as usize;
        let unequal = random.chance(300);
        // Nobody holds a third.
        let weights = (0..validators).map(|i| if unequal && i < 3 { 2 } else { 1 }).collect();
        Self {
            validators,
            weights,
            full_nodes: random.below(2),
            loss_per_mille: [0, 10, 50, 120][random.below(4)],
            duplicate_per_mille: [0, 30][random.below(2)],
            delay_ms_max: [5, 30, 120][random.below(3)],
            payments_per_second: random.between(5, 40),
            blocks: 20,
            epochs: 2,
            crashes: random.chance(700),
            partitions: random.chance(600),
            voted_unblocked_max: [200_000, 200_000, 5][random.below(3)],
            // The last one weighs least, and so less than a third.
            absent: random.chance(250).then(|| validators - 1),
        }
    }
}

#[derive(Debug)]
enum Item {
    Deliver { from: usize, to: usize, message: Message },
    Timer { node: usize, life: u64, timer: Timer },
    Tick { node: usize, life: u64 },
    WriteJournal { node: usize, life: u64 },
    WriteBlock { node: usize, life: u64 },
    Pay,
    Submit { transaction: CheckedTransaction },
    Crash,
    Restart { node: usize },
    Partition,
    Heal,
}

pub struct World {
    plan: Plan,
    random: Random,
    pub now_ms: u64,
    sequence: u64,
    queue: BTreeMap<(u64, u64), Item>,
    nodes: Vec<Node>,
    genesis: GenesisDocument,
    verifier: Arc<CachingVerifier>,
    workload: Workload,
    pub oracle: Oracle,
    /// For each pair, whether messages from the first reach the second.
    cut: Vec<Vec<bool>>,
    faults_over: bool,
    trace: blake3::Hasher,
    pub steps: u64,
    pub crashes: u64,
    verbose: bool,
}

const START_MS: u64 = 1_750_000_100_000;

fn genesis(plan: &Plan, users: &[SecretKey]) -> GenesisDocument {
    let address = |secret: &SecretKey| Address::of_key_hash(Network::Devnet, secret.public().key_hash());
    let mut parameters = ChainParameters::of_network(Network::Devnet);
    let timeout = |base_ms| Timeout { base_ms, step_ms: base_ms / 2 };
    parameters.block_interval_ms = 500;
    parameters.min_block_gap_ms = 50;
    parameters.epoch_duration_ms = 4_000;
    parameters.block_trigger = 10;
    parameters.voted_unblocked_max = plan.voted_unblocked_max;
    parameters.timeout_propose = timeout(400);
    parameters.timeout_prevote = timeout(250);
    parameters.timeout_precommit = timeout(250);
    parameters.tiers = [1, 2]
        .map(|weight| timed::types::genesis::Tier {
            name: weight.to_string(),
            collateral: Amount(weight * 1_000_000),
            weight,
        })
        .to_vec();
    GenesisDocument {
        network: Network::Devnet,
        time_ms: START_MS - 1_000,
        parameters,
        allocations: users
            .iter()
            .flat_map(|user| vec![Allocation { address: address(user), amount: Amount(1_000_000_000) }; 8])
            .collect(),
        masternodes: (0..plan.validators)
            .map(|i| GenesisMasternode {
                collateral: Amount(plan.weights[i] * 1_000_000),
                owner: address(&operator(i)),
                operator_key: operator(i).public(),
                payout: address(&operator(i)),
                network_address: String::new(),
            })
            .collect(),
    }
}

fn operator(index: usize) -> SecretKey {
    SecretKey::from_seed(&[index as u8 + 1; 32])
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::of(&mut random);
        Self::with_plan(plan, random)
    }

    pub fn with_plan(plan: Plan, mut random: Random) -> Self {
        let users: Vec<SecretKey> = (0..6).map(|i| SecretKey::from_seed(&[0x80 + i; 32])).collect();
        let genesis = genesis(&plan, &users);
        let verifier = Arc::new(CachingVerifier::default());
        let count = plan.validators + plan.full_nodes;
        let nodes = (0..count)
            .map(|i| {
                let identity = (i < plan.validators).then(|| Identity {
                    id: GenesisDocument::masternode_id(&genesis.collateral_outpoint(i)),
                    secret: operator(i),
                });
                Node::new(i as u8, identity, random.between(0, 40))
            })
            .collect();
        let (state, outputs) = LedgerState::genesis(&genesis).expect("a sound genesis document");
        let workload = Workload::new(
            users,
            genesis.outputs().into_iter(),
            genesis.chain_id(),
            Arc::clone(state.parameters()),
            Arc::clone(&verifier) as _,
        );
        let mut world = Self {
            oracle: Oracle::new(state.validators(), &outputs),
            cut: vec![vec![false; count]; count],
            plan,
            random,
            now_ms: START_MS,
            sequence: 0,
            queue: BTreeMap::new(),
            nodes,
            genesis,
            verifier,
            workload,
            faults_over: false,
            trace: blake3::Hasher::new(),
            steps: 0,
            crashes: 0,
            verbose: std::env::var_os("SIM_VERBOSE").is_some(),
        };
        for node in 0..count {
            world.start(node);
        }
        world.after(10, Item::Pay);
        if world.plan.crashes {
            world.after(1_000, Item::Crash);
        }
        if world.plan.partitions {
            world.after(1_500, Item::Partition);
        }
        world
    }

    fn after(&mut self, delay_ms: u64, item: Item) {
        self.sequence += 1;
        self.queue.insert((self.now_ms + delay_ms, self.sequence), item);
    }

    /// One line for whoever replays a seed.
    fn log(&self, line: impl FnOnce() -> String) {
        if self.verbose {
            println!("{:>7} {}", self.now_ms - START_MS, line());
        }
    }

    // -- nodes ----------------------------------------------------------------------------------------------------

    fn start(&mut self, node: usize) {
        if self.plan.absent == Some(node) {
            return;
        }
        self.log(|| format!("node {node} starts"));
        let verifier = Arc::clone(&self.verifier) as Arc<dyn SignatureVerifier + Send + Sync>;
        let outputs = self.nodes[node].start(&self.genesis, verifier, &mut self.random, self.now_ms);
        let life = self.nodes[node].life;
        self.execute(node, outputs);
        self.after(1, Item::Tick { node, life });
        for other in 0..self.nodes.len() {
            if other != node && self.nodes[other].running.is_some() {
                let (here, there) = (self.nodes[node].peer, self.nodes[other].peer);
                self.feed(node, Event::PeerConnected(there));
                self.feed(other, Event::PeerConnected(here));
            }
        }
    }

    fn stop(&mut self, node: usize) {
        self.log(|| format!("node {node} crashes"));
        self.crashes += 1;
        self.nodes[node].crash(&mut self.random);
        let gone = self.nodes[node].peer;
        for other in 0..self.nodes.len() {
            self.feed(other, Event::PeerDisconnected(gone));
        }
        let delay = self.random.between(50, 4_000);
        self.after(delay, Item::Restart { node });
    }

    fn feed(&mut self, node: usize, event: Event) {
        let now_ms = self.now_ms + self.nodes[node].skew_ms;
        let Some(running) = &mut self.nodes[node].running else { return };
        let outputs = running.core.handle(event, now_ms);
        self.execute(node, outputs);
    }

    fn execute(&mut self, node: usize, outputs: Vec<Output>) {
        for output in outputs {
            if self.nodes[node].running.is_none() {
                return;
            }
            self.execute_one(node, output);
        }
    }

    fn execute_one(&mut self, node: usize, output: Output) {
        let life = self.nodes[node].life;
        let Some(running) = &mut self.nodes[node].running else { return };
        match output {
            Output::Persist(staged) => {
                running.writes.push(staged);
                if !std::mem::replace(&mut running.write_scheduled, true) {
                    let delay = self.random.between(0, 3);
                    self.after(delay, Item::WriteJournal { node, life });
                }
            }
            Output::CommitBlock(block) => {
                assert!(running.block_to_write.replace(block).is_none(), "one block at a time");
                let delay = self.random.between(0, 5);
                self.after(delay, Item::WriteBlock { node, life });
            }
            Output::PruneJournal(epoch) => {
                // A failing disk shows itself at the next write.
                drop(running.journal.prune_before(epoch));
            }
            Output::Send(to, message) => {
                if let Some(to) = self.nodes.iter().position(|other| other.peer == to) {
                    self.send(node, to, message);
                }
            }
            Output::Relay(message, except) => self.broadcast(node, &message, except),
            Output::ServeBlocks { to, from, count } => {
                let blocks = (from..from + count)
                    .map_while(|height| running.log.read(height).expect("reads"))
                    .map(|logged| Arc::new(logged.committed))
                    .take(8)
                    .collect();
                if let Some(to) = self.nodes.iter().position(|other| other.peer == to) {
                    self.send(node, to, Message::Blocks(blocks));
                }
            }
            Output::Schedule(timer, delay_ms) => self.after(delay_ms, Item::Timer { node, life, timer }),
            Output::Misbehaved(peer, why) => panic!("an honest peer {peer} is blamed: {why}"),
            Output::CheckTransactions(from, transactions) => self.admit(node, from, transactions),
            Output::Notify(notification) => self.notified(node, notification),
        }
    }

    fn admit(&mut self, node: usize, from: PublicKey, transactions: Vec<Arc<Transaction>>) {
        let chain_id = self.genesis.chain_id();
        for transaction in transactions {
            let txid = transaction.txid();
            let checked = CheckedTransaction::check(
                Arc::clone(&transaction),
                &chain_id,
                &self.genesis.parameters,
                &*self.verifier,
            )
            .expect("honest nodes relay sound transactions");
            let known = self.nodes[node].running.as_mut().is_none_or(|running| !running.relayed.insert(txid));
            if !known {
                self.broadcast(node, &Message::Transaction(transaction), Some(from));
            }
            self.feed(node, Event::Transaction(checked));
        }
    }

    fn notified(&mut self, node: usize, notification: Notification) {
        match notification {
            Notification::Finalized(transaction) => {
                let Some(running) = &self.nodes[node].running else { return };
                let epoch = running.core.finality().epoch();
                self.oracle.finalized(&transaction, epoch);
                if proofs::is_sampled(&transaction.txid()) {
                    proofs::prove_final(&self.genesis, running, transaction.txid(), &*self.verifier);
                }
                self.workload.settled(&transaction);
            }
            Notification::BlockApplied(applied) => {
                self.oracle.applied(&applied);
                for transaction in &applied.transactions {
                    self.workload.settled(transaction);
                }
                let mark = self.random.chance(250);
                if let Some(running) = &mut self.nodes[node].running {
                    running.index_block(&applied, mark);
                }
            }
            _ => {}
        }
    }

    // -- network --------------------------------------------------------------------------------------------------

    fn broadcast(&mut self, from: usize, message: &Message, except: Option<PublicKey>) {
        for to in 0..self.nodes.len() {
            if to != from && Some(self.nodes[to].peer) != except {
                self.send(from, to, message.clone());
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, message: Message) {
        if self.cut[from][to] || (!self.faults_over && self.random.chance(self.plan.loss_per_mille)) {
            return;
        }
        if self.random.chance(self.plan.duplicate_per_mille) {
            let delay = self.random.between(1, self.plan.delay_ms_max);
            self.after(delay, Item::Deliver { from, to, message: message.clone() });
        }
        let delay = self.random.between(1, self.plan.delay_ms_max);
        self.after(delay, Item::Deliver { from, to, message });
    }

    // -- disk -----------------------------------------------------------------------------------------------------

    fn write_journal(&mut self, node: usize) {
        // Sometimes the machine dies within the write.
        if !self.faults_over && self.plan.crashes && self.random.chance(2) {
            let operation = self.random.between(1, 3);
            self.nodes[node].disk.fail_after(operation, Fault::InputOutput);
        }
        let Some(running) = &mut self.nodes[node].running else { return };
        running.write_scheduled = false;
        let staged = std::mem::take(&mut running.writes);
        match running.journal.commit(staged) {
            Ok(durable) => {
                for message in &durable {
                    self.oracle.published(message.get());
                    self.broadcast(node, message.get(), None);
                }
                self.feed(node, Event::Persisted(durable));
            }
            Err(problem) => {
                self.log(|| format!("node {node}: {problem}"));
                self.stop(node);
            }
        }
    }

    fn write_block(&mut self, node: usize) {
        let Some(running) = &mut self.nodes[node].running else { return };
        let Some(block) = running.block_to_write.take() else { return };
        match running.log.append(&block) {
            Ok(_) => {
                self.nodes[node].durable = block.committed.block.header.height;
                self.feed(node, Event::BlockPersisted);
            }
            Err(problem) => {
                self.log(|| format!("node {node}: {problem}"));
                self.stop(node);
            }
        }
    }

    // -- steps ----------------------------------------------------------------------------------------------------

    fn is_alive(&self, node: usize, life: u64) -> bool {
        self.nodes[node].life == life && self.nodes[node].running.is_some()
    }

    /// Takes the next item of the queue.
    pub fn step(&mut self) {
        let ((at_ms, sequence), item) = self.queue.pop_first().expect("ticks never end");
        self.now_ms = at_ms;
        self.steps += 1;
        self.trace.update(&at_ms.to_le_bytes());
        self.trace.update(&sequence.to_le_bytes());
        if let Item::Deliver { from, to, message } = &item {
            self.trace.update(&[*from as u8, *to as u8]);
            self.trace.update(message.name().as_bytes());
        }
        match item {
            Item::Deliver { from, to, message } => {
                let from = self.nodes[from].peer;
                self.feed(to, Event::Message { from, message, verified: false });
                self.check(to);
            }
            Item::Timer { node, life, timer } if self.is_alive(node, life) => {
                self.feed(node, Event::TimeoutElapsed(timer));
            }
            Item::Tick { node, life } if self.is_alive(node, life) => {
                self.feed(node, Event::Tick);
                self.after(100, Item::Tick { node, life });
            }
            Item::WriteJournal { node, life } if self.is_alive(node, life) => self.write_journal(node),
            Item::WriteBlock { node, life } if self.is_alive(node, life) => self.write_block(node),
            Item::Timer { .. } | Item::Tick { .. } | Item::WriteJournal { .. } | Item::WriteBlock { .. } => {}
            Item::Pay => self.pay(),
            Item::Submit { transaction } => self.submit(&transaction),
            Item::Crash => {
                if !self.faults_over {
                    let node = self.random.below(self.nodes.len());
                    let all = self.random.chance(100);
                    for node in if all { 0..self.nodes.len() } else { node..node + 1 } {
                        if self.nodes[node].running.is_some() {
                            self.stop(node);
                        }
                    }
                    let delay = self.random.between(200, 4_000);
                    self.after(delay, Item::Crash);
                }
            }
            Item::Restart { node } => {
                if self.nodes[node].running.is_none() {
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
            Item::Heal => {
                self.heal();
                let delay = self.random.between(500, 4_000);
                self.after(delay, Item::Partition);
            }
        }
    }

    fn check(&self, node: usize) {
        // Each step would cost more than all the rest.
        if self.steps.is_multiple_of(64)
            && let Some(running) = &self.nodes[node].running
        {
            running.core.check_invariants().expect("invariants hold");
        }
    }

    fn partition(&mut self) {
        let asymmetric = self.random.chance(300);
        let side: Vec<bool> = (0..self.nodes.len()).map(|_| self.random.chance(500)).collect();
        for from in 0..self.nodes.len() {
            for to in 0..self.nodes.len() {
                self.cut[from][to] =
                    if asymmetric { side[from] && !side[to] } else { side[from] != side[to] };
            }
        }
    }

    fn heal(&mut self) {
        for row in &mut self.cut {
            row.fill(false);
        }
    }

    fn pay(&mut self) {
        let made = self.workload.next(&mut self.random, self.now_ms);
        for transaction in made {
            self.oracle.know(&transaction);
            let delay = self.random.between(0, 5);
            self.after(delay, Item::Submit { transaction });
        }
        let oracle = &self.oracle;
        for transaction in self.workload.due_again(self.now_ms, |txid| oracle.is_final(txid)) {
            self.after(0, Item::Submit { transaction });
        }
        let pause = 2_000 / self.plan.payments_per_second;
        let delay = self.random.between(1, pause.max(1));
        self.after(delay, Item::Pay);
    }

    fn submit(&mut self, transaction: &CheckedTransaction) {
        let live: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].running.is_some()).collect();
        if live.is_empty() {
            return;
        }
        let node = live[self.random.below(live.len())];
        let from = self.nodes[node].peer;
        self.admit(node, from, vec![Arc::clone(transaction.transaction())]);
    }

    // -- the run --------------------------------------------------------------------------------------------------

    fn heights(&self) -> Vec<Height> {
        let present = self.nodes.iter().enumerate().filter(|(place, _)| self.plan.absent != Some(*place));
        present
            .map(|(_, node)| node.running.as_ref().map_or(0, |running| running.core.committed_height()))
            .collect()
    }

    fn run_until(&mut self, what: &str, limit_ms: u64, done: impl Fn(&Self) -> bool) {
        let deadline = self.now_ms + limit_ms;
        while !done(self) {
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

    fn describe(&self) -> String {
        let mut text = String::new();
        for (place, node) in self.nodes.iter().enumerate() {
            let Some(running) = &node.running else { continue };
            let (core, machine) = (&running.core, running.core.bft());
            text += &format!(
                "node {place}: height {} epoch {} closing {} round {} step {:?} locked {:?} promises {} unblocked {:?} status {:?}\n",
                core.committed_height(),
                core.finality().epoch(),
                core.finality().is_closing(),
                machine.round(),
                machine.current_step(),
                machine.locked(),
                core.finality().promises().len(),
                core.finality().unblocked(),
                core.status(),
            );
        }
        text
    }

    /// Runs faults, heals, and asks for progress: ten more blocks at each node, and every payment whose owner signed
    /// no conflict in the chain.
    pub fn run(&mut self) -> [u8; 32] {
        let (blocks, epochs) = (self.plan.blocks, self.plan.epochs);
        let faults_end = self.now_ms + 40_000;
        while (self.oracle.height < blocks || self.oracle.epoch < epochs) && self.now_ms < faults_end {
            self.step();
        }
        self.faults_over = true;
        self.heal();
        let (height, epoch) = (self.oracle.height, self.oracle.epoch);
        self.run_until("ten more blocks at each node", 60_000, |world| {
            world.heights().iter().all(|reached| *reached >= height + 10)
        });
        self.run_until("the epoch after next", 60_000, |world| world.oracle.epoch >= (epoch + 2).max(epochs));
        let owed: Vec<TxId> = self
            .workload
            .payments
            .iter()
            .filter(|(_, payment)| !payment.contested)
            .map(|(txid, _)| *txid)
            .collect();
        self.run_until("every honest payment in the chain", 60_000, |world| {
            owed.iter().all(|txid| world.oracle.chain.contains_key(txid))
        });
        for node in &self.nodes {
            if let Some(running) = &node.running {
                running.core.check_invariants().expect("invariants hold");
                let reached = running.core.state().height();
                let chain = self.oracle.chain.iter().map(|(txid, height)| (*txid, *height));
                for place in chain.filter(|(txid, height)| proofs::is_sampled(txid) && *height <= reached) {
                    proofs::prove_included(&self.genesis, running, place, &*self.verifier);
                }
            }
        }
        *self.trace.finalize().as_bytes()
    }
}
