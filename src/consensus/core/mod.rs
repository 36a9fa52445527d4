//! The executor of effects: runs the finality machine and the Tendermint machine over the ledger, and says what to
//! write, send and schedule.
//!
//! # Place
//! The node runs it on one thread of its own and does what the [`Output`]s say; the simulator does the same over a
//! simulated disk, network and clock. It opens no file and no socket, and reads no clock: the time comes with each
//! event.
//!
//! # Invariants
//! - INV-CORE-1: own votes and proposals leave as the payload of a [`Staged`] write and come back as
//!   [`Durable`]; only then do they count here and can they be sent.
//! - INV-CORE-2: the journal's order is the order in which effects were executed; `ClosingEntered` stands behind
//!   every vote that was cast before it, and before the first prevote at a closing height: so whoever has that prevote
//!   in the journal has the record, whatever has become of the chain's data.
//! - INV-CORE-3: for one (height, round, step) this node signs one value; what the journal holds is sent again as it
//!   was.
//! - INV-CORE-4: a block is applied once the block log says that it is durable, and in one place.
//! - INV-CORE-5: nothing is signed in an epoch of which the journal may have forgotten something. It forgets behind the
//!   epoch's closing block, so this concerns a node that lost the chain's data since.
//!
//! # Concurrency
//! One owner. Nothing here blocks, but for reads of outputs that are not cached and of journaled bodies.

mod batches;
mod blocks;
mod evidence;
mod fork;
mod gossip;
mod heartbeats;
mod restore;
mod signing;
mod sync;
mod votes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot;

use self::batches::BatchRequests;
use self::blocks::{Candidate, Committing};
use self::restore::JournaledMessages;
use self::votes::PendingBatch;
use super::verify::Voters;
use crate::network::PeerId;
use crate::protocol::bft::{self, TimeoutKind};
use crate::protocol::finality::{self, BatchStore, ChainView, DropReason, FinalVotes};
use crate::protocol::masternodes::{Receipt, Slashed};
use crate::protocol::state::LedgerState;
use crate::protocol::validity::CheckedTransaction;
use crate::storage::block_log::{BlockReader, LoggedBlock};
use crate::storage::disk::Disk;
use crate::storage::journal::{Durable, JournalReader, Staged};
use crate::types::fork::ForkProof;
use crate::types::message::NodeStatus;
use crate::types::{
    BlockHash, BlockVote, Commit, CommittedBlock, Epoch, Evidence, Height, MasternodeId, Message, OutPoint,
    Round, SecretKey, SignatureVerifier, TimeMs, Transaction, TxId, UtxoEntry, VoteStep,
};
use crate::utxo::UtxoManager;

pub use self::heartbeats::{HEARTBEAT_INTERVAL_MS, HeardHeartbeat};
pub use self::restore::{Opened, Restart};
pub use self::signing::Signing;

/// Messages of the next height or epoch that are kept for each peer until they can be checked.
pub const EARLY_MESSAGES_MAX: usize = 1_024;
/// Blocks that sync holds before they are applied.
pub const SYNC_QUEUE_MAX: usize = 512;
/// How often peers are told where this node stands, and asked for what it lacks, in milliseconds.
pub const STATUS_INTERVAL_MS: u64 = 250;
/// How long an answer to a request is waited for before another peer is asked, in milliseconds.
pub const REQUEST_TIMEOUT_MS: u64 = 2_000;
/// A height that is overdue by more than this, without a quorum of prevotes, is reported as halted, in milliseconds.
pub const HALT_AFTER_MS: u64 = 3_000;

/// Reads bodies of transactions from the vote journal.
pub trait BodyReader: Send + Sync {
    /// The body, if the journal holds it and can be read.
    fn body(&self, txid: &TxId) -> Option<Arc<Transaction>>;
}

impl<D: Disk> BodyReader for JournalReader<D> {
    fn body(&self, txid: &TxId) -> Option<Arc<Transaction>> {
        self.transaction(txid).unwrap_or_else(|problem| {
            tracing::error!(%problem, "can't read the vote journal");
            None
        })
    }
}

/// Reads committed blocks from the block log.
pub trait BlockSource: Send + Sync {
    /// The block at a height, if the log holds it and can be read.
    fn block(&self, height: Height) -> Option<Arc<CommittedBlock>>;
}

impl<D: Disk> BlockSource for BlockReader<D> {
    fn block(&self, height: Height) -> Option<Arc<CommittedBlock>> {
        self.read_committed(height).map(|found| found.map(Arc::new)).unwrap_or_else(|problem| {
            tracing::error!(%problem, "can't read the block log");
            None
        })
    }
}

/// The masternode whose votes this node casts.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Which masternode.
    pub id: MasternodeId,
    /// Its operator key.
    pub secret: SecretKey,
}

/// What the core needs beside the chain.
#[derive(Clone)]
pub struct CoreConfig {
    /// The operator key, if this node is to vote.
    pub operator: Option<SecretKey>,
    /// How long it listens for a copy of that key before it votes, in milliseconds; 0 for not at all.
    pub listen_ms: u64,
    /// It votes only in epochs that start later than this; 0 for any.
    pub signs_after_ms: TimeMs,
    /// At most this long does a vote wait for others before its batch is signed, in milliseconds.
    pub vote_interval_ms: u64,
    /// Checks what arrives unverified.
    pub verifier: Arc<dyn SignatureVerifier + Send + Sync>,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A transaction from a user or a peer passed its checks.
    Transaction(CheckedTransaction),
    /// A peer said something. `verified` says that [`super::verify::verify`] held for the epoch that it names.
    Message {
        /// The peer.
        from: PeerId,
        /// What it said.
        message: Message,
        /// Whether its signatures were checked already.
        verified: bool,
    },
    /// A connection was made.
    PeerConnected(PeerId),
    /// A connection was lost.
    PeerDisconnected(PeerId),
    /// Staged writes are durable; what they release was sent.
    Persisted(Vec<Durable<Message>>),
    /// The block that was to be committed is durable.
    BlockPersisted,
    /// A timeout that was scheduled elapsed.
    TimeoutElapsed(Timer),
    /// Time is up for these uncertified transactions, by this node's policy.
    Expired(Vec<TxId>),
    /// Some time passed; comes at least every [`STATUS_INTERVAL_MS`].
    Tick,
    /// Somebody asks for the votes that make a transaction final; answered at once, if anybody still listens.
    FinalVotesAsked {
        /// The transaction.
        txid: TxId,
        /// Takes the votes, if a quorum is here and no block contains the transaction yet.
        answer: oneshot::Sender<Option<FinalVotes>>,
    },
}

/// What to call back about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A timeout of the block layer.
    Bft {
        /// Of this height.
        height: Height,
        /// Of this round.
        round: Round,
        /// Of this step.
        kind: TimeoutKind,
    },
    /// The next block is due.
    HeightDue(Height),
    /// Cast votes have waited long enough.
    FlushVotes,
}

/// What to do.
#[derive(Debug)]
pub enum Output {
    /// Write to the vote journal and sync; then send what it releases, and hand it back as [`Event::Persisted`].
    Persist(Staged<Message>),
    /// Write to the block log and sync, then report [`Event::BlockPersisted`].
    CommitBlock(Box<LoggedBlock>),
    /// The epoch's closing block is durable: the journal may forget what is older than this epoch.
    PruneJournal(Epoch),
    /// Send to one peer.
    Send(PeerId, Message),
    /// Send to all peers but the one it came from.
    Relay(Message, Option<PeerId>),
    /// Read blocks from the log and send them to a peer.
    ServeBlocks {
        /// Who asks.
        to: PeerId,
        /// The first height.
        from: Height,
        /// How many.
        count: u64,
    },
    /// Call back after this many milliseconds.
    Schedule(Timer, u64),
    /// A peer broke a rule.
    Misbehaved(PeerId, &'static str),
    /// Transactions from a peer that have to be checked and handed in, as any other.
    CheckTransactions(PeerId, Vec<Arc<Transaction>>),
    /// Something that readers may want to know.
    Notify(Notification),
}

/// What became of a transaction or a block.
#[derive(Clone, Debug)]
pub enum Notification {
    /// All inputs are locked to it.
    Locked(CheckedTransaction),
    /// This node's votes for these are durable.
    Voted(Vec<TxId>),
    /// A quorum has locked it.
    Certified(TxId),
    /// It is final, and its outputs can be spent.
    Finalized(CheckedTransaction),
    /// Another transaction holds the lock of an input.
    Conflicting {
        /// The transaction that lost here.
        txid: TxId,
        /// The one that holds the lock.
        locked_to: TxId,
    },
    /// It waits for an input that is not known.
    WaitingForInputs(TxId),
    /// It was forgotten.
    Dropped(TxId, DropReason),
    /// A block was applied.
    BlockApplied(Arc<AppliedBlock>),
    /// The node changed its mind about whether blocks go on.
    Progress(Progress),
    /// The node began or ceased to sign.
    SigningChanged(Signing),
    /// Two committed blocks of one height.
    ForkDetected(Arc<ForkProof>),
    /// New evidence of a contradiction.
    EvidenceFound(Arc<Evidence>),
    /// The last signs of life of the masternodes changed.
    Heartbeats(Arc<BTreeMap<MasternodeId, HeardHeartbeat>>),
}

/// A block that just became part of the chain.
#[derive(Debug)]
pub struct AppliedBlock {
    /// The block with its commit.
    pub committed: Arc<CommittedBlock>,
    /// Its hash.
    pub hash: BlockHash,
    /// Its transactions without the reward.
    pub transactions: Vec<CheckedTransaction>,
    /// Outputs of the state before it that it spends.
    pub spent: Vec<(OutPoint, UtxoEntry)>,
    /// Outputs of the state after it that it made.
    pub created: Vec<(OutPoint, UtxoEntry)>,
    /// What became of payloads that speak of masternodes.
    pub receipts: Vec<Receipt>,
    /// Collaterals that its evidence made less.
    pub slashed: Vec<Slashed>,
    /// Every input of its transactions, with the transaction that spends it.
    pub spenders: Vec<(OutPoint, TxId)>,
    /// The state after it.
    pub state: Arc<LedgerState>,
    /// Whether this node built it.
    pub own: bool,
}

/// Where consensus stands, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The height that is worked on.
    pub height: Height,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its round.
    pub round: Round,
    /// Its step.
    pub step: bft::Step,
    /// Whether the epoch is closing.
    pub closing: bool,
    /// Weight of the prevotes seen in this round.
    pub prevote_weight: u64,
    /// `Q`.
    pub quorum: u64,
    /// Set when the height is overdue and no quorum of prevotes is there.
    pub halted: bool,
}

/// The executor.
pub struct Core {
    config: CoreConfig,
    signing: Signing,
    /// As whom this node signs in the current epoch.
    me: Option<Identity>,
    state: Arc<LedgerState>,
    utxos: Arc<UtxoManager>,
    bodies: Arc<dyn BodyReader>,
    blocks: Arc<dyn BlockSource>,
    finality: finality::Machine,
    batches: BatchStore,
    batch_requests: BatchRequests,
    bft: bft::Machine,
    /// The machine of the height before: it still collects precommits for the next block's `last_commit`.
    previous_bft: Option<bft::Machine>,
    last_commit: Commit,
    applied_at_ms: TimeMs,
    opened_ms: TimeMs,
    /// The height whose block was made due by load.
    triggered_height: Height,
    bft_inputs: VecDeque<bft::Input>,
    candidates: BTreeMap<BlockHash, Candidate>,
    committing: Option<Committing>,
    own_block_votes: BTreeMap<(Height, Round, VoteStep), Arc<BlockVote>>,
    own_proposals: BTreeMap<(Height, Round), BlockHash>,
    evidence: evidence::EvidencePool,
    heartbeats: heartbeats::Heartbeats,
    fork: Option<Arc<ForkProof>>,
    /// Forks that the operator has decided on; each took a start of this node.
    acknowledged_forks: Vec<Arc<ForkProof>>,
    recent_hashes: BTreeMap<Height, BlockHash>,
    other_chains: fork::OtherChains,
    /// What the journal says of heights that the chain here has not reached.
    journaled_heights: BTreeMap<Height, bft::Journaled>,
    /// And of votes in epochs that it has not reached.
    journaled_votes: BTreeMap<Epoch, JournaledMessages>,
    /// The journal has everything of this epoch and later; nothing is signed in earlier ones.
    signs_from: Epoch,
    /// Epochs, from the current one on, whose `ClosingEntered` is in the journal or on its way there.
    closing_journaled: BTreeSet<Epoch>,
    /// The next number of this node's batches, by epoch.
    next_seq: BTreeMap<Epoch, u64>,
    pending: PendingBatch,
    journaled_bodies: BTreeSet<TxId>,
    journaled_batches: BTreeSet<[u8; 32]>,
    early: BTreeMap<PeerId, VecDeque<Message>>,
    peers: BTreeMap<PeerId, Option<NodeStatus>>,
    next_peer: usize,
    last_status_ms: TimeMs,
    sync: sync::BlockSync,
    lacking: BTreeSet<TxId>,
    progress: Option<Progress>,
    out: Vec<Output>,
    now_ms: TimeMs,
}

impl Core {
    /// Takes one event at a time of the caller's clock and gives what has to be done, in order.
    pub fn handle(&mut self, event: Event, now_ms: TimeMs) -> Vec<Output> {
        // A clock that jumps back must not make timers or header times run backwards.
        self.now_ms = self.now_ms.max(now_ms);
        match event {
            Event::Transaction(transaction) => self.on_transaction(transaction),
            Event::Message { from, message, verified } => self.on_message(from, message, verified),
            Event::PeerConnected(peer) => self.on_peer_connected(peer),
            Event::PeerDisconnected(peer) => self.on_peer_disconnected(&peer),
            Event::Persisted(messages) => self.on_persisted(messages),
            Event::BlockPersisted => self.on_block_persisted(),
            Event::TimeoutElapsed(timer) => self.on_timer(timer),
            Event::Expired(txids) => self.step_finality(finality::Input::Expired(txids)),
            Event::Tick => {}
            Event::FinalVotesAsked { txid, answer } => {
                let _heard = answer.send(self.finality.final_votes(&txid));
            }
        }
        self.drive();
        self.on_time();
        std::mem::take(&mut self.out)
    }

    /// Runs the block machine until it has nothing left to say.
    fn drive(&mut self) {
        while let Some(input) = self.bft_inputs.pop_front() {
            if self.committing.is_some() {
                // Decided: what is left speaks of the past.
                continue;
            }
            for effect in self.bft.step(input) {
                self.execute_bft(effect);
            }
        }
    }

    fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Bft { height, round, kind } if height == self.next_height() => {
                self.bft_inputs.push_back(bft::Input::TimeoutElapsed { kind, round });
            }
            Timer::HeightDue(height) if height == self.next_height() => self.check_due(),
            Timer::FlushVotes => self.flush_due(),
            Timer::Bft { .. } | Timer::HeightDue(_) => {}
        }
    }

    fn on_time(&mut self) {
        self.check_listening();
        self.check_acceptable();
        self.drive();
        self.beat();
        if self.now_ms >= self.last_status_ms.saturating_add(STATUS_INTERVAL_MS) {
            self.last_status_ms = self.now_ms;
            self.tick_status();
        }
        self.report_progress();
    }

    fn step_finality(&mut self, input: finality::Input) {
        let view = ChainView { state: &self.state, utxos: &*self.utxos };
        let effects = self.finality.step(&view, input);
        for effect in effects {
            self.execute_finality(effect);
        }
    }

    fn next_height(&self) -> Height {
        self.state.height().saturating_add(1)
    }

    fn voters(&self) -> Voters {
        Voters {
            chain_id: *self.state.chain_id(),
            epoch: self.state.next_epoch(),
            set: Arc::clone(self.state.validators()),
        }
    }

    fn notify(&mut self, notification: Notification) {
        self.out.push(Output::Notify(notification));
    }

    /// The chain's state after the last applied block.
    #[must_use]
    pub const fn state(&self) -> &Arc<LedgerState> {
        &self.state
    }

    /// The finality machine, for questions.
    #[must_use]
    pub const fn finality(&self) -> &finality::Machine {
        &self.finality
    }

    /// The block machine, for questions.
    #[must_use]
    pub const fn bft(&self) -> &bft::Machine {
        &self.bft
    }

    /// Holds the invariants of all parts.
    ///
    /// # Errors
    /// The first one that is broken, in words.
    pub fn check_invariants(&self) -> Result<(), String> {
        self.finality.check_invariants()?;
        self.bft.check_invariants();
        if self.early.values().any(|queue| queue.len() > EARLY_MESSAGES_MAX) {
            return Err("more early messages than allowed".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
