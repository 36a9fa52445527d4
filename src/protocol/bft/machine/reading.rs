//! What others read of a machine: gossip, the executor, tests.

use super::super::{HeightContext, Input, Step};
use super::{KeptProposal, Machine};
use crate::types::limits::ROUNDS_AHEAD_MAX;
use crate::types::{
    BlockBlueprint, BlockHash, BlockVote, Commit, Proposal, Released, Round, SignerBitmap, Validator,
    VoteStep,
};

impl Machine {
    /// The height's fixed context.
    #[must_use]
    pub const fn context(&self) -> &HeightContext {
        &self.context
    }

    /// The current round.
    #[must_use]
    pub const fn round(&self) -> Round {
        self.round
    }

    /// The current step (not to be confused with the act of [`Machine::step`]).
    #[must_use]
    pub const fn current_step(&self) -> Step {
        self.step
    }

    /// Who proposes in a round.
    #[must_use]
    pub fn proposer(&self, round: Round) -> Option<&Validator> {
        let order = &self.context.proposer_order;
        let turn = usize::try_from(round).ok()?.checked_rem(order.len())?;
        self.context.validators.get(*order.get(turn)?)
    }

    /// The lock: its round and block.
    #[must_use]
    pub const fn locked(&self) -> Option<(Round, BlockHash)> {
        self.locked
    }

    /// The valid value: the round of its proof of lock, and the block.
    #[must_use]
    pub const fn valid(&self) -> Option<(Round, BlockHash)> {
        self.valid
    }

    /// The decision: the round of its precommits, and the block.
    #[must_use]
    pub const fn decided(&self) -> Option<(Round, BlockHash)> {
        self.decided
    }

    /// After a decision: the commit with all precommits that are known by now.
    #[must_use]
    pub fn late_commit(&self) -> Option<Commit> {
        self.decided.map(|(round, hash)| self.commit(round, hash))
    }

    /// Whose prevotes of a round are kept.
    #[must_use]
    pub fn prevotes_bitmap(&self, round: Round) -> SignerBitmap {
        self.votes.voters(round, VoteStep::Prevote)
    }

    /// Whose precommits of a round are kept.
    #[must_use]
    pub fn precommits_bitmap(&self, round: Round) -> SignerBitmap {
        self.votes.voters(round, VoteStep::Precommit)
    }

    /// Whether a message says something that is not kept: only such a one is worth relaying.
    #[must_use]
    pub fn is_new(&self, input: &Input) -> bool {
        match input {
            Input::ProposalReceived(proposal) => {
                !self.kept_proposals(proposal.round).any(|kept| kept.proposal == *proposal)
            }
            Input::VoteReceived(vote) => !self.votes.contains(vote),
            _ => true,
        }
    }

    /// The weight of those whose prevotes of a round are kept.
    #[must_use]
    pub fn prevote_weight(&self, round: Round) -> u64 {
        self.votes.any_weight(round, VoteStep::Prevote)
    }

    /// The weight of those whose precommits of a round are kept.
    #[must_use]
    pub fn precommit_weight(&self, round: Round) -> u64 {
        self.votes.any_weight(round, VoteStep::Precommit)
    }

    /// The proposal of a round; of several that contradict each other, the one with the most prevotes in the round.
    #[must_use]
    pub fn proposal(&self, round: Round) -> Option<&Released<Proposal>> {
        let weight = |kept: &&KeptProposal| self.votes.weight_of(round, VoteStep::Prevote, Some(kept.hash));
        let best = self.kept_proposals(round).min_by_key(|kept| std::cmp::Reverse(weight(kept)))?;
        Some(&best.proposal)
    }

    /// Whether the proposal of a round is here, and the proof of lock that it names: without that it can't be prevoted.
    #[must_use]
    pub fn has_whole_proposal(&self, round: Round) -> bool {
        self.proposal(round).is_some_and(|proposal| {
            let value = Some(proposal.block.header.hash());
            let proved = |pol_round| self.votes.has_quorum(pol_round, VoteStep::Prevote, value);
            proposal.pol_round.is_none_or(proved)
        })
    }

    /// Whether a proposal has carried this block.
    #[must_use]
    pub fn has_block(&self, hash: &BlockHash) -> bool {
        self.blocks.contains_key(hash)
    }

    /// A block that a proposal has carried.
    #[must_use]
    pub fn block(&self, hash: &BlockHash) -> Option<&BlockBlueprint> {
        self.blocks.get(hash).map(|known| &known.proposal.block)
    }

    /// The votes of a round by validators that a peer has no votes of, prevotes first.
    #[must_use]
    pub fn votes_for_peer(
        &self,
        round: Round,
        have_prevotes: &SignerBitmap,
        have_precommits: &SignerBitmap,
    ) -> Vec<Released<BlockVote>> {
        let lacking = |step, have: &SignerBitmap| {
            let votes = self.votes.votes_of(round, step);
            votes
                .filter(|(place, _)| !have.contains(*place))
                .map(|(_, vote)| vote.clone())
                .collect::<Vec<_>>()
        };
        let mut votes = lacking(VoteStep::Prevote, have_prevotes);
        votes.extend(lacking(VoteStep::Precommit, have_precommits));
        votes
    }

    /// The prevotes for a block in a round, in the set's order. They travel with a proposal that names the round as
    /// its proof of lock, behind it: a receiver may keep another prevote of an equivocator instead, and would never
    /// ask for this one.
    #[must_use]
    pub fn proof_of_lock_votes(&self, round: Round, hash: BlockHash) -> Vec<Released<BlockVote>> {
        let votes = self.votes.votes_for(round, VoteStep::Prevote, Some(hash));
        votes.map(|(_, vote)| vote.clone()).collect()
    }

    pub(super) fn kept_proposals(&self, round: Round) -> impl Iterator<Item = &KeptProposal> {
        self.proposals.get(&round).into_iter().flatten()
    }

    pub(super) fn is_valid(&self, hash: &BlockHash) -> bool {
        self.blocks.get(hash).is_some_and(|known| known.valid == Some(true))
    }

    pub(super) fn is_my_round(&self, round: Round) -> bool {
        self.my_id.is_some() && self.proposer(round).map(|member| member.id) == self.my_id
    }

    /// Whether a block still matters when its round is long past.
    pub(super) fn is_needed(&self, hash: &BlockHash) -> bool {
        let is_held = |held: Option<(Round, BlockHash)>| held.is_some_and(|(_, held)| held == *hash);
        is_held(self.locked) || is_held(self.valid) || self.votes.is_demanded(hash)
    }

    /// Checks what has to hold between any two steps; for tests and the simulator.
    ///
    /// # Panics
    /// When an invariant does not hold.
    pub fn check_invariants(&self) {
        self.votes.check_invariants();
        assert!(self.enabled().is_none(), "a rule is enabled between two steps");
        let last_signed = self.signed.keys().next_back().map(|(round, _)| *round);
        assert!(
            last_signed.max(self.proposed.last().copied()) <= Some(self.round),
            "INV-BFT-1: signed ahead"
        );
        if let Some((locked_round, hash)) = self.locked {
            let signed = self.signed.get(&(locked_round, VoteStep::Precommit));
            assert!(signed.is_none_or(|value| *value == Some(hash)), "INV-BFT-2: lock and precommit differ");
        }
        let later = self.signed.iter().filter(|((round, step), value)| {
            let after_lock = self.locked.is_none_or(|(locked_round, _)| *round > locked_round);
            *step == VoteStep::Precommit && value.is_some() && after_lock
        });
        assert_eq!(later.count(), 0, "INV-BFT-2: a precommit for a block after the lock");
        let (valid_round, locked_round) =
            (self.valid.map(|(round, _)| round), self.locked.map(|(round, _)| round));
        assert!(valid_round >= locked_round, "INV-BFT-3: valid value before the lock");
        let last_kept = self.proposals.keys().next_back().copied().unwrap_or(0);
        assert!(
            last_kept <= self.round.saturating_add(ROUNDS_AHEAD_MAX),
            "INV-BFT-5: proposals too far ahead"
        );
        if let Some(commit) = self.late_commit() {
            let weight = commit.weight(&self.context.validators);
            assert!(weight >= self.context.validators.quorum(), "INV-BFT-6: commit of weight {weight}");
        }
    }
}
