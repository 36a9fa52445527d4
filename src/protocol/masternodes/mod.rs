//! Masternodes by transactions: registration, updates, exits, jail, slashing, and who is in the next epoch's set.
//!
//! # Place
//! Floor 2, pure. [`super::state::LedgerState`] holds a [`Registry`] and the [`Attendance`] of the set's members;
//! [`super::transition`] calls [`payloads`] in each block, [`membership`] in an epoch's last one, and [`slashing`] for
//! each piece of evidence.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `payloads.rs` | what a transaction does to a record, or why it is void |
//! | `registry.rs` | what a record is, and what is bound |
//! | `membership.rs` | the end of an epoch: leaving, jail, the next set, free collateral |
//! | `growth.rs`, `attendance.rs` | who attended, and by how much weights grow |
//! | `slashing.rs` | what evidence burns |
//! | `history.rs` | which past sets evidence may speak of |
//! | `epoch_end.rs` | nothing: what the rules of an end look at |
//!
//! # The rules in short
//! What a transaction says about a masternode takes effect when its block is applied, or is void and a [`Receipt`] says
//! why; it never makes the transaction or its block invalid, since a final transaction has to get into the chain. Keys,
//! weights and membership change at the ends of epochs only. A collateral is bound as long as its record exists: a
//! record is deleted, and so its output free, in the first epoch that starts later than the unbonding time after the
//! end of the last epoch in whose set the masternode was.
//!
//! # How weights grow
//! A tier gives a *full weight*. What a vote weighs is the *effective weight* of the record, and nothing else counts: the
//! sets of epochs, their hashes, quorums, proposers' turns, rewards and the jail's cap all hold effective weights. Members
//! of the genesis document start with their full weight. Every other masternode enters the set with weight 1, *on trial*,
//! and has to prove that it signs:
//! - It attends an epoch if at the epoch's end a full window of `recent_commits` commits was counted since it entered,
//!   and it missed at most `max_missed` of the window, and at most as much of the commits of that epoch alone. The last
//!   condition is there because windows overlap: a member that has died would grow on for as long as what it signed
//!   before outweighs what it misses.
//! - With the first epoch that it attends its trial is over: it is *proven*. With each epoch that it attends, the first
//!   included, it grows by `max(1, W/10)` up to its full weight; `W` is the weight of the set of the epoch that ended.
//! - All members together grow by `max(1, W/10)` in an epoch: the older registration first, the next one with what it
//!   leaves. If each grew by as much, ten newcomers would hold more than a third after one epoch, and splitting a stake
//!   would buy a faster growth. This way newcomers of any number need several epochs of attendance. Growth compounds, so
//!   whoever waits for its turn grows faster when it comes.
//! - A member that is absent over a full window while it is growing, or on trial, is jailed beyond `jail_cap` and takes
//!   no room under it. Who asked to leave, or was slashed, does not grow any more.
//! - Weight belongs to membership: who leaves the set, by jail, exit or for want of a seat, starts again with weight 1 and
//!   a trial when it returns. Nothing else would show that it still is there.
//!
//! The next set consists of all proven members and of `max(1, P/10)` masternodes on trial at most, where `P` is what the
//! proven ones weigh. The others wait. So masternodes that never come up can't stop a chain whose proven members are up:
//! 4 silver ones weigh 40, and a gold one beside them would make 94 of 140 needed; on trial it makes 28 of 41 needed. Nor
//! can many of them: without the bound, 21 that weigh 1 each would make 41 of 61 needed. It does not help against
//! masternodes that attend, grow and die later.
//!
//! Seats, at most `max_validators`, go by full weight and then by registration. By effective weight a full set of the
//! smallest tier would be closed to everybody for ever, since newcomers weigh 1. An attacker with a hundred large
//! masternodes could replace a whole set by that order, and so newcomers take at most a tenth of the seats of a full set
//! at a time; those with the least full weight, the youngest first, give way. Trials are given to those on trial already,
//! then to those who never were in a set, then to those who have been out for longest, each by full weight and then by
//! registration: who is jailed and un-jailed over and over again stands behind every newcomer.
//!
//! # Where the protocol is silent
//! - Who never was in a set is bound from the epoch's end at which it left: its key and its name stay taken for as long
//!   as everybody's, and no rule has to ask whether it might have signed something.
//! - An epoch's end jails full-grown members for absence up to `jail_cap` of the weight of the set that ended; who was
//!   jailed earlier does not count. If it did, a tenth that died for good would keep all others that die in the set until
//!   the unbonding time is over, and with them the quorum out of reach.
//! - Jail begins when the masternode left the set: evidence against one that is jailed for absence makes it final and
//!   does not start it anew. A slashed one can still ask to leave, and then unbonds as everybody does.
//! - Whoever asks to leave and is not needed for the smallest set (jailed, waiting or on trial) leaves at once, before
//!   those who asked earlier and are needed.
//! - The smallest set counts proven members only. If one on trial counted, an exit could put a masternode that never
//!   comes up in the place of one that votes.
//! - An operator's key is taken until its masternode's record is deleted, not only until it leaves: evidence names
//!   masternodes, and whose a signature was should never depend on when one asks.
//! - A slashed masternode keeps its weight until it leaves the set, and its share of the rewards until then.
//!
//! # Invariants
//! - INV-REG-1: no operator key, present or announced, belongs to two records.
//! - INV-REG-2: no rule here makes the number of proven members less than `min_masternodes`; what would waits, in the
//!   order of requests.
//! - INV-REG-3: an output that a transaction marked as collateral can't be spent in the epoch of its block, whether it
//!   became one or not; so no transaction that was valid to vote for becomes invalid by a registration.
//! - INV-REG-4: evidence can be included only while its masternode's record exists, and changes no spendable output.
//! - INV-REG-5: an epoch's end adds at most `max(1, W/10)` to the effective weights of members, only to those who
//!   attended, and none exceeds its full weight.
//! - INV-REG-6: the proven members of each set weigh its quorum, if they weigh 3 or more.

mod attendance;
pub(super) mod epoch_end;
mod growth;
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
