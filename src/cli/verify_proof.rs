//! `timed verify-proof`: checks a finality proof with nothing but the genesis document.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{CliError, genesis_source, output};
use crate::app::networks;
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
    /// The genesis document of the proof's network; without one, that of the devnet in ./devnet.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// The network of the proof.
    #[arg(long, default_value = "devnet", conflicts_with = "genesis")]
    network: Network,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    fn document(&self) -> Result<GenesisDocument, CliError> {
        if let Some(path) = &self.genesis {
            return Ok(networks::read_genesis(path)?);
        }
        // A node is not asked: a proof is to hold without trust in one.
        let beside = match self.network {
            Network::Devnet => genesis_source::beside(Path::new("."))?,
            Network::Mainnet | Network::Testnet => None,
        };
        let Some(found) = beside else {
            let (network, hint) = match self.network {
                Network::Devnet => ("the devnet", " (there is none in ./devnet)"),
                Network::Testnet => ("testnet", ""),
                Network::Mainnet => ("mainnet", ""),
            };
            return Err(CliError::Usage(format!(
                "name the genesis document of {network} by --genesis FILE{hint}"
            )));
        };
        output::notice(genesis_source::warning(&found));
        Ok(found.document)
    }
}

/// One byte more than a proof's text may have tells that it has more.
fn read(source: impl Read) -> io::Result<String> {
    let limit = u64::try_from(PROOF_TEXT_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    source.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    // Bytes that are no text are no proof either, and are named so.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn read_proof(path: &Path) -> Result<String, CliError> {
    let text = if path == Path::new("-") {
        read(io::stdin().lock())
    } else {
        std::fs::File::open(path).and_then(read)
    };
    text.map_err(|source| CliError::Io { path: path.to_owned(), source })
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
    let genesis = args.document()?;
    match judge(&genesis, &read_proof(&args.proof)?)? {
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
