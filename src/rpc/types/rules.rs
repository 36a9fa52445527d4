//! Versions of the rules.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::state::LedgerState;
use crate::types::{Epoch, RuleVersion};

/// Which rules the chain keeps to, what is to come, and what this program knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RulesInfo {
    /// The version that the next block keeps to.
    pub in_force: RuleVersion,
    /// The first epoch that followed it.
    pub since_epoch: Epoch,
    /// The newest version that this node's program knows. It stops where a later one comes into force.
    pub known: RuleVersion,
    /// The version that is to come into force, if there is one.
    pub pending: Option<PendingRulesInfo>,
    /// What members of the set announced beyond what is in force, the lowest version first.
    pub announced: Vec<AnnouncedRulesInfo>,
    /// The weight that a version needs.
    pub quorum: u64,
}

/// A version that is to come into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingRulesInfo {
    /// Which one.
    pub version: RuleVersion,
    /// The first epoch that may follow it: it waits while the epoch's set lacks a quorum that knows it.
    pub epoch: Epoch,
}

/// A version that members of the set announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnnouncedRulesInfo {
    /// Which one.
    pub version: RuleVersion,
    /// The weight of the members whose programs know it, or a later one.
    pub weight: u64,
}

impl RulesInfo {
    /// Describes a state for a program that knows rules up to `known`.
    #[must_use]
    pub fn of(state: &LedgerState, known: RuleVersion) -> Self {
        let (rules, set) = (state.rules(), state.validators());
        let mut versions: Vec<RuleVersion> = rules.announced().values().copied().collect();
        versions.sort_unstable();
        versions.dedup();
        let announced = versions
            .into_iter()
            .map(|version| AnnouncedRulesInfo { version, weight: rules.weight_of(set, version) });
        Self {
            in_force: rules.in_force(),
            since_epoch: rules.since(),
            known,
            pending: rules
                .pending()
                .map(|pending| PendingRulesInfo { version: pending.version, epoch: pending.epoch }),
            announced: announced.collect(),
            quorum: set.quorum(),
        }
    }

    /// What the operator has to do before rules come into force that the program does not know.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let PendingRulesInfo { version, epoch } =
            self.pending.as_ref().filter(|next| next.version > self.known)?;
        Some(format!(
            "rules {version} come into force with epoch {epoch}, and this program knows rules up to {}: the node stops \
             there; install a timed that knows rules {version} before, and restart",
            self.known
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::networks::devnet_genesis;

    fn info(known: u32, pending: Option<u32>) -> RulesInfo {
        let (state, _) = LedgerState::genesis(&devnet_genesis(4)).unwrap();
        let of = RulesInfo::of(&state, RuleVersion(known));
        let pending = pending.map(|version| PendingRulesInfo { version: RuleVersion(version), epoch: 9 });
        assert_eq!((of.in_force, of.pending.as_ref(), of.announced.len()), (RuleVersion::FIRST, None, 0));
        RulesInfo { pending, ..of }
    }

    #[test]
    fn who_knows_what_is_pending_is_not_warned() {
        assert_eq!((info(1, None).warning(), info(2, Some(2)).warning()), (None, None));
        let warning = info(1, Some(2)).warning().unwrap();
        assert!(warning.contains("rules 2 come into force with epoch 9"), "{warning}");
    }
}
