//! Signatures of blocks that came, checked before the thread of consensus looks at the blocks: all of an answer at once.
//!
//! # Place
//! [`BlockSync`](super::BlockSync) orders it for each answer that it asked for. The node does it on a thread of its own
//! with all cores; the simulator leaves it out. Consensus then checks each block as ever, but asks no signature twice.
//!
//! # Invariants
//! - INV-AHEAD-1: what a check says never depends on this: a signature that was not held here is checked there.
//!
//! Memory: [`HELD_SIGNATURES_BYTES_MAX`](super::HELD_SIGNATURES_BYTES_MAX), since they go with their blocks.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use ahash::RandomState;

use super::super::events::Event;
use super::super::inbox::ConsensusHandle;
use super::super::verify::Voters;
use crate::runtime::TaskRegistry;
use crate::runtime::priority::{self, Priority};
use crate::runtime::stages::{Stage, enter};
use crate::runtime::tasks::ThreadError;
use crate::types::{CommittedBlock, Epoch, Released, SignatureCheck, SignatureVerifier};

/// Signatures of one answer that are checked ahead, at most. An honest answer has 2 MiB, which holds fewer.
pub const HELD_MAX: usize = 32_768;
/// Answers that wait to be checked, at most: as many as may be outstanding. What is beyond is checked by consensus.
const WAITING_MAX: usize = super::RANGES_MAX * 2;

/// Signatures that hold.
#[derive(Debug, Default)]
pub struct HeldSignatures(HashSet<SignatureCheck, RandomState>);

/// Blocks of one answer, in their order.
#[derive(Debug)]
pub struct BlocksToCheck {
    /// Which answer.
    pub answer: u64,
    /// The blocks.
    pub blocks: Vec<Released<CommittedBlock>>,
    /// Who votes in the epoch of the next block.
    pub voters: Voters,
}

impl BlocksToCheck {
    /// The signatures that hold, up to the first one that does not. Blocks behind one that its header does not bind are
    /// left out, so that what costs a peer nothing costs little here.
    #[must_use]
    pub fn check(&self, verifier: &dyn SignatureVerifier) -> HeldSignatures {
        let mut checks = Vec::new();
        let mut before: Option<Epoch> = None;
        for committed in &self.blocks {
            let block = &committed.block;
            if !block.blueprint().is_bound_by_header() || checks.len() > HELD_MAX {
                break;
            }
            let Voters { chain_id, epoch, set } = &self.voters;
            // The sets of later epochs are not known yet.
            if block.header.epoch == *epoch {
                checks.extend(committed.commit.signature_checks(chain_id, *epoch, set).unwrap_or_default());
            }
            if before == Some(*epoch) {
                checks.extend(block.last_commit.signature_checks(chain_id, *epoch, set).unwrap_or_default());
            }
            for transaction in &block.transactions {
                checks.extend(transaction.signature_checks(chain_id, &transaction.txid()));
            }
            before = Some(block.header.epoch);
        }
        checks.truncate(HELD_MAX);
        let held = verifier.verify_all(&checks).err().unwrap_or(checks.len());
        HeldSignatures(checks.into_iter().take(held).collect())
    }
}

/// Checks what is not held already.
pub(in crate::consensus) struct Remaining<'a> {
    pub(in crate::consensus) held: &'a HeldSignatures,
    pub(in crate::consensus) verifier: &'a dyn SignatureVerifier,
}

impl SignatureVerifier for Remaining<'_> {
    fn verify_all(&self, checks: &[SignatureCheck]) -> Result<(), usize> {
        let (places, left): (Vec<usize>, Vec<SignatureCheck>) = checks
            .iter()
            .enumerate()
            .filter(|(_, check)| !self.held.0.contains(*check))
            .map(|(place, check)| (place, *check))
            .unzip();
        if left.is_empty() {
            return Ok(());
        }
        self.verifier.verify_all(&left).map_err(|bad| places.get(bad).copied().unwrap_or(bad))
    }
}

/// To the thread that checks.
#[derive(Clone, Debug)]
pub struct AheadSender(SyncSender<BlocksToCheck>);

impl AheadSender {
    /// Starts the thread; it ends with the senders.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(
        handle: Arc<ConsensusHandle>,
        verifier: Arc<dyn SignatureVerifier + Send + Sync>,
        registry: &TaskRegistry,
    ) -> Result<Self, ThreadError> {
        let (sender, waiting) = sync_channel(WAITING_MAX);
        registry.spawn_thread("blocks ahead", move || check_all(&waiting, &handle, &*verifier))?;
        Ok(Self(sender))
    }

    /// Hands over an answer. If too many wait it comes back as it is, for consensus to check.
    #[must_use]
    pub fn send(&self, order: BlocksToCheck) -> Option<Event> {
        match self.0.try_send(order) {
            Ok(()) => None,
            Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) => {
                Some(Event::BlocksChecked { answer: order.answer, held: Arc::default() })
            }
        }
    }
}

fn check_all(waiting: &Receiver<BlocksToCheck>, handle: &ConsensusHandle, verifier: &dyn SignatureVerifier) {
    priority::take(Priority::Background);
    while let Ok(order) = waiting.recv() {
        let _stage = enter(Stage::Signatures);
        let held = Arc::new(order.check(verifier));
        handle.hand_in(Event::BlocksChecked { answer: order.answer, held });
    }
}
