//! A second reading of the rules about masternodes: who may be jailed, who leaves, who is in the next set, what is bound.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use timed::consensus::events::AppliedBlock;
use timed::protocol::masternodes::{Jail, MasternodeRecord};
use timed::protocol::state::LedgerState;
use timed::types::{MasternodeId, ValidatorSet};

/// How often masternodes changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes {
    pub exited: u64,
    pub jailed: u64,
    pub unjailed: u64,
    pub handed_over: u64,
    /// Payloads without effect.
    pub void: u64,
}

pub struct Membership {
    /// After the last block.
    pub state: Arc<LedgerState>,
    /// Of each member of the set, whether it signed each of the last commits since it is in it.
    signed: BTreeMap<MasternodeId, VecDeque<bool>>,
    pub changes: Changes,
}

fn weight_of(set: &ValidatorSet) -> u64 {
    set.members().iter().map(|member| member.weight).sum()
}

impl Membership {
    pub fn new(state: &LedgerState) -> Self {
        Self { state: Arc::new(state.clone()), signed: BTreeMap::new(), changes: Changes::default() }
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

    fn end_epoch(&mut self, before: &LedgerState) {
        let (state, ended) = (Arc::clone(&self.state), before.validators());
        let parameters = before.parameters();
        let mut jailed_weight = 0;
        for (id, record) in state.masternodes() {
            let was_jailed = before.registry().get(id).is_some_and(|old| old.jail.is_some());
            let is_absent = matches!(record.jail, Some(Jail::Absence { .. }));
            if !is_absent || was_jailed {
                continue;
            }
            let place = ended.index_of(id).expect("who is jailed for absence was in the set");
            jailed_weight += ended.members()[place].weight;
            self.changes.jailed += 1;
            let commits = self.signed.get(id).expect("it was in the set");
            let missed = commits.iter().filter(|signed| !**signed).count() as u64;
            let (limit, count) = (&parameters.max_missed, commits.len() as u64);
            assert!(
                count == u64::from(parameters.recent_commits)
                    && missed * limit.denominator > count * limit.numerator,
                "jailed for {missed} of {count} commits missed"
            );
        }
        let cap = &parameters.jail_cap;
        assert!(
            jailed_weight * cap.denominator <= weight_of(ended) * cap.numerator,
            "an epoch's end jails {jailed_weight} of {}",
            weight_of(ended)
        );
        let min = parameters.min_masternodes as usize;
        let mut eligible: Vec<(&MasternodeId, &MasternodeRecord)> = state
            .masternodes()
            .iter()
            .filter(|(_, record)| record.jail.is_none() && !record.exited)
            .collect();
        assert!(eligible.len() >= min, "the set is too small");
        let mut unwanted =
            eligible.iter().filter(|(_, record)| record.exit_requested.is_some() || record.slashed.is_some());
        assert!(eligible.len() == min || unwanted.next().is_none(), "who has to leave stays");
        eligible.sort_by_key(|(_, record)| (Reverse(record.weight), record.registration));
        eligible.truncate(parameters.max_validators as usize);
        let set = state.validators();
        let expected = eligible.iter().map(|(id, record)| (**id, record.operator_key, record.weight));
        let actual = set.members().iter().map(|member| (member.id, member.key, member.weight));
        assert!(expected.eq(actual), "another set than the records say");
        self.signed.retain(|id, _| set.index_of(id).is_some());
    }
}
