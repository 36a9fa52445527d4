//! Starts a node: opens its data, wires its services, and says clearly what is in the way.
//!
//! # Place
//! `timed run` starts one node in a process, the devnet several.
//!
//! # Invariants
//! - INV-START-1: a masternode never makes its vote journal by itself: without one it refuses to start.
//! - INV-START-2: nothing votes before journal, log and index are at the tip.
//! - INV-START-3: threads that write outlive those that feed them; the lock on the data directory outlives all.

use std::sync::Arc;

use metrics_exporter_prometheus::{BuildError, PrometheusHandle};

use super::context::AppContext;
use super::feeds::Feeds;
use super::finality_proofs::FinalityProofs;
use super::networks::{NetworksError, load_genesis};
use super::observer::NodeObserver;
use super::open::{Data, open};
use super::router::{Router, RouterParts, route_bulk, start_router};
use super::telemetry;
use crate::consensus::block_commit::start_block_log;
use crate::consensus::dispatch::Consensus;
use crate::consensus::engine::{EngineParts, NodeShell, start_engine, verify_urgent};
use crate::consensus::events::{Event, Now};
use crate::consensus::inbox::ConsensusHandle;
use crate::consensus::instances::LISTEN_MS;
use crate::consensus::replay::ReplayError;
use crate::consensus::restart::{ConsensusConfig, Opened, Restart};
use crate::consensus::serve::{AnswerServer, Assembler};
use crate::consensus::timeout_monitor::TimeoutMonitor;
use crate::consensus::verify::Voters;
use crate::consensus::view::{ConsensusView, RecentFirst};
use crate::consensus::vote_journal::start_journal;
use crate::mempool::{PoolLimits, TransactionPool};
use crate::network::{Network, NetworkConfig, NetworkError, NetworkEvents, NetworkHandle};
use crate::protocol::state::LedgerState;
use crate::rpc::auth::ParseRpcUserError;
use crate::rpc::{FinalityFeed, MetricsServer, RpcError, RpcServer, RpcServerConfig};
use crate::runtime::config::RpcAuth;
use crate::runtime::cpu_pool::CpuPoolError;
use crate::runtime::key_file::SecretFileError;
use crate::runtime::tasks::ThreadError;
use crate::runtime::{Clock, Config, CpuPool, PoolVerifier, TaskRegistry, metric_names};
use crate::storage::{IndexEvent, IndexWriter, StorageError};
use crate::types::limits::USER_AGENT_BYTES_MAX;
use crate::types::message::PeerAddress;
use crate::types::{GenesisDocument, SecretKey, SignatureVerifier};
use crate::utxo::UtxoManager;

pub use super::open::create_journal;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No genesis document.
    #[error(transparent)]
    Networks(#[from] NetworksError),
    /// The data directory.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The chain on disk.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A key can't be read or made.
    #[error(transparent)]
    Key(#[from] SecretFileError),
    /// No randomness for a key, or for the number of this start.
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
    /// The thread that opened the data panicked.
    #[error("opening the data directory ended unexpectedly; see the log for the panic")]
    OpenPanicked,
}

/// Makes the recorder of the process' metrics.
///
/// # Errors
/// When there is one.
pub fn install_recorder() -> Result<PrometheusHandle, StartError> {
    Ok(metric_names::install_recorder()?)
}

/// Starts a node on the runtime of the caller. With `metrics` it also serves them if the configuration says so: the
/// recorder is one for the process, so it is the caller's.
///
/// # Errors
/// Why it can't; what had started stops with `registry.shutdown`, which the caller has to call then.
pub async fn start(
    config: Config,
    registry: TaskRegistry,
    metrics: Option<PrometheusHandle>,
) -> Result<Arc<AppContext>, StartError> {
    let started_at = Clock.instant();
    let config = Arc::new(config);
    let genesis = Arc::new(load_genesis(&config)?);
    let pool = CpuPool::new()?;
    let verifier: Arc<dyn SignatureVerifier + Send + Sync> = Arc::new(PoolVerifier::new(pool.clone()));
    let data = {
        let (config, genesis) = (Arc::clone(&config), Arc::clone(&genesis));
        let opening = tokio::task::spawn_blocking(move || open(&config, &genesis));
        opening.await.map_err(|_| StartError::OpenPanicked)??
    };
    let state = Arc::clone(&data.replayed.state);
    let (network, events) = start_network(&config, &genesis, &data, &registry).await?;
    dial_masternodes(&network, &state);

    let services = start_consensus(&config, data, &registry, &network, &verifier)?;
    let Services {
        engine,
        bft,
        utxos,
        pool: transactions,
        index,
        blocks,
        router,
        feeds,
        finality_feed,
        lock,
    } = services;
    let (reading, consensus) = ((&index, &blocks), (&engine, &bft));
    let proofs = FinalityProofs::new(&genesis, reading, consensus, &transactions, Arc::clone(&verifier))
        .map_err(ReplayError::Genesis)?;
    spawn_inbound(&registry, events, &engine, &network, pool, verifier, &router);
    let context = Arc::new(AppContext {
        config,
        clock: Clock,
        started_at,
        genesis,
        registry,
        network,
        utxos,
        pool: transactions,
        index,
        blocks,
        engine,
        bft,
        router,
        feeds,
        finality_feed,
        proofs,
        _lock: lock,
    });
    serve(&context, metrics).await?;
    Ok(context)
}

async fn start_network(
    config: &Config,
    genesis: &GenesisDocument,
    data: &Data,
    registry: &TaskRegistry,
) -> Result<(NetworkHandle, NetworkEvents), StartError> {
    let settings = &config.network;
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let network = NetworkConfig {
        listen_address: settings.listen_address,
        external_address: settings.external_address.clone(),
        bootstrap_peers: settings.bootstrap_peers.clone(),
        max_inbound: count(settings.max_inbound),
        max_outbound: count(settings.max_outbound),
        chain_id: genesis.chain_id(),
        identity: data.identity_key.clone(),
        user_agent: user_agent(config),
    };
    let (token, tracker) = (registry.token().clone(), registry.tracker("network"));
    Ok(Network::start(network, token, &tracker).await?)
}

/// `timed/0.1.0`, and the node's name if it has one.
#[must_use]
pub fn user_agent(config: &Config) -> String {
    let (name, mut text) = (&config.node.name, concat!("timed/", env!("CARGO_PKG_VERSION")).to_owned());
    if !name.is_empty() {
        text = format!("{text} ({name})");
    }
    // The configuration bounds the name.
    text.truncate(USER_AGENT_BYTES_MAX);
    text
}

fn dial_masternodes(network: &NetworkHandle, state: &LedgerState) {
    for record in state.masternodes().values().filter(|record| !record.network_address.is_empty()) {
        let address = PeerAddress { address: record.network_address.clone(), identity: None };
        if !network.add_address(&address) {
            tracing::warn!(address = ?record.network_address, "a masternode's address can't be dialled");
        }
    }
}

struct Services {
    engine: Arc<ConsensusHandle>,
    bft: Arc<ConsensusView>,
    utxos: Arc<UtxoManager>,
    pool: Arc<TransactionPool>,
    index: Arc<crate::storage::Index>,
    blocks: crate::storage::BlockReader<crate::storage::RealDisk>,
    router: Router,
    feeds: Arc<Feeds>,
    finality_feed: Arc<FinalityFeed>,
    lock: Arc<crate::storage::DirectoryLock>,
}

fn start_consensus(
    config: &Config,
    data: Data,
    registry: &TaskRegistry,
    network: &NetworkHandle,
    verifier: &Arc<dyn SignatureVerifier + Send + Sync>,
) -> Result<Services, StartError> {
    let Data { lock, operator, journal, log, index, replayed, .. } = data;
    let lock = Arc::new(lock);
    let state = Arc::clone(&replayed.state);
    let key = operator.as_ref().map(SecretKey::public);
    let blocks = log.reader();
    let cache_bytes = usize::try_from(config.storage.cache_mb.saturating_mul(500_000)).unwrap_or(usize::MAX);
    let index = Arc::new(index);
    let utxos = Arc::new(UtxoManager::new(Arc::clone(&index), cache_bytes));
    let pool = Arc::new(TransactionPool::new(PoolLimits {
        max_transactions: usize::try_from(config.mempool.max_transactions).unwrap_or(usize::MAX),
        max_bytes: usize::try_from(config.mempool.max_bytes).unwrap_or(usize::MAX),
    }));

    let mut instance = [0; 16];
    getrandom::fill(&mut instance)?;
    let consensus_config = ConsensusConfig {
        operator,
        listen_ms: LISTEN_MS,
        instance,
        signs_after_ms: journal.origin.signs_after_ms(),
        vote_interval_ms: config.consensus.vote_interval_ms,
        verifier: Arc::clone(verifier),
    };
    let restart =
        Restart::new(replayed, (journal.records, journal.reader), Arc::clone(&utxos), blocks.clone());
    let journaled = Arc::clone(&restart.bodies);
    let now = Now { monotonic_ms: Clock.monotonic_ms(), wall_ms: Clock.now_ms() };
    let Opened { consensus, outputs } = Consensus::open(consensus_config, restart, now);
    let bft = Arc::new(ConsensusView::new(&consensus, key));
    let voters = Voters {
        chain_id: *state.chain_id(),
        epoch: state.next_epoch(),
        set: Arc::clone(state.validators()),
    };
    let (engine, inbox) = ConsensusHandle::new(voters);
    let (router, router_inbox) = Router::new();
    let (feeds, finality_feed) = (Arc::new(Feeds::default()), Arc::new(FinalityFeed::default()));
    let both = (Arc::clone(&feeds), Arc::clone(&finality_feed));
    let observer =
        NodeObserver::new(Arc::clone(&utxos), Arc::clone(&pool), both, router.clone(), key, &state);

    let writer = start_index_writer(&index, &utxos, registry)?;
    let block_orders =
        start_block_log(log, writer, Arc::clone(&engine), Arc::clone(&utxos), Arc::clone(&lock), registry)?;
    let journal_orders = start_journal(journal.writer, Arc::clone(&engine), network.clone(), registry)?;
    let recent = RecentFirst { view: Arc::clone(&bft), log: blocks.clone() };
    let answers =
        AnswerServer::start(Assembler::new(journaled, Arc::new(recent)), network.clone(), registry)?;
    let elapsed = Arc::clone(&engine);
    let timers = TimeoutMonitor::start(registry, move |timer| elapsed.hand_in(Event::TimeoutElapsed(timer)))?;
    let shell = NodeShell {
        handle: Arc::clone(&engine),
        view: Arc::clone(&bft),
        utxos: Arc::clone(&utxos),
        journal: journal_orders,
        blocks: block_orders,
        answers,
        timers,
        network: network.clone(),
        observer: Arc::new(observer),
        failures: registry.clone(),
    };
    start_engine(EngineParts { consensus, outputs, inbox, shell }, registry)?;
    let parts = RouterParts {
        verifier: Arc::clone(verifier),
        bft: Arc::clone(&bft),
        engine: Arc::clone(&engine),
        utxos: Arc::clone(&utxos),
        pool: Arc::clone(&pool),
        index: Arc::clone(&index),
        network: network.clone(),
        feeds: Arc::clone(&feeds),
    };
    start_router(router_inbox, parts, registry)?;
    Ok(Services { engine, bft, utxos, pool, index, blocks, router, feeds, finality_feed, lock })
}

fn start_index_writer(
    index: &crate::storage::Index,
    utxos: &Arc<UtxoManager>,
    registry: &TaskRegistry,
) -> Result<IndexWriter, StorageError> {
    let (utxos, failures) = (Arc::clone(utxos), registry.clone());
    IndexWriter::start(index.clone(), move |event| match event {
        IndexEvent::Marked(height) => utxos.forget_through(height),
        IndexEvent::Failed(error) => failures.fail("index", error.to_string()),
    })
}

fn spawn_inbound(
    registry: &TaskRegistry,
    events: NetworkEvents,
    engine: &Arc<ConsensusHandle>,
    network: &NetworkHandle,
    pool: CpuPool,
    verifier: Arc<dyn SignatureVerifier + Send + Sync>,
    router: &Router,
) {
    let NetworkEvents { urgent, bulk } = events;
    let token = registry.token().clone();
    let work = verify_urgent(urgent, Arc::clone(engine), network.clone(), pool, verifier);
    registry.spawn("vote checks", async move {
        let _ended = token.run_until_cancelled(work).await;
    });
    let token = registry.token().clone();
    let work = route_bulk(bulk, router.clone(), Arc::clone(engine));
    registry.spawn("bulk router", async move {
        let _ended = token.run_until_cancelled(work).await;
    });
}

async fn serve(context: &Arc<AppContext>, metrics: Option<PrometheusHandle>) -> Result<(), StartError> {
    let (config, registry) = (&context.config, &context.registry);
    if let Some(handle) = metrics.filter(|_| config.metrics.enabled) {
        telemetry::start(context, handle.clone());
        let render = Arc::new(move || handle.render());
        let (token, tracker) = (registry.token().clone(), registry.tracker("metrics server"));
        MetricsServer::start(config.metrics.listen_address, render, token, &tracker).await?;
    }
    if config.rpc.enabled {
        let users = config.rpc.users.iter().map(|user| user.parse()).collect::<Result<Vec<_>, _>>()?;
        let rpc = RpcServerConfig {
            listen_address: config.rpc.listen_address,
            connections_max: usize::try_from(config.rpc.max_connections).unwrap_or(usize::MAX),
            cookie_path: (config.rpc.auth == RpcAuth::Cookie).then(|| config.cookie_path()),
            users,
        };
        let (token, tracker) = (registry.token().clone(), registry.tracker("RPC server"));
        RpcServer::start(rpc, Arc::clone(context) as _, token, &tracker).await?;
    }
    Ok(())
}
