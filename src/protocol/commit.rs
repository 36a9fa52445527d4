//! Commits: what makes one valid, and who signed the last of them.
//!
//! # Place
//! Called by the state transition (a block contains the commit of the block before it), by sync (each block comes
//! with its own) and by whoever proves a validator set from genesis.
//!
//! # Invariants
//! - INV-COMMIT-1: a valid commit has weight of at least the quorum of its epoch's set, and every signature in it
//!   holds, also those beyond the quorum.

use std::collections::VecDeque;
use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::types::{
    BlockHash, ChainId, Commit, Epoch, Height, MasternodeId, SignatureVerifier, ValidatorSet,
};

/// Why a commit proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Block 1 has no block before it.
    #[error("the first block's last commit must be the empty one")]
    NotEmpty,
    /// It is for another height.
    #[error("the commit is for height {found}, not for {expected}")]
    WrongHeight {
        /// The height of the block that it should prove.
        expected: Height,
        /// The height in the commit.
        found: Height,
    },
    /// It is for another block.
    #[error("the commit is for block {found}, not for {expected}")]
    WrongBlock {
        /// The block that it should prove.
        expected: BlockHash,
        /// The block in the commit.
        found: BlockHash,
    },
    /// The bitmap has not the set's length or bits beyond it, or there is not one signature for each bit.
    #[error("bitmap and {signatures} signatures don't fit a set of {members}")]
    Misshapen {
        /// Members of the set.
        members: usize,
        /// Signatures in the commit.
        signatures: usize,
    },
    /// Less weight than the quorum signed.
    #[error("the signers weigh {weight}, less than the quorum of {quorum}")]
    TooLight {
        /// The signers' weight.
        weight: u64,
        /// What it takes.
        quorum: u64,
    },
    /// A signature does not hold.
    #[error("the signature of masternode {validator} does not hold")]
    BadSignature {
        /// Whose it should be.
        validator: MasternodeId,
    },
}

/// Holds all rules for the commit of block `hash` at `height` but the signatures themselves.
///
/// # Errors
/// The first rule that is broken.
pub fn check_commit_shape(
    set: &ValidatorSet,
    height: Height,
    hash: BlockHash,
    commit: &Commit,
) -> Result<(), CommitError> {
    if commit.height != height {
        return Err(CommitError::WrongHeight { expected: height, found: commit.height });
    }
    if commit.block_hash != hash {
        return Err(CommitError::WrongBlock { expected: hash, found: commit.block_hash });
    }
    let (members, signatures) = (set.len(), commit.signatures.len());
    if !commit.signers.fits(members) || commit.signers.iter().count() != signatures {
        return Err(CommitError::Misshapen { members, signatures });
    }
    let (weight, quorum) = (commit.weight(set), set.quorum());
    if weight < quorum {
        return Err(CommitError::TooLight { weight, quorum });
    }
    Ok(())
}

/// Holds all rules for the commit of block `hash` at `height`, which the `set` of `epoch` voted on.
///
/// # Errors
/// The first rule that is broken; signatures are checked last.
pub fn check_commit(
    chain_id: &ChainId,
    (epoch, set): (Epoch, &ValidatorSet),
    (height, hash): (Height, BlockHash),
    commit: &Commit,
    verifier: &dyn SignatureVerifier,
) -> Result<(), CommitError> {
    check_commit_shape(set, height, hash, commit)?;
    let checks = commit
        .signature_checks(chain_id, epoch, set)
        .ok_or(CommitError::Misshapen { members: set.len(), signatures: commit.signatures.len() })?;
    verifier.verify_all(&checks).map_err(|bad| {
        let validator = commit.signers.iter().nth(bad).and_then(|index| set.get(index));
        CommitError::BadSignature { validator: validator.map(|member| member.id).unwrap_or_default() }
    })
}

/// Who signed one commit that the chain contains.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct RecentCommit {
    /// The height of the block that was signed.
    pub height: Height,
    /// Ascending, so that one can be looked up fast.
    signers: Vec<MasternodeId>,
}

impl RecentCommit {
    /// The signers of a commit by the set that signed it.
    #[must_use]
    pub fn of(commit: &Commit, set: &ValidatorSet) -> Self {
        let mut signers: Vec<MasternodeId> =
            commit.signers.iter().filter_map(|index| set.get(index)).map(|member| member.id).collect();
        signers.sort_unstable();
        Self { height: commit.height, signers }
    }

    /// Whether this masternode signed.
    #[must_use]
    pub fn contains(&self, id: &MasternodeId) -> bool {
        self.signers.binary_search(id).is_ok()
    }
}

/// The signers of the last `k` commits that the chain contains, oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct RecentCommits(VecDeque<Arc<RecentCommit>>);

impl RecentCommits {
    /// Adds the newest; the oldest falls out when there are more than `limit`, and is given back.
    pub fn push(&mut self, commit: Arc<RecentCommit>, limit: usize) -> Option<Arc<RecentCommit>> {
        self.0.push_back(commit);
        if self.0.len() > limit { self.0.pop_front() } else { None }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True until the chain contains a commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &RecentCommit> {
        self.0.iter().map(Arc::as_ref)
    }

    /// Whether this masternode signed one of them; while there is none, everybody counts as active.
    #[must_use]
    pub fn is_active(&self, id: &MasternodeId) -> bool {
        self.0.is_empty() || self.0.iter().rev().any(|commit| commit.contains(id))
    }
}
