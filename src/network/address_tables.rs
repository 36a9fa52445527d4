//! The addresses that peers told, in the two tables of Bitcoin Core's address manager: heard of, and proved.
//!
//! # Place
//! `address_book.rs` keeps one beside the addresses of the configuration and the chain; `address_file.rs` writes it down.
//! Pure: times and chance are passed in.
//!
//! # How it withstands
//! Whoever wants to be all of a node's peers has to be all that it knows. A secret of the node's own decides which bucket
//! and which place in it an address has: for one that was only heard of by its group and the group of who told it, so that
//! one group of tellers reaches [`NEW_BUCKETS_PER_TELLER`] of [`NEW_BUCKETS`]; for one that answered by its group, so that
//! one group of addresses reaches [`TRIED_BUCKETS_PER_GROUP`] of [`TRIED_BUCKETS`]. A place that is taken is given up only
//! by an address that is bad, or has another place too; one that answered is asked again before it is given up. What is
//! dialled is chosen by chance, from either table as often, and within it from each bucket as often. See Heilman and others,
//! "Eclipse Attacks on Bitcoin's Peer-to-Peer Network" (2015), countermeasures 1 to 3.
//!
//! # Invariants
//! - INV-TABLES-1: there are at most [`ENTRIES_MAX`] addresses, each has a place in just one of the tables, and one of
//!   which the node only heard has at most [`PLACES_MAX`] there.
//! - INV-TABLES-2: only what answered this node itself is in the tried table.
//! - INV-TABLES-3: an address that answered makes room for another one only after it did not answer again, or could not be
//!   asked for [`ASK_WITHIN_MS`].
//!
//! # Units
//! Milliseconds since the Unix epoch, because they outlive the process. A clock that was set back makes nothing worse than
//! it is: ages below zero are zero.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use rand::{Rng, RngExt as _};

use super::address::{Grouping, NetGroup, address_bytes};
use super::peer::PeerId;
use crate::types::TimeMs;

/// Buckets of addresses that were heard of.
pub(crate) const NEW_BUCKETS: u64 = 1_024;
/// Of these, what one group of tellers reaches.
pub(crate) const NEW_BUCKETS_PER_TELLER: u64 = 64;
/// Buckets of addresses that answered.
pub(crate) const TRIED_BUCKETS: u64 = 256;
/// Of these, what one group of addresses reaches.
pub(crate) const TRIED_BUCKETS_PER_GROUP: u64 = 8;
/// Places of a bucket.
pub(crate) const BUCKET_PLACES: u64 = 64;
/// Addresses in both tables together, at most.
pub(crate) const ENTRIES_MAX: usize = ((NEW_BUCKETS + TRIED_BUCKETS) * BUCKET_PLACES) as usize;
/// Places that one address has among those that were heard of, at most: each by another group of tellers.
pub(crate) const PLACES_MAX: usize = 8;
/// Addresses that answered and wait for the place of another one, at most.
pub(crate) const WAITING_MAX: usize = 10;
/// An address that nobody has told for so long is bad: 30 days.
const UNHEARD_MAX_MS: TimeMs = 30 * 86_400_000;
/// Failures in a row after which one that never answered is bad.
const NEVER_ANSWERED_FAILURES_MAX: u32 = 3;
/// Failures in a row after which one is bad that has not answered for [`SILENT_MAX_MS`].
const FAILURES_MAX: u32 = 10;
/// A week.
const SILENT_MAX_MS: TimeMs = 7 * 86_400_000;
/// An attempt that began less than this ago may still go well.
const UNDER_WAY_MS: TimeMs = 60_000;
/// One that answered so lately keeps its place without being asked: 4 hours.
const PROVED_FOR_MS: TimeMs = 4 * 3_600_000;
/// One that waits for a place for so long gets it: 40 minutes.
pub(crate) const ASK_WITHIN_MS: TimeMs = 40 * 60_000;
/// How often chance is asked for an address before the caller comes again.
const DRAWS_MAX: usize = 64;

/// An address in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) is_tried: bool,
    /// Groups of those who told it, the first one first: each stands for a place, unless it is in the tried table, where
    /// the first one alone is left.
    pub(crate) tellers: Vec<NetGroup>,
    /// When it was told last, or answered.
    pub(crate) heard_ms: TimeMs,
    /// When it answered last; 0 if never.
    pub(crate) answered_ms: TimeMs,
    /// When it was dialled last; 0 if never.
    pub(crate) dialled_ms: TimeMs,
    /// In a row.
    pub(crate) failures: u32,
    /// Who answered last.
    pub(crate) identity: Option<PeerId>,
    /// The peer that says that it listens there itself; not kept over a restart.
    pub(crate) of_itself: Option<PeerId>,
}

impl Entry {
    /// Whether it is worth less than any other.
    fn is_bad(&self, now_ms: TimeMs) -> bool {
        let age = |since_ms: TimeMs| now_ms.saturating_sub(since_ms);
        if age(self.dialled_ms) < UNDER_WAY_MS {
            return false;
        }
        let never = self.answered_ms == 0 && self.failures >= NEVER_ANSWERED_FAILURES_MAX;
        let lost = age(self.answered_ms) > SILENT_MAX_MS && self.failures >= FAILURES_MAX;
        age(self.heard_ms) > UNHEARD_MAX_MS || never || lost
    }
}

/// A bucket, and a place in it.
type Slot = (u64, u64);

/// One of the two tables: its places that are taken.
#[derive(Default)]
struct Table {
    buckets: BTreeMap<u64, BTreeMap<u64, SocketAddr>>,
}

impl Table {
    fn at(&self, (bucket, place): Slot) -> Option<SocketAddr> {
        self.buckets.get(&bucket)?.get(&place).copied()
    }

    fn put(&mut self, (bucket, place): Slot, address: SocketAddr) {
        self.buckets.entry(bucket).or_default().insert(place, address);
    }

    /// Frees a place, if this address has it.
    fn free(&mut self, (bucket, place): Slot, address: SocketAddr) {
        let Some(places) = self.buckets.get_mut(&bucket) else { return };
        if places.get(&place) == Some(&address) {
            places.remove(&place);
        }
        if places.is_empty() {
            self.buckets.remove(&bucket);
        }
    }

    /// One by chance: each bucket that is not empty as likely, and in it each address.
    fn draw(&self, random: &mut impl Rng) -> Option<SocketAddr> {
        if self.buckets.is_empty() {
            return None;
        }
        let places = self.buckets.values().nth(random.random_range(0..self.buckets.len()))?;
        places.values().nth(random.random_range(0..places.len())).copied()
    }
}

/// Which table an address is wanted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Either, as often.
    Any,
    /// Those that were only heard of.
    Heard,
}

/// How a node of this secret hashes addresses: as nobody else can foresee, and the same again, so that a test that fails once
/// fails again. The secret itself, which decides the buckets, is in no hash map.
pub(crate) fn hashing_of(secret: &[u8; 32]) -> ahash::RandomState {
    let seeds = blake3::keyed_hash(secret, b"hash maps of addresses");
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(seeds.as_bytes().as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    let [one, two, three, four] = words;
    ahash::RandomState::with_seeds(one, two, three, four)
}

/// Both tables.
pub(crate) struct AddressTables {
    secret: [u8; 32],
    grouping: Grouping,
    entries: HashMap<SocketAddr, Entry, ahash::RandomState>,
    heard: Table,
    tried: Table,
    /// Answered, and their places are taken by others that are to be asked first.
    waiting: Vec<SocketAddr>,
}

impl AddressTables {
    /// Empty ones. The secret is the node's own, and nobody else may know it.
    pub(crate) fn new(secret: [u8; 32], grouping: Grouping) -> Self {
        Self {
            secret,
            grouping,
            entries: HashMap::with_hasher(hashing_of(&secret)),
            heard: Table::default(),
            tried: Table::default(),
            waiting: Vec::new(),
        }
    }

    /// With the entries of the last run. One whose places are taken is left out.
    pub(crate) fn restored(
        secret: [u8; 32],
        grouping: Grouping,
        entries: impl IntoIterator<Item = (SocketAddr, Entry)>,
    ) -> Self {
        let mut tables = Self::new(secret, grouping);
        for (address, entry) in entries {
            tables.restore(address, entry);
        }
        tables
    }

    fn restore(&mut self, address: SocketAddr, mut entry: Entry) {
        if self.entries.contains_key(&address) || entry.tellers.is_empty() {
            return;
        }
        if entry.is_tried {
            let slot = self.tried_slot(address);
            if self.tried.at(slot).is_some() {
                return;
            }
            entry.tellers.truncate(1);
            self.tried.put(slot, address);
        } else {
            let tellers = std::mem::take(&mut entry.tellers);
            for teller in tellers.into_iter().take(PLACES_MAX) {
                let slot = self.heard_slot(address, teller);
                if self.heard.at(slot).is_none() {
                    self.heard.put(slot, address);
                    entry.tellers.push(teller);
                }
            }
            if entry.tellers.is_empty() {
                return;
            }
        }
        self.entries.insert(address, entry);
    }

    /// The node's secret.
    pub(crate) const fn secret(&self) -> [u8; 32] {
        self.secret
    }

    /// All, in no order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&SocketAddr, &Entry)> {
        self.entries.iter()
    }

    /// One of them.
    pub(crate) fn get(&self, address: SocketAddr) -> Option<&Entry> {
        self.entries.get(&address)
    }

    /// How many were only heard of, and how many answered.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let tried = self.entries.values().filter(|entry| entry.is_tried).count();
        (self.entries.len().saturating_sub(tried), tried)
    }

    /// The group of an address.
    pub(crate) fn group(&self, address: SocketAddr) -> NetGroup {
        NetGroup::of(address, self.grouping)
    }

    /// A number that only this node can foresee.
    fn chosen(&self, what: &str, parts: &[&[u8]]) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(what.as_bytes());
        for part in parts {
            hasher.update(part);
        }
        let mut number = [0; 8];
        for (byte, hash) in number.iter_mut().zip(hasher.finalize().as_bytes()) {
            *byte = *hash;
        }
        u64::from_le_bytes(number)
    }

    fn place(&self, table: &str, bucket: u64, address: SocketAddr) -> u64 {
        self.chosen(table, &[&bucket.to_le_bytes(), &address_bytes(address)]) % BUCKET_PLACES
    }

    fn heard_slot(&self, address: SocketAddr, teller: NetGroup) -> Slot {
        let (group, teller) = (self.group(address).bytes(), teller.bytes());
        let turn = self.chosen("heard: group", &[&group, &teller]) % NEW_BUCKETS_PER_TELLER;
        let bucket = self.chosen("heard: bucket", &[&teller, &turn.to_le_bytes()]) % NEW_BUCKETS;
        (bucket, self.place("heard: place", bucket, address))
    }

    fn tried_slot(&self, address: SocketAddr) -> Slot {
        let group = self.group(address).bytes();
        let turn = self.chosen("tried: address", &[&address_bytes(address)]) % TRIED_BUCKETS_PER_GROUP;
        let bucket = self.chosen("tried: bucket", &[&group, &turn.to_le_bytes()]) % TRIED_BUCKETS;
        (bucket, self.place("tried: place", bucket, address))
    }

    /// Notes that somebody of this group told an address; false if there is no place for it.
    pub(crate) fn add(
        &mut self,
        address: SocketAddr,
        teller: NetGroup,
        now_ms: TimeMs,
        random: &mut impl Rng,
    ) -> bool {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.heard_ms = now_ms;
            let places = entry.tellers.len();
            // Each further place is half as likely, so that nobody gets many by being told again and again.
            let is_known = entry.is_tried || places >= PLACES_MAX || entry.tellers.contains(&teller);
            if is_known || random.random_range(0..1_u32 << places) != 0 {
                return true;
            }
        }
        let slot = self.heard_slot(address, teller);
        match self.heard.at(slot) {
            Some(holder) if holder == address => return true,
            Some(holder) if !self.gives_way(holder, address, now_ms) => {
                return self.entries.contains_key(&address);
            }
            Some(holder) => self.clear(slot, holder),
            None => {}
        }
        self.heard.put(slot, address);
        let entry = self.entries.entry(address).or_insert_with(|| Entry {
            is_tried: false,
            tellers: Vec::new(),
            heard_ms: now_ms,
            answered_ms: 0,
            dialled_ms: 0,
            failures: 0,
            identity: None,
            of_itself: None,
        });
        entry.tellers.push(teller);
        true
    }

    /// Whether the holder of a place leaves it to another address.
    fn gives_way(&self, holder: SocketAddr, other: SocketAddr, now_ms: TimeMs) -> bool {
        let Some(held) = self.entries.get(&holder) else { return true };
        let has_another = held.tellers.len() > 1 && !self.entries.contains_key(&other);
        held.is_bad(now_ms) || has_another
    }

    /// Takes a place among the heard from its holder, which is forgotten if it was its last one.
    fn clear(&mut self, slot: Slot, holder: SocketAddr) {
        self.heard.free(slot, holder);
        let Some(entry) = self.entries.get(&holder) else { return };
        let is_left = |teller: &NetGroup| self.heard_slot(holder, *teller) != slot;
        let left: Vec<NetGroup> = entry.tellers.iter().copied().filter(is_left).collect();
        if left.is_empty() {
            self.entries.remove(&holder);
        } else if let Some(entry) = self.entries.get_mut(&holder) {
            entry.tellers = left;
        }
    }

    /// Notes that a peer says that it listens there itself.
    pub(crate) fn note_of_itself(&mut self, address: SocketAddr, peer: PeerId) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.of_itself = Some(peer);
        }
    }

    /// Notes that it is dialled now.
    pub(crate) fn dialled(&mut self, address: SocketAddr, now_ms: TimeMs) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.dialled_ms = now_ms;
        }
    }

    /// Notes that it did not answer.
    pub(crate) fn failed(&mut self, address: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.failures = entry.failures.saturating_add(1);
        }
    }

    /// Notes that what is there is no node of this chain.
    pub(crate) fn foreign(&mut self, address: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.failures = entry.failures.saturating_add(FAILURES_MAX);
            // Whoever answered there before is long gone.
            entry.answered_ms = entry.answered_ms.min(1);
        }
    }

    /// Forgets an address.
    pub(crate) fn remove(&mut self, address: SocketAddr) {
        let Some(entry) = self.entries.remove(&address) else { return };
        if entry.is_tried {
            self.tried.free(self.tried_slot(address), address);
        }
        for teller in entry.tellers {
            self.heard.free(self.heard_slot(address, teller), address);
        }
    }

    /// Notes that this identity answered there, which proves the address. If the place for it is taken by another one,
    /// that is asked first; see [`Self::next_to_ask`].
    pub(crate) fn answered(&mut self, address: SocketAddr, identity: PeerId, now_ms: TimeMs) {
        let slot = self.tried_slot(address);
        let Some(entry) = self.entries.get_mut(&address) else { return };
        entry.answered_ms = now_ms;
        entry.heard_ms = now_ms;
        entry.failures = 0;
        entry.identity = Some(identity);
        if entry.is_tried {
            return;
        }
        if self.tried.at(slot).is_none() {
            self.prove(address);
        } else if !self.waiting.contains(&address) && self.waiting.len() < WAITING_MAX {
            self.waiting.push(address);
        }
    }

    /// Gives an address its place among the tried, in front of whoever has it.
    fn prove(&mut self, address: SocketAddr) {
        let slot = self.tried_slot(address);
        if let Some(holder) = self.tried.at(slot) {
            self.tried.free(slot, holder);
            self.demote(holder);
        }
        let Some(entry) = self.entries.get(&address) else { return };
        for teller in entry.tellers.clone() {
            self.heard.free(self.heard_slot(address, teller), address);
        }
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.is_tried = true;
            entry.tellers.truncate(1);
            self.tried.put(slot, address);
        }
    }

    /// Puts what had a place among the tried back among the heard, in front of whoever has its place there: that is hearsay.
    fn demote(&mut self, address: SocketAddr) {
        let Some(teller) = self.entries.get(&address).and_then(|entry| entry.tellers.first().copied()) else {
            return;
        };
        let slot = self.heard_slot(address, teller);
        if let Some(holder) = self.heard.at(slot) {
            self.clear(slot, holder);
        }
        self.heard.put(slot, address);
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.is_tried = false;
        }
    }

    /// Settles what can be settled of those that wait for a place among the tried, and says which holder of one is to be
    /// dialled to see whether it still answers.
    pub(crate) fn next_to_ask(&mut self, now_ms: TimeMs) -> Option<SocketAddr> {
        let age = |since_ms: TimeMs| now_ms.saturating_sub(since_ms);
        let mut found = None;
        for address in std::mem::take(&mut self.waiting) {
            let Some(entry) = self.entries.get(&address).filter(|entry| !entry.is_tried) else { continue };
            let waits_since_ms = entry.answered_ms;
            let holder = self.tried.at(self.tried_slot(address));
            let Some((holder, held)) = holder.and_then(|holder| Some((holder, self.entries.get(&holder)?)))
            else {
                self.prove(address);
                continue;
            };
            if age(held.answered_ms) < PROVED_FOR_MS {
                continue;
            }
            let was_asked = held.dialled_ms >= waits_since_ms;
            let is_lost = was_asked && age(held.dialled_ms) >= UNDER_WAY_MS;
            if is_lost || age(waits_since_ms) >= ASK_WITHIN_MS {
                self.prove(address);
                continue;
            }
            if !was_asked {
                found = found.or(Some(holder));
            }
            self.waiting.push(address);
        }
        found
    }

    /// An address by chance, and nothing if chance met only such as are not `is_fit`, or that failed often: each failure
    /// takes a third of what is left of the chance.
    pub(crate) fn draw(
        &self,
        wanted: Wanted,
        random: &mut impl Rng,
        is_fit: impl Fn(SocketAddr, &Entry) -> bool,
    ) -> Option<SocketAddr> {
        for _ in 0..DRAWS_MAX {
            let from_heard = wanted == Wanted::Heard
                || self.tried.buckets.is_empty()
                || (!self.heard.buckets.is_empty() && random.random_bool(0.5));
            let table = if from_heard { &self.heard } else { &self.tried };
            let address = table.draw(random)?;
            let Some(entry) = self.entries.get(&address) else { continue };
            let chance = 0.66_f64.powi(i32::try_from(entry.failures.min(8)).unwrap_or(8));
            if is_fit(address, entry) && random.random_bool(chance) {
                return Some(address);
            }
        }
        None
    }

    /// Those that others may be told: what answered and is not bad, and where a peer that is connected says that it
    /// listens itself.
    pub(crate) fn tellable(
        &self,
        now_ms: TimeMs,
        is_connected: impl Fn(PeerId) -> bool,
    ) -> impl Iterator<Item = (SocketAddr, Option<PeerId>)> {
        self.entries.iter().filter_map(move |(address, entry)| {
            let identity = match (entry.is_tried, entry.of_itself) {
                (true, _) => entry.identity,
                (false, Some(peer)) if is_connected(peer) => Some(peer),
                (false, _) => return None,
            };
            (!entry.is_bad(now_ms)).then_some((*address, identity))
        })
    }
}

#[cfg(test)]
#[path = "tests/address_tables.rs"]
mod tests;
