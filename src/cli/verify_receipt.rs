//! `timed verify-receipt`: checks a receipt of a payment with nothing but the genesis document.

use std::path::PathBuf;

use serde_json::json;

use super::offline::{GenesisArgs, read_text};
use super::{CliError, output};
use crate::protocol::finality_proof::verify_with;
use crate::rpc::receipt::{RECEIPT_TEXT_BYTES_MAX, ReceiptContent, check};
use crate::runtime::{CpuPool, PoolVerifier};
use crate::types::Network;

/// Flags of `timed verify-receipt`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The receipt's file, as `timed receipt TXID` writes it; `-` reads standard input.
    #[arg(value_name = "FILE")]
    receipt: PathBuf,
    #[command(flatten)]
    genesis: GenesisArgs,
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
    lines.push(format!(
        "  Signed by    {} of {} validators, weight {} of {}, {} needed",
        finality.signers, finality.validators, finality.signed_weight, finality.total_weight, finality.quorum
    ));
    lines.push(
        "  Assumes      that in no epoch's set up to this one a third of the weight is faulty".to_owned(),
    );
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
    match check(&genesis, &text, |proof| verify_with(&genesis, proof, &verifier)) {
        Ok(proved) if args.json => output::line(json!({ "holds": true, "proves": proved })),
        Ok(proved) => summary(genesis.network, &proved).iter().try_for_each(output::line),
        Err(problem) => {
            if args.json {
                let (reason, message) = (problem.reason(), problem.to_string());
                output::line(json!({ "holds": false, "reason": reason, "message": message }))?;
            }
            Err(CliError::Failed(format!("the receipt does not hold: {problem}; {}", problem.hint())))
        }
    }
}
