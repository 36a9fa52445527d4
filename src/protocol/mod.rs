//! Pure rules: validity, state transition, masternodes, evidence, finality, Tendermint, proposers, rewards.
//!
//! # Place
//! Floor 2. Uses [`crate::types`] alone; knows no clock, no disk, no network, no randomness and no hash-ordered
//! iteration. A state machine here has the shape `step(&mut self, Input) -> Vec<Effect>`.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `validity.rs` | when a transaction is valid |
//! | `transition.rs` | when a block is valid, and what it does |
//! | `state.rs`, `multiset.rs` | what later blocks depend on, and its digest |
//! | [`masternodes`] | who is in the set, with which weight; jail and slashing |
//! | `evidence.rs` | when evidence holds |
//! | `commit.rs`, `proposer.rs`, `rewards.rs` | commits, turns to propose, who is paid |
//! | [`finality`] | locks and votes on payments |
//! | [`bft`] | rounds and votes on blocks |
//! | `activation.rs` | when new rules come into force |
//! | `finality_proof.rs`, `snapshot.rs` | what a stranger, or a new node, may believe |
//!
//! # To add a kind of payload
//! It is a new version of the rules: a program that does not know it must not judge its blocks.
//!
//! | touch | a forgotten one is found by |
//! |---|---|
//! | [`Payload`](crate::types::Payload): a variant at the end, since its place is its tag | - |
//! | its matches in `types/transaction.rs`: consents, sizes, blank signatures, `acts_on_masternodes`, `marked_collateral` | the compiler |
//! | [`RuleVersion`](crate::types::RuleVersion) and its `NEWEST`, or the one that no release knows yet | `tests/architecture/additions.rs`, for the version's row in section 3 below |
//! | a refusal until that version is in force, as `check_dust` in `validity.rs` has it | nothing: a test of the refusal is yours to write |
//! | "Payloads" in section 2 below | `tests/architecture/additions.rs` |
//! | `check_payload` in `validity.rs`; `masternodes/payloads.rs` | the compiler |
//! | a new [`TransactionError`](validity::TransactionError) for its rules | as in the head of [`crate::admission`] |
//! | `rpc/types/blocks.rs`, `rpc/types/masternodes.rs` | the compiler |
//! | `transition.rs` and `state.rs`, if it acts on something else than masternodes | nothing |
//! | section 5 of `types/wire.md` | nothing |
//! | `tests/vectors/make.rs` and `plain.rs`, with a vector; `BLESS=1 cargo test --test vectors` writes `wire.json` | `tests/architecture/additions.rs` |
//! | `tests/support/story.rs`, of which replay, golden and flipped chains are made, once `NEWEST` is its version; until then an excuse in `tests/architecture/additions.rs` | the same |
//! | `tests/field_flip/transactions.rs`; the list of kinds in `rpc/types/blocks.rs`, which `rpc.discover` tells | nothing |
//! | whoever builds it: `wallet/`, a command in `cli/`, `tests/sim/workload.rs`, and who sends it in `tests/sim/masternodes.rs` | nothing |
//!
#![doc = include_str!("rules.md")]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::float_arithmetic
    )
)]

pub mod activation;
pub mod bft;
pub mod commit;
pub mod evidence;
pub mod finality;
pub mod finality_proof;
pub mod masternodes;
pub mod multiset;
pub mod proposer;
pub mod rewards;
pub mod snapshot;
pub mod state;
pub mod transition;
pub mod validity;

#[cfg(test)]
mod fixtures;
