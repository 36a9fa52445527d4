//! The only folder that touches the disk for chain data: block log, vote journal, index.
//!
//! # Place
//! Floor 4. Everything here is synchronous; the async shells above call it through `spawn_blocking` or from threads of
//! their own. The truth is two append-only logs over the [`Disk`] trait ([`BlockLog`] and the vote journal); the
//! [`Index`] over one of the engines below is brought forward behind the block log and can be rebuilt from it at any time.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `disk.rs`, `memory_disk.rs` | what a disk can do; a disk that loses what was not synced |
//! | `segment_log.rs`, `segment_files.rs`, `record.rs` | files, frames and checksums of both logs |
//! | `block_log.rs`, `horizon.rs` | when a block is durable; with which block the log begins |
//! | `journal.rs`, `journal_record.rs` | when a message is durable; what is kept of it |
//! | `journal_reader.rs`, `journal_contents.rs`, `journal_import.rs` | what an opened journal holds; records from elsewhere |
//! | `log_check.rs`, `log_repair.rs`, `retired.rs` | what is damaged, cut, and removed |
//! | `index.rs`, `index_change.rs`, `index_records.rs` | what a block does to the index, under which keys |
//! | `index_history.rs`, `index_epochs.rs`, `index_epoch_keys.rs` | the past of addresses and of epochs |
//! | `index_window.rs`, `index_writer.rs` | what waits in memory; when the mark moves |
//! | `index_store.rs`, `sled_index.rs`, `fjall_index.rs`, `memory_index.rs` | which engine keeps the index |
//! | `index_guard.rs` | that no fault of an engine is the node's |
//! | `index_scan.rs`, `index_snapshot.rs`, `snapshots.rs` | snapshots: read of an index, filled into one, as files |
//! | `lock.rs`, `watch.rs` | one process a directory; how long work says how far it is |
//! | `error.rs`, `memory.rs` | which faults there are; what all may take |
//!
//! # Engines
//! sled is what keeps the index if nothing is said; `[storage] engine = "fjall"` takes the other one. Both have been through
//! the same campaigns. `cargo bench --bench index` on two cores, with a cache of 384 MB; payments spend one output of the
//! set, chosen evenly, and make two; CPU in microseconds, threads of the engine included:
//!
//! | outputs | engine | an output made | a payment | a cold lookup | slowest mark | memory | disk to raw | open | after a kill |
//! |---|---|---|---|---|---|---|---|---|---|
//! | 20,000 | sled | 4.6 | 17 | 1.6 | 0.2 s | 39 MiB | 6.6 | 0.0 s | 0.0 s |
//! | | fjall | 1.1 | 4.6 | 2.1 | 0.1 s | 17 MiB | 25 (its journal) | 0.1 s | 0.0 s |
//! | | redb | 2.1 | 11 | 2.3 | 0.1 s | 23 MiB | 3.1 | 0.0 s | 0.0 s |
//! | 1,000,000 | sled | 6.5 | 37 | 6.9 | 0.8 s | 403 MiB | 4.1 | 0.4 s | 0.3 s |
//! | | fjall | 1.1 | 8.2 | 12 | 0.2 s | 123 MiB | 1.9 | 0.1 s | 0.0 s |
//! | | redb | 3.8 | 31 | 5.7 | 0.7 s | 345 MiB | 2.8 | 0.0 s | 0.6 s |
//! | 5,000,000 | sled | 12 | 94 | 23 | 3.7 s | 1,387 MiB | 4.0 | 5.5 s | 2.6 s |
//! | | fjall | 2.0 | 12 | 23 | 0.4 s | 120 MiB | 1.2 | 0.1 s | 0.0 s |
//! | | redb | 7.9 | 50 | 8.8 | 3.5 s | 529 MiB | 2.3 | 0.0 s | 1.4 s |
//! | 10,000,000 | fjall | 1.9 | 14 | 25 | 0.3 s | 208 MiB | 1.2 | 0.0 s | 0.0 s |
//! | 20,000,000 | fjall | 2.2 | 12 | 70 | 0.3 s | 259 MiB | 1.1 | 0.1 s | 0.1 s |
//!
//! So beyond a million outputs fjall is the one to choose. Its lookups cost more, as each key may be in several tables; what
//! a payment spends is mostly younger and still in memory. Closing fjall waits for a merge that is under way: 0 to 7 s were
//! seen.
//!
//! # Invariants
//! - INV-STORAGE-1: what was acknowledged is served again after a crash, or its loss is named by an error.
//! - INV-STORAGE-2: bytes whose checksum does not hold are never served.
//! - INV-STORAGE-3: a [`Durable`] value exists only after its records were synced.
//! - INV-STORAGE-4: after a failed write or sync nothing more is acknowledged by that log.
//! - INV-STORAGE-5: the index's mark never runs ahead of what a real sync has put on disk.
//!
//! # To add an engine
//! Campaigns do not follow the list of engines by themselves.
//!
//! | touch | a forgotten one is found by |
//! |---|---|
//! | an [`IndexStore`] in a file here, as `benches/index/redb_index.rs` is one; damage is [`StorageError::Index`], what the machine refuses [`StorageError::Io`] | its own tests alone |
//! | `StorageEngine` with its `name`; `app/open.rs`, `app/places.rs`, `cli/doctor/findings.rs`; `tests/care/home.rs`, `tests/care/index.rs` | the compiler |
//! | `StorageEngine::ALL` | nothing |
//! | `share_bytes_max` in `memory.rs`: what the largest engine takes | nothing |
//! | `SledIndex::wait_closed`, which care calls whatever the engine, if dropping it does not close it | nothing |
//! | `QUIET` in `runtime/log_level.rs`; `Cargo.toml` with its profiles; `.deny.toml` | nothing; doubles by `tests/architecture/crates.rs` |
//! | stores that are named one by one: `index_store.rs`, `index_tests.rs`, `tests/replay.rs`, `benches/index/main.rs` | nothing |
//! | tests of real nodes: engines follow a node's place (`tests/e2e/net.rs`), and `disk_errors.rs`, `snapshot_faults.rs`, `kill_points.rs` and `stop.rs` mean certain places | those that name an engine's files; the rest, nothing |
//! | words: `config.toml`, `cli/init.rs`, `cli/generate/alerts.rs`, the README | nothing |
//!
//! # To change a format, or add one
//! | touch | a forgotten one is found by |
//! |---|---|
//! | its version: [`SEGMENT_FORMAT_VERSION`] for both logs, [`INDEX_FORMAT_VERSION`], or the constant of its file | `tests/golden.rs`, as soon as old files are read as something else |
//! | a reader of the old version, unless it can be made anew, as the index | `tests/golden.rs` |
//! | `tests/golden.rs`, `tests/golden/make.rs`: its number and maker; `BLESS=1` makes the files | `tests/architecture/formats.rs` |
//! | a record of the journal: [`JournalRecord`], `journal_contents.rs`, `app/vote_file.rs` | the compiler |
//! | what a start makes of that record: `consensus/vote_replay.rs` and the parts that it feeds | nothing |
//! | a place in `app/places.rs`; `app/care/check.rs`, `app/care/backup.rs` | `tests/care/every_file.rs`, for damage; nothing for a backup without it |
//! | its layout, in the head of its file | nothing |

pub mod block_log;
pub mod disk;
pub mod error;
pub mod fjall_index;
mod horizon;
pub mod index;
pub mod index_change;
pub mod index_epoch_keys;
pub mod index_epochs;
pub mod index_guard;
pub mod index_history;
mod index_records;
pub mod index_scan;
pub mod index_snapshot;
pub mod index_store;
mod index_window;
pub mod index_writer;
pub mod journal;
pub mod journal_contents;
pub mod journal_import;
pub mod journal_reader;
mod journal_record;
pub mod lock;
pub mod log_check;
pub mod log_repair;
pub mod memory;
pub mod memory_disk;
pub mod memory_index;
mod record;
pub mod retired;
mod segment_files;
mod segment_log;
pub mod sled_index;
pub mod snapshots;
pub mod watch;

pub use block_log::{BlockLog, BlockReader, DurableBlock, LoggedBlock, PruneRule};
pub use disk::{Disk, DiskFile, RealDisk};
pub use error::StorageError;
pub use fjall_index::FjallIndex;
pub use index::{EpochEnd, FORMAT as INDEX_FORMAT_VERSION, Index, IndexChange, Mark, PunishedEvidence};
pub use index_guard::IndexGuard;
pub use index_store::{Change, IndexStore, Tree};
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
pub use record::FORMAT_VERSION as SEGMENT_FORMAT_VERSION;
pub use retired::RetiredSegments;
pub use segment_log::SEGMENT_BYTES_MAX;
pub use sled_index::SledIndex;
pub use snapshots::{SnapshotDir, SnapshotPart, SnapshotStore};
pub use watch::Watch;
