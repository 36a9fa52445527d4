//! What a load costs the nodes, as far as they say it (`getcpuinfo`).
//!
//! Nodes of a devnet may share a process, which is counted once; a node that was restarted meanwhile is left out.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::rpc_client::RpcClient;
use crate::rpc::types::CpuInfo;
use crate::runtime::stages;

/// The processor time of all nodes, and of this process.
#[derive(Clone, Debug, Default)]
pub(super) struct CpuSample {
    /// By host and process.
    nodes: BTreeMap<(String, u32), CpuInfo>,
    generator_us: u64,
}

/// Processor time of a run, in microseconds a payment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CpuCost {
    /// Of one node, on the average.
    pub cpu_us_per_payment: f64,
    /// Of the generator.
    pub generator_us_per_payment: f64,
    /// Of one node by stage of a payment's way.
    pub stages_us_per_payment: BTreeMap<String, f64>,
}

impl CpuSample {
    /// Asks all nodes; one that doesn't answer is left out.
    pub(super) async fn take(clients: &[RpcClient]) -> Self {
        let mut nodes = BTreeMap::new();
        for client in clients {
            if let Ok(info) = client.call::<CpuInfo>("getcpuinfo", &[]).await {
                let host = client.url().rsplit_once(':').map_or(client.url(), |(host, _)| host);
                nodes.insert((host.to_owned(), info.process_id), info);
            }
        }
        let generator = CpuInfo::of(&stages::report());
        Self { nodes, generator_us: generator.process_us }
    }

    /// What was spent since `before`, for each of so many payments at each of so many nodes; `None` when no node tells.
    pub(super) fn since(&self, before: &Self, payments: u64, nodes: usize) -> Option<CpuCost> {
        let pairs: Vec<_> = self
            .nodes
            .iter()
            .filter_map(|(process, after)| Some((before.nodes.get(process)?, after)))
            .filter(|(before, after)| after.process_us > before.process_us)
            .collect();
        if pairs.is_empty() || payments == 0 {
            return None;
        }
        let shares = f64::from(u32::try_from(payments.saturating_mul(nodes as u64)).ok()?);
        let each = |us: u64| f64::from(u32::try_from(us / 1_000).unwrap_or(u32::MAX)) * 1_000.0 / shares;
        let mut stages = BTreeMap::new();
        for (before, after) in &pairs {
            for (stage, us) in &after.stages_us {
                let more = us.saturating_sub(before.stages_us.get(stage).copied().unwrap_or(0));
                *stages.entry(stage.clone()).or_insert(0.0) += each(more);
            }
        }
        let process = pairs.iter().map(|(before, after)| after.process_us - before.process_us).sum();
        let generator = self.generator_us.saturating_sub(before.generator_us);
        Some(CpuCost {
            cpu_us_per_payment: each(process),
            generator_us_per_payment: each(generator) * nodes as f64,
            stages_us_per_payment: stages,
        })
    }
}

impl CpuCost {
    /// Lines of a table, the dearest stage first.
    pub(super) fn table(&self) -> Vec<String> {
        let mut stages: Vec<_> = self.stages_us_per_payment.iter().filter(|(_, us)| **us >= 0.05).collect();
        stages.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        let head = [
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

    fn sample(processes: &[(u32, u64, u64)], generator_us: u64) -> CpuSample {
        let info = |(process_id, process_us, index_us): &(u32, u64, u64)| {
            let stages_us = [("index".to_owned(), *index_us)].into();
            let info = CpuInfo { process_id: *process_id, process_us: *process_us, stages_us };
            (("http://one".to_owned(), *process_id), info)
        };
        CpuSample { nodes: processes.iter().map(info).collect(), generator_us }
    }

    #[test]
    fn a_cost_is_of_one_node_and_one_payment_and_knows_restarted_nodes() {
        let before = sample(&[(1, 1_000_000, 0), (2, 5_000_000, 1_000_000), (3, 9_000_000, 0)], 0);
        // The third one was restarted, and begins anew as another process.
        let after = sample(&[(1, 3_000_000, 500_000), (2, 7_000_000, 1_500_000), (4, 50, 0)], 400_000);
        let cost = after.since(&before, 10_000, 2).unwrap();
        let close = |one: f64, other: f64| (one - other).abs() < 0.2;
        assert!(close(cost.cpu_us_per_payment, 200.0), "{cost:?}");
        assert!(close(cost.stages_us_per_payment["index"], 50.0), "{cost:?}");
        assert!(close(cost.generator_us_per_payment, 40.0), "{cost:?}");
        assert!(cost.table().iter().any(|line| line.contains("index") && line.contains("50.0")));
        assert_eq!(after.since(&before, 0, 2), None);
        assert_eq!(after.since(&CpuSample::default(), 10, 2), None);
    }
}
