//! A full node with the configuration that is shipped.

use std::path::Path;

use timed::rpc::types::NodeState;

use crate::net::{Net, Node, wait_for};
use crate::turns::{GUESTS, Needs};

#[test]
fn a_node_with_the_shipped_configuration_syncs_and_follows() {
    let mut net = Net::running(Needs::DevnetPorts);
    net.nodes[0].wait_height(3);
    let coin = net.chain.account(0);
    let before = net.chain.spend(&coin, &coin.key, 1, "");
    net.nodes[0].send(&before).unwrap();
    net.nodes[0].wait_confirmed(before.txid());

    let home = net.home().join("fifth");
    std::fs::create_dir(&home).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
    std::fs::copy(shipped, home.join("config.toml")).unwrap();
    let mut fifth = Node::new(home.join("config.toml"), net.port(GUESTS) + 1);
    fifth.start();
    // It names no genesis document, so it has asked the devnet, says so, and keeps it.
    let log = fifth.log();
    assert!(log.contains("WARNING") && log.contains(&net.chain.id.to_string()), "{log}");
    assert!(home.join("data/genesis.toml").exists());
    fifth.wait_height(net.nodes[0].height());
    wait_for("a node that follows", || (fifth.node_status().state == NodeState::Following).then_some(()));
    fifth.wait_confirmed(before.txid());
    net.nodes.push(fifth);
    assert!(net.assert_one_chain() >= 3);

    let coin = net.chain.account(1);
    let payment = net.chain.spend(&coin, &coin.key, 1, "");
    net.nodes[0].send(&payment).unwrap();
    net.nodes[4].wait_final(payment.txid());
    // It takes payments too.
    let coin = net.chain.account(2);
    let payment = net.chain.spend(&coin, &coin.key, 1, "");
    net.nodes[4].send(&payment).unwrap();
    net.nodes[4].wait_final(payment.txid());
    net.nodes[0].wait_final(payment.txid());
    net.nodes[4].wait_height(net.nodes[0].height() + 1);
    net.assert_one_chain();
}
