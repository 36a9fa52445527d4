//! Local states that stand for many: nodes that heard no more than what they did takes.

use timed::protocol::bft::{Machine, Step, TimeoutKind};
use timed::types::{Round, VoteStep};

use super::happening::{Happening, NIL, Value};
use super::node::{Context, Node};
use crate::text::{field, fields, rewritten};

/// What a node does that others can see, and what it remembers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    Enter(Round),
    Build(Value),
    /// A prevote, with the round of the proof that it rests on.
    Prevote(Value, Option<Round>),
    Precommit(Value),
    /// A valid value that is not the lock.
    Valid(Value),
    Decide(Round, Value),
    Restart,
}

/// What the future of a forgetful node's machine depends on, as a text. Left out is what is over: votes of earlier
/// rounds (here these are the own ones, and those that say nothing; see [`Node::forgetful`]), what ran out in an
/// earlier step, and whether the node knows and accepts a block whose first proposal it has answered, since whatever
/// brings votes for a block brings the block too. Nothing follows a decision.
pub fn forgetful_key(machine: &Machine, has_turn: bool) -> String {
    if machine.current_step() == Step::Decided {
        return format!("{:?}", machine.decided());
    }
    let text = format!("{machine:?}");
    let round = machine.round();
    let has_answered = machine.current_step() >= Step::Prevote;
    let first = if has_answered { round + 1 } else { round };
    let round_of = |name: &str| name.parse::<Round>().expect("a round");
    let since = |first: Round, text: &str| -> String {
        fields(text).into_iter().filter(|(name, _)| round_of(name) >= first).map(|(_, kept)| kept).collect()
    };
    let blocks = |text: &str| -> String {
        let first_round = |block: &str| {
            let header = field(field(field(block, "proposal"), "block"), "header");
            round_of(field(header, "round"))
        };
        let open = fields(text).into_iter().filter(|(_, block)| first_round(block) >= first);
        open.map(|(hash, block)| format!("{hash} {}", field(block, "acceptable"))).collect()
    };
    let votes = |text: &str| {
        rewritten(text, &["rounds", "committed"], |name, value| match name {
            "rounds" => since(round, value),
            _ => String::new(),
        })
    };
    let is_waiting = machine.current_step() == Step::NewHeight;
    let left_out = ["is_due", "progress", "valid", "proposals", "blocks", "votes", "context"];
    rewritten(&text, &left_out, |name, value| match name {
        "is_due" if is_waiting => value.to_owned(),
        "progress" if has_turn => field(value, "has_valid").to_owned(),
        "valid" if has_turn => value.to_owned(),
        "proposals" => since(first, value),
        "blocks" => blocks(value),
        "votes" => votes(value),
        _ => String::new(),
    })
}

impl Node {
    pub fn after(&self, context: &Context, what: Happening) -> Self {
        let mut next = self.clone();
        next.happens(context, what);
        if !context.plan.slow_disk {
            next.persist_all(context);
        }
        next.is_forgetful = false;
        next.note_acts(self, context, what);
        next
    }

    fn note_acts(&mut self, before: &Self, context: &Context, what: Happening) {
        if what == Happening::Restart {
            self.acts.push(Act::Restart);
            return;
        }
        let (was, is) = (before.machine.round(), self.machine.round());
        let has_started = before.machine.current_step() == Step::NewHeight
            && self.machine.current_step() != Step::NewHeight;
        if was == is && has_started {
            self.acts.push(Act::Enter(is));
        }
        if let Happening::Built(value) = what
            && before.proposed != self.proposed
        {
            self.acts.push(Act::Build(value));
        }
        let proof = match what {
            Happening::Again { pol_round, .. } => Some(pol_round),
            _ => None,
        };
        let has_turn = context.plan.has_turn(self.me);
        let (valid_before, valid) = (before.machine.valid(), self.machine.valid().filter(|_| has_turn));
        for round in if was == is { vec![is] } else { vec![was, is] } {
            if round != was {
                self.acts.push(Act::Enter(round));
            }
            let Some([prevote, precommit]) = self.said.get(round as usize).copied() else { continue };
            let said_before = before.said[round as usize];
            if let Some(value) = prevote.filter(|_| said_before[0].is_none()) {
                let rests = value != NIL && context.plan.first_rounds[usize::from(value)] != round;
                self.acts.push(Act::Prevote(value, proof.filter(|_| rests)));
            }
            if let Some(value) = precommit.filter(|_| said_before[1].is_none()) {
                self.acts.push(Act::Precommit(value));
            }
            if let Some((at, hash)) = valid.filter(|_| valid != valid_before)
                && at == round
                && precommit != Some(context.value(Some(hash)))
            {
                self.acts.push(Act::Valid(context.value(Some(hash))));
            }
        }
        if let (None, Some((round, hash))) = (before.machine.decided(), self.machine.decided()) {
            self.acts.push(Act::Decide(round, context.value(Some(hash))));
        }
    }

    /// A state of the same acts, of a node that heard as little as they take. Of votes in its stead it hears
    ///
    /// - votes for nil, where time ran out, of a step that is over: nothing counts them any more;
    /// - votes for a block, where a quorum for that block made it act: all others' votes, cast or not. That a quorum
    ///   exists is a fact, so nothing more can come of them.
    ///
    /// So this node can do nothing that the one that it stands for can't do. And it can do all that that one can:
    /// what it has not heard it can hear any time, and each happening brings all the votes that it takes.
    pub fn forgetful(self, context: &Context) -> Self {
        let mut node = Self::first(context, self.me);
        for act in &self.acts {
            let round = node.machine.round();
            let quorum = |step, round, value| Happening::Quorum { step, round, value, others: 3 };
            let happenings = match *act {
                Act::Enter(to) => {
                    let start = (node.machine.current_step() == Step::NewHeight).then_some(Happening::Due);
                    let expired = (round..to).map(|at| {
                        let has_voted = node.said[at as usize][1].is_some();
                        let others = if has_voted { [Some(NIL), None] } else { [Some(NIL); 2] };
                        Happening::Expired { step: VoteStep::Precommit, others }
                    });
                    start.into_iter().chain(expired).collect()
                }
                Act::Build(value) => vec![Happening::Built(value)],
                Act::Prevote(NIL, _) => vec![Happening::Timeout(TimeoutKind::Propose)],
                Act::Prevote(value, None) => vec![Happening::Acceptable(value)],
                Act::Prevote(value, Some(pol_round)) => {
                    vec![Happening::Again { round, value, pol_round, others: 3 }]
                }
                Act::Precommit(NIL) => {
                    vec![Happening::Expired { step: VoteStep::Prevote, others: [Some(NIL), None] }]
                }
                Act::Precommit(value) | Act::Valid(value) => vec![quorum(VoteStep::Prevote, round, value)],
                Act::Decide(at, value) => vec![quorum(VoteStep::Precommit, at, value)],
                Act::Restart => vec![Happening::Restart],
            };
            for what in happenings {
                node = node.after(context, what);
            }
        }
        // A proposer that skipped a round of its own can't be led through it.
        if node.view(context) != self.view(context) {
            return self;
        }
        node.acts = self.acts;
        node.is_forgetful = true;
        node
    }
}
