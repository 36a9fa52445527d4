//! More payments than the network can make final: what it took becomes final, the rest is refused as `busy`, blocks and epochs
//! go on, and when the crowd is gone each node takes a payment again.

use std::collections::BTreeMap;

use serde::Deserialize;
use timed::types::{ChainParameters, Height, SecretKey};

use crate::net::{Chain, Net, Process, timed, wait_for};
use crate::turns::Needs;

/// Offered a second at first; doubled until the network refuses. The crowd's own work is on the same cores: far more than the
/// network bears would leave it no time at all.
const RATE_FIRST: u32 = 1_000;
const RATE_MAX: u32 = 64_000;
const SECONDS: u32 = 8;

/// What `timed load --json` tells, as far as it is looked at.
#[derive(Deserialize)]
struct Report {
    accepted: u64,
    #[serde(rename = "final")]
    finalized: u64,
    rejected: u64,
    reasons: BTreeMap<String, u64>,
}

fn quick(parameters: &mut ChainParameters) {
    parameters.block_interval_ms = 500;
    parameters.epoch_duration_ms = 4_000;
}

fn offer(net: &Net, rate: u32) -> Report {
    let (report, progress) = (net.home().join("report.json"), net.home().join("progress.txt"));
    let file = |path| std::fs::File::create(path).unwrap();
    let (rate, seconds) = (rate.to_string(), format!("{SECONDS}s"));
    let mut command = timed();
    command.current_dir(net.home()).args(["load", "--json", "--rate", &rate, "--duration", &seconds]);
    let mut process = Process::spawn(command.stdout(file(&report)).stderr(file(&progress)));
    let code = wait_for("the end of the load", || process.exit_code());
    let told = std::fs::read_to_string(&progress).unwrap();
    assert_eq!(code, 0, "{told}");
    println!("{}", told.lines().last().unwrap_or_default());
    serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap()
}

fn epoch_at(net: &Net, height: Height) -> u64 {
    let header: serde_json::Value = net.nodes[0].call("getblockheader", &[height.into()]);
    header["epoch"].as_u64().unwrap()
}

#[test]
fn a_crowd_is_served_as_far_as_it_goes_and_leaves_nothing_behind() {
    let net = Net::running_with(Needs::Machine, quick);
    // The crowd pays with all coins of the accounts, so this one is somebody else's.
    let (source, own) = (net.chain.account(9), SecretKey::from_seed(&[9; 32]));
    let aside = net.chain.spend(&source, &own, 1, "aside");
    net.nodes[0].send(&aside).unwrap();
    net.nodes.iter().for_each(|node| node.wait_final(aside.txid()));
    let mut coin = Chain::coins(&aside, &own).remove(0);

    let mut rate = RATE_FIRST;
    let (before, report) = loop {
        let before = net.nodes[0].height();
        let report = offer(&net, rate);
        assert_eq!(report.finalized, report.accepted, "what was taken is final: {:?}", report.reasons);
        if report.rejected > 0 {
            break (before, report);
        }
        rate *= 2;
        assert!(rate <= RATE_MAX, "this test needs a machine on which a network can be overloaded");
    };
    let busy = report.reasons.get("busy").copied().unwrap_or(0);
    assert_eq!(busy, report.rejected, "refused for load and for nothing else: {:?}", report.reasons);
    let after = net.nodes[0].height();
    assert!(after > before + 1, "blocks did not wait for the crowd to go: {before} to {after}");
    wait_for("the end of the crowd's epoch", || {
        (epoch_at(&net, net.nodes[0].height()) > epoch_at(&net, before)).then_some(())
    });
    // At once, at each node: nobody is refused any more.
    for node in &net.nodes {
        let payment = net.chain.spend(&coin, &own, 1, "later");
        node.send(&payment).unwrap();
        net.nodes.iter().for_each(|node| node.wait_final(payment.txid()));
        coin = Chain::coins(&payment, &own).remove(0);
    }
    for node in &net.nodes {
        let pool: serde_json::Value = node.call("getmempoolinfo", &[]);
        assert!(pool["bytes"].as_u64().is_some_and(|bytes| bytes < 1 << 20), "{pool}");
    }
    net.assert_one_chain();
}
