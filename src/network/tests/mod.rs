//! Tests of the whole floor on loopback sockets.
//!
//! | file | holds |
//! |---|---|
//! | `handshake.rs` | keys, identities, versions, deadlines |
//! | `nodes.rs` | whole nodes that carry every kind of message |
//! | `hostile.rs`, `fuzz.rs` | peers that break a rule; bytes that are none |
//! | `events.rs` | fair turns of the queues |
//! | `places.rs`, `eviction.rs`, `siege.rs` | who gets in, and who makes room |
//! | `churn.rs` | connections that come and go |
//! | `address_book.rs`, `address_tables.rs`, `eclipse.rs` | which addresses are believed, whoever tells many |
//! | `neighbours.rs` | what is not passed on in vain |
//! | `support.rs` | what they share |

mod churn;
mod eclipse;
mod fuzz;
mod handshake;
mod hostile;
mod neighbours;
mod nodes;
mod siege;
pub(crate) mod support;
