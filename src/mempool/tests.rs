//! Tests of the pool against a simple oracle.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::types::genesis::ChainParameters;
use crate::types::{
    ChainId, KeyHash, Lock, Network, OutPoint, Signature, SignatureCheck, SignatureVerifier, Transaction,
    TxOut, Witness,
};

/// Signatures are not what is tested here.
struct TrustingVerifier;

impl SignatureVerifier for TrustingVerifier {
    fn verify_all(&self, _checks: &[SignatureCheck]) -> Result<(), usize> {
        Ok(())
    }
}

const SOURCE: TransactionSource = TransactionSource::Local;

fn transaction(number: u32, memo_bytes: usize) -> CheckedTransaction {
    let input = OutPoint { txid: TxId([9; 32]), index: number };
    let output = TxOut { value: Amount(1), lock: Lock::KeyHash(KeyHash([1; 32])) };
    let mut transaction = Transaction::transfer(vec![input], vec![output], vec![0; memo_bytes]);
    transaction.witnesses = vec![Witness { key: PublicKey([1; 32]), signature: Signature([0; 64]) }];
    let parameters = ChainParameters::of_network(Network::Devnet);
    CheckedTransaction::check(Arc::new(transaction), &ChainId([0; 32]), &parameters, &TrustingVerifier)
        .unwrap()
}

/// The fee that gives a rate: exact, as all of these have the same size.
fn fee(rate: u64) -> Amount {
    let bytes = u64::try_from(transaction(0, 0).encoded_bytes()).unwrap();
    Amount((rate * bytes).div_ceil(1_000))
}

fn small_pool(max_transactions: usize) -> TransactionPool {
    TransactionPool::new(PoolLimits { max_transactions, max_bytes: 1_000_000 })
}

fn insert(pool: &TransactionPool, number: u32, rate: u64, now_ms: TimeMs) -> Result<Vec<TxId>, PoolError> {
    let inserted = pool.insert(transaction(number, 0), fee(rate), now_ms, SOURCE);
    pool.check_invariants().unwrap();
    inserted.map(|inserted| inserted.evicted)
}

fn txid(number: u32) -> TxId {
    transaction(number, 0).txid()
}

#[test]
fn a_transaction_passes_through_its_stages() {
    let pool = small_pool(10);
    insert(&pool, 1, 5_000, 100).unwrap();
    assert_eq!(insert(&pool, 1, 5_000, 101), Err(PoolError::AlreadyKnown));
    let status = |stage, included| Some(PoolStatus { stage, received_ms: 100, included });
    assert_eq!(pool.status(&txid(1)), status(Stage::Pending, None));
    assert!(pool.mark_waiting(&txid(1)));
    assert_eq!(pool.status(&txid(1)), status(Stage::Waiting, None));
    assert!(pool.mark_conflicting(&txid(1)));
    assert_eq!(pool.status(&txid(1)), status(Stage::Conflicting, None));
    assert!(pool.mark_pending(&txid(1)));
    let entry = pool.entry(&txid(1)).unwrap();
    assert_eq!(
        (entry.fee, entry.rate, entry.source),
        (fee(5_000), FeeRate::of(fee(5_000), pool.bytes()), SOURCE)
    );
    assert_eq!(pool.uncertified(), (1, pool.bytes()));
    assert!(pool.mark_certified(&txid(1)));
    assert_eq!(pool.status(&txid(1)), status(Stage::Certified, None));
    assert!(!pool.mark_pending(&txid(1)), "certified is not taken back within an epoch");
    assert_eq!((pool.len(), pool.uncertified()), (1, (0, 0)));
    assert_eq!(pool.mark_final(&txid(1), 107), Some(7));
    assert_eq!(pool.mark_final(&txid(1), 120), None);
    assert!(pool.mark_certified(&txid(1)));
    assert!(pool.start_epoch(130).is_empty());
    assert_eq!(pool.status(&txid(1)), status(Stage::Final { after_ms: 7 }, None), "final stays final");
    assert_eq!(pool.remove_included(&[txid(2), txid(1)], 12, 500), []);
    assert_eq!(pool.status(&txid(1)), status(Stage::Final { after_ms: 7 }, Some(12)));
    assert_eq!((pool.len(), pool.bytes(), pool.is_empty()), (0, 0, true));
    assert!(pool.get(&txid(1)).is_none());
    assert_eq!(insert(&pool, 1, 5_000, 600), Err(PoolError::AlreadyInChain { height: 12 }));
    assert_eq!(pool.status(&txid(2)), None);
    for stage_change in [TransactionPool::mark_pending, TransactionPool::mark_certified] {
        assert!(!stage_change(&pool, &txid(2)));
    }
    assert_eq!(pool.mark_final(&txid(2), 1), None);
}

#[test]
fn a_block_makes_final_what_was_not() {
    let pool = small_pool(10);
    insert(&pool, 1, 5_000, 100).unwrap();
    insert(&pool, 2, 5_000, 100).unwrap();
    pool.mark_certified(&txid(1));
    assert_eq!(pool.remove_included(&[txid(1), txid(2)], 3, 150), [(txid(1), 50), (txid(2), 50)]);
    let expected = PoolStatus { stage: Stage::Final { after_ms: 50 }, received_ms: 100, included: Some(3) };
    assert_eq!(pool.status(&txid(2)), Some(expected));
    pool.check_invariants().unwrap();
}

#[test]
fn the_lowest_rate_goes_first_and_of_equal_ones_the_youngest() {
    let pool = small_pool(3);
    for (number, rate) in [(1, 3_000), (2, 2_000), (3, 2_000)] {
        assert_eq!(insert(&pool, number, rate, 0), Ok(vec![]));
    }
    assert_eq!(insert(&pool, 4, 2_500, 0), Ok(vec![txid(3)]));
    let floor = pool.floor(0);
    assert!(floor >= FeeRate(3_000), "an increment above what went: {floor}");
    let rate = FeeRate::of(fee(2_600), transaction(5, 0).encoded_bytes());
    assert_eq!(insert(&pool, 5, 2_600, 0), Err(PoolError::BelowFloor { rate, floor }));
    assert_eq!(insert(&pool, 5, 9_000, 0), Ok(vec![txid(2)]));
}

/// INV-POOL-3.
#[test]
fn nothing_goes_for_one_that_pays_no_more() {
    let pool = small_pool(2);
    insert(&pool, 1, 5_000, 0).unwrap();
    insert(&pool, 2, 7_000, 0).unwrap();
    assert!(matches!(insert(&pool, 3, 5_000, 0), Err(PoolError::Full { .. })));
    assert_eq!(pool.len(), 2);
    assert!(matches!(insert(&pool, 3, 5_500, 0), Err(PoolError::BelowFloor { .. })), "the floor has risen");
    // With time it falls again, and without pressure it is gone.
    assert!(pool.floor(FLOOR_HALF_LIFE_MS) < pool.floor(0));
    assert_eq!(pool.floor(20 * FLOOR_HALF_LIFE_MS), FeeRate(0));
    pool.remove(&txid(1));
    assert_eq!(insert(&pool, 4, 10, 20 * FLOOR_HALF_LIFE_MS), Ok(vec![]));
}

/// INV-POOL-1.
#[test]
fn certified_ones_are_never_evicted_and_do_not_count() {
    let pool = small_pool(2);
    for number in 0..20 {
        assert_eq!(insert(&pool, number, 100, 0), Ok(vec![]));
        pool.mark_certified(&txid(number));
    }
    for number in 20..30 {
        pool.insert_certified(transaction(number, 0), fee(1), 0, SOURCE).unwrap();
        pool.insert_certified(transaction(number, 0), fee(1), 0, SOURCE).unwrap();
    }
    insert(&pool, 30, 1_000, 0).unwrap();
    pool.insert_certified(transaction(30, 0), fee(1_000), 0, SOURCE).unwrap();
    assert_eq!(
        pool.status(&txid(30)).unwrap().stage,
        Stage::Certified,
        "one that is there becomes certified"
    );
    insert(&pool, 31, 1_000, 0).unwrap();
    insert(&pool, 32, 2_000, 0).unwrap();
    assert_eq!(insert(&pool, 33, 3_000, 0), Ok(vec![txid(31)]));
    assert_eq!(pool.len(), 33);
    // A new epoch: they are voted on afresh, so they count again.
    let evicted = pool.start_epoch(0);
    pool.check_invariants().unwrap();
    assert_eq!((evicted.len(), pool.len()), (31, 2));
    assert!(pool.get(&txid(32)).is_some() && pool.get(&txid(33)).is_some());
    pool.remove_included(&[txid(32)], 1, 0);
    let again = pool.insert_certified(transaction(32, 0), fee(1), 0, SOURCE);
    assert_eq!(again, Err(PoolError::AlreadyInChain { height: 1 }));
}

#[test]
fn bytes_are_bounded_and_large_ones_push_out_several() {
    let size = transaction(0, 0).encoded_bytes();
    let pool = TransactionPool::new(PoolLimits { max_transactions: 100, max_bytes: 3 * size });
    for (number, rate) in [(1, 1_000), (2, 2_000), (3, 9_000)] {
        insert(&pool, number, rate, 0).unwrap();
    }
    let large = |number, bytes, rate| pool.insert(transaction(number, bytes), Amount(rate), 0, SOURCE);
    let inserted = large(4, size.min(256), 5_000_000).unwrap();
    assert_eq!(inserted.evicted, [txid(1), txid(2)]);
    pool.check_invariants().unwrap();
    assert!(pool.bytes() <= 3 * size);
    let tiny = TransactionPool::new(PoolLimits { max_transactions: 100, max_bytes: size - 1 });
    assert!(matches!(insert(&tiny, 1, 1_000, 0), Err(PoolError::Full { .. })));
    assert_eq!(tiny.floor(0), FeeRate(0), "one that never fits says nothing about rates");
}

#[test]
fn old_ones_expire_unless_they_are_certified() {
    let pool = small_pool(10);
    for number in 0..4 {
        insert(&pool, number, 1_000, u64::from(number)).unwrap();
    }
    pool.mark_certified(&txid(0));
    pool.mark_conflicting(&txid(1));
    assert_eq!(pool.expire(2), [txid(1)]);
    assert_eq!(pool.len(), 3);
    assert_eq!(pool.entries(2).len(), 2);
    assert_eq!(pool.entries(9).len(), 3);
    pool.check_invariants().unwrap();
}

/// INV-POOL-2.
#[test]
fn what_waits_or_is_contested_takes_no_place_and_moves_no_floor() {
    let pool = small_pool(3);
    for number in 0..3 {
        insert(&pool, number, 5_000, 0).unwrap();
        pool.mark_conflicting(&txid(number));
    }
    for number in 10..40 {
        pool.insert_waiting(transaction(number, 0), fee(1_000_000), 0, SOURCE).unwrap();
    }
    pool.check_invariants().unwrap();
    assert_eq!((pool.counted().0, pool.uncertified().0, pool.floor(0)), (0, 33, FeeRate(0)));
    for number in 3..6 {
        assert_eq!(insert(&pool, number, 100, 0), Ok(vec![]), "all places are free");
    }
    // When it can be voted on it counts again, and those that pay least make room.
    assert!(pool.mark_pending(&txid(10)));
    pool.check_invariants().unwrap();
    assert_eq!(pool.counted().0, 3);
    assert!(pool.get(&txid(10)).is_some() && pool.get(&txid(5)).is_none());
}

#[test]
fn contested_ones_have_a_bound_of_their_own() {
    let pool = small_pool(10);
    let count = u32::try_from(CONTESTED_TRANSACTIONS_MAX).unwrap() + 10;
    for number in 0..count {
        pool.insert(transaction(number, 0), fee(u64::from(number)), 0, SOURCE).unwrap();
        pool.mark_conflicting(&txid(number));
    }
    pool.check_invariants().unwrap();
    assert_eq!(pool.len(), CONTESTED_TRANSACTIONS_MAX);
    assert!(pool.get(&txid(count - 1)).is_some() && pool.get(&txid(0)).is_none());
}

#[test]
fn threads_leave_counters_and_order_in_step() {
    let pool = small_pool(50);
    let transactions: Vec<CheckedTransaction> = (0..400).map(|number| transaction(number, 0)).collect();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (pool, transactions) = (&pool, &transactions);
            scope.spawn(move || {
                for (step, tx) in (thread..)
                    .zip(transactions.iter().cycle().skip(37 * usize::try_from(thread).unwrap()))
                    .take(2_000)
                {
                    match step % 7 {
                        0..=2 => drop(pool.insert(tx.clone(), fee(1_000 + step % 50), step, SOURCE)),
                        3 => drop(pool.mark_certified(&tx.txid())),
                        4 => drop(pool.mark_final(&tx.txid(), step)),
                        5 => drop(pool.remove(&tx.txid())),
                        _ => drop(pool.status(&tx.txid())),
                    }
                }
            });
        }
    });
    pool.check_invariants().unwrap();
}

fn of_some_size(number: u32) -> CheckedTransaction {
    transaction(number, usize::try_from(number % 3).unwrap() * 100)
}

#[derive(Clone, Debug)]
enum Operation {
    Insert { number: u32, fee: u64 },
    InsertCertified { number: u32, fee: u64 },
    Mark { number: u32, stage: Stage },
    Include(Vec<u32>),
    Remove(u32),
    StartEpoch,
    Expire(u64),
    Wait(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let number = || 0_u32..24;
    let stage = prop_oneof![
        Just(Stage::Pending),
        Just(Stage::Waiting),
        Just(Stage::Conflicting),
        Just(Stage::Certified),
        Just(Stage::Final { after_ms: 0 }),
    ];
    prop_oneof![
        8 => (number(), 0_u64..6_000).prop_map(|(number, fee)| Operation::Insert { number, fee }),
        1 => (number(), 0_u64..6_000).prop_map(|(number, fee)| Operation::InsertCertified { number, fee }),
        3 => (number(), stage).prop_map(|(number, stage)| Operation::Mark { number, stage }),
        1 => prop::collection::vec(number(), 0..4).prop_map(Operation::Include),
        1 => number().prop_map(Operation::Remove),
        1 => Just(Operation::StartEpoch),
        1 => (0_u64..30_000).prop_map(Operation::Expire),
        3 => (0_u64..120_000).prop_map(Operation::Wait),
    ]
}

/// One transaction of the oracle.
#[derive(Clone, Debug)]
struct Known {
    txid: TxId,
    bytes: usize,
    rate: FeeRate,
    received_ms: TimeMs,
    stage: Stage,
}

const LIMITS: PoolLimits = PoolLimits { max_transactions: 5, max_bytes: 1_600 };

/// A pool as a list, in the order of acceptance, that is walked through for every question.
#[derive(Default)]
struct Oracle {
    list: Vec<Known>,
    included: Vec<(TxId, Height)>,
    height: Height,
    now_ms: TimeMs,
}

impl Oracle {
    fn uncertified(&self) -> (usize, usize) {
        let counted = self.list.iter().filter(|known| known.stage.is_uncertified());
        counted.fold((0, 0), |(count, bytes), known| (count + 1, bytes + known.bytes))
    }

    fn counted(&self) -> (usize, usize) {
        let counted = self.list.iter().filter(|known| known.stage == Stage::Pending);
        counted.fold((0, 0), |(count, bytes), known| (count + 1, bytes + known.bytes))
    }

    fn surplus(&mut self) -> Vec<TxId> {
        let mut gone = Vec::new();
        while self.counted().0 > LIMITS.max_transactions || self.counted().1 > LIMITS.max_bytes {
            gone.extend(self.take_worst().map(|known| known.txid));
        }
        gone
    }

    fn take_worst(&mut self) -> Option<Known> {
        let places = (0..self.list.len()).filter(|place| self.list[*place].stage == Stage::Pending);
        let worst = places.min_by_key(|place| (self.list[*place].rate, Reverse(*place)))?;
        Some(self.list.remove(worst))
    }

    fn height_of(&self, txid: &TxId) -> Option<Height> {
        self.included.iter().find(|(included, _)| included == txid).map(|(_, height)| *height)
    }

    fn insert(&mut self, tx: &CheckedTransaction, fee: u64, floor: FeeRate) -> Result<Inserted, PoolError> {
        let (txid, bytes) = (tx.txid(), tx.encoded_bytes());
        if self.list.iter().any(|known| known.txid == txid) {
            return Err(PoolError::AlreadyKnown);
        }
        if let Some(height) = self.height_of(&txid) {
            return Err(PoolError::AlreadyInChain { height });
        }
        let rate = FeeRate(fee * 1_000 / u64::try_from(bytes).unwrap());
        if rate < floor {
            return Err(PoolError::BelowFloor { rate, floor });
        }
        let before = self.list.clone();
        let mut evicted = Vec::new();
        loop {
            let (count, used) = self.counted();
            if count < LIMITS.max_transactions && used + bytes <= LIMITS.max_bytes {
                break;
            }
            match self.take_worst() {
                Some(known) if known.rate < rate => evicted.push(known.txid),
                _ => {
                    self.list = before;
                    return Err(PoolError::Full { rate });
                }
            }
        }
        self.list.push(Known { txid, bytes, rate, received_ms: self.now_ms, stage: Stage::Pending });
        Ok(Inserted { evicted })
    }

    fn mark(&mut self, txid: &TxId, stage: Stage) {
        let now_ms = self.now_ms;
        let Some(known) = self.list.iter_mut().find(|known| known.txid == *txid) else { return };
        known.stage = match (known.stage, stage) {
            (Stage::Final { .. }, _) => known.stage,
            (_, Stage::Final { .. }) => Stage::Final { after_ms: now_ms - known.received_ms },
            (Stage::Certified, _) => known.stage,
            (_, stage) => stage,
        };
    }
}

fn step(pool: &TransactionPool, oracle: &mut Oracle, operation: &Operation) {
    let now_ms = oracle.now_ms;
    match operation {
        Operation::Insert { number, fee } => {
            let tx = of_some_size(*number);
            let expected = oracle.insert(&tx, *fee, pool.floor(now_ms));
            assert_eq!(pool.insert(tx, Amount(*fee), now_ms, SOURCE), expected);
            if let Err(PoolError::Full { rate }) = expected {
                assert!(pool.floor(now_ms) > rate || oracle.counted().0 == 0);
            }
        }
        Operation::InsertCertified { number, fee } => {
            let tx = of_some_size(*number);
            let (txid, bytes) = (tx.txid(), tx.encoded_bytes());
            let expected =
                oracle.height_of(&txid).map_or(Ok(()), |height| Err(PoolError::AlreadyInChain { height }));
            assert_eq!(pool.insert_certified(tx, Amount(*fee), now_ms, SOURCE), expected);
            if expected.is_ok() && oracle.list.iter().all(|known| known.txid != txid) {
                let rate = FeeRate(*fee * 1_000 / u64::try_from(bytes).unwrap());
                oracle.list.push(Known { txid, bytes, rate, received_ms: now_ms, stage: Stage::Certified });
            } else if expected.is_ok() {
                oracle.mark(&txid, Stage::Certified);
            }
        }
        Operation::Mark { number, stage } => {
            let txid = of_some_size(*number).txid();
            match stage {
                Stage::Pending => drop(pool.mark_pending(&txid)),
                Stage::Waiting => drop(pool.mark_waiting(&txid)),
                Stage::Conflicting => drop(pool.mark_conflicting(&txid)),
                Stage::Certified => drop(pool.mark_certified(&txid)),
                Stage::Final { .. } => drop(pool.mark_final(&txid, now_ms)),
            }
            oracle.mark(&txid, *stage);
            if *stage == Stage::Pending {
                oracle.surplus();
            }
        }
        Operation::Include(numbers) => {
            oracle.height += 1;
            let txids: Vec<TxId> = numbers.iter().map(|number| of_some_size(*number).txid()).collect();
            pool.remove_included(&txids, oracle.height, now_ms);
            for txid in txids {
                if let Some(place) = oracle.list.iter().position(|known| known.txid == txid) {
                    oracle.list.remove(place);
                    oracle.included.push((txid, oracle.height));
                }
            }
        }
        Operation::Remove(number) => {
            let removed = pool.remove(&of_some_size(*number).txid()).map(|tx| tx.txid());
            let place = oracle.list.iter().position(|known| known.txid == of_some_size(*number).txid());
            assert_eq!(removed, place.map(|place| oracle.list.remove(place).txid));
        }
        Operation::StartEpoch => {
            for known in &mut oracle.list {
                if known.stage == Stage::Certified {
                    known.stage = Stage::Pending;
                }
            }
            let expected = oracle.surplus();
            assert_eq!(pool.start_epoch(now_ms), expected);
        }
        Operation::Expire(age_ms) => {
            let before_ms = now_ms.saturating_sub(*age_ms);
            let is_old = |known: &Known| known.stage.is_uncertified() && known.received_ms < before_ms;
            let expired = pool.expire(before_ms);
            assert_eq!(expired.len(), oracle.list.iter().filter(|known| is_old(known)).count());
            oracle.list.retain(|known| !is_old(known));
        }
        Operation::Wait(ms) => {
            let before = pool.floor(now_ms);
            oracle.now_ms += ms;
            assert!(pool.floor(oracle.now_ms) <= before);
        }
    }
}

proptest! {
    #[test]
    fn random_operations_agree_with_the_oracle(operations in prop::collection::vec(operation(), 1..120)) {
        let pool = TransactionPool::new(LIMITS);
        let mut oracle = Oracle::default();
        for operation in &operations {
            step(&pool, &mut oracle, operation);
            prop_assert_eq!(pool.check_invariants(), Ok(()));
            prop_assert_eq!(pool.len(), oracle.list.len());
            prop_assert_eq!(pool.bytes(), oracle.list.iter().map(|known| known.bytes).sum::<usize>());
            prop_assert_eq!(pool.uncertified(), oracle.uncertified());
            prop_assert_eq!(pool.counted(), oracle.counted());
            for known in &oracle.list {
                let expected = PoolStatus { stage: known.stage, received_ms: known.received_ms, included: None };
                prop_assert_eq!(pool.status(&known.txid), Some(expected));
                prop_assert_eq!(pool.get(&known.txid).map(|tx| tx.txid()), Some(known.txid));
            }
            for (txid, height) in &oracle.included {
                prop_assert_eq!(pool.status(txid).and_then(|status| status.included), Some(*height));
            }
        }
    }
}

/// A transaction with so many outputs.
fn wide(number: u32, outputs: usize) -> CheckedTransaction {
    let plain = transaction(number, 0);
    let mut transaction = Transaction::clone(plain.transaction());
    transaction.outputs = vec![transaction.outputs[0]; outputs];
    let parameters = ChainParameters::of_network(Network::Devnet);
    CheckedTransaction::check(Arc::new(transaction), &ChainId([0; 32]), &parameters, &TrustingVerifier)
        .unwrap()
}

/// INV-POOL-1.
#[test]
fn what_waits_for_parents_is_bounded_in_bytes_as_well() {
    let pool = small_pool(10);
    let bytes = wide(0, 900).encoded_bytes();
    let most = WAITING_BYTES_MAX / bytes;
    assert!(most < WAITING_TRANSACTIONS_MAX);
    for number in 0..u32::try_from(most).unwrap() {
        pool.insert_waiting(wide(number, 900), Amount(1), 0, SOURCE).unwrap();
    }
    let refused = pool.insert_waiting(wide(1 << 20, 900), Amount(1_000_000), 0, SOURCE);
    assert!(matches!(refused, Err(PoolError::Full { .. })), "{refused:?}");
    assert_eq!(pool.uncertified(), (most, most * bytes));
    pool.check_invariants().unwrap();
}

/// A pool that is full of bytes is as full as one that is full of transactions.
#[test]
fn the_floor_stays_for_its_time_while_the_pool_is_full_of_bytes() {
    let size = transaction(0, 0).encoded_bytes();
    let pool = TransactionPool::new(PoolLimits { max_transactions: 1_000, max_bytes: 3 * size });
    for (number, rate) in [(1, 63_000), (2, 90_000), (3, 90_000), (4, 90_000)] {
        insert(&pool, number, rate, 0).unwrap();
    }
    let floor = pool.floor(0);
    assert!(floor >= FeeRate(63_000));
    assert_eq!(pool.floor(FLOOR_HALF_LIFE_MS), FeeRate(floor.0 / 2));
}
