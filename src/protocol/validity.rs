//! What makes a transaction valid.
//!
//! # Place
//! Called wherever a transaction comes in (RPC, peers, blocks) and by the state transition. The shape gives a
//! [`ShapedTransaction`], its signatures a [`CheckedTransaction`]; what depends on the outputs that it spends is
//! [`check_spend`], which needs no signatures.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `error.rs` | which reasons there are, and their words |
//!
//! # Invariants
//! - INV-VALID-1: a [`CheckedTransaction`] has passed every check that needs no state, with the bytes that it holds;
//!   there is no other way to make one (but for the node's own block log, which holds what was checked before).
//! - INV-VALID-2: a verdict depends on transaction, outputs and ledger state alone, never on clock, pool or policy.
//! - INV-VALID-3: a valid transaction's witnesses are those of its inputs' distinct locks, no more and no fewer, so
//!   its encoded size, and with it the least fee, is the same in each valid copy.

mod error;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::state::LedgerState;
use crate::types::codec::encode;
use crate::types::hash::{Domain, DomainHasher};
use crate::types::limits::{
    ADDRESS_TEXT_BYTES_MAX, MEMO_BYTES_MAX, OUTPUT_VALUE_MIN, TRANSACTION_BYTES_MAX, TRANSACTION_INPUTS_MAX,
    TRANSACTION_OUTPUTS_MAX,
};
use crate::types::transaction::TRANSACTION_VERSION;
use crate::types::{
    Amount, ChainId, ChainParameters, Lock, OutPoint, Payload, PublicKey, RuleVersion, SignatureCheck,
    SignatureVerifier, Transaction, TxId, TxOut, UtxoEntry,
};

pub use self::error::TransactionError;

/// The step of size that the least fee counts in.
const FEE_STEP_BYTES: u64 = 1_000;

/// The unspent outputs of the chain's state at its tip.
pub trait UtxoReader {
    /// The output, if it exists and is unspent.
    fn utxo(&self, outpoint: &OutPoint) -> Option<UtxoEntry>;
}

impl UtxoReader for BTreeMap<OutPoint, UtxoEntry> {
    fn utxo(&self, outpoint: &OutPoint) -> Option<UtxoEntry> {
        self.get(outpoint).copied()
    }
}

/// The least fee of a transaction: `min_fee_per_kb` for each started 1,000 bytes.
#[must_use]
pub fn minimum_fee(encoded_bytes: usize, parameters: &ChainParameters) -> Amount {
    let steps = u64::try_from(encoded_bytes).unwrap_or(u64::MAX).div_ceil(FEE_STEP_BYTES);
    Amount(parameters.min_fee_per_kb.0.saturating_mul(steps))
}

/// Holds the rules about the transaction's shape.
///
/// # Errors
/// The first rule that is broken.
pub fn check_structure(
    transaction: &Transaction,
    parameters: &ChainParameters,
) -> Result<(), TransactionError> {
    structure(transaction, parameters).map(drop)
}

/// The rules about what a payload says, as far as they need no state.
fn check_payload(
    payload: &Payload,
    outputs: &[TxOut],
    parameters: &ChainParameters,
) -> Result<(), TransactionError> {
    let check_key = |key: PublicKey| {
        if key.is_weak() { Err(TransactionError::WeakOperatorKey { key }) } else { Ok(()) }
    };
    let check_address = |address: &str| {
        let is_sound =
            address.len() <= ADDRESS_TEXT_BYTES_MAX && address.bytes().all(|byte| byte.is_ascii_graphic());
        if is_sound { Ok(()) } else { Err(TransactionError::BadNetworkAddress) }
    };
    match payload {
        Payload::Reward { .. } => Err(TransactionError::RewardFromOutside),
        Payload::Transfer { memo } if memo.len() > MEMO_BYTES_MAX => {
            Err(TransactionError::MemoTooLong { length: memo.len() })
        }
        Payload::Transfer { .. } | Payload::MasternodeExit { .. } => Ok(()),
        Payload::MasternodeRegister(registration) => {
            check_key(registration.operator.key)?;
            check_address(&registration.network_address)?;
            let index = registration.collateral_index;
            let output = usize::try_from(index).ok().and_then(|place| outputs.get(place));
            let output = output.ok_or(TransactionError::NoCollateral { index, outputs: outputs.len() })?;
            parameters
                .weight_of(output.value)
                .map(drop)
                .ok_or(TransactionError::UnknownTier { value: output.value })
        }
        Payload::MasternodeUpdate(update) => {
            if !update.needs_owner() && update.unjail.is_none() {
                return Err(TransactionError::EmptyUpdate);
            }
            for consent in update.operator.iter().chain(&update.unjail) {
                check_key(consent.key)?;
            }
            update.network_address.as_deref().map_or(Ok(()), check_address)
        }
    }
}

/// Holds the rules about the shape, cheap ones first, and gives the encoded size.
fn structure(transaction: &Transaction, parameters: &ChainParameters) -> Result<usize, TransactionError> {
    let Transaction { version, inputs, outputs, payload, witnesses } = transaction;
    if *version != TRANSACTION_VERSION {
        return Err(TransactionError::UnsupportedVersion { version: *version });
    }
    check_payload(payload, outputs, parameters)?;
    match inputs.len() {
        0 => return Err(TransactionError::NoInputs),
        1..=TRANSACTION_INPUTS_MAX => {}
        count => return Err(TransactionError::TooManyInputs { count }),
    }
    match outputs.len() {
        0 => return Err(TransactionError::NoOutputs),
        1..=TRANSACTION_OUTPUTS_MAX => {}
        count => return Err(TransactionError::TooManyOutputs { count }),
    }
    if witnesses.is_empty() {
        return Err(TransactionError::NoWitness);
    }
    if witnesses.len() > inputs.len() {
        let (witnesses, inputs) = (witnesses.len(), inputs.len());
        return Err(TransactionError::TooManyWitnesses { witnesses, inputs });
    }
    if let Some(index) = outputs.iter().position(|output| output.value == Amount::ZERO) {
        return Err(TransactionError::ZeroOutput { index });
    }
    if Amount::checked_sum(outputs.iter().map(|output| output.value)).is_none() {
        return Err(TransactionError::OutputsOverflow);
    }
    let keys = || witnesses.iter().map(|witness| witness.key);
    if let Some(place) = keys().zip(keys().skip(1)).position(|(key, next)| key >= next) {
        return Err(TransactionError::UnorderedWitnesses { index: place.saturating_add(1) });
    }
    let bytes = encode(transaction).len();
    if bytes > TRANSACTION_BYTES_MAX {
        return Err(TransactionError::TooLarge { bytes });
    }
    let mut sorted = inputs.clone();
    sorted.sort_unstable();
    match sorted.iter().zip(sorted.iter().skip(1)).find(|(input, next)| input == next) {
        Some((outpoint, _)) => Err(TransactionError::DuplicateInput { outpoint: *outpoint }),
        None => Ok(bytes),
    }
}

/// Names one copy of a transaction by all of its bytes, witnesses included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopyId(pub [u8; 32]);

#[derive(Debug)]
struct Shape {
    txid: TxId,
    transaction: Arc<Transaction>,
    encoded_bytes: usize,
    /// The locks that the witnesses open, in the witnesses' order.
    opened: Vec<Lock>,
    /// Computed when somebody asks.
    copy_id: OnceLock<CopyId>,
}

/// A transaction of a sound shape; nobody has looked at its signatures. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ShapedTransaction(Arc<Shape>);

impl ShapedTransaction {
    /// Holds the rules about the shape, cheap ones first.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn of(transaction: Arc<Transaction>, parameters: &ChainParameters) -> Result<Self, TransactionError> {
        let encoded_bytes = structure(&transaction, parameters)?;
        Ok(Self::assemble(transaction, encoded_bytes))
    }

    fn assemble(transaction: Arc<Transaction>, encoded_bytes: usize) -> Self {
        let opened =
            transaction.witnesses.iter().map(|witness| Lock::KeyHash(witness.key.key_hash())).collect();
        let (txid, copy_id) = (transaction.txid(), OnceLock::new());
        Self(Arc::new(Shape { txid, transaction, encoded_bytes, opened, copy_id }))
    }

    /// Its name.
    #[must_use]
    pub fn txid(&self) -> TxId {
        self.0.txid
    }

    /// The name of these bytes. The txid binds all but the witnesses.
    #[must_use]
    pub fn copy_id(&self) -> CopyId {
        *self.0.copy_id.get_or_init(|| {
            let witnesses = encode(&self.0.transaction.witnesses);
            let hasher = DomainHasher::new(Domain::TransactionCopy).bytes(&self.0.txid.0);
            CopyId(hasher.bytes(&witnesses).finish())
        })
    }

    /// The transaction.
    #[must_use]
    pub fn transaction(&self) -> &Arc<Transaction> {
        &self.0.transaction
    }

    /// Its size with witnesses.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        self.0.encoded_bytes
    }

    /// What it spends.
    #[must_use]
    pub fn inputs(&self) -> &[OutPoint] {
        &self.0.transaction.inputs
    }

    /// Checks the signatures of many with one call of the verifier; only when that fails are those from the first bad one
    /// on checked each on its own. The answers are in the transactions' order.
    #[must_use]
    pub fn verify_many(
        shaped: Vec<Self>,
        chain_id: &ChainId,
        verifier: &dyn SignatureVerifier,
    ) -> Vec<Result<CheckedTransaction, TransactionError>> {
        let mut all: Vec<SignatureCheck> = Vec::with_capacity(shaped.len());
        // How many signatures each has.
        let mut counts = Vec::with_capacity(shaped.len());
        for shape in &shaped {
            let before = all.len();
            all.extend(shape.signature_checks(chain_id));
            counts.push(all.len().saturating_sub(before));
        }
        let Err(first_bad) = verifier.verify_all(&all) else {
            return shaped.into_iter().map(|shape| Ok(CheckedTransaction(shape))).collect();
        };
        let mut rest = all.as_slice();
        let mut end = 0_usize;
        let judge = |(shape, count): (Self, usize)| {
            let (own, others) = rest.split_at(count.min(rest.len()));
            rest = others;
            end = end.saturating_add(own.len());
            if end > first_bad {
                shape.check_signatures(own, verifier)?;
            }
            Ok(CheckedTransaction(shape))
        };
        shaped.into_iter().zip(counts).map(judge).collect()
    }

    fn signature_checks(&self, chain_id: &ChainId) -> Vec<SignatureCheck> {
        self.0.transaction.signature_checks(chain_id, &self.0.txid)
    }

    fn check_signatures(
        &self,
        checks: &[SignatureCheck],
        verifier: &dyn SignatureVerifier,
    ) -> Result<(), TransactionError> {
        verifier.verify_all(checks).map_err(|bad| {
            let key = checks.get(bad).map(|check| check.key).unwrap_or_default();
            // Those of the witnesses come first.
            let of_witness = bad < self.0.transaction.witnesses.len();
            if of_witness {
                TransactionError::BadSignature { key }
            } else {
                TransactionError::BadConsent { key }
            }
        })
    }
}

/// A transaction that passed every check that needs no state. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CheckedTransaction(ShapedTransaction);

impl PartialEq for CheckedTransaction {
    /// By all bytes that were checked, witnesses included.
    fn eq(&self, other: &Self) -> bool {
        self.transaction() == other.transaction()
    }
}

impl Eq for CheckedTransaction {}

impl CheckedTransaction {
    /// What the node's own block log holds: it was checked before it was written.
    pub(super) fn from_own_log(transaction: Arc<Transaction>) -> Self {
        let encoded_bytes = encode(transaction.as_ref()).len();
        Self(ShapedTransaction::assemble(transaction, encoded_bytes))
    }

    /// Checks one transaction.
    ///
    /// # Errors
    /// The first rule that is broken; signatures are checked last.
    pub fn check(
        transaction: Arc<Transaction>,
        chain_id: &ChainId,
        parameters: &ChainParameters,
        verifier: &dyn SignatureVerifier,
    ) -> Result<Self, TransactionError> {
        let shape = ShapedTransaction::of(transaction, parameters)?;
        shape.check_signatures(&shape.signature_checks(chain_id), verifier)?;
        Ok(Self(shape))
    }

    /// Checks many transactions with one call of the verifier; see [`ShapedTransaction::verify_many`]. The answers are in
    /// the transactions' order.
    #[must_use]
    pub fn check_many(
        transactions: Vec<Arc<Transaction>>,
        chain_id: &ChainId,
        parameters: &ChainParameters,
        verifier: &dyn SignatureVerifier,
    ) -> Vec<Result<Self, TransactionError>> {
        let mut shaped = Vec::with_capacity(transactions.len());
        let shape = |transaction| {
            let shape = ShapedTransaction::of(transaction, parameters)?;
            shaped.push(shape);
            Ok(())
        };
        let outcomes: Vec<Result<(), TransactionError>> = transactions.into_iter().map(shape).collect();
        let mut verified = ShapedTransaction::verify_many(shaped, chain_id, verifier).into_iter();
        let judge = |outcome: Result<(), TransactionError>| match outcome {
            // There is one for each that has a shape.
            Ok(()) => verified.next().unwrap_or(Err(TransactionError::NoWitness)),
            Err(error) => Err(error),
        };
        outcomes.into_iter().map(judge).collect()
    }

    /// Its shape.
    #[must_use]
    pub const fn shape(&self) -> &ShapedTransaction {
        &self.0
    }

    /// Its name.
    #[must_use]
    pub fn txid(&self) -> TxId {
        self.0.txid()
    }

    /// The name of its bytes.
    #[must_use]
    pub fn copy_id(&self) -> CopyId {
        self.0.copy_id()
    }

    /// The transaction.
    #[must_use]
    pub fn transaction(&self) -> &Arc<Transaction> {
        self.0.transaction()
    }

    /// Its size with witnesses.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        self.0.encoded_bytes()
    }

    /// What it spends.
    #[must_use]
    pub fn inputs(&self) -> &[OutPoint] {
        self.0.inputs()
    }

    /// What it makes.
    #[must_use]
    pub fn outputs(&self) -> &[TxOut] {
        &self.transaction().outputs
    }
}

/// Holds the rules that depend on what a transaction spends. `entries` are its inputs' outputs, in the inputs' order:
/// unspent in the chain's state, or made by a transaction that is final or stands earlier in the same block.
///
/// Gives the fee.
///
/// # Errors
/// The first rule that is broken.
pub fn check_spend(
    checked: &CheckedTransaction,
    entries: &[UtxoEntry],
    state: &LedgerState,
) -> Result<Amount, TransactionError> {
    check_spend_of(&checked.0, entries, state)
}

/// The same for one whose signatures are still to be checked, which cost more than all of this.
///
/// # Errors
/// The first rule that is broken.
pub fn check_spend_of(
    shape: &ShapedTransaction,
    entries: &[UtxoEntry],
    state: &LedgerState,
) -> Result<Amount, TransactionError> {
    let inputs = shape.inputs();
    if inputs.len() != entries.len() {
        return Err(TransactionError::InputsMismatch { inputs: inputs.len(), given: entries.len() });
    }
    check_witnesses(shape, entries.iter().map(|entry| entry.output.lock))?;
    check_dust(shape, state)?;
    if let Some(outpoint) = inputs.iter().find(|outpoint| state.is_bound(outpoint)) {
        return Err(TransactionError::CollateralBound { outpoint: *outpoint });
    }
    let inputs = Amount::checked_sum(entries.iter().map(|entry| entry.output.value))
        .ok_or(TransactionError::InputsOverflow)?;
    let outputs = Amount::checked_sum(shape.transaction().outputs.iter().map(|output| output.value))
        .ok_or(TransactionError::OutputsOverflow)?;
    let fee = inputs.checked_sub(outputs).ok_or(TransactionError::Overspent { inputs, outputs })?;
    let minimum = minimum_fee(shape.encoded_bytes(), state.parameters());
    if fee < minimum {
        return Err(TransactionError::FeeTooLow { fee, minimum });
    }
    Ok(fee)
}

/// Holds the least value of outputs, where the rules in force have one. Here and not with the shape, since that has to be
/// the same in every epoch.
fn check_dust(shape: &ShapedTransaction, state: &LedgerState) -> Result<(), TransactionError> {
    if !state.rules().include(RuleVersion::DUST) {
        return Ok(());
    }
    let values = || shape.transaction().outputs.iter().map(|output| output.value);
    match values().enumerate().find(|(_, value)| *value < OUTPUT_VALUE_MIN) {
        Some((index, value)) => Err(TransactionError::DustOutput { index, value }),
        None => Ok(()),
    }
}

/// Holds the witnesses to the locks of the inputs, in the inputs' order: each is opened by one, and each opens one.
///
/// # Errors
/// The first rule that is broken.
pub fn check_witnesses(
    shape: &ShapedTransaction,
    locks: impl IntoIterator<Item = Lock>,
) -> Result<(), TransactionError> {
    // By lock, with whether an input needs it: up to 1,000 inputs and witnesses must not cost their product.
    let mut needed: BTreeMap<Lock, bool> = shape.0.opened.iter().map(|lock| (*lock, false)).collect();
    for (outpoint, lock) in shape.inputs().iter().zip(locks) {
        match needed.get_mut(&lock) {
            Some(is_needed) => *is_needed = true,
            None => return Err(TransactionError::MissingWitness { outpoint: *outpoint }),
        }
    }
    let witnesses = shape.0.transaction.witnesses.iter().zip(&shape.0.opened);
    match witnesses.into_iter().find(|(_, lock)| needed.get(lock) != Some(&true)) {
        Some((witness, _)) => Err(TransactionError::UnneededWitness { key: witness.key }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
