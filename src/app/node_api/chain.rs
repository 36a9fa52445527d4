//! What the node says of its chain as a whole.

use crate::app::AppContext;
use crate::rpc::types::{BlockchainInfo, RulesInfo};
use crate::types::RuleVersion;

pub(super) fn blockchain_info(node: &AppContext) -> BlockchainInfo {
    let state = node.bft.state();
    let rules = RulesInfo::of(&state, RuleVersion::NEWEST);
    let mut warnings = node.reasons(&state);
    warnings.extend(rules.warning());
    BlockchainInfo {
        chain: node.config.node.network.to_string(),
        chain_id: *state.chain_id(),
        blocks: state.height(),
        headers: node.bft.sync_target().max(state.height()),
        best_block_hash: state.tip_hash(),
        time: state.tip_time(),
        epoch: state.next_epoch(),
        pruned: node.blocks.shown_from() > 1,
        pruneheight: node.blocks.shown_from(),
        initial_block_download: node.bft.is_syncing(),
        state_digest: state.digest(),
        supply: state.supply(),
        supply_time: state.supply().to_string(),
        min_fee_per_kb: state.parameters().min_fee_per_kb,
        min_fee_per_kb_time: state.parameters().min_fee_per_kb.to_string(),
        parameters: state.parameters().as_ref().clone(),
        rules,
        warnings,
    }
}
