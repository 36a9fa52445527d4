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

/// `getdiskinfo`: what the data directory takes, how fast that grows, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskInfo {
    /// Bytes of the block log's files.
    pub blocks_bytes: u64,
    /// Bytes of the index' files.
    pub index_bytes: u64,
    /// Bytes that are free on the fullest disk of the data directory; absent where no disk answers.
    pub free_bytes: Option<u64>,
    /// How fast the block log grows; absent while there are too few blocks.
    pub growth: Option<DiskGrowth>,
    /// Where that leads; absent where either is.
    pub outlook: Option<DiskOutlook>,
}

/// How fast the block log grows, by the last blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskGrowth {
    /// How many blocks.
    pub blocks: u64,
    /// What they take in the log.
    pub bytes: u64,
    /// From the time of the block before them to that of the last one.
    pub over_ms: u64,
    /// The same for a day.
    pub bytes_a_day: u64,
}

/// Where a straight line leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "end")]
pub enum DiskOutlook {
    /// Pruning holds the block log, and the disk has room for that.
    Level {
        /// At about so many bytes.
        level_bytes: u64,
    },
    /// The disk has only `[storage] min_free_mb` left, at which the node stops.
    Full {
        /// After so many seconds.
        after_s: u64,
        /// Where pruning would hold the block log, if it is on.
        level_bytes: Option<u64>,
    },
}

/// `logging`: what is logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogInfo {
    /// A level for everything, then levels of single modules, as `[logging] level`.
    pub level: String,
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
