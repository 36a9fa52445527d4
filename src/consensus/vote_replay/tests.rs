//! What a start holds of a journal, and what it refuses.

use std::path::Path;

use super::*;
use crate::storage::journal::{JournalIdentity, JournalWriter, OpenedJournal, Staged};
use crate::storage::memory_disk::MemoryDisk;
use crate::storage::{JournalOrigin, RealDisk};
use crate::types::{Amount, ChainId, Lock, MasternodeId, SecretKey, Transaction, TxOut, VoteBatch};

const CHAIN: ChainId = ChainId([7; 32]);
/// Payments of one batch of votes.
const PAYMENTS: u64 = 20;
const PEERS: u8 = 3;

fn secret() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

fn identity() -> JournalIdentity {
    JournalIdentity { chain_id: CHAIN, operator: Some(secret().public()) }
}

fn payment(number: u64, memo_bytes: usize) -> Arc<Transaction> {
    let mut txid = [0; 32];
    txid[..8].copy_from_slice(&number.to_le_bytes());
    let input = OutPoint { txid: TxId(txid), index: 3 };
    let output = TxOut { value: Amount(number), lock: Lock::KeyHash(Default::default()) };
    Arc::new(Transaction::transfer(vec![input], vec![output], vec![1; memo_bytes]))
}

fn votes(kind: VoteKind, payments: &[Arc<Transaction>]) -> Vec<FinalityVote> {
    payments.iter().map(|payment| FinalityVote { kind, txid: payment.txid() }).collect()
}

fn batch(epoch: Epoch, by: u8, seq: u64, votes: Vec<FinalityVote>) -> Arc<VoteBatch> {
    Arc::new(VoteBatch::signed(&CHAIN, epoch, MasternodeId([by; 32]), seq, votes, &secret()))
}

fn journal<D: Disk>(disk: D, dir: &Path) -> JournalWriter<D> {
    let origin = JournalOrigin { created_ms: 0, forced: true };
    JournalWriter::create(disk, dir, identity(), origin).unwrap().writer
}

fn write<D: Disk>(journal: &mut JournalWriter<D>, records: Vec<JournalRecord>) {
    drop(journal.commit(vec![Staged::<()> { records, release: Vec::new() }]).unwrap());
}

/// An epoch in which all members vote twice on each payment.
fn write_epoch<D: Disk>(journal: &mut JournalWriter<D>, epoch: Epoch, batches: u64, memo_bytes: usize) {
    write(journal, vec![JournalRecord::EpochStarted { epoch }]);
    for number in 0..batches {
        let payments: Vec<_> =
            (0..PAYMENTS).map(|place| payment(number * PAYMENTS + place, memo_bytes)).collect();
        let mut records: Vec<_> = payments.iter().cloned().map(JournalRecord::Transaction).collect();
        let locks = votes(VoteKind::Lock, &payments);
        records.push(JournalRecord::OwnBatch(batch(epoch, 0, 2 * number, locks.clone())));
        write(journal, records);
        let by_peer = |peer| JournalRecord::PeerBatch(batch(epoch, peer, number, locks.clone()));
        let mut records: Vec<_> = (1..=PEERS).map(by_peer).collect();
        let finals = votes(VoteKind::Final, &payments);
        records.push(JournalRecord::OwnBatch(batch(epoch, 0, 2 * number + 1, finals)));
        write(journal, records);
    }
}

fn open<D: Disk>(disk: D, dir: &Path) -> OpenedJournal<D> {
    JournalWriter::open(disk, dir, identity()).unwrap()
}

fn read<D: Disk>(opened: &OpenedJournal<D>, epoch: Epoch) -> Result<JournaledState, StorageError> {
    JournaledState::read_from(opened.contents.clone(), &opened.reader, (epoch, 1), &mut |_, _| true)
}

/// Bytes of the journal, and of what a start holds of it.
fn sizes<D: Disk>(disk: D, dir: &Path, batches: u64, memo_bytes: usize) -> (u64, usize) {
    write_epoch(&mut journal(disk.clone(), dir), 1, batches, memo_bytes);
    let opened = open(disk, dir);
    let state = read(&opened, 1).unwrap();
    let of_epoch = &state.votes.epochs[&1];
    assert_eq!(of_epoch.votes.len() as u64, 2 * batches * PAYMENTS);
    assert_eq!(state.messages[&1].batches.len() as u64, batches * u64::from(PEERS));
    let held = opened.contents.held_bytes() + opened.reader.held_bytes() + state.held_bytes();
    (opened.writer.size_bytes(), held)
}

/// `JOURNAL_BATCHES=6000 cargo test --lib what_a_start_holds -- --nocapture` shows 120,000 payments, on a real disk.
#[test]
fn what_a_start_holds_does_not_grow_with_bodies() {
    let dir = Path::new("votes");
    let (few, small) = sizes(MemoryDisk::new(), dir, 25, 0);
    let (many, large) = sizes(MemoryDisk::new(), dir, 25, 250);
    assert!(many >= few + 25 * PAYMENTS * 250);
    assert_eq!(small, large, "INV-JOURNAL-3, INV-VOTE-REPLAY-2");
    let (_, longer) = sizes(MemoryDisk::new(), dir, 100, 250);
    // Votes with their inputs, and places.
    let payments = usize::try_from(PAYMENTS).unwrap();
    assert!(longer < 100 * payments * 512, "{longer} bytes for {} payments", 100 * payments);
    assert!(longer < 5 * large);
    let Some(batches) = std::env::var("JOURNAL_BATCHES").ok().and_then(|text| text.parse().ok()) else {
        return;
    };
    for batches in [batches, 4 * batches] {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("votes");
        write_epoch(&mut journal(RealDisk, &dir), 1, batches, 0);
        let _reset = std::fs::write("/proc/self/clear_refs", "5");
        let status = || std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = |status: &str, name: &str| {
            status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned()
        };
        let before = line(&status(), "VmRSS");
        let started = crate::runtime::Clock.instant();
        let opened = open(RealDisk, &dir);
        let opened_after = started.elapsed();
        let state = read(&opened, 1).unwrap();
        let held = opened.contents.held_bytes() + opened.reader.held_bytes() + state.held_bytes();
        println!(
            "{} payments, journal {} bytes: opened in {opened_after:?}, own votes in {:?}; held {held} bytes; \
             before {before}, peak {}",
            batches * PAYMENTS,
            opened.writer.size_bytes(),
            started.elapsed() - opened_after,
            line(&status(), "VmHWM"),
        );
    }
}

#[test]
fn epochs_that_are_over_cost_nothing() {
    let (disk, dir) = (MemoryDisk::new(), Path::new("votes"));
    let mut writer = journal(disk.clone(), dir);
    write_epoch(&mut writer, 1, 10, 0);
    write(&mut writer, vec![JournalRecord::ClosingEntered { epoch: 1, height: 9 }]);
    write(&mut writer, vec![JournalRecord::EpochStarted { epoch: 2 }]);
    drop(writer);
    let opened = open(disk, dir);
    let mut asked = 0;
    let state = JournaledState::read_from(opened.contents.clone(), &opened.reader, (2, 10), &mut |_, _| {
        asked += 1;
        true
    });
    let state = state.unwrap();
    assert_eq!((asked, state.votes.epochs.len(), state.messages.len()), (0, 0, 0), "INV-VOTE-REPLAY-2");
    assert_eq!((state.votes.forgotten_before, state.bodies.len()), (2, 200));
    // The chain's data was lost: all of it counts again.
    let state = read(&opened, 1).unwrap();
    assert!(state.votes.epochs[&1].closing && state.votes.epochs[&1].votes.len() == 400);
    assert_eq!(state.next_seq[&1], 20);
}

#[test]
fn votes_come_with_the_inputs_that_they_lock() {
    let (disk, dir) = (MemoryDisk::new(), Path::new("votes"));
    write_epoch(&mut journal(disk.clone(), dir), 0, 1, 0);
    let state = read(&open(disk, dir), 0).unwrap();
    for (vote, inputs) in &state.votes.epochs[&0].votes {
        let payment = (0..PAYMENTS).map(|number| payment(number, 0));
        let of_vote = payment.into_iter().find(|payment| payment.txid() == vote.txid).unwrap();
        match vote.kind {
            VoteKind::Lock => assert_eq!(*inputs, of_vote.inputs),
            VoteKind::Final => assert!(inputs.is_empty()),
        }
    }
}

#[test]
fn a_vote_to_lock_unknown_inputs_is_refused_unless_its_epoch_is_over() {
    let (disk, dir) = (MemoryDisk::new(), Path::new("votes"));
    let mut writer = journal(disk.clone(), dir);
    let lock = votes(VoteKind::Lock, &[payment(1, 0)]);
    write(&mut writer, vec![JournalRecord::OwnBatch(batch(4, 0, 0, lock.clone()))]);
    assert!(
        matches!(read(&open(disk.clone(), dir), 4), Err(StorageError::Corrupt { .. })),
        "INV-VOTE-REPLAY-1"
    );
    write(&mut writer, vec![JournalRecord::EpochStarted { epoch: 5 }]);
    let state = read(&open(disk.clone(), dir), 4).unwrap();
    assert_eq!(state.votes.epochs[&4].votes, [(lock[0], Vec::new())]);
    let finals = votes(VoteKind::Final, &[payment(1, 0)]);
    write(&mut writer, vec![JournalRecord::OwnBatch(batch(5, 0, 0, finals))]);
    assert!(read(&open(disk.clone(), dir), 5).is_ok(), "a promise locks nothing");
    write(&mut writer, vec![JournalRecord::OwnBatch(batch(5, 0, 1, lock))]);
    assert!(
        matches!(read(&open(disk, dir), 5), Err(StorageError::Corrupt { .. })),
        "the epoch that has begun is not over"
    );
}

#[test]
fn the_reading_of_votes_can_be_ended_between_any_two() {
    let (disk, dir) = (MemoryDisk::new(), Path::new("votes"));
    write_epoch(&mut journal(disk.clone(), dir), 0, 3, 0);
    let opened = open(disk, dir);
    for ends_after in 1..=6 {
        let mut asked = 0;
        let mut watch = |done, total| {
            asked += 1;
            assert_eq!((done, total), (asked, 6));
            asked < ends_after
        };
        let outcome = JournaledState::read_from(opened.contents.clone(), &opened.reader, (0, 1), &mut watch);
        assert!(matches!(outcome, Err(StorageError::Interrupted)));
        assert_eq!(asked, ends_after);
    }
}
