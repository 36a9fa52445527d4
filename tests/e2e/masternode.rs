//! A masternode's life, by the commands that its operator types.

use std::path::{Path, PathBuf};

use serde_json::json;
use timed::rpc::types::{MasternodeInfo, NodeState};
use timed::types::{ChainParameters, MasternodeId, SecretKey};

use crate::net::{Coin, Net, Node, run_to_end, timed, wait_for};
use crate::turns::{GUESTS, Needs};

/// Pays for the collateral and owns it.
const ACCOUNT: usize = 5;

/// Epochs of 20 blocks, and what binds to them as short.
fn quick(parameters: &mut ChainParameters) {
    parameters.block_interval_ms = 500;
    parameters.epoch_duration_ms = 10_000;
    parameters.recent_commits = 10;
    parameters.unbonding_time_ms = 15_000;
}

struct Operator {
    home: PathBuf,
    turn: usize,
}

impl Operator {
    /// A node as `init --masternode` makes it beside a running devnet.
    fn install(net: &Net) -> Self {
        let home = net.home().join("fifth");
        let mut operator = Self { home, turn: 0 };
        let home = operator.home.to_str().unwrap().to_owned();
        let told = operator.types(&["init", "--network", "devnet", "--masternode", "--home", &home], 0);
        assert!(told.contains("timed masternode register"), "{told}");
        assert!(told.contains("WARNING") && told.contains(&net.chain.id.to_string()), "{told}");
        let config = operator.config();
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, text.replace("0.0.0.0", "127.0.0.1")).unwrap();
        std::fs::remove_dir_all(operator.home.join("data/votes")).unwrap();
        // The key is new, as it is to `init`.
        operator.types(&["votes", "new", "--force", "--config", config.to_str().unwrap()], 0);
        operator
    }

    fn config(&self) -> PathBuf {
        self.home.join("config.toml")
    }

    fn types(&mut self, arguments: &[&str], code: i32) -> String {
        self.turn += 1;
        let output = self.home.with_extension(format!("said.{}", self.turn));
        let (ended, text) = run_to_end(timed().args(arguments), &output);
        assert_eq!(ended, code, "{arguments:?}: {text}");
        text
    }

    /// A command of `timed masternode`, for the account.
    fn masternode(&mut self, arguments: &[&str]) -> String {
        let (config, account) = (self.config(), ACCOUNT.to_string());
        let whole = ["masternode", arguments[0], "--config", config.to_str().unwrap(), "--devnet-account"];
        self.types(&[&whole[..], &[&account], &arguments[1..]].concat(), 0)
    }
}

fn masternodes(node: &Node) -> Vec<MasternodeInfo> {
    node.call("masternodelist", &[])
}

fn masternode(node: &Node, id: MasternodeId) -> MasternodeInfo {
    node.call("getmasternode", &[json!(id)])
}

fn wait_masternode(node: &Node, id: MasternodeId, what: &str, is_so: impl Fn(&MasternodeInfo) -> bool) {
    wait_for(what, || is_so(&masternode(node, id)).then_some(()));
}

/// It is in the set and has signed lately.
fn votes(info: &MasternodeInfo) -> bool {
    info.state == "active" && info.in_set.as_ref().is_some_and(|seat| seat.attendance.signed > 0)
}

fn register(operator: &mut Operator, node: &Node) -> MasternodeInfo {
    let key = operator.home.join("operator.key");
    let arguments =
        ["register", "--tier", "bronze", "--address", "127.0.0.1:24300", "--operator-key", path(&key)];
    let ids = || -> Vec<MasternodeId> { masternodes(node).iter().map(|info| info.id).collect() };
    let before = ids();
    let told = operator.masternode(&[&arguments[..], &["--dry-run"]].concat());
    assert_eq!(ids(), before, "a dry run sends nothing: {told}");
    operator.masternode(&[&arguments[..], &["--wait"]].concat());
    let mut added = masternodes(node);
    added.retain(|info| !before.contains(&info.id));
    assert_eq!(added.len(), 1);
    added.remove(0)
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A gold masternode whose node does not run would have 100 of a weight of 140, of which 94 decide.
fn refuses_what_would_stop_the_chain(net: &Net, operator: &mut Operator) {
    let (witness, key) = (&net.nodes[0], operator.home.join("gold.key"));
    let (url, cookie) = (witness.url().to_owned(), witness.cookie_path().to_owned());
    let account = ACCOUNT.to_string();
    let before = masternodes(witness).len();
    let said = operator.types(
        &[
            "masternode",
            "register",
            "--rpc",
            &url,
            "--cookie-file",
            path(&cookie),
            "--devnet-account",
            &account,
            "--tier",
            "gold",
            "--address",
            "127.0.0.1:24300",
            "--operator-key",
            path(&key),
        ],
        1,
    );
    assert!(said.contains("100 of the next set's weight of 140") && said.contains("--force"), "{said}");
    assert!(!key.exists());
    assert_eq!(masternodes(witness).len(), before);
}

#[test]
fn a_masternode_registers_votes_is_jailed_comes_back_and_leaves_with_its_collateral() {
    let mut net = Net::running_with(Needs::DevnetPorts, quick);
    let mut operator = Operator::install(&net);
    refuses_what_would_stop_the_chain(&net, &mut operator);
    let mut fifth = Node::new(operator.config(), net.port(GUESTS) + 1);
    fifth.start();
    fifth.wait_state(NodeState::Following);
    let registered = register(&mut operator, &fifth);
    let (id, witness) = (registered.id, &net.nodes[0]);
    assert_eq!((registered.tier.as_deref(), registered.weight), (Some("bronze"), 1));
    let config = operator.config();
    let said = operator.types(&["masternode", "status", "--config", path(&config)], 0);
    assert!(said.contains("the node that was asked"), "it has no connection to itself: {said}");
    wait_masternode(witness, id, "its votes", votes);
    fifth.wait_state(NodeState::Voting);

    fifth.kill();
    wait_masternode(witness, id, "its jailing", |info| info.state == "jailed" && info.in_set.is_none());
    fifth.start();
    fifth.wait_height(witness.height());
    // The configuration names the key.
    operator.masternode(&["unjail", "--wait"]);
    wait_masternode(witness, id, "its votes after it is un-jailed", votes);

    operator.masternode(&["exit", "--wait"]);
    wait_masternode(witness, id, "its unbonding", |info| info.state == "unbonding");
    let (txid, index) = registered.collateral_outpoint.split_once(':').unwrap();
    let outpoint = timed::types::OutPoint { txid: txid.parse().unwrap(), index: index.parse().unwrap() };
    let account = net.chain.account(ACCOUNT);
    let collateral = Coin { outpoint, value: registered.collateral, key: account.key };
    let spend = net.chain.spend(&collateral, &SecretKey::from_seed(&[7; 32]), 1, "free");
    let refused = witness.send(&spend).unwrap_err().to_string();
    assert!(refused.contains("collateral"), "{refused}");
    wait_for("the collateral's freedom", || witness.send(&spend).ok());
    for node in &net.nodes {
        node.wait_final(spend.txid());
        node.wait_confirmed(spend.txid());
    }
    assert!(masternodes(witness).iter().all(|info| info.id != id), "it is forgotten");
    net.nodes.push(fifth);
    net.assert_one_chain();
}
