//! The state of one height and its step function.
//!
//! # Place
//! See [`super`], which has the table of transitions and the invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::votes::{Added, VoteKeeper};
use super::{
    BlockMessage, Effect, HeightContext, Input, Journaled, Justification, PROPOSALS_PER_ROUND_MAX,
    ROUNDS_BEHIND_MAX, Step, TimeoutKind,
};
use crate::types::limits::ROUNDS_AHEAD_MAX;
use crate::types::{
    BlockBlueprint, BlockHash, BlockVote, Commit, MasternodeId, Proposal, Round, SignerBitmap, Validator,
    VoteStep,
};

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

/// A proposal with the name of its block.
#[derive(Clone, Debug)]
struct KeptProposal {
    hash: BlockHash,
    proposal: Arc<Proposal>,
}

/// A block that some proposal carried.
#[derive(Clone, Debug)]
struct KnownBlock {
    proposal: Arc<Proposal>,
    /// Valid on the previous state, once that is known.
    valid: Option<bool>,
    /// The local checks of a first prevote hold.
    acceptable: bool,
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
                    block.acceptable = true;
                }
            }
            Input::TimeoutElapsed { kind, round } => self.note_timeout(kind, round),
        }
        self.advance(&mut effects);
        effects
    }

    // --- rules ---

    fn advance(&mut self, effects: &mut Vec<Effect>) {
        while let Some(transition) = self.enabled() {
            self.apply(transition, effects);
        }
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
        let may_prevote = kept.proposal.pol_round.is_some() || block.acceptable;
        match block.valid {
            Some(false) => Some(None),
            Some(true) if may_prevote => Some(Some(kept.hash)),
            _ => None,
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

    fn propose_built(&mut self, round: Round, block: BlockBlueprint, effects: &mut Vec<Effect>) {
        let is_current = self.step == Step::Propose && round == self.round && self.is_my_round(round);
        let is_mine = block.header.round == round && Some(block.header.proposer) == self.my_id;
        if is_current && is_mine && self.proposed.insert(round) {
            effects.push(Effect::Propose { round, pol_round: None, block: Arc::new(block) });
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
            Some(kept) => Arc::clone(&kept.proposal),
            None => Arc::clone(&self.blocks.get(&hash)?.proposal),
        };
        Some(Justification { proposal, prevotes: self.proof_of_lock_votes(self.round, hash) })
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

    // --- the log of messages ---

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

    fn keep_proposal(&mut self, proposal: Arc<Proposal>, effects: &mut Vec<Effect>) {
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
                first: BlockMessage::Proposal(Arc::clone(&first.proposal)),
                second: BlockMessage::Proposal(Arc::clone(&proposal)),
            });
        }
        if !self.blocks.contains_key(&hash) {
            effects.push(Effect::ValidateBlock { block: Arc::new(proposal.block.clone()) });
            let known = KnownBlock { proposal: Arc::clone(&proposal), valid: None, acceptable: false };
            self.blocks.insert(hash, known);
        }
        self.proposals.entry(round).or_default().push(KeptProposal { hash, proposal });
    }

    fn keep_vote(&mut self, vote: Arc<BlockVote>, effects: &mut Vec<Effect>) {
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

    /// INV-BFT-5: keeps of rounds long past only what can still matter.
    fn forget_old_rounds(&mut self) {
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

    // --- restart ---

    fn remember_own(&mut self, journaled: &Journaled) {
        let Some(my_id) = self.my_id else {
            return;
        };
        let (height, epoch) = (self.context.height, self.context.epoch);
        let is_own =
            |vote: &&Arc<BlockVote>| vote.validator == my_id && (vote.height, vote.epoch) == (height, epoch);
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
        let proposals = proposals.map(|own| BlockMessage::Proposal(Arc::clone(own)));
        proposals.chain(votes.map(|own| BlockMessage::Vote(Arc::clone(own))))
    }

    // --- reading ---

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
        let members = self.context.validators.members().iter().zip(0..);
        let voters = self.prevotes_bitmap(round);
        members
            .filter(|(_, place)| voters.contains(*place))
            .fold(0, |sum, (member, _)| sum.saturating_add(member.weight))
    }

    /// The proposal of a round; of several that contradict each other, the one with the most prevotes in the round.
    #[must_use]
    pub fn proposal(&self, round: Round) -> Option<&Arc<Proposal>> {
        let weight = |kept: &&KeptProposal| self.votes.weight_of(round, VoteStep::Prevote, Some(kept.hash));
        let best = self.kept_proposals(round).min_by_key(|kept| std::cmp::Reverse(weight(kept)))?;
        Some(&best.proposal)
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
    ) -> Vec<Arc<BlockVote>> {
        let lacking = |step, have: &SignerBitmap| {
            let votes = self.votes.votes_of(round, step);
            votes
                .filter(|(place, _)| !have.contains(*place))
                .map(|(_, vote)| Arc::clone(vote))
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
    pub fn proof_of_lock_votes(&self, round: Round, hash: BlockHash) -> Vec<Arc<BlockVote>> {
        let votes = self.votes.votes_for(round, VoteStep::Prevote, Some(hash));
        votes.map(|(_, vote)| Arc::clone(vote)).collect()
    }

    fn kept_proposals(&self, round: Round) -> impl Iterator<Item = &KeptProposal> {
        self.proposals.get(&round).into_iter().flatten()
    }

    fn is_valid(&self, hash: &BlockHash) -> bool {
        self.blocks.get(hash).is_some_and(|known| known.valid == Some(true))
    }

    fn is_my_round(&self, round: Round) -> bool {
        self.my_id.is_some() && self.proposer(round).map(|member| member.id) == self.my_id
    }

    /// Whether a block still matters when its round is long past.
    fn is_needed(&self, hash: &BlockHash) -> bool {
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
