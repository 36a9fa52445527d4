//! The tables of addresses: bounds, places, what is given up for what.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::types::PublicKey;

const SECRET: [u8; 32] = [7; 32];
const PEER: PublicKey = PublicKey([1; 32]);
const DAY_MS: TimeMs = 86_400_000;
/// Some day.
const NOW_MS: TimeMs = 20_000 * DAY_MS;

fn random() -> StdRng {
    StdRng::seed_from_u64(5)
}

fn tables() -> AddressTables {
    AddressTables::new(SECRET, Grouping::Strict)
}

fn at(ip: [u8; 4]) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from(ip)), 24_000)
}

/// Somebody in this /16.
fn teller(a: u8, b: u8) -> NetGroup {
    NetGroup::of(at([a, b, 0, 1]), Grouping::Strict)
}

impl AddressTables {
    /// INV-TABLES-1: each entry has its places, and each place its entry.
    fn assert_whole(&self) {
        let slots = |table: &Table| {
            let all = table.buckets.iter().flat_map(|(bucket, places)| {
                places.iter().map(move |(place, address)| ((*bucket, *place), *address))
            });
            all.collect::<BTreeMap<Slot, SocketAddr>>()
        };
        let (mut heard, mut tried) = (slots(&self.heard), slots(&self.tried));
        for ((bucket, place), address) in heard.iter().chain(&tried) {
            assert!(*bucket < NEW_BUCKETS && *place < BUCKET_PLACES && self.entries.contains_key(address));
        }
        for (address, entry) in &self.entries {
            if entry.is_tried {
                assert!(entry.answered_ms > 0, "INV-TABLES-2: {address}");
                assert_eq!(tried.remove(&self.tried_slot(*address)), Some(*address));
                assert_eq!(entry.tellers.len(), 1);
                continue;
            }
            assert!((1..=PLACES_MAX).contains(&entry.tellers.len()), "INV-TABLES-1: {address}");
            for teller in &entry.tellers {
                assert_eq!(heard.remove(&self.heard_slot(*address, *teller)), Some(*address));
            }
        }
        assert!(heard.is_empty() && tried.is_empty(), "nothing else has a place");
        assert!(self.entries.len() <= ENTRIES_MAX && self.waiting.len() <= WAITING_MAX);
    }

    fn buckets_of_heard(&self) -> usize {
        self.heard.buckets.len()
    }
}

/// What may happen to an address.
#[derive(Clone, Debug)]
enum Step {
    Told { by: u8 },
    Dialled,
    Failed,
    Answered,
    Foreign,
    Removed,
    Asked,
}

fn steps() -> impl Strategy<Value = Vec<(u16, Step, u32)>> {
    let step = prop_oneof![
        6 => any::<u8>().prop_map(|by| Step::Told { by }),
        1 => Just(Step::Dialled),
        2 => Just(Step::Failed),
        3 => Just(Step::Answered),
        1 => Just(Step::Foreign),
        1 => Just(Step::Removed),
        1 => Just(Step::Asked),
    ];
    proptest::collection::vec((0..600_u16, step, 0..100_000_000_u32), 1..1_500)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// INV-TABLES-1: whatever happens in whatever order; and all of it comes back after a restart.
    #[test]
    fn the_tables_are_whole_and_bounded_after_anything_and_after_a_restart(steps in steps()) {
        let (mut tables, mut random, mut now_ms) = (tables(), random(), NOW_MS);
        for (number, step, pause_ms) in steps {
            now_ms += u64::from(pause_ms);
            // Few enough buckets for many to meet.
            let [high, low] = number.to_be_bytes();
            let address = at([80, high, low, 1]);
            match step {
                Step::Told { by } => {
                    tables.add(address, teller(90, by), now_ms, &mut random);
                }
                Step::Dialled => tables.dialled(address, now_ms),
                Step::Failed => tables.failed(address),
                Step::Answered => tables.answered(address, PEER, now_ms),
                Step::Foreign => tables.foreign(address),
                Step::Removed => tables.remove(address),
                Step::Asked => {
                    tables.next_to_ask(now_ms);
                }
            }
        }
        tables.assert_whole();
        let entries: Vec<_> = tables.entries().map(|(address, entry)| (*address, entry.clone())).collect();
        let again = AddressTables::restored(SECRET, Grouping::Strict, entries);
        again.assert_whole();
        prop_assert_eq!(&again.entries, &tables.entries);
    }
}

/// Else whoever has one network would fill all of it.
#[test]
fn one_group_of_tellers_reaches_its_share_of_the_buckets_and_no_more() {
    let (mut tables, mut random) = (tables(), random());
    for number in 0..100_000_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        tables.add(at([60 + a, b, c, 1]), teller(203, 0), NOW_MS, &mut random);
    }
    let buckets = usize::try_from(NEW_BUCKETS_PER_TELLER).unwrap();
    // Two of the turns may lead to one bucket.
    assert!((buckets - 10..=buckets).contains(&tables.buckets_of_heard()), "{}", tables.buckets_of_heard());
    assert!(tables.entries.len() <= buckets * usize::try_from(BUCKET_PLACES).unwrap());
    assert!(tables.add(at([198, 51, 100, 1]), teller(192, 0), NOW_MS, &mut random), "others have theirs");
    tables.assert_whole();
}

#[test]
fn one_group_of_addresses_reaches_its_share_of_the_tried_buckets_and_no_more() {
    let (mut tables, mut random) = (tables(), random());
    for number in 0..20_000_u16 {
        let [b, c] = number.to_be_bytes();
        let address = at([203, 0, b, c]);
        tables.add(address, teller(90, c), NOW_MS, &mut random);
        tables.answered(address, PEER, NOW_MS);
    }
    let share = usize::try_from(TRIED_BUCKETS_PER_GROUP).unwrap();
    assert!((share - 3..=share).contains(&tables.tried.buckets.len()), "{}", tables.tried.buckets.len());
    tables.assert_whole();
}

/// Whoever could foresee places could aim at them.
#[test]
fn places_depend_on_the_nodes_secret() {
    let other = AddressTables::new([8; 32], Grouping::Strict);
    let addresses: Vec<SocketAddr> = (0..50).map(|c| at([203, 0, 113, c])).collect();
    let heard = |tables: &AddressTables| {
        addresses.iter().map(|address| tables.heard_slot(*address, teller(90, 1))).collect::<Vec<_>>()
    };
    let tried = |tables: &AddressTables| {
        addresses.iter().map(|address| tables.tried_slot(*address)).collect::<Vec<_>>()
    };
    assert_eq!(heard(&tables()), heard(&tables()));
    assert!(heard(&tables()) != heard(&other) && tried(&tables()) != tried(&other));
}

/// Two addresses that want one place, told by two groups.
fn rivals(tables: &AddressTables) -> (SocketAddr, SocketAddr) {
    let slot = |address| tables.heard_slot(address, teller(90, 1));
    let first = at([80, 0, 0, 1]);
    let mut others = (0..=u32::MAX).map(|number| {
        let [_, a, b, c] = number.to_be_bytes();
        at([81 + a, b, c, 1])
    });
    (first, others.find(|other| slot(*other) == slot(first)).unwrap())
}

#[test]
fn a_place_is_given_up_only_by_what_is_bad_or_has_another_one() {
    type Change = fn(&mut AddressTables, SocketAddr);
    let cases: [(Change, TimeMs, bool, &str); 7] = [
        (|_, _| (), NOW_MS, false, "nothing is wrong with it"),
        (|_, _| (), NOW_MS + 31 * DAY_MS, true, "nobody has told it for a month"),
        (|tables, it| (0..3).for_each(|_| tables.failed(it)), NOW_MS + DAY_MS, true, "it never answered"),
        (|tables, it| (0..2).for_each(|_| tables.failed(it)), NOW_MS + DAY_MS, false, "twice may be chance"),
        (
            |tables, it| {
                (0..3).for_each(|_| tables.failed(it));
                tables.dialled(it, NOW_MS + DAY_MS);
            },
            NOW_MS + DAY_MS + 1,
            false,
            "it is being dialled",
        ),
        (|tables, it| tables.foreign(it), NOW_MS + DAY_MS, true, "it is of another chain"),
        (
            |tables, it| {
                let mut random = random();
                while tables.entries[&it].tellers.len() < 2 {
                    tables.add(it, teller(91, 1), NOW_MS, &mut random);
                }
            },
            NOW_MS,
            true,
            "it has another place",
        ),
    ];
    for (change, now_ms, gives_way, why) in cases {
        let (mut tables, mut random) = (tables(), random());
        let (holder, rival) = rivals(&tables);
        assert!(tables.add(holder, teller(90, 1), NOW_MS, &mut random));
        change(&mut tables, holder);
        assert_eq!(tables.add(rival, teller(90, 1), now_ms, &mut random), gives_way, "{why}");
        assert_eq!(tables.entries.contains_key(&rival), gives_way, "{why}");
        tables.assert_whole();
    }
}

/// Two addresses that answered and want one place.
fn proved_rivals(tables: &mut AddressTables) -> (SocketAddr, SocketAddr) {
    let first = at([80, 0, 0, 1]);
    let slot = tables.tried_slot(first);
    let mut others = (1..=u16::MAX).map(|number| {
        let [c, d] = number.to_be_bytes();
        at([80, 0, c, d])
    });
    let other = others.find(|other| *other != first && tables.tried_slot(*other) == slot).unwrap();
    let mut random = random();
    for (number, address) in [first, other].into_iter().enumerate() {
        assert!(tables.add(address, teller(90, u8::try_from(number).unwrap()), NOW_MS, &mut random));
    }
    (first, other)
}

/// INV-TABLES-3.
#[test]
fn what_answered_is_asked_again_before_it_makes_room() {
    const LATER_MS: TimeMs = NOW_MS + DAY_MS;
    // It answers, it does not, it could not be asked.
    for (case, stays) in [("answers", true), ("is silent", false), ("is not asked", false)] {
        let mut tables = tables();
        let (holder, rival) = proved_rivals(&mut tables);
        tables.answered(holder, PEER, NOW_MS);
        tables.answered(rival, PEER, LATER_MS);
        assert!(tables.entries[&holder].is_tried && !tables.entries[&rival].is_tried, "INV-TABLES-3");
        assert_eq!(tables.next_to_ask(LATER_MS), Some(holder));
        let mut asked_ms = LATER_MS;
        match case {
            "answers" => {
                tables.dialled(holder, LATER_MS);
                tables.answered(holder, PEER, LATER_MS + 1_000);
            }
            "is silent" => {
                tables.dialled(holder, LATER_MS);
                tables.failed(holder);
                assert_eq!(tables.next_to_ask(LATER_MS + 1), None, "the answer may still come");
                assert!(tables.entries[&holder].is_tried);
            }
            _ => asked_ms += ASK_WITHIN_MS,
        }
        tables.next_to_ask(asked_ms + UNDER_WAY_MS);
        assert_eq!(tables.entries[&holder].is_tried, stays, "{case}");
        assert_eq!(tables.entries[&rival].is_tried, !stays, "{case}");
        assert_eq!(tables.next_to_ask(asked_ms + UNDER_WAY_MS), None, "it is settled");
        tables.assert_whole();
    }
}

#[test]
fn what_answered_a_moment_ago_keeps_its_place_unasked() {
    let mut tables = tables();
    let (holder, rival) = proved_rivals(&mut tables);
    tables.answered(holder, PEER, NOW_MS);
    tables.answered(rival, PEER, NOW_MS + 1);
    assert_eq!(tables.next_to_ask(NOW_MS + 2), None);
    assert_eq!(tables.next_to_ask(NOW_MS + DAY_MS), None, "nobody waits any more");
    assert!(tables.entries[&holder].is_tried && !tables.entries[&rival].is_tried);
}

/// Else a crowd that is only heard of would be all that is dialled.
#[test]
fn what_answered_is_drawn_as_often_as_what_was_only_heard_of() {
    let (mut tables, mut random) = (tables(), random());
    for number in 0..1_000_u16 {
        let [b, c] = number.to_be_bytes();
        tables.add(at([80, b, c, 1]), teller(90, c), NOW_MS, &mut random);
    }
    let proved = at([198, 51, 100, 1]);
    tables.add(proved, teller(91, 1), NOW_MS, &mut random);
    tables.answered(proved, PEER, NOW_MS);
    let draws = 2_000;
    let count = |tables: &AddressTables, random: &mut StdRng, wanted| {
        (0..draws).filter(|_| tables.draw(wanted, random, |_, _| true) == Some(proved)).count()
    };
    let drawn = count(&tables, &mut random, Wanted::Any);
    assert!((900..=1_100).contains(&drawn), "{drawn} of {draws}");
    assert_eq!(count(&tables, &mut random, Wanted::Heard), 0, "it is heard of no more");
}

/// Else a bucket that somebody filled would be drawn from as often as 64 others.
#[test]
fn each_bucket_is_drawn_from_as_often() {
    let (mut tables, mut random) = (tables(), random());
    let mut crowd = BTreeSet::new();
    for number in 0..60_000_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        let address = at([80 + a, b, c, 1]);
        if tables.add(address, teller(203, 0), NOW_MS, &mut random) {
            crowd.insert(address);
        }
    }
    // As many buckets, with one address each.
    for number in 0..u8::try_from(NEW_BUCKETS_PER_TELLER).unwrap() {
        tables.add(at([198, number, 0, 1]), teller(192, number), NOW_MS, &mut random);
    }
    let draws = 2_000;
    let drawn = (0..draws)
        .filter(|_| tables.draw(Wanted::Any, &mut random, |_, _| true).is_some_and(|it| crowd.contains(&it)))
        .count();
    assert!(
        crowd.len() > 3_000 && (800..=1_200).contains(&drawn),
        "{drawn} of {draws}, crowd {}",
        crowd.len()
    );
}

#[test]
fn what_failed_is_drawn_seldom_and_what_is_not_fit_never() {
    let (mut tables, mut random) = (tables(), random());
    let (good, bad, unfit) = (at([80, 0, 0, 1]), at([81, 0, 0, 1]), at([82, 0, 0, 1]));
    for (number, address) in [good, bad, unfit].into_iter().enumerate() {
        tables.add(address, teller(90, u8::try_from(number).unwrap()), NOW_MS, &mut random);
    }
    (0..8).for_each(|_| tables.failed(bad));
    let drawn: Vec<SocketAddr> = (0..1_000)
        .filter_map(|_| tables.draw(Wanted::Any, &mut random, |address, _| address != unfit))
        .collect();
    let count = |address| drawn.iter().filter(|drawn| **drawn == address).count();
    assert!((1..150).contains(&count(bad)) && count(good) > 800 && count(unfit) == 0, "{}", count(bad));
    assert_eq!(tables.draw(Wanted::Any, &mut random, |_, _| false), None, "it ends all the same");
}

/// INV-NET-16.
#[test]
fn hearsay_is_not_told_and_neither_is_what_is_bad() {
    let (mut tables, mut random) = (tables(), random());
    let (proved, hearsay, of_itself) = (at([80, 0, 0, 1]), at([81, 0, 0, 1]), at([82, 0, 0, 1]));
    for (number, address) in [proved, hearsay, of_itself].into_iter().enumerate() {
        tables.add(address, teller(90, u8::try_from(number).unwrap()), NOW_MS, &mut random);
    }
    tables.answered(proved, PEER, NOW_MS);
    let other = PublicKey([2; 32]);
    tables.note_of_itself(of_itself, other);
    let told = |tables: &AddressTables, now_ms, connected| {
        tables.tellable(now_ms, |_| connected).collect::<BTreeSet<_>>()
    };
    assert_eq!(told(&tables, NOW_MS, false), BTreeSet::from([(proved, Some(PEER))]));
    let both = BTreeSet::from([(proved, Some(PEER)), (of_itself, Some(other))]);
    assert_eq!(told(&tables, NOW_MS, true), both);
    assert!(told(&tables, NOW_MS + 31 * DAY_MS, true).is_empty(), "nobody knows whether they are there");
}

/// A clock that was wrong for a while, or a file of a machine whose clock is ahead.
#[test]
fn times_ahead_of_the_clock_make_nothing_bad() {
    let (mut tables, mut random) = (tables(), random());
    let address = at([80, 0, 0, 1]);
    tables.add(address, teller(90, 1), NOW_MS, &mut random);
    tables.answered(address, PEER, NOW_MS);
    assert_eq!(tables.tellable(1, |_| false).count(), 1);
    assert!(!tables.entries[&address].is_bad(1));
}
