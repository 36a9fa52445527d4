//! `timed`: the full-node daemon of TIME Coin, as a library for its binary, tests and benches.
//!
//! Floors, from the lowest: [`types`] and [`protocol`] are pure; [`runtime`], [`storage`], [`network`], [`utxo`],
//! [`mempool`], [`wallet`], [`consensus`], [`rpc`], [`app`], [`devnet`] and [`cli`] stand on them in this order. Imports go
//! downwards only, which `tests/architecture.rs` holds.
//!
//! # Where things are written down
//! The rules of the protocol stand in [`protocol`]: what code and tests call "rule 0" to "rule 6" is in its section 4, I1
//! to I10 in its section 9. The bytes, with test vectors, stand in [`types`]. A module's own invariants have an id of the
//! form `INV-AREA-n`. It is defined once, in a module's head under "Invariants", and quoted by an assertion or a test
//! that holds it; `tests/architecture.rs` holds this too.

pub mod admission;
pub mod app;
pub mod cli;
pub mod consensus;
pub mod devnet;
pub mod mempool;
pub mod network;
pub mod protocol;
pub mod rpc;
pub mod runtime;
pub mod storage;
pub mod types;
pub mod utxo;
pub mod wallet;
