//! Finality proofs on demand: finds where a transaction stands, has the proof built, and checks it before it leaves.
//!
//! # Place
//! Part of [`AppContext`](super::context::AppContext); `node_api.rs` asks it for RPC.
//!
//! # Invariants
//! - INV-PROOFS-1: a proof that this node hands out holds by the same check that its receiver makes.
//! - At most [`PROOF_JOBS_MAX`] proofs are built or checked at once, each on a blocking thread.
//!
//! # Concurrency
//! The consensus thread is asked for votes through its inbox; a block that contains the transaction is found by pool and
//! index. Between the two a transaction may be in neither for the moments that the index is behind: then both are asked
//! again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::consensus::events::Event;
use crate::consensus::inbox::ConsensusHandle;
use crate::consensus::proof_builder::{ProofBuildError, ProofBuilder};
use crate::consensus::replay::ReplayError;
use crate::consensus::view::ConsensusView;
use crate::mempool::TransactionPool;
use crate::protocol::finality::FinalVotes;
use crate::protocol::finality_proof::{FinalityProof, FinalityProofError, ProvedFinality, verify_with};
use crate::rpc::api::NodeApiError;
use crate::storage::{BlockReader, Index, RealDisk, StorageError};
use crate::types::{
    Checkpoint, CommittedBlock, Epoch, GenesisDocument, Height, Released, SignatureVerifier, TxId,
    ValidatorSet,
};

/// Proofs that are built or checked at once, at most; further callers wait their turn.
pub const PROOF_JOBS_MAX: usize = 2;
/// Pause before a place that is behind is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How often that is done before the caller is told to come back.
const LOOKS_MAX: u32 = 50;

/// Builds and checks finality proofs for RPC.
pub struct FinalityProofs {
    inner: Arc<Inner>,
    engine: Arc<ConsensusHandle>,
    pool: Arc<TransactionPool>,
    jobs: Arc<Semaphore>,
}

/// What blocking threads work with.
struct Inner {
    genesis: Arc<GenesisDocument>,
    builder: ProofBuilder<RealDisk>,
    index: Arc<Index>,
    blocks: BlockReader<RealDisk>,
    bft: Arc<ConsensusView>,
    verifier: Arc<dyn SignatureVerifier + Send + Sync>,
}

/// Where a transaction stands.
enum Standing {
    /// Pool or consensus say so.
    Included(Height),
    Voted(FinalVotes),
    /// Nobody in memory knows of its being final; the index may.
    Unknown,
}

enum Built {
    Proved(Box<(FinalityProof, ProvedFinality)>),
    NotFinal,
    /// The index has to catch up.
    Behind,
}

fn storage_error(error: impl std::fmt::Display) -> NodeApiError {
    NodeApiError::Storage { detail: error.to_string() }
}

impl FinalityProofs {
    /// Proofs for the chain of this document.
    ///
    /// # Errors
    /// The first rule of genesis documents that this one breaks; the disk.
    pub fn new(
        genesis: &Arc<GenesisDocument>,
        (index, blocks): (&Arc<Index>, &BlockReader<RealDisk>),
        (engine, bft): (&Arc<ConsensusHandle>, &Arc<ConsensusView>),
        pool: &Arc<TransactionPool>,
        verifier: Arc<dyn SignatureVerifier + Send + Sync>,
    ) -> Result<Self, ReplayError> {
        let inner = Inner {
            genesis: Arc::clone(genesis),
            builder: ProofBuilder::new(genesis, Arc::clone(index), blocks.clone())?,
            index: Arc::clone(index),
            blocks: blocks.clone(),
            bft: Arc::clone(bft),
            verifier,
        };
        Ok(Self {
            inner: Arc::new(inner),
            engine: Arc::clone(engine),
            pool: Arc::clone(pool),
            jobs: Arc::new(Semaphore::new(PROOF_JOBS_MAX)),
        })
    }

    /// The proof of a transaction, by a block if one contains it, else by votes, with what it proves; `None` when this
    /// node does not know it to be final. It starts from the genesis document, or from a block of the chain.
    ///
    /// # Errors
    /// When the disk fails, the index stays behind, the node stops, the proof would be too large, or there is no such block
    /// to start from.
    pub async fn prove(
        &self,
        txid: TxId,
        from: Option<Checkpoint>,
    ) -> Result<Option<(FinalityProof, ProvedFinality)>, NodeApiError> {
        for look in 0..LOOKS_MAX {
            let standing = self.standing(txid).await?;
            match self.run(move |inner| inner.build((txid, from.as_ref()), &standing)).await?? {
                Built::Proved(proved) => return Ok(Some(*proved)),
                // A block may have taken it from one place while the other was looked at.
                Built::NotFinal if look > 0 => return Ok(None),
                Built::NotFinal | Built::Behind => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
        Err(NodeApiError::Starting { detail: "the index is behind the block log".to_owned() })
    }

    /// Checks a proof against the node's own genesis document, or from a block that the caller trusts. Where it holds and
    /// can't be of this node's chain, who signed it is accused.
    ///
    /// # Errors
    /// When the node stops; what the check found is inside.
    pub async fn verify(
        &self,
        proof: FinalityProof,
        trusted: Option<Checkpoint>,
    ) -> Result<Result<ProvedFinality, FinalityProofError>, NodeApiError> {
        let check = move |inner: &Inner| {
            let (genesis, trusted) = (&*inner.genesis, trusted.as_ref());
            let proved = verify_with(genesis, trusted, &proof, &*inner.verifier);
            let accused = match proved {
                Ok(_) => proof.accuses(&inner.bft.state(), (genesis, trusted), &*inner.verifier),
                Err(_) => Vec::new(),
            };
            (proved, accused)
        };
        let (proved, accused) = self.run(check).await?;
        for piece in accused {
            let told = self.engine.bulk(Event::Accused(Box::new(piece))).await;
            told.map_err(|_| NodeApiError::Stopping)?;
        }
        Ok(proved)
    }

    /// The set that votes in an epoch; `None` while the index does not know it.
    ///
    /// # Errors
    /// When the disk fails or the node stops.
    pub async fn set_of(&self, epoch: Epoch) -> Result<Option<ValidatorSet>, NodeApiError> {
        self.run(move |inner| inner.builder.set_of(epoch)).await?.map_err(storage_error)
    }

    async fn standing(&self, txid: TxId) -> Result<Standing, NodeApiError> {
        let included = || self.pool.status(&txid).and_then(|status| status.included);
        if let Some(height) = included() {
            return Ok(Standing::Included(height));
        }
        let votes = self.engine.final_votes(txid).await.map_err(|_| NodeApiError::Stopping)?;
        Ok(match (votes, included()) {
            (Some(votes), _) => Standing::Voted(votes),
            (None, Some(height)) => Standing::Included(height),
            (None, None) => Standing::Unknown,
        })
    }

    /// Runs a job on a blocking thread, when it is its turn; its turn lasts as long as the job.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Result<T, NodeApiError> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.jobs).acquire_owned().await.map_err(storage_error)?;
        let inner = Arc::clone(&self.inner);
        let work = move || {
            let _permit = permit;
            job(&inner)
        };
        tokio::task::spawn_blocking(work).await.map_err(storage_error)
    }
}

impl Inner {
    fn block(&self, height: Height) -> Result<Option<Released<CommittedBlock>>, StorageError> {
        match self.bft.recent_block(height) {
            Some(block) => Ok(Some(block)),
            None => self.blocks.read_committed(height),
        }
    }

    fn proof(
        &self,
        (txid, from): (TxId, Option<&Checkpoint>),
        standing: &Standing,
    ) -> Result<Option<FinalityProof>, ProofBuildError> {
        let height = match standing {
            Standing::Voted(votes) => return self.builder.voted(from, txid, votes).map(Some),
            Standing::Included(height) => Some(*height),
            Standing::Unknown => self.index.transaction(&txid)?.map(|(height, _)| height),
        };
        match height.map(|height| self.block(height)).transpose()?.flatten() {
            Some(block) => self.builder.included(from, txid, &block),
            None => Ok(None),
        }
    }

    fn build(
        &self,
        (txid, from): (TxId, Option<&Checkpoint>),
        standing: &Standing,
    ) -> Result<Built, NodeApiError> {
        let proof = match self.proof((txid, from), standing) {
            Ok(Some(proof)) => proof,
            Ok(None) => return Ok(Built::NotFinal),
            Err(ProofBuildError::Behind { .. }) => return Ok(Built::Behind),
            Err(ProofBuildError::UnknownBlock { block }) => return Err(NodeApiError::UnknownBlock { block }),
            Err(error @ ProofBuildError::BeforeHorizon { .. }) => {
                return Err(NodeApiError::NoHistory { detail: error.to_string() });
            }
            Err(error @ ProofBuildError::TooLarge { .. }) => {
                return Err(NodeApiError::TooLarge { detail: error.to_string() });
            }
            Err(error) => return Err(storage_error(error)),
        };
        match verify_with(&self.genesis, from, &proof, &*self.verifier) {
            Ok(proved) => Ok(Built::Proved(Box::new((proof, proved)))),
            Err(problem) => {
                tracing::error!(%txid, %problem, "A finality proof that this node built does not hold");
                Err(storage_error(problem))
            }
        }
    }
}
