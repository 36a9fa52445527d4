//! `timed wallet new`, `restore` and `address`: where keys come from.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::super::password::prompt;
use super::super::{CliError, output};
use super::owner::KeystoreArgs;
use crate::app::networks::DEVNET_MNEMONIC;
use crate::runtime::key_file::read_secret_file;
use crate::types::Network;
use crate::wallet::Wallet;

/// Flags of `timed wallet new`.
#[derive(Debug, clap::Args)]
pub(super) struct NewArgs {
    /// Which network it is for.
    #[arg(long)]
    network: Network,
    #[command(flatten)]
    keystore: KeystoreArgs,
}

/// Flags of `timed wallet restore`.
#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// Which network it is for.
    #[arg(long)]
    network: Network,
    /// Read the words from a file that only its owner can read, instead of asking for them.
    #[arg(long, value_name = "FILE", conflicts_with = "devnet_accounts")]
    words_file: Option<PathBuf>,
    /// Use the public words of the devnet's funded accounts.
    #[arg(long)]
    devnet_accounts: bool,
    #[command(flatten)]
    keystore: KeystoreArgs,
}

/// Flags of `timed wallet address`.
#[derive(Debug, clap::Args)]
pub(super) struct AddressArgs {
    /// Which account.
    #[arg(long, default_value_t = 0)]
    account: u32,
    #[command(flatten)]
    keystore: KeystoreArgs,
}

/// Runs `timed wallet address`.
pub(super) fn address(args: &AddressArgs) -> Result<(), CliError> {
    output::line(args.keystore.open()?.address(args.account)?)
}

/// Runs `timed wallet new`.
pub(super) fn new(args: &NewArgs) -> Result<(), CliError> {
    args.keystore.refuse_existing()?;
    let wallet = Wallet::generate(args.network)?;
    args.keystore.save_new(&wallet)?;
    output::notice("Write these words down and keep them secret; who knows them owns the coins:");
    output::line(wallet.words().as_str())?;
    output::line(wallet.address(0)?)
}

/// Runs `timed wallet restore`.
pub(super) fn restore(args: &RestoreArgs) -> Result<(), CliError> {
    args.keystore.refuse_existing()?;
    let words = match (&args.words_file, args.devnet_accounts, args.network) {
        (Some(path), ..) => words_of_file(path)?,
        (None, true, Network::Devnet) => {
            output::notice("WARNING: everybody knows these words; they are for the devnet only");
            Zeroizing::new(DEVNET_MNEMONIC.to_owned())
        }
        (None, true, network) => {
            return Err(CliError::Usage(format!("--devnet-accounts is for the devnet, not for {network}")));
        }
        (None, false, _) => prompt("The words: ")?,
    };
    let wallet = Wallet::restore(args.network, &words)?;
    args.keystore.save_new(&wallet)?;
    output::line(wallet.address(0)?)
}

fn words_of_file(path: &Path) -> Result<Zeroizing<String>, CliError> {
    let bytes = read_secret_file(path)?;
    let text = std::str::from_utf8(&bytes).map(|text| Zeroizing::new(text.to_owned()));
    text.map_err(|_| CliError::Usage(format!("{} does not hold UTF-8 text", path.display())))
}
