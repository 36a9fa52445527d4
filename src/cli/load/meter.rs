//! What became of each submitted transaction, and how long it took.
//!
//! # Invariants
//! - INV-LOAD-METER-1: a transaction counts as final once, and its coin comes back once, when it is final.
//! - Memory grows with transactions in flight and with the run's length in milliseconds, never with the
//!   number of all transactions.
//!
//! # Units
//! Latencies are microseconds inside, and milliseconds in reports.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::coins::Coin;
use crate::runtime::time_text::milliseconds;
use crate::types::TxId;

/// The greatest latency that is told apart.
const LATENCY_US_MAX: u64 = 600_000_000;
/// Different reasons of refusals that are kept, at most.
const REASONS_MAX: usize = 16;

struct InFlight {
    submitted: Instant,
    node: usize,
    /// What its output will be.
    coin: Coin,
    /// When another node was the first to see it final.
    elsewhere: Option<Instant>,
}

/// Counts, times, and hands coins back.
pub(super) struct Meter {
    start: Instant,
    in_flight: HashMap<TxId, InFlight>,
    returned: Vec<Coin>,
    nodes_down: Vec<bool>,
    latency: Histogram<u64>,
    node_latency: Histogram<u64>,
    /// For each millisecond since the start whether something became final in it.
    final_in_ms: Vec<bool>,
    counts: Counts,
    submitted_bytes: usize,
    reasons: BTreeMap<String, u64>,
}

/// Plain counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Transactions sent to a node.
    pub submitted: u64,
    /// Of these, taken by it.
    pub accepted: u64,
    /// Of these, seen final.
    #[serde(rename = "final")]
    pub finalized: u64,
    /// Refused by a node, or not delivered.
    pub rejected: u64,
}

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// A time in which nothing became final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Gap {
    /// When it began, from the start of the run.
    pub from_ms: u64,
    pub ms: u64,
}

/// What [`Meter::finish`] tells.
pub(super) struct Outcome {
    pub counts: Counts,
    /// Encoded bytes of all that was submitted.
    pub submitted_bytes: usize,
    pub latency: Percentiles,
    pub node_latency: Percentiles,
    pub final_per_s: f64,
    pub longest_gap: Gap,
    pub reasons: BTreeMap<String, u64>,
}

/// A figure to three decimals.
pub(super) fn rounded(figure: f64) -> f64 {
    (figure * 1_000.0).round() / 1_000.0
}

fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    let ms = |us: u64| milliseconds(Duration::from_micros(us));
    let at =
        |quantile: f64| if histogram.is_empty() { 0.0 } else { ms(histogram.value_at_quantile(quantile)) };
    let max_ms = if histogram.is_empty() { 0.0 } else { ms(histogram.max()) };
    Percentiles { p50_ms: at(0.5), p90_ms: at(0.9), p99_ms: at(0.99), max_ms }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Meter {
    /// A meter for a run that begins at `start` and lasts `length` at most.
    pub(super) fn new(
        start: Instant,
        length: Duration,
        nodes: usize,
    ) -> Result<Self, hdrhistogram::CreationError> {
        let slots = usize::try_from(length.as_millis()).unwrap_or(0).saturating_add(1);
        Ok(Self {
            start,
            in_flight: HashMap::new(),
            returned: Vec::new(),
            nodes_down: vec![false; nodes],
            latency: Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?,
            node_latency: Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?,
            final_in_ms: vec![false; slots],
            counts: Counts::default(),
            submitted_bytes: 0,
            reasons: BTreeMap::new(),
        })
    }

    /// Notes a transaction that is about to be sent.
    pub(super) fn submitted(&mut self, (txid, bytes): (TxId, usize), node: usize, coin: Coin, at: Instant) {
        self.counts.submitted = self.counts.submitted.saturating_add(1);
        self.submitted_bytes = self.submitted_bytes.saturating_add(bytes);
        self.in_flight.insert(txid, InFlight { submitted: at, node, coin, elsewhere: None });
    }

    /// Notes that its node took it.
    pub(super) fn accepted(&mut self) {
        self.counts.accepted = self.counts.accepted.saturating_add(1);
    }

    /// Notes that its node did not take it. Its coin does not come back: nobody knows who else has the transaction.
    pub(super) fn rejected(&mut self, txid: &TxId, reason: String) {
        self.in_flight.remove(txid);
        self.counts.rejected = self.counts.rejected.saturating_add(1);
        if self.reasons.len() < REASONS_MAX || self.reasons.contains_key(&reason) {
            let count = self.reasons.entry(reason).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// Notes whether a node can be reached; while it can't, the word of another node is enough for its transactions.
    pub(super) fn node_down(&mut self, node: usize, down: bool) {
        if let Some(entry) = self.nodes_down.get_mut(node) {
            *entry = down;
        }
    }

    /// Whether a node could be reached lately.
    pub(super) fn is_down(&self, node: usize) -> bool {
        self.nodes_down.get(node).copied().unwrap_or(true)
    }

    /// Notes that `node` saw a transaction become final at `at`, `node_latency_us` after its own acceptance.
    pub(super) fn finalized(&mut self, txid: &TxId, node: usize, at: Instant, node_latency_us: Option<u64>) {
        let Some(entry) = self.in_flight.get_mut(txid) else {
            return;
        };
        let own = entry.node == node;
        let own_down = self.nodes_down.get(entry.node).copied().unwrap_or(true);
        if !own && !own_down {
            entry.elsewhere.get_or_insert(at);
            return;
        }
        if let (true, Some(us)) = (own, node_latency_us) {
            self.node_latency.saturating_record(us.max(1));
        }
        self.settle(txid, at);
    }

    fn settle(&mut self, txid: &TxId, at: Instant) {
        let Some(entry) = self.in_flight.remove(txid) else {
            return;
        };
        self.counts.finalized = self.counts.finalized.saturating_add(1);
        self.latency.saturating_record(micros(at.saturating_duration_since(entry.submitted)).max(1));
        self.returned.push(entry.coin);
        let slot =
            usize::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(usize::MAX);
        if let Some(slot) = self.final_in_ms.get_mut(slot) {
            *slot = true;
        }
    }

    /// The coins that can be spent again.
    pub(super) fn take_returned(&mut self) -> Vec<Coin> {
        std::mem::take(&mut self.returned)
    }

    /// How many transactions are neither final nor refused.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// A line for people, of a run of this length.
    pub(super) fn progress(&self, now: Instant, length: Duration) -> String {
        let Counts { submitted, accepted, finalized, rejected, .. } = self.counts;
        let latency = percentiles(&self.latency);
        format!(
            "{:>4} of {} s: submitted {submitted}, accepted {accepted}, final {finalized}, rejected {rejected}, p50 {:.1} ms, p99 {:.1} ms",
            // What follows the end waits for the last payments.
            now.saturating_duration_since(self.start).min(length).as_secs(),
            length.as_secs(),
            latency.p50_ms,
            latency.p99_ms
        )
    }

    /// Takes the word of other nodes for what is left, and sums up.
    pub(super) fn finish(mut self) -> Outcome {
        let left: Vec<(TxId, Instant)> =
            self.in_flight.iter().filter_map(|(txid, entry)| Some((*txid, entry.elsewhere?))).collect();
        for (txid, at) in left {
            self.settle(&txid, at);
        }
        let (longest_gap, active_ms) = self.gaps();
        let finalized = u32::try_from(self.counts.finalized).map_or(f64::MAX, f64::from);
        let seconds = Duration::from_millis(active_ms).as_secs_f64();
        Outcome {
            counts: self.counts,
            submitted_bytes: self.submitted_bytes,
            latency: percentiles(&self.latency),
            node_latency: percentiles(&self.node_latency),
            final_per_s: if active_ms == 0 { 0.0 } else { rounded(finalized / seconds) },
            longest_gap,
            reasons: self.reasons,
        }
    }

    /// The longest pause between finalizations, from the start to the last one, and when that one was.
    fn gaps(&self) -> (Gap, u64) {
        let (mut longest, mut last_ms) = (Gap::default(), 0_u64);
        for (now_ms, hit) in (0_u64..).zip(&self.final_in_ms) {
            if *hit {
                let gap = Gap { from_ms: last_ms, ms: now_ms.saturating_sub(last_ms) };
                if gap.ms > longest.ms {
                    longest = gap;
                }
                last_ms = now_ms;
            }
        }
        (longest, if self.counts.finalized == 0 { 0 } else { last_ms.max(1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Clock;
    use crate::types::{Amount, OutPoint};

    fn coin(owner: usize) -> Coin {
        Coin { outpoint: OutPoint { txid: TxId::ZERO, index: 0 }, value: Amount(1), owner }
    }

    fn txid(byte: u8) -> TxId {
        TxId([byte; 32])
    }

    /// INV-LOAD-METER-1.
    #[test]
    fn each_transaction_counts_once_at_its_own_node() {
        let start = Clock.instant();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut meter = Meter::new(start, Duration::from_secs(1), 2).unwrap();
        for byte in 1..=3 {
            meter.submitted((txid(byte), 250), 0, coin(byte.into()), at(10));
            meter.accepted();
        }
        meter.finalized(&txid(1), 1, at(12), Some(1));
        assert_eq!(meter.take_returned().len(), 0, "another node's word is not enough");
        meter.finalized(&txid(1), 0, at(20), Some(5_000));
        meter.finalized(&txid(1), 0, at(21), Some(5_000));
        assert_eq!(meter.take_returned().len(), 1);
        meter.finalized(&txid(2), 1, at(50), Some(1));
        meter.node_down(0, true);
        meter.finalized(&txid(3), 1, at(120), Some(1));
        let outcome = meter.finish();
        assert_eq!((outcome.counts.accepted, outcome.counts.finalized), (3, 3));
        assert_eq!(outcome.longest_gap, Gap { from_ms: 50, ms: 70 });
        assert!((outcome.latency.max_ms - 110.0).abs() < 0.2, "{:?}", outcome.latency);
        assert!((outcome.latency.p50_ms - 40.0).abs() < 0.1);
        assert!((outcome.node_latency.max_ms - 5.0).abs() < 0.01);
        assert!((outcome.final_per_s - 25.0).abs() < 0.01);
    }

    #[test]
    fn refusals_are_counted_by_reason_and_keep_their_coins() {
        let start = Clock.instant();
        let mut meter = Meter::new(start, Duration::from_secs(1), 1).unwrap();
        for byte in 0..40 {
            meter.submitted((txid(byte), 250), 0, coin(0), start);
            meter.rejected(&txid(byte), format!("reason{byte}"));
        }
        assert_eq!((meter.in_flight(), meter.take_returned().len()), (0, 0));
        let outcome = meter.finish();
        assert_eq!((outcome.counts.rejected, outcome.reasons.len()), (40, REASONS_MAX));
        assert_eq!((outcome.longest_gap.ms, outcome.final_per_s.to_bits()), (0, 0.0_f64.to_bits()));
    }
}
