//! Payments: building a signed transfer.

use super::funds::{BuiltTransaction, Draft, Funds, FundsError};
use crate::types::limits::MEMO_BYTES_MAX;
use crate::types::{Address, Amount, Network, Payload, TxOut};

/// What to pay, from what.
#[derive(Clone, Copy, Debug)]
pub struct Transfer<'a> {
    /// Coins and keys.
    pub funds: Funds<'a>,
    /// The wallet's network.
    pub network: Network,
    /// Who is paid.
    pub recipient: Address,
    /// How much.
    pub amount: Amount,
    /// Free bytes, at most [`MEMO_BYTES_MAX`].
    pub memo: &'a [u8],
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
    /// No coins can be chosen.
    #[error(transparent)]
    Funds(#[from] FundsError),
}

impl Transfer<'_> {
    /// Chooses coins, builds the transaction and signs it.
    ///
    /// # Errors
    /// See [`TransferError`].
    pub fn build(&self) -> Result<BuiltTransaction, TransferError> {
        if self.amount == Amount::ZERO {
            return Err(TransferError::NoAmount);
        }
        if self.recipient.network != self.network {
            return Err(TransferError::ForeignAddress { address: self.recipient, network: self.network });
        }
        if self.memo.len() > MEMO_BYTES_MAX {
            return Err(TransferError::MemoTooLong { bytes: self.memo.len() });
        }
        let draft = Draft {
            outputs: vec![TxOut { value: self.amount, lock: self.recipient.lock }],
            payload: Payload::Transfer { memo: self.memo.to_vec() },
            owner: None,
            operators: Vec::new(),
        };
        Ok(self.funds.build(draft)?)
    }
}

#[cfg(test)]
mod tests;
