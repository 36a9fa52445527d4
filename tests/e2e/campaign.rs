//! Real processes in trouble for as long as one likes: killed, stopped, paused, cut off, alone, in pairs and all at once, while
//! payments and double spends flow; in the end the key of one runs twice.
//!
//! `E2E_SECONDS=300 cargo test --test e2e campaign -- --nocapture` is the long one.

use std::collections::BTreeMap;
use std::time::Duration;

use timed::rpc::types::{NodeState, PeerInfo, PunishedInfo, TransactionStatus};
use timed::runtime::Clock;
use timed::types::{ChainParameters, Transaction};

use crate::copied_key::run_copy;
use crate::net::{Chain, Coin, Net, Node, Payer};
use crate::turns::Needs;

const NODES: usize = 5;
const SECONDS_DEFAULT: u64 = 30;
/// Coins for double spends.
const PAIRS_MAX: usize = 2_000;
const SPLIT: usize = 500;
/// Double spends between two troubles.
const PAIRS_A_TURN: usize = 5;
/// Payments that have to become final between two troubles.
const FINAL_A_TURN: usize = 5;
/// Far above what a node needs that runs for minutes, and far below what a leak takes.
const HANDLES_MAX: usize = 400;
const RESIDENT_MAX_KIB: u64 = 600_000;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// SplitMix64.
struct Random(u64);

impl Random {
    const fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    const fn node(&mut self) -> usize {
        self.below(NODES as u64) as usize
    }

    fn wait(&mut self, max_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.below(max_ms)));
    }
}

fn quick(parameters: &mut ChainParameters) {
    parameters.block_interval_ms = 1_000;
    parameters.epoch_duration_ms = 10_000;
}

fn make_coins(net: &Net) -> Vec<Coin> {
    let mut coins = Vec::new();
    for account in 4..4 + PAIRS_MAX / SPLIT {
        let source = net.chain.account(account);
        let split = net.chain.spend(&source, &source.key, SPLIT as u64, "coins");
        net.nodes[0].send(&split).unwrap();
        net.nodes.iter().for_each(|node| node.wait_final(split.txid()));
        coins.extend(Chain::coins(&split, &source.key));
    }
    coins
}

/// What goes wrong next; its name.
fn trouble(net: &mut Net, random: &mut Random) -> &'static str {
    let (one, other) = (random.node(), random.node());
    match random.below(12) {
        0..3 => {
            net.nodes[one].kill();
            random.wait(3_000);
            net.nodes[one].start();
            "killed"
        }
        3..6 => {
            net.nodes[one].process().pause();
            random.wait(4_000);
            net.nodes[one].process().resume();
            "paused"
        }
        6 | 7 => {
            net.nodes[one].stop();
            random.wait(2_000);
            net.nodes[one].start();
            "stopped"
        }
        8 => {
            // Two of five: no quorum.
            let other = if one == other { (one + 1) % NODES } else { other };
            net.nodes[one].kill();
            net.nodes[other].process().pause();
            random.wait(3_000);
            net.nodes[one].start();
            net.nodes[other].process().resume();
            "one killed and one paused"
        }
        9 | 10 => {
            let until = Clock.instant() + Duration::from_millis(random.below(3_000));
            while Clock.instant() < until {
                cut_off(&net.nodes[one]);
                std::thread::sleep(Duration::from_millis(20));
            }
            "cut off"
        }
        _ => {
            net.nodes.iter_mut().for_each(Node::kill);
            net.start_all();
            "all killed"
        }
    }
}

/// Ends all connections of a node; they are made again.
fn cut_off(node: &Node) {
    for peer in node.call::<Vec<PeerInfo>>("getpeerinfo", &[]) {
        // It may be gone by itself.
        drop(node.try_call::<()>("disconnectnode", &[peer.node_id.into()]));
    }
}

/// Sends two payments of one coin to two nodes.
fn double_spend(net: &Net, random: &mut Random, coin: &Coin) -> [Transaction; 2] {
    let pair = ["one", "other"].map(|memo| net.chain.spend(coin, &coin.key, 1, memo));
    let first = random.node();
    for (payment, node) in pair.iter().zip([first, (first + 1) % NODES]) {
        // It may have heard of the other one, or be busy with its start: then it says so.
        drop(net.nodes[node].send(payment));
    }
    pair
}

fn assert_resources(net: &Net, when: &str) {
    for node in net.live() {
        let (handles, resident_kib) = node.process().resources();
        println!("{when}: {} has {handles} file handles, {resident_kib} KiB", node.url());
        assert!(handles < HANDLES_MAX && resident_kib < RESIDENT_MAX_KIB, "{when}: {}", node.url());
    }
}

fn assert_sound(net: &Net, payers: &[Payer], pairs: &[[Transaction; 2]]) {
    let finals: Vec<_> = payers.iter().flat_map(Payer::finals).collect();
    println!("{} payments were final, {} coins were spent twice", finals.len(), pairs.len());
    // All nodes have one chain, so each payment is asked for at one of them.
    for (txid, node) in finals.iter().zip(net.nodes.iter().cycle()) {
        node.wait_confirmed(*txid);
    }
    for pair in pairs {
        let mut won = [false; 2];
        for node in &net.nodes {
            for (won, payment) in won.iter_mut().zip(pair) {
                *won |= node.status_of(payment.txid()) >= TransactionStatus::Final;
            }
        }
        assert_ne!(won, [true; 2], "both spends of one coin are final");
    }
    net.assert_one_chain();
}

#[test]
fn campaign_of_processes_in_trouble() {
    let seed = number("E2E_SEED", 1);
    let mut random = Random(seed);
    let mut net = Net::prepare(Needs::Ports, NODES, quick);
    net.start_all();
    net.nodes.iter().for_each(|node| node.wait_height(1));
    let mut coins = make_coins(&net);
    let payers = [0, 1, 2].map(|payer| net.pay_through(&[payer, payer + 1, payer + 2], payer));
    let (began, duration) = (Clock.instant(), Duration::from_secs(number("E2E_SECONDS", SECONDS_DEFAULT)));
    let mut troubles: BTreeMap<&str, usize> = BTreeMap::new();
    let mut pairs = Vec::new();
    while Clock.instant().saturating_duration_since(began) < duration {
        let what = trouble(&mut net, &mut random);
        *troubles.entry(what).or_default() += 1;
        for coin in coins.split_off(coins.len() - PAIRS_A_TURN.min(coins.len())) {
            pairs.push(double_spend(&net, &mut random, &coin));
        }
        payers.iter().for_each(|payer| payer.wait_more(FINAL_A_TURN));
        if troubles.values().sum::<usize>() == 5 {
            assert_resources(&net, "soon");
        }
    }
    println!("seed {seed}: {troubles:?}");
    assert_resources(&net, "in the end");
    let height = net.nodes.iter().map(|node| node.height()).max().unwrap();
    net.nodes.iter().for_each(|node| node.wait_height(height + 10));
    assert_sound(&net, &payers, &pairs);
    let punished: Vec<PunishedInfo> = net.nodes[0].call("listevidence", &[]);
    assert!(punished.is_empty(), "nobody was faulty: {punished:?}");

    let copied = NODES - 1;
    net.nodes[copied].wait_state(NodeState::Voting);
    let copy = run_copy(&net, "copy");
    payers.iter().for_each(|payer| payer.wait_more(FINAL_A_TURN));
    drop(copy);
    assert_sound(&net, &payers, &pairs);
    let punished: Vec<PunishedInfo> = net.nodes[0].call("listevidence", &[]);
    assert!(punished.is_empty(), "the two did not contradict each other: {punished:?}");
}
