//! How fast the blocks of a data directory grow, and where that ends: at a full disk, or where pruning holds them.
//!
//! # Place
//! `open.rs` says it when a node starts, `getdiskinfo` and the doctor when somebody asks.
//!
//! # How it is computed
//! Bytes of the last [`BLOCKS`] blocks by the times that these blocks state, so that a node that catches up does not take
//! its own pace for the chain's. The room is what is left above `[storage] min_free_mb`, at which the node stops. It is a
//! straight line: nobody knows how much will be paid tomorrow. The index is not in it; it is told beside.

use super::disk_space::{directory_bytes, least_room};
use super::places::index_path;
use crate::rpc::types::{DiskGrowth, DiskInfo, DiskOutlook};
use crate::runtime::Config;
use crate::runtime::config::StorageConfig;
use crate::runtime::time_text::duration_words;
use crate::storage::{BlockReader, RealDisk, SEGMENT_BYTES_MAX, StorageError};

/// Blocks by which the growth is measured.
pub const BLOCKS: u64 = 1_000;
/// Of fewer blocks, one large one would decide.
const BLOCKS_MIN: u64 = 10;
const DAY_MS: u64 = 86_400_000;
/// Less time until the disk is full is a warning: enough to order a disk.
pub const SOON_S: u64 = 30 * 86_400;

/// Scales `bytes` of `over_ms` to another time.
fn in_time(bytes: u64, over_ms: u64, time_ms: u64) -> u64 {
    let scaled = u128::from(bytes).saturating_mul(time_ms.into()).checked_div(over_ms.into()).unwrap_or(0);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// The growth by the last blocks; `None` while there are too few. Blocks.
fn measure(blocks: &BlockReader<RealDisk>) -> Result<Option<DiskGrowth>, StorageError> {
    let tip = blocks.height();
    let from = tip.saturating_sub(BLOCKS).max(blocks.shown_from());
    let count = tip.saturating_sub(from);
    if count < BLOCKS_MIN {
        return Ok(None);
    }
    // One of them may have been pruned meanwhile.
    let (Some((first, _)), Some((last, _))) = (blocks.read_header(from)?, blocks.read_header(tip)?) else {
        return Ok(None);
    };
    let bytes = blocks.bytes_above(from);
    let over_ms = last.time.saturating_sub(first.time).max(1);
    Ok(Some(DiskGrowth { blocks: count, bytes, over_ms, bytes_a_day: in_time(bytes, over_ms, DAY_MS) }))
}

/// What pruning holds blocks of this growth at, in bytes; `None` where all of them are kept.
fn level(growth: &DiskGrowth, storage: &StorageConfig) -> Option<u64> {
    let by_bytes = (storage.prune > 0).then(|| storage.prune.saturating_mul(1_000_000));
    let by_days = (storage.prune_days > 0)
        .then(|| in_time(growth.bytes, growth.over_ms, storage.prune_days.saturating_mul(DAY_MS)));
    let held = by_bytes.into_iter().chain(by_days).min()?;
    // Pruning removes whole files.
    Some(held.saturating_add(SEGMENT_BYTES_MAX))
}

/// Where this growth leads to, of blocks that take so much now, with so much room that the node may still take.
fn outlook(growth: &DiskGrowth, storage: &StorageConfig, (blocks, room): (u64, u64)) -> DiskOutlook {
    let level = level(growth, storage);
    match level {
        Some(level_bytes) if level_bytes.saturating_sub(blocks) <= room => DiskOutlook::Level { level_bytes },
        _ => {
            let after_s = u128::from(room)
                .saturating_mul(growth.over_ms.into())
                .checked_div(u128::from(growth.bytes).saturating_mul(1_000))
                .unwrap_or(u128::MAX);
            DiskOutlook::Full { after_s: u64::try_from(after_s).unwrap_or(u64::MAX), level_bytes: level }
        }
    }
}

/// Sizes, growth and where it leads, as they are now. Blocks: it reads two headers and the sizes of all files.
///
/// # Errors
/// When a block can't be read.
pub(super) fn look(config: &Config, blocks: &BlockReader<RealDisk>) -> Result<DiskInfo, StorageError> {
    let blocks_bytes = directory_bytes(&config.node.data_dir.join("blocks"));
    let free_bytes = least_room(config).map(|room| room.free_bytes);
    let room = free_bytes.map(|free| free.saturating_sub(config.storage.free_bytes_min()));
    let growth = measure(blocks)?;
    let known = growth.as_ref().zip(room);
    let outlook = known.map(|(growth, room)| outlook(growth, &config.storage, (blocks_bytes, room)));
    let index_bytes = directory_bytes(&index_path(config, config.storage.engine));
    Ok(DiskInfo { blocks_bytes, index_bytes, free_bytes, growth, outlook })
}

fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

/// A sentence or two for people, and whether the disk is full soon; `None` while too little is known.
#[must_use]
pub fn words(info: &DiskInfo) -> Option<(String, bool)> {
    let (growth, outlook) = (info.growth.as_ref()?, info.outlook.as_ref()?);
    let says = format!(
        "By its last {} blocks, the block log grows by {} a day; it has {}, the index beside it {}.",
        growth.blocks,
        megabytes(growth.bytes_a_day),
        megabytes(info.blocks_bytes),
        megabytes(info.index_bytes)
    );
    let full = |after_s: u64| match after_s / (365 * 86_400) {
        years @ 10.. => format!("in more than {} years", years.min(1_000)),
        _ => format!("in {}", duration_words(after_s)),
    };
    Some(match outlook {
        DiskOutlook::Level { level_bytes } => {
            (format!("{says} Pruning holds the log at about {}.", megabytes(*level_bytes)), false)
        }
        DiskOutlook::Full { after_s, level_bytes: None } => {
            (format!("{says} At that pace the disk is full {}.", full(*after_s)), *after_s < SOON_S)
        }
        DiskOutlook::Full { after_s, level_bytes: Some(level_bytes) } => {
            let level = megabytes(*level_bytes);
            let says = format!("{says} At that pace the disk is full {},", full(*after_s));
            (format!("{says} before pruning holds the log at about {level}."), *after_s < SOON_S)
        }
    })
}

/// Says it in the log of a node that starts. Blocks.
pub(super) fn tell(config: &Config, blocks: &BlockReader<RealDisk>) {
    match look(config, blocks) {
        Ok(info) => match words(&info) {
            Some((says, true)) => tracing::warn!("Disk: {says} Make room, or set [storage] prune"),
            Some((says, false)) => tracing::info!("Disk: {says}"),
            None => {}
        },
        Err(error) => tracing::warn!(%error, "How fast the block log grows can't be measured"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Network;

    const GROWTH: DiskGrowth =
        DiskGrowth { blocks: 1_000, bytes: 10_000_000, over_ms: 864_000, bytes_a_day: 1_000_000_000 };

    fn storage(prune: u64, prune_days: u64) -> StorageConfig {
        StorageConfig { prune, prune_days, ..Config::of_network(Network::Devnet).storage }
    }

    fn info(outlook: DiskOutlook) -> DiskInfo {
        let (growth, outlook) = (Some(GROWTH), Some(outlook));
        DiskInfo { blocks_bytes: 5_250_000_000, index_bytes: 400_000, free_bytes: Some(1), growth, outlook }
    }

    #[test]
    fn the_disk_is_full_when_the_room_is_used_up_at_the_pace_of_the_last_blocks() {
        let full = |room| outlook(&GROWTH, &storage(0, 0), (5_250_000_000, room));
        assert_eq!(full(10_000_000_000), DiskOutlook::Full { after_s: 10 * 86_400, level_bytes: None });
        assert_eq!(full(0), DiskOutlook::Full { after_s: 0, level_bytes: None });
        let still = DiskGrowth { bytes: 0, ..GROWTH };
        let never = outlook(&still, &storage(0, 0), (1, 1));
        assert_eq!(never, DiskOutlook::Full { after_s: u64::MAX, level_bytes: None });
    }

    #[test]
    fn pruning_holds_the_log_at_the_lesser_of_both_bounds_if_the_disk_has_room_for_it() {
        let of = |prune, days, room| outlook(&GROWTH, &storage(prune, days), (2_000_000_000, room));
        let level = |bytes: u64| bytes + SEGMENT_BYTES_MAX;
        let two = level(2_000_000_000);
        assert_eq!(of(2_000, 0, SEGMENT_BYTES_MAX), DiskOutlook::Level { level_bytes: two });
        assert_eq!(of(2_000, 30, SEGMENT_BYTES_MAX), DiskOutlook::Level { level_bytes: two });
        assert_eq!(of(0, 30, u64::MAX), DiskOutlook::Level { level_bytes: level(30_000_000_000) });
        let short = of(0, 30, 5_000_000_000);
        let level_bytes = Some(level(30_000_000_000));
        assert_eq!(short, DiskOutlook::Full { after_s: 5 * 86_400, level_bytes });
    }

    #[test]
    fn words_name_pace_sizes_and_end_and_say_whether_that_is_soon() {
        let of = |outlook| words(&info(outlook)).unwrap();
        let (says, is_soon) = of(DiskOutlook::Full { after_s: 29 * 86_400, level_bytes: None });
        assert!(
            is_soon && says.contains("grows by 1000.0 MB a day") && says.contains("full in 29 d 0 h"),
            "{says}"
        );
        assert!(says.contains("it has 5250.0 MB") && says.contains("index beside it 0.4 MB"), "{says}");
        let (says, is_soon) = of(DiskOutlook::Full { after_s: u64::MAX, level_bytes: None });
        assert!(!is_soon && says.contains("in more than 1000 years"), "{says}");
        let (says, is_soon) = of(DiskOutlook::Level { level_bytes: 2_000_000_000 });
        assert!(!is_soon && says.contains("holds the log at about 2000.0 MB"), "{says}");
        let (says, is_soon) = of(DiskOutlook::Full { after_s: 5, level_bytes: Some(1_000_000) });
        assert!(is_soon && says.contains("in 5 s, before pruning"), "{says}");
        let unknown = DiskInfo { growth: None, outlook: None, ..info(DiskOutlook::Level { level_bytes: 1 }) };
        assert_eq!(words(&unknown), None);
    }
}
