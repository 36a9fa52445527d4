//! `timed db`: care of a data directory.
//!
//! # Place
//! [`crate::app::care`] does the work, on a thread of its own; this says how far it is and what came of it.
//!
//! Signals end the work between two steps. No command leaves anything half done under its own name, also when it is
//! killed.
//!
//! `db/tell.rs` has the words.

mod tell;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use self::tell::{
    tell_backup, tell_check, tell_compact, tell_reindex, tell_repair, tell_restore, tell_snapshot,
};
use super::config::SourceArgs;
use super::progress::{Progress, Stop};
use super::{CliError, VERSION};
use crate::app::care::{CareError, CarePlace, Tell, restore};
use crate::app::devnet::GENESIS_FILE;
use crate::consensus::replay::ReplayError;
use crate::runtime::Config;
use crate::storage::StorageError;
use crate::types::Network;

/// Flags of `timed db`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: DbCommand,
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    /// Read everything without changing it, and say what is well and what is wrong, with the command that repairs it.
    ///
    /// Exit code 0 if all is well, 3 if the directory is in use or of another network, 4 if something is damaged.
    Check(DepthArgs),
    /// Cut the block log before its first damage; the node then fetches what is missing from its peers.
    ///
    /// Nothing is deleted: what is cut off is moved aside. No command repairs a vote journal, since nobody else has the
    /// votes that it lost.
    Repair(DepthArgs),
    /// Build the index anew from the block log; what was stopped goes on where it was.
    Reindex(NodeArgs),
    /// Give back the room that the index does not need, and what damaged and unfinished indexes take; what was stopped goes
    /// on where it was.
    Compact(NodeArgs),
    /// Back up blocks, genesis document and configuration of a node that runs or does not.
    ///
    /// The vote journal is never in a backup: a key that goes on with an old journal contradicts what it has signed since,
    /// and is slashed. To move a masternode, stop it for good and use `votes export --move`.
    Backup(BackupArgs),
    /// Make a node's directory of a backup.
    Restore(RestoreArgs),
    /// Snapshots as files: what a new node begins with instead of the chain's first block.
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
}

#[derive(Debug, Subcommand)]
enum SnapshotCommand {
    /// Write the newest snapshot of this node into a directory. The node may run.
    Export(SnapshotExportArgs),
    /// Begin this node, which has no blocks, with the newest snapshot of a directory.
    ///
    /// It is held to the genesis document, or to the configuration's checkpoint, as if a peer had given it.
    Import(SnapshotImportArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct SnapshotExportArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// The directory.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Debug, clap::Args)]
struct SnapshotImportArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// The directory that an export wrote into.
    #[arg(value_name = "DIR")]
    from: PathBuf,
}

/// Which node's data.
#[derive(Clone, Debug, clap::Args)]
struct NodeArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct DepthArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Execute every block again too, and check every signature of the commits.
    #[arg(long)]
    deep: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct BackupArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// The new file, or a directory for it.
    #[arg(long, value_name = "DIR|FILE")]
    out: PathBuf,
    /// Put the node's keys in too: whoever reads the file can vote with them then.
    #[arg(long)]
    with_keys: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct RestoreArgs {
    /// The backup.
    file: PathBuf,
    /// The directory, new or empty.
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `timed db`.
///
/// # Errors
/// When the directory is in use, or the work can't be done; of `check` also what it found.
pub async fn run(args: Args) -> Result<(), CliError> {
    match args.command {
        DbCommand::Check(args) => {
            let deep = args.deep;
            let report = args.node.work(move |place, told| place.check(deep, told)).await?;
            tell_check(&report, args.node.json)
        }
        DbCommand::Repair(args) => {
            let deep = args.deep;
            let report = args.node.work(move |place, told| place.repair(deep, told)).await?;
            tell_repair(&report, &args.node.sources.config, args.node.json)
        }
        DbCommand::Reindex(args) => {
            let report = args.work(CarePlace::reindex).await?;
            tell_reindex(&report, args.json)
        }
        DbCommand::Compact(args) => {
            let report = args.work(CarePlace::compact).await?;
            tell_compact(&report, args.json)
        }
        DbCommand::Backup(args) => {
            let (config, config_path) = args.node.config()?;
            let (out, with_keys) = (args.out, args.with_keys);
            let report = in_background(move |told| {
                CarePlace::look(config, &config_path)?.backup(&out, with_keys, VERSION, told)
            });
            tell_backup(&report.await?, args.node.json)
        }
        DbCommand::Snapshot(SnapshotCommand::Export(SnapshotExportArgs { node, out })) => {
            let (config, config_path) = node.config()?;
            let report =
                in_background(move |told| CarePlace::look(config, &config_path)?.export_snapshot(&out, told));
            tell_snapshot(&report.await?, "Snapshot written", node.json)
        }
        DbCommand::Snapshot(SnapshotCommand::Import(SnapshotImportArgs { node, from })) => {
            let (config, config_path) = node.config()?;
            let work = move |told: Tell<'_>| {
                // The directory of a node that never ran.
                std::fs::create_dir_all(&config.node.data_dir)
                    .map_err(CareError::io(&config.node.data_dir))?;
                CarePlace::take(config, &config_path)?.import_snapshot(&from, told)
            };
            let report = in_background(work).await?;
            tell_snapshot(&report, "The node begins with this snapshot", node.json)
        }
        DbCommand::Restore(args) => {
            let RestoreArgs { file, home, json } = args;
            let report = in_background(move |told| restore::restore(&file, &home, told));
            tell_restore(&report.await?, json)
        }
    }
}

impl NodeArgs {
    /// The configuration and where it lies. A devnet's genesis document is looked for in the data directory alone: nobody
    /// is asked for it.
    fn config(&self) -> Result<(Config, PathBuf), CliError> {
        let mut config = Config::load(&self.sources.sources())?;
        let kept = config.node.data_dir.join(GENESIS_FILE);
        if config.node.network == Network::Devnet && config.node.genesis.is_none() && kept.is_file() {
            config.node.genesis = Some(kept);
        }
        Ok((config, self.sources.config.clone()))
    }

    /// Works on the directory, which it takes for itself.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CarePlace, Tell<'_>) -> Result<T, CareError> + Send + 'static,
    ) -> Result<T, CliError> {
        let (config, config_path) = self.config()?;
        in_background(move |told| work(&CarePlace::take(config, &config_path)?, told)).await
    }
}

/// Works on a thread for that, and tells how far it is.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce(Tell<'_>) -> Result<T, CareError> + Send + 'static,
) -> Result<T, CliError> {
    let outcome = Stop::listen(|stop| {
        let mut progress = Progress::new(stop);
        work(&mut |work, done, total| progress.step(work, done, total))
    });
    outcome.await?.map_err(|error| match error {
        CareError::Storage(StorageError::Interrupted)
        | CareError::Replay(ReplayError::Storage(StorageError::Interrupted)) => CliError::Failed(
            "stopped; nothing is half done, and the same command goes on or begins anew".to_owned(),
        ),
        error => error.into(),
    })
}

/// A command line for the same configuration.
fn command(words: &str, config: &Path) -> String {
    format!("timed {words} --config {}", config.display())
}
