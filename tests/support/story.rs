//! A short chain in which everything happens that a block can hold: payments, payloads of each kind, an exit, evidence of
//! each kind, two ends of an epoch. What it is made of are the campaigns' valid objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use timed::protocol::state::LedgerState;
use timed::protocol::transition::{BlockDraft, BlockOutcome, propose};
use timed::protocol::validity::CheckedTransaction;
use timed::types::evidence::{LockVoteProof, ProposalHead};
use timed::types::genesis::{Allocation, GenesisMasternode};
use timed::types::keys::SequentialVerifier;
use timed::types::transaction::TRANSACTION_VERSION;
use timed::types::vote::block_vote_digest;
use timed::types::{
    Address, Amount, Block, BlockHash, BlockVote, ChainParameters, Commit, Evidence, FinalityVote,
    GenesisDocument, Height, Lock, MasternodeId, MasternodeRegistration, MasternodeUpdate, Network,
    OperatorConsent, OutPoint, Payload, PublicKey, RuleVersion, SecretKey, Signature, SignerBitmap,
    Transaction, TxId, TxOut, UtxoEntry, VoteBatch, VoteKind, VoteStep,
};

pub const GENESIS_MS: u64 = 1_750_000_000_000;
const MASTERNODES: u8 = 7;
const FEE: u64 = 2_000;

/// The key that votes for a masternode; 20 and more are those of later ones.
pub fn operator(index: u8) -> SecretKey {
    SecretKey::from_seed(&[index + 1; 32])
}

/// The key that owns a masternode's collateral, and coins beside.
pub fn owner(index: u8) -> SecretKey {
    SecretKey::from_seed(&[index + 0x60; 32])
}

/// The key of somebody who pays.
pub fn user(index: u8) -> SecretKey {
    SecretKey::from_seed(&[index + 0xa0; 32])
}

fn lock(secret: &SecretKey) -> Lock {
    Lock::KeyHash(secret.public().key_hash())
}

/// The secret behind an operator's key.
pub fn secret_of(key: &PublicKey) -> SecretKey {
    (0..40).map(operator).find(|secret| secret.public() == *key).expect("an operator of these tests")
}

fn genesis() -> GenesisDocument {
    let address = |secret: &SecretKey| Address::of_key_hash(Network::Devnet, secret.public().key_hash());
    let parameters = ChainParameters::of_network(Network::Devnet);
    let masternode = |index| GenesisMasternode {
        collateral: parameters.tiers[0].collateral,
        owner: address(&owner(index)),
        operator_key: operator(index).public(),
        payout: address(&owner(index)),
        network_address: format!("127.0.0.1:{}", 24_200 + 2 * u16::from(index)),
    };
    let rich = (0..3).map(user).chain((0..MASTERNODES).map(owner));
    let coins = |secret: SecretKey| {
        let (address, amount) = (address(&secret), Amount::from_time(2_000).expect("little"));
        vec![Allocation { address, amount }; 6]
    };
    GenesisDocument {
        network: Network::Devnet,
        time_ms: GENESIS_MS,
        allocations: rich.flat_map(coins).collect(),
        masternodes: (0..MASTERNODES).map(masternode).collect(),
        parameters,
    }
}

/// A block with what was before it and what it did.
pub struct Step {
    pub state: LedgerState,
    pub utxos: BTreeMap<OutPoint, UtxoEntry>,
    pub block: Block,
    /// Its own commit.
    pub commit: Commit,
    pub outcome: BlockOutcome,
}

pub struct Story {
    pub genesis: GenesisDocument,
    pub steps: Vec<Step>,
    pub state: LedgerState,
    /// What is unspent at the end.
    pub utxos: BTreeMap<OutPoint, UtxoEntry>,
    commit: Commit,
    /// How many of each owner's coins are spent already.
    used: BTreeMap<Lock, usize>,
}

impl Story {
    fn begin() -> Self {
        let genesis = genesis();
        let (state, outputs) = LedgerState::genesis(&genesis).expect("a sound document");
        let (utxos, commit) = (outputs.into_iter().collect(), Commit::default());
        Self { genesis, steps: Vec::new(), state, utxos, commit, used: BTreeMap::new() }
    }

    /// All of it.
    pub fn tell() -> Self {
        let mut story = Self::begin();
        let epoch_ms = story.genesis.parameters.epoch_duration_ms;
        let parent = story.pay(&[&user(0)], 1);
        let child = story.child(&user(0), &parent);
        story.advance(1_000, false, &[parent, child], &[]);

        let act = story.registration(21);
        let register = story.act(&user(1), act.0, act.1);
        let update = story.full_update(1, 22);
        let update = story.act(&owner(1), Vec::new(), update);
        let exit = Payload::MasternodeExit { masternode: story.masternode(2) };
        let exit = story.act(&owner(2), Vec::new(), exit);
        let void = Payload::MasternodeExit { masternode: story.masternode(3) };
        let void = story.act(&user(2), Vec::new(), void);
        story.advance(1_000, false, &[register, update, exit, void], &[]);

        let joint = story.pay(&[&user(0), &user(1)], 3);
        let evidence = story.two_votes(3, 1);
        story.advance(epoch_ms, false, &[joint], &[evidence]);
        let payment = story.pay(&[&user(2)], 2);
        let evidence = story.two_proposals(4, 2);
        story.advance(1, true, &[payment], &[evidence]);

        let unjail = MasternodeUpdate::unjail(story.masternode(0), operator(0).public());
        let unjail = story.act(&user(0), Vec::new(), Payload::MasternodeUpdate(unjail));
        let evidence = story.two_locks(5);
        story.advance(2_000, false, &[unjail], &[evidence]);
        let payment = story.pay(&[&user(1)], 1);
        story.advance(epoch_ms, false, &[payment], &[]);
        story.advance(1, true, &[], &[]);
        let payment = story.pay(&[&user(0)], 1);
        story.advance(1_000, false, &[payment], &[]);
        story
    }

    fn advance(
        &mut self,
        elapsed_ms: u64,
        epoch_end: bool,
        transactions: &[CheckedTransaction],
        evidence: &[Arc<Evidence>],
    ) {
        let proposer = self.state.validators().get(self.state.proposer_order()[0]).expect("a member").id;
        let draft = BlockDraft {
            round: 0,
            time: self.state.tip_time() + elapsed_ms,
            epoch_end,
            proposer,
            announces: RuleVersion::FIRST,
            last_commit: &self.commit,
            transactions,
            evidence,
        };
        let (block, outcome) = propose(&self.state, &self.utxos, &draft).expect("a valid block");
        let commit = self.seal(&block);
        let (state, utxos) = (self.state.clone(), self.utxos.clone());
        for (outpoint, _) in &outcome.spent {
            self.utxos.remove(outpoint);
        }
        self.utxos.extend(outcome.created.iter().copied());
        self.utxos.extend(outcome.slashed.iter().map(|change| (change.outpoint, change.after)));
        self.state = outcome.state.clone();
        self.commit = commit.clone();
        self.used.clear();
        self.steps.push(Step { state, utxos, block, commit, outcome });
    }

    /// The commit of the next block by all but the last member.
    fn seal(&self, block: &Block) -> Commit {
        let (set, header, hash) = (self.state.validators(), &block.header, block.header.hash());
        let (step, value) = (VoteStep::Precommit, Some(hash));
        let digest = block_vote_digest(&header.chain_id, step, header.epoch, header.height, 0, value);
        let mut signers = SignerBitmap::empty(set.len());
        let mut signatures = Vec::new();
        for (place, member) in set.members().iter().enumerate().take(set.len() - usize::from(set.len() > 3)) {
            signers.set(place);
            signatures.push(secret_of(&member.key).sign(&digest));
        }
        Commit { height: header.height, round: 0, block_hash: hash, signers, signatures }
    }

    // -- transactions ---------------------------------------------------------------------------------------------

    fn check(&self, transaction: Transaction) -> CheckedTransaction {
        let (chain_id, parameters) = (self.state.chain_id(), self.state.parameters());
        CheckedTransaction::check(Arc::new(transaction), chain_id, parameters, &SequentialVerifier)
            .expect("a sound transaction")
    }

    fn coin(&mut self, secret: &SecretKey) -> (OutPoint, Amount) {
        let lock = lock(secret);
        let used = self.used.entry(lock).or_insert(0);
        let mut coins = self.utxos.iter().filter(|(outpoint, entry)| {
            entry.output.lock == lock && !self.state.is_bound(outpoint) && entry.output.value.0 > FEE
        });
        let (outpoint, entry) = coins.nth(*used).expect("enough coins");
        *used += 1;
        (*outpoint, entry.output.value)
    }

    /// A coin of each of these to the last user, in so many outputs, with a memo.
    fn pay(&mut self, from: &[&SecretKey], parts: u64) -> CheckedTransaction {
        let coins: Vec<(OutPoint, Amount)> = from.iter().map(|secret| self.coin(secret)).collect();
        let sum: u64 = coins.iter().map(|(_, value)| value.0).sum();
        let output = |part| TxOut { value: Amount((sum - FEE) / parts - part), lock: lock(from[0]) };
        let inputs = coins.into_iter().map(|(outpoint, _)| outpoint).collect();
        let transaction = Transaction::transfer(inputs, (0..parts).map(output).collect(), b"memo".to_vec());
        self.check(transaction.signed(self.state.chain_id(), from))
    }

    /// Spends the first output of a payment of the same block.
    fn child(&self, from: &SecretKey, parent: &CheckedTransaction) -> CheckedTransaction {
        let (outpoint, output) = parent.transaction().created(parent.txid()).next().expect("an output");
        let output = TxOut { value: Amount(output.value.0 - FEE), lock: lock(&user(2)) };
        let transaction = Transaction::transfer(vec![outpoint], vec![output], Vec::new());
        self.check(transaction.signed(self.state.chain_id(), &[from]))
    }

    /// A coin of `from` pays for what a payload does.
    fn act(&mut self, from: &SecretKey, mut outputs: Vec<TxOut>, payload: Payload) -> CheckedTransaction {
        let (outpoint, value) = self.coin(from);
        let paid: u64 = outputs.iter().map(|output| output.value.0).sum();
        outputs.push(TxOut { value: Amount(value.0 - paid - FEE), lock: lock(from) });
        let keys: Vec<PublicKey> = match &payload {
            Payload::MasternodeRegister(registration) => vec![registration.operator.key],
            Payload::MasternodeUpdate(update) => {
                update.operator.iter().chain(&update.unjail).map(|consent| consent.key).collect()
            }
            _ => Vec::new(),
        };
        let operators: Vec<SecretKey> = keys.iter().map(secret_of).collect();
        let operators: Vec<&SecretKey> = operators.iter().collect();
        let (version, inputs, witnesses) = (TRANSACTION_VERSION, vec![outpoint], Vec::new());
        let transaction = Transaction { version, inputs, outputs, payload, witnesses };
        let chain_id = self.state.chain_id();
        self.check(transaction.consented(chain_id, &operators).signed(chain_id, &[from]))
    }

    fn registration(&self, key: u8) -> (Vec<TxOut>, Payload) {
        let collateral = TxOut { value: self.genesis.parameters.tiers[0].collateral, lock: lock(&user(1)) };
        let payload = Payload::MasternodeRegister(MasternodeRegistration {
            collateral_index: 0,
            operator: OperatorConsent::unsigned(operator(key).public()),
            payout: lock(&user(1)),
            network_address: "127.0.0.1:30000".to_owned(),
        });
        (vec![collateral], payload)
    }

    fn full_update(&self, index: u8, key: u8) -> Payload {
        Payload::MasternodeUpdate(MasternodeUpdate {
            masternode: self.masternode(index),
            operator: Some(OperatorConsent::unsigned(operator(key).public())),
            payout: Some(lock(&user(2))),
            network_address: Some("127.0.0.1:30002".to_owned()),
            unjail: None,
        })
    }

    // -- liars ----------------------------------------------------------------------------------------------------

    /// A masternode of the genesis document.
    pub fn masternode(&self, index: u8) -> MasternodeId {
        GenesisDocument::masternode_id(&self.genesis.collateral_outpoint(usize::from(index)))
    }

    /// Two precommits of epoch 0.
    fn two_votes(&self, index: u8, height: Height) -> Arc<Evidence> {
        let vote = |value| {
            let (validator, signature) = (self.masternode(index), Signature::EMPTY);
            let vote = BlockVote {
                step: VoteStep::Precommit,
                epoch: 0,
                height,
                round: 2,
                value,
                validator,
                signature,
            };
            vote.signed(self.state.chain_id(), &operator(index))
        };
        Arc::new(Evidence::of_votes(vote(None), vote(Some(BlockHash([7; 32])))))
    }

    /// Two proposals of epoch 0.
    fn two_proposals(&self, index: u8, height: Height) -> Arc<Evidence> {
        let head = |fill, pol_round| {
            let (validator, block_hash) = (self.masternode(index), BlockHash([fill; 32]));
            let signature = Signature::EMPTY;
            let mut head =
                ProposalHead { epoch: 0, height, round: 3, pol_round, validator, block_hash, signature };
            head.signature = operator(index).sign(&head.digest(self.state.chain_id()));
            head
        };
        Arc::new(Evidence::of_proposals(head(1, None), head(2, Some(1))))
    }

    /// Two `Lock` votes of epoch 0 for spends of one output.
    fn two_locks(&self, index: u8) -> Arc<Evidence> {
        let side = |memo: u8| {
            let input = |index| OutPoint { txid: TxId([9; 32]), index };
            let output = TxOut { value: Amount(1), lock: lock(&user(0)) };
            let inputs = vec![input(u32::from(memo)), input(0)];
            let transaction = Transaction::transfer(inputs, vec![output], vec![memo]);
            let other = |fill| FinalityVote { kind: VoteKind::Lock, txid: TxId([fill; 32]) };
            let vote = FinalityVote { kind: VoteKind::Lock, txid: transaction.txid() };
            let (chain_id, id) = (self.state.chain_id(), self.masternode(index));
            let votes = vec![other(1), vote, other(2)];
            let batch = VoteBatch::signed(chain_id, 0, id, memo.into(), votes, &operator(index));
            LockVoteProof { vote: batch.prove(1).expect("it is there"), transaction }
        };
        Arc::new(Evidence::of_locks(side(1), side(2)))
    }
}
