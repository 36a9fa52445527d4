//! Wires the services of a node together, starts and stops them.

pub mod devnet;
pub mod networks;
