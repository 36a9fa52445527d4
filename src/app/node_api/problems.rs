//! What keeps a node from doing all that it could, in words for its operator.

use std::path::Path;
use std::time::Duration;

use crate::app::context::AppContext;
use crate::app::places::journal_path;
use crate::consensus::blocks::waiting_words;
use crate::consensus::events::Signing;
use crate::network::OtherChain;
use crate::protocol::state::LedgerState;
use crate::rpc::types::{NodeState, NotReady};
use crate::runtime::time_text::time_words;
use crate::types::{ChainId, Epoch, Network, TimeMs};

/// A peer that was on another chain is spoken of for so long after it was met: addresses that don't answer well are
/// dialled once a minute at least.
const OTHER_CHAIN_RECENT: Duration = Duration::from_secs(180);

impl AppContext {
    /// The same in words alone.
    pub(super) fn reasons(&self, state: &LedgerState) -> Vec<String> {
        self.problems(state).into_iter().map(|(_, problem)| problem.detail).collect()
    }

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
        let progress = self.bft.progress();
        let others =
            other_chain_words(self.config.node.network, *state.chain_id(), &self.network.other_chains());
        // Peers of other chains are of no interest to a node that gets on with its own.
        if let Some(detail) = others.clone().filter(|_| alone || progress.halted) {
            let node_state =
                if self.bft.identity().is_some() { NodeState::Waiting } else { NodeState::Starting };
            add(node_state, "other_chain", detail);
        }
        if alone && state.validators().len() > 1 && others.is_none() {
            let node_state =
                if self.bft.identity().is_some() { NodeState::Waiting } else { NodeState::Starting };
            let detail = "no peer is connected; check [network] bootstrap_peers and that they run".to_owned();
            add(node_state, "no_peers", detail);
        }
        if !alone && !self.bft.has_heard_peers() {
            let detail = "peers have not shown yet at which block they are";
            add(NodeState::Syncing, "syncing", detail.to_owned());
        }
        if self.bft.is_syncing() {
            let (height, target) = (state.height(), self.bft.sync_target());
            add(NodeState::Syncing, "syncing", format!("at block {height} of {target}"));
        }
        if let Some(named) = self.config.sync.checkpoint.filter(|named| state.height() < named.height) {
            let detail = format!(
                "at block {}, below the one of [sync] checkpoint, {}: nothing is signed before that",
                state.height(),
                named.height
            );
            add(NodeState::Syncing, "checkpoint", detail);
        }
        if progress.halted {
            let node_state =
                if self.seat(state).is_some() { NodeState::Waiting } else { NodeState::Following };
            let detail = waiting_words(state.validators(), progress.prevote_weight, progress.quorum);
            add(node_state, "halted", format!("no new block: {detail}"));
        }
        if let Some(key) = self.bft.identity() {
            let epoch = state.next_epoch();
            if self.seat(state).is_some() {
                if self.signs_after_ms > 0 && state.epoch_start() <= self.signs_after_ms {
                    let ends_ms = (state.height() > 0)
                        .then(|| state.epoch_start().saturating_add(state.parameters().epoch_duration_ms));
                    let journal = journal_path(&self.config.node.data_dir);
                    let times = (self.signs_after_ms, ends_ms, self.clock.now_ms());
                    let epochs = (epoch, state.parameters().epoch_duration_ms);
                    add(NodeState::Waiting, "young_journal", young_journal_words(&journal, epochs, times));
                }
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

/// What to do about peers of another chain: those that this node dialled, else those that dialled it.
fn other_chain_words(network: Network, ours: ChainId, others: &[OtherChain]) -> Option<String> {
    let recent = || others.iter().filter(|other| other.ago <= OTHER_CHAIN_RECENT);
    let other = recent().find(|other| other.dialled).or_else(|| recent().next())?;
    let advice = match network {
        Network::Devnet => {
            "a devnet that was made anew is a new chain: to join it, remove the data directory and start again; else check \
             [node] genesis and [network] bootstrap_peers"
        }
        Network::Mainnet | Network::Testnet => {
            "check [node] network and genesis, and that [network] bootstrap_peers are of this network"
        }
    };
    let (address, theirs) = (other.address.escape_debug(), other.chain_id);
    Some(format!("this node is on chain {ours}, the peer {address} on chain {theirs}: {advice}"))
}

/// From when on a key signs whose journal was made while it may have voted elsewhere. The times are: after which an
/// epoch has to start, when this one ends if it has begun, and now.
fn young_journal_words(
    journal: &Path,
    (epoch, duration_ms): (Epoch, u64),
    (after_ms, ends_ms, now_ms): (TimeMs, Option<TimeMs>, TimeMs),
) -> String {
    let after = time_words(after_ms, now_ms);
    match ends_ms {
        Some(ends_ms) => {
            let skipped = after_ms.saturating_add(1).saturating_sub(ends_ms).div_ceil(duration_ms.max(1));
            let first = epoch.saturating_add(1).saturating_add(skipped);
            format!(
                "the vote journal is younger than epoch {epoch}, in which this key may have signed elsewhere: it signs in \
                 epochs that start after {after}, from epoch {first} on; epoch {epoch} ends at about {}",
                time_words(ends_ms, now_ms)
            )
        }
        None => format!(
            "there is no block yet, and this key signs only in epochs that start after {after}: if the network is new and \
             the key has never signed on it, stop the node, remove {} and make it by `timed votes new --force`, else the \
             network may wait for it for ever",
            journal.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_of_another_chain_is_named_with_what_to_do() {
        let (ours, theirs) = (ChainId([1; 32]), ChainId([2; 32]));
        let other = |address: &str, dialled, seconds| OtherChain {
            address: address.to_owned(),
            dialled,
            chain_id: theirs,
            ago: Duration::from_secs(seconds),
        };
        let words = |others: &[OtherChain]| other_chain_words(Network::Devnet, ours, others);
        assert_eq!(words(&[]), None);
        assert_eq!(words(&[other("127.0.0.1:24200", true, 181)]), None, "long ago");
        let told = words(&[other("192.0.2.1", false, 1), other("127.0.0.1:24200", true, 70)]).unwrap();
        for part in [&ours.to_string(), &theirs.to_string(), "127.0.0.1:24200", "remove the data directory"] {
            assert!(told.contains(part), "{told}");
        }
        assert!(words(&[other("192.0.2.1", false, 1)]).unwrap().contains("192.0.2.1"));
        let testnet = other_chain_words(Network::Testnet, ours, &[other("a:1", true, 0)]).unwrap();
        assert!(testnet.contains("[node] network and genesis") && !testnet.contains("remove"), "{testnet}");
    }

    #[test]
    fn a_key_that_may_not_sign_yet_says_from_when_on() {
        let told =
            young_journal_words(Path::new("data/votes"), (7, 60_000), (610_000, Some(660_000), 600_000));
        assert!(
            told.contains("epochs that start after 1970-01-01 00:10:10 UTC (in 10 s), from epoch 8 on"),
            "{told}"
        );
        assert!(told.contains("epoch 7 ends at about 1970-01-01 00:11:00 UTC (in 1 min 0 s)"), "{told}");
        // The next epoch begins just then, which is not after it.
        let late =
            young_journal_words(Path::new("data/votes"), (7, 60_000), (660_000, Some(660_000), 600_000));
        assert!(late.contains("from epoch 9 on"), "{late}");
        let new = young_journal_words(Path::new("data/votes"), (0, 60_000), (610_000, None, 600_000));
        assert!(new.contains("votes new --force") && new.contains("remove data/votes"), "{new}");
    }
}
