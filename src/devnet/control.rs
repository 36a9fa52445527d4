//! Orders to a running devnet, from another process of the same user.
//!
//! # Place
//! `timed devnet` listens at the socket [`SOCKET_FILE`] in the devnet's directory; its verbs connect there. Each request
//! is a line of JSON, and so is its answer. Nothing listens on a port.
//!
//! # Invariants
//! - INV-CONTROL-1: only the user who runs the devnet, and root, are listened to: the socket's mode is 0600, and each
//!   caller's user id is looked at.
//!
//! # Bounds
//! A request has [`REQUEST_BYTES_MAX`] at most and comes within [`REQUEST_TIME_MAX`], an answer has [`ANSWER_BYTES_MAX`].
//! Requests are answered one after the other.

use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::archive::Moved;
use super::error::DevnetError;
use super::fleet::{Fleet, Trouble};
use super::report::Report;

/// The socket, in the devnet's directory.
pub const SOCKET_FILE: &str = "control.sock";
/// Bytes of a request, at most: twice what naming each of 100 nodes takes.
pub const REQUEST_BYTES_MAX: u64 = 8 << 10;
/// Bytes of an answer, at most.
pub const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// How long a request may take to come.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(2);
/// Bytes of a socket's path, at most: Linux has 108 with the zero at the end.
const SOCKET_PATH_BYTES_MAX: usize = 100;
/// Longer than any order takes.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(600);

/// What is asked of a running devnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// What all nodes are.
    Status,
    /// Something is to be done to nodes.
    Trouble {
        /// What.
        what: Trouble,
        /// Which: `node1`, `1`, or `all`.
        nodes: Vec<String>,
    },
    /// The devnet is to be written to a file, by its absolute path.
    Export {
        /// Which one.
        file: PathBuf,
    },
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// How all stands.
    Report(Report),
    /// The devnet is in the file.
    Exported(Moved),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Done(Outcome),
    Error { text: String, usage: bool },
}

/// The path by which a socket in a directory is reached. A long one is gone around by the directory's open handle, which
/// has to be kept until the socket is bound or connected.
fn socket_path(directory: &Path) -> std::io::Result<(PathBuf, Option<std::fs::File>)> {
    let path = directory.join(SOCKET_FILE);
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return Ok((path, None));
    }
    let handle = std::fs::File::open(directory)?;
    let through = format!("/proc/self/fd/{}/{SOCKET_FILE}", handle.as_raw_fd());
    Ok((PathBuf::from(through), Some(handle)))
}

/// The socket of a devnet that runs in this process; it is removed when this is dropped.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Listens in the directory of a devnet, which this process holds.
    ///
    /// # Errors
    /// When there can be no socket.
    pub fn listen(fleet: &Fleet) -> Result<Self, DevnetError> {
        let directory = &fleet.directory().directory;
        let path = directory.join(SOCKET_FILE);
        let failed = |source| DevnetError::Io { path: path.clone(), source };
        // One of a process that was killed; the directory's lock says that it is gone.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let (through, _handle) = socket_path(directory).map_err(failed)?;
        let listener = UnixListener::bind(through).map_err(failed)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self { listener, path })
    }

    /// Obeys requests for ever; `tell` hears what was done, a line for each node.
    pub async fn serve(self, fleet: Arc<Fleet>, tell: impl Fn(String) + Send + Sync) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    // Who goes away without waiting for the answer has asked all the same.
                    let _answered = serve_one(stream, &fleet, &tell).await.is_ok();
                }
                Err(error) => {
                    tracing::warn!(%error, "Accepting an order failed; is the limit of open files too low?");
                    tokio::time::sleep(REQUEST_TIME_MAX).await;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // A socket that is left behind is removed by the next start.
        let _gone = std::fs::remove_file(&self.path).is_ok();
    }
}

async fn serve_one(
    mut stream: UnixStream,
    fleet: &Fleet,
    tell: &(impl Fn(String) + Send + Sync),
) -> std::io::Result<()> {
    // INV-CONTROL-1.
    let (caller, own) = (stream.peer_cred()?.uid(), rustix::process::geteuid());
    if caller != own.as_raw() && caller != rustix::process::Uid::ROOT.as_raw() {
        return Ok(());
    }
    let mut line = String::new();
    let mut reader = BufReader::new((&mut stream).take(REQUEST_BYTES_MAX));
    let read = tokio::time::timeout(REQUEST_TIME_MAX, reader.read_line(&mut line)).await;
    if !matches!(read, Ok(Ok(_))) {
        return Ok(());
    }
    let answer = match serde_json::from_str::<Request>(&line) {
        Ok(request) => match obey(request, fleet).await {
            Ok(Outcome::Exported(moved)) => {
                tell("all nodes were stopped for an export, and started again".to_owned());
                Answer::Done(Outcome::Exported(moved))
            }
            Ok(Outcome::Report(report)) => {
                for done in report.done.iter().filter(|done| done.changed) {
                    tell(format!("{}: {}", done.node, done.text));
                }
                if !report.done.is_empty() {
                    tell(report.outlook.line(None));
                }
                Answer::Done(Outcome::Report(report))
            }
            Err(error) => Answer::Error { usage: error.is_usage(), text: error.to_string() },
        },
        Err(error) => Answer::Error { text: format!("the order is not understood: {error}"), usage: true },
    };
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

async fn obey(request: Request, fleet: &Fleet) -> Result<Outcome, DevnetError> {
    Ok(match request {
        Request::Status => Outcome::Report(fleet.report().await),
        Request::Trouble { what, nodes } => Outcome::Report(fleet.trouble(what, &nodes).await?),
        Request::Export { file } => Outcome::Exported(fleet.export(file).await?),
    })
}

/// Gives an order to the devnet that runs in a directory, and tells what came of it.
///
/// # Errors
/// When none runs there, or it refuses.
pub async fn order(directory: &Path, request: &Request) -> Result<Outcome, DevnetError> {
    let shown = || directory.display().to_string();
    let none_runs = |_| DevnetError::NoneRuns { directory: shown() };
    let path = || directory.join(SOCKET_FILE);
    let (through, _handle) = socket_path(directory).map_err(none_runs)?;
    let mut stream = match UnixStream::connect(through).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(DevnetError::io(path())(error));
        }
        Err(error) => return Err(none_runs(error)),
    };
    let malformed = |detail: String| DevnetError::Malformed { directory: shown(), detail };
    let mut text = serde_json::to_string(request).map_err(|error| malformed(error.to_string()))?;
    text.push('\n');
    stream.write_all(text.as_bytes()).await.map_err(DevnetError::io(path()))?;
    let mut line = String::new();
    let mut reader = BufReader::new(stream.take(ANSWER_BYTES_MAX));
    match tokio::time::timeout(ANSWER_TIME_MAX, reader.read_line(&mut line)).await {
        Ok(read) => read.map_err(DevnetError::io(path()))?,
        Err(_) => return Err(malformed("nothing in time".to_owned())),
    };
    if line.is_empty() {
        return Err(malformed("nothing: it stops, or you are not its user".to_owned()));
    }
    match serde_json::from_str(&line) {
        Ok(Answer::Done(outcome)) => Ok(outcome),
        Ok(Answer::Error { text, usage }) => Err(DevnetError::Refused { text, usage }),
        Err(error) => Err(malformed(format!("with something else ({error})"))),
    }
}
