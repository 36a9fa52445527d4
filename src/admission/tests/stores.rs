//! The stores by themselves: shares, ages, and what is counted.

use super::*;
use crate::admission::orphans::OrphanStore;
use crate::admission::waiting::WaitingStore;
use crate::protocol::validity::ShapedTransaction;

fn shape(number: u32, inputs: usize) -> ShapedTransaction {
    let place = |place: usize| OutPoint {
        txid: TxId([7; 32]),
        index: number * 1_000 + u32::try_from(place).unwrap(),
    };
    let output = TxOut { value: Amount(1), lock: lock(&key(1)) };
    let transaction = Transaction::transfer((0..inputs).map(place).collect(), vec![output], Vec::new());
    let signed = transaction.signed(&crate::types::ChainId([0; 32]), &[&key(1)]);
    ShapedTransaction::of(Arc::new(signed), &ChainParameters::of_network(Network::Devnet)).unwrap()
}

fn insert(store: &mut OrphanStore, from: u8, number: u32, now_ms: u64) -> bool {
    let orphan = shape(number, 1);
    let missing = orphan.inputs().to_vec();
    let taken = store.insert(orphan, peer(from), &missing, now_ms);
    if number.is_multiple_of(64) {
        store.check().unwrap();
    }
    taken
}

#[test]
fn a_sender_that_fills_its_share_pushes_out_nobody_else() {
    let mut store = OrphanStore::default();
    assert!(insert(&mut store, 1, 0, 0));
    let taken = (1..=1_000).filter(|number| insert(&mut store, 2, *number, 5)).count();
    assert!((401..=780).contains(&taken), "{taken}: INV-ORPHAN-1");
    assert!(!insert(&mut store, 2, 5_000, ORPHAN_WAIT_MS), "none has waited long enough");
    assert!(insert(&mut store, 3, 6_000, ORPHAN_WAIT_MS), "others have their own share");
    assert!(insert(&mut store, 2, 5_000, ORPHAN_WAIT_MS + 5), "its own oldest makes room");
    assert!(store.contains(&shape(0, 1).copy_id()), "the first sender's is still here");
    store.check().unwrap();
    store.expire(ORPHAN_LIFETIME_MS + 6);
    assert_eq!(store.len(), 2);
    store.check().unwrap();
}

#[test]
fn the_same_bytes_are_kept_once_and_large_ones_not_at_all() {
    let mut store = OrphanStore::default();
    assert!(insert(&mut store, 1, 0, 0));
    assert!(!insert(&mut store, 1, 0, 1) && !insert(&mut store, 2, 0, 1));
    let large = shape(9, ORPHAN_INPUTS_MAX + 1);
    let missing = large.inputs().to_vec();
    assert!(!store.insert(large, peer(1), &missing, 0));
    // Another copy of it, by the same sender and by another one.
    let mut copy = (**shape(0, 1).transaction()).clone();
    copy.witnesses[0].signature.0[5] ^= 1;
    let copy = ShapedTransaction::of(Arc::new(copy), &ChainParameters::of_network(Network::Devnet)).unwrap();
    assert_eq!(copy.txid(), shape(0, 1).txid());
    let missing = copy.inputs().to_vec();
    assert!(!store.insert(copy.clone(), peer(1), &missing, 0), "INV-ORPHAN-3");
    assert!(store.insert(copy, peer(2), &missing, 0), "a bad copy can't keep out a good one");
    let ready = came(&mut store, TxId([7; 32]));
    assert_eq!(ready.len(), 2);
    assert_eq!(store.len(), 0);
    store.check().unwrap();
}

fn came(store: &mut OrphanStore, parent: TxId) -> Vec<crate::admission::orphans::Orphan> {
    store.parent_came(parent);
    store.check().unwrap();
    store.take_ready(usize::MAX)
}

#[test]
fn one_that_lacks_several_waits_for_the_last() {
    let mut store = OrphanStore::default();
    let parents: Vec<OutPoint> = (1..=3).map(invented).collect();
    let output = TxOut { value: Amount(1), lock: lock(&key(1)) };
    let transaction = Transaction::transfer(parents.clone(), vec![output], Vec::new());
    let signed = transaction.signed(&crate::types::ChainId([0; 32]), &[&key(1)]);
    let orphan =
        ShapedTransaction::of(Arc::new(signed), &ChainParameters::of_network(Network::Devnet)).unwrap();
    assert!(store.insert(orphan, peer(1), &parents, 0));
    assert!(came(&mut store, parents[1].txid).is_empty());
    assert!(came(&mut store, parents[1].txid).is_empty());
    store.check().unwrap();
    assert!(came(&mut store, parents[0].txid).is_empty());
    assert_eq!(came(&mut store, parents[2].txid).len(), 1);
    store.check().unwrap();
}

/// INV-ORPHAN-1, INV-ORPHAN-4: else those who fill the store would fill it again while the first are looked at.
#[test]
fn what_is_ready_counts_in_its_senders_share_until_it_is_taken() {
    let mut store = OrphanStore::default();
    let mut number = 0;
    while insert(&mut store, 1, number, 0) {
        number += 1;
    }
    store.parent_came(TxId([7; 32]));
    store.check().unwrap();
    assert!(!insert(&mut store, 1, number, 0), "its share is full of what is ready");
    assert!(insert(&mut store, 2, number, 0), "another's is not");
    assert_eq!(store.take_ready(1).len(), 1);
    assert!(insert(&mut store, 1, number + 1, 0), "there is room for as much as was taken");
    store.check().unwrap();
}

/// Else names that strangers invent would fill memory while nothing is counted.
#[test]
fn orphans_that_have_gone_leave_nothing_behind() {
    let nothing = format!("{:?}", OrphanStore::default());
    let mut store = OrphanStore::default();
    for number in 1..=3 {
        assert!(insert(&mut store, u8::try_from(number).unwrap(), number, 0));
    }
    store.expire(ORPHAN_LIFETIME_MS);
    assert_eq!(format!("{store:?}"), nothing, "their time was over");
    assert!(insert(&mut store, 1, 1, 0));
    assert_eq!(came(&mut store, TxId([7; 32])).len(), 1);
    assert_eq!(format!("{store:?}"), nothing, "the parent came");
}

/// INV-ADMIT-3: however many senders there are, each with a share of its own.
#[test]
fn orphans_of_all_senders_together_are_bounded() {
    let mut store = OrphanStore::default();
    // Few enough of each sender for its share.
    let send = |store: &mut OrphanStore, number: u32| {
        let orphan = shape(number, ORPHAN_INPUTS_MAX);
        let missing = orphan.inputs().to_vec();
        store.insert(orphan, peer(u8::try_from(number / 32).unwrap()), &missing, 0)
    };
    let refused = (0..8_000).find(|number| !send(&mut store, *number)).expect("there is no room for all");
    let bytes = store.len() * shape(0, ORPHAN_INPUTS_MAX).encoded_bytes();
    assert!((ORPHAN_BYTES_MAX / 8..ORPHAN_BYTES_MAX).contains(&bytes), "{bytes}");
    store.check().unwrap();
    // Names are free, and senders that are gone keep nobody out for longer than each orphan may wait.
    let of_new = |store: &mut OrphanStore, now_ms| {
        let orphan = shape(refused, ORPHAN_INPUTS_MAX);
        let missing = orphan.inputs().to_vec();
        store.insert(orphan, peer(255), &missing, now_ms)
    };
    let before = store.len();
    assert!(!of_new(&mut store, ORPHAN_WAIT_MS - 1));
    assert!(of_new(&mut store, ORPHAN_WAIT_MS), "INV-ORPHAN-1");
    assert_eq!(store.len(), before, "one has made room for it");
    store.check().unwrap();
    store.expire(ORPHAN_WAIT_MS + ORPHAN_LIFETIME_MS);
    assert!(send(&mut store, refused), "there is room again");
}

/// INV-WAITING-1: else names of parents would fill memory while nothing is counted.
#[test]
fn children_that_have_gone_leave_nothing_behind() {
    let desk = Desk::new(1);
    let parent = desk.pay(1, 0, 2);
    let child = desk.checked(&desk.child(&parent, 2, 3));
    let nothing = format!("{:?}", WaitingStore::default());
    let ways: [fn(&mut WaitingStore, &TxId, &TxId) -> usize; 3] = [
        |store, _, child| usize::from(store.remove(child).is_some()),
        |store, parent, _| store.parent_dropped(parent).len(),
        |store, parent, _| store.parent_final(parent).len(),
    ];
    for leave in ways {
        let mut store = WaitingStore::default();
        store.insert(child.clone(), BTreeSet::from([parent.txid()])).unwrap();
        assert_eq!(leave(&mut store, &parent.txid(), &child.txid()), 1);
        assert_eq!(format!("{store:?}"), nothing);
    }
}

/// What several peers push at once costs one check.
#[test]
fn the_same_bytes_in_one_turn_are_checked_once() {
    let mut desk = Desk::new(10);
    let payment = desk.pay(1, 0, 2);
    let submission = |from: u8| {
        let (transaction, source) = (Arc::clone(&payment), TransactionSource::Peer(peer(from)));
        Submission { transaction, source, ticket: None, fee_max: None }
    };
    let actions = desk.admission.admit((1..6).map(submission).collect(), &desk.state, desk.now);
    assert_eq!(desk.verifier.asked.load(Ordering::SeqCst), 1);
    assert_eq!(actions.iter().filter(|action| matches!(action, Action::Relay(..))).count(), 1);
}
