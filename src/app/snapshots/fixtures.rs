//! A node with blocks and snapshots on a real disk, for the tests of this folder.

use std::sync::Arc;

use super::source::StoredSnapshots;
use super::verify::SnapshotCheck;
use crate::consensus::events::AppliedBlock;
use crate::consensus::proof_builder::ProofBuilder;
use crate::consensus::replay::replay;
use crate::consensus::snapshot_make::{SnapshotOf, make};
use crate::consensus::tests::snapshots::{chain_to_begin_within, state_at};
use crate::protocol::finality_proof::ChainProof;
use crate::protocol::snapshot::SnapshotManifest;
use crate::protocol::state::LedgerState;
use crate::storage::memory_index::MemoryIndex;
use crate::storage::{BlockLog, Index, LoggedBlock, RealDisk, SnapshotStore};
use crate::types::keys::SequentialVerifier;
use crate::types::{Checkpoint, CommittedBlock, GenesisDocument, Released};

/// Places of the blocks that end epochs.
pub(super) const ENDS: [usize; 3] = [2, 5, 8];

/// A node that has executed everything.
pub(super) struct Origin {
    pub(super) home: tempfile::TempDir,
    pub(super) genesis: Arc<GenesisDocument>,
    pub(super) blocks: Vec<LoggedBlock>,
    pub(super) index: Arc<Index>,
    pub(super) proofs: Arc<ProofBuilder<RealDisk>>,
    pub(super) store: SnapshotStore<RealDisk>,
    _log: BlockLog<RealDisk>,
}

impl Origin {
    pub(super) fn new() -> Self {
        let (genesis, blocks) = chain_to_begin_within();
        let home = tempfile::tempdir().unwrap();
        let mut log = BlockLog::open(RealDisk, &home.path().join("blocks"), genesis.chain_id()).unwrap();
        log.append_all(&blocks).unwrap();
        let index = Arc::new(Index::new(Arc::new(MemoryIndex::new())));
        replay(&genesis, &index, &log.reader(), &mut |_, _| true).unwrap();
        let proofs = Arc::new(ProofBuilder::new(&genesis, Arc::clone(&index), log.reader()).unwrap());
        let store = SnapshotStore::new(RealDisk, home.path().join("snapshots"));
        Self { home, genesis: Arc::new(genesis), blocks, index, proofs, store, _log: log }
    }

    pub(super) fn committed(&self, place: usize) -> &CommittedBlock {
        &self.blocks[place].committed
    }

    pub(super) fn named(&self, place: usize) -> Checkpoint {
        Checkpoint::of(&self.committed(place).block.header)
    }

    pub(super) fn state(&self, place: usize) -> LedgerState {
        state_at(&self.blocks[..=place])
    }

    /// As the keeper of snapshots is told of it.
    pub(super) fn applied(&self, place: usize) -> Arc<AppliedBlock> {
        let committed = self.committed(place).clone();
        Arc::new(AppliedBlock {
            hash: committed.block.header.hash(),
            committed: Released::heard(committed),
            transactions: Vec::new(),
            spent: Vec::new(),
            created: Vec::new(),
            transient: Vec::new(),
            receipts: Vec::new(),
            slashed: Vec::new(),
            spenders: Vec::new(),
            state: Arc::new(self.state(place)),
            own: false,
        })
    }

    /// That the block in this place is of the chain, from the genesis document or from another block.
    pub(super) fn proof(&self, from: Option<&Checkpoint>, place: usize) -> ChainProof {
        self.proofs.chain(from, self.committed(place).block.header.epoch).unwrap()
    }

    /// Makes the snapshot after the block in this place, with a proof from the genesis document.
    pub(super) fn make(&self, place: usize) -> SnapshotManifest {
        self.make_with(place, &self.proof(None, place))
    }

    pub(super) fn make_with(&self, place: usize, proof: &ChainProof) -> SnapshotManifest {
        let (committed, state) = (self.committed(place), self.state(place));
        let of = SnapshotOf { committed, state: &state, proof: Some(proof) };
        make(&self.store, &self.index, of, &mut || true).unwrap()
    }

    /// What gives its snapshots to peers.
    pub(super) fn source(&self) -> StoredSnapshots {
        StoredSnapshots::new(self.store.clone(), Arc::clone(&self.proofs))
    }

    /// What a node that fetches holds them to.
    pub(super) fn check(&self) -> SnapshotCheck {
        let (genesis, verifier) = (Arc::clone(&self.genesis), Arc::new(SequentialVerifier));
        SnapshotCheck { genesis, checkpoint: None, verifier }
    }
}
