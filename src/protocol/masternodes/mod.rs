//! Masternodes by transactions: registration, updates, exits, jail, slashing, and who is in the next epoch's set.
//!
//! # Place
//! Floor 2, pure. [`super::state::LedgerState`] holds a [`Registry`] and the [`Attendance`] of the set's members;
//! [`super::transition`] calls [`payloads`] in each block, [`membership`] in an epoch's last one, and [`slashing`] for
//! each piece of evidence.
//!
//! # The rules in short
//! What a transaction says about a masternode takes effect when its block is applied, or is void and a [`Receipt`] says
//! why; it never makes the transaction or its block invalid, since a final transaction has to get into the chain. Keys,
//! weights and membership change at the ends of epochs only. A collateral is bound as long as its record exists: a
//! record is deleted, and so its output free, in the first epoch that starts later than the unbonding time after the
//! end of the last epoch in whose set the masternode was.
//!
//! Where the protocol is silent:
//! - Who never was in a set is bound from the epoch's end at which it left: its key and its name stay taken for as long
//!   as everybody's, and no rule has to ask whether it might have signed something.
//! - An epoch's end jails for absence at most `jail_cap` of the weight of the set that ended; who is jailed since
//!   earlier does not count. If it did, a tenth that died for good would keep all others that die in the set until the
//!   unbonding time is over, and with them the quorum out of reach.
//! - Jail begins when the masternode left the set: evidence against one that is jailed for absence makes it final and
//!   does not start it anew. A slashed one can still ask to leave, and then unbonds as everybody does.
//! - Whoever asks to leave and is not in the way of the smallest set (jailed, or slashed and jailed) leaves at once,
//!   before those who asked earlier and are needed.
//! - An operator's key is taken until its masternode's record is deleted, not only until it leaves: evidence names
//!   masternodes, and whose a signature was should never depend on when one asks.
//! - A slashed masternode keeps its weight until it leaves the set, and its share of the rewards until then.
//!
//! # Invariants
//! - INV-REG-1: no operator key, present or announced, belongs to two records.
//! - INV-REG-2: no rule here makes the number of eligible masternodes less than `min_masternodes`; what would waits, in
//!   the order of requests.
//! - INV-REG-3: an output that a transaction marked as collateral can't be spent in the epoch of its block, whether it
//!   became one or not; so no transaction that was valid to vote for becomes invalid by a registration.
//! - INV-REG-4: evidence can be included only while its masternode's record exists, and changes no spendable output.

mod attendance;
mod history;
pub(super) mod membership;
pub(super) mod payloads;
mod registry;
pub(super) mod slashing;

pub use attendance::Attendance;
pub use history::{PastEpoch, PastEpochs};
pub use payloads::{Receipt, VoidReason};
pub use registry::{Jail, MasternodeRecord, MasternodeStatus, PendingUpdate, Registry};
pub use slashing::Slashed;

#[cfg(test)]
mod tests;
