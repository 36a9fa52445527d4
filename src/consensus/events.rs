//! What consensus is told, and what it orders.
//!
//! # Place
//! The node's thread ([`engine`](super::engine)) and the simulator hand in [`Event`]s and execute [`Output`]s, both
//! through [`Shell`].
//!
//! # Invariants
//! - Outputs are executed in their order. Own votes and proposals leave as the payload of a [`Staged`]
//!   write alone, after everything that was staged before it is durable: until then they are [`OwnMessage`]s, and no
//!   [`Message`] can hold them.
//!
//! # Units
//! Times are milliseconds: of the wall clock in headers and heartbeats, of a monotonic clock everywhere else ([`Now`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::sync::ahead::{BlocksToCheck, HeldSignatures};
use crate::network::PeerId;
use crate::protocol::activation::UnknownRules;
use crate::protocol::bft::{self, TimeoutKind};
use crate::protocol::finality::{DropReason, Explanation, FinalVotes};
use crate::protocol::masternodes::{Receipt, Slashed};
use crate::protocol::state::LedgerState;
use crate::protocol::validity::CheckedTransaction;
use crate::runtime::Clock;
use crate::storage::block_log::{DurableBlock, LoggedBlock};
use crate::storage::journal::{Durable, Staged};
use crate::types::fork::ForkProof;
use crate::types::heartbeat::Heartbeat;
use crate::types::message::SnapshotItem;
use crate::types::{
    BlockHash, CommittedBlock, Epoch, Evidence, FinalityVote, Height, MasternodeId, Message, OutPoint,
    OwnMessage, Released, Round, TimeMs, Transaction, TxId, UtxoEntry, VoteBatch, VoteSource,
};

/// The two clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// A clock that never goes back and that nobody sets: deadlines, intervals and ticks run on it. Only differences
    /// between two of its values mean anything.
    pub monotonic_ms: TimeMs,
    /// The wall clock: for times in headers and heartbeats, and for nothing else.
    pub wall_ms: TimeMs,
}

impl Now {
    /// What the clocks of this machine show.
    #[must_use]
    pub fn read() -> Self {
        Self { monotonic_ms: Clock.monotonic_ms(), wall_ms: Clock.now_ms() }
    }

    /// Both clocks show the same.
    #[must_use]
    pub const fn both(ms: TimeMs) -> Self {
        Self { monotonic_ms: ms, wall_ms: ms }
    }
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
    Persisted(Vec<Durable<OwnMessage>>),
    /// The block that was to be committed is durable.
    BlockPersisted(DurableBlock),
    /// The signatures of an answer's blocks were checked ahead.
    BlocksChecked {
        /// Which answer.
        answer: u64,
        /// Those that hold.
        held: Arc<HeldSignatures>,
    },
    /// A timeout that was scheduled elapsed.
    TimeoutElapsed(Timer),
    /// Some time passed; comes at least every [`STATUS_INTERVAL_MS`](super::peers::STATUS_INTERVAL_MS).
    Tick,
    /// Time is up for these uncertified transactions, by this node's policy.
    Expired(Vec<TxId>),
    /// A proof that holds shows an act that no chain with this node's blocks can have.
    Accused(Box<Evidence>),
    /// Somebody asks for the votes that make a transaction final; answered at once, if anybody still listens.
    FinalVotesAsked {
        /// The transaction.
        txid: TxId,
        /// Takes the votes, if a quorum is here and no block contains the transaction yet.
        answer: oneshot::Sender<Option<FinalVotes>>,
    },
    /// Somebody asks how far a transaction's votes are; answered at once, if anybody still listens.
    ExplanationAsked {
        /// The transaction.
        txid: TxId,
        /// Takes what is known, if no block contains the transaction yet and anything is known of it.
        answer: oneshot::Sender<Option<Explanation>>,
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
    Persist(Staged<OwnMessage>),
    /// Write to the block log and sync, then report [`Event::BlockPersisted`].
    CommitBlock(Box<LoggedBlock>),
    /// The epoch's closing block is durable: the journal may forget what is older than this epoch.
    PruneJournal(Epoch),
    /// Check the signatures of these blocks, then report [`Event::BlocksChecked`] in any case.
    CheckBlocks(BlocksToCheck),
    /// Send to one peer.
    Send(PeerId, Message),
    /// Send to all peers but the one it came from.
    Relay(Message, Option<PeerId>),
    /// Answer a request, away from the consensus thread.
    Serve(Recipient, Answer),
    /// Call back after this many milliseconds.
    Schedule(Timer, u64),
    /// A peer broke a rule.
    Misbehaved(PeerId, &'static str),
    /// A peer did not give what it said it has.
    Failed(PeerId, Shortfall),
    /// Transactions from a peer that have to be checked and handed in, as any other.
    CheckTransactions(PeerId, Vec<Arc<Transaction>>),
    /// Stop the node: the rules in force are not known here. Nothing is ordered after it.
    Stop(UnknownRules),
    /// Something that readers may want to know.
    Notify(Notification),
}

/// Who gets an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// The peer that asked.
    Peer(PeerId),
    /// Everybody: a closing proposer among them lacks it, and nobody had to ask.
    All,
}

/// The parts of an answer to a peer. They are shared and never change; whoever serves it encodes and proves.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Bodies: those that are in memory, and the names of those to look for in the journal.
    Transactions {
        /// In memory.
        resident: Vec<Arc<Transaction>>,
        /// Perhaps in the journal.
        journaled: Vec<TxId>,
    },
    /// Certificates, with where the votes of each stand.
    Certificates(Vec<CertificateParts>),
    /// Batches of one member's votes, and the end of the answer.
    Batches {
        /// The batches that are here.
        batches: Vec<Released<VoteBatch>>,
        /// Says where the answer ends.
        end: BatchesEnd,
    },
    /// The snapshots that are here.
    Snapshots,
    /// A part of a snapshot.
    SnapshotItem {
        /// The height of its block.
        height: Height,
        /// Which part.
        item: SnapshotItem,
    },
    /// Blocks from this height on.
    Blocks {
        /// The first height.
        from: Height,
        /// How many.
        count: u64,
    },
}

/// Where an answer with batches ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchesEnd {
    /// The epoch that was asked for.
    pub epoch: Epoch,
    /// The member whose batches were asked for.
    pub validator: MasternodeId,
    /// All that the answerer has below this number was sent.
    pub before_seq: u64,
}

/// The votes that certify a transaction, before they are proved.
#[derive(Clone, Debug)]
pub struct CertificateParts {
    /// What they vote for.
    pub vote: FinalityVote,
    /// Their epoch.
    pub epoch: Epoch,
    /// Where they stand.
    pub sources: Vec<VoteSource>,
}

/// What became of a transaction or a block.
#[derive(Clone, Debug)]
pub enum Notification {
    /// All inputs are locked to it.
    Locked(CheckedTransaction),
    /// This node's votes for these are durable.
    Voted(Vec<TxId>),
    /// A member's votes on payments that were not known here before; this node's own are told once they are durable.
    VotesHeard {
        /// The votes.
        batch: Released<VoteBatch>,
        /// Whether a peer was asked for them: they may be as old as the epoch.
        was_asked: bool,
    },
    /// A member's precommit of the height that is worked on, or of the one before.
    PrecommitHeard {
        /// Whose.
        member: MasternodeId,
        /// Its height.
        height: Height,
        /// Its round.
        round: Round,
    },
    /// A quorum has locked it.
    Certified(TxId),
    /// It is final, and its outputs can be spent.
    Finalized(CheckedTransaction),
    /// Another transaction holds the lock of an input.
    Conflicting {
        /// The transaction that lost here.
        transaction: CheckedTransaction,
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

/// Why a node with an operator key signs, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// It has no operator key.
    NoKey,
    /// It asks the members of the set whether another node runs with its key.
    Listening {
        /// Weight of the members that have acknowledged this start.
        acknowledged: u64,
        /// The weight that it needs; 0 before it asked.
        quorum: u64,
    },
    /// It signs whenever its key is that of a member of the set.
    Allowed,
    /// Another node signs with its key.
    KeyCopied,
    /// Two blocks of one height were committed.
    Forked,
}

impl Signing {
    /// A word for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::Listening { .. } => "listening",
            Self::Allowed => "allowed",
            Self::KeyCopied => "key_copied",
            Self::Forked => "forked",
        }
    }
}

/// A heartbeat, and when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeardHeartbeat {
    /// What the masternode said.
    pub heartbeat: Arc<Heartbeat>,
    /// When this node heard it first, by its own clock.
    pub heard_ms: TimeMs,
    /// Masternodes whose own last heartbeats say that they heard it.
    pub attested_by: Vec<MasternodeId>,
}

/// A block that just became part of the chain.
#[derive(Debug)]
pub struct AppliedBlock {
    /// The block with its commit.
    pub committed: Released<CommittedBlock>,
    /// Its hash.
    pub hash: BlockHash,
    /// Its transactions without the reward.
    pub transactions: Vec<CheckedTransaction>,
    /// Outputs of the state before it that it spends.
    pub spent: Vec<(OutPoint, UtxoEntry)>,
    /// Outputs of the state after it that it made.
    pub created: Vec<(OutPoint, UtxoEntry)>,
    /// Outputs that it makes and spends itself.
    pub transient: Vec<(OutPoint, UtxoEntry)>,
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
    /// Weight of the precommits seen in this round.
    pub precommit_weight: u64,
    /// `Q`.
    pub quorum: u64,
    /// Set when the height is overdue and no quorum of prevotes is there.
    pub halted: bool,
}

/// How a peer failed to give what it said it has. Either happens to an honest one now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortfall {
    /// Nothing came in time.
    Late,
    /// An answer came, and nothing in it.
    Empty,
}

/// Executes outputs: the node over threads and sockets, the simulator over what it simulates.
pub trait Shell {
    /// Hands an order to the vote journal's queue ([`JournalQueue`](super::vote_journal::JournalQueue) keeps its rules).
    fn journal(&mut self, order: JournalOrder);
    /// Hands a decided block to the block log.
    fn commit_block(&mut self, block: Box<LoggedBlock>);
    /// Has signatures of blocks checked ahead.
    fn check_blocks(&mut self, order: BlocksToCheck);
    /// Sends to one peer.
    fn send(&mut self, to: PeerId, message: Message);
    /// Sends to all peers but one.
    fn relay(&mut self, message: Message, except: Option<PeerId>);
    /// Answers a peer.
    fn serve(&mut self, to: Recipient, answer: Answer);
    /// Calls back.
    fn schedule(&mut self, timer: Timer, delay_ms: u64);
    /// Scores a peer that broke a rule.
    fn misbehaved(&mut self, peer: PeerId, what: &'static str);
    /// Scores a peer that did not give what it said it has.
    fn failed(&mut self, peer: PeerId, what: Shortfall);
    /// Hands transactions of a peer to admission.
    fn check_transactions(&mut self, from: PeerId, transactions: Vec<Arc<Transaction>>);
    /// Stops the node, which is outdated.
    fn stop(&mut self, why: UnknownRules);
    /// Tells readers.
    fn notify(&mut self, notification: Notification);
    /// Whether what remains is to be executed; a simulated node may die between two outputs.
    fn goes_on(&self) -> bool {
        true
    }
}

/// What the vote journal is asked for.
#[derive(Debug)]
pub enum JournalOrder {
    /// Write, sync, send, report.
    Commit(Staged<OwnMessage>),
    /// Forget what is older than this epoch.
    Prune(Epoch),
}

/// Executes outputs in their order. The one interpreter: node, simulator and tests differ in their [`Shell`] alone.
pub fn execute(outputs: Vec<Output>, shell: &mut impl Shell) {
    for output in outputs {
        if !shell.goes_on() {
            return;
        }
        match output {
            Output::Persist(staged) => shell.journal(JournalOrder::Commit(staged)),
            Output::PruneJournal(epoch) => shell.journal(JournalOrder::Prune(epoch)),
            Output::CommitBlock(block) => shell.commit_block(block),
            Output::CheckBlocks(order) => shell.check_blocks(order),
            Output::Send(to, message) => shell.send(to, message),
            Output::Relay(message, except) => shell.relay(message, except),
            Output::Serve(to, answer) => shell.serve(to, answer),
            Output::Schedule(timer, delay_ms) => shell.schedule(timer, delay_ms),
            Output::Misbehaved(peer, what) => shell.misbehaved(peer, what),
            Output::Failed(peer, what) => shell.failed(peer, what),
            Output::CheckTransactions(from, transactions) => shell.check_transactions(from, transactions),
            Output::Stop(why) => shell.stop(why),
            Output::Notify(notification) => shell.notify(notification),
        }
    }
}
