//! Held beside what an open of the same log says, whatever is wrong with it.

use std::path::PathBuf;

use super::*;
use crate::storage::block_log::BlockLog;
use crate::storage::block_log::tests::{CHAIN, block};
use crate::storage::journal::{JournalRecord, JournalWriter, Staged};
use crate::storage::log_repair::{LogCut, cut_log};
use crate::storage::memory_disk::{Fault, MemoryDisk};
use crate::storage::record::SEGMENT_HEADER_BYTES;
use crate::types::PublicKey;

/// Small segments, so that a few records need several.
const SMALL: u64 = 1_560;
const BLOCKS: Height = 9;
const IDENTITY: JournalIdentity = JournalIdentity { chain_id: CHAIN, operator: Some(PublicKey([5; 32])) };

fn dir() -> PathBuf {
    PathBuf::from("/node/log")
}

fn open(disk: &MemoryDisk) -> Result<BlockLog<MemoryDisk>, StorageError> {
    BlockLog::open_sized(disk.clone(), &dir(), CHAIN, SMALL, &mut |_, _| true)
}

fn blocks() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let mut log = open(&disk).unwrap();
    for height in 1..=BLOCKS {
        log.append(&block(height)).unwrap();
    }
    assert!(files(&disk).len() >= 3, "several segments");
    disk
}

fn votes() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let origin = JournalOrigin { created_ms: 9, forced: false };
    let mut journal =
        JournalWriter::create_sized(disk.clone(), &dir(), (IDENTITY, origin), SMALL).unwrap().writer;
    for epoch in 0..4 {
        let records = vec![
            JournalRecord::EpochStarted { epoch },
            JournalRecord::ClosingEntered { epoch, height: epoch * 10 + 7 },
        ];
        let _durable = journal.commit(vec![Staged::<()> { records, release: Vec::new() }]).unwrap();
    }
    disk
}

fn files(disk: &MemoryDisk) -> Vec<u64> {
    sequences(disk, &dir()).unwrap()
}

fn check_all(disk: &MemoryDisk) -> (Vec<SegmentReport>, Vec<Height>) {
    let mut heights = Vec::new();
    let before = disk.operations();
    let see: SeeBlock<'_> = &mut |place, _| heights.push(place.height);
    let reports = check_blocks(disk, &dir(), CHAIN, see, &mut |_, _| true).unwrap();
    assert_eq!(disk.operations(), before, "INV-CHECK-1");
    (reports, heights)
}

fn has_problem(reports: &[SegmentReport]) -> bool {
    reports.iter().any(|report| report.problem.is_some())
}

fn bytes_of(disk: &MemoryDisk, path: &Path) -> Vec<u8> {
    let file = disk.open_existing(path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.size_bytes().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

fn copy(disk: &MemoryDisk) -> MemoryDisk {
    let copy = MemoryDisk::new();
    copy.create_dir_all(&dir()).unwrap();
    for sequence in files(disk) {
        let path = segment_path(&dir(), sequence);
        copy.open(&path).unwrap().append(&bytes_of(disk, &path)).unwrap();
    }
    copy
}

#[test]
fn a_whole_log_is_read_to_its_last_record() {
    let (reports, heights) = check_all(&blocks());
    assert!(!has_problem(&reports));
    assert_eq!(heights, (1..=BLOCKS).collect::<Vec<_>>());
    assert_eq!(reports.iter().map(|report| report.records).sum::<u64>(), BLOCKS);
    assert!(reports.iter().all(|report| report.whole_bytes == report.bytes && report.torn_bytes() == 0));
    assert_eq!(look_at_blocks(&blocks(), &dir(), CHAIN, &mut |_, _| true).unwrap().height(), BLOCKS);
    let reports = check_journal(&votes(), &dir(), IDENTITY, &mut |_, _| true).unwrap();
    assert!(!has_problem(&reports) && reports.len() >= 4);
}

/// INV-CHECK-2, and INV-REPAIR-1: whatever bit is wrong, a cut log opens and holds what came before.
#[test]
fn whatever_bit_is_wrong_check_and_open_agree_and_a_cut_leaves_what_is_before() {
    let whole = blocks();
    let mut refused = 0;
    for sequence in files(&whole) {
        let path = segment_path(&dir(), sequence);
        let bytes = whole.open_existing(&path).unwrap().size_bytes().unwrap();
        for bit in (0..bytes * 8).step_by(61) {
            let disk = copy(&whole);
            disk.flip_bit(&path, bit).unwrap();
            let (reports, heights) = check_all(&disk);
            let opens = open(&copy(&disk));
            if !has_problem(&reports) {
                let log = opens.unwrap();
                assert_eq!(log.height(), heights.len() as u64, "{path:?}, bit {bit}");
                continue;
            }
            refused += 1;
            if let Ok(log) = opens {
                // An open checks earlier blocks by their heads; whoever reads them finds it.
                assert!((1..=log.height()).any(|height| log.read(height).is_err()), "{path:?}, bit {bit}");
            }
            let damaged = reports.iter().find(|report| report.problem.is_some()).unwrap();
            assert_eq!(damaged.sequence, sequence);
            let cut = LogCut { sequence, whole_bytes: damaged.whole_bytes };
            cut_log(&disk, &dir(), &dir().with_extension("aside"), cut).unwrap();
            let (reports, kept) = check_all(&disk);
            assert!(!has_problem(&reports), "{path:?}, bit {bit}");
            let before: u64 =
                heights.iter().zip(1..).take_while(|(found, due)| **found == *due).count() as u64;
            assert_eq!(kept, (1..=before).collect::<Vec<_>>(), "{path:?}, bit {bit}");
            assert_eq!(open(&disk).unwrap().height(), before);
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn whatever_bit_of_a_journal_is_wrong_check_and_open_agree() {
    let whole = votes();
    let mut refused = 0;
    for sequence in files(&whole) {
        let path = segment_path(&dir(), sequence);
        let bytes = whole.open_existing(&path).unwrap().size_bytes().unwrap();
        for bit in (0..bytes * 8).step_by(13) {
            let disk = copy(&whole);
            disk.flip_bit(&path, bit).unwrap();
            let before = disk.operations();
            let reports = check_journal(&disk, &dir(), IDENTITY, &mut |_, _| true).unwrap();
            assert_eq!(disk.operations(), before, "INV-CHECK-1");
            let opened = JournalWriter::open_sized(disk, &dir(), IDENTITY, SMALL);
            assert_eq!(has_problem(&reports), opened.is_err(), "INV-CHECK-2: {path:?}, bit {bit}");
            refused += usize::from(opened.is_err());
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn each_damaged_or_missing_file_is_named_and_the_rest_is_read() {
    let disk = blocks();
    let names = files(&disk);
    let (first, second, last) = (names[0], names[1], names[names.len() - 1]);
    disk.flip_bit(&segment_path(&dir(), first), 8 * 200).unwrap();
    disk.remove(&segment_path(&dir(), second)).unwrap();
    let (reports, heights) = check_all(&disk);
    let bad: Vec<u64> = reports.iter().filter(|r| r.problem.is_some()).map(|r| r.sequence).collect();
    assert_eq!(bad, [first, second]);
    assert!(matches!(reports[1].problem, Some(StorageError::MissingSegment { .. })));
    assert!(heights.contains(&BLOCKS), "the last file is read all the same: {heights:?}");
    assert!(matches!(
        look_at_blocks(&disk, &dir(), CHAIN, &mut |_, _| true),
        Err(StorageError::Corrupt { .. })
    ));
    // Whose it is counts more than what is in it.
    let foreign = check_blocks(&disk, &dir(), ChainId([8; 32]), &mut |_, _| (), &mut |_, _| true).unwrap();
    assert!(matches!(foreign.last().unwrap().problem, Some(StorageError::WrongChain { .. })));
    assert_eq!(foreign.last().unwrap().sequence, last);
}

/// An index that is built of what comes before the damage would pass for whole.
#[test]
fn no_blocks_are_looked_at_in_a_log_whichever_of_its_files_is_damaged() {
    let whole = blocks();
    let names = files(&whole);
    // The last record of the last one would be an incomplete end.
    for sequence in &names[..names.len() - 1] {
        let disk = copy(&whole);
        disk.flip_bit(&segment_path(&dir(), *sequence), 8 * 200).unwrap();
        let outcome = look_at_blocks(&disk, &dir(), CHAIN, &mut |_, _| true).map(drop);
        assert!(matches!(outcome, Err(StorageError::Corrupt { .. })), "{sequence}: {outcome:?}");
    }
}

#[test]
fn an_incomplete_end_is_told_and_is_no_problem_unless_something_follows() {
    let disk = blocks();
    let last = *files(&disk).last().unwrap();
    let path = segment_path(&dir(), last);
    disk.open_existing(&path).unwrap().append(&[7; 30]).unwrap();
    let (reports, heights) = check_all(&disk);
    assert!(!has_problem(&reports));
    assert_eq!((reports.last().unwrap().torn_bytes(), heights.len() as u64), (30, BLOCKS));
    // The file of a log that is made when power is lost.
    disk.open(&segment_path(&dir(), last + 1)).unwrap().append(b"timed").unwrap();
    let (reports, _) = check_all(&disk);
    assert_eq!(
        reports[reports.len() - 2].problem.as_ref().map(|_| ()),
        Some(()),
        "it is not the last any more"
    );
    assert!(reports.last().unwrap().problem.is_none());
    assert!(open(&disk).is_err(), "INV-CHECK-2");
}

/// A log whose files have several records each, the last one too.
fn with_a_full_end() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let mut log = BlockLog::open_sized(disk.clone(), &dir(), CHAIN, 3 * SMALL, &mut |_, _| true).unwrap();
    for height in 1..=100 {
        log.append(&block(height)).unwrap();
        if files(&disk).len() == 3 && check_all(&disk).0.last().unwrap().records == 3 {
            return disk;
        }
    }
    panic!("a file has three records")
}

/// INV-REPAIR-1, INV-REPAIR-2: in whichever file the damage is, and whatever of names and bytes a crash takes.
#[test]
fn a_cut_that_is_interrupted_at_any_step_is_done_by_the_next_one() {
    let names = files(&with_a_full_end());
    let aside = dir().with_extension("aside");
    let cut_of = |reports: &[SegmentReport]| {
        let found = reports.iter().find(|report| report.problem.is_some())?;
        Some(LogCut { sequence: found.sequence, whole_bytes: found.whole_bytes })
    };
    let (mut steps, mut parts) = (0, 0);
    for damaged_file in names.iter().copied() {
        let damaged = with_a_full_end();
        let path = segment_path(&dir(), damaged_file);
        let whole = bytes_of(&damaged, &path);
        damaged.flip_bit(&path, 8 * (whole.len() as u64 / 2)).unwrap();
        let cut = cut_of(&check_all(&damaged).0).unwrap();
        assert_eq!(cut.sequence, damaged_file);
        let keeps_part = cut.whole_bytes > SEGMENT_HEADER_BYTES;
        parts += usize::from(keeps_part);
        let expected = {
            let disk = copy(&damaged);
            cut_log(&disk, &dir(), &aside, cut).unwrap();
            check_all(&disk).1
        };
        for (count, seed) in (1..).flat_map(|count| (0..8).map(move |seed| (count, seed))) {
            let disk = copy(&damaged);
            for sequence in files(&disk) {
                disk.open_existing(&segment_path(&dir(), sequence)).unwrap().sync_data().unwrap();
            }
            disk.sync_dir(&dir()).unwrap();
            disk.fail_after(count, Fault::InputOutput);
            let is_done = cut_log(&disk, &dir(), &aside, cut).is_ok();
            steps += usize::from(!is_done);
            disk.crash(seed);
            if let Some(cut) = cut_of(&check_all(&disk).0) {
                cut_log(&disk, &dir(), &aside, cut).unwrap();
            }
            let (reports, kept) = check_all(&disk);
            let at = format!("file {damaged_file}, step {count}, seed {seed}");
            assert!(!has_problem(&reports), "{at}");
            assert_eq!(kept, expected, "{at}");
            let moved = bytes_of(&disk, &segment_path(&aside, damaged_file));
            assert_eq!(moved, bytes_of(&damaged, &path), "INV-REPAIR-1: {at}");
            let there = sequences(&disk, &aside).unwrap().len() + files(&disk).len();
            assert_eq!(there, names.len() + usize::from(keeps_part), "{at}");
            if is_done && seed == 7 {
                break;
            }
        }
    }
    assert!(steps > 100 && parts > 1, "{steps} steps, {parts} files of which a part stays");
}

/// INV-CHECK-2: a crash leaves a new file without a whole header, but never a pruned journal with nothing else.
#[test]
fn check_and_open_agree_on_a_file_without_a_whole_header_whatever_stands_before_it() {
    let whole = votes();
    let names = files(&whole);
    let mut refused = 0;
    for first in 0..names.len() {
        for last in first..names.len() {
            let disk = copy(&whole);
            let others = names[..first].iter().chain(&names[last + 1..]);
            others.for_each(|sequence| disk.remove(&segment_path(&dir(), *sequence)).unwrap());
            let mut file = disk.open_existing(&segment_path(&dir(), names[last])).unwrap();
            file.truncate(SEGMENT_HEADER_BYTES - 1).unwrap();
            let reports = check_journal(&disk, &dir(), IDENTITY, &mut |_, _| true).unwrap();
            let opened = JournalWriter::open_sized(disk, &dir(), IDENTITY, SMALL);
            assert_eq!(has_problem(&reports), opened.is_err(), "files {first} to {last}");
            refused += usize::from(opened.is_err());
        }
    }
    assert_eq!(refused, names.len() - 1, "one that stands alone and is not the first there ever was");
}
