//! The journal's thread: it makes durable what this node wants to say, sends it, and reports; and the removal of what
//! is too old.
//!
//! # Place
//! `app/start.rs` starts it; the engine gives it orders.
//!
//! # Invariants
//! - INV-VOTE-JOURNAL-4: at most [`JOURNAL_QUEUE_MAX`] writes and [`JOURNAL_QUEUE_BYTES_MAX`] bytes of records wait, those
//!   that are being written among them, or one larger write alone.
//! - INV-VOTE-JOURNAL-1: orders are executed in the order in which consensus gave them.
//! - INV-VOTE-JOURNAL-2: after a failed write nothing is sent any more: the node stops.
//! - INV-VOTE-JOURNAL-5: after any part of the node has failed nothing is written or sent any more, whatever waits: what
//!   was being written at that moment is the last.
//! - INV-VOTE-JOURNAL-3: no vote waits for the removal of old ones.
//!
//! # Concurrency
//! One thread owns the writer, another one removes files.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use parking_lot::{Condvar, Mutex};

use super::events::{Event, JournalOrder};
use super::inbox::ConsensusHandle;
use super::retired_files::RetiredFiles;
use crate::network::NetworkHandle;
use crate::runtime::priority::{self, Priority};
use crate::runtime::stages::{Stage, enter};
use crate::runtime::tasks::ThreadError;
use crate::runtime::{TaskRegistry, metric_names};
use crate::storage::disk::Disk;
use crate::storage::journal::{Durable, JournalRecord, JournalWriter, Staged};
use crate::storage::memory::JOURNAL_QUEUE_BYTES_MAX;
use crate::storage::{RetiredSegments, StorageError};
use crate::types::{Epoch, OwnMessage, VoteKind, VoteStep};

/// Writes that wait for the journal, at most.
pub const JOURNAL_QUEUE_MAX: usize = 4_096;
/// Writes that one commit of the journal takes together, at most.
const JOURNAL_GROUP_MAX: usize = 1_024;
/// Orders that wait for the journal, in their order: the node's thread and the simulator take them from here alike.
#[derive(Debug, Default)]
pub struct JournalQueue {
    orders: VecDeque<JournalOrder>,
}

/// What the journal does at once.
#[derive(Debug)]
pub enum JournalStep {
    /// Neighbouring commits, which share one write and one sync.
    Commit(Vec<Staged<OwnMessage>>),
    /// Forget what is older than this epoch.
    Prune(Epoch),
}

impl JournalQueue {
    /// Adds an order behind all others.
    pub fn push(&mut self, order: JournalOrder) {
        self.orders.push_back(order);
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// What to do next. What stands behind an order of another kind is not committed before it.
    pub fn next_step(&mut self) -> Option<JournalStep> {
        let mut group = Vec::new();
        while group.len() < JOURNAL_GROUP_MAX {
            match self.orders.pop_front() {
                Some(JournalOrder::Commit(staged)) => group.push(staged),
                Some(JournalOrder::Prune(epoch)) if group.is_empty() => {
                    return Some(JournalStep::Prune(epoch));
                }
                Some(other) => {
                    self.orders.push_front(other);
                    break;
                }
                None => break,
            }
        }
        (!group.is_empty()).then_some(JournalStep::Commit(group))
    }
}

impl JournalOrder {
    fn records_bytes(&self) -> usize {
        match self {
            Self::Commit(staged) => staged.records.iter().map(JournalRecord::encoded_bytes).sum(),
            Self::Prune(_) => 0,
        }
    }
}

/// The thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the vote journal's thread is gone")]
pub struct JournalGone;

/// Bytes that wait.
#[derive(Debug, Default)]
struct QueueBytes {
    waiting: Mutex<usize>,
    less: Condvar,
}

impl QueueBytes {
    /// Waits until there is room for so many, or until nothing else waits.
    fn take(self: &Arc<Self>, bytes: usize) -> TakenBytes {
        let mut waiting = self.waiting.lock();
        while *waiting > 0 && waiting.saturating_add(bytes) > JOURNAL_QUEUE_BYTES_MAX {
            self.less.wait(&mut waiting);
        }
        *waiting = waiting.saturating_add(bytes);
        TakenBytes { queue: Arc::clone(self), bytes }
    }
}

/// Bytes of one order, until it was executed.
struct TakenBytes {
    queue: Arc<QueueBytes>,
    bytes: usize,
}

impl Drop for TakenBytes {
    fn drop(&mut self) {
        let mut waiting = self.queue.waiting.lock();
        *waiting = waiting.saturating_sub(self.bytes);
        self.queue.less.notify_all();
    }
}

type Queued = (JournalOrder, TakenBytes);

/// Gives orders to the journal's thread.
pub struct JournalSender {
    sender: SyncSender<Queued>,
    bytes: Arc<QueueBytes>,
}

impl JournalSender {
    fn new() -> (Self, Receiver<Queued>) {
        let (sender, receiver) = sync_channel(JOURNAL_QUEUE_MAX);
        (Self { sender, bytes: Arc::default() }, receiver)
    }

    /// Gives an order; waits while there is no room.
    ///
    /// # Errors
    /// [`JournalGone`].
    pub fn send(&self, order: JournalOrder) -> Result<(), JournalGone> {
        let bytes = self.bytes.take(order.records_bytes());
        self.sender.send((order, bytes)).map_err(|_| JournalGone)
    }
}

/// Starts the journal's thread. It ends, with all it was asked for done, when the sender is dropped.
///
/// # Errors
/// When there is no thread to be had.
pub fn start_journal<D: Disk>(
    writer: JournalWriter<D>,
    handle: Arc<ConsensusHandle>,
    network: NetworkHandle,
    registry: &TaskRegistry,
) -> Result<JournalSender, ThreadError> {
    let (sender, receiver) = JournalSender::new();
    let retired = RetiredFiles::start("old votes", registry)?;
    let failures = registry.clone();
    registry.spawn_thread("vote journal", move || {
        priority::take(Priority::Urgent);
        let retire = |segments| retired.remove(segments);
        let release = |durable: Vec<Durable<OwnMessage>>| {
            for message in &durable {
                network.publish(message);
                count_votes(message.get());
            }
            handle.hand_in(Event::Persisted(durable));
        };
        let may_sign = || !failures.has_failed();
        if let Err(error) = run_journal(writer, &receiver, may_sign, retire, release) {
            // Neither is anything sent after this: the thread that could is gone.
            failures.fail("vote journal", error.to_string());
        }
    })?;
    Ok(sender)
}

/// Executes orders until the last sender is gone. Neighbouring commits share one write and one sync.
fn run_journal<D: Disk>(
    mut writer: JournalWriter<D>,
    orders: &Receiver<Queued>,
    may_sign: impl Fn() -> bool,
    mut retire: impl FnMut(RetiredSegments<D>),
    mut release: impl FnMut(Vec<Durable<OwnMessage>>),
) -> Result<(), StorageError> {
    let (mut queue, mut taken) = (JournalQueue::default(), VecDeque::new());
    while let Ok((order, bytes)) = orders.recv() {
        queue.push(order);
        taken.push_back(bytes);
        loop {
            // At most what the channel holds: it is bounded, and so is this queue.
            for (order, bytes) in orders.try_iter().take(JOURNAL_QUEUE_MAX) {
                queue.push(order);
                taken.push_back(bytes);
            }
            let _stage = enter(Stage::Journal);
            let Some(step) = queue.next_step() else { break };
            match step {
                JournalStep::Prune(epoch) => {
                    retire(writer.prune_before(epoch));
                    drop(taken.pop_front());
                }
                JournalStep::Commit(group) => {
                    let count = group.len();
                    if !may_sign() {
                        drop(taken.drain(..count));
                        continue;
                    }
                    let durable = writer.commit(group)?;
                    drop(taken.drain(..count));
                    release(durable);
                }
            }
        }
    }
    Ok(())
}

/// What votes are counted by.
pub const VOTE_KINDS: [&str; 5] = [LOCK, FINAL, PREVOTE, PRECOMMIT, PROPOSAL];
const LOCK: &str = "lock";
const FINAL: &str = "final";
const PREVOTE: &str = "prevote";
const PRECOMMIT: &str = "precommit";
const PROPOSAL: &str = "proposal";

fn count_votes(message: &OwnMessage) {
    let count = |kind: &'static str, votes: usize| {
        let votes = u64::try_from(votes).unwrap_or(u64::MAX);
        metrics::counter!(metric_names::VOTES_TOTAL, "kind" => kind).increment(votes);
    };
    match message {
        OwnMessage::VoteBatch(batch) => {
            let locks = batch.votes.iter().filter(|vote| vote.kind == VoteKind::Lock).count();
            count(LOCK, locks);
            count(FINAL, batch.votes.len().saturating_sub(locks));
        }
        OwnMessage::BlockVote(vote) => match vote.step {
            VoteStep::Prevote => count(PREVOTE, 1),
            VoteStep::Precommit => count(PRECOMMIT, 1),
        },
        OwnMessage::Proposal(_) => count(PROPOSAL, 1),
        OwnMessage::Heartbeat(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use std::time::Duration;

    use tokio_util::sync::CancellationToken;

    use super::super::retired_files;
    use super::*;
    use crate::storage::journal::JournalIdentity;
    use crate::storage::memory_disk::{Fault, MemoryDisk};
    use crate::types::{BlockVote, ChainId, MasternodeId, Signature, Transaction};

    fn vote(height: u64) -> OwnMessage {
        let (step, validator, signature) = (VoteStep::Prevote, MasternodeId::ZERO, Signature::EMPTY);
        let vote = BlockVote { step, epoch: 0, height, round: 0, value: None, validator, signature };
        OwnMessage::BlockVote(Arc::new(vote))
    }

    fn staged(number: u64) -> JournalOrder {
        let records = vec![JournalRecord::ClosingEntered { epoch: 0, height: number }];
        JournalOrder::Commit(Staged { records, release: vec![vote(number)] })
    }

    fn journal(disk: &MemoryDisk) -> JournalWriter<MemoryDisk> {
        let identity = JournalIdentity { chain_id: ChainId([1; 32]), operator: None };
        JournalWriter::open_or_create(disk.clone(), Path::new("votes"), identity).unwrap().writer
    }

    /// INV-VOTE-JOURNAL-1.
    #[test]
    fn queued_writes_share_commits_and_are_released_in_their_order() {
        let disk = MemoryDisk::new();
        let (sender, receiver) = JournalSender::new();
        for number in [1, 2] {
            sender.send(staged(number)).unwrap();
        }
        sender.send(JournalOrder::Prune(0)).unwrap();
        for number in [3, 4] {
            sender.send(staged(number)).unwrap();
        }
        drop(sender);
        let mut released = Vec::new();
        let release = |durable: Vec<Durable<OwnMessage>>| {
            released.push(durable.into_iter().map(Durable::into_inner).collect::<Vec<_>>());
        };
        run_journal(journal(&disk), &receiver, || true, drop, release).unwrap();
        // What stands behind an order of another kind is not committed before it.
        let votes = |heights: [u64; 2]| heights.map(vote).to_vec();
        assert_eq!(released, [votes([1, 2]), votes([3, 4])]);
    }

    /// INV-VOTE-JOURNAL-2.
    #[test]
    fn writes_wait_for_room_in_bytes_until_those_before_them_are_on_disk() {
        let large = |number| {
            let body = Transaction::transfer(Vec::new(), Vec::new(), vec![0; 5 << 20]);
            let records = vec![JournalRecord::Transaction(Arc::new(body))];
            JournalOrder::Commit(Staged { records, release: vec![vote(number)] })
        };
        let bytes = large(0).records_bytes();
        let fit = JOURNAL_QUEUE_BYTES_MAX / bytes;
        let disk = MemoryDisk::new();
        let (sender, receiver) = JournalSender::new();
        let waiting = Arc::clone(&sender.bytes);
        for number in 0..fit {
            sender.send(large(number as u64)).unwrap();
        }
        let sent = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let flag = Arc::clone(&sent);
        let last = std::thread::spawn(move || {
            sender.send(large(99)).unwrap();
            flag.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        std::thread::sleep(Duration::from_millis(50));
        assert!(!sent.load(std::sync::atomic::Ordering::SeqCst), "INV-VOTE-JOURNAL-4");
        assert_eq!(*waiting.waiting.lock(), fit * bytes);
        let mut released = 0;
        run_journal(journal(&disk), &receiver, || true, drop, |durable| released += durable.len()).unwrap();
        last.join().unwrap();
        assert_eq!((released, *waiting.waiting.lock()), (fit + 1, 0));
    }

    #[test]
    fn whoever_waits_for_room_hears_that_the_thread_is_gone() {
        let (sender, receiver) = JournalSender::new();
        let first = sender.bytes.take(JOURNAL_QUEUE_BYTES_MAX + 1);
        assert_eq!(*sender.bytes.waiting.lock(), JOURNAL_QUEUE_BYTES_MAX + 1, "one larger write alone");
        sender.sender.send((JournalOrder::Prune(0), first)).unwrap();
        let waits = std::thread::spawn(move || sender.send(staged(1)));
        drop(receiver);
        assert_eq!(waits.join().unwrap(), Err(JournalGone));
    }

    #[test]
    fn neighbouring_writes_cost_one_write_and_one_sync_up_to_a_bound() {
        let operations = |writes: usize| {
            let disk = MemoryDisk::new();
            let (writer, (sender, receiver)) = (journal(&disk), JournalSender::new());
            (0..writes).for_each(|number| sender.send(staged(number as u64)).unwrap());
            drop(sender);
            let (before, mut groups) = (disk.operations(), Vec::new());
            run_journal(writer, &receiver, || true, drop, |durable| groups.push(durable.len())).unwrap();
            (disk.operations() - before, groups)
        };
        let (of_one, groups) = operations(1);
        assert_eq!(groups, [1]);
        assert_eq!(operations(JOURNAL_GROUP_MAX), (of_one, vec![JOURNAL_GROUP_MAX]));
        assert_eq!(operations(JOURNAL_GROUP_MAX + 1), (2 * of_one, vec![JOURNAL_GROUP_MAX, 1]));
    }

    /// INV-VOTE-JOURNAL-4: each order gives back its own room, when it is done.
    #[test]
    fn what_was_written_makes_room_and_nothing_else_does() {
        let (sender, receiver) = JournalSender::new();
        let waiting = Arc::clone(&sender.bytes);
        let orders = [staged(1), JournalOrder::Prune(0), staged(2), JournalOrder::Prune(0), staged(3)];
        let of_one = orders[0].records_bytes();
        orders.into_iter().for_each(|order| sender.send(order).unwrap());
        drop(sender);
        let (mut left, disk) = (Vec::new(), MemoryDisk::new());
        let retire = |_| assert!(*waiting.waiting.lock() > 0);
        run_journal(journal(&disk), &receiver, || true, retire, |_| left.push(*waiting.waiting.lock()))
            .unwrap();
        assert_eq!(left, [2 * of_one, of_one, 0]);
    }

    /// INV-VOTE-JOURNAL-4: else twice as much waits while the disk is slow.
    #[test]
    fn what_is_being_written_takes_its_room_until_it_is_on_disk() {
        let disk = MemoryDisk::new();
        let (writer, (sender, receiver)) = (journal(&disk), JournalSender::new());
        let of_one = staged(1).records_bytes();
        sender.send(staged(1)).unwrap();
        let (seen, waiting) = (Arc::new(Mutex::new(Vec::new())), Arc::clone(&sender.bytes));
        let sees = Arc::clone(&seen);
        disk.watch(move || sees.lock().push(*waiting.waiting.lock()));
        drop(sender);
        run_journal(writer, &receiver, || true, drop, drop).unwrap();
        assert_eq!(*seen.lock(), [of_one, of_one], "at the write, and at the sync");
    }

    /// Votes of the epoch that goes on stay, however many orders stand around the one that retires old ones.
    #[test]
    fn what_is_retired_is_older_than_the_epoch_of_the_order_and_was_written_before_it() {
        let disk = MemoryDisk::new();
        let (sender, receiver) = JournalSender::new();
        let started = |epoch| {
            let records = vec![JournalRecord::EpochStarted { epoch }];
            JournalOrder::Commit(Staged { records, release: vec![vote(epoch)] })
        };
        (1..=3).for_each(|epoch| sender.send(started(epoch)).unwrap());
        sender.send(JournalOrder::Prune(2)).unwrap();
        sender.send(started(4)).unwrap();
        drop(sender);
        let retire = |segments: RetiredSegments<MemoryDisk>| segments.remove(&mut || true).unwrap();
        run_journal(journal(&disk), &receiver, || true, retire, drop).unwrap();
        let files = ["00000002.seg", "00000003.seg", "00000004.seg"].map(str::to_owned);
        assert_eq!(disk.list(Path::new("votes")).unwrap(), files);
    }

    #[test]
    fn nothing_is_released_after_a_failed_write() {
        let disk = MemoryDisk::new();
        let writer = journal(&disk);
        let (sender, receiver) = JournalSender::new();
        sender.send(staged(1)).unwrap();
        drop(sender);
        disk.fail_after(1, Fault::InputOutput);
        let mut released = 0;
        assert!(run_journal(writer, &receiver, || true, drop, |_| released += 1).is_err());
        assert_eq!(released, 0);
    }

    /// INV-VOTE-JOURNAL-5.
    #[test]
    fn what_waits_when_another_part_has_failed_is_neither_written_nor_sent_and_makes_room() {
        let disk = MemoryDisk::new();
        let (writer, (sender, receiver)) = (journal(&disk), JournalSender::new());
        let waiting = Arc::clone(&sender.bytes);
        sender.send(staged(1)).unwrap();
        // Behind an order of another kind, so that it is a commit of its own.
        sender.send(JournalOrder::Prune(0)).unwrap();
        sender.send(staged(2)).unwrap();
        drop(sender);
        let (mut released, has_failed) = (Vec::new(), std::cell::Cell::new(false));
        let release = |durable: Vec<Durable<OwnMessage>>| {
            released.extend(durable.into_iter().map(Durable::into_inner));
        };
        let retire = |_| has_failed.set(true);
        run_journal(writer, &receiver, || !has_failed.get(), retire, release).unwrap();
        assert_eq!(released, [vote(1)]);
        assert_eq!(*waiting.waiting.lock(), 0, "whoever waits for room goes on");
        let identity = JournalIdentity { chain_id: ChainId([1; 32]), operator: None };
        let opened = JournalWriter::open_or_create(disk, Path::new("votes"), identity).unwrap();
        assert_eq!(opened.contents.records, 1);
    }

    /// INV-VOTE-JOURNAL-3.
    #[test]
    fn old_votes_are_removed_in_steps_until_the_node_stops() {
        for stops in [false, true] {
            let disk = MemoryDisk::new();
            let files = || disk.list(Path::new("votes")).unwrap();
            let mut writer = journal(&disk);
            for epoch in 1..=3 {
                let records = vec![JournalRecord::EpochStarted { epoch }];
                drop(writer.commit(vec![Staged::<()> { records, release: Vec::new() }]).unwrap());
            }
            let before = files();
            let (sender, removals) = sync_channel(retired_files::REMOVALS_MAX);
            sender.send(writer.prune_before(3)).unwrap();
            drop(sender);
            assert_eq!(files(), before, "not by the thread that writes votes");
            let token = CancellationToken::new();
            if stops {
                token.cancel();
            }
            retired_files::remove_all("old votes", &removals, &token);
            assert_eq!(files(), if stops { before } else { vec!["00000003.seg".to_owned()] });
        }
    }
}
