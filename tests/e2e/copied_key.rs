//! A masternode's key on two machines: noticed, and punished once it has contradicted itself.

use std::path::Path;

use timed::rpc::types::{MasternodeInfo, NodeState, PunishedInfo, UtxoState};
use timed::types::ChainParameters;

use crate::net::{Coin, Net, Node, wait_for};

/// The masternode whose key is copied, the last of four.
const COPIED: usize = 3;
const COPY_RPC_PORT: u16 = 24_311;
/// What a node says in its log when it hears another one with its key.
pub const NOTICED: &str = "another node signs with this masternode's operator key";

/// A copy of a node that stands still or is stopped, as a machine's snapshot is: the operator key, the vote journal and
/// the chain, under ports and a network identity of its own.
fn copy_of(net: &Net, index: usize, name: &str) -> Node {
    let original = net.nodes[index].config_path.parent().unwrap().to_owned();
    let home = original.with_file_name(name);
    copy_directory(&original, &home);
    std::fs::remove_file(home.join("data/node.key")).unwrap();
    let config = home.join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let ports =
        [(24_200 + 2 * index, 24_310), (24_201 + 2 * index, COPY_RPC_PORT.into()), (24_400 + index, 24_312)];
    let text = ports.iter().fold(text, |text, (from, to)| {
        let (from, to) =
            (format!("_address = \"127.0.0.1:{from}\""), format!("_address = \"127.0.0.1:{to}\""));
        assert!(text.contains(&from), "{text}");
        text.replace(&from, &to)
    });
    std::fs::write(&config, text).unwrap();
    Node::new(config, COPY_RPC_PORT)
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&source, &target);
        } else {
            std::fs::copy(source, target).unwrap();
        }
    }
}

/// One long epoch: locks conflict within an epoch only.
fn one_epoch(parameters: &mut ChainParameters) {
    parameters.epoch_duration_ms = 600_000;
}

fn wait_pending(node: &Node, coin: &Coin) {
    wait_for("the node's vote", || {
        (node.utxo_state(coin.outpoint).state == UtxoState::SpentPending).then_some(())
    });
}

/// Both sign `Lock` votes that conflict before either can hear of the other one: whoever would tell them stands still.
/// Gives the copy of the last node.
pub fn contradict(net: &Net, coin: &Coin) -> Node {
    let (others, [original]) = net.nodes.split_at(net.nodes.len() - 1) else { panic!("no nodes") };
    let [here, there] =
        ["to the original", "to the copy"].map(|memo| net.chain.spend(coin, &coin.key, 1, memo));

    original.process().pause();
    let mut copy = copy_of(net, others.len(), "copy");
    // Its log is the original's so far.
    std::fs::remove_file(&copy.log_path).unwrap();
    copy.start();
    wait_for("the copy's peers", || {
        let peers: Vec<serde_json::Value> = copy.call("getpeerinfo", &[]);
        (peers.len() >= others.len()).then_some(())
    });
    // While it listens, so that it casts no vote on a block that they could pass on.
    others.iter().for_each(|node| node.process().pause());
    wait_for("the end of the copy's listening", || copy.log().contains("signing begins").then_some(()));
    copy.send(&there).unwrap();
    wait_pending(&copy, coin);
    copy.process().pause();
    original.process().resume();
    original.send(&here).unwrap();
    wait_pending(original, coin);

    copy.process().resume();
    others.iter().for_each(|node| node.process().resume());
    copy
}

#[test]
fn a_copied_key_is_noticed_and_slashed() {
    let net = Net::running_with(one_epoch);
    net.nodes[COPIED].wait_state(NodeState::Voting);
    net.nodes[COPIED].wait_height(2);
    let copy = contradict(&net, &net.chain.account(0));
    for node in [&net.nodes[COPIED], &copy] {
        wait_for("that it notices the other one", || node.log().contains(NOTICED).then_some(()));
        node.wait_state(NodeState::Halted);
        let reasons = node.node_status().reasons;
        assert!(reasons.iter().any(|reason| reason.contains("operator key")), "{reasons:?}");
    }
    let punished = wait_for("evidence in a block", || {
        let punished: Vec<PunishedInfo> = net.nodes[0].call("listevidence", &[]);
        (!punished.is_empty()).then_some(punished)
    });
    let [piece] = punished.as_slice() else { panic!("more than one piece of evidence: {punished:?}") };
    net.nodes[1].wait_height(piece.block_height);
    let masternodes: Vec<MasternodeInfo> = net.nodes[1].call("masternodelist", &[]);
    let slashed: Vec<&MasternodeInfo> = masternodes.iter().filter(|info| info.slashed).collect();
    let [slashed] = slashed.as_slice() else { panic!("one is slashed: {masternodes:?}") };
    assert_eq!(slashed.id, piece.evidence.masternode);
    assert!(slashed.address.ends_with(&(24_200 + 2 * COPIED).to_string()), "the copied one: {slashed:?}");
    assert!(piece.burned.0 > 0);
    // The others go on.
    let payment = net.chain.spend(&net.chain.account(9), &net.chain.account(9).key, 1, "");
    net.nodes[0].send(&payment).unwrap();
    net.nodes[1].wait_confirmed(payment.txid());
    net.assert_one_chain();
}
