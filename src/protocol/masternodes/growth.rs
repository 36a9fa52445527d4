//! How weights grow into the set: the arithmetic, and who grows at an epoch's end.

use super::epoch_end::EpochEnd;
use super::registry::{MasternodeRecord, Registry};
use crate::types::{ChainParameters, MasternodeId};

/// The part of a whole that may change at an epoch's end: one of so many.
const STEP_DIVISOR: u64 = 10;

/// A tenth, and at least 1: what a set of this weight can bear to be wrong about.
pub(super) fn step(whole: u64) -> u64 {
    whole.checked_div(STEP_DIVISOR).unwrap_or(0).max(1)
}

/// Ends the trials of those who attended, and lets them grow, the older ones first, by one step of the set's weight in
/// all (INV-REG-5). Who has to leave does not grow any more.
pub(super) fn grow(registry: &mut Registry, at: &EpochEnd<'_>) {
    let parameters = at.parameters;
    let mut growing: Vec<(u64, MasternodeId)> = Vec::new();
    for member in at.ended.members() {
        let Some(attendance) = at.attendance.get(&member.id) else { continue };
        let wants = |record: &&MasternodeRecord| {
            record.is_eligible() && record.is_growing() && record.request_to_leave().is_none()
        };
        if let Some(record) = registry.get(&member.id).filter(wants)
            && attendance.has_attended(&parameters.max_missed, parameters.recent_commits, at.commits)
        {
            growing.push((record.registration, member.id));
        }
    }
    growing.sort_unstable();
    let mut room = step(at.ended.total_weight());
    for (_, id) in growing {
        if let Some(record) = registry.get_mut(&id) {
            record.on_trial = false;
            let growth = record.weight.saturating_sub(record.effective_weight).min(room);
            record.effective_weight = record.effective_weight.saturating_add(growth);
            room = room.saturating_sub(growth);
        }
    }
}

/// How many may be on trial in a set beside proven members of this number and weight (INV-REG-6).
pub(super) fn trials(proven: usize, weight: u64, parameters: &ChainParameters) -> usize {
    let seats = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let (min, max) = (seats(parameters.min_masternodes), seats(parameters.max_validators));
    // Free seats cost nobody anything. In a full set newcomers take at most a tenth of the seats.
    let free = max.saturating_sub(proven);
    let tenth = usize::try_from(step(u64::from(parameters.max_validators))).unwrap_or(usize::MAX);
    let seats = free.max(tenth.min(max.saturating_sub(min)));
    // Each weighs `ENTRY_WEIGHT`, 1.
    usize::try_from(step(weight)).unwrap_or(usize::MAX).min(seats)
}
