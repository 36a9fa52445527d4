//! Payments, chains of unconfirmed payments and double spends, as users with several nodes would make them.
//!
//! Some pay with several coins of several owners. Double spenders sign up to three rivals, of which some share a second
//! coin, and spend what each of the rivals would make.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use timed::protocol::validity::CheckedTransaction;
use timed::types::transaction::TRANSACTION_VERSION;
use timed::types::{
    Amount, ChainId, ChainParameters, Lock, OutPoint, Payload, SecretKey, SignatureVerifier, Transaction,
    TxId, TxOut,
};

use crate::random::Random;

#[derive(Clone, Copy)]
pub struct Coin {
    outpoint: OutPoint,
    value: Amount,
    pub owner: usize,
}

impl Coin {
    /// The first output of a payment to somebody.
    fn made_by(payment: &CheckedTransaction, owner: usize) -> Self {
        let outpoint = OutPoint { txid: payment.txid(), index: 0 };
        Self { outpoint, value: payment.outputs()[0].value, owner }
    }
}

/// A payment that its user follows until it is in the chain.
pub struct Payment {
    pub transaction: CheckedTransaction,
    owner: usize,
    /// The user signed a conflicting one, and so has no right to finality.
    pub contested: bool,
    /// One that conflicts with it.
    rival: Option<TxId>,
    /// How often it was sent again.
    tries: u32,
    settled: bool,
}

/// After so many milliseconds its user sends a payment again that is not final.
pub const AGAIN_MS: u64 = 1_500;
/// So often a double spender tries.
const CONTESTED_TRIES_MAX: u32 = 6;

/// Coins below this value stay where they are.
const SPENT_VALUE_MIN: u64 = 100_000;
/// Payments of more than this give change.
const CHANGE_VALUE_MIN: u64 = 10_000_000;
/// How often a payment has inputs of several owners.
const JOINT_PER_MILLE: u64 = 150;
/// How often outputs are spent before anybody has seen who makes them.
const DESCENDANTS_PER_MILLE: u64 = 100;
/// How often somebody spends what a rival would make.
const CHILD_OF_RIVAL_PER_MILLE: u64 = 300;

pub struct Workload {
    users: Vec<SecretKey>,
    coins: Vec<Coin>,
    pub payments: BTreeMap<TxId, Payment>,
    /// Payments that are neither final nor in the chain, as far as their users know.
    open: BTreeSet<TxId>,
    /// When each open payment is sent again.
    due: BTreeSet<(u64, TxId)>,
    /// Inputs of all payments.
    spent: BTreeSet<OutPoint>,
    /// Collaterals, with their owners.
    bound: BTreeMap<OutPoint, usize>,
    chain_id: ChainId,
    parameters: Arc<ChainParameters>,
    verifier: Arc<dyn SignatureVerifier + Send + Sync>,
    contested_per_mille: u64,
}

pub fn lock_of(secret: &SecretKey) -> Lock {
    Lock::KeyHash(secret.public().key_hash())
}

impl Workload {
    pub fn new(
        users: Vec<SecretKey>,
        outputs: impl Iterator<Item = (OutPoint, TxOut)>,
        collaterals: &BTreeSet<OutPoint>,
        chain_id: ChainId,
        parameters: Arc<ChainParameters>,
        verifier: Arc<dyn SignatureVerifier + Send + Sync>,
        contested_per_mille: u64,
    ) -> Self {
        let locks: Vec<Lock> = users.iter().map(lock_of).collect();
        let (mut coins, mut bound) = (Vec::new(), BTreeMap::new());
        for (outpoint, output) in outputs {
            let Some(owner) = locks.iter().position(|lock| *lock == output.lock) else { continue };
            if collaterals.contains(&outpoint) {
                bound.insert(outpoint, owner);
            } else {
                coins.push(Coin { outpoint, value: output.value, owner });
            }
        }
        let (payments, spent) = (BTreeMap::new(), BTreeSet::new());
        Self {
            users,
            coins,
            payments,
            open: BTreeSet::new(),
            due: BTreeSet::new(),
            spent,
            bound,
            chain_id,
            parameters,
            verifier,
            contested_per_mille,
        }
    }

    /// All owners of the coins agree to it.
    fn pay(&self, coins: &[Coin], to: usize, parts: u64, memo: u64) -> CheckedTransaction {
        let fee = 1_000;
        let lock = lock_of(&self.users[to]);
        let paid: u64 = coins.iter().map(|coin| coin.value.0).sum();
        let value = Amount((paid - fee) / parts);
        let outputs = vec![TxOut { value, lock }; parts as usize];
        let inputs = coins.iter().map(|coin| coin.outpoint).collect();
        self.sign(coins, Transaction::transfer(inputs, outputs, memo.to_le_bytes().to_vec()))
    }

    fn sign(&self, coins: &[Coin], transaction: Transaction) -> CheckedTransaction {
        let owners: Vec<&SecretKey> = coins.iter().map(|coin| &self.users[coin.owner]).collect();
        let transaction = Arc::new(transaction.signed(&self.chain_id, &owners));
        CheckedTransaction::check(transaction, &self.chain_id, &self.parameters, &*self.verifier)
            .expect("a payment is well-formed")
    }

    /// A coin of at least this value, of this user or of anybody.
    pub fn take_coin(&mut self, owner: Option<usize>, value: u64, random: &mut Random) -> Option<Coin> {
        let fits = |coin: &Coin| owner.is_none_or(|owner| coin.owner == owner) && coin.value.0 >= value;
        let places: Vec<usize> =
            self.coins.iter().enumerate().filter(|(_, coin)| fits(coin)).map(|(place, _)| place).collect();
        let place = places.get(random.below(places.len().max(1)))?;
        Some(self.coins.swap_remove(*place))
    }

    pub fn lock(&self, owner: usize) -> Lock {
        lock_of(&self.users[owner])
    }

    pub fn owner_of(&self, lock: &Lock) -> Option<usize> {
        self.users.iter().position(|user| lock_of(user) == *lock)
    }

    /// A transaction about masternodes that its operators have agreed to; the change goes back.
    pub fn with_payload(
        &self,
        coin: Coin,
        mut outputs: Vec<TxOut>,
        payload: Payload,
        operators: &[&SecretKey],
    ) -> CheckedTransaction {
        let paid: u64 = outputs.iter().map(|output| output.value.0).sum();
        outputs.push(TxOut { value: Amount(coin.value.0 - paid - 2_000), lock: self.lock(coin.owner) });
        let (version, inputs, witnesses) = (TRANSACTION_VERSION, vec![coin.outpoint], Vec::new());
        let transaction = Transaction { version, inputs, outputs, payload, witnesses };
        self.sign(&[coin], transaction.consented(&self.chain_id, operators))
    }

    /// Follows such a transaction; sometimes its owner spends the coin elsewhere, too.
    pub fn acted(
        &mut self,
        coin: Coin,
        transaction: CheckedTransaction,
        random: &mut Random,
        now_ms: u64,
    ) -> Vec<CheckedTransaction> {
        let contested = random.chance(100);
        self.follow(transaction.clone(), coin.owner, contested, now_ms);
        if !contested {
            return vec![transaction];
        }
        let rival = self.pay(&[coin], random.below(self.users.len()), 1, 1);
        self.follow(rival.clone(), coin.owner, true, now_ms);
        self.note_rivals(&[transaction.txid(), rival.txid()]);
        vec![transaction, rival]
    }

    /// Each one's rival is the next one, the last one's the first.
    fn note_rivals(&mut self, txids: &[TxId]) {
        for (of, rival) in txids.iter().zip(txids.iter().cycle().skip(1)) {
            self.payments.get_mut(of).expect("followed").rival = Some(*rival);
        }
    }

    /// Collaterals that are of some value and free become coins; how many.
    pub fn free_collaterals(&mut self, value: impl Fn(&OutPoint) -> Option<Amount>) -> u64 {
        let before = self.bound.len();
        let coins = &mut self.coins;
        self.bound.retain(|outpoint, owner| {
            let free = value(outpoint).map(|value| Coin { outpoint: *outpoint, value, owner: *owner });
            coins.extend(free);
            free.is_none()
        });
        (before - self.bound.len()) as u64
    }

    fn follow(&mut self, transaction: CheckedTransaction, owner: usize, contested: bool, now_ms: u64) {
        let followed = transaction.clone();
        let payment =
            Payment { transaction: followed, owner, contested, rival: None, tries: 0, settled: false };
        self.spent.extend(transaction.inputs());
        self.open.insert(transaction.txid());
        self.due.insert((now_ms + AGAIN_MS, transaction.txid()));
        self.payments.insert(transaction.txid(), payment);
    }

    /// One payment, or several that conflict or depend on each other; those that depend come first.
    pub fn next(&mut self, random: &mut Random, now_ms: u64) -> Vec<CheckedTransaction> {
        let Some(coin) = self.take_coin(None, SPENT_VALUE_MIN, random) else { return Vec::new() };
        if random.chance(self.contested_per_mille) {
            return self.contest(coin, random, now_ms);
        }
        let mut coins = vec![coin];
        if random.chance(JOINT_PER_MILLE) {
            coins.extend((0..3).filter_map(|_| self.take_coin(None, SPENT_VALUE_MIN, random)));
        }
        let paid: u64 = coins.iter().map(|coin| coin.value.0).sum();
        let parts = if paid > CHANGE_VALUE_MIN { coins.len() as u64 + 1 } else { 1 };
        let to = random.below(self.users.len());
        let mut made = vec![self.pay(&coins, to, parts, 0)];
        if random.chance(DESCENDANTS_PER_MILLE) {
            self.add_descendants(&mut made, to, random);
        }
        for payment in &made {
            self.follow(payment.clone(), to, false, now_ms);
        }
        made.reverse();
        made
    }

    /// A payment of one coin, with change.
    pub fn next_plain(&mut self, now_ms: u64) -> Option<CheckedTransaction> {
        let coin = self.coins.pop()?;
        let payment = self.pay(&[coin], coin.owner, 2, 0);
        self.follow(payment.clone(), coin.owner, false, now_ms);
        Some(payment)
    }

    /// Its first output is spent, and what that makes.
    fn add_descendants(&self, made: &mut Vec<CheckedTransaction>, to: usize, random: &mut Random) {
        let mut owner = to;
        for memo in 2..random.between(3, 5) {
            let parent = made.last().expect("the first one");
            let coin = Coin::made_by(parent, owner);
            if coin.value.0 < SPENT_VALUE_MIN {
                return;
            }
            owner = random.below(self.users.len());
            made.push(self.pay(&[coin], owner, 1, memo));
        }
    }

    /// Rivals for a coin, two or three of them, and what somebody makes of their outputs.
    fn contest(&mut self, coin: Coin, random: &mut Random, now_ms: u64) -> Vec<CheckedTransaction> {
        let (shape, only) = (random.below(4), vec![coin]);
        let second = if shape < 2 { None } else { self.take_coin(Some(coin.owner), SPENT_VALUE_MIN, random) };
        let rivals = match (shape, second) {
            (0, _) => vec![only.clone(), only],
            // The first and the last do not conflict.
            (2, Some(second)) => vec![only, vec![coin, second], vec![second]],
            (_, Some(second)) => vec![only, vec![coin, second], vec![second, coin]],
            (_, None) => vec![only.clone(), only.clone(), only],
        };
        let (mut made, mut children) = (Vec::new(), Vec::new());
        for (memo, coins) in (0..).zip(rivals) {
            let to = random.below(self.users.len());
            let rival = self.pay(&coins, to, 1, memo);
            if random.chance(CHILD_OF_RIVAL_PER_MILLE) {
                let coin = Coin::made_by(&rival, to);
                children.push(self.pay(&[coin], random.below(self.users.len()), 1, memo));
            }
            made.push(rival);
        }
        let txids: Vec<TxId> = made.iter().map(CheckedTransaction::txid).collect();
        made.append(&mut children);
        for transaction in &made {
            self.follow(transaction.clone(), coin.owner, true, now_ms);
        }
        self.note_rivals(&txids);
        made
    }

    /// A payment that its user has made.
    pub fn checked(&self, txid: &TxId) -> Option<CheckedTransaction> {
        self.payments.get(txid).map(|payment| payment.transaction.clone())
    }

    /// The payment that conflicts with this one.
    pub fn rival(&self, txid: &TxId) -> Option<TxId> {
        self.payments.get(txid)?.rival
    }

    /// One of the payments that are neither final nor in the chain.
    pub fn open_txid(&self, random: &mut Random) -> Option<TxId> {
        self.open.iter().nth(random.below(self.open.len().max(1))).copied()
    }

    /// An output that somebody may spend at any moment, or is spending.
    pub fn any_coin(&self, random: &mut Random) -> Option<OutPoint> {
        let coin = self.coins.get(random.below(self.coins.len().max(1))).map(|coin| coin.outpoint);
        let input = || self.open_txid(random).and_then(|txid| self.checked(&txid)?.inputs().first().copied());
        coin.or_else(input)
    }

    pub fn user(&self, place: usize) -> SecretKey {
        self.users[place].clone()
    }

    /// Payments that are neither final nor in the chain, as far as their users know.
    pub fn open(&self) -> Vec<CheckedTransaction> {
        self.open.iter().filter_map(|txid| self.checked(txid)).collect()
    }

    /// A payment is final: its outputs are coins that can be spent at once.
    pub fn settled(&mut self, transaction: &CheckedTransaction) {
        let txid = transaction.txid();
        let Some(payment) = self.payments.get_mut(&txid) else { return };
        self.open.remove(&txid);
        if std::mem::replace(&mut payment.settled, true) || payment.owner >= self.users.len() {
            return;
        }
        let locks: Vec<Lock> = self.users.iter().map(lock_of).collect();
        let marked = transaction.transaction().marked_collateral();
        for (outpoint, output) in transaction.transaction().created(txid) {
            let owner = locks.iter().position(|lock| *lock == output.lock).expect("a user's");
            if marked == Some(outpoint.index) {
                self.bound.insert(outpoint, owner);
                continue;
            }
            if !self.spent.contains(&outpoint) {
                self.coins.push(Coin { outpoint, value: output.value, owner });
            }
        }
    }

    /// Payments that are neither final nor in the chain, and that their users send again now.
    pub fn due_again(&mut self, now_ms: u64, is_final: impl Fn(&TxId) -> bool) -> Vec<CheckedTransaction> {
        let mut due = Vec::new();
        while let Some((at_ms, txid)) = self.due.first().copied().filter(|(at_ms, _)| *at_ms <= now_ms) {
            self.due.remove(&(at_ms, txid));
            let Some(payment) = self.payments.get_mut(&txid) else { continue };
            payment.tries += 1;
            if is_final(&txid) || (payment.contested && payment.tries > CONTESTED_TRIES_MAX) {
                self.open.remove(&txid);
            } else {
                due.push(payment.transaction.clone());
                self.due.insert((now_ms + AGAIN_MS, txid));
            }
        }
        due.sort_unstable_by_key(CheckedTransaction::txid);
        due
    }
}
