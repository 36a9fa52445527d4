//! A client of one node's RPC, with its cookie.
//!
//! # Place
//! `cli/` finds out which node is meant and calls it by this, and so does `devnet/`.
//!
//! # Invariants
//! - INV-CLIENT-1: a cookie goes to the node it belongs to and appears in no message.
//!
//! # Bounds
//! A connection is made in 5 s; an answer has [`RESPONSE_BYTES_MAX`] at most and comes within the longest wait of a method
//! and 15 s.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jsonrpsee::core::ClientError;
use jsonrpsee::core::client::ClientT as _;
use jsonrpsee::core::params::{ArrayParams, BatchRequestBuilder};
use jsonrpsee::http_client::transport::Error as TransportError;
use jsonrpsee::http_client::{HeaderMap, HeaderValue, HttpClient, HttpClientBuilder};
use jsonrpsee::types::ErrorObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::base64;
use super::methods::WAIT_MS_MAX;
use super::server::RESPONSE_BYTES_MAX;
use super::types::ErrorData;
use crate::runtime::ConfigError;
use crate::storage::DirectoryLock;

/// Bytes of a cookie file, at most.
const COOKIE_BYTES_MAX: u64 = 1_024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than any wait of the server.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(WAIT_MS_MAX + 15_000);

/// A node's address, and its cookie where one was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it answers.
    pub url: String,
    /// Where its cookie is.
    pub cookie_file: Option<PathBuf>,
    /// Where there is none although its configuration says so: it matters once the node wants one.
    pub missing_cookie: Option<PathBuf>,
}

impl Endpoint {
    /// A node that is asked without credentials.
    #[must_use]
    pub const fn without_cookie(url: String) -> Self {
        Self { url, cookie_file: None, missing_cookie: None }
    }

    /// The process that has the data directory of the cookie.
    fn process(&self) -> Option<u32> {
        let cookie = self.cookie_file.as_ref().or(self.missing_cookie.as_ref())?;
        DirectoryLock::holder(cookie.parent()?)
    }

    /// A node with its cookie, if that is there.
    #[must_use]
    pub fn with_cookie_at(url: String, cookie: PathBuf) -> Self {
        let none = Self::without_cookie(url);
        match cookie.is_file() {
            true => Self { cookie_file: Some(cookie), ..none },
            false => Self { missing_cookie: Some(cookie), ..none },
        }
    }
}

/// Why a command over RPC failed.
#[derive(Debug, thiserror::Error)]
pub enum RpcCommandError {
    /// Nothing answers there.
    #[error("{}", silence_words(url, *process))]
    Unreachable {
        /// Where.
        url: String,
        /// The process that holds the node's data directory, where that is known.
        process: Option<u32>,
    },
    /// It took too long.
    #[error("the node at {url} did not answer in time; it may be overloaded, see its log")]
    Timeout {
        /// Where.
        url: String,
    },
    /// Wrong or no credentials.
    #[error("the node at {} {}", endpoint.url, credentials_advice(endpoint))]
    Unauthorized {
        /// Where, and with which cookie.
        endpoint: Box<Endpoint>,
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

/// A process with the directory starts, stops or hangs: whoever asks need not start another one.
fn silence_words(url: &str, process: Option<u32>) -> String {
    match process {
        Some(process) => format!(
            "the node at {url} does not answer yet: process {process} has its data directory, and starts or stops; its log \
             says how far it is"
        ),
        None => format!(
            "no node answers at {url}: is it running? Another one is named by --config FILE or --rpc URL"
        ),
    }
}

/// What to do when a node wants other credentials.
fn credentials_advice(endpoint: &Endpoint) -> String {
    match (&endpoint.cookie_file, &endpoint.missing_cookie) {
        (Some(path), _) => format!(
            "does not take the cookie {}, which changes with every start: is it this node's, and of its last start?",
            path.display()
        ),
        (None, Some(path)) => format!(
            "wants credentials, and there is no cookie {}: does the node run with the [node] data_dir of this \
             configuration? Another cookie is named by --cookie-file FILE",
            path.display()
        ),
        (None, None) => "wants credentials: give --config FILE or --cookie-file FILE of this node".to_owned(),
    }
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
    endpoint: Endpoint,
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
        Ok(Self { client, endpoint: endpoint.clone() })
    }

    /// Where the node is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.endpoint.url
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
        let url = self.endpoint.url.clone();
        match error {
            ClientError::Call(object) => refused(object),
            ClientError::RequestTimeout => RpcCommandError::Timeout { url },
            ClientError::ParseError(error) => RpcCommandError::Malformed { url, detail: error.to_string() },
            ClientError::Transport(error) => match error.downcast_ref::<TransportError>() {
                Some(TransportError::Rejected { status_code: 401 }) => {
                    RpcCommandError::Unauthorized { endpoint: Box::new(self.endpoint.clone()) }
                }
                Some(TransportError::Rejected { status_code }) => {
                    RpcCommandError::Status { url, status: *status_code }
                }
                Some(TransportError::Url(detail)) => RpcCommandError::BadUrl { url, detail: detail.clone() },
                _ => RpcCommandError::Unreachable { url, process: self.endpoint.process() },
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

    #[test]
    fn what_is_no_address_is_refused() {
        for url in ["https://127.0.0.1:1", "127.0.0.1:1", "http://", "http://:x"] {
            let endpoint = Endpoint::without_cookie(url.to_owned());
            let error = RpcClient::connect(&endpoint).unwrap_err();
            assert!(matches!(error, RpcCommandError::BadUrl { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn a_silent_place_is_said_in_plain_words() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let client = RpcClient::connect(&Endpoint::without_cookie(url.clone())).unwrap();
        let error = client.call::<u64>("getblockcount", &[]).await.unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("no node answers at {url}: is it running? ")),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_node_that_starts_is_not_said_to_be_down() {
        let home = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::acquire(home.path()).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let endpoint = Endpoint::with_cookie_at(url, home.path().join(".cookie"));
        let asked = async || {
            let client = RpcClient::connect(&endpoint).unwrap();
            client.call::<u64>("getblockcount", &[]).await.unwrap_err().to_string()
        };
        let said = asked().await;
        assert!(said.contains(&format!("process {} has its data directory", std::process::id())), "{said}");
        drop(lock);
        assert!(asked().await.starts_with("no node answers"));
    }

    #[test]
    fn a_missing_cookie_names_its_file() {
        let endpoint = Endpoint {
            url: "http://127.0.0.1:1".to_owned(),
            cookie_file: Some("/nonexistent/.cookie".into()),
            missing_cookie: None,
        };
        assert!(RpcClient::connect(&endpoint).unwrap_err().to_string().contains("/nonexistent/.cookie"));
    }

    #[test]
    fn who_is_refused_learns_which_cookie_was_meant() {
        let home = tempfile::tempdir().unwrap();
        let cookie = home.path().join(".cookie");
        let words =
            |endpoint: Endpoint| RpcCommandError::Unauthorized { endpoint: Box::new(endpoint) }.to_string();
        let of = || Endpoint::with_cookie_at("http://127.0.0.1:1".to_owned(), cookie.clone());
        let missing = words(of());
        assert!(
            missing.contains("there is no cookie") && missing.contains(cookie.to_str().unwrap()),
            "{missing}"
        );
        std::fs::write(&cookie, "__cookie__:x").unwrap();
        let refused = words(of());
        assert!(refused.contains(&format!("does not take the cookie {}", cookie.display())), "{refused}");
        let none = words(Endpoint::without_cookie("http://127.0.0.1:1".to_owned()));
        assert!(none.contains("--cookie-file") && !none.contains("there is no"), "{none}");
    }
}
