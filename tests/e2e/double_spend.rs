//! Pairs of payments that spend the same coin, sent to two nodes at once.

use std::collections::BTreeSet;

use serde_json::json;
use timed::rpc::types::{BlockInfo, BlockTransaction, TransactionStatus, TransactionStatusInfo};
use timed::types::{SecretKey, Transaction, TxId};

use crate::net::{Chain, Coin, Net, wait_for};
use crate::turns::Needs;

const PAIRS_DEFAULT: usize = 100;
/// Outputs of one transaction that makes coins.
const SPLIT: usize = 500;
/// Pairs that are sent at once.
const BURST: usize = 20;

struct Pair {
    coin: Coin,
    payments: [Transaction; 2],
}

impl Pair {
    fn statuses(&self, net: &Net, node: usize) -> [TransactionStatus; 2] {
        [0, 1].map(|side| net.nodes[node].status_of(self.payments[side].txid()))
    }
}

fn make_pairs(net: &Net, count: usize) -> Vec<Pair> {
    let receivers = [SecretKey::from_seed(&[51; 32]), SecretKey::from_seed(&[52; 32])];
    let mut pairs = Vec::with_capacity(count);
    for account in 0.. {
        let missing = (count - pairs.len()).min(SPLIT);
        if missing == 0 {
            return pairs;
        }
        let source = net.chain.account(account);
        let split = net.chain.spend(&source, &source.key, missing as u64, "");
        net.nodes[0].send(&split).unwrap();
        for node in &net.nodes {
            node.wait_final(split.txid());
        }
        for coin in Chain::coins(&split, &source.key) {
            let payments = [0, 1].map(|side: usize| {
                net.chain.spend(&coin, &receivers[side], 1, ["to one", "to the other"][side])
            });
            pairs.push(Pair { coin, payments });
        }
    }
    pairs
}

/// Sends each side of a burst to its own node at once.
fn race(net: &Net, pairs: &[Pair], first: usize) {
    std::thread::scope(|scope| {
        for side in 0..2 {
            let node = &net.nodes[(first + side) % net.nodes.len()];
            scope.spawn(move || {
                let payments: Vec<Transaction> =
                    pairs.iter().map(|pair| pair.payments[side].clone()).collect();
                for answer in node.send_many(&payments) {
                    // The other one may have been here first.
                    if let Err(error) = answer {
                        let text = error.to_string();
                        assert!(text.contains("[-25 "), "{text}");
                    }
                }
            });
        }
    });
}

/// Every transaction in the chain, which is the same at all nodes.
fn in_chain(net: &Net) -> BTreeSet<TxId> {
    let height = net.assert_one_chain();
    let mut found = BTreeSet::new();
    for at in 1..=height {
        let block: BlockInfo = net.nodes[0].call("getblock", &[json!(at)]);
        for transaction in block.tx {
            let BlockTransaction::Id(txid) = transaction else { panic!("verbosity 1 gives names") };
            assert!(found.insert(txid), "{txid} is in the chain twice");
        }
    }
    found
}

/// No node may take both sides, nor two nodes one each; tells how many pairs are decided.
fn decided(net: &Net, pairs: &[Pair]) -> usize {
    let mut count = 0;
    for pair in pairs {
        let mut won = BTreeSet::new();
        for node in 0..net.nodes.len() {
            let statuses = pair.statuses(net, node);
            won.extend((0..2).filter(|side| statuses[*side] >= TransactionStatus::Final));
        }
        assert!(won.len() <= 1, "both spends of {} are final or in a block", pair.coin.outpoint);
        count += won.len();
    }
    count
}

#[test]
fn of_two_spends_at_most_one_is_ever_final_and_the_coin_is_not_lost() {
    let count =
        std::env::var("E2E_PAIRS").map_or(PAIRS_DEFAULT, |text| text.parse().expect("a number of pairs"));
    let mut net = Net::running_with(Needs::Ports, |parameters| {
        parameters.epoch_duration_ms = 5_000;
        parameters.block_interval_ms = 1_000;
    });
    let pairs = make_pairs(&net, count);
    for (index, burst) in pairs.chunks(BURST).enumerate() {
        race(&net, burst, index);
    }
    let early = decided(&net, &pairs);
    eprintln!("{early} of {count} pairs were decided at once");

    // The next epoch frees what two conflicting spends had tied up.
    let resolved = wait_for("the end of every race", || {
        let resolved = decided(&net, &pairs);
        let forgotten = pairs
            .iter()
            .filter(|pair| (0..4).all(|node| pair.statuses(&net, node) == [TransactionStatus::Unknown; 2]));
        (resolved + forgotten.count() == count).then_some(resolved)
    });
    eprintln!("{resolved} of {count} pairs have a winner");
    for pair in &pairs {
        let won = (0..2).find(|side| pair.statuses(&net, 0)[*side] >= TransactionStatus::Final);
        if won.is_none() && decided(&net, std::slice::from_ref(pair)) == 0 {
            let again = net.chain.spend(&pair.coin, &pair.coin.key, 1, "again");
            net.nodes[0].send(&again).unwrap();
            net.nodes[0].wait_final(again.txid());
        }
    }

    // What was final gets into the chain, alone.
    for pair in &pairs {
        for side in 0..2 {
            let txid = pair.payments[side].txid();
            if net.nodes[0].status_of(txid) == TransactionStatus::Final {
                net.nodes[0].wait_confirmed(txid);
            }
        }
    }
    let chain = in_chain(&net);
    let mut winners = 0;
    for pair in &pairs {
        let sides = pair.payments.iter().filter(|payment| chain.contains(&payment.txid())).count();
        assert!(sides <= 1, "both spends of {} are in the chain", pair.coin.outpoint);
        winners += sides;
    }
    assert!(winners >= resolved, "{winners} in the chain, {resolved} were final");
    assert_eq!(decided(&net, &pairs), winners);
    let told =
        |net: &Net| -> Vec<_> { pairs.iter().flat_map(|pair| losers_told(net, pair, &chain)).collect() };
    let before = told(&net);
    assert!(winners == 0 || !before.is_empty(), "no node says of any loser who has its coin");
    for node in &mut net.nodes {
        node.stop();
        node.start();
    }
    assert_eq!(told(&net), before, "after a restart they say the same");
}

/// Which nodes say of a pair's loser that it can never be final, and why.
fn losers_told(net: &Net, pair: &Pair, chain: &BTreeSet<TxId>) -> Vec<(usize, TxId)> {
    let txids = [0, 1].map(|side: usize| pair.payments[side].txid());
    let Some(won) = (0..2).find(|side| chain.contains(&txids[*side])) else { return Vec::new() };
    let loser = txids[1 - won];
    let infos = net
        .nodes
        .iter()
        .map(|node| node.call::<TransactionStatusInfo>("gettransactionstatus", &[json!(loser)]));
    let told = infos.enumerate().filter(|(_, info)| {
        assert!(info.status <= TransactionStatus::Pending);
        assert_eq!(info.winner.is_some(), info.status == TransactionStatus::Conflicted);
        assert!(info.winner.is_none_or(|winner| winner == txids[won]));
        info.winner.is_some()
    });
    told.map(|(node, _)| (node, loser)).collect()
}
