//! Wallets that only watch: addresses without keys, in a file that holds no secret.
//!
//! Balance, coins and payments to sign elsewhere need addresses alone. The accounts of such a wallet are its addresses, in
//! their order. It can't be made from one public key, since each step of the wallet's paths is hardened
//! ([`super::slip10`]); so the addresses are listed.
//!
//! The file is no secret, but whoever can change it can put in addresses of their own.
//!
//! # Bounds
//! At most [`ACCOUNTS_MAX`] addresses, all of one network, each once.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ACCOUNTS_MAX;
use crate::runtime::io_advice;
use crate::runtime::key_file::{SecretFileError, create_secret_file};
use crate::types::{Address, Network};

/// What the file says that it is.
const FORMAT: &str = "timed watch-only wallet";
const VERSION: u16 = 1;
/// Bytes of a file, at most.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// Why there is no wallet that watches.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The file can't be read.
    #[error("{path}: {source}{}", io_advice(source))]
    Io {
        /// Which file.
        path: PathBuf,
        /// The file system's reason.
        source: std::io::Error,
    },
    /// The file can't be written.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// It is none, or of another version.
    #[error("{path} is no watch-only wallet of this version: {problem}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Not as many addresses as there may be.
    #[error("a watch-only wallet has 1 to {ACCOUNTS_MAX} addresses, not {count}")]
    Count {
        /// How many.
        count: usize,
    },
    /// Addresses of several networks.
    #[error("{address} is not an address of {network}; a wallet is of one network")]
    OtherNetwork {
        /// The address.
        address: Address,
        /// The network of the first one.
        network: Network,
    },
    /// One address twice.
    #[error("{address} stands twice")]
    Twice {
        /// The address.
        address: Address,
    },
    /// An account beyond the last one.
    #[error("account {account} does not exist; this watch-only wallet has the accounts 0 to {last}")]
    NoSuchAccount {
        /// Its number.
        account: u32,
        /// The last one's.
        last: usize,
    },
}

/// Addresses without keys; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchOnly {
    network: Network,
    addresses: Vec<Address>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    format: String,
    version: u16,
    addresses: Vec<Address>,
}

/// Only this is read of a file that may be something else.
#[derive(Deserialize)]
struct Probe {
    format: Option<String>,
}

impl WatchOnly {
    /// A wallet of these addresses.
    ///
    /// # Errors
    /// When there are none or too many, or they are of several networks, or one stands twice.
    pub fn new(addresses: Vec<Address>) -> Result<Self, WatchError> {
        let count = addresses.len();
        let Some(network) = addresses.first().map(|first| first.network) else {
            return Err(WatchError::Count { count });
        };
        if u32::try_from(count).map_or(true, |count| count > ACCOUNTS_MAX) {
            return Err(WatchError::Count { count });
        }
        let mut seen = BTreeSet::new();
        for address in &addresses {
            if address.network != network {
                return Err(WatchError::OtherNetwork { address: *address, network });
            }
            if !seen.insert(address.lock) {
                return Err(WatchError::Twice { address: *address });
            }
        }
        Ok(Self { network, addresses })
    }

    /// Reads a file; `None` when it does not say that it is a watch-only wallet.
    ///
    /// # Errors
    /// When it can't be read, or says so and is none.
    pub fn read(path: &Path) -> Result<Option<Self>, WatchError> {
        let failed = |source| WatchError::Io { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(failed)?;
        // What can be read only once is left to the keystore, and so is what is larger.
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
        let probe = serde_json::from_slice::<Probe>(&bytes).ok().and_then(|probe| probe.format);
        if probe.as_deref() != Some(FORMAT) {
            return Ok(None);
        }
        let malformed = |problem: String| WatchError::Malformed { path: path.to_owned(), problem };
        let text: Text = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        if text.version != VERSION {
            return Err(malformed(format!("its version is {}, this program knows {VERSION}", text.version)));
        }
        Self::new(text.addresses).map(Some)
    }

    /// Writes it to a new file.
    ///
    /// # Errors
    /// When the file exists or can't be written.
    pub fn save(&self, path: &Path) -> Result<(), WatchError> {
        let text = Text { format: FORMAT.to_owned(), version: VERSION, addresses: self.addresses.clone() };
        let malformed = |error: serde_json::Error| WatchError::Malformed {
            path: path.to_owned(),
            problem: error.to_string(),
        };
        let text = serde_json::to_string_pretty(&text).map_err(malformed)?;
        Ok(create_secret_file(path, format!("{text}\n").as_bytes())?)
    }

    /// The network of all its addresses.
    #[must_use]
    pub const fn network(&self) -> Network {
        self.network
    }

    /// The addresses, account by account.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The address of an account.
    ///
    /// # Errors
    /// [`WatchError::NoSuchAccount`].
    pub fn address(&self, account: u32) -> Result<Address, WatchError> {
        let found = usize::try_from(account).ok().and_then(|place| self.addresses.get(place)).copied();
        let last = self.addresses.len().saturating_sub(1);
        found.ok_or(WatchError::NoSuchAccount { account, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::KeyHash;

    fn address(seed: u8) -> Address {
        Address::of_key_hash(Network::Devnet, KeyHash([seed; 32]))
    }

    #[test]
    fn a_file_gives_the_addresses_back_and_is_never_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("watch.json");
        let wallet = WatchOnly::new(vec![address(1), address(2)]).unwrap();
        wallet.save(&path).unwrap();
        assert_eq!(WatchOnly::read(&path).unwrap(), Some(wallet.clone()));
        let other = WatchOnly::new(vec![address(3)]).unwrap();
        assert!(matches!(other.save(&path), Err(WatchError::File(SecretFileError::Exists { .. }))));
        assert_eq!(wallet.address(1).unwrap(), address(2));
        assert!(matches!(wallet.address(2), Err(WatchError::NoSuchAccount { last: 1, .. })));
    }

    #[test]
    fn addresses_are_of_one_network_and_stand_once() {
        let mainnet = Address { network: Network::Mainnet, ..address(2) };
        assert!(matches!(WatchOnly::new(Vec::new()), Err(WatchError::Count { count: 0 })));
        let mixed = WatchOnly::new(vec![address(1), mainnet]);
        assert!(matches!(mixed, Err(WatchError::OtherNetwork { .. })));
        assert!(matches!(WatchOnly::new(vec![address(1), address(1)]), Err(WatchError::Twice { .. })));
        let many = |count: u32| {
            let hash = |index: u32| {
                let mut hash = [0; 32];
                hash[..4].copy_from_slice(&index.to_be_bytes());
                Address::of_key_hash(Network::Devnet, KeyHash(hash))
            };
            WatchOnly::new((0..count).map(hash).collect())
        };
        assert!(many(ACCOUNTS_MAX).is_ok());
        assert!(matches!(many(ACCOUNTS_MAX + 1), Err(WatchError::Count { .. })));
    }

    #[test]
    fn other_files_are_left_to_the_keystore_and_broken_ones_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        for other in ["", "{}", "{\"head\":{\"version\":1}}", "{\"format\":\"timed payment receipt\"}"] {
            std::fs::write(&path, other).unwrap();
            assert_eq!(WatchOnly::read(&path).unwrap(), None, "{other}");
        }
        let good = serde_json::json!({ "format": FORMAT, "version": VERSION, "addresses": [address(1)] });
        std::fs::write(&path, good.to_string()).unwrap();
        assert!(WatchOnly::read(&path).unwrap().is_some());
        for (member, value) in [
            ("version", serde_json::json!(2)),
            ("addresses", serde_json::json!([])),
            ("note", serde_json::json!(1)),
        ] {
            let mut changed = good.clone();
            changed[member] = value;
            std::fs::write(&path, changed.to_string()).unwrap();
            assert!(WatchOnly::read(&path).is_err(), "{member}");
        }
        assert!(matches!(WatchOnly::read(&home.path().join("none")), Err(WatchError::Io { .. })));
    }
}
