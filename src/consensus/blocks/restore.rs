//! What the journal says of blocks, taken over at a start and whenever a height begins that it knows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::super::moment::Moment;
use super::BftConsensus;
use super::candidates::Candidates;
use super::committing::CommittingBlocks;
use super::past::PastWords;
use super::rounds::Pushes;
use crate::protocol::bft::{self, HeightContext};
use crate::protocol::state::LedgerState;
use crate::types::{BlockHash, BlockVote, Commit, Height, MasternodeId, Round, VoteStep};

/// What the journal of a node that starts says of blocks.
#[derive(Default)]
pub(in crate::consensus) struct JournaledBlocks {
    /// For each height what its machine has to know.
    pub(in crate::consensus) heights: BTreeMap<Height, bft::Journaled>,
    /// Own votes.
    pub(in crate::consensus) own_votes: BTreeMap<(Height, Round, VoteStep), Arc<BlockVote>>,
    /// Own proposals.
    pub(in crate::consensus) own_proposals: BTreeMap<(Height, Round), BlockHash>,
}

/// The context of the height after this state.
fn height_context(state: &LedgerState, me: Option<MasternodeId>) -> HeightContext {
    let height = state.height().saturating_add(1);
    HeightContext {
        chain_id: *state.chain_id(),
        height,
        epoch: state.next_epoch(),
        validators: Arc::clone(state.validators()),
        proposer_order: state.proposer_order(),
        timeout_propose: state.parameters().timeout_propose,
        timeout_prevote: state.parameters().timeout_prevote,
        timeout_precommit: state.parameters().timeout_precommit,
        me: me.and_then(|id| state.validators().index_of(&id)),
    }
}

impl BftConsensus {
    /// A driver at the tip, whose first machine observes only until [`Self::restart_height`] begins the height.
    pub(in crate::consensus) fn new(
        state: &LedgerState,
        last_commit: Commit,
        mut journaled: JournaledBlocks,
    ) -> Self {
        let height = state.height().saturating_add(1);
        let own_votes = journaled.own_votes.split_off(&(height, 0, VoteStep::Prevote));
        let own_proposals = journaled.own_proposals.split_off(&(height, 0));
        let mut past = PastWords::default();
        // Of heights that are over a start reads nothing from the journal.
        past.start_epoch(height);
        Self {
            machine: bft::Machine::new(height_context(state, None)),
            previous: None,
            last_commit,
            inputs: VecDeque::new(),
            candidates: Candidates::default(),
            committing: CommittingBlocks::default(),
            own_votes,
            own_proposals,
            past,
            unsaid: VecDeque::new(),
            later: journaled.heights.split_off(&height),
            triggered_height: 0,
            progress: None,
            pushes: Pushes::default(),
        }
    }

    /// The machine of the next height. What the journal says of it is used up by the one that signs.
    pub(super) fn machine_of_height(&mut self, at: &Moment<'_>) -> (bft::Machine, Vec<bft::Effect>) {
        let me = at.me().map(|identity| identity.id);
        let context = height_context(at.state(), me);
        self.later = self.later.split_off(&context.height);
        let journaled = me.and_then(|_| self.later.remove(&context.height));
        match journaled {
            Some(journaled) => bft::Machine::restore(context, journaled),
            None => (bft::Machine::new(context), Vec::new()),
        }
    }
}
