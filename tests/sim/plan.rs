//! What one run is made of, and its genesis.

use timed::consensus::signing::Identity;
use timed::types::genesis::{Allocation, GenesisMasternode, Ratio, Tier, Timeout};
use timed::types::{Address, Amount, ChainParameters, GenesisDocument, Height, Network, SecretKey};

use crate::byzantine::{Byzantine, Vices};
use crate::geography::Geography;
use crate::random::Random;

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
    /// Coins of each of those who pay.
    pub coins_each: usize,
    /// Blocks at least, before faults end.
    pub blocks: Height,
    /// Epochs at least.
    pub epochs: u64,
    /// More blocks that each node has to reach after that.
    pub blocks_after: Height,
    /// More epochs that have to end after that.
    pub epochs_after: u64,
    pub crashes: bool,
    /// Some crashes take the chain's data too, and leave the journal.
    pub wipes: bool,
    pub partitions: bool,
    /// Processes that stand still for a while.
    pub pauses: bool,
    /// Clocks are ahead by at most this.
    pub skew_ms_max: u64,
    /// Wall clocks that are set while nodes run.
    pub clock_steps: bool,
    pub voted_unblocked_max: u64,
    /// A validator that never comes up: the others' proposers can't do without their own votes.
    pub absent: Option<usize>,
    /// So many of the first validators have a second node with their key and a journal of its own.
    pub copies: usize,
    /// When these come up.
    pub copies_start_ms: u64,
    /// Whether nodes ask before they sign, as in production, and copies have the disk of the node whose key they have.
    pub listens: bool,
    /// Whether the network begins in two halves, each with one node of every key that has two.
    pub halves: bool,
    /// How often a payment has a rival.
    pub contested_per_mille: u64,
    /// Validators that do not keep the rules.
    pub byzantine: Vec<Byzantine>,
    /// Full nodes with a key that may become a masternode's during the run. With any, masternodes register, leave,
    /// change their keys and are jailed.
    pub spares: usize,
    /// Peers without stake that say anything at any time.
    pub strangers: usize,
    pub intrusions_per_second: u64,
    pub unbonding_ms: u64,
    /// Whether relays leave out who gets a message from the same member anyway, as in production; else all flood.
    pub mesh: bool,
    /// Whether programs are replaced by ones that know new rules.
    pub upgrades: bool,
    /// Nodes spread over the world; otherwise every delay is random, and all are connected.
    pub geography: Option<Geography>,
}

impl Plan {
    /// Equal validators and a network without faults.
    pub fn calm(validators: usize) -> Self {
        Self {
            validators,
            weights: vec![1; validators],
            full_nodes: 0,
            loss_per_mille: 0,
            duplicate_per_mille: 0,
            delay_ms_max: 5,
            payments_per_second: 10,
            coins_each: COINS_EACH,
            blocks: 20,
            epochs: 2,
            blocks_after: 10,
            epochs_after: 2,
            crashes: false,
            wipes: false,
            partitions: false,
            pauses: false,
            skew_ms_max: 0,
            clock_steps: false,
            voted_unblocked_max: 200_000,
            absent: None,
            copies: 0,
            copies_start_ms: 0,
            listens: false,
            halves: false,
            contested_per_mille: 150,
            byzantine: Vec::new(),
            spares: 0,
            strangers: 0,
            intrusions_per_second: 40,
            unbonding_ms: 600_000,
            mesh: true,
            upgrades: false,
            geography: None,
        }
    }

    /// No more than a third may be faulty: absent or Byzantine.
    fn with_byzantine(self, random: &mut Random) -> Self {
        let few = self.spares > 0 && self.validators < 6;
        if self.absent.is_some() || few || !random.chance(500) {
            return self;
        }
        let often = |random: &mut Random| [0, 0, 100, 400][random.below(4)];
        // Who contradicts itself is soon out of the set.
        let overreaches = random.chance(300);
        let vices = Vices {
            overreaches,
            withhold: often(random),
            delay: often(random),
            equivocate: if overreaches { 0 } else { [0, 500, 1_000][random.below(3)] },
            in_payments_alone: random.chance(500),
            forge: often(random) / 4,
            lie: often(random),
        };
        let index = random.below(self.validators);
        Self { byzantine: vec![Byzantine { index, vices }], ..self }
    }

    /// Whether somebody's weight is missing from the beginning, or may be.
    pub fn has_missing(&self) -> bool {
        self.absent.is_some() || self.copies > 0 || self.spares > 0 || !self.byzantine.is_empty()
    }

    pub fn of(random: &mut Random) -> Self {
        let spares = if random.chance(500) { random.between(1, 2) as usize } else { 0 };
        let validators = random.between(if spares == 0 { 4 } else { 5 }, 7) as usize;
        let unequal = random.chance(300);
        // Load is what a run costs; a quarter of them has much.
        let rate_max = [12, 12, 20, 40][random.below(4)];
        // Nobody holds a third.
        let weights = (0..validators).map(|i| if unequal && i < 3 { 2 } else { 1 }).collect();
        // The last one weighs least, and so less than a third.
        let absent = random.chance(250).then(|| validators - 1);
        Self {
            validators,
            weights,
            full_nodes: random.below(2),
            loss_per_mille: [0, 10, 50, 120][random.below(4)],
            duplicate_per_mille: [0, 30][random.below(2)],
            delay_ms_max: [5, 30, 120][random.below(3)],
            payments_per_second: random.between(5, rate_max),
            coins_each: COINS_EACH,
            blocks: 20,
            epochs: 2,
            blocks_after: 10,
            epochs_after: 2,
            crashes: random.chance(700),
            wipes: random.chance(400),
            partitions: random.chance(600),
            pauses: random.chance(300),
            skew_ms_max: [40, 40, 40, 3_000][random.below(4)],
            clock_steps: random.chance(300),
            voted_unblocked_max: [200_000, 200_000, 5][random.below(3)],
            absent,
            copies: 0,
            copies_start_ms: 0,
            // A restart as in production. Who is absent acknowledges nobody.
            listens: absent.is_none() && random.chance(200),
            halves: false,
            contested_per_mille: 150,
            byzantine: Vec::new(),
            spares,
            strangers: [0, 1, 3][random.below(3)],
            intrusions_per_second: 40,
            unbonding_ms: [600_000, 8_000][random.below(2)],
            mesh: random.chance(600),
            upgrades: false,
            geography: None,
        }
        .with_byzantine(random)
    }

    /// Equal validators all over the world, without faults.
    pub fn worldwide(validators: usize, random: &mut Random) -> Self {
        Self {
            geography: Some(Geography::spread(validators, random)),
            payments_per_second: 3,
            ..Self::calm(validators)
        }
    }

    /// Equal validators close to each other, and coins for so many payments besides.
    pub fn crowded(validators: usize, payments: usize) -> Self {
        Self {
            payments_per_second: 1,
            coins_each: COINS_EACH + payments / users().len() + 1,
            contested_per_mille: 0,
            ..Self::calm(validators)
        }
    }

    /// A plan with a twin: that key is faulty, and no other validator may be missing. Short, since the two contradict each
    /// other soon. In half of them the set changes, and then the copy often comes up when it has.
    pub fn with_twin(random: &mut Random) -> Self {
        let plan = Self::of(random);
        let is_late = random.chance(if plan.spares > 0 { 600 } else { 100 });
        let copies_start_ms = if is_late { random.between(3_000, 8_000) } else { 0 };
        Self {
            copies: 1,
            copies_start_ms,
            listens: false,
            absent: None,
            wipes: false,
            byzantine: Vec::new(),
            blocks: 8,
            // The one that it starts in, and the next.
            epochs: if is_late { copies_start_ms / EPOCH_MS + 2 } else { 1 },
            blocks_after: 5,
            epochs_after: 1,
            payments_per_second: plan.payments_per_second.min(15),
            ..plan
        }
    }

    /// A copied data directory comes up beside the node that it was copied from, in a network that hears both.
    pub fn with_copied_disk(random: &mut Random) -> Self {
        let plan = Self::with_twin(random);
        Self {
            listens: true,
            copies_start_ms: random.between(1_000, 6_000),
            // A node that is away while its copy starts leaves the network to the copy.
            crashes: false,
            partitions: false,
            spares: 0,
            payments_per_second: [1, plan.payments_per_second][random.below(2)],
            blocks: 20,
            epochs: 3,
            ..plan
        }
    }

    /// Any plan, with nodes that ask before they sign.
    pub fn listening(random: &mut Random) -> Self {
        Self { listens: true, absent: None, blocks: 12, epochs: 1, ..Self::of(random) }
    }

    /// A sound network, and strangers who say something all the time.
    pub fn with_strangers(random: &mut Random) -> Self {
        let validators = random.between(4, 7) as usize;
        Self {
            full_nodes: random.below(2),
            loss_per_mille: [0, 20, 100][random.below(3)],
            duplicate_per_mille: 30,
            delay_ms_max: [5, 30][random.below(2)],
            payments_per_second: 20,
            skew_ms_max: 40,
            strangers: random.between(1, 3) as usize,
            intrusions_per_second: 300,
            ..Self::calm(validators)
        }
    }

    /// Validators all over the world that lose a tenth of what they say to each other. A third minus one of them is faulty
    /// in one way or another.
    pub fn lossy(validators: usize, random: &mut Random) -> Self {
        let vices = [
            Vices { withhold: 1_000, ..Vices::default() },
            Vices { withhold: 200, delay: 400, lie: 400, forge: 100, ..Vices::default() },
            Vices { equivocate: 500, ..Vices::default() },
        ];
        let mut places: Vec<usize> = (0..validators).collect();
        let faulty = (0..(validators - 1) / 3).map(|number| {
            let index = places.swap_remove(random.below(places.len()));
            Byzantine { index, vices: vices[number % vices.len()].clone() }
        });
        Self {
            byzantine: faulty.collect(),
            loss_per_mille: 100,
            payments_per_second: 8,
            strangers: 2,
            intrusions_per_second: 60,
            ..Self::worldwide(validators, random)
        }
    }

    /// More than a third of the weight is in two places at once, and the network in two halves.
    pub fn beyond_a_third(random: &mut Random) -> Self {
        let (validators, copies) = [(4, 2), (7, 3)][random.below(2)];
        Self {
            copies,
            halves: true,
            contested_per_mille: 500,
            payments_per_second: 40,
            loss_per_mille: [0, 20][random.below(2)],
            delay_ms_max: [5, 30, 90][random.below(3)],
            skew_ms_max: 40,
            ..Self::calm(validators)
        }
    }
}

/// What a large masternode weighs when it has grown: more than all others together.
pub const LARGE_WEIGHT: u64 = 20;

/// What those who pay have for a run of some minutes: the change of each payment is a coin again.
const COINS_EACH: usize = 8;

/// An epoch lasts so long at least.
const EPOCH_MS: u64 = 4_000;

pub const START_MS: u64 = 1_750_000_100_000;

pub fn genesis(plan: &Plan, users: &[SecretKey]) -> GenesisDocument {
    let address = |secret: &SecretKey| Address::of_key_hash(Network::Devnet, secret.public().key_hash());
    let mut parameters = ChainParameters::of_network(Network::Devnet);
    let timeout = |base_ms| Timeout { base_ms, step_ms: base_ms / 2 };
    parameters.block_interval_ms = 500;
    parameters.min_block_gap_ms = 50;
    parameters.epoch_duration_ms = EPOCH_MS;
    parameters.block_trigger = 10;
    parameters.voted_unblocked_max = plan.voted_unblocked_max;
    parameters.unbonding_time_ms = plan.unbonding_ms;
    if plan.spares > 0 {
        parameters.recent_commits = 6;
        parameters.jail_cap = Ratio { numerator: 1, denominator: 4 };
    }
    parameters.timeout_propose = timeout(400);
    parameters.timeout_prevote = timeout(250);
    parameters.timeout_precommit = timeout(250);
    if plan.geography.is_some() {
        // A main network's, but for the pace of blocks and epochs.
        let main = ChainParameters::of_network(Network::Mainnet);
        parameters.block_interval_ms = 3_000;
        parameters.epoch_duration_ms = 9_000;
        parameters.block_trigger = main.block_trigger;
        parameters.min_block_gap_ms = main.min_block_gap_ms;
        parameters.timeout_propose = main.timeout_propose;
        parameters.timeout_prevote = main.timeout_prevote;
        parameters.timeout_precommit = main.timeout_precommit;
    }
    parameters.tiers = [1, 2, LARGE_WEIGHT]
        .map(|weight| Tier { name: weight.to_string(), collateral: Amount(weight * 1_000_000), weight })
        .to_vec();
    GenesisDocument {
        network: Network::Devnet,
        time_ms: START_MS - 1_000,
        parameters,
        allocations: users
            .iter()
            .flat_map(|user| {
                vec![Allocation { address: address(user), amount: Amount(1_000_000_000) }; plan.coins_each]
            })
            .collect(),
        masternodes: (0..plan.validators)
            .map(|i| GenesisMasternode {
                collateral: Amount(plan.weights[i] * 1_000_000),
                owner: address(owner(i, users)),
                operator_key: operator(i).public(),
                payout: address(&operator(i)),
                network_address: String::new(),
            })
            .collect(),
    }
}

pub fn operator(index: usize) -> SecretKey {
    SecretKey::from_seed(&[index as u8 + 1; 32])
}

/// The keys of nodes that have no masternode at first.
pub fn spare_operator(index: usize) -> SecretKey {
    SecretKey::from_seed(&[index as u8 + 0x60; 32])
}

/// The keys of masternodes whose nodes never come up.
pub fn ghost_operator(index: usize) -> SecretKey {
    SecretKey::from_seed(&[index as u8 + 0xa0; 32])
}

/// Who owns a validator's collateral.
fn owner(index: usize, users: &[SecretKey]) -> &SecretKey {
    &users[index % users.len()]
}

/// Those who pay.
pub fn users() -> Vec<SecretKey> {
    (0..6).map(|i| SecretKey::from_seed(&[0x80 + i; 32])).collect()
}

/// A validator's masternode.
pub fn identity(genesis: &GenesisDocument, index: usize) -> Identity {
    let id = GenesisDocument::masternode_id(&genesis.collateral_outpoint(index));
    Identity { id, secret: operator(index) }
}
