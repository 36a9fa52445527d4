//! Admission against what strangers, owners and users send, over the real outputs and pool.

mod announced;
mod coins;
mod counting;
mod stores;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use self::counting::{CountingIndex, CountingVerifier};
use super::*;
use crate::mempool::{FeeRate, PoolError, PoolLimits, Stage, TransactionPool, TransactionSource};
use crate::network::{Misbehaviour, PeerId};
use crate::protocol::finality::conflict_order;
use crate::protocol::state::LedgerState;
use crate::protocol::validity::{CheckedTransaction, TransactionError};
use crate::storage::Index;
use crate::types::genesis::{Allocation, GenesisMasternode};
use crate::types::keys::SequentialVerifier;
use crate::types::{
    Address, Amount, ChainParameters, GenesisDocument, Lock, Network, OutPoint, SecretKey, Transaction, TxId,
    TxOut,
};
use crate::utxo::{OutputState, UtxoManager};

const COIN: u64 = 100_000_000_000;

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

fn lock(secret: &SecretKey) -> Lock {
    Lock::KeyHash(secret.public().key_hash())
}

fn peer(number: u8) -> PeerId {
    key(number ^ 0x80).public()
}

/// A node without a network, a core or a clock.
pub(super) struct Desk {
    pub(super) admission: Admission,
    pub(super) state: LedgerState,
    pub(super) utxos: Arc<UtxoManager>,
    pub(super) pool: Arc<TransactionPool>,
    pub(super) requested: Arc<RequestedBodies>,
    pub(super) news: Arc<News>,
    verifier: Arc<CountingVerifier>,
    store: Arc<CountingIndex>,
    pub(super) coins: Vec<OutPoint>,
    pub(super) now: Moment,
}

impl Desk {
    /// Users 1 to 4 have eight coins each: user u's are `coin(u, 0)` to `coin(u, 7)`.
    pub(super) fn new(max_transactions: usize) -> Self {
        let mut parameters = ChainParameters::of_network(Network::Devnet);
        let collateral = parameters.tiers[0].collateral;
        parameters.min_masternodes = 3;
        let address = |number| Address::of_key_hash(Network::Devnet, key(number).public().key_hash());
        let masternodes = (101..=104).map(|number| GenesisMasternode {
            collateral,
            owner: address(number),
            operator_key: key(number + 10).public(),
            payout: address(number),
            network_address: format!("127.0.0.1:{}", 24_000 + u16::from(number)),
        });
        let users = (1..=4).flat_map(|user| std::iter::repeat_n(user, 8));
        let document = GenesisDocument {
            network: Network::Devnet,
            time_ms: 1_750_000_000_000,
            parameters,
            allocations: users
                .map(|user| Allocation { address: address(user), amount: Amount(COIN) })
                .collect(),
            masternodes: masternodes.collect(),
        };
        let (state, outputs) = LedgerState::genesis(&document).unwrap();
        let store = Arc::new(CountingIndex::default());
        let index = Arc::new(Index::new(Arc::clone(&store) as _));
        let utxos = Arc::new(UtxoManager::new(index, 1 << 20));
        utxos.apply_block(0, &outputs, &[]);
        let mut coins: Vec<(Lock, OutPoint)> =
            outputs.iter().map(|(outpoint, entry)| (entry.output.lock, *outpoint)).collect();
        coins.retain(|(owner, _)| (1..=4).any(|user| lock(&key(user)) == *owner));
        coins.sort_by_key(|(owner, outpoint)| {
            ((1..=4).position(|user| lock(&key(user)) == *owner), *outpoint)
        });
        let pool = Arc::new(TransactionPool::new(PoolLimits { max_transactions, max_bytes: 1 << 20 }));
        let (requested, news) = (Arc::new(RequestedBodies::default()), Arc::new(News::default()));
        let verifier = Arc::new(CountingVerifier::default());
        let admission = Admission::new(AdmissionParts {
            utxos: Arc::clone(&utxos),
            pool: Arc::clone(&pool),
            verifier: Arc::clone(&verifier) as _,
            requested: Arc::clone(&requested),
            news: Arc::clone(&news),
            expiry_ms: 60_000,
        });
        let coins = coins.into_iter().map(|(_, outpoint)| outpoint).collect();
        let now = Moment { wall_ms: 1_750_000_000_000, steady_ms: 0 };
        Self { admission, state, utxos, pool, requested, news, verifier, store, coins, now }
    }

    fn coin(&self, user: usize, place: usize) -> OutPoint {
        self.coins[(user - 1) * 8 + place]
    }

    fn sign(&self, inputs: Vec<OutPoint>, to: u8, value: u64, keys: &[u8]) -> Arc<Transaction> {
        let output = TxOut { value: Amount(value), lock: lock(&key(to)) };
        let keys: Vec<SecretKey> = keys.iter().copied().map(key).collect();
        let transaction = Transaction::transfer(inputs, vec![output], Vec::new());
        Arc::new(transaction.signed(self.state.chain_id(), &keys.iter().collect::<Vec<_>>()))
    }

    /// One coin of a user, all but the fee.
    pub(super) fn pay(&self, user: u8, place: usize, to: u8) -> Arc<Transaction> {
        self.sign(vec![self.coin(usize::from(user), place)], to, COIN - 1_000, &[user])
    }

    pub(super) fn child(&self, parent: &Transaction, owner: u8, to: u8) -> Arc<Transaction> {
        let input = OutPoint { txid: parent.txid(), index: 0 };
        self.sign(vec![input], to, parent.outputs[0].value.0 - 1_000, &[owner])
    }

    fn hand_in(&mut self, transaction: &Arc<Transaction>, source: TransactionSource) -> Vec<Action> {
        let submission =
            Submission { transaction: Arc::clone(transaction), source, ticket: Some(7), fee_max: None };
        let actions = self.admission.admit(vec![submission], &self.state, self.now);
        self.check();
        actions
    }

    fn check(&self) {
        self.admission.check_invariants().unwrap();
        self.pool.check_invariants().unwrap();
    }

    /// Whoever asks before is told what comes of it, and that changes nothing.
    fn submit(&mut self, transaction: &Arc<Transaction>) -> Result<TxId, Refusal> {
        let before = (self.pool.len(), self.pool.bytes(), self.admission.waiting());
        let judged = self.admission.judge(Arc::clone(transaction), &self.state, self.now);
        assert_eq!((self.pool.len(), self.pool.bytes(), self.admission.waiting()), before);
        let outcome = self.take(transaction);
        match (&judged, &outcome) {
            (Ok(judged), Ok(txid)) => assert_eq!(judged.txid, *txid),
            // It may come again without effect.
            (Err(Refusal::Pool(PoolError::AlreadyKnown)), Ok(_)) => {}
            (judged, outcome) => assert_eq!(judged.as_ref().err(), outcome.as_ref().err()),
        }
        outcome
    }

    fn take(&mut self, transaction: &Arc<Transaction>) -> Result<TxId, Refusal> {
        answer(&self.hand_in(transaction, TransactionSource::Local))
    }

    fn send(&mut self, from: u8, transaction: &Arc<Transaction>) -> Vec<Action> {
        self.hand_in(transaction, TransactionSource::Peer(peer(from)))
    }

    /// What the core says when a transaction is final.
    fn finalize(&mut self, transaction: &Transaction) -> Vec<Action> {
        let checked = self.checked(transaction);
        self.utxos.mark_final(&checked);
        self.pool.mark_final(&checked.txid(), self.now.wall_ms);
        self.news.settled(checked.txid());
        self.hear()
    }

    fn checked(&self, transaction: &Transaction) -> CheckedTransaction {
        let (chain_id, parameters) = (self.state.chain_id(), self.state.parameters());
        CheckedTransaction::check(Arc::new(transaction.clone()), chain_id, parameters, &SequentialVerifier)
            .unwrap()
    }

    fn hear(&mut self) -> Vec<Action> {
        let more = || self.admission.has_ready().then(Default::default);
        let Some(happened) = self.news.take().or_else(more) else { return Vec::new() };
        let actions = self.admission.hear(happened, &self.state, self.now);
        self.check();
        actions
    }

    /// Nothing is locked, pooled or relayed.
    fn is_untouched(&self) -> bool {
        let floor = self.pool.floor(self.now.wall_ms);
        self.pool.is_empty() && self.utxos.locked_count() == 0 && floor == FeeRate(0)
    }
}

fn answer(actions: &[Action]) -> Result<TxId, Refusal> {
    let answers: Vec<_> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Answer(Some(_), outcome) => Some(outcome.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(answers.len(), 1, "one answer a ticket: {actions:?}");
    answers[0].clone()
}

fn considered(actions: &[Action]) -> Vec<TxId> {
    let of = |action: &Action| match action {
        Action::Consider(transaction) => Some(transaction.txid()),
        _ => None,
    };
    actions.iter().filter_map(of).collect()
}

fn relayed(actions: &[Action]) -> Vec<TxId> {
    let of = |action: &Action| match action {
        Action::Relay(transaction, _) => Some(transaction.txid()),
        _ => None,
    };
    actions.iter().filter_map(of).collect()
}

fn blamed(actions: &[Action]) -> Vec<Misbehaviour> {
    let of = |action: &Action| match action {
        Action::Blame(_, what) => Some(*what),
        _ => None,
    };
    actions.iter().filter_map(of).collect()
}

fn gone(actions: &[Action]) -> Vec<TxId> {
    let of = |action: &Action| match action {
        Action::Gone(txid) => Some(*txid),
        _ => None,
    };
    actions.iter().filter_map(of).collect()
}

fn invented(number: u8) -> OutPoint {
    OutPoint { txid: TxId([number; 32]), index: 0 }
}

#[test]
fn a_payment_goes_to_pool_machine_and_peers_and_comes_again_without_effect() {
    let mut desk = Desk::new(10);
    let payment = desk.pay(1, 0, 2);
    let txid = payment.txid();
    let actions = desk.send(9, &payment);
    assert_eq!((considered(&actions), relayed(&actions)), (vec![txid], vec![txid]));
    assert!(actions.contains(&Action::Relay(Arc::clone(&payment), Some(peer(9)))));
    assert!(actions.contains(&Action::Accepted(txid, TransactionSource::Peer(peer(9)))));
    assert_eq!(desk.utxos.output_state(&desk.coin(1, 0)), OutputState::Locked { by: txid });
    assert!(desk.send(8, &payment).is_empty(), "known");
    let actions = desk.hand_in(&payment, TransactionSource::Local);
    assert_eq!((answer(&actions), relayed(&actions)), (Ok(txid), vec![]));
    let mine = desk.pay(1, 1, 2);
    assert_eq!(desk.submit(&mine), Ok(mine.txid()));
}

#[test]
fn orphans_with_invented_outputs_touch_nothing() {
    let mut desk = Desk::new(10);
    // Each claims to have any fee, as would its children.
    for number in 1..=100 {
        let parent = desk.sign(vec![invented(number)], 9, 1, &[9]);
        let child = desk.child(&desk.sign(vec![invented(number)], 9, COIN, &[9]), 9, 9);
        for transaction in [&parent, &child] {
            let actions = desk.send(9, transaction);
            assert!(considered(&actions).is_empty() && relayed(&actions).is_empty());
            assert!(matches!(answer(&actions), Err(Refusal::InputsUnknown { .. })));
            assert!(blamed(&actions).is_empty(), "its parent may be on its way");
        }
    }
    assert!(desk.is_untouched(), "INV-ADMIT-1");
    assert_eq!(desk.verifier.asked.load(Ordering::SeqCst), 0, "nor is a signature looked at");
    assert_eq!(desk.admission.waiting().0, 200);
    let refusal = desk.submit(&desk.sign(vec![invented(1)], 9, 1, &[9])).unwrap_err();
    assert!(refusal.retry_after_ms().is_some(), "{refusal:?}");
    assert_eq!(desk.admission.waiting().0, 200, "users are told instead");
}

#[test]
fn a_victims_coin_beside_an_unknown_one_stays_free() {
    let mut desk = Desk::new(10);
    let coin = desk.coin(1, 0);
    for keys in [&[9][..], &[1, 9], &[1]] {
        let mixed = desk.sign(vec![coin, invented(3)], 9, 1_000, keys);
        assert!(relayed(&desk.send(9, &mixed)).is_empty());
        assert!(matches!(desk.submit(&mixed), Err(Refusal::InputsUnknown { .. })));
        assert_eq!(desk.utxos.output_state(&coin), OutputState::Unspent);
    }
    // Nor beside one that is known, without the victim's signature.
    let mixed = desk.sign(vec![coin, desk.coin(4, 0)], 9, 1_000, &[4]);
    let actions = desk.send(9, &mixed);
    let why = TransactionError::MissingWitness { outpoint: coin };
    assert_eq!(answer(&actions), Err(Refusal::Invalid(why)));
    assert_eq!(blamed(&actions), [Misbehaviour::InvalidContent]);
    assert!(desk.is_untouched());
    let payment = desk.pay(1, 0, 2);
    assert_eq!(desk.submit(&payment), Ok(payment.txid()));
}

#[test]
fn what_this_node_asked_for_passes_whatever_pool_and_policy_say() {
    let mut desk = Desk::new(1);
    let rich = desk.sign(vec![desk.coin(1, 0)], 2, COIN / 2, &[1]);
    desk.submit(&rich).unwrap();
    let poor = desk.pay(1, 1, 2);
    assert!(matches!(answer(&desk.send(9, &poor)), Err(Refusal::Pool(_))));
    let rival = desk.pay(1, 0, 3);
    let orphan = desk.sign(vec![invented(5)], 9, 1, &[9]);
    desk.requested.note(&[poor.txid(), rival.txid(), orphan.txid()]);
    for transaction in [&poor, &rival, &orphan] {
        assert_eq!(considered(&desk.send(9, transaction)), [transaction.txid()]);
    }
    assert!(!desk.requested.contains(&poor.txid()), "it has come");
    assert!(desk.requested.contains(&orphan.txid()), "another copy may be better");
    assert_eq!(desk.utxos.output_state(&desk.coin(1, 0)), OutputState::Locked { by: rich.txid() });
    // A signature that does not hold is no answer.
    let mut broken = (*desk.pay(2, 0, 3)).clone();
    broken.witnesses[0].signature.0[3] ^= 1;
    desk.requested.note(&[broken.txid()]);
    let actions = desk.send(9, &Arc::new(broken));
    assert_eq!((considered(&actions), blamed(&actions)), (vec![], vec![Misbehaviour::InvalidSignature]));
    // What the pool has is handed on without anybody's copy.
    desk.requested.note(&[rich.txid()]);
    assert_eq!(considered(&desk.send(9, &rich)), [rich.txid()]);
    assert!(!desk.requested.contains(&rich.txid()), "it is not waited for any more");
}

#[test]
fn a_bad_copy_is_the_senders_fault_and_the_good_one_passes() {
    let mut desk = Desk::new(10);
    let inputs = || vec![desk.coin(1, 0), desk.coin(2, 0)];
    let good = desk.sign(inputs(), 3, COIN, &[1, 2]);
    let bad = [desk.sign(inputs(), 3, COIN, &[1, 9]), desk.sign(inputs(), 3, COIN, &[1]), {
        let mut broken = (*good).clone();
        broken.witnesses[1].signature.0[0] ^= 1;
        Arc::new(broken)
    }];
    for copy in &bad {
        assert_eq!(copy.txid(), good.txid());
        let actions = desk.send(9, copy);
        assert_eq!(blamed(&actions).len(), 1, "INV-ADMIT-2");
        assert!(considered(&actions).is_empty() && relayed(&actions).is_empty());
        let checked = desk.verifier.asked.load(Ordering::SeqCst);
        assert_eq!(blamed(&desk.send(8, copy)).len(), 1, "whoever sends it");
        assert_eq!(desk.verifier.asked.load(Ordering::SeqCst), checked, "it is known to be bad");
    }
    assert!(desk.is_untouched());
    assert_eq!(relayed(&desk.send(7, &good)), [good.txid()]);
    for copy in &bad {
        assert!(desk.send(9, copy).is_empty(), "the body is here, peers' copies are not looked at");
        assert!(matches!(desk.submit(copy), Err(Refusal::Invalid(_))), "a user is told of these bytes");
    }
    assert_eq!(desk.submit(&good), Ok(good.txid()));
}

#[test]
fn a_refusal_that_depends_on_the_state_is_not_remembered() {
    let mut desk = Desk::new(10);
    let parent = desk.pay(1, 0, 2);
    let child = desk.child(&parent, 2, 3);
    assert!(matches!(desk.submit(&child), Err(Refusal::InputsUnknown { .. })));
    desk.submit(&parent).unwrap();
    desk.finalize(&parent);
    assert_eq!(desk.submit(&child), Ok(child.txid()));
}

#[test]
fn an_orphan_comes_in_when_its_parent_is_final() {
    let mut desk = Desk::new(10);
    let parent = desk.pay(1, 0, 2);
    let (child, grandchild) = {
        let child = desk.child(&parent, 2, 3);
        let grandchild = desk.child(&child, 3, 4);
        (child, grandchild)
    };
    desk.send(9, &grandchild);
    desk.send(9, &child);
    desk.send(9, &parent);
    assert_eq!(desk.admission.waiting().0, 2);
    let actions = desk.finalize(&parent);
    assert_eq!((considered(&actions), relayed(&actions)), (vec![child.txid()], vec![child.txid()]));
    let actions = desk.finalize(&child);
    assert_eq!(relayed(&actions), [grandchild.txid()]);
    assert_eq!(desk.admission.waiting(), (0, 0));
}

#[test]
fn an_orphan_whose_parent_becomes_final_in_between_is_not_forgotten() {
    let mut desk = Desk::new(10);
    let parent = desk.pay(1, 0, 2);
    let child = desk.child(&parent, 2, 3);
    desk.send(9, &child);
    // The news did not fit.
    desk.utxos.mark_final(&desk.checked(&parent));
    let happened = Happened { is_incomplete: true, ..Happened::default() };
    let actions = desk.admission.hear(happened, &desk.state, desk.now);
    assert_eq!(considered(&actions), [child.txid()]);
}

#[test]
fn a_users_child_whose_parent_becomes_final_in_between_is_not_forgotten() {
    let mut desk = Desk::new(10);
    let parent = desk.pay(1, 0, 2);
    let child = desk.child(&parent, 2, 3);
    for transaction in [&parent, &child] {
        desk.submit(transaction).unwrap();
    }
    // The news did not fit.
    let checked = desk.checked(&parent);
    desk.utxos.mark_final(&checked);
    desk.pool.mark_final(&checked.txid(), desk.now.wall_ms);
    let happened = Happened { is_incomplete: true, ..Happened::default() };
    let actions = desk.admission.hear(happened, &desk.state, desk.now);
    assert_eq!((considered(&actions), relayed(&actions)), (vec![child.txid()], vec![child.txid()]));
    assert_eq!(desk.admission.waiting(), (0, 0));
}

/// INV-ADMIT-3.
#[test]
fn bad_copies_are_remembered_up_to_a_number_and_the_oldest_is_forgotten() {
    let mut desk = Desk::new(10);
    let mut broken = (*desk.pay(1, 0, 2)).clone();
    broken.witnesses[0].signature.0[3] ^= 1;
    let broken = Arc::new(broken);
    let is_looked_at = |desk: &mut Desk| {
        let before = desk.verifier.asked.load(Ordering::SeqCst);
        assert_eq!(blamed(&desk.send(9, &broken)).len(), 1);
        desk.verifier.asked.load(Ordering::SeqCst) > before
    };
    let unsigned = |desk: &Desk, number: usize| {
        let inputs = vec![desk.coin(2, 0), desk.coin(3, 0)];
        desk.sign(inputs, 3, COIN - u64::try_from(number).unwrap(), &[2])
    };
    assert!(is_looked_at(&mut desk));
    for number in 1..REFUSED_COPIES_MAX {
        let copy = unsigned(&desk, number);
        assert_eq!(blamed(&desk.send(8, &copy)).len(), 1);
    }
    assert!(!is_looked_at(&mut desk), "it is known to be bad");
    let one_more = unsigned(&desk, REFUSED_COPIES_MAX);
    desk.send(8, &one_more);
    assert!(is_looked_at(&mut desk));
}

#[test]
fn orphans_end_with_their_epoch_and_with_time() {
    let mut desk = Desk::new(10);
    desk.send(9, &desk.sign(vec![invented(1)], 9, 1, &[9]));
    desk.news.epoch_started(1);
    desk.hear();
    assert_eq!(desk.admission.waiting().0, 0);
    desk.send(9, &desk.sign(vec![invented(1)], 9, 1, &[9]));
    desk.now.steady_ms += ORPHAN_WAIT_MS;
    assert!(desk.admission.tick(desk.now).is_empty());
    assert_eq!(desk.admission.waiting().0, 1, "INV-ORPHAN-2");
    desk.now.steady_ms += ORPHAN_LIFETIME_MS;
    assert!(desk.admission.tick(desk.now).is_empty());
    assert_eq!(desk.admission.waiting().0, 0);
}

#[test]
fn a_users_child_waits_here_and_is_pushed_when_its_parent_is_final() {
    let mut desk = Desk::new(2);
    let parent = desk.pay(1, 0, 2);
    let child = desk.child(&parent, 2, 3);
    let grandchild = desk.child(&child, 3, 4);
    desk.submit(&parent).unwrap();
    for transaction in [&child, &grandchild] {
        let actions = desk.hand_in(transaction, TransactionSource::Local);
        assert_eq!(answer(&actions), Ok(transaction.txid()));
        assert!(considered(&actions).is_empty() && relayed(&actions).is_empty());
        assert_eq!(desk.pool.status(&transaction.txid()).unwrap().stage, Stage::Waiting);
        assert_eq!(desk.pool.entry(&transaction.txid()).unwrap().fee, Amount(1_000), "its fee is known");
    }
    assert_eq!(desk.pool.counted().0, 1, "they take nobody's place");
    assert_eq!(desk.pool.floor(desk.now.wall_ms), FeeRate(0));
    let of_child = OutPoint { txid: child.txid(), index: 0 };
    assert_eq!(desk.utxos.output_state(&of_child), OutputState::Unknown, "and lock nothing");
    assert_eq!(desk.submit(&child), Ok(child.txid()), "once more");
    let rival = desk.sign(vec![OutPoint { txid: parent.txid(), index: 0 }], 4, 5_000, &[2]);
    assert!(matches!(desk.submit(&rival), Err(Refusal::InputsTaken(_))), "INV-WAITING-2");
    // An epoch passes: this node alone carries them over.
    desk.utxos.start_epoch();
    desk.news.epoch_started(1);
    assert!(desk.hear().is_empty());
    assert_eq!(desk.admission.waiting(), (0, 2));
    let actions = desk.finalize(&parent);
    assert_eq!((considered(&actions), relayed(&actions)), (vec![child.txid()], vec![child.txid()]));
    let actions = desk.finalize(&child);
    assert_eq!((considered(&actions), relayed(&actions)), (vec![grandchild.txid()], vec![grandchild.txid()]));
}

/// INV-WAITING-1.
#[test]
fn a_child_that_comes_twice_at_once_is_counted_once() {
    let mut desk = Desk::new(2);
    let parent = desk.pay(1, 0, 2);
    let child = desk.child(&parent, 2, 3);
    desk.submit(&parent).unwrap();
    let submission = |ticket| {
        let (transaction, source) = (Arc::clone(&child), TransactionSource::Local);
        Submission { transaction, source, ticket: Some(ticket), fee_max: None }
    };
    let actions = desk.admission.admit(vec![submission(7), submission(8)], &desk.state, desk.now);
    desk.check();
    let answered = |action: &&Action| matches!(action, Action::Answer(_, Ok(txid)) if *txid == child.txid());
    assert_eq!(actions.iter().filter(answered).count(), 2);
    assert_eq!(desk.admission.waiting(), (0, 1));
    assert_eq!(considered(&desk.finalize(&parent)), [child.txid()]);
    assert_eq!(desk.admission.waiting(), (0, 0));
}

#[test]
fn at_most_so_many_come_before_one_that_waits() {
    let mut desk = Desk::new(100);
    let mut last = desk.pay(1, 0, 1);
    desk.submit(&last).unwrap();
    for _ in 0..ANCESTORS_MAX {
        last = desk.child(&last, 1, 1);
        assert_eq!(desk.submit(&last), Ok(last.txid()));
    }
    let one_more = desk.child(&last, 1, 1);
    let limit = ANCESTORS_MAX;
    assert!(
        matches!(desk.submit(&one_more), Err(Refusal::TooManyAncestors { limit: of, .. }) if of == limit),
        "INV-WAITING-1"
    );
    // The same when all of them are parents.
    for (count, is_taken) in [(ANCESTORS_MAX, true), (ANCESTORS_MAX + 1, false)] {
        let mut desk = Desk::new(100);
        let coins = (1..=4).flat_map(|user| (0..8).map(move |place| (user, place)));
        let parents: Vec<_> = coins.take(count).map(|(user, place)| desk.pay(user, place, 1)).collect();
        for parent in &parents {
            desk.submit(parent).unwrap();
        }
        let inputs = parents.iter().map(|parent| OutPoint { txid: parent.txid(), index: 0 }).collect();
        let child = desk.sign(inputs, 1, COIN, &[1]);
        assert_eq!(desk.submit(&child).is_ok(), is_taken, "INV-WAITING-1: {count} parents");
    }
}

#[test]
fn the_descendants_of_a_dropped_transaction_leave_the_pool() {
    let mut desk = Desk::new(10);
    let loser = desk.pay(1, 0, 2);
    let child = desk.child(&loser, 2, 3);
    let grandchild = desk.child(&child, 3, 4);
    for transaction in [&loser, &child, &grandchild] {
        desk.submit(transaction).unwrap();
    }
    // A block took a rival: the core drops the loser, and the observer takes it from the pool.
    desk.pool.remove(&loser.txid());
    desk.news.dropped(loser.txid());
    assert_eq!(gone(&desk.hear()), [child.txid(), grandchild.txid()]);
    assert!(desk.pool.is_empty());
    assert_eq!(desk.admission.waiting(), (0, 0));
}

/// INV-MIRROR-2.
#[test]
fn few_of_many_conflicting_spends_are_passed_on_and_none_takes_a_place() {
    let mut desk = Desk::new(10);
    let first = desk.pay(1, 0, 2);
    desk.submit(&first).unwrap();
    let mut rivals: Vec<_> =
        (0..200).map(|more| desk.sign(vec![desk.coin(1, 0)], 3, COIN - 2_000 - more, &[1])).collect();
    assert!(matches!(desk.submit(&rivals[0]), Err(Refusal::InputsTaken(_))), "a user's would only wait");
    // The worst first, as an owner would grind them.
    rivals.sort_by_key(|rival| std::cmp::Reverse(conflict_order(1, &rival.txid())));
    let mut passed = 0;
    for rival in &rivals {
        let actions = desk.send(9, rival);
        passed += considered(&actions).len();
        assert_eq!(considered(&actions), relayed(&actions));
        assert!(desk.pool.get(&rival.txid()).is_none());
    }
    assert_eq!(passed, usize::from(IMPROVEMENTS_MAX));
    // Nor are more of them if all come in one message.
    let mut desk = Desk::new(10);
    desk.submit(&first).unwrap();
    let submissions = rivals.iter().map(|rival| Submission {
        transaction: Arc::clone(rival),
        source: TransactionSource::Peer(peer(9)),
        ticket: None,
        fee_max: None,
    });
    let actions = desk.admission.admit(submissions.collect(), &desk.state, desk.now);
    assert_eq!(considered(&actions).len(), usize::from(IMPROVEMENTS_MAX), "INV-CONTEST-1");
    assert_eq!(considered(&actions), relayed(&actions));
    // Nor is one looked at that comes later and is no better.
    let mut desk = Desk::new(10);
    desk.submit(&first).unwrap();
    rivals.iter().for_each(|rival| drop(desk.send(9, rival)));
    let checked = desk.verifier.asked.load(Ordering::SeqCst);
    desk.send(9, &rivals[150]);
    assert_eq!(desk.verifier.asked.load(Ordering::SeqCst), checked, "INV-CONTEST-1");
    assert_eq!(desk.utxos.output_state(&desk.coin(1, 0)), OutputState::Locked { by: first.txid() });
}

/// INV-MIRROR-2.
#[test]
fn split_double_spends_take_no_place_of_the_pool() {
    let mut desk = Desk::new(4);
    for user in 1..=4 {
        let payment = desk.pay(user, 0, 1);
        desk.submit(&payment).unwrap();
        // What the observer does when the core sees a rival.
        desk.pool.mark_conflicting(&payment.txid());
    }
    for user in 1..=4 {
        let honest = desk.pay(user, 1, 1);
        assert_eq!(desk.submit(&honest), Ok(honest.txid()));
    }
    assert_eq!(desk.pool.floor(desk.now.wall_ms), FeeRate(0));
}

#[test]
fn what_is_not_certified_in_time_expires_with_its_children() {
    let mut desk = Desk::new(10);
    let (old, certified) = (desk.pay(1, 0, 2), desk.pay(2, 0, 2));
    let child = desk.child(&old, 2, 3);
    for transaction in [&old, &certified, &child] {
        desk.submit(transaction).unwrap();
    }
    desk.pool.mark_certified(&certified.txid());
    desk.now.wall_ms += 59_000;
    assert!(desk.admission.tick(desk.now).is_empty());
    desk.now.wall_ms += 2_000;
    let actions = desk.admission.tick(desk.now);
    let mut names = gone(&actions);
    names.sort_unstable();
    let mut expected = vec![old.txid(), child.txid()];
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert!(
        actions.iter().any(|action| matches!(action, Action::Expired(txids) if txids.contains(&old.txid())))
    );
    assert_eq!(desk.pool.len(), 1);
    assert_eq!(desk.admission.waiting(), (0, 0));
}

fn announced(actions: &[Action]) -> Vec<TxId> {
    let of = |action: &Action| match action {
        Action::Announce(txids) => Some(txids.clone()),
        _ => None,
    };
    actions.iter().filter_map(of).flatten().collect()
}

#[test]
fn what_lacks_votes_is_announced_by_its_entry_node_until_it_is_certified() {
    let mut desk = Desk::new(10);
    let (mine, certified, contested) = (desk.pay(1, 0, 2), desk.pay(1, 1, 2), desk.pay(1, 2, 2));
    let child = desk.child(&certified, 2, 3);
    for payment in [&mine, &certified, &contested, &child] {
        desk.submit(payment).unwrap();
    }
    desk.send(9, &desk.pay(1, 3, 2));
    desk.pool.mark_certified(&certified.txid());
    desk.pool.mark_conflicting(&contested.txid());
    desk.now.steady_ms = ANNOUNCE_AFTER_MS - 1;
    assert!(announced(&desk.admission.tick(desk.now)).is_empty(), "votes are on their way");
    desk.now.steady_ms = ANNOUNCE_AFTER_MS;
    assert_eq!(announced(&desk.admission.tick(desk.now)), [mine.txid()]);
    // A child that waited is pushed with its parent's finality, and announced after that.
    desk.finalize(&certified);
    desk.pool.mark_pending(&child.txid());
    desk.now.steady_ms = 2 * ANNOUNCE_AFTER_MS;
    let again = announced(&desk.admission.tick(desk.now));
    assert_eq!(BTreeSet::from_iter(again), BTreeSet::from([mine.txid(), child.txid()]));
    desk.finalize(&mine);
    desk.finalize(&child);
    desk.now.steady_ms = 3 * ANNOUNCE_AFTER_MS;
    assert!(announced(&desk.admission.tick(desk.now)).is_empty());
}

#[test]
fn spent_and_confirmed_inputs_are_told_apart() {
    let mut desk = Desk::new(10);
    let (first, second) = (desk.pay(1, 0, 2), desk.pay(1, 0, 3));
    let coin = desk.coin(1, 0);
    desk.utxos.apply_block(1, &[], &[(coin, first.txid())]);
    assert_eq!(desk.submit(&first), Err(Refusal::AlreadyConfirmed));
    let by = first.txid();
    assert_eq!(desk.submit(&second), Err(Refusal::InputsSpent { outpoint: coin, by, height: Some(1) }));
    assert!(desk.is_untouched());
}

#[test]
fn the_bounds_add_up() {
    // INV-ADMIT-3, with the pool's as the configuration has it by default.
    const { assert!(ADMISSION_BYTES_MAX <= 160 << 20) };
    let pool = TransactionPool::bytes_max(PoolLimits::default());
    assert!(pool <= 352_000_000, "{pool}");
}
