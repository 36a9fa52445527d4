//! Whom a node asks for batches of votes that it lacks.
//!
//! What a peer says that it holds costs it nothing, so a word alone must not keep others from being asked. Peers have
//! their turns at each member's batches: whoever speaks oftenest gains nothing by that.
//!
//! ```text
//!  free --- a peer offers what is lacking: who waited longest is asked ---> somebody's turn
//!    ^                                                                       |         |
//!    |   nothing given for HAND_ON_MS, TURN_MAX_MS over, IN_A_ROW_MAX        |         +--> asked on, while its
//!    +---answers, a second answer without a batch, or nothing more offered --+              answers give something
//! ```
//!
//! # Invariants
//! - INV-PULL-1: of each member's batches one range is asked for at a time, of the peer whose turn it is; of another one as
//!   well once that turn is over. Next is who waited longest since it was asked about that member, or came. Who gives
//!   nothing about any member for [`REQUEST_TIMEOUT_MS`] is passed over for as long again, and twice as long each further
//!   time, up to [`PASS_OVER_MAX_MS`], or until its answer comes all the same.
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
/// After so long without a batch another peer is asked as well, in milliseconds: longer than a way around the world.
pub(in crate::consensus) const HAND_ON_MS: u64 = 400;
/// The longest time that a silent peer is passed over, in milliseconds.
const PASS_OVER_MAX_MS: u64 = 16_000;
/// Answers of one peer about a member before it is another's turn.
const IN_A_ROW_MAX: u32 = 16;
/// How long a turn lasts at most, in milliseconds: whoever gives little by little keeps nobody out for longer.
const TURN_MAX_MS: u64 = 4_000;

/// What a peer was asked about a member, until its answer ends.
#[derive(Clone, Copy, Debug)]
struct Question {
    from_seq: u64,
    until_seq: u64,
    asked_ms: TimeMs,
    /// Whether a batch of it came from the peer, and was new.
    has_given: bool,
    /// Nobody waits for the answer any more; it may come all the same.
    is_given_up: bool,
}

/// What there was between this node and a peer about one member's batches.
#[derive(Clone, Copy, Debug, Default)]
struct About {
    /// Greater for who was asked later.
    asked: Option<u64>,
    question: Option<Question>,
    /// Below which number the peer has given what it holds, and until when that is relied on.
    answered: Option<(u64, TimeMs)>,
}

/// Whether a connected peer answers, whatever it is asked about.
#[derive(Clone, Copy, Debug)]
struct Manners {
    /// When it came, counted with [`About::asked`].
    came: u64,
    /// When it last gave a batch that it was asked for.
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
    answers: u32,
    /// Whether one of the answers had no new batch, as one about settled numbers.
    had_nothing: bool,
}

/// Which batches were asked for, and of whom.
#[derive(Debug, Default)]
pub(in crate::consensus) struct BatchRequests {
    /// Connected peers.
    peers: BTreeMap<PeerId, Manners>,
    /// By the member's place in the epoch's set.
    about: BTreeMap<(PeerId, usize), About>,
    /// By the member's place.
    turns: BTreeMap<usize, Turn>,
    /// How often a peer came or was asked.
    count: u64,
    /// No open question is late before this.
    late_from_ms: TimeMs,
}

/// What a decision on whom to ask depends on: the peers' words, the batches that are here, the time.
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
        let came = self.next_count();
        self.peers.insert(peer, Manners { came, heard_ms: 0, silences: 0, again_ms: 0 });
    }

    pub(in crate::consensus) fn disconnected(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
        self.about.retain(|(of, _), _| of != peer);
        self.turns.retain(|_, turn| turn.peer != *peer);
    }

    /// An epoch ended, and its numbers with it.
    pub(in crate::consensus) fn clear(&mut self) {
        self.about.clear();
        self.turns.clear();
    }

    fn next_count(&mut self) -> u64 {
        self.count = self.count.saturating_add(1);
        self.count
    }

    /// The question whose answer is waited for.
    fn open(&self, peer: &PeerId, member: usize) -> Option<&Question> {
        let question = self.about.get(&(*peer, member))?.question.as_ref();
        question.filter(|question| !question.is_given_up)
    }

    /// A new batch of a member has come from a peer. Whether the peer was asked for it, and has not ended its answer.
    pub(in crate::consensus) fn note(
        &mut self,
        peer: &PeerId,
        member: usize,
        seq: u64,
        now_ms: TimeMs,
    ) -> bool {
        let question = self.about.get_mut(&(*peer, member)).and_then(|about| about.question.as_mut());
        let is_answer = |question: &&mut Question| (question.from_seq..question.until_seq).contains(&seq);
        let Some(question) = question.filter(is_answer) else { return false };
        question.has_given = true;
        if let Some(manners) = self.peers.get_mut(peer) {
            manners.heard_ms = now_ms;
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
        let manners = self.peers.get(peer);
        let is_silent = manners.is_none_or(|manners| manners.silences > 1 && now_ms < manners.again_ms);
        let answered = self.about.get(&(*peer, member)).and_then(|about| about.answered);
        is_silent || answered.is_some_and(|(before, until_ms)| before > end && now_ms < until_ms)
    }

    /// A peer said where it stands: asks for batches that it holds and this node lacks, whoever's turn it is.
    pub(in crate::consensus) fn pull(&mut self, from: PeerId, look: &Pull<'_>, out: &mut Outbox) {
        let members = look.status(&from).map_or(0, |status| status.batches.len());
        self.pass_over_silent(look.at.now_ms());
        for member in 0..members {
            self.pull_of(member, from, look, out);
        }
    }

    /// When a peer last gave something, or was asked this question.
    fn heard_ms(&self, peer: &PeerId, question: &Question) -> TimeMs {
        let heard_ms = self.peers.get(peer).map_or(0, |manners| manners.heard_ms);
        heard_ms.max(question.asked_ms)
    }

    fn pass_over_silent(&mut self, now_ms: TimeMs) {
        if now_ms < self.late_from_ms {
            return;
        }
        let of_all = self.about.keys().filter_map(|(peer, member)| {
            let question = self.open(peer, *member)?;
            Some(((*peer, *member), self.heard_ms(peer, question).saturating_add(REQUEST_TIMEOUT_MS)))
        });
        let (late, waiting): (Vec<_>, Vec<_>) = of_all.partition(|(_, due_ms)| now_ms >= *due_ms);
        // Questions that are asked from now on are late later.
        let next_ms = waiting.into_iter().map(|(_, due_ms)| due_ms).min();
        self.late_from_ms = next_ms.unwrap_or_else(|| now_ms.saturating_add(REQUEST_TIMEOUT_MS));
        let mut silent = BTreeSet::new();
        for (of, _) in late {
            silent.insert(of.0);
            if let Some(question) = self.about.get_mut(&of).and_then(|about| about.question.as_mut()) {
                question.is_given_up = true;
            }
        }
        for peer in silent {
            let Some(manners) = self.peers.get_mut(&peer) else { continue };
            let doubled_ms = REQUEST_TIMEOUT_MS << manners.silences.min(u64::BITS / 2);
            manners.silences = manners.silences.saturating_add(1);
            manners.again_ms = now_ms.saturating_add(doubled_ms.min(PASS_OVER_MAX_MS));
        }
    }

    /// The first number that a peer says it holds and this node lacks, and the end of what it holds; if it may be asked.
    fn offer(&self, member: usize, peer: &PeerId, look: &Pull<'_>) -> Option<(u64, u64)> {
        let now_ms = look.at.now_ms();
        if self.open(peer, member).is_some() || now_ms < self.peers.get(peer)?.again_ms {
            return None;
        }
        let held = look.status(peer)?.batches.get(member)?;
        let answered = self.about.get(&(*peer, member)).and_then(|about| about.answered);
        let answered = answered.filter(|(_, until_ms)| now_ms < *until_ms).map_or(0, |(before, _)| before);
        let first = held.from.max(answered);
        Some((look.finality.batches().first_lacking(member, first, held.until)?, held.until))
    }

    /// Whether nobody else is to be asked: the peer whose turn it is gives, or has had little time.
    fn is_taken(&self, member: usize, now_ms: TimeMs) -> bool {
        self.turns.get(&member).is_some_and(|turn| {
            let gives = |question| now_ms < self.heard_ms(&turn.peer, question).saturating_add(HAND_ON_MS);
            self.open(&turn.peer, member).is_some_and(gives)
                && now_ms < turn.began_ms.saturating_add(TURN_MAX_MS)
        })
    }

    /// When a peer was last asked about a member, or came.
    fn waits_since(&self, peer: &PeerId, member: usize) -> u64 {
        let asked = self.about.get(&(*peer, member)).and_then(|about| about.asked);
        asked.or_else(|| Some(self.peers.get(peer)?.came)).unwrap_or(u64::MAX)
    }

    /// `of` may have offered something: who waited longest of those that offer is asked, if it is nobody's turn.
    fn pull_of(&mut self, member: usize, of: PeerId, look: &Pull<'_>, out: &mut Outbox) {
        let now_ms = look.at.now_ms();
        // The others are looked at only if there is something to ask for.
        if self.is_taken(member, now_ms) || self.offer(member, &of, look).is_none() {
            return;
        }
        let offers = look.statuses.keys().filter_map(|peer| Some((*peer, self.offer(member, peer, look)?)));
        let first = offers.min_by_key(|(peer, _)| self.waits_since(peer, member));
        let Some((peer, offer)) = first else { return };
        let turn = Turn { peer, began_ms: now_ms, answers: 0, had_nothing: false };
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
        let (machine, asked_ms) = (look.finality.machine(), look.at.now_ms());
        let Some(validator) = machine.validators().get(member).map(|validator| validator.id) else { return };
        let count = until.saturating_sub(from_seq).min(REQUEST_BATCHES_MAX);
        let until_seq = from_seq.saturating_add(count);
        let question = Question { from_seq, until_seq, asked_ms, has_given: false, is_given_up: false };
        let asked = self.next_count();
        let about = self.about.entry((turn.peer, member)).or_default();
        (about.asked, about.question) = (Some(asked), Some(question));
        self.turns.insert(member, turn);
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
        let Some(about) = self.about.get_mut(&(from, member)) else { return };
        let Some(question) = about.question.take() else { return };
        // An answer begins where it was asked to, and may say that nothing is held for some way behind it.
        let held = look.status(&from).and_then(|status| status.batches.get(member));
        let until = question.until_seq.max(held.map_or(0, |held| held.until));
        let before = if before_seq > question.from_seq { before_seq.min(until) } else { question.until_seq };
        about.answered = Some((before, now_ms.saturating_add(ASK_AGAIN_MS)));
        if let Some(manners) = self.peers.get_mut(&from) {
            // It may be slow; it is not silent.
            (manners.silences, manners.again_ms) = (0, 0);
        }
        if let Some(turn) = self.turns.get(&member).copied().filter(|turn| turn.peer == from) {
            let answers = turn.answers.saturating_add(1);
            let is_in_time = answers < IN_A_ROW_MAX && now_ms < turn.began_ms.saturating_add(TURN_MAX_MS);
            let goes_on = is_in_time && (question.has_given || !turn.had_nothing);
            if let Some(offer) = self.offer(member, &from, look).filter(|_| goes_on) {
                let had_nothing = turn.had_nothing || !question.has_given;
                self.ask(member, Turn { answers, had_nothing, ..turn }, offer, look, out);
                return;
            }
            self.turns.remove(&member);
        }
        self.pull_of(member, from, look, out);
    }
}
