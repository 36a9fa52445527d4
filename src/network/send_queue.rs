//! What waits to be written to one peer: two lanes, each bounded by count and bytes.
//!
//! # Place
//! Everybody who sends puts encoded messages in; the writer of the connection takes plaintexts of records out.
//!
//! # Invariants
//! - INV-NET-6: each lane stays within its bounds. A full bulk lane refuses; a full urgent lane ends the connection,
//!   because a peer that misses votes without knowing it is worse than a peer that connects again.
//! - INV-NET-7: bulk bytes leave only against credit of the receiver.
//!
//! # Concurrency
//! One short mutex; a broadcast puts the same `Bytes` into each queue, so it is encoded and stored once.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::frame::{BULK_WINDOW_BYTES, FrameError, LENGTH_BYTES, Lane, PLAINTEXT_BYTES_MAX};

/// Urgent messages that wait for one peer, at most: 3 s of the most that 100 validators say.
pub(crate) const URGENT_MESSAGES_MAX: usize = 65_536;
/// Their bytes, at most.
pub(crate) const URGENT_BYTES_MAX: usize = 32 << 20;
/// Bulk messages that wait for one peer, at most: 6 s of 5,000 transactions a second.
pub(crate) const BULK_MESSAGES_MAX: usize = 32_768;
/// Their bytes, at most: two of the largest blocks.
pub(crate) const BULK_BYTES_MAX: usize = 32 << 20;

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

#[derive(Default)]
struct LaneQueue {
    messages: VecDeque<Bytes>,
    bytes: usize,
    /// Bytes of the first message, its length included, that were taken already.
    taken: usize,
}

impl LaneQueue {
    fn push(&mut self, message: Bytes, messages_max: usize, bytes_max: usize) -> bool {
        let bytes = self.bytes.saturating_add(message.len());
        // A message that is larger than the whole queue would never go out, so an empty queue takes any.
        let fits = self.messages.is_empty() || bytes <= bytes_max;
        if !fits || self.messages.len() >= messages_max {
            return false;
        }
        self.bytes = bytes;
        self.messages.push_back(message);
        true
    }

    /// Appends the lane's next bytes, at most `room` of them; says how many.
    fn take(&mut self, plaintext: &mut Vec<u8>, room: usize) -> usize {
        let mut left = room;
        while left > 0 {
            let Some(message) = self.messages.front() else { break };
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
                self.bytes = self.bytes.saturating_sub(message.len());
                self.taken = 0;
                self.messages.pop_front();
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

    /// Puts an encoded message at the end of its lane.
    pub(crate) fn push(&self, urgent: bool, message: Bytes) -> Result<(), SendError> {
        let mut state = self.state.lock();
        if urgent {
            if !state.urgent.push(message, URGENT_MESSAGES_MAX, URGENT_BYTES_MAX) {
                return Err(SendError::UrgentFull);
            }
        } else if !state.bulk.push(message, BULK_MESSAGES_MAX, BULK_BYTES_MAX) {
            return Err(SendError::BulkFull);
        }
        drop(state);
        self.filled.notify_one();
        Ok(())
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
            queue.push(true, Bytes::from(message.clone())).unwrap();
            expected.extend(u32::try_from(message.len()).unwrap().to_le_bytes());
            expected.extend(message);
        }
        assert_eq!(stream(&queue, Lane::Urgent), expected);
        assert_eq!(queue.state.lock().urgent.bytes, 0);
    }

    /// INV-NET-6.
    #[test]
    fn a_full_lane_refuses_and_the_other_one_does_not_care() {
        let queue = SendQueue::new();
        let large = Bytes::from(vec![0; BULK_BYTES_MAX / 2]);
        queue.push(false, large.clone()).unwrap();
        queue.push(false, large.clone()).unwrap();
        assert_eq!(queue.push(false, Bytes::from_static(b"x")), Err(SendError::BulkFull));
        for _ in 0..URGENT_MESSAGES_MAX {
            queue.push(true, Bytes::from_static(b"x")).unwrap();
        }
        assert_eq!(queue.push(true, Bytes::from_static(b"x")), Err(SendError::UrgentFull));
    }

    /// INV-NET-7.
    #[test]
    fn bulk_bytes_leave_against_credit_only() {
        let queue = SendQueue::new();
        queue.push(false, Bytes::from(vec![0; BULK_WINDOW_BYTES])).unwrap();
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
