//! The vote journal: whatever this node says, on disk before it is said.
//!
//! # Place
//! The consensus shells hand staged records to [`JournalWriter::commit`] and send what comes back. Only a [`Durable`] own
//! message becomes a [`Message`], which is all that the network sends; so to send a vote that is not on disk does not
//! compile:
//!
//! ```compile_fail,E0423
//! let vote = timed::storage::Durable(7_u8);
//! ```
//!
//! ```compile_fail,E0599
//! let vote = timed::storage::Durable::<u8>::new(7);
//! ```
//!
//! ```compile_fail,E0277
//! use timed::types::{Message, OwnMessage};
//! fn send(own: OwnMessage) -> Message {
//!     Message::from(own)
//! }
//! ```
//!
//! ```
//! use timed::storage::Durable;
//! use timed::types::{Message, OwnMessage};
//! fn send(own: Durable<OwnMessage>) -> Message {
//!     Message::from(own)
//! }
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
//! One owner writes. [`JournalReader`]s read records from any thread. [`RetiredSegments`] are removed by another one.
//!
//! # Units
//! Opening holds one frame and one record of it at a time, 32 MiB and 12 MiB at most, beside [`JournalContents`] and the
//! places of bodies, whose sizes go with the number of records that the journal retains. A commit holds the encoding of
//! what it writes: 28 MiB a frame at most.

use std::collections::BTreeMap;
use std::path::Path;

use super::disk::Disk;
use super::error::StorageError;
use super::journal_contents::{JournalContents, RecordPlace};
use super::journal_reader::Bodies;
pub use super::journal_reader::JournalReader;
pub use super::journal_record::JournalRecord;
use super::journal_record::{FrameRecords, InFrame, push_record};
pub use super::record::JournalOrigin;
use super::record::{Identity, SegmentKind};
use super::retired::RetiredSegments;
use super::segment_files::segment_path;
use super::segment_log::{Position, SEGMENT_BYTES_MAX, ScanDepth, SegmentLog, Visit, owner, remove_all};
use super::watch::Watch;
use crate::types::codec::encode;
use crate::types::limits::MESSAGE_BYTES_MAX;
use crate::types::{ChainId, Epoch, Message, OwnMessage, PublicKey, Released};

/// Bytes of one frame after which a commit writes another; with one more record it stays below a payload's limit.
const FRAME_BYTES_TARGET: usize = 16 << 20;

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

impl From<Durable<OwnMessage>> for Message {
    fn from(durable: Durable<OwnMessage>) -> Self {
        match durable.0 {
            OwnMessage::VoteBatch(batch) => Self::VoteBatch(Released::of_durable(batch)),
            OwnMessage::Proposal(proposal) => Self::Proposal(Released::of_durable(proposal)),
            OwnMessage::BlockVote(vote) => Self::BlockVote(Released::of_durable(vote)),
            OwnMessage::Heartbeat(heartbeat) => Self::Heartbeat(Released::of_durable(heartbeat)),
        }
    }
}

impl<D: Disk> JournalReader<D> {
    /// The signed message of a record that the journal holds, to be counted and sent again; `None` for a record of
    /// another kind.
    ///
    /// # Errors
    /// Those of [`JournalReader::record`].
    pub fn message(&self, place: RecordPlace) -> Result<Option<Message>, StorageError> {
        Ok(match self.record(place)? {
            JournalRecord::OwnBatch(batch) | JournalRecord::PeerBatch(batch) => {
                Some(Message::VoteBatch(Released::of_durable(batch)))
            }
            JournalRecord::Certificate(certificate) => {
                Some(Message::Certificates(vec![Released::of_durable(certificate)]))
            }
            JournalRecord::Proposal(proposal) => Some(Message::Proposal(Released::of_durable(proposal))),
            JournalRecord::BlockVote(vote) => Some(Message::BlockVote(Released::of_durable(vote))),
            JournalRecord::Transaction(_)
            | JournalRecord::ClosingEntered { .. }
            | JournalRecord::EpochStarted { .. }
            | JournalRecord::Fork(_)
            | JournalRecord::ForkAcknowledged(_)
            | JournalRecord::Evidence(_) => None,
        })
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
    pub(super) const fn of_segments(self, origin: JournalOrigin) -> Identity {
        let Self { chain_id, operator } = self;
        Identity { kind: SegmentKind::Votes, chain_id, operator, origin }
    }
}

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
    /// Reads records from it.
    pub reader: JournalReader<D>,
    /// What it retains, and where.
    pub contents: JournalContents,
    /// How it came to be: decides from when on its key may sign.
    pub origin: JournalOrigin,
    /// The last epoch that it says has started; 0 if it says of none.
    pub epoch: Epoch,
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
        Self::open_watched(disk, dir, identity, &mut |_, _| true)
    }

    /// The same; `watch` is told the bytes that were gone through, and may end it between frames.
    ///
    /// # Errors
    /// Those of [`JournalWriter::open`], [`StorageError::Interrupted`].
    pub fn open_watched(
        disk: D,
        dir: &Path,
        identity: JournalIdentity,
        watch: Watch<'_>,
    ) -> Result<OpenedJournal<D>, StorageError> {
        Self::open_visiting(disk, dir, identity, SEGMENT_BYTES_MAX, &mut |_| Ok(()), watch)?
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
        Self::open_or_create_watched(disk, dir, identity, &mut |_, _| true)
    }

    /// The same; `watch` is told the bytes that were gone through, and may end it between frames.
    ///
    /// # Errors
    /// Those of [`JournalWriter::open_or_create`], [`StorageError::Interrupted`].
    pub fn open_or_create_watched(
        disk: D,
        dir: &Path,
        identity: JournalIdentity,
        watch: Watch<'_>,
    ) -> Result<OpenedJournal<D>, StorageError> {
        match Self::open_watched(disk.clone(), dir, identity, watch) {
            Err(StorageError::NoJournal { .. }) => {
                let origin = JournalOrigin { created_ms: 0, forced: true };
                Self::create_sized(disk, dir, (identity, origin), SEGMENT_BYTES_MAX)
            }
            outcome => outcome,
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
        Self::open_visiting(disk, dir, identity, SEGMENT_BYTES_MAX, visit, &mut |_, _| true)?
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
        Ok(Self::assemble(log, EpochTracker::default(), Bodies::default(), JournalContents::default()))
    }

    pub(super) fn open_sized(
        disk: D,
        dir: &Path,
        identity: JournalIdentity,
        segment_bytes_max: u64,
    ) -> Result<Option<OpenedJournal<D>>, StorageError> {
        Self::open_visiting(disk, dir, identity, segment_bytes_max, &mut |_| Ok(()), &mut |_, _| true)
    }

    pub(super) fn open_visiting(
        disk: D,
        dir: &Path,
        identity: JournalIdentity,
        segment_bytes_max: u64,
        take: &mut dyn FnMut(JournalRecord) -> Result<(), StorageError>,
        watch: Watch<'_>,
    ) -> Result<Option<OpenedJournal<D>>, StorageError> {
        let (bodies, mut contents) = (Bodies::default(), JournalContents::default());
        let mut epochs = EpochTracker::default();
        let mut visit = |position: Position, frame: &[u8]| {
            for found in FrameRecords::of(frame) {
                let (place, record) = found.ok_or_else(|| StorageError::Corrupt {
                    path: segment_path(dir, position.sequence),
                    offset: position.offset,
                    what: "a record that cannot be decoded",
                    repair: SegmentKind::Votes.repair(),
                })?;
                let place = RecordPlace::of(position, place);
                epochs.note(position.sequence, &record);
                bodies.note(&record, place);
                contents.note(&record, place);
                take(record)?;
            }
            Ok(())
        };
        let scan: (ScanDepth, Visit<'_>) = (ScanDepth::Whole, &mut visit);
        let segments = identity.of_segments(JournalOrigin::default());
        let opened = SegmentLog::open(disk, dir, segments, (segment_bytes_max, 0), scan, watch)?;
        Ok(opened.map(|log| Self::assemble(log, epochs, bodies, contents)))
    }

    fn assemble(
        log: SegmentLog<D>,
        epochs: EpochTracker,
        bodies: Bodies,
        contents: JournalContents,
    ) -> OpenedJournal<D> {
        let reader = JournalReader::new(log.reader(), bodies.clone());
        let (origin, epoch) = (log.origin(), epochs.current);
        OpenedJournal { writer: Self { log, epochs, bodies }, reader, contents, origin, epoch }
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
            let place = push_record(&mut pending.bytes, &bytes);
            pending.records.push((place, record));
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
        for (place, record) in &frame.records {
            self.epochs.note(position.sequence, record);
            self.bodies.note(record, RecordPlace::of(position, *place));
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
        self.bodies.retain_from(kept);
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
    /// Where in `bytes` each record lies.
    records: Vec<(InFrame, &'a JournalRecord)>,
    starts_segment: bool,
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
