//! The addresses that this node may dial, and when.
//!
//! # Place
//! `peer_manager.rs` dials what is due and says how it went; peers' addresses come in by exchange, the masternodes' from
//! the chain, the bootstrap peers' from the configuration.
//!
//! # Invariants
//! - INV-NET-15: the book is bounded, and so is what one peer can put into it; addresses of the configuration and of
//!   the chain are never pushed out by others and are tried for ever.
//! - INV-NET-16: only addresses that answered, that the chain or the operator names, or that connected peers say of
//!   themselves are told to others; hearsay is not.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

use super::peer::PeerId;
use crate::types::limits::ADDRESS_TEXT_BYTES_MAX;
use crate::types::message::PeerAddress;

/// Addresses in the book, at most.
pub(crate) const ADDRESSES_MAX: usize = 2_048;
/// Of these, addresses that one peer told and that never answered, at most.
const ADDRESSES_PER_SOURCE_MAX: usize = 64;
/// Failed attempts in a row after which an address that a peer told is forgotten.
const LEARNED_FAILURES_MAX: u32 = 6;

/// Who named an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The configuration, the operator or the chain.
    Pinned,
    /// A peer.
    Peer(PeerId),
}

/// How long to wait between attempts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    /// After the first failure.
    pub(crate) min: Duration,
    /// At most.
    pub(crate) max: Duration,
}

impl Backoff {
    /// Doubles with each failure; the last half is random, so that nodes that lost each other do not meet in step.
    fn after(self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1).min(16)).unwrap_or(u32::MAX);
        let full = self.min.saturating_mul(factor).min(self.max);
        full.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[derive(Clone, Debug)]
struct Entry {
    source: Source,
    /// Who must answer, as far as the source knows.
    expected: Option<PeerId>,
    /// Who answered last.
    answered: Option<PeerId>,
    failures: u32,
    due_at: Instant,
    dialing: bool,
    /// It is this node.
    own: bool,
}

/// One address to be dialled now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) address: String,
    pub(crate) expected: Option<PeerId>,
}

/// The book.
pub(crate) struct AddressBook {
    entries: HashMap<String, Entry, ahash::RandomState>,
    backoff: Backoff,
}

/// Whether a text can be an address with a port: `host:port`, a name or a number.
pub(crate) fn is_address(text: &str) -> bool {
    if text.len() > ADDRESS_TEXT_BYTES_MAX {
        return false;
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return address.port() != 0;
    }
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let host_fits = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-');
    host_fits && port.parse::<u16>().is_ok_and(|port| port != 0)
}

/// Whether an address that a peer tells may be used: a number, that can be dialled from outside; loopback only from
/// and for nodes of the same machine. Names are not taken from peers, which could make this node look up anything.
pub(crate) fn is_tellable(text: &str, peer: IpAddr) -> bool {
    let Ok(address) = text.parse::<SocketAddr>() else { return false };
    let ip = address.ip().to_canonical();
    is_address(text)
        && !ip.is_unspecified()
        && !ip.is_multicast()
        && (!ip.is_loopback() || peer.to_canonical().is_loopback())
}

impl AddressBook {
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self { entries: HashMap::default(), backoff }
    }

    /// Adds an address; false if it is no address, or there is no room for one of this source.
    pub(crate) fn add(
        &mut self,
        address: &str,
        expected: Option<PeerId>,
        source: Source,
        now: Instant,
    ) -> bool {
        if !is_address(address) {
            return false;
        }
        if let Some(entry) = self.entries.get_mut(address) {
            if source == Source::Pinned {
                entry.source = source;
                entry.expected = expected.or(entry.expected);
            }
            return true;
        }
        if matches!(source, Source::Peer(_)) {
            let unproved = |entry: &&Entry| entry.source == source && entry.answered.is_none();
            if self.entries.values().filter(unproved).count() >= ADDRESSES_PER_SOURCE_MAX {
                return false;
            }
        }
        if self.entries.len() >= ADDRESSES_MAX && !self.evict() {
            return false;
        }
        let entry =
            Entry { source, expected, answered: None, failures: 0, due_at: now, dialing: false, own: false };
        self.entries.insert(address.to_owned(), entry);
        true
    }

    /// Removes a learned address that is worth least: one that never answered, of the peer that told most of these.
    fn evict(&mut self) -> bool {
        let mut shares: HashMap<PeerId, usize, ahash::RandomState> = HashMap::default();
        for entry in self.entries.values().filter(|entry| entry.answered.is_none()) {
            if let Source::Peer(peer) = entry.source {
                *shares.entry(peer).or_insert(0) += 1;
            }
        }
        let worst = self
            .entries
            .iter()
            .filter(|(_, entry)| !entry.dialing && !entry.own)
            .filter_map(|(address, entry)| match entry.source {
                Source::Pinned => None,
                Source::Peer(peer) => Some((address, peer, entry)),
            })
            .max_by_key(|(_, peer, entry)| {
                (entry.answered.is_none(), shares.get(peer).copied().unwrap_or(0), entry.failures)
            })
            .map(|(address, ..)| address.clone());
        worst.is_some_and(|address| self.entries.remove(&address).is_some())
    }

    /// Takes up to `count` addresses whose time has come, pinned ones first; the caller says later how it went.
    pub(crate) fn take_due(
        &mut self,
        count: usize,
        now: Instant,
        is_connected: impl Fn(PeerId) -> bool,
    ) -> Vec<Attempt> {
        let mut due: Vec<(&String, &mut Entry)> = self
            .entries
            .iter_mut()
            .filter(|(_, entry)| !entry.own && !entry.dialing && entry.due_at <= now)
            .filter(|(_, entry)| !entry.answered.or(entry.expected).is_some_and(&is_connected))
            .collect();
        due.sort_by_key(|(_, entry)| (entry.source != Source::Pinned, entry.due_at));
        due.into_iter()
            .take(count)
            .map(|(address, entry)| {
                entry.dialing = true;
                Attempt { address: address.clone(), expected: entry.expected }
            })
            .collect()
    }

    /// An attempt, or the connection it led to, failed; a learned address that fails often is forgotten.
    pub(crate) fn failed(&mut self, address: &str, now: Instant) {
        let Some(entry) = self.entries.get_mut(address) else { return };
        entry.dialing = false;
        entry.failures = entry.failures.saturating_add(1);
        entry.due_at = now + self.backoff.after(entry.failures);
        if entry.source != Source::Pinned && entry.failures >= LEARNED_FAILURES_MAX {
            self.entries.remove(address);
        }
    }

    /// This identity answered there.
    pub(crate) fn answered(&mut self, address: &str, identity: PeerId, now: Instant) {
        let Some(entry) = self.entries.get_mut(address) else { return };
        entry.dialing = false;
        entry.answered = Some(identity);
        entry.due_at = now + self.backoff.after(1);
    }

    /// A connection to this address held for a while: it counts as good again.
    pub(crate) fn held(&mut self, address: &str) {
        if let Some(entry) = self.entries.get_mut(address) {
            entry.failures = 0;
        }
    }

    /// Somebody else than expected answered. What a peer told is forgotten.
    pub(crate) fn mistaken(&mut self, address: &str, now: Instant) {
        if self.entries.get(address).is_some_and(|entry| entry.source != Source::Pinned) {
            self.entries.remove(address);
        } else {
            self.failed(address, now);
        }
    }

    /// This node itself answered.
    pub(crate) fn is_own(&mut self, address: &str) {
        if let Some(entry) = self.entries.get_mut(address) {
            entry.dialing = false;
            entry.own = true;
        }
    }

    /// What others may be told, at most `count`: what answered, what the chain or the operator names with its identity,
    /// and where peers that are connected say that they listen themselves.
    pub(crate) fn tellable(&self, count: usize, is_connected: impl Fn(PeerId) -> bool) -> Vec<PeerAddress> {
        let is_told = |entry: &Entry| match (entry.answered, entry.expected, entry.source) {
            (Some(_), _, _) | (None, Some(_), Source::Pinned) => true,
            (None, Some(expected), Source::Peer(peer)) => expected == peer && is_connected(peer),
            (None, None, _) => false,
        };
        self.entries
            .iter()
            .filter(|(_, entry)| !entry.own && is_told(entry))
            .take(count)
            .map(|(address, entry)| PeerAddress {
                address: address.clone(),
                identity: entry.answered.or(entry.expected),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::now;
    use crate::types::PublicKey;

    const BACKOFF: Backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_secs(60) };
    const PEER: PublicKey = PublicKey([1; 32]);
    const OTHER: PublicKey = PublicKey([2; 32]);

    #[test]
    fn addresses_are_told_apart_from_rubbish() {
        for good in ["127.0.0.1:24200", "[::1]:1", "node.example.org:24000"] {
            assert!(is_address(good), "{good}");
        }
        let long = format!("{}:1", "a".repeat(ADDRESS_TEXT_BYTES_MAX));
        for bad in ["", ":1", "host", "host:0", "1.2.3.4:0", "host:99999", "a b:1", "a\n:1", &long] {
            assert!(!is_address(bad), "{bad}");
        }
        let (outside, inside) = ("192.0.2.7".parse().unwrap(), "127.0.0.1".parse().unwrap());
        assert!(is_tellable("198.51.100.1:1", outside));
        assert!(is_tellable("127.0.0.1:1", inside) && !is_tellable("127.0.0.1:1", outside));
        for bad in ["0.0.0.0:1", "224.0.0.1:1", "name.example:1", "[::ffff:127.0.0.1]:1"] {
            assert!(!is_tellable(bad, outside), "{bad}");
        }
    }

    #[test]
    fn failures_wait_longer_up_to_the_limit() {
        let start = now();
        let mut book = AddressBook::new(BACKOFF);
        assert!(book.add("boot.example:1", None, Source::Pinned, start));
        let mut at = start;
        for failures in 1..=20_u32 {
            assert_eq!(book.take_due(9, at, |_| false).len(), 1, "pinned ones are tried for ever");
            assert!(book.take_due(9, at, |_| false).is_empty(), "it is being dialled");
            book.failed("boot.example:1", at);
            let full = Duration::from_secs(1_u64 << (failures - 1).min(10)).min(BACKOFF.max);
            let wait = book.entries["boot.example:1"].due_at - at;
            assert!(wait >= full / 2 && wait <= full, "{failures}: {wait:?}");
            at += wait;
        }
    }

    #[test]
    fn learned_addresses_are_forgotten_after_failures_or_a_wrong_identity() {
        let start = now();
        let mut book = AddressBook::new(BACKOFF);
        assert!(book.add("192.0.2.1:1", None, Source::Peer(PEER), start));
        for _ in 0..LEARNED_FAILURES_MAX {
            book.failed("192.0.2.1:1", start);
        }
        assert!(book.entries.is_empty());
        assert!(book.add("192.0.2.1:1", Some(OTHER), Source::Peer(PEER), start));
        book.mistaken("192.0.2.1:1", start);
        assert!(book.entries.is_empty());
    }

    /// INV-NET-15: whoever told it first.
    #[test]
    fn what_the_chain_names_is_tried_for_ever_though_a_peer_told_it_before() {
        let mut at = now();
        let mut book = AddressBook::new(BACKOFF);
        let address = "192.0.2.1:1";
        assert!(book.add(address, None, Source::Peer(PEER), at));
        assert!(book.add(address, Some(OTHER), Source::Pinned, at));
        assert!(book.add(address, Some(PEER), Source::Peer(PEER), at), "it is there");
        let expected = [Attempt { address: address.to_owned(), expected: Some(OTHER) }];
        for _ in 0..2 * LEARNED_FAILURES_MAX {
            assert_eq!(book.take_due(9, at, |_| false), expected);
            book.failed(address, at);
            at += BACKOFF.max;
        }
        book.mistaken(address, at);
        assert_eq!(book.take_due(9, at + BACKOFF.max, |_| false), expected);
    }

    /// Each connection ends some time.
    #[test]
    fn a_learned_address_whose_connections_hold_is_not_forgotten() {
        for holds in [true, false] {
            let at = now();
            let mut book = AddressBook::new(BACKOFF);
            assert!(book.add("192.0.2.1:1", None, Source::Peer(PEER), at));
            for _ in 0..2 * LEARNED_FAILURES_MAX {
                book.answered("192.0.2.1:1", PEER, at);
                if holds {
                    book.held("192.0.2.1:1");
                }
                book.failed("192.0.2.1:1", at);
            }
            assert_eq!(book.entries.len(), usize::from(holds));
        }
    }

    /// What peers told, however much it is, keeps nobody from the masternodes.
    #[test]
    fn pinned_addresses_are_dialled_before_others_that_have_waited_for_longer() {
        let start = now();
        let mut book = AddressBook::new(BACKOFF);
        for number in 0..9 {
            assert!(book.add(&format!("192.0.2.{number}:1"), None, Source::Peer(PEER), start));
        }
        let later = start + Duration::from_secs(1);
        assert!(book.add("boot.example:1", None, Source::Pinned, later));
        let addresses = |due: Vec<Attempt>| due.into_iter().map(|it| it.address).collect::<Vec<_>>();
        assert_eq!(addresses(book.take_due(1, later, |_| false)), ["boot.example:1"]);
        assert_eq!(book.take_due(99, later, |_| false).len(), 9);
    }

    /// Else nobody would hear how the attempt went, and it could be dialled twice.
    #[test]
    fn an_address_that_is_being_dialled_does_not_make_room() {
        let start = now();
        let mut book = AddressBook::new(BACKOFF);
        for number in 0..ADDRESSES_MAX {
            let (peer, host) = (number / ADDRESSES_PER_SOURCE_MAX, number % ADDRESSES_PER_SOURCE_MAX);
            let source = Source::Peer(PublicKey([u8::try_from(peer).unwrap(); 32]));
            assert!(book.add(&format!("10.{peer}.0.{host}:1"), None, source, start));
        }
        // By all else it is worth least.
        for address in ["10.3.0.7:1", "10.4.0.7:1"] {
            book.failed(address, start);
        }
        book.failed("10.3.0.7:1", start);
        book.entries.get_mut("10.3.0.7:1").unwrap().dialing = true;
        assert!(book.add("198.51.100.1:1", None, Source::Peer(PublicKey([99; 32])), start));
        assert!(book.entries.contains_key("10.3.0.7:1") && !book.entries.contains_key("10.4.0.7:1"));
        assert_eq!(book.entries.len(), ADDRESSES_MAX);
    }

    /// INV-NET-15.
    #[test]
    fn one_peer_fills_only_its_share_and_pinned_addresses_stay() {
        let start = now();
        let mut book = AddressBook::new(BACKOFF);
        for number in 0..50 {
            assert!(book.add(&format!("boot{number}:1"), None, Source::Pinned, start));
        }
        for peer in 0..100 {
            for number in 0..1_000 {
                let address = format!("10.{peer}.{}.{}:1", number / 256, number % 256);
                book.add(&address, None, Source::Peer(PublicKey([peer; 32])), start);
            }
            assert!(book.entries.len() <= ADDRESSES_MAX);
        }
        assert_eq!(book.entries.values().filter(|entry| entry.source == Source::Pinned).count(), 50);
        for peer in 0..100 {
            let source = Source::Peer(PublicKey([peer; 32]));
            let share = book.entries.values().filter(|entry| entry.source == source).count();
            assert!((10..=ADDRESSES_PER_SOURCE_MAX).contains(&share), "{share}: all have about the same");
        }
    }

    /// INV-NET-16.
    #[test]
    fn connected_and_own_addresses_are_not_dialled_and_only_proved_ones_told() {
        let start = now();
        let mut book = AddressBook::new(BACKOFF);
        book.add("192.0.2.1:1", None, Source::Pinned, start);
        book.add("192.0.2.2:1", Some(OTHER), Source::Pinned, start);
        book.add("192.0.2.3:1", Some(OTHER), Source::Peer(PEER), start);
        assert_eq!(book.take_due(9, start, |_| false).len(), 3);
        book.answered("192.0.2.1:1", PEER, start);
        book.is_own("192.0.2.2:1");
        book.failed("192.0.2.3:1", start);
        let later = start + Duration::from_secs(100);
        assert!(book.take_due(9, later, |_| true).is_empty());
        let due = book.take_due(9, later, |peer| peer == OTHER);
        assert_eq!(due, [Attempt { address: "192.0.2.1:1".to_owned(), expected: None }]);
        assert!(book.add("192.0.2.4:1", Some(PEER), Source::Peer(PEER), start));
        assert_eq!(book.tellable(9, |_| true).len(), 2, "where a connected peer says that it listens itself");
        let told = book.tellable(9, |_| false);
        assert_eq!(told, [PeerAddress { address: "192.0.2.1:1".to_owned(), identity: Some(PEER) }]);
    }

    /// Else it would be told again, and this node would dial itself again and again.
    #[test]
    fn an_address_of_this_node_itself_does_not_make_room() {
        let start = now();
        let mut book = AddressBook::new(BACKOFF);
        for number in 0..ADDRESSES_MAX {
            let (peer, host) = (number / ADDRESSES_PER_SOURCE_MAX, number % ADDRESSES_PER_SOURCE_MAX);
            let source = Source::Peer(PublicKey([u8::try_from(peer).unwrap(); 32]));
            assert!(book.add(&format!("10.{peer}.0.{host}:1"), None, source, start));
        }
        let own = "10.0.0.0:1";
        // No other one has failed, so nothing else is worth less.
        book.failed(own, start);
        book.is_own(own);
        assert!(book.add("192.0.2.1:1", None, Source::Peer(PublicKey([0xff; 32])), start));
        assert_eq!(book.entries.len(), ADDRESSES_MAX);
        assert!(book.add(own, None, Source::Peer(PEER), start), "a peer tells it again");
        let due = book.take_due(2 * ADDRESSES_MAX, start + BACKOFF.max, |_| false);
        assert!(due.iter().all(|attempt| attempt.address != own));
    }

    /// The chain says who a masternode is, the configuration only where one of them may be.
    #[test]
    fn who_is_expected_at_an_address_is_not_forgotten_when_it_is_named_again() {
        let start = now();
        let mut book = AddressBook::new(BACKOFF);
        let address = "192.0.2.1:1";
        assert!(book.add(address, Some(OTHER), Source::Pinned, start));
        assert!(book.add(address, None, Source::Pinned, start));
        let expected = Attempt { address: address.to_owned(), expected: Some(OTHER) };
        assert_eq!(book.take_due(9, start, |_| false), [expected]);
    }
}
