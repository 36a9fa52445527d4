//! How the files of a segmented log are named.

use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::error::StorageError;

const SUFFIX: &str = ".seg";

pub(super) fn segment_path(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("{sequence:08}{SUFFIX}"))
}

pub(super) fn sequences(disk: &impl Disk, dir: &Path) -> Result<Vec<u64>, StorageError> {
    let mut sequences: Vec<u64> = disk
        .list(dir)?
        .iter()
        .filter_map(|name| name.strip_suffix(SUFFIX)?.parse().ok())
        .filter(|sequence| *sequence > 0)
        .collect();
    sequences.sort_unstable();
    Ok(sequences)
}
