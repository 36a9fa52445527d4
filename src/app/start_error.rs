//! Why a node does not start.

use metrics_exporter_prometheus::BuildError;

use super::disk_space::LowSpace;
use super::networks::NetworksError;
use super::snapshots::fetch::FetchError;
use super::trust::TrustError;
use crate::consensus::replay::ReplayError;
use crate::network::NetworkError;
use crate::rpc::RpcError;
use crate::rpc::auth::ParseRpcUserError;
use crate::runtime::cpu_pool::CpuPoolError;
use crate::runtime::key_file::SecretFileError;
use crate::runtime::tasks::ThreadError;
use crate::storage::StorageError;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No genesis document.
    #[error(transparent)]
    Networks(#[from] NetworksError),
    /// The data directory.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The disk is nearly full.
    #[error(transparent)]
    Space(#[from] LowSpace),
    /// The chain on disk.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The beginning of the chain, which a node without blocks gets from its peers.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What its operator knows of the chain speaks against what is on disk.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A key can't be read or made.
    #[error(transparent)]
    Key(#[from] SecretFileError),
    /// No randomness for a key.
    #[error("the operating system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// `[masternode] enabled` without a key.
    #[error("[masternode] enabled needs [masternode] operator_key, the file with the key that votes")]
    NoOperatorKey,
    /// A user of `[rpc] users`.
    #[error("[rpc] users: {0}")]
    RpcUser(#[from] ParseRpcUserError),
    /// The peers' side.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A server for people and programs.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// No CPU pool.
    #[error(transparent)]
    CpuPool(#[from] CpuPoolError),
    /// No thread.
    #[error(transparent)]
    Thread(#[from] ThreadError),
    /// Something records metrics already.
    #[error("metrics are recorded already: {0}")]
    Recorder(#[from] BuildError),
    /// The node was told to stop before it had started.
    #[error("stopped before it had started; the next start goes on from here")]
    Stopped,
    /// The thread that opened the data panicked.
    #[error("opening the data directory ended unexpectedly; see the log for the panic")]
    OpenPanicked,
}
