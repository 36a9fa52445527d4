//! Wires the services of a node together, starts and stops them.

mod admission;
pub mod care;
pub mod context;
pub mod devnet;
pub mod disk_growth;
pub mod disk_space;
mod faucet;
pub mod feeds;
pub mod finality_proofs;
pub mod losers;
mod masternode_links;
pub mod memory;
pub mod networks;
mod node_api;
mod observer;
mod open;
mod places;
pub mod rules;
pub mod snapshots;
pub mod start;
mod start_error;
mod telemetry;
pub mod trust;
pub mod vote_file;
pub mod vote_latency;
pub mod votes;
pub mod watchdog;

pub use context::AppContext;
pub use snapshots::fetch::FetchError;
pub use start::{create_journal, start};
pub use start_error::StartError;
