//! Fills an index from a snapshot on the disk.
//!
//! # Place
//! [`replay`](super::replay) calls it where the block log does not begin at block 1: on a node that began with a snapshot, and
//! on one that has pruned its blocks and lost its index.
//!
//! # Invariants
//! - INV-REPLAY-4 of [`replay`](super::replay): the manifest is held to the header of the log's own block, each chunk to the
//!   manifest.

use std::sync::Arc;

use tracing::info;

use super::replay::ReplayError;
use crate::protocol::finality_proof::{ChainProof, ProvedEnd};
use crate::protocol::snapshot::{NamedOutput, SnapshotManifest};
use crate::protocol::state::LedgerState;
use crate::storage::block_log::BlockReader;
use crate::storage::disk::Disk;
use crate::storage::index::Index;
use crate::storage::index_epochs::KnownEnd;
use crate::storage::index_snapshot::SnapshotHead;
use crate::storage::snapshots::{SnapshotDir, SnapshotPart, SnapshotStore};
use crate::storage::watch::{Watch, ask};
use crate::types::GenesisDocument;
use crate::types::codec::{decode, encode};
use crate::types::keys::SequentialVerifier;

fn broken<D: Disk>(dir: &SnapshotDir<D>, reason: impl ToString) -> ReplayError {
    ReplayError::Snapshot { path: dir.path().to_owned(), reason: reason.to_string() }
}

/// The newest snapshot whose block the log has.
fn newest<D: Disk>(
    blocks: &BlockReader<D>,
    snapshots: &SnapshotStore<D>,
) -> Result<SnapshotDir<D>, ReplayError> {
    let horizon = blocks.horizon();
    let in_log = |dir: &SnapshotDir<D>| (horizon..=blocks.height()).contains(&dir.height());
    snapshots.list()?.into_iter().find(in_log).ok_or(ReplayError::NoSnapshot { horizon })
}

/// The ends of epochs by which the snapshot was proved, if it says.
fn known_ends<D: Disk>(
    dir: &SnapshotDir<D>,
    genesis: &GenesisDocument,
) -> Result<Vec<KnownEnd>, ReplayError> {
    let Some(bytes) = dir.read(SnapshotPart::Proof)? else { return Ok(Vec::new()) };
    let proof: ChainProof = decode(&bytes).map_err(|error| broken(dir, error))?;
    // The block it starts from was trusted when it was fetched.
    let trusted = proof.trusts();
    let proved = proof.verify(genesis, trusted.as_ref(), &SequentialVerifier);
    let proved = proved.map_err(|error| broken(dir, error))?;
    let known =
        |end: ProvedEnd| KnownEnd { header: end.header, commit: end.commit, set: end.set, next: end.next };
    Ok(proved.ends.into_iter().map(known).collect())
}

/// Fills an index that has nothing yet, and gives the state after the snapshot's block. `watch` is told chunks.
pub(super) fn load<D: Disk>(
    genesis: &GenesisDocument,
    index: &Index,
    (blocks, snapshots): (&BlockReader<D>, &SnapshotStore<D>),
    watch: Watch<'_>,
) -> Result<LedgerState, ReplayError> {
    let dir = newest(blocks, snapshots)?;
    let height = dir.height();
    info!(height, "Building the index of the snapshot");
    let logged = blocks.read_committed(height)?.ok_or(ReplayError::Missing(height))?;
    let bytes = dir.read(SnapshotPart::Manifest)?.ok_or_else(|| broken(&dir, "it has no manifest"))?;
    let manifest: SnapshotManifest = decode(&bytes).map_err(|error| broken(&dir, error))?;
    if manifest.header != logged.block.header {
        return Err(broken(&dir, "its block is another one than the block log's"));
    }
    manifest.check(&genesis.chain_id(), &genesis.parameters).map_err(|error| broken(&dir, error))?;
    let ends = known_ends(&dir, genesis)?;
    let mut load = index.load_snapshot(&manifest.header)?;
    let chunks = u64::try_from(manifest.chunks.len()).unwrap_or(u64::MAX);
    for place in 0..manifest.chunks.len() {
        let part = SnapshotPart::Chunk(u32::try_from(place).unwrap_or(u32::MAX));
        let bytes = dir.read(part)?.ok_or_else(|| broken(&dir, format!("chunk {place} is missing")))?;
        let outputs: Vec<NamedOutput> = decode(&bytes).map_err(|error| broken(&dir, error))?;
        manifest.check_chunk(place, &outputs).map_err(|error| broken(&dir, error))?;
        load.add(&outputs)?;
        ask(watch, u64::try_from(place).unwrap_or(u64::MAX).saturating_add(1), chunks)?;
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
