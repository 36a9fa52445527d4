//! Addresses: whether they are any, and what they own.

use jsonrpsee::types::ErrorObjectOwned;

use crate::rpc::api::{HistoryPage, UtxoPage};
use crate::rpc::call::Call;
use crate::rpc::errors::{BAD_PARAMETER, bad_parameter, error, of_node};
use crate::rpc::limits::{ADDRESS_HISTORY_MAX, ADDRESS_UTXOS_MAX};
use crate::rpc::types::{AddressBalance, AddressHistory, AddressInfo, AddressUtxo};
use crate::storage::index_history::HistoryPlace;
use crate::types::{Address, Amount};

const HISTORY_DEFAULT: usize = 100;
/// Pages that `getaddressbalance` adds up, at most: a million outputs.
const BALANCE_PAGES_MAX: usize = 100;

pub(super) fn validate_address(call: &Call) -> Result<AddressInfo, ErrorObjectOwned> {
    let text: String = call.required(0)?;
    Ok(AddressInfo::of(&text, call.node.network()))
}

pub(super) async fn get_address_history(call: Call) -> Result<AddressHistory, ErrorObjectOwned> {
    let address = call.address(0)?;
    let limit = call.limit(1, HISTORY_DEFAULT, ADDRESS_HISTORY_MAX)?;
    let before = match call.optional::<String>(2)? {
        Some(text) => Some(place_of(&text).ok_or_else(|| {
            bad_parameter(
                call.name(2),
                "expected the \"next\" of an answer before, or HEIGHT:0 for what is below a block",
            )
        })?),
        None => None,
    };
    call.node.address_history(address, HistoryPage { before, limit }).await.map_err(of_node)
}

/// A place as `HEIGHT:PLACE`.
fn place_of(text: &str) -> Option<HistoryPlace> {
    let (height, place) = text.split_once(':')?;
    Some(HistoryPlace { height: height.parse().ok()?, place: place.parse().ok()? })
}

pub(super) async fn get_address_balance(call: Call) -> Result<AddressBalance, ErrorObjectOwned> {
    let address = call.address(0)?;
    let mut sums = BalanceSums::default();
    let mut after = None;
    for _ in 0..BALANCE_PAGES_MAX {
        let page = UtxoPage { after, limit: ADDRESS_UTXOS_MAX };
        let found = call.node.address_utxos(address, page).await.map_err(of_node)?;
        sums.add(&found.utxos);
        after = found.utxos.last().map(AddressUtxo::outpoint);
        if found.next.is_none() || after.is_none() {
            return Ok(sums.balance(address));
        }
    }
    let hint = "page through `getaddressutxos`";
    Err(error(BAD_PARAMETER, "the address has more than a million outputs", "too_many_outputs", hint))
}

/// Saturating, since all coins that exist fit in 64 bits.
#[derive(Default)]
struct BalanceSums {
    spendable: u64,
    unconfirmed: u64,
    locked: u64,
    bound: u64,
    total: u64,
    utxo_count: usize,
}

impl BalanceSums {
    fn add(&mut self, utxos: &[AddressUtxo]) {
        for utxo in utxos {
            let units = utxo.value.units();
            let bucket = match (utxo.bound, utxo.spendable) {
                (true, _) => &mut self.bound,
                (false, true) => &mut self.spendable,
                (false, false) => &mut self.locked,
            };
            *bucket = bucket.saturating_add(units);
            if utxo.height.is_none() {
                self.unconfirmed = self.unconfirmed.saturating_add(units);
            }
            self.total = self.total.saturating_add(units);
            self.utxo_count = self.utxo_count.saturating_add(1);
        }
    }

    fn balance(&self, address: Address) -> AddressBalance {
        AddressBalance {
            address,
            spendable: Amount(self.spendable),
            spendable_time: Amount(self.spendable).to_string(),
            unconfirmed: Amount(self.unconfirmed),
            unconfirmed_time: Amount(self.unconfirmed).to_string(),
            locked: Amount(self.locked),
            locked_time: Amount(self.locked).to_string(),
            bound: Amount(self.bound),
            bound_time: Amount(self.bound).to_string(),
            total: Amount(self.total),
            total_time: Amount(self.total).to_string(),
            utxo_count: self.utxo_count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TxId;

    #[test]
    fn a_balance_says_of_each_output_once_what_keeps_it_from_being_spent() {
        let utxo = |value, height, spendable, bound| AddressUtxo {
            txid: TxId([1; 32]),
            vout: 0,
            value: Amount(value),
            value_time: Amount(value).to_string(),
            height,
            spendable,
            bound,
        };
        let mut sums = BalanceSums::default();
        sums.add(&[utxo(1, Some(3), true, false), utxo(10, None, true, false)]);
        sums.add(&[utxo(100, Some(3), false, false), utxo(1_000, None, false, true)]);
        let address = Address::of_key_hash(crate::types::Network::Devnet, Default::default());
        let told = sums.balance(address);
        assert_eq!((told.spendable, told.locked, told.bound), (Amount(11), Amount(100), Amount(1_000)));
        assert_eq!((told.total, told.unconfirmed, told.utxo_count), (Amount(1_111), Amount(1_010), 4));
    }
}
