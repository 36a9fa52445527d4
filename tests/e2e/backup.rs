//! A node that is lost and comes back from a backup that was made while it ran.

use std::path::{Path, PathBuf};

use serde_json::json;
use timed::rpc::types::{CommitInfo, ConsensusInfo, MasternodeInfo, NodeState, PunishedInfo};
use timed::types::{ChainParameters, Epoch, MasternodeId};

use crate::net::{Net, Node, run_to_end, timed, wait_for};
use crate::turns::Needs;

/// The masternode that is lost, the last of four.
const LOST: usize = 3;

/// Long enough for a key to be back in the epoch that it was lost in, if nothing kept it from that.
fn short_epochs(parameters: &mut ChainParameters) {
    parameters.block_interval_ms = 500;
    parameters.epoch_duration_ms = 30_000;
    parameters.recent_commits = 10;
}

/// Runs a command to its end, and gives what it said.
fn types(home: &Path, arguments: &[&str], code: i32) -> String {
    let (ended, said) = run_to_end(timed().args(arguments), &home.join("said"));
    assert_eq!(ended, code, "{arguments:?}: {said}");
    said
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn epoch(node: &Node) -> Epoch {
    node.call::<ConsensusInfo>("getconsensusinfo", &[]).epoch
}

fn commit(node: &Node, height: u64) -> CommitInfo {
    node.call("getcommit", &[json!(height)])
}

fn signed(commit: &CommitInfo, id: MasternodeId) -> bool {
    commit.signers.iter().any(|signer| signer.masternode == Some(id))
}

/// The masternode whose address is the lost node's.
fn lost_masternode(net: &Net) -> MasternodeId {
    let masternodes: Vec<MasternodeInfo> = net.nodes[0].call("masternodelist", &[]);
    masternodes.iter().find(|info| info.address.ends_with(&format!(":{}", net.port(LOST)))).unwrap().id
}

/// Backs the running node up, kills it, and restores it to a new directory; gives its configuration.
fn lose_and_restore(net: &mut Net) -> PathBuf {
    let home = net.home().to_owned();
    let (backup, restored) = (home.join("node.tar"), home.join("restored"));
    let config = net.nodes[LOST].config_path.clone();
    let at = net.nodes[LOST].height();
    let arguments = ["db", "backup", "--config", text(&config), "--out", text(&backup), "--with-keys"];
    let said = types(&home, &arguments, 0);
    assert!(said.contains("of the running node at block") && said.contains("votes export"), "{said}");
    assert!(types(&home, &arguments, 1).contains("not overwritten"));
    let check = ["db", "check", "--config", text(&config)];
    assert!(types(&home, &check, 3).contains("in use"), "a node runs there");
    net.nodes[LOST].kill();
    let restore = ["db", "restore", text(&backup), "--home", text(&restored)];
    let said = types(&home, &restore, 0);
    assert!(said.contains("votes new") && said.contains("votes import"), "{said}");
    assert!(types(&home, &restore, 1).contains("not empty"));
    assert!(!restored.join("data/votes").exists(), "INV-BACKUP-1");
    let config = restored.join("config.toml");
    let said = types(&home, &["db", "check", "--deep", "--json", "--config", text(&config)], 0);
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(report["height"].as_u64().unwrap() >= at, "{said}");
    assert!(report["signatures"].as_u64().unwrap() > at && report["problems"] == json!([]), "{said}");
    config
}

#[test]
fn a_node_that_is_lost_goes_on_from_its_backup_and_its_key_signs_in_later_epochs_only() {
    let mut net = Net::running_with(Needs::Ports, short_epochs);
    net.nodes[LOST].wait_state(NodeState::Voting);
    let id = lost_masternode(&net);
    let payer = net.pay_through(&[0, 1], 0);
    payer.wait_more(20);
    net.nodes[LOST].wait_height(5);
    let config = lose_and_restore(&mut net);
    let (lost_at, lost_in) = (net.nodes[0].height(), epoch(&net.nodes[0]));
    payer.wait_more(20);
    net.nodes[0].wait_height(lost_at + 2);

    let home = net.home().to_owned();
    let mut restored = Node::new(config.clone(), net.port(LOST) + 1);
    restored.spawn();
    assert_eq!(wait_for("its refusal", || restored.exit_code()), 3);
    assert!(restored.log().contains("votes new") && restored.log().contains("votes import"));
    restored.kill();
    types(&home, &["votes", "new", "--config", text(&config)], 0);
    restored.start();
    restored.wait_height(net.nodes[0].height());
    restored.wait_state(NodeState::Voting);
    wait_for("a commit with its signature", || {
        let height = net.nodes[0].height();
        (lost_at + 1..=height).rev().take(5).any(|at| signed(&commit(&net.nodes[0], at), id)).then_some(())
    });
    drop(payer);
    let tip = net.nodes[0].height();
    for height in lost_at + 1..=tip {
        let commit = commit(&net.nodes[0], height);
        assert!(commit.epoch > lost_in || !signed(&commit, id), "block {height} of epoch {lost_in}");
    }
    let punished: Vec<PunishedInfo> = net.nodes[0].call("listevidence", &[]);
    assert!(punished.is_empty(), "{punished:?}");
    net.nodes[LOST] = restored;
    net.nodes[LOST].wait_height(tip);
    assert!(net.assert_one_chain() >= tip);
}
