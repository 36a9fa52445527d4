//! Logs that do not begin at block 1: pruned ones, and those that begin at a snapshot's block.

use super::tests::{CHAIN, block};
use super::*;
use crate::storage::disk::DiskFile as _;
use crate::storage::log_check::{check_blocks, look_at_blocks};
use crate::storage::memory_disk::{Fault, MemoryDisk};

/// Small segments, so that a few blocks need several.
const SMALL: u64 = 1_500;
const BLOCKS: Height = 24;

fn dir() -> PathBuf {
    PathBuf::from("/node/blocks")
}

fn open(disk: &MemoryDisk) -> Result<BlockLog<MemoryDisk>, StorageError> {
    BlockLog::open_sized(disk.clone(), &dir(), CHAIN, SMALL, &mut |_, _| true)
}

fn filled() -> (MemoryDisk, BlockLog<MemoryDisk>) {
    let disk = MemoryDisk::new();
    let mut log = open(&disk).unwrap();
    for height in 1..=BLOCKS {
        log.append(&block(height)).unwrap();
    }
    (disk, log)
}

/// Every block from the horizon on is there, and none before.
fn assert_holds(log: &BlockLog<MemoryDisk>, horizon: Height, tip: Height) {
    assert_eq!((log.horizon(), log.reader().horizon(), log.height()), (horizon, horizon, tip));
    for height in 0..=tip + 1 {
        let expected = (horizon..=tip).contains(&height).then(|| block(height));
        assert_eq!(log.read(height).unwrap(), expected, "block {height}");
    }
}

#[test]
fn what_is_pruned_is_gone_and_all_from_the_horizon_on_is_there_also_after_reopening() {
    let (disk, mut log) = filled();
    let reader = log.reader();
    log.prune_before(12).unwrap().unwrap().remove(&mut || true).unwrap();
    let horizon = log.horizon();
    assert!(horizon > 1 && horizon <= 12, "no block from 12 on was left out: {horizon}");
    assert_holds(&log, horizon, BLOCKS);
    assert_eq!(reader.read(horizon - 1).unwrap(), None);
    assert!(log.prune_before(12).unwrap().is_none(), "there is nothing more to leave out");
    drop(log);
    let mut log = open(&disk).unwrap();
    assert_holds(&log, horizon, BLOCKS);
    log.append(&block(BLOCKS + 1)).unwrap();
    assert_holds(&open(&disk).unwrap(), horizon, BLOCKS + 1);
    assert_eq!(look_at_blocks(&disk, &dir(), CHAIN, &mut |_, _| true).unwrap().horizon(), horizon);
    let reports = check_blocks(&disk, &dir(), CHAIN, &mut |_, _| (), &mut |_, _| true).unwrap();
    assert!(reports.iter().all(|report| report.problem.is_none()));
}

/// The last file is written to.
#[test]
fn the_last_file_stays_whatever_is_pruned() {
    let (_, mut log) = filled();
    assert!(log.prune_before(BLOCKS + 1).unwrap().is_none(), "there is no such block");
    log.prune_before(BLOCKS).unwrap().unwrap().remove(&mut || true).unwrap();
    assert!((2..=BLOCKS).contains(&log.horizon()));
    assert_holds(&log, log.horizon(), BLOCKS);
    log.append(&block(BLOCKS + 1)).unwrap();
    assert_holds(&log, log.horizon(), BLOCKS + 1);
}

/// By size and by age, and never a block that is needed still.
#[test]
fn no_more_is_pruned_than_the_rule_says() {
    let all = |log: &BlockLog<MemoryDisk>| log.size_bytes();
    let rule = PruneRule { bytes_max: None, before: None, keep_from: BLOCKS };
    let pruned = |rule: PruneRule| {
        let (_, mut log) = filled();
        let retired = log.prune(&rule).unwrap();
        assert_eq!(retired.is_some(), log.horizon() > 1);
        assert_holds(&log, log.horizon(), BLOCKS);
        (log.horizon(), all(&log))
    };
    let (_, whole) = filled();
    let (bytes, sizes) = (all(&whole), whole.log.sizes());
    assert!(sizes.len() > 4);
    assert_eq!(pruned(rule), (1, bytes), "nobody asked for it");
    assert_eq!(pruned(PruneRule { bytes_max: Some(bytes), ..rule }), (1, bytes), "no more than it may");
    let (second, left) = pruned(PruneRule { bytes_max: Some(bytes - 1), ..rule });
    assert!(second > 1);
    assert_eq!(left, bytes - sizes[0].1, "one file is enough");
    let (third, left) = pruned(PruneRule { bytes_max: Some(left - 1), ..rule });
    assert!(third > second && left == bytes - sizes[0].1 - sizes[1].1);
    let small = PruneRule { bytes_max: Some(0), ..rule };
    let (last, left) = pruned(small);
    assert_eq!(left, sizes.last().unwrap().1, "the last file stays");
    assert_eq!(pruned(PruneRule { keep_from: last - 1, ..small }).0, whole_file_before(&whole, last - 1));
    assert_eq!(pruned(PruneRule { keep_from: second, ..small }).0, second);
    assert_eq!(pruned(PruneRule { keep_from: second - 1, ..small }).0, 1);
    // Blocks say a second for each height. A file is old when the one behind it begins with an old block.
    assert_eq!(pruned(PruneRule { before: Some(second * 1_000), ..rule }).0, 1);
    assert_eq!(pruned(PruneRule { before: Some(second * 1_000 + 1), ..rule }).0, second);
}

/// Where the file begins that holds a block.
fn whole_file_before(log: &BlockLog<MemoryDisk>, height: Height) -> Height {
    let places = log.positions.read();
    let sequence = places.get(height).unwrap().sequence;
    (1..=height).find(|height| places.get(*height).unwrap().sequence == sequence).unwrap()
}

/// INV-HORIZON-1.
#[test]
fn a_file_that_is_missing_at_the_beginning_is_named_unless_it_was_left_out_on_purpose() {
    let (disk, mut log) = filled();
    log.prune_before(12).unwrap().unwrap().remove(&mut || true).unwrap();
    let first = log.log.first_sequence();
    drop(log);
    disk.remove(&segment_path(&dir(), first)).unwrap();
    let missing = open(&disk).map(drop).unwrap_err();
    assert!(
        matches!(&missing, StorageError::MissingSegment { path, .. } if *path == segment_path(&dir(), first))
    );
    let reports = check_blocks(&disk, &dir(), CHAIN, &mut |_, _| (), &mut |_, _| true).unwrap();
    assert!(matches!(&reports[0].problem, Some(StorageError::MissingSegment { .. })));
}

/// INV-HORIZON-1.
#[test]
fn a_crash_at_any_step_of_pruning_leaves_a_log_that_opens_and_no_block_from_the_horizon_on_is_lost() {
    let mut steps = 1;
    loop {
        let (disk, mut log) = filled();
        disk.fail_after(steps, Fault::InputOutput);
        let outcome = log.prune_before(12).and_then(|retired| match retired {
            Some(retired) => retired.remove(&mut || true),
            None => Ok(()),
        });
        drop(log);
        disk.crash(steps);
        let log = open(&disk).unwrap_or_else(|error| panic!("after {steps} operations: {error}"));
        assert!(log.horizon() <= 12);
        assert_holds(&log, log.horizon(), BLOCKS);
        if outcome.is_ok() {
            assert!(log.horizon() > 1 && steps > 5);
            return;
        }
        steps += 1;
    }
}

#[test]
fn a_log_may_begin_at_any_block_and_goes_on_from_there() {
    let disk = MemoryDisk::new();
    let mut log = BlockLog::begin_at(disk.clone(), &dir(), CHAIN, &block(500)).unwrap();
    assert!(matches!(log.append(&block(500)), Err(StorageError::NotNext { expected: 501, found: 500 })));
    log.append(&block(501)).unwrap();
    assert_holds(&log, 500, 501);
    drop(log);
    assert_holds(&open(&disk).unwrap(), 500, 501);
}

/// Else the next block would be taken for one behind a block that is not there.
#[test]
fn a_log_that_began_late_and_lost_all_of_its_blocks_does_not_open() {
    let disk = MemoryDisk::new();
    drop(BlockLog::begin_at(disk.clone(), &dir(), CHAIN, &block(500)).unwrap());
    let mut file = disk.open_existing(&segment_path(&dir(), 1)).unwrap();
    let size = file.size_bytes().unwrap();
    file.truncate(size - 1).unwrap();
    file.sync_data().unwrap();
    assert!(matches!(open(&disk), Err(StorageError::MissingSegment { .. })));
    // Without any file it is a new log.
    disk.remove(&segment_path(&dir(), 1)).unwrap();
    assert_holds(&open(&disk).unwrap(), 1, 0);
    assert_holds(&open(&disk).unwrap(), 1, 0);
}

/// What was never executed here is given to nobody, and a log with all blocks holds nothing back.
#[test]
fn the_block_that_a_log_begins_with_is_shown_only_if_it_is_the_chains_first() {
    let disk = MemoryDisk::new();
    let mut log = BlockLog::begin_at(disk.clone(), &dir(), CHAIN, &block(500)).unwrap();
    log.append(&block(501)).unwrap();
    assert_eq!((log.reader().horizon(), log.reader().shown_from()), (500, 501));
    let (_, whole) = filled();
    assert_eq!(whole.reader().shown_from(), 1);
}

/// A disk that refuses takes nothing from readers: blocks that were not left out durably are all there.
#[test]
fn a_horizon_that_could_not_be_written_leaves_out_nothing() {
    let mut failed = 0;
    for operation in 1.. {
        let (disk, mut log) = filled();
        disk.fail_after(operation, Fault::InputOutput);
        if log.prune_before(12).is_ok() {
            break;
        }
        failed += 1;
        assert_holds(&log, 1, BLOCKS);
        log.append(&block(BLOCKS + 1)).unwrap();
        assert_holds(&log, 1, BLOCKS + 1);
        let retired = log.prune_before(12).unwrap().expect("the next attempt does it");
        retired.remove(&mut || true).unwrap();
        assert!(log.horizon() > 1);
        assert_holds(&log, log.horizon(), BLOCKS + 1);
    }
    assert!(failed > 3, "each of its steps: {failed}");
}

/// INV-HORIZON-1: a disk is pruned for room when it is full, so a part of a file may be all that it takes at first.
#[test]
fn a_horizon_that_is_written_at_the_second_attempt_is_read_at_the_next_start() {
    let mut failed = 0;
    for operation in 1.. {
        let (disk, mut log) = filled();
        disk.fail_after(operation, Fault::NoSpace);
        if log.prune_before(12).is_ok() {
            break;
        }
        failed += 1;
        log.prune_before(BLOCKS).unwrap().unwrap().remove(&mut || true).unwrap();
        let horizon = log.horizon();
        drop(log);
        let log = open(&disk).unwrap_or_else(|error| panic!("operation {operation} failed: {error}"));
        assert_holds(&log, horizon, BLOCKS);
    }
    assert!(failed > 3, "each of its steps: {failed}");
}

/// The room is what it was pruned for.
#[test]
fn files_of_pruned_blocks_that_a_crash_left_are_gone_with_the_next_open() {
    for steps in 0_usize.. {
        let (disk, mut log) = filled();
        let retired = log.prune_before(12).unwrap().unwrap();
        let mut left = steps;
        let mut is_whole = true;
        let mut goes_on = || {
            is_whole = left > 0;
            left = left.saturating_sub(1);
            is_whole
        };
        retired.remove(&mut goes_on).unwrap();
        let kept = log.log.first_sequence();
        drop(log);
        drop(open(&disk).unwrap());
        let names = disk.list(&dir()).unwrap();
        assert!(!names.iter().any(|name| name.ends_with(".retired")), "after {steps} steps: {names:?}");
        assert!((1..kept).all(|sequence| !disk.exists(&segment_path(&dir(), sequence)).unwrap()));
        if is_whole {
            assert!(steps > 3);
            return;
        }
    }
}

/// Called once, when the next file is opened.
type AtOpen = Box<dyn FnOnce() + Send>;

/// A disk on which something happens in the midst of a read.
#[derive(Clone)]
struct Hooked {
    disk: MemoryDisk,
    at_open: Arc<parking_lot::Mutex<Option<AtOpen>>>,
}

impl Disk for Hooked {
    type File = <MemoryDisk as Disk>::File;

    fn create_dir_all(&self, dir: &Path) -> Result<(), StorageError> {
        self.disk.create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, StorageError> {
        self.disk.list(dir)
    }

    fn exists(&self, path: &Path) -> Result<bool, StorageError> {
        self.disk.exists(path)
    }

    fn open(&self, path: &Path) -> Result<Self::File, StorageError> {
        self.disk.open(path)
    }

    fn open_existing(&self, path: &Path) -> Result<Self::File, StorageError> {
        let hook = self.at_open.lock().take();
        hook.into_iter().for_each(|hook| hook());
        self.disk.open_existing(path)
    }

    fn remove(&self, path: &Path) -> Result<(), StorageError> {
        self.disk.remove(path)
    }

    fn remove_dir(&self, dir: &Path) -> Result<(), StorageError> {
        self.disk.remove_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        self.disk.rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), StorageError> {
        self.disk.sync_dir(dir)
    }
}

/// A peer that asks for old blocks, or an RPC call, is no reason to tell of a damaged log.
#[test]
fn a_block_that_is_left_out_while_it_is_read_is_not_there_and_no_damage() {
    let (disk, log) = filled();
    drop(log);
    let disk = Hooked { disk, at_open: Arc::default() };
    let mut log = BlockLog::open_sized(disk.clone(), &dir(), CHAIN, SMALL, &mut |_, _| true).unwrap();
    let reader = log.reader();
    let hook: AtOpen = Box::new(move || {
        log.prune_before(12).unwrap().unwrap().remove(&mut || true).unwrap();
        std::mem::forget(log);
    });
    *disk.at_open.lock() = Some(hook);
    assert!(reader.read(1).unwrap().is_none());
    assert!(disk.at_open.lock().is_none() && reader.horizon() > 1, "it was left out in between");
    // What is missing without having been left out is damage still.
    let horizon = reader.horizon();
    let first = segment_path(&dir(), reader.positions.read().get(horizon).unwrap().sequence);
    disk.remove(&first).unwrap();
    assert!(reader.read(horizon).is_err());
}
