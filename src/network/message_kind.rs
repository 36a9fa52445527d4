//! The one table of message kinds: what the network knows about a message before it decodes it.
//!
//! # Place
//! `frame.rs` holds each kind to its size while it arrives, `rate_limit.rs` to its rate, `events.rs` to its share of
//! the consumer's work; `metrics.rs` counts by it. A new kind of message is one more row in `message_kinds!` below:
//! without it [`MessageKind::of`] does not compile. The row also says since which version of the protocol the kind exists;
//! `versions.rs` has the rule.
//!
//! # Invariants
//! - INV-NET-1: a kind's number is the tag with which its encoding starts; a test holds the table to the codec.
//! - INV-NET-3: an honest peer that relays 5,000 payments a second with the votes of 100 validators, each with a batch
//!   every 2 ms, is never limited, nor is one of a chain whose blocks follow each other without a gap. Tests derive what
//!   they send.
//!
//! # Where the rates come from
//! What an honest peer sends at most on one link, of which it relays each message once, times [`HEADROOM`]. The factor
//! leaves room for what is sent again as an answer, and for clocks and queues that deliver in bursts.
//!
//! | kind | honest, at most, a second |
//! |---|---|
//! | transaction | 5,000, of 300 bytes on average |
//! | vote batch | 100 validators x 500 batches (one in 2 ms) = 50,000; 256 bytes around each, and 33 bytes for each of 100 x 2 x 5,000 votes: 46 MB |
//! | block vote | 2 steps x 100 validators at 20 rounds, or 10 validators at 200 = 4,000, and as many again that are pushed after a loss |
//! | proposal | 200 (no gap between blocks), and one more for each round |
//! | status | 4, and one for each block |
//! | ids asked for | 5,000 that were all missed, 32 bytes each, several times |
//! | answers | as many as were asked for |
//! | evidence, heartbeats | one of each member at once, after a connection is made |
//!
//! Bursts are two seconds of the rate, or more where one message may be large. The number of transactions has more room
//! than that: payers can make bursts.
//!
//! # Units
//! Bytes of the encoded message. Work is in bytes too: what one message costs its consumer, as so many bytes of plain
//! votes would; a signature check is [`SIGNATURE_WORK_BYTES`].

use crate::types::Message;
use crate::types::limits::{
    ADDRESS_TEXT_BYTES_MAX, BATCH_VOTES_MAX, EVIDENCE_BYTES_MAX, MESSAGE_BYTES_MAX, NEIGHBOURS_MAX,
    PEER_ADDRESSES_MAX, REQUEST_IDS_MAX, RESPONSE_BYTES_MAX, TRANSACTION_BYTES_MAX, VALIDATORS_MAX,
};

/// Room for the fixed parts of a message: tags, counts, heads, a signature.
const FIXED_BYTES: usize = 1_024;
/// What one object may have by which an answer exceeds its limit: a certificate of a full set.
const CERTIFICATE_BYTES_MAX: usize = 128 << 10;
/// A proposal in bytes, at most: 50,000 txids, a commit of a full set and 1 MiB of evidence.
pub const PROPOSAL_BYTES_MAX: usize = 3 << 20;

/// Payments a second that a link carries without being limited.
const PAYMENTS_PER_SECOND: u64 = 5_000;
/// Votes for each payment: `Lock` and `Final`.
const VOTES_PER_PAYMENT: u64 = 2;
/// The shortest interval between two batches of one validator, in milliseconds: what the configuration has by default.
const VOTE_INTERVAL_MS: u64 = 2;
/// Bytes of one vote in a batch.
const VOTE_BYTES: u64 = 33;
/// Bytes of a batch without its votes.
const BATCH_HEAD_BYTES: u64 = 256;
/// Block rounds a second where blocks follow each other without a gap: more than four nodes on one machine make.
const ROUNDS_PER_SECOND: u64 = 200;
/// Prevotes and precommits a second: of 10 validators in each of these rounds, or of 100 in each tenth of them. More
/// validators are not as fast.
const BLOCK_VOTES_PER_SECOND: u64 = ROUNDS_PER_SECOND * 2 * 10;
/// One behind each block, and those at intervals.
const STATUSES_PER_SECOND: u64 = ROUNDS_PER_SECOND + 4;
/// How many times the honest rate is allowed.
pub(crate) const HEADROOM: u64 = 2;
/// Validators of a full set.
const VALIDATORS: u64 = VALIDATORS_MAX as u64;

/// Batches of votes a second that one link carries.
const BATCHES_PER_SECOND: u64 = VALIDATORS * 1_000 / VOTE_INTERVAL_MS;
/// Their bytes.
const BATCH_BYTES_PER_SECOND: u64 =
    BATCHES_PER_SECOND * BATCH_HEAD_BYTES + VALIDATORS * VOTES_PER_PAYMENT * PAYMENTS_PER_SECOND * VOTE_BYTES;

/// What a signature check costs, in bytes of work: 40 us and its way to the pool, where a vote of 33 bytes takes 0.3 us.
pub(crate) const SIGNATURE_WORK_BYTES: usize = 4 << 10;

/// Which of the two streams of a connection a message travels in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageLane {
    /// Votes and whatever never waits behind transactions or sync.
    Urgent,
    /// Transactions, blocks and the rest, against credit of the receiver.
    Bulk,
}

/// How far a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    /// To the peer that it is for.
    Direct,
    /// To everybody, from all sides: what is rare, or decides alone.
    Flood,
    /// To everybody, but not to who gets it from the same member anyway (see `neighbours.rs`): what comes often, and is
    /// found by comparing when it got lost.
    Mesh,
}

use Spread::{Direct as DIRECT, Flood as FLOOD, Mesh as MESH};

/// How a kind is limited for one peer: token buckets of messages and of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    pub(crate) messages_per_second: u64,
    pub(crate) messages_burst: u64,
    pub(crate) bytes_per_second: u64,
    pub(crate) bytes_burst: u64,
}

const MIB: u64 = 1 << 20;

/// Where only the number of messages matters: bytes are held by the kind's size alone.
const fn messages(per_second: u64, burst: u64) -> Allowance {
    Allowance {
        messages_per_second: per_second,
        messages_burst: burst,
        bytes_per_second: 64 * MIB,
        bytes_burst: 128 * MIB,
    }
}

/// The same with a burst of two seconds.
const fn counted(per_second: u64) -> Allowance {
    messages(per_second, 2 * per_second)
}

/// A rate of messages and one of bytes, with bursts of two seconds.
const fn rates(messages_per_second: u64, bytes_per_second: u64) -> Allowance {
    Allowance {
        messages_per_second,
        messages_burst: 2 * messages_per_second,
        bytes_per_second,
        bytes_burst: 2 * bytes_per_second,
    }
}

/// What a message costs its consumer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// For each message.
    message_bytes: usize,
    /// For each of its bytes.
    per_byte: usize,
}

/// A message whose bytes are all there is to do.
const PLAIN: Work = Work { message_bytes: 0, per_byte: 1 };
/// One signature, whatever its size.
const SIGNED: Work = Work { message_bytes: SIGNATURE_WORK_BYTES, per_byte: 1 };
/// A signature for about each hundred bytes.
const SIGNATURES: Work = Work { message_bytes: SIGNATURE_WORK_BYTES, per_byte: SIGNATURE_WORK_BYTES / 100 };
/// Each of its ids, of 32 bytes, is looked up and answered.
const IDS: Work = Work { message_bytes: 1_024, per_byte: 16 };
/// A short question with a long answer.
const QUESTION: Work = Work { message_bytes: 32 << 10, per_byte: 1 };

/// A row of the table.
struct Row {
    name: &'static str,
    lane: MessageLane,
    spread: Spread,
    bytes_max: usize,
    allowance: Allowance,
    work: Work,
}

const fn urgent(name: &'static str, spread: Spread, bytes_max: usize, rate: Allowance, work: Work) -> Row {
    Row { name, lane: MessageLane::Urgent, spread, bytes_max, allowance: rate, work }
}

const fn bulk(name: &'static str, spread: Spread, bytes_max: usize, rate: Allowance, work: Work) -> Row {
    Row { name, lane: MessageLane::Bulk, spread, bytes_max, allowance: rate, work }
}

/// Makes the enum, its list and its rows from one list, so that none of them can miss a kind.
macro_rules! message_kinds {
    ($($kind:ident, since $since:literal => $row:expr;)+) => {
        /// The kinds of [`Message`], in the order of their tags.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum MessageKind {
            $(
                #[doc = concat!("[`Message::", stringify!($kind), "`].")]
                $kind,
            )+
        }

        /// How many kinds there are.
        pub(crate) const KINDS: usize = [$(stringify!($kind)),+].len();

        impl MessageKind {
            /// All kinds; the index is the tag.
            pub const ALL: [Self; KINDS] = [$(Self::$kind),+];

            /// The kind of a message.
            #[must_use]
            pub const fn of(message: &Message) -> Self {
                match message {
                    $(Message::$kind { .. } => Self::$kind,)+
                }
            }

            /// The first version of the protocol that has it.
            #[must_use]
            pub const fn since(self) -> u32 {
                match self {
                    $(Self::$kind => $since,)+
                }
            }

            const fn row(self) -> Row {
                match self {
                    $(Self::$kind => $row,)+
                }
            }
        }
    };
}

message_kinds! {
    Ping, since 5 => urgent("ping", DIRECT, FIXED_BYTES, messages(10, 20), PLAIN);
    Pong, since 5 => urgent("pong", DIRECT, FIXED_BYTES, messages(10, 20), PLAIN);
    Status, since 5 => urgent("status", DIRECT, 3 * FIXED_BYTES, counted(HEADROOM * STATUSES_PER_SECOND), PLAIN);
    Transaction, since 5 => bulk(
        "transaction",
        MESH,
        TRANSACTION_BYTES_MAX + FIXED_BYTES,
        rates(2 * HEADROOM * PAYMENTS_PER_SECOND, 16 * MIB),
        SIGNED,
    );
    VoteBatch, since 5 => urgent(
        "vote_batch",
        MESH,
        BATCH_VOTES_MAX * VOTE_BYTES as usize + FIXED_BYTES,
        rates(HEADROOM * BATCHES_PER_SECOND, HEADROOM * BATCH_BYTES_PER_SECOND),
        SIGNED,
    );
    Proposal, since 5 => urgent("proposal", FLOOD, PROPOSAL_BYTES_MAX, counted(2 * HEADROOM * ROUNDS_PER_SECOND), SIGNED);
    BlockVote, since 5 => urgent(
        "block_vote",
        FLOOD,
        FIXED_BYTES,
        rates(2 * HEADROOM * BLOCK_VOTES_PER_SECOND, 8 * MIB),
        SIGNED,
    );
    GetTransactions, since 5 => bulk(
        "get_transactions",
        DIRECT,
        REQUEST_IDS_MAX * 32 + FIXED_BYTES,
        ids_asked_for(),
        IDS,
    );
    Transactions, since 5 => bulk(
        "transactions",
        DIRECT,
        RESPONSE_BYTES_MAX + TRANSACTION_BYTES_MAX + FIXED_BYTES,
        messages(1_000, 2_000),
        SIGNATURES,
    );
    GetCertificates, since 5 => urgent(
        "get_certificates",
        DIRECT,
        REQUEST_IDS_MAX * 32 + FIXED_BYTES,
        ids_asked_for(),
        IDS,
    );
    Certificates, since 5 => urgent(
        "certificates",
        DIRECT,
        RESPONSE_BYTES_MAX + CERTIFICATE_BYTES_MAX + FIXED_BYTES,
        messages(1_000, 2_000),
        SIGNATURES,
    );
    GetBatches, since 5 => urgent("get_batches", DIRECT, FIXED_BYTES, messages(500, 1_000), QUESTION);
    BatchesEnd, since 5 => urgent("batches_end", DIRECT, FIXED_BYTES, messages(500, 1_000), PLAIN);
    GetBlocks, since 5 => bulk("get_blocks", DIRECT, FIXED_BYTES, messages(100, 200), QUESTION);
    Blocks, since 5 => bulk("blocks", DIRECT, MESSAGE_BYTES_MAX, messages(1_000, 2_000), SIGNATURES);
    GetMasternodes, since 5 => bulk("get_masternodes", DIRECT, FIXED_BYTES, messages(1, 10), QUESTION);
    Masternodes, since 5 => bulk(
        "masternodes",
        DIRECT,
        PEER_ADDRESSES_MAX * (ADDRESS_TEXT_BYTES_MAX + 41) + FIXED_BYTES,
        messages(1, 10),
        PLAIN,
    );
    Evidence, since 5 => urgent("evidence", FLOOD, EVIDENCE_BYTES_MAX + FIXED_BYTES, messages(20, 200), SIGNATURES);
    Heartbeat, since 5 => urgent("heartbeat", FLOOD, FIXED_BYTES, messages(20, 2 * VALIDATORS), SIGNED);
    // While all members of the largest set have just started, each says two a second; then a name and an instance of each.
    Instance, since 5 => urgent("instance", FLOOD, VALIDATORS_MAX * 54 + FIXED_BYTES, messages(500, 1_000), SIGNED);
    Neighbours, since 5 => urgent("neighbours", DIRECT, NEIGHBOURS_MAX * 32 + FIXED_BYTES, messages(8, 16), PLAIN);
    Announce, since 5 => bulk("announce", DIRECT, REQUEST_IDS_MAX * 32 + FIXED_BYTES, messages(4, 8), IDS);
    GetSnapshots, since 5 => bulk("get_snapshots", DIRECT, FIXED_BYTES, messages(1, 10), QUESTION);
    Snapshots, since 5 => bulk("snapshots", DIRECT, FIXED_BYTES, messages(1, 10), PLAIN);
    GetSnapshotItem, since 5 => bulk("get_snapshot_item", DIRECT, FIXED_BYTES, messages(50, 100), QUESTION);
    SnapshotItem, since 5 => bulk("snapshot_item", DIRECT, MESSAGE_BYTES_MAX, messages(50, 100), PLAIN);
}

/// 32 bytes an id: 50,000 ids a second, and as a burst what four full requests of each of ten peers' gaps may be.
const fn ids_asked_for() -> Allowance {
    Allowance {
        messages_per_second: 1_000,
        messages_burst: 2_000,
        bytes_per_second: 10 * PAYMENTS_PER_SECOND * 32,
        bytes_burst: 40 * PAYMENTS_PER_SECOND * 32,
    }
}

impl MessageKind {
    /// The kind of an encoding that starts with this tag, if this version of the protocol has it.
    pub(crate) fn from_tag(tag: u32, version: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(tag).ok()?).copied().filter(|kind| kind.is_in(version))
    }

    /// Whether this version of the protocol has it.
    pub(crate) const fn is_in(self, version: u32) -> bool {
        self.since() <= version
    }

    /// Its place in [`Self::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// For metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The stream it travels in.
    #[must_use]
    pub const fn lane(self) -> MessageLane {
        self.row().lane
    }

    /// Whether it travels in the lane of votes, which never waits behind transactions or sync.
    #[must_use]
    pub const fn is_urgent(self) -> bool {
        matches!(self.row().lane, MessageLane::Urgent)
    }

    /// Whether peers pass it on, so that it comes from many sides.
    #[must_use]
    pub const fn is_gossip(self) -> bool {
        !matches!(self.row().spread, Spread::Direct)
    }

    /// How far it goes.
    pub(crate) const fn spread(self) -> Spread {
        self.row().spread
    }

    /// Encoded bytes, at most. Only an answer with blocks may take [`MESSAGE_BYTES_MAX`], so that memory for messages
    /// that never end is small.
    #[must_use]
    pub const fn bytes_max(self) -> usize {
        self.row().bytes_max
    }

    /// How fast one peer may send it.
    pub(crate) const fn allowance(self) -> Allowance {
        self.row().allowance
    }

    /// What a message of so many encoded bytes costs its consumer, in bytes of work.
    pub(crate) const fn work_bytes(self, bytes: usize) -> usize {
        let work = self.row().work;
        work.message_bytes.saturating_add(bytes.saturating_mul(work.per_byte))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::network::rate_limit::{RateLimiter, Verdict};
    use crate::network::tests::support;
    use crate::network::{PROTOCOL_VERSION, now};
    use crate::types::codec::encode;
    use crate::types::message::{HeldBatches, PeerAddress};
    use crate::types::{Released, SignerBitmap, TxId, VoteKind};

    /// INV-NET-1.
    #[test]
    fn the_table_agrees_with_the_codec_and_with_the_messages() {
        let messages = support::one_of_each();
        assert_eq!(messages.len(), KINDS);
        let mut names = std::collections::BTreeSet::new();
        for (message, kind) in messages.iter().zip(MessageKind::ALL) {
            assert_eq!(MessageKind::of(message), kind);
            let tag = u32::from_le_bytes(encode(message)[..4].try_into().unwrap());
            assert_eq!(MessageKind::from_tag(tag, PROTOCOL_VERSION), Some(kind), "INV-NET-1");
            assert_eq!(kind.index(), tag as usize);
            assert_eq!(MessageKind::from_tag(tag, kind.since() - 1), None, "an older version lacks it");
            assert!(kind.since() <= PROTOCOL_VERSION, "{kind:?} is of a version that nobody speaks");
            assert!(names.insert(kind.name()), "{kind:?} has a name of its own");
        }
        assert_eq!(MessageKind::from_tag(u32::try_from(KINDS).unwrap(), u32::MAX), None);
    }

    /// A peer of that version ends the connection at a tag that it does not know: a new kind is of a new version.
    #[test]
    fn kinds_of_a_released_version_stay_as_they_are() {
        let of = |version| MessageKind::ALL.into_iter().filter(|kind| kind.since() == version).count();
        assert_eq!(of(5), 26);
    }

    #[test]
    fn what_decides_is_urgent_and_what_syncs_is_not() {
        let bulk: Vec<&str> =
            MessageKind::ALL.into_iter().filter(|kind| !kind.is_urgent()).map(MessageKind::name).collect();
        let expected = [
            "transaction",
            "get_transactions",
            "transactions",
            "get_blocks",
            "blocks",
            "get_masternodes",
            "masternodes",
            "announce",
            "get_snapshots",
            "snapshots",
            "get_snapshot_item",
            "snapshot_item",
        ];
        assert_eq!(bulk, expected);
        let gossip: Vec<&str> =
            MessageKind::ALL.into_iter().filter(|kind| kind.is_gossip()).map(MessageKind::name).collect();
        let expected =
            ["transaction", "vote_batch", "proposal", "block_vote", "evidence", "heartbeat", "instance"];
        assert_eq!(gossip, expected);
    }

    #[test]
    fn the_largest_honest_messages_fit() {
        let ids = vec![TxId::ZERO; REQUEST_IDS_MAX];
        let peer = PeerAddress {
            address: "x".repeat(ADDRESS_TEXT_BYTES_MAX),
            identity: Some(crate::types::PublicKey::ZERO),
        };
        let Message::Status(mut status) = support::one_of_each().swap_remove(2) else {
            panic!("the order changed")
        };
        status.batches = vec![HeldBatches { from: u64::MAX, until: u64::MAX }; VALIDATORS_MAX];
        (status.prevotes, status.precommits) =
            (SignerBitmap::empty(VALIDATORS_MAX), SignerBitmap::empty(VALIDATORS_MAX));
        for message in [
            Message::Status(status),
            Message::GetTransactions(ids.clone()),
            Message::GetCertificates(VoteKind::Lock, ids),
            Message::Masternodes(vec![peer; PEER_ADDRESSES_MAX]),
            Message::VoteBatch(Released::heard(support::vote_batch(1, BATCH_VOTES_MAX))),
            Message::Instance(Arc::new(support::statement(VALIDATORS_MAX))),
            Message::Neighbours(vec![crate::types::PublicKey::ZERO; NEIGHBOURS_MAX]),
        ] {
            assert!(message.check_limits().is_ok());
            let kind = MessageKind::of(&message);
            assert!(encode(&message).len() <= kind.bytes_max(), "{}", kind.name());
        }
    }

    #[test]
    fn every_kind_can_be_sent_at_its_largest_size() {
        for kind in MessageKind::ALL {
            let mut limiter = RateLimiter::new(now());
            assert_eq!(limiter.check(kind, kind.bytes_max(), now()), Verdict::Admit, "{kind:?}");
        }
    }

    /// INV-NET-3. Everything here is derived from messages and limits, not from the table's own constants.
    #[test]
    fn the_relay_of_a_hundred_validators_at_2_ms_is_never_limited() {
        let payments_per_second = 5_000;
        let batches_per_second = 100 * 1_000 / 2;
        let votes_per_batch = (100 * 2 * payments_per_second) / batches_per_second;
        let batch_bytes =
            encode(&Message::VoteBatch(Released::heard(support::vote_batch(1, votes_per_batch)))).len();
        let block_vote_bytes = encode(&Message::BlockVote(support::block_vote(1))).len();
        let bytes_per_second = batches_per_second * batch_bytes;
        let allowance = MessageKind::VoteBatch.allowance();
        assert!(allowance.messages_per_second >= 2 * u64::try_from(batches_per_second).unwrap());
        assert!(allowance.bytes_per_second >= 3 * u64::try_from(bytes_per_second).unwrap() / 2);

        // In steps of 10 ms, and after each second a pause of 1 s whose messages then come at once.
        let start = now();
        let mut limiter = RateLimiter::new(start);
        let mut admit = |kind, bytes, count, at| {
            for _ in 0..count {
                assert_eq!(limiter.check(kind, bytes, at), Verdict::Admit, "{kind:?}");
            }
        };
        for second in 0..10_u64 {
            for step in 0..100_u64 {
                let at = start + Duration::from_millis(2_000 * second + 10 * step);
                admit(MessageKind::VoteBatch, batch_bytes, batches_per_second / 100, at);
                admit(MessageKind::Transaction, 300, payments_per_second / 100, at);
                admit(MessageKind::BlockVote, block_vote_bytes, 10, at);
            }
            let at = start + Duration::from_millis(2_000 * second + 1_999);
            admit(MessageKind::VoteBatch, batch_bytes, batches_per_second, at);
            admit(MessageKind::Transaction, 300, payments_per_second, at);
            admit(MessageKind::BlockVote, block_vote_bytes, 1_000, at);
        }
    }

    /// INV-NET-3: a genesis may say that blocks follow each other without a gap.
    #[test]
    fn blocks_without_a_gap_are_never_limited() {
        let all = support::one_of_each();
        let bytes = |kind: MessageKind| encode(&all[kind.index()]).len();
        for (rounds, validators) in [(200, 10), (20, 100)] {
            let start = now();
            let mut limiter = RateLimiter::new(start);
            let mut admit = |kind, count, at| {
                for _ in 0..count {
                    assert_eq!(limiter.check(kind, bytes(kind), at), Verdict::Admit, "{kind:?}");
                }
            };
            for second in 0..20_u64 {
                let begin = start + Duration::from_secs(second);
                for round in 0..rounds {
                    // As they are made, or all of a second at once.
                    let pause_ms = if second % 2 == 0 { 0 } else { 1_000 * round / rounds };
                    let at = begin + Duration::from_millis(pause_ms);
                    admit(MessageKind::Status, 1, at);
                    admit(MessageKind::Proposal, 1, at);
                    // Both steps, and once more when they seem lost.
                    admit(MessageKind::BlockVote, 2 * 2 * validators, at);
                }
                admit(MessageKind::Status, 4, begin + Duration::from_secs(1));
            }
        }
    }

    #[test]
    fn the_configuration_allows_no_shorter_interval_by_default() {
        let config = crate::runtime::Config::of_network(crate::types::Network::Mainnet);
        assert!(config.consensus.vote_interval_ms >= VOTE_INTERVAL_MS);
    }

    #[test]
    fn work_grows_with_bytes_and_with_signatures() {
        let votes = MessageKind::VoteBatch.work_bytes(1_000);
        assert_eq!(votes, SIGNATURE_WORK_BYTES + 1_000);
        assert!(MessageKind::Certificates.work_bytes(1_000) > 8 * votes);
        assert_eq!(MessageKind::Ping.work_bytes(12), 12);
        assert_eq!(MessageKind::Certificates.work_bytes(usize::MAX), usize::MAX, "no overflow");
    }
}
