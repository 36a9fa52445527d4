//! Signs of life: each masternode says once a minute that it is there and whom it hears; everybody passes that on.
//!
//! They are shown to operators. No rule of consensus reads them, but they help: a heartbeat names the number of its
//! sender's next batch of votes, so that a lost last batch is noticed, and one under this node's own key names the start
//! that it is of, so that another one is asked whether it lives ([`instances`](super::instances)). Clocks play no part.
//!
//! # Invariants
//! - An own heartbeat leaves once every batch that it counts is durable: a crash does not make it untrue.
//! - One heartbeat is kept for each member of the set, and a newer one is taken at most every
//!   [`HEARTBEAT_GAP_MS`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::events::{HeardHeartbeat, Notification};
use super::finality::ConsensusEngine;
use super::moment::Moment;
use super::outbox::{Fact, Outbox};
use crate::network::PeerId;
use crate::types::heartbeat::Heartbeat;
use crate::types::instance::InstanceId;
use crate::types::limits::REQUEST_BATCHES_MAX;
use crate::types::{MasternodeId, Message, OwnMessage, Released, Signature, SignerBitmap, TimeMs};

/// How often a masternode says that it is there, in milliseconds.
pub const HEARTBEAT_INTERVAL_MS: u64 = 60_000;
/// Of one masternode no newer heartbeat is taken or passed on sooner than this after the last, in milliseconds.
pub(super) const HEARTBEAT_GAP_MS: u64 = 5_000;

/// The last ones.
#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    /// Of each member, with when it was heard by the monotonic clock.
    last: BTreeMap<MasternodeId, (HeardHeartbeat, TimeMs)>,
    sent_ms: Option<TimeMs>,
    /// The time in the last own heartbeat of this start, by the wall clock.
    last_time_ms: Option<TimeMs>,
}

impl Heartbeats {
    fn heard(&self, id: &MasternodeId, now_ms: TimeMs) -> bool {
        let is_recent = |heard_ms: TimeMs| heard_ms.saturating_add(2 * HEARTBEAT_INTERVAL_MS) >= now_ms;
        self.last.get(id).is_some_and(|(_, heard_ms)| is_recent(*heard_ms))
    }

    /// Sends the own heartbeat when it is due.
    pub(super) fn beat(
        &mut self,
        instance: InstanceId,
        finality: &ConsensusEngine,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
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
        let after_last = self.last_time_ms.map_or(0, |last| last.saturating_add(1));
        let heartbeat = Heartbeat {
            validator: identity.id,
            instance,
            epoch,
            height: at.chain.height(),
            next_seq: finality.next_seq(epoch),
            time_ms: at.now.wall_ms.max(after_last),
            heard,
            signature: Signature::EMPTY,
        };
        let heartbeat = Arc::new(heartbeat.signed(at.chain.chain_id(), &identity.secret));
        self.sent_ms = Some(at.now_ms());
        self.last_time_ms = Some(heartbeat.time_ms);
        self.note(&heartbeat, at, out);
        // It names the next batch's number, so it leaves behind all batches with lower ones.
        out.say(OwnMessage::Heartbeat(heartbeat), Vec::new());
    }

    /// A peer sent a heartbeat.
    pub(super) fn on_message(
        &mut self,
        from: PeerId,
        heartbeat: Released<Heartbeat>,
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
            // A clock that was set back counts anew in each epoch, of which old ones can't come back.
            let is_old = last.heartbeat.epoch == epoch && last.heartbeat.time_ms >= heartbeat.time_ms;
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
            out.tell(Fact::RivalHeard(heartbeat.instance));
            return;
        }
        self.note(heartbeat.as_arc(), at, out);
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
