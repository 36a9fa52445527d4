//! The genesis document: parameters, first coins and first masternodes of a network.
//!
//! It is TOML for people; the hash of its canonical encoding is the chain id, so one changed parameter is another
//! network. Every number that a rule of the protocol uses and that is not a named constant is a parameter here.

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::address::{Address, Network};
use super::amount::Amount;
use super::codec::encode;
use super::hash::{ChainId, Domain, DomainHasher, MasternodeId};
use super::keys::PublicKey;
use super::limits::{PAST_EPOCHS_MAX, RECENT_COMMITS_MAX, VALIDATORS_MAX};
use super::lock::Lock;
use super::transaction::{OutPoint, TxOut};
use super::{TimeMs, TxId};

/// A fraction in integers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// Above the line.
    pub numerator: u64,
    /// Below the line, not zero.
    pub denominator: u64,
}

impl Ratio {
    /// Whether it is a part of a whole.
    const fn is_fraction(&self) -> bool {
        self.denominator > 0 && self.numerator <= self.denominator
    }
}

/// A timeout that grows with the round.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timeout {
    /// In round 0.
    pub base_ms: u64,
    /// More for each round.
    pub step_ms: u64,
}

impl Timeout {
    /// Its length in a round.
    #[must_use]
    pub fn at(&self, round: u32) -> u64 {
        self.base_ms.saturating_add(self.step_ms.saturating_mul(u64::from(round)))
    }
}

/// The numbers that every node of a network agrees on.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChainParameters {
    /// A proposal is due this long after the last block.
    pub block_interval_ms: u64,
    /// And never earlier than this, but for closing blocks.
    pub min_block_gap_ms: u64,
    /// An epoch closes once a block is this much later than its start.
    pub epoch_duration_ms: u64,
    /// The set never has fewer members.
    pub min_masternodes: u32,
    /// Nor more.
    pub max_validators: u32,
    /// Accrued for each block interval, shared among validators at the epoch's end.
    pub block_reward: Amount,
    /// What each started 1,000 bytes of a transaction pay at least.
    pub min_fee_per_kb: Amount,
    /// Encoded bytes of a block's transactions, at most.
    pub block_bytes_max: u64,
    /// Transactions of a block, at most.
    pub block_transactions_max: u64,
    /// This many waiting certified transactions make a proposal due.
    pub block_trigger: u64,
    /// With more certified transactions waiting for a block a validator casts no new Lock votes.
    pub voted_unblocked_max: u64,
    /// The same in bytes.
    pub voted_unblocked_bytes_max: u64,
    /// How long collateral stays bound after its masternode left.
    pub unbonding_time_ms: u64,
    /// What evidence burns of the collateral.
    pub slash_fraction: Ratio,
    /// Who missed more of the last commits is jailed.
    pub max_missed: Ratio,
    /// At most this much of the set's weight is jailed at once.
    pub jail_cap: Ratio,
    /// How many of the last commits count for absence and the proposers' order (`k`).
    pub recent_commits: u32,
    /// How long a round waits for its proposal.
    pub timeout_propose: Timeout,
    /// How long a round waits after a quorum of different prevotes.
    pub timeout_prevote: Timeout,
    /// How long a round waits after a quorum of different precommits.
    pub timeout_precommit: Timeout,
    /// Tiers of masternodes, by ascending collateral.
    pub tiers: Vec<Tier>,
}

/// A collateral and the voting weight it gives.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Its name for people.
    pub name: String,
    /// What a masternode of this tier binds.
    pub collateral: Amount,
    /// What its vote weighs.
    pub weight: u64,
}

/// First coins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allocation {
    /// Who gets them.
    pub address: Address,
    /// How many base units.
    pub amount: Amount,
}

/// A masternode of the first set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisMasternode {
    /// Base units that it binds: the collateral of a tier.
    pub collateral: Amount,
    /// Who owns the collateral.
    pub owner: Address,
    /// The key that votes.
    pub operator_key: PublicKey,
    /// Where rewards go.
    pub payout: Address,
    /// `host:port` where its node can be reached.
    pub network_address: String,
}

/// Parameters, time, first coins and first masternodes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisDocument {
    /// Which kind of network it is.
    pub network: Network,
    /// When it starts: the time that stands for "the block before block 1".
    pub time_ms: TimeMs,
    /// The numbers everybody agrees on.
    pub parameters: ChainParameters,
    /// First coins.
    #[serde(default)]
    pub allocations: Vec<Allocation>,
    /// First masternodes, in the order of their registration.
    pub masternodes: Vec<GenesisMasternode>,
}

/// Why a genesis document starts no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// It is not TOML of this shape.
    #[error("the genesis document can't be read: {0}")]
    Malformed(String),
    /// Fewer masternodes than the parameters ask for.
    #[error("there are fewer masternodes ({count}) than min_masternodes = {min}")]
    TooFewMasternodes {
        /// How many there are.
        count: usize,
        /// How many there must be.
        min: u32,
    },
    /// More masternodes than the first set can hold.
    #[error("{count} masternodes are more than max_validators = {max}")]
    TooManyMasternodes {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: u32,
    },
    /// A collateral that is no tier's.
    #[error("masternode {index}: a collateral of {collateral} TIME is none of the tiers'")]
    UnknownTier {
        /// Which masternode, from 0.
        index: usize,
        /// Its collateral.
        collateral: Amount,
    },
    /// An operator key that is weak or named twice.
    #[error("masternode {index}: the operator key {key} is {problem}")]
    BadOperatorKey {
        /// Which masternode, from 0.
        index: usize,
        /// Its key.
        key: PublicKey,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An address of another network.
    #[error("{address} is not an address of {network}")]
    ForeignAddress {
        /// The address.
        address: Address,
        /// The document's network.
        network: Network,
    },
    /// A parameter outside its range.
    #[error("parameters.{name}: {problem}")]
    BadParameter {
        /// Which one.
        name: &'static str,
        /// What it must be.
        problem: &'static str,
    },
    /// Coins that don't fit into 64 bits, or an output of nothing.
    #[error("allocations and collaterals must be above zero and sum to less than 2^63 base units")]
    BadSupply,
}

impl GenesisDocument {
    /// Reads a document and checks it.
    ///
    /// # Errors
    /// See [`GenesisError`].
    pub fn from_toml(text: &str) -> Result<Self, GenesisError> {
        let document: Self =
            toml::from_str(text).map_err(|error| GenesisError::Malformed(error.to_string()))?;
        document.check()?;
        Ok(document)
    }

    /// The document as TOML.
    ///
    /// # Errors
    /// Only when an integer exceeds TOML's 63 bits.
    pub fn to_toml(&self) -> Result<String, GenesisError> {
        toml::to_string_pretty(self).map_err(|error| GenesisError::Malformed(error.to_string()))
    }

    /// The network's name for everything that is signed.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        let allocations: Vec<(Lock, Amount)> =
            self.allocations.iter().map(|a| (a.address.lock, a.amount)).collect();
        let masternodes: Vec<(Amount, Lock, PublicKey, Lock, &str)> = self
            .masternodes
            .iter()
            .map(|m| (m.collateral, m.owner.lock, m.operator_key, m.payout.lock, m.network_address.as_str()))
            .collect();
        let body = encode(&(self.network, self.time_ms, &self.parameters, allocations, masternodes));
        ChainId(DomainHasher::new(Domain::Genesis).bytes(&body).finish())
    }

    /// The first coins with their outpoints: allocations first, then collaterals, as outputs of a transaction that
    /// has the chain id's bytes as its name.
    #[must_use]
    pub fn outputs(&self) -> Vec<(OutPoint, TxOut)> {
        let txid = TxId(self.chain_id().0);
        let allocations = self.allocations.iter().map(|a| (a.address.lock, a.amount));
        let collaterals = self.masternodes.iter().map(|m| (m.owner.lock, m.collateral));
        (0_u32..)
            .zip(allocations.chain(collaterals))
            .map(|(index, (lock, value))| (OutPoint { txid, index }, TxOut { value, lock }))
            .collect()
    }

    /// The collateral output of the masternode at `index`.
    #[must_use]
    pub fn collateral_outpoint(&self, index: usize) -> OutPoint {
        let place = self.allocations.len().saturating_add(index);
        OutPoint { txid: TxId(self.chain_id().0), index: u32::try_from(place).unwrap_or(u32::MAX) }
    }

    /// The name of the masternode whose collateral is this output: the same rule serves masternodes that register
    /// later.
    #[must_use]
    pub fn masternode_id(collateral: &OutPoint) -> MasternodeId {
        let hasher = DomainHasher::new(Domain::Masternode).bytes(&collateral.txid.0).u32(collateral.index);
        MasternodeId(hasher.finish())
    }

    /// The weight of a collateral.
    #[must_use]
    pub fn weight_of(&self, collateral: Amount) -> Option<u64> {
        self.parameters.weight_of(collateral)
    }

    /// The masternode, if any, that alone holds a third of the weight or more: with it faulty nothing is safe.
    #[must_use]
    pub fn dominant_masternode(&self) -> Option<usize> {
        let weights: Vec<u64> =
            self.masternodes.iter().map(|m| self.weight_of(m.collateral).unwrap_or(0)).collect();
        let total = weights.iter().fold(0_u128, |sum, weight| sum.saturating_add(u128::from(*weight)));
        weights.iter().position(|weight| u128::from(*weight).saturating_mul(3) >= total)
    }

    /// Holds every rule of a genesis document.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), GenesisError> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// Every rule of a genesis document that is broken.
    #[must_use]
    pub fn problems(&self) -> Vec<GenesisError> {
        let mut problems = self.parameters.problems();
        let (count, min, max) =
            (self.masternodes.len(), self.parameters.min_masternodes, self.parameters.max_validators);
        if u64::try_from(count).unwrap_or(u64::MAX) < u64::from(min) {
            problems.push(GenesisError::TooFewMasternodes { count, min });
        }
        if u64::try_from(count).unwrap_or(u64::MAX) > u64::from(max) {
            problems.push(GenesisError::TooManyMasternodes { count, max });
        }
        for (index, masternode) in self.masternodes.iter().enumerate() {
            let collateral = masternode.collateral;
            if self.weight_of(collateral).is_none() {
                problems.push(GenesisError::UnknownTier { index, collateral });
            }
            let key = masternode.operator_key;
            if key.is_weak() {
                problems.push(GenesisError::BadOperatorKey { index, key, problem: "no valid Ed25519 key" });
            }
            if self.masternodes.iter().take(index).any(|other| other.operator_key == key) {
                problems.push(GenesisError::BadOperatorKey { index, key, problem: "named twice" });
            }
        }
        let owners = self.masternodes.iter().flat_map(|m| [m.owner, m.payout]);
        for address in self.allocations.iter().map(|a| a.address).chain(owners) {
            if address.network != self.network {
                problems.push(GenesisError::ForeignAddress { address, network: self.network });
            }
        }
        let values =
            || self.allocations.iter().map(|a| a.amount).chain(self.masternodes.iter().map(|m| m.collateral));
        let supply = Amount::checked_sum(values());
        if values().any(|value| value == Amount::ZERO) || supply.is_none_or(|sum| sum.0 >> 63 != 0) {
            problems.push(GenesisError::BadSupply);
        }
        problems
    }
}

impl ChainParameters {
    /// The weight of a collateral, if it is that of a tier.
    #[must_use]
    pub fn weight_of(&self, collateral: Amount) -> Option<u64> {
        self.tiers.iter().find(|tier| tier.collateral == collateral).map(|tier| tier.weight)
    }

    fn problems(&self) -> Vec<GenesisError> {
        let positive = "must be above zero";
        let rules = [
            ("block_interval_ms", self.block_interval_ms > 0, positive),
            ("epoch_duration_ms", self.epoch_duration_ms > 0, positive),
            ("min_masternodes", self.min_masternodes > 0, positive),
            (
                "max_validators",
                self.max_validators >= self.min_masternodes
                    && usize::try_from(self.max_validators).is_ok_and(|max| max <= VALIDATORS_MAX),
                "must be at least min_masternodes and at most 100",
            ),
            (
                "block_transactions_max",
                (2..=50_000).contains(&self.block_transactions_max),
                "must be 2 to 50,000",
            ),
            (
                "block_bytes_max",
                (1 << 20..=8 << 20).contains(&self.block_bytes_max),
                "must be 1 MiB to 8 MiB",
            ),
            ("voted_unblocked_max", self.voted_unblocked_max > 0, positive),
            (
                "voted_unblocked_bytes_max",
                self.voted_unblocked_bytes_max >= 1 << 20,
                "must be at least 1 MiB",
            ),
            ("recent_commits", (1..=RECENT_COMMITS_MAX).contains(&self.recent_commits), "must be 1 to 128"),
            (
                "unbonding_time_ms",
                self.unbonding_time_ms <= self.epoch_duration_ms.saturating_mul(PAST_EPOCHS_MAX),
                "must be at most 1,100 times epoch_duration_ms",
            ),
            ("slash_fraction", self.slash_fraction.is_fraction(), "must be a fraction of at most 1"),
            ("max_missed", self.max_missed.is_fraction(), "must be a fraction of at most 1"),
            ("jail_cap", self.jail_cap.is_fraction(), "must be a fraction of at most 1"),
            ("timeout_propose", self.timeout_propose.base_ms > 0, positive),
            ("timeout_prevote", self.timeout_prevote.base_ms > 0, positive),
            ("timeout_precommit", self.timeout_precommit.base_ms > 0, positive),
            (
                "tiers",
                !self.tiers.is_empty()
                    && self.tiers.iter().all(|tier| (1..=1_000_000).contains(&tier.weight)),
                "must hold at least one tier, each of a weight from 1 to 1,000,000",
            ),
            (
                "tiers",
                self.tiers.first().is_some_and(|tier| tier.collateral > Amount::ZERO)
                    && self.tiers.is_sorted_by(|tier, next| tier.collateral < next.collateral),
                "must have collaterals above zero, in ascending order",
            ),
        ];
        let broken = rules.into_iter().filter(|(_, holds, _)| !holds);
        broken.map(|(name, _, problem)| GenesisError::BadParameter { name, problem }).collect()
    }

    /// The parameters that a network starts with unless its document says otherwise.
    #[must_use]
    pub fn of_network(network: Network) -> Self {
        let tier = |name: &str, time: u64, weight| Tier {
            name: name.to_owned(),
            collateral: Amount::from_time(time).unwrap_or_default(),
            weight,
        };
        let timeout = |base_ms, step_ms| Timeout { base_ms, step_ms };
        let ratio = |numerator, denominator| Ratio { numerator, denominator };
        const SECOND: u64 = 1_000;
        const DAY: u64 = 86_400 * SECOND;
        let devnet = network == Network::Devnet;
        let (block_interval_ms, epoch_duration_ms, unbonding_time_ms) = match network {
            Network::Mainnet => (600 * SECOND, 3_600 * SECOND, 42 * DAY),
            Network::Testnet => (60 * SECOND, 600 * SECOND, DAY),
            Network::Devnet => (2 * SECOND, 60 * SECOND, 600 * SECOND),
        };
        Self {
            block_interval_ms,
            min_block_gap_ms: 200,
            epoch_duration_ms,
            min_masternodes: 3,
            max_validators: 100,
            block_reward: Amount::from_time(100).unwrap_or_default(),
            min_fee_per_kb: Amount(1_000),
            block_bytes_max: 8 << 20,
            block_transactions_max: 50_000,
            block_trigger: 2_000,
            voted_unblocked_max: 200_000,
            voted_unblocked_bytes_max: 64 << 20,
            unbonding_time_ms,
            slash_fraction: ratio(1, 20),
            max_missed: ratio(2, 3),
            jail_cap: ratio(1, 10),
            recent_commits: 50,
            timeout_propose: if devnet { timeout(500, 250) } else { timeout(1_000, 500) },
            timeout_prevote: if devnet { timeout(250, 125) } else { timeout(500, 250) },
            timeout_precommit: if devnet { timeout(250, 125) } else { timeout(500, 250) },
            tiers: vec![tier("bronze", 1_000, 1), tier("silver", 10_000, 10), tier("gold", 100_000, 100)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::keys::SecretKey;

    fn document() -> GenesisDocument {
        let address = |seed: u8| {
            Address::of_key_hash(Network::Devnet, SecretKey::from_seed(&[seed; 32]).public().key_hash())
        };
        GenesisDocument {
            network: Network::Devnet,
            time_ms: 1_750_000_000_000,
            parameters: ChainParameters::of_network(Network::Devnet),
            allocations: vec![Allocation { address: address(9), amount: Amount(77) }],
            masternodes: (1..=4)
                .map(|i| GenesisMasternode {
                    collateral: Amount::from_time(1_000).unwrap(),
                    owner: address(i),
                    operator_key: SecretKey::from_seed(&[i; 32]).public(),
                    payout: address(i),
                    network_address: format!("127.0.0.1:{}", 24_200 + 2 * u16::from(i)),
                })
                .collect(),
        }
    }

    #[test]
    fn a_document_round_trips_as_toml_with_its_chain_id() {
        let document = document();
        let read = GenesisDocument::from_toml(&document.to_toml().unwrap()).unwrap();
        assert_eq!(read, document);
        assert_eq!(read.chain_id(), document.chain_id());
    }

    #[test]
    fn each_change_is_another_chain() {
        let base = document().chain_id();
        type Change = fn(&mut GenesisDocument);
        let changes: [Change; 6] = [
            |d| d.time_ms += 1,
            |d| d.parameters.block_interval_ms += 1,
            |d| d.parameters.tiers[0].weight += 1,
            |d| d.allocations[0].amount.0 += 1,
            |d| d.masternodes[0].network_address.push('0'),
            |d| d.masternodes.swap(0, 1),
        ];
        for change in changes {
            let mut changed = document();
            change(&mut changed);
            assert_ne!(changed.chain_id(), base);
        }
    }

    #[test]
    fn each_rule_is_held() {
        type Case = (fn(&mut GenesisDocument), fn(&GenesisError) -> bool);
        let cases: [Case; 13] = [
            (|d| d.masternodes.truncate(2), |e| matches!(e, GenesisError::TooFewMasternodes { .. })),
            (|d| d.parameters.max_validators = 3, |e| matches!(e, GenesisError::TooManyMasternodes { .. })),
            (
                |d| d.masternodes[1].collateral.0 += 1,
                |e| matches!(e, GenesisError::UnknownTier { index: 1, .. }),
            ),
            (
                |d| d.masternodes[1].operator_key = d.masternodes[0].operator_key,
                |e| matches!(e, GenesisError::BadOperatorKey { index: 1, problem: "named twice", .. }),
            ),
            (|d| d.network = Network::Testnet, |e| matches!(e, GenesisError::ForeignAddress { .. })),
            (
                |d| d.parameters.block_interval_ms = 0,
                |e| matches!(e, GenesisError::BadParameter { name: "block_interval_ms", .. }),
            ),
            (
                |d| d.masternodes[1].operator_key = PublicKey::ZERO,
                |e| matches!(e, GenesisError::BadOperatorKey { index: 1, .. }),
            ),
            (
                |d| d.allocations[0].address.network = Network::Testnet,
                |e| matches!(e, GenesisError::ForeignAddress { .. }),
            ),
            (
                |d| d.masternodes[2].owner.network = Network::Testnet,
                |e| matches!(e, GenesisError::ForeignAddress { .. }),
            ),
            (
                |d| d.masternodes[2].payout.network = Network::Testnet,
                |e| matches!(e, GenesisError::ForeignAddress { .. }),
            ),
            (|d| d.allocations[0].amount = Amount::ZERO, |e| *e == GenesisError::BadSupply),
            (|d| d.allocations[0].amount = Amount(u64::MAX), |e| *e == GenesisError::BadSupply),
            (|d| d.allocations[0].amount = Amount(1 << 63), |e| *e == GenesisError::BadSupply),
        ];
        for (change, expected) in cases {
            let mut changed = document();
            change(&mut changed);
            let error = changed.check().unwrap_err();
            assert!(expected(&error), "{error}");
        }
        let text = document().to_toml().unwrap().replace("block_interval_ms", "block_intervall_ms");
        assert!(matches!(GenesisDocument::from_toml(&text), Err(GenesisError::Malformed(_))));
    }

    #[test]
    fn each_bound_of_a_parameter_is_held_and_may_be_reached() {
        type Change = fn(&mut ChainParameters);
        let cases: [(&str, Change, bool); 45] = [
            ("min_masternodes", |p| p.min_masternodes = 0, false),
            ("min_masternodes", |p| p.min_masternodes = 1, true),
            ("max_validators", |p| (p.min_masternodes, p.max_validators) = (4, 3), false),
            ("max_validators", |p| (p.min_masternodes, p.max_validators) = (4, 4), true),
            ("max_validators", |p| p.max_validators = 101, false),
            ("unbonding_time_ms", |p| p.unbonding_time_ms = 1_100 * p.epoch_duration_ms, true),
            ("unbonding_time_ms", |p| p.unbonding_time_ms = 1_100 * p.epoch_duration_ms + 1, false),
            ("unbonding_time_ms", |p| p.unbonding_time_ms = 0, true),
            ("slash_fraction", |p| p.slash_fraction.denominator = 0, false),
            ("slash_fraction", |p| p.slash_fraction = Ratio { numerator: 3, denominator: 2 }, false),
            ("slash_fraction", |p| p.slash_fraction = Ratio { numerator: 2, denominator: 2 }, true),
            ("slash_fraction", |p| p.slash_fraction = Ratio { numerator: 0, denominator: 1 }, true),
            ("max_missed", |p| p.max_missed.denominator = 0, false),
            ("max_missed", |p| p.max_missed = Ratio { numerator: 4, denominator: 3 }, false),
            ("max_missed", |p| p.max_missed = Ratio { numerator: 1, denominator: 1 }, true),
            ("jail_cap", |p| p.jail_cap.denominator = 0, false),
            ("jail_cap", |p| p.jail_cap = Ratio { numerator: 11, denominator: 10 }, false),
            ("recent_commits", |p| p.recent_commits = 0, false),
            ("recent_commits", |p| p.recent_commits = 128, true),
            ("recent_commits", |p| p.recent_commits = 129, false),
            ("tiers", |p| p.tiers.clear(), false),
            ("tiers", |p| p.tiers.swap(1, 2), false),
            ("tiers", |p| p.tiers[1].collateral = p.tiers[0].collateral, false),
            ("tiers", |p| p.tiers[0].collateral = Amount::ZERO, false),
            ("tiers", |p| p.tiers[2].weight = 0, false),
            ("tiers", |p| p.tiers[0].weight = 1_000_000, true),
            ("tiers", |p| p.tiers[0].weight = 1_000_001, false),
            ("block_interval_ms", |p| p.block_interval_ms = 0, false),
            ("epoch_duration_ms", |p| (p.epoch_duration_ms, p.unbonding_time_ms) = (0, 0), false),
            ("epoch_duration_ms", |p| (p.epoch_duration_ms, p.unbonding_time_ms) = (1, 1_100), true),
            ("block_transactions_max", |p| p.block_transactions_max = 1, false),
            ("block_transactions_max", |p| p.block_transactions_max = 2, true),
            ("block_transactions_max", |p| p.block_transactions_max = 50_000, true),
            ("block_transactions_max", |p| p.block_transactions_max = 50_001, false),
            ("block_bytes_max", |p| p.block_bytes_max = (1 << 20) - 1, false),
            ("block_bytes_max", |p| p.block_bytes_max = 1 << 20, true),
            ("block_bytes_max", |p| p.block_bytes_max = 8 << 20, true),
            ("block_bytes_max", |p| p.block_bytes_max = (8 << 20) + 1, false),
            ("voted_unblocked_max", |p| p.voted_unblocked_max = 0, false),
            ("voted_unblocked_max", |p| p.voted_unblocked_max = 1, true),
            ("voted_unblocked_bytes_max", |p| p.voted_unblocked_bytes_max = (1 << 20) - 1, false),
            ("voted_unblocked_bytes_max", |p| p.voted_unblocked_bytes_max = 1 << 20, true),
            ("timeout_propose", |p| p.timeout_propose.base_ms = 0, false),
            ("timeout_prevote", |p| p.timeout_prevote.base_ms = 0, false),
            ("timeout_precommit", |p| p.timeout_precommit.base_ms = 0, false),
        ];
        for (place, (expected, change, holds)) in cases.into_iter().enumerate() {
            let mut parameters = ChainParameters::of_network(Network::Mainnet);
            change(&mut parameters);
            match parameters.problems().first() {
                None => assert!(holds, "case {place}: {expected}"),
                Some(GenesisError::BadParameter { name, .. }) => {
                    assert!(!holds && *name == expected, "case {place}")
                }
                Some(error) => panic!("case {place}: {error}"),
            }
        }
        for network in [Network::Mainnet, Network::Testnet, Network::Devnet] {
            assert_eq!(ChainParameters::of_network(network).problems(), []);
        }
    }

    #[test]
    fn one_masternode_with_a_third_is_named() {
        let mut document = document();
        assert_eq!(document.dominant_masternode(), None);
        document.masternodes[2].collateral = Amount::from_time(10_000).unwrap();
        assert_eq!(document.dominant_masternode(), Some(2));
    }
}
