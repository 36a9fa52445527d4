//! Which snapshot is fetched, and which peer is asked for which chunk. No clock, no network.
//!
//! # Invariants
//! - INV-FETCH-1: a peer that gave a false chunk is asked for nothing more: it wastes that chunk, and delays those that it was
//!   asked for beside it, [`CHUNKS_A_PEER`] in all.
//! - INV-FETCH-2: a peer that does not answer costs [`SECOND_ASK_MS`] while others have nothing else to do, and is left alone
//!   after [`DEADLINE_MS`].
//! - INV-FETCH-3: as long as a peer is left that was never false or late, nor gone more than [`RETURNS_MAX`] times, something is
//!   asked for until all is there.
//! - INV-FETCH-6: a peer that was false or late, or gone that often, is not asked again, however often it comes back and offers
//!   the same; and whoever is left, a snapshot of which nothing came for [`STALLED_MS`] is given up.
//! - INV-FETCH-7: on a slow line nobody is late for what others were asked: a peer's time begins anew with each chunk that it
//!   gives, and few chunks are asked for at once until they are seen to come soon.

use std::collections::{BTreeMap, BTreeSet};

use crate::network::PeerId;
use crate::types::message::SnapshotOffer;

/// Chunks that are asked of one peer at once.
const CHUNKS_A_PEER: usize = 3;
/// Chunks that are asked for, or wait to be looked at, at once.
pub(super) const OUTSTANDING_MAX: usize = 24;
/// How long a chunk may take before another peer is asked for it as well, if it has nothing else to do, in milliseconds.
pub(super) const SECOND_ASK_MS: u64 = 1_000;
/// How long a peer may take for a chunk, in milliseconds.
pub(super) const DEADLINE_MS: u64 = 20_000;
/// Chunks that are asked for at once at first. One more with each that comes within [`SOON_MS`], one fewer with each that takes
/// longer than [`LATE_MS`].
const OUTSTANDING_FIRST: usize = 4;
const OUTSTANDING_MIN: usize = 2;
const SOON_MS: u64 = 4_000;
const LATE_MS: u64 = 8_000;
/// How often a peer may be gone and come back.
pub(super) const RETURNS_MAX: u8 = 3;
/// How long no chunk that holds may have come before the snapshot is given up, in milliseconds: identities cost nothing, and a
/// new one each time could keep the node for ever.
pub(super) const STALLED_MS: u64 = 3 * DEADLINE_MS;

/// A snapshot with those who offer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) offer: SnapshotOffer,
    pub(super) peers: BTreeSet<PeerId>,
}

/// All snapshots that are offered, those first that most peers offer, of these the newest first.
pub(super) fn candidates(offers: &BTreeMap<PeerId, Vec<SnapshotOffer>>) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for (peer, offer) in
        offers.iter().flat_map(|(peer, offers)| offers.iter().map(move |offer| (peer, offer)))
    {
        // How large they say it is, is no part of it.
        match found.iter_mut().find(|candidate| candidate.offer.names() == offer.names()) {
            Some(candidate) => drop(candidate.peers.insert(*peer)),
            None => found.push(Candidate { offer: *offer, peers: BTreeSet::from([*peer]) }),
        }
    }
    found.sort_by_key(|candidate| {
        let Candidate { offer, peers } = candidate;
        std::cmp::Reverse((peers.len(), offer.block.height, offer.manifest))
    });
    found
}

#[derive(Debug, Default)]
struct OfPeer {
    asked: BTreeSet<u32>,
    /// When it gave its last chunk.
    gave_ms: u64,
}

/// What is still to be fetched, and who was asked for it.
#[derive(Debug)]
pub(super) struct ChunkPlan {
    peers: BTreeMap<PeerId, OfPeer>,
    /// Neither here nor asked for.
    missing: BTreeSet<u32>,
    /// Asked for: when, last.
    asked: BTreeMap<u32, u64>,
    /// Those that are here but not looked at yet.
    arrived: BTreeMap<u32, PeerId>,
    /// Peers that are asked for nothing more.
    left: BTreeSet<PeerId>,
    /// How often peers were gone.
    gone: BTreeMap<PeerId, u8>,
    /// Chunks that may be asked for at once.
    outstanding_max: usize,
    /// When a chunk that holds came last, or the plan began.
    good_ms: u64,
}

impl ChunkPlan {
    /// A plan for chunks that are not here yet.
    pub(super) fn new(peers: impl IntoIterator<Item = PeerId>, missing: BTreeSet<u32>, now_ms: u64) -> Self {
        let peers = peers.into_iter().map(|peer| (peer, OfPeer::default())).collect();
        let (asked, arrived, left, gone) =
            (BTreeMap::new(), BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        let outstanding_max = OUTSTANDING_FIRST;
        Self { peers, missing, asked, arrived, left, gone, outstanding_max, good_ms: now_ms }
    }

    pub(super) fn is_done(&self) -> bool {
        self.missing.is_empty() && self.asked.is_empty() && self.arrived.is_empty()
    }

    /// Nobody is left to be asked, or those who are give nothing; nothing waits to be looked at.
    pub(super) fn is_hopeless(&self, now_ms: u64) -> bool {
        // Who is gone may come back.
        let may_return = self.gone.keys().any(|peer| !self.left.contains(peer));
        let is_stalled = now_ms >= self.good_ms.saturating_add(STALLED_MS);
        let gives_nothing = is_stalled || (self.peers.is_empty() && !may_return);
        gives_nothing && self.arrived.is_empty() && !self.is_done()
    }

    /// Another peer has the same snapshot.
    pub(super) fn add_peer(&mut self, peer: PeerId) {
        if !self.left.contains(&peer) {
            self.peers.entry(peer).or_default();
        }
    }

    /// Whom to ask for what now.
    pub(super) fn requests(&mut self, now_ms: u64) -> Vec<(PeerId, u32)> {
        let mut requests = Vec::new();
        while self.asked.len().saturating_add(self.arrived.len()) < self.outstanding_max {
            let idle = self.peers.iter().filter(|(_, of_peer)| of_peer.asked.len() < CHUNKS_A_PEER);
            let Some(peer) = idle.min_by_key(|(_, of_peer)| of_peer.asked.len()).map(|(peer, _)| *peer)
            else {
                break;
            };
            let next = match self.missing.pop_first() {
                Some(chunk) => Some((peer, chunk)),
                None => self.second(now_ms),
            };
            let Some((peer, chunk)) = next else { break };
            self.asked.insert(chunk, now_ms);
            if let Some(of_peer) = self.peers.get_mut(&peer) {
                of_peer.asked.insert(chunk);
            }
            requests.push((peer, chunk));
        }
        requests
    }

    /// A chunk that takes long, with a peer that has nothing to do and was not asked for it.
    fn second(&self, now_ms: u64) -> Option<(PeerId, u32)> {
        let slow = self.asked.iter().filter(|(_, asked_ms)| now_ms >= asked_ms.saturating_add(SECOND_ASK_MS));
        let mut free = self.peers.iter().filter(|(_, of_peer)| of_peer.asked.is_empty());
        let (peer, _) = free.next()?;
        slow.min_by_key(|(_, asked_ms)| **asked_ms).map(|(chunk, _)| (*peer, *chunk))
    }

    /// A chunk came; whether it was asked for, and is to be looked at.
    pub(super) fn arrived(&mut self, peer: PeerId, chunk: u32, now_ms: u64) -> bool {
        let Some(of_peer) = self.peers.get_mut(&peer).filter(|of_peer| of_peer.asked.contains(&chunk)) else {
            return false;
        };
        of_peer.asked.remove(&chunk);
        of_peer.gave_ms = now_ms;
        let Some(asked_ms) = self.asked.remove(&chunk) else { return false };
        let took_ms = now_ms.saturating_sub(asked_ms);
        if took_ms <= SOON_MS {
            self.outstanding_max = self.outstanding_max.saturating_add(1).min(OUTSTANDING_MAX);
        } else if took_ms > LATE_MS {
            self.outstanding_max = self.outstanding_max.saturating_sub(1).max(OUTSTANDING_MIN);
        }
        self.arrived.insert(chunk, peer);
        true
    }

    /// A chunk that came is what the manifest names, and is on the disk.
    pub(super) fn good(&mut self, chunk: u32, now_ms: u64) {
        self.arrived.remove(&chunk);
        self.good_ms = now_ms;
    }

    /// It is not: it is fetched elsewhere. Gives who sent it.
    pub(super) fn bad(&mut self, chunk: u32) -> Option<PeerId> {
        let peer = self.arrived.remove(&chunk)?;
        self.missing.insert(chunk);
        self.leave(peer);
        Some(peer)
    }

    /// A peer is asked for nothing more.
    pub(super) fn leave(&mut self, peer: PeerId) {
        self.left.insert(peer);
        self.drop_requests(peer);
    }

    /// A peer is gone; what it was asked for is asked of others, and it may come back some times.
    pub(super) fn gone(&mut self, peer: PeerId) {
        if !self.peers.contains_key(&peer) {
            return;
        }
        let times = self.gone.entry(peer).or_default();
        *times = times.saturating_add(1);
        if *times > RETURNS_MAX {
            self.left.insert(peer);
        }
        self.drop_requests(peer);
    }

    fn drop_requests(&mut self, peer: PeerId) {
        let Some(of_peer) = self.peers.remove(&peer) else { return };
        for chunk in of_peer.asked {
            let others = self.peers.values().any(|other| other.asked.contains(&chunk));
            if !others && self.asked.remove(&chunk).is_some() {
                self.missing.insert(chunk);
            }
        }
    }

    /// Leaves the peers that were asked for a chunk so long ago that they will not send it; gives them.
    pub(super) fn leave_late(&mut self, now_ms: u64) -> Vec<PeerId> {
        let is_late = |chunk: &u32, of_peer: &OfPeer| {
            let since = |asked_ms: &u64| of_peer.gave_ms.max(*asked_ms);
            self.asked.get(chunk).map(since).is_some_and(|at| now_ms >= at.saturating_add(DEADLINE_MS))
        };
        let late: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(_, of_peer)| of_peer.asked.iter().any(|chunk| is_late(chunk, of_peer)))
            .map(|(peer, _)| *peer)
            .collect();
        late.iter().for_each(|peer| self.leave(*peer));
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{BlockHash, Checkpoint, Hash, PublicKey};

    fn peer(number: u8) -> PeerId {
        PublicKey([number; 32])
    }

    fn offer(height: u64, manifest: u8) -> SnapshotOffer {
        let block = Checkpoint { height, block_hash: BlockHash([1; 32]) };
        SnapshotOffer { block, manifest: Hash([manifest; 32]), outputs: 7, bytes: 700 }
    }

    #[test]
    fn what_most_peers_offer_comes_first_and_of_that_the_newest() {
        let (new, old, lie) = (offer(20, 1), offer(10, 1), offer(20, 9));
        let offers = BTreeMap::from([
            (peer(1), vec![new, old]),
            (peer(2), vec![new, old]),
            (peer(3), vec![new, new]),
            (peer(4), vec![lie, offer(30, 9)]),
            (peer(5), vec![lie]),
        ]);
        let found: Vec<(SnapshotOffer, usize)> = candidates(&offers)
            .into_iter()
            .map(|candidate| (candidate.offer, candidate.peers.len()))
            .collect();
        assert_eq!(found, [(new, 3), (lie, 2), (old, 2), (offer(30, 9), 1)]);
    }

    #[test]
    fn what_somebody_says_of_its_size_makes_it_no_other_snapshot() {
        let honest = offer(20, 1);
        let larger = SnapshotOffer { bytes: 9, outputs: 8, ..honest };
        let offers =
            BTreeMap::from([(peer(1), vec![larger]), (peer(2), vec![larger]), (peer(3), vec![honest])]);
        let found = candidates(&offers);
        assert_eq!((found.len(), found[0].peers.len()), (1, 3));
    }

    /// Lets peers answer until nothing is asked any more; `answers` says what a peer does with a request.
    fn run(peers: u8, chunks: u32, answers: impl Fn(PeerId, u32) -> Option<bool>) -> (ChunkPlan, u64, usize) {
        let mut plan = ChunkPlan::new((1..=peers).map(peer), (0..chunks).collect(), 0);
        let (mut now_ms, mut requests) = (0, 0);
        while !plan.is_done() && !plan.is_hopeless(now_ms) && now_ms < 1_000_000 {
            for (peer, chunk) in plan.requests(now_ms) {
                requests += 1;
                let Some(is_good) = answers(peer, chunk) else { continue };
                match plan.arrived(peer, chunk, now_ms) {
                    true if is_good => plan.good(chunk, now_ms),
                    true => assert_eq!(plan.bad(chunk), Some(peer)),
                    false => {}
                }
            }
            plan.leave_late(now_ms);
            now_ms += 10;
        }
        (plan, now_ms, requests)
    }

    #[test]
    fn every_chunk_is_asked_for_once_where_all_answer() {
        let (plan, _, requests) = run(5, 200, |_, _| Some(true));
        assert!(plan.is_done());
        assert_eq!(requests, 200);
    }

    /// INV-FETCH-1.
    #[test]
    fn a_liar_wastes_what_it_was_asked_for_at_once() {
        let (plan, _, requests) = run(5, 200, |from, _| Some(from != peer(2) && from != peer(3)));
        assert!(plan.is_done());
        assert!((202..=200 + 2 * CHUNKS_A_PEER).contains(&requests), "{requests}");
        let (plan, now_ms, _) = run(2, 10, |_, _| Some(false));
        assert!(plan.is_hopeless(now_ms) && !plan.is_done());
    }

    /// INV-FETCH-2: others take over what it keeps, long before its deadline.
    #[test]
    fn a_peer_that_stalls_costs_about_a_second() {
        let (plan, took_ms, requests) = run(5, 200, |from, _| (from != peer(4)).then_some(true));
        assert!(plan.is_done());
        assert!(took_ms <= 3 * SECOND_ASK_MS, "{took_ms}");
        assert!(requests <= 200 + CHUNKS_A_PEER + 1, "{requests}");
        // Alone it is left in the end.
        let (plan, took_ms, _) = run(1, 3, |_, _| None);
        assert!(plan.is_hopeless(took_ms));
        assert!((DEADLINE_MS..DEADLINE_MS + 100).contains(&took_ms), "{took_ms}");
    }

    /// However many peers there are.
    #[test]
    fn only_so_many_chunks_are_on_their_way_or_wait() {
        let mut plan = ChunkPlan::new((1..=40).map(peer), (0..200).collect(), 0);
        let (mut under_way, mut most) = (plan.requests(0), 0);
        assert_eq!(under_way.len(), OUTSTANDING_FIRST);
        for _ in 0..60 {
            let (from, chunk) = under_way.remove(0);
            assert!(plan.arrived(from, chunk, SOON_MS));
            plan.good(chunk, SOON_MS);
            under_way.extend(plan.requests(0));
            most = most.max(under_way.len());
        }
        assert_eq!(most, OUTSTANDING_MAX);
        assert!(under_way.iter().all(|(from, chunk)| plan.arrived(*from, *chunk, 0)));
        assert_eq!(plan.requests(0), [], "none was looked at");
        plan.good(under_way[0].1, 0);
        assert_eq!(plan.requests(0).len(), 1);
    }

    #[test]
    fn what_nobody_asked_for_is_not_looked_at() {
        let mut plan = ChunkPlan::new([peer(1), peer(2)], BTreeSet::from([0]), 0);
        assert_eq!(plan.requests(0), [(peer(1), 0)]);
        assert!(!plan.arrived(peer(2), 0, 0) && !plan.arrived(peer(1), 1, 0));
        assert!(plan.arrived(peer(1), 0, 0) && !plan.arrived(peer(1), 0, 0));
        plan.good(0, 0);
        assert!(plan.is_done());
    }

    /// INV-FETCH-3: whatever mixture of peers there is.
    #[test]
    fn one_honest_peer_is_enough() {
        for honest in 1..=5 {
            let (plan, ..) = run(5, 40, |from, chunk| match from {
                from if from == peer(honest) => Some(true),
                from if from.0[0] % 2 == 0 => Some(chunk > 20),
                _ => None,
            });
            assert!(plan.is_done(), "honest is {honest}");
        }
    }

    /// INV-FETCH-6.
    #[test]
    fn who_was_false_late_or_gone_too_often_is_not_asked_again_though_it_offers_the_same_anew() {
        let leave: [fn(&mut ChunkPlan); 3] = [
            |plan| {
                assert!(plan.arrived(peer(1), 0, 0));
                assert_eq!(plan.bad(0), Some(peer(1)));
            },
            |plan| assert_eq!(plan.leave_late(DEADLINE_MS), [peer(1)]),
            |plan| {
                for _ in 0..=RETURNS_MAX {
                    plan.add_peer(peer(1));
                    plan.gone(peer(1));
                }
            },
        ];
        for leave in leave {
            let mut plan = ChunkPlan::new([peer(1)], BTreeSet::from([0]), 0);
            assert_eq!(plan.requests(0), [(peer(1), 0)]);
            leave(&mut plan);
            plan.add_peer(peer(1));
            assert!(plan.is_hopeless(DEADLINE_MS) && plan.requests(DEADLINE_MS).is_empty());
            plan.add_peer(peer(2));
            assert_eq!(plan.requests(DEADLINE_MS), [(peer(2), 0)], "another one is");
        }
    }

    /// INV-FETCH-6: each of them is new, so nobody is late for long.
    #[test]
    fn a_snapshot_that_only_ever_new_peers_offer_and_none_gives_is_given_up() {
        let mut plan = ChunkPlan::new([peer(0)], (0..3).collect(), 0);
        plan.requests(0);
        assert!(plan.arrived(peer(0), 0, 0));
        plan.good(0, 1_000);
        let mut now_ms = 1_000;
        while !plan.is_hopeless(now_ms) {
            plan.leave_late(now_ms);
            now_ms += 1_000;
            plan.add_peer(PublicKey([9; 32].map(|byte: u8| byte ^ u8::try_from(now_ms % 251).unwrap())));
            plan.requests(now_ms);
            assert!(now_ms < 1_000_000, "it is given up");
        }
        assert_eq!(now_ms, 1_000 + STALLED_MS, "and not before");
        // What has come by then is looked at first.
        let (waiting, chunk) = plan.asked_of_anybody();
        assert!(plan.arrived(waiting, chunk, now_ms) && !plan.is_hopeless(now_ms));
        plan.good(chunk, now_ms);
        assert!(!plan.is_hopeless(now_ms + STALLED_MS - 1) && plan.is_hopeless(now_ms + STALLED_MS));
    }

    /// INV-FETCH-3: a line that breaks now and then costs no peer its place, and a plan not its hope.
    #[test]
    fn who_is_gone_comes_back_some_times() {
        let mut plan = ChunkPlan::new([peer(1)], (0..20).collect(), 0);
        let asked = plan.requests(0);
        assert_eq!(asked.len(), CHUNKS_A_PEER);
        for times in 0..RETURNS_MAX {
            plan.gone(peer(1));
            assert!(!plan.is_hopeless(STALLED_MS - 1) && plan.is_hopeless(STALLED_MS), "{times}");
            plan.add_peer(peer(1));
            assert_eq!(plan.requests(0), asked, "what was not given is asked for again");
        }
    }

    /// INV-FETCH-7. All peers are behind one line, which takes so long for a chunk; who was left.
    fn over_a_slow_line(peers: u8, chunks: u32, chunk_ms: u64) -> Vec<PeerId> {
        let mut plan = ChunkPlan::new((1..=peers).map(peer), (0..chunks).collect(), 0);
        let (mut now_ms, mut under_way, mut left) = (0, Vec::new(), Vec::new());
        while !plan.is_done() && !plan.is_hopeless(now_ms) {
            under_way.extend(plan.requests(now_ms).into_iter().map(|asked| (asked, chunk_ms * 1_000)));
            // What is under way shares the line.
            let share_us = 50_000 / under_way.len().max(1) as u64;
            now_ms += 50;
            under_way.retain_mut(|((from, chunk), rest_us): &mut ((PeerId, u32), u64)| {
                *rest_us = rest_us.saturating_sub(share_us);
                if *rest_us == 0 && plan.arrived(*from, *chunk, now_ms) {
                    plan.good(*chunk, now_ms);
                }
                *rest_us > 0
            });
            left.extend(plan.leave_late(now_ms));
        }
        assert!(plan.is_done(), "{peers} peers, {chunk_ms} ms a chunk");
        left
    }

    /// INV-FETCH-7.
    #[test]
    fn on_a_slow_line_nobody_is_late_for_what_others_give() {
        // 1.4 MB a chunk: 100 down to 2.5 Mbit/s.
        for (peers, chunk_ms) in [(1, 4_500), (8, 110), (8, 1_400), (16, 1_400), (16, 2_800), (3, 4_500)] {
            assert_eq!(over_a_slow_line(peers, 60, chunk_ms), [], "{peers} peers, {chunk_ms} ms a chunk");
        }
    }

    impl ChunkPlan {
        /// A peer with a chunk that it was asked for.
        fn asked_of_anybody(&self) -> (PeerId, u32) {
            let mut asked =
                self.peers.iter().flat_map(|(peer, of)| of.asked.iter().map(|chunk| (*peer, *chunk)));
            asked.next().unwrap()
        }
    }
}
