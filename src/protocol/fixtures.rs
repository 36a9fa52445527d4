//! A small network with known keys, for the tests of this floor.

mod life;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use super::masternodes::MasternodeRecord;
use super::state::LedgerState;
use super::transition::{
    BlockDraft, BlockOutcome, inputs_in_order, propose, replay, validate, validate_block,
};
use super::validity::CheckedTransaction;
use crate::types::codec::{decode, encode};
use crate::types::genesis::{Allocation, GenesisMasternode, Tier};
use crate::types::keys::SequentialVerifier;
use crate::types::vote::{VoteStep, block_vote_digest};
use crate::types::{
    Address, Amount, Block, ChainParameters, Commit, Evidence, FinalityVote, GenesisDocument, Lock,
    MasternodeId, Network, OutPoint, PublicKey, RuleVersion, SecretKey, Signature, SignatureCheck,
    SignatureVerifier, SignerBitmap, TimeMs, Transaction, TxOut, UtxoEntry, VoteBatch,
};

pub(super) use life::{document_with_funds, new_key, update_of};

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
    /// The newest rules that the members' programs know.
    pub(super) announces: RuleVersion,
    /// The commit of the tip.
    pub(super) commit: Commit,
    /// Nobody signs commits and nobody checks signatures: for chains of thousands of blocks.
    pub(super) unsigned: bool,
}

/// Takes every signature for good.
struct Trusting;

impl SignatureVerifier for Trusting {
    fn verify_all(&self, _: &[SignatureCheck]) -> Result<(), usize> {
        Ok(())
    }
}

/// The secret key behind an operator's public one.
pub(super) fn operator_of(key: &PublicKey) -> &'static SecretKey {
    static OPERATORS: LazyLock<BTreeMap<PublicKey, SecretKey>> = LazyLock::new(|| {
        let keys = (0..=u8::MAX).map(operator);
        keys.map(|secret| (secret.public(), secret)).collect()
    });
    &OPERATORS[key]
}

impl Chain {
    pub(super) fn new(document: &GenesisDocument) -> Self {
        let (state, outputs) = LedgerState::genesis(document).unwrap();
        Self {
            state,
            utxos: outputs.into_iter().collect(),
            commit: Commit::default(),
            unsigned: false,
            announces: RuleVersion::FIRST,
        }
    }

    /// Changes the masternodes' records; the set that follows the next end of an epoch is computed from them.
    pub(super) fn change_masternodes(
        &mut self,
        change: impl FnOnce(&mut BTreeMap<MasternodeId, MasternodeRecord>),
    ) {
        Arc::make_mut(&mut self.state.registry).edit(change);
    }

    /// What a member of the current set has to say.
    pub(super) fn votes(&self, place: usize, seq: u64, votes: Vec<FinalityVote>) -> VoteBatch {
        let member = self.state.validators().get(place).unwrap();
        let (chain_id, epoch) = (self.state.chain_id(), self.state.next_epoch());
        VoteBatch::signed(chain_id, epoch, member.id, seq, votes, operator_of(&member.key))
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
            announces: self.announces,
            last_commit: &self.commit,
            transactions,
            evidence: &[],
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
                let sign = || operator_of(&member.key).sign(&digest);
                commit.signatures.push(if self.unsigned { Signature::EMPTY } else { sign() });
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
        self.advance_with(elapsed_ms, epoch_end, transactions, &[], silent)
    }

    /// The same with evidence.
    pub(super) fn advance_with(
        &mut self,
        elapsed_ms: u64,
        epoch_end: bool,
        transactions: &[CheckedTransaction],
        evidence: &[Arc<Evidence>],
        silent: &[MasternodeId],
    ) -> (Block, BlockOutcome) {
        let draft = BlockDraft { evidence, ..self.draft(elapsed_ms, epoch_end, transactions) };
        let (block, outcome) = propose(&self.state, &self.utxos, &draft).unwrap();
        let verifier: &dyn SignatureVerifier = if self.unsigned { &Trusting } else { &SequentialVerifier };
        let validated =
            validate(&self.state, &self.utxos, verifier, &block.blueprint(), transactions).unwrap();
        assert_eq!(validated, outcome);
        let (checked, validated) = validate_block(&self.state, &self.utxos, verifier, &block).unwrap();
        assert_eq!(validated, outcome);
        assert!(
            checked
                .iter()
                .map(CheckedTransaction::txid)
                .eq(transactions.iter().map(CheckedTransaction::txid))
        );
        assert_eq!(replay(&self.state, &inputs_in_order(&outcome), &block).unwrap(), outcome);
        let commit = self.seal(&block, silent);
        self.state.check_commit(&block.header, &commit, verifier).unwrap();
        for (outpoint, entry) in &outcome.spent {
            assert_eq!(self.utxos.remove(outpoint), Some(*entry));
        }
        for (outpoint, entry) in &outcome.created {
            assert_eq!(self.utxos.insert(*outpoint, *entry), None);
        }
        for change in &outcome.slashed {
            assert_eq!(self.utxos.insert(change.outpoint, change.after), Some(change.before));
        }
        self.commit = commit;
        self.state = outcome.state.clone();
        (block, outcome)
    }

    /// Advances to the last block of the current epoch and through it.
    pub(super) fn finish_epoch(&mut self) -> (Block, BlockOutcome) {
        self.finish_epoch_without(&[])
    }

    /// The same while some of the set sign nothing.
    pub(super) fn finish_epoch_without(&mut self, silent: &[MasternodeId]) -> (Block, BlockOutcome) {
        if self.state.height() == 0 || self.state.tip_validators().epoch != self.state.next_epoch() {
            self.advance(1_000, false, &[], silent);
        }
        if !self.state.is_closing() {
            self.advance(self.state.parameters().epoch_duration_ms, false, &[], silent);
        }
        self.advance(1, true, &[], silent)
    }

    /// Holds what is true after any block: supply is the sum of outputs, the digest is the one computed afresh, records
    /// and their collaterals agree, the encoding round-trips with all that follows from it.
    pub(super) fn hold_invariants(&self) {
        let state = &self.state;
        let outputs = Amount::checked_sum(self.utxos.values().map(|entry| entry.output.value));
        assert_eq!(outputs, Some(state.supply()), "INV-STATE-3");
        let afresh = state.recompute_digest(self.utxos.iter().map(|(outpoint, entry)| (*outpoint, *entry)));
        assert_eq!(afresh, state.digest(), "INV-STATE-2");
        let decoded = decode::<LedgerState>(&encode(state)).unwrap();
        assert_eq!(decoded, *state, "what follows from the records follows again");
        for record in state.masternodes().values() {
            let output = TxOut { value: record.collateral_amount, lock: record.owner };
            let entry = UtxoEntry { output, height: record.collateral_height };
            assert_eq!(self.utxos.get(&record.collateral), Some(&entry));
            assert!(state.is_bound(&record.collateral));
        }
        let keys = state.masternodes().values().flat_map(|record| {
            let announced = record.pending.as_ref().and_then(|pending| pending.operator_key);
            announced.into_iter().chain([record.operator_key])
        });
        let keys: Vec<PublicKey> = keys.collect();
        assert_eq!(keys.len(), BTreeSet::from_iter(&keys).len(), "INV-REG-1");
        let set = state.validators();
        assert!(set.len() >= usize::try_from(state.parameters().min_masternodes).unwrap(), "INV-REG-2");
        assert!(set.len() <= usize::try_from(state.parameters().max_validators).unwrap());
        assert!(state.attendance().keys().eq(BTreeSet::from_iter(set.members().iter().map(|m| &m.id))));
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
