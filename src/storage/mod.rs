//! The only folder that touches the disk for chain data: block log, vote journal, index.
//!
//! # Place
//! Floor 4. Everything here is synchronous; the async shells above call it through `spawn_blocking` or from threads of
//! their own. The truth is two append-only logs over the [`Disk`] trait ([`BlockLog`] and the vote journal); the
//! [`Index`] over sled is brought forward behind the block log and can be rebuilt from it at any time.
//!
//! # Invariants
//! - INV-STORAGE-1: what was acknowledged is served again after a crash, or its loss is named by an error.
//! - INV-STORAGE-2: bytes whose checksum does not hold are never served.
//! - INV-STORAGE-3: a [`Durable`] value exists only after its records were synced.
//! - INV-STORAGE-4: after a failed write or sync nothing more is acknowledged by that log.
//! - INV-STORAGE-5: the index's mark never runs ahead of what a real sync has put on disk.

pub mod block_log;
pub mod disk;
pub mod error;
pub mod fjall_index;
pub mod index;
pub mod index_guard;
mod index_records;
mod index_window;
pub mod index_writer;
pub mod journal;
pub mod journal_contents;
pub mod journal_import;
pub mod journal_reader;
mod journal_record;
pub mod lock;
pub mod memory;
pub mod memory_disk;
pub mod memory_index;
mod record;
mod retired;
mod segment_files;
mod segment_log;
pub mod sled_index;
pub mod watch;

pub use block_log::{BlockLog, BlockReader, DurableBlock, LoggedBlock};
pub use disk::{Disk, DiskFile, RealDisk};
pub use error::StorageError;
pub use fjall_index::FjallIndex;
pub use index::{Change, EpochEnd, Index, IndexChange, IndexStore, Mark, PunishedEvidence, Tree};
pub use index_guard::IndexGuard;
pub use index_writer::{IndexEvent, IndexWriter};
pub use journal::{
    Durable, JournalIdentity, JournalOrigin, JournalReader, JournalRecord, JournalWriter, OpenedJournal,
    Staged,
};
pub use journal_contents::{JournalContents, JournaledHeight, JournaledMessages, RecordPlace};
pub use journal_import::JournalImport;
pub use lock::DirectoryLock;
pub use memory_disk::{Fault, MemoryDisk};
pub use memory_index::MemoryIndex;
pub use retired::RetiredSegments;
pub use sled_index::SledIndex;
pub use watch::Watch;
