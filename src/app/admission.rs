//! What admission's thread does of the rest of the node.

use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::feeds::Feeds;
use crate::admission::{AdmissionHandle, Node, NodeStopped};
use crate::consensus::engine::BodyChecks;
use crate::consensus::events::{Answer, Event, Recipient};
use crate::consensus::inbox::ConsensusHandle;
use crate::consensus::serve::AnswerServer;
use crate::consensus::view::ConsensusView;
use crate::network::{PeerId, Standing};
use crate::protocol::state::LedgerState;
use crate::protocol::validity::CheckedTransaction;
use crate::rpc::EventLog;
use crate::types::{Message, TimeMs, Transaction, TxId};

/// The node behind admission.
pub(super) struct AdmittedTo {
    /// The chain.
    bft: Arc<ConsensusView>,
    /// The way to the core.
    engine: Arc<ConsensusHandle>,
    /// Remembers when what was accepted.
    feeds: Arc<Feeds>,
    /// Tells of it.
    events: Arc<EventLog>,
}

impl AdmittedTo {
    /// What takes transactions, and what remembers and tells that it did.
    pub(super) fn new(
        (bft, engine): (&Arc<ConsensusView>, &Arc<ConsensusHandle>),
        (feeds, events): (&Arc<Feeds>, &Arc<EventLog>),
    ) -> Self {
        Self {
            bft: Arc::clone(bft),
            engine: Arc::clone(engine),
            feeds: Arc::clone(feeds),
            events: Arc::clone(events),
        }
    }
}

impl Node for AdmittedTo {
    fn state(&self) -> Arc<LedgerState> {
        self.bft.state()
    }

    fn consider(&self, transaction: CheckedTransaction) -> Result<(), NodeStopped> {
        self.engine.queue_blocking(Event::Transaction(transaction)).map_err(|_| NodeStopped)
    }

    fn expired(&self, txids: Vec<TxId>) -> Result<(), NodeStopped> {
        self.engine.queue_blocking(Event::Expired(txids)).map_err(|_| NodeStopped)
    }

    fn wake(&self) {
        self.engine.wake();
    }

    fn accepted(&self, txid: TxId, now_ms: TimeMs, now: Instant) {
        self.feeds.accepted(txid, now_ms, now);
        self.events.accepted(txid, now);
    }

    fn changed(&self, txid: &TxId) {
        self.feeds.changed(txid);
    }
}

impl BodyChecks for AdmissionHandle {
    fn bodies_requested(&self, txids: &[TxId]) {
        self.requested(txids);
    }

    fn check_transactions(&self, from: PeerId, transactions: Vec<Arc<Transaction>>) {
        self.offer(from, transactions);
    }
}

/// Where the bulk lane's messages go that carry no transactions: questions about snapshots, of which consensus knows nothing,
/// to a thread for these alone, all others to consensus. To prove a snapshot from somewhere may take a second: nobody who
/// waits for votes or blocks waits for that.
pub(super) fn to_core(
    engine: Arc<ConsensusHandle>,
    snapshots: Arc<AnswerServer>,
) -> impl Fn(PeerId, Message) -> BoxFuture<'static, Result<(), NodeStopped>> + Send {
    move |from, message| {
        let question = match message {
            Message::GetSnapshots => Some(Answer::Snapshots),
            Message::GetSnapshotItem { height, item } => Some(Answer::SnapshotItem { height, item }),
            _ => None,
        };
        if let Some(answer) = question {
            // Members have their snapshots; who asks here is new, whoever it is.
            snapshots.serve(Recipient::Peer(from), Standing::Stranger, answer);
            return std::future::ready(Ok(())).boxed();
        }
        let engine = Arc::clone(&engine);
        let event = Event::Message { from, message, verified: false };
        async move { engine.bulk(event).await.map_err(|_| NodeStopped) }.boxed()
    }
}
