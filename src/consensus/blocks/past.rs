//! What this node's key said at heights of the epoch that are over: what is not here, and comes, another node said.
//!
//! # Invariants
//! - INV-BLOCKS-PAST-1: from the first height on that is remembered, everything that this node said is remembered; at
//!   most [`PAST_WORDS_MAX`] words are.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::types::{BlockHash, BlockVote, Height, Message, Round, VoteStep};

/// Own proposals and votes of heights that are over, at most; the oldest heights are forgotten first. An honest node says
/// three at a height.
const PAST_WORDS_MAX: usize = 8_192;

/// A proposal (no step), or a vote.
type Word = (Height, Round, Option<VoteStep>);

/// The own words of one epoch, as who they were said.
#[derive(Debug, Default)]
pub(super) struct PastWords {
    words: BTreeMap<Word, Option<BlockHash>>,
    /// Nothing is known of lower heights.
    from: Height,
}

impl PastWords {
    /// Another epoch began, whose first height this is.
    pub(super) fn start_epoch(&mut self, first: Height) {
        self.words.clear();
        self.from = first;
    }

    /// Takes over what was said at heights that are over now.
    pub(super) fn extend(
        &mut self,
        votes: BTreeMap<(Height, Round, VoteStep), Arc<BlockVote>>,
        proposals: BTreeMap<(Height, Round), BlockHash>,
    ) {
        let votes =
            votes.into_iter().map(|((height, round, step), vote)| ((height, round, Some(step)), vote.value));
        let proposals =
            proposals.into_iter().map(|((height, round), hash)| ((height, round, None), Some(hash)));
        self.words.extend(votes.chain(proposals).filter(|((height, ..), _)| *height >= self.from));
        while self.words.len() > PAST_WORDS_MAX {
            let Some(((height, ..), _)) = self.words.pop_first() else { return };
            self.from = height.saturating_add(1);
            self.words = self.words.split_off(&(self.from, 0, None));
        }
    }

    /// Whether a message under the own key was not said by this node; false where that is not known.
    pub(super) fn is_foreign(&self, message: &Message) -> bool {
        let (word, value) = match message {
            Message::Proposal(proposal) => {
                let header = &proposal.block.header;
                ((header.height, proposal.round, None), Some(header.hash()))
            }
            Message::BlockVote(vote) => ((vote.height, vote.round, Some(vote.step)), vote.value),
            _ => return false,
        };
        word.0 >= self.from && self.words.get(&word) != Some(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{MasternodeId, Released, Signature};

    fn vote(height: Height, step: VoteStep, value: Option<BlockHash>) -> BlockVote {
        let (validator, signature) = (MasternodeId::ZERO, Signature::EMPTY);
        BlockVote { step, epoch: 0, height, round: 0, value, validator, signature }
    }

    /// INV-BLOCKS-PAST-1.
    #[test]
    fn heights_are_forgotten_as_a_whole_and_what_was_said_is_never_foreign() {
        let mut past = PastWords::default();
        past.start_epoch(1);
        let heights = 1..=u64::try_from(PAST_WORDS_MAX).unwrap();
        let steps = [VoteStep::Prevote, VoteStep::Precommit];
        for height in heights.clone() {
            let said = steps.map(|step| ((height, 0, step), Arc::new(vote(height, step, None))));
            past.extend(BTreeMap::from(said), BTreeMap::new());
            assert!(past.words.len() <= PAST_WORDS_MAX);
        }
        let is_foreign = |height, step, value| {
            past.is_foreign(&Message::BlockVote(Released::heard(vote(height, step, value))))
        };
        for height in heights.clone() {
            assert!(steps.iter().all(|step| !is_foreign(height, *step, None)), "of height {height}");
        }
        let other = Some(BlockHash([1; 32]));
        let known = heights.filter(|height| is_foreign(*height, VoteStep::Prevote, other)).count();
        assert_eq!(known, PAST_WORDS_MAX / 2, "a copy is found out at all that are remembered");
    }

    /// INV-BLOCKS-PAST-1: a height of many rounds takes the room of many heights.
    #[test]
    fn words_stay_within_their_number_however_many_a_height_has() {
        let mut past = PastWords::default();
        past.start_epoch(1);
        let most = u64::try_from(PAST_WORDS_MAX).unwrap();
        let said = |height, rounds: Round| {
            let votes = (0..rounds).map(|round| {
                let vote = Arc::new(BlockVote { round, ..vote(height, VoteStep::Prevote, None) });
                ((height, round, VoteStep::Prevote), vote)
            });
            votes.collect()
        };
        (1..=most).for_each(|height| past.extend(said(height, 1), BTreeMap::new()));
        assert_eq!(past.words.len(), PAST_WORDS_MAX);
        for height in most + 1..most + 10 {
            past.extend(said(height, 100), BTreeMap::new());
            assert!(past.words.len() <= PAST_WORDS_MAX, "INV-BLOCKS-PAST-1: {}", past.words.len());
        }
        let other = BlockVote { round: 100, ..vote(most + 9, VoteStep::Prevote, None) };
        assert!(past.is_foreign(&Message::BlockVote(Released::heard(other))), "the last ones are remembered");
    }
}
