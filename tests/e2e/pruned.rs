//! A node that has left out its oldest blocks, and still knows what became of the payments in them.

use serde_json::{Value, json};
use timed::rpc::types::{BlockchainInfo, EventPage, TransactionStatus, TransactionStatusInfo, UtxoState};
use timed::storage::{BlockLog, RealDisk, SnapshotStore};
use timed::types::Height;

use crate::net::{Chain, Net, Node, wait_for};
use crate::snapshot::make_many;
use crate::turns::Needs;

/// Has the log begin with a block, as pruning does when the files before it are full.
fn leave_out_before(net: &Net, node: &Node, first: Height) {
    let blocks = node.data_dir().join("blocks");
    let log = BlockLog::open(RealDisk, &blocks, net.chain.id).unwrap();
    let kept: Vec<_> = (first..=log.height()).map(|height| log.read(height).unwrap().unwrap()).collect();
    drop(log);
    std::fs::remove_dir_all(&blocks).unwrap();
    let mut log = BlockLog::begin_at(RealDisk, &blocks, net.chain.id, &kept[0]).unwrap();
    log.append_all(&kept[1..]).unwrap();
}

/// The blocks of which a node has snapshots, in ascending order.
fn snapshots(node: &Node) -> Vec<Height> {
    let store = SnapshotStore::new(RealDisk, node.data_dir().join("snapshots"));
    // While the node runs, old ones may vanish under the look.
    let mut heights: Vec<Height> =
        store.list().unwrap_or_default().iter().map(|snapshot| snapshot.height()).collect();
    heights.sort_unstable();
    heights
}

/// INV-EVENTS-3.
#[test]
fn a_pruned_node_tells_what_became_of_the_payments_whose_blocks_it_has_no_more() {
    let mut document = timed::app::networks::devnet_genesis(4);
    document.parameters.epoch_duration_ms = 3_000;
    let mut net = Net::prepare_document(Needs::Ports, document, make_many);
    net.start_all();
    net.nodes[3].wait_height(1);
    net.nodes[3].wait_synced();
    let coin = net.chain.account(0);
    let payment = net.chain.spend(&coin, &coin.key, 1, "");
    let paid = Chain::coins(&payment, &coin.key).remove(0);
    let spending = net.chain.spend(&paid, &paid.key, 1, "");
    for one in [&payment, &spending] {
        net.nodes[3].send(one).unwrap();
        net.nodes[3].wait_confirmed(one.txid());
    }
    let status =
        |node: &Node| node.call::<TransactionStatusInfo>("gettransactionstatus", &[json!(spending.txid())]);
    let height = status(&net.nodes[3]).height.unwrap();
    assert!(status(&net.nodes[3]).block_hash.is_some());
    assert_eq!(net.nodes[3].utxo_state(paid.outpoint).value, Some(paid.value));
    // A log begins with the block of a snapshot at the latest.
    let behind = |node: &Node| snapshots(node).into_iter().find(|at| *at > height);
    let first = wait_for("a snapshot behind both payments", || behind(&net.nodes[3]));
    net.nodes[3].wait_height(first + 1);
    net.nodes[3].stop();
    let first = behind(&net.nodes[3]).unwrap();
    leave_out_before(&net, &net.nodes[3], first);
    net.nodes[3].start();
    net.nodes[3].wait_height(first + 2);

    let node = &net.nodes[3];
    let begins = node.call::<BlockchainInfo>("getblockchaininfo", &[]).pruneheight;
    assert!(begins > height, "the blocks of both payments are gone: it begins with {begins}");
    let told = status(node);
    assert_eq!(
        (told.status, told.height, told.block_hash),
        (TransactionStatus::Confirmed, Some(height), None)
    );
    let waited = [json!(spending.txid()), json!("confirmed"), json!(60_000)];
    let waited: TransactionStatusInfo = node.call("waitfortransaction", &waited);
    assert_eq!((waited.status, waited.height), (TransactionStatus::Confirmed, Some(height)));
    let spent = node.utxo_state(paid.outpoint);
    assert_eq!((spent.state, spent.spender), (UtxoState::Confirmed, Some(spending.txid())));
    assert_eq!((spent.value, spent.address), (None, None), "what made it is gone");
    for (method, asked) in [("getrawtransaction", json!(payment.txid())), ("getblockhash", json!(height))] {
        let refused = node.try_call::<Value>(method, &[asked]).unwrap_err().to_string();
        assert!(refused.contains("begins with block"), "{method}: {refused}");
    }
    let refused = node.try_call::<Value>("getfinalityproof", &[json!(payment.txid())]).unwrap_err();
    assert!(refused.to_string().contains("not here any more"), "{refused}");
    let page: EventPage = node.call("getfinalizedsince", &[json!("1+0")]);
    let missed = page.missed.unwrap();
    assert_eq!((missed.from_height, missed.to_height), (1, begins - 1));
    let page: EventPage = node.call("getfinalizedsince", &[json!(page.next_cursor)]);
    assert_eq!(page.missed, None);
}
