//! Payments: building a transfer, signed or for others to sign.

use super::funds::{BuiltTransaction, Draft, Funds, FundsError, Plan, Source};
use crate::types::limits::MEMO_BYTES_MAX;
use crate::types::{Address, Amount, Network, Payload, TxOut};

/// How much to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payout {
    /// This much; the fee comes on top.
    Exactly(Amount),
    /// As much as the coins have, less the fee. Coins that cost more than they hold stay, and so do the smallest of more
    /// coins than fit into one transaction.
    Everything,
}

/// What to pay to whom.
#[derive(Clone, Copy, Debug)]
pub struct Transfer<'a> {
    /// The wallet's network.
    pub network: Network,
    /// Who is paid.
    pub recipient: Address,
    /// How much.
    pub payout: Payout,
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
    #[error(
        "the memo has {bytes} bytes, and a rule of the protocol allows {MEMO_BYTES_MAX}: shorten it (letters outside of ASCII take two to four bytes)"
    )]
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
    pub fn build(&self, funds: &Funds<'_>) -> Result<BuiltTransaction, TransferError> {
        self.check()?;
        Ok(match self.payout {
            Payout::Exactly(amount) => funds.build(self.draft(amount))?,
            Payout::Everything => funds.build_everything(self.recipient.lock, self.payload())?,
        })
    }

    /// Chooses coins and builds the transaction for others to sign.
    ///
    /// # Errors
    /// See [`TransferError`].
    pub fn plan(&self, source: &Source<'_>) -> Result<Plan, TransferError> {
        self.check()?;
        Ok(match self.payout {
            Payout::Exactly(amount) => source.plan(self.draft(amount))?,
            Payout::Everything => source.plan_everything(self.recipient.lock, self.payload())?,
        })
    }

    fn check(&self) -> Result<(), TransferError> {
        if self.payout == Payout::Exactly(Amount::ZERO) {
            return Err(TransferError::NoAmount);
        }
        if self.recipient.network != self.network {
            return Err(TransferError::ForeignAddress { address: self.recipient, network: self.network });
        }
        if self.memo.len() > MEMO_BYTES_MAX {
            return Err(TransferError::MemoTooLong { bytes: self.memo.len() });
        }
        Ok(())
    }

    fn payload(&self) -> Payload {
        Payload::Transfer { memo: self.memo.to_vec() }
    }

    fn draft(&self, amount: Amount) -> Draft<'static> {
        Draft {
            outputs: vec![TxOut { value: amount, lock: self.recipient.lock }],
            payload: self.payload(),
            owner: None,
            operators: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
