//! Tendermint for one height: what can happen in the whole system, and what must hold.

mod forgetful;
mod happening;
mod node;

use timed::protocol::bft::{Step, TimeoutKind};
use timed::types::{Round, VoteStep};

use self::happening::{Happening, NIL, STEPS, Said, Value};
use self::node::{Context, Node, Summary, proposal_bit};
use crate::checker::{Action, Arena, BYZANTINE, HONEST, Model, View, World};

pub use self::node::{Delivery, Mutation, Plan};

/// What [`Model::sights`] looks for.
pub mod sights {
    pub const LOCKED: u32 = 1;
    pub const DECIDED: u32 = 1 << 1;
    pub const DECIDED_LATER: u32 = 1 << 2;
    /// A block was prevoted again by its proof of lock.
    pub const AGAIN: u32 = 1 << 3;
    pub const NIL_PRECOMMIT: u32 = 1 << 4;
    /// A node moved its lock to another block.
    pub const RELOCKED: u32 = 1 << 5;
    /// Nodes hold locks on different blocks.
    pub const TWO_LOCKS: u32 = 1 << 6;
    pub const ALL: u32 = (1 << 7) - 1;
    pub const NAMES: [&str; 7] = [
        "a lock",
        "a decision",
        "a decision after round 0",
        "a prevote by a proof of lock",
        "a precommit for nil",
        "a lock moved to another block",
        "locks on different blocks",
    ];
}

type Out = Vec<(Action, World)>;

pub struct TendermintModel {
    arena: Arena<Node>,
    /// Only properties whose names begin so are checked.
    only: &'static str,
}

impl TendermintModel {
    pub fn new(plan: Plan) -> Self {
        Self { arena: Arena::new(Context::new(plan), plan.is_symmetric()), only: "" }
    }

    /// Checks properties whose names begin so, and no others.
    pub fn only(self, only: &'static str) -> Self {
        Self { only, ..self }
    }

    fn plan(&self) -> Plan {
        self.arena.context.plan
    }

    fn summaries(&self, world: World) -> [Summary; HONEST] {
        world.nodes.map(|id| *self.arena.summary(id))
    }

    /// The honest nodes other than this one, in the order in which its happenings name them.
    fn others(&self, place: usize) -> [usize; 2] {
        if self.plan().is_symmetric() {
            [(place + 1) % HONEST, (place + 2) % HONEST]
        } else {
            Node::others(place as u8).map(usize::from)
        }
    }

    fn try_on(&mut self, world: World, place: usize, what: Happening, out: &mut Out) {
        let code = what.code();
        let Some(next) = self.arena.step(world.nodes[place], code) else { return };
        let mut after = world;
        after.nodes[place] = next;
        out.push((Action::Node { place: place as u8, code }, after));
    }

    /// Whether the proposer of a round has sent this, or is the Byzantine one, who sends anything.
    fn is_proposed(
        &self,
        summaries: &[Summary; HONEST],
        round: Round,
        value: Value,
        pol_round: Option<Round>,
    ) -> bool {
        let proposer = self.plan().proposers[round as usize];
        proposer == BYZANTINE
            || summaries[usize::from(proposer)].proposed & proposal_bit(round, value, pol_round) != 0
    }

    fn proposals(&mut self, world: World, place: usize, summaries: &[Summary; HONEST], out: &mut Out) {
        let plan = self.plan();
        let mine = summaries[place];
        for value in plan.values() {
            let first = plan.first_rounds[usize::from(value)];
            if self.is_proposed(summaries, first, value, None) {
                self.try_on(world, place, Happening::Fresh(value), out);
                self.try_on(world, place, Happening::Acceptable(value), out);
                self.try_on(world, place, Happening::Unacceptable(value), out);
            } else if mine.building && first == mine.round {
                self.try_on(world, place, Happening::Built(value), out);
            }
            // Only a proposal of the own round makes a node do something.
            for pol_round in first..mine.round {
                if !self.is_proposed(summaries, mine.round, value, Some(pol_round)) {
                    continue;
                }
                let prevoted =
                    |other: usize| summaries[other].said.get(pol_round, VoteStep::Prevote) == Some(value);
                let [one, two] = self.others(place).map(prevoted);
                let others = u8::from(one) | u8::from(two) << 1;
                let own = mine.said.get(pol_round, VoteStep::Prevote) == Some(value);
                if self.is_quorum(others, own) || plan.lacks(Mutation::ProofUnchecked) {
                    let again = Happening::Again { round: mine.round, value, pol_round, others };
                    self.try_on(world, place, again, out);
                }
            }
        }
    }

    /// Whether votes of these others and the own one are a quorum with the Byzantine one's.
    fn is_quorum(&self, others: u8, own: bool) -> bool {
        others.count_ones() + u32::from(own) >= self.arena.context.honest_quorum
    }

    /// For each rule of the machine that waits for votes the votes that it waits for, at once.
    fn votes_together(&mut self, world: World, place: usize, summaries: &[Summary; HONEST], out: &mut Out) {
        let others = self.others(place);
        let said = |round, step| others.map(|other| summaries[other].said.get(round, step));
        let bits = |said: [Said; 2], value: Value| {
            u8::from(said[0] == Some(value)) | u8::from(said[1] == Some(value)) << 1
        };
        let mine = &summaries[place];
        // Lines 36 and 44.
        let prevotes = said(mine.round, VoteStep::Prevote);
        if matches!(mine.step, Step::Prevote | Step::Precommit) {
            for value in self.plan().values().chain([NIL]) {
                let (step, round) = (VoteStep::Prevote, mine.round);
                let others = bits(prevotes, value);
                if self.is_quorum(others, mine.said.get(round, step) == Some(value)) {
                    self.try_on(world, place, Happening::Quorum { step, round, value, others }, out);
                }
            }
        }
        // Line 49.
        for round in 0..self.plan().rounds() {
            let (step, precommits) = (VoteStep::Precommit, said(round, VoteStep::Precommit));
            for value in self.plan().values() {
                let others = bits(precommits, value);
                if self.is_quorum(others, mine.said.get(round, step) == Some(value)) {
                    self.try_on(world, place, Happening::Quorum { step, round, value, others }, out);
                }
            }
        }
        // Lines 34 and 61, 47 and 65: a quorum of any votes, the own one among them if it was cast.
        let precommits = said(mine.round, VoteStep::Precommit);
        for (step, [one, two]) in [(VoteStep::Prevote, prevotes), (VoteStep::Precommit, precommits)] {
            let own = u32::from(mine.said.get(mine.round, step).is_some());
            let waits = step == VoteStep::Precommit || mine.step == Step::Prevote;
            for others in [[None, None], [one, None], [None, two], [one, two]] {
                let votes = own + others.into_iter().flatten().count() as u32;
                if waits && votes == self.arena.context.honest_quorum {
                    self.try_on(world, place, Happening::Expired { step, others }, out);
                }
            }
        }
        // Line 55.
        let later = if mine.step == Step::NewHeight { 0 } else { mine.round + 1 };
        for round in later..self.plan().rounds() {
            for (other, value) in (0..).zip(said(round, VoteStep::Prevote)) {
                if let Some(value) = value {
                    self.try_on(world, place, Happening::Later { round, other, value }, out);
                }
            }
        }
    }

    fn votes(&mut self, world: World, place: usize, summaries: &[Summary; HONEST], out: &mut Out) {
        let plan = self.plan();
        if plan.delivery == Delivery::Together {
            self.votes_together(world, place, summaries, out);
            return;
        }
        let others = self.others(place);
        for round in 0..plan.rounds() {
            for step in STEPS {
                let said = others.map(|other| summaries[other].said.get(round, step));
                let voters = if plan.is_symmetric() { [1, 2] } else { others.map(|other| other as u8) };
                for (voter, value) in voters.into_iter().zip(said) {
                    if let Some(value) = value {
                        self.try_on(world, place, Happening::Vote { voter, step, round, value }, out);
                    }
                }
                for value in plan.values().chain([NIL]) {
                    let vote = Happening::Vote { voter: BYZANTINE, step, round, value };
                    self.try_on(world, place, vote, out);
                }
            }
        }
    }

    /// Whether more than one honest node said this: with the Byzantine one's vote that is a quorum.
    fn by_votes(summaries: &[Summary; HONEST], round: Round, step: VoteStep, value: Value) -> bool {
        summaries.iter().filter(|node| node.said.get(round, step) == Some(value)).count() > 1
    }

    /// I4: after a precommit for a block, a prevote for another one needs a proof of lock of that round or later.
    fn lock_left(&self, summaries: &[Summary; HONEST], node: &Summary) -> Option<String> {
        let mut lock: Option<(Round, Value)> = None;
        for round in 0..self.plan().rounds() {
            if let (Some((locked_round, locked)), Some(value)) =
                (lock, node.said.get(round, VoteStep::Prevote))
                && value != NIL
                && value != locked
                && !(locked_round..round).any(|at| Self::by_votes(summaries, at, VoteStep::Prevote, value))
            {
                let name = |value| self.arena.context.value_name(value);
                return Some(format!(
                    "I4: a node locked on {} in round {locked_round} prevotes {} in round {round} without proof",
                    name(locked),
                    name(value)
                ));
            }
            let precommit = node.said.get(round, VoteStep::Precommit);
            lock = precommit.filter(|value| *value != NIL).map(|value| (round, value)).or(lock);
        }
        None
    }

    /// Rule 4: before any honest node precommits a block, two of them prevoted it at first sight, acceptable.
    fn unaccepted(&self, summaries: &[Summary; HONEST], node: &Summary) -> Option<String> {
        let plan = self.plan();
        let precommits = (0..plan.rounds()).filter_map(|round| node.said.get(round, VoteStep::Precommit));
        let mut blocks = precommits.filter(|value| *value != NIL);
        let value = blocks.find(|value| {
            let first = plan.first_rounds[usize::from(*value)];
            !Self::by_votes(summaries, first, VoteStep::Prevote, *value)
        })?;
        let name = self.arena.context.value_name(value);
        Some(format!("rule 4: {name} is precommitted without first prevotes of two honest nodes"))
    }
}

impl Model for TendermintModel {
    type Local = Node;

    fn arena(&mut self) -> &mut Arena<Node> {
        &mut self.arena
    }

    fn first(&mut self) -> World {
        let symmetric = self.plan().is_symmetric();
        let nodes = [0, 1, 2].map(|place| {
            let node = Node::first(&self.arena.context, if symmetric { 0 } else { place });
            self.arena.insert(node)
        });
        World { nodes, shared: 0 }
    }

    fn successors(&mut self, world: World, out: &mut Out) {
        let summaries = self.summaries(world);
        let plan = self.plan();
        for place in 0..HONEST {
            // Who has decided says nothing more at this height.
            if summaries[place].step == Step::Decided {
                continue;
            }
            self.try_on(world, place, Happening::Due, out);
            self.try_on(world, place, Happening::Timeout(TimeoutKind::Propose), out);
            if plan.delivery == Delivery::EachVote {
                for kind in [TimeoutKind::Prevote, TimeoutKind::Precommit] {
                    self.try_on(world, place, Happening::Timeout(kind), out);
                }
            }
            self.proposals(world, place, &summaries, out);
            self.votes(world, place, &summaries, out);
            if plan.slow_disk {
                self.try_on(world, place, Happening::Persist, out);
            }
            if plan.restarts {
                self.try_on(world, place, Happening::Restart, out);
            }
        }
    }

    fn broken(&mut self, world: World) -> Option<String> {
        let summaries = self.summaries(world);
        let decided: Vec<_> = summaries.iter().filter_map(|node| node.decided).collect();
        let two = decided.iter().any(|value| Some(value) != decided.first());
        let agreement = two.then(|| "I1: two blocks are decided at one height".to_owned());
        let conduct = || summaries.iter().find_map(|node| node.broken).map(str::to_owned);
        let locks = || summaries.iter().find_map(|node| self.lock_left(&summaries, node));
        let accepted = || summaries.iter().find_map(|node| self.unaccepted(&summaries, node));
        let fits = |property: &String| property.starts_with(self.only);
        let later =
            || conduct().filter(fits).or_else(|| locks().filter(fits)).or_else(|| accepted().filter(fits));
        agreement.filter(fits).or_else(later)
    }

    fn view(&mut self, world: World) -> View {
        let of_node = |node: &Summary| {
            let said = u128::from(node.said.0) << 64;
            // Where it was when it decided makes no difference any more.
            if let Some(value) = node.decided {
                return said | (u128::from(value) + 1);
            }
            let locked =
                node.locked.map_or(0, |(round, value)| u128::from(round) * 8 + u128::from(value) + 1);
            said | locked << 32 | (u128::from(node.round) * 8 + node.step as u128) << 16
        };
        let mut nodes = self.summaries(world).map(|node| of_node(&node));
        nodes.sort_unstable();
        let [one, two, three] = nodes;
        [one, two, three, world.shared.into()]
    }

    fn sights(&mut self, world: World) -> u32 {
        let summaries = self.summaries(world);
        let plan = self.plan();
        let any = |holds: &dyn Fn(&Summary) -> bool| summaries.iter().any(holds);
        let precommits = |node: &Summary| -> Vec<Value> {
            (0..plan.rounds()).filter_map(|round| node.said.get(round, VoteStep::Precommit)).collect()
        };
        let blocks = |node: &Summary| -> Vec<Value> {
            precommits(node).into_iter().filter(|value| *value != NIL).collect()
        };
        let again = |node: &Summary| {
            (0..plan.rounds()).any(|round| {
                let value = node.said.get(round, VoteStep::Prevote).filter(|value| *value != NIL);
                value.is_some_and(|value| plan.first_rounds[usize::from(value)] < round)
            })
        };
        let mut locks = summaries.iter().filter_map(|node| node.locked.map(|(_, value)| value));
        let first = locks.next();
        let seen = [
            (sights::LOCKED, first.is_some()),
            (sights::DECIDED, any(&|node| node.decided.is_some())),
            (sights::DECIDED_LATER, any(&|node| node.decided_round > 0)),
            (sights::AGAIN, any(&again)),
            (sights::NIL_PRECOMMIT, any(&|node| precommits(node).contains(&NIL))),
            (sights::RELOCKED, any(&|node| blocks(node).windows(2).any(|pair| pair[0] != pair[1]))),
            (sights::TWO_LOCKS, locks.any(|value| Some(value) != first)),
        ];
        seen.into_iter().filter(|(_, seen)| *seen).fold(0, |bits, (bit, _)| bits | bit)
    }

    fn describe(&mut self, before: World, action: Action, after: World) -> String {
        let Action::Node { place, code } = action else { return String::new() };
        let place = usize::from(place);
        let others = self.others(place);
        let context = &self.arena.context;
        let name = |value: Value| context.value_name(value);
        let me = format!("node {place}");
        let sender = |voter: u8| match voter {
            BYZANTINE => "the Byzantine one".to_owned(),
            voter if context.plan.is_symmetric() => format!("node {}", others[usize::from(voter) - 1]),
            voter => format!("node {voter}"),
        };
        let what = match Happening::of(code) {
            Happening::Due => format!("{me} starts the height"),
            Happening::Timeout(kind) => {
                format!(
                    "the {kind:?} timeout of {me} in round {} runs out",
                    self.arena.summary(before.nodes[place]).round
                )
            }
            Happening::Fresh(value) => format!("{me} receives the proposal of {}", name(value)),
            Happening::Acceptable(value) => {
                format!("{me} has the proposal of {} and accepts it", name(value))
            }
            Happening::Unacceptable(value) => {
                format!("{me} has the proposal of {} and will never accept it", name(value))
            }
            Happening::Again { round, value, pol_round, others: bits } => {
                let from = others.into_iter().zip([1, 2]).filter(|(_, bit)| bits & bit != 0);
                let from: Vec<_> = from.map(|(other, _)| format!("node {other}")).collect();
                format!(
                    "{me} receives the proposal of {} for round {round} with round {pol_round} as its proof, and the \
                     prevotes there of the Byzantine one and {}",
                    name(value),
                    if from.is_empty() { "nobody".to_owned() } else { from.join(" and ") }
                )
            }
            Happening::Quorum { step, round, value, others: bits } => {
                let from = others.into_iter().zip([1, 2]).filter(|(_, bit)| bits & bit != 0);
                let from: String = from.map(|(other, _)| format!(" and node {other}")).collect();
                format!(
                    "{me} receives {step:?}s for {} in round {round} of the Byzantine one{from}",
                    name(value)
                )
            }
            Happening::Expired { step, others: said } => {
                let from = others.into_iter().zip(said);
                let from =
                    from.filter_map(|(other, said)| Some(format!(", {} of node {other}", name(said?))));
                let from: String = from.collect();
                format!("{me} receives {step:?}s: nil of the Byzantine one{from}; the timeout runs out")
            }
            Happening::Later { round, other, value } => {
                let other = others[usize::from(other)];
                format!(
                    "{me} receives prevotes in round {round}: nil of the Byzantine one, {} of node {other}",
                    name(value)
                )
            }
            Happening::Vote { voter, step, round, value } => {
                format!(
                    "{me} receives the {step:?} for {} in round {round} of {}",
                    name(value),
                    sender(voter)
                )
            }
            Happening::Built(value) => format!("{me} has built {}", name(value)),
            Happening::Persist => format!("the oldest write of {me} becomes durable"),
            Happening::Restart => format!("{me} restarts"),
        };
        let (was, is) = (self.arena.summary(before.nodes[place]), self.arena.summary(after.nodes[place]));
        let mut more = Vec::new();
        for round in 0..self.plan().rounds() {
            for step in STEPS {
                let (was, is) = (was.said.get(round, step), is.said.get(round, step));
                if let Some(value) = is.filter(|_| was != is) {
                    more.push(format!("sends {step:?} {} in round {round}", name(value)));
                }
            }
        }
        if is.round != was.round {
            more.push(format!("is in round {}", is.round));
        }
        if let Some(value) = is.decided.filter(|_| was.decided.is_none()) {
            more.push(format!("decides {}", name(value)));
        }
        if more.is_empty() { what } else { format!("{what}; it {}", more.join(", ")) }
    }
}
