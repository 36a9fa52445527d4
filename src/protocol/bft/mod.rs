//! The block layer's Tendermint machine: messages and timeouts of one height in, orders out.
//!
//! Source: Buchman, Kwon, Milosevic, "The latest gossip on BFT consensus", arXiv 1807.04938; "line" below and in the
//! code is a line of its algorithm 1. `f + 1` is there "more than a third of the weight", `2f + 1` is the quorum `Q`.
//!
//! # Place
//! `consensus/blocks` owns one [`Machine`] a height. It checks signatures, epoch, height and membership before it hands a
//! message in, and executes the effects: it signs, journals, syncs, then sends, and hands its own messages in once they
//! are durable. The simulator executes the same effects. The machine knows no clock, no disk and no network.
//!
//! # Transitions
//! After each input the rules below are tried from the top until none is enabled ([`Machine::step`]).
//!
//! | line | step | when | then |
//! |---|---|---|---|
//! | 49 | any | `Q` precommits for a block in any round, the block known and valid | decide; collect its late precommits |
//! | 55 | any | votes of more than W/3 in one later round (in `NewHeight`: in any round) | start that round |
//! | 55 | any | validators of more than W/3 were seen beyond the window of rounds | start the highest round reached by that weight |
//! | 10 | `NewHeight` | the height is due, or a valid block is proposed for round 0 | start round 0 |
//! | 22 | `Propose` | proposal without proof-of-lock round; locked on another block, invalid or unacceptable | prevote nil |
//! | 22 | `Propose` | the same; not locked on another, valid **and** acceptable | prevote it |
//! | 28 | `Propose` | proposal with proof-of-lock round, `Q` prevotes for it there; locked on another later, or invalid | prevote nil |
//! | 28 | `Propose` | the same; not locked on another later, valid (acceptable or not) | prevote it |
//! | 57 | `Propose` | propose timeout | prevote nil |
//! | 36 | `Prevote` | `Q` prevotes for a block of this round, known and valid | lock it, precommit it, it is the valid value |
//! | 36 | `Precommit` | the same, first time in this round | it is the valid value |
//! | 44 | `Prevote` | `Q` prevotes for nil | precommit nil |
//! | 61 | `Prevote` | prevote timeout | precommit nil |
//! | 34 | `Prevote` | prevotes of `Q`, first time in this round | schedule the prevote timeout |
//! | 47 | started | precommits of `Q`, first time in this round | schedule the precommit timeout |
//! | 65 | started | precommit timeout | start the next round |
//!
//! Starting a round (line 11): its proposer proposes its valid value again, or orders a block to be built; everybody,
//! the proposer too, schedules the propose timeout, since building may fail.
//!
//! # The two kinds of validity
//! *Valid* is a function of (previous state, block), the same for everybody. *Acceptable* are the local checks of a
//! first prevote (everything certified in this node's view, its promises kept, the clock); it goes from false to true
//! only, and counts at line 22 alone. Were it asked at line 28 or 36, a few validators could lock a block that the rest
//! refuse for ever. One of these checks can fail for good: a node makes no promises any more when its epoch is closing,
//! so a last block without one of them stays *unacceptable*, and waiting for the propose timeout would only lengthen
//! the pause between two epochs.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `machine.rs` | what follows from each input: the table above |
//! | `machine/log.rs` | which messages are kept, refused and forgotten |
//! | `machine/restart.rs` | what a journal makes of a height |
//! | `machine/reading.rs` | nothing: what others may ask |
//! | `votes.rs` | what votes weigh |
//!
//! # Invariants
//! - INV-BFT-1: a machine emits at most one value for each (round, step) and one proposal a round, restarts included:
//!   it emits only what it then remembers, for the current round, which never goes back.
//! - INV-BFT-2: a lock is the value of the highest non-nil precommit that was emitted or journaled.
//! - INV-BFT-3: the valid value's round is at least the lock's.
//! - INV-BFT-4: each validator counts at most once for a value, and once for the quorums of any value, in a (round,
//!   step). Contradicting votes all count, each for its own value: the paper's log has them all, and an equivocator
//!   that showed one node one vote must not make another node deaf to it.
//! - INV-BFT-5: memory is bounded: see [`PROPOSALS_PER_ROUND_MAX`], [`UNKNOWN_VALUES_MAX`], [`ROUNDS_BEHIND_MAX`] and
//!   [`ROUNDS_AHEAD_MAX`](crate::types::limits::ROUNDS_AHEAD_MAX).
//! - INV-BFT-6: a decision's commit has weight of at least the quorum, and nothing is voted after it.
//! - INV-BFT-7: a block is validated once it can matter: its round is reached, or more than a third of the weight voted
//!   for it.
//!
//! # What is forgotten
//! Messages of rounds long past that hold no quorum and no block that anybody needs. Nothing is lost by it: a block is
//! proposed again together with its proof of lock, and who decided in such a round serves the block to the others.
//! Votes beyond the window ahead are dropped too, but the round that their validator has reached is kept, so that a
//! node that is far behind still catches up.
//!
#![doc = include_str!("protocol.md")]

mod machine;
#[cfg(test)]
mod tests;
mod votes;

use std::sync::Arc;

use crate::types::genesis::Timeout;
use crate::types::{
    BlockBlueprint, BlockHash, BlockVote, ChainId, Commit, Epoch, Height, Proposal, Released, Round,
    ValidatorSet, VoteStep,
};

pub use machine::{Machine, ProposalError};

/// Proposals of one round that are kept without need, at most: a second one is the evidence of a contradiction.
/// Further ones are kept only if votes of more than a third of the weight name their block.
pub const PROPOSALS_PER_ROUND_MAX: usize = 2;
/// Values whose block is unknown, of one validator in one (round, step), that are kept at most. An honest validator has
/// one; two show a contradiction.
pub const UNKNOWN_VALUES_MAX: usize = 2;
/// Rounds behind the current one in which everything is kept.
pub const ROUNDS_BEHIND_MAX: u32 = 64;

/// What is fixed for a height.
#[derive(Clone, Debug)]
pub struct HeightContext {
    /// The network.
    pub chain_id: ChainId,
    /// The height to decide.
    pub height: Height,
    /// Its epoch.
    pub epoch: Epoch,
    /// The epoch's set.
    pub validators: Arc<ValidatorSet>,
    /// Places in the set; round `r` is proposed by entry `r` modulo the length.
    pub proposer_order: Vec<usize>,
    /// How long a round waits for its proposal.
    pub timeout_propose: Timeout,
    /// How long a round waits after prevotes of a quorum.
    pub timeout_prevote: Timeout,
    /// How long a round waits after precommits of a quorum.
    pub timeout_precommit: Timeout,
    /// This node's place in the set; `None` observes only.
    pub me: Option<usize>,
}

/// Where a machine is within its round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Step {
    /// Round 0 has not started.
    NewHeight,
    /// Waits for a proposal.
    Propose,
    /// Has prevoted.
    Prevote,
    /// Has precommitted.
    Precommit,
    /// Has decided.
    Decided,
}

/// The three timeouts of a round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TimeoutKind {
    /// No proposal came that could be prevoted.
    Propose,
    /// Prevotes of a quorum came, but not for one value.
    Prevote,
    /// Precommits of a quorum came, but not for one block.
    Precommit,
}

/// A signed message of the block layer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BlockMessage {
    /// A proposal.
    Proposal(Released<Proposal>),
    /// A prevote or precommit.
    Vote(Released<BlockVote>),
}

/// What a node finds in its journal for a height after a restart: its own messages and what was made durable with
/// them, in the order of the journal.
#[derive(Clone, Debug, Default)]
pub struct Journaled {
    /// Own proposals, and those behind own precommits.
    pub proposals: Vec<Released<Proposal>>,
    /// Own votes, and the prevotes behind own precommits.
    pub votes: Vec<Released<BlockVote>>,
}

/// What has to be durable together with a precommit for a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Justification {
    /// A proposal of the block.
    pub proposal: Released<Proposal>,
    /// The prevotes of a quorum for it in the precommit's round, in the set's order.
    pub prevotes: Vec<Released<BlockVote>>,
}

/// A fact that the machine is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// Round 0 is due by the clock.
    HeightDue,
    /// A proposal, its signature checked; own ones once they are durable.
    ProposalReceived(Released<Proposal>),
    /// A vote, its signature checked; own ones once they are durable.
    VoteReceived(Released<BlockVote>),
    /// The block that [`Effect::BuildBlock`] ordered.
    BlockBuilt {
        /// The round it was ordered for.
        round: Round,
        /// The block; its header names this round and this node.
        block: Arc<BlockBlueprint>,
    },
    /// The answer to [`Effect::ValidateBlock`].
    BlockValidated {
        /// The block.
        hash: BlockHash,
        /// Whether it is valid on the previous state. The first answer stands.
        valid: bool,
    },
    /// The local checks of a first prevote hold for this block.
    BlockAcceptable {
        /// The block.
        hash: BlockHash,
    },
    /// They never will: it would end the epoch without an own promise. It gets a nil prevote at once instead of one at
    /// the timeout; a proof of lock is answered as ever.
    BlockUnacceptable {
        /// The block.
        hash: BlockHash,
    },
    /// A timeout that was scheduled has run out.
    TimeoutElapsed {
        /// Which one.
        kind: TimeoutKind,
        /// The round it was scheduled for.
        round: Round,
    },
}

/// An order to the executor. Effects are executed in their order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// A round has started.
    RoundStarted {
        /// The round.
        round: Round,
    },
    /// Build a block to propose (the paper's `getValue`), answered by [`Input::BlockBuilt`] when it is ready.
    BuildBlock {
        /// The round it is for.
        round: Round,
    },
    /// Check a block: [`Input::BlockValidated`] once, and [`Input::BlockAcceptable`] when the local checks hold.
    /// Ordered once for each block, when a round is reached in which it was proposed or more than a third of the weight
    /// voted for it; and again after a restart or for a block that was forgotten meanwhile.
    ValidateBlock {
        /// The block.
        block: Arc<BlockBlueprint>,
    },
    /// Sign, journal, then send a proposal.
    Propose {
        /// The round.
        round: Round,
        /// The round of the proof of lock, if the block is proposed again; its prevotes
        /// ([`Machine::proof_of_lock_votes`]) travel with it.
        pol_round: Option<Round>,
        /// The block.
        block: Arc<BlockBlueprint>,
    },
    /// Sign, journal, then send a vote.
    Vote {
        /// Prevote or precommit.
        step: VoteStep,
        /// The round.
        round: Round,
        /// The block, or nil.
        value: Option<BlockHash>,
        /// For a precommit of a block: what has to be durable with it.
        justification: Option<Box<Justification>>,
    },
    /// Send an own message from the journal again, as it is.
    Resend(BlockMessage),
    /// Report [`Input::TimeoutElapsed`] after this time.
    ScheduleTimeout {
        /// Which one.
        kind: TimeoutKind,
        /// The round.
        round: Round,
        /// From now.
        duration_ms: u64,
    },
    /// The height is decided; emitted once.
    Decide {
        /// The round of the precommits.
        round: Round,
        /// The block.
        hash: BlockHash,
        /// All precommits known for it in this round.
        commit: Commit,
    },
    /// A validator signed two messages that contradict each other; reported once for each validator, kind and round
    /// that is kept.
    EquivocationSeen {
        /// The one that came first.
        first: BlockMessage,
        /// The other one.
        second: BlockMessage,
    },
}
