//! Where blocks land: the block log, and behind it the index.
//!
//! # Place
//! The consensus thread orders; one thread does what waits for the disk.
//!
//! # Invariants
//! - Consensus hears of a durable block after its sync, and of each once.
//! - The index gets the applied blocks in their order, behind the log.
//! - No block is appended while the UTXO manager holds more than it may until the index has caught up.
//!
//! # Concurrency
//! The block log's thread ends when that of consensus is gone, with all it was asked for done: the index is marked at the last
//! applied block then.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::events::{AppliedBlock, Event};
use super::inbox::ConsensusHandle;
use super::replay::index_change;
use crate::runtime::TaskRegistry;
use crate::runtime::tasks::ThreadError;
use crate::storage::block_log::{BlockLog, DurableBlock, LoggedBlock};
use crate::storage::disk::Disk;
use crate::storage::index_writer::IndexWriter;
use crate::storage::{DirectoryLock, StorageError};
use crate::utxo::UtxoManager;

/// Orders that wait for the block log, at most. There is one block on its way at a time, so it never waits.
pub const BLOCK_ORDERS_MAX: usize = 16;
/// How often the index is looked at when it has to catch up.
const CATCH_UP_POLL: Duration = Duration::from_millis(10);

/// What the block log's thread is asked for.
pub enum BlockOrder {
    /// Append, sync, report.
    Append(Box<LoggedBlock>),
    /// The block was applied: bring the index forward.
    Index(Arc<AppliedBlock>),
}

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
    registry: &TaskRegistry,
) -> Result<SyncSender<BlockOrder>, ThreadError> {
    let (sender, receiver) = sync_channel(BLOCK_ORDERS_MAX);
    let failures = registry.clone();
    registry.spawn_thread("block log", move || {
        // The data directory is this node's until the last byte is written.
        let _lock = lock;
        let token = failures.token().clone();
        let may_append = || {
            while utxos.is_overlay_full() && !token.is_cancelled() {
                std::thread::sleep(CATCH_UP_POLL);
            }
        };
        let outcome = run_block_log(log, &index, &receiver, may_append, |block| {
            handle.hand_in(Event::BlockPersisted(block));
        });
        if let Err(error) = outcome.and_then(|()| index.finish().map(drop)) {
            failures.fail("block log", error.to_string());
        }
    })?;
    Ok(sender)
}

fn run_block_log<D: Disk>(
    mut log: BlockLog<D>,
    index: &IndexWriter,
    orders: &Receiver<BlockOrder>,
    may_append: impl Fn(),
    persisted: impl Fn(DurableBlock),
) -> Result<(), StorageError> {
    while let Ok(order) = orders.recv() {
        match order {
            BlockOrder::Append(block) => {
                may_append();
                persisted(log.append(&block)?);
            }
            BlockOrder::Index(applied) => {
                let block = &applied.committed.block;
                let change = index_change(block, applied.as_ref().into());
                index.submit(change)?;
            }
        }
    }
    Ok(())
}
