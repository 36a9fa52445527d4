//! Peers: met, left, banned.

use std::time::Duration;

use jsonrpsee::types::ErrorObjectOwned;

use crate::network::BanTarget;
use crate::rpc::call::Call;
use crate::rpc::errors::{
    INVALID_IP_OR_SUBNET, NODE_ALREADY_ADDED, NODE_NOT_ADDED, NOT_CONNECTED, NOT_ON_THIS_NETWORK,
    bad_parameter, error, wrong_subject,
};
use crate::rpc::limits::BAN_S_MAX;
use crate::rpc::types::BanInfo;

/// How long a ban lasts unless the call says so: a day, as in Bitcoin Core.
const BAN_S_DEFAULT: u64 = 86_400;

pub(super) fn disconnect_node(call: &Call) -> Result<(), ErrorObjectOwned> {
    let peer = call.required::<String>(0)?;
    if call.node.disconnect(&peer) {
        return Ok(());
    }
    let hint = "`getpeerinfo` names those that are";
    Err(error(NOT_CONNECTED, "no such peer is connected", "not_connected", hint))
}

pub(super) fn add_node(call: &Call) -> Result<(), ErrorObjectOwned> {
    let address: String = call.required(0)?;
    let is_address = match call.optional::<String>(1)?.as_deref() {
        None | Some("add") if call.node.is_added(&address) => {
            let hint = "nothing is left to do: it is dialled until the node stops, or \"remove\" takes back what `addnode` has added";
            return Err(error(NODE_ALREADY_ADDED, "this is added already", "already_added", hint));
        }
        None | Some("add") => call.node.add_peer(&address),
        Some("onetry") => call.node.try_peer(&address),
        Some("remove") => {
            if call.node.remove_peer(&address) {
                return Ok(());
            }
            let hint = "`addnode` takes back what it has added since the node started; others stand in [network] bootstrap_peers, \
                        and `disconnectnode` ends a connection";
            return Err(error(NODE_NOT_ADDED, "this was not added", "not_added", hint));
        }
        Some(_) => return Err(bad_parameter(call.name(1), "\"add\", \"remove\" or \"onetry\"")),
    };
    if is_address {
        return Ok(());
    }
    Err(bad_parameter(call.name(0), "host:port such as 192.0.2.1:24100"))
}

pub(super) fn set_network_active(call: &Call) -> Result<bool, ErrorObjectOwned> {
    let active: bool = call.required(0)?;
    if call.node.set_network_active(active) {
        return Ok(active);
    }
    let hint = "`disconnectnode` ends one connection; to leave the network, stop the node";
    Err(error(NOT_ON_THIS_NETWORK, "nodes are cut off on devnets alone", "devnet_only", hint))
}

fn ban_target(call: &Call) -> Result<BanTarget, ErrorObjectOwned> {
    let text: String = call.required(0)?;
    BanInfo::parse_subject(&text).ok_or_else(|| {
        let expected =
            "an address, a group such as 192.0.2.0/24 or 2001:db8:1::/48, or a node_id of getpeerinfo";
        wrong_subject(call.name(0), expected)
    })
}

pub(super) fn set_ban(call: &Call) -> Result<(), ErrorObjectOwned> {
    let target = ban_target(call)?;
    match call.required::<String>(1)?.as_str() {
        "add" if call.node.is_banned(target) => {
            let hint = "`listbanned` tells for how long; \"remove\" first, to ban for another time";
            Err(error(NODE_ALREADY_ADDED, "this is banned already", "already_banned", hint))
        }
        "add" => {
            let seconds = match call.bounded(2, BAN_S_DEFAULT, BAN_S_MAX)? {
                // As in Bitcoin Core: nobody means a ban that is over at once.
                0 => BAN_S_DEFAULT,
                seconds => seconds,
            };
            if call.node.ban(target, Duration::from_secs(seconds)) {
                return Ok(());
            }
            let hint = "addresses of this machine are never banned; `disconnectnode` ends a connection";
            Err(error(NODE_ALREADY_ADDED, "this can't be banned", "not_bannable", hint))
        }
        "remove" => {
            if call.node.unban(target) {
                return Ok(());
            }
            let hint = "`listbanned` names what is, in the words to give here";
            Err(error(INVALID_IP_OR_SUBNET, "this is not banned", "not_banned", hint))
        }
        _ => Err(bad_parameter(call.name(1), "\"add\" or \"remove\"")),
    }
}

pub(super) fn list_banned(call: &Call) -> Vec<BanInfo> {
    let mut banned: Vec<BanInfo> =
        call.node.banned().into_iter().map(|(target, left)| BanInfo::of(target, left)).collect();
    banned.sort_by(|one, other| one.address.cmp(&other.address));
    banned
}

pub(super) fn clear_banned(call: &Call) {
    for (target, _) in call.node.banned() {
        call.node.unban(target);
    }
}
