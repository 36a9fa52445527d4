//! Reads a log from its first byte to its last without changing it, and says of each file what is wrong with it.
//!
//! # Place
//! `app/care/` checks a directory by this and lists what a backup copies. An open of the log cuts torn ends and stops at
//! the first damage; this goes on with the next file.
//!
//! # Invariants
//! - INV-CHECK-1: no file is written, cut, removed or synced.
//! - INV-CHECK-2: a log with a problem here is one that does not open, and the other way round; but earlier blocks, which
//!   an open checks by their heads alone, are read whole here.
//!
//! # Units
//! Sizes and offsets are in bytes. One frame is in memory at a time, 32 MiB at most.

use std::path::{Path, PathBuf};

use super::block_log::{BlockReader, LoggedBlock, Places, split_payload};
use super::disk::{Disk, DiskFile};
use super::error::StorageError;
use super::horizon::Horizon;
use super::journal::JournalIdentity;
use super::journal_record::FrameRecords;
use super::record::{FRAME_HEAD_BYTES, Identity, JournalOrigin, SegmentKind};
use super::segment_files::{segment_path, sequences};
use super::segment_log::{Position, Scan, ScanDepth, ScanProgress, corrupt, read_header};
use super::watch::Watch;
use crate::types::codec::decode;
use crate::types::{ChainId, Height};

/// A file of a log, as it was found.
#[derive(Debug)]
pub struct SegmentReport {
    /// The file.
    pub path: PathBuf,
    /// Its place in the log, from 1.
    pub sequence: u64,
    /// Its size.
    pub bytes: u64,
    /// Where the whole records end that come before any damage; 0 if there are none.
    pub whole_bytes: u64,
    /// Blocks, or frames of votes.
    pub records: u64,
    /// What is wrong with it; an incomplete end of the last file is no problem, as a crash may leave one.
    pub problem: Option<StorageError>,
}

impl SegmentReport {
    /// Bytes at its end that a crash left, and the next start cuts off.
    #[must_use]
    pub fn torn_bytes(&self) -> u64 {
        if self.problem.is_some() { 0 } else { self.bytes.saturating_sub(self.whole_bytes) }
    }
}

/// Where a block lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockPlace {
    /// The file.
    pub path: PathBuf,
    /// Its place in the log, from 1.
    pub sequence: u64,
    /// Where its record begins in the file.
    pub offset: u64,
    /// The height that the record says it is of.
    pub height: Height,
}

/// What is told of each block, in the order of the files.
pub type SeeBlock<'a> = &'a mut dyn FnMut(BlockPlace, LoggedBlock);

fn blocks_of(chain_id: ChainId) -> Identity {
    Identity { kind: SegmentKind::Blocks, chain_id, operator: None, origin: JournalOrigin::default() }
}

/// Reads all of a block log. A block that does not have the height that its place asks for is a problem of its file.
///
/// # Errors
/// [`StorageError::Io`], [`StorageError::Interrupted`]; what is wrong with a file is in its report.
pub fn check_blocks<D: Disk>(
    disk: &D,
    dir: &Path,
    chain_id: ChainId,
    see: SeeBlock<'_>,
    watch: Watch<'_>,
) -> Result<Vec<SegmentReport>, StorageError> {
    let (identity, horizon) = (blocks_of(chain_id), Horizon::read(disk, dir, &chain_id)?);
    let mut due: Option<Height> = Some(horizon.height);
    let mut visit = |position: Position, payload: &[u8], is_after_damage: bool| {
        let Position { sequence, offset, .. } = position;
        let wrong = |what| corrupt(SegmentKind::Blocks, dir, sequence, offset, what);
        let undecodable = || wrong("a block that cannot be decoded");
        let (height, committed, spent) = split_payload(payload).ok_or_else(undecodable)?;
        if !is_after_damage && due != Some(height) {
            return Err(wrong("a block of another height"));
        }
        let block = LoggedBlock {
            committed: decode(committed).map_err(|_| undecodable())?,
            spent: decode(spent).map_err(|_| undecodable())?,
        };
        if block.committed.block.header.height != height {
            return Err(wrong("a block of another height"));
        }
        due = height.checked_add(1);
        let offset = offset.saturating_sub(FRAME_HEAD_BYTES);
        see(BlockPlace { path: segment_path(dir, sequence), sequence, offset, height }, block);
        Ok(())
    };
    check(disk, dir, (&identity, Some(horizon)), &mut visit, watch)
}

/// Reads all of a block log and gives a reader of it, without opening the log for writing: an incomplete end stays as it
/// is and is no block.
///
/// # Errors
/// What is wrong with the first file that is not as it should be; [`StorageError::Io`], [`StorageError::Interrupted`].
pub fn look_at_blocks<D: Disk>(
    disk: &D,
    dir: &Path,
    chain_id: ChainId,
    watch: Watch<'_>,
) -> Result<BlockReader<D>, StorageError> {
    let (identity, horizon) = (blocks_of(chain_id), Horizon::read(disk, dir, &chain_id)?);
    let mut places = Places::from(horizon.height);
    let mut visit = |position: Position, payload: &[u8], _is_after_damage: bool| {
        match split_payload(payload) {
            Some((height, ..)) if height == places.next() => places.push(position),
            _ => {
                let Position { sequence, offset, .. } = position;
                return Err(corrupt(SegmentKind::Blocks, dir, sequence, offset, "a block of another height"));
            }
        }
        Ok(())
    };
    let reports = check(disk, dir, (&identity, Some(horizon)), &mut visit, watch)?;
    match reports.into_iter().find_map(|report| report.problem) {
        Some(problem) => Err(problem),
        None => Ok(BlockReader::over(disk.clone(), dir, places)),
    }
}

/// Reads all of a vote journal; a frame whose records can't be decoded is a problem of its file.
///
/// # Errors
/// [`StorageError::Io`], [`StorageError::Interrupted`]; what is wrong with a file is in its report.
pub fn check_journal<D: Disk>(
    disk: &D,
    dir: &Path,
    identity: JournalIdentity,
    watch: Watch<'_>,
) -> Result<Vec<SegmentReport>, StorageError> {
    let mut visit = |position: Position, frame: &[u8], _is_after_damage: bool| {
        if FrameRecords::of(frame).all(|record| record.is_some()) {
            return Ok(());
        }
        let Position { sequence, offset, .. } = position;
        Err(corrupt(SegmentKind::Votes, dir, sequence, offset, "a record that cannot be decoded"))
    };
    check(disk, dir, (&identity.of_segments(JournalOrigin::default()), None), &mut visit, watch)
}

/// Is shown each payload with its place; the flag says that the files before this first one of a file have damage, so
/// that nobody knows what is due.
type See<'a> = &'a mut dyn FnMut(Position, &[u8], bool) -> Result<(), StorageError>;

fn check<D: Disk>(
    disk: &D,
    dir: &Path,
    (identity, horizon): (&Identity, Option<Horizon>),
    see: See<'_>,
    watch: Watch<'_>,
) -> Result<Vec<SegmentReport>, StorageError> {
    let mut found = sequences(disk, dir)?;
    // Files below the horizon only wait to be removed.
    found.retain(|sequence| horizon.is_none_or(|horizon| *sequence >= horizon.sequence));
    let mut progress = ScanProgress { done: 0, total: 0, watch };
    for sequence in &found {
        progress.total += disk.open_existing(&segment_path(dir, *sequence))?.size_bytes()?;
    }
    let mut origin: Option<JournalOrigin> = None;
    let mut reports: Vec<SegmentReport> = Vec::new();
    // Blocks are all there from the horizon on; how many of the oldest votes were removed nobody says.
    let mut due = horizon.map(|horizon| horizon.sequence);
    for sequence in found.iter().copied() {
        if let Some(missing) = due.filter(|due| *due != sequence) {
            reports.push(missing_report(dir, missing, identity.kind));
        }
        due = Some(sequence + 1);
        let is_after_damage = reports.iter().any(|report| report.problem.is_some());
        let mut shown = Shown { see: &mut *see, is_after_damage, records: 0, end: 0 };
        let is_last = found.last() == Some(&sequence);
        let path = segment_path(dir, sequence);
        let file = disk.open_existing(&path)?;
        let outcome = read_header(disk, dir, identity, sequence).and_then(|header| match header {
            Some(header) if *origin.get_or_insert(header) == header => {
                // A later file, one without a header too, proves that this one was whole.
                let mut scan = Scan { kind: identity.kind, dir, sequence, sealed: !is_last };
                scan.run(&file, ScanDepth::Whole, &mut |at, payload| shown.see(at, payload), &mut progress)
            }
            // A crash while the file was made.
            None if is_last && (sequence == 1 || found.len() > 1) => Ok(0),
            _ => Err(corrupt(identity.kind, dir, sequence, 0, "the segment's header")),
        });
        let (whole_bytes, problem) = match outcome {
            Ok(end) => (end, None),
            Err(error @ (StorageError::Io { .. } | StorageError::Interrupted)) => return Err(error),
            Err(error) => (shown.end, Some(error)),
        };
        let (bytes, records) = (file.size_bytes()?, shown.records);
        reports.push(SegmentReport { path, sequence, bytes, whole_bytes, records, problem });
    }
    Ok(reports)
}

fn missing_report(dir: &Path, sequence: u64, kind: SegmentKind) -> SegmentReport {
    let path = segment_path(dir, sequence);
    let problem = Some(StorageError::MissingSegment { path: path.clone(), repair: kind.repair() });
    SegmentReport { path, sequence, bytes: 0, whole_bytes: 0, records: 0, problem }
}

struct Shown<'a> {
    see: See<'a>,
    is_after_damage: bool,
    records: u64,
    /// Where the last record ends.
    end: u64,
}

impl Shown<'_> {
    fn see(&mut self, position: Position, payload: &[u8]) -> Result<(), StorageError> {
        (self.see)(position, payload, self.is_after_damage)?;
        self.is_after_damage = false;
        self.records += 1;
        self.end = position.offset.saturating_add(u64::from(position.length));
        Ok(())
    }
}

#[cfg(test)]
#[path = "log_check_tests.rs"]
mod tests;
