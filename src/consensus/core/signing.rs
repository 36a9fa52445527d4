//! Whether this node signs, and as which masternode.
//!
//! A node has an operator key; whether it is a masternode's, and which one's, is a question to the epoch's set, asked
//! anew at each epoch: masternodes register, leave and change their keys while nodes run.
//!
//! # Invariants
//! - INV-SIGN-1: nothing is signed while the node listens for a copy of its key, nor ever again once a copy was heard
//!   or a fork was detected: two live copies of a key contradict each other sooner or later.
//! - INV-SIGN-2: a journal that was made while its key may have voted elsewhere signs only in epochs that start later
//!   than the journal by twice the clocks' drift; what the key said before, it said in epochs that are over.
//! - INV-SIGN-3: when signing begins, locks and votes of the journal are in the machines already.

use tracing::{error, info};

use super::{Core, Identity, Notification, Output};
use crate::protocol::{bft, finality};
use crate::types::{BlockVote, Epoch, MasternodeId, Proposal, TimeMs, VoteBatch};

/// Why a node with an operator key signs, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// It has no operator key.
    NoKey,
    /// It listens for votes under its key that it did not cast. `None` until a peer is connected.
    Listening {
        /// Until then.
        until_ms: Option<TimeMs>,
    },
    /// It signs whenever its key is that of a member of the set.
    Allowed,
    /// Another node signs with its key.
    KeyCopied,
    /// Two blocks of one height were committed.
    Forked,
}

impl Signing {
    /// A word for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::Listening { .. } => "listening",
            Self::Allowed => "allowed",
            Self::KeyCopied => "key_copied",
            Self::Forked => "forked",
        }
    }
}

impl Core {
    /// Whether this node signs, and why not.
    #[must_use]
    pub const fn signing(&self) -> Signing {
        self.signing
    }

    /// The member of the current set whose key this node has, whether it signs or not.
    #[must_use]
    pub fn own_seat(&self) -> Option<MasternodeId> {
        let key = self.config.operator.as_ref()?.public();
        self.state.validators().find_key(&key).map(|(_, member)| member.id)
    }

    /// The member of the current set as which this node signs.
    pub(super) fn wanted_signer(&self) -> Option<Identity> {
        if self.signing != Signing::Allowed || !self.journal_knows(self.state.next_epoch()) {
            return None;
        }
        let secret = self.config.operator.clone()?;
        Some(Identity { id: self.own_seat()?, secret })
    }

    /// Tells the finality machine who signs in this epoch.
    pub(super) fn set_signer(&mut self) {
        self.me = self.wanted_signer();
        let key = self.me.as_ref().map(|identity| identity.secret.public());
        self.step_finality(finality::Input::SignerChanged(key));
    }

    /// Signing begins or ends in the middle of a height: its machine starts anew from the journal. Peers send what it
    /// heard again.
    fn change_signer(&mut self) {
        let before = self.me.as_ref().map(|identity| identity.id);
        if self.wanted_signer().map(|identity| identity.id) == before {
            return;
        }
        self.set_signer();
        if !self.is_committing() {
            self.candidates.clear();
            self.bft_inputs.clear();
            let (machine, effects) = self.machine_of_height();
            self.bft = machine;
            for effect in effects {
                self.execute_bft(effect);
            }
            self.schedule_height();
        }
        self.schedule_flush();
    }

    /// The block machine of the next height. What the journal says of it is used up by the one that signs.
    pub(super) fn machine_of_height(&mut self) -> (bft::Machine, Vec<bft::Effect>) {
        let me = self.me.as_ref().map(|identity| identity.id);
        let context = super::blocks::height_context(&self.state, me);
        self.journaled_heights = self.journaled_heights.split_off(&context.height);
        let journaled = me.and_then(|_| self.journaled_heights.remove(&context.height));
        match journaled {
            Some(journaled) => bft::Machine::restore(context, journaled),
            None => (bft::Machine::new(context), Vec::new()),
        }
    }

    pub(super) fn start_listening(&mut self) {
        if self.signing == (Signing::Listening { until_ms: None }) {
            let until_ms = self.now_ms.saturating_add(self.config.listen_ms);
            info!(
                seconds = self.config.listen_ms.div_ceil(1_000),
                "listening for another node with this operator key before the first vote"
            );
            self.enter(Signing::Listening { until_ms: Some(until_ms) });
        }
    }

    pub(super) fn check_listening(&mut self) {
        if let Signing::Listening { until_ms: Some(until_ms) } = self.signing
            && self.now_ms >= until_ms
        {
            info!("no other node uses this operator key; signing begins");
            self.enter(Signing::Allowed);
        }
    }

    pub(super) fn enter(&mut self, signing: Signing) {
        self.signing = signing;
        self.change_signer();
        self.notify(Notification::SigningChanged(signing));
    }

    // -- copies of the key ----------------------------------------------------------------------------------------

    /// Whether the journal has all that this node's key said in an epoch. What it said in earlier ones may come back to a
    /// node that goes through them again, since its chain's data was lost, or whose journal is younger.
    fn journal_knows(&self, epoch: Epoch) -> bool {
        epoch >= self.signs_from
            && (self.config.signs_after_ms == 0 || self.state.epoch_start() > self.config.signs_after_ms)
    }

    /// A verified batch under this node's key: is it one of its own?
    pub(super) fn check_own_batch(&mut self, batch: &VoteBatch) {
        if self.own_seat() != Some(batch.header.validator) || !self.journal_knows(batch.header.epoch) {
            return;
        }
        let next = self.next_seq.get(&batch.header.epoch).copied().unwrap_or(0);
        let member = self.finality.validators().index_of(&batch.header.validator);
        let kept = member.and_then(|member| self.batches.get(member, batch.header.seq));
        let differs = kept.is_some_and(|kept| kept.header.votes_root != batch.header.votes_root);
        if batch.header.seq >= next || differs {
            self.on_key_copied("a batch of finality votes");
        }
    }

    /// The same for a prevote or precommit of the next height.
    pub(super) fn check_own_vote(&mut self, vote: &BlockVote) {
        if self.own_seat() != Some(vote.validator) || !self.journal_knows(vote.epoch) {
            return;
        }
        let own = self.own_block_votes.get(&(vote.height, vote.round, vote.step));
        if own.is_none_or(|own| own.value != vote.value) {
            self.on_key_copied("a vote for a block");
        }
    }

    /// The same for a proposal of the next height.
    pub(super) fn check_own_proposal(&mut self, proposal: &Proposal) {
        let header = &proposal.block.header;
        if self.own_seat() != Some(proposal.validator) || !self.journal_knows(header.epoch) {
            return;
        }
        let own = self.own_proposals.get(&(header.height, proposal.round));
        if own.is_none_or(|own| *own != header.hash()) {
            self.on_key_copied("a proposal");
        }
    }

    pub(super) fn on_key_copied(&mut self, what: &'static str) {
        if matches!(self.signing, Signing::KeyCopied | Signing::Forked) {
            return;
        }
        error!(
            what,
            "another node signs with this masternode's operator key; this node signs nothing any more. Stop one of the two, \
             then start the one that is to vote again"
        );
        self.pending = super::votes::PendingBatch::default();
        self.enter(Signing::KeyCopied);
    }
}

/// A record that tells a later start of this node what stops it from signing.
pub(super) fn staged_alone(record: crate::storage::journal::JournalRecord) -> Output {
    Output::Persist(crate::storage::journal::Staged { records: vec![record], release: Vec::new() })
}
