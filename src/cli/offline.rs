//! What the commands share that check texts without a node: the genesis document, and a text of bounded length.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::{CliError, genesis_source, output};
use crate::app::networks;
use crate::rpc::finality_proof::ProvedInfo;
use crate::types::{GenesisDocument, Network};

/// Which genesis document a text is held to.
#[derive(Debug, clap::Args)]
pub(super) struct GenesisArgs {
    /// The genesis document of its network; without one, that of the devnet in ./devnet.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Its network.
    #[arg(long, default_value = "devnet", conflicts_with = "genesis")]
    network: Network,
}

impl GenesisArgs {
    /// A file, or what is at hand for a network.
    pub(super) const fn of(genesis: Option<PathBuf>, network: Network) -> Self {
        Self { genesis, network }
    }

    /// Reads it.
    pub(super) fn document(&self) -> Result<GenesisDocument, CliError> {
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

/// One byte more than a text may have tells that it has more.
fn read(source: impl Read, bytes_max: usize) -> io::Result<String> {
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    source.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    // Bytes that are no text prove nothing either, and are named so.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads a file, or standard input for `-`; one byte more than `bytes_max` at most.
pub(super) fn read_text(path: &Path, bytes_max: usize) -> Result<String, CliError> {
    let text = if path == Path::new("-") {
        read(io::stdin().lock(), bytes_max)
    } else {
        std::fs::File::open(path).and_then(|file| read(file, bytes_max))
    };
    text.map_err(|source| CliError::Io { path: path.to_owned(), source })
}

/// Why a text proves nothing: a stable name, a sentence, and what to do about it.
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) hint: &'static str,
}

/// Prints what a text proves, as lines or as JSON, or fails with the reason why it proves nothing.
pub(super) fn tell<P: Serialize>(
    what: &str,
    verdict: Result<P, Refusal>,
    as_json: bool,
    lines: impl FnOnce(&P) -> Vec<String>,
) -> Result<(), CliError> {
    match verdict {
        Ok(proved) if as_json => output::line(json!({ "holds": true, "proves": proved })),
        Ok(proved) => lines(&proved).iter().try_for_each(output::line),
        Err(Refusal { reason, message, hint }) => {
            if as_json {
                output::line(json!({ "holds": false, "reason": reason, "message": message }))?;
            }
            Err(CliError::Failed(format!("the {what} does not hold: {message}; {hint}")))
        }
    }
}

/// Who signed, and what that assumes.
pub(super) fn signers(proved: &ProvedInfo) -> [String; 2] {
    [
        format!(
            "  Signed by    {} of {} validators, weight {} of {}, {} needed",
            proved.signers, proved.validators, proved.signed_weight, proved.total_weight, proved.quorum
        ),
        match proved.trusted {
            Some(block) => format!(
                "  Assumes      that block {block} is of the chain, and that in none of the sets it names keys with a third of the weight are misused"
            ),
            None => {
                "  Assumes      that in none of the sets it names keys with a third of the weight are misused"
                    .to_owned()
            }
        },
    ]
}
