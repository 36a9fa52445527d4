//! The state after a crash, from the journal.

use super::super::{BlockMessage, Effect, HeightContext, Journaled, Step, TimeoutKind};
use super::Machine;
use crate::types::{BlockVote, Released, VoteStep};

impl Machine {
    /// A machine after a restart. It resumes in the highest round in which this node has signed, with the steps done
    /// that it has voted and the lock of its last precommit for a block; without an own message it waits until the
    /// height is due. Own messages of that round, and the precommit of the lock, are sent again as they were.
    #[must_use]
    pub fn restore(context: HeightContext, journaled: Journaled) -> (Self, Vec<Effect>) {
        let mut machine = Self::new(context);
        let mut effects = Vec::new();
        machine.remember_own(&journaled);
        if machine.step != Step::NewHeight {
            effects.push(Effect::RoundStarted { round: machine.round });
            effects.extend(machine.own_to_resend(&journaled).map(Effect::Resend));
            if machine.step == Step::Propose {
                effects.push(machine.schedule(TimeoutKind::Propose));
            }
        }
        for proposal in journaled.proposals {
            machine.keep_proposal(proposal, &mut effects);
        }
        for vote in journaled.votes {
            machine.keep_vote(vote, &mut effects);
        }
        machine.advance(&mut effects);
        (machine, effects)
    }

    fn remember_own(&mut self, journaled: &Journaled) {
        let Some(my_id) = self.my_id else {
            return;
        };
        let (height, epoch) = (self.context.height, self.context.epoch);
        let is_own = |vote: &&Released<BlockVote>| {
            vote.validator == my_id && (vote.height, vote.epoch) == (height, epoch)
        };
        for vote in journaled.votes.iter().filter(is_own) {
            self.signed.entry((vote.round, vote.step)).or_insert(vote.value);
        }
        let own = journaled.proposals.iter().filter(|proposal| proposal.validator == my_id);
        let of_height = own.filter(|proposal| proposal.block.header.height == height);
        self.proposed.extend(of_height.map(|proposal| proposal.round));

        let precommits = self.signed.iter().filter(|((_, step), _)| *step == VoteStep::Precommit);
        self.locked = precommits.filter_map(|((round, _), value)| Some((*round, (*value)?))).next_back();
        self.valid = self.locked;

        let voted = self.signed.keys().next_back().copied();
        let proposed = self.proposed.last().map(|round| (*round, Step::Propose));
        let voted = voted.map(|(round, step)| match step {
            VoteStep::Prevote => (round, Step::Prevote),
            VoteStep::Precommit => (round, Step::Precommit),
        });
        if let Some((round, step)) = voted.max(proposed) {
            (self.round, self.step) = (round, step);
        }
    }

    fn own_to_resend(&self, journaled: &Journaled) -> impl Iterator<Item = BlockMessage> {
        let (my_id, round) = (self.my_id, self.round);
        let lock = self.locked.map(|(round, _)| (round, VoteStep::Precommit));
        let proposals = journaled.proposals.iter();
        let proposals = proposals.filter(move |own| Some(own.validator) == my_id && own.round == round);
        let votes = journaled.votes.iter().filter(move |own| {
            let matters = own.round == round || Some((own.round, own.step)) == lock;
            Some(own.validator) == my_id && matters
        });
        let proposals = proposals.map(|own| BlockMessage::Proposal(own.clone()));
        proposals.chain(votes.map(|own| BlockMessage::Vote(own.clone())))
    }
}
