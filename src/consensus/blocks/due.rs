//! When a block is due, and what is said to people while it is not there.
//!
//! | the next block | is due |
//! |---|---|
//! | after enough certified transactions, bytes or new outputs | a gap after the last one |
//! | at the epoch's due end, and a gap before it | at these times, by the wall clock, as headers are |
//! | else | an interval after the last one |
//! | a closing one | at once, or after a short wait for votes that peers have ([`BftConsensus::closing_due_ms`]) |

use tracing::{info, warn};

use super::super::events::{Notification, Progress, Timer};
use super::super::finality::ConsensusEngine;
use super::super::moment::Moment;
use super::super::outbox::Outbox;
use super::BftConsensus;
use crate::protocol::bft::{Input, Step};
use crate::types::limits::TRANSACTION_BYTES_MAX;
use crate::types::{TimeMs, ValidatorSet};

/// A height that is overdue by more than this, without a quorum of prevotes, is reported as halted, in milliseconds.
const HALT_AFTER_MS: u64 = 3_000;

/// Whether a peer has votes that this node lacks: what a closing block's proposer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consensus) enum PeersVotes {
    /// All that they say they hold is here.
    Here,
    /// Some of what they hold is not.
    Lacking,
}

/// Whether certified transactions make the next block due before its time.
fn is_triggered(finality: &ConsensusEngine, at: &Moment<'_>) -> bool {
    let parameters = at.chain.parameters();
    let (count, bytes) = finality.machine().unblocked();
    let units = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
    // Votes stop at `voted_unblocked_bytes`; a block that waited for its count alone would come an interval later.
    let bytes_max = parameters.block_bytes_max.min(parameters.voted_unblocked_bytes_max >> 1);
    units(count) >= parameters.block_trigger
        || units(bytes.saturating_add(TRANSACTION_BYTES_MAX)) >= bytes_max
}

impl BftConsensus {
    /// Enough certified transactions make the block due before its time: once a height, what follows is the timer's.
    pub(super) fn check_load(&mut self, finality: &ConsensusEngine, at: &Moment<'_>, out: &mut Outbox) {
        let next = at.chain.next_height();
        if self.triggered_height != next && is_triggered(finality, at) {
            self.triggered_height = next;
            self.check_due(finality, PeersVotes::Lacking, at, out);
        }
    }

    /// A new height begins: when is its block due?
    pub(super) fn schedule_height(&self, finality: &ConsensusEngine, at: &Moment<'_>, out: &mut Outbox) {
        let due = self.due_ms(finality, PeersVotes::Lacking, at);
        out.schedule(Timer::HeightDue(at.chain.next_height()), due.saturating_sub(at.now_ms()));
    }

    /// When the next block is due, by the monotonic clock. Its interval counts from the last block's time, but from no
    /// later than its arrival here: its proposer's clock may be ahead. Votes stand still while the epoch's last ordinary
    /// block is decided and applied, so it has to be small: hence a block a gap before the epoch's due end. Only its
    /// proposer's own clock makes that block the last, so one that is late by more than its timeout loses its round.
    fn due_ms(&self, finality: &ConsensusEngine, votes: PeersVotes, at: &Moment<'_>) -> TimeMs {
        let (state, parameters) = (at.state(), at.chain.parameters());
        if state.is_closing() {
            return self.closing_due_ms(finality, votes, at);
        }
        let applied = at.chain.applied();
        let age_ms = applied.wall_ms.saturating_sub(state.tip_time());
        let after = |wait_ms: u64| applied.monotonic_ms.saturating_add(wait_ms.saturating_sub(age_ms));
        let earliest = after(parameters.min_block_gap_ms);
        if is_triggered(finality, at) {
            return earliest;
        }
        let epoch_due = state.epoch_due();
        let marks = [epoch_due.saturating_sub(parameters.min_block_gap_ms), epoch_due];
        let last = state.tip_time().min(applied.wall_ms);
        let marked = marks.into_iter().find(|mark| *mark > last).map(|mark| {
            let wait_ms = mark.saturating_sub(at.now.wall_ms);
            at.now_ms().saturating_add(wait_ms).max(earliest)
        });
        let regular = after(parameters.block_interval_ms);
        marked.map_or(regular, |marked| marked.min(regular))
    }

    /// When a closing block is due. Its proposer has to know every promise of a quorum, or they refuse it and a round is
    /// lost. Validators hold their votes from their precommit of the epoch's last ordinary block on, and send it behind
    /// them, so whoever has applied that block nearly always knows enough: all but what those say who decided it without
    /// a precommit of their own, or in an earlier round than theirs. What a peer says it has more of, or a body that is
    /// missing, is waited for, but not for long: after a quarter of the propose timeout the block is due anyway.
    fn closing_due_ms(&self, finality: &ConsensusEngine, votes: PeersVotes, at: &Moment<'_>) -> TimeMs {
        let patience = at.chain.parameters().timeout_propose.base_ms >> 2;
        let may_propose = votes == PeersVotes::Here && finality.machine().lacks_no_body();
        at.chain.applied().monotonic_ms.saturating_add(if may_propose { 0 } else { patience })
    }

    /// Votes or a peer's status may have made a closing block due.
    pub(in crate::consensus) fn check_closing_due(
        &mut self,
        finality: &ConsensusEngine,
        votes: PeersVotes,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        if at.state().is_closing() && at.now_ms() >= self.closing_due_ms(finality, votes, at) {
            self.check_due(finality, votes, at, out);
        }
    }

    /// Begins the height if it is due, else says when to look again.
    pub(in crate::consensus) fn check_due(
        &mut self,
        finality: &ConsensusEngine,
        votes: PeersVotes,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        if self.is_committing() || self.machine.current_step() != Step::NewHeight {
            return;
        }
        if at.now_ms() >= self.due_ms(finality, votes, at) {
            self.inputs.push_back(Input::HeightDue);
        } else {
            self.schedule_height(finality, at, out);
        }
    }

    /// Tells people when something changed.
    pub(in crate::consensus) fn report_progress(
        &mut self,
        finality: &ConsensusEngine,
        is_syncing: bool,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        let (height, round) = (at.chain.next_height(), self.machine.round());
        let prevote_weight = self.machine.prevote_weight(round);
        let quorum = at.state().validators().quorum();
        let overdue_at = self.due_ms(finality, PeersVotes::Lacking, at).saturating_add(HALT_AFTER_MS);
        let is_behind = prevote_weight < quorum && !self.is_committing() && !is_syncing;
        let halted = at.now_ms() > overdue_at && is_behind;
        let progress = Progress {
            height,
            epoch: at.chain.epoch(),
            round,
            step: self.machine.current_step(),
            closing: finality.machine().is_closing(),
            prevote_weight,
            precommit_weight: self.machine.precommit_weight(round),
            quorum,
            halted,
        };
        if self.progress.as_ref() == Some(&progress) {
            return;
        }
        let was_halted = self.progress.as_ref().is_some_and(|before| before.halted);
        if halted && !was_halted {
            warn!(
                height,
                round,
                "Waiting for masternodes: {}; blocks and finality wait",
                waiting_words(at.state().validators(), prevote_weight, quorum)
            );
        } else if was_halted && !halted {
            info!(height, round, "Enough masternodes vote again");
        }
        self.progress = Some(progress.clone());
        out.notify(Notification::Progress(progress));
    }
}

/// What people hear while a set has no quorum: "2 of 3 needed masternodes are active", or the same by weight where
/// masternodes weigh differently.
#[must_use]
pub fn waiting_words(set: &ValidatorSet, active: u64, needed: u64) -> String {
    let equal = set.members().first().map_or(1, |member| member.weight);
    let counts = active.checked_div(equal).zip(
        needed.checked_add(equal).and_then(|sum| sum.checked_sub(1).and_then(|sum| sum.checked_div(equal))),
    );
    match counts {
        Some((active, needed)) if set.members().iter().all(|member| member.weight == equal) => {
            format!(
                "{active} of {needed} needed masternodes {} active",
                if active == 1 { "is" } else { "are" }
            )
        }
        _ => format!("masternodes with {active} of the needed weight of {needed} are active"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{MasternodeId, SecretKey, Validator};

    fn set(weights: &[u64]) -> ValidatorSet {
        let member = |(index, weight): (u8, &u64)| Validator {
            id: MasternodeId([index; 32]),
            key: SecretKey::from_seed(&[index; 32]).public(),
            weight: *weight,
        };
        ValidatorSet::new((0..).zip(weights).map(member).collect())
    }

    #[test]
    fn waiting_is_told_in_masternodes_where_that_is_true() {
        assert_eq!(waiting_words(&set(&[1; 4]), 2, 3), "2 of 3 needed masternodes are active");
        assert_eq!(waiting_words(&set(&[1; 4]), 1, 3), "1 of 3 needed masternodes is active");
        // Of weight 40 are 27 needed: three masternodes, as two have 20.
        assert_eq!(waiting_words(&set(&[10; 4]), 20, 27), "2 of 3 needed masternodes are active");
        let words = waiting_words(&set(&[1, 10]), 1, 8);
        assert_eq!(words, "masternodes with 1 of the needed weight of 8 are active");
        assert!(waiting_words(&set(&[]), 0, 1).contains("0 of"));
    }
}
