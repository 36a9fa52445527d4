//! A payment on its way between people and machines: who signs it needs no node and no network.
//!
//! # What the file holds
//! JSON, with the version of its form in it:
//!
//! | member | what |
//! |---|---|
//! | `format`, `version` | [`FORMAT`], [`VERSION`] |
//! | `network`, `chain_id` | the chain that signatures are for |
//! | `transaction` | the transaction with the signatures that it has so far, in hexadecimal |
//! | `inputs` | the coins that it spends, in its order: `txid`, `vout`, `value` in base units, `address` |
//! | `fee` | in base units |
//! | `previous` | the transactions that made these coins, without signatures, in hexadecimal |
//! | `genesis` | the genesis document as TOML, where a coin is one of its outputs |
//!
//! # Why the earlier transactions
//! A signature covers the names of the coins, not their amounts. Whoever signed by a file that names smaller amounts would
//! lose the difference as a fee. But a coin's name holds the hash of the transaction that made it, so that transaction
//! proves the amount. Where it is not at hand the amount is shown as not proved, and is not signed unless the signer says
//! that it is known from elsewhere.
//!
//! # Invariants
//! - INV-TXFILE-1: what a file says beside its transaction follows from that and from the earlier transactions, or the
//!   file is refused; an amount that nothing proves is known as such.
//! - INV-TXFILE-2: each signature in a file holds, and is by the owner of a coin that the transaction spends.
//!
//! # Bounds
//! A file has at most [`FILE_BYTES_MAX`] bytes. Its transaction keeps the bounds of the protocol, with all signatures.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::funds::Plan;
use crate::protocol::validity::{TransactionError, check_structure};
use crate::types::codec::{decode, encode};
use crate::types::transaction::signing_digest;
use crate::types::{
    Address, Amount, ChainId, ChainParameters, GenesisDocument, Lock, Network, OutPoint, Payload, PublicKey,
    SecretKey, Signature, SignatureCheck, Transaction, TxId, TxOut, Witness,
};

/// What the text says that it is.
pub const FORMAT: &str = "timed transaction to sign";
/// The version of the text.
pub const VERSION: u16 = 1;
/// Bytes of a file, at most: the transaction with a thousand coins, and what proves them if that is not too large.
pub const FILE_BYTES_MAX: usize = 8 << 20;

/// Why a text is no such file, or can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionFileError {
    /// Longer than any.
    #[error("the file has more than {FILE_BYTES_MAX} bytes; spend fewer coins at once")]
    TooLarge,
    /// No JSON of this shape.
    #[error("this is no file of a transaction to sign: {0}")]
    Malformed(String),
    /// Another version.
    #[error("version {0} of files of transactions is not known here; use a newer timed")]
    UnknownVersion(u16),
    /// A transaction about a masternode, or a reward.
    #[error("the transaction is no payment; only payments are signed by file")]
    NotAPayment,
    /// The transaction breaks a rule of the protocol, and no signature changes that.
    #[error("the transaction is invalid: {0}")]
    Invalid(TransactionError),
    /// The listed coins are not those that the transaction spends.
    #[error("the coins that the file lists are not those that its transaction spends; do not rely on it")]
    OtherInputs,
    /// An address of another network.
    #[error("{address} is not an address of {network}; do not rely on this file")]
    OtherNetwork {
        /// The address.
        address: Address,
        /// The file's network.
        network: Network,
    },
    /// An earlier transaction says something else about a coin.
    #[error("the file lies about the amount or the owner of {outpoint}; do not rely on it")]
    Forged {
        /// The coin.
        outpoint: OutPoint,
    },
    /// An earlier transaction or a genesis document that made none of the coins.
    #[error("the file holds what made none of its coins; do not rely on it")]
    Superfluous,
    /// Amounts that exceed 64 bits.
    #[error("the sum of the coins exceeds 64 bits; do not rely on this file")]
    Overflow,
    /// More goes out than comes in.
    #[error("the transaction pays {outputs} TIME, and its coins have {inputs} TIME")]
    Overspent {
        /// Sum of the coins.
        inputs: Amount,
        /// Sum of the outputs.
        outputs: Amount,
    },
    /// The fee is not what coins and outputs give.
    #[error("the file says that the fee is {said} TIME, and its coins give {fee} TIME; do not rely on it")]
    OtherFee {
        /// By the file.
        said: Amount,
        /// By coins and outputs.
        fee: Amount,
    },
    /// A signature that does not hold, or of nobody who owns a coin, or that stands twice.
    #[error("the signature of key {key} does not hold, is not needed, or is out of order; leave it out")]
    BadSignature {
        /// The key.
        key: PublicKey,
    },
    /// Nothing proves an amount.
    #[error(
        "nothing proves that the coin {outpoint} has {value} TIME: if it has more, the rest would be lost as a fee. Make the file anew by a node that has the coin's transaction, or sign with --trust-amounts if you know the amount from elsewhere"
    )]
    NotProved {
        /// The coin.
        outpoint: OutPoint,
        /// What the file says.
        value: Amount,
    },
    /// Files of two transactions.
    #[error("the files are of two transactions: {first} and {second}")]
    OtherTransaction {
        /// Of the first file.
        first: TxId,
        /// Of the other one.
        second: TxId,
    },
}

/// A coin that the transaction spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpentCoin {
    /// Its name.
    pub outpoint: OutPoint,
    /// Its amount and owner.
    pub output: TxOut,
    /// Whether what made it is in the file, and so proves amount and owner.
    pub proved: bool,
}

/// A payment that some of its signers have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionFile {
    network: Network,
    chain_id: ChainId,
    transaction: Transaction,
    spent: Vec<SpentCoin>,
    fee: Amount,
    /// Without witnesses.
    previous: BTreeMap<TxId, Transaction>,
    genesis: Option<GenesisDocument>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    format: String,
    version: u16,
    network: Network,
    chain_id: ChainId,
    fee: Amount,
    inputs: Vec<InputText>,
    transaction: String,
    previous: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    genesis: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InputText {
    txid: TxId,
    vout: u32,
    value: Amount,
    address: Address,
}

/// Only this is read of a text of unknown version.
#[derive(Deserialize)]
struct Probe {
    format: String,
    version: u16,
}

fn malformed(problem: impl ToString) -> TransactionFileError {
    TransactionFileError::Malformed(problem.to_string())
}

fn transaction_of(digits: &str) -> Result<Transaction, TransactionFileError> {
    let bytes = hex::decode(digits).map_err(malformed)?;
    decode(&bytes).map_err(malformed)
}

impl TransactionFile {
    /// Puts a file together. What made the coins proves their amounts, as far as it is given.
    ///
    /// # Errors
    /// When the transaction breaks a rule, or what made the coins contradicts the plan.
    pub fn new(
        network: Network,
        chain_id: ChainId,
        plan: Plan,
        previous: Vec<Transaction>,
        genesis: Option<GenesisDocument>,
    ) -> Result<Self, TransactionFileError> {
        let Plan { transaction, spent, fee, .. } = plan;
        if transaction.inputs.len() != spent.len() {
            return Err(TransactionFileError::OtherInputs);
        }
        let coin =
            |(outpoint, output): (&OutPoint, TxOut)| SpentCoin { outpoint: *outpoint, output, proved: false };
        let spent = transaction.inputs.iter().zip(spent).map(coin).collect();
        let body = |earlier: Transaction| Transaction { witnesses: Vec::new(), ..earlier };
        let previous = previous.into_iter().map(|earlier| (earlier.txid(), body(earlier))).collect();
        let mut file = Self { network, chain_id, transaction, spent, fee, previous, genesis };
        file.check()?;
        Ok(file)
    }

    /// Reads a text that anybody may have written.
    ///
    /// # Errors
    /// See [`TransactionFileError`].
    pub fn from_text(text: &str) -> Result<Self, TransactionFileError> {
        if text.len() > FILE_BYTES_MAX {
            return Err(TransactionFileError::TooLarge);
        }
        let probe: Probe = serde_json::from_str(text).map_err(malformed)?;
        if probe.format != FORMAT {
            return Err(malformed("\"format\" is another one"));
        }
        if probe.version != VERSION {
            return Err(TransactionFileError::UnknownVersion(probe.version));
        }
        let text: Text = serde_json::from_str(text).map_err(malformed)?;
        let network = text.network;
        let coin = |input: &InputText| {
            if input.address.network != network {
                let address = input.address;
                return Err(TransactionFileError::OtherNetwork { address, network });
            }
            let outpoint = OutPoint { txid: input.txid, index: input.vout };
            let output = TxOut { value: input.value, lock: input.address.lock };
            Ok(SpentCoin { outpoint, output, proved: false })
        };
        let mut previous = BTreeMap::new();
        for digits in &text.previous {
            let earlier = transaction_of(digits)?;
            if !earlier.witnesses.is_empty() || previous.insert(earlier.txid(), earlier).is_some() {
                return Err(TransactionFileError::Superfluous);
            }
        }
        let mut file = Self {
            network,
            chain_id: text.chain_id,
            transaction: transaction_of(&text.transaction)?,
            spent: text.inputs.iter().map(coin).collect::<Result<_, _>>()?,
            fee: text.fee,
            previous,
            genesis: text
                .genesis
                .map(|toml| GenesisDocument::from_toml(&toml))
                .transpose()
                .map_err(malformed)?,
        };
        file.check()?;
        Ok(file)
    }

    /// The text to write.
    ///
    /// # Errors
    /// [`TransactionFileError::TooLarge`].
    pub fn to_text(&self) -> Result<String, TransactionFileError> {
        let input = |coin: &SpentCoin| InputText {
            txid: coin.outpoint.txid,
            vout: coin.outpoint.index,
            value: coin.output.value,
            address: self.address(coin.output.lock),
        };
        let text = Text {
            format: FORMAT.to_owned(),
            version: VERSION,
            network: self.network,
            chain_id: self.chain_id,
            fee: self.fee,
            inputs: self.spent.iter().map(input).collect(),
            transaction: hex::encode(encode(&self.transaction)),
            previous: self.previous.values().map(|earlier| hex::encode(encode(earlier))).collect(),
            genesis: self.genesis.as_ref().map(GenesisDocument::to_toml).transpose().map_err(malformed)?,
        };
        let text = serde_json::to_string_pretty(&text).map_err(malformed)?;
        if text.len() >= FILE_BYTES_MAX { Err(TransactionFileError::TooLarge) } else { Ok(text + "\n") }
    }

    /// Holds INV-TXFILE-1 and INV-TXFILE-2, and notes which amounts are proved.
    fn check(&mut self) -> Result<(), TransactionFileError> {
        if !matches!(self.transaction.payload, Payload::Transfer { .. }) {
            return Err(TransactionFileError::NotAPayment);
        }
        let listed = self.spent.iter().map(|coin| &coin.outpoint);
        if !self.transaction.inputs.iter().eq(listed) {
            return Err(TransactionFileError::OtherInputs);
        }
        let parameters = ChainParameters::of_network(self.network);
        check_structure(&self.as_if_signed(), &parameters).map_err(TransactionFileError::Invalid)?;
        self.check_amounts()?;
        self.check_signatures()
    }

    fn check_amounts(&mut self) -> Result<(), TransactionFileError> {
        let genesis: BTreeMap<OutPoint, TxOut> = match &self.genesis {
            Some(document) if document.chain_id() == self.chain_id && document.network == self.network => {
                document.outputs().into_iter().collect()
            }
            Some(_) => return Err(TransactionFileError::Superfluous),
            None => BTreeMap::new(),
        };
        let (mut needed, mut of_genesis) = (BTreeSet::new(), false);
        for coin in &mut self.spent {
            let OutPoint { txid, index } = coin.outpoint;
            let made = if let Some(earlier) = self.previous.get(&txid) {
                needed.insert(txid);
                usize::try_from(index).ok().and_then(|place| earlier.outputs.get(place))
            } else if txid.0 == self.chain_id.0 && self.genesis.is_some() {
                of_genesis = true;
                genesis.get(&coin.outpoint)
            } else {
                continue;
            };
            if made != Some(&coin.output) {
                return Err(TransactionFileError::Forged { outpoint: coin.outpoint });
            }
            coin.proved = true;
        }
        if needed.len() != self.previous.len() || of_genesis != self.genesis.is_some() {
            return Err(TransactionFileError::Superfluous);
        }
        let inputs = Amount::checked_sum(self.spent.iter().map(|coin| coin.output.value));
        let inputs = inputs.ok_or(TransactionFileError::Overflow)?;
        // The rules of shape have bounded this sum.
        let outputs = Amount::checked_sum(self.transaction.outputs.iter().map(|output| output.value));
        let outputs = outputs.ok_or(TransactionFileError::Overflow)?;
        let fee = inputs.checked_sub(outputs).ok_or(TransactionFileError::Overspent { inputs, outputs })?;
        if fee == self.fee { Ok(()) } else { Err(TransactionFileError::OtherFee { said: self.fee, fee }) }
    }

    fn check_signatures(&self) -> Result<(), TransactionFileError> {
        let (owners, digest) = (self.owners(), self.digest());
        let mut before = None;
        for Witness { key, signature } in &self.transaction.witnesses {
            let is_owner = owners.contains(&Lock::KeyHash(key.key_hash()));
            let holds = || SignatureCheck { key: *key, digest, signature: *signature }.holds();
            if !is_owner || before >= Some(*key) || !holds() {
                return Err(TransactionFileError::BadSignature { key: *key });
            }
            before = Some(*key);
        }
        Ok(())
    }

    /// The transaction as large as it is once all have signed: for rules about its shape and size.
    fn as_if_signed(&self) -> Transaction {
        let witness = |place: usize| {
            let mut key = PublicKey::ZERO;
            key.0.iter_mut().zip(place.to_be_bytes()).for_each(|(to, from)| *to = from);
            Witness { key, signature: Signature::EMPTY }
        };
        let witnesses = (0..self.owners().len()).map(witness).collect();
        Transaction { witnesses, ..self.transaction.clone() }
    }

    fn digest(&self) -> [u8; 32] {
        signing_digest(&self.chain_id, &self.txid())
    }

    const fn address(&self, lock: Lock) -> Address {
        Address { network: self.network, lock }
    }

    /// Whose coins are spent.
    #[must_use]
    pub fn owners(&self) -> BTreeSet<Lock> {
        self.spent.iter().map(|coin| coin.output.lock).collect()
    }

    /// The owners that have signed.
    #[must_use]
    pub fn signed(&self) -> BTreeSet<Lock> {
        self.transaction.witnesses.iter().map(|witness| Lock::KeyHash(witness.key.key_hash())).collect()
    }

    /// The owners that still have to sign.
    #[must_use]
    pub fn missing(&self) -> Vec<Address> {
        self.owners().difference(&self.signed()).map(|lock| self.address(*lock)).collect()
    }

    /// Signs with those of the keys that own a coin; how many of them had not signed before.
    ///
    /// # Errors
    /// [`TransactionFileError::NotProved`], unless the amounts are trusted.
    pub fn sign(&mut self, keys: &[&SecretKey], trust_amounts: bool) -> Result<usize, TransactionFileError> {
        if let Some(coin) = self.spent.iter().find(|coin| !coin.proved && !trust_amounts) {
            let (outpoint, value) = (coin.outpoint, coin.output.value);
            return Err(TransactionFileError::NotProved { outpoint, value });
        }
        let (owners, mut signed, digest) = (self.owners(), self.signed(), self.digest());
        let before = signed.len();
        for key in keys {
            let lock = Lock::KeyHash(key.public().key_hash());
            if owners.contains(&lock) && signed.insert(lock) {
                let witness = Witness { key: key.public(), signature: key.sign(&digest) };
                self.transaction.witnesses.push(witness);
            }
        }
        self.transaction.witnesses.sort_by_key(|witness| witness.key);
        Ok(signed.len().saturating_sub(before))
    }

    /// Takes over the signatures, and the proofs of amounts, of another file of the same transaction.
    ///
    /// # Errors
    /// When it is of another transaction, chain, or amounts.
    pub fn combine(mut self, other: Self) -> Result<Self, TransactionFileError> {
        let (first, second) = (self.txid(), other.txid());
        if first != second || self.chain_id != other.chain_id || self.network != other.network {
            return Err(TransactionFileError::OtherTransaction { first, second });
        }
        let signed = self.signed();
        let is_new = |witness: &Witness| !signed.contains(&Lock::KeyHash(witness.key.key_hash()));
        self.transaction.witnesses.extend(other.transaction.witnesses.into_iter().filter(is_new));
        self.transaction.witnesses.sort_by_key(|witness| witness.key);
        self.previous.extend(other.previous);
        self.genesis = self.genesis.or(other.genesis);
        // What the other file proves may contradict what this one said.
        self.check()?;
        Ok(self)
    }

    /// The transaction, when all owners have signed it.
    #[must_use]
    pub fn complete(&self) -> Option<&Transaction> {
        self.missing().is_empty().then_some(&self.transaction)
    }

    /// The transaction with the signatures that it has so far.
    #[must_use]
    pub const fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The transaction's name, which signatures don't change.
    #[must_use]
    pub fn txid(&self) -> TxId {
        self.transaction.txid()
    }

    /// The network of its addresses.
    #[must_use]
    pub const fn network(&self) -> Network {
        self.network
    }

    /// The chain that its signatures are for.
    #[must_use]
    pub const fn chain_id(&self) -> ChainId {
        self.chain_id
    }

    /// The coins that are spent.
    #[must_use]
    pub fn spent(&self) -> &[SpentCoin] {
        &self.spent
    }

    /// What it pays for its inclusion, in base units.
    #[must_use]
    pub const fn fee(&self) -> Amount {
        self.fee
    }

    /// Encoded bytes once all have signed.
    #[must_use]
    pub fn size(&self) -> usize {
        encode(&self.as_if_signed()).len()
    }

    /// What is paid to whom, in the transaction's order.
    pub fn payments(&self) -> impl Iterator<Item = (Address, Amount)> {
        self.transaction.outputs.iter().map(|output| (self.address(output.lock), output.value))
    }

    /// The memo.
    #[must_use]
    pub fn memo(&self) -> &[u8] {
        match &self.transaction.payload {
            Payload::Transfer { memo } => memo,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests;
