//! Which connections there are: the single source of truth, and who gets a place among them.
//!
//! # Place
//! `peer_manager.rs` registers and removes; everybody who sends asks here.
//!
//! # Places
//! Inbound places are for strangers until a proven member of the set needs one: a member always gets in. When all are
//! taken, it gets the place of the stranger that is worth least, and when only members are left, one more, up to the
//! size of the largest set. Two nodes may prove one operator key, from two identities: a validator that restarted with a
//! new one, or a copy. Both have to be heard, so that each learns of the other one's votes. A third takes the place of the
//! oldest: further copies gain nothing.
//!
//! A stranger gets a place while there is one, few from one host and from one group of addresses. When all are taken,
//! it may take that of another stranger, as `eviction.rs` says; registered masternodes that are not in the set keep theirs.
//! Where nobody makes room, a few at a time come for a visit: long enough to be told addresses of other nodes. Else a
//! node that has lately come would learn nothing where everybody comes first, at the nodes of all configurations.
//!
//! A node dials into a few places too. Where it has a masternode's key, members of the set that it dials come beside them, up to
//! the size of the largest set: of two members whose places are full neither would ever reach the other one.
//!
//! # Invariants
//! - INV-NET-12: at most one connection to an identity. Of two, both ends keep the same one: of the two directions the
//!   one that the smaller identity opened, and of one direction the older one as its opener knows it, so that an
//!   accepting end always follows an opener who connects again after a restart.
//! - INV-NET-13: inbound, outbound and connections of one address and group stay within their limits.
//! - INV-NET-27: a member of the present set is never refused a place, and never loses it to a stranger. A registered
//!   masternode that has a place does not lose it to a stranger either.
//!
//! - INV-VISIT-1: visitors are few beyond the inbound places, make nobody else leave, and do not stay.
//!
//! # Concurrency
//! A DashMap with the entry API and atomic counters; every method is synchronous and returns owned values, so no guard
//! lives across an await. [`ConnectionManager::register`] is called by one task at a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use tokio::time::Instant;

use super::address::Grouping;
use super::connection::Connection;
use super::eviction::Eviction;
use super::handshake::RefusalReason;
use super::peer::{Origin, PeerId, Standing};
use crate::types::PublicKey;
use crate::types::limits::VALIDATORS_MAX;

/// Inbound connections of strangers of one host, at most. Loopback has no such limit.
const INBOUND_PER_HOST_MAX: usize = 4;
/// Inbound connections of strangers of one group of addresses, at most. Loopback has no such limit.
const INBOUND_PER_GROUP_MAX: usize = 8;
/// Inbound connections that prove one operator key, at most.
const CONNECTIONS_PER_KEY_MAX: usize = 2;

/// Visitors at a time, at most.
const VISITORS_MAX: usize = 8;
/// One in so many inbound places is the most that come beside them for a visit.
const VISITORS_SHARE: usize = 16;

/// Inbound connections of strangers beside those that have places, at most.
pub(crate) const fn visitors_max(inbound_max: usize) -> usize {
    let share = inbound_max / VISITORS_SHARE;
    if share < VISITORS_MAX { share } else { VISITORS_MAX }
}

/// Who wants a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Newcomer {
    pub(crate) peer: PeerId,
    pub(crate) operator: Option<PublicKey>,
    pub(crate) standing: Standing,
    pub(crate) address: SocketAddr,
    pub(crate) inbound: bool,
}

impl Newcomer {
    /// As a connection that is there now.
    pub(crate) fn of(connection: &Connection) -> Self {
        Self {
            peer: connection.peer,
            operator: connection.operator,
            standing: connection.standing(),
            address: connection.address,
            inbound: connection.inbound,
        }
    }
}

/// How a newcomer gets its place.
#[derive(Default)]
pub(crate) struct Place {
    /// The connection to the same identity that it replaces.
    pub(crate) replaced: Option<Arc<Connection>>,
    /// The connection that makes room.
    pub(crate) evicted: Option<Arc<Connection>>,
    /// It has no place, and is to leave soon.
    pub(crate) is_visit: bool,
}

impl Place {
    fn of(evicted: Arc<Connection>) -> Self {
        Self { evicted: Some(evicted), ..Self::default() }
    }
}

/// The connections.
pub(crate) struct ConnectionManager {
    own: PeerId,
    connections: DashMap<PeerId, Arc<Connection>, ahash::RandomState>,
    inbound: AtomicUsize,
    outbound: AtomicUsize,
    inbound_max: usize,
    outbound_max: usize,
    /// Whether members that this node dials come beside the outbound places.
    meets_members: bool,
    eviction: Eviction,
    local_address: ArcSwapOption<SocketAddr>,
}

/// The oldest connection whose operator key has another one.
fn oldest_of_two(members: &[Arc<Connection>]) -> Option<Arc<Connection>> {
    let has_two = |one: &&Arc<Connection>| {
        members.iter().filter(|other| other.operator == one.operator).count() >= CONNECTIONS_PER_KEY_MAX
    };
    members.iter().filter(has_two).min_by_key(|connection| connection.id).cloned()
}

impl ConnectionManager {
    /// No connections yet. The secret decides which networks keep a place; `meets_members` is for a masternode's node.
    pub(crate) fn new(
        own: PeerId,
        (inbound_max, outbound_max): (usize, usize),
        meets_members: bool,
        (secret, grouping): ([u8; 32], Grouping),
    ) -> Self {
        Self {
            own,
            connections: DashMap::default(),
            inbound: AtomicUsize::new(0),
            outbound: AtomicUsize::new(0),
            inbound_max,
            outbound_max,
            meets_members,
            eviction: Eviction::new(secret, grouping),
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

    const fn counter(&self, inbound: bool) -> &AtomicUsize {
        if inbound { &self.inbound } else { &self.outbound }
    }

    /// Which of two connections to one peer stays.
    fn keeps_new(&self, peer: PeerId, old_inbound: bool, new_inbound: bool) -> bool {
        if old_inbound == new_inbound {
            return new_inbound;
        }
        let opener = if new_inbound { peer } else { self.own };
        opener == self.own.min(peer)
    }

    /// Whether a connection would be registered now, and at whose cost.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self, newcomer: &Newcomer, now: Instant) -> Result<Place, RefusalReason> {
        if let Some(old) = self.get(newcomer.peer) {
            return if !self.keeps_new(newcomer.peer, old.inbound, newcomer.inbound) {
                Err(RefusalReason::Duplicate)
            } else if old.inbound == newcomer.inbound {
                Ok(Place { is_visit: newcomer.inbound && old.visits(), replaced: Some(old), evicted: None })
            } else {
                // It gives back a place of the other direction, and needs one of this: else whoever is dialled could come in
                // beside all bounds.
                let place = self.place(newcomer, now).map_err(|_| RefusalReason::Duplicate)?;
                Ok(Place { replaced: Some(old), ..place })
            };
        }
        self.place(newcomer, now)
    }

    /// A place for a newcomer that is not here yet.
    fn place(&self, newcomer: &Newcomer, now: Instant) -> Result<Place, RefusalReason> {
        if !newcomer.inbound {
            return self.outbound_place(newcomer);
        }
        let inbound: Vec<Arc<Connection>> =
            self.all().into_iter().filter(|connection| connection.inbound).collect();
        match newcomer.standing {
            Standing::Member => {
                let evicted = self.place_of_member(newcomer, inbound)?;
                Ok(Place { evicted, ..Place::default() })
            }
            Standing::Stranger => self.place_of_stranger(newcomer, inbound, now),
        }
    }

    fn outbound_place(&self, newcomer: &Newcomer) -> Result<Place, RefusalReason> {
        let comes_beside = self.meets_members && newcomer.standing == Standing::Member;
        if !comes_beside && self.outbound_free() == 0 {
            return Err(RefusalReason::TooManyConnections);
        }
        if self.outbound.load(Ordering::Acquire) < self.outbound_max.saturating_add(VALIDATORS_MAX) {
            return Ok(Place::default());
        }
        // Those who have left the set since keep their connections until members need them.
        let outbound = self.all().into_iter().filter(|one| !one.inbound);
        let strangers = outbound.filter(|one| one.standing() == Standing::Stranger);
        let oldest = strangers.min_by_key(|one| one.id).filter(|_| comes_beside);
        oldest.map(Place::of).ok_or(RefusalReason::TooManyConnections)
    }

    fn place_of_member(
        &self,
        newcomer: &Newcomer,
        inbound: Vec<Arc<Connection>>,
    ) -> Result<Option<Arc<Connection>>, RefusalReason> {
        let of_same_key: Vec<Arc<Connection>> =
            inbound.iter().filter(|connection| connection.operator == newcomer.operator).cloned().collect();
        let oldest = of_same_key.iter().min_by_key(|connection| connection.id).cloned();
        if of_same_key.len() >= CONNECTIONS_PER_KEY_MAX {
            return Ok(oldest);
        }
        let (visitors, placed): (Vec<_>, Vec<_>) = inbound.into_iter().partition(|one| one.visits());
        if placed.len() < self.inbound_max {
            return Ok(None);
        }
        let (strangers, members): (Vec<_>, Vec<_>) =
            placed.into_iter().partition(|connection| connection.standing() == Standing::Stranger);
        match self.eviction.for_member(&strangers).or_else(|| self.eviction.for_member(&visitors)) {
            Some(evicted) => Ok(Some(evicted)),
            None if members.len() < VALIDATORS_MAX => Ok(None),
            // No more keys than this are in a set, so some key has two.
            None => oldest_of_two(&members).map(Some).ok_or(RefusalReason::TooManyConnections),
        }
    }

    fn place_of_stranger(
        &self,
        newcomer: &Newcomer,
        inbound: Vec<Arc<Connection>>,
        now: Instant,
    ) -> Result<Place, RefusalReason> {
        let (all, visitors) = (inbound.len(), inbound.iter().filter(|one| one.visits()).count());
        let strangers: Vec<Arc<Connection>> =
            inbound.into_iter().filter(|connection| connection.standing() == Standing::Stranger).collect();
        let count = |same: &dyn Fn(Origin) -> bool| {
            strangers.iter().filter(|connection| same(connection.origin())).count()
        };
        let origin = Origin::of(newcomer.address.ip());
        if let (Some(host), Some(group)) = (origin.host(), origin.group()) {
            let of_host = count(&|origin| origin.host() == Some(host));
            let of_group = count(&|origin| origin.group() == Some(group));
            if of_host >= INBOUND_PER_HOST_MAX || of_group >= INBOUND_PER_GROUP_MAX {
                return Err(RefusalReason::TooManyFromAddress);
            }
        }
        if all.saturating_sub(visitors) < self.inbound_max {
            return Ok(Place::default());
        }
        let open: Vec<Arc<Connection>> =
            strangers.into_iter().filter(|one| !one.is_registered() && !one.visits()).collect();
        if let Some(evicted) = self.eviction.for_stranger(&open, newcomer.address, now) {
            return Ok(Place::of(evicted));
        }
        // INV-VISIT-1.
        if all < self.inbound_max.saturating_add(visitors_max(self.inbound_max)) {
            return Ok(Place { is_visit: true, ..Place::default() });
        }
        Err(RefusalReason::TooManyConnections)
    }

    /// Registers a connection, and returns those that it takes the place of, which are not registered any more and are
    /// to be closed.
    ///
    /// # Errors
    /// Why it is not to be used.
    pub(crate) fn register(
        &self,
        connection: &Arc<Connection>,
        now: Instant,
    ) -> Result<Place, RefusalReason> {
        let place = self.check(&Newcomer::of(connection), now)?;
        for gone in place.replaced.iter().chain(&place.evicted) {
            self.remove(gone);
        }
        if place.is_visit {
            connection.note_visit();
        }
        self.connections.insert(connection.peer, Arc::clone(connection));
        self.counter(connection.inbound).fetch_add(1, Ordering::AcqRel);
        Ok(place)
    }

    /// Removes this very connection; false if it was replaced.
    pub(crate) fn remove(&self, connection: &Connection) -> bool {
        let removed = self.connections.remove_if(&connection.peer, |_, found| found.id == connection.id);
        if removed.is_some() {
            self.counter(connection.inbound).fetch_sub(1, Ordering::AcqRel);
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

    /// Places for outbound connections.
    pub(crate) const fn outbound_max(&self) -> usize {
        self.outbound_max
    }

    /// Places for outbound connections that are free.
    pub(crate) fn outbound_free(&self) -> usize {
        let comes_beside =
            |connection: &Connection| self.meets_members && connection.standing() == Standing::Member;
        let outbound = self.connections.iter().filter(|connection| !connection.inbound);
        let taken = outbound.filter(|connection| !comes_beside(connection)).count();
        self.outbound_max.saturating_sub(taken)
    }

    /// Whether members that this node dials come beside the outbound places.
    pub(crate) const fn meets_members(&self) -> bool {
        self.meets_members
    }
}

#[cfg(test)]
#[path = "tests/places.rs"]
mod tests;
