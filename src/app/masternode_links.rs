//! Tells the network of the masternodes on the chain: who votes, who is registered, and where they are.
//!
//! # Place
//! `start.rs` calls it with the state that the node starts from, `observer.rs` when an epoch begins: registrations take effect
//! then, and so does a new address.

use crate::network::NetworkHandle;
use crate::protocol::masternodes::{MasternodeRecord, MasternodeStatus};
use crate::protocol::state::LedgerState;
use crate::types::PublicKey;

fn is_registered(record: &&MasternodeRecord) -> bool {
    !matches!(record.status(), MasternodeStatus::Slashed | MasternodeStatus::Unbonding)
}

/// Tells it. `own` is the operator key of this node. Returns the addresses that are not dialled; see
/// [`NetworkHandle::set_chain_addresses`].
pub(super) fn tell_of_masternodes(
    network: &NetworkHandle,
    state: &LedgerState,
    own: Option<PublicKey>,
) -> Vec<String> {
    network.set_members(state.validators().members().iter().map(|member| member.key));
    let registered = || state.masternodes().values().filter(is_registered);
    network.set_registered(registered().map(|record| record.operator_key));
    let own_record = own.and_then(|key| registered().find(|record| record.operator_key == key));
    let addresses: Vec<String> = registered()
        .map(|record| record.network_address.clone())
        .filter(|address| !address.is_empty())
        .collect();
    network.set_chain_addresses(&addresses, own_record.map(|record| record.network_address.as_str()))
}
