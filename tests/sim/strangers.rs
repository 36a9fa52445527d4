//! Peers without stake: they are connected to some nodes, have a key that is in no set, and send anything at any time.
//!
//! What they say is made up, changed from what they overheard, stale, far ahead, or an answer that nobody asked for. No
//! rate holds them back here, and nobody bans them: what the network would keep from consensus comes on top.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use timed::consensus::events::Event;
use timed::network::MessageKind;
use timed::types::codec::encode;
use timed::types::evidence::LockVoteProof;
use timed::types::heartbeat::Heartbeat;
use timed::types::instance::{Acknowledged, InstanceId, InstanceStatement};
use timed::types::limits::{REQUEST_IDS_MAX, VALIDATORS_MAX};
use timed::types::message::{HeldBatches, NodeStatus, PeerAddress, SnapshotItem};
use timed::types::{
    Amount, BlockBlueprint, BlockHash, BlockVote, Certificate, CommittedBlock, Evidence, FinalityVote,
    MasternodeId, Message, OutPoint, Proposal, PublicKey, SecretKey, Signature, SignerBitmap, Transaction,
    TxId, TxOut, VoteBatch, VoteKind, VoteStep,
};

use crate::heard::heard;
use crate::random::Random;
use crate::workload::lock_of;
use crate::world::{Item, World};

/// Messages of others that are remembered, to be said again.
const OVERHEARD_MAX: usize = 512;
/// How often one message is followed by so many more of its kind.
const FLOOD_PER_MILLE: u64 = 30;
const FLOOD_MESSAGES: u64 = 40;

struct Stranger {
    secret: SecretKey,
    peer: PublicKey,
    /// For each node, whether they are connected.
    reaches: Vec<bool>,
}

/// All strangers, and what they know.
#[derive(Default)]
pub struct Strangers {
    all: Vec<Stranger>,
    overheard: VecDeque<Message>,
    /// Names of the kinds of messages that they have sent.
    pub kinds: BTreeSet<&'static str>,
}

impl Strangers {
    /// The first one reaches every node, the others some.
    pub fn new(count: usize, nodes: usize, random: &mut Random) -> Self {
        let stranger = |number: usize, random: &mut Random| {
            let secret = SecretKey::from_seed(&[number as u8 + 0xc0; 32]);
            let reaches = (0..nodes).map(|_| number == 0 || random.chance(600)).collect();
            Stranger { peer: secret.public(), secret, reaches }
        };
        Self { all: (0..count).map(|number| stranger(number, random)).collect(), ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn is_one(&self, peer: PublicKey) -> bool {
        self.all.iter().any(|stranger| stranger.peer == peer)
    }

    /// Those that are connected to a node.
    pub fn peers_of(&self, node: usize) -> Vec<PublicKey> {
        self.all.iter().filter(|stranger| stranger.reaches[node]).map(|stranger| stranger.peer).collect()
    }

    pub fn peer(&self, stranger: usize) -> PublicKey {
        self.all[stranger].peer
    }

    /// The keys that they sign with.
    pub fn secrets(count: usize) -> impl Iterator<Item = SecretKey> {
        (0..count).map(|number| SecretKey::from_seed(&[number as u8 + 0xc0; 32]))
    }

    pub fn overhear(&mut self, message: &Message) {
        if !self.is_empty() {
            self.overheard.push_back(message.clone());
            if self.overheard.len() > OVERHEARD_MAX {
                self.overheard.pop_front();
            }
        }
    }
}

/// What a message is made of.
struct Invention<'a> {
    world: &'a mut World,
    /// Who says it.
    secret: SecretKey,
}

impl World {
    /// A stranger says something to one node or to all that it reaches.
    pub(super) fn intrude(&mut self) {
        let stranger = self.random.below(self.strangers.all.len());
        let flood = if self.random.chance(FLOOD_PER_MILLE) { FLOOD_MESSAGES } else { 0 };
        let secret = self.strangers.all[stranger].secret.clone();
        let kind = self.random.below(Invention::KINDS.len());
        let reached = self.strangers.all[stranger].reaches.clone();
        let reached: Vec<usize> = (0..self.nodes.len()).filter(|node| reached[*node]).collect();
        let everywhere = self.random.chance(300);
        for _ in 0..=flood {
            let message = Invention { world: self, secret: secret.clone() }.make(kind);
            // The network lets nothing else pass.
            if message.check_limits().is_err()
                || encode(&message).len() > MessageKind::of(&message).bytes_max()
            {
                continue;
            }
            self.strangers.kinds.insert(MessageKind::of(&message).name());
            let to = reached.get(self.random.below(reached.len().max(1))).copied();
            for to in if everywhere { reached.clone() } else { to.into_iter().collect() } {
                self.seen.intrusions += 1;
                self.say_as_stranger(stranger, to, message.clone());
            }
        }
        let delay = self.random.between(1, (2_000 / self.plan.intrusions_per_second).max(1));
        self.after(delay, Item::Intrude);
    }

    /// Their connections lose nothing, so that the worst comes through.
    fn say_as_stranger(&mut self, stranger: usize, to: usize, message: Message) {
        let from = self.nodes.len() + stranger;
        let delay = self.random.between(1, self.plan.delay_ms_max);
        self.after(delay, Item::Deliver { from, to, message });
    }

    /// Passes something on to a node, if a stranger is connected to it.
    pub(super) fn pass_on(&mut self, to: usize, message: Message) -> bool {
        let able: Vec<usize> =
            (0..self.strangers.all.len()).filter(|place| self.strangers.all[*place].reaches[to]).collect();
        let Some(stranger) = able.get(self.random.below(able.len().max(1))) else { return false };
        self.say_as_stranger(*stranger, to, message);
        true
    }

    /// A node came up.
    pub(super) fn connect_strangers(&mut self, node: usize) {
        for peer in self.strangers.peers_of(node) {
            self.feed(node, Event::PeerConnected(peer));
        }
    }
}

/// While strangers talk, each payment of an honest user is final everywhere within this time, while epochs close too.
const FINAL_WITHIN_MS: u64 = 3_000;
/// And so much happens within [`BUSY_MS`].
const BUSY_BLOCKS: u64 = 25;
const BUSY_EPOCHS: u64 = 3;
const BUSY_MS: u64 = 20_000;

impl World {
    /// Strangers talk from the beginning to the end.
    pub fn run_among_strangers(&mut self) {
        self.promise_finality_within(FINAL_WITHIN_MS);
        self.run_until("blocks and epochs among strangers", BUSY_MS, |world| {
            world.oracle.epoch >= BUSY_EPOCHS && world.heights().iter().all(|height| *height >= BUSY_BLOCKS)
        });
        self.run();
        let (payments, [median_ms, p99_ms, longest_ms]) = self.promptness.figures();
        self.log(|| format!("{payments} payments: {median_ms}, {p99_ms}, {longest_ms} ms"));
        assert!(payments > 100, "{payments} payments are too few to say");
        let mut unsaid = MessageKind::ALL.map(MessageKind::name).to_vec();
        unsaid.retain(|name| !self.strangers.kinds.contains(name));
        assert!(unsaid.is_empty(), "strangers say all kinds but {unsaid:?}");
    }
}

impl Invention<'_> {
    const KINDS: [fn(&mut Self) -> Message; 24] = [
        Self::replay,
        Self::replay,
        Self::twist,
        Self::twist,
        Self::twist,
        Self::status,
        Self::orphan,
        Self::greedy_orphan,
        Self::relayed_payment,
        Self::bodies,
        Self::batch,
        Self::proposal,
        Self::block_vote,
        Self::get_transactions,
        Self::get_certificates,
        Self::certificates,
        Self::get_batches,
        Self::batches_end,
        Self::get_blocks,
        Self::blocks,
        Self::evidence,
        Self::heartbeat,
        Self::instance,
        Self::idle_talk,
    ];

    fn make(&mut self, kind: usize) -> Message {
        Self::KINDS[kind](self)
    }

    // -- parts ----------------------------------------------------------------------------------------------------

    /// At, around, or far from a number that means something.
    fn number(&mut self, near: u64) -> u64 {
        match self.world.random.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 | 3 => near,
            4 => near.saturating_add(1),
            5 => near.saturating_sub(1),
            6 => near.saturating_add(2),
            _ => near.saturating_add(self.world.random.between(3, 1_000_000)),
        }
    }

    fn round(&mut self) -> u32 {
        u32::try_from(self.number(0)).unwrap_or(u32::MAX)
    }

    fn height(&mut self) -> u64 {
        self.number(self.world.oracle.height + 1)
    }

    fn epoch(&mut self) -> u64 {
        self.number(self.world.oracle.epoch)
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.fill_with(|| self.world.random.next() as u8);
        bytes
    }

    fn member(&mut self) -> MasternodeId {
        let place = self.world.random.below(self.world.ids.len() + 1);
        self.world.ids.get(place).copied().unwrap_or(MasternodeId([0x77; 32]))
    }

    /// Of a payment that is on its way, or of nothing.
    fn txid(&mut self) -> TxId {
        let open = self.world.workload.open_txid(&mut self.world.random);
        open.filter(|_| self.world.random.chance(600)).unwrap_or_else(|| TxId(self.bytes()))
    }

    fn block_hash(&mut self) -> BlockHash {
        let height = self.height();
        self.world.oracle.blocks.get(&height).copied().unwrap_or_else(|| BlockHash(self.bytes()))
    }

    fn bitmap(&mut self) -> SignerBitmap {
        let members = self.world.ids.len();
        let mut bitmap = SignerBitmap::empty(members);
        (0..members).filter(|_| self.world.random.chance(700)).for_each(|member| bitmap.set(member));
        bitmap
    }

    fn votes(&mut self) -> Vec<FinalityVote> {
        let kinds = [VoteKind::Lock, VoteKind::Final];
        let count = self.world.random.between(1, 4);
        (0..count)
            .map(|_| FinalityVote { kind: kinds[self.world.random.below(2)], txid: self.txid() })
            .collect()
    }

    fn txids(&mut self) -> Vec<TxId> {
        match self.world.random.below(4) {
            0 => vec![self.txid()],
            1 => (0..10).map(|_| self.txid()).collect(),
            2 => vec![self.txid(); REQUEST_IDS_MAX],
            _ => (0..REQUEST_IDS_MAX).map(|_| TxId(self.bytes())).collect(),
        }
    }

    /// What somebody else said, of a kind that this gives something of.
    fn find<T>(&self, of: impl Fn(&Message) -> Option<T>) -> Option<T> {
        self.world.strangers.overheard.iter().rev().find_map(of)
    }

    // -- what others said -----------------------------------------------------------------------------------------

    fn replay(&mut self) -> Message {
        let count = self.world.strangers.overheard.len();
        let place = self.world.random.below(count.max(1));
        self.world.strangers.overheard.get(place).cloned().unwrap_or(Message::Ping(0))
    }

    /// Something that was overheard, with one thing changed: as it is then, or signed anew by the stranger.
    fn twist(&mut self) -> Message {
        let signs = self.world.random.chance(500);
        let chain_id = self.world.genesis.chain_id();
        match self.replay() {
            Message::BlockVote(vote) => {
                let mut vote = BlockVote::clone(&vote);
                match self.world.random.below(5) {
                    0 => vote.height = self.height(),
                    1 => vote.round = self.round(),
                    2 => vote.epoch = self.epoch(),
                    3 => vote.value = None,
                    _ => vote.validator = self.member(),
                }
                Message::BlockVote(heard(&if signs { vote.signed(&chain_id, &self.secret) } else { vote }))
            }
            Message::Proposal(proposal) => {
                let mut proposal = Proposal::clone(&proposal);
                let header = &mut proposal.block.header;
                match self.world.random.below(5) {
                    0 => header.height = self.height(),
                    1 => proposal.round = self.round(),
                    2 => proposal.pol_round = Some(self.round()),
                    3 => header.time = self.number(header.time),
                    _ => drop(proposal.block.txids.pop()),
                }
                Message::Proposal(heard(&if signs { proposal.signed(&self.secret) } else { proposal }))
            }
            Message::VoteBatch(batch) => {
                let mut batch = VoteBatch::clone(&batch);
                match self.world.random.below(5) {
                    0 => batch.header.seq = self.number(batch.header.seq),
                    1 => batch.header.epoch = self.epoch(),
                    2 => batch.header.validator = self.member(),
                    3 => batch.votes.extend(self.votes()),
                    _ => drop(batch.votes.pop()),
                }
                let header = &batch.header;
                let (epoch, validator, seq) = (header.epoch, header.validator, header.seq);
                if signs {
                    let votes = batch.votes;
                    batch = VoteBatch::signed(&chain_id, epoch, validator, seq, votes, &self.secret);
                }
                Message::VoteBatch(heard(&batch))
            }
            Message::Status(status) => {
                let (height, epoch) = (self.number(status.height), self.number(status.epoch));
                Message::Status(NodeStatus { height, epoch, ..status })
            }
            Message::Transaction(transaction) => {
                let mut transaction = Transaction::clone(&transaction);
                match self.world.random.below(3) {
                    0 => transaction.outputs[0].lock = lock_of(&self.secret),
                    1 => drop(transaction.inputs.pop()),
                    _ => transaction.witnesses[0].signature.0[3] ^= 1,
                }
                Message::Transaction(Arc::new(transaction))
            }
            Message::Heartbeat(heartbeat) => {
                let mut heartbeat = Heartbeat::clone(&heartbeat);
                heartbeat.next_seq = self.number(heartbeat.next_seq);
                heartbeat.time_ms = self.number(heartbeat.time_ms);
                Message::Heartbeat(heard(&heartbeat))
            }
            Message::Instance(statement) => {
                let mut statement = InstanceStatement::clone(&statement);
                statement.seq = self.number(statement.seq);
                statement.asks = !statement.asks;
                Message::Instance(Arc::new(statement))
            }
            other => other,
        }
    }

    // -- transactions ---------------------------------------------------------------------------------------------

    fn spending(&mut self, inputs: Vec<OutPoint>) -> Arc<Transaction> {
        let outputs = vec![TxOut { value: Amount(1_000), lock: lock_of(&self.secret) }];
        let memo = self.bytes::<8>().to_vec();
        let chain_id = self.world.genesis.chain_id();
        Arc::new(Transaction::transfer(inputs, outputs, memo).signed(&chain_id, &[&self.secret]))
    }

    fn invented_outpoint(&mut self) -> OutPoint {
        OutPoint { txid: TxId(self.bytes()), index: self.world.random.below(3) as u32 }
    }

    /// It spends what does not exist, or what such a one would make.
    fn orphan(&mut self) -> Message {
        let parent = self.find(|message| match message {
            Message::Transaction(transaction) => Some(transaction.txid()),
            _ => None,
        });
        let mut inputs: Vec<OutPoint> =
            (0..self.world.random.between(1, 3)).map(|_| self.invented_outpoint()).collect();
        inputs.extend(parent.map(|txid| OutPoint { txid, index: 7 }));
        let orphan = Message::Transaction(self.spending(inputs));
        // So that some of the next ones descend from it.
        self.world.strangers.overhear(&orphan);
        orphan
    }

    /// It names coins of others beside what does not exist.
    fn greedy_orphan(&mut self) -> Message {
        let coin = self.world.workload.any_coin(&mut self.world.random);
        let invented = self.invented_outpoint();
        Message::Transaction(self.spending(coin.into_iter().chain([invented]).collect()))
    }

    /// A payment that is on its way, before or after those that it depends on.
    fn relayed_payment(&mut self) -> Message {
        let txid = self.txid();
        let payment = self.world.workload.checked(&txid);
        payment.map_or(Message::Pong(1), |payment| Message::Transaction(Arc::clone(payment.transaction())))
    }

    fn bodies(&mut self) -> Message {
        let count = self.world.random.between(0, 5);
        let bodies = (0..count).filter_map(|_| match self.world.random.below(3) {
            0 => self.find(|message| match message {
                Message::Transaction(transaction) => Some(Arc::clone(transaction)),
                _ => None,
            }),
            1 => {
                let txid = self.txid();
                let payment = self.world.workload.checked(&txid)?;
                let (copy, _) = self.world.other_copy(payment.transaction());
                Some(copy)
            }
            _ => {
                let inputs = vec![self.invented_outpoint()];
                Some(self.spending(inputs))
            }
        });
        Message::Transactions(bodies.collect())
    }

    // -- votes ----------------------------------------------------------------------------------------------------

    fn batch(&mut self) -> Message {
        let (epoch, validator, seq) = (self.epoch(), self.member(), self.number(10));
        let (votes, chain_id) = (self.votes(), self.world.genesis.chain_id());
        let batch = VoteBatch::signed(&chain_id, epoch, validator, seq, votes, &self.secret);
        Message::VoteBatch(heard(&batch))
    }

    fn proposal(&mut self) -> Message {
        let known = self.find(|message| match message {
            Message::Proposal(proposal) => Some(proposal.clone()),
            _ => None,
        });
        let Some(known) = known else { return self.block_vote() };
        let mut block = BlockBlueprint::clone(&known.block);
        block.header.height = self.height();
        block.header.epoch = self.epoch();
        block.txids = self.txids();
        let (round, validator) = (self.round(), self.member());
        let pol_round = self.world.random.chance(500).then(|| self.round());
        let proposal = Proposal { round, pol_round, validator, block, signature: Signature::EMPTY };
        Message::Proposal(heard(&proposal.signed(&self.secret)))
    }

    fn vote(&mut self) -> BlockVote {
        let steps = [VoteStep::Prevote, VoteStep::Precommit];
        let vote = BlockVote {
            step: steps[self.world.random.below(2)],
            epoch: self.epoch(),
            height: self.height(),
            round: self.round(),
            value: self.world.random.chance(500).then(|| self.block_hash()),
            validator: self.member(),
            signature: Signature::EMPTY,
        };
        vote.signed(&self.world.genesis.chain_id(), &self.secret)
    }

    fn block_vote(&mut self) -> Message {
        Message::BlockVote(heard(&self.vote()))
    }

    /// A contradiction that nobody signed, or that its accuser did.
    fn evidence(&mut self) -> Message {
        let (one, other) = (self.vote(), self.vote());
        let proof = self.find(|message| match message {
            Message::VoteBatch(batch) => Some(batch.prove(0)?),
            _ => None,
        });
        Message::Evidence(Arc::new(match proof.filter(|_| self.world.random.chance(500)) {
            Some(vote) => {
                let proof = |transaction: Arc<Transaction>| LockVoteProof {
                    vote: vote.clone(),
                    transaction: Transaction::clone(&transaction),
                };
                let coin = vec![self.invented_outpoint()];
                Evidence::of_locks(proof(self.spending(coin.clone())), proof(self.spending(coin)))
            }
            None => Evidence::of_votes(one.clone(), BlockVote { value: other.value, ..one }),
        }))
    }

    // -- where it stands ------------------------------------------------------------------------------------------

    fn status(&mut self) -> Message {
        let members = [self.world.ids.len(), VALIDATORS_MAX][self.world.random.below(2)];
        let status = NodeStatus {
            height: self.height(),
            horizon: self.number(1),
            tip: self.block_hash(),
            epoch: self.world.oracle.epoch,
            round: self.round(),
            has_proposal: self.world.random.chance(500),
            prevotes: self.bitmap(),
            precommits: self.bitmap(),
            batches: (0..members)
                .map(|_| HeldBatches { from: self.number(0), until: self.number(50) })
                .collect(),
        };
        Message::Status(status)
    }

    fn heartbeat(&mut self) -> Message {
        let heartbeat = Heartbeat {
            validator: self.member(),
            instance: InstanceId { start: self.bytes(), attempt: 0 },
            epoch: self.epoch(),
            height: self.height(),
            next_seq: self.number(10),
            time_ms: self.number(self.world.now_ms),
            heard: self.bitmap(),
            signature: Signature::EMPTY,
        };
        Message::Heartbeat(heard(&heartbeat.signed(&self.world.genesis.chain_id(), &self.secret)))
    }

    fn instance(&mut self) -> Message {
        let start = |invention: &mut Self| InstanceId { start: invention.bytes(), attempt: 0 };
        let validator = self.member();
        let statement = InstanceStatement {
            validator,
            epoch: self.epoch(),
            instance: start(self),
            seq: self.number(1),
            asks: self.world.random.chance(500),
            rivals: vec![start(self)],
            acknowledged: vec![Acknowledged { validator, instance: start(self) }],
            signature: Signature::EMPTY,
        };
        Message::Instance(Arc::new(statement.signed(&self.world.genesis.chain_id(), &self.secret)))
    }

    fn idle_talk(&mut self) -> Message {
        match self.world.random.below(10) {
            0 => Message::Ping(self.number(0)),
            1 => Message::Pong(self.number(0)),
            2 => Message::GetMasternodes,
            3 => Message::Neighbours(vec![self.secret.public()]),
            4 => Message::Announce(self.txids()),
            5 => Message::GetSnapshots,
            8 => Message::Snapshots(Vec::new()),
            6 => Message::GetSnapshotItem { height: self.height(), item: SnapshotItem::Chunk(0) },
            7 => {
                let (height, item) = (self.height(), SnapshotItem::Manifest);
                Message::SnapshotItem { height, item, bytes: self.bytes::<32>().to_vec() }
            }
            _ => Message::Masternodes(vec![PeerAddress { address: "[::]:0".to_owned(), identity: None }]),
        }
    }

    // -- questions, and answers to none ---------------------------------------------------------------------------

    fn get_transactions(&mut self) -> Message {
        Message::GetTransactions(self.txids())
    }

    fn get_certificates(&mut self) -> Message {
        let kinds = [VoteKind::Lock, VoteKind::Final];
        Message::GetCertificates(kinds[self.world.random.below(2)], self.txids())
    }

    fn get_batches(&mut self) -> Message {
        let (epoch, validator) = (self.epoch(), self.member());
        Message::GetBatches { epoch, validator, from_seq: self.number(0), count: self.number(50) }
    }

    fn get_blocks(&mut self) -> Message {
        Message::GetBlocks { from: self.height(), count: self.number(5) }
    }

    fn batches_end(&mut self) -> Message {
        let (epoch, validator) = (self.world.oracle.epoch, self.member());
        Message::BatchesEnd { epoch, validator, before_seq: self.number(10) }
    }

    /// Votes that somebody cast, as proof of others.
    fn certificates(&mut self) -> Message {
        let proofs = self.world.strangers.overheard.iter().filter_map(|message| match message {
            Message::VoteBatch(batch) => batch.prove(0),
            _ => None,
        });
        let proofs: Vec<_> = proofs.take(VALIDATORS_MAX).collect();
        let count = self.world.random.between(0, 3);
        let certificate = |invention: &mut Self| {
            let vote = invention.votes()[0];
            heard(&Certificate { vote, epoch: invention.epoch(), votes: proofs.clone() })
        };
        Message::Certificates((0..count).map(|_| certificate(self)).collect())
    }

    /// None, or some of the chain's with something changed.
    fn blocks(&mut self) -> Message {
        let node = self.world.random.below(self.world.nodes.len());
        let first = self.world.random.between(1, self.world.oracle.height.max(1));
        let Some(running) = &self.world.nodes[node].running else { return Message::Blocks(Vec::new()) };
        let logged = (first..first + 3).map_while(|height| running.log.read(height).ok().flatten());
        let mut blocks: Vec<CommittedBlock> = logged.map(|logged| logged.committed).collect();
        let place = self.world.random.below(blocks.len().max(1));
        if let Some(block) = blocks.get_mut(place) {
            match self.world.random.below(6) {
                0 => block.block.header.height = self.height(),
                1 => block.block.header.time += 1,
                2 => drop(block.block.transactions.pop()),
                3 => drop(block.commit.signatures.pop()),
                4 => block.commit.round = self.round(),
                _ => {}
            }
        }
        Message::Blocks(blocks.iter().map(heard).collect())
    }
}
