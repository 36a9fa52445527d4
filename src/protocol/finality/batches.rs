//! Which batches of each validator are here, and which of them can be served to peers.
//!
//! # Invariants
//! - INV-BATCH-1: a batch is kept until every transaction in it is in the chain, its epoch ended, or its validator has more
//!   than [`BatchStore`]'s share of [`KEPT_BYTES_MAX`]: then its lowest go first. What certifies a promise is kept by the
//!   tallies, whatever goes here.
//! - INV-BATCH-2: whether a number was received is known for [`RANGES_MAX`] ranges of each validator; beyond that the lowest
//!   is forgotten, and counts again when it comes again, but is not passed on. Nothing that a peer says makes a number count as received: only
//!   a batch does.
//! - INV-BATCH-3: a member that signs a second batch under one number contradicts itself, or is two nodes. Its votes count
//!   all the same, since a vote is a vote wherever it stands, and since only so what it contradicts can be proved; but no
//!   more than [`OTHER_BATCHES_MAX`] of them an epoch.

use crate::types::keyed::KeyedSet;
use crate::types::limits::VALIDATORS_MAX;
use crate::types::message::HeldBatches;
use crate::types::{BatchRoot, FinalityVote, Released, TxId, VoteBatch};
use std::collections::{BTreeMap, BTreeSet};

/// Ranges of received numbers that are remembered for each validator.
pub const RANGES_MAX: usize = 4_096;
/// Memory of one set's [`ReceivedNumbers`], at most: two numbers each, in the half-filled nodes of a tree.
pub const NUMBERS_BYTES_MAX: usize = VALIDATORS_MAX * RANGES_MAX * 40;
/// Second batches under numbers that are taken, for each validator, at most.
pub const OTHER_BATCHES_MAX: usize = 16;
/// Encoded bytes of all batches that are kept to be served, at most; each validator has an equal share.
pub const KEPT_BYTES_MAX: usize = 256 << 20;
/// A batch without its votes: signed header and counts, in encoded bytes.
const HEAD_BYTES: usize = 256;
/// A vote in a batch, in encoded bytes.
const VOTE_BYTES: usize = 36;

fn size_of(batch: &VoteBatch) -> usize {
    batch.votes.len().saturating_mul(VOTE_BYTES).saturating_add(HEAD_BYTES)
}

/// Numbers of one validator's batches that were received, in at most [`RANGES_MAX`] ranges.
#[derive(Clone, Debug, Default)]
pub struct ReceivedNumbers {
    /// Ranges that do not touch: the first number, and the first one behind.
    ranges: BTreeMap<u64, u64>,
}

impl ReceivedNumbers {
    /// Whether a number was received and is remembered.
    #[must_use]
    pub fn contains(&self, seq: u64) -> bool {
        self.end_of(seq).is_some()
    }

    /// The number behind the highest.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.ranges.last_key_value().map_or(0, |(_, end)| *end)
    }

    /// The end of the range that a number is in.
    fn end_of(&self, seq: u64) -> Option<u64> {
        self.ranges.range(..=seq).next_back().map(|(_, end)| *end).filter(|end| *end > seq)
    }

    /// Adds a number; false when there is no room to remember it. The last number there is has none behind it, so no
    /// range can hold it.
    pub fn note(&mut self, seq: u64) -> bool {
        if self.contains(seq) {
            return true;
        }
        let Some(behind) = seq.checked_add(1) else { return false };
        let first = self.ranges.first_key_value().map_or(0, |(first, _)| *first);
        if self.ranges.len() >= RANGES_MAX && behind < first {
            return false;
        }
        let end = self.ranges.remove(&behind).unwrap_or(behind);
        let before = self.ranges.range_mut(..=seq).next_back().filter(|(_, until)| **until == seq);
        match before {
            Some((_, until)) => *until = end,
            None => drop(self.ranges.insert(seq, end)),
        }
        if self.ranges.len() > RANGES_MAX {
            self.ranges.pop_first();
        }
        true
    }
}

#[derive(Clone, Debug, Default)]
struct Received {
    numbers: ReceivedNumbers,
    /// Batches that are not settled.
    kept: BTreeMap<u64, Released<VoteBatch>>,
    kept_bytes: usize,
    /// Number and root of second batches.
    others: BTreeSet<(u64, BatchRoot)>,
}

impl Received {
    fn keep(&mut self, batch: &Released<VoteBatch>, bytes_max: usize) {
        self.kept_bytes = self.kept_bytes.saturating_add(size_of(batch));
        self.kept.insert(batch.header.seq, batch.clone());
        while self.kept_bytes > bytes_max {
            let Some((_, oldest)) = self.kept.pop_first() else { break };
            self.kept_bytes = self.kept_bytes.saturating_sub(size_of(&oldest));
        }
    }
}

/// What became of a batch's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It was noted, and the batch is kept.
    New,
    /// It was noted before.
    Known,
    /// It is below all that is remembered of this validator. The batch counts, but whether it was here before is not
    /// known: passed on, it would come back for ever.
    NotRemembered,
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

    /// Notes a batch that was checked.
    pub fn insert(&mut self, member: usize, batch: &Released<VoteBatch>) -> Inserted {
        let bytes_max = KEPT_BYTES_MAX.checked_div(self.members.len()).unwrap_or(0);
        let Some(received) = self.members.get_mut(member) else { return Inserted::Known };
        let seq = batch.header.seq;
        if received.numbers.contains(seq) {
            return Inserted::Known;
        }
        if !received.numbers.note(seq) {
            return Inserted::NotRemembered;
        }
        received.keep(batch, bytes_max);
        Inserted::New
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
        self.members.get(member).is_some_and(|received| received.numbers.contains(seq))
    }

    /// A batch that is kept.
    #[must_use]
    pub fn get(&self, member: usize, seq: u64) -> Option<&Released<VoteBatch>> {
        self.members.get(member)?.kept.get(&seq)
    }

    /// A member's vote among the batches that are kept, with its place there. Walks through them: for the rare case that
    /// a tally did not keep where it had the vote from.
    #[must_use]
    pub fn find(&self, member: usize, vote: &FinalityVote) -> Option<(&Released<VoteBatch>, usize)> {
        let kept = self.members.get(member)?.kept.values();
        kept.into_iter().find_map(|batch| {
            let place = batch.votes.iter().position(|candidate| candidate == vote)?;
            Some((batch, place))
        })
    }

    /// For each member, between which numbers batches are kept: what peers are told. A number that is not held is never
    /// the first or the last of them.
    #[must_use]
    pub fn held(&self) -> Vec<HeldBatches> {
        let held = |received: &Received| {
            let from = received.kept.first_key_value().map_or(0, |(first, _)| *first);
            let until = received.kept.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
            HeldBatches { from, until }
        };
        self.members.iter().map(held).collect()
    }

    /// The first number from `from` on, below `until`, that was not received.
    #[must_use]
    pub fn first_lacking(&self, member: usize, from: u64, until: u64) -> Option<u64> {
        let received = self.members.get(member)?;
        let mut next = from;
        while let Some(end) = received.numbers.end_of(next) {
            next = end;
        }
        Some(next).filter(|next| *next < until)
    }

    /// The number behind the highest that was received of a member.
    #[must_use]
    pub fn end(&self, member: usize) -> u64 {
        self.members.get(member).map_or(0, |received| received.numbers.end())
    }

    /// The batches of a range that are kept.
    pub fn range(&self, member: usize, from: u64, count: u64) -> impl Iterator<Item = &Released<VoteBatch>> {
        let received = self.members.get(member);
        received.into_iter().flat_map(move |received| {
            received.kept.range(from..from.saturating_add(count)).map(|(_, batch)| batch)
        })
    }

    /// The first number from `from` on whose batch is kept.
    #[must_use]
    pub fn next_kept(&self, member: usize, from: u64) -> Option<u64> {
        self.members.get(member)?.kept.range(from..).next().map(|(seq, _)| *seq)
    }

    /// Forgets the batches whose transactions are all in the chain.
    pub fn settle(&mut self, settled: &KeyedSet<TxId>) {
        for received in &mut self.members {
            let kept_bytes = &mut received.kept_bytes;
            received.kept.retain(|_, batch| {
                let stays = batch.votes.iter().any(|vote| !settled.contains(&vote.txid));
                if !stays {
                    *kept_bytes = kept_bytes.saturating_sub(size_of(batch));
                }
                stays
            });
        }
    }

    /// How many batches are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.members.iter().map(|received| received.kept.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ChainId, MasternodeId, SecretKey, VoteKind};

    fn batch(seq: u64, txids: &[u8]) -> Released<VoteBatch> {
        let vote = |fill: &u8| FinalityVote { kind: VoteKind::Lock, txid: TxId([*fill; 32]) };
        let votes = txids.iter().map(vote).collect();
        let secret = SecretKey::from_seed(&[1; 32]);
        Released::heard(VoteBatch::signed(&ChainId::ZERO, 0, MasternodeId::ZERO, seq, votes, &secret))
    }

    /// INV-BATCH-1.
    #[test]
    fn a_batch_is_kept_until_all_of_its_transactions_are_in_the_chain() {
        let mut store = BatchStore::new(1);
        for (seq, txids) in (0..).zip([&[1, 2][..], &[2], &[3]]) {
            assert_eq!(store.insert(0, &batch(seq, txids)), Inserted::New);
        }
        let settled = |fills: &[u8]| fills.iter().map(|fill| TxId([*fill; 32])).collect();
        store.settle(&settled(&[2]));
        let kept =
            |store: &BatchStore| -> Vec<bool> { (0..3).map(|seq| store.get(0, seq).is_some()).collect() };
        assert_eq!(kept(&store), [true, false, true], "transaction 1 may still be asked for");
        store.settle(&settled(&[1, 2]));
        assert_eq!(kept(&store), [false, false, true]);
        assert_eq!(store.first_lacking(0, 0, 10), Some(3), "what is settled counts as received");
        assert_eq!(store.held(), [HeldBatches { from: 2, until: 3 }], "and is not offered");
        store.settle(&settled(&[1, 2, 3]));
        assert_eq!((store.held(), store.members[0].kept_bytes), (vec![HeldBatches::default()], 0));
    }

    /// INV-BATCH-1: one validator's batches take no more than its share, and the lowest go first.
    #[test]
    fn batches_are_kept_within_their_bytes() {
        let mut store = BatchStore::new(100);
        let votes: Vec<u8> = (0..=255).cycle().take(4_096).collect();
        let large = batch(0, &votes);
        let share = KEPT_BYTES_MAX / 100;
        for seq in 0..40 {
            let mut next = (*large).clone();
            next.header.seq = seq;
            assert_eq!(store.insert(7, &Released::heard(next)), Inserted::New);
            assert!(store.members[7].kept_bytes <= share);
        }
        let kept = u64::try_from(store.kept()).unwrap();
        assert_eq!(kept, u64::try_from(share / size_of(&large)).unwrap());
        assert_eq!(store.held()[7], HeldBatches { from: 40 - kept, until: 40 });
        assert!(store.has(7, 0), "what was dropped was received all the same");
    }

    /// INV-BATCH-2, against a plain set of numbers.
    #[test]
    fn ranges_say_what_a_set_of_numbers_says() {
        let (mut received, mut plain) = (Received::default(), BTreeSet::new());
        let mut next = 1_u64;
        for _ in 0..3_000 {
            next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let seq = (next >> 33) % 500;
            if received.numbers.end_of(seq).is_none() {
                assert!(received.numbers.note(seq));
            }
            plain.insert(seq);
            for probe in 0..501 {
                assert_eq!(received.numbers.end_of(probe).is_some(), plain.contains(&probe), "{probe}");
            }
        }
        let ends = received.numbers.ranges.iter().zip(received.numbers.ranges.iter().skip(1));
        assert!(ends.into_iter().all(|((_, end), (start, _))| end < start), "no two ranges touch");
        assert!(!ReceivedNumbers::default().note(u64::MAX));
    }

    /// INV-BATCH-2: who leaves out every second number fills no memory.
    #[test]
    fn numbers_are_remembered_in_so_many_ranges_and_the_lowest_are_forgotten() {
        let (mut store, first) = (BatchStore::new(1), batch(0, &[1]));
        let with = |seq: u64| {
            let mut other = (*first).clone();
            other.header.seq = seq;
            Released::heard(other)
        };
        let count = u64::try_from(RANGES_MAX).unwrap();
        for number in 0..count + 2 {
            assert_eq!(store.insert(0, &with(10 + 2 * number)), Inserted::New);
            assert!(store.members[0].numbers.ranges.len() <= RANGES_MAX, "{number}");
        }
        for (number, is_known) in [(0, false), (1, false), (2, true), (count + 1, true)] {
            assert_eq!(store.has(0, 10 + 2 * number), is_known, "{number}");
        }
        assert_eq!(store.insert(0, &with(10)), Inserted::NotRemembered);
        assert_eq!(store.insert(0, &with(10 + 2 * (count + 1))), Inserted::Known);
    }

    /// Else a peer would be asked again and again for what it never said that it has.
    #[test]
    fn nothing_is_lacking_behind_the_end_of_what_is_asked_for() {
        let mut store = BatchStore::new(1);
        for seq in [0, 1, 3] {
            assert_eq!(store.insert(0, &batch(seq, &[1])), Inserted::New);
        }
        for (from, until, lacking) in
            [(0, 2, None), (0, 3, Some(2)), (1, 9, Some(2)), (3, 4, None), (3, 5, Some(4)), (2, 2, None)]
        {
            assert_eq!(store.first_lacking(0, from, until), lacking, "from {from} until {until}");
        }
    }

    /// INV-BATCH-3.
    #[test]
    fn second_batches_of_a_validator_are_taken_up_to_a_number() {
        let mut store = BatchStore::new(2);
        for member in 0..2 {
            assert_eq!(store.insert(member, &batch(0, &[0])), Inserted::New);
            let taken = (1..=100_u8).filter(|txid| store.insert_other(member, &batch(0, &[*txid])));
            assert_eq!(taken.count(), OTHER_BATCHES_MAX, "each validator has its own");
        }
    }
}
