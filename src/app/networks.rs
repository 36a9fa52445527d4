//! The development network, with keys that everybody knows, and how genesis documents are read.
//!
//! # Place
//! `devnet` makes a document here; `run` and `votes` read the one that the configuration names. None is compiled in: for
//! a node of the devnet that names none, `cli/genesis_source.rs` finds the document of the devnet at hand.
//!
//! # Invariants
//! - INV-NETWORKS-1: a devnet's document depends on nothing but its number of validators and its time, so that every tool
//!   knows its keys, and its chain id tells it from every other devnet.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::runtime::Config;
use crate::types::genesis::{Allocation, GenesisError, GenesisMasternode};
use crate::types::hash::{Domain, DomainHasher};
use crate::types::{Address, Amount, ChainParameters, GenesisDocument, Network, SecretKey, TimeMs};
use crate::wallet;

/// Validators of the devnet unless told otherwise.
pub const DEVNET_VALIDATORS: usize = 4;
/// The tier of its first masternodes: heavy enough that a Bronze one that joins and goes away again fits under the cap
/// on jailing, a tenth of the weight.
const DEVNET_TIER: &str = "silver";
/// Funded accounts of the devnet.
pub const DEVNET_ACCOUNTS: u32 = 10;
/// What each of them holds, in whole TIME.
pub const DEVNET_ACCOUNT_TIME: u64 = 1_000_000;
/// The words of the funded accounts: public, so worth nothing anywhere else. They are those that development
/// networks of other chains use, so nobody takes them for their own.
pub const DEVNET_MNEMONIC: &str = "test test test test test test test test test test test junk";
/// The BIP-39 seed of [`DEVNET_MNEMONIC`], here so that no start pays for its 2,048 rounds; a test holds both
/// together.
const DEVNET_SEED: [u8; 64] = *b"\
\x9d\xfc\x3c\x64\xc2\xf8\xbe\xde\x15\x33\xb6\xa7\x9f\x85\x70\xe5\x94\x3e\x0b\x8f\xd1\xcf\x77\x10\x7a\xdf\x7b\x72\xce\xf4\x21\x85\
\xd5\x64\xa3\xae\xe2\x4c\xab\x43\xf8\x0e\x3c\x45\x38\x08\x7d\x70\xfc\x82\x4e\xab\xba\xd5\x96\xa2\x3c\x97\xb6\xee\x83\x22\xcc\xc0";
/// 2026-01-01T00:00:00Z: the time of a devnet that nobody runs.
const DEVNET_TIME_MS: TimeMs = 1_767_225_600_000;
/// Bytes of a genesis document, at most.
const GENESIS_FILE_BYTES_MAX: u64 = 16 << 20;

/// Why there is no genesis document. It is an error of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum NetworksError {
    /// The network has none compiled in.
    #[error("no genesis document of {network}: name its file by [node] genesis{}", devnet_hint(*network))]
    NoGenesis {
        /// Which network.
        network: Network,
    },
    /// The file can't be read.
    #[error("the genesis document {path} can't be read: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// It breaks a rule.
    #[error("{path}: {source}; `timed genesis check {path}` names all that is wrong with it")]
    Document {
        /// Which file.
        path: PathBuf,
        /// Which rule.
        source: GenesisError,
    },
    /// It is of another network than the configuration.
    #[error("{path} is a document of {found}, but [node] network is {expected}")]
    OtherNetwork {
        /// Which file.
        path: PathBuf,
        /// Its network.
        found: Network,
        /// The configuration's network.
        expected: Network,
    },
}

const fn devnet_hint(network: Network) -> &'static str {
    match network {
        Network::Devnet => {
            ", or start a devnet (`timed devnet`): it is found while it runs, and in ./devnet beside the configuration"
        }
        Network::Mainnet | Network::Testnet => "",
    }
}

/// What a key of the devnet is for.
#[derive(Clone, Copy)]
enum DevnetRole {
    Operator,
    Identity,
    Owner,
}

fn devnet_key(role: DevnetRole, index: usize) -> SecretKey {
    let role = match role {
        DevnetRole::Operator => 0,
        DevnetRole::Identity => 1,
        DevnetRole::Owner => 2,
    };
    let hasher = DomainHasher::new(Domain::DevelopmentSeed).u64(role).u64(index as u64);
    SecretKey::from_seed(&hasher.finish())
}

/// The key that votes for the devnet's validator `index`.
#[must_use]
pub fn devnet_operator_key(index: usize) -> SecretKey {
    devnet_key(DevnetRole::Operator, index)
}

/// The identity of the devnet's node `index` among peers.
#[must_use]
pub fn devnet_identity_key(index: usize) -> SecretKey {
    devnet_key(DevnetRole::Identity, index)
}

/// The key that owns the collateral of the devnet's validator `index`, and gets its rewards.
#[must_use]
pub fn devnet_owner_key(index: usize) -> SecretKey {
    devnet_key(DevnetRole::Owner, index)
}

/// The keys of the devnet's funded accounts: accounts 0 to 9 of [`DEVNET_MNEMONIC`].
#[must_use]
pub fn devnet_account_keys() -> Vec<SecretKey> {
    (0..DEVNET_ACCOUNTS).map(|account| wallet::account_key(&DEVNET_SEED, Network::Devnet, account)).collect()
}

/// The port on which the devnet's node `index` listens for peers; `None` when there is no such port.
#[must_use]
pub fn devnet_p2p_port(index: usize) -> Option<u16> {
    devnet_port(Network::Devnet.default_port(), index)
}

/// The same of a devnet whose node 0 has the port `base`.
#[must_use]
pub fn devnet_port(base: u16, index: usize) -> Option<u16> {
    base.checked_add(u16::try_from(index).ok()?.checked_mul(2)?)
}

/// The port on which the devnet's node `index` listens for RPC: one above its port for peers.
#[must_use]
pub fn devnet_rpc_port(index: usize) -> Option<u16> {
    devnet_p2p_port(index)?.checked_add(1)
}

/// The genesis document of a devnet at a fixed time, which is the same wherever it is made: for tests and examples.
#[must_use]
pub fn devnet_genesis(validators: usize) -> GenesisDocument {
    devnet_genesis_at(validators, DEVNET_TIME_MS)
}

/// The genesis document of a devnet with as many validators, all of [`DEVNET_TIER`], that begins at a time. The number is
/// checked by [`GenesisDocument::check`]: 3 to 100 are possible.
#[must_use]
pub fn devnet_genesis_at(validators: usize, time_ms: TimeMs) -> GenesisDocument {
    let address = |key: &SecretKey| Address::of_key_hash(Network::Devnet, key.public().key_hash());
    let parameters = ChainParameters::of_network(Network::Devnet);
    let tier = parameters.tiers.iter().find(|tier| tier.name == DEVNET_TIER);
    let collateral = tier.map(|tier| tier.collateral).unwrap_or_default();
    let amount = Amount::from_time(DEVNET_ACCOUNT_TIME).unwrap_or_default();
    let allocations =
        devnet_account_keys().iter().map(|key| Allocation { address: address(key), amount }).collect();
    let masternodes = (0..validators)
        .map(|index| {
            let owner = address(&devnet_owner_key(index));
            let port = devnet_p2p_port(index).unwrap_or_default();
            GenesisMasternode {
                collateral,
                owner,
                operator_key: devnet_operator_key(index).public(),
                payout: owner,
                network_address: format!("127.0.0.1:{port}"),
            }
        })
        .collect();
    GenesisDocument { network: Network::Devnet, time_ms, parameters, allocations, masternodes }
}

/// The genesis document that a configuration names.
///
/// # Errors
/// When there is none, or the file is not one of the network.
pub fn load_genesis(config: &Config) -> Result<GenesisDocument, NetworksError> {
    let network = config.node.network;
    let Some(path) = &config.node.genesis else { return Err(NetworksError::NoGenesis { network }) };
    let document = read_genesis(path)?;
    if document.network != network {
        let (path, found) = (path.clone(), document.network);
        return Err(NetworksError::OtherNetwork { path, found, expected: network });
    }
    Ok(document)
}

/// Reads a genesis document from its file and checks it.
///
/// # Errors
/// When it can't be read or breaks a rule.
pub fn read_genesis(path: &Path) -> Result<GenesisDocument, NetworksError> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(GENESIS_FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(|source| NetworksError::Read { path: path.to_owned(), source })?;
    GenesisDocument::from_toml(&text)
        .map_err(|source| NetworksError::Document { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::Wallet;

    /// INV-NETWORKS-1.
    #[test]
    fn the_devnet_is_sound_and_always_the_same() {
        for validators in [3, 4, 7, 100] {
            let document = devnet_genesis(validators);
            assert_eq!(document.check(), Ok(()));
            assert_eq!(document.dominant_masternode().is_some(), validators == 3);
        }
        assert!(matches!(devnet_genesis(2).check(), Err(GenesisError::TooFewMasternodes { .. })));
        assert!(matches!(devnet_genesis(101).check(), Err(GenesisError::TooManyMasternodes { .. })));
        let document = devnet_genesis(DEVNET_VALIDATORS);
        let collateral = document.masternodes[0].collateral;
        assert_eq!(
            (collateral, document.weight_of(collateral)),
            (Amount::from_time(10_000).unwrap(), Some(10))
        );
        assert_eq!(document.masternodes[3].network_address, "127.0.0.1:24206");
        assert_eq!(devnet_rpc_port(1), Some(24_203));
        // A change here changes every digest that tests wrote down.
        assert_eq!(
            document.chain_id().to_string(),
            "a026428bf8c08a87000fd84329921921318a2296489c14bebd292dd0c6151a5c"
        );
    }

    #[test]
    fn devnets_of_other_times_are_other_chains() {
        assert_eq!(devnet_genesis_at(4, 7), devnet_genesis_at(4, 7));
        assert_ne!(devnet_genesis_at(4, 7).chain_id(), devnet_genesis_at(4, 8).chain_id());
    }

    #[test]
    fn the_public_words_open_the_funded_accounts() {
        let wallet = Wallet::restore(Network::Devnet, DEVNET_MNEMONIC).unwrap();
        let document = devnet_genesis(DEVNET_VALIDATORS);
        for (account, allocation) in (0..DEVNET_ACCOUNTS).zip(&document.allocations) {
            assert_eq!(wallet.address(account).unwrap(), allocation.address);
            assert_eq!(allocation.amount.to_string(), "1000000.00000000");
        }
        assert_eq!(document.allocations.len(), 10);
    }

    #[test]
    fn no_two_keys_are_the_same() {
        let mut keys: Vec<_> = (0..100)
            .flat_map(|i| [devnet_operator_key(i), devnet_identity_key(i), devnet_owner_key(i)])
            .chain(devnet_account_keys())
            .map(|key| key.public())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 310);
    }

    #[test]
    fn a_file_is_read_and_must_fit_the_network() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("genesis.toml");
        std::fs::write(&path, devnet_genesis(5).to_toml().unwrap()).unwrap();
        let mut config = Config::of_network(Network::Devnet);
        let error = load_genesis(&config).unwrap_err().to_string();
        assert!(error.contains("timed devnet") && error.contains("[node] genesis"), "{error}");
        config.node.genesis = Some(path.clone());
        assert_eq!(load_genesis(&config).unwrap(), devnet_genesis(5));
        config.node.network = Network::Testnet;
        assert!(matches!(load_genesis(&config), Err(NetworksError::OtherNetwork { .. })));
        config.node.genesis = None;
        let error = load_genesis(&config).unwrap_err().to_string();
        assert!(error.contains("testnet") && error.contains("[node] genesis"), "{error}");
        std::fs::write(&path, "network = 1").unwrap();
        assert!(matches!(read_genesis(&path), Err(NetworksError::Document { .. })));
        assert!(matches!(read_genesis(home.path()), Err(NetworksError::Read { .. })));
    }
}
