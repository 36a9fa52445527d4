//! What waits to be written to one peer: two lanes, each bounded in bytes.
//!
//! # Place
//! Everybody who sends puts encoded messages in; the writer of the connection takes plaintexts of records out.
//!
//! # Invariants
//! - INV-NET-6: each lane holds at most [`LANE_OWN_BYTES`] of its own and what a pool gave it, and never more than its
//!   limit. A full bulk lane refuses; a full urgent lane ends the connection, because a peer that misses votes without
//!   knowing it is worse than a peer that connects again.
//! - INV-NET-7: bulk bytes leave only against credit of the receiver.
//!
//! # Concurrency
//! One short mutex; a broadcast puts the same `Bytes` into each queue, so it is encoded and stored once. It is counted
//! in each queue all the same.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::frame::{BULK_WINDOW_BYTES, FrameError, LENGTH_BYTES, Lane, PLAINTEXT_BYTES_MAX};
use super::pools::Taken;
use crate::types::limits::MESSAGE_BYTES_MAX;

/// Bytes of each lane that a connection has of its own.
pub(crate) const LANE_OWN_BYTES: usize = 512 << 10;
/// Bytes of urgent messages that wait for one peer, at most: a fifth of a second of the most that 100 validators say.
pub(crate) const URGENT_BYTES_MAX: usize = 8 << 20;
/// Bytes of bulk messages that wait for one peer, at most: the largest block and what a connection has of its own.
pub(crate) const BULK_BYTES_MAX: usize = MESSAGE_BYTES_MAX + LANE_OWN_BYTES;
/// What a message that waits takes beside its bytes.
const ENTRY_BYTES: usize = 128;

/// Why a message did not get into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SendError {
    /// The bulk lane is full; the message is dropped.
    #[error("the peer's bulk queue is full")]
    BulkFull,
    /// The urgent lane is full; the peer does not keep up.
    #[error("the peer's urgent queue is full")]
    UrgentFull,
}

struct Waiting {
    message: Bytes,
    /// From a pool, if it did not fit into what the lane has of its own.
    pooled: Option<Taken>,
}

#[derive(Default)]
struct LaneQueue {
    messages: VecDeque<Waiting>,
    /// Of the lane's own memory.
    own_bytes: usize,
    /// Own and pooled.
    bytes: usize,
    /// Bytes of the first message, its length included, that were taken already.
    taken: usize,
}

impl LaneQueue {
    fn push(&mut self, message: Bytes, bytes_max: usize, pool: impl FnOnce(usize) -> Option<Taken>) -> bool {
        let size = message.len().saturating_add(ENTRY_BYTES);
        if self.bytes.saturating_add(size) > bytes_max {
            return false;
        }
        let own = self.own_bytes.saturating_add(size);
        let pooled = if own <= LANE_OWN_BYTES {
            self.own_bytes = own;
            None
        } else {
            let Some(taken) = pool(size) else { return false };
            Some(taken)
        };
        self.bytes = self.bytes.saturating_add(size);
        self.messages.push_back(Waiting { message, pooled });
        true
    }

    fn drop_first(&mut self) {
        let Some(Waiting { message, pooled }) = self.messages.pop_front() else { return };
        let size = message.len().saturating_add(ENTRY_BYTES);
        self.bytes = self.bytes.saturating_sub(size);
        if pooled.is_none() {
            self.own_bytes = self.own_bytes.saturating_sub(size);
        }
        self.taken = 0;
    }

    /// Appends the lane's next bytes, at most `room` of them; says how many.
    fn take(&mut self, plaintext: &mut Vec<u8>, room: usize) -> usize {
        let mut left = room;
        while left > 0 {
            let Some(Waiting { message, .. }) = self.messages.front() else { break };
            let prefix = u32::try_from(message.len()).unwrap_or(u32::MAX).to_le_bytes();
            let source = prefix
                .get(self.taken..)
                .filter(|rest| !rest.is_empty())
                .or_else(|| message.get(self.taken.saturating_sub(LENGTH_BYTES)..));
            let Some(source) = source else { break };
            let piece = source.get(..source.len().min(left)).unwrap_or(source);
            plaintext.extend_from_slice(piece);
            left -= piece.len();
            self.taken += piece.len();
            if self.taken == LENGTH_BYTES + message.len() {
                self.drop_first();
            }
        }
        room - left
    }
}

struct State {
    urgent: LaneQueue,
    bulk: LaneQueue,
    /// Bulk bytes that the receiver still takes.
    credit: usize,
    /// Bulk bytes that were taken from the peer and are to be told.
    grant: usize,
}

/// The queue of one connection.
pub(crate) struct SendQueue {
    state: Mutex<State>,
    filled: Notify,
}

impl SendQueue {
    /// An empty queue, with the credit that each side starts with.
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                urgent: LaneQueue::default(),
                bulk: LaneQueue::default(),
                credit: BULK_WINDOW_BYTES,
                grant: 0,
            }),
            filled: Notify::new(),
        }
    }

    /// Puts an encoded message at the end of its lane. What does not fit into the lane's own memory is asked of `pool`.
    pub(crate) fn push(
        &self,
        urgent: bool,
        message: Bytes,
        pool: impl FnOnce(usize) -> Option<Taken>,
    ) -> Result<(), SendError> {
        let mut state = self.state.lock();
        if urgent {
            if !state.urgent.push(message, URGENT_BYTES_MAX, pool) {
                return Err(SendError::UrgentFull);
            }
        } else if !state.bulk.push(message, BULK_BYTES_MAX, pool) {
            return Err(SendError::BulkFull);
        }
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Whether a lane has written nearly all that it was given, so that an answer of some MiB leaves room for what is said
    /// to everybody.
    pub(crate) fn has_room_for_answers(&self, is_urgent: bool) -> bool {
        let state = self.state.lock();
        let lane = if is_urgent { &state.urgent } else { &state.bulk };
        lane.bytes <= LANE_OWN_BYTES
    }

    /// Whether bulk messages wait, for credit or for their turn.
    pub(crate) fn has_bulk(&self) -> bool {
        !self.state.lock().bulk.messages.is_empty()
    }

    /// The receiver takes so many more bulk bytes.
    pub(crate) fn add_credit(&self, bytes: u32) -> Result<(), FrameError> {
        let mut state = self.state.lock();
        let credit = state.credit.saturating_add(usize::try_from(bytes).unwrap_or(usize::MAX));
        if credit > BULK_WINDOW_BYTES {
            return Err(FrameError::InvalidCredit);
        }
        state.credit = credit;
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Tells the peer that so many of its bulk bytes were taken.
    pub(crate) fn grant(&self, bytes: usize) {
        self.state.lock().grant += bytes;
        self.filled.notify_one();
    }

    /// Replaces `plaintext` by the next one of a lane; false if the lane has nothing to send now.
    pub(crate) fn take(&self, lane: Lane, plaintext: &mut Vec<u8>) -> bool {
        plaintext.clear();
        plaintext.push(lane.tag());
        let room = PLAINTEXT_BYTES_MAX - 1;
        let mut state = self.state.lock();
        match lane {
            Lane::Urgent => state.urgent.take(plaintext, room) > 0,
            Lane::Bulk => {
                let allowed = room.min(state.credit);
                let taken = state.bulk.take(plaintext, allowed);
                state.credit -= taken;
                taken > 0
            }
            Lane::Credit => {
                let bytes = u32::try_from(state.grant).unwrap_or(u32::MAX);
                state.grant -= usize::try_from(bytes).unwrap_or(state.grant);
                plaintext.extend_from_slice(&bytes.to_le_bytes());
                bytes > 0
            }
        }
    }

    /// Waits until something was put in since the last call.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::peer::Standing;
    use crate::network::pools::{Pool, Pools};

    const fn none(_: usize) -> Option<Taken> {
        None
    }

    fn stream(queue: &SendQueue, lane: Lane) -> Vec<u8> {
        let (mut all, mut plaintext) = (Vec::new(), Vec::new());
        while queue.take(lane, &mut plaintext) {
            assert!(plaintext.len() <= PLAINTEXT_BYTES_MAX);
            assert_eq!(plaintext[0], lane.tag());
            all.extend_from_slice(&plaintext[1..]);
        }
        all
    }

    #[test]
    fn messages_leave_in_order_with_their_lengths_whatever_the_records() {
        let queue = SendQueue::new();
        let messages: Vec<Vec<u8>> =
            [5_usize, 70_000, 1, 65_518, 65_510, 200_000].iter().map(|size| vec![9; *size]).collect();
        let mut expected = Vec::new();
        for message in &messages {
            queue.push(true, Bytes::from(message.clone()), none).unwrap();
            expected.extend(u32::try_from(message.len()).unwrap().to_le_bytes());
            expected.extend(message);
        }
        assert_eq!(stream(&queue, Lane::Urgent), expected);
        assert_eq!(queue.state.lock().urgent.bytes, 0);
    }

    /// INV-NET-6.
    #[test]
    fn a_full_lane_refuses_and_the_other_one_does_not_care() {
        let pools = Pools::default();
        let queue = SendQueue::new();
        let take = |bytes| pools.send_bulk.try_take(Standing::Stranger, bytes);
        let block = Bytes::from(vec![0; MESSAGE_BYTES_MAX - ENTRY_BYTES]);
        queue.push(false, block.clone(), take).unwrap();
        assert_eq!(
            queue.push(false, block.clone(), take),
            Err(SendError::BulkFull),
            "one of these is enough"
        );
        // What it has of its own is still free.
        let quarter = Bytes::from(vec![0; LANE_OWN_BYTES / 4 - ENTRY_BYTES]);
        for _ in 0..4 {
            queue.push(false, quarter.clone(), none).unwrap();
        }
        assert_eq!(queue.push(false, Bytes::from_static(b"x"), take), Err(SendError::BulkFull), "INV-NET-6");
        let mut count = 0;
        let take = |bytes| pools.send_urgent.try_take(Standing::Stranger, bytes);
        while queue.push(true, quarter.clone(), take).is_ok() {
            count += 1;
        }
        assert_eq!(count, URGENT_BYTES_MAX / (LANE_OWN_BYTES / 4), "INV-NET-6");
        assert_eq!(queue.push(true, Bytes::from_static(b"x"), none), Err(SendError::UrgentFull));
    }

    #[test]
    fn an_empty_pool_leaves_each_connection_its_own() {
        let queue = SendQueue::new();
        let half = Bytes::from(vec![0; LANE_OWN_BYTES / 2 - ENTRY_BYTES]);
        for _ in 0..2 {
            queue.push(true, half.clone(), none).unwrap();
        }
        assert_eq!(queue.push(true, Bytes::from_static(b"x"), none), Err(SendError::UrgentFull));
        assert_eq!(stream(&queue, Lane::Urgent).len(), 2 * (half.len() + LENGTH_BYTES));
        queue.push(true, half, none).unwrap();
    }

    #[test]
    fn a_message_of_a_pool_gives_it_back_when_it_is_written() {
        let pool = Pool::new(LANE_OWN_BYTES + ENTRY_BYTES);
        let queue = SendQueue::new();
        let take = |bytes| pool.try_take(Standing::Member, bytes);
        queue.push(true, Bytes::from(vec![0; LANE_OWN_BYTES]), take).unwrap();
        assert!(pool.try_take(Standing::Member, 1).is_none());
        stream(&queue, Lane::Urgent);
        assert!(pool.try_take(Standing::Member, LANE_OWN_BYTES + ENTRY_BYTES).is_some());
        let state = queue.state.lock();
        assert_eq!((state.urgent.bytes, state.urgent.own_bytes), (0, 0));
    }

    /// INV-NET-7.
    #[test]
    fn bulk_bytes_leave_against_credit_only() {
        let (queue, pools) = (SendQueue::new(), Pools::default());
        let take = |bytes| pools.send_bulk.try_take(Standing::Stranger, bytes);
        queue.push(false, Bytes::from(vec![0; BULK_WINDOW_BYTES]), take).unwrap();
        assert_eq!(stream(&queue, Lane::Bulk).len(), BULK_WINDOW_BYTES);
        queue.add_credit(3).unwrap();
        assert_eq!(stream(&queue, Lane::Bulk).len(), 3);
        queue.add_credit(100).unwrap();
        assert_eq!(stream(&queue, Lane::Bulk).len(), 1, "the rest of the message");
        assert!(queue.add_credit(u32::MAX).is_err(), "more than the window");
        queue.grant(7);
        queue.grant(5);
        assert_eq!(stream(&queue, Lane::Credit), 12_u32.to_le_bytes());
        assert!(stream(&queue, Lane::Credit).is_empty());
    }
}
