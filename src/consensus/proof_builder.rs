//! Builds finality proofs from the block log, the index and the votes of the finality machine.
//!
//! # Place
//! `app/finality_proofs.rs` calls it on blocking threads. The rules are [`finality_proof`](crate::protocol::finality_proof)'s;
//! here is only where the parts lie: the index knows the last block of each epoch and the sets that followed, the block
//! log has the headers and commits.
//!
//! # Invariants
//! - A proof takes one read of the index and one of the log for each epoch, and no more than
//!   [`FINALITY_PROOF_BYTES_MAX`] of memory for what it keeps of them.

use std::sync::Arc;

use crate::protocol::finality::FinalVotes;
use crate::protocol::finality_proof::{Ending, EpochLink, FinalityProof};
use crate::protocol::state::LedgerState;
use crate::storage::block_log::BlockReader;
use crate::storage::disk::Disk;
use crate::storage::error::StorageError;
use crate::storage::index::Index;
use crate::types::codec::encode;
use crate::types::genesis::GenesisError;
use crate::types::limits::FINALITY_PROOF_BYTES_MAX;
use crate::types::{ChainId, CommittedBlock, Epoch, GenesisDocument, Height, TxId, ValidatorSet, VoteSource};

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProofBuildError {
    /// The disk.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The index is behind the block log; it catches up within moments.
    #[error("the index does not have the end of epoch {epoch} yet")]
    Behind {
        /// The epoch.
        epoch: Epoch,
    },
    /// What the disk holds is no part of one chain.
    #[error(
        "block {height} of the block log does not fit the index; start again with the data directory's index/ moved aside: it is built again from the log"
    )]
    Misfit {
        /// The block.
        height: Height,
    },
    /// The votes at hand are not those of a quorum of the epoch's set.
    #[error("the votes of epoch {epoch} are not those of a quorum of its set")]
    NoQuorum {
        /// The epoch.
        epoch: Epoch,
    },
    /// There have been too many epochs.
    #[error("a proof over {epochs} epochs would have more than {FINALITY_PROOF_BYTES_MAX} bytes")]
    TooLarge {
        /// How many links it would need.
        epochs: Epoch,
    },
}

/// Builds proofs. Reading blocks.
pub struct ProofBuilder<D: Disk> {
    chain_id: ChainId,
    first_set: Arc<ValidatorSet>,
    index: Arc<Index>,
    blocks: BlockReader<D>,
    /// Bytes of a proof, at most.
    pub(super) bytes_max: usize,
}

impl<D: Disk> ProofBuilder<D> {
    /// A builder for the chain of this document.
    ///
    /// # Errors
    /// The first rule of genesis documents that this one breaks.
    pub fn new(
        genesis: &GenesisDocument,
        index: Arc<Index>,
        blocks: BlockReader<D>,
    ) -> Result<Self, GenesisError> {
        let (state, _) = LedgerState::genesis(genesis)?;
        let (chain_id, first_set) = (*state.chain_id(), Arc::clone(state.validators()));
        Ok(Self { chain_id, first_set, index, blocks, bytes_max: FINALITY_PROOF_BYTES_MAX })
    }

    /// The set that votes in an epoch; `None` while the index does not know it.
    ///
    /// # Errors
    /// Those of the index.
    pub fn set_of(&self, epoch: Epoch) -> Result<Option<ValidatorSet>, StorageError> {
        let Some(before) = epoch.checked_sub(1) else {
            return Ok(Some(ValidatorSet::clone(&self.first_set)));
        };
        match self.index.epoch_end(before)? {
            Some((_, hash)) => self.index.validator_set(&hash),
            None => Ok(None),
        }
    }

    /// The links to an epoch, and its set.
    fn links(&self, epoch: Epoch) -> Result<(Vec<EpochLink>, Arc<ValidatorSet>), ProofBuildError> {
        let mut links = Vec::new();
        let mut set = Arc::clone(&self.first_set);
        let (mut set_hash, mut bytes) = (set.hash(), 0_usize);
        for ended in 0..epoch {
            let behind = || ProofBuildError::Behind { epoch: ended };
            let (height, next_hash) = self.index.epoch_end(ended)?.ok_or_else(behind)?;
            let next = if next_hash == set_hash {
                Arc::clone(&set)
            } else {
                Arc::new(self.index.validator_set(&next_hash)?.ok_or_else(behind)?)
            };
            let misfit = || ProofBuildError::Misfit { height };
            let committed = self.blocks.read_committed(height)?.ok_or_else(misfit)?;
            let CommittedBlock { block, commit } = &*committed;
            let link = EpochLink::new(&block.header, commit, &set, &next)
                .filter(|_| block.header.epoch == ended)
                .ok_or_else(misfit)?;
            bytes += encode(&link).len();
            if bytes > self.bytes_max {
                return Err(ProofBuildError::TooLarge { epochs: epoch });
            }
            links.push(link);
            (set, set_hash) = (next, next_hash);
        }
        Ok((links, set))
    }

    /// A proof of its parts, if it is one that is read again: the ending counts as well.
    fn finish(
        &self,
        txid: TxId,
        links: Vec<EpochLink>,
        ending: Ending,
    ) -> Result<FinalityProof, ProofBuildError> {
        let proof = FinalityProof::new(self.chain_id, txid, links, ending);
        let is_too_large = proof.to_bytes().len() > self.bytes_max;
        if is_too_large { Err(ProofBuildError::TooLarge { epochs: proof.epoch() }) } else { Ok(proof) }
    }

    /// The proof that a block of the chain contains a transaction. `None` if it does not.
    ///
    /// # Errors
    /// See [`ProofBuildError`].
    pub fn included(
        &self,
        txid: TxId,
        committed: &CommittedBlock,
    ) -> Result<Option<FinalityProof>, ProofBuildError> {
        let CommittedBlock { block, commit } = committed;
        if !block.transactions.iter().any(|transaction| transaction.txid() == txid) {
            return Ok(None);
        }
        let (links, set) = self.links(block.header.epoch)?;
        let ending = Ending::included(txid, block, commit, &set)
            .ok_or(ProofBuildError::Misfit { height: block.header.height })?;
        self.finish(txid, links, ending).map(Some)
    }

    /// The proof that a quorum voted `Final` for a transaction.
    ///
    /// # Errors
    /// See [`ProofBuildError`].
    pub fn voted(&self, txid: TxId, votes: &FinalVotes) -> Result<FinalityProof, ProofBuildError> {
        let epoch = votes.epoch;
        let (links, set) = self.links(epoch)?;
        let proofs = votes.sources.iter().filter_map(VoteSource::prove);
        let ending = Ending::voted(txid, epoch, proofs, &set).ok_or(ProofBuildError::NoQuorum { epoch })?;
        self.finish(txid, links, ending)
    }
}
