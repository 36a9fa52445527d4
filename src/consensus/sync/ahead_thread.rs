//! The thread that checks signatures of blocks ahead ([`ahead`](super::ahead)).
//!
//! # Concurrency
//! Consensus hands over answers and never waits: what finds no room comes back unchecked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::super::events::Event;
use super::super::inbox::ConsensusHandle;
use super::ahead::BlocksToCheck;
use crate::runtime::TaskRegistry;
use crate::runtime::priority::{self, Priority};
use crate::runtime::stages::{Stage, enter};
use crate::runtime::tasks::ThreadError;
use crate::types::SignatureVerifier;

/// Answers that wait to be checked, at most: as many as may be outstanding. What is beyond is checked by consensus.
pub(crate) const WAITING_MAX: usize = super::RANGES_MAX * 2;
/// Encoded bytes of these answers, at most. They may outlive what sync holds of them, if their sender was found wanting.
pub const AHEAD_BYTES_MAX: usize = super::SYNC_BYTES_MAX;

/// To the thread that checks.
#[derive(Clone, Debug)]
pub struct AheadSender {
    orders: SyncSender<BlocksToCheck>,
    waiting_bytes: Arc<AtomicUsize>,
}

impl AheadSender {
    /// Starts the thread; it ends with the senders.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(
        handle: Arc<ConsensusHandle>,
        verifier: Arc<dyn SignatureVerifier + Send + Sync>,
        registry: &TaskRegistry,
    ) -> Result<Self, ThreadError> {
        let (orders, waiting) = sync_channel(WAITING_MAX);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let bytes = Arc::clone(&waiting_bytes);
        registry.spawn_thread("blocks ahead", move || check_all(&waiting, &bytes, &handle, &*verifier))?;
        Ok(Self { orders, waiting_bytes })
    }

    /// Hands over an answer. If too much waits it comes back as it is, for consensus to check.
    #[must_use]
    pub fn send(&self, order: BlocksToCheck) -> Option<Event> {
        let (answer, bytes) = (order.answer, order.bytes);
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= AHEAD_BYTES_MAX && self.orders.try_send(order).is_ok() {
            return None;
        }
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some(Event::BlocksChecked { answer, held: Arc::default() })
    }
}

fn check_all(
    waiting: &Receiver<BlocksToCheck>,
    waiting_bytes: &AtomicUsize,
    handle: &ConsensusHandle,
    verifier: &dyn SignatureVerifier,
) {
    priority::take(Priority::Background);
    while let Ok(order) = waiting.recv() {
        let _stage = enter(Stage::Signatures);
        let held = Arc::new(order.check(verifier));
        let (answer, bytes) = (order.answer, order.bytes);
        drop(order);
        waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        handle.hand_in(Event::BlocksChecked { answer, held });
    }
}
