//! Who gets a place among the connections, and who makes room.

use super::*;
use crate::network::connection::Common;
use crate::network::peer::now;
use crate::network::tests::support;

const SMALL: PublicKey = PublicKey([1; 32]);
const LARGE: PublicKey = PublicKey([2; 32]);
const LOOPBACK: &str = "127.0.0.1";

struct House {
    manager: ConnectionManager,
    common: Arc<Common>,
    next_id: u64,
}

impl House {
    fn new(own: PublicKey, inbound_max: usize, outbound_max: usize) -> Self {
        Self::of(own, (inbound_max, outbound_max), false)
    }

    fn of(own: PublicKey, places: (usize, usize), meets_members: bool) -> Self {
        let manager = ConnectionManager::new(own, places, meets_members, ([7; 32], Grouping::ByPort));
        Self { manager, common: Arc::default(), next_id: 1 }
    }

    fn add(
        &mut self,
        peer: PublicKey,
        ip: &str,
        operator: Option<PublicKey>,
        inbound: bool,
    ) -> Result<(u64, Vec<u64>), RefusalReason> {
        let id = self.next_id;
        self.next_id += 1;
        let connection = support::connection_of(id, peer, ip, operator, inbound, &self.common);
        let at = now();
        let may = self.manager.check(&Newcomer::of(&connection), at).map(|_| ());
        let registered = self.manager.register(&connection, at);
        assert_eq!(
            registered.as_ref().map(|_| ()).map_err(|reason| *reason),
            may,
            "check and register agree"
        );
        registered.map(|place| {
            let gone = place.replaced.into_iter().chain(place.evicted);
            (id, gone.map(|connection| connection.id).collect())
        })
    }

    fn stranger(&mut self, seed: u8, ip: &str) -> Result<(u64, Vec<u64>), RefusalReason> {
        self.add(support::key(seed), ip, None, true)
    }

    fn member(&mut self, seed: u8, ip: &str) -> Result<(u64, Vec<u64>), RefusalReason> {
        self.add(support::key(seed), ip, Some(support::key(seed + 100)), true)
    }
}

#[test]
fn both_ends_keep_what_the_smaller_identity_opened_in_either_order() {
    for small_first in [true, false] {
        let (mut at_small, mut at_large) = (House::new(SMALL, 8, 8), House::new(LARGE, 8, 8));
        // One was opened by SMALL, the other by LARGE.
        let order = if small_first { [true, false] } else { [false, true] };
        for opened_by_small in order {
            let _either = at_small.add(LARGE, LOOPBACK, None, !opened_by_small);
            let _either = at_large.add(SMALL, LOOPBACK, None, opened_by_small);
        }
        assert!(!at_small.manager.get(LARGE).unwrap().inbound, "INV-NET-12");
        assert!(at_large.manager.get(SMALL).unwrap().inbound);
        assert_eq!((at_small.manager.counts(), at_large.manager.counts()), ((0, 1), (1, 0)));
    }
}

/// INV-NET-13: whoever is dialled has no way in beside the bounds.
#[test]
fn who_was_dialled_comes_in_only_where_a_newcomer_would() {
    let mut house = House::new(LARGE, 1, 8);
    assert_eq!(house.add(SMALL, LOOPBACK, None, false), Ok((1, vec![])));
    assert_eq!(house.add(support::key(9), LOOPBACK, None, true), Ok((2, vec![])));
    assert_eq!(house.add(SMALL, LOOPBACK, None, true), Err(RefusalReason::Duplicate));
    assert_eq!(house.manager.counts(), (1, 1), "the connection that was dialled stays");
}

#[test]
fn of_one_direction_the_opener_decides() {
    let mut house = House::new(SMALL, 8, 8);
    assert_eq!(house.add(LARGE, LOOPBACK, None, true), Ok((1, vec![])));
    assert_eq!(house.add(LARGE, LOOPBACK, None, true), Ok((2, vec![1])), "it is back after a restart");
    let other = PublicKey([3; 32]);
    assert_eq!(house.add(other, LOOPBACK, None, false), Ok((3, vec![])));
    assert_eq!(house.add(other, LOOPBACK, None, false), Err(RefusalReason::Duplicate));
    assert_eq!(house.manager.counts(), (1, 1));
}

#[test]
fn limits_hold_and_removal_is_of_the_very_connection() {
    let mut house = House::new(SMALL, 1, 1);
    assert_eq!(house.add(LARGE, LOOPBACK, None, true), Ok((1, vec![])));
    let first = house.manager.get(LARGE).unwrap();
    let other = PublicKey([3; 32]);
    assert_eq!(house.add(other, LOOPBACK, None, true), Err(RefusalReason::TooManyConnections), "INV-NET-13");
    assert_eq!(house.add(LARGE, LOOPBACK, None, true), Ok((3, vec![1])), "replacing needs no place");
    assert!(!house.manager.remove(&first), "it was replaced");
    assert_eq!(house.manager.counts(), (1, 0));
    let second = house.manager.get(LARGE).unwrap();
    assert!(house.manager.remove(&second));
    assert_eq!(house.manager.counts(), (0, 0));
    assert_eq!(house.add(other, LOOPBACK, None, true), Ok((4, vec![])));
    assert_eq!(house.add(LARGE, LOOPBACK, None, false), Ok((5, vec![])));
    assert_eq!(house.manager.outbound_free(), 0);
    assert_eq!(house.add(support::key(9), LOOPBACK, None, false), Err(RefusalReason::TooManyConnections));
}

/// INV-DIAL-3: of two members whose outbound places are taken neither would ever dial the other one.
#[test]
fn members_that_a_masternode_dials_come_beside_its_outbound_places() {
    let full = Err(RefusalReason::TooManyConnections);
    let key = |nth: u16| {
        let mut key = PublicKey([9; 32]);
        key.0[..2].copy_from_slice(&nth.to_le_bytes());
        key
    };
    let dials = |house: &mut House, nth: u16, proves: bool| {
        house.add(key(nth), LOOPBACK, proves.then_some(key(nth)), false)
    };
    let mut house = House::of(SMALL, (8, 2), true);
    house.common.members.set((0..1_000).map(key));
    for nth in 0..10 {
        assert!(dials(&mut house, nth, true).is_ok());
    }
    assert_eq!(house.manager.outbound_free(), 2, "they take none");
    assert!(dials(&mut house, 10, false).is_ok() && dials(&mut house, 11, false).is_ok());
    assert_eq!(
        (dials(&mut house, 12, false), house.manager.outbound_free()),
        (full.clone(), 0),
        "INV-NET-13"
    );
    let most = 2 + u16::try_from(VALIDATORS_MAX).unwrap();
    for nth in 12..most {
        assert!(dials(&mut house, nth, true).is_ok(), "{nth}");
    }
    let (_, evicted) = dials(&mut house, most, true).unwrap();
    assert_eq!(evicted, [11], "the oldest one that is no member");
    assert!(dials(&mut house, most + 1, true).is_ok_and(|(_, evicted)| evicted == [12]));
    assert_eq!(dials(&mut house, most + 2, true), full, "there are no more members than these");
    assert_eq!(house.manager.counts(), (0, usize::from(most)));
    // Whoever votes for nothing needs a few of them.
    let mut follower = House::of(SMALL, (8, 2), false);
    follower.common.members.set((0..3).map(key));
    assert!(dials(&mut follower, 0, true).is_ok() && dials(&mut follower, 1, true).is_ok());
    assert_eq!(dials(&mut follower, 2, true), full);
}

#[test]
fn one_host_and_one_group_have_few_places_and_loopback_any_number() {
    let mut house = House::new(SMALL, 100, 100);
    for seed in 0..4 {
        assert!(house.stranger(seed, "2001:db8::1").is_ok());
    }
    let refused = Err(RefusalReason::TooManyFromAddress);
    assert_eq!(house.stranger(4, "2001:db8::ffff"), refused, "INV-NET-13: one host");
    for seed in 5..9 {
        assert!(house.stranger(seed, "2001:db8:0:1::1").is_ok());
    }
    assert_eq!(house.stranger(9, "2001:db8:0:2::1"), refused, "INV-NET-13: one group");
    assert!(house.stranger(10, "2001:db8:1::1").is_ok());
    for seed in 20..60 {
        assert!(house.stranger(seed, LOOPBACK).is_ok());
    }
}

#[test]
fn a_member_always_gets_in_and_strangers_make_room() {
    let mut house = House::new(SMALL, 8, 8);
    house.common.members.set((100..=250).map(support::key));
    for seed in 0..8 {
        house.stranger(seed, &format!("192.0.2.{}", if seed < 4 { 1 } else { 2 })).unwrap();
    }
    assert!(house.stranger(9, "198.51.100.1").is_ok(), "a newcomer from elsewhere displaces one of the many");
    for (count, seed) in (20..28).enumerate() {
        // From the very same addresses, which are full.
        let (_, gone) = house.member(seed, "192.0.2.1").unwrap();
        assert_eq!(gone.len(), 1, "INV-NET-27: {count}");
    }
    let members = house.manager.all().iter().filter(|one| one.standing() == Standing::Member).count();
    assert_eq!((members, house.manager.counts()), (8, (8, 0)));
    assert_eq!(house.member(28, "192.0.2.1").unwrap().1, Vec::<u64>::new(), "INV-NET-27: beyond all places");
    assert_eq!(house.stranger(30, "203.0.113.1"), Err(RefusalReason::TooManyConnections), "INV-NET-27");
    // A restarted one comes with a new identity: first beside the old one, then instead of it.
    let mut gone =
        |seed| house.add(support::key(seed), "192.0.2.1", Some(support::key(120)), true).unwrap().1.len();
    assert_eq!((gone(40), gone(41)), (0, 1));
    assert!(!house.manager.contains(support::key(20)));
    // A member of the past is a stranger.
    house.common.members.set([]);
    assert_eq!(house.member(50, "192.0.2.1"), Err(RefusalReason::TooManyFromAddress));
}

/// A copy of a key is heard beside the original: each has to learn of what the other one signs.
#[test]
fn two_nodes_with_one_key_are_both_heard_and_a_third_takes_the_place_of_the_oldest() {
    let mut house = House::new(SMALL, 8, 8);
    house.common.members.set([support::key(120)]);
    for (seed, displaced) in [(40, None), (41, None), (42, Some(40)), (43, Some(41))] {
        let (_, gone) = house.add(support::key(seed), "192.0.2.1", Some(support::key(120)), true).unwrap();
        assert_eq!(gone.len(), usize::from(displaced.is_some()));
        assert!(displaced.is_none_or(|seed| !house.manager.contains(support::key(seed))));
    }
}

/// INV-NET-27.
#[test]
fn a_registered_masternode_keeps_its_place_though_it_is_not_in_the_set() {
    let mut house = House::new(SMALL, 8, 8);
    for seed in 0..8 {
        house.member(seed, &format!("192.0.{seed}.1")).unwrap();
    }
    house.common.members.set_registered((100..108).map(support::key));
    assert_eq!(house.stranger(10, "203.0.113.1"), Err(RefusalReason::TooManyConnections), "INV-NET-27");
    house.common.members.set_registered([]);
    assert_eq!(house.stranger(10, "203.0.113.1").unwrap().1.len(), 1, "they are a crowd of one network");
}

/// INV-VISIT-1.
#[test]
fn a_full_house_lets_few_more_in_for_a_visit_and_nobody_leaves_for_them() {
    let mut house = House::new(SMALL, 32, 8);
    house.common.members.set([support::key(120)]);
    let visits = |house: &House, seed: u8, ip: &str| {
        let connection = support::connection_of(0, support::key(seed), ip, None, true, &house.common);
        house.manager.check(&Newcomer::of(&connection), now()).map(|place| place.is_visit)
    };
    for seed in 0..32 {
        assert_eq!(visits(&house, seed, &format!("192.{seed}.2.1")), Ok(false));
        house.stranger(seed, &format!("192.{seed}.2.1")).unwrap();
    }
    for seed in 32..34 {
        assert_eq!(visits(&house, seed, &format!("192.{seed}.2.1")), Ok(true));
        assert_eq!(house.stranger(seed, &format!("192.{seed}.2.1")).unwrap().1, Vec::<u64>::new());
    }
    assert_eq!(visits(&house, 34, "192.34.2.1"), Err(RefusalReason::TooManyConnections));
    assert_eq!(house.member(20, "192.34.2.1").unwrap().1.len(), 1, "INV-NET-27");
    assert_eq!(visits(&house, 34, "192.34.2.1"), Err(RefusalReason::TooManyConnections));
    let visitor = house.manager.get(support::key(33)).unwrap();
    assert!(house.manager.remove(&visitor));
    assert_eq!(visits(&house, 34, "192.34.2.1"), Ok(true));
}

/// INV-VISIT-1, INV-NET-13.
#[test]
fn a_visitor_gets_no_place_by_coming_again_nor_by_what_leaves_meanwhile() {
    let mut house = House::new(SMALL, 32, 8);
    for seed in 0..34 {
        house.stranger(seed, &format!("192.{seed}.2.1")).unwrap();
    }
    let visits = |house: &House, seed: u8| house.manager.get(support::key(seed)).unwrap().visits();
    assert_eq!([31, 32, 33].map(|seed| visits(&house, seed)), [false, true, true]);
    let came = house.stranger(33, "192.33.2.1").unwrap();
    assert_eq!(came.1.len(), 1, "it replaces itself");
    assert!(visits(&house, 33), "it has no place this time either");
    // A place that gets free is for whoever comes next, however many visit.
    let gone = house.manager.get(support::key(5)).unwrap();
    assert!(house.manager.remove(&gone));
    house.stranger(40, "192.40.2.1").unwrap();
    assert!(!visits(&house, 40));
    // Two of each network, and two visitors of two of these. One that has a place makes room for the next, no visitor does:
    // else it would be one place more.
    let mut paired = House::new(SMALL, 32, 8);
    for seed in 0..34 {
        paired.stranger(seed, &format!("192.{}.2.{seed}", seed % 16)).unwrap();
    }
    assert_eq!(paired.stranger(50, "192.90.2.1").unwrap().1.len(), 1);
    let all = paired.manager.all();
    assert_eq!((all.len(), all.iter().filter(|one| one.visits()).count()), (34, 2));
}
