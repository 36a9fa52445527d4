//! What can go wrong with a running devnet: what, why, and what to do next.

use std::path::PathBuf;

use super::archive::ArchiveError;
use super::report::State;
use crate::app::StartError;
use crate::app::devnet::DevnetError as DirectoryError;
use crate::rpc::client::RpcCommandError;
use crate::runtime::io_advice;
use crate::types::TxId;
use crate::wallet::TransferError;

/// Why something can't be done with a devnet.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// Its directory can't be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A node can't start.
    #[error("{node} does not start: {source}")]
    Start {
        /// Which node.
        node: String,
        /// Its reason.
        source: Box<StartError>,
    },
    /// A node does not answer, or refuses.
    #[error("{node}: {source}")]
    Rpc {
        /// Which node.
        node: String,
        /// Its reason.
        source: Box<RpcCommandError>,
    },
    /// There is no such node.
    #[error("{given:?} is no node of this devnet: name node0 to node{last}, 0 to {last}, or all")]
    NoSuchNode {
        /// What was given.
        given: String,
        /// The last one's number.
        last: usize,
    },
    /// Nodes that share a process can't be paused.
    #[error(
        "the nodes of this devnet share one process, of which no part can be paused: start it with --processes, or \
         use isolate or kill"
    )]
    OneProcess,
    /// A node is not in a state for this.
    #[error("{node} is {state} and can't be {verb}: `timed devnet {first} {node}` first")]
    NotNow {
        /// Which node.
        node: String,
        /// What it is.
        state: State,
        /// What was to be done.
        verb: &'static str,
        /// What helps.
        first: &'static str,
    },
    /// A node's process ended by itself.
    #[error("{node} ended before it answered ({why}); its log {log} says why")]
    Ended {
        /// Which node.
        node: String,
        /// How.
        why: String,
        /// Its log.
        log: PathBuf,
    },
    /// A node runs and does not answer.
    #[error("{node} did not answer in {seconds} s; its log {log} says what it is doing")]
    Silent {
        /// Which node.
        node: String,
        /// How long was waited.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// Nodes did not stop as they should.
    #[error("{0}")]
    Stop(String),
    /// It runs, and can't make anything final.
    #[error("the devnet is not ready after {seconds} s: {outlook} Its nodes' log says what they wait for")]
    NotReady {
        /// How long was waited.
        seconds: u64,
        /// How it stands.
        outlook: String,
    },
    /// The payment can't be made.
    #[error("nothing was paid: {0}")]
    Payment(#[from] TransferError),
    /// No node answers that could take a payment.
    #[error("no node of the devnet takes payments: none runs, or all are isolated")]
    NobodyAnswers,
    /// A payment was taken, and is not final.
    #[error(
        "payment {txid} was taken, and is not final after {seconds} s: {outlook} `timed explain {txid}` says what it \
         waits for"
    )]
    NotFinal {
        /// Which one.
        txid: TxId,
        /// How long was waited.
        seconds: u64,
        /// Whether the devnet can make anything final at present.
        outlook: String,
    },
    /// No ports are free.
    #[error(
        "no {needed} ports in a row are free from {from} to {to}: end other programs, or name the first by base_port"
    )]
    NoPorts {
        /// How many are needed.
        needed: usize,
        /// Where was looked.
        from: u16,
        /// And up to where.
        to: u16,
    },
    /// An export or import failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// No devnet listens for orders in the directory.
    #[error(
        "no devnet runs in {directory}: start it with `timed devnet --dir {directory}`, or name another by --dir"
    )]
    NoneRuns {
        /// The directory.
        directory: String,
    },
    /// The running devnet refused, in its words.
    #[error("{text}")]
    Refused {
        /// What it said.
        text: String,
        /// Whether the command line is to blame.
        usage: bool,
    },
    /// The answer of the running devnet is not understood.
    #[error("the devnet in {directory} answers {detail}; is it of the same version?")]
    Malformed {
        /// The directory.
        directory: String,
        /// What is wrong.
        detail: String,
    },
    /// A file, process or socket.
    #[error("{path}: {source}{}", io_advice(source))]
    Io {
        /// Which one.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
}

impl DevnetError {
    /// Whether the caller has asked for what can't be, as against something that failed.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        match self {
            Self::NoSuchNode { .. } | Self::OneProcess => true,
            Self::Refused { usage, .. } => *usage,
            _ => false,
        }
    }

    /// Whether another program has a port that a node needs.
    pub(super) fn is_port_taken(&self) -> bool {
        use crate::network::NetworkError;
        use crate::rpc::RpcError;
        let Self::Start { source, .. } = self else { return false };
        match &**source {
            StartError::Network(NetworkError::AddressInUse { .. }) => true,
            StartError::Rpc(RpcError::Bind { source, .. }) => source.kind() == std::io::ErrorKind::AddrInUse,
            _ => false,
        }
    }

    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
