//! Handshakes of inbound connections that are under way: how many, from where, and at what rate.
//!
//! # Place
//! `peer_manager.rs` asks for each socket that it accepts, before a byte is read.
//!
//! # Rules
//! Anybody may open sockets and say nothing, so a full house never turns a newcomer away: the oldest handshake of the
//! group of addresses that has most makes room. An honest handshake takes three round trips; it is lost only when
//! all places are filled anew meanwhile. A host may begin [`HOST_PER_SECOND`] a second, all hosts together
//! [`ALL_PER_SECOND`], which bounds the work: each is two key exchanges and up to three signature checks, some 300 us.
//! Members are not known yet here. What a flood turns away of theirs is made good by this node, which dials them.
//!
//! # Invariants
//! - INV-NET-17: handshakes under way are at most [`HALF_OPEN_MAX`], of one group [`HALF_OPEN_PER_GROUP_MAX`], and of
//!   all banned addresses [`HALF_OPEN_BANNED_MAX`].
//!
//! # Concurrency
//! One short mutex.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::peer::Origin;
use super::rate_limit::Bucket;

/// Handshakes of inbound connections under way, at most.
pub const HALF_OPEN_MAX: usize = 128;
/// Of these, from one group of addresses. Loopback has no such limit.
pub(crate) const HALF_OPEN_PER_GROUP_MAX: usize = 16;
/// Of these, from banned addresses: a member of the set may be among them.
pub(crate) const HALF_OPEN_BANNED_MAX: usize = 8;
/// Handshakes that one host may begin a second. Loopback has no such limit.
pub(crate) const HOST_PER_SECOND: u64 = 4;
/// And at once.
pub(crate) const HOST_BURST: u64 = 32;
/// Handshakes a second in all: a tenth of a core.
pub(crate) const ALL_PER_SECOND: u64 = 400;
/// And at once.
pub(crate) const ALL_BURST: u64 = 800;
/// Hosts whose rate is remembered, at most; those that are full again are forgotten first.
const HOSTS_MAX: usize = 4_096;

struct Entry {
    origin: Origin,
    is_banned: bool,
    /// Ends the handshake.
    closing: CancellationToken,
}

struct State {
    /// By number, the oldest first.
    entries: std::collections::BTreeMap<u64, Entry>,
    next: u64,
    hosts: HashMap<IpAddr, Bucket, ahash::RandomState>,
    all: Bucket,
}

/// The handshakes under way.
pub(crate) struct HalfOpen {
    state: Mutex<State>,
}

/// A place among them; given back when dropped.
pub(crate) struct HalfOpenPlace {
    house: Arc<HalfOpen>,
    number: u64,
    /// Cancelled when the place is needed for another one.
    pub(crate) closing: CancellationToken,
}

impl Drop for HalfOpenPlace {
    fn drop(&mut self) {
        self.house.state.lock().entries.remove(&self.number);
    }
}

/// Takes one of a host's handshakes of the moment.
fn takes_turn(hosts: &mut HashMap<IpAddr, Bucket, ahash::RandomState>, host: IpAddr, now: Instant) -> bool {
    if !hosts.contains_key(&host) && hosts.len() >= HOSTS_MAX {
        hosts.retain(|_, bucket| {
            bucket.refill(HOST_PER_SECOND, HOST_BURST, now);
            !bucket.holds(HOST_BURST)
        });
        if hosts.len() >= HOSTS_MAX {
            return false;
        }
    }
    let bucket = hosts.entry(host).or_insert_with(|| Bucket::full(HOST_BURST, now));
    bucket.refill(HOST_PER_SECOND, HOST_BURST, now);
    let holds = bucket.holds(1);
    bucket.take(1);
    holds
}

impl State {
    /// Ends the oldest of these handshakes.
    fn evict(&mut self, is_candidate: impl Fn(&Entry) -> bool) {
        let oldest = self.entries.iter().find(|(_, entry)| is_candidate(entry)).map(|(number, _)| *number);
        if let Some(entry) = oldest.and_then(|number| self.entries.remove(&number)) {
            entry.closing.cancel();
        }
    }

    fn count(&self, is_counted: impl Fn(&Entry) -> bool) -> usize {
        self.entries.values().filter(|entry| is_counted(entry)).count()
    }

    /// The group that has most; `None` stands for loopback.
    fn largest_group(&self) -> Option<IpAddr> {
        let mut sizes: HashMap<Option<IpAddr>, usize, ahash::RandomState> = HashMap::default();
        for entry in self.entries.values() {
            *sizes.entry(entry.origin.group()).or_insert(0) += 1;
        }
        sizes.into_iter().max_by_key(|(_, size)| *size).and_then(|(group, _)| group)
    }
}

impl HalfOpen {
    /// None under way.
    pub(crate) fn new(now: Instant) -> Arc<Self> {
        let state = State {
            entries: std::collections::BTreeMap::new(),
            next: 0,
            hosts: HashMap::default(),
            all: Bucket::full(ALL_BURST, now),
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// A place for a new one, whose token ends with `parent`; `None` when its host, or all together, begin too many.
    pub(crate) fn enter(
        self: &Arc<Self>,
        origin: Origin,
        is_banned: bool,
        parent: &CancellationToken,
        now: Instant,
    ) -> Option<HalfOpenPlace> {
        let mut state = self.state.lock();
        if let Some(host) = origin.host()
            && !takes_turn(&mut state.hosts, host, now)
        {
            return None;
        }
        state.all.refill(ALL_PER_SECOND, ALL_BURST, now);
        if !state.all.holds(1) {
            return None;
        }
        state.all.take(1);
        if is_banned && state.count(|entry| entry.is_banned) >= HALF_OPEN_BANNED_MAX {
            state.evict(|entry| entry.is_banned);
        }
        let group = origin.group();
        if group.is_some() && state.count(|entry| entry.origin.group() == group) >= HALF_OPEN_PER_GROUP_MAX {
            state.evict(|entry| entry.origin.group() == group);
        }
        if state.entries.len() >= HALF_OPEN_MAX {
            let largest = state.largest_group();
            state.evict(|entry| entry.origin.group() == largest);
        }
        let number = state.next;
        state.next += 1;
        let closing = parent.child_token();
        state.entries.insert(number, Entry { origin, is_banned, closing: closing.clone() });
        drop(state);
        Some(HalfOpenPlace { house: Arc::clone(self), number, closing })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::network::peer::now;

    fn origin(text: &str) -> Origin {
        Origin::of(text.parse().unwrap())
    }

    struct Street {
        house: Arc<HalfOpen>,
        token: CancellationToken,
        at: Instant,
    }

    impl Street {
        fn new() -> Self {
            let at = now();
            Self { house: HalfOpen::new(at), token: CancellationToken::new(), at }
        }

        fn enter(&self, ip: &str, is_banned: bool) -> Option<HalfOpenPlace> {
            self.house.enter(origin(ip), is_banned, &self.token, self.at)
        }
    }

    #[test]
    fn a_full_house_never_turns_a_stranger_away() {
        let street = Street::new();
        let mut idle = Vec::new();
        for number in 0..200_usize {
            idle.push(street.enter(&format!("198.51.{}.1", number / 8), false).unwrap());
            assert!(street.house.state.lock().entries.len() <= HALF_OPEN_MAX, "INV-NET-17");
        }
        let honest = street.enter("203.0.113.1", false).unwrap();
        for number in 0..100_usize {
            idle.push(street.enter(&format!("198.51.{}.2", number / 8), false).unwrap());
        }
        assert!(!honest.closing.is_cancelled(), "its group is the smallest");
        assert!(idle[0].closing.is_cancelled(), "the oldest made room");
        drop((honest, idle));
        assert!(street.house.state.lock().entries.is_empty(), "places are given back");
    }

    #[test]
    fn on_one_machine_the_oldest_make_room() {
        let street = Street::new();
        let idle: Vec<HalfOpenPlace> = (0..200).map(|_| street.enter("127.0.0.1", false).unwrap()).collect();
        let honest = street.enter("127.0.0.1", false).unwrap();
        assert!(!honest.closing.is_cancelled());
        assert_eq!(idle.iter().filter(|place| place.closing.is_cancelled()).count(), 201 - HALF_OPEN_MAX);
    }

    #[test]
    fn one_group_and_the_banned_have_few() {
        let street = Street::new();
        let group: Vec<_> =
            (0..30).map(|number| street.enter(&format!("192.0.2.{number}"), false).unwrap()).collect();
        let open = group.iter().filter(|place| !place.closing.is_cancelled()).count();
        assert_eq!(open, HALF_OPEN_PER_GROUP_MAX, "INV-NET-17");
        let banned: Vec<_> =
            (0..30).map(|number| street.enter(&format!("198.51.{number}.1"), true).unwrap()).collect();
        let open = banned.iter().filter(|place| !place.closing.is_cancelled()).count();
        assert_eq!(open, HALF_OPEN_BANNED_MAX, "INV-NET-17");
    }

    #[test]
    fn a_host_and_all_together_begin_at_a_bounded_rate() {
        let mut street = Street::new();
        let begun = |street: &Street, ip: &str, attempts: usize| {
            (0..attempts).filter(|_| street.enter(ip, false).is_some()).count()
        };
        assert_eq!(begun(&street, "192.0.2.1", 100), usize::try_from(HOST_BURST).unwrap());
        assert_eq!(begun(&street, "192.0.2.2", 1), 1, "hosts are apart");
        street.at += Duration::from_secs(1);
        assert_eq!(begun(&street, "192.0.2.1", 100), usize::try_from(HOST_PER_SECOND).unwrap());
        let all = begun(&street, "127.0.0.1", 2_000);
        assert!(all <= usize::try_from(ALL_BURST).unwrap(), "{all}");
        street.at += Duration::from_secs(1);
        assert_eq!(begun(&street, "127.0.0.1", 2_000), usize::try_from(ALL_PER_SECOND).unwrap());
    }

    /// A crowd keeps nobody out for longer than it takes to rest.
    #[test]
    fn hosts_that_have_rested_make_room_for_others() {
        let mut street = Street::new();
        for number in 0..u32::try_from(HOSTS_MAX).unwrap() {
            let [.., b, c] = number.to_be_bytes();
            let _entered = street.enter(&format!("100.{b}.{c}.1"), false);
        }
        assert_eq!(street.house.state.lock().hosts.len(), HOSTS_MAX);
        street.at += Duration::from_secs(1);
        assert!(street.enter("203.0.113.1", false).is_some());
    }

    #[test]
    fn the_memory_of_hosts_is_bounded() {
        let mut street = Street::new();
        for number in 0..10_000_u32 {
            let [_, a, b, c] = number.to_be_bytes();
            street.at += Duration::from_millis(3);
            let _entered = street.enter(&format!("{}.{b}.{c}.1", 100 + a), false);
        }
        assert!(street.house.state.lock().hosts.len() <= HOSTS_MAX);
    }
}
