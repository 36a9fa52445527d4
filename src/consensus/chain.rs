//! The chain at its tip: what every part reads, and the one place where a block is applied.
//!
//! # Invariants
//! - INV-CHAIN-1: a block becomes the tip only after the block log said that it is durable, in [`Chain::apply`] alone,
//!   which takes the log's word.
//! - While an event is handled the chain changes at most once, between two parts and never under one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::events::{AppliedBlock, Now};
use super::trust::{ChainTrust, Distrust};
use super::verify::Voters;
use crate::protocol::activation::UnknownRules;
use crate::protocol::finality::ChainView;
use crate::protocol::state::LedgerState;
use crate::protocol::transition::BlockOutcome;
use crate::protocol::validity::CheckedTransaction;
use crate::storage::block_log::DurableBlock;
use crate::types::{
    BlockHash, ChainId, ChainParameters, CommittedBlock, Epoch, Header, Height, OutPoint, RuleVersion,
    SignatureVerifier, TimeMs, TxId,
};
use crate::utxo::UtxoManager;

/// Hashes of the last blocks that are kept to compare peers' tips with, at most.
const RECENT_HASHES_MAX: usize = 256;

/// A decided block on its way to the disk.
pub(super) struct Committing {
    /// The block with its commit.
    pub(super) committed: CommittedBlock,
    /// Its hash.
    pub(super) hash: BlockHash,
    /// Its transactions without the reward.
    pub(super) transactions: Vec<CheckedTransaction>,
    /// What it does.
    pub(super) outcome: BlockOutcome,
    /// Whether this node built it.
    pub(super) own: bool,
}

/// The tip: state, outputs, and when it was reached.
pub(super) struct Chain {
    state: Arc<LedgerState>,
    utxos: Arc<UtxoManager>,
    verifier: Arc<dyn SignatureVerifier + Send + Sync>,
    /// The newest rules that this program knows.
    knows: RuleVersion,
    trust: ChainTrust,
    /// Whether it stood at a block that is young enough since the start (INV-TRUST-2).
    is_current: bool,
    applied: Now,
    recent_hashes: BTreeMap<Height, BlockHash>,
}

impl Chain {
    pub(super) fn new(
        state: Arc<LedgerState>,
        utxos: Arc<UtxoManager>,
        verifier: Arc<dyn SignatureVerifier + Send + Sync>,
        (knows, trust): (RuleVersion, ChainTrust),
        now: Now,
    ) -> Self {
        let recent_hashes = BTreeMap::from([(state.height(), state.tip_hash())]);
        let mut chain =
            Self { state, utxos, verifier, knows, trust, is_current: false, applied: now, recent_hashes };
        chain.note_age();
        chain
    }

    pub(super) const fn state(&self) -> &Arc<LedgerState> {
        &self.state
    }

    pub(super) fn utxos(&self) -> &UtxoManager {
        &self.utxos
    }

    pub(super) fn verifier(&self) -> &(dyn SignatureVerifier + Send + Sync) {
        &*self.verifier
    }

    /// The newest rules that this program knows.
    pub(super) const fn knows(&self) -> RuleVersion {
        self.knows
    }

    /// Relies on something else from here on.
    #[cfg(test)]
    pub(super) fn rely_on(&mut self, trust: ChainTrust) {
        (self.trust, self.is_current) = (trust, false);
        self.note_age();
    }

    /// Notes when the tip is young enough to be relied on.
    fn note_age(&mut self) {
        let (height, wall_ms) = (self.height(), self.applied.wall_ms);
        let is_young = self.trust.check_tip(height, self.state.tip_time(), wall_ms).is_ok();
        self.is_current |= is_young && self.trust.has_checkpoint(height);
    }

    /// Whether any block may be taken behind this state, which is the tip's or behind it.
    ///
    /// # Errors
    /// [`Distrust::TooOld`].
    pub(super) fn check_age(&self, state: &LedgerState, wall_ms: TimeMs) -> Result<(), Distrust> {
        match self.is_current {
            true => Ok(()),
            false => self.trust.check_tip(state.height(), state.tip_time(), wall_ms),
        }
    }

    /// Whether a block with a valid commit may follow.
    ///
    /// # Errors
    /// See [`Distrust`].
    pub(super) fn check_next(
        &self,
        state: &LedgerState,
        header: &Header,
        wall_ms: TimeMs,
    ) -> Result<(), Distrust> {
        self.check_age(state, wall_ms)?;
        self.trust.check_hash(header.height, header.hash())
    }

    /// Whether this is the chain that the operator named a block of; also if none is named.
    pub(super) fn has_checkpoint(&self) -> bool {
        self.trust.has_checkpoint(self.height())
    }

    /// Rules in force that this program does not know: nothing may be judged by it any more.
    pub(super) fn unknown_rules(&self) -> Option<UnknownRules> {
        self.state.rules().check_known(self.knows).err()
    }

    pub(super) fn chain_id(&self) -> &ChainId {
        self.state.chain_id()
    }

    pub(super) fn parameters(&self) -> &Arc<ChainParameters> {
        self.state.parameters()
    }

    pub(super) fn height(&self) -> Height {
        self.state.height()
    }

    /// The height that is worked on.
    pub(super) fn next_height(&self) -> Height {
        self.state.height().saturating_add(1)
    }

    /// The epoch of that height.
    pub(super) fn epoch(&self) -> Epoch {
        self.state.next_epoch()
    }

    /// When the tip was applied here.
    pub(super) const fn applied(&self) -> Now {
        self.applied
    }

    /// Who votes in the current epoch.
    pub(super) fn voters(&self) -> Voters {
        Voters { chain_id: *self.chain_id(), epoch: self.epoch(), set: Arc::clone(self.state.validators()) }
    }

    /// What validity for a vote depends on.
    pub(super) fn view(&self) -> ChainView<'_> {
        ChainView { state: &self.state, utxos: &*self.utxos }
    }

    /// Whether a peer's tip is another block than this node has there, as far as memory reaches.
    pub(super) fn has_other_block(&self, height: Height, tip: BlockHash) -> bool {
        self.recent_hashes.get(&height).is_some_and(|hash| *hash != tip)
    }

    /// The block is durable: it becomes the tip. `None`, and nothing changes, if another one is.
    pub(super) fn apply(
        &mut self,
        block: Committing,
        durable: DurableBlock,
        now: Now,
    ) -> Option<AppliedBlock> {
        let Committing { committed, hash, transactions, outcome, own } = block;
        let committed = durable.release(committed)?;
        let BlockOutcome { state, spent, created, transient, receipts, slashed, .. } = outcome;
        let spenders: Vec<(OutPoint, TxId)> = transactions
            .iter()
            .flat_map(|tx| tx.inputs().iter().map(|outpoint| (*outpoint, tx.txid())))
            .collect();
        self.state = Arc::new(state);
        let height = self.state.height();
        self.utxos.apply_block(height, &created, &spenders);
        let replaced: Vec<_> = slashed.iter().map(|change| (change.outpoint, change.after)).collect();
        self.utxos.replace_outputs(height, &replaced);
        self.applied = now;
        self.note_age();
        self.recent_hashes.insert(height, self.state.tip_hash());
        while self.recent_hashes.len() > RECENT_HASHES_MAX {
            self.recent_hashes.pop_first();
        }
        let state = Arc::clone(&self.state);
        Some(AppliedBlock {
            committed,
            hash,
            transactions,
            spent,
            created,
            transient,
            receipts,
            slashed,
            spenders,
            state,
            own,
        })
    }
}
