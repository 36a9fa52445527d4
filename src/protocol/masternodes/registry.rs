//! The records of masternodes.

use std::collections::{BTreeMap, BTreeSet};

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::types::genesis::GenesisError;
use crate::types::{Amount, GenesisDocument, Height, Lock, MasternodeId, OutPoint, PublicKey, TimeMs};

/// What a vote weighs when its masternode enters a set.
pub(super) const ENTRY_WEIGHT: u64 = 1;

/// Why a masternode is kept out of the set, and since when.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Jail {
    /// It signed too little; its operator can un-jail it.
    Absence {
        /// The end of the epoch in which it was in the set last.
        since: TimeMs,
    },
    /// It signed against the rules: for good.
    Evidence {
        /// The end of the epoch in which it was in the set last.
        since: TimeMs,
    },
}

impl Jail {
    /// Since when.
    #[must_use]
    pub const fn since(&self) -> TimeMs {
        match self {
            Self::Absence { since } | Self::Evidence { since } => *since,
        }
    }
}

/// An update that waits for the epoch's end.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct PendingUpdate {
    /// The new operator key.
    pub operator_key: Option<PublicKey>,
    /// The new payout.
    pub payout: Option<Lock>,
    /// The new address.
    pub network_address: Option<String>,
}

/// What the chain knows of a masternode.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct MasternodeRecord {
    /// The output that it binds.
    pub collateral: OutPoint,
    /// That output's value; slashing makes it less.
    pub collateral_amount: Amount,
    /// The height of the block that made it.
    pub collateral_height: Height,
    /// Who owns the collateral.
    pub owner: Lock,
    /// The key that votes.
    pub operator_key: PublicKey,
    /// Where rewards go.
    pub payout: Lock,
    /// `host:port` where its node can be reached.
    pub network_address: String,
    /// What its vote weighs when it has grown to all that its tier gives: the full weight.
    pub weight: u64,
    /// What its vote weighs in the set, from [`ENTRY_WEIGHT`] up to the full weight; see the folder's head.
    pub effective_weight: u64,
    /// It has not attended a full window of commits since it entered the set, or is in none. Who is not on trial is in
    /// the set and has proved that it signs, or stands in the genesis document.
    pub on_trial: bool,
    /// Counts registrations from 0: the older comes first among equals.
    pub registration: u64,
    /// What changes at the epoch's end.
    pub pending: Option<PendingUpdate>,
    /// The number of its request to leave.
    pub exit_requested: Option<u64>,
    /// The number of the evidence against it, in the same count as requests to leave.
    pub slashed: Option<u64>,
    /// Set while it is kept out.
    pub jail: Option<Jail>,
    /// It has left for good; its collateral stays bound for a while.
    pub exited: bool,
    /// The end of the last epoch in whose set it was, while it is in none; when it left, if it never was in one.
    pub left: Option<TimeMs>,
}

/// Where a masternode stands, in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MasternodeStatus {
    /// It may be in the next set.
    Eligible,
    /// It has asked to leave and is still needed.
    Exiting,
    /// It is kept out for absence.
    Jailed,
    /// It signed against the rules.
    Slashed,
    /// It has left, its collateral is still bound.
    Unbonding,
}

impl MasternodeStatus {
    /// Its name for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eligible => "eligible",
            Self::Exiting => "exiting",
            Self::Jailed => "jailed",
            Self::Slashed => "slashed",
            Self::Unbonding => "unbonding",
        }
    }
}

impl MasternodeRecord {
    /// Whether it may be in the next set.
    #[must_use]
    pub const fn is_eligible(&self) -> bool {
        self.jail.is_none() && !self.exited
    }

    /// Whether it stays in the set whatever the newcomers do.
    #[must_use]
    pub(super) const fn is_proven(&self) -> bool {
        self.is_eligible() && !self.on_trial
    }

    /// Whether its vote weighs less than its tier gives, or nobody knows yet that it signs at all.
    #[must_use]
    pub const fn is_growing(&self) -> bool {
        self.on_trial || self.effective_weight < self.weight
    }

    /// It is in no set: when it enters one again, it has to prove again that it signs.
    pub(super) const fn start_again(&mut self) {
        self.effective_weight = ENTRY_WEIGHT;
        self.on_trial = true;
    }

    /// The number of the first thing that wants it out of the set.
    pub(super) fn request_to_leave(&self) -> Option<u64> {
        self.exit_requested.into_iter().chain(self.slashed).min()
    }

    /// Where it stands.
    #[must_use]
    pub const fn status(&self) -> MasternodeStatus {
        if self.exited {
            MasternodeStatus::Unbonding
        } else if self.slashed.is_some() {
            MasternodeStatus::Slashed
        } else if self.jail.is_some() {
            MasternodeStatus::Jailed
        } else if self.exit_requested.is_some() {
            MasternodeStatus::Exiting
        } else {
            MasternodeStatus::Eligible
        }
    }

    /// In epochs that start later than this its collateral is free; `None` while it has not left for good.
    #[must_use]
    pub fn bound_through(&self, unbonding_time_ms: u64) -> Option<TimeMs> {
        let left = self.left.filter(|_| self.exited)?;
        Some(left.saturating_add(unbonding_time_ms))
    }
}

/// All masternodes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Registry {
    records: BTreeMap<MasternodeId, MasternodeRecord>,
    /// Counts registrations.
    pub(super) registrations: u64,
    /// Counts requests to leave and pieces of evidence.
    pub(super) requests: u64,
    /// Outputs that void registrations of this epoch marked.
    void_collaterals: BTreeSet<OutPoint>,
    /// Follows from the records.
    collaterals: BTreeMap<OutPoint, MasternodeId>,
    /// Follows from the records: who votes, or will, with a key.
    keys: BTreeMap<PublicKey, MasternodeId>,
}

impl Registry {
    /// The masternodes of a genesis document.
    ///
    /// # Errors
    /// [`GenesisError::UnknownTier`].
    pub fn genesis(document: &GenesisDocument) -> Result<Self, GenesisError> {
        let mut registry = Self::default();
        for (index, masternode) in document.masternodes.iter().enumerate() {
            let collateral = document.collateral_outpoint(index);
            let amount = masternode.collateral;
            let weight =
                document.weight_of(amount).ok_or(GenesisError::UnknownTier { index, collateral: amount })?;
            registry.insert(MasternodeRecord {
                collateral,
                collateral_amount: amount,
                collateral_height: 0,
                owner: masternode.owner.lock,
                operator_key: masternode.operator_key,
                payout: masternode.payout.lock,
                network_address: masternode.network_address.clone(),
                weight,
                effective_weight: weight,
                on_trial: false,
                registration: registry.registrations,
                pending: None,
                exit_requested: None,
                slashed: None,
                jail: None,
                exited: false,
                left: None,
            });
        }
        Ok(registry)
    }

    /// The records by their names.
    #[must_use]
    pub const fn records(&self) -> &BTreeMap<MasternodeId, MasternodeRecord> {
        &self.records
    }

    /// The bound outputs.
    #[must_use]
    pub const fn collaterals(&self) -> &BTreeMap<OutPoint, MasternodeId> {
        &self.collaterals
    }

    /// Outputs that void registrations of this epoch marked.
    #[must_use]
    pub const fn void_collaterals(&self) -> &BTreeSet<OutPoint> {
        &self.void_collaterals
    }

    /// How many registrations and requests there were.
    pub(in crate::protocol) const fn counters(&self) -> (u64, u64) {
        (self.registrations, self.requests)
    }

    /// Whether an output can't be spent in this epoch (INV-REG-3).
    #[must_use]
    pub fn is_bound(&self, outpoint: &OutPoint) -> bool {
        self.collaterals.contains_key(outpoint) || self.void_collaterals.contains(outpoint)
    }

    /// The masternode that votes, or will from the next epoch on, with a key.
    #[must_use]
    pub fn owner_of_key(&self, key: &PublicKey) -> Option<MasternodeId> {
        self.keys.get(key).copied()
    }

    /// Adds a record under the name that follows from its collateral, and counts it.
    pub(super) fn insert(&mut self, record: MasternodeRecord) -> MasternodeId {
        let id = GenesisDocument::masternode_id(&record.collateral);
        self.collaterals.insert(record.collateral, id);
        self.keys.insert(record.operator_key, id);
        self.records.insert(id, record);
        self.registrations = self.registrations.saturating_add(1);
        id
    }

    pub(super) fn remove(&mut self, id: &MasternodeId) {
        if let Some(record) = self.records.remove(id) {
            self.collaterals.remove(&record.collateral);
            self.keys.retain(|_, holder| holder != id);
        }
    }

    pub(in crate::protocol) fn get_mut(&mut self, id: &MasternodeId) -> Option<&mut MasternodeRecord> {
        self.records.get_mut(id)
    }

    pub(super) fn records_mut(&mut self) -> impl Iterator<Item = (&MasternodeId, &mut MasternodeRecord)> {
        self.records.iter_mut()
    }

    /// Reserves a key for a masternode that will vote with it.
    pub(super) fn announce_key(&mut self, key: PublicKey, id: MasternodeId) {
        self.keys.insert(key, id);
    }

    /// Gives free a key that no record votes or will vote with.
    pub(super) fn release_key(&mut self, key: &PublicKey) {
        self.keys.remove(key);
    }

    /// Changes records as no rule does.
    #[cfg(test)]
    pub(in crate::protocol) fn edit(
        &mut self,
        change: impl FnOnce(&mut BTreeMap<MasternodeId, MasternodeRecord>),
    ) {
        change(&mut self.records);
        self.collaterals = self.records.iter().map(|(id, record)| (record.collateral, *id)).collect();
        self.keys = self.records.iter().map(|(id, record)| (record.operator_key, *id)).collect();
    }

    pub(super) fn mark_void(&mut self, outpoint: OutPoint) {
        self.void_collaterals.insert(outpoint);
    }

    pub(super) fn clear_void(&mut self) {
        self.void_collaterals.clear();
    }

    /// The number of a request to leave.
    pub(super) fn next_request(&mut self) -> u64 {
        let number = self.requests;
        self.requests = number.saturating_add(1);
        number
    }

    #[cfg(test)]
    pub(in crate::protocol) fn count_registration(&mut self) {
        self.registrations = self.registrations.saturating_add(1);
    }

    #[cfg(test)]
    pub(in crate::protocol) fn count_request(&mut self) {
        self.next_request();
    }

    #[cfg(test)]
    pub(in crate::protocol) fn forget_marks(&mut self) {
        self.clear_void();
    }

    /// A masternode's record.
    #[must_use]
    pub fn get(&self, id: &MasternodeId) -> Option<&MasternodeRecord> {
        self.records.get(id)
    }
}

// By hand, because two of the maps follow from the records.
impl Encode for Registry {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.records.encode(encoder)?;
        self.registrations.encode(encoder)?;
        self.requests.encode(encoder)?;
        self.void_collaterals.encode(encoder)
    }
}

impl<Context> Decode<Context> for Registry {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let records = BTreeMap::<MasternodeId, MasternodeRecord>::decode(decoder)?;
        let mut registry = Self {
            registrations: Decode::decode(decoder)?,
            requests: Decode::decode(decoder)?,
            void_collaterals: Decode::decode(decoder)?,
            ..Self::default()
        };
        for (id, record) in &records {
            registry.collaterals.insert(record.collateral, *id);
            let announced = record.pending.as_ref().and_then(|pending| pending.operator_key);
            for key in announced.into_iter().chain([record.operator_key]) {
                registry.keys.insert(key, *id);
            }
        }
        registry.records = records;
        Ok(registry)
    }
}

bincode::impl_borrow_decode!(Registry);
