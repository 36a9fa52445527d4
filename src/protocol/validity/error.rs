//! Why a transaction is invalid: one variant a rule.
//!
//! # Place
//! Made by the checks of `protocol/validity.rs`. `rpc/refusals.rs` says what to do about each.

use crate::types::limits::{
    ADDRESS_TEXT_BYTES_MAX, MEMO_BYTES_MAX, OUTPUT_VALUE_MIN, TRANSACTION_BYTES_MAX, TRANSACTION_INPUTS_MAX,
    TRANSACTION_OUTPUTS_MAX,
};
use crate::types::transaction::TRANSACTION_VERSION;
use crate::types::{Amount, OutPoint, PublicKey};

/// Why a transaction is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// An unknown version.
    #[error("version {version} is not supported; use {TRANSACTION_VERSION}")]
    UnsupportedVersion {
        /// The transaction's.
        version: u16,
    },
    /// Rewards are made by the rule of the epoch's last block alone.
    #[error("a reward is never sent as a transaction; the epoch's last block makes it")]
    RewardFromOutside,
    /// It spends nothing.
    #[error("a transaction needs at least one input")]
    NoInputs,
    /// More inputs than allowed.
    #[error("{count} inputs are more than {TRANSACTION_INPUTS_MAX}; split the payment")]
    TooManyInputs {
        /// How many there are.
        count: usize,
    },
    /// It makes nothing.
    #[error("a transaction needs at least one output")]
    NoOutputs,
    /// More outputs than allowed.
    #[error("{count} outputs are more than {TRANSACTION_OUTPUTS_MAX}; split the payment")]
    TooManyOutputs {
        /// How many there are.
        count: usize,
    },
    /// One output is spent twice.
    #[error("the input {outpoint} is named twice")]
    DuplicateInput {
        /// Which one.
        outpoint: OutPoint,
    },
    /// An output of nothing.
    #[error("output {index} has a value of zero")]
    ZeroOutput {
        /// Its place, from 0.
        index: usize,
    },
    /// An output that costs every node more than it is worth.
    #[error("output {index} of {value} TIME is below the least value of {OUTPUT_VALUE_MIN} TIME")]
    DustOutput {
        /// Its place, from 0.
        index: usize,
        /// Its value.
        value: Amount,
    },
    /// The outputs' sum exceeds 64 bits.
    #[error("the outputs' sum overflows")]
    OutputsOverflow,
    /// A memo that is too long.
    #[error("a memo of {length} bytes is longer than {MEMO_BYTES_MAX}")]
    MemoTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// More bytes than allowed.
    #[error("{bytes} bytes are more than {TRANSACTION_BYTES_MAX}; split the payment")]
    TooLarge {
        /// Encoded size.
        bytes: usize,
    },
    /// Nobody signed.
    #[error("the transaction is not signed")]
    NoWitness,
    /// More witnesses than inputs.
    #[error("{witnesses} witnesses are more than {inputs} inputs can need")]
    TooManyWitnesses {
        /// How many witnesses there are.
        witnesses: usize,
        /// How many inputs there are.
        inputs: usize,
    },
    /// Keys that are not strictly ascending.
    #[error(
        "witness {index} does not come after the one before it; witnesses are ordered by key, each key once"
    )]
    UnorderedWitnesses {
        /// Its place, from 0.
        index: usize,
    },
    /// A signature that does not hold.
    #[error("the signature of key {key} does not hold for this transaction on this chain")]
    BadSignature {
        /// The witness' key.
        key: PublicKey,
    },
    /// An operator's signature that does not hold. Unlike a witness it is part of the txid: no copy is better.
    #[error("the operator with key {key} did not agree to this transaction on this chain")]
    BadConsent {
        /// The operator's key.
        key: PublicKey,
    },
    /// An output that does not exist, is spent already, or comes later in the block.
    #[error("the input {outpoint} is unknown or spent")]
    MissingInput {
        /// Which one.
        outpoint: OutPoint,
    },
    /// The caller gave entries for another number of inputs.
    #[error("{given} entries were given for {inputs} inputs")]
    InputsMismatch {
        /// How many inputs there are.
        inputs: usize,
        /// How many entries were given.
        given: usize,
    },
    /// An input whose owner did not sign.
    #[error("the owner of the input {outpoint} did not sign")]
    MissingWitness {
        /// Which one.
        outpoint: OutPoint,
    },
    /// A witness that no input needs.
    #[error("the witness of key {key} belongs to no input")]
    UnneededWitness {
        /// Its key.
        key: PublicKey,
    },
    /// A bound collateral.
    #[error("the input {outpoint} is the collateral of a masternode and stays bound")]
    CollateralBound {
        /// Which one.
        outpoint: OutPoint,
    },
    /// The inputs' sum exceeds 64 bits.
    #[error("the inputs' sum overflows")]
    InputsOverflow,
    /// A masternode's address that is too long or not printable.
    #[error("a network address is at most {ADDRESS_TEXT_BYTES_MAX} printable ASCII characters")]
    BadNetworkAddress,
    /// An operator key that is no valid one or of small order.
    #[error("the operator key {key} is no valid Ed25519 key")]
    WeakOperatorKey {
        /// The key.
        key: PublicKey,
    },
    /// The collateral is none of the outputs.
    #[error("output {index} should be the collateral, but there are {outputs} outputs")]
    NoCollateral {
        /// Its place, from 0.
        index: u32,
        /// How many outputs there are.
        outputs: usize,
    },
    /// The collateral's value is that of no tier.
    #[error("a collateral of {value} TIME is none of the tiers'")]
    UnknownTier {
        /// Its value.
        value: Amount,
    },
    /// An update that changes nothing.
    #[error("the update changes nothing")]
    EmptyUpdate,
    /// More goes out than comes in.
    #[error("outputs of {outputs} TIME exceed inputs of {inputs} TIME")]
    Overspent {
        /// Sum of the inputs.
        inputs: Amount,
        /// Sum of the outputs.
        outputs: Amount,
    },
    /// Less than the least fee.
    #[error("a fee of {fee} TIME is below the least one of {minimum} TIME for this size")]
    FeeTooLow {
        /// What it pays.
        fee: Amount,
        /// What it has to pay.
        minimum: Amount,
    },
}

impl TransactionError {
    /// Every reason.
    pub const REASONS: [&'static str; 30] = [
        "unsupported_version",
        "reward_from_outside",
        "no_inputs",
        "too_many_inputs",
        "no_outputs",
        "too_many_outputs",
        "duplicate_input",
        "zero_output",
        "dust_output",
        "outputs_overflow",
        "memo_too_long",
        "too_large",
        "no_witness",
        "too_many_witnesses",
        "unordered_witnesses",
        "bad_signature",
        "bad_consent",
        "missing_input",
        "inputs_mismatch",
        "missing_witness",
        "unneeded_witness",
        "collateral_bound",
        "bad_network_address",
        "weak_operator_key",
        "no_collateral",
        "unknown_tier",
        "empty_update",
        "inputs_overflow",
        "overspent",
        "fee_too_low",
    ];

    /// A stable name for programs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::UnsupportedVersion { .. } => "unsupported_version",
            Self::RewardFromOutside => "reward_from_outside",
            Self::NoInputs => "no_inputs",
            Self::TooManyInputs { .. } => "too_many_inputs",
            Self::NoOutputs => "no_outputs",
            Self::TooManyOutputs { .. } => "too_many_outputs",
            Self::DuplicateInput { .. } => "duplicate_input",
            Self::ZeroOutput { .. } => "zero_output",
            Self::DustOutput { .. } => "dust_output",
            Self::OutputsOverflow => "outputs_overflow",
            Self::MemoTooLong { .. } => "memo_too_long",
            Self::TooLarge { .. } => "too_large",
            Self::NoWitness => "no_witness",
            Self::TooManyWitnesses { .. } => "too_many_witnesses",
            Self::UnorderedWitnesses { .. } => "unordered_witnesses",
            Self::BadSignature { .. } => "bad_signature",
            Self::BadConsent { .. } => "bad_consent",
            Self::MissingInput { .. } => "missing_input",
            Self::InputsMismatch { .. } => "inputs_mismatch",
            Self::MissingWitness { .. } => "missing_witness",
            Self::UnneededWitness { .. } => "unneeded_witness",
            Self::CollateralBound { .. } => "collateral_bound",
            Self::BadNetworkAddress => "bad_network_address",
            Self::WeakOperatorKey { .. } => "weak_operator_key",
            Self::NoCollateral { .. } => "no_collateral",
            Self::UnknownTier { .. } => "unknown_tier",
            Self::EmptyUpdate => "empty_update",
            Self::InputsOverflow => "inputs_overflow",
            Self::Overspent { .. } => "overspent",
            Self::FeeTooLow { .. } => "fee_too_low",
        }
    }

    /// Whether another copy of the same transaction may be valid: witnesses are not part of the txid, so a fault in
    /// them is a fault of whoever sent this copy, never one of the block that names the txid.
    #[must_use]
    pub const fn is_of_this_copy_only(&self) -> bool {
        matches!(
            self,
            Self::TooLarge { .. }
                | Self::NoWitness
                | Self::TooManyWitnesses { .. }
                | Self::UnorderedWitnesses { .. }
                | Self::BadSignature { .. }
                | Self::MissingWitness { .. }
                | Self::UnneededWitness { .. }
        )
    }
}
