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
    pub(in crate::consensus) fn forget(&mut self, peer: &PeerId) {
        self.0.remove(peer);
    }

    /// What was sent to a peer of this round, if it may be sent anything now.
    fn begin(&mut self, to: PeerId, (height, round): (Height, Round), now_ms: TimeMs) -> Option<&mut Pushed> {
        let new = Pushed { height, round, votes_ms: now_ms, proposal_ms: None };
        let is_of_round = |pushed: &&Pushed| (pushed.height, pushed.round) == (height, round);
        match self.0.get(&to).filter(is_of_round).copied() {
            None => {
                self.0.insert(to, new);
            }
            Some(pushed) if now_ms < pushed.votes_ms.saturating_add(VOTES_GAP_MS) => return None,
            Some(pushed) => {
                self.0.insert(to, Pushed { votes_ms: now_ms, ..pushed });
            }
        }
        self.0.get_mut(&to)
    }
}

impl BftConsensus {
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
        let Some(pushed) = self.pushes.begin(to, here, now_ms) else { return };
        let same = status.round == round;
        let is_due = pushed.proposal_ms.is_none_or(|sent| now_ms >= sent.saturating_add(PROPOSAL_GAP_MS));
        if !(same && status.has_proposal)
            && is_due
            && let Some(proposal) = machine.proposal(round).cloned()
        {
            pushed.proposal_ms = Some(now_ms);
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
