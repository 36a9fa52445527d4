//! What the network knows about a message before it decodes it: its kind, and how large this kind may be.
//!
//! # Place
//! `frame.rs` holds each kind to its size while it arrives, `rate_limit.rs` to its rate, `metrics.rs` counts by it.
//!
//! # Invariants
//! - INV-NET-1: a kind's number is the tag with which its encoding starts; a test holds the table to the codec.
//!
//! # Units
//! Bytes of the encoded message.

use crate::types::Message;
use crate::types::limits::{
    ADDRESS_TEXT_BYTES_MAX, BATCH_VOTES_MAX, EVIDENCE_BYTES_MAX, MESSAGE_BYTES_MAX, PEER_ADDRESSES_MAX,
    REQUEST_IDS_MAX, RESPONSE_BYTES_MAX, TRANSACTION_BYTES_MAX, VALIDATORS_MAX,
};

/// How many kinds there are.
pub(crate) const KINDS: usize = 20;
/// Room for the fixed parts of a message: tags, counts, heads, a signature.
const FIXED_BYTES: usize = 1_024;
/// What one object may have by which an answer exceeds its limit: a certificate of a full set.
const CERTIFICATE_BYTES_MAX: usize = 128 << 10;
/// A proposal: 50,000 txids, a commit of a full set and 1 MiB of evidence.
const PROPOSAL_BYTES_MAX: usize = 3 << 20;

/// The kinds of [`Message`], in the order of their tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageKind {
    Ping,
    Pong,
    Status,
    Transaction,
    VoteBatch,
    Proposal,
    BlockVote,
    GetTransactions,
    Transactions,
    GetCertificates,
    Certificates,
    GetBatches,
    BatchesEnd,
    GetBlocks,
    Blocks,
    GetMasternodes,
    Masternodes,
    Evidence,
    Heartbeat,
    Instance,
}

impl MessageKind {
    /// All kinds; the index is the tag.
    pub(crate) const ALL: [Self; KINDS] = [
        Self::Ping,
        Self::Pong,
        Self::Status,
        Self::Transaction,
        Self::VoteBatch,
        Self::Proposal,
        Self::BlockVote,
        Self::GetTransactions,
        Self::Transactions,
        Self::GetCertificates,
        Self::Certificates,
        Self::GetBatches,
        Self::BatchesEnd,
        Self::GetBlocks,
        Self::Blocks,
        Self::GetMasternodes,
        Self::Masternodes,
        Self::Evidence,
        Self::Heartbeat,
        Self::Instance,
    ];

    /// The kind of a message.
    pub(crate) const fn of(message: &Message) -> Self {
        match message {
            Message::Ping(_) => Self::Ping,
            Message::Pong(_) => Self::Pong,
            Message::Status(_) => Self::Status,
            Message::Transaction(_) => Self::Transaction,
            Message::VoteBatch(_) => Self::VoteBatch,
            Message::Proposal(_) => Self::Proposal,
            Message::BlockVote(_) => Self::BlockVote,
            Message::GetTransactions(_) => Self::GetTransactions,
            Message::Transactions(_) => Self::Transactions,
            Message::GetCertificates(..) => Self::GetCertificates,
            Message::Certificates(_) => Self::Certificates,
            Message::GetBatches { .. } => Self::GetBatches,
            Message::BatchesEnd { .. } => Self::BatchesEnd,
            Message::GetBlocks { .. } => Self::GetBlocks,
            Message::Blocks(_) => Self::Blocks,
            Message::GetMasternodes => Self::GetMasternodes,
            Message::Masternodes(_) => Self::Masternodes,
            Message::Evidence(_) => Self::Evidence,
            Message::Heartbeat(_) => Self::Heartbeat,
            Message::Instance(_) => Self::Instance,
        }
    }

    /// The kind of an encoding that starts with this tag.
    pub(crate) fn from_tag(tag: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(tag).ok()?).copied()
    }

    /// Its place in [`Self::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// As [`Message::name`] says it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Status => "status",
            Self::Transaction => "transaction",
            Self::VoteBatch => "vote_batch",
            Self::Proposal => "proposal",
            Self::BlockVote => "block_vote",
            Self::GetTransactions => "get_transactions",
            Self::Transactions => "transactions",
            Self::GetCertificates => "get_certificates",
            Self::Certificates => "certificates",
            Self::GetBatches => "get_batches",
            Self::BatchesEnd => "batches_end",
            Self::GetBlocks => "get_blocks",
            Self::Blocks => "blocks",
            Self::GetMasternodes => "get_masternodes",
            Self::Masternodes => "masternodes",
            Self::Evidence => "evidence",
            Self::Heartbeat => "heartbeat",
            Self::Instance => "instance",
        }
    }

    /// As [`Message::is_urgent`] says it.
    pub(crate) const fn is_urgent(self) -> bool {
        !matches!(
            self,
            Self::Transaction
                | Self::GetTransactions
                | Self::Transactions
                | Self::GetBlocks
                | Self::Blocks
                | Self::GetMasternodes
                | Self::Masternodes
        )
    }

    /// Whether peers pass it on, so that it comes from many sides.
    pub(crate) const fn is_gossip(self) -> bool {
        matches!(
            self,
            Self::Transaction
                | Self::VoteBatch
                | Self::Proposal
                | Self::BlockVote
                | Self::Evidence
                | Self::Heartbeat
                | Self::Instance
        )
    }

    /// Encoded bytes, at most. Only an answer with blocks may take [`MESSAGE_BYTES_MAX`], so that memory for messages
    /// that never end is small.
    pub(crate) const fn bytes_max(self) -> usize {
        match self {
            Self::Ping
            | Self::Pong
            | Self::BlockVote
            | Self::GetBatches
            | Self::BatchesEnd
            | Self::GetBlocks
            | Self::GetMasternodes
            | Self::Heartbeat => FIXED_BYTES,
            // A name and an instance for each member of the largest set.
            Self::Instance => VALIDATORS_MAX * 54 + FIXED_BYTES,
            Self::Status => 3 * FIXED_BYTES,
            Self::Transaction => TRANSACTION_BYTES_MAX + FIXED_BYTES,
            Self::VoteBatch => BATCH_VOTES_MAX * 33 + FIXED_BYTES,
            Self::Proposal => PROPOSAL_BYTES_MAX,
            Self::GetTransactions | Self::GetCertificates => REQUEST_IDS_MAX * 32 + FIXED_BYTES,
            Self::Transactions => RESPONSE_BYTES_MAX + TRANSACTION_BYTES_MAX + FIXED_BYTES,
            Self::Certificates => RESPONSE_BYTES_MAX + CERTIFICATE_BYTES_MAX + FIXED_BYTES,
            Self::Blocks => MESSAGE_BYTES_MAX,
            Self::Evidence => EVIDENCE_BYTES_MAX + FIXED_BYTES,
            Self::Masternodes => PEER_ADDRESSES_MAX * (ADDRESS_TEXT_BYTES_MAX + 41) + FIXED_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::network::tests::support;
    use crate::types::codec::encode;
    use crate::types::message::PeerAddress;
    use crate::types::{TxId, VoteKind};

    #[test]
    fn the_table_agrees_with_the_codec_and_with_the_messages() {
        let messages = support::one_of_each();
        assert_eq!(messages.len(), KINDS);
        for (message, kind) in messages.iter().zip(MessageKind::ALL) {
            assert_eq!(MessageKind::of(message), kind);
            let tag = u32::from_le_bytes(encode(message)[..4].try_into().unwrap());
            assert_eq!(MessageKind::from_tag(tag), Some(kind));
            assert_eq!(kind.index(), tag as usize);
            assert_eq!(kind.name(), message.name());
            assert_eq!(kind.is_urgent(), message.is_urgent(), "{kind:?}");
        }
        assert_eq!(MessageKind::from_tag(20), None);
    }

    #[test]
    fn the_largest_honest_messages_fit() {
        let ids = vec![TxId::ZERO; REQUEST_IDS_MAX];
        let peer = PeerAddress {
            address: "x".repeat(ADDRESS_TEXT_BYTES_MAX),
            identity: Some(crate::types::PublicKey::ZERO),
        };
        for message in [
            Message::GetTransactions(ids.clone()),
            Message::GetCertificates(VoteKind::Lock, ids),
            Message::Masternodes(vec![peer; PEER_ADDRESSES_MAX]),
            Message::VoteBatch(Arc::new(support::vote_batch(1, BATCH_VOTES_MAX))),
            Message::Instance(Arc::new(support::statement(VALIDATORS_MAX))),
        ] {
            assert!(message.check_limits().is_ok());
            assert!(encode(&message).len() <= MessageKind::of(&message).bytes_max(), "{}", message.name());
        }
    }
}
