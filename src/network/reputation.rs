//! What peers did wrong, and who is banned for it.
//!
//! # Place
//! Everybody reports; `peer_manager.rs` asks before it dials or accepts.
//!
//! # Invariants
//! - INV-NET-14: scores and bans are bounded; a loopback address is never banned, only the identity.
//!
//! # Units
//! Points: [`POINTS_BAN`] mean a ban, and [`POINTS_FORGIVEN_PER_MINUTE`] are forgiven each minute.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::PeerId;
use super::connection_manager::ip_group;

/// Points at which a peer is banned.
pub(crate) const POINTS_BAN: u32 = 100;
/// Points forgiven each minute.
const POINTS_FORGIVEN_PER_MINUTE: u32 = 6;
/// How long misbehaviour is banned for.
pub(crate) const BAN_TIME: Duration = Duration::from_secs(600);
/// Scores that are kept, at most; the lowest is forgotten first.
const SCORES_MAX: usize = 4_096;
/// Bans of identities, and of addresses, that are kept, at most; the one that ends first is forgotten first.
const BANS_MAX: usize = 4_096;

/// What a peer can do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaviour {
    /// Bytes that are no frame or no message, or that break a limit.
    #[error("malformed message")]
    Malformed,
    /// A signature that does not hold.
    #[error("invalid signature")]
    InvalidSignature,
    /// Well-formed, correctly signed, but against the rules, so that an honest node had not passed it on.
    #[error("invalid content")]
    InvalidContent,
    /// More messages than an honest peer has.
    #[error("flood of messages")]
    Flood,
    /// An answer that does not fit what was asked, or none.
    #[error("useless answer")]
    UselessAnswer,
}

impl Misbehaviour {
    /// What it counts. Bad bytes and signatures can't be accidents of an honest node, but a bug in one version must not
    /// ban everybody at once, so one alone ends the connection and only its repetition is banned.
    const fn points(self) -> u32 {
        match self {
            Self::Malformed | Self::InvalidSignature => 50,
            Self::InvalidContent => 20,
            Self::Flood | Self::UselessAnswer => 10,
        }
    }

    /// Whether the connection ends at once.
    pub(crate) const fn disconnects(self) -> bool {
        matches!(self, Self::Malformed | Self::InvalidSignature)
    }

    /// For metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::InvalidSignature => "invalid_signature",
            Self::InvalidContent => "invalid_content",
            Self::Flood => "flood",
            Self::UselessAnswer => "useless_answer",
        }
    }
}

/// Who is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BanTarget {
    /// An identity, wherever it comes from.
    Identity(PeerId),
    /// An address (in IPv6 its /64), whoever comes from it.
    Ip(IpAddr),
}

/// Points, and when they were counted last.
#[derive(Clone, Copy)]
struct Score {
    points: u32,
    at: Instant,
}

impl Score {
    fn points(&self, now: Instant) -> u32 {
        let minutes = now.saturating_duration_since(self.at).as_secs() / 60;
        let forgiven = u32::try_from(minutes).unwrap_or(u32::MAX).saturating_mul(POINTS_FORGIVEN_PER_MINUTE);
        self.points.saturating_sub(forgiven)
    }
}

/// Scores and bans.
#[derive(Default)]
pub(crate) struct Reputation {
    scores: HashMap<PeerId, Score, ahash::RandomState>,
    bans: HashMap<BanTarget, Instant, ahash::RandomState>,
}

/// Makes room for one more entry: removes the one with the smallest value.
fn make_room<K: Copy + Eq + Hash, V, O: Ord>(
    map: &mut HashMap<K, V, ahash::RandomState>,
    max: usize,
    value: impl Fn(&V) -> O,
) {
    if map.len() < max {
        return;
    }
    if let Some(key) = map.iter().min_by_key(|(_, entry)| value(entry)).map(|(key, _)| *key) {
        map.remove(&key);
    }
}

impl Reputation {
    /// Counts; true if the peer is banned by it.
    pub(crate) fn report(
        &mut self,
        peer: PeerId,
        ip: Option<IpAddr>,
        what: Misbehaviour,
        now: Instant,
    ) -> bool {
        let points = self.points(peer, now).saturating_add(what.points());
        if points >= POINTS_BAN {
            self.scores.remove(&peer);
            self.ban(BanTarget::Identity(peer), now + BAN_TIME, now);
            if let Some(ip) = ip {
                self.ban(BanTarget::Ip(ip), now + BAN_TIME, now);
            }
            return true;
        }
        if !self.scores.contains_key(&peer) {
            make_room(&mut self.scores, SCORES_MAX, |score| score.points(now));
        }
        self.scores.insert(peer, Score { points, at: now });
        false
    }

    /// The peer's points.
    pub(crate) fn points(&self, peer: PeerId, now: Instant) -> u32 {
        self.scores.get(&peer).map_or(0, |score| score.points(now))
    }

    /// Bans until then; false for a loopback address, which all nodes of a machine share.
    pub(crate) fn ban(&mut self, target: BanTarget, until: Instant, now: Instant) -> bool {
        let target = normal(target);
        if matches!(target, BanTarget::Ip(ip) if ip.is_loopback()) {
            return false;
        }
        self.bans.retain(|_, end| *end > now);
        if !self.bans.contains_key(&target) {
            make_room(&mut self.bans, BANS_MAX, |end| *end);
        }
        self.bans.insert(target, until);
        true
    }

    /// Lifts a ban; false if there was none.
    pub(crate) fn unban(&mut self, target: BanTarget) -> bool {
        self.bans.remove(&normal(target)).is_some()
    }

    /// Whether this one is banned.
    pub(crate) fn is_banned(&self, target: BanTarget, now: Instant) -> bool {
        self.bans.get(&normal(target)).is_some_and(|end| *end > now)
    }

    /// All bans, with the time that is left.
    pub(crate) fn banned(&self, now: Instant) -> Vec<(BanTarget, Duration)> {
        self.bans
            .iter()
            .filter(|(_, end)| **end > now)
            .map(|(target, end)| (*target, end.saturating_duration_since(now)))
            .collect()
    }
}

fn normal(target: BanTarget) -> BanTarget {
    match target {
        BanTarget::Ip(ip) => BanTarget::Ip(ip_group(ip)),
        identity @ BanTarget::Identity(_) => identity,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::now;
    use crate::types::PublicKey;

    const PEER: PublicKey = PublicKey([1; 32]);

    #[test]
    fn points_add_up_to_a_ban_and_fade() {
        let start = now();
        let mut reputation = Reputation::default();
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        assert!(!reputation.report(PEER, Some(ip), Misbehaviour::Malformed, start));
        assert_eq!(reputation.points(PEER, start), 50);
        let later = start + Duration::from_secs(60);
        assert_eq!(reputation.points(PEER, later), 44);
        assert!(!reputation.report(PEER, Some(ip), Misbehaviour::Malformed, later));
        assert!(reputation.report(PEER, Some(ip), Misbehaviour::Flood, later));
        for target in [BanTarget::Identity(PEER), BanTarget::Ip(ip)] {
            assert!(reputation.is_banned(target, later));
            assert!(!reputation.is_banned(target, later + BAN_TIME));
        }
        assert!(reputation.unban(BanTarget::Ip(ip)) && !reputation.unban(BanTarget::Ip(ip)));
        assert_eq!(reputation.banned(later), [(BanTarget::Identity(PEER), BAN_TIME)]);
    }

    #[test]
    fn loopback_is_never_banned_by_address() {
        let start = now();
        let mut reputation = Reputation::default();
        let ip: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        for _ in 0..2 {
            reputation.report(PEER, Some(ip), Misbehaviour::InvalidSignature, start);
        }
        assert!(reputation.is_banned(BanTarget::Identity(PEER), start));
        assert!(!reputation.is_banned(BanTarget::Ip(ip), start));
    }

    /// INV-NET-14.
    #[test]
    fn scores_and_bans_are_bounded() {
        let start = now();
        let mut reputation = Reputation::default();
        for number in 0..10_000_u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&number.to_le_bytes());
            reputation.report(PublicKey(key), None, Misbehaviour::Flood, start);
            key[31] = 1;
            let until = start + Duration::from_secs(u64::from(number) + 1);
            reputation.ban(BanTarget::Identity(PublicKey(key)), until, start);
        }
        assert_eq!((reputation.scores.len(), reputation.bans.len()), (SCORES_MAX, BANS_MAX));
    }
}
