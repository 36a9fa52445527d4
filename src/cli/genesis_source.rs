//! Which genesis document a command of the devnet means when none is named.
//!
//! # Place
//! Each devnet is a chain of its own, so nothing about it is compiled in. `run` and `votes` call [`complete`], `init`
//! calls [`running`], what works without a network calls [`beside`].
//!
//! A node joins the devnet that its peers are of, so it asks that one first, by RPC on this machine: RPC is
//! on the port above that for peers. A devnet that does not run is found in `./devnet`, as all tools find its cookies. What a node has joined once is
//! kept in its data directory. A file at a well-known place would have been the alternative; it outlives its devnet, and
//! a container or another user does not see it.
//!
//! # Invariants
//! - INV-GENESIS-SOURCE-1: nothing is looked for on other networks than the devnet, whose keys are public. There the
//!   operator names the document.
//! - INV-GENESIS-SOURCE-2: a data directory of one devnet is never used for another one: that is an error that says so.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::CliError;
use super::rpc_client::{DEVNET_DIRECTORY, DEVNET_RPC_PORT, Endpoint, RpcClient};
use crate::app::devnet::GENESIS_FILE;
use crate::app::networks::{DEVNET_VALIDATORS, NetworksError, read_genesis};
use crate::rpc::types::GenesisInfo;
use crate::runtime::Config;
use crate::types::{GenesisDocument, Network};

/// A node that does not answer in this time is passed over.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Nodes that are asked, at most.
const ASKED_MAX: usize = 8;

/// A genesis document, and where it comes from in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) document: GenesisDocument,
    pub(super) place: String,
}

/// The document of the devnet in `directory`, running or not.
pub(super) fn beside(directory: &Path) -> Result<Option<Found>, CliError> {
    let path = directory.join(DEVNET_DIRECTORY).join(GENESIS_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let document = of_devnet(&path)?;
    Ok(Some(Found { document, place: path.display().to_string() }))
}

/// The document of the devnet that runs on this machine, or else of the one in `directory`. `peers` are the first peers
/// of the node that is to join it.
pub(super) async fn running(directory: &Path, peers: &[String]) -> Result<Option<Found>, CliError> {
    for url in urls(peers) {
        if let Some(document) = ask(&url).await {
            return Ok(Some(Found { document, place: format!("the node at {url}") }));
        }
    }
    beside(directory)
}

fn of_devnet(path: &Path) -> Result<GenesisDocument, CliError> {
    let document = read_genesis(path)?;
    if document.network != Network::Devnet {
        let (path, found, expected) = (path.to_owned(), document.network, Network::Devnet);
        return Err(NetworksError::OtherNetwork { path, found, expected }.into());
    }
    Ok(document)
}

/// Where nodes of a devnet answer RPC: one port above those of the peers on this machine; those of its first nodes where
/// no peer is named.
fn urls(peers: &[String]) -> Vec<String> {
    let above = |peer: &String| {
        let address: SocketAddr = peer.parse().ok()?;
        let port = address.port().checked_add(1)?;
        address.ip().is_loopback().then(|| SocketAddr::new(address.ip(), port).to_string())
    };
    let first = |index: usize| {
        let offset = u16::try_from(index).unwrap_or_default().saturating_mul(2);
        format!("127.0.0.1:{}", DEVNET_RPC_PORT.saturating_add(offset))
    };
    let addresses: Vec<String> = match peers {
        [] => (0..DEVNET_VALIDATORS).map(first).collect(),
        peers => peers.iter().filter_map(above).take(ASKED_MAX).collect(),
    };
    addresses.iter().map(|address| format!("http://{address}")).collect()
}

/// What a node says, if one answers there and is of a devnet.
async fn ask(url: &str) -> Option<GenesisDocument> {
    let client = RpcClient::connect(&Endpoint::without_cookie(url.to_owned())).ok()?;
    let answer = tokio::time::timeout(ANSWER_MAX, client.call::<GenesisInfo>("getgenesis", &[])).await;
    let told = answer.ok()?.ok()?;
    let document = GenesisDocument::from_toml(&told.toml).ok()?;
    (document.network == Network::Devnet && document.chain_id() == told.chain_id).then_some(document)
}

/// Where the document of the devnet that a node has joined is kept.
fn kept_path(config: &Config) -> PathBuf {
    config.node.data_dir.join(GENESIS_FILE)
}

/// Names the genesis document in the configuration of a node of the devnet that names none. `config_path` is where the
/// configuration lies. Gives the place where the document was found, for a warning; `None` when nothing had to be looked
/// for.
///
/// # Errors
/// When there is none, or the data directory is of another devnet.
pub(super) async fn complete(config: &mut Config, config_path: &Path) -> Result<Option<Found>, CliError> {
    if config.node.network != Network::Devnet || config.node.genesis.is_some() {
        return Ok(None);
    }
    let kept = kept_path(config);
    let joined = if kept.is_file() { Some(of_devnet(&kept)?) } else { None };
    let found =
        running(config_path.parent().unwrap_or(Path::new("")), &config.network.bootstrap_peers).await?;
    let found = match (found, joined) {
        (Some(found), Some(joined)) if found.document.chain_id() != joined.chain_id() => {
            return Err(CliError::OtherDevnet {
                data_dir: config.node.data_dir.clone(),
                ours: joined.chain_id(),
                theirs: found.document.chain_id(),
                place: found.place,
            });
        }
        (_, Some(document)) => Found { document, place: kept.display().to_string() },
        (Some(found), None) => {
            keep(&kept, &found.document)?;
            found
        }
        (None, None) => return Err(NetworksError::NoGenesis { network: Network::Devnet }.into()),
    };
    config.node.genesis = Some(kept);
    Ok(Some(found))
}

/// Writes the document whole or not at all.
fn keep(path: &Path, document: &GenesisDocument) -> Result<(), CliError> {
    let failed = |source| CliError::Io { path: path.to_owned(), source };
    let draft = path.with_extension("toml.new");
    let text = document.to_toml()?;
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(failed)?;
    }
    std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, path)).map_err(failed)
}

/// What is said loudly wherever a document was not named.
pub(super) fn warning(found: &Found) -> String {
    format!(
        "WARNING: devnet {}, by the genesis document of {}: everybody knows its keys, nothing on it has a value",
        found.document.chain_id(),
        found.place
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::networks::devnet_genesis_at;
    use crate::cli::ExitKind;
    use crate::rpc::fake_node::FakeNode;
    use crate::rpc::{RpcServer, RpcServerConfig};
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    /// A node whose only peer runs nowhere, so that no devnet of this machine is found.
    fn node(home: &Path) -> Config {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut config = Config::of_network(Network::Devnet);
        config.node.data_dir = home.join("data");
        config.network.bootstrap_peers = vec![format!("127.0.0.1:{}", port.saturating_sub(1))];
        config
    }

    fn devnet(home: &Path, time_ms: u64) -> GenesisDocument {
        let document = devnet_genesis_at(4, time_ms);
        keep(&home.join("devnet/genesis.toml"), &document).unwrap();
        document
    }

    /// INV-GENESIS-SOURCE-2.
    #[tokio::test]
    async fn a_node_joins_the_devnet_beside_it_and_keeps_to_it() {
        let home = tempfile::tempdir().unwrap();
        let config_path = home.path().join("config.toml");
        let mut config = node(home.path());
        let error = complete(&mut config, &config_path).await.unwrap_err();
        assert_eq!(error.kind(), ExitKind::Usage);
        assert!(error.to_string().contains("timed devnet"), "{error}");

        let first = devnet(home.path(), 7);
        let found = complete(&mut config, &config_path).await.unwrap().unwrap();
        assert_eq!(found.document, first);
        assert!(warning(&found).contains("devnet/genesis.toml"), "{}", warning(&found));
        let kept = config.node.genesis.take().unwrap();
        assert_eq!(read_genesis(&kept).unwrap(), first);
        std::fs::remove_dir_all(home.path().join("devnet")).unwrap();
        assert_eq!(complete(&mut config, &config_path).await.unwrap().unwrap().document, first);

        // A devnet that was made anew is another chain.
        config.node.genesis = None;
        let second = devnet(home.path(), 8);
        let error = complete(&mut config, &config_path).await.unwrap_err();
        assert_eq!((error.kind(), config.node.genesis.is_none()), (ExitKind::DataDirectory, true));
        let said = error.to_string();
        for part in [&first.chain_id().to_string(), &second.chain_id().to_string(), "remove"] {
            assert!(said.contains(part), "{said}");
        }
    }

    /// INV-GENESIS-SOURCE-1.
    #[tokio::test]
    async fn what_is_named_and_other_networks_are_left_alone() {
        let home = tempfile::tempdir().unwrap();
        devnet(home.path(), 7);
        let config_path = home.path().join("config.toml");
        let mut named = node(home.path());
        named.node.genesis = Some("mine.toml".into());
        let mut testnet = Config { node: named.node.clone(), ..Config::of_network(Network::Testnet) };
        (testnet.node.network, testnet.node.genesis) = (Network::Testnet, None);
        for config in [&mut named, &mut testnet] {
            let before = config.clone();
            assert_eq!(complete(config, &config_path).await.unwrap(), None);
            assert_eq!(*config, before);
        }
        assert!(!home.path().join("data").exists());
    }

    #[tokio::test]
    async fn what_answers_but_is_no_devnet_is_passed_over() {
        let (token, tracker) = (CancellationToken::new(), TaskTracker::new());
        let config = RpcServerConfig {
            listen_address: "127.0.0.1:0".parse().unwrap(),
            connections_max: 4,
            cookie_path: None,
            users: Vec::new(),
        };
        let server = RpcServer::start(config, FakeNode::funded(), token.clone(), &tracker).await.unwrap();
        let url = format!("http://{}", server.local_address);
        let client = RpcClient::connect(&Endpoint::without_cookie(url.clone())).unwrap();
        assert!(client.call::<GenesisInfo>("getgenesis", &[]).await.is_ok());
        assert_eq!(ask(&url).await, None, "its document has no masternodes");
        token.cancel();
    }

    #[test]
    fn only_peers_on_this_machine_are_asked() {
        let peers =
            ["127.0.0.1:24200", "node.example:24200", "192.0.2.1:24200", "[::1]:9"].map(str::to_owned);
        assert_eq!(urls(&peers), ["http://127.0.0.1:24201", "http://[::1]:10"]);
        assert!(urls(&peers[1..3]).is_empty());
        assert_eq!(urls(&[])[1], "http://127.0.0.1:24203");
    }
}
