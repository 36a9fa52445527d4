//! Batches of votes whose signatures were checked already: a table that any thread reads before it checks another one.
//!
//! Peers relay, answer and replay; without this each copy would cost a hash over all of its votes and a signature check.
//!
//! # Invariants
//! - A name is the digest of a signed header, which binds all votes; it is noted after header, votes and
//!   signature were checked together.
//! - INV-KNOWN-2: at most [`KNOWN_BATCHES_MAX`] names are kept, the oldest go first: what is forgotten is checked again.
//!
//! # Concurrency
//! One short lock.

use std::collections::{HashSet, VecDeque};

use ahash::RandomState;
use parking_lot::Mutex;

/// Names that are kept: those of some minutes of 100 validators.
pub const KNOWN_BATCHES_MAX: usize = 131_072;
/// Memory of them.
pub const KNOWN_BATCHES_BYTES_MAX: usize = KNOWN_BATCHES_MAX * 96;

#[derive(Default)]
struct Names {
    known: HashSet<[u8; 32], RandomState>,
    order: VecDeque<[u8; 32]>,
}

/// The table.
#[derive(Default)]
pub struct KnownBatches(Mutex<Names>);

impl KnownBatches {
    /// Whether a batch with a header of this digest was checked.
    #[must_use]
    pub fn has(&self, digest: &[u8; 32]) -> bool {
        self.0.lock().known.contains(digest)
    }

    /// Notes one that was checked.
    pub fn note(&self, digest: [u8; 32]) {
        let mut names = self.0.lock();
        if !names.known.insert(digest) {
            return;
        }
        names.order.push_back(digest);
        if names.order.len() > KNOWN_BATCHES_MAX
            && let Some(oldest) = names.order.pop_front()
        {
            names.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// INV-KNOWN-2.
    #[test]
    fn the_oldest_names_go_first_and_no_more_are_kept_than_allowed() {
        let digest = |number: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            bytes
        };
        let known = KnownBatches::default();
        (0..=KNOWN_BATCHES_MAX).for_each(|number| known.note(digest(number)));
        known.note(digest(1));
        assert!(!known.has(&digest(0)) && known.has(&digest(1)) && known.has(&digest(KNOWN_BATCHES_MAX)));
        let names = known.0.lock();
        assert_eq!((names.known.len(), names.order.len()), (KNOWN_BATCHES_MAX, KNOWN_BATCHES_MAX));
    }
}
