//! The quorums that a commit in a proof has to reach, and the fewest signers that do.
//!
//! # Invariants
//! - Weight in the trusted set is counted by its own keys and weights. Keys of either set are distinct, which the caller
//!   holds, so nobody's weight counts twice.

use std::cmp::Reverse;

use crate::types::ValidatorSet;

/// The set that signs, and the one that is trusted, if that is another one.
#[derive(Clone, Copy)]
pub(super) struct Quorums<'a> {
    pub(super) set: &'a ValidatorSet,
    pub(super) trusted: Option<&'a ValidatorSet>,
}

/// Weight in the set that signs, and in the trusted one; the latter is 0 where that is the same set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Weights {
    pub(super) own: u64,
    pub(super) trusted: u64,
}

impl Weights {
    fn plus(self, other: Self) -> Self {
        Self { own: self.own.saturating_add(other.own), trusted: self.trusted.saturating_add(other.trusted) }
    }

    fn minus(self, other: Self) -> Self {
        Self { own: self.own.saturating_sub(other.own), trusted: self.trusted.saturating_sub(other.trusted) }
    }

    const fn reaches(self, needed: Self) -> bool {
        self.own >= needed.own && self.trusted >= needed.trusted
    }
}

impl<'a> Quorums<'a> {
    /// The quorum of the set that signs, alone.
    pub(super) const fn own(set: &'a ValidatorSet) -> Self {
        Self { set, trusted: None }
    }

    /// What it takes.
    pub(super) fn needed(&self) -> Weights {
        Weights { own: self.set.quorum(), trusted: self.trusted.map_or(0, ValidatorSet::quorum) }
    }

    /// What the member in a place of the set that signs weighs.
    fn weights_of(&self, place: usize) -> Weights {
        let Some(member) = self.set.get(place) else { return Weights::default() };
        let known = self.trusted.and_then(|trusted| trusted.find_key(&member.key));
        Weights { own: member.weight, trusted: known.map_or(0, |(_, known)| known.weight) }
    }

    /// What these members weigh together.
    pub(super) fn weigh(&self, places: impl Iterator<Item = usize>) -> Weights {
        places.map(|place| self.weights_of(place)).fold(Weights::default(), Weights::plus)
    }

    /// Whether these members are enough.
    pub(super) fn are_reached_by(&self, places: impl Iterator<Item = usize>) -> bool {
        self.weigh(places).reaches(self.needed())
    }

    /// The first of these members without whom the others reach the quorums too.
    pub(super) fn spare(&self, places: &[usize]) -> Option<usize> {
        let (sum, needed) = (self.weigh(places.iter().copied()), self.needed());
        places.iter().copied().find(|place| sum.minus(self.weights_of(*place)).reaches(needed))
    }

    /// The heaviest that reach the quorums, ties by the set's order, and none of them spare; their places ascend. `None`
    /// if all together don't.
    pub(super) fn choose(&self, places: impl Iterator<Item = usize>) -> Option<Vec<usize>> {
        let weight = |place: usize| {
            let Weights { own, trusted } = self.weights_of(place);
            Reverse(own.saturating_add(trusted))
        };
        let mut candidates: Vec<(Reverse<u64>, usize)> = places.map(|place| (weight(place), place)).collect();
        candidates.sort_unstable();
        candidates.dedup();
        let (needed, mut sum) = (self.needed(), Weights::default());
        let mut chosen = Vec::new();
        for (_, place) in candidates {
            if sum.reaches(needed) {
                break;
            }
            sum = sum.plus(self.weights_of(place));
            chosen.push(place);
        }
        if !sum.reaches(needed) {
            return None;
        }
        // One that came first for one quorum may be spare once the other is reached; the lightest goes first.
        let mut place = chosen.len();
        while let Some(last) = place.checked_sub(1) {
            place = last;
            let without = chosen.get(last).map(|spare| sum.minus(self.weights_of(*spare)));
            if let Some(without) = without.filter(|without| without.reaches(needed)) {
                sum = without;
                chosen.remove(last);
            }
        }
        chosen.sort_unstable();
        Some(chosen)
    }
}
