//! Forks: a second block with a valid commit for a height that this node has.
//!
//! That can't happen while less than a third of the weight is faulty. When it does, no rule can tell which of the two
//! chains is right: the node keeps both certificates, says who signed both, stops signing, and goes on answering
//! questions until its operator decides.
//!
//! # Invariants
//! - INV-FORK-1: a fork is believed by valid commits of the set that this node knows for the height, never by length or
//!   arrival; heights older than the unbonding time are reported and not acted on, since keys that have left can sign
//!   anything about the past.
//! - INV-FORK-2: what was seen is journaled, so that a restart does not make the node sign again; only what its operator
//!   decided (`timed votes acknowledge-fork`) does. The other side of a fork that was decided on is no fork again; one
//!   that begins later is.
//! - INV-FORK-3: a block on top of another one than this node's own is not judged: its chain may be in another epoch
//!   there, with another set. The block at which two chains parted is: both follow from one state. A peer is asked for
//!   its blocks from this node's tip down to that one, or to the first that the set known here for its height has
//!   committed.

use std::sync::Arc;

use tracing::{error, warn};

use super::signing::{Signing, staged_alone};
use super::{Core, Notification, Output, REQUEST_TIMEOUT_MS};
use crate::network::PeerId;
use crate::protocol::commit::check_commit;
use crate::storage::journal::JournalRecord;
use crate::types::fork::ForkProof;
use crate::types::{BlockHash, CommittedBlock, Height, Message, TimeMs};

/// A block of its own that a peer was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct ForkAsked {
    at_ms: TimeMs,
    height: Height,
}

/// Hashes of the last blocks that are kept to compare peers' tips with, at most.
const RECENT_HASHES_MAX: usize = 256;

impl Core {
    /// The fork that stopped this node from signing.
    #[must_use]
    pub const fn fork(&self) -> Option<&Arc<ForkProof>> {
        self.fork.as_ref()
    }

    /// Whether a peer's tip is another block than this node has there, as far as memory reaches.
    pub(super) fn has_other_block(&self, height: Height, tip: BlockHash) -> bool {
        self.recent_hashes.get(&height).is_some_and(|hash| *hash != tip)
    }

    pub(super) fn note_hash(&mut self) {
        self.recent_hashes.insert(self.state.height(), self.state.tip_hash());
        while self.recent_hashes.len() > RECENT_HASHES_MAX {
            self.recent_hashes.pop_first();
        }
    }

    /// A peer has another block at a height of this node: is there a commit behind it?
    pub(super) fn ask_about_fork(&mut self, peer: PeerId, height: Height) {
        let due = self
            .fork_asked
            .get(&peer)
            .is_none_or(|asked| self.now_ms >= asked.at_ms.saturating_add(REQUEST_TIMEOUT_MS));
        if due && self.fork.is_none() && self.peers.contains_key(&peer) {
            self.ask_for_other_block(peer, height);
        }
    }

    fn ask_for_other_block(&mut self, peer: PeerId, height: Height) {
        self.fork_asked.insert(peer, ForkAsked { at_ms: self.now_ms, height });
        self.out.push(Output::Send(peer, Message::GetBlocks { from: height, count: 1 }));
    }

    /// Looks at a block that a peer may have been asked for because it differs from this node's own.
    pub(super) fn check_fork(&mut self, from: PeerId, theirs: &CommittedBlock) {
        let (height, hash) = (theirs.block.header.height, theirs.block.header.hash());
        let was_asked = self.fork_asked.get(&from).is_some_and(|asked| asked.height == height);
        if !was_asked || self.fork.is_some() {
            return;
        }
        let Some(ours) = self.blocks.block(height).filter(|ours| ours.block.header.hash() != hash) else {
            return;
        };
        if self.is_acknowledged(&ours, theirs) {
            return;
        }
        let Some((epoch, set)) = self.state.epoch_of_height(height) else {
            warn!(height, hash = %hash.short(), "another block of a height older than the unbonding time; ignored");
            return;
        };
        let (set, chain_id) = (Arc::clone(set), *self.state.chain_id());
        let named = (height, hash);
        if check_commit(&chain_id, (epoch, &set), named, &theirs.commit, &*self.config.verifier).is_err() {
            // INV-FORK-3
            if theirs.block.header.prev_hash == ours.block.header.prev_hash {
                self.out.push(Output::Misbehaved(from, "bad block"));
            } else if let Some(before) = height.checked_sub(1).filter(|before| *before > 0) {
                self.ask_for_other_block(from, before);
            }
            return;
        }
        let side = |block: &CommittedBlock| (block.block.header.clone(), block.commit.clone());
        let proof = ForkProof::new(&set, side(&ours), side(theirs));
        for piece in proof.evidence(&set, epoch) {
            self.report_evidence(piece);
        }
        self.on_fork(Arc::new(proof));
    }

    /// Whether these two belong to a fork that the operator has decided on, whichever of its sides this chain is by now:
    /// they are no later than the blocks that were decided between, or the other one stands on a block that is not in
    /// this chain either.
    fn is_acknowledged(&self, ours: &CommittedBlock, theirs: &CommittedBlock) -> bool {
        let (ours, theirs) = (&ours.block.header, &theirs.block.header);
        self.acknowledged_forks
            .iter()
            .any(|fork| ours.height <= fork.ours.0.height || theirs.prev_hash != ours.prev_hash)
    }

    fn on_fork(&mut self, proof: Arc<ForkProof>) {
        let (height, guilty) = (proof.ours.0.height, proof.guilty.len());
        error!(
            height,
            ours = %proof.ours.1.block_hash,
            theirs = %proof.theirs.1.block_hash,
            signers_of_both = ?proof.guilty,
            "fork detected: two committed blocks of one height, {guilty} masternodes signed both; this node signs nothing \
             any more and goes on answering until its operator decides: `timed votes acknowledge-fork`"
        );
        self.out.push(staged_alone(JournalRecord::Fork(Arc::clone(&proof))));
        self.pending = super::votes::PendingBatch::default();
        self.fork = Some(Arc::clone(&proof));
        self.notify(Notification::ForkDetected(proof));
        if self.signing != Signing::NoKey {
            self.enter(Signing::Forked);
        }
    }
}
