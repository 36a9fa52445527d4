//! What a node takes of its machine.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::runtime::stages::CpuReport;

/// `getcpuinfo`: processor time of a node's process. The nodes of a devnet may share one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuInfo {
    /// The process, as its machine numbers it.
    pub process_id: u32,
    /// Since its start, in microseconds; 0 where the operating system doesn't tell.
    pub process_us: u64,
    /// The same by stage of a payment's way; `other` is in none.
    pub stages_us: BTreeMap<String, u64>,
}

impl CpuInfo {
    /// What RPC says of a report.
    #[must_use]
    pub fn of(report: &CpuReport) -> Self {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let stages = report.stages.iter().map(|(name, time)| ((*name).to_owned(), micros(*time)));
        Self {
            process_id: std::process::id(),
            process_us: micros(report.process),
            stages_us: stages.collect(),
        }
    }
}
