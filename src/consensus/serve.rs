//! Answers to peers, on a thread of its own: the consensus thread answers nobody.
//!
//! Consensus hands over the parts of an answer, which are shared and never change; here they are read from the disk,
//! proved and encoded. Whoever asks much waits for itself: each peer has its own queue and its own budget of bytes.
//!
//! # Invariants
//! - INV-SERVE-1: an answer is cut by its encoded bytes, at [`RESPONSE_BYTES_MAX`] or behind its first object.
//! - INV-SERVE-2: peers take turns, an answer each. A peer has at most one question for bodies and certificates each
//!   outstanding, [`BLOCK_ANSWERS_MAX`] for blocks, [`SNAPSHOT_ANSWERS_MAX`] for parts of snapshots, and [`BATCH_ANSWERS_MAX`] for batches; further ones are not answered.
//! - INV-SERVE-5: each member has a turn of its own, and all strangers have one together: however many they are and
//!   whatever they ask, a member's answer waits for one of theirs.
//! - INV-SERVE-3: a peer gets [`BYTES_PER_SECOND`] and a burst of [`BURST_BYTES`]; what is above waits, and delays nobody
//!   else. Memory: at most [`PEER_PARTS_BYTES_MAX`] a peer, and [`TREES_BYTES_MAX`] for trees.
//! - INV-SERVE-4: a proof from a block that somebody names has to be searched for, which costs the asker a small question. So
//!   it pays in time: one peer's searches take a [`SEARCH_SHARE`]th of the thread's time, and everybody's together a
//!   [`SEARCHES_SHARE`]th, beside [`SEARCH_BURST`] after a pause. What is above waits, and with it that peer alone. The
//!   search that exceeds what is left is paid off before the next one.
//!
//! # Concurrency
//! A queue behind one short lock; the thread sleeps until something is there, at a low priority.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::RandomState;
use parking_lot::{Condvar, Mutex};

use super::events::{Answer, BatchesEnd, CertificateParts, Recipient};
use super::finality::journaled::JournalSource;
use super::sync::forks::BlockSource;
use crate::network::{NetworkHandle, PeerId, Standing};
use crate::runtime::priority::{self, Priority};
use crate::runtime::tasks::ThreadError;
use crate::runtime::{Clock, TaskRegistry};
use crate::types::codec::encode;
use crate::types::limits::{
    REQUEST_BATCHES_MAX, REQUEST_BLOCKS_MAX, REQUEST_IDS_MAX, RESPONSE_BYTES_MAX, VALIDATORS_MAX,
};
use crate::types::merkle::MerkleTree;
use crate::types::message::{SnapshotItem, SnapshotOffer};
use crate::types::{BatchRoot, Height, Message, Released, Transaction, TxId, VoteBatch};

/// Answers with batches that wait for one peer: it asks for each member's apart.
pub const BATCH_ANSWERS_MAX: usize = VALIDATORS_MAX;
/// Answers with blocks that wait for one peer: one is asked for ahead.
pub const BLOCK_ANSWERS_MAX: usize = 2;
/// Answers with parts of snapshots that wait for one peer.
pub const SNAPSHOT_ANSWERS_MAX: usize = 4;
/// Answers that wait for everybody.
const SHARED_ANSWERS_MAX: usize = 64;
/// Encoded bytes that one peer gets in a second.
pub const BYTES_PER_SECOND: usize = 16 << 20;
/// Encoded bytes that one peer gets at once after a pause.
pub const BURST_BYTES: usize = 16 << 20;
/// The part of the thread's time that one peer's searches may take is one in so many.
pub const SEARCH_SHARE: u32 = 10;
/// The part of it that the searches of everybody together may take.
pub const SEARCHES_SHARE: u32 = 4;
/// Time that searches may take at once after a pause.
pub const SEARCH_BURST: Duration = Duration::from_millis(250);
/// Memory of the parts of one peer's answers, at most: names and references; what they refer to is counted elsewhere.
pub const PEER_PARTS_BYTES_MAX: usize =
    BATCH_ANSWERS_MAX * REQUEST_BATCHES_MAX as usize * 8 + 4 * REQUEST_IDS_MAX * 40;
/// Memory of trees of batches that are kept, at most.
pub const TREES_BYTES_MAX: usize = 32 << 20;

// -- assembling -----------------------------------------------------------------------------------------------------------

/// Trees of batches, once computed.
#[derive(Default)]
struct Trees {
    by_root: HashMap<BatchRoot, Arc<MerkleTree>, RandomState>,
    order: VecDeque<BatchRoot>,
    bytes: usize,
}

impl Trees {
    fn of(&mut self, batch: &VoteBatch) -> Arc<MerkleTree> {
        let root = batch.header.votes_root;
        if let Some(tree) = self.by_root.get(&root) {
            return Arc::clone(tree);
        }
        let tree = Arc::new(batch.tree());
        self.bytes = self.bytes.saturating_add(tree.bytes());
        self.by_root.insert(root, Arc::clone(&tree));
        self.order.push_back(root);
        while self.bytes > TREES_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            let gone = self.by_root.remove(&oldest).map_or(0, |tree| tree.bytes());
            self.bytes = self.bytes.saturating_sub(gone);
        }
        tree
    }
}

/// The snapshots that a node can give. Reading the disk.
pub trait SnapshotSource: Send + Sync {
    /// All of them, the newest first.
    fn offers(&self) -> Vec<SnapshotOffer>;

    /// A part of the snapshot of this height; empty if it is not here.
    fn item(&self, height: Height, item: &SnapshotItem) -> Vec<u8>;
}

/// Makes messages of the parts of answers: in the node, in the simulator and in tests alike.
pub struct Assembler {
    bodies: Arc<dyn JournalSource>,
    blocks: Arc<dyn BlockSource>,
    snapshots: Option<Arc<dyn SnapshotSource>>,
    trees: Trees,
}

impl Assembler {
    /// One that reads what is not in memory from here.
    #[must_use]
    pub fn new(bodies: Arc<dyn JournalSource>, blocks: Arc<dyn BlockSource>) -> Self {
        Self { bodies, blocks, snapshots: None, trees: Trees::default() }
    }

    /// The same with snapshots.
    #[must_use]
    pub fn with_snapshots(self, snapshots: Arc<dyn SnapshotSource>) -> Self {
        Self { snapshots: Some(snapshots), ..self }
    }

    /// The messages of an answer, and their encoded bytes.
    pub fn messages(&mut self, answer: Answer) -> (Vec<Message>, usize) {
        match answer {
            Answer::Transactions { resident, journaled } => self.transactions(resident, &journaled),
            Answer::Certificates(parts) => self.certificates(parts),
            Answer::Batches { batches, end } => batches_until_full(batches, end),
            Answer::Blocks { from, count } => self.blocks(from, count),
            Answer::Snapshots => self.offers(),
            Answer::SnapshotItem { height, item } => self.snapshot_item(height, item),
        }
    }

    fn transactions(&self, resident: Vec<Arc<Transaction>>, journaled: &[TxId]) -> (Vec<Message>, usize) {
        let read = journaled.iter().filter_map(|txid| self.bodies.body(txid));
        let (found, bytes) = until_full(resident.into_iter().chain(read));
        (if found.is_empty() { Vec::new() } else { vec![Message::Transactions(found)] }, bytes)
    }

    fn certificates(&mut self, parts: Vec<CertificateParts>) -> (Vec<Message>, usize) {
        let trees = &mut self.trees;
        let prove = |CertificateParts { vote, epoch, sources }: CertificateParts| {
            Released::of_sources(vote, epoch, &sources, &mut |batch| trees.of(batch))
        };
        let (found, bytes) = until_full(parts.into_iter().map(prove));
        (if found.is_empty() { Vec::new() } else { vec![Message::Certificates(found)] }, bytes)
    }

    fn offers(&self) -> (Vec<Message>, usize) {
        let offers = self.snapshots.as_ref().map(|snapshots| snapshots.offers()).unwrap_or_default();
        let bytes = offers.len().saturating_mul(size_of::<SnapshotOffer>());
        (vec![Message::Snapshots(offers)], bytes)
    }

    fn snapshot_item(&self, height: Height, item: SnapshotItem) -> (Vec<Message>, usize) {
        let found = self.snapshots.as_ref().map(|snapshots| snapshots.item(height, &item));
        let bytes = found.unwrap_or_default();
        let length = bytes.len();
        (vec![Message::SnapshotItem { height, item, bytes }], length)
    }

    fn blocks(&self, from: Height, count: u64) -> (Vec<Message>, usize) {
        let end = from.saturating_add(count.min(REQUEST_BLOCKS_MAX));
        let blocks = (from..end).map_while(|height| self.blocks.block(height));
        let (found, bytes) = until_full(blocks);
        (vec![Message::Blocks(found)], bytes)
    }
}

/// Objects until the next one would exceed an answer's bytes; at least one, if there is any.
fn until_full<T: bincode::Encode>(objects: impl Iterator<Item = T>) -> (Vec<T>, usize) {
    let (mut taken, mut bytes) = (Vec::new(), 0_usize);
    for object in objects {
        let size = encode(&object).len();
        if !taken.is_empty() && bytes.saturating_add(size) > RESPONSE_BYTES_MAX {
            break;
        }
        bytes = bytes.saturating_add(size);
        taken.push(object);
    }
    (taken, bytes)
}

fn batches_until_full(batches: Vec<Released<VoteBatch>>, end: BatchesEnd) -> (Vec<Message>, usize) {
    let next = batches.iter().map(|batch| batch.header.seq).collect::<Vec<_>>();
    let (sent, bytes) = until_full(batches.into_iter());
    // The first one that did not fit is not settled: it is asked for again.
    let before_seq = next.get(sent.len()).copied().unwrap_or(end.before_seq);
    let BatchesEnd { epoch, validator, .. } = end;
    let mut messages: Vec<Message> = sent.into_iter().map(Message::VoteBatch).collect();
    messages.push(Message::BatchesEnd { epoch, validator, before_seq });
    (messages, bytes)
}

// -- turns ----------------------------------------------------------------------------------------------------------------

/// Time that searches may still take.
#[derive(Debug)]
struct SearchTime {
    /// Microseconds; below zero while a search that exceeded the rest is paid off.
    left_us: i64,
    refilled: Instant,
    share: u32,
}

const SEARCH_BURST_US: i64 = SEARCH_BURST.as_micros() as i64;

impl SearchTime {
    const fn new(share: u32, now: Instant) -> Self {
        Self { left_us: SEARCH_BURST_US, refilled: now, share }
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.refilled);
        let earned = elapsed.checked_div(self.share).map_or(0, micros);
        // Less than a microsecond waits for the next time.
        if earned > 0 {
            self.left_us = self.left_us.saturating_add(earned).min(SEARCH_BURST_US);
            self.refilled = now;
        }
    }

    fn take(&mut self, searched: Duration) {
        self.left_us = self.left_us.saturating_sub(micros(searched));
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Whether an answer has to be searched for, for the asker alone.
const fn is_searched(answer: &Answer) -> bool {
    matches!(answer, Answer::SnapshotItem { item: SnapshotItem::Proof(Some(_)), .. })
}

/// Whether it travels in the lane of votes.
const fn is_urgent(answer: &Answer) -> bool {
    matches!(answer, Answer::Certificates(_) | Answer::Batches { .. })
}

/// What waits for one peer, and what it may still get.
#[derive(Debug)]
struct OfPeer {
    standing: Standing,
    answers: VecDeque<Answer>,
    searches: SearchTime,
    /// Bytes; below zero while an answer that exceeded the rest is paid off.
    budget: i64,
    refilled: Instant,
}

impl OfPeer {
    const fn new(standing: Standing, now: Instant) -> Self {
        let searches = SearchTime::new(SEARCH_SHARE, now);
        let answers = VecDeque::new();
        Self { standing, answers, searches, budget: BURST_BYTES as i64, refilled: now }
    }

    fn refill(&mut self, now: Instant) {
        self.searches.refill(now);
        let elapsed_ms = now.saturating_duration_since(self.refilled).as_millis();
        let elapsed_ms = u64::try_from(elapsed_ms).unwrap_or(u64::MAX);
        let bytes = (BYTES_PER_SECOND as u64).saturating_mul(elapsed_ms) / 1_000;
        // Parts of a millisecond are not lost: the mark stays behind by them.
        if bytes > 0 {
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            self.budget = self.budget.saturating_add(bytes).min(BURST_BYTES as i64);
            self.refilled = self.refilled.checked_add(Duration::from_millis(elapsed_ms)).unwrap_or(now);
        }
    }

    /// Whether the next answer can be paid for.
    fn can_pay(&self, for_searches: bool) -> bool {
        let is_searched = self.answers.front().is_some_and(is_searched);
        self.budget > 0 && !(is_searched && (self.searches.left_us <= 0 || !for_searches))
    }

    fn owes_nothing(&self) -> bool {
        self.budget >= BURST_BYTES as i64 && self.searches.left_us >= SEARCH_BURST_US
    }

    fn has_room(&self, answer: &Answer) -> bool {
        let kind = std::mem::discriminant(answer);
        let waiting = self.answers.iter().filter(|other| std::mem::discriminant(*other) == kind).count();
        let max = match answer {
            Answer::Batches { .. } => BATCH_ANSWERS_MAX,
            Answer::Blocks { .. } => BLOCK_ANSWERS_MAX,
            Answer::SnapshotItem { .. } => SNAPSHOT_ANSWERS_MAX,
            _ => 1,
        };
        waiting < max
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Member(PeerId),
    Strangers,
}

/// Answers that wait, in turns. Without a clock of its own.
#[derive(Debug, Default)]
pub struct AnswerQueue {
    peers: BTreeMap<PeerId, OfPeer>,
    /// Whose turn it is: members, and all strangers together.
    turns: VecDeque<Turn>,
    /// Which stranger's turn it is among them.
    strangers: VecDeque<PeerId>,
    shared: VecDeque<Answer>,
    /// Everybody's searches; nothing was searched for yet if it is not there.
    searches: Option<SearchTime>,
}

impl AnswerQueue {
    /// Takes an answer, unless its peer has as many of its kind waiting as it may.
    pub fn push(&mut self, to: Recipient, standing: Standing, answer: Answer, now: Instant) {
        match to {
            Recipient::All if self.shared.len() < SHARED_ANSWERS_MAX => self.shared.push_back(answer),
            Recipient::All => {}
            Recipient::Peer(peer) => {
                let of_peer = self.peers.entry(peer).or_insert_with(|| OfPeer::new(standing, now));
                if !of_peer.has_room(&answer) {
                    return;
                }
                let is_first = of_peer.answers.is_empty();
                of_peer.answers.push_back(answer);
                // Who has become a member, or is none any more, changes lines with its next turn.
                of_peer.standing = standing;
                if is_first {
                    self.line_up(peer, standing);
                }
            }
        }
    }

    /// A peer has something to wait for, and stands in no line.
    fn line_up(&mut self, peer: PeerId, standing: Standing) {
        match standing {
            Standing::Member => self.turns.push_back(Turn::Member(peer)),
            Standing::Stranger => {
                self.strangers.push_back(peer);
                self.give_strangers_a_turn();
            }
        }
    }

    /// There is one whenever a stranger waits.
    fn give_strangers_a_turn(&mut self) {
        if !self.strangers.is_empty() && !self.turns.contains(&Turn::Strangers) {
            self.turns.push_back(Turn::Strangers);
        }
    }

    /// The next answer of a peer, if it can be paid for and is taken; the peer goes to the end of its line if it has more.
    fn next_of(
        &mut self,
        peer: PeerId,
        may_search: bool,
        takes: &impl Fn(PeerId, &Answer) -> bool,
        now: Instant,
    ) -> Option<Answer> {
        let of_peer = self.peers.get_mut(&peer)?;
        of_peer.refill(now);
        let is_taken = of_peer.answers.front().is_some_and(|next| takes(peer, next));
        let is_next = is_taken && of_peer.can_pay(may_search);
        let answer = is_next.then(|| of_peer.answers.pop_front()).flatten();
        let (waits, standing) = (!of_peer.answers.is_empty(), of_peer.standing);
        if waits {
            self.line_up(peer, standing);
        }
        answer
    }

    /// The next answer: what everybody needs, else that of the next peer which has budget, and takes what it is sent.
    pub fn pop(
        &mut self,
        now: Instant,
        takes: impl Fn(PeerId, &Answer) -> bool,
    ) -> Option<(Recipient, Answer)> {
        if let Some(answer) = self.shared.pop_front() {
            return Some((Recipient::All, answer));
        }
        let may_search = self.searches.as_mut().is_none_or(|searches| {
            searches.refill(now);
            searches.left_us > 0
        });
        for _ in 0..self.turns.len() {
            let found = match self.turns.pop_front()? {
                Turn::Member(peer) => {
                    self.next_of(peer, may_search, &takes, now).map(|answer| (peer, answer))
                }
                Turn::Strangers => {
                    let mut found = None;
                    for _ in 0..self.strangers.len() {
                        let Some(peer) = self.strangers.pop_front() else { break };
                        found = self.next_of(peer, may_search, &takes, now).map(|answer| (peer, answer));
                        if found.is_some() {
                            break;
                        }
                    }
                    self.give_strangers_a_turn();
                    found
                }
            };
            if let Some((peer, answer)) = found {
                return Some((Recipient::Peer(peer), answer));
            }
        }
        None
    }

    /// What an answer had in bytes.
    pub fn paid(&mut self, peer: PeerId, bytes: usize) {
        if let Some(of_peer) = self.peers.get_mut(&peer) {
            of_peer.budget = of_peer.budget.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }

    /// How long an answer was searched for.
    pub fn searched(&mut self, peer: PeerId, time: Duration, now: Instant) {
        self.searches.get_or_insert_with(|| SearchTime::new(SEARCHES_SHARE, now)).take(time);
        if let Some(of_peer) = self.peers.get_mut(&peer) {
            of_peer.searches.take(time);
        }
    }

    /// Whether anything waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.is_empty() && self.turns.is_empty()
    }

    /// Forgets peers that have nothing to wait for and owe nothing any more.
    fn forget_idle(&mut self, now: Instant) {
        self.peers.retain(|_, of_peer| {
            of_peer.refill(now);
            !of_peer.answers.is_empty() || !of_peer.owes_nothing()
        });
    }
}

// -- the thread -----------------------------------------------------------------------------------------------------------

/// How long the thread sleeps when those whose turn it is have used up their budgets, or don't take what they were sent.
const BUDGET_PAUSE: Duration = Duration::from_millis(20);
/// How often peers that are gone are forgotten, in answers.
const FORGET_EVERY: u32 = 1_024;

#[derive(Default)]
struct State {
    queue: AnswerQueue,
    stopped: bool,
}

/// Takes answers of the consensus thread; never blocks it for long.
#[derive(Default)]
pub struct AnswerServer {
    state: Mutex<State>,
    changed: Condvar,
}

impl AnswerServer {
    /// Starts the thread of this name.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(
        name: &'static str,
        assembler: Assembler,
        network: NetworkHandle,
        registry: &TaskRegistry,
    ) -> Result<Arc<Self>, ThreadError> {
        let server = Arc::new(Self::default());
        let worker = Arc::clone(&server);
        registry.spawn_thread(name, move || worker.run(assembler, &network))?;
        Ok(server)
    }

    /// Hands over an answer to a peer of this standing, or to everybody.
    pub fn serve(&self, to: Recipient, standing: Standing, answer: Answer) {
        self.state.lock().queue.push(to, standing, answer, Clock.instant());
        self.changed.notify_one();
    }

    /// Ends the thread; what waits is not answered any more.
    pub fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_one();
    }

    fn run(&self, mut assembler: Assembler, network: &NetworkHandle) {
        priority::take(Priority::Background);
        let mut served = 0_u32;
        while let Some((to, answer)) = self.next(network) {
            let (is_searched, began) = (is_searched(&answer), Clock.instant());
            let (messages, bytes) = assembler.messages(answer);
            let done = Clock.instant();
            for message in messages {
                match to {
                    // What has no room all the same is asked for again.
                    Recipient::Peer(peer) => drop(network.answer(peer, &message)),
                    Recipient::All => network.answer_all(&message),
                }
            }
            let mut state = self.state.lock();
            if let Recipient::Peer(peer) = to {
                state.queue.paid(peer, bytes);
                if is_searched {
                    state.queue.searched(peer, done.saturating_duration_since(began), done);
                }
            }
            served = served.wrapping_add(1);
            if served.is_multiple_of(FORGET_EVERY) {
                state.queue.forget_idle(Clock.instant());
            }
        }
    }

    fn next(&self, network: &NetworkHandle) -> Option<(Recipient, Answer)> {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(next) = state
                .queue
                .pop(Clock.instant(), |peer, answer| network.takes_answers(peer, is_urgent(answer)))
            {
                return Some(next);
            }
            if state.queue.is_empty() {
                self.changed.wait(&mut state);
            } else {
                self.changed.wait_for(&mut state, BUDGET_PAUSE);
            }
        }
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
