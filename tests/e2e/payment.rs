//! A payment from submission to its block, and one that spends it before there is a block.

use serde_json::json;
use timed::rpc::types::{
    BlockInfo, HeaderInfo, NetTotals, RawTransactionInfo, ResourceInfo, TransactionStatus,
    TransactionStatusInfo, UtxoState,
};
use timed::types::{Amount, Lock, SecretKey, Transaction};

use crate::net::{Chain, Coin, Net, Node, wait_for};
use crate::turns::Needs;

/// The blocks come every two seconds, and both payments take milliseconds: one of so many attempts fits in between.
const ATTEMPTS: u8 = 8;

/// Bytes from peers and syncs of the logs, so far.
fn taken(node: &Node) -> (u64, u64) {
    let totals: NetTotals = node.call("getnettotals", &[]);
    let resources: ResourceInfo = node.call("getresourceinfo", &[]);
    (totals.total_bytes_received, resources.log_syncs)
}

/// What a transaction spends is told with it, in the pool and in a block.
fn assert_tells_inputs(node: &Node, spending: &Transaction, coin: &Coin) {
    let info: RawTransactionInfo = node.call("getrawtransaction", &[json!(spending.txid()), json!(true)]);
    let [spent] = info.transaction.vin.as_slice() else { panic!("{info:?}") };
    assert_eq!((spent.txid, spent.vout), (coin.outpoint.txid, coin.outpoint.index));
    assert_eq!(spent.value, Some(coin.value), "{info:?}");
    assert!(spent.address.is_some_and(|address| address.lock == Lock::KeyHash(coin.key.public().key_hash())));
    let paid: u64 = spending.outputs.iter().map(|output| output.value.0).sum();
    assert_eq!(info.transaction.fee, Some(Amount(coin.value.0 - paid)));
}

/// A transaction names its block and that one's time, as the block does, and the block before names it as the next one.
fn assert_tells_block(node: &Node, status: &TransactionStatusInfo) {
    let told: RawTransactionInfo = node.call("getrawtransaction", &[json!(status.txid), json!(true)]);
    let block: BlockInfo = node.call("getblock", &[json!(status.block_hash)]);
    assert_eq!(told.block_hash, status.block_hash);
    assert_eq!((told.time, told.block_time), (Some(block.time / 1_000), Some(block.time / 1_000)));
    let before: HeaderInfo = node.call("getblockheader", &[json!(block.height - 1)]);
    assert_eq!(before.next_block_hash, status.block_hash);
}

#[test]
fn a_payment_is_final_before_its_block_and_so_is_one_that_spends_it() {
    let net = Net::running(Needs::Ports);
    let before: Vec<(u64, u64)> = net.nodes.iter().map(taken).collect();
    let (receiver, third) = (SecretKey::from_seed(&[41; 32]), SecretKey::from_seed(&[42; 32]));
    let mut coin = net.chain.account(0);
    for attempt in 0..ATTEMPTS {
        net.nodes[0].wait_height(net.nodes[0].height() + 1);
        let payment = net.chain.spend(&coin, &coin.key, 2, "");
        let paid = Chain::coins(&payment, &coin.key);
        // The other half goes to somebody who never had anything.
        let payment_to_receiver = net.chain.spend(&paid[1], &receiver, 1, "to the receiver");
        let received = Chain::coins(&payment_to_receiver, &receiver).remove(0);
        let child = net.chain.spend(&received, &third, 1, "spent at once");

        net.nodes[0].send(&payment).unwrap();
        net.nodes[0].wait_final(payment.txid());
        net.nodes[0].send(&payment_to_receiver).unwrap();
        net.nodes[0].wait_final(payment_to_receiver.txid());
        // The receiver talks to another node, where the payment may be a moment later.
        net.nodes[2].wait_final(payment_to_receiver.txid());
        net.nodes[2].send(&child).unwrap();
        net.nodes[2].wait_final(child.txid());
        assert_tells_inputs(&net.nodes[2], &child, &received);
        let parent = net.nodes[2].status_of(payment_to_receiver.txid());
        coin = paid[0].clone();
        if parent != TransactionStatus::Final {
            assert!(attempt + 1 < ATTEMPTS, "no child was final before its parent's block");
            continue;
        }
        for node in &net.nodes {
            for txid in [payment.txid(), payment_to_receiver.txid(), child.txid()] {
                node.wait_final(txid);
                node.wait_confirmed(txid);
                let params = [json!(txid)];
                let info: TransactionStatusInfo = node.call("gettransactionstatus", &params);
                assert_eq!(info.block_hash, info.height.map(|height| node.hash_at(height)));
                assert!(info.confirmations >= 1);
                assert_tells_block(node, &info);
            }
            assert_tells_inputs(node, &child, &received);
            let state = |outpoint| node.utxo_state(outpoint);
            assert_eq!(state(received.outpoint).state, UtxoState::Confirmed);
            assert_eq!(state(received.outpoint).spender, Some(child.txid()));
            let last = state(Chain::coins(&child, &third)[0].outpoint);
            assert_eq!((last.state, last.spender), (UtxoState::Unspent, None));
        }
        for (node, (received, syncs)) in net.nodes.iter().zip(&before) {
            let now = taken(node);
            assert!(now.0 > *received && now.1 > *syncs, "three payments with their votes: {now:?}");
        }
        net.assert_one_chain();
        return;
    }
}

fn rank(state: UtxoState) -> u8 {
    match state {
        UtxoState::Unknown => panic!("the output is there from the beginning"),
        UtxoState::Unspent => 0,
        UtxoState::Locked => 1,
        UtxoState::SpentPending => 2,
        UtxoState::SpentFinalized => 3,
        UtxoState::Confirmed => 4,
    }
}

#[test]
fn an_output_goes_through_its_states_in_order() {
    let net = Net::running(Needs::Ports);
    let mut coin = net.chain.account(1);
    for attempt in 0..ATTEMPTS {
        let mut seen = vec![net.nodes[1].utxo_state(coin.outpoint).state];
        assert_eq!(seen, [UtxoState::Unspent]);
        net.nodes[0].wait_height(net.nodes[0].height() + 1);
        let payment = net.chain.spend(&coin, &coin.key, 1, "");
        net.nodes[0].send(&payment).unwrap();
        wait_for("the spend's block", || {
            let info = net.nodes[1].utxo_state(coin.outpoint);
            if info.state != UtxoState::Unspent {
                assert_eq!(info.spender, Some(payment.txid()));
            }
            seen.push(info.state);
            (info.state == UtxoState::Confirmed).then_some(())
        });
        assert!(seen.windows(2).all(|pair| rank(pair[0]) <= rank(pair[1])), "{seen:?}");
        if seen.contains(&UtxoState::SpentFinalized) {
            return;
        }
        assert!(attempt + 1 < ATTEMPTS, "never final before the block: {seen:?}");
        coin = Chain::coins(&payment, &coin.key).remove(0);
        net.nodes[1].wait_confirmed(payment.txid());
    }
}
