//! Whose coins a command speaks of: accounts of a keystore, or a devnet account that everybody has the key of.
//!
//! # All accounts
//! A keystore does not note which of its accounts were ever used, so a node is asked, as BIP 44 does it: account after
//! account, until [`GAP`] in a row have neither coins nor a history. Account 0 always counts. A node that has lost the
//! beginning of the chain may not know of an account that was emptied then.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::password::PasswordArgs;
use super::super::rpc_client::RpcClient;
use super::super::wallet_rpc::Funding;
use super::super::{CliError, output};
use super::DEFAULT_FILE;
use crate::app::networks::{DEVNET_ACCOUNTS, devnet_account_keys};
use crate::rpc::types::{AddressHistory, AddressUtxos};
use crate::runtime::key_file::SecretFileError;
use crate::types::{Address, Lock, Network, SecretKey};
use crate::wallet::{ACCOUNTS_MAX, Funds, Wallet, WalletError, WatchOnly};

/// Accounts that were never used after which no further ones are looked for.
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

/// A wallet with keys, or one that only watches.
pub(in crate::cli) enum Keyring {
    /// With keys.
    Full(Wallet),
    /// Addresses alone.
    Watch(WatchOnly),
}

impl Keyring {
    /// The address of an account.
    pub(in crate::cli) fn address(&self, account: u32) -> Result<Address, CliError> {
        Ok(match self {
            Self::Full(wallet) => wallet.address(account)?,
            Self::Watch(watched) => watched.address(account)?,
        })
    }

    fn key(&self, account: u32) -> Result<Option<SecretKey>, CliError> {
        Ok(match self {
            Self::Full(wallet) => Some(wallet.key(account)?),
            Self::Watch(_) => None,
        })
    }
}

fn only_watches(path: &Path) -> CliError {
    CliError::Usage(format!(
        "{} only watches and has no keys; make a file by `timed tx create`, and sign it by `timed tx sign` where the keys are",
        path.display()
    ))
}

impl KeystoreArgs {
    /// Opens the keystore. Blocks for a prompt and for about 100 ms of work.
    ///
    /// # Errors
    /// When it can't be read or has no keys, or the password is wrong.
    pub fn open(&self) -> Result<Wallet, CliError> {
        match self.keyring()? {
            Keyring::Full(wallet) => Ok(wallet),
            Keyring::Watch(_) => Err(only_watches(&self.wallet)),
        }
    }

    /// As [`Self::open`], and takes a wallet that only watches, too, which needs no password.
    ///
    /// # Errors
    /// When it can't be read, or the password is wrong.
    pub(in crate::cli) fn keyring(&self) -> Result<Keyring, CliError> {
        // Before the question, so that nobody types a password in vain.
        if !self.wallet.exists() {
            let path = self.wallet.display();
            return Err(CliError::Usage(format!(
                "there is no wallet at {path}; name its file by --wallet, or make one: timed wallet new"
            )));
        }
        if let Some(watched) = WatchOnly::read(&self.wallet)? {
            return Ok(Keyring::Watch(watched));
        }
        Ok(Keyring::Full(Wallet::open(&self.wallet, &self.password.read()?)?))
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

    /// The address alone: for a wallet that only watches, and without asking for a password.
    pub(super) fn address(&self) -> Result<Address, CliError> {
        match self.devnet_account {
            Some(account) => Ok(devnet_owner(account)?.address),
            None => Ok(self.keystore.keyring()?.address(self.account)?),
        }
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
pub(in crate::cli) struct OwnersArgs {
    /// Which account of the wallet; several of them by several --account.
    #[arg(long = "account", value_name = "N", default_value = "0")]
    accounts: Vec<u32>,
    /// All accounts that were ever used; the search ends after 20 in a row that were not.
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
pub(in crate::cli) struct Owners {
    accounts: Vec<Account>,
}

impl OwnersArgs {
    /// Opens the keystore and finds its accounts, or takes the devnet's account.
    ///
    /// # Errors
    /// When there is no such keystore or account, or the node that knows which accounts have coins does not answer.
    pub(in crate::cli) async fn open(&self, client: &RpcClient) -> Result<Owners, CliError> {
        if let Some(index) = self.devnet_account {
            let Owner { key, address } = devnet_owner(index)?;
            return Ok(Owners { accounts: vec![Account { index, address, key: Some(key) }] });
        }
        let wallet = self.keystore.keyring()?;
        let indices = match self.all_accounts {
            true => used_accounts(&wallet, client).await?,
            false => self.accounts.iter().copied().collect(),
        };
        Owners::of(&wallet, &indices)
    }

    /// As [`Self::open`], for what spends: there have to be keys; and everybody has those of the devnet's accounts, so that
    /// is said.
    ///
    /// # Errors
    /// As [`Self::open`]; and when the wallet only watches.
    pub(super) async fn open_to_spend(&self, client: &RpcClient) -> Result<Owners, CliError> {
        if self.is_public() {
            warn_of_public_key();
        }
        let owners = self.open(client).await?;
        if owners.accounts.iter().any(|account| account.key.is_none()) {
            return Err(only_watches(&self.keystore.wallet));
        }
        Ok(owners)
    }

    /// Whether everybody has the key.
    pub(super) const fn is_public(&self) -> bool {
        self.devnet_account.is_some()
    }
}

/// The accounts that were ever used, and account 0; all of a wallet that only watches.
///
/// # Errors
/// When the node can't be reached or refuses.
pub(super) async fn used_accounts(wallet: &Keyring, client: &RpcClient) -> Result<BTreeSet<u32>, CliError> {
    if let Keyring::Watch(watched) = wallet {
        return Ok((0..ACCOUNTS_MAX).zip(watched.addresses()).map(|(account, _)| account).collect());
    }
    let mut used = BTreeSet::from([0]);
    let mut unused_in_a_row = 0;
    for account in 0..ACCOUNTS_MAX {
        let address = wallet.address(account)?;
        if is_used(client, address).await? {
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

/// Whether an address has coins, or had some.
async fn is_used(client: &RpcClient, address: Address) -> Result<bool, CliError> {
    let coins: AddressUtxos = client.call("getaddressutxos", &[json!(address), json!(1)]).await?;
    if !coins.utxos.is_empty() {
        return Ok(true);
    }
    let past: AddressHistory = client.call("getaddresshistory", &[json!(address), json!(1)]).await?;
    Ok(!past.history.is_empty())
}

impl Owners {
    /// These accounts of a wallet.
    ///
    /// # Errors
    /// When there is no such account.
    pub(super) fn of(wallet: &Keyring, indices: &BTreeSet<u32>) -> Result<Self, CliError> {
        let account = |index: &u32| -> Result<Account, CliError> {
            Ok(Account { index: *index, address: wallet.address(*index)?, key: wallet.key(*index)? })
        };
        Ok(Self { accounts: indices.iter().map(account).collect::<Result<_, _>>()? })
    }

    pub(super) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The addresses, in the order of the accounts.
    pub(in crate::cli) fn addresses(&self) -> Vec<Address> {
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

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::cli::rpc_client::Endpoint;
    use crate::rpc::fake_node::FakeNode;
    use crate::rpc::{RpcServer, RpcServerConfig};
    use crate::types::{Amount, OutPoint, TxId, TxOut};

    #[tokio::test]
    async fn accounts_are_looked_for_until_twenty_in_a_row_were_never_used() {
        let (node, token) = (FakeNode::funded(), CancellationToken::new());
        let config = RpcServerConfig {
            listen_address: "127.0.0.1:0".parse().unwrap(),
            connections_max: 8,
            cookie_path: None,
            users: Vec::new(),
        };
        let server =
            RpcServer::start(config, node.clone(), token.clone(), &TaskTracker::new()).await.unwrap();
        let url = format!("http://{}", server.local_address);
        let client = RpcClient::connect(&Endpoint::without_cookie(url)).unwrap();
        let wallet = Wallet::generate(Network::Devnet).unwrap();
        for account in [3, 23, 44] {
            let lock = wallet.address(account).unwrap().lock;
            let outpoint = OutPoint { txid: TxId([9; 32]), index: account };
            node.utxos.lock().insert(outpoint, TxOut { value: Amount(5), lock });
        }
        let (watched, first) = (wallet.address(7).unwrap(), wallet.address(0).unwrap());
        // After 23, 24 to 43 have nothing and had nothing.
        let found = used_accounts(&Keyring::Full(wallet), &client).await.unwrap();
        assert_eq!(found, BTreeSet::from([0, 3, 23]));
        let watch = Keyring::Watch(WatchOnly::new(vec![watched, first]).unwrap());
        assert_eq!(used_accounts(&watch, &client).await.unwrap(), BTreeSet::from([0, 1]), "all of them");
        let owners = Owners::of(&watch, &BTreeSet::from([0, 1])).unwrap();
        assert_eq!((owners.addresses(), owners.change().unwrap()), (vec![watched, first], watched));
        assert!(owners.keys().is_empty());
        token.cancel();
    }
}
