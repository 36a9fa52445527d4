//! Keys of a wallet in an encrypted keystore, and building of transactions.
//!
//! # Place
//! Floor 6. The commands of `cli/` use it; a node holds no wallet. It knows no network: coins come in, signed
//! transactions go out. [`uri`] asks for payments, [`transaction_file`] carries them to who signs elsewhere, [`WatchOnly`]
//! does without keys, [`signed_message`] signs texts, and [`sealed_memo`] encrypts those that a payment carries.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `keystore.rs`, `slip10.rs` | how keys are kept, and derived |
//! | `funds.rs`, `transfer.rs` | which coins pay, and what a payment is |
//! | `masternode.rs` | transactions about masternodes |
//! | `transaction_file.rs` | what travels to whoever signs elsewhere |
//! | `watch.rs` | what can be done without keys |
//! | `uri.rs` | how a payment is asked for |
//! | `signed_message.rs`, `sealed_memo.rs` | who said a text; who may read a memo |
//!
//! # Invariants
//! - INV-WALLET-1: words, seeds and keys are wiped from memory when dropped, and never printed by `Debug`.
//! - INV-WALLET-2: a built transaction pays at least the fee that validity asks for at its final size.
//! - INV-WALLET-3: collateral is never spent by accident: bound coins are never chosen.

use std::fmt;
use std::path::Path;

use bip39::{Language, Mnemonic};
use zeroize::Zeroizing;

use crate::runtime::key_file::SecretFileError;
use crate::types::{Address, Network, SecretKey};

mod funds;
mod keystore;
pub mod masternode;
pub mod sealed_memo;
pub mod signed_message;
pub mod slip10;
pub mod transaction_file;
mod transfer;
pub mod uri;
mod watch;

pub use funds::{BuiltTransaction, Coin, CoinState, Funds, FundsError, Plan, Source, Withheld};
pub use keystore::KeystoreError;
pub use transfer::{Payout, Transfer, TransferError};
pub use watch::{WatchError, WatchOnly};

/// Accounts of one wallet, at most.
pub const ACCOUNTS_MAX: u32 = 1_000;
/// Bytes of entropy behind a new wallet's words: 24 words.
const ENTROPY_BYTES: usize = 32;
/// BIP 44's first step.
const PURPOSE: u32 = 44;
/// The coin's number in paths: "TIME" in ASCII. It is not registered in SLIP-0044 yet.
const COIN_TYPE: u32 = 0x5449_4d45;
/// The coin's number of all test networks, by SLIP-0044.
const TEST_COIN_TYPE: u32 = 1;

/// Why there is no wallet, or no key of it.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// The words are no mnemonic.
    #[error("these words are no BIP-39 mnemonic: {0}; check their order and spelling")]
    Mnemonic(bip39::Error),
    /// The operating system gave no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// An account beyond the last one.
    #[error("account {account} does not exist; accounts are 0 to {}", ACCOUNTS_MAX - 1)]
    NoSuchAccount {
        /// Its index.
        account: u32,
    },
    /// The keystore can't be opened or written.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// Its file can't be read or written.
    #[error(transparent)]
    File(#[from] SecretFileError),
}

/// A mnemonic's keys on one network: account `i` has the key of the path `m/44'/coin'/i'` (SLIP-0010, Ed25519).
pub struct Wallet {
    network: Network,
    mnemonic: Mnemonic,
    seed: Zeroizing<[u8; 64]>,
}

impl fmt::Debug for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wallet(on {})", self.network)
    }
}

impl Wallet {
    /// A new wallet of 24 random words.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn generate(network: Network) -> Result<Self, WalletError> {
        let mut entropy = Zeroizing::new([0_u8; ENTROPY_BYTES]);
        getrandom::fill(entropy.as_mut_slice())?;
        Self::of_entropy(network, entropy.as_slice())
    }

    /// The wallet of words that were written down.
    ///
    /// # Errors
    /// When a word is unknown or the checksum is wrong.
    pub fn restore(network: Network, words: &str) -> Result<Self, WalletError> {
        let normal = Zeroizing::new(words.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase());
        let mnemonic =
            Mnemonic::parse_in_normalized(Language::English, &normal).map_err(WalletError::Mnemonic)?;
        Ok(Self::of_mnemonic(network, mnemonic))
    }

    fn of_entropy(network: Network, entropy: &[u8]) -> Result<Self, WalletError> {
        let mnemonic = Mnemonic::from_entropy(entropy).map_err(WalletError::Mnemonic)?;
        Ok(Self::of_mnemonic(network, mnemonic))
    }

    fn of_mnemonic(network: Network, mnemonic: Mnemonic) -> Self {
        let seed = Zeroizing::new(mnemonic.to_seed_normalized(""));
        Self { network, mnemonic, seed }
    }

    /// Opens a keystore file.
    ///
    /// # Errors
    /// When the file can't be read, is damaged, or the password is wrong.
    pub fn open(path: &Path, password: &str) -> Result<Self, WalletError> {
        let (network, entropy) = keystore::open(path, password)?;
        Self::of_entropy(network, &entropy)
    }

    /// Writes it to a new keystore file.
    ///
    /// # Errors
    /// When the file exists or can't be written.
    pub fn save(&self, path: &Path, password: &str) -> Result<(), WalletError> {
        let entropy = Zeroizing::new(self.mnemonic.to_entropy());
        Ok(keystore::save(path, password, self.network, &entropy)?)
    }

    /// The network it is for.
    #[must_use]
    pub const fn network(&self) -> Network {
        self.network
    }

    /// The words to write down.
    #[must_use]
    pub fn words(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(256));
        for word in self.mnemonic.words() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }

    /// The key of an account.
    ///
    /// # Errors
    /// When the account is not below [`ACCOUNTS_MAX`].
    pub fn key(&self, account: u32) -> Result<SecretKey, WalletError> {
        if account >= ACCOUNTS_MAX {
            return Err(WalletError::NoSuchAccount { account });
        }
        Ok(account_key(&self.seed, self.network, account))
    }

    /// The keys of the first `count` accounts.
    ///
    /// # Errors
    /// When there are not as many.
    pub fn keys(&self, count: u32) -> Result<Vec<SecretKey>, WalletError> {
        (0..count).map(|account| self.key(account)).collect()
    }

    /// The address of an account.
    ///
    /// # Errors
    /// When the account is not below [`ACCOUNTS_MAX`].
    pub fn address(&self, account: u32) -> Result<Address, WalletError> {
        Ok(Address::of_key_hash(self.network, self.key(account)?.public().key_hash()))
    }
}

/// The key of an account of a BIP-39 seed.
#[must_use]
pub fn account_key(seed: &[u8; 64], network: Network, account: u32) -> SecretKey {
    let coin = if network == Network::Mainnet { COIN_TYPE } else { TEST_COIN_TYPE };
    slip10::derive(seed, &[PURPOSE, coin, account])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words and seed of BIP 39's own test vectors (without a passphrase the seed is that of the reference
    /// implementation).
    const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

    #[test]
    fn words_round_trip_and_name_the_same_keys() {
        let wallet = Wallet::generate(Network::Devnet).unwrap();
        assert_eq!(wallet.words().split(' ').count(), 24);
        // INV-WALLET-1: nothing that is printed of it helps to spend its coins.
        let printed = format!("{wallet:?}");
        assert!(
            wallet.words().split(' ').all(|word| !printed.split([' ', '(', ')']).any(|part| part == word))
        );
        assert!(!printed.contains(wallet.words().as_str()));
        let restored = Wallet::restore(Network::Devnet, &format!("  {}\n", wallet.words().to_uppercase()));
        assert_eq!(restored.unwrap().address(7).unwrap(), wallet.address(7).unwrap());
        let other = Wallet::generate(Network::Devnet).unwrap();
        assert_ne!(*other.words(), *wallet.words());
        let changed = WORDS.replace("yellow", "zoo");
        assert!(matches!(Wallet::restore(Network::Devnet, &changed), Err(WalletError::Mnemonic(_))));
    }

    #[test]
    fn networks_and_accounts_have_keys_of_their_own() {
        let key = |network, account| Wallet::restore(network, WORDS).unwrap().key(account).unwrap().public();
        assert_ne!(key(Network::Mainnet, 0), key(Network::Devnet, 0));
        assert_ne!(key(Network::Devnet, 0), key(Network::Devnet, 1));
        let wallet = Wallet::restore(Network::Mainnet, WORDS).unwrap();
        assert!(matches!(wallet.key(ACCOUNTS_MAX), Err(WalletError::NoSuchAccount { .. })));
        assert!(wallet.address(0).unwrap().to_string().starts_with("time1"));
        assert!(!format!("{wallet:?}").contains("legal"));
    }
}
