//! What a peer lacks of the round that is being decided, and is sent.

use super::super::outbox::Outbox;
use super::BftConsensus;
use crate::network::PeerId;
use crate::types::message::NodeStatus;
use crate::types::{Message, SignerBitmap};

impl BftConsensus {
    /// Sends a peer at this height the votes of the round that it lacks, and the proposal with its proof of lock.
    pub(in crate::consensus) fn push_votes(&self, to: PeerId, status: &NodeStatus, out: &mut Outbox) {
        let machine = &self.machine;
        let round = machine.round();
        if status.round > round {
            return;
        }
        let same = status.round == round;
        if !(same && status.has_proposal)
            && let Some(proposal) = machine.proposal(round).cloned()
        {
            if let Some(pol_round) = proposal.pol_round {
                let hash = proposal.block.header.hash();
                for vote in machine.proof_of_lock_votes(pol_round, hash) {
                    out.send(to, Message::BlockVote(vote));
                }
            }
            out.send(to, Message::Proposal(proposal));
        }
        // A peer in an earlier round may lack the votes that would let it leave that round, and those who cast them have
        // gone on: alone they may be too few to draw it along.
        if !same {
            for vote in machine.votes_for_peer(status.round, &status.prevotes, &status.precommits) {
                out.send(to, Message::BlockVote(vote));
            }
        }
        let nobody = SignerBitmap::default();
        let (prevotes, precommits) =
            if same { (&status.prevotes, &status.precommits) } else { (&nobody, &nobody) };
        for vote in machine.votes_for_peer(round, prevotes, precommits) {
            out.send(to, Message::BlockVote(vote));
        }
    }
}
