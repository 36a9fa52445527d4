//! Starts a node: opens its data, wires its services, and says clearly what is in the way.
//!
//! # Place
//! `timed run` starts one node in a process, the devnet several.
//!
//! # Invariants
//! - INV-START-1: a masternode never makes its vote journal by itself: without one it refuses to start.
//! - Nothing votes before journal, log and index are at the tip.
//! - INV-START-3: threads that write outlive those that feed them; the lock on the data directory outlives all.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use metrics_exporter_prometheus::PrometheusHandle;

use super::admission::{AdmittedTo, to_core};
use super::context::AppContext;
use super::disk_space;
use super::feeds::Feeds;
use super::finality_proofs::FinalityProofs;
use super::losers::{self, Losers};
use super::masternode_links::tell_of_masternodes;
use super::networks::load_genesis;
use super::observer::NodeObserver;
use super::open::{Data, Watched, lock, open};
use super::places::index_path;
use super::snapshots::fetch::{self, FetchError, Fetching};
use super::snapshots::source::StoredSnapshots;
use super::snapshots::{Keeper, SNAPSHOT_PROOF_BYTES_MAX, every_epochs, hook};
use super::start_error::StartError;
use super::telemetry;
use super::vote_latency::VoteLatency;
use crate::admission::{self, AdmissionHandle, AdmissionServices};
use crate::consensus::block_commit::{AppliedHook, start_block_log};
use crate::consensus::dispatch::Consensus;
use crate::consensus::engine::{EngineParts, NodeShell, start_engine};
use crate::consensus::events::{AppliedBlock, Event, Now};
use crate::consensus::inbox::ConsensusHandle;
use crate::consensus::incoming::verify_urgent;
use crate::consensus::instances::LISTEN_MS;
use crate::consensus::observers::start_observers;
use crate::consensus::proof_builder::ProofBuilder;
use crate::consensus::replay::ReplayError;
use crate::consensus::restart::{ConsensusConfig, Opened, Restart};
use crate::consensus::serve::{AnswerServer, Assembler};
use crate::consensus::sync::ahead_thread::AheadSender;
use crate::consensus::timeout_monitor::TimeoutMonitor;
use crate::consensus::verify::Voters;
use crate::consensus::view::{ConsensusView, RecentFirst};
use crate::consensus::vote_journal::start_journal;
use crate::mempool::{PoolLimits, TransactionPool};
use crate::network::{Network, NetworkConfig, NetworkEvents, NetworkHandle};
use crate::protocol::state::LedgerState;
use crate::rpc::hosts::Allowed;
use crate::rpc::{EventLog, MetricsServer, RpcHandle, RpcServer, RpcServerConfig};
use crate::runtime::config::{NetworkMode, RpcAuth};
use crate::runtime::logging::LogControl;
use crate::runtime::{
    Clock, Config, CpuPool, PoolVerifier, StartStatus, TaskRegistry, metric_names, process_metrics,
};
use crate::storage::{IndexEvent, IndexWriter, RealDisk, SnapshotStore, StorageError};
use crate::types::limits::USER_AGENT_BYTES_MAX;
use crate::types::{GenesisDocument, RuleVersion, SecretKey, SignatureVerifier, TimeMs};
use crate::utxo::UtxoManager;

pub use super::open::create_journal;

/// Makes the recorder of the process' metrics.
///
/// # Errors
/// When there is one.
pub fn install_recorder() -> Result<PrometheusHandle, StartError> {
    Ok(metric_names::install_recorder()?)
}

/// What is one for the process, whatever number of nodes run in it.
#[derive(Clone)]
pub struct OfProcess {
    /// The recorder; with it a node serves metrics if its configuration says so.
    pub metrics: Option<PrometheusHandle>,
    /// The log.
    pub log: LogControl,
}

/// Starts a node on the runtime of the caller.
///
/// # Errors
/// Why it can't; what had started stops with `registry.shutdown`, which the caller has to call then.
pub async fn start(
    config: Config,
    registry: TaskRegistry,
    process: OfProcess,
) -> Result<Arc<AppContext>, StartError> {
    let started_at = Clock.instant();
    let config = Arc::new(config);
    let genesis = Arc::new(load_genesis(&config)?);
    let pool = CpuPool::new()?;
    let verifier: Arc<dyn SignatureVerifier + Send + Sync> = Arc::new(PoolVerifier::new(pool.clone()));
    let locked = {
        let config = Arc::clone(&config);
        blocking(move || {
            disk_space::check(&config)?;
            lock(&config)
        })
        .await?
    };
    disk_space::watch(&config, &registry);
    let status = StartStatus::default();
    let rpc = open_rpc(&config, &status, &registry).await?;
    serve_metrics(&config, process.metrics.as_ref(), &registry).await?;
    let keys = (locked.identity_key.clone(), locked.operator.clone());
    let network_config = network_config(&config, &genesis, keys);
    fetch_snapshot((&config, &genesis), &network_config, &verifier, (&status, &registry)).await?;
    let data = {
        let (config, genesis) = (Arc::clone(&config), Arc::clone(&genesis));
        let watched = Watched { status: status.clone(), token: registry.token().clone() };
        blocking(move || open(locked, &config, &genesis, &watched)).await?
    };
    let failures = registry.clone();
    let index_path = index_path(&config, config.storage.engine);
    data.index_guard.on_damage(move |reason| {
        let failed = StorageError::Index { reason: reason.to_owned() };
        failures.fail("index", format!("{}: {failed}", index_path.display()));
    });
    if registry.token().is_cancelled() {
        return Err(StartError::Stopped);
    }
    let state = Arc::clone(&data.replayed.state);
    let blocks = usize::try_from(state.height()).unwrap_or(usize::MAX);
    let memory = super::memory::node_bytes_max(&config, state.parameters(), blocks);
    tracing::info!(mib = memory >> 20, "Memory: the bound of all parts, whatever peers and users do");
    let (network, events) = start_network(network_config, &data, &registry).await?;
    let services = start_consensus(&config, &genesis, data, &registry, &network, &verifier)?;
    let Services {
        engine,
        bft,
        utxos,
        pool: transactions,
        index,
        blocks,
        admission,
        feeds,
        event_log,
        latency,
        signs_after_ms,
        giver,
        lock,
    } = services;
    let conflicts = losers::path_in(&config.node.data_dir);
    let told = Arc::clone(&feeds);
    losers::keep(move |chain| told.take_losers(chain), (conflicts, genesis.chain_id()), &lock, &registry);
    let (reading, consensus) = ((&index, &blocks), (&engine, &bft));
    let proofs = FinalityProofs::new(&genesis, reading, consensus, &transactions, Arc::clone(&verifier))?;
    let snapshots = AnswerServer::start("snapshots to peers", giver, network.clone(), &registry)?;
    spawn_inbound(&registry, events, (&engine, snapshots), &network, pool, verifier, &admission);
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
        admission,
        feeds,
        events: event_log,
        latency,
        signs_after_ms,
        proofs,
        faucet: tokio::sync::Mutex::default(),
        log: process.log,
        _lock: lock,
    });
    if let Some(handle) = process.metrics.filter(|_| context.config.metrics.enabled) {
        telemetry::start(&context, handle);
    }
    if let Some(rpc) = rpc {
        rpc.serve(Arc::clone(&context) as _)?;
    }
    Ok(context)
}

/// Begins a node that has no blocks with a snapshot of its peers, if there is one.
async fn fetch_snapshot(
    (config, genesis): (&Arc<Config>, &Arc<GenesisDocument>),
    network: &NetworkConfig,
    verifier: &Arc<dyn SignatureVerifier + Send + Sync>,
    (status, registry): (&StartStatus, &TaskRegistry),
) -> Result<(), StartError> {
    let asked = (Arc::clone(config), Arc::clone(genesis));
    if !blocking(move || Ok(fetch::is_wanted(&asked.0, &asked.1)?)).await? {
        return Ok(());
    }
    let network = asking_alone(network);
    let (verifier, token) = (Arc::clone(verifier), registry.token());
    let fetching = Fetching { config, genesis, network, verifier, status: status.clone(), token };
    fetch::fetch(fetching).await.map_err(|error| stopped_or_failed(error.into()))
}

/// A network that dials and is not dialled: whoever likes to could come in and offer what it has not got, or use up the memory
/// that answers need.
fn asking_alone(network: &NetworkConfig) -> NetworkConfig {
    NetworkConfig { maps_port: false, max_inbound: 0, ..network.clone() }
}

/// Work that ended because the node is to stop is no failure of that work.
fn stopped_or_failed(error: StartError) -> StartError {
    match error {
        StartError::Storage(StorageError::Interrupted)
        | StartError::Fetch(FetchError::Stopped)
        | StartError::Replay(ReplayError::Storage(StorageError::Interrupted)) => StartError::Stopped,
        error => error,
    }
}

/// Does what waits for the disk on a thread for that.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    let span = tracing::Span::current();
    let working = tokio::task::spawn_blocking(move || span.in_scope(work));
    working.await.map_err(|_| StartError::OpenPanicked)?.map_err(stopped_or_failed)
}

fn network_config(
    config: &Config,
    genesis: &GenesisDocument,
    (identity, operator): (SecretKey, Option<SecretKey>),
) -> NetworkConfig {
    let settings = &config.network;
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    NetworkConfig {
        listen_address: settings.listen_address,
        external_address: settings.external_address.clone(),
        maps_port: settings.upnp,
        bootstrap_peers: settings.bootstrap_peers.clone(),
        dns_seeds: settings.seeds(config.node.network),
        hides: settings.mode == NetworkMode::BehindSentry,
        dials_masternodes: settings.dial_registered,
        is_local: config.node.network == crate::types::Network::Devnet,
        max_inbound: count(settings.max_inbound),
        max_outbound: count(settings.max_outbound),
        chain_id: genesis.chain_id(),
        identity,
        operator,
        bans_path: Some(config.node.data_dir.join("bans")),
        peers_path: Some(config.peers_path()),
        user_agent: user_agent(config),
    }
}

async fn start_network(
    network: NetworkConfig,
    data: &Data,
    registry: &TaskRegistry,
) -> Result<(NetworkHandle, NetworkEvents), StartError> {
    let (token, tracker) = (registry.token().clone(), registry.tracker("network"));
    let (network, events) = Network::start(network, token, &tracker).await?;
    let own = data.operator.as_ref().map(SecretKey::public);
    for address in tell_of_masternodes(&network, &data.replayed.state, own) {
        tracing::warn!(
            address,
            "A masternode's address can't be dialled; if it is right, name it in [network] bootstrap_peers"
        );
    }
    Ok((network, events))
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

struct Services {
    engine: Arc<ConsensusHandle>,
    bft: Arc<ConsensusView>,
    utxos: Arc<UtxoManager>,
    pool: Arc<TransactionPool>,
    index: Arc<crate::storage::Index>,
    blocks: crate::storage::BlockReader<crate::storage::RealDisk>,
    admission: AdmissionHandle,
    feeds: Arc<Feeds>,
    event_log: Arc<EventLog>,
    latency: Arc<VoteLatency>,
    signs_after_ms: TimeMs,
    /// Gives snapshots to peers.
    giver: Assembler,
    lock: Arc<crate::storage::DirectoryLock>,
}

fn start_consensus(
    config: &Config,
    genesis: &Arc<GenesisDocument>,
    data: Data,
    registry: &TaskRegistry,
    network: &NetworkHandle,
    verifier: &Arc<dyn SignatureVerifier + Send + Sync>,
) -> Result<Services, StartError> {
    let Data {
        lock, operator, journal, journal_reader, journal_origin, journaled, log, index, replayed, ..
    } = data;
    let lock = Arc::new(lock);
    let state = Arc::clone(&replayed.state);
    let key = operator.as_ref().map(SecretKey::public);
    let blocks = log.reader();
    let index = Arc::new(index);
    let (utxos, pool) = outputs_and_pool(config, &index);

    let signs_after_ms = journal_origin.signs_after_ms();
    let mut instance = [0; 16];
    getrandom::fill(&mut instance)?;
    let consensus_config = ConsensusConfig {
        operator,
        listen_ms: LISTEN_MS,
        instance,
        signs_after_ms,
        vote_interval_ms: config.consensus.vote_interval_ms,
        knows: RuleVersion::NEWEST,
        trust: super::trust::configured(config, state.parameters()),
        verifier: Arc::clone(verifier),
    };
    let restart = Restart::new(replayed, (journaled, journal_reader), Arc::clone(&utxos), blocks.clone());
    let source = Arc::clone(&restart.bodies);
    let Opened { consensus, outputs } = Consensus::open(consensus_config, restart, Now::read());
    let bft = Arc::new(ConsensusView::new(&consensus, key));
    let (engine, inbox) = ConsensusHandle::new(voters(&state));
    let (admission, admission_inbox) = AdmissionHandle::new(&network.identity());
    let readers = readers(&state, data.losers);
    let (feeds, event_log, latency) = readers.clone();
    let peers = (admission.clone(), network.clone());

    let writer = start_index_writer(&index, &utxos, registry)?;
    let snapshots = start_snapshots(config, genesis, (&index, &blocks), registry)?;
    let (handle, outputs_read) = (Arc::clone(&engine), Arc::clone(&utxos));
    let block_orders =
        start_block_log(log, writer, handle, outputs_read, Arc::clone(&lock), snapshots.hook, registry)?;
    snapshots.keeper.start(snapshots.blocks, block_orders.clone())?;
    let indexing = (block_orders.clone(), registry.clone());
    let observer =
        NodeObserver::new(Arc::clone(&utxos), Arc::clone(&pool), readers, peers, key, &state, indexing);
    let observers = start_observers(observer, registry)?;
    let journal_orders = start_journal(journal, Arc::clone(&engine), network.clone(), registry)?;
    let recent = Arc::new(RecentFirst { view: Arc::clone(&bft), log: blocks.clone() });
    let giver = Assembler::new(Arc::clone(&source), Arc::clone(&recent) as _);
    let giver = giver.with_snapshots(snapshots.source);
    let assembler = Assembler::new(source, recent);
    let answers = AnswerServer::start("answers to peers", assembler, network.clone(), registry)?;
    let timers = start_timers(&engine, registry)?;
    let ahead = AheadSender::start(Arc::clone(&engine), Arc::clone(verifier), registry)?;
    let shell = NodeShell {
        handle: Arc::clone(&engine),
        view: Arc::clone(&bft),
        utxos: Arc::clone(&utxos),
        journal: journal_orders,
        blocks: block_orders,
        ahead,
        answers,
        timers,
        network: network.clone(),
        bodies: Arc::new(admission.clone()),
        observers,
        told: Vec::new(),
        failures: registry.clone(),
    };
    start_engine(EngineParts { consensus, outputs, inbox, shell }, registry)?;
    let services = AdmissionServices {
        utxos: Arc::clone(&utxos),
        pool: Arc::clone(&pool),
        verifier: Arc::clone(verifier),
        expiry_ms: config.mempool.expiry_s.saturating_mul(1_000),
        network: network.clone(),
        node: AdmittedTo::new((&bft, &engine), (&feeds, &event_log)),
    };
    admission::start(admission_inbox, services, registry)?;
    Ok(Services {
        engine,
        bft,
        utxos,
        pool,
        index,
        blocks,
        admission,
        feeds,
        event_log,
        latency,
        signs_after_ms,
        giver,
        lock,
    })
}

/// The keeper of snapshots before it starts, and what others get of them.
struct Snapshots {
    keeper: Keeper,
    hook: AppliedHook,
    blocks: Receiver<Arc<AppliedBlock>>,
    source: Arc<StoredSnapshots>,
}

fn start_snapshots(
    config: &Config,
    genesis: &Arc<GenesisDocument>,
    (index, blocks): (&Arc<crate::storage::Index>, &crate::storage::BlockReader<RealDisk>),
    registry: &TaskRegistry,
) -> Result<Snapshots, StartError> {
    let proofs = ProofBuilder::new(genesis, Arc::clone(index), blocks.clone())?;
    let proofs = Arc::new(proofs.bounded(SNAPSHOT_PROOF_BYTES_MAX));
    let store = SnapshotStore::new(RealDisk, config.snapshots_path());
    let every = every_epochs(&config.storage, &genesis.parameters);
    let (hook, blocks) = hook(&config.storage, every);
    let source = Arc::new(StoredSnapshots::new(store.clone(), Arc::clone(&proofs)));
    let (config, index, registry) = (config.storage.clone(), Arc::clone(index), registry.clone());
    let keeper = Keeper { config, store, index, proofs, registry };
    Ok(Snapshots { keeper, hook, blocks, source })
}

fn outputs_and_pool(
    config: &Config,
    index: &Arc<crate::storage::Index>,
) -> (Arc<UtxoManager>, Arc<TransactionPool>) {
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let utxos = UtxoManager::new(Arc::clone(index), count(config.storage.half_cache_bytes()));
    let pool = TransactionPool::new(PoolLimits {
        max_transactions: count(config.mempool.max_transactions),
        max_bytes: count(config.mempool.max_bytes),
    });
    (Arc::new(utxos), Arc::new(pool))
}

/// Who votes on the next block.
fn voters(state: &LedgerState) -> Voters {
    let (chain_id, epoch) = (*state.chain_id(), state.next_epoch());
    Voters { chain_id, epoch, set: Arc::clone(state.validators()) }
}

fn start_timers(
    engine: &Arc<ConsensusHandle>,
    registry: &TaskRegistry,
) -> Result<Arc<TimeoutMonitor>, StartError> {
    let elapsed = Arc::clone(engine);
    Ok(TimeoutMonitor::start(registry, move |timer| elapsed.hand_in(Event::TimeoutElapsed(timer)))?)
}

/// What tells readers of what happens from now on.
fn readers(state: &LedgerState, losers: Losers) -> (Arc<Feeds>, Arc<EventLog>, Arc<VoteLatency>) {
    let latency = VoteLatency::new(state.validators(), Clock.instant());
    let feeds = Feeds::with_losers(losers);
    (Arc::new(feeds), Arc::new(EventLog::new(rand::random(), state.height())), Arc::new(latency))
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
    (engine, snapshots): (&Arc<ConsensusHandle>, Arc<AnswerServer>),
    network: &NetworkHandle,
    pool: CpuPool,
    verifier: Arc<dyn SignatureVerifier + Send + Sync>,
    admission: &AdmissionHandle,
) {
    let NetworkEvents { urgent, bulk } = events;
    let token = registry.token().clone();
    let work = verify_urgent(urgent, Arc::clone(engine), network.clone(), pool, verifier);
    registry.spawn("vote checks", async move {
        let _ended = token.run_until_cancelled(work).await;
    });
    let token = registry.token().clone();
    let forward = to_core(Arc::clone(engine), Arc::clone(&snapshots));
    let work = admission::route_bulk(bulk, admission.clone(), forward);
    registry.spawn("bulk router", async move {
        let _ended = token.run_until_cancelled(work).await;
        snapshots.stop();
    });
}

/// Opens RPC before the data, which may take long to read: whoever asks is told how far that is.
async fn open_rpc(
    config: &Config,
    status: &StartStatus,
    registry: &TaskRegistry,
) -> Result<Option<RpcHandle>, StartError> {
    let settings = &config.rpc;
    if !settings.enabled {
        return Ok(None);
    }
    let users = settings.users.iter().map(|user| user.parse()).collect::<Result<Vec<_>, _>>()?;
    let rpc = RpcServerConfig {
        listen_address: settings.listen_address,
        connections_max: usize::try_from(settings.max_connections).unwrap_or(usize::MAX),
        cookie_path: (settings.auth == RpcAuth::Cookie).then(|| config.cookie_path()),
        users,
    };
    let (token, tracker) = (registry.token().clone(), registry.tracker("RPC server"));
    let allowed =
        Allowed { hosts: settings.allowed_hosts.clone(), origins: settings.allowed_origins.clone() };
    Ok(Some(RpcServer::open(rpc, allowed, status.clone(), (token, &tracker)).await?))
}

async fn serve_metrics(
    config: &Config,
    metrics: Option<&PrometheusHandle>,
    registry: &TaskRegistry,
) -> Result<(), StartError> {
    let Some(handle) = metrics.cloned().filter(|_| config.metrics.enabled) else { return Ok(()) };
    let render = Arc::new(move || handle.render() + &process_metrics::text());
    let (token, tracker) = (registry.token().clone(), registry.tracker("metrics server"));
    MetricsServer::start(config.metrics.listen_address, render, token, &tracker).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// INV-FETCH-8.
    #[test]
    fn while_a_snapshot_is_fetched_nobody_comes_in() {
        let (config, genesis) =
            (Config::of_network(crate::types::Network::Devnet), super::super::networks::devnet_genesis(4));
        let network = network_config(&config, &genesis, (SecretKey::from_seed(&[1; 32]), None));
        assert!(network.max_inbound > 0);
        assert_eq!(asking_alone(&network).max_inbound, 0);
    }

    #[test]
    fn a_start_that_was_told_to_stop_says_so_whatever_it_was_doing() {
        let interrupted = || StorageError::Interrupted;
        let replaying = StartError::Replay(ReplayError::Storage(interrupted()));
        for error in [StartError::Storage(interrupted()), replaying] {
            assert!(matches!(stopped_or_failed(error), StartError::Stopped));
        }
        let failed = || StorageError::Index { reason: "a bad page".to_owned() };
        for error in [StartError::Storage(failed()), StartError::Replay(ReplayError::Storage(failed()))] {
            assert!(!matches!(stopped_or_failed(error), StartError::Stopped));
        }
    }
}
