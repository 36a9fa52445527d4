//! Holds the parts of a snapshot to what they have to be, whether a peer or a file gave them.
//!
//! # Invariants
//! - INV-FETCH-4 of [`fetch`](super::fetch).

use std::sync::Arc;

use crate::protocol::commit::check_commit;
use crate::protocol::finality_proof::{ChainProof, ProvedChain};
use crate::protocol::snapshot::{NamedOutput, SnapshotManifest};
use crate::types::codec::decode;
use crate::types::{Checkpoint, CommittedBlock, GenesisDocument, SignatureVerifier};

/// What snapshots are held to.
#[derive(Clone)]
pub(in crate::app) struct SnapshotCheck {
    pub(in crate::app) genesis: Arc<GenesisDocument>,
    /// The block that proofs start from, instead of the genesis document.
    pub(in crate::app) checkpoint: Option<Checkpoint>,
    pub(in crate::app) verifier: Arc<dyn SignatureVerifier + Send + Sync>,
}

impl SnapshotCheck {
    /// The block that a proof proves.
    pub(in crate::app) fn proof(&self, bytes: &[u8]) -> Result<ProvedChain, String> {
        let proof: ChainProof = decode(bytes).map_err(|error| error.to_string())?;
        let proved = proof.verify(&self.genesis, self.checkpoint.as_ref(), &*self.verifier);
        proved.map_err(|error| error.to_string())
    }

    /// The block that the proof of a file proves. A file can't be asked for a proof from the operator's checkpoint, so it may
    /// start there, or prove the checkpoint itself, or come from the genesis document where nothing is named.
    pub(in crate::app) fn file(
        &self,
        bytes: &[u8],
        checkpoint: Option<&Checkpoint>,
    ) -> Result<ProvedChain, String> {
        let Some(named) = checkpoint else { return self.proof(bytes) };
        let started = Self { checkpoint: Some(*named), ..self.clone() }.proof(bytes);
        if started.is_ok() {
            return started;
        }
        let proved = self.proof(bytes)?;
        if Checkpoint::of(&proved.header) == *named {
            return Ok(proved);
        }
        Err(format!(
            "it is proved from the genesis document, and [sync] checkpoint names block {named}; set checkpoint to the snapshot's \
             own block, {}, if you know that to be of the chain",
            Checkpoint::of(&proved.header)
        ))
    }

    /// The manifest of a proved block.
    pub(in crate::app) fn manifest(
        &self,
        proved: &ProvedChain,
        bytes: &[u8],
    ) -> Result<SnapshotManifest, String> {
        let manifest: SnapshotManifest = decode(bytes).map_err(|error| error.to_string())?;
        if manifest.header != proved.header {
            return Err("its manifest is of another block than its proof".to_owned());
        }
        manifest
            .check(&self.genesis.chain_id(), &self.genesis.parameters)
            .map_err(|error| error.to_string())?;
        Ok(manifest)
    }

    /// The proved block itself.
    pub(in crate::app) fn block(&self, proved: &ProvedChain, bytes: &[u8]) -> Result<CommittedBlock, String> {
        let committed: CommittedBlock = decode(bytes).map_err(|error| error.to_string())?;
        let (CommittedBlock { block, commit }, header) = (&committed, &proved.header);
        if block.header != *header || !block.blueprint().is_bound_by_header() {
            return Err("its block is another one".to_owned());
        }
        let (of, named) = ((header.epoch, &*proved.set), (header.height, header.hash()));
        check_commit(&header.chain_id, of, named, commit, &*self.verifier)
            .map_err(|error| error.to_string())?;
        Ok(committed)
    }
}

/// Whether these are the outputs that a manifest names in this place.
pub(in crate::app) fn chunk_holds(manifest: &SnapshotManifest, place: usize, bytes: &[u8]) -> bool {
    decode::<Vec<NamedOutput>>(bytes).is_ok_and(|outputs| manifest.check_chunk(place, &outputs).is_ok())
}
