//! Where the parts of a data directory are.

use std::path::{Path, PathBuf};

use crate::runtime::Config;
use crate::runtime::config::StorageEngine;

/// Where the vote journal is.
pub(super) fn journal_path(data_dir: &Path) -> PathBuf {
    data_dir.join("votes")
}

/// Where the index of an engine is: each has a place of its own, so that one who changes the engine can change back.
pub(super) fn index_path(config: &Config, engine: StorageEngine) -> PathBuf {
    config.node.data_dir.join(match engine {
        StorageEngine::Sled => "index",
        StorageEngine::Fjall => "index-fjall",
    })
}
