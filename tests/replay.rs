//! Replay: one block log, opened by nodes with other thread counts, cache sizes and hash seeds, whose index is empty,
//! behind, damaged or whole, with restarts and crashes in the middle. All end in the same state and the same index.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a failed expectation is a test's verdict"
)]

#[path = "support/story.rs"]
mod story;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use story::{GENESIS_MS, Step, Story};
use timed::consensus::replay::{ReplayError, Replayed, index_change, replay};
use timed::protocol::state::LedgerState;
use timed::protocol::transition::{inputs_in_order, validate_block};
use timed::protocol::validity::UtxoReader;
use timed::runtime::cpu_pool::{CpuPool, PoolVerifier};
use timed::storage::disk::{Disk as _, DiskFile as _};
use timed::storage::{
    BlockLog, FjallIndex, Index, IndexStore, LoggedBlock, MemoryDisk, MemoryIndex, SledIndex, StorageError,
    Tree,
};
use timed::types::codec::encode;
use timed::types::{CommittedBlock, Height, OutPoint, StateDigest, TxId};
use timed::utxo::UtxoManager;

/// All that an index holds.
type Contents = BTreeMap<(Tree, Vec<u8>), Vec<u8>>;

fn contents(store: &dyn IndexStore) -> Contents {
    let of_tree = |tree: Tree| {
        let entries = store.scan_prefix(tree, &[], None, 10_000).expect("read");
        assert!(entries.len() < 10_000, "all of them");
        entries.into_iter().map(move |(key, value)| ((tree, key), value))
    };
    Tree::ALL.into_iter().flat_map(of_tree).collect()
}

fn logged(step: &Step) -> LoggedBlock {
    let committed = CommittedBlock { block: step.block.clone(), commit: step.commit.clone() };
    LoggedBlock { committed, spent: inputs_in_order(&step.outcome) }
}

/// One node with its disk.
struct Node<'a> {
    story: &'a Story,
    disk: MemoryDisk,
    store: Arc<dyn IndexStore>,
}

impl Node<'_> {
    fn log(&self) -> BlockLog<MemoryDisk> {
        let chain_id = self.story.genesis.chain_id();
        BlockLog::open(self.disk.clone(), Path::new("blocks"), chain_id).expect("the log opens")
    }

    fn index(&self) -> Index {
        Index::new(Arc::clone(&self.store))
    }

    /// Writes the blocks up to a height that the log lacks.
    fn write_through(&self, height: usize) {
        let mut log = self.log();
        let first = usize::try_from(log.height()).expect("few");
        for step in &self.story.steps[first..height] {
            log.append(&logged(step)).expect("appended");
        }
    }

    /// Starts: replays what the index lacks, and holds each state to that of the chain when it was made.
    fn start(&self) -> Replayed {
        let log = self.log();
        let tip = log.height();
        let marked = self.index().mark().expect("read").map_or(0, |mark| mark.height);
        let mut told: Vec<(u64, u64)> = Vec::new();
        let mut watch = |done, total| {
            told.push((done, total));
            true
        };
        let replayed =
            replay(&self.story.genesis, &self.index(), &log.reader(), &mut watch).expect("it replays");
        assert_eq!(replayed.state.height(), log.height(), "neither less than the log nor more");
        let expected = after(self.story, replayed.state.height());
        assert_eq!(*replayed.state, *expected);
        assert_eq!(replayed.state.digest(), expected.digest());
        // First the bytes of the blocks that the index lacks, then the blocks of the running epoch once more.
        // An index that a crash left in pieces is built anew.
        let anew = told.first().is_some_and(|(_, total)| *total == log.reader().bytes_above(0));
        let from = if anew { 0 } else { marked };
        let blocks: Vec<Height> = (from.saturating_add(1)..=tip).collect();
        let bytes: Vec<u64> = blocks.iter().map(|height| log.reader().bytes_of(*height)).collect();
        let all: u64 = bytes.iter().sum();
        let (of_bytes, of_epoch) = told.split_at(blocks.len());
        assert_eq!(log.reader().bytes_above(from), all);
        for (number, progress) in (1..).zip(of_bytes) {
            assert_eq!(*progress, (bytes[..number].iter().sum(), all), "a person sees how far it is");
        }
        for (number, (done, total)) in (1..).zip(of_epoch) {
            assert!(*done == number && *total <= tip && done <= total);
        }
        replayed
    }

    /// Follows the chain as a node in sync does, by full validation over index and caches, up to a height; the index is
    /// marked at those of these heights.
    fn follow(&self, height: usize, threads: usize, cache_bytes: usize, marks: &[Height]) {
        let (replayed, index) = (self.start(), self.index());
        let verifier = PoolVerifier::new(CpuPool::with_threads(threads).expect("threads"));
        let utxos = UtxoManager::new(Arc::new(index.clone()), cache_bytes);
        let (mut state, mut log) = (LedgerState::clone(&replayed.state), self.log());
        let first = usize::try_from(state.height()).expect("few");
        for step in &self.story.steps[first..height] {
            for (outpoint, entry) in &step.utxos {
                assert_eq!(utxos.utxo(outpoint), Some(*entry), "as it is before the block");
            }
            let (_, outcome) = validate_block(&state, &utxos, &verifier, &step.block).expect("a valid block");
            assert_eq!(outcome, step.outcome);
            state.check_commit(&step.block.header, &step.commit, &verifier).expect("a valid commit");
            log.append(&logged(step)).expect("appended");
            let spenders: Vec<(OutPoint, TxId)> = step
                .block
                .transactions
                .iter()
                .flat_map(|tx| tx.inputs.iter().map(|outpoint| (*outpoint, tx.txid())))
                .collect();
            let height = outcome.state.height();
            utxos.apply_block(height, &outcome.created, &spenders);
            let replaced: Vec<_> = outcome.slashed.iter().map(|made| (made.outpoint, made.after)).collect();
            utxos.replace_outputs(height, &replaced);
            utxos.check_invariants().expect("sound");
            let change = index_change(&step.block, &step.commit, (&outcome).into());
            index.apply(&change).expect("applied");
            if marks.contains(&height) {
                index.set_mark(height, change.block_hash, &change.state).expect("marked");
                utxos.forget_through(height);
            }
            state = outcome.state;
        }
    }
}

/// The state after a block of the story.
fn after(story: &Story, height: Height) -> &LedgerState {
    let next = usize::try_from(height).expect("few");
    story.steps.get(next).map_or(&story.state, |step| &step.state)
}

/// What a run ended in.
#[derive(PartialEq, Eq)]
struct Ending {
    digest: StateDigest,
    state: Vec<u8>,
    last_commit: Vec<u8>,
    settled: Vec<TxId>,
    index: Contents,
}

/// Runs a node's life and starts it once more at the end.
fn ending(story: &Story, store: &Arc<dyn IndexStore>, life: &dyn Fn(&Node<'_>)) -> Ending {
    let node = Node { story, disk: MemoryDisk::new(), store: Arc::clone(store) };
    life(&node);
    let replayed = node.start();
    Ending {
        digest: replayed.state.digest(),
        state: encode(&*replayed.state),
        last_commit: encode(&replayed.last_commit),
        settled: replayed.settled.into_iter().collect(),
        index: contents(&**store),
    }
}

/// INV-REPLAY-1, INV-REPLAY-2.
#[test]
fn every_way_to_the_tip_ends_in_the_same_state_and_index() {
    let story = Story::tell();
    let all = story.steps.len();
    assert_eq!((all, story.state.next_epoch()), (8, 2));
    let memory = MemoryIndex::new();
    let crashing: Arc<dyn IndexStore> = Arc::new(memory.clone());
    let fresh = || -> Arc<dyn IndexStore> { Arc::new(MemoryIndex::new()) };
    let folder = tempfile::tempdir().expect("made");
    let fjall: Arc<dyn IndexStore> =
        Arc::new(FjallIndex::open(&folder.path().join("fjall"), 8).expect("opened"));
    let sled: Arc<dyn IndexStore> =
        Arc::new(SledIndex::open(&folder.path().join("index"), 8).expect("opened"));

    type Life<'a> = Box<dyn Fn(&Node<'_>) + 'a>;
    let runs: Vec<(&str, Arc<dyn IndexStore>, Life<'_>)> = vec![
        ("an empty index, all at once", fresh(), Box::new(|node| node.write_through(all))),
        (
            "a start after each block",
            fresh(),
            Box::new(|node| {
                (1..=all).for_each(|height| {
                    node.write_through(height);
                    node.start();
                });
            }),
        ),
        (
            "validated on one thread with the least cache",
            fresh(),
            Box::new(|node| {
                node.follow(all, 1, 0, &[]);
            }),
        ),
        (
            "validated on four threads, marked at times, restarted",
            fresh(),
            Box::new(|node| {
                node.follow(3, 4, 1 << 20, &[2]);
                node.follow(6, 2, 4_096, &[4, 5]);
                node.follow(all, 3, 1 << 16, &[7]);
            }),
        ),
        (
            "on sled, marked at each block",
            sled,
            Box::new(|node| {
                node.follow(all, 2, 1 << 20, &[1, 2, 3, 4, 5, 6, 7, 8]);
            }),
        ),
        (
            "on fjall, marked at some blocks",
            fjall,
            Box::new(|node| {
                node.follow(all, 2, 1 << 20, &[1, 3, 4, 8]);
            }),
        ),
        (
            "an index that loses what was not synced",
            crashing,
            Box::new(|node| {
                node.follow(5, 2, 1 << 20, &[3]);
                memory.crash(1);
                node.start();
                node.follow(all, 1, 1 << 20, &[]);
                memory.crash(2);
            }),
        ),
        (
            "a log that loses power in the middle",
            fresh(),
            Box::new(|node| {
                node.follow(4, 2, 1 << 20, &[4]);
                node.disk.crash(3);
                node.write_through(6);
                node.disk.crash(4);
                node.start();
                node.write_through(all);
            }),
        ),
        (
            "an index of more than the log holds",
            fresh(),
            Box::new(|node| {
                // The log of another disk was longer.
                let further =
                    Node { story: node.story, disk: MemoryDisk::new(), store: Arc::clone(&node.store) };
                further.follow(6, 2, 1 << 20, &[6]);
                node.write_through(4);
                node.start();
                node.write_through(all);
            }),
        ),
    ];
    assert_eq!(runs.len(), 9);
    let mut endings = runs.iter().map(|(name, store, life)| (name, ending(&story, store, &**life)));
    let (_, first) = endings.next().expect("some");
    assert!(first.digest == story.state.digest() && first.state == encode(&story.state));
    assert!(first.index.len() > 50 && story.state.tip_time() > GENESIS_MS);
    for (name, other) in endings {
        assert!(first.digest == other.digest && first.state == other.state, "{name}: the state");
        assert!(first.last_commit == other.last_commit && first.settled == other.settled, "{name}: the tip");
        let keys = |ending: &Ending| ending.index.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&first), keys(&other), "{name}: the index's keys");
        assert!(first.index == other.index, "{name}: the index");
    }
}

/// What a block makes and spends itself is never in the state, but in the history of who asks for it.
#[test]
fn the_index_knows_who_spent_what_a_block_made_itself() {
    let story = Story::tell();
    let node = Node { story: &story, disk: MemoryDisk::new(), store: Arc::new(MemoryIndex::new()) };
    node.write_through(story.steps.len());
    node.start();
    let index = node.index();
    let mut transient = 0;
    for step in &story.steps {
        let spender = |outpoint| step.block.transactions.iter().find(|tx| tx.inputs.contains(outpoint));
        for (outpoint, _) in step.outcome.transient.iter().chain(&step.outcome.spent) {
            let by = spender(outpoint).expect("in the block").txid();
            assert_eq!(index.spent_by(outpoint).unwrap(), Some((by, step.block.header.height)));
            assert_eq!(index.utxo(outpoint).unwrap(), None);
        }
        transient += step.outcome.transient.len();
    }
    assert!(transient > 0);
    assert_eq!(index.unspent().unwrap(), story.utxos.len() as u64);
}

#[test]
fn a_replay_can_be_ended_after_any_block_and_goes_on_there() {
    let story = Story::tell();
    let all = story.steps.len();
    let whole = Node { story: &story, disk: MemoryDisk::new(), store: Arc::new(MemoryIndex::new()) };
    whole.write_through(all);
    whole.start();
    for ends_after in 1..=all {
        let memory = MemoryIndex::new();
        let node = Node { story: &story, disk: whole.disk.clone(), store: Arc::new(memory.clone()) };
        let mut asked = 0;
        let mut watch = |done, total| {
            asked += 1;
            assert!(done <= total);
            asked < ends_after
        };
        let outcome = replay(&story.genesis, &node.index(), &node.log().reader(), &mut watch);
        assert!(matches!(outcome, Err(ReplayError::Storage(StorageError::Interrupted))), "INV-REPLAY-3");
        assert_eq!(asked, ends_after, "it hears it at once");
        memory.crash(ends_after as u64);
        let mark = node.index().mark().expect("read").expect("marked");
        assert_eq!(mark.height, ends_after as u64, "INV-REPLAY-3: nothing is done twice");
        node.start();
        // After a crash pieces of an older state may be left until the next mark.
        let but_state = |store: &dyn IndexStore| {
            contents(store).into_iter().filter(|((tree, _), _)| *tree != Tree::State).collect::<Contents>()
        };
        assert!(but_state(&*node.store) == but_state(&*whole.store), "{ends_after}");
    }
}

/// INV-DISK-2, INV-DISK-3: what the other campaigns' crashes stand on.
#[test]
fn a_crash_of_the_simulated_disk_keeps_what_was_synced_and_kills_its_handles() {
    let crashed = |seed: u64| {
        let (disk, dir) = (MemoryDisk::new(), Path::new("data"));
        disk.create_dir_all(dir).unwrap();
        let mut file = disk.open(&dir.join("kept")).unwrap();
        file.append(b"synced").unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(dir).unwrap();
        file.append(b", not synced").unwrap();
        disk.crash(seed);
        assert!(file.append(b"from the grave").is_err(), "the process is gone");
        assert!(file.sync_data().is_err());
        let kept = disk.open_existing(&dir.join("kept")).unwrap();
        let mut bytes = vec![0; usize::try_from(kept.size_bytes().unwrap()).unwrap()];
        kept.read_at(0, &mut bytes).unwrap();
        assert!(bytes.starts_with(b"synced"), "{seed}: {bytes:?}");
        bytes
    };
    let all: std::collections::BTreeSet<Vec<u8>> = (0..50).map(crashed).collect();
    assert!(all.len() > 5, "crashes differ");
    assert!((0..50).all(|seed| crashed(seed) == crashed(seed)), "and the seed alone decides");
}
