//! Whom a node asks for batches of votes that it lacks.
//!
//! What a peer says that it holds costs it nothing, so a word alone must not keep others from being asked. Peers have
//! their turns: who waited longest since it was asked, or came, is next, whoever speaks oftenest.
//!
//! # Invariants
//! - INV-PULL-1: of each member's batches one range is asked for at a time, of one peer. Whoever has not answered within
//!   [`HAND_ON_MS`] keeps it from no other one; whoever has not within [`REQUEST_TIMEOUT_MS`] is passed over for as long
//!   again, and twice as long each further time, up to [`PASS_OVER_MAX_MS`].
//! - INV-PULL-2: what a peer's answer did not contain is not asked of it again for [`ASK_AGAIN_MS`]. That is all that the
//!   end of an answer does.

use std::collections::BTreeMap;

use super::super::finality::ConsensusEngine;
use super::super::moment::Moment;
use super::super::outbox::Outbox;
use super::{REQUEST_TIMEOUT_MS, Statuses};
use crate::network::PeerId;
use crate::types::limits::REQUEST_BATCHES_MAX;
use crate::types::message::NodeStatus;
use crate::types::{Message, TimeMs};

/// How long a peer is not asked again for numbers that its answer did not contain, in milliseconds.
const ASK_AGAIN_MS: u64 = 2_000;
/// After so long without an answer another peer is asked as well, in milliseconds: longer than a way around the world.
pub(in crate::consensus) const HAND_ON_MS: u64 = 400;
/// The longest time that a silent peer is passed over, in milliseconds.
const PASS_OVER_MAX_MS: u64 = 64_000;

#[derive(Clone, Copy, Debug)]
struct Asked {
    until_seq: u64,
    asked_ms: TimeMs,
}

/// A connected peer.
#[derive(Clone, Copy, Debug)]
struct OfPeer {
    /// Grows from one that is asked, or comes, to the next.
    turn: u64,
    /// How often in a row it did not answer.
    silences: u32,
    /// Not asked before this.
    again_ms: TimeMs,
}

/// Which batches were asked for, and of whom.
#[derive(Debug, Default)]
pub(in crate::consensus) struct BatchRequests {
    peers: BTreeMap<PeerId, OfPeer>,
    next_turn: u64,
    /// Questions without an answer, by peer and the member's place in the epoch's set.
    open: BTreeMap<(PeerId, usize), Asked>,
    /// No open question is late before this.
    late_from_ms: TimeMs,
    /// When somebody was last asked for a member's, unless the answer has come.
    last_ms: BTreeMap<usize, TimeMs>,
    /// For peer and member, below which number the peer has given what it holds, and until when that is relied on.
    answered: BTreeMap<(PeerId, usize), (u64, TimeMs)>,
}

/// What pulls look at.
pub(in crate::consensus) struct Pull<'a> {
    pub(in crate::consensus) statuses: &'a Statuses,
    pub(in crate::consensus) finality: &'a ConsensusEngine,
    pub(in crate::consensus) at: &'a Moment<'a>,
}

impl Pull<'_> {
    /// What a peer says of this epoch.
    fn status(&self, peer: &PeerId) -> Option<&NodeStatus> {
        let status = self.statuses.get(peer)?.as_ref();
        status.filter(|status| status.epoch == self.finality.machine().epoch())
    }
}

impl BatchRequests {
    pub(in crate::consensus) fn connected(&mut self, peer: PeerId) {
        let turn = self.take_turn();
        self.peers.insert(peer, OfPeer { turn, silences: 0, again_ms: 0 });
    }

    pub(in crate::consensus) fn disconnected(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
        let (open, last_ms) = (&mut self.open, &mut self.last_ms);
        for ((_, member), asked) in open.extract_if((*peer, 0)..=(*peer, usize::MAX), |_, _| true) {
            if last_ms.get(&member) == Some(&asked.asked_ms) {
                last_ms.remove(&member);
            }
        }
        self.answered.retain(|(of, _), _| of != peer);
    }

    /// An epoch ended, and its numbers with it.
    pub(in crate::consensus) fn clear(&mut self) {
        self.open.clear();
        self.last_ms.clear();
        self.answered.clear();
    }

    fn take_turn(&mut self) -> u64 {
        self.next_turn = self.next_turn.saturating_add(1);
        self.next_turn
    }

    /// Whether `peer` was asked for this batch of a member, and has not ended its answer.
    pub(in crate::consensus) fn is_asked(&self, peer: &PeerId, member: usize, seq: u64) -> bool {
        self.open.get(&(*peer, member)).is_some_and(|asked| seq < asked.until_seq)
    }

    /// Whether a peer's word that it holds batches of a member from `end` on was found to be empty, or is not listened to.
    pub(in crate::consensus) fn is_empty_word(
        &self,
        peer: &PeerId,
        member: usize,
        end: u64,
        now_ms: TimeMs,
    ) -> bool {
        let of_peer = self.peers.get(peer);
        let is_silent = of_peer.is_none_or(|of_peer| now_ms < of_peer.again_ms);
        let answered = self.answered.get(&(*peer, member));
        is_silent || answered.is_some_and(|(before, until_ms)| *before > end && now_ms < *until_ms)
    }

    /// A peer said where it stands: asks for batches that it holds and this node lacks, whoever's turn it is.
    pub(in crate::consensus) fn pull(&mut self, from: PeerId, look: &Pull<'_>, out: &mut Outbox) {
        let members = look.status(&from).map_or(0, |status| status.batches.len());
        self.pass_over_silent(look.at.now_ms());
        for member in 0..members {
            self.pull_of(member, from, look, out);
        }
    }

    fn pass_over_silent(&mut self, now_ms: TimeMs) {
        if now_ms < self.late_from_ms {
            return;
        }
        let is_late = |asked: &Asked| now_ms >= asked.asked_ms.saturating_add(REQUEST_TIMEOUT_MS);
        while let Some(late) = self.open.iter().find(|(_, asked)| is_late(asked)).map(|((peer, _), _)| *peer)
        {
            // For all that it was asked at once.
            self.open.retain(|(peer, _), _| *peer != late);
            let Some(of_peer) = self.peers.get_mut(&late) else { continue };
            let doubled_ms = REQUEST_TIMEOUT_MS << of_peer.silences.min(u64::BITS / 2);
            of_peer.silences = of_peer.silences.saturating_add(1);
            of_peer.again_ms = now_ms.saturating_add(doubled_ms.min(PASS_OVER_MAX_MS));
        }
        // Questions that are asked from now on are late later.
        let oldest_ms = self.open.values().map(|asked| asked.asked_ms).min().unwrap_or(now_ms);
        self.late_from_ms = oldest_ms.saturating_add(REQUEST_TIMEOUT_MS);
    }

    /// The first number that a peer says it holds and this node lacks, and the end of what it holds.
    fn offer(&self, member: usize, peer: &PeerId, look: &Pull<'_>) -> Option<(u64, u64)> {
        let (now_ms, key) = (look.at.now_ms(), (*peer, member));
        if self.open.contains_key(&key) || now_ms < self.peers.get(peer)?.again_ms {
            return None;
        }
        let held = look.status(peer)?.batches.get(member)?;
        let answered = self.answered.get(&key).filter(|(_, until_ms)| now_ms < *until_ms);
        let first = held.from.max(answered.map_or(0, |(before, _)| *before));
        Some((look.finality.batches().first_lacking(member, first, held.until)?, held.until))
    }

    /// `of` has offered something: who waited longest of those that offer is asked, if nobody is or has had its time.
    fn pull_of(&mut self, member: usize, of: PeerId, look: &Pull<'_>, out: &mut Outbox) {
        let now_ms = look.at.now_ms();
        let is_taken = |last_ms: &TimeMs| now_ms < last_ms.saturating_add(HAND_ON_MS);
        let machine = look.finality.machine();
        let Some(validator) = machine.validators().get(member).map(|validator| validator.id) else { return };
        if self.last_ms.get(&member).is_some_and(is_taken) || self.offer(member, &of, look).is_none() {
            return;
        }
        let offers = look.statuses.keys().filter_map(|peer| Some((*peer, self.offer(member, peer, look)?)));
        let turn = |peer: &PeerId| self.peers.get(peer).map_or(u64::MAX, |of_peer| of_peer.turn);
        let Some((peer, (from_seq, until))) = offers.min_by_key(|(peer, _)| turn(peer)) else { return };
        let count = until.saturating_sub(from_seq).min(REQUEST_BATCHES_MAX);
        self.open
            .insert((peer, member), Asked { until_seq: from_seq.saturating_add(count), asked_ms: now_ms });
        self.last_ms.insert(member, now_ms);
        let turn = self.take_turn();
        if let Some(of_peer) = self.peers.get_mut(&peer) {
            of_peer.turn = turn;
        }
        out.send(peer, Message::GetBatches { epoch: machine.epoch(), validator, from_seq, count });
    }

    /// The end of an answer: what was not in it is not asked of this peer again soon, and what follows is asked for at
    /// once, of whoever's turn it is.
    pub(in crate::consensus) fn on_end(
        &mut self,
        from: PeerId,
        (member, before_seq): (usize, u64),
        look: &Pull<'_>,
        out: &mut Outbox,
    ) {
        let Some(asked) = self.open.remove(&(from, member)) else { return };
        self.last_ms.remove(&member);
        if let Some(of_peer) = self.peers.get_mut(&from) {
            of_peer.silences = 0;
        }
        let until_ms = look.at.now_ms().saturating_add(ASK_AGAIN_MS);
        self.answered.insert((from, member), (before_seq.min(asked.until_seq), until_ms));
        self.pull_of(member, from, look, out);
    }
}
