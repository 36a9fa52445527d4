//! All open connections of a server: bounded, and the least useful goes when a new one comes.
//!
//! # Place
//! `rpc/listener.rs` enters what it accepts; `rpc/http.rs` asks for room when strangers hold too many answers.
//!
//! # Invariants
//! - INV-CONN-1: at most [`Limits::connections_max`] connections are open. A newcomer is not refused for it: the least
//!   useful of the others is closed. There always is one, since fewer requests than connections are answered at once.
//!
//! Refusing newcomers, the alternative, lets whoever comes first with enough silent connections keep all others out.
//!
//! An address has a quarter of the connections on which nothing is being answered, an IPv6 network of 64 bits counting
//! as one. Loopback has no such bound, because there a wallet, a monitor and an attacker are one address: what tells
//! them apart is that the attacker's connections are useless, and that those with credentials go last.
//!
//! # Concurrency
//! One short lock on the table, and under it one connection's lock after the other. Nothing is awaited.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::connection::Connection;
use super::limits::Limits;

/// The open connections of a server.
pub struct Connections {
    limits: Limits,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    open: BTreeMap<u64, Arc<Connection>>,
    next: u64,
}

/// What counts as one client: an IPv4 address, or an IPv6 network of 64 bits.
#[must_use]
pub fn client_of(peer: SocketAddr) -> IpAddr {
    match peer.ip().to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let network = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address => address,
    }
}

impl Connections {
    /// None yet.
    #[must_use]
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, table: Mutex::default() })
    }

    /// Enters a new connection, and closes the least useful one if there are too many. `None` means that each
    /// connection is answering a request, which the number of places for requests excludes.
    #[must_use]
    pub fn enter(self: &Arc<Self>, peer: SocketAddr, now: Instant) -> Option<Entered> {
        let mut table = self.table.lock();
        let client = client_of(peer);
        if !client.is_loopback() {
            let of_client = |connection: &Connection| client_of(connection.peer) == client;
            let idle = table
                .open
                .values()
                .filter(|one| of_client(one))
                .filter_map(|one| one.uselessness(&self.limits, now));
            if idle.count() >= self.limits.idle_per_address_max() {
                table.close_least_useful(&self.limits, now, of_client);
            }
        }
        if table.open.len() >= self.limits.connections_max()
            && !table.close_least_useful(&self.limits, now, |_| true)
        {
            return None;
        }
        let connection = Arc::new(Connection::new(peer, now));
        let id = table.next;
        table.next = id.wrapping_add(1);
        table.open.insert(id, Arc::clone(&connection));
        drop(table);
        Some(Entered { connections: Arc::clone(self), id, connection })
    }

    /// Closes those whose peers let them wait for too long.
    pub fn close_overdue(&self, now: Instant) {
        self.table.lock().open.retain(|_, connection| {
            let overdue = connection.is_overdue(&self.limits, now);
            if overdue {
                connection.closing.cancel();
            }
            !overdue
        });
    }

    /// Closes the least useful connection, if there is one on which nothing is being answered.
    pub fn close_least_useful(&self, now: Instant) {
        self.table.lock().close_least_useful(&self.limits, now, |_| true);
    }

    /// Closes the least useful connection of those without credentials that hold an answer which they don't take.
    pub fn close_slowest_reader(&self, now: Instant) {
        self.table.lock().close_least_useful(&self.limits, now, Connection::is_stranger_taking);
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table.lock().open.len()
    }
}

impl Table {
    fn close_least_useful(
        &mut self,
        limits: &Limits,
        now: Instant,
        is_candidate: impl Fn(&Connection) -> bool,
    ) -> bool {
        let ranked = |(id, connection): (&u64, &Arc<Connection>)| {
            connection.uselessness(limits, now).map(|rank| (rank, *id))
        };
        // Credentials protect half of the places: a careless program of the operator shuts no probe out either.
        let authenticated =
            self.open.iter().filter_map(ranked).filter(|(rank, _)| rank.is_authenticated()).count();
        let is_protected = authenticated <= limits.connections_max() / 2;
        let least = self
            .open
            .iter()
            .filter(|(_, connection)| is_candidate(connection))
            .filter_map(ranked)
            .map(|(rank, id)| if is_protected { (rank, id) } else { (rank.unprotected(), id) })
            .min();
        let Some(connection) = least.and_then(|(_, id)| self.open.remove(&id)) else {
            return false;
        };
        tracing::debug!(peer = %connection.peer, "Closed the least useful HTTP connection");
        connection.closing.cancel();
        true
    }
}

/// A connection in the table, until it is dropped.
pub struct Entered {
    connections: Arc<Connections>,
    id: u64,
    /// The connection.
    pub connection: Arc<Connection>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.connections.table.lock().open.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::runtime::Clock;

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    fn open(entered: &[Entered]) -> Vec<bool> {
        entered.iter().map(|one| !one.connection.closing.is_cancelled()).collect()
    }

    #[test]
    fn a_newcomer_displaces_the_least_useful_and_is_never_refused() {
        let limits = Limits::of(4);
        let (connections, start) = (Connections::new(limits), Clock.instant());
        let local = at("127.0.0.1:9");
        let mut entered: Vec<_> =
            (0..limits.connections_max()).map(|_| connections.enter(local, start).unwrap()).collect();
        entered[0].connection.head_arrived();
        entered[0].connection.authenticated(true);
        entered[1].connection.head_arrived();
        for one in &entered[2..6] {
            one.connection.answering();
        }
        let later = start + Duration::from_secs(3);
        // Six were silent for too long; then the stranger goes, then the older of the newcomers.
        for _ in 0..50 {
            entered.push(connections.enter(local, later).unwrap());
            assert!(connections.count() <= limits.connections_max(), "INV-CONN-1");
            assert!(open(&entered)[2..6].iter().all(|open| *open), "INV-CONN-3");
            assert_eq!(open(&entered).last(), Some(&true), "INV-CONN-1: the newcomer is in");
        }
        assert!(open(&entered)[0], "credentials protect it while strangers can go");
        assert_eq!(open(&entered).iter().filter(|open| **open).count(), limits.connections_max());
        drop(entered);
        assert_eq!(connections.count(), 0);
    }

    #[test]
    fn credentials_protect_half_of_the_places_only() {
        let limits = Limits::of(4);
        let (connections, start) = (Connections::new(limits), Clock.instant());
        let known: Vec<_> = (0..limits.connections_max())
            .map(|_| {
                let one = connections.enter(at("127.0.0.1:9"), start).unwrap();
                one.connection.head_arrived();
                one.connection.authenticated(true);
                one
            })
            .collect();
        let later = Clock.instant();
        let probes: Vec<_> = (0..3).map(|_| connections.enter(at("127.0.0.1:9"), later).unwrap()).collect();
        assert_eq!(open(&probes), [true; 3], "no probe displaces the one before");
        assert_eq!(open(&known).iter().filter(|open| **open).count(), limits.connections_max() - 3);
    }

    #[test]
    fn an_address_has_its_part_and_loopback_is_nobody() {
        let limits = Limits::of(24);
        let part = limits.idle_per_address_max();
        let (connections, now) = (Connections::new(limits), Clock.instant());
        let count = |address: &str, of: usize| {
            let entered: Vec<_> = (0..of)
                .map(|index| {
                    connections.enter(at(&address.replace('*', &format!("{index:x}"))), now).unwrap()
                })
                .collect();
            open(&entered).iter().filter(|open| **open).count()
        };
        assert_eq!(count("192.0.2.7:9", 20), part);
        assert_eq!(count("[2001:db8:0:1::*]:9", 20), part, "one network is one client");
        assert_eq!(count("[2001:db8:0:*::1]:9", 20), 20);
        assert_eq!(count("[::ffff:192.0.2.7]:9", 20), part, "the same as without its prefix");
        assert_eq!(count("127.0.0.1:9", 20), 20);
        assert_eq!(count("[::1]:9", 20), 20);
        let answered: Vec<_> = (0..part)
            .map(|_| {
                let one = connections.enter(at("192.0.2.7:9"), now).unwrap();
                one.connection.head_arrived();
                one.connection.answering();
                one
            })
            .collect();
        assert!(!connections.enter(at("192.0.2.7:9"), now).unwrap().connection.closing.is_cancelled());
        assert!(open(&answered).iter().all(|open| *open), "INV-CONN-3");
    }

    #[test]
    fn an_address_with_too_many_connections_closes_its_own_and_nobody_elses() {
        let limits = Limits::of(24);
        let (connections, now) = (Connections::new(limits), Clock.instant());
        // The oldest is the first to go where all are looked at.
        let other = connections.enter(at("192.0.2.8:9"), now).unwrap();
        let part = limits.idle_per_address_max();
        let many: Vec<_> =
            (0..part + 3).map(|_| connections.enter(at("192.0.2.7:9"), now).unwrap()).collect();
        assert!(!other.connection.closing.is_cancelled());
        assert_eq!(open(&many).iter().filter(|open| **open).count(), part);
    }

    /// When strangers hold all that they may have of answers, who takes none is not to blame.
    #[test]
    fn a_stranger_that_does_not_take_its_answer_is_closed_for_room_and_nobody_else() {
        let (connections, now) = (Connections::new(Limits::of(24)), Clock.instant());
        let entered = [0; 3].map(|_| connections.enter(at("127.0.0.1:9"), now).unwrap());
        let [_idle, known, stranger] = &entered;
        for (one, is_known) in [(known, true), (stranger, false)] {
            one.connection.head_arrived();
            one.connection.authenticated(is_known);
        }
        let _taking = [known.connection.taking(), stranger.connection.taking()];
        for _ in 0..2 {
            connections.close_slowest_reader(now);
            assert_eq!(open(&entered), [true, true, false]);
        }
    }
}
