//! Rewards: how they accrue and how an epoch's are shared.
//!
//! # Place
//! Called by the state transition: each block accrues, the epoch's last block pays.
//!
//! Every block that ends an epoch has a `Reward`, and no other block has one. With an empty pot (a network without
//! reward and fees) it has no outputs; leaving it out then would make it depend on execution which of a block's txids
//! is the reward.
//!
//! # Invariants
//! - INV-REWARD-1: the payouts of an epoch sum to its pot exactly.
//! - INV-REWARD-2: accrual depends on time alone, so faster blocks mint no more.

use std::collections::BTreeMap;

use crate::types::limits::{REWARD_INTERVALS_MAX, VALIDATORS_MAX};
use crate::types::transaction::TRANSACTION_VERSION;
use crate::types::{Amount, ChainParameters, Height, Lock, MasternodeId, Payload, Transaction, TxOut};

/// Outputs of one `Reward`, at most: the epoch's set and, for the commit of the block before it, the previous one.
pub const REWARD_OUTPUTS_MAX: usize = 2 * VALIDATORS_MAX;
/// Encoded bytes of one `Reward`, at most; every block keeps them free.
pub const REWARD_BYTES_MAX: u64 = 10_000;

/// What a block accrues that is `elapsed_ms` later than the one before it.
#[must_use]
pub fn accrual(parameters: &ChainParameters, elapsed_ms: u64) -> Amount {
    let interval = parameters.block_interval_ms;
    let counted = elapsed_ms.min(interval.saturating_mul(REWARD_INTERVALS_MAX));
    let product = u128::from(parameters.block_reward.0).saturating_mul(u128::from(counted));
    let units = product.checked_div(u128::from(interval)).unwrap_or(0);
    Amount(u64::try_from(units).unwrap_or(u64::MAX))
}

/// Shares `pot` by credits (effective weight times commits signed), rounded down; the rest goes to `proposer`, as does all of
/// it while there are no credits. Shares of nothing are left out.
#[must_use]
pub fn shares(
    pot: Amount,
    credits: &BTreeMap<MasternodeId, u64>,
    proposer: MasternodeId,
) -> BTreeMap<MasternodeId, Amount> {
    let total = credits.values().fold(0_u128, |sum, credit| sum.saturating_add(u128::from(*credit)));
    let mut rest = pot.0;
    let mut shares = BTreeMap::new();
    for (id, credit) in credits {
        let product = u128::from(pot.0).saturating_mul(u128::from(*credit));
        // At most the pot, since the credit is at most the total.
        let share = u64::try_from(product.checked_div(total).unwrap_or(0)).unwrap_or(0);
        rest = rest.saturating_sub(share);
        shares.insert(*id, Amount(share));
    }
    let own: &mut Amount = shares.entry(proposer).or_default();
    own.0 = own.0.saturating_add(rest);
    shares.retain(|_, share| *share != Amount::ZERO);
    shares
}

/// The transaction that pays an epoch's shares, one output for each masternode in the order of their ids.
#[must_use]
pub fn reward_transaction(height: Height, payouts: impl IntoIterator<Item = (Lock, Amount)>) -> Transaction {
    Transaction {
        version: TRANSACTION_VERSION,
        inputs: Vec::new(),
        outputs: payouts.into_iter().map(|(lock, value)| TxOut { value, lock }).collect(),
        payload: Payload::Reward { height },
        witnesses: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::codec::encode;
    use crate::types::{KeyHash, Network};

    fn id(seed: u8) -> MasternodeId {
        MasternodeId([seed; 32])
    }

    /// INV-REWARD-2.
    #[test]
    fn accrual_follows_time_up_to_ten_intervals() {
        let parameters = ChainParameters::of_network(Network::Devnet);
        let reward = parameters.block_reward.0;
        let interval = parameters.block_interval_ms;
        for (elapsed, expected) in [
            (0, 0),
            (1, reward / interval),
            (interval / 2, reward / 2),
            (interval, reward),
            (10 * interval, 10 * reward),
            (10 * interval + 1, 10 * reward),
            (u64::MAX, 10 * reward),
        ] {
            assert_eq!(accrual(&parameters, elapsed), Amount(expected), "{elapsed}");
        }
        let huge = ChainParameters { block_reward: Amount(u64::MAX), ..parameters };
        assert_eq!(accrual(&huge, u64::MAX), Amount(u64::MAX));
    }

    #[test]
    fn the_rest_goes_to_the_proposer_and_shares_of_nothing_are_left_out() {
        let credits = BTreeMap::from([(id(1), 1), (id(2), 1), (id(3), 1)]);
        let shared = shares(Amount(101), &credits, id(2));
        assert_eq!(shared, BTreeMap::from([(id(1), Amount(33)), (id(2), Amount(35)), (id(3), Amount(33))]));
        let shared = shares(Amount(2), &credits, id(9));
        assert_eq!(shared, BTreeMap::from([(id(9), Amount(2))]), "a proposer without credits");
        assert_eq!(shares(Amount(7), &BTreeMap::new(), id(1)), BTreeMap::from([(id(1), Amount(7))]));
        assert!(shares(Amount::ZERO, &credits, id(1)).is_empty());
        assert!(reward_transaction(1, []).outputs.is_empty());
        assert_ne!(reward_transaction(1, []).txid(), reward_transaction(2, []).txid());
    }

    #[test]
    fn the_largest_reward_fits_its_reserve() {
        let output = (Lock::KeyHash(KeyHash::ZERO), Amount(1));
        let reward = reward_transaction(u64::MAX, vec![output; REWARD_OUTPUTS_MAX]);
        assert!(u64::try_from(encode(&reward).len()).unwrap() <= REWARD_BYTES_MAX);
    }

    proptest! {
        /// INV-REWARD-1.
        #[test]
        fn payouts_sum_to_the_pot(
            pot in any::<u64>(),
            credits in prop::collection::btree_map(any::<u8>().prop_map(id), any::<u64>(), 0..30),
            proposer in any::<u8>().prop_map(id),
        ) {
            let shared = shares(Amount(pot), &credits, proposer);
            prop_assert_eq!(Amount::checked_sum(shared.values().copied()), Some(Amount(pot)));
            let total: u128 = credits.values().map(|credit| u128::from(*credit)).sum();
            for (id, share) in &shared {
                let credit = u128::from(credits.get(id).copied().unwrap_or(0));
                if *id != proposer {
                    prop_assert_eq!(u128::from(share.0), u128::from(pot) * credit / total);
                }
            }
        }
    }
}
