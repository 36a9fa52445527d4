//! Which members of the set each peer is connected to, so that what members say is not passed on in vain.
//!
//! In a full mesh of `n` nodes a flood brings each message to each node `n - 1` times. Here each node tells its peers
//! whom of the set it is connected to, and leaves out of a relay whoever is connected to the member that it came from.
//! A full mesh then carries each transaction and each batch of votes once to each node.
//!
//! ```text
//!   A ---- B      B has a batch from A. C said that it is connected to A: B leaves it out.
//!   | \    |      D did not: B passes it on.
//!   |   C  D
//! ```
//!
//! # Why everybody still gets everything
//! Whoever is left out is connected to the member that the message came from, which sent it there itself, or left it out
//! for the same reason one step nearer to the author. So along any path of honest members it arrives.
//!
//! What was lost (a connection that ended a moment ago, a member that withholds) is found by the comparison of statuses,
//! and a body that votes name is asked for. Proposals, votes on blocks and all that is rare or decides go everywhere.
//!
//! # Invariants
//! - INV-NET-31: what a peer says of its neighbours changes what it is sent itself, never what others are. Only who
//!   proved to be a member is relied on to have passed something on.
//!
//! # Bounds
//! A list names [`NEIGHBOURS_MAX`](crate::types::limits::NEIGHBOURS_MAX) members at most. Lists leave at most once in
//! [`ANNOUNCE_PAUSE`]; `peer_manager.rs` sends them.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::peer::PeerId;

/// The shortest time between two announcements. A link that ended is believed in for so long, and what was not passed on
/// for that reason is pulled after it.
pub(crate) const ANNOUNCE_PAUSE: Duration = Duration::from_millis(250);

/// The members that one peer is connected to, and whether it knows the same of this node.
#[derive(Default)]
pub(crate) struct Neighbours {
    members: ArcSwap<HashSet<PeerId, ahash::RandomState>>,
    /// The edition of this node's own list that the peer was told; 0 for none.
    told: AtomicU64,
}

impl Neighbours {
    /// Takes the peer's list.
    pub(crate) fn learn(&self, members: Vec<PeerId>) {
        self.members.store(Arc::new(members.into_iter().collect()));
    }

    /// This edition of this node's own list is being told; false if the peer has it.
    pub(crate) fn tell(&self, edition: u64) -> bool {
        self.told.swap(edition, Ordering::Relaxed) != edition
    }

    /// Whether the peer says that it is connected to this member.
    pub(crate) fn contains(&self, member: &PeerId) -> bool {
        self.members.load().contains(member)
    }
}
