//! Gives peers the snapshots that are on the disk.
//!
//! # Place
//! The thread that answers peers reads here; each peer waits for its own budget there.
//!
//! # Bounds
//! Proofs from blocks that somebody trusts are remembered in [`PROOFS_KEPT_BYTES_MAX`], so that asking for one again costs no
//! search. How many are searched for in a time is bounded where peers are answered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::SNAPSHOT_PROOF_BYTES_MAX;
use crate::consensus::proof_builder::{ProofBuildError, ProofBuilder};
use crate::consensus::serve::SnapshotSource;
use crate::protocol::finality_proof::ChainProof;
use crate::protocol::snapshot::{OUTPUT_BYTES, SnapshotManifest};
use crate::storage::{RealDisk, SnapshotDir, SnapshotPart, SnapshotStore, StorageError};
use crate::types::codec::{decode, encode};
use crate::types::limits::SNAPSHOTS_MAX;
use crate::types::message::{SnapshotItem, SnapshotOffer};
use crate::types::{Checkpoint, Height};

/// Memory of proofs that are remembered, at most: two of the largest, and usually a hundred.
pub(in crate::app) const PROOFS_KEPT_BYTES_MAX: usize = 2 * SNAPSHOT_PROOF_BYTES_MAX;
/// What a proof takes beside its encoding.
const PROOF_ENTRY_BYTES: usize = 256;

/// A proof that was made: of which snapshot, from which block, its encoding.
struct Proved {
    question: (Height, Checkpoint),
    bytes: Vec<u8>,
}

/// Proofs that were made, the one that was asked for last at the end. That there is none is remembered too.
#[derive(Default)]
struct Proofs {
    kept: VecDeque<Proved>,
    bytes: usize,
}

impl Proofs {
    fn get(&mut self, question: &(Height, Checkpoint)) -> Option<Vec<u8>> {
        let place = self.kept.iter().position(|known| known.question == *question)?;
        let known = self.kept.remove(place)?;
        let bytes = known.bytes.clone();
        self.kept.push_back(known);
        Some(bytes)
    }

    fn put(&mut self, proved: Proved) {
        let of = |proved: &Proved| proved.bytes.len().saturating_add(PROOF_ENTRY_BYTES);
        self.bytes = self.bytes.saturating_add(of(&proved));
        self.kept.push_back(proved);
        while self.bytes > PROOFS_KEPT_BYTES_MAX {
            let Some(oldest) = self.kept.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(of(&oldest));
        }
    }
}

/// Snapshots on the disk.
pub(in crate::app) struct StoredSnapshots {
    store: SnapshotStore<RealDisk>,
    proofs: Arc<ProofBuilder<RealDisk>>,
    offers: Mutex<BTreeMap<Height, SnapshotOffer>>,
    proved: Mutex<Proofs>,
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
        for dir in &dirs {
            if offers.len() == SNAPSHOTS_MAX {
                break;
            }
            match self.offer(dir) {
                Ok(offer) => offers.extend(offer),
                // The others are as good as before.
                Err(problem @ StorageError::Corrupt { .. }) => {
                    tracing::warn!(%problem, "A snapshot is damaged and is not offered");
                }
                Err(problem) => return Err(problem),
            }
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
        if let Some(known) = self.proved.lock().get(&question) {
            return Ok(Some(known));
        }
        let Some(bytes) = dir.read(SnapshotPart::Manifest)? else { return Ok(None) };
        let Ok(manifest) = decode::<SnapshotManifest>(&bytes) else { return Ok(None) };
        let bytes = match self.proofs.chain(Some(trusted), manifest.header.epoch) {
            Ok(proof) => encode(&proof),
            Err(problem) => {
                tracing::debug!(%problem, block = %trusted, "No proof of the snapshot from there");
                if !is_for_good(&problem) {
                    return Ok(None);
                }
                Vec::new()
            }
        };
        self.proved.lock().put(Proved { question, bytes: bytes.clone() });
        Ok(Some(bytes))
    }
}

/// Whether there is no proof tomorrow either. A block that nobody has yet may be the next one.
const fn is_for_good(problem: &ProofBuildError) -> bool {
    matches!(problem, ProofBuildError::BeforeHorizon { .. } | ProofBuildError::TooLarge { .. })
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

#[cfg(test)]
mod tests {
    use super::super::fixtures::{ENDS, Origin};
    use super::*;
    use crate::protocol::finality_proof::ProvedChain;
    use crate::types::BlockHash;

    /// What a proof proves to somebody who trusts this block, or the genesis document alone.
    fn proved(origin: &Origin, trusted: Option<&Checkpoint>, bytes: &[u8]) -> Result<ProvedChain, String> {
        let check = super::super::verify::SnapshotCheck { checkpoint: trusted.copied(), ..origin.check() };
        check.proof(bytes)
    }

    /// A node that began at a checkpoint has the proof from there, which proves nothing to anybody else.
    #[test]
    fn whoever_asks_gets_a_proof_from_the_block_that_it_trusts_or_none() {
        let origin = Origin::new();
        let (began, end) = (origin.named(0), ENDS[1]);
        origin.make_with(end, &origin.proof(Some(&began), end));
        let (source, height) = (origin.source(), origin.named(end).height);
        let ask = |trusted: Option<Checkpoint>| source.item(height, &SnapshotItem::Proof(trusted));
        assert!(ask(None).is_empty(), "it has none from the genesis document");
        // Each has its own answer, whoever asked before.
        for trusted in [0, 4, 0, 7, 4].map(|place| origin.named(place)) {
            for _ in 0..2 {
                let header = proved(&origin, Some(&trusted), &ask(Some(trusted))).unwrap().header;
                assert_eq!(Checkpoint::of(&header), origin.named(end), "from {trusted}");
            }
        }
        let unknown = Checkpoint { block_hash: BlockHash::ZERO, ..began };
        assert!(ask(Some(unknown)).is_empty());
        assert!(!ask(Some(began)).is_empty(), "as before");
        assert!(source.proved.lock().get(&(height, unknown)).is_none(), "it may be the next block");
        origin.make(end);
        assert_eq!(
            Checkpoint::of(&proved(&origin, None, &ask(None)).unwrap().header),
            origin.named(end),
            "one that has it gives it"
        );
        assert!(source.item(height + 1, &SnapshotItem::Proof(None)).is_empty(), "of no such snapshot");
    }

    #[test]
    fn proofs_are_remembered_within_their_bytes_the_one_asked_for_last_the_longest() {
        let question = |number: u64| (number, Checkpoint { height: 1, block_hash: BlockHash([u8::MAX; 32]) });
        let proved = |number, length| Proved { question: question(number), bytes: vec![7; length] };
        let mut proofs = Proofs::default();
        let quarter = PROOFS_KEPT_BYTES_MAX / 4 - PROOF_ENTRY_BYTES;
        (0..4).for_each(|number| proofs.put(proved(number, quarter)));
        assert_eq!(proofs.get(&question(0)).map(|bytes| bytes.len()), Some(quarter));
        proofs.put(proved(4, 0));
        let there: Vec<u64> = (0..5).filter(|number| proofs.get(&question(*number)).is_some()).collect();
        assert_eq!(there, [0, 2, 3, 4]);
        // What has no bytes takes some.
        (5..100_000).for_each(|number| proofs.put(proved(number, 0)));
        assert!(proofs.bytes <= PROOFS_KEPT_BYTES_MAX);
        assert_eq!(proofs.kept.len(), PROOFS_KEPT_BYTES_MAX / PROOF_ENTRY_BYTES);
    }

    #[test]
    fn all_whole_snapshots_are_offered_the_newest_first_and_a_damaged_one_hides_no_other() {
        let origin = Origin::new();
        let source = origin.source();
        assert_eq!(source.offers(), []);
        let manifests = ENDS.map(|place| origin.make(place));
        let offered = |source: &StoredSnapshots| -> Vec<Checkpoint> {
            source.offers().iter().map(|offer| offer.block).collect()
        };
        assert_eq!(offered(&source), [ENDS[2], ENDS[1], ENDS[0]].map(|place| origin.named(place)));
        let newest = source.offers()[0];
        assert_eq!(newest.outputs, manifests[2].outputs());
        let given = source.item(newest.block.height, &SnapshotItem::Manifest);
        assert_eq!(SnapshotManifest::name_of(&given), newest.manifest);
        origin.store.get(newest.block.height).unwrap().unwrap().remove().unwrap();
        assert_eq!(offered(&source), [ENDS[1], ENDS[0]].map(|place| origin.named(place)), "it is gone");
        let damaged = origin.store.get(origin.named(ENDS[1]).height).unwrap().unwrap();
        let file = damaged.path().join("manifest");
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[40] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(offered(&origin.source()), [origin.named(ENDS[0])]);
    }

    /// Peers read no more of them in one message.
    #[test]
    fn no_more_snapshots_are_offered_than_a_message_may_name() {
        let origin = Origin::new();
        let manifest = encode(&origin.make(ENDS[0]));
        for height in 100..=100 + SNAPSHOTS_MAX as u64 {
            origin.store.begin(height).unwrap().finish(&manifest).unwrap();
        }
        assert_eq!(origin.source().offers().len(), SNAPSHOTS_MAX);
    }
}
