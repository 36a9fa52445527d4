//! Coins and keys of a wallet, and the choice of coins that every transaction of it is built by.
//!
//! Coins are taken largest first: the fewest inputs, so the lowest fee and the quickest check. The alternative, the
//! smallest that suffice, would tidy up small coins, but fails at the limit of inputs where largest first does not.
//!
//! # Place
//! [`super::transfer`] and [`super::masternode`] say what is to be made; this says from what.
//!
//! # Invariants
//! - INV-WALLET-2 of [`super`]: the fee is the one that validity asks for at the final encoded size. Only where a
//!   change output would cost more than it holds does the rest go to the fee.
//! - INV-WALLET-3 of [`super`]: a coin that is bound as collateral, or that a transaction on its way spends, is never
//!   chosen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::protocol::validity::minimum_fee;
use crate::types::codec::encode;
use crate::types::limits::{OUTPUT_VALUE_MIN, TRANSACTION_BYTES_MAX, TRANSACTION_INPUTS_MAX};
use crate::types::{
    Amount, ChainId, ChainParameters, Lock, OutPoint, Payload, PublicKey, SecretKey, Signature, Transaction,
    TxOut, Witness,
};

/// Whether a new transaction may spend a coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoinState {
    /// It may.
    Free,
    /// A transaction on its way spends it.
    Locked,
    /// It is a masternode's collateral, or was marked as one.
    Bound,
}

/// An unspent output as a node describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Its name.
    pub outpoint: OutPoint,
    /// The output.
    pub output: TxOut,
    /// Whether it can be spent.
    pub state: CoinState,
}

/// What a wallet builds from.
#[derive(Clone, Copy, Debug)]
pub struct Funds<'a> {
    /// The chain that signatures are for.
    pub chain_id: &'a ChainId,
    /// Its parameters: fee and tiers.
    pub parameters: &'a ChainParameters,
    /// Unspent outputs; those that `keys` can't spend, and those that are not free, are passed over.
    pub coins: &'a [Coin],
    /// Keys that may spend them.
    pub keys: &'a [SecretKey],
    /// Where the rest goes.
    pub change: Lock,
}

/// What coins are chosen from. No key is needed for that, so a wallet without secrets can do it.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The chain's parameters: fee and tiers.
    pub parameters: &'a ChainParameters,
    /// Unspent outputs; those of others than `owners`, and those that are not free, are passed over.
    pub coins: &'a [Coin],
    /// Whose coins may be taken.
    pub owners: &'a BTreeSet<Lock>,
    /// Where the rest goes.
    pub change: Lock,
}

/// A transaction that nobody has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Without witnesses.
    pub transaction: Transaction,
    /// The outputs that it spends, in the order of its inputs.
    pub spent: Vec<TxOut>,
    /// What it pays for its inclusion, once one signature for each owner makes it larger.
    pub fee: Amount,
    /// What comes back; zero when there is no change output.
    pub change: Amount,
}

/// What a transaction is to be, before coins are chosen for it.
#[derive(Clone, Debug)]
pub(super) struct Draft<'a> {
    /// What it makes beside the change. Without any, there is always change.
    pub(super) outputs: Vec<TxOut>,
    /// What it does.
    pub(super) payload: Payload,
    /// Whose coin has to be among its inputs.
    pub(super) owner: Option<Lock>,
    /// Who agrees to the payload.
    pub(super) operators: Vec<&'a SecretKey>,
}

/// A signed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltTransaction {
    /// Ready to be sent.
    pub transaction: Transaction,
    /// What it pays for its inclusion.
    pub fee: Amount,
    /// What comes back; zero when there is no change output.
    pub change: Amount,
}

/// Sums of the coins that can't be chosen, for whoever wonders why the others don't suffice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Withheld {
    /// Spent by transactions on their way.
    pub locked: Amount,
    /// Bound as collateral.
    pub bound: Amount,
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bound > Amount::ZERO {
            write!(
                f,
                "; {} TIME more are bound as collateral of a masternode and can't be spent",
                self.bound
            )?;
        }
        if self.locked > Amount::ZERO {
            write!(f, "; {} TIME more are being spent by a transaction on its way", self.locked)?;
        }
        Ok(())
    }
}

/// Why no coins can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FundsError {
    /// The coins do not suffice.
    #[error(
        "{missing} TIME are missing: {available} TIME can be spent, {amount} TIME and the fee are needed{withheld}; \
         pay less, or from other accounts too, or send all that is there"
    )]
    Insufficient {
        /// How much more would do.
        missing: Amount,
        /// The sum of all coins that can be spent.
        available: Amount,
        /// What was to be paid or bound.
        amount: Amount,
        /// What there is beside.
        withheld: Withheld,
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
    /// The owner has to show that it agrees by spending a coin, and has none.
    #[error(
        "the masternode's owner has to spend a coin of its own to show that it agrees, and has no free one; pay a little to its address first{withheld}"
    )]
    NoOwnerCoin {
        /// What there is beside.
        withheld: Withheld,
    },
    /// What is left beside the fee is less than an output may have.
    #[error(
        "the {available} TIME that can be spent do not pay an output of {OUTPUT_VALUE_MIN} TIME, the least there may be, beside the fee of {fee} TIME at least{withheld}"
    )]
    NothingBesideTheFee {
        /// The sum of all coins that can be spent.
        available: Amount,
        /// The least fee.
        fee: Amount,
        /// What there is beside.
        withheld: Withheld,
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

impl Funds<'_> {
    /// Chooses coins, builds the transaction, has operators agree and owners sign.
    pub(super) fn build(&self, draft: Draft<'_>) -> Result<BuiltTransaction, FundsError> {
        let operators = draft.operators.clone();
        self.build_by(&operators, |source| source.plan(draft))
    }

    /// Sends all that the coins have, less the fee, to one lock.
    pub(super) fn build_everything(
        &self,
        to: Lock,
        payload: Payload,
    ) -> Result<BuiltTransaction, FundsError> {
        self.build_by(&[], |source| source.plan_everything(to, payload))
    }

    fn build_by(
        &self,
        operators: &[&SecretKey],
        plan: impl FnOnce(&Source<'_>) -> Result<Plan, FundsError>,
    ) -> Result<BuiltTransaction, FundsError> {
        let keys: BTreeMap<Lock, &SecretKey> =
            self.keys.iter().map(|key| (Lock::KeyHash(key.public().key_hash()), key)).collect();
        let owners: BTreeSet<Lock> = keys.keys().copied().collect();
        let Self { parameters, coins, change, .. } = *self;
        let Plan { transaction, spent, fee, change } =
            plan(&Source { parameters, coins, owners: &owners, change })?;
        let locks: BTreeSet<Lock> = spent.iter().map(|output| output.lock).collect();
        let signers: Vec<&SecretKey> = locks.iter().filter_map(|lock| keys.get(lock).copied()).collect();
        let transaction = transaction.consented(self.chain_id, operators).signed(self.chain_id, &signers);
        Ok(BuiltTransaction { transaction, fee, change })
    }
}

impl Plan {
    fn of(
        chosen: &[(OutPoint, TxOut)],
        outputs: Vec<TxOut>,
        payload: Payload,
        fee: Amount,
        change: Amount,
    ) -> Self {
        let transaction = Transaction {
            inputs: chosen.iter().map(|(outpoint, _)| *outpoint).collect(),
            payload,
            ..Transaction::transfer(Vec::new(), outputs, Vec::new())
        };
        Self { transaction, spent: chosen.iter().map(|(_, output)| *output).collect(), fee, change }
    }
}

impl Source<'_> {
    /// Chooses coins and builds the transaction. The draft's operators are not asked.
    pub(super) fn plan(&self, draft: Draft<'_>) -> Result<Plan, FundsError> {
        let coins = self.spendable(draft.owner)?;
        let Selection { inputs, fee, change } = self.select(&coins, &draft)?;
        let mut outputs = draft.outputs;
        if change > Amount::ZERO {
            outputs.push(TxOut { value: change, lock: self.change });
        }
        let chosen = coins.get(..inputs).unwrap_or_default();
        Ok(Plan::of(chosen, outputs, draft.payload, fee, change))
    }

    /// Builds what sends as much as possible, less the fee, to one lock. Coins that cost more than they hold stay, and so
    /// do those that do not fit into one transaction, of which the smallest are left.
    pub(super) fn plan_everything(&self, to: Lock, payload: Payload) -> Result<Plan, FundsError> {
        let coins = self.spendable(None)?;
        let sizes = Sizes::of(&payload);
        let (mut locks, mut sum) = (BTreeSet::new(), Amount::ZERO);
        let mut best: Option<(Amount, Selection)> = None;
        for (place, (_, output)) in coins.iter().take(TRANSACTION_INPUTS_MAX).enumerate() {
            let inputs = place + 1;
            locks.insert(output.lock);
            let bytes = sizes.transaction(inputs, 1, locks.len());
            if bytes > TRANSACTION_BYTES_MAX {
                break;
            }
            sum = sum.checked_add(output.value).ok_or(FundsError::Overflow)?;
            let fee = minimum_fee(bytes, self.parameters);
            let paid = sum.checked_sub(fee).filter(|paid| *paid >= OUTPUT_VALUE_MIN);
            // Of equal ones the one with more coins, which tidies up.
            if let Some(paid) = paid.filter(|paid| best.as_ref().is_none_or(|(most, _)| paid >= most)) {
                best = Some((paid, Selection { inputs, fee, change: Amount::ZERO }));
            }
        }
        let Some((paid, Selection { inputs, fee, change })) = best else {
            let available = coins.iter().fold(0, |sum: u64, (_, output)| sum.saturating_add(output.value.0));
            let (fee, withheld) = (minimum_fee(sizes.transaction(1, 1, 1), self.parameters), self.withheld());
            return Err(FundsError::NothingBesideTheFee { available: Amount(available), fee, withheld });
        };
        let chosen = coins.get(..inputs).unwrap_or_default();
        Ok(Plan::of(chosen, vec![TxOut { value: paid, lock: to }], payload, fee, change))
    }

    /// The free coins of the owners, each once, the largest first; but one of `owner` before all others.
    fn spendable(&self, owner: Option<Lock>) -> Result<Vec<(OutPoint, TxOut)>, FundsError> {
        let mine = self
            .coins
            .iter()
            .filter(|coin| coin.state == CoinState::Free && self.owners.contains(&coin.output.lock));
        let once: BTreeMap<OutPoint, TxOut> = mine.map(|coin| (coin.outpoint, coin.output)).collect();
        let mut coins: Vec<(OutPoint, TxOut)> = once.into_iter().collect();
        coins.sort_by_key(|(outpoint, output)| (std::cmp::Reverse(output.value), *outpoint));
        if let Some(owner) = owner {
            let place = coins.iter().position(|(_, output)| output.lock == owner);
            let place = place.ok_or_else(|| FundsError::NoOwnerCoin { withheld: self.withheld() })?;
            coins.get_mut(..=place).unwrap_or_default().rotate_right(1);
        }
        Ok(coins)
    }

    fn withheld(&self) -> Withheld {
        let sum = |state: CoinState| {
            let mine = self.coins.iter().filter(|coin| self.owners.contains(&coin.output.lock));
            let values = mine.filter(|coin| coin.state == state).map(|coin| coin.output.value.0);
            Amount(values.fold(0, u64::saturating_add))
        };
        Withheld { locked: sum(CoinState::Locked), bound: sum(CoinState::Bound) }
    }

    fn select(&self, coins: &[(OutPoint, TxOut)], draft: &Draft<'_>) -> Result<Selection, FundsError> {
        let add = |a: Amount, b: Amount| a.checked_add(b).ok_or(FundsError::Overflow);
        let amount = Amount::checked_sum(draft.outputs.iter().map(|output| output.value));
        let amount = amount.ok_or(FundsError::Overflow)?;
        let available = Amount::checked_sum(coins.iter().map(|(_, output)| output.value));
        let available = available.ok_or(FundsError::Overflow)?;
        let sizes = Sizes::of(&draft.payload);
        let made = draft.outputs.len();
        let mut locks = BTreeSet::new();
        let mut sum = Amount::ZERO;
        let mut missing: Option<Amount> = None;
        let mut tried = 0;
        for (_, output) in coins.iter().take(TRANSACTION_INPUTS_MAX) {
            locks.insert(output.lock);
            let with_change = sizes.transaction(tried + 1, made + 1, locks.len());
            if with_change > TRANSACTION_BYTES_MAX {
                break;
            }
            tried += 1;
            sum = add(sum, output.value)?;
            let fee_with_change = minimum_fee(with_change, self.parameters);
            let needed_with_change = add(amount, fee_with_change)?;
            match sum.checked_sub(needed_with_change) {
                // Less than an output may be worth by the rules to come goes to the fee.
                Some(change) if change >= OUTPUT_VALUE_MIN => {
                    return Ok(Selection { inputs: tried, fee: fee_with_change, change });
                }
                _ => {}
            }
            // A transaction makes something: without outputs of its own it needs change, of the least value.
            let needed = if made == 0 {
                add(needed_with_change, OUTPUT_VALUE_MIN)?
            } else {
                add(amount, minimum_fee(sizes.transaction(tried, made, locks.len()), self.parameters))?
            };
            match sum.checked_sub(needed) {
                Some(_) => {
                    let fee = sum.checked_sub(amount).ok_or(FundsError::Overflow)?;
                    return Ok(Selection { inputs: tried, fee, change: Amount::ZERO });
                }
                None => {
                    let lacking = needed.checked_sub(sum).unwrap_or_default();
                    missing = Some(missing.map_or(lacking, |least| least.min(lacking)));
                }
            }
        }
        let missing = match missing {
            Some(missing) if tried < coins.len() => {
                return Err(FundsError::TooManyCoins { inputs: tried, missing });
            }
            Some(missing) => missing,
            None => add(amount, minimum_fee(sizes.transaction(1, made.max(1), 1), self.parameters))?,
        };
        Err(FundsError::Insufficient { missing, available, amount, withheld: self.withheld() })
    }
}

/// Encoded bytes of a transaction's parts. Integers have a fixed width, so parts of one kind have one size.
struct Sizes {
    empty: usize,
    input: usize,
    output: usize,
    witness: usize,
}

impl Sizes {
    fn of(payload: &Payload) -> Self {
        let outpoint = OutPoint { txid: crate::types::TxId::ZERO, index: 0 };
        let lock = Lock::KeyHash(crate::types::KeyHash::ZERO);
        let empty = Transaction {
            payload: payload.clone(),
            ..Transaction::transfer(Vec::new(), Vec::new(), Vec::new())
        };
        Self {
            empty: encode(&empty).len(),
            input: encode(&outpoint).len(),
            output: encode(&TxOut { value: Amount::ZERO, lock }).len(),
            witness: encode(&Witness { key: PublicKey::ZERO, signature: Signature::EMPTY }).len(),
        }
    }

    const fn transaction(&self, inputs: usize, outputs: usize, witnesses: usize) -> usize {
        self.empty + inputs * self.input + outputs * self.output + witnesses * self.witness
    }
}
