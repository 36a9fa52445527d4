//! The thread around [`Admission`]: queue, clock, and the doing of what it says.
//!
//! # Turns
//! Bodies that this node asked for come first: members vote on them. Then users and peers have equal shares. Among peers
//! the network's queue has made the turns, each member its own and all strangers one, so the queue here is short.
//! Inside a share it is first come, first served: a fee is known only once the inputs were looked up, which is most of
//! the work; when the pool is full its floor prefers what pays.
//!
//! # Invariants
//! - All queues are bounded, and a full core holds back this thread and no vote.
//! - INV-ADMIT-4: a body that this node asked for never waits behind what it did not ask for.
//!
//! # Concurrency
//! One thread takes batches of up to [`BATCH_MAX`] transactions, so that signatures are checked together and nothing is
//! spawned for a single one; it may read the index for inputs that are not cached, which blocks nobody else. (A task
//! with `spawn_blocking` for the misses would need two hand-overs a batch and a way to tell a miss first.)

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::load::LoadWindow;
use super::{
    Action, Admission, AdmissionParts, Judged, Mirror, Moment, News, Refusal, RequestedBodies, Submission,
};
use crate::mempool::{TransactionPool, TransactionSource};
use crate::network::{EventReceiver, NetworkEvent, NetworkHandle, PeerId};
use crate::protocol::state::LedgerState;
use crate::protocol::validity::CheckedTransaction;
use crate::runtime::stages::{Stage, enter};
use crate::runtime::tasks::ThreadError;
use crate::runtime::{Clock, TaskRegistry, metric_names};
use crate::types::limits::REQUEST_IDS_MAX;
use crate::types::{Amount, Message, SignatureVerifier, TimeMs, Transaction, TxId};
use crate::utxo::{OVERLAY_BYTES_MAX, UtxoManager};

/// Transactions of users that wait for the thread, at most.
pub(crate) const USER_QUEUE_MAX: usize = 4_096;
/// Their bytes together, at most.
pub(crate) const USER_QUEUE_BYTES_MAX: usize = 16 << 20;
/// Messages of peers that wait for it, at most. A message is a transaction, or an answer with several.
pub(crate) const PEER_QUEUE_MAX: usize = 512;
/// Their bytes together, at most; what comes then waits outside, or is dropped if it can be asked for again.
pub(crate) const PEER_QUEUE_BYTES_MAX: usize = 32 << 20;
/// Messages with bodies that were asked for, at most, and their bytes.
pub(crate) const WANTED_QUEUE_MAX: usize = 512;
pub(crate) const WANTED_QUEUE_BYTES_MAX: usize = 16 << 20;
/// Announcements of peers that wait, at most; more are dropped, and told again soon.
pub(crate) const ANNOUNCEMENTS_MAX: usize = 64;
const ANNOUNCEMENTS_BYTES_MAX: usize = ANNOUNCEMENTS_MAX * REQUEST_IDS_MAX * size_of::<TxId>();
/// What one entry counts at most: the largest answer, with what its transactions take in memory.
const ENTRY_BYTES_MAX: usize = 8 << 20;
/// Bytes of the queues, at most.
pub(super) const QUEUE_BYTES_MAX: usize =
    USER_QUEUE_BYTES_MAX + PEER_QUEUE_BYTES_MAX + WANTED_QUEUE_BYTES_MAX + ANNOUNCEMENTS_BYTES_MAX;
/// Transactions that are checked together; the last entry of a lane may bring more.
const BATCH_MAX: usize = 256;
/// Transactions of a peer's message that are checked together: what it has more of stands in line with those of others.
const PIECE_MAX: usize = 64;
/// How often what is too old is looked for.
const TICK: Duration = Duration::from_secs(1);

/// The finality machine takes no more: the node stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node is stopping")]
pub struct NodeStopped;

/// What the thread does of the rest of the node.
pub trait Node: Send + 'static {
    /// The chain's state at its tip.
    fn state(&self) -> Arc<LedgerState>;
    /// Queues a transaction for the finality machine; blocks while there is no room.
    ///
    /// # Errors
    /// When the node stops.
    fn consider(&self, transaction: CheckedTransaction) -> Result<(), NodeStopped>;
    /// Queues word for the finality machine that time is up for these.
    ///
    /// # Errors
    /// When the node stops.
    fn expired(&self, txids: Vec<TxId>) -> Result<(), NodeStopped>;
    /// Lets the finality machine look at what was queued for it.
    fn wake(&self);
    /// A transaction is in the pool, since this moment.
    fn accepted(&self, txid: TxId, now_ms: TimeMs, now: Instant);
    /// Something became of a transaction.
    fn changed(&self, txid: &TxId);
}

struct Entry {
    transactions: Vec<Arc<Transaction>>,
    source: TransactionSource,
    purpose: Purpose,
}

/// What is to be done with the transactions of an entry.
enum Purpose {
    /// To be taken in; nobody waits for an answer.
    Take,
    /// To be taken in, if it pays no larger fee than this.
    Submit(oneshot::Sender<Result<TxId, Refusal>>, Option<Amount>),
    /// To be judged alone.
    Judge(oneshot::Sender<Result<Judged, Refusal>>),
}

struct Queued {
    entry: Entry,
    since: Instant,
    /// Its share of the queue's bytes, given back when it is dropped.
    _bytes: OwnedSemaphorePermit,
}

/// A queue that is bounded in entries and bytes.
#[derive(Clone)]
struct Queue {
    entries: mpsc::Sender<Queued>,
    bytes: Arc<Semaphore>,
}

impl Queue {
    fn new(entries_max: usize, bytes_max: usize) -> (Self, mpsc::Receiver<Queued>) {
        let (entries, inbox) = mpsc::channel(entries_max);
        (Self { entries, bytes: Arc::new(Semaphore::new(bytes_max)) }, inbox)
    }

    /// Waits for room.
    async fn send(&self, entry: Entry) -> Result<(), NodeStopped> {
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(entry.bytes()).await;
        let since = Clock.instant();
        let queued = Queued { entry, since, _bytes: bytes.map_err(|_| NodeStopped)? };
        self.entries.send(queued).await.map_err(|_| NodeStopped)
    }

    /// Never waits; false when there is no room.
    fn offer(&self, entry: Entry) -> bool {
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(entry.bytes());
        let since = Clock.instant();
        bytes.is_ok_and(|bytes| self.entries.try_send(Queued { entry, since, _bytes: bytes }).is_ok())
    }
}

impl Entry {
    /// About what it takes in memory; never more than a queue has room for.
    fn bytes(&self) -> u32 {
        let each = self.transactions.iter().map(|transaction| transaction.memory_bytes());
        let all = each.fold(0, usize::saturating_add);
        u32::try_from(all.min(ENTRY_BYTES_MAX)).unwrap_or(u32::MAX)
    }
}

/// Hands transactions in, and tells what happened meanwhile. Cheap to clone.
#[derive(Clone)]
pub struct AdmissionHandle {
    users: Queue,
    peers: Queue,
    wanted: Queue,
    announced: mpsc::Sender<(PeerId, Vec<TxId>)>,
    news: Arc<News>,
    wake: Arc<Notify>,
    requested: Arc<RequestedBodies>,
    door: Door,
}

/// The receiving end of an [`AdmissionHandle`].
pub struct AdmissionInbox {
    users: mpsc::Receiver<Queued>,
    peers: mpsc::Receiver<Queued>,
    wanted: mpsc::Receiver<Queued>,
    announced: mpsc::Receiver<(PeerId, Vec<TxId>)>,
    news: Arc<News>,
    wake: Arc<Notify>,
    requested: Arc<RequestedBodies>,
    door: Door,
}

impl AdmissionInbox {
    fn is_empty(&self) -> bool {
        let announced = self.announced.is_empty();
        announced && self.wanted.is_empty() && self.users.is_empty() && self.peers.is_empty()
    }
}

/// The window on users' transactions, with its clock.
#[derive(Clone)]
struct Door {
    window: Arc<Mutex<LoadWindow>>,
    started: Instant,
}

impl Door {
    fn now_ms(&self) -> u64 {
        let since = Clock.instant().saturating_duration_since(self.started);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn enter(&self) -> Result<Entering<'_>, Refusal> {
        let entered = self.window.lock().enter(self.now_ms());
        entered.map(|()| Entering(self)).map_err(|retry_after_ms| Refusal::Busy { retry_after_ms })
    }
}

/// Lets go of its place when the answer has come, or nobody waits for it any more.
struct Entering<'a>(&'a Door);

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        self.0.window.lock().answered();
    }
}

impl AdmissionHandle {
    /// A handle and the inbox that the thread will take from. The node's identity sets it a little apart from others.
    #[must_use]
    pub fn new(identity: &PeerId) -> (Self, AdmissionInbox) {
        let window = Arc::new(Mutex::new(LoadWindow::new(identity.0.first().copied().unwrap_or(0))));
        let door = Door { window, started: Clock.instant() };
        let (users, user_entries) = Queue::new(USER_QUEUE_MAX, USER_QUEUE_BYTES_MAX);
        let (peers, peer_entries) = Queue::new(PEER_QUEUE_MAX, PEER_QUEUE_BYTES_MAX);
        let (wanted, wanted_entries) = Queue::new(WANTED_QUEUE_MAX, WANTED_QUEUE_BYTES_MAX);
        let (announced, announcements) = mpsc::channel(ANNOUNCEMENTS_MAX);
        let (news, wake) = (Arc::new(News::default()), Arc::new(Notify::new()));
        let requested = Arc::new(RequestedBodies::default());
        let inbox = AdmissionInbox {
            users: user_entries,
            peers: peer_entries,
            wanted: wanted_entries,
            announced: announcements,
            news: Arc::clone(&news),
            wake: Arc::clone(&wake),
            requested: Arc::clone(&requested),
            door: door.clone(),
        };
        (Self { users, peers, wanted, announced, news, wake, requested, door }, inbox)
    }

    /// Submits a user's transaction: checks it, takes it into the pool, and sends it to machine and peers. One that the
    /// pool has is taken again without effect. One that pays more than `fee_max`, where that is given, is refused.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn submit(&self, transaction: Transaction, fee_max: Option<Amount>) -> Result<TxId, Refusal> {
        let _entering = self.door.enter().inspect_err(count_refusal)?;
        let (answer, answered) = oneshot::channel();
        let transactions = vec![Arc::new(transaction)];
        let source = TransactionSource::Local;
        let entry = Entry { transactions, source, purpose: Purpose::Submit(answer, fee_max) };
        self.users.send(entry).await.map_err(|_| Refusal::Stopping)?;
        self.wake.notify_one();
        answered.await.unwrap_or(Err(Refusal::Stopping))
    }

    /// Judges a user's transaction as [`Self::submit`] would now, and takes nothing.
    ///
    /// # Errors
    /// Why it would not be taken.
    pub async fn judge(&self, transaction: Transaction) -> Result<Judged, Refusal> {
        let _entering = self.door.enter()?;
        let (answer, answered) = oneshot::channel();
        let transactions = vec![Arc::new(transaction)];
        let source = TransactionSource::Local;
        let entry = Entry { transactions, source, purpose: Purpose::Judge(answer) };
        self.users.send(entry).await.map_err(|_| Refusal::Stopping)?;
        self.wake.notify_one();
        answered.await.unwrap_or(Err(Refusal::Stopping))
    }

    /// Transactions of a peer; waits for room.
    async fn take_from_peer(
        &self,
        peer: PeerId,
        transactions: Vec<Arc<Transaction>>,
    ) -> Result<(), NodeStopped> {
        for (queue, entry) in self.entries_of(peer, transactions) {
            queue.send(entry).await?;
            // Before the next piece, which may wait for room.
            self.wake.notify_one();
        }
        Ok(())
    }

    /// What was asked for apart from the rest, which comes in pieces, each with its queue.
    fn entries_of(
        &self,
        peer: PeerId,
        transactions: Vec<Arc<Transaction>>,
    ) -> impl Iterator<Item = (&Queue, Entry)> {
        let is_wanted = |transaction: &Arc<Transaction>| {
            // A name costs a hash, so it is not made in vain.
            !self.requested.is_empty() && self.requested.contains(&transaction.txid())
        };
        let (wanted, others): (Vec<_>, Vec<_>) = transactions.into_iter().partition(is_wanted);
        let source = TransactionSource::Peer(peer);
        let pieces: Vec<_> = others.chunks(PIECE_MAX).map(|piece| (&self.peers, piece.to_vec())).collect();
        std::iter::once((&self.wanted, wanted))
            .chain(pieces)
            .filter(|(_, transactions)| !transactions.is_empty())
            .map(move |(queue, transactions)| (queue, Entry { transactions, source, purpose: Purpose::Take }))
    }

    /// Transactions of a peer, dropped when the queue is full: they can be asked for again. Never waits.
    pub fn offer(&self, peer: PeerId, transactions: Vec<Arc<Transaction>>) {
        for (queue, entry) in self.entries_of(peer, transactions) {
            if !queue.offer(entry) {
                tracing::debug!(peer = %peer.short(), "Admission is busy; transactions of a peer dropped");
            }
        }
        self.wake.notify_one();
    }

    /// A peer says that these lack votes. Never waits.
    fn announced(&self, peer: PeerId, txids: Vec<TxId>) {
        if self.announced.try_send((peer, txids)).is_ok() {
            self.wake.notify_one();
        }
    }

    /// This node asked a peer for these bodies.
    pub fn requested(&self, txids: &[TxId]) {
        self.requested.note(txids);
    }

    /// What the core's observer keeps in step; whoever waits hears of it after [`Self::wake`].
    #[must_use]
    pub fn mirror(&self, utxos: Arc<UtxoManager>, pool: Arc<TransactionPool>) -> Mirror {
        Mirror { utxos, pool, news: Arc::clone(&self.news) }
    }

    /// A transaction is final: its time says how the network fares. Never waits.
    pub fn finalized(&self, txid: &TxId) {
        self.door.window.lock().settled(txid, self.door.now_ms());
    }

    /// A transaction has a rival or was dropped: its time says nothing. Never waits.
    pub fn contested(&self, txid: &TxId) {
        self.door.window.lock().left(txid);
    }

    /// Those who wait have news. Never waits.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

/// Takes the network's bulk events: transactions come here, all else goes to `forward`. Ends with the network or the
/// node.
pub async fn route_bulk(
    mut events: EventReceiver,
    admission: AdmissionHandle,
    forward: impl Fn(PeerId, Message) -> BoxFuture<'static, Result<(), NodeStopped>> + Send,
) {
    while let Some(event) = events.recv().await {
        let NetworkEvent::Message { peer, message } = event else { continue };
        let taken = match message {
            Message::Transaction(transaction) => admission.take_from_peer(peer, vec![transaction]).await,
            Message::Transactions(transactions) => admission.take_from_peer(peer, transactions).await,
            Message::Announce(txids) => {
                admission.announced(peer, txids);
                Ok(())
            }
            message => forward(peer, message).await,
        };
        if taken.is_err() {
            return;
        }
    }
}

/// What the thread works with beside the queues.
pub struct AdmissionServices<N> {
    /// The outputs.
    pub utxos: Arc<UtxoManager>,
    /// The pool.
    pub pool: Arc<TransactionPool>,
    /// Checks signatures.
    pub verifier: Arc<dyn SignatureVerifier + Send + Sync>,
    /// How long an uncertified transaction stays in the pool, in milliseconds.
    pub expiry_ms: u64,
    /// The peers.
    pub network: NetworkHandle,
    /// The rest of the node.
    pub node: N,
}

/// Starts the thread; it ends when the token is cancelled.
///
/// # Errors
/// When there is no thread to be had.
pub fn start<N: Node>(
    inbox: AdmissionInbox,
    services: AdmissionServices<N>,
    registry: &TaskRegistry,
) -> Result<(), ThreadError> {
    let token = registry.token().clone();
    let runtime = tokio::runtime::Handle::current();
    let AdmissionServices { utxos, pool, verifier, expiry_ms, network, node } = services;
    let (news, requested) = (Arc::clone(&inbox.news), Arc::clone(&inbox.requested));
    let chain = Arc::clone(&utxos);
    let parts = AdmissionParts { utxos, pool, verifier, requested, news, expiry_ms };
    let started = inbox.door.started;
    let admission = Admission::new(parts);
    let mut thread = AdmissionThread {
        admission,
        inbox,
        network,
        node,
        utxos: chain,
        started,
        next_tick: Clock.instant() + TICK,
    };
    registry.spawn_thread("admission", move || {
        while !token.is_cancelled() {
            let is_idle = thread.inbox.is_empty() && !thread.admission.has_ready();
            if is_idle {
                let until_tick = thread.next_tick.saturating_duration_since(Clock.instant());
                let wake = Arc::clone(&thread.inbox.wake);
                runtime.block_on(async {
                    tokio::select! {
                        () = wake.notified() => {}
                        () = tokio::time::sleep(until_tick) => {}
                        () = token.cancelled() => {}
                    }
                });
            }
            if thread.turn().is_err() {
                return;
            }
        }
    })
}

fn count_refusal(refusal: &Refusal) {
    metrics::counter!(metric_names::MEMPOOL_REJECTED_TOTAL, "reason" => refusal.reason()).increment(1);
}

struct AdmissionThread<N> {
    admission: Admission,
    inbox: AdmissionInbox,
    network: NetworkHandle,
    node: N,
    /// Asked how far the index is behind.
    utxos: Arc<UtxoManager>,
    started: Instant,
    next_tick: Instant,
}

type Answers = Vec<Option<oneshot::Sender<Result<TxId, Refusal>>>>;

impl<N: Node> AdmissionThread<N> {
    /// What waits: news first, then what was asked for, then users and peers in equal shares.
    fn turn(&mut self) -> Result<(), NodeStopped> {
        let _stage = enter(Stage::Admission);
        let now = self.moment();
        self.inbox.door.window.lock().lags(self.utxos.overlay_bytes(), OVERLAY_BYTES_MAX);
        let happened = self.inbox.news.take();
        if let Some(happened) = happened.or_else(|| self.admission.has_ready().then(Default::default)) {
            let state = self.node.state();
            let actions = self.admission.hear(happened, &state, now);
            self.execute(actions, Vec::new())?;
        }
        let instant = Clock.instant();
        if instant >= self.next_tick {
            self.next_tick = instant + TICK;
            let actions = self.admission.tick(now);
            self.execute(actions, Vec::new())?;
        }
        while let Ok((peer, txids)) = self.inbox.announced.try_recv() {
            let actions = self.admission.announced(peer, &txids, now);
            self.execute(actions, Vec::new())?;
        }
        let (mut submissions, mut answers) = (Vec::with_capacity(BATCH_MAX), Answers::new());
        let mut judged = Vec::new();
        let mut oldest = Clock.instant();
        let AdmissionInbox { wanted, users, peers, .. } = &mut self.inbox;
        for (queue, share) in [(wanted, BATCH_MAX), (users, BATCH_MAX / 2), (peers, BATCH_MAX / 2)] {
            let mut taken = 0_usize;
            while taken < share {
                let Ok(Queued { entry, since, .. }) = queue.try_recv() else { break };
                oldest = oldest.min(since);
                let Entry { transactions, source, purpose } = entry;
                taken = taken.saturating_add(transactions.len().max(1));
                let (ticket, fee_max) = match purpose {
                    Purpose::Judge(answer) => {
                        judged.extend(transactions.into_iter().next().zip(Some(answer)));
                        continue;
                    }
                    Purpose::Submit(answer, fee_max) => {
                        answers.push(Some(answer));
                        (Some(answers.len().saturating_sub(1)), fee_max)
                    }
                    Purpose::Take => (None, None),
                };
                let submitted = |transaction| Submission { transaction, source, ticket, fee_max };
                submissions.extend(transactions.into_iter().map(submitted));
            }
        }
        for (transaction, answer) in judged {
            // Whoever asked may be gone.
            let _told = answer.send(self.admission.judge(transaction, &self.node.state(), now)).is_ok();
        }
        if submissions.is_empty() {
            return Ok(());
        }
        let age = Clock.instant().saturating_duration_since(oldest);
        let (age_ms, now_ms) = (u64::try_from(age.as_millis()).unwrap_or(u64::MAX), self.inbox.door.now_ms());
        self.inbox.door.window.lock().queued_for(age_ms, now_ms);
        let state = self.node.state();
        let actions = self.admission.admit(submissions, &state, now);
        self.execute(actions, answers)
    }

    fn moment(&self) -> Moment {
        let steady = Clock.instant().saturating_duration_since(self.started);
        Moment { wall_ms: Clock.now_ms(), steady_ms: u64::try_from(steady.as_millis()).unwrap_or(u64::MAX) }
    }

    fn execute(&self, actions: Vec<Action>, mut answers: Answers) -> Result<(), NodeStopped> {
        let mut is_queued = false;
        for action in actions {
            match action {
                Action::Consider(transaction) => {
                    self.node.consider(transaction)?;
                    is_queued = true;
                }
                Action::Relay(transaction, except) => {
                    self.network.broadcast(&Message::Transaction(transaction), except);
                }
                Action::Accepted(txid, source) => {
                    if source == TransactionSource::Local {
                        let door = &self.inbox.door;
                        door.window.lock().taken(txid, door.now_ms());
                    }
                    self.node.accepted(txid, Clock.now_ms(), Clock.instant());
                }
                Action::Waits(txid) => self.node.accepted(txid, Clock.now_ms(), Clock.instant()),
                Action::Announce(txids) => self.network.broadcast(&Message::Announce(txids), None),
                Action::Ask(peer, txids) => {
                    // Whoever is gone, or has no room, is asked again when it announces again.
                    let _sent = self.network.send(peer, &Message::GetTransactions(txids));
                }
                Action::Gone(txid) => self.node.changed(&txid),
                Action::Expired(txids) => {
                    self.node.expired(txids)?;
                    is_queued = true;
                }
                Action::Blame(peer, what) => self.network.report(peer, what),
                Action::Answer(ticket, outcome) => {
                    if let Err(refusal) = &outcome {
                        count_refusal(refusal);
                    }
                    let answer = ticket.and_then(|ticket| answers.get_mut(ticket)).and_then(Option::take);
                    if let Some(answer) = answer {
                        // Whoever asked may be gone.
                        let _told = answer.send(outcome).is_ok();
                    }
                }
            }
        }
        if is_queued {
            self.node.wake();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
