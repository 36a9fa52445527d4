//! Every node can prove what it calls final, whatever happened to it, to somebody who has the genesis document alone.

use std::collections::HashMap;
use std::sync::Arc;

use timed::consensus::proof_builder::{ProofBuildError, ProofBuilder};
use timed::protocol::finality_proof::{FinalityProof, ProvedFinality, verify_with};
use timed::storage::block_log::BlockReader;
use timed::storage::index::Index;
use timed::storage::memory_disk::MemoryDisk;
use timed::types::{GenesisDocument, Height, SignatureVerifier, TxId};

use crate::node::Running;

/// One in so many transactions is proved: a sample that depends on nothing but the transaction.
const ONE_IN: u8 = 32;

pub fn is_sampled(txid: &TxId) -> bool {
    txid.0[0].is_multiple_of(ONE_IN)
}

/// A node's, for its life.
pub type Prover = ProofBuilder<MemoryDisk>;

pub fn prover(genesis: &GenesisDocument, index: &Index, reader: BlockReader<MemoryDisk>) -> Prover {
    ProofBuilder::new(genesis, Arc::new(index.clone()), reader).expect("the document is sound")
}

/// Checks the proofs of all nodes of a world; what several nodes prove with the same bytes, once.
#[derive(Default)]
pub struct Checker {
    proved: HashMap<Vec<u8>, ProvedFinality>,
}

impl Checker {
    fn check(
        &mut self,
        genesis: &GenesisDocument,
        proof: &FinalityProof,
        verifier: &dyn SignatureVerifier,
    ) -> ProvedFinality {
        *self.proved.entry(proof.to_bytes()).or_insert_with_key(|bytes| {
            let read = FinalityProof::from_bytes(bytes).expect("a proof is read as it was written");
            verify_with(genesis, None, &read, verifier).expect("what a node proves holds")
        })
    }

    /// A node just found a transaction final.
    pub fn prove_final(
        &mut self,
        genesis: &GenesisDocument,
        running: &Running,
        txid: TxId,
        verifier: &dyn SignatureVerifier,
    ) {
        // In the same step a block may have taken it.
        let Some(votes) = running.consensus.finality().final_votes(&txid) else { return };
        match running.prover.voted(None, txid, &votes) {
            Ok(proof) => {
                let proved = self.check(genesis, &proof, verifier);
                assert_eq!((proved.txid, proved.epoch, proved.inclusion), (txid, votes.epoch, None));
            }
            // The block that began this epoch is on its way to the index.
            Err(ProofBuildError::Behind { epoch }) => assert_eq!(epoch + 1, votes.epoch),
            Err(problem) => panic!("a node can't prove what is final: {problem}"),
        }
    }

    /// A block at this height contains the transaction.
    pub fn prove_included(
        &mut self,
        genesis: &GenesisDocument,
        running: &Running,
        (txid, height): (TxId, Height),
        verifier: &dyn SignatureVerifier,
    ) {
        let committed = running.log.reader().read_committed(height).expect("the log reads").expect("a block");
        let proof = running.prover.included(None, txid, &committed).expect("a proof").expect("it is there");
        let proved = self.check(genesis, &proof, verifier);
        let inclusion = proved.inclusion.expect("the proof shows the block");
        assert_eq!((proved.txid, inclusion.height), (txid, height));
        assert_eq!(inclusion.block_hash, committed.block.header.hash());
    }
}
