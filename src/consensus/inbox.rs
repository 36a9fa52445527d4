//! The way into consensus: its own lane, and the lanes of peers.
//!
//! # Invariants
//! - What the node owes itself (durable writes, durable blocks, elapsed timers) is never dropped and never
//!   waits behind what peers say; votes never wait behind transactions and blocks.
//!
//! # Concurrency
//! The own lane is bounded by what consensus ordered; peers' lanes are bounded channels whose senders wait.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::events::Event;
use super::known::KnownBatches;
use super::verify::Voters;
use crate::protocol::finality::FinalVotes;
use crate::types::TxId;

/// Urgent events of peers that wait, at most.
pub const URGENT_EVENTS_MAX: usize = 256;
/// Transactions, blocks and requests that wait, at most.
pub const BULK_EVENTS_MAX: usize = 256;

/// Hands events to consensus.
pub struct ConsensusHandle {
    /// Swapped when an epoch begins.
    voters: ArcSwap<Voters>,
    own: Mutex<VecDeque<Event>>,
    urgent: mpsc::Sender<Event>,
    bulk: mpsc::Sender<Event>,
    /// Set when the thread starts.
    thread: OnceLock<Thread>,
    known: KnownBatches,
}

/// The receiving ends of peers' lanes.
pub struct ConsensusInbox {
    pub(super) urgent: mpsc::Receiver<Event>,
    pub(super) bulk: mpsc::Receiver<Event>,
}

/// The thread of consensus has ended: the node stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("consensus has stopped")]
pub struct ConsensusStopped;

impl ConsensusHandle {
    /// The handle and the inbox of a thread that is still to be started.
    #[must_use]
    pub fn new(voters: Voters) -> (Arc<Self>, ConsensusInbox) {
        let (urgent, urgent_events) = mpsc::channel(URGENT_EVENTS_MAX);
        let (bulk, bulk_events) = mpsc::channel(BULK_EVENTS_MAX);
        let handle = Self {
            voters: ArcSwap::from_pointee(voters),
            own: Mutex::default(),
            urgent,
            bulk,
            thread: OnceLock::new(),
            known: KnownBatches::default(),
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

    pub(super) fn set_voters(&self, voters: Voters) {
        self.voters.store(Arc::new(voters));
    }

    /// The calling thread is the one to wake.
    pub(super) fn attach(&self) {
        // The thread is started once.
        let _ = self.thread.set(std::thread::current());
    }

    pub(super) fn take_own(&self) -> VecDeque<Event> {
        std::mem::take(&mut *self.own.lock())
    }

    pub(super) fn has_own(&self) -> bool {
        !self.own.lock().is_empty()
    }

    fn wake(&self) {
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
        self.urgent.send(event).await.map_err(|_| ConsensusStopped)?;
        self.wake();
        Ok(())
    }

    /// Hands in a bulk event; waits for room.
    ///
    /// # Errors
    /// When the node stops.
    pub async fn bulk(&self, event: Event) -> Result<(), ConsensusStopped> {
        self.bulk.send(event).await.map_err(|_| ConsensusStopped)?;
        self.wake();
        Ok(())
    }

    /// The same for threads; blocks while there is no room. Not to be called from a task.
    ///
    /// # Errors
    /// When the node stops.
    pub fn bulk_blocking(&self, event: Event) -> Result<(), ConsensusStopped> {
        match self.bulk.try_send(event) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(event)) => {
                self.bulk.blocking_send(event).map_err(|_| ConsensusStopped)?;
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(ConsensusStopped),
        }
        self.wake();
        Ok(())
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
}
