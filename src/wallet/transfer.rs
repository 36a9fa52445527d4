//! Choosing coins and building a signed transfer.
//!
//! Coins are taken largest first: the fewest inputs, so the lowest fee and the quickest check. The alternative, the
//! smallest that suffice, would tidy up small coins, but fails at the limit of inputs where largest first does not.
//!
//! # Invariants
//! - INV-WALLET-2: the fee is the one that validity asks for at the final encoded size. Only where a change output
//!   would cost more than it holds does the rest go to the fee.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::validity::minimum_fee;
use crate::types::codec::encode;
use crate::types::limits::{MEMO_BYTES_MAX, TRANSACTION_BYTES_MAX, TRANSACTION_INPUTS_MAX};
use crate::types::{
    Address, Amount, ChainId, ChainParameters, Lock, Network, OutPoint, PublicKey, SecretKey, Signature,
    Transaction, TxOut, Witness,
};

/// What to pay, from what.
#[derive(Clone, Copy, Debug)]
pub struct Transfer<'a> {
    /// The chain that the signatures are for.
    pub chain_id: &'a ChainId,
    /// Its network.
    pub network: Network,
    /// Its parameters: the fee.
    pub parameters: &'a ChainParameters,
    /// Unspent outputs; those that `keys` can't spend are passed over.
    pub coins: &'a [(OutPoint, TxOut)],
    /// Keys that may spend them.
    pub keys: &'a [SecretKey],
    /// Who is paid.
    pub recipient: Address,
    /// How much.
    pub amount: Amount,
    /// Where the rest goes.
    pub change: Lock,
    /// Free bytes, at most [`MEMO_BYTES_MAX`].
    pub memo: &'a [u8],
}

/// A signed transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltTransfer {
    /// Ready to be sent.
    pub transaction: Transaction,
    /// What it pays for its inclusion.
    pub fee: Amount,
    /// What comes back; zero when there is no change output.
    pub change: Amount,
}

/// Why nothing can be paid so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// Nothing would be paid.
    #[error("the amount must be above zero")]
    NoAmount,
    /// The address is of another network.
    #[error("{address} is not an address of {network}")]
    ForeignAddress {
        /// The address.
        address: Address,
        /// The wallet's network.
        network: Network,
    },
    /// The memo is too long.
    #[error("the memo has {bytes} bytes; at most {MEMO_BYTES_MAX} are possible")]
    MemoTooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// The coins do not suffice.
    #[error(
        "{missing} TIME are missing: {available} TIME can be spent, {amount} TIME and the fee are needed"
    )]
    InsufficientFunds {
        /// How much more would do.
        missing: Amount,
        /// The sum of all coins that can be spent.
        available: Amount,
        /// What was to be paid.
        amount: Amount,
    },
    /// The coins would suffice, but one transaction can't hold as many.
    #[error(
        "the {inputs} largest coins, as many as one transaction holds, lack {missing} TIME; pay a part of it first, or gather small coins by a payment to yourself"
    )]
    TooManyCoins {
        /// How many were tried.
        inputs: usize,
        /// What they lack.
        missing: Amount,
    },
    /// Amounts that exceed 64 bits: not those of a real chain.
    #[error("the sum of the amounts exceeds 64 bits")]
    Overflow,
}

/// The first coins of the order that suffice.
struct Selection {
    inputs: usize,
    fee: Amount,
    change: Amount,
}

impl Transfer<'_> {
    /// Chooses coins, builds the transaction and signs it.
    ///
    /// # Errors
    /// See [`TransferError`].
    pub fn build(&self) -> Result<BuiltTransfer, TransferError> {
        if self.amount == Amount::ZERO {
            return Err(TransferError::NoAmount);
        }
        if self.recipient.network != self.network {
            return Err(TransferError::ForeignAddress { address: self.recipient, network: self.network });
        }
        if self.memo.len() > MEMO_BYTES_MAX {
            return Err(TransferError::MemoTooLong { bytes: self.memo.len() });
        }
        let keys: BTreeMap<Lock, &SecretKey> =
            self.keys.iter().map(|key| (Lock::KeyHash(key.public().key_hash()), key)).collect();
        let coins = self.spendable(&keys);
        let Selection { inputs, fee, change } = self.select(&coins)?;
        let chosen = || coins.iter().take(inputs);
        let mut outputs = vec![TxOut { value: self.amount, lock: self.recipient.lock }];
        if change > Amount::ZERO {
            outputs.push(TxOut { value: change, lock: self.change });
        }
        let locks: BTreeSet<Lock> = chosen().map(|(_, output)| output.lock).collect();
        let signers: Vec<&SecretKey> = locks.iter().filter_map(|lock| keys.get(lock).copied()).collect();
        let inputs = chosen().map(|(outpoint, _)| *outpoint).collect();
        let transaction =
            Transaction::transfer(inputs, outputs, self.memo.to_vec()).signed(self.chain_id, &signers);
        Ok(BuiltTransfer { transaction, fee, change })
    }

    /// The coins that the keys can spend, each once, the largest first.
    fn spendable(&self, keys: &BTreeMap<Lock, &SecretKey>) -> Vec<(OutPoint, TxOut)> {
        let mine = self.coins.iter().filter(|(_, output)| keys.contains_key(&output.lock));
        let once: BTreeMap<OutPoint, TxOut> = mine.copied().collect();
        let mut coins: Vec<(OutPoint, TxOut)> = once.into_iter().collect();
        coins.sort_by_key(|(outpoint, output)| (std::cmp::Reverse(output.value), *outpoint));
        coins
    }

    fn select(&self, coins: &[(OutPoint, TxOut)]) -> Result<Selection, TransferError> {
        let available = Amount::checked_sum(coins.iter().map(|(_, output)| output.value));
        let available = available.ok_or(TransferError::Overflow)?;
        let sizes = Sizes::of_memo(self.memo);
        let mut locks = BTreeSet::new();
        let mut sum = Amount::ZERO;
        let mut missing: Option<Amount> = None;
        let mut tried = 0;
        for (_, output) in coins.iter().take(TRANSACTION_INPUTS_MAX) {
            locks.insert(output.lock);
            let with_change = sizes.transaction(tried + 1, 2, locks.len());
            if with_change > TRANSACTION_BYTES_MAX {
                break;
            }
            tried += 1;
            sum = sum.checked_add(output.value).ok_or(TransferError::Overflow)?;
            let fee = minimum_fee(sizes.transaction(tried, 1, locks.len()), self.parameters);
            let needed = self.amount.checked_add(fee).ok_or(TransferError::Overflow)?;
            let Some(rest) = sum.checked_sub(needed) else {
                let lacking = needed.checked_sub(sum).unwrap_or_default();
                missing = Some(missing.map_or(lacking, |least| least.min(lacking)));
                continue;
            };
            let fee_with_change = minimum_fee(with_change, self.parameters);
            let needed = self.amount.checked_add(fee_with_change).ok_or(TransferError::Overflow)?;
            return Ok(match sum.checked_sub(needed) {
                Some(change) if change > Amount::ZERO => {
                    Selection { inputs: tried, fee: fee_with_change, change }
                }
                _ => {
                    let fee = fee.checked_add(rest).ok_or(TransferError::Overflow)?;
                    Selection { inputs: tried, fee, change: Amount::ZERO }
                }
            });
        }
        let amount = self.amount;
        match missing {
            Some(missing) if tried < coins.len() => {
                Err(TransferError::TooManyCoins { inputs: tried, missing })
            }
            Some(missing) => Err(TransferError::InsufficientFunds { missing, available, amount }),
            None => {
                let fee = minimum_fee(sizes.transaction(1, 1, 1), self.parameters);
                let missing = amount.checked_add(fee).ok_or(TransferError::Overflow)?;
                Err(TransferError::InsufficientFunds { missing, available, amount })
            }
        }
    }
}

/// Encoded bytes of a transfer's parts. Integers have a fixed width, so parts of one kind have one size.
struct Sizes {
    empty: usize,
    input: usize,
    output: usize,
    witness: usize,
}

impl Sizes {
    fn of_memo(memo: &[u8]) -> Self {
        let outpoint = OutPoint { txid: crate::types::TxId::ZERO, index: 0 };
        let lock = Lock::KeyHash(crate::types::KeyHash::ZERO);
        Self {
            empty: encode(&Transaction::transfer(Vec::new(), Vec::new(), memo.to_vec())).len(),
            input: encode(&outpoint).len(),
            output: encode(&TxOut { value: Amount::ZERO, lock }).len(),
            witness: encode(&Witness { key: PublicKey::ZERO, signature: Signature::EMPTY }).len(),
        }
    }

    const fn transaction(&self, inputs: usize, outputs: usize, witnesses: usize) -> usize {
        self.empty + inputs * self.input + outputs * self.output + witnesses * self.witness
    }
}

#[cfg(test)]
mod tests;
