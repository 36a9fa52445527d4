//! What peers did wrong, and who is banned for it.
//!
//! # Place
//! Everybody reports; `peer_manager.rs` asks before it accepts, dials or keeps; `ban_file.rs` keeps bans over restarts.
//!
//! # Rules
//! Points count for the identity and for the group of addresses that it comes from (see [`Origin`]). An identity with
//! [`POINTS_BAN`] is banned together with its host. A group with [`GROUP_POINTS_BAN`] is banned whole: twice as much,
//! because others live there too. So who comes again with a new key from next door goes on where the last one ended.
//! Proven members of the set are scored, so that operators see it, and disconnected for what nobody sends by accident,
//! but never banned: the chain needs their votes, and what they do wrong is punished on the chain. Who is banned for longer
//! by the operator stays so, whatever is reported meanwhile.
//!
//! # Invariants
//! - INV-NET-14: scores and bans are bounded; a loopback address is never banned, only the identity.
//! - INV-NET-28: a proven member of the present set is never banned, nor is its address for what it did.
//!
//! # Units
//! Points, of which [`POINTS_FORGIVEN_PER_MINUTE`] are forgiven each minute.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::peer::{Origin, PeerId, Standing};

/// Points at which an identity and its host are banned.
pub(crate) const POINTS_BAN: u32 = 100;
/// Points at which a group of addresses is banned.
pub(crate) const GROUP_POINTS_BAN: u32 = 200;
/// Points forgiven each minute.
const POINTS_FORGIVEN_PER_MINUTE: u32 = 6;
/// How long misbehaviour is banned for.
pub(crate) const BAN_TIME: Duration = Duration::from_secs(600);
/// Scores of identities that are kept, at most, and of groups; the lowest is forgotten first.
const SCORES_MAX: usize = 4_096;
/// Bans that are kept, at most; the one that ends first is forgotten first.
pub(crate) const BANS_MAX: usize = 4_096;

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
    /// It says that it has what it has not: a height, a block, a vote.
    #[error("false status")]
    FalseStatus,
    /// It did not answer what it was asked, though it says that it has it.
    #[error("unanswered request")]
    Unanswered,
    /// It began a message and did not end it in time.
    #[error("unfinished message")]
    Unfinished,
}

impl Misbehaviour {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Malformed,
        Self::InvalidSignature,
        Self::InvalidContent,
        Self::Flood,
        Self::FalseStatus,
        Self::Unanswered,
        Self::Unfinished,
    ];

    /// What it counts. Bad bytes and signatures can't be accidents of an honest node, but a bug in one version must not
    /// ban everybody at once, so one alone ends the connection and only its repetition is banned.
    const fn points(self) -> u32 {
        match self {
            Self::Malformed | Self::InvalidSignature => 50,
            Self::InvalidContent | Self::FalseStatus => 20,
            Self::Flood | Self::Unfinished => 10,
            // Either may happen to an honest node under load, now and then.
            Self::Unanswered => 4,
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
            Self::FalseStatus => "false_status",
            Self::Unanswered => "unanswered",
            Self::Unfinished => "unfinished",
        }
    }
}

/// Who is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BanTarget {
    /// An identity, wherever it comes from.
    Identity(PeerId),
    /// A host (in IPv6 a /64), whoever comes from it.
    Ip(IpAddr),
    /// The group of addresses around this one: an IPv4 /24 or an IPv6 /48.
    Group(IpAddr),
}

impl BanTarget {
    /// In one notation; `None` for loopback.
    fn normal(self) -> Option<Self> {
        match self {
            Self::Identity(_) => Some(self),
            Self::Ip(ip) => Origin::of(ip).host().map(Self::Ip),
            Self::Group(ip) => Origin::of(ip).group().map(Self::Group),
        }
    }
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
    group_scores: HashMap<IpAddr, Score, ahash::RandomState>,
    bans: HashMap<BanTarget, Instant, ahash::RandomState>,
    /// Bans were added or lifted since the last call of [`Reputation::take_changed`].
    has_changed: bool,
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

/// Adds points to a score, and says how many it has.
fn count<K: Copy + Eq + Hash>(
    scores: &mut HashMap<K, Score, ahash::RandomState>,
    key: K,
    points: u32,
    now: Instant,
) -> u32 {
    let points = scores.get(&key).map_or(0, |score| score.points(now)).saturating_add(points);
    if !scores.contains_key(&key) {
        make_room(scores, SCORES_MAX, |score| score.points(now));
    }
    scores.insert(key, Score { points, at: now });
    points
}

impl Reputation {
    /// Counts; true if the peer is banned by it.
    pub(crate) fn report(
        &mut self,
        (peer, standing): (PeerId, Standing),
        origin: Option<Origin>,
        what: Misbehaviour,
        now: Instant,
    ) -> bool {
        let points = count(&mut self.scores, peer, what.points(), now);
        if standing == Standing::Member {
            return false;
        }
        let (host, group) = origin.map_or((None, None), |origin| (origin.host(), origin.group()));
        let until = now + BAN_TIME;
        if let Some(group) = group
            && count(&mut self.group_scores, group, what.points(), now) >= GROUP_POINTS_BAN
        {
            self.group_scores.remove(&group);
            self.ban_until_then_at_least(BanTarget::Group(group), until, now);
        }
        if points < POINTS_BAN {
            return false;
        }
        self.scores.remove(&peer);
        self.ban_until_then_at_least(BanTarget::Identity(peer), until, now);
        if let Some(host) = host {
            self.ban_until_then_at_least(BanTarget::Ip(host), until, now);
        }
        true
    }

    /// The operator may have banned it for longer, and what was under way then is reported behind that.
    fn ban_until_then_at_least(&mut self, target: BanTarget, until: Instant, now: Instant) {
        if !self.is_banned(target, until) {
            self.ban(target, until, now);
        }
    }

    /// The peer's points.
    pub(crate) fn points(&self, peer: PeerId, now: Instant) -> u32 {
        self.scores.get(&peer).map_or(0, |score| score.points(now))
    }

    /// Bans until then; false for a loopback address, which all nodes of a machine share.
    pub(crate) fn ban(&mut self, target: BanTarget, until: Instant, now: Instant) -> bool {
        let Some(target) = target.normal() else { return false };
        self.bans.retain(|_, end| *end > now);
        if !self.bans.contains_key(&target) {
            make_room(&mut self.bans, BANS_MAX, |end| *end);
        }
        self.bans.insert(target, until);
        self.has_changed = true;
        true
    }

    /// Lifts a ban; false if there was none.
    pub(crate) fn unban(&mut self, target: BanTarget) -> bool {
        let lifted = target.normal().is_some_and(|target| self.bans.remove(&target).is_some());
        self.has_changed |= lifted;
        lifted
    }

    /// Whether this one is banned.
    pub(crate) fn is_banned(&self, target: BanTarget, now: Instant) -> bool {
        target.normal().and_then(|target| self.bans.get(&target)).is_some_and(|end| *end > now)
    }

    /// Whether what comes from there is banned, by its host or its group.
    pub(crate) fn is_address_banned(&self, ip: IpAddr, now: Instant) -> bool {
        self.is_banned(BanTarget::Ip(ip), now) || self.is_banned(BanTarget::Group(ip), now)
    }

    /// All bans, with the time that is left.
    pub(crate) fn banned(&self, now: Instant) -> Vec<(BanTarget, Duration)> {
        self.bans
            .iter()
            .filter(|(_, end)| **end > now)
            .map(|(target, end)| (*target, end.saturating_duration_since(now)))
            .collect()
    }

    /// All that have points, identities and groups of addresses, with these: for the next start.
    pub(crate) fn scored(&self, now: Instant) -> Vec<(BanTarget, u32)> {
        let identities =
            self.scores.iter().map(|(peer, score)| (BanTarget::Identity(*peer), score.points(now)));
        let groups = self.group_scores.iter().map(|(ip, score)| (BanTarget::Group(*ip), score.points(now)));
        identities.chain(groups).filter(|(_, points)| *points > 0).collect()
    }

    /// Takes points of the last run, fewer than a ban's. A host has none of its own.
    pub(crate) fn restore_points(&mut self, target: BanTarget, points: u32, now: Instant) {
        match target.normal() {
            Some(BanTarget::Identity(peer)) if points < POINTS_BAN => {
                count(&mut self.scores, peer, points, now);
            }
            Some(BanTarget::Group(group)) if points < GROUP_POINTS_BAN => {
                count(&mut self.group_scores, group, points, now);
            }
            _ => {}
        }
    }

    /// Whether bans changed since this was asked last.
    pub(crate) const fn take_changed(&mut self) -> bool {
        std::mem::replace(&mut self.has_changed, false)
    }
}

/// Who was banned when it was made: for who asks often, or holds another lock meanwhile.
pub(crate) struct BannedNow {
    targets: HashSet<BanTarget, ahash::RandomState>,
}

impl BannedNow {
    /// Of [`Reputation::banned`].
    pub(crate) fn of(bans: Vec<(BanTarget, Duration)>) -> Self {
        Self { targets: bans.into_iter().map(|(target, _)| target).collect() }
    }

    /// Whether this host, its group, or who answered there is banned.
    pub(crate) fn is_banned(&self, ip: IpAddr, identity: Option<PeerId>) -> bool {
        let all = [Some(BanTarget::Ip(ip)), Some(BanTarget::Group(ip)), identity.map(BanTarget::Identity)];
        let mut all = all.into_iter().flatten().filter_map(BanTarget::normal);
        !self.targets.is_empty() && all.any(|target| self.targets.contains(&target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::now;
    use crate::types::PublicKey;

    const PEER: PublicKey = PublicKey([1; 32]);

    fn origin(text: &str) -> Option<Origin> {
        Some(Origin::of(text.parse().unwrap()))
    }

    fn stranger(seed: u8) -> (PeerId, Standing) {
        (PublicKey([seed; 32]), Standing::Stranger)
    }

    #[test]
    fn points_add_up_to_a_ban_and_fade() {
        let start = now();
        let mut reputation = Reputation::default();
        let (from, ip) = (origin("192.0.2.1"), "192.0.2.1".parse().unwrap());
        assert!(!reputation.report(stranger(1), from, Misbehaviour::Malformed, start));
        assert_eq!(reputation.points(PEER, start), 50);
        let later = start + Duration::from_secs(60);
        assert_eq!(reputation.points(PEER, later), 44);
        assert!(!reputation.report(stranger(1), from, Misbehaviour::Malformed, later));
        assert!(!reputation.take_changed());
        assert!(reputation.report(stranger(1), from, Misbehaviour::Flood, later));
        assert!(reputation.take_changed() && !reputation.take_changed());
        for target in [BanTarget::Identity(PEER), BanTarget::Ip(ip)] {
            assert!(reputation.is_banned(target, later));
            assert!(!reputation.is_banned(target, later + BAN_TIME));
        }
        assert!(
            !reputation.is_address_banned("192.0.2.2".parse().unwrap(), later),
            "one is not its neighbours"
        );
        assert!(reputation.unban(BanTarget::Ip(ip)) && !reputation.unban(BanTarget::Ip(ip)));
        assert_eq!(reputation.banned(later), [(BanTarget::Identity(PEER), BAN_TIME)]);
    }

    #[test]
    fn who_was_banned_begins_without_points_when_the_ban_is_over_or_lifted() {
        let start = now();
        for waits in [false, true] {
            let mut reputation = Reputation::default();
            while !reputation.report(stranger(1), None, Misbehaviour::FalseStatus, start) {}
            let later = if waits { start + BAN_TIME } else { start };
            assert!(waits || reputation.unban(BanTarget::Identity(PEER)));
            assert_eq!(reputation.points(PEER, later), 0);
            assert!(!reputation.report(stranger(1), None, Misbehaviour::Unanswered, later));
            assert!(!reputation.is_banned(BanTarget::Identity(PEER), later));
        }
    }

    #[test]
    fn a_new_key_from_the_same_group_is_no_new_start() {
        let start = now();
        let mut reputation = Reputation::default();
        // Each stays below a ban of its own.
        for seed in 1..=4 {
            let from = origin(&format!("203.0.113.{seed}"));
            assert!(!reputation.report(stranger(seed), from, Misbehaviour::Malformed, start));
        }
        assert!(reputation.is_address_banned("203.0.113.99".parse().unwrap(), start));
        assert!(!reputation.is_address_banned("203.0.114.1".parse().unwrap(), start), "another group");
        // Neighbours of a private network are different machines.
        for seed in 1..=9 {
            let from = origin(&format!("10.0.0.{seed}"));
            reputation.report(stranger(seed + 10), from, Misbehaviour::Malformed, start);
        }
        assert!(!reputation.is_address_banned("10.0.0.1".parse().unwrap(), start));
    }

    #[test]
    fn members_are_scored_and_never_banned() {
        let start = now();
        let mut reputation = Reputation::default();
        for _ in 0..100 {
            let what = Misbehaviour::InvalidSignature;
            assert!(!reputation.report((PEER, Standing::Member), origin("203.0.113.1"), what, start));
        }
        assert!(reputation.banned(start).is_empty(), "INV-NET-28");
        assert!(reputation.points(PEER, start) >= POINTS_BAN, "operators see it");
    }

    #[test]
    fn loopback_is_never_banned_by_address() {
        let start = now();
        let mut reputation = Reputation::default();
        for ip in ["::ffff:127.0.0.1", "127.0.0.1", "::1"] {
            for seed in 1..=9 {
                for _ in 0..2 {
                    reputation.report(stranger(seed), origin(ip), Misbehaviour::InvalidSignature, start);
                }
            }
            let ip = ip.parse().unwrap();
            assert!(!reputation.is_address_banned(ip, start), "INV-NET-14: {ip}");
            assert!(!reputation.ban(BanTarget::Group(ip), start + BAN_TIME, start));
        }
        assert!(reputation.is_banned(BanTarget::Identity(PEER), start));
    }

    #[test]
    fn small_wrongs_weigh_little_and_lies_more() {
        let start = now();
        let needed = |what: Misbehaviour| {
            let mut reputation = Reputation::default();
            (1..).find(|_| reputation.report(stranger(1), None, what, start)).unwrap()
        };
        let counts = [
            (Misbehaviour::Malformed, 2),
            (Misbehaviour::InvalidSignature, 2),
            (Misbehaviour::InvalidContent, 5),
            (Misbehaviour::FalseStatus, 5),
            (Misbehaviour::Flood, 10),
            (Misbehaviour::Unfinished, 10),
            (Misbehaviour::Unanswered, 25),
        ];
        for (what, count) in counts {
            assert_eq!(needed(what), count, "{}", what.name());
        }
    }

    /// Else a restart of this node would wash everybody clean.
    #[test]
    fn points_come_back_after_a_restart_and_go_on_to_a_ban() {
        let start = now();
        let mut before = Reputation::default();
        for what in [Misbehaviour::Malformed, Misbehaviour::FalseStatus] {
            assert!(!before.report(stranger(1), origin("203.0.113.1"), what, start));
        }
        let later = start + Duration::from_secs(60);
        let mut after = Reputation::default();
        for (target, points) in before.scored(later) {
            after.restore_points(target, points, later);
        }
        assert_eq!(after.points(PEER, later), 64, "some are forgiven");
        assert!(after.report(stranger(1), origin("203.0.113.1"), Misbehaviour::Malformed, later));
        for seed in 2..4 {
            after.report(stranger(seed), origin("203.0.113.9"), Misbehaviour::Malformed, later);
        }
        assert!(after.is_address_banned("203.0.113.77".parse().unwrap(), later), "64, and three times 50");
        // A file says what it likes: nobody is banned by it, and hosts have no points.
        let mut after = Reputation::default();
        let ip = "203.0.113.1".parse().unwrap();
        for target in [BanTarget::Identity(PEER), BanTarget::Group(ip), BanTarget::Ip(ip)] {
            after.restore_points(target, u32::MAX, later);
        }
        assert!(after.scored(later).is_empty() && after.banned(later).is_empty());
    }

    fn numbered(number: usize) -> PeerId {
        let mut key = [0xff; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        PublicKey(key)
    }

    #[test]
    fn the_ban_that_ends_first_makes_room() {
        let start = now();
        let mut reputation = Reputation::default();
        let target = |number| BanTarget::Identity(numbered(number));
        for number in 0..BANS_MAX {
            // The one that ends first came neither first nor last.
            let seconds = if number == 7 { 1 } else { 100 + number as u64 };
            assert!(reputation.ban(target(number), start + Duration::from_secs(seconds), start));
        }
        // A ban that is there needs no room.
        assert!(reputation.ban(target(1), start + BAN_TIME, start));
        assert!(reputation.is_banned(target(7), start));
        assert!(reputation.ban(target(BANS_MAX), start + BAN_TIME, start));
        assert!(!reputation.is_banned(target(7), start));
        assert!(
            (0..=BANS_MAX).filter(|number| *number != 7).all(|it| reputation.is_banned(target(it), start))
        );
    }

    /// Else whoever did much wrong would be forgotten for a crowd that did little.
    #[test]
    fn the_lowest_score_makes_room_and_only_for_who_has_none() {
        let start = now();
        let mut reputation = Reputation::default();
        let mut report = |number, what| {
            reputation.report((numbered(number), Standing::Stranger), None, what, start);
            reputation.scores.len()
        };
        for number in 0..SCORES_MAX {
            report(number, if number == 7 { Misbehaviour::Unanswered } else { Misbehaviour::FalseStatus });
        }
        assert_eq!(report(1, Misbehaviour::FalseStatus), SCORES_MAX);
        assert_eq!(report(SCORES_MAX, Misbehaviour::Flood), SCORES_MAX);
        let points = [0, 1, 7, SCORES_MAX].map(|number| reputation.points(numbered(number), start));
        assert_eq!(points, [20, 40, 0, 10]);
    }

    /// INV-NET-14.
    #[test]
    fn scores_and_bans_are_bounded() {
        let start = now();
        let mut reputation = Reputation::default();
        for number in 0..10_000_u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&number.to_le_bytes());
            let [_, a, b, c] = number.to_be_bytes();
            let from = origin(&format!("{}.{b}.{c}.1", 100 + a));
            let peer = (PublicKey(key), Standing::Stranger);
            reputation.report(peer, from, Misbehaviour::Flood, start);
            key[31] = 1;
            let until = start + Duration::from_secs(u64::from(number) + 1);
            reputation.ban(BanTarget::Identity(PublicKey(key)), until, start);
        }
        let sizes = [reputation.scores.len(), reputation.group_scores.len()];
        assert_eq!((sizes, reputation.bans.len()), ([SCORES_MAX; 2], BANS_MAX), "INV-NET-14");
    }

    #[test]
    fn a_group_begins_without_points_when_its_ban_is_over_or_lifted() {
        let start = now();
        let group = BanTarget::Group("203.0.113.0".parse().unwrap());
        for waits in [false, true] {
            let mut reputation = Reputation::default();
            let mut seeds = 1..;
            let mut wrong = |reputation: &mut Reputation, at| {
                let seed = seeds.next().unwrap();
                let from = origin(&format!("203.0.113.{seed}"));
                reputation.report(stranger(seed), from, Misbehaviour::Malformed, at)
            };
            while !reputation.is_banned(group, start) {
                assert!(!wrong(&mut reputation, start));
            }
            let later = if waits { start + BAN_TIME } else { start };
            assert!(waits || reputation.unban(group));
            for _ in 1..GROUP_POINTS_BAN / Misbehaviour::Malformed.points() {
                assert!(!wrong(&mut reputation, later));
                assert!(!reputation.is_banned(group, later));
            }
        }
    }

    /// What was on its way when the operator banned somebody may be reported afterwards.
    #[test]
    fn a_ban_for_misbehaviour_shortens_no_longer_one() {
        let start = now();
        let mut reputation = Reputation::default();
        let (ip, long) = ("203.0.113.1".parse().unwrap(), start + 10 * BAN_TIME);
        let targets = [BanTarget::Identity(PEER), BanTarget::Ip(ip), BanTarget::Group(ip)];
        for target in targets {
            assert!(reputation.ban(target, long, start));
        }
        for _ in 0..GROUP_POINTS_BAN {
            reputation.report(stranger(1), origin("203.0.113.1"), Misbehaviour::Malformed, start);
        }
        for target in targets {
            assert!(reputation.is_banned(target, start + 2 * BAN_TIME), "{target:?}");
            // The operator decides, also on less.
            assert!(reputation.ban(target, start + BAN_TIME, start));
            assert!(!reputation.is_banned(target, start + 2 * BAN_TIME), "{target:?}");
        }
    }
}
