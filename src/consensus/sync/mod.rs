//! Block sync: a node that is behind asks several peers for ranges of blocks and applies them in order. And
//! [`forks`]: what happens when a peer's blocks are other ones.
//!
//! # Invariants
//! - INV-SYNC-1: a block is applied only with a valid commit of its epoch's set and after full validation; its
//!   sender is blamed for a bad one, and the block is fetched elsewhere.
//! - INV-SYNC-2: at most [`RANGES_MAX`] ranges are asked for at a time, and [`SYNC_BLOCKS_MAX`] blocks with
//!   [`SYNC_BYTES_MAX`] encoded bytes held, but for the next one, which always has room.
//! - INV-SYNC-3: a peer's word about its height makes a node call itself behind only once the peer delivered a valid
//!   block, and no longer once it fails to deliver. Until then its word is good for being asked, no more.
//!
//! Among chains that are offered only valid commits count, never length or arrival.

pub(super) mod forks;

use std::collections::{BTreeMap, BTreeSet};

use tracing::{debug, warn};

use self::forks::Forks;
use super::chain::Committing;
use super::moment::Moment;
use super::outbox::Outbox;
use super::peers::{Peers, REQUEST_TIMEOUT_MS};
use crate::network::PeerId;
use crate::protocol::transition;
use crate::types::codec::encode;
use crate::types::{CommittedBlock, Height, Message, Released, TimeMs};

/// Ranges that are asked for at a time.
const RANGES_MAX: usize = 4;
/// Blocks in a range.
const RANGE_BLOCKS: u64 = 64;
/// Blocks that are held before they are applied.
pub const SYNC_BLOCKS_MAX: usize = 512;
/// Encoded bytes of the blocks that are held, at most: an answer that passes it is cut, and asked for again.
pub const SYNC_BYTES_MAX: usize = 64 << 20;
/// A node that is one block behind asks for it only after this long: it is probably about to commit it itself.
const PATIENCE_MS: u64 = 300;
/// How long a peer that failed to deliver is not asked again, the first time.
const AVOID_MS: u64 = 10_000;
/// It doubles with each further failure up to this many times.
const AVOID_DOUBLINGS_MAX: u32 = 6;

#[derive(Clone, Copy, Debug)]
struct Range {
    peer: PeerId,
    from: Height,
    count: u64,
    deadline_ms: TimeMs,
}

/// A peer that did not deliver what it said it has.
#[derive(Clone, Copy, Debug, Default)]
struct Failing {
    failures: u32,
    /// Not asked at all before this.
    again_ms: TimeMs,
    /// Not asked while others are to be had before this.
    until_ms: TimeMs,
}

/// A block that arrived, and from whom.
#[derive(Debug)]
struct Received {
    from: PeerId,
    block: Released<CommittedBlock>,
    bytes: usize,
}

/// What was asked for and what arrived.
#[derive(Debug, Default)]
pub(super) struct BlockSync {
    ranges: Vec<Range>,
    received: BTreeMap<Height, Received>,
    received_bytes: usize,
    behind_since_ms: Option<TimeMs>,
    failing: BTreeMap<PeerId, Failing>,
    /// Connected peers that delivered a valid block and did not fail since.
    proven: BTreeSet<PeerId>,
    target: Height,
}

/// What became of the next received block.
pub(super) enum NextBlock {
    /// There is none, or it was bad.
    None,
    /// It is valid: it goes to the log.
    Valid(Box<Committing>),
    /// It follows from another block than this node's tip: has that one a rival?
    OfOtherChain(PeerId),
}

impl BlockSync {
    pub(super) fn disconnected(&mut self, peer: &PeerId) {
        self.ranges.retain(|range| range.peer != *peer);
        self.failing.remove(peer);
        self.proven.remove(peer);
    }

    /// The highest block that a peer says it has, of those that delivered what they said so far.
    pub(super) const fn target(&self) -> Height {
        self.target
    }

    /// Whether peers are further than the block that is being decided.
    pub(super) fn is_syncing(&self, at: &Moment<'_>) -> bool {
        self.target > at.chain.next_height()
    }

    /// A peer failed to deliver: it is not asked for a while, longer each time, and its height not believed until it
    /// delivers.
    fn avoid(&mut self, peer: PeerId, at: &Moment<'_>) {
        self.proven.remove(&peer);
        let failing = self.failing.entry(peer).or_default();
        let avoid_ms = AVOID_MS << failing.failures.min(AVOID_DOUBLINGS_MAX);
        failing.failures = failing.failures.saturating_add(1);
        failing.again_ms = at.now_ms().saturating_add(REQUEST_TIMEOUT_MS);
        failing.until_ms = at.now_ms().saturating_add(avoid_ms);
        self.ranges.retain(|range| range.peer != peer);
        let bytes = &mut self.received_bytes;
        self.received.retain(|_, received| {
            let stays = received.from != peer;
            if !stays {
                *bytes = bytes.saturating_sub(received.bytes);
            }
            stays
        });
    }

    fn is_avoided(&self, peer: &PeerId, now_ms: TimeMs) -> bool {
        self.failing.get(peer).is_some_and(|failing| now_ms < failing.until_ms)
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
        let horizon = from.saturating_add(u64::try_from(SYNC_BLOCKS_MAX).unwrap_or(u64::MAX));
        let mut start = from;
        while start <= target && start < horizon && covered(start) {
            start = start.saturating_add(1);
        }
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

    /// Asks for blocks if this node is behind.
    pub(super) fn poll(
        &mut self,
        peers: &Peers,
        forks: &Forks,
        is_committing: bool,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        let (now_ms, height) = (at.now_ms(), at.chain.height());
        let is_late = |range: &&Range| range.deadline_ms <= now_ms;
        let late: Vec<PeerId> = self.ranges.iter().filter(is_late).map(|range| range.peer).collect();
        for peer in late {
            debug!(peer = %peer.short(), "No blocks within the deadline; asking others");
            self.avoid(peer, at);
        }
        let ahead: Vec<(PeerId, Height)> = peers
            .heights()
            .filter(|(peer, theirs)| *theirs > height && !forks.is_apart(peer, now_ms))
            .collect();
        let in_order: Vec<(PeerId, Height)> =
            ahead.iter().filter(|(peer, _)| !self.is_avoided(peer, now_ms)).copied().collect();
        let highest = |peers: &[(PeerId, Height)]| peers.iter().map(|(_, theirs)| *theirs).max();
        let of_proven = in_order.iter().filter(|(peer, _)| self.proven.contains(peer));
        self.target = of_proven.map(|(_, theirs)| *theirs).max().unwrap_or(height);
        // When nobody else is left, those who failed are asked all the same: they may have been out of reach.
        let may_ask = |peer: &PeerId| self.failing.get(peer).is_none_or(|failing| now_ms >= failing.again_ms);
        let ahead = if in_order.is_empty() {
            ahead.into_iter().filter(|(peer, _)| may_ask(peer)).collect()
        } else {
            in_order
        };
        let Some(goal) = highest(&ahead) else {
            self.behind_since_ms = None;
            return;
        };
        let since = *self.behind_since_ms.get_or_insert(now_ms);
        let is_one_behind = goal <= height.saturating_add(1);
        let waits = is_one_behind && now_ms < since.saturating_add(PATIENCE_MS);
        if !waits && self.received_bytes < SYNC_BYTES_MAX {
            let first = if is_committing { height.saturating_add(2) } else { height.saturating_add(1) };
            self.ask((first, goal), &ahead, at, out);
        }
    }

    fn ask(
        &mut self,
        (first, goal): (Height, Height),
        ahead: &[(PeerId, Height)],
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        while self.ranges.len() < RANGES_MAX {
            let Some((from, count)) = self.next_gap(first, goal) else { return };
            let last = from.saturating_add(count).saturating_sub(1);
            let busy = |peer: &PeerId| self.ranges.iter().filter(|range| range.peer == *peer).count();
            let with = |height: Height| -> Vec<PeerId> {
                ahead.iter().filter(|(_, theirs)| *theirs >= height).map(|(peer, _)| *peer).collect()
            };
            let whole = with(last);
            let able = if whole.is_empty() { with(from) } else { whole };
            let Some(peer) = able.into_iter().min_by_key(busy) else { return };
            if busy(&peer) >= 2 {
                return;
            }
            let deadline_ms = at.now_ms().saturating_add(REQUEST_TIMEOUT_MS);
            self.ranges.push(Range { peer, from, count, deadline_ms });
            out.send(peer, Message::GetBlocks { from, count });
        }
    }

    /// Whether these blocks answer a request of this sync; if so they are taken.
    pub(super) fn on_blocks(
        &mut self,
        from: PeerId,
        blocks: &[Released<CommittedBlock>],
        at: &Moment<'_>,
        out: &mut Outbox,
    ) -> bool {
        let Some(first) = blocks.first().map(|block| block.block.header.height) else {
            // An empty answer: the peer has nothing of what it said it had.
            if self.ranges.iter().any(|range| range.peer == from) {
                self.avoid(from, at);
            }
            return true;
        };
        let asked = self.ranges.iter().position(|range| range.peer == from && range.from == first);
        let Some(place) = asked else { return false };
        let range = self.ranges.swap_remove(place);
        for (height, block) in (first..first.saturating_add(range.count)).zip(blocks) {
            if block.block.header.height != height {
                out.misbehaved(from, "blocks out of order");
                self.avoid(from, at);
                break;
            }
            let bytes = encode(&**block).len();
            let has_room = self.received.len() < SYNC_BLOCKS_MAX
                && self.received_bytes.saturating_add(bytes) <= SYNC_BYTES_MAX;
            // What is next always has room, or a node whose store is full of later ones would stand still.
            if height == at.chain.next_height() || (height > at.chain.next_height() && has_room) {
                self.received_bytes = self.received_bytes.saturating_add(bytes);
                let received = Received { from, block: block.clone(), bytes };
                if let Some(before) = self.received.insert(height, received) {
                    self.received_bytes = self.received_bytes.saturating_sub(before.bytes);
                }
            }
        }
        true
    }

    /// Counts what is held afresh, and holds the bounds.
    ///
    /// # Errors
    /// The broken one, in words.
    pub(super) fn check_invariants(&self) -> Result<(), String> {
        let bytes: usize = self.received.values().map(|received| received.bytes).sum();
        let first = self.received.values().next().map_or(0, |received| received.bytes);
        let is_over = self.received.len() > SYNC_BLOCKS_MAX.saturating_add(1)
            || bytes.saturating_sub(first) > SYNC_BYTES_MAX
            || self.ranges.len() > RANGES_MAX;
        if bytes != self.received_bytes || is_over {
            return Err("INV-SYNC-2: more blocks of others than allowed, or counted wrongly".to_owned());
        }
        Ok(())
    }

    /// Takes the next received block, and checks commit, signatures and the whole transition of it.
    pub(super) fn next_block(&mut self, peers: &Peers, at: &Moment<'_>, out: &mut Outbox) -> NextBlock {
        let next = at.chain.next_height();
        let later = self.received.split_off(&next);
        for passed in std::mem::replace(&mut self.received, later).into_values() {
            self.received_bytes = self.received_bytes.saturating_sub(passed.bytes);
        }
        let Some(Received { from, block, bytes }) = self.received.remove(&next) else {
            return NextBlock::None;
        };
        self.received_bytes = self.received_bytes.saturating_sub(bytes);
        if block.block.header.prev_hash != at.state().tip_hash() && at.chain.height() > 0 {
            self.avoid(from, at);
            return NextBlock::OfOtherChain(from);
        }
        match check(&block, at) {
            Ok(committing) => {
                self.failing.remove(&from);
                // A block whose sender left since proves nobody: what is kept is of connected peers only.
                self.proven.extend(peers.is_connected(&from).then_some(from));
                NextBlock::Valid(Box::new(committing))
            }
            Err(problem) => {
                warn!(peer = %from.short(), height = next, problem, "A peer sent a bad block");
                out.misbehaved(from, "bad block");
                self.avoid(from, at);
                NextBlock::None
            }
        }
    }
}

fn check(committed: &CommittedBlock, at: &Moment<'_>) -> Result<Committing, String> {
    let (block, verifier) = (&committed.block, at.chain.verifier());
    // First, since it costs a peer most to make one.
    at.state().check_commit(&block.header, &committed.commit, verifier).map_err(|error| error.to_string())?;
    let (transactions, outcome) = transition::validate_block(at.state(), at.chain.utxos(), verifier, block)
        .map_err(|error| error.to_string())?;
    let (hash, committed) = (block.header.hash(), committed.clone());
    Ok(Committing { committed, hash, transactions, outcome, own: false })
}
