//! What the machine and the node say.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpStream;

use crate::app::disk_space;
use crate::app::networks::load_genesis;
use crate::app::votes::{VotesError, VotesPlace};
use crate::cli::named_files::{Unusable, unusable};
use crate::cli::rpc_client::{ConnectionArgs, RpcClient, RpcCommandError};
use crate::rpc::types::{
    BlockchainInfo, ConsensusInfo, DiskInfo, HeartbeatInfo, IndexInfo, MasternodeInfo, MemoryInfo,
    MempoolInfo, NodeStatus, PeerInfo, Readiness, VoteLatencyInfo,
};
use crate::runtime::{Clock, Config, ConfigSources, machine};
use crate::storage::block_log::chain_of;
use crate::storage::{DirectoryLock, RealDisk, StorageError};
use crate::types::{ChainId, Height, TimeMs};

/// Syncs that are timed.
const SYNCS: usize = 9;
/// Bytes that are written before each of them: a small commit of the vote journal.
const SYNC_BYTES: usize = 4_096;
/// Between two looks at a node that catches up.
const PROGRESS_PAUSE: Duration = Duration::from_secs(2);
/// A port that does not answer within this is not reachable.
const REACH_TIMEOUT: Duration = Duration::from_secs(3);
/// The last bytes of the log that a bundle takes along.
const LOG_BYTES: u64 = 64 << 10;

/// All that could be found out about a node and its machine; what a bundle holds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Facts {
    /// The version of this program.
    pub(super) version: &'static str,
    /// When this was found out, by this machine's clock: milliseconds since the Unix epoch.
    pub(super) now_ms: TimeMs,
    /// The configuration that was named: what it says, without users, or all that is wrong with it.
    pub(super) config: Option<Result<Config, Vec<String>>>,
    /// What the machine says, for the configuration's directories and ports.
    pub(super) machine: Option<Machine>,
    /// The chain of the configuration's genesis document, and that of the blocks in its data directory.
    pub(super) chains: Chains,
    /// Files that the configuration names and the node would not start with.
    pub(super) unusable: Vec<Unusable>,
    /// The vote journal, where the configuration is a masternode's and there is a data directory.
    pub(super) journal: Option<Journal>,
    /// Whether the configuration's `external_address` answers from this machine, while the node runs.
    pub(super) external_address_answers: Option<bool>,
    /// What the node says, or why it does not.
    pub(super) node: Result<Node, Silence>,
    /// The end of the log's file.
    pub(super) log: Option<String>,
}

/// Why a node says nothing of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Silence {
    /// It starts, and says how far it is.
    Starting(String),
    /// Nothing answers there, or what answers refuses; why, in words.
    Mute(String),
}

impl Silence {
    fn of(error: &RpcCommandError) -> Self {
        match error {
            RpcCommandError::Refused { reason, message, .. } if reason == "starting" => {
                Self::Starting(message.clone())
            }
            _ => Self::Mute(error.to_string()),
        }
    }
}

/// Which chains a configuration names; absent where that can't be read, or there is no block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chains {
    pub(super) genesis: Option<ChainId>,
    pub(super) blocks: Option<ChainId>,
}

impl Chains {
    fn of(config: &Config) -> Self {
        let genesis = load_genesis(config).ok().map(|genesis| genesis.chain_id());
        let blocks = chain_of(&RealDisk, &config.node.data_dir.join("blocks"));
        Self { genesis, blocks: blocks.ok().flatten() }
    }
}

/// The vote journal of a data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Journal {
    /// It is the one of this key on this chain.
    Own,
    /// There is none.
    Missing,
    /// It is of another key or chain.
    Foreign(String),
    /// It, the key or the genesis document can't be read.
    Unreadable(String),
}

/// What the machine says; absent fields could not be measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Machine {
    /// The data directory, if it is there.
    pub(super) data_dir: Option<PathBuf>,
    /// Bytes that are free on its disk.
    pub(super) free_bytes: Option<u64>,
    /// How long a write of 4 KiB takes to be durable there, in microseconds: the middle of nine.
    pub(super) sync_us: Option<u64>,
    /// The process that holds the data directory.
    pub(super) holder: Option<u32>,
    /// Files and sockets that the node's process may have open, or this one if no node runs.
    pub(super) open_files: Option<u64>,
    /// Memory that the same process may take, in bytes: the machine's, or less if its control group is limited.
    pub(super) memory_bytes: Option<u64>,
    /// Whether that is less than the machine has.
    pub(super) memory_limited: bool,
    /// Whether the addresses can be listened on that the configuration names; a running node holds them.
    pub(super) ports: Ports,
}

/// Whether somebody listens already; `None` where the configuration has no use for the address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ports {
    pub(super) peers_free: Option<bool>,
    pub(super) rpc_free: Option<bool>,
    pub(super) metrics_free: Option<bool>,
}

impl Ports {
    fn of(config: &Config) -> Self {
        let is_free = |address: SocketAddr| TcpListener::bind(address).is_ok();
        Self {
            peers_free: Some(is_free(config.network.listen_address)),
            rpc_free: config.rpc.enabled.then(|| is_free(config.rpc.listen_address)),
            metrics_free: config.metrics.enabled.then(|| is_free(config.metrics.listen_address)),
        }
    }
}

/// What the node says by RPC, each member as its method answers it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Node {
    pub(super) status: NodeStatus,
    pub(super) readiness: Readiness,
    pub(super) chain: BlockchainInfo,
    pub(super) consensus: ConsensusInfo,
    pub(super) pool: MempoolInfo,
    pub(super) peers: Vec<PeerInfo>,
    pub(super) masternodes: Vec<MasternodeInfo>,
    pub(super) heartbeats: Vec<HeartbeatInfo>,
    pub(super) index: IndexInfo,
    pub(super) memory: MemoryInfo,
    pub(super) disk: Option<DiskInfo>,
    pub(super) latency: VoteLatencyInfo,
    /// While it catches up: the height a moment later, and after how many milliseconds.
    pub(super) later: Option<(Height, u64)>,
    /// Whether the address of its masternode answers from this machine.
    pub(super) own_address_answers: Option<bool>,
}

impl Facts {
    /// Asks everybody. What can't be found out is left out.
    pub(super) async fn gather(connection: &ConnectionArgs) -> Self {
        let path = connection.config.clone();
        let config = path.map(|path| {
            let examined = Config::examine(&ConfigSources::of_process(Some(path)));
            examined.config.ok_or_else(|| examined.problems.iter().map(ToString::to_string).collect())
        });
        let sound = config.as_ref().and_then(|config| config.as_ref().ok());
        let node = node(connection).await.map_err(|error| Silence::of(&error));
        Self {
            version: env!("CARGO_PKG_VERSION"),
            now_ms: Clock.now_ms(),
            machine: sound.map(machine_of),
            chains: sound.map(Chains::of).unwrap_or_default(),
            unusable: sound.map(unusable).unwrap_or_default(),
            journal: sound.and_then(journal),
            external_address_answers: match sound.and_then(|config| config.network.external_address.as_ref())
            {
                Some(address) if node.is_ok() => Some(takes_connections(address).await),
                _ => None,
            },
            log: sound.and_then(|config| end_of_log(config.logging.file.as_deref()?)),
            node,
            config: config.map(|config| config.map(without_users)),
        }
    }
}

/// Salted hashes of passwords are nobody's business.
fn without_users(config: Config) -> Config {
    Config { rpc: crate::runtime::config::RpcConfig { users: Vec::new(), ..config.rpc }, ..config }
}

fn journal(config: &Config) -> Option<Journal> {
    if !config.masternode.enabled || !config.node.data_dir.is_dir() {
        return None;
    }
    Some(match VotesPlace::has_journal(config) {
        Ok(true) => Journal::Own,
        Ok(false) => Journal::Missing,
        Err(VotesError::Storage(
            foreign @ (StorageError::WrongChain { .. } | StorageError::WrongOperator { .. }),
        )) => Journal::Foreign(foreign.to_string()),
        Err(error) => Journal::Unreadable(error.to_string()),
    })
}

fn end_of_log(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES))).ok()?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

async fn node(connection: &ConnectionArgs) -> Result<Node, RpcCommandError> {
    let client = connection.client()?;
    let status: NodeStatus = client.call("getnodestatus", &[]).await?;
    let later = if status.target_height > status.height {
        tokio::time::sleep(PROGRESS_PAUSE).await;
        let height: Height = client.call("getblockcount", &[]).await?;
        Some((height, u64::try_from(PROGRESS_PAUSE.as_millis()).unwrap_or(u64::MAX)))
    } else {
        None
    };
    let own_address_answers = match status.masternode {
        Some(id) => Some(answers(&client, &json!(id)).await),
        None => None,
    };
    Ok(Node {
        status,
        readiness: client.call("getreadiness", &[]).await?,
        chain: client.call("getblockchaininfo", &[]).await?,
        consensus: client.call("getconsensusinfo", &[]).await?,
        pool: client.call("getmempoolinfo", &[]).await?,
        peers: client.call("getpeerinfo", &[]).await?,
        masternodes: client.call("masternodelist", &[]).await?,
        heartbeats: client.call("getheartbeats", &[]).await?,
        index: client.call("getindexinfo", &[]).await?,
        memory: client.call("getmemoryinfo", &[]).await?,
        // A node of an earlier version does not tell it.
        disk: client.call("getdiskinfo", &[]).await.ok(),
        latency: client.call("getvotelatency", &[]).await?,
        later,
        own_address_answers,
    })
}

/// Whether a masternode's address takes connections from here.
async fn answers(client: &RpcClient, id: &serde_json::Value) -> bool {
    let Ok(own) = client.call::<MasternodeInfo>("getmasternode", std::slice::from_ref(id)).await else {
        return false;
    };
    takes_connections(&own.address).await
}

async fn takes_connections(address: &str) -> bool {
    let dialled = tokio::time::timeout(REACH_TIMEOUT, TcpStream::connect(address)).await;
    matches!(dialled, Ok(Ok(_)))
}

fn machine_of(config: &Config) -> Machine {
    let data_dir = Some(config.node.data_dir.clone()).filter(|path| path.is_dir());
    let of_disk = data_dir.as_deref();
    let holder = of_disk.and_then(DirectoryLock::holder);
    let memory_bytes = machine::memory_of_process(holder);
    Machine {
        free_bytes: of_disk.and_then(|_| disk_space::least_room(config)).map(|room| room.free_bytes),
        sync_us: of_disk.and_then(sync_us),
        holder,
        open_files: machine::open_files(holder),
        memory_bytes,
        memory_limited: memory_bytes < machine::memory_bytes(),
        ports: Ports::of(config),
        data_dir,
    }
}

/// The middle of some syncs, each after a small write.
fn sync_us(directory: &Path) -> Option<u64> {
    let path = directory.join(format!(".doctor-{}", std::process::id()));
    let mut file = File::create_new(&path).ok()?;
    let mut times: Vec<u64> = (0..SYNCS)
        .filter_map(|_| {
            file.write_all(&[0; SYNC_BYTES]).ok()?;
            let begun = Clock.instant();
            file.sync_data().ok()?;
            u64::try_from(begun.elapsed().as_micros()).ok()
        })
        .collect();
    drop(file);
    // Whatever was measured, nothing stays behind.
    let removed = std::fs::remove_file(&path);
    times.sort_unstable();
    removed.ok().and(times.get(times.len() / 2).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_measured_and_nothing_stays_behind() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::of_network(crate::types::Network::Devnet);
        config.node.data_dir = directory.path().to_owned();
        config.network.listen_address = "127.0.0.1:0".parse().unwrap();
        config.rpc.listen_address = config.network.listen_address;
        let found = machine_of(&config);
        assert!(found.free_bytes.is_some() && found.sync_us.is_some(), "{found:?}");
        assert_eq!(found.ports, Ports { peers_free: Some(true), rpc_free: Some(true), metrics_free: None });
        assert_eq!(
            (found.holder, found.open_files.is_some(), found.memory_bytes.is_some()),
            (None, true, true)
        );
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        (config.network.listen_address, config.rpc.listen_address, config.metrics.listen_address) =
            (address, address, address);
        config.metrics.enabled = true;
        let _lock = DirectoryLock::acquire(directory.path()).unwrap();
        let found = machine_of(&config);
        assert_eq!(found.holder, Some(std::process::id()));
        let taken = Some(false);
        assert_eq!(found.ports, Ports { peers_free: taken, rpc_free: taken, metrics_free: taken });
        config.node.data_dir = directory.path().join("none");
        let found = machine_of(&config);
        assert_eq!((found.data_dir, found.sync_us, found.holder), (None, None, None));
    }

    #[test]
    fn a_journal_is_the_own_one_a_foreign_one_or_missing() {
        use crate::app::networks::devnet_genesis;
        use crate::runtime::key_file::{create_key_file, generate_key};

        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::of_network(crate::types::Network::Devnet);
        config.node.data_dir = directory.path().join("data");
        config.node.genesis = Some(directory.path().join("genesis.toml"));
        let genesis = devnet_genesis(4);
        std::fs::write(config.node.genesis.as_ref().unwrap(), genesis.to_toml().unwrap()).unwrap();
        assert_eq!(journal(&config), None, "a full node has none");
        config.masternode.enabled = true;
        assert_eq!(journal(&config), None, "nor has a node that was never started");
        std::fs::create_dir(&config.node.data_dir).unwrap();
        let key_of = |name: &str| {
            let (path, key) = (directory.path().join(name), generate_key().unwrap());
            create_key_file(&path, &key).unwrap();
            (path, key)
        };
        let (path, key) = key_of("first");
        config.masternode.operator_key = Some(path);
        assert_eq!(journal(&config), Some(Journal::Missing));
        crate::app::create_journal(&config.node.data_dir, genesis.chain_id(), key.public()).unwrap();
        assert_eq!(journal(&config), Some(Journal::Own));
        config.masternode.operator_key = Some(key_of("second").0);
        let told = journal(&config);
        assert!(matches!(&told, Some(Journal::Foreign(says)) if says.contains("key")), "{told:?}");
        config.masternode.operator_key = Some(directory.path().join("third"));
        assert!(matches!(journal(&config), Some(Journal::Unreadable(_))));
    }

    #[tokio::test]
    async fn an_address_answers_if_somebody_listens_there() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert!(takes_connections(&address).await);
        drop(listener);
        assert!(!takes_connections(&address).await);
    }

    #[test]
    fn the_end_of_a_log_is_taken_and_no_hash_of_a_password() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, format!("{}the end\n", "x".repeat(100_000))).unwrap();
        let end = end_of_log(&path).unwrap();
        assert!(end.ends_with("the end\n") && end.len() == 64 << 10);
        assert_eq!(end_of_log(&directory.path().join("none")), None);
        let mut config = Config::of_network(crate::types::Network::Devnet);
        config.rpc.users = vec!["alice:salt$hash".to_owned()];
        assert!(without_users(config).rpc.users.is_empty());
    }
}
