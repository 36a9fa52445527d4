//! The room that is left on the disks of a data directory: a node ends before there is none.
//!
//! # Place
//! `start.rs` looks before anything is opened, and starts the watch once the data are open. The doctor looks too.
//!
//! # Invariants
//! - INV-SPACE-1: with less room than `[storage] min_free_mb` no node starts; one that runs signs nothing more, says so,
//!   and ends in good order with exit code 1. A full node does the same.
//! - A warning comes while there is still [`WARN_TIMES`] as much room, once until there is more again.
//!
//! A disk that is full would refuse a write, which ends the node as well; but then it ends in the middle of one, and so does
//! whatever else is on that disk.
//!
//! # Concurrency
//! A task of its own looks each [`LOOK_EVERY`], on a blocking thread, since a disk may take long to answer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::places::{index_path, journal_path};
use crate::runtime::{Config, TaskRegistry, metric_names};

/// What is warned of, in times of the least room.
pub const WARN_TIMES: u64 = 4;
/// How often the disks are asked. A local disk takes about a second to fill the least room of a default configuration.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Room on the fullest disk of a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// What lies on that disk.
    pub path: PathBuf,
    /// What a file of this user may still take, in bytes.
    pub free_bytes: u64,
}

/// There is less room than a node may run with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the disk of {} has {} MB left, less than the {min_free_mb} MB of [storage] min_free_mb: nothing is signed any more. \
     Make room there, or move the data directory to another disk while the node is stopped; then start the node, \
     nothing needs repair",
    room.path.display(), room.free_bytes / 1_000_000
)]
pub struct LowSpace {
    /// Where.
    pub room: Room,
    /// The configured least, in 1,000,000 bytes.
    pub min_free_mb: u64,
}

/// The room on the fullest disk on which a part of the data directory lies; none if no disk answers.
#[must_use]
pub fn least_room(config: &Config) -> Option<Room> {
    let data_dir = &config.node.data_dir;
    let parts = [
        data_dir.clone(),
        journal_path(data_dir),
        data_dir.join("blocks"),
        index_path(config, config.storage.engine),
    ];
    // Each may be a link to a disk of its own. What is not there yet will be on the disk of what is above it.
    let rooms = parts.into_iter().filter_map(|part| {
        let there = part.ancestors().find(|path| path.exists()).map(Path::to_path_buf)?;
        let asked = if there.as_os_str().is_empty() { Path::new(".") } else { &there };
        Some(Room { free_bytes: fs4::available_space(asked).ok()?, path: part })
    });
    rooms.min_by_key(|room| room.free_bytes)
}

/// Bytes of all files below a directory; those that go meanwhile count nothing.
pub(super) fn directory_bytes(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => directory_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).fold(0, u64::saturating_add)
}

/// Refuses if there is less room than the configuration asks for. Blocks.
///
/// # Errors
/// [`LowSpace`].
pub fn check(config: &Config) -> Result<(), LowSpace> {
    match least_room(config) {
        Some(room) => judge(&room, config.storage.min_free_mb),
        None => Ok(()),
    }
}

fn judge(room: &Room, min_free_mb: u64) -> Result<(), LowSpace> {
    if room.free_bytes < min_free_mb.saturating_mul(1_000_000) {
        return Err(LowSpace { room: room.clone(), min_free_mb });
    }
    Ok(())
}

/// Whether a warning is due.
#[derive(Debug, Default)]
struct Warned(bool);

impl Warned {
    /// Once until there is enough room again.
    fn is_due(&mut self, free_bytes: u64, min_free_mb: u64) -> bool {
        let is_low = free_bytes < min_free_mb.saturating_mul(1_000_000).saturating_mul(WARN_TIMES);
        let was_low = std::mem::replace(&mut self.0, is_low);
        is_low && !was_low
    }
}

/// Starts the watch, which stops the node when there is too little room; it ends with the node.
pub(super) fn watch(config: &Arc<Config>, registry: &TaskRegistry) {
    let (config, node) = (Arc::clone(config), registry.clone());
    let token = registry.token().clone();
    registry.spawn("disk space", async move {
        let _ended = token.run_until_cancelled(look(config, node)).await;
    });
}

async fn look(config: Arc<Config>, node: TaskRegistry) {
    let min_free_mb = config.storage.min_free_mb;
    metrics::gauge!(metric_names::STORAGE_MIN_FREE_BYTES)
        .set(super::observer::as_gauge(config.storage.free_bytes_min()));
    let (mut timer, mut warned) = (tokio::time::interval(LOOK_EVERY), Warned::default());
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let asked = Arc::clone(&config);
        let Ok(Some(room)) = tokio::task::spawn_blocking(move || least_room(&asked)).await else {
            continue;
        };
        metrics::gauge!(metric_names::STORAGE_FREE_BYTES).set(super::observer::as_gauge(room.free_bytes));
        if let Err(low) = judge(&room, min_free_mb) {
            node.fail("disk space", low.to_string());
            return;
        }
        if warned.is_due(room.free_bytes, min_free_mb) {
            tracing::warn!(
                path = %room.path.display(),
                free_mb = room.free_bytes / 1_000_000,
                min_free_mb,
                "The disk is nearly full: the node stops at [storage] min_free_mb; make room, or move the data directory \
                 while the node is stopped"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Network;

    fn config(data_dir: &Path, min_free_mb: u64) -> Config {
        let mut config = Config::of_network(Network::Devnet);
        config.node.data_dir = data_dir.to_owned();
        config.storage.min_free_mb = min_free_mb;
        config
    }

    /// INV-SPACE-1.
    #[test]
    fn with_less_room_than_configured_nothing_starts_and_the_path_and_the_way_out_are_named() {
        let home = tempfile::tempdir().unwrap();
        let missing = home.path().join("not/yet/there");
        assert_eq!(check(&config(&missing, 0)), Ok(()));
        let most = u64::MAX / 1_000_000;
        let told = check(&config(&missing, most)).unwrap_err().to_string();
        assert!(told.contains("not/yet/there") && told.contains("Make room"), "{told}");
        let room = |free_bytes| Room { path: "data".into(), free_bytes };
        assert_eq!(judge(&room(512_000_000), 512), Ok(()));
        let low = judge(&room(511_999_999), 512).unwrap_err();
        assert!(low.to_string().contains("data has 511 MB left, less than the 512 MB"), "{low}");
    }

    #[test]
    fn a_part_of_the_data_on_a_fuller_disk_is_the_one_that_counts() {
        let home = tempfile::tempdir().unwrap();
        let own = least_room(&config(home.path(), 0)).unwrap();
        // There is hardly ever a disk without room; this one says that it has none.
        std::os::unix::fs::symlink("/proc", home.path().join("votes")).unwrap();
        let room = least_room(&config(home.path(), 0)).unwrap();
        assert!(own.free_bytes > 0 && room.free_bytes == 0, "{own:?} {room:?}");
        assert_eq!(room.path, home.path().join("votes"));
    }

    #[test]
    fn a_disk_that_fills_up_is_warned_of_once_until_there_is_room_again() {
        let mut warned = Warned::default();
        let mut due = |free_mb: u64| warned.is_due(free_mb * 1_000_000, 500);
        assert!(!due(2_000) && due(1_999) && !due(1_998) && !due(600));
        assert!(!due(2_001) && due(1_000));
        assert!(!Warned::default().is_due(0, 0), "nobody asked for any room");
    }

    /// INV-SPACE-1: the watch ends a node by itself.
    #[tokio::test]
    async fn a_node_is_stopped_when_there_is_too_little_room_and_left_alone_otherwise() {
        let home = tempfile::tempdir().unwrap();
        let started = |min_free_mb| {
            let registry = TaskRegistry::new(tokio_util::sync::CancellationToken::new());
            watch(&Arc::new(config(home.path(), min_free_mb)), &registry);
            registry
        };
        let registry = started(u64::MAX / 1_000_000);
        registry.token().cancelled().await;
        let failure = registry.failure().unwrap();
        assert!(failure.task == "disk space" && failure.message.contains("MB left"), "{failure}");
        let registry = started(1);
        tokio::time::sleep(LOOK_EVERY * 2).await;
        assert!(!registry.has_failed() && !registry.token().is_cancelled());
    }
}
