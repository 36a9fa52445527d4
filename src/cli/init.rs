//! `timed init`: writes a commented config.toml and keys for a new node.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::genesis_source::{self, Found};
use super::{CliError, output};
use crate::app::create_journal;
use crate::app::networks::{NetworksError, read_genesis};
use crate::runtime::config::{MempoolConfig, NetworkConfig, RpcConfig, StorageConfig};
use crate::runtime::key_file::{SecretFileError, create_key_file, generate_key, sync_directory_of};
use crate::runtime::{Config, ConfigSources};
use crate::types::{GenesisDocument, Network, PublicKey};

const CONFIG_FILE: &str = "config.toml";
const GENESIS_FILE: &str = "genesis.toml";
const OPERATOR_KEY_FILE: &str = "operator.key";
/// Masternodes of the genesis document that a new node is told to dial; it learns of the others from them.
const FIRST_PEERS: usize = 4;

/// Flags of `timed init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which network the node joins.
    #[arg(long)]
    network: Network,
    /// The directory for its configuration, keys and data.
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// The network's genesis document, which is copied there; without it, for a devnet, that of the one that runs on this
    /// machine or is in ./devnet.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Make an operator key too, and configure a masternode.
    #[arg(long)]
    masternode: bool,
    /// Its port for peers; RPC answers on the next one, metrics on the one after. For several nodes on one machine.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65_533))]
    port: Option<u16>,
    /// Print JSON: where the files are, and the operator key.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, serde::Serialize)]
struct Made<'a> {
    config: &'a Path,
    data_dir: &'a Path,
    identity_key: &'a Path,
    /// The genesis document, if there was one to copy.
    genesis: Option<&'a Path>,
    /// The operator key's file, which is secret, and the public key that goes into a genesis document or a registration.
    operator_key_file: Option<&'a Path>,
    operator_key: Option<PublicKey>,
}

/// Runs `timed init`. What exists is never overwritten.
///
/// # Errors
/// When a file exists or can't be written, or the genesis document is none of the network.
pub async fn run(args: &Args) -> Result<(), CliError> {
    let found = match (&args.genesis, args.network) {
        (Some(path), expected) => {
            let (document, path) = (read_genesis(path)?, path.clone());
            if document.network != expected {
                return Err(NetworksError::OtherNetwork { path, found: document.network, expected }.into());
            }
            Some(Found { document, place: path.display().to_string() })
        }
        (None, Network::Devnet) => genesis_source::running(Path::new("."), &[]).await?,
        (None, Network::Mainnet | Network::Testnet) => None,
    };
    if let Some(found) = found.as_ref().filter(|_| args.network == Network::Devnet) {
        output::notice(genesis_source::warning(found));
    }
    write(args, found.as_ref().map(|found| &found.document))
}

fn write(args: &Args, genesis: Option<&GenesisDocument>) -> Result<(), CliError> {
    let config_path = args.home.join(CONFIG_FILE);
    let genesis_path = args.home.join(GENESIS_FILE);
    let operator_key_path = args.home.join(OPERATOR_KEY_FILE);
    let data_dir = args.home.join(Config::of_network(args.network).node.data_dir);
    let identity_key_path = {
        let mut config = Config::of_network(args.network);
        config.node.data_dir.clone_from(&data_dir);
        config.identity_key_path()
    };
    // All before any is written, so that a refusal leaves nothing half done.
    let operator_key = args.masternode.then_some(&operator_key_path);
    let optional = operator_key.into_iter().chain(genesis.map(|_| &genesis_path));
    for path in [&config_path, &identity_key_path].into_iter().chain(optional) {
        if path.exists() {
            return Err(SecretFileError::Exists { path: path.clone() }.into());
        }
    }
    create_directory(&data_dir)?;
    create_key_file(&identity_key_path, &generate_key()?)?;
    if let Some(genesis) = genesis {
        write_new(&genesis_path, &genesis.to_toml()?)?;
    }
    let mut public_key = None;
    if args.masternode {
        let key = generate_key()?;
        create_key_file(&operator_key_path, &key)?;
        public_key = Some(key.public());
        if !args.json {
            output::line(format_args!("operator key {}", key.public()))?;
        }
        // Without the document `timed votes new` has to do this.
        if let Some(genesis) = genesis {
            create_journal(&data_dir, genesis.chain_id(), key.public())?;
        }
    }
    write_new(&config_path, &config_text(args, genesis))?;
    // What was written is what a node will read.
    Config::load(&ConfigSources { file: Some(config_path.clone()), ..ConfigSources::default() })?;
    let operator_key = operator_key.map(PathBuf::as_path);
    if args.json {
        let made = Made {
            config: &config_path,
            data_dir: &data_dir,
            identity_key: &identity_key_path,
            genesis: genesis.map(|_| genesis_path.as_path()),
            operator_key_file: operator_key,
            operator_key: public_key,
        };
        output::line(json!(made))?;
    } else {
        output::line(format_args!("wrote {}", config_path.display()))?;
    }
    for step in next_steps(args.network, genesis.is_some(), operator_key, &config_path) {
        output::notice(step);
    }
    Ok(())
}

/// What an operator does next; `operator_key` is its file, for a masternode.
fn next_steps(
    network: Network,
    has_genesis: bool,
    operator_key: Option<&Path>,
    config: &Path,
) -> Vec<String> {
    let mut steps = vec!["Next:".to_owned()];
    match network {
        _ if has_genesis => {}
        Network::Devnet => {
            steps.push("  start a devnet (timed devnet): its genesis document is taken from it".to_owned());
        }
        Network::Mainnet | Network::Testnet => {
            steps.push(format!("  put the genesis document of {network} beside it as {GENESIS_FILE}"));
        }
    }
    if operator_key.is_some() && !has_genesis {
        steps.push(format!(
            "  then make the vote journal; the key is new and has never signed, so: timed votes new --force --config {}",
            config.display()
        ));
    }
    if network != Network::Devnet && !has_genesis {
        steps.push("  name first peers by [network] bootstrap_peers".to_owned());
    }
    if operator_key.is_some() {
        steps.push("  back the operator key up, and never run two nodes with it".to_owned());
    }
    let config = config.display();
    steps.push(format!("  timed --config {config}"));
    if let Some(key) = operator_key {
        let key = key.display();
        steps.push(format!("  once `timed status --config {config}` says that it follows the chain:"));
        steps.push(format!(
            "  timed masternode register --config {config} --operator-key {key} --tier bronze --address HOST:PORT --dry-run"
        ));
        steps.push(
            "  which says what is missing; without --dry-run it votes from the next epoch on".to_owned(),
        );
    }
    steps
}

fn create_directory(path: &Path) -> Result<(), CliError> {
    std::fs::create_dir_all(path).map_err(|source| CliError::Io { path: path.to_owned(), source })
}

fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| sync_directory_of(path))
        .map_err(|source| CliError::Io { path: path.to_owned(), source })
}

fn mempool_text(defaults: &MempoolConfig) -> String {
    let MempoolConfig { max_transactions, max_bytes, expiry_s } = defaults;
    format!(
        "# max_transactions = {max_transactions}\n# max_bytes = {max_bytes}\n# Transactions that are not certified within \
         this time are forgotten, in seconds.\n# expiry_s = {expiry_s}"
    )
}

fn network_text((listen, peers): (SocketAddr, &str), port: u16, defaults: &NetworkConfig) -> String {
    let NetworkConfig { max_inbound, max_outbound, dial_registered, .. } = defaults;
    format!(
        r#"[network]
# Where peers connect to.
listen_address = "{listen}"
# host:port under which others reach this node, when it is not the address above.
# external_address = "node.example:{port}"
# Whether to ask the router to forward the port (UPnP), and to tell peers the address that it says, if none is set above.
# upnp = false
# host:port of the first peers.
bootstrap_peers = {peers}
# Names by which a node that knows hardly any peer finds some, each of a host, with a port or without.
# dns_seeds = []
# "public", or "behind_sentry": then the peers above are the only ones that are dialled and let in, and nobody is told of this
# node. These peers, its sentries, are public nodes that name it among their own bootstrap_peers.
# mode = "public"
# Connections that others opened, and that this node opens, at most.
# max_inbound = {max_inbound}
# max_outbound = {max_outbound}
# Whether the addresses of the chain's masternodes are dialled at the start, too. Not so in a copy of a network, which is to
# leave the original alone.
# dial_registered = {dial_registered}"#
    )
}

fn rpc_text(listen: SocketAddr, defaults: &RpcConfig) -> String {
    format!(
        r#"[rpc]
# enabled = true
listen_address = "{listen}"
# "cookie" (the file .cookie in data_dir; users count too), "users", or "none" (read methods only, on loopback only).
# auth = "cookie"
# "name:salt$hash:role" as `timed generate rpcauth NAME --role ROLE` prints it; the role is read (methods that change
# nothing), wallet (and sendrawtransaction) or admin (all). Bitcoin Core's rpcauth, without a role, is an admin.
# users = []
# Hosts (without a port) by which a proxy or another machine may speak of this node, beside its addresses and localhost.
# allowed_hosts = []
# Web pages that may ask this node and read its answers, beside its own: "https://shop.example". Credentials they need all
# the same.
# allowed_origins = []
# max_connections = {max_connections}"#,
        max_connections = defaults.max_connections,
    )
}

fn storage_text(defaults: &StorageConfig) -> String {
    let StorageConfig { engine, cache_mb, min_free_mb, snapshots, .. } = defaults;
    let engine = engine.name();
    format!(
        r#"[storage]
# What keeps the index: "sled", or "fjall", which stays fast with many millions of outputs. The index is built anew.
# engine = "{engine}"
# Cache of the index in 1,000,000 bytes, sled may take 2.5 times as much; "auto" takes a part of the machine's memory.
# cache_mb = "{cache_mb}"
# With less room than this on the data directory's disk, in 1,000,000 bytes, the node stops before a write fails; 0 turns that off.
# min_free_mb = {min_free_mb}
# The oldest blocks are left out when all of them take more than so many 1,000,000 bytes (at least 550), or are older than so
# many days; 0 keeps them. What proofs of later payments need is kept, and so is every block since the oldest snapshot.
# prune = 0
# prune_days = 0
# Snapshots that are kept, by which new nodes join; each takes some 90 bytes an unspent output. 0 makes none.
# snapshots = {snapshots}
# A snapshot is made at the end of every so manieth epoch; 0 chooses what comes to about an hour.
# snapshot_every_epochs = 0

[sync]
# What a node without blocks begins with: "auto" takes a snapshot if the chain has 10,000 blocks or more, "snapshot" whenever
# peers have one, "blocks" executes everything from block 1 and so knows the whole history.
# from = "auto"
# A block that is known to be of the chain, as HEIGHT:HASH. A node that joins a chain older than its unbonding time needs one,
# or that was away for longer, since keys of that time may be anybody's by now: ask a node or an explorer that you trust for
# its best block. No other block is taken in its place, and nothing is signed below it.
# checkpoint = "120000:9f2c5a7d0b1e4c6f8a3d5b7e9c1f2a4d6b8e0c3f5a7d9b1e4c6f8a0d2b5e7c91"
# Whether to believe the majority of one's peers in place of a checkpoint, at one's own risk.
# trust_peers = false"#
    )
}

/// Masternodes of the genesis document that a new node dials first, as a TOML array.
fn first_peers(genesis: &GenesisDocument) -> String {
    let addresses = genesis.masternodes.iter().map(|masternode| masternode.network_address.as_str());
    let quoted: Vec<String> = addresses.take(FIRST_PEERS).map(|address| format!("{address:?}")).collect();
    format!("[{}]", quoted.join(", "))
}

/// Where a new node listens for peers, for RPC, and for who asks for metrics.
fn addresses(args: &Args, defaults: &Config) -> [SocketAddr; 3] {
    // A second node on the devnet's machine needs ports of its own.
    let shift = if args.network == Network::Devnet { 100 } else { 0 };
    let first = args.port.unwrap_or(args.network.default_port().saturating_add(shift));
    let place = |address: SocketAddr, place| SocketAddr::new(address.ip(), first.saturating_add(place));
    [
        place(defaults.network.listen_address, 0),
        place(defaults.rpc.listen_address, 1),
        place(defaults.metrics.listen_address, 2),
    ]
}

/// The configuration with its comments: what differs by network and role is set, the rest shows its defaults.
fn config_text(args: &Args, genesis: Option<&GenesisDocument>) -> String {
    let (network, masternode) = (args.network, args.masternode);
    let defaults = Config::of_network(network);
    let unset = if genesis.is_some() || network != Network::Devnet { "" } else { "# " };
    let peers = match (network, genesis) {
        (_, Some(genesis)) => first_peers(genesis),
        (Network::Devnet, None) => format!("[\"127.0.0.1:{}\"]", network.default_port()),
        (Network::Mainnet | Network::Testnet, None) => "[]".to_owned(),
    };
    let [p2p, rpc, metrics] = addresses(args, &defaults);
    let mut text = format!(
        r#"# Configuration of a TIME Coin node on {network}.
#
# Every key can also be set as an environment variable TIMED_SECTION__KEY, such as TIMED_RPC__ENABLED=false, which
# wins over this file. Keys that are commented out show their defaults. Paths are relative to this file's directory.

[node]
network = "{network}"
# Blocks, votes, index, the node's identity key and the RPC cookie.
data_dir = "data"
# The genesis document. A devnet's is taken from the one that runs on this machine when none is named.
{unset}genesis = "{GENESIS_FILE}"
# A name for people, shown to peers.
# name = ""

{network_section}

{rpc_section}

{storage_section}

[consensus]
# A masternode gathers votes this long, four times as long when there are many, and then sends them together.
# vote_interval_ms = {vote_interval_ms}

[mempool]
{mempool}
"#,
        network_section = network_text((p2p, &peers), network.default_port(), &defaults.network),
        rpc_section = rpc_text(rpc, &defaults.rpc),
        storage_section = storage_text(&defaults.storage),
        vote_interval_ms = defaults.consensus.vote_interval_ms,
        mempool = mempool_text(&defaults.mempool),
    );
    let off = if masternode { "" } else { "# " };
    // Writing into a String can't fail.
    let _ = write!(
        text,
        r#"
[masternode]
# Vote with the operator key of this file.
{off}enabled = {masternode}
{off}operator_key = "{OPERATOR_KEY_FILE}"

[metrics]
# Prometheus: GET /metrics.
# enabled = false
listen_address = "{metrics}"

[logging]
# off, error, warn, info, debug or trace, then levels of single modules: "info,timed::network=debug".
# level = "info"
# "pretty" or "json".
# format = "pretty"
# Instead of standard output. SIGHUP reopens it, after a rotation by another program, and reads the level again.
# file = "timed.log"
# Before the file is larger than so many 1,000,000 bytes it becomes timed.log.1, and that timed.log.2; 0 leaves the
# rotation to another program.
# max_file_mb = {max_file_mb}
# Rotated files that are kept.
# max_old_files = {max_old_files}
"#,
        max_file_mb = defaults.logging.max_file_mb,
        max_old_files = defaults.logging.max_old_files,
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::networks::{devnet_genesis, load_genesis};
    use crate::runtime::key_file::read_key_file;

    fn load(home: &Path) -> Config {
        Config::load(&ConfigSources { file: Some(home.join(CONFIG_FILE)), ..ConfigSources::default() })
            .unwrap()
    }

    #[test]
    fn what_it_writes_is_a_configuration_with_its_keys() {
        let devnet = devnet_genesis(4);
        for (network, genesis) in [
            (Network::Mainnet, None),
            (Network::Testnet, None),
            (Network::Devnet, None),
            (Network::Devnet, Some(&devnet)),
        ] {
            for masternode in [false, true] {
                let place = tempfile::tempdir().unwrap();
                let home = place.path().join("new/home");
                let args =
                    Args { network, home: home.clone(), genesis: None, masternode, port: None, json: false };
                write(&args, genesis).unwrap();
                let config = load(&home);
                assert_eq!(config.node.network, network);
                assert_eq!(config.masternode.enabled, masternode);
                assert_eq!(config.node.genesis.is_none(), network == Network::Devnet && genesis.is_none());
                assert_eq!(home.join("data/votes").exists(), masternode && genesis.is_some());
                if let Some(genesis) = genesis {
                    assert_eq!(load_genesis(&config).unwrap(), *genesis);
                }
                let identity = read_key_file(&config.identity_key_path()).unwrap();
                match &config.masternode.operator_key {
                    Some(path) => assert_ne!(read_key_file(path).unwrap().public(), identity.public()),
                    None => assert!(!masternode),
                }
            }
        }
    }

    #[tokio::test]
    async fn a_document_that_is_given_is_copied_and_must_fit() {
        let place = tempfile::tempdir().unwrap();
        let (home, file) = (place.path().join("home"), place.path().join("given.toml"));
        std::fs::write(&file, devnet_genesis(5).to_toml().unwrap()).unwrap();
        let mut args = Args {
            network: Network::Testnet,
            home: home.clone(),
            genesis: Some(file),
            masternode: true,
            port: Some(7),
            json: false,
        };
        let refused = run(&args).await.unwrap_err();
        assert!(matches!(refused, CliError::Networks(NetworksError::OtherNetwork { .. })), "{refused}");
        assert!(!home.exists());
        args.network = Network::Devnet;
        run(&args).await.unwrap();
        let config = load(&home);
        assert_eq!(load_genesis(&config).unwrap(), devnet_genesis(5));
        let ports = [config.network.listen_address, config.rpc.listen_address, config.metrics.listen_address];
        assert_eq!(ports.map(|address| address.port()), [7, 8, 9]);
    }

    #[test]
    fn a_node_of_a_network_of_ones_own_dials_its_founders() {
        let place = tempfile::tempdir().unwrap();
        let (home, network) = (place.path().join("home"), Network::Testnet);
        let mut genesis = devnet_genesis(5);
        genesis.network = network;
        let args =
            Args { network, home: home.clone(), genesis: None, masternode: false, port: None, json: false };
        write(&args, Some(&genesis)).unwrap();
        let config = load(&home);
        assert_eq!(config.network.bootstrap_peers.len(), FIRST_PEERS);
        assert_eq!(config.network.bootstrap_peers[3], genesis.masternodes[3].network_address);
        assert_eq!(config.network.listen_address.port(), network.default_port());
    }

    /// Founders of a network make their journals before it runs: one that waits for an epoch to end would wait for ever.
    #[test]
    fn a_new_key_without_a_journal_is_told_how_to_make_one_that_signs_at_once() {
        let key = Path::new("operator.key");
        let steps = |has_genesis, key| {
            next_steps(Network::Testnet, has_genesis, key, Path::new("config.toml")).join("\n")
        };
        assert!(steps(false, Some(key)).contains("timed votes new --force --config config.toml"));
        assert!(!steps(true, Some(key)).contains("votes new") && !steps(false, None).contains("votes new"));
    }

    /// The keys that are commented out are known ones, with their defaults.
    #[test]
    fn comments_tell_the_truth() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(CONFIG_FILE);
        let key_and_value = |line: &str| {
            line.strip_prefix("# ")
                .filter(|rest| rest.split_once(" = ").is_some_and(|(k, _)| !k.contains(' ')))
                .map(str::to_owned)
        };
        let args = Args {
            network: Network::Mainnet,
            home: place.path().to_owned(),
            genesis: None,
            masternode: false,
            port: None,
            json: false,
        };
        let text = config_text(&args, None);
        for value in Config::examine(&ConfigSources::default()).values {
            let section = text.split(&format!("\n[{}]\n", value.section)).nth(1).unwrap();
            let section = section.split("\n[").next().unwrap();
            let is_shown = section.lines().any(|line| {
                line.trim_start_matches("# ")
                    .strip_prefix(value.key)
                    .is_some_and(|rest| rest.starts_with(" = "))
            });
            assert!(is_shown, "{}.{} is not shown", value.section, value.key);
        }
        let uncommented: Vec<String> =
            text.lines().map(|line| key_and_value(line).unwrap_or_else(|| line.to_owned())).collect();
        std::fs::write(&path, uncommented.join("\n")).unwrap();
        let mut config = load(place.path());
        let defaults = Config::of_network(Network::Mainnet);
        // These have no default; what stands there is an example.
        config.node.genesis = None;
        config.network.external_address = None;
        config.masternode.operator_key = None;
        config.logging.file = None;
        config.sync.checkpoint = None;
        config.node.data_dir = defaults.node.data_dir.clone();
        assert_eq!(config, defaults);
    }

    #[test]
    fn nothing_is_overwritten() {
        const FILES: [&str; 4] = ["config.toml", "data/node.key", "operator.key", "genesis.toml"];
        for existing in FILES {
            let place = tempfile::tempdir().unwrap();
            let home = place.path().to_owned();
            std::fs::create_dir(home.join("data")).unwrap();
            std::fs::write(home.join(existing), "mine").unwrap();
            let network = Network::Devnet;
            let args = Args {
                network,
                home: home.clone(),
                genesis: None,
                masternode: true,
                port: None,
                json: false,
            };
            let error = write(&args, Some(&devnet_genesis(4)));
            assert!(matches!(error, Err(CliError::SecretFile(SecretFileError::Exists { .. }))), "{existing}");
            assert_eq!(std::fs::read_to_string(home.join(existing)).unwrap(), "mine");
            assert_eq!(FILES.iter().filter(|file| home.join(file).exists()).count(), 1);
        }
    }
}
