//! Field flip: every byte of every object, and every field with a meaning, is changed, one at a time; no change goes
//! unnoticed.
//!
//! A change is *rejected* when the checks fail that nodes make before they act on such an object; or it gives an object
//! with *another id*, which is no copy of the first one and stands for itself.
//!
//! | object | a changed byte is |
//! |---|---|
//! | transaction, every payload | rejected; outside of the witnesses it has another txid, in them it has not |
//! | header | another block hash |
//! | proposal, with its block | rejected |
//! | block with its commit, as in sync | rejected |
//! | commit | rejected; with fewer or more signatures of the same precommit it has another root, which the next header binds |
//! | prevote, precommit | rejected |
//! | vote batch, certificate | rejected |
//! | evidence of each kind | rejected |
//! | heartbeat | rejected |
//! | finality proof | rejected |
//!
//! What several objects share holds for all of them: an encoding that was cut or has more bytes is rejected, one that a
//! decoder takes is the only one of its value, and nothing that is signed holds on another chain.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a failed expectation is a test's verdict"
)]

#[path = "field_flip/blocks.rs"]
mod blocks;
#[path = "support/far_proof.rs"]
mod far_proof;
#[path = "field_flip/flip.rs"]
mod flip;
#[path = "support/heard.rs"]
mod heard;
#[path = "field_flip/node.rs"]
mod node;
#[path = "field_flip/proofs.rs"]
mod proofs;
#[path = "support/story.rs"]
mod story;
#[path = "field_flip/transactions.rs"]
mod transactions;
#[path = "field_flip/votes.rs"]
mod votes;
