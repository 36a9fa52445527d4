//! How late each masternode's votes come at this node.
//!
//! # Place
//! `observer.rs` tells of votes and sets, on the observers' thread; RPC's `getvotelatency` reads. Consensus itself measures
//! nothing.
//!
//! # What is measured
//! A vote on a payment counts from this node's acceptance of the payment, or from the first vote for it where that came
//! before; a precommit from the first one of its height and round. What waits in the node's own queues is part of it, as of
//! the time to finality. A vote is missing if it is not here [`OPEN_FOR`] after the first one, though a quorum's are; one
//! that comes later still counts with its time.
//!
//! # Invariants
//! - INV-LATENESS-1: at most [`OPEN_MAX`] payments and rounds are open, the oldest are judged first. The figures of a member
//!   take the same room however many votes it casts.
//! - INV-LATENESS-2: votes that a peer was asked for say nothing of a payment whose votes are not being measured: after a
//!   restart a node asks for all votes of the epoch.
//!
//! # Concurrency
//! One short lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::RandomState;
use hdrhistogram::Histogram;
use parking_lot::Mutex;

use crate::rpc::methods::LATENCY_MINUTES_MAX;
use crate::rpc::types::{MemberLatency, VoteLatencyInfo, VoteTimes};
use crate::types::limits::VALIDATORS_MAX;
use crate::types::{Height, MasternodeId, Round, TxId, ValidatorSet, VoteBatch, VoteKind};

/// How long the votes on a payment or of a round are waited for.
pub const OPEN_FOR: Duration = Duration::from_secs(10);
/// Payments and rounds whose votes are waited for, at most: those of ten seconds at 3,000 payments a second.
pub const OPEN_MAX: usize = 32_768;
/// Minutes that are remembered.
pub const MINUTES_MAX: u64 = MINUTES as u64;
/// Memory of all of it, in bytes: open ones with their place in two tables, and the histograms of the largest set.
pub const VOTE_LATENCY_BYTES_MAX: usize = OPEN_MAX * OPEN_BYTES + VALIDATORS_MAX * MEMBER_BYTES;

const OPEN_BYTES: usize = 384;
const MEMBER_BYTES: usize = KINDS * MINUTES * (HISTOGRAM_BYTES + 256);
/// A histogram of 32-bit counts up to [`LATENCY_US_MAX`] with one significant digit.
const HISTOGRAM_BYTES: usize = 1_600;
/// Slower ones count as this slow.
const LATENCY_US_MAX: u64 = 120_000_000;
const DIGITS: u8 = 1;
const MINUTES: usize = LATENCY_MINUTES_MAX;
const KINDS: usize = 3;
const _: () = assert!(VALIDATORS_MAX <= 128, "who was heard is a bit of 128");

/// Which vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Lock,
    Final,
    Precommit,
}

/// What is voted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum About {
    Payment(TxId),
    Round(Height, Round),
}

/// Something whose votes are waited for.
struct Open {
    since: Instant,
    /// The vote that began it, until another one shows that it was not alone.
    first: Option<(usize, Kind)>,
    /// Whose votes are here, a bit for each place in the set, by [`Kind`].
    heard: [u128; KINDS],
}

/// One minute of one member's votes of one kind.
#[derive(Clone, Default)]
struct Minute {
    number: u64,
    /// Microseconds; there is none before the first vote.
    times: Option<Histogram<u32>>,
    max_us: u64,
    missing: u64,
}

impl Minute {
    fn forget(&mut self, number: u64) {
        (self.number, self.max_us, self.missing) = (number, 0, 0);
        if let Some(times) = &mut self.times {
            times.reset();
        }
    }
}

/// One member's votes of one kind.
#[derive(Clone, Default)]
struct Times([Minute; MINUTES]);

impl Times {
    fn minute(&mut self, number: u64) -> Option<&mut Minute> {
        let place = usize::try_from(number % MINUTES_MAX).ok()?;
        let minute = self.0.get_mut(place)?;
        if minute.number != number {
            minute.forget(number);
        }
        Some(minute)
    }

    fn record(&mut self, number: u64, us: u64) {
        let Some(minute) = self.minute(number) else { return };
        if minute.times.is_none() {
            minute.times = histogram();
        }
        if let Some(times) = &mut minute.times {
            times.saturating_record(us);
        }
        minute.max_us = minute.max_us.max(us);
    }

    fn miss(&mut self, number: u64) {
        if let Some(minute) = self.minute(number) {
            minute.missing = minute.missing.saturating_add(1);
        }
    }

    /// Of this minute and those before it, as many as asked for.
    fn told(&self, number: u64, minutes: u64) -> VoteTimes {
        let is_asked = |minute: &&Minute| number.saturating_sub(minute.number) < minutes;
        let mut all = histogram();
        let (mut max_us, mut missing) = (0, 0_u64);
        for minute in self.0.iter().filter(is_asked) {
            if let (Some(all), Some(times)) = (&mut all, &minute.times) {
                // Both have the same bounds.
                let _fits = all.add(times).is_ok();
            }
            max_us = max_us.max(minute.max_us);
            missing = missing.saturating_add(minute.missing);
        }
        let count = all.as_ref().map_or(0, Histogram::len);
        let ms = |us: u64| f64::from(u32::try_from(us.min(max_us)).unwrap_or(u32::MAX)) / 1_000.0;
        let quantile = |part| all.as_ref().filter(|_| count > 0).map(|all| ms(all.value_at_quantile(part)));
        VoteTimes {
            count,
            missing,
            p50_ms: quantile(0.5),
            p90_ms: quantile(0.9),
            p99_ms: quantile(0.99),
            max_ms: (count > 0).then(|| ms(max_us)),
        }
    }
}

fn histogram() -> Option<Histogram<u32>> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS).ok()
}

struct State {
    began: Instant,
    set: Arc<ValidatorSet>,
    /// By place in the set, then by [`Kind`].
    members: Vec<[Times; KINDS]>,
    open: HashMap<About, Open, RandomState>,
    /// With when each was opened.
    order: VecDeque<(Instant, About)>,
}

/// Measures.
pub struct VoteLatency(Mutex<State>);

impl VoteLatency {
    /// Measures the votes of this set from now on.
    #[must_use]
    pub fn new(set: &Arc<ValidatorSet>, now: Instant) -> Self {
        Self(Mutex::new(State {
            began: now,
            members: vec![Default::default(); set.len()],
            set: Arc::clone(set),
            open: HashMap::default(),
            order: VecDeque::new(),
        }))
    }

    /// Another epoch began. Whoever stays in the set keeps its figures.
    pub fn set_voters(&self, set: &Arc<ValidatorSet>, now: Instant) {
        let mut state = self.0.lock();
        let ids = |set: &ValidatorSet| set.members().iter().map(|member| member.id).collect::<Vec<_>>();
        let (before, after) = (ids(&state.set), ids(set));
        if before != after {
            state.close_all(now);
            let mut kept: HashMap<MasternodeId, [Times; KINDS]> =
                before.into_iter().zip(std::mem::take(&mut state.members)).collect();
            state.members = after.iter().map(|id| kept.remove(id).unwrap_or_default()).collect();
        }
        state.set = Arc::clone(set);
    }

    /// A member's votes came. `accepted` tells when this node accepted a payment, where that is known.
    pub fn votes_heard(
        &self,
        batch: &VoteBatch,
        was_asked: bool,
        accepted: impl Fn(&TxId) -> Option<Instant>,
        now: Instant,
    ) {
        let mut state = self.0.lock();
        state.close_overdue(now);
        let Some(place) = state.set.index_of(&batch.header.validator) else { return };
        for vote in &batch.votes {
            let kind = match vote.kind {
                VoteKind::Lock => Kind::Lock,
                VoteKind::Final => Kind::Final,
            };
            let about = About::Payment(vote.txid);
            if was_asked && !state.open.contains_key(&about) {
                continue;
            }
            state.heard((about, kind), place, || accepted(&vote.txid), now);
        }
    }

    /// A member's precommit came.
    pub fn precommit_heard(&self, member: &MasternodeId, height: Height, round: Round, now: Instant) {
        let mut state = self.0.lock();
        state.close_overdue(now);
        let Some(place) = state.set.index_of(member) else { return };
        state.heard((About::Round(height, round), Kind::Precommit), place, || None, now);
    }

    /// The figures of this minute and those before it, `minutes` in all; the set's members in its order.
    #[must_use]
    pub fn told(&self, minutes: u64, own: Option<MasternodeId>, now: Instant) -> VoteLatencyInfo {
        let mut state = self.0.lock();
        state.close_overdue(now);
        let (number, minutes) = (state.minute(now), minutes.clamp(1, MINUTES_MAX));
        let member = |(member, [lock, finalizes, precommit]): (_, &[Times; KINDS])| {
            let member: &crate::types::Validator = member;
            MemberLatency {
                id: member.id,
                own: own == Some(member.id),
                lock: lock.told(number, minutes),
                finalizes: finalizes.told(number, minutes),
                precommit: precommit.told(number, minutes),
            }
        };
        let watched_s = now.saturating_duration_since(state.began).as_secs();
        VoteLatencyInfo {
            minutes,
            watched_s: watched_s.min(minutes.saturating_mul(60)),
            masternodes: state.set.members().iter().zip(&state.members).map(member).collect(),
        }
    }
}

impl State {
    /// The minute since the start, from 1 on: 0 marks what never was written.
    fn minute(&self, now: Instant) -> u64 {
        (now.saturating_duration_since(self.began).as_secs() / 60).saturating_add(1)
    }

    fn record(&mut self, place: usize, kind: Kind, taken: Duration, now: Instant) {
        let number = self.minute(now);
        let us = u64::try_from(taken.as_micros()).unwrap_or(LATENCY_US_MAX).min(LATENCY_US_MAX);
        if let Some(times) = self.members.get_mut(place).and_then(|times| times.get_mut(kind as usize)) {
            times.record(number, us);
        }
    }

    fn heard(
        &mut self,
        (about, kind): (About, Kind),
        place: usize,
        accepted: impl FnOnce() -> Option<Instant>,
        now: Instant,
    ) {
        let bit = 1_u128 << place;
        let Some(open) = self.open.get_mut(&about) else {
            let accepted = accepted();
            let mut heard = [0; KINDS];
            heard[kind as usize] = bit;
            let first = accepted.is_none().then_some((place, kind));
            self.open.insert(about, Open { since: accepted.unwrap_or(now), first, heard });
            self.order.push_back((now, about));
            if let Some(accepted) = accepted {
                self.record(place, kind, now.saturating_duration_since(accepted), now);
            }
            return;
        };
        if open.heard[kind as usize] & bit != 0 {
            return;
        }
        open.heard[kind as usize] |= bit;
        let (since, first) = (open.since, open.first.take());
        if let Some((place, kind)) = first {
            self.record(place, kind, Duration::ZERO, now);
        }
        self.record(place, kind, now.saturating_duration_since(since), now);
    }

    fn close_overdue(&mut self, now: Instant) {
        while let Some((opened, about)) = self.order.front().copied() {
            let is_over = now.saturating_duration_since(opened) >= OPEN_FOR;
            if !is_over && self.order.len() <= OPEN_MAX {
                return;
            }
            self.order.pop_front();
            if let Some(open) = self.open.remove(&about) {
                self.judge(&open, now);
            }
        }
    }

    /// The set changes: what has had its time is judged, what has not says nothing.
    fn close_all(&mut self, now: Instant) {
        self.close_overdue(now);
        self.open.clear();
        self.order.clear();
    }

    /// Whoever has not voted where a quorum has is missing.
    fn judge(&mut self, open: &Open, now: Instant) {
        let (number, quorum) = (self.minute(now), self.set.quorum());
        for kind in [Kind::Lock, Kind::Final, Kind::Precommit] {
            let heard = open.heard[kind as usize];
            let has = |place: usize| heard & (1 << place) != 0;
            let weight = self.set.members().iter().enumerate().filter(|(place, _)| has(*place));
            if weight.map(|(_, member)| member.weight).fold(0, u64::saturating_add) < quorum {
                continue;
            }
            // Whoever voted `Final` held the certificate, and need not have voted `Lock`.
            let excused = if kind == Kind::Lock { open.heard[Kind::Final as usize] } else { 0 };
            for (place, times) in self.members.iter_mut().enumerate() {
                if (heard | excused) & (1 << place) == 0
                    && let Some(times) = times.get_mut(kind as usize)
                {
                    times.miss(number);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
