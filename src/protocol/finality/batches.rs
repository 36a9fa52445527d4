//! Which batches of each validator are here, and which of them peers may still need.
//!
//! # Invariants
//! - INV-BATCH-1: a batch is kept until every transaction in it is in the chain, or its epoch ended; so what is
//!   forgotten depends on committed blocks alone.
//! - INV-BATCH-2: of the numbers after a gap at most [`BATCHES_AHEAD_MAX`] are remembered for each validator; later
//!   ones count as not received, and are asked for again.
//! - INV-BATCH-3: a member that signs a second batch under one number contradicts itself, or is two nodes. Its votes count
//!   all the same, since a vote is a vote wherever it stands, and since only so what it contradicts can be proved; but no
//!   more than [`OTHER_BATCHES_MAX`] of them an epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::types::{BatchRoot, FinalityVote, TxId, VoteBatch};

/// Batches after a gap that are remembered for each validator.
pub(super) const BATCHES_AHEAD_MAX: usize = 4_096;

/// Second batches under numbers that are taken, for each validator, at most.
pub const OTHER_BATCHES_MAX: usize = 16;

#[derive(Clone, Debug, Default)]
struct Received {
    /// Numbers below this one were all received, or are settled.
    next: u64,
    /// Numbers above `next` that were received.
    ahead: BTreeSet<u64>,
    /// Batches that are not settled.
    kept: BTreeMap<u64, Arc<VoteBatch>>,
    /// Number and root of second batches.
    others: BTreeSet<(u64, BatchRoot)>,
}

impl Received {
    fn close_gap(&mut self) {
        while self.ahead.remove(&self.next) {
            self.next = self.next.saturating_add(1);
        }
    }
}

/// The batches of one epoch, by member of its set.
#[derive(Clone, Debug, Default)]
pub struct BatchStore {
    members: Vec<Received>,
}

impl BatchStore {
    /// An empty store for a set of `members`.
    #[must_use]
    pub fn new(members: usize) -> Self {
        Self { members: vec![Received::default(); members] }
    }

    /// Notes a batch; false when its number was noted before, or is too far after a gap to be remembered.
    pub fn insert(&mut self, member: usize, batch: &Arc<VoteBatch>) -> bool {
        let Some(received) = self.members.get_mut(member) else { return false };
        let seq = batch.header.seq;
        if self_has(received, seq) {
            return false;
        }
        if seq > received.next && received.ahead.len() >= BATCHES_AHEAD_MAX {
            return false;
        }
        received.ahead.insert(seq);
        received.kept.insert(seq, Arc::clone(batch));
        received.close_gap();
        true
    }

    /// Whether it is a second batch under its number, is not noted, and can be.
    #[must_use]
    pub fn takes_other(&self, member: usize, batch: &VoteBatch) -> bool {
        let (seq, root) = (batch.header.seq, batch.header.votes_root);
        self.members.get(member).is_some_and(|received| {
            let differs = received.kept.get(&seq).is_some_and(|kept| kept.header.votes_root != root);
            differs && received.others.len() < OTHER_BATCHES_MAX && !received.others.contains(&(seq, root))
        })
    }

    /// Notes a second batch under its number; false when it is none, was noted before, or there are too many.
    pub fn insert_other(&mut self, member: usize, batch: &VoteBatch) -> bool {
        let takes = self.takes_other(member, batch);
        if let Some(received) = self.members.get_mut(member).filter(|_| takes) {
            received.others.insert((batch.header.seq, batch.header.votes_root));
        }
        takes
    }

    /// Whether this number was noted.
    #[must_use]
    pub fn has(&self, member: usize, seq: u64) -> bool {
        self.members.get(member).is_some_and(|received| self_has(received, seq))
    }

    /// A batch that is kept.
    #[must_use]
    pub fn get(&self, member: usize, seq: u64) -> Option<&Arc<VoteBatch>> {
        self.members.get(member)?.kept.get(&seq)
    }

    /// A member's vote among the batches that are kept, with its place there. Walks through them: for the rare case that
    /// a tally did not keep where it had the vote from.
    #[must_use]
    pub fn find(&self, member: usize, vote: &FinalityVote) -> Option<(&Arc<VoteBatch>, usize)> {
        let kept = self.members.get(member)?.kept.values();
        kept.into_iter().find_map(|batch| {
            let place = batch.votes.iter().position(|candidate| candidate == vote)?;
            Some((batch, place))
        })
    }

    /// For each member, how many batches are here without a gap.
    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        self.members.iter().map(|received| received.next).collect()
    }

    /// How many of a member's batches are here without a gap.
    #[must_use]
    pub fn count(&self, member: usize) -> u64 {
        self.members.get(member).map_or(0, |received| received.next)
    }

    /// The batches of a range that are kept, and the first number that is not settled or received here.
    #[must_use]
    pub fn range(&self, member: usize, from: u64, count: u64) -> (Vec<Arc<VoteBatch>>, u64) {
        self.members.get(member).map_or((Vec::new(), 0), |received| {
            let range = from..from.saturating_add(count);
            (received.kept.range(range).map(|(_, batch)| Arc::clone(batch)).collect(), received.next)
        })
    }

    /// A peer that is not further than this node says that batches before `before` are settled: they need not be
    /// asked for. A lie costs this node votes that it can still have as certificates.
    pub fn skip_to(&mut self, member: usize, before: u64) {
        if let Some(received) = self.members.get_mut(member) {
            received.next = received.next.max(before);
            received.ahead = received.ahead.split_off(&received.next);
            received.close_gap();
        }
    }

    /// Forgets the batches whose transactions are all in the chain.
    pub fn settle(&mut self, settled: &BTreeSet<TxId>) {
        for received in &mut self.members {
            received.kept.retain(|_, batch| batch.votes.iter().any(|vote| !settled.contains(&vote.txid)));
        }
    }

    /// How many batches are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.members.iter().map(|received| received.kept.len()).sum()
    }
}

fn self_has(received: &Received, seq: u64) -> bool {
    seq < received.next || received.ahead.contains(&seq)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ChainId, MasternodeId, SecretKey, VoteKind};

    fn batch(seq: u64, txids: &[u8]) -> Arc<VoteBatch> {
        let vote = |fill: &u8| FinalityVote { kind: VoteKind::Lock, txid: TxId([*fill; 32]) };
        let votes = txids.iter().map(vote).collect();
        let secret = SecretKey::from_seed(&[1; 32]);
        Arc::new(VoteBatch::signed(&ChainId::ZERO, 0, MasternodeId::ZERO, seq, votes, &secret))
    }

    /// INV-BATCH-1.
    #[test]
    fn a_batch_is_kept_until_all_of_its_transactions_are_in_the_chain() {
        let mut store = BatchStore::new(1);
        for (seq, txids) in (0..).zip([&[1, 2][..], &[2], &[3]]) {
            assert!(store.insert(0, &batch(seq, txids)));
        }
        let settled = |fills: &[u8]| fills.iter().map(|fill| TxId([*fill; 32])).collect();
        store.settle(&settled(&[2]));
        let kept =
            |store: &BatchStore| -> Vec<bool> { (0..3).map(|seq| store.get(0, seq).is_some()).collect() };
        assert_eq!(kept(&store), [true, false, true], "transaction 1 may still be asked for");
        store.settle(&settled(&[1, 2]));
        assert_eq!(kept(&store), [false, false, true]);
        assert_eq!(store.count(0), 3, "what is settled counts as received");
    }
}
