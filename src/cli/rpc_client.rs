//! How commands find a node and talk to it.
//!
//! # Place
//! Commands over RPC flatten [`ConnectionArgs`] and ask it for a [`RpcClient`].
//!
//! Which node: `--rpc URL`, with `--cookie-file F` beside it; else the one of `--config FILE`; else that of
//! `config.toml` in the working directory, unless it does not run and the devnet in `./devnet` does, as running nodes'
//! cookies tell; else node 0 of the devnet in `./devnet`, at `http://127.0.0.1:24201`. The cookie of a node of `./devnet`
//! is found by its port without `--cookie-file`.
//!
//! # Invariants
//! - INV-CLIENT-1: a cookie goes to the node it belongs to and appears in no message.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jsonrpsee::core::ClientError;
use jsonrpsee::core::client::ClientT as _;
use jsonrpsee::core::params::{ArrayParams, BatchRequestBuilder};
use jsonrpsee::http_client::transport::Error as TransportError;
use jsonrpsee::http_client::{HeaderMap, HeaderValue, HttpClient, HttpClientBuilder};
use jsonrpsee::types::ErrorObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ExitKind, output};
use crate::app::devnet::base_port_in;
use crate::rpc::base64;
use crate::rpc::methods::WAIT_MS_MAX;
use crate::rpc::server::RESPONSE_BYTES_MAX;
use crate::rpc::types::ErrorData;
use crate::runtime::{Config, ConfigError, ConfigSources};

/// Where the devnet is unless told otherwise.
pub const DEVNET_DIRECTORY: &str = "devnet";
/// The RPC port of the devnet's node 0, unless it was made with another `--base-port`; node `i` has this plus `2 i`.
pub const DEVNET_RPC_PORT: u16 = 24_201;
/// Nodes of a devnet that are looked for, at most.
const DEVNET_NODES_MAX: u16 = 100;
/// Bytes of a cookie file, at most.
const COOKIE_BYTES_MAX: u64 = 1_024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than any wait of the server.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(WAIT_MS_MAX + 15_000);

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

/// A node's address, and its cookie where one was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it answers.
    pub url: String,
    /// Where its cookie is.
    pub cookie_file: Option<PathBuf>,
}

/// Why a command over RPC failed.
#[derive(Debug, thiserror::Error)]
pub enum RpcCommandError {
    /// Nothing answers there.
    #[error("no node answers at {url}: is it running?")]
    Unreachable {
        /// Where.
        url: String,
    },
    /// It took too long.
    #[error("the node at {url} did not answer in time; it may be overloaded, see its log")]
    Timeout {
        /// Where.
        url: String,
    },
    /// Wrong or no credentials.
    #[error(
        "the node at {url} wants credentials; its cookie changes with every start: \
         give --config FILE or --cookie-file FILE of this node"
    )]
    Unauthorized {
        /// Where.
        url: String,
    },
    /// An HTTP status that is no success.
    #[error("{url} refuses the request with HTTP status {status}; is it a node's RPC address?")]
    Status {
        /// Where.
        url: String,
        /// Which.
        status: u16,
    },
    /// The node said no.
    #[error("{message}{} [{code} {reason}]", hint_suffix(.hint))]
    Refused {
        /// Its error code.
        code: i32,
        /// What it said.
        message: String,
        /// The stable name of the rule.
        reason: String,
        /// What to do about it; may be empty.
        hint: String,
    },
    /// The answer has another shape.
    #[error("the answer of {url} is not understood ({detail}); is the node of the same version?")]
    Malformed {
        /// Where.
        url: String,
        /// What is wrong.
        detail: String,
    },
    /// Not an address.
    #[error("{url} is no RPC address ({detail}); it looks like http://127.0.0.1:24201")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong.
        detail: String,
    },
    /// The cookie can't be read.
    #[error("can't read the cookie {path}: {detail}; is the node running, and are you its user?")]
    Cookie {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// More cookies than addresses.
    #[error("{cookies} --cookie-file for {urls} --rpc: give one for each, in the same order")]
    CookieCount {
        /// How many cookies.
        cookies: usize,
        /// How many addresses.
        urls: usize,
    },
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration has no RPC server.
    #[error("{path} has [rpc] enabled = false: the node answers no commands")]
    RpcDisabled {
        /// Which file.
        path: PathBuf,
    },
    /// The command itself can't be done, in words for people.
    #[error("{0}")]
    Failed(String),
}

fn hint_suffix(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!("; {hint}") }
}

impl RpcCommandError {
    /// Whether the command line is to blame, or what happened then.
    #[must_use]
    pub const fn kind(&self) -> ExitKind {
        match self {
            Self::BadUrl { .. } | Self::CookieCount { .. } | Self::Config(_) | Self::RpcDisabled { .. } => {
                ExitKind::Usage
            }
            _ => ExitKind::Failed,
        }
    }
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
    Endpoint { url: format!("http://127.0.0.1:{port}"), cookie_file: cookie.is_file().then_some(cookie) }
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
    let cookie = config.cookie_path();
    Ok(Endpoint { url: format!("http://{address}"), cookie_file: cookie.is_file().then_some(cookie) })
}

fn read_cookie(path: &Path) -> Result<String, RpcCommandError> {
    let failed = |detail: String| RpcCommandError::Cookie { path: path.to_owned(), detail };
    let length = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if length > COOKIE_BYTES_MAX {
        return Err(failed(format!("{length} bytes are no cookie")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    Ok(text.trim().to_owned())
}

/// Talks to one node.
#[derive(Clone, Debug)]
pub struct RpcClient {
    client: HttpClient,
    url: String,
}

impl RpcClient {
    /// Makes a client; it connects with its first call and keeps connections for further ones.
    ///
    /// # Errors
    /// When the address is none, or the cookie can't be read.
    pub fn connect(endpoint: &Endpoint) -> Result<Self, RpcCommandError> {
        let bad_url = |detail: String| RpcCommandError::BadUrl { url: endpoint.url.clone(), detail };
        if !endpoint.url.starts_with("http://") {
            return Err(bad_url("only plain http is spoken".to_owned()));
        }
        let mut headers = HeaderMap::new();
        if let Some(path) = &endpoint.cookie_file {
            let basic = format!("Basic {}", base64::encode(read_cookie(path)?.as_bytes()));
            let mut value = HeaderValue::from_str(&basic).map_err(|error| bad_url(error.to_string()))?;
            value.set_sensitive(true);
            headers.insert("authorization", value);
        }
        let client = HttpClientBuilder::default()
            .set_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            .request_timeout(REQUEST_TIMEOUT)
            .max_response_size(u32::try_from(RESPONSE_BYTES_MAX).unwrap_or(u32::MAX))
            .build(&endpoint.url)
            .map_err(|error| bad_url(error.to_string()))?;
        Ok(Self { client, url: endpoint.url.clone() })
    }

    /// Where the node is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls a method.
    ///
    /// # Errors
    /// When the node can't be reached, refuses, or answers with another shape.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &[Value],
    ) -> Result<T, RpcCommandError> {
        self.client.request(method, params).await.map_err(|error| self.explain(error))
    }

    /// Submits encoded transactions in one request; answers in their order. At most
    /// [`BATCH_LENGTH_MAX`](crate::rpc::http::BATCH_LENGTH_MAX).
    ///
    /// # Errors
    /// When the whole request failed.
    pub async fn submit_batch(
        &self,
        transactions: &[Vec<u8>],
    ) -> Result<Vec<Result<(), RpcCommandError>>, RpcCommandError> {
        let mut batch = BatchRequestBuilder::new();
        for transaction in transactions {
            let mut params = ArrayParams::new();
            params
                .insert(hex::encode(transaction))
                .and_then(|()| batch.insert("sendrawtransaction", params))
                .map_err(|error| RpcCommandError::Failed(error.to_string()))?;
        }
        let answers = self.client.batch_request::<Value>(batch).await.map_err(|error| self.explain(error))?;
        Ok(answers.into_iter().map(|answer| answer.map(|_| ()).map_err(refused)).collect())
    }

    fn explain(&self, error: ClientError) -> RpcCommandError {
        let url = self.url.clone();
        match error {
            ClientError::Call(object) => refused(object),
            ClientError::RequestTimeout => RpcCommandError::Timeout { url },
            ClientError::ParseError(error) => RpcCommandError::Malformed { url, detail: error.to_string() },
            ClientError::Transport(error) => match error.downcast_ref::<TransportError>() {
                Some(TransportError::Rejected { status_code: 401 }) => RpcCommandError::Unauthorized { url },
                Some(TransportError::Rejected { status_code }) => {
                    RpcCommandError::Status { url, status: *status_code }
                }
                Some(TransportError::Url(detail)) => RpcCommandError::BadUrl { url, detail: detail.clone() },
                _ => RpcCommandError::Unreachable { url },
            },
            other => RpcCommandError::Malformed { url, detail: other.to_string() },
        }
    }
}

fn refused(object: ErrorObject<'_>) -> RpcCommandError {
    let data = object.data().and_then(|data| serde_json::from_str::<ErrorData>(data.get()).ok());
    let (reason, hint) = data.map_or_else(Default::default, |data| (data.reason, data.hint));
    RpcCommandError::Refused { code: object.code(), message: object.message().to_owned(), reason, hint }
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
        assert_eq!(nothing, [Endpoint { url: "http://127.0.0.1:24201".into(), cookie_file: None }]);
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
        assert_eq!((error.kind(), error.to_string().contains("one for each")), (ExitKind::Usage, true));
    }

    #[test]
    fn what_is_no_address_is_a_usage_error() {
        for url in ["https://127.0.0.1:1", "127.0.0.1:1", "http://", "http://:x"] {
            let endpoint = Endpoint { url: url.to_owned(), cookie_file: None };
            let error = RpcClient::connect(&endpoint).unwrap_err();
            assert_eq!(error.kind(), ExitKind::Usage, "{error}");
        }
    }

    #[tokio::test]
    async fn a_silent_place_is_said_in_plain_words() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let client = RpcClient::connect(&Endpoint { url: url.clone(), cookie_file: None }).unwrap();
        let error = client.call::<u64>("getblockcount", &[]).await.unwrap_err();
        assert_eq!(error.to_string(), format!("no node answers at {url}: is it running?"));
    }

    #[test]
    fn a_missing_cookie_names_its_file() {
        let endpoint = Endpoint {
            url: "http://127.0.0.1:1".to_owned(),
            cookie_file: Some("/nonexistent/.cookie".into()),
        };
        assert!(RpcClient::connect(&endpoint).unwrap_err().to_string().contains("/nonexistent/.cookie"));
    }
}
