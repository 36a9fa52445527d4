//! The addresses that this node may dial, and when.
//!
//! # Place
//! `dialer.rs` dials what is due and says how it went. The configuration, the operator and the chain pin addresses here;
//! what peers tell goes to [`AddressTables`].
//!
//! # Whom the chain names
//! Masternodes' owners write what they like into the chain. So an address of the chain that leads into this machine or into
//! a private network is dialled only where it can be meant: on a devnet; if the configuration names it too; or if this node's
//! own address is of that kind. A name of the chain that leads there is not dialled either.
//!
//! # Invariants
//! - INV-NET-15: the book is bounded, and so is what one group of peers can put into it; addresses of the configuration and of
//!   the chain are never pushed out by others and are tried for ever.
//! - INV-NET-16: only addresses that answered, that the chain or the operator names, or that connected peers say of
//!   themselves are told to others; hearsay is not, nor is a peer that hides, nor by a node that hides itself.
//! - INV-BOOK-1: a node that hides dials and knows the peers of its configuration alone.
//! - INV-BOOK-2: what others may have made up of an address decides neither whether it is dialled nor who may answer there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use rand::rngs::StdRng;
use rand::seq::index;
use rand::{Rng, SeedableRng as _};
use tokio::time::Instant;

use super::address::{Grouping, NetGroup, Reach, canonical, is_address};
use super::address_file::{ANCHORS_MAX, Kept};
use super::address_tables::{AddressTables, Entry, Wanted, hashing_of};
use super::attempt::{Attempt, Backoff, Policy, Purpose, Source};
use super::peer::PeerId;
use crate::types::TimeMs;
use crate::types::message::PeerAddress;

/// Addresses of the configuration, the operator and the chain, at most.
pub(crate) const PINNED_MAX: usize = 2_048;
/// Own addresses that are remembered, at most; the oldest is forgotten first.
const OWN_MAX: usize = 16;
/// Hosts of a name that are remembered and dialled, at most.
pub(crate) const HOSTS_MAX: usize = 8;
/// With fewer addresses that peers told the book is nearly empty.
pub(crate) const NEARLY_EMPTY: usize = 16;
/// What a peer told is dialled again after so many times as long as what is pinned.
const LEARNED_PATIENCE: u32 = 10;
/// A pinned address that failed so often in a row is not counted on.
const PINNED_FAILURES_COUNTED: u32 = 3;

/// How long an address of the operator is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stay {
    /// As long as the configuration or the chain names it.
    Given,
    /// Until the operator takes it back.
    Added,
    /// Once.
    Once,
}

#[derive(Clone, Debug)]
struct Pinned {
    source: Source,
    /// Whether the chain names it too.
    in_chain: bool,
    stay: Stay,
    /// Who must answer, as far as the source knows.
    expected: Option<PeerId>,
    /// Who answered last.
    answered: Option<PeerId>,
    failures: u32,
    due_at: Instant,
    dialing: bool,
    /// It is this node.
    own: bool,
    /// Who answered does not want to be told to others.
    hides: bool,
    /// What the name led to last.
    hosts: Vec<IpAddr>,
}

/// The book.
pub(crate) struct AddressBook {
    pinned: HashMap<String, Pinned, ahash::RandomState>,
    tables: AddressTables,
    /// Those of the tables that are dialled now or connected, as peers to stay with; since when, if they serve blocks.
    learned: BTreeMap<SocketAddr, Option<Instant>>,
    own: Vec<SocketAddr>,
    /// What kinds of local addresses this node itself has.
    own_reach: Vec<Reach>,
    /// Anchors of the last run that did not fail yet, and those that were not dialled yet.
    anchors: Vec<SocketAddr>,
    anchors_due: Vec<SocketAddr>,
    policy: Policy,
    backoff: Backoff,
    /// For pauses between attempts: a book's own, so that the same secret makes the same ones.
    random: StdRng,
    has_changed: bool,
}

impl AddressBook {
    /// With what the last run kept.
    pub(crate) fn new(policy: Policy, backoff: Backoff, kept: Kept) -> Self {
        let Kept { secret, anchors, entries } = kept;
        // A node that hides makes no use of them, and keeps them for the day when it hides no more.
        Self {
            pinned: HashMap::with_hasher(hashing_of(&secret)),
            tables: AddressTables::restored(secret, policy.grouping, entries),
            learned: BTreeMap::new(),
            own: Vec::new(),
            own_reach: Vec::new(),
            anchors_due: anchors.iter().rev().copied().collect(),
            anchors,
            policy,
            backoff,
            random: StdRng::from_seed(secret),
            has_changed: false,
        }
    }

    /// Notes an address of this node itself, which tells what local addresses can be meant for it.
    pub(crate) fn note_own_place(&mut self, address: &str) {
        let reach = address.parse::<SocketAddr>().map(|address| Reach::of(address.ip()));
        self.own_reach.extend(reach.ok().filter(|reach| !self.own_reach.contains(reach)));
    }

    /// Adds an address of the configuration or the operator; false if it is no address, or there are too many.
    pub(crate) fn pin(&mut self, address: &str, expected: Option<PeerId>, now: Instant) -> bool {
        is_address(address) && self.insert(address, expected, Source::Configured, now)
    }

    /// Adds an address that the operator names while the node runs, as [`AddressBook::pin`] does one of the configuration.
    pub(crate) fn add(&mut self, address: &str, expected: Option<PeerId>, now: Instant) -> bool {
        let was_given = self.pinned.get(address).is_some_and(|entry| entry.source == Source::Configured);
        let is_there = self.pin(address, expected, now);
        if let Some(entry) = self.pinned.get_mut(address)
            && (!was_given || entry.stay == Stay::Once)
        {
            entry.stay = Stay::Added;
        }
        is_there
    }

    /// Whether the configuration or the operator names an address, to be dialled for more than once.
    pub(crate) fn is_added(&self, address: &str) -> bool {
        let entry = self.pinned.get(address);
        entry.is_some_and(|entry| entry.source == Source::Configured && entry.stay != Stay::Once)
    }

    /// Has an address dialled now; one that is not pinned is forgotten after that. False if it is no address, or there are too
    /// many.
    pub(crate) fn try_once(&mut self, address: &str, now: Instant) -> bool {
        if let Some(entry) = self.pinned.get_mut(address) {
            entry.due_at = now;
            return true;
        }
        let is_there = self.pin(address, None, now);
        if let Some(entry) = self.pinned.get_mut(address) {
            entry.stay = Stay::Once;
        }
        is_there
    }

    /// Takes back what [`AddressBook::add`] has added; false for what it has not. A connection that there is stays.
    pub(crate) fn take_back(&mut self, address: &str) -> bool {
        self.take_back_that(address, Stay::Added)
    }

    /// Forgets that the operator named it, if so. What the chain names stays for that reason: INV-NET-15.
    fn take_back_that(&mut self, address: &str, stay: Stay) -> bool {
        let Some(entry) = self.pinned.get_mut(address).filter(|entry| entry.stay == stay) else {
            return false;
        };
        if entry.in_chain {
            (entry.source, entry.stay) = (Source::Chain, Stay::Given);
        } else {
            self.pinned.remove(address);
        }
        true
    }

    /// Replaces the addresses of the chain, and returns those that are not to be dialled.
    pub(crate) fn set_chain(&mut self, addresses: &[String], now: Instant) -> Vec<String> {
        if !self.policy.dials_masternodes {
            return Vec::new();
        }
        let named: HashSet<&str> = addresses.iter().map(String::as_str).collect();
        self.pinned.retain(|text, entry| {
            entry.in_chain = named.contains(text.as_str());
            entry.source == Source::Configured || entry.in_chain
        });
        let mut refused = Vec::new();
        for address in addresses {
            let is_fit = self.pinned.contains_key(address) || self.is_fit_of_chain(address);
            if !is_fit || !self.insert(address, None, Source::Chain, now) {
                refused.push(address.clone());
            }
        }
        refused
    }

    fn is_fit_of_chain(&self, text: &str) -> bool {
        is_address(text)
            && text.parse::<SocketAddr>().map_or(true, |address| self.is_dialled(Reach::of(address.ip())))
    }

    /// Whether what others name may be dialled there.
    pub(crate) fn is_dialled(&self, reach: Reach) -> bool {
        match reach {
            Reach::World => true,
            Reach::Nowhere => false,
            local => self.policy.grouping != Grouping::Strict || self.own_reach.contains(&local),
        }
    }

    fn insert(&mut self, address: &str, expected: Option<PeerId>, source: Source, now: Instant) -> bool {
        if let Some(entry) = self.pinned.get_mut(address) {
            entry.expected = expected.or(entry.expected);
            if source == Source::Configured {
                entry.source = source;
            }
            return true;
        }
        if self.pinned.len() >= PINNED_MAX {
            return false;
        }
        let entry = Pinned {
            source,
            in_chain: source == Source::Chain,
            stay: Stay::Given,
            expected,
            answered: None,
            failures: 0,
            due_at: now,
            dialing: false,
            own: false,
            hides: false,
            hosts: Vec::new(),
        };
        self.pinned.insert(address.to_owned(), entry);
        true
    }

    /// Takes an address that somebody of this group told, or that a peer says of itself.
    pub(crate) fn learn(
        &mut self,
        address: SocketAddr,
        (teller, of_itself): (NetGroup, Option<PeerId>),
        now_ms: TimeMs,
        random: &mut impl Rng,
    ) {
        if self.policy.hides || self.own.contains(&address) {
            return;
        }
        if self.tables.add(address, teller, now_ms, random) {
            self.has_changed = true;
            if let Some(peer) = of_itself {
                self.tables.note_of_itself(address, peer);
            }
        }
    }

    /// Takes up to `places` pinned addresses whose time has come, and up to `beside` further ones that the chain names; the
    /// caller says later how it went.
    pub(crate) fn take_due(
        &mut self,
        (places, mut beside): (usize, usize),
        now: Instant,
        is_connected: impl Fn(PeerId) -> bool,
    ) -> Vec<Attempt> {
        let is_local_network = self.policy.grouping != Grouping::Strict;
        let mut due: Vec<(&String, &mut Pinned)> = self
            .pinned
            .iter_mut()
            .filter(|(_, entry)| !entry.own && !entry.dialing && entry.due_at <= now)
            .filter(|(_, entry)| !entry.answered.or(entry.expected).is_some_and(&is_connected))
            .collect();
        due.sort_by_key(|(_, entry)| (entry.source != Source::Configured, entry.due_at));
        let may_go = |(place, (_, entry)): &(usize, (&String, &mut Pinned))| {
            let is_beside = *place >= places && beside > 0 && entry.source != Source::Configured;
            beside -= usize::from(is_beside);
            *place < places || is_beside
        };
        due.into_iter()
            .enumerate()
            .filter(may_go)
            .map(|(_, (address, entry))| {
                entry.dialing = true;
                Attempt {
                    address: address.clone(),
                    expected: entry.expected,
                    purpose: Purpose::Pinned,
                    may_be_local: is_local_network
                        || entry.source == Source::Configured
                        || address.parse::<SocketAddr>().is_ok(),
                }
            })
            .collect()
    }

    /// How many of so many outbound places are for what peers told: half, and fewer if the pinned addresses need more.
    pub(crate) fn learned_max(&self, outbound_max: usize) -> usize {
        let counted_on = |entry: &&Pinned| !entry.own && entry.failures < PINNED_FAILURES_COUNTED;
        let pinned = self.pinned.values().filter(counted_on).count();
        let least = (outbound_max / 2).min(2);
        outbound_max.saturating_sub(pinned).min(outbound_max.div_ceil(2)).max(least)
    }

    /// One that peers told, to stay connected to, unless it, or who answered there, is barred: an anchor first, then by chance; of a group in which no outbound peer is yet.
    pub(crate) fn take_learned(
        &mut self,
        taken: &HashSet<NetGroup>,
        now_ms: TimeMs,
        random: &mut impl Rng,
        is_barred: impl Fn(SocketAddr, Option<PeerId>) -> bool,
    ) -> Option<Attempt> {
        if self.policy.hides {
            return None;
        }
        let mut due = std::mem::take(&mut self.anchors_due);
        let anchor = std::iter::from_fn(|| due.pop()).find(|anchor| {
            let entry = self.tables.get(*anchor);
            entry.is_some_and(|entry| self.is_free(*anchor, entry, &is_barred))
                && !taken.contains(&self.tables.group(*anchor))
        });
        self.anchors_due = due;
        let address = anchor.or_else(|| {
            self.tables.draw(Wanted::Any, random, |address, entry| {
                self.is_ready(entry, now_ms)
                    && self.is_free(address, entry, &is_barred)
                    && !taken.contains(&self.tables.group(address))
            })
        })?;
        self.learned.insert(address, None);
        self.tables.dialled(address, now_ms);
        Some(Attempt::to(address, Purpose::Learned(address)))
    }

    /// One to be felt: that stands in the way of another one that answered, or of which the node only heard.
    pub(crate) fn take_feeler(
        &mut self,
        now_ms: TimeMs,
        random: &mut impl Rng,
        is_barred: impl Fn(SocketAddr, Option<PeerId>) -> bool,
    ) -> Option<Attempt> {
        if self.policy.hides {
            return None;
        }
        let mut asked = self.tables.next_to_ask(now_ms);
        if let Some((address, entry)) = asked.and_then(|it| Some((it, self.tables.get(it)?)))
            && self.learned.contains_key(&address)
        {
            // Whoever is connected need not be asked whether it is there.
            if let Some(identity) = entry.identity.filter(|_| is_barred(address, entry.identity)) {
                self.tables.answered(address, identity, now_ms);
            }
            asked = None;
        }
        let address = asked.or_else(|| {
            self.tables.draw(Wanted::Heard, random, |address, entry| {
                self.is_ready(entry, now_ms) && self.is_free(address, entry, &is_barred)
            })
        })?;
        self.tables.dialled(address, now_ms);
        Some(Attempt::to(address, Purpose::Feeler(address)))
    }

    fn is_ready(&self, entry: &Entry, now_ms: TimeMs) -> bool {
        let wait = self.backoff.full(entry.failures.saturating_add(1)).saturating_mul(LEARNED_PATIENCE);
        let since_ms = now_ms.saturating_sub(entry.dialled_ms);
        entry.dialled_ms == 0 || u128::from(since_ms) >= wait.as_millis()
    }

    /// Whether nobody there is connected, banned or being dialled. Only who answered there himself is believed to be there.
    fn is_free(
        &self,
        address: SocketAddr,
        entry: &Entry,
        is_barred: &impl Fn(SocketAddr, Option<PeerId>) -> bool,
    ) -> bool {
        !self.learned.contains_key(&address)
            && !self.own.contains(&address)
            && !is_barred(address, entry.identity)
            && !self.pinned.contains_key(&address.to_string())
    }

    /// Those of the tables that are dialled now or connected.
    pub(crate) fn learned(&self) -> impl ExactSizeIterator<Item = SocketAddr> {
        self.learned.keys().copied()
    }

    /// Notes that the peer there serves blocks, and since when it is connected.
    pub(crate) fn serves(&mut self, address: SocketAddr, since: Instant) {
        if let Some(link) = self.learned.get_mut(&canonical(address)) {
            *link = Some(since);
        }
    }

    /// The group of an address.
    pub(crate) fn group(&self, address: SocketAddr) -> NetGroup {
        self.tables.group(address)
    }

    /// The group of somebody who tells addresses.
    pub(crate) fn teller(&self, ip: IpAddr) -> NetGroup {
        NetGroup::of_teller(ip, self.policy.grouping)
    }

    /// What a name led to.
    pub(crate) fn note_hosts(&mut self, address: &str, hosts: impl IntoIterator<Item = IpAddr>) {
        if let Some(entry) = self.pinned.get_mut(address) {
            entry.hosts = hosts.into_iter().map(|ip| ip.to_canonical()).take(HOSTS_MAX).collect();
        }
    }

    /// Whether the configuration or the operator names a peer on this host.
    pub(crate) fn is_listed(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let leads_there = |(text, entry): (&String, &Pinned)| {
            let own = text.parse::<SocketAddr>().ok().map(|address| address.ip().to_canonical());
            entry.source == Source::Configured && (own == Some(ip) || entry.hosts.contains(&ip))
        };
        self.pinned.iter().any(leads_there)
    }

    /// This identity answered, at this address of a socket; whether it hides it has said itself.
    pub(crate) fn answered(
        &mut self,
        attempt: &Attempt,
        (identity, hides, socket): (PeerId, bool, Option<SocketAddr>),
        (now, now_ms): (Instant, TimeMs),
        random: &mut impl Rng,
    ) {
        self.has_changed = true;
        let backoff = self.backoff;
        if let Some(entry) =
            self.pinned.get_mut(&attempt.address).filter(|_| attempt.purpose == Purpose::Pinned)
        {
            entry.dialing = false;
            entry.answered = Some(identity);
            entry.hides = hides;
            entry.due_at = now + backoff.after(1, &mut self.random);
        }
        match (attempt.purpose, socket.map(canonical)) {
            (Purpose::Learned(address) | Purpose::Feeler(address), _) if hides => self.tables.remove(address),
            (Purpose::Learned(address) | Purpose::Feeler(address), _) => {
                self.tables.answered(address, identity, now_ms);
            }
            // What is pinned today may not be so tomorrow, and is known to be good.
            (Purpose::Pinned, Some(address)) if !hides && self.is_dialled(Reach::of(address.ip())) => {
                let teller = self.teller(address.ip());
                self.learn(address, (teller, None), now_ms, random);
                self.tables.answered(address, identity, now_ms);
            }
            (Purpose::Pinned, _) => {}
        }
    }

    /// There is a connection to that identity already, so no new one is there to be waited for.
    pub(crate) fn is_connected_already(&mut self, attempt: &Attempt) {
        match attempt.purpose {
            Purpose::Learned(address) => {
                self.learned.remove(&address);
            }
            Purpose::Pinned => self.forget_if_tried(&attempt.address),
            Purpose::Feeler(_) => {}
        }
    }

    /// The attempt failed. It counts against what peers told only while this node reaches others: who is offline learns
    /// nothing of anybody.
    pub(crate) fn failed(&mut self, attempt: &Attempt, reaches_others: bool, now: Instant) {
        match attempt.purpose {
            Purpose::Pinned => self.pinned_failed(&attempt.address, now),
            Purpose::Learned(address) | Purpose::Feeler(address) => {
                if reaches_others {
                    self.tables.failed(address);
                    self.anchors.retain(|anchor| *anchor != address);
                }
                self.let_go(attempt);
            }
        }
    }

    fn pinned_failed(&mut self, address: &str, now: Instant) {
        self.forget_if_tried(address);
        let Some(entry) = self.pinned.get_mut(address) else { return };
        entry.dialing = false;
        entry.failures = entry.failures.saturating_add(1);
        entry.due_at = now + self.backoff.after(entry.failures, &mut self.random);
    }

    fn forget_if_tried(&mut self, address: &str) {
        self.take_back_that(address, Stay::Once);
    }

    /// A connection that was made ended. One that did not hold counts as a failure; for a pinned address any does, so that one
    /// whose connections end again and again is tried less often.
    pub(crate) fn ended(&mut self, attempt: &Attempt, has_held: bool, (now, now_ms): (Instant, TimeMs)) {
        match attempt.purpose {
            Purpose::Pinned => {
                if let Some(entry) = self.pinned.get_mut(&attempt.address).filter(|_| has_held) {
                    entry.failures = 0;
                }
                self.pinned_failed(&attempt.address, now);
            }
            Purpose::Learned(address) | Purpose::Feeler(address) => {
                self.tables.dialled(address, now_ms);
                if !has_held {
                    self.tables.failed(address);
                }
                self.let_go(attempt);
            }
        }
    }

    fn let_go(&mut self, attempt: &Attempt) {
        self.has_changed = true;
        self.is_connected_already(attempt);
    }

    /// Something else than a node of this chain answered, or somebody else than who is expected there.
    pub(crate) fn foreign(&mut self, attempt: &Attempt, now: Instant) {
        if let Purpose::Learned(address) | Purpose::Feeler(address) = attempt.purpose {
            self.tables.foreign(address);
        }
        self.failed(attempt, true, now);
    }

    /// This node itself answered.
    pub(crate) fn is_own(&mut self, attempt: &Attempt) {
        if let Some(entry) = self.pinned.get_mut(&attempt.address) {
            entry.dialing = false;
            entry.own = true;
        }
        if let Purpose::Learned(address) | Purpose::Feeler(address) = attempt.purpose {
            self.let_go(attempt);
            self.tables.remove(address);
            if self.own.len() >= OWN_MAX {
                self.own.remove(0);
            }
            self.own.push(address);
        }
    }

    /// What others may be told, at most `count` by chance: see INV-NET-16.
    pub(crate) fn tellable(
        &self,
        count: usize,
        now_ms: TimeMs,
        random: &mut impl Rng,
        is_fit: impl Fn(&PeerAddress, SocketAddr) -> bool,
        is_connected: impl Fn(PeerId) -> bool,
    ) -> Vec<PeerAddress> {
        if self.policy.hides {
            return Vec::new();
        }
        let pinned = self.pinned.iter().filter(|(_, entry)| !entry.own && !entry.hides);
        let pinned = pinned
            .filter_map(|(text, entry)| Some((text.parse().ok()?, Some(entry.answered.or(entry.expected)?))));
        let hidden = |address: SocketAddr| {
            self.pinned.get(&address.to_string()).is_some_and(|entry| entry.own || entry.hides)
        };
        let learned = self.tables.tellable(now_ms, is_connected);
        let mut all: HashMap<SocketAddr, Option<PeerId>, ahash::RandomState> =
            HashMap::with_hasher(hashing_of(&self.tables.secret()));
        all.extend(pinned.chain(learned));
        let mut fit: Vec<Option<PeerAddress>> = all
            .into_iter()
            .filter(|(address, _)| !hidden(*address) && !self.own.contains(address))
            .map(|(address, identity)| (address, PeerAddress { address: address.to_string(), identity }))
            .filter(|(address, told)| is_fit(told, *address))
            .map(|(_, told)| Some(told))
            .collect();
        let count = count.min(fit.len());
        index::sample(random, fit.len(), count)
            .into_iter()
            .filter_map(|place| fit.get_mut(place)?.take())
            .collect()
    }

    /// Whether so few addresses of peers are known that more should be looked for elsewhere.
    pub(crate) fn is_nearly_empty(&self) -> bool {
        let (heard, tried) = self.tables.counts();
        heard.saturating_add(tried) < NEARLY_EMPTY
    }

    /// How many addresses were only heard of, and how many answered.
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.tables.counts()
    }

    /// Whether there is something to be kept that was not taken yet.
    pub(crate) const fn take_changed(&mut self) -> bool {
        std::mem::replace(&mut self.has_changed, false)
    }

    /// What is kept over a restart. Anchors are the outbound peers that serve blocks and are connected longest; what they
    /// leave those of the last run fill up that did not fail yet.
    pub(crate) fn kept(&self) -> Kept {
        let mut held: Vec<(Instant, SocketAddr)> =
            self.learned.iter().filter_map(|(address, since)| Some(((*since)?, *address))).collect();
        held.sort_unstable();
        let mut anchors: Vec<SocketAddr> = held.into_iter().map(|(_, address)| address).collect();
        anchors.extend(
            self.anchors.iter().filter(|anchor| !self.learned.get(*anchor).is_some_and(Option::is_some)),
        );
        anchors.truncate(ANCHORS_MAX);
        let entries = self.tables.entries().map(|(address, entry)| (*address, entry.clone())).collect();
        Kept { secret: self.tables.secret(), anchors, entries }
    }
}

#[cfg(test)]
#[path = "tests/address_book.rs"]
mod tests;
