//! Addresses: bech32m text for an output's lock, with a prefix for each network.
//!
//! `time1...` on mainnet, `ttime1...` on testnet, `dtime1...` on devnet. The data is one byte for the kind of lock
//! (0: hash of a public key) and the 32 bytes of the hash, so other kinds can follow (BIP 350's checksum).

use std::fmt;
use std::str::FromStr;

use bech32::{Bech32m, Hrp};
use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::hash::KeyHash;
use super::lock::Lock;

/// Which network something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The real network.
    Mainnet,
    /// The public test network.
    Testnet,
    /// A network on one machine, with public keys.
    Devnet,
}

impl Network {
    /// The prefix of its addresses.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Mainnet => "time",
            Self::Testnet => "ttime",
            Self::Devnet => "dtime",
        }
    }

    /// Its default port for peers; RPC is one above.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Mainnet => 24_000,
            Self::Testnet => 24_100,
            Self::Devnet => 24_200,
        }
    }

    const ALL: [Self; 3] = [Self::Mainnet, Self::Testnet, Self::Devnet];
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
            Self::Devnet => "devnet",
        })
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|network| network.to_string() == text)
            .ok_or_else(|| format!("unknown network {text:?}; expected mainnet, testnet or devnet"))
    }
}

/// Where coins can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The network it is for.
    pub network: Network,
    /// The lock that its outputs get.
    pub lock: Lock,
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseAddressError {
    /// The checksum or the alphabet is wrong.
    #[error("not a bech32m address (mistyped?): {0}")]
    Malformed(String),
    /// The prefix belongs to no network.
    #[error("the prefix {0:?} is of no TIME network; expected time1, ttime1 or dtime1")]
    UnknownPrefix(String),
    /// The kind of lock, or its length, is unknown.
    #[error("this kind of address is unknown to this version")]
    UnknownKind,
}

impl Address {
    /// The address of a key's hash.
    #[must_use]
    pub const fn of_key_hash(network: Network, hash: KeyHash) -> Self {
        Self::of_lock(network, Lock::KeyHash(hash))
    }

    /// The address of those who can open a lock.
    #[must_use]
    pub const fn of_lock(network: Network, lock: Lock) -> Self {
        Self { network, lock }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lock::KeyHash(hash) = self.lock;
        let mut data = vec![0_u8];
        data.extend_from_slice(&hash.0);
        let text = Hrp::parse(self.network.prefix())
            .ok()
            .and_then(|prefix| bech32::encode::<Bech32m>(prefix, &data).ok())
            .ok_or(fmt::Error)?;
        f.write_str(&text)
    }
}

impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text)
            .map_err(|error| ParseAddressError::Malformed(error.to_string()))?;
        let prefix = checked.hrp().to_lowercase();
        let network = Network::ALL
            .into_iter()
            .find(|network| network.prefix() == prefix)
            .ok_or(ParseAddressError::UnknownPrefix(prefix))?;
        let data: Vec<u8> = checked.byte_iter().collect();
        match data.split_first() {
            Some((0, hash)) => {
                let hash = <[u8; 32]>::try_from(hash).map_err(|_| ParseAddressError::UnknownKind)?;
                Ok(Self::of_key_hash(network, KeyHash(hash)))
            }
            _ => Err(ParseAddressError::UnknownKind),
        }
    }
}

impl schemars::JsonSchema for Address {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "An address in Bech32m, as BIP-350 has it" })
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip_on_every_network() {
        for network in Network::ALL {
            let address = Address::of_key_hash(network, KeyHash([5; 32]));
            let text = address.to_string();
            assert!(text.starts_with(&format!("{}1", network.prefix())), "{text}");
            assert_eq!(text.parse::<Address>(), Ok(address));
        }
    }

    #[test]
    fn one_changed_letter_is_noticed() {
        let text = Address::of_key_hash(Network::Devnet, KeyHash([5; 32])).to_string();
        let changed = text.replacen('q', "p", 1);
        assert_ne!(text, changed);
        assert!(matches!(changed.parse::<Address>(), Err(ParseAddressError::Malformed(_))));
    }

    #[test]
    fn other_prefixes_and_kinds_are_refused() {
        let hrp = Hrp::parse("bc").unwrap();
        let foreign = bech32::encode::<Bech32m>(hrp, &[0; 33]).unwrap();
        assert_eq!(foreign.parse::<Address>(), Err(ParseAddressError::UnknownPrefix("bc".into())));
        let hrp = Hrp::parse("dtime").unwrap();
        let unknown = bech32::encode::<Bech32m>(hrp, &[1; 33]).unwrap();
        assert_eq!(unknown.parse::<Address>(), Err(ParseAddressError::UnknownKind));
    }
}
