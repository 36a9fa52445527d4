//! Tests of the manager against simple oracles, with an index that lags, shows half blocks, interrupts and fails.

mod model;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use parking_lot::Mutex;

use super::*;
use crate::storage::index_store::{Change, Entries};
use crate::storage::{IndexChange, IndexStore, MemoryIndex, StorageError, Tree};
use crate::types::genesis::ChainParameters;
use crate::types::{
    Amount, BlockHash, ChainId, KeyHash, Network, PublicKey, Signature, SignatureCheck, SignatureVerifier,
    Transaction, Witness,
};

/// Signatures are not what is tested here.
struct TrustingVerifier;

impl SignatureVerifier for TrustingVerifier {
    fn verify_all(&self, _checks: &[SignatureCheck]) -> Result<(), usize> {
        Ok(())
    }
}

fn owner(number: u8) -> Lock {
    Lock::KeyHash(KeyHash([number; 32]))
}

fn outpoint(number: u32) -> OutPoint {
    OutPoint { txid: TxId([0xEE; 32]), index: number }
}

fn entry(number: u8, height: Height) -> UtxoEntry {
    UtxoEntry { output: TxOut { value: Amount(100), lock: owner(number) }, height }
}

fn spend(inputs: &[OutPoint], owners: &[u8], memo: &[u8]) -> CheckedTransaction {
    let outputs = owners.iter().map(|number| TxOut { value: Amount(100), lock: owner(*number) }).collect();
    let mut transaction = Transaction::transfer(inputs.to_vec(), outputs, memo.to_vec());
    transaction.witnesses = vec![Witness { key: PublicKey([1; 32]), signature: Signature([0; 64]) }];
    let parameters = ChainParameters::of_network(Network::Devnet);
    CheckedTransaction::check(Arc::new(transaction), &ChainId([0; 32]), &parameters, &TrustingVerifier)
        .unwrap()
}

fn spenders(transactions: &[&CheckedTransaction]) -> Vec<(OutPoint, TxId)> {
    let spends = |tx: &CheckedTransaction| {
        let txid = tx.txid();
        tx.inputs().to_vec().into_iter().map(move |input| (input, txid))
    };
    transactions.iter().flat_map(|tx| spends(tx)).collect()
}

fn created(transaction: &CheckedTransaction, height: Height) -> Vec<(OutPoint, UtxoEntry)> {
    let outputs = transaction.transaction().created(transaction.txid());
    outputs.map(|(outpoint, output)| (outpoint, UtxoEntry { output: *output, height })).collect()
}

type Hook = Box<dyn FnOnce() + Send>;

/// A store that fails on demand, or lets something happen between a read and its answer.
#[derive(Default, Clone)]
struct FaultyIndex {
    inner: MemoryIndex,
    is_failing: Arc<AtomicBool>,
    reads: Arc<AtomicUsize>,
    hook: Arc<Mutex<Option<Hook>>>,
}

impl IndexStore for FaultyIndex {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.is_failing.load(Ordering::SeqCst) {
            return Err(StorageError::Index { reason: "planned".to_owned() });
        }
        let value = self.inner.get(tree, key);
        let hook = self.hook.lock().take();
        if let Some(hook) = hook {
            hook();
        }
        value
    }

    fn scan_prefix(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, StorageError> {
        if self.is_failing.load(Ordering::SeqCst) {
            return Err(StorageError::Index { reason: "planned".to_owned() });
        }
        self.inner.scan_prefix(tree, prefix, after, limit)
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        self.inner.write(changes)
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.inner.sync()
    }
}

/// A manager whose index could not be read once.
pub(crate) fn poisoned() -> UtxoManager {
    let store = FaultyIndex::default();
    store.is_failing.store(true, Ordering::SeqCst);
    let manager = UtxoManager::new(Arc::new(Index::new(Arc::new(store))), 1 << 20);
    assert_eq!(manager.utxo(&outpoint(0)), None);
    manager
}

fn index_change(
    height: Height,
    spent: Vec<(OutPoint, UtxoEntry, TxId)>,
    created: Vec<(OutPoint, UtxoEntry)>,
) -> IndexChange {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&height.to_le_bytes());
    IndexChange {
        height,
        block_hash: BlockHash(hash),
        state: vec![7],
        spent,
        created,
        replaced: Vec::new(),
        transactions: Vec::new(),
        receipts: Vec::new(),
        epoch_end: None,
        fuller: None,
        evidence: Vec::new(),
    }
}

fn mark(index: &Index, height: Height) {
    index.set_mark(height, index_change(height, Vec::new(), Vec::new()).block_hash, &[7]).unwrap();
}

/// A manager over an index that holds outputs 0 to `outputs` of owner 1, made at genesis.
fn setup(outputs: u32) -> (Arc<UtxoManager>, Arc<Index>, FaultyIndex) {
    let store = FaultyIndex::default();
    let index = Arc::new(Index::new(Arc::new(store.clone())));
    let genesis = (0..outputs).map(|number| (outpoint(number), entry(1, 0))).collect();
    index.apply(&index_change(0, Vec::new(), genesis)).unwrap();
    mark(&index, 0);
    (Arc::new(UtxoManager::new(Arc::clone(&index), 1 << 20)), index, store)
}

/// INV-UTXO-4, INV-UTXO-5.
#[test]
fn an_output_passes_through_its_states_in_order() {
    let (manager, index, _) = setup(1);
    let tx = spend(&[outpoint(0)], &[2], b"");
    let by = tx.txid();
    let made = OutPoint { txid: by, index: 0 };
    let state = |outpoint: &OutPoint| manager.output_state(outpoint);
    assert_eq!(state(&outpoint(9)), OutputState::Unknown);
    assert_eq!(state(&outpoint(0)), OutputState::Unspent);
    manager.lock(&tx).unwrap();
    assert_eq!(state(&outpoint(0)), OutputState::Locked { by });
    manager.mark_voted(by, tx.inputs());
    assert_eq!(state(&outpoint(0)), OutputState::SpentPending { by });
    assert_eq!(manager.find_output(&made), None, "a transaction that is not final has no outputs yet");
    manager.mark_final(&tx);
    assert_eq!(state(&outpoint(0)), OutputState::SpentFinalized { by });
    assert_eq!(manager.find_output(&made), Some((tx.outputs()[0], None)));
    assert_eq!(manager.utxo(&made), None, "the chain's state does not have it yet");
    assert_eq!(manager.utxo(&outpoint(0)), Some(entry(1, 0)), "the chain's state still has it");
    manager.lock(&tx).unwrap();
    manager.mark_voted(by, tx.inputs());
    manager.release(&tx);
    manager.start_epoch();
    assert_eq!(state(&outpoint(0)), OutputState::SpentFinalized { by }, "final stays final");

    let outputs = created(&tx, 1);
    manager.apply_block(1, &outputs, &spenders(&[&tx]));
    let confirmed = OutputState::Confirmed { by, height: 1 };
    assert_eq!(state(&outpoint(0)), confirmed);
    assert_eq!(manager.find_output(&made), Some((tx.outputs()[0], Some(1))));
    assert_eq!(manager.utxo(&made), Some(outputs[0].1));
    assert_eq!((manager.locked_count(), manager.final_output_count()), (0, 0));
    assert!(manager.overlay_bytes() > 0);

    index.apply(&index_change(1, vec![(outpoint(0), entry(1, 0), by)], outputs.clone())).unwrap();
    mark(&index, 1);
    manager.forget_through(1);
    assert_eq!((state(&outpoint(0)), state(&made)), (confirmed, OutputState::Unspent));
    assert_eq!((manager.spender_of(&outpoint(0)), manager.spender_of(&made)), (Some((by, 1)), None));
    assert_eq!(manager.overlay_bytes(), 0);
    // Votes that come late bring nothing back.
    manager.mark_final(&tx);
    assert_eq!((manager.locked_count(), manager.final_output_count()), (0, 0));
    assert_eq!(manager.find_output(&made), Some((tx.outputs()[0], Some(1))));
    manager.check_invariants().unwrap();
}

/// INV-UTXO-5: blocks are applied on one thread, and what is final is told on another one, at any moment of it.
#[test]
fn what_is_called_final_while_its_block_is_applied_is_in_the_chains_state_alone() {
    let parent = spend(&[outpoint(0)], &[2, 3], b"");
    let inner = OutPoint { txid: parent.txid(), index: 0 };
    let child = spend(&[inner], &[4], b"");
    let mut made = created(&parent, 1);
    made.remove(0);
    made.extend(created(&child, 1));
    let spent = spenders(&[&parent, &child]);
    let holds = |manager: &UtxoManager, index: &Index| {
        assert_eq!((manager.locked_count(), manager.final_output_count()), (0, 0));
        assert_eq!((manager.find_output(&inner), manager.by_lock.len()), (None, 2));
        let change = index_change(1, vec![(outpoint(0), entry(1, 0), parent.txid())], made.clone());
        index.apply(&change).unwrap();
        mark(index, 1);
        manager.forget_through(1);
        let (name, entry) = made[0];
        assert_eq!(manager.find_output(&name), Some((entry.output, Some(1))));
        assert_eq!((manager.find_output(&inner), manager.by_lock.len()), (None, 0));
        manager.check_invariants().unwrap();
    };
    // When it has made what the block makes, and spent nothing yet.
    let (manager, index, _) = setup(1);
    manager.apply_block(1, &made, &[]);
    manager.mark_final(&parent);
    manager.apply_block(1, &[], &spent);
    holds(&manager, &index);
    // Between a look into the chain that finds nothing and what follows from that.
    let (manager, index, store) = setup(1);
    let (applying, block, inputs) = (Arc::clone(&manager), made.clone(), spent.clone());
    *store.hook.lock() = Some(Box::new(move || applying.apply_block(1, &block, &inputs)));
    manager.mark_final(&parent);
    assert!(store.hook.lock().is_none(), "the block was applied meanwhile");
    holds(&manager, &index);
}

#[test]
fn a_replaced_output_shows_its_new_entry_wherever_it_is_held() {
    // Held by the cache, by the overlay, by the index alone.
    let (manager, index, _) = setup(3);
    let tx = spend(&[outpoint(0)], &[1], b"");
    let made = created(&tx, 1);
    manager.apply_block(1, &made, &spenders(&[&tx]));
    manager.prefetch(&[outpoint(1)]);
    let less = |entry: UtxoEntry| {
        let value = Amount(entry.output.value.0 - 1);
        UtxoEntry { output: TxOut { value, ..entry.output }, ..entry }
    };
    let replaced =
        [(outpoint(1), less(entry(1, 0))), (outpoint(2), less(entry(1, 0))), (made[0].0, less(made[0].1))];
    manager.apply_block(2, &[], &[]);
    manager.replace_outputs(2, &replaced);
    let holds = |manager: &UtxoManager| {
        for (outpoint, entry) in &replaced {
            assert_eq!(manager.utxo(outpoint), Some(*entry));
            assert_eq!(manager.output_state(outpoint), OutputState::Unspent);
        }
        let of_owner = manager.outputs_of(&entry(1, 0).output.lock, None, 10);
        let found: Vec<_> = of_owner.iter().map(|found| (found.outpoint, found.output.value)).collect();
        let mut expected: Vec<_> =
            replaced.iter().map(|(outpoint, entry)| (*outpoint, entry.output.value)).collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "each of them once");
    };
    holds(&manager);
    index.apply(&index_change(1, vec![(outpoint(0), entry(1, 0), tx.txid())], made.clone())).unwrap();
    mark(&index, 1);
    manager.forget_through(1);
    holds(&manager);
    index.apply(&index_change(2, Vec::new(), replaced.to_vec())).unwrap();
    mark(&index, 2);
    manager.forget_through(2);
    holds(&manager);
    assert_eq!(manager.overlay_bytes(), 0);
    // And after a restart.
    holds(&UtxoManager::new(index, 1 << 20));
}

#[test]
fn a_lock_takes_all_inputs_or_none() {
    let (manager, ..) = setup(4);
    let first = spend(&[outpoint(2)], &[2], b"first");
    let second = spend(&[outpoint(1), outpoint(2), outpoint(3)], &[2], b"second");
    manager.lock(&first).unwrap();
    let conflict = LockConflict { outpoint: outpoint(2), held_by: first.txid() };
    assert_eq!(manager.lock(&second), Err(LockError::Conflict(conflict)));
    assert_eq!(manager.output_state(&outpoint(1)), OutputState::Unspent);
    assert_eq!(manager.output_state(&outpoint(3)), OutputState::Unspent);
    assert_eq!(manager.conflict_of(second.inputs(), second.txid()), Some(conflict));
    assert_eq!(manager.conflict_of(first.inputs(), first.txid()), None);
    manager.release(&second);
    assert_eq!(manager.output_state(&outpoint(2)), OutputState::Locked { by: first.txid() });
    manager.release(&first);
    manager.lock(&second).unwrap();
    // What the finality machine decided replaces what the mirror took first.
    manager.mark_voted(first.txid(), first.inputs());
    assert_eq!(manager.output_state(&outpoint(2)), OutputState::SpentPending { by: first.txid() });
    manager.start_epoch();
    assert_eq!(manager.locked_count(), 0);
    manager.check_invariants().unwrap();
}

#[test]
fn two_final_conflicts_keep_the_first() {
    let (manager, ..) = setup(1);
    let (first, second) = (spend(&[outpoint(0)], &[2], b"1"), spend(&[outpoint(0)], &[2], b"2"));
    manager.mark_final(&first);
    manager.mark_voted(second.txid(), second.inputs());
    manager.mark_final(&second);
    assert_eq!(manager.output_state(&outpoint(0)), OutputState::SpentFinalized { by: first.txid() });
}

#[test]
fn what_a_recent_block_spent_can_not_be_locked() {
    let (manager, ..) = setup(2);
    let included = spend(&[outpoint(0)], &[2], b"included");
    let other = spend(&[outpoint(0), outpoint(1)], &[2], b"other");
    manager.lock(&other).unwrap();
    manager.apply_block(1, &created(&included, 1), &spenders(&[&included]));
    assert_eq!(manager.lock(&included), Err(LockError::InChain { height: 1 }));
    let conflict = LockConflict { outpoint: outpoint(0), held_by: included.txid() };
    assert_eq!(manager.lock(&other), Err(LockError::Conflict(conflict)));
    assert_eq!(manager.conflict_of(other.inputs(), other.txid()), Some(conflict));
    manager.mark_voted(other.txid(), other.inputs());
    assert_eq!(manager.locked_count(), 1, "only what is left unspent");
    manager.release(&other);
    assert_eq!(manager.locked_count(), 0);
}

#[test]
fn locks_are_bounded() {
    let (_, index, _) = setup(4);
    let manager = UtxoManager::with_limits(index, 0, 3);
    let (first, second) =
        (spend(&[outpoint(0), outpoint(1)], &[2], b""), spend(&[outpoint(2), outpoint(3)], &[2], b""));
    manager.lock(&first).unwrap();
    assert_eq!(manager.lock(&second), Err(LockError::Full { locked: 2 }));
    manager.lock(&spend(&[outpoint(2)], &[2], b"")).unwrap();
    manager.lock(&first).unwrap();
    manager.mark_voted(second.txid(), second.inputs());
    assert_eq!(manager.locked_count(), 4, "the finality machine has bounds of its own");
}

#[test]
fn a_block_may_spend_its_own_outputs() {
    let (manager, ..) = setup(1);
    let parent = spend(&[outpoint(0)], &[2, 3], b"");
    let inner = OutPoint { txid: parent.txid(), index: 0 };
    let child = spend(&[inner], &[2], b"");
    manager.mark_final(&parent);
    manager.mark_final(&child);
    assert_eq!(manager.spendable_of(&owner(2), 10).len(), 1, "the inner one is taken");
    let mut made = created(&parent, 1);
    made.remove(0);
    made.extend(created(&child, 1));
    manager.apply_block(1, &made, &spenders(&[&parent, &child]));
    assert_eq!(manager.output_state(&inner), OutputState::Confirmed { by: child.txid(), height: 1 });
    assert_eq!(manager.find_output(&inner), None);
    assert_eq!((manager.locked_count(), manager.final_output_count()), (0, 0));
    assert_eq!(manager.by_lock.len(), 2);
}

#[test]
fn prefetched_outputs_are_not_read_again() {
    let (manager, _, store) = setup(3);
    let all = [outpoint(0), outpoint(1), outpoint(2)];
    manager.prefetch(&all);
    let before = store.reads.load(Ordering::SeqCst);
    assert!(all.iter().all(|outpoint| manager.utxo(outpoint) == Some(entry(1, 0))));
    manager.mark_final(&spend(&all, &[2], b""));
    assert_eq!(store.reads.load(Ordering::SeqCst), before);
}

/// INV-UTXO-2.
#[test]
fn a_slow_reader_does_not_bring_back_what_was_spent_and_forgotten() {
    let (manager, index, store) = setup(1);
    let tx = spend(&[outpoint(0)], &[2], b"");
    let hook: Hook = {
        let (manager, tx) = (Arc::clone(&manager), tx.clone());
        Box::new(move || {
            manager.apply_block(1, &created(&tx, 1), &spenders(&[&tx]));
            let spent = vec![(outpoint(0), entry(1, 0), tx.txid())];
            index.apply(&index_change(1, spent, created(&tx, 1))).unwrap();
            mark(&index, 1);
            manager.forget_through(1);
        })
    };
    *store.hook.lock() = Some(hook);
    // It began before the block, so either answer is right; what counts is the next one.
    manager.prefetch(&[outpoint(0)]);
    assert_eq!(manager.utxo(&outpoint(0)), None);
    assert_eq!(manager.chain.sizes(), (0, 1), "only the new output is cached");
}

#[test]
fn a_slow_reader_does_not_bring_back_what_the_overlay_has_spent() {
    let (manager, _, store) = setup(1);
    let tx = spend(&[outpoint(0)], &[2], b"");
    let hook: Hook = {
        let (manager, tx) = (Arc::clone(&manager), tx);
        Box::new(move || manager.apply_block(1, &[], &spenders(&[&tx])))
    };
    *store.hook.lock() = Some(hook);
    manager.prefetch(&[outpoint(0)]);
    assert_eq!(manager.chain.sizes(), (1, 0));
}

/// INV-UTXO-6.
#[test]
fn a_failed_read_poisons() {
    type Question = fn(&UtxoManager);
    let questions: [Question; 4] = [
        |manager| assert_eq!(manager.utxo(&outpoint(0)), None),
        |manager| assert_eq!(manager.find_output(&outpoint(0)), None),
        |manager| assert_eq!(manager.output_state(&outpoint(0)), OutputState::Unknown),
        |manager| assert!(manager.spendable_of(&owner(1), 1).is_empty()),
    ];
    for question in questions {
        let (manager, _, store) = setup(1);
        assert!(!manager.is_poisoned());
        store.is_failing.store(true, Ordering::SeqCst);
        question(&manager);
        assert!(manager.is_poisoned());
        store.is_failing.store(false, Ordering::SeqCst);
        assert!(manager.utxo(&outpoint(0)).is_some());
        assert!(manager.is_poisoned(), "for good");
    }
}

#[test]
fn the_overlay_says_when_it_is_full() {
    let (manager, ..) = setup(0);
    let many: Vec<_> = (0..1_000).map(|number| (outpoint(number), entry(1, 1))).collect();
    manager.apply_block(1, &many, &[]);
    let bytes = manager.overlay_bytes();
    assert!(!manager.is_overlay_full());
    let mut height = 1;
    while !manager.is_overlay_full() {
        height += 1;
        // The same outputs again: the bound counts changes, not outputs.
        manager.apply_block(height, &many, &[]);
    }
    assert_eq!(manager.overlay_bytes(), bytes * usize::try_from(height).unwrap());
    manager.forget_through(height - 1);
    assert_eq!(manager.overlay_bytes(), bytes);
    assert_eq!(manager.chain.sizes().0, 1_000);
    manager.forget_through(Height::MAX);
    assert_eq!((manager.overlay_bytes(), manager.chain.sizes().0, manager.by_lock.len()), (0, 0, 0));
}

#[test]
fn an_address_with_more_than_a_page_of_outputs_is_told_whole() {
    let (manager, index, _) = setup(700);
    let young: Vec<_> = (10_000..10_600).map(|number| (outpoint(number), entry(1, 1))).collect();
    manager.apply_block(1, &young, &[]);
    index.apply(&index_change(1, Vec::new(), young)).unwrap();
    let taken: Vec<OutPoint> = (0..300).chain(10_000..10_300).map(outpoint).collect();
    manager.lock(&spend(&taken, &[2], b"")).unwrap();
    let found = manager.spendable_of(&owner(1), 10_000);
    let distinct: BTreeSet<OutPoint> = found.iter().map(|(outpoint, ..)| *outpoint).collect();
    assert_eq!((found.len(), distinct.len()), (700, 700));
    assert!(taken.iter().all(|outpoint| !distinct.contains(outpoint)));
    assert_eq!(manager.spendable_of(&owner(1), 450).len(), 450);
    assert_eq!(manager.spendable_of(&owner(1), 0).len(), 0);

    // Page by page, in order, locked ones included, each once, whether memory or the index or both hold it.
    for limit in [1, 255, 256, 257, 2_000] {
        let (mut after, mut all) = (None, Vec::new());
        loop {
            let page = manager.outputs_of(&owner(1), after, limit);
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.outpoint);
            all.extend(page);
        }
        assert!(all.is_sorted_by(|left, right| left.outpoint < right.outpoint), "{limit}");
        assert_eq!(all.len(), 1_300);
        assert_eq!(all.iter().filter(|output| output.is_locked).count(), 600);
    }
    // What a final transaction spends is gone, and what it makes is there.
    let payment = spend(&[outpoint(0), outpoint(10_000)], &[1], b"final");
    manager.mark_final(&payment);
    let all = manager.outputs_of(&owner(1), None, 2_000);
    assert_eq!(all.len(), 1_299);
    assert!(all.iter().any(|output| output.outpoint.txid == payment.txid() && output.height.is_none()));
}

/// INV-UTXO-3.
#[test]
fn of_two_spends_that_race_exactly_one_wins() {
    const RACES: u32 = 10_000;
    const THREADS_PER_SPEND: usize = 2;
    let (manager, ..) = setup(0);
    // Two outputs are shared, named in opposite orders; each spend has one of its own, before or after them.
    let pairs: Vec<[CheckedTransaction; 2]> = (0..RACES)
        .map(|race| {
            let [a, x, y, b] = [0, 1, 2, 3].map(|place| outpoint(race * 4 + place));
            [spend(&[a, x, y], &[2], b"one"), spend(&[b, y, x], &[2], b"two")]
        })
        .collect();
    let barrier = Barrier::new(2 * THREADS_PER_SPEND);
    let wins: Vec<Vec<bool>> = std::thread::scope(|scope| {
        let run = |side: usize| {
            let (manager, pairs, barrier) = (&manager, &pairs, &barrier);
            scope.spawn(move || {
                pairs
                    .iter()
                    .map(|pair| {
                        barrier.wait();
                        manager.lock(&pair[side]).is_ok()
                    })
                    .collect::<Vec<bool>>()
            })
        };
        let threads: Vec<_> = (0..2 * THREADS_PER_SPEND).map(|thread| run(thread % 2)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (race, pair) in pairs.iter().enumerate() {
        assert_ne!(wins[0][race], wins[1][race], "race {race}");
        assert_eq!((wins[0][race], wins[1][race]), (wins[2][race], wins[3][race]), "race {race}");
        let winner = &pair[usize::from(wins[1][race])];
        let loser = &pair[usize::from(wins[0][race])];
        let held = OutputState::Locked { by: winner.txid() };
        assert!(winner.inputs().iter().all(|input| manager.output_state(input) == held), "race {race}");
        assert_eq!(manager.output_state(&loser.inputs()[0]), OutputState::Unknown, "race {race}");
    }
    assert_eq!(manager.locked_count(), pairs.len() * 3);
    manager.check_invariants().unwrap();
}

#[test]
fn the_cache_takes_no_more_memory_than_it_is_given() {
    let (_, index, _) = setup(200);
    let manager = UtxoManager::with_limits(index, 10 * 256, 3);
    for number in 0..200 {
        assert_eq!(manager.utxo(&outpoint(number)), Some(entry(1, 0)));
        assert!(manager.chain.sizes().1 <= 10, "after {number}");
    }
}

/// The finality machine's own locks may be more than the bound; they turn away nobody who needs none.
#[test]
fn who_holds_its_coins_has_them_though_no_more_can_be_locked() {
    let (_, index, _) = setup(4);
    let manager = UtxoManager::with_limits(index, 0, 1);
    let (held, decided) =
        (spend(&[outpoint(0)], &[2], b""), spend(&[outpoint(1), outpoint(2), outpoint(3)], &[2], b""));
    manager.lock(&held).unwrap();
    manager.mark_voted(decided.txid(), decided.inputs());
    assert_eq!(manager.locked_count(), 4);
    assert_eq!((manager.lock(&held), manager.lock(&decided)), (Ok(()), Ok(())));
}
