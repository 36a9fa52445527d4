//! Block sync: a node that is behind asks several peers for ranges of blocks and applies them in order.
//!
//! # Invariants
//! - INV-SYNC-1: a block is applied only with a valid commit of its epoch's set and after full validation; its
//!   sender is blamed for a bad one, and the block is fetched elsewhere.
//! - INV-SYNC-2: at most [`RANGES_MAX`] ranges are asked for at a time and [`SYNC_QUEUE_MAX`] blocks held.
//!
//! Among chains that are offered only valid commits count, never length or arrival.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::{debug, warn};

use super::{Core, Output, REQUEST_TIMEOUT_MS, SYNC_QUEUE_MAX};
use crate::network::PeerId;
use crate::protocol::transition;
use crate::types::{CommittedBlock, Height, Message, TimeMs};

/// Ranges that are asked for at a time.
const RANGES_MAX: usize = 4;
/// Blocks in a range.
const RANGE_BLOCKS: u64 = 64;
/// A node that is one block behind asks for it only after this long: it is probably about to commit it itself.
const PATIENCE_MS: u64 = 300;
/// How long a peer that failed to deliver is not asked again.
const AVOID_MS: u64 = 10_000;

#[derive(Clone, Copy, Debug)]
struct Range {
    peer: PeerId,
    from: Height,
    count: u64,
    deadline_ms: TimeMs,
}

/// What was asked for and what arrived.
#[derive(Debug, Default)]
pub(super) struct BlockSync {
    ranges: Vec<Range>,
    received: BTreeMap<Height, (PeerId, Arc<CommittedBlock>)>,
    behind_since_ms: Option<TimeMs>,
    avoided: BTreeMap<PeerId, TimeMs>,
    target: Height,
}

impl BlockSync {
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.ranges.retain(|range| range.peer != *peer);
        self.avoided.remove(peer);
    }

    fn avoid(&mut self, peer: PeerId, now_ms: TimeMs) {
        self.avoided.insert(peer, now_ms.saturating_add(AVOID_MS));
        self.ranges.retain(|range| range.peer != peer);
        self.received.retain(|_, (sender, _)| *sender != peer);
    }

    /// The first height from `from` that is neither here nor asked for, and how many follow it.
    fn next_gap(&self, from: Height, target: Height) -> Option<(Height, u64)> {
        let covered = |height: Height| {
            self.received.contains_key(&height)
                || self
                    .ranges
                    .iter()
                    .any(|range| height >= range.from && height < range.from.saturating_add(range.count))
        };
        let mut start = from;
        while start <= target && covered(start) {
            start = start.saturating_add(1);
        }
        let horizon = from.saturating_add(u64::try_from(SYNC_QUEUE_MAX).unwrap_or(u64::MAX));
        if start > target || start >= horizon {
            return None;
        }
        let mut count = 0_u64;
        while count < RANGE_BLOCKS
            && start.saturating_add(count) <= target
            && !covered(start.saturating_add(count))
        {
            count = count.saturating_add(1);
        }
        Some((start, count))
    }
}

impl Core {
    /// Whether peers are further than the block that is being decided.
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        self.sync.target > self.next_height()
    }

    /// The highest block that a peer says it has.
    #[must_use]
    pub const fn sync_target(&self) -> Height {
        self.sync.target
    }

    /// Asks for blocks if this node is behind.
    pub(super) fn poll_sync(&mut self) {
        let now = self.now_ms;
        let height = self.state.height();
        self.sync.avoided.retain(|_, until| *until > now);
        let late: Vec<PeerId> = self
            .sync
            .ranges
            .iter()
            .filter(|range| range.deadline_ms <= now)
            .map(|range| range.peer)
            .collect();
        for peer in late {
            debug!(peer = %peer.short(), "no blocks within the deadline; asking others");
            self.sync.avoid(peer, now);
        }
        let ahead: Vec<(PeerId, Height)> = self
            .peers
            .iter()
            .filter_map(|(peer, status)| Some((*peer, status.as_ref()?.height)))
            .filter(|(peer, theirs)| *theirs > height && !self.sync.avoided.contains_key(peer))
            .filter(|(peer, _)| !self.is_apart(peer))
            .collect();
        let target = ahead.iter().map(|(_, theirs)| *theirs).max().unwrap_or(height);
        self.sync.target = target;
        if target <= height {
            self.sync.behind_since_ms = None;
            return;
        }
        let since = *self.sync.behind_since_ms.get_or_insert(now);
        if target <= height.saturating_add(1) && now < since.saturating_add(PATIENCE_MS) {
            return;
        }
        let first = if self.is_committing() { height.saturating_add(2) } else { height.saturating_add(1) };
        while self.sync.ranges.len() < RANGES_MAX {
            let Some((from, count)) = self.sync.next_gap(first, target) else { return };
            let last = from.saturating_add(count).saturating_sub(1);
            let busy = |peer: &PeerId| self.sync.ranges.iter().filter(|range| range.peer == *peer).count();
            let able = ahead.iter().filter(|(_, theirs)| *theirs >= last).map(|(peer, _)| *peer);
            let able = if able.clone().next().is_some() {
                able.collect::<Vec<_>>()
            } else {
                ahead.iter().filter(|(_, theirs)| *theirs >= from).map(|(peer, _)| *peer).collect()
            };
            let Some(peer) = able.into_iter().min_by_key(busy) else { return };
            if busy(&peer) >= 2 {
                return;
            }
            let deadline_ms = now.saturating_add(REQUEST_TIMEOUT_MS);
            self.sync.ranges.push(Range { peer, from, count, deadline_ms });
            self.out.push(Output::Send(peer, Message::GetBlocks { from, count }));
        }
    }

    pub(super) fn on_blocks(&mut self, from: PeerId, blocks: Vec<Arc<CommittedBlock>>) {
        let Some(first) = blocks.first().map(|block| block.block.header.height) else {
            // An empty answer: the peer has nothing of what it said it had.
            if self.sync.ranges.iter().any(|range| range.peer == from) {
                self.sync.avoid(from, self.now_ms);
            }
            return;
        };
        let asked = self.sync.ranges.iter().position(|range| range.peer == from && range.from == first);
        let Some(place) = asked else {
            if let [block] = blocks.as_slice() {
                self.check_fork(from, block);
            }
            return;
        };
        let range = self.sync.ranges.swap_remove(place);
        for (height, block) in (first..first.saturating_add(range.count)).zip(blocks) {
            if block.block.header.height != height {
                self.out.push(Output::Misbehaved(from, "blocks out of order"));
                self.sync.avoid(from, self.now_ms);
                break;
            }
            if height >= self.next_height() && self.sync.received.len() < SYNC_QUEUE_MAX {
                self.sync.received.insert(height, (from, block));
            }
        }
        self.continue_sync();
        self.poll_sync();
    }

    /// Sends the next received block on its way to the log, if none is on it.
    pub(super) fn continue_sync(&mut self) {
        let next = self.next_height();
        self.sync.received = self.sync.received.split_off(&next);
        if self.is_committing() {
            return;
        }
        let Some((from, block)) = self.sync.received.remove(&next) else { return };
        // A block of another chain: has this node's own tip a rival?
        if block.block.header.prev_hash != self.state.tip_hash() && self.state.height() > 0 {
            self.ask_about_fork(from, self.state.height());
            self.sync.avoid(from, self.now_ms);
            return;
        }
        if let Err(problem) = self.adopt(&block) {
            warn!(peer = %from.short(), height = next, problem, "a peer sent a bad block");
            self.out.push(Output::Misbehaved(from, "bad block"));
            self.sync.avoid(from, self.now_ms);
            self.poll_sync();
        }
    }

    /// Checks commit, signatures and the whole transition of a block from a peer, and commits it.
    fn adopt(&mut self, committed: &Arc<CommittedBlock>) -> Result<(), String> {
        let block = &committed.block;
        let verifier = Arc::clone(&self.config.verifier);
        // First, since it costs a peer most to make one.
        self.state
            .check_commit(&block.header, &committed.commit, &*verifier)
            .map_err(|error| error.to_string())?;
        let (transactions, outcome) =
            transition::validate_block(&self.state, &*self.utxos, &*verifier, block)
                .map_err(|error| error.to_string())?;
        let hash = block.header.hash();
        self.commit(CommittedBlock::clone(committed), hash, transactions, outcome, false);
        Ok(())
    }
}
