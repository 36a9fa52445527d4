//! Signs of life: each masternode says once a minute that it is there and whom it hears; everybody passes that on.
//!
//! They are shown to operators. No rule of consensus reads them, but they help: a heartbeat names the number of its
//! sender's next batch of votes, so that a lost last batch is noticed, and one under this node's own key that it did not
//! send gives a copy of the key away.
//!
//! # Invariants
//! - INV-BEAT-1: one heartbeat is kept for each member of the set, and a newer one is taken at most every
//!   [`HEARTBEAT_GAP_MS`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Core, Notification, Output};
use crate::network::PeerId;
use crate::types::heartbeat::Heartbeat;
use crate::types::limits::REQUEST_BATCHES_MAX;
use crate::types::{MasternodeId, Message, Signature, SignerBitmap, TimeMs};

/// How often a masternode says that it is there, in milliseconds.
pub const HEARTBEAT_INTERVAL_MS: u64 = 60_000;
/// Of one masternode no newer heartbeat is taken or passed on sooner than this after the last, in milliseconds.
pub(super) const HEARTBEAT_GAP_MS: u64 = 5_000;

/// A heartbeat, and when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeardHeartbeat {
    /// What the masternode said.
    pub heartbeat: Arc<Heartbeat>,
    /// When this node heard it first, by its own clock.
    pub heard_ms: TimeMs,
    /// Masternodes whose own last heartbeats say that they heard it.
    pub attested_by: Vec<MasternodeId>,
}

/// The last ones.
#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    last: BTreeMap<MasternodeId, (Arc<Heartbeat>, TimeMs)>,
    sent_ms: TimeMs,
}

impl Heartbeats {
    fn heard(&self, id: &MasternodeId, now_ms: TimeMs) -> bool {
        let recent = |heard_ms: TimeMs| heard_ms.saturating_add(2 * HEARTBEAT_INTERVAL_MS) >= now_ms;
        self.last.get(id).is_some_and(|(_, heard_ms)| recent(*heard_ms))
    }
}

impl Core {
    /// Sends the own heartbeat when it is due.
    pub(super) fn beat(&mut self) {
        let due = self.heartbeats.sent_ms.saturating_add(HEARTBEAT_INTERVAL_MS);
        let Some(identity) = self.me.clone().filter(|_| self.now_ms >= due && !self.peers.is_empty()) else {
            return;
        };
        let set = Arc::clone(self.state.validators());
        let mut heard = SignerBitmap::empty(set.len());
        for (place, member) in set.members().iter().enumerate() {
            if member.id == identity.id || self.heartbeats.heard(&member.id, self.now_ms) {
                heard.set(place);
            }
        }
        let epoch = self.finality.epoch();
        let heartbeat = Heartbeat {
            validator: identity.id,
            epoch,
            height: self.state.height(),
            next_seq: self.next_seq.get(&epoch).copied().unwrap_or(0),
            time_ms: self.now_ms,
            heard,
            signature: Signature::EMPTY,
        };
        let heartbeat = Arc::new(heartbeat.signed(self.state.chain_id(), &identity.secret));
        self.heartbeats.sent_ms = self.now_ms;
        self.note_heartbeat(&heartbeat);
        self.out.push(Output::Relay(Message::Heartbeat(heartbeat), None));
    }

    pub(super) fn on_heartbeat(&mut self, from: PeerId, heartbeat: Arc<Heartbeat>) {
        let set = Arc::clone(self.state.validators());
        let Some(place) = set.index_of(&heartbeat.validator) else { return };
        if heartbeat.epoch != self.finality.epoch() || !heartbeat.heard.fits(set.len()) {
            return;
        }
        let last = self.heartbeats.last.get(&heartbeat.validator);
        if last.is_some_and(|(last, heard_ms)| {
            last.time_ms >= heartbeat.time_ms || heard_ms.saturating_add(HEARTBEAT_GAP_MS) > self.now_ms
        }) {
            return;
        }
        let Some(member) = set.get(place) else { return };
        let check = heartbeat.signature_check(self.state.chain_id(), member.key);
        if self.config.verifier.verify_all(&[check]).is_err() {
            self.out.push(Output::Misbehaved(from, "bad heartbeat"));
            return;
        }
        // What this node sent before it was restarted is older than its first moment.
        if self.own_seat() == Some(heartbeat.validator) && heartbeat.time_ms > self.opened_ms {
            self.on_key_copied("a heartbeat");
            return;
        }
        self.note_heartbeat(&heartbeat);
        let mine = self.batches.counts().get(place).copied().unwrap_or(0);
        if heartbeat.next_seq > mine {
            let (epoch, validator) = (heartbeat.epoch, heartbeat.validator);
            let count = heartbeat.next_seq.saturating_sub(mine).min(REQUEST_BATCHES_MAX);
            self.out
                .push(Output::Send(from, Message::GetBatches { epoch, validator, from_seq: mine, count }));
        }
        self.out.push(Output::Relay(Message::Heartbeat(heartbeat), Some(from)));
    }

    fn note_heartbeat(&mut self, heartbeat: &Arc<Heartbeat>) {
        let set = Arc::clone(self.state.validators());
        let last = &mut self.heartbeats.last;
        last.insert(heartbeat.validator, (Arc::clone(heartbeat), self.now_ms));
        last.retain(|id, _| set.index_of(id).is_some());
        let epoch = self.finality.epoch();
        let attested_by = |id: &MasternodeId| -> Vec<MasternodeId> {
            let Some(place) = set.index_of(id) else { return Vec::new() };
            let others = last.iter().filter(|(other, (beat, _))| {
                *other != id && beat.epoch == epoch && beat.heard.contains(place)
            });
            others.map(|(other, _)| *other).collect()
        };
        let shown = last.iter().map(|(id, (heartbeat, heard_ms))| {
            let (heartbeat, heard_ms) = (Arc::clone(heartbeat), *heard_ms);
            (*id, HeardHeartbeat { heartbeat, heard_ms, attested_by: attested_by(id) })
        });
        let shown = Arc::new(shown.collect());
        self.notify(Notification::Heartbeats(shown));
    }
}
