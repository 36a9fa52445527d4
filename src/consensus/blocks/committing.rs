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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::consensus::fixtures::block;
    use crate::consensus::tests::genesis;
    use crate::protocol::transition::BlockOutcome;
    use crate::types::keys::SequentialVerifier;
    use crate::types::limits::TRANSACTION_OUTPUTS_MAX;
    use crate::types::{Amount, Lock, SecretKey, Transaction, TxId, TxOut};

    /// INV-COMMITTING-2: a few blocks full of payments take more memory than many others.
    #[test]
    fn no_block_follows_while_the_payments_on_their_way_are_many() {
        let (state, _) = LedgerState::genesis(&genesis()).unwrap();
        let owner = SecretKey::from_seed(&[7; 32]);
        let output = TxOut { value: Amount(1_000), lock: Lock::KeyHash(owner.public().key_hash()) };
        let inputs = vec![OutPoint { txid: TxId([1; 32]), index: 0 }];
        let payment = Transaction::transfer(inputs, vec![output; TRANSACTION_OUTPUTS_MAX], Vec::new());
        let (chain_id, parameters) = (state.chain_id(), state.parameters());
        let payment = Arc::new(payment.signed(chain_id, &[&owner]));
        let payment = CheckedTransaction::check(payment, chain_id, parameters, &SequentialVerifier).unwrap();
        let outcome = BlockOutcome {
            state: state.clone(),
            spent: Vec::new(),
            created: Vec::new(),
            transient: Vec::new(),
            reward: None,
            fees: Amount::ZERO,
            receipts: Vec::new(),
            slashed: Vec::new(),
        };
        let name = |height: u8| BlockHash([height; 32]);
        let committing = |height: u8, payments: usize| Committing {
            committed: block(height.into()),
            hash: name(height),
            transactions: vec![payment.clone(); payments],
            outcome: outcome.clone(),
            own: false,
        };
        let fill = COMMITTING_BYTES_MAX.div_ceil(payment.encoded_bytes());
        for (payments, has_room) in [(fill - 1, true), (fill, false)] {
            let mut blocks = CommittingBlocks::default();
            blocks.push(committing(1, 1));
            assert!(blocks.has_room());
            blocks.push(committing(2, payments - 1));
            assert_eq!(blocks.has_room(), has_room, "{payments} payments");
            // What has left for the chain takes room no more.
            assert!(blocks.take(name(1)).is_some() && blocks.has_room());
        }
    }
}
