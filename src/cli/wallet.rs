//! `timed wallet`: makes a wallet and shows its addresses.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use zeroize::Zeroizing;

use super::password::{PasswordArgs, prompt};
use super::{CliError, output};
use crate::app::networks::DEVNET_MNEMONIC;
use crate::runtime::key_file::{SecretFileError, read_secret_file};
use crate::types::Network;
use crate::wallet::Wallet;

/// Where a wallet is when nothing else is said.
const DEFAULT_FILE: &str = "wallet.json";

/// Flags of `timed wallet`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: WalletCommand,
}

#[derive(Debug, Subcommand)]
enum WalletCommand {
    /// Make a wallet of 24 new words, which are shown once.
    New(NewArgs),
    /// Make a wallet of words that were written down.
    Restore(RestoreArgs),
    /// Print the address of an account.
    Address(AddressArgs),
}

/// Which keystore, and its password.
#[derive(Debug, Clone, clap::Args)]
pub struct KeystoreArgs {
    /// The keystore's file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    wallet: PathBuf,
    #[command(flatten)]
    password: PasswordArgs,
}

impl KeystoreArgs {
    /// Opens the keystore. Blocks for a prompt and for about 100 ms of work.
    ///
    /// # Errors
    /// When it can't be read, or the password is wrong.
    pub fn open(&self) -> Result<Wallet, CliError> {
        // Before the question, so that nobody types a password in vain.
        if !self.wallet.exists() {
            let path = self.wallet.display();
            return Err(CliError::Usage(format!(
                "there is no wallet at {path}; name its file by --wallet, or make one: timed wallet new"
            )));
        }
        Ok(Wallet::open(&self.wallet, &self.password.read()?)?)
    }

    fn save_new(&self, wallet: &Wallet) -> Result<(), CliError> {
        Ok(wallet.save(&self.wallet, &self.password.read_new()?)?)
    }

    fn refuse_existing(&self) -> Result<(), CliError> {
        if self.wallet.exists() {
            return Err(SecretFileError::Exists { path: self.wallet.clone() }.into());
        }
        Ok(())
    }
}

#[derive(Debug, clap::Args)]
struct NewArgs {
    /// Which network it is for.
    #[arg(long)]
    network: Network,
    #[command(flatten)]
    keystore: KeystoreArgs,
}

#[derive(Debug, clap::Args)]
struct RestoreArgs {
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

#[derive(Debug, clap::Args)]
struct AddressArgs {
    /// Which account.
    #[arg(long, default_value_t = 0)]
    account: u32,
    #[command(flatten)]
    keystore: KeystoreArgs,
}

/// Runs `timed wallet`.
///
/// # Errors
/// When the keystore can't be made or opened.
pub async fn run(args: Args) -> Result<(), CliError> {
    match args.command {
        WalletCommand::New(args) => new(&args),
        WalletCommand::Restore(args) => restore(&args),
        WalletCommand::Address(args) => output::line(args.keystore.open()?.address(args.account)?),
    }
}

fn new(args: &NewArgs) -> Result<(), CliError> {
    args.keystore.refuse_existing()?;
    let wallet = Wallet::generate(args.network)?;
    args.keystore.save_new(&wallet)?;
    output::notice("Write these words down and keep them secret; who knows them owns the coins:");
    output::line(wallet.words().as_str())?;
    output::line(wallet.address(0)?)
}

fn restore(args: &RestoreArgs) -> Result<(), CliError> {
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
