//! New nodes that begin with a snapshot instead of the chain's first block.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use timed::rpc::types::BlockchainInfo;

use crate::net::{Chain, Net, Node, run_to_end, timed, wait_for};
use crate::turns::{GUESTS, Needs};

/// Epochs that have ended before anybody joins: snapshots of several are there, and older ones gone.
const EPOCHS: u64 = 4;

/// Has a node make a snapshot of each epoch.
pub fn make_many(config: &Path) {
    let text = std::fs::read_to_string(config).unwrap();
    std::fs::write(config, text.replacen("[storage]\n", "[storage]\nsnapshot_every_epochs = 1\n", 1))
        .unwrap();
}

/// A full node of its own beside the devnet, which dials those at these places.
pub fn joining(net: &Net, name: &str, place: usize, peers: &[usize]) -> Node {
    let port = net.port(place);
    let home = net.home().join(name);
    std::fs::create_dir(&home).unwrap();
    let genesis = net.home().join("devnet/genesis.toml");
    let peers: Vec<String> =
        peers.iter().map(|place| format!("\"127.0.0.1:{}\"", net.port(*place))).collect();
    let mut text = String::new();
    writeln!(text, "[node]\nnetwork = \"devnet\"\ngenesis = {genesis:?}\ndata_dir = \"data\"").unwrap();
    writeln!(text, "[network]\nlisten_address = \"127.0.0.1:{port}\"\ndial_registered = false").unwrap();
    writeln!(text, "bootstrap_peers = [{}]", peers.join(", ")).unwrap();
    writeln!(text, "[rpc]\nlisten_address = \"127.0.0.1:{}\"", port + 1).unwrap();
    writeln!(text, "[storage]\nsnapshot_every_epochs = 1\n[sync]\nfrom = \"snapshot\"").unwrap();
    std::fs::write(home.join("config.toml"), text).unwrap();
    Node::new(home.join("config.toml"), port + 1)
}

pub fn info(node: &Node) -> BlockchainInfo {
    node.call("getblockchaininfo", &[])
}

/// The lines of a log that say how far a snapshot has come.
pub fn fetched(node: &Node) -> bool {
    node.log().contains("Snapshot fetched and checked")
}

/// INV-FETCH-4, INV-CARE-SNAPSHOT-1.
#[test]
fn a_new_node_begins_with_a_snapshot_and_hands_it_on() {
    let mut document = timed::app::networks::devnet_genesis(4);
    document.parameters.epoch_duration_ms = 3_000;
    let mut net = Net::prepare_document(Needs::Ports, document, make_many);
    net.start_all();
    let mut coin = net.chain.account(0);
    wait_for("epochs with payments", || {
        let payment = net.chain.spend(&coin, &coin.key, 1, "");
        net.nodes[0].send(&payment).unwrap();
        net.nodes[0].wait_final(payment.txid());
        coin = Chain::coins(&payment, &coin.key).remove(0);
        (info(&net.nodes[0]).epoch > EPOCHS).then_some(())
    });
    wait_for("a snapshot", || {
        net.nodes.iter().all(|node| node.log().contains("Snapshot made")).then_some(())
    });

    let mut fifth = joining(&net, "fifth", GUESTS, &[0, 1, 2, 3]);
    fifth.start();
    assert!(fetched(&fifth), "{}", fifth.log());
    fifth.wait_height(net.nodes[0].height());
    fifth.wait_synced();
    let begins = info(&fifth).pruneheight;
    assert!(begins > 1 && info(&fifth).pruned, "it has no block of the first epochs: {begins}");
    assert_eq!((info(&net.nodes[0]).pruneheight, info(&net.nodes[0]).pruned), (1, false));
    let refused = fifth.try_call::<Value>("getblock", &[json!(1)]).unwrap_err().to_string();
    assert!(refused.contains("begins with block"), "{refused}");
    let tip = fifth.height();
    for height in begins..=tip {
        assert_eq!(fifth.hash_at(height), net.nodes[0].hash_at(height));
    }

    // It knows whose the coins are, takes payments, and proves them from the genesis document.
    let payment = net.chain.spend(&coin, &coin.key, 1, "");
    fifth.send(&payment).unwrap();
    fifth.wait_final(payment.txid());
    net.nodes[2].wait_final(payment.txid());
    fifth.wait_confirmed(payment.txid());
    let proof: Value = fifth.call("getfinalityproof", &[json!(payment.txid())]);
    let checked: Value = net.nodes[1].call("verifyfinalityproof", &[proof]);
    assert_eq!(checked["txid"], json!(payment.txid()));

    // Without its index it is built again of the snapshot.
    fifth.stop();
    std::fs::remove_dir_all(net.home().join("fifth/data/index")).unwrap();
    fifth.start();
    assert!(fifth.log().contains("Building the index of the snapshot"), "{}", fifth.log());
    fifth.wait_height(net.nodes[0].height());
    assert_eq!(fifth.status_of(payment.txid()), net.nodes[0].status_of(payment.txid()));

    // One that knows this node alone begins where it can.
    let mut sixth = joining(&net, "sixth", GUESTS + 1, &[GUESTS]);
    sixth.start();
    assert!(fetched(&sixth), "{}", sixth.log());
    sixth.wait_height(net.nodes[0].height());
    let begins = info(&sixth).pruneheight;
    assert!(begins > 1);
    assert_eq!(sixth.hash_at(begins), net.nodes[0].hash_at(begins));
    drop(sixth);

    // Or with a file. It is held to the same rules, and taken by a node without blocks alone.
    let (exported, home) = (net.home().join("exported"), net.home().join("seventh"));
    let db = |words: &[&std::ffi::OsStr], name: &str| {
        let mut command = timed();
        command.args(["db", "snapshot"]).args(words);
        run_to_end(&mut command, &net.home().join(name))
    };
    let config_of = |name: &str| net.home().join(name).join("config.toml");
    let fifth_config = config_of("fifth");
    let export = [
        "export".as_ref(),
        "--config".as_ref(),
        fifth_config.as_os_str(),
        "--out".as_ref(),
        exported.as_os_str(),
    ];
    let (code, output) = db(&export, "export.txt");
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("Snapshot written"), "{output}");
    let mut seventh = joining(&net, "seventh", GUESTS + 2, &[1]);
    let seventh_config = config_of("seventh");
    let import = ["import".as_ref(), "--config".as_ref(), seventh_config.as_os_str(), exported.as_os_str()];
    let (code, output) = db(&import, "import.txt");
    assert_eq!(code, 0, "{output}");
    let (code, output) = db(&import, "again.txt");
    assert_eq!(code, 3, "it has begun: {output}");
    let mut check = timed();
    check.args(["db", "check", "--deep", "--config"]).arg(&seventh_config);
    let (code, output) = run_to_end(&mut check, &net.home().join("check.txt"));
    assert_eq!(code, 0, "{output}");
    seventh.start();
    assert!(!fetched(&seventh), "{}", seventh.log());
    seventh.wait_height(net.nodes[0].height());
    drop(seventh);
    let mut check = timed();
    check.args(["db", "check", "--deep", "--config"]).arg(&seventh_config);
    let (code, output) = run_to_end(&mut check, &net.home().join("check-later.txt"));
    assert_eq!(code, 0, "{output}");
    // A damaged one is named, and the index is built of another one: the node that was restarted above made some itself.
    let snapshots = net.home().join("fifth/data/snapshots");
    let newest = std::fs::read_dir(&snapshots).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    drop(fifth);
    assert!(std::fs::read_dir(&snapshots).unwrap().count() > 1, "two are kept");
    let spoil = |chunk: &Path| {
        let mut bytes = std::fs::read(chunk).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(chunk, bytes).unwrap();
    };
    spoil(&newest.join("chunk-000000"));
    let mut check = timed();
    check.args(["db", "check", "--config"]).arg(&fifth_config);
    let (code, output) = run_to_end(&mut check, &net.home().join("check-fifth.txt"));
    assert_eq!(code, 4, "{output}");
    assert!(output.contains("chunk-000000") && output.contains("rm -r"), "{output}");
    std::fs::remove_dir_all(net.home().join("fifth/data/index")).unwrap();
    let mut reindex = timed();
    reindex.args(["db", "reindex", "--config"]).arg(&fifth_config);
    let (code, output) = run_to_end(&mut reindex, &net.home().join("reindex-fifth.txt"));
    assert_eq!(code, 0, "{output}");

    // What is changed in it is found out.
    std::fs::remove_dir_all(home.join("data")).unwrap();
    let chunk = exported.read_dir().unwrap().next().unwrap().unwrap().path().join("chunk-000000");
    spoil(&chunk);
    let (code, output) = db(&import, "changed.txt");
    assert_eq!(code, 4, "{output}");
    assert!(output.contains("chunk-000000"), "{output}");
}

/// INV-STARTUP-1: whoever asks a node that starts learns what it is doing, and it stops when it is told.
#[test]
fn a_node_that_looks_for_a_snapshot_says_so_to_whoever_asks() {
    let net = Net::prepare(Needs::Ports, 4, |_| {});
    let mut early = joining(&net, "early", GUESTS, &[0]);
    early.spawn();
    let ask = |command: &str| {
        let mut command = timed_command(command, &early.config_path);
        run_to_end(&mut command, &net.home().join("asked"))
    };
    let looks = "the node is starting: asking peers for a snapshot";
    let status = wait_for("the first word of a node that starts", || {
        let (code, text) = ask("status");
        assert_ne!(code, 0, "nobody has one, so it takes its time: {text}");
        text.contains(looks).then_some(text)
    });
    assert!(status.contains("try again in a moment [-28 starting]"), "{status}");
    let (code, doctor) = ask("doctor");
    let found = doctor.contains(&format!("WARN  The node can't be asked yet: {looks}."));
    assert!(code == 0 && found, "a warning alone is no failure: {doctor}");
    assert!(!doctor.contains("start it"), "{doctor}");
    early.stop();
    assert!(!early.cookie_path().exists());
}

fn timed_command(command: &str, config: &Path) -> std::process::Command {
    let mut timed = timed();
    timed.args([command, "--config"]).arg(config);
    timed
}
