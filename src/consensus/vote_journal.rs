//! The journal's thread: it makes durable what the core wants to say, sends it, and reports; and the removal of what
//! is too old.
//!
//! # Place
//! `app/start.rs` starts it; the engine gives it orders.
//!
//! # Invariants
//! - INV-VOTE-JOURNAL-1: orders are executed in the order in which the core gave them.
//! - INV-VOTE-JOURNAL-2: after a failed write nothing is sent any more: the node stops.
//! - INV-VOTE-JOURNAL-3: no vote waits for the removal of old ones.
//!
//! # Concurrency
//! One thread owns the writer, another one removes files.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::core::Event;
use super::engine::ConsensusEngine;
use crate::network::NetworkHandle;
use crate::runtime::priority::{self, Priority};
use crate::runtime::tasks::ThreadError;
use crate::runtime::{TaskRegistry, metric_names};
use crate::storage::disk::Disk;
use crate::storage::journal::{Durable, JournalWriter, Staged};
use crate::storage::{RetiredSegments, StorageError};
use crate::types::{Epoch, Message, VoteKind, VoteStep};

/// Writes that wait for the journal, at most.
pub const JOURNAL_QUEUE_MAX: usize = 4_096;
/// Writes that one commit of the journal takes together, at most.
const JOURNAL_GROUP_MAX: usize = 1_024;
/// Removals that wait, at most. What comes above that is left to the next one.
const REMOVALS_MAX: usize = 1;
/// Between two steps of a removal.
const REMOVAL_PAUSE: Duration = Duration::from_millis(100);

/// What the journal's thread is asked for.
pub enum JournalOrder {
    /// Write, sync, send, report.
    Commit(Staged<Message>),
    /// Forget what is older than this epoch.
    Prune(Epoch),
}

/// Starts the journal's thread. It ends, with all it was asked for done, when the sender is dropped.
///
/// # Errors
/// When there is no thread to be had.
pub fn start_journal<D: Disk>(
    writer: JournalWriter<D>,
    engine: Arc<ConsensusEngine>,
    network: NetworkHandle,
    registry: &TaskRegistry,
) -> Result<SyncSender<JournalOrder>, ThreadError> {
    let (sender, receiver) = sync_channel(JOURNAL_QUEUE_MAX);
    let (retired, removals) = sync_channel(REMOVALS_MAX);
    let token = registry.token().clone();
    registry.spawn_thread("old votes", move || remove_old_votes(&removals, &token))?;
    let failures = registry.clone();
    registry.spawn_thread("vote journal", move || {
        priority::take(Priority::Urgent);
        let retire = |segments| {
            // One that is dropped here is found by the next one.
            let _dropped = retired.try_send(segments).is_err();
        };
        let release = |durable: Vec<Durable<Message>>| {
            for message in &durable {
                network.publish(message);
                count_votes(message.get());
            }
            engine.hand_in(Event::Persisted(durable));
        };
        if let Err(error) = run_journal(writer, &receiver, retire, release) {
            // Neither is anything sent after this: the thread that could is gone.
            failures.fail("vote journal", error.to_string());
        }
    })?;
    Ok(sender)
}

/// Executes orders until the last sender is gone. Neighbouring commits share one write and one sync.
fn run_journal<D: Disk>(
    mut writer: JournalWriter<D>,
    orders: &Receiver<JournalOrder>,
    mut retire: impl FnMut(RetiredSegments<D>),
    mut release: impl FnMut(Vec<Durable<Message>>),
) -> Result<(), StorageError> {
    let mut next = orders.recv().ok();
    while let Some(order) = next.take() {
        match order {
            JournalOrder::Prune(epoch) => retire(writer.prune_before(epoch)),
            JournalOrder::Commit(first) => {
                let mut group = vec![first];
                while group.len() < JOURNAL_GROUP_MAX {
                    match orders.try_recv() {
                        Ok(JournalOrder::Commit(staged)) => group.push(staged),
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                release(writer.commit(group)?);
            }
        }
        if next.is_none() {
            next = orders.recv().ok();
        }
    }
    Ok(())
}

/// Removes files until the journal's thread ends. Nobody needs this room soon, so a failure is not the node's end.
fn remove_old_votes<D: Disk>(removals: &Receiver<RetiredSegments<D>>, token: &CancellationToken) {
    priority::take(Priority::Background);
    let mut goes_on = || {
        std::thread::sleep(REMOVAL_PAUSE);
        !token.is_cancelled()
    };
    while let Ok(segments) = removals.recv() {
        if let Err(problem) = segments.remove(&mut goes_on) {
            warn!(%problem, "old votes stay on the disk until the next epoch");
        }
    }
}

fn count_votes(message: &Message) {
    let count = |kind: &'static str, votes: usize| {
        let votes = u64::try_from(votes).unwrap_or(u64::MAX);
        metrics::counter!(metric_names::VOTES_TOTAL, "kind" => kind).increment(votes);
    };
    match message {
        Message::VoteBatch(batch) => {
            let locks = batch.votes.iter().filter(|vote| vote.kind == VoteKind::Lock).count();
            count("lock", locks);
            count("final", batch.votes.len().saturating_sub(locks));
        }
        Message::BlockVote(vote) => match vote.step {
            VoteStep::Prevote => count("prevote", 1),
            VoteStep::Precommit => count("precommit", 1),
        },
        Message::Proposal(_) => count("proposal", 1),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::storage::journal::{JournalIdentity, JournalRecord};
    use crate::storage::memory_disk::{Fault, MemoryDisk};
    use crate::types::ChainId;

    fn staged(number: u64) -> JournalOrder {
        let records = vec![JournalRecord::ClosingEntered { epoch: 0, height: number }];
        JournalOrder::Commit(Staged { records, release: vec![Message::Ping(number)] })
    }

    fn journal(disk: &MemoryDisk) -> JournalWriter<MemoryDisk> {
        let identity = JournalIdentity { chain_id: ChainId([1; 32]), operator: None };
        JournalWriter::open_or_create(disk.clone(), Path::new("votes"), identity).unwrap().writer
    }

    /// INV-VOTE-JOURNAL-1.
    #[test]
    fn queued_writes_share_commits_and_are_released_in_their_order() {
        let disk = MemoryDisk::new();
        let (sender, receiver) = sync_channel(8);
        for number in [1, 2] {
            sender.send(staged(number)).unwrap();
        }
        sender.send(JournalOrder::Prune(0)).unwrap();
        for number in [3, 4] {
            sender.send(staged(number)).unwrap();
        }
        drop(sender);
        let mut released = Vec::new();
        let release = |durable: Vec<Durable<Message>>| {
            released.push(durable.into_iter().map(Durable::into_inner).collect::<Vec<_>>());
        };
        run_journal(journal(&disk), &receiver, drop, release).unwrap();
        // What stands behind an order of another kind is not committed before it.
        let pings = |numbers: [u64; 2]| numbers.map(Message::Ping).to_vec();
        assert_eq!(released, [pings([1, 2]), pings([3, 4])]);
    }

    /// INV-VOTE-JOURNAL-2.
    #[test]
    fn nothing_is_released_after_a_failed_write() {
        let disk = MemoryDisk::new();
        let writer = journal(&disk);
        let (sender, receiver) = sync_channel(8);
        sender.send(staged(1)).unwrap();
        drop(sender);
        disk.fail_after(1, Fault::InputOutput);
        let mut released = 0;
        assert!(run_journal(writer, &receiver, drop, |_| released += 1).is_err());
        assert_eq!(released, 0);
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
            let (sender, removals) = sync_channel(REMOVALS_MAX);
            sender.send(writer.prune_before(3)).unwrap();
            drop(sender);
            assert_eq!(files(), before, "not by the thread that writes votes");
            let token = CancellationToken::new();
            if stops {
                token.cancel();
            }
            remove_old_votes(&removals, &token);
            assert_eq!(files(), if stops { before } else { vec!["00000003.seg".to_owned()] });
        }
    }
}
