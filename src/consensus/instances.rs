//! One start of a masternode's node at a time: who else runs with this key, and who says that nobody does.
//!
//! A data directory that was copied has the key, the journal and the chain; two nodes that sign from it contradict each
//! other sooner or later. On an idle network neither hears a vote of the other one before it is too late. So each start
//! has a random number, its *instance*, and asks the members of the set before it signs.
//!
//! ```text
//!            +------------------------ cut off, or stood still: a new attempt -------------------------+
//!            v                                                                                         |
//!       Listening ---- members of weight Q acknowledge this instance ----> Allowed --------------------+
//!            |                                                                |
//!            +---------- a statement under the own key names it --------------+----> KeyCopied: signs nothing more
//!
//!  what a member does about an instance of another one:
//!       unknown -- first heard --> waiting -- the window is over --> acknowledged whenever it asks
//!                                     +------ another instance of that validator names it --> contested, for good
//! ```
//!
//! # The protocol
//! - Members say [`InstanceStatement`]s, which are passed on as gossip: a listening one every [`ASK_INTERVAL_MS`], others
//!   when they have something to answer, at most one in [`SPEAK_GAP_MS`], and the last one to each new peer.
//! - A node that hears of another instance under its own key names it in its next statement. A number is random and of
//!   this start: whoever names it lives, and has the key. That alone makes a copy, so what strangers replay of an earlier
//!   start, or a clock that was set, does not.
//! - A member acknowledges an instance one window ([`LISTEN_MS`]) after it first heard of it, unless another instance of
//!   that validator has named it. Of several of a validator it acknowledges the newest alone. A live one hears of the new one through the same gossip, and has the window to answer.
//!   How long ago the other one was last heard plays no part: an idle one is as alive as a busy one.
//! - An instance signs once acknowledgements of weight `Q` are here. Its own weight counts like another's, when the window
//!   is over since it began to ask.
//!
//! # Why at most one signs
//! Two quorums share a member that is not faulty. It acknowledged both, so a whole window went by in which one of them did
//! not answer what the member passed on to it: it was dead, stood still or was cut off. Who stood still for
//! [`SILENCE_MS`], or heard nobody for so long, asks again before it signs, as a new attempt. What remains is a node that
//! is cut off from a quorum and still hears a few: it goes on signing, and both stop when they hear each other.
//!
//! # Restarts
//! - Acknowledging needs no right to sign: a quorum that starts at once acknowledges each other after one window.
//! - A member that has just started knows nobody; it waits a window for each as everybody does, so that it need not
//!   remember anything.
//! - A node that crashed a second ago waits one window. At height 0 with an empty journal nobody has signed yet: the node
//!   signs at once, unless it then turns out that the others have blocks already.
//! - An acknowledgement names the instance, a new one for each attempt: old ones are of no use to anybody.
//!
//! # Place
//! Driven by [`dispatch`](super::dispatch); [`signing`](super::signing) holds what follows for this node.
//!
//! # Invariants
//! - INV-INSTANCE-1: an instance that another one of its validator named is acknowledged by no correct member that heard
//!   it; none is acknowledged before its window is over.
//! - INV-INSTANCE-2: acknowledgements count by the weight of the current epoch's set, each member's once, and of this
//!   attempt and epoch alone.
//! - INV-INSTANCE-4: a statement acknowledges one instance of a member at most, so there is a place for each member,
//!   whatever others state.
//! - INV-INSTANCE-3: of each member at most [`INSTANCES_MAX`] instances are remembered, at most one new one in
//!   [`NEW_INSTANCE_GAP_MS`]; a statement is checked and passed on once, at most one of an instance in
//!   [`HEARD_GAP_MS`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::moment::Moment;
use super::outbox::{Fact, Outbox};
use crate::network::PeerId;
use crate::types::instance::{Acknowledged, InstanceId, InstanceStatement};
use crate::types::limits::{INSTANCES_MAX, VALIDATORS_MAX};
use crate::types::{Epoch, MasternodeId, Message, Signature, TimeMs, ValidatorSet};

/// The window: so long has another instance of a key to answer before a new one is acknowledged, in milliseconds.
pub const LISTEN_MS: u64 = 3_000;
/// How often a listening node asks, in milliseconds.
const ASK_INTERVAL_MS: u64 = 500;
/// A node says at most one thing in so many milliseconds.
const SPEAK_GAP_MS: u64 = 200;
/// A member is answered at most once in so many milliseconds, however often it asks: each answer is one of all members to
/// all.
const ANSWER_GAP_MS: u64 = 1_000;
/// Of one instance no further statement is taken sooner than this after the last, in milliseconds. Less than
/// [`SPEAK_GAP_MS`], as the way is not always equally long.
const HEARD_GAP_MS: u64 = 50;
/// Of one member no further unknown instance is taken sooner than this after the last, in milliseconds.
const NEW_INSTANCE_GAP_MS: u64 = 100;
/// A node that heard nobody for so long asks again before it signs, in milliseconds: peers say where they stand every
/// [`STATUS_INTERVAL_MS`](super::peers::STATUS_INTERVAL_MS). Shorter than the window by what the way takes.
const SILENCE_MS: u64 = LISTEN_MS * 2 / 3;

/// An instance of some member, this node's own validator among them.
#[derive(Clone, Debug)]
struct Known {
    instance: InstanceId,
    /// The number of its last statement.
    seq: Option<u64>,
    first_heard_ms: TimeMs,
    heard_ms: TimeMs,
    asks: bool,
    /// Whether another instance of its validator named it.
    is_contested: bool,
    /// Whether it said something since this node last spoke.
    is_unanswered: bool,
}

/// The instances of one member.
#[derive(Debug, Default)]
struct OfMember {
    instances: Vec<Known>,
    /// When one of them was answered last.
    answered_ms: Option<TimeMs>,
    last_new_ms: Option<TimeMs>,
}

impl OfMember {
    fn get(&self, instance: &InstanceId) -> Option<&Known> {
        self.instances.iter().find(|known| known.instance == *instance)
    }

    /// Whether one that is not known would be remembered: there is room, or one that is silent makes some.
    fn has_room(&self, now_ms: TimeMs, window_ms: u64) -> bool {
        let is_silent = |known: &Known| now_ms >= known.heard_ms.saturating_add(window_ms);
        self.instances.len() < INSTANCES_MAX || self.instances.iter().any(is_silent)
    }

    /// Whether the last new one is long enough ago for another.
    fn takes_new(&self, now_ms: TimeMs, window_ms: u64) -> bool {
        let is_soon = self.last_new_ms.is_some_and(|last| now_ms < last.saturating_add(NEW_INSTANCE_GAP_MS));
        !is_soon && self.has_room(now_ms, window_ms)
    }

    /// The entry of an instance, a new one if need be and if there is room.
    fn entry(&mut self, instance: InstanceId, now_ms: TimeMs, window_ms: u64) -> Option<&mut Known> {
        if self.get(&instance).is_none() {
            if !self.has_room(now_ms, window_ms) {
                return None;
            }
            if self.instances.len() >= INSTANCES_MAX {
                let oldest = (0..).zip(&self.instances).min_by_key(|(_, known)| known.heard_ms);
                let oldest: usize = oldest.map(|(place, _)| place)?;
                self.instances.swap_remove(oldest);
            }
            self.last_new_ms = Some(now_ms);
            self.instances.push(Known {
                instance,
                seq: None,
                first_heard_ms: now_ms,
                heard_ms: now_ms,
                asks: false,
                is_contested: false,
                is_unanswered: false,
            });
        }
        self.instances.iter_mut().find(|known| known.instance == instance)
    }
}

/// What a node with an operator key knows of instances: its own, and others'.
#[derive(Debug)]
pub(super) struct Instances {
    mine: InstanceId,
    window_ms: u64,
    /// When this attempt began to ask, by the monotonic clock.
    began_ms: TimeMs,
    /// The number of the next statement.
    seq: u64,
    /// The last statement, and when it was made.
    said: Option<(TimeMs, Arc<InstanceStatement>)>,
    known: BTreeMap<MasternodeId, OfMember>,
    /// The epoch in which these members acknowledged this attempt.
    epoch: Epoch,
    acknowledged_by: BTreeSet<MasternodeId>,
    /// When a peer was last heard; `None` before the first one.
    heard_ms: Option<TimeMs>,
    /// Nothing is owed to anybody before this, if nothing more is heard: time is looked at with each event, and all members
    /// but then.
    owed_from_ms: TimeMs,
}

impl Instances {
    /// A start with this number. With a window of 0 nothing is waited for.
    pub(super) const fn new(start: [u8; 16], window_ms: u64, now_ms: TimeMs) -> Self {
        Self {
            mine: InstanceId { start, attempt: 0 },
            window_ms,
            began_ms: now_ms,
            seq: 0,
            said: None,
            known: BTreeMap::new(),
            epoch: 0,
            acknowledged_by: BTreeSet::new(),
            heard_ms: None,
            owed_from_ms: TimeMs::MAX,
        }
    }

    /// This start's number.
    pub(super) const fn mine(&self) -> InstanceId {
        self.mine
    }

    /// Whether this node waits for acknowledgements at all.
    pub(super) const fn needs_acknowledgements(&self) -> bool {
        self.window_ms > 0
    }

    // -- what is heard ----------------------------------------------------------------------------------------------

    /// Whether a statement may say something new: only then is its signature checked. What comes back of this node's own
    /// is no news.
    fn is_news(&self, statement: &InstanceStatement, own: Option<MasternodeId>, now_ms: TimeMs) -> bool {
        if own == Some(statement.validator) && statement.instance.start == self.mine.start {
            return !self.said_by_me(statement);
        }
        let Some(member) = self.known.get(&statement.validator) else { return true };
        match member.get(&statement.instance) {
            None => member.takes_new(now_ms, self.window_ms),
            Some(known) => known.seq.is_none_or(|seq| {
                statement.seq > seq && now_ms >= known.heard_ms.saturating_add(HEARD_GAP_MS)
            }),
        }
    }

    /// Whether one under this start's number may be this node's own.
    fn said_by_me(&self, statement: &InstanceStatement) -> bool {
        let attempt = statement.instance.attempt;
        attempt < self.mine.attempt || (attempt == self.mine.attempt && statement.seq < self.seq)
    }

    /// Takes in a statement whose signature holds. Whether it proves that another node runs with this node's key.
    fn hear(&mut self, statement: &InstanceStatement, own: Option<MasternodeId>, now_ms: TimeMs) -> bool {
        let (window_ms, validator) = (self.window_ms, statement.validator);
        if own == Some(validator) && statement.instance.start == self.mine.start {
            // Of the same start, and this node did not say it: a machine that was copied while it ran.
            return !self.said_by_me(statement);
        }
        let member = self.known.entry(validator).or_default();
        if let Some(known) = member.entry(statement.instance, now_ms, window_ms) {
            known.seq = Some(statement.seq);
            known.heard_ms = now_ms;
            known.asks = statement.asks;
            known.is_unanswered = true;
            // What does not ask waits for nothing, unless it is this node's rival.
            let owed_ms = match (own == Some(validator), statement.asks) {
                (true, _) => now_ms,
                (false, true) => known.first_heard_ms.saturating_add(window_ms),
                (false, false) => TimeMs::MAX,
            };
            self.owed_from_ms = self.owed_from_ms.min(owed_ms);
        }
        let others = statement.rivals.iter().filter(|rival| rival.start != statement.instance.start);
        for rival in others.clone() {
            if let Some(known) = member.entry(*rival, now_ms, window_ms) {
                known.is_contested = true;
            }
        }
        let Some(own) = own else { return false };
        let acknowledges = |it: &Acknowledged| it.validator == own && it.instance == self.mine;
        if validator == own {
            return others.clone().any(|rival| rival.start == self.mine.start);
        }
        if statement.epoch == self.epoch && statement.acknowledged.iter().any(acknowledges) {
            self.acknowledged_by.insert(validator);
        }
        false
    }

    /// Another instance under this node's own key was heard of: it is named, and if it lives it answers.
    pub(super) fn note_rival(&mut self, own: MasternodeId, instance: InstanceId, now_ms: TimeMs) {
        if instance.start == self.mine.start {
            return;
        }
        let member = self.known.entry(own).or_default();
        if let Some(known) = member.entry(instance, now_ms, self.window_ms) {
            known.heard_ms = now_ms;
            known.is_unanswered = true;
            self.owed_from_ms = now_ms;
        }
    }

    // -- what is said -----------------------------------------------------------------------------------------------

    fn may_acknowledge(&self, known: &Known, now_ms: TimeMs) -> bool {
        known.asks
            && !known.is_contested
            && now_ms >= known.first_heard_ms.saturating_add(self.window_ms)
            && now_ms < known.heard_ms.saturating_add(self.window_ms)
    }

    /// The one instance of a member that is acknowledged now: the newest, since a node that starts again has given up those
    /// before.
    fn acknowledged<'a>(&self, member: &'a OfMember, now_ms: TimeMs) -> Option<&'a Known> {
        let may = member.instances.iter().filter(|known| self.may_acknowledge(known, now_ms));
        may.max_by_key(|known| known.first_heard_ms)
    }

    /// The instances that this member acknowledges now.
    fn acknowledgements(&self, own: MasternodeId, now_ms: TimeMs) -> Vec<Acknowledged> {
        let others = self.known.iter().filter(|(validator, _)| **validator != own);
        let all = others.filter_map(|(validator, member)| {
            let instance = self.acknowledged(member, now_ms)?.instance;
            Some(Acknowledged { validator: *validator, instance })
        });
        all.take(VALIDATORS_MAX).collect()
    }

    /// The other instances under this node's own key that said something lately.
    fn rivals(&self, own: MasternodeId, now_ms: TimeMs) -> Vec<InstanceId> {
        let instances = self.known.get(&own).map(|member| member.instances.as_slice()).unwrap_or_default();
        let is_recent = |known: &&Known| now_ms < known.heard_ms.saturating_add(LISTEN_MS);
        instances.iter().filter(is_recent).map(|known| known.instance).take(INSTANCES_MAX).collect()
    }

    /// When an answer is owed to somebody, if nothing more is heard.
    fn owed_ms(&self, own: MasternodeId, now_ms: TimeMs) -> TimeMs {
        let to_member = |(validator, member): (&MasternodeId, &OfMember)| {
            let mut unanswered = member.instances.iter().filter(|known| known.is_unanswered);
            let is_owed = match *validator == own {
                true => unanswered.clone().next().is_some(),
                false => self.acknowledged(member, now_ms).is_some_and(|known| known.is_unanswered),
            };
            let window_end_ms = |known: &Known| known.first_heard_ms.saturating_add(self.window_ms);
            // One whose window is over waits for a newer one to fall silent, or is stale: it is heard again first.
            let waits = |known: &&Known| known.asks && !known.is_contested && window_end_ms(known) > now_ms;
            // Who answers its own rival has no gap: both are silent soon.
            let answered_ms = member.answered_ms.filter(|_| *validator != own);
            let from_ms =
                answered_ms.map_or(now_ms, |said_ms| now_ms.max(said_ms.saturating_add(ANSWER_GAP_MS)));
            if is_owed { Some(from_ms) } else { unanswered.by_ref().filter(waits).map(window_end_ms).min() }
        };
        self.known.iter().filter_map(to_member).min().unwrap_or(TimeMs::MAX)
    }

    fn owes_an_answer(&mut self, own: MasternodeId, now_ms: TimeMs) -> bool {
        if now_ms >= self.owed_from_ms {
            self.owed_from_ms = self.owed_ms(own, now_ms);
        }
        now_ms >= self.owed_from_ms
    }

    fn is_due(&mut self, own: MasternodeId, asks: bool, now_ms: TimeMs) -> bool {
        let owes = self.owes_an_answer(own, now_ms);
        let Some((said_ms, said)) = &self.said else { return asks || owes };
        let is_over = |gap_ms| now_ms >= said_ms.saturating_add(gap_ms);
        let is_other = said.epoch != self.epoch || said.instance != self.mine || said.asks != asks;
        (asks && is_over(ASK_INTERVAL_MS)) || (is_over(SPEAK_GAP_MS) && ((asks && is_other) || owes))
    }

    /// The next statement, without its signature.
    fn statement(&mut self, own: MasternodeId, asks: bool, now_ms: TimeMs) -> InstanceStatement {
        let statement = InstanceStatement {
            validator: own,
            epoch: self.epoch,
            instance: self.mine,
            seq: self.seq,
            asks,
            rivals: self.rivals(own, now_ms),
            acknowledged: self.acknowledgements(own, now_ms),
            signature: Signature::EMPTY,
        };
        self.seq = self.seq.saturating_add(1);
        for (validator, member) in &mut self.known {
            for known in &mut member.instances {
                let is_answered = *validator == own
                    || statement.acknowledged.iter().any(|it| it.instance == known.instance);
                if known.is_unanswered && is_answered {
                    known.is_unanswered = false;
                    member.answered_ms = Some(now_ms);
                }
            }
        }
        statement
    }

    // -- this node's own attempt --------------------------------------------------------------------------------------

    /// The weight that has acknowledged this attempt, this node's own included once its window is over.
    fn weight(&self, set: &ValidatorSet, own: MasternodeId, now_ms: TimeMs) -> u64 {
        let is_own_here = now_ms >= self.began_ms.saturating_add(self.window_ms);
        let counts =
            |id: &MasternodeId| if *id == own { is_own_here } else { self.acknowledged_by.contains(id) };
        let members = set.members().iter().filter(|member| counts(&member.id));
        members.map(|member| member.weight).fold(0, u64::saturating_add)
    }

    /// Asks anew: what was acknowledged before counts no more.
    pub(super) fn begin_attempt(&mut self, now_ms: TimeMs) {
        self.mine.attempt = self.mine.attempt.saturating_add(1);
        self.seq = 0;
        self.began_ms = now_ms;
        self.acknowledged_by.clear();
    }

    /// A peer said something.
    pub(super) const fn note_heard(&mut self, now_ms: TimeMs) {
        self.heard_ms = Some(now_ms);
    }

    /// Whether this node stood still, or heard nobody, for so long that others may have taken it for dead. Says so once.
    pub(super) fn was_absent(&mut self, last_event_ms: TimeMs, at: &Moment<'_>) -> bool {
        let now_ms = at.now_ms();
        let is_long = |since_ms: TimeMs| now_ms >= since_ms.saturating_add(SILENCE_MS);
        let (is_still, is_deaf) = (is_long(last_event_ms), self.heard_ms.is_some_and(is_long));
        if self.window_ms == 0 || !(is_still || is_deaf) {
            return false;
        }
        let set = at.state().validators();
        let own = at.signer.own_seat(at.chain).and_then(|own| set.get(set.index_of(&own)?));
        let needs_nobody = own.is_none_or(|own| own.weight >= set.quorum());
        if !is_still && needs_nobody {
            return false;
        }
        self.heard_ms = None;
        true
    }

    // -- with the chain -----------------------------------------------------------------------------------------------

    /// A peer sent a statement.
    pub(super) fn on_message(
        &mut self,
        from: PeerId,
        statement: Arc<InstanceStatement>,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        self.follow_epoch(at);
        let set = at.state().validators();
        let own = at.signer.own_seat(at.chain);
        let member = set.index_of(&statement.validator).and_then(|place| set.get(place));
        let Some(member) = member.filter(|_| statement.epoch == self.epoch) else { return };
        if !self.is_news(&statement, own, at.now_ms()) {
            return;
        }
        let check = statement.signature_check(at.chain.chain_id(), member.key);
        if at.chain.verifier().verify_all(&[check]).is_err() {
            out.misbehaved(from, "bad statement of an instance");
            return;
        }
        if self.hear(&statement, own, at.now_ms()) {
            out.tell(Fact::KeyCopied("a statement that names this start"));
        }
        out.relay(Message::Instance(statement), Some(from));
    }

    /// Says what is due, and gives the weight that has acknowledged this attempt; `None` when nobody is asked.
    pub(super) fn on_time(&mut self, at: &Moment<'_>, out: &mut Outbox) -> Option<u64> {
        self.follow_epoch(at);
        let own = at.signer.own_seat(at.chain)?;
        if self.is_due(own, at.signer.is_listening(), at.now_ms()) {
            let statement = self.speak(own, at)?;
            out.relay(Message::Instance(statement), None);
        }
        let is_listening = at.signer.is_listening();
        is_listening.then(|| self.weight(at.state().validators(), own, at.now_ms()))
    }

    /// A new peer hears at once which instance this is: it may come from where a copy runs.
    pub(super) fn greet(&mut self, peer: PeerId, at: &Moment<'_>, out: &mut Outbox) {
        self.follow_epoch(at);
        let Some(own) = at.signer.own_seat(at.chain) else { return };
        let mine = (self.epoch, self.mine);
        let said = self.said.as_ref().filter(|(_, said)| (said.epoch, said.instance) == mine);
        let statement = said.map(|(_, said)| Arc::clone(said)).or_else(|| self.speak(own, at));
        if let Some(statement) = statement {
            out.send(peer, Message::Instance(statement));
        }
    }

    fn speak(&mut self, own: MasternodeId, at: &Moment<'_>) -> Option<Arc<InstanceStatement>> {
        let secret = at.signer.secret()?;
        let statement = self.statement(own, at.signer.is_listening(), at.now_ms());
        let statement = Arc::new(statement.signed(at.chain.chain_id(), secret));
        self.said = Some((at.now_ms(), Arc::clone(&statement)));
        Some(statement)
    }

    /// Another epoch has other members: they are asked anew, and those that left are forgotten.
    fn follow_epoch(&mut self, at: &Moment<'_>) {
        if self.epoch != at.chain.epoch() {
            self.epoch = at.chain.epoch();
            self.acknowledged_by.clear();
            let set = at.state().validators();
            self.known.retain(|id, _| set.index_of(id).is_some());
        }
    }
}

#[cfg(test)]
mod tests;
