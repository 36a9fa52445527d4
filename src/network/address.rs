//! Addresses of nodes as values: which texts are one, who can reach it, and which belong together.
//!
//! # Place
//! The ground floor of this folder, beside `peer.rs`. The address book, the dialler and the places of connections ask
//! here; nothing here looks a name up.
//!
//! # Groups
//! Who attacks has many addresses, but few networks: what is chosen by chance, counted or kept diverse goes by the
//! [`NetGroup`]. It is wider than the group of [`Origin`](super::peer::Origin), by which bans go: a ban hits whoever lives
//! there, while who is passed over for its group has lost nothing.
//!
//! # Invariants
//! - INV-ADDRESS-1: an address that a peer tells is taken only if it leads somewhere from where that peer is: a local one
//!   only of a peer of the same locality, and never one that leads nowhere.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::types::limits::ADDRESS_TEXT_BYTES_MAX;

/// Whether a text can be an address with a port: `host:port`, a name or a number.
pub(crate) fn is_address(text: &str) -> bool {
    if text.len() > ADDRESS_TEXT_BYTES_MAX {
        return false;
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return address.port() != 0;
    }
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    is_name(host) && port.parse::<u16>().is_ok_and(|port| port != 0)
}

/// Whether a text can be the name of a host, without a port.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= ADDRESS_TEXT_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-')
}

/// From where an address can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// From everywhere.
    World,
    /// From within a private network.
    Private,
    /// From the same machine.
    Machine,
    /// From nowhere: link-local, multicast, unspecified, reserved.
    Nowhere,
}

impl Reach {
    /// Of a host.
    pub(crate) fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            ip if ip.is_loopback() => Self::Machine,
            ip if ip.is_unspecified() || ip.is_multicast() => Self::Nowhere,
            IpAddr::V4(ip) => {
                let [first, second, ..] = ip.octets();
                // Behind the network address translation of a provider (RFC 6598).
                let is_shared = first == 100 && (64..128).contains(&second);
                match first {
                    _ if ip.is_private() || is_shared => Self::Private,
                    0 | 240..=255 => Self::Nowhere,
                    _ if ip.is_link_local() => Self::Nowhere,
                    _ => Self::World,
                }
            }
            IpAddr::V6(ip) if ip.is_unique_local() => Self::Private,
            IpAddr::V6(ip) if ip.is_unicast_link_local() => Self::Nowhere,
            IpAddr::V6(_) => Self::World,
        }
    }

    /// Whether somebody who is there can mean an address of this reach: of the world everybody, of a private network who
    /// is in one or on this machine, of this machine who is on it.
    pub(crate) fn is_meant_by(self, teller: Self) -> bool {
        match self {
            Self::World => true,
            Self::Private => matches!(teller, Self::Private | Self::Machine),
            Self::Machine => teller == Self::Machine,
            Self::Nowhere => false,
        }
    }
}

/// An address that a peer tells, if it may be used: a number with a port that leads somewhere from where the peer is
/// (INV-ADDRESS-1). Names are not taken from peers, which could make this node look up anything.
pub(crate) fn told_by(text: &str, peer: IpAddr) -> Option<SocketAddr> {
    let address = canonical(text.parse().ok()?);
    let is_meant = Reach::of(address.ip()).is_meant_by(Reach::of(peer));
    (address.port() != 0 && is_meant).then_some(address)
}

/// In one notation: an IPv4 address in IPv6's clothes is an IPv4 address, and scopes and flows are left out.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// How addresses are put together into groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grouping {
    /// Loopback is one group, and so are all private networks.
    Strict,
    /// Of a devnet: all nodes have one host, so that each local address with its port is a group of its own.
    ByPort,
    /// Of tests on loopback: its addresses are grouped as if they were of the world.
    #[cfg(test)]
    LoopbackAsWorld,
}

/// Addresses that one owner can have many of: an IPv4 /16 or an IPv6 /32; see [`Grouping`] for local ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NetGroup([u8; 8]);

/// What a group begins with.
const MACHINE: u8 = 1;
const PRIVATE: u8 = 2;
const NAMED: u8 = 3;
const WORLD_V4: u8 = 4;
const WORLD_V6: u8 = 6;

fn hashed(kind: u8, text: &str) -> NetGroup {
    let mut bytes = [kind; 8];
    for (byte, hash) in bytes.iter_mut().skip(1).zip(blake3::hash(text.as_bytes()).as_bytes()) {
        *byte = *hash;
    }
    NetGroup(bytes)
}

impl NetGroup {
    /// Of an address.
    pub(crate) fn of(address: SocketAddr, grouping: Grouping) -> Self {
        let address = canonical(address);
        let local = match Reach::of(address.ip()) {
            #[cfg(test)]
            Reach::Machine if grouping == Grouping::LoopbackAsWorld => return Self::of_world(address.ip()),
            Reach::Machine => MACHINE,
            Reach::Private => PRIVATE,
            Reach::World | Reach::Nowhere => return Self::of_world(address.ip()),
        };
        match grouping {
            Grouping::ByPort => hashed(local, &address.to_string()),
            _ => Self([local, 0, 0, 0, 0, 0, 0, 0]),
        }
    }

    /// Of somebody who tells addresses. Its port counts in no network: whoever connects again has a new one.
    pub(crate) fn of_teller(ip: IpAddr, grouping: Grouping) -> Self {
        Self::of(SocketAddr::new(ip, 0), grouping)
    }

    /// Of a name whose addresses are taken from the name service.
    pub(crate) fn of_name(name: &str) -> Self {
        hashed(NAMED, name)
    }

    fn of_world(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => {
                let [a, b, ..] = ip.octets();
                Self([WORLD_V4, a, b, 0, 0, 0, 0, 0])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.octets();
                Self([WORLD_V6, a, b, c, d, 0, 0, 0])
            }
        }
    }

    /// For hashing and for the file.
    pub(crate) const fn bytes(self) -> [u8; 8] {
        self.0
    }

    /// What [`Self::bytes`] gave.
    pub(crate) const fn of_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }
}

/// An address as bytes of one length, for hashing.
pub(crate) fn address_bytes(address: SocketAddr) -> [u8; 18] {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut bytes = [0; 18];
    let all = Ipv6Addr::octets(&ip).into_iter().chain(address.port().to_be_bytes());
    for (byte, value) in bytes.iter_mut().zip(all) {
        *byte = value;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(text: &str, grouping: Grouping) -> NetGroup {
        NetGroup::of(text.parse().unwrap(), grouping)
    }

    #[test]
    fn addresses_are_told_apart_from_rubbish() {
        for good in ["127.0.0.1:24200", "[::1]:1", "node.example.org:24000"] {
            assert!(is_address(good), "{good}");
        }
        let long = format!("{}:1", "a".repeat(ADDRESS_TEXT_BYTES_MAX));
        for bad in ["", ":1", "host", "host:0", "1.2.3.4:0", "host:99999", "a b:1", "a\n:1", &long] {
            assert!(!is_address(bad), "{bad}");
        }
        assert!(is_name("seed.example") && !is_name("seed.example:1") && !is_name("") && !is_name(&long));
    }

    /// INV-ADDRESS-1.
    #[test]
    fn what_a_peer_tells_is_taken_only_if_it_leads_somewhere_from_there() {
        let told = |text: &str, peer: &str| told_by(text, peer.parse().unwrap()).is_some();
        let (world, private, machine) = ("192.0.2.7", "10.0.0.7", "127.0.0.1");
        for (text, by) in [
            ("198.51.100.1:1", [true, true, true]),
            ("[2001:db8::1]:1", [true, true, true]),
            ("10.9.9.9:1", [false, true, true]),
            ("100.64.0.1:1", [false, true, true]),
            ("[fd00::1]:1", [false, true, true]),
            ("127.0.0.1:1", [false, false, true]),
            ("[::ffff:127.0.0.1]:1", [false, false, true]),
            ("0.0.0.0:1", [false; 3]),
            ("224.0.0.1:1", [false; 3]),
            ("169.254.0.1:1", [false; 3]),
            ("[fe80::1]:1", [false; 3]),
            ("255.255.255.255:1", [false; 3]),
            ("198.51.100.1:0", [false; 3]),
            ("name.example:1", [false; 3]),
        ] {
            assert_eq!([world, private, machine].map(|peer| told(text, peer)), by, "{text}");
        }
    }

    #[test]
    fn one_owners_addresses_share_a_group_and_local_ones_have_one_each_kind() {
        let strict = |text| group(text, Grouping::Strict);
        assert_eq!(strict("203.0.113.7:1"), strict("203.0.200.9:2"), "an IPv4 /16");
        assert_ne!(strict("203.0.113.7:1"), strict("203.1.113.7:1"));
        assert_eq!(strict("[2001:db8:1::1]:1"), strict("[2001:db8:2::1]:2"), "an IPv6 /32");
        assert_ne!(strict("[2001:db8:1::1]:1"), strict("[2001:db9:1::1]:1"));
        assert_eq!(strict("[::ffff:203.0.113.7]:1"), strict("203.0.113.7:1"), "one address in two notations");
        assert_eq!(strict("127.0.0.1:1"), strict("[::1]:2"));
        assert_eq!(strict("10.0.0.1:1"), strict("192.168.0.1:2"));
        assert_ne!(strict("10.0.0.1:1"), strict("127.0.0.1:1"));
    }

    #[test]
    fn on_a_devnet_the_port_counts_for_local_addresses_alone() {
        let by_port = |text| group(text, Grouping::ByPort);
        assert_ne!(by_port("127.0.0.1:1"), by_port("127.0.0.1:2"));
        assert_ne!(by_port("10.0.0.1:1"), by_port("10.0.0.2:1"));
        assert_eq!(by_port("203.0.113.7:1"), by_port("203.0.113.7:2"));
        let teller = |text: &str| NetGroup::of_teller(text.parse().unwrap(), Grouping::ByPort);
        assert_eq!(teller("127.0.0.1"), teller("127.0.0.1"), "whoever tells has no port");
    }
}
