//! Tests of the whole floor on loopback sockets.

mod churn;
mod eclipse;
mod fuzz;
mod handshake;
mod hostile;
mod neighbours;
mod nodes;
mod siege;
pub(crate) mod support;
