//! `timed wallet`: makes a wallet, shows its addresses and coins, and pays.
//!
//! # Place
//! [`owner`] opens the keystore and finds accounts; [`keys`] makes keystores and exports them; [`coins`] and [`history`]
//! ask a node what accounts have and had; [`send`] pays what [`payment`] reads from the command line; [`request`] asks to be paid; [`message`]
//! signs texts; [`memo`] reads what payments say. What a wallet is stands in [`crate::wallet`], and what is signed elsewhere in [`super::tx`].

use clap::Subcommand;

use super::CliError;

mod coins;
mod history;
mod keys;
pub(super) mod memo;
mod message;
pub(super) mod owner;
pub(super) mod payment;
mod request;
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
    /// Show the words, or write the addresses alone to a file that only watches.
    Export(keys::ExportArgs),
    /// Make a wallet that only watches some addresses.
    Watch(keys::WatchArgs),
    /// Print the address of an account.
    Address(keys::AddressArgs),
    /// List the accounts that were used, with what they have.
    Accounts(coins::AccountsArgs),
    /// Print what an account has.
    Balance(coins::CoinsArgs),
    /// List the coins of an account: amount, age, and whether they can be spent.
    Utxos(coins::CoinsArgs),
    /// Show what transactions did to an account, the newest first.
    History(history::HistoryArgs),
    /// Pay addresses, and say after how long it was final if asked to wait.
    Send(Box<send::SendArgs>),
    /// Ask for a payment: print a URI, and a QR code on a terminal.
    Uri(request::UriArgs),
    /// Sign a text by the key of an account, so that others know who says it.
    SignMessage(message::SignMessageArgs),
    /// Check that the owner of an address signed a text.
    VerifyMessage(message::VerifyMessageArgs),
}

/// Runs `timed wallet`.
///
/// # Errors
/// When the keystore can't be made or opened, the node can't be reached or refuses, or what is asked for can't be done.
pub async fn run(args: Args) -> Result<(), CliError> {
    match args.command {
        WalletCommand::New(args) => keys::new(&args),
        WalletCommand::Restore(args) => keys::restore(&args),
        WalletCommand::Export(args) => keys::export(&args),
        WalletCommand::Watch(args) => keys::watch(&args),
        WalletCommand::Address(args) => keys::address(&args),
        WalletCommand::Accounts(args) => coins::accounts(&args).await,
        WalletCommand::Balance(args) => coins::balance(&args).await,
        WalletCommand::Utxos(args) => coins::utxos(&args).await,
        WalletCommand::History(args) => history::history(&args).await,
        WalletCommand::Send(args) => send::send(&args).await,
        WalletCommand::Uri(args) => request::uri(&args),
        WalletCommand::SignMessage(args) => message::sign_message(&args),
        WalletCommand::VerifyMessage(args) => message::verify_message(&args),
    }
}
