//! One real node by itself: the test plays its peers and the other validators, and sees everything that it says.

use std::collections::BTreeSet;
use std::sync::Arc;

use timed::consensus::events::{
    Answer, Event, JournalOrder, Notification, Output, Recipient, Shell, Shortfall, Timer, execute,
};
use timed::consensus::sync::ahead::BlocksToCheck;
use timed::protocol::activation::UnknownRules;
use timed::protocol::state::LedgerState;
use timed::protocol::validity::CheckedTransaction;
use timed::storage::block_log::LoggedBlock;
use timed::storage::journal::JournalRecord;
use timed::types::message::NodeStatus;
use timed::types::{
    Amount, BlockBlueprint, BlockHash, BlockVote, CommittedBlock, FinalityVote, GenesisDocument, Height,
    MasternodeId, Message, OutPoint, Proposal, PublicKey, Released, Round, SecretKey, Signature,
    SignatureVerifier, Transaction, TxOut, VoteBatch, VoteStep,
};

use crate::heard::heard;
use crate::node::{Node, Running};
use crate::plan::{Plan, START_MS, genesis, identity, operator, users};
use crate::random::Random;
use crate::verifier::CachingVerifier;
use crate::workload::lock_of;

/// The validator that the node is.
pub const ME: usize = 0;

/// A peer's name.
pub fn peer(number: u8) -> PublicKey {
    SecretKey::from_seed(&[number ^ 0x55; 32]).public()
}

pub struct OneNode {
    pub node: Node,
    pub genesis: GenesisDocument,
    verifier: Arc<CachingVerifier>,
    random: Random,
    pub now_ms: u64,
    timers: BTreeSet<(u64, Timer)>,
    /// What it signed and sent, in order.
    pub published: Vec<Message>,
    /// What it passed on.
    pub relayed: Vec<Message>,
    /// The blocks so far.
    pub chain: Vec<Released<CommittedBlock>>,
    /// Whether the machine dies just before it would write `ClosingEntered`.
    pub dies_at_closing: bool,
    /// Peers that it blamed, which is a failure unless it is expected.
    pub blamed: Vec<(PublicKey, &'static str)>,
    pub tolerates_blame: bool,
    /// What it sent to one peer.
    pub sent: Vec<(PublicKey, Message)>,
}

impl Shell for OneNode {
    fn journal(&mut self, order: JournalOrder) {
        let enters = |record: &JournalRecord| matches!(record, JournalRecord::ClosingEntered { .. });
        if let JournalOrder::Commit(staged) = &order
            && self.dies_at_closing
            && staged.records.iter().any(enters)
        {
            self.crash();
            return;
        }
        let Some(running) = &mut self.node.running else { return };
        running.writes.push(order);
        let durable = running.write_journal().expect("the disk is sound");
        self.published.extend(durable.iter().cloned().map(Message::from));
        self.feed(Event::Persisted(durable));
    }

    fn commit_block(&mut self, block: Box<LoggedBlock>) {
        let Some(running) = &mut self.node.running else { return };
        let durable = running.log.append(&block).expect("the disk is sound");
        self.node.durable = block.committed.block.header.height;
        self.feed(Event::BlockPersisted(durable));
    }

    fn check_blocks(&mut self, order: BlocksToCheck) {
        self.feed(Event::BlocksChecked { answer: order.answer, held: Arc::default() });
    }

    fn send(&mut self, to: PublicKey, message: Message) {
        self.sent.push((to, message));
    }

    fn relay(&mut self, message: Message, _except: Option<PublicKey>) {
        self.relayed.push(message);
    }

    fn serve(&mut self, to: Recipient, answer: Answer) {
        let Some(running) = &mut self.node.running else { return };
        let (messages, _) = running.assembler.messages(answer);
        match to {
            Recipient::Peer(peer) => self.sent.extend(messages.into_iter().map(|message| (peer, message))),
            Recipient::All => self.relayed.extend(messages),
        }
    }

    fn schedule(&mut self, timer: Timer, delay_ms: u64) {
        self.timers.insert((self.now_ms + delay_ms, timer));
    }

    fn misbehaved(&mut self, peer: PublicKey, what: &'static str) {
        assert!(self.tolerates_blame, "blames a peer: {what}");
        self.blamed.push((peer, what));
    }

    fn failed(&mut self, _peer: PublicKey, _what: Shortfall) {}

    fn check_transactions(&mut self, _from: PublicKey, transactions: Vec<Arc<Transaction>>) {
        for transaction in transactions {
            self.pay(transaction);
        }
    }

    fn stop(&mut self, why: UnknownRules) {
        panic!("nobody announces new rules: {why}");
    }

    fn notify(&mut self, notification: Notification) {
        let Notification::BlockApplied(applied) = notification else { return };
        let Some(running) = &mut self.node.running else { return };
        running.index_block(&applied, true);
        if self.chain.len() as u64 + 1 == applied.state.height() {
            self.chain.push(applied.committed.clone());
        }
    }

    fn goes_on(&self) -> bool {
        self.is_up()
    }
}

impl OneNode {
    /// A node of four equal validators, started at genesis with `peers` connected.
    pub fn new(peers: &[u8]) -> Self {
        let plan = Plan { epochs: 0, ..Plan::calm(4) };
        let genesis = genesis(&plan, &users());
        let node = Node::new(ME as u8, Some(identity(&genesis, ME)), 0);
        let mut one = Self {
            node,
            genesis,
            verifier: Arc::default(),
            random: Random::new(1),
            now_ms: START_MS,
            timers: BTreeSet::new(),
            published: Vec::new(),
            relayed: Vec::new(),
            chain: Vec::new(),
            dies_at_closing: false,
            blamed: Vec::new(),
            tolerates_blame: false,
            sent: Vec::new(),
        };
        one.start();
        for number in peers {
            one.feed(Event::PeerConnected(peer(*number)));
        }
        one
    }

    pub fn start(&mut self) {
        let verifier = Arc::clone(&self.verifier) as Arc<dyn SignatureVerifier + Send + Sync>;
        let (outputs, _) = self.node.start(&self.genesis, verifier, &mut self.random, self.now_ms);
        self.execute(outputs);
    }

    pub fn crash(&mut self) {
        self.node.crash(&mut self.random);
        self.timers.clear();
    }

    pub const fn is_up(&self) -> bool {
        self.node.running.is_some()
    }

    pub fn running(&self) -> &Running {
        self.node.running.as_ref().expect("it runs")
    }

    pub fn state(&self) -> &LedgerState {
        self.running().consensus.state()
    }

    pub fn feed(&mut self, event: Event) {
        let now = self.node.now(self.now_ms);
        let Some(running) = &mut self.node.running else { return };
        let outputs = running.consensus.handle(event, now);
        self.execute(outputs);
    }

    pub fn hear(&mut self, from: u8, message: Message) {
        self.feed(Event::Message { from: peer(from), message, verified: false });
    }

    /// Lets time pass.
    pub fn wait(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            let next_tick = end.min(self.now_ms + 50);
            match self.timers.first().copied().filter(|(at, _)| *at <= next_tick) {
                Some((at, timer)) => {
                    self.timers.pop_first();
                    self.now_ms = self.now_ms.max(at);
                    self.feed(Event::TimeoutElapsed(timer));
                }
                None => {
                    self.now_ms = next_tick;
                    self.feed(Event::Tick);
                }
            }
        }
    }

    fn execute(&mut self, outputs: Vec<Output>) {
        execute(outputs, self);
    }

    /// A payment of all of a genesis output of the first user to the second, told apart by a memo.
    pub fn payment(&self, memo: u8) -> Arc<Transaction> {
        let users = users();
        let own = |(_, output): &(OutPoint, TxOut)| output.lock == lock_of(&users[0]);
        let (outpoint, output) = self.genesis.outputs().into_iter().find(own).expect("allocated");
        let value = Amount(output.value.0 - 1_000);
        let outputs = vec![TxOut { value, lock: lock_of(&users[1]) }];
        let transaction = Transaction::transfer(vec![outpoint], outputs, vec![memo]);
        Arc::new(transaction.signed(&self.genesis.chain_id(), &[&users[0]]))
    }

    /// A peer has all blocks, and gives them.
    pub fn sync_from(&mut self, from: u8) {
        let height = self.chain.len() as u64;
        let tip = self.chain.last().expect("blocks").block.header.hash();
        self.feed(Event::PeerConnected(peer(from)));
        while self.state().height() < height {
            self.sent.clear();
            let status = NodeStatus { height, tip, ..self.status() };
            self.hear(from, Message::Status(status));
            self.wait(100);
            for (_, message) in std::mem::take(&mut self.sent) {
                if let Message::GetBlocks { from: first, count } = message {
                    let blocks = self.chain.iter().skip(first as usize - 1).take(count as usize);
                    self.hear(from, Message::Blocks(blocks.cloned().collect()));
                }
            }
        }
    }

    /// Hands in a transaction.
    pub fn pay(&mut self, transaction: Arc<Transaction>) -> CheckedTransaction {
        let (chain_id, parameters) = (self.genesis.chain_id(), &self.genesis.parameters);
        let checked = CheckedTransaction::check(transaction, &chain_id, parameters, &*self.verifier)
            .expect("a sound transaction");
        self.feed(Event::Transaction(checked.clone()));
        checked
    }

    // -- what the others say ----------------------------------------------------------------------------------------

    pub fn member(&self, index: usize) -> MasternodeId {
        identity(&self.genesis, index).id
    }

    /// A block vote of another validator for the height that the node works on.
    pub fn vote(&self, by: usize, step: VoteStep, round: Round, value: Option<BlockHash>) -> Message {
        let vote = BlockVote {
            step,
            epoch: self.state().next_epoch(),
            height: self.state().height() + 1,
            round,
            value,
            validator: self.member(by),
            signature: Signature::EMPTY,
        };
        Message::BlockVote(heard(&vote.signed(self.state().chain_id(), &operator(by))))
    }

    /// A proposal of another validator of a block for the round, standing on the prevotes of an earlier round.
    pub fn again(&self, round: Round, pol_round: Round, block: &BlockBlueprint) -> Message {
        let validator = self.proposer(round);
        let secret = (0..4).find(|by| self.member(*by) == validator).map(operator).expect("a member");
        let (pol_round, block, signature) = (Some(pol_round), block.clone(), Signature::EMPTY);
        let proposal = Proposal { round, pol_round, validator, block, signature };
        Message::Proposal(heard(&proposal.signed(&secret)))
    }

    /// Whether its current round is its own to propose in.
    pub fn is_proposer(&self) -> bool {
        self.proposer(self.running().consensus.bft().round()) == self.member(ME)
    }

    pub fn has_prevoted(&self, round: Round) -> bool {
        let height = self.state().height() + 1;
        self.published.iter().any(|message| match message {
            Message::BlockVote(vote) => {
                vote.step == VoteStep::Prevote && (vote.height, vote.round) == (height, round)
            }
            _ => false,
        })
    }

    pub fn proposer(&self, round: Round) -> MasternodeId {
        self.running().consensus.bft().proposer(round).expect("a set").id
    }

    /// A batch of another validator for the epoch that the node works on.
    pub fn batch(&self, by: usize, seq: u64, votes: Vec<FinalityVote>) -> Message {
        let (chain_id, epoch) = (self.genesis.chain_id(), self.state().next_epoch());
        let batch = VoteBatch::signed(&chain_id, epoch, self.member(by), seq, votes, &operator(by));
        Message::VoteBatch(heard(&batch))
    }

    /// What a peer says about itself that has everything this node has.
    pub fn status(&self) -> NodeStatus {
        self.running().consensus.status()
    }

    /// The others vote on the current round: for the node's own proposal if `pass` and it is the proposer, else nil.
    /// Only `precommits` of them are heard.
    pub fn vote_round(&mut self, pass: bool, precommits: &[usize]) {
        let round = self.running().consensus.bft().round();
        let mine = self.proposal(round).filter(|_| pass);
        let value = mine.map(|proposal| proposal.block.header.hash());
        let height = self.state().height();
        for by in [1, 2, 3] {
            let vote = self.vote(by, VoteStep::Prevote, round, value);
            self.hear(1, vote);
        }
        // A quorum for nothing in particular leads on after a timeout.
        self.wait(500);
        for by in precommits {
            if self.is_up() && self.state().height() == height {
                let vote = self.vote(*by, VoteStep::Precommit, round, value);
                self.hear(1, vote);
            }
        }
        self.wait(1_000);
    }

    /// The others let the node's proposals pass, and nobody else's, until its chain has this height.
    pub fn commit_until(&mut self, height: Height) {
        self.commit_while(|one| one.state().height() < height);
    }

    /// The same, for as long as this holds and the node is up.
    pub fn commit_while(&mut self, goes_on: impl Fn(&Self) -> bool) {
        while self.is_up() && goes_on(self) {
            self.wait(600);
            self.vote_round(true, &[1, 2, 3]);
        }
    }

    /// The node's own proposal of a round at its height.
    pub fn proposal(&self, round: Round) -> Option<Released<Proposal>> {
        let height = self.state().height() + 1;
        self.published.iter().find_map(|message| match message {
            Message::Proposal(proposal)
                if proposal.round == round && proposal.block.header.height == height =>
            {
                Some(proposal.clone())
            }
            _ => None,
        })
    }
}
