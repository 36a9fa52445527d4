//! What keeps a node from doing all that it could, in words for its operator.

use crate::app::context::AppContext;
use crate::consensus::events::Signing;
use crate::protocol::state::LedgerState;
use crate::rpc::types::{NodeState, NotReady};
use crate::types::ValidatorSet;

impl AppContext {
    /// Why the node does not do all that it could; the first one decides its state.
    pub(super) fn problems(&self, state: &LedgerState) -> Vec<(NodeState, NotReady)> {
        let mut problems = Vec::new();
        let mut add = |node_state: NodeState, reason: &str, detail: String| {
            problems.push((node_state, NotReady { reason: reason.to_owned(), detail }));
        };
        if let Some(failure) = self.registry.failure() {
            add(NodeState::Halted, "failed", failure.to_string());
        }
        if let Some(fork) = self.bft.fork() {
            let height = fork.ours.0.height;
            let detail = format!(
                "fork detected at height {height}: two committed blocks; nothing is signed any more until the operator \
                         decides by `timed votes acknowledge-fork`"
            );
            add(NodeState::Halted, "fork", detail);
        }
        if self.bft.signing() == Signing::KeyCopied {
            let detail =
                "another node signs with this masternode's operator key; stop one of the two and start again";
            add(NodeState::Halted, "key_copied", detail.to_owned());
        }
        let (inbound, outbound) = self.network.peer_counts();
        let alone = inbound.saturating_add(outbound) == 0;
        if alone && state.validators().len() > 1 {
            let node_state =
                if self.bft.identity().is_some() { NodeState::Waiting } else { NodeState::Starting };
            let detail = "no peer is connected; check [network] bootstrap_peers and that they run".to_owned();
            add(node_state, "no_peers", detail);
        }
        if self.bft.is_syncing() {
            let (height, target) = (state.height(), self.bft.sync_target());
            add(NodeState::Syncing, "syncing", format!("at block {height} of {target}"));
        }
        let progress = self.bft.progress();
        if progress.halted {
            let node_state =
                if self.seat(state).is_some() { NodeState::Waiting } else { NodeState::Following };
            let detail = waiting_words(state.validators(), progress.prevote_weight, progress.quorum);
            add(node_state, "halted", format!("no new block: {detail}"));
        }
        if let Some(key) = self.bft.identity() {
            let epoch = state.next_epoch();
            if self.seat(state).is_some() {
                if let Signing::Listening { acknowledged, quorum } = self.bft.signing() {
                    let detail = format!(
                        "asking whether another node uses this operator key before the first vote; members with \
                         {acknowledged} of the needed weight of {quorum} know of none"
                    );
                    add(NodeState::Waiting, "listening", detail);
                }
            } else if self.own_masternode(state).is_some() {
                let detail = format!("this masternode is not in the set of epoch {epoch}");
                add(NodeState::Following, "not_in_set", detail);
            } else {
                let detail = format!(
                    "the operator key {key} is no masternode's; `timed masternode register` makes it one"
                );
                add(NodeState::Following, "not_registered", detail);
            }
        }
        problems
    }
}

/// "2 of 3 needed masternodes are active", or the same by weight where masternodes weigh differently.
fn waiting_words(set: &ValidatorSet, active: u64, needed: u64) -> String {
    let equal = set.members().first().map_or(1, |member| member.weight);
    let counts = active.checked_div(equal).zip(
        needed.checked_add(equal).and_then(|sum| sum.checked_sub(1).and_then(|sum| sum.checked_div(equal))),
    );
    match counts {
        Some((active, needed)) if set.members().iter().all(|member| member.weight == equal) => {
            format!(
                "{active} of {needed} needed masternodes {} active",
                if active == 1 { "is" } else { "are" }
            )
        }
        _ => format!("masternodes with {active} of the needed weight of {needed} are active"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{MasternodeId, SecretKey, Validator};

    fn set(weights: &[u64]) -> ValidatorSet {
        let member = |(index, weight): (u8, &u64)| Validator {
            id: MasternodeId([index; 32]),
            key: SecretKey::from_seed(&[index; 32]).public(),
            weight: *weight,
        };
        ValidatorSet::new((0..).zip(weights).map(member).collect())
    }

    #[test]
    fn waiting_is_told_in_masternodes_where_that_is_true() {
        assert_eq!(waiting_words(&set(&[1; 4]), 2, 3), "2 of 3 needed masternodes are active");
        assert_eq!(waiting_words(&set(&[1; 4]), 1, 3), "1 of 3 needed masternodes is active");
        // Of weight 40 are 27 needed: three masternodes, as two have 20.
        assert_eq!(waiting_words(&set(&[10; 4]), 20, 27), "2 of 3 needed masternodes are active");
        let words = waiting_words(&set(&[1, 10]), 1, 8);
        assert_eq!(words, "masternodes with 1 of the needed weight of 8 are active");
        assert!(waiting_words(&set(&[]), 0, 1).contains("0 of"));
    }
}
