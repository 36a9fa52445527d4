//! Which connections there are: the single source of truth.
//!
//! # Place
//! `peer_manager.rs` registers and removes; everybody who sends asks here.
//!
//! # Invariants
//! - INV-NET-12: at most one connection to an identity. Of two, both ends keep the same one: of the two directions the
//!   one that the smaller identity opened, and of one direction the older one as its opener knows it, so that an
//!   accepting end always follows an opener who connects again after a restart.
//! - INV-NET-13: inbound, outbound and connections of one address stay within their limits.
//!
//! # Concurrency
//! A DashMap with the entry API and atomic counters; every method is synchronous and returns owned values, so no guard
//! lives across an await.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::PeerId;
use super::connection::Connection;
use super::handshake::RefusalReason;

/// Inbound connections of one address (of one /64 in IPv6), handshakes under way included, at most. Loopback has no
/// such limit.
const INBOUND_PER_IP_MAX: usize = 8;

/// What stands for an address in limits and bans: an IPv6 host usually has a whole /64.
pub(crate) fn ip_group(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        ip => ip,
    }
}

/// A place among the connections of one address; given back when dropped.
pub(crate) struct IpSlot {
    manager: Arc<ConnectionManager>,
    ip: Option<IpAddr>,
}

impl Drop for IpSlot {
    fn drop(&mut self) {
        let Some(ip) = self.ip else { return };
        if let Entry::Occupied(mut entry) = self.manager.per_ip.entry(ip) {
            *entry.get_mut() = entry.get().saturating_sub(1);
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// The connections.
pub(crate) struct ConnectionManager {
    own: PeerId,
    connections: DashMap<PeerId, Arc<Connection>, ahash::RandomState>,
    per_ip: DashMap<IpAddr, usize, ahash::RandomState>,
    inbound: AtomicUsize,
    outbound: AtomicUsize,
    inbound_max: usize,
    outbound_max: usize,
    local_address: ArcSwapOption<SocketAddr>,
}

impl ConnectionManager {
    /// No connections yet.
    pub(crate) fn new(own: PeerId, inbound_max: usize, outbound_max: usize) -> Self {
        Self {
            own,
            connections: DashMap::default(),
            per_ip: DashMap::default(),
            inbound: AtomicUsize::new(0),
            outbound: AtomicUsize::new(0),
            inbound_max,
            outbound_max,
            local_address: ArcSwapOption::empty(),
        }
    }

    /// Notes where this node listens.
    pub(crate) fn set_local_address(&self, address: SocketAddr) {
        self.local_address.store(Some(Arc::new(address)));
    }

    /// Where this node listens.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.local_address.load().as_deref().copied()
    }

    const fn counter(&self, inbound: bool) -> (&AtomicUsize, usize) {
        if inbound { (&self.inbound, self.inbound_max) } else { (&self.outbound, self.outbound_max) }
    }

    /// Takes a place for an inbound connection of this address.
    pub(crate) fn reserve_ip(self: &Arc<Self>, ip: IpAddr) -> Option<IpSlot> {
        let ip = ip_group(ip);
        if ip.is_loopback() {
            return Some(IpSlot { manager: Arc::clone(self), ip: None });
        }
        let mut count = self.per_ip.entry(ip).or_insert(0);
        if *count >= INBOUND_PER_IP_MAX {
            return None;
        }
        *count += 1;
        Some(IpSlot { manager: Arc::clone(self), ip: Some(ip) })
    }

    /// Which of two connections to one peer stays.
    fn keeps_new(&self, peer: PeerId, old_inbound: bool, new_inbound: bool) -> bool {
        if old_inbound == new_inbound {
            return new_inbound;
        }
        let opener = if new_inbound { peer } else { self.own };
        opener == self.own.min(peer)
    }

    /// Whether a connection would be registered now.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self, peer: PeerId, inbound: bool) -> Result<(), RefusalReason> {
        match self.get(peer) {
            Some(old) if self.keeps_new(peer, old.inbound, inbound) => Ok(()),
            Some(_) => Err(RefusalReason::Duplicate),
            None => {
                let (counter, max) = self.counter(inbound);
                if counter.load(Ordering::Acquire) < max {
                    Ok(())
                } else {
                    Err(RefusalReason::TooManyConnections)
                }
            }
        }
    }

    /// Registers a connection, and returns the one that it replaces, to be closed. Replacing needs no free place.
    ///
    /// # Errors
    /// Why it is not to be used.
    pub(crate) fn register(
        &self,
        connection: &Arc<Connection>,
    ) -> Result<Option<Arc<Connection>>, RefusalReason> {
        let (counter, max) = self.counter(connection.inbound);
        match self.connections.entry(connection.peer) {
            Entry::Occupied(mut entry) => {
                let old_inbound = entry.get().inbound;
                if !self.keeps_new(connection.peer, old_inbound, connection.inbound) {
                    return Err(RefusalReason::Duplicate);
                }
                counter.fetch_add(1, Ordering::AcqRel);
                self.counter(old_inbound).0.fetch_sub(1, Ordering::AcqRel);
                Ok(Some(entry.insert(Arc::clone(connection))))
            }
            Entry::Vacant(entry) => {
                counter
                    .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
                        (count < max).then_some(count + 1)
                    })
                    .map_err(|_| RefusalReason::TooManyConnections)?;
                entry.insert(Arc::clone(connection));
                Ok(None)
            }
        }
    }

    /// Removes this very connection; false if it was replaced.
    pub(crate) fn remove(&self, connection: &Connection) -> bool {
        let removed = self.connections.remove_if(&connection.peer, |_, found| found.id == connection.id);
        if removed.is_some() {
            self.counter(connection.inbound).0.fetch_sub(1, Ordering::AcqRel);
        }
        removed.is_some()
    }

    /// The connection to a peer.
    pub(crate) fn get(&self, peer: PeerId) -> Option<Arc<Connection>> {
        self.connections.get(&peer).map(|found| Arc::clone(&found))
    }

    /// Whether the peer is connected.
    pub(crate) fn contains(&self, peer: PeerId) -> bool {
        self.connections.contains_key(&peer)
    }

    /// All connections.
    pub(crate) fn all(&self) -> Vec<Arc<Connection>> {
        self.connections.iter().map(|found| Arc::clone(&found)).collect()
    }

    /// How many there are, inbound and outbound.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.inbound.load(Ordering::Acquire), self.outbound.load(Ordering::Acquire))
    }

    /// Places for outbound connections that are free.
    pub(crate) fn outbound_free(&self) -> usize {
        self.outbound_max.saturating_sub(self.outbound.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::tests::support;
    use crate::types::PublicKey;

    const SMALL: PublicKey = PublicKey([1; 32]);
    const LARGE: PublicKey = PublicKey([2; 32]);

    fn add(
        manager: &ConnectionManager,
        id: u64,
        peer: PublicKey,
        inbound: bool,
    ) -> Result<Option<u64>, RefusalReason> {
        let result = manager.check(peer, inbound);
        let connection = support::connection(id, peer, inbound);
        let registered = manager.register(&connection).map(|old| old.map(|old| old.id));
        assert_eq!(registered.map(|_| ()), result, "check and register agree");
        registered
    }

    /// INV-NET-12.
    #[test]
    fn both_ends_keep_what_the_smaller_identity_opened_in_either_order() {
        for small_first in [true, false] {
            let at_small = ConnectionManager::new(SMALL, 8, 8);
            let at_large = ConnectionManager::new(LARGE, 8, 8);
            // Connection 1 was opened by SMALL, connection 2 by LARGE.
            let order = if small_first { [1, 2] } else { [2, 1] };
            for id in order {
                let _either = add(&at_small, id, LARGE, id == 2);
                let _either = add(&at_large, id, SMALL, id == 1);
            }
            assert_eq!(at_small.get(LARGE).unwrap().id, 1);
            assert_eq!(at_large.get(SMALL).unwrap().id, 1);
            assert_eq!((at_small.counts(), at_large.counts()), ((0, 1), (1, 0)));
        }
    }

    #[test]
    fn of_one_direction_the_opener_decides() {
        let manager = ConnectionManager::new(SMALL, 8, 8);
        assert_eq!(add(&manager, 1, LARGE, true), Ok(None));
        assert_eq!(add(&manager, 2, LARGE, true), Ok(Some(1)), "it connects again after a restart");
        let other = PublicKey([3; 32]);
        assert_eq!(add(&manager, 3, other, false), Ok(None));
        assert_eq!(add(&manager, 4, other, false), Err(RefusalReason::Duplicate));
        assert_eq!(manager.counts(), (1, 1));
    }

    /// INV-NET-13.
    #[test]
    fn limits_hold_and_removal_is_of_the_very_connection() {
        let manager = ConnectionManager::new(SMALL, 1, 1);
        assert_eq!(add(&manager, 1, LARGE, true), Ok(None));
        let other = PublicKey([3; 32]);
        assert_eq!(add(&manager, 2, other, true), Err(RefusalReason::TooManyConnections));
        assert_eq!(add(&manager, 3, LARGE, true), Ok(Some(1)), "replacing needs no place");
        assert!(!manager.remove(&support::connection(1, LARGE, true)), "it was replaced");
        assert_eq!(manager.counts(), (1, 0));
        assert!(manager.remove(&support::connection(3, LARGE, true)));
        assert_eq!(manager.counts(), (0, 0));
        assert_eq!(add(&manager, 4, other, true), Ok(None));
        assert_eq!(manager.outbound_free(), 1);
    }

    #[test]
    fn one_address_has_few_places_and_loopback_any_number() {
        let manager = Arc::new(ConnectionManager::new(SMALL, 100, 100));
        let ip: IpAddr = "2001:db8::1".parse().unwrap();
        let same_network: IpAddr = "2001:db8::ffff".parse().unwrap();
        let mut slots: Vec<IpSlot> =
            (0..INBOUND_PER_IP_MAX).map(|_| manager.reserve_ip(ip).unwrap()).collect();
        assert!(manager.reserve_ip(same_network).is_none());
        assert!(manager.reserve_ip("2001:db8:0:1::1".parse().unwrap()).is_some());
        slots.pop();
        assert!(manager.reserve_ip(same_network).is_some());
        drop(slots);
        assert!(manager.per_ip.is_empty(), "places are given back");
        let loopback: Vec<_> =
            (0..100).map(|_| manager.reserve_ip("::ffff:127.0.0.1".parse().unwrap())).collect();
        assert!(loopback.iter().all(Option::is_some));
    }
}
