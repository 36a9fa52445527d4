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
//!   decided (`timed votes acknowledge-fork`) does.
//! - INV-FORK-3: the first second block that the set known here has committed stops this node from signing, once it is
//!   known to be of no fork that was decided on. A block on top of another one than this node's own may be in another
//!   epoch, with another set, and can't be judged; at the parting both chains follow from one state. So the peer is asked
//!   for one of its blocks at a time, halfway between the highest that is known to be the same and the lowest that is
//!   known to be another, until one can be judged: at most 64 of them, and one for each fork that was decided on. A peer
//!   that has shown such a block and falls silent does not hide it.
//! - INV-FORK-4: a chain that has one block of a fork that was decided on where this one has the other is no new fork,
//!   whichever side this node is on by now; any other parting is, below or above. The blocks at such heights are asked
//!   for first. What was found out of a peer holds for [`APART_MS`] while it is connected: until then it is asked for no
//!   block, neither to judge it nor in sync, however far its chain grows.
//!
//! What is remembered is an entry for each connected peer, with two headers and commits at the most.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::{error, info, warn};

use super::signing::{Signing, staged_alone};
use super::{Core, Notification, Output, REQUEST_TIMEOUT_MS};
use crate::network::PeerId;
use crate::protocol::commit::check_commit;
use crate::storage::journal::JournalRecord;
use crate::types::fork::ForkProof;
use crate::types::{BlockHash, CommittedBlock, Height, Message, TimeMs};

/// How long it is taken for granted that a peer's chain is another one, in milliseconds.
pub(super) const APART_MS: u64 = 600_000;
/// Hashes of the last blocks that are kept to compare peers' tips with, at most.
const RECENT_HASHES_MAX: usize = 256;

/// Peers whose chains are not this node's.
pub(super) type OtherChains = BTreeMap<PeerId, OtherChain>;

/// What is known of a peer's chain that is not this node's.
#[derive(Clone, Debug)]
pub(super) enum OtherChain {
    /// Not yet where it parts.
    Sought(Search),
    /// It parts where that does not matter: at a fork that was decided on, or too long ago.
    Apart { until_ms: TimeMs },
}

/// The search for the first block of a peer's chain that is not in this one.
#[derive(Clone, Debug)]
pub(super) struct Search {
    /// The highest block that is known to be the same.
    same: Height,
    /// The lowest that is another, by the peer's status until one was seen; [`Self::same`] once the search has ended in
    /// vain.
    other: Height,
    is_seen: bool,
    /// Two committed blocks of one height; the lowest so far.
    proof: Option<Arc<ForkProof>>,
    asked: Height,
    asked_ms: TimeMs,
}

impl Search {
    const fn has_failed(&self) -> bool {
        self.other <= self.same
    }

    /// The block to ask for; `None` once the search has ended.
    fn next(&self, decided: &[Arc<ForkProof>]) -> Option<Height> {
        let between = |height: &Height| self.same < *height && *height < self.other;
        let decided = decided.iter().map(|fork| fork.ours.0.height).find(between);
        let tip = (!self.is_seen && !self.has_failed()).then_some(self.other);
        let middle = u64::midpoint(self.same, self.other);
        decided.or(tip).or(Some(middle).filter(|height| self.proof.is_none() && between(height)))
    }
}

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

    /// A peer has another block at a height of this node: where do the chains part?
    pub(super) fn ask_about_fork(&mut self, peer: PeerId, height: Height) {
        if self.fork.is_some() || !self.peers.contains_key(&peer) {
            return;
        }
        let search = match self.other_chains.get(&peer) {
            Some(OtherChain::Apart { until_ms }) if self.now_ms < *until_ms => return,
            Some(OtherChain::Sought(search)) if self.now_ms < deadline(search) => return,
            Some(OtherChain::Sought(search)) if !search.has_failed() => search.clone(),
            _ => Search { same: 0, other: height, is_seen: false, proof: None, asked: 0, asked_ms: 0 },
        };
        self.go_on(peer, search);
    }

    /// Asks for the next block of a search, or judges what it has found.
    fn go_on(&mut self, peer: PeerId, mut search: Search) {
        search.asked_ms = self.now_ms;
        if let Some(height) = search.next(&self.acknowledged_forks) {
            search.asked = height;
            self.out.push(Output::Send(peer, Message::GetBlocks { from: height, count: 1 }));
        } else if let Some(proof) = search.proof.take() {
            self.on_fork(proof);
            return;
        } else if search.is_seen {
            let height = search.other;
            if self.state.epoch_of_height(height).is_none() {
                warn!(peer = %peer.short(), height, "a chain that parted longer ago than the unbonding time; ignored");
                self.set_apart(peer);
                return;
            }
            self.out.push(Output::Misbehaved(peer, "bad block"));
            search.other = search.same;
        }
        self.other_chains.insert(peer, OtherChain::Sought(search));
    }

    /// Looks at a block that a peer may have been asked for to find where its chain parts from this one.
    pub(super) fn check_fork(&mut self, from: PeerId, theirs: &CommittedBlock) {
        let (height, hash) = (theirs.block.header.height, theirs.block.header.hash());
        let Some(OtherChain::Sought(search)) = self.other_chains.get(&from) else { return };
        if search.asked != height || search.has_failed() {
            return;
        }
        let Some(ours) = self.blocks.block(height) else { return };
        let mut search = search.clone();
        let pair = [ours.block.header.hash(), hash];
        if pair[0] == hash {
            search.same = height;
        } else if self.acknowledged_forks.iter().any(|fork| is_of(fork, pair)) {
            info!(peer = %from.short(), height, "a peer is on the other side of a fork that was decided on");
            self.set_apart(from);
            return;
        } else {
            (search.other, search.is_seen) = (height, true);
            search.proof = self.prove_fork(&ours, theirs).or(search.proof);
        }
        self.go_on(from, search);
    }

    /// Two blocks of one height, if the set that this node knows for it has committed the other one too.
    fn prove_fork(&self, ours: &CommittedBlock, theirs: &CommittedBlock) -> Option<Arc<ForkProof>> {
        let header = &theirs.block.header;
        let (epoch, set) = self.state.epoch_of_height(header.height)?;
        let named = (header.height, header.hash());
        let (chain_id, verifier) = (self.state.chain_id(), &*self.config.verifier);
        check_commit(chain_id, (epoch, set), named, &theirs.commit, verifier).ok()?;
        let side = |block: &CommittedBlock| (block.block.header.clone(), block.commit.clone());
        Some(Arc::new(ForkProof::new(set, side(ours), side(theirs))))
    }

    fn set_apart(&mut self, peer: PeerId) {
        let until_ms = self.now_ms.saturating_add(APART_MS);
        self.other_chains.insert(peer, OtherChain::Apart { until_ms });
    }

    /// Whether a peer's chain is known to be another one for good.
    pub(super) fn is_apart(&self, peer: &PeerId) -> bool {
        match self.other_chains.get(peer) {
            Some(OtherChain::Apart { until_ms }) => self.now_ms < *until_ms,
            Some(OtherChain::Sought(_)) | None => false,
        }
    }

    /// Who has shown a second committed block and then falls silent does not hide it.
    pub(super) fn check_searches(&mut self) {
        let late = |chain: &OtherChain| match chain {
            OtherChain::Sought(search) if self.now_ms >= deadline(search) => search.proof.clone(),
            _ => None,
        };
        if let Some(proof) = self.other_chains.values().find_map(late) {
            self.on_fork(proof);
        }
    }

    pub(super) fn forget_other_chain(&mut self, peer: &PeerId) {
        if let Some(OtherChain::Sought(Search { proof: Some(proof), .. })) = self.other_chains.remove(peer) {
            self.on_fork(proof);
        }
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
        if let Some((epoch, set)) = self.state.epoch_of_height(height) {
            for piece in proof.evidence(&Arc::clone(set), epoch) {
                self.report_evidence(piece);
            }
        }
        self.other_chains.clear();
        self.out.push(staged_alone(JournalRecord::Fork(Arc::clone(&proof))));
        self.pending = super::votes::PendingBatch::default();
        self.fork = Some(Arc::clone(&proof));
        self.notify(Notification::ForkDetected(proof));
        if self.signing != Signing::NoKey {
            self.enter(Signing::Forked);
        }
    }
}

/// Whether these are the two blocks of a fork, whichever of them is this chain's.
fn is_of(fork: &ForkProof, [ours, theirs]: [BlockHash; 2]) -> bool {
    let sides = (fork.ours.1.block_hash, fork.theirs.1.block_hash);
    sides == (ours, theirs) || sides == (theirs, ours)
}

const fn deadline(search: &Search) -> TimeMs {
    search.asked_ms.saturating_add(REQUEST_TIMEOUT_MS)
}
