//! The homomorphic hash of the state: a sum of element hashes that each block changes by what it changed.
//!
//! # Place
//! Kept by [`super::state::LedgerState`]; its digest stands in every header.
//!
//! LtHash16 of Lewi, Kim, Maykov and Weis, "Securing Update Propagation with Homomorphic Hashing" (IACR ePrint
//! 2019/227), on the construction of Bellare and Micciancio (EUROCRYPT 1997): each element is expanded to a vector of
//! 1,024 16-bit integers, and the hash of a multiset is the sum of the vectors modulo 2^16, lane by lane. With the
//! expansion a random oracle (BLAKE3's extended output, under a domain of its own), two multisets of the same hash
//! give a short integer solution of a random 1,024-row lattice modulo 2^16, which the paper puts at more than 200 bits
//! of security. Multiplicities must stay far below 2^16 for that; here they are 0 or 1, since each element contains
//! what is unique to it. (MuHash over a 3,072-bit group gives as much, but costs some ten times the time an element.)
//!
//! # Invariants
//! - INV-MULTISET-1: the order of additions and removals has no influence; removing undoes adding.
//!
//! The hash can't tell whether what is removed was added before; its callers see to that (INV-STATE-2).

use bincode::{Decode, Encode};

use crate::types::StateDigest;
use crate::types::hash::{Domain, DomainHasher};

/// Lanes of the sum.
const LANES: usize = 1_024;
/// Bytes of one expanded element.
const EXPANDED_BYTES: usize = 2 * LANES;

/// The sum over a multiset of byte strings; 2,048 bytes. The default is that of the empty multiset.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct MultisetHash {
    // Boxed, so that moving a state copies a pointer.
    lanes: Box<[u16; LANES]>,
}

impl Default for MultisetHash {
    fn default() -> Self {
        Self { lanes: Box::new([0; LANES]) }
    }
}

impl std::fmt::Debug for MultisetHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MultisetHash({})", self.digest().short())
    }
}

fn expand(element: &[u8]) -> [u8; EXPANDED_BYTES] {
    let mut expanded = [0; EXPANDED_BYTES];
    DomainHasher::new(Domain::StateElement).bytes(element).finish_extended(&mut expanded);
    expanded
}

impl MultisetHash {
    /// Adds an element once.
    pub fn add(&mut self, element: &[u8]) {
        self.combine(element, u16::wrapping_add);
    }

    /// Removes an element that was added before.
    pub fn remove(&mut self, element: &[u8]) {
        self.combine(element, u16::wrapping_sub);
    }

    /// Adds all elements of another multiset.
    pub fn join(&mut self, other: &Self) {
        for (lane, added) in self.lanes.iter_mut().zip(other.lanes.iter()) {
            *lane = lane.wrapping_add(*added);
        }
    }

    // Lanes wrap by design: the sum is one modulo 2^16. The loop has no branch and no bound to check, so it is
    // compiled to vector instructions.
    fn combine(&mut self, element: &[u8], operation: impl Fn(u16, u16) -> u16) {
        let expanded = expand(element);
        let (pairs, _) = expanded.as_chunks::<2>();
        for (lane, pair) in self.lanes.iter_mut().zip(pairs) {
            *lane = operation(*lane, u16::from_le_bytes(*pair));
        }
    }

    /// The 32 bytes that headers carry.
    #[must_use]
    pub fn digest(&self) -> StateDigest {
        let mut bytes = [0; EXPANDED_BYTES];
        let (pairs, _) = bytes.as_chunks_mut::<2>();
        for (pair, lane) in pairs.iter_mut().zip(self.lanes.iter()) {
            *pair = lane.to_le_bytes();
        }
        StateDigest(DomainHasher::new(Domain::State).bytes(&bytes).finish())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::codec::{decode, encode};

    fn of(elements: &[Vec<u8>]) -> MultisetHash {
        let mut hash = MultisetHash::default();
        elements.iter().for_each(|element| hash.add(element));
        hash
    }

    #[test]
    fn multiplicity_and_boundaries_of_elements_count() {
        let element = |text: &str| text.as_bytes().to_vec();
        let once = of(&[element("a")]);
        assert_ne!(once, of(&[element("a"), element("a")]));
        assert_ne!(of(&[element("ab"), element("c")]), of(&[element("a"), element("bc")]));
        assert_ne!(of(&[element("")]), MultisetHash::default());
        assert_ne!(once.digest(), MultisetHash::default().digest());
    }

    #[test]
    fn every_lane_takes_part() {
        let hash = of(&[b"x".to_vec()]);
        assert!(hash.lanes.iter().filter(|lane| **lane == 0).count() < 8);
        let mut changed = hash.clone();
        changed.lanes[LANES - 1] = changed.lanes[LANES - 1].wrapping_add(1);
        assert_ne!(changed.digest(), hash.digest());
    }

    #[test]
    fn lanes_wrap_without_carry() {
        let mut hash = MultisetHash { lanes: Box::new([u16::MAX; LANES]) };
        hash.add(b"x");
        hash.remove(b"x");
        assert_eq!(hash.lanes.as_ref(), &[u16::MAX; LANES]);
    }

    #[test]
    fn the_digest_is_pinned() {
        let hash = of(&[b"timed".to_vec(), b"coin".to_vec()]);
        let pinned = "752da5ceeff759d4e6e2059303b65bde282f17fe1f11f91ec635a0bd59f54264";
        assert_eq!(hash.digest().to_string(), pinned, "another digest is another network");
    }

    proptest! {
        /// INV-MULTISET-1.
        #[test]
        fn order_is_irrelevant_and_removal_undoes(
            elements in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..12),
            extra in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let hash = of(&elements);
            let mut reversed = elements;
            reversed.reverse();
            let mut other = of(&reversed);
            prop_assert_eq!(&hash, &other);
            let mut joined = of(std::slice::from_ref(&extra));
            joined.join(&other);
            other.add(&extra);
            prop_assert_eq!(&joined, &other);
            prop_assert_ne!(&hash, &other);
            other.remove(&extra);
            prop_assert_eq!(&hash, &other);
            prop_assert_eq!(decode::<MultisetHash>(&encode(&hash)), Ok(hash));
        }
    }
}
