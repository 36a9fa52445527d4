//! Every node can prove what it calls final, whatever happened to it, to somebody who has the genesis document alone.

use std::sync::Arc;

use timed::consensus::proof_builder::{ProofBuildError, ProofBuilder};
use timed::protocol::finality_proof::{FinalityProof, ProvedFinality, verify_with};
use timed::storage::memory_disk::MemoryDisk;
use timed::types::{GenesisDocument, Height, SignatureVerifier, TxId};

use crate::node::Running;

/// One in so many transactions is proved: a sample that depends on nothing but the transaction.
const ONE_IN: u8 = 32;

pub fn is_sampled(txid: &TxId) -> bool {
    txid.0[0].is_multiple_of(ONE_IN)
}

fn builder(genesis: &GenesisDocument, running: &Running) -> ProofBuilder<MemoryDisk> {
    let index = Arc::new(running.index.clone());
    ProofBuilder::new(genesis, index, running.log.reader()).expect("the document is sound")
}

fn check(
    genesis: &GenesisDocument,
    proof: &FinalityProof,
    verifier: &dyn SignatureVerifier,
) -> ProvedFinality {
    let read = FinalityProof::from_bytes(&proof.to_bytes()).expect("a proof is read as it was written");
    verify_with(genesis, &read, verifier).expect("what a node proves holds")
}

/// A node just found a transaction final.
pub fn prove_final(
    genesis: &GenesisDocument,
    running: &Running,
    txid: TxId,
    verifier: &dyn SignatureVerifier,
) {
    // In the same step a block may have taken it.
    let Some(votes) = running.core.finality().final_votes(&txid) else { return };
    match builder(genesis, running).voted(txid, &votes) {
        Ok(proof) => {
            let proved = check(genesis, &proof, verifier);
            assert_eq!((proved.txid, proved.epoch, proved.inclusion), (txid, votes.epoch, None));
        }
        // The block that began this epoch is on its way to the index.
        Err(ProofBuildError::Behind { epoch }) => assert_eq!(epoch + 1, votes.epoch),
        Err(problem) => panic!("a node can't prove what is final: {problem}"),
    }
}

/// A block at this height contains the transaction.
pub fn prove_included(
    genesis: &GenesisDocument,
    running: &Running,
    (txid, height): (TxId, Height),
    verifier: &dyn SignatureVerifier,
) {
    let committed = running.log.reader().read_committed(height).expect("the log reads").expect("a block");
    let proof = builder(genesis, running).included(txid, &committed).expect("a proof").expect("it is there");
    let proved = check(genesis, &proof, verifier);
    let inclusion = proved.inclusion.expect("the proof shows the block");
    assert_eq!((proved.txid, inclusion.height), (txid, height));
    assert_eq!(inclusion.block_hash, committed.block.header.hash());
}
