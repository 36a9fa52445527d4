//! `timed verify-proof`: checks a finality proof with nothing but the genesis document.

use std::path::PathBuf;

use serde_json::json;

use super::offline::{GenesisArgs, read_text};
use super::{CliError, output};
use crate::protocol::finality_proof::verify_with;
use crate::rpc::finality_proof::{PROOF_TEXT_BYTES_MAX, ProofText, ProofTextError, ProvedInfo};
use crate::runtime::{CpuPool, PoolVerifier};
use crate::types::{GenesisDocument, Network};

/// Flags of `timed verify-proof`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The proof's file, as `timed rpc getfinalityproof TXID` prints it; `-` reads standard input.
    #[arg(value_name = "FILE")]
    proof: PathBuf,
    #[command(flatten)]
    genesis: GenesisArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn judge(genesis: &GenesisDocument, text: &str) -> Result<Result<ProvedInfo, ProofTextError>, CliError> {
    let read = match ProofText::parse(text) {
        Ok(read) => read,
        Err(problem) => return Ok(Err(problem)),
    };
    let pool = CpuPool::new().map_err(|error| CliError::Failed(error.to_string()))?;
    let verdict = verify_with(genesis, &read.proof, &PoolVerifier::new(pool));
    Ok(verdict.map_err(ProofTextError::from).and_then(|proved| read.compare(&proved)))
}

/// The lines for people.
#[must_use]
pub fn summary(network: Network, proved: &ProvedInfo) -> Vec<String> {
    let block = match (proved.height, proved.block_hash) {
        (Some(height), Some(hash)) => format!("{height} {hash} contains it"),
        _ => format!("not shown; by the end of epoch {} one contains it", proved.epoch),
    };
    vec![
        "The proof holds.".to_owned(),
        format!("  Transaction  {}", proved.txid),
        format!("  Final        in epoch {}, on the {network} {}", proved.epoch, proved.chain_id),
        format!("  Block        {block}"),
        format!(
            "  Signed by    {} of {} validators, weight {} of {}, {} needed",
            proved.signers, proved.validators, proved.signed_weight, proved.total_weight, proved.quorum
        ),
        "  Assumes      that in no epoch's set up to this one a third of the weight is faulty".to_owned(),
    ]
}

/// Checks the proof and prints what it proves.
///
/// # Errors
/// When the proof does not hold, or proof or genesis document can't be read.
pub fn run(args: &Args) -> Result<(), CliError> {
    let genesis = args.genesis.document()?;
    match judge(&genesis, &read_text(&args.proof, PROOF_TEXT_BYTES_MAX)?)? {
        Ok(proved) if args.json => output::line(json!({ "holds": true, "proves": proved })),
        Ok(proved) => summary(genesis.network, &proved).iter().try_for_each(output::line),
        Err(problem) => {
            if args.json {
                let (reason, message) = (problem.reason(), problem.to_string());
                output::line(json!({ "holds": false, "reason": reason, "message": message }))?;
            }
            Err(CliError::Failed(format!("the proof does not hold: {problem}; {}", problem.hint())))
        }
    }
}
