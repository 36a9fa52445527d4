//! Coins for the load, and the payments that are made with them.
//!
//! A payment spends one coin, pays strangers whom nobody knows, and gives the rest to the next one of many payers: so
//! keys and addresses differ, as those of a real crowd do. What accounts have is split among the payers a little at a
//! time, so that they can be used again and again.

use std::cmp::Reverse;

use serde_json::json;

use super::super::rpc_client::{RpcClient, RpcCommandError};
use super::super::wallet_rpc::spendable;
use crate::rpc::types::{BlockchainInfo, TransactionStatus, TransactionStatusInfo};
use crate::types::codec::encode;
use crate::types::limits::OUTPUT_VALUE_MIN;
use crate::types::{
    Address, Amount, ChainId, KeyHash, Lock, Network, OutPoint, SecretKey, Signature, Transaction, TxId,
    TxOut, Witness,
};

/// Keys that coins are paid to in turn.
const PAYERS: usize = 4_096;
/// Outputs of one splitting transaction, at most, beside the change.
const SPLIT_OUTPUTS_MAX: usize = 900;
/// Payments that a coin can pay the fees of.
const HOPS: u64 = 2_000;
/// Rounds of splitting, at most; each makes up to [`SPLIT_OUTPUTS_MAX`] coins of each coin that accounts have.
const ROUNDS_MAX: usize = 128;
/// Splitting transactions that wait for finality together, at most.
const SPLITS_TOGETHER_MAX: usize = 32;
const FINALITY_WAIT_MS: u64 = 60_000;
/// What a stranger gets: the least that any rules allow.
const STRANGERS_VALUE: Amount = OUTPUT_VALUE_MIN;

/// An output that one of the load's keys can spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coin {
    pub outpoint: OutPoint,
    pub value: Amount,
    /// Which key.
    pub owner: usize,
}

/// A key and the lock that it opens.
struct Owner {
    key: SecretKey,
    lock: Lock,
}

impl Owner {
    fn new(key: SecretKey) -> Self {
        let lock = Lock::KeyHash(key.public().key_hash());
        Self { key, lock }
    }
}

/// Signs for the load's keys.
pub(super) struct Purse {
    /// Accounts, then payers.
    owners: Vec<Owner>,
    accounts: usize,
    chain_id: ChainId,
    fee_per_kb: Amount,
    network: Network,
    /// Outputs of a payment.
    outputs: usize,
    /// What a payment has to pay.
    payment_fee: Amount,
}

/// A transaction, encoded, and the coins that it makes.
pub(super) struct Made {
    pub txid: TxId,
    pub bytes: Vec<u8>,
    pub coins: Vec<Coin>,
}

fn failed(message: impl Into<String>) -> RpcCommandError {
    RpcCommandError::Failed(message.into())
}

/// A key that only this account's owner can make.
fn payer(account: &SecretKey, number: usize) -> SecretKey {
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    let mut hasher = blake3::Hasher::new_keyed(&account.seed());
    hasher.update(b"payer of the load").update(&number.to_le_bytes());
    SecretKey::from_seed(hasher.finalize().as_bytes())
}

/// What a transaction of so many bytes has to pay.
fn fee(fee_per_kb: Amount, bytes: usize) -> Option<Amount> {
    let kilobytes = u64::try_from(bytes.div_ceil(1_000)).ok()?;
    fee_per_kb.units().checked_mul(kilobytes).map(Amount)
}

/// Bytes of a transaction with one input and so many outputs: amounts and signatures always take as many.
fn transaction_bytes(owner: &Owner, outputs: usize) -> usize {
    let outpoint = OutPoint { txid: TxId::ZERO, index: 0 };
    let output = TxOut { value: STRANGERS_VALUE, lock: owner.lock };
    let witness = Witness { key: owner.key.public(), signature: Signature::EMPTY };
    let unsigned = Transaction::transfer(vec![outpoint], vec![output; outputs], Vec::new());
    encode(&Transaction { witnesses: vec![witness], ..unsigned }).len()
}

impl Purse {
    /// A purse of these accounts, for payments with so many outputs.
    pub(super) fn new(
        accounts: Vec<SecretKey>,
        chain: &BlockchainInfo,
        outputs: usize,
    ) -> Result<Self, RpcCommandError> {
        let Some(first) = accounts.first() else {
            return Err(failed("no keys with coins were given; `timed load` runs on a devnet"));
        };
        let network =
            chain.chain.parse().map_err(|_| failed(format!("unknown network {:?}", chain.chain)))?;
        let payers: Vec<SecretKey> = (0..PAYERS).map(|number| payer(first, number)).collect();
        let bytes = transaction_bytes(&Owner::new(first.clone()), outputs);
        let count = accounts.len();
        Ok(Self {
            owners: accounts.into_iter().chain(payers).map(Owner::new).collect(),
            accounts: count,
            chain_id: chain.chain_id,
            fee_per_kb: chain.min_fee_per_kb,
            network,
            outputs,
            payment_fee: fee(chain.min_fee_per_kb, bytes).ok_or_else(|| failed("its fee has no number"))?,
        })
    }

    /// The payer after this one.
    fn next_payer(&self, owner: usize) -> usize {
        let next = owner.saturating_add(1);
        if next < self.owners.len() { next.max(self.accounts) } else { self.accounts }
    }

    /// What a payment takes from its coin.
    fn cost(&self) -> Option<u64> {
        let strangers = u64::try_from(self.outputs.checked_sub(1)?).ok()?;
        let given = STRANGERS_VALUE.units().checked_mul(strangers)?;
        self.payment_fee.units().checked_add(given)
    }

    fn sign(&self, coin: &Coin, outputs: Vec<TxOut>, owners: &[usize]) -> Option<Made> {
        let key = &self.owners.get(coin.owner)?.key;
        let transaction =
            Transaction::transfer(vec![coin.outpoint], outputs, Vec::new()).signed(&self.chain_id, &[key]);
        let txid = transaction.txid();
        let coins = transaction
            .created(txid)
            .zip(owners)
            .map(|((outpoint, output), owner)| Coin { outpoint, value: output.value, owner: *owner })
            .collect();
        Some(Made { txid, bytes: encode(&transaction), coins })
    }

    /// Makes so many coins for payers of an account's coin; the rest is its change. `None` when it is too small.
    fn split(&self, coin: &Coin, parts: usize, first: usize) -> Option<Made> {
        let value = Amount(self.cost()?.checked_mul(HOPS)?);
        let given = value.units().checked_mul(u64::try_from(parts).ok()?)?;
        let owner = self.owners.get(coin.owner)?;
        let fee = fee(self.fee_per_kb, transaction_bytes(owner, parts.checked_add(1)?))?;
        let change = coin.value.checked_sub(fee)?.checked_sub(Amount(given))?;
        if change < OUTPUT_VALUE_MIN {
            return None;
        }
        let mut owners = Vec::with_capacity(parts.saturating_add(1));
        let mut payer = first;
        for _ in 0..parts {
            payer = self.next_payer(payer);
            owners.push(payer);
        }
        let paid =
            owners.iter().filter_map(|owner| Some(TxOut { value, lock: self.owners.get(*owner)?.lock }));
        let mut outputs: Vec<TxOut> = paid.collect();
        outputs.push(TxOut { value: change, lock: owner.lock });
        owners.push(coin.owner);
        self.sign(coin, outputs, &owners)
    }

    /// The payment of the load: to strangers of this payment alone, and the rest to the next payer, whose coin is the only
    /// one that it says it makes. `None` when the coin is too small.
    pub(super) fn pay(&self, coin: &Coin) -> Option<Made> {
        let value = coin.value.checked_sub(Amount(self.cost()?)).filter(|rest| *rest >= OUTPUT_VALUE_MIN)?;
        let next = self.next_payer(coin.owner);
        let mut outputs = Vec::with_capacity(self.outputs);
        outputs.push(TxOut { value, lock: self.owners.get(next)?.lock });
        let mut hasher = blake3::Hasher::new();
        hasher.update(&coin.outpoint.txid.0).update(&coin.outpoint.index.to_le_bytes());
        let mut strangers = hasher.finalize_xof();
        for _ in 1..self.outputs {
            let mut hash = [0; 32];
            strangers.fill(&mut hash);
            outputs.push(TxOut { value: STRANGERS_VALUE, lock: Lock::KeyHash(KeyHash(hash)) });
        }
        self.sign(coin, outputs, &[next])
    }

    /// The coins of accounts that can be split.
    async fn find(&self, client: &RpcClient) -> Result<Vec<Coin>, RpcCommandError> {
        let least = Amount(self.cost().unwrap_or(u64::MAX).saturating_mul(HOPS));
        let mut coins = Vec::new();
        for (owner, Owner { key, .. }) in self.owners.iter().enumerate().take(self.accounts) {
            let address = Address::of_key_hash(self.network, key.public().key_hash());
            let found = spendable(client, address).await?;
            coins.extend(
                found
                    .into_iter()
                    .map(|(outpoint, output)| Coin { outpoint, value: output.value, owner })
                    .filter(|coin| coin.value >= least),
            );
        }
        Ok(coins)
    }

    /// Makes `wanted` coins that are final. `notice` is told what is being done.
    pub(super) async fn fund(
        &self,
        client: &RpcClient,
        wanted: usize,
        notice: &dyn Fn(String),
    ) -> Result<Vec<Coin>, RpcCommandError> {
        let mut accounts = self.find(client).await?;
        if accounts.is_empty() {
            return Err(failed("the load's keys have no coins on this network"));
        }
        notice(format!("making {wanted} coins of the {} that the load's keys have", accounts.len()));
        let mut coins = Vec::with_capacity(wanted);
        for _ in 0..ROUNDS_MAX {
            let missing = wanted.saturating_sub(coins.len());
            if missing == 0 {
                return Ok(coins);
            }
            let made = self.split_round(client, &mut accounts, missing, coins.len()).await?;
            if made.is_empty() {
                break;
            }
            coins.extend(made);
        }
        Err(failed(format!("could not make {wanted} coins of what the load's keys have; use a lower rate")))
    }

    /// Splits the largest coins of accounts until there would be so many more, and waits until that is final. Their
    /// change takes their place.
    async fn split_round(
        &self,
        client: &RpcClient,
        accounts: &mut Vec<Coin>,
        mut missing: usize,
        first: usize,
    ) -> Result<Vec<Coin>, RpcCommandError> {
        accounts.sort_unstable_by_key(|coin| Reverse((coin.value, coin.outpoint)));
        let (mut kept, mut made) = (Vec::new(), Vec::new());
        let mut payer = first;
        for coin in accounts.drain(..) {
            let parts = missing.min(SPLIT_OUTPUTS_MAX);
            match self.split(&coin, parts, payer) {
                Some(split) if parts > 0 && made.len() < SPLITS_TOGETHER_MAX => {
                    missing = missing.saturating_sub(parts);
                    payer = split.coins.iter().rev().nth(1).map_or(payer, |last| last.owner);
                    made.push(split);
                }
                _ => kept.push(coin),
            }
        }
        for split in &made {
            client.call::<TxId>("sendrawtransaction", &[json!(hex::encode(&split.bytes))]).await?;
        }
        let mut coins = Vec::new();
        for Made { txid, coins: of_split, .. } in made {
            let params = [json!(txid), json!("final"), json!(FINALITY_WAIT_MS)];
            let status: TransactionStatusInfo = client.call("waitfortransaction", &params).await?;
            if status.status < TransactionStatus::Final {
                return Err(failed(format!(
                    "{txid} is not final after {} s; does the network finalize? `timed status` tells more",
                    FINALITY_WAIT_MS / 1_000
                )));
            }
            let (of_payers, change): (Vec<Coin>, Vec<Coin>) =
                of_split.into_iter().partition(|coin| coin.owner >= self.accounts);
            coins.extend(of_payers);
            kept.extend(change);
        }
        *accounts = kept;
        Ok(coins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::codec::decode;

    const ACCOUNT: usize = 1;

    fn purse(outputs: usize) -> Purse {
        let accounts = [1, 2].map(|seed| SecretKey::from_seed(&[seed; 32]));
        let mut owners: Vec<Owner> = accounts.into_iter().map(Owner::new).collect();
        owners.extend((0..5).map(|number| Owner::new(payer(&SecretKey::from_seed(&[1; 32]), number))));
        let payment_fee = fee(Amount(1_000), transaction_bytes(&owners[0], outputs)).unwrap();
        Purse {
            owners,
            accounts: 2,
            chain_id: ChainId([9; 32]),
            fee_per_kb: Amount(1_000),
            network: Network::Devnet,
            outputs,
            payment_fee,
        }
    }

    fn coin(value: u64, owner: usize) -> Coin {
        Coin { outpoint: OutPoint { txid: TxId([7; 32]), index: 3 }, value: Amount(value), owner }
    }

    /// Holds what any transaction of the load has to be, and gives it with its fee.
    fn checked(purse: &Purse, coin: &Coin, made: &Made) -> (Transaction, u64) {
        let transaction: Transaction = decode(&made.bytes).unwrap();
        assert_eq!((transaction.txid(), transaction.inputs.as_slice()), (made.txid, &[coin.outpoint][..]));
        let checks = transaction.signature_checks(&purse.chain_id, &made.txid);
        assert!(checks.iter().all(|check| check.holds()));
        assert_eq!(transaction.witnesses[0].key, purse.owners[coin.owner].key.public());
        assert!(made.bytes.len() <= crate::types::limits::TRANSACTION_BYTES_MAX);
        for (made_coin, index) in made.coins.iter().zip(0..) {
            let output = transaction.outputs[usize::try_from(index).unwrap()];
            assert_eq!(made_coin.outpoint, OutPoint { txid: made.txid, index });
            assert_eq!((made_coin.value, purse.owners[made_coin.owner].lock), (output.value, output.lock));
        }
        let paid: u64 = transaction.outputs.iter().map(|output| output.value.units()).sum();
        (transaction, coin.value.units() - paid)
    }

    fn least_fee(made: &Made) -> u64 {
        1_000 * u64::try_from(made.bytes.len().div_ceil(1_000)).unwrap()
    }

    #[test]
    fn a_split_gives_payers_in_turn_their_coins_and_the_account_its_change() {
        let purse = purse(2);
        let large = coin(100_000_000_000, ACCOUNT);
        for parts in [1, 7, SPLIT_OUTPUTS_MAX] {
            let made = purse.split(&large, parts, 3).unwrap();
            let (_, fee) = checked(&purse, &large, &made);
            assert_eq!(fee, least_fee(&made));
            assert_eq!(made.coins.len(), parts + 1);
            let owners: Vec<usize> = made.coins.iter().map(|coin| coin.owner).collect();
            let in_turn = (0..parts).map(|part| 2 + (2 + part) % 5).chain([ACCOUNT]);
            assert!(owners.iter().copied().eq(in_turn), "{owners:?}");
            let value = HOPS * (1_000 + OUTPUT_VALUE_MIN.units());
            assert!(made.coins[..parts].iter().all(|coin| coin.value == Amount(value)));
        }
        assert!(purse.split(&coin(HOPS * 1_100, ACCOUNT), 1, 3).is_none(), "nothing would be left");
        assert!(purse.split(&coin(100_000_000_000, 7), 1, 3).is_none(), "nobody's");
    }

    #[test]
    fn a_payment_pays_strangers_that_nobody_else_does_and_the_next_payer() {
        let mut strangers = std::collections::BTreeSet::new();
        for outputs in [1, 2, 1_000] {
            let purse = purse(outputs);
            for (index, owner) in [(1, ACCOUNT), (2, 2), (3, 6)] {
                let mut from = coin(10_000_000, owner);
                from.outpoint.index = index * 1_000 + u32::try_from(outputs).unwrap();
                let made = purse.pay(&from).unwrap();
                let (transaction, fee) = checked(&purse, &from, &made);
                assert_eq!((fee, transaction.outputs.len()), (least_fee(&made), outputs));
                assert_eq!(made.coins.len(), 1, "strangers' coins are not the load's");
                assert_eq!(made.coins[0].owner, if owner == 6 { 2 } else { owner.max(1) + 1 });
                strangers.extend(transaction.outputs[1..].iter().map(|output| output.lock));
            }
            assert!(purse.pay(&coin(purse.cost().unwrap(), 2)).is_none(), "nothing would be left");
        }
        assert_eq!(strangers.len(), 3 * (1 + 999));
    }
}
