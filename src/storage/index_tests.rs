use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::*;
use crate::storage::fjall_index::FjallIndex;
use crate::storage::index_epoch_keys::set_key;
use crate::storage::index_store::Entries;
use crate::storage::index_window::WINDOW_BYTES_MAX;
use crate::storage::index_writer::{IndexEvent, IndexWriter, MARK_BLOCKS, MARK_ENTRIES, QUEUE_CHANGES_MAX};
use crate::storage::memory_index::MemoryIndex;
use crate::storage::sled_index::{SledIndex, is_of_machine};
use crate::types::{Amount, Epoch, Hash, KeyHash, MasternodeId, PublicKey, TxOut, Validator, ValidatorSet};

#[path = "index_history_tests.rs"]
mod history;

use history::assert_history;

fn lock(byte: u8) -> Lock {
    Lock::KeyHash(KeyHash([byte; 32]))
}

fn txid(height: Height) -> TxId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&height.to_le_bytes());
    TxId(bytes)
}

fn made(height: Height, index: u32) -> (OutPoint, UtxoEntry) {
    let output = TxOut { value: Amount(height + 1), lock: lock(u8::try_from(height % 3).unwrap()) };
    (OutPoint { txid: txid(height), index }, UtxoEntry { output, height })
}

/// The set after epoch `epoch`: the same after two epochs each, alternately of one and of a hundred members.
fn set(epoch: Epoch) -> Arc<ValidatorSet> {
    let members = if (epoch / 2).is_multiple_of(2) { 1_u8 } else { 100 };
    let member = |id| Validator { id: MasternodeId([id; 32]), key: PublicKey([id; 32]), weight: 1 };
    Arc::new(ValidatorSet::new((0..members).map(member).collect()))
}

/// Every third block punishes somebody.
fn punished(height: Height) -> Option<PunishedEvidence> {
    height.is_multiple_of(3).then(|| PunishedEvidence {
        hash: Hash(txid(height).0),
        kind: "conflicting_votes".to_owned(),
        masternode: MasternodeId([2; 32]),
        epoch: 1,
        height: Some(height),
        block_height: height,
        burned: Amount(height),
    })
}

/// Every fourth block makes the second output of the block before less.
fn replaced(height: Height) -> Option<(OutPoint, UtxoEntry)> {
    let before = height.checked_sub(1).filter(|_| height.is_multiple_of(4))?;
    let (outpoint, mut entry) = made(before, 1);
    entry.output.value = Amount(1);
    Some((outpoint, entry))
}

/// Block `height` ends an epoch, spends the first output of the block before it and one of its own three.
fn change(height: Height) -> IndexChange {
    let mut spent = vec![(made(height, 2).0, made(height, 2).1, txid(height))];
    if height > 0 {
        let (outpoint, entry) = made(height - 1, 0);
        spent.push((outpoint, entry, txid(height)));
    }
    IndexChange {
        height,
        block_hash: BlockHash(txid(height).0),
        state: vec![u8::try_from(height % 256).unwrap(); usize::try_from(height).unwrap() * 5_000],
        spent,
        created: (0..3).map(|index| made(height, index)).collect(),
        replaced: replaced(height).into_iter().collect(),
        transactions: vec![TxId([0xee; 32]), txid(height)],
        epoch_end: Some(EpochEnd { epoch: height, next_set: set(height), head: None }),
        fuller: None,
        receipts: vec![Receipt { txid: txid(height), effect: Ok(MasternodeId([1; 32])) }],
        evidence: punished(height).into_iter().collect(),
    }
}

fn mark(index: &Index, height: Height) -> Result<(), StorageError> {
    let change = change(height);
    index.set_mark(height, change.block_hash, &change.state)
}

/// Everything that readers can see after `height` changes.
fn assert_holds(index: &Index, height: Height) {
    for block in 0..=height {
        assert_eq!(index.block_height(&change(block).block_hash).unwrap(), Some(block));
        assert_eq!(index.transaction(&txid(block)).unwrap(), Some((block, 1)));
        let next_set = set(block);
        assert_eq!(index.epoch_end(block).unwrap(), Some((block, next_set.hash())));
        assert_eq!(index.epoch_end_hash(block).unwrap(), Some(BlockHash(txid(block).0)));
        assert_eq!(index.validator_set(&next_set.hash()).unwrap().as_ref(), Some(&*next_set));
        let unspent = |index: &Index, output| index.utxo(&made(block, output).0).unwrap();
        assert_eq!(index.receipt(&txid(block)).unwrap().as_ref(), change(block).receipts.first());
        let is_last = block == height;
        assert_eq!(unspent(index, 0), is_last.then_some(made(block, 0).1), "block {block} of {height}");
        let second = replaced(block + 1).filter(|_| !is_last).map_or(made(block, 1).1, |(_, entry)| entry);
        assert_eq!(unspent(index, 1), Some(second));
        assert_eq!(unspent(index, 2), None);
        let spender = (!is_last).then_some((txid(block + 1), block + 1));
        assert_eq!(index.spent_by(&made(block, 0).0).unwrap(), spender);
        assert_eq!(index.spent_by(&made(block, 2).0).unwrap(), Some((txid(block), block)));
    }
    assert_eq!(index.utxo(&made(height + 1, 0).0).unwrap(), None);
    assert_eq!(index.epoch_end(height + 1).unwrap(), None);
    assert_eq!(index.validator_set(&Hash::ZERO).unwrap(), None);
    assert_history(index, height);
    let newest_first: Vec<_> = (0..=height).rev().filter_map(punished).collect();
    assert_eq!(index.evidence(usize::MAX).unwrap(), newest_first);
    assert_eq!(index.evidence(1).unwrap(), newest_first[..1]);
    let mut by_address = Vec::new();
    for byte in 0..3 {
        let mut after = None;
        loop {
            let page = index.address_utxos(&lock(byte), after.as_ref(), 2).unwrap();
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            by_address.extend(page);
        }
    }
    by_address.sort_by_key(|(outpoint, _)| *outpoint);
    let named = |block| [(block == height).then(|| made(block, 0)), Some(made(block, 1))];
    let all = (0..=height).flat_map(named).flatten().map(|(outpoint, _)| outpoint);
    let mut all: Vec<_> = all.map(|outpoint| (outpoint, index.utxo(&outpoint).unwrap().unwrap())).collect();
    all.sort_by_key(|(outpoint, _)| *outpoint);
    assert_eq!(by_address, all, "addresses and outputs agree");
    assert_eq!(index.unspent().unwrap(), height + 2);
}

/// INV-INDEX-1, INV-INDEX-3, INV-HISTORY-2.
#[test]
fn changes_can_be_read_and_applied_again() {
    let store = Arc::new(MemoryIndex::new());
    let index = Index::new(store.clone());
    assert_eq!(index.mark().unwrap(), None);
    assert_eq!(index.highest_written().unwrap(), None);
    for height in 0..7 {
        index.apply(&change(height)).unwrap();
        assert_holds(&index, height);
    }
    let order = |index: &Index, height| matches!(index.apply(&change(height)), Err(StorageError::IndexOrder { found, .. }) if found == height);
    assert!(order(&index, 8), "INV-INDEX-3");
    for from in 0..7 {
        (from..7).for_each(|height| index.apply(&change(height)).unwrap());
        assert_holds(&index, 6);
    }
    mark(&index, 6).unwrap();
    let again = Index::new(store.clone());
    assert_holds(&again, 6);
    assert_eq!(again.highest_written().unwrap(), Some(6));
    assert!(order(&again, 8), "INV-INDEX-3");
    for height in 0..7 {
        again.apply(&change(height)).unwrap();
    }
    assert_holds(&again, 6);
}

/// What the store holds, but for the mark and its state.
fn contents(store: &MemoryIndex) -> Vec<(Tree, Entries)> {
    let trees = Tree::ALL.into_iter().filter(|tree| *tree != Tree::State);
    trees.map(|tree| (tree, store.scan_prefix(tree, &[], None, 100_000).unwrap())).collect()
}

/// INV-WINDOW-2, INV-HISTORY-2: a window that ends later leaves nothing behind of one that a crash cut off.
#[test]
fn what_a_crash_left_of_a_window_is_gone_after_a_longer_one() {
    const LAST: Height = 5;
    let whole = MemoryIndex::new();
    let index = Index::new(Arc::new(whole.clone()));
    (0..=LAST).for_each(|height| index.apply(&change(height)).unwrap());
    mark(&index, LAST).unwrap();
    for cut in 0..LAST {
        for steps in 0..200 {
            let inner = MemoryIndex::new();
            let left = AtomicUsize::new(steps);
            let failing = Index::new(Arc::new(Failing { inner: inner.clone(), left }));
            (0..=cut).for_each(|height| failing.apply(&change(height)).unwrap());
            let _cut_off = mark(&failing, cut);
            inner.crash(steps as u64);
            let index = Index::new(Arc::new(inner.clone()));
            let from = index.mark().unwrap().map_or(0, |mark| mark.height + 1);
            let index = if steps % 2 == 0 {
                index
            } else {
                // A mark in the middle of what the crash left, and another start.
                index.apply(&change(from)).unwrap();
                mark(&index, from).unwrap();
                Index::new(Arc::new(inner.clone()))
            };
            let from = index.mark().unwrap().map_or(0, |mark| mark.height + 1);
            (from..=LAST).for_each(|height| index.apply(&change(height)).unwrap());
            mark(&index, LAST).unwrap();
            assert!(contents(&inner) == contents(&whole), "{steps} steps of a window up to {cut}");
        }
    }
}

/// INV-WINDOW-1: while a window is written, and before and after.
#[test]
fn readers_find_each_change_in_window_or_store() {
    let index = Index::new(Arc::new(MemoryIndex::new()));
    index.apply(&change(0)).unwrap();
    mark(&index, 0).unwrap();
    let seen = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while seen < 40 {
                if index.transaction(&txid(seen)).unwrap() == Some((seen, 1)) {
                    assert!(index.block_height(&change(seen).block_hash).unwrap().is_some());
                    assert!((0..seen).all(|block| index.spent_by(&made(block, 0).0).unwrap().is_some()));
                    seen += 1;
                }
            }
            seen
        });
        for height in 1..40 {
            index.apply(&change(height)).unwrap();
            mark(&index, height).unwrap();
        }
        reader.join().unwrap()
    });
    assert_eq!(seen, 40);
    assert_eq!(index.window_bytes(), 0, "what was written takes no memory");
}

/// INV-WINDOW-1: an address's outputs, some of them in the window and some in the store, in pages of any size.
#[test]
fn pages_of_an_address_pass_what_was_spent_in_the_window() {
    let many = |height, range: std::ops::Range<u32>| IndexChange {
        created: range.map(|index| made(height, index)).collect(),
        spent: Vec::new(),
        ..change(height)
    };
    let index = Index::new(Arc::new(MemoryIndex::new()));
    index.apply(&many(0, 0..400)).unwrap();
    mark(&index, 0).unwrap();
    let spend = |index| (made(0, index).0, made(0, index).1, txid(1));
    let spent = (0..400).filter(|index| index % 100 != 7).map(spend).collect();
    index.apply(&IndexChange { spent, created: vec![made(0, 500), made(0, 501)], ..change(1) }).unwrap();
    for limit in 1..5 {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = index.address_utxos(&lock(0), after.as_ref(), limit).unwrap();
            found.extend(page.iter().map(|(outpoint, _)| outpoint.index));
            after = page.last().map(|(outpoint, _)| *outpoint);
            assert!(page.len() <= limit);
            if page.len() < limit {
                break;
            }
        }
        assert_eq!(found, [7, 107, 207, 307, 500, 501], "pages of {limit}");
    }
    assert_eq!(index.unspent().unwrap(), 6);
}

/// INV-WINDOW-1: what the window adds far behind comes after all that the store has before it.
#[test]
fn pages_of_an_address_are_in_order_however_window_and_store_are_mixed() {
    let index = Index::new(Arc::new(MemoryIndex::new()));
    let outputs = |range: std::ops::Range<u32>| range.map(|index| made(0, index)).collect();
    let none = |height| IndexChange { spent: Vec::new(), replaced: Vec::new(), ..change(height) };
    index.apply(&IndexChange { created: outputs(0..250), ..none(0) }).unwrap();
    mark(&index, 0).unwrap();
    let spent = (0..50).map(|index| (made(0, index).0, made(0, index).1, txid(1))).collect();
    index.apply(&IndexChange { spent, created: outputs(300..304), ..none(1) }).unwrap();
    for limit in [1, 7, 100, 1_000] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = index.address_utxos(&lock(0), after.as_ref(), limit).unwrap();
            found.extend(page.iter().map(|(outpoint, _)| outpoint.index));
            after = page.last().map(|(outpoint, _)| *outpoint);
            if page.len() < limit {
                break;
            }
        }
        assert!(found.iter().copied().eq((50..250).chain(300..304)), "pages of {limit}: {found:?}");
    }
}

/// A window that was just not full, and the block with the most outputs that fits into the limit of a block's bytes.
#[test]
fn the_window_stays_within_its_bound() {
    const BLOCK_BYTES_MAX: usize = 8 << 20;
    const OUTPUT_BYTES: usize = 8 + 4 + 32;
    let transaction = |number: u32| {
        let mut bytes = [1; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        TxId(bytes)
    };
    let pay = |number: u32, index: u32| {
        let output = TxOut { value: Amount(1), lock: lock(1) };
        (OutPoint { txid: transaction(number), index }, UtxoEntry { output, height: 1 })
    };
    let index = Index::new(Arc::new(MemoryIndex::new()));
    let none = |height| IndexChange { spent: Vec::new(), created: Vec::new(), ..change(height) };
    index.apply(&IndexChange { epoch_end: None, ..none(0) }).unwrap();
    // One transaction, one output: the dearest entries.
    let small = (0..MARK_ENTRIES as u32).map(|number| pay(number, 0)).collect();
    index.apply(&IndexChange { created: small, ..none(1) }).unwrap();
    let before = index.window_bytes();
    let most = u32::try_from(BLOCK_BYTES_MAX / OUTPUT_BYTES).unwrap();
    let many = (0..most).map(|number| pay(1_000_000 + number / 1_000, number % 1_000)).collect();
    index.apply(&IndexChange { created: many, ..none(2) }).unwrap();
    let bytes = index.window_bytes();
    assert!(before > 8 << 20 && bytes > before + (20 << 20), "{before} {bytes}");
    // Records of sixteen outputs, copied on their way.
    assert!(bytes + (24 << 20) <= WINDOW_BYTES_MAX, "{bytes}");
}

/// Two locks that begin alike have keys of addresses that begin alike.
#[test]
fn addresses_that_begin_alike_are_told_apart() {
    let alike = |last| {
        let mut bytes = [9; 32];
        bytes[31] = last;
        Lock::KeyHash(KeyHash(bytes))
    };
    let with = |index, last| {
        let (outpoint, mut entry) = made(0, index);
        entry.output.lock = alike(last);
        (outpoint, entry)
    };
    let created = (0..20).map(|index| with(index, u8::from(index >= 15))).collect();
    let index = Index::new(Arc::new(MemoryIndex::new()));
    index.apply(&IndexChange { created, spent: Vec::new(), ..change(0) }).unwrap();
    let found = |last| -> Vec<u32> {
        let page = index.address_utxos(&alike(last), None, 4).unwrap();
        page.into_iter().map(|(outpoint, _)| outpoint.index).collect()
    };
    assert_eq!((found(0), found(1)), (vec![0, 1, 2, 3], vec![15, 16, 17, 18]));
}

/// Fails at the n-th change or sync and at every later one.
struct Failing {
    inner: MemoryIndex,
    left: AtomicUsize,
}

impl Failing {
    fn spend(&self) -> Result<(), StorageError> {
        let spent = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        spent.map(drop).map_err(|_| StorageError::Index { reason: "planted".to_owned() })
    }
}

impl IndexStore for Failing {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.inner.get(tree, key)
    }

    fn scan_prefix(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, StorageError> {
        self.inner.scan_prefix(tree, prefix, after, limit)
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        changes.into_iter().try_for_each(|change| {
            self.spend()?;
            if let Change::Put { value, .. } = &change {
                assert!(value.len() <= VALUE_BYTES_MAX);
            }
            self.inner.write(vec![change])
        })
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.spend()?;
        self.inner.sync()
    }
}

/// INV-STORAGE-5.
#[test]
fn a_crash_between_any_two_steps_leaves_a_mark_with_its_whole_state() {
    const LAST: Height = 4;
    let mut completed = false;
    for steps in 0.. {
        assert!(steps < 1_000, "the run never completes");
        for seed in 0..6 {
            let inner = MemoryIndex::new();
            let store = Failing { inner: inner.clone(), left: AtomicUsize::new(steps) };
            let index = Index::new(Arc::new(store));
            let mut marked = None;
            let outcome = (0..=LAST).try_for_each(|height| {
                index.apply(&change(height))?;
                if height % 2 == 0 {
                    mark(&index, height)?;
                    marked = Some(height);
                }
                Ok::<_, StorageError>(())
            });
            completed = outcome.is_ok();
            inner.crash(seed);
            let index = Index::new(Arc::new(inner));
            let found = index.mark().unwrap();
            let at = found.as_ref().map(|mark| mark.height);
            assert!(at >= marked, "step {steps}: the mark went back");
            if let Some(found) = found {
                let change = change(found.height);
                assert_eq!((found.block_hash, found.state), (change.block_hash, change.state));
            }
            (at.map_or(0, |at| at + 1)..=LAST).for_each(|height| index.apply(&change(height)).unwrap());
            assert_holds(&index, LAST);
            mark(&index, LAST).unwrap();
            let pieces = index.window.scan_prefix(Tree::State, STATE_PREFIX, None, 100).unwrap();
            assert_eq!(pieces.len(), 20_000_usize.div_ceil(VALUE_BYTES_MAX), "older states are gone");
        }
        if completed {
            break;
        }
    }
    assert!(completed);
}

#[test]
fn a_mark_without_its_whole_state_is_refused() {
    let store = Arc::new(MemoryIndex::new());
    let index = Index::new(store.clone());
    (0..=2).for_each(|height| index.apply(&change(height)).unwrap());
    mark(&index, 2).unwrap();
    store.write(vec![Change::Delete { tree: Tree::State, key: piece_key(2, 1) }]).unwrap();
    assert!(matches!(index.mark(), Err(StorageError::IndexMalformed { tree: "state" })));
    mark(&index, 2).unwrap();
    store.write(vec![put(Tree::State, piece_key(2, 0), vec![9; VALUE_BYTES_MAX])]).unwrap();
    assert!(matches!(index.mark(), Err(StorageError::IndexMalformed { tree: "state" })));
}

/// However large a state is, none of an older one stays.
#[test]
fn a_mark_removes_the_whole_state_before_it() {
    let index = Index::new(Arc::new(MemoryIndex::new()));
    let pieces = STATE_SCAN_ENTRIES + 40;
    let state = vec![3; pieces * VALUE_BYTES_MAX];
    for height in 1..=3 {
        index.set_mark(height, BlockHash::ZERO, &state).unwrap();
        let found = index.window.scan_prefix(Tree::State, STATE_PREFIX, None, usize::MAX).unwrap();
        assert_eq!(found.len(), pieces, "of height {height} alone");
        assert_eq!(index.mark().unwrap().unwrap().state, state);
    }
}

fn open_sled(path: &Path) -> Result<Arc<SledIndex>, StorageError> {
    SledIndex::open(path, 16).map(Arc::new)
}

/// INV-SLED-2, INV-INDEX-2.
#[test]
fn sled_keeps_the_index_over_a_restart_and_a_leftover_snapshot() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index");
    {
        let index = Index::new(open_sled(&path).unwrap());
        (0..=5).for_each(|height| index.apply(&change(height)).unwrap());
        mark(&index, 5).unwrap();
        assert_holds(&index, 5);
        assert!(matches!(open_sled(&path), Err(StorageError::InUse { .. })));
    }
    let leftover = path.join("snap.0000000000000001.generating");
    std::fs::write(&leftover, [0xff; 100]).unwrap();
    let store = open_sled(&path).unwrap();
    assert!(!leftover.exists());
    let index = Index::new(store.clone());
    assert_holds(&index, 5);
    assert_eq!(index.mark().unwrap().unwrap().state, change(5).state);
    let too_large = put(Tree::State, vec![1], vec![0; VALUE_BYTES_MAX + 1]);
    assert!(matches!(store.write(vec![too_large]), Err(StorageError::RecordTooLarge { .. })));
}

/// INV-INDEX-2, and windows that are large enough to become tables of their own.
#[test]
fn fjall_keeps_the_index_over_a_restart() {
    let many = |height: Height| {
        let created = (0..2_000).map(|index| made(height, index)).collect();
        let spend = |index| (made(height - 1, index).0, made(height - 1, index).1, txid(height));
        let spent = if height == 0 { Vec::new() } else { (0..1_900).map(spend).collect() };
        IndexChange { created, spent, replaced: Vec::new(), ..change(height) }
    };
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index");
    let holds = |index: &Index| {
        for height in 0..=6 {
            let left = if height == 6 { 0 } else { 1_900 };
            for output in [0, left.max(1) - 1, left, 1_999] {
                let (outpoint, entry) = made(height, output);
                let is_spent = output < left;
                assert_eq!(index.utxo(&outpoint).unwrap(), (!is_spent).then_some(entry));
                assert_eq!(index.spent_by(&outpoint).unwrap().is_some(), is_spent);
            }
        }
        let of_lock = index.address_utxos(&lock(0), None, 10_000).unwrap();
        assert_eq!(of_lock.len(), 100 + 100 + 2_000, "blocks 0, 3 and 6 pay to it");
        assert_eq!(index.unspent().unwrap(), 6 * 100 + 2_000);
    };
    {
        let store = Arc::new(FjallIndex::open(&path, 8).unwrap());
        let index = Index::new(store.clone());
        for height in 0..=6 {
            index.apply(&many(height)).unwrap();
            if height % 2 == 0 {
                mark(&index, height).unwrap();
                assert_eq!(index.window_bytes(), 0);
            }
        }
        holds(&index);
        assert!(matches!(FjallIndex::open(&path, 8), Err(StorageError::InUse { .. })));
        let too_large = put(Tree::State, vec![1], vec![0; VALUE_BYTES_MAX + 1]);
        assert!(matches!(store.write(vec![too_large]), Err(StorageError::RecordTooLarge { .. })));
    }
    let index = Index::new(Arc::new(FjallIndex::open(&path, 8).unwrap()));
    holds(&index);
    assert_eq!(index.mark().unwrap().unwrap().state, change(6).state);
}

#[test]
fn a_sled_that_cannot_be_opened_says_so_and_can_be_built_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("conf"), [0xff; 64]).unwrap();
    std::fs::write(path.join("db"), [0x55; 4_096]).unwrap();
    assert!(matches!(open_sled(&path), Err(StorageError::Unopenable { .. })));
    SledIndex::destroy(&path).unwrap();
    SledIndex::destroy(&path).unwrap();
    let index = Index::new(open_sled(&path).unwrap());
    index.apply(&change(0)).unwrap();
    assert_holds(&index, 0);
}

/// Otherwise an index in which nothing is wrong would be removed and built again.
#[test]
fn what_the_machine_lacks_is_no_damage_of_the_index() {
    use std::io::{Error, ErrorKind};
    // By their numbers: too many open files of the machine and of the process, no space, no right, read-only, no memory.
    for code in [23, 24, 28, 13, 30, 12] {
        assert!(is_of_machine(&Error::from_raw_os_error(code)), "{code}");
    }
    for kind in [ErrorKind::InvalidData, ErrorKind::UnexpectedEof, ErrorKind::NotFound, ErrorKind::Other] {
        assert!(!is_of_machine(&Error::from(kind)), "{kind}");
    }
}

#[test]
fn a_set_that_is_not_that_of_its_hash_is_never_served() {
    let store = MemoryIndex::new();
    let index = Index::new(Arc::new(store.clone()));
    (0..=2).for_each(|height| index.apply(&change(height)).unwrap());
    mark(&index, 2).unwrap();
    let hash = set(2).hash();
    assert_eq!(index.validator_set(&hash).unwrap().unwrap().len(), 100);
    let second = [set_key(&hash).as_slice(), &1_u32.to_be_bytes()].concat();
    let piece = store.get(Tree::Epoch, &second).unwrap().unwrap();
    for changed in [vec![0xff; piece.len()], piece[1..].to_vec()] {
        store.write(vec![put(Tree::Epoch, second.clone(), changed)]).unwrap();
        assert!(matches!(index.validator_set(&hash), Err(StorageError::IndexMalformed { tree: "epoch" })));
    }
}

#[derive(Default, Clone)]
struct Events {
    marked: Arc<Mutex<Vec<Height>>>,
    failures: Arc<AtomicUsize>,
}

impl Events {
    fn report(&self) -> impl Fn(IndexEvent) + Send + 'static {
        let events = self.clone();
        move |event| match event {
            IndexEvent::Marked(height) => events.marked.lock().push(height),
            IndexEvent::Failed(_) => drop(events.failures.fetch_add(1, Ordering::SeqCst)),
        }
    }
}

fn small_change(height: Height) -> IndexChange {
    IndexChange { state: vec![1; 100], ..change(height) }
}

/// INV-WRITER-1, INV-WRITER-2.
#[test]
fn the_writer_applies_in_order_marks_and_finishes() {
    let store = MemoryIndex::new();
    let index = Index::new(Arc::new(store.clone()));
    let events = Events::default();
    let last = QUEUE_CHANGES_MAX as u64 + 200;
    let writer = IndexWriter::start(index.clone(), events.report()).unwrap();
    for height in 0..=last {
        writer.submit(small_change(height)).unwrap();
        assert!(writer.queued() <= QUEUE_CHANGES_MAX);
    }
    let gap = writer.submit(small_change(last + 2)).unwrap_err();
    assert!(matches!(gap, StorageError::IndexOrder { found, .. } if found == last + 2));
    assert!(matches!(writer.submit(small_change(last)), Err(StorageError::IndexOrder { .. })));
    while writer.queued() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(writer.queued_bytes(), 0, "what was applied makes room");
    assert_eq!(writer.finish().unwrap(), Some(last));
    let marked = events.marked.lock().clone();
    assert_eq!(marked.first(), Some(&0));
    assert_eq!(marked.last(), Some(&last));
    assert!(marked.windows(2).all(|pair| pair[0] < pair[1] && pair[1] - pair[0] <= MARK_BLOCKS));
    store.crash(0);
    assert_eq!(index.mark().unwrap().unwrap().height, last);
    assert_holds(&index, last);

    let writer = IndexWriter::start(index.clone(), events.report()).unwrap();
    assert_eq!(writer.marked(), Some(last));
    assert!(matches!(writer.submit(small_change(0)), Err(StorageError::IndexOrder { .. })));
    writer.submit(small_change(last + 1)).unwrap();
    drop(writer);
    assert_eq!(index.mark().unwrap().unwrap().height, last + 1, "dropping marks what was queued");
}

/// INV-WRITER-3.
#[test]
fn large_blocks_are_marked_before_much_would_have_to_be_applied_again() {
    let large = |height| IndexChange {
        transactions: (0..MARK_ENTRIES as u32 / 4)
            .map(|number| {
                let mut txid = [0; 32];
                txid[..8].copy_from_slice(&u64::to_be_bytes(height));
                txid[8..12].copy_from_slice(&number.to_be_bytes());
                TxId(txid)
            })
            .collect(),
        spent: Vec::new(),
        created: Vec::new(),
        replaced: Vec::new(),
        ..small_change(height)
    };
    let events = Events::default();
    let writer = IndexWriter::start(Index::new(Arc::new(MemoryIndex::new())), events.report()).unwrap();
    for height in 0..=12 {
        writer.submit(large(height)).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), Some(12));
    assert_eq!(*events.marked.lock(), [0, 4, 8, 12]);
}

#[test]
fn a_failure_is_reported_once_and_turns_submitters_away() {
    let inner = MemoryIndex::new();
    let store = Failing { inner, left: AtomicUsize::new(200) };
    let events = Events::default();
    let writer = IndexWriter::start(Index::new(Arc::new(store)), events.report()).unwrap();
    let refused = (0..1_000_000).map(|height| writer.submit(small_change(height))).find_map(Result::err);
    assert!(matches!(refused, Some(StorageError::IndexStopped)));
    assert_eq!(writer.marked(), Some(0));
    assert!(matches!(writer.finish(), Err(StorageError::IndexStopped)));
    assert_eq!(events.failures.load(Ordering::SeqCst), 1);
    assert_eq!(*events.marked.lock(), [0], "INV-STORAGE-5: no mark is told of that was not reached");
}

/// INV-WRITER-2: the queue's bound in bytes is worth what is counted.
#[test]
fn all_that_a_change_holds_is_counted_in_its_bytes() {
    type Without = fn(&mut IndexChange);
    let whole = IndexChange { state: vec![1; 100], ..change(12) };
    let parts: [(&str, Without); 8] = [
        ("state", |change| change.state.clear()),
        ("spent", |change| change.spent.clear()),
        ("created", |change| change.created.clear()),
        ("replaced", |change| change.replaced.clear()),
        ("transactions", |change| change.transactions.clear()),
        ("receipts", |change| change.receipts.clear()),
        ("set", |change| change.epoch_end = None),
        ("evidence", |change| change.evidence.clear()),
    ];
    for (name, without) in parts {
        let mut rest = whole.clone();
        without(&mut rest);
        assert_ne!(rest, whole, "there is some {name}");
        assert!(rest.size_bytes() < whole.size_bytes(), "{name}");
    }
}
