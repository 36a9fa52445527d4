//! Tests of the whole floor on loopback sockets.

pub(crate) mod support;
