//! Admission: takes transactions from users and peers, or says which rule keeps them out.
//!
//! # Place
//! RPC submits, the network's bulk lane and the consensus core pass on what peers sent. What passes goes into the pool,
//! to the finality machine and to the peers. [`Admission`] has no clock, no thread and no channel: the node drives it
//! from `thread.rs`, the simulator by itself. It knows nothing of consensus; the node tells it what became final.
//!
//! # In order of cost
//! - the shape
//! - whether these bytes are known, or were refused
//! - the inputs, and what the rules say of owners and fees
//! - the signatures, many at once
//! - policy: conflicts, pool, floor
//!
//! Nothing that a step turns away costs a later one.
//!
//! # What becomes of a transaction
//! | its inputs | from a user | from a peer |
//! |---|---|---|
//! | in the chain's state, or final in this epoch | pool, machine, peers | the same |
//! | held by another transaction | refused | machine and peers, if it comes before the others in the next epoch (`contests.rs`) |
//! | made by what is locked here | waits here (`waiting.rs`) | an orphan (`orphans.rs`) |
//! | unknown | refused, with a time to try again | an orphan |
//! | any, and this node asked for it | - | machine, whatever pool and policy say (`requested.rs`) |
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `checks.rs` | shape, known copies, inputs: all that is cheaper than a signature |
//! | `taking.rs` | signatures and policy, and where a transaction goes |
//! | `refusal.rs` | which reasons there are |
//! | `load.rs` | how much users may have on its way |
//! | `orphans.rs`, `waiting.rs` | who waits for parents, and for how long |
//! | `contests.rs` | which of several rivals goes on |
//! | `requested.rs` | which bodies pass whatever policy says |
//! | `announcements.rs` | which names are told again |
//! | `mirror.rs`, `news.rs` | nothing: what the machine decided, for readers and those who wait |
//! | `thread.rs` | whose turn it is |
//!
//! # Invariants
//! - INV-ADMIT-1: nothing is locked in the mirror, counted as a fee, kept in the pool or relayed on the word of a
//!   transaction whose inputs are not all known: in the chain's state, or final in this epoch.
//! - INV-ADMIT-2: what is kept as known, relayed and served was held to the outputs that it spends, witnesses and all.
//!   Known and refused mean all bytes; a refusal that depends on the state is not remembered.
//! - INV-ADMIT-3: everything here is bounded: [`ADMISSION_BYTES_MAX`] is the sum.
//!
//! # What is not certified in time
//! Its name is told to peers again (`announcements.rs`), so that nothing accepted hangs on one lost message.
//!
//! # Load
//! How much users may have on its way at a time is `load.rs`'s to say, at the door.
//!
//! # To add a reason for a refusal
//! | touch | a forgotten one is found by |
//! |---|---|
//! | a variant of [`Refusal`], with its text | - |
//! | its `reason` and `retry_after_ms` there | the compiler |
//! | its place among `OWN_REASONS` there, by which it is counted from zero | the tests of `refusal.rs` |
//! | [`Refusal::REASONS_FOR_NOW`], if it passes by itself | the tests of `refusal.rs` |
//! | `winner` there, if another transaction has the coin | nothing |
//! | its place among the checks, in the order of cost | `tests/architecture/additions.rs`, if nobody refuses by it |
//! | its class and hint in `rpc/refusals.rs` | the compiler |
//! | `one_of_each` in the tests of `refusal.rs` | `tests/architecture/additions.rs` |
//! | a test that meets it | nothing |
//! | `TimedRefusesPayments` in `cli/generate/alerts.rs`, if it says that there is too much load | nothing |
//! | the README's table of errors, if a shop meets it | nothing |
//!
//! A broken rule of the protocol is a [`TransactionError`](crate::protocol::validity::TransactionError), and a full pool a
//! [`PoolError`](crate::mempool::PoolError): their matches in `rpc/refusals.rs` are exhaustive as well, and tests hold that
//! their `REASONS` are all. Exhaustive is `is_for_ever` in `checks.rs`, too, which says whether a peer is to blame: not where the
//! verdict depends on the state or on rules in force. A test beside
//! `who_passes_on_what_later_rules_forbid_is_refused_and_not_blamed` is yours to write. `rpc/refusal.rs` has another `Refusal`: of
//! whole requests.

mod announcements;
mod checks;
mod contests;
pub mod load;
mod mirror;
mod news;
mod orphans;
mod refusal;
mod requested;
mod taking;
#[cfg(test)]
mod tests;
pub(crate) mod thread;
mod waiting;

pub use self::announcements::{ANNOUNCE_AFTER_MS, ANNOUNCED_MAX, ASK_PAUSE_MS};
pub use self::checks::{Action, Admission, AdmissionParts, Moment, Submission, Ticket};
pub use self::contests::{CONTESTED_OUTPUTS_MAX, IMPROVEMENTS_MAX};
pub use self::mirror::Mirror;
pub use self::news::{Happened, NEWS_MAX, News};
pub use self::orphans::{
    ORPHAN_BYTES_MAX, ORPHAN_BYTES_OF_SENDER_MAX, ORPHAN_INPUTS_MAX, ORPHAN_LIFETIME_MS, ORPHAN_WAIT_MS,
};
pub use self::refusal::Refusal;
pub use self::requested::{REQUESTED_BODIES_MAX, RequestedBodies};
pub use self::taking::Judged;
pub use self::thread::{
    AdmissionHandle, AdmissionInbox, AdmissionServices, Node, NodeStopped, route_bulk, start,
};
pub use self::waiting::ANCESTORS_MAX;

use crate::mempool::WAITING_TRANSACTIONS_MAX;

/// Copies that were refused and whose refusal is remembered, at most.
pub const REFUSED_COPIES_MAX: usize = 16_384;
/// Memory of one of them, in bytes.
const REFUSED_COPY_BYTES: usize = 256;

/// Memory of all that waits or is remembered here, in bytes, at most. The pool has its own bound, and holds the bodies of
/// users' transactions that wait.
pub const ADMISSION_BYTES_MAX: usize = ORPHAN_BYTES_MAX
    + WAITING_TRANSACTIONS_MAX * waiting::WAITING_OVERHEAD_BYTES
    + CONTESTED_OUTPUTS_MAX * contests::CONTESTED_OUTPUT_BYTES
    + REQUESTED_BODIES_MAX * requested::REQUESTED_BODY_BYTES
    + REFUSED_COPIES_MAX * REFUSED_COPY_BYTES
    + NEWS_MAX * 64
    + 2 * load::WINDOW_MAX * load::FLYING_BYTES
    + ANNOUNCED_MAX * announcements::ANNOUNCED_BYTES
    + thread::QUEUE_BYTES_MAX;
