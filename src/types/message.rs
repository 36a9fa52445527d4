//! What peers say to each other after the handshake.
//!
//! # Place
//! The network carries these without looking inside; `consensus/`, `admission/` and `app/admission.rs` act on them.
//!
//! # What may be sent
//! Every [`Message`]. Its parts that others rely on are [`Released`]: nobody can write one with a vote that is not durable.
//! The other parts promise nothing: a transaction, a status or evidence means the same whether or not its sender remembers
//! it, and the number of an instance means nothing to the next start.
//!
//! # Invariants
//! - INV-MSG-1: each list in a message has a bound in `limits.rs`, which [`Message::check_limits`] holds; lists of transactions
//!   are held to their bytes by [`Message::check_density`].

use std::sync::Arc;

use bincode::{Decode, Encode};

use super::block::{CommittedBlock, SignerBitmap};
use super::checkpoint::Checkpoint;
use super::evidence::Evidence;
use super::hash::{BlockHash, Hash, MasternodeId, TxId};
use super::heartbeat::Heartbeat;
use super::instance::InstanceStatement;
use super::keys::PublicKey;
use super::limits::{
    ADDRESS_TEXT_BYTES_MAX, BATCH_VOTES_MAX, INSTANCES_MAX, NEIGHBOURS_MAX, PEER_ADDRESSES_MAX,
    REQUEST_IDS_MAX, SNAPSHOTS_MAX, TRANSACTION_BYTES_MIN, VALIDATORS_MAX,
};
use super::proposal::Proposal;
use super::released::Released;
use super::transaction::Transaction;
use super::vote::{BlockVote, Certificate, VoteBatch, VoteKind};
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
    /// The first height whose block it can send; earlier ones were pruned or never fetched.
    pub horizon: Height,
    /// The last committed block.
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
    VoteBatch(Released<VoteBatch>),
    /// A proposal of a block.
    Proposal(Released<Proposal>),
    /// A prevote or precommit.
    BlockVote(Released<BlockVote>),
    /// Asks for transactions by name.
    GetTransactions(Vec<TxId>),
    /// Transactions that were asked for, or that a closing proposer needs.
    Transactions(Vec<Arc<Transaction>>),
    /// Asks for certificates of one kind by transaction.
    GetCertificates(VoteKind, Vec<TxId>),
    /// Certificates that were asked for, or that a closing proposer needs.
    Certificates(Vec<Released<Certificate>>),
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
        /// The first number that the answer did not reach, or the next one behind it that the sender holds.
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
    Blocks(Vec<Released<CommittedBlock>>),
    /// Asks for the addresses of masternodes and other nodes.
    GetMasternodes,
    /// The addresses that the sender knows.
    Masternodes(Vec<PeerAddress>),
    /// A contradiction of a validator.
    Evidence(Arc<Evidence>),
    /// A masternode's sign of life.
    Heartbeat(Released<Heartbeat>),
    /// What a masternode's node says of its start, and whose starts it acknowledges.
    Instance(Arc<InstanceStatement>),
    /// The members of the set that the sender is connected to, by the identities of their nodes.
    Neighbours(Vec<PublicKey>),
    /// Transactions that the sender took from users some time ago and that lack votes.
    Announce(Vec<TxId>),
    /// Asks which snapshots the peer has.
    GetSnapshots,
    /// The snapshots that the sender has, the newest first.
    Snapshots(Vec<SnapshotOffer>),
    /// Asks for a part of the snapshot of a block.
    GetSnapshotItem {
        /// The height of the block.
        height: Height,
        /// Which part.
        item: SnapshotItem,
    },
    /// A part of a snapshot.
    SnapshotItem {
        /// The height of the block.
        height: Height,
        /// Which part.
        item: SnapshotItem,
        /// Its encoding; empty if the sender does not have it.
        bytes: Vec<u8>,
    },
}

/// A snapshot that a node has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct SnapshotOffer {
    /// The last block of an epoch.
    pub block: Checkpoint,
    /// The hash of the manifest.
    pub manifest: Hash,
    /// Outputs.
    pub outputs: u64,
    /// Encoded bytes of all parts.
    pub bytes: u64,
}

impl SnapshotOffer {
    /// What is offered: the block and the manifest. The rest is what whoever offers it says of it.
    #[must_use]
    pub const fn names(&self) -> (Height, BlockHash, Hash) {
        (self.block.height, self.block.block_hash, self.manifest)
    }
}

/// A part of a snapshot, as peers ask for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub enum SnapshotItem {
    /// All but the outputs.
    Manifest,
    /// That the block is of the chain, from the genesis document or from a block that whoever asks trusts.
    Proof(Option<Checkpoint>),
    /// The block with its commit.
    Block,
    /// Outputs, by their place in the manifest.
    Chunk(u32),
}

/// What this node has signed and others rely on, before it is durable. The vote journal makes a [`Message`] of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnMessage {
    /// Votes on payments.
    VoteBatch(Arc<VoteBatch>),
    /// A proposal of a block.
    Proposal(Arc<Proposal>),
    /// A prevote or precommit.
    BlockVote(Arc<BlockVote>),
    /// A sign of life, which counts the batches before it.
    Heartbeat(Arc<Heartbeat>),
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
            Self::GetTransactions(ids) | Self::GetCertificates(_, ids) | Self::Announce(ids) => {
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
            Self::Snapshots(offers) => within("snapshots", offers.len(), SNAPSHOTS_MAX),
            Self::Neighbours(members) => within("neighbours", members.len(), NEIGHBOURS_MAX),
            // Lists of transactions are held to their bytes; what else is in these is held by whoever checks it, or is one.
            Self::Transactions(_)
            | Self::Blocks(_)
            | Self::Transaction(_)
            | Self::Proposal(_)
            | Self::BlockVote(_)
            | Self::Evidence(_)
            | Self::Heartbeat(_)
            | Self::Ping(_)
            | Self::Pong(_)
            | Self::GetBatches { .. }
            | Self::BatchesEnd { .. }
            | Self::GetBlocks { .. }
            | Self::GetMasternodes
            | Self::GetSnapshots
            | Self::GetSnapshotItem { .. }
            | Self::SnapshotItem { .. } => Ok(()),
        }
    }

    /// Holds the number of transactions to the bytes that they came in. In memory a transaction takes some 400 bytes
    /// however small it is on the wire, so a message full of ones that can't be valid would take ten times its bytes.
    ///
    /// # Errors
    /// When there are more than valid ones could be.
    pub fn check_density(&self, encoded_bytes: usize) -> Result<(), LimitExceeded> {
        let count = match self {
            Self::Transactions(transactions) => transactions.len(),
            Self::Blocks(blocks) => {
                let counts = blocks.iter().map(|block| block.block.transactions.len());
                counts.fold(0, usize::saturating_add)
            }
            _ => 0,
        };
        within("transactions for their bytes", count, encoded_bytes / TRANSACTION_BYTES_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::instance::{Acknowledged, InstanceId};
    use crate::types::{
        BatchHeader, BatchRoot, Block, CertificateVote, ChainId, Commit, FinalityVote, Header, RuleVersion,
        Signature, StateDigest,
    };

    fn batch(votes: usize) -> VoteBatch {
        let header = BatchHeader {
            epoch: 0,
            validator: MasternodeId::ZERO,
            seq: 0,
            count: 0,
            votes_root: BatchRoot::ZERO,
            signature: Signature::EMPTY,
        };
        let vote = FinalityVote { kind: VoteKind::Lock, txid: TxId::ZERO };
        VoteBatch { header, votes: vec![vote; votes] }
    }

    fn certificate(votes: usize) -> Released<Certificate> {
        let vote = CertificateVote { header: batch(0).header, index: 0, path: Vec::new() };
        let of = FinalityVote { kind: VoteKind::Lock, txid: TxId::ZERO };
        Released::heard(Certificate { vote: of, epoch: 0, votes: vec![vote; votes] })
    }

    fn addresses(count: usize, bytes: usize) -> Message {
        Message::Masternodes(vec![PeerAddress { address: "x".repeat(bytes), identity: None }; count])
    }

    fn offer() -> SnapshotOffer {
        let block = Checkpoint { height: 1, block_hash: BlockHash::ZERO };
        SnapshotOffer { block, manifest: Hash::ZERO, outputs: 0, bytes: 0 }
    }

    fn status(batches: usize) -> Message {
        Message::Status(NodeStatus {
            height: 0,
            horizon: 1,
            tip: BlockHash::ZERO,
            epoch: 0,
            round: 0,
            has_proposal: false,
            prevotes: SignerBitmap::default(),
            precommits: SignerBitmap::default(),
            batches: vec![HeldBatches::default(); batches],
        })
    }

    fn statement(rivals: usize, acknowledged: usize) -> Message {
        let instance = InstanceId { start: [0; 16], attempt: 0 };
        let validator = MasternodeId::ZERO;
        Message::Instance(Arc::new(InstanceStatement {
            validator,
            epoch: 0,
            instance,
            seq: 0,
            asks: false,
            rivals: vec![instance; rivals],
            acknowledged: vec![Acknowledged { validator, instance }; acknowledged],
            signature: Signature::EMPTY,
        }))
    }

    fn block_of(transactions: usize) -> Released<CommittedBlock> {
        let header = Header {
            chain_id: ChainId::ZERO,
            height: 1,
            round: 0,
            epoch: 0,
            epoch_end: false,
            time: 1,
            prev_hash: BlockHash::ZERO,
            last_commit_root: Hash::ZERO,
            tx_root: Hash::ZERO,
            evidence_root: Hash::ZERO,
            epoch_ends_root: Hash::ZERO,
            state_digest: StateDigest::ZERO,
            validators_hash: Hash::ZERO,
            next_validators_hash: Hash::ZERO,
            proposer: MasternodeId::ZERO,
            rules: RuleVersion::FIRST,
            announced: RuleVersion::FIRST,
        };
        let transaction = Arc::new(Transaction::transfer(Vec::new(), Vec::new(), Vec::new()));
        let transactions = vec![transaction; transactions];
        let (last_commit, commit) = (Commit::default(), Commit::default());
        let block = Block { header, last_commit, transactions, evidence: Vec::new() };
        Released::heard(CommittedBlock { block, commit })
    }

    /// INV-MSG-1: by all that a message holds together, however it is spread over blocks.
    #[test]
    fn there_are_no_more_transactions_than_could_be_valid_in_the_bytes_of_a_message() {
        let messages = [
            Message::Transactions(block_of(6).block.transactions.clone()),
            Message::Blocks(vec![block_of(6)]),
            Message::Blocks(vec![block_of(0), block_of(1), block_of(2), block_of(3)]),
        ];
        for (place, message) in messages.into_iter().enumerate() {
            let bytes = 6 * TRANSACTION_BYTES_MIN;
            assert_eq!(message.check_density(bytes), Ok(()), "message {place}");
            let error = message.check_density(bytes - 1).unwrap_err();
            assert_eq!((error.length, error.limit), (6, 5), "message {place}");
        }
    }

    /// INV-MSG-1: each list may reach its bound, and not pass it.
    #[test]
    fn each_list_has_its_bound() {
        type Make = fn(usize) -> Message;
        let lists: [(Make, usize); 13] = [
            (status, VALIDATORS_MAX),
            (|count| Message::VoteBatch(Released::heard(batch(count))), BATCH_VOTES_MAX),
            (|count| Message::GetTransactions(vec![TxId::ZERO; count]), REQUEST_IDS_MAX),
            (|count| Message::GetCertificates(VoteKind::Lock, vec![TxId::ZERO; count]), REQUEST_IDS_MAX),
            (|count| Message::Certificates(vec![certificate(0); count]), REQUEST_IDS_MAX),
            (|count| Message::Certificates(vec![certificate(count)]), VALIDATORS_MAX),
            (|count| addresses(count, 1), PEER_ADDRESSES_MAX),
            (|bytes| addresses(1, bytes), ADDRESS_TEXT_BYTES_MAX),
            (|count| Message::Announce(vec![TxId::ZERO; count]), REQUEST_IDS_MAX),
            (|count| Message::Neighbours(vec![PublicKey::ZERO; count]), NEIGHBOURS_MAX),
            (|count| Message::Snapshots(vec![offer(); count]), SNAPSHOTS_MAX),
            (|count| statement(count, 0), INSTANCES_MAX),
            (|count| statement(0, count), VALIDATORS_MAX),
        ];
        for (place, (make, limit)) in lists.into_iter().enumerate() {
            assert_eq!(make(limit).check_limits(), Ok(()), "list {place}");
            let error = make(limit + 1).check_limits().unwrap_err();
            assert_eq!((error.length, error.limit), (limit + 1, limit), "list {place}");
        }
    }
}
