//! One honest node of the Tendermint model: the real machine, and what the executor does around it.
//!
//! Restated from `src/consensus`, and nothing else: an own message is durable, with what stands behind a
//! precommit, before it leaves and before it counts here; every block is validated once, with the same verdict
//! everywhere; when a block becomes acceptable is up to the model; a restart hands the journal to a new machine.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use timed::protocol::bft::{
    BlockMessage, Effect, HeightContext, Input, Journaled, Machine, Step, TimeoutKind,
};
use timed::types::block::tx_root;
use timed::types::evidence::evidence_root;
use timed::types::genesis::Timeout;
use timed::types::{
    BlockBlueprint, BlockHash, BlockVote, ChainId, Commit, Hash, Header, MasternodeId, Proposal, PublicKey,
    Released, Round, RuleVersion, Signature, StateDigest, TxId, Validator, ValidatorSet, VoteStep,
};

use super::forgetful::{Act, forgetful_key};
use super::happening::{CODES, Happening, NIL, Said, Value, said_code, said_of};
use crate::checker::{BYZANTINE, Code, Local};
use crate::heard::heard;

/// A rule that is left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutation {
    /// The Byzantine one weighs 4 of 7, so that a quorum takes one honest node instead of two.
    SmallQuorum,
    /// Votes of rounds before the last one don't survive a restart, and with them the lock.
    LocksForgotten,
    /// No vote survives a restart.
    VotesForgotten,
    /// Line 28: a proposal's proof of lock is taken on trust.
    ProofUnchecked,
    /// A vote leaves before it is durable.
    SentBeforeDurable,
}

/// How votes are delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// One vote at a time.
    EachVote,
    /// As many at once as make the machine do something.
    Together,
}

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The round in which each block is first proposed.
    pub first_rounds: &'static [Round],
    /// Who proposes in each round.
    pub proposers: &'static [u8],
    pub delivery: Delivery,
    /// Messages wait in a queue for the disk, instead of being durable at once.
    pub slow_disk: bool,
    pub restarts: bool,
    pub mutation: Option<Mutation>,
}

impl Plan {
    pub fn lacks(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Only then do the honest nodes differ in nothing.
    pub fn is_symmetric(&self) -> bool {
        self.proposers.iter().all(|place| *place == BYZANTINE)
    }

    pub fn rounds(&self) -> Round {
        self.proposers.len() as Round
    }

    /// Whether a node proposes in some round. A valid value matters to nobody else.
    pub fn has_turn(&self, place: u8) -> bool {
        !self.is_symmetric() && self.proposers.contains(&place)
    }

    /// Blocks by place.
    pub fn values(&self) -> std::ops::Range<Value> {
        0..self.first_rounds.len() as Value
    }
}

pub struct Context {
    pub plan: Plan,
    blocks: Vec<BlockBlueprint>,
    validators: Arc<ValidatorSet>,
    /// How many honest nodes' votes make a quorum with the Byzantine one's, by the code's own count.
    pub honest_quorum: u32,
}

fn id(place: u8) -> MasternodeId {
    MasternodeId([place + 1; 32])
}

fn place_of(id: &MasternodeId) -> u8 {
    id.0[0] - 1
}

impl Context {
    pub fn new(plan: Plan) -> Self {
        let heavy = plan.lacks(Mutation::SmallQuorum);
        let members = (0..=BYZANTINE).map(|place| Validator {
            id: id(place),
            key: PublicKey([place; 32]),
            weight: if heavy && place == BYZANTINE { 4 } else { 1 },
        });
        let blocks = plan.values().map(|value| {
            let round = plan.first_rounds[usize::from(value)];
            let last_commit = Commit::default();
            let txids = vec![TxId([value + 1; 32])];
            let header = Header {
                chain_id: ChainId([9; 32]),
                height: 1,
                round,
                epoch: 0,
                epoch_end: false,
                time: 1,
                prev_hash: BlockHash::ZERO,
                last_commit_root: last_commit.root(),
                tx_root: tx_root(&txids),
                evidence_root: evidence_root([]),
                epoch_ends_root: Hash::ZERO,
                state_digest: StateDigest::ZERO,
                validators_hash: Hash::ZERO,
                next_validators_hash: Hash::ZERO,
                proposer: id(plan.proposers[round as usize]),
                rules: RuleVersion::FIRST,
                announced: RuleVersion::FIRST,
            };
            BlockBlueprint { header, last_commit, txids, evidence: Vec::new() }
        });
        let validators = ValidatorSet::new(members.collect());
        let byzantine = validators.members().iter().find(|member| member.id == id(BYZANTINE));
        let missing = validators.quorum() - byzantine.expect("a member").weight;
        Self {
            plan,
            blocks: blocks.collect(),
            validators: Arc::new(validators),
            honest_quorum: u32::try_from(missing).expect("small weights"),
        }
    }

    fn height(&self, me: u8) -> HeightContext {
        let timeout = Timeout { base_ms: 1, step_ms: 1 };
        HeightContext {
            chain_id: ChainId([9; 32]),
            height: 1,
            epoch: 0,
            validators: Arc::clone(&self.validators),
            proposer_order: self.plan.proposers.iter().map(|place| usize::from(*place)).collect(),
            timeout_propose: timeout,
            timeout_prevote: timeout,
            timeout_precommit: timeout,
            me: Some(usize::from(me)),
        }
    }

    fn hash(&self, value: Value) -> Option<BlockHash> {
        self.blocks.get(usize::from(value)).map(|block| block.header.hash())
    }

    pub fn value(&self, hash: Option<BlockHash>) -> Value {
        let Some(hash) = hash else { return NIL };
        let place = self.blocks.iter().position(|block| block.header.hash() == hash);
        place.expect("one of the model's blocks") as Value
    }

    fn vote(&self, voter: u8, step: VoteStep, round: Round, value: Value) -> Released<BlockVote> {
        let (validator, signature) = (id(voter), Signature([voter + 1; 64]));
        heard(&BlockVote { step, epoch: 0, height: 1, round, value: self.hash(value), validator, signature })
    }

    fn proposal(&self, round: Round, value: Value, pol_round: Option<Round>) -> Released<Proposal> {
        let validator = id(self.plan.proposers[round as usize % self.plan.proposers.len()]);
        let (block, signature) = (self.blocks[usize::from(value)].clone(), Signature::EMPTY);
        heard(&Proposal { round, pol_round, validator, block, signature })
    }

    pub fn value_name(&self, value: Value) -> &'static str {
        ["X", "Y", "Z"].get(usize::from(value)).copied().unwrap_or("nil")
    }
}

#[derive(Clone, Debug)]
enum Record {
    Proposal(Released<Proposal>),
    Vote { vote: Released<BlockVote>, behind: Option<(Released<Proposal>, Vec<Released<BlockVote>>)> },
}

#[derive(Clone, Debug)]
pub struct Node {
    /// Its place; 0 in a symmetric model.
    pub me: u8,
    pub machine: Machine,
    journal: Journaled,
    queue: VecDeque<Record>,
    /// Its votes that others can have, by round and step.
    pub said: Vec<[Said; 2]>,
    /// Its proposals that others can have: round, block, round of the proof of lock.
    pub proposed: BTreeSet<(Round, Value, Option<Round>)>,
    /// The round that it builds a block for.
    building: Option<Round>,
    decided: Option<Value>,
    /// Blocks whose local checks hold, as far as its machine was told. Its text says as much, while it matters.
    accepted: BTreeSet<Value>,
    broken: Option<&'static str>,
    /// What it did, in order.
    pub acts: Vec<Act>,
    /// It was made of its acts by [`Node::forgetful`], and heard no more than they take.
    pub is_forgetful: bool,
}

/// Votes of up to four rounds, four bits each: 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SaidBits(pub u32);

impl SaidBits {
    pub fn get(self, round: Round, step: VoteStep) -> Said {
        let shift = (round * 2 + u32::from(step == VoteStep::Precommit)) * 4;
        said_of((self.0 >> shift & 0xf) as Code)
    }
}

#[derive(Clone, Copy)]
pub struct Summary {
    pub round: Round,
    pub step: Step,
    pub said: SaidBits,
    /// Bit `round * 16 + value * 4 + pol` of its proposals, `pol` 3 for none.
    pub proposed: u64,
    pub locked: Option<(Round, Value)>,
    pub decided: Option<Value>,
    pub decided_round: Round,
    pub building: bool,
    pub broken: Option<&'static str>,
}

pub fn proposal_bit(round: Round, value: Value, pol_round: Option<Round>) -> u64 {
    1 << (round * 16 + u32::from(value) * 4 + pol_round.unwrap_or(3))
}

impl Node {
    pub fn first(context: &Context, me: u8) -> Self {
        Self {
            me,
            machine: Machine::new(context.height(me)),
            journal: Journaled::default(),
            queue: VecDeque::new(),
            said: vec![[None; 2]; context.plan.rounds() as usize],
            proposed: BTreeSet::new(),
            building: None,
            decided: None,
            accepted: BTreeSet::new(),
            broken: None,
            acts: Vec::new(),
            is_forgetful: false,
        }
    }

    /// What the model sees of a machine: a step that changes none of it and orders nothing need not be told apart.
    pub fn view(&self, context: &Context) -> impl PartialEq + use<> {
        let machine = &self.machine;
        let valid = machine.valid().filter(|_| context.plan.has_turn(self.me));
        let state = (machine.round(), machine.current_step(), machine.locked(), valid);
        let said = (self.said.clone(), self.proposed.clone());
        (state, machine.decided(), said, self.builds(), self.queue.len())
    }

    /// The round that it builds a block for, while it may still propose one.
    fn builds(&self) -> Option<Round> {
        self.building.filter(|_| self.machine.current_step() == Step::Propose)
    }

    fn feed(&mut self, context: &Context, input: Input) {
        let effects = self.machine.step(input);
        self.check_machine();
        self.execute(context, effects);
    }

    /// The machine's own invariants; its words go to stderr.
    fn check_machine(&mut self) {
        let check = AssertUnwindSafe(|| self.machine.check_invariants());
        if catch_unwind(check).is_err() {
            self.broken = Some("the machine's own invariants");
        }
    }

    fn execute(&mut self, context: &Context, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::ValidateBlock { block } => {
                    let hash = block.header.hash();
                    self.feed(context, Input::BlockValidated { hash, valid: true });
                }
                Effect::BuildBlock { round } => self.building = Some(round),
                Effect::Propose { round, pol_round, block } => {
                    let value = context.value(Some(block.header.hash()));
                    let proposal = context.proposal(round, value, pol_round);
                    self.queue.push_back(Record::Proposal(proposal));
                }
                Effect::Vote { step, round, value, justification } => {
                    let value = context.value(value);
                    let is_first = context.plan.first_rounds.get(usize::from(value)) == Some(&round);
                    if step == VoteStep::Prevote && is_first && !self.accepted.contains(&value) {
                        self.broken = Some("rule 4: a first prevote for a block that is not acceptable");
                    }
                    let vote = context.vote(self.me, step, round, value);
                    if context.plan.lacks(Mutation::SentBeforeDurable) {
                        self.say(context, &vote);
                    }
                    let behind = justification.map(|because| (because.proposal, because.prevotes));
                    self.queue.push_back(Record::Vote { vote, behind });
                }
                Effect::Decide { hash, commit, .. } => {
                    let validators = &context.validators;
                    if commit.weight(validators) * 3 <= validators.total_weight() * 2 {
                        self.broken = Some("I2: a commit of less than a quorum");
                    }
                    self.decided = Some(context.value(Some(hash)));
                }
                Effect::EquivocationSeen { first, .. } => {
                    let signer = match &first {
                        BlockMessage::Proposal(proposal) => proposal.validator,
                        BlockMessage::Vote(vote) => vote.validator,
                    };
                    // A state that stands for others may have heard other votes of the same node.
                    if place_of(&signer) != BYZANTINE && context.plan.delivery == Delivery::EachVote {
                        self.broken = Some("I10: a contradiction of an honest node is reported");
                    }
                }
                Effect::RoundStarted { .. } => self.building = None,
                // What is sent again was sent before, and timeouts may elapse at any time.
                Effect::Resend(_) | Effect::ScheduleTimeout { .. } => {}
            }
        }
    }

    fn say(&mut self, context: &Context, vote: &BlockVote) {
        let Some(said) = self.said.get_mut(vote.round as usize) else { return };
        let said = &mut said[usize::from(vote.step == VoteStep::Precommit)];
        let value = context.value(vote.value);
        if said.is_some_and(|before| before != value) {
            self.broken = Some("I3: an honest node signed two values for one step of a round");
        }
        *said = Some(value);
    }

    fn persist(&mut self, context: &Context) {
        match self.queue.pop_front() {
            Some(Record::Proposal(proposal)) => {
                self.journal.proposals.push(proposal.clone());
                let value = context.value(Some(proposal.block.header.hash()));
                if self.proposed.iter().any(|(round, ..)| *round == proposal.round) {
                    self.broken = Some("I3: an honest node made two proposals in one round");
                }
                self.proposed.insert((proposal.round, value, proposal.pol_round));
                self.feed(context, Input::ProposalReceived(proposal));
            }
            Some(Record::Vote { vote, behind }) => {
                if let Some((proposal, prevotes)) = behind {
                    self.journal.proposals.push(proposal);
                    self.journal.votes.extend(prevotes);
                }
                self.journal.votes.push(vote.clone());
                self.say(context, &vote);
                self.feed(context, Input::VoteReceived(vote));
            }
            None => {}
        }
    }

    pub fn persist_all(&mut self, context: &Context) {
        while !self.queue.is_empty() {
            self.persist(context);
        }
    }

    fn restart(&mut self, context: &Context) {
        self.queue.clear();
        self.building = None;
        self.accepted.clear();
        let mut journal = self.journal.clone();
        let me = id(self.me);
        let own = journal.votes.iter().filter(|vote| vote.validator == me);
        let last = own.map(|vote| vote.round).max();
        if context.plan.lacks(Mutation::LocksForgotten) {
            journal.votes.retain(|vote| Some(vote.round) == last);
        }
        if context.plan.lacks(Mutation::VotesForgotten) {
            journal = Journaled::default();
        }
        let (machine, effects) = Machine::restore(context.height(self.me), journal);
        self.machine = machine;
        self.check_machine();
        self.execute(context, effects);
    }

    /// A vote for a block says nothing to a node that does not know the block.
    fn know(&mut self, context: &Context, value: Value) {
        if let Some(hash) = context.hash(value)
            && !self.machine.has_block(&hash)
        {
            let round = context.plan.first_rounds[usize::from(value)];
            self.feed(context, Input::ProposalReceived(context.proposal(round, value, None)));
        }
    }

    fn receive(&mut self, context: &Context, voter: u8, step: VoteStep, round: Round, value: Value) {
        self.feed(context, Input::VoteReceived(context.vote(voter, step, round, value)));
    }

    /// The votes of these others and of the Byzantine one for one value.
    fn receive_same(&mut self, context: &Context, step: VoteStep, round: Round, value: Value, others: u8) {
        for (bit, voter) in [1, 2].into_iter().zip(Self::others(self.me)) {
            if others & bit != 0 {
                self.receive(context, voter, step, round, value);
            }
        }
        self.receive(context, BYZANTINE, step, round, value);
    }

    /// The places of the other honest nodes, in the order in which a happening names them.
    pub fn others(me: u8) -> [u8; 2] {
        match me {
            0 => [1, 2],
            1 => [0, 2],
            _ => [0, 1],
        }
    }

    pub fn happens(&mut self, context: &Context, what: Happening) {
        match what {
            Happening::Due => self.feed(context, Input::HeightDue),
            Happening::Timeout(kind) => {
                let round = self.machine.round();
                self.feed(context, Input::TimeoutElapsed { kind, round });
            }
            Happening::Fresh(value) => self.know(context, value),
            Happening::Acceptable(value) => {
                self.know(context, value);
                if let Some(hash) = context.hash(value) {
                    self.accepted.insert(value);
                    self.feed(context, Input::BlockAcceptable { hash });
                }
            }
            Happening::Unacceptable(value) => {
                self.know(context, value);
                if let Some(hash) = context.hash(value).filter(|_| !self.accepted.contains(&value)) {
                    self.feed(context, Input::BlockUnacceptable { hash });
                }
            }
            Happening::Again { round, value, pol_round, others } => {
                let proposal = context.proposal(round, value, Some(pol_round));
                self.feed(context, Input::ProposalReceived(proposal));
                let trusting = context.plan.lacks(Mutation::ProofUnchecked);
                let others = if trusting { 3 } else { others };
                self.receive_same(context, VoteStep::Prevote, pol_round, value, others);
            }
            Happening::Quorum { step, round, value, others } => {
                self.know(context, value);
                self.receive_same(context, step, round, value, others);
            }
            Happening::Expired { step, others } => {
                let round = self.machine.round();
                for (voter, said) in Self::others(self.me).into_iter().zip(others) {
                    if let Some(value) = said {
                        self.receive(context, voter, step, round, value);
                    }
                }
                self.receive(context, BYZANTINE, step, round, NIL);
                let kind = match step {
                    VoteStep::Prevote => TimeoutKind::Prevote,
                    VoteStep::Precommit => TimeoutKind::Precommit,
                };
                self.feed(context, Input::TimeoutElapsed { kind, round });
            }
            Happening::Later { round, other, value } => {
                let voter = Self::others(self.me)[usize::from(other)];
                self.receive(context, voter, VoteStep::Prevote, round, value);
                self.receive(context, BYZANTINE, VoteStep::Prevote, round, NIL);
            }
            Happening::Vote { voter, step, round, value } => self.receive(context, voter, step, round, value),
            Happening::Built(value) => {
                if let Some(round) = self.building.take() {
                    let block = Arc::new(context.blocks[usize::from(value)].clone());
                    self.feed(context, Input::BlockBuilt { round, block });
                }
            }
            Happening::Persist => self.persist(context),
            Happening::Restart => self.restart(context),
        }
    }
}

impl Local for Node {
    type Summary = Summary;
    type Context = Context;
    const CODES: usize = CODES as usize;

    fn write_key(&self, context: &Context, key: &mut String) {
        let Self { me, machine, journal, queue, said, proposed, decided, broken, .. } = self;
        let building = self.builds();
        let _ = write!(key, "{me} {queue:?} {said:?} {proposed:?} {building:?} {decided:?} {broken:?} ");
        if self.is_forgetful {
            key.push_str(&forgetful_key(machine, context.plan.has_turn(*me)));
        } else {
            let _ = write!(key, "{machine:?} {journal:?}");
        }
    }

    fn summary(&self, context: &Context) -> Summary {
        let mut said = 0;
        for votes in self.said.iter().rev() {
            for vote in votes.iter().rev() {
                said = said << 4 | u32::from(said_code(*vote));
            }
        }
        let proposed = self.proposed.iter();
        Summary {
            round: self.machine.round(),
            step: self.machine.current_step(),
            said: SaidBits(said),
            proposed: proposed.fold(0, |bits, (round, value, pol)| bits | proposal_bit(*round, *value, *pol)),
            locked: self.machine.locked().map(|(round, hash)| (round, context.value(Some(hash)))),
            decided: self.decided,
            decided_round: self.machine.decided().map_or(0, |(round, _)| round),
            building: self.builds().is_some(),
            broken: self.broken,
        }
    }

    fn step(&self, context: &Context, code: Code) -> Option<Self> {
        let what = Happening::of(code);
        let next = self.after(context, what);
        if next.machine.round() >= context.plan.rounds() {
            return None;
        }
        if context.plan.delivery == Delivery::EachVote {
            return Some(next);
        }
        let round = self.machine.round();
        let counts = match what {
            Happening::Restart | Happening::Persist => true,
            // Otherwise votes together made a quorum, which another happening brings.
            Happening::Expired { step: VoteStep::Prevote, .. } => next.said[round as usize][1] == Some(NIL),
            Happening::Expired { step: VoteStep::Precommit, .. } => next.machine.round() > round,
            _ => next.view(context) != self.view(context),
        };
        if counts && !context.plan.slow_disk { Some(next.forgetful(context)) } else { counts.then_some(next) }
    }

    fn mirrored(_: &Context, code: Code) -> Code {
        Happening::of(code).mirrored().code()
    }
}
