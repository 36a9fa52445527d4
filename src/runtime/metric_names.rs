//! The names of all metrics, with their help texts and buckets, and the recorder that keeps them.
//!
//! # Place
//! Modules count through the `metrics` macros with a name of this list; the metrics server renders the handle of
//! [`install_recorder`]. Operators' dashboards and alerts depend on the names.
//!
//! # Units
//! Durations are seconds and sizes bytes, as Prometheus' naming rules ask.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Height of the last committed block.
pub const BLOCK_HEIGHT: &str = "timed_block_height";
/// From acceptance here to final.
pub const FINALITY_SECONDS: &str = "timed_finality_seconds";
/// Between two commits.
pub const BLOCK_INTERVAL_SECONDS: &str = "timed_block_interval_seconds";
/// Round of the current height.
pub const CONSENSUS_ROUND: &str = "timed_consensus_round";
/// Votes sent, by `kind`.
pub const VOTES_TOTAL: &str = "timed_votes_total";
/// Commits that lack this masternode's signature.
pub const MISSED_COMMITS_TOTAL: &str = "timed_missed_commits_total";
/// Transactions in the pool.
pub const MEMPOOL_TRANSACTIONS: &str = "timed_mempool_transactions";
/// Encoded bytes in the pool.
pub const MEMPOOL_BYTES: &str = "timed_mempool_bytes";
/// Transactions that the pool refused, by `reason`.
pub const MEMPOOL_REJECTED_TOTAL: &str = "timed_mempool_rejected_total";
/// Unspent outputs.
pub const UTXO_COUNT: &str = "timed_utxo_count";
/// Connected peers, by `direction`.
pub const PEERS: &str = "timed_peers";
/// Messages, by `type` and `direction`.
pub const PEER_MESSAGES_TOTAL: &str = "timed_peer_messages_total";
/// Bytes, by `direction`.
pub const PEER_BYTES_TOTAL: &str = "timed_peer_bytes_total";
/// Peers that were banned, by `reason`.
pub const PEER_BANS_TOTAL: &str = "timed_peer_bans_total";
/// A flush of the index.
pub const STORAGE_FLUSH_SECONDS: &str = "timed_storage_flush_seconds";
/// Bytes of the data directory.
pub const STORAGE_BYTES: &str = "timed_storage_bytes";
/// Bytes that are free on the data directory's disk.
pub const STORAGE_FREE_BYTES: &str = "timed_storage_free_bytes";
/// Free bytes below which the node stops.
pub const STORAGE_MIN_FREE_BYTES: &str = "timed_storage_min_free_bytes";
/// RPC requests, by `method` and `code`.
pub const RPC_REQUESTS_TOTAL: &str = "timed_rpc_requests_total";
/// An RPC request.
pub const RPC_SECONDS: &str = "timed_rpc_seconds";
/// 1 when two blocks were committed at one height.
pub const FORK_DETECTED: &str = "timed_fork_detected";
/// Masternodes, by `state`.
pub const MASTERNODES: &str = "timed_masternodes";
/// Always 1, with the `version` as label.
pub const BUILD_INFO: &str = "timed_build_info";
/// Processor time of the process.
pub const PROCESS_CPU_SECONDS_TOTAL: &str = "process_cpu_seconds_total";
/// Bytes that the process holds in memory.
pub const PROCESS_RESIDENT_MEMORY_BYTES: &str = "process_resident_memory_bytes";
/// Open files and sockets of the process.
pub const PROCESS_OPEN_FDS: &str = "process_open_fds";
/// How many it may have.
pub const PROCESS_MAX_FDS: &str = "process_max_fds";
/// When the process started, in seconds since the Unix epoch.
pub const PROCESS_START_TIME_SECONDS: &str = "process_start_time_seconds";

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations in buckets.
    Histogram,
}

impl MetricKind {
    /// As Prometheus' text format says it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it counts.
    pub kind: MetricKind,
    /// What that is, in words.
    pub help: &'static str,
    /// By what its series differ.
    pub labels: &'static [&'static str],
}

const fn metric(
    name: &'static str,
    kind: MetricKind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind, help, labels }
}

/// Every metric of the node.
pub const METRICS: [Metric; 23] = {
    use MetricKind::{Counter, Gauge, Histogram};
    [
        metric(BLOCK_HEIGHT, Gauge, &[], "Height of the last committed block"),
        metric(
            FINALITY_SECONDS,
            Histogram,
            &[],
            "From a transaction's acceptance by this node to its finality",
        ),
        metric(BLOCK_INTERVAL_SECONDS, Histogram, &[], "Between two committed blocks"),
        metric(CONSENSUS_ROUND, Gauge, &[], "Round of the height that is being decided"),
        metric(VOTES_TOTAL, Counter, &["kind"], "Votes that this node sent, by kind"),
        metric(MISSED_COMMITS_TOTAL, Counter, &[], "Commits that lack this masternode's signature"),
        metric(MEMPOOL_TRANSACTIONS, Gauge, &[], "Transactions in the pool"),
        metric(MEMPOOL_BYTES, Gauge, &[], "Encoded bytes of the transactions in the pool"),
        metric(MEMPOOL_REJECTED_TOTAL, Counter, &["reason"], "Transactions that the pool refused, by reason"),
        metric(UTXO_COUNT, Gauge, &[], "Unspent outputs in the chain's state"),
        metric(PEERS, Gauge, &["direction"], "Connected peers, by direction"),
        metric(
            PEER_MESSAGES_TOTAL,
            Counter,
            &["type", "direction"],
            "Messages from and to peers, by type and direction",
        ),
        metric(PEER_BYTES_TOTAL, Counter, &["direction"], "Bytes from and to peers, by direction"),
        metric(PEER_BANS_TOTAL, Counter, &["reason"], "Peers that were banned, by reason"),
        metric(STORAGE_FLUSH_SECONDS, Histogram, &[], "A flush of the index to disk"),
        metric(STORAGE_BYTES, Gauge, &[], "Bytes of the data directory"),
        metric(STORAGE_FREE_BYTES, Gauge, &[], "Bytes that are free on the data directory's disk"),
        metric(STORAGE_MIN_FREE_BYTES, Gauge, &[], "Free bytes below which the node stops"),
        metric(RPC_REQUESTS_TOTAL, Counter, &["method", "code"], "RPC requests, by method and code"),
        metric(RPC_SECONDS, Histogram, &[], "An RPC request, from its arrival to its answer"),
        metric(FORK_DETECTED, Gauge, &[], "1 when two blocks were committed at one height"),
        metric(MASTERNODES, Gauge, &["state"], "Masternodes, by state"),
        metric(BUILD_INFO, Gauge, &["version"], "Always 1; the version is a label"),
    ]
};

/// What is told of the process, under the names that all Prometheus clients use; see
/// [`process_metrics`](super::process_metrics).
pub const PROCESS_METRICS: [Metric; 5] = {
    use MetricKind::{Counter, Gauge};
    [
        metric(PROCESS_CPU_SECONDS_TOTAL, Counter, &[], "Processor time of the process in seconds"),
        metric(PROCESS_RESIDENT_MEMORY_BYTES, Gauge, &[], "Bytes that the process holds in memory"),
        metric(PROCESS_OPEN_FDS, Gauge, &[], "Open files and sockets of the process"),
        metric(PROCESS_MAX_FDS, Gauge, &[], "How many files and sockets the process may have open"),
        metric(
            PROCESS_START_TIME_SECONDS,
            Gauge,
            &[],
            "When the process started, in seconds since the Unix epoch",
        ),
    ]
};

const FINALITY_BUCKETS_S: [f64; 16] =
    [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0];
/// A chain makes blocks from each few milliseconds to each ten minutes, as its genesis document says.
const BLOCK_INTERVAL_BUCKETS_S: [f64; 17] =
    [0.0005, 0.002, 0.005, 0.02, 0.05, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1_800.0];
const FLUSH_BUCKETS_S: [f64; 13] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0];
const RPC_BUCKETS_S: [f64; 11] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0];

/// Makes the process' recorder and describes every metric of [`METRICS`]. The holder of the handle calls its
/// `run_upkeep` every few seconds.
///
/// # Errors
/// When a recorder is installed already.
pub fn install_recorder() -> Result<PrometheusHandle, BuildError> {
    let handle = builder()?.install_recorder()?;
    describe();
    Ok(handle)
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    let buckets: [(&str, &[f64]); 4] = [
        (FINALITY_SECONDS, &FINALITY_BUCKETS_S),
        (BLOCK_INTERVAL_SECONDS, &BLOCK_INTERVAL_BUCKETS_S),
        (STORAGE_FLUSH_SECONDS, &FLUSH_BUCKETS_S),
        (RPC_SECONDS, &RPC_BUCKETS_S),
    ];
    buckets.into_iter().try_fold(PrometheusBuilder::new(), |builder, (name, buckets)| {
        builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets)
    })
}

/// Describes all, and has those without labels from the start: a counter that appears with its first event hides that
/// event from whoever asks by how much it grew.
fn describe() {
    for Metric { name, kind, help, labels } in METRICS {
        match kind {
            MetricKind::Counter => metrics::describe_counter!(name, help),
            MetricKind::Gauge => metrics::describe_gauge!(name, help),
            MetricKind::Histogram => metrics::describe_histogram!(name, help),
        }
        match (labels, kind) {
            ([], MetricKind::Counter) => metrics::counter!(name).absolute(0),
            ([], MetricKind::Gauge) => metrics::gauge!(name).set(0.0),
            // Asking for it is enough.
            ([], MetricKind::Histogram) => drop(metrics::histogram!(name)),
            _ => {}
        }
    }
    metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Has a counter for each value of its one label from the start, for the same reason.
pub fn counted_from_zero(
    name: &'static str,
    label: &'static str,
    values: impl IntoIterator<Item = &'static str>,
) {
    for value in values {
        metrics::counter!(name, label => value).increment(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_its_help_and_is_there_before_anything_happens() {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            counted_from_zero(VOTES_TOTAL, "kind", ["lock"]);
        });
        let text = handle.render();
        for Metric { name, kind, labels, .. } in METRICS {
            let first = match kind {
                MetricKind::Histogram => format!("\n{name}_count 0\n"),
                _ => format!("\n{name} 0\n"),
            };
            assert_eq!(text.contains(&first), labels.is_empty(), "{name}\n{text}");
        }
        assert!(text.contains("timed_build_info{version="));
        assert!(text.contains("timed_votes_total{kind=\"lock\"} 0\n"), "{text}");
        metrics::with_local_recorder(&recorder, || {
            for Metric { name, kind, .. } in METRICS {
                match kind {
                    MetricKind::Counter => metrics::counter!(name).increment(1),
                    MetricKind::Gauge => metrics::gauge!(name).set(1.0),
                    MetricKind::Histogram => metrics::histogram!(name).record(0.003),
                }
            }
        });
        let text = handle.render();
        for Metric { name, kind, help, .. } in METRICS {
            assert!(text.contains(&format!("# HELP {name} {help}\n")), "{name}\n{text}");
            if kind == MetricKind::Histogram {
                assert!(text.contains(&format!("{name}_bucket{{le=")), "{name}\n{text}");
            }
        }
    }

    #[test]
    fn buckets_tell_less_than_a_millisecond_and_more_than_seconds_apart() {
        for buckets in [
            FINALITY_BUCKETS_S.as_slice(),
            BLOCK_INTERVAL_BUCKETS_S.as_slice(),
            FLUSH_BUCKETS_S.as_slice(),
            RPC_BUCKETS_S.as_slice(),
        ] {
            assert!(buckets.is_sorted() && buckets[0] < 0.001 && buckets[buckets.len() - 1] > 5.0);
        }
    }

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        let mut names: Vec<&str> = METRICS.iter().chain(&PROCESS_METRICS).map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len() + PROCESS_METRICS.len());
        for Metric { name, kind, .. } in METRICS {
            assert!(name.starts_with("timed_"));
            assert_eq!(name.ends_with("_total"), kind == MetricKind::Counter, "{name}");
            assert_eq!(name.ends_with("_seconds"), kind == MetricKind::Histogram, "{name}");
        }
        for Metric { name, kind, .. } in PROCESS_METRICS {
            assert!(name.starts_with("process_"));
            assert_eq!(name.ends_with("_total"), kind == MetricKind::Counter, "{name}");
        }
    }
}
