//! The directory of a development network: configurations, keys and journals of its nodes.
//!
//! # Place
//! `timed devnet` prepares it and runs its nodes; each of them also runs alone, by `timed run --config`.
//!
//! A directory `D` holds `devnet.toml` (which marks it, and says how many validators there are and the first port),
//! `genesis.toml`, and for each node `nodeI/config.toml`, `nodeI/operator.key` and `nodeI/data/`. Node `I` listens for
//! peers on port `24200 + 2 I`, for RPC on the next one, and tells its metrics on port `24400 + I`, all on 127.0.0.1; a
//! devnet with another first port than 24200 has them all as much higher or lower.
//!
//! # Invariants
//! - INV-DEVNET-1: a directory that has no marker is neither used nor deleted, unless it is empty.
//! - INV-DEVNET-2: a node whose configuration exists is left as it is, its journal above all; the configuration is
//!   written last.
//! - INV-DEVNET-3: `--reset` deletes what the devnet made, nothing else, and only while no node of it runs.
//! - INV-DEVNET-6: a devnet that is made anew is a new chain: its genesis time is that of its making, and later than that
//!   of the devnet whose place it takes. So no proof of the old one holds in it, no payment of it counts, and its nodes
//!   are refused.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::create_journal;
use super::networks::{
    DEVNET_VALIDATORS, NetworksError, devnet_genesis_at, devnet_identity_key, devnet_operator_key,
    devnet_port,
};
use crate::runtime::key_file::{SecretFileError, create_key_file};
use crate::runtime::{Clock, Config, ConfigError, ConfigSources, io_advice};
use crate::storage::{DirectoryLock, StorageError};
use crate::types::genesis::GenesisError;
use crate::types::{ChainId, GenesisDocument, Network, TimeMs};

/// So much higher than its port for peers is the one on which node 0 tells its metrics; node `i` has that plus `i`.
const METRICS_PORT_OFFSET: u16 = 200;
/// The file that marks a devnet's directory.
pub const MARKER_FILE: &str = "devnet.toml";
/// The devnet's genesis document, in its directory.
pub const GENESIS_FILE: &str = "genesis.toml";
const LOG_FILE: &str = "devnet.log";
const LOCK_FILE: &str = "LOCK";
const CONFIG_FILE: &str = "config.toml";
const OPERATOR_KEY_FILE: &str = "operator.key";
/// Cache of each node's index in 1,000,000 bytes: there are several nodes on the machine.
const CACHE_MB: u64 = 32;

/// Why there is no devnet.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// Something else lives there.
    #[error("{path} is not empty and holds no devnet; choose another directory by --dir")]
    NotADevnet {
        /// The directory.
        path: PathBuf,
    },
    /// Nothing lives there.
    #[error("{path} holds no devnet; name its directory by --dir")]
    NoDevnet {
        /// The directory.
        path: PathBuf,
    },
    /// The devnet there has another number of validators.
    #[error(
        "the devnet in {path} has {found} validators; leave --validators away, or start anew with --reset"
    )]
    OtherValidators {
        /// The directory.
        path: PathBuf,
        /// How many it has.
        found: usize,
    },
    /// The devnet there has other ports, or another block interval.
    #[error(
        "the devnet in {path} has {what} {found}; leave {flag} away, or start anew with --reset, or in another --dir"
    )]
    OtherNumber {
        /// The directory.
        path: PathBuf,
        /// Which number.
        what: &'static str,
        /// What it is there.
        found: u64,
        /// The flag that says otherwise.
        flag: &'static str,
    },
    /// Blocks would be rarer than epochs.
    #[error(
        "a devnet's epoch is {epoch_ms} ms, and a block interval of {interval_ms} ms is longer: choose a shorter one"
    )]
    LongInterval {
        /// The epoch, in milliseconds.
        epoch_ms: u64,
        /// The interval, in milliseconds.
        interval_ms: u64,
    },
    /// The marker can't be understood.
    #[error("{path} does not say how many validators there are; restore it, or remove the directory")]
    Marker {
        /// The marker.
        path: PathBuf,
    },
    /// Its nodes are there, its genesis document is not.
    #[error(
        "{path} is missing, and the nodes beside it belong to its chain; restore it, or start anew with --reset"
    )]
    NoGenesis {
        /// Where it should be.
        path: PathBuf,
    },
    /// Its genesis document can't be read.
    #[error(transparent)]
    Networks(#[from] NetworksError),
    /// Not a possible network.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// A node's configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key can't be written.
    #[error(transparent)]
    SecretFile(#[from] SecretFileError),
    /// A journal can't be made, or the directory is in use.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file or directory can't be made or read.
    #[error("{path}: {source}{}", io_advice(source))]
    Io {
        /// Which one.
        path: PathBuf,
        /// The file system's reason.
        source: std::io::Error,
    },
}

fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> DevnetError + '_ {
    move |source| DevnetError::Io { path: path.to_owned(), source }
}

/// What is asked of a devnet; where nothing is, an existing one stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct DevnetWishes {
    /// How many validators; 4 of a new one unless it is said.
    pub validators: Option<usize>,
    /// The port for peers of node 0; 24200 of a new one unless it is said.
    pub base_port: Option<u16>,
    /// How long after a block the next one is due; 2 s of a new one unless it is said.
    pub block_interval: Option<Duration>,
}

/// What the marker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marker {
    validators: usize,
    base_port: u16,
}

/// The port for peers of node 0 of the devnet in a directory; the usual one where there is no devnet.
#[must_use]
pub fn base_port_in(directory: &Path) -> u16 {
    read_marker(&directory.join(MARKER_FILE))
        .map_or(Network::Devnet.default_port(), |marker| marker.base_port)
}

/// How many validators the devnet in a directory has.
///
/// # Errors
/// When there is none, or its marker can't be understood.
pub fn validators_in(directory: &Path) -> Result<usize, DevnetError> {
    let marker = directory.join(MARKER_FILE);
    if !marker.exists() {
        return Err(DevnetError::NoDevnet { path: directory.to_owned() });
    }
    Ok(read_marker(&marker)?.validators)
}

/// Marks a directory as that of a devnet, which [`Devnet::prepare`] then completes.
///
/// # Errors
/// When it can't be written.
pub fn write_marker(directory: &Path, validators: usize, base_port: u16) -> Result<(), DevnetError> {
    write(&directory.join(MARKER_FILE), &marker_text(Marker { validators, base_port }))
}

/// One node of a devnet.
#[derive(Clone, Debug)]
pub struct DevnetNode {
    /// `node0` and so on.
    pub name: String,
    /// Its directory.
    pub directory: PathBuf,
    /// Its configuration file.
    pub config_path: PathBuf,
    /// What that file says.
    pub config: Config,
}

/// A devnet's directory, held for this process.
#[derive(Debug)]
pub struct Devnet {
    /// The directory, absolute.
    pub directory: PathBuf,
    /// Its nodes in order.
    pub nodes: Vec<DevnetNode>,
    /// The chain's name.
    pub chain_id: ChainId,
    /// Whether the directory was there before.
    pub existed: bool,
    _lock: DirectoryLock,
}

impl Devnet {
    /// Opens the devnet in a directory, or makes one.
    ///
    /// # Errors
    /// See [`DevnetError`].
    pub fn prepare(directory: &Path, wishes: &DevnetWishes, reset: bool) -> Result<Self, DevnetError> {
        let directory = std::path::absolute(directory).map_err(io_error(directory))?;
        let marker = directory.join(MARKER_FILE);
        if !marker.exists() && !is_empty(&directory)? {
            return Err(DevnetError::NotADevnet { path: directory });
        }
        let lock = DirectoryLock::acquire(&directory)?;
        let genesis = directory.join(GENESIS_FILE);
        let mut time_ms = Clock.now_ms();
        if reset && marker.exists() {
            if let Some(old_ms) = genesis_time(&genesis) {
                // Whatever the clock did meanwhile.
                time_ms = time_ms.max(old_ms.saturating_add(1));
            }
            remove(&directory, &marker)?;
        }
        let existed = marker.exists();
        let shape = if existed { existing(&directory, &marker, wishes)? } else { wishes.shape() };
        let document = wishes.document(shape, time_ms)?;
        if !existed {
            write(&marker, &marker_text(shape))?;
        }
        let document = genesis_in(&genesis, document)?;
        let found = document.parameters.block_interval_ms;
        if wishes.interval_ms().is_some_and(|wanted| wanted != found) {
            let (what, flag) = ("a block interval in milliseconds of", "--block-interval");
            return Err(DevnetError::OtherNumber { path: directory, what, found, flag });
        }
        let chain_id = document.chain_id();
        let nodes = (0..shape.validators)
            .map(|index| prepare_node(&directory, index, shape, (chain_id, has_own_ports(&document, shape))))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { directory, nodes, chain_id, existed, _lock: lock })
    }

    /// Deletes it again: for one that was just made, and can't start.
    ///
    /// # Errors
    /// When a file can't be deleted.
    pub fn discard(self) -> Result<(), DevnetError> {
        remove(&self.directory, &self.directory.join(MARKER_FILE))
    }

    /// Where its genesis document is.
    #[must_use]
    pub fn genesis_path(&self) -> PathBuf {
        self.directory.join(GENESIS_FILE)
    }

    /// Where the log goes while all nodes run in one process.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.directory.join(LOG_FILE)
    }
}

impl DevnetWishes {
    fn shape(&self) -> Marker {
        Marker {
            validators: self.validators.unwrap_or(DEVNET_VALIDATORS),
            base_port: self.base_port.unwrap_or(Network::Devnet.default_port()),
        }
    }

    fn interval_ms(&self) -> Option<u64> {
        self.block_interval.map(|interval| u64::try_from(interval.as_millis()).unwrap_or(u64::MAX))
    }

    /// The document of a new devnet, checked.
    fn document(&self, shape: Marker, time_ms: TimeMs) -> Result<GenesisDocument, DevnetError> {
        let mut document = devnet_genesis_at(shape.validators, time_ms);
        for (index, masternode) in document.masternodes.iter_mut().enumerate() {
            masternode.network_address = local(devnet_port(shape.base_port, index)).to_string();
        }
        if let Some(interval_ms) = self.interval_ms() {
            document.parameters.block_interval_ms = interval_ms;
            let epoch_ms = document.parameters.epoch_duration_ms;
            if interval_ms > epoch_ms {
                return Err(DevnetError::LongInterval { epoch_ms, interval_ms });
            }
        }
        document.check()?;
        Ok(document)
    }
}

/// What the marker of an existing devnet says, if the wishes are the same.
fn existing(directory: &Path, marker: &Path, wishes: &DevnetWishes) -> Result<Marker, DevnetError> {
    let found = read_marker(marker)?;
    let path = directory.to_owned();
    if wishes.validators.is_some_and(|wanted| wanted != found.validators) {
        return Err(DevnetError::OtherValidators { path, found: found.validators });
    }
    if wishes.base_port.is_some_and(|wanted| wanted != found.base_port) {
        let (what, found, flag) = ("the first port", u64::from(found.base_port), "--base-port");
        return Err(DevnetError::OtherNumber { path, what, found, flag });
    }
    Ok(found)
}

fn local(port: Option<u16>) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or_default()))
}

fn is_empty(directory: &Path) -> Result<bool, DevnetError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(source) => return Err(DevnetError::Io { path: directory.to_owned(), source }),
    };
    for entry in entries {
        // The lock's file remains of a start that failed, and of a reset.
        if entry.map_err(io_error(directory))?.file_name() != LOCK_FILE {
            return Ok(false);
        }
    }
    Ok(true)
}

fn marker_text(Marker { validators, base_port }: Marker) -> String {
    format!(
        "# Made by `timed devnet`. This file marks the directory as a devnet's.\nvalidators = {validators}\n\
         base_port = {base_port}\n"
    )
}

fn read_marker(path: &Path) -> Result<Marker, DevnetError> {
    let text = std::fs::read_to_string(path).map_err(io_error(path))?;
    let marker = text.parse::<toml::Table>().ok().and_then(|table| {
        let number = |key: &str| table.get(key).map(|value| value.as_integer());
        let validators = usize::try_from(number("validators")??).ok()?;
        // Older devnets say nothing of it.
        let base_port = match number("base_port") {
            Some(port) => u16::try_from(port?).ok()?,
            None => Network::Devnet.default_port(),
        };
        Some(Marker { validators, base_port })
    });
    marker.ok_or_else(|| DevnetError::Marker { path: path.to_owned() })
}

fn node_directory(directory: &Path, index: usize) -> PathBuf {
    directory.join(format!("node{index}"))
}

/// Deletes what the devnet made; the marker last, so that a second attempt can finish the first.
fn remove(directory: &Path, marker: &Path) -> Result<(), DevnetError> {
    let nodes: Vec<PathBuf> = (0..read_marker(marker)?.validators)
        .map(|index| node_directory(directory, index))
        .filter(|node| node.exists())
        .collect();
    let data: Vec<PathBuf> =
        nodes.iter().map(|node| node.join("data")).filter(|data| data.exists()).collect();
    let locks = data.iter().map(|data| DirectoryLock::acquire(data)).collect::<Result<Vec<_>, _>>()?;
    for node in &nodes {
        std::fs::remove_dir_all(node).map_err(io_error(node))?;
    }
    drop(locks);
    for path in [directory.join(GENESIS_FILE), directory.join(LOG_FILE), marker.to_owned()] {
        if path.exists() {
            std::fs::remove_file(&path).map_err(io_error(&path))?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), DevnetError> {
    std::fs::write(path, text).map_err(io_error(path))
}

/// The time of the document in the file, if there is one that can be read.
fn genesis_time(path: &Path) -> Option<TimeMs> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(GenesisDocument::from_toml(&text).ok()?.time_ms)
}

/// The document in the file; makes the file, whole or not at all, as long as no node needs the one that was there.
fn genesis_in(path: &Path, document: GenesisDocument) -> Result<GenesisDocument, DevnetError> {
    if path.exists() {
        let text = std::fs::read_to_string(path).map_err(io_error(path))?;
        return Ok(GenesisDocument::from_toml(&text)?);
    }
    if path.with_file_name("node0").exists() {
        return Err(DevnetError::NoGenesis { path: path.to_owned() });
    }
    let draft = path.with_extension("toml.new");
    write(&draft, &document.to_toml()?)?;
    std::fs::rename(&draft, path).map_err(io_error(path))?;
    Ok(document)
}

fn prepare_node(
    directory: &Path,
    index: usize,
    shape: Marker,
    (chain_id, own_ports): (ChainId, bool),
) -> Result<DevnetNode, DevnetError> {
    let name = format!("node{index}");
    let home = node_directory(directory, index);
    let config_path = home.join(CONFIG_FILE);
    if !config_path.exists() {
        let data = home.join("data");
        std::fs::create_dir_all(&data).map_err(io_error(&data))?;
        let operator = devnet_operator_key(index);
        for (path, key) in [
            (data.join("node.key"), devnet_identity_key(index)),
            (home.join(OPERATOR_KEY_FILE), operator.clone()),
        ] {
            // An attempt before this one may have got here.
            if !path.exists() {
                create_key_file(&path, &key)?;
            }
        }
        match create_journal(&data, chain_id, operator.public()) {
            Ok(()) | Err(StorageError::JournalExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        write(&config_path, &config_text(index, shape, own_ports))?;
    }
    // Without the environment: what it says of a node can't be true of each.
    let config =
        Config::load(&ConfigSources { file: Some(config_path.clone()), ..ConfigSources::default() })?;
    Ok(DevnetNode { name, directory: home, config_path, config })
}

/// Whether the nodes listen where the chain says. A copy that does not leaves those alone who do: the same keys vote there.
fn has_own_ports(document: &GenesisDocument, shape: Marker) -> bool {
    let listens =
        |(index, address): (usize, &str)| address == local(devnet_port(shape.base_port, index)).to_string();
    document.masternodes.iter().map(|masternode| masternode.network_address.as_str()).enumerate().all(listens)
}

fn config_text(index: usize, shape: Marker, own_ports: bool) -> String {
    let (count, base) = (shape.validators, shape.base_port);
    let metrics =
        u16::try_from(index).ok().and_then(|index| base.checked_add(METRICS_PORT_OFFSET)?.checked_add(index));
    let p2p = devnet_port(base, index);
    let mut peers = String::new();
    for other in (0..count).filter(|other| *other != index) {
        let separator = if peers.is_empty() { "" } else { ", " };
        // Writing into a String can't fail.
        let _ = write!(peers, "{separator}\"{}\"", local(devnet_port(base, other)));
    }
    let connections = count.max(64);
    let registered = if own_ports {
        ""
    } else {
        "# The addresses of the chain's masternodes are those of the devnet that this one is a copy of.\n\
         dial_registered = false\n"
    };
    format!(
        r#"# Node {index} of the devnet in the directory above, made by `timed devnet`. It also runs alone:
#
#   timed run --config config.toml
#
# Its keys are public. Paths are relative to this file's directory.

[node]
network = "devnet"
genesis = "../{GENESIS_FILE}"
data_dir = "data"
name = "node{index}"

[network]
listen_address = "{p2p}"
bootstrap_peers = [{peers}]
max_inbound = {connections}
max_outbound = {connections}
{registered}
[rpc]
listen_address = "{rpc}"

[sync]
# All nodes are your own.
trust_peers = true

[storage]
cache_mb = {CACHE_MB}

[masternode]
enabled = true
operator_key = "{OPERATOR_KEY_FILE}"

[metrics]
enabled = true
listen_address = "{metrics}"
"#,
        p2p = local(p2p),
        rpc = local(p2p.and_then(|port| port.checked_add(1))),
        metrics = local(metrics),
    )
}

#[cfg(test)]
mod tests;
