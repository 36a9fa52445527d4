//! Which of several transactions that spend one output are passed on.
//!
//! # Place
//! Part of [`Admission`](super::Admission). Rule 6 lets a node keep, beside the one that holds an output, the conflicting
//! one that comes first in the next epoch, and relay it. An owner can sign conflicting ones for ever, each better than the
//! last; so only [`IMPROVEMENTS_MAX`] of them an output and epoch go on to the finality machine and to peers.
//!
//! # Invariants
//! - INV-CONTEST-1: what does not come before all that was passed on for at least one of its contested outputs goes
//!   nowhere, and costs no check of a signature.

use std::collections::HashMap;

use ahash::RandomState;

use crate::protocol::finality::conflict_order;
use crate::types::{Epoch, OutPoint, TxId};

/// Conflicting transactions that are passed on for one output in one epoch, at most.
pub const IMPROVEMENTS_MAX: u8 = 8;
/// Contested outputs that are followed, at most; what conflicts at others goes nowhere until the epoch ends.
pub const CONTESTED_OUTPUTS_MAX: usize = 65_536;
/// Memory of one of them, in bytes.
pub(super) const CONTESTED_OUTPUT_BYTES: usize = 160;

#[derive(Clone, Copy, Debug)]
struct Contest {
    best: [u8; 32],
    improvements: u8,
}

/// The contested outputs of an epoch.
#[derive(Debug, Default)]
pub(super) struct Contests {
    epoch: Epoch,
    by_output: HashMap<OutPoint, Contest, RandomState>,
}

impl Contests {
    /// Forgets the last epoch's.
    pub(super) fn start_epoch(&mut self, epoch: Epoch) {
        if self.epoch != epoch {
            *self = Self { epoch, by_output: HashMap::with_hasher(RandomState::new()) };
        }
    }

    /// Whether a transaction that conflicts at these outputs is better than what was passed on.
    pub(super) fn improves(&self, txid: &TxId, contested: &[OutPoint]) -> bool {
        let order = conflict_order(self.epoch.saturating_add(1), txid);
        contested.iter().any(|outpoint| match self.by_output.get(outpoint) {
            Some(contest) => order < contest.best && contest.improvements < IMPROVEMENTS_MAX,
            None => self.by_output.len() < CONTESTED_OUTPUTS_MAX,
        })
    }

    /// Notes that it is passed on.
    pub(super) fn pass(&mut self, txid: &TxId, contested: &[OutPoint]) {
        let order = conflict_order(self.epoch.saturating_add(1), txid);
        for outpoint in contested {
            let room = self.by_output.len() < CONTESTED_OUTPUTS_MAX;
            match self.by_output.get_mut(outpoint) {
                Some(contest) if order < contest.best => {
                    contest.best = order;
                    contest.improvements = contest.improvements.saturating_add(1);
                }
                None if room => {
                    self.by_output.insert(*outpoint, Contest { best: order, improvements: 1 });
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn txid(number: u32) -> TxId {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        TxId(bytes)
    }

    #[test]
    fn only_few_improvements_of_an_output_pass_in_an_epoch() {
        let coin = OutPoint { txid: TxId([1; 32]), index: 0 };
        let mut contests = Contests::default();
        contests.start_epoch(4);
        // The worst first, so that each is an improvement: what an owner does who grinds.
        let mut ground: Vec<TxId> = (0..1_000).map(txid).collect();
        ground.sort_by_key(|txid| std::cmp::Reverse(conflict_order(5, txid)));
        let passed = ground.iter().filter(|txid| {
            let passes = contests.improves(txid, &[coin]);
            if passes {
                contests.pass(txid, &[coin]);
            }
            passes
        });
        assert_eq!(passed.count(), usize::from(IMPROVEMENTS_MAX), "INV-CONTEST-1");
        assert!(contests.improves(&ground[3], &[OutPoint { index: 1, ..coin }]), "each output by itself");
        assert!(!contests.improves(&ground[0], &[coin]));
        contests.start_epoch(5);
        assert!(contests.improves(&ground[0], &[coin]), "and each epoch");
        let wide: Vec<OutPoint> = (0..70_000).map(|index| OutPoint { index, ..coin }).collect();
        contests.pass(&ground[0], &wide);
        assert_eq!(contests.by_output.len(), CONTESTED_OUTPUTS_MAX);
        assert!(!contests.improves(&ground[0], &wide));
    }

    /// INV-CONTEST-1: it may win one coin though another one is lost.
    #[test]
    fn who_comes_first_for_one_of_its_coins_is_passed_on() {
        let [lost, fresh] = [0, 1].map(|index| OutPoint { txid: TxId([1; 32]), index });
        let mut contests = Contests::default();
        contests.start_epoch(4);
        let mut names = [txid(1), txid(2)];
        names.sort_by_key(|txid| conflict_order(5, txid));
        let [first, second] = names;
        contests.pass(&first, &[lost]);
        assert!(!contests.improves(&second, &[lost]));
        assert!(contests.improves(&second, &[lost, fresh]) && contests.improves(&second, &[fresh, lost]));
    }
}
