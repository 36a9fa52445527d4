//! The shells that drive the pure machines of `protocol/`, and the executor of their effects.
//!
//! # Place
//! Floor 7. [`core`] executes the machines' effects without a thread, a clock or a socket of its own, so that the
//! node and the simulator run the same code. [`engine`] is the node's shell around it for the finality layer,
//! [`bft`] for the block layer, [`vote_journal`] writes before anything is said, [`replay`] and
//! [`vote_replay`] read at a start what block log and journal hold, [`timeout_monitor`] watches the timeouts, and [`block_commit`] is the one place
//! where a block lands.

pub mod bft;
pub mod block_commit;
pub mod core;
pub mod engine;
pub mod proof_builder;
pub mod replay;
pub mod timeout_monitor;
pub mod verify;
pub mod vote_journal;
pub mod vote_replay;
