//! Fills an index from a snapshot on the disk.
//!
//! # Place
//! [`replay`](super::replay) calls it where the block log does not begin at block 1: on a node that began with a snapshot, and
//! on one that has pruned its blocks and lost its index.
//!
//! # Invariants
//! - INV-REPLAY-4 of [`replay`](super::replay): the manifest is held to the header of the log's own block, each chunk to the
//!   manifest.
//!
//! Memory: two chunks, one that is written and one that is checked.

use std::panic::resume_unwind;
use std::sync::Arc;

use tracing::{info, warn};

use super::replay_error::ReplayError;
use crate::protocol::finality_proof::{ChainProof, ProvedEnd};
use crate::protocol::snapshot::{NamedOutput, SnapshotManifest};
use crate::protocol::state::LedgerState;
use crate::storage::block_log::BlockReader;
use crate::storage::disk::Disk;
use crate::storage::error::StorageError;
use crate::storage::index::Index;
use crate::storage::index_snapshot::SnapshotHead;
use crate::storage::snapshots::{SnapshotDir, SnapshotPart, SnapshotStore};
use crate::storage::watch::{Watch, ask};
use crate::types::GenesisDocument;
use crate::types::codec::{decode, encode};
use crate::types::keys::SequentialVerifier;

fn broken<D: Disk>(dir: &SnapshotDir<D>, reason: impl ToString) -> ReplayError {
    ReplayError::Snapshot { path: dir.path().to_owned(), reason: reason.to_string() }
}

/// A snapshot whose manifest holds, and whose other parts are there and whole.
struct Whole<D: Disk> {
    dir: SnapshotDir<D>,
    manifest: SnapshotManifest,
    ends: Vec<ProvedEnd>,
}

/// The newest whole snapshot whose block the log has. One that is damaged is passed over if there is another one; nothing was
/// taken from it then.
fn newest<D: Disk>(
    genesis: &GenesisDocument,
    (blocks, snapshots): (&BlockReader<D>, &SnapshotStore<D>),
) -> Result<Whole<D>, ReplayError> {
    let horizon = blocks.horizon();
    let mut why = ReplayError::NoSnapshot { horizon };
    for dir in snapshots.list()? {
        if !(horizon..=blocks.height()).contains(&dir.height()) {
            continue;
        }
        match look_at(dir, genesis, blocks) {
            Ok(whole) => return Ok(whole),
            Err(
                error @ (ReplayError::Snapshot { .. } | ReplayError::Storage(StorageError::Corrupt { .. })),
            ) => {
                warn!(%error, "A snapshot can't be used");
                why = error;
            }
            Err(error) => return Err(error),
        }
    }
    Err(why)
}

fn look_at<D: Disk>(
    dir: SnapshotDir<D>,
    genesis: &GenesisDocument,
    blocks: &BlockReader<D>,
) -> Result<Whole<D>, ReplayError> {
    let height = dir.height();
    let logged = blocks.read_committed(height)?.ok_or(ReplayError::Missing(height))?;
    let bytes = dir.read(SnapshotPart::Manifest)?.ok_or_else(|| broken(&dir, "it has no manifest"))?;
    let manifest: SnapshotManifest = decode(&bytes).map_err(|error| broken(&dir, error))?;
    if manifest.header != logged.block.header {
        return Err(broken(&dir, "its block is another one than the block log's"));
    }
    manifest.check(&genesis.chain_id(), &genesis.parameters).map_err(|error| broken(&dir, error))?;
    let ends = known_ends(&dir, genesis)?;
    for place in 0..manifest.chunks.len() {
        chunk(&dir, place)?;
    }
    Ok(Whole { dir, manifest, ends })
}

/// The outputs of a chunk, which are those that the manifest means.
fn outputs_of<D: Disk>(
    dir: &SnapshotDir<D>,
    manifest: &SnapshotManifest,
    place: usize,
) -> Result<Vec<NamedOutput>, ReplayError> {
    let outputs: Vec<NamedOutput> = decode(&chunk(dir, place)?).map_err(|error| broken(dir, error))?;
    manifest.check_chunk(place, &outputs).map_err(|error| broken(dir, error))?;
    Ok(outputs)
}

fn chunk<D: Disk>(dir: &SnapshotDir<D>, place: usize) -> Result<Vec<u8>, ReplayError> {
    let part = SnapshotPart::Chunk(u32::try_from(place).unwrap_or(u32::MAX));
    dir.read(part)?.ok_or_else(|| broken(dir, format!("chunk {place} is missing")))
}

/// The ends of epochs by which the snapshot was proved, if it says.
fn known_ends<D: Disk>(
    dir: &SnapshotDir<D>,
    genesis: &GenesisDocument,
) -> Result<Vec<ProvedEnd>, ReplayError> {
    let Some(bytes) = dir.read(SnapshotPart::Proof)? else { return Ok(Vec::new()) };
    let proof: ChainProof = decode(&bytes).map_err(|error| broken(dir, error))?;
    // The block it starts from was trusted when it was fetched.
    let trusted = proof.trusts();
    let proved = proof.verify(genesis, trusted.as_ref(), &SequentialVerifier);
    let proved = proved.map_err(|error| broken(dir, error))?;
    Ok(proved.ends)
}

/// Fills an index that has nothing yet, and gives the state after the snapshot's block. `watch` is told chunks.
pub(super) fn load<D: Disk>(
    genesis: &GenesisDocument,
    index: &Index,
    (blocks, snapshots): (&BlockReader<D>, &SnapshotStore<D>),
    watch: Watch<'_>,
) -> Result<LedgerState, ReplayError> {
    let Whole { dir, manifest, ends } = newest(genesis, (blocks, snapshots))?;
    info!(height = dir.height(), "Building the index of the snapshot");
    let mut load = index.load_snapshot(&manifest.header)?;
    let count = manifest.chunks.len();
    let mut next = if count > 0 { Some(outputs_of(&dir, &manifest, 0)?) } else { None };
    let mut place = 0_usize;
    while let Some(outputs) = next.take() {
        place = place.saturating_add(1);
        // To check a chunk takes as long as to write one, so the next one is checked meanwhile.
        next = std::thread::scope(|scope| {
            let checking = (place < count).then(|| scope.spawn(|| outputs_of(&dir, &manifest, place)));
            load.add(&outputs)?;
            let checked = checking.map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            checked.transpose()
        })?;
        let [done, all] = [place, count].map(|number| u64::try_from(number).unwrap_or(u64::MAX));
        ask(watch, done, all)?;
    }
    let SnapshotManifest { header, epoch_ends, state, .. } = manifest;
    let (next_set, encoded) = (Arc::clone(state.validators()), encode(&state));
    load.finish(&SnapshotHead {
        header: &header,
        epoch_ends: &epoch_ends,
        next_set: &next_set,
        ends: &ends,
        state: &encoded,
    })?;
    Ok(state)
}
