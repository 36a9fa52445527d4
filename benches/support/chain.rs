//! A chain with known keys: validators of equal weight, and payers with one output each.

use std::collections::BTreeMap;
use std::sync::Arc;

use timed::protocol::state::LedgerState;
use timed::protocol::transition::{BlockDraft, propose};
use timed::protocol::validity::CheckedTransaction;
use timed::types::genesis::{Allocation, GenesisMasternode};
use timed::types::keys::SequentialVerifier;
use timed::types::{
    Address, Amount, Block, ChainParameters, Commit, GenesisDocument, Lock, MasternodeId, Network, OutPoint,
    RuleVersion, SecretKey, Transaction, TxOut, UtxoEntry,
};

const PAYER_TIME: u64 = 10;
const FEE: Amount = Amount(1_000);

/// The state before block 1, with its outputs and the operators' keys.
pub(crate) struct Chain {
    pub(crate) state: LedgerState,
    pub(crate) utxos: BTreeMap<OutPoint, UtxoEntry>,
    pub(crate) operators: Vec<(MasternodeId, SecretKey)>,
}

/// A key for a purpose and a number.
pub(crate) fn key(purpose: &str, number: usize) -> SecretKey {
    SecretKey::from_seed(blake3::hash(format!("{purpose} {number}").as_bytes()).as_bytes())
}

fn address(secret: &SecretKey) -> Address {
    Address::of_key_hash(Network::Devnet, secret.public().key_hash())
}

/// A chain of so many validators and payers.
pub(crate) fn chain(validators: usize, payers: usize) -> Chain {
    let amount = |time| Amount::from_time(time).unwrap();
    let masternode = |number| GenesisMasternode {
        collateral: amount(1_000),
        owner: address(&key("owner", number)),
        operator_key: key("operator", number).public(),
        payout: address(&key("owner", number)),
        network_address: format!("127.0.0.1:{}", 24_200 + 2 * number),
    };
    let allocation =
        |number| Allocation { address: address(&key("payer", number)), amount: amount(PAYER_TIME) };
    let document = GenesisDocument {
        network: Network::Devnet,
        time_ms: 1_750_000_000_000,
        parameters: ChainParameters::of_network(Network::Devnet),
        allocations: (0..payers).map(allocation).collect(),
        masternodes: (0..validators).map(masternode).collect(),
    };
    let (state, outputs) = LedgerState::genesis(&document).unwrap();
    let id = |number| GenesisDocument::masternode_id(&document.collateral_outpoint(number));
    let operators = (0..validators).map(|number| (id(number), key("operator", number))).collect();
    Chain { state, utxos: outputs.into_iter().collect(), operators }
}

impl Chain {
    /// From each payer a payment to somebody else, with change: what most transactions look like.
    pub(crate) fn transfers(&self, payers: usize) -> Vec<CheckedTransaction> {
        let by_lock: BTreeMap<Lock, (OutPoint, Amount)> =
            self.utxos.iter().map(|(outpoint, e)| (e.output.lock, (*outpoint, e.output.value))).collect();
        let pay = |number| {
            let payer = key("payer", number);
            let own = Lock::KeyHash(payer.public().key_hash());
            let to = Lock::KeyHash(key("payee", number).public().key_hash());
            let (outpoint, held) = by_lock[&own];
            let paid = Amount(held.0 / 3);
            let change = Amount(held.0 - paid.0 - FEE.0);
            let outputs = vec![TxOut { value: paid, lock: to }, TxOut { value: change, lock: own }];
            let transfer = Transaction::transfer(vec![outpoint], outputs, Vec::new());
            let signed = Arc::new(transfer.signed(self.state.chain_id(), &[&payer]));
            let (chain_id, parameters) = (self.state.chain_id(), self.state.parameters());
            CheckedTransaction::check(signed, chain_id, parameters, &SequentialVerifier).unwrap()
        };
        (0..payers).map(pay).collect()
    }

    /// Block 1 with these transactions.
    pub(crate) fn block(&self, transactions: &[CheckedTransaction]) -> Block {
        let first = self.state.proposer_order()[0];
        let draft = BlockDraft {
            round: 0,
            time: self.state.tip_time() + 1_000,
            epoch_end: false,
            proposer: self.state.validators().get(first).unwrap().id,
            announces: RuleVersion::FIRST,
            last_commit: &Commit::default(),
            transactions,
            evidence: &[],
        };
        propose(&self.state, &self.utxos, &draft).unwrap().0
    }
}
