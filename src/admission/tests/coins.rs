//! What becomes of coins, and of places in the pool, when a transaction does not get in or does not stay.

use super::*;
use crate::admission::checks::{Origin, refuse};
use crate::types::transaction::TRANSACTION_VERSION;
use crate::types::{MasternodeRegistration, OperatorConsent, Payload};

/// INV-UTXO-3: a coin is held by what is on its way and by nothing else.
#[test]
fn what_the_pool_has_no_room_for_holds_no_coin() {
    let mut desk = Desk::new(1);
    desk.submit(&desk.pay(1, 0, 2)).unwrap();
    let refused = desk.pay(2, 0, 3);
    assert!(matches!(desk.submit(&refused), Err(Refusal::Pool(_))));
    let state = desk.utxos.output_state(&desk.coin(2, 0));
    assert!(!matches!(state, OutputState::Locked { .. }), "{state:?}");
}

#[test]
fn the_descendants_of_a_child_that_lost_its_other_coin_leave_the_pool() {
    let mut desk = Desk::new(10);
    let parent = desk.pay(1, 0, 2);
    let of_parent = OutPoint { txid: parent.txid(), index: 0 };
    let child = desk.sign(vec![of_parent, desk.coin(3, 0)], 4, COIN, &[2, 3]);
    let grandchild = desk.child(&child, 4, 1);
    for transaction in [&parent, &child, &grandchild] {
        desk.submit(transaction).unwrap();
    }
    let rival = desk.pay(3, 0, 1);
    desk.send(9, &rival);
    let actions = desk.finalize(&parent);
    assert!(considered(&actions).is_empty());
    assert_eq!(gone(&actions), [child.txid(), grandchild.txid()]);
    assert_eq!(desk.admission.waiting(), (0, 0));
}

#[test]
fn what_makes_room_for_a_richer_one_is_gone_for_everybody() {
    let mut desk = Desk::new(1);
    let poor = desk.pay(1, 0, 2);
    desk.submit(&poor).unwrap();
    let rich = desk.sign(vec![desk.coin(2, 0)], 3, COIN / 2, &[2]);
    let actions = desk.hand_in(&rich, TransactionSource::Local);
    assert_eq!(answer(&actions), Ok(rich.txid()));
    assert_eq!(gone(&actions), [poor.txid()]);
    assert!(desk.pool.get(&poor.txid()).is_none());
}

#[test]
fn a_fee_above_the_bound_of_who_sends_it_is_refused_and_holds_no_coin() {
    let mut desk = Desk::new(10);
    let (parent, fee) = (desk.pay(1, 0, 2), Amount(5_000));
    let of_parent = OutPoint { txid: parent.txid(), index: 0 };
    let child = desk.sign(vec![of_parent], 3, parent.outputs[0].value.0 - fee.0, &[2]);
    let payment = desk.sign(vec![desk.coin(1, 0)], 3, COIN - fee.0, &[1]);
    let send = |desk: &mut Desk, transaction: &Arc<Transaction>, fee_max| {
        let (transaction, source) = (Arc::clone(transaction), TransactionSource::Local);
        let submission = Submission { transaction, source, ticket: Some(7), fee_max };
        answer(&desk.admission.admit(vec![submission], &desk.state, desk.now))
    };
    let max = Amount(fee.0 - 1);
    assert_eq!(send(&mut desk, &payment, Some(max)), Err(Refusal::FeeTooHigh { fee, max }));
    assert!(desk.is_untouched());
    // Of what waits for its parents, too.
    desk.submit(&parent).unwrap();
    assert_eq!(send(&mut desk, &child, Some(max)), Err(Refusal::FeeTooHigh { fee, max }));
    assert_eq!(send(&mut desk, &child, Some(fee)), Ok(child.txid()));
    assert_eq!(send(&mut desk, &child, Some(max)), Ok(child.txid()), "it is paid already");
    let mut other = Desk::new(10);
    let dear = other.sign(vec![other.coin(1, 0)], 3, 1_000, &[1]);
    assert_eq!(send(&mut other, &dear, None), Ok(dear.txid()), "no bound");
}

impl Desk {
    fn mirror(&self) -> Mirror {
        let (utxos, pool, news) = (Arc::clone(&self.utxos), Arc::clone(&self.pool), Arc::clone(&self.news));
        Mirror { utxos, pool, news }
    }
}

#[test]
fn readers_see_how_far_a_payment_is_and_an_epoch_frees_what_it_did_not_take() {
    let mut desk = Desk::new(10);
    let (mirror, coin) = (desk.mirror(), desk.coin(1, 0));
    let payment = desk.pay(1, 0, 2);
    let by = payment.txid();
    desk.submit(&payment).unwrap();
    mirror.locked(&desk.checked(&payment));
    assert_eq!(desk.utxos.output_state(&coin), OutputState::Locked { by });
    mirror.voted(&[TxId([1; 32]), by]);
    assert_eq!(desk.utxos.output_state(&coin), OutputState::SpentPending { by });
    mirror.epoch_started(1, desk.now.wall_ms);
    assert_eq!(desk.utxos.output_state(&coin), OutputState::Unspent, "locks are of an epoch");
    assert_eq!(desk.news.take().unwrap().epoch, Some(1));
    mirror.locked(&desk.checked(&payment));
    mirror.finalized(&desk.checked(&payment), desk.now.wall_ms);
    assert_eq!(desk.utxos.output_state(&coin), OutputState::SpentFinalized { by });
    mirror.epoch_started(2, desk.now.wall_ms);
    desk.check();
}

#[test]
fn what_became_final_before_the_pool_had_it_is_final_there() {
    let desk = Desk::new(10);
    let payment = desk.pay(1, 0, 2);
    desk.mirror().finalized(&desk.checked(&payment), desk.now.wall_ms);
    let stage = desk.pool.status(&payment.txid()).unwrap().stage;
    assert!(matches!(stage, crate::mempool::Stage::Final { .. }), "{stage:?}");
}

#[test]
fn what_was_dropped_holds_no_coin_and_takes_no_place() {
    let mut desk = Desk::new(10);
    let payment = desk.pay(1, 0, 2);
    desk.submit(&payment).unwrap();
    desk.mirror().dropped(payment.txid());
    assert_eq!(desk.utxos.output_state(&desk.coin(1, 0)), OutputState::Unspent);
    assert!(desk.pool.is_empty());
    desk.check();
}

/// Whatever becomes of the registration: nobody is let in to wait for what can't be had.
#[test]
fn what_a_registration_on_its_way_marks_is_not_spent() {
    let mut desk = Desk::new(10);
    let collateral = TxOut { value: Amount(COIN), lock: lock(&key(1)) };
    let change = TxOut { value: Amount(COIN - 2_000), ..collateral };
    let registration = Transaction {
        version: TRANSACTION_VERSION,
        inputs: vec![desk.coin(1, 0), desk.coin(1, 1)],
        outputs: vec![collateral, change],
        payload: Payload::MasternodeRegister(MasternodeRegistration {
            collateral_index: 0,
            operator: OperatorConsent::unsigned(key(50).public()),
            payout: lock(&key(1)),
            network_address: "127.0.0.1:30000".to_owned(),
        }),
        witnesses: Vec::new(),
    };
    let chain_id = desk.state.chain_id();
    let registration = registration.consented(chain_id, &[&key(50)]).signed(chain_id, &[&key(1)]);
    let output = |index| OutPoint { txid: registration.txid(), index };
    let [of_mark, of_change] = [0, 1].map(|index| desk.sign(vec![output(index)], 2, COIN - 5_000, &[1]));
    let bound = Refusal::Invalid(TransactionError::CollateralBound { outpoint: output(0) });
    desk.submit(&Arc::new(registration.clone())).unwrap();
    assert_eq!(desk.submit(&of_mark), Err(bound.clone()));
    desk.finalize(&registration);
    assert_eq!(desk.submit(&of_mark), Err(bound.clone()));
    let actions = desk.send(9, &of_mark);
    assert_eq!((answer(&actions), blamed(&actions)), (Err(bound), vec![]), "it may be free some time");
    assert_eq!(desk.submit(&of_change), Ok(of_change.txid()));
}

/// Of what another transaction was first with, nothing may ever come.
#[test]
fn no_users_child_waits_for_one_that_lost_to_a_rival() {
    let mut desk = Desk::new(10);
    let parent = desk.pay(1, 0, 2);
    let child = desk.child(&parent, 2, 3);
    desk.submit(&parent).unwrap();
    assert!(desk.pool.mark_conflicting(&parent.txid()));
    assert!(matches!(desk.submit(&child), Err(Refusal::InputsUnknown { .. })));
    assert_eq!(desk.admission.waiting(), (0, 0));
    // In the next epoch it may be the first.
    assert!(desk.pool.mark_pending(&parent.txid()));
    assert_eq!(desk.submit(&child), Ok(child.txid()));
}

/// It puts some out of the pool of which nobody says anything else.
#[test]
fn who_waits_for_what_an_epochs_start_put_out_of_the_pool_leaves_it_too() {
    let mut desk = Desk::new(10);
    let parent = desk.pay(1, 0, 2);
    let child = desk.child(&parent, 2, 3);
    for transaction in [&parent, &child] {
        desk.submit(transaction).unwrap();
    }
    desk.utxos.start_epoch();
    desk.pool.remove(&parent.txid());
    desk.news.epoch_started(1);
    assert_eq!(gone(&desk.hear()), [child.txid()]);
    assert_eq!(desk.admission.waiting(), (0, 0));
}

/// A block makes final what nobody had certified here.
#[test]
fn the_children_of_all_that_a_block_contains_are_pushed() {
    let mut desk = Desk::new(10);
    let parents = [desk.pay(1, 0, 2), desk.pay(1, 1, 2)];
    let children = [0, 1].map(|place| desk.child(&parents[place], 2, 3));
    for transaction in parents.iter().chain(&children) {
        desk.submit(transaction).unwrap();
    }
    let txids = [0, 1].map(|place| parents[place].txid());
    parents.iter().for_each(|parent| desk.utxos.mark_final(&desk.checked(parent)));
    assert!(desk.mirror().included(&txids, 1, desk.now.wall_ms));
    let pushed = BTreeSet::from_iter(considered(&desk.hear()));
    assert_eq!(pushed, BTreeSet::from_iter(children.iter().map(|child| child.txid())));
    assert_eq!(desk.admission.waiting(), (0, 0));
}

/// INV-WAITING-1: who was told that there is no room is not kept for later.
#[test]
fn a_child_for_which_the_pool_has_no_room_does_not_wait() {
    let mut desk = Desk::new(10);
    let parent = desk.pay(1, 0, 2);
    let child = desk.child(&parent, 2, 3);
    desk.submit(&parent).unwrap();
    let with_outputs = |outputs: usize, value: u64| {
        let output = TxOut { value: Amount(value), lock: lock(&key(3)) };
        let transaction = Transaction::transfer(vec![invented(9)], vec![output; outputs], Vec::new());
        desk.checked(&transaction.signed(desk.state.chain_id(), &[&key(1)]))
    };
    let mut kept = Vec::new();
    // Large ones first, and then as many as there is room for of a child's size.
    for outputs in [900, 1] {
        for value in 1.. {
            let (transaction, source) = (with_outputs(outputs, value), TransactionSource::Local);
            let txid = transaction.txid();
            if desk.pool.insert_waiting(transaction, Amount(1), desk.now.wall_ms, source).is_err() {
                break;
            }
            kept.push(txid);
        }
    }
    assert!(matches!(desk.submit(&child), Err(Refusal::Pool(_))));
    assert_eq!(desk.admission.waiting(), (0, 0));
    desk.pool.remove(&kept[0]);
    assert_eq!(desk.submit(&child), Ok(child.txid()));
}

/// A peer that is behind, or has not applied the block yet that brings new rules, passes on what they forbid.
#[test]
fn who_passes_on_what_later_rules_forbid_is_refused_and_not_blamed() {
    let peer = key(9).public();
    let origin =
        Origin { source: TransactionSource::Peer(peer), ticket: None, is_requested: false, fee_max: None };
    let blamed_for = |error| {
        let mut actions = Vec::new();
        refuse(origin, Refusal::Invalid(error), &mut actions);
        !blamed(&actions).is_empty()
    };
    assert!(!blamed_for(TransactionError::DustOutput { index: 0, value: Amount(99) }));
    assert!(blamed_for(TransactionError::NoInputs), "what no rules allow is its sender's fault");
}

/// Else it would wait on without a place in the pool, and be pushed though its user was told that its time is up.
#[test]
fn a_child_whose_time_is_up_does_not_wait_on_for_a_parent_that_is_certified() {
    let mut desk = Desk::new(10);
    let parent = desk.pay(1, 0, 2);
    let child = desk.child(&parent, 2, 3);
    for transaction in [&parent, &child] {
        desk.submit(transaction).unwrap();
    }
    desk.pool.mark_certified(&parent.txid());
    desk.now.wall_ms += 61_000;
    assert_eq!(gone(&desk.admission.tick(desk.now)), [child.txid()]);
    desk.check();
    assert_eq!((desk.pool.len(), desk.admission.waiting()), (1, (0, 0)));
    assert_eq!(desk.finalize(&parent), []);
}

/// Else it would be told as waiting, and its entry node would announce it to nobody.
#[test]
fn what_is_locked_can_be_voted_on_whatever_was_in_its_way() {
    let mut desk = Desk::new(10);
    let mirror = desk.mirror();
    let (parent, other) = (desk.pay(1, 0, 2), desk.pay(1, 1, 2));
    let child = desk.child(&parent, 2, 3);
    for transaction in [&parent, &other, &child] {
        desk.submit(transaction).unwrap();
    }
    mirror.conflicting(&other.txid(), &TxId([9; 32]));
    for (transaction, before) in [(&child, Stage::Waiting), (&other, Stage::Conflicting)] {
        let stage = || desk.pool.status(&transaction.txid()).unwrap().stage;
        assert_eq!(stage(), before);
        mirror.locked(&desk.checked(transaction));
        assert_eq!(stage(), Stage::Pending);
    }
}

/// INV-NEWS-1: nobody is told while nobody waits. Whoever begins to wait has to look once more, or waits until it expires.
#[test]
fn a_childs_parent_that_is_final_or_gone_before_the_child_waits_is_noticed() {
    for is_final in [false, true] {
        let mut desk = Desk::new(10);
        let parent = desk.pay(1, 0, 2);
        let child = desk.child(&parent, 2, 3);
        desk.submit(&parent).unwrap();
        let (mirror, parent, now_ms) = (desk.mirror(), desk.checked(&parent), desk.now.wall_ms);
        // Its fee is known by then, and nobody waits yet.
        let happens = move || {
            let is_told =
                if is_final { mirror.finalized(&parent, now_ms) } else { mirror.dropped(parent.txid()) };
            assert!(!is_told);
        };
        *desk.verifier.meanwhile.lock() = Some(Box::new(happens));
        let actions = desk.hand_in(&child, TransactionSource::Local);
        assert!(desk.verifier.meanwhile.lock().is_none());
        assert_eq!(answer(&actions), Ok(child.txid()));
        let (passed, lost) =
            if is_final { (vec![child.txid()], vec![]) } else { (vec![], vec![child.txid()]) };
        assert_eq!((considered(&actions), relayed(&actions)), (passed.clone(), passed));
        assert_eq!(gone(&actions), lost);
        assert_eq!((desk.admission.waiting(), desk.pool.get(&child.txid()).is_some()), ((0, 0), is_final));
    }
}

/// INV-NEWS-1: nobody is told while nobody waits. An orphan has no other way in than its parent's news.
#[test]
fn an_orphans_parent_that_is_final_before_the_orphan_is_kept_is_noticed() {
    let mut desk = Desk::new(10);
    let parent = desk.pay(1, 0, 2);
    let child = desk.child(&parent, 2, 3);
    let (mirror, parent, now_ms) = (desk.mirror(), desk.checked(&parent), desk.now.wall_ms);
    // The index has been asked for the output in vain, and nobody waits yet.
    let happens = move || assert!(!mirror.finalized(&parent, now_ms));
    *desk.store.meanwhile.lock() = Some(Box::new(happens));
    assert!(matches!(answer(&desk.send(9, &child)), Err(Refusal::InputsUnknown { .. })));
    assert!(desk.store.meanwhile.lock().is_none());
    let actions = desk.hear();
    assert_eq!((considered(&actions), relayed(&actions)), (vec![child.txid()], vec![child.txid()]));
    assert_eq!(desk.admission.waiting(), (0, 0));
}

/// A lookup may cost a read of the disk, and whoever makes up inputs pays for none of them.
#[test]
fn a_strangers_many_inputs_that_nobody_knows_cost_few_reads() {
    let mut desk = Desk::new(10);
    let inputs = |count: u32| (0..count).map(|index| OutPoint { index, ..invented(7) }).collect::<Vec<_>>();
    let made_up = desk.sign(inputs(1_000), 9, 1_000, &[9]);
    desk.store.reads.store(0, Ordering::SeqCst);
    assert!(matches!(answer(&desk.send(9, &made_up)), Err(Refusal::InputsUnknown { .. })));
    let reads = desk.store.reads.load(Ordering::SeqCst);
    assert!(reads < 10, "{reads} reads");
    assert_eq!(desk.admission.waiting(), (0, 0), "it is too large to wait");
}

/// Else its user would be told that it is on its way, and it would wait for what can't come.
#[test]
fn no_users_child_waits_that_spends_a_held_coin_beside_its_parents_output() {
    let mut desk = Desk::new(10);
    let (parent, holder) = (desk.pay(1, 0, 2), desk.pay(3, 0, 4));
    let of_parent = OutPoint { txid: parent.txid(), index: 0 };
    let child = desk.sign(vec![of_parent, desk.coin(3, 0)], 4, COIN, &[2, 3]);
    for transaction in [&parent, &holder] {
        desk.submit(transaction).unwrap();
    }
    assert!(matches!(desk.submit(&child), Err(Refusal::InputsTaken(_))));
    assert_eq!((desk.admission.waiting(), desk.pool.len()), ((0, 0), 2));
}

/// Votes may come to name it while its parent is on its way; then no policy of this node's keeps it out.
#[test]
fn an_orphan_that_was_asked_for_meanwhile_passes_whatever_the_pool_says() {
    for is_asked_for in [false, true] {
        let mut desk = Desk::new(1);
        desk.submit(&desk.sign(vec![desk.coin(1, 0)], 2, COIN / 2, &[1])).unwrap();
        let parent = desk.pay(2, 0, 3);
        let child = desk.child(&parent, 3, 4);
        assert_eq!(considered(&desk.send(9, &child)), []);
        if is_asked_for {
            desk.requested.note(&[child.txid()]);
        }
        let passed = considered(&desk.finalize(&parent));
        assert_eq!(passed, Vec::from_iter(is_asked_for.then(|| child.txid())));
    }
}

/// The machine may have had no room for it, and its user asks because nothing has come of it.
#[test]
fn what_a_user_sends_again_is_handed_to_the_machine_again_unless_it_waits() {
    let mut desk = Desk::new(10);
    let payment = desk.pay(1, 0, 2);
    let child = desk.child(&payment, 2, 3);
    for transaction in [&payment, &child] {
        desk.submit(transaction).unwrap();
    }
    let mut again = |transaction| considered(&desk.hand_in(transaction, TransactionSource::Local));
    assert_eq!((again(&payment), again(&child)), (vec![payment.txid()], vec![]));
}

/// INV-MIRROR-2: two rivals of one owner would else keep out a payment of somebody else's.
#[test]
fn whoever_holds_a_contested_coin_makes_room_like_its_rival() {
    for is_contested in [false, true] {
        let mut desk = Desk::new(1);
        let (holder, rival, other) = (desk.pay(1, 0, 2), desk.pay(1, 0, 3), desk.pay(2, 0, 3));
        desk.submit(&holder).unwrap();
        if is_contested {
            desk.mirror().conflicting(&rival.txid(), &holder.txid());
        }
        assert_eq!(desk.submit(&other).is_ok(), is_contested);
    }
}

/// INV-MIRROR-2: a body that was asked for passes to the machine, and no further.
#[test]
fn a_rival_that_was_asked_for_takes_no_place_of_the_pool() {
    let mut desk = Desk::new(10);
    let (holder, rival) = (desk.pay(1, 0, 2), desk.pay(1, 0, 3));
    desk.submit(&holder).unwrap();
    desk.requested.note(&[rival.txid()]);
    assert_eq!(considered(&desk.send(9, &rival)), [rival.txid()]);
    assert!(desk.pool.get(&rival.txid()).is_none());
    assert_eq!(desk.utxos.output_state(&desk.coin(1, 0)), OutputState::Locked { by: holder.txid() });
}

/// INV-CONTEST-1: whoever knows an owner's key can make up rivals, but sign none.
#[test]
fn forged_rivals_leave_a_signed_one_its_turn() {
    let mut desk = Desk::new(10);
    let holder = desk.pay(1, 0, 2);
    desk.submit(&holder).unwrap();
    let sign = |more: u64| desk.sign(vec![desk.coin(1, 0)], 3, COIN - 2_000 - more, &[1]);
    let mut rivals: Vec<_> = (0..40).map(sign).collect();
    // The worst first, so that each would be an improvement.
    rivals.sort_by_key(|rival| std::cmp::Reverse(conflict_order(1, &rival.txid())));
    let signed = rivals.pop().unwrap();
    for rival in &rivals {
        let mut forged = Transaction::clone(rival);
        forged.witnesses[0].signature.0[3] ^= 1;
        let actions = desk.send(9, &Arc::new(forged));
        assert_eq!((considered(&actions), blamed(&actions)), (vec![], vec![Misbehaviour::InvalidSignature]));
    }
    assert_eq!(considered(&desk.send(9, &signed)), [signed.txid()]);
}

/// INV-ORPHAN-4: one fee would have thousands of signatures checked while nobody else is heard.
#[test]
fn orphans_of_one_output_are_looked_at_some_at_a_time() {
    let mut desk = Desk::new(10);
    let parent = desk.pay(1, 0, 2);
    let count = 3 * super::super::checks::READY_PER_LOOK_MAX;
    for number in 0..count {
        let value = parent.outputs[0].value.0 - 1_000 - number as u64;
        let input = OutPoint { txid: parent.txid(), index: 0 };
        let child = desk.sign(vec![input], 3, value, &[2]);
        desk.send(1 + (number % 4) as u8, &child);
    }
    assert_eq!(desk.admission.waiting().0, count);
    desk.take(&parent).unwrap();
    let asked = |desk: &Desk| desk.verifier.asked.load(std::sync::atomic::Ordering::SeqCst);
    let before = asked(&desk);
    desk.finalize(&parent);
    assert_eq!(asked(&desk) - before, super::super::checks::READY_PER_LOOK_MAX);
    assert_eq!(
        desk.admission.waiting().0,
        count - super::super::checks::READY_PER_LOOK_MAX,
        "they are not lost sight of"
    );
    while desk.admission.has_ready() {
        let before = asked(&desk);
        desk.hear();
        assert!(asked(&desk) - before <= super::super::checks::READY_PER_LOOK_MAX);
    }
    assert_eq!(desk.admission.waiting(), (0, 0));
}
