//! Bans, and addresses as texts.

use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::network::BanTarget;
use crate::types::{Address, Lock, Network};

/// The bits of an address that a ban of a group covers.
const GROUP_BITS_V4: &str = "24";
const GROUP_BITS_V6: &str = "48";

/// One entry of `listbanned`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BanInfo {
    /// Who: an address, a group of addresses, or the key that a node's handshake proved; as `setban` takes it.
    pub address: String,
    /// How long it lasts still, in seconds.
    pub time_remaining: u64,
}

impl BanInfo {
    /// Describes a ban.
    #[must_use]
    pub fn of(target: BanTarget, left: Duration) -> Self {
        let address = match target {
            BanTarget::Identity(identity) => identity.to_string(),
            BanTarget::Ip(ip) => ip.to_string(),
            BanTarget::Group(ip) if ip.is_ipv4() => format!("{ip}/{GROUP_BITS_V4}"),
            BanTarget::Group(ip) => format!("{ip}/{GROUP_BITS_V6}"),
        };
        Self { address, time_remaining: left.as_secs() }
    }

    /// Reads who is to be banned, in the words of [`BanInfo::address`].
    #[must_use]
    pub fn parse_subject(text: &str) -> Option<BanTarget> {
        let Some((ip, bits)) = text.split_once('/') else {
            let ip = text.parse().map(BanTarget::Ip);
            return ip.ok().or_else(|| text.parse().ok().map(BanTarget::Identity));
        };
        let ip: IpAddr = ip.parse().ok()?;
        let expected = if ip.is_ipv4() { GROUP_BITS_V4 } else { GROUP_BITS_V6 };
        (bits == expected).then_some(BanTarget::Group(ip))
    }
}

/// `validateaddress`: what a text is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddressInfo {
    /// Whether payments of this network can go there.
    #[serde(rename = "isvalid")]
    pub is_valid: bool,
    /// The address as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// Whose it is: `mainnet`, `testnet` or `devnet`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The hash of the key that spends what is paid there, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_hash: Option<String>,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl AddressInfo {
    /// Describes a text for a node of this network.
    #[must_use]
    pub fn of(text: &str, network: Network) -> Self {
        let invalid = |error: String| Self {
            is_valid: false,
            address: None,
            network: None,
            key_hash: None,
            error: Some(error),
        };
        let address: Address = match text.parse() {
            Ok(address) => address,
            Err(failure) => return invalid(format!("{failure}")),
        };
        let of = address.network;
        if of != network {
            let error = format!("it is of {of}, and this node of {network}");
            return Self { network: Some(of.to_string()), address: Some(address), ..invalid(error) };
        }
        let Lock::KeyHash(hash) = address.lock;
        Self {
            is_valid: true,
            address: Some(Address::of_lock(network, address.lock)),
            network: Some(of.to_string()),
            key_hash: Some(hash.to_string()),
            error: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::SecretKey;

    #[test]
    fn who_is_banned_is_read_as_it_is_written() {
        let key = SecretKey::from_seed(&[1; 32]).public();
        let key_text = key.to_string();
        for (text, target) in [
            ("192.0.2.7", BanTarget::Ip("192.0.2.7".parse().unwrap())),
            ("2001:db8::7", BanTarget::Ip("2001:db8::7".parse().unwrap())),
            ("192.0.2.0/24", BanTarget::Group("192.0.2.0".parse().unwrap())),
            ("2001:db8:1::/48", BanTarget::Group("2001:db8:1::".parse().unwrap())),
            (key_text.as_str(), BanTarget::Identity(key)),
        ] {
            assert_eq!(BanInfo::parse_subject(text), Some(target), "{text}");
            let info = BanInfo::of(target, Duration::from_millis(1_999));
            assert_eq!((info.address.as_str(), info.time_remaining), (text, 1));
        }
        for text in ["", "192.0.2.0/16", "2001:db8::/24", "192.0.2.7:24100", "node", "192.0.2.0/"] {
            assert_eq!(BanInfo::parse_subject(text), None, "{text}");
        }
    }

    #[test]
    fn a_text_is_an_address_of_this_network_or_says_why_not() {
        let lock = Lock::KeyHash(SecretKey::from_seed(&[1; 32]).public().key_hash());
        let (ours, theirs) =
            (Address::of_lock(Network::Devnet, lock), Address::of_lock(Network::Mainnet, lock));
        let info = AddressInfo::of(&ours.to_string(), Network::Devnet);
        assert!(info.is_valid && info.error.is_none());
        assert_eq!((info.address, info.network.as_deref()), (Some(ours), Some("devnet")));
        let info = AddressInfo::of(&theirs.to_string(), Network::Devnet);
        assert!(!info.is_valid && info.error.is_some_and(|error| error.contains("mainnet")));
        let info = AddressInfo::of("time1oops", Network::Devnet);
        assert!(!info.is_valid && info.address.is_none() && info.error.is_some());
    }
}
