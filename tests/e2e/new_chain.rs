//! A devnet that is made anew is a new chain: what was said on the old one counts nothing on it.

use std::path::Path;

use serde_json::json;
use timed::rpc::finality_proof::FinalityProofInfo;
use timed::rpc::types::NodeState;

use crate::net::{Net, Node, run_to_end, timed, wait_for};
use crate::turns::{GUESTS, Needs};

fn follower(net: &Net) -> Node {
    let home = net.home().join("follower");
    std::fs::create_dir(&home).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
    std::fs::copy(shipped, home.join("config.toml")).unwrap();
    Node::new(home.join("config.toml"), net.port(GUESTS) + 1)
}

#[test]
fn no_proof_payment_or_follower_of_an_old_devnet_counts_on_a_new_one() {
    let mut net = Net::running(Needs::DevnetPorts);
    let mut follower = follower(&net);
    follower.start();
    follower.wait_state(NodeState::Following);
    let coin = net.chain.account(0);
    let payment = net.chain.spend(&coin, &coin.key, 1, "");
    net.nodes[0].send(&payment).unwrap();
    follower.wait_confirmed(payment.txid());
    let proof: FinalityProofInfo = net.nodes[0].call("getfinalityproof", &[json!(payment.txid())]);
    std::fs::write(net.home().join("proof.json"), serde_json::to_string(&proof).unwrap()).unwrap();
    std::fs::copy(net.home().join("devnet/genesis.toml"), net.home().join("old.toml")).unwrap();
    let (old, output) = (net.chain.id, net.home().join("output"));

    net.reset();
    assert_ne!(net.chain.id, old);
    net.start_all();
    for node in &net.nodes {
        node.wait_height(1);
    }
    // Wallets and tools find the new chain by themselves.
    let verify = |more: &[&str]| {
        let mut command = timed();
        command.current_dir(net.home()).args(["verify-proof", "proof.json"]).args(more);
        run_to_end(&mut command, &output)
    };
    assert_eq!(verify(&["--genesis", "old.toml"]).0, 0);
    let (code, said) = verify(&[]);
    assert!(code == 1 && said.contains(&net.chain.id.to_string()), "{code}: {said}");
    let replayed = net.nodes[0].send(&payment);
    assert!(replayed.is_err(), "{replayed:?}");

    // The old follower dials on; both sides say what is wrong, and the new network goes its way.
    let reasons = |node: &Node| node.node_status().reasons.join(" ");
    wait_for("the follower's reason", || {
        let told = reasons(&follower);
        (told.contains(&old.to_string()) && told.contains(&net.chain.id.to_string())).then_some(())
    });
    assert!(follower.log().contains("A peer is on another chain"), "{}", follower.log());
    let height = net.nodes[0].height();
    let coin = net.chain.account(1);
    let payment = net.chain.spend(&coin, &coin.key, 1, "");
    net.nodes[0].send(&payment).unwrap();
    for node in &net.nodes {
        node.wait_final(payment.txid());
        node.wait_height(height + 3);
        assert_eq!(node.node_status().state, NodeState::Voting);
    }
    net.assert_one_chain();

    // Started again it says so at once, and joins when its operator decides.
    follower.stop();
    let mut command = timed();
    command.args(["run", "--config"]).arg(&follower.config_path);
    let (code, said) = run_to_end(&mut command, &output);
    assert!(code == 3 && said.contains(&old.to_string()) && said.contains("remove"), "{code}: {said}");
    std::fs::remove_dir_all(net.home().join("follower/data")).unwrap();
    follower.start();
    follower.wait_state(NodeState::Following);
    follower.wait_confirmed(payment.txid());
}
