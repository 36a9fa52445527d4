//! Whose coins a command speaks of: accounts of a keystore, or a devnet account that everybody has the key of.
//!
//! # All accounts
//! A keystore does not note which of its accounts were ever used, so a node is asked, as BIP 44 does it: account after
//! account, until [`GAP`] in a row have no coins. Account 0 always counts.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::json;

use super::super::password::PasswordArgs;
use super::super::rpc_client::RpcClient;
use super::super::wallet_rpc::Funding;
use super::super::{CliError, output};
use super::DEFAULT_FILE;
use crate::app::networks::{DEVNET_ACCOUNTS, devnet_account_keys};
use crate::rpc::types::AddressBalance;
use crate::runtime::key_file::SecretFileError;
use crate::types::{Address, Lock, Network, SecretKey};
use crate::wallet::{ACCOUNTS_MAX, Funds, Wallet, WalletError};

/// Accounts without coins after which no further ones are looked for.
pub(in crate::cli) const GAP: u32 = 20;

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

    pub(super) fn save_new(&self, wallet: &Wallet) -> Result<(), CliError> {
        Ok(wallet.save(&self.wallet, &self.password.read_new()?)?)
    }

    pub(super) fn refuse_existing(&self) -> Result<(), CliError> {
        if self.wallet.exists() {
            return Err(SecretFileError::Exists { path: self.wallet.clone() }.into());
        }
        Ok(())
    }
}

/// Whose coins, where it is one account.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct OwnerArgs {
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

/// A key that can spend, and its address.
pub(in crate::cli) struct Owner {
    pub(in crate::cli) key: SecretKey,
    pub(in crate::cli) address: Address,
}

impl Owner {
    /// What transactions of this owner are built from.
    pub(in crate::cli) fn funds<'a>(&'a self, funding: &'a Funding) -> Funds<'a> {
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
    pub(super) fn open(&self) -> Result<Owner, CliError> {
        if let Some(account) = self.devnet_account {
            return devnet_owner(account);
        }
        let wallet = self.keystore.open()?;
        Ok(Owner { key: wallet.key(self.account)?, address: wallet.address(self.account)? })
    }

    /// As [`Self::open`], for what spends: everybody has the keys of the devnet's accounts, so that is said.
    pub(in crate::cli) fn open_to_spend(&self) -> Result<Owner, CliError> {
        if self.devnet_account.is_some() {
            warn_of_public_key();
        }
        self.open()
    }
}

fn devnet_owner(account: u32) -> Result<Owner, CliError> {
    let place = usize::try_from(account).unwrap_or(usize::MAX);
    let key = devnet_account_keys().into_iter().nth(place);
    let key = key.ok_or(WalletError::NoSuchAccount { account })?;
    let address = Address::of_key_hash(Network::Devnet, key.public().key_hash());
    Ok(Owner { key, address })
}

fn warn_of_public_key() {
    output::notice("WARNING: everybody knows the key of this account; it is for the devnet only");
}

/// Whose coins, where it may be several accounts together.
#[derive(Debug, clap::Args)]
pub(super) struct OwnersArgs {
    /// Which account of the wallet; several of them by several --account.
    #[arg(long = "account", value_name = "N", default_value = "0")]
    accounts: Vec<u32>,
    /// All accounts that have coins; the search ends after 20 in a row that have none.
    #[arg(long, conflicts_with = "accounts")]
    all_accounts: bool,
    /// A funded account of the devnet, 0 to 9, whose key everybody knows, instead of a wallet.
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(..i64::from(DEVNET_ACCOUNTS)),
        conflicts_with_all = ["accounts", "all_accounts", "wallet", "password_file", "password_stdin"]
    )]
    devnet_account: Option<u32>,
    #[command(flatten)]
    keystore: KeystoreArgs,
}

/// An account of a wallet.
pub(super) struct Account {
    /// Its number.
    pub(super) index: u32,
    pub(super) address: Address,
    /// Absent in a wallet that only watches.
    pub(super) key: Option<SecretKey>,
}

/// At least one account, all of one network.
pub(super) struct Owners {
    accounts: Vec<Account>,
}

impl OwnersArgs {
    /// Opens the keystore and finds its accounts, or takes the devnet's account.
    ///
    /// # Errors
    /// When there is no such keystore or account, or the node that knows which accounts have coins does not answer.
    pub(super) async fn open(&self, client: &RpcClient) -> Result<Owners, CliError> {
        if let Some(index) = self.devnet_account {
            let Owner { key, address } = devnet_owner(index)?;
            return Ok(Owners { accounts: vec![Account { index, address, key: Some(key) }] });
        }
        let wallet = self.keystore.open()?;
        let indices = match self.all_accounts {
            true => used_accounts(&wallet, client).await?,
            false => self.accounts.iter().copied().collect(),
        };
        Owners::of(&wallet, &indices)
    }

    /// As [`Self::open`], for what spends: everybody has the keys of the devnet's accounts, so that is said.
    pub(super) async fn open_to_spend(&self, client: &RpcClient) -> Result<Owners, CliError> {
        if self.is_public() {
            warn_of_public_key();
        }
        self.open(client).await
    }

    /// Whether everybody has the key.
    pub(super) const fn is_public(&self) -> bool {
        self.devnet_account.is_some()
    }
}

/// The accounts that have coins, and account 0.
pub(super) async fn used_accounts(wallet: &Wallet, client: &RpcClient) -> Result<BTreeSet<u32>, CliError> {
    let mut used = BTreeSet::from([0]);
    let mut unused_in_a_row = 0;
    for account in 0..ACCOUNTS_MAX {
        let address = wallet.address(account)?;
        let balance: AddressBalance = client.call("getaddressbalance", &[json!(address)]).await?;
        if balance.utxo_count > 0 {
            used.insert(account);
            unused_in_a_row = 0;
        } else {
            unused_in_a_row += 1;
        }
        if unused_in_a_row == GAP {
            break;
        }
    }
    Ok(used)
}

impl Owners {
    pub(super) fn of(wallet: &Wallet, indices: &BTreeSet<u32>) -> Result<Self, CliError> {
        let account = |index: &u32| -> Result<Account, CliError> {
            Ok(Account { index: *index, address: wallet.address(*index)?, key: Some(wallet.key(*index)?) })
        };
        Ok(Self { accounts: indices.iter().map(account).collect::<Result<_, _>>()? })
    }

    pub(super) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The addresses, in the order of the accounts.
    pub(super) fn addresses(&self) -> Vec<Address> {
        self.accounts.iter().map(|account| account.address).collect()
    }

    pub(super) fn locks(&self) -> BTreeSet<Lock> {
        self.accounts.iter().map(|account| account.address.lock).collect()
    }

    /// The keys, in the order of the accounts.
    pub(super) fn keys(&self) -> Vec<SecretKey> {
        self.accounts.iter().filter_map(|account| account.key.clone()).collect()
    }

    /// Where change goes: the first account's address.
    ///
    /// # Errors
    /// When there is no account, which no command line leads to.
    pub(super) fn change(&self) -> Result<Address, CliError> {
        let first = self.accounts.first().map(|account| account.address);
        first.ok_or_else(|| CliError::Usage("name an account by --account".to_owned()))
    }
}
