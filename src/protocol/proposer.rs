//! Who proposes: weighted round robin in integers.
//!
//! # Place
//! Called by the state transition (a header's proposer must be the right one) and by the block layer's shell.
//!
//! The members' slots stand on a circle: slot `j` of a member of weight `w` at `(2j + 1) / 2w`, so that each
//! member's slots are spread evenly; equal keys stand in the set's order. Height `h` starts at the slot in place
//! `h mod W`, and the members propose in the order in which the circle meets them from there. The circle is never
//! built: a member's slots before a given one can be counted, so the cost depends on the number of members alone.
//! (Tendermint's accumulated priorities do the same but are state that every block changes and that a jump in the
//! set disturbs.)
//!
//! # Invariants
//! - INV-PROPOSER-1: every member appears just once.
//! - INV-PROPOSER-2: over any `W` heights in a row with the same active members of weight `W`, each of them comes
//!   first as often as its weight says.
//! - INV-PROPOSER-3: who signed none of the last commits comes after all who did.

use std::cmp::Ordering;

use super::commit::RecentCommits;
use crate::types::{Height, Round, ValidatorSet};

/// A member's place in the set and its weight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seat {
    place: usize,
    weight: u64,
}

/// The `number`-th slot of a seat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Slot {
    seat: Seat,
    number: u64,
}

fn odd(number: u64) -> u64 {
    number.saturating_mul(2).saturating_add(1)
}

impl Slot {
    // Weights are at most 1,000,000 (a rule of genesis documents), so the products are far from their bounds.
    fn compare(&self, other: &Self) -> Ordering {
        let left = odd(self.number).saturating_mul(other.seat.weight);
        let right = odd(other.number).saturating_mul(self.seat.weight);
        left.cmp(&right).then(self.seat.place.cmp(&other.seat.place))
    }

    /// How many slots of `seat` stand before this one.
    fn preceding(&self, seat: &Seat) -> u64 {
        match seat.place.cmp(&self.seat.place) {
            Ordering::Equal => self.number,
            // Its slots `i` with (2i + 1) / 2w' <= (2j + 1) / 2w.
            Ordering::Less => {
                let scaled = odd(self.number).saturating_mul(seat.weight);
                let bound = scaled.checked_div(self.seat.weight).unwrap_or(0);
                bound.saturating_add(1) >> 1
            }
            // The same with < instead of <=: those at the same key stand behind.
            Ordering::Greater => odd(self.number).saturating_mul(seat.weight).div_ceil(self.seat.weight) >> 1,
        }
    }

    /// How many slots of all seats stand before this one.
    fn rank(&self, seats: &[Seat]) -> u64 {
        seats.iter().fold(0, |sum, seat| sum.saturating_add(self.preceding(seat)))
    }
}

/// The slot in a place of the circle.
fn slot_at(seats: &[Seat], position: u64) -> Option<Slot> {
    seats.iter().find_map(|seat| {
        // The first slot of this seat that does not stand before the position.
        let (mut low, mut high) = (0, seat.weight);
        while low < high {
            let number = low.midpoint(high);
            if (Slot { seat: *seat, number }).rank(seats) < position {
                low = number.saturating_add(1);
            } else {
                high = number;
            }
        }
        let slot = Slot { seat: *seat, number: low };
        (low < seat.weight && slot.rank(seats) == position).then_some(slot)
    })
}

/// The places in the order in which the circle meets them.
fn round_robin(seats: &[Seat], height: Height) -> Vec<usize> {
    let total = seats.iter().fold(0_u64, |sum, seat| sum.saturating_add(seat.weight));
    let Some(start) = height.checked_rem(total).and_then(|position| slot_at(seats, position)) else {
        return seats.iter().map(|seat| seat.place).collect();
    };
    let mut next: Vec<(bool, Slot)> = seats
        .iter()
        .map(|seat| {
            let number = start.preceding(seat);
            let next_lap = number >= seat.weight;
            (next_lap, Slot { seat: *seat, number: if next_lap { 0 } else { number } })
        })
        .collect();
    next.sort_by(|(left_lap, left), (right_lap, right)| {
        left_lap.cmp(right_lap).then_with(|| left.compare(right))
    });
    next.into_iter().map(|(_, slot)| slot.seat.place).collect()
}

/// The places of the set's members in the order in which they propose at a height: round `r` belongs to the member
/// in place `r` modulo the set's size. `recent` are the signers of the last `k` commits in the chain below.
#[must_use]
pub fn proposer_order(set: &ValidatorSet, height: Height, recent: &RecentCommits) -> Vec<usize> {
    let seats = |active: bool| -> Vec<Seat> {
        let members = set.members().iter().enumerate();
        members
            .filter(|(_, member)| recent.is_active(&member.id) == active)
            .map(|(place, member)| Seat { place, weight: member.weight })
            .collect()
    };
    let mut order = round_robin(&seats(true), height);
    order.extend(round_robin(&seats(false), height));
    order
}

/// The place of the member that proposes in a round, by the height's order.
#[must_use]
pub fn proposer_of_round(order: &[usize], round: Round) -> Option<usize> {
    let turn = usize::try_from(round).ok()?.checked_rem(order.len())?;
    order.get(turn).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::commit::RecentCommit;
    use crate::types::{BlockHash, Commit, MasternodeId, PublicKey, SignerBitmap, Validator};

    fn set(weights: &[u64]) -> ValidatorSet {
        let member = |(index, weight): (u8, &u64)| Validator {
            id: MasternodeId([index; 32]),
            key: PublicKey([index; 32]),
            weight: *weight,
        };
        ValidatorSet::new((0_u8..).zip(weights).map(member).collect())
    }

    fn signed_by(set: &ValidatorSet, active: &[usize]) -> RecentCommits {
        let mut signers = SignerBitmap::empty(set.len());
        active.iter().for_each(|place| signers.set(*place));
        let commit =
            Commit { height: 1, round: 0, block_hash: BlockHash::ZERO, signers, signatures: Vec::new() };
        let mut recent = RecentCommits::default();
        recent.push(RecentCommit::of(&commit, set).into(), 50);
        recent
    }

    /// The circle as the module's head describes it, built in full.
    fn naive(weights: &[u64], height: Height) -> Vec<usize> {
        let mut circle: Vec<(usize, u64, u64)> = Vec::new();
        for (place, weight) in weights.iter().enumerate() {
            circle.extend((0..*weight).map(|slot| (place, 2 * slot + 1, 2 * weight)));
        }
        circle.sort_by(|(left, a, b), (right, c, d)| (a * d).cmp(&(c * b)).then(left.cmp(right)));
        let length = u64::try_from(circle.len()).unwrap();
        let start = usize::try_from(height % length).unwrap();
        let mut order = Vec::new();
        for (place, ..) in circle.iter().cycle().skip(start).take(circle.len()) {
            if !order.contains(place) {
                order.push(*place);
            }
        }
        order
    }

    #[test]
    fn equal_members_take_turns_in_the_sets_order() {
        let set = set(&[1; 4]);
        let first: Vec<usize> =
            (4..12).map(|height| proposer_order(&set, height, &RecentCommits::default())[0]).collect();
        assert_eq!(first, [0, 1, 2, 3, 0, 1, 2, 3]);
        assert_eq!(proposer_order(&set, 6, &RecentCommits::default()), [2, 3, 0, 1]);
    }

    #[test]
    fn rounds_go_around_the_order() {
        let order = [2, 0, 1];
        let places: Vec<_> = [0, 1, 2, 3, 7].iter().map(|round| proposer_of_round(&order, *round)).collect();
        assert_eq!(places, [Some(2), Some(0), Some(1), Some(2), Some(0)]);
        assert_eq!(proposer_of_round(&[], 0), None);
    }

    /// INV-PROPOSER-3.
    #[test]
    fn the_silent_come_last_and_nobody_is_silent_before_the_first_commit() {
        let set = set(&[1, 100, 1, 10]);
        for height in 0..300 {
            let order = proposer_order(&set, height, &signed_by(&set, &[0, 2, 3]));
            assert_eq!(order[3], 1);
            assert_eq!(order[..3].iter().filter(|place| **place != 1).count(), 3);
        }
        let order = proposer_order(&set, 5, &RecentCommits::default());
        assert_eq!(order, naive(&[1, 100, 1, 10], 5));
        let strangers = signed_by(&set, &[]);
        assert_eq!(proposer_order(&set, 5, &strangers), order, "all silent: the same order among them");
    }

    #[test]
    fn an_empty_set_has_no_order() {
        assert!(proposer_order(&set(&[]), 5, &RecentCommits::default()).is_empty());
    }

    #[test]
    fn a_window_forgets_the_oldest() {
        let set = set(&[1, 1]);
        let mut recent = RecentCommits::default();
        for (height, active) in [(1, 0), (2, 1), (3, 1)] {
            let mut signers = SignerBitmap::empty(2);
            signers.set(active);
            let commit =
                Commit { height, round: 0, block_hash: BlockHash::ZERO, signers, signatures: Vec::new() };
            let dropped = recent.push(RecentCommit::of(&commit, &set).into(), 2);
            assert_eq!(dropped.map(|commit| commit.height), (height == 3).then_some(1));
        }
        assert_eq!(recent.len(), 2);
        assert!(!recent.is_active(&MasternodeId([0; 32])) && recent.is_active(&MasternodeId([1; 32])));
    }

    #[test]
    fn heavy_weights_cost_no_more_than_light_ones() {
        let set = set(&[1_000_000; 100]);
        let order = proposer_order(&set, 99_999_999, &RecentCommits::default());
        assert_eq!(order[0], 99);
        assert_eq!(order.len(), 100);
    }

    proptest! {
        /// INV-PROPOSER-1.
        #[test]
        fn the_order_is_that_of_the_circle(
            weights in prop::collection::vec(prop_oneof![1..6_u64, Just(10), Just(100)], 1..12),
            height in any::<u64>(),
        ) {
            let order = proposer_order(&set(&weights), height, &RecentCommits::default());
            prop_assert_eq!(order, naive(&weights, height));
        }

        /// INV-PROPOSER-2.
        #[test]
        fn turns_follow_the_weights(
            weights in prop::collection::vec(prop_oneof![1..6_u64, Just(10)], 1..8),
            start in 0..1_000_000_u64,
            silent in any::<prop::sample::Index>(),
        ) {
            let set = set(&weights);
            let silent = silent.index(weights.len());
            let active: Vec<usize> = (0..weights.len()).filter(|place| *place != silent).collect();
            let recent = if active.is_empty() { RecentCommits::default() } else { signed_by(&set, &active) };
            let total: u64 =
                if active.is_empty() { weights.iter().sum() } else { active.iter().map(|i| weights[*i]).sum() };
            let mut turns = vec![0; weights.len()];
            for height in start..start + total {
                let order = proposer_order(&set, height, &recent);
                let mut sorted = order.clone();
                sorted.sort_unstable();
                prop_assert_eq!(sorted, (0..weights.len()).collect::<Vec<_>>());
                turns[order[0]] += 1;
                if !active.is_empty() {
                    prop_assert_eq!(order.last(), Some(&silent));
                }
            }
            for place in active {
                prop_assert_eq!(turns[place], weights[place]);
            }
        }
    }
}
