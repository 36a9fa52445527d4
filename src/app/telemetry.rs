//! Gauges that nobody sets as things happen: looked up every second.
//!
//! # Place
//! Started with the metrics server.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;

use super::context::AppContext;
use super::disk_space::directory_bytes;
use super::observer::{as_gauge, measure_masternodes};
use crate::admission::Refusal;
use crate::consensus::vote_journal::VOTE_KINDS;
use crate::network::Misbehaviour;
use crate::rpc::errors::{BUSY, INTERNAL};
use crate::rpc::methods::METHODS;
use crate::runtime::metric_names::{self, counted_from_zero};

/// How often gauges are set.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Samples between two looks at the data directory, and upkeeps of the recorder.
const SAMPLES_A_LOOK: u64 = 5;

/// Starts the task; it ends with the node.
pub(super) fn start(context: &Arc<AppContext>, recorder: PrometheusHandle) {
    let registry = context.registry.clone();
    let (token, context) = (registry.token().clone(), Arc::clone(context));
    registry.spawn("telemetry", async move {
        let _ended = token.run_until_cancelled(sample(context, recorder)).await;
    });
}

/// Codes that the calls of each method are counted by from zero: it went well, and the node had too much to do or failed.
const CODES: [i32; 3] = [0, BUSY, INTERNAL];

/// Has what is counted by labels from zero, so that the first event shows as growth.
fn count_from_zero() {
    counted_from_zero(metric_names::VOTES_TOTAL, "kind", VOTE_KINDS);
    counted_from_zero(metric_names::PEER_BANS_TOTAL, "reason", Misbehaviour::ALL.map(Misbehaviour::name));
    counted_from_zero(metric_names::MEMPOOL_REJECTED_TOTAL, "reason", Refusal::reasons());
    for method in &METHODS {
        for code in CODES {
            let name = metric_names::RPC_REQUESTS_TOTAL;
            metrics::counter!(name, "method" => method.name, "code" => code.to_string()).increment(0);
        }
    }
}

fn count(number: usize) -> f64 {
    as_gauge(u64::try_from(number).unwrap_or(u64::MAX))
}

async fn sample(context: Arc<AppContext>, recorder: PrometheusHandle) {
    let mut timer = tokio::time::interval(SAMPLE_EVERY);
    let mut samples = 0_u64;
    count_from_zero();
    // Until a block says it.
    measure_masternodes(&context.bft.state());
    loop {
        timer.tick().await;
        set_gauges(&context);
        // What it can't read, it has said already.
        if let Ok(unspent) = context.index.unspent() {
            metrics::gauge!(metric_names::UTXO_COUNT).set(as_gauge(unspent));
        }
        if samples.is_multiple_of(SAMPLES_A_LOOK) {
            recorder.run_upkeep();
            let directory = context.config.node.data_dir.clone();
            let looked = tokio::task::spawn_blocking(move || directory_bytes(&directory)).await;
            metrics::gauge!(metric_names::STORAGE_BYTES).set(as_gauge(looked.unwrap_or(0)));
        }
        samples = samples.wrapping_add(1);
    }
}

fn set_gauges(context: &AppContext) {
    metrics::gauge!(metric_names::BLOCK_HEIGHT).set(as_gauge(context.bft.state().height()));
    metrics::gauge!(metric_names::MEMPOOL_TRANSACTIONS).set(count(context.pool.len()));
    metrics::gauge!(metric_names::MEMPOOL_BYTES).set(count(context.pool.bytes()));
    let (inbound, outbound) = context.network.peer_counts();
    metrics::gauge!(metric_names::PEERS, "direction" => "inbound").set(count(inbound));
    metrics::gauge!(metric_names::PEERS, "direction" => "outbound").set(count(outbound));
    let snapshot = context.network.metrics();
    metrics::counter!(metric_names::PEER_BYTES_TOTAL, "direction" => "in").absolute(snapshot.bytes_in);
    metrics::counter!(metric_names::PEER_BYTES_TOTAL, "direction" => "out").absolute(snapshot.bytes_out);
    for kind in snapshot.messages {
        let name = metric_names::PEER_MESSAGES_TOTAL;
        metrics::counter!(name, "type" => kind.name, "direction" => "in").absolute(kind.count_in);
        metrics::counter!(name, "type" => kind.name, "direction" => "out").absolute(kind.count_out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_by_a_label_is_there_before_its_first_event() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, count_from_zero);
        let text = recorder.handle().render();
        for line in [
            "timed_votes_total{kind=\"precommit\"} 0",
            "timed_peer_bans_total{reason=\"invalid_signature\"} 0",
            "timed_mempool_rejected_total{reason=\"busy\"} 0",
            "timed_mempool_rejected_total{reason=\"bad_txns_inputs_spent\"} 0",
            "timed_mempool_rejected_total{reason=\"bad_signature\"} 0",
            "timed_mempool_rejected_total{reason=\"below_pool_floor\"} 0",
            "timed_rpc_requests_total{method=\"sendrawtransaction\",code=\"0\"} 0",
            "timed_rpc_requests_total{method=\"getblock\",code=\"-32005\"} 0",
            "timed_rpc_requests_total{method=\"getblock\",code=\"-32603\"} 0",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}\n{text}");
        }
        assert!(text.lines().count() < 400, "nobody pays for series that hardly ever grow");
    }
}
