//! Gives peers the snapshots that are on the disk.
//!
//! # Place
//! The thread that answers peers reads here; each peer waits for its own budget there.
//!
//! # Bounds
//! One proof from a block that somebody trusts is remembered, so that asking for it again costs no search.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::consensus::proof_builder::ProofBuilder;
use crate::consensus::serve::SnapshotSource;
use crate::protocol::finality_proof::ChainProof;
use crate::protocol::snapshot::{OUTPUT_BYTES, SnapshotManifest};
use crate::storage::{RealDisk, SnapshotDir, SnapshotPart, SnapshotStore, StorageError};
use crate::types::codec::{decode, encode};
use crate::types::limits::SNAPSHOTS_MAX;
use crate::types::message::{SnapshotItem, SnapshotOffer};
use crate::types::{Checkpoint, Height};

/// A proof that was made: of which snapshot, from which block, its encoding.
struct Proved {
    question: (Height, Checkpoint),
    bytes: Vec<u8>,
}

/// Snapshots on the disk.
pub(in crate::app) struct StoredSnapshots {
    store: SnapshotStore<RealDisk>,
    proofs: Arc<ProofBuilder<RealDisk>>,
    offers: Mutex<BTreeMap<Height, SnapshotOffer>>,
    proved: Mutex<Option<Proved>>,
}

impl StoredSnapshots {
    pub(in crate::app) fn new(store: SnapshotStore<RealDisk>, proofs: Arc<ProofBuilder<RealDisk>>) -> Self {
        Self { store, proofs, offers: Mutex::default(), proved: Mutex::default() }
    }

    fn offer(&self, dir: &SnapshotDir<RealDisk>) -> Result<Option<SnapshotOffer>, StorageError> {
        if let Some(offer) = self.offers.lock().get(&dir.height()) {
            return Ok(Some(*offer));
        }
        let Some(bytes) = dir.read(SnapshotPart::Manifest)? else { return Ok(None) };
        let Ok(manifest) = decode::<SnapshotManifest>(&bytes) else { return Ok(None) };
        let outputs = manifest.outputs();
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let offer = SnapshotOffer {
            block: Checkpoint::of(&manifest.header),
            manifest: SnapshotManifest::name_of(&bytes),
            outputs,
            bytes: outputs.saturating_mul(OUTPUT_BYTES as u64).saturating_add(length),
        };
        self.offers.lock().insert(dir.height(), offer);
        Ok(Some(offer))
    }

    fn try_offers(&self) -> Result<Vec<SnapshotOffer>, StorageError> {
        let mut offers = Vec::new();
        let dirs = self.store.list()?;
        for dir in dirs.iter().take(SNAPSHOTS_MAX) {
            offers.extend(self.offer(dir)?);
        }
        self.offers.lock().retain(|height, _| dirs.iter().any(|dir| dir.height() == *height));
        Ok(offers)
    }

    fn try_item(&self, height: Height, item: &SnapshotItem) -> Result<Option<Vec<u8>>, StorageError> {
        let Some(dir) = self.store.get(height)? else { return Ok(None) };
        let part = match item {
            SnapshotItem::Manifest => SnapshotPart::Manifest,
            SnapshotItem::Proof(None) => return Self::from_genesis(&dir),
            SnapshotItem::Proof(Some(trusted)) => return self.prove(&dir, trusted),
            SnapshotItem::Block => SnapshotPart::Block,
            SnapshotItem::Chunk(place) => SnapshotPart::Chunk(*place),
        };
        dir.read(part)
    }

    /// The proof from the genesis document. A node that began at a checkpoint may have one from there alone.
    fn from_genesis(dir: &SnapshotDir<RealDisk>) -> Result<Option<Vec<u8>>, StorageError> {
        let bytes = dir.read(SnapshotPart::Proof)?;
        Ok(bytes.filter(|bytes| decode::<ChainProof>(bytes).is_ok_and(|proof| proof.trusts().is_none())))
    }

    fn prove(
        &self,
        dir: &SnapshotDir<RealDisk>,
        trusted: &Checkpoint,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let question = (dir.height(), *trusted);
        if let Some(known) = self.proved.lock().as_ref().filter(|known| known.question == question) {
            return Ok(Some(known.bytes.clone()));
        }
        let Some(bytes) = dir.read(SnapshotPart::Manifest)? else { return Ok(None) };
        let Ok(manifest) = decode::<SnapshotManifest>(&bytes) else { return Ok(None) };
        let bytes = match self.proofs.chain(Some(trusted), manifest.header.epoch) {
            Ok(proof) => encode(&proof),
            Err(problem) => {
                tracing::debug!(%problem, block = %trusted, "No proof of the snapshot from there");
                Vec::new()
            }
        };
        *self.proved.lock() = Some(Proved { question, bytes: bytes.clone() });
        Ok(Some(bytes))
    }
}

impl SnapshotSource for StoredSnapshots {
    fn offers(&self) -> Vec<SnapshotOffer> {
        self.try_offers().unwrap_or_else(|problem| {
            tracing::error!(%problem, "Can't read the snapshots");
            Vec::new()
        })
    }

    fn item(&self, height: Height, item: &SnapshotItem) -> Vec<u8> {
        let found = self.try_item(height, item).unwrap_or_else(|problem| {
            tracing::error!(%problem, "Can't read a snapshot");
            None
        });
        found.unwrap_or_default()
    }
}
