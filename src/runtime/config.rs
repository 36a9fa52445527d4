//! The node's configuration: its types, and how flags, environment and file become one.
//!
//! # Place
//! Commands call [`Config::load`]; `app/` hands each service the values it uses.
//!
//! # Invariants
//! - INV-CONFIG-1: flags win over the environment (`TIMED_SECTION__KEY`), that over the file, that over the defaults
//!   of the network.
//! - INV-CONFIG-2: a key or variable that nothing reads is an error, with the nearest known key.
//! - INV-CONFIG-3: after loading, every path is relative to nothing: those of the file and the environment were
//!   resolved against the file's directory, those of flags against the working directory.
//!
//! # To add a key
//! | touch | a forgotten one is found by |
//! |---|---|
//! | the field of its section, here or in `storage.rs`, and its default | the compiler |
//! | its row in `load.rs` | `the_list_of_keys_is_that_of_the_types` |
//! | `Kind::Path` in that row, for a path: else it is resolved against nothing | nothing: `Kind::Text` passes too |
//! | `SECRET` in `load.rs`, if the value is for nobody's eyes: it names one key now | nothing: `config show` prints it |
//! | whoever reads it; a row of `ACCESSORS` in that test, if by a method | `tests/architecture/config_keys.rs` |
//! | what a value must not be: a row of `plain_problems` or its siblings | nothing: add the bad value to `bad_values_are_refused_with_their_place` |
//! | `config.toml`, and the text of `cli/init.rs`, each with a comment | `tests/architecture/config_keys.rs` and `comments_tell_the_truth` |
//! | a bound that grows with it: `app/memory.rs` | nothing |
//!
//! # Units
//! As in the keys' names: `_ms` milliseconds, `_mb` 1,000,000 bytes, `_bytes` bytes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::types::Network;
use crate::types::limits::SNAPSHOTS_MAX;

mod load;
mod storage;

pub use load::{ConfigSources, Effective, Examined, Origin};
use storage::MIN_FREE_MB;
pub use storage::{CacheSize, StorageConfig, StorageEngine, SyncConfig, SyncFrom};

/// Bytes of a configuration file, at most.
pub const CONFIG_FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a node's name, at most; it becomes a part of the user agent.
pub const NODE_NAME_BYTES_MAX: usize = 32;
/// Names of `[network] dns_seeds`, at most.
pub const DNS_SEEDS_MAX: usize = 16;

/// Bytes of blocks that a node keeps at least, in 1,000,000: some files of the block log.
const PRUNE_MB_MIN: u64 = 550;

/// Everything an operator can set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which network, and where its data is.
    pub node: NodeConfig,
    /// Connections to peers.
    pub network: NetworkConfig,
    /// The JSON-RPC server.
    pub rpc: RpcConfig,
    /// The index, blocks and snapshots.
    pub storage: StorageConfig,
    /// How a new node joins.
    pub sync: SyncConfig,
    /// Voting.
    pub consensus: ConsensusConfig,
    /// The transaction pool.
    pub mempool: MempoolConfig,
    /// Taking part in consensus.
    pub masternode: MasternodeConfig,
    /// The Prometheus endpoint.
    pub metrics: MetricsConfig,
    /// The log.
    pub logging: LoggingConfig,
}

/// `[node]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Which network to join.
    pub network: Network,
    /// The genesis document; without one the network's own is used where it is compiled in.
    pub genesis: Option<PathBuf>,
    /// Where blocks, votes, index, identity key and cookie are.
    pub data_dir: PathBuf,
    /// A name for people, shown to peers.
    pub name: String,
}

/// `[network]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Where peers connect to.
    pub listen_address: SocketAddr,
    /// `host:port` under which others reach this node, when it is not the listening address.
    pub external_address: Option<String>,
    /// Whether the router is asked to forward the port (UPnP).
    pub upnp: bool,
    /// `host:port` of the first peers.
    pub bootstrap_peers: Vec<String>,
    /// Names that lead to peers, each with or without a port, for a node that knows hardly any.
    pub dns_seeds: Vec<String>,
    /// Whether everybody may connect, or the first peers alone.
    pub mode: NetworkMode,
    /// Connections that others opened, at most.
    pub max_inbound: u32,
    /// Connections that this node opens, at most.
    pub max_outbound: u32,
    /// Whether the addresses of the chain's masternodes are dialled at the start.
    pub dial_registered: bool,
}

impl NetworkConfig {
    /// The names that lead to peers, with their ports.
    #[must_use]
    pub fn seeds(&self, network: Network) -> Vec<String> {
        let with_port = |seed: &String| match seed.contains(':') {
            true => seed.clone(),
            false => format!("{seed}:{}", network.default_port()),
        };
        self.dns_seeds.iter().map(with_port).collect()
    }
}

/// Who is a node's peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// Whoever is on the same chain; the node's address is told to all.
    Public,
    /// The nodes of `bootstrap_peers` alone, which are its sentries; the node's address is told to nobody.
    BehindSentry,
}

/// How RPC clients show who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RpcAuth {
    /// The cookie file of the data directory; configured users count too.
    Cookie,
    /// Configured users only.
    Users,
    /// Nobody does: read methods only, and only on a loopback address.
    None,
}

/// What an RPC user may call; each may call what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RpcRole {
    /// Methods that change nothing.
    Read,
    /// And send transactions.
    Wallet,
    /// Everything.
    Admin,
}

impl RpcRole {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Wallet, Self::Admin];

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Wallet => "wallet",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// `[rpc]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RpcConfig {
    /// Whether there is a server.
    pub enabled: bool,
    /// Where it listens.
    pub listen_address: SocketAddr,
    /// How clients authenticate.
    pub auth: RpcAuth,
    /// `name:salt$hash` each, hash being HMAC-SHA-256 of the password under the salt, as Bitcoin Core's `rpcauth`, or
    /// `name:salt$hash:role`; without a role it is [`RpcRole::Admin`].
    pub users: Vec<String>,
    /// Hosts, without a port, that requests may name beside the node's own addresses and localhost.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages, such as `https://shop.example`, that may ask and read beside the node's own.
    pub allowed_origins: Vec<String>,
    /// Requests that are answered at once, at most; 8 more connections are open, so that a newcomer always finds a place.
    pub max_connections: u32,
}

/// `[consensus]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsensusConfig {
    /// Votes are gathered this long, and up to four times as long when there are many, before they are signed, synced and
    /// sent together.
    pub vote_interval_ms: u64,
}

/// `[mempool]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MempoolConfig {
    /// Transactions, at most.
    pub max_transactions: u64,
    /// Their encoded bytes, at most.
    pub max_bytes: u64,
    /// Transactions that are not certified within this time are forgotten, in seconds.
    pub expiry_s: u64,
}

/// `[masternode]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MasternodeConfig {
    /// Whether this node votes.
    pub enabled: bool,
    /// The file with the operator key.
    pub operator_key: Option<PathBuf>,
}

/// `[metrics]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsConfig {
    /// Whether there is an endpoint.
    pub enabled: bool,
    /// Where it listens.
    pub listen_address: SocketAddr,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// `[logging]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggingConfig {
    /// A level, and levels of single modules: `info,timed::network=debug`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
    /// Where they go instead of standard output.
    pub file: Option<PathBuf>,
    /// The file is rotated before it is larger than so many 1,000,000 bytes; 0 leaves that to others.
    pub max_file_mb: u64,
    /// Rotated files that are kept.
    pub max_old_files: u32,
}

/// What to do about a file that can't be read.
fn read_hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::NotFound => {
            "`timed init --network NETWORK --home DIR` makes one in DIR, and --config FILE names one that is there"
        }
        std::io::ErrorKind::PermissionDenied => {
            "let the user that runs timed read it, or name another one by --config FILE"
        }
        _ => "name the node's configuration file by --config FILE",
    }
}

/// Why there is no configuration. All of them end the process with exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{path} can't be read: {source}; {}", read_hint(source))]
    Read {
        /// Which file.
        path: PathBuf,
        /// The file system's reason.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path} is not TOML: {message}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with line and column.
        message: String,
    },
    /// Nothing reads this key.
    #[error("{origin}: {key} is unknown; {hint}")]
    UnknownKey {
        /// Where it was given.
        origin: Origin,
        /// The key, or the section.
        key: String,
        /// The nearest known one, or all.
        hint: String,
    },
    /// The value can't be what the key means.
    #[error("{origin}: {key}: {problem}")]
    BadValue {
        /// Where it was given.
        origin: Origin,
        /// `section.key`.
        key: String,
        /// What is wrong, and what it should be.
        problem: String,
    },
}

impl Config {
    /// What a node of a network has when nothing is set.
    #[must_use]
    pub fn of_network(network: Network) -> Self {
        let port = network.default_port();
        let at = |ip, port| SocketAddr::new(IpAddr::V4(ip), port);
        Self {
            node: NodeConfig { network, genesis: None, data_dir: "data".into(), name: String::new() },
            network: NetworkConfig {
                listen_address: at(Ipv4Addr::UNSPECIFIED, port),
                external_address: None,
                upnp: false,
                bootstrap_peers: Vec::new(),
                dns_seeds: Vec::new(),
                mode: NetworkMode::Public,
                max_inbound: 64,
                max_outbound: 16,
                dial_registered: true,
            },
            rpc: RpcConfig {
                enabled: true,
                listen_address: at(Ipv4Addr::LOCALHOST, port + 1),
                auth: RpcAuth::Cookie,
                users: Vec::new(),
                allowed_hosts: Vec::new(),
                allowed_origins: Vec::new(),
                max_connections: 100,
            },
            storage: StorageConfig {
                engine: StorageEngine::Sled,
                cache_mb: CacheSize::Auto,
                min_free_mb: MIN_FREE_MB,
                prune: 0,
                prune_days: 0,
                snapshots: 2,
                snapshot_every_epochs: 0,
            },
            sync: SyncConfig { from: SyncFrom::Auto, checkpoint: None, trust_peers: false },
            consensus: ConsensusConfig { vote_interval_ms: 2 },
            mempool: MempoolConfig { max_transactions: 10_000, max_bytes: 300_000_000, expiry_s: 86_400 },
            masternode: MasternodeConfig { enabled: false, operator_key: None },
            metrics: MetricsConfig { enabled: false, listen_address: at(Ipv4Addr::LOCALHOST, port + 2) },
            logging: LoggingConfig {
                level: "info".into(),
                format: LogFormat::Pretty,
                file: None,
                max_file_mb: 100,
                max_old_files: 5,
            },
        }
    }

    /// Where the node's identity key is.
    #[must_use]
    pub fn identity_key_path(&self) -> PathBuf {
        self.node.data_dir.join("node.key")
    }

    /// Where addresses of peers are kept over restarts.
    #[must_use]
    pub fn peers_path(&self) -> PathBuf {
        self.node.data_dir.join("peers")
    }

    /// Where snapshots are.
    #[must_use]
    pub fn snapshots_path(&self) -> PathBuf {
        self.node.data_dir.join("snapshots")
    }

    /// Where the RPC server writes its cookie, and commands find it.
    #[must_use]
    pub fn cookie_path(&self) -> PathBuf {
        self.node.data_dir.join(".cookie")
    }

    /// The rules that values break: each with its key, and what that should be.
    fn problems(&self) -> Vec<(&'static str, String)> {
        let plain = self.plain_problems().into_iter().chain(self.storage_problems());
        let plain = plain.filter(|(_, holds, _)| !holds);
        let level = super::log_level::parse_level(&self.logging.level).err();
        plain
            .map(|(key, _, problem)| (key, problem.to_owned()))
            .chain(self.address_problems())
            .chain(level.map(|error| ("logging.level", error.to_string())))
            .collect()
    }

    /// Rules about one value, or two: key, whether it holds, what it should be.
    fn plain_problems(&self) -> [(&'static str, bool, &'static str); 23] {
        let name = &self.node.name;
        let open_to_all = self.rpc.enabled && !self.rpc.listen_address.ip().is_loopback();
        [
            ("node.data_dir", self.node.data_dir != Path::new(""), "must name a directory"),
            (
                "node.name",
                name.len() <= NODE_NAME_BYTES_MAX && name.bytes().all(|b| b.is_ascii_graphic() || b == b' '),
                "must be at most 32 printable ASCII characters",
            ),
            ("network.max_inbound", self.network.max_inbound <= 10_000, "must be 0 to 10,000"),
            ("network.max_outbound", (1..=1_000).contains(&self.network.max_outbound), "must be 1 to 1,000"),
            (
                "network.mode",
                self.network.mode == NetworkMode::Public || !self.network.bootstrap_peers.is_empty(),
                "a node behind a sentry needs the sentry's address in network.bootstrap_peers",
            ),
            (
                "network.external_address",
                self.network.mode == NetworkMode::Public || self.network.external_address.is_none(),
                "a node behind a sentry tells nobody its address; remove it, and set it at the sentry",
            ),
            (
                "network.upnp",
                self.network.mode == NetworkMode::Public || !self.network.upnp,
                "has no effect with network.mode = \"behind_sentry\"; remove it",
            ),
            (
                "network.dns_seeds",
                self.network.mode == NetworkMode::Public || self.network.dns_seeds.is_empty(),
                "has no effect with network.mode = \"behind_sentry\"; remove it",
            ),
            (
                "network.dns_seeds",
                self.network.dns_seeds.len() <= DNS_SEEDS_MAX
                    && self.network.dns_seeds.iter().all(|seed| is_seed(seed)),
                "must be at most 16 names of hosts, each with or without a port, such as seed.example",
            ),
            ("rpc.max_connections", (1..=10_000).contains(&self.rpc.max_connections), "must be 1 to 10,000"),
            (
                "rpc.listen_address",
                !(open_to_all && self.rpc.auth == RpcAuth::None),
                "without auth RPC listens on a loopback address only; set rpc.auth to \"cookie\" or \"users\", or listen on 127.0.0.1",
            ),
            (
                "rpc.users",
                self.rpc.users.iter().all(|user| is_rpc_user(user)),
                "each must be name:salt$hash with a hash of 64 hexadecimal digits, or name:salt$hash:role with the role read, wallet or admin; timed generate rpcauth makes one",
            ),
            (
                "rpc.users",
                self.rpc.auth != RpcAuth::Users || !self.rpc.users.is_empty(),
                "must name a user when rpc.auth is \"users\"",
            ),
            (
                "rpc.users",
                self.rpc.auth != RpcAuth::None || self.rpc.users.is_empty(),
                "has no effect with rpc.auth = \"none\"; set rpc.auth to \"users\", or remove the users",
            ),
            (
                "rpc.allowed_hosts",
                self.rpc.allowed_hosts.iter().all(|host| is_host(host)),
                "each must be a name or an address without a port, such as node.example",
            ),
            (
                "rpc.allowed_origins",
                self.rpc.allowed_origins.iter().all(|origin| is_origin(origin)),
                "each must be http:// or https:// with a host, and a port where the page has one, such as https://shop.example",
            ),
            (
                "consensus.vote_interval_ms",
                self.consensus.vote_interval_ms <= 1_000,
                "must be 0 to 1,000: payments wait this long for each of two votes",
            ),
            ("mempool.max_transactions", self.mempool.max_transactions > 0, "must be above zero"),
            ("mempool.expiry_s", self.mempool.expiry_s >= 60, "must be at least 60"),
            ("logging.max_file_mb", self.logging.max_file_mb <= 1_000_000, "must be 0 to 1,000,000"),
            ("logging.max_old_files", self.logging.max_old_files <= 1_000, "must be 0 to 1,000"),
            ("mempool.max_bytes", self.mempool.max_bytes >= 1_000_000, "must be at least 1,000,000"),
            (
                "masternode.operator_key",
                !self.masternode.enabled || self.masternode.operator_key.is_some(),
                "must name the file with the operator key when masternode.enabled is true; timed init --masternode makes one",
            ),
        ]
    }

    fn storage_problems(&self) -> [(&'static str, bool, &'static str); 6] {
        [
            (
                "storage.cache_mb",
                match self.storage.cache_mb {
                    CacheSize::Auto => true,
                    CacheSize::Megabytes(size) => (16..=1_000_000).contains(&size),
                },
                "must be \"auto\", or 16 to 1,000,000",
            ),
            ("storage.min_free_mb", self.storage.min_free_mb <= 1_000_000, "must be 0 to 1,000,000"),
            (
                "storage.prune",
                self.storage.prune == 0 || self.storage.prune >= PRUNE_MB_MIN,
                "must be 0, which keeps all blocks, or at least 550",
            ),
            (
                "storage.prune",
                self.storage.prune == 0 || self.storage.snapshots > 0,
                "a node that leaves out blocks needs a snapshot to build its index of; set storage.snapshots to 1 or more",
            ),
            (
                "storage.prune_days",
                self.storage.prune_days == 0 || self.storage.snapshots > 0,
                "a node that leaves out blocks needs a snapshot to build its index of; set storage.snapshots to 1 or more",
            ),
            ("storage.snapshots", self.storage.snapshots <= SNAPSHOTS_MAX as u64, "must be 0 to 8"),
        ]
    }

    fn address_problems(&self) -> Vec<(&'static str, String)> {
        let external =
            self.network.external_address.iter().map(|address| ("network.external_address", address));
        let bootstrap = self.network.bootstrap_peers.iter().map(|peer| ("network.bootstrap_peers", peer));
        let dialled = external.chain(bootstrap).filter(|(_, address)| !is_host_and_port(address));
        let dialled = dialled
            .map(|(key, address)| (key, format!("{address:?} is not host:port, such as 127.0.0.1:24200")));
        let nowhere = self.network.external_address.iter().filter(|address| leads_nowhere(address)).map(|address| {
            let says = "is no address that others can reach: name this machine's public one, or leave the key out";
            ("network.external_address", format!("{address:?} {says}"))
        });
        let listening = [
            ("network.listen_address", true, self.network.listen_address),
            ("rpc.listen_address", self.rpc.enabled, self.rpc.listen_address),
            ("metrics.listen_address", self.metrics.enabled, self.metrics.listen_address),
        ];
        // Port 0 lets the operating system choose, so it clashes with nothing.
        let used = || listening.iter().filter(|(_, enabled, address)| *enabled && address.port() != 0);
        let taken = used().filter_map(|(key, _, address)| {
            let mut before = used().take_while(|(other, ..)| other != key);
            let (other, ..) = before.find(|(_, _, taken)| overlap(taken, address))?;
            Some((*key, format!("{address} is taken by {other} already")))
        });
        dialled.chain(nowhere).chain(taken).collect()
    }
}

/// Whether two sockets can't listen at once.
fn overlap(a: &SocketAddr, b: &SocketAddr) -> bool {
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && (any || a.ip() == b.ip())
}

/// Whether a text is `host:port`, `1.2.3.4:port` or `[::1]:port`.
fn is_host_and_port(text: &str) -> bool {
    if text.parse::<SocketAddr>().is_ok_and(|address| address.port() != 0) {
        return true;
    }
    let named = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    text.len() <= crate::types::limits::ADDRESS_TEXT_BYTES_MAX
        && text.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && host.bytes().all(named) && port.parse::<u16>().is_ok_and(|port| port != 0)
        })
}

/// Whether an address is no single machine's.
fn leads_nowhere(text: &str) -> bool {
    text.parse::<SocketAddr>().is_ok_and(|address| {
        let ip = address.ip();
        let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        ip.is_unspecified() || ip.is_multicast() || is_broadcast
    })
}

/// Whether a text is the name of a host, with or without a port.
fn is_seed(text: &str) -> bool {
    is_host_and_port(text) || !text.contains(':') && is_host(text)
}

/// Whether a text is a name or an address, without a port.
fn is_host(text: &str) -> bool {
    let named = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    text.parse::<IpAddr>().is_ok() || !text.is_empty() && text.bytes().all(named)
}

/// Whether a text is what a browser calls a page's origin.
fn is_origin(text: &str) -> bool {
    let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    authority.is_some_and(|authority| is_host(authority) || is_host_and_port(authority))
}

/// Whether a text is `name:salt$hash` or `name:salt$hash:role`.
fn is_rpc_user(text: &str) -> bool {
    let parts = text.split_once(':').and_then(|(name, rest)| Some((name, rest.split_once('$')?)));
    parts.is_some_and(|(name, (salt, rest))| {
        let (hash, role) = rest.split_once(':').unwrap_or((rest, RpcRole::Admin.name()));
        !name.is_empty()
            && name != "__cookie__"
            && !salt.is_empty()
            && hash.len() == 64
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
            && RpcRole::of_name(role).is_some()
    })
}

#[cfg(test)]
mod tests;
