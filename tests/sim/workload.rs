//! Payments, chains of unconfirmed payments and double spends, as users with several nodes would make them.

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

/// A payment that its user follows until it is in the chain.
pub struct Payment {
    pub transaction: CheckedTransaction,
    owner: usize,
    /// The user signed a conflicting one, and so has no right to finality.
    pub contested: bool,
    /// The conflicting one.
    rival: Option<TxId>,
    settled: bool,
}

/// After so many milliseconds its user sends a payment again that is not final.
const AGAIN_MS: u64 = 1_500;

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

    fn pay(&self, coin: Coin, to: usize, parts: u64, memo: u64) -> CheckedTransaction {
        let fee = 1_000;
        let lock = lock_of(&self.users[to]);
        let value = Amount((coin.value.0 - fee) / parts);
        let outputs = vec![TxOut { value, lock }; parts as usize];
        let memo = memo.to_le_bytes().to_vec();
        self.sign(coin.owner, Transaction::transfer(vec![coin.outpoint], outputs, memo))
    }

    fn sign(&self, owner: usize, transaction: Transaction) -> CheckedTransaction {
        let transaction = Arc::new(transaction.signed(&self.chain_id, &[&self.users[owner]]));
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
        self.sign(coin.owner, transaction.consented(&self.chain_id, operators))
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
        let rival = self.pay(coin, random.below(self.users.len()), 1, 1);
        self.follow(rival.clone(), coin.owner, true, now_ms);
        self.rivals(transaction.txid(), rival.txid());
        vec![transaction, rival]
    }

    fn rivals(&mut self, one: TxId, other: TxId) {
        for (of, rival) in [(one, other), (other, one)] {
            self.payments.get_mut(&of).expect("followed").rival = Some(rival);
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
        let payment =
            Payment { transaction: transaction.clone(), owner, contested, rival: None, settled: false };
        self.spent.extend(transaction.inputs());
        self.open.insert(transaction.txid());
        self.due.insert((now_ms + AGAIN_MS, transaction.txid()));
        self.payments.insert(transaction.txid(), payment);
    }

    /// One payment, or two that conflict.
    pub fn next(&mut self, random: &mut Random, now_ms: u64) -> Vec<CheckedTransaction> {
        if self.coins.is_empty() {
            return Vec::new();
        }
        let place = random.below(self.coins.len());
        let coin = self.coins.swap_remove(place);
        let to = random.below(self.users.len());
        let parts = if coin.value.0 > 10_000_000 { 2 } else { 1 };
        if coin.value.0 < 100_000 {
            return Vec::new();
        }
        let first = self.pay(coin, to, parts, 0);
        if random.chance(self.contested_per_mille) {
            let second = self.pay(coin, random.below(self.users.len()), 1, 1);
            self.follow(first.clone(), to, true, now_ms);
            self.follow(second.clone(), to, true, now_ms);
            self.rivals(first.txid(), second.txid());
            return vec![first, second];
        }
        // Sometimes the change is spent before anybody has seen the parent.
        let child = random.chance(100).then(|| {
            let coin = Coin {
                outpoint: OutPoint { txid: first.txid(), index: 0 },
                value: first.outputs()[0].value,
                owner: to,
            };
            self.pay(coin, random.below(self.users.len()), 1, 2)
        });
        self.follow(first.clone(), to, false, now_ms);
        if let Some(child) = child {
            self.follow(child.clone(), to, false, now_ms);
            return vec![child, first];
        }
        vec![first]
    }

    /// A payment that its user has made.
    pub fn checked(&self, txid: &TxId) -> Option<CheckedTransaction> {
        self.payments.get(txid).map(|payment| payment.transaction.clone())
    }

    /// The payment that conflicts with this one.
    pub fn rival(&self, txid: &TxId) -> Option<TxId> {
        self.payments.get(txid)?.rival
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
            if is_final(&txid) {
                self.open.remove(&txid);
            } else {
                due.extend(self.checked(&txid));
                self.due.insert((now_ms + AGAIN_MS, txid));
            }
        }
        due.sort_unstable_by_key(CheckedTransaction::txid);
        due
    }
}
