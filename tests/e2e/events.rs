//! Those who follow payments from a cursor: over crashes, from node to node, at the pace they like.

use std::collections::BTreeSet;

use serde_json::json;
use timed::rpc::types::{EventInfo, EventPage, TransactionStatus};
use timed::types::TxId;

use crate::net::{Net, Node, wait_for};
use crate::turns::Needs;

/// A program that keeps its cursor and what it was told.
struct Shop {
    cursor: String,
    told: BTreeSet<TxId>,
}

impl Shop {
    fn opens(node: &Node) -> Self {
        let page: EventPage = node.call("getfinalizedsince", &[]);
        Self { cursor: page.next_cursor, told: BTreeSet::new() }
    }

    /// Reads pages until there is nothing more at present, and asks about each payment at once.
    fn reads(&mut self, node: &Node, limit: usize) {
        loop {
            let params = [json!(self.cursor), json!(limit), json!(0)];
            let page: EventPage = node.call("getfinalizedsince", &params);
            assert_eq!(page.missed, None, "{}", self.cursor);
            for event in &page.events {
                let EventInfo::Final(payment) = event else { panic!("{event:?}") };
                let status = node.status_of(payment.txid);
                assert!(status >= TransactionStatus::Final, "{} was told and is {status:?}", payment.txid);
                self.told.insert(payment.txid);
            }
            let is_over = page.events.is_empty() && page.next_cursor == self.cursor;
            self.cursor = page.next_cursor;
            if is_over {
                return;
            }
        }
    }

    fn lacks(&self, payments: &[TxId]) -> Vec<TxId> {
        payments.iter().filter(|txid| !self.told.contains(txid)).copied().collect()
    }
}

/// INV-EVENTS-2.
#[test]
fn a_cursor_misses_no_payment_over_crashes_and_at_other_nodes() {
    let mut net = Net::running(Needs::Ports);
    let mut shop = Shop::opens(&net.nodes[0]);
    let mut slow = Shop::opens(&net.nodes[0]);
    let payer = net.pay_through(&[1, 2], 0);
    payer.wait_more(15);
    shop.reads(&net.nodes[0], 4);
    // Its own node dies while payments go on, and comes back.
    net.nodes[0].kill();
    payer.wait_more(15);
    net.nodes[0].start();
    net.nodes[0].wait_synced();
    payer.wait_more(15);
    shop.reads(&net.nodes[0], 1_000);
    payer.wait_more(5);
    drop(payer);
    // All of them die with payments that no block contains.
    let payer = net.pay_through(&[0, 3], 1);
    payer.wait_more(20);
    let paid = payer.finals();
    for node in &mut net.nodes {
        node.kill();
    }
    drop(payer);
    for node in &mut net.nodes {
        node.spawn();
    }
    for node in &mut net.nodes {
        node.connect();
    }
    for txid in &paid {
        net.nodes[0].wait_final(*txid);
    }
    wait_for("all that was paid", || {
        shop.reads(&net.nodes[0], 7);
        shop.lacks(&paid).is_empty().then_some(())
    });
    // Whoever slept through all of it, and asks another node.
    let told_before: Vec<TxId> = shop.told.iter().copied().collect();
    net.nodes[2].wait_height(net.nodes[0].height());
    wait_for("all of it from the beginning, at another node", || {
        slow.reads(&net.nodes[2], 5);
        slow.lacks(&told_before).is_empty().then_some(())
    });
    net.assert_one_chain();
}
