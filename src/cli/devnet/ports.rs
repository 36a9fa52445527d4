//! Whether a devnet can have its ports, before anything of it starts.
//!
//! # Place
//! `timed devnet` asks here first: else some of its nodes would not start, and what it tells of blocks would come from
//! whoever has its ports, another devnet as a rule.
//!
//! # Invariants
//! - INV-DEVNET-PORTS-1: no node starts unless all ports of all nodes were free a moment before.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::CliError;
use crate::app::devnet::{Devnet, DevnetNode};

/// What a node listens on, and for whom.
fn addresses(node: &DevnetNode) -> impl Iterator<Item = (&'static str, SocketAddr)> {
    let config = &node.config;
    let peers = ("peers", config.network.listen_address);
    let rpc = config.rpc.enabled.then_some(("RPC", config.rpc.listen_address));
    let metrics = config.metrics.enabled.then_some(("metrics", config.metrics.listen_address));
    [Some(peers), rpc, metrics].into_iter().flatten()
}

/// Refuses when another program has a port of the devnet.
///
/// # Errors
/// Which ports those are, and what to do.
pub(super) fn check(devnet: &Devnet) -> Result<(), CliError> {
    let is_taken = |address: &SocketAddr| {
        // Any other problem is told better by the node itself.
        TcpListener::bind(address).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    };
    let all = devnet.nodes.iter().flat_map(|node| addresses(node).map(move |(whom, at)| (node, whom, at)));
    let taken: Vec<String> = all
        .filter(|(_, _, address)| is_taken(address))
        .map(|(node, whom, address)| format!("{address} ({whom} of {})", node.name))
        .collect();
    let Some(first) = taken.first() else { return Ok(()) };
    let others = match taken.len() {
        1 => String::new(),
        count => format!(" and {} more", count.saturating_sub(1)),
    };
    let ways = if devnet.existed {
        "make another devnet with ports of its own: --dir DIR --base-port PORT"
    } else {
        "choose other ports: --base-port PORT"
    };
    let are = if taken.len() == 1 { "is" } else { "are" };
    Err(CliError::Failed(format!(
        "nothing was started: {first}{others} {are} in use, perhaps by another devnet; stop the program that has them, or \
         {ways}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::devnet::DevnetWishes;

    /// INV-DEVNET-PORTS-1.
    #[test]
    fn a_port_of_any_node_that_is_taken_is_named_with_what_to_do() {
        // Ports that were free a moment ago: other tests listen somewhere as well.
        let (_place, devnet) = loop {
            let place = tempfile::tempdir().unwrap();
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let wishes = DevnetWishes { base_port: Some(port.min(60_000)), ..DevnetWishes::default() };
            let devnet = Devnet::prepare(place.path(), &wishes, false).unwrap();
            if check(&devnet).is_ok() {
                break (place, devnet);
            }
        };
        let last = devnet.nodes.last().unwrap().config.rpc.listen_address;
        let taken = TcpListener::bind(last).unwrap();
        let said = check(&devnet).unwrap_err().to_string();
        for part in [&format!("{last} (RPC of node3)"), "--base-port", "nothing was started"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        drop(taken);
        check(&devnet).unwrap();
    }
}
