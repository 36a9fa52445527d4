//! Coins for the load: found, and split until there are enough of them.

use std::cmp::Reverse;

use serde_json::json;

use super::super::rpc_client::{RpcClient, RpcCommandError};
use super::super::wallet_rpc::spendable;
use crate::rpc::types::{BlockchainInfo, TransactionStatus, TransactionStatusInfo};
use crate::types::Lock;
use crate::types::codec::encode;
use crate::types::{
    Address, Amount, ChainId, Network, OutPoint, SecretKey, Signature, Transaction, TxId, TxOut, Witness,
};

/// Outputs of one splitting transaction, at most.
const SPLIT_OUTPUTS_MAX: usize = 900;
/// A coin that can't pay this many fees is left alone.
const HOPS_MIN: u64 = 1_000;
/// Rounds of splitting, at most; each multiplies the coins by up to [`SPLIT_OUTPUTS_MAX`].
const ROUNDS_MAX: usize = 8;
/// Splitting transactions that wait for finality together, at most.
const SPLITS_TOGETHER_MAX: usize = 32;
const FINALITY_WAIT_MS: u64 = 60_000;

/// An output that one of the load's keys can spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coin {
    pub outpoint: OutPoint,
    pub value: Amount,
    /// Which key.
    pub owner: usize,
}

/// Signs for the load's keys.
pub(super) struct Purse {
    keys: Vec<SecretKey>,
    chain_id: ChainId,
    fee_per_kb: Amount,
    network: Network,
}

fn failed(message: impl Into<String>) -> RpcCommandError {
    RpcCommandError::Failed(message.into())
}

impl Purse {
    pub(super) fn new(keys: Vec<SecretKey>, chain: &BlockchainInfo) -> Result<Self, RpcCommandError> {
        if keys.is_empty() {
            return Err(failed("no keys with coins were given; `timed load` runs on a devnet"));
        }
        let network =
            chain.chain.parse().map_err(|_| failed(format!("unknown network {:?}", chain.chain)))?;
        Ok(Self { keys, chain_id: chain.chain_id, fee_per_kb: chain.min_fee_per_kb, network })
    }

    fn lock(&self, owner: usize) -> Option<Lock> {
        self.keys.get(owner).map(|key| Lock::KeyHash(key.public().key_hash()))
    }

    /// What a transaction of so many bytes has to pay.
    fn fee(&self, bytes: usize) -> Option<Amount> {
        let kilobytes = u64::try_from(bytes.div_ceil(1_000)).ok()?;
        self.fee_per_kb.units().checked_mul(kilobytes).map(Amount)
    }

    /// Pays a coin to its own owner in `parts` outputs, and says which coins that makes. `None` when it is too small.
    pub(super) fn split(&self, coin: &Coin, parts: usize) -> Option<(TxId, Vec<u8>, Vec<Coin>)> {
        let (key, lock) = (self.keys.get(coin.owner)?, self.lock(coin.owner)?);
        let build = |value: Amount| {
            let outputs = vec![TxOut { value, lock }; parts];
            Transaction::transfer(vec![coin.outpoint], outputs, Vec::new())
        };
        // Every amount and signature is encoded in as many bytes, so the size depends neither on the fee nor on what is signed.
        let witness = Witness { key: key.public(), signature: Signature::EMPTY };
        let size = encode(&Transaction { witnesses: vec![witness], ..build(Amount(1)) }).len();
        let rest = coin.value.checked_sub(self.fee(size)?)?;
        let value = Amount(rest.units().checked_div(u64::try_from(parts).ok()?)?);
        if value == Amount::ZERO {
            return None;
        }
        let transaction = build(value).signed(&self.chain_id, &[key]);
        let txid = transaction.txid();
        let coins = transaction
            .created(txid)
            .map(|(outpoint, output)| Coin { outpoint, value: output.value, owner: coin.owner })
            .collect();
        Some((txid, encode(&transaction), coins))
    }

    /// Pays a coin to its own owner: the transaction of the load.
    pub(super) fn respend(&self, coin: &Coin) -> Option<(TxId, Vec<u8>, Coin)> {
        let (txid, bytes, coins) = self.split(coin, 1)?;
        coins.first().map(|next| (txid, bytes, *next))
    }

    async fn find(&self, client: &RpcClient) -> Result<Vec<Coin>, RpcCommandError> {
        let least = Amount(self.fee_per_kb.units().saturating_mul(HOPS_MIN));
        let mut coins = Vec::new();
        for (owner, key) in self.keys.iter().enumerate() {
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

    /// Finds or makes at least `wanted` coins that are final. `notice` is told what is being done.
    pub(super) async fn fund(
        &self,
        client: &RpcClient,
        wanted: usize,
        notice: &dyn Fn(String),
    ) -> Result<Vec<Coin>, RpcCommandError> {
        let mut coins = self.find(client).await?;
        if coins.is_empty() {
            return Err(failed("the load's keys have no coins on this network"));
        }
        for _ in 0..ROUNDS_MAX {
            if coins.len() >= wanted {
                return Ok(coins);
            }
            notice(format!("splitting {} coins into {wanted}", coins.len()));
            coins = self.split_round(client, coins, wanted).await?;
        }
        Err(failed(format!("could not split the load's coins into {wanted}; use a lower rate")))
    }

    /// Splits the largest coins until there would be enough, and waits until that is final.
    async fn split_round(
        &self,
        client: &RpcClient,
        mut coins: Vec<Coin>,
        wanted: usize,
    ) -> Result<Vec<Coin>, RpcCommandError> {
        coins.sort_unstable_by_key(|coin| Reverse((coin.value, coin.outpoint)));
        let mut missing = wanted.saturating_sub(coins.len());
        let mut kept = Vec::with_capacity(wanted);
        let mut made = Vec::new();
        for coin in coins {
            let parts = missing.saturating_add(1).min(SPLIT_OUTPUTS_MAX);
            match self.split(&coin, parts) {
                Some(split) if missing > 0 && made.len() < SPLITS_TOGETHER_MAX => {
                    missing = missing.saturating_sub(parts.saturating_sub(1));
                    made.push(split);
                }
                _ => kept.push(coin),
            }
        }
        for (_, bytes, _) in &made {
            client.call::<TxId>("sendrawtransaction", &[json!(hex::encode(bytes))]).await?;
        }
        for (txid, _, coins) in made {
            let params = [json!(txid), json!("final"), json!(FINALITY_WAIT_MS)];
            let status: TransactionStatusInfo = client.call("waitfortransaction", &params).await?;
            if status.status < TransactionStatus::Final {
                return Err(failed(format!(
                    "{txid} is not final after {} s; does the network finalize? `timed status` tells more",
                    FINALITY_WAIT_MS / 1_000
                )));
            }
            kept.extend(coins);
        }
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::codec::decode;

    fn purse() -> Purse {
        Purse {
            keys: vec![SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32])],
            chain_id: ChainId([9; 32]),
            fee_per_kb: Amount(1_000),
            network: Network::Devnet,
        }
    }

    #[test]
    fn a_split_pays_its_fee_and_no_more_and_is_signed_by_its_owner() {
        let purse = purse();
        let outpoint = OutPoint { txid: TxId([7; 32]), index: 3 };
        let coin = Coin { outpoint, value: Amount(1_000_000_007), owner: 1 };
        for parts in [1, 2, SPLIT_OUTPUTS_MAX] {
            let (txid, bytes, coins) = purse.split(&coin, parts).unwrap();
            let transaction: Transaction = decode(&bytes).unwrap();
            assert_eq!((transaction.txid(), transaction.inputs.as_slice()), (txid, &[outpoint][..]));
            assert!(
                transaction
                    .signature_checks(&purse.chain_id, &transaction.txid())
                    .iter()
                    .all(|check| check.holds())
            );
            assert_eq!(transaction.witnesses[0].key, purse.keys[1].public());
            let paid: u64 = transaction.outputs.iter().map(|output| output.value.units()).sum();
            let fee = coin.value.units() - paid;
            let least = 1_000 * u64::try_from(bytes.len().div_ceil(1_000)).unwrap();
            assert!(fee >= least && fee < least + u64::try_from(parts).unwrap(), "{parts}: {fee}");
            assert!(bytes.len() <= crate::types::limits::TRANSACTION_BYTES_MAX);
            assert_eq!(coins.len(), parts);
            assert!(
                coins
                    .iter()
                    .zip(0..)
                    .all(|(made, index)| { made.outpoint == OutPoint { txid, index } && made.owner == 1 })
            );
        }
        assert!(purse.split(&Coin { value: Amount(1_000), ..coin }, 1).is_none());
        assert!(purse.split(&Coin { owner: 2, ..coin }, 1).is_none());
    }
}
