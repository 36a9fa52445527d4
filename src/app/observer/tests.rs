//! What the core decides is told to whoever shows it or waits for it.

use std::sync::mpsc::sync_channel;

use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::admission::AdmissionInbox;
use crate::app::networks::{devnet_account_keys, devnet_genesis};
use crate::consensus::fixtures::block;
use crate::mempool::PoolLimits;
use crate::network::tests::support::Node as Peer;
use crate::storage::Index;
use crate::storage::memory_index::MemoryIndex;
use crate::types::keys::SequentialVerifier;
use crate::types::{Amount, BlockHash, Released, Transaction, TxOut};

/// An observer of a new chain, with a payment on its way there.
struct Watched {
    observer: NodeObserver,
    payment: CheckedTransaction,
    _inbox: AdmissionInbox,
}

fn watched(peer: &Peer) -> Watched {
    let genesis = devnet_genesis(4);
    let (state, outputs) = LedgerState::genesis(&genesis).unwrap();
    let (outpoint, entry) = outputs[0];
    let output = TxOut { value: Amount(entry.output.value.0 - 1_000), ..entry.output };
    let payment = Transaction::transfer(vec![outpoint], vec![output], Vec::new());
    let payment = Arc::new(payment.signed(state.chain_id(), &[&devnet_account_keys()[0]]));
    let payment =
        CheckedTransaction::check(payment, state.chain_id(), state.parameters(), &SequentialVerifier)
            .unwrap();
    let utxos = Arc::new(UtxoManager::new(Arc::new(Index::new(Arc::new(MemoryIndex::new()))), 1 << 20));
    utxos.apply_block(0, &outputs, &[]);
    let pool = Arc::new(TransactionPool::new(PoolLimits::default()));
    let latency = Arc::new(VoteLatency::new(state.validators(), Clock.instant()));
    let feeds = (Arc::new(Feeds::default()), Arc::new(EventLog::new(1, 0)), latency);
    let (admission, inbox) = AdmissionHandle::new(&PublicKey([7; 32]));
    // No block is applied here, so nothing is sent.
    let (blocks, _) = sync_channel(1);
    let order = (blocks, TaskRegistry::new(CancellationToken::new()));
    let around = (admission, peer.handle.clone());
    let observer = NodeObserver::new(utxos, pool, feeds, around, None, &state, order);
    Watched { observer, payment, _inbox: inbox }
}

/// INV-LOAD-1: neither of two rivals says anything of the network's load.
#[tokio::test]
async fn neither_of_two_rivals_keeps_a_place_at_the_door_nor_does_what_was_dropped() {
    let peer = Peer::start(1).await;
    let Watched { mut observer, payment, .. } = watched(&peer);
    let [first, dropped] = [1, 3].map(|byte| TxId([byte; 32]));
    let second = payment.txid();
    [first, second, dropped].iter().for_each(|txid| observer.admission.flies(*txid));
    let start = observer.events.head();
    observer.notified(Notification::Conflicting { transaction: payment, locked_to: first });
    let told = observer.events.told_since(start);
    let [Happened::Doublespend { second: (name, Some(_)), .. }] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(*name, second, "all of the second one is told, which no pool has");
    assert_eq!(observer.admission.flying(), 1);
    observer.notified(Notification::Dropped(dropped, DropReason::Expired));
    assert_eq!(observer.admission.flying(), 0);
}

/// INV-FEEDS-2: who waits for a payment learns at once that it will never be final.
#[tokio::test]
async fn whoever_watches_a_payment_hears_of_each_thing_that_becomes_of_it() {
    let peer = Peer::start(1).await;
    let Watched { mut observer, payment, .. } = watched(&peer);
    let txid = payment.txid();
    let notifications = [
        Notification::Certified(txid),
        Notification::Finalized(payment.clone()),
        Notification::Dropped(txid, DropReason::Expired),
    ];
    for notification in notifications {
        let mut watch = observer.feeds.watch(txid);
        let told = format!("{notification:?}");
        assert!(watch.changed().now_or_never().is_none());
        observer.notified(notification);
        assert!(watch.changed().now_or_never().is_some(), "{told}");
    }
}

/// A reward stands behind the payments of its block.
#[tokio::test]
async fn a_reward_is_told_as_final_whatever_stands_before_it() {
    let peer = Peer::start(1).await;
    let Watched { observer, payment, .. } = watched(&peer);
    let (state, _) = LedgerState::genesis(&devnet_genesis(4)).unwrap();
    let state = Arc::new(state);
    let outputs = payment.outputs().to_vec();
    let reward = Transaction {
        payload: Payload::Reward { height: 1 },
        ..Transaction::transfer(Vec::new(), outputs, Vec::new())
    };
    let (name, reward) = (reward.txid(), Arc::new(reward));
    for mut transactions in [Vec::new(), vec![Arc::clone(payment.transaction())]] {
        transactions.push(Arc::clone(&reward));
        let mut committed = block(1);
        committed.block.transactions = transactions;
        let applied = AppliedBlock {
            committed: Released::heard(committed),
            hash: BlockHash::ZERO,
            transactions: Vec::new(),
            spent: Vec::new(),
            created: Vec::new(),
            transient: Vec::new(),
            receipts: Vec::new(),
            slashed: Vec::new(),
            spenders: Vec::new(),
            state: Arc::clone(&state),
            own: false,
        };
        let start = observer.events.head();
        observer.reward(&applied);
        let told = observer.events.told_since(start);
        let is_reward =
            matches!(told.as_slice(), [Happened::Final { txid, height: Some(1), .. }] if *txid == name);
        assert!(is_reward, "{told:?}");
    }
}

#[test]
fn each_masternode_is_counted_in_one_state_and_states_without_any_are_told_as_zero() {
    use crate::protocol::masternodes::MasternodeStatus::{Eligible, Exiting, Jailed, Slashed, Unbonding};
    let all = [Eligible, Exiting, Jailed, Slashed, Unbonding];
    assert!(all.iter().all(|status| counted_as(true, *status) == "active"));
    assert_eq!(
        all.map(|status| counted_as(false, status)),
        ["inactive", "inactive", "jailed", "slashed", "unbonding"]
    );
    let (state, _) = LedgerState::genesis(&devnet_genesis(4)).unwrap();
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || measure_masternodes(&state));
    let text = recorder.handle().render();
    for (name, count) in MASTERNODE_STATES.map(|name| (name, if name == "active" { 4 } else { 0 })) {
        assert!(text.contains(&format!("timed_masternodes{{state=\"{name}\"}} {count}\n")), "{name}: {text}");
    }
}
