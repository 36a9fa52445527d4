//! `timed wallet`: makes a wallet, shows its addresses and coins, and pays.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use zeroize::Zeroizing;

use super::password::{PasswordArgs, prompt};
use super::wallet_rpc::{self, BalanceArgs, Funding, SendArgs};
use super::{CliError, output};
use crate::app::networks::{DEVNET_ACCOUNTS, DEVNET_MNEMONIC, devnet_account_keys};
use crate::runtime::key_file::{SecretFileError, read_secret_file};
use crate::types::{Address, Network, SecretKey};
use crate::wallet::{Funds, Transfer, TransferError, Wallet, WalletError};

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
    /// Print what an account has.
    Balance(BalanceCommand),
    /// Pay.
    Send(SendCommand),
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

/// Whose coins.
#[derive(Debug, clap::Args)]
pub(super) struct OwnerArgs {
    /// Which account of the wallet.
    #[arg(long, default_value_t = 0)]
    account: u32,
    /// A funded account of the devnet, 0 to 9, whose key everybody knows, instead of a wallet.
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(..i64::from(DEVNET_ACCOUNTS)),
        conflicts_with_all = ["account", "wallet", "password_file", "password_stdin"]
    )]
    devnet_account: Option<u32>,
    #[command(flatten)]
    keystore: KeystoreArgs,
}

#[derive(Debug, clap::Args)]
struct BalanceCommand {
    #[command(flatten)]
    owner: OwnerArgs,
    #[command(flatten)]
    balance: BalanceArgs,
}

#[derive(Debug, clap::Args)]
struct SendCommand {
    #[command(flatten)]
    owner: OwnerArgs,
    #[command(flatten)]
    send: SendArgs,
}

/// A key that can spend, and its address.
pub(super) struct Owner {
    pub(super) key: SecretKey,
    pub(super) address: Address,
}

impl Owner {
    /// What transactions of this owner are built from.
    pub(super) fn funds<'a>(&'a self, funding: &'a Funding) -> Funds<'a> {
        Funds {
            chain_id: &funding.chain.chain_id,
            parameters: &funding.parameters,
            coins: &funding.coins,
            keys: std::slice::from_ref(&self.key),
            change: self.address.lock,
        }
    }
}

impl OwnerArgs {
    /// Opens the keystore, or takes the devnet's account.
    fn open(&self) -> Result<Owner, CliError> {
        let Some(account) = self.devnet_account else {
            let wallet = self.keystore.open()?;
            return Ok(Owner { key: wallet.key(self.account)?, address: wallet.address(self.account)? });
        };
        let place = usize::try_from(account).unwrap_or(usize::MAX);
        let key = devnet_account_keys().into_iter().nth(place);
        let key = key.ok_or(WalletError::NoSuchAccount { account })?;
        let address = Address::of_key_hash(Network::Devnet, key.public().key_hash());
        Ok(Owner { key, address })
    }

    /// As [`Self::open`], for what spends: everybody has the keys of the devnet's accounts, so that is said.
    pub(super) fn open_to_spend(&self) -> Result<Owner, CliError> {
        if self.devnet_account.is_some() {
            output::notice("WARNING: everybody knows the key of this account; it is for the devnet only");
        }
        self.open()
    }
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
        WalletCommand::Balance(args) => {
            Ok(wallet_rpc::balance(&args.balance, &[args.owner.open()?.address]).await?)
        }
        WalletCommand::Send(args) => send(&args).await,
    }
}

async fn send(args: &SendCommand) -> Result<(), CliError> {
    let owner = args.owner.open_to_spend()?;
    let build = |funding: &Funding| -> Result<_, TransferError> {
        let transfer = Transfer {
            funds: owner.funds(funding),
            network: owner.address.network,
            recipient: args.send.recipient,
            amount: args.send.amount,
            memo: &[],
        };
        Ok(transfer.build()?.transaction)
    };
    Ok(wallet_rpc::send(&args.send, &[owner.address], build).await?)
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
