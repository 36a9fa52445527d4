//! Wires the services of a node together, starts and stops them.
//!
//! # Place
//! Floor 9. `timed run` and devnets start nodes by [`start()`]; everything below gets just the handles that it uses.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `start.rs`, `open.rs`, `start_error.rs` | in which order a node opens and starts, and why it does not |
//! | `context.rs`, `places.rs` | what a running node is; where its files are |
//! | `observer.rs` | what outputs, pool, feeds, log and metrics hear of consensus |
//! | `admission.rs` | where peers' messages go that consensus does not hear |
//! | `node_api.rs` | what RPC answers |
//! | `feeds.rs`, `losers.rs`, `vote_latency.rs`, `finality_proofs.rs` | what is remembered and made for readers |
//! | `snapshots.rs` | when snapshots are made, given and fetched |
//! | `trust.rs` | what a node relies on beside signatures |
//! | `networks.rs`, `masternode_links.rs`, `rules.rs` | genesis documents; what network and operator hear of the chain |
//! | `disk_space.rs`, `disk_growth.rs`, `memory.rs` | when a disk is too full; where that ends; what memory may take |
//! | `telemetry.rs`, `watchdog.rs` | which gauges are looked up; when a node counts as alive |
//! | `care.rs` | what is done to the directory of a node that does not run |
//! | `votes.rs`, `vote_file.rs` | what an operator may do with a vote journal |
//! | `devnet.rs`, `faucet.rs` | the directory of a devnet; its coins for everybody |

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
