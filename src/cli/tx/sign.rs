//! `timed tx sign`: signs by the keys of a wallet, without a node and without a network.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::super::confirm::{OffTerminal, confirm};
use super::super::wallet::KeystoreArgs;
use super::super::wallet_rpc::time_and_units;
use super::super::{CliError, output};
use super::{read, refused, show, write};
use crate::app::networks::{DEVNET_ACCOUNTS, devnet_account_keys};
use crate::cli::new_file::refuse_existing;
use crate::types::limits::MAX_FEE_DEFAULT;
use crate::types::{Amount, Lock, Network, SecretKey};
use crate::wallet::ACCOUNTS_MAX;
use crate::wallet::transaction_file::TransactionFile;

/// Flags of `timed tx sign`.
#[derive(Debug, clap::Args)]
pub(super) struct SignArgs {
    /// The file, as `timed tx create` writes it; `-` reads standard input.
    file: PathBuf,
    /// Write to this file, which must not exist; without it, to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Refuse to sign for a larger fee than this, in TIME; 0 is no bound.
    #[arg(long, value_name = "TIME", default_value_t = MAX_FEE_DEFAULT)]
    max_fee: Amount,
    /// Sign although nothing in the file proves the coins' amounts: you know them from elsewhere.
    #[arg(long)]
    trust_amounts: bool,
    /// Don't ask before it is signed.
    #[arg(long)]
    yes: bool,
    /// A funded account of the devnet, 0 to 9, whose key everybody knows, instead of a wallet.
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(..i64::from(DEVNET_ACCOUNTS)),
        conflicts_with_all = ["wallet", "password_file", "password_stdin"]
    )]
    devnet_account: Option<u32>,
    #[command(flatten)]
    keystore: KeystoreArgs,
}

/// Runs `timed tx sign`.
pub(super) fn sign(args: &SignArgs) -> Result<(), CliError> {
    let mut file = read(&args.file)?;
    refuse_existing(args.out.as_deref(), "--out")?;
    let keys = keys(args, &file)?;
    let own: BTreeSet<Lock> = keys.iter().map(lock_of).collect();
    let is_mine = |lock: &Lock| own.contains(lock);
    show::lines(&file, &is_mine).iter().for_each(output::notice);
    let missing = file.missing();
    if !missing.iter().any(|address| is_mine(&address.lock)) {
        return Err(CliError::Failed(match missing.as_slice() {
            [] => "all have signed already; `timed tx broadcast` sends it".to_owned(),
            _ => "no key of this wallet has to sign it; who has to is named above".to_owned(),
        }));
    }
    if args.max_fee != Amount::ZERO && file.fee() > args.max_fee {
        return Err(CliError::Failed(format!(
            "the fee of {} TIME is more than the {} TIME of --max-fee; nothing was signed. Allow more if that is meant",
            file.fee(),
            args.max_fee
        )));
    }
    output::notice(format_args!("It costs you {}.", time_and_units(show::own_cost(&file, &is_mine))));
    let signers: Vec<&SecretKey> = keys.iter().collect();
    // Before the question, so that nobody agrees in vain; what was not agreed to is forgotten.
    file.sign(&signers, args.trust_amounts).map_err(|error| refused(&args.file, &error))?;
    confirm("sign it", args.yes, OffTerminal::WantsYes)?;
    write(&file, args.out.as_deref())
}

fn lock_of(key: &SecretKey) -> Lock {
    Lock::KeyHash(key.public().key_hash())
}

/// The keys that own something that the file spends or pays.
fn keys(args: &SignArgs, file: &TransactionFile) -> Result<Vec<SecretKey>, CliError> {
    let mut named = file.owners();
    named.extend(file.payments().map(|(address, _)| address.lock));
    let all: Vec<SecretKey> = match args.devnet_account {
        Some(account) => {
            check_network(file, Network::Devnet)?;
            output::notice("WARNING: everybody knows the key of this account; it is for the devnet only");
            let place = usize::try_from(account).unwrap_or(usize::MAX);
            devnet_account_keys().into_iter().nth(place).into_iter().collect()
        }
        None => {
            let wallet = args.keystore.open()?;
            check_network(file, wallet.network())?;
            wallet.keys(ACCOUNTS_MAX)?
        }
    };
    Ok(all.into_iter().filter(|key| named.contains(&lock_of(key))).collect())
}

fn check_network(file: &TransactionFile, network: Network) -> Result<(), CliError> {
    if file.network() == network {
        return Ok(());
    }
    Err(CliError::Failed(format!(
        "the file is of {}, and the wallet is of {network}; nothing was signed",
        file.network()
    )))
}
