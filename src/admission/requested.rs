//! Bodies that this node has asked its peers for.
//!
//! # Place
//! Whoever sends a request for transactions notes it here; admission lets what was asked for pass to the finality
//! machine whatever pool and policy say: others have certified it, or a proposal names it.
//!
//! # Concurrency
//! One short lock.

use std::collections::{HashMap, VecDeque};

use ahash::RandomState;
use parking_lot::Mutex;

use crate::types::TxId;

/// Names that are remembered, at most; the oldest go first, and are asked for again when they still lack.
pub const REQUESTED_BODIES_MAX: usize = 65_536;
/// Memory of one of them, in bytes.
pub(super) const REQUESTED_BODY_BYTES: usize = 96;

#[derive(Default)]
struct Names {
    /// With the number under which each stands in the order.
    asked: HashMap<TxId, u64, RandomState>,
    order: VecDeque<(u64, TxId)>,
    next: u64,
}

/// Bodies that were asked for and have not come.
#[derive(Default)]
pub struct RequestedBodies(Mutex<Names>);

impl RequestedBodies {
    /// Notes what was asked for.
    pub fn note(&self, txids: &[TxId]) {
        let names = &mut *self.0.lock();
        for txid in txids {
            if !names.asked.contains_key(txid) {
                names.asked.insert(*txid, names.next);
                names.order.push_back((names.next, *txid));
                names.next = names.next.wrapping_add(1);
            }
        }
        // Names that came stay in the order until they are the oldest; they may have been asked for again since.
        while names.order.len() > REQUESTED_BODIES_MAX {
            if let Some((number, oldest)) = names.order.pop_front()
                && names.asked.get(&oldest) == Some(&number)
            {
                names.asked.remove(&oldest);
            }
        }
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.lock().asked.is_empty()
    }

    /// Whether a body was asked for.
    #[must_use]
    pub fn contains(&self, txid: &TxId) -> bool {
        let names = self.0.lock();
        !names.asked.is_empty() && names.asked.contains_key(txid)
    }

    /// The body has come.
    pub fn came(&self, txid: &TxId) {
        self.0.lock().asked.remove(txid);
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
        assert!(names.order.len() <= REQUESTED_BODIES_MAX && names.asked.len() <= names.order.len());
    }

    #[test]
    fn a_name_that_is_asked_for_again_counts_from_then_on() {
        let requested = RequestedBodies::default();
        let name = |number: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            TxId(bytes)
        };
        requested.note(&[name(0)]);
        requested.came(&name(0));
        requested.note(&[name(0)]);
        (1..REQUESTED_BODIES_MAX).for_each(|number| requested.note(&[name(number)]));
        assert!(requested.contains(&name(0)) && requested.contains(&name(1)));
        requested.note(&[name(REQUESTED_BODIES_MAX)]);
        assert!(!requested.contains(&name(0)) && requested.contains(&name(1)));
    }

    #[test]
    fn names_that_came_take_no_more_memory_than_those_that_did_not() {
        let requested = RequestedBodies::default();
        for number in 0..REQUESTED_BODIES_MAX + 10 {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            requested.note(&[TxId(bytes)]);
            requested.came(&TxId(bytes));
        }
        assert!(requested.is_empty());
        assert!(requested.0.lock().order.len() <= REQUESTED_BODIES_MAX);
    }
}
