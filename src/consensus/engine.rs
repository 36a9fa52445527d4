//! The node's thread of consensus, and the checks of signatures before it.
//!
//! # Place
//! `app/start.rs` starts these parts. Network, admission, timers and disks put events in ([`inbox`](super::inbox)); the
//! thread takes them and executes what is ordered, as the simulator does.
//!
//! # Invariants
//! - The node's own events come first, then peers' urgent ones, then bulk; none of them starves the next.
//! - Messages of one peer reach consensus in the order in which they came, within each lane.
//!
//! # Concurrency
//! One thread owns [`Consensus`]. It waits for a disk only when
//! [`JOURNAL_QUEUE_MAX`](super::vote_journal::JOURNAL_QUEUE_MAX) writes are outstanding.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use tokio_util::sync::CancellationToken;

use super::block_commit::BlockOrder;
use super::dispatch::Consensus;
use super::events::{
    Answer, Event, JournalOrder, Notification, Now, Output, Recipient, Shell, Timer, execute,
};
use super::inbox::{ConsensusHandle, ConsensusInbox, ConsensusStopped};
use super::observers::ObserverSender;
use super::serve::AnswerServer;
use super::timeout_monitor::TimeoutMonitor;
use super::verify::{VerifyError, Voters, epoch_of, verify};
use super::view::ConsensusView;
use super::vote_journal::JournalSender;
use crate::network::{EventReceiver, Misbehaviour, NetworkEvent, NetworkHandle, PeerId};
use crate::runtime::priority::{self, Priority};
use crate::runtime::stages::{Stage, enter};
use crate::runtime::{Clock, CpuPool, TaskRegistry};
use crate::storage::block_log::LoggedBlock;
use crate::types::{MasternodeId, Message, SignatureVerifier, Transaction, TxId};
use crate::utxo::UtxoManager;

/// Bulk events that are handled before urgent ones are looked for again.
const BULK_BURST: usize = 32;
/// Urgent events of peers that are handled before the node's own are looked for again.
pub(super) const URGENT_BURST: usize = 64;
/// So many signatures are checked where they are found: to hand them to another thread and to be woken by it costs as much
/// as to check them. At 500 payments a second a node made some 30 futex calls a payment before.
const CHECKED_HERE_MAX: usize = 2;
/// Notifications that wait for the end of the thread's turn, at most, and those of one event: to wake observers for each
/// event takes longer than most events. They hold bodies of 100 kB at most.
const TOLD_MAX: usize = 256;
/// The longest pause between two looks at the clock.
const TICK: Duration = Duration::from_millis(100);
/// Messages that one job of the CPU pool checks, at most.
pub(super) const VERIFY_BATCH: usize = 64;
/// Such jobs at once, at most.
pub(super) const VERIFY_JOBS_MAX: usize = 4;

/// Admission, as far as consensus needs it. Called on its thread, so it must not block.
pub trait BodyChecks: Send + Sync {
    /// Peers are asked for these bodies.
    fn bodies_requested(&self, txids: &[TxId]);
    /// Transactions that a peer sent with votes or as an answer have to be checked.
    fn check_transactions(&self, from: PeerId, transactions: Vec<Arc<Transaction>>);
}

// -- signatures -------------------------------------------------------------------------------------------------------

/// Takes urgent events from the network, checks the signatures of votes on the CPU pool, and hands all to consensus in
/// their order. Ends with the network or with it.
pub async fn verify_urgent(
    mut events: EventReceiver,
    engine: Arc<ConsensusHandle>,
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
                let signatures = batch.iter().map(|event| signatures(event, &voters)).fold(0, usize::saturating_add);
                let (handle, now) = (Arc::clone(&engine), Clock.instant());
                let judge = move |event| judge(event, &voters, &handle, &*verifier, now);
                let job = move || {
                    let _stage = enter(Stage::Signatures);
                    batch.into_iter().map(judge).collect()
                };
                jobs.push_back(if signatures > CHECKED_HERE_MAX {
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
    /// It was checked and handed in before.
    Known,
    /// Its author signs more than anybody may: it counts as not received.
    LeftOut(PeerId, MasternodeId),
    BadSignature(PeerId),
    Malformed(PeerId),
}

/// How many signatures an event has to check, about: it matters only whether they are few.
fn signatures(event: &NetworkEvent, voters: &Voters) -> usize {
    match event {
        NetworkEvent::Message { message, .. } if epoch_of(message) == Some(voters.epoch) => match message {
            Message::VoteBatch(_) | Message::BlockVote(_) | Message::Heartbeat(_) | Message::Instance(_) => 1,
            // Proposals with their commits, certificates, evidence.
            _ => usize::MAX,
        },
        _ => 0,
    }
}

/// What can't be judged by the set of the moment goes on unverified: consensus knows what it is for.
fn judge(
    event: NetworkEvent,
    voters: &Voters,
    engine: &ConsensusHandle,
    verifier: &dyn SignatureVerifier,
    now: Instant,
) -> Verdict {
    let (peer, message) = match event {
        NetworkEvent::Connected { peer, .. } => return Verdict::Pass(Event::PeerConnected(peer)),
        NetworkEvent::Disconnected { peer } => {
            engine.pace().forget(&peer);
            return Verdict::Pass(Event::PeerDisconnected(peer));
        }
        NetworkEvent::Message { peer, message } => (peer, message),
    };
    let mut verified = false;
    if epoch_of(&message) == Some(voters.epoch) {
        let batch = match &message {
            Message::VoteBatch(batch) if voters.set.index_of(&batch.header.validator).is_some() => {
                Some(batch)
            }
            _ => None,
        };
        let named = batch.map(|batch| (batch, batch.header.digest(&voters.chain_id)));
        if let Some((batch, digest)) = &named {
            if engine.known().has(digest) {
                return Verdict::Known;
            }
            if !engine.pace().may_check(peer, batch, now) {
                return Verdict::LeftOut(peer, batch.header.validator);
            }
        }
        match verify(&message, voters, verifier) {
            Ok(()) => verified = true,
            Err(VerifyError::UnknownValidator) => {}
            Err(VerifyError::BadSignature) => return Verdict::BadSignature(peer),
            Err(_) => return Verdict::Malformed(peer),
        }
        if let Some((batch, digest)) = named.filter(|_| verified) {
            if !engine.pace().may_pass(batch, now) {
                return Verdict::LeftOut(peer, batch.header.validator);
            }
            engine.known().note(digest);
        }
    }
    Verdict::Pass(Event::Message { from: peer, message, verified })
}

async fn deliver(
    verdict: Verdict,
    engine: &ConsensusHandle,
    network: &NetworkHandle,
) -> Result<(), ConsensusStopped> {
    match verdict {
        Verdict::Pass(event) => engine.urgent(event).await?,
        Verdict::Known => {}
        Verdict::LeftOut(peer, author) => {
            tracing::debug!(peer = %peer.short(), masternode = %author.short(), "votes beyond their author's pace left out");
        }
        Verdict::BadSignature(peer) => network.report(peer, Misbehaviour::InvalidSignature),
        Verdict::Malformed(peer) => network.report(peer, Misbehaviour::Malformed),
    }
    Ok(())
}

// -- the thread -----------------------------------------------------------------------------------------------------------

/// What the thread works with.
pub struct EngineParts {
    /// All parts of consensus.
    pub consensus: Consensus,
    /// Their first orders.
    pub outputs: Vec<Output>,
    /// What comes in.
    pub inbox: ConsensusInbox,
    /// What the thread executes orders with.
    pub shell: NodeShell,
}

/// Starts the thread. It ends when the token is cancelled, and with it the threads that it feeds.
///
/// # Errors
/// When there is no thread to be had.
pub fn start_engine(
    parts: EngineParts,
    registry: &TaskRegistry,
) -> Result<(), crate::runtime::tasks::ThreadError> {
    let failures = registry.clone();
    registry.spawn_thread("consensus", move || Engine { parts, failures }.run())
}

/// A block's, or votes on payments and all the rest.
const fn stage_of(event: &Event) -> Stage {
    match event {
        Event::BlockPersisted(_)
        | Event::TimeoutElapsed(Timer::HeightDue(_) | Timer::Bft { .. })
        | Event::Message {
            message: Message::Proposal(_) | Message::BlockVote(_) | Message::Blocks(_), ..
        } => Stage::Blocks,
        _ => Stage::Finality,
    }
}

/// When the clock is looked at though nothing happens.
struct Ticks {
    next: Instant,
}

impl Ticks {
    /// Whether it is time now. What was missed is not made up for.
    fn take(&mut self, now: Instant) -> bool {
        let is_due = now >= self.next;
        if is_due {
            self.next = now + TICK;
        }
        is_due
    }

    /// How long nothing is due yet.
    fn pause(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }
}

struct Engine {
    parts: EngineParts,
    failures: TaskRegistry,
}

impl Engine {
    fn run(mut self) {
        priority::take(Priority::Urgent);
        self.parts.shell.handle.attach();
        let token = self.failures.token().clone();
        let outputs = std::mem::take(&mut self.parts.outputs);
        execute(outputs, &mut self.parts.shell);
        self.parts.shell.tell();
        self.loop_until(&token);
        self.parts.shell.timers.stop();
        self.parts.shell.answers.stop();
    }

    fn loop_until(&mut self, token: &CancellationToken) {
        let mut ticks = Ticks { next: Clock.instant() };
        while !token.is_cancelled() {
            if ticks.take(Clock.instant()) {
                self.handle(Event::Tick);
                self.tick();
            }
            let mut worked = self.own_events() | self.urgent_events();
            worked |= self.bulk_events(if worked { 1 } else { BULK_BURST });
            self.parts.shell.tell();
            if !worked {
                // Whoever hands something in unparks this thread after it: no wake-up is lost.
                std::thread::park_timeout(ticks.pause(Clock.instant()));
            }
        }
    }

    fn own_events(&mut self) -> bool {
        let events = self.parts.shell.handle.take_own();
        let some = !events.is_empty();
        for event in events {
            self.handle(event);
        }
        some
    }

    fn urgent_events(&mut self) -> bool {
        let mut some = false;
        for _ in 0..URGENT_BURST {
            let Ok(queued) = self.parts.inbox.urgent.try_recv() else { break };
            some = true;
            self.handle(queued.event);
        }
        some
    }

    /// Stops early when something urgent has come meanwhile.
    fn bulk_events(&mut self, limit: usize) -> bool {
        let mut some = false;
        for _ in 0..limit {
            let Ok(queued) = self.parts.inbox.bulk.try_recv() else { break };
            some = true;
            self.handle(queued.event);
            if !self.parts.inbox.urgent.is_empty() || self.parts.shell.handle.has_own() {
                break;
            }
        }
        some
    }

    fn handle(&mut self, event: Event) {
        let stage = stage_of(&event);
        let _stage = enter(stage);
        // What is final is not told behind a block that takes long.
        if stage == Stage::Blocks || self.parts.shell.told.len() >= TOLD_MAX {
            self.parts.shell.tell();
        }
        let now = Now { monotonic_ms: Clock.monotonic_ms(), wall_ms: Clock.now_ms() };
        let outputs = self.parts.consensus.handle(event, now);
        execute(outputs, &mut self.parts.shell);
    }

    fn tick(&self) {
        let (waiting, _) = self.parts.consensus.finality().unblocked();
        let consensus = &self.parts.consensus;
        let view = &self.parts.shell.view;
        view.note_counts(consensus.sync_target(), waiting, consensus.has_heard_peers());
        if self.parts.shell.utxos.is_poisoned() {
            self.failures.fail("consensus", "the index can't be read, so no output can be judged");
        }
    }
}

/// Executes orders over threads, sockets and disks.
pub struct NodeShell {
    /// The handle of the inbox.
    pub handle: Arc<ConsensusHandle>,
    /// What readers see.
    pub view: Arc<ConsensusView>,
    /// The outputs.
    pub utxos: Arc<UtxoManager>,
    /// To the journal's thread.
    pub journal: JournalSender,
    /// To the block log's thread.
    pub blocks: SyncSender<BlockOrder>,
    /// To the thread that answers peers.
    pub answers: Arc<AnswerServer>,
    /// Calls back.
    pub timers: Arc<TimeoutMonitor>,
    /// The peers.
    pub network: NetworkHandle,
    /// Admission: expects the bodies that peers are asked for, and checks those that come.
    pub bodies: Arc<dyn BodyChecks>,
    /// To those who watch.
    pub observers: ObserverSender,
    /// What the present turn brought, for them.
    pub told: Vec<Notification>,
    /// Stops the node when a thread is gone.
    pub failures: TaskRegistry,
}

impl NodeShell {
    fn to_block_log(&self, order: BlockOrder) {
        if self.blocks.send(order).is_err() {
            self.failures.fail("consensus", "the block log's thread is gone");
        }
    }

    /// Hands over what the turn brought.
    fn tell(&mut self) {
        self.observers.tell(&mut self.told);
    }
}

impl Shell for NodeShell {
    fn journal(&mut self, order: JournalOrder) {
        if self.journal.send(order).is_err() {
            self.failures.fail("consensus", "the vote journal's thread is gone");
        }
    }

    fn commit_block(&mut self, block: Box<LoggedBlock>) {
        self.to_block_log(BlockOrder::Append(block));
    }

    fn send(&mut self, to: PeerId, message: Message) {
        if let Message::GetTransactions(txids) = &message {
            // Before it leaves, so that no answer comes unasked.
            self.bodies.bodies_requested(txids);
        }
        // A peer that is gone, or whose queue is full, asks again or learns it from another one.
        let _sent = self.network.send(to, &message);
    }

    fn relay(&mut self, message: Message, except: Option<PeerId>) {
        self.network.broadcast(&message, except);
    }

    fn serve(&mut self, to: Recipient, answer: Answer) {
        self.answers.serve(to, answer);
    }

    fn schedule(&mut self, timer: Timer, delay_ms: u64) {
        self.timers.schedule(timer, delay_ms);
    }

    fn misbehaved(&mut self, peer: PeerId, what: &'static str) {
        tracing::debug!(peer = %peer.short(), what, "a peer broke a rule");
        self.network.report(peer, Misbehaviour::InvalidContent);
    }

    fn check_transactions(&mut self, from: PeerId, transactions: Vec<Arc<Transaction>>) {
        self.bodies.check_transactions(from, transactions);
    }

    fn notify(&mut self, notification: Notification) {
        self.view.note(&notification);
        if let Notification::BlockApplied(applied) = &notification {
            let state = &applied.state;
            if self.handle.voters().epoch != state.next_epoch() {
                let (chain_id, epoch) = (*state.chain_id(), state.next_epoch());
                self.handle.set_voters(Voters { chain_id, epoch, set: Arc::clone(state.validators()) });
            }
        }
        self.told.push(notification);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::peers::STATUS_INTERVAL_MS;
    use crate::types::keys::SequentialVerifier;
    use crate::types::{
        ChainId, FinalityVote, PublicKey, Released, SecretKey, Validator, ValidatorSet, VoteBatch, VoteKind,
    };

    const PEER: PeerId = PublicKey([5; 32]);

    #[test]
    fn the_clock_is_looked_at_once_in_each_pause_and_what_was_missed_is_not_made_up_for() {
        // What is said to peers at intervals is said when somebody looks.
        const { assert!(TICK.as_millis() < STATUS_INTERVAL_MS as u128) };
        let start = Clock.instant();
        let mut ticks = Ticks { next: start };
        assert!(ticks.take(start) && !ticks.take(start));
        assert_eq!(ticks.pause(start), TICK);
        assert!(!ticks.take(start + TICK - Duration::from_nanos(1)) && ticks.take(start + TICK));
        let late = start + 10 * TICK;
        assert_eq!(ticks.pause(late), Duration::ZERO, "it does not sleep on what is overdue");
        assert!(ticks.take(late) && !ticks.take(late));
        assert_eq!(ticks.pause(late), TICK);
    }

    fn batch(validator: MasternodeId, seq: u64, votes: usize, secret: &SecretKey) -> NetworkEvent {
        let vote = |number: usize| {
            let mut txid = [0; 32];
            txid[..8].copy_from_slice(&number.to_le_bytes());
            FinalityVote { kind: VoteKind::Lock, txid: TxId(txid) }
        };
        let votes = (0..votes).map(vote).collect();
        let batch = VoteBatch::signed(&ChainId::ZERO, 0, validator, seq, votes, secret);
        NetworkEvent::Message { peer: PEER, message: Message::VoteBatch(Released::heard(batch)) }
    }

    /// INV-PACE-1, INV-PACE-2, where messages come in.
    #[test]
    fn one_members_votes_pass_up_to_its_pace_and_forged_ones_take_nothing_of_it() {
        let (loud, quiet) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        let (loud_id, quiet_id) = (MasternodeId([1; 32]), MasternodeId([2; 32]));
        let member = |id, secret: &SecretKey| Validator { id, key: secret.public(), weight: 1 };
        let set = Arc::new(ValidatorSet::new(vec![member(loud_id, &loud), member(quiet_id, &quiet)]));
        let voters = Voters { chain_id: ChainId::ZERO, epoch: 0, set };
        let (handle, _inbox) = ConsensusHandle::new(voters.clone());
        let now = Clock.instant();
        let judge = |event| judge(event, &voters, &handle, &SequentialVerifier, now);
        let most = crate::types::limits::BATCH_VOTES_MAX;
        let passed =
            (0..100).filter(|seq| matches!(judge(batch(loud_id, *seq, most, &loud)), Verdict::Pass(_)));
        assert_eq!(passed.count(), 4);
        assert!(matches!(judge(batch(loud_id, 0, most, &loud)), Verdict::Known), "what passed is known");
        // A stranger to the quiet one's key says much in its name, and is told off.
        let forged = judge(batch(quiet_id, 0, most, &loud));
        assert!(matches!(forged, Verdict::BadSignature(_)));
        assert!(matches!(judge(batch(quiet_id, 0, 1, &quiet)), Verdict::Pass(_)));
        let name_is_used_up = || {
            let all = (1..12).map(|seq| judge(batch(quiet_id, seq, most, &loud)));
            all.filter(|verdict| matches!(verdict, Verdict::BadSignature(_))).count()
        };
        assert!((1..10).contains(&name_is_used_up()), "its own budget for that name");
        assert_eq!(name_is_used_up(), 0);
        // A connection that begins again has a new one, but none for the author.
        judge(NetworkEvent::Disconnected { peer: PEER });
        assert!((1..10).contains(&name_is_used_up()));
        assert!(matches!(judge(batch(loud_id, 200, most, &loud)), Verdict::LeftOut(..)));
    }
}
