//! A vote journal as JSON: slashing protection that can be carried to another machine.
//!
//! # Place
//! `votes.rs` opens the journal and the file; here is what stands in the file.
//!
//! # Format
//! One object. Its head (`format`, `version`, `chain_id`, `operator_key`, `created_ms`, `forced`, `epoch`, `moved`, which is
//! false where it is absent) comes before
//! `records`, the journal's records in their order, one a line. What the key itself said is spelled out, with its
//! signatures, as are the inputs that each vote locks; what only goes with it (bodies of transactions, proposals, votes
//! and certificates of others, forks, evidence) is its encoding in hexadecimal beside what names it.
//!
//! `read.rs` decides which texts are such a file.
//!
//! # Invariants
//! - INV-VOTEFILE-1: what is read makes the very records that were written, or an error that names the first wrong one.
//! - Neither way holds more than one record in memory, beside a few bytes for each transaction.
//! - INV-VOTEFILE-3: a vote to lock is not taken without the inputs that it locks, unless its epoch is over: without
//!   them it would protect nothing.

mod read;

use std::io::{self, Write};
use std::sync::Arc;

use bincode::Encode;
use serde::{Deserialize, Serialize};

pub use self::read::{VoteFileSink, read_vote_file};
use crate::storage::{JournalIdentity, JournalOrigin, JournalRecord, StorageError};
use crate::types::codec::encode;
use crate::types::{
    BatchHeader, BatchRoot, BlockHash, ChainId, Epoch, Height, MasternodeId, OutPoint, PublicKey, Round,
    Transaction, TxId, VoteKind, VoteStep,
};

/// What `format` says.
const FORMAT: &str = "timed-votes";
/// What `version` says.
const VERSION: u32 = 1;

/// Why a file of votes can't be used.
#[derive(Debug, thiserror::Error)]
pub enum VoteFileError {
    /// Not JSON, or not of this shape.
    #[error("this is no file of `timed votes export`: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Another format, or a later version of this one.
    #[error(
        "the file is {format:?} of version {version}; this program reads {FORMAT:?} of version {VERSION}"
    )]
    UnknownFormat {
        /// What it says it is.
        format: String,
        /// Its version.
        version: u32,
    },
    /// Votes on another chain.
    #[error("the file holds votes on chain {found}, this node's is {expected}; they protect nothing here")]
    WrongChain {
        /// The node's chain.
        expected: ChainId,
        /// The file's.
        found: ChainId,
    },
    /// Votes of another key.
    #[error(
        "the file holds votes of operator key {found}, configured is {expected}; check [masternode] operator_key"
    )]
    WrongOperator {
        /// The configured key.
        expected: PublicKey,
        /// The file's.
        found: PublicKey,
    },
    /// A record that contradicts itself or others.
    #[error("record {index} of the file: {problem}; export the votes again")]
    Record {
        /// Its place, from 0.
        index: usize,
        /// What is wrong with it.
        problem: RecordProblem,
    },
    /// The journal.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordProblem {
    /// Not the encoding of what it should be.
    #[error("{what} is not what its encoding should be")]
    Encoding {
        /// Which part.
        what: &'static str,
    },
    /// What is spelled out is not what the encoding says.
    #[error("{what} does not fit its encoding")]
    Contradiction {
        /// Which part.
        what: &'static str,
    },
    /// The key did not sign it.
    #[error("the signature of the operator key does not hold")]
    BadSignature,
    /// A vote to lock unknown inputs.
    #[error("it votes to lock transaction {txid}, whose body does not come before it")]
    NoBody {
        /// The transaction.
        txid: TxId,
    },
}

/// What a file says before its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteFileHead {
    /// Whose votes.
    pub chain_id: ChainId,
    /// Of which key.
    pub operator_key: PublicKey,
    /// How their journal came to be.
    pub origin: JournalOrigin,
    /// The last epoch that it says has started: those before are over.
    pub epoch: Epoch,
    /// Whether the journal was taken away from its node first: then the key has said nothing since.
    pub moved: bool,
}

impl VoteFileHead {
    /// Refuses votes of another key or chain.
    ///
    /// # Errors
    /// [`VoteFileError::WrongChain`], [`VoteFileError::WrongOperator`].
    pub fn check(&self, identity: JournalIdentity) -> Result<(), VoteFileError> {
        if self.chain_id != identity.chain_id {
            let (expected, found) = (identity.chain_id, self.chain_id);
            return Err(VoteFileError::WrongChain { expected, found });
        }
        match identity.operator {
            Some(expected) if expected != self.operator_key => {
                Err(VoteFileError::WrongOperator { expected, found: self.operator_key })
            }
            _ => Ok(()),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct VoteLine {
    kind: KindName,
    txid: TxId,
    /// What it locks, as `txid:index`; absent where the journal does not have the body any more.
    #[serde(default)]
    inputs: Option<Vec<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindName {
    Lock,
    Final,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StepName {
    Prevote,
    Precommit,
}

/// One record of the file.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    EpochStarted {
        epoch: Epoch,
    },
    ClosingEntered {
        epoch: Epoch,
        height: Height,
    },
    Transaction {
        txid: TxId,
        inputs: Vec<String>,
        body: String,
    },
    OwnBatch {
        epoch: Epoch,
        validator: MasternodeId,
        seq: u64,
        votes: Vec<VoteLine>,
        votes_root: BatchRoot,
        signature: String,
    },
    PeerBatch {
        epoch: Epoch,
        validator: MasternodeId,
        seq: u64,
        body: String,
    },
    Certificate {
        epoch: Epoch,
        kind: KindName,
        txid: TxId,
        body: String,
    },
    Proposal {
        own: bool,
        epoch: Epoch,
        height: Height,
        round: Round,
        validator: MasternodeId,
        block_hash: BlockHash,
        signature: String,
        body: String,
    },
    BlockVote {
        own: bool,
        step: StepName,
        epoch: Epoch,
        height: Height,
        round: Round,
        value: Option<BlockHash>,
        validator: MasternodeId,
        signature: String,
    },
    Fork {
        height: Height,
        ours: BlockHash,
        theirs: BlockHash,
        acknowledged: bool,
        body: String,
    },
    Evidence {
        kind: String,
        epoch: Epoch,
        accused: MasternodeId,
        body: String,
    },
}

const fn kind_name(kind: VoteKind) -> KindName {
    match kind {
        VoteKind::Lock => KindName::Lock,
        VoteKind::Final => KindName::Final,
    }
}

const fn step_name(step: VoteStep) -> StepName {
    match step {
        VoteStep::Prevote => StepName::Prevote,
        VoteStep::Precommit => StepName::Precommit,
    }
}

fn names(inputs: &[OutPoint]) -> Vec<String> {
    inputs.iter().map(OutPoint::to_string).collect()
}

fn hex_of<T: Encode>(value: &T) -> String {
    hex::encode(encode(value))
}

/// Writes a file of votes, record by record.
pub struct VoteFileWriter<W: Write> {
    out: W,
    head: VoteFileHead,
    records: usize,
}

impl<W: Write> VoteFileWriter<W> {
    /// Writes the head.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn begin(mut out: W, head: VoteFileHead) -> io::Result<Self> {
        let VoteFileHead { chain_id, operator_key, origin, epoch, moved } = head;
        let JournalOrigin { created_ms, forced } = origin;
        write!(
            out,
            "{{\n\"format\": \"{FORMAT}\",\n\"version\": {VERSION},\n\"chain_id\": \"{chain_id}\",\n\
             \"operator_key\": \"{operator_key}\",\n\"created_ms\": {created_ms},\n\"forced\": {forced},\n\
             \"epoch\": {epoch},\n\"moved\": {moved},\n\"records\": ["
        )?;
        Ok(Self { out, head, records: 0 })
    }

    /// Writes the next record; `body` finds bodies that came before it.
    ///
    /// # Errors
    /// When it can't be written, or a body not read.
    pub fn push(
        &mut self,
        record: &JournalRecord,
        body: &mut dyn FnMut(&TxId) -> io::Result<Option<Arc<Transaction>>>,
    ) -> io::Result<()> {
        let line = self.line(record, body)?;
        self.out.write_all(if self.records == 0 { b"\n" } else { b",\n" })?;
        self.records = self.records.saturating_add(1);
        serde_json::to_writer(&mut self.out, &line).map_err(io::Error::from)
    }

    fn line(
        &self,
        record: &JournalRecord,
        body: &mut dyn FnMut(&TxId) -> io::Result<Option<Arc<Transaction>>>,
    ) -> io::Result<Line> {
        let VoteFileHead { chain_id, operator_key, .. } = self.head;
        Ok(match record {
            JournalRecord::EpochStarted { epoch } => Line::EpochStarted { epoch: *epoch },
            JournalRecord::ClosingEntered { epoch, height } => {
                Line::ClosingEntered { epoch: *epoch, height: *height }
            }
            JournalRecord::Transaction(transaction) => Line::Transaction {
                txid: transaction.txid(),
                inputs: names(&transaction.inputs),
                body: hex_of(&**transaction),
            },
            JournalRecord::OwnBatch(batch) => {
                let mut votes = Vec::with_capacity(batch.votes.len());
                for vote in &batch.votes {
                    let inputs = body(&vote.txid)?.map(|transaction| names(&transaction.inputs));
                    votes.push(VoteLine { kind: kind_name(vote.kind), txid: vote.txid, inputs });
                }
                let BatchHeader { epoch, validator, seq, votes_root, signature, .. } = batch.header;
                let signature = signature.to_string();
                Line::OwnBatch { epoch, validator, seq, votes, votes_root, signature }
            }
            JournalRecord::PeerBatch(batch) => {
                let BatchHeader { epoch, validator, seq, .. } = batch.header;
                Line::PeerBatch { epoch, validator, seq, body: hex_of(&**batch) }
            }
            JournalRecord::Certificate(certificate) => Line::Certificate {
                epoch: certificate.epoch,
                kind: kind_name(certificate.vote.kind),
                txid: certificate.vote.txid,
                body: hex_of(&**certificate),
            },
            JournalRecord::Proposal(proposal) => Line::Proposal {
                own: proposal.signature_check(operator_key).holds(),
                epoch: proposal.block.header.epoch,
                height: proposal.block.header.height,
                round: proposal.round,
                validator: proposal.validator,
                block_hash: proposal.block.header.hash(),
                signature: proposal.signature.to_string(),
                body: hex_of(&**proposal),
            },
            JournalRecord::BlockVote(vote) => Line::BlockVote {
                own: vote.signature_check(&chain_id, operator_key).holds(),
                step: step_name(vote.step),
                epoch: vote.epoch,
                height: vote.height,
                round: vote.round,
                value: vote.value,
                validator: vote.validator,
                signature: vote.signature.to_string(),
            },
            JournalRecord::Fork(fork) | JournalRecord::ForkAcknowledged(fork) => Line::Fork {
                height: fork.ours.0.height,
                ours: fork.ours.0.hash(),
                theirs: fork.theirs.0.hash(),
                acknowledged: matches!(record, JournalRecord::ForkAcknowledged(_)),
                body: hex_of(&**fork),
            },
            JournalRecord::Evidence(piece) => Line::Evidence {
                kind: piece.kind().to_owned(),
                epoch: piece.epoch(),
                accused: piece.validator(),
                body: hex_of(&**piece),
            },
        })
    }

    /// Ends the file and gives how many records it has.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn finish(mut self) -> io::Result<usize> {
        self.out.write_all(b"\n]\n}\n")?;
        self.out.flush()?;
        Ok(self.records)
    }
}

#[cfg(test)]
mod tests;
