//! Hands each event to the part that decides about it, and what one part finds out to those that act upon it.
//!
//! [`Consensus`] owns the parts and nothing else; each part owns its state and is changed by its own methods alone. What a
//! part may read stands in the arguments of its methods: the [`Moment`] (chain, signer, clocks), and siblings by name.
//!
//! # Place
//! The node runs it on one thread ([`engine`](super::engine)) and executes its outputs; the simulator does the same over
//! a simulated disk, network and clock. It opens no file and no socket, and reads no clock.
//!
//! # Invariants
//! - When an event's outputs leave, every fact was heard and the block machine has nothing left to say.
//! - INV-DISPATCH-2: nothing is signed in an epoch of which the journal may have forgotten something. It forgets behind
//!   the epoch's closing block, so this concerns a node that lost the chain's data since.
//! - INV-DISPATCH-3: in an epoch whose rules this program does not know nothing is signed, judged or applied: the block before
//!   it is the last thing that is done, and from there on every event is ignored.
//!
//! # Concurrency
//! One owner. Nothing here blocks, but for reads of outputs that are not cached and of journaled bodies.

use std::sync::Arc;

use tracing::info;

use super::blocks::BftConsensus;
use super::chain::Chain;
use super::events::{Event, Notification, Now, Output, Signing, Timer};
use super::evidence::EvidencePool;
use super::finality::ConsensusEngine;
use super::heartbeats::Heartbeats;
use super::instances::Instances;
use super::moment::Moment;
use super::outbox::{Fact, Outbox};
use super::peers::{Peers, STATUS_INTERVAL_MS};
use super::signing::Signer;
use super::sync::forks::{ForkFound, Forks};
use super::sync::{Base, BlockSync, NextBlock};
use crate::protocol::bft::{self, BlockMessage};
use crate::protocol::finality;
use crate::protocol::state::LedgerState;
use crate::storage::block_log::DurableBlock;
use crate::storage::journal::{Durable, JournalRecord};
use crate::types::fork::ForkProof;
use crate::types::message::NodeStatus;
use crate::types::{Evidence, Height, MasternodeId, Message, OwnMessage, TimeMs};

/// Transactions of received blocks that are executed before other events have their turn, about: each takes some
/// microseconds. The rest follows when the first block of these is durable.
const TRANSACTIONS_PER_TURN: usize = 4_096;

/// What the parts may read; a macro, since a method would borrow the parts with it.
macro_rules! moment {
    ($consensus:expr) => {
        Moment { chain: &$consensus.chain, signer: &$consensus.signer, now: $consensus.now }
    };
}
pub(super) use moment;

/// All parts of consensus of one node.
pub struct Consensus {
    pub(super) chain: Chain,
    pub(super) signer: Signer,
    pub(super) finality: ConsensusEngine,
    pub(super) blocks: BftConsensus,
    pub(super) peers: Peers,
    pub(super) sync: BlockSync,
    pub(super) forks: Forks,
    pub(super) evidence: EvidencePool,
    pub(super) heartbeats: Heartbeats,
    pub(super) instances: Instances,
    pub(super) last_status_ms: TimeMs,
    pub(super) now: Now,
    pub(super) out: Outbox,
}

impl Consensus {
    /// Takes one event at a time of the caller's clocks and gives what has to be done, in order.
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Output> {
        if self.chain.unknown_rules().is_some() {
            return Vec::new();
        }
        let last_event_ms = std::mem::replace(&mut self.now, now).monotonic_ms;
        self.check_presence(last_event_ms);
        match event {
            Event::Transaction(transaction) => {
                self.finality.receive_transaction(transaction, &moment!(self), &mut self.out);
                self.check_closing_due();
            }
            Event::Message { from, message, verified } => {
                self.instances.note_heard(now.monotonic_ms);
                self.on_message(from, message, verified);
            }
            Event::PeerConnected(peer) => {
                self.peers.connected(peer);
                self.out.send(peer, Message::Status(self.status()));
                for piece in self.evidence.iter() {
                    self.out.send(peer, Message::Evidence(Arc::clone(piece)));
                }
                self.instances.greet(peer, &moment!(self), &mut self.out);
            }
            Event::PeerDisconnected(peer) => {
                self.peers.disconnected(&peer);
                self.blocks.disconnected(&peer);
                self.sync.disconnected(&peer);
                let found = self.forks.disconnected(&peer, &moment!(self), &mut self.out);
                self.on_fork(found);
            }
            Event::Persisted(messages) => self.on_persisted(messages),
            Event::BlockPersisted(block) => {
                self.on_block_persisted(block);
                if self.stops_at_unknown_rules() {
                    return self.out.take();
                }
            }
            Event::BlocksChecked { answer, held } => {
                self.sync.on_checked(answer, &held);
                self.continue_sync();
                self.poll_sync();
            }
            Event::TimeoutElapsed(timer) => self.on_timer(timer),
            Event::Tick => {}
            Event::Expired(txids) => self.finality.expire(txids, &moment!(self), &mut self.out),
            Event::Accused(piece) => self.evidence.report(*piece, &moment!(self), &mut self.out),
            Event::FinalVotesAsked { txid, answer } => {
                let _heard = answer.send(self.finality.machine().final_votes(&txid));
            }
            Event::ExplanationAsked { txid, answer } => {
                let _heard = answer.send(self.finality.machine().explain(&txid));
            }
        }
        self.settle();
        self.on_time();
        self.out.take()
    }

    /// Lets the parts hear each other until nobody has anything left to say.
    pub(super) fn settle(&mut self) {
        loop {
            while let Some(fact) = self.out.next_fact() {
                self.on_fact(fact);
            }
            self.blocks.drive(&mut self.finality, &self.evidence, &moment!(self), &mut self.out);
            if !self.out.has_facts() {
                return;
            }
        }
    }

    fn on_fact(&mut self, fact: Fact) {
        let at = moment!(self);
        match fact {
            Fact::Certified(txid) => self.blocks.on_certified(&txid, &self.finality, &at, &mut self.out),
            Fact::BodyArrived(txid) => self.blocks.on_body(&txid, &self.finality, &at),
            Fact::LocksContradict { member, first, second } => {
                let locks = (member, first, second);
                self.evidence.on_contradiction(locks, &self.finality, &at, &mut self.out);
            }
            Fact::Equivocation(first, second) => {
                self.evidence.on_equivocation((first, second), &at, &mut self.out);
            }
            Fact::RivalHeard(instance) => {
                if let Some(own) = self.signer.own_seat(&self.chain) {
                    self.instances.note_rival(own, instance, self.now.monotonic_ms);
                }
            }
            Fact::KeyCopied(what) => {
                if self.signer.on_key_copied(what, &mut self.out) {
                    self.finality.forget_pending();
                    self.change_signer();
                }
            }
        }
    }

    // -- own messages and blocks that became durable ----------------------------------------------------------------

    fn on_persisted(&mut self, messages: Vec<Durable<OwnMessage>>) {
        let at = moment!(self);
        for message in messages {
            match Message::from(message) {
                Message::VoteBatch(batch) => self.finality.on_own_batch(batch, &at, &mut self.out),
                Message::Proposal(proposal) => {
                    self.blocks.on_own_message(BlockMessage::Proposal(proposal), &at);
                }
                Message::BlockVote(vote) => {
                    self.out.tell_precommit(&vote);
                    self.blocks.on_own_message(BlockMessage::Vote(vote), &at);
                }
                _ => {}
            }
        }
        self.finality.flush_if_due(&at, &mut self.out);
        self.check_closing_due();
    }

    /// The block is durable: it becomes the chain's tip, here and nowhere else.
    fn on_block_persisted(&mut self, block: DurableBlock) {
        let Some(committing) = self.blocks.take_committed(block.hash()) else { return };
        let (epoch_before, had_checkpoint) = (self.chain.epoch(), self.chain.has_checkpoint());
        let Some(applied) = self.chain.apply(committing, block, self.now) else { return };
        let applied = Arc::new(applied);
        if self.chain.unknown_rules().is_some() {
            self.out.notify(Notification::BlockApplied(applied));
            return;
        }
        let transactions = applied.transactions.clone();
        self.blocks.on_block(applied.committed.commit.clone(), &moment!(self));
        self.evidence.on_block(&moment!(self), &mut self.out);
        // Readers hear of the block before what follows from it: locks of a new epoch come after the end of the old one.
        self.out.notify(Notification::BlockApplied(applied));
        let is_new_epoch = self.chain.epoch() != epoch_before;
        if is_new_epoch {
            self.start_epoch();
        }
        self.finality.on_block(transactions, &moment!(self), &mut self.out);
        if is_new_epoch || self.chain.has_checkpoint() != had_checkpoint {
            self.signer.take_seat(&self.chain);
            self.finality.set_signer(&moment!(self), &mut self.out);
        }
        self.blocks.start_height(&mut self.finality, &self.evidence, &moment!(self), &mut self.out);
        self.finality.settle(&moment!(self), &mut self.out);
        self.replay_early(is_new_epoch);
        // Of blocks that were written together the last one is told.
        if !self.blocks.is_committing() {
            self.tell_status();
        }
        self.continue_sync();
    }

    /// INV-DISPATCH-3. Whether rules are in force that this program does not know; then nothing but the stop is ordered.
    pub(super) fn stops_at_unknown_rules(&mut self) -> bool {
        let Some(why) = self.chain.unknown_rules() else { return false };
        self.out.push(Output::Stop(why));
        true
    }

    /// The closing block of the last epoch is durable: the journal may forget that epoch, but not what stops this node
    /// from signing, what its operator decided, and what no block says yet.
    fn start_epoch(&mut self) {
        let epoch = self.chain.epoch();
        info!(epoch, validators = self.chain.state().validators().len(), "Epoch started");
        self.peers.batches.clear();
        // Else the journal was there before, with a chain that was lost since.
        if self.signer.start_epoch(epoch) {
            let mut records = vec![JournalRecord::EpochStarted { epoch }];
            records.extend(self.forks.records());
            records.extend(self.evidence.all().cloned().map(JournalRecord::Evidence));
            self.out.persist(records);
            self.out.push(Output::PruneJournal(epoch));
        }
    }

    // -- time ---------------------------------------------------------------------------------------------------------

    fn on_timer(&mut self, timer: Timer) {
        let at = moment!(self);
        match timer {
            Timer::Bft { height, round, kind } => self.blocks.on_timer((height, round, kind), &at),
            Timer::HeightDue(height) if height == self.chain.next_height() => {
                let votes = self.peers.votes(&self.finality, &moment!(self));
                self.blocks.check_due(&self.finality, votes, &at, &mut self.out);
            }
            Timer::HeightDue(_) => {}
            Timer::FlushVotes => self.finality.on_flush_timer(&at, &mut self.out),
        }
    }

    fn on_time(&mut self) {
        if let Some(weight) = self.instances.on_time(&moment!(self), &mut self.out) {
            let quorum = self.chain.state().validators().quorum();
            if self.signer.on_acknowledged(weight, quorum, &mut self.out) {
                self.begin_signing();
            }
        }
        self.blocks.check_acceptable(&moment!(self));
        self.settle();
        if !self.peers.is_alone() {
            let instance = self.instances.mine();
            self.heartbeats.beat(instance, &self.finality, &moment!(self), &mut self.out);
        }
        if self.now.monotonic_ms >= self.last_status_ms.saturating_add(STATUS_INTERVAL_MS) {
            self.last_status_ms = self.now.monotonic_ms;
            self.tell_status();
        }
        let at = moment!(self);
        let is_syncing = self.sync.is_syncing(&at);
        self.blocks.report_progress(&self.finality, is_syncing, &at, &mut self.out);
    }

    /// Votes or a peer's status may have made a closing block due.
    pub(super) fn check_closing_due(&mut self) {
        if self.chain.state().is_closing() {
            let votes = self.peers.votes(&self.finality, &moment!(self));
            self.blocks.check_closing_due(&self.finality, votes, &moment!(self), &mut self.out);
        }
    }

    /// Tells all peers where this node stands, and asks one of them for what has been lacking for a while.
    pub(super) fn tell_status(&mut self) {
        self.out.relay(Message::Status(self.status()), None);
        let found = self.forks.check_searches(&moment!(self), &mut self.out);
        self.on_fork(found);
        self.poll_sync();
        for (kind, request) in self.peers.lacking.requests(self.blocks.lacking(), &self.finality) {
            if let Some(peer) = self.peers.rotate(kind) {
                self.out.send(peer, request);
            }
        }
    }

    pub(super) fn poll_sync(&mut self) {
        let next = self.blocks.height_behind(&moment!(self)).saturating_add(1);
        self.sync.poll(&self.peers, &self.forks, next, &moment!(self), &mut self.out);
    }

    /// Sends received blocks on their way to the log, each behind those that are on it.
    pub(super) fn continue_sync(&mut self) {
        let mut transactions = 0_usize;
        while self.blocks.may_commit() && transactions < TRANSACTIONS_PER_TURN {
            let at = moment!(self);
            let (state, utxos) = self.blocks.behind(&at);
            let base = Base { state, utxos: &utxos };
            match self.sync.next_block(&self.peers, &base, &at, &mut self.out) {
                NextBlock::None => return,
                NextBlock::Valid(committing) => {
                    if self.chain.height() == 0 && !self.blocks.is_committing() {
                        self.listen_again("the network has blocks already, and this node has none yet");
                    }
                    transactions = transactions.saturating_add(committing.transactions.len());
                    self.blocks.commit(*committing, &mut self.finality, &moment!(self), &mut self.out);
                }
                NextBlock::OfOtherChain(peer) => return self.suspect_fork(peer, self.chain.height()),
            }
        }
    }

    // -- who signs ----------------------------------------------------------------------------------------------------

    /// Signing begins or ends in the middle of a height.
    fn change_signer(&mut self) {
        if self.signer.take_seat(&self.chain) {
            let at = moment!(self);
            self.finality.set_signer(&at, &mut self.out);
            self.blocks.restart_height(&mut self.finality, &self.evidence, &at, &mut self.out);
            self.finality.flush_if_due(&at, &mut self.out);
        }
    }

    /// Others may have taken this node for dead, and acknowledged another one with its key, if it stood still until now.
    fn check_presence(&mut self, last_event_ms: TimeMs) {
        if self.instances.was_absent(last_event_ms, &moment!(self)) {
            self.listen_again("it stood still, or heard nobody");
        }
    }

    /// Nothing is signed from here on until a quorum has acknowledged a new attempt of this instance. The machines go on
    /// with what they promised, and what they cast for the height's blocks meanwhile is said then.
    fn listen_again(&mut self, why: &'static str) {
        if !self.instances.needs_acknowledgements() {
            return;
        }
        let did_sign = self.signer.listen_again(why, &mut self.out);
        if did_sign || self.signer.is_listening() {
            self.instances.begin_attempt(self.now.monotonic_ms);
        }
        if did_sign && self.signer.take_seat(&self.chain) {
            self.finality.set_signer(&moment!(self), &mut self.out);
        }
    }

    /// A quorum has acknowledged this instance. A machine that began without a seat begins its height anew.
    fn begin_signing(&mut self) {
        if self.blocks.machine().context().me.is_none() {
            self.change_signer();
        } else if self.signer.take_seat(&self.chain) {
            let at = moment!(self);
            self.finality.set_signer(&at, &mut self.out);
            self.blocks.say_unsaid(&mut self.finality, &self.evidence, &at, &mut self.out);
            self.finality.flush_if_due(&at, &mut self.out);
        }
    }

    pub(super) fn suspect_fork(&mut self, peer: crate::network::PeerId, height: Height) {
        if self.peers.is_connected(&peer) {
            let found = self.forks.suspect(peer, height, &moment!(self), &mut self.out);
            self.on_fork(found);
        }
    }

    pub(super) fn on_fork(&mut self, found: Option<ForkFound>) {
        let Some(ForkFound { evidence }) = found else { return };
        for piece in evidence {
            self.evidence.report(piece, &moment!(self), &mut self.out);
        }
        self.finality.forget_pending();
        self.signer.on_fork(&mut self.out);
        self.change_signer();
    }

    // -- questions ----------------------------------------------------------------------------------------------------

    /// Where this node stands.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        let machine = self.blocks.machine();
        let round = machine.round();
        NodeStatus {
            height: self.chain.height(),
            horizon: self.forks.horizon(),
            tip: self.chain.state().tip_hash(),
            epoch: self.finality.machine().epoch(),
            round,
            has_proposal: machine.has_whole_proposal(round),
            prevotes: machine.prevotes_bitmap(round),
            precommits: machine.precommits_bitmap(round),
            batches: self.finality.batches().held(),
        }
    }

    /// The chain's state after the last applied block.
    #[must_use]
    pub const fn state(&self) -> &Arc<LedgerState> {
        self.chain.state()
    }

    /// The finality machine, for questions.
    #[must_use]
    pub const fn finality(&self) -> &finality::Machine {
        self.finality.machine()
    }

    /// The block machine, for questions.
    #[must_use]
    pub const fn bft(&self) -> &bft::Machine {
        self.blocks.machine()
    }

    /// Whether this node signs, and why not.
    #[must_use]
    pub const fn signing(&self) -> Signing {
        self.signer.signing()
    }

    /// The member of the current set whose key this node has, whether it signs or not.
    #[must_use]
    pub fn own_seat(&self) -> Option<MasternodeId> {
        self.signer.own_seat(&self.chain)
    }

    /// The fork that stopped this node from signing.
    #[must_use]
    pub const fn fork(&self) -> Option<&Arc<ForkProof>> {
        self.forks.open()
    }

    /// Evidence that no block of this node's chain contains yet.
    pub fn pending_evidence(&self) -> impl Iterator<Item = &Arc<Evidence>> {
        self.evidence.iter()
    }

    /// The highest block that a peer says it has, and is believed to have.
    #[must_use]
    pub const fn sync_target(&self) -> Height {
        self.sync.target()
    }

    /// Whether connected peers have said where they stand, and have shown it if they are further.
    #[must_use]
    pub fn has_heard_peers(&self) -> bool {
        self.peers.heights().next().is_some() && self.sync.knows_target()
    }

    /// Whether peers are further than the block that is being decided.
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        self.sync.is_syncing(&moment!(self))
    }

    /// Holds the invariants of all parts.
    ///
    /// # Errors
    /// The first one that is broken, in words.
    pub fn check_invariants(&self) -> Result<(), String> {
        self.finality.machine().check_invariants()?;
        self.blocks.machine().check_invariants();
        self.sync.check_invariants()?;
        self.peers.early.check_invariants()
    }
}
