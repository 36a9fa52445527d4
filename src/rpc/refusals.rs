//! Words and codes for why a transaction was not taken.
//!
//! # Place
//! `app/` makes these of what admission says, for whoever submitted the transaction. The matches are exhaustive: a new rule
//! does not compile before it has its words.

use super::api::{BoundCoin, Holder, SubmitError, SubmitErrorClass};
use crate::admission::Refusal;
use crate::mempool::PoolError;
use crate::protocol::validity::TransactionError;
use crate::runtime::time_text::utc;
use crate::types::limits::{ADDRESS_TEXT_BYTES_MAX, MEMO_BYTES_MAX, OUTPUT_VALUE_MIN};

/// What a client learns of a refusal. `bound` is what is known of a collateral that it wants to spend.
#[must_use]
pub fn submit_error(refusal: &Refusal, bound: Option<BoundCoin>) -> SubmitError {
    use SubmitErrorClass::{AlreadyConfirmed, Busy, Fee, Inputs, Invalid, Policy, Stopping};
    let (class, message, hint) = match refusal {
        Refusal::Invalid(error) => (Invalid, error.to_string(), ""),
        Refusal::FeeTooHigh { .. } => (
            Fee,
            format!("max-fee-exceeded: {refusal}"),
            "is the change missing among the outputs? To pay it all the same give the parameter max_fee; 0 is no bound",
        ),
        Refusal::AlreadyConfirmed => (AlreadyConfirmed, refusal.to_string(), "nothing is left to do"),
        Refusal::InputsSpent { .. } => (
            Inputs,
            format!("bad-txns-inputs-spent: {refusal}"),
            "this one can never be paid; spend other outputs",
        ),
        Refusal::InputsTaken(conflict) => (
            Inputs,
            format!("txn-mempool-conflict: {conflict}"),
            "wait until that one is final, or spend other outputs",
        ),
        Refusal::InputsUnknown { outpoint, .. } => (
            Inputs,
            format!("bad-txns-inputs-missingorspent: this node knows no output {outpoint}"),
            "submit the transaction that makes it first, or wait until this node has it, and try again",
        ),
        Refusal::TooManyAncestors { .. } => {
            (Policy, refusal.to_string(), "wait until its parents are final, and try again")
        }
        Refusal::WaitingFull { .. } => {
            (Policy, refusal.to_string(), "wait until its parents are final, and try again")
        }
        Refusal::LocksFull { .. } => (Policy, refusal.to_string(), "try again after the next block"),
        Refusal::Pool(error) => match error {
            PoolError::AlreadyKnown => (Policy, error.to_string(), "nothing is left to do"),
            PoolError::AlreadyInChain { .. } => {
                (AlreadyConfirmed, error.to_string(), "nothing is left to do")
            }
            PoolError::BelowFloor { .. } | PoolError::Full { .. } => {
                (Policy, error.to_string(), "pay a higher fee, or try again later")
            }
        },
        Refusal::Busy { .. } => (Busy, refusal.to_string(), "try again after the time that is given"),
        Refusal::Stopping => (Stopping, refusal.to_string(), "submit it to another node"),
    };
    let hint = match refusal {
        Refusal::Invalid(error) => hint_of(error, bound),
        _ => hint.to_owned(),
    };
    let retry_after = refusal.retry_after_ms().map(std::time::Duration::from_millis);
    let winner = refusal.winner().map(Holder::Transaction);
    let holder = winner.or_else(|| bound.map(Holder::Masternode)).map(Box::new);
    SubmitError { class, reason: refusal.reason(), message, hint, retry_after, holder }
}

/// What to do about a broken rule of the protocol.
fn hint_of(error: &TransactionError, bound: Option<BoundCoin>) -> String {
    use TransactionError as Broken;
    let text = match error {
        Broken::CollateralBound { .. } => return bound_hint(bound),
        Broken::ZeroOutput { .. } | Broken::DustOutput { .. } => {
            return format!(
                "give each output at least {OUTPUT_VALUE_MIN} TIME, or leave it out; then sign anew"
            );
        }
        Broken::MemoTooLong { .. } => {
            return format!("shorten the memo to at most {MEMO_BYTES_MAX} bytes, and sign anew");
        }
        Broken::BadNetworkAddress => {
            return format!(
                "give host:port in at most {ADDRESS_TEXT_BYTES_MAX} printable ASCII characters, and sign anew"
            );
        }
        Broken::UnsupportedVersion { .. } => "build it with a wallet of this version of timed",
        Broken::RewardFromOutside => "there is nothing to send: the epoch's last block pays all rewards",
        Broken::NoInputs => "name coins to spend as inputs: `getaddressutxos` lists those of an address",
        Broken::NoOutputs => "name who is to be paid as outputs",
        Broken::TooManyInputs { .. } | Broken::TooManyOutputs { .. } | Broken::TooLarge { .. } => {
            "split it into several transactions"
        }
        Broken::DuplicateInput { .. } => "name each coin once among the inputs, and sign anew",
        Broken::OutputsOverflow | Broken::InputsOverflow => {
            "check the amounts: together they are more than there can be; they count base units"
        }
        Broken::NoWitness => "sign it with the keys of all its inputs: `timed tx sign` does",
        Broken::MissingWitness { .. } => {
            "sign it with that owner's key as well: `getutxostate` names the address of the input"
        }
        Broken::TooManyWitnesses { .. } | Broken::UnneededWitness { .. } => {
            "leave out the signatures of keys that own none of the inputs"
        }
        Broken::UnorderedWitnesses { .. } => {
            "order the witnesses by their keys, each key once; the signatures stay as they are"
        }
        Broken::BadSignature { .. } => {
            "sign it anew, after the last change of it, for the chain whose chain_id `getblockchaininfo` tells"
        }
        Broken::BadConsent { .. } => {
            "have the operator sign first, for this chain, and then the owners of the inputs"
        }
        Broken::MissingInput { .. } => {
            "ask for the coins again by `getaddressutxos`, and build it anew of those that are there"
        }
        Broken::InputsMismatch { .. } => "build it anew, and name the outputs that it spends one by one",
        Broken::WeakOperatorKey { .. } => {
            "make another operator key: `timed masternode register` and `update` write one to a new file"
        }
        Broken::NoCollateral { .. } => {
            "let collateral_index be the place, from 0, of the output that is the collateral"
        }
        Broken::UnknownTier { .. } => {
            "pay exactly the collateral of a tier: `getblockchaininfo` lists them as parameters.tiers"
        }
        Broken::EmptyUpdate => "name what is to change: operator key, payout, network address, or unjail",
        Broken::Overspent { .. } => {
            "spend more coins or pay less: the inputs have to cover the outputs and the fee"
        }
        Broken::FeeTooLow { .. } => "pay a higher fee: `getmempoolinfo` and `estimatesmartfee` tell how much",
    };
    text.to_owned()
}

fn bound_hint(bound: Option<BoundCoin>) -> String {
    match bound {
        // Marked by a registration that no block has yet, or in a state that is a moment older.
        None => {
            "spend other coins; `getutxostate` tells which masternode has this one, and until when".to_owned()
        }
        Some(BoundCoin { masternode, until_ms: None }) => format!(
            "spend other coins; this one is bound until masternode {masternode} has left, by `timed masternode exit`, and its unbonding time is over"
        ),
        Some(BoundCoin { masternode, until_ms: Some(until) }) => format!(
            "spend other coins, or wait: masternode {masternode} has left, and this one is free in epochs that start after {}",
            utc(until)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::errors::{ALREADY_KNOWN, BUSY, INPUTS_UNAVAILABLE, STARTING, of_submit};
    use crate::rpc::types::ErrorData;
    use crate::types::{Amount, MasternodeId, OutPoint, PublicKey, TxId};

    #[test]
    fn what_passes_by_itself_says_when_to_try_again() {
        let outpoint = OutPoint { txid: TxId([1; 32]), index: 0 };
        let unknown = Refusal::InputsUnknown { outpoint, retry_after_ms: 500 };
        let busy = Refusal::Busy { retry_after_ms: 70 };
        for (refusal, code, reason, ms) in
            [(unknown, INPUTS_UNAVAILABLE, "inputs_unknown", 500), (busy, BUSY, "busy", 70)]
        {
            let object = of_submit(&submit_error(&refusal, None));
            let data: ErrorData = serde_json::from_str(object.data().unwrap().get()).unwrap();
            assert_eq!((object.code(), data.reason.as_str(), data.retry_after_ms), (code, reason, Some(ms)));
        }
    }

    #[test]
    fn a_node_that_stops_has_not_failed() {
        let object = of_submit(&submit_error(&Refusal::Stopping, None));
        let data: ErrorData = serde_json::from_str(object.data().unwrap().get()).unwrap();
        assert_eq!((object.code(), data.reason.as_str()), (STARTING, "stopping"));
    }

    #[test]
    fn a_broken_rule_has_a_hint_that_fits_it() {
        let (outpoint, key) = (OutPoint { txid: TxId([1; 32]), index: 0 }, PublicKey([3; 32]));
        let (value, index) = (Amount(5), 0);
        for (broken, fits) in [
            (TransactionError::FeeTooLow { fee: value, minimum: Amount(1_000) }, "higher fee"),
            (TransactionError::Overspent { inputs: value, outputs: Amount(9) }, "cover the outputs"),
            (TransactionError::MissingInput { outpoint }, "getaddressutxos"),
            (TransactionError::MissingWitness { outpoint }, "that owner's key"),
            (TransactionError::BadSignature { key }, "chain_id"),
            (TransactionError::TooLarge { bytes: 1 }, "several transactions"),
            (TransactionError::DustOutput { index, value }, &OUTPUT_VALUE_MIN.to_string()),
            (TransactionError::MemoTooLong { length: 999 }, &MEMO_BYTES_MAX.to_string()),
            (TransactionError::UnknownTier { value }, "parameters.tiers"),
            (TransactionError::CollateralBound { outpoint }, "getutxostate"),
        ] {
            let told = submit_error(&Refusal::Invalid(broken), None);
            assert!(told.hint.contains(fits), "{}: {}", told.reason, told.hint);
        }
    }

    #[test]
    fn whoever_spends_a_collateral_learns_whose_it_is_and_until_when() {
        let outpoint = OutPoint { txid: TxId([1; 32]), index: 0 };
        let refusal = Refusal::Invalid(TransactionError::CollateralBound { outpoint });
        let masternode = MasternodeId([5; 32]);
        for (until_ms, words) in [(None, "has left, by"), (Some(86_400_000), "after 1970-01-02 00:00:00 UTC")]
        {
            let object = of_submit(&submit_error(&refusal, Some(BoundCoin { masternode, until_ms })));
            let data: ErrorData = serde_json::from_str(object.data().unwrap().get()).unwrap();
            assert_eq!((data.masternode, data.bound_until_ms), (Some(masternode), until_ms));
            assert!(
                data.hint.contains(words) && data.hint.contains(&masternode.to_string()),
                "{}",
                data.hint
            );
            assert!(!data.hint.contains("anew"), "no signature helps: {}", data.hint);
        }
    }

    #[test]
    fn a_fee_that_is_too_high_has_the_code_and_the_words_of_bitcoin_core() {
        let refusal = Refusal::FeeTooHigh { fee: Amount(200_000_000), max: Amount(100_000_000) };
        let object = of_submit(&submit_error(&refusal, None));
        assert_eq!(object.code(), INPUTS_UNAVAILABLE);
        assert!(object.message().starts_with("max-fee-exceeded: the fee is 2.00000000 TIME"), "{object:?}");
        let data: ErrorData = serde_json::from_str(object.data().unwrap().get()).unwrap();
        assert_eq!(data.reason, "max_fee_exceeded");
        assert!(data.hint.contains("max_fee"), "{}", data.hint);
    }

    #[test]
    fn whoever_submits_what_a_block_has_learns_so_whichever_part_knows_it() {
        let known_to_pool = Refusal::Pool(PoolError::AlreadyInChain { height: 3 });
        for refusal in [Refusal::AlreadyConfirmed, known_to_pool] {
            let object = of_submit(&submit_error(&refusal, None));
            assert_eq!(object.code(), ALREADY_KNOWN, "{refusal}");
        }
    }
}
