//! Blocks: which one this node proposes, accepts, votes for and commits.
//!
//! # Place
//! [`BftConsensus`] drives the Tendermint machine of `protocol/bft`, one machine a height. Of its sibling
//! [`ConsensusEngine`] it reads what is certified and promised, and orders that votes on payments are flushed, held or
//! ended. Sync hands it blocks that others decided.
//!
//! # Decided here
//! | question | file |
//! |---|---|
//! | when a block is due | `due.rs` |
//! | what a proposal contains, and which proposals are accepted | `candidates.rs` |
//! | how a vote of this node is written and sent, what is done with others' | this one |
//! | what a peer lacks of a round | `rounds.rs` |
//! | what a start finds in the journal | `restore.rs` |
//! | what this node said at heights that are over | `past.rs` |
//! | what may follow blocks that are on their way to the log | `committing.rs` |
//!
//! # Invariants
//! - INV-BFT-DRIVER-1: for one (height, round, step) this node signs one value; what the journal holds is sent again as it
//!   was.
//! - Own proposals and votes leave as the payload of a staged write, with what they stand on, and count here
//!   when they are durable.
//! - One block at a time is on its way to the log; while it is, nothing of its height is decided any more.
//!
//! # Concurrency
//! One owner, the consensus thread.

mod candidates;
mod committing;
mod due;
mod past;
mod restore;
mod rounds;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tracing::{debug, error};

use self::candidates::Candidates;
use self::committing::{Behind, CommittingBlocks};
pub use self::committing::{COMMITTING_BLOCKS_MAX, COMMITTING_BYTES_MAX};
pub(super) use self::due::PeersVotes;
pub use self::due::waiting_words;
use self::past::PastWords;
pub(super) use self::restore::JournaledBlocks;
use self::rounds::Pushes;
#[cfg(test)]
pub(super) use self::rounds::{PROPOSAL_GAP_MS, VOTES_GAP_MS};
use super::chain::Committing;
use super::events::{Output, Progress, Timer};
use super::evidence::EvidencePool;
use super::finality::ConsensusEngine;
use super::moment::Moment;
use super::outbox::{Fact, Outbox};
use super::verify::Voters;
use crate::protocol::bft::{self, BlockMessage, Effect, Input};
use crate::protocol::state::LedgerState;
use crate::protocol::transition;
use crate::storage::block_log::LoggedBlock;
use crate::storage::journal::JournalRecord;
use crate::types::{
    Block, BlockBlueprint, BlockHash, BlockVote, Commit, CommittedBlock, Height, Message, OwnMessage,
    Proposal, Released, Round, Signature, VoteStep,
};

/// Votes of one height that wait until the node may sign again, at most; the oldest are forgotten.
pub(super) const UNSAID_MAX: usize = 64;

/// Decides blocks.
pub struct BftConsensus {
    machine: bft::Machine,
    /// The machine of the height before: it still collects precommits for the next block's `last_commit`.
    previous: Option<bft::Machine>,
    /// The tip's commit.
    last_commit: Commit,
    /// What the machine is told next.
    inputs: VecDeque<Input>,
    candidates: Candidates,
    committing: CommittingBlocks,
    own_votes: BTreeMap<(Height, Round, VoteStep), Arc<BlockVote>>,
    own_proposals: BTreeMap<(Height, Round), BlockHash>,
    past: PastWords,
    /// Votes that the machine decided on while this node may not sign.
    unsaid: VecDeque<Effect>,
    /// What the journal says of heights that the chain here has not reached.
    later: BTreeMap<Height, bft::Journaled>,
    /// The height whose block was made due by load.
    triggered_height: Height,
    progress: Option<Progress>,
    pushes: Pushes,
}

impl BftConsensus {
    /// The machine, for questions.
    pub(super) const fn machine(&self) -> &bft::Machine {
        &self.machine
    }

    /// Whether a decided block is on its way to the log.
    pub(super) fn is_committing(&self) -> bool {
        !self.committing.is_empty()
    }

    /// The height behind the blocks on their way to the log.
    pub(super) fn height_behind(&self, at: &Moment<'_>) -> Height {
        self.committing.state().map_or_else(|| at.chain.height(), LedgerState::height)
    }

    /// Whether another block may follow those on their way to the log.
    pub(super) fn may_commit(&self) -> bool {
        self.committing.has_room()
    }

    /// The state and the outputs behind the blocks on their way to the log: what the next block follows.
    pub(super) fn behind<'a>(&'a mut self, at: &Moment<'a>) -> (&'a LedgerState, Behind<'a>) {
        self.committing.behind(at.state(), at.chain.utxos())
    }

    /// Who would vote at the next height, behind a block that is decided or valid here and ends the epoch.
    pub(super) fn next_voters(&self) -> Vec<Voters> {
        let decided = self.committing.iter().map(|committing| &committing.outcome.state);
        let mut voters: Vec<Voters> = Vec::new();
        for state in decided.chain(self.candidates.outcomes()) {
            let (epoch, set) = (state.next_epoch(), state.validators());
            let is_new = epoch != self.machine.context().epoch
                && !voters.iter().any(|known| (known.epoch, &known.set) == (epoch, set));
            if is_new {
                voters.push(Voters { chain_id: *state.chain_id(), epoch, set: Arc::clone(set) });
            }
        }
        voters
    }

    // -- what comes in --------------------------------------------------------------------------------------------

    /// Takes a verified proposal or vote of the next height; whether it was new, and is kept.
    pub(super) fn receive(
        &mut self,
        input: Input,
        finality: &mut ConsensusEngine,
        evidence: &EvidencePool,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) -> bool {
        if !self.machine.is_new(&input) {
            return false;
        }
        self.inputs.push_back(input.clone());
        self.drive(finality, evidence, at, out);
        !self.machine.is_new(&input)
    }

    /// Whether a precommit for the tip would be new: the next block's `last_commit` gets it.
    pub(super) fn wants_late(&self, vote: &Released<BlockVote>) -> bool {
        let input = Input::VoteReceived(vote.clone());
        vote.step == VoteStep::Precommit
            && self.previous.as_ref().is_some_and(|machine| machine.is_new(&input))
    }

    /// Takes a verified precommit for the tip; whether it is kept.
    pub(super) fn receive_late(&mut self, vote: Released<BlockVote>) -> bool {
        let Some(machine) = &mut self.previous else { return false };
        let input = Input::VoteReceived(vote);
        // A decided machine only collects, and of the deciding round alone.
        drop(machine.step(input.clone()));
        !machine.is_new(&input)
    }

    /// An own message that is durable, and so was sent: now it counts here as well.
    pub(super) fn on_own_message(&mut self, message: BlockMessage, at: &Moment<'_>) {
        let next = at.chain.next_height();
        match message {
            BlockMessage::Proposal(proposal) if proposal.block.header.height == next => {
                self.inputs.push_back(Input::ProposalReceived(proposal));
            }
            BlockMessage::Vote(vote) if vote.height == next => {
                self.inputs.push_back(Input::VoteReceived(vote));
            }
            BlockMessage::Proposal(_) | BlockMessage::Vote(_) => {}
        }
    }

    /// A timer of this layer elapsed.
    pub(super) fn on_timer(
        &mut self,
        (height, round, kind): (Height, Round, bft::TimeoutKind),
        at: &Moment<'_>,
    ) {
        if height == at.chain.next_height() {
            self.inputs.push_back(Input::TimeoutElapsed { kind, round });
        }
    }

    /// A verified vote under this node's own key: whether it is none of its own.
    pub(super) fn is_foreign_vote(&self, vote: &BlockVote) -> bool {
        let own = self.own_votes.get(&(vote.height, vote.round, vote.step));
        own.is_none_or(|own| own.value != vote.value)
    }

    /// The same for a proposal.
    pub(super) fn is_foreign_proposal(&self, proposal: &Proposal) -> bool {
        let header = &proposal.block.header;
        let own = self.own_proposals.get(&(header.height, proposal.round));
        own.is_none_or(|own| *own != header.hash())
    }

    /// The same for either at a height of this epoch that is over, before its signature is checked.
    pub(super) fn is_foreign_past(&self, message: &Message) -> bool {
        self.past.is_foreign(message)
    }

    // -- the machine ----------------------------------------------------------------------------------------------

    /// Runs the machine until it has nothing left to say.
    pub(super) fn drive(
        &mut self,
        finality: &mut ConsensusEngine,
        evidence: &EvidencePool,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        while let Some(input) = self.inputs.pop_front() {
            if self.is_committing() {
                // Decided: what is left speaks of the past.
                continue;
            }
            for effect in self.machine.step(input) {
                self.execute(effect, finality, evidence, at, out);
            }
        }
    }

    fn execute(
        &mut self,
        effect: Effect,
        finality: &mut ConsensusEngine,
        evidence: &EvidencePool,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        match effect {
            Effect::RoundStarted { round } => {
                debug!(height = at.chain.next_height(), round, "Round started");
                // The block that votes were held for was not decided in its round.
                finality.hold(false, at, out);
                finality.flush_if_due(at, out);
            }
            Effect::BuildBlock { round } => {
                if let Some(block) = self.build(round, finality, evidence, at) {
                    self.inputs.push_back(Input::BlockBuilt { round, block });
                }
            }
            Effect::ValidateBlock { block } => {
                self.candidates.consider(block, finality, at.state().is_closing(), out);
                self.judge_candidates(finality, at);
            }
            Effect::Propose { round, pol_round, block } => self.propose(round, pol_round, &block, at, out),
            Effect::Vote { .. } if at.me().is_none() => {
                self.unsaid.truncate(UNSAID_MAX.saturating_sub(1));
                self.unsaid.push_front(effect);
            }
            Effect::Vote { step, round, value, justification } => {
                self.cast_vote((step, round, value), justification, finality, at, out);
            }
            Effect::Resend(message) => self.resend(message, finality, at, out),
            Effect::ScheduleTimeout { kind, round, duration_ms } => {
                let timer = Timer::Bft { height: at.chain.next_height(), round, kind };
                out.schedule(timer, duration_ms);
            }
            Effect::Decide { round, hash, commit } => self.decide(round, hash, commit, finality, at, out),
            Effect::EquivocationSeen { first, second } => out.tell(Fact::Equivocation(first, second)),
        }
    }

    /// Casts what the machine decided on while this node was not allowed to sign, as if it had taken so long: a round whose
    /// votes are lost at several nodes would never end.
    pub(super) fn say_unsaid(
        &mut self,
        finality: &mut ConsensusEngine,
        evidence: &EvidencePool,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        for effect in std::mem::take(&mut self.unsaid).into_iter().rev() {
            self.execute(effect, finality, evidence, at, out);
        }
    }

    // -- what this node says --------------------------------------------------------------------------------------

    fn propose(
        &mut self,
        round: Round,
        pol_round: Option<Round>,
        block: &BlockBlueprint,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        let Some(identity) = at.me() else { return };
        let (validator, block, signature) = (identity.id, block.clone(), Signature::EMPTY);
        let proposal = Proposal { round, pol_round, validator, block, signature }.signed(&identity.secret);
        // Who has not seen the prevotes behind it can't prevote it. What is lost of them is found by status.
        if let Some(pol_round) = pol_round {
            for vote in self.machine.proof_of_lock_votes(pol_round, proposal.block.header.hash()) {
                out.relay(Message::BlockVote(vote), None);
            }
        }
        self.own_proposals.insert((at.chain.next_height(), round), proposal.block.header.hash());
        out.say(OwnMessage::Proposal(Arc::new(proposal)), Vec::new());
    }

    fn cast_vote(
        &mut self,
        (step, round, value): (VoteStep, Round, Option<BlockHash>),
        justification: Option<Box<bft::Justification>>,
        finality: &mut ConsensusEngine,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        let Some(identity) = at.me() else { return };
        if step == VoteStep::Prevote && at.state().is_closing() {
            finality.enter_closing(at, out);
        }
        let height = at.chain.next_height();
        if let Some(signed) = self.own_votes.get(&(height, round, step)) {
            // INV-BFT-DRIVER-1. The machine does not ask for this; if it ever does, the journal wins.
            error!(height, round, ?step, ?signed, "Refusing to sign a second vote");
            return;
        }
        let (epoch, validator, signature) = (at.chain.epoch(), identity.id, Signature::EMPTY);
        let vote = BlockVote { step, epoch, height, round, value, validator, signature };
        let vote = Arc::new(vote.signed(at.chain.chain_id(), &identity.secret));
        debug!(height, round, ?step, value = ?value.map(|hash| hash.short()), "Block vote cast");
        self.own_votes.insert((height, round, step), Arc::clone(&vote));
        // Votes that were cast before have their bodies and their place in the journal before this one.
        finality.flush(at, out);
        self.hold_votes_behind(&vote, finality, at, out);
        let mut records = Vec::new();
        if let Some(justification) = justification {
            let transactions = value.and_then(|hash| self.candidates.transactions(&hash)).unwrap_or_default();
            records.extend(finality.body_records(transactions));
            records.push(JournalRecord::Proposal(justification.proposal.into_arc()));
            let prevotes = justification.prevotes.into_iter().map(Released::into_arc);
            records.extend(prevotes.map(JournalRecord::BlockVote));
        }
        out.say(OwnMessage::BlockVote(vote), records);
    }

    /// Own precommits of the epoch's last ordinary block end this node's votes on payments for this round.
    fn hold_votes_behind(
        &self,
        own: &BlockVote,
        finality: &mut ConsensusEngine,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        let state = at.state();
        let is_of_now = (own.height, own.round) == (at.chain.next_height(), self.machine.round());
        let header = own.value.and_then(|hash| self.machine.block(&hash)).map(|block| &block.header);
        let begins_closing =
            header.is_some_and(|header| header.time >= state.epoch_due()) && !state.is_closing();
        if own.step == VoteStep::Precommit && is_of_now && begins_closing {
            finality.hold(true, at, out);
        }
    }

    /// What was journaled before a restart is sent again as it was.
    fn resend(
        &self,
        message: BlockMessage,
        finality: &mut ConsensusEngine,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        let message = match message {
            BlockMessage::Proposal(proposal) => Message::Proposal(proposal),
            BlockMessage::Vote(vote) => {
                self.hold_votes_behind(&vote, finality, at, out);
                Message::BlockVote(vote)
            }
        };
        out.relay(message, None);
    }

    // -- committing -----------------------------------------------------------------------------------------------

    fn decide(
        &mut self,
        round: Round,
        hash: BlockHash,
        commit: Commit,
        finality: &mut ConsensusEngine,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        let Some((blueprint, (transactions, outcome), own)) = self.candidates.take(&hash) else { return };
        debug!(height = at.chain.next_height(), round, hash = %hash.short(), "Block decided");
        // INV-TRUST-1, INV-TRUST-2: sync goes on from here, if peers have another block.
        if let Err(distrust) = at.chain.check_next(at.state(), &blueprint.header, at.now.wall_ms) {
            error!(%distrust, "A block with a quorum's signatures is not taken");
            return;
        }
        let mut all: Vec<_> = transactions.iter().map(|tx| Arc::clone(tx.transaction())).collect();
        all.extend(outcome.reward.clone());
        let block = Block {
            header: blueprint.header.clone(),
            last_commit: blueprint.last_commit.clone(),
            transactions: all,
            evidence: blueprint.evidence.clone(),
        };
        let committed = CommittedBlock { block, commit };
        self.commit(Committing { committed, hash, transactions, outcome, own }, finality, at, out);
    }

    /// Sends a block to the log; it is applied once it is durable.
    pub(super) fn commit(
        &mut self,
        committing: Committing,
        finality: &mut ConsensusEngine,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        if committing.outcome.state.is_closing() {
            // Whoever has this block may propose the next one already.
            finality.hold(true, at, out);
        }
        let spent = transition::inputs_in_order(&committing.outcome);
        let logged = LoggedBlock { committed: committing.committed.clone(), spent };
        self.committing.push(committing);
        out.push(Output::CommitBlock(Box::new(logged)));
    }

    /// The block that was on its way to the log, which is durable now.
    pub(super) fn take_committed(&mut self, hash: BlockHash) -> Option<Committing> {
        self.committing.take(hash)
    }

    /// A block was applied: what was said at its height is of no more use.
    pub(super) fn on_block(&mut self, commit: Commit, at: &Moment<'_>) {
        self.last_commit = commit;
        let height = at.chain.next_height();
        let votes = self.own_votes.split_off(&(height, 0, VoteStep::Prevote));
        let proposals = self.own_proposals.split_off(&(height, 0));
        if at.chain.epoch() == self.machine.context().epoch {
            let votes = std::mem::replace(&mut self.own_votes, votes);
            self.past.extend(votes, std::mem::replace(&mut self.own_proposals, proposals));
        } else {
            (self.own_votes, self.own_proposals) = (votes, proposals);
            self.past.start_epoch(height);
        }
        self.candidates.clear();
        self.inputs.clear();
    }

    /// The next height begins. The machine of the last one goes on collecting precommits.
    pub(super) fn start_height(
        &mut self,
        finality: &mut ConsensusEngine,
        evidence: &EvidencePool,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        self.unsaid.clear();
        let (machine, effects) = self.machine_of_height(at);
        self.previous = Some(std::mem::replace(&mut self.machine, machine));
        self.begin(effects, finality, evidence, at, out);
    }

    /// Signing begins or ends in the middle of a height: its machine starts anew from the journal. Peers send what it
    /// heard again.
    pub(super) fn restart_height(
        &mut self,
        finality: &mut ConsensusEngine,
        evidence: &EvidencePool,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        if self.is_committing() {
            return;
        }
        self.candidates.clear();
        self.inputs.clear();
        self.unsaid.clear();
        let (machine, effects) = self.machine_of_height(at);
        self.machine = machine;
        self.begin(effects, finality, evidence, at, out);
    }

    fn begin(
        &mut self,
        effects: Vec<Effect>,
        finality: &mut ConsensusEngine,
        evidence: &EvidencePool,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        for effect in effects {
            self.execute(effect, finality, evidence, at, out);
        }
        self.schedule_height(finality, at, out);
    }
}
