//! A running devnet: its nodes, trouble for them on purpose, and payments.
//!
//! # Place
//! Floor 10, on the directory that [`crate::app::devnet`] prepares. `timed devnet` runs a [`Fleet`] and obeys by
//! [`control`] what its verbs order.
//!
//! # Use
//! In a test of a program that uses TIME Coin, on a runtime of several threads:
//!
//! ```
//! use std::time::Duration;
//! use timed::devnet::Devnet;
//! use timed::types::Amount;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Four validators on free ports, in a temporary directory.
//! let devnet = Devnet::builder().block_interval(Duration::from_millis(500)).start().await?;
//! let (shop, customer) = (&devnet.accounts()[0], &devnet.accounts()[1]);
//! println!("RPC: {:?}, data: {:?}", devnet.rpc_url(0), devnet.data_dir(0));
//!
//! // Final when it returns.
//! let txid = devnet.pay(customer, shop.address, Amount::from_time(12).ok_or("too much")?).await?;
//! let receipt: serde_json::Value =
//!     devnet.client(1)?.call("waitfortransaction", &[serde_json::json!(txid)]).await?;
//! assert_eq!(receipt["txid"], txid.to_string());
//!
//! // With three of four, payments go on.
//! devnet.kill(3).await?;
//! devnet.pay(customer, shop.address, Amount(1_000)).await?;
//! devnet.restart(3).await?;
//! devnet.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The nodes log by `tracing`: a program that wants to see that sets up a subscriber of its own; each line stands in a span
//! that names its node.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `running.rs` | what a program does with a devnet: the example above |
//! | `fleet.rs` | which trouble can be made, for which nodes |
//! | `node.rs` | how one node starts, stops, and dies |
//! | `control.rs` | who may give orders, and in which form |
//! | `report.rs` | what a state of the nodes means for finality |
//! | `archive.rs` | what a devnet in one file is |
//! | `ports.rs`, `error.rs` | free ports; what can go wrong |
//!
//! # What a kill in one process is not
//! Nodes that share a process end within a second, without waiting for their work: what their logs were given is still
//! written, no write is torn, and the operating system's buffers stay. Where that matters, run each node in its own
//! process, whose kill is SIGKILL.

pub mod archive;
pub mod control;
mod error;
mod fleet;
mod node;
mod ports;
mod report;
mod running;

pub use archive::{ArchiveError, Moved};
pub use error::DevnetError;
pub use fleet::{ANSWER_MAX, Fleet, Trouble};
pub use node::Mode;
pub use report::{Done, NodeReport, Outlook, Report, State};
pub use running::{Account, Builder, COINS_LOOKED_AT, Devnet, PAYMENT_MAX};
