//! Masternodes as RPC shows them: from the chain's state alone, but for who is connected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::app::context::AppContext;
use crate::protocol::masternodes::{Jail, MasternodeRecord, MasternodeStatus, PastEpoch, PendingUpdate};
use crate::protocol::state::LedgerState;
use crate::rpc::types::{AttendanceInfo, JailReason, MasternodeInfo, MembershipInfo, PendingChanges};
use crate::types::{Address, Epoch, MasternodeId, Network, TimeMs, ValidatorSet};

impl AppContext {
    /// Which masternodes can be talked to now, this node's own included, in the set or not.
    pub(super) fn connected_masternodes(&self, state: &LedgerState) -> BTreeSet<MasternodeId> {
        let peers: BTreeSet<String> =
            self.network.peers().into_iter().map(|peer| peer.listen_address).collect();
        let own = self.own_masternode(state);
        let records = state.masternodes().iter();
        records
            .filter(|(id, record)| own == Some(**id) || peers.contains(&record.network_address))
            .map(|(id, _)| *id)
            .collect()
    }

    /// The masternode that has this node's operator key, in the set or not.
    pub(super) fn own_masternode(&self, state: &LedgerState) -> Option<MasternodeId> {
        self.bft.identity().and_then(|key| state.registry().owner_of_key(&key))
    }

    /// This node's place in the set that votes now.
    pub(super) fn seat(&self, state: &LedgerState) -> Option<usize> {
        self.bft.identity().and_then(|key| state.validators().find_key(&key)).map(|(place, _)| place)
    }
}

/// The epoch since which a masternode has been in every set, and when it began, as far as that is remembered.
type Since = (Epoch, Option<TimeMs>);

/// Since when the members of the current set have been in it without a break. Epochs that ended too long ago are not
/// remembered, so it is at least since then.
fn membership(state: &LedgerState) -> BTreeMap<MasternodeId, Since> {
    let past: Vec<&PastEpoch> = state.past_epochs().iter().collect();
    let began_when = |epoch: Epoch| {
        let before = epoch.checked_sub(1).and_then(|before| state.past_epochs().get(before));
        let current = (epoch == state.next_epoch() && state.height() > 0).then(|| state.epoch_start());
        before.map(|before| before.end).or(current)
    };
    let mut open: BTreeSet<MasternodeId> =
        state.validators().members().iter().map(|member| member.id).collect();
    let mut since = BTreeMap::new();
    let mut first = state.next_epoch();
    let mut later: &Arc<ValidatorSet> = state.validators();
    for before in past.into_iter().rev() {
        // Sets seldom change, and equal ones share their memory.
        if !Arc::ptr_eq(later, &before.set) {
            let members: BTreeSet<MasternodeId> =
                before.set.members().iter().map(|member| member.id).collect();
            let entered = open.difference(&members).copied().collect::<Vec<_>>();
            since.extend(entered.iter().map(|id| (*id, (first, began_when(first)))));
            entered.iter().for_each(|id| {
                open.remove(id);
            });
            later = &before.set;
        }
        first = before.epoch;
    }
    since.extend(open.into_iter().map(|id| (id, (first, began_when(first)))));
    since
}

/// Describes masternodes of one state.
pub(super) struct MasternodeView<'a> {
    network: Network,
    state: &'a LedgerState,
    connected: BTreeSet<MasternodeId>,
    since: BTreeMap<MasternodeId, Since>,
}

impl<'a> MasternodeView<'a> {
    pub(super) fn new(network: Network, state: &'a LedgerState, connected: BTreeSet<MasternodeId>) -> Self {
        Self { network, state, connected, since: membership(state) }
    }

    fn in_set(&self, id: &MasternodeId) -> Option<MembershipInfo> {
        let (since_epoch, since_ms) = *self.since.get(id)?;
        let parameters = self.state.parameters();
        let attendance = self.state.attendance().get(id).copied().unwrap_or_default();
        let attendance = AttendanceInfo {
            signed: attendance.signed(),
            counted: attendance.counted(),
            absent: attendance.is_absent(&parameters.max_missed, parameters.recent_commits),
        };
        Some(MembershipInfo { since_epoch, since_ms, attendance })
    }

    fn pending(&self, pending: &PendingUpdate) -> PendingChanges {
        PendingChanges {
            operator_key: pending.operator_key,
            payout: pending.payout.map(|payout| Address::of_lock(self.network, payout)),
            address: pending.network_address.clone(),
        }
    }

    pub(super) fn describe(&self, id: &MasternodeId, record: &MasternodeRecord) -> MasternodeInfo {
        let parameters = self.state.parameters();
        let in_set = self.in_set(id);
        let state = match record.status() {
            MasternodeStatus::Eligible if in_set.is_some() => "active",
            status => status.name(),
        };
        MasternodeInfo {
            id: *id,
            state: state.to_owned(),
            in_set,
            operator_key: record.operator_key,
            owner: Address::of_lock(self.network, record.owner),
            payout: Address::of_lock(self.network, record.payout),
            address: record.network_address.clone(),
            connected: self.connected.contains(id),
            collateral: record.collateral_amount,
            collateral_time: record.collateral_amount.to_string(),
            collateral_outpoint: record.collateral.to_string(),
            collateral_height: record.collateral_height,
            tier: parameters
                .tiers
                .iter()
                .find(|tier| tier.weight == record.weight)
                .map(|tier| tier.name.clone()),
            weight: record.weight,
            effective_weight: record.effective_weight,
            on_trial: record.on_trial,
            registration: record.registration,
            pending: record.pending.as_ref().map(|pending| self.pending(pending)),
            exit_requested: record.exit_requested.is_some(),
            jailed: record.jail.map(|jail| match jail {
                Jail::Absence { .. } => JailReason::Absence,
                Jail::Evidence { .. } => JailReason::Evidence,
            }),
            jailed_since_ms: record.jail.map(|jail| jail.since()),
            slashed: record.slashed.is_some(),
            left_ms: record.left,
            bound_until_ms: record.bound_through(parameters.unbonding_time_ms),
        }
    }

    pub(super) fn all(&self) -> Vec<MasternodeInfo> {
        self.state.masternodes().iter().map(|(id, record)| self.describe(id, record)).collect()
    }
}

#[cfg(test)]
mod tests;
