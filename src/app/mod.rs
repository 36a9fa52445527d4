//! Wires the services of a node together, starts and stops them.

mod admission;
pub mod context;
pub mod devnet;
pub mod feeds;
pub mod finality_proofs;
pub mod networks;
mod node_api;
mod observer;
mod open;
pub mod start;
mod telemetry;
pub mod vote_file;
pub mod votes;

pub use context::AppContext;
pub use start::{StartError, create_journal, start};
