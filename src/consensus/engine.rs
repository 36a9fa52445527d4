//! The node's thread of consensus.
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

use tokio_util::sync::CancellationToken;

use super::block_commit::BlockOrder;
use super::dispatch::Consensus;
use super::events::{
    Answer, Event, JournalOrder, Notification, Now, Output, Recipient, Shell, Shortfall, Timer, execute,
};
use super::inbox::{ConsensusHandle, ConsensusInbox};
use super::observers::ObserverSender;
use super::serve::AnswerServer;
use super::sync::ahead::BlocksToCheck;
use super::sync::ahead_thread::AheadSender;
use super::timeout_monitor::TimeoutMonitor;
use super::verify::Voters;
use super::view::ConsensusView;
use super::vote_journal::JournalSender;
use crate::network::{Misbehaviour, NetworkHandle, PeerId, Standing};
use crate::protocol::activation::UnknownRules;
use crate::runtime::priority::{self, Priority};
use crate::runtime::stages::{Stage, enter};
use crate::runtime::{Clock, TaskRegistry};
use crate::storage::block_log::LoggedBlock;
use crate::types::{Message, Transaction, TxId};
use crate::utxo::UtxoManager;

/// Bulk events that are handled before urgent ones are looked for again.
const BULK_BURST: usize = 32;
/// Urgent events of peers that are handled before the node's own are looked for again.
pub(super) const URGENT_BURST: usize = 64;
/// Notifications that wait for the end of the thread's turn, at most, and those of one event: to wake observers for each
/// event takes longer than most events. They hold bodies of 100 kB at most.
const TOLD_MAX: usize = 256;
/// The longest pause between two looks at the clock.
const TICK: Duration = Duration::from_millis(100);

/// Admission, as far as consensus needs it. Called on its thread, so it must not block.
pub trait BodyChecks: Send + Sync {
    /// Peers are asked for these bodies.
    fn bodies_requested(&self, txids: &[TxId]);
    /// Transactions that a peer sent with votes or as an answer have to be checked.
    fn check_transactions(&self, from: PeerId, transactions: Vec<Arc<Transaction>>);
}

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
        | Event::BlocksChecked { .. }
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
            self.parts.shell.handle.note_turn();
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
        let outputs = self.parts.consensus.handle(event, Now::read());
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
    /// To the thread that checks blocks of others ahead.
    pub ahead: AheadSender,
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

    fn check_blocks(&mut self, order: BlocksToCheck) {
        if let Some(unchecked) = self.ahead.send(order) {
            self.handle.hand_in(unchecked);
        }
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
        let standing = match to {
            Recipient::Peer(peer) => self.network.standing(peer),
            Recipient::All => Standing::Stranger,
        };
        self.answers.serve(to, standing, answer);
    }

    fn schedule(&mut self, timer: Timer, delay_ms: u64) {
        self.timers.schedule(timer, delay_ms);
    }

    fn misbehaved(&mut self, peer: PeerId, what: &'static str) {
        tracing::debug!(peer = %peer.short(), what, "A peer broke a rule");
        self.network.report(peer, Misbehaviour::InvalidContent);
    }

    fn failed(&mut self, peer: PeerId, what: Shortfall) {
        let misbehaviour = match what {
            Shortfall::Late => Misbehaviour::Unanswered,
            Shortfall::Empty => Misbehaviour::FalseStatus,
        };
        self.network.report(peer, misbehaviour);
    }

    fn check_transactions(&mut self, from: PeerId, transactions: Vec<Arc<Transaction>>) {
        self.bodies.check_transactions(from, transactions);
    }

    fn stop(&mut self, why: UnknownRules) {
        self.failures.fail("consensus", why.to_string());
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
}
