//! Machines wired by a random scheduler: loss, repetition, any order, timeouts at any moment, crashes between an order
//! and its journal, and one equivocator of less than a third of the weight; then the network heals.
//!
//! `TIMED_BFT_SEEDS` sets how many seeds run, `TIMED_BFT_SEED` replays one.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

struct Random(u64);

impl Random {
    /// splitmix64
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.next() % 100 < chance
    }

    fn take<T>(&mut self, items: &mut Vec<T>) -> Option<T> {
        if items.is_empty() {
            return None;
        }
        let index = self.below(items.len());
        Some(items.swap_remove(index))
    }
}

struct Node {
    machine: Machine,
    journal: Journaled,
    /// With the number of the order that set it.
    timers: Vec<(usize, TimeoutKind, Round)>,
    decided: Option<BlockHash>,
}

struct World {
    random: Random,
    seed: u64,
    weights: Vec<u64>,
    byzantine: Option<usize>,
    nodes: Vec<Node>,
    /// On the way: to whom, and what.
    flying: Vec<(usize, Input)>,
    /// Every value that an honest node made durable.
    said: BTreeMap<(usize, Round, VoteStep), Option<BlockHash>>,
    proposed: BTreeMap<(usize, Round), Released<Proposal>>,
    /// A proposal of each block that anybody sent.
    carriers: BTreeMap<BlockHash, Released<Proposal>>,
    tags: BTreeMap<BlockHash, u8>,
    is_healed: bool,
    crashes: usize,
    timers_set: usize,
    highest_round: Round,
}

/// A tag makes a block valid for everybody or for nobody, acceptable soon or never.
const fn is_valid(tag: u8) -> bool {
    tag % 8 != 7
}

const fn is_soon_acceptable(tag: u8) -> bool {
    tag % 4 != 3
}

/// Who signed it; nobody, if it is an answer of the node's own tasks.
fn sender(input: &Input) -> Option<MasternodeId> {
    match input {
        Input::ProposalReceived(proposal) => Some(proposal.validator),
        Input::VoteReceived(vote) => Some(vote.validator),
        _ => None,
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let members = 4 + random.below(4);
        let unequal = random.percent(50);
        let mut weight = || if unequal { 1 + random.next() % 10 } else { 1 };
        let weights: Vec<u64> = (0..members).map(|_| weight()).collect();
        let total: u64 = weights.iter().sum();
        let candidate = random.below(members);
        let byzantine = (3 * weights[candidate] < total).then_some(candidate);
        let nodes = (0..members).map(|place| Node {
            machine: Machine::new(context_of(&weights, Some(place))),
            journal: Journaled::default(),
            timers: Vec::new(),
            decided: None,
        });
        Self {
            nodes: nodes.collect(),
            random,
            seed,
            weights,
            byzantine,
            flying: Vec::new(),
            said: BTreeMap::new(),
            proposed: BTreeMap::new(),
            carriers: BTreeMap::new(),
            tags: BTreeMap::new(),
            is_healed: false,
            crashes: 0,
            timers_set: 0,
            highest_round: 0,
        }
    }

    fn members(&self) -> usize {
        self.weights.len()
    }

    fn quorum(&self) -> u64 {
        self.weights.iter().sum::<u64>() * 2 / 3 + 1
    }

    fn honest(&self) -> Vec<usize> {
        (0..self.members()).filter(|place| Some(*place) != self.byzantine).collect()
    }

    fn new_block(&mut self, round: Round, tag: u8) -> BlockBlueprint {
        let mut block = block(round, self.members(), tag);
        block.header.time = 1 + self.random.next() % 1_000_000;
        self.tags.insert(hash_of(&block), tag);
        block
    }

    fn broadcast(&mut self, input: &Input) {
        for to in self.honest() {
            self.flying.push((to, input.clone()));
        }
    }

    fn give(&mut self, place: usize, input: Input) {
        let effects = self.nodes[place].machine.step(input);
        self.execute(place, effects);
        self.nodes[place].machine.check_invariants();
        self.highest_round = self.highest_round.max(self.nodes[place].machine.round());
    }

    fn crash(&mut self, place: usize) {
        self.crashes += 1;
        self.nodes[place].timers.clear();
        // What only this node's own tasks had in hand is gone.
        self.flying.retain(|(to, input)| *to != place || sender(input).is_some());
        let journal = self.nodes[place].journal.clone();
        let (machine, effects) = Machine::restore(context_of(&self.weights, Some(place)), journal);
        self.nodes[place].machine = machine;
        self.execute(place, effects);
        self.nodes[place].machine.check_invariants();
    }

    /// Executes effects in order; a crash may come before or after one becomes durable.
    fn execute(&mut self, place: usize, effects: Vec<Effect>) {
        for effect in effects {
            let is_message = matches!(effect, Effect::Vote { .. } | Effect::Propose { .. });
            if is_message && !self.is_healed && self.random.percent(2) {
                return self.crash(place);
            }
            let message = match effect {
                Effect::RoundStarted { .. } => continue,
                Effect::BuildBlock { round } => {
                    let tag = (self.random.below(32) * 8) as u8;
                    let block = Arc::new(self.new_block(round, tag));
                    self.flying.push((place, Input::BlockBuilt { round, block }));
                    continue;
                }
                Effect::ValidateBlock { block } => {
                    let hash = hash_of(&block);
                    let tag = self.tags[&hash];
                    self.flying.push((place, Input::BlockValidated { hash, valid: is_valid(tag) }));
                    if is_soon_acceptable(tag) && (self.is_healed || self.random.percent(70)) {
                        self.flying.push((place, Input::BlockAcceptable { hash }));
                    } else if self.random.percent(50) {
                        self.flying.push((place, Input::BlockUnacceptable { hash }));
                    }
                    continue;
                }
                Effect::ScheduleTimeout { kind, round, .. } => {
                    self.timers_set += 1;
                    self.nodes[place].timers.push((self.timers_set, kind, round));
                    continue;
                }
                Effect::Decide { hash, commit, .. } => {
                    self.check_decision(place, hash, &commit);
                    continue;
                }
                Effect::EquivocationSeen { first, second } => {
                    assert_ne!(first, second);
                    let validator = match &first {
                        BlockMessage::Proposal(proposal) => proposal.validator,
                        BlockMessage::Vote(vote) => vote.validator,
                    };
                    assert_eq!(Some(validator), self.byzantine.map(id), "seed {}: I10", self.seed);
                    continue;
                }
                Effect::Resend(message) => {
                    let journal = &self.nodes[place].journal;
                    let is_journaled = match &message {
                        BlockMessage::Proposal(proposal) => journal.proposals.contains(proposal),
                        BlockMessage::Vote(vote) => journal.votes.contains(vote),
                    };
                    assert!(is_journaled, "seed {}: resent what was not journaled", self.seed);
                    message
                }
                Effect::Propose { round, pol_round, block } => self.propose(place, round, pol_round, &block),
                Effect::Vote { step, round, value, justification } => {
                    self.check_vote(place, step, round, value, justification.as_deref());
                    let vote = vote(step, place, round, value);
                    let journal = &mut self.nodes[place].journal;
                    if let Some(because) = justification {
                        journal.proposals.push(because.proposal);
                        journal.votes.extend(because.prevotes);
                    }
                    journal.votes.push(vote.clone());
                    BlockMessage::Vote(vote)
                }
            };
            if !self.is_healed && self.random.percent(2) {
                return self.crash(place);
            }
            let input = match message {
                BlockMessage::Proposal(proposal) => Input::ProposalReceived(proposal),
                BlockMessage::Vote(vote) => Input::VoteReceived(vote),
            };
            self.broadcast(&input);
        }
    }

    fn propose(
        &mut self,
        place: usize,
        round: Round,
        pol_round: Option<Round>,
        block: &BlockBlueprint,
    ) -> BlockMessage {
        let proposal = signed_proposal(place, round, pol_round, block);
        assert_eq!(self.nodes[place].machine.check_proposal(&proposal), Ok(()), "seed {}", self.seed);
        let before = self.proposed.insert((place, round), proposal.clone());
        assert!(before.is_none(), "seed {}: I3: {place} proposed twice in {round}", self.seed);
        self.nodes[place].journal.proposals.push(proposal.clone());
        self.carriers.entry(hash_of(block)).or_insert_with(|| proposal.clone());
        BlockMessage::Proposal(proposal)
    }

    /// The weight that may have voted so: the honest who did, and the Byzantine one.
    fn weight_said(&self, round: Round, step: VoteStep, value: Option<BlockHash>) -> u64 {
        let said = |place: &usize| {
            Some(*place) == self.byzantine || self.said.get(&(*place, round, step)) == Some(&value)
        };
        (0..self.members()).filter(said).map(|place| self.weights[place]).sum()
    }

    fn check_vote(
        &mut self,
        place: usize,
        step: VoteStep,
        round: Round,
        value: Option<BlockHash>,
        justification: Option<&Justification>,
    ) {
        let seed = self.seed;
        let before = self.said.insert((place, round, step), value);
        assert!(before.is_none(), "seed {seed}: I3: {place} voted twice in {round} {step:?}");
        if let Some(hash) = value {
            assert!(is_valid(self.tags[&hash]), "seed {seed}: a vote for an invalid block");
        }
        let (VoteStep::Prevote, Some(hash)) = (step, value) else {
            assert_eq!(justification.is_some(), value.is_some(), "seed {seed}");
            if let (Some(because), Some(hash)) = (justification, value) {
                assert_eq!(hash_of(&because.proposal.block), hash);
                let fits = |vote: &Released<BlockVote>| (vote.round, vote.value) == (round, Some(hash));
                assert!(because.prevotes.iter().all(fits));
                let signers: BTreeSet<_> = because.prevotes.iter().map(|vote| vote.validator).collect();
                let weight: u64 =
                    (0..self.members()).filter(|p| signers.contains(&id(*p))).map(|p| self.weights[p]).sum();
                assert!(weight >= self.quorum(), "seed {seed}: a precommit with prevotes of weight {weight}");
                assert!(self.weight_said(round, VoteStep::Prevote, value) >= self.quorum());
            }
            return;
        };
        // I4: a prevote against the last own precommit needs a later proof of lock.
        let precommits = self.said.iter().filter_map(|(&(by, at, of), &said)| {
            (by == place && of == VoteStep::Precommit && at < round).then_some((at, said?))
        });
        if let Some((locked_round, locked)) = precommits.max_by_key(|(at, _)| *at)
            && locked != hash
        {
            let mut later = locked_round..round;
            let is_proven = later.any(|at| self.weight_said(at, VoteStep::Prevote, value) >= self.quorum());
            assert!(is_proven, "seed {seed}: I4: {place} left its lock of round {locked_round} in {round}");
        }
    }

    fn check_decision(&mut self, place: usize, hash: BlockHash, commit: &Commit) {
        let seed = self.seed;
        assert!(is_valid(self.tags[&hash]), "seed {seed}: an invalid block was decided");
        let weight: u64 = commit.signers.iter().map(|place| self.weights[place]).sum();
        assert!(weight >= self.quorum(), "seed {seed}: I2");
        assert_eq!(commit.signers.iter().count(), commit.signatures.len());
        let said = self.weight_said(commit.round, VoteStep::Precommit, Some(hash));
        assert!(said >= self.quorum(), "seed {seed}: I2: precommits that nobody cast");
        let others = self.nodes.iter().filter_map(|node| node.decided);
        assert!(others.clone().all(|other| other == hash), "seed {seed}: I1: two blocks decided");
        self.nodes[place].decided = Some(hash);
    }

    /// The equivocator says something to somebody.
    fn lie(&mut self) {
        let Some(me) = self.byzantine else { return };
        let honest = self.honest();
        let to = honest[self.random.below(honest.len())];
        let round = self.random.below(self.highest_round as usize + 2) as Round;
        let hashes: Vec<_> = self.tags.keys().copied().collect();
        if self.random.percent(30) {
            let mine = (0..=self.highest_round + 1).filter(|r| *r as usize % self.members() == me);
            let mut mine: Vec<_> = mine.collect();
            let Some(round) = self.random.take(&mut mine) else { return };
            let (pol_round, block) = if round > 0 && self.random.percent(50) && !hashes.is_empty() {
                let hash = hashes[self.random.below(hashes.len())];
                let Some(carrier) = self.carriers.get(&hash) else { return };
                let pol_round = self.random.below(round as usize) as Round;
                (Some(pol_round), carrier.block.clone())
            } else {
                let tag = self.random.below(256) as u8;
                (None, self.new_block(round, tag))
            };
            let proposal = signed_proposal(me, round, pol_round, &block);
            self.carriers.entry(hash_of(&block)).or_insert_with(|| proposal.clone());
            self.flying.push((to, Input::ProposalReceived(proposal)));
            return;
        }
        let step = if self.random.percent(50) { VoteStep::Prevote } else { VoteStep::Precommit };
        let value = match self.random.below(10) {
            0 | 1 => None,
            2 => Some(BlockHash([self.random.below(256) as u8; 32])),
            _ if hashes.is_empty() => None,
            _ => Some(hashes[self.random.below(hashes.len())]),
        };
        self.flying.push((to, Input::VoteReceived(vote(step, me, round, value))));
    }

    fn chaos(&mut self, steps: usize) {
        let honest = self.honest();
        for _ in 0..steps {
            let place = honest[self.random.below(honest.len())];
            match self.random.below(100) {
                0..=1 => self.give(place, Input::HeightDue),
                2..=11 => {
                    if let Some((_, kind, round)) = self.random.take(&mut self.nodes[place].timers) {
                        self.give(place, Input::TimeoutElapsed { kind, round });
                    }
                }
                12..=18 => self.lie(),
                19 if self.nodes[place].decided.is_none() && self.random.percent(30) => self.crash(place),
                action => {
                    let Some((to, input)) = self.random.take(&mut self.flying) else { continue };
                    match action {
                        20..=27 if sender(&input).is_some_and(|sender| sender != id(to)) => {} // lost
                        28..=31 => {
                            self.flying.push((to, input.clone()));
                            self.give(to, input);
                        }
                        _ => self.give(to, input),
                    }
                }
            }
        }
    }

    fn deliver_all(&mut self) {
        while let Some((to, input)) = self.random.take(&mut self.flying) {
            self.give(to, input);
        }
    }

    /// What one node sends to another that has told where it stands.
    fn gossip(&self, from: usize, to: usize) -> Vec<Input> {
        let (sender, peer) = (&self.nodes[from].machine, &self.nodes[to].machine);
        let mut inputs = Vec::new();
        for round in BTreeSet::from([sender.round(), peer.round()]) {
            if let Some(proposal) = sender.proposal(round) {
                inputs.push(Input::ProposalReceived(proposal.clone()));
                let pol_round = proposal.pol_round.into_iter();
                let proof =
                    pol_round.flat_map(|pol| sender.proof_of_lock_votes(pol, hash_of(&proposal.block)));
                inputs.extend(proof.map(Input::VoteReceived));
            }
            let (prevotes, precommits) = (peer.prevotes_bitmap(round), peer.precommits_bitmap(round));
            let votes = sender.votes_for_peer(round, &prevotes, &precommits);
            inputs.extend(votes.into_iter().map(Input::VoteReceived));
        }
        // Who has decided serves the block and its commit.
        if let Some((round, hash)) = sender.decided() {
            inputs.push(Input::ProposalReceived(self.carriers[&hash].clone()));
            let commit = sender.late_commit().unwrap();
            let precommit = |place| vote(VoteStep::Precommit, place, round, Some(hash));
            inputs.extend(commit.signers.iter().map(precommit).map(Input::VoteReceived));
        }
        inputs
    }

    /// Once messages are faster than timeouts, these run out in about the order in which they were set: a node that
    /// entered a round first does not give it up before the others have entered it.
    fn fire_oldest_timer(&mut self) {
        let timers = |place: usize| self.nodes[place].timers.iter().map(move |timer| (*timer, place));
        let Some((timer, place)) = (0..self.members()).flat_map(timers).min() else { return };
        self.nodes[place].timers.retain(|other| *other != timer);
        self.give(place, Input::TimeoutElapsed { kind: timer.1, round: timer.2 });
    }

    /// Delivers everything before any timeout, until all have decided.
    fn heal(&mut self) {
        self.is_healed = true;
        let honest = self.honest();
        let hashes: Vec<_> = self.tags.iter().map(|(hash, tag)| (*hash, *tag)).collect();
        for place in honest.clone() {
            self.flying.push((place, Input::HeightDue));
            for (hash, _) in hashes.iter().filter(|(_, tag)| is_soon_acceptable(*tag)) {
                self.flying.push((place, Input::BlockAcceptable { hash: *hash }));
            }
        }
        for _ in 0..400 {
            self.deliver_all();
            for from in honest.clone() {
                for to in honest.clone() {
                    for input in self.gossip(from, to) {
                        self.give(to, input);
                    }
                }
            }
            self.deliver_all();
            if honest.iter().all(|place| self.nodes[*place].machine.decided().is_some()) {
                return;
            }
            self.lie();
            self.fire_oldest_timer();
        }
        let stuck: Vec<_> = honest
            .iter()
            .map(|place| &self.nodes[*place].machine)
            .map(|m| (m.round(), m.current_step(), m.locked(), m.decided()))
            .collect();
        panic!("seed {}: no decision after healing: {stuck:?}", self.seed);
    }
}

fn run_seed(seed: u64) -> (Round, usize) {
    let mut world = World::new(seed);
    let steps = 200 + world.random.below(1_200);
    world.chaos(steps);
    world.heal();
    (world.highest_round, world.crashes)
}

#[test]
fn machines_agree_keep_their_locks_and_decide_once_the_network_heals() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    if let Some(seed) = variable("TIMED_BFT_SEED") {
        run_seed(seed);
        return;
    }
    let seeds = variable("TIMED_BFT_SEEDS").unwrap_or(2_000);
    let (mut rounds, mut crashes) = (0, 0);
    for seed in 0..seeds {
        let outcome = std::panic::catch_unwind(|| run_seed(seed));
        let (round, crashed) = outcome.unwrap_or_else(|_| {
            panic!("replay with TIMED_BFT_SEED={seed} cargo test --lib machines_agree");
        });
        rounds += u64::from(round);
        crashes += crashed;
    }
    // A schedule that never leaves round 0, or never crashes anybody, would prove nothing.
    assert!(rounds > seeds && crashes as u64 > seeds, "{rounds} rounds, {crashes} crashes");
}
