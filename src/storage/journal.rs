//! The vote journal: whatever this node says, on disk before it is said.
//!
//! # Place
//! The consensus shells hand staged records to [`JournalWriter::commit`] and send what comes back. The network's
//! send functions for votes take [`Durable`] values and nothing else, so a vote that is not on disk does not compile:
//!
//! ```compile_fail,E0423
//! let vote = timed::storage::Durable(7_u8);
//! ```
//!
//! ```compile_fail,E0599
//! let vote = timed::storage::Durable::<u8>::new(7);
//! ```
//!
//! # Invariants
//! - INV-STORAGE-3 of [`super`]: a [`Durable`] value exists only after the records it depends on were synced.
//! - INV-JOURNAL-1: a journal belongs to one chain and one operator key, and is never made or replaced silently. Each of
//!   its segments says when it was made and whether its key may sign at once ([`JournalOrigin`]).
//! - INV-JOURNAL-2: a segment goes only as a whole, oldest first, and only when all in it is of older epochs.
//! - INV-STORAGE-4 of [`super`]: after a failed write or sync nothing more becomes durable.
//!
//! # Concurrency
//! One owner writes. [`JournalReader`]s read bodies from any thread. [`RetiredSegments`] are removed by another one.
//!
//! # Layout
//! A frame of the segment log is what one commit wrote: records one after the other, each as length 4, CRC-32 of the
//! record 4, record. The records' own checksums let a body be read without its whole frame.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use bincode::{Decode, Encode};
use parking_lot::RwLock;

use super::disk::Disk;
use super::error::StorageError;
pub use super::record::JournalOrigin;
use super::record::{Identity, SegmentKind};
use super::retired::RetiredSegments;
use super::segment_log::{
    Position, SEGMENT_BYTES_MAX, ScanDepth, SegmentLog, SegmentReader, owner, remove_all, segment_path,
};
use crate::types::codec::{decode, encode};
use crate::types::fork::ForkProof;
use crate::types::limits::MESSAGE_BYTES_MAX;
use crate::types::{
    BlockVote, Certificate, ChainId, Epoch, Evidence, Height, Proposal, PublicKey, Transaction, TxId,
    VoteBatch,
};

/// Bytes of one frame after which a commit writes another; with one more record it stays below a payload's limit.
const FRAME_BYTES_TARGET: usize = 16 << 20;
const RECORD_HEAD_BYTES: usize = 8;

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
    /// The epoch that the record says it is of; what may outlast its epoch says none.
    fn epoch(&self) -> Option<Epoch> {
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

/// Records, and what may leave the node once they are on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged<T> {
    /// What has to be durable first.
    pub records: Vec<JournalRecord>,
    /// What depends on it.
    pub release: Vec<T>,
}

/// A value whose records are on disk. Only the journal makes it, after the sync returned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Durable<T>(T);

impl<T> Durable<T> {
    /// The value.
    pub const fn get(&self) -> &T {
        &self.0
    }

    /// The value without the proof.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// Whose a journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalIdentity {
    /// The chain that is voted on.
    pub chain_id: ChainId,
    /// The key that votes; `None` for a full node, which only keeps bodies and certificates.
    pub operator: Option<PublicKey>,
}

impl JournalIdentity {
    const fn of_segments(self, origin: JournalOrigin) -> Identity {
        let Self { chain_id, operator } = self;
        Identity { kind: SegmentKind::Votes, chain_id, operator, origin }
    }
}

/// Where the last journaled body of each transaction lies. It holds retained segments only, so it is bounded by what
/// the journal holds of the running epoch and those not yet pruned.
type Bodies = Arc<RwLock<HashMap<TxId, Position, ahash::RandomState>>>;

/// What each segment and the journal as a whole are about.
#[derive(Default)]
struct EpochTracker {
    /// The newest epoch in each segment.
    newest: BTreeMap<u64, Epoch>,
    /// The last epoch that started.
    current: Epoch,
}

impl EpochTracker {
    fn note(&mut self, sequence: u64, record: &JournalRecord) {
        if let JournalRecord::EpochStarted { epoch } = record {
            self.current = *epoch;
        }
        let epoch = record.epoch().unwrap_or(self.current).max(self.current);
        let newest = self.newest.entry(sequence).or_insert(epoch);
        *newest = (*newest).max(epoch);
    }
}

/// The journal, owned by its one writer.
pub struct JournalWriter<D: Disk> {
    log: SegmentLog<D>,
    epochs: EpochTracker,
    bodies: Bodies,
}

/// A journal that was opened.
pub struct OpenedJournal<D: Disk> {
    /// Appends to it.
    pub writer: JournalWriter<D>,
    /// Reads bodies from it.
    pub reader: JournalReader<D>,
    /// Everything that it retains, in the order in which it was written.
    pub records: Vec<JournalRecord>,
    /// How it came to be: decides from when on its key may sign.
    pub origin: JournalOrigin,
    /// The last epoch that it says has started; 0 if it says of none.
    pub epoch: Epoch,
}

/// Reads journaled bodies from any thread.
pub struct JournalReader<D: Disk> {
    reader: SegmentReader<D>,
    bodies: Bodies,
}

impl<D: Disk> Clone for JournalReader<D> {
    fn clone(&self) -> Self {
        Self { reader: self.reader.clone(), bodies: Arc::clone(&self.bodies) }
    }
}

/// Appends one record to a frame and says where in the frame its bytes lie.
fn push_record(frame: &mut Vec<u8>, bytes: &[u8]) -> (usize, u32) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    frame.extend_from_slice(bytes);
    (frame.len() - bytes.len(), length)
}

/// The records of a frame with their places in it; `None` if it is not a list of records.
fn split_records(frame: &[u8]) -> Option<Vec<(usize, JournalRecord)>> {
    let mut records = Vec::new();
    let mut rest = frame;
    while !rest.is_empty() {
        let (length, tail) = rest.split_first_chunk::<4>()?;
        let (sum, tail) = tail.split_first_chunk::<4>()?;
        let place = frame.len() - tail.len();
        let (bytes, tail) = tail.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        if crc32fast::hash(bytes) != u32::from_le_bytes(*sum) {
            return None;
        }
        records.push((place, decode(bytes).ok()?));
        rest = tail;
    }
    Some(records)
}

fn body_position(frame: Position, place: usize, length: u32) -> Position {
    let offset = frame.offset + u64::try_from(place).unwrap_or(u64::MAX);
    Position { sequence: frame.sequence, offset, length }
}

impl<D: Disk> JournalWriter<D> {
    /// Makes a journal where there is none: the operator's explicit step before a key votes for the first time.
    ///
    /// # Errors
    /// [`StorageError::JournalExists`], [`StorageError::Io`]; those of [`JournalWriter::open`] if there is a journal that
    /// is damaged or another's.
    pub fn create(
        disk: D,
        dir: &Path,
        identity: JournalIdentity,
        origin: JournalOrigin,
    ) -> Result<OpenedJournal<D>, StorageError> {
        match Self::open_sized(disk.clone(), dir, identity, SEGMENT_BYTES_MAX)? {
            Some(_) => Err(StorageError::JournalExists { path: dir.to_path_buf() }),
            None => Self::create_sized(disk, dir, (identity, origin), SEGMENT_BYTES_MAX),
        }
    }

    /// Opens a journal that exists, and cuts off what a crash left incomplete, which nothing was sent of.
    ///
    /// # Errors
    /// [`StorageError::NoJournal`], [`StorageError::WrongChain`], [`StorageError::WrongOperator`],
    /// [`StorageError::Corrupt`], [`StorageError::MissingSegment`], [`StorageError::Io`].
    pub fn open(disk: D, dir: &Path, identity: JournalIdentity) -> Result<OpenedJournal<D>, StorageError> {
        Self::open_sized(disk, dir, identity, SEGMENT_BYTES_MAX)?
            .ok_or_else(|| StorageError::NoJournal { path: dir.to_path_buf() })
    }

    /// Opens a journal or makes one, which says that nothing was signed before: for a node that signs nothing.
    ///
    /// # Errors
    /// Those of [`JournalWriter::open`] but [`StorageError::NoJournal`].
    pub fn open_or_create(
        disk: D,
        dir: &Path,
        identity: JournalIdentity,
    ) -> Result<OpenedJournal<D>, StorageError> {
        match Self::open_sized(disk.clone(), dir, identity, SEGMENT_BYTES_MAX)? {
            Some(opened) => Ok(opened),
            None => {
                let origin = JournalOrigin { created_ms: 0, forced: true };
                Self::create_sized(disk, dir, (identity, origin), SEGMENT_BYTES_MAX)
            }
        }
    }

    /// Opens a journal that exists and shows each record to `visit` in order, so that not all of them have to fit into
    /// memory; gives a reader of its bodies.
    ///
    /// # Errors
    /// Those of [`JournalWriter::open`] and of `visit`.
    pub fn scan(
        disk: D,
        dir: &Path,
        identity: JournalIdentity,
        visit: &mut dyn FnMut(JournalRecord) -> Result<(), StorageError>,
    ) -> Result<OpenedJournal<D>, StorageError> {
        Self::open_visiting(disk, dir, identity, SEGMENT_BYTES_MAX, visit)?
            .ok_or_else(|| StorageError::NoJournal { path: dir.to_path_buf() })
    }

    /// Whether the journal in a directory is that of a node without an operator key: it holds no vote, so it may make
    /// room for one of this key. False if there is none.
    ///
    /// # Errors
    /// [`StorageError::WrongChain`], [`StorageError::WrongOperator`], [`StorageError::JournalExists`] if it is one of
    /// this key; [`StorageError::Io`].
    pub fn is_keyless(disk: &D, dir: &Path, identity: JournalIdentity) -> Result<bool, StorageError> {
        let path = || dir.to_path_buf();
        match owner(disk, dir, SegmentKind::Votes)? {
            None => Ok(false),
            Some((found, _)) if found != identity.chain_id => {
                Err(StorageError::WrongChain { path: path(), expected: identity.chain_id, found })
            }
            Some((_, None)) if identity.operator.is_some() => Ok(true),
            Some((_, found)) if found == identity.operator => {
                Err(StorageError::JournalExists { path: path() })
            }
            Some((_, found)) => {
                Err(StorageError::WrongOperator { path: path(), expected: identity.operator, found })
            }
        }
    }

    /// Makes a journal as [`JournalWriter::create`] does, in the place of one without an operator key if there is one;
    /// says whether there was.
    ///
    /// # Errors
    /// Those of [`JournalWriter::is_keyless`] and [`JournalWriter::create`].
    pub fn create_over_keyless(
        disk: D,
        dir: &Path,
        identity: JournalIdentity,
        origin: JournalOrigin,
    ) -> Result<bool, StorageError> {
        let is_keyless = Self::is_keyless(&disk, dir, identity)?;
        if is_keyless {
            remove_all(&disk, dir)?;
        }
        Self::create(disk, dir, identity, origin)?;
        Ok(is_keyless)
    }

    pub(super) fn create_sized(
        disk: D,
        dir: &Path,
        (identity, origin): (JournalIdentity, JournalOrigin),
        segment_bytes_max: u64,
    ) -> Result<OpenedJournal<D>, StorageError> {
        let log = SegmentLog::create(disk, dir, identity.of_segments(origin), segment_bytes_max)?;
        Ok(Self::assemble(log, EpochTracker::default(), HashMap::default(), Vec::new()))
    }

    pub(super) fn open_sized(
        disk: D,
        dir: &Path,
        identity: JournalIdentity,
        segment_bytes_max: u64,
    ) -> Result<Option<OpenedJournal<D>>, StorageError> {
        let mut all = Vec::new();
        let mut collect = |record| {
            all.push(record);
            Ok(())
        };
        let opened = Self::open_visiting(disk, dir, identity, segment_bytes_max, &mut collect)?;
        Ok(opened.map(|opened| OpenedJournal { records: all, ..opened }))
    }

    fn open_visiting(
        disk: D,
        dir: &Path,
        identity: JournalIdentity,
        segment_bytes_max: u64,
        take: &mut dyn FnMut(JournalRecord) -> Result<(), StorageError>,
    ) -> Result<Option<OpenedJournal<D>>, StorageError> {
        let mut bodies = HashMap::default();
        let mut epochs = EpochTracker::default();
        let mut visit = |position: Position, frame: &[u8]| {
            let records = split_records(frame).ok_or_else(|| StorageError::Corrupt {
                path: segment_path(dir, position.sequence),
                offset: position.offset,
                what: "a record that cannot be decoded",
                repair: SegmentKind::Votes.repair(),
            })?;
            for (place, record) in records {
                epochs.note(position.sequence, &record);
                if let JournalRecord::Transaction(transaction) = &record {
                    let head = place.checked_sub(RECORD_HEAD_BYTES).and_then(|head| frame.get(head..));
                    let length = head.and_then(|head| head.first_chunk::<4>()).copied().unwrap_or_default();
                    let body = body_position(position, place, u32::from_le_bytes(length));
                    bodies.insert(transaction.txid(), body);
                }
                take(record)?;
            }
            Ok(())
        };
        let segments = identity.of_segments(JournalOrigin::default());
        let opened = SegmentLog::open(disk, dir, segments, segment_bytes_max, ScanDepth::Whole, &mut visit)?;
        Ok(opened.map(|log| Self::assemble(log, epochs, bodies, Vec::new())))
    }

    fn assemble(
        log: SegmentLog<D>,
        epochs: EpochTracker,
        bodies: HashMap<TxId, Position, ahash::RandomState>,
        records: Vec<JournalRecord>,
    ) -> OpenedJournal<D> {
        let bodies = Arc::new(RwLock::new(bodies));
        let reader = JournalReader { reader: log.reader(), bodies: Arc::clone(&bodies) };
        let (origin, epoch) = (log.origin(), epochs.current);
        OpenedJournal { writer: Self { log, epochs, bodies }, reader, records, origin, epoch }
    }

    /// Makes all staged records durable, with one write and one sync, and releases what depends on them, in order.
    /// (More than 16 MiB, and the start of an epoch, which begins a new segment, take further ones.)
    ///
    /// # Errors
    /// [`StorageError::RecordTooLarge`] before anything is written; after [`StorageError::Io`] every further commit
    /// fails with [`StorageError::Poisoned`], even one without records.
    pub fn commit<T>(&mut self, staged: Vec<Staged<T>>) -> Result<Vec<Durable<T>>, StorageError> {
        self.log.check_sound()?;
        let mut pending = PendingFrame::default();
        let mut frames = Vec::new();
        for record in staged.iter().flat_map(|staged| &staged.records) {
            let bytes = encode(record);
            if bytes.is_empty() || bytes.len() > MESSAGE_BYTES_MAX {
                let (bytes, limit) = (bytes.len(), MESSAGE_BYTES_MAX);
                return Err(StorageError::RecordTooLarge { bytes, limit });
            }
            let starts_epoch = matches!(record, JournalRecord::EpochStarted { .. });
            if starts_epoch || pending.bytes.len() + bytes.len() > FRAME_BYTES_TARGET {
                frames.push(std::mem::take(&mut pending));
            }
            pending.starts_segment |= starts_epoch;
            let (place, length) = push_record(&mut pending.bytes, &bytes);
            pending.records.push((place, length, record));
        }
        frames.push(pending);
        for frame in frames.into_iter().filter(|frame| !frame.records.is_empty()) {
            self.write(&frame)?;
        }
        Ok(staged.into_iter().flat_map(|staged| staged.release).map(Durable).collect())
    }

    fn write(&mut self, frame: &PendingFrame<'_>) -> Result<(), StorageError> {
        if frame.starts_segment {
            self.log.rotate()?;
        }
        let position = self.log.append(&frame.bytes)?;
        let mut bodies = self.bodies.write();
        for (place, length, record) in &frame.records {
            self.epochs.note(position.sequence, record);
            if let JournalRecord::Transaction(transaction) = record {
                bodies.insert(transaction.txid(), body_position(position, *place, *length));
            }
        }
        Ok(())
    }

    /// Forgets the oldest segments that hold nothing of `epoch` or later; their files are to be removed. To be called
    /// once the closing block of the epoch before is durable.
    pub fn prune_before(&mut self, epoch: Epoch) -> RetiredSegments<D> {
        let mut kept = self.log.first_sequence();
        while kept != self.log.active_sequence()
            && self.epochs.newest.get(&kept).copied().unwrap_or(0) < epoch
        {
            self.epochs.newest.remove(&kept);
            kept += 1;
        }
        // First the map, so that no reader is sent to a file that is gone.
        self.bodies.write().retain(|_, position| position.sequence >= kept);
        self.log.retire_before(kept)
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.log.size_bytes()
    }
}

/// What one write and one sync will bring to disk.
#[derive(Default)]
struct PendingFrame<'a> {
    bytes: Vec<u8>,
    /// Place in `bytes` and length of each record.
    records: Vec<(usize, u32, &'a JournalRecord)>,
    starts_segment: bool,
}

impl<D: Disk> JournalReader<D> {
    /// The journaled body of a transaction; `None` if there is none, or it went with an old epoch.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`], [`StorageError::Io`].
    pub fn transaction(&self, txid: &TxId) -> Result<Option<Arc<Transaction>>, StorageError> {
        let position = |bodies: &Bodies| bodies.read().get(txid).copied();
        let Some(found) = position(&self.bodies) else { return Ok(None) };
        let record_bytes = u32::try_from(RECORD_HEAD_BYTES).unwrap_or(0);
        let whole = Position {
            offset: found.offset - u64::from(record_bytes),
            length: found.length + record_bytes,
            ..found
        };
        let bytes = match self.reader.bytes(whole) {
            Ok(bytes) => bytes,
            // The segment was pruned between the look into the map and the read.
            Err(_) if position(&self.bodies) != Some(found) => return Ok(None),
            Err(error) => return Err(error),
        };
        match split_records(&bytes).and_then(|records| records.into_iter().next()) {
            Some((_, JournalRecord::Transaction(transaction))) if transaction.txid() == *txid => {
                Ok(Some(transaction))
            }
            _ => Err(self.reader.corrupt(found, "a transaction's body")),
        }
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
