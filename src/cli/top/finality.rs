//! The payments of the last minute: how many became final, and how long that took from the node's acceptance.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::rpc::types::EventInfo;

/// Exact below 2^53.
#[allow(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) const fn float(count: u64) -> f64 {
    count as f64
}

/// Seconds that are kept.
pub(super) const SECONDS: usize = 60;
/// Times to finality that are kept for each second, at most: enough for the 99th percentile.
const SAMPLES_MAX: usize = 1_000;

/// The state of a payment that votes made final here.
const FINAL: &str = "final";

/// One second.
#[derive(Clone, Debug, Default)]
struct Second {
    payments: u64,
    /// Microseconds. Of more than [`SAMPLES_MAX`] these are the first.
    latencies_us: Vec<u64>,
}

/// The last minute, second by second.
#[derive(Clone, Debug)]
pub(super) struct Minute {
    began: Instant,
    /// The number of the last second, counted from `began`.
    current: u64,
    seconds: VecDeque<Second>,
}

/// What the last minute was like.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct FinalityView {
    /// The median of each second in microseconds, the oldest first; `None` where nothing became final.
    pub(super) medians_us: Vec<Option<u64>>,
    /// Half of the last minute's payments were final in this time, in microseconds.
    pub(super) p50_us: Option<u64>,
    /// Ninety-nine of a hundred.
    pub(super) p99_us: Option<u64>,
    /// Payments that became final in the last minute.
    pub(super) payments: u64,
    /// The same a second, over the time that was watched.
    pub(super) per_second: f64,
}

/// The value that so many hundredths are not above, of sorted values.
fn percentile(sorted: &[u64], hundredths: usize) -> Option<u64> {
    let rank = sorted.len().saturating_mul(hundredths).div_ceil(100).max(1);
    sorted.get(rank.saturating_sub(1)).copied()
}

impl Minute {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, current: 0, seconds: VecDeque::from([Second::default()]) }
    }

    /// Begins with what was told first: payments that became final before are put into their seconds by their age.
    pub(super) fn with(now: Instant, events: &[EventInfo]) -> Self {
        let age = |event: &EventInfo| match event {
            EventInfo::Final(event) => event.age_us.map(Duration::from_micros),
            _ => None,
        };
        let last = Duration::from_secs(SECONDS as u64 - 1);
        let mut recent: Vec<(Duration, &EventInfo)> = events
            .iter()
            .filter_map(|event| Some((age(event)?, event)))
            .filter(|(age, _)| *age <= last)
            .collect();
        // The oldest first; the minute began with it, as far as is known.
        recent.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
        let oldest = recent.first().map_or(Duration::ZERO, |(age, _)| *age);
        let began = now.checked_sub(oldest).unwrap_or(now);
        let mut minute = Self::new(began);
        for (age, event) in recent {
            minute.add(now.checked_sub(age).unwrap_or(now).max(began), std::slice::from_ref(event));
        }
        minute.advance(now);
        minute
    }

    /// Goes on to the second of this time.
    fn advance(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.began).as_secs();
        let steps = second.saturating_sub(self.current);
        // After a pause of hours there is nothing left to keep.
        for _ in 0..steps.min(SECONDS as u64) {
            self.seconds.push_back(Second::default());
        }
        while self.seconds.len() > SECONDS {
            self.seconds.pop_front();
        }
        self.current = self.current.saturating_add(steps);
    }

    /// Takes what was told at this time.
    pub(super) fn add(&mut self, now: Instant, events: &[EventInfo]) {
        self.advance(now);
        let Some(second) = self.seconds.back_mut() else { return };
        for event in events {
            let EventInfo::Final(event) = event else { continue };
            // When those became final that a block made known, as in a sync, is not known here.
            if event.reward || event.state != FINAL {
                continue;
            }
            second.payments = second.payments.saturating_add(1);
            if let Some(us) = event.latency_us.filter(|_| second.latencies_us.len() < SAMPLES_MAX) {
                second.latencies_us.push(us);
            }
        }
    }

    pub(super) fn view(&self, now: Instant) -> FinalityView {
        let median = |second: &Second| {
            let mut sorted = second.latencies_us.clone();
            sorted.sort_unstable();
            percentile(&sorted, 50)
        };
        let mut all: Vec<u64> = self.seconds.iter().flat_map(|second| second.latencies_us.clone()).collect();
        all.sort_unstable();
        let payments = self.seconds.iter().map(|second| second.payments).sum();
        let watched = now.saturating_duration_since(self.began).as_secs_f64();
        // The second that runs is not over.
        let span = watched.clamp(1.0, Duration::from_secs(SECONDS as u64).as_secs_f64());
        FinalityView {
            medians_us: self.seconds.iter().map(median).collect(),
            p50_us: percentile(&all, 50),
            p99_us: percentile(&all, 99),
            payments,
            per_second: float(payments) / span,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::types::FinalEvent;
    use crate::runtime::Clock;
    use crate::types::{Amount, TxId};

    fn event(latency_us: Option<u64>, reward: bool) -> EventInfo {
        EventInfo::Final(FinalEvent {
            txid: TxId([1; 32]),
            state: "final".to_owned(),
            height: None,
            amount: Amount(1),
            amount_time: String::new(),
            reward,
            latency_us,
            age_us: None,
            address: None,
        })
    }

    #[test]
    fn a_minute_begins_with_what_became_final_before_the_first_look() {
        let now = Clock.instant() + Duration::from_secs(600);
        let of_age = |seconds: u64, latency_us| match event(Some(latency_us), false) {
            EventInfo::Final(event) => {
                EventInfo::Final(FinalEvent { age_us: Some(seconds * 1_000_000), ..event })
            }
            other => other,
        };
        let before =
            [of_age(90, 1), of_age(30, 5_000), of_age(30, 7_000), of_age(0, 9_000), event(Some(2), false)];
        let minute = Minute::with(now, &before);
        let view = minute.view(now);
        assert_eq!(
            (view.payments, view.per_second),
            (3, 0.1),
            "older ones and those of unknown age don't count"
        );
        assert_eq!(view.medians_us.len(), 31);
        assert_eq!(
            (view.medians_us[0], view.medians_us[1], view.medians_us[30]),
            (Some(5_000), None, Some(9_000))
        );
        assert_eq!(Minute::with(now, &[]).view(now).payments, 0);
    }

    #[test]
    fn a_minute_counts_payments_by_second_and_forgets_older_ones() {
        let start = Clock.instant();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut minute = Minute::new(start);
        let hundred: Vec<EventInfo> = (1..=100).map(|us| event(Some(us), false)).collect();
        minute.add(start, &hundred);
        minute.add(at(2), &[event(Some(7_000), false), event(None, false), event(Some(1), true)]);
        let EventInfo::Final(of_block) = event(None, false) else { unreachable!() };
        let synced =
            EventInfo::Final(FinalEvent { state: "confirmed".to_owned(), height: Some(7), ..of_block });
        minute.add(at(2), &[synced]);
        let view = minute.view(at(4));
        assert_eq!(view.medians_us, [Some(50), None, Some(7_000)]);
        assert_eq!((view.p50_us, view.p99_us), (Some(51), Some(100)));
        assert_eq!((view.payments, view.per_second), (102, 25.5), "rewards are no payments");
        // 61 seconds after the hundred only the later two are left.
        minute.add(at(61), &[]);
        let view = minute.view(at(61));
        assert_eq!((view.payments, view.p50_us, view.medians_us.len()), (2, Some(7_000), SECONDS));
        minute.add(at(100_000), &[]);
        assert_eq!(minute.view(at(100_000)).p99_us, None);
    }
}
