//! Whether this node signs, and as which masternode.
//!
//! A node has an operator key; whether it is a masternode's, and which one's, is a question to the epoch's set, asked
//! anew at each epoch: masternodes register, leave and change their keys while nodes run.
//!
//! # Invariants
//! - No vote is signed before a quorum has acknowledged this start of the node ([`instances`]), nor ever again
//!   once a copy was heard or a fork was detected: two live copies of a key contradict each other sooner or later.
//! - A journal that was made while its key may have voted elsewhere signs only in epochs that start later
//!   than the journal by twice the clocks' drift; what the key said before, it said in epochs that are over.
//! - INV-TRUST-3 of [`trust`](super::trust): nothing is signed below the operator's checkpoint.
//! - When signing begins, locks and votes of the journal are in the machines already. A node that asks anew in
//!   the middle of its life keeps its machines, with all that they promised.
//!
//! [`instances`]: super::instances

use tracing::{error, info, warn};

use super::chain::Chain;
use super::events::{Notification, Signing};
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
        signs_after_ms: TimeMs,
        signs_from: Epoch,
        signing: Signing,
    ) -> Self {
        Self { operator, signs_after_ms, signs_from, signing, me: None }
    }

    pub(super) const fn signing(&self) -> Signing {
        self.signing
    }

    /// As whom this node signs in the current epoch.
    pub(super) const fn me(&self) -> Option<&Identity> {
        self.me.as_ref()
    }

    /// The operator's secret key, with which a node without the right to vote still says who it is.
    pub(super) const fn secret(&self) -> Option<&SecretKey> {
        self.operator.as_ref()
    }

    /// Whether it waits for acknowledgements.
    pub(super) const fn is_listening(&self) -> bool {
        matches!(self.signing, Signing::Listening { .. })
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
        let is_allowed = self.signing == Signing::Allowed && chain.has_checkpoint();
        if !is_allowed || !self.journal_knows(chain, chain.epoch()) {
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

    /// Members of this weight have acknowledged this start. Whether signing begins.
    pub(super) fn on_acknowledged(&mut self, acknowledged: u64, quorum: u64, out: &mut Outbox) -> bool {
        let listening = Signing::Listening { acknowledged, quorum };
        if !self.is_listening() || self.signing == listening {
            return false;
        }
        let is_over = acknowledged >= quorum;
        if is_over {
            info!("No other node uses this operator key; signing begins");
            self.enter(Signing::Allowed, out);
        } else {
            info!(
                acknowledged,
                quorum, "Asking the members of the set whether another node uses this operator key"
            );
            self.enter(listening, out);
        }
        is_over
    }

    /// The node has to ask before it signs again. Whether it signed until now.
    pub(super) fn listen_again(&mut self, why: &'static str, out: &mut Outbox) -> bool {
        if self.signing != Signing::Allowed {
            return false;
        }
        warn!(why, "Asking again whether another node uses this operator key; nothing is signed meanwhile");
        self.enter(Signing::Listening { acknowledged: 0, quorum: 0 }, out);
        true
    }

    /// Another node signs with this key. Whether that is news.
    pub(super) fn on_key_copied(&mut self, what: &'static str, out: &mut Outbox) -> bool {
        if matches!(self.signing, Signing::KeyCopied | Signing::Forked) {
            return false;
        }
        error!(
            what,
            "Another node signs with this masternode's operator key; this node signs nothing any more. Stop one of the two, \
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
