//! `[storage]`: what keeps the index, how much memory it may take, what of the past is kept, and how much of the disk is left
//! alone. `[sync]`: how a node joins.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::runtime::machine;
use crate::types::Checkpoint;

/// What part of the machine's memory `auto` takes.
const AUTO_PART: u64 = 32;
/// The least and the most that `auto` takes, in 1,000,000 bytes.
const AUTO_MEGABYTES: (u64, u64) = (64, 1_000);
/// What `min_free_mb` is by default, in 1,000,000 bytes: more than all that waits in memory to be written, and a merge of
/// the index.
pub(super) const MIN_FREE_MB: u64 = 512;

/// `[storage]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageConfig {
    /// What keeps the index.
    pub engine: StorageEngine,
    /// Cache of the index.
    pub cache_mb: CacheSize,
    /// With less room on the data directory's disk the node stops; 0 leaves it to the disk to refuse.
    pub min_free_mb: u64,
    /// The oldest blocks are left out when all of them take more than so many 1,000,000 bytes; 0 keeps them.
    pub prune: u64,
    /// Blocks that are older than so many days are left out; 0 keeps them.
    pub prune_days: u64,
    /// Snapshots that are kept; 0 makes none.
    pub snapshots: u64,
    /// A snapshot is made at the end of every so manieth epoch; 0 chooses what comes to about an hour.
    pub snapshot_every_epochs: u64,
}

/// `[sync]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncConfig {
    /// What a node without blocks begins with.
    pub from: SyncFrom,
    /// A block that is known to be of the chain, as HEIGHT:HASH.
    pub checkpoint: Option<Checkpoint>,
    /// Whether a chain that is older than its unbonding time is believed without a checkpoint.
    pub trust_peers: bool,
}

/// What a node without blocks begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncFrom {
    /// A snapshot, if the chain is long.
    Auto,
    /// A snapshot, if there is one.
    Snapshot,
    /// All blocks.
    Blocks,
}

impl StorageConfig {
    /// The room below which the node stops, in bytes.
    #[must_use]
    pub const fn free_bytes_min(&self) -> u64 {
        self.min_free_mb.saturating_mul(1_000_000)
    }

    /// Bytes of each of the two caches: the engine's, and that of unspent outputs above it.
    #[must_use]
    pub fn half_cache_bytes(&self) -> u64 {
        let megabytes = match self.cache_mb {
            CacheSize::Megabytes(size) => size,
            CacheSize::Auto => auto_megabytes(machine::memory_of_process(None).unwrap_or(0)),
        };
        megabytes.saturating_mul(500_000)
    }
}

/// What keeps the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageEngine {
    /// sled: a tree with a log of its own. Fast while its hot part fits into the cache.
    Sled,
    /// fjall: a log-structured merge tree. As fast with ten million outputs as with ten thousand.
    Fjall,
}

impl StorageEngine {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Sled, Self::Fjall];

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Fjall => "fjall",
        }
    }
}

/// How large a cache is: in the configuration a number of 1,000,000 bytes, or `"auto"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheSize {
    /// A part of the machine's memory.
    Auto,
    /// So many 1,000,000 bytes.
    Megabytes(u64),
}

impl fmt::Display for CacheSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Megabytes(size) => size.fmt(f),
        }
    }
}

impl Serialize for CacheSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Megabytes(size) => serializer.serialize_u64(*size),
        }
    }
}

impl<'de> Deserialize<'de> for CacheSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;

        impl de::Visitor<'_> for Words {
            type Value = CacheSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer or \"auto\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CacheSize, E> {
                if text == "auto" {
                    Ok(CacheSize::Auto)
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }

            fn visit_u64<E: de::Error>(self, size: u64) -> Result<CacheSize, E> {
                Ok(CacheSize::Megabytes(size))
            }

            fn visit_i64<E: de::Error>(self, size: i64) -> Result<CacheSize, E> {
                let negative = || E::invalid_value(de::Unexpected::Signed(size), &self);
                u64::try_from(size).map(CacheSize::Megabytes).map_err(|_| negative())
            }
        }

        deserializer.deserialize_any(Words)
    }
}

fn auto_megabytes(memory_bytes: u64) -> u64 {
    let (least, most) = AUTO_MEGABYTES;
    (memory_bytes / AUTO_PART / 1_000_000).clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_a_part_of_the_memory_within_bounds() {
        assert_eq!(auto_megabytes(0), 64);
        assert_eq!(auto_megabytes(8_000_000_000), 250);
        assert_eq!(auto_megabytes(1_000_000_000_000), 1_000);
        let default = crate::runtime::Config::of_network(crate::types::Network::Devnet).storage;
        let of_size = |cache_mb| StorageConfig { cache_mb, ..default.clone() }.half_cache_bytes();
        assert_eq!(of_size(CacheSize::Megabytes(32)), 16_000_000);
        let auto = of_size(CacheSize::Auto);
        assert!((32_000_000..=500_000_000).contains(&auto), "{auto}");
    }
}
