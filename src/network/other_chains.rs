//! Peers that turned out to be no peers: on another chain or of another version. Who, which, and when it was noticed last.
//!
//! # Place
//! `peer_manager.rs` and `dialer.rs` note them when a handshake fails for that; operators see them in the log, and those of other
//! chains in the node's status.
//!
//! # Invariants
//! - INV-OTHER-CHAINS-1: at most [`OTHER_NODES_MAX`] addresses are remembered, of at most [`ADDRESS_TEXT_BYTES_MAX`] bytes each,
//!   and each is told in the log once as long as it is remembered, which is [`REMEMBERED`] at least after it was seen: whoever
//!   connects again and again fills neither memory nor log. One that this node dialled makes room for itself among those
//!   that dialled it.

use std::time::Duration;

use tokio::time::Instant;

use crate::types::ChainId;
use crate::types::limits::ADDRESS_TEXT_BYTES_MAX;

/// Addresses that are remembered, at most.
pub(crate) const OTHER_NODES_MAX: usize = 64;
/// One that was not seen for so long makes room for another.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(60);

/// A peer that is on another chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherChain {
    /// `host:port` as this node dialled it, or the IP address from which it dialled this node.
    pub address: String,
    /// Whether this node dialled it.
    pub dialled: bool,
    /// Its chain, as it says.
    pub chain_id: ChainId,
    /// When it was noticed last.
    pub ago: Duration,
}

struct Entry<T> {
    address: String,
    dialled: bool,
    what: T,
    seen: Instant,
}

/// The addresses, with what each says that it is; see the module.
pub(crate) struct OtherNodes<T> {
    entries: Vec<Entry<T>>,
}

impl<T> Default for OtherNodes<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T> OtherNodes<T> {
    /// Notes a peer; true if that is to be told in the log.
    pub(crate) fn note(&mut self, address: &str, dialled: bool, what: T, now: Instant) -> bool {
        if let Some(known) = self.entries.iter_mut().find(|e| e.dialled == dialled && e.address == address) {
            (known.what, known.seen) = (what, now);
            return false;
        }
        if address.len() > ADDRESS_TEXT_BYTES_MAX || !self.make_room(dialled, now) {
            return false;
        }
        self.entries.push(Entry { address: address.to_owned(), dialled, what, seen: now });
        true
    }

    fn make_room(&mut self, dialled: bool, now: Instant) -> bool {
        if self.entries.len() < OTHER_NODES_MAX {
            return true;
        }
        let is_old = |entry: &Entry<T>| now.saturating_duration_since(entry.seen) >= REMEMBERED;
        let oldest = self.entries.iter().enumerate().min_by_key(|(_, entry)| (entry.dialled, entry.seen));
        let Some((place, _)) = oldest.filter(|(_, entry)| is_old(entry) || (dialled && !entry.dialled))
        else {
            return false;
        };
        self.entries.swap_remove(place);
        true
    }
}

impl OtherNodes<ChainId> {
    /// All, the last noticed first.
    pub(crate) fn all(&self, now: Instant) -> Vec<OtherChain> {
        let mut all: Vec<OtherChain> = self
            .entries
            .iter()
            .map(|entry| OtherChain {
                address: entry.address.clone(),
                dialled: entry.dialled,
                chain_id: entry.what,
                ago: now.saturating_duration_since(entry.seen),
            })
            .collect();
        all.sort_by_key(|entry| entry.ago);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::now;

    const CHAIN: ChainId = ChainId([7; 32]);

    /// INV-OTHER-CHAINS-1.
    #[test]
    fn each_address_is_told_once() {
        let (mut chains, begin) = (OtherNodes::default(), now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert!(chains.note("127.0.0.1:24200", true, CHAIN, at(0)));
        assert!(!chains.note("127.0.0.1:24200", true, CHAIN, at(1)));
        assert!(!chains.note("127.0.0.1:24200", true, CHAIN, at(60)));
        assert!(chains.note("192.0.2.1", false, CHAIN, at(61)), "another address");
        assert!(!chains.note("192.0.2.1", false, ChainId([8; 32]), at(62)), "what it says costs it nothing");
        let told: Vec<_> =
            chains.all(at(70)).into_iter().map(|one| (one.address, one.ago.as_secs())).collect();
        assert_eq!(told, [("192.0.2.1".to_owned(), 8), ("127.0.0.1:24200".to_owned(), 10)]);
    }

    /// INV-OTHER-CHAINS-1.
    #[test]
    fn a_crowd_fills_neither_memory_nor_log_and_hides_no_peer_that_was_dialled() {
        let (mut chains, begin) = (OtherNodes::default(), now());
        let told = (0..10_000).filter(|i| chains.note(&format!("10.0.0.{i}"), false, CHAIN, begin)).count();
        assert_eq!((told, chains.entries.len()), (OTHER_NODES_MAX, OTHER_NODES_MAX));
        assert!(chains.note("127.0.0.1:24200", true, CHAIN, begin));
        assert!(!chains.note("10.9.9.9", false, CHAIN, begin));
        assert!(chains.all(begin).iter().any(|one| one.dialled));
        assert!(chains.note("10.9.9.9", false, CHAIN, begin + REMEMBERED), "old ones make room");
        assert_eq!(chains.entries.len(), OTHER_NODES_MAX);
        assert!(!chains.note(&"x".repeat(10_000), true, CHAIN, begin));
    }

    /// It was told long ago, and is there still.
    #[test]
    fn one_that_was_seen_a_moment_ago_makes_no_room() {
        let (mut chains, begin) = (OtherNodes::default(), now());
        for seconds in [0, 59] {
            for i in 0..OTHER_NODES_MAX {
                let is_told =
                    chains.note(&format!("10.0.0.{i}"), false, CHAIN, begin + Duration::from_secs(seconds));
                assert_eq!(is_told, seconds == 0);
            }
        }
        for (seconds, has_room) in [(60, false), (118, false), (119, true)] {
            let at = begin + Duration::from_secs(seconds);
            assert_eq!(chains.note("10.9.9.9", false, CHAIN, at), has_room, "after {seconds} s");
        }
    }
}
