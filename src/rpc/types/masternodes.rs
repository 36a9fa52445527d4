//! Masternodes and evidence as RPC shows them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{
    Address, Amount, Epoch, Evidence, GenesisDocument, Hash, Height, MasternodeId, Network, OutPoint,
    Payload, PublicKey, TimeMs, Transaction, TxId,
};

/// `getmasternode`, and one entry of `masternodelist`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MasternodeInfo {
    /// Names it for good.
    pub id: MasternodeId,
    /// `active` when it is in the epoch's set and may stay; else `eligible` (it may be in the next set), `exiting` (it
    /// has asked to leave and is still needed), `jailed`, `slashed`, or `unbonding` (it has left, its collateral is
    /// still bound).
    pub state: String,
    /// Its membership in the current epoch's set.
    pub in_set: Option<MembershipInfo>,
    /// The key that votes.
    pub operator_key: PublicKey,
    /// Who owns the collateral.
    pub owner: Address,
    /// Where rewards go.
    pub payout: Address,
    /// `host:port` where its node can be reached.
    pub address: String,
    /// Whether this node is connected to it or is it.
    pub connected: bool,
    /// What it binds, in base units; slashing makes it less.
    pub collateral: Amount,
    /// The same in TIME.
    pub collateral_time: String,
    /// The bound output, as `txid:index`.
    pub collateral_outpoint: String,
    /// The block that made it; 0 for the genesis document's.
    pub collateral_height: Height,
    /// Its tier's name, if a tier has its weight.
    pub tier: Option<String>,
    /// What its vote weighs when it has grown to all that its tier gives.
    pub weight: u64,
    /// What its vote weighs in the current epoch's set, or would in the next one: at least 1, at most `weight`.
    pub effective_weight: u64,
    /// Whether it still has to attend a full window of commits before it grows and counts as a member that is there.
    pub on_trial: bool,
    /// Counts registrations from 0: the older comes first among equals.
    pub registration: u64,
    /// What changes with the next epoch.
    pub pending: Option<PendingChanges>,
    /// Whether it has asked to leave.
    pub exit_requested: bool,
    /// Why it is kept out of the set.
    pub jailed: Option<JailReason>,
    /// Since when it is kept out: the end of the epoch in which it was in the set last.
    pub jailed_since_ms: Option<TimeMs>,
    /// Whether evidence has burned a part of its collateral.
    pub slashed: bool,
    /// The end of the last epoch in whose set it was, while it is in none; when it left, if it never was in one.
    pub left_ms: Option<TimeMs>,
    /// Its collateral can be spent in epochs that start later than this; absent while it has not left for good.
    pub bound_until_ms: Option<TimeMs>,
}

/// Why a masternode is kept out of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JailReason {
    /// It signed too little; its operator can un-jail it.
    Absence,
    /// It signed against the rules: for good.
    Evidence,
}

/// A masternode in the current epoch's set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MembershipInfo {
    /// The epoch since which it has been in every set, or the oldest one that this node remembers.
    pub since_epoch: Epoch,
    /// When that epoch began; absent for one that the chain remembers no start of.
    pub since_ms: Option<TimeMs>,
    /// How many of the last commits it signed.
    pub attendance: AttendanceInfo,
}

/// How many commits a member of the set signed since it entered, of the last that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttendanceInfo {
    /// Signed.
    pub signed: u32,
    /// Counted.
    pub counted: u32,
    /// Whether it would be jailed for absence if the epoch ended now, as far as the cap lets it.
    pub absent: bool,
}

/// Changes that wait for the epoch's end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingChanges {
    /// The new operator key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_key: Option<PublicKey>,
    /// The new payout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payout: Option<Address>,
    /// The new address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// What a transaction says about a masternode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MasternodePayload {
    /// Which one. A registration's has this name if it takes effect.
    pub id: MasternodeId,
    /// A registration's collateral, as `txid:index`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collateral_outpoint: Option<String>,
    /// The key that votes, or is to vote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_key: Option<PublicKey>,
    /// Where rewards go, or are to go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payout: Option<Address>,
    /// `host:port` where its node can be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The operator key that says that a jailed masternode is up again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unjail: Option<PublicKey>,
}

impl MasternodePayload {
    fn named(id: MasternodeId) -> Self {
        Self { id, collateral_outpoint: None, operator_key: None, payout: None, address: None, unjail: None }
    }

    /// Describes a payload that speaks of a masternode.
    #[must_use]
    pub fn of(network: Network, txid: TxId, transaction: &Transaction) -> Option<Self> {
        match &transaction.payload {
            Payload::Transfer { .. } | Payload::Reward { .. } => None,
            Payload::MasternodeRegister(registration) => {
                let collateral = OutPoint { txid, index: registration.collateral_index };
                Some(Self {
                    collateral_outpoint: Some(collateral.to_string()),
                    operator_key: Some(registration.operator.key),
                    payout: Some(Address::of_lock(network, registration.payout)),
                    address: Some(registration.network_address.clone()),
                    ..Self::named(GenesisDocument::masternode_id(&collateral))
                })
            }
            Payload::MasternodeUpdate(update) => Some(Self {
                operator_key: update.operator.map(|consent| consent.key),
                payout: update.payout.map(|payout| Address::of_lock(network, payout)),
                address: update.network_address.clone(),
                unjail: update.unjail.map(|consent| consent.key),
                ..Self::named(update.masternode)
            }),
            Payload::MasternodeExit { masternode } => Some(Self::named(*masternode)),
        }
    }
}

/// Evidence in a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceInfo {
    /// Its name.
    pub hash: Hash,
    /// `conflicting_locks`, `conflicting_votes`, `conflicting_proposals` or `foreign_precommit`.
    pub kind: String,
    /// Who is accused.
    pub masternode: MasternodeId,
    /// The epoch of the act; of a foreign precommit, one in whose set the accused had the key.
    pub epoch: Epoch,
    /// The height of the act; votes of the finality layer have none.
    pub height: Option<Height>,
}

impl EvidenceInfo {
    /// Describes evidence.
    #[must_use]
    pub fn of(evidence: &Evidence) -> Self {
        Self {
            hash: evidence.hash(),
            kind: evidence.kind().to_owned(),
            masternode: evidence.validator(),
            epoch: evidence.epoch(),
            height: evidence.height(),
        }
    }
}

/// One entry of `listevidence`: evidence that a block punished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PunishedInfo {
    /// The evidence.
    #[serde(flatten)]
    pub evidence: EvidenceInfo,
    /// The block that punished it.
    pub block_height: Height,
    /// What it burned of the collateral, in base units.
    pub burned: Amount,
    /// The same in TIME.
    pub burned_time: String,
}

/// One entry of `getheartbeats`: a masternode's last sign of life. No rule of consensus reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeartbeatInfo {
    /// Whose.
    pub masternode: MasternodeId,
    /// The epoch that it speaks of.
    pub epoch: Epoch,
    /// The height of its last block.
    pub height: Height,
    /// The number of its next batch of finality votes.
    pub next_seq: u64,
    /// When it was sent, by the masternode's clock.
    pub time_ms: TimeMs,
    /// When this node heard it, by its own clock.
    pub heard_ms: TimeMs,
    /// Masternodes whose own last heartbeats say that they heard it.
    pub attested_by: Vec<MasternodeId>,
}

/// `getvotelatency`: how late the votes of the set's masternodes come at this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VoteLatencyInfo {
    /// The figures are of so many minutes, the running one among them.
    pub minutes: u64,
    /// Seconds of them in which this node was running.
    pub watched_s: u64,
    /// The members of the epoch's set, in its order.
    pub masternodes: Vec<MemberLatency>,
}

/// How late one masternode's votes come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemberLatency {
    /// Whose.
    pub id: MasternodeId,
    /// Whether it is this node's own.
    pub own: bool,
    /// Its Lock votes, from this node's acceptance of the payment, or from the first vote for it if that came before.
    pub lock: VoteTimes,
    /// Its Final votes, from the same moment.
    #[serde(rename = "final")]
    pub finalizes: VoteTimes,
    /// Its precommits, from the first one of the same height and round.
    pub precommit: VoteTimes,
}

/// Votes of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VoteTimes {
    /// Votes that came.
    pub count: u64,
    /// Votes that were not here ten seconds after the first one, though a quorum's were.
    pub missing: u64,
    /// Half of them came within so many milliseconds; absent without votes. Exact to 7 %, as the next two.
    pub p50_ms: Option<f64>,
    /// Nine of ten.
    pub p90_ms: Option<f64>,
    /// Ninety-nine of a hundred.
    pub p99_ms: Option<f64>,
    /// The latest one, exactly.
    pub max_ms: Option<f64>,
}

impl VoteTimes {
    /// The part of the votes that were missing, in hundredths; 0 without votes.
    #[must_use]
    pub const fn missing_percent(&self) -> u64 {
        let all = self.count.saturating_add(self.missing);
        match self.missing.saturating_mul(100).checked_div(all) {
            Some(percent) => percent,
            None => 0,
        }
    }
}
