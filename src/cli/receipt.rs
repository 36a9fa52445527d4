//! `timed receipt TXID`: proof of a payment in one file.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;

use super::new_file::refuse_existing;
use super::rpc_client::{ConnectionArgs, RpcCommandError, say, say_json};
use crate::rpc::receipt::PaymentReceipt;
use crate::types::{Checkpoint, TxId};

/// Arguments of `timed receipt`.
#[derive(ClapArgs, Clone, Debug)]
pub struct Args {
    /// Which node
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The payment
    pub txid: TxId,
    /// A block that whoever checks the receipt knows to be of the chain; the receipt relies on no older keys then
    #[arg(long, value_name = "HEIGHT:HASH")]
    pub trusted: Option<Checkpoint>,
    /// Write the receipt to this file, which must not exist; without it, to standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Asks the node for the receipt and writes it.
///
/// # Errors
/// When the node can't be reached or refuses, or the file can't be written.
pub async fn run(args: Args) -> Result<(), RpcCommandError> {
    refuse_existing(args.out.as_deref(), "--out")
        .map_err(|error| RpcCommandError::Failed(error.to_string()))?;
    let client = args.connection.client()?;
    let receipt: PaymentReceipt = client.call("getreceipt", &[json!(args.txid), json!(args.trusted)]).await?;
    let Some(path) = args.out else { return say_json(&receipt) };
    let failed =
        |error: &dyn std::fmt::Display| RpcCommandError::Failed(format!("{}: {error}", path.display()));
    let text = serde_json::to_string_pretty(&receipt).map_err(|error| failed(&error))?;
    let file = std::fs::File::create_new(&path).map_err(|error| failed(&error))?;
    std::io::Write::write_all(&mut &file, format!("{text}\n").as_bytes()).map_err(|error| failed(&error))?;
    file.sync_all().map_err(|error| failed(&error))?;
    let with = match args.trusted {
        Some(trusted) => format!("and --trusted {trusted}"),
        None => "alone".to_owned(),
    };
    say(&format!(
        "wrote {}; `timed verify-receipt` checks it with the genesis document {with}",
        path.display()
    ))
}
