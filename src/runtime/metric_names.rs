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

/// Every metric: name, kind, help text.
pub const METRICS: [(&str, MetricKind, &str); 21] = {
    use MetricKind::{Counter, Gauge, Histogram};
    [
        (BLOCK_HEIGHT, Gauge, "Height of the last committed block"),
        (FINALITY_SECONDS, Histogram, "From a transaction's acceptance by this node to its finality"),
        (BLOCK_INTERVAL_SECONDS, Histogram, "Between two committed blocks"),
        (CONSENSUS_ROUND, Gauge, "Round of the height that is being decided"),
        (VOTES_TOTAL, Counter, "Votes that this node sent, by kind"),
        (MISSED_COMMITS_TOTAL, Counter, "Commits that lack this masternode's signature"),
        (MEMPOOL_TRANSACTIONS, Gauge, "Transactions in the pool"),
        (MEMPOOL_BYTES, Gauge, "Encoded bytes of the transactions in the pool"),
        (MEMPOOL_REJECTED_TOTAL, Counter, "Transactions that the pool refused, by reason"),
        (UTXO_COUNT, Gauge, "Unspent outputs in the chain's state"),
        (PEERS, Gauge, "Connected peers, by direction"),
        (PEER_MESSAGES_TOTAL, Counter, "Messages from and to peers, by type and direction"),
        (PEER_BYTES_TOTAL, Counter, "Bytes from and to peers, by direction"),
        (PEER_BANS_TOTAL, Counter, "Peers that were banned, by reason"),
        (STORAGE_FLUSH_SECONDS, Histogram, "A flush of the index to disk"),
        (STORAGE_BYTES, Gauge, "Bytes of the data directory"),
        (RPC_REQUESTS_TOTAL, Counter, "RPC requests, by method and code"),
        (RPC_SECONDS, Histogram, "An RPC request, from its arrival to its answer"),
        (FORK_DETECTED, Gauge, "1 when two blocks were committed at one height"),
        (MASTERNODES, Gauge, "Masternodes, by state"),
        (BUILD_INFO, Gauge, "Always 1; the version is a label"),
    ]
};

const FINALITY_BUCKETS_S: [f64; 14] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0];
const BLOCK_INTERVAL_BUCKETS_S: [f64; 12] =
    [0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1_800.0];
const FLUSH_BUCKETS_S: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0];
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

fn describe() {
    for (name, kind, help) in METRICS {
        match kind {
            MetricKind::Counter => metrics::describe_counter!(name, help),
            MetricKind::Gauge => metrics::describe_gauge!(name, help),
            MetricKind::Histogram => metrics::describe_histogram!(name, help),
        }
    }
    metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_histogram_has_buckets_and_every_metric_its_help() {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            for (name, kind, _) in METRICS {
                match kind {
                    MetricKind::Counter => metrics::counter!(name).increment(1),
                    MetricKind::Gauge => metrics::gauge!(name).set(1.0),
                    MetricKind::Histogram => metrics::histogram!(name).record(0.003),
                }
            }
        });
        let text = handle.render();
        for (name, kind, help) in METRICS {
            assert!(text.contains(&format!("# HELP {name} {help}\n")), "{name}\n{text}");
            if kind == MetricKind::Histogram {
                assert!(text.contains(&format!("{name}_bucket{{le=")), "{name}\n{text}");
            }
        }
        assert!(text.contains("timed_build_info{version="));
    }

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        let mut names: Vec<&str> = METRICS.iter().map(|(name, ..)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
        for (name, kind, _) in METRICS {
            assert!(name.starts_with("timed_"));
            assert_eq!(name.ends_with("_total"), kind == MetricKind::Counter, "{name}");
            assert_eq!(name.ends_with("_seconds"), kind == MetricKind::Histogram, "{name}");
        }
    }
}
