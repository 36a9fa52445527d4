//! Forks: a second block with a valid commit for a height that this node has.
//!
//! That can't happen while less than a third of the weight is faulty. When it does, no rule can tell which of the two
//! chains is right: the node keeps both certificates, says who signed both, stops signing, and goes on answering
//! questions until its operator decides.
//!
//! # Invariants
//! - INV-FORK-1: a fork is believed by valid commits of the set that this node knows for the height, never by length or
//!   arrival; heights older than the unbonding time are reported and not acted on, since keys that have left can sign
//!   anything about the past.
//! - INV-FORK-2: what was seen is journaled, so that a restart does not make the node sign again; only what its operator
//!   decided (`timed votes acknowledge-fork`) does.
//! - INV-FORK-3: the first second block that the set known here has committed stops this node from signing, once it is
//!   known to be of no fork that was decided on. A block on top of another one than this node's own may be in another
//!   epoch, with another set, and can't be judged; at the parting both chains follow from one state. So the peer is asked
//!   for one of its blocks at a time, halfway between the highest that is known to be the same and the lowest that is
//!   known to be another, until one can be judged: at most 64 of them, and one for each fork that was decided on. A peer
//!   that has shown such a block and falls silent does not hide it.
//! - INV-FORK-4: a chain that has one block of a fork that was decided on where this one has the other is no new fork,
//!   whichever side this node is on by now; any other parting is, below or above. The blocks at such heights are asked
//!   for first. What was found out of a peer holds for [`APART_MS`] while it is connected: until then it is asked for no
//!   block, neither to judge it nor in sync, however far its chain grows.
//!
//! What is remembered is an entry for each connected peer, with two headers and commits at the most.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::{error, info, warn};

use super::super::events::Notification;
use super::super::moment::Moment;
use super::super::outbox::Outbox;
use super::super::peers::REQUEST_TIMEOUT_MS;
use crate::network::PeerId;
use crate::protocol::commit::check_commit;
use crate::storage::block_log::BlockReader;
use crate::storage::disk::Disk;
use crate::storage::journal::JournalRecord;
use crate::types::fork::ForkProof;
use crate::types::{BlockHash, CommittedBlock, Evidence, Height, Message, Released, TimeMs};

/// Reads committed blocks from the block log.
pub trait BlockSource: Send + Sync {
    /// The block at a height, if the log holds it and can be read.
    fn block(&self, height: Height) -> Option<Released<CommittedBlock>>;

    /// The first height whose block is there; earlier ones were pruned or never fetched.
    fn horizon(&self) -> Height {
        1
    }
}

impl<D: Disk> BlockSource for BlockReader<D> {
    fn block(&self, height: Height) -> Option<Released<CommittedBlock>> {
        if height < self.shown_from() {
            return None;
        }
        self.read_committed(height).unwrap_or_else(|problem| {
            tracing::error!(%problem, "Can't read the block log");
            None
        })
    }

    fn horizon(&self) -> Height {
        self.shown_from()
    }
}

/// How long it is taken for granted that a peer's chain is another one, in milliseconds.
pub(in crate::consensus) const APART_MS: u64 = 600_000;
/// Between two words about another chain below the checkpoint.
const TELL_AGAIN_MS: u64 = 600_000;
/// What is known of a peer's chain that is not this node's.
#[derive(Clone, Debug)]
enum OtherChain {
    /// Not yet where it parts.
    Sought(Search),
    /// It parts where that does not matter: at a fork that was decided on, or too long ago.
    Apart { until_ms: TimeMs },
}

/// The search for the first block of a peer's chain that is not in this one.
#[derive(Clone, Debug)]
struct Search {
    /// The highest block that is known to be the same.
    same: Height,
    /// The lowest that is another, by the peer's status until one was seen; [`Self::same`] once the search has ended in
    /// vain.
    other: Height,
    is_seen: bool,
    /// Two committed blocks of one height; the lowest so far.
    proof: Option<Arc<ForkProof>>,
    asked: Height,
    asked_ms: TimeMs,
}

impl Search {
    const fn has_failed(&self) -> bool {
        self.other <= self.same
    }

    /// The block to ask for; `None` once the search has ended.
    fn next(&self, decided: &[Arc<ForkProof>]) -> Option<Height> {
        let between = |height: &Height| self.same < *height && *height < self.other;
        let decided = decided.iter().map(|fork| fork.ours.0.height).find(between);
        let tip = (!self.is_seen && !self.has_failed()).then_some(self.other);
        let middle = u64::midpoint(self.same, self.other);
        decided.or(tip).or(Some(middle).filter(|height| self.proof.is_none() && between(height)))
    }
}

/// What the search found out in this step.
#[must_use]
pub(in crate::consensus) struct ForkFound {
    /// What it proves about masternodes.
    pub(in crate::consensus) evidence: Vec<Evidence>,
}

/// Forks: the one that stopped this node, those that were decided on, and the search for new ones.
pub(in crate::consensus) struct Forks {
    blocks: Arc<dyn BlockSource>,
    /// The fork that stopped this node from signing.
    open: Option<Arc<ForkProof>>,
    /// Forks that the operator has decided on; each took a start of this node.
    acknowledged: Vec<Arc<ForkProof>>,
    /// Peers whose chains are not this node's.
    other_chains: BTreeMap<PeerId, OtherChain>,
    /// When it is said again that a peer has another chain below the checkpoint.
    told_ms: TimeMs,
}

impl Forks {
    pub(in crate::consensus) fn new(
        blocks: Arc<dyn BlockSource>,
        open: Option<Arc<ForkProof>>,
        acknowledged: Vec<Arc<ForkProof>>,
    ) -> Self {
        Self { blocks, open, acknowledged, other_chains: BTreeMap::new(), told_ms: 0 }
    }

    /// The first height whose block this node can send.
    pub(in crate::consensus) fn horizon(&self) -> Height {
        self.blocks.horizon()
    }

    /// The fork that stopped this node from signing.
    pub(in crate::consensus) const fn open(&self) -> Option<&Arc<ForkProof>> {
        self.open.as_ref()
    }

    /// What the journal has to keep behind an epoch's start.
    pub(in crate::consensus) fn records(&self) -> impl Iterator<Item = JournalRecord> {
        let open = self.open.iter().cloned().map(JournalRecord::Fork);
        open.chain(self.acknowledged.iter().cloned().map(JournalRecord::ForkAcknowledged))
    }

    /// A peer has another block at a height of this node: where do the chains part?
    pub(in crate::consensus) fn suspect(
        &mut self,
        peer: PeerId,
        height: Height,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) -> Option<ForkFound> {
        if self.open.is_some() || self.is_unsure(peer, height, at) {
            return None;
        }
        let search = match self.other_chains.get(&peer) {
            Some(OtherChain::Apart { until_ms }) if at.now_ms() < *until_ms => return None,
            Some(OtherChain::Sought(search)) if at.now_ms() < deadline(search) => return None,
            Some(OtherChain::Sought(search)) if !search.has_failed() => search.clone(),
            _ => self.new_search(height),
        };
        self.go_on(peer, search, at, out)
    }

    /// INV-TRUST-3: which of two chains is the right one a node below its checkpoint can't know, and old keys sign anything. A
    /// record of a fork would stop it for good.
    fn is_unsure(&mut self, peer: PeerId, height: Height, at: &Moment<'_>) -> bool {
        if at.chain.has_checkpoint() {
            return false;
        }
        if at.now_ms() >= self.told_ms {
            self.told_ms = at.now_ms().saturating_add(TELL_AGAIN_MS);
            error!(
                peer = %peer.short(),
                height,
                "A peer has another block below [sync] checkpoint; one of the two chains is false. If this node does not come to \
                 the checkpoint, move blocks/, snapshots/ and the index aside, and start again"
            );
        }
        true
    }

    /// A search for where a chain parts that has another block of this height. Blocks before the horizon can't be compared: the
    /// first one that can, tells.
    fn new_search(&self, height: Height) -> Search {
        let same = self.blocks.horizon().saturating_sub(1);
        Search { same, other: height, is_seen: false, proof: None, asked: 0, asked_ms: 0 }
    }

    /// Asks for the next block of a search, or judges what it has found.
    fn go_on(
        &mut self,
        peer: PeerId,
        mut search: Search,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) -> Option<ForkFound> {
        search.asked_ms = at.now_ms();
        if let Some(height) = search.next(&self.acknowledged) {
            search.asked = height;
            out.send(peer, Message::GetBlocks { from: height, count: 1 });
        } else if let Some(proof) = search.proof.take() {
            return Some(self.found(proof, at, out));
        } else if search.is_seen {
            let height = search.other;
            if at.state().epoch_of_height(height).is_none() {
                warn!(peer = %peer.short(), height, "A chain that parted longer ago than the unbonding time; ignored");
                self.set_apart(peer, at);
                return None;
            }
            out.misbehaved(peer, "bad block");
            search.other = search.same;
        }
        self.other_chains.insert(peer, OtherChain::Sought(search));
        None
    }

    /// Looks at a block that a peer may have been asked for to find where its chain parts from this one.
    pub(in crate::consensus) fn on_block(
        &mut self,
        from: PeerId,
        theirs: &CommittedBlock,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) -> Option<ForkFound> {
        let (height, hash) = (theirs.block.header.height, theirs.block.header.hash());
        let Some(OtherChain::Sought(search)) = self.other_chains.get(&from) else { return None };
        if search.asked != height || search.has_failed() {
            return None;
        }
        let ours = self.blocks.block(height)?;
        let mut search = search.clone();
        let pair = [ours.block.header.hash(), hash];
        if pair[0] == hash {
            search.same = height;
        } else if self.acknowledged.iter().any(|fork| is_of(fork, pair)) {
            info!(peer = %from.short(), height, "A peer is on the other side of a fork that was decided on");
            self.set_apart(from, at);
            return None;
        } else {
            (search.other, search.is_seen) = (height, true);
            search.proof = prove(&ours, theirs, at).or(search.proof);
        }
        self.go_on(from, search, at, out)
    }

    fn set_apart(&mut self, peer: PeerId, at: &Moment<'_>) {
        let until_ms = at.now_ms().saturating_add(APART_MS);
        self.other_chains.insert(peer, OtherChain::Apart { until_ms });
    }

    /// Whether a peer's chain is known to be another one for good.
    pub(in crate::consensus) fn is_apart(&self, peer: &PeerId, now_ms: TimeMs) -> bool {
        match self.other_chains.get(peer) {
            Some(OtherChain::Apart { until_ms }) => now_ms < *until_ms,
            Some(OtherChain::Sought(_)) | None => false,
        }
    }

    /// Who has shown a second committed block and then falls silent does not hide it.
    pub(in crate::consensus) fn check_searches(
        &mut self,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) -> Option<ForkFound> {
        let late = |chain: &OtherChain| match chain {
            OtherChain::Sought(search) if at.now_ms() >= deadline(search) => search.proof.clone(),
            _ => None,
        };
        let proof = self.other_chains.values().find_map(late)?;
        Some(self.found(proof, at, out))
    }

    /// Nor does who leaves.
    pub(in crate::consensus) fn disconnected(
        &mut self,
        peer: &PeerId,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) -> Option<ForkFound> {
        match self.other_chains.remove(peer)? {
            OtherChain::Sought(Search { proof: Some(proof), .. }) => Some(self.found(proof, at, out)),
            OtherChain::Sought(_) | OtherChain::Apart { .. } => None,
        }
    }

    fn found(&mut self, proof: Arc<ForkProof>, at: &Moment<'_>, out: &mut Outbox) -> ForkFound {
        let (height, guilty) = (proof.ours.0.height, proof.guilty.len());
        error!(
            height,
            ours = %proof.ours.1.block_hash,
            theirs = %proof.theirs.1.block_hash,
            signers_of_both = ?proof.guilty,
            "Fork detected: two committed blocks of one height, {guilty} masternodes signed both; this node signs nothing \
             any more and goes on answering until its operator decides: `timed votes acknowledge-fork`"
        );
        let evidence = match at.state().epoch_of_height(height) {
            Some((epoch, set)) => proof.evidence(&Arc::clone(set), epoch),
            None => Vec::new(),
        };
        self.other_chains.clear();
        out.persist(vec![JournalRecord::Fork(Arc::clone(&proof))]);
        self.open = Some(Arc::clone(&proof));
        out.notify(Notification::ForkDetected(proof));
        ForkFound { evidence }
    }
}

/// Two blocks of one height, if the set that this node knows for it has committed the other one too.
fn prove(ours: &CommittedBlock, theirs: &CommittedBlock, at: &Moment<'_>) -> Option<Arc<ForkProof>> {
    let header = &theirs.block.header;
    let (epoch, set) = at.state().epoch_of_height(header.height)?;
    let named = (header.height, header.hash());
    check_commit(at.chain.chain_id(), (epoch, set), named, &theirs.commit, at.chain.verifier()).ok()?;
    let side = |block: &CommittedBlock| (block.block.header.clone(), block.commit.clone());
    Some(Arc::new(ForkProof::new(set, side(ours), side(theirs))))
}

/// Whether these are the two blocks of a fork, whichever of them is this chain's.
fn is_of(fork: &ForkProof, [ours, theirs]: [BlockHash; 2]) -> bool {
    let sides = (fork.ours.1.block_hash, fork.theirs.1.block_hash);
    sides == (ours, theirs) || sides == (theirs, ours)
}

const fn deadline(search: &Search) -> TimeMs {
    search.asked_ms.saturating_add(REQUEST_TIMEOUT_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log that begins late.
    struct From(Height);

    impl BlockSource for From {
        fn block(&self, _: Height) -> Option<Released<CommittedBlock>> {
            None
        }

        fn horizon(&self) -> Height {
            self.0
        }
    }

    /// What is asked for and can't be compared would never end the search.
    #[test]
    fn no_block_before_the_horizon_is_asked_for() {
        for (horizon, height) in [(1, 900), (600, 900), (900, 900)] {
            let forks = Forks::new(Arc::new(From(horizon)), None, Vec::new());
            let mut search = forks.new_search(height);
            let mut asked = Vec::new();
            while let Some(next) = search.next(&[]) {
                assert!((horizon..=height).contains(&next), "{next} of {horizon} to {height}");
                asked.push(next);
                // Whatever is asked for is another block than this node's.
                (search.other, search.is_seen) = (next, true);
            }
            assert_eq!(
                (asked[0], asked.last()),
                (height, Some(&horizon)),
                "the first one that can be compared"
            );
        }
    }

    /// The first block of a log that begins late was never executed here: its witnesses are unproved.
    #[test]
    fn peers_are_given_no_block_that_was_never_executed_here() {
        use crate::consensus::fixtures::block;
        use crate::storage::block_log::{BlockLog, LoggedBlock};
        use crate::storage::memory_disk::MemoryDisk;
        let logged = |height| LoggedBlock { committed: block(height), spent: Vec::new() };
        let chain_id = block(500).block.header.chain_id;
        let path = std::path::Path::new("blocks");
        let mut log = BlockLog::begin_at(MemoryDisk::new(), path, chain_id, &logged(500)).unwrap();
        log.append(&logged(501)).unwrap();
        let given: &dyn BlockSource = &log.reader();
        assert_eq!(given.horizon(), 501);
        assert!(given.block(500).is_none() && given.block(501).is_some());
    }
}
