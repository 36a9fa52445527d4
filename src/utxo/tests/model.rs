//! Random operations against maps that hold everything and forget nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Operation {
    /// A new transaction that spends some known outputs, if they can be spent, is locked.
    Lock {
        picks: Vec<usize>,
        owners: Vec<u8>,
    },
    Vote(usize),
    Finalize(usize),
    Release(usize),
    Block {
        first: usize,
        count: usize,
    },
    /// The index takes the next block, without a mark.
    ApplyToIndex,
    /// The index marks what it has taken.
    Mark,
    /// The index falls back into the middle of what it had taken since its mark.
    FallBack(usize),
    StartEpoch,
    Prefetch(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    let pick = || any::<usize>();
    prop_oneof![
        6 => (prop::collection::vec(pick(), 1..4), prop::collection::vec(1_u8..4, 1..4))
            .prop_map(|(picks, owners)| Operation::Lock { picks, owners }),
        3 => pick().prop_map(Operation::Vote),
        4 => pick().prop_map(Operation::Finalize),
        1 => pick().prop_map(Operation::Release),
        3 => (pick(), 0_usize..8).prop_map(|(first, count)| Operation::Block { first, count }),
        3 => Just(Operation::ApplyToIndex),
        2 => Just(Operation::Mark),
        1 => pick().prop_map(Operation::FallBack),
        1 => Just(Operation::StartEpoch),
        1 => pick().prop_map(Operation::Prefetch),
    ]
}

/// What is true.
struct Oracle {
    chain: BTreeMap<OutPoint, UtxoEntry>,
    spent: BTreeMap<OutPoint, (TxId, Height)>,
    locks: BTreeMap<OutPoint, (TxId, LockStage)>,
    final_outputs: BTreeMap<OutPoint, TxOut>,
    known: Vec<OutPoint>,
    transactions: Vec<CheckedTransaction>,
    included: BTreeSet<TxId>,
    height: Height,
}

impl Oracle {
    fn state(&self, outpoint: &OutPoint) -> OutputState {
        if let Some((by, height)) = self.spent.get(outpoint) {
            return OutputState::Confirmed { by: *by, height: *height };
        }
        match self.locks.get(outpoint).copied() {
            Some((by, LockStage::Locked)) => OutputState::Locked { by },
            Some((by, LockStage::Voted)) => OutputState::SpentPending { by },
            Some((by, LockStage::Final)) => OutputState::SpentFinalized { by },
            None if self.find(outpoint).is_some() => OutputState::Unspent,
            None => OutputState::Unknown,
        }
    }

    fn find(&self, outpoint: &OutPoint) -> Option<(TxOut, Option<Height>)> {
        let in_chain = self.chain.get(outpoint).map(|entry| (entry.output, Some(entry.height)));
        in_chain.or_else(|| self.final_outputs.get(outpoint).map(|output| (*output, None)))
    }

    fn spendable(&self, lock: Lock) -> BTreeMap<OutPoint, (TxOut, Option<Height>)> {
        let known = self.known.iter().filter(|outpoint| !self.locks.contains_key(outpoint));
        known
            .filter_map(|outpoint| Some((*outpoint, self.find(outpoint)?)))
            .filter(|(_, (output, _))| output.lock == lock)
            .collect()
    }

    /// Whether the finality machine could decide for it: its inputs are there and no other final one has them.
    fn can_be_decided(&self, tx: &CheckedTransaction) -> bool {
        tx.inputs().iter().all(|input| self.find(input).is_some() && !self.is_final_for_another(input, tx))
    }

    fn is_final_for_another(&self, input: &OutPoint, tx: &CheckedTransaction) -> bool {
        matches!(self.locks.get(input), Some((by, LockStage::Final)) if *by != tx.txid())
    }

    fn decide(&mut self, tx: &CheckedTransaction, stage: LockStage) {
        for input in tx.inputs() {
            let before = self.locks.get(input).filter(|(by, _)| *by == tx.txid()).map(|(_, stage)| *stage);
            self.locks.insert(*input, (tx.txid(), before.map_or(stage, |before| before.max(stage))));
        }
    }
}

struct World {
    oracle: Oracle,
    manager: UtxoManager,
    index: Index,
    store: MemoryIndex,
    changes: Vec<IndexChange>,
    /// Blocks that the index has taken, and marked.
    applied: usize,
    marked: usize,
}

impl World {
    fn new(cache_bytes: usize) -> Self {
        let store = MemoryIndex::new();
        let index = Index::new(Arc::new(store.clone()));
        let genesis: Vec<_> = (0..6_u8).map(|n| (outpoint(n.into()), entry(1 + n % 3, 0))).collect();
        index.apply(&index_change(0, Vec::new(), genesis.clone())).unwrap();
        mark(&index, 0);
        let oracle = Oracle {
            known: genesis.iter().map(|(outpoint, _)| *outpoint).collect(),
            chain: genesis.into_iter().collect(),
            spent: BTreeMap::new(),
            locks: BTreeMap::new(),
            final_outputs: BTreeMap::new(),
            transactions: Vec::new(),
            included: BTreeSet::new(),
            height: 0,
        };
        let manager = UtxoManager::new(Arc::new(index.clone()), cache_bytes);
        Self { oracle, manager, index, store, changes: Vec::new(), applied: 0, marked: 0 }
    }

    fn transaction(&self, pick: usize) -> Option<CheckedTransaction> {
        let all = &self.oracle.transactions;
        (!all.is_empty()).then(|| all[pick % all.len()].clone())
    }

    fn step(&mut self, operation: &Operation) {
        match operation {
            Operation::Lock { picks, owners } => self.lock(picks, owners),
            Operation::Vote(pick) => {
                let Some(tx) = self.transaction(*pick).filter(|tx| self.oracle.can_be_decided(tx)) else {
                    return;
                };
                self.manager.mark_voted(tx.txid(), tx.inputs());
                self.oracle.decide(&tx, LockStage::Voted);
            }
            Operation::Finalize(pick) => self.finalize(*pick),
            Operation::Release(pick) => {
                let Some(tx) = self.transaction(*pick) else { return };
                self.manager.release(&tx);
                let is_kept = |by: TxId, stage| by != tx.txid() || stage == LockStage::Final;
                let inputs = tx.inputs();
                self.oracle
                    .locks
                    .retain(|input, (by, stage)| !inputs.contains(input) || is_kept(*by, *stage));
            }
            Operation::Block { first, count } => self.block(*first, *count),
            Operation::ApplyToIndex => {
                if let Some(change) = self.changes.get(self.applied) {
                    self.index.apply(change).unwrap();
                    self.applied += 1;
                }
            }
            Operation::Mark => {
                let height = u64::try_from(self.applied).unwrap();
                mark(&self.index, height);
                self.marked = self.applied;
                self.manager.forget_through(height);
            }
            Operation::FallBack(seed) => {
                self.store.crash(u64::try_from(*seed).unwrap());
                self.applied = self.marked;
            }
            Operation::StartEpoch => {
                self.manager.start_epoch();
                self.oracle.locks.retain(|_, (_, stage)| *stage == LockStage::Final);
            }
            Operation::Prefetch(pick) => {
                let start = pick % self.oracle.known.len();
                self.manager.prefetch(&self.oracle.known[start..]);
            }
        }
    }

    fn lock(&mut self, picks: &[usize], owners: &[u8]) {
        let known = &self.oracle.known;
        let inputs: BTreeSet<OutPoint> = picks.iter().map(|pick| known[pick % known.len()]).collect();
        let inputs: Vec<OutPoint> = inputs.into_iter().rev().collect();
        // As the router does: only what it finds is locked.
        if inputs.iter().any(|input| self.manager.find_output(input).is_none()) {
            return;
        }
        let number = self.oracle.transactions.len();
        let tx = spend(&inputs, owners, number.to_string().as_bytes());
        let txid = tx.txid();
        let holder = inputs.iter().find_map(|input| Some((*input, self.oracle.locks.get(input)?.0)));
        let expected = match holder {
            Some((outpoint, held_by)) => Err(LockError::Conflict(LockConflict { outpoint, held_by })),
            None => Ok(()),
        };
        assert_eq!(
            self.manager.conflict_of(&inputs, txid),
            holder.map(|(outpoint, held_by)| LockConflict { outpoint, held_by })
        );
        assert_eq!(self.manager.lock(&tx), expected);
        if expected.is_ok() {
            assert_eq!(self.manager.lock(&tx), Ok(()));
            self.oracle.decide(&tx, LockStage::Locked);
        }
        self.oracle.known.extend(tx.transaction().created(txid).map(|(outpoint, _)| outpoint));
        self.oracle.transactions.push(tx);
    }

    fn finalize(&mut self, pick: usize) {
        let Some(tx) = self.transaction(pick) else { return };
        if self.oracle.included.contains(&tx.txid()) {
            self.manager.mark_final(&tx);
        } else if self.oracle.can_be_decided(&tx) {
            self.manager.mark_final(&tx);
            self.oracle.decide(&tx, LockStage::Final);
            let outputs = tx.transaction().created(tx.txid()).map(|(outpoint, output)| (outpoint, *output));
            self.oracle.final_outputs.extend(outputs);
        }
    }

    fn block(&mut self, first: usize, count: usize) {
        let height = self.oracle.height + 1;
        let number = self.oracle.transactions.len();
        let (mut made, mut used, mut spends) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut change = index_change(height, Vec::new(), Vec::new());
        for place in (0..number).map(|place| (first % number + place) % number) {
            let tx = self.oracle.transactions[place].clone();
            let oracle = &self.oracle;
            let is_there = |input: &OutPoint| oracle.chain.contains_key(input) || made.contains_key(input);
            let is_free = |input: &OutPoint| !spends.iter().any(|(spent, _)| spent == input);
            let is_valid = |input: &OutPoint| {
                is_there(input) && is_free(input) && !oracle.is_final_for_another(input, &tx)
            };
            if used.len() == count
                || oracle.included.contains(&tx.txid())
                || !tx.inputs().iter().all(is_valid)
            {
                continue;
            }
            for input in tx.inputs() {
                let entry = oracle.chain.get(input).or_else(|| made.get(input)).copied().unwrap();
                change.spent.push((*input, entry, tx.txid()));
            }
            spends.extend(spenders(&[&tx]));
            let outputs = created(&tx, height);
            made.extend(outputs.iter().copied());
            change.created.extend(outputs);
            used.push(tx);
        }
        let oracle = &mut self.oracle;
        let is_left = |outpoint: &OutPoint| !spends.iter().any(|(spent, _)| spent == outpoint);
        let net_made: Vec<_> = made.into_iter().filter(|(outpoint, _)| is_left(outpoint)).collect();
        self.manager.apply_block(height, &net_made, &spends);
        for tx in used {
            oracle.included.insert(tx.txid());
            for (outpoint, _) in tx.transaction().created(tx.txid()) {
                oracle.final_outputs.remove(&outpoint);
            }
        }
        oracle.chain.extend(net_made);
        for (input, by) in &spends {
            oracle.chain.remove(input);
            oracle.locks.remove(input);
            oracle.spent.insert(*input, (*by, height));
        }
        oracle.height = height;
        self.changes.push(change);
    }

    fn compare(&self) {
        let (oracle, manager) = (&self.oracle, &self.manager);
        for outpoint in &oracle.known {
            assert_eq!(manager.output_state(outpoint), oracle.state(outpoint), "{outpoint}");
            assert_eq!(manager.find_output(outpoint), oracle.find(outpoint), "{outpoint}");
            assert_eq!(manager.utxo(outpoint), oracle.chain.get(outpoint).copied(), "{outpoint}");
        }
        for number in 1..4 {
            let expected = oracle.spendable(owner(number));
            let found = manager.spendable_of(&owner(number), usize::MAX);
            assert_eq!(found.len(), expected.len());
            let found: BTreeMap<_, _> =
                found.into_iter().map(|(o, output, height)| (o, (output, height))).collect();
            assert_eq!(found, expected);
            assert_eq!(manager.spendable_of(&owner(number), 2).len(), expected.len().min(2));
        }
        assert_eq!(manager.locked_count(), oracle.locks.len());
        assert_eq!(manager.final_output_count(), oracle.final_outputs.len());
        assert!(!manager.is_poisoned());
        manager.check_invariants().unwrap();
    }
}

proptest! {
    /// INV-UTXO-1.
    #[test]
    fn random_operations_agree_with_the_oracle(
        cache_bytes in prop_oneof![Just(0), Just(1_024), Just(1 << 20)],
        operations in prop::collection::vec(operation(), 1..80),
    ) {
        let mut world = World::new(cache_bytes);
        for operation in &operations {
            world.step(operation);
            world.compare();
        }
        // In the end the index catches up, and memory holds nothing but what is final and not in a block.
        for _ in world.applied..world.changes.len() {
            world.step(&Operation::ApplyToIndex);
        }
        world.step(&Operation::Mark);
        world.compare();
        prop_assert_eq!(world.manager.overlay_bytes(), 0);
        prop_assert_eq!(world.manager.chain.sizes().0, 0);
        prop_assert_eq!(world.manager.by_lock.len(), world.oracle.final_outputs.len());
    }
}
