//! Coins for whoever asks, on a devnet.
//!
//! # Place
//! RPC's `faucet`. It pays of the last account of the devnet, whose key everybody knows, so it gives away nothing that
//! could not be taken.
//!
//! # Why anybody may call it
//! It needs no credentials, so that the explorer page of a devnet, which has none, can offer it:
//! - the key of the account that pays is printed by every devnet (`--show-keys`): who calls gets what it could take;
//! - it is there on devnets alone, whatever a configuration says;
//! - callers without credentials are on this machine, and a web page among them is the node's own: `rpc/http.rs` refuses
//!   any other `Host` and `Origin`, as for every call (INV-HTTP-1);
//! - what can be spoilt is the devnet's patience, so payments go at the pace of [`FaucetPace`].
//!
//! # Bounds
//! At most [`FAUCET_MAX`] a call, of [`COINS_LOOKED_AT`] coins; calls go one after the other, so that no two of them
//! choose the same coin.

use std::time::{Duration, Instant};

use crate::rpc::api::{NodeApiError, SubmitError, SubmitErrorClass};
use crate::types::{Address, Amount, ChainId, ChainParameters, Lock, Network, SecretKey, Transaction};
use crate::utxo::AddressOutput;
use crate::wallet::{Coin, CoinState, Funds, Payout, Transfer};

/// What one call gives, at most: 10,000 TIME.
pub(super) const FAUCET_MAX: Amount = Amount(10_000 * 100_000_000);
/// Coins of the faucet that one call looks at, at most.
pub(super) const COINS_LOOKED_AT: usize = 256;

/// Between two payments in the long run; [`PAYMENTS_AT_ONCE`] may go before that counts.
const PAYMENT_EVERY: Duration = Duration::from_millis(200);
const PAYMENTS_AT_ONCE: u32 = 100;

/// How fast the faucet pays.
#[derive(Debug, Default)]
pub(crate) struct FaucetPace {
    /// When all payments so far would be paid at the even pace.
    paid_until: Option<Instant>,
}

impl FaucetPace {
    /// Whether one more may be paid now, which is then counted.
    ///
    /// # Errors
    /// When to ask again.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), SubmitError> {
        let until = self.paid_until.unwrap_or(now).max(now);
        let ahead = until.saturating_duration_since(now);
        let room = PAYMENT_EVERY.saturating_mul(PAYMENTS_AT_ONCE.saturating_sub(1));
        if ahead > room {
            let message = "the faucet has paid as often as it may for now".to_owned();
            let refusal =
                refused("faucet_pace", message, "ask again after the time, or pay of another account");
            let retry_after = Some(ahead.saturating_sub(room));
            return Err(SubmitError { class: SubmitErrorClass::Busy, retry_after, ..refusal });
        }
        self.paid_until = Some(until + PAYMENT_EVERY);
        Ok(())
    }
}

/// A refusal of the faucet.
pub(super) fn refused(reason: &'static str, message: String, hint: &str) -> SubmitError {
    let class = SubmitErrorClass::Policy;
    let hint = hint.to_owned();
    SubmitError { class, reason, message, hint, retry_after: None, holder: None }
}

/// A refusal since the faucet's coins can't be read.
pub(super) fn unreadable(failure: &NodeApiError) -> SubmitError {
    let hint =
        "see the node's log and the disk of its data directory; ask another node of the devnet meanwhile";
    SubmitError { class: SubmitErrorClass::Internal, ..refused("storage", failure.to_string(), hint) }
}

/// A payment of the faucet's coins, signed.
pub(super) fn payment(
    key: &SecretKey,
    coins: &[AddressOutput],
    (chain_id, parameters): (&ChainId, &ChainParameters),
    (recipient, amount): (Address, Amount),
) -> Result<Transaction, SubmitError> {
    if amount == Amount::ZERO || amount > FAUCET_MAX {
        let message = format!("the faucet gives from 1 unit to {FAUCET_MAX} TIME a call");
        return Err(refused("faucet_amount", message, "ask for less, and again"));
    }
    let coin = |coin: &AddressOutput| {
        let state = if coin.is_locked { CoinState::Locked } else { CoinState::Free };
        Coin { outpoint: coin.outpoint, output: coin.output, state }
    };
    let coins: Vec<Coin> = coins.iter().map(coin).collect();
    let keys = [key.clone()];
    let change = Lock::KeyHash(key.public().key_hash());
    let funds = Funds { chain_id, parameters, coins: &coins, keys: &keys, change };
    let transfer =
        Transfer { network: Network::Devnet, recipient, payout: Payout::Exactly(amount), memo: b"faucet" };
    match transfer.build(&funds) {
        Ok(built) => Ok(built.transaction),
        Err(problem) => Err(refused(
            "faucet_empty",
            problem.to_string(),
            "wait a moment, or pay back to the faucet's account",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{OutPoint, TxId, TxOut};

    #[test]
    fn the_faucet_pays_a_burst_and_then_at_its_pace() {
        let (mut pace, start) = (FaucetPace::default(), crate::runtime::Clock.instant());
        let paid = (0..1_000).filter(|_| pace.take(start).is_ok()).count();
        assert_eq!(paid, PAYMENTS_AT_ONCE as usize);
        let refusal = pace.take(start).unwrap_err();
        assert_eq!((refusal.class, refusal.reason), (SubmitErrorClass::Busy, "faucet_pace"));
        let later = start + refusal.retry_after.unwrap();
        assert!(
            pace.take(later).is_ok() && pace.take(later).is_err(),
            "one more after the time that it said"
        );
        let paid = (0..1_000).filter(|_| pace.take(later + 10 * PAYMENT_EVERY).is_ok()).count();
        assert_eq!(paid, 10);
    }

    #[test]
    fn coins_that_cannot_be_read_are_the_nodes_failure_with_a_next_step() {
        let told = unreadable(&NodeApiError::Storage { detail: "a bad page".to_owned() });
        assert_eq!((told.class, told.reason), (SubmitErrorClass::Internal, "storage"));
        assert!(told.message.contains("a bad page") && told.hint.contains("the node's log"), "{told:?}");
    }

    #[test]
    fn the_faucet_pays_of_its_free_coins_within_its_bound() {
        let key = SecretKey::from_seed(&[1; 32]);
        let lock = Lock::KeyHash(key.public().key_hash());
        let parameters = ChainParameters::of_network(Network::Devnet);
        let chain = (&ChainId([7; 32]), &parameters);
        let coin = |byte, value, is_locked| AddressOutput {
            outpoint: OutPoint { txid: TxId([byte; 32]), index: 0 },
            output: TxOut { value: Amount(value), lock },
            height: Some(1),
            is_locked,
        };
        let coins = [coin(1, 2_000_000_000_000, true), coin(2, 1_000_000_000, false)];
        let to = Address::of_key_hash(Network::Devnet, SecretKey::from_seed(&[2; 32]).public().key_hash());
        let paid = payment(&key, &coins, chain, (to, Amount(5))).unwrap();
        assert_eq!(paid.inputs, [coins[1].outpoint], "the locked one is being spent already");
        assert!(paid.outputs.contains(&TxOut { value: Amount(5), lock: to.lock }));
        for (amount, reason) in [
            (Amount::ZERO, "faucet_amount"),
            (Amount(FAUCET_MAX.0 + 1), "faucet_amount"),
            (Amount(1_000_000_000), "faucet_empty"),
        ] {
            assert_eq!(payment(&key, &coins, chain, (to, amount)).unwrap_err().reason, reason);
        }
    }
}
