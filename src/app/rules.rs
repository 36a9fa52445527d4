//! Tells the operator in the log of rules that this program does not know.

use crate::protocol::state::LedgerState;
use crate::rpc::types::RulesInfo;
use crate::types::RuleVersion;

/// Warns of what is to come, at each start and once in each epoch until then.
pub(super) fn tell_of_rules(state: &LedgerState) {
    if let Some(warning) = RulesInfo::of(state, RuleVersion::NEWEST).warning() {
        tracing::warn!(epoch = state.next_epoch(), "This program is outdated: {warning}");
    }
}
