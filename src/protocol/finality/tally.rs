//! Votes for one transaction, counted by weight, each validator once.

use crate::types::{Certificate, Epoch, FinalityVote, MasternodeId, SignerBitmap, ValidatorSet, VoteSource};

/// `Final` votes of a quorum for one transaction.
#[derive(Clone, Debug)]
pub struct FinalVotes {
    /// The epoch of all of them.
    pub epoch: Epoch,
    /// Where they were found. To prove one takes hashing all of its batch, which is the caller's to do.
    pub sources: Vec<VoteSource>,
}

/// Votes of one kind for one transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    voters: SignerBitmap,
    weight: u64,
    sources: Vec<VoteSource>,
}

impl Tally {
    /// Counts a member's vote; false when it was counted before.
    pub(super) fn add(&mut self, set: &ValidatorSet, member: usize, source: VoteSource) -> bool {
        let Some(validator) = set.get(member) else { return false };
        if self.voters == SignerBitmap::default() {
            self.voters = SignerBitmap::empty(set.len());
        }
        if self.voters.contains(member) {
            return false;
        }
        self.voters.set(member);
        // Sources beyond the quorum prove nothing more, and would hold batches in memory.
        if self.weight < set.quorum() {
            self.sources.push(source);
        }
        self.weight = self.weight.saturating_add(validator.weight);
        true
    }

    pub(super) const fn weight(&self) -> u64 {
        self.weight
    }

    pub(super) fn has_voted(&self, member: usize) -> bool {
        self.voters.contains(member)
    }

    /// This member's vote, if it is among the sources.
    pub(super) fn source_of(&self, validator: &MasternodeId) -> Option<&VoteSource> {
        self.sources.iter().find(|source| source.validator() == Some(*validator))
    }

    pub(super) fn voters(&self) -> impl Iterator<Item = usize> {
        self.voters.iter()
    }

    pub(super) fn sources(&self) -> &[VoteSource] {
        &self.sources
    }

    /// The votes with their proofs.
    pub(super) fn certificate(&self, vote: FinalityVote, epoch: u64) -> Certificate {
        Certificate { vote, epoch, votes: self.sources.iter().filter_map(VoteSource::prove).collect() }
    }
}
