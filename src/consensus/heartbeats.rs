//! Signs of life: each masternode says once a minute that it is there and whom it hears; everybody passes that on.
//!
//! They are shown to operators. No rule of consensus reads them, but they help: a heartbeat names the number of its
//! sender's next batch of votes, so that a lost last batch is noticed, and one under this node's own key that it did not
//! send gives a copy of the key away.
//!
//! # Invariants
//! - One heartbeat is kept for each member of the set, and a newer one is taken at most every
//!   [`HEARTBEAT_GAP_MS`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::events::{HeardHeartbeat, Notification, Now};
use super::finality::ConsensusEngine;
use super::moment::Moment;
use super::outbox::{Fact, Outbox};
use crate::network::PeerId;
use crate::types::heartbeat::Heartbeat;
use crate::types::limits::REQUEST_BATCHES_MAX;
use crate::types::{MasternodeId, Message, Signature, SignerBitmap, TimeMs};

/// How often a masternode says that it is there, in milliseconds.
pub const HEARTBEAT_INTERVAL_MS: u64 = 60_000;
/// Of one masternode no newer heartbeat is taken or passed on sooner than this after the last, in milliseconds.
pub(super) const HEARTBEAT_GAP_MS: u64 = 5_000;
/// Times of own heartbeats that are remembered: what is older than these is on no peer's way any more.
const OWN_TIMES_MAX: usize = 64;

/// The last ones.
#[derive(Debug)]
pub(super) struct Heartbeats {
    /// Of each member, with when it was heard by the monotonic clock.
    last: BTreeMap<MasternodeId, (HeardHeartbeat, TimeMs)>,
    sent_ms: Option<TimeMs>,
    /// The times in own heartbeats of this start, by the wall clock: what comes back is one of these, or a copy's.
    own_times: VecDeque<TimeMs>,
    /// The wall clock when the node started: its earlier heartbeats may still come back.
    opened_wall_ms: TimeMs,
}

impl Heartbeats {
    pub(super) const fn new(now: Now) -> Self {
        Self { last: BTreeMap::new(), sent_ms: None, own_times: VecDeque::new(), opened_wall_ms: now.wall_ms }
    }

    fn heard(&self, id: &MasternodeId, now_ms: TimeMs) -> bool {
        let is_recent = |heard_ms: TimeMs| heard_ms.saturating_add(2 * HEARTBEAT_INTERVAL_MS) >= now_ms;
        self.last.get(id).is_some_and(|(_, heard_ms)| is_recent(*heard_ms))
    }

    /// Sends the own heartbeat when it is due.
    pub(super) fn beat(&mut self, finality: &ConsensusEngine, at: &Moment<'_>, out: &mut Outbox) {
        let is_due =
            self.sent_ms.is_none_or(|sent_ms| at.now_ms() >= sent_ms.saturating_add(HEARTBEAT_INTERVAL_MS));
        let Some(identity) = at.me().filter(|_| is_due) else { return };
        let set = at.state().validators();
        let mut heard = SignerBitmap::empty(set.len());
        for (place, member) in set.members().iter().enumerate() {
            if member.id == identity.id || self.heard(&member.id, at.now_ms()) {
                heard.set(place);
            }
        }
        let epoch = finality.machine().epoch();
        // A clock that was set back must not make the next heartbeats look like old ones.
        let after_last = self.own_times.back().map_or(0, |last| last.saturating_add(1));
        let heartbeat = Heartbeat {
            validator: identity.id,
            epoch,
            height: at.chain.height(),
            next_seq: finality.next_seq(epoch),
            time_ms: at.now.wall_ms.max(after_last),
            heard,
            signature: Signature::EMPTY,
        };
        let heartbeat = Arc::new(heartbeat.signed(at.chain.chain_id(), &identity.secret));
        self.sent_ms = Some(at.now_ms());
        self.own_times.push_back(heartbeat.time_ms);
        if self.own_times.len() > OWN_TIMES_MAX {
            self.own_times.pop_front();
        }
        self.note(&heartbeat, at, out);
        out.relay(Message::Heartbeat(heartbeat), None);
    }

    /// Whether a heartbeat under this node's own key is none of its own. What it sent before it was restarted is older
    /// than its start, or than the last one of this start, if the clock was set back meanwhile.
    fn is_foreign(&self, heartbeat: &Heartbeat) -> bool {
        let newest = self.own_times.back().copied().unwrap_or(self.opened_wall_ms);
        heartbeat.time_ms > newest.max(self.opened_wall_ms) && !self.own_times.contains(&heartbeat.time_ms)
    }

    /// A peer sent a heartbeat.
    pub(super) fn on_message(
        &mut self,
        from: PeerId,
        heartbeat: Arc<Heartbeat>,
        finality: &ConsensusEngine,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        let set = at.state().validators();
        let epoch = finality.machine().epoch();
        let Some(place) = set.index_of(&heartbeat.validator) else { return };
        if heartbeat.epoch != epoch || !heartbeat.heard.fits(set.len()) {
            return;
        }
        if self.last.get(&heartbeat.validator).is_some_and(|(last, heard_ms)| {
            let is_old = last.heartbeat.time_ms >= heartbeat.time_ms;
            is_old || heard_ms.saturating_add(HEARTBEAT_GAP_MS) > at.now_ms()
        }) {
            return;
        }
        let Some(member) = set.get(place) else { return };
        let check = heartbeat.signature_check(at.chain.chain_id(), member.key);
        if at.chain.verifier().verify_all(&[check]).is_err() {
            out.misbehaved(from, "bad heartbeat");
            return;
        }
        if at.signer.own_seat(at.chain) == Some(heartbeat.validator) {
            if self.is_foreign(&heartbeat) {
                out.tell(Fact::KeyCopied("a heartbeat"));
            }
            return;
        }
        self.note(&heartbeat, at, out);
        let until = heartbeat.next_seq;
        if let Some(from_seq) = finality.batches().first_lacking(place, finality.batches().end(place), until)
        {
            let validator = heartbeat.validator;
            let count = until.saturating_sub(from_seq).min(REQUEST_BATCHES_MAX);
            out.send(from, Message::GetBatches { epoch, validator, from_seq, count });
        }
        out.relay(Message::Heartbeat(heartbeat), Some(from));
    }

    fn note(&mut self, heartbeat: &Arc<Heartbeat>, at: &Moment<'_>, out: &mut Outbox) {
        let (set, epoch) = (at.state().validators(), at.chain.epoch());
        let heard = HeardHeartbeat {
            heartbeat: Arc::clone(heartbeat),
            heard_ms: at.now.wall_ms,
            attested_by: Vec::new(),
        };
        self.last.insert(heartbeat.validator, (heard, at.now_ms()));
        self.last.retain(|id, _| set.index_of(id).is_some());
        let attested_by = |id: &MasternodeId| -> Vec<MasternodeId> {
            let Some(place) = set.index_of(id) else { return Vec::new() };
            let others = self.last.iter().filter(|(other, (heard, _))| {
                let beat = &heard.heartbeat;
                *other != id && beat.epoch == epoch && beat.heard.contains(place)
            });
            others.map(|(other, _)| *other).collect()
        };
        let shown = self
            .last
            .iter()
            .map(|(id, (heard, _))| (*id, HeardHeartbeat { attested_by: attested_by(id), ..heard.clone() }));
        out.notify(Notification::Heartbeats(Arc::new(shown.collect())));
    }
}
