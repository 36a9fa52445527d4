//! `timed`: the full-node daemon of TIME Coin, as a library for its binary, tests and benches.
//!
//! Floors, from the lowest: [`types`] and [`protocol`] are pure; [`runtime`], [`storage`], [`network`], [`utxo`],
//! [`mempool`], [`wallet`], [`consensus`], [`rpc`], [`app`] and [`cli`] stand on them in this order. Imports go
//! downwards only, which `tests/architecture.rs` holds.

pub mod admission;
pub mod app;
pub mod cli;
pub mod consensus;
pub mod mempool;
pub mod network;
pub mod protocol;
pub mod rpc;
pub mod runtime;
pub mod storage;
pub mod types;
pub mod utxo;
pub mod wallet;
