//! The state of one height and its step function.
//!
//! # Place
//! See [`super`], which has the table of transitions and the invariants.

mod log;
mod reading;
mod restart;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::votes::VoteKeeper;
use super::{Effect, HeightContext, Input, Justification, Step, TimeoutKind};
use crate::types::{
    BlockBlueprint, BlockHash, Commit, MasternodeId, Proposal, Released, Round, SignerBitmap, VoteStep,
};

pub use log::ProposalError;

/// A proposal with the name of its block.
#[derive(Clone, Debug)]
struct KeptProposal {
    hash: BlockHash,
    proposal: Released<Proposal>,
}

/// A block that some proposal carried.
#[derive(Clone, Debug)]
struct KnownBlock {
    proposal: Released<Proposal>,
    /// Its validation was ordered.
    is_ordered: bool,
    /// Valid on the previous state, once that is known.
    valid: Option<bool>,
    /// Whether the local checks of a first prevote hold, once that is known.
    acceptable: Option<bool>,
}

/// What has happened in the current round, beyond its step.
#[derive(Clone, Copy, Default, Debug)]
struct Progress {
    /// Line 36 has been passed.
    has_valid: bool,
    /// Line 34 has been passed.
    is_prevote_scheduled: bool,
    /// Line 47 has been passed.
    is_precommit_scheduled: bool,
    propose_elapsed: bool,
    prevote_elapsed: bool,
    precommit_elapsed: bool,
}

/// One enabled rule with what it acts on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Transition {
    Decide { round: Round, hash: BlockHash },
    StartRound { round: Round },
    Prevote { value: Option<BlockHash> },
    Lock { hash: BlockHash },
    UpdateValid { hash: BlockHash },
    PrecommitNil,
    SchedulePrevoteTimeout,
    SchedulePrecommitTimeout,
}

/// Tendermint for one height.
#[derive(Clone, Debug)]
pub struct Machine {
    context: HeightContext,
    my_id: Option<MasternodeId>,
    step: Step,
    round: Round,
    is_due: bool,
    progress: Progress,
    /// `lockedRound` and `lockedValue`.
    locked: Option<(Round, BlockHash)>,
    /// `validRound` and `validValue`.
    valid: Option<(Round, BlockHash)>,
    decided: Option<(Round, BlockHash)>,
    /// Own votes that were emitted or journaled.
    signed: BTreeMap<(Round, VoteStep), Option<BlockHash>>,
    /// Rounds of own proposals that were emitted or journaled.
    proposed: BTreeSet<Round>,
    proposals: BTreeMap<Round, Vec<KeptProposal>>,
    blocks: BTreeMap<BlockHash, KnownBlock>,
    votes: VoteKeeper,
    /// For each place of the set, the highest round in which a vote came that was beyond the window.
    rounds_reached: Vec<Option<Round>>,
}

impl Machine {
    /// A machine for a height of which this node has signed nothing; it waits until the height is due.
    #[must_use]
    pub fn new(context: HeightContext) -> Self {
        let my_id = context.me.and_then(|place| context.validators.get(place)).map(|member| member.id);
        Self {
            my_id,
            step: Step::NewHeight,
            round: 0,
            is_due: false,
            progress: Progress::default(),
            locked: None,
            valid: None,
            decided: None,
            signed: BTreeMap::new(),
            proposed: BTreeSet::new(),
            proposals: BTreeMap::new(),
            blocks: BTreeMap::new(),
            votes: VoteKeeper::new(Arc::clone(&context.validators)),
            rounds_reached: vec![None; context.validators.len()],
            context,
        }
    }

    /// Takes in one fact and returns what has to be done, in order.
    #[must_use]
    pub fn step(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::HeightDue => self.is_due = true,
            Input::ProposalReceived(proposal) => self.keep_proposal(proposal, &mut effects),
            Input::VoteReceived(vote) => self.keep_vote(vote, &mut effects),
            Input::BlockBuilt { round, block } => self.propose_built(round, block, &mut effects),
            Input::BlockValidated { hash, valid } => {
                if let Some(block) = self.blocks.get_mut(&hash) {
                    block.valid.get_or_insert(valid);
                }
            }
            Input::BlockAcceptable { hash } => {
                if let Some(block) = self.blocks.get_mut(&hash) {
                    block.acceptable = Some(true);
                }
            }
            Input::BlockUnacceptable { hash } => {
                if let Some(block) = self.blocks.get_mut(&hash) {
                    block.acceptable.get_or_insert(false);
                }
            }
            Input::TimeoutElapsed { kind, round } => self.note_timeout(kind, round),
        }
        self.advance(&mut effects);
        effects
    }

    // --- rules ---

    fn advance(&mut self, effects: &mut Vec<Effect>) {
        self.order_validation(effects);
        while let Some(transition) = self.enabled() {
            self.apply(transition, effects);
        }
        self.order_validation(effects);
    }

    /// The first enabled rule of the table.
    fn enabled(&self) -> Option<Transition> {
        if self.step == Step::Decided {
            return None;
        }
        self.decision() // line 49
            .or_else(|| self.later_round()) // line 55
            .or_else(|| match self.step {
                Step::NewHeight => self.first_round(), // line 10
                Step::Propose => self.prevote(),       // lines 22, 28, 57
                Step::Prevote => self.precommit(),     // lines 36, 44, 61, 34
                Step::Precommit => self.valid_value(), // line 36
                Step::Decided => None,
            })
            .or_else(|| self.round_end()) // lines 47, 65
    }

    fn apply(&mut self, transition: Transition, effects: &mut Vec<Effect>) {
        match transition {
            // Lines 49-54.
            Transition::Decide { round, hash } => {
                self.decided = Some((round, hash));
                self.step = Step::Decided;
                effects.push(Effect::Decide { round, hash, commit: self.commit(round, hash) });
            }
            // Lines 10, 55-56, 65-67.
            Transition::StartRound { round } => self.start_round(round, effects),
            // Lines 22-33, 57-60.
            Transition::Prevote { value } => {
                self.step = Step::Prevote;
                self.cast(VoteStep::Prevote, value, effects);
            }
            // Lines 36-43 with step = prevote.
            Transition::Lock { hash } => {
                self.progress.has_valid = true;
                self.locked = Some((self.round, hash));
                self.valid = Some((self.round, hash));
                self.step = Step::Precommit;
                self.cast(VoteStep::Precommit, Some(hash), effects);
            }
            // Lines 36, 42-43 with step = precommit.
            Transition::UpdateValid { hash } => {
                self.progress.has_valid = true;
                self.valid = Some((self.round, hash));
            }
            // Lines 44-46, 61-64.
            Transition::PrecommitNil => {
                self.step = Step::Precommit;
                self.cast(VoteStep::Precommit, None, effects);
            }
            // Line 35.
            Transition::SchedulePrevoteTimeout => {
                self.progress.is_prevote_scheduled = true;
                effects.push(self.schedule(TimeoutKind::Prevote));
            }
            // Line 48.
            Transition::SchedulePrecommitTimeout => {
                self.progress.is_precommit_scheduled = true;
                effects.push(self.schedule(TimeoutKind::Precommit));
            }
        }
    }

    /// Line 49.
    fn decision(&self) -> Option<Transition> {
        let mut committed = self.votes.committed().iter();
        let (round, hash) = committed.find(|(_, hash)| self.is_valid(hash))?;
        Some(Transition::Decide { round: *round, hash: *hash })
    }

    /// Line 55.
    fn later_round(&self) -> Option<Transition> {
        let first = if self.step == Step::NewHeight { 0 } else { self.round.checked_add(1)? };
        let reached = self.reached_beyond_window().filter(|round| *round >= first);
        let round = self.votes.round_of_more_than_third(first).max(reached)?;
        Some(Transition::StartRound { round })
    }

    /// The highest round that validators of more than a third of the weight have reached, by votes that were too far
    /// ahead to keep.
    fn reached_beyond_window(&self) -> Option<Round> {
        let members = self.context.validators.members();
        let reached = self.rounds_reached.iter().zip(members);
        let mut reached: Vec<_> =
            reached.filter_map(|(round, member)| Some(((*round)?, member.weight))).collect();
        reached.sort_unstable_by(|left, right| right.cmp(left));
        let mut weight = 0_u64;
        let passes = |(round, of_member): (Round, u64)| {
            weight = weight.saturating_add(of_member);
            self.context.validators.exceeds_third(weight).then_some(round)
        };
        reached.into_iter().find_map(passes)
    }

    /// Line 10.
    fn first_round(&self) -> Option<Transition> {
        let is_proposed = || self.kept_proposals(0).any(|kept| self.is_valid(&kept.hash));
        (self.is_due || is_proposed()).then_some(Transition::StartRound { round: 0 })
    }

    /// Lines 22, 28, 57.
    fn prevote(&self) -> Option<Transition> {
        let answer = self.kept_proposals(self.round).find_map(|kept| self.answer(kept));
        let timeout = self.progress.propose_elapsed.then_some(None); // line 57
        answer.or(timeout).map(|value| Transition::Prevote { value })
    }

    /// What to prevote on a proposal of this round, or `None` while that is open.
    fn answer(&self, kept: &KeptProposal) -> Option<Option<BlockHash>> {
        let block = self.blocks.get(&kept.hash)?;
        let is_locked_out = match kept.proposal.pol_round {
            // Line 23.
            None => self.locked.is_some_and(|(_, locked)| locked != kept.hash),
            // Lines 28, 29.
            Some(pol_round) => {
                if !self.votes.has_quorum(pol_round, VoteStep::Prevote, Some(kept.hash)) {
                    return None;
                }
                self.locked.is_some_and(|(round, locked)| round > pol_round && locked != kept.hash)
            }
        };
        if is_locked_out {
            return Some(None);
        }
        // A proof of lock stands for the local checks: its prevotes made them.
        let acceptable = kept.proposal.pol_round.map_or(block.acceptable, |_| Some(true));
        match (block.valid, acceptable) {
            (Some(false), _) | (_, Some(false)) => Some(None),
            (Some(true), Some(true)) => Some(Some(kept.hash)),
            (None, _) | (_, None) => None,
        }
    }

    /// Lines 36, 44, 61, 34 with step = prevote.
    fn precommit(&self) -> Option<Transition> {
        if let Some(hash) = self.newly_valid() {
            return Some(Transition::Lock { hash });
        }
        let is_nil = self.votes.has_quorum(self.round, VoteStep::Prevote, None); // line 44
        if is_nil || self.progress.prevote_elapsed {
            return Some(Transition::PrecommitNil);
        }
        let is_any = self.votes.has_any_quorum(self.round, VoteStep::Prevote); // line 34
        (is_any && !self.progress.is_prevote_scheduled).then_some(Transition::SchedulePrevoteTimeout)
    }

    /// Line 36 with step = precommit.
    fn valid_value(&self) -> Option<Transition> {
        self.newly_valid().map(|hash| Transition::UpdateValid { hash })
    }

    fn newly_valid(&self) -> Option<BlockHash> {
        if self.progress.has_valid {
            return None;
        }
        self.votes.prevoted_blocks(self.round).find(|hash| self.is_valid(hash))
    }

    /// Lines 47, 65.
    fn round_end(&self) -> Option<Transition> {
        if self.step == Step::NewHeight {
            return None;
        }
        if self.progress.precommit_elapsed {
            return Some(Transition::StartRound { round: self.round.saturating_add(1) });
        }
        let is_any = self.votes.has_any_quorum(self.round, VoteStep::Precommit);
        (is_any && !self.progress.is_precommit_scheduled).then_some(Transition::SchedulePrecommitTimeout)
    }

    // --- acts ---

    /// Lines 11-21.
    fn start_round(&mut self, round: Round, effects: &mut Vec<Effect>) {
        assert!(round >= self.round, "INV-BFT-1: round {round} after round {}", self.round);
        self.round = round;
        self.step = Step::Propose;
        self.progress = Progress::default();
        self.forget_old_rounds();
        effects.push(Effect::RoundStarted { round });
        if self.is_my_round(round) && !self.proposed.contains(&round) {
            let again = self.valid.and_then(|(pol, hash)| Some((pol, self.blocks.get(&hash)?)));
            match again {
                Some((pol_round, known)) => {
                    let block = Arc::new(known.proposal.block.clone());
                    self.proposed.insert(round);
                    effects.push(Effect::Propose { round, pol_round: Some(pol_round), block });
                }
                None => effects.push(Effect::BuildBlock { round }),
            }
        }
        effects.push(self.schedule(TimeoutKind::Propose));
    }

    fn propose_built(&mut self, round: Round, block: Arc<BlockBlueprint>, effects: &mut Vec<Effect>) {
        let is_current = self.step == Step::Propose && round == self.round && self.is_my_round(round);
        let is_mine = block.header.round == round && Some(block.header.proposer) == self.my_id;
        if is_current && is_mine && self.proposed.insert(round) {
            effects.push(Effect::Propose { round, pol_round: None, block });
        }
    }

    /// Votes in the current round, if this node is a validator that has not voted there. A vote under its key that it
    /// did not cast (another node runs with its key) keeps it from contradicting that one.
    fn cast(&mut self, step: VoteStep, value: Option<BlockHash>, effects: &mut Vec<Effect>) {
        let Some(me) = self.context.me.filter(|_| self.my_id.is_some()) else {
            return;
        };
        let round = self.round;
        let was_heard = self.votes.voters(round, step).contains(me);
        if was_heard || self.signed.contains_key(&(round, step)) {
            return;
        }
        self.signed.insert((round, step), value);
        let justification = match (step, value) {
            (VoteStep::Precommit, Some(hash)) => self.justification(hash).map(Box::new),
            _ => None,
        };
        effects.push(Effect::Vote { step, round, value, justification });
    }

    fn justification(&self, hash: BlockHash) -> Option<Justification> {
        let of_round = self.kept_proposals(self.round).find(|kept| kept.hash == hash);
        let proposal = match of_round {
            Some(kept) => kept.proposal.clone(),
            None => self.blocks.get(&hash)?.proposal.clone(),
        };
        Some(Justification { proposal, prevotes: self.proof_of_lock_votes(self.round, hash) })
    }

    fn note_timeout(&mut self, kind: TimeoutKind, round: Round) {
        if round != self.round {
            return;
        }
        let progress = &mut self.progress;
        match kind {
            TimeoutKind::Propose => progress.propose_elapsed = self.step == Step::Propose,
            TimeoutKind::Prevote => progress.prevote_elapsed = progress.is_prevote_scheduled,
            TimeoutKind::Precommit => progress.precommit_elapsed = progress.is_precommit_scheduled,
        }
    }

    fn schedule(&self, kind: TimeoutKind) -> Effect {
        let timeout = match kind {
            TimeoutKind::Propose => self.context.timeout_propose,
            TimeoutKind::Prevote => self.context.timeout_prevote,
            TimeoutKind::Precommit => self.context.timeout_precommit,
        };
        Effect::ScheduleTimeout { kind, round: self.round, duration_ms: timeout.at(self.round) }
    }

    fn commit(&self, round: Round, hash: BlockHash) -> Commit {
        let mut signers = SignerBitmap::empty(self.context.validators.len());
        let mut signatures = Vec::new();
        for (place, vote) in self.votes.votes_for(round, VoteStep::Precommit, Some(hash)) {
            signers.set(place);
            signatures.push(vote.signature);
        }
        Commit { height: self.context.height, round, block_hash: hash, signers, signatures }
    }
}
