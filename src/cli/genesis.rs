//! `timed genesis`: makes a genesis document, checks it, shows it, or its hash.
//!
//! `new.rs` makes one, `check.rs` judges it.

mod check;
mod new;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{CliError, genesis_source, output};
use crate::app::networks::{self, NetworksError};
use crate::runtime::Clock;
use crate::types::{GenesisDocument, Network};

/// Flags of `timed genesis`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: GenesisCommand,
}

#[derive(Debug, Subcommand)]
enum GenesisCommand {
    /// Make the document of a network of one's own, from operator keys that its founders made.
    New(Box<new::Args>),
    /// Say what is wrong with a document, or what network it makes.
    Check(check::Args),
    /// Print the document as TOML.
    Show(Source),
    /// Print its hash, the chain id.
    Hash(Source),
}

/// Which document.
#[derive(Debug, clap::Args)]
struct Source {
    /// The document's file; without one, that of the devnet in ./devnet.
    file: Option<PathBuf>,
    /// Which network's.
    #[arg(long, default_value = "devnet", conflicts_with = "file")]
    network: Network,
    /// Make the document of a new devnet with so many validators instead.
    #[arg(long, value_name = "COUNT", conflicts_with = "file")]
    validators: Option<usize>,
}

impl Source {
    fn document(&self) -> Result<GenesisDocument, CliError> {
        if let Some(path) = &self.file {
            return Ok(networks::read_genesis(path)?);
        }
        match (self.network, self.validators) {
            (Network::Devnet, Some(validators)) => {
                let document = networks::devnet_genesis_at(validators, Clock.now_ms());
                document.check()?;
                Ok(document)
            }
            (Network::Devnet, None) => match genesis_source::beside(Path::new("."))? {
                Some(found) => Ok(found.document),
                None => Err(NetworksError::NoGenesis { network: Network::Devnet }.into()),
            },
            (network, None) => Err(NetworksError::NoGenesis { network }.into()),
            (network, Some(_)) => {
                Err(CliError::Usage(format!("--validators is for the devnet, not for {network}")))
            }
        }
    }
}

/// Runs `timed genesis`.
///
/// # Errors
/// When there is no such document, or it breaks a rule.
pub fn run(args: &Args) -> Result<(), CliError> {
    match &args.command {
        GenesisCommand::New(args) => new::run(args),
        GenesisCommand::Check(args) => check::run(args),
        GenesisCommand::Show(source) => {
            let document = source.document()?;
            if let Some(index) = document.dominant_masternode() {
                output::notice(format_args!(
                    "WARNING: masternode {index} alone holds a third of the weight or more; if it fails, nothing is safe"
                ));
            }
            output::line(document.to_toml()?.trim_end())
        }
        GenesisCommand::Hash(source) => output::line(source.document()?.chain_id()),
    }
}
