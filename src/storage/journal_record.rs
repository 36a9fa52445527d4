//! The records of the vote journal, and how a frame holds them.
//!
//! # Place
//! `journal.rs` writes them, `journal_reader.rs` reads them, `journal_contents.rs` notes where they lie.
//!
//! # Layout
//! A frame of the segment log is what one commit wrote: records one after the other, each as length 4, CRC-32 of the
//! record 4, record. The records' own checksums let one be read without its whole frame.

use std::sync::Arc;

use bincode::enc::EncoderImpl;
use bincode::enc::write::SizeWriter;
use bincode::{Decode, Encode};

use crate::types::codec::decode;
use crate::types::fork::ForkProof;
use crate::types::{
    BlockVote, Certificate, Epoch, Evidence, Height, OwnMessage, Proposal, Transaction, VoteBatch,
};

/// Bytes of a record before its encoding.
pub(super) const RECORD_HEAD_BYTES: u32 = 8;

/// What the journal keeps.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum JournalRecord {
    /// The body of a transaction that a vote depends on.
    Transaction(Arc<Transaction>),
    /// Votes of another validator that something of ours depends on.
    PeerBatch(Arc<VoteBatch>),
    /// A certificate that a vote of ours depends on.
    Certificate(Arc<Certificate>),
    /// Votes of this node; its locks are the `Lock` votes in them.
    OwnBatch(Arc<VoteBatch>),
    /// From here on this node makes no new votes of the finality layer in this epoch.
    ClosingEntered {
        /// The epoch that is closing.
        epoch: Epoch,
        /// Height of its last ordinary block.
        height: Height,
    },
    /// A proposal, its own or one that a precommit depends on.
    Proposal(Arc<Proposal>),
    /// A prevote or precommit, its own or one that a precommit depends on.
    BlockVote(Arc<BlockVote>),
    /// The first record of an epoch.
    EpochStarted {
        /// The epoch.
        epoch: Epoch,
    },
    /// Two committed blocks of one height: nothing is signed any more.
    Fork(Arc<ForkProof>),
    /// The operator knows of this fork and has decided.
    ForkAcknowledged(Arc<ForkProof>),
    /// A masternode contradicted itself, and no block says so yet.
    Evidence(Arc<Evidence>),
}

impl JournalRecord {
    /// What of an own message has to be durable before it leaves; `None` where only what was staged before it has to be.
    #[must_use]
    pub fn of_own(message: &OwnMessage) -> Option<Self> {
        match message {
            OwnMessage::VoteBatch(batch) => Some(Self::OwnBatch(Arc::clone(batch))),
            OwnMessage::Proposal(proposal) => Some(Self::Proposal(Arc::clone(proposal))),
            OwnMessage::BlockVote(vote) => Some(Self::BlockVote(Arc::clone(vote))),
            OwnMessage::Heartbeat(_) => None,
        }
    }

    /// The epoch that the record says it is of; what may outlast its epoch says none.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::Transaction(_) | Self::Fork(_) | Self::ForkAcknowledged(_) | Self::Evidence(_) => None,
            Self::PeerBatch(batch) | Self::OwnBatch(batch) => Some(batch.header.epoch),
            Self::Certificate(certificate) => Some(certificate.epoch),
            Self::Proposal(proposal) => Some(proposal.block.header.epoch),
            Self::BlockVote(vote) => Some(vote.epoch),
            Self::ClosingEntered { epoch, .. } | Self::EpochStarted { epoch } => Some(*epoch),
        }
    }
}

impl JournalRecord {
    /// Bytes of its encoding, counted without making it.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        let mut encoder = EncoderImpl::new(SizeWriter::default(), bincode::config::legacy());
        // It fails no more than the encoding itself, which never does.
        let _counted = self.encode(&mut encoder);
        encoder.into_writer().bytes_written
    }
}

/// Where a record's encoding lies in its frame, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InFrame {
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// Appends one record to a frame and says where in the frame its bytes lie.
pub(super) fn push_record(frame: &mut Vec<u8>, bytes: &[u8]) -> InFrame {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    let offset = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    frame.extend_from_slice(bytes);
    InFrame { offset, length }
}

/// The records of a frame with their places in it, one after the other; the last item is `None` if what follows is no
/// record.
pub(super) struct FrameRecords<'a> {
    frame: &'a [u8],
    rest: &'a [u8],
}

impl<'a> FrameRecords<'a> {
    pub(super) const fn of(frame: &'a [u8]) -> Self {
        Self { frame, rest: frame }
    }

    fn split(&mut self) -> Option<(InFrame, JournalRecord)> {
        let (length, tail) = self.rest.split_first_chunk::<4>()?;
        let (sum, tail) = tail.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        let offset = u32::try_from(self.frame.len() - tail.len()).ok()?;
        let (bytes, tail) = tail.split_at_checked(usize::try_from(length).ok()?)?;
        if crc32fast::hash(bytes) != u32::from_le_bytes(*sum) {
            return None;
        }
        let record = decode(bytes).ok()?;
        self.rest = tail;
        Some((InFrame { offset, length }, record))
    }
}

impl Iterator for FrameRecords<'_> {
    type Item = Option<(InFrame, JournalRecord)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let found = self.split();
        if found.is_none() {
            self.rest = &[];
        }
        Some(found)
    }
}
