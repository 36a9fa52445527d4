//! Whom a node asks for batches of votes that it lacks.
//!
//! What a peer says that it holds costs it nothing, so a word alone must not keep others from being asked. Peers have
//! their turns: those whose answers brought something come first, then who waited longest since it was asked, or came.
//! Whoever speaks oftenest gains nothing by that.
//!
//! # Invariants
//! - INV-PULL-1: of each member's batches one range is asked for at a time, of one peer. A peer that gives nothing for
//!   [`HAND_ON_MS`], or takes more than [`REQUEST_TIMEOUT_MS`], keeps the range from no other one. Whoever gives nothing for
//!   [`REQUEST_TIMEOUT_MS`] is asked for want of others alone for as long again, and twice as long each further time, up to
//!   [`PASS_OVER_MAX_MS`].
//! - INV-PULL-2: what a peer's answer did not contain is not asked of it again for [`ASK_AGAIN_MS`]: nothing of that member
//!   if it is one of many empty answers. That is all that the end of an answer does.
//! - INV-PULL-4: a peer's word counts up to [`CLAIM_AHEAD_MAX`] numbers behind the last that was received of a member.

use std::collections::{BTreeMap, BTreeSet};

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
/// Answers in a row that bring nothing, before a peer's next one ends what it is asked of that member for a while.
const EMPTIES_MAX: u32 = 2;
/// How far behind the last number that was received a peer's word is good, in batches: two seconds' of a busy member.
const CLAIM_AHEAD_MAX: u64 = 1_024;

/// A question without an answer.
#[derive(Clone, Copy, Debug)]
struct Asked {
    from_seq: u64,
    until_seq: u64,
    /// When it was asked, or last gave something.
    heard_ms: TimeMs,
    has_given: bool,
}

/// A connected peer.
#[derive(Clone, Copy, Debug)]
struct OfPeer {
    /// Grows from one that is asked, or comes, to the next.
    turn: u64,
    /// Whether its last answer brought something.
    gives: bool,
    /// How many answers in a row brought nothing.
    empties: u32,
    /// How often in a row it did not answer.
    silences: u32,
    /// Asked for want of others alone before this.
    again_ms: TimeMs,
}

/// Who was asked last for a member's batches.
#[derive(Clone, Copy, Debug)]
struct Last {
    peer: PeerId,
    asked_ms: TimeMs,
    heard_ms: TimeMs,
}

/// Which batches were asked for, and of whom.
#[derive(Debug, Default)]
pub(in crate::consensus) struct BatchRequests {
    peers: BTreeMap<PeerId, OfPeer>,
    next_turn: u64,
    /// By peer and the member's place in the epoch's set.
    open: BTreeMap<(PeerId, usize), Asked>,
    /// No open question is late before this.
    late_from_ms: TimeMs,
    /// Questions that were given up: their answers may come all the same.
    given_up: BTreeSet<(PeerId, usize)>,
    /// By the member's place, unless the answer has come.
    last: BTreeMap<usize, Last>,
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
        self.peers.insert(peer, OfPeer { turn, gives: false, empties: 0, silences: 0, again_ms: 0 });
    }

    pub(in crate::consensus) fn disconnected(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
        self.open.retain(|(of, _), _| of != peer);
        self.given_up.retain(|(of, _)| of != peer);
        self.last.retain(|_, last| last.peer != *peer);
        self.answered.retain(|(of, _), _| of != peer);
    }

    /// An epoch ended, and its numbers with it.
    pub(in crate::consensus) fn clear(&mut self) {
        self.open.clear();
        self.given_up.clear();
        self.last.clear();
        self.answered.clear();
    }

    fn take_turn(&mut self) -> u64 {
        self.next_turn = self.next_turn.saturating_add(1);
        self.next_turn
    }

    /// A new batch of a member has come from a peer. Whether the peer was asked for it, and has not ended its answer.
    pub(in crate::consensus) fn note(
        &mut self,
        peer: &PeerId,
        member: usize,
        seq: u64,
        now_ms: TimeMs,
    ) -> bool {
        let Some(asked) = self.open.get_mut(&(*peer, member)).filter(|asked| seq < asked.until_seq) else {
            return false;
        };
        (asked.heard_ms, asked.has_given) = (now_ms, true);
        if let Some(last) = self.last.get_mut(&member).filter(|last| last.peer == *peer) {
            last.heard_ms = now_ms;
        }
        true
    }

    /// Whether a peer's word that it holds batches of a member from `end` on was found to be empty.
    pub(in crate::consensus) fn is_empty_word(
        &self,
        peer: &PeerId,
        member: usize,
        end: u64,
        now_ms: TimeMs,
    ) -> bool {
        let is_silent =
            self.peers.get(peer).is_none_or(|of_peer| of_peer.silences > 1 && now_ms < of_peer.again_ms);
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
        let is_late = |asked: &Asked| now_ms >= asked.heard_ms.saturating_add(REQUEST_TIMEOUT_MS);
        let late: BTreeSet<PeerId> =
            self.open.iter().filter(|(_, asked)| is_late(asked)).map(|((peer, _), _)| *peer).collect();
        // For all that it was asked at once.
        let given_up = &mut self.given_up;
        self.open.retain(|of, _| {
            let is_late = late.contains(&of.0);
            if is_late {
                given_up.insert(*of);
            }
            !is_late
        });
        late.iter().for_each(|peer| self.was_silent(peer, now_ms));
        // Questions that are asked from now on are late later.
        let oldest_ms = self.open.values().map(|asked| asked.heard_ms).min().unwrap_or(now_ms);
        self.late_from_ms = oldest_ms.saturating_add(REQUEST_TIMEOUT_MS);
    }

    fn was_silent(&mut self, peer: &PeerId, now_ms: TimeMs) {
        if let Some(of_peer) = self.peers.get_mut(peer) {
            let doubled_ms = REQUEST_TIMEOUT_MS << of_peer.silences.min(u64::BITS / 2);
            of_peer.silences = of_peer.silences.saturating_add(1);
            of_peer.gives = false;
            of_peer.again_ms = now_ms.saturating_add(doubled_ms.min(PASS_OVER_MAX_MS));
        }
    }

    /// The first number that a peer says it holds and this node lacks, and the end of what it holds.
    fn offer(&self, member: usize, peer: &PeerId, look: &Pull<'_>) -> Option<(u64, u64)> {
        let (now_ms, key) = (look.at.now_ms(), (*peer, member));
        if self.open.contains_key(&key) {
            return None;
        }
        let held = look.status(peer)?.batches.get(member)?;
        let answered = self.answered.get(&key).filter(|(_, until_ms)| now_ms < *until_ms);
        let first = held.from.max(answered.map_or(0, |(before, _)| *before));
        let mine = look.finality.batches();
        let until = held.until.min(mine.end(member).max(held.from).saturating_add(CLAIM_AHEAD_MAX));
        Some((mine.first_lacking(member, first, until)?, until))
    }

    /// Less for who is asked first.
    fn order(&self, peer: &PeerId, now_ms: TimeMs) -> (TimeMs, bool, u64) {
        let of_peer = self.peers.get(peer);
        let again_ms = of_peer.map_or(TimeMs::MAX, |of_peer| of_peer.again_ms);
        let passed_over = if now_ms < again_ms { again_ms } else { 0 };
        of_peer.map_or((passed_over, true, u64::MAX), |of_peer| (passed_over, !of_peer.gives, of_peer.turn))
    }

    /// `of` has offered something: who is first of those that offer is asked, if nobody is or has had its time.
    fn pull_of(&mut self, member: usize, of: PeerId, look: &Pull<'_>, out: &mut Outbox) {
        let now_ms = look.at.now_ms();
        let has_its_time = |last: &Last| {
            now_ms < last.heard_ms.saturating_add(HAND_ON_MS)
                && now_ms < last.asked_ms.saturating_add(REQUEST_TIMEOUT_MS)
        };
        let machine = look.finality.machine();
        let Some(validator) = machine.validators().get(member).map(|validator| validator.id) else { return };
        if self.last.get(&member).is_some_and(has_its_time) || self.offer(member, &of, look).is_none() {
            return;
        }
        let offers = look.statuses.keys().filter_map(|peer| Some((*peer, self.offer(member, peer, look)?)));
        let first = offers.min_by_key(|(peer, _)| self.order(peer, now_ms));
        let Some((peer, (from_seq, until))) = first else { return };
        let count = until.saturating_sub(from_seq).min(REQUEST_BATCHES_MAX);
        let until_seq = from_seq.saturating_add(count);
        self.open.insert((peer, member), Asked { from_seq, until_seq, heard_ms: now_ms, has_given: false });
        self.given_up.remove(&(peer, member));
        self.last.insert(member, Last { peer, asked_ms: now_ms, heard_ms: now_ms });
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
        let now_ms = look.at.now_ms();
        if self.given_up.remove(&(from, member))
            && let Some(of_peer) = self.peers.get_mut(&from)
        {
            // It is slow, and not silent.
            (of_peer.silences, of_peer.again_ms) = (0, 0);
        }
        let Some(asked) = self.open.remove(&(from, member)) else { return };
        if self.last.get(&member).is_some_and(|last| last.peer == from) {
            self.last.remove(&member);
        }
        // An answer begins where it was asked to, and may say that nothing is held for some way behind it.
        let is_answer = before_seq > asked.from_seq;
        let held =
            look.status(&from).and_then(|status| status.batches.get(member)).map_or(0, |held| held.until);
        let mut before = if is_answer { before_seq.min(asked.until_seq.max(held)) } else { asked.until_seq };
        if !is_answer {
            self.was_silent(&from, now_ms);
        } else if let Some(of_peer) = self.peers.get_mut(&from) {
            of_peer.silences = 0;
            of_peer.gives = asked.has_given;
            of_peer.empties = if asked.has_given { 0 } else { of_peer.empties.saturating_add(1) };
            if of_peer.empties > EMPTIES_MAX {
                before = u64::MAX;
            }
        }
        self.answered.insert((from, member), (before, now_ms.saturating_add(ASK_AGAIN_MS)));
        self.pull_of(member, from, look, out);
    }
}
