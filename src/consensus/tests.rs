//! Rule 4: which blocks get a first prevote. One node that is none of the first proposers; the tests play everybody else.

mod answers;
mod batches;
mod block_commit;
mod candidates;
mod catching_up;
mod closing;
mod due;
mod durable;
mod engine;
mod epochs;
mod evidence;
mod forks;
mod leaving;
mod outdated;
mod proofs;
mod pulled;
mod pulled_batches;
mod pulled_blocks;
mod readers;
mod restored;
mod rivals;
mod seats;
mod shell;
mod signer;
pub(crate) mod snapshots;
mod strangers;
mod trust;

use std::path::Path;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::events::{AppliedBlock, Event, Output, Timer};
use super::fixtures::{SingleNode, peer};
use super::replay::replay;
use crate::protocol::bft;
use crate::protocol::state::LedgerState;
use crate::protocol::transition::{self, BlockDraft, BlockOutcome};
use crate::protocol::validity::CheckedTransaction;
use crate::storage::block_log::{BlockLog, LoggedBlock};
use crate::storage::index::Index;
use crate::storage::journal::{JournalIdentity, JournalRecord, JournalWriter, Staged};
use crate::storage::memory_disk::MemoryDisk;
use crate::storage::memory_index::MemoryIndex;
use crate::types::fork::ForkProof;
use crate::types::genesis::{Allocation, GenesisMasternode};
use crate::types::keys::SequentialVerifier;
use crate::types::limits::{CERTIFICATE_VOTE_BYTES_MAX, CLOCK_DRIFT_MS_MAX, REQUEST_CERTIFICATES_MAX};
use crate::types::vote::block_vote_digest;
use crate::types::{
    Address, Amount, Block, BlockHash, BlockVote, ChainParameters, Commit, CommittedBlock, Epoch, Evidence,
    FinalityVote, GenesisDocument, Height, Lock, Message, Network, OutPoint, OwnMessage, Proposal, Released,
    RuleVersion, SecretKey, Signature, SignerBitmap, TimeMs, Transaction, TxId, TxOut, UtxoEntry, VoteBatch,
    VoteKind, VoteStep,
};

const START_MS: TimeMs = 1_750_000_000_000;
const MEMBERS: u8 = 4;
/// So that a few large payments fill a block.
const GENESIS_BLOCK_BYTES_MAX: u64 = 1 << 20;
/// Fewer than there are coins, and more than the large payments that fill a block.
const GENESIS_BLOCK_TRANSACTIONS_MAX: u64 = 32;
/// Certified payments that make a block due: more than any other test has on their way within a block's gap.
const GENESIS_BLOCK_TRIGGER: u64 = 36;

fn operator(index: usize) -> SecretKey {
    SecretKey::from_seed(&[u8::try_from(index).unwrap() + 1; 32])
}

fn user() -> SecretKey {
    SecretKey::from_seed(&[0x80; 32])
}

pub(super) fn genesis() -> GenesisDocument {
    let address = |secret: &SecretKey| Address::of_key_hash(Network::Devnet, secret.public().key_hash());
    let mut parameters = ChainParameters::of_network(Network::Devnet);
    parameters.block_bytes_max = GENESIS_BLOCK_BYTES_MAX;
    parameters.block_transactions_max = GENESIS_BLOCK_TRANSACTIONS_MAX;
    parameters.block_trigger = GENESIS_BLOCK_TRIGGER;
    let masternode = |index: u8| GenesisMasternode {
        collateral: parameters.tiers[0].collateral,
        owner: address(&user()),
        operator_key: operator(index.into()).public(),
        payout: address(&user()),
        network_address: String::new(),
    };
    GenesisDocument {
        network: Network::Devnet,
        time_ms: START_MS,
        allocations: vec![Allocation { address: address(&user()), amount: Amount(1_000_000) }; 40],
        masternodes: (0..MEMBERS).map(masternode).collect(),
        parameters,
    }
}

/// The chain as everybody else makes it.
#[derive(Clone)]
struct Chain {
    state: LedgerState,
    utxos: BTreeMap<OutPoint, UtxoEntry>,
    commit: Commit,
    /// The newest rules that everybody else's program knows.
    announces: RuleVersion,
}

impl Chain {
    fn new() -> Self {
        let (state, outputs) = LedgerState::genesis(&genesis()).unwrap();
        Self {
            state,
            utxos: outputs.into_iter().collect(),
            commit: Commit::default(),
            announces: RuleVersion::FIRST,
        }
    }

    fn block(
        &self,
        time: TimeMs,
        epoch_end: bool,
        transactions: &[CheckedTransaction],
    ) -> (Block, BlockOutcome) {
        self.block_with(time, epoch_end, transactions, &[])
    }

    fn block_with(
        &self,
        time: TimeMs,
        epoch_end: bool,
        transactions: &[CheckedTransaction],
        evidence: &[Arc<Evidence>],
    ) -> (Block, BlockOutcome) {
        let proposer = self.state.validators().get(self.state.proposer_order()[0]).unwrap().id;
        let last_commit = &self.commit;
        let announces = self.announces;
        let draft = BlockDraft {
            round: 0,
            time,
            epoch_end,
            proposer,
            announces,
            last_commit,
            transactions,
            evidence,
        };
        transition::propose(&self.state, &self.utxos, &draft).unwrap()
    }

    /// Adds an empty block, which everybody commits.
    fn grow(&mut self, time: TimeMs) -> LoggedBlock {
        self.grow_by(time, false)
    }

    fn grow_by(&mut self, time: TimeMs, epoch_end: bool) -> LoggedBlock {
        let (block, outcome) = self.block(time, epoch_end, &[]);
        self.commit(block, outcome)
    }

    fn commit(&mut self, block: Block, outcome: BlockOutcome) -> LoggedBlock {
        let (header, hash) = (&block.header, block.header.hash());
        let (chain_id, epoch) = (&header.chain_id, header.epoch);
        let digest = block_vote_digest(chain_id, VoteStep::Precommit, epoch, header.height, 0, Some(hash));
        let mut signers = SignerBitmap::empty(MEMBERS.into());
        (0..MEMBERS.into()).for_each(|place| signers.set(place));
        let secret = |key| (0..).map(operator).find(|secret| secret.public() == key).unwrap();
        let members = self.state.validators().members().iter();
        let signatures = members.map(|member| secret(member.key).sign(&digest)).collect();
        let commit = Commit { height: header.height, round: 0, block_hash: hash, signers, signatures };
        let spent = transition::inputs_in_order(&outcome);
        self.commit = commit.clone();
        self.state = outcome.state;
        LoggedBlock { committed: CommittedBlock { block, commit }, spent }
    }

    /// Adds an empty block, and says what it did.
    fn grow_applied(&mut self, time: TimeMs, epoch_end: bool) -> (LoggedBlock, Arc<AppliedBlock>) {
        let (block, outcome) = self.block(time, epoch_end, &[]);
        let BlockOutcome { spent, created, receipts, slashed, .. } = outcome.clone();
        let (hash, logged) = (block.header.hash(), self.commit(block, outcome));
        let applied = AppliedBlock {
            committed: Released::heard(logged.committed.clone()),
            hash,
            transactions: Vec::new(),
            spent,
            created,
            transient: Vec::new(),
            receipts,
            slashed,
            spenders: Vec::new(),
            state: Arc::new(self.state.clone()),
            own: false,
        };
        (logged, Arc::new(applied))
    }

    /// What spends a payment's output.
    fn child(&self, parent: &CheckedTransaction) -> CheckedTransaction {
        let TxOut { value, lock } = parent.outputs()[0];
        let inputs = vec![OutPoint { txid: parent.txid(), index: 0 }];
        let outputs = vec![TxOut { value: Amount(value.0 - 1_000), lock }];
        let transaction = Transaction::transfer(inputs, outputs, Vec::new());
        let transaction = Arc::new(transaction.signed(self.state.chain_id(), &[&user()]));
        let (chain_id, parameters) = (self.state.chain_id(), self.state.parameters());
        CheckedTransaction::check(transaction, chain_id, parameters, &SequentialVerifier).unwrap()
    }

    /// All of the user's `nth` coin.
    fn payment(&self, nth: usize) -> CheckedTransaction {
        let lock = Lock::KeyHash(user().public().key_hash());
        let coins = self.utxos.iter().filter(|(outpoint, _)| !self.state.is_bound(outpoint));
        let (outpoint, entry) = coins.into_iter().nth(nth).unwrap();
        let output = TxOut { value: Amount(entry.output.value.0 - 1_000), lock };
        let transaction = Transaction::transfer(vec![*outpoint], vec![output], Vec::new());
        let transaction = Arc::new(transaction.signed(self.state.chain_id(), &[&user()]));
        let (chain_id, parameters) = (self.state.chain_id(), self.state.parameters());
        CheckedTransaction::check(transaction, chain_id, parameters, &SequentialVerifier).unwrap()
    }

    /// The same with so many outputs that it has about this size.
    fn payment_of_bytes(&self, nth: usize, bytes: usize) -> CheckedTransaction {
        let outputs_max = (bytes / 42).min(900);
        let lock = Lock::KeyHash(user().public().key_hash());
        let coins = self.utxos.iter().filter(|(outpoint, _)| !self.state.is_bound(outpoint));
        let (outpoint, _) = coins.into_iter().nth(nth).unwrap();
        let outputs = vec![TxOut { value: Amount(1), lock }; outputs_max];
        let transaction = Transaction::transfer(vec![*outpoint], outputs, Vec::new());
        let transaction = Arc::new(transaction.signed(self.state.chain_id(), &[&user()]));
        let (chain_id, parameters) = (self.state.chain_id(), self.state.parameters());
        CheckedTransaction::check(transaction, chain_id, parameters, &SequentialVerifier).unwrap()
    }

    /// The same of just this size.
    fn payment_of_just(&self, nth: usize, bytes: usize) -> CheckedTransaction {
        let lock = Lock::KeyHash(user().public().key_hash());
        let inputs = self.payment(nth).inputs().to_vec();
        let of = |outputs: usize, memo: usize| {
            let outputs = vec![TxOut { value: Amount(1), lock }; outputs];
            let transaction = Transaction::transfer(inputs.clone(), outputs, vec![0; memo]);
            let transaction = Arc::new(transaction.signed(self.state.chain_id(), &[&user()]));
            let (chain_id, parameters) = (self.state.chain_id(), self.state.parameters());
            CheckedTransaction::check(transaction, chain_id, parameters, &SequentialVerifier).unwrap()
        };
        let each = of(2, 0).encoded_bytes() - of(1, 0).encoded_bytes();
        let rest = bytes - of(1, 0).encoded_bytes();
        let payment = of(1 + rest / each, rest % each);
        assert_eq!(payment.encoded_bytes(), bytes);
        payment
    }

    fn proposal(&self, block: &Block) -> Message {
        let place = self.state.validators().index_of(&block.header.proposer).unwrap();
        let proposal = Proposal {
            round: 0,
            pol_round: None,
            validator: block.header.proposer,
            block: block.blueprint(),
            signature: Signature::EMPTY,
        };
        Message::Proposal(Released::heard(proposal.signed(&operator(place))))
    }
}

/// The node: the member that proposes last.
type Node = SingleNode<MemoryDisk>;

impl Node {
    /// A node at the tip of a chain of which it has these blocks.
    fn new(chain: &Chain, blocks: &[LoggedBlock], now_ms: TimeMs) -> Self {
        Self::with_records(chain, blocks, now_ms, Vec::new())
    }

    /// The same, with these records in its journal.
    fn with_records(
        chain: &Chain,
        blocks: &[LoggedBlock],
        now_ms: TimeMs,
        records: Vec<JournalRecord>,
    ) -> Self {
        let last = *chain.state.proposer_order().last().unwrap();
        Self::of_operator(operator(last), blocks, now_ms, records)
    }

    fn of_operator(
        secret: SecretKey,
        blocks: &[LoggedBlock],
        now_ms: TimeMs,
        records: Vec<JournalRecord>,
    ) -> Self {
        Self::with_interval(secret, 0, blocks, now_ms, records)
    }

    fn with_interval(
        secret: SecretKey,
        vote_interval_ms: u64,
        blocks: &[LoggedBlock],
        now_ms: TimeMs,
        records: Vec<JournalRecord>,
    ) -> Self {
        Self::on_disk(&MemoryDisk::new(), secret, vote_interval_ms, blocks, now_ms, records)
    }

    fn on_disk(
        disk: &MemoryDisk,
        secret: SecretKey,
        vote_interval_ms: u64,
        blocks: &[LoggedBlock],
        now_ms: TimeMs,
        records: Vec<JournalRecord>,
    ) -> Self {
        Self::of_genesis(&genesis(), disk, secret, vote_interval_ms, blocks, now_ms, records)
    }

    fn of_genesis(
        genesis: &GenesisDocument,
        disk: &MemoryDisk,
        secret: SecretKey,
        vote_interval_ms: u64,
        blocks: &[LoggedBlock],
        now_ms: TimeMs,
        records: Vec<JournalRecord>,
    ) -> Self {
        let chain_id = genesis.chain_id();
        let mut log = BlockLog::open(disk.clone(), Path::new("blocks"), chain_id).unwrap();
        for block in blocks {
            log.append(block).unwrap();
        }
        let index = Index::new(Arc::new(MemoryIndex::new()));
        let replayed = replay(genesis, &index, &log.reader(), &mut |_, _| true).unwrap();
        let identity = JournalIdentity { chain_id, operator: Some(secret.public()) };
        let open = || JournalWriter::open_or_create(disk.clone(), Path::new("votes"), identity).unwrap();
        let staged = Staged::<OwnMessage> { records, release: Vec::new() };
        drop(open().writer.commit(vec![staged]).unwrap());
        Self::open(Some(secret), (replayed, index), vote_interval_ms, open(), log, now_ms)
    }

    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.consensus.own_seat().unwrap();
        let place = self.consensus.state().validators().index_of(&me).unwrap();
        (0..MEMBERS.into()).filter(move |other| *other != place)
    }

    /// All others lock a transaction.
    fn hear_locks(&mut self, txid: TxId) {
        self.hear_locks_as(txid, 0);
    }

    /// The same in their batches of this number.
    fn hear_locks_as(&mut self, txid: TxId, seq: u64) {
        for other in self.others() {
            let state = self.consensus.state();
            let (chain_id, epoch) = (*state.chain_id(), state.next_epoch());
            let id = state.validators().get(other).unwrap().id;
            let votes = vec![FinalityVote { kind: VoteKind::Lock, txid }];
            let batch = VoteBatch::signed(&chain_id, epoch, id, seq, votes, &operator(other));
            self.hear(Message::VoteBatch(Released::heard(batch)));
        }
    }

    /// The vote of a member for a block of round 0, or for none.
    fn block_vote(&self, place: usize, step: VoteStep, value: Option<BlockHash>) -> Message {
        let state = self.consensus.state();
        let vote = BlockVote {
            step,
            epoch: state.next_epoch(),
            height: state.height() + 1,
            round: 0,
            value,
            validator: state.validators().get(place).unwrap().id,
            signature: Signature::EMPTY,
        };
        Message::BlockVote(Released::heard(vote.signed(state.chain_id(), &operator(place))))
    }

    /// All others vote for a block, or for none.
    fn hear_block_votes(&mut self, step: VoteStep, value: impl Into<Option<BlockHash>>) {
        let value = value.into();
        for other in self.others() {
            self.hear(self.block_vote(other, step, value));
        }
    }

    /// Has an empty block decided, which becomes the chain's tip as well.
    fn decide(&mut self, chain: &mut Chain, time: TimeMs, epoch_end: bool, evidence: &[Arc<Evidence>]) {
        let (block, outcome) = chain.block_with(time, epoch_end, &[], evidence);
        self.hear(chain.proposal(&block));
        self.hear_block_votes(VoteStep::Prevote, block.header.hash());
        self.hear_block_votes(VoteStep::Precommit, block.header.hash());
        assert_eq!(self.consensus.state().tip_hash(), block.header.hash());
        chain.commit(block, outcome);
    }

    /// What it prevoted at the height that it works on.
    fn prevote(&self) -> Option<Option<BlockHash>> {
        let height = self.consensus.chain.next_height();
        self.around.said.iter().find_map(|message| match message {
            Message::BlockVote(vote) if vote.step == VoteStep::Prevote && vote.height == height => {
                Some(vote.value)
            }
            _ => None,
        })
    }
}

#[test]
fn a_block_from_the_future_waits_for_the_clock() {
    let chain = Chain::new();
    for (ahead_ms, is_late) in [(CLOCK_DRIFT_MS_MAX, false), (CLOCK_DRIFT_MS_MAX + 1, true)] {
        let mut node = Node::new(&chain, &[], START_MS);
        let (block, _) = chain.block(START_MS + ahead_ms, false, &[]);
        node.hear(chain.proposal(&block));
        let vote = Some(Some(block.header.hash()));
        assert_eq!(node.prevote(), if is_late { None } else { vote }, "{ahead_ms} ms ahead");
        node.now_ms += 1;
        node.feed(Event::Tick);
        assert_eq!(node.prevote(), vote, "its time has come");
    }
}

#[test]
fn a_block_waits_until_all_that_is_in_it_is_certified_here() {
    let chain = Chain::new();
    let (first, second) = (chain.payment(0), chain.payment(1));
    let (block, _) = chain.block(START_MS + 1, false, &[first.clone(), second.clone()]);
    let mut node = Node::new(&chain, &[], START_MS);
    node.feed(Event::Transaction(first.clone()));
    node.feed(Event::Transaction(second.clone()));
    node.hear_locks(first.txid());
    node.hear(chain.proposal(&block));
    assert_eq!(node.prevote(), None, "one of two is not certified");
    let votes = vec![FinalityVote { kind: VoteKind::Lock, txid: second.txid() }];
    // With its own vote there are three of four.
    for (other, expected) in node.others().zip([None, Some(Some(block.header.hash()))]) {
        let id = chain.state.validators().get(other).unwrap().id;
        let batch = VoteBatch::signed(chain.state.chain_id(), 0, id, 1, votes.clone(), &operator(other));
        node.hear(Message::VoteBatch(Released::heard(batch)));
        assert_eq!(node.prevote(), expected);
    }
}

#[test]
fn no_epoch_ends_without_what_was_promised() {
    for is_included in [false, true] {
        let mut chain = Chain::new();
        let blocks = [chain.grow(START_MS + 1)];
        // The node is no proposer of the two heights that follow.
        let closing_ms = START_MS + 1 + chain.state.parameters().epoch_duration_ms;
        let mut node = Node::new(&chain, &blocks, closing_ms);
        let promised = chain.payment(0);
        node.feed(Event::Transaction(promised.clone()));
        node.hear_locks(promised.txid());
        assert!(node.consensus.finality().promises().contains(&promised.txid()), "it voted Final");

        let (last_ordinary, _) = chain.block(closing_ms, false, &[]);
        node.hear(chain.proposal(&last_ordinary));
        assert_eq!(node.prevote(), Some(Some(last_ordinary.header.hash())), "it may wait for the next block");
        node.hear_block_votes(VoteStep::Prevote, last_ordinary.header.hash());
        node.hear_block_votes(VoteStep::Precommit, last_ordinary.header.hash());
        assert_eq!(node.consensus.state().height(), 2);
        chain.grow(closing_ms);
        assert_eq!(chain.state.tip_hash(), node.consensus.state().tip_hash());

        let transactions = if is_included { vec![promised] } else { Vec::new() };
        let (last, _) = chain.block(closing_ms + 1, true, &transactions);
        node.around.sent.clear();
        node.hear(chain.proposal(&last));
        assert_eq!(node.prevote(), Some(is_included.then_some(last.header.hash())));
        // The next proposer may lack what this one left out.
        let [bodies, certificates] = [
            |message: &Message| matches!(message, Message::Transactions(_)),
            |message: &Message| matches!(message, Message::Certificates(_)),
        ]
        .map(|is_of_kind| node.around.sent.iter().any(is_of_kind));
        assert_eq!((bodies, certificates), (!is_included, !is_included));
    }
}

/// Whoever proposes could have all promises of everybody sent to everybody otherwise, as often as it proposes.
#[test]
fn the_end_of_an_epoch_that_is_not_closing_brings_nobodys_promises() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1);
    let promised = chain.payment(0);
    node.feed(Event::Transaction(promised.clone()));
    node.hear_locks(promised.txid());
    assert!(node.consensus.finality().promises().contains(&promised.txid()));
    let (mut block, _) = chain.block(START_MS + 1, false, &[]);
    block.header.epoch_end = true;
    node.around.sent.clear();
    node.hear(chain.proposal(&block));
    assert_eq!(node.prevote().flatten(), None, "it is invalid");
    assert!(!node.around.sent.iter().any(|message| matches!(message, Message::Certificates(_))));
}

/// The next proposer may lack any number of them.
#[test]
fn promises_that_were_left_out_are_sent_once_each_and_in_parts() {
    let count = REQUEST_CERTIFICATES_MAX + 1;
    let mut chain = Chain::new();
    let sign = |chain: &Chain, input: OutPoint, outputs: Vec<TxOut>| {
        let transaction = Transaction::transfer(vec![input], outputs, Vec::new());
        let transaction = Arc::new(transaction.signed(chain.state.chain_id(), &[&user()]));
        let (chain_id, parameters) = (chain.state.chain_id(), chain.state.parameters());
        CheckedTransaction::check(transaction, chain_id, parameters, &SequentialVerifier).unwrap()
    };
    let output = TxOut { value: Amount(3_000), lock: Lock::KeyHash(user().public().key_hash()) };
    let split = sign(&chain, chain.payment(0).inputs()[0], vec![output; count]);
    let (block, outcome) = chain.block(START_MS + 1, false, std::slice::from_ref(&split));
    let blocks = [chain.commit(block, outcome)];
    // The node is no proposer of the two heights that follow.
    let closing_ms = START_MS + 1 + chain.state.parameters().epoch_duration_ms;
    let mut node = Node::new(&chain, &blocks, closing_ms);
    let mut promised = BTreeSet::new();
    for (index, seq) in (0_u32..).zip(0..count as u64) {
        let input = OutPoint { txid: split.txid(), index };
        let payment = sign(&chain, input, vec![TxOut { value: Amount(2_000), ..output }]);
        node.feed(Event::Transaction(payment.clone()));
        node.hear_locks_as(payment.txid(), seq);
        promised.insert(payment.txid());
    }
    let promises = node.consensus.finality().promises();
    assert!(promised.iter().all(|txid| promises.contains(txid)), "it voted Final");
    let (last_ordinary, _) = chain.block(closing_ms, false, &[]);
    node.hear(chain.proposal(&last_ordinary));
    node.hear_block_votes(VoteStep::Prevote, last_ordinary.header.hash());
    node.hear_block_votes(VoteStep::Precommit, last_ordinary.header.hash());
    chain.grow(closing_ms);
    assert_eq!(chain.state.tip_hash(), node.consensus.state().tip_hash());
    let (last, _) = chain.block(closing_ms + 1, true, &[]);
    node.around.sent.clear();
    node.hear(chain.proposal(&last));
    let certificates = |message: &Message| match message {
        Message::Certificates(certificates) => {
            Some(certificates.iter().map(|certificate| certificate.vote.txid).collect::<Vec<_>>())
        }
        _ => None,
    };
    let parts: Vec<Vec<TxId>> = node.around.sent.iter().filter_map(certificates).collect();
    // Of 256 KiB, for four votes in each.
    let a_message = (256 << 10) / (4 * CERTIFICATE_VOTE_BYTES_MAX);
    let expected = [a_message, a_message, count - 2 * a_message];
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), expected);
    assert_eq!(parts.concat().into_iter().collect::<BTreeSet<_>>(), promised);
    // Its proposer signs a second one.
    let (second, _) = chain.block(closing_ms + 2, true, &[]);
    node.around.sent.clear();
    node.hear(chain.proposal(&second));
    assert_eq!(node.around.sent.iter().filter_map(certificates).count(), 0, "they were sent");
}
