//! A second reading of the rules about masternodes: who may be jailed, who leaves, who is in the next set, what is bound.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use timed::consensus::events::AppliedBlock;
use timed::protocol::masternodes::{Jail, MasternodeRecord};
use timed::protocol::state::LedgerState;
use timed::types::{MasternodeId, PublicKey, ValidatorSet};

/// How often masternodes changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes {
    pub exited: u64,
    pub jailed: u64,
    pub unjailed: u64,
    pub handed_over: u64,
    /// Members that an epoch's end gave more weight.
    pub grown: u64,
    /// Of the jailed: those that had not attended a full window yet.
    pub failed_trials: u64,
    /// Epochs in which masternodes waited for a trial.
    pub waited: u64,
    /// Payloads without effect.
    pub void: u64,
}

pub struct Membership {
    /// After the last block.
    pub state: Arc<LedgerState>,
    /// Of each member of the set, whether it signed each of the last commits since it is in it.
    signed: BTreeMap<MasternodeId, VecDeque<bool>>,
    /// How many of these are of the current epoch's own blocks.
    own_commits: usize,
    /// What each member weighs, and whether it has proved that it signs.
    standing: BTreeMap<MasternodeId, Standing>,
    pub changes: Changes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    weight: u64,
    proven: bool,
}

fn step(weight: u64) -> u64 {
    (weight / 10).max(1)
}

fn weight_of(set: &ValidatorSet) -> u64 {
    set.members().iter().map(|member| member.weight).sum()
}

impl Membership {
    pub fn new(state: &LedgerState) -> Self {
        let members = state.masternodes().iter();
        let full = |record: &MasternodeRecord| Standing { weight: record.weight, proven: true };
        Self {
            state: Arc::new(state.clone()),
            signed: BTreeMap::new(),
            own_commits: 0,
            standing: members.map(|(id, record)| (*id, full(record))).collect(),
            changes: Changes::default(),
        }
    }

    /// The next block, once.
    pub fn applied(&mut self, applied: &AppliedBlock) {
        let before = std::mem::replace(&mut self.state, Arc::clone(&applied.state));
        for (outpoint, _) in &applied.spent {
            assert!(!before.is_bound(outpoint), "a bound collateral is spent");
        }
        self.note_commit(&before, applied);
        self.changes.void += applied.receipts.iter().filter(|receipt| receipt.effect.is_err()).count() as u64;
        for (id, record) in self.state.masternodes() {
            let Some(old) = before.registry().get(id) else { continue };
            let was_absent = matches!(old.jail, Some(Jail::Absence { .. }));
            self.changes.unjailed += u64::from(was_absent && record.jail.is_none());
            self.changes.handed_over += u64::from(old.operator_key != record.operator_key);
            self.changes.exited += u64::from(!old.exited && record.exited && old.exit_requested.is_some());
        }
        if applied.committed.block.header.epoch_end {
            self.end_epoch(&before);
        } else {
            assert_eq!(self.state.validators(), before.validators(), "the set changed within an epoch");
        }
    }

    /// Who signed the commit of the block before, of those who are still in the set.
    fn note_commit(&mut self, before: &LedgerState, applied: &AppliedBlock) {
        if before.height() == 0 {
            return;
        }
        self.own_commits += usize::from(before.tip_validators().epoch == before.next_epoch());
        let signers = &applied.committed.block.last_commit.signers;
        let window = before.parameters().recent_commits as usize;
        for (place, member) in before.tip_validators().set.members().iter().enumerate() {
            if before.validators().index_of(&member.id).is_some() {
                let signed = self.signed.entry(member.id).or_default();
                signed.push_back(signers.contains(place));
                if signed.len() > window {
                    signed.pop_front();
                }
            }
        }
    }

    /// Whether a member missed too much of the newest commits.
    fn misses(&self, id: &MasternodeId, newest: usize) -> bool {
        let Some(commits) = self.signed.get(id) else { return false };
        let limit = &self.state.parameters().max_missed;
        let judged: Vec<bool> = commits.iter().rev().take(newest).copied().collect();
        let missed = judged.iter().filter(|signed| !**signed).count() as u64;
        missed * limit.denominator > judged.len() as u64 * limit.numerator
    }

    /// Those of the ended set who attended, the older ones first, share one step.
    fn grow(&mut self, ended: &ValidatorSet) {
        let (state, window) = (Arc::clone(&self.state), self.state.parameters().recent_commits as usize);
        let records =
            ended.members().iter().filter_map(|member| Some((state.registry().get(&member.id)?, member.id)));
        let mut records: Vec<(&MasternodeRecord, MasternodeId)> = records.collect();
        records.sort_by_key(|(record, _)| record.registration);
        let mut room = step(weight_of(ended));
        for (record, id) in records {
            let standing = self.standing[&id];
            let is_full = self.signed.get(&id).is_some_and(|commits| commits.len() == window);
            let is_there = is_full && !self.misses(&id, window) && !self.misses(&id, self.own_commits);
            let wants_out = record.exit_requested.is_some() || record.slashed.is_some();
            if is_there && !wants_out {
                let growth = room.min(record.weight - standing.weight);
                room -= growth;
                self.changes.grown += u64::from(growth > 0);
                self.standing.insert(id, Standing { weight: standing.weight + growth, proven: true });
            }
        }
    }

    fn end_epoch(&mut self, before: &LedgerState) {
        let (state, ended) = (Arc::clone(&self.state), before.validators());
        self.grow(ended);
        self.hold_jailed(before);
        let expected = self.next_set(before);
        let set = state.validators();
        let actual = set.members().iter().map(|member| (member.id, member.key, member.weight));
        assert!(expected.into_iter().eq(actual), "another set than the records say");
        let proven = |standing: &&Standing| standing.proven;
        self.standing.retain(|id, _| set.index_of(id).is_some());
        let kept: u64 = self.standing.values().filter(proven).map(|standing| standing.weight).sum();
        assert!(3 * kept > 2 * weight_of(set), "newcomers that never come up can stop the chain");
        assert!(
            self.standing.values().filter(proven).count() >= before.parameters().min_masternodes as usize
        );
        for (id, record) in state.masternodes() {
            let told = Standing { weight: record.effective_weight, proven: !record.on_trial };
            let known = self.standing.get(id).copied().unwrap_or(Standing { weight: 1, proven: false });
            assert_eq!(told, known, "what the record says of {}", id.short());
        }
        self.signed.retain(|id, _| set.index_of(id).is_some());
        self.own_commits = 0;
    }

    /// Who is jailed for absence was absent, and no more of them than the cap allows; who is growing is jailed beyond
    /// it.
    fn hold_jailed(&mut self, before: &LedgerState) {
        let (state, ended) = (Arc::clone(&self.state), before.validators());
        let parameters = before.parameters();
        let (window, min) = (parameters.recent_commits as usize, parameters.min_masternodes as usize);
        let mut jailed_weight = 0;
        let is_proven = |id: &MasternodeId| self.standing.get(id).is_some_and(|standing| standing.proven);
        let stays = |(id, record): &(&MasternodeId, &MasternodeRecord)| record.is_eligible() && is_proven(id);
        let proven = state.masternodes().iter().filter(stays).count();
        assert!(proven >= min, "too few proven members stay");
        for (id, record) in state.masternodes() {
            let was_jailed = before.registry().get(id).is_some_and(|old| old.jail.is_some());
            let is_absent = matches!(record.jail, Some(Jail::Absence { .. }));
            let missed =
                self.signed.get(id).is_some_and(|commits| commits.len() == window) && self.misses(id, window);
            let Some(place) = ended.index_of(id) else {
                assert!(!is_absent || was_jailed, "who is jailed for absence was in the set");
                continue;
            };
            let standing = self.standing[id];
            let is_growing = !standing.proven || standing.weight < record.weight;
            if is_absent && !was_jailed {
                assert!(missed, "jailed although it was there");
                self.changes.jailed += 1;
                self.changes.failed_trials += u64::from(!standing.proven);
                if !is_growing {
                    jailed_weight += ended.members()[place].weight;
                }
            }
            let is_kept = standing.proven && proven == min;
            assert!(
                !(missed && is_growing && record.is_eligible()) || is_kept,
                "growing, absent, and not jailed"
            );
            let has_to_leave = record.exit_requested.is_some() || record.slashed.is_some();
            assert!(!(has_to_leave && record.is_eligible()) || is_kept, "who has to leave stays");
        }
        let cap = &parameters.jail_cap;
        assert!(
            jailed_weight * cap.denominator <= weight_of(ended) * cap.numerator,
            "an epoch's end jails {jailed_weight} of {}",
            weight_of(ended)
        );
    }

    /// The proven ones, and as many others as a tenth of their weight. Seats are never scarce here.
    fn next_set(&mut self, before: &LedgerState) -> Vec<(MasternodeId, PublicKey, u64)> {
        let (state, ended) = (Arc::clone(&self.state), before.validators());
        let eligible = state.masternodes().iter().filter(|(_, record)| record.is_eligible());
        let eligible: Vec<(&MasternodeId, &MasternodeRecord)> = eligible.collect();
        assert!(eligible.len() <= before.parameters().max_validators as usize);
        let ids: BTreeSet<MasternodeId> = eligible.iter().map(|(id, _)| **id).collect();
        self.standing.retain(|id, _| ids.contains(id));
        let proven = self.standing.values().filter(|standing| standing.proven);
        let limit = step(proven.map(|standing| standing.weight).sum()) as usize;
        let is_proven = |id: &MasternodeId| self.standing.get(id).is_some_and(|standing| standing.proven);
        let mut others: Vec<&(&MasternodeId, &MasternodeRecord)> =
            eligible.iter().filter(|(id, _)| !is_proven(id)).collect();
        others.sort_by_key(|(id, record)| {
            let left = before.registry().get(id).and_then(|old| old.left);
            (ended.index_of(id).is_none(), left, Reverse(record.weight), record.registration)
        });
        self.changes.waited += u64::from(others.len() > limit);
        let (tried, waiting): (Vec<_>, Vec<_>) =
            others.into_iter().enumerate().partition(|(place, _)| *place < limit);
        for (_, (id, _)) in tried {
            self.standing.insert(**id, Standing { weight: 1, proven: false });
        }
        for (_, (id, _)) in waiting {
            self.standing.remove(id);
        }
        let mut set: Vec<(Standing, &MasternodeId, &MasternodeRecord)> = eligible
            .iter()
            .filter_map(|(id, record)| Some((*self.standing.get(id)?, *id, *record)))
            .collect();
        set.sort_by_key(|(standing, _, record)| (Reverse(standing.weight), record.registration));
        set.iter().map(|(standing, id, record)| (**id, record.operator_key, standing.weight)).collect()
    }
}
