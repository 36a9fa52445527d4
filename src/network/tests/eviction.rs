//! Who keeps a place in a full house, and who makes room.

use super::*;
use crate::network::connection::Common;
use crate::network::peer::now;
use crate::network::tests::support;

const NEWCOMER: &str = "203.0.113.1:9";

struct House {
    eviction: Eviction,
    connections: Connections,
}

impl House {
    /// One connection from each of these hosts, in this order.
    fn new(hosts: impl IntoIterator<Item = String>) -> Self {
        let common = Arc::<Common>::default();
        let connect = |(id, ip): (u64, String)| {
            let peer = support::key(u8::try_from(id).unwrap());
            support::connection_of(id, peer, &ip, None, true, &common)
        };
        let connections = (0..).zip(hosts).map(connect).collect();
        Self { eviction: Eviction::new([7; 32], Grouping::Strict), connections }
    }

    /// A crowd of one network.
    fn crowd(count: u8) -> Self {
        Self::new((0..count).map(|number| format!("198.51.{number}.1")))
    }

    fn get(&self, id: usize) -> &Connection {
        &self.connections[id]
    }

    fn evicted(&self, from: &str, at: Instant) -> Option<u64> {
        self.eviction.for_stranger(&self.connections, from.parse().unwrap(), at).map(|gone| gone.id)
    }

    /// Who may have to make room.
    fn open(&self) -> BTreeSet<u64> {
        self.eviction.unprotected(&self.connections).iter().map(|connection| connection.id).collect()
    }
}

#[test]
fn a_newcomer_takes_the_place_of_one_of_the_largest_network() {
    let mut hosts: Vec<String> = (0..12).map(|number| format!("{}.51.0.1", 60 + number)).collect();
    hosts.extend((0..4).map(|number| format!("198.51.{number}.1")));
    let house = House::new(hosts);
    let gone = house.evicted(NEWCOMER, now()).unwrap();
    assert!((12..16).contains(&gone), "{gone}");
    assert_eq!(house.evicted("198.51.100.1:9", now()), None, "its own network has most already");
}

#[test]
fn where_all_differ_and_are_useful_nobody_makes_room() {
    let house = House::new((0..16).map(|number| format!("{}.51.0.1", 60 + number)));
    assert_eq!(house.evicted(NEWCOMER, now()), None);
    let later = now() + USELESS_AFTER;
    for connection in &house.connections {
        connection.note_useful(connection.id % 2 == 0, later);
    }
    assert_eq!(house.evicted(NEWCOMER, later), None);
    let useless = House::new((0..16).map(|number| format!("{}.51.0.1", 60 + number)));
    assert!(useless.evicted(NEWCOMER, now() + USELESS_AFTER).is_some(), "they brought nothing");
}

/// INV-EVICT-1. The youngest of 64 of one network is better in just one way.
#[test]
fn the_nearest_and_the_bringers_of_payments_and_votes_keep_their_places() {
    type Distinguish = fn(&Connection, Instant);
    let ways: [(&str, Distinguish, bool); 4] = [
        ("nothing", |_, _| (), false),
        ("nearest", |one, _| one.set_latency(Duration::from_millis(1)), true),
        ("payments", |one, at| one.note_useful(false, at), true),
        ("votes", |one, at| one.note_useful(true, at), true),
    ];
    for (way, distinguish, keeps) in ways {
        let house = House::crowd(64);
        for connection in &house.connections {
            connection.set_latency(Duration::from_millis(100 + connection.id));
            let at = now() + Duration::from_secs(64 - connection.id);
            // Others bring something too, and more lately.
            connection.note_useful(true, at);
            connection.note_useful(false, at);
        }
        distinguish(house.get(63), now() + Duration::from_secs(100));
        assert_eq!(!house.open().contains(&63), keeps, "INV-EVICT-1: {way}");
    }
}

/// INV-EVICT-1.
#[test]
fn the_half_that_is_connected_longest_keeps_its_places() {
    let house = House::crowd(64);
    let open = house.open();
    // One keeps its place for its network; nobody has anything else to show.
    assert_eq!(open.len(), 32);
    assert!(open.iter().all(|id| *id >= 31), "{open:?}");
}

/// In a small house too, somebody makes room.
#[test]
fn no_more_than_a_share_of_the_places_is_kept_in_each_way() {
    for (count, open) in [(1, 1), (2, 1), (4, 2), (8, 2), (16, 5), (64, 24)] {
        let house = House::crowd(count);
        for connection in &house.connections {
            connection.set_latency(Duration::from_millis(9));
            connection.note_useful(true, now());
            connection.note_useful(false, now());
        }
        assert_eq!(house.open().len(), open, "of {count}");
    }
}

/// INV-EVICT-1: which networks these are nobody can foresee, and of each one place is kept.
#[test]
fn a_few_networks_keep_a_place_by_a_secret() {
    let hosts = || (0..64).map(|number| format!("{}.51.0.1", 60 + number / 2));
    let kept = |secret: u8| {
        let mut house = House::new(hosts());
        house.eviction = Eviction::new([secret; 32], Grouping::Strict);
        let mut open = house.connections.clone();
        house.eviction.keep_networks(&mut open, KEPT_BY_NETWORK);
        let left: BTreeSet<u64> = open.iter().map(|connection| connection.id).collect();
        (0..64).filter(|id| !left.contains(id)).collect::<Vec<u64>>()
    };
    let networks = |ids: &[u64]| ids.iter().map(|id| id / 2).collect::<BTreeSet<u64>>().len();
    assert_eq!((kept(1).len(), networks(&kept(1))), (KEPT_BY_NETWORK, KEPT_BY_NETWORK), "one of each");
    assert!(kept(1).iter().all(|id| id % 2 == 0), "the older one");
    assert_ne!(kept(1), kept(2));
}

#[test]
fn a_member_gets_the_place_of_one_of_the_largest_network_in_any_case() {
    let house = House::new((0..3).map(|number| format!("{}.51.0.1", 60 + number)));
    assert!(house.eviction.for_member(&house.connections).is_some());
    assert!(house.eviction.for_member(&[]).is_none());
}
