//! Half an hour of an open network of 100 nodes that come and go, in virtual time: everybody finds everybody it needs.
//!
//! Each node has the address book of the daemon, and dials, feels and tells addresses at the daemon's own intervals. Sockets
//! are left out: a dialled node answers if it runs at that address and has a place. Two nodes of the configuration, the
//! addresses in the chain and what peers tell are all that leads anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::Instant;

use crate::network::address::Grouping;
use crate::network::address_book::AddressBook;
use crate::network::address_file::Kept;
use crate::network::attempt::{Attempt, Policy, Purpose};
use crate::network::connection_manager::visitors_max;
use crate::network::dialer::DIALING_MAX;
use crate::network::eviction::USELESS_AFTER;
use crate::network::now;
use crate::network::peer::PeerId;
use crate::network::shared::Timing;
use crate::types::limits::PEER_ADDRESSES_MAX;
use crate::types::{PublicKey, TimeMs};

const NODES: usize = 100;
/// The first of them are masternodes, whose addresses the chain names; nobody else dials by the chain.
const MASTERNODES: usize = 40;
/// Two more that every configuration names.
const SEEDS: std::ops::Range<usize> = MASTERNODES..MASTERNODES + 2;
const MINUTES: u64 = 30;
const STEP: Duration = Duration::from_secs(1);
const BEGAN_MS: TimeMs = 1_700_000_000_000;
/// As the configuration has them.
const OUTBOUND_MAX: usize = 16;
const INBOUND_MAX: usize = 64;
/// The daemon asks all peers for addresses at each exchange, a node here one in so many: that is enough, and sooner computed.
const ASKED_ONE_IN: usize = 4;
/// A node goes once in so many seconds of life, and comes back within so many.
const LIFE_S: u32 = 600;
const ABSENCE_S: u32 = 60;
/// One return of so many is to another address.
const MOVES_ONE_IN: u32 = 4;
/// A masternode that moved has its new address in the chain so much later.
const REGISTERED_AFTER_S: u64 = 20;
/// So long after a node came it has found whom it needs.
const FOUND_AFTER_S: u64 = 180;

struct Node {
    address: SocketAddr,
    /// While it runs.
    book: Option<AddressBook>,
    kept: Kept,
    since_s: u64,
    returns_s: u64,
    outbound: BTreeMap<usize, (Attempt, Instant)>,
    /// When those came who are here for a visit.
    visitors_s: Vec<u64>,
}

struct World {
    nodes: Vec<Node>,
    /// Of each node a bit for each of those it is connected with, whoever dialled.
    links: [u128; NODES],
    random: StdRng,
    second: u64,
    began: Instant,
    timing: Timing,
    /// The addresses in the chain, and when a moved masternode's new one is there.
    chain: Vec<SocketAddr>,
    registered_s: Vec<u64>,
    moves: usize,
}

fn identity(node: usize) -> PeerId {
    PublicKey([u8::try_from(node).unwrap(); 32])
}

/// Whether a node of this identity is one of these.
fn is_among(nodes: u128, peer: PeerId) -> bool {
    nodes & 1 << peer.0[0] != 0
}

/// Three nodes share each network of the world, and a host has one node.
fn address_of(node: usize, moves: usize) -> SocketAddr {
    let (network, host) = (u8::try_from(node / 3).unwrap(), u8::try_from(node).unwrap());
    let move_count = u16::try_from(moves).unwrap();
    SocketAddr::from(([40 + network, 7, host, 9], 20_000 + move_count))
}

impl World {
    fn new(seed: u64) -> Self {
        let node = |index: usize| Node {
            address: address_of(index, 0),
            book: None,
            kept: Kept {
                secret: [u8::try_from(index).unwrap(); 32],
                anchors: Vec::new(),
                entries: Vec::new(),
            },
            since_s: 0,
            // All come within the first minute.
            returns_s: u64::try_from(index).unwrap() % 60,
            outbound: BTreeMap::new(),
            visitors_s: Vec::new(),
        };
        Self {
            nodes: (0..NODES).map(node).collect(),
            links: [0; NODES],
            random: StdRng::seed_from_u64(seed),
            second: 0,
            began: now(),
            timing: Timing::default(),
            chain: (0..MASTERNODES).map(|index| address_of(index, 0)).collect(),
            registered_s: vec![0; MASTERNODES],
            moves: 0,
        }
    }

    fn now(&self) -> (Instant, TimeMs) {
        (self.began + STEP * u32::try_from(self.second).unwrap(), BEGAN_MS + self.second * 1_000)
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.random.random_range(0..one_in) == 0
    }

    fn is_up(&self, node: usize) -> bool {
        self.nodes[node].book.is_some()
    }

    fn start(&mut self, node: usize) {
        let (now, _) = self.now();
        let policy =
            Policy { grouping: Grouping::Strict, hides: false, dials_masternodes: node < MASTERNODES };
        let mut book = AddressBook::new(policy, self.timing.backoff, self.nodes[node].kept.clone());
        for seed in SEEDS.filter(|seed| *seed != node) {
            book.pin(&address_of(seed, 0).to_string(), None, now);
        }
        self.nodes[node].book = Some(book);
        self.nodes[node].since_s = self.second;
        self.follow_chain(node);
    }

    fn follow_chain(&mut self, node: usize) {
        let (now, _) = self.now();
        let texts: Vec<String> = self.chain.iter().map(SocketAddr::to_string).collect();
        if let Some(book) = &mut self.nodes[node].book {
            book.set_chain(&texts, now);
        }
    }

    fn stop(&mut self, node: usize) {
        for other in 0..NODES {
            self.hang_up(other, node);
        }
        for other in std::mem::take(&mut self.nodes[node].outbound).into_keys() {
            self.links[node] &= !(1 << other);
            self.links[other] &= !(1 << node);
        }
        let gone = &mut self.nodes[node];
        gone.kept = gone.book.take().unwrap().kept();
        gone.returns_s = self.second + u64::from(self.random.random_range(1..=ABSENCE_S));
        // The seeds stay where the configurations say.
        if !SEEDS.contains(&node) && self.chance(MOVES_ONE_IN) {
            self.moves += 1;
            self.nodes[node].address = address_of(node, self.moves);
            if node < MASTERNODES {
                self.registered_s[node] = self.nodes[node].returns_s + REGISTERED_AFTER_S;
            }
        }
    }

    /// The end of a connection that `from` made, as the dialler notes it.
    fn hang_up(&mut self, from: usize, to: usize) {
        let now = self.now();
        let stable = self.timing.stable_after;
        let node = &mut self.nodes[from];
        if let Some((attempt, since)) = node.outbound.remove(&to) {
            self.links[from] &= !(1 << to);
            self.links[to] &= !(1 << from);
            node.book.as_mut().unwrap().ended(&attempt, now.0.duration_since(since) >= stable, now);
        }
    }

    fn are_connected(&self, one: usize, other: usize) -> bool {
        self.links[one] & 1 << other != 0
    }

    fn inbound(&self, node: usize) -> usize {
        self.nodes.iter().filter(|other| other.outbound.contains_key(&node)).count()
    }

    fn peers(&self, node: usize) -> Vec<usize> {
        (0..NODES).filter(|other| self.links[node] & 1 << other != 0).collect()
    }

    /// Who is there, and whether for a visit only; none if it has no time for visitors either. Members of the set always get
    /// a place, strangers that of another one that has brought nothing new for long. Nothing but addresses flows here, so
    /// that is one of those who came before.
    fn answers(&mut self, from: usize, address: SocketAddr) -> Option<(usize, bool)> {
        let node = (0..NODES).find(|node| self.is_up(*node) && self.nodes[*node].address == address)?;
        let is_member = from < MASTERNODES && node < MASTERNODES;
        if is_member || node == from || self.are_connected(node, from) || self.inbound(node) < INBOUND_MAX {
            return Some((node, false));
        }
        let (now, _) = self.now();
        let strangers = (MASTERNODES..NODES).filter_map(|other| {
            let (_, since) = self.nodes[other].outbound.get(&node)?;
            (now.duration_since(*since) >= USELESS_AFTER).then_some((*since, other))
        });
        if let Some((_, evicted)) = strangers.max() {
            self.hang_up(evicted, node);
            return Some((node, false));
        }
        let (second, visit) = (self.second, self.timing.visit.as_secs());
        let visitors = &mut self.nodes[node].visitors_s;
        visitors.retain(|came| came + visit > second);
        (visitors.len() < visitors_max(INBOUND_MAX)).then(|| {
            visitors.push(second);
            (node, true)
        })
    }

    fn dial(&mut self, from: usize, attempt: Attempt) {
        let now = self.now();
        let target: SocketAddr = attempt.address.parse().unwrap();
        let found = self.answers(from, target);
        let has_peers = !self.peers(from).is_empty();
        let is_known = found.is_some_and(|(found, _)| self.are_connected(from, found));
        let book = self.nodes[from].book.as_mut().unwrap();
        let Some((found, is_visit)) = found else { return book.failed(&attempt, has_peers, now.0) };
        if found == from {
            return book.is_own(&attempt);
        }
        book.answered(&attempt, (identity(found), false, Some(target)), now, &mut self.random);
        if is_known {
            return book.is_connected_already(&attempt);
        }
        if matches!(attempt.purpose, Purpose::Feeler(_)) {
            return;
        }
        if !is_visit {
            book.serves(target, now.0);
        }
        self.nodes[from].outbound.insert(found, (attempt, now.0));
        self.links[from] |= 1 << found;
        self.links[found] |= 1 << from;
        // Who is called hears where the caller listens.
        let caller = self.nodes[from].address;
        self.learn(found, caller, caller, Some(identity(from)));
        self.tell(from, found);
        self.tell(found, from);
        if is_visit {
            self.hang_up(from, found);
        }
    }

    fn learn(&mut self, node: usize, address: SocketAddr, teller: SocketAddr, itself: Option<PeerId>) {
        let (_, now_ms) = self.now();
        let Some(book) = &mut self.nodes[node].book else { return };
        let teller = book.teller(teller.ip());
        book.learn(address, (teller, itself), now_ms, &mut self.random);
    }

    fn tell(&mut self, from: usize, to: usize) {
        let (_, now_ms) = self.now();
        let peers = self.links[from];
        let teller = self.nodes[from].address;
        let is_fit = |told: &crate::types::message::PeerAddress, _| told.identity != Some(identity(to));
        let book = self.nodes[from].book.as_ref().unwrap();
        let told =
            book.tellable(PEER_ADDRESSES_MAX, now_ms, &mut self.random, is_fit, |peer| is_among(peers, peer));
        for peer in told.into_iter().filter(|told| told.identity != Some(identity(to))) {
            self.learn(to, peer.address.parse().unwrap(), teller, None);
        }
    }

    /// What the dialler does between two looks.
    fn look(&mut self, node: usize) {
        let (now, now_ms) = self.now();
        let peers = self.links[node];
        let outbound = &self.nodes[node].outbound;
        let is_masternode = node < MASTERNODES;
        // Members come beside a masternode's places.
        let taken = outbound.keys().filter(|peer| !is_masternode || **peer >= MASTERNODES).count();
        let (free, beside) =
            (OUTBOUND_MAX.saturating_sub(taken), if is_masternode { DIALING_MAX } else { 0 });
        let addresses: Vec<SocketAddr> = outbound.keys().map(|peer| self.nodes[*peer].address).collect();
        let is_barred = |_: SocketAddr, peer: Option<PeerId>| peer.is_some_and(|peer| is_among(peers, peer));
        let feels = (self.second + u64::try_from(node).unwrap())
            .is_multiple_of(self.timing.feeler_interval.as_secs());
        let book = self.nodes[node].book.as_mut().unwrap();
        let mut attempts = book.take_due((free, beside), now, |peer| is_among(peers, peer));
        if attempts.len() < free && book.learned().len() < book.learned_max(OUTBOUND_MAX) {
            let taken =
                addresses.into_iter().chain(book.learned()).map(|address| book.group(address)).collect();
            attempts.extend(book.take_learned(&taken, now_ms, &mut self.random, is_barred));
        }
        if feels {
            attempts.extend(book.take_feeler(now_ms, &mut self.random, is_barred));
        }
        for attempt in attempts {
            self.dial(node, attempt);
        }
    }

    fn step(&mut self) {
        self.second += 1;
        for node in 0..NODES {
            if self.is_up(node) && self.chance(LIFE_S) {
                self.stop(node);
            } else if !self.is_up(node) && self.nodes[node].returns_s <= self.second {
                self.start(node);
            }
        }
        let moved: Vec<usize> =
            (0..MASTERNODES).filter(|node| self.registered_s[*node] == self.second).collect();
        for node in &moved {
            self.chain[*node] = self.nodes[*node].address;
        }
        for node in 0..NODES {
            if !moved.is_empty() {
                self.follow_chain(node);
            }
            if self.is_up(node) {
                self.look(node);
            }
            let exchange = self.timing.exchange_interval.as_secs();
            if self.is_up(node) && (self.second + u64::try_from(node).unwrap()).is_multiple_of(exchange) {
                let turn = usize::try_from(self.second / exchange).unwrap();
                let asked = |peer: &usize| (peer + turn).is_multiple_of(ASKED_ONE_IN);
                self.peers(node).into_iter().filter(asked).for_each(|peer| self.tell(peer, node));
            }
        }
    }

    /// Since when a node has had the time and the means to find the others.
    fn settled(&self, node: usize) -> bool {
        let registered = self.registered_s.get(node).copied().unwrap_or_default();
        self.is_up(node) && self.second >= self.nodes[node].since_s.max(registered) + FOUND_AFTER_S
    }

    fn reached(&self, from: usize) -> BTreeSet<usize> {
        let (mut seen, mut next) = (BTreeSet::from([from]), vec![from]);
        while let Some(node) = next.pop() {
            next.extend(self.peers(node).into_iter().filter(|peer| seen.insert(*peer)));
        }
        seen
    }

    /// What is missing now.
    fn findings(&self) -> Vec<String> {
        let mut found = Vec::new();
        let settled: Vec<usize> = (0..NODES).filter(|node| self.settled(*node)).collect();
        let Some(first) = settled.first() else { return found };
        let reached = self.reached(*first);
        for node in &settled {
            if !reached.contains(node) {
                found.push(format!("second {}: node {node} is cut off", self.second));
            }
            let peers = self.peers(*node);
            if peers.len() < 4 {
                found.push(format!("second {}: node {node} has the peers {peers:?} alone", self.second));
            }
        }
        let members: Vec<usize> = settled.into_iter().filter(|node| *node < MASTERNODES).collect();
        for (place, one) in members.iter().enumerate() {
            for other in members[place + 1..].iter().filter(|other| !self.are_connected(*one, **other)) {
                found.push(format!("second {}: masternodes {one} and {other} are apart", self.second));
            }
        }
        found
    }
}

/// INV-DIAL-3. `CHURN_SEED=7` makes another half hour.
#[test]
fn everybody_finds_everybody_it_needs_while_nodes_come_go_and_move() {
    let seed = std::env::var("CHURN_SEED").map_or(1, |text| text.parse().unwrap());
    let mut world = World::new(seed);
    let (mut looks, mut stops) = (0, 0);
    while world.second < MINUTES * 60 {
        let up: Vec<usize> = (0..NODES).filter(|node| world.is_up(*node)).collect();
        world.step();
        stops += up.into_iter().filter(|node| !world.is_up(*node)).count();
        if world.second.is_multiple_of(10) {
            let findings = world.findings();
            assert!(findings.is_empty(), "{findings:#?}");
            looks += usize::from((0..NODES).filter(|node| world.settled(*node)).count() > NODES / 3);
        }
    }
    assert!(looks > 100 && stops > 200 && world.moves > 40, "{looks} {stops} {}", world.moves);
}
