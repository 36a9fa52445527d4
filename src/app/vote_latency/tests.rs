//! Votes at times that the test says: nothing here waits.

use super::*;
use crate::runtime::Clock;
use crate::types::{ChainId, FinalityVote, SecretKey, Validator};

fn id(number: u8) -> MasternodeId {
    MasternodeId([number; 32])
}

fn secret(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

fn set(numbers: &[u8]) -> Arc<ValidatorSet> {
    let member = |number: &u8| Validator { id: id(*number), key: secret(*number).public(), weight: 10 };
    Arc::new(ValidatorSet::new(numbers.iter().map(member).collect()))
}

fn txid(number: usize) -> TxId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    TxId(bytes)
}

fn votes(of: u8, kind: VoteKind, about: &[TxId]) -> VoteBatch {
    let votes = about.iter().map(|txid| FinalityVote { kind, txid: *txid }).collect();
    VoteBatch::signed(&ChainId::ZERO, 0, id(of), 0, votes, &secret(of))
}

/// Four members that are measured from `start` on; times are milliseconds after it.
struct Measured {
    latency: VoteLatency,
    start: Instant,
    accepted_ms: Option<u64>,
}

impl Measured {
    fn new(accepted_ms: Option<u64>) -> Self {
        let start = Clock.instant();
        Self { latency: VoteLatency::new(&set(&[1, 2, 3, 4]), start), start, accepted_ms }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn hears(&self, of: u8, kind: VoteKind, number: usize, ms: u64) {
        self.tells(&votes(of, kind, &[txid(number)]), false, ms);
    }

    fn tells(&self, batch: &VoteBatch, was_asked: bool, ms: u64) {
        let accepted = self.accepted_ms.map(|ms| self.at(ms));
        self.latency.votes_heard(batch, was_asked, |_| accepted, self.at(ms));
    }

    fn of(&self, number: u8, minutes: u64, ms: u64) -> MemberLatency {
        let told = self.latency.told(minutes, Some(id(1)), self.at(ms));
        told.masternodes.into_iter().find(|one| one.id == id(number)).unwrap()
    }

    fn lock_of(&self, number: u8, ms: u64) -> VoteTimes {
        self.of(number, MINUTES_MAX, ms).lock
    }
}

/// Within the width of a histogram's step.
fn is_near(told: Option<f64>, ms: f64) -> bool {
    told.is_some_and(|told| (told - ms).abs() <= ms * 0.07)
}

#[test]
fn votes_count_from_the_acceptance_of_the_payment_and_each_kind_by_itself() {
    let measured = Measured::new(Some(100));
    for (of, ms) in [(1, 101), (2, 103), (3, 140)] {
        measured.hears(of, VoteKind::Lock, 7, ms);
    }
    measured.hears(2, VoteKind::Lock, 7, 900);
    measured.hears(2, VoteKind::Final, 7, 108);
    let told = measured.of(2, MINUTES_MAX, 1_000);
    assert!(told.lock.count == 1 && is_near(told.lock.p50_ms, 3.0), "a second copy says nothing: {told:?}");
    assert!(told.finalizes.count == 1 && is_near(told.finalizes.max_ms, 8.0), "{told:?}");
    assert_eq!((told.precommit.count, told.precommit.p50_ms), (0, None));
    assert!(is_near(measured.lock_of(3, 1_000).max_ms, 40.0) && !told.own);
    assert!(measured.of(1, MINUTES_MAX, 1_000).own);
}

#[test]
fn of_a_payment_that_was_not_accepted_here_the_first_vote_begins_the_count() {
    let measured = Measured::new(None);
    measured.hears(1, VoteKind::Lock, 7, 100);
    assert_eq!(measured.lock_of(1, 101).count, 0, "alone it says nothing");
    measured.hears(2, VoteKind::Lock, 7, 130);
    assert_eq!(measured.lock_of(1, 131).max_ms, Some(0.0));
    assert!(is_near(measured.lock_of(2, 131).max_ms, 30.0));
}

#[test]
fn who_has_not_voted_where_a_quorum_has_is_missing_and_nobody_where_none_has() {
    let measured = Measured::new(Some(0));
    for of in [1, 2, 3] {
        measured.hears(of, VoteKind::Lock, 7, 1);
    }
    measured.hears(1, VoteKind::Lock, 8, 1);
    assert_eq!(measured.lock_of(4, 9_999).missing, 0, "there is time left");
    let [voted, silent] = [1, 4].map(|of| measured.lock_of(of, 10_001).missing);
    assert_eq!((voted, silent), (0, 1), "and nobody lacks in what only one voted for");
    // One that comes after all counts with its time.
    measured.hears(4, VoteKind::Lock, 7, 15_000);
    let late = measured.lock_of(4, 15_001);
    assert!((late.count, late.missing) == (1, 1) && is_near(late.max_ms, 15_000.0), "{late:?}");
}

#[test]
fn who_voted_final_lacks_no_lock_vote() {
    let measured = Measured::new(Some(0));
    for of in [1, 2, 3] {
        measured.hears(of, VoteKind::Lock, 7, 1);
    }
    for of in [1, 2, 4] {
        measured.hears(of, VoteKind::Final, 7, 2);
    }
    let told = measured.of(4, MINUTES_MAX, 20_000);
    assert_eq!((told.lock.missing, told.finalizes.missing), (0, 0));
    let told = measured.of(3, MINUTES_MAX, 20_000);
    assert_eq!((told.lock.missing, told.finalizes.missing), (0, 1));
}

/// INV-LATENESS-2.
#[test]
fn what_a_peer_was_asked_for_counts_only_where_votes_are_being_measured() {
    let measured = Measured::new(None);
    let old = |of| votes(of, VoteKind::Lock, &[txid(7)]);
    for of in [1, 2, 3] {
        measured.tells(&old(of), true, 100);
    }
    assert_eq!(measured.lock_of(2, 20_000), VoteTimes::default());
    measured.tells(&old(1), false, 21_000);
    measured.tells(&old(2), true, 21_500);
    assert!(is_near(measured.lock_of(2, 21_501).max_ms, 500.0));
}

#[test]
fn precommits_are_measured_by_height_and_round() {
    let measured = Measured::new(None);
    let hears = |of, height, round, ms| {
        measured.latency.precommit_heard(&id(of), height, round, measured.at(ms));
    };
    for (of, ms) in [(1, 100), (2, 110), (3, 120)] {
        hears(of, 5, 0, ms);
    }
    hears(4, 5, 1, 50_000);
    let told = measured.of(3, MINUTES_MAX, 50_000).precommit;
    assert!(told.count == 1 && is_near(told.p99_ms, 20.0), "{told:?}");
    let told = measured.of(4, MINUTES_MAX, 50_000).precommit;
    assert_eq!((told.count, told.missing), (0, 1), "its vote is of another round");
}

#[test]
fn percentiles_are_those_of_the_minutes_asked_for() {
    let measured = Measured::new(Some(0));
    for number in 0..100 {
        measured.hears(2, VoteKind::Lock, number, 1 + number as u64);
    }
    let told = measured.lock_of(2, 200);
    assert_eq!(told.count, 100);
    assert!(
        is_near(told.p50_ms, 50.0) && is_near(told.p90_ms, 90.0) && is_near(told.p99_ms, 99.0),
        "{told:?}"
    );
    assert!(told.max_ms == Some(100.0) && told.p99_ms <= told.max_ms);
    // A minute later they are of the minute before; ten minutes later they are forgotten.
    assert_eq!(measured.of(2, 1, 61_000).lock, VoteTimes::default());
    assert_eq!(measured.of(2, 2, 61_000).lock.count, 100);
    assert_eq!(measured.of(2, MINUTES_MAX, 599_000).lock.count, 100);
    assert_eq!(measured.of(2, MINUTES_MAX, 600_000).lock, VoteTimes::default());
    // Their room is used again.
    measured.hears(2, VoteKind::Lock, 1_000, 601_000);
    assert_eq!(measured.of(2, MINUTES_MAX, 601_000).lock.count, 1);
}

#[test]
fn whoever_stays_in_the_set_keeps_its_figures_and_whoever_left_is_not_told() {
    let measured = Measured::new(Some(0));
    for of in [1, 2, 3] {
        measured.hears(of, VoteKind::Lock, 7, 1);
    }
    measured.latency.set_voters(&set(&[1, 2, 3, 4]), measured.at(2));
    assert_eq!(measured.lock_of(4, 11_000).missing, 1, "an equal set changes nothing");
    measured.hears(1, VoteKind::Lock, 8, 11_500);
    measured.latency.set_voters(&set(&[5, 3, 1]), measured.at(12_000));
    let told = measured.latency.told(MINUTES_MAX, None, measured.at(40_000));
    let told: Vec<_> =
        told.masternodes.iter().map(|one| (one.id, one.lock.count, one.lock.missing)).collect();
    assert_eq!(told, [(id(5), 0, 0), (id(3), 1, 0), (id(1), 2, 0)]);
    measured.hears(2, VoteKind::Lock, 9, 41_000);
    assert!(measured.latency.0.lock().open.is_empty(), "a stranger's vote opens nothing");
}

/// INV-LATENESS-1.
#[test]
fn no_more_is_open_than_allowed_and_a_member_takes_no_more_room_than_stated() {
    let measured = Measured::new(None);
    for number in 0..OPEN_MAX + 10 {
        measured.hears(1, VoteKind::Lock, number, 1);
    }
    measured.hears(2, VoteKind::Lock, OPEN_MAX + 9, 2);
    let state = measured.latency.0.lock();
    assert!(state.open.len() <= OPEN_MAX && state.order.len() == state.open.len());
    let entry = size_of::<(About, Open)>() + 1;
    assert!(2 * entry + 2 * size_of::<(Instant, About)>() <= OPEN_BYTES, "tables double when they grow");
    let counts = histogram().unwrap().distinct_values() * size_of::<u32>();
    assert!(counts + 64 <= HISTOGRAM_BYTES && size_of::<Minute>() <= 256, "{counts}");
}
