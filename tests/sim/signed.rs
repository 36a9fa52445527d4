//! Watches what honest keys sign, and holds each signature to the rules of its layer: not only that nothing went wrong,
//! but that nobody did what only luck kept from going wrong.

use std::collections::{BTreeMap, BTreeSet};

use timed::protocol::state::LedgerState;
use timed::types::{
    BlockBlueprint, BlockHash, BlockVote, Epoch, Height, MasternodeId, Message, OutPoint, Round, TxId,
    ValidatorSet, VoteBatch, VoteKind, VoteStep,
};

/// Everything in the chain, with its height.
pub type Chain = BTreeMap<TxId, Height>;

/// What a signature is held to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scrutiny {
    /// To nothing; it counts.
    None,
    /// That its key signs nothing else in its place.
    Contradictions,
    /// To all rules of its layer.
    Full,
}

#[derive(Default)]
pub struct Signed {
    /// The set that votes at each height, from the block before.
    sets: BTreeMap<Height, ValidatorSet>,
    epoch_sets: BTreeMap<Epoch, ValidatorSet>,
    closing_heights: BTreeSet<Height>,
    inputs: BTreeMap<TxId, Vec<OutPoint>>,
    block_votes: BTreeMap<(MasternodeId, Height, Round, VoteStep), Option<BlockHash>>,
    /// Who prevoted each block, by round.
    prevotes: BTreeMap<(Height, BlockHash, Round), BTreeSet<MasternodeId>>,
    proposals: BTreeMap<(MasternodeId, Height, Round), BlockHash>,
    blocks: BTreeMap<BlockHash, BlockBlueprint>,
    /// Who cast each vote of the finality layer.
    votes: BTreeMap<(Epoch, TxId, VoteKind), BTreeSet<MasternodeId>>,
    locks: BTreeMap<(MasternodeId, Epoch, OutPoint), TxId>,
    promises: BTreeMap<(MasternodeId, Epoch), BTreeSet<TxId>>,
    batches: BTreeSet<(MasternodeId, Epoch, u64)>,
    /// Who prevoted at a closing height.
    closed: BTreeSet<(MasternodeId, Epoch)>,
    /// Keys that nobody holds to anything: what they sign counts, for quorums, and may be anything.
    pub faulty: BTreeSet<MasternodeId>,
}

/// Whether they are more than two thirds of the set; not by the node's own formula.
fn is_quorum(set: &ValidatorSet, who: &BTreeSet<MasternodeId>) -> bool {
    let total: u64 = set.members().iter().map(|member| member.weight).sum();
    let theirs = set.members().iter().filter(|member| who.contains(&member.id));
    3 * theirs.map(|member| member.weight).sum::<u64>() > 2 * total
}

impl Signed {
    /// From this state on the next block is voted on.
    pub fn at(&mut self, state: &LedgerState) {
        let set = state.validators().as_ref();
        self.sets.insert(state.height() + 1, set.clone());
        self.epoch_sets.entry(state.next_epoch()).or_insert_with(|| set.clone());
        if state.is_closing() {
            self.closing_heights.insert(state.height() + 1);
        }
    }

    /// The set that votes at a height.
    pub fn set(&self, height: Height) -> &ValidatorSet {
        self.sets.get(&height).expect("the block before is known")
    }

    /// Names a transaction that votes may speak of.
    pub fn know(&mut self, txid: TxId, inputs: &[OutPoint]) {
        self.inputs.insert(txid, inputs.to_vec());
    }

    fn has_quorum(&self, epoch: Epoch, txid: TxId, kind: VoteKind) -> bool {
        let set = self.epoch_sets.get(&epoch).expect("the epoch has begun");
        self.votes.get(&(epoch, txid, kind)).is_some_and(|who| is_quorum(set, who))
    }

    /// Whether it is certified by all that was signed.
    pub fn is_certified(&self, epoch: Epoch, txid: TxId) -> bool {
        self.has_quorum(epoch, txid, VoteKind::Lock)
    }

    /// Whether it is final by all that was signed.
    pub fn is_final(&self, epoch: Epoch, txid: TxId) -> bool {
        self.has_quorum(epoch, txid, VoteKind::Final)
    }

    /// The blocks that were proposed at a height.
    pub fn blocks_at(&self, height: Height) -> Vec<BlockHash> {
        let blocks = self.blocks.iter().filter(|(_, block)| block.header.height == height);
        blocks.map(|(hash, _)| *hash).collect()
    }

    /// What a node has signed and made durable.
    pub fn see(&mut self, message: &Message, chain: &Chain, scrutiny: Scrutiny) {
        let is_free = |id: &MasternodeId| scrutiny == Scrutiny::None || self.faulty.contains(id);
        match message {
            Message::BlockVote(vote) if is_free(&vote.validator) => {
                if let (VoteStep::Prevote, Some(block)) = (vote.step, vote.value) {
                    self.prevotes.entry((vote.height, block, vote.round)).or_default().insert(vote.validator);
                }
            }
            Message::Proposal(proposal) if is_free(&proposal.validator) => {
                let block = &proposal.block;
                self.blocks.entry(block.header.hash()).or_insert_with(|| block.clone());
            }
            Message::VoteBatch(batch) if is_free(&batch.header.validator) => {
                for vote in &batch.votes {
                    let key = (batch.header.epoch, vote.txid, vote.kind);
                    self.votes.entry(key).or_default().insert(batch.header.validator);
                }
            }
            // INV-BFT-DRIVER-1: restarts included, since what was seen outlives the nodes.
            Message::BlockVote(vote) => {
                let key = (vote.validator, vote.height, vote.round, vote.step);
                match self.block_votes.insert(key, vote.value) {
                    Some(first) => assert_eq!(first, vote.value, "I3: two votes in one step: {key:?}"),
                    None if scrutiny != Scrutiny::Full => {}
                    None => self.see_vote(vote, chain),
                }
            }
            Message::Proposal(proposal) => {
                let block = &proposal.block;
                let hash = block.header.hash();
                let key = (proposal.validator, block.header.height, proposal.round);
                let first = *self.proposals.entry(key).or_insert(hash);
                assert_eq!(first, hash, "I3: two proposals in one round: {key:?}");
                self.blocks.entry(hash).or_insert_with(|| block.clone());
            }
            Message::VoteBatch(batch) => self.see_batch(batch, scrutiny == Scrutiny::Full),
            _ => {}
        }
    }

    /// Rules 1, 2 and 5 of the finality layer.
    fn see_batch(&mut self, batch: &VoteBatch, is_full: bool) {
        let (id, epoch) = (batch.header.validator, batch.header.epoch);
        if !self.batches.insert((id, epoch, batch.header.seq)) {
            return;
        }
        assert!(
            !is_full || !self.closed.contains(&(id, epoch)),
            "I6: {id} votes in epoch {epoch} after it has prevoted on its end"
        );
        for vote in &batch.votes {
            self.votes.entry((epoch, vote.txid, vote.kind)).or_default().insert(id);
            let inputs = self.inputs.get(&vote.txid).expect("a vote for a transaction that nobody made");
            match vote.kind {
                VoteKind::Lock => {
                    for outpoint in inputs {
                        let first = *self.locks.entry((id, epoch, *outpoint)).or_insert(vote.txid);
                        assert_eq!(first, vote.txid, "I3: two Lock votes for conflicting transactions");
                    }
                }
                VoteKind::Final => {
                    self.promises.entry((id, epoch)).or_default().insert(vote.txid);
                    let certified = !is_full || self.is_certified(epoch, vote.txid);
                    assert!(certified, "I5: {id} votes Final for what no quorum has locked");
                }
            }
        }
    }

    /// I4, and rules 4 and 5 of the finality layer.
    fn see_vote(&mut self, vote: &BlockVote, chain: &Chain) {
        let (id, height, round) = (vote.validator, vote.height, vote.round);
        if vote.step == VoteStep::Prevote && self.closing_heights.contains(&height) {
            self.closed.insert((id, vote.epoch));
        }
        let Some(block) = vote.value else { return };
        match vote.step {
            VoteStep::Prevote => {
                self.prevotes.entry((height, block, round)).or_default().insert(id);
                self.is_unlocked(vote, block);
                if !self.was_prevoted(height, block, 0..round) {
                    self.is_acceptable(vote, block, chain);
                }
            }
            VoteStep::Precommit => assert!(
                self.was_prevoted(height, block, round..round + 1),
                "I4: {id} precommits at height {height}, round {round}, what no quorum has prevoted"
            ),
        }
    }

    /// Whether a quorum prevoted a block in one of these rounds.
    fn was_prevoted(&self, height: Height, block: BlockHash, rounds: std::ops::Range<Round>) -> bool {
        let mut rounds = self.prevotes.range((height, block, rounds.start)..(height, block, rounds.end));
        rounds.any(|(_, who)| is_quorum(self.set(height), who))
    }

    /// A prevote against the signer's last precommit for a block stands on a quorum of prevotes of that round or a later
    /// one.
    fn is_unlocked(&self, vote: &BlockVote, block: BlockHash) {
        let (id, height, round) = (vote.validator, vote.height, vote.round);
        let before = (id, height, 0, VoteStep::Prevote)..(id, height, round, VoteStep::Prevote);
        let precommits = self.block_votes.range(before).filter(|(key, _)| key.3 == VoteStep::Precommit);
        let lock = precommits.filter_map(|(key, value)| Some((key.2, (*value)?))).next_back();
        if let Some((locked_round, _)) = lock.filter(|(_, locked)| *locked != block) {
            assert!(
                self.was_prevoted(height, block, locked_round..round),
                "I4: {id} prevotes against its lock at height {height}, round {round}"
            );
        }
    }

    /// A first prevote: everything in the block is certified, and a last block leaves no promise of the signer's out.
    fn is_acceptable(&self, vote: &BlockVote, block: BlockHash, chain: &Chain) {
        let (id, epoch) = (vote.validator, vote.epoch);
        let block = self.blocks.get(&block).expect("somebody proposed it");
        for txid in block.transfers() {
            assert!(self.is_certified(epoch, *txid), "I6: {id} prevotes a block with what is not certified");
        }
        let promises = self.promises.get(&(id, epoch)).into_iter().flatten();
        let mut left_out = promises.filter(|txid| !chain.contains_key(txid) && !block.txids.contains(txid));
        if block.header.epoch_end {
            assert_eq!(
                left_out.next(),
                None,
                "I6: {id} prevotes an end of epoch {epoch} without its promise"
            );
        }
    }
}
