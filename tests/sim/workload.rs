//! Payments, chains of unconfirmed payments and double spends, as users with several nodes would make them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use timed::protocol::validity::CheckedTransaction;
use timed::types::{
    Amount, ChainId, ChainParameters, Lock, OutPoint, SecretKey, SignatureVerifier, Transaction, TxId, TxOut,
};

use crate::random::Random;

#[derive(Clone, Copy)]
struct Coin {
    outpoint: OutPoint,
    value: Amount,
    owner: usize,
}

/// A payment that its user follows until it is in the chain.
pub struct Payment {
    pub transaction: CheckedTransaction,
    owner: usize,
    pub resend_at_ms: u64,
    /// The user signed a conflicting one, and so has no right to finality.
    pub contested: bool,
    settled: bool,
}

pub struct Workload {
    users: Vec<SecretKey>,
    coins: Vec<Coin>,
    pub payments: BTreeMap<TxId, Payment>,
    /// Payments that may have to be sent again.
    open: BTreeSet<TxId>,
    /// Inputs of all payments.
    spent: BTreeSet<OutPoint>,
    chain_id: ChainId,
    parameters: Arc<ChainParameters>,
    verifier: Arc<dyn SignatureVerifier + Send + Sync>,
}

pub fn lock_of(secret: &SecretKey) -> Lock {
    Lock::KeyHash(secret.public().key_hash())
}

impl Workload {
    pub fn new(
        users: Vec<SecretKey>,
        outputs: impl Iterator<Item = (OutPoint, TxOut)>,
        chain_id: ChainId,
        parameters: Arc<ChainParameters>,
        verifier: Arc<dyn SignatureVerifier + Send + Sync>,
    ) -> Self {
        let locks: Vec<Lock> = users.iter().map(lock_of).collect();
        let coins = outputs
            .filter_map(|(outpoint, output)| {
                let owner = locks.iter().position(|lock| *lock == output.lock)?;
                Some(Coin { outpoint, value: output.value, owner })
            })
            .collect();
        let (payments, open, spent) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { users, coins, payments, open, spent, chain_id, parameters, verifier }
    }

    fn pay(&self, coin: Coin, to: usize, parts: u64, memo: u64) -> CheckedTransaction {
        let fee = 1_000;
        let lock = lock_of(&self.users[to]);
        let value = Amount((coin.value.0 - fee) / parts);
        let outputs = vec![TxOut { value, lock }; parts as usize];
        let memo = memo.to_le_bytes().to_vec();
        let transaction = Transaction::transfer(vec![coin.outpoint], outputs, memo)
            .signed(&self.chain_id, &[&self.users[coin.owner]]);
        CheckedTransaction::check(Arc::new(transaction), &self.chain_id, &self.parameters, &*self.verifier)
            .expect("a payment is well-formed")
    }

    fn follow(&mut self, transaction: CheckedTransaction, owner: usize, contested: bool, now_ms: u64) {
        let resend_at_ms = now_ms + 1_500;
        let payment =
            Payment { transaction: transaction.clone(), owner, resend_at_ms, contested, settled: false };
        self.spent.extend(transaction.inputs());
        self.open.insert(transaction.txid());
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
        if random.chance(150) {
            let second = self.pay(coin, random.below(self.users.len()), 1, 1);
            self.follow(first.clone(), to, true, now_ms);
            self.follow(second.clone(), to, true, now_ms);
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

    /// A payment is final: its outputs are coins that can be spent at once.
    pub fn settled(&mut self, transaction: &CheckedTransaction) {
        let txid = transaction.txid();
        let Some(payment) = self.payments.get_mut(&txid) else { return };
        if std::mem::replace(&mut payment.settled, true) || payment.owner >= self.users.len() {
            return;
        }
        let locks: Vec<Lock> = self.users.iter().map(lock_of).collect();
        for (outpoint, output) in transaction.transaction().created(txid) {
            let owner = locks.iter().position(|lock| *lock == output.lock).expect("a user's");
            if !self.spent.contains(&outpoint) {
                self.coins.push(Coin { outpoint, value: output.value, owner });
            }
        }
    }

    /// Payments that are neither final nor in the chain, and that their users send again now.
    pub fn due_again(&mut self, now_ms: u64, is_final: impl Fn(&TxId) -> bool) -> Vec<CheckedTransaction> {
        let mut due = Vec::new();
        let payments = &mut self.payments;
        self.open.retain(|txid| {
            let Some(payment) = payments.get_mut(txid).filter(|_| !is_final(txid)) else { return false };
            if payment.resend_at_ms <= now_ms {
                payment.resend_at_ms = now_ms + 1_500;
                due.push(payment.transaction.clone());
            }
            true
        });
        due
    }
}
