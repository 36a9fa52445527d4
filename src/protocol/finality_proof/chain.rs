//! Proofs that a block ends an epoch of the chain: the way of a finality proof without its ending.
//!
//! # Place
//! A snapshot is of such a block, and a node that fetches one holds its header to this first. What is assumed is what
//! [`super`] says.

use std::sync::Arc;

use bincode::{Decode, Encode};

use super::verify::{Started, WayGiven};
use super::{Anchor, EpochLink, FinalityProofError};
use crate::types::{
    ChainId, Checkpoint, Commit, GenesisDocument, Header, SignatureVerifier, TimeMs, ValidatorSet,
};

/// A proof that the block of its last link is in the chain; where there is no link, that of the anchor's past epoch.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ChainProof {
    /// The chain.
    pub chain_id: ChainId,
    /// What it starts from; the genesis document if nothing is given.
    pub anchor: Option<Anchor>,
    /// By ascending epochs.
    pub links: Vec<EpochLink>,
}

/// The last block of an epoch, with who voted on it and who votes next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvedEnd {
    /// Its header.
    pub header: Header,
    /// The precommits of a quorum.
    pub commit: Commit,
    /// The set that signed.
    pub set: Arc<ValidatorSet>,
    /// The set of the next epoch.
    pub next: Arc<ValidatorSet>,
}

/// What a [`ChainProof`] has proved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvedChain {
    /// The time of the block that it started from; `None` for the genesis document.
    pub started_ms: Option<TimeMs>,
    /// The header of the block.
    pub header: Header,
    /// The set that voted on it.
    pub set: Arc<ValidatorSet>,
    /// The ends of epochs on the way, ascending; that block's is the last of them, unless an anchor's past epoch proves it.
    pub ends: Vec<ProvedEnd>,
}

impl ChainProof {
    /// The block that a verifier has to trust; `None` where it starts from the genesis document.
    #[must_use]
    pub fn trusts(&self) -> Option<Checkpoint> {
        self.anchor.as_ref().map(Anchor::checkpoint)
    }

    /// Checks it against the genesis document, or from a block that the verifier trusts: then it has to start from that one.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(
        &self,
        genesis: &GenesisDocument,
        trusted: Option<&Checkpoint>,
        verifier: &dyn SignatureVerifier,
    ) -> Result<ProvedChain, FinalityProofError> {
        let way = WayGiven { chain_id: self.chain_id, anchor: self.anchor.as_ref(), links: &self.links };
        let Started { mut walk, .. } = Started::new(genesis, trusted, &way, verifier)?;
        let mut ends = Vec::with_capacity(self.links.len());
        for link in &self.links {
            let (commit, set) = walk.follow(link)?;
            let (header, next) = (link.header.clone(), Arc::clone(&walk.trusted.set));
            ends.push(ProvedEnd { header, commit, set, next });
        }
        let (header, set) = match (ends.last(), &self.anchor) {
            (Some(end), _) => (end.header.clone(), Arc::clone(&end.set)),
            (None, Some(anchor)) => {
                let past = anchor.past_header().ok_or(FinalityProofError::NoEnd)?;
                (past.clone(), Arc::clone(&walk.trusted.set))
            }
            (None, None) => return Err(FinalityProofError::NoEnd),
        };
        let started_ms = self.anchor.as_ref().map(Anchor::time);
        Ok(ProvedChain { started_ms, header, set, ends })
    }
}
