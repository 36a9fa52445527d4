//! Makes a snapshot of an index that goes on meanwhile.
//!
//! # Place
//! `app/snapshots/` calls it on a thread of its own, after the last block of an epoch.
//!
//! # Invariants
//! - INV-SNAPSHOT-MAKE-1: what is made holds by the check that its receiver makes, or is thrown away: an output that evidence
//!   made less since the block has another value by now, and the sum tells.
//!
//! # Units
//! A chunk is in memory at a time, some 3 MB, and two pages of the index.

use crate::protocol::finality_proof::ChainProof;
use crate::protocol::snapshot::{
    ChunkCutter, MANIFEST_BYTES_MAX, NamedOutput, SnapshotError, SnapshotManifest, encode_chunk,
};
use crate::protocol::state::LedgerState;
use crate::storage::disk::Disk;
use crate::storage::error::StorageError;
use crate::storage::index::Index;
use crate::storage::snapshots::{SnapshotDir, SnapshotPart, SnapshotStore};
use crate::types::codec::encode;
use crate::types::{BlockHash, CommittedBlock, Epoch};

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The disk.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// It would not hold.
    #[error("what the index holds is not the state after the block: {0}")]
    Snapshot(#[from] SnapshotError),
    /// The index lacks the name of an epoch's last block.
    #[error("the index does not know the last block of epoch {0}")]
    NoEnd(Epoch),
    /// It would have more outputs than a manifest can name.
    #[error("its manifest would have {0} bytes, more than {MANIFEST_BYTES_MAX}")]
    TooLarge(usize),
}

/// The last block of an epoch, with what a snapshot of it needs.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotOf<'a> {
    /// The block.
    pub committed: &'a CommittedBlock,
    /// The state after it.
    pub state: &'a LedgerState,
    /// That it is of the chain; `None` where such a proof would be too large.
    pub proof: Option<&'a ChainProof>,
}

/// Makes the snapshot, of an index to which the block was applied. `goes_on` is asked before each chunk, and may take its
/// time.
///
/// # Errors
/// See [`MakeError`]; of the disk's errors [`StorageError::Interrupted`] if it was ended. What was written is no snapshot.
pub fn make<D: Disk>(
    store: &SnapshotStore<D>,
    index: &Index,
    of: SnapshotOf<'_>,
    goes_on: &mut dyn FnMut() -> bool,
) -> Result<SnapshotManifest, MakeError> {
    let SnapshotOf { committed, state, proof } = of;
    let header = &committed.block.header;
    let dir = store.begin(header.height)?;
    let mut cutter = ChunkCutter::default();
    let mut heads = Vec::new();
    for output in index.unspent_outputs_at(header.height) {
        if let Some((head, outputs)) = cutter.push(output?) {
            write_chunk(&dir, heads.len(), &outputs, goes_on)?;
            heads.push(head);
        }
    }
    if let Some((head, outputs)) = cutter.finish() {
        write_chunk(&dir, heads.len(), &outputs, goes_on)?;
        heads.push(head);
    }
    let mut ends: Vec<BlockHash> = Vec::new();
    for epoch in 0..header.epoch {
        ends.push(index.epoch_end_hash(epoch)?.ok_or(MakeError::NoEnd(epoch))?);
    }
    let manifest = SnapshotManifest::new(header.clone(), ends, state.clone(), heads)?;
    let encoded = encode(&manifest);
    if encoded.len() > MANIFEST_BYTES_MAX {
        return Err(MakeError::TooLarge(encoded.len()));
    }
    dir.write(SnapshotPart::Block, &encode(committed))?;
    if let Some(proof) = proof {
        dir.write(SnapshotPart::Proof, &encode(proof))?;
    }
    dir.finish(&encoded)?;
    Ok(manifest)
}

fn write_chunk<D: Disk>(
    dir: &SnapshotDir<D>,
    place: usize,
    outputs: &[NamedOutput],
    goes_on: &mut dyn FnMut() -> bool,
) -> Result<(), StorageError> {
    if !goes_on() {
        return Err(StorageError::Interrupted);
    }
    let place = u32::try_from(place).unwrap_or(u32::MAX);
    dir.write(SnapshotPart::Chunk(place), &encode_chunk(outputs))
}
