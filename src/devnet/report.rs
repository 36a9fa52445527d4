//! What became of the nodes of a devnet, and what that means for finality.
//!
//! # Place
//! [`Fleet`](super::Fleet) makes it; `timed devnet status` and the other verbs show it, as text and as JSON.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::rpc::types::{NodeState, ValidatorInfo, ValidatorsInfo};
use crate::types::{Height, PublicKey};

/// What a node of a devnet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It runs.
    Running,
    /// It runs without connections to others.
    Isolated,
    /// Its process is stopped where it stood.
    Paused,
    /// It was killed.
    Killed,
    /// It was stopped in good order, or was not started yet.
    Stopped,
    /// It ended by itself.
    Ended,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Isolated => "isolated",
            Self::Paused => "paused",
            Self::Killed => "killed",
            Self::Stopped => "stopped",
            Self::Ended => "ended",
        }
    }

    /// The verb that brings a node of this state back.
    const fn remedy(self) -> &'static str {
        match self {
            Self::Running => "status",
            Self::Isolated => "heal",
            Self::Paused => "resume",
            Self::Killed | Self::Stopped | Self::Ended => "restart",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// `node0` and so on.
    pub name: String,
    /// What it is.
    pub state: State,
    /// Height of its last block; absent where it does not answer.
    pub height: Option<Height>,
    /// Its connections; absent where it does not answer.
    pub peers: Option<usize>,
    /// What it is doing, as `getnodestatus` says it; absent where it does not answer.
    pub doing: Option<NodeState>,
    /// Where its RPC is.
    pub rpc: String,
    /// Its data directory.
    pub data: PathBuf,
    /// Where its log is.
    pub log: PathBuf,
    /// The key that it votes with.
    pub operator_key: Option<PublicKey>,
}

/// Whether payments become final as things stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// Whether they do.
    pub finality_goes_on: bool,
    /// The weight of the set's masternodes that run and hear each other.
    pub weight_up: u64,
    /// The weight of those that vote already: after a start each asks the others first.
    pub weight_voting: u64,
    /// The weight that decides.
    pub weight_needed: u64,
    /// The weight of the whole set.
    pub weight_total: u64,
    /// The same in words.
    pub text: String,
    /// What brings a node back that is missed, as `restart node2`; absent while none is.
    pub remedy: Option<String>,
}

impl Outlook {
    /// The words and the next step, for a devnet in a directory that a command names by `--dir` unless it is the usual one.
    #[must_use]
    pub fn line(&self, directory: Option<&Path>) -> String {
        let Some(remedy) = &self.remedy else { return self.text.clone() };
        let place = directory.map(|path| format!(" --dir {}", path.display())).unwrap_or_default();
        format!("{} `timed devnet {remedy}{place}` brings one back.", self.text)
    }
}

/// What was done to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Which one.
    pub node: String,
    /// What was done, or why there was nothing to do.
    pub text: String,
    /// False where it was so already.
    pub changed: bool,
}

/// The whole devnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What was done just now.
    pub done: Vec<Done>,
    /// Its nodes in order.
    pub nodes: Vec<NodeReport>,
    /// What that means.
    pub outlook: Outlook,
}

impl Outlook {
    /// Counts the set's masternodes that run among these nodes, and those that vote already. Those that are none of these
    /// nodes are taken to vote.
    pub(super) fn of(set: &ValidatorsInfo, nodes: &[NodeReport]) -> Self {
        let node_of = |key: &PublicKey| nodes.iter().find(|node| node.operator_key.as_ref() == Some(key));
        let weight = |members: &[&ValidatorInfo]| {
            members.iter().map(|member| member.weight).fold(0, u64::saturating_add)
        };
        let (up, down): (Vec<_>, Vec<_>) = set.validators.iter().partition(|member| {
            node_of(&member.operator_key).is_none_or(|node| node.state == State::Running)
        });
        let votes = |member: &&ValidatorInfo| {
            node_of(&member.operator_key).is_none_or(|node| node.doing == Some(NodeState::Voting))
        };
        let voting: Vec<&ValidatorInfo> = up.iter().copied().filter(votes).collect();
        let (total, needed) = (set.validators.len(), set.quorum);
        let weights: BTreeSet<u64> = set.validators.iter().map(|member| member.weight).collect();
        // With equal weights heads are counted, as people do.
        let each = weights.first().copied().filter(|_| weights.len() == 1);
        let heads = each.and_then(|each| needed.checked_add(each.checked_sub(1)?)?.checked_div(each));
        let (counted, needs) = match heads {
            Some(heads) => (format!("{} of {total}", up.len()), format!("{heads} are needed")),
            None => {
                (format!("weight {} of {}", weight(&up), set.total_weight), format!("{needed} is needed"))
            }
        };
        let (weight_up, weight_voting) = (weight(&up), weight(&voting));
        let mut text = if weight_voting >= needed {
            format!("Finality goes on with {counted}: {needs}.")
        } else if weight_up >= needed {
            format!(
                "Finality goes on once enough vote: {counted} run, {} vote already, {needs}.",
                voting.len()
            )
        } else {
            format!("Finality stands still: {} of {total} are down, {counted} run, {needs}.", down.len())
        };
        let outside = |node: &&NodeReport| {
            set.validators.iter().all(|member| Some(member.operator_key) != node.operator_key)
        };
        let outside: Vec<&str> = nodes.iter().filter(outside).map(|node| node.name.as_str()).collect();
        if !outside.is_empty() {
            let names = outside.join(", ");
            text.push_str(&format!(
                " Not in the set at present: {names} (`timed masternode list` says why)."
            ));
        }
        let strangers =
            set.validators.iter().filter(|member| node_of(&member.operator_key).is_none()).count();
        if strangers > 0 {
            text.push_str(&format!(" Of the set {strangers} run elsewhere, and are taken to vote."));
        }
        let lost = down.iter().find_map(|member| node_of(&member.operator_key));
        let remedy = lost.filter(|_| weight_up < needed);
        Self {
            finality_goes_on: weight_voting >= needed,
            weight_up,
            weight_voting,
            weight_needed: needed,
            weight_total: set.total_weight,
            text,
            remedy: remedy.map(|node| format!("{} {}", node.state.remedy(), node.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::types::ValidatorInfo;
    use crate::types::{MasternodeId, SecretKey};

    fn key(index: u8) -> PublicKey {
        SecretKey::from_seed(&[index; 32]).public()
    }

    fn set(weights: &[u64]) -> ValidatorsInfo {
        let total: u64 = weights.iter().sum();
        let member = |(index, weight): (usize, &u64)| ValidatorInfo {
            index,
            id: MasternodeId([index as u8; 32]),
            operator_key: key(index as u8),
            weight: *weight,
        };
        let validators = weights.iter().enumerate().map(member).collect();
        ValidatorsInfo { epoch: 0, total_weight: total, quorum: total * 2 / 3 + 1, validators }
    }

    fn nodes(states: &[State]) -> Vec<NodeReport> {
        let node = |(index, state): (usize, &State)| NodeReport {
            name: format!("node{index}"),
            state: *state,
            height: None,
            peers: None,
            doing: (*state == State::Running).then_some(NodeState::Voting),
            rpc: String::new(),
            data: PathBuf::new(),
            log: PathBuf::new(),
            operator_key: Some(key(index as u8)),
        };
        states.iter().enumerate().map(node).collect()
    }

    #[test]
    fn finality_goes_on_as_long_as_a_quorum_runs_and_hears_each_other() {
        use State::{Ended, Isolated, Killed, Paused, Running, Stopped};
        for (states, goes_on, said) in [
            ([Running; 4], true, "Finality goes on with 4 of 4: 3 are needed."),
            ([Running, Running, Isolated, Running], true, "with 3 of 4"),
            ([Killed, Running, Isolated, Running], false, "2 of 4 are down, 2 of 4 run, 3 are needed."),
            ([Killed, Running, Isolated, Running], false, "`timed devnet restart node0 --dir d`"),
            ([Running, Paused, Paused, Running], false, "`timed devnet resume node1 --dir d`"),
            ([Running, Running, Isolated, Isolated], false, "`timed devnet heal node2 --dir d`"),
            ([Ended, Stopped, Running, Running], false, "`timed devnet restart node0 --dir d`"),
        ] {
            let outlook = Outlook::of(&set(&[10; 4]), &nodes(&states));
            assert_eq!(outlook.finality_goes_on, goes_on, "{states:?}");
            let line = outlook.line(Some(Path::new("d")));
            assert!(line.contains(said), "{line}");
        }
    }

    #[test]
    fn nodes_that_run_and_do_not_vote_yet_make_nothing_final() {
        let mut nodes = nodes(&[State::Running; 4]);
        nodes[0].doing = Some(NodeState::Waiting);
        assert!(Outlook::of(&set(&[10; 4]), &nodes).finality_goes_on);
        nodes[1].doing = None;
        let outlook = Outlook::of(&set(&[10; 4]), &nodes);
        assert!(!outlook.finality_goes_on && outlook.remedy.is_none(), "{outlook:?}");
        assert!(outlook.text.contains("4 of 4 run, 2 vote already, 3 are needed"), "{outlook:?}");
    }

    #[test]
    fn weights_decide_and_the_rest_of_the_set_is_told_of() {
        use State::{Killed, Running};
        let heavy = Outlook::of(&set(&[10, 10, 10, 100]), &nodes(&[Running, Running, Running, Killed]));
        assert!(!heavy.finality_goes_on, "{heavy:?}");
        assert!(heavy.text.contains("weight 30 of 130 run, 87 is needed"), "{heavy:?}");
        let strangers = Outlook::of(&set(&[10; 5]), &nodes(&[Running, Running, Killed, Running]));
        assert!(strangers.finality_goes_on && strangers.text.contains("1 run elsewhere"), "{strangers:?}");
        let jailed = Outlook::of(&set(&[10; 3]), &nodes(&[Running; 4]));
        assert!(jailed.text.contains("Not in the set at present: node3"), "{jailed:?}");
    }
}
