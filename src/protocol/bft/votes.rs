//! The votes of one height, by round and step, and what they weigh.
//!
//! # Place
//! Used by [`super::machine`] alone.
//!
//! # Invariants
//! - INV-BFT-4, INV-BFT-5: see [`super`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::UNKNOWN_VALUES_MAX;
use crate::types::{BlockHash, BlockVote, Released, Round, SignerBitmap, ValidatorSet, VoteStep};

/// What became of a vote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Added {
    /// It counts.
    Counted,
    /// It counts, and is the first to contradict an earlier one of its validator.
    Contradicts(Released<BlockVote>),
    /// It is known already, from no member, or beyond what is kept of its validator.
    Dropped,
}

/// Votes of one step of one round.
#[derive(Clone, Debug)]
struct StepVotes {
    /// For each place of the set its votes, each for another value, as they came.
    by_validator: Vec<Vec<Released<BlockVote>>>,
    /// The weight behind each value.
    weights: BTreeMap<Option<BlockHash>, u64>,
    /// The weight of those who voted at all.
    any_weight: u64,
}

impl StepVotes {
    fn new(members: usize) -> Self {
        Self { by_validator: vec![Vec::new(); members], weights: BTreeMap::new(), any_weight: 0 }
    }

    fn add(
        &mut self,
        place: usize,
        weight: u64,
        vote: &Released<BlockVote>,
        is_known: impl Fn(&BlockHash) -> bool,
    ) -> Added {
        let Some(kept) = self.by_validator.get_mut(place) else {
            return Added::Dropped;
        };
        if kept.iter().any(|other| other.value == vote.value) {
            return Added::Dropped;
        }
        let is_unknown = |value: &Option<BlockHash>| value.as_ref().is_some_and(|hash| !is_known(hash));
        let unknown = kept.iter().filter(|other| is_unknown(&other.value)).count();
        if is_unknown(&vote.value) && unknown >= UNKNOWN_VALUES_MAX {
            return Added::Dropped;
        }
        let contradicted = if kept.len() == 1 { kept.first().cloned() } else { None };
        if kept.is_empty() {
            self.any_weight = self.any_weight.saturating_add(weight);
        }
        kept.push(vote.clone());
        let sum = self.weights.entry(vote.value).or_default();
        *sum = sum.saturating_add(weight);
        contradicted.map_or(Added::Counted, Added::Contradicts)
    }

    fn has_voted(&self, place: usize) -> bool {
        self.by_validator.get(place).is_some_and(|kept| !kept.is_empty())
    }

    fn voters(&self) -> SignerBitmap {
        let mut bitmap = SignerBitmap::empty(self.by_validator.len());
        (0..self.by_validator.len())
            .filter(|place| self.has_voted(*place))
            .for_each(|place| bitmap.set(place));
        bitmap
    }

    fn weight_of(&self, value: Option<BlockHash>) -> u64 {
        self.weights.get(&value).copied().unwrap_or(0)
    }

    fn has_block_quorum(&self, quorum: u64) -> bool {
        self.weights.iter().any(|(value, weight)| value.is_some() && *weight >= quorum)
    }
}

/// Votes of one round.
#[derive(Clone, Debug)]
struct RoundVotes {
    prevotes: StepVotes,
    precommits: StepVotes,
    /// The weight of those who cast any vote in this round.
    voters_weight: u64,
}

impl RoundVotes {
    fn new(members: usize) -> Self {
        Self { prevotes: StepVotes::new(members), precommits: StepVotes::new(members), voters_weight: 0 }
    }

    const fn step(&self, step: VoteStep) -> &StepVotes {
        match step {
            VoteStep::Prevote => &self.prevotes,
            VoteStep::Precommit => &self.precommits,
        }
    }

    const fn step_mut(&mut self, step: VoteStep) -> &mut StepVotes {
        match step {
            VoteStep::Prevote => &mut self.prevotes,
            VoteStep::Precommit => &mut self.precommits,
        }
    }
}

/// All votes of a height that are kept.
#[derive(Clone, Debug)]
pub(super) struct VoteKeeper {
    validators: Arc<ValidatorSet>,
    quorum: u64,
    rounds: BTreeMap<Round, RoundVotes>,
    /// Blocks with precommits of a quorum, as the quorums came about.
    committed: Vec<(Round, BlockHash)>,
}

impl VoteKeeper {
    pub(super) fn new(validators: Arc<ValidatorSet>) -> Self {
        let quorum = validators.quorum();
        Self { validators, quorum, rounds: BTreeMap::new(), committed: Vec::new() }
    }

    /// Keeps a vote within the bounds; `is_known` tells the blocks that this round's voters can have seen.
    pub(super) fn add(&mut self, vote: &Released<BlockVote>, is_known: impl Fn(&BlockHash) -> bool) -> Added {
        let Some((place, weight)) = self
            .validators
            .index_of(&vote.validator)
            .and_then(|place| Some((place, self.validators.get(place)?.weight)))
        else {
            return Added::Dropped;
        };
        let members = self.validators.len();
        let round = self.rounds.entry(vote.round).or_insert_with(|| RoundVotes::new(members));
        let is_first = !round.prevotes.has_voted(place) && !round.precommits.has_voted(place);
        let added = round.step_mut(vote.step).add(place, weight, vote, is_known);
        if added == Added::Dropped {
            return added;
        }
        if is_first {
            round.voters_weight = round.voters_weight.saturating_add(weight);
        }
        if let (VoteStep::Precommit, Some(hash)) = (vote.step, vote.value) {
            let entry = (vote.round, hash);
            if round.precommits.weight_of(vote.value) >= self.quorum && !self.committed.contains(&entry) {
                self.committed.push(entry);
            }
        }
        added
    }

    /// Whether this validator's vote for this value is kept.
    pub(super) fn contains(&self, vote: &BlockVote) -> bool {
        let place = self.validators.index_of(&vote.validator);
        let kept = self.rounds.get(&vote.round).zip(place);
        kept.and_then(|(round, place)| round.step(vote.step).by_validator.get(place))
            .is_some_and(|votes| votes.iter().any(|other| other.value == vote.value))
    }

    /// Blocks with precommits of a quorum.
    pub(super) fn committed(&self) -> &[(Round, BlockHash)] {
        &self.committed
    }

    /// Whether a quorum votes for one value.
    pub(super) fn has_quorum(&self, round: Round, step: VoteStep, value: Option<BlockHash>) -> bool {
        self.weight_of(round, step, value) >= self.quorum
    }

    /// Whether a quorum votes, for whatever values.
    pub(super) fn has_any_quorum(&self, round: Round, step: VoteStep) -> bool {
        self.any_weight(round, step) >= self.quorum
    }

    /// The weight of those who voted at all.
    pub(super) fn any_weight(&self, round: Round, step: VoteStep) -> u64 {
        self.rounds.get(&round).map_or(0, |votes| votes.step(step).any_weight)
    }

    /// The weight behind a value.
    pub(super) fn weight_of(&self, round: Round, step: VoteStep, value: Option<BlockHash>) -> u64 {
        self.rounds.get(&round).map_or(0, |votes| votes.step(step).weight_of(value))
    }

    /// Blocks with prevotes of a quorum in a round, ascending by hash: one, as long as less than a third is faulty.
    pub(super) fn prevoted_blocks(&self, round: Round) -> impl Iterator<Item = BlockHash> {
        let weights = self.rounds.get(&round).map(|votes| &votes.prevotes.weights);
        weights.into_iter().flatten().filter_map(|(value, weight)| value.filter(|_| *weight >= self.quorum))
    }

    /// The highest round from `first` on in which more than a third of the weight voted.
    pub(super) fn round_of_more_than_third(&self, first: Round) -> Option<Round> {
        let mut later = self.rounds.range(first..).rev();
        later.find(|(_, votes)| self.validators.exceeds_third(votes.voters_weight)).map(|(round, _)| *round)
    }

    /// Whether more than a third of the weight voted for this block in some round and step.
    pub(super) fn is_demanded(&self, hash: &BlockHash) -> bool {
        let value = Some(*hash);
        self.rounds.values().any(|votes| {
            let weight = votes.prevotes.weight_of(value).max(votes.precommits.weight_of(value));
            self.validators.exceeds_third(weight)
        })
    }

    /// Whose votes are kept.
    pub(super) fn voters(&self, round: Round, step: VoteStep) -> SignerBitmap {
        let votes = self.rounds.get(&round).map(|votes| votes.step(step).voters());
        votes.unwrap_or_else(|| SignerBitmap::empty(self.validators.len()))
    }

    /// The votes for a value in the set's order, with their places.
    pub(super) fn votes_for(
        &self,
        round: Round,
        step: VoteStep,
        value: Option<BlockHash>,
    ) -> impl Iterator<Item = (usize, &Released<BlockVote>)> {
        self.votes_of(round, step).filter(move |(_, vote)| vote.value == value)
    }

    /// All votes of a step in the set's order, with their places.
    pub(super) fn votes_of(
        &self,
        round: Round,
        step: VoteStep,
    ) -> impl Iterator<Item = (usize, &Released<BlockVote>)> {
        let votes = self.rounds.get(&round).map(|votes| &votes.step(step).by_validator);
        votes
            .into_iter()
            .flatten()
            .enumerate()
            .flat_map(|(place, kept)| kept.iter().map(move |vote| (place, vote)))
    }

    /// Drops the rounds before `first` in which no block has a quorum.
    pub(super) fn forget_before(&mut self, first: Round) {
        let quorum = self.quorum;
        self.rounds.retain(|round, votes| {
            *round >= first
                || votes.prevotes.has_block_quorum(quorum)
                || votes.precommits.has_block_quorum(quorum)
        });
    }

    /// Counts everything afresh and compares.
    ///
    /// # Panics
    /// When INV-BFT-4 does not hold.
    pub(super) fn check_invariants(&self) {
        for (round, votes) in &self.rounds {
            let weight_of_places = |has: &dyn Fn(usize) -> bool| {
                let members = self.validators.members().iter().enumerate();
                members
                    .filter(|(place, _)| has(*place))
                    .fold(0_u64, |sum, (_, m)| sum.saturating_add(m.weight))
            };
            for step in [VoteStep::Prevote, VoteStep::Precommit] {
                let kept = votes.step(step);
                assert_eq!(
                    kept.any_weight,
                    weight_of_places(&|place| kept.has_voted(place)),
                    "INV-BFT-4: round {round} {step:?}: weight of any value"
                );
                for (value, weight) in &kept.weights {
                    let behind = |place: usize| {
                        let kept = kept.by_validator.get(place);
                        kept.is_some_and(|kept| kept.iter().any(|vote| vote.value == *value))
                    };
                    assert_eq!(
                        *weight,
                        weight_of_places(&behind),
                        "INV-BFT-4: round {round} {step:?} {value:?}"
                    );
                }
            }
            let voted = |place: usize| votes.prevotes.has_voted(place) || votes.precommits.has_voted(place);
            assert_eq!(votes.voters_weight, weight_of_places(&voted), "INV-BFT-4: round {round}: voters");
        }
    }
}
