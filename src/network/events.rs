//! What peers say, on its way up: one bounded queue a peer, taken in fair turns.
//!
//! # Place
//! `session.rs` and `peer_manager.rs` put events in; vote checks and the bulk router take them by [`EventReceiver`].
//!
//! # Turns
//! Deficit round robin (Shreedhar and Varghese, 1995): a peer whose turn comes may have so much work done, in bytes
//! as `message_kind.rs` counts them, and what it does not use it keeps while it waits. So what one peer sends never
//! makes another's votes wait for more than one turn of each peer that has something, whatever is in the queues. One
//! queue for all would be simpler, and let a flood stand before votes. All strangers together have as much as one proven
//! member has: new identities cost nothing, so more of them must not bring more.
//!
//! # Invariants
//! - INV-NET-22: events of one peer are taken in the order in which they came, those that tell of its connection
//!   included.
//! - INV-NET-23: a peer that waits is served after at most one turn of each other peer, whatever these sent.
//! - INV-NET-32: in a round all strangers together are served for no more work than one member.
//! - INV-NET-24: what peers left behind that are gone is at most [`LEFT_BYTES_MAX`]; beyond, it is dropped with them.
//!
//! # Concurrency
//! A mutex that is held for a few steps; many put in, one takes. Memory is bounded by whoever puts in: each message
//! brings what it holds, which is given back when it is taken.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::credit::Credit;
use super::message_kind::MessageKind;
use super::peer::{PeerId, Standing};
use super::pools::Taken;
use crate::types::Message;

/// Work of a stranger that is taken in one turn, at most, in bytes as `message_kind.rs` counts them: some 15 signatures.
pub(crate) const TURN_WORK_BYTES: usize = 64 << 10;
/// The same of a proven member, and of all strangers together.
pub(crate) const MEMBER_TURN_WORK_BYTES: usize = 4 * TURN_WORK_BYTES;
/// Work that is handed out at once, about: some 10 ms of one core.
const HANDED_WORK_BYTES: usize = 1 << 20;
/// Bytes of messages of peers that are gone, at most.
pub(crate) const LEFT_BYTES_MAX: usize = 8 << 20;
/// What an event takes beside its message.
pub(crate) const EVENT_BYTES: usize = 256;

/// What happens on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkEvent {
    /// A peer is there.
    Connected {
        /// Who.
        peer: PeerId,
        /// From where.
        address: SocketAddr,
        /// Whether it opened the connection.
        inbound: bool,
    },
    /// A peer is gone.
    Disconnected {
        /// Who.
        peer: PeerId,
    },
    /// A peer said something.
    Message {
        /// Who.
        peer: PeerId,
        /// What. It is decoded and within the limits of [`Message::check_limits`]; nothing else of it is checked.
        message: Message,
    },
}

/// What a message holds until it is taken; given back when dropped.
#[derive(Default)]
pub(crate) struct Held {
    _memory: Option<Taken>,
    _credit: Option<Credit>,
}

impl Held {
    /// Memory for an urgent message.
    pub(crate) const fn memory(taken: Option<Taken>) -> Self {
        Self { _memory: taken, _credit: None }
    }

    /// Credit of the bulk lane.
    pub(crate) const fn credit(credit: Credit) -> Self {
        Self { _memory: None, _credit: Some(credit) }
    }
}

struct Queued {
    event: NetworkEvent,
    work: usize,
    bytes: usize,
    _held: Held,
}

impl Queued {
    fn told(event: NetworkEvent) -> Self {
        Self { event, work: EVENT_BYTES, bytes: 0, _held: Held::default() }
    }

    const fn is_message(&self) -> bool {
        matches!(self.event, NetworkEvent::Message { .. })
    }
}

struct PeerQueue {
    events: VecDeque<Queued>,
    /// Of all messages in it.
    bytes: usize,
    /// Work that it may still have done in its turn.
    deficit: usize,
    standing: Standing,
    is_connected: bool,
}

#[derive(Default)]
struct State {
    peers: HashMap<PeerId, PeerQueue, ahash::RandomState>,
    /// Peers that have something, in the order of their turns.
    turns: VecDeque<PeerId>,
    length: usize,
    /// Bytes of peers that are gone.
    left_bytes: usize,
    sender_gone: bool,
    receiver_gone: bool,
}

impl State {
    fn queue(&mut self, peer: PeerId) -> &mut PeerQueue {
        self.peers.entry(peer).or_insert_with(|| PeerQueue {
            events: VecDeque::new(),
            bytes: 0,
            deficit: 0,
            standing: Standing::Stranger,
            is_connected: false,
        })
    }

    /// How long a turn is now.
    fn turn(&self, standing: Standing) -> usize {
        if standing == Standing::Member {
            return MEMBER_TURN_WORK_BYTES;
        }
        let waiting = self.turns.iter().filter_map(|peer| self.peers.get(peer));
        let strangers = waiting.filter(|queue| queue.standing == Standing::Stranger).count();
        TURN_WORK_BYTES.min(MEMBER_TURN_WORK_BYTES / strangers.max(1))
    }

    fn push(&mut self, peer: PeerId, queued: Queued) {
        let queue = self.queue(peer);
        if queue.events.is_empty() {
            let standing = queue.standing;
            self.turns.push_back(peer);
            let turn = self.turn(standing);
            self.queue(peer).deficit = turn;
        }
        let queue = self.queue(peer);
        queue.bytes = queue.bytes.saturating_add(queued.bytes);
        let left = if queue.is_connected { 0 } else { queued.bytes };
        queue.events.push_back(queued);
        self.left_bytes = self.left_bytes.saturating_add(left);
        self.length = self.length.saturating_add(1);
    }

    /// The next event by the turns.
    fn pop(&mut self) -> Option<Queued> {
        let mut passed = 0;
        loop {
            let peer = *self.turns.front()?;
            let Some(queue) = self.peers.get_mut(&peer) else {
                self.turns.pop_front();
                continue;
            };
            let Some(work) = queue.events.front().map(|queued| queued.work) else {
                self.turns.pop_front();
                continue;
            };
            if work <= queue.deficit {
                queue.deficit -= work;
                return self.take_first(peer);
            }
            let standing = queue.standing;
            let turn = self.turn(standing);
            let queue = self.queue(peer);
            queue.deficit = queue.deficit.saturating_add(turn);
            self.turns.rotate_left(1);
            passed += 1;
            if passed >= self.turns.len() {
                self.skip_rounds();
                passed = 0;
            }
        }
    }

    fn take_first(&mut self, peer: PeerId) -> Option<Queued> {
        let queue = self.peers.get_mut(&peer)?;
        let queued = queue.events.pop_front()?;
        queue.bytes = queue.bytes.saturating_sub(queued.bytes);
        if !queue.is_connected {
            self.left_bytes = self.left_bytes.saturating_sub(queued.bytes);
        }
        self.length = self.length.saturating_sub(1);
        if queue.events.is_empty() {
            if !queue.is_connected {
                self.peers.remove(&peer);
            }
            self.turns.pop_front();
        }
        Some(queued)
    }

    /// After a round in which nobody could be served: adds the rounds that are still missing until somebody can.
    fn skip_rounds(&mut self) {
        let (of_member, of_stranger) = (self.turn(Standing::Member), self.turn(Standing::Stranger));
        let turn = |queue: &PeerQueue| match queue.standing {
            Standing::Member => of_member,
            Standing::Stranger => of_stranger,
        };
        let missing = |queue: &PeerQueue| {
            let work = queue.events.front().map_or(0, |queued| queued.work);
            work.saturating_sub(queue.deficit).div_ceil(turn(queue).max(1))
        };
        let waiting = || self.turns.iter().filter_map(|peer| self.peers.get(peer));
        let rounds = waiting().map(missing).min().unwrap_or(0);
        for peer in &self.turns {
            if let Some(queue) = self.peers.get_mut(peer) {
                queue.deficit = queue.deficit.saturating_add(turn(queue).saturating_mul(rounds));
            }
        }
    }

    /// A peer is gone: what it left is kept while there is room.
    fn leave(&mut self, peer: PeerId, tells: bool) {
        let queue = self.queue(peer);
        queue.is_connected = false;
        let left = queue.bytes;
        self.left_bytes = self.left_bytes.saturating_add(left);
        if self.left_bytes > LEFT_BYTES_MAX {
            self.left_bytes = self.left_bytes.saturating_sub(left);
            let queue = self.queue(peer);
            let before = queue.events.len();
            queue.events.retain(|queued| !queued.is_message());
            queue.bytes = 0;
            let dropped = before - queue.events.len();
            self.length = self.length.saturating_sub(dropped);
        }
        let queue = self.queue(peer);
        let unheard =
            queue.events.back().is_some_and(|last| matches!(last.event, NetworkEvent::Connected { .. }));
        if unheard {
            // Nobody heard that it came, so nobody needs to hear that it went.
            queue.events.pop_back();
            self.length = self.length.saturating_sub(1);
        } else if tells {
            self.push(peer, Queued::told(NetworkEvent::Disconnected { peer }));
        }
        if self.queue(peer).events.is_empty() {
            self.peers.remove(&peer);
            self.turns.retain(|waiting| *waiting != peer);
        }
    }
}

struct Shared {
    state: Mutex<State>,
    filled: Notify,
}

/// The end where events are put in. When it is dropped the receiver ends.
pub(crate) struct EventSender {
    shared: Arc<Shared>,
    /// Whether connections are told of here.
    tells: bool,
}

/// The end where events are taken, in fair turns.
pub struct EventReceiver {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for EventReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EventReceiver({} waiting)", self.len())
    }
}

/// An empty queue. With `tells` it also carries who comes and goes.
pub(crate) fn event_queue(tells: bool) -> (EventSender, EventReceiver) {
    let shared = Arc::new(Shared { state: Mutex::default(), filled: Notify::new() });
    (EventSender { shared: Arc::clone(&shared), tells }, EventReceiver { shared })
}

impl EventSender {
    /// A peer is there. Never waits.
    pub(crate) fn connected(&self, peer: PeerId, address: SocketAddr, inbound: bool) {
        let mut state = self.shared.state.lock();
        if state.receiver_gone {
            return;
        }
        let queue = state.queue(peer);
        queue.is_connected = true;
        let back = queue.bytes;
        state.left_bytes = state.left_bytes.saturating_sub(back);
        if self.tells {
            state.push(peer, Queued::told(NetworkEvent::Connected { peer, address, inbound }));
        }
        drop(state);
        self.shared.filled.notify_one();
    }

    /// A peer is gone. Never waits.
    pub(crate) fn disconnected(&self, peer: PeerId) {
        let mut state = self.shared.state.lock();
        if state.receiver_gone {
            return;
        }
        state.leave(peer, self.tells);
        drop(state);
        self.shared.filled.notify_one();
    }

    /// A peer said something, and `held` is the room that it takes until then. False when nobody takes events any more.
    pub(crate) fn message(
        &self,
        (peer, standing): (PeerId, Standing),
        message: Message,
        bytes: usize,
        held: Held,
    ) -> bool {
        let work = MessageKind::of(&message).work_bytes(bytes).saturating_add(EVENT_BYTES);
        let mut state = self.shared.state.lock();
        if state.receiver_gone {
            return false;
        }
        let is_connected = state.peers.get(&peer).is_some_and(|queue| queue.is_connected);
        let bytes = bytes.saturating_add(EVENT_BYTES);
        if !is_connected && state.left_bytes.saturating_add(bytes) > LEFT_BYTES_MAX {
            return true;
        }
        state.queue(peer).standing = standing;
        let event = NetworkEvent::Message { peer, message };
        state.push(peer, Queued { event, work, bytes, _held: held });
        drop(state);
        self.shared.filled.notify_one();
        true
    }
}

#[cfg(test)]
impl EventSender {
    /// How many events wait.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.state.lock().length
    }
}

impl Drop for EventSender {
    fn drop(&mut self) {
        self.shared.state.lock().sender_gone = true;
        self.shared.filled.notify_one();
    }
}

impl EventReceiver {
    /// The next event, if there is one now.
    pub fn try_recv(&mut self) -> Option<NetworkEvent> {
        self.shared.state.lock().pop().map(|queued| queued.event)
    }

    /// The next event; `None` when the network has stopped and all was taken.
    pub async fn recv(&mut self) -> Option<NetworkEvent> {
        let mut one = Vec::with_capacity(1);
        self.recv_many(&mut one, 1).await;
        one.pop()
    }

    /// Waits for an event and appends it with those that follow by the turns, at most `limit`, and no more once they
    /// are enough work. Says how many; 0 when the network has stopped and all was taken. Nothing is lost when the call is
    /// dropped before it is done.
    pub async fn recv_many(&mut self, events: &mut Vec<NetworkEvent>, limit: usize) -> usize {
        loop {
            let (count, has_ended) = self.take(events, limit);
            if count > 0 || has_ended || limit == 0 {
                return count;
            }
            self.shared.filled.notified().await;
        }
    }

    /// What is there now, and whether more can come.
    fn take(&self, events: &mut Vec<NetworkEvent>, limit: usize) -> (usize, bool) {
        let mut state = self.shared.state.lock();
        let (mut count, mut work) = (0, 0_usize);
        while count < limit && work < HANDED_WORK_BYTES {
            let Some(queued) = state.pop() else { break };
            work = work.saturating_add(queued.work);
            count += 1;
            events.push(queued.event);
        }
        (count, state.sender_gone)
    }

    /// How many events wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.state.lock().length
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for EventReceiver {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        *state = State { receiver_gone: true, sender_gone: state.sender_gone, ..State::default() };
    }
}

#[cfg(test)]
#[path = "tests/events.rs"]
mod tests;
