//! A small network with known keys, for the tests of this floor.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::{LedgerState, MasternodeRecord};
use super::transition::{
    BlockDraft, BlockOutcome, inputs_in_order, propose, replay, validate, validate_block,
};
use super::validity::CheckedTransaction;
use crate::types::genesis::{Allocation, GenesisMasternode, Tier};
use crate::types::keys::SequentialVerifier;
use crate::types::vote::{VoteStep, block_vote_digest};
use crate::types::{
    Address, Amount, Block, ChainParameters, Commit, FinalityVote, GenesisDocument, Lock, MasternodeId,
    Network, OutPoint, PublicKey, SecretKey, SignerBitmap, TimeMs, Transaction, TxOut, UtxoEntry, VoteBatch,
};

pub(super) const GENESIS_TIME_MS: TimeMs = 1_750_000_000_000;

pub(super) fn operator(index: u8) -> SecretKey {
    SecretKey::from_seed(&[index; 32])
}

pub(super) fn user(index: u8) -> SecretKey {
    SecretKey::from_seed(&[index ^ 0x80; 32])
}

pub(super) fn lock(secret: &SecretKey) -> Lock {
    Lock::KeyHash(secret.public().key_hash())
}

fn address(secret: &SecretKey) -> Address {
    Address::of_key_hash(Network::Devnet, secret.public().key_hash())
}

/// Masternodes of the given weights, each its own owner (user 100 + i) and payout (user 50 + i); allocations of 1,000
/// TIME to user 0 to `users`.
pub(super) fn document(weights: &[u64], users: u8) -> GenesisDocument {
    let mut parameters = ChainParameters::of_network(Network::Devnet);
    let mut tiers: Vec<u64> = weights.to_vec();
    tiers.sort_unstable();
    tiers.dedup();
    let collateral = |weight: u64| Amount(weight * 1_000_000);
    parameters.tiers = tiers
        .into_iter()
        .map(|weight| Tier { name: weight.to_string(), collateral: collateral(weight), weight })
        .collect();
    let masternodes = (1_u8..).zip(weights).map(|(index, weight)| GenesisMasternode {
        collateral: collateral(*weight),
        owner: address(&user(100 + index)),
        operator_key: operator(index).public(),
        payout: address(&user(50 + index)),
        network_address: format!("127.0.0.1:{}", 24_200 + 2 * u16::from(index)),
    });
    GenesisDocument {
        network: Network::Devnet,
        time_ms: GENESIS_TIME_MS,
        parameters,
        allocations: (0..users)
            .map(|index| Allocation { address: address(&user(index)), amount: Amount(100_000_000_000) })
            .collect(),
        masternodes: masternodes.collect(),
    }
}

/// A chain that holds every way of executing a block against the others.
#[derive(Clone)]
pub(super) struct Chain {
    pub(super) state: LedgerState,
    pub(super) utxos: BTreeMap<OutPoint, UtxoEntry>,
    /// The commit of the tip.
    pub(super) commit: Commit,
    operators: BTreeMap<PublicKey, SecretKey>,
}

impl Chain {
    pub(super) fn new(document: &GenesisDocument) -> Self {
        let (state, outputs) = LedgerState::genesis(document).unwrap();
        let operators = (1_u8..).zip(&document.masternodes).map(|(index, _)| operator(index));
        Self {
            state,
            utxos: outputs.into_iter().collect(),
            commit: Commit::default(),
            operators: operators.map(|secret| (secret.public(), secret)).collect(),
        }
    }

    /// Changes the masternodes' records; the set that follows the next end of an epoch is computed from them. `new` are
    /// operators that have no record yet.
    pub(super) fn change_masternodes(
        &mut self,
        new: &[SecretKey],
        change: impl FnOnce(&mut BTreeMap<MasternodeId, MasternodeRecord>),
    ) {
        change(Arc::make_mut(&mut self.state.masternodes));
        self.operators.extend(new.iter().map(|secret| (secret.public(), secret.clone())));
    }

    /// What a member of the current set has to say.
    pub(super) fn votes(&self, place: usize, seq: u64, votes: Vec<FinalityVote>) -> VoteBatch {
        let member = self.state.validators().get(place).unwrap();
        let (chain_id, epoch) = (self.state.chain_id(), self.state.next_epoch());
        VoteBatch::signed(chain_id, epoch, member.id, seq, votes, &self.operators[&member.key])
    }

    pub(super) fn proposer(&self, round: u32) -> MasternodeId {
        let order = self.state.proposer_order();
        let turn = usize::try_from(round).unwrap() % order.len();
        self.state.validators().get(order[turn]).unwrap().id
    }

    pub(super) fn draft<'a>(
        &'a self,
        elapsed_ms: u64,
        epoch_end: bool,
        transactions: &'a [CheckedTransaction],
    ) -> BlockDraft<'a> {
        BlockDraft {
            round: 0,
            time: self.state.tip_time() + elapsed_ms,
            epoch_end,
            proposer: self.proposer(0),
            last_commit: &self.commit,
            transactions,
        }
    }

    /// The commit of the next block by all but `silent`.
    pub(super) fn seal(&self, block: &Block, silent: &[MasternodeId]) -> Commit {
        let (set, header) = (self.state.validators(), &block.header);
        let value = Some(header.hash());
        let digest =
            block_vote_digest(&header.chain_id, VoteStep::Precommit, header.epoch, header.height, 0, value);
        let mut commit = Commit {
            height: header.height,
            round: 0,
            block_hash: header.hash(),
            signers: SignerBitmap::empty(set.len()),
            signatures: Vec::new(),
        };
        for (index, member) in set.members().iter().enumerate() {
            if !silent.contains(&member.id) {
                commit.signers.set(index);
                commit.signatures.push(self.operators[&member.key].sign(&digest));
            }
        }
        commit
    }

    /// Proposes, validates both ways, replays, and moves on.
    pub(super) fn advance(
        &mut self,
        elapsed_ms: u64,
        epoch_end: bool,
        transactions: &[CheckedTransaction],
        silent: &[MasternodeId],
    ) -> (Block, BlockOutcome) {
        let draft = self.draft(elapsed_ms, epoch_end, transactions);
        let (block, outcome) = propose(&self.state, &self.utxos, &draft).unwrap();
        let verifier = SequentialVerifier;
        let validated =
            validate(&self.state, &self.utxos, &verifier, &block.blueprint(), transactions).unwrap();
        assert_eq!(validated, outcome);
        assert_eq!(validate_block(&self.state, &self.utxos, &verifier, &block).unwrap(), outcome);
        assert_eq!(replay(&self.state, &inputs_in_order(&outcome), &block).unwrap(), outcome);
        let commit = self.seal(&block, silent);
        self.state.check_commit(&block.header, &commit, &verifier).unwrap();
        for (outpoint, entry) in &outcome.spent {
            assert_eq!(self.utxos.remove(outpoint), Some(*entry));
        }
        for (outpoint, entry) in &outcome.created {
            assert_eq!(self.utxos.insert(*outpoint, *entry), None);
        }
        self.commit = commit;
        self.state = outcome.state.clone();
        (block, outcome)
    }

    /// Advances to the last block of the current epoch and through it.
    pub(super) fn finish_epoch(&mut self) -> (Block, BlockOutcome) {
        if self.state.height() == 0 || self.state.tip_validators().epoch != self.state.next_epoch() {
            self.advance(1_000, false, &[], &[]);
        }
        if !self.state.is_closing() {
            self.advance(self.state.parameters().epoch_duration_ms, false, &[], &[]);
        }
        self.advance(1, true, &[], &[])
    }

    pub(super) fn entry(&self, outpoint: &OutPoint) -> UtxoEntry {
        self.utxos[outpoint]
    }

    /// What this user can spend.
    pub(super) fn owned(&self, secret: &SecretKey) -> Vec<(OutPoint, UtxoEntry)> {
        let lock = lock(secret);
        let own = |(_, entry): &(&OutPoint, &UtxoEntry)| entry.output.lock == lock;
        self.utxos.iter().filter(own).map(|(outpoint, entry)| (*outpoint, *entry)).collect()
    }

    pub(super) fn check(&self, transaction: Transaction) -> CheckedTransaction {
        let (chain_id, parameters) = (self.state.chain_id(), self.state.parameters());
        CheckedTransaction::check(Arc::new(transaction), chain_id, parameters, &SequentialVerifier).unwrap()
    }

    /// A payment of one user's outputs, signed.
    pub(super) fn pay(
        &self,
        from: &SecretKey,
        inputs: Vec<OutPoint>,
        outputs: Vec<TxOut>,
    ) -> CheckedTransaction {
        let transaction = Transaction::transfer(inputs, outputs, Vec::new());
        self.check(transaction.signed(self.state.chain_id(), &[from]))
    }

    /// All of one output in `parts` equal outputs to `to`, paying at least the fee.
    pub(super) fn split(
        &self,
        from: &SecretKey,
        (outpoint, entry): (OutPoint, UtxoEntry),
        to: Lock,
        parts: usize,
    ) -> CheckedTransaction {
        let fee = 1_000 * (1 + u64::try_from(parts).unwrap() / 10);
        let value = Amount((entry.output.value.0 - fee) / u64::try_from(parts).unwrap());
        self.pay(from, vec![outpoint], vec![TxOut { value, lock: to }; parts])
    }
}
