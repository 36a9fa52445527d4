//! `timed tx broadcast`: sends what all have signed.

use std::path::PathBuf;

use serde_json::json;

use super::super::CliError;
use super::super::rpc_client::{ConnectionArgs, say, say_json};
use super::super::wallet_rpc::send_and_wait;
use super::read;
use crate::rpc::types::BlockchainInfo;
use crate::types::Amount;
use crate::types::limits::MAX_FEE_DEFAULT;

/// Flags of `timed tx broadcast`.
#[derive(Debug, clap::Args)]
pub(super) struct BroadcastArgs {
    /// The file, with all signatures; `-` reads standard input.
    file: PathBuf,
    /// Which node.
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Refuse to pay a larger fee than this, in TIME; 0 is no bound.
    #[arg(long, value_name = "TIME", default_value_t = MAX_FEE_DEFAULT)]
    max_fee: Amount,
    /// Wait until the payment is final, and print how long that took.
    #[arg(long)]
    wait: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `timed tx broadcast`.
pub(super) async fn broadcast(args: &BroadcastArgs) -> Result<(), CliError> {
    let file = read(&args.file)?;
    let Some(transaction) = file.complete() else {
        let missing: Vec<String> = file.missing().iter().map(ToString::to_string).collect();
        return Err(CliError::Failed(format!(
            "nothing was sent: the signature of {} is missing; `timed tx sign` adds it, and `timed tx combine` puts those of several files together",
            missing.join(", ")
        )));
    };
    let client = args.connection.client()?;
    let chain: BlockchainInfo = client.call("getblockchaininfo", &[]).await?;
    if chain.chain_id != file.chain_id() {
        return Err(CliError::Failed(format!(
            "nothing was sent: the file is for chain {}, and the node is of chain {}; its signatures hold on the first one alone",
            file.chain_id(),
            chain.chain_id
        )));
    }
    let outcome = send_and_wait(&client, transaction, args.max_fee, args.wait).await?;
    let txid = file.txid();
    if args.json {
        let (fee, fee_time) = (file.fee(), file.fee().to_string());
        let report = json!({
            "txid": txid,
            "fee": fee,
            "fee_time": fee_time,
            "status": outcome.status,
            "finality_ms": outcome.finality_ms,
            "node_finality_ms": outcome.node_finality_ms,
        });
        return Ok(say_json(&report)?);
    }
    say(&txid.to_string())?;
    let line = outcome.line(txid, args.wait)?;
    Ok(line.map_or(Ok(()), |line| say(&line))?)
}
