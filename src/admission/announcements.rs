//! Names of transactions that this node took from users and that are not certified in time.
//!
//! A transaction is pushed once. Where a queue was full or a connection ended, it is lacking, and too few votes come for
//! anybody to ask for it. So its entry node tells its name again and again until it is final, and whoever lacks it asks
//! for the body. A name costs a tenth of a body, so this is no burden when the network is slow.
//!
//! # Invariants
//! - INV-ANNOUNCE-1: what a user's node took and what is not certified is announced once in [`ANNOUNCE_AFTER_MS`], in turns:
//!   however much there is, everything is announced some time.
//! - INV-ANNOUNCE-2: bodies are asked of one peer for its names at most once in [`ASK_PAUSE_MS`], and at most
//!   [`REQUEST_IDS_MAX`] of them, so that invented names cost their sender as much as this node.

use std::collections::{HashMap, VecDeque};

use ahash::RandomState;

use crate::network::PeerId;
use crate::types::TxId;
use crate::types::limits::REQUEST_IDS_MAX;

/// A transaction that is not certified after this time is announced, and again after as long, in milliseconds.
pub const ANNOUNCE_AFTER_MS: u64 = 1_000;
/// How long a peer whose names were asked for is not asked again, in milliseconds.
pub const ASK_PAUSE_MS: u64 = 500;
/// Transactions that are watched, at most: as many as the window on users' transactions lets in, four times over.
pub const ANNOUNCED_MAX: usize = 4 * super::load::WINDOW_MAX;
/// Memory of one of them, in bytes.
pub(super) const ANNOUNCED_BYTES: usize = 48;

/// What is to be announced, and who was asked for what others announced.
#[derive(Default)]
pub(super) struct Announcements {
    /// With the time when each is due; in this order.
    watched: VecDeque<(u64, TxId)>,
    /// When each peer was asked last. No longer than [`ASK_PAUSE_MS`] ago, so as many as are connected.
    asked: HashMap<PeerId, u64, RandomState>,
}

impl Announcements {
    /// A user's transaction was taken and pushed.
    pub(super) fn pushed(&mut self, txid: TxId, now_ms: u64) {
        if self.watched.len() < ANNOUNCED_MAX {
            self.watched.push_back((now_ms.saturating_add(ANNOUNCE_AFTER_MS), txid));
        }
    }

    /// What to announce now, of what still `lacks_votes`; the rest is watched no more.
    pub(super) fn due(&mut self, now_ms: u64, lacks_votes: impl Fn(&TxId) -> bool) -> Vec<TxId> {
        let mut due = Vec::new();
        while due.len() < REQUEST_IDS_MAX
            && let Some((_, txid)) = self.watched.pop_front_if(|(at_ms, _)| *at_ms <= now_ms)
        {
            if lacks_votes(&txid) {
                due.push(txid);
                self.watched.push_back((now_ms.saturating_add(ANNOUNCE_AFTER_MS), txid));
            }
        }
        due
    }

    /// Whether a peer's names may be asked for now; then it was asked.
    pub(super) fn may_ask(&mut self, peer: PeerId, now_ms: u64) -> bool {
        self.asked.retain(|_, at_ms| now_ms.saturating_sub(*at_ms) < ASK_PAUSE_MS);
        let may = !self.asked.contains_key(&peer);
        if may {
            self.asked.insert(peer, now_ms);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::PublicKey;

    fn txid(number: usize) -> TxId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        TxId(bytes)
    }

    /// INV-ANNOUNCE-1.
    #[test]
    fn all_that_lacks_votes_has_its_turn_and_again() {
        let mut announcements = Announcements::default();
        let count = 2 * REQUEST_IDS_MAX + 10;
        (0..count).for_each(|number| announcements.pushed(txid(number), 5));
        assert!(announcements.due(1_004, |_| true).is_empty(), "votes are on their way");
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.extend(announcements.due(1_005, |name| *name != txid(7)));
        }
        assert_eq!(seen.len(), count - 1, "each once");
        assert!(!seen.contains(&txid(7)));
        assert!(announcements.due(2_004, |_| true).is_empty());
        assert_eq!(announcements.due(2_005, |_| true).first(), Some(&txid(0)));
        (0..ANNOUNCED_MAX).for_each(|number| announcements.pushed(txid(number), 5));
        assert_eq!(announcements.watched.len(), ANNOUNCED_MAX);
    }

    /// INV-ANNOUNCE-1: else a node that runs for long would announce nothing any more.
    #[test]
    fn what_has_its_votes_makes_room_for_what_comes_later() {
        let mut announcements = Announcements::default();
        (0..ANNOUNCED_MAX).for_each(|number| announcements.pushed(txid(number), 0));
        assert!(announcements.due(ANNOUNCE_AFTER_MS, |_| false).is_empty());
        announcements.pushed(txid(ANNOUNCED_MAX), ANNOUNCE_AFTER_MS);
        let due = announcements.due(2 * ANNOUNCE_AFTER_MS, |_| true);
        assert_eq!((due.len(), due.first()), (1, Some(&txid(ANNOUNCED_MAX))));
    }

    /// INV-ANNOUNCE-2.
    #[test]
    fn a_peer_is_asked_once_in_a_while() {
        let mut announcements = Announcements::default();
        let (one, other) = (PublicKey([1; 32]), PublicKey([2; 32]));
        assert!(announcements.may_ask(one, 100));
        assert!(!announcements.may_ask(one, 100 + ASK_PAUSE_MS - 1));
        assert!(announcements.may_ask(other, 101));
        assert!(announcements.may_ask(one, 100 + ASK_PAUSE_MS));
        assert!(
            announcements.may_ask(other, 10_000) && announcements.asked.len() == 1,
            "the rest is forgotten"
        );
    }

    /// INV-ANNOUNCE-1: peers take no longer message.
    #[test]
    fn an_announcement_names_no_more_than_a_message_may() {
        let mut announcements = Announcements::default();
        (0..REQUEST_IDS_MAX + 1).for_each(|number| announcements.pushed(txid(number), 5));
        let lengths = [0; 3].map(|_| announcements.due(1_005, |_| true).len());
        assert_eq!(lengths, [REQUEST_IDS_MAX, 1, 0]);
    }
}
