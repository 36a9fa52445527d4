//! The node's shell around the core: its thread, its inbox, and the checks of signatures.
//!
//! # Place
//! `app/start.rs` starts these parts. Network, router, timers and disks put events in; the consensus thread takes them
//! and executes what the core orders, as the simulator does.
//!
//! # Invariants
//! - INV-ENGINE-1: what the node owes itself (durable writes, durable blocks, elapsed timers) is never dropped and
//!   never waits behind what peers say; votes never wait behind transactions and blocks.
//! - INV-ENGINE-2: messages of one peer reach the core in the order in which they came, within each lane.
//!
//! # Concurrency
//! One thread owns the core. Its own events are in a queue that is bounded by what it ordered; peers' lanes are bounded
//! channels whose senders wait. It waits for a disk only when [`JOURNAL_QUEUE_MAX`](super::vote_journal::JOURNAL_QUEUE_MAX) writes are outstanding.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::bft::BftConsensus;
use super::block_commit::{BlockOrder, BlockRequest};
use super::core::{Core, Event, Notification, Output};
use super::timeout_monitor::TimeoutMonitor;
use super::verify::{VerifyError, Voters, epoch_of, verify};
use super::vote_journal::JournalOrder;
use crate::network::{EventReceiver, Misbehaviour, NetworkEvent, NetworkHandle, PeerId};
use crate::protocol::finality::FinalVotes;
use crate::runtime::priority::{self, Priority};
use crate::runtime::{Clock, CpuPool, TaskRegistry};
use crate::types::{PublicKey, SignatureVerifier, Transaction, TxId};
use crate::utxo::UtxoManager;

/// Urgent events of peers that wait, at most.
pub const URGENT_EVENTS_MAX: usize = 8_192;
/// Transactions, blocks and requests that wait, at most.
pub const BULK_EVENTS_MAX: usize = 2_048;
/// Bulk events that are handled before urgent ones are looked for again.
const BULK_BURST: usize = 32;
/// Urgent events of peers that are handled before the node's own are looked for again.
const URGENT_BURST: usize = 64;
/// The longest pause between two looks of the core at the clock.
const TICK: Duration = Duration::from_millis(100);
/// Messages that one job of the CPU pool checks, at most.
const VERIFY_BATCH: usize = 64;
/// Such jobs at once, at most.
const VERIFY_JOBS_MAX: usize = 4;

/// Who hears what the core decides. Called on the consensus thread, so it must not block.
pub trait Observer: Send + Sync {
    /// Something became of a transaction or a block.
    fn notified(&self, notification: Notification);
    /// Transactions that a peer sent with votes or as an answer have to be checked.
    fn check_transactions(&self, from: PeerId, transactions: Vec<Arc<Transaction>>);
}

/// The finality layer's handle: the way into the core, and who votes.
pub struct ConsensusEngine {
    voters: ArcSwap<Voters>,
    identity: OnceLock<PublicKey>,
    own: Mutex<VecDeque<Event>>,
    urgent: mpsc::Sender<Event>,
    bulk: mpsc::Sender<Event>,
    thread: OnceLock<Thread>,
}

/// The receiving ends of peers' lanes.
pub struct EngineInbox {
    urgent: mpsc::Receiver<Event>,
    bulk: mpsc::Receiver<Event>,
}

/// The core's thread has ended: the node stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("consensus has stopped")]
pub struct EngineStopped;

impl ConsensusEngine {
    /// The handle and the inbox of an engine that is still to be started.
    #[must_use]
    pub fn new(voters: Voters, identity: Option<PublicKey>) -> (Arc<Self>, EngineInbox) {
        let (urgent, urgent_events) = mpsc::channel(URGENT_EVENTS_MAX);
        let (bulk, bulk_events) = mpsc::channel(BULK_EVENTS_MAX);
        let cell = OnceLock::new();
        if let Some(key) = identity {
            // A new cell is empty.
            let _ = cell.set(key);
        }
        let engine = Self {
            voters: ArcSwap::from_pointee(voters),
            identity: cell,
            own: Mutex::default(),
            urgent,
            bulk,
            thread: OnceLock::new(),
        };
        (Arc::new(engine), EngineInbox { urgent: urgent_events, bulk: bulk_events })
    }

    /// Who votes in the current epoch; lock-free.
    #[must_use]
    pub fn voters(&self) -> Arc<Voters> {
        self.voters.load_full()
    }

    /// The operator key whose votes this node casts, if it has one.
    #[must_use]
    pub fn identity(&self) -> Option<PublicKey> {
        self.identity.get().copied()
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
    pub async fn urgent(&self, event: Event) -> Result<(), EngineStopped> {
        self.urgent.send(event).await.map_err(|_| EngineStopped)?;
        self.wake();
        Ok(())
    }

    /// Hands in a bulk event; waits for room.
    ///
    /// # Errors
    /// When the node stops.
    pub async fn bulk(&self, event: Event) -> Result<(), EngineStopped> {
        self.bulk.send(event).await.map_err(|_| EngineStopped)?;
        self.wake();
        Ok(())
    }

    /// The votes that make a transaction final, if a quorum of them is here and no block contains it yet. The question
    /// takes its turn among bulk events.
    ///
    /// # Errors
    /// When the node stops.
    pub async fn final_votes(&self, txid: TxId) -> Result<Option<FinalVotes>, EngineStopped> {
        let (answer, answered) = oneshot::channel();
        self.bulk(Event::FinalVotesAsked { txid, answer }).await?;
        answered.await.map_err(|_| EngineStopped)
    }

    /// The same for threads; blocks while there is no room. Not to be called from a task.
    ///
    /// # Errors
    /// When the node stops.
    pub fn bulk_blocking(&self, event: Event) -> Result<(), EngineStopped> {
        match self.bulk.try_send(event) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(event)) => {
                self.bulk.blocking_send(event).map_err(|_| EngineStopped)?;
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(EngineStopped),
        }
        self.wake();
        Ok(())
    }
}

// -- signatures -------------------------------------------------------------------------------------------------------

/// Takes urgent events from the network, checks the signatures of votes on the CPU pool, and hands all to the core in
/// their order. Ends with the network or the core.
pub async fn verify_urgent(
    mut events: EventReceiver,
    engine: Arc<ConsensusEngine>,
    network: NetworkHandle,
    pool: CpuPool,
    verifier: Arc<dyn SignatureVerifier + Send + Sync>,
) {
    let mut jobs = FuturesOrdered::new();
    let mut open = true;
    loop {
        let mut batch = Vec::with_capacity(VERIFY_BATCH);
        tokio::select! {
            biased;
            Some(checked) = jobs.next(), if !jobs.is_empty() => {
                let checked: Vec<Verdict> = checked;
                for verdict in checked {
                    if deliver(verdict, &engine, &network).await.is_err() {
                        return;
                    }
                }
            }
            count = events.recv_many(&mut batch, VERIFY_BATCH), if open && jobs.len() < VERIFY_JOBS_MAX => {
                if count == 0 {
                    open = false;
                    continue;
                }
                let (voters, verifier) = (engine.voters(), Arc::clone(&verifier));
                let signed = batch.iter().any(|event| needs_check(event, &voters));
                let job = move || batch.into_iter().map(|event| judge(event, &voters, &*verifier)).collect();
                // Without a signature to check it is not worth a wake-up.
                jobs.push_back(if signed {
                    futures::future::Either::Left(pool.run(job))
                } else {
                    futures::future::Either::Right(std::future::ready(job()))
                });
            }
            else => return,
        }
    }
}

enum Verdict {
    Pass(Event),
    BadSignature(PeerId),
    Malformed(PeerId),
}

fn needs_check(event: &NetworkEvent, voters: &Voters) -> bool {
    match event {
        NetworkEvent::Message { message, .. } => epoch_of(message) == Some(voters.epoch),
        _ => false,
    }
}

/// What can't be judged by the set of the moment goes on unverified: the core knows what it is for.
fn judge(event: NetworkEvent, voters: &Voters, verifier: &dyn SignatureVerifier) -> Verdict {
    let (peer, message) = match event {
        NetworkEvent::Connected { peer, .. } => return Verdict::Pass(Event::PeerConnected(peer)),
        NetworkEvent::Disconnected { peer } => return Verdict::Pass(Event::PeerDisconnected(peer)),
        NetworkEvent::Message { peer, message } => (peer, message),
    };
    let mut verified = false;
    if epoch_of(&message) == Some(voters.epoch) {
        match verify(&message, voters, verifier) {
            Ok(()) => verified = true,
            Err(VerifyError::UnknownValidator) => {}
            Err(VerifyError::BadSignature) => return Verdict::BadSignature(peer),
            Err(VerifyError::NotBound | VerifyError::Malformed) => return Verdict::Malformed(peer),
        }
    }
    Verdict::Pass(Event::Message { from: peer, message, verified })
}

async fn deliver(
    verdict: Verdict,
    engine: &ConsensusEngine,
    network: &NetworkHandle,
) -> Result<(), EngineStopped> {
    match verdict {
        Verdict::Pass(event) => engine.urgent(event).await?,
        Verdict::BadSignature(peer) => network.report(peer, Misbehaviour::InvalidSignature),
        Verdict::Malformed(peer) => network.report(peer, Misbehaviour::Malformed),
    }
    Ok(())
}

// -- the core's thread ------------------------------------------------------------------------------------------------

/// What the consensus thread works with.
pub struct EngineParts {
    /// The core.
    pub core: Core,
    /// Its first orders.
    pub outputs: Vec<Output>,
    /// What comes in.
    pub inbox: EngineInbox,
    /// The handle of the inbox.
    pub engine: Arc<ConsensusEngine>,
    /// What readers see.
    pub bft: Arc<BftConsensus>,
    /// The outputs.
    pub utxos: Arc<UtxoManager>,
    /// To the journal's thread.
    pub journal: SyncSender<JournalOrder>,
    /// To the block log's thread.
    pub blocks: SyncSender<BlockOrder>,
    /// To the thread that reads blocks for peers.
    pub requests: SyncSender<BlockRequest>,
    /// Calls back.
    pub timers: Arc<TimeoutMonitor>,
    /// The peers.
    pub network: NetworkHandle,
    /// Hears everything.
    pub observer: Arc<dyn Observer>,
}

/// Starts the consensus thread. It ends when the token is cancelled, and with it the threads that it feeds.
///
/// # Errors
/// When there is no thread to be had.
pub fn start_core(
    parts: EngineParts,
    registry: &TaskRegistry,
) -> Result<(), crate::runtime::tasks::ThreadError> {
    let failures = registry.clone();
    registry.spawn_thread("consensus", move || Driver { parts, failures }.run())
}

struct Driver {
    parts: EngineParts,
    failures: TaskRegistry,
}

impl Driver {
    fn run(mut self) {
        priority::take(Priority::Urgent);
        // The thread is set once, here.
        let _ = self.parts.engine.thread.set(std::thread::current());
        let token = self.failures.token().clone();
        let outputs = std::mem::take(&mut self.parts.outputs);
        self.execute(outputs);
        self.loop_until(&token);
        self.parts.timers.stop();
    }

    fn loop_until(&mut self, token: &CancellationToken) {
        let mut next_tick = Clock.instant();
        while !token.is_cancelled() {
            let now = Clock.instant();
            if now >= next_tick {
                next_tick = now + TICK;
                self.handle(Event::Tick);
                self.tick();
            }
            let worked = self.own_events() | self.urgent_events();
            if worked {
                self.bulk_events(1);
            } else if !self.bulk_events(BULK_BURST) {
                // Whoever hands something in unparks this thread after it: no wake-up is lost.
                std::thread::park_timeout(next_tick.saturating_duration_since(Clock.instant()));
            }
        }
    }

    fn own_events(&mut self) -> bool {
        let events = std::mem::take(&mut *self.parts.engine.own.lock());
        let some = !events.is_empty();
        for event in events {
            self.handle(event);
        }
        some
    }

    fn urgent_events(&mut self) -> bool {
        let mut some = false;
        for _ in 0..URGENT_BURST {
            let Ok(event) = self.parts.inbox.urgent.try_recv() else { break };
            some = true;
            self.handle(event);
        }
        some
    }

    /// Stops early when something urgent has come meanwhile.
    fn bulk_events(&mut self, limit: usize) -> bool {
        let mut some = false;
        for _ in 0..limit {
            let Ok(event) = self.parts.inbox.bulk.try_recv() else { break };
            some = true;
            self.handle(event);
            if !self.parts.inbox.urgent.is_empty() || !self.parts.engine.own.lock().is_empty() {
                break;
            }
        }
        some
    }

    fn handle(&mut self, event: Event) {
        let outputs = self.parts.core.handle(event, Clock.now_ms());
        self.execute(outputs);
    }

    fn tick(&self) {
        let (waiting, _) = self.parts.core.finality().unblocked();
        self.parts.bft.note_counts(self.parts.core.sync_target(), waiting);
        if self.parts.utxos.is_poisoned() {
            self.failures.fail("consensus", "the index can't be read, so no output can be judged");
        }
    }

    fn execute(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            self.execute_one(output);
        }
    }

    fn execute_one(&mut self, output: Output) {
        let parts = &self.parts;
        match output {
            Output::Persist(staged) => self.to_journal(JournalOrder::Commit(staged)),
            Output::PruneJournal(epoch) => self.to_journal(JournalOrder::Prune(epoch)),
            Output::CommitBlock(block) => self.to_block_log(BlockOrder::Append(block)),
            Output::Send(to, message) => {
                // A peer that is gone, or whose queue is full, asks again or learns it from another one.
                let _sent = parts.network.send(to, &message);
            }
            Output::Relay(message, except) => parts.network.broadcast(&message, except),
            Output::ServeBlocks { to, from, count } => {
                // Peers that get no answer ask another one.
                let _queued = parts.requests.try_send(BlockRequest { to, from, count }).is_ok();
            }
            Output::Schedule(timer, delay_ms) => parts.timers.schedule(timer, delay_ms),
            Output::Misbehaved(peer, what) => {
                tracing::debug!(peer = %peer.short(), what, "a peer broke a rule");
                parts.network.report(peer, Misbehaviour::InvalidContent);
            }
            Output::CheckTransactions(from, transactions) => {
                parts.observer.check_transactions(from, transactions);
            }
            Output::Notify(notification) => self.notify(notification),
        }
    }

    fn notify(&self, notification: Notification) {
        let parts = &self.parts;
        match &notification {
            Notification::Progress(progress) => parts.bft.note_progress(progress.clone()),
            Notification::SigningChanged(signing) => parts.bft.note_signing(*signing),
            Notification::ForkDetected(fork) => parts.bft.note_fork(Arc::clone(fork)),
            Notification::Heartbeats(heartbeats) => parts.bft.note_heartbeats(Arc::clone(heartbeats)),
            Notification::BlockApplied(applied) => {
                let state = &applied.state;
                if parts.engine.voters.load().epoch != state.next_epoch() {
                    let (chain_id, epoch) = (*state.chain_id(), state.next_epoch());
                    let set = Arc::clone(state.validators());
                    parts.engine.voters.store(Arc::new(Voters { chain_id, epoch, set }));
                }
                parts.bft.note_block(applied);
                self.to_block_log(BlockOrder::Index(Arc::clone(applied)));
            }
            _ => {}
        }
        parts.observer.notified(notification);
    }

    fn to_journal(&self, order: JournalOrder) {
        if self.parts.journal.send(order).is_err() {
            self.failures.fail("consensus", "the vote journal's thread is gone");
        }
    }

    fn to_block_log(&self, order: BlockOrder) {
        if self.parts.blocks.send(order).is_err() {
            self.failures.fail("consensus", "the block log's thread is gone");
        }
    }
}
