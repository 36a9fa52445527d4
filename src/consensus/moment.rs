//! What every part may read while one event is handled, and none changes.

use std::sync::Arc;

use super::chain::Chain;
use super::events::Now;
use super::signing::{Identity, Signer};
use crate::protocol::state::LedgerState;
use crate::types::TimeMs;

/// What a part may read while one event is handled.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    /// The tip.
    pub(super) chain: &'a Chain,
    /// Who signs.
    pub(super) signer: &'a Signer,
    /// The clocks.
    pub(super) now: Now,
}

impl<'a> Moment<'a> {
    /// As whom this node signs in the current epoch.
    pub(super) fn me(&self) -> Option<&'a Identity> {
        self.signer.me()
    }

    /// The chain's state.
    pub(super) fn state(&self) -> &'a Arc<LedgerState> {
        self.chain.state()
    }

    /// The monotonic clock.
    pub(super) const fn now_ms(&self) -> TimeMs {
        self.now.monotonic_ms
    }
}
