//! The shells that drive the pure machines of `protocol/`: votes on payments, blocks, and what peers need of both.
//!
//! # Place
//! Floor 7. Events go in, orders come out; node, simulator and tests differ in the [`Shell`](events::Shell) that executes
//! the orders.
//!
//! ```text
//!  peers, admission, timers, disks                                     journal, block log, peers, readers
//!        | Event                                                               ^ Output
//!        v                                                                     |
//!   engine (thread) --> dispatch::Consensus --+--> finality::ConsensusEngine   |  votes on payments
//!                        chain: the tip       +--> blocks::BftConsensus        |  proposals, rounds, commits
//!                        signing: who signs   +--> sync, sync::forks           |  others' blocks
//!                                             +--> peers, evidence, heartbeats |
//! ```
//!
//! | file | decides or does |
//! |---|---|
//! | [`events`] | what is told and ordered, and the one interpreter of orders |
//! | [`incoming`], [`inbox`], [`engine`] | checks of peers' urgent messages, the lanes into consensus, the node's thread and its turns |
//! | [`dispatch`], `messages` | which part hears an event or a message |
//! | `chain` | the tip; the one place where a block is applied |
//! | [`signing`] | whether this node signs, and as whom |
//! | [`finality`] | own votes on payments, counts of others' |
//! | [`blocks`] | building, judging, rounds, committing |
//! | [`peers`] | what each peer has and lacks |
//! | [`sync`] | others' blocks, forks |
//! | [`evidence`], [`heartbeats`] | contradictions, signs of life |
//! | [`instances`] | whether another node runs with this node's key, or with another's |
//! | [`restart`], [`replay`], [`vote_replay`] | what a start finds on the disk |
//! | [`serve`] | answers to peers, on a thread of its own |
//! | [`view`] | what readers see |
//! | [`observers`] | the way to those who watch |
//! | [`known`], [`vote_pace`] | which batches need no second check, and how fast one member's are taken |
//! | [`verify`], [`proof_builder`] | checks of signed messages, proofs of finality |
//! | [`memory`] | what all of it may take of the node's memory |
//! | `trust` | what this node relies on beside signatures |
//! | `moment`, `outbox` | what parts may read, and where they put what they want |
//! | `snapshot_load`, [`snapshot_make`] | an index of a snapshot, and a snapshot of an index |
//! | `retired_files`, [`replay_error`] | old files go slowly; why a chain can't be opened |
//! | [`vote_journal`], [`block_commit`], [`timeout_monitor`] | the shells around disks and clock |
//!
//! # The contract of outputs
//! They are executed in their order. What this node signs leaves as the payload of a staged write, after that write and all
//! before it are durable ([`Durable`](crate::storage::journal::Durable)); a block is applied after the block log synced it.
//! The types hold this: an [`OwnMessage`](crate::types::OwnMessage) can't be sent or counted, and whatever else consensus
//! keeps of votes, proposals and blocks is [`Released`](crate::types::Released). Statements of instances alone are sent at
//! once: a number that means nothing after a crash need not survive one, and an answer to a rival must not wait for a disk.

pub mod block_commit;
pub mod blocks;
mod chain;
pub mod dispatch;
pub mod engine;
pub mod events;
pub mod evidence;
pub mod finality;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod heartbeats;
pub mod inbox;
pub mod incoming;
pub mod instances;
pub mod known;
pub mod memory;
mod messages;
mod moment;
pub mod observers;
mod outbox;
pub mod peers;
pub mod proof_builder;
pub mod replay;
pub mod replay_error;
pub mod restart;
pub(crate) mod retired_files;
pub mod serve;
pub mod signing;
mod snapshot_load;
pub mod snapshot_make;
pub mod sync;
#[cfg(test)]
pub(crate) mod tests;
pub mod timeout_monitor;
pub mod trust;
pub mod verify;
pub mod view;
pub mod vote_journal;
pub mod vote_pace;
pub mod vote_replay;
