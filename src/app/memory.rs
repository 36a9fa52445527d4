//! What a node may take of its machine's memory, whatever its peers and users do: the sum of its parts' bounds.
//!
//! # Place
//! Each part states its bound beside the code that holds it; here they are added up for a configuration. The log says the
//! sum at the start.
//!
//! # Units
//! MiB of 1,048,576 bytes. With the configuration and the main network's parameters by default, a cache of the most that
//! `auto` takes, and a million blocks:
//!
//! | part | at most |
//! |---|---|
//! | network | 2,932 |
//! | consensus | 2,662 |
//! | outputs | 1,661 |
//! | storage | 2,053 |
//! | rpc | 816 |
//! | pool | 320 |
//! | admission | 148 |
//! | latency | 18 |
//! | snapshots | 100 |
//! | all | 10,707 |
//!
//! That is reached if all peers and users do their worst at once. A validator with 2,000 payments a second was seen to take
//! 330 MiB.
//!
//! Not in it: what an epoch's payments leave until it ends
//! ([`EPOCH_PAYMENT_BYTES`](crate::consensus::memory::EPOCH_PAYMENT_BYTES) each), places of the journal's bodies, and the
//! registry of masternodes, which is in the chain's state.

use super::snapshots::SNAPSHOT_BYTES_MAX;
use super::vote_latency::VOTE_LATENCY_BYTES_MAX;
use crate::admission::ADMISSION_BYTES_MAX;
use crate::consensus;
use crate::mempool::{
    CONTESTED_BYTES_MAX, CONTESTED_TRANSACTIONS_MAX, POOL_OVERHEAD_BYTES, WAITING_BYTES_MAX,
    WAITING_TRANSACTIONS_MAX,
};
use crate::network::network_bytes_max;
use crate::protocol::state::LedgerState;
use crate::rpc::limits::{self, Limits};
use crate::rpc::types::MemoryInfo;
use crate::runtime::{Config, process_metrics};
use crate::storage::memory as storage;
use crate::types::ChainParameters;
use crate::types::limits::VALIDATORS_MAX;
use crate::utxo::{LOCKED_OUTPUT_BYTES, LOCKED_OUTPUTS_MAX, OVERLAY_BYTES_MAX};

fn size(value: impl TryInto<usize>) -> usize {
    value.try_into().unwrap_or(usize::MAX)
}

/// The parts of a node with this configuration, on a chain with these parameters and so many blocks; bytes each.
#[must_use]
pub fn parts(config: &Config, parameters: &ChainParameters, blocks: usize) -> [(&'static str, usize); 9] {
    let (inbound, outbound) = (size(config.network.max_inbound), size(config.network.max_outbound));
    // Members may take places beside those that the configuration gives, in either direction.
    let peers = inbound.saturating_add(outbound).saturating_add(VALIDATORS_MAX);
    // A half is the index database's, the other one the outputs'.
    let cache = size(config.storage.half_cache_bytes());
    let pool_bytes =
        size(config.mempool.max_bytes).saturating_add(WAITING_BYTES_MAX).saturating_add(CONTESTED_BYTES_MAX);
    let pool_places = size(config.mempool.max_transactions)
        .saturating_add(WAITING_TRANSACTIONS_MAX)
        .saturating_add(CONTESTED_TRANSACTIONS_MAX);
    let rpc = Limits::of(size(config.rpc.max_connections));
    [
        ("network", network_bytes_max(inbound, outbound)),
        ("consensus", consensus::memory::share_bytes_max(parameters, peers)),
        (
            "outputs",
            OVERLAY_BYTES_MAX
                .saturating_mul(2)
                .saturating_add(LOCKED_OUTPUTS_MAX.saturating_mul(LOCKED_OUTPUT_BYTES))
                .saturating_add(cache),
        ),
        ("storage", storage::share_bytes_max(cache, blocks, 0)),
        ("rpc", if config.rpc.enabled { limits::memory_bytes_max(&rpc) } else { 0 }),
        ("pool", pool_bytes.saturating_add(pool_places.saturating_mul(POOL_OVERHEAD_BYTES))),
        ("admission", ADMISSION_BYTES_MAX),
        ("latency", VOTE_LATENCY_BYTES_MAX),
        ("snapshots", SNAPSHOT_BYTES_MAX),
    ]
}

/// The sum of all parts, in bytes.
#[must_use]
pub fn node_bytes_max(config: &Config, parameters: &ChainParameters, blocks: usize) -> usize {
    parts(config, parameters, blocks).into_iter().map(|(_, bytes)| bytes).fold(0, usize::saturating_add)
}

/// The bounds as RPC tells them, with what the process holds.
#[must_use]
pub fn info(config: &Config, state: &LedgerState) -> MemoryInfo {
    let blocks = size(state.height());
    let count = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
    let parts = parts(config, state.parameters(), blocks);
    MemoryInfo {
        resident_bytes: process_metrics::resident_bytes(),
        bound_bytes: count(node_bytes_max(config, state.parameters(), blocks)),
        bounds: parts.into_iter().map(|(part, bytes)| (part.to_owned(), count(bytes))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::config::CacheSize;
    use crate::types::Network;

    /// The head of this file says what comes out.
    #[test]
    fn the_head_states_each_part_and_the_sum() {
        let mut config = Config::of_network(Network::Mainnet);
        config.storage.cache_mb = CacheSize::Megabytes(1_000);
        let parameters = ChainParameters::of_network(Network::Mainnet);
        let mib = |bytes: usize| bytes.div_ceil(1 << 20);
        let grouped = |value: usize| match value {
            0..1_000 => value.to_string(),
            _ => format!("{},{:03}", value / 1_000, value % 1_000),
        };
        let all = ("all", node_bytes_max(&config, &parameters, 1_000_000));
        let rows = parts(&config, &parameters, 1_000_000).into_iter().chain([all]);
        let rows = rows.map(|(name, bytes)| format!("//! | {name} | {} |", grouped(mib(bytes))));
        let missing: Vec<String> = rows.filter(|row| !include_str!("memory.rs").contains(row)).collect();
        assert!(missing.is_empty(), "the head lacks\n{}", missing.join("\n"));
    }
}
