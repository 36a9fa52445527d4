//! Events as readers see them.
//!
//! # Bounds
//! An event is described in at most [`EVENT_TEXT_BYTES_MAX`](super::super::limits::EVENT_TEXT_BYTES_MAX) bytes: outputs beyond
//! [`OUTPUTS_TOLD_MAX`] are counted and left out, large bodies are named and not told.

use std::time::Duration;

use super::Happened;
use crate::rpc::limits::{BODY_TOLD_BYTES_MAX, OUTPUTS_TOLD_MAX};
use crate::rpc::types::{
    AcceptedEvent, AddressPart, ContestantInfo, DoublespendEvent, DroppedEvent, EventInfo, FinalEvent,
    OutputInfo,
};
use crate::types::codec::encode;
use crate::types::{Amount, Height, Lock, Network, Payload, Transaction, TxId};

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Sums of a valid transaction's outputs don't overflow; those of others end at the most there is.
fn sum(amounts: impl Iterator<Item = Amount>) -> Amount {
    Amount(amounts.fold(0, |sum: u64, amount| sum.saturating_add(amount.0)))
}

/// When a transaction was final, and how this node knows.
pub(super) struct Times {
    /// The block that made it known.
    pub(super) height: Option<Height>,
    /// Since this node took it.
    pub(super) latency: Option<Duration>,
    /// Since it was final.
    pub(super) age: Option<Duration>,
}

/// A transaction that is final, with its name if it is known already; `None` if it does not concern the address that was
/// asked for, and then no name is made for it.
pub(super) fn final_event(
    network: Network,
    (txid, transaction): (Option<TxId>, &Transaction),
    times: &Times,
    about: Option<&Lock>,
) -> Option<FinalEvent> {
    let signs = |lock: &Lock| {
        // A witness stands for all inputs of its key; which of them these are, only the outputs that they spend would say.
        transaction.witnesses.iter().any(|witness| Lock::KeyHash(witness.key.key_hash()) == *lock)
    };
    let concerns = |lock: &Lock| transaction.outputs.iter().any(|output| output.lock == *lock) || signs(lock);
    if about.is_some_and(|lock| !concerns(lock)) {
        return None;
    }
    let txid = txid.unwrap_or_else(|| transaction.txid());
    let address = about.map(|lock| address_part(network, (txid, transaction), (lock, signs(lock))));
    let amount = sum(transaction.outputs.iter().map(|output| output.value));
    Some(FinalEvent {
        txid,
        state: if times.height.is_some() { "confirmed" } else { "final" }.to_owned(),
        height: times.height,
        amount,
        amount_time: amount.to_string(),
        reward: matches!(transaction.payload, Payload::Reward { .. }),
        latency_us: times.latency.map(micros),
        age_us: times.age.map(micros),
        address,
    })
}

/// What a transaction does to a lock that may have signed it.
fn address_part(
    network: Network,
    (txid, transaction): (TxId, &Transaction),
    (lock, signs): (&Lock, bool),
) -> AddressPart {
    let to_it = || transaction.created(txid).filter(|(_, output)| output.lock == *lock);
    let outputs = to_it().count();
    let received = sum(to_it().map(|(_, output)| output.value));
    let spent = if signs { transaction.inputs.as_slice() } else { &[] };
    let memo = match &transaction.payload {
        Payload::Transfer { memo } => hex::encode(memo),
        _ => String::new(),
    };
    AddressPart {
        received,
        received_time: received.to_string(),
        outputs: to_it()
            .take(OUTPUTS_TOLD_MAX)
            .map(|(outpoint, output)| OutputInfo::of(network, outpoint.index, output))
            .collect(),
        outputs_left_out: outputs.saturating_sub(OUTPUTS_TOLD_MAX),
        spends: spent.iter().take(OUTPUTS_TOLD_MAX).map(ToString::to_string).collect(),
        memo,
    }
}

/// What else the ring holds.
pub(super) fn other(happened: &Happened) -> Option<EventInfo> {
    Some(match happened {
        Happened::Final { .. } => return None,
        Happened::Block(block) => EventInfo::Block(block.clone()),
        Happened::Accepted(txid) => EventInfo::Accepted(AcceptedEvent { txid: *txid }),
        Happened::Dropped { txid, reason, winner } => {
            EventInfo::Dropped(DroppedEvent { txid: *txid, reason: (*reason).to_owned(), winner: *winner })
        }
        Happened::Doublespend { first, second } => {
            let told = |(txid, transaction): &(TxId, Option<std::sync::Arc<Transaction>>)| {
                let bytes = transaction.as_ref().map(|transaction| encode(&**transaction));
                let bytes = bytes.filter(|bytes| bytes.len() <= BODY_TOLD_BYTES_MAX);
                ContestantInfo { txid: *txid, hex: bytes.map(hex::encode) }
            };
            EventInfo::Doublespend(DoublespendEvent { first: told(first), second: told(second) })
        }
    })
}
