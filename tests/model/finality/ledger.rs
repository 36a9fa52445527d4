//! The network, the transactions and every chain that can come about: real states, made by the real transition.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use timed::protocol::state::LedgerState;
use timed::protocol::transition::{BlockDraft, propose};
use timed::protocol::validity::CheckedTransaction;
use timed::types::genesis::{Allocation, GenesisMasternode, Tier};
use timed::types::keys::SequentialVerifier;
use timed::types::{
    Address, Amount, ChainParameters, Commit, GenesisDocument, Lock, Network, OutPoint, RuleVersion,
    SecretKey, Signature, SignerBitmap, Transaction, TxId, TxOut, UtxoEntry,
};

use crate::checker::BYZANTINE;

/// Place of a chain in [`Ledger::chains`].
pub type Chain = u16;
/// Place of a transaction in [`Ledger::transactions`].
pub type Tx = u8;

/// `A` and `B` spend one coin, `C` spends the output of `A`.
pub const NAMES: [&str; 3] = ["A", "B", "C"];
pub const A: Tx = 0;
pub const B: Tx = 1;
pub const C: Tx = 2;

/// Place of the chain that every node starts with: one block, in epoch 0.
pub const ROOT: Chain = 0;

/// What the ledgers of a model differ in.
#[derive(Clone, Copy, Debug)]
pub struct LedgerPlan {
    /// How many of `A`, `B`, `C` there are.
    pub transactions: u8,
    /// Transactions that a block has room for; a closing block that holds so many need not end its epoch.
    pub capacity: usize,
    /// Ordinary blocks before the last one of an epoch.
    pub ordinary_blocks: u64,
    /// Blocks in all, on top of the root.
    pub blocks: usize,
    /// Epochs in which blocks are made.
    pub epochs: u64,
}

/// A chain that ends with one block on top of another.
pub struct ChainEntry {
    pub parent: Chain,
    pub length: usize,
    /// Transactions of its last block, as a set of bits.
    pub block: u8,
    /// Transactions of all its blocks.
    pub all: u8,
    /// The epoch of its last block.
    pub epoch: u64,
    /// Whether its last block ends the epoch.
    pub epoch_end: bool,
    /// Whether its last block was a closing one.
    pub closing: bool,
    pub in_order: Vec<Tx>,
    pub state: LedgerState,
    pub utxos: BTreeMap<OutPoint, UtxoEntry>,
    /// Transactions in the blocks of the next block's epoch.
    pub settled: BTreeSet<TxId>,
    pub children: Vec<Chain>,
}

pub struct Ledger {
    /// What `A` and `B` spend.
    pub coin: OutPoint,
    pub transactions: Vec<CheckedTransaction>,
    pub chains: Vec<ChainEntry>,
}

pub fn operator(place: u8) -> SecretKey {
    SecretKey::from_seed(&[place + 1; 32])
}

fn user(index: u8) -> SecretKey {
    SecretKey::from_seed(&[0x80 + index; 32])
}

fn lock(secret: &SecretKey) -> Lock {
    Lock::KeyHash(secret.public().key_hash())
}

/// Four masternodes, the last of them of this weight, and one coin.
fn genesis(capacity: usize, weight: u64) -> GenesisDocument {
    let address = |secret: &SecretKey| Address::of_key_hash(Network::Devnet, secret.public().key_hash());
    let mut parameters = ChainParameters::of_network(Network::Devnet);
    parameters.block_transactions_max = capacity as u64 + 1;
    let tier =
        |weight: u64| Tier { name: weight.to_string(), collateral: Amount(weight * 1_000_000), weight };
    parameters.tiers = vec![tier(1), tier(4)];
    GenesisDocument {
        network: Network::Devnet,
        time_ms: 1_750_000_000_000,
        parameters,
        allocations: vec![Allocation { address: address(&user(0)), amount: Amount(1_000_000) }],
        masternodes: (0..4)
            .map(|place| GenesisMasternode {
                collateral: Amount(1_000_000 * if place == BYZANTINE { weight } else { 1 }),
                owner: address(&operator(place)),
                operator_key: operator(place).public(),
                payout: address(&operator(place)),
                network_address: String::new(),
            })
            .collect(),
    }
}

fn transactions(state: &LedgerState, coin: OutPoint, count: u8) -> Vec<CheckedTransaction> {
    let pay = |from: &SecretKey, input: OutPoint, value: u64, to: &SecretKey| {
        let outputs = vec![TxOut { value: Amount(value), lock: lock(to) }];
        let signed =
            Transaction::transfer(vec![input], outputs, Vec::new()).signed(state.chain_id(), &[from]);
        CheckedTransaction::check(Arc::new(signed), state.chain_id(), state.parameters(), &SequentialVerifier)
            .expect("a sound payment")
    };
    let a = pay(&user(0), coin, 900_000, &user(1));
    let b = pay(&user(0), coin, 900_000, &user(2));
    let c = pay(&user(1), OutPoint { txid: a.txid(), index: 0 }, 800_000, &user(3));
    let mut all = vec![a, b, c];
    all.truncate(usize::from(count));
    all
}

/// A commit of the tip with the right shape. Nobody checks its signatures here: that is another campaign's.
pub fn commit_of(state: &LedgerState) -> Commit {
    if state.height() == 0 {
        return Commit::default();
    }
    let members = state.tip_validators().set.len();
    let mut signers = SignerBitmap::empty(members);
    (0..members).for_each(|place| signers.set(place));
    Commit {
        height: state.height(),
        round: 0,
        block_hash: state.tip_hash(),
        signers,
        signatures: vec![Signature::EMPTY; members],
    }
}

impl Ledger {
    /// All chains of a plan; the Byzantine one has this weight, the others 1.
    pub fn new(plan: LedgerPlan, weight: u64) -> Self {
        let document = genesis(plan.capacity, weight);
        let (state, outputs) = LedgerState::genesis(&document).expect("a sound document");
        let coin = document.outputs()[0].0;
        let transactions = transactions(&state, coin, plan.transactions);
        let before = ChainEntry {
            parent: ROOT,
            length: 0,
            block: 0,
            all: 0,
            epoch: 0,
            epoch_end: false,
            closing: false,
            in_order: Vec::new(),
            state,
            utxos: outputs.into_iter().collect(),
            settled: BTreeSet::new(),
            children: Vec::new(),
        };
        let mut ledger = Self { coin, transactions, chains: vec![before] };
        let mut root = ledger.extended(ROOT, &[], false, 1).expect("an empty block");
        (root.parent, root.length) = (ROOT, 0);
        ledger.chains = vec![root];
        let mut next = 0;
        while next < ledger.chains.len() {
            ledger.extend(next as Chain, plan);
            next += 1;
        }
        ledger
    }

    fn extend(&mut self, chain: Chain, plan: LedgerPlan) {
        let tip = self.get(chain);
        if tip.length >= plan.blocks || tip.state.next_epoch() >= plan.epochs {
            return;
        }
        // The epoch's first `ordinary_blocks` come early, the next one is its last ordinary block.
        let mut of_epoch = 0;
        let mut at = chain;
        while self.get(at).epoch == tip.state.next_epoch() && !self.get(at).epoch_end && at != ROOT {
            of_epoch += 1;
            at = self.get(at).parent;
        }
        let elapsed = if !tip.state.is_closing() && of_epoch >= plan.ordinary_blocks {
            tip.state.parameters().epoch_duration_ms
        } else {
            1
        };
        let orders: [&[Tx]; 5] = [&[], &[A], &[B], &[C], &[A, C]];
        for epoch_end in [false, true] {
            for order in orders {
                if order.iter().any(|tx| usize::from(*tx) >= self.transactions.len()) {
                    continue;
                }
                if let Some(entry) = self.extended(chain, order, epoch_end, elapsed) {
                    let child = Chain::try_from(self.chains.len()).expect("few chains");
                    self.chains.push(entry);
                    self.chains[usize::from(chain)].children.push(child);
                }
            }
        }
    }

    /// The chain with one more block, if the rules allow that block.
    fn extended(&self, parent: Chain, order: &[Tx], epoch_end: bool, elapsed: u64) -> Option<ChainEntry> {
        let tip = self.get(parent);
        let transactions: Vec<_> = order.iter().map(|tx| self.transaction(*tx).clone()).collect();
        let place = tip.state.proposer_order()[0];
        let draft = BlockDraft {
            round: 0,
            time: tip.state.tip_time() + elapsed,
            epoch_end,
            proposer: tip.state.validators().get(place)?.id,
            announces: RuleVersion::FIRST,
            last_commit: &commit_of(&tip.state),
            transactions: &transactions,
            evidence: &[],
        };
        let (block, outcome) = propose(&tip.state, &tip.utxos, &draft).ok()?;
        let mut utxos = tip.utxos.clone();
        for (outpoint, _) in &outcome.spent {
            utxos.remove(outpoint);
        }
        utxos.extend(outcome.created.iter().copied());
        let mut settled = if epoch_end { BTreeSet::new() } else { tip.settled.clone() };
        if !epoch_end {
            settled.extend(block.transactions.iter().map(|transaction| transaction.txid()));
        }
        let bits = order.iter().fold(0, |bits, tx| bits | 1 << tx);
        Some(ChainEntry {
            parent,
            length: tip.length + 1,
            block: bits,
            all: tip.all | bits,
            epoch: tip.state.next_epoch(),
            epoch_end,
            closing: tip.state.is_closing(),
            in_order: order.to_vec(),
            state: outcome.state,
            utxos,
            settled,
            children: Vec::new(),
        })
    }

    pub fn get(&self, chain: Chain) -> &ChainEntry {
        &self.chains[usize::from(chain)]
    }

    pub fn transaction(&self, tx: Tx) -> &CheckedTransaction {
        &self.transactions[usize::from(tx)]
    }

    pub fn place_of(&self, txid: &TxId) -> Tx {
        let place = self.transactions.iter().position(|transaction| transaction.txid() == *txid);
        place.expect("one of the model's transactions") as Tx
    }

    /// The first `length` blocks of a chain.
    pub fn prefix(&self, chain: Chain, length: usize) -> Chain {
        let mut at = chain;
        while self.get(at).length > length {
            at = self.get(at).parent;
        }
        at
    }

    /// A block in words.
    pub fn block_name(&self, chain: Chain) -> String {
        let entry = self.get(chain);
        let names: Vec<_> = entry.in_order.iter().map(|tx| NAMES[usize::from(*tx)]).collect();
        let kind = match (entry.closing, entry.epoch_end) {
            (_, true) => "last block",
            (true, false) => "closing block",
            (false, false) => "ordinary block",
        };
        format!("the {kind} [{}] of epoch {} at height {}", names.join(" "), entry.epoch, entry.length + 1)
    }
}
