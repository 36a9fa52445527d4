//! What a peer lacks of the round that is being decided, and is sent.
//!
//! # Invariants
//! - INV-PUSH-1: in a round a peer is sent its votes once in [`VOTES_GAP_MS`] at most, and its proposal once in
//!   [`PROPOSAL_GAP_MS`], however often it says where it stands: 200 bytes of its would bring it a proposal of 1.6 MB.

use std::collections::BTreeMap;

use super::super::moment::Moment;
use super::super::outbox::Outbox;
use super::BftConsensus;
use crate::network::PeerId;
use crate::types::message::NodeStatus;
use crate::types::{Height, Message, Round, SignerBitmap, TimeMs};

/// Less than what lies between two words of an honest peer, in milliseconds.
pub(in crate::consensus) const VOTES_GAP_MS: u64 = 100;
/// So long a proposal may be on its way, in milliseconds.
pub(in crate::consensus) const PROPOSAL_GAP_MS: u64 = 400;

/// What a connected peer was sent last.
#[derive(Clone, Copy, Debug)]
struct Pushed {
    height: Height,
    round: Round,
    votes_ms: TimeMs,
    proposal_ms: Option<TimeMs>,
}

/// What connected peers were sent of rounds.
#[derive(Debug, Default)]
pub(in crate::consensus) struct Pushes(BTreeMap<PeerId, Pushed>);

impl Pushes {
    /// What will have been sent to a peer of this round once it is sent its votes, if it may be sent any now.
    fn next(&self, to: PeerId, (height, round): (Height, Round), now_ms: TimeMs) -> Option<Pushed> {
        let is_of_round = |pushed: &&Pushed| (pushed.height, pushed.round) == (height, round);
        match self.0.get(&to).filter(is_of_round) {
            None => Some(Pushed { height, round, votes_ms: now_ms, proposal_ms: None }),
            Some(pushed) if now_ms < pushed.votes_ms.saturating_add(VOTES_GAP_MS) => None,
            Some(pushed) => Some(Pushed { votes_ms: now_ms, ..*pushed }),
        }
    }
}

impl BftConsensus {
    pub(in crate::consensus) fn disconnected(&mut self, peer: &PeerId) {
        self.pushes.0.remove(peer);
    }

    /// Sends a connected peer at this height the votes of the round that it lacks, and the proposal with its proof of lock.
    pub(in crate::consensus) fn push_votes(
        &mut self,
        to: PeerId,
        status: &NodeStatus,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        let (machine, now_ms) = (&self.machine, at.now_ms());
        let round = machine.round();
        if status.round > round {
            return;
        }
        let here = (at.chain.next_height(), round);
        let Some(mut pushed) = self.pushes.next(to, here, now_ms) else { return };
        let mut messages = Vec::new();
        let same = status.round == round;
        let is_due = pushed.proposal_ms.is_none_or(|sent| now_ms >= sent.saturating_add(PROPOSAL_GAP_MS));
        if !(same && status.has_proposal)
            && is_due
            && let Some(proposal) = machine.proposal(round).cloned()
        {
            pushed.proposal_ms = Some(now_ms);
            if let Some(pol_round) = proposal.pol_round {
                let hash = proposal.block.header.hash();
                let proof = machine.proof_of_lock_votes(pol_round, hash);
                messages.extend(proof.into_iter().map(Message::BlockVote));
            }
            messages.push(Message::Proposal(proposal));
        }
        // A peer in an earlier round may lack the votes that would let it leave that round, and those who cast them have
        // gone on: alone they may be too few to draw it along.
        if !same {
            let votes = machine.votes_for_peer(status.round, &status.prevotes, &status.precommits);
            messages.extend(votes.into_iter().map(Message::BlockVote));
        }
        let nobody = SignerBitmap::default();
        let (prevotes, precommits) =
            if same { (&status.prevotes, &status.precommits) } else { (&nobody, &nobody) };
        let votes = machine.votes_for_peer(round, prevotes, precommits);
        messages.extend(votes.into_iter().map(Message::BlockVote));
        // Who lacks nothing now may lack something in a moment.
        if !messages.is_empty() {
            self.pushes.0.insert(to, pushed);
        }
        messages.into_iter().for_each(|message| out.send(to, message));
    }
}
