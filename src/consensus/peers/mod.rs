//! What is known of peers, what they are told, and what they are asked for.
//!
//! Gossip is pushed once as it happens; what got lost is found by comparing [`NodeStatus`] with each peer every
//! [`STATUS_INTERVAL_MS`]: a node pushes the votes of a round that the peer lacks, and pulls the batches, certificates,
//! bodies and blocks that it lacks itself. So any finite loss heals, restarts and partitions included.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `early.rs` | what is kept that came too early |
//! | `batch_requests.rs` | of whom batches of votes are asked, and when another one is |
//! | `pulls.rs` | which bodies and certificates are asked for |
//!
//! # Invariants
//! - INV-GOSSIP-1: what a peer says of itself moves what it is sent and asked for, never what counts here.
//! - INV-GOSSIP-3: a node relays a message once: only when it was new, and is kept (a second batch under one number:
//!   noted). What is dropped would be new again each time it comes back, and peers would send it to each other for ever.

pub(super) mod batch_requests;
pub(super) mod early;
pub(super) mod pulls;

use std::collections::BTreeMap;

use self::batch_requests::{BatchRequests, Pull};
use self::early::EarlyMessages;
use self::pulls::{Lacking, RequestKind};
use super::blocks::PeersVotes;
use super::finality::ConsensusEngine;
use super::moment::Moment;
use super::outbox::Outbox;
use crate::network::PeerId;
use crate::types::Height;
use crate::types::message::NodeStatus;

/// How often peers are told where this node stands, and asked for what it lacks, in milliseconds.
pub const STATUS_INTERVAL_MS: u64 = 250;
/// How long an answer to a request is waited for before another peer is asked, in milliseconds.
pub const REQUEST_TIMEOUT_MS: u64 = 2_000;

/// What each connected peer last said of itself.
type Statuses = BTreeMap<PeerId, Option<NodeStatus>>;

/// The connected peers, and what is between them and this node.
#[derive(Debug, Default)]
pub(super) struct Peers {
    statuses: Statuses,
    /// Whose turn it is to be asked.
    next: BTreeMap<RequestKind, usize>,
    pub(super) early: EarlyMessages,
    pub(super) batches: BatchRequests,
    pub(super) lacking: Lacking,
}

impl Peers {
    pub(super) fn connected(&mut self, peer: PeerId) {
        self.statuses.insert(peer, None);
        self.batches.connected(peer);
    }

    pub(super) fn disconnected(&mut self, peer: &PeerId) {
        self.statuses.remove(peer);
        self.early.forget(peer);
        self.batches.disconnected(peer);
    }

    pub(super) fn is_connected(&self, peer: &PeerId) -> bool {
        self.statuses.contains_key(peer)
    }

    pub(super) fn is_alone(&self) -> bool {
        self.statuses.is_empty()
    }

    pub(super) fn note_status(&mut self, peer: PeerId, status: NodeStatus) {
        if let Some(known) = self.statuses.get_mut(&peer) {
            *known = Some(status);
        }
    }

    /// A peer said where it stands, and is at this node's height: its batches may be asked for.
    pub(super) fn pull(
        &mut self,
        from: PeerId,
        finality: &ConsensusEngine,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        self.batches.pull(from, &Pull { statuses: &self.statuses, finality, at }, out);
    }

    /// A peer's answer with batches of a member has ended before this number.
    pub(super) fn on_batches_end(
        &mut self,
        from: PeerId,
        end: (usize, u64),
        finality: &ConsensusEngine,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        self.batches.on_end(from, end, &Pull { statuses: &self.statuses, finality, at }, out);
    }

    /// The heights that peers say they have.
    pub(super) fn heights(&self) -> impl Iterator<Item = (PeerId, Height)> {
        self.statuses.iter().filter_map(|(peer, status)| Some((*peer, status.as_ref()?.height)))
    }

    /// The heights of peers that say they have the block of this height, and so those that follow.
    pub(super) fn heights_from(&self, from: Height) -> impl Iterator<Item = (PeerId, Height)> {
        let known = self.statuses.iter().filter_map(|(peer, status)| Some((*peer, status.as_ref()?)));
        known.filter(move |(_, status)| status.horizon <= from).map(|(peer, status)| (peer, status.height))
    }

    /// Whether most of the peers have further blocks than this one, and none of them this one itself.
    pub(super) fn nobody_has(&self, next: Height) -> bool {
        let further: Vec<&NodeStatus> =
            self.statuses.values().flatten().filter(|status| status.height > next).collect();
        // A single stranger may say anything.
        let are_most = further.len().saturating_mul(2) > self.statuses.len();
        are_most && further.iter().all(|status| status.horizon > next)
    }

    /// Another peer with each call of a kind, so that one that does not answer delays a request once. Each kind has a turn of
    /// its own: with a common one a peer could have some kind always asked of itself.
    pub(super) fn rotate(&mut self, kind: RequestKind) -> Option<PeerId> {
        let count = self.statuses.len();
        if count == 0 {
            return None;
        }
        let next = self.next.entry(kind).or_default();
        *next = next.wrapping_add(1);
        self.statuses.keys().nth(*next % count).copied()
    }

    /// Whether all votes of this epoch that peers say they hold are here, as far as they gave them when they were asked.
    pub(super) fn votes(&self, finality: &ConsensusEngine, at: &Moment<'_>) -> PeersVotes {
        let (epoch, mine, now_ms) = (finality.machine().epoch(), finality.batches(), at.now_ms());
        let is_level = |(peer, status): (&PeerId, &NodeStatus)| {
            status.epoch != epoch
                || status.batches.iter().enumerate().all(|(member, held)| {
                    // What lies between may be settled and held by nobody; the highest is news.
                    let end = mine.end(member);
                    held.until <= end || self.batches.is_empty_word(peer, member, end, now_ms)
                })
        };
        let known = self.statuses.iter().filter_map(|(peer, status)| Some((peer, status.as_ref()?)));
        let all = known.into_iter().all(is_level);
        if all { PeersVotes::Here } else { PeersVotes::Lacking }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::types::{BlockHash, PublicKey, SignerBitmap, VoteKind};

    #[test]
    fn each_peer_has_its_turn_to_be_asked() {
        let mut peers = Peers::default();
        let lock = RequestKind::Certificates(VoteKind::Lock);
        assert_eq!(peers.rotate(lock), None);
        let all: BTreeSet<PeerId> = (1..=5).map(|byte| PublicKey([byte; 32])).collect();
        all.iter().for_each(|peer| peers.connected(*peer));
        for _ in 0..3 {
            let asked: BTreeSet<PeerId> = all.iter().filter_map(|_| peers.rotate(lock)).collect();
            assert_eq!(asked, all);
        }
        // Other kinds, asked as often as anybody makes them asked, change nobody's turn.
        let asked = all.iter().filter_map(|_| {
            let _others: Vec<_> = (1..all.len()).map(|_| peers.rotate(RequestKind::Bodies)).collect();
            peers.rotate(lock)
        });
        assert_eq!(asked.collect::<BTreeSet<_>>(), all);
    }

    fn peers(statuses: &[(Height, Height)]) -> Peers {
        let mut peers = Peers::default();
        for (number, (height, horizon)) in (0_u8..).zip(statuses) {
            let status = NodeStatus {
                height: *height,
                horizon: *horizon,
                tip: BlockHash::ZERO,
                epoch: 0,
                round: 0,
                has_proposal: false,
                prevotes: SignerBitmap::default(),
                precommits: SignerBitmap::default(),
                batches: Vec::new(),
            };
            let peer = PublicKey([number; 32]);
            peers.connected(peer);
            peers.note_status(peer, status);
        }
        peers
    }

    #[test]
    fn a_block_is_nobodys_only_by_the_word_of_most_peers_and_against_that_of_none() {
        let nobody_has = |statuses: &[(Height, Height)]| peers(statuses).nobody_has(10);
        assert!(nobody_has(&[(90, 50), (80, 11)]));
        assert!(!nobody_has(&[(90, 50), (80, 10)]), "one has it");
        assert!(nobody_has(&[(90, 50), (80, 20), (9, 1)]), "who is not further has nothing to give");
        assert!(!nobody_has(&[(90, 50), (9, 1), (9, 1)]), "a single one may say anything");
        assert!(!nobody_has(&[(10, 1), (9, 1)]) && !nobody_has(&[]));
        assert_eq!(peers(&[(90, 50), (80, 10)]).heights_from(10).count(), 1);
    }
}
