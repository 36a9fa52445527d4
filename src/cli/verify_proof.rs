//! `timed verify-proof`: checks a finality proof with nothing but the genesis document.

use std::path::PathBuf;

use super::CliError;
use super::offline::{GenesisArgs, Refusal, read_text, signers, tell};
use crate::protocol::finality_proof::verify_with;
use crate::rpc::finality_proof::{PROOF_TEXT_BYTES_MAX, ProofText, ProofTextError, ProvedInfo};
use crate::runtime::{CpuPool, PoolVerifier};
use crate::types::{Checkpoint, GenesisDocument, Network};

/// Flags of `timed verify-proof`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The proof's file, as `timed rpc getfinalityproof TXID [HEIGHT:HASH]` prints it; `-` reads standard input.
    #[arg(value_name = "FILE")]
    proof: PathBuf,
    #[command(flatten)]
    genesis: GenesisArgs,
    /// A block that you know to be of the chain, from which the proof has to start.
    #[arg(long, value_name = "HEIGHT:HASH")]
    trusted: Option<Checkpoint>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn judge(
    genesis: &GenesisDocument,
    trusted: Option<&Checkpoint>,
    text: &str,
) -> Result<Result<ProvedInfo, ProofTextError>, CliError> {
    let read = match ProofText::parse(text) {
        Ok(read) => read,
        Err(problem) => return Ok(Err(problem)),
    };
    let pool = CpuPool::new().map_err(|error| CliError::Failed(error.to_string()))?;
    let verdict = verify_with(genesis, trusted, &read.proof, &PoolVerifier::new(pool));
    Ok(verdict.map_err(ProofTextError::from).and_then(|proved| read.compare(&proved)))
}

/// The lines for people.
#[must_use]
pub fn summary(network: Network, proved: &ProvedInfo) -> Vec<String> {
    let block = match (proved.height, proved.block_hash) {
        (Some(height), Some(hash)) => format!("{height} {hash} contains it"),
        _ => format!("not shown; by the end of epoch {} one contains it", proved.epoch),
    };
    let mut lines = vec![
        "The proof holds.".to_owned(),
        format!("  Transaction  {}", proved.txid),
        format!("  Final        in epoch {}, on the {network} {}", proved.epoch, proved.chain_id),
        format!("  Block        {block}"),
    ];
    lines.extend(signers(proved));
    lines
}

/// Checks the proof and prints what it proves.
///
/// # Errors
/// When the proof does not hold, or proof or genesis document can't be read.
pub fn run(args: &Args) -> Result<(), CliError> {
    let genesis = args.genesis.document()?;
    let verdict = judge(&genesis, args.trusted.as_ref(), &read_text(&args.proof, PROOF_TEXT_BYTES_MAX)?)?;
    let refused = |problem: ProofTextError| Refusal {
        reason: problem.reason(),
        message: problem.to_string(),
        hint: problem.hint(),
    };
    tell("proof", verdict.map_err(refused), args.json, |proved| summary(genesis.network, proved))
}
