//! Reading a file of votes.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::sync::Arc;

use bincode::Decode;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

use super::{
    FORMAT, KindName, Line, RecordProblem, StepName, VERSION, VoteFileError, VoteFileHead, VoteLine,
    kind_name, names,
};
use crate::storage::{JournalOrigin, JournalRecord};
use crate::types::codec::decode;
use crate::types::fork::ForkProof;
use crate::types::{
    BatchHeader, BlockVote, Certificate, ChainId, Epoch, Evidence, FinalityVote, Proposal, PublicKey,
    Signature, SignatureCheck, TimeMs, Transaction, TxId, VoteBatch, VoteKind, VoteStep,
};

/// What the reader hands on: the head once, before all records.
pub trait VoteFileSink {
    /// The head of the file.
    ///
    /// # Errors
    /// Ends the reading.
    fn head(&mut self, head: &VoteFileHead) -> Result<(), VoteFileError>;

    /// The next record.
    ///
    /// # Errors
    /// Ends the reading.
    fn record(&mut self, record: JournalRecord) -> Result<(), VoteFileError>;
}

/// Reads a file of votes, record by record, and gives how many there were.
///
/// # Errors
/// See [`VoteFileError`]; those of the sink.
pub fn read_vote_file(input: impl Read, sink: &mut dyn VoteFileSink) -> Result<usize, VoteFileError> {
    let mut reader = Reader { sink, inputs: BTreeMap::new(), records: 0, failure: None };
    let mut json = serde_json::Deserializer::from_reader(input);
    let read = FileSeed(&mut reader).deserialize(&mut json).and_then(|()| json.end());
    match (reader.failure, read) {
        // What the JSON error says of it is less.
        (Some(failure), _) => Err(failure),
        (None, read) => {
            read?;
            Ok(reader.records)
        }
    }
}

struct Reader<'a> {
    sink: &'a mut dyn VoteFileSink,
    /// Of each body that was read, a hash of its inputs.
    inputs: BTreeMap<TxId, [u8; 32]>,
    records: usize,
    failure: Option<VoteFileError>,
}

fn inputs_hash(names: &[String]) -> [u8; 32] {
    *blake3::hash(names.join(",").as_bytes()).as_bytes()
}

fn parse<T: Decode<()>>(text: &str, what: &'static str) -> Result<T, RecordProblem> {
    let bytes = hex::decode(text).ok().and_then(|bytes| decode(&bytes).ok());
    bytes.ok_or(RecordProblem::Encoding { what })
}

fn signature(text: &str) -> Result<Signature, RecordProblem> {
    let mut bytes = [0; 64];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| RecordProblem::Encoding { what: "the signature" })?;
    Ok(Signature(bytes))
}

const fn ensure(holds: bool, what: &'static str) -> Result<(), RecordProblem> {
    if holds { Ok(()) } else { Err(RecordProblem::Contradiction { what }) }
}

fn ensure_signed(check: SignatureCheck) -> Result<(), RecordProblem> {
    if check.holds() { Ok(()) } else { Err(RecordProblem::BadSignature) }
}

impl Reader<'_> {
    /// The record that a line stands for.
    fn record(&mut self, head: &VoteFileHead, line: Line) -> Result<JournalRecord, RecordProblem> {
        Ok(match line {
            Line::EpochStarted { epoch } => JournalRecord::EpochStarted { epoch },
            Line::ClosingEntered { epoch, height } => JournalRecord::ClosingEntered { epoch, height },
            Line::Transaction { txid, inputs, body } => {
                let transaction: Transaction = parse(&body, "the body")?;
                ensure(transaction.txid() == txid, "the txid")?;
                ensure(names(&transaction.inputs) == inputs, "the list of inputs")?;
                self.inputs.insert(txid, inputs_hash(&inputs));
                JournalRecord::Transaction(Arc::new(transaction))
            }
            Line::OwnBatch { epoch, validator, seq, votes, votes_root, signature: text } => {
                let count = u32::try_from(votes.len());
                let count = count.map_err(|_| RecordProblem::Encoding { what: "the list of votes" })?;
                let signature = signature(&text)?;
                let header = BatchHeader { epoch, validator, seq, count, votes_root, signature };
                let votes = votes.into_iter().map(|vote| self.vote(head, epoch, vote));
                let batch = VoteBatch { header, votes: votes.collect::<Result<_, _>>()? };
                ensure(batch.is_bound_by_header(), "the list of votes")?;
                ensure_signed(batch.header.signature_check(&head.chain_id, head.operator_key))?;
                JournalRecord::OwnBatch(Arc::new(batch))
            }
            Line::PeerBatch { epoch, validator, seq, body } => {
                let batch: VoteBatch = parse(&body, "the body")?;
                let named = (batch.header.epoch, batch.header.validator, batch.header.seq);
                ensure(named == (epoch, validator, seq), "the name of the batch")?;
                JournalRecord::PeerBatch(Arc::new(batch))
            }
            Line::Fork { height, ours, theirs, acknowledged, body } => {
                let fork: ForkProof = parse(&body, "the body")?;
                let named = (fork.ours.0.height, fork.ours.0.hash(), fork.theirs.0.hash());
                ensure(named == (height, ours, theirs), "the name of the fork")?;
                let record = if acknowledged { JournalRecord::ForkAcknowledged } else { JournalRecord::Fork };
                record(Arc::new(fork))
            }
            Line::Evidence { kind, epoch, accused, body } => {
                let piece: Evidence = parse(&body, "the body")?;
                let named = piece.kind() == kind && (piece.epoch(), piece.validator()) == (epoch, accused);
                ensure(named, "the name of the evidence")?;
                JournalRecord::Evidence(Arc::new(piece))
            }
            Line::Certificate { epoch, kind, txid, body } => {
                let certificate: Certificate = parse(&body, "the body")?;
                let vote = certificate.vote;
                let named = certificate.epoch == epoch && kind_name(vote.kind) == kind && vote.txid == txid;
                ensure(named, "the name of the certificate")?;
                JournalRecord::Certificate(Arc::new(certificate))
            }
            Line::Proposal { own, epoch, height, round, validator, block_hash, signature: text, body } => {
                let proposal: Proposal = parse(&body, "the body")?;
                let header = &proposal.block.header;
                ensure((header.epoch, header.height, proposal.round) == (epoch, height, round), "the place")?;
                ensure(proposal.validator == validator && header.hash() == block_hash, "the proposal")?;
                ensure(proposal.signature == signature(&text)?, "the signature")?;
                if own {
                    ensure_signed(proposal.signature_check(head.operator_key))?;
                }
                JournalRecord::Proposal(Arc::new(proposal))
            }
            Line::BlockVote { own, step, epoch, height, round, value, validator, signature: text } => {
                let step = match step {
                    StepName::Prevote => VoteStep::Prevote,
                    StepName::Precommit => VoteStep::Precommit,
                };
                let signature = signature(&text)?;
                let vote = BlockVote { step, epoch, height, round, value, validator, signature };
                if own {
                    ensure_signed(vote.signature_check(&head.chain_id, head.operator_key))?;
                }
                JournalRecord::BlockVote(Arc::new(vote))
            }
        })
    }

    fn vote(&self, head: &VoteFileHead, epoch: Epoch, line: VoteLine) -> Result<FinalityVote, RecordProblem> {
        let VoteLine { kind, txid, inputs } = line;
        match (self.inputs.get(&txid), inputs) {
            (Some(known), Some(inputs)) => {
                ensure(*known == inputs_hash(&inputs), "the inputs of a vote")?;
            }
            // INV-VOTEFILE-3
            _ if kind == KindName::Lock && epoch >= head.epoch => {
                return Err(RecordProblem::NoBody { txid });
            }
            _ => {}
        }
        let kind = match kind {
            KindName::Lock => VoteKind::Lock,
            KindName::Final => VoteKind::Final,
        };
        Ok(FinalityVote { kind, txid })
    }

    fn take<E: serde::de::Error>(&mut self, head: &VoteFileHead, line: Line) -> Result<(), E> {
        let index = self.records;
        self.records = index.saturating_add(1);
        let record = self.record(head, line).map_err(|problem| VoteFileError::Record { index, problem });
        record.and_then(|record| self.sink.record(record)).map_err(|failure| self.fail(failure))
    }

    /// Keeps an error and gives one that ends the JSON's reading.
    fn fail<E: serde::de::Error>(&mut self, failure: VoteFileError) -> E {
        self.failure = Some(failure);
        E::custom("reading ended")
    }
}

/// The fields of the head as they come.
#[derive(Default)]
struct PartialHead {
    format: Option<String>,
    version: Option<u32>,
    chain_id: Option<ChainId>,
    operator_key: Option<PublicKey>,
    created_ms: Option<TimeMs>,
    forced: Option<bool>,
    epoch: Option<Epoch>,
    moved: Option<bool>,
}

impl PartialHead {
    fn complete<E: serde::de::Error>(self) -> Result<VoteFileHead, E> {
        let missing = |field| move || E::missing_field(field);
        Ok(VoteFileHead {
            chain_id: self.chain_id.ok_or_else(missing("chain_id"))?,
            operator_key: self.operator_key.ok_or_else(missing("operator_key"))?,
            origin: JournalOrigin {
                created_ms: self.created_ms.ok_or_else(missing("created_ms"))?,
                forced: self.forced.ok_or_else(missing("forced"))?,
            },
            epoch: self.epoch.ok_or_else(missing("epoch"))?,
            // Earlier versions did not take journals away.
            moved: self.moved.unwrap_or(false),
        })
    }
}

struct FileSeed<'a, 'b>(&'a mut Reader<'b>);

impl<'de> DeserializeSeed<'de> for FileSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FileSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a head and records")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(reader) = self;
        let mut head = PartialHead::default();
        let mut records_came = false;
        while let Some(key) = map.next_key::<String>()? {
            if records_came {
                return Err(A::Error::custom("nothing comes after the records"));
            }
            match key.as_str() {
                "format" => head.format = Some(map.next_value()?),
                "version" => head.version = Some(map.next_value()?),
                "chain_id" => head.chain_id = Some(map.next_value()?),
                "operator_key" => head.operator_key = Some(map.next_value()?),
                "created_ms" => head.created_ms = Some(map.next_value()?),
                "forced" => head.forced = Some(map.next_value()?),
                "epoch" => head.epoch = Some(map.next_value()?),
                "moved" => head.moved = Some(map.next_value()?),
                "records" => {
                    let (format, version) =
                        (head.format.take().unwrap_or_default(), head.version.unwrap_or(0));
                    if format != FORMAT || version != VERSION {
                        return Err(reader.fail(VoteFileError::UnknownFormat { format, version }));
                    }
                    let head = std::mem::take(&mut head).complete()?;
                    reader.sink.head(&head).map_err(|failure| reader.fail(failure))?;
                    map.next_value_seed(RecordsSeed { reader: &mut *reader, head })?;
                    records_came = true;
                }
                other => return Err(A::Error::unknown_field(other, &["format", "version", "records"])),
            }
        }
        if records_came { Ok(()) } else { Err(A::Error::missing_field("records")) }
    }
}

struct RecordsSeed<'a, 'b> {
    reader: &'a mut Reader<'b>,
    head: VoteFileHead,
}

impl<'de> DeserializeSeed<'de> for RecordsSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for RecordsSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<(), A::Error> {
        let Self { reader, head } = self;
        while let Some(line) = records.next_element::<Line>()? {
            reader.take(&head, line)?;
        }
        Ok(())
    }
}
