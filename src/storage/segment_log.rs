//! An append-only log of frames over numbered segment files: what block log and vote journal have in common.
//!
//! # Place
//! Below `block_log.rs` and `journal.rs`, above `record.rs` and the [`Disk`].
//!
//! # Invariants
//! - INV-SEGMENT-1: an append has returned only after its frame was synced; then the next one may be written.
//! - INV-SEGMENT-2: a new segment's header and name are durable before its first frame is written, and the segment
//!   before it is whole. So only the last segment can end torn.
//! - INV-SEGMENT-3: whatever a scan at open has served was synced before, frames that a killed process left to the
//!   operating system's cache included.
//! - INV-STORAGE-4 of [`super`]: after a failed write or sync every further append fails.
//!
//! # Concurrency
//! One owner appends. [`SegmentReader`]s read what was appended from any thread by file handles of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{Disk, DiskFile};
use super::error::StorageError;
use super::record::{
    FRAME_HEAD_BYTES, FrameHead, Identity, JournalOrigin, PAYLOAD_BYTES_MAX, SEGMENT_HEADER_BYTES,
    SegmentKind, any_frame_from, frame, owner_of,
};
use super::retired::{RetiredSegments, remove_leftovers};
use super::segment_files::{segment_path, sequences};
use super::watch::{Watch, ask};
use crate::types::{ChainId, PublicKey};

/// Bytes of a segment after which the next record starts a new one.
pub const SEGMENT_BYTES_MAX: u64 = 128 << 20;
/// File handles that readers of one log keep open, at most.
const READER_HANDLES_MAX: usize = 32;

/// Where bytes of a payload lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) sequence: u64,
    /// From the file's start, in bytes.
    pub(super) offset: u64,
    /// In bytes.
    pub(super) length: u32,
}

/// How much of the payloads of earlier segments a scan reads. The last segment is always read and checked whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScanDepth {
    /// All, with their checksums.
    Whole,
    /// The first bytes; the rest is checked when it is read.
    Prefix(u32),
}

/// What a scan hands each payload, or its prefix, to.
pub(super) type Visit<'a> = &'a mut dyn FnMut(Position, &[u8]) -> Result<(), StorageError>;

pub(super) fn corrupt(
    kind: SegmentKind,
    dir: &Path,
    sequence: u64,
    offset: u64,
    what: &'static str,
) -> StorageError {
    let (path, repair) = (segment_path(dir, sequence), kind.repair());
    StorageError::Corrupt { path, offset, what, repair }
}

fn read_vec(file: &impl DiskFile, offset: u64, length: u32) -> Result<Vec<u8>, StorageError> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    file.read_at(offset, &mut bytes)?;
    Ok(bytes)
}

/// The log, owned by its one writer.
pub(super) struct SegmentLog<D: Disk> {
    disk: D,
    dir: PathBuf,
    identity: Identity,
    segment_bytes_max: u64,
    active: D::File,
    /// Bytes of each segment; the last one is active.
    sizes: BTreeMap<u64, u64>,
    active_sequence: u64,
    poisoned: bool,
    reader: SegmentReader<D>,
}

impl<D: Disk> SegmentLog<D> {
    /// Makes a log in a directory without one. An incomplete first segment, left by a crash in here, is replaced.
    pub(super) fn create(
        disk: D,
        dir: &Path,
        identity: Identity,
        segment_bytes_max: u64,
    ) -> Result<Self, StorageError> {
        disk.create_dir_all(dir)?;
        let active = create_segment(&disk, dir, &identity, 1)?;
        let sizes = BTreeMap::from([(1, SEGMENT_HEADER_BYTES)]);
        Ok(Self::assemble(disk, dir, identity, segment_bytes_max, active, sizes))
    }

    fn assemble(
        disk: D,
        dir: &Path,
        identity: Identity,
        segment_bytes_max: u64,
        active: D::File,
        sizes: BTreeMap<u64, u64>,
    ) -> Self {
        let reader = SegmentReader::new(disk.clone(), dir, identity.kind);
        let active_sequence = sizes.last_key_value().map_or(1, |(sequence, _)| *sequence);
        let dir = dir.to_path_buf();
        let poisoned = false;
        Self { disk, dir, identity, segment_bytes_max, active, sizes, active_sequence, poisoned, reader }
    }

    /// Opens a log from the segment `from` on, those before which only wait to be removed; cuts a torn tail, and shows every frame in its order; `None` if none was ever completed. `watch` is
    /// told the bytes that were gone through, and ends it after any frame.
    pub(super) fn open(
        disk: D,
        dir: &Path,
        mut identity: Identity,
        (segment_bytes_max, from): (u64, u64),
        (depth, visit): (ScanDepth, Visit<'_>),
        watch: Watch<'_>,
    ) -> Result<Option<Self>, StorageError> {
        let Segments { sequences, origin, incomplete } = complete_segments(&disk, dir, &identity, from)?;
        identity.origin = origin.unwrap_or_default();
        let Some(last) = sequences.last().copied() else { return Ok(None) };
        remove_leftovers(&disk, dir)?;
        let mut progress = ScanProgress { done: 0, total: 0, watch };
        for sequence in &sequences {
            progress.total += disk.open_existing(&segment_path(dir, *sequence))?.size_bytes()?;
        }
        let mut sizes = BTreeMap::new();
        let mut active = disk.open_existing(&segment_path(dir, last))?;
        for sequence in sequences {
            let is_last = sequence == last;
            // A crash while the next one was made: what is before it is whole.
            let sealed = !is_last || incomplete.is_some();
            let mut scan = Scan { kind: identity.kind, dir, sequence, sealed };
            let size = if is_last {
                scan.run(&active, ScanDepth::Whole, visit, &mut progress)?
            } else {
                let file = disk.open_existing(&segment_path(dir, sequence))?;
                scan.run(&file, depth, visit, &mut progress)?
            };
            sizes.insert(sequence, size);
        }
        let end = sizes.last_key_value().map_or(0, |(_, size)| *size);
        cut_tail(&mut active, dir, last, end)?;
        if let Some(sequence) = incomplete {
            disk.remove(&segment_path(dir, sequence))?;
        }
        disk.sync_dir(dir)?;
        Ok(Some(Self::assemble(disk, dir, identity, segment_bytes_max, active, sizes)))
    }

    /// Refuses if an earlier write or sync failed.
    pub(super) fn check_sound(&self) -> Result<(), StorageError> {
        if self.poisoned { Err(StorageError::Poisoned { path: self.dir.clone() }) } else { Ok(()) }
    }

    fn end(&self) -> u64 {
        self.sizes.last_key_value().map_or(0, |(_, size)| *size)
    }

    /// Writes a frame and syncs it. After an error the log takes no more, unless the payload was merely too large.
    pub(super) fn append(&mut self, payload: &[u8]) -> Result<Position, StorageError> {
        let mut positions = self.append_all(&[payload])?;
        positions.pop().ok_or_else(|| StorageError::Poisoned { path: self.dir.clone() })
    }

    /// Writes a frame for each payload, with one sync for all that go into one segment. A crash leaves the first ones of
    /// them, or none. After an error the log takes no more, unless a payload was merely too large.
    pub(super) fn append_all(
        &mut self,
        payloads: &[impl AsRef<[u8]>],
    ) -> Result<Vec<Position>, StorageError> {
        self.check_sound()?;
        if let Some(large) = payloads.iter().find(|payload| payload.as_ref().len() > PAYLOAD_BYTES_MAX) {
            let (bytes, limit) = (large.as_ref().len(), PAYLOAD_BYTES_MAX);
            return Err(StorageError::RecordTooLarge { bytes, limit });
        }
        let mut positions = Vec::with_capacity(payloads.len());
        let (mut frames, mut start) = (Vec::new(), self.end());
        for payload in payloads {
            let payload = payload.as_ref();
            let frame_bytes = FRAME_HEAD_BYTES + u64::try_from(payload.len()).unwrap_or(u64::MAX);
            if start > SEGMENT_HEADER_BYTES && start + frame_bytes > self.segment_bytes_max {
                self.write(&mut frames)?;
                self.rotate()?;
                start = self.end();
            }
            let sequence = self.active_sequence;
            frames.extend_from_slice(&frame(sequence, start, payload)?);
            let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            positions.push(Position { sequence, offset: start + FRAME_HEAD_BYTES, length });
            start += frame_bytes;
        }
        self.write(&mut frames)?;
        Ok(positions)
    }

    /// Writes frames to the active segment and syncs them.
    fn write(&mut self, frames: &mut Vec<u8>) -> Result<(), StorageError> {
        if frames.is_empty() {
            return Ok(());
        }
        self.poisoned = true;
        self.active.append(frames)?;
        self.active.sync_data()?;
        self.poisoned = false;
        let end = self.end() + u64::try_from(frames.len()).unwrap_or(u64::MAX);
        self.sizes.insert(self.active_sequence, end);
        frames.clear();
        Ok(())
    }

    /// Starts a new segment, unless the active one is empty.
    pub(super) fn rotate(&mut self) -> Result<(), StorageError> {
        self.check_sound()?;
        if self.end() == SEGMENT_HEADER_BYTES {
            return Ok(());
        }
        self.poisoned = true;
        let sequence = self.active_sequence + 1;
        self.active = create_segment(&self.disk, &self.dir, &self.identity, sequence)?;
        self.active_sequence = sequence;
        self.sizes.insert(sequence, SEGMENT_HEADER_BYTES);
        self.poisoned = false;
        Ok(())
    }

    /// Forgets the segments before this one; the active one stays. Their files are the caller's to remove.
    pub(super) fn retire_before(&mut self, sequence: u64) -> RetiredSegments<D> {
        let kept = sequence.min(self.active_sequence);
        let needed = self.sizes.split_off(&kept);
        for (retired, _) in std::mem::replace(&mut self.sizes, needed) {
            self.reader.forget(retired);
        }
        RetiredSegments::new(self.disk.clone(), self.dir.clone(), kept)
    }

    /// The oldest segment.
    pub(super) fn first_sequence(&self) -> u64 {
        self.sizes.first_key_value().map_or(self.active_sequence, |(sequence, _)| *sequence)
    }

    /// The segment that the last append went to.
    pub(super) const fn active_sequence(&self) -> u64 {
        self.active_sequence
    }

    /// The segments with their bytes, the oldest first.
    pub(super) fn sizes(&self) -> Vec<(u64, u64)> {
        self.sizes.iter().map(|(sequence, size)| (*sequence, *size)).collect()
    }

    /// How a vote journal came to be.
    pub(super) const fn origin(&self) -> JournalOrigin {
        self.identity.origin
    }

    /// Bytes of all segments.
    pub(super) fn size_bytes(&self) -> u64 {
        self.sizes.values().sum()
    }

    pub(super) fn reader(&self) -> SegmentReader<D> {
        self.reader.clone()
    }
}

/// The segments of a log that were completed.
struct Segments {
    sequences: Vec<u64>,
    origin: Option<JournalOrigin>,
    /// The one behind them that a crash left without a header: it holds nothing.
    incomplete: Option<u64>,
}

fn complete_segments<D: Disk>(
    disk: &D,
    dir: &Path,
    identity: &Identity,
    from: u64,
) -> Result<Segments, StorageError> {
    let mut sequences = sequences(disk, dir)?;
    sequences.retain(|sequence| *sequence >= from);
    for (sequence, next) in sequences.iter().zip(sequences.iter().skip(1)) {
        if sequence + 1 != *next {
            let (path, repair) = (segment_path(dir, sequence + 1), identity.kind.repair());
            return Err(StorageError::MissingSegment { path, repair });
        }
    }
    let mut incomplete = None;
    let mut origin = None;
    for (place, sequence) in sequences.iter().enumerate() {
        let damaged = || corrupt(identity.kind, dir, *sequence, 0, "the segment's header");
        match read_header(disk, dir, identity, *sequence)? {
            Some(found) if *origin.get_or_insert(found) == found => {}
            Some(_) => return Err(damaged()),
            None => {
                let is_last = place + 1 == sequences.len();
                if !is_last || (*sequence > 1 && sequences.len() == 1) {
                    return Err(damaged());
                }
                incomplete = Some(*sequence);
            }
        }
    }
    if incomplete.is_some() {
        sequences.pop();
    }
    Ok(Segments { sequences, origin, incomplete })
}

fn create_segment<D: Disk>(
    disk: &D,
    dir: &Path,
    identity: &Identity,
    sequence: u64,
) -> Result<D::File, StorageError> {
    let mut file = disk.open(&segment_path(dir, sequence))?;
    if file.size_bytes()? > 0 {
        file.truncate(0)?;
    }
    file.append(&identity.segment_header(sequence))?;
    file.sync_data()?;
    disk.sync_dir(dir)?;
    Ok(file)
}

fn header_bytes<D: Disk>(file: &D::File) -> Result<Option<Vec<u8>>, StorageError> {
    if file.size_bytes()? < SEGMENT_HEADER_BYTES {
        return Ok(None);
    }
    read_vec(file, 0, u32::try_from(SEGMENT_HEADER_BYTES).unwrap_or(u32::MAX)).map(Some)
}

/// The origin that the segment's header names, which is whole and ours; `None` if it is not whole, when there must be
/// no frame behind it either.
pub(super) fn read_header<D: Disk>(
    disk: &D,
    dir: &Path,
    identity: &Identity,
    sequence: u64,
) -> Result<Option<JournalOrigin>, StorageError> {
    let path = segment_path(dir, sequence);
    let file = disk.open_existing(&path)?;
    if let Some(header) = header_bytes::<D>(&file)?
        && let Some(origin) = identity.check_header(&path, sequence, &header)?
    {
        return Ok(Some(origin));
    }
    if any_frame_from(&file, sequence, 0, file.size_bytes()?)? {
        return Err(corrupt(identity.kind, dir, sequence, 0, "the segment's header"));
    }
    Ok(None)
}

/// Whose the log in a directory is: chain and operator key of its first segment; `None` if there is none, or its header
/// tells nothing.
pub(super) fn owner<D: Disk>(
    disk: &D,
    dir: &Path,
    kind: SegmentKind,
) -> Result<Option<(ChainId, Option<PublicKey>)>, StorageError> {
    let Some(first) = sequences(disk, dir)?.first().copied() else { return Ok(None) };
    let file = disk.open_existing(&segment_path(dir, first))?;
    Ok(header_bytes::<D>(&file)?.and_then(|header| owner_of(kind, &header)))
}

/// Removes every segment of the log in a directory.
pub(super) fn remove_all<D: Disk>(disk: &D, dir: &Path) -> Result<(), StorageError> {
    for sequence in sequences(disk, dir)? {
        disk.remove(&segment_path(dir, sequence))?;
    }
    disk.sync_dir(dir)
}

/// Cuts what is behind the last good frame, and makes sure that all before is on disk and not only in a cache.
fn cut_tail(file: &mut impl DiskFile, dir: &Path, sequence: u64, end: u64) -> Result<(), StorageError> {
    let size = file.size_bytes()?;
    if size > end {
        let path = segment_path(dir, sequence);
        let bytes = size - end;
        tracing::warn!(path = %path.display(), bytes, "Cutting off an incomplete record at the log's end");
        file.truncate(end)?;
    }
    file.sync_data()
}

/// Goes through the frames of one segment, which it leaves as it is.
pub(super) struct Scan<'a> {
    pub(super) kind: SegmentKind,
    pub(super) dir: &'a Path,
    pub(super) sequence: u64,
    /// Whether a later segment proves that this one was whole.
    pub(super) sealed: bool,
}

enum Frame {
    Good(FrameHead, Vec<u8>),
    /// What is bad, and where a later frame could start.
    Bad(&'static str, u64),
}

/// How far the scan of a log is, in bytes.
pub(super) struct ScanProgress<'a> {
    pub(super) done: u64,
    pub(super) total: u64,
    pub(super) watch: Watch<'a>,
}

impl Scan<'_> {
    /// Shows the frames and returns where the good ones end.
    pub(super) fn run(
        &mut self,
        file: &impl DiskFile,
        depth: ScanDepth,
        visit: Visit<'_>,
        progress: &mut ScanProgress<'_>,
    ) -> Result<u64, StorageError> {
        let end = file.size_bytes()?;
        let mut offset = SEGMENT_HEADER_BYTES;
        while offset < end {
            match self.frame_at(file, offset, end, depth)? {
                Frame::Good(head, payload) => {
                    let start = offset + FRAME_HEAD_BYTES;
                    let position = Position { sequence: self.sequence, offset: start, length: head.length };
                    visit(position, &payload)?;
                    offset += head.frame_bytes();
                    progress.done += head.frame_bytes();
                    ask(progress.watch, progress.done, progress.total)?;
                }
                Frame::Bad(what, next) => {
                    if self.sealed || any_frame_from(file, self.sequence, next, end)? {
                        return Err(corrupt(self.kind, self.dir, self.sequence, offset, what));
                    }
                    return Ok(offset);
                }
            }
        }
        Ok(end)
    }

    fn frame_at(
        &self,
        file: &impl DiskFile,
        offset: u64,
        end: u64,
        depth: ScanDepth,
    ) -> Result<Frame, StorageError> {
        if offset + FRAME_HEAD_BYTES > end {
            return Ok(Frame::Bad("an incomplete record", end));
        }
        let mut head = [0; 16];
        file.read_at(offset, &mut head)?;
        let Some(head) = FrameHead::of(self.sequence, offset, &head) else {
            return Ok(Frame::Bad("a record's head", offset + 1));
        };
        let next = offset + head.frame_bytes();
        if next > end {
            return Ok(Frame::Bad("an incomplete record", end));
        }
        let start = offset + FRAME_HEAD_BYTES;
        let payload = match depth {
            ScanDepth::Whole => read_vec(file, start, head.length)?,
            ScanDepth::Prefix(length) => read_vec(file, start, head.length.min(length))?,
        };
        if depth == ScanDepth::Whole && !head.holds(&payload) {
            return Ok(Frame::Bad("a record's checksum", next));
        }
        Ok(Frame::Good(head, payload))
    }
}

struct ReaderState<D: Disk> {
    disk: D,
    dir: PathBuf,
    kind: SegmentKind,
    handles: Mutex<BTreeMap<u64, Arc<D::File>>>,
}

/// Reads payloads at positions that the log gave out.
pub(super) struct SegmentReader<D: Disk>(Arc<ReaderState<D>>);

impl<D: Disk> Clone for SegmentReader<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Disk> SegmentReader<D> {
    pub(super) fn new(disk: D, dir: &Path, kind: SegmentKind) -> Self {
        let handles = Mutex::new(BTreeMap::new());
        Self(Arc::new(ReaderState { disk, dir: dir.to_path_buf(), kind, handles }))
    }

    fn handle(&self, sequence: u64) -> Result<Arc<D::File>, StorageError> {
        let state = &*self.0;
        if let Some(file) = state.handles.lock().get(&sequence) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(state.disk.open_existing(&segment_path(&state.dir, sequence))?);
        let mut handles = state.handles.lock();
        if handles.len() >= READER_HANDLES_MAX {
            handles.pop_first();
        }
        handles.insert(sequence, Arc::clone(&file));
        Ok(file)
    }

    fn forget(&self, sequence: u64) {
        self.0.handles.lock().remove(&sequence);
    }

    /// A whole payload, checked.
    pub(super) fn payload(&self, position: Position) -> Result<Vec<u8>, StorageError> {
        let file = self.handle(position.sequence)?;
        let frame_start = position.offset - FRAME_HEAD_BYTES;
        let mut head = [0; 16];
        file.read_at(frame_start, &mut head)?;
        let head = FrameHead::of(position.sequence, frame_start, &head)
            .filter(|head| head.length == position.length)
            .ok_or_else(|| self.corrupt(position, "a record's head"))?;
        let payload = read_vec(&*file, position.offset, position.length)?;
        if !head.holds(&payload) {
            return Err(self.corrupt(position, "a record's checksum"));
        }
        Ok(payload)
    }

    /// Bytes within a payload, unchecked.
    pub(super) fn bytes(&self, position: Position) -> Result<Vec<u8>, StorageError> {
        read_vec(&*self.handle(position.sequence)?, position.offset, position.length)
    }

    /// The error for what was read at a position.
    pub(super) fn corrupt(&self, position: Position, what: &'static str) -> StorageError {
        corrupt(self.0.kind, &self.0.dir, position.sequence, position.offset, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::memory_disk::MemoryDisk;

    /// File handles are few in a process; which file was closed nobody notices.
    #[test]
    fn readers_keep_so_many_files_open_and_read_all() {
        let origin = JournalOrigin::default();
        let identity = Identity { kind: SegmentKind::Votes, chain_id: ChainId::ZERO, operator: None, origin };
        let dir = Path::new("log");
        let mut log = SegmentLog::create(MemoryDisk::new(), dir, identity, SEGMENT_BYTES_MAX).unwrap();
        let reader = log.reader();
        let mut positions = Vec::new();
        for number in 0..=READER_HANDLES_MAX as u64 {
            positions.push((log.append(&number.to_le_bytes()).unwrap(), number));
            log.rotate().unwrap();
        }
        for (read, (position, number)) in positions.iter().enumerate() {
            assert_eq!(reader.payload(*position).unwrap(), number.to_le_bytes());
            assert_eq!(reader.0.handles.lock().len(), (read + 1).min(READER_HANDLES_MAX));
        }
        let (first, number) = positions[0];
        assert_eq!(reader.payload(first).unwrap(), number.to_le_bytes(), "it is opened again");
        assert_eq!(reader.0.handles.lock().len(), READER_HANDLES_MAX);
    }

    /// Else the file system would never get back what is removed.
    #[test]
    fn no_file_is_kept_open_whose_segment_was_retired() {
        let origin = JournalOrigin::default();
        let identity = Identity { kind: SegmentKind::Votes, chain_id: ChainId::ZERO, operator: None, origin };
        let dir = Path::new("log");
        let mut log = SegmentLog::create(MemoryDisk::new(), dir, identity, SEGMENT_BYTES_MAX).unwrap();
        let reader = log.reader();
        for number in 0..4_u64 {
            let position = log.append(&number.to_le_bytes()).unwrap();
            reader.payload(position).unwrap();
            log.rotate().unwrap();
        }
        log.retire_before(3).remove(&mut || true).unwrap();
        assert_eq!(reader.0.handles.lock().keys().copied().collect::<Vec<_>>(), [3, 4]);
    }
}
