//! JSON-RPC over HTTP, health, readiness and metrics: what people and programs ask of a node.
//!
//! # Place
//! Floor 8. [`api::NodeApi`] is all that the server knows of the node; `app/` implements it and starts
//! [`server::RpcServer`] and [`metrics_server::MetricsServer`]. The shapes of [`types`] are shared with the commands
//! in `cli/`, which are the clients.
//!
//! # Invariants
//! - INV-RPC-1: registration, `help` and the rule who may call what read one table, [`methods::METHODS`].
//! - INV-RPC-2: a method that writes runs only for a caller with credentials.
//! - INV-RPC-3: bodies, answers, batches, depth, connections, waits and reads in time are bounded by the constants of
//!   [`limits`], and the memory of all by their sum.
//!
//! # Under attack
//! Newcomers are never refused: the least useful connection goes instead (`rpc/connections.rs`). `/health` and `/ready`
//! need no place, so they answer whatever callers do. Requests, waiting calls, bodies and answers are counted, and
//! callers without credentials can't take all of any of them (`rpc/shares.rs`, `rpc/places.rs`, `rpc/answers.rs`).
//! Whoever meets a bound gets an error at once, with a stable reason and a time to try again.
//!
//! # Units
//! Amounts are base units as integers; where people read them a decimal text stands beside, named `..._time`. Hashes
//! are lower-case hexadecimal. Times are milliseconds since the Unix epoch unless a name says otherwise.

pub mod answers;
pub mod api;
pub mod auth;
pub mod base64;
pub mod busy_pace;
mod call;
pub mod client;
pub mod connection;
pub mod connections;
pub mod discover;
pub mod errors;
pub mod events;
#[cfg(test)]
pub(crate) mod fake_node;
mod farewell;
pub mod finality_proof;
mod frames;
pub mod hosts;
pub mod http;
pub mod limits;
mod listener;
pub mod meter;
pub mod methods;
pub mod metrics_server;
mod page;
pub mod places;
pub mod receipt;
mod refusal;
pub mod refusals;
mod request;
mod router;
pub mod server;
pub mod shares;
mod socket;
pub mod types;

pub use api::NodeApi;
pub use auth::RpcUser;
pub use events::EventLog;
pub use metrics_server::MetricsServer;
pub use server::{RpcError, RpcHandle, RpcServer, RpcServerConfig};
