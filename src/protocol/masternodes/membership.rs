//! The end of an epoch: who leaves, who is jailed, who votes next, whose collateral is free.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::epoch_end::EpochEnd;
use super::growth::{grow, trials};
use super::registry::{Jail, MasternodeRecord, Registry};
use crate::types::{ChainParameters, MasternodeId, PublicKey, TimeMs, Validator, ValidatorSet};

/// Changes the registry as the end of an epoch does, and gives the next set.
pub(in crate::protocol) fn end_epoch(registry: &mut Registry, at: &EpochEnd<'_>) -> ValidatorSet {
    apply_updates(registry);
    grow(registry, at);
    let mut proven = count_proven(registry);
    let min = usize::try_from(at.parameters.min_masternodes).unwrap_or(usize::MAX);
    grant_requests(registry, at.end, &mut proven, min);
    jail_absent(registry, at, &mut proven, min);
    expire(registry, at);
    let next = next_set(registry, at.parameters, at.ended);
    note_departures(registry, at, &next);
    release(registry, at);
    registry.clear_void();
    next
}

fn apply_updates(registry: &mut Registry) {
    let mut replaced: Vec<PublicKey> = Vec::new();
    for (_, record) in registry.records_mut() {
        let Some(pending) = record.pending.take() else { continue };
        if let Some(key) = pending.operator_key {
            replaced.push(std::mem::replace(&mut record.operator_key, key));
        }
        record.payout = pending.payout.unwrap_or(record.payout);
        if let Some(address) = pending.network_address {
            record.network_address = address;
        }
    }
    replaced.iter().for_each(|key| registry.release_key(key));
}

fn count_proven(registry: &Registry) -> usize {
    registry.records().values().filter(|record| record.is_proven()).count()
}

/// Exits and slashed ones leave in the order of their requests, as long as enough proven ones stay (INV-REG-2). Who is
/// not proven is not needed, and leaves at once.
fn grant_requests(registry: &mut Registry, end: TimeMs, proven: &mut usize, min: usize) {
    let mut requests: Vec<(u64, MasternodeId)> = registry
        .records()
        .iter()
        .filter(|(_, record)| !record.exited)
        .filter_map(|(id, record)| Some((record.request_to_leave()?, *id)))
        .collect();
    requests.sort_unstable();
    for (_, id) in requests {
        let Some(record) = registry.get_mut(&id) else { continue };
        if record.is_proven() {
            if *proven <= min {
                continue;
            }
            *proven = proven.saturating_sub(1);
        }
        record.exited = record.exit_requested.is_some();
        if record.slashed.is_some() {
            // Who is jailed already has been out of the set since then.
            record.jail = Some(Jail::Evidence { since: record.jail.map_or(end, |jail| jail.since()) });
        }
    }
}

/// Jails those of the ended set who signed too little: the worst first, ties by registration, what does not fit under
/// the cap skipped. A growing one is jailed beyond the cap and takes no room under it.
fn jail_absent(registry: &mut Registry, at: &EpochEnd<'_>, proven: &mut usize, min: usize) {
    let parameters = at.parameters;
    let mut absent: Vec<(u32, u64, MasternodeId, u64)> = Vec::new();
    for member in at.ended.members() {
        let Some(attendance) = at.attendance.get(&member.id) else { continue };
        let record = registry.get(&member.id).filter(|record| record.is_eligible());
        if let Some(record) = record
            && attendance.is_absent(&parameters.max_missed, parameters.recent_commits)
        {
            absent.push((attendance.signed(), record.registration, member.id, member.weight));
        }
    }
    absent.sort_unstable();
    let cap = &parameters.jail_cap;
    let room = u128::from(at.ended.total_weight()).saturating_mul(u128::from(cap.numerator));
    let mut jailed = 0_u64;
    for (_, _, id, weight) in absent {
        let Some(record) = registry.get_mut(&id) else { continue };
        if record.is_proven() && *proven <= min {
            continue;
        }
        if !record.is_growing() {
            let with = jailed.saturating_add(weight);
            if u128::from(with).saturating_mul(u128::from(cap.denominator)) > room {
                continue;
            }
            jailed = with;
        }
        if record.is_proven() {
            *proven = proven.saturating_sub(1);
        }
        record.jail = Some(Jail::Absence { since: at.end });
    }
}

/// Who stays jailed for longer than the unbonding time counts as exited.
fn expire(registry: &mut Registry, at: &EpochEnd<'_>) {
    let unbonding = at.parameters.unbonding_time_ms;
    for (_, record) in registry.records_mut() {
        record.exited |= record.jail.is_some_and(|jail| at.end > jail.since().saturating_add(unbonding));
    }
}

/// The set of the genesis document: all of it, with full weights.
pub(in crate::protocol) fn genesis_set(registry: &Registry, parameters: &ChainParameters) -> ValidatorSet {
    next_set(registry, parameters, &ValidatorSet::default())
}

/// The proven ones and as many on trial as the set can bear; among these those that are on trial already, then who was
/// never in a set, then who has been out for longest. The seats are given by full weight and then by registration.
fn next_set(registry: &Registry, parameters: &ChainParameters, ended: &ValidatorSet) -> ValidatorSet {
    let records = registry.records().iter();
    let mut candidates: Vec<(&MasternodeId, &MasternodeRecord)> =
        records.filter(|(_, record)| record.is_eligible()).collect();
    candidates.sort_by_key(|(_, record)| (Reverse(record.weight), record.registration));
    let seats = usize::try_from(parameters.max_validators).unwrap_or(usize::MAX);

    let members: BTreeSet<&MasternodeId> = ended.members().iter().map(|member| &member.id).collect();
    // Whoever could not keep a seat by its full weight is not tried: it would only push others out.
    let mut tried: Vec<(&MasternodeId, &MasternodeRecord)> =
        candidates.iter().take(seats).filter(|(_, record)| record.on_trial).copied().collect();
    tried.sort_by_key(|(id, record)| {
        (!members.contains(id), record.left, Reverse(record.weight), record.registration)
    });
    let proven = candidates.iter().filter(|(_, record)| !record.on_trial);
    let (number, weight) = proven.fold((0_usize, 0_u64), |(number, weight), (_, record)| {
        (number.saturating_add(1), weight.saturating_add(record.effective_weight))
    });
    tried.truncate(trials(number, weight, parameters));
    let tried: BTreeSet<&MasternodeId> = tried.into_iter().map(|(id, _)| id).collect();

    candidates.retain(|(id, record)| !record.on_trial || tried.contains(id));
    candidates.truncate(seats);
    candidates.sort_by_key(|(_, record)| (Reverse(record.effective_weight), record.registration));
    let member = |(id, record): (&MasternodeId, &MasternodeRecord)| Validator {
        id: *id,
        key: record.operator_key,
        weight: record.effective_weight,
    };
    ValidatorSet::new(candidates.into_iter().map(member).collect())
}

fn note_departures(registry: &mut Registry, at: &EpochEnd<'_>, next: &ValidatorSet) {
    let ids = |set: &ValidatorSet| set.members().iter().map(|member| member.id).collect::<BTreeSet<_>>();
    let (ended, stay) = (ids(at.ended), ids(next));
    for (id, record) in registry.records_mut() {
        if stay.contains(id) {
            record.left = None;
            continue;
        }
        record.start_again();
        if ended.contains(id) {
            record.left = Some(at.end);
        }
    }
    for (_, record) in registry.records_mut().filter(|(_, record)| record.exited) {
        record.left.get_or_insert(at.end);
    }
}

/// Deletes the records whose collateral is free in the next epoch, which starts at the end of this one.
fn release(registry: &mut Registry, at: &EpochEnd<'_>) {
    let is_free = |record: &MasternodeRecord| {
        record.bound_through(at.parameters.unbonding_time_ms).is_some_and(|through| at.end > through)
    };
    let free = registry.records().iter().filter(|(_, record)| is_free(record));
    let free: Vec<MasternodeId> = free.map(|(id, _)| *id).collect();
    free.iter().for_each(|id| registry.remove(id));
}
