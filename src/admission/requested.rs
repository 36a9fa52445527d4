//! Bodies that this node has asked its peers for.
//!
//! # Place
//! Whoever sends a request for transactions notes it here; admission lets what was asked for pass to the finality
//! machine whatever pool and policy say: others have certified it, or a proposal names it.
//!
//! # Concurrency
//! One short lock.

use std::collections::{HashSet, VecDeque};

use ahash::RandomState;
use parking_lot::Mutex;

use crate::types::TxId;

/// Names that are remembered, at most; the oldest go first, and are asked for again when they still lack.
pub const REQUESTED_BODIES_MAX: usize = 65_536;
/// Memory of one of them, in bytes.
pub(super) const REQUESTED_BODY_BYTES: usize = 96;

#[derive(Default)]
struct Names {
    set: HashSet<TxId, RandomState>,
    order: VecDeque<TxId>,
}

/// Bodies that were asked for and have not come.
#[derive(Default)]
pub struct RequestedBodies(Mutex<Names>);

impl RequestedBodies {
    /// Notes what was asked for.
    pub fn note(&self, txids: &[TxId]) {
        let mut names = self.0.lock();
        for txid in txids {
            if names.set.insert(*txid) {
                names.order.push_back(*txid);
            }
        }
        // Names that came stay in the order until they are the oldest.
        while names.order.len() > REQUESTED_BODIES_MAX {
            if let Some(oldest) = names.order.pop_front() {
                names.set.remove(&oldest);
            }
        }
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.lock().set.is_empty()
    }

    /// Whether a body was asked for.
    #[must_use]
    pub fn contains(&self, txid: &TxId) -> bool {
        let names = self.0.lock();
        !names.set.is_empty() && names.set.contains(txid)
    }

    /// The body has come.
    pub fn came(&self, txid: &TxId) {
        self.0.lock().set.remove(txid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_until_they_come_and_within_the_bound() {
        let requested = RequestedBodies::default();
        let name = |number: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            TxId(bytes)
        };
        requested.note(&[name(0), name(1), name(1)]);
        assert!(requested.contains(&name(0)) && requested.contains(&name(1)));
        requested.came(&name(0));
        assert!(!requested.contains(&name(0)));
        for number in 2..REQUESTED_BODIES_MAX + 10 {
            requested.note(&[name(number)]);
        }
        assert!(!requested.contains(&name(1)) && requested.contains(&name(REQUESTED_BODIES_MAX)));
        let names = requested.0.lock();
        assert!(names.order.len() <= REQUESTED_BODIES_MAX && names.set.len() <= names.order.len());
    }
}
