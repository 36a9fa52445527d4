//! The services of a running node, wired together.
//!
//! # Place
//! Built once by `start.rs`, immutable, and named only in `app/` and `cli/`. `node_api.rs` implements
//! [`NodeApi`](crate::rpc::NodeApi) for it.

use std::sync::Arc;
use std::time::Instant;

use super::faucet::FaucetPace;
use super::feeds::Feeds;
use super::finality_proofs::FinalityProofs;
use super::vote_latency::VoteLatency;
use crate::admission::AdmissionHandle;
use crate::consensus::inbox::ConsensusHandle;
use crate::consensus::view::ConsensusView;
use crate::mempool::TransactionPool;
use crate::network::NetworkHandle;
use crate::rpc::EventLog;
use crate::runtime::logging::LogControl;
use crate::runtime::{Clock, Config, TaskRegistry};
use crate::storage::{BlockReader, DirectoryLock, Index, RealDisk};
use crate::types::{GenesisDocument, TimeMs};
use crate::utxo::UtxoManager;

/// A running node.
pub struct AppContext {
    /// Its configuration.
    pub config: Arc<Config>,
    /// Its clock.
    pub clock: Clock,
    /// When it started.
    pub started_at: Instant,
    /// The genesis document of its chain.
    pub genesis: Arc<GenesisDocument>,
    /// Its tasks; `registry.token().cancel()` stops the node.
    pub registry: TaskRegistry,
    /// Its peers.
    pub network: NetworkHandle,
    /// The state of every output.
    pub utxos: Arc<UtxoManager>,
    /// Transactions that no block has yet.
    pub pool: Arc<TransactionPool>,
    /// The index. Reading it blocks.
    pub index: Arc<Index>,
    /// The blocks. Reading them blocks.
    pub blocks: BlockReader<RealDisk>,
    /// The way into the consensus core, and the set of voters.
    pub engine: Arc<ConsensusHandle>,
    /// The chain's state, progress and recent blocks.
    pub bft: Arc<ConsensusView>,
    /// Takes transactions.
    pub admission: AdmissionHandle,
    /// Times, watches, blocks.
    pub feeds: Arc<Feeds>,
    /// What happened, numbered.
    pub events: Arc<EventLog>,
    /// How late votes come.
    pub latency: Arc<VoteLatency>,
    /// Its key signs only in epochs that start later than this; 0 for any.
    pub signs_after_ms: TimeMs,
    /// Builds and checks finality proofs.
    pub proofs: FinalityProofs,
    /// The devnet's faucet pays one after the other, at its pace.
    pub(super) faucet: tokio::sync::Mutex<FaucetPace>,
    /// The process' log.
    pub log: LogControl,
    /// Held until the node has stopped.
    pub(super) _lock: Arc<DirectoryLock>,
}

impl std::fmt::Debug for AppContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AppContext({:?})", self.config.node.data_dir)
    }
}
