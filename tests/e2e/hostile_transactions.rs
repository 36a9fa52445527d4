//! Floods of transactions, and transactions that aim at other people's.

use std::sync::Arc;
use std::time::Duration;

use timed::runtime::Clock;
use timed::types::{Amount, Message, Transaction, TxId};
use timed::types::{Lock, TxOut};

use crate::hostile_messages::{any_signature, control, flood, output};
use crate::hostile_siege::{Attack, Siege, any_key, invented};
use crate::hostile_wire::{connect, send_until_closed};
use crate::net::{Chain, Coin};

/// Coins of the one who spends many of them again and again.
const CONFLICT_COINS: usize = 60;
/// How long an honest payment may take that an attack is aimed at.
const VICTIM_MAX: Duration = Duration::from_secs(15);

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "transactions without inputs", run: no_inputs },
        Attack { name: "control: orphans to nobody", run: orphans_to_nobody },
        Attack { name: "orphans with invented outputs", run: orphans },
        Attack { name: "transactions with bad signatures", run: bad_signatures },
        Attack { name: "copies of a payment with other witnesses", run: other_witnesses },
        Attack { name: "conflicts with many inputs", run: conflicts },
    ]
}

/// Transactions that spend nothing.
fn no_inputs(siege: &Siege) -> String {
    let key = any_key();
    flood(siege, |number| {
        let transaction = Transaction::transfer(Vec::new(), vec![output()], number.to_le_bytes().to_vec());
        Message::Transaction(Arc::new(transaction.signed(&siege.chain_id(), &[&key])))
    })
}

/// Families of transactions whose first spends an output that nobody made, each signed as it should be.
fn families(siege: &Siege) -> impl FnMut(u64) -> Message {
    let (key, chain_id) = (any_key(), siege.chain_id());
    let lock = Lock::KeyHash(key.public().key_hash());
    let mut parent = invented();
    move |number| {
        if number.is_multiple_of(4) {
            parent = invented();
        }
        let outputs = vec![TxOut { value: Amount(1_000_000_000 / (1 + number % 4)), lock }; 2];
        let transaction = Transaction::transfer(vec![parent], outputs, Vec::new()).signed(&chain_id, &[&key]);
        parent.txid = transaction.txid();
        Message::Transaction(Arc::new(transaction))
    }
}

/// Orphans and their descendants.
fn orphans(siege: &Siege) -> String {
    flood(siege, families(siege))
}

/// The same families, of which no node hears.
fn orphans_to_nobody(siege: &Siege) -> String {
    control(siege, families(siege))
}

/// Many transactions that all wait for the same output, and for a hundred others each.
pub fn rival_orphans(siege: &Siege) -> String {
    let key = any_key();
    let inputs: Vec<_> = (0..100).map(|_| invented()).collect();
    flood(siege, |number| {
        let memo = number.to_le_bytes().to_vec();
        let transaction = Transaction::transfer(inputs.clone(), vec![output()], memo);
        Message::Transaction(Arc::new(transaction.signed(&siege.chain_id(), &[&key])))
    })
}

/// Payments of other people's coins under signatures that don't hold.
fn bad_signatures(siege: &Siege) -> String {
    let coin = siege.chain().account(9);
    flood(siege, |number| {
        let memo = number.to_string();
        let mut payment = siege.chain().spend_paying(&coin, &coin.key, 1, &memo, Amount(10_000));
        payment.witnesses[0].signature = any_signature();
        Message::Transaction(Arc::new(payment))
    })
}

/// A payment of two keys, whose copies with other witnesses come first: it is final all the same.
fn other_witnesses(siege: &Siege) -> String {
    let (mut copies, mut payments) = (0, 0);
    while !siege.is_over() {
        let (one, other) = (siege.take_coin(), siege.take_coin());
        let other_key = any_key();
        // The second coin goes to another key, so that the payment has two witnesses.
        let moved = siege.chain().spend(&other, &other_key, 1, "");
        siege.honest().send(&moved).unwrap();
        siege.honest().wait_final(moved.txid());
        let moved = Chain::coins(&moved, &other_key).remove(0);
        let value = Amount(one.value.0 + moved.value.0 - 10_000);
        let lock = Lock::KeyHash(one.key.public().key_hash());
        let payment = Transaction::transfer(
            vec![one.outpoint, moved.outpoint],
            vec![TxOut { value, lock }],
            Vec::new(),
        )
        .signed(&siege.chain_id(), &[&one.key, &moved.key]);
        for copy in copies_of(siege, &payment) {
            copies += send_until_closed(&connect(siege), &[Message::Transaction(Arc::new(copy))]);
        }
        siege.honest().send(&payment).unwrap();
        assert_final_everywhere(siege, payment.txid());
        payments += 1;
        std::thread::sleep(Duration::from_millis(100));
    }
    format!("{payments} payments after {copies} copies")
}

fn copies_of(siege: &Siege, payment: &Transaction) -> Vec<Transaction> {
    let change = |change: fn(&mut Transaction)| {
        let mut copy = payment.clone();
        change(&mut copy);
        copy
    };
    let stranger = any_key();
    vec![
        change(|copy| copy.witnesses.clear()),
        change(|copy| copy.witnesses.truncate(1)),
        change(|copy| copy.witnesses[1].signature = copy.witnesses[0].signature),
        change(|copy| copy.witnesses.swap(0, 1)),
        change(|copy| copy.witnesses.push(copy.witnesses[0])),
        payment.clone().signed(&siege.chain_id(), &[&stranger]),
    ]
}

pub fn assert_final_everywhere(siege: &Siege, txid: TxId) {
    let until = Clock.instant() + VICTIM_MAX;
    for (number, node) in siege.net.nodes.iter().enumerate() {
        while node.status_of(txid) < timed::rpc::types::TransactionStatus::Final {
            assert!(Clock.instant() < until, "{txid} is {:?} at node {number}", node.status_of(txid));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// One owner spends any half of his coins again and again.
fn conflicts(siege: &Siege) -> String {
    let coins: Vec<Coin> = (0..CONFLICT_COINS).map(|_| siege.take_coin()).collect();
    let by_key = |coins: &[&Coin]| coins.iter().map(|coin| coin.key.clone()).collect::<Vec<_>>();
    flood(siege, |number| {
        let some: Vec<&Coin> = coins
            .iter()
            .enumerate()
            .filter(|(at, _)| (number >> (at % 16)) & 1 == 0 || *at == 0)
            .map(|(_, coin)| coin)
            .collect();
        let value = Amount(some.iter().map(|coin| coin.value.0).sum::<u64>() - 100_000);
        let inputs = some.iter().map(|coin| coin.outpoint).collect();
        let lock = Lock::KeyHash(coins[0].key.public().key_hash());
        let keys = by_key(&some);
        let transaction =
            Transaction::transfer(inputs, vec![TxOut { value, lock }], number.to_le_bytes().to_vec())
                .signed(&siege.chain_id(), &keys.iter().collect::<Vec<_>>());
        Message::Transaction(Arc::new(transaction))
    })
}

/// Everybody's coin together with one that nobody has, signed by a stranger: the coin's owner can still pay.
pub fn victims_coin(siege: &Siege) -> String {
    let (key, mut payments) = (any_key(), 0);
    while !siege.is_over() {
        let coins: Vec<Coin> = (0..3).map(|_| siege.take_coin()).collect();
        let peer = connect(siege);
        for coin in &coins {
            let transaction =
                Transaction::transfer(vec![coin.outpoint, invented()], vec![output()], Vec::new());
            let transaction = transaction.signed(&siege.chain_id(), &[&key]);
            let _sent = peer.send(&Message::Transaction(Arc::new(transaction)));
        }
        std::thread::sleep(Duration::from_millis(150));
        for (coin, node) in coins.iter().zip([siege.attacked(), siege.honest(), siege.attacked()]) {
            let payment = siege.chain().spend(coin, &coin.key, 1, "");
            let sent = node.send(&payment);
            assert!(sent.is_ok(), "the owner can't pay: {sent:?}");
            assert_final_everywhere(siege, payment.txid());
            payments += 1;
        }
    }
    format!("{payments} payments of victims")
}
