//! Words and codes for why a transaction was not taken.
//!
//! # Place
//! `app/` makes these of what admission says, for whoever submitted the transaction. The match is exhaustive: a new rule
//! does not compile before it has its words.

use super::api::{SubmitError, SubmitErrorClass};
use crate::admission::Refusal;
use crate::mempool::PoolError;
use crate::protocol::validity::TransactionError;

/// What a client learns of a refusal.
#[must_use]
pub fn submit_error(refusal: &Refusal) -> SubmitError {
    use SubmitErrorClass::{AlreadyConfirmed, Busy, Fee, Inputs, Internal, Invalid, Policy};
    let (class, message, hint) = match refusal {
        Refusal::Invalid(TransactionError::FeeTooLow { .. }) => (
            Invalid,
            refusal.to_string(),
            "pay a higher fee: `getmempoolinfo` and `estimatesmartfee` tell how much",
        ),
        Refusal::Invalid(error) => (Invalid, error.to_string(), "build and sign the transaction anew"),
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
        Refusal::Stopping => (Internal, refusal.to_string(), "submit it to another node"),
    };
    let retry_after = refusal.retry_after_ms().map(std::time::Duration::from_millis);
    let (reason, winner) = (refusal.reason(), refusal.winner());
    SubmitError { class, reason, message, hint: hint.to_owned(), retry_after, winner }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::errors::{ALREADY_KNOWN, BUSY, INPUTS_UNAVAILABLE, of_submit};
    use crate::rpc::types::ErrorData;
    use crate::types::{Amount, OutPoint, TxId};

    #[test]
    fn what_passes_by_itself_says_when_to_try_again() {
        let outpoint = OutPoint { txid: TxId([1; 32]), index: 0 };
        let unknown = Refusal::InputsUnknown { outpoint, retry_after_ms: 500 };
        let busy = Refusal::Busy { retry_after_ms: 70 };
        for (refusal, code, reason, ms) in
            [(unknown, INPUTS_UNAVAILABLE, "inputs_unknown", 500), (busy, BUSY, "busy", 70)]
        {
            let object = of_submit(&submit_error(&refusal));
            let data: ErrorData = serde_json::from_str(object.data().unwrap().get()).unwrap();
            assert_eq!((object.code(), data.reason.as_str(), data.retry_after_ms), (code, reason, Some(ms)));
        }
    }

    #[test]
    fn a_fee_that_is_too_high_has_the_code_and_the_words_of_bitcoin_core() {
        let refusal = Refusal::FeeTooHigh { fee: Amount(200_000_000), max: Amount(100_000_000) };
        let object = of_submit(&submit_error(&refusal));
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
            let object = of_submit(&submit_error(&refusal));
            assert_eq!(object.code(), ALREADY_KNOWN, "{refusal}");
        }
    }
}
