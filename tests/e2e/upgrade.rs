//! The rehearsal of an upgrade: four nodes under load, replaced one by one by a program that knows rules which then come into
//! force.
//!
//! It needs the second program: `cargo build --features next-rules`, and the copy of `target/debug/timed` that this makes as
//! `E2E_NEXT=/path/to/it cargo test --test e2e upgrade -- --nocapture`. CI does that. Without it the test says that it was
//! skipped.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use timed::cli::rpc_client::RpcCommandError;
use timed::rpc::finality_proof::FinalityProofInfo;
use timed::rpc::types::{BlockchainInfo, HeaderInfo, NodeState, PeerInfo, RulesInfo};
use timed::runtime::Clock;
use timed::types::limits::OUTPUT_VALUE_MIN;
use timed::types::{Amount, ChainParameters, Epoch, Height, Lock, RuleVersion, Transaction, TxId, TxOut};

use crate::net::{Chain, Coin, Net, Node, run_to_end, timed_of, wait_for};
use crate::turns::{GUESTS, Needs};

const OLD: RuleVersion = RuleVersion::FIRST;
const NEXT: RuleVersion = RuleVersion::DUST;
/// Accounts of the devnet: two that pay all the time, and one for each payment of dust.
const PAYERS: [usize; 2] = [0, 1];
const DUST_BEFORE: usize = 2;
const DUST_AFTER: usize = 3;

fn quick(parameters: &mut ChainParameters) {
    parameters.block_interval_ms = 500;
    parameters.epoch_duration_ms = 6_000;
}

fn rules(node: &Node) -> RulesInfo {
    node.call::<BlockchainInfo>("getblockchaininfo", &[]).rules
}

fn header(node: &Node, height: Height) -> HeaderInfo {
    node.call("getblockheader", &[json!(node.hash_at(height))])
}

/// Pays less than an output may be worth under the new rules.
fn dust(chain: &Chain, coin: &Coin) -> Transaction {
    let lock = Lock::KeyHash(coin.key.public().key_hash());
    let rest = Amount(coin.value.0 - OUTPUT_VALUE_MIN.0 - 1_000);
    let values = [Amount(OUTPUT_VALUE_MIN.0 - 1), rest];
    let outputs = values.into_iter().map(|value| TxOut { value, lock }).collect();
    Transaction::transfer(vec![coin.outpoint], outputs, Vec::new()).signed(&chain.id, &[&coin.key])
}

/// A full node that nobody upgrades.
fn observer(net: &Net) -> Node {
    let home = net.home().join("observer");
    std::fs::create_dir(&home).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
    std::fs::copy(shipped, home.join("config.toml")).unwrap();
    let mut observer = Node::new(home.join("config.toml"), net.port(GUESTS) + 1);
    observer.start();
    observer
}

/// Stops a node, and starts it again with another program: from the order to stop until it votes.
fn upgrade(node: &mut Node, next: &Path) -> Duration {
    let began = Clock.instant();
    node.stop();
    node.program = next.to_owned();
    node.start();
    node.wait_state(NodeState::Voting);
    Clock.instant() - began
}

/// The heights of the last block under the old rules and of the first under the new ones.
fn turn_of_rules(node: &Node, epoch: Epoch) -> (Height, Height) {
    let first = (1..=node.height()).find(|height| header(node, *height).epoch == epoch).unwrap();
    (first - 1, first)
}

/// Whether a program finds that a proof holds.
fn accepts(net: &Net, program: &Path, proof: &FinalityProofInfo) {
    let file = net.home().join("proof.json");
    std::fs::write(&file, serde_json::to_string(proof).unwrap()).unwrap();
    let mut command = timed_of(program);
    command.arg("verify-proof").arg(&file).arg("--genesis").arg(net.home().join("devnet/genesis.toml"));
    let (code, said) = run_to_end(&mut command, &net.home().join("said"));
    assert_eq!(code, 0, "{}: {said}", program.display());
}

/// The node has stopped by itself, says why, and does not start again with the same program.
fn stopped_for_new_rules(node: &mut Node, epoch: Epoch) {
    let code = wait_for("the end of the old program", || node.exit_code());
    let why = format!(
        "the chain follows rules {NEXT} from epoch {epoch} on, and this program knows rules up to {OLD}"
    );
    let log = node.log();
    assert!(code == 1 && log.contains(&why), "exit code {code}: {log}");
    assert!(log.contains(&format!("rules {NEXT} come into force with epoch")), "it has warned: {log}");
    node.kill();
    node.spawn();
    let code = wait_for("the refusal of the old program", || node.exit_code());
    assert!(code == 3 && node.log().matches(&why).count() >= 2, "exit code {code}: {}", node.log());
    node.kill();
}

#[test]
fn four_nodes_are_upgraded_one_by_one_under_load_until_new_rules_are_in_force() {
    let Some(next) = std::env::var_os("E2E_NEXT").map(PathBuf::from) else {
        println!("skipped: E2E_NEXT names no program that was built with --features next-rules");
        return;
    };
    let old = PathBuf::from(env!("CARGO_BIN_EXE_timed"));
    let mut net = Net::running_with(Needs::DevnetPorts, quick);
    let mut observer = observer(&net);
    let payers = PAYERS.map(|account| net.pay_through(&[0, 1, 2, 3], account));
    payers.iter().for_each(|payer| payer.wait_more(20));
    assert_eq!(rules(&net.nodes[0]).known, OLD);

    let mut restarts = Vec::new();
    for place in 0..net.nodes.len() {
        restarts.push(upgrade(&mut net.nodes[place], &next));
        payers.iter().for_each(|payer| payer.wait_more(10));
        if place == 1 {
            // Half of them are not enough, however long one waits; and what the new rules forbid is a payment like any other.
            let payment = dust(&net.chain, &net.chain.account(DUST_BEFORE));
            net.nodes[0].send(&payment).unwrap();
            net.nodes.iter().for_each(|node| node.wait_final(payment.txid()));
            let info = rules(&net.nodes[2]);
            assert_eq!((info.in_force, info.pending, info.known), (OLD, None, OLD), "two of four");
        }
    }
    let peers: Vec<PeerInfo> = net.nodes[0].call("getpeerinfo", &[]);
    assert!(peers.iter().all(|peer| peer.version == timed::network::PROTOCOL_VERSION), "{peers:?}");

    let pending = wait_for("rules that are to come", || rules(&net.nodes[0]).pending);
    assert_eq!(pending.version, NEXT);
    wait_for("the old program's warning", || {
        let info: BlockchainInfo = observer.try_call("getblockchaininfo", &[]).ok()?;
        info.warnings.iter().any(|warning| warning.contains("the node stops there")).then_some(())
    });
    let in_force = wait_for("new rules", || Some(rules(&net.nodes[0])).filter(|info| info.in_force == NEXT));
    assert!(in_force.since_epoch >= pending.epoch, "{in_force:?} after {pending:?}");
    payers.iter().for_each(|payer| payer.wait_more(30));

    stopped_for_new_rules(&mut observer, in_force.since_epoch);
    let (last, first) = turn_of_rules(&net.nodes[0], in_force.since_epoch);
    for node in &net.nodes {
        let (before, after) = (header(node, last), header(node, first));
        assert_eq!((before.rules, before.epoch_end, after.rules), (OLD, true, NEXT), "{}", node.url());
    }
    // The same kind of payment as before.
    let refused = net.nodes[1].send(&dust(&net.chain, &net.chain.account(DUST_AFTER)));
    let Err(RpcCommandError::Refused { code: -26, message, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(message.contains("below the least value"), "{message}");

    // What was final is, on both sides; each program proves it.
    let finals: Vec<Vec<TxId>> = payers.iter().map(|payer| payer.finals()).collect();
    let pauses: Vec<(Duration, usize)> = payers.iter().map(|payer| payer.longest_pause()).collect();
    drop(payers);
    for txid in finals.iter().flat_map(|of| [of[0], *of.last().unwrap()]) {
        net.nodes.iter().for_each(|node| node.wait_confirmed(txid));
        let proof: FinalityProofInfo = net.nodes[3].call("getfinalityproof", &[json!(txid)]);
        accepts(&net, &old, &proof);
        accepts(&net, &next, &proof);
    }
    // The late one goes on where it stopped, over the turn of the rules.
    observer.program = next;
    observer.start();
    observer.wait_height(net.nodes[0].height());
    net.nodes.push(observer);
    assert!(net.assert_one_chain() > first);
    let status: Value = net.nodes[4].call("getblockchaininfo", &[]);
    assert_eq!(status["rules"]["in_force"], json!(NEXT), "{status}");

    let slowest = restarts.iter().max().unwrap();
    let (longest, _) = pauses.iter().max().unwrap();
    let count: usize = pauses.iter().map(|(_, count)| count).sum();
    println!(
        "restarts {restarts:?}; rules {NEXT} pending for epoch {}, in force from epoch {} (block {first}); {count} payments \
         final one after the other, the longest pause {longest:?}",
        pending.epoch, in_force.since_epoch
    );
    // Two durations of this very run, on the same machine.
    assert!(longest <= slowest, "finality paused for {longest:?}, a restart takes {slowest:?}");
}
