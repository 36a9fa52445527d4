//! The log of messages: what is refused, kept and forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::votes::Added;
use super::super::{BlockMessage, Effect, PROPOSALS_PER_ROUND_MAX, ROUNDS_BEHIND_MAX, Step};
use super::{KeptProposal, KnownBlock, Machine};
use crate::types::limits::ROUNDS_AHEAD_MAX;
use crate::types::{BlockHash, BlockVote, MasternodeId, Proposal, Released, Round, VoteStep};

/// Why a proposal can't come from an honest validator of this height.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProposalError {
    /// Its header is of another network, height or epoch.
    #[error("the proposal's block is of another network, height or epoch; drop it")]
    OtherHeight,
    /// Its sender does not propose in this round.
    #[error("{validator} is not the proposer of round {round}; drop the proposal")]
    NotProposer {
        /// Who signed it.
        validator: MasternodeId,
        /// The round it is for.
        round: Round,
    },
    /// The proof of lock is not from an earlier round.
    #[error("the proof of lock of round {pol_round} is not before the proposal's round {round}; drop it")]
    ProofNotEarlier {
        /// The round that it names.
        pol_round: Round,
        /// The proposal's.
        round: Round,
    },
    /// The header's round is not the proposal's own, or with a proof of lock is later than that.
    #[error("the header's round {header_round} does not fit a proposal for round {round}; drop it")]
    HeaderRound {
        /// The header's.
        header_round: Round,
        /// The proposal's.
        round: Round,
    },
    /// The header does not name the proposer of its round.
    #[error("the header names {named} as proposer of round {header_round}, who is not; drop the proposal")]
    HeaderProposer {
        /// Whom it names.
        named: MasternodeId,
        /// The header's round.
        header_round: Round,
    },
    /// Commit and transactions are not those that the header's roots bind: whoever passed it on changed it.
    #[error("the block's commit or transactions are not those of its header; drop it, and ask another peer")]
    NotBound,
}

impl Machine {
    /// Whether a proposal's form is one that an honest validator can send at this height. The caller may ask before it
    /// checks the signature, and blames the peer for an error; the machine drops what fails here.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn check_proposal(&self, proposal: &Proposal) -> Result<(), ProposalError> {
        let (header, round, context) = (&proposal.block.header, proposal.round, &self.context);
        let of_height = (context.chain_id, context.height, context.epoch);
        if (header.chain_id, header.height, header.epoch) != of_height {
            return Err(ProposalError::OtherHeight);
        }
        if self.proposer(round).is_none_or(|proposer| proposer.id != proposal.validator) {
            return Err(ProposalError::NotProposer { validator: proposal.validator, round });
        }
        let header_round = header.round;
        let fits = match proposal.pol_round {
            None => header_round == round,
            Some(pol_round) if pol_round >= round => {
                return Err(ProposalError::ProofNotEarlier { pol_round, round });
            }
            Some(pol_round) => header_round <= pol_round,
        };
        if !fits {
            return Err(ProposalError::HeaderRound { header_round, round });
        }
        if self.proposer(header_round).is_none_or(|proposer| proposer.id != header.proposer) {
            return Err(ProposalError::HeaderProposer { named: header.proposer, header_round });
        }
        if !proposal.block.is_bound_by_header() {
            return Err(ProposalError::NotBound);
        }
        Ok(())
    }

    pub(super) fn keep_proposal(&mut self, proposal: Released<Proposal>, effects: &mut Vec<Effect>) {
        let round = proposal.round;
        if self.step == Step::Decided || round > self.round.saturating_add(ROUNDS_AHEAD_MAX) {
            return;
        }
        let hash = proposal.block.header.hash();
        let is_same =
            |kept: &KeptProposal| kept.hash == hash && kept.proposal.pol_round == proposal.pol_round;
        if self.kept_proposals(round).any(is_same) {
            return;
        }
        let kept_before = self.kept_proposals(round).count();
        let is_old = round < self.round.saturating_sub(ROUNDS_BEHIND_MAX);
        let is_surplus = kept_before >= PROPOSALS_PER_ROUND_MAX || is_old;
        if is_surplus && (self.blocks.contains_key(&hash) || !self.is_needed(&hash)) {
            return;
        }
        if self.check_proposal(&proposal).is_err() {
            return;
        }
        if kept_before == 1
            && let Some(first) = self.kept_proposals(round).next()
        {
            effects.push(Effect::EquivocationSeen {
                first: BlockMessage::Proposal(first.proposal.clone()),
                second: BlockMessage::Proposal(proposal.clone()),
            });
        }
        self.blocks.entry(hash).or_insert_with(|| {
            let proposal = proposal.clone();
            KnownBlock { proposal, is_ordered: false, valid: None, acceptable: None }
        });
        self.proposals.entry(round).or_default().push(KeptProposal { hash, proposal });
    }

    /// INV-BFT-7: orders the validation of blocks that matter now. A proposer can send its blocks of all rounds ahead at
    /// once; whoever validated them on arrival would do nothing else.
    pub(super) fn order_validation(&mut self, effects: &mut Vec<Effect>) {
        let open = self.blocks.iter().filter(|(_, known)| !known.is_ordered).map(|(hash, _)| *hash);
        let due: Vec<BlockHash> = open.filter(|hash| self.matters_now(hash)).collect();
        for hash in due {
            if let Some(known) = self.blocks.get_mut(&hash) {
                known.is_ordered = true;
                effects.push(Effect::ValidateBlock { block: Arc::new(known.proposal.block.clone()) });
            }
        }
    }

    /// Whether a block was proposed in a round that was reached, or more than a third of the weight voted for it.
    fn matters_now(&self, hash: &BlockHash) -> bool {
        let mut reached = self.proposals.range(..=self.round).flat_map(|(_, kept)| kept);
        reached.any(|kept| kept.hash == *hash) || self.is_needed(hash)
    }

    pub(super) fn keep_vote(&mut self, vote: Released<BlockVote>, effects: &mut Vec<Effect>) {
        if (vote.height, vote.epoch) != (self.context.height, self.context.epoch) {
            return;
        }
        if let Some((round, _)) = self.decided
            && (vote.step, vote.round) != (VoteStep::Precommit, round)
        {
            return;
        }
        if vote.round > self.round.saturating_add(ROUNDS_AHEAD_MAX) {
            let place = self.context.validators.index_of(&vote.validator);
            if let Some(reached) = place.and_then(|place| self.rounds_reached.get_mut(place)) {
                *reached = (*reached).max(Some(vote.round));
            }
            return;
        }
        let blocks = &self.blocks;
        // Nobody honest votes in a round for a block that is first proposed later.
        let was_proposed = |hash: &BlockHash| {
            blocks.get(hash).is_some_and(|known| known.proposal.block.header.round <= vote.round)
        };
        if let Added::Contradicts(first) = self.votes.add(&vote, was_proposed) {
            let (first, second) = (BlockMessage::Vote(first), BlockMessage::Vote(vote));
            effects.push(Effect::EquivocationSeen { first, second });
        }
    }

    /// INV-BFT-5: keeps of rounds long past only what can still matter.
    pub(super) fn forget_old_rounds(&mut self) {
        let first = self.round.saturating_sub(ROUNDS_BEHIND_MAX);
        if first == 0 {
            return;
        }
        self.votes.forget_before(first);
        self.signed.retain(|(round, _), _| *round >= first);
        self.proposed.retain(|round| *round >= first);
        let mut proposals = std::mem::take(&mut self.proposals);
        proposals.retain(|round, kept| {
            kept.retain(|kept| *round >= first || self.is_needed(&kept.hash));
            !kept.is_empty()
        });
        self.proposals = proposals;
        let carried: BTreeSet<_> = self.proposals.values().flatten().map(|kept| kept.hash).collect();
        self.blocks.retain(|hash, _| carried.contains(hash));
    }
}
