//! Whether the pool would take a transaction.

use super::error::PoolError;
use super::floor::FeeRate;
use super::{TransactionPool, WAITING_BYTES_MAX, WAITING_TRANSACTIONS_MAX};
use crate::types::{Amount, TimeMs, TxId};

impl TransactionPool {
    /// Whether [`Self::insert`] would take a transaction at present; nothing changes.
    ///
    /// # Errors
    /// [`PoolError`].
    pub fn would_take(
        &self,
        txid: &TxId,
        bytes: usize,
        fee: Amount,
        now_ms: TimeMs,
    ) -> Result<(), PoolError> {
        let order = self.order.lock();
        self.refuse_known(txid)?;
        let rate = FeeRate::of(fee, bytes);
        let floor = order.floor.decayed(now_ms, self.fullness()).rate();
        if rate < floor {
            return Err(PoolError::BelowFloor { rate, floor });
        }
        let victims = self.victims_for(&order, bytes).ok_or(PoolError::Full { rate })?;
        if victims.last().is_some_and(|last| last.0 >= rate) {
            return Err(PoolError::Full { rate });
        }
        Ok(())
    }

    /// Whether [`Self::insert_waiting`] would take a transaction at present.
    ///
    /// # Errors
    /// [`PoolError`].
    pub fn would_take_waiting(&self, txid: &TxId, bytes: usize, fee: Amount) -> Result<(), PoolError> {
        self.refuse_known(txid)?;
        let (transactions, used) = self.uncertified.waiting.get();
        if transactions >= WAITING_TRANSACTIONS_MAX || used.saturating_add(bytes) > WAITING_BYTES_MAX {
            return Err(PoolError::Full { rate: FeeRate::of(fee, bytes) });
        }
        Ok(())
    }
}
