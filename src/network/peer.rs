//! Who a peer is: its identity, whether it is a proven member of the validator set, and where it comes from.
//!
//! # Place
//! The ground floor of this folder: everything else uses it.
//!
//! # Invariants
//! - INV-NET-19: addresses of this machine and of private networks are told apart one by one. Loopback has no group and
//!   no host: all nodes of a machine share it, so nothing there is counted, limited or banned by address.
//!
//! # Concurrency
//! [`Members`] is swapped as a whole when the set changes, and read without a lock.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arc_swap::ArcSwap;

use crate::types::PublicKey;

/// Names a peer: the identity key that it proved.
pub type PeerId = PublicKey;

/// The network's only look at the clock; monotonic, and never part of a message.
pub(crate) fn now() -> tokio::time::Instant {
    #[allow(
        clippy::disallowed_methods,
        reason = "deadlines and rates of sockets need a monotonic clock, in one place"
    )]
    tokio::time::Instant::now()
}

/// What a peer is to this node. It decides over places, budgets, turns and bans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It proved on this connection that it holds the operator key of a member of the present set.
    Member,
    /// Anybody else.
    Stranger,
}

type Keys = ArcSwap<HashSet<PublicKey, ahash::RandomState>>;

/// The operator keys of the present validator set, and those of all registered masternodes.
#[derive(Default)]
pub(crate) struct Members {
    keys: Keys,
    registered: Keys,
}

impl Members {
    /// Replaces the set.
    pub(crate) fn set(&self, keys: impl IntoIterator<Item = PublicKey>) {
        self.keys.store(std::sync::Arc::new(keys.into_iter().collect()));
    }

    /// Replaces the keys of registered masternodes.
    pub(crate) fn set_registered(&self, keys: impl IntoIterator<Item = PublicKey>) {
        self.registered.store(std::sync::Arc::new(keys.into_iter().collect()));
    }

    /// Whether this key is a registered masternode's, in the set or not.
    pub(crate) fn is_registered(&self, operator: Option<PublicKey>) -> bool {
        operator.is_some_and(|key| self.registered.load().contains(&key))
    }

    /// What somebody is who proved this key.
    pub(crate) fn standing(&self, operator: Option<PublicKey>) -> Standing {
        match operator {
            Some(key) if self.keys.load().contains(&key) => Standing::Member,
            _ => Standing::Stranger,
        }
    }
}

/// Where a connection comes from, for limits and bans.
///
/// A host is one IPv4 address or one IPv6 /64, which a host usually has whole. A group is the IPv4 /24 or the IPv6 /48
/// around it, which one owner usually has whole. In private and link-local networks a group is one host: neighbours
/// there are other machines of the same operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    host: Option<IpAddr>,
    group: Option<IpAddr>,
}

impl Origin {
    /// Where an address belongs.
    pub(crate) fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            ip if ip.is_loopback() => Self { host: None, group: None },
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                let is_local = ip.is_private() || ip.is_link_local();
                let group = if is_local { ip } else { Ipv4Addr::new(a, b, c, 0) };
                Self { host: Some(IpAddr::V4(ip)), group: Some(IpAddr::V4(group)) }
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                let host = Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0);
                let is_local = ip.is_unique_local() || ip.is_unicast_link_local();
                let group = if is_local { host } else { Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0) };
                Self { host: Some(IpAddr::V6(host)), group: Some(IpAddr::V6(group)) }
            }
        }
    }

    /// The host; `None` for loopback.
    pub(crate) const fn host(self) -> Option<IpAddr> {
        self.host
    }

    /// The group by its first address; `None` for loopback.
    pub(crate) const fn group(self) -> Option<IpAddr> {
        self.group
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::of(text.parse().unwrap())
    }

    #[test]
    fn neighbours_share_a_group_and_local_ones_none() {
        assert_eq!(origin("203.0.113.7").group(), origin("203.0.113.200").group());
        assert_ne!(origin("203.0.113.7").host(), origin("203.0.113.200").host());
        assert_ne!(origin("203.0.113.7").group(), origin("203.0.114.7").group());
        assert_eq!(origin("::ffff:203.0.113.7"), origin("203.0.113.7"), "one address in two notations");
        assert_eq!(origin("2001:db8:1:2::1").host(), origin("2001:db8:1:2:ffff::").host());
        assert_eq!(origin("2001:db8:1:2::1").group(), origin("2001:db8:1:3::1").group());
        assert_ne!(origin("2001:db8:1::1").group(), origin("2001:db8:2::1").group());
        for (one, other) in
            [("10.0.0.1", "10.0.0.2"), ("192.168.1.1", "192.168.1.2"), ("fd00:1:2:3::1", "fd00:1:2:4::1")]
        {
            assert_ne!(origin(one).group(), origin(other).group(), "INV-NET-19: {one}");
        }
        for local in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!((origin(local).host(), origin(local).group()), (None, None), "INV-NET-19: {local}");
        }
    }

    #[test]
    fn only_keys_of_the_present_set_are_members() {
        let members = Members::default();
        let (one, other) = (PublicKey([1; 32]), PublicKey([2; 32]));
        assert_eq!(members.standing(Some(one)), Standing::Stranger);
        members.set([one]);
        assert_eq!(members.standing(Some(one)), Standing::Member);
        assert_eq!(members.standing(None), Standing::Stranger);
        members.set([other]);
        assert_eq!(members.standing(Some(one)), Standing::Stranger, "the set has changed");
    }
}
