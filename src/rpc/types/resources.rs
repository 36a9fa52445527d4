//! What a node takes of its machine.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::runtime::{stages, syncs};
use crate::types::TimeMs;

/// `getresourceinfo`: what a node's process has taken since its start. The nodes of a devnet may share one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceInfo {
    /// The process, as its machine numbers it.
    pub process_id: u32,
    /// Its processor time in microseconds; 0 where the operating system doesn't tell.
    pub process_us: u64,
    /// The same by stage of a payment's way; `other` is in none.
    pub stages_us: BTreeMap<String, u64>,
    /// How often block log and vote journal were made durable (`fdatasync`).
    pub log_syncs: u64,
}

/// `getmemoryinfo`: what a node's process takes of its machine's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryInfo {
    /// Bytes that the process holds in memory now; absent where the operating system doesn't tell. The nodes of a devnet
    /// may share one process.
    pub resident_bytes: Option<u64>,
    /// What the node's parts may hold together at most, whatever peers and users do, in bytes.
    pub bound_bytes: u64,
    /// The same by part.
    pub bounds: BTreeMap<String, u64>,
}

/// `getnettotals`: bytes between a node and its peers since it started, as they were on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetTotals {
    /// Bytes that it received.
    #[serde(rename = "totalbytesrecv")]
    pub total_bytes_received: u64,
    /// Bytes that it sent.
    #[serde(rename = "totalbytessent")]
    pub total_bytes_sent: u64,
    /// The node's time.
    #[serde(rename = "timemillis")]
    pub time_ms: TimeMs,
}

impl ResourceInfo {
    /// Of this process, now.
    #[must_use]
    pub fn of_this_process() -> Self {
        let report = stages::report();
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let stages = report.stages.iter().map(|(name, time)| ((*name).to_owned(), micros(*time)));
        Self {
            process_id: std::process::id(),
            process_us: micros(report.process),
            stages_us: stages.collect(),
            log_syncs: syncs::count(),
        }
    }
}
