//! Brings ledger state and index to the tip of the block log when a node starts.
//!
//! # Place
//! The node's start and the simulator call it; it ends before any task of consensus begins.
//!
//! # Invariants
//! - INV-REPLAY-1: the state at the tip is the fold of the log's blocks, by the same function that validated them;
//!   each block's digest is compared with its header's.
//! - INV-REPLAY-3: it can be ended between any two blocks, and goes on there at the next start.
//! - INV-REPLAY-4: where the log does not begin at block 1 the state begins with a snapshot whose block the log has, and which
//!   was held to that block's header again.
//! - INV-REPLAY-2: the index is never trusted beyond its mark, and only if the log has the marked block.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::{info, warn};

use super::events::AppliedBlock;
pub use super::replay_error::ReplayError;
use super::snapshot_load;
use crate::protocol::masternodes::{Receipt, Slashed};
use crate::protocol::state::LedgerState;
use crate::protocol::transition::{self, BlockOutcome};
use crate::storage::block_log::BlockReader;
use crate::storage::disk::Disk;
use crate::storage::error::StorageError;
use crate::storage::index::{EpochEnd, Index, IndexChange, PunishedEvidence};
use crate::storage::snapshots::SnapshotStore;
use crate::storage::watch::{Watch, ask};
use crate::types::codec::{decode, encode};
use crate::types::{
    Block, BlockHash, Commit, Epoch, GenesisDocument, Header, OutPoint, RuleVersion, TxId, UtxoEntry,
};

/// Blocks between two marks while the index is brought forward.
const MARK_EVERY: u64 = 512;

/// The chain as the disk holds it.
#[derive(Debug)]
pub struct Replayed {
    /// The state at the tip.
    pub state: Arc<LedgerState>,
    /// The tip's commit; empty at genesis.
    pub last_commit: Commit,
    /// Transactions in the blocks of the epoch that the next block belongs to.
    pub settled: BTreeSet<TxId>,
}

/// What a block did, as far as the index is concerned.
#[derive(Clone, Copy, Debug)]
pub struct BlockEffects<'a> {
    /// The state after it.
    pub state: &'a LedgerState,
    /// The outputs of the state before that it spends.
    pub spent: &'a [(OutPoint, UtxoEntry)],
    /// The outputs that it leaves behind.
    pub created: &'a [(OutPoint, UtxoEntry)],
    /// The outputs that it makes and spends itself.
    pub transient: &'a [(OutPoint, UtxoEntry)],
    /// What became of payloads that speak of masternodes.
    pub receipts: &'a [Receipt],
    /// Collaterals that its evidence made less.
    pub slashed: &'a [Slashed],
}

impl<'a> From<&'a BlockOutcome> for BlockEffects<'a> {
    fn from(outcome: &'a BlockOutcome) -> Self {
        let BlockOutcome { state, spent, created, transient, receipts, slashed, .. } = outcome;
        Self { state, spent, created, transient, receipts, slashed }
    }
}

impl<'a> From<&'a AppliedBlock> for BlockEffects<'a> {
    fn from(applied: &'a AppliedBlock) -> Self {
        let AppliedBlock { state, spent, created, transient, receipts, slashed, .. } = applied;
        Self { state, spent, created, transient, receipts, slashed }
    }
}

/// What a block punished. A masternode is slashed at most once, so its name tells what evidence burned.
fn punished<'a>(
    block: &'a Block,
    slashed: &'a [Slashed],
) -> impl Iterator<Item = PunishedEvidence> + use<'a> {
    block.evidence.iter().map(|evidence| {
        let masternode = evidence.validator();
        let burned = slashed.iter().find(|change| change.masternode == masternode).map(Slashed::burned);
        PunishedEvidence {
            hash: evidence.hash(),
            kind: evidence.kind().to_owned(),
            masternode,
            epoch: evidence.epoch(),
            height: evidence.height(),
            block_height: block.header.height,
            burned: burned.unwrap_or_default(),
        }
    })
}

/// What the index has to do for a block.
#[must_use]
pub fn index_change(block: &Block, commit: &Commit, effects: BlockEffects<'_>) -> IndexChange {
    let BlockEffects { state, spent, created, transient, receipts, slashed } = effects;
    let mut spenders = std::collections::BTreeMap::new();
    let mut transactions = Vec::with_capacity(block.transactions.len());
    for transaction in &block.transactions {
        let txid = transaction.txid();
        spenders.extend(transaction.inputs.iter().map(|outpoint| (*outpoint, txid)));
        transactions.push(txid);
    }
    let by = |outpoint: &OutPoint| spenders.get(outpoint).copied().unwrap_or(TxId::ZERO);
    let spent = spent.iter().chain(transient).map(|(outpoint, entry)| (*outpoint, *entry, by(outpoint)));
    IndexChange {
        height: state.height(),
        block_hash: state.tip_hash(),
        state: encode(state),
        spent: spent.collect(),
        created: created.iter().chain(transient).copied().collect(),
        replaced: slashed.iter().map(|change| (change.outpoint, change.after)).collect(),
        transactions,
        receipts: receipts.to_vec(),
        evidence: punished(block, slashed).collect(),
        epoch_end: block.header.epoch_end.then(|| EpochEnd {
            epoch: block.header.epoch,
            next_set: Arc::clone(state.validators()),
            head: Some(Box::new((block.header.clone(), commit.clone()))),
        }),
        fuller: fuller_commit(block, state).map(Box::new),
    }
}

/// What the first block of an epoch says of the last block of the one before.
fn fuller_commit(block: &Block, state: &LedgerState) -> Option<(Epoch, Commit)> {
    let Header { epoch, height, epoch_end, .. } = block.header;
    // An epoch has two blocks at least, so a block that ends one begins none.
    let is_first = !epoch_end && height == state.past_epochs().last_height().saturating_add(1);
    Some((epoch.checked_sub(1)?, block.last_commit.clone())).filter(|_| is_first)
}

/// Whether the epochs' ends and the history of addresses are in the index: one that an older version made lacks them.
fn is_complete(index: &Index, state: &LedgerState) -> Result<bool, StorageError> {
    if index.history_from()?.is_none() {
        return Ok(false);
    }
    match state.next_epoch().checked_sub(1) {
        Some(ended) => Ok(index.epoch_end(ended)?.is_some()),
        None => Ok(true),
    }
}

/// The state that the index is marked at, or genesis if it has no usable mark.
fn start<D: Disk>(
    genesis: &GenesisDocument,
    index: &Index,
    (blocks, snapshots): (&BlockReader<D>, Option<&SnapshotStore<D>>),
    watch: Watch<'_>,
) -> Result<LedgerState, ReplayError> {
    if let Some(mark) = index.mark()? {
        let known = if mark.height == 0 {
            mark.block_hash == BlockHash(genesis.chain_id().0)
        } else {
            blocks
                .read_committed(mark.height)?
                .is_some_and(|committed| committed.block.header.hash() == mark.block_hash)
        };
        match decode::<LedgerState>(&mark.state) {
            Ok(state)
                if known
                    && state.height() == mark.height
                    && state.tip_hash() == mark.block_hash
                    && is_complete(index, &state)? =>
            {
                return Ok(state);
            }
            _ => warn!(height = mark.height, "The index does not fit the block log"),
        }
    }
    if blocks.horizon() > 1 {
        let snapshots = snapshots.ok_or(ReplayError::NoSnapshot { horizon: blocks.horizon() })?;
        return snapshot_load::load(genesis, index, (blocks, snapshots), watch);
    }
    let (state, outputs) = LedgerState::genesis(genesis)?;
    let change = IndexChange {
        height: 0,
        block_hash: BlockHash(genesis.chain_id().0),
        state: encode(&state),
        spent: Vec::new(),
        created: outputs,
        replaced: Vec::new(),
        transactions: Vec::new(),
        receipts: Vec::new(),
        epoch_end: None,
        fuller: None,
        evidence: Vec::new(),
    };
    index.apply(&change)?;
    index.set_mark(0, change.block_hash, &change.state)?;
    Ok(state)
}

/// Replays what the index does not have yet and moves its mark to the tip. `watch` is told bytes of blocks, then how
/// many of the running epoch's blocks were read again, and may end it between blocks.
///
/// # Errors
/// See [`ReplayError`]; of the disk's errors [`StorageError::Interrupted`] if it was ended.
pub fn replay<D: Disk>(
    genesis: &GenesisDocument,
    index: &Index,
    blocks: &BlockReader<D>,
    watch: Watch<'_>,
) -> Result<Replayed, ReplayError> {
    replay_knowing(RuleVersion::NEWEST, genesis, index, (blocks, None), watch)
}

/// The same where the log may begin with the block of one of these snapshots.
///
/// # Errors
/// Those of [`replay`].
pub fn replay_from<D: Disk>(
    genesis: &GenesisDocument,
    index: &Index,
    reading: (&BlockReader<D>, Option<&SnapshotStore<D>>),
    watch: Watch<'_>,
) -> Result<Replayed, ReplayError> {
    replay_knowing(RuleVersion::NEWEST, genesis, index, reading, watch)
}

/// The same for a program that knows rules up to `knows`.
///
/// # Errors
/// As [`replay`].
pub fn replay_knowing<D: Disk>(
    knows: RuleVersion,
    genesis: &GenesisDocument,
    index: &Index,
    (blocks, snapshots): (&BlockReader<D>, Option<&SnapshotStore<D>>),
    watch: Watch<'_>,
) -> Result<Replayed, ReplayError> {
    let mut state = start(genesis, index, (blocks, snapshots), watch)?;
    let tip = blocks.height();
    let (mut done, total) = (0_u64, blocks.bytes_above(state.height()));
    if tip > state.height() {
        info!(from = state.height(), to = tip, "Bringing the index forward from the block log");
    }
    while state.height() < tip {
        state.rules().check_known(knows)?;
        let height = state.height().saturating_add(1);
        let logged = blocks.read(height)?.ok_or(ReplayError::Missing(height))?;
        let block = &logged.committed.block;
        let outcome = transition::replay(&state, &logged.spent, block)
            .map_err(|source| ReplayError::Block { height, source })?;
        let change = index_change(block, &logged.committed.commit, (&outcome).into());
        index.apply(&change)?;
        done = done.saturating_add(blocks.bytes_of(height));
        let goes_on = watch(done, total);
        if height % MARK_EVERY == 0 || height == tip || !goes_on {
            index.set_mark(height, change.block_hash, &change.state)?;
        }
        if !goes_on {
            return Err(StorageError::Interrupted.into());
        }
        state = outcome.state;
    }
    state.rules().check_known(knows)?;
    let last_commit = match blocks.read_committed(tip)? {
        Some(committed) => committed.commit.clone(),
        None => Commit::default(),
    };
    let settled = settled_of_epoch(&state, index, blocks, watch)?;
    Ok(Replayed { state: Arc::new(state), last_commit, settled })
}

/// The transactions of the blocks that belong to the next block's epoch, from the tip backwards.
fn settled_of_epoch<D: Disk>(
    state: &LedgerState,
    index: &Index,
    blocks: &BlockReader<D>,
    watch: Watch<'_>,
) -> Result<BTreeSet<TxId>, ReplayError> {
    let ended = match state.next_epoch().checked_sub(1) {
        Some(before) => index.epoch_end(before)?.map_or(0, |(height, _)| height),
        None => 0,
    };
    let of_epoch = state.height().saturating_sub(ended);
    let mut settled = BTreeSet::new();
    let mut height = state.height();
    while height > 0 {
        let committed = blocks.read_committed(height)?.ok_or(ReplayError::Missing(height))?;
        if committed.block.header.epoch != state.next_epoch() {
            break;
        }
        settled.extend(committed.block.transactions.iter().map(|transaction| transaction.txid()));
        height = height.saturating_sub(1);
        ask(watch, state.height().saturating_sub(height), of_epoch)?;
    }
    Ok(settled)
}
