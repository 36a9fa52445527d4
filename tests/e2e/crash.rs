//! Nodes that are killed while payments flow.

use std::time::Duration;

use timed::rpc::types::{NodeState, TransactionStatus, UtxoState};
use timed::types::BlockHash;

use crate::net::{Chain, Net, wait_for};
use crate::turns::Needs;

fn wait_voting(net: &Net, node: usize) {
    wait_for("a node that votes", || {
        (net.nodes[node].node_status().state == NodeState::Voting).then_some(())
    });
}

#[test]
fn one_of_four_is_killed_and_comes_back() {
    let mut net = Net::running(Needs::Ports);
    let payer = net.pay_through(&[0, 1, 2], 0);
    payer.wait_more(20);
    net.nodes[3].kill();
    let height = net.nodes[0].height();
    payer.wait_more(20);
    net.nodes[0].wait_height(height + 3);

    net.nodes[3].start();
    net.nodes[3].wait_height(net.nodes[0].height());
    wait_voting(&net, 3);
    assert!(net.assert_one_chain() >= height + 3);
    // Three remain, and each is needed: its votes count.
    drop(payer);
    net.nodes[2].kill();
    let payer = net.pay_through(&[3, 0], 1);
    payer.wait_more(20);
    let height = net.nodes[3].height();
    net.nodes[3].wait_height(height + 2);
    net.assert_one_chain();
    for txid in payer.finals() {
        net.nodes[3].wait_final(txid);
    }
}

#[test]
fn without_a_quorum_all_waits_and_says_so_and_goes_on_with_it() {
    let mut net = Net::running(Needs::Ports);
    let payer = net.pay_through(&[0, 1], 0);
    payer.wait_more(10);
    drop(payer);
    net.nodes[2].kill();
    net.nodes[3].kill();
    let coin = net.chain.account(1);
    let payment = net.chain.spend(&coin, &coin.key, 1, "");
    net.nodes[0].send(&payment).unwrap();
    wait_for("what is missing", || {
        let status = net.nodes[0].node_status();
        let told =
            status.reasons.iter().any(|reason| reason.contains("2 of 3 needed masternodes are active"));
        (told && status.state == NodeState::Waiting).then_some(())
    });
    let height = net.nodes[0].height();
    // Long enough for three blocks.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!((net.nodes[0].height(), net.nodes[1].height()), (height, height));
    for node in net.live() {
        assert!(node.status_of(payment.txid()) <= TransactionStatus::Pending);
        assert_eq!(node.utxo_state(coin.outpoint).state, UtxoState::SpentPending);
    }
    let log = net.nodes[0].log();
    let waiting = log.lines().find(|line| line.contains("Waiting for masternodes")).expect("it is said");
    assert!(waiting.contains("of 3 needed masternodes"), "{waiting}");

    net.nodes[3].start();
    for node in net.live() {
        node.wait_final(payment.txid());
        node.wait_confirmed(payment.txid());
        node.wait_height(height + 2);
    }
    wait_voting(&net, 0);
    net.assert_one_chain();
}

#[test]
fn all_are_killed_at_once_and_nothing_final_is_lost() {
    let mut net = Net::running(Needs::Ports);
    let payers = [net.pay_through(&[0, 1, 2, 3], 0), net.pay_through(&[2, 3, 0, 1], 1)];
    net.nodes[0].wait_height(net.nodes[0].height() + 2);
    for payer in &payers {
        payer.wait_more(20);
    }
    let heights: Vec<(u64, BlockHash)> =
        net.nodes.iter().map(|node| (node.height(), node)).map(|(at, node)| (at, node.hash_at(at))).collect();
    for node in &mut net.nodes {
        node.kill();
    }
    let finals: Vec<_> = payers.iter().flat_map(|payer| payer.finals()).collect();
    drop(payers);

    net.start_all();
    for node in &net.nodes {
        for (height, hash) in &heights {
            node.wait_height(*height);
            assert_eq!(node.hash_at(*height), *hash);
        }
        for txid in &finals {
            node.wait_final(*txid);
        }
    }
    let top = heights.iter().map(|(height, _)| *height).max().unwrap();
    for node in &net.nodes {
        node.wait_height(top + 2);
        for txid in &finals {
            node.wait_confirmed(*txid);
        }
    }
    net.assert_one_chain();
    let coin = net.chain.account(2);
    let payment = net.chain.spend(&coin, &coin.key, 1, "");
    net.nodes[1].send(&payment).unwrap();
    net.nodes[3].wait_final(payment.txid());
    assert_eq!(Chain::coins(&payment, &coin.key).len(), 1);
}
