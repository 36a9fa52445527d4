//! Which inbound connection makes room when all places are taken.
//!
//! # Place
//! `connection_manager.rs` asks, with the connections that may be closed: neither members of the set nor registered
//! masternodes are among them.
//!
//! # Rules
//! As in Bitcoin Core: whoever wants all places for himself has to be better than the honest ones in each way at once. A few
//! keep their places for the network they come from, chosen by a secret of this node; a few because they are near; a few that
//! brought payments lately, and a few that brought votes or blocks; and of the rest the half that is connected longest. Of
//! those that are left the worst one of the largest [`NetGroup`] makes room, if that group would still have more than the
//! newcomer's, or if it brought nothing new for [`USELESS_AFTER`]. So whoever holds all places with a few networks makes room
//! for the rest of the world, and whoever comes again and again with new identities displaces his own.
//!
//! # Invariants
//! - INV-EVICT-1: what a newcomer can't be better at by coming again does not lose its place to it.
//!
//! # Units
//! A few is one in eight at most, so that places are given up in small houses too.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::address::{Grouping, NetGroup};
use super::connection::Connection;

/// Networks of which one connection keeps its place, at most.
const KEPT_BY_NETWORK: usize = 4;
/// Kept for the shortest way, at most.
const KEPT_BY_LATENCY: usize = 8;
/// Kept for payments, at most.
const KEPT_BY_PAYMENTS: usize = 4;
/// Kept for votes and blocks, at most.
const KEPT_BY_VOTES: usize = 4;
/// One of so many connections is kept in each of these ways, at most.
const FEW_SHARE: usize = 8;
/// A peer that brought nothing new for so long may lose its place.
pub(crate) const USELESS_AFTER: Duration = Duration::from_secs(120);

/// How connections make room.
pub(crate) struct Eviction {
    secret: [u8; 32],
    grouping: Grouping,
}

type Connections = Vec<Arc<Connection>>;

/// Takes those out that are first in this order, as many as are kept; never such as have nothing to show.
fn keep_first<K: Ord>(open: &mut Connections, kept: usize, order: impl Fn(&Connection) -> Option<K>) {
    open.sort_by_cached_key(|connection| order(connection).map_or((true, None), |key| (false, Some(key))));
    let shown = open.iter().take(kept).filter(|connection| order(connection).is_some()).count();
    open.drain(..shown);
}

/// Sizes of the groups.
struct Groups<'a> {
    eviction: &'a Eviction,
    sizes: HashMap<NetGroup, usize, ahash::RandomState>,
}

impl Groups<'_> {
    fn size(&self, address: SocketAddr) -> usize {
        self.sizes.get(&self.eviction.group(address)).copied().unwrap_or(0)
    }

    /// Of the largest group, what was useful longest ago, and of several the youngest.
    fn worst<'a>(&self, connections: impl Iterator<Item = &'a Arc<Connection>>) -> Option<Arc<Connection>> {
        let worst = connections.max_by_key(|connection| {
            let useful = Reverse(connection.useful_at());
            (self.size(connection.address), useful, connection.connected_at, connection.id)
        });
        worst.map(Arc::clone)
    }
}

impl Eviction {
    /// By this secret.
    pub(crate) const fn new(secret: [u8; 32], grouping: Grouping) -> Self {
        Self { secret, grouping }
    }

    fn group(&self, address: SocketAddr) -> NetGroup {
        NetGroup::of(address, self.grouping)
    }

    fn groups(&self, connections: &[Arc<Connection>]) -> Groups<'_> {
        let mut sizes = HashMap::default();
        for connection in connections {
            *sizes.entry(self.group(connection.address)).or_insert(0_usize) += 1;
        }
        Groups { eviction: self, sizes }
    }

    /// Nobody else can foresee which networks come first.
    fn rank(&self, group: NetGroup) -> [u8; 32] {
        *blake3::keyed_hash(&self.secret, &group.bytes()).as_bytes()
    }

    /// Takes the connection out that is oldest in each of the first networks.
    fn keep_networks(&self, open: &mut Connections, kept: usize) {
        open.sort_by_key(|connection| (self.rank(self.group(connection.address)), connection.connected_at));
        let mut networks = BTreeSet::new();
        open.retain(|connection| networks.len() >= kept || !networks.insert(self.group(connection.address)));
    }

    /// The stranger that makes room for a member: one does in any case.
    pub(crate) fn for_member(&self, strangers: &[Arc<Connection>]) -> Option<Arc<Connection>> {
        self.groups(strangers).worst(strangers.iter())
    }

    /// Those that don't keep their places in any way.
    fn unprotected(&self, strangers: &[Arc<Connection>]) -> Connections {
        let few = |at_most: usize| at_most.min(strangers.len() / FEW_SHARE);
        let mut open = strangers.to_vec();
        self.keep_networks(&mut open, few(KEPT_BY_NETWORK));
        keep_first(&mut open, few(KEPT_BY_LATENCY), Connection::latency);
        keep_first(&mut open, few(KEPT_BY_PAYMENTS), |one| one.payment_at().map(Reverse));
        keep_first(&mut open, few(KEPT_BY_VOTES), |one| one.vote_at().map(Reverse));
        let half = open.len() / 2;
        keep_first(&mut open, half, |one| Some((one.connected_at, one.id)));
        open
    }

    /// The stranger that makes room for another one from there, if one should.
    pub(crate) fn for_stranger(
        &self,
        strangers: &[Arc<Connection>],
        newcomer: SocketAddr,
        now: Instant,
    ) -> Option<Arc<Connection>> {
        let groups = self.groups(strangers);
        let own_size = groups.size(newcomer).saturating_add(1);
        let makes_room = |connection: &&Arc<Connection>| {
            let is_useless = now.saturating_duration_since(connection.useful_at()) >= USELESS_AFTER;
            is_useless || groups.size(connection.address) > own_size
        };
        groups.worst(self.unprotected(strangers).iter().filter(makes_room))
    }
}

#[cfg(test)]
#[path = "tests/eviction.rs"]
mod tests;
