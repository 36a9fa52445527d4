//! Block sync: a node that is behind asks several peers for ranges of blocks and applies them in order. And
//! [`forks`]: what happens when a peer's blocks are other ones.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `ahead.rs`, `ahead_thread.rs` | which signatures are checked before their blocks |
//! | `forks.rs` | when two blocks of one height are a fork |
//!
//! # Invariants
//! - INV-SYNC-1: a block is applied only with a valid commit of its epoch's set and after full validation; its
//!   sender is blamed for a bad one, and the block is fetched elsewhere.
//! - INV-SYNC-2: at most [`RANGES_MAX`] ranges are asked for at a time, the next block's whatever else is, and up to
//!   [`SECOND_ASKS_MAX`] of other peers as well. [`SYNC_BLOCKS_MAX`] blocks with [`SYNC_BYTES_MAX`] encoded bytes are held,
//!   but for the next one, which always has room; where there is none, later blocks make room for earlier ones.
//! - INV-SYNC-4: a peer that keeps back what everything waits for costs [`SECOND_ASK_MS`], and is left alone once its time
//!   ([`REQUEST_TIMEOUT_MS`]) is over. What everything waits for is always asked for, however full the store is.
//! - INV-SYNC-6: of peers that may be asked those that delivered come first, then those that waited longest since they were
//!   asked or came. Whoever has many identities gets no more turns by that.
//! - INV-SYNC-5: a peer is scored for each empty answer to what it said it has, and for being late once in the time that it is
//!   left alone for that, which doubles: lateness alone, as on a slow line, is no ban.
//! - INV-SYNC-3: a peer's word about its height makes a node call itself behind only once the peer delivered a valid
//!   block, and no longer once it fails to deliver. Until then its word is good for being asked, no more.
//!
//! # How it keeps the machine busy
//! Answers are asked for ahead, two of each peer. Their signatures are checked on a thread of their own ([`ahead`]) while
//! earlier blocks are executed, and executed blocks wait for the disk together ([`COMMITTING_BLOCKS_MAX`]), which takes
//! them with one sync.
//!
//! Among chains that are offered only valid commits count, never length or arrival.

pub mod ahead;
pub mod ahead_thread;
pub(super) mod forks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tracing::{debug, error, warn};

use self::ahead::{BlocksToCheck, HeldSignatures, Remaining};
use self::forks::Forks;
#[cfg(doc)]
use super::blocks::COMMITTING_BLOCKS_MAX;
use super::chain::Committing;
use super::events::{Output, Shortfall};
use super::moment::Moment;
use super::outbox::Outbox;
use super::peers::{Peers, REQUEST_TIMEOUT_MS};
use super::trust::Distrust;
use crate::network::PeerId;
use crate::protocol::state::LedgerState;
use crate::protocol::transition;
use crate::protocol::validity::UtxoReader;
use crate::types::codec::encode;
use crate::types::{CommittedBlock, Height, Message, Released, SignatureCheck, TimeMs};

/// Ranges that are asked for at a time: two each of eight peers.
const RANGES_MAX: usize = 16;
/// Peers that are asked for the range that everything waits for, at most.
const NEXT_ASKS_MAX: usize = 4;
/// Ranges that are asked of further peers, at most: one each [`SECOND_ASK_MS`] until the first of them is late.
const SECOND_ASKS_MAX: usize = (REQUEST_TIMEOUT_MS / SECOND_ASK_MS) as usize + 1;
/// Ranges that are asked of one peer at a time: it reads the second one while the first one is on its way.
const RANGES_PER_PEER_MAX: usize = 2;
/// Blocks in a range.
const RANGE_BLOCKS: u64 = 64;
/// Blocks that are held before they are applied.
pub const SYNC_BLOCKS_MAX: usize = 1_024;
/// How long the range that everything waits for may take before another peer is asked for it as well.
pub(super) const SECOND_ASK_MS: u64 = 400;
/// Memory of signatures that were checked ahead, at most: a block has 64 bytes or more for each, and a set of them has
/// twice the room that they take.
pub const HELD_SIGNATURES_BYTES_MAX: usize = SYNC_BYTES_MAX / 64 * 2 * size_of::<SignatureCheck>();
/// How often it is said that no peer has the next block, or that the tip is too old.
const TELL_AGAIN_MS: u64 = 600_000;
/// Encoded bytes of the blocks that are held, at most: an answer that passes it is cut, and asked for again.
pub const SYNC_BYTES_MAX: usize = 32 << 20;
/// A node that is one block behind asks for it only after this long: it is probably about to commit it itself.
const PATIENCE_MS: u64 = 300;
/// So long after the first word of a peer it is taken that nobody is further unless somebody has shown it: liars who come one
/// after the other can't keep a node from being ready.
const TARGET_UNKNOWN_MS: u64 = 3 * REQUEST_TIMEOUT_MS;
/// How long a peer that failed to deliver is not asked again, the first time.
const AVOID_MS: u64 = 10_000;
/// It doubles with each further failure up to this many times.
const AVOID_DOUBLINGS_MAX: u32 = 6;

#[derive(Clone, Copy, Debug)]
struct Range {
    peer: PeerId,
    from: Height,
    count: u64,
    asked_ms: TimeMs,
    /// Somebody else was asked for it before.
    is_second: bool,
}

impl Range {
    const fn covers(&self, height: Height) -> bool {
        height >= self.from && height < self.from.saturating_add(self.count)
    }
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
    /// The answer that it came in.
    answer: u64,
    /// The signatures that hold, once they were looked at.
    held: Option<Arc<HeldSignatures>>,
}

/// What the next block follows: the state and the outputs behind all blocks that are applied or on their way to the log.
pub(super) struct Base<'a> {
    pub(super) state: &'a LedgerState,
    pub(super) utxos: &'a dyn UtxoReader,
}

/// What was asked for and what arrived.
#[derive(Debug, Default)]
pub(super) struct BlockSync {
    ranges: Vec<Range>,
    received: BTreeMap<Height, Received>,
    received_bytes: usize,
    /// Answers so far.
    answers: u64,
    /// What an answer has in bytes: of the last ones the largest, half of it with each further one.
    answer_bytes: usize,
    /// The turn in which a peer was last asked, or first seen to be ahead.
    turns: BTreeMap<PeerId, u64>,
    next_turn: u64,
    behind_since_ms: Option<TimeMs>,
    failing: BTreeMap<PeerId, Failing>,
    /// Connected peers that delivered a valid block and did not fail since.
    proven: BTreeSet<PeerId>,
    target: Height,
    /// Whether it was ever clear that no peer is further, or how far.
    knows_target: bool,
    /// When a peer first said where it stands.
    first_heard_ms: Option<TimeMs>,
    /// When it is said again that no peer has the next block.
    told_of_horizons_ms: TimeMs,
    /// When it is said again that the tip is too old.
    told_of_age_ms: TimeMs,
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
        self.turns.remove(peer);
        // What nobody vouches for any more takes no room.
        if !self.proven.remove(peer) {
            self.drop_received(peer);
        }
    }

    fn drop_received(&mut self, peer: &PeerId) {
        let bytes = &mut self.received_bytes;
        self.received.retain(|_, received| {
            let stays = received.from != *peer;
            if !stays {
                *bytes = bytes.saturating_sub(received.bytes);
            }
            stays
        });
    }

    fn take_turn(&mut self, peer: PeerId) {
        self.next_turn = self.next_turn.saturating_add(1);
        self.turns.insert(peer, self.next_turn);
    }

    /// Less for who is asked first.
    fn order(&self, peer: &PeerId) -> (bool, usize, u64) {
        let turn = self.turns.get(peer).copied().unwrap_or(u64::MAX);
        (!self.proven.contains(peer), self.busy(peer), turn)
    }

    /// The highest block that a peer says it has, of those that delivered what they said so far.
    pub(super) const fn target(&self) -> Height {
        self.target
    }

    /// Whether it is clear since the start whether peers are further. A peer's word alone does not tell; it delivers what it
    /// says it has, or it is not believed.
    pub(super) const fn knows_target(&self) -> bool {
        self.knows_target
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
        self.drop_received(&peer);
    }

    fn is_avoided(&self, peer: &PeerId, now_ms: TimeMs) -> bool {
        self.failing.get(peer).is_some_and(|failing| now_ms < failing.until_ms)
    }

    /// The first height from `from` that is neither here nor asked for, and how many follow it.
    fn next_gap(&self, from: Height, target: Height) -> Option<(Height, u64)> {
        let covered = |height: Height| {
            self.received.contains_key(&height) || self.ranges.iter().any(|range| range.covers(height))
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
        next: Height,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        let (now_ms, height) = (at.now_ms(), at.chain.height());
        if self.is_too_old(at) {
            return;
        }
        let is_late = |range: &&Range| now_ms >= range.asked_ms.saturating_add(REQUEST_TIMEOUT_MS);
        // Once each, whatever it was asked for.
        let late: BTreeSet<PeerId> = self.ranges.iter().filter(is_late).map(|range| range.peer).collect();
        for peer in late {
            debug!(peer = %peer.short(), "No blocks within the deadline; asking others");
            // On a slow line all are late again and again, and are asked for want of others.
            if !self.is_avoided(&peer, now_ms) {
                out.failed(peer, Shortfall::Late);
            }
            self.avoid(peer, at);
        }
        let ahead: Vec<(PeerId, Height)> = peers
            .heights_from(height.saturating_add(1))
            .filter(|(peer, theirs)| *theirs > height && !forks.is_apart(peer, now_ms))
            .collect();
        self.tell_of_horizons(peers, at);
        let in_order: Vec<(PeerId, Height)> =
            ahead.iter().filter(|(peer, _)| !self.is_avoided(peer, now_ms)).copied().collect();
        let highest = |peers: &[(PeerId, Height)]| peers.iter().map(|(_, theirs)| *theirs).max();
        let of_proven = in_order.iter().filter(|(peer, _)| self.proven.contains(peer));
        self.target = of_proven.map(|(_, theirs)| *theirs).max().unwrap_or(height);
        self.learn_target(peers, highest(&in_order), at);
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
        if waits {
            return;
        }
        for (peer, _) in &ahead {
            if !self.turns.contains_key(peer) {
                self.take_turn(*peer);
            }
        }
        self.ask_again(next, &ahead, at, out);
        self.ask((next, goal), &ahead, at, out);
    }

    /// `goal` is the highest block of which peers say that they have it, and did not fail to deliver.
    fn learn_target(&mut self, peers: &Peers, goal: Option<Height>, at: &Moment<'_>) {
        if self.knows_target || peers.heights().next().is_none() {
            return;
        }
        let since = *self.first_heard_ms.get_or_insert(at.now_ms());
        // The block that is being decided is nobody's lead.
        let nobody_is_further = goal.is_none_or(|goal| goal <= at.chain.height().saturating_add(1));
        let is_over = at.now_ms() >= since.saturating_add(TARGET_UNKNOWN_MS);
        self.knows_target = nobody_is_further || !self.proven.is_empty() || is_over;
    }

    /// Whether the tip is too old to believe what follows it, and nobody vouches for it; says so from time to time.
    fn is_too_old(&mut self, at: &Moment<'_>) -> bool {
        let Err(distrust) = at.chain.check_age(at.state(), at.now.wall_ms) else { return false };
        if at.now_ms() >= self.told_of_age_ms {
            self.told_of_age_ms = at.now_ms().saturating_add(TELL_AGAIN_MS);
            error!(%distrust, "Peers are asked for no blocks");
        }
        true
    }

    /// Says when everybody who is further has pruned what this node lacks: it would wait for ever.
    fn tell_of_horizons(&mut self, peers: &Peers, at: &Moment<'_>) {
        let (now_ms, height) = (at.now_ms(), at.chain.height());
        if now_ms < self.told_of_horizons_ms || !peers.nobody_has(height.saturating_add(1)) {
            return;
        }
        self.told_of_horizons_ms = now_ms.saturating_add(TELL_AGAIN_MS);
        warn!(
            height,
            "No peer has the next block any more: they began later or have pruned it. Name a peer in [network] bootstrap_peers \
             that keeps all blocks, or move blocks/ and the index aside to begin again with a snapshot"
        );
    }

    /// Asks another peer as well for the range that everything waits for, if the last one takes long: whoever keeps it back
    /// costs this much and no deadline.
    fn ask_again(&mut self, next: Height, ahead: &[(PeerId, Height)], at: &Moment<'_>, out: &mut Outbox) {
        let asked: Vec<Range> = self.ranges.iter().filter(|range| range.covers(next)).copied().collect();
        let Some(range) = asked.iter().max_by_key(|range| range.asked_ms) else { return };
        let is_slow = at.now_ms() >= range.asked_ms.saturating_add(SECOND_ASK_MS);
        let seconds = self.ranges.iter().filter(|range| range.is_second).count();
        let are_enough = asked.len() >= NEXT_ASKS_MAX || seconds >= SECOND_ASKS_MAX;
        if self.received.contains_key(&next) || are_enough || !is_slow {
            return;
        }
        let last = range.from.saturating_add(range.count).saturating_sub(1);
        let is_other = |peer: &PeerId| asked.iter().all(|range| range.peer != *peer);
        let others = ahead.iter().filter(|(peer, _)| is_other(peer));
        if let Some((peer, theirs)) = self.whom_to_ask(next, others) {
            let count = last.min(theirs).saturating_sub(next).saturating_add(1);
            self.ask_for(peer, (next, count), true, at, out);
        }
    }

    fn ask_for(
        &mut self,
        peer: PeerId,
        (from, count): (Height, u64),
        is_second: bool,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        self.take_turn(peer);
        self.ranges.push(Range { peer, from, count, asked_ms: at.now_ms(), is_second });
        out.send(peer, Message::GetBlocks { from, count });
    }

    /// Ranges that a peer is asked for.
    fn busy(&self, peer: &PeerId) -> usize {
        self.ranges.iter().filter(|range| range.peer == *peer).count()
    }

    fn ask(
        &mut self,
        (first, goal): (Height, Height),
        ahead: &[(PeerId, Height)],
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        while let Some((from, count)) = self.next_gap(first, goal) {
            // What everything waits for is asked for, whatever else is.
            let firsts = self.ranges.iter().filter(|range| !range.is_second).count();
            // What has no room when it comes would be thrown away, and asked for again at once.
            let on_their_way = self.ranges.len().saturating_add(1).saturating_mul(self.answer_bytes);
            let has_room = self.received_bytes.saturating_add(on_their_way) <= SYNC_BYTES_MAX;
            if from != first && (firsts >= RANGES_MAX || !has_room) {
                return;
            }
            let Some((peer, theirs)) = self.whom_to_ask(from, ahead) else { return };
            let count = count.min(theirs.saturating_sub(from).saturating_add(1));
            self.ask_for(peer, (from, count), false, at, out);
        }
    }

    /// Who is asked for this block and those behind it, and up to which height it has them. That somebody says it has more
    /// than others is no reason to ask it: the range is cut to what the peer has whose turn it is.
    fn whom_to_ask<'a>(
        &self,
        from: Height,
        among: impl IntoIterator<Item = &'a (PeerId, Height)>,
    ) -> Option<(PeerId, Height)> {
        let able = among.into_iter().filter(|(_, theirs)| *theirs >= from);
        let able = able.filter(|(peer, _)| self.busy(peer) < RANGES_PER_PEER_MAX);
        able.min_by_key(|(peer, _)| self.order(peer)).copied()
    }

    /// Later blocks go where there is no room for one of this height: who sent them may have made them up.
    fn make_room(&mut self, height: Height, bytes: usize) {
        while self.received_bytes.saturating_add(bytes) > SYNC_BYTES_MAX
            && let Some(last) = self.received.last_entry().filter(|last| *last.key() > height)
        {
            let gone = last.remove();
            self.received_bytes = self.received_bytes.saturating_sub(gone.bytes);
        }
    }

    /// Whether these blocks answer a request of this sync; if so they are taken.
    pub(super) fn on_blocks(
        &mut self,
        from: PeerId,
        blocks: &[Released<CommittedBlock>],
        next: Height,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) -> bool {
        let Some(first) = blocks.first().map(|block| block.block.header.height) else {
            // An empty answer: the peer has nothing of what it said it had.
            if self.ranges.iter().any(|range| range.peer == from) {
                out.failed(from, Shortfall::Empty);
                self.avoid(from, at);
            }
            return true;
        };
        let asked = self.ranges.iter().position(|range| range.peer == from && range.from == first);
        let Some(place) = asked else { return false };
        let range = self.ranges.swap_remove(place);
        self.answers = self.answers.wrapping_add(1);
        let (answer, mut taken, mut taken_bytes) = (self.answers, Vec::new(), 0_usize);
        let mut answer_bytes = 0_usize;
        for (height, block) in (first..first.saturating_add(range.count)).zip(blocks) {
            if block.block.header.height != height {
                out.misbehaved(from, "blocks out of order");
                self.avoid(from, at);
                break;
            }
            let bytes = encode(&**block).len();
            answer_bytes = answer_bytes.saturating_add(bytes);
            let is_new = height >= next && !self.received.contains_key(&height);
            if is_new {
                self.make_room(height, bytes);
            }
            let has_room = self.received.len() < SYNC_BLOCKS_MAX
                && self.received_bytes.saturating_add(bytes) <= SYNC_BYTES_MAX;
            // What is next always has room, or a node whose store is full of later ones would stand still.
            if is_new && (height == next || has_room) {
                self.received_bytes = self.received_bytes.saturating_add(bytes);
                let received = Received { from, block: block.clone(), bytes, answer, held: None };
                self.received.insert(height, received);
                taken.push(block.clone());
                taken_bytes = taken_bytes.saturating_add(bytes);
            }
        }
        self.answer_bytes = answer_bytes.max(self.answer_bytes / 2);
        if !taken.is_empty() {
            let (chain_id, set) = (*at.chain.chain_id(), Arc::clone(at.state().validators()));
            let order = BlocksToCheck { answer, blocks: taken, bytes: taken_bytes, chain_id, set };
            out.push(Output::CheckBlocks(order));
        }
        true
    }

    /// The signatures of an answer's blocks were looked at: these blocks are ready.
    pub(super) fn on_checked(&mut self, answer: u64, held: &Arc<HeldSignatures>) {
        for received in self.received.values_mut().filter(|received| received.answer == answer) {
            received.held = Some(Arc::clone(held));
        }
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
            || self.ranges.iter().filter(|range| range.is_second).count() > SECOND_ASKS_MAX
            // Each that was passed and is not late yet was passed by a second one.
            || self.ranges.iter().filter(|range| !range.is_second).count() > RANGES_MAX + SECOND_ASKS_MAX;
        if bytes != self.received_bytes || is_over {
            return Err("INV-SYNC-2: more blocks of others than allowed, or counted wrongly".to_owned());
        }
        Ok(())
    }

    /// Takes the next received block if it is ready, and checks commit, signatures and the whole transition of it.
    pub(super) fn next_block(
        &mut self,
        peers: &Peers,
        base: &Base<'_>,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) -> NextBlock {
        let next = base.state.height().saturating_add(1);
        let later = self.received.split_off(&next);
        for passed in std::mem::replace(&mut self.received, later).into_values() {
            self.received_bytes = self.received_bytes.saturating_sub(passed.bytes);
        }
        let is_tip = base.state.height() == at.chain.height();
        let follows = |received: &Received| {
            received.block.block.header.prev_hash == base.state.tip_hash() || base.state.height() == 0
        };
        let is_ready = |received: &Received| received.held.is_some() && (is_tip || follows(received));
        // What does not follow a block that is being written is looked at again when that one is the tip.
        if !self.received.get(&next).is_some_and(is_ready) {
            return NextBlock::None;
        }
        let Some(received) = self.received.remove(&next) else { return NextBlock::None };
        self.received_bytes = self.received_bytes.saturating_sub(received.bytes);
        let from = received.from;
        if !follows(&received) {
            self.avoid(from, at);
            return NextBlock::OfOtherChain(from);
        }
        match check(&received, base, at) {
            Ok(Checked::Distrusted(distrust)) => {
                // Its sender may be right, and the operator wrong.
                error!(peer = %from.short(), %distrust, "A block with a quorum's signatures is not taken");
                self.avoid(from, at);
                NextBlock::None
            }
            Ok(Checked::Valid(committing)) => {
                self.failing.remove(&from);
                // A block whose sender left since proves nobody: what is kept is of connected peers only.
                self.proven.extend(peers.is_connected(&from).then_some(from));
                NextBlock::Valid(committing)
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

/// A block with a valid commit, which follows from the state.
enum Checked {
    Valid(Box<Committing>),
    /// This node does not rely on its signatures alone.
    Distrusted(Distrust),
}

fn check(received: &Received, base: &Base<'_>, at: &Moment<'_>) -> Result<Checked, String> {
    let (committed, nothing) = (&*received.block, HeldSignatures::default());
    let held = received.held.as_deref().unwrap_or(&nothing);
    let (block, verifier) = (&committed.block, &Remaining { held, verifier: at.chain.verifier() });
    // First, since it costs a peer most to make one.
    base.state.check_commit(&block.header, &committed.commit, verifier).map_err(|error| error.to_string())?;
    if let Err(distrust) = at.chain.check_next(base.state, &block.header, at.now.wall_ms) {
        return Ok(Checked::Distrusted(distrust));
    }
    let (transactions, outcome) = transition::validate_block(base.state, base.utxos, verifier, block)
        .map_err(|error| error.to_string())?;
    let (hash, committed) = (block.header.hash(), committed.clone());
    let committing = Committing { committed, hash, transactions, outcome, own: false };
    Ok(Checked::Valid(Box::new(committing)))
}
