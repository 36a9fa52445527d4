//! What peers say to each other after the handshake.
//!
//! # Place
//! The network carries these without looking inside; `consensus/` and `app/router.rs` act on them.
//!
//! # Invariants
//! - INV-MSG-1: each list in a message has a bound in `limits.rs`, which [`Message::check_limits`] holds.

use std::sync::Arc;

use bincode::{Decode, Encode};

use super::block::{CommittedBlock, SignerBitmap};
use super::evidence::Evidence;
use super::hash::{BlockHash, MasternodeId, TxId};
use super::heartbeat::Heartbeat;
use super::instance::InstanceStatement;
use super::keys::PublicKey;
use super::limits::{
    ADDRESS_TEXT_BYTES_MAX, BATCH_VOTES_MAX, INSTANCES_MAX, PEER_ADDRESSES_MAX, REQUEST_IDS_MAX,
    VALIDATORS_MAX,
};
use super::transaction::Transaction;
use super::vote::{BlockVote, Certificate, Proposal, VoteBatch, VoteKind};
use super::{Epoch, Height, Round};

/// Where a peer can be reached, and the identity that must answer there.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct PeerAddress {
    /// `host:port` as text.
    pub address: String,
    /// The node's identity key, if it is known.
    pub identity: Option<PublicKey>,
}

/// Where a node stands, told to its peers often, so that each can see what itself or the other one lacks.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct NodeStatus {
    /// Height of its last committed block.
    pub height: Height,
    /// That block.
    pub tip: BlockHash,
    /// The epoch of the next block.
    pub epoch: Epoch,
    /// The round it is in at the next height.
    pub round: Round,
    /// Whether it holds the round's proposal, and the proof of lock that this names.
    pub has_proposal: bool,
    /// Whose prevotes of the round it holds.
    pub prevotes: SignerBitmap,
    /// Whose precommits of the round it holds.
    pub precommits: SignerBitmap,
    /// For each member of the epoch's set, between which numbers the node holds batches that it can serve.
    pub batches: Vec<HeldBatches>,
}

/// Between which numbers a node holds a member's batches: the first one, and the one behind the last. Some between may be
/// settled or lacking. Moves what is asked for, never what counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct HeldBatches {
    /// The first number.
    pub from: u64,
    /// The number behind the last; `from` when none is held.
    pub until: u64,
}

/// A message between two connected peers.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Message {
    /// Asks for a sign of life.
    Ping(u64),
    /// The answer to the ping with this number.
    Pong(u64),
    /// Where the sender stands.
    Status(NodeStatus),
    /// A transaction that is new to the sender.
    Transaction(Arc<Transaction>),
    /// A batch of finality votes.
    VoteBatch(Arc<VoteBatch>),
    /// A proposal of a block.
    Proposal(Arc<Proposal>),
    /// A prevote or precommit.
    BlockVote(Arc<BlockVote>),
    /// Asks for transactions by name.
    GetTransactions(Vec<TxId>),
    /// Transactions that were asked for, or that a closing proposer needs.
    Transactions(Vec<Arc<Transaction>>),
    /// Asks for certificates of one kind by transaction.
    GetCertificates(VoteKind, Vec<TxId>),
    /// Certificates that were asked for, or that a closing proposer needs.
    Certificates(Vec<Arc<Certificate>>),
    /// Asks for a validator's batches of an epoch.
    GetBatches {
        /// The epoch.
        epoch: Epoch,
        /// Whose batches.
        validator: MasternodeId,
        /// The first one.
        from_seq: u64,
        /// How many, at most [`REQUEST_BATCHES_MAX`](super::limits::REQUEST_BATCHES_MAX).
        count: u64,
    },
    /// The end of an answer with batches: all that the sender holds of them below `before_seq` was sent. Moves what is
    /// asked of the sender next, and nothing else.
    BatchesEnd {
        /// The epoch.
        epoch: Epoch,
        /// Whose batches.
        validator: MasternodeId,
        /// The first number that the answer did not reach.
        before_seq: u64,
    },
    /// Asks for blocks.
    GetBlocks {
        /// The first height.
        from: Height,
        /// How many, at most [`REQUEST_BLOCKS_MAX`](super::limits::REQUEST_BLOCKS_MAX).
        count: u64,
    },
    /// Blocks with their commits, ascending from the height that was asked for.
    Blocks(Vec<Arc<CommittedBlock>>),
    /// Asks for the addresses of masternodes and other nodes.
    GetMasternodes,
    /// The addresses that the sender knows.
    Masternodes(Vec<PeerAddress>),
    /// A contradiction of a validator.
    Evidence(Arc<Evidence>),
    /// A masternode's sign of life.
    Heartbeat(Arc<Heartbeat>),
    /// What a masternode's node says of its start, and whose starts it acknowledges.
    Instance(Arc<InstanceStatement>),
}

/// A list in a message that is longer than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {length} entries exceed the limit of {limit}")]
pub struct LimitExceeded {
    /// Which list.
    pub what: &'static str,
    /// Its length.
    pub length: usize,
    /// What it may be.
    pub limit: usize,
}

const fn within(what: &'static str, length: usize, limit: usize) -> Result<(), LimitExceeded> {
    if length > limit { Err(LimitExceeded { what, length, limit }) } else { Ok(()) }
}

impl Message {
    /// Holds each list to its bound, before anything else is done with a message from outside.
    ///
    /// # Errors
    /// The first list that is too long.
    pub fn check_limits(&self) -> Result<(), LimitExceeded> {
        match self {
            Self::Status(status) => within("batches", status.batches.len(), VALIDATORS_MAX),
            Self::Instance(statement) => {
                within("rivals", statement.rivals.len(), INSTANCES_MAX)?;
                within("acknowledgements", statement.acknowledged.len(), VALIDATORS_MAX)
            }
            Self::VoteBatch(batch) => within("votes", batch.votes.len(), BATCH_VOTES_MAX),
            Self::GetTransactions(ids) | Self::GetCertificates(_, ids) => {
                within("ids", ids.len(), REQUEST_IDS_MAX)
            }
            Self::Certificates(certificates) => {
                within("certificates", certificates.len(), REQUEST_IDS_MAX)?;
                certificates.iter().try_for_each(|certificate| {
                    within("certificate votes", certificate.votes.len(), VALIDATORS_MAX)
                })
            }
            Self::Masternodes(peers) => {
                within("addresses", peers.len(), PEER_ADDRESSES_MAX)?;
                peers
                    .iter()
                    .try_for_each(|peer| within("address", peer.address.len(), ADDRESS_TEXT_BYTES_MAX))
            }
            _ => Ok(()),
        }
    }

    /// Its name, for metrics and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ping(_) => "ping",
            Self::Pong(_) => "pong",
            Self::Status(_) => "status",
            Self::Transaction(_) => "transaction",
            Self::VoteBatch(_) => "vote_batch",
            Self::Proposal(_) => "proposal",
            Self::BlockVote(_) => "block_vote",
            Self::GetTransactions(_) => "get_transactions",
            Self::Transactions(_) => "transactions",
            Self::GetCertificates(..) => "get_certificates",
            Self::Certificates(_) => "certificates",
            Self::GetBatches { .. } => "get_batches",
            Self::BatchesEnd { .. } => "batches_end",
            Self::GetBlocks { .. } => "get_blocks",
            Self::Blocks(_) => "blocks",
            Self::GetMasternodes => "get_masternodes",
            Self::Masternodes(_) => "masternodes",
            Self::Evidence(_) => "evidence",
            Self::Heartbeat(_) => "heartbeat",
            Self::Instance(_) => "instance",
        }
    }

    /// Whether it travels in the lane of votes, which never waits behind transactions or sync.
    #[must_use]
    pub const fn is_urgent(&self) -> bool {
        matches!(
            self,
            Self::VoteBatch(_)
                | Self::Proposal(_)
                | Self::BlockVote(_)
                | Self::Status(_)
                | Self::Certificates(_)
                | Self::GetCertificates(..)
                | Self::GetBatches { .. }
                | Self::BatchesEnd { .. }
                | Self::Evidence(_)
                | Self::Heartbeat(_)
                | Self::Instance(_)
                | Self::Ping(_)
                | Self::Pong(_)
        )
    }
}
