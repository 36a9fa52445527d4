//! Runs at several rates: the highest that the network keeps up with, and what it does far beyond that.
//!
//! # The peak
//! A network keeps up with a rate when it takes 99 of a hundred payments, all that it takes becomes final, and the
//! 99th percentile from the node's acceptance is within a bound. The rate is doubled until it does not keep up, then the
//! gap is halved until it is within a twentieth.
//!
//! # The ladder
//! Half the peak, the peak, 2, 4 and 8 times that, and the peak again. After each rung one payment a second is sent alone:
//! a network that digests a crowd for long shows it there.

use std::time::Duration;

use serde::Serialize;

use super::{Counts, LoadReport, OUTPUTS, Offer, RATE_MAX, measure};
use crate::cli::output::notice;
use crate::cli::rpc_client::{ConnectionArgs, RpcCommandError};
use crate::runtime::time_text::milliseconds;
use crate::types::SecretKey;

/// The rate that a search begins with.
const FIRST_RATE: u32 = 500;
/// How long the network has for itself between two runs.
const REST: Duration = Duration::from_secs(2);
/// The payments that are sent alone behind a rung.
const ALONE: Offer = Offer { rate: 1, duration: Duration::from_secs(3), outputs: OUTPUTS };
/// Rates of a ladder, in halves of the peak.
const RUNGS: [u32; 6] = [1, 2, 4, 8, 16, 2];

/// What a search found.
#[derive(Clone, Debug, Serialize)]
pub struct PeakReport {
    /// The highest rate that was kept up with, in payments a second; 0 if none was.
    pub peak_per_s: u32,
    /// The bound on the 99th percentile.
    pub p99_limit_ms: f64,
    /// All runs, as they were made.
    pub runs: Vec<LoadReport>,
}

/// What a ladder showed.
#[derive(Clone, Debug, Serialize)]
pub struct LadderReport {
    /// What the rungs are measured by, in payments a second.
    pub peak_per_s: u32,
    /// From the lowest to the highest, and the peak again.
    pub rungs: Vec<Rung>,
}

/// One rate of a ladder.
#[derive(Clone, Debug, Serialize)]
pub struct Rung {
    /// The run.
    #[serde(flatten)]
    pub load: LoadReport,
    /// The slowest payment of those that were sent alone afterwards.
    pub alone_max_ms: f64,
}

/// Whether the network kept up.
fn keeps_up(report: &LoadReport, p99_limit: Duration) -> bool {
    let Counts { submitted, accepted, finalized, .. } = report.counts;
    let offered = u64::from(report.rate).saturating_mul(report.duration_s);
    finalized == accepted
        && accepted.saturating_mul(100) >= submitted.saturating_mul(99)
        && submitted.saturating_mul(100) >= offered.saturating_mul(99)
        && report.node_p99_ms <= p99_limit.as_secs_f64() * 1_000.0
}

/// The next rate to try: twice as much until one is too much, then the middle; `None` when they are close enough.
fn next_rate(kept: u32, missed: Option<u32>) -> Option<u32> {
    let Some(missed) = missed else {
        return if kept == 0 {
            Some(FIRST_RATE)
        } else {
            Some(kept.saturating_mul(2).min(RATE_MAX)).filter(|next| *next > kept)
        };
    };
    let gap = missed.saturating_sub(kept);
    (gap > (missed / 20).max(1)).then(|| kept.saturating_add(gap / 2))
}

fn summary(report: &LoadReport) -> String {
    let cpu = report.cost.as_ref().map_or_else(String::new, |cost| {
        format!(", {:.0} us of CPU a payment and node", cost.cpu_us_per_payment)
    });
    format!(
        "{} a second: {:.0} final a second, p50 {:.1} and p99 {:.1} ms from acceptance, {} of {} refused{cpu}",
        report.rate,
        report.final_per_s,
        report.node_p50_ms,
        report.node_p99_ms,
        report.counts.rejected,
        report.counts.submitted,
    )
}

/// Searches the peak.
///
/// # Errors
/// As [`measure`].
pub(super) async fn find_peak(
    connection: &ConnectionArgs,
    keys: &[SecretKey],
    (duration, outputs): (Duration, u16),
    p99_limit: Duration,
) -> Result<PeakReport, RpcCommandError> {
    let (mut kept, mut missed, mut runs) = (0, None, Vec::new());
    while let Some(rate) = next_rate(kept, missed) {
        let report = measure(connection, keys, Offer { rate, duration, outputs }).await?;
        let keeps = keeps_up(&report, p99_limit);
        notice(format_args!("{}: {}", if keeps { "kept up" } else { "too much" }, summary(&report)));
        if keeps {
            kept = rate;
        } else {
            missed = Some(rate);
        }
        runs.push(report);
        tokio::time::sleep(REST).await;
    }
    Ok(PeakReport { peak_per_s: kept, p99_limit_ms: milliseconds(p99_limit), runs })
}

/// Climbs the ladder.
///
/// # Errors
/// As [`measure`].
pub(super) async fn climb(
    connection: &ConnectionArgs,
    keys: &[SecretKey],
    peak_per_s: u32,
    (duration, outputs): (Duration, u16),
) -> Result<LadderReport, RpcCommandError> {
    let mut rungs = Vec::new();
    for halves in RUNGS {
        let rate = peak_per_s.saturating_mul(halves).div_ceil(2).clamp(1, RATE_MAX);
        let load = measure(connection, keys, Offer { rate, duration, outputs }).await?;
        notice(summary(&load));
        tokio::time::sleep(REST).await;
        let alone = measure(connection, keys, ALONE).await?;
        rungs.push(Rung { load, alone_max_ms: alone.max_ms });
    }
    Ok(LadderReport { peak_per_s, rungs })
}

impl PeakReport {
    pub(super) fn table(&self) -> Vec<String> {
        let best = self.runs.iter().rfind(|run| run.rate == self.peak_per_s);
        let runs = self.runs.iter().map(|run| format!("  {}", summary(run)));
        let found = match best {
            Some(_) => format!(
                "The network keeps up with {} payments a second (p99 within {:.0} ms)",
                self.peak_per_s, self.p99_limit_ms
            ),
            None => "The network keeps up with no rate that was tried".to_owned(),
        };
        let cost = best.and_then(|run| run.cost.as_ref()).map(super::LoadCost::table).unwrap_or_default();
        runs.chain([found]).chain(cost).collect()
    }
}

impl LadderReport {
    pub(super) fn table(&self) -> Vec<String> {
        let head = format!(
            "{:>9} {:>9} {:>9} {:>9} {:>10} {:>9} {:>12}",
            "offered/s", "final/s", "refused", "p50 ms", "p99 ms", "CPU us", "then alone"
        );
        let row = |rung: &Rung| {
            let load = &rung.load;
            let cpu = load
                .cost
                .as_ref()
                .map_or_else(|| "-".to_owned(), |cost| format!("{:.0}", cost.cpu_us_per_payment));
            format!(
                "{:>9} {:>9.0} {:>9} {:>9.1} {:>10.1} {cpu:>9} {:>9.1} ms",
                load.rate,
                load.final_per_s,
                load.counts.rejected,
                load.node_p50_ms,
                load.node_p99_ms,
                rung.alone_max_ms
            )
        };
        std::iter::once(head).chain(self.rungs.iter().map(row)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates that a search tries on a network that keeps up with `peak`, and what it finds.
    fn search(peak: u32) -> (Vec<u32>, u32) {
        let (mut kept, mut missed, mut tried) = (0, None, Vec::new());
        while let Some(rate) = next_rate(kept, missed) {
            tried.push(rate);
            if rate <= peak {
                kept = rate;
            } else {
                missed = Some(rate);
            }
        }
        (tried, kept)
    }

    #[test]
    fn a_search_ends_just_below_what_is_too_much() {
        for peak in [1, 30, 499, 500, 4_950, 12_000, RATE_MAX - 1] {
            let (tried, found) = search(peak);
            assert!(
                found <= peak && found.saturating_mul(100) >= peak.saturating_mul(93) || peak < 20,
                "{peak} {found}"
            );
            assert!(tried.len() <= 16, "{peak}: {tried:?}");
        }
        assert_eq!(search(0).1, 0);
        assert_eq!(search(u32::MAX).1, RATE_MAX, "it ends at the highest rate there is");
    }

    #[test]
    fn what_is_refused_late_or_lost_is_not_kept_up_with() {
        let good = LoadReport {
            counts: Counts { submitted: 1_000, accepted: 1_000, finalized: 1_000, rejected: 0 },
            rate: 100,
            duration_s: 10,
            node_p99_ms: 200.0,
            ..LoadReport::default()
        };
        let limit = Duration::from_millis(250);
        assert!(keeps_up(&good, limit));
        let counts =
            |submitted, accepted, finalized| Counts { submitted, accepted, finalized, ..good.counts };
        for bad in [
            LoadReport { node_p99_ms: 251.0, ..good.clone() },
            LoadReport { counts: counts(1_000, 1_000, 999), ..good.clone() },
            LoadReport { counts: counts(1_000, 980, 980), ..good.clone() },
            LoadReport { counts: counts(900, 900, 900), ..good.clone() },
        ] {
            assert!(!keeps_up(&bad, limit), "{bad:?}");
        }
    }
}
