//! Two committed blocks of one height: what can't happen while less than a third of the weight is faulty.
//!
//! # Place
//! Data only. The core finds it, the vote journal keeps it, RPC shows it.

use bincode::{Decode, Encode};

use super::Epoch;
use super::block::Commit;
use super::evidence::Evidence;
use super::hash::MasternodeId;
use super::header::Header;
use super::masternode::ValidatorSet;
use super::vote::{BlockVote, VoteStep};

/// Two committed headers of one height.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ForkProof {
    /// The one that this node's chain has.
    pub ours: (Header, Commit),
    /// The other one.
    pub theirs: (Header, Commit),
    /// Who signed both.
    pub guilty: Vec<MasternodeId>,
}

impl ForkProof {
    /// Names who signed both, by the set that voted on the height.
    #[must_use]
    pub fn new(set: &ValidatorSet, ours: (Header, Commit), theirs: (Header, Commit)) -> Self {
        let both = ours.1.signers.iter().filter(|place| theirs.1.signers.contains(*place));
        let guilty = both.filter_map(|place| set.get(place)).map(|member| member.id).collect();
        Self { ours, theirs, guilty }
    }

    /// The other block's precommits, if its header does not name the `set` that signed it; else precommits of one round
    /// for both blocks, for each who signed them. (Who precommitted in different rounds broke the rules of locking, but no
    /// two of its votes show that.)
    #[must_use]
    pub fn evidence(&self, set: &ValidatorSet, epoch: Epoch) -> Vec<Evidence> {
        let (ours, (header, theirs)) = (&self.ours.1, &self.theirs);
        let members = set.members().iter().map(|member| member.id).enumerate();
        if header.validators_hash != set.hash() {
            let foreign = |(place, id)| {
                Some(Evidence::of_foreign(epoch, precommit(theirs, epoch, (id, place))?, header.clone()))
            };
            return members.filter_map(foreign).collect();
        }
        if ours.round != theirs.round {
            return Vec::new();
        }
        let both = |(place, id)| {
            let vote = |commit| precommit(commit, epoch, (id, place));
            Some(Evidence::of_votes(vote(ours)?, vote(theirs)?))
        };
        members.filter(|(_, id)| self.guilty.contains(id)).filter_map(both).collect()
    }
}

/// The vote of the member at a place of the set, if the commit has it.
fn precommit(commit: &Commit, epoch: Epoch, (validator, place): (MasternodeId, usize)) -> Option<BlockVote> {
    let rank = commit.signers.iter().position(|signer| signer == place)?;
    Some(BlockVote {
        step: VoteStep::Precommit,
        epoch,
        height: commit.height,
        round: commit.round,
        value: Some(commit.block_hash),
        validator,
        signature: *commit.signatures.get(rank)?,
    })
}
