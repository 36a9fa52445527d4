use std::path::PathBuf;

use super::*;
use crate::storage::disk::{DiskFile as _, RealDisk};
use crate::storage::journal::{JournalIdentity, JournalOrigin, JournalWriter};
use crate::storage::memory_disk::{Fault, MemoryDisk};
use crate::storage::record::{SEGMENT_HEADER_BYTES, any_frame_from, frame};
use crate::types::{
    Amount, Block, Commit, Hash, Header, KeyHash, Lock, MasternodeId, OutPoint, RuleVersion, StateDigest,
    Transaction, TxId, TxOut,
};

pub(in crate::storage) const CHAIN: ChainId = ChainId([7; 32]);
/// Small segments, so that a few blocks need several.
const SMALL: u64 = 1_500;

fn dir() -> PathBuf {
    PathBuf::from("/node/blocks")
}

fn block_with_memo(height: Height, memo: Vec<u8>) -> LoggedBlock {
    let byte = u8::try_from(height % 251).unwrap();
    let output = TxOut { value: Amount(height), lock: Lock::KeyHash(KeyHash([byte; 32])) };
    let input = OutPoint { txid: TxId([byte; 32]), index: 3 };
    let transaction = Transaction::transfer(vec![input], vec![output], memo);
    let header = Header {
        chain_id: CHAIN,
        height,
        round: 0,
        epoch: 1,
        epoch_end: false,
        time: height * 1_000,
        prev_hash: BlockHash([byte; 32]),
        last_commit_root: Hash::ZERO,
        tx_root: Hash::ZERO,
        evidence_root: Hash::ZERO,
        epoch_ends_root: Hash::ZERO,
        state_digest: StateDigest::ZERO,
        validators_hash: Hash::ZERO,
        next_validators_hash: Hash::ZERO,
        proposer: MasternodeId::ZERO,
        rules: RuleVersion::FIRST,
        announced: RuleVersion::FIRST,
    };
    let block = Block {
        header,
        last_commit: Commit::default(),
        transactions: vec![Arc::new(transaction)],
        evidence: Vec::new(),
    };
    let committed = CommittedBlock { block, commit: Commit { height, ..Commit::default() } };
    LoggedBlock { committed, spent: vec![UtxoEntry { output, height: height - 1 }] }
}

pub(in crate::storage) fn block(height: Height) -> LoggedBlock {
    block_with_memo(height, vec![9; usize::try_from(height % 50).unwrap()])
}

/// Appends blocks up to `height` and returns the disk.
fn filled(height: Height, segment_bytes: u64) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let mut log = BlockLog::open_sized(disk.clone(), &dir(), CHAIN, segment_bytes, &mut |_, _| true).unwrap();
    for height in 1..=height {
        assert_eq!(log.append(&block(height)).unwrap().height(), height);
    }
    disk
}

fn bytes_of(disk: &MemoryDisk, sequence: u64) -> Vec<u8> {
    let file = disk.open_existing(&segment_path(&dir(), sequence)).unwrap();
    let mut bytes = vec![0; usize::try_from(file.size_bytes().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

fn disk_with(bytes: &[u8]) -> MemoryDisk {
    let disk = MemoryDisk::new();
    disk.create_dir_all(&dir()).unwrap();
    let mut file = disk.open(&segment_path(&dir(), 1)).unwrap();
    file.append(bytes).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(&dir()).unwrap();
    disk
}

fn assert_holds(log: &BlockLog<impl Disk>, height: Height) {
    assert_eq!(log.height(), height);
    for height in 1..=height {
        assert_eq!(log.read(height).unwrap().unwrap(), block(height));
        assert_eq!(*log.reader().read_committed(height).unwrap().unwrap(), block(height).committed);
        let Block { header, transactions, .. } = block(height).committed.block;
        assert_eq!(log.reader().read_header(height).unwrap(), Some((header, transactions.len())));
    }
    assert_eq!(log.read(0).unwrap(), None);
    assert_eq!(log.reader().read_header(height + 1).unwrap(), None);
    assert_eq!(log.read(height + 1).unwrap(), None);
}

/// INV-RELEASED-1.
#[test]
fn the_word_that_a_block_is_durable_releases_that_block_alone() {
    let mut log = BlockLog::open(MemoryDisk::new(), &dir(), CHAIN).unwrap();
    let durable = log.append(&block(1)).unwrap();
    assert_eq!(durable.release(block(2).committed), None);
    assert_eq!(*durable.release(block(1).committed).unwrap(), block(1).committed);
}

#[test]
fn a_log_tells_its_chain_and_what_its_last_blocks_take() {
    assert_eq!(chain_of(&MemoryDisk::new(), &dir()).unwrap(), None, "there is none");
    let disk = filled(20, SMALL);
    assert_eq!(chain_of(&disk, &dir()).unwrap(), Some(CHAIN));
    let mut log = BlockLog::open_sized(disk, &dir(), CHAIN, SMALL, &mut |_, _| true).unwrap();
    let bytes = |height: Height| encode_payload(&block(height)).len() as u64;
    let expected = |from: Height| (from..=20).map(bytes).sum::<u64>();
    let reader = log.reader();
    assert_eq!((reader.bytes_above(17), reader.bytes_above(0)), (expected(18), expected(1)));
    assert_eq!((reader.bytes_above(20), reader.bytes_above(99)), (0, 0));
    log.prune_before(15).unwrap();
    let horizon = reader.horizon();
    assert!(horizon > 1 && reader.bytes_above(0) == expected(horizon), "of those that are left: {horizon}");
    assert_eq!(reader.bytes_above(17), expected(18));
}

#[test]
fn blocks_are_read_back_over_many_segments_and_after_reopening() {
    let disk = filled(20, SMALL);
    assert!(disk.list(&dir()).unwrap().len() > 3, "the log has rotated");
    let mut log = BlockLog::open_sized(disk.clone(), &dir(), CHAIN, SMALL, &mut |_, _| true).unwrap();
    assert_holds(&log, 20);
    log.append(&block(21)).unwrap();
    let log = BlockLog::open_sized(disk, &dir(), CHAIN, SMALL, &mut |_, _| true).unwrap();
    assert_holds(&log, 21);
}

#[test]
fn the_real_disk_behaves_alike() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("a").join("blocks");
    let mut log = BlockLog::open_sized(RealDisk, &dir, CHAIN, SMALL, &mut |_, _| true).unwrap();
    for height in 1..=20 {
        log.append(&block(height)).unwrap();
    }
    let last = segment_path(&dir, log.log.active_sequence());
    drop(log);
    let mut torn = RealDisk.open_existing(&last).unwrap();
    torn.append(&[1, 2, 3]).unwrap();
    assert_holds(&BlockLog::open_sized(RealDisk, &dir, CHAIN, SMALL, &mut |_, _| true).unwrap(), 20);
    assert!(matches!(
        BlockLog::open(RealDisk, &dir, ChainId([8; 32])),
        Err(StorageError::WrongChain { expected: ChainId([8, ..]), found: CHAIN, .. })
    ));
}

/// INV-RECORD-3.
#[test]
fn a_log_cut_anywhere_opens_with_the_blocks_before_the_cut_and_goes_on() {
    let bytes = bytes_of(&filled(4, SEGMENT_BYTES_MAX), 1);
    let mut last = 0;
    for length in 0..=bytes.len() {
        let disk = disk_with(&bytes[..length]);
        let mut log = BlockLog::open(disk.clone(), &dir(), CHAIN).unwrap();
        let height = log.height();
        assert!(height >= last, "a longer prefix holds no fewer blocks");
        assert_holds(&log, height);
        log.append(&block(height + 1)).unwrap();
        assert_holds(&BlockLog::open(disk, &dir(), CHAIN).unwrap(), height + 1);
        last = height;
    }
    assert_eq!(last, 4);
}

/// INV-STORAGE-2, INV-RECORD-1.
#[test]
fn a_flipped_bit_is_cut_off_as_a_torn_end_or_named_but_never_served() {
    let disk = filled(3, SEGMENT_BYTES_MAX);
    let path = segment_path(&dir(), 1);
    let bytes = bytes_of(&disk, 1);
    let last_start = bytes_of(&filled(2, SEGMENT_BYTES_MAX), 1).len();
    for bit in 0..bytes.len() * 8 {
        let disk = disk_with(&bytes);
        disk.flip_bit(&path, bit as u64).unwrap();
        match BlockLog::open(disk, &dir(), CHAIN) {
            Ok(log) => {
                assert!(bit / 8 >= last_start, "bit {bit} before the last record went unnoticed");
                assert_holds(&log, 2);
            }
            Err(StorageError::Corrupt { repair, .. }) => {
                assert!(bit / 8 < last_start, "bit {bit} of the last record is a torn end");
                assert!(repair.contains("timed db repair"));
            }
            Err(other) => panic!("bit {bit}: {other}"),
        }
    }
}

#[test]
fn a_flipped_bit_in_an_earlier_segment_is_named_at_open_or_when_it_is_read() {
    let original = filled(6, SMALL);
    let bytes = bytes_of(&original, 1);
    let path = segment_path(&dir(), 1);
    for bit in 0..bytes.len() * 8 {
        original.flip_bit(&path, bit as u64).unwrap();
        let noticed = match BlockLog::open_sized(original.clone(), &dir(), CHAIN, SMALL, &mut |_, _| true) {
            Err(StorageError::Corrupt { .. }) => true,
            Err(other) => panic!("bit {bit}: {other}"),
            Ok(log) => (1..=6).any(|height| match log.read(height) {
                Ok(found) => {
                    assert_eq!(found.unwrap(), block(height), "bit {bit} was served");
                    false
                }
                Err(StorageError::Corrupt { .. }) => true,
                Err(other) => panic!("bit {bit}: {other}"),
            }),
        };
        assert!(noticed, "bit {bit} went unnoticed");
        original.flip_bit(&path, bit as u64).unwrap();
    }
}

/// INV-STORAGE-1, INV-BLOCKS-2, INV-SEGMENT-1, INV-SEGMENT-2.
#[test]
fn acknowledged_blocks_survive_a_crash_at_every_operation() {
    const HEIGHT: Height = 8;
    let operations = filled(HEIGHT, SMALL).operations();
    for operation in 1..=operations {
        for seed in 0..24 {
            let disk = MemoryDisk::new();
            let fault = if seed % 2 == 0 { Fault::InputOutput } else { Fault::NoSpace };
            disk.fail_after(operation, fault);
            let mut acknowledged = 0;
            if let Ok(mut log) = BlockLog::open_sized(disk.clone(), &dir(), CHAIN, SMALL, &mut |_, _| true) {
                for height in 1..=HEIGHT {
                    match log.append(&block(height)) {
                        Ok(durable) => acknowledged = durable.height(),
                        Err(error) => {
                            assert!(matches!(error, StorageError::Io { .. }));
                            let again = log.append(&block(height));
                            assert!(matches!(again, Err(StorageError::Poisoned { .. })));
                            break;
                        }
                    }
                }
            }
            // A second crash while the first one is being recovered from.
            for crash in 0..2 {
                disk.crash(seed * 1_000 + operation + crash);
                disk.fail_after(1 + seed % 3, Fault::InputOutput);
                let _interrupted = BlockLog::open_sized(disk.clone(), &dir(), CHAIN, SMALL, &mut |_, _| true);
            }
            disk.crash(seed + operation);
            let mut log = BlockLog::open_sized(disk.clone(), &dir(), CHAIN, SMALL, &mut |_, _| true)
                .unwrap_or_else(|error| panic!("operation {operation}, seed {seed}: {error}"));
            let height = log.height();
            assert!(height >= acknowledged, "operation {operation}, seed {seed}");
            assert_holds(&log, height);
            log.append(&block(height + 1)).unwrap();
            disk.crash(seed);
            let log = BlockLog::open_sized(disk, &dir(), CHAIN, SMALL, &mut |_, _| true).unwrap();
            assert_holds(&log, height + 1);
        }
    }
}

/// INV-BLOCKS-2: however many are written at once, a crash leaves the first ones of them.
#[test]
fn blocks_that_are_written_together_survive_a_crash_at_every_operation() {
    const TOGETHER: usize = 6;
    let write = |disk: &MemoryDisk| -> Result<usize, StorageError> {
        let mut log = BlockLog::open_sized(disk.clone(), &dir(), CHAIN, SMALL, &mut |_, _| true)?;
        let mut acknowledged = 0;
        for first in [1, 1 + TOGETHER as u64] {
            let blocks: Vec<LoggedBlock> = (first..).take(TOGETHER).map(block).collect();
            acknowledged += log.append_all(&blocks)?.len();
        }
        assert_holds(&log, 2 * TOGETHER as u64);
        Ok(acknowledged)
    };
    let whole = MemoryDisk::new();
    assert_eq!(write(&whole).unwrap(), 2 * TOGETHER);
    for operation in 1..=whole.operations() {
        for seed in 0..24 {
            let disk = MemoryDisk::new();
            disk.fail_after(operation, if seed % 2 == 0 { Fault::InputOutput } else { Fault::NoSpace });
            assert!(write(&disk).is_err(), "operation {operation}");
            disk.crash(seed * 1_000 + operation);
            let mut log = BlockLog::open_sized(disk, &dir(), CHAIN, SMALL, &mut |_, _| true)
                .unwrap_or_else(|error| panic!("operation {operation}, seed {seed}: {error}"));
            let height = log.height();
            assert_holds(&log, height);
            log.append(&block(height + 1)).unwrap();
        }
    }
}

#[test]
fn blocks_that_are_written_together_cost_one_sync() {
    let operations = |together: bool| {
        let disk = MemoryDisk::new();
        let mut log = BlockLog::open(disk.clone(), &dir(), CHAIN).unwrap();
        let before = disk.operations();
        let blocks: Vec<LoggedBlock> = (1..=8).map(block).collect();
        if together {
            let durable = log.append_all(&blocks).unwrap();
            assert!(durable.iter().map(DurableBlock::height).eq(1..=8));
        } else {
            blocks.iter().for_each(|block| assert!(log.append(block).is_ok()));
        }
        assert_holds(&log, 8);
        disk.operations() - before
    };
    assert_eq!((operations(true), operations(false)), (2, 16), "a write and a sync");
}

/// INV-SEGMENT-3.
#[test]
fn what_an_open_serves_is_durable_even_if_the_killed_process_never_synced_it() {
    let disk = filled(1, SEGMENT_BYTES_MAX);
    let end = u64::try_from(bytes_of(&disk, 1).len()).unwrap();
    let mut file = disk.open_existing(&segment_path(&dir(), 1)).unwrap();
    file.append(&frame(1, end, &encode_payload(&block(2))).unwrap()).unwrap();
    let log = BlockLog::open(disk.clone(), &dir(), CHAIN).unwrap();
    assert_holds(&log, 2);
    for seed in 0..8 {
        disk.crash(seed);
        assert_holds(&BlockLog::open(disk.clone(), &dir(), CHAIN).unwrap(), 2);
    }
}

/// INV-BLOCKS-1.
#[test]
fn blocks_that_do_not_belong_are_refused_and_change_nothing() {
    let disk = filled(2, SEGMENT_BYTES_MAX);
    let mut log = BlockLog::open(disk, &dir(), CHAIN).unwrap();
    for height in [1, 2, 4] {
        let error = log.append(&block(height)).unwrap_err();
        assert!(matches!(error, StorageError::NotNext { expected: 3, found } if found == height));
    }
    let mut foreign = block(3);
    foreign.committed.block.header.chain_id = ChainId::ZERO;
    assert!(matches!(log.append(&foreign), Err(StorageError::WrongChain { .. })));
    let mut long = block(3);
    long.spent.push(long.spent[0]);
    let error = log.append(&long).unwrap_err();
    assert!(matches!(error, StorageError::SpentMismatch { height: 3, inputs: 1, spent: 2 }));
    log.append(&block(3)).unwrap();
    assert_holds(&log, 3);
}

#[test]
fn other_chains_kinds_and_missing_segments_are_refused() {
    let open =
        |disk, chain| BlockLog::open_sized(disk, &dir(), chain, SMALL, &mut |_, _| true).err().unwrap();
    let error = open(filled(2, SMALL), ChainId([8; 32]));
    assert!(matches!(error, StorageError::WrongChain { found: CHAIN, .. }), "{error}");
    let disk = MemoryDisk::new();
    let identity = JournalIdentity { chain_id: CHAIN, operator: None };
    drop(JournalWriter::create(disk.clone(), &dir(), identity, JournalOrigin::default()).unwrap());
    assert!(matches!(open(disk, CHAIN), StorageError::WrongKind { .. }));
    for sequence in [1, 2] {
        let disk = filled(10, SMALL);
        disk.remove(&segment_path(&dir(), sequence)).unwrap();
        let missing = segment_path(&dir(), sequence);
        let error = open(disk, CHAIN);
        assert!(matches!(&error, StorageError::MissingSegment { path, .. } if *path == missing), "{error}");
    }
    let disk = filled(10, SMALL);
    disk.rename(&segment_path(&dir(), 2), &segment_path(&dir(), 1)).unwrap();
    assert!(matches!(open(disk, CHAIN), StorageError::MissingSegment { .. } | StorageError::Corrupt { .. }));
}

/// INV-BLOCKS-1: a crash may leave a segment that was begun and has no block in it.
#[test]
fn a_log_that_lost_all_of_its_blocks_is_not_taken_for_a_new_one() {
    let open = |disk: &MemoryDisk| BlockLog::open_sized(disk.clone(), &dir(), CHAIN, SMALL, &mut |_, _| true);
    let disk = filled(1, SMALL);
    let mut log = open(&disk).unwrap();
    log.log.rotate().unwrap();
    drop(log);
    assert_eq!(open(&disk).unwrap().height(), 1);
    disk.remove(&segment_path(&dir(), 1)).unwrap();
    let refused = open(&disk).err().unwrap();
    let missing = segment_path(&dir(), 1);
    assert!(matches!(&refused, StorageError::MissingSegment { path, .. } if *path == missing), "{refused}");
}

/// INV-RECORD-2.
#[test]
fn a_frame_inside_a_payload_is_no_frame() {
    let inner = frame(1, SEGMENT_HEADER_BYTES, &[5; 40]).unwrap();
    let outer = block_with_memo(1, inner);
    let disk = MemoryDisk::new();
    let mut log = BlockLog::open(disk.clone(), &dir(), CHAIN).unwrap();
    log.append(&outer).unwrap();
    let path = segment_path(&dir(), 1);
    let file = disk.open_existing(&path).unwrap();
    let size = file.size_bytes().unwrap();
    assert!(any_frame_from(&file, 1, 0, size).unwrap());
    assert!(!any_frame_from(&file, 1, SEGMENT_HEADER_BYTES + 1, size).unwrap());
    assert!(!any_frame_from(&file, 2, 0, size).unwrap());
    // The outer record's head is torn: still a torn end, whatever its payload looks like.
    disk.flip_bit(&path, (SEGMENT_HEADER_BYTES + 5) * 8).unwrap();
    assert_eq!(BlockLog::open(disk, &dir(), CHAIN).unwrap().height(), 0);
}

#[test]
fn a_later_frame_is_found_across_the_border_of_a_search_chunk() {
    for distance in [(1 << 20) - 17, (1 << 20) - 8, 1 << 20, (1 << 20) + 1] {
        let disk = disk_with(&vec![0; distance]);
        let mut file = disk.open(&segment_path(&dir(), 1)).unwrap();
        file.append(&frame(1, distance as u64, &[1]).unwrap()).unwrap();
        assert!(any_frame_from(&file, 1, 0, file.size_bytes().unwrap()).unwrap(), "{distance}");
    }
}

/// The log was sound when it was opened, and somebody has written to its file since.
#[test]
fn a_block_of_another_height_is_never_served() {
    let disk = filled(2, 1 << 20);
    let log = BlockLog::open(disk.clone(), &dir(), CHAIN).unwrap();
    assert_holds(&log, 2);
    let payload = encode_payload(&block_with_memo(2, vec![9]));
    let other = frame(1, SEGMENT_HEADER_BYTES, &payload).unwrap();
    let mut bytes = bytes_of(&disk, 1);
    let place = usize::try_from(SEGMENT_HEADER_BYTES).unwrap();
    bytes[place..place + other.len()].copy_from_slice(&other);
    let mut file = disk.open_existing(&segment_path(&dir(), 1)).unwrap();
    file.truncate(0).unwrap();
    file.append(&bytes).unwrap();
    let reader = log.reader();
    assert!(matches!(reader.read(1), Err(StorageError::Corrupt { .. })));
    assert!(matches!(reader.read_committed(1), Err(StorageError::Corrupt { .. })));
    assert!(matches!(reader.read_header(1), Err(StorageError::Corrupt { .. })));
    assert_eq!(reader.read(2).unwrap().unwrap(), block(2), "the rest is there");
}

#[test]
fn readers_read_beside_the_writer() {
    let mut log = BlockLog::open_sized(MemoryDisk::new(), &dir(), CHAIN, SMALL, &mut |_, _| true).unwrap();
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let reader = log.reader();
            std::thread::spawn(move || {
                while reader.height() < 100 {
                    let height = reader.height();
                    if height > 0 {
                        assert_eq!(reader.read(height).unwrap().unwrap(), block(height));
                    }
                }
            })
        })
        .collect();
    for height in 1..=100 {
        log.append(&block(height)).unwrap();
    }
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}
