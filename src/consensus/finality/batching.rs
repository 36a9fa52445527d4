//! When own votes leave, and how many at a time.

use super::super::events::Timer;
use super::super::moment::Moment;
use super::super::outbox::Outbox;
use crate::storage::journal::JournalRecord;
use crate::types::limits::BATCH_VOTES_MAX;
use crate::types::{FinalityVote, TimeMs};

/// So many votes in the last batch add one vote interval to the wait for the next.
const INTERVAL_VOTES: usize = 8;
/// Vote intervals between two batches, at most.
const INTERVAL_GROWTH_MAX: u64 = 4;

/// Votes that wait for their batch, with what has to be durable before it leaves.
#[derive(Debug, Default)]
pub(in crate::consensus) struct PendingBatch {
    votes: Vec<FinalityVote>,
    records: Vec<JournalRecord>,
    last_flush_ms: TimeMs,
    last_votes: usize,
    scheduled: bool,
    /// Batches that were signed and are not durable yet.
    unwritten: usize,
}

impl PendingBatch {
    /// Adds a vote and what has to be durable with it; true when the batch is full.
    pub(super) fn push(
        &mut self,
        vote: FinalityVote,
        records: impl IntoIterator<Item = JournalRecord>,
    ) -> bool {
        self.records.extend(records);
        self.votes.push(vote);
        self.votes.len() >= BATCH_VOTES_MAX
    }

    /// Whether the batch is due. The first vote after a pause leaves at once; those that follow within the vote interval,
    /// or before the journal has written the last batch, share one. The journal writes one at a time, so waiting for it
    /// delays nothing, and on a slow disk or a busy machine the batches grow instead of the queue. The interval grows
    /// with the last batch, up to [`INTERVAL_GROWTH_MAX`] times: a batch costs every member a check and a sync, whatever
    /// is in it.
    pub(super) fn is_due(&mut self, vote_interval_ms: u64, at: &Moment<'_>, out: &mut Outbox) -> bool {
        if self.votes.is_empty() || self.scheduled || self.unwritten > 0 {
            return false;
        }
        let growth = u64::try_from(self.last_votes / INTERVAL_VOTES).unwrap_or(u64::MAX);
        let interval = vote_interval_ms.saturating_mul(growth.saturating_add(1).min(INTERVAL_GROWTH_MAX));
        let due = self.last_flush_ms.saturating_add(interval);
        if at.now_ms() >= due {
            return true;
        }
        self.scheduled = true;
        out.schedule(Timer::FlushVotes, due.saturating_sub(at.now_ms()));
        false
    }

    /// The wait for the next batch is over. False while the journal still writes one that left since it began: what it
    /// says then comes next. The clock is not asked again.
    pub(super) const fn wait_is_over(&mut self) -> bool {
        self.scheduled = false;
        self.unwritten == 0
    }

    /// Takes the votes, and what has to be durable before they leave, for a batch.
    pub(super) fn take(&mut self, now_ms: TimeMs) -> (Vec<FinalityVote>, Vec<JournalRecord>) {
        self.scheduled = false;
        self.last_flush_ms = now_ms;
        self.last_votes = self.votes.len();
        self.unwritten = self.unwritten.saturating_add(1);
        (std::mem::take(&mut self.votes), std::mem::take(&mut self.records))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.votes.is_empty()
    }

    pub(super) const fn written(&mut self) {
        self.unwritten = self.unwritten.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{TxId, VoteKind};

    #[test]
    fn a_batch_is_full_with_as_many_votes_as_it_may_have() {
        let mut pending = PendingBatch::default();
        let vote = FinalityVote { kind: VoteKind::Lock, txid: TxId::ZERO };
        for number in 1..=BATCH_VOTES_MAX {
            assert_eq!(pending.push(vote, None), number == BATCH_VOTES_MAX, "vote {number}");
        }
        assert_eq!(pending.take(0).0.len(), BATCH_VOTES_MAX);
        assert!(pending.is_empty());
    }
}
