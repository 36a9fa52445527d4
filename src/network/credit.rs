//! The window of credit for bulk messages, as the receiver counts it.
//!
//! # Place
//! `session.rs` charges what arrives; what was taken by the consumer, or dropped, comes back by dropping [`Credit`].
//!
//! # Invariants
//! - INV-NET-21: what a peer sent in the bulk lane and nobody took yet is at most [`BULK_WINDOW_BYTES`], but for one
//!   large message, whose memory is taken from a pool first.
//!
//! # Concurrency
//! A short mutex. Grants go out by the send queue of the same connection.

use std::sync::Arc;

use parking_lot::Mutex;

use super::frame::{BULK_WINDOW_BYTES, FrameError};
use super::pools::Taken;
use super::send_queue::SendQueue;

/// Bytes that were taken are told to the sender in steps of at least this.
const GRANT_BYTES_MIN: usize = BULK_WINDOW_BYTES / 4;

#[derive(Default)]
struct Window {
    /// Bulk bytes that came and were not granted again.
    outstanding: usize,
    /// Bytes that were taken and are not told yet.
    released: usize,
}

/// The window of one connection.
pub(crate) struct CreditWindow {
    window: Mutex<Window>,
    queue: Arc<SendQueue>,
}

impl CreditWindow {
    /// Nothing has come yet; grants go into `queue`.
    pub(crate) fn new(queue: Arc<SendQueue>) -> Self {
        Self { window: Mutex::default(), queue }
    }

    /// Counts bytes that came.
    ///
    /// # Errors
    /// When the peer had no credit for them.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), FrameError> {
        let mut window = self.window.lock();
        window.outstanding = window.outstanding.saturating_add(bytes);
        match window.outstanding.saturating_sub(BULK_WINDOW_BYTES) {
            0 => Ok(()),
            bytes => Err(FrameError::CreditExceeded { bytes }),
        }
    }

    /// Gives bytes back to the peer.
    pub(crate) fn release(&self, bytes: usize) {
        let mut window = self.window.lock();
        window.released = window.released.saturating_add(bytes);
        if window.released < GRANT_BYTES_MIN {
            return;
        }
        let granted = std::mem::take(&mut window.released);
        window.outstanding = window.outstanding.saturating_sub(granted);
        drop(window);
        self.queue.grant(granted);
    }

    /// Whether the peer can send anything: what does not come although it could is the peer's own delay.
    pub(crate) fn has_room(&self) -> bool {
        self.window.lock().outstanding < BULK_WINDOW_BYTES
    }
}

/// What one bulk message holds until it is taken.
pub(crate) struct Credit {
    window: Arc<CreditWindow>,
    bytes: usize,
    /// The memory of a large message, and a place among those that wait.
    _held: (Option<Taken>, Taken),
}

impl Credit {
    /// Bytes of the window, what a pool gave, and the place among messages that wait.
    pub(crate) const fn new(window: Arc<CreditWindow>, bytes: usize, held: (Option<Taken>, Taken)) -> Self {
        Self { window, bytes, _held: held }
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.window.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_granted_again_in_steps_and_no_more_is_let_in() {
        let window = Arc::new(CreditWindow::new(Arc::new(SendQueue::new())));
        window.charge(BULK_WINDOW_BYTES).unwrap();
        assert!(!window.has_room());
        let places = Arc::new(tokio::sync::Semaphore::new(2));
        let place = || Arc::clone(&places).try_acquire_owned().unwrap();
        let credit = Credit::new(Arc::clone(&window), GRANT_BYTES_MIN - 1, (None, place()));
        let last = Credit::new(Arc::clone(&window), 1, (None, place()));
        drop(credit);
        assert!(!window.has_room(), "too little to tell");
        drop(last);
        assert!(window.has_room());
        window.charge(GRANT_BYTES_MIN).unwrap();
        let error = window.charge(1).unwrap_err();
        assert!(matches!(error, FrameError::CreditExceeded { bytes: 1 }), "INV-NET-21: {error}");
    }

    /// INV-NET-21: however often the window is used, it never grows.
    #[test]
    fn what_was_granted_is_granted_once() {
        let window = Arc::new(CreditWindow::new(Arc::new(SendQueue::new())));
        window.charge(BULK_WINDOW_BYTES).unwrap();
        for _ in 0..8 {
            window.release(GRANT_BYTES_MIN);
            window.charge(GRANT_BYTES_MIN).unwrap();
            window.release(1);
            assert!(!window.has_room(), "a byte is too little to tell");
            window.release(GRANT_BYTES_MIN - 1);
            window.charge(GRANT_BYTES_MIN).unwrap();
            assert!(!window.has_room());
        }
    }
}
