//! The commands of the binary, one file each.
pub mod load;
pub mod rpc;
pub mod rpc_client;
pub mod status;
pub mod wallet_rpc;
