//! Builds finality proofs from the block log, the index and the votes of the finality machine.
//!
//! # Place
//! `app/finality_proofs.rs` calls it on blocking threads. The rules are [`finality_proof`](crate::protocol::finality_proof)'s;
//! here is only where the parts lie: the index knows the last block of each epoch and the sets that followed, the block
//! log has the headers and commits.
//!
//! # Bounds
//! A proof takes the reads that [`path`] tells of, and no more than [`FINALITY_PROOF_BYTES_MAX`] of memory for its links.
//! The way that the longest proof took is remembered by the numbers of its epochs, [`KNOWN_ENDS_MAX`] of them at most, so
//! that the next proof need not look for it again. A proof from a trusted block of an earlier payment takes the names of
//! the last blocks of all epochs between genesis and that block; the first [`KNOWN_NAMES_MAX`] are remembered.
//!
//! # Concurrency
//! Proofs are built from several threads; the way is shared behind a lock that is never held during a read.

use std::sync::Arc;

use parking_lot::Mutex;

use super::replay::ReplayError;
use crate::protocol::finality::FinalVotes;
use crate::protocol::finality_proof::{
    Anchor, ChainProof, Ending, EpochLink, Epochs, FinalityProof, Path, TooLong, path,
};
use crate::protocol::state::LedgerState;
use crate::storage::block_log::BlockReader;
use crate::storage::disk::Disk;
use crate::storage::error::StorageError;
use crate::storage::index::Index;
use crate::types::limits::FINALITY_PROOF_BYTES_MAX;
use crate::types::{
    BlockHash, ChainId, Checkpoint, Commit, CommittedBlock, Epoch, GenesisDocument, Hash, Header, Height,
    TxId, ValidatorSet, VoteSource, merkle,
};

/// Ends of epochs that are remembered of a way, at most. A proof with more links has too many bytes.
pub const KNOWN_ENDS_MAX: usize = 1 << 16;
/// Names of epochs' last blocks that are remembered, at most: 4 MiB.
pub const KNOWN_NAMES_MAX: usize = 1 << 17;

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
    /// A block that is to be trusted is none of this chain.
    #[error("this node has no block {block}")]
    UnknownBlock {
        /// The block.
        block: Checkpoint,
    },
    /// This node began with a snapshot and does not know that part of the chain.
    #[error(
        "this node began with a snapshot and does not know how epoch {epoch} ended; ask a node with a longer history, or start from a later block that you trust"
    )]
    BeforeHorizon {
        /// The epoch.
        epoch: Epoch,
    },
    /// The votes at hand are not those of a quorum of the epoch's set.
    #[error("the votes of epoch {epoch} are not those of a quorum of its set")]
    NoQuorum {
        /// The epoch.
        epoch: Epoch,
    },
    /// Too much has changed since the genesis document.
    #[error(
        "a proof over {epochs} epochs and what changed in them would have more than {FINALITY_PROOF_BYTES_MAX} bytes; ask for one from a recent block that you trust"
    )]
    TooLarge {
        /// Epochs from the genesis document's to the proof's.
        epochs: Epoch,
    },
}

/// The way to an epoch, and the set that votes in it.
struct Way {
    anchor: Option<Anchor>,
    links: Vec<EpochLink>,
    set: Arc<ValidatorSet>,
}

/// Builds proofs. Reading blocks.
pub struct ProofBuilder<D: Disk> {
    chain_id: ChainId,
    first_set: Arc<ValidatorSet>,
    index: Arc<Index>,
    blocks: BlockReader<D>,
    /// The first epoch from which on all ends are known.
    epochs_from: Epoch,
    /// The epochs whose ends the longest way took, but for its last.
    known: Mutex<Vec<Epoch>>,
    /// The names of the last blocks of the first epochs.
    names: Mutex<Vec<BlockHash>>,
    /// Bytes of a proof, at most.
    pub(super) bytes_max: usize,
}

impl<D: Disk> ProofBuilder<D> {
    /// A builder for the chain of this document.
    ///
    /// # Errors
    /// The first rule of genesis documents that this one breaks; the disk.
    pub fn new(
        genesis: &GenesisDocument,
        index: Arc<Index>,
        blocks: BlockReader<D>,
    ) -> Result<Self, ReplayError> {
        let (state, _) = LedgerState::genesis(genesis)?;
        let (chain_id, first_set) = (*state.chain_id(), Arc::clone(state.validators()));
        let epochs_from = index.epochs_from()?;
        let (known, names) = (Mutex::new(index.epoch_heads_before(epochs_from)?), Mutex::default());
        let bytes_max = FINALITY_PROOF_BYTES_MAX;
        Ok(Self { chain_id, first_set, index, blocks, epochs_from, known, names, bytes_max })
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

    /// The way to an epoch from the genesis document, or from a block that the verifier trusts.
    fn way(&self, from: Option<&Checkpoint>, epoch: Epoch) -> Result<Way, ProofBuildError> {
        let anchored = from.map(|from| self.anchor(from, epoch)).transpose()?;
        let first = anchored.as_ref().map_or(0, |(_, first)| *first);
        let known = self.known.lock().clone();
        let found = path(self, &known, [first, epoch], self.bytes_max)?;
        let epochs = epoch.saturating_sub(first);
        let keep = |mut ends: Vec<Epoch>| {
            ends.truncate(KNOWN_ENDS_MAX);
            let mut known = self.known.lock();
            if anchored.is_none() && ends.last() > known.last() {
                *known = ends;
            }
        };
        let Path { links, mut ends, set } = found.map_err(|TooLong { ends }| {
            // It will be asked for again, and is as long then.
            keep(ends);
            ProofBuildError::TooLarge { epochs }
        })?;
        // The last one is this proof's own: a later proof may go further from the set before it.
        ends.pop();
        keep(ends);
        Ok(Way { anchor: anchored.map(|(anchor, _)| anchor), links, set })
    }

    /// A block that the verifier trusts, for a payment of an epoch, and the epoch of the set that is trusted with it.
    fn anchor(&self, from: &Checkpoint, epoch: Epoch) -> Result<(Anchor, Epoch), ProofBuildError> {
        let unknown = || ProofBuildError::UnknownBlock { block: *from };
        let committed = self.blocks.read_committed(from.height)?.ok_or_else(unknown)?;
        let header = &committed.block.header;
        if Checkpoint::of(header) != *from {
            return Err(unknown());
        }
        let misfit = ProofBuildError::Misfit { height: from.height };
        if header.epoch <= epoch {
            let set = self.set(header.epoch, &header.validators_hash)?;
            let anchor = Anchor::new(header, &set, &self.first_set).ok_or(misfit)?;
            return Ok((anchor, header.epoch));
        }
        let (end, _) = self.end(epoch)?.ok_or_else(|| self.misfit(epoch))?;
        let set = self.set(epoch, &end.validators_hash)?;
        let names = self.ends_below(header.epoch)?;
        let path = usize::try_from(epoch)
            .ok()
            .and_then(|place| merkle::path(names.iter().map(|name| name.0.as_slice()), place));
        let anchor = path.and_then(|path| Anchor::past(header, (&end, path), &set, &self.first_set));
        Ok((anchor.ok_or(misfit)?, epoch))
    }

    /// The names of the last blocks of all epochs before this one.
    fn ends_below(&self, epoch: Epoch) -> Result<Vec<BlockHash>, ProofBuildError> {
        let wanted = usize::try_from(epoch).unwrap_or(usize::MAX);
        let mut names = self.names.lock().clone();
        names.truncate(wanted);
        for ended in (0..epoch).skip(names.len()) {
            let name = self.index.epoch_end_hash(ended)?;
            names.push(name.ok_or(ProofBuildError::Behind { epoch: ended })?);
        }
        let mut kept = self.names.lock();
        if kept.len() < names.len() {
            *kept = names.iter().take(KNOWN_NAMES_MAX).copied().collect();
        }
        Ok(names)
    }

    /// A proof of its parts, if it is one that is read again: the ending counts as well.
    fn finish(&self, txid: TxId, way: Way, ending: Ending) -> Result<FinalityProof, ProofBuildError> {
        let proof = FinalityProof::new(self.chain_id, txid, way.links, ending);
        let proof = match way.anchor {
            Some(anchor) => proof.anchored(anchor),
            None => proof,
        };
        let is_too_large = proof.to_bytes().len() > self.bytes_max;
        if is_too_large { Err(ProofBuildError::TooLarge { epochs: proof.epoch() }) } else { Ok(proof) }
    }

    /// The proof that a block of the chain contains a transaction, from the genesis document or from a block that the
    /// verifier trusts. `None` if it does not.
    ///
    /// # Errors
    /// See [`ProofBuildError`].
    pub fn included(
        &self,
        from: Option<&Checkpoint>,
        txid: TxId,
        committed: &CommittedBlock,
    ) -> Result<Option<FinalityProof>, ProofBuildError> {
        let CommittedBlock { block, commit } = committed;
        if !block.transactions.iter().any(|transaction| transaction.txid() == txid) {
            return Ok(None);
        }
        let way = self.way(from, block.header.epoch)?;
        let ending = Ending::included(txid, block, commit, &way.set)
            .ok_or(ProofBuildError::Misfit { height: block.header.height })?;
        self.finish(txid, way, ending).map(Some)
    }

    /// The proof that a quorum voted `Final` for a transaction, likewise.
    ///
    /// # Errors
    /// See [`ProofBuildError`].
    pub fn voted(
        &self,
        from: Option<&Checkpoint>,
        txid: TxId,
        votes: &FinalVotes,
    ) -> Result<FinalityProof, ProofBuildError> {
        let epoch = votes.epoch;
        let way = self.way(from, epoch)?;
        let proofs = votes.sources.iter().filter_map(VoteSource::prove);
        let ending =
            Ending::voted(txid, epoch, proofs, &way.set).ok_or(ProofBuildError::NoQuorum { epoch })?;
        self.finish(txid, way, ending)
    }
}

impl<D: Disk> ProofBuilder<D> {
    /// The same with another bound: no proof is made, nor looked for, that has more bytes.
    #[must_use]
    pub fn bounded(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }

    /// The proof that the block which ends an epoch is in the chain, from the genesis document or from a block that the
    /// verifier trusts.
    ///
    /// # Errors
    /// See [`ProofBuildError`].
    pub fn chain(&self, from: Option<&Checkpoint>, epoch: Epoch) -> Result<ChainProof, ProofBuildError> {
        let is_past = match from {
            Some(from) => {
                let unknown = || ProofBuildError::UnknownBlock { block: *from };
                let committed = self.blocks.read_committed(from.height)?.ok_or_else(unknown)?;
                committed.block.header.epoch > epoch
            }
            None => false,
        };
        let way = self.way(from, if is_past { epoch } else { epoch.saturating_add(1) })?;
        Ok(ChainProof { chain_id: self.chain_id, anchor: way.anchor, links: way.links })
    }
}

impl<D: Disk> Epochs for ProofBuilder<D> {
    type Error = ProofBuildError;

    fn set_hash(&self, epoch: Epoch) -> Result<Option<Hash>, ProofBuildError> {
        let Some(before) = epoch.checked_sub(1) else { return Ok(Some(self.first_set.hash())) };
        if let Some((_, hash)) = self.index.epoch_end(before)? {
            return Ok(Some(hash));
        }
        if epoch >= self.epochs_from {
            return Err(ProofBuildError::Behind { epoch: before });
        }
        // Before a snapshot: the headers by which it was proved name their sets.
        if let Some((header, _)) = self.index.epoch_head(epoch)? {
            return Ok(Some(header.validators_hash));
        }
        Ok(self.index.epoch_head(before)?.map(|(header, _)| header.next_validators_hash))
    }

    fn set(&self, epoch: Epoch, hash: &Hash) -> Result<Arc<ValidatorSet>, ProofBuildError> {
        if epoch == 0 {
            return Ok(Arc::clone(&self.first_set));
        }
        let behind = ProofBuildError::Behind { epoch: epoch.saturating_sub(1) };
        self.index.validator_set(hash)?.map(Arc::new).ok_or(behind)
    }

    fn end(&self, epoch: Epoch) -> Result<Option<(Header, Vec<Commit>)>, ProofBuildError> {
        // This node's own commit is what it had when it was enough; the next block has what its proposer had gathered
        // meanwhile, and so reaches further. The index has both.
        Ok(self.index.epoch_head(epoch)?)
    }

    fn misfit(&self, epoch: Epoch) -> ProofBuildError {
        match self.index.epoch_end(epoch) {
            Ok(Some((height, _))) => ProofBuildError::Misfit { height },
            Ok(None) => ProofBuildError::BeforeHorizon { epoch },
            Err(error) => error.into(),
        }
    }
}
