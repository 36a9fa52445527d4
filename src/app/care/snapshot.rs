//! Snapshots as files: written for another node, and read in place of peers.
//!
//! # Place
//! `timed db snapshot export` and `import`.
//!
//! # Invariants
//! - INV-CARE-SNAPSHOT-1: what is imported was held to the genesis document, or to the operator's checkpoint, as if a peer had
//!   given it; what does not hold is never in the node's own directory under a snapshot's name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check::CheckReport;
use super::files::bytes_below;
use super::report::{FileKind, FileReport, FileState, Problem, ProblemKind};
use super::{CareError, CarePlace, Tell, Unit, Work, quoted, tell};
use crate::app::snapshots::fetch::{FetchError, may_begin};
use crate::app::snapshots::install::{has_no_blocks, install};
use crate::app::snapshots::verify::{SnapshotCheck, chunk_holds};
use crate::app::trust;
use crate::consensus::replay_error::ReplayError;
use crate::protocol::snapshot::SnapshotManifest;
use crate::protocol::state::LedgerState;
use crate::runtime::{Clock, CpuPool, PoolVerifier};
use crate::storage::block_log::begins_at;
use crate::storage::{RealDisk, SnapshotDir, SnapshotPart, SnapshotStore, StorageError};
use crate::types::codec::decode;
use crate::types::{BlockHash, Height};

const COPYING: Work = Work { what: "copying outputs", unit: Unit::Entries };
const CHECKING: Work = Work { what: "checking outputs", unit: Unit::Entries };

/// A snapshot that was written or read.
#[derive(Debug, serde::Serialize)]
pub struct SnapshotReport {
    /// Its directory.
    pub path: PathBuf,
    /// The block after which it is.
    pub height: Height,
    /// That block.
    pub block_hash: BlockHash,
    /// Unspent outputs.
    pub outputs: u64,
}

impl SnapshotReport {
    fn of(dir: &SnapshotDir<RealDisk>, manifest: &SnapshotManifest) -> Self {
        let (path, header) = (dir.path().to_owned(), &manifest.header);
        Self { path, height: header.height, block_hash: header.hash(), outputs: manifest.outputs() }
    }
}

fn newest(root: &Path) -> Result<SnapshotDir<RealDisk>, CareError> {
    let store = SnapshotStore::new(RealDisk, root.to_owned());
    let none = || CareError::NoSnapshot { path: root.to_owned() };
    store.list()?.into_iter().next().ok_or_else(none)
}

fn part(dir: &SnapshotDir<RealDisk>, part: SnapshotPart) -> Result<Vec<u8>, CareError> {
    let missing = || bad(dir, format!("its {part:?} is missing"));
    dir.read(part)?.ok_or_else(missing)
}

fn bad(dir: &SnapshotDir<RealDisk>, reason: String) -> CareError {
    CareError::BadSnapshot { path: dir.path().to_owned(), reason }
}

fn manifest_of(dir: &SnapshotDir<RealDisk>) -> Result<(SnapshotManifest, Vec<u8>), CareError> {
    let bytes = part(dir, SnapshotPart::Manifest)?;
    let manifest = decode(&bytes).map_err(|error| bad(dir, error.to_string()))?;
    Ok((manifest, bytes))
}

fn places(manifest: &SnapshotManifest) -> impl Iterator<Item = u32> {
    0..u32::try_from(manifest.chunks.len()).unwrap_or(u32::MAX)
}

pub(super) fn look_at(
    dir: &SnapshotDir<RealDisk>,
    deep: bool,
    told: Tell<'_>,
) -> Result<SnapshotManifest, CareError> {
    let (manifest, _) = manifest_of(dir)?;
    part(dir, SnapshotPart::Block)?;
    dir.read(SnapshotPart::Proof)?;
    let (mut done, total) = (0, manifest.outputs());
    for (place, head) in places(&manifest).zip(&manifest.chunks) {
        let chunk = part(dir, SnapshotPart::Chunk(place))?;
        if deep && !chunk_holds(&manifest, usize::try_from(place).unwrap_or(usize::MAX), &chunk) {
            return Err(bad(dir, format!("chunk {place} is not what its manifest names")));
        }
        done += u64::from(head.outputs);
        tell(told, CHECKING, done, total)?;
    }
    Ok(manifest)
}

impl CarePlace {
    /// The state of the oldest snapshot of a block in the log, from which blocks are executed where the log does not begin at
    /// block 1.
    ///
    /// # Errors
    /// [`CareError::Replay`] if there is none.
    pub(super) fn snapshot_state(&self) -> Result<Option<LedgerState>, CareError> {
        // Where the log has all blocks none is needed, and execution from the beginning finds more.
        let horizon = begins_at(&RealDisk, &self.blocks(), &self.chain_id())?;
        if horizon == 1 {
            return Ok(None);
        }
        let store = SnapshotStore::new(RealDisk, self.config.snapshots_path());
        let found = store.list()?.into_iter().rev().find(|dir| dir.height() >= horizon);
        let missing = || ReplayError::NoSnapshot { horizon };
        Ok(Some(manifest_of(&found.ok_or_else(missing)?)?.0.state))
    }

    /// Reads every part of every snapshot; `deep` holds the outputs to the manifest, too.
    pub(super) fn check_snapshots(
        &self,
        deep: bool,
        report: &mut CheckReport,
        told: Tell<'_>,
    ) -> Result<(), CareError> {
        for dir in SnapshotStore::new(RealDisk, self.config.snapshots_path()).list()? {
            let (file, kind, bytes) = (dir.path().to_owned(), FileKind::Snapshot, bytes_below(dir.path())?);
            let (state, records) = match look_at(&dir, deep, told) {
                Ok(manifest) => (FileState::Well, Some(manifest.outputs())),
                Err(CareError::Storage(error @ StorageError::Interrupted)) => return Err(error.into()),
                Err(error) => {
                    report.problems.push(Problem {
                        file: file.clone(),
                        offset: None,
                        kind: ProblemKind::Damaged,
                        what: error.to_string(),
                        means: "no node can begin with it, and this one can't build its index of it; its blocks are as they were",
                        repair: format!("rm -r {}", quoted(&file)),
                    });
                    (FileState::Bad, None)
                }
            };
            report.files.push(FileReport { file, kind, state, bytes, records, note: None });
        }
        Ok(())
    }

    /// Writes the newest snapshot into a directory, from which other nodes import it.
    ///
    /// # Errors
    /// When there is none, one of its height is there already, or the disk refuses.
    pub fn export_snapshot(&self, out: &Path, told: Tell<'_>) -> Result<SnapshotReport, CareError> {
        let from = newest(&self.config.snapshots_path())?;
        let target = SnapshotStore::new(RealDisk, out.to_owned());
        if target.get(from.height())?.is_some() {
            return Err(CareError::Exists { path: target.begin(from.height())?.path().to_owned() });
        }
        let (manifest, bytes) = manifest_of(&from)?;
        let to = target.begin(from.height())?;
        let (mut done, total) = (0, manifest.outputs());
        for (place, chunk) in places(&manifest).zip(&manifest.chunks) {
            to.write(SnapshotPart::Chunk(place), &part(&from, SnapshotPart::Chunk(place))?)?;
            done += u64::from(chunk.outputs);
            tell(told, COPYING, done, total)?;
        }
        to.write(SnapshotPart::Block, &part(&from, SnapshotPart::Block)?)?;
        // Nobody could believe it without one.
        to.write(SnapshotPart::Proof, &part(&from, SnapshotPart::Proof)?)?;
        to.finish(&bytes)?;
        Ok(SnapshotReport::of(&to, &manifest))
    }

    /// Takes the newest snapshot of a directory as the beginning of a node without blocks.
    ///
    /// # Errors
    /// When the node has blocks, or the snapshot is not of its chain.
    pub fn import_snapshot(&self, from: &Path, told: Tell<'_>) -> Result<SnapshotReport, CareError> {
        if !has_no_blocks(self.data_dir())? {
            return Err(CareError::HasBlocks);
        }
        may_begin(&self.config, &self.genesis)?;
        let from = newest(from)?;
        let verifier = Arc::new(PoolVerifier::new(CpuPool::new()?));
        let refused = |reason: String| bad(&from, reason);
        let proof = part(&from, SnapshotPart::Proof)?;
        let check = SnapshotCheck { genesis: Arc::new(self.genesis.clone()), checkpoint: None, verifier };
        let proved = check.file(&proof, self.config.sync.checkpoint.as_ref()).map_err(refused)?;
        let trust = trust::configured(&self.config, &self.genesis.parameters);
        trust::check_start(&trust, &proved, Clock.now_ms()).map_err(FetchError::from)?;
        let bytes = part(&from, SnapshotPart::Manifest)?;
        let manifest = check.manifest(&proved, &bytes).map_err(refused)?;
        let block = part(&from, SnapshotPart::Block)?;
        let committed = check.block(&proved, &block).map_err(refused)?;
        let to = SnapshotStore::new(RealDisk, self.config.snapshots_path()).begin(manifest.header.height)?;
        let (mut done, total) = (0, manifest.outputs());
        for (place, head) in places(&manifest).zip(&manifest.chunks) {
            let chunk = part(&from, SnapshotPart::Chunk(place))?;
            if !chunk_holds(&manifest, usize::try_from(place).unwrap_or(usize::MAX), &chunk) {
                return Err(refused(format!("chunk {place} is not what its manifest names")));
            }
            to.write(SnapshotPart::Chunk(place), &chunk)?;
            done += u64::from(head.outputs);
            tell(told, CHECKING, done, total)?;
        }
        to.write(SnapshotPart::Proof, &proof)?;
        to.write(SnapshotPart::Block, &block)?;
        to.finish(&bytes)?;
        install(self.data_dir(), self.chain_id(), committed)?;
        Ok(SnapshotReport::of(&to, &manifest))
    }
}
