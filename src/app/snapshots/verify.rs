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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::fixtures::{ENDS, Origin};
    use super::*;
    use crate::types::codec::encode;
    use crate::types::{Signature, Transaction};

    /// INV-FETCH-4: neither the header alone nor the commit alone makes a block.
    #[test]
    fn a_block_is_taken_with_just_what_its_proved_header_binds_and_a_quorum_signed() {
        let origin = Origin::new();
        let (check, committed) = (origin.check(), origin.committed(ENDS[1]));
        let proved = check.proof(&encode(&origin.proof(None, ENDS[1]))).unwrap();
        let take = |change: &dyn Fn(&mut CommittedBlock)| {
            let mut changed = committed.clone();
            change(&mut changed);
            check.block(&proved, &encode(&changed))
        };
        assert_eq!(take(&|_| ()).unwrap(), *committed);
        let more = Arc::new(Transaction::transfer(Vec::new(), Vec::new(), vec![1]));
        let refused: [&dyn Fn(&mut CommittedBlock); 6] = [
            &|changed| changed.block.transactions.push(Arc::clone(&more)),
            &|changed| changed.block.last_commit.signatures[0] = Signature::EMPTY,
            &|changed| changed.block.header.time += 1,
            &|changed| changed.commit.signatures[0] = Signature::EMPTY,
            &|changed| changed.commit.round += 1,
            &|changed| *changed = origin.committed(ENDS[0]).clone(),
        ];
        for (place, change) in refused.into_iter().enumerate() {
            assert!(take(change).is_err(), "change {place}");
        }
        assert!(check.block(&proved, b"no block").is_err());
    }

    /// INV-FETCH-4: both are of the chain.
    #[test]
    fn a_manifest_of_another_block_than_the_proved_one_is_refused() {
        let origin = Origin::new();
        let manifests = ENDS.map(|place| origin.make(place));
        let check = origin.check();
        for (proved_place, end) in ENDS.into_iter().enumerate() {
            let proved = check.proof(&encode(&origin.proof(None, end))).unwrap();
            for (place, manifest) in manifests.iter().enumerate() {
                let taken = check.manifest(&proved, &encode(manifest));
                assert_eq!(taken.is_ok(), place == proved_place);
            }
            let mut more = manifests[proved_place].clone();
            more.chunks.pop();
            assert!(check.manifest(&proved, &encode(&more)).is_err(), "its sum is another one");
        }
    }

    /// A file can't be asked for a proof from the operator's block.
    #[test]
    fn a_file_is_believed_by_the_genesis_document_or_by_the_block_that_the_operator_named() {
        let origin = Origin::new();
        let end = ENDS[1];
        let (from_genesis, named) = (encode(&origin.proof(None, end)), origin.named(0));
        let from_named = encode(&origin.proof(Some(&named), end));
        let check = origin.check();
        let file = |bytes: &[u8], checkpoint: Option<Checkpoint>| {
            check.file(bytes, checkpoint.as_ref()).map(|proved| Checkpoint::of(&proved.header))
        };
        let itself = origin.named(end);
        assert_eq!(file(&from_genesis, None), Ok(itself));
        assert_eq!(file(&from_named, Some(named)), Ok(itself));
        assert_eq!(file(&from_genesis, Some(itself)), Ok(itself), "the operator named this very block");
        assert!(file(&from_named, None).is_err(), "nobody here trusts that block");
        assert!(file(&from_named, Some(origin.named(1))).is_err(), "another one is named");
        let refused = file(&from_genesis, Some(named)).unwrap_err();
        assert!(refused.contains(&itself.to_string()), "{refused}");
    }
}
