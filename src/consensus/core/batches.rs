//! Batches of votes between peers: what is asked for, of whom, and what is answered.
//!
//! # Invariants
//! - INV-PULL-1: of each member's batches one range is asked for at a time, of one peer. A peer that does not answer
//!   within [`REQUEST_TIMEOUT_MS`] is passed over for as long again, if another one offers them.

use std::collections::BTreeMap;

use super::{Core, Output, REQUEST_TIMEOUT_MS};
use crate::network::PeerId;
use crate::types::limits::{REQUEST_BATCHES_MAX, RESPONSE_BYTES_MAX};
use crate::types::message::NodeStatus;
use crate::types::{Epoch, Height, MasternodeId, Message, TimeMs};

#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: PeerId,
    from_seq: u64,
    until_seq: u64,
    deadline_ms: TimeMs,
}

/// The ranges that were asked for, by the member's place in the epoch's set.
#[derive(Debug, Default)]
pub(super) struct BatchRequests {
    asked: BTreeMap<usize, Asked>,
}

impl BatchRequests {
    pub(super) fn forget_peer(&mut self, peer: &PeerId) {
        self.asked.retain(|_, asked| asked.peer != *peer);
    }

    /// An epoch ended, and its numbers with it.
    pub(super) fn clear(&mut self) {
        self.asked.clear();
    }

    /// Whether `peer` may be asked for a member's batches from number `mine` on.
    fn may_ask(&self, member: usize, mine: u64, peer: &PeerId, now_ms: TimeMs) -> bool {
        let Some(asked) = self.asked.get(&member) else { return true };
        let late_ms = now_ms.saturating_sub(asked.deadline_ms);
        let is_late = now_ms >= asked.deadline_ms;
        mine >= asked.until_seq || (is_late && (asked.peer != *peer || late_ms >= REQUEST_TIMEOUT_MS))
    }

    /// A peer's answer for a member is complete; gives the number from which it was asked for.
    fn answered(&mut self, member: usize, peer: &PeerId) -> Option<u64> {
        if self.asked.get(&member)?.peer != *peer {
            return None;
        }
        self.asked.remove(&member).map(|asked| asked.from_seq)
    }
}

impl Core {
    /// Asks a peer for batches that it has and this node lacks.
    pub(super) fn pull_batches(&mut self, from: PeerId, status: &NodeStatus) {
        if status.epoch != self.finality.epoch() {
            return;
        }
        for (member, theirs) in status.batches.iter().enumerate() {
            self.pull_batches_of(member, from, *theirs);
        }
    }

    fn pull_batches_of(&mut self, member: usize, from: PeerId, theirs: u64) {
        let Some(validator) = self.finality.validators().get(member).map(|validator| validator.id) else {
            return;
        };
        let mine = self.batches.count(member);
        if theirs <= mine || !self.batch_requests.may_ask(member, mine, &from, self.now_ms) {
            return;
        }
        let count = theirs.saturating_sub(mine).min(REQUEST_BATCHES_MAX);
        let asked = Asked {
            peer: from,
            from_seq: mine,
            until_seq: mine.saturating_add(count),
            deadline_ms: self.now_ms.saturating_add(REQUEST_TIMEOUT_MS),
        };
        self.batch_requests.asked.insert(member, asked);
        let epoch = self.finality.epoch();
        self.out.push(Output::Send(from, Message::GetBatches { epoch, validator, from_seq: mine, count }));
    }

    pub(super) fn serve_batches(
        &mut self,
        to: PeerId,
        epoch: Epoch,
        validator: MasternodeId,
        from: u64,
        count: u64,
    ) {
        let Some(member) = self.finality.validators().index_of(&validator) else { return };
        if epoch != self.finality.epoch() {
            return;
        }
        let count = count.min(REQUEST_BATCHES_MAX);
        let (batches, received) = self.batches.range(member, from, count);
        let mut bytes = 0_usize;
        let mut before_seq = received.min(from.saturating_add(count));
        for batch in batches {
            if bytes >= RESPONSE_BYTES_MAX {
                before_seq = before_seq.min(batch.header.seq);
                break;
            }
            bytes = bytes.saturating_add(batch.votes.len().saturating_mul(33));
            self.out.push(Output::Send(to, Message::VoteBatch(batch)));
        }
        // Of the numbers below, those that were not sent just now are settled.
        let height: Height = self.state.height();
        self.out.push(Output::Send(to, Message::BatchesSettled { epoch, validator, before_seq, height }));
    }

    /// The end of an answer: what was not in it is settled, and what follows it is asked for at once.
    pub(super) fn on_batches_settled(
        &mut self,
        from: PeerId,
        epoch: Epoch,
        validator: MasternodeId,
        before_seq: u64,
        height: Height,
    ) {
        if epoch != self.finality.epoch() {
            return;
        }
        let Some(member) = self.finality.validators().index_of(&validator) else { return };
        if height <= self.state.height() {
            self.batches.skip_to(member, before_seq);
        }
        let Some(from_seq) = self.batch_requests.answered(member, &from) else { return };
        let status = self.peers.get(&from).and_then(Option::as_ref);
        let theirs =
            status.filter(|status| status.epoch == epoch).and_then(|status| status.batches.get(member));
        // An answer that did not help (the peer is further in the chain) waits for its next status.
        if let Some(theirs) = theirs.copied().filter(|_| self.batches.count(member) > from_seq) {
            self.pull_batches_of(member, from, theirs);
        }
    }
}
