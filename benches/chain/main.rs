//! Makes a devnet whose chain is long already, to measure how nodes join it: `cargo bench --bench chain -- DIR 200000 5000000`
//! writes 200,000 blocks with 5 million unspent outputs, made by payments with 1,000 outputs each, as anybody may make them.
//! Without arguments it makes a small one in a temporary directory.
//!
//! Every block is proposed, signed by all four and applied as nodes do it, every 30 of them end an epoch, and the last one
//! is as old as the making took. Printed is what the chain takes on disk, and how long all its signatures take when
//! nothing but them is checked, on all cores: the limit of joining by blocks. `timed devnet --processes --dir DIR` goes on
//! from there; `[storage] snapshot_every_epochs = 1` in its nodes' configurations has them make a snapshot within two
//! minutes, and a node of `timed init --network devnet --genesis DIR/genesis.toml --home HOME` joins by that, or with
//! `[sync] from = "blocks"` by blocks.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that can't go on ends, and it prints its figures"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use timed::app::devnet::{Devnet, DevnetWishes, write_marker};
use timed::app::networks::{devnet_account_keys, devnet_genesis_at, devnet_operator_key};
use timed::protocol::state::LedgerState;
use timed::protocol::transition::{BlockDraft, BlockOutcome, inputs_in_order, propose};
use timed::protocol::validity::CheckedTransaction;
use timed::runtime::{Clock, CpuPool, PoolVerifier};
use timed::storage::{BlockLog, LoggedBlock, RealDisk};
use timed::types::keys::SequentialVerifier;
use timed::types::limits::OUTPUT_VALUE_MIN;
use timed::types::vote::block_vote_digest;
use timed::types::{
    Amount, Block, Commit, CommittedBlock, KeyHash, Lock, OutPoint, RuleVersion, SecretKey, SignatureCheck,
    SignatureVerifier as _, SignerBitmap, Transaction, TxOut, UtxoEntry, VoteStep,
};

/// As in the node.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const VALIDATORS: usize = 4;
/// Between the times of two blocks.
const STEP_MS: u64 = 2_000;
/// Outputs of a payment, its change included.
const OUTPUTS: u64 = 1_000;
const FEE: u64 = 100_000;
/// Blocks that are written with one sync.
const GROUP: usize = 256;
/// Signatures that are checked in one batch.
const BATCH: usize = 4_096;
const BASE_PORT: u16 = 24_200;

/// A chain that grows in memory.
struct Chain {
    state: LedgerState,
    utxos: BTreeMap<OutPoint, UtxoEntry>,
    last_commit: Commit,
    operators: Vec<SecretKey>,
    /// What the next payment spends.
    coin: (OutPoint, Amount),
    owner: SecretKey,
    checks: Vec<SignatureCheck>,
}

impl Chain {
    fn begin(state: LedgerState, outputs: Vec<(OutPoint, UtxoEntry)>) -> Self {
        let owner = devnet_account_keys().remove(0);
        let lock = Lock::KeyHash(owner.public().key_hash());
        let own = outputs.iter().find(|(_, entry)| entry.output.lock == lock).unwrap();
        let coin = (own.0, own.1.output.value);
        let operators = (0..VALIDATORS).map(devnet_operator_key).collect();
        let (utxos, last_commit) = (outputs.into_iter().collect(), Commit::default());
        Self { state, utxos, last_commit, operators, coin, owner, checks: Vec::new() }
    }

    /// A payment with so many outputs, each somebody else's.
    fn payment(&mut self, outputs: u64) -> CheckedTransaction {
        let others = outputs - 1;
        let change = Amount(self.coin.1.0 - others * OUTPUT_VALUE_MIN.0 - FEE);
        let own = Lock::KeyHash(self.owner.public().key_hash());
        let mut made = vec![TxOut { value: change, lock: own }];
        made.extend((0..others).map(|index| {
            let name = [&self.coin.0.txid.0[..], &index.to_le_bytes()].concat();
            TxOut { value: OUTPUT_VALUE_MIN, lock: Lock::KeyHash(KeyHash(*blake3::hash(&name).as_bytes())) }
        }));
        let transfer = Transaction::transfer(vec![self.coin.0], made, Vec::new());
        let signed = Arc::new(transfer.signed(self.state.chain_id(), &[&self.owner]));
        let (chain_id, parameters) = (self.state.chain_id(), self.state.parameters());
        let checked = CheckedTransaction::check(signed, chain_id, parameters, &SequentialVerifier).unwrap();
        self.coin = (OutPoint { txid: checked.txid(), index: 0 }, change);
        checked
    }

    /// The next block, with these payments, committed by all.
    fn grow(&mut self, transactions: &[CheckedTransaction]) -> LoggedBlock {
        let state = &self.state;
        let proposer = state.validators().get(state.proposer_order()[0]).unwrap().id;
        let draft = BlockDraft {
            round: 0,
            time: state.tip_time() + STEP_MS,
            epoch_end: state.is_closing(),
            proposer,
            announces: RuleVersion::FIRST,
            last_commit: &self.last_commit,
            transactions,
            evidence: &[],
        };
        let (block, outcome) = propose(state, &self.utxos, &draft).unwrap();
        let commit = self.commit(&block);
        let spent = inputs_in_order(&outcome);
        let BlockOutcome { state, spent: gone, created, .. } = outcome;
        for (outpoint, _) in &gone {
            self.utxos.remove(outpoint);
        }
        self.utxos.extend(created);
        (self.state, self.last_commit) = (state, commit.clone());
        LoggedBlock { committed: CommittedBlock { block, commit }, spent }
    }

    fn commit(&mut self, block: &Block) -> Commit {
        let (header, block_hash) = (&block.header, block.header.hash());
        let (chain_id, epoch, height) = (&header.chain_id, header.epoch, header.height);
        let digest = block_vote_digest(chain_id, VoteStep::Precommit, epoch, height, 0, Some(block_hash));
        let mut signers = SignerBitmap::empty(VALIDATORS);
        let mut signatures = Vec::new();
        for (place, member) in self.state.validators().members().iter().enumerate() {
            let secret = self.operators.iter().find(|secret| secret.public() == member.key).unwrap();
            let signature = secret.sign(&digest);
            signers.set(place);
            self.checks.push(SignatureCheck { key: member.key, digest, signature });
            signatures.push(signature);
        }
        for transaction in &block.transactions {
            self.checks.extend(transaction.signature_checks(chain_id, &transaction.txid()));
        }
        Commit { height, round: 0, block_hash, signers, signatures }
    }
}

fn copy(from: &Path, to: &Path) -> u64 {
    std::fs::create_dir_all(to).unwrap();
    let file = |entry: std::fs::DirEntry| std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    std::fs::read_dir(from).unwrap().map(|entry| file(entry.unwrap())).sum()
}

fn make(directory: &Path, blocks: u64, outputs: u64) {
    let began = Clock.instant();
    std::fs::create_dir_all(directory).unwrap();
    let document = devnet_genesis_at(VALIDATORS, Clock.now_ms() - blocks * STEP_MS);
    std::fs::write(directory.join("genesis.toml"), document.to_toml().unwrap()).unwrap();
    write_marker(directory, VALIDATORS, BASE_PORT).unwrap();
    let devnet = Devnet::prepare(directory, &DevnetWishes::default(), false).unwrap();
    let places: Vec<PathBuf> = devnet.nodes.iter().map(|node| node.directory.join("data/blocks")).collect();
    let mut log = BlockLog::open(RealDisk, &places[0], document.chain_id()).unwrap();
    let (state, made) = LedgerState::genesis(&document).unwrap();
    let mut chain = Chain::begin(state, made);
    let (mut left, mut group) = (outputs, Vec::new());
    for height in 1..=blocks {
        let each = left.min(OUTPUTS);
        let transactions: Vec<_> = (each > 1).then(|| chain.payment(each)).into_iter().collect();
        left -= if each > 1 { each } else { 0 };
        group.push(Box::new(chain.grow(&transactions)));
        if group.len() == GROUP || height == blocks {
            let _durable = log.append_all(&group).unwrap();
            group.clear();
        }
        if height % 10_000 == 0 {
            println!("block {height} after {:.0?}", Clock.instant() - began);
        }
    }
    drop(log);
    let copied: Vec<u64> = places[1..].iter().map(|place| copy(&places[0], place)).collect();
    let bytes = copied[0];
    let (height, epoch) = (chain.state.height(), chain.state.next_epoch());
    println!(
        "{height} blocks, {epoch} epochs, {} unspent outputs, {:.1} MB of blocks; made in {:.0?}",
        chain.utxos.len(),
        bytes as f64 / 1e6,
        Clock.instant() - began
    );
    let verifier = PoolVerifier::new(CpuPool::new().unwrap());
    let begun = Clock.instant();
    assert!(chain.checks.chunks(BATCH).all(|checks| verifier.verify_all(checks).is_ok()));
    let took: Duration = Clock.instant() - begun;
    println!(
        "{} signatures alone take {took:.1?} on all cores: no node joins by blocks faster",
        chain.checks.len()
    );
}

fn main() {
    let given: Vec<String> = std::env::args().skip(1).filter(|text| !text.starts_with("--")).collect();
    match given.as_slice() {
        [directory, blocks, outputs] => {
            make(Path::new(directory), blocks.parse().unwrap(), outputs.parse().unwrap());
        }
        _ => make(&tempfile::tempdir().unwrap().path().join("net"), 2_000, 100_000),
    }
}
