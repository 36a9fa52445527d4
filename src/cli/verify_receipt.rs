//! `timed verify-receipt`: checks a receipt of a payment with nothing but the genesis document.

use std::path::PathBuf;

use super::CliError;
use super::offline::{GenesisArgs, Refusal, read_text, signers, tell};
use crate::protocol::finality_proof::verify_with;
use crate::rpc::receipt::{RECEIPT_TEXT_BYTES_MAX, ReceiptContent, ReceiptError, check};
use crate::runtime::{CpuPool, PoolVerifier};
use crate::types::{Checkpoint, Network};

/// Flags of `timed verify-receipt`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The receipt's file, as `timed receipt TXID` writes it; `-` reads standard input.
    #[arg(value_name = "FILE")]
    receipt: PathBuf,
    #[command(flatten)]
    genesis: GenesisArgs,
    /// A block that you know to be of the chain, from which the receipt has to start.
    #[arg(long, value_name = "HEIGHT:HASH")]
    trusted: Option<Checkpoint>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The lines for people.
#[must_use]
pub fn summary(network: Network, proved: &ReceiptContent) -> Vec<String> {
    let finality = &proved.finality;
    let mut lines = vec!["The receipt holds.".to_owned()];
    lines.extend(
        proved.outputs.iter().map(|output| format!("  {} TIME to {}", output.value_time, output.address)),
    );
    match (&proved.memo_text, proved.memo.as_str()) {
        (Some(text), _) => lines.push(format!("  Memo         {text:?}")),
        (None, "") => {}
        (None, hex) => lines.push(format!("  Memo         {hex} (hexadecimal)")),
    }
    lines.push(format!("  Transaction  {}", finality.txid));
    let block = match finality.height {
        Some(height) => format!(", in block {height}"),
        None => String::new(),
    };
    lines.push(format!(
        "  Final        in epoch {}{block}, on the {network} {}",
        finality.epoch, finality.chain_id
    ));
    lines.extend(signers(finality));
    lines
}

/// Checks the receipt and prints what it proves.
///
/// # Errors
/// When the receipt does not hold, or receipt or genesis document can't be read.
pub fn run(args: &Args) -> Result<(), CliError> {
    let genesis = args.genesis.document()?;
    let text = read_text(&args.receipt, RECEIPT_TEXT_BYTES_MAX)?;
    let pool = CpuPool::new().map_err(|error| CliError::Failed(error.to_string()))?;
    let verifier = PoolVerifier::new(pool);
    let refused = |problem: ReceiptError| Refusal {
        reason: problem.reason(),
        message: problem.to_string(),
        hint: problem.hint(),
    };
    let prove = |proof: &_| verify_with(&genesis, args.trusted.as_ref(), proof, &verifier);
    let verdict = check(&genesis, &text, prove).map_err(refused);
    tell("receipt", verdict, args.json, |proved| summary(genesis.network, proved))
}
