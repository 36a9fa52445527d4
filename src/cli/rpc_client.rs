//! How commands find a node and talk to it.
//!
//! # Place
//! Commands over RPC flatten [`ConnectionArgs`] and ask it for a [`RpcClient`].
//!
//! Which node: `--rpc URL`, with `--cookie-file F` beside it; else the one of `--config FILE`; else that of
//! `config.toml` in the working directory, unless it does not run and the devnet in `./devnet` does, as running nodes'
//! cookies tell; else node 0 of the devnet in `./devnet`, at `http://127.0.0.1:24201`. The cookie of a node of `./devnet`
//! is found by its port without `--cookie-file`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output;
use crate::app::devnet::base_port_in;
use crate::runtime::{Config, ConfigSources};

pub use crate::rpc::client::{Endpoint, RpcClient, RpcCommandError};

/// Where the devnet is unless told otherwise.
pub const DEVNET_DIRECTORY: &str = "devnet";
/// The RPC port of the devnet's node 0, unless it was made with another `--base-port`; node `i` has this plus `2 i`.
pub const DEVNET_RPC_PORT: u16 = 24_201;
/// Nodes of a devnet that are looked for, at most.
const DEVNET_NODES_MAX: u16 = 100;
/// Which node a command talks to.
#[derive(Args, Clone, Debug, Default)]
pub struct ConnectionArgs {
    /// The node's configuration file, which tells its RPC address and cookie
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The node's RPC address, such as http://127.0.0.1:24201
    #[arg(long = "rpc", value_name = "URL")]
    pub urls: Vec<String>,
    /// The node's cookie file; one for each --rpc, in the same order
    #[arg(long = "cookie-file", value_name = "FILE")]
    pub cookie_files: Vec<PathBuf>,
}

/// Writes a line to standard output.
pub(super) fn say(line: &str) -> Result<(), RpcCommandError> {
    output::line(line).map_err(|error| RpcCommandError::Failed(error.to_string()))
}

/// Writes JSON to standard output.
pub(super) fn say_json<T: serde::Serialize>(value: &T) -> Result<(), RpcCommandError> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| RpcCommandError::Failed(error.to_string()))?;
    say(&text)
}

impl ConnectionArgs {
    /// All nodes that the arguments name: at least one.
    ///
    /// # Errors
    /// When cookies and addresses don't fit, or the configuration is wrong.
    pub fn endpoints(&self, directory: &Path) -> Result<Vec<Endpoint>, RpcCommandError> {
        if !self.urls.is_empty() {
            return self.named(directory);
        }
        let default = directory.join("config.toml");
        let devnet = directory.join(DEVNET_DIRECTORY);
        let first_of_devnet = || devnet_node(&devnet, base_port_in(&devnet), 0);
        let mut endpoint = match &self.config {
            Some(path) => configured(path)?,
            None if default.is_file() => {
                let (own, devnet) = (configured(&default)?, first_of_devnet());
                if own.cookie_file.is_none() && devnet.cookie_file.is_some() { devnet } else { own }
            }
            None => first_of_devnet(),
        };
        match self.cookie_files.as_slice() {
            [] => {}
            [only] => endpoint.cookie_file = Some(only.clone()),
            more => return Err(RpcCommandError::CookieCount { cookies: more.len(), urls: 1 }),
        }
        Ok(vec![endpoint])
    }

    fn named(&self, directory: &Path) -> Result<Vec<Endpoint>, RpcCommandError> {
        let (cookies, urls) = (self.cookie_files.len(), self.urls.len());
        if cookies != 0 && cookies != urls {
            return Err(RpcCommandError::CookieCount { cookies, urls });
        }
        let devnet = devnet_nodes(&directory.join(DEVNET_DIRECTORY));
        let found = |url: &str| {
            let url = url.trim_end_matches('/').replace("//localhost:", "//127.0.0.1:");
            devnet.iter().find(|node| node.url == url).and_then(|node| node.cookie_file.clone())
        };
        Ok(self
            .urls
            .iter()
            .enumerate()
            .map(|(index, url)| Endpoint {
                url: url.clone(),
                cookie_file: self.cookie_files.get(index).cloned().or_else(|| found(url)),
                missing_cookie: None,
            })
            .collect())
    }

    /// As [`Self::endpoints`], but all nodes of `./devnet` when nothing was given and there is one: what a load
    /// generator wants.
    ///
    /// # Errors
    /// As there.
    pub fn all_endpoints(&self, directory: &Path) -> Result<Vec<Endpoint>, RpcCommandError> {
        let nodes = devnet_nodes(&directory.join(DEVNET_DIRECTORY));
        if self.urls.is_empty() && self.config.is_none() && !nodes.is_empty() {
            return Ok(nodes);
        }
        self.endpoints(directory)
    }

    /// A client of the first node that the arguments name, with `.` as the working directory.
    ///
    /// # Errors
    /// As [`Self::endpoints`]; or when the cookie can't be read.
    pub fn client(&self) -> Result<RpcClient, RpcCommandError> {
        let endpoints = self.endpoints(Path::new("."))?;
        match endpoints.first() {
            Some(endpoint) => RpcClient::connect(endpoint),
            None => Err(RpcCommandError::Failed("no node was named".to_owned())),
        }
    }
}

/// Node `index` of a devnet whose node 0 has this port for peers.
fn devnet_node(devnet: &Path, base_port: u16, index: u16) -> Endpoint {
    let port = base_port.saturating_add(1).saturating_add(index.saturating_mul(2));
    let cookie = devnet.join(format!("node{index}")).join("data").join(".cookie");
    Endpoint::with_cookie_at(format!("http://127.0.0.1:{port}"), cookie)
}

/// The running nodes of a devnet.
fn devnet_nodes(devnet: &Path) -> Vec<Endpoint> {
    let base_port = base_port_in(devnet);
    (0..DEVNET_NODES_MAX)
        .map(|index| devnet_node(devnet, base_port, index))
        .filter(|node| node.cookie_file.is_some())
        .collect()
}

fn configured(path: &Path) -> Result<Endpoint, RpcCommandError> {
    let config = Config::load(&ConfigSources::of_process(Some(path.to_owned())))?;
    if !config.rpc.enabled {
        return Err(RpcCommandError::RpcDisabled { path: path.to_owned() });
    }
    let mut address = config.rpc.listen_address;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    Ok(Endpoint::with_cookie_at(format!("http://{address}"), config.cookie_path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(list: &[&str]) -> Vec<String> {
        list.iter().map(|url| (*url).to_owned()).collect()
    }

    #[test]
    fn nodes_are_found_in_the_documented_order() {
        let home = tempfile::tempdir().unwrap();
        let nothing = ConnectionArgs::default().endpoints(home.path()).unwrap();
        let url = "http://127.0.0.1:24201".to_owned();
        assert_eq!(nothing, [Endpoint::with_cookie_at(url, home.path().join("devnet/node0/data/.cookie"))]);
        assert_eq!(nothing[0].cookie_file, None);
        for index in [0, 1] {
            let data = home.path().join(format!("devnet/node{index}/data"));
            std::fs::create_dir_all(&data).unwrap();
            std::fs::write(data.join(".cookie"), "__cookie__:x").unwrap();
        }
        let cookie = |index| Some(home.path().join(format!("devnet/node{index}/data/.cookie")));
        let first = ConnectionArgs::default().endpoints(home.path()).unwrap();
        assert_eq!(first[0].cookie_file, cookie(0));
        let all = ConnectionArgs::default().all_endpoints(home.path()).unwrap();
        assert_eq!(
            all.iter().map(|node| node.url.as_str()).collect::<Vec<_>>(),
            ["http://127.0.0.1:24201", "http://127.0.0.1:24203"]
        );
        let named = ConnectionArgs {
            urls: urls(&["http://localhost:24203/", "http://127.0.0.1:9"]),
            ..ConnectionArgs::default()
        };
        let named = named.endpoints(home.path()).unwrap();
        assert_eq!((named[0].cookie_file.clone(), named[1].cookie_file.clone()), (cookie(1), None));
    }

    #[test]
    fn a_devnet_with_other_ports_is_found_by_its_directory() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("devnet")).unwrap();
        std::fs::write(home.path().join("devnet/devnet.toml"), "validators = 4\nbase_port = 30000\n")
            .unwrap();
        let found = ConnectionArgs::default().endpoints(home.path()).unwrap();
        assert_eq!(found[0].url, "http://127.0.0.1:30001");
    }

    #[test]
    fn the_shipped_configuration_does_not_hide_a_running_devnet() {
        let home = tempfile::tempdir().unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
        std::fs::copy(shipped, home.path().join("config.toml")).unwrap();
        let url = || ConnectionArgs::default().endpoints(home.path()).unwrap()[0].url.clone();
        assert_eq!(url(), "http://127.0.0.1:24301", "nothing runs");
        let run = |data: &str| {
            let data = home.path().join(data);
            std::fs::create_dir_all(&data).unwrap();
            std::fs::write(data.join(".cookie"), "__cookie__:x").unwrap();
        };
        run("devnet/node0/data");
        assert_eq!(url(), "http://127.0.0.1:24201", "the devnet runs");
        run("data");
        assert_eq!(url(), "http://127.0.0.1:24301", "both run");
    }

    /// INV-CLIENT-1.
    #[test]
    fn each_address_has_its_own_cookie() {
        let args = ConnectionArgs {
            urls: urls(&["http://127.0.0.1:1", "http://127.0.0.1:2"]),
            cookie_files: vec!["a".into()],
            ..ConnectionArgs::default()
        };
        let error = args.endpoints(Path::new("/nonexistent")).unwrap_err();
        assert!(error.to_string().contains("one for each"), "{error}");
        assert_eq!(crate::cli::CliError::from(error).kind(), crate::cli::ExitKind::Usage);
    }
}
