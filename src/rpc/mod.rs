//! JSON-RPC over HTTP, health, readiness and metrics: what people and programs ask of a node.
//!
//! # Place
//! Floor 8. [`api::NodeApi`] is all that the server knows of the node; `app/` implements it and starts
//! [`server::RpcServer`] and [`metrics_server::MetricsServer`]. The shapes of [`types`] are shared with the commands
//! in `cli/`, which are the clients.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `server.rs`, `listener.rs`, `metrics_server.rs` | where it listens |
//! | `startup.rs` | what is answered before the node serves |
//! | `connection.rs`, `connections.rs` | who may stay connected, and who goes |
//! | `http.rs`, `router.rs`, `request.rs`, `refusal.rs` | which requests are refused as a whole |
//! | `hosts.rs`, `auth.rs` | from which pages, and by whom |
//! | `methods.rs`, `call.rs`, `discover.rs` | which methods there are, what they take, who may call them |
//! | `api.rs`, `types.rs` | what is asked of the node; which shapes answers have |
//! | `errors.rs`, `refusals.rs` | codes, reasons and hints |
//! | `events.rs` | what is told as it happens, and that none of it is lost |
//! | `socket.rs`, `frames.rs`, `farewell.rs` | subscriptions, and how a WebSocket ends |
//! | `limits.rs`, `places.rs`, `shares.rs`, `answers.rs` | every bound, and whose share of it |
//! | `busy_pace.rs`, `meter.rs` | how fast callers are refused; what is counted |
//! | `finality_proof.rs`, `receipt.rs` | proofs and receipts as texts |
//! | `page.rs` | the explorer |
//! | `client.rs`, `base64.rs` | nothing: the other end, and a code |
//!
//! # To add a method
//! | touch | a forgotten one is found by |
//! |---|---|
//! | a row of [`methods::METHODS`], and its handler in `methods/` | the compiler |
//! | [`NodeApi`], `app/node_api.rs`, `fake_node.rs`, if it asks something new | the compiler |
//! | the shape of its answer in `types/` | the compiler |
//! | kinds of its parameters, its answer's shape and a sample in `discover.rs`; its codes in `discover/codes.rs` | the tests of `discover.rs` |
//! | one call that meets each code: `refused_calls` in `server_error_tests.rs` | `each_code_that_the_document_lists_can_be_met`; a code that is given and not listed, only by a test that meets it |
//! | `Method::write`, if it changes anything, and `of_wallets` for shops: else every caller of this machine may call it | nothing, for a forgotten one; `names_are_unique_and_only_these_write` wants each marked one named |
//! | `is_silent` in `server_tests.rs`, if its answer may be null | `every_method_answers` |
//! | `large()`, if its answer or its work may be | nothing |
//! | [`LARGE_VALUE_BYTES_MAX`](limits::LARGE_VALUE_BYTES_MAX) or `SMALL_VALUE_BYTES_MAX`, for what an answer is made of | nothing |
//! | `Call::wait`, if it waits; `waits` in `server_fuzz_tests.rs` then | nothing, but that test gets slow |
//! | twins in TIME of amounts | the tests of `discover.rs` |
//!
//! # To add a topic of subscriptions
//! | touch | a forgotten one is found by |
//! |---|---|
//! | a variant of [`Topic`](events::Topic), and whether blocks and the ring tell it | the compiler |
//! | `catch_up`, `read_pool`, `read_block` in `events/reader.rs`, if blocks tell it: else they tell payments under its name | nothing |
//! | `new`, `news`, `page` there, if it comes from no ring; `wanted` in `socket.rs` for an argument's network | nothing |
//! | its name in [`Topic::NAMES`](events::Topic::NAMES) and [`Topic::of`](events::Topic::of) | `tests/architecture/additions.rs`; one without the other by the tests of `events.rs`, unless it has an argument |
//! | a new [`Happened`](events::Happened): its memory, its text in `events/describe.rs`, the topics that tell it | the compiler |
//! | whoever pushes it: `app/observer.rs` | nothing |
//! | its text's bound: [`EVENT_TEXT_BYTES_MAX`](limits::EVENT_TEXT_BYTES_MAX), and its weight in `Page::add` of `events/reader.rs` | nothing |
//! | the README's table of topics | `tests/architecture/additions.rs` |
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
//! callers without credentials, among whom are here the users who may only read, can't take all of any of them
//! (`rpc/shares.rs`, `rpc/places.rs`, `rpc/answers.rs`).
//! Whoever meets a bound gets an error at once, with a stable reason and a time to try again.
//!
//! # Units
//! Amounts are base units as integers; where people read them a decimal text stands beside, named `..._time`. Hashes
//! are lower-case hexadecimal. Times are milliseconds since the Unix epoch unless a name says otherwise, and but for `time` and
//! `blocktime` of `getrawtransaction`, which are Bitcoin Core's seconds.

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
mod startup;
pub mod types;

pub use api::NodeApi;
pub use auth::RpcUser;
pub use events::EventLog;
pub use metrics_server::MetricsServer;
pub use server::{RpcError, RpcHandle, RpcServer, RpcServerConfig};
