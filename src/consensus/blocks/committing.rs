//! Decided blocks on their way to the log, and the chain's state behind them.
//!
//! # Place
//! A node that takes part has one at a time. One that catches up executes further blocks on top of those that are not on
//! the disk yet, so that the log writes many with one sync.
//!
//! # Invariants
//! - INV-COMMITTING-1: each block follows the one before it, and the first one follows the tip; they leave in this order.
//! - INV-COMMITTING-2: at most [`COMMITTING_BLOCKS_MAX`] blocks and [`COMMITTING_BYTES_MAX`] encoded bytes of
//!   payments, or one larger block. Nothing is put behind a block after which the epoch closes, or which ends it: what such a block holds back
//!   (votes, the journal of the epoch before) is held until it is applied.
//! - INV-COMMITTING-3: a reader sees the outputs as the last of them leaves them.

use std::collections::{HashMap, VecDeque};

use ahash::RandomState;

use super::super::chain::Committing;
use crate::protocol::state::LedgerState;
use crate::protocol::validity::{CheckedTransaction, UtxoReader};
use crate::types::{BlockHash, Height, OutPoint, UtxoEntry};

/// Blocks on their way to the log, at most.
pub const COMMITTING_BLOCKS_MAX: usize = 64;
/// Encoded bytes of these blocks' payments, at most; one block alone may have more.
pub const COMMITTING_BYTES_MAX: usize = 16 << 20;

/// What a block changed last, and to what: `None` is spent.
type Changed = (Height, Option<UtxoEntry>);

/// The blocks, in the order of heights.
#[derive(Default)]
pub(super) struct CommittingBlocks {
    blocks: VecDeque<(Committing, usize)>,
    bytes: usize,
    /// Outputs that the first `noted` of them changed. A node that takes part asks for none, and pays for none.
    outputs: HashMap<OutPoint, Changed, RandomState>,
    noted: usize,
}

/// Outputs as the last of the blocks leaves them.
pub(in crate::consensus) struct Behind<'a> {
    base: &'a dyn UtxoReader,
    outputs: &'a HashMap<OutPoint, Changed, RandomState>,
}

impl UtxoReader for Behind<'_> {
    fn utxo(&self, outpoint: &OutPoint) -> Option<UtxoEntry> {
        match self.outputs.get(outpoint) {
            Some((_, entry)) => *entry,
            None => self.base.utxo(outpoint),
        }
    }
}

/// The outputs that a block changes, as it leaves them.
fn changes(block: &Committing) -> impl Iterator<Item = (OutPoint, Option<UtxoEntry>)> {
    let outcome = &block.outcome;
    let spent = outcome.spent.iter().map(|(outpoint, _)| (*outpoint, None));
    let created = outcome.created.iter().map(|(outpoint, entry)| (*outpoint, Some(*entry)));
    let slashed = outcome.slashed.iter().map(|change| (change.outpoint, Some(change.after)));
    spent.chain(created).chain(slashed)
}

impl CommittingBlocks {
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Committing> {
        self.blocks.iter().map(|(block, _)| block)
    }

    /// The state behind the last one.
    pub(super) fn state(&self) -> Option<&LedgerState> {
        self.blocks.back().map(|(block, _)| &block.outcome.state)
    }

    /// Whether another block may follow (INV-COMMITTING-2).
    pub(super) fn has_room(&self) -> bool {
        let Some((last, _)) = self.blocks.back() else { return true };
        let ends = last.committed.block.header.epoch_end || last.outcome.state.is_closing();
        !ends && self.blocks.len() < COMMITTING_BLOCKS_MAX && self.bytes < COMMITTING_BYTES_MAX
    }

    pub(super) fn push(&mut self, block: Committing) {
        // Known already; the rest of a block is small.
        let sizes = block.transactions.iter().map(CheckedTransaction::encoded_bytes);
        let bytes = sizes.fold(0, usize::saturating_add);
        self.bytes = self.bytes.saturating_add(bytes);
        self.blocks.push_back((block, bytes));
    }

    /// Takes the first one if it is this one.
    pub(super) fn take(&mut self, hash: BlockHash) -> Option<Committing> {
        let (block, bytes) = self.blocks.pop_front_if(|(block, _)| block.hash == hash)?;
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(left) = self.noted.checked_sub(1) {
            self.noted = left;
            let height = block.committed.block.header.height;
            for (outpoint, _) in changes(&block) {
                // What a later one changed again stays.
                if self.outputs.get(&outpoint).is_some_and(|(changed, _)| *changed == height) {
                    self.outputs.remove(&outpoint);
                }
            }
        }
        Some(block)
    }

    /// The state and the outputs behind the last one, or at the tip if there is none.
    pub(super) fn behind<'a>(
        &'a mut self,
        tip: &'a LedgerState,
        base: &'a dyn UtxoReader,
    ) -> (&'a LedgerState, Behind<'a>) {
        for (block, _) in self.blocks.iter().skip(self.noted) {
            let height = block.committed.block.header.height;
            self.outputs.extend(changes(block).map(|(outpoint, entry)| (outpoint, (height, entry))));
        }
        self.noted = self.blocks.len();
        (self.state().unwrap_or(tip), Behind { base, outputs: &self.outputs })
    }
}
