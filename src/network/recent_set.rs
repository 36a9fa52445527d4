//! A bounded memory of what was seen a moment ago.
//!
//! # Place
//! The network keeps one for all that arrives, to deliver a gossiped message once, and one for each peer, not to send
//! a message back to a peer that has it.
//!
//! # Invariants
//! - INV-NET-2: a key is remembered for at least one lifetime and at most two, unless more than the capacity come
//!   within one; never are more than twice the capacity kept.
//!
//! Why so short: the memory only has to outlive the way of one message through the network. A vote that came too early
//! to count, or was dropped in a full queue, comes again with the very same bytes, and must get through then.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

/// The first half of the BLAKE3 hash of a message's encoding.
///
/// All bytes are hashed, signatures included: a copy with another signature is another message, and equal bytes have
/// equal verdicts. So a bad message that came first never hides an honest one. 128 bits keep second preimages out of
/// reach; two colliding messages of one author harm that author only.
pub(crate) type MessageKey = u128;

/// The key of an encoded message.
pub(crate) fn message_key(encoded: &[u8]) -> MessageKey {
    let hash = blake3::hash(encoded);
    let mut half = [0; 16];
    half.copy_from_slice(hash.as_bytes().split_at(16).0);
    u128::from_le_bytes(half)
}

/// Two generations of keys; the older one is forgotten as a whole.
pub(crate) struct RecentSet {
    current: HashSet<MessageKey, ahash::RandomState>,
    previous: HashSet<MessageKey, ahash::RandomState>,
    capacity: usize,
    lifetime: Duration,
    rotated_at: Instant,
}

impl RecentSet {
    /// Keeps up to `capacity` keys of each generation, and starts a new one after each `lifetime`.
    pub(crate) fn new(capacity: usize, lifetime: Duration, now: Instant) -> Self {
        Self {
            current: HashSet::default(),
            previous: HashSet::default(),
            capacity,
            lifetime,
            rotated_at: now,
        }
    }

    fn rotate(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.rotated_at);
        if age < self.lifetime && self.current.len() < self.capacity {
            return;
        }
        std::mem::swap(&mut self.current, &mut self.previous);
        self.current.clear();
        if age >= self.lifetime.saturating_mul(2) {
            self.previous.clear();
        }
        self.rotated_at = now;
    }

    /// Remembers a key; true if it is new.
    pub(crate) fn insert(&mut self, key: MessageKey, now: Instant) -> bool {
        self.rotate(now);
        !self.previous.contains(&key) && self.current.insert(key)
    }

    /// Whether the key is remembered.
    pub(crate) fn contains(&mut self, key: MessageKey, now: Instant) -> bool {
        self.rotate(now);
        self.current.contains(&key) || self.previous.contains(&key)
    }

    /// How many keys are kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.current.len() + self.previous.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::now;

    const LIFETIME: Duration = Duration::from_millis(500);

    #[test]
    fn a_key_is_new_once_and_again_after_two_lifetimes() {
        let start = now();
        let mut set = RecentSet::new(100, LIFETIME, start);
        assert!(set.insert(1, start));
        assert!(!set.insert(1, start));
        assert!(!set.insert(1, start + LIFETIME), "it is in the older generation");
        assert!(set.contains(1, start + LIFETIME + LIFETIME / 2));
        assert!(set.insert(1, start + LIFETIME * 2), "it was forgotten");
    }

    #[test]
    fn a_pause_forgets_both_generations() {
        let start = now();
        let mut set = RecentSet::new(100, LIFETIME, start);
        assert!(set.insert(1, start));
        assert!(set.insert(1, start + LIFETIME * 3));
    }

    /// INV-NET-2.
    #[test]
    fn a_flood_stays_within_twice_the_capacity() {
        let start = now();
        let mut set = RecentSet::new(10, LIFETIME, start);
        for key in 0..1_000 {
            set.insert(key, start);
            assert!(set.len() <= 20);
        }
        assert!(set.contains(999, start) && !set.contains(900, start));
    }

    #[test]
    fn keys_differ_by_any_byte() {
        assert_ne!(message_key(b"a"), message_key(b"b"));
        assert_eq!(message_key(b"a"), message_key(b"a"));
    }
}
