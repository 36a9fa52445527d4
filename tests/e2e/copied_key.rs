//! A masternode's key on two machines: both are told before either contradicts itself.
//!
//! `E2E_COPIES=50 cargo test --test e2e copied_directory` makes more copies than the default.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use timed::app::networks::devnet_operator_key;
use timed::network::{Network, NetworkConfig, NetworkEvent};
use timed::rpc::types::{MasternodeInfo, NodeState, PunishedInfo};
use timed::types::{
    ChainParameters, FinalityVote, MasternodeId, Message, SecretKey, Transaction, VoteBatch, VoteKind,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::heard::heard;
use crate::net::{Coin, Net, Node, wait_for};
use crate::turns::{GUESTS, Needs};

/// The masternode whose key is copied, the last of four.
const COPIED: usize = 3;
const COPIES_DEFAULT: u64 = 5;
/// What a node says in its log when it hears another one with its key.
pub const NOTICED: &str = "node signs with this masternode's operator key";

/// A copy of a node that stands still or is stopped, as a machine's snapshot is: the operator key, the vote journal and
/// the chain, under ports and a network identity of its own, and an empty log.
fn copy_of(net: &Net, index: usize, name: &str) -> Node {
    let original = net.nodes[index].config_path.parent().unwrap().to_owned();
    let home = original.with_file_name(name);
    copy_directory(&original, &home);
    std::fs::remove_file(home.join("data/node.key")).unwrap();
    let config = home.join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let (own, copied) = (net.port(GUESTS), net.port(index));
    let metrics = net.port(0) + 200 + u16::try_from(index).unwrap();
    let ports = [(copied, own), (copied + 1, own + 1), (metrics, own + 2)];
    let text = ports.iter().fold(text, |text, (from, to)| {
        let (from, to) =
            (format!("_address = \"127.0.0.1:{from}\""), format!("_address = \"127.0.0.1:{to}\""));
        assert!(text.contains(&from), "{text}");
        text.replace(&from, &to)
    });
    std::fs::write(&config, text).unwrap();
    let copy = Node::new(config, own + 1);
    // It is the original's so far.
    std::fs::remove_file(&copy.log_path).unwrap();
    copy
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

/// As one long epoch, and nothing happens in it.
fn idle(parameters: &mut ChainParameters) {
    one_epoch(parameters);
    parameters.block_interval_ms = 60_000;
}

/// Starts a copy of the last node's directory beside it, and waits until both are told. Neither signs any more, and the
/// copy never did.
pub fn run_copy(net: &Net, name: &str) -> Node {
    let index = net.nodes.len() - 1;
    let original = &net.nodes[index];
    original.process().pause();
    let mut copy = copy_of(net, index, name);
    original.process().resume();
    let told_before = original.log().matches(NOTICED).count();
    copy.start();
    wait_for("that the copy is told", || copy.log().contains(NOTICED).then_some(()));
    wait_for("that the original is told", || {
        (original.log().matches(NOTICED).count() > told_before).then_some(())
    });
    for node in [original, &copy] {
        node.wait_state(NodeState::Halted);
        let reasons = node.node_status().reasons;
        assert!(reasons.iter().any(|reason| reason.contains("operator key")), "{reasons:?}");
    }
    assert!(!copy.log().contains("signing begins"), "the copy was acknowledged");
    copy
}

#[test]
fn a_copied_directory_on_an_idle_network_is_noticed_by_both_and_nobody_is_slashed() {
    let copies = std::env::var("E2E_COPIES").map_or(COPIES_DEFAULT, |text| text.parse().expect("a number"));
    let mut net = Net::prepare(Needs::Ports, 4, idle);
    net.start_all();
    net.nodes[COPIED].wait_state(NodeState::Voting);
    // A journal with votes in it; nothing happens after that.
    let payment = net.chain.spend(&net.chain.account(9), &net.chain.account(9).key, 1, "");
    net.nodes[0].send(&payment).unwrap();
    net.nodes.iter().for_each(|node| node.wait_final(payment.txid()));
    for number in 0..copies {
        let mut copy = run_copy(&net, &format!("copy-{number}"));
        // Both stay silent; the operator stops both, and starts the one that is to vote again.
        std::thread::sleep(Duration::from_millis(500));
        copy.stop();
        net.nodes[COPIED].stop();
        net.nodes[COPIED].start();
        net.nodes[COPIED].wait_state(NodeState::Voting);
    }
    let payment = net.chain.spend(&net.chain.account(8), &net.chain.account(8).key, 1, "");
    net.nodes[COPIED].send(&payment).unwrap();
    net.nodes.iter().for_each(|node| node.wait_final(payment.txid()));
    let punished: Vec<PunishedInfo> = net.nodes[0].call("listevidence", &[]);
    assert!(punished.is_empty(), "{punished:?}");
    let masternodes: Vec<MasternodeInfo> = net.nodes[0].call("masternodelist", &[]);
    assert!(masternodes.iter().all(|info| !info.slashed), "{masternodes:?}");
}

/// The last node's key votes for two transactions in a batch of its own, whoever has it, and gives both to those that ask.
fn vote_with_its_key(net: &Net, transactions: &[Transaction; 2]) {
    let lock = |it: &Transaction| FinalityVote { kind: VoteKind::Lock, txid: it.txid() };
    let votes = transactions.iter().map(lock).collect();
    let bodies = Message::Transactions(transactions.iter().cloned().map(Arc::new).collect());
    let member = net.nodes.len() - 1;
    let masternodes: Vec<MasternodeInfo> = net.nodes[0].call("masternodelist", &[]);
    let address = net.port(member).to_string();
    let id: MasternodeId = masternodes.iter().find(|info| info.address.ends_with(&address)).unwrap().id;
    let batch = VoteBatch::signed(&net.chain.id, 0, id, 1_000, votes, &devnet_operator_key(member));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (token, tracker) = (CancellationToken::new(), TaskTracker::new());
        let config = NetworkConfig {
            bootstrap_peers: (0..=member).map(|place| format!("127.0.0.1:{}", net.port(place))).collect(),
            listen_address: ([127, 0, 0, 1], 0).into(),
            external_address: None,
            maps_port: false,
            max_inbound: 8,
            max_outbound: 8,
            chain_id: net.chain.id,
            identity: SecretKey::from_seed(&[0x77; 32]),
            user_agent: "test/1".to_owned(),
            operator: None,
            bans_path: None,
            peers_path: None,
            dns_seeds: Vec::new(),
            hides: false,
            is_local: true,
            dials_masternodes: false,
        };
        let (handle, mut events) = Network::start(config, token.clone(), &tracker).await.unwrap();
        while handle.peer_count() <= member {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        handle.broadcast(&Message::VoteBatch(heard(&batch)), None);
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            while let Some(event) = events.bulk.try_recv() {
                if let NetworkEvent::Message { peer, message: Message::GetTransactions(_) } = event {
                    let _sent = handle.send(peer, &bodies);
                }
            }
            while events.urgent.try_recv().is_some() {}
        }
        token.cancel();
    });
}

#[test]
fn a_vote_under_the_own_key_that_a_node_did_not_cast_stops_it() {
    let net = Net::running_with(Needs::Ports, one_epoch);
    let original = &net.nodes[COPIED];
    original.wait_state(NodeState::Voting);
    let coin: Coin = net.chain.account(0);
    let payments = ["here", "there"].map(|memo| net.chain.spend(&coin, &coin.key, 1, memo));
    vote_with_its_key(&net, &payments);
    wait_for("that it notices the other one", || original.log().contains(NOTICED).then_some(()));
    original.wait_state(NodeState::Halted);
    // The others go on.
    let payment = net.chain.spend(&net.chain.account(9), &net.chain.account(9).key, 1, "");
    net.nodes[0].send(&payment).unwrap();
    net.nodes[1].wait_confirmed(payment.txid());
    net.assert_one_chain();
}
