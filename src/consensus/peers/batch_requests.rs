//! Whom a node asks for batches of votes that it lacks.
//!
//! What a peer says that it holds costs it nothing, so a word alone must not keep others from being asked. Peers have
//! their turns: who waited longest since it was asked, or came, is next, whoever speaks oftenest.
//!
//! # Invariants
//! - INV-PULL-1: of each member's batches one range is asked for at a time, of one peer. It keeps its turn for
//!   [`IN_A_ROW_MAX`] answers and [`TURN_MAX_MS`], as long as it gives something every [`HAND_ON_MS`] and with all answers
//!   but one. Then whoever waited longest to be asked of that member is. Who gives nothing
//!   at all for [`REQUEST_TIMEOUT_MS`] is passed over for as long again, and twice as long each further time, up to
//!   [`PASS_OVER_MAX_MS`], or until its answer comes all the same.
//! - INV-PULL-2: what a peer's answer did not contain is not asked of it again for [`ASK_AGAIN_MS`]. That is all that the
//!   end of an answer does.

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
const PASS_OVER_MAX_MS: u64 = 16_000;
/// Answers of one peer about a member before it is another's turn.
const IN_A_ROW_MAX: u32 = 16;
/// How long a turn lasts at most, in milliseconds: whoever gives little by little keeps nobody out for longer.
const TURN_MAX_MS: u64 = 4_000;

/// A question without an answer.
#[derive(Clone, Copy, Debug)]
struct Asked {
    from_seq: u64,
    until_seq: u64,
    asked_ms: TimeMs,
    has_given: bool,
}

/// A connected peer.
#[derive(Clone, Copy, Debug)]
struct OfPeer {
    /// Its turn among those that were not asked of a member yet: when it came.
    turn: u64,
    /// When it last gave something that it was asked for, of whichever member.
    heard_ms: TimeMs,
    /// How often in a row it did not answer.
    silences: u32,
    /// Not asked before this.
    again_ms: TimeMs,
}

/// Whose turn it is to be asked for a member's batches.
#[derive(Clone, Copy, Debug)]
struct Turn {
    peer: PeerId,
    began_ms: TimeMs,
    asked_ms: TimeMs,
    answers: u32,
    /// Whether it has passed a hole: one answer without batches is no reason to ask another one.
    has_jumped: bool,
}

/// Which batches were asked for, and of whom.
#[derive(Debug, Default)]
pub(in crate::consensus) struct BatchRequests {
    peers: BTreeMap<PeerId, OfPeer>,
    next_turn: u64,
    /// When a peer was last asked of a member: who is asked of others all the time waits no longer for that.
    last_turns: BTreeMap<(PeerId, usize), u64>,
    /// By peer and the member's place in the epoch's set.
    open: BTreeMap<(PeerId, usize), Asked>,
    /// No open question is late before this.
    late_from_ms: TimeMs,
    /// Questions that were given up: their answers may come all the same.
    given_up: BTreeSet<(PeerId, usize)>,
    /// By the member's place, while a question is open.
    turns: BTreeMap<usize, Turn>,
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
        self.peers.insert(peer, OfPeer { turn, heard_ms: 0, silences: 0, again_ms: 0 });
    }

    pub(in crate::consensus) fn disconnected(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
        self.last_turns.retain(|(of, _), _| of != peer);
        self.open.retain(|(of, _), _| of != peer);
        self.given_up.retain(|(of, _)| of != peer);
        self.turns.retain(|_, turn| turn.peer != *peer);
        self.answered.retain(|(of, _), _| of != peer);
    }

    /// An epoch ended, and its numbers with it.
    pub(in crate::consensus) fn clear(&mut self) {
        self.last_turns.clear();
        self.open.clear();
        self.given_up.clear();
        self.turns.clear();
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
        let asked = self.open.get_mut(&(*peer, member));
        let Some(asked) = asked.filter(|asked| (asked.from_seq..asked.until_seq).contains(&seq)) else {
            return false;
        };
        asked.has_given = true;
        if let Some(of_peer) = self.peers.get_mut(peer) {
            of_peer.heard_ms = now_ms;
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
        let of_peer = self.peers.get(peer);
        let is_silent = of_peer.is_none_or(|of_peer| of_peer.silences > 1 && now_ms < of_peer.again_ms);
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

    /// When a peer last gave something, or was asked so.
    fn heard_ms(&self, peer: &PeerId, asked_ms: TimeMs) -> TimeMs {
        self.peers.get(peer).map_or(asked_ms, |of_peer| of_peer.heard_ms.max(asked_ms))
    }

    fn pass_over_silent(&mut self, now_ms: TimeMs) {
        if now_ms < self.late_from_ms {
            return;
        }
        let due_ms = |peer: &PeerId, asked: &Asked| {
            self.heard_ms(peer, asked.asked_ms).saturating_add(REQUEST_TIMEOUT_MS)
        };
        let late: Vec<(PeerId, usize)> = self
            .open
            .iter()
            .filter(|(of, asked)| now_ms >= due_ms(&of.0, asked))
            .map(|(of, _)| *of)
            .collect();
        // Questions that are asked from now on are late later.
        let waiting =
            self.open.iter().map(|(of, asked)| due_ms(&of.0, asked)).filter(|due_ms| *due_ms > now_ms);
        self.late_from_ms = waiting.min().unwrap_or_else(|| now_ms.saturating_add(REQUEST_TIMEOUT_MS));
        let silent: BTreeSet<PeerId> = late.iter().map(|(peer, _)| *peer).collect();
        for of in late {
            self.open.remove(&of);
            self.given_up.insert(of);
        }
        for peer in silent {
            let Some(of_peer) = self.peers.get_mut(&peer) else { continue };
            let doubled_ms = REQUEST_TIMEOUT_MS << of_peer.silences.min(u64::BITS / 2);
            of_peer.silences = of_peer.silences.saturating_add(1);
            of_peer.again_ms = now_ms.saturating_add(doubled_ms.min(PASS_OVER_MAX_MS));
        }
    }

    /// The first number that a peer says it holds and this node lacks, and the end of what it holds; if it may be asked.
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

    /// `of` has offered something: who waited longest of those that offer is asked, if nobody's turn goes on.
    fn pull_of(&mut self, member: usize, of: PeerId, look: &Pull<'_>, out: &mut Outbox) {
        let now_ms = look.at.now_ms();
        let goes_on = |turn: &Turn| {
            now_ms < self.heard_ms(&turn.peer, turn.asked_ms).saturating_add(HAND_ON_MS)
                && now_ms < turn.began_ms.saturating_add(TURN_MAX_MS)
        };
        if self.turns.get(&member).is_some_and(goes_on) || self.offer(member, &of, look).is_none() {
            return;
        }
        let offers = look.statuses.keys().filter_map(|peer| Some((*peer, self.offer(member, peer, look)?)));
        let came = |peer: &PeerId| self.peers.get(peer).map_or(u64::MAX, |of_peer| of_peer.turn);
        let turn =
            |peer: &PeerId| self.last_turns.get(&(*peer, member)).copied().unwrap_or_else(|| came(peer));
        let Some((peer, offer)) = offers.min_by_key(|(peer, _)| turn(peer)) else { return };
        let turn = Turn { peer, began_ms: now_ms, asked_ms: now_ms, answers: 0, has_jumped: false };
        self.ask(member, turn, offer, look, out);
    }

    fn ask(
        &mut self,
        member: usize,
        turn: Turn,
        (from_seq, until): (u64, u64),
        look: &Pull<'_>,
        out: &mut Outbox,
    ) {
        let machine = look.finality.machine();
        let Some(validator) = machine.validators().get(member).map(|validator| validator.id) else { return };
        let count = until.saturating_sub(from_seq).min(REQUEST_BATCHES_MAX);
        let until_seq = from_seq.saturating_add(count);
        let asked = Asked { from_seq, until_seq, asked_ms: turn.asked_ms, has_given: false };
        self.open.insert((turn.peer, member), asked);
        self.given_up.remove(&(turn.peer, member));
        self.turns.insert(member, turn);
        let last = self.take_turn();
        self.last_turns.insert((turn.peer, member), last);
        out.send(turn.peer, Message::GetBatches { epoch: machine.epoch(), validator, from_seq, count });
    }

    /// The end of an answer: what was not in it is not asked of this peer again soon, and what follows is asked for at
    /// once.
    pub(in crate::consensus) fn on_end(
        &mut self,
        from: PeerId,
        (member, before_seq): (usize, u64),
        look: &Pull<'_>,
        out: &mut Outbox,
    ) {
        let now_ms = look.at.now_ms();
        let asked = self.open.remove(&(from, member));
        let was_given_up = self.given_up.remove(&(from, member));
        if asked.is_none() && !was_given_up {
            return;
        }
        if let Some(of_peer) = self.peers.get_mut(&from) {
            // It may be slow; it is not silent.
            (of_peer.silences, of_peer.again_ms) = (0, 0);
        }
        if let Some(asked) = asked {
            // An answer may say that nothing is held for some way behind it, and begins where it was asked to.
            let status = look.status(&from).and_then(|status| status.batches.get(member));
            let until = asked.until_seq.max(status.map_or(0, |held| held.until));
            let before = if before_seq > asked.from_seq { before_seq.min(until) } else { asked.until_seq };
            self.answered.insert((from, member), (before, now_ms.saturating_add(ASK_AGAIN_MS)));
        }
        if let Some(turn) = self.turns.get(&member).copied().filter(|turn| turn.peer == from) {
            let answers = turn.answers.saturating_add(1);
            let has_given = asked.is_some_and(|asked| asked.has_given);
            let is_in_time = answers < IN_A_ROW_MAX && now_ms < turn.began_ms.saturating_add(TURN_MAX_MS);
            let goes_on = is_in_time && (has_given || !turn.has_jumped);
            if let Some(offer) = self.offer(member, &from, look).filter(|_| goes_on) {
                let has_jumped = turn.has_jumped || !has_given;
                self.ask(member, Turn { asked_ms: now_ms, answers, has_jumped, ..turn }, offer, look, out);
                return;
            }
            self.turns.remove(&member);
        }
        self.pull_of(member, from, look, out);
    }
}
