//! What a load costs the nodes, as far as they say it (`getresourceinfo`, `getnettotals`).
//!
//! Nodes of a devnet may share a process, which is counted once; a node that was restarted meanwhile is left out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::super::rpc_client::RpcClient;
use super::meter::rounded;
use crate::rpc::types::{NetTotals, ResourceInfo};
use crate::runtime::Clock;

/// What all nodes, and this process, have taken so far.
#[derive(Clone, Debug)]
pub(super) struct CostSample {
    at: Instant,
    /// By host and process.
    processes: BTreeMap<(String, u32), ResourceInfo>,
    /// Bytes from peers, by node.
    received: BTreeMap<String, u64>,
    generator_us: u64,
}

/// What was offered meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offered {
    /// Payments that became final.
    pub(super) payments: u64,
    /// Payments that were sent, and their bytes.
    pub(super) submitted: u64,
    pub(super) submitted_bytes: usize,
    /// How many nodes were asked.
    pub(super) nodes: usize,
}

/// What a run took of one node, on the average.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LoadCost {
    /// Processor time of a node, in microseconds a payment.
    pub cpu_us_per_payment: f64,
    /// The same of the generator.
    pub generator_us_per_payment: f64,
    /// The same of a node by stage of a payment's way.
    pub stages_us_per_payment: BTreeMap<String, f64>,
    /// Bytes that a node had from its peers, for each payment.
    pub received_bytes_per_payment: f64,
    /// The same for each byte of a payment.
    pub received_bytes_per_payment_byte: f64,
    /// How often a node made its logs durable, a second.
    pub log_syncs_per_s: f64,
}

/// Exact below 2^53.
#[allow(clippy::cast_precision_loss, reason = "figures of a report")]
const fn float(count: u64) -> f64 {
    count as f64
}

impl CostSample {
    /// Asks all nodes; one that doesn't answer is left out.
    pub(super) async fn take(clients: &[RpcClient]) -> Self {
        let (mut processes, mut received) = (BTreeMap::new(), BTreeMap::new());
        for client in clients {
            if let Ok(info) = client.call::<ResourceInfo>("getresourceinfo", &[]).await {
                let host = client.url().rsplit_once(':').map_or(client.url(), |(host, _)| host);
                processes.insert((host.to_owned(), info.process_id), info);
            }
            if let Ok(totals) = client.call::<NetTotals>("getnettotals", &[]).await {
                received.insert(client.url().to_owned(), totals.total_bytes_received);
            }
        }
        let generator_us = ResourceInfo::of_this_process().process_us;
        Self { at: Clock.instant(), processes, received, generator_us }
    }

    /// What was taken since `before`; `None` when no node tells.
    pub(super) fn since(&self, before: &Self, offered: Offered) -> Option<LoadCost> {
        let Offered { payments, submitted, submitted_bytes, nodes } = offered;
        let pairs: Vec<_> = self
            .processes
            .iter()
            .filter_map(|(process, after)| Some((before.processes.get(process)?, after)))
            .filter(|(before, after)| after.process_us > before.process_us)
            .collect();
        if pairs.is_empty() || payments == 0 || submitted_bytes == 0 {
            return None;
        }
        let shares = float(payments) * float(nodes as u64);
        let each = |sum: u64| float(sum) / shares;
        let mut stages = BTreeMap::new();
        for (before, after) in &pairs {
            for (stage, us) in &after.stages_us {
                let more = us.saturating_sub(before.stages_us.get(stage).copied().unwrap_or(0));
                *stages.entry(stage.clone()).or_insert(0.0) += each(more);
            }
        }
        stages.values_mut().for_each(|us| *us = rounded(*us));
        let process = pairs.iter().map(|(before, after)| after.process_us - before.process_us).sum();
        let syncs =
            pairs.iter().map(|(before, after)| after.log_syncs.saturating_sub(before.log_syncs)).sum();
        let since = |(node, after): (&String, &u64)| Some(after.saturating_sub(*before.received.get(node)?));
        let received = each(self.received.iter().filter_map(since).sum());
        let seconds =
            self.at.saturating_duration_since(before.at).max(Duration::from_millis(1)).as_secs_f64();
        Some(LoadCost {
            cpu_us_per_payment: rounded(each(process)),
            generator_us_per_payment: rounded(
                float(self.generator_us.saturating_sub(before.generator_us)) / float(payments),
            ),
            stages_us_per_payment: stages,
            received_bytes_per_payment: rounded(received),
            received_bytes_per_payment_byte: rounded(
                received * float(submitted) / float(submitted_bytes as u64),
            ),
            log_syncs_per_s: rounded(float(syncs) / float(nodes as u64) / seconds),
        })
    }
}

impl LoadCost {
    /// Lines of a table, the dearest stage first.
    pub(super) fn table(&self) -> Vec<String> {
        let mut stages: Vec<_> = self.stages_us_per_payment.iter().filter(|(_, us)| **us >= 0.05).collect();
        stages.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        let head = [
            format!(
                "  a node received {:>12.0} bytes a payment, {:.1} times its own",
                self.received_bytes_per_payment, self.received_bytes_per_payment_byte
            ),
            format!("  and synced      {:>12.0} times a second", self.log_syncs_per_s),
            format!("  CPU of a node   {:>12.1} us a payment", self.cpu_us_per_payment),
            format!("  of the generator{:>12.1} us a payment", self.generator_us_per_payment),
        ];
        let rows = stages.into_iter().map(|(stage, us)| format!("    {stage:<13} {us:>12.1} us"));
        head.into_iter().chain(rows).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(
        at: Instant,
        processes: &[(u32, u64, u64, u64)],
        received: u64,
        generator_us: u64,
    ) -> CostSample {
        let info = |(process_id, process_us, index_us, log_syncs): &(u32, u64, u64, u64)| {
            let stages_us = [("index".to_owned(), *index_us)].into();
            let (process_id, process_us, log_syncs) = (*process_id, *process_us, *log_syncs);
            let info = ResourceInfo { process_id, process_us, stages_us, log_syncs };
            (("http://one".to_owned(), process_id), info)
        };
        let received = [("http://one:1".to_owned(), received), ("http://one:2".to_owned(), received)].into();
        CostSample { at, processes: processes.iter().map(info).collect(), received, generator_us }
    }

    #[test]
    fn a_cost_is_of_one_node_and_one_payment_and_knows_restarted_nodes() {
        let start = Clock.instant();
        let before = sample(
            start,
            &[(1, 1_000_000, 0, 100), (2, 5_000_000, 1_000_000, 7), (3, 9_000_000, 0, 9)],
            50,
            0,
        );
        // The third one was restarted, and begins anew as another process.
        let processes = [(1, 3_000_000, 500_000, 700), (2, 7_000_000, 1_500_000, 207), (4, 50, 0, 3)];
        let after = sample(start + Duration::from_secs(10), &processes, 5_000_050, 400_000);
        let offered = Offered { payments: 10_000, submitted: 20_000, submitted_bytes: 5_000_000, nodes: 2 };
        let cost = after.since(&before, offered).unwrap();
        let close = |one: f64, other: f64| (one - other).abs() < 0.01;
        assert!(close(cost.cpu_us_per_payment, 200.0), "{cost:?}");
        assert!(close(cost.stages_us_per_payment["index"], 50.0), "{cost:?}");
        assert!(close(cost.generator_us_per_payment, 40.0), "{cost:?}");
        assert!(close(cost.received_bytes_per_payment, 500.0), "{cost:?}");
        assert!(close(cost.received_bytes_per_payment_byte, 2.0), "{cost:?}");
        assert!(close(cost.log_syncs_per_s, 40.0), "{cost:?}");
        let table = cost.table();
        assert!(table.iter().any(|line| line.contains("index") && line.contains("50.0")));
        assert!(
            table[0].contains("500 bytes a payment, 2.0 times its own") && table[1].contains(" 40 times")
        );
        assert_eq!(after.since(&before, Offered { payments: 0, ..offered }), None);
        assert_eq!(after.since(&sample(start, &[], 0, 0), offered), None);
    }
}
