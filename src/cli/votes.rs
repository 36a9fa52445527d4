//! `timed votes`: the vote journal, which keeps an operator key from contradicting itself, made by an explicit step and
//! carried from machine to machine.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use super::rpc_client::say_json;
use super::{CliError, genesis_source, output};
use crate::app::votes::{FirstVote, VotesPlace, VotesSummary, open_fork};
use crate::runtime::key_file::{SecretFileError, sync_directory_of};
use crate::runtime::time_text::time_words;
use crate::runtime::{Clock, Config, ConfigSources};
use crate::types::{BlockHash, ChainId, Epoch, Height, MasternodeId, PublicKey, TimeMs};

/// Flags of `timed votes`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: VotesCommand,
}

#[derive(Debug, Subcommand)]
enum VotesCommand {
    /// Make the vote journal of the configured operator key, which a masternode does not start without.
    ///
    /// The key signs only in epochs that start after this step: what it may have signed before, it signed in epochs that
    /// are over then. Stop every other node with this key first.
    New(NewArgs),
    /// Write the votes of the configured operator key as JSON, as a backup or, with --move, to go on elsewhere at once.
    ///
    /// Stop the node first. What it signs later is not in the file, so a key whose votes are restored from a backup waits for
    /// the next epoch. --move takes the journal away from the node, which does not start again without it: then the file
    /// stays whole, and the key can sign at once where it is imported.
    Export(ExportArgs),
    /// Make the vote journal from a file that `timed votes export` wrote.
    ///
    /// Of a file that was written with --move the key signs at once. Of a backup it signs only in epochs that start after this
    /// step, as with `timed votes new`: it may have signed more before.
    Import(ImportArgs),
    /// Show the fork that keeps the node from signing, and with --yes let it sign again.
    ///
    /// Two blocks of one height were committed, so more than a third of the masternodes' weight broke the rules, and no
    /// rule can tell which chain is right. Agree with the other operators first. To follow the other chain, move the
    /// directories `blocks` and `index` out of the data directory, and connect the node to peers of that chain.
    AcknowledgeFork(AcknowledgeForkArgs),
}

/// Which node's journal.
#[derive(Debug, clap::Args)]
struct NodeArgs {
    /// The node's configuration file, which names its operator key, data directory and chain.
    #[arg(long, value_name = "FILE", default_value = "config.toml")]
    config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct NewArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Let the key sign in the running epoch already. Only for a key that has never signed on this chain: one that has
    /// may contradict itself, and lose a part of its collateral.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
struct ExportArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// The new file; without it the votes go to standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Take the journal away from this node, for good: the file is for the key's next place.
    #[arg(long = "move", requires = "output")]
    moves: bool,
}

#[derive(Debug, clap::Args)]
struct ImportArgs {
    /// The file.
    file: PathBuf,
    #[command(flatten)]
    node: NodeArgs,
    /// Let the key sign in the running epoch already. Only if it has signed nothing since a backup was written: one that has
    /// may contradict itself, and lose a part of its collateral.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
struct AcknowledgeForkArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// The operator has decided: sign again on the chain that the data directory holds.
    #[arg(long)]
    yes: bool,
}

/// What a file without `--move` is good for.
const BACKUP: &str = "this is a backup: a key that is restored from it waits for the next epoch, since it may have signed more by then. To go \
     on elsewhere at once, use --move";

/// What `--json` prints of a fork.
#[derive(Debug, Serialize)]
struct ForkReport<'a> {
    height: Height,
    ours: BlockHash,
    theirs: BlockHash,
    signers_of_both: &'a [MasternodeId],
    acknowledged: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct VotesReport<'a> {
    journal: &'a Path,
    chain_id: ChainId,
    operator_key: PublicKey,
    created_ms: TimeMs,
    forced: bool,
    /// The key signs in epochs that start later than this; 0 for any.
    signs_after_ms: TimeMs,
    /// When the first such epoch begins at the latest, about; absent where that can't be said, or for any epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    signs_at_latest_ms: Option<TimeMs>,
    /// Which epoch that is at the earliest; likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    signs_from_epoch: Option<Epoch>,
    records: usize,
}

impl NodeArgs {
    async fn config(&self) -> Result<Config, CliError> {
        let mut config = Config::load(&ConfigSources::of_process(Some(self.config.clone())))?;
        if let Some(found) = genesis_source::complete(&mut config, &self.config).await? {
            output::notice(genesis_source::warning(&found));
        }
        Ok(config)
    }

    async fn place(&self) -> Result<VotesPlace, CliError> {
        Ok(VotesPlace::of(&self.config().await?)?)
    }

    /// Prints what was done: as JSON, or as this sentence.
    fn report(
        &self,
        summary: &VotesSummary,
        first: Option<FirstVote>,
        sentence: &str,
    ) -> Result<(), CliError> {
        if summary.replaced_keyless {
            output::notice("removed the journal of a node without an operator key, which held no votes");
        }
        if !self.json {
            return output::line(sentence);
        }
        Ok(say_json(&VotesReport {
            journal: &summary.directory,
            chain_id: summary.chain_id,
            operator_key: summary.operator,
            created_ms: summary.origin.created_ms,
            forced: summary.origin.forced,
            signs_after_ms: summary.origin.signs_after_ms(),
            signs_at_latest_ms: first.and_then(|first| first.until_ms),
            signs_from_epoch: first.and_then(|first| first.epoch),
            records: summary.records,
        })?)
    }
}

/// Runs `timed votes`. Blocks.
///
/// # Errors
/// When the data directory is in use, there is a journal already or none, or it is of another chain or key.
pub async fn run(args: &Args) -> Result<(), CliError> {
    match &args.command {
        VotesCommand::New(args) => new(args).await,
        VotesCommand::Export(args) => export(args).await,
        VotesCommand::Import(args) => import(args).await,
        VotesCommand::AcknowledgeFork(args) => acknowledge_fork(args).await,
    }
}

async fn new(args: &NewArgs) -> Result<(), CliError> {
    let place = args.node.place().await?;
    let summary = place.make(args.force)?;
    // The journal is made; that nothing can be said of the chain is no failure.
    let first = place.first_vote(summary.origin).unwrap_or_else(|error| {
        output::notice(format_args!("the blocks of the data directory can't be read: {error}"));
        None
    });
    let sentence =
        format!("made the vote journal {} of operator key {}", summary.directory.display(), summary.operator);
    args.node.report(&summary, first, &sentence)?;
    let after_ms = summary.origin.signs_after_ms();
    if after_ms == 0 {
        output::notice(
            "WARNING: the key may sign at once; if it has signed on this chain before, it can lose a part of its collateral",
        );
        return Ok(());
    }
    let first = first.unwrap_or(FirstVote { after_ms, until_ms: None, epoch: None, height: 1 });
    for line in first_vote_lines(&first, &summary.directory, Clock.now_ms()) {
        output::notice(line);
    }
    output::notice("never run two nodes with this key");
    Ok(())
}

/// From when on the key signs, and what to do if that may be never.
fn first_vote_lines(first: &FirstVote, journal: &Path, now_ms: TimeMs) -> Vec<String> {
    let mut line = format!("the key signs in epochs that start after {}", time_words(first.after_ms, now_ms));
    if let Some(epoch) = first.epoch {
        line.push_str(&format!("; that is epoch {epoch} at the earliest"));
    }
    if let Some(until_ms) = first.until_ms {
        let at = time_words(until_ms, now_ms);
        line.push_str(&format!(", and begins at about {at} at the latest while blocks come"));
    }
    let mut lines = vec![line];
    if first.height == 0 && first.epoch.is_none() {
        lines.push(format!(
            "WARNING: there is no block in this data directory. If the network runs already, all is well. If it is new, it \
             may wait for this key for ever: epoch 0 does not end without it. A key that has never signed on this chain \
             may sign at once: remove {} and make it again by `timed votes new --force`",
            journal.display()
        ));
    }
    lines
}

async fn export(args: &ExportArgs) -> Result<(), CliError> {
    let mut place = args.node.place().await?;
    let Some(path) = &args.output else {
        place.export(io::stdout().lock(), Path::new("standard output"))?;
        output::notice(BACKUP);
        return Ok(());
    };
    if args.moves {
        place.take_away()?;
    }
    let written = export_to(&place, path);
    if written.is_err() && args.moves {
        place.give_back()?;
    }
    let summary = written?;
    let sentence = format!(
        "wrote {} records of operator key {} to {}",
        summary.records,
        summary.operator,
        path.display()
    );
    args.node.report(&summary, None, &sentence)?;
    if args.moves {
        output::notice(format_args!(
            "this node can't vote any more: its journal was taken away to {}. Bring the file to the key's next place",
            summary.directory.display()
        ));
    } else {
        output::notice(BACKUP);
    }
    Ok(())
}

/// Writes a new file, which is there whole or not at all.
fn export_to(place: &VotesPlace, path: &Path) -> Result<VotesSummary, CliError> {
    let failed = |source| CliError::Io { path: path.to_owned(), source };
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = opened.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => SecretFileError::Exists { path: path.to_owned() }.into(),
        _ => failed(source),
    })?;
    let written = place.export(&file, path).map_err(CliError::from).and_then(|summary| {
        sync(&file, path).map_err(failed)?;
        Ok(summary)
    });
    if written.is_err() {
        // What is there is no whole export.
        let _gone = std::fs::remove_file(path);
    }
    written
}

fn sync(file: &File, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    sync_directory_of(path)
}

async fn import(args: &ImportArgs) -> Result<(), CliError> {
    let place = args.node.place().await?;
    let summary = place.import(&args.file, args.force)?;
    let first = place.first_vote(summary.origin).unwrap_or_default();
    let sentence = format!(
        "made the vote journal {} of operator key {} from {} records",
        summary.directory.display(),
        summary.operator,
        summary.records
    );
    args.node.report(&summary, first, &sentence)?;
    if let Some(first) = first {
        let lines = first_vote_lines(&first, &summary.directory, Clock.now_ms());
        lines.into_iter().for_each(output::notice);
    }
    output::notice("never start the node that these votes come from again");
    Ok(())
}

async fn acknowledge_fork(args: &AcknowledgeForkArgs) -> Result<(), CliError> {
    let config = args.node.config().await?;
    let fork = open_fork(&config, args.yes)?;
    let (height, ours, theirs) = (fork.ours.0.height, fork.ours.1.block_hash, fork.theirs.1.block_hash);
    if args.node.json {
        let (signers_of_both, acknowledged) = (fork.guilty.as_slice(), args.yes);
        return Ok(say_json(&ForkReport { height, ours, theirs, signers_of_both, acknowledged })?);
    }
    output::line(format_args!("fork at height {height}"))?;
    output::line(format_args!("  this node's block   {ours}"))?;
    output::line(format_args!("  the other block     {theirs}"))?;
    for masternode in &fork.guilty {
        output::line(format_args!("  signed both         {masternode}"))?;
    }
    output::notice(if args.yes {
        "acknowledged: the node signs again when it is started, on the chain that its data directory holds"
    } else {
        "nothing was changed; with --yes the node signs again"
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_waits_is_told_from_when_on_it_signs() {
        let told = |first: FirstVote| first_vote_lines(&first, Path::new("data/votes"), 600_000);
        let first = FirstVote { after_ms: 610_000, until_ms: Some(670_000), epoch: Some(8), height: 90 };
        assert_eq!(
            told(first),
            [
                "the key signs in epochs that start after 1970-01-01 00:10:10 UTC (in 10 s); that is epoch 8 at the earliest, \
              and begins at about 1970-01-01 00:11:10 UTC (in 1 min 10 s) at the latest while blocks come"
            ]
        );
        let new = told(FirstVote { after_ms: 610_000, until_ms: None, epoch: None, height: 0 });
        assert!(new[1].contains("remove data/votes") && new[1].contains("--force"), "{new:?}");
        let ahead = told(FirstVote { after_ms: 610_000, until_ms: Some(900_000), epoch: Some(0), height: 0 });
        assert_eq!(ahead.len(), 1, "the network has not begun: nobody is locked out");
    }
}
