//! The way into consensus: its own lane, and the lanes of peers.
//!
//! # Invariants
//! - What the node owes itself (durable writes, durable blocks, elapsed timers) is never dropped and never
//!   waits behind what peers say; votes never wait behind transactions and blocks.
//!
//! - INV-INBOX-1: what peers' messages in a lane take in memory is at most [`URGENT_BYTES_MAX`] and [`BULK_BYTES_MAX`],
//!   or one message, whatever their number.
//!
//! # Concurrency
//! The own lane is bounded by what consensus ordered; peers' lanes are bounded in events and bytes, and their senders wait.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::events::Event;
use super::known::KnownBatches;
use super::verify::Voters;
use super::vote_pace::VotePace;
use crate::protocol::finality::{Explanation, FinalVotes};
use crate::types::limits::{CERTIFICATE_VOTE_BYTES_MAX, EVIDENCE_BYTES_MAX};
use crate::types::{FinalityVote, Message, TxId};

/// Urgent events of peers that wait, at most.
pub const URGENT_EVENTS_MAX: usize = 256;
/// Transactions, blocks and requests that wait, at most.
pub const BULK_EVENTS_MAX: usize = 256;

/// Bytes of peers' urgent messages that wait, at most.
pub const URGENT_BYTES_MAX: usize = 32 << 20;
/// Bytes of peers' blocks, requests and answers that wait, at most. Transactions that passed admission come on top, and
/// are bounded by their number: 256 of 100 kB.
pub const BULK_BYTES_MAX: usize = 64 << 20;
/// What an event takes beside the lists in it.
const EVENT_BYTES: usize = 1 << 10;

/// An event with its share of the lane's bytes, given back when it is taken.
pub(super) struct Queued {
    pub(super) event: Event,
    _bytes: Option<OwnedSemaphorePermit>,
}

/// A lane's sending end.
struct Lane {
    events: mpsc::Sender<Queued>,
    bytes: Arc<Semaphore>,
    bytes_max: usize,
}

impl Lane {
    fn new(events_max: usize, bytes_max: usize) -> (Self, mpsc::Receiver<Queued>) {
        let (events, inbox) = mpsc::channel(events_max);
        (Self { events, bytes: Arc::new(Semaphore::new(bytes_max)), bytes_max }, inbox)
    }

    async fn send(&self, event: Event) -> Result<(), ConsensusStopped> {
        let bytes = u32::try_from(memory_of(&event).min(self.bytes_max)).unwrap_or(u32::MAX);
        let held = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.map_err(|_| ConsensusStopped)?;
        self.events.send(Queued { event, _bytes: Some(held) }).await.map_err(|_| ConsensusStopped)
    }
}

/// About what an event keeps in memory, in bytes.
fn memory_of(event: &Event) -> usize {
    let Event::Message { message, .. } = event else { return EVENT_BYTES };
    let lists = match message {
        Message::VoteBatch(batch) => batch.votes.len().saturating_mul(size_of::<FinalityVote>()),
        Message::Proposal(proposal) => {
            let evidence = if proposal.block.evidence.is_empty() { 0 } else { EVIDENCE_BYTES_MAX };
            proposal.block.txids.len().saturating_mul(size_of::<TxId>()).saturating_add(evidence)
        }
        Message::Certificates(certificates) => {
            let votes = certificates.iter().map(|certificate| certificate.votes.len());
            votes.fold(0, usize::saturating_add).saturating_mul(CERTIFICATE_VOTE_BYTES_MAX)
        }
        Message::Blocks(blocks) => {
            let bodies = blocks.iter().flat_map(|committed| &committed.block.transactions);
            bodies.map(|transaction| transaction.memory_bytes()).fold(0, usize::saturating_add)
        }
        Message::Transactions(transactions) => {
            transactions.iter().map(|transaction| transaction.memory_bytes()).fold(0, usize::saturating_add)
        }
        Message::Transaction(transaction) => transaction.memory_bytes(),
        Message::GetTransactions(txids) | Message::GetCertificates(_, txids) | Message::Announce(txids) => {
            size_of_val(txids.as_slice())
        }
        Message::Evidence(_) => EVIDENCE_BYTES_MAX,
        Message::Status(status) => size_of_val(status.batches.as_slice()),
        Message::Masternodes(peers) => {
            let texts = peers.iter().map(|peer| peer.address.len());
            texts.fold(size_of_val(peers.as_slice()), usize::saturating_add)
        }
        Message::Instance(statement) => size_of_val(statement.rivals.as_slice())
            .saturating_add(size_of_val(statement.acknowledged.as_slice())),
        Message::Neighbours(members) => size_of_val(members.as_slice()),
        Message::Snapshots(offers) => size_of_val(offers.as_slice()),
        Message::SnapshotItem { bytes, .. } => bytes.len(),
        // Of one size, or nearly.
        Message::Ping(_)
        | Message::Pong(_)
        | Message::BlockVote(_)
        | Message::GetBatches { .. }
        | Message::BatchesEnd { .. }
        | Message::GetBlocks { .. }
        | Message::GetMasternodes
        | Message::Heartbeat(_)
        | Message::GetSnapshots
        | Message::GetSnapshotItem { .. } => 0,
    };
    lists.saturating_add(EVENT_BYTES)
}

/// Hands events to consensus.
pub struct ConsensusHandle {
    /// Swapped when an epoch begins.
    voters: ArcSwap<Voters>,
    own: Mutex<VecDeque<Event>>,
    urgent: Lane,
    bulk: Lane,
    /// Set when the thread starts.
    thread: OnceLock<Thread>,
    known: KnownBatches,
    pace: VotePace,
    turns: AtomicU64,
}

/// The receiving ends of peers' lanes.
pub struct ConsensusInbox {
    pub(super) urgent: mpsc::Receiver<Queued>,
    pub(super) bulk: mpsc::Receiver<Queued>,
}

/// The thread of consensus has ended: the node stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("consensus has stopped")]
pub struct ConsensusStopped;

impl ConsensusHandle {
    /// The handle and the inbox of a thread that is still to be started.
    #[must_use]
    pub fn new(voters: Voters) -> (Arc<Self>, ConsensusInbox) {
        let (urgent, urgent_events) = Lane::new(URGENT_EVENTS_MAX, URGENT_BYTES_MAX);
        let (bulk, bulk_events) = Lane::new(BULK_EVENTS_MAX, BULK_BYTES_MAX);
        let handle = Self {
            voters: ArcSwap::from_pointee(voters),
            own: Mutex::default(),
            urgent,
            bulk,
            thread: OnceLock::new(),
            known: KnownBatches::default(),
            pace: VotePace::default(),
            turns: AtomicU64::new(0),
        };
        (Arc::new(handle), ConsensusInbox { urgent: urgent_events, bulk: bulk_events })
    }

    /// Who votes in the current epoch; lock-free.
    #[must_use]
    pub fn voters(&self) -> Arc<Voters> {
        self.voters.load_full()
    }

    /// Batches that were checked already.
    pub(super) const fn known(&self) -> &KnownBatches {
        &self.known
    }

    /// How fast each member's batches are taken.
    pub(super) const fn pace(&self) -> &VotePace {
        &self.pace
    }

    pub(super) fn set_voters(&self, voters: Voters) {
        self.voters.store(Arc::new(voters));
    }

    /// Turns that the thread has made since its start. It makes some each second though nothing happens, so the same number
    /// twice means that it hangs.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    pub(super) fn note_turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// The calling thread is the one to wake.
    pub(super) fn attach(&self) {
        // The thread is started once.
        let _ = self.thread.set(std::thread::current());
    }

    /// Whether a thread is there to be woken.
    #[cfg(test)]
    pub(super) fn is_attached(&self) -> bool {
        self.thread.get().is_some()
    }

    pub(super) fn take_own(&self) -> VecDeque<Event> {
        std::mem::take(&mut *self.own.lock())
    }

    pub(super) fn has_own(&self) -> bool {
        !self.own.lock().is_empty()
    }

    /// Lets the thread look at what was queued for it.
    pub fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Hands in what the node owes itself; never waits.
    pub fn hand_in(&self, event: Event) {
        self.own.lock().push_back(event);
        self.wake();
    }

    /// Hands in an urgent event of a peer; waits for room.
    ///
    /// # Errors
    /// When the node stops.
    pub async fn urgent(&self, event: Event) -> Result<(), ConsensusStopped> {
        self.urgent.send(event).await?;
        self.wake();
        Ok(())
    }

    /// Hands in a bulk event; waits for room.
    ///
    /// # Errors
    /// When the node stops.
    pub async fn bulk(&self, event: Event) -> Result<(), ConsensusStopped> {
        self.bulk.send(event).await?;
        self.wake();
        Ok(())
    }

    /// Queues a bulk event for the thread of admission, whose events are small and come many at a time: it calls
    /// [`wake`](Self::wake) behind the last one, since to wake a thread costs as much as to look at several events. Blocks
    /// while there are too many. Not to be called from a task.
    ///
    /// # Errors
    /// When the node stops.
    pub fn queue_blocking(&self, event: Event) -> Result<(), ConsensusStopped> {
        match self.bulk.events.try_send(Queued { event, _bytes: None }) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(queued)) => {
                // Whoever makes room may sleep still.
                self.wake();
                self.bulk.events.blocking_send(queued).map_err(|_| ConsensusStopped)
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(ConsensusStopped),
        }
    }

    /// The votes that make a transaction final, if a quorum of them is here and no block contains it yet. The question
    /// takes its turn among bulk events.
    ///
    /// # Errors
    /// When the node stops.
    pub async fn final_votes(&self, txid: TxId) -> Result<Option<FinalVotes>, ConsensusStopped> {
        let (answer, answered) = oneshot::channel();
        self.bulk(Event::FinalVotesAsked { txid, answer }).await?;
        answered.await.map_err(|_| ConsensusStopped)
    }

    /// How far the votes on a transaction are, if no block contains it yet and anything is known of it. The question takes
    /// its turn among bulk events.
    ///
    /// # Errors
    /// When the node stops.
    pub async fn explanation(&self, txid: TxId) -> Result<Option<Explanation>, ConsensusStopped> {
        let (answer, answered) = oneshot::channel();
        self.bulk(Event::ExplanationAsked { txid, answer }).await?;
        answered.await.map_err(|_| ConsensusStopped)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::consensus::fixtures::block;
    use crate::types::codec::encode;
    use crate::types::limits::REQUEST_IDS_MAX;
    use crate::types::message::SnapshotItem;
    use crate::types::{
        Certificate, ChainId, MasternodeId, OutPoint, PublicKey, Released, SecretKey, Transaction,
        ValidatorSet, VoteBatch, VoteKind,
    };

    fn question() -> Event {
        let message = Message::GetCertificates(VoteKind::Lock, vec![TxId::ZERO; REQUEST_IDS_MAX]);
        Event::Message { from: PublicKey::ZERO, message, verified: false }
    }

    /// INV-INBOX-1.
    #[tokio::test]
    async fn a_lane_is_full_by_bytes_before_it_is_by_number() {
        let set = Arc::new(ValidatorSet::default());
        let (handle, mut inbox) = ConsensusHandle::new(Voters { chain_id: ChainId::ZERO, epoch: 0, set });
        let fit = URGENT_BYTES_MAX / memory_of(&question());
        assert!(fit < URGENT_EVENTS_MAX, "else this says nothing");
        for _ in 0..fit {
            handle.urgent(question()).await.unwrap();
        }
        let more = handle.urgent(question());
        tokio::pin!(more);
        let waited = tokio::time::timeout(Duration::from_millis(100), &mut more).await;
        assert!(waited.is_err(), "INV-INBOX-1");
        // What is taken makes room.
        drop(inbox.urgent.try_recv().unwrap());
        tokio::time::timeout(Duration::from_secs(10), more).await.unwrap().unwrap();
    }

    /// Else the thread would sleep on what it was handed.
    #[tokio::test]
    async fn whatever_is_handed_in_wakes_the_thread() {
        for way in 0..5_u8 {
            let set = Arc::new(ValidatorSet::default());
            let (handle, inbox) = ConsensusHandle::new(Voters { chain_id: ChainId::ZERO, epoch: 0, set });
            let (said, heard) = std::sync::mpsc::sync_channel(2);
            let sleeper = Arc::clone(&handle);
            let thread = std::thread::spawn(move || {
                sleeper.attach();
                said.send(()).unwrap();
                std::thread::park();
                said.send(()).unwrap();
            });
            heard.recv().unwrap();
            match way {
                0 => handle.hand_in(Event::Tick),
                1 => handle.urgent(Event::Tick).await.unwrap(),
                2 => handle.bulk(Event::Tick).await.unwrap(),
                3 => {
                    handle.queue_blocking(Event::Tick).unwrap();
                    assert!(
                        heard.recv_timeout(Duration::from_millis(50)).is_err(),
                        "it waits for the last one"
                    );
                    handle.wake();
                }
                // One more than there is room for.
                _ => {
                    let handle = Arc::clone(&handle);
                    std::thread::spawn(move || {
                        (0..=BULK_EVENTS_MAX).try_for_each(|_| handle.queue_blocking(Event::Tick))
                    });
                }
            }
            let woken = heard.recv_timeout(Duration::from_secs(20));
            thread.thread().unpark();
            thread.join().unwrap();
            assert_eq!(woken, Ok(()), "way {way}");
            // Whoever waits for room ends.
            drop(inbox);
        }
    }

    /// INV-INBOX-1.
    #[test]
    fn a_message_counts_with_all_bodies_in_it() {
        const INPUTS: usize = 300;
        let input = OutPoint { txid: TxId::ZERO, index: 0 };
        let body = Arc::new(Transaction::transfer(vec![input; INPUTS], Vec::new(), Vec::new()));
        let mut block = block(1);
        block.block.transactions = vec![Arc::clone(&body); 3];
        let block = Released::heard(block);
        for (message, bodies) in [
            (Message::Blocks(vec![block.clone(), block]), 6),
            (Message::Transactions(vec![Arc::clone(&body); 4]), 4),
            (Message::Blocks(Vec::new()), 0),
        ] {
            let bytes = memory_of(&Event::Message { from: PublicKey::ZERO, message, verified: false });
            let least = bodies * INPUTS * size_of::<OutPoint>();
            assert!((least..=2 * least + EVENT_BYTES).contains(&bytes), "{bytes} of {bodies} bodies");
        }
    }

    /// INV-INBOX-1: nobody asked for a part of a snapshot once consensus runs, and any peer may send one.
    #[test]
    fn a_part_of_a_snapshot_counts_with_its_bytes() {
        const PART: usize = 1 << 20;
        let message = Message::SnapshotItem { height: 1, item: SnapshotItem::Chunk(0), bytes: vec![0; PART] };
        let bytes = memory_of(&Event::Message { from: PublicKey::ZERO, message, verified: false });
        assert!((PART..=PART + EVENT_BYTES).contains(&bytes), "{bytes}");
    }

    /// INV-INBOX-1: a certificate of a large set is as large as a block of few payments.
    #[test]
    fn certificates_count_with_all_votes_in_them() {
        let vote = FinalityVote { kind: VoteKind::Lock, txid: TxId::ZERO };
        let secret = SecretKey::from_seed(&[1; 32]);
        let batch = VoteBatch::signed(&ChainId::ZERO, 0, MasternodeId::ZERO, 0, vec![vote; 1_000], &secret);
        let votes = vec![batch.prove(0).unwrap(); 100];
        let certificate = Released::heard(Certificate { vote, epoch: 0, votes });
        let message = Message::Certificates(vec![certificate; 10]);
        let encoded = encode(&message).len();
        let bytes = memory_of(&Event::Message { from: PublicKey::ZERO, message, verified: false });
        assert!(bytes >= encoded, "{bytes} of {encoded}");
    }
}
