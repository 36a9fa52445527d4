//! Evidence burns a part of the collateral and jails for good.

use super::registry::Registry;
use crate::types::{Amount, ChainParameters, MasternodeId, OutPoint, TxOut, UtxoEntry};

/// What a piece of evidence did to a collateral.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slashed {
    /// Whose.
    pub masternode: MasternodeId,
    /// The collateral.
    pub outpoint: OutPoint,
    /// As it was.
    pub before: UtxoEntry,
    /// As it is.
    pub after: UtxoEntry,
}

impl Slashed {
    /// What was burned.
    #[must_use]
    pub const fn burned(&self) -> Amount {
        Amount(self.before.output.value.0.saturating_sub(self.after.output.value.0))
    }
}

/// `slash_fraction` of an amount, rounded down, and never all of it: an output of nothing can't be.
fn fraction(amount: Amount, parameters: &ChainParameters) -> Amount {
    let ratio = &parameters.slash_fraction;
    let product = u128::from(amount.0).saturating_mul(u128::from(ratio.numerator));
    let part = product.checked_div(u128::from(ratio.denominator)).unwrap_or(0);
    Amount(u64::try_from(part).unwrap_or(u64::MAX).min(amount.0.saturating_sub(1)))
}

/// Slashes a masternode once; `None` if it is unknown or was slashed before. It stays in the set until the epoch's end.
pub(in crate::protocol) fn slash(
    registry: &mut Registry,
    parameters: &ChainParameters,
    masternode: MasternodeId,
) -> Option<Slashed> {
    let record = registry.get(&masternode).filter(|record| record.slashed.is_none())?;
    let (outpoint, height, lock) = (record.collateral, record.collateral_height, record.owner);
    let entry = |value| UtxoEntry { output: TxOut { value, lock }, height };
    let value = record.collateral_amount;
    let left = Amount(value.0.saturating_sub(fraction(value, parameters).0));
    let request = registry.next_request();
    let record = registry.get_mut(&masternode)?;
    record.slashed = Some(request);
    record.collateral_amount = left;
    Some(Slashed { masternode, outpoint, before: entry(value), after: entry(left) })
}
