//! The thread that checks signatures of blocks ahead ([`ahead`](super::ahead)).
//!
//! # Concurrency
//! Consensus hands over answers and never waits: what finds no room comes back unchecked.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use super::super::events::Event;
use super::super::inbox::ConsensusHandle;
use super::ahead::BlocksToCheck;
use crate::runtime::TaskRegistry;
use crate::runtime::priority::{self, Priority};
use crate::runtime::stages::{Stage, enter};
use crate::runtime::tasks::ThreadError;
use crate::types::SignatureVerifier;

/// Answers that wait to be checked, at most: as many as may be outstanding. What is beyond is checked by consensus.
const WAITING_MAX: usize = super::RANGES_MAX * 2;

/// To the thread that checks.
#[derive(Clone, Debug)]
pub struct AheadSender(SyncSender<BlocksToCheck>);

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
        let (sender, waiting) = sync_channel(WAITING_MAX);
        registry.spawn_thread("blocks ahead", move || check_all(&waiting, &handle, &*verifier))?;
        Ok(Self(sender))
    }

    /// Hands over an answer. If too many wait it comes back as it is, for consensus to check.
    #[must_use]
    pub fn send(&self, order: BlocksToCheck) -> Option<Event> {
        match self.0.try_send(order) {
            Ok(()) => None,
            Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) => {
                Some(Event::BlocksChecked { answer: order.answer, held: Arc::default() })
            }
        }
    }
}

fn check_all(waiting: &Receiver<BlocksToCheck>, handle: &ConsensusHandle, verifier: &dyn SignatureVerifier) {
    priority::take(Priority::Background);
    while let Ok(order) = waiting.recv() {
        let _stage = enter(Stage::Signatures);
        let held = Arc::new(order.check(verifier));
        handle.hand_in(Event::BlocksChecked { answer: order.answer, held });
    }
}
