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
