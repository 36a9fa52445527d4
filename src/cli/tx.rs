//! `timed tx`: payments that are made here, signed there, and sent from elsewhere.
//!
//! # Place
//! [`create`] asks a node for coins and what made them, and writes a file; [`sign`] needs no node and no network;
//! [`broadcast`] sends what all have signed. [`show`] says in words what a file does. The file and its rules stand in
//! [`crate::wallet::transaction_file`]; whatever a command reads of one has been held to them.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::new_file::refuse_existing;
use super::offline::read_text;
use super::{CliError, output};
use crate::wallet::transaction_file::{FILE_BYTES_MAX, TransactionFile, TransactionFileError};

mod broadcast;
mod create;
mod show;
mod sign;

/// Flags of `timed tx`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: TxCommand,
}

#[derive(Debug, Subcommand)]
enum TxCommand {
    /// Make a payment that others sign: choose coins, and write all that signing needs to a file.
    Create(Box<create::CreateArgs>),
    /// Say what a file does: who pays whom, the fee, and who still has to sign.
    Inspect(InspectArgs),
    /// Sign by the keys of a wallet; needs no node and no network.
    Sign(sign::SignArgs),
    /// Put the signatures of several people together.
    Combine(CombineArgs),
    /// Send what all have signed.
    Broadcast(broadcast::BroadcastArgs),
}

/// Flags of `timed tx inspect`.
#[derive(Debug, clap::Args)]
struct InspectArgs {
    /// The file, as `timed tx create` writes it; `-` reads standard input.
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Flags of `timed tx combine`.
#[derive(Debug, clap::Args)]
struct CombineArgs {
    /// The files, all of one transaction.
    #[arg(required = true, num_args = 2.., value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write to this file, which must not exist; without it, to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs `timed tx`.
///
/// # Errors
/// When a file breaks its rules, a keystore can't be opened, or a node can't be reached or refuses.
pub async fn run(args: Args) -> Result<(), CliError> {
    match args.command {
        TxCommand::Create(args) => create::create(&args).await,
        TxCommand::Inspect(args) => inspect(&args),
        TxCommand::Sign(args) => sign::sign(&args),
        TxCommand::Combine(args) => combine(&args),
        TxCommand::Broadcast(args) => broadcast::broadcast(&args).await,
    }
}

fn inspect(args: &InspectArgs) -> Result<(), CliError> {
    let file = read(&args.file)?;
    if args.json {
        return output::line(show::json(&file));
    }
    show::lines(&file, &|_| false).iter().try_for_each(output::line)
}

fn combine(args: &CombineArgs) -> Result<(), CliError> {
    refuse_existing(args.out.as_deref(), "--out")?;
    let mut whole: Option<TransactionFile> = None;
    for path in &args.files {
        let file = read(path)?;
        whole = Some(match whole {
            None => file,
            Some(whole) => whole.combine(file).map_err(|error| refused(path, &error))?,
        });
    }
    match whole {
        Some(whole) => write(&whole, args.out.as_deref()),
        None => Err(CliError::Usage("name two files or more".to_owned())),
    }
}

fn refused(path: &Path, error: &TransactionFileError) -> CliError {
    CliError::Failed(format!("{}: {error}", path.display()))
}

/// Reads a file and holds it to its rules.
fn read(path: &Path) -> Result<TransactionFile, CliError> {
    let text = read_text(path, FILE_BYTES_MAX)?;
    TransactionFile::from_text(&text).map_err(|error| refused(path, &error))
}

/// Writes a file, which must not exist, or to standard output; and says what comes next.
fn write(file: &TransactionFile, path: Option<&Path>) -> Result<(), CliError> {
    let text = file.to_text().map_err(|error| CliError::Failed(error.to_string()))?;
    let Some(path) = path else {
        output::line(text.trim_end())?;
        return Ok(());
    };
    let failed = |source| CliError::Io { path: path.to_owned(), source };
    let new = std::fs::File::create_new(path).map_err(failed)?;
    std::io::Write::write_all(&mut &new, text.as_bytes()).map_err(failed)?;
    new.sync_all().map_err(failed)?;
    let place = path.display();
    let missing = file.missing();
    let next = match missing.len() {
        0 => format!("all have signed: `timed tx broadcast {place}` sends it"),
        1 => format!("one signature is missing: `timed tx sign {place}` where its key is"),
        count => format!("{count} signatures are missing: `timed tx sign {place}` where their keys are"),
    };
    output::line(format_args!("wrote {place}; {next}"))
}
