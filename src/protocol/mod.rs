//! Pure rules: validity, state transition, masternodes, evidence, finality, Tendermint, proposers, rewards.
//!
//! # Place
//! Floor 2. Uses [`crate::types`] alone; knows no clock, no disk, no network, no randomness and no hash-ordered
//! iteration. A state machine here has the shape `step(&mut self, Input) -> Vec<Effect>`.
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
