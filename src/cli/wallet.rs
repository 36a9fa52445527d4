//! `timed wallet`: makes a wallet, shows its addresses and coins, and pays.
//!
//! # Place
//! [`owner`] opens the keystore and finds accounts; [`keys`] makes keystores; [`coins`] asks a node what accounts have;
//! [`send`] pays what [`payment`] reads from the command line. What a wallet is stands in [`crate::wallet`].

use clap::Subcommand;

use super::CliError;

mod coins;
mod keys;
mod owner;
mod payment;
mod send;

pub use owner::KeystoreArgs;
pub(super) use owner::{Owner, OwnerArgs};

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
    New(keys::NewArgs),
    /// Make a wallet of words that were written down.
    Restore(keys::RestoreArgs),
    /// Print the address of an account.
    Address(keys::AddressArgs),
    /// List the accounts that have coins.
    Accounts(coins::AccountsArgs),
    /// Print what an account has.
    Balance(coins::CoinsArgs),
    /// List the coins of an account: amount, age, and whether they can be spent.
    Utxos(coins::CoinsArgs),
    /// Pay.
    Send(Box<send::SendArgs>),
}

/// Runs `timed wallet`.
///
/// # Errors
/// When the keystore can't be made or opened, the node can't be reached or refuses, or what is asked for can't be done.
pub async fn run(args: Args) -> Result<(), CliError> {
    match args.command {
        WalletCommand::New(args) => keys::new(&args),
        WalletCommand::Restore(args) => keys::restore(&args),
        WalletCommand::Address(args) => keys::address(&args),
        WalletCommand::Accounts(args) => coins::accounts(&args).await,
        WalletCommand::Balance(args) => coins::balance(&args).await,
        WalletCommand::Utxos(args) => coins::utxos(&args).await,
        WalletCommand::Send(args) => send::send(&args).await,
    }
}
