//! What a command can fail with, and the exit code that says so.

use std::path::{Path, PathBuf};

use super::rpc_client::RpcCommandError;
use crate::app::care::CareError;
use crate::app::devnet::DevnetError;
use crate::app::networks::NetworksError;
use crate::app::trust::TrustError;
use crate::app::vote_file::VoteFileError;
use crate::app::votes::VotesError;
use crate::app::{FetchError, StartError};
use crate::consensus::replay::ReplayError;
use crate::devnet::{ArchiveError, DevnetError as FleetError};
use crate::network::NetworkError;
use crate::rpc::RpcError;
use crate::runtime::key_file::SecretFileError;
use crate::runtime::logging::LoggingError;
use crate::runtime::tasks::TaskFailure;
use crate::runtime::{ConfigError, HungTasks, io_advice};
use crate::storage::StorageError;
use crate::types::ChainId;
use crate::types::genesis::GenesisError;
use crate::wallet::{WalletError, WatchError};

/// The kinds of failure that scripts tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// The command failed.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// The data directory is in use, or of another network.
    DataDirectory,
    /// The data is damaged.
    Corrupt,
}

impl ExitKind {
    /// The process' exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::DataDirectory => 3,
            Self::Corrupt => 4,
        }
    }
}

/// Why a command failed: what, why, and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration is wrong in several places.
    #[error("{}", problem_words(file, problems))]
    ConfigProblems {
        /// The file.
        file: PathBuf,
        /// All that is wrong.
        problems: Vec<ConfigError>,
    },
    /// There is no genesis document.
    #[error(transparent)]
    Networks(#[from] NetworksError),
    /// The genesis document can't be used.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// A key or password file can't be used.
    #[error(transparent)]
    SecretFile(#[from] SecretFileError),
    /// There is no wallet, or no key of it.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// There is no wallet that watches.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// A node can't be reached, or refused.
    #[error(transparent)]
    Rpc(#[from] RpcCommandError),
    /// The devnet's directory can't be used.
    #[error(transparent)]
    Devnet(#[from] DevnetError),
    /// Something can't be done with a running devnet.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The node has joined a devnet that is not the one at hand.
    #[error(
        "{} is of the devnet {ours}, but {place} is of the devnet {theirs}: a devnet that is made anew is a new chain. To \
         join the new one, remove {} and start again (a masternode also needs `timed votes new`); to go on with the old \
         one, run that devnet again, or name its genesis document by [node] genesis",
        data_dir.display(), data_dir.display()
    )]
    OtherDevnet {
        /// The node's data directory.
        data_dir: PathBuf,
        /// Its chain.
        ours: ChainId,
        /// The chain of the devnet at hand.
        theirs: ChainId,
        /// Where that was found.
        place: String,
    },
    /// The node can't start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is no log.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// Signals can't be heard.
    #[error("the node can't listen for signals: {0}")]
    Signals(std::io::Error),
    /// A part of the running node failed.
    #[error("the node stopped: {0}")]
    Task(#[from] TaskFailure),
    /// The node did not stop in time.
    #[error(transparent)]
    Hung(#[from] HungTasks),
    /// The flags don't fit together, or an answer at a prompt is wrong.
    #[error("{0}")]
    Usage(String),
    /// What was to be done was not done.
    #[error("{0}")]
    Failed(String),
    /// What was looked at is ill, as was said line by line.
    #[error("{errors} of these keep{} the node from its work", if *.errors == 1 { "s" } else { "" })]
    Ill {
        /// How many things.
        errors: usize,
        /// Of what kind the first of them is.
        kind: ExitKind,
    },
    /// The operating system gave no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// The vote journal can't be made, exported or imported.
    #[error(transparent)]
    Votes(#[from] VotesError),
    /// Care of a data directory did not do what was asked.
    #[error(transparent)]
    Care(#[from] CareError),
    /// A check found data of another network, key or version, which was told.
    #[error("{0}")]
    Foreign(String),
    /// A check found damage, which was told.
    #[error("{0}")]
    Damaged(String),
    /// The data directory can't be used.
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
    /// The answer could not be written.
    #[error("standard output: {0}")]
    Output(std::io::Error),
    /// No worker threads.
    #[error("the worker threads can't be started (limit of processes reached?): {0}")]
    Runtime(std::io::Error),
}

impl CliError {
    /// Which exit code it ends with.
    #[must_use]
    pub fn kind(&self) -> ExitKind {
        match self {
            Self::Config(_)
            | Self::ConfigProblems { .. }
            | Self::Networks(_)
            | Self::Genesis(_)
            | Self::Usage(_) => ExitKind::Usage,
            Self::Rpc(error) => rpc_kind(error),
            Self::Ill { kind, .. } => *kind,
            Self::Devnet(error) => devnet_kind(error),
            Self::Fleet(error) => fleet_kind(error),
            Self::OtherDevnet { .. } => ExitKind::DataDirectory,
            Self::Start(error) => start_kind(error),
            Self::Votes(error) => votes_kind(error),
            Self::Storage(error) => storage_kind(error),
            Self::SecretFile(error) => secret_kind(error),
            Self::Care(error) => care_kind(error),
            Self::Foreign(_) => ExitKind::DataDirectory,
            Self::Damaged(_) => ExitKind::Corrupt,
            Self::Logging(_)
            | Self::Signals(_)
            | Self::Task(_)
            | Self::Hung(_)
            | Self::Wallet(_)
            | Self::Watch(_)
            | Self::Random(_)
            | Self::Failed(_)
            | Self::Io { .. }
            | Self::Output(_)
            | Self::Runtime(_) => ExitKind::Failed,
        }
    }
}

/// A file that is not there, or not fit for a secret, was named by the configuration or the command line.
fn secret_kind(error: &SecretFileError) -> ExitKind {
    match error {
        SecretFileError::Exposed { .. }
        | SecretFileError::TooLarge { .. }
        | SecretFileError::Malformed { .. } => ExitKind::Usage,
        SecretFileError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            ExitKind::Usage
        }
        SecretFileError::Io { .. } | SecretFileError::Exists { .. } => ExitKind::Failed,
    }
}

fn problem_words(file: &Path, problems: &[ConfigError]) -> String {
    match problems {
        [problem] => problem.to_string(),
        _ => {
            let each: String = problems.iter().map(|problem| format!("\n  {problem}")).collect();
            format!("{} things are wrong with the configuration of {}:{each}", problems.len(), file.display())
        }
    }
}

/// Whether the command line is to blame, or what happened then.
pub(super) const fn rpc_kind(error: &RpcCommandError) -> ExitKind {
    match error {
        RpcCommandError::BadUrl { .. }
        | RpcCommandError::CookieCount { .. }
        | RpcCommandError::Config(_)
        | RpcCommandError::RpcDisabled { .. } => ExitKind::Usage,
        _ => ExitKind::Failed,
    }
}

fn devnet_kind(error: &DevnetError) -> ExitKind {
    match error {
        DevnetError::NotADevnet { .. }
        | DevnetError::NoDevnet { .. }
        | DevnetError::OtherValidators { .. }
        | DevnetError::OtherNumber { .. }
        | DevnetError::LongInterval { .. }
        | DevnetError::Networks(_)
        | DevnetError::Genesis(_)
        | DevnetError::Config(_) => ExitKind::Usage,
        DevnetError::Marker { .. } | DevnetError::NoGenesis { .. } => ExitKind::DataDirectory,
        DevnetError::Storage(error) => storage_kind(error),
        DevnetError::SecretFile(error) => secret_kind(error),
        DevnetError::Io { .. } => ExitKind::Failed,
    }
}

fn fleet_kind(error: &FleetError) -> ExitKind {
    match error {
        FleetError::Directory(error) => devnet_kind(error),
        FleetError::Start { source, .. } => start_kind(source),
        FleetError::Archive(error) => archive_kind(error),
        error if error.is_usage() => ExitKind::Usage,
        _ => ExitKind::Failed,
    }
}

fn archive_kind(error: &ArchiveError) -> ExitKind {
    match error {
        ArchiveError::NotEmpty { .. } => ExitKind::Usage,
        ArchiveError::Unusable { .. } => ExitKind::Corrupt,
        ArchiveError::Directory(error) => devnet_kind(error),
        ArchiveError::Storage(error) => storage_kind(error),
        ArchiveError::Io { .. } => ExitKind::Failed,
    }
}

fn start_kind(error: &StartError) -> ExitKind {
    match error {
        StartError::Networks(_)
        | StartError::NoOperatorKey
        | StartError::RpcUser(_)
        | StartError::Trust(TrustError::Distrust(_))
        | StartError::Fetch(FetchError::NeedsCheckpoint { .. } | FetchError::Distrust(_))
        | StartError::Network(NetworkError::InvalidAddress { .. } | NetworkError::UserAgentTooLong { .. })
        | StartError::Rpc(RpcError::OpenWithoutAuth { .. }) => ExitKind::Usage,
        StartError::Key(error) => secret_kind(error),
        StartError::Storage(error)
        | StartError::Fetch(FetchError::Storage(error))
        | StartError::Trust(TrustError::Storage(error))
        | StartError::Replay(ReplayError::Storage(error)) => storage_kind(error),
        StartError::Replay(ReplayError::Rules(_)) | StartError::Fetch(FetchError::Rules(_)) => {
            ExitKind::DataDirectory
        }
        StartError::Replay(_) => ExitKind::Corrupt,
        _ => ExitKind::Failed,
    }
}

fn votes_kind(error: &VotesError) -> ExitKind {
    match error {
        VotesError::Networks(_) | VotesError::NoOperatorKey => ExitKind::Usage,
        VotesError::Storage(error) => storage_kind(error),
        VotesError::Key(error) => secret_kind(error),
        VotesError::File {
            source: VoteFileError::WrongChain { .. } | VoteFileError::WrongOperator { .. },
            ..
        } => ExitKind::DataDirectory,
        VotesError::NoFork { .. } | VotesError::File { .. } | VotesError::Io { .. } => ExitKind::Failed,
    }
}

const fn care_kind(error: &CareError) -> ExitKind {
    match error {
        CareError::Networks(_) | CareError::NoOperatorKey | CareError::Fetch(_) => ExitKind::Usage,
        CareError::Storage(error) | CareError::Replay(ReplayError::Storage(error)) => storage_kind(error),
        CareError::Replay(ReplayError::Rules(_)) => ExitKind::DataDirectory,
        CareError::Replay(_)
        | CareError::BadIndex { .. }
        | CareError::Damaged { .. }
        | CareError::BadSnapshot { .. }
        | CareError::BadBackup { .. } => ExitKind::Corrupt,
        CareError::OtherFormat { .. } | CareError::HasBlocks => ExitKind::DataDirectory,
        CareError::Key(_)
        | CareError::CpuPool(_)
        | CareError::NoData { .. }
        | CareError::NoIndex { .. }
        | CareError::NoRoom { .. }
        | CareError::NoSnapshot { .. }
        | CareError::Pruned { .. }
        | CareError::Exists { .. }
        | CareError::NotEmpty { .. }
        | CareError::Io { .. } => ExitKind::Failed,
    }
}

const fn storage_kind(error: &StorageError) -> ExitKind {
    match error {
        StorageError::InUse { .. }
        | StorageError::WrongChain { .. }
        | StorageError::WrongOperator { .. }
        | StorageError::UnsupportedVersion { .. }
        | StorageError::NoJournal { .. } => ExitKind::DataDirectory,
        StorageError::Corrupt { .. }
        | StorageError::WrongKind { .. }
        | StorageError::MissingSegment { .. }
        | StorageError::Unopenable { .. }
        | StorageError::IndexMalformed { .. } => ExitKind::Corrupt,
        _ => ExitKind::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::protocol::activation::UnknownRules;
    use crate::types::RuleVersion;

    /// What systemd's unit leaves down is what a restart does not mend.
    #[test]
    fn an_exit_code_tells_what_kind_of_problem_it_was() {
        let address = "127.0.0.1:24200".parse().unwrap();
        let path = || PathBuf::from("data/votes");
        let storage = [
            (StorageError::NoJournal { path: path() }, ExitKind::DataDirectory),
            (StorageError::WrongKind { path: path() }, ExitKind::Corrupt),
            (StorageError::InUse { path: path(), holder: None }, ExitKind::DataDirectory),
            (
                StorageError::UnsupportedVersion { path: path(), expected: 1, found: 2 },
                ExitKind::DataDirectory,
            ),
            (StorageError::MissingSegment { path: path(), repair: "x" }, ExitKind::Corrupt),
            (StorageError::JournalExists { path: path() }, ExitKind::Failed),
            (StorageError::Index { reason: "full".to_owned() }, ExitKind::Failed),
        ];
        let started = storage.map(|(error, kind)| (CliError::Start(StartError::Storage(error)), kind));
        let missing = |kind: std::io::ErrorKind| SecretFileError::Io { path: path(), source: kind.into() };
        // Whoever has the port may be gone at the next start.
        let known = RuleVersion::FIRST;
        let unknown = UnknownRules { version: RuleVersion(2), epoch: 7, known };
        let (key, text) = ("[rpc] listen_address", "node".to_owned());
        let others = [
            (StartError::Network(NetworkError::AddressInUse { address }), ExitKind::Failed),
            (StartError::Rpc(RpcError::AddressInUse { address, key }), ExitKind::Failed),
            (StartError::Network(NetworkError::InvalidAddress { key, text }), ExitKind::Usage),
            (StartError::Rpc(RpcError::OpenWithoutAuth { address }), ExitKind::Usage),
            (StartError::NoOperatorKey, ExitKind::Usage),
            (StartError::Replay(ReplayError::Rules(unknown)), ExitKind::DataDirectory),
            (StartError::Key(SecretFileError::Exposed { path: path(), mode: 0o644 }), ExitKind::Usage),
            (StartError::Key(missing(std::io::ErrorKind::NotFound)), ExitKind::Usage),
            (StartError::Key(missing(std::io::ErrorKind::StorageFull)), ExitKind::Failed),
        ];
        let others = others.map(|(error, kind)| (CliError::Start(error), kind));
        for (error, kind) in started.into_iter().chain(others) {
            assert_eq!(error.kind(), kind, "{error}");
        }
        let codes = [ExitKind::Failed, ExitKind::Usage, ExitKind::DataDirectory, ExitKind::Corrupt];
        assert_eq!(codes.map(ExitKind::code), [1, 2, 3, 4]);
    }
}
