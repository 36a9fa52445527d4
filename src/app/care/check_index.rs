//! Opens a copy of the index, and holds it to the block log and to its own counts.
//!
//! # Place
//! [`check`](super::check) makes the copy before it reads the log, so that it knows which block the index is marked at.
//!
//! # Invariants
//! - INV-INDEXCHECK-1: the index itself is only read; the copy beside it is removed, also by the next check after a kill.
//! - INV-INDEXCHECK-2: the digest over all unspent outputs is the one that the marked block's header names, and as many
//!   outputs are listed by address.

use std::path::PathBuf;
use std::sync::Arc;

use super::check_blocks::AtMark;
use super::files::{beside, bytes_below, copy_directory, make_sure_of_room, remove_directory};
use super::report::{FileKind, FileReport, FileState, Problem};
use super::{CareError, CarePlace, Tell, Unit, Work, tell};
use crate::app::open::engine;
use crate::app::places::index_path;
use crate::protocol::state::LedgerState;
use crate::storage::{Index, IndexGuard, IndexStore, Mark, SledIndex, StorageError};
use crate::types::Height;
use crate::types::codec::{decode, encode};

const COPYING: Work = Work { what: "copying the index", unit: Unit::Bytes };
const COUNTING: Work = Work { what: "reading the index", unit: Unit::Entries };
/// Outputs after which it is told how many were read.
const TELL_EVERY: u64 = 4_096;
/// What the name of the copy ends with.
pub(super) const COPY_ENDING: &str = ".check";

/// What the block log says of the block that the index is marked at.
pub(super) struct IndexFacts {
    /// The last good block of the log.
    pub(super) tip: Height,
    /// Whether the log has no damage.
    pub(super) is_whole: bool,
    pub(super) at_mark: Option<AtMark>,
    pub(super) state: Option<LedgerState>,
}

enum Opened {
    Absent,
    Open { index: Index, mark: Mark, highest: Height },
    Bad(String),
}

/// A copy of the index, opened.
pub(super) struct IndexCopy {
    path: PathBuf,
    copy: PathBuf,
    opened: Opened,
}

impl Drop for IndexCopy {
    fn drop(&mut self) {
        // The database has to be closed first.
        self.opened = Opened::Absent;
        let closed = SledIndex::wait_closed(&self.copy).map_err(CareError::from);
        // Damage that was met in the copy is told, and not kept for a start.
        let forgotten = closed.and_then(|()| Ok(IndexGuard::forget_damage(&self.copy)?));
        if let Err(error) = forgotten.and_then(|()| remove_directory(&self.copy)) {
            tracing::warn!(%error, "The copy of the index can't be removed");
        }
    }
}

impl IndexCopy {
    /// Copies the index and opens the copy; that it does not open is found out here and told later.
    pub(super) fn make(place: &CarePlace, told: Tell<'_>) -> Result<Self, CareError> {
        let path = index_path(&place.config, place.config.storage.engine);
        let copy = beside(&path, COPY_ENDING);
        remove_directory(&copy)?;
        let mut made = Self { path, copy, opened: Opened::Absent };
        if !made.path.exists() {
            return Ok(made);
        }
        if let Some(reason) = IndexGuard::damage_of(&made.path) {
            made.opened = Opened::Bad(format!("it was damaged when it was last used: {reason}"));
            return Ok(made);
        }
        make_sure_of_room(&made.path, bytes_below(&made.path)?)?;
        copy_directory(&made.path, &made.copy, COPYING, told)?;
        made.opened = match made.open(place) {
            Ok(opened) => opened,
            Err(StorageError::Unopenable { reason, .. } | StorageError::Index { reason }) => {
                Opened::Bad(reason)
            }
            Err(StorageError::IndexMalformed { tree }) => Opened::Bad(malformed(tree)),
            Err(error) => return Err(error.into()),
        };
        Ok(made)
    }

    fn open(&self, place: &CarePlace) -> Result<Opened, StorageError> {
        let store = engine(&place.config)(&self.copy)?;
        let index = Index::new(Arc::new(IndexGuard::new(store, &self.copy)) as Arc<dyn IndexStore>);
        let Some(highest) = index.highest_written()? else {
            return Ok(Opened::Bad("it holds nothing".to_owned()));
        };
        Ok(match index.mark()? {
            Some(mark) => Opened::Open { index, mark, highest },
            None => Opened::Bad("it was never marked".to_owned()),
        })
    }

    /// The block that it is marked at.
    pub(super) const fn mark(&self) -> Option<Height> {
        match &self.opened {
            Opened::Open { mark, .. } => Some(mark.height),
            Opened::Absent | Opened::Bad(_) => None,
        }
    }

    /// Holds it to the block log.
    pub(super) fn check(
        &self,
        place: &CarePlace,
        facts: &IndexFacts,
        problems: &mut Vec<Problem>,
        told: Tell<'_>,
    ) -> Result<FileReport, CareError> {
        let bytes = bytes_below(&self.path)?;
        let (file, kind) = (self.path.clone(), FileKind::Index);
        let report = |state, records, note| FileReport { file, kind, state, bytes, records, note };
        let (index, mark, highest) = match &self.opened {
            Opened::Absent => {
                let note = "the next start builds it from the block log".to_owned();
                return Ok(report(FileState::Absent, None, Some(note)));
            }
            Opened::Bad(reason) => {
                problems.push(place.index_problem(reason.clone()));
                return Ok(report(FileState::Bad, None, None));
            }
            Opened::Open { index, mark, highest } => (index, mark, *highest),
        };
        let found = match holds(index, mark, highest, facts, told) {
            Ok(found) => found,
            Err(CareError::Storage(StorageError::Index { reason })) => Err(reason),
            Err(CareError::Storage(StorageError::IndexMalformed { tree })) => Err(malformed(tree)),
            Err(error) => return Err(error),
        };
        match found {
            Ok((unspent, note)) => Ok(report(FileState::Well, Some(unspent), note)),
            Err(what) => {
                problems.push(place.index_problem(what));
                Ok(report(FileState::Bad, None, None))
            }
        }
    }
}

fn malformed(tree: &str) -> String {
    format!("it holds a malformed value in {tree}")
}

/// The number of unspent outputs and what else there is to say, or what is wrong.
type Verdict = Result<(u64, Option<String>), String>;

fn holds(
    index: &Index,
    mark: &Mark,
    highest: Height,
    facts: &IndexFacts,
    told: Tell<'_>,
) -> Result<Verdict, CareError> {
    let unspent = index.unspent()?;
    let at = mark.height;
    if let Some(format) = index.unknown_format()? {
        return Ok(Err(format!("it has format {format}, which this program does not read")));
    }
    if !facts.is_whole {
        let note = format!("it is at block {at}; it is not held to a block log that has problems");
        return Ok(Ok((unspent, Some(note))));
    }
    if highest > facts.tip {
        return Ok(Err(format!("it has seen block {highest}, the block log ends at {}", facts.tip)));
    }
    let Some(block) = facts.at_mark.filter(|block| block.hash == mark.block_hash) else {
        return Ok(Err(format!("its block {at} is not the block log's")));
    };
    let state: LedgerState = match decode(&mark.state) {
        Ok(state) => state,
        Err(error) => return Ok(Err(format!("its state can't be decoded: {error}"))),
    };
    if state.height() != at || state.tip_hash() != block.hash || state.digest() != block.digest {
        return Ok(Err(format!("its state is not that of block {at}")));
    }
    if facts.state.as_ref().is_some_and(|executed| encode(executed) != mark.state) {
        return Ok(Err(format!("its state at block {at} is not what the blocks make")));
    }
    let behind =
        (at < facts.tip).then(|| format!("it is at block {at}; the next start brings it to the tip"));
    if highest > at {
        // A crash in the middle: parts of later blocks may be there, and the next start writes them again.
        return Ok(Ok((unspent, behind)));
    }
    let (mut counted, mut failed) = (0_u64, None);
    let mut outputs = index.unspent_outputs();
    let digest = state.recompute_digest(std::iter::from_fn(|| {
        let output = outputs.next()?.map_err(CareError::from).and_then(|output| {
            counted += 1;
            if counted.is_multiple_of(TELL_EVERY) {
                tell(told, COUNTING, counted, unspent).map(|()| output)
            } else {
                Ok(output)
            }
        });
        output.map_err(|error| failed = Some(error)).ok()
    }));
    if let Some(error) = failed {
        return Err(error);
    }
    if counted != unspent {
        return Ok(Err(format!("it holds {counted} unspent outputs and says that they are {unspent}")));
    }
    if digest != block.digest {
        return Ok(Err(format!("its unspent outputs are not those that block {at} leaves")));
    }
    let listed = index.addresses_listed()?;
    if listed != unspent {
        return Ok(Err(format!("it lists {listed} outputs by address, and {unspent} are unspent")));
    }
    Ok(Ok((unspent, behind)))
}
