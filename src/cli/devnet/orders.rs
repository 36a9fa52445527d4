//! The verbs of `timed devnet`: what is ordered of one that runs, from another terminal.
//!
//! # Place
//! [`crate::devnet::control`] carries the order to the process that runs the devnet, and the answer back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::app::care::{Tell, Unit, Work};
use crate::app::devnet::validators_in;
use crate::cli::progress::{Progress, Stop};
use crate::cli::rpc_client::DEVNET_DIRECTORY;
use crate::cli::{CliError, output};
use crate::devnet::archive::{self, ArchiveError, Moved};
use crate::devnet::control::{Outcome, Request, order};
use crate::devnet::{DevnetError, Report, Trouble};
use crate::storage::{DirectoryLock, StorageError};

/// How often the file is looked at that a running devnet writes.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const EXPORTING: Work = Work { what: "the devnet is stopped, written and started again", unit: Unit::Bytes };

/// What can be ordered.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Order {
    /// Say what each node is and does, and whether finality goes on.
    Status(Place),
    /// Stop nodes where they stand, as a machine that hangs: SIGSTOP. Needs a devnet with --processes.
    Pause(OrderArgs),
    /// Let paused nodes go on: SIGCONT.
    Resume(OrderArgs),
    /// End nodes at once: SIGKILL with --processes, else cut off within a second.
    Kill(OrderArgs),
    /// Start nodes again; those that run are stopped in good order first. None is isolated then.
    Restart(OrderArgs),
    /// Cut nodes off from all others, and from each other, until they are healed.
    Isolate(OrderArgs),
    /// Let isolated nodes connect again.
    Heal(OrderArgs),
    /// Write the chain, keys, logs and vote journals to one file. A devnet that runs is stopped for that, and started again;
    /// none of its nodes is isolated then.
    Export(ExportArgs),
    /// Make a devnet's directory of such a file. Run two copies with ports of their own: they go on as two chains.
    Import(ImportArgs),
}

/// What is exported.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// A file that does not exist yet.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// What is imported.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// What `timed devnet export` wrote.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The directory to make; an empty one may be there.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The port for peers of the first node, and the others behind it; those of the exported devnet when nothing is said.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1_024..=65_000))]
    base_port: Option<u16>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Which devnet, and how it is told.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The directory of the devnet that runs.
    #[arg(long, value_name = "DIR", default_value = DEVNET_DIRECTORY)]
    dir: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Which nodes.
#[derive(Debug, clap::Args)]
pub(super) struct OrderArgs {
    /// node1 or 1, several, or all.
    #[arg(value_name = "NODE", required = true, num_args = 1..=100)]
    nodes: Vec<String>,
    #[command(flatten)]
    place: Place,
}

/// Gives the order and prints what came of it.
pub(super) async fn run(given: Order) -> Result<(), CliError> {
    let (what, OrderArgs { nodes, place }) = match given {
        Order::Status(place) => return tell(&place.dir, place.json, &Request::Status).await,
        Order::Pause(args) => (Trouble::Pause, args),
        Order::Resume(args) => (Trouble::Resume, args),
        Order::Kill(args) => (Trouble::Kill, args),
        Order::Restart(args) => (Trouble::Restart, args),
        Order::Isolate(args) => (Trouble::Isolate, args),
        Order::Heal(args) => (Trouble::Heal, args),
        Order::Export(args) => return export(args).await,
        Order::Import(args) => return import(args).await,
    };
    tell(&place.dir, place.json, &Request::Trouble { what, nodes }).await
}

async fn tell(directory: &Path, json: bool, request: &Request) -> Result<(), CliError> {
    let Outcome::Report(report) = order(directory, request).await? else {
        return Err(CliError::Failed(
            "the devnet answered something else; is it of the same version?".to_owned(),
        ));
    };
    if json {
        let text = serde_json::to_string_pretty(&report)
            .map_err(|error| CliError::Failed(format!("the answer is no JSON: {error}")))?;
        return output::line(text);
    }
    let is_status = matches!(request, Request::Status);
    let lines = if is_status { table(&report) } else { done(&report) };
    lines.iter().try_for_each(output::line)?;
    let is_usual = directory == Path::new(DEVNET_DIRECTORY);
    output::line(report.outlook.line((!is_usual).then_some(directory)))
}

async fn export(ExportArgs { file, place }: ExportArgs) -> Result<(), CliError> {
    let file = std::path::absolute(&file).map_err(|source| CliError::Io { path: file.clone(), source })?;
    let moved = match watched(&place.dir, &file).await {
        Ok(Outcome::Exported(moved)) => moved,
        Err(DevnetError::NoneRuns { .. }) => {
            let (directory, file) = (place.dir, file.clone());
            blocking(move |told| {
                // Whoever starts it meanwhile is refused.
                let _lock = match validators_in(&directory) {
                    Ok(_) => DirectoryLock::acquire(&directory).map_err(ArchiveError::from)?,
                    Err(error) => return Err(error.into()),
                };
                archive::export(&directory, &file, told)
            })
            .await?
        }
        Ok(Outcome::Report(_)) => {
            let what = "the devnet answered something else; is it of the same version?";
            return Err(CliError::Failed(what.to_owned()));
        }
        Err(error) => return Err(error.into()),
    };
    told(&moved, place.json, || {
        format!(
            "{}: {} nodes of chain {}, {} bytes of {}",
            file.display(),
            moved.nodes,
            moved.chain_id,
            moved.file_bytes,
            moved.bytes
        )
    })
}

async fn import(args: ImportArgs) -> Result<(), CliError> {
    let ImportArgs { file, dir, base_port, json } = args;
    let directory = dir.clone();
    let moved = blocking(move |told| archive::import(&file, &directory, base_port, told)).await?;
    told(&moved, json, || {
        format!(
            "{}: {} nodes of chain {}; `timed devnet --dir {}` goes on with it",
            dir.display(),
            moved.nodes,
            moved.chain_id,
            dir.display()
        )
    })
}

/// Orders an export of the devnet that runs, and shows how the file grows meanwhile: the work is done by that process.
async fn watched(directory: &Path, file: &Path) -> Result<Outcome, DevnetError> {
    let request = Request::Export { file: file.to_owned() };
    let mut exporting = std::pin::pin!(order(directory, &request));
    // Whoever stops this does not stop that.
    let mut progress = Progress::new(Stop::default());
    loop {
        match tokio::time::timeout(LOOK_EVERY, &mut exporting).await {
            Ok(outcome) => return outcome,
            Err(_) => {
                let written = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
                let _goes_on = progress.step(EXPORTING, written, 0);
            }
        }
    }
}

/// Does it on a thread for that, shows how far it is, and stops when the user asks for it.
async fn blocking(
    work: impl FnOnce(Tell<'_>) -> Result<Moved, ArchiveError> + Send + 'static,
) -> Result<Moved, CliError> {
    let worked = Stop::listen(|stop| {
        let mut progress = Progress::new(stop);
        work(&mut |work, done, total| progress.step(work, done, total))
    });
    match worked.await? {
        Err(ArchiveError::Storage(StorageError::Interrupted)) => {
            Err(CliError::Failed("stopped; nothing was written, and the same command begins anew".to_owned()))
        }
        outcome => Ok(outcome.map_err(DevnetError::from)?),
    }
}

fn told(moved: &Moved, json: bool, text: impl FnOnce() -> String) -> Result<(), CliError> {
    if !json {
        return output::line(text());
    }
    let text = serde_json::to_string_pretty(moved)
        .map_err(|error| CliError::Failed(format!("the answer is no JSON: {error}")))?;
    output::line(text)
}

fn done(report: &Report) -> Vec<String> {
    report.done.iter().map(|done| format!("{}: {}", done.node, done.text)).collect()
}

/// The nodes, one a line.
fn table(report: &Report) -> Vec<String> {
    let known = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let mut lines =
        vec![format!("{:<8}{:<10}{:>7}{:>7}  {:<10}{:<24}log", "", "", "height", "peers", "", "RPC")];
    for node in &report.nodes {
        let doing = node.doing.and_then(|doing| serde_json::to_value(doing).ok());
        let doing = doing.as_ref().and_then(|doing| doing.as_str()).unwrap_or("-");
        let peers = node.peers.and_then(|peers| u64::try_from(peers).ok());
        lines.push(format!(
            "{:<8}{:<10}{:>7}{:>7}  {doing:<10}{:<24}{}",
            node.name,
            node.state.to_string(),
            known(node.height),
            known(peers),
            node.rpc,
            node.log.display()
        ));
    }
    lines
}
