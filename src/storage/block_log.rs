//! The block log: every committed block with what it spent, in the order of heights. It is the chain's truth.
//!
//! # Place
//! `consensus/block_commit.rs` appends; RPC, sync and replay read through a [`BlockReader`]. The index is made of it.
//!
//! # Invariants
//! - INV-BLOCKS-1: blocks follow each other without a gap, from the log's horizon on, which is block 1 unless earlier ones
//!   were pruned or never fetched; the log belongs to one chain.
//! - INV-BLOCKS-2: a [`DurableBlock`] exists only after its record was synced.
//! - INV-STORAGE-2 of [`super`]: each read checks the checksum.
//!
//! # Concurrency
//! One owner appends; readers see a block once it is durable.
//!
//! # Layout
//! A record's payload is: height 8, length of the committed block 4, the committed block, a list of the spent entries
//! (two parts, since together they may exceed the limit of one object). At open all blocks of the last segment are
//! checked whole, earlier ones by their heads and heights, and whole whenever they are read.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use super::disk::Disk;
use super::error::StorageError;
use super::horizon::Horizon;
use super::record::{Identity, JournalOrigin, SegmentKind};
use super::retired::RetiredSegments;
use super::segment_files::segment_path;
use super::segment_log::{Position, SEGMENT_BYTES_MAX, ScanDepth, SegmentLog, SegmentReader, Visit, owner};
use super::watch::Watch;
use crate::types::codec::{decode, decode_first, encode};
use crate::types::{BlockHash, ChainId, Commit, CommittedBlock, Header, Height, Released, TimeMs, UtxoEntry};

/// A committed block and the entries of the state before it that it spends, in the order of transactions and their
/// inputs; inputs that the block itself made have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedBlock {
    /// The block with its commit.
    pub committed: CommittedBlock,
    /// At most one entry for each input.
    pub spent: Vec<UtxoEntry>,
}

/// Which of the oldest blocks a log may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PruneRule {
    /// What all files may take, in bytes.
    pub bytes_max: Option<u64>,
    /// Blocks before this time are too old.
    pub before: Option<TimeMs>,
    /// Blocks from this height on stay, whatever they take.
    pub keep_from: Height,
}

/// Names a block that the log has on disk. Only the log makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurableBlock {
    height: Height,
    hash: BlockHash,
}

impl DurableBlock {
    /// The block's height.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }

    /// The block's hash.
    #[must_use]
    pub const fn hash(&self) -> BlockHash {
        self.hash
    }

    /// The block that it names, which may be sent now; `None` for another one.
    #[must_use]
    pub fn release(self, committed: CommittedBlock) -> Option<Released<CommittedBlock>> {
        let is_named = committed.block.header.hash() == self.hash;
        is_named.then(|| Released::of_durable(Arc::new(committed)))
    }
}

/// Where each block lies.
pub(super) struct Places {
    /// The height of the first one, or of the next block if there is none.
    first: Height,
    positions: VecDeque<Position>,
}

impl Places {
    /// Those of blocks from this height on.
    pub(super) const fn from(first: Height) -> Self {
        Self { first, positions: VecDeque::new() }
    }

    pub(super) fn push(&mut self, position: Position) {
        self.positions.push_back(position);
    }

    /// The height of the block behind the last one.
    pub(super) fn next(&self) -> Height {
        self.first.saturating_add(u64::try_from(self.positions.len()).unwrap_or(u64::MAX))
    }

    fn get(&self, height: Height) -> Option<Position> {
        let place = usize::try_from(height.checked_sub(self.first)?).ok()?;
        self.positions.get(place).copied()
    }

    /// Forgets the blocks in files before this one.
    fn forget_before(&mut self, sequence: u64) {
        while self.positions.front().is_some_and(|position| position.sequence < sequence) {
            self.positions.pop_front();
            self.first = self.first.saturating_add(1);
        }
    }
}

type Positions = Arc<RwLock<Places>>;

/// The log, owned by its one writer.
pub struct BlockLog<D: Disk> {
    disk: D,
    dir: PathBuf,
    log: SegmentLog<D>,
    chain_id: ChainId,
    positions: Positions,
    reader: BlockReader<D>,
}

/// Reads blocks from any thread. Clones share their file handles.
pub struct BlockReader<D: Disk> {
    reader: SegmentReader<D>,
    positions: Positions,
}

impl<D: Disk> Clone for BlockReader<D> {
    fn clone(&self) -> Self {
        Self { reader: self.reader.clone(), positions: Arc::clone(&self.positions) }
    }
}

fn height_of(positions: &Positions) -> Height {
    positions.read().next().saturating_sub(1)
}

fn encode_payload(block: &LoggedBlock) -> Vec<u8> {
    let committed = encode(&block.committed);
    let mut payload = Vec::with_capacity(committed.len() + 64 * (block.spent.len() + 1));
    payload.extend_from_slice(&block.committed.block.header.height.to_le_bytes());
    payload.extend_from_slice(&u32::try_from(committed.len()).unwrap_or(u32::MAX).to_le_bytes());
    payload.extend_from_slice(&committed);
    payload.extend_from_slice(&encode(&block.spent));
    payload
}

/// Height, committed block, spent entries.
pub(super) fn split_payload(payload: &[u8]) -> Option<(Height, &[u8], &[u8])> {
    let (height, rest) = payload.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (committed, spent) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    Some((u64::from_le_bytes(*height), committed, spent))
}

/// The first height whose block the log in a directory has, as far as its horizon says.
///
/// # Errors
/// Those of the horizon's file.
pub fn begins_at<D: Disk>(disk: &D, dir: &Path, chain_id: &ChainId) -> Result<Height, StorageError> {
    Ok(Horizon::read(disk, dir, chain_id)?.height)
}

/// The chain of the log in a directory; `None` if there is none, or its first file does not say.
///
/// # Errors
/// [`StorageError::Io`].
pub fn chain_of<D: Disk>(disk: &D, dir: &Path) -> Result<Option<ChainId>, StorageError> {
    Ok(owner(disk, dir, SegmentKind::Blocks)?.map(|(chain_id, _)| chain_id))
}

fn identity(chain_id: ChainId) -> Identity {
    Identity { kind: SegmentKind::Blocks, chain_id, operator: None, origin: JournalOrigin::default() }
}

impl<D: Disk> BlockLog<D> {
    /// Opens the log in `dir`, or makes one; cuts off a record that a crash left incomplete.
    ///
    /// # Errors
    /// [`StorageError::WrongChain`], [`StorageError::Corrupt`] and [`StorageError::MissingSegment`] with what to do,
    /// [`StorageError::Io`].
    pub fn open(disk: D, dir: &Path, chain_id: ChainId) -> Result<Self, StorageError> {
        Self::open_watched(disk, dir, chain_id, &mut |_, _| true)
    }

    /// The same; `watch` is told the bytes that were gone through, and may end it between blocks.
    ///
    /// # Errors
    /// Those of [`BlockLog::open`], [`StorageError::Interrupted`].
    pub fn open_watched(
        disk: D,
        dir: &Path,
        chain_id: ChainId,
        watch: Watch<'_>,
    ) -> Result<Self, StorageError> {
        Self::open_sized(disk, dir, chain_id, SEGMENT_BYTES_MAX, watch)
    }

    pub(super) fn open_sized(
        disk: D,
        dir: &Path,
        chain_id: ChainId,
        segment_bytes_max: u64,
        watch: Watch<'_>,
    ) -> Result<Self, StorageError> {
        disk.create_dir_all(dir)?;
        let horizon = Horizon::read(&disk, dir, &chain_id)?;
        let mut places = Places::from(horizon.height);
        let mut visit = |position: Position, payload: &[u8]| {
            if places.positions.is_empty() && position.sequence != horizon.sequence {
                return Err(horizon.missing(dir));
            }
            let height = payload.first_chunk::<8>().map(|height| u64::from_le_bytes(*height));
            if height != Some(places.next()) {
                return Err(StorageError::Corrupt {
                    path: segment_path(dir, position.sequence),
                    offset: position.offset,
                    what: "a block of another height",
                    repair: SegmentKind::Blocks.repair(),
                });
            }
            places.push(position);
            Ok(())
        };
        let scan: (ScanDepth, Visit<'_>) = (ScanDepth::Prefix(8), &mut visit);
        let from = (segment_bytes_max, horizon.sequence);
        let opened = SegmentLog::open(disk.clone(), dir, identity(chain_id), from, scan, watch)?;
        match opened {
            // One that does not begin at block 1 never was without blocks.
            Some(log)
                if log.first_sequence() == horizon.sequence
                    && (horizon == Horizon::WHOLE || !places.positions.is_empty()) =>
            {
                // What a crash has left of pruned files, now that the log is known to begin behind them.
                RetiredSegments::new(disk.clone(), dir.to_owned(), horizon.sequence).remove(&mut || true)?;
                Ok(Self::assemble(disk, dir, log, chain_id, places))
            }
            Some(_) => Err(horizon.missing(dir)),
            None => {
                // There is no log: whatever began here is gone as a whole, and comes again from peers.
                Horizon::remove(&disk, dir)?;
                let log = SegmentLog::create(disk.clone(), dir, identity(chain_id), segment_bytes_max)?;
                Ok(Self::assemble(disk, dir, log, chain_id, Places::from(Horizon::WHOLE.height)))
            }
        }
    }

    /// Makes a log that begins with this block, in a directory without one.
    ///
    /// # Errors
    /// Those of [`BlockLog::append`].
    pub fn begin_at(
        disk: D,
        dir: &Path,
        chain_id: ChainId,
        first: &LoggedBlock,
    ) -> Result<Self, StorageError> {
        disk.create_dir_all(dir)?;
        let height = first.committed.block.header.height;
        Horizon { height, ..Horizon::WHOLE }.write(&disk, dir, &chain_id)?;
        let log = SegmentLog::create(disk.clone(), dir, identity(chain_id), SEGMENT_BYTES_MAX)?;
        let mut log = Self::assemble(disk, dir, log, chain_id, Places::from(height));
        log.append(first)?;
        Ok(log)
    }

    fn assemble(disk: D, dir: &Path, log: SegmentLog<D>, chain_id: ChainId, places: Places) -> Self {
        let positions = Arc::new(RwLock::new(places));
        let reader = BlockReader { reader: log.reader(), positions: Arc::clone(&positions) };
        Self { disk, dir: dir.to_owned(), log, chain_id, positions, reader }
    }

    /// Leaves out the oldest files as long as all of them have more than so many bytes, or are older than a time, and hold no
    /// block from a height on. The files are the caller's to remove; `None` if there are none.
    ///
    /// # Errors
    /// [`StorageError::Io`]; nothing was left out then.
    pub fn prune(&mut self, rule: &PruneRule) -> Result<Option<RetiredSegments<D>>, StorageError> {
        let mut bytes = self.log.size_bytes();
        let mut kept = self.horizon();
        for (sequence, size) in self.log.sizes() {
            let next = {
                let places = self.positions.read();
                let before = places.positions.partition_point(|position| position.sequence <= sequence);
                places.first.saturating_add(u64::try_from(before).unwrap_or(u64::MAX))
            };
            // Without a block behind it this is the last file.
            if next > self.height().min(rule.keep_from) {
                break;
            }
            let is_large = rule.bytes_max.is_some_and(|bytes_max| bytes > bytes_max);
            if !is_large && !self.is_before(next, rule.before) {
                break;
            }
            bytes = bytes.saturating_sub(size);
            kept = next;
        }
        self.prune_before(kept)
    }

    /// Whether a block is older than a time. One that can't be read is not: its file stays for a check to find.
    fn is_before(&self, height: Height, time: Option<TimeMs>) -> bool {
        let Some(time) = time else { return false };
        match self.reader.read_header(height) {
            Ok(header) => header.is_some_and(|(header, _)| header.time < time),
            Err(problem) => {
                tracing::warn!(%problem, height, "An old block can't be read; `timed db check` says what to do");
                false
            }
        }
    }

    /// Leaves out blocks below a height, as far as whole files hold nothing else; the last file stays. The files are the
    /// caller's to remove; `None` if there are none.
    ///
    /// # Errors
    /// [`StorageError::Io`]; nothing was left out then.
    pub fn prune_before(&mut self, height: Height) -> Result<Option<RetiredSegments<D>>, StorageError> {
        self.log.check_sound()?;
        let kept = {
            let places = self.positions.read();
            let wanted = places.get(height).map(|position| position.sequence);
            let sequence = wanted.filter(|sequence| *sequence > self.log.first_sequence());
            let Some(sequence) = sequence else { return Ok(None) };
            let before = places.positions.partition_point(|position| position.sequence < sequence);
            let height = places.first.saturating_add(u64::try_from(before).unwrap_or(u64::MAX));
            Horizon { sequence, height }
        };
        kept.write(&self.disk, &self.dir, &self.chain_id)?;
        self.positions.write().forget_before(kept.sequence);
        Ok(Some(self.log.retire_before(kept.sequence)))
    }

    /// The first height whose block is in the log, or the next one's if there is none.
    #[must_use]
    pub fn horizon(&self) -> Height {
        self.positions.read().first
    }

    /// Height of the last block; 0 if there is none.
    #[must_use]
    pub fn height(&self) -> Height {
        height_of(&self.positions)
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.log.size_bytes()
    }

    /// A handle that reads blocks from any thread.
    #[must_use]
    pub fn reader(&self) -> BlockReader<D> {
        self.reader.clone()
    }

    /// Appends the next block and syncs it. The block is committed when this returns.
    ///
    /// # Errors
    /// [`StorageError::NotNext`], [`StorageError::WrongChain`], [`StorageError::SpentMismatch`] leave the log as it was;
    /// after [`StorageError::Io`] it takes no more.
    pub fn append(&mut self, block: &LoggedBlock) -> Result<DurableBlock, StorageError> {
        let mut durable = self.append_all(&[block])?;
        let (expected, found) = (self.height() + 1, block.committed.block.header.height);
        durable.pop().ok_or(StorageError::NotNext { expected, found })
    }

    /// Appends the next blocks in their order, with one sync for all. They are committed when this returns; a crash
    /// leaves the first ones of them, or none.
    ///
    /// # Errors
    /// Those of [`BlockLog::append`]: nothing was written unless it is [`StorageError::Io`].
    pub fn append_all(
        &mut self,
        blocks: &[impl std::borrow::Borrow<LoggedBlock>],
    ) -> Result<Vec<DurableBlock>, StorageError> {
        for (block, expected) in blocks.iter().zip(self.height() + 1..) {
            self.check_next(block.borrow(), expected)?;
        }
        let payloads: Vec<Vec<u8>> = blocks.iter().map(|block| encode_payload(block.borrow())).collect();
        let positions = self.log.append_all(&payloads)?;
        self.positions.write().positions.extend(positions);
        let durable = |block: &LoggedBlock| {
            let header = &block.committed.block.header;
            DurableBlock { height: header.height, hash: header.hash() }
        };
        Ok(blocks.iter().map(|block| durable(block.borrow())).collect())
    }

    /// What is known to be wrong before anything is written.
    fn check_next(&self, block: &LoggedBlock, expected: Height) -> Result<(), StorageError> {
        let header = &block.committed.block.header;
        if header.height != expected {
            return Err(StorageError::NotNext { expected, found: header.height });
        }
        if header.chain_id != self.chain_id {
            let path = segment_path(Path::new(""), self.log.active_sequence());
            return Err(StorageError::WrongChain { path, expected: self.chain_id, found: header.chain_id });
        }
        let inputs =
            block.committed.block.transactions.iter().map(|transaction| transaction.inputs.len()).sum();
        if block.spent.len() > inputs {
            let (height, spent) = (header.height, block.spent.len());
            return Err(StorageError::SpentMismatch { height, inputs, spent });
        }
        Ok(())
    }

    /// The block at `height`, or `None` above the last one.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`], [`StorageError::Io`].
    pub fn read(&self, height: Height) -> Result<Option<LoggedBlock>, StorageError> {
        self.reader.read(height)
    }
}

impl<D: Disk> BlockReader<D> {
    /// Reads the blocks at these places, of a log that nobody appends to.
    pub(super) fn over(disk: D, dir: &Path, places: Places) -> Self {
        let reader = SegmentReader::new(disk, dir, SegmentKind::Blocks);
        Self { reader, positions: Arc::new(RwLock::new(places)) }
    }

    /// The first height whose block is in the log: earlier ones were pruned or never fetched. The next block's if there is
    /// none.
    #[must_use]
    pub fn horizon(&self) -> Height {
        self.positions.read().first
    }

    /// Height of the last durable block; 0 if there is none.
    #[must_use]
    pub fn height(&self) -> Height {
        height_of(&self.positions)
    }

    /// The first height whose block may be given to anybody. A log that begins late may begin with a snapshot's block, which was
    /// never executed here: its transactions' names are proved, their witnesses are not.
    #[must_use]
    pub fn shown_from(&self) -> Height {
        match self.horizon() {
            1 => 1,
            horizon => horizon.saturating_add(1),
        }
    }

    /// Bytes of the blocks above a height, as they lie in the log.
    #[must_use]
    pub fn bytes_above(&self, height: Height) -> u64 {
        let places = self.positions.read();
        let skipped = height.saturating_add(1).saturating_sub(places.first);
        let positions = places.positions.iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX));
        positions.map(|position| u64::from(position.length)).sum()
    }

    /// Bytes of the block at `height`, as it lies in the log.
    #[must_use]
    pub fn bytes_of(&self, height: Height) -> u64 {
        self.positions.read().get(height).map_or(0, |position| u64::from(position.length))
    }

    fn payload(&self, height: Height) -> Result<Option<(Position, Vec<u8>)>, StorageError> {
        let position = self.positions.read().get(height);
        let Some(position) = position else { return Ok(None) };
        match self.reader.payload(position) {
            Ok(payload) => Ok(Some((position, payload))),
            // It was pruned while it was read.
            Err(_) if height < self.horizon() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The block at `height` with what it spent; `None` below the horizon and above the last one.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`], [`StorageError::Io`].
    pub fn read(&self, height: Height) -> Result<Option<LoggedBlock>, StorageError> {
        let Some((position, payload)) = self.payload(height)? else { return Ok(None) };
        let block = split_payload(&payload).filter(|(found, ..)| *found == height).and_then(
            |(_, committed, spent)| {
                Some(LoggedBlock { committed: decode(committed).ok()?, spent: decode(spent).ok()? })
            },
        );
        block.map(Some).ok_or_else(|| self.reader.corrupt(position, "a block that cannot be decoded"))
    }

    /// The block at `height` with its commit alone, as sync sends it; `None` below the horizon and above the last one.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`], [`StorageError::Io`].
    pub fn read_committed(&self, height: Height) -> Result<Option<Released<CommittedBlock>>, StorageError> {
        let Some((position, payload)) = self.payload(height)? else { return Ok(None) };
        let block = split_payload(&payload)
            .filter(|(found, ..)| *found == height)
            .and_then(|(_, committed, _)| decode(committed).ok());
        block.map(Some).ok_or_else(|| self.reader.corrupt(position, "a block that cannot be decoded"))
    }

    /// The header of the block at `height`, and how many transactions it has; `None` at 0 and above the last one. The
    /// transactions are read for the checksum, and not decoded, which is most of the work.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`], [`StorageError::Io`].
    pub fn read_header(&self, height: Height) -> Result<Option<(Header, usize)>, StorageError> {
        let Some((position, payload)) = self.payload(height)? else { return Ok(None) };
        let header =
            split_payload(&payload).filter(|(found, ..)| *found == height).and_then(|(_, committed, _)| {
                // A block begins with its header, the commit before it, and the number of its transactions.
                let ((header, _, count), _) = decode_first::<(Header, Commit, u64)>(committed).ok()?;
                Some((header, usize::try_from(count).ok()?))
            });
        header.map(Some).ok_or_else(|| self.reader.corrupt(position, "a block that cannot be decoded"))
    }
}

#[cfg(test)]
#[path = "block_log_tests.rs"]
pub(super) mod tests;

#[cfg(test)]
#[path = "block_log_horizon_tests.rs"]
mod horizon_tests;
