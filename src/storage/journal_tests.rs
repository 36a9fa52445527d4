use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::storage::block_log::BlockLog;
use crate::storage::disk::DiskFile as _;
use crate::storage::memory_disk::{Fault, MemoryDisk};
use crate::types::{
    BlockHash, BlockVote, FinalityVote, Height, Lock, MasternodeId, OutPoint, SecretKey, Signature,
    Transaction, TxId, TxOut, VoteBatch, VoteKind, VoteStep,
};

const CHAIN: ChainId = ChainId([7; 32]);
const IDENTITY: JournalIdentity = JournalIdentity { chain_id: CHAIN, operator: Some(PublicKey([5; 32])) };
const ORIGIN: JournalOrigin = JournalOrigin { created_ms: 77, forced: false };
/// Small segments, so that a few commits need several.
const SMALL: u64 = 900;

fn dir() -> PathBuf {
    PathBuf::from("/node/votes")
}

fn transaction(number: u64) -> Arc<Transaction> {
    let output = TxOut { value: crate::types::Amount(number), lock: Lock::KeyHash(Default::default()) };
    let input = OutPoint { txid: TxId([3; 32]), index: 1 };
    Arc::new(Transaction::transfer(vec![input], vec![output], vec![1; 60]))
}

fn batch(epoch: Epoch, seq: u64) -> Arc<VoteBatch> {
    let vote = FinalityVote { kind: VoteKind::Lock, txid: TxId([9; 32]) };
    let secret = SecretKey::from_seed(&[1; 32]);
    Arc::new(VoteBatch::signed(&CHAIN, epoch, MasternodeId([2; 32]), seq, vec![vote], &secret))
}

fn vote(epoch: Epoch, height: Height) -> JournalRecord {
    JournalRecord::BlockVote(Arc::new(BlockVote {
        step: VoteStep::Precommit,
        epoch,
        height,
        round: 0,
        value: Some(BlockHash([1; 32])),
        validator: MasternodeId([2; 32]),
        signature: Signature::EMPTY,
    }))
}

fn staged(records: Vec<JournalRecord>, release: u64) -> Staged<u64> {
    Staged { records, release: vec![release] }
}

/// What commit number `number` writes.
fn records_of(number: u64) -> Vec<JournalRecord> {
    match number % 4 {
        0 => vec![JournalRecord::EpochStarted { epoch: number / 4 }, vote(number / 4, number)],
        1 => vec![JournalRecord::Transaction(transaction(number)), vote(number / 4, number)],
        2 => vec![JournalRecord::OwnBatch(batch(number / 4, number))],
        _ => vec![JournalRecord::ClosingEntered { epoch: number / 4, height: number }],
    }
}

fn open(disk: &MemoryDisk) -> Result<Option<OpenedJournal<MemoryDisk>>, StorageError> {
    JournalWriter::open_sized(disk.clone(), &dir(), IDENTITY, SMALL)
}

/// All that the journal retains, in order.
fn records(disk: &MemoryDisk) -> Vec<JournalRecord> {
    reopened(disk).1
}

/// The journal and all that it retains.
fn reopened(disk: &MemoryDisk) -> (OpenedJournal<MemoryDisk>, Vec<JournalRecord>) {
    let mut all = Vec::new();
    let mut take = |record| {
        all.push(record);
        Ok(())
    };
    let (disk, dir) = (disk.clone(), dir());
    let opened = JournalWriter::open_visiting(disk, &dir, IDENTITY, SMALL, &mut take, &mut |_, _| true);
    (opened.unwrap().unwrap(), all)
}

/// Makes a journal and commits `count` times.
fn filled(count: u64) -> (MemoryDisk, OpenedJournal<MemoryDisk>) {
    let disk = MemoryDisk::new();
    let mut journal = JournalWriter::create_sized(disk.clone(), &dir(), (IDENTITY, ORIGIN), SMALL).unwrap();
    for number in 0..count {
        let durable = journal.writer.commit(vec![staged(records_of(number), number)]).unwrap();
        assert_eq!(durable.into_iter().map(Durable::into_inner).collect::<Vec<_>>(), [number]);
    }
    (disk, journal)
}

/// INV-JOURNAL-1: whoever puts a backup together from two journals of one key would forget votes of both.
#[test]
fn a_segment_of_another_journal_of_the_same_key_is_damage() {
    let count = filled(12).0.list(&dir()).unwrap().len();
    assert!(count >= 3);
    for sequence in 1..=u64::try_from(count).unwrap() {
        let (disk, journal) = filled(12);
        drop(journal);
        let other = MemoryDisk::new();
        let origin = JournalOrigin { created_ms: 78, ..ORIGIN };
        let mut journal =
            JournalWriter::create_sized(other.clone(), &dir(), (IDENTITY, origin), SMALL).unwrap();
        for number in 0..12 {
            drop(journal.writer.commit(vec![staged(records_of(number), number)]).unwrap());
        }
        let path = segment_path(&dir(), sequence);
        let foreign = other.open_existing(&path).unwrap();
        let mut bytes = vec![0; usize::try_from(foreign.size_bytes().unwrap()).unwrap()];
        foreign.read_at(0, &mut bytes).unwrap();
        let mut file = disk.open_existing(&path).unwrap();
        file.truncate(0).unwrap();
        file.append(&bytes).unwrap();
        let opened = open(&disk).map(drop);
        assert!(matches!(opened, Err(StorageError::Corrupt { .. })), "segment {sequence}: {opened:?}");
    }
}

/// INV-STORAGE-3.
#[test]
fn a_commit_is_one_write_and_one_sync_and_releases_in_order() {
    let disk = MemoryDisk::new();
    let mut journal = JournalWriter::create(disk.clone(), &dir(), IDENTITY, ORIGIN).unwrap();
    let before = disk.operations();
    let many = (0..5).map(|number| staged(vec![vote(0, number)], number)).collect();
    let durable = journal.writer.commit(many).unwrap();
    assert_eq!(durable.iter().map(Durable::get).copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(disk.operations() - before, 2);
    let durable = journal.writer.commit(vec![staged(Vec::new(), 9)]).unwrap();
    assert_eq!(disk.operations() - before, 2, "nothing to write, nothing to sync");
    assert_eq!(durable.into_iter().map(Durable::into_inner).collect::<Vec<_>>(), [9]);
}

#[test]
fn all_records_come_back_in_order_over_many_segments() {
    let (disk, journal) = filled(12);
    drop(journal);
    assert!(disk.list(&dir()).unwrap().len() >= 3);
    assert_eq!(records(&disk), (0..12).flat_map(records_of).collect::<Vec<_>>());
}

/// INV-JOURNAL-1.
#[test]
fn a_journal_of_another_owner_is_refused() {
    let (disk, _journal) = filled(3);
    let other = |chain: u8, operator: Option<u8>| JournalIdentity {
        chain_id: ChainId([chain; 32]),
        operator: operator.map(|byte| PublicKey([byte; 32])),
    };
    type Entry = fn(MemoryDisk, &Path, JournalIdentity) -> Result<OpenedJournal<MemoryDisk>, StorageError>;
    let entries: [Entry; 3] = [JournalWriter::open, JournalWriter::open_or_create, |disk, dir, identity| {
        JournalWriter::create(disk, dir, identity, ORIGIN)
    }];
    for entry in entries {
        let refuse = |identity| entry(disk.clone(), &dir(), identity).err().unwrap();
        assert!(matches!(refuse(other(8, Some(5))), StorageError::WrongChain { found: CHAIN, .. }));
        for operator in [Some(6), None] {
            let error = refuse(other(7, operator));
            assert!(matches!(error, StorageError::WrongOperator { found, .. } if found == IDENTITY.operator));
        }
    }
    assert!(matches!(
        JournalWriter::create(disk.clone(), &dir(), IDENTITY, ORIGIN),
        Err(StorageError::JournalExists { .. })
    ));
    assert_eq!(JournalWriter::open(disk, &dir(), IDENTITY).unwrap().contents.records, 5);

    let empty = MemoryDisk::new();
    let error = JournalWriter::open(empty.clone(), &dir(), IDENTITY).err().unwrap();
    assert!(matches!(error, StorageError::NoJournal { .. }));
    assert!(error.to_string().contains("timed votes new"));
    assert!(empty.list(&dir()).unwrap().is_empty(), "it is not made silently");
    drop(BlockLog::open(empty.clone(), &dir(), CHAIN).unwrap());
    assert!(matches!(JournalWriter::open(empty, &dir(), IDENTITY), Err(StorageError::WrongKind { .. })));

    let watcher = other(7, None);
    let disk = MemoryDisk::new();
    drop(JournalWriter::open_or_create(disk.clone(), &dir(), watcher).unwrap());
    drop(JournalWriter::open_or_create(disk.clone(), &dir(), watcher).unwrap());
    let error = JournalWriter::open(disk, &dir(), IDENTITY).err().unwrap();
    assert!(matches!(error, StorageError::WrongOperator { found: None, .. }));
}

/// INV-STORAGE-4.
#[test]
fn released_records_survive_a_crash_at_every_operation() {
    const COMMITS: u64 = 10;
    let all: Vec<Vec<JournalRecord>> = (0..COMMITS).map(records_of).collect();
    let operations = filled(COMMITS).0.operations();
    for operation in 1..=operations {
        for seed in 0..24 {
            let disk = MemoryDisk::new();
            let fault = if seed % 2 == 0 { Fault::InputOutput } else { Fault::NoSpace };
            disk.fail_after(operation, fault);
            let mut released = 0;
            let created = JournalWriter::create_sized(disk.clone(), &dir(), (IDENTITY, ORIGIN), SMALL);
            let was_created = created.is_ok();
            if let Ok(mut journal) = created {
                for number in 0..COMMITS {
                    if let Err(error) = journal.writer.commit(vec![staged(records_of(number), number)]) {
                        assert!(matches!(error, StorageError::Io { .. }));
                        let empty = journal.writer.commit(vec![staged(Vec::new(), number)]);
                        assert!(matches!(empty, Err(StorageError::Poisoned { .. })));
                        break;
                    }
                    released = number + 1;
                }
            }
            disk.crash(seed * 100 + operation);
            let opened = open(&disk).unwrap_or_else(|error| panic!("{operation}, {seed}: {error}"));
            if opened.is_none() {
                assert!(!was_created, "operation {operation}, seed {seed}: the journal is gone");
                continue;
            }
            drop(opened);
            let (mut journal, found) = reopened(&disk);
            let least = all.iter().take(usize::try_from(released).unwrap()).flatten().count();
            let flat: Vec<_> = all.iter().flatten().cloned().collect();
            assert!(found.len() >= least, "operation {operation}, seed {seed}");
            assert_eq!(found, flat[..found.len()]);
            drop(journal.writer.commit(vec![staged(vec![vote(99, 99)], 0)]).unwrap());
            disk.crash(seed);
            assert_eq!(records(&disk).last(), Some(&vote(99, 99)));
        }
    }
}

#[test]
fn a_flipped_bit_is_named_or_cuts_the_last_commit_alone() {
    let (disk, journal) = filled(3);
    let last_start = {
        let (_, shorter) = filled(2);
        shorter.writer.size_bytes()
    };
    let size = journal.writer.size_bytes();
    assert_eq!(disk.list(&dir()).unwrap().len(), 1);
    let before_last: Vec<_> = (0..2).flat_map(records_of).collect();
    let path = segment_path(&dir(), 1);
    for bit in 0..size * 8 {
        disk.flip_bit(&path, bit).unwrap();
        // On a copy, since opening cuts.
        let copy = MemoryDisk::new();
        let mut bytes = vec![0; usize::try_from(size).unwrap()];
        disk.open_existing(&path).unwrap().read_at(0, &mut bytes).unwrap();
        copy.open(&path).unwrap().append(&bytes).unwrap();
        copy.create_dir_all(&dir()).unwrap();
        match open(&copy) {
            Ok(opened) => {
                assert!(bit / 8 >= last_start, "bit {bit}");
                assert!(opened.is_some());
                assert_eq!(records(&copy), before_last);
            }
            Err(StorageError::Corrupt { .. }) => assert!(bit / 8 < last_start, "bit {bit}"),
            Err(other) => panic!("bit {bit}: {other}"),
        }
        disk.flip_bit(&path, bit).unwrap();
    }
}

fn prune(journal: &mut OpenedJournal<MemoryDisk>, epoch: Epoch) -> Result<(), StorageError> {
    journal.writer.prune_before(epoch).remove(&mut || true)
}

#[test]
fn bodies_are_read_back_until_their_epoch_is_pruned() {
    let (disk, mut journal) = filled(12);
    let numbers = [1, 5, 9];
    let there = |reader: &JournalReader<MemoryDisk>| {
        numbers.map(|number| {
            let body = reader.transaction(&transaction(number).txid()).unwrap();
            body.inspect(|body| assert_eq!(*body, transaction(number))).is_some()
        })
    };
    assert_eq!(there(&journal.reader), [true; 3]);
    assert_eq!(journal.reader.transaction(&TxId::ZERO).unwrap(), None);
    assert_eq!(there(&open(&disk).unwrap().unwrap().reader), [true; 3], "places are found again at open");
    prune(&mut journal, 0).unwrap();
    assert_eq!(there(&journal.reader), [true; 3]);
    prune(&mut journal, 1).unwrap();
    assert_eq!(there(&journal.reader), [false, true, true]);
    drop(journal.writer.commit(vec![staged(vec![JournalRecord::Transaction(transaction(1))], 0)]).unwrap());
    assert_eq!(there(&journal.reader), [true; 3], "journaled again");
    disk.crash(1);
    let mut journal = open(&disk).unwrap().unwrap();
    assert_eq!(records(&disk).first(), Some(&JournalRecord::EpochStarted { epoch: 1 }));
    prune(&mut journal, 99).unwrap();
    assert_eq!(there(&journal.reader)[..2], [true, false], "the active segment stays");
    assert_eq!(disk.list(&dir()).unwrap().len(), 1);
}

/// INV-JOURNAL-2.
#[test]
fn a_segment_with_a_record_of_a_later_epoch_stays() {
    let (disk, mut journal) = filled(4);
    let early = JournalRecord::PeerBatch(batch(1, 0));
    drop(journal.writer.commit(vec![staged(vec![early.clone()], 0)]).unwrap());
    let start = JournalRecord::EpochStarted { epoch: 1 };
    // The start of an epoch within a commit parts what is before it from what is after it.
    let parted = vec![vote(0, 50), start, vote(1, 51)];
    drop(journal.writer.commit(vec![staged(parted, 0)]).unwrap());
    prune(&mut journal, 1).unwrap();
    assert!(records(&disk).contains(&early));
    drop(journal.writer.commit(vec![staged(vec![JournalRecord::EpochStarted { epoch: 2 }], 0)]).unwrap());
    prune(&mut journal, 2).unwrap();
    assert_eq!(records(&disk), [JournalRecord::EpochStarted { epoch: 2 }]);
}

/// INV-RETIRED-1.
#[test]
fn a_crash_while_pruning_leaves_no_gap() {
    let operations = {
        let (disk, mut journal) = filled(16);
        let before = disk.operations();
        prune(&mut journal, 3).unwrap();
        disk.operations() - before
    };
    for operation in 1..=operations {
        for seed in 0..16 {
            let (disk, mut journal) = filled(16);
            disk.fail_after(operation, Fault::InputOutput);
            let _failed = prune(&mut journal, 3);
            disk.crash(seed);
            let records = records(&disk);
            let newest: Vec<_> = (12..16).flat_map(records_of).collect();
            assert!(records.ends_with(&newest), "operation {operation}, seed {seed}");
        }
    }
}

/// INV-RETIRED-1: a name that an earlier removal gave may not be durable yet.
#[test]
fn a_crash_in_a_removal_after_one_that_failed_leaves_no_gap() {
    let operations = {
        let (disk, mut journal) = filled(8);
        let before = disk.operations();
        prune(&mut journal, 1).unwrap();
        disk.operations() - before
    };
    let newest: Vec<_> = (4..8).flat_map(records_of).collect();
    for first in 1..=operations {
        for second in 1..=operations {
            for seed in 0..32 {
                let (disk, mut journal) = filled(8);
                disk.fail_after(first, Fault::InputOutput);
                assert!(prune(&mut journal, 1).is_err());
                disk.fail_after(second, Fault::InputOutput);
                let _failed = prune(&mut journal, 1);
                disk.crash(seed);
                assert!(records(&disk).ends_with(&newest), "{first}, {second}, {seed}");
            }
        }
    }
}

#[test]
fn a_removal_that_is_stopped_leaves_a_log_and_the_next_one_ends_it() {
    let removed = {
        let (disk, mut journal) = filled(16);
        prune(&mut journal, 3).unwrap();
        disk.list(&dir()).unwrap()
    };
    for steps in 0..16 {
        let (disk, mut journal) = filled(16);
        let mut left = steps;
        let mut goes_on = || {
            left -= 1;
            left >= 0
        };
        journal.writer.prune_before(3).remove(&mut goes_on).unwrap();
        let newest: Vec<_> = (12..16).flat_map(records_of).collect();
        assert!(records(&disk).ends_with(&newest), "{steps} steps");
        prune(&mut journal, 3).unwrap();
        assert_eq!(disk.list(&dir()).unwrap(), removed, "{steps} steps");
        assert_eq!(records(&disk), newest);
    }
}

/// Nobody may ever prune again, and the room be needed.
#[test]
fn what_a_stopped_removal_left_is_gone_with_the_next_open() {
    let (disk, mut journal) = filled(16);
    let mut steps = 0;
    let mut goes_on = || {
        steps += 1;
        // All have their other names by then.
        disk.list(&dir()).unwrap().iter().filter(|name| name.ends_with(".retired")).count() < 3
    };
    journal.writer.prune_before(3).remove(&mut goes_on).unwrap();
    drop(journal);
    let is_left = || disk.list(&dir()).unwrap().iter().any(|name| name.ends_with(".retired"));
    assert!(is_left());
    drop(open(&disk).unwrap().unwrap());
    assert!(!is_left());
}

#[test]
fn a_large_file_goes_in_small_steps() {
    let (_, mut journal) = filled(4);
    let large = Transaction::transfer(Vec::new(), Vec::new(), vec![7; 9 << 20]);
    drop(journal.writer.commit(vec![staged(vec![JournalRecord::Transaction(Arc::new(large))], 0)]).unwrap());
    drop(journal.writer.commit(vec![staged(vec![JournalRecord::EpochStarted { epoch: 9 }], 0)]).unwrap());
    let files = journal.writer.log.active_sequence() - journal.writer.log.first_sequence();
    let mut steps = 0;
    let mut goes_on = || {
        steps += 1;
        true
    };
    journal.writer.prune_before(9).remove(&mut goes_on).unwrap();
    // Each is renamed and cut; 9 MiB take two cuts more.
    assert_eq!(steps, 2 * files + 2);
}

#[test]
fn the_origin_outlives_pruning_and_crashes() {
    let (disk, mut journal) = filled(16);
    assert_eq!((journal.origin, journal.epoch), (ORIGIN, 0));
    prune(&mut journal, 3).unwrap();
    disk.crash(3);
    let journal = open(&disk).unwrap().unwrap();
    assert_eq!(
        records(&disk).first(),
        Some(&JournalRecord::EpochStarted { epoch: 3 }),
        "the first one is gone"
    );
    assert_eq!((journal.origin, journal.epoch), (ORIGIN, 3));
    assert_eq!(ORIGIN.signs_after_ms(), 77 + 10_000);
    assert_eq!(JournalOrigin { forced: true, ..ORIGIN }.signs_after_ms(), 0);
}

/// Only the first segment of all can be the rest of a journal that was never completed.
#[test]
fn a_pruned_journal_without_its_header_is_damaged_and_not_new() {
    for (epoch, is_damaged) in [(0, false), (3, true)] {
        let (disk, mut journal) = filled(if is_damaged { 13 } else { 0 });
        prune(&mut journal, epoch).unwrap();
        assert_eq!(disk.list(&dir()).unwrap().len(), 1);
        let mut file = disk.open(&segment_path(&dir(), journal.writer.log.first_sequence())).unwrap();
        file.truncate(10).unwrap();
        match open(&disk) {
            Ok(opened) => assert!(opened.is_none() && !is_damaged, "what it had signed is forgotten"),
            Err(StorageError::Corrupt { .. }) => assert!(is_damaged),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_scan_shows_what_opening_gives_and_stops_at_an_error() {
    let (disk, journal) = filled(12);
    drop(journal);
    let mut seen = Vec::new();
    let scanned = JournalWriter::scan(disk.clone(), &dir(), IDENTITY, &mut |record| {
        seen.push(record);
        Ok(())
    });
    let scanned = scanned.unwrap();
    assert_eq!(seen, (0..12).flat_map(records_of).collect::<Vec<_>>());
    assert_eq!(scanned.contents.records, 18);
    assert_eq!(scanned.reader.transaction(&transaction(5).txid()).unwrap(), Some(transaction(5)));
    let mut count = 0;
    let stopped = JournalWriter::scan(disk, &dir(), IDENTITY, &mut |_| {
        count += 1;
        Err(StorageError::IndexStopped)
    });
    assert!(matches!(stopped, Err(StorageError::IndexStopped)));
    assert_eq!(count, 1);
}

#[test]
fn only_a_journal_without_a_key_makes_room() {
    let keyless = JournalIdentity { operator: None, ..IDENTITY };
    let create = |disk: &MemoryDisk, identity| {
        JournalWriter::create_over_keyless(disk.clone(), &dir(), identity, ORIGIN)
    };
    let disk = MemoryDisk::new();
    drop(JournalWriter::open_or_create(disk.clone(), &dir(), keyless).unwrap());
    let other = JournalIdentity { chain_id: ChainId([8; 32]), ..IDENTITY };
    assert!(matches!(create(&disk, other), Err(StorageError::WrongChain { found: CHAIN, .. })));
    assert!(create(&disk, IDENTITY).unwrap());
    assert!(matches!(create(&disk, IDENTITY), Err(StorageError::JournalExists { .. })));
    for operator in [Some(PublicKey([6; 32])), None] {
        let refused = create(&disk, JournalIdentity { operator, ..IDENTITY });
        assert!(
            matches!(refused, Err(StorageError::WrongOperator { found, .. }) if found == IDENTITY.operator)
        );
    }
    assert_eq!(JournalWriter::open(disk, &dir(), IDENTITY).unwrap().origin, ORIGIN);
    assert!(!create(&MemoryDisk::new(), IDENTITY).unwrap());
}

#[test]
fn an_opening_can_be_ended_after_any_frame_and_leaves_all_as_it_was() {
    let (disk, journal) = filled(12);
    let (size, before) = (journal.writer.size_bytes(), records(&disk));
    drop(journal);
    let mut frames = 0;
    let count = |frames: &mut usize, ends_after: usize| {
        let mut last = 0;
        let outcome = JournalWriter::open_watched(disk.clone(), &dir(), IDENTITY, &mut |done, total| {
            assert!(last < done && done <= total && total == size);
            last = done;
            *frames += 1;
            *frames < ends_after
        });
        outcome.map(drop)
    };
    count(&mut frames, usize::MAX).unwrap();
    assert_eq!(frames, 12);
    for ends_after in 1..=frames {
        let mut heard = 0;
        let outcome = count(&mut heard, ends_after);
        assert!(matches!(outcome, Err(StorageError::Interrupted)));
        assert_eq!((heard, records(&disk) == before), (ends_after, true));
    }
}

#[test]
fn records_are_read_by_their_places() {
    let (disk, journal) = filled(12);
    drop(journal);
    let opened = open(&disk).unwrap().unwrap();
    let mut found = Vec::new();
    for messages in opened.contents.messages.values() {
        for place in &messages.own_batches {
            found.push(opened.reader.record(*place).unwrap());
        }
    }
    let expected = |number: u64| JournalRecord::OwnBatch(batch(number / 4, number));
    assert_eq!(found, [2, 6, 10].map(expected));
    let heights: Vec<_> = opened.contents.heights.keys().copied().collect();
    assert_eq!(heights, [0, 1, 4, 5, 8, 9]);
    assert_eq!(opened.contents.started, 2);
    assert_eq!(opened.reader.transactions().len(), 3);
    // Damage since is noticed.
    let place = opened.contents.messages[&0].own_batches[0];
    let path = segment_path(&dir(), place.0.sequence);
    disk.flip_bit(&path, (place.0.offset + 3) * 8).unwrap();
    assert!(matches!(opened.reader.record(place), Err(StorageError::Corrupt { .. })));
}

#[test]
fn an_encoding_is_as_long_as_is_counted() {
    for record in (0..12).flat_map(records_of) {
        assert_eq!(record.encoded_bytes(), encode(&record).len(), "{record:?}");
    }
}

/// INV-RELEASED-1: what may be sent of a record that was read is what its commit released.
#[test]
fn an_own_message_is_read_back_from_the_record_that_was_made_of_it() {
    let JournalRecord::BlockVote(vote) = vote(0, 1) else { unreachable!() };
    let said = [OwnMessage::VoteBatch(batch(0, 1)), OwnMessage::BlockVote(vote)];
    let (disk, mut journal) = filled(0);
    let stage = |own: &OwnMessage| Staged {
        records: JournalRecord::of_own(own).into_iter().collect(),
        release: vec![own.clone()],
    };
    let released = journal.writer.commit(said.iter().map(stage).collect()).unwrap();
    let (opened, _) = reopened(&disk);
    let messages = &opened.contents.messages[&0];
    let votes = &opened.contents.heights[&1].votes;
    let places = messages.own_batches.iter().chain(votes);
    let read: Vec<Message> = places.map(|place| opened.reader.message(*place).unwrap().unwrap()).collect();
    assert_eq!(read, released.into_iter().map(Message::from).collect::<Vec<_>>());
}

/// A record that takes so many bytes.
fn record_of(bytes: usize) -> JournalRecord {
    let with =
        |memo| JournalRecord::Transaction(Arc::new(Transaction::transfer(Vec::new(), Vec::new(), memo)));
    let record = with(vec![7; bytes - encode(&with(Vec::new())).len()]);
    assert_eq!(encode(&record).len(), bytes);
    record
}

#[test]
fn a_record_of_the_largest_size_is_written_and_read_and_a_larger_one_refused() {
    let disk = MemoryDisk::new();
    let mut writer = JournalWriter::open_or_create(disk.clone(), &dir(), IDENTITY).unwrap().writer;
    let too_large = writer.commit(vec![staged(vec![record_of(MESSAGE_BYTES_MAX + 1)], 1)]);
    let (bytes, limit) = (MESSAGE_BYTES_MAX + 1, MESSAGE_BYTES_MAX);
    assert!(
        matches!(too_large, Err(StorageError::RecordTooLarge { bytes: of, limit: at }) if (of, at) == (bytes, limit))
    );
    let largest = record_of(MESSAGE_BYTES_MAX);
    drop(writer.commit(vec![staged(vec![largest.clone()], 2)]).unwrap());
    drop(writer);
    let JournalRecord::Transaction(body) = largest else { unreachable!() };
    let reader = JournalWriter::open_or_create(disk, &dir(), IDENTITY).unwrap().reader;
    assert_eq!(reader.transaction(&body.txid()).unwrap(), Some(body));
}

/// A frame is what memory holds of a commit at once.
#[test]
fn a_commit_is_one_write_as_long_as_it_fits_into_a_frame() {
    /// What a record takes beside itself.
    const RECORD_HEAD: usize = 8;
    let operations = |records: Vec<JournalRecord>| {
        let disk = MemoryDisk::new();
        let mut writer = JournalWriter::open_or_create(disk.clone(), &dir(), IDENTITY).unwrap().writer;
        let before = disk.operations();
        drop(writer.commit(vec![staged(records, 1)]).unwrap());
        disk.operations() - before
    };
    let one = operations(vec![record_of(100)]);
    let first = 8 << 20;
    let rest = FRAME_BYTES_TARGET - first - RECORD_HEAD;
    assert_eq!(operations(vec![record_of(first), record_of(rest)]), one);
    assert_eq!(operations(vec![record_of(first), record_of(rest + 1)]), 2 * one);
}

/// INV-JOURNAL-2: what is voted on again in the next epoch is written again, and needed when the first epoch is gone.
#[test]
fn a_body_that_was_written_again_outlives_the_segment_that_had_it_first() {
    for is_opened_again in [false, true] {
        let (disk, mut journal) = filled(4);
        let next = vec![JournalRecord::EpochStarted { epoch: 1 }, JournalRecord::Transaction(transaction(1))];
        drop(journal.writer.commit(vec![staged(next, 0)]).unwrap());
        if is_opened_again {
            drop(journal);
            journal = open(&disk).unwrap().unwrap();
        }
        prune(&mut journal, 1).unwrap();
        let body = journal.reader.transaction(&transaction(1).txid()).unwrap();
        assert_eq!(body, Some(transaction(1)), "opened again: {is_opened_again}");
    }
}
