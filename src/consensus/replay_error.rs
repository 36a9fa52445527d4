//! Why the chain on the disk can't be opened.

use std::path::PathBuf;

use crate::protocol::activation::UnknownRules;
use crate::protocol::transition::BlockError;
use crate::storage::error::StorageError;
use crate::types::Height;
use crate::types::genesis::GenesisError;

/// Why the chain on disk can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The disk.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The genesis document.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// A block of the log does not follow from those before it.
    #[error(
        "block {height} of the block log is not valid: {source}; `timed db repair --deep` keeps the blocks before it, and the node fetches the rest from its peers"
    )]
    Block {
        /// Its height.
        height: Height,
        /// The broken rule.
        source: BlockError,
    },
    /// Nothing says what was before the log's first block.
    #[error(
        "the block log begins at block {horizon}, and there is no snapshot of a block in it to build the index of; move blocks/ and the index aside: the node fetches the chain again from its peers, or `timed db snapshot import` brings its beginning"
    )]
    NoSnapshot {
        /// The log's first block.
        horizon: Height,
    },
    /// A snapshot on the disk is not what it should be.
    #[error("{} is no snapshot of this chain: {reason}; remove the directory, and an older one or a new one is used", path.display())]
    Snapshot {
        /// Its directory.
        path: PathBuf,
        /// The broken rule.
        reason: String,
    },
    /// The chain has gone on to rules that this program does not know.
    #[error(transparent)]
    Rules(#[from] UnknownRules),
    /// The log lacks a block below its height.
    #[error(
        "the block log lacks block {0}; `timed db repair` keeps the blocks before it, and the node fetches the rest from its peers"
    )]
    Missing(Height),
}
