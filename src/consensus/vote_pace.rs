//! How fast one member's votes are taken: beyond that its batches are left out before they cost anybody much.
//!
//! # Place
//! The checks of signatures ask it before and after they check a batch ([`engine`](super::engine)). What is left out was not
//! received: it is neither counted nor relayed. Peers that hold it say so in their status, and it is pulled when there is
//! room again, so a slow link or a pause costs no vote.
//!
//! # Why
//! A member may sign what it likes, and each batch that holds is counted, kept and relayed by everybody. One member that
//! filled its connection with votes for invented payments took half of each node's time, and the votes of others stood
//! behind its batches in the queues between honest nodes.
//!
//! # The rule
//! An author has [`BATCHES_PER_S`] and [`VOTES_PER_S`], and saves up [`BATCHES_BURST`] and [`VOTES_BURST`]: many small
//! batches come at once after a pause, but all that is saved up has to fit into the queues between nodes beside the votes of
//! others. Before the check of the signature the name of the author is anybody's word, so each sender has a budget of its own
//! for each author. After it the author's own budget counts, whoever sent the batch. What is numbered below what was taken
//! before is pulled after an absence; it has a second budget, so that it can't use up that of the votes of the moment. What was
//! taken before under its number is a copy that somebody replays, or a second batch that proves its author false: a third
//! budget, so that copies can't use up that of what is missing.
//!
//! # Invariants
//! - INV-PACE-1: of one author's batches no more are taken than its three budgets allow, over however many peers they come.
//! - INV-PACE-2: what others send under an author's name without its signature takes nothing of the author's budget.
//! - INV-PACE-3: at most [`SENDERS_MAX`] senders are remembered, each with one entry for a member of the set. Beyond that all
//!   are forgotten, which gives them new budgets and takes nothing from the authors'.
//! - INV-PACE-5: copies of an author's batches, whoever sends them, take nothing of the budget of those that are missing.
//! - INV-PACE-4: epochs only go forward here: a batch of one that is over is left out, since its votes count no more.
//!
//! # Concurrency
//! One short lock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ahash::RandomState;
use parking_lot::Mutex;

use crate::network::PeerId;
use crate::protocol::finality::ReceivedNumbers;
use crate::types::{Epoch, MasternodeId, VoteBatch};

/// Batches of one author a second: twice what a vote interval of 2 ms makes.
pub const BATCHES_PER_S: u32 = 1_000;
/// So many may come at once: those of a pause of a second, some 20 ms of a core.
pub const BATCHES_BURST: u32 = 500;
/// Votes of one author a second: those for 30,000 payments.
pub const VOTES_PER_S: u32 = 65_536;
/// So many may come at once: four of the largest batches, 0.6 MB.
pub const VOTES_BURST: u32 = 16_384;

/// Senders that are remembered, at most. Checks run at once on several threads, so the last batch of a peer may be looked at
/// after the peer was forgotten; the bound is above any number of connections.
pub const SENDERS_MAX: usize = 1_024;

/// The generic cell rate algorithm (ITU-T I.371), for batches and for votes: when what was taken will have been paid for.
#[derive(Clone, Copy, Debug)]
struct Budget {
    batches: Instant,
    votes: Instant,
}

impl Budget {
    fn take(&mut self, votes: u32, now: Instant) -> bool {
        let second = Duration::from_secs(1);
        let (each_batch, each_vote) = (second / BATCHES_PER_S, second / VOTES_PER_S);
        let after = Self {
            batches: self.batches.max(now) + each_batch,
            votes: self.votes.max(now) + each_vote.saturating_mul(votes),
        };
        let is_within = after.batches.saturating_duration_since(now)
            <= each_batch.saturating_mul(BATCHES_BURST)
            && after.votes.saturating_duration_since(now) <= each_vote.saturating_mul(VOTES_BURST);
        if is_within {
            *self = after;
        }
        is_within
    }
}

/// What a batch is beside those of its author that were taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Of the moment.
    Ahead,
    /// It was missed.
    Behind,
    /// One under its number was taken.
    Again,
}

#[derive(Clone, Copy, Debug)]
struct Budgets {
    ahead: Budget,
    behind: Budget,
    again: Budget,
}

impl Budgets {
    const fn new(now: Instant) -> Self {
        let full = Budget { batches: now, votes: now };
        Self { ahead: full, behind: full, again: full }
    }

    fn take(&mut self, kind: Kind, batch: &VoteBatch, now: Instant) -> bool {
        let budget = match kind {
            Kind::Ahead => &mut self.ahead,
            Kind::Behind => &mut self.behind,
            Kind::Again => &mut self.again,
        };
        budget.take(u32::try_from(batch.votes.len()).unwrap_or(u32::MAX), now)
    }
}

#[derive(Debug)]
struct Author {
    budgets: Budgets,
    taken: ReceivedNumbers,
}

#[derive(Debug, Default)]
struct Paces {
    epoch: Epoch,
    authors: HashMap<MasternodeId, Author, RandomState>,
    senders: HashMap<PeerId, HashMap<MasternodeId, Budgets, RandomState>, RandomState>,
}

impl Paces {
    fn kind(&self, batch: &VoteBatch) -> Kind {
        let seq = batch.header.seq;
        match self.authors.get(&batch.header.validator) {
            // The last number there is can't be remembered.
            Some(author) if author.taken.contains(seq) || seq == u64::MAX => Kind::Again,
            Some(author) if seq < author.taken.end() => Kind::Behind,
            _ => Kind::Ahead,
        }
    }

    /// Numbers begin anew with each epoch, and the set is another one. False for an epoch that is over.
    fn is_current(&mut self, epoch: Epoch) -> bool {
        if self.epoch < epoch {
            *self = Self { epoch, ..Self::default() };
        }
        self.epoch == epoch
    }
}

/// The paces of all members of an epoch's set.
#[derive(Debug, Default)]
pub struct VotePace(Mutex<Paces>);

impl VotePace {
    /// Whether a batch of this epoch, by a member of its set, may be checked; takes it from the sender's budget.
    #[must_use]
    pub fn may_check(&self, sender: PeerId, batch: &VoteBatch, now: Instant) -> bool {
        let mut paces = self.0.lock();
        if !paces.is_current(batch.header.epoch) {
            return false;
        }
        let kind = paces.kind(batch);
        if paces.senders.len() >= SENDERS_MAX && !paces.senders.contains_key(&sender) {
            paces.senders.clear();
        }
        let authors = paces.senders.entry(sender).or_default();
        let budgets = authors.entry(batch.header.validator).or_insert_with(|| Budgets::new(now));
        budgets.take(kind, batch, now)
    }

    /// Whether a batch that was checked may pass; takes it from the author's budget.
    #[must_use]
    pub fn may_pass(&self, batch: &VoteBatch, now: Instant) -> bool {
        let mut paces = self.0.lock();
        if !paces.is_current(batch.header.epoch) {
            return false;
        }
        let kind = paces.kind(batch);
        let author = paces
            .authors
            .entry(batch.header.validator)
            .or_insert_with(|| Author { budgets: Budgets::new(now), taken: ReceivedNumbers::default() });
        let may_pass = author.budgets.take(kind, batch, now);
        if may_pass {
            // Without room to remember it a copy counts as missed, as before.
            let _remembered = author.taken.note(batch.header.seq);
        }
        may_pass
    }

    /// A peer is gone.
    pub fn forget(&self, sender: &PeerId) {
        self.0.lock().senders.remove(sender);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ChainId, FinalityVote, PublicKey, SecretKey, TxId, VoteKind};

    const SENDER: PeerId = PublicKey([1; 32]);

    static SIGNED: std::sync::LazyLock<VoteBatch> = std::sync::LazyLock::new(|| {
        let secret = SecretKey::from_seed(&[1; 32]);
        VoteBatch::signed(&ChainId::ZERO, 0, MasternodeId::ZERO, 0, Vec::new(), &secret)
    });

    fn batch(author: u8, epoch: Epoch, seq: u64, votes: usize) -> VoteBatch {
        let vote = FinalityVote { kind: VoteKind::Lock, txid: TxId([7; 32]) };
        // The pace looks at no signature.
        let mut batch = SIGNED.clone();
        (batch.header.epoch, batch.header.seq) = (epoch, seq);
        batch.header.validator = MasternodeId([author; 32]);
        batch.votes = vec![vote; votes];
        batch
    }

    /// What passes of batches that come every 100 us for so many seconds.
    fn passed(
        pace: &VotePace,
        start: Instant,
        seconds: u64,
        make: impl Fn(u64) -> (PeerId, VoteBatch),
    ) -> u64 {
        let at = |number: u64| start + Duration::from_micros(100 * number);
        let all = 0..10_000 * seconds;
        let passes = all.filter(|number| {
            let (sender, batch) = make(*number);
            pace.may_check(sender, &batch, at(*number)) && pace.may_pass(&batch, at(*number))
        });
        passes.count() as u64
    }

    /// INV-PACE-1.
    #[test]
    fn an_author_has_its_rates_whoever_sends_its_batches() {
        let start = crate::runtime::Clock.instant();
        let small = u64::from(BATCHES_BURST + 5 * BATCHES_PER_S);
        let large = u64::from((VOTES_BURST + 5 * VOTES_PER_S) / 256);
        for (votes, allowed) in [(1, small), (256, large)] {
            let by_one =
                passed(&VotePace::default(), start, 5, |number| (SENDER, batch(1, 3, number, votes)));
            assert!(by_one <= allowed && by_one + 10 >= allowed, "{by_one} of {allowed}");
            let by_many = passed(&VotePace::default(), start, 5, |number| {
                (PublicKey([(number % 50) as u8; 32]), batch(1, 3, number, votes))
            });
            assert!(by_many <= allowed, "{by_many} of {allowed}");
        }
        // Numbers that leap bring no more than the second budget.
        let leaping = passed(&VotePace::default(), start, 5, |number| {
            (SENDER, batch(1, 3, if number % 2 == 0 { 1_000_000 + number } else { number }, 1))
        });
        assert!(leaping <= 2 * small, "{leaping}");
    }

    /// At 20,000 payments a second and the vote interval by default, and when all of a second comes at once.
    #[test]
    fn what_an_honest_member_votes_is_never_left_out() {
        let (pace, start) = (VotePace::default(), crate::runtime::Clock.instant());
        let votes_per_batch = 2 * 20_000 / 500;
        for number in 0..10_000_u64 {
            let (batch, at) =
                (batch(1, 3, number, votes_per_batch), start + Duration::from_millis(2 * number));
            assert!(pace.may_check(SENDER, &batch, at) && pace.may_pass(&batch, at), "{number}");
        }
    }

    /// INV-PACE-2.
    #[test]
    fn forged_batches_use_up_their_senders_budget_alone() {
        let (pace, start) = (VotePace::default(), crate::runtime::Clock.instant());
        let forged = PublicKey([9; 32]);
        let largest = crate::types::limits::BATCH_VOTES_MAX;
        let checked =
            (0..1_000).filter(|seq| pace.may_check(forged, &batch(1, 3, *seq, largest), start)).count();
        assert!(checked < 10, "{checked}");
        let honest = batch(1, 3, 0, 1);
        assert!(pace.may_check(SENDER, &honest, start) && pace.may_pass(&honest, start));
        assert!(pace.may_check(forged, &batch(2, 3, 0, 1), start), "another author's votes go on");
    }

    #[test]
    fn what_was_missed_does_not_hold_up_the_votes_of_the_moment() {
        let (pace, start) = (VotePace::default(), crate::runtime::Clock.instant());
        let newest = batch(1, 3, 1_000_000, 1);
        assert!(pace.may_check(SENDER, &newest, start) && pace.may_pass(&newest, start));
        let pulled = (0..100_000).filter(|seq| {
            let missed = batch(1, 3, *seq, 1);
            pace.may_check(SENDER, &missed, start) && pace.may_pass(&missed, start)
        });
        assert!(pulled.count() < 10_000);
        let next = batch(1, 3, 1_000_001, 1);
        assert!(pace.may_check(SENDER, &next, start) && pace.may_pass(&next, start));
    }

    /// INV-PACE-5: names of checked batches are forgotten after a while, and strangers keep what they heard.
    #[test]
    fn copies_of_old_batches_leave_room_for_those_that_are_missing() {
        let (pace, start) = (VotePace::default(), crate::runtime::Clock.instant());
        let second = Duration::from_secs(1);
        for seq in (0..1_000).chain(1_100..1_200) {
            assert!(pace.may_pass(&batch(1, 3, seq, 1), start + second * seq as u32));
        }
        let now = start + second * 2_000;
        for number in 0..10_000_u64 {
            let sender = PublicKey([(number % 50) as u8; 32]);
            let copy = batch(1, 3, number % 1_000, 1);
            let _taken = pace.may_check(sender, &copy, now) && pace.may_pass(&copy, now);
        }
        for seq in 1_000..1_100 {
            let missing = batch(1, 3, seq, 1);
            assert!(pace.may_check(SENDER, &missing, now) && pace.may_pass(&missing, now), "{seq}");
        }
    }

    /// INV-PACE-3: names cost nothing.
    #[test]
    fn senders_without_end_take_no_more_memory_than_allowed() {
        let (pace, start) = (VotePace::default(), crate::runtime::Clock.instant());
        for number in 0..3 * u16::try_from(SENDERS_MAX).unwrap() {
            let mut name = [0; 32];
            name[..2].copy_from_slice(&number.to_le_bytes());
            assert!(pace.may_check(PublicKey(name), &batch(1, 3, 0, 1), start));
            assert!(pace.0.lock().senders.len() <= SENDERS_MAX);
        }
    }

    /// INV-PACE-3: else whoever comes last could begin anew with each batch.
    #[test]
    fn who_is_remembered_gets_no_new_budget_when_there_is_no_room_for_others() {
        let (pace, start) = (VotePace::default(), crate::runtime::Clock.instant());
        let name = |number: u16| {
            let mut name = [0; 32];
            name[..2].copy_from_slice(&number.to_le_bytes());
            PublicKey(name)
        };
        for number in 0..u16::try_from(SENDERS_MAX).unwrap() {
            assert!(pace.may_check(name(number), &batch(1, 3, 0, 1), start));
        }
        let largest = crate::types::limits::BATCH_VOTES_MAX;
        let checked =
            (1..100).filter(|seq| pace.may_check(name(0), &batch(1, 3, *seq, largest), start)).count();
        assert!(checked < 10, "{checked}");
        assert_eq!(pace.0.lock().senders.len(), SENDERS_MAX, "nobody else is forgotten for it either");
    }

    /// INV-PACE-4.
    #[test]
    fn a_late_batch_of_an_epoch_that_is_over_gives_nobody_a_new_budget() {
        let (pace, start) = (VotePace::default(), crate::runtime::Clock.instant());
        let largest = crate::types::limits::BATCH_VOTES_MAX;
        let passed = (0..20).filter(|seq| {
            assert!(!pace.may_pass(&batch(1, 2, *seq, 1), start) || *seq == 0);
            pace.may_pass(&batch(1, 3, *seq, largest), start)
        });
        assert_eq!(passed.count(), 4);
        assert!(!pace.may_check(SENDER, &batch(1, 2, 0, 1), start));
    }

    /// INV-PACE-3.
    #[test]
    fn who_is_gone_and_what_is_over_is_forgotten() {
        let (pace, start) = (VotePace::default(), crate::runtime::Clock.instant());
        for author in 1..=3 {
            assert!(pace.may_check(SENDER, &batch(author, 3, 0, 1), start));
            assert!(pace.may_pass(&batch(author, 3, u64::MAX - 1, 1), start));
        }
        assert_eq!(pace.0.lock().senders.len(), 1);
        pace.forget(&SENDER);
        assert!(pace.0.lock().senders.is_empty());
        assert!(pace.may_pass(&batch(1, 4, 0, 1), start), "numbers begin anew");
        let paces = pace.0.lock();
        assert_eq!((paces.epoch, paces.authors.len()), (4, 1));
        assert_eq!(paces.authors.values().next().unwrap().taken.end(), 1);
    }

    /// What was left out was not received: it does not make others votes that were missed.
    #[test]
    fn a_batch_that_is_left_out_changes_no_budget() {
        let (pace, start) = (VotePace::default(), crate::runtime::Clock.instant());
        let burst = u64::from(BATCHES_BURST);
        assert!((0..burst).all(|seq| pace.may_pass(&batch(1, 3, seq, 1), start)));
        for seq in [1_000_000, burst, burst + 1] {
            assert!(!pace.may_pass(&batch(1, 3, seq, 1), start), "batch {seq}");
        }
        assert!(pace.may_pass(&batch(1, 3, 0, 1), start), "what was missed has a budget of its own");
    }
}
