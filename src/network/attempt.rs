//! What there is to say of an attempt to dial: to whom, why, by which rules, and when the next one is due.
//!
//! # Place
//! `address_book.rs` makes them, `dialer.rs` carries them out.

use std::net::SocketAddr;
use std::time::Duration;

use rand::{Rng, RngExt as _};

use super::address::Grouping;
use super::peer::PeerId;

/// Who pinned an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The configuration or the operator.
    Configured,
    /// The chain.
    Chain,
}

/// How long to wait between attempts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    /// After the first failure.
    pub(crate) min: Duration,
    /// At most.
    pub(crate) max: Duration,
}

impl Backoff {
    pub(super) fn full(self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1).min(16)).unwrap_or(u32::MAX);
        self.min.saturating_mul(factor).min(self.max)
    }

    /// Doubles with each failure; the last half is random, so that nodes that lost each other do not meet in step.
    pub(super) fn after(self, failures: u32, random: &mut impl Rng) -> Duration {
        self.full(failures).mul_f64(random.random_range(0.5..=1.0))
    }
}

/// What a node takes and dials.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Which addresses belong together. Where each local one is a group, local ones count as any others.
    pub(crate) grouping: Grouping,
    /// Whether the node hides: it knows the peers of its configuration alone.
    pub(crate) hides: bool,
    /// Whether addresses of the chain are dialled.
    pub(crate) dials_masternodes: bool,
}

/// Why an address is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The configuration, the operator or the chain names it.
    Pinned,
    /// To stay connected to one that peers told.
    Learned(SocketAddr),
    /// To see whether somebody answers there, and no more.
    Feeler(SocketAddr),
}

/// One address to be dialled now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) address: String,
    pub(crate) expected: Option<PeerId>,
    pub(crate) purpose: Purpose,
    /// Whether it may lead into this machine or a private network.
    pub(crate) may_be_local: bool,
}

impl Attempt {
    pub(super) fn to(address: SocketAddr, purpose: Purpose) -> Self {
        Self { address: address.to_string(), expected: None, purpose, may_be_local: true }
    }
}
