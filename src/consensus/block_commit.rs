//! Where blocks land: the block log, and behind it the index.
//!
//! # Place
//! The consensus thread orders blocks to be appended, the observers' thread applied ones to be indexed, when all readers in
//! memory know of them; one thread does what waits for the disk.
//!
//! # Invariants
//! - Consensus hears of a durable block after its sync, and of each once.
//! - The index gets the applied blocks in their order and without gaps, behind the log.
//! - No block is appended while the UTXO manager holds more than it may until the index has caught up.
//! - When the node stops the index is not waited for for longer than [`INDEX_STOP_LIMIT`], nor given more than it can take at
//!   once: the next start brings it forward from the log.
//! - Blocks that came while the last ones were written are written together, with one sync: in sync that is most of them.
//!
//! # Concurrency
//! The block log's thread ends when those of consensus and observers are gone, with all it was asked for done. The index is
//! marked at the last applied block then, unless it is too far behind; after a failure it is left as a crash would leave it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use tracing::info;

use super::blocks::COMMITTING_BLOCKS_MAX;
use super::events::{AppliedBlock, Event};
use super::inbox::ConsensusHandle;
use super::replay::index_change;
use super::retired_files::RetiredFiles;
use crate::runtime::TaskRegistry;
use crate::runtime::stages::{Stage, enter};
use crate::runtime::tasks::ThreadError;
use crate::storage::block_log::{BlockLog, DurableBlock, LoggedBlock, PruneRule};
use crate::storage::disk::Disk;
use crate::storage::index_writer::IndexWriter;
use crate::storage::{DirectoryLock, RetiredSegments, StorageError};
use crate::types::CommittedBlock;
use crate::utxo::UtxoManager;

/// Orders that wait for the block log, at most: blocks on their way, and as many applied ones as observers have not heard
/// of.
pub const BLOCK_ORDERS_MAX: usize = COMMITTING_BLOCKS_MAX + 16;
/// How long a stop waits for the index to take what it was given.
pub const INDEX_STOP_LIMIT: Duration = Duration::from_secs(2);
/// Changes that may wait for the index while the node stops; with more it is behind, and gets no others.
const INDEX_WAITING_AT_STOP_MAX: usize = 16;
/// How often the index is looked at when it has to catch up.
const CATCH_UP_POLL: Duration = Duration::from_millis(10);

/// What the block log's thread is asked for.
pub enum BlockOrder {
    /// Append, sync, report.
    Append(Box<LoggedBlock>),
    /// The block was applied: bring the index forward.
    Index(Arc<AppliedBlock>),
    /// Leave out old blocks.
    Prune(PruneRule),
}

/// Hears of each applied block when its change is on the way to the index. It may not wait.
pub type AppliedHook = Box<dyn Fn(&Arc<AppliedBlock>) + Send>;

/// Starts the block log's thread.
///
/// # Errors
/// When there is no thread to be had.
pub fn start_block_log<D: Disk>(
    log: BlockLog<D>,
    index: IndexWriter,
    handle: Arc<ConsensusHandle>,
    utxos: Arc<UtxoManager>,
    lock: Arc<DirectoryLock>,
    applied: AppliedHook,
    registry: &TaskRegistry,
) -> Result<SyncSender<BlockOrder>, ThreadError> {
    let (sender, receiver) = sync_channel(BLOCK_ORDERS_MAX);
    let (failures, pruned) = (registry.clone(), RetiredFiles::start("old blocks", registry)?);
    registry.spawn_thread("block log", move || {
        // The data directory is this node's until the last byte is written.
        let _lock = lock;
        let token = failures.token().clone();
        let may_append = || !utxos.is_overlay_full() || token.is_cancelled();
        let persisted = |block| handle.hand_in(Event::BlockPersisted(block));
        let may_index = || !token.is_cancelled() || index.queued() < INDEX_WAITING_AT_STOP_MAX;
        let outlets = Outlets { persisted, applied, retire: |segments| pruned.remove(segments) };
        let outcome = run_block_log(log, &index, &receiver, (may_append, may_index), outlets);
        match outcome {
            Ok(()) => {
                if let Err(error) = index.finish_within(INDEX_STOP_LIMIT) {
                    failures.fail("block log", error.to_string());
                }
            }
            Err(error) => {
                // First: nobody signs any more while the index ends, and it may take its time on such a disk.
                failures.fail("block log", error.to_string());
                index.leave();
            }
        }
    })?;
    Ok(sender)
}

/// Where what the thread has done goes.
struct Outlets<P, R> {
    persisted: P,
    applied: AppliedHook,
    retire: R,
}

fn run_block_log<D: Disk>(
    mut log: BlockLog<D>,
    index: &IndexWriter,
    orders: &Receiver<BlockOrder>,
    (may_append, may_index): (impl Fn() -> bool, impl Fn() -> bool),
    outlets: Outlets<impl Fn(DurableBlock), impl Fn(RetiredSegments<D>)>,
) -> Result<(), StorageError> {
    let Outlets { persisted, applied: hook, retire } = outlets;
    // Once one was left out, all that follow are.
    let mut indexes = true;
    // Blocks that wait until there is room: meanwhile the index has to go on. Consensus bounds them.
    let mut held: Vec<Box<LoggedBlock>> = Vec::new();
    loop {
        let mut order = if held.is_empty() {
            orders.recv().map_err(RecvTimeoutError::from)
        } else {
            orders.recv_timeout(CATCH_UP_POLL)
        };
        let _stage = enter(Stage::Blocks);
        while let Ok(next) = order {
            match next {
                BlockOrder::Append(block) => held.push(block),
                BlockOrder::Index(_) if !indexes || !may_index() => indexes = false,
                BlockOrder::Index(applied) => {
                    let CommittedBlock { block, commit } = &*applied.committed;
                    let change = index_change(block, commit, applied.as_ref().into());
                    index.submit(change)?;
                    hook(&applied);
                }
                BlockOrder::Prune(rule) => {
                    if let Some(retired) = log.prune(&rule)? {
                        info!(first_block = log.horizon(), "Old blocks are left out");
                        retire(retired);
                    }
                }
            }
            order = orders.try_recv().map_err(|error| match error {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            });
        }
        if !held.is_empty() && may_append() {
            for block in log.append_all(&held)? {
                persisted(block);
            }
            held.clear();
        }
        // Nobody will make room any more for what is held still.
        if matches!(order, Err(RecvTimeoutError::Disconnected)) {
            return Ok(());
        }
    }
}
