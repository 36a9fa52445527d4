//! Where the parts of consensus put what they want done, in order, and what their siblings have to hear.
//!
//! # Invariants
//! - Outputs leave in the order in which parts ordered them; facts are heard before the event ends.

use std::collections::VecDeque;

use super::events::{Answer, Notification, Output, Recipient, Shortfall, Timer};
use crate::network::PeerId;
use crate::protocol::bft::BlockMessage;
use crate::storage::journal::{JournalRecord, Staged};
use crate::types::instance::InstanceId;
use crate::types::{BlockVote, Message, OwnMessage, TxId, VoteStep};

/// What one part found out and another one acts upon.
#[derive(Debug)]
pub(super) enum Fact {
    /// Finality: a quorum has locked this transaction. Blocks may have waited for it.
    Certified(TxId),
    /// Finality: this body was handed in. Blocks may have waited for it.
    BodyArrived(TxId),
    /// Finality: a member voted `Lock` for two transactions that share an input.
    LocksContradict {
        /// Its place in the set.
        member: usize,
        /// One of them.
        first: TxId,
        /// The other one.
        second: TxId,
    },
    /// Blocks: a member signed two messages that contradict each other.
    Equivocation(BlockMessage, BlockMessage),
    /// Something was heard that this node's key signed and this node did not say.
    KeyCopied(&'static str),
    /// Heartbeats: this node's key said something in another start, perhaps long ago.
    RivalHeard(InstanceId),
}

/// Outputs and facts of the event that is being handled.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    outputs: Vec<Output>,
    facts: VecDeque<Fact>,
}

impl Outbox {
    /// Journals records.
    pub(super) fn persist(&mut self, records: Vec<JournalRecord>) {
        self.outputs.push(Output::Persist(Staged { records, release: Vec::new() }));
    }

    /// Journals an own message behind the records that it stands on, and then sends it: none leaves without its record.
    pub(super) fn say(&mut self, message: OwnMessage, mut behind: Vec<JournalRecord>) {
        behind.extend(JournalRecord::of_own(&message));
        self.outputs.push(Output::Persist(Staged { records: behind, release: vec![message] }));
    }

    pub(super) fn send(&mut self, to: PeerId, message: Message) {
        self.outputs.push(Output::Send(to, message));
    }

    pub(super) fn relay(&mut self, message: Message, except: Option<PeerId>) {
        self.outputs.push(Output::Relay(message, except));
    }

    pub(super) fn serve(&mut self, to: Recipient, answer: Answer) {
        self.outputs.push(Output::Serve(to, answer));
    }

    pub(super) fn schedule(&mut self, timer: Timer, delay_ms: u64) {
        self.outputs.push(Output::Schedule(timer, delay_ms));
    }

    pub(super) fn misbehaved(&mut self, peer: PeerId, what: &'static str) {
        self.outputs.push(Output::Misbehaved(peer, what));
    }

    pub(super) fn failed(&mut self, peer: PeerId, what: Shortfall) {
        self.outputs.push(Output::Failed(peer, what));
    }

    pub(super) fn notify(&mut self, notification: Notification) {
        self.outputs.push(Output::Notify(notification));
    }

    /// Tells readers of a precommit that was new; of other votes nothing.
    pub(super) fn tell_precommit(&mut self, vote: &BlockVote) {
        if vote.step == VoteStep::Precommit {
            let (member, height, round) = (vote.validator, vote.height, vote.round);
            self.notify(Notification::PrecommitHeard { member, height, round });
        }
    }

    pub(super) fn push(&mut self, output: Output) {
        self.outputs.push(output);
    }

    pub(super) fn tell(&mut self, fact: Fact) {
        self.facts.push_back(fact);
    }

    pub(super) fn next_fact(&mut self) -> Option<Fact> {
        self.facts.pop_front()
    }

    pub(super) fn has_facts(&self) -> bool {
        !self.facts.is_empty()
    }

    pub(super) fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }
}
