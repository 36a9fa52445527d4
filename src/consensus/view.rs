//! Consensus as everybody else sees it: state, progress, signing, recent blocks.
//!
//! # Place
//! The consensus thread writes as it notifies; admission, RPC, answers to peers and metrics read. What it shows was decided
//! elsewhere and is never read back by consensus.
//!
//! # Invariants
//! - State and recent blocks are of durable blocks only.
//! - INV-VIEW-2: at most [`RECENT_BLOCKS_MAX`] blocks with [`RECENT_TRANSACTIONS_MAX`] transactions together are
//!   kept, the last one always.
//!
//! # Concurrency
//! State and progress are swapped as wholes and read without a lock; the recent blocks are behind one short lock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use ahash::RandomState;
use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;

use super::dispatch::Consensus;
use super::events::{AppliedBlock, HeardHeartbeat, Notification, Progress, Signing};
use super::sync::forks::BlockSource;
use crate::protocol::state::LedgerState;
use crate::types::fork::ForkProof;
use crate::types::{BlockHash, CommittedBlock, Height, MasternodeId, PublicKey, Released};

/// Blocks that are kept in memory for peers that are a little behind, at most.
pub const RECENT_BLOCKS_MAX: usize = 64;
/// Transactions of these blocks together, at most.
pub const RECENT_TRANSACTIONS_MAX: usize = 32_768;

#[derive(Default)]
struct RecentBlocks {
    /// Consecutive, the highest last.
    blocks: VecDeque<(BlockHash, Released<CommittedBlock>)>,
    /// Where a hash is, without a walk.
    heights: HashMap<BlockHash, Height, RandomState>,
    transactions: usize,
}

impl RecentBlocks {
    fn push(&mut self, hash: BlockHash, block: Released<CommittedBlock>) {
        self.transactions = self.transactions.saturating_add(block.block.transactions.len());
        self.heights.insert(hash, block.block.header.height);
        self.blocks.push_back((hash, block));
        while self.blocks.len() > 1
            && (self.blocks.len() > RECENT_BLOCKS_MAX || self.transactions > RECENT_TRANSACTIONS_MAX)
        {
            if let Some((hash, block)) = self.blocks.pop_front() {
                self.transactions = self.transactions.saturating_sub(block.block.transactions.len());
                self.heights.remove(&hash);
            }
        }
    }

    fn at(&self, height: Height) -> Option<Released<CommittedBlock>> {
        let first = self.blocks.front()?.1.block.header.height;
        let place = usize::try_from(height.checked_sub(first)?).ok()?;
        self.blocks.get(place).map(|(_, block)| block.clone())
    }
}

/// What readers see.
pub struct ConsensusView {
    identity: Option<PublicKey>,
    state: ArcSwap<LedgerState>,
    progress: ArcSwap<Progress>,
    signing: ArcSwap<Signing>,
    fork: ArcSwapOption<ForkProof>,
    heartbeats: ArcSwap<BTreeMap<MasternodeId, HeardHeartbeat>>,
    committed: Mutex<RecentBlocks>,
    sync_target: AtomicU64,
    certified_waiting: AtomicUsize,
    has_heard_peers: AtomicBool,
}

impl ConsensusView {
    /// The view of consensus that was just opened.
    #[must_use]
    pub fn new(consensus: &Consensus, identity: Option<PublicKey>) -> Self {
        let state = Arc::clone(consensus.state());
        let progress = Progress {
            height: state.height().saturating_add(1),
            epoch: state.next_epoch(),
            round: consensus.bft().round(),
            step: consensus.bft().current_step(),
            closing: consensus.finality().is_closing(),
            prevote_weight: 0,
            precommit_weight: 0,
            quorum: state.validators().quorum(),
            halted: false,
        };
        Self {
            identity,
            sync_target: AtomicU64::new(state.height()),
            state: ArcSwap::new(state),
            progress: ArcSwap::from_pointee(progress),
            signing: ArcSwap::from_pointee(consensus.signing()),
            fork: ArcSwapOption::new(consensus.fork().cloned()),
            heartbeats: ArcSwap::default(),
            committed: Mutex::default(),
            certified_waiting: AtomicUsize::new(0),
            has_heard_peers: AtomicBool::new(false),
        }
    }

    /// The operator key whose votes this node casts, if it has one.
    #[must_use]
    pub const fn identity(&self) -> Option<PublicKey> {
        self.identity
    }

    /// The masternode of the current set with this node's operator key, if there is one.
    #[must_use]
    pub fn own_seat(&self) -> Option<MasternodeId> {
        let key = self.identity()?;
        self.state.load().validators().find_key(&key).map(|(_, member)| member.id)
    }

    /// Whether this node signs, and why not.
    #[must_use]
    pub fn signing(&self) -> Signing {
        **self.signing.load()
    }

    /// The fork that was detected, if one was.
    #[must_use]
    pub fn fork(&self) -> Option<Arc<ForkProof>> {
        self.fork.load_full()
    }

    /// The last heartbeat of each masternode that was heard.
    #[must_use]
    pub fn heartbeats(&self) -> Arc<BTreeMap<MasternodeId, HeardHeartbeat>> {
        self.heartbeats.load_full()
    }

    /// The chain's state at its tip.
    #[must_use]
    pub fn state(&self) -> Arc<LedgerState> {
        self.state.load_full()
    }

    /// Where consensus stands.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.load_full()
    }

    /// The highest block that a peer says it has, or that this node has.
    #[must_use]
    pub fn sync_target(&self) -> Height {
        self.sync_target.load(Ordering::Relaxed).max(self.state.load().height())
    }

    /// Whether peers are further than the block that is being decided here.
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        self.sync_target() > self.state.load().height().saturating_add(1)
    }

    /// Whether a connected peer has said where it stands. Before that nobody knows whether this node is behind.
    #[must_use]
    pub fn has_heard_peers(&self) -> bool {
        self.has_heard_peers.load(Ordering::Relaxed)
    }

    /// Certified transactions that wait for a block.
    #[must_use]
    pub fn certified_waiting(&self) -> usize {
        self.certified_waiting.load(Ordering::Relaxed)
    }

    /// A recent block, if it is in memory.
    #[must_use]
    pub fn recent_block(&self, height: Height) -> Option<Released<CommittedBlock>> {
        self.committed.lock().at(height)
    }

    /// The height of a recent block, if it is in memory.
    #[must_use]
    pub fn recent_height(&self, hash: &BlockHash) -> Option<Height> {
        self.committed.lock().heights.get(hash).copied()
    }

    /// Takes over what readers may want to know.
    pub(super) fn note(&self, notification: &Notification) {
        match notification {
            Notification::Progress(progress) => self.progress.store(Arc::new(progress.clone())),
            Notification::SigningChanged(signing) => self.signing.store(Arc::new(*signing)),
            Notification::ForkDetected(fork) => self.fork.store(Some(Arc::clone(fork))),
            Notification::Heartbeats(heartbeats) => self.heartbeats.store(Arc::clone(heartbeats)),
            Notification::BlockApplied(applied) => self.note_block(applied),
            _ => {}
        }
    }

    fn note_block(&self, applied: &AppliedBlock) {
        self.committed.lock().push(applied.hash, applied.committed.clone());
        self.state.store(Arc::clone(&applied.state));
    }

    pub(super) fn note_counts(&self, sync_target: Height, certified_waiting: usize, has_heard_peers: bool) {
        self.has_heard_peers.store(has_heard_peers, Ordering::Relaxed);
        self.sync_target.store(sync_target, Ordering::Relaxed);
        self.certified_waiting.store(certified_waiting, Ordering::Relaxed);
    }
}

/// Reads recent blocks from memory, and older ones from the log.
pub struct RecentFirst<B> {
    /// What readers see.
    pub view: Arc<ConsensusView>,
    /// The log.
    pub log: B,
}

impl<B: BlockSource> BlockSource for RecentFirst<B> {
    fn block(&self, height: Height) -> Option<Released<CommittedBlock>> {
        self.view.recent_block(height).or_else(|| self.log.block(height))
    }

    fn horizon(&self) -> Height {
        self.log.horizon()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::fixtures::block;
    use crate::types::Transaction;

    /// INV-VIEW-2.
    #[test]
    fn recent_blocks_are_bounded_and_found_by_height_and_hash() {
        let mut recent = RecentBlocks::default();
        let total = u64::try_from(RECENT_BLOCKS_MAX).unwrap() + 10;
        for height in 1..=total {
            let block = block(height);
            recent.push(block.block.header.hash(), Released::heard(block));
        }
        assert_eq!((recent.blocks.len(), recent.heights.len()), (RECENT_BLOCKS_MAX, RECENT_BLOCKS_MAX));
        assert_eq!(recent.at(total).unwrap().block.header.height, total);
        assert!(recent.at(10).is_none() && recent.at(11).is_some() && recent.at(total + 1).is_none());
        let hash = recent.at(20).unwrap().block.header.hash();
        assert_eq!(recent.heights.get(&hash), Some(&20));

        // As many transactions as allowed stay, one more drives the oldest out.
        let transaction = Arc::new(Transaction::transfer(Vec::new(), Vec::new(), Vec::new()));
        let with = |height: Height, count: usize| {
            let mut block = block(height);
            block.block.transactions = vec![Arc::clone(&transaction); count];
            (block.block.header.hash(), Released::heard(block))
        };
        let mut few = RecentBlocks::default();
        for (height, count, first) in
            [(1, 1, 1), (2, RECENT_TRANSACTIONS_MAX - 1, 1), (3, 0, 1), (4, 1, 2), (5, 1, 3), (6, 0, 3)]
        {
            let (hash, block) = with(height, count);
            few.push(hash, block);
            assert_eq!(few.blocks.front().unwrap().1.block.header.height, first, "at {height}");
        }

        // A block with so many transactions is kept alone.
        let mut large = block(total + 1);
        let transaction = Arc::new(Transaction::transfer(Vec::new(), Vec::new(), Vec::new()));
        large.block.transactions = vec![transaction; RECENT_TRANSACTIONS_MAX + 1];
        recent.push(large.block.header.hash(), Released::heard(large));
        assert_eq!((recent.blocks.len(), recent.heights.len()), (1, 1));
        let next = block(total + 2);
        recent.push(next.block.header.hash(), Released::heard(next));
        assert!(recent.at(total + 1).is_none() && recent.at(total + 2).is_some());
    }
}
