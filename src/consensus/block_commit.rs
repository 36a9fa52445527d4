//! Where blocks land: the block log, and behind it the index. And where peers' questions for blocks are answered.
//!
//! # Place
//! The consensus thread orders; two threads do what waits for the disk.
//!
//! # Invariants
//! - INV-BLOCK-COMMIT-1: the core hears of a durable block after its sync, and of each once.
//! - INV-BLOCK-COMMIT-2: the index gets the applied blocks in their order, behind the log.
//! - INV-BLOCK-COMMIT-3: no block is appended while the UTXO manager holds more than it may until the index has caught up.
//!
//! # Concurrency
//! The block log's thread ends when the core's is gone, with all it was asked for done: the index is marked at the last
//! applied block then.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::bft::BftConsensus;
use super::core::{AppliedBlock, Event};
use super::engine::ConsensusEngine;
use super::replay::index_change;
use crate::network::{NetworkHandle, PeerId};
use crate::runtime::TaskRegistry;
use crate::runtime::tasks::ThreadError;
use crate::storage::block_log::{BlockLog, BlockReader, LoggedBlock};
use crate::storage::disk::Disk;
use crate::storage::index_writer::IndexWriter;
use crate::storage::{DirectoryLock, StorageError};
use crate::types::codec::encode;
use crate::types::limits::{REQUEST_BLOCKS_MAX, RESPONSE_BYTES_MAX};
use crate::types::{CommittedBlock, Height, Message};
use crate::utxo::UtxoManager;

/// Orders that wait for the block log, at most. The core has one block on its way at a time, so it never waits.
pub const BLOCK_ORDERS_MAX: usize = 16;
/// Questions of peers for blocks that wait, at most; further ones are not answered.
pub const BLOCK_REQUESTS_MAX: usize = 64;
/// How often the index is looked at when it has to catch up.
const CATCH_UP_POLL: Duration = Duration::from_millis(10);

/// What the block log's thread is asked for.
pub enum BlockOrder {
    /// Append, sync, report.
    Append(Box<LoggedBlock>),
    /// The block was applied: bring the index forward.
    Index(Arc<AppliedBlock>),
}

/// A peer's question for blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRequest {
    /// Who asks.
    pub to: PeerId,
    /// The first height.
    pub from: Height,
    /// How many.
    pub count: u64,
}

/// Starts the block log's thread.
///
/// # Errors
/// When there is no thread to be had.
pub fn start_block_log<D: Disk>(
    log: BlockLog<D>,
    index: IndexWriter,
    engine: Arc<ConsensusEngine>,
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
        let outcome =
            run_block_log(log, &index, &receiver, may_append, || engine.hand_in(Event::BlockPersisted));
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
    persisted: impl Fn(),
) -> Result<(), StorageError> {
    while let Ok(order) = orders.recv() {
        match order {
            BlockOrder::Append(block) => {
                may_append();
                log.append(&block)?;
                persisted();
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

/// Starts the thread that reads blocks for peers.
///
/// # Errors
/// When there is no thread to be had.
pub fn start_block_server<D: Disk>(
    reader: BlockReader<D>,
    bft: Arc<BftConsensus>,
    network: NetworkHandle,
    registry: &TaskRegistry,
) -> Result<SyncSender<BlockRequest>, ThreadError> {
    let (sender, receiver) = sync_channel::<BlockRequest>(BLOCK_REQUESTS_MAX);
    registry.spawn_thread("block server", move || {
        while let Ok(request) = receiver.recv() {
            let read = |height| match bft.recent_block(height) {
                Some(block) => Ok(Some(block)),
                None => reader.read_committed(height).map(|block| block.map(Arc::new)),
            };
            match collect_blocks(request, read) {
                Ok(blocks) => {
                    // A peer whose queue is full asks again.
                    let _sent = network.send(request.to, &Message::Blocks(blocks));
                }
                Err(error) => tracing::error!(%error, "can't read blocks for a peer"),
            }
        }
    })?;
    Ok(sender)
}

/// The blocks of a request, within the limits of an answer, which ends at the block that exceeds its bytes.
fn collect_blocks(
    request: BlockRequest,
    read: impl Fn(Height) -> Result<Option<Arc<CommittedBlock>>, StorageError>,
) -> Result<Vec<Arc<CommittedBlock>>, StorageError> {
    let end = request.from.saturating_add(request.count.min(REQUEST_BLOCKS_MAX));
    let mut blocks = Vec::new();
    let mut bytes = 0_usize;
    for height in request.from..end {
        let Some(block) = read(height)? else { break };
        bytes = bytes.saturating_add(encode(&*block).len());
        blocks.push(block);
        if bytes >= RESPONSE_BYTES_MAX {
            break;
        }
    }
    Ok(blocks)
}
