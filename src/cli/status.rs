//! `timed status`: what a node is doing, at a glance.

use clap::Args as ClapArgs;
use serde::{Deserialize, Serialize};

use super::rpc_client::{ConnectionArgs, RpcCommandError, say, say_json};
use crate::rpc::types::{BlockchainInfo, ConsensusInfo, NodeState, NodeStatus};
use crate::runtime::time_text::duration_words;

/// Arguments of `timed status`.
#[derive(ClapArgs, Clone, Debug)]
pub struct Args {
    /// Which node
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `--json` prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusReport {
    /// The node.
    pub node: NodeStatus,
    /// The chain.
    pub chain: BlockchainInfo,
    /// The consensus.
    pub consensus: ConsensusInfo,
}

/// What a state means, in words.
pub(super) const fn state_words(state: NodeState) -> &'static str {
    match state {
        NodeState::Starting => "starting",
        NodeState::Syncing => "syncing",
        NodeState::Following => "following the chain, without a vote",
        NodeState::Voting => "voting",
        NodeState::Waiting => "waiting for other masternodes",
        NodeState::Halted => "HALTED: it votes no more until its operator decides",
    }
}

/// The lines for people.
#[must_use]
pub fn summary(report: &StatusReport) -> Vec<String> {
    let StatusReport { node, chain, consensus } = report;
    let name =
        if node.name.is_empty() { String::new() } else { format!(" \"{}\"", node.name.escape_debug()) };
    let mut lines = vec![
        format!("Node{name}, timed {}, {}, up {}", node.version, node.network, duration_words(node.uptime_s)),
        format!("  State        {}", state_words(node.state)),
    ];
    lines.extend(node.reasons.iter().map(|reason| format!("               {reason}")));
    let behind = node.target_height.saturating_sub(node.height);
    let behind = if behind == 0 { String::new() } else { format!(", {behind} behind its peers") };
    lines.push(format!("  Block        {} {}{behind}", chain.blocks, chain.best_block_hash));
    lines.push(format!(
        "  Consensus    epoch {}, height {}, round {}, {}{}",
        consensus.epoch,
        consensus.height,
        consensus.round,
        consensus.step,
        if consensus.closing { ", closing its epoch" } else { "" }
    ));
    lines.push(format!(
        "  Masternodes  {} of {} connected, quorum {} of weight {}",
        node.masternodes_connected, node.masternodes_total, consensus.quorum, consensus.total_weight
    ));
    lines.push(format!("  Peers        {}", node.peers));
    lines.push(format!(
        "  Mempool      {} transactions, {} certified wait for a block",
        node.mempool_transactions, consensus.certified_waiting
    ));
    lines.push(format!("  Supply       {} TIME", chain.supply_time));
    // What keeps the node from its work is a warning of the chain as well, and was told above.
    let warnings = chain.warnings.iter().filter(|warning| !node.reasons.contains(warning));
    lines.extend(warnings.map(|warning| format!("  Warning      {warning}")));
    lines
}

/// Asks the node and prints.
///
/// # Errors
/// When the node can't be reached or refuses.
pub async fn run(args: Args) -> Result<(), RpcCommandError> {
    let client = args.connection.client()?;
    let report = StatusReport {
        node: client.call("getnodestatus", &[]).await?,
        chain: client.call("getblockchaininfo", &[]).await?,
        consensus: client.call("getconsensusinfo", &[]).await?,
    };
    if args.json {
        return say_json(&report);
    }
    summary(&report).iter().try_for_each(|line| say(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::api::NodeApi as _;
    use crate::rpc::fake_node::FakeNode;

    #[test]
    fn what_keeps_a_node_from_its_work_is_said_once() {
        let node = FakeNode::funded();
        let (mut chain, status) = (node.blockchain_info(), node.node_status());
        let (reason, other) = (status.reasons[0].clone(), "this version is old".to_owned());
        chain.warnings = vec![reason.clone(), other.clone()];
        let text =
            summary(&StatusReport { node: status, chain, consensus: node.consensus_info() }).join("\n");
        assert_eq!(text.matches(&reason).count(), 1, "{text}");
        assert!(text.contains(&format!("Warning      {other}")), "{text}");
    }
}
