//! The finality rules and the closing of epochs: what can happen in the whole system, and what must hold.

mod happening;
mod ledger;
mod node;

use timed::types::{Epoch, VoteKind};

use self::happening::{Happening, KINDS, vote_name};
use self::ledger::{A, B, C, Chain, NAMES, ROOT, Tx};
use self::node::{Context, Node, Summary, vote_bit};
use crate::checker::{Action, Arena, BYZANTINE, HONEST, Id, Model, View, World};

pub use self::ledger::LedgerPlan;
pub use self::node::{Delivery, Mutation, Rules};

/// No block of the next height has a prevote yet.
const NONE: u32 = 0xff;

/// What [`Model::sights`] looks for.
pub mod sights {
    pub const CERTIFIED: u32 = 1;
    pub const FINAL: u32 = 1 << 1;
    pub const CHILD_FINAL: u32 = 1 << 2;
    pub const CLOSING: u32 = 1 << 3;
    pub const EPOCH_ENDED: u32 = 1 << 4;
    /// The epoch ended with a certified transaction left out.
    pub const LEFT_OUT: u32 = 1 << 5;
    /// Of two conflicting ones, one was certified in one epoch and the other became final in the next.
    pub const OTHER_NEXT_EPOCH: u32 = 1 << 6;
    /// A closing block that does not end the epoch.
    pub const FULL_CLOSING_BLOCK: u32 = 1 << 7;
    pub const NAMES: [&str; 8] = [
        "certified",
        "final",
        "a final child",
        "closing",
        "an epoch ended",
        "left out",
        "the other one in the next epoch",
        "a full closing block",
    ];
}

pub struct FinalityModel {
    arena: Arena<Node>,
    /// Only properties whose names begin so are checked.
    only: &'static str,
}

impl FinalityModel {
    pub fn new(plan: LedgerPlan, rules: Rules) -> Self {
        Self { arena: Arena::new(Context::new(plan, rules), true), only: "" }
    }

    /// Checks properties whose names begin so, and no others.
    pub fn only(self, only: &'static str) -> Self {
        Self { only, ..self }
    }

    fn rules(&self) -> Rules {
        self.arena.context.rules
    }

    fn summaries(&self, world: World) -> [Summary; HONEST] {
        world.nodes.map(|id| *self.arena.summary(id))
    }

    fn transactions(&self) -> std::ops::Range<Tx> {
        0..self.arena.context.ledger.transactions.len() as Tx
    }

    fn chain(world: World) -> Chain {
        (world.shared >> 8) as Chain
    }

    /// The child of the chain that has prevotes, if one has.
    fn candidate(world: World) -> Option<u8> {
        Some(world.shared & 0xff).filter(|child| *child != NONE).map(|child| child as u8)
    }

    fn shared(chain: Chain, candidate: Option<u8>) -> u32 {
        u32::from(chain) << 8 | candidate.map_or(NONE, u32::from)
    }

    /// The transactions whose vote more than one honest node sent: with the Byzantine one's that is a quorum.
    fn by_votes(summaries: &[Summary; HONEST], epoch: Epoch, kind: VoteKind, tx: Tx) -> bool {
        summaries.iter().filter(|node| node.said & vote_bit(epoch, kind, tx) != 0).count() > 1
    }

    fn is_certified(summaries: &[Summary; HONEST], epoch: Epoch, tx: Tx) -> bool {
        let seen = summaries.iter().any(|node| node.epoch == epoch && node.certified & 1 << tx != 0);
        seen || Self::by_votes(summaries, epoch, VoteKind::Lock, tx)
    }

    fn is_final(summaries: &[Summary; HONEST], epoch: Epoch, tx: Tx) -> bool {
        let called =
            summaries.iter().any(|node| node.called_final & vote_bit(epoch, VoteKind::Final, tx) != 0);
        called || Self::by_votes(summaries, epoch, VoteKind::Final, tx)
    }

    /// Who of the others has sent this vote, as seen from a node; bit 0 is the next one.
    fn senders(summaries: &[Summary; HONEST], place: usize, bit: u32) -> u8 {
        let sent = |step: usize| u8::from(summaries[(place + step) % HONEST].said & bit != 0);
        sent(1) | sent(2) << 1
    }

    fn try_on(&mut self, world: World, place: usize, what: Happening, out: &mut Vec<(Action, World)>) {
        let code = what.code();
        let Some(next) = self.arena.step(world.nodes[place], code) else { return };
        let mut after = world;
        after.nodes[place] = next;
        if let Happening::Prevote { child } = what {
            after.shared = Self::shared(Self::chain(world), Some(child));
        }
        out.push((Action::Node { place: place as u8, code }, after));
    }

    fn votes(
        &mut self,
        world: World,
        place: usize,
        summaries: &[Summary; HONEST],
        out: &mut Vec<(Action, World)>,
    ) {
        let epoch = summaries[place].epoch;
        let old = self.rules().lacks(Mutation::OldVotesCount) && epoch > 0;
        for kind in KINDS {
            for tx in self.transactions() {
                // What a node takes for final matters to it for the sake of children only; whether it is final is
                // seen from the votes that were sent.
                let matters = kind == VoteKind::Lock || tx == A;
                if self.rules().delivery == Delivery::Together && !matters {
                    continue;
                }
                let mut bits = vote_bit(epoch, kind, tx);
                if old {
                    bits |= vote_bit(epoch - 1, kind, tx);
                }
                let others = Self::senders(summaries, place, bits);
                match self.rules().delivery {
                    Delivery::EachVote => {
                        for voter in (1..=2).filter(|voter| others & voter != 0).chain([BYZANTINE]) {
                            self.try_on(world, place, Happening::Vote { voter, kind, tx }, out);
                        }
                    }
                    Delivery::Together => {
                        self.try_on(world, place, Happening::Quorum { kind, tx, others }, out);
                    }
                }
            }
        }
    }

    fn blocks(
        &mut self,
        world: World,
        place: usize,
        summaries: &[Summary; HONEST],
        out: &mut Vec<(Action, World)>,
    ) {
        let (node, tip) = (summaries[place], Self::chain(world));
        let ledger = &self.arena.context.ledger;
        let length = ledger.get(node.chain).length;
        if node.chain != tip {
            let next = ledger.prefix(tip, length + 1);
            let child = ledger.get(node.chain).children.iter().position(|child| *child == next);
            let child = child.expect("the chain goes on") as u8;
            self.try_on(world, place, Happening::Apply { child }, out);
            return;
        }
        let children = ledger.get(tip).children.len() as u8;
        match Self::candidate(world) {
            Some(child) => self.try_on(world, place, Happening::Prevote { child }, out),
            None => {
                for child in 0..children {
                    self.try_on(world, place, Happening::Prevote { child }, out);
                }
            }
        }
    }

    /// The next height is decided once a block of it has prevotes of a quorum: the Byzantine one's and two honest ones.
    fn commit(&self, world: World, summaries: &[Summary; HONEST], out: &mut Vec<(Action, World)>) {
        let Some(child) = Self::candidate(world) else { return };
        let block = self.arena.context.ledger.get(Self::chain(world)).children[usize::from(child)];
        if summaries.iter().filter(|node| node.prevote == Some(block)).count() > 1 {
            out.push((Action::Shared(0), World { shared: Self::shared(block, None), ..world }));
        }
    }

    fn conflicts(tx: Tx, other: Tx) -> bool {
        // A child stands or falls with its parent.
        matches!((tx, other), (A | C, B) | (B, A | C))
    }

    fn check(&self, property: impl FnOnce() -> String) -> Option<String> {
        Some(property()).filter(|property| property.starts_with(self.only))
    }

    fn broken_vote(&self, summaries: &[Summary; HONEST], epoch: Epoch) -> Option<String> {
        let twice =
            |node: &Summary| [A, B].iter().all(|tx| node.said & vote_bit(epoch, VoteKind::Lock, *tx) != 0);
        let certified = |tx| Self::is_certified(summaries, epoch, tx);
        let conflicting = self.transactions().contains(&B);
        let i3 = (conflicting && summaries.iter().any(twice))
            .then(|| self.check(|| format!("I3: an honest node voted Lock(A) and Lock(B) in epoch {epoch}")));
        let s1 = (conflicting && certified(A) && certified(B))
            .then(|| self.check(|| format!("S1: A and B are both certified in epoch {epoch}")));
        i3.flatten().or(s1.flatten())
    }

    fn broken_final(&self, finals: &[(Epoch, Tx)], tip: Chain) -> Option<String> {
        let name = |tx: Tx| NAMES[usize::from(tx)];
        let entry = self.arena.context.ledger.get(tip);
        finals.iter().find_map(|(epoch, tx)| {
            let i5 = finals.iter().find(|(_, other)| Self::conflicts(*tx, *other)).and_then(|(_, other)| {
                self.check(|| format!("I5: {} and {} are both final", name(*tx), name(*other)))
            });
            let mut rivals = self.transactions().filter(|other| Self::conflicts(*tx, *other));
            let conflict = rivals.find(|other| entry.all & 1 << other != 0).and_then(|rival| {
                self.check(|| format!("I6: {} is final, {} is in the chain", name(*tx), name(rival)))
            });
            let lost = (entry.state.next_epoch() > *epoch && entry.all & 1 << tx == 0).then(|| {
                self.check(|| format!("I6: epoch {epoch} ended without {}, which is final in it", name(*tx)))
            });
            i5.or(conflict).or(lost.flatten())
        })
    }

    fn uncertified_in_block(&self, summaries: &[Summary; HONEST], tip: Chain) -> Option<String> {
        let mut at = tip;
        while at != ROOT {
            let entry = self.arena.context.ledger.get(at);
            let is_certified = |tx: &Tx| Self::by_votes(summaries, entry.epoch, VoteKind::Lock, *tx);
            if let Some(tx) = entry.in_order.iter().find(|tx| !is_certified(tx)) {
                let name = NAMES[usize::from(*tx)];
                let epoch = entry.epoch;
                return self.check(|| format!("rule 4: {name} is in a block of epoch {epoch}, uncertified"));
            }
            at = entry.parent;
        }
        None
    }
}

impl Model for FinalityModel {
    type Local = Node;

    fn arena(&mut self) -> &mut Arena<Node> {
        &mut self.arena
    }

    fn first(&mut self) -> World {
        let node = Node::first(&self.arena.context);
        let id: Id = self.arena.insert(node);
        World { nodes: [id; HONEST], shared: Self::shared(ROOT, None) }
    }

    fn successors(&mut self, world: World, out: &mut Vec<(Action, World)>) {
        let summaries = self.summaries(world);
        let rules = self.rules();
        for place in 0..HONEST {
            for tx in self.transactions() {
                self.try_on(world, place, Happening::Body(tx), out);
            }
            self.votes(world, place, &summaries, out);
            self.blocks(world, place, &summaries, out);
            if rules.slow_disk {
                self.try_on(world, place, Happening::Persist, out);
            }
            if rules.restarts {
                self.try_on(world, place, Happening::Restart, out);
            }
            if rules.wipes {
                self.try_on(world, place, Happening::Wipe, out);
            }
            if rules.listens {
                self.try_on(world, place, Happening::Sign, out);
            }
        }
        self.commit(world, &summaries, out);
    }

    fn broken(&mut self, world: World) -> Option<String> {
        let (summaries, tip) = (self.summaries(world), Self::chain(world));
        let epochs = 0..=self.arena.context.ledger.get(tip).state.next_epoch();
        let finals = epochs.clone().flat_map(|epoch| self.transactions().map(move |tx| (epoch, tx)));
        let finals: Vec<_> = finals.filter(|(epoch, tx)| Self::is_final(&summaries, *epoch, *tx)).collect();
        let conduct = summaries.iter().find_map(|node| node.broken);
        conduct
            .and_then(|rule| self.check(|| rule.to_owned()))
            .or_else(|| epochs.into_iter().find_map(|epoch| self.broken_vote(&summaries, epoch)))
            .or_else(|| self.broken_final(&finals, tip))
            .or_else(|| self.uncertified_in_block(&summaries, tip))
    }

    fn view(&mut self, world: World) -> View {
        let of_node = |node: &Summary| {
            let prevote = node.prevote.map_or(0, |chain| u128::from(chain) + 1);
            let locked = node.locked.map_or(0, |tx| u128::from(tx) + 1);
            let flags = u128::from(node.closing) << 4 | locked;
            let head =
                u128::from(node.said) << 32 | u128::from(node.certified) << 16 | u128::from(node.chain);
            head << 48 | prevote << 8 | flags
        };
        let mut nodes = self.summaries(world).map(|node| of_node(&node));
        nodes.sort_unstable();
        let [one, two, three] = nodes;
        [one, two, three, world.shared.into()]
    }

    fn sights(&mut self, world: World) -> u32 {
        let (summaries, tip) = (self.summaries(world), Self::chain(world));
        let entry = self.arena.context.ledger.get(tip);
        let last = entry.state.next_epoch();
        let any = |epoch: Epoch, of: fn(&[Summary; HONEST], Epoch, Tx) -> bool| {
            self.transactions().any(|tx| of(&summaries, epoch, tx))
        };
        let left_out = |tx: Tx| Self::is_certified(&summaries, 0, tx) && entry.all & 1 << tx == 0;
        let other = |tx: Tx, rival: Tx| {
            Self::by_votes(&summaries, 0, VoteKind::Lock, tx) && Self::is_final(&summaries, 1, rival)
        };
        let seen = [
            (sights::CERTIFIED, any(0, Self::is_certified)),
            (sights::FINAL, any(0, Self::is_final)),
            (sights::CHILD_FINAL, Self::is_final(&summaries, 0, C)),
            (sights::CLOSING, summaries.iter().any(|node| node.closing)),
            (sights::EPOCH_ENDED, last > 0),
            (sights::LEFT_OUT, last > 0 && self.transactions().any(left_out)),
            (sights::OTHER_NEXT_EPOCH, other(A, B) || other(B, A)),
            (sights::FULL_CLOSING_BLOCK, entry.closing && !entry.epoch_end),
        ];
        seen.into_iter().filter(|(_, seen)| *seen).fold(0, |bits, (bit, _)| bits | bit)
    }

    fn describe(&mut self, before: World, action: Action, after: World) -> String {
        let Action::Node { place, code } = action else {
            let chain = Self::chain(after);
            return format!("{} is committed", self.arena.context.ledger.block_name(chain));
        };
        let name = |steps: u8| match steps {
            BYZANTINE => "the Byzantine one".to_owned(),
            steps => format!("node {}", (place + steps) % HONEST as u8),
        };
        let me = name(0);
        let node = &before.nodes[usize::from(place)];
        let ledger = &self.arena.context.ledger;
        let child = |child: u8| {
            let chain = self.arena.get(*node).chain;
            ledger.block_name(ledger.get(chain).children[usize::from(child)])
        };
        let what = match Happening::of(code) {
            Happening::Body(tx) => format!("{me} receives transaction {}", NAMES[usize::from(tx)]),
            Happening::Vote { voter, kind, tx } => {
                format!("{me} receives {} of {}", vote_name(kind, tx), name(voter))
            }
            Happening::Quorum { kind, tx, others } => {
                let from: Vec<_> =
                    (1..=2).filter(|voter| others & voter != 0).chain([BYZANTINE]).map(name).collect();
                format!("{me} receives {} of {}", vote_name(kind, tx), from.join(" and "))
            }
            Happening::Persist => format!("the oldest write of {me} becomes durable"),
            Happening::Restart => format!("{me} restarts"),
            Happening::Sign => format!("{me} has listened for long enough and signs"),
            Happening::Wipe => format!("{me} restarts without its chain, with its journal"),
            Happening::Prevote { child: block } => format!("{me} prevotes for {}", child(block)),
            Happening::Apply { child: block } => format!("{me} applies {}", child(block)),
        };
        let (was, is) = (self.arena.summary(*node), self.arena.summary(after.nodes[usize::from(place)]));
        let new = is.said & !was.said;
        let mut said = Vec::new();
        for epoch in 0..=is.epoch {
            for kind in KINDS {
                let sent = self.transactions().filter(|tx| new & vote_bit(epoch, kind, *tx) != 0);
                said.extend(sent.map(|tx| format!("{} of epoch {epoch}", vote_name(kind, tx))));
            }
        }
        if said.is_empty() { what } else { format!("{what}; it sends {}", said.join(", ")) }
    }
}
