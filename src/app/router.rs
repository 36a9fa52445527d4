//! The way of a transaction into the node: checks, policy, pool, core, peers.
//!
//! # Place
//! RPC submits; the network's bulk lane and the core pass on what peers sent. What passes goes into the pool, to the
//! core and to the peers. Everything else of the bulk lane goes straight to the core.
//!
//! # Invariants
//! - INV-ROUTER-1: only a [`CheckedTransaction`] reaches pool and core.
//! - INV-ROUTER-2: what peers send is not held to be first: one of two conflicting transactions is the protocol's to
//!   choose. What a user submits is refused when it conflicts, since it would only wait.
//! - INV-ROUTER-3: all queues are bounded, and a full core holds back this thread and no vote.
//!
//! # Concurrency
//! One thread takes batches of up to [`BATCH_MAX`] transactions, so that signatures are checked together and nothing is
//! spawned for a single one; it may read the index for inputs that are not cached, which blocks nobody else. (A task
//! with `spawn_blocking` for the misses would need two hand-overs a batch and a way to tell a miss first.)

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::feeds::Feeds;
use crate::consensus::bft::BftConsensus;
use crate::consensus::core::Event;
use crate::consensus::engine::{ConsensusEngine, EngineStopped};
use crate::mempool::{PoolError, TransactionPool, TransactionSource};
use crate::network::{EventReceiver, Misbehaviour, NetworkEvent, NetworkHandle, PeerId};
use crate::protocol::state::LedgerState;
use crate::protocol::validity::{CheckedTransaction, TransactionError, check_spend};
use crate::rpc::api::{SubmitError, SubmitErrorClass};
use crate::runtime::tasks::ThreadError;
use crate::runtime::{Clock, TaskRegistry, metric_names};
use crate::storage::Index;
use crate::types::{Amount, Message, OutPoint, SignatureVerifier, Transaction, TxId, UtxoEntry};
use crate::utxo::{LockError, OutputState, UtxoManager};

/// Entries that wait for the router, at most. An entry is a transaction, or an answer of a peer with several.
pub const ROUTER_QUEUE_MAX: usize = 4_096;
/// Entries that are checked together, at most.
pub const BATCH_MAX: usize = 256;

struct Entry {
    transactions: Vec<Arc<Transaction>>,
    source: TransactionSource,
    answer: Option<oneshot::Sender<Result<TxId, SubmitError>>>,
}

/// Hands transactions in. Cheap to clone.
#[derive(Clone)]
pub struct Router {
    entries: mpsc::Sender<Entry>,
}

/// What the router's thread works with.
pub struct RouterParts {
    /// Checks signatures.
    pub verifier: Arc<dyn SignatureVerifier + Send + Sync>,
    /// The chain.
    pub bft: Arc<BftConsensus>,
    /// The way to the core.
    pub engine: Arc<ConsensusEngine>,
    /// The outputs.
    pub utxos: Arc<UtxoManager>,
    /// The pool.
    pub pool: Arc<TransactionPool>,
    /// Tells what the chain has.
    pub index: Arc<Index>,
    /// The peers.
    pub network: NetworkHandle,
    /// Remembers when what was accepted.
    pub feeds: Arc<Feeds>,
}

fn refuse(class: SubmitErrorClass, reason: &'static str, message: String, hint: &str) -> SubmitError {
    SubmitError { class, reason, message, hint: hint.to_owned() }
}

fn stopping() -> SubmitError {
    let message = "the node is stopping".to_owned();
    refuse(SubmitErrorClass::Internal, "stopping", message, "submit it to another node")
}

/// The receiving end of a [`Router`].
pub struct RouterInbox(mpsc::Receiver<Entry>);

impl Router {
    /// A router and the inbox that its thread will take from.
    #[must_use]
    pub fn new() -> (Self, RouterInbox) {
        let (entries, inbox) = mpsc::channel(ROUTER_QUEUE_MAX);
        (Self { entries }, RouterInbox(inbox))
    }

    /// Submits a user's transaction: checks it, takes it into the pool, and sends it to core and peers. One that the
    /// pool has is taken again without effect.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn submit(&self, transaction: Transaction) -> Result<TxId, SubmitError> {
        let (answer, answered) = oneshot::channel();
        let transactions = vec![Arc::new(transaction)];
        let entry = Entry { transactions, source: TransactionSource::Local, answer: Some(answer) };
        self.entries.send(entry).await.map_err(|_| stopping())?;
        answered.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// Transactions of a peer; waits for room.
    async fn take_from_peer(
        &self,
        peer: PeerId,
        transactions: Vec<Arc<Transaction>>,
    ) -> Result<(), EngineStopped> {
        let entry = Entry { transactions, source: TransactionSource::Peer(peer), answer: None };
        self.entries.send(entry).await.map_err(|_| EngineStopped)
    }

    /// Transactions of a peer, dropped when the queue is full: they can be asked for again. Never waits.
    pub(super) fn offer(&self, peer: PeerId, transactions: Vec<Arc<Transaction>>) {
        let entry = Entry { transactions, source: TransactionSource::Peer(peer), answer: None };
        if self.entries.try_send(entry).is_err() {
            tracing::debug!(peer = %peer.short(), "the router is busy; transactions of a peer dropped");
        }
    }
}

/// Takes the network's bulk events. Ends with the network or the node.
pub async fn route_bulk(mut events: EventReceiver, router: Router, engine: Arc<ConsensusEngine>) {
    while let Some(event) = events.recv().await {
        let NetworkEvent::Message { peer, message } = event else { continue };
        let taken = match message {
            Message::Transaction(transaction) => router.take_from_peer(peer, vec![transaction]).await,
            Message::Transactions(transactions) => router.take_from_peer(peer, transactions).await,
            message => engine.bulk(Event::Message { from: peer, message, verified: false }).await,
        };
        if taken.is_err() {
            return;
        }
    }
}

/// Starts the router's thread; it ends when the token is cancelled.
///
/// # Errors
/// When there is no thread to be had.
pub fn start_router(
    inbox: RouterInbox,
    parts: RouterParts,
    registry: &TaskRegistry,
) -> Result<(), ThreadError> {
    let token = registry.token().clone();
    let handle = tokio::runtime::Handle::current();
    registry.spawn_thread("router", move || {
        let RouterInbox(mut entries) = inbox;
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let received = handle.block_on(async {
                tokio::select! {
                    count = entries.recv_many(&mut batch, BATCH_MAX) => count,
                    () = token.cancelled() => 0,
                }
            });
            if received == 0 || parts.admit_batch(std::mem::take(&mut batch)).is_err() {
                return;
            }
        }
    })
}

/// Where a transaction of a batch came from.
struct Origin {
    source: TransactionSource,
    answer: Option<oneshot::Sender<Result<TxId, SubmitError>>>,
}

impl Origin {
    fn answer(self, outcome: Result<TxId, SubmitError>) {
        if let Err(error) = &outcome {
            metrics::counter!(metric_names::MEMPOOL_REJECTED_TOTAL, "reason" => error.reason).increment(1);
        }
        if let Some(answer) = self.answer {
            // Whoever asked may be gone.
            let _told = answer.send(outcome).is_ok();
        }
    }
}

/// What a transaction spends, as far as it is known here.
struct Spend {
    entries: Vec<UtxoEntry>,
    missing: Option<OutPoint>,
}

impl RouterParts {
    fn admit_batch(&self, entries: Vec<Entry>) -> Result<(), EngineStopped> {
        let state = self.bft.state();
        let mut transactions = Vec::with_capacity(entries.len());
        let mut origins = Vec::with_capacity(entries.len());
        let mut seen = BTreeSet::new();
        for entry in entries {
            let Entry { transactions: some, source, mut answer } = entry;
            for transaction in some {
                let origin = Origin { source, answer: answer.take() };
                let txid = transaction.txid();
                if self.is_known(&txid, source) {
                    origin.answer(Ok(txid));
                } else if source == TransactionSource::Local || seen.insert(txid) {
                    transactions.push(transaction);
                    origins.push(origin);
                }
            }
        }
        if transactions.is_empty() {
            return Ok(());
        }
        let (chain_id, parameters) = (state.chain_id(), state.parameters());
        let checked = CheckedTransaction::check_many(transactions, chain_id, parameters, &*self.verifier);
        for (checked, origin) in checked.into_iter().zip(origins) {
            match checked {
                Ok(transaction) => self.admit(transaction, origin, &state)?,
                Err(error) => {
                    if let TransactionSource::Peer(peer) = origin.source {
                        let what = match &error {
                            TransactionError::BadSignature { .. } | TransactionError::BadConsent { .. } => {
                                Misbehaviour::InvalidSignature
                            }
                            _ => Misbehaviour::InvalidContent,
                        };
                        self.network.report(peer, what);
                    }
                    origin.answer(Err(invalid(&error)));
                }
            }
        }
        Ok(())
    }

    /// Whether nothing is to be done for a transaction. What a peer sends may be a body that the core asked for, though
    /// the pool has it: the core is what counts then, and it holds all that the pool holds.
    fn is_known(&self, txid: &TxId, source: TransactionSource) -> bool {
        match source {
            TransactionSource::Local => self.pool.get(txid).is_some(),
            TransactionSource::Peer(_) => self
                .pool
                .status(txid)
                .is_some_and(|status| status.included.is_some() || status.stage.is_uncertified()),
        }
    }

    fn admit(
        &self,
        transaction: CheckedTransaction,
        origin: Origin,
        state: &LedgerState,
    ) -> Result<(), EngineStopped> {
        let txid = transaction.txid();
        let fee = match self.judge(&transaction, origin.source, state) {
            Ok(fee) => fee,
            Err(error) => {
                origin.answer(Err(error));
                return Ok(());
            }
        };
        let is_local = origin.source == TransactionSource::Local;
        // The lock in the mirror turns later conflicts away at once; the core's word replaces it.
        match self.utxos.lock(&transaction) {
            Err(LockError::Conflict(conflict)) if is_local => {
                let message = format!("txn-mempool-conflict: {conflict}");
                let hint = "wait until that one is final, or spend other outputs";
                origin.answer(Err(refuse(SubmitErrorClass::Inputs, "txn_mempool_conflict", message, hint)));
                return Ok(());
            }
            Err(LockError::InChain { .. }) => {
                origin.answer(Err(confirmed(txid)));
                return Ok(());
            }
            _ => {}
        }
        let (now_ms, now) = (Clock.now_ms(), Clock.instant());
        let is_new = match self.pool.insert(transaction.clone(), fee, now_ms, origin.source) {
            Ok(_) => true,
            Err(PoolError::AlreadyKnown) => false,
            Err(PoolError::AlreadyInChain { .. }) => {
                origin.answer(Err(confirmed(txid)));
                return Ok(());
            }
            Err(error) => {
                self.utxos.release(&transaction);
                let hint = "pay a higher fee, or try again later";
                origin.answer(Err(refuse(SubmitErrorClass::Policy, error.reason(), error.to_string(), hint)));
                return Ok(());
            }
        };
        let except = match origin.source {
            TransactionSource::Local => None,
            TransactionSource::Peer(peer) => Some(peer),
        };
        if is_new {
            self.feeds.accepted(txid, now_ms, now);
        }
        let message = is_new.then(|| Message::Transaction(Arc::clone(transaction.transaction())));
        self.engine.bulk_blocking(Event::Transaction(transaction))?;
        if let Some(message) = message {
            self.network.broadcast(&message, except);
        }
        origin.answer(Ok(txid));
        Ok(())
    }

    /// What the node knows of the inputs. An output of a transaction that is in the pool counts as there: its child
    /// waits for it.
    fn spend_of(&self, transaction: &CheckedTransaction) -> Spend {
        let mut spend = Spend { entries: Vec::with_capacity(transaction.inputs().len()), missing: None };
        for outpoint in transaction.inputs() {
            let found = self.utxos.find_output(outpoint).or_else(|| {
                let parent = self.pool.get(&outpoint.txid)?;
                let place = usize::try_from(outpoint.index).ok()?;
                parent.outputs().get(place).map(|output| (*output, None))
            });
            match found {
                Some((output, height)) => {
                    spend.entries.push(UtxoEntry { output, height: height.unwrap_or(0) });
                }
                None => {
                    spend.missing.get_or_insert(*outpoint);
                }
            }
        }
        spend
    }

    /// Whether a transaction of the pool has marked its output as collateral.
    fn is_marked(&self, outpoint: &OutPoint) -> bool {
        let made_by = self.pool.get(&outpoint.txid);
        made_by.is_some_and(|parent| parent.transaction().marked_collateral() == Some(outpoint.index))
    }

    /// The fee, or why the transaction is turned away.
    fn judge(
        &self,
        transaction: &CheckedTransaction,
        source: TransactionSource,
        state: &LedgerState,
    ) -> Result<Amount, SubmitError> {
        // Bound though no block says so yet: it would wait, and be refused then. What a peer sends is the core's to judge.
        let is_local = source == TransactionSource::Local;
        let marked = transaction.inputs().iter().find(|outpoint| is_local && self.is_marked(outpoint));
        if let Some(outpoint) = marked {
            return Err(invalid(&TransactionError::CollateralBound { outpoint: *outpoint }));
        }
        let spend = self.spend_of(transaction);
        let Some(missing) = spend.missing else {
            return check_spend(transaction, &spend.entries, state).map_err(|error| invalid(&error));
        };
        let txid = transaction.txid();
        if let OutputState::Confirmed { by, height } = self.utxos.output_state(&missing) {
            if by == txid {
                return Err(confirmed(txid));
            }
            let message =
                format!("bad-txns-inputs-spent: {missing} was spent by transaction {by} in block {height}");
            let hint = "spend other outputs";
            return Err(refuse(SubmitErrorClass::Inputs, "bad_txns_inputs_spent", message, hint));
        }
        if matches!(self.index.transaction(&txid), Ok(Some(_))) {
            return Err(confirmed(txid));
        }
        match source {
            // Its parent may be on its way; the core keeps a bounded number of such. Without a known fee it is the
            // first to be evicted.
            TransactionSource::Peer(_) => Ok(Amount::ZERO),
            TransactionSource::Local => {
                let message = format!("bad-txns-inputs-missingorspent: this node knows no output {missing}");
                let hint = "submit the transaction that makes it first, or wait until this node is synced";
                Err(refuse(SubmitErrorClass::Inputs, "bad_txns_inputs_missingorspent", message, hint))
            }
        }
    }
}

fn invalid(error: &TransactionError) -> SubmitError {
    let hint = "build and sign the transaction anew";
    refuse(SubmitErrorClass::Invalid, error.reason(), error.to_string(), hint)
}

fn confirmed(txid: TxId) -> SubmitError {
    let message = format!("transaction {txid} is in a block already");
    refuse(SubmitErrorClass::AlreadyConfirmed, "already_in_chain", message, "nothing is left to do")
}
