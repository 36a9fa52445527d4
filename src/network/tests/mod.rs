//! Tests of the whole floor on loopback sockets.

mod handshake;
mod hostile;
mod nodes;
pub(crate) mod support;
