//! Whether this node signs, and as which masternode.
//!
//! A node has an operator key; whether it is a masternode's, and which one's, is a question to the epoch's set, asked
//! anew at each epoch: masternodes register, leave and change their keys while nodes run.
//!
//! # Invariants
//! - Nothing is signed while the node listens for a copy of its key, nor ever again once a copy was heard
//!   or a fork was detected: two live copies of a key contradict each other sooner or later.
//! - A journal that was made while its key may have voted elsewhere signs only in epochs that start later
//!   than the journal by twice the clocks' drift; what the key said before, it said in epochs that are over.
//! - When signing begins, locks and votes of the journal are in the machines already.

use tracing::{error, info};

use super::chain::Chain;
use super::events::{Notification, Now, Signing};
use super::outbox::Outbox;
use crate::types::{Epoch, MasternodeId, PublicKey, SecretKey, TimeMs};

/// The masternode whose votes this node casts.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Which masternode.
    pub id: MasternodeId,
    /// Its operator key.
    pub secret: SecretKey,
}

/// The operator key, and whether it is used.
pub(super) struct Signer {
    operator: Option<SecretKey>,
    /// How long to listen before the first vote, in milliseconds.
    listen_ms: u64,
    /// Nothing is signed in epochs that start earlier than this; 0 for no such time.
    signs_after_ms: TimeMs,
    /// The journal has everything of this epoch and later; nothing is signed in earlier ones.
    signs_from: Epoch,
    signing: Signing,
    me: Option<Identity>,
}

impl Signer {
    /// A signer that has not looked for its seat yet.
    pub(super) const fn new(
        operator: Option<SecretKey>,
        listen_ms: u64,
        signs_after_ms: TimeMs,
        signs_from: Epoch,
        signing: Signing,
    ) -> Self {
        Self { operator, listen_ms, signs_after_ms, signs_from, signing, me: None }
    }

    pub(super) const fn signing(&self) -> Signing {
        self.signing
    }

    /// As whom this node signs in the current epoch.
    pub(super) const fn me(&self) -> Option<&Identity> {
        self.me.as_ref()
    }

    /// The operator's key.
    pub(super) fn key(&self) -> Option<PublicKey> {
        self.operator.as_ref().map(SecretKey::public)
    }

    /// The member of the current set whose key this node has, whether it signs or not.
    pub(super) fn own_seat(&self, chain: &Chain) -> Option<MasternodeId> {
        chain.state().validators().find_key(&self.key()?).map(|(_, member)| member.id)
    }

    /// The member of the current set as which this node may sign.
    fn wanted(&self, chain: &Chain) -> Option<Identity> {
        if self.signing != Signing::Allowed || !self.journal_knows(chain, chain.epoch()) {
            return None;
        }
        let secret = self.operator.clone()?;
        Some(Identity { id: self.own_seat(chain)?, secret })
    }

    /// Looks for the seat in the current set. Whether another masternode signs now than before, or none.
    pub(super) fn take_seat(&mut self, chain: &Chain) -> bool {
        let before = self.me.take().map(|identity| identity.id);
        self.me = self.wanted(chain);
        self.me.as_ref().map(|identity| identity.id) != before
    }

    /// Whether the journal has all that this node's key said in an epoch. What it said in earlier ones may come back to a
    /// node that goes through them again, since its chain's data was lost, or whose journal is younger.
    fn journal_knows(&self, chain: &Chain, epoch: Epoch) -> bool {
        let is_late_enough = self.signs_after_ms == 0 || chain.state().epoch_start() > self.signs_after_ms;
        epoch >= self.signs_from && is_late_enough
    }

    /// Whether this validator is this node's own seat, and what was said under it in this epoch must be in the journal.
    pub(super) fn answers_for(&self, chain: &Chain, validator: MasternodeId, epoch: Epoch) -> bool {
        self.own_seat(chain) == Some(validator) && self.journal_knows(chain, epoch)
    }

    /// A new epoch began, and the journal starts it. False when the journal had more already: the chain's data was lost
    /// since.
    pub(super) fn start_epoch(&mut self, epoch: Epoch) -> bool {
        let is_ahead = epoch > self.signs_from;
        self.signs_from = self.signs_from.max(epoch);
        is_ahead
    }

    // -- listening ------------------------------------------------------------------------------------------------

    /// A peer is there: what it relays can be listened to.
    pub(super) fn start_listening(&mut self, now: Now, out: &mut Outbox) {
        if self.signing == (Signing::Listening { until_ms: None }) {
            let seconds = self.listen_ms.div_ceil(1_000);
            info!(seconds, "listening for another node with this operator key before the first vote");
            let until_ms = now.monotonic_ms.saturating_add(self.listen_ms);
            self.enter(Signing::Listening { until_ms: Some(until_ms) }, out);
        }
    }

    /// Whether listening is over now.
    pub(super) fn check_listening(&mut self, now: Now, out: &mut Outbox) -> bool {
        let is_over = matches!(self.signing, Signing::Listening { until_ms: Some(until_ms) } if now.monotonic_ms >= until_ms);
        if is_over {
            info!("no other node uses this operator key; signing begins");
            self.enter(Signing::Allowed, out);
        }
        is_over
    }

    /// Another node signs with this key. Whether that is news.
    pub(super) fn on_key_copied(&mut self, what: &'static str, out: &mut Outbox) -> bool {
        if matches!(self.signing, Signing::KeyCopied | Signing::Forked) {
            return false;
        }
        error!(
            what,
            "another node signs with this masternode's operator key; this node signs nothing any more. Stop one of the two, \
             then start the one that is to vote again"
        );
        self.enter(Signing::KeyCopied, out);
        true
    }

    /// Two blocks of one height were committed.
    pub(super) fn on_fork(&mut self, out: &mut Outbox) {
        if self.signing != Signing::NoKey {
            self.enter(Signing::Forked, out);
        }
    }

    fn enter(&mut self, signing: Signing, out: &mut Outbox) {
        self.signing = signing;
        out.notify(Notification::SigningChanged(signing));
    }
}
