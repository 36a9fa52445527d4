//! The directory of a development network: configurations, keys and journals of its nodes.
//!
//! # Place
//! `timed devnet` prepares it and runs its nodes; each of them also runs alone, by `timed run --config`.
//!
//! A directory `D` holds `devnet.toml` (which marks it, and says how many validators there are), `genesis.toml`, and for
//! each node `nodeI/config.toml`, `nodeI/operator.key` and `nodeI/data/`. Node `I` listens for peers on port
//! `24200 + 2 I`, for RPC on the next one, and tells its metrics on port `24400 + I`, all on 127.0.0.1.
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

use super::create_journal;
use super::networks::{
    devnet_genesis_at, devnet_identity_key, devnet_operator_key, devnet_p2p_port, devnet_rpc_port,
};
use crate::runtime::key_file::{SecretFileError, create_key_file};
use crate::runtime::{Clock, Config, ConfigError, ConfigSources};
use crate::storage::{DirectoryLock, StorageError};
use crate::types::genesis::GenesisError;
use crate::types::{ChainId, GenesisDocument, TimeMs};

/// The port on which node 0 tells its metrics; node `i` has this plus `i`.
pub const METRICS_PORT: u16 = 24_400;
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
    #[error("{path}: {source}")]
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
    /// Opens the devnet in a directory, or makes one. Without a number of validators it is that of the existing devnet,
    /// or `default_validators`.
    ///
    /// # Errors
    /// See [`DevnetError`].
    pub fn prepare(
        directory: &Path,
        validators: Option<usize>,
        default_validators: usize,
        reset: bool,
    ) -> Result<Self, DevnetError> {
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
        let count = match (existed, validators) {
            (true, wanted) => {
                let found = read_marker(&marker)?;
                if wanted.is_some_and(|wanted| wanted != found) {
                    return Err(DevnetError::OtherValidators { path: directory, found });
                }
                found
            }
            (false, wanted) => wanted.unwrap_or(default_validators),
        };
        let document = devnet_genesis_at(count, time_ms);
        document.check()?;
        if !existed {
            write(&marker, &marker_text(count))?;
        }
        let document = genesis_in(&genesis, document)?;
        let chain_id = document.chain_id();
        let nodes = (0..count)
            .map(|index| prepare_node(&directory, index, count, chain_id))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { directory, nodes, chain_id, existed, _lock: lock })
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

fn marker_text(validators: usize) -> String {
    format!(
        "# Made by `timed devnet`. This file marks the directory as a devnet's.\nvalidators = {validators}\n"
    )
}

fn read_marker(path: &Path) -> Result<usize, DevnetError> {
    let text = std::fs::read_to_string(path).map_err(io_error(path))?;
    let validators = text.parse::<toml::Table>().ok().and_then(|table| {
        let validators = table.get("validators")?.as_integer()?;
        usize::try_from(validators).ok()
    });
    validators.ok_or_else(|| DevnetError::Marker { path: path.to_owned() })
}

fn node_directory(directory: &Path, index: usize) -> PathBuf {
    directory.join(format!("node{index}"))
}

/// Deletes what the devnet made; the marker last, so that a second attempt can finish the first.
fn remove(directory: &Path, marker: &Path) -> Result<(), DevnetError> {
    let nodes: Vec<PathBuf> = (0..read_marker(marker)?)
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
    count: usize,
    chain_id: ChainId,
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
        write(&config_path, &config_text(index, count))?;
    }
    // Without the environment: what it says of a node can't be true of each.
    let config =
        Config::load(&ConfigSources { file: Some(config_path.clone()), ..ConfigSources::default() })?;
    Ok(DevnetNode { name, directory: home, config_path, config })
}

fn config_text(index: usize, count: usize) -> String {
    let local = |port: Option<u16>| SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or_default()));
    let metrics = u16::try_from(index).ok().and_then(|index| METRICS_PORT.checked_add(index));
    let mut peers = String::new();
    for other in (0..count).filter(|other| *other != index) {
        let separator = if peers.is_empty() { "" } else { ", " };
        // Writing into a String can't fail.
        let _ = write!(peers, "{separator}\"{}\"", local(devnet_p2p_port(other)));
    }
    let connections = count.max(64);
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

[rpc]
listen_address = "{rpc}"

[storage]
cache_mb = {CACHE_MB}

[masternode]
enabled = true
operator_key = "{OPERATOR_KEY_FILE}"

[metrics]
enabled = true
listen_address = "{metrics}"
"#,
        p2p = local(devnet_p2p_port(index)),
        rpc = local(devnet_rpc_port(index)),
        metrics = local(metrics),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::networks::load_genesis;
    use crate::runtime::key_file::read_key_file;
    use crate::storage::RealDisk;
    use crate::storage::journal::{JournalIdentity, JournalWriter};

    fn prepare(directory: &Path, validators: Option<usize>, reset: bool) -> Result<Devnet, DevnetError> {
        Devnet::prepare(directory, validators, 4, reset)
    }

    #[test]
    fn each_node_can_be_run_alone_and_finds_the_others() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("a/devnet");
        let devnet = prepare(&directory, Some(5), false).unwrap();
        assert_eq!((devnet.nodes.len(), devnet.existed), (5, false));
        let genesis = load_genesis(&devnet.nodes[0].config).unwrap();
        assert_eq!((devnet.chain_id, genesis.masternodes.len()), (genesis.chain_id(), 5));
        let mut ports = Vec::new();
        for (index, node) in devnet.nodes.iter().enumerate() {
            let config = &node.config;
            assert_eq!(load_genesis(config).unwrap(), genesis);
            let operator = read_key_file(config.masternode.operator_key.as_ref().unwrap()).unwrap();
            assert_eq!(operator.public(), devnet_operator_key(index).public());
            let identity = read_key_file(&config.identity_key_path()).unwrap();
            assert_eq!(identity.public(), devnet_identity_key(index).public());
            let journal = JournalIdentity { chain_id: devnet.chain_id, operator: Some(operator.public()) };
            assert!(JournalWriter::open(RealDisk, &config.node.data_dir.join("votes"), journal).is_ok());
            let own = config.network.listen_address.to_string();
            assert_eq!(config.network.bootstrap_peers.len(), 4);
            assert!(!config.network.bootstrap_peers.contains(&own));
            ports.extend([
                config.network.listen_address,
                config.rpc.listen_address,
                config.metrics.listen_address,
            ]);
        }
        let used = ports.len();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), used);
    }

    /// INV-DEVNET-2.
    #[test]
    fn an_existing_devnet_goes_on_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        let config_path = prepare(place.path(), Some(3), false).unwrap().nodes[1].config_path.clone();
        let text = std::fs::read_to_string(&config_path).unwrap().replace("cache_mb = 32", "cache_mb = 17");
        std::fs::write(&config_path, text).unwrap();
        let again = prepare(place.path(), None, false).unwrap();
        assert_eq!(
            (again.nodes.len(), again.existed, again.nodes[1].config.storage.cache_mb),
            (3, true, crate::runtime::config::CacheSize::Megabytes(17))
        );
        drop(again);
        let error = prepare(place.path(), Some(4), false).unwrap_err();
        assert!(matches!(error, DevnetError::OtherValidators { found: 3, .. }), "{error}");
    }

    #[test]
    fn an_interrupted_start_is_completed() {
        let place = tempfile::tempdir().unwrap();
        let begun = prepare(place.path(), None, false).unwrap();
        let (chain_id, config_path) = (begun.chain_id, begun.nodes[3].config_path.clone());
        drop(begun);
        std::fs::remove_file(&config_path).unwrap();
        let completed = prepare(place.path(), None, false).unwrap();
        assert_eq!((completed.nodes.len(), completed.chain_id), (4, chain_id));
        assert!(config_path.exists());
        let genesis = completed.genesis_path();
        drop(completed);
        std::fs::remove_file(&genesis).unwrap();
        let error = prepare(place.path(), None, false).unwrap_err();
        assert!(matches!(error, DevnetError::NoGenesis { .. }), "another document is another chain: {error}");
    }

    /// INV-DEVNET-6.
    #[test]
    fn a_devnet_that_is_made_anew_is_a_new_chain() {
        let place = tempfile::tempdir().unwrap();
        let genesis = |devnet: &Devnet| load_genesis(&devnet.nodes[0].config).unwrap();
        let first = prepare(place.path(), None, false).unwrap();
        let (old, path) = (genesis(&first), first.genesis_path());
        assert!(old.time_ms.abs_diff(Clock.now_ms()) < 600_000, "it begins now");
        drop(first);
        // As if the clock had been set back since.
        let mut ahead = old.clone();
        ahead.time_ms += 1_000_000_000;
        std::fs::write(&path, ahead.to_toml().unwrap()).unwrap();
        let second = prepare(place.path(), None, true).unwrap();
        let new = genesis(&second);
        assert_eq!(new.time_ms, ahead.time_ms + 1);
        assert_eq!(second.chain_id, new.chain_id());
        assert!(second.chain_id != old.chain_id() && second.chain_id != ahead.chain_id());
        assert_eq!((old.allocations, old.masternodes), (new.allocations, new.masternodes), "all else stays");
    }

    /// INV-DEVNET-3.
    #[test]
    fn a_reset_deletes_what_the_devnet_made_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let devnet = prepare(place.path(), Some(5), false).unwrap();
        let block = devnet.nodes[4].config.node.data_dir.join("block");
        drop(devnet);
        for path in [&place.path().join("wallet.json"), &block] {
            std::fs::write(path, "x").unwrap();
        }
        let fresh = prepare(place.path(), Some(4), true).unwrap();
        assert_eq!((fresh.nodes.len(), fresh.existed), (4, false));
        assert!(place.path().join("wallet.json").exists() && !block.exists());
    }

    /// INV-DEVNET-1.
    #[test]
    fn what_runs_or_belongs_to_others_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("thesis.tex"), "x").unwrap();
        for reset in [false, true] {
            assert!(matches!(prepare(place.path(), None, reset), Err(DevnetError::NotADevnet { .. })));
        }
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
        let directory = place.path().join("devnet");
        let devnet = prepare(&directory, None, false).unwrap();
        let in_use = |outcome| matches!(outcome, Err(DevnetError::Storage(StorageError::InUse { .. })));
        assert!(in_use(prepare(&directory, None, true)));
        let data = devnet.nodes[2].config.node.data_dir.clone();
        drop(devnet);
        let running = DirectoryLock::acquire(&data).unwrap();
        assert!(in_use(prepare(&directory, None, true)));
        assert!(directory.join("node0/config.toml").exists());
        drop(running);
        assert!(prepare(&directory, None, true).is_ok());
    }

    #[test]
    fn impossible_numbers_of_validators_leave_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        for validators in [0, 2, 101] {
            assert!(matches!(prepare(place.path(), Some(validators), false), Err(DevnetError::Genesis(_))));
            assert!(!place.path().join(MARKER_FILE).exists());
        }
    }
}
