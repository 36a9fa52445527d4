//! Reads a whole data directory without changing it, and says what is well and what is wrong.
//!
//! # Place
//! `timed db check`; [`repair`](super::repair) cuts by what is found here.
//!
//! # Invariants
//! - INV-DBCHECK-1: nothing is changed but the lock file's text. The database of the index changes its files when it is
//!   opened, so it is opened in a copy, which is removed afterwards. A check in depth that is stopped leaves a
//!   [note](super::check_note), by which the next one goes on.
//! - INV-DBCHECK-2: each problem names a file, what it means, and what to do.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::check_blocks::{ChainCheck, Checked, Depth};
use super::check_index::{IndexCopy, IndexFacts};
use super::check_note::{CheckNote, KEEP_EVERY};
use super::files::bytes_below;
use super::report::{FileKind, FileReport, FileState, Problem, ProblemKind};
use super::{CareError, CarePlace, Tell, Unit, Work, quoted};
use crate::app::losers;
use crate::app::places::index_path;
use crate::network::{PeersFile, bans_file_state, peers_file_state};
use crate::runtime::Clock;
use crate::runtime::key_file::read_key_file;
use crate::storage::log_check::{SegmentReport, check_blocks, check_journal};
use crate::storage::log_repair::LogCut;
use crate::storage::{RealDisk, StorageError};
use crate::types::{ChainId, Height};

const READING_BLOCKS: Work = Work { what: "reading the block log", unit: Unit::Bytes };
const READING_VOTES: Work = Work { what: "reading the vote journal", unit: Unit::Bytes };

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The directory.
    pub data_dir: PathBuf,
    /// The chain of the genesis document.
    pub chain_id: ChainId,
    /// The last good block; 0 if there is none.
    pub height: Height,
    /// Whether blocks were executed again and their commits' signatures checked.
    pub deep: bool,
    /// Signatures of commits that were checked.
    pub signatures: u64,
    /// The block up to which an earlier check, which was stopped, had executed all; 0 if there was none.
    pub resumed_from: Height,
    /// Each file.
    pub files: Vec<FileReport>,
    /// What is wrong, in the order in which it is to be mended.
    pub problems: Vec<Problem>,
    /// Where the block log has to be cut.
    #[serde(skip)]
    pub cut: Option<LogCut>,
}

impl CheckReport {
    /// The worst kind of problem; `None` if all is well.
    #[must_use]
    pub fn worst(&self) -> Option<ProblemKind> {
        self.problems.iter().map(|problem| problem.kind).max()
    }
}

/// What a problem of a log's file is, without what its error says for a node's start.
fn problem_of(error: &StorageError) -> (ProblemKind, Option<u64>, String) {
    match error {
        StorageError::Corrupt { offset, what, .. } => {
            (ProblemKind::Damaged, Some(*offset), (*what).to_owned())
        }
        StorageError::MissingSegment { .. } => (ProblemKind::Damaged, None, "the file is missing".to_owned()),
        StorageError::WrongKind { .. } => (ProblemKind::Damaged, None, "a file of another kind".to_owned()),
        error => (ProblemKind::Foreign, None, error.to_string()),
    }
}

const FOREIGN: &str = "the node does not start with it";

impl CarePlace {
    fn block_problem(&self, file: &Path, offset: Option<u64>, kind: ProblemKind, what: String) -> Problem {
        let (means, repair) = match kind {
            ProblemKind::Damaged => (
                "no block from there on can be relied on; those before it are whole",
                self.command("db repair"),
            ),
            ProblemKind::Foreign => (
                FOREIGN,
                "name the right genesis document or another data_dir in the configuration".to_owned(),
            ),
        };
        Problem { file: file.to_owned(), offset, kind, what, means, repair }
    }

    /// The file that says where the block log begins can't be read.
    fn horizon_problem(&self, error: &StorageError) -> Problem {
        let (kind, offset, what) = problem_of(error);
        let blocks = self.blocks();
        Problem {
            file: blocks.join("horizon"),
            offset,
            kind,
            what,
            means: "where the block log begins is not known, so none of it was read",
            repair: format!(
                "mv {0} {0}.damaged (the node fetches the chain again from its peers)",
                quoted(&blocks)
            ),
        }
    }

    fn vote_problem(&self, file: &Path, error: &StorageError) -> Problem {
        let (kind, offset, what) = problem_of(error);
        let (means, repair) = match kind {
            ProblemKind::Damaged if self.config.masternode.enabled => (
                "votes that this key gave may be lost, so it must not vote in the running epoch any more",
                format!(
                    "mv {0} {0}.damaged && {1} (or `votes import` of an export that holds every vote)",
                    quoted(&self.votes()),
                    self.command("votes new")
                ),
            ),
            ProblemKind::Damaged => (
                "the node votes with no key, so nothing is lost; it makes a new journal",
                format!("mv {0} {0}.damaged", quoted(&self.votes())),
            ),
            ProblemKind::Foreign => (
                FOREIGN,
                "follow what it says above; keep the directory, since it protects its key".to_owned(),
            ),
        };
        Problem { file: file.to_owned(), offset, kind, what, means, repair }
    }

    pub(super) fn index_problem(&self, what: String) -> Problem {
        Problem {
            file: index_path(&self.config, self.config.storage.engine),
            offset: None,
            kind: ProblemKind::Damaged,
            what,
            means: "balances and lookups may be wrong; it is made of the block log alone, so nothing is lost",
            repair: self.command("db reindex"),
        }
    }

    /// Reads all of it. `deep` executes every block again and checks every signature of the commits, too.
    ///
    /// # Errors
    /// When it can't be read, or was stopped; what is wrong with the data is in the report.
    pub fn check(&self, deep: bool, told: Tell<'_>) -> Result<CheckReport, CareError> {
        let mut report = CheckReport {
            data_dir: self.data_dir().to_owned(),
            chain_id: self.chain_id(),
            height: 0,
            deep,
            signatures: 0,
            resumed_from: 0,
            files: Vec::new(),
            problems: Vec::new(),
            cut: None,
        };
        self.check_small_files(&mut report);
        self.check_kept(&mut report);
        let index = IndexCopy::make(self, told)?;
        self.check_block_log(&index, deep, &mut report, told)?;
        self.check_snapshots(deep, &mut report, told)?;
        self.check_votes(&mut report, told)?;
        Ok(report)
    }

    fn check_small_files(&self, report: &mut CheckReport) {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let mut note = |file: PathBuf, kind, state| {
            let bytes = size(&file);
            report.files.push(FileReport { file, kind, state, bytes, records: None, note: None });
        };
        // Both were read and are in force, or nobody would be here.
        if let Some(genesis) = &self.config.node.genesis {
            note(genesis.clone(), FileKind::Genesis, FileState::Well);
        }
        note(self.data_dir().join("LOCK"), FileKind::Lock, FileState::Well);
        let identity = (self.config.identity_key_path(), FileKind::IdentityKey);
        let operator = self.config.masternode.operator_key.clone().filter(|_| self.config.masternode.enabled);
        let keys = std::iter::once(identity).chain(operator.map(|path| (path, FileKind::OperatorKey)));
        for (path, kind) in keys {
            let is_identity = kind == FileKind::IdentityKey;
            let error = match read_key_file(&path) {
                Ok(_) => {
                    note(path, kind, FileState::Well);
                    continue;
                }
                Err(_) if is_identity && !path.exists() => {
                    note(path, kind, FileState::Absent);
                    continue;
                }
                Err(error) => error,
            };
            note(path.clone(), kind, FileState::Bad);
            let (means, repair) = if is_identity {
                (
                    "the node does not start; the key is its name among peers and nothing else",
                    format!("mv {0} {0}.damaged (the next start makes a new one)", quoted(&path)),
                )
            } else {
                (
                    "the node does not start, and does not vote",
                    format!("bring {} back from your copy of it", quoted(&path)),
                )
            };
            let (what, kind) = (error.to_string(), ProblemKind::Damaged);
            report.problems.push(Problem { file: path, offset: None, kind, what, means, repair });
        }
    }

    /// Nothing is wrong with a node that has lost one of these: it does without.
    fn check_kept(&self, report: &mut CheckReport) {
        let (peers, bans) = (self.config.peers_path(), self.data_dir().join("bans"));
        let conflicts = losers::path_in(self.data_dir());
        let found = [
            (
                FileKind::Peers,
                peers_file_state(&peers),
                peers,
                "it can be removed; the node finds peers anew",
            ),
            (FileKind::Bans, bans_file_state(&bans), bans, "it can be removed; nobody is banned then"),
            (
                FileKind::Conflicts,
                losers::file_state(&conflicts),
                conflicts,
                "it can be removed; payments that lost their coin are unknown then",
            ),
        ];
        for (kind, state, file, words) in found {
            let state = match state {
                PeersFile::Whole => FileState::Well,
                PeersFile::Missing => FileState::Absent,
                PeersFile::Damaged => FileState::Useless,
            };
            let bytes = std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
            let note = (state != FileState::Absent).then(|| words.to_owned());
            report.files.push(FileReport { file, kind, state, bytes, records: None, note });
        }
    }

    fn check_block_log(
        &self,
        index: &IndexCopy,
        deep: bool,
        report: &mut CheckReport,
        told: Tell<'_>,
    ) -> Result<(), CareError> {
        let mark = index.mark();
        let (chain, segments) = match self.read_blocks(mark, deep, report, told) {
            Err(CareError::Storage(
                error @ (StorageError::Corrupt { .. } | StorageError::UnsupportedVersion { .. }),
            )) => {
                report.problems.push(self.horizon_problem(&error));
                return Ok(());
            }
            read => read?,
        };
        report.signatures = chain.signatures;
        for fault in &chain.faults {
            let problem = self.block_problem(
                &fault.place.path,
                Some(fault.place.offset),
                ProblemKind::Damaged,
                fault.what.clone(),
            );
            report.problems.push(problem);
        }
        let first_fault =
            chain.faults.iter().map(|fault| &fault.place).min_by_key(|place| (place.sequence, place.offset));
        let mut cut = first_fault.map(|place| LogCut { sequence: place.sequence, whole_bytes: place.offset });
        for segment in &segments {
            let has_fault = chain.faults.iter().any(|fault| fault.place.sequence == segment.sequence);
            if let Some(error) = &segment.problem {
                let (kind, offset, what) = problem_of(error);
                report.problems.push(self.block_problem(&segment.path, offset, kind, what));
                if kind == ProblemKind::Damaged {
                    let here = LogCut { sequence: segment.sequence, whole_bytes: segment.whole_bytes };
                    let is_first = cut.is_none_or(|cut| {
                        (here.sequence, here.whole_bytes) < (cut.sequence, cut.whole_bytes)
                    });
                    cut = if is_first { Some(here) } else { cut };
                }
            }
            report.files.push(segment_report(segment, FileKind::BlockLog, has_fault));
        }
        report.cut = cut;
        report.height = chain.height;
        let facts = IndexFacts {
            tip: chain.height,
            is_whole: report.cut.is_none() && segments.iter().all(|s| s.problem.is_none()),
            at_mark: chain.at_mark,
            state: chain.state_at_mark,
        };
        let mut problems = Vec::new();
        let file = index.check(self, &facts, &mut problems, told)?;
        report.files.push(file);
        report.problems.extend(problems);
        Ok(())
    }

    /// Reads the block log; in depth it goes on where an earlier check was stopped.
    fn read_blocks(
        &self,
        mark: Option<Height>,
        deep: bool,
        report: &mut CheckReport,
        told: Tell<'_>,
    ) -> Result<(Checked, Vec<SegmentReport>), CareError> {
        let depth = if deep { Depth::Signatures } else { Depth::Hashes };
        let is_before_mark = |note: &CheckNote| mark.is_none_or(|mark| note.state.height() < mark);
        let mut note = CheckNote::read(self.data_dir()).filter(|note| deep && is_before_mark(note));
        loop {
            let snapshot = if deep { self.snapshot_state()? } else { None };
            let mut chain = ChainCheck::new(&self.genesis, depth, mark, snapshot)?;
            if let Some(note) = note.take() {
                report.resumed_from = note.state.height();
                tracing::info!(
                    block = report.resumed_from,
                    "The check that was stopped goes on behind this block"
                );
                chain = chain.going_on(note);
            }
            let mut kept = Clock.instant();
            let read = check_blocks(
                &RealDisk,
                &self.blocks(),
                self.chain_id(),
                &mut |place, block| {
                    chain.see(place, &block);
                    if deep && Clock.instant().saturating_duration_since(kept) >= KEEP_EVERY {
                        self.keep_progress(&mut chain);
                        kept = Clock.instant();
                    }
                },
                &mut |done, total| told(READING_BLOCKS, done, total),
            );
            if deep && matches!(read, Err(StorageError::Interrupted)) {
                self.keep_progress(&mut chain);
            }
            let (segments, checked) = (read?, chain.finish()?);
            if deep {
                CheckNote::remove(self.data_dir())?;
            }
            if !checked.is_other {
                return Ok((checked, segments));
            }
            tracing::warn!("The check that was stopped was of another block log; all is checked anew");
            report.resumed_from = 0;
        }
    }

    /// A note that can't be written costs the next check time, and this one nothing.
    fn keep_progress(&self, chain: &mut ChainCheck) {
        let written = chain.progress().map(|note| note.write(self.data_dir()));
        if let Some(Err(error)) = written {
            tracing::warn!(%error, "How far the check is can't be noted; if it is stopped it begins anew");
        }
    }

    fn check_votes(&self, report: &mut CheckReport, told: Tell<'_>) -> Result<(), CareError> {
        let Ok(identity) = self.journal_identity() else {
            // The key's own problem is told above.
            return Ok(());
        };
        let votes = self.votes();
        let segments =
            check_journal(&RealDisk, &votes, identity, &mut |done, total| told(READING_VOTES, done, total))?;
        for segment in &segments {
            if let Some(error) = &segment.problem {
                report.problems.push(self.vote_problem(&segment.path, error));
            }
            report.files.push(segment_report(segment, FileKind::VoteJournal, false));
        }
        if segments.iter().all(|segment| segment.whole_bytes == 0 && segment.problem.is_none()) {
            let (state, bytes) = (FileState::Absent, bytes_below(&votes)?);
            let note = self.config.masternode.enabled.then(|| {
                "a masternode does not start without it: `timed votes new`, or `timed votes import`"
                    .to_owned()
            });
            let kind = FileKind::VoteJournal;
            report.files.retain(|file| file.kind != kind);
            report.files.push(FileReport { file: votes, kind, state, bytes, records: None, note });
        }
        Ok(())
    }
}

fn segment_report(segment: &SegmentReport, kind: FileKind, has_fault: bool) -> FileReport {
    let torn = segment.torn_bytes();
    let (state, note) = match () {
        () if segment.problem.is_some() || has_fault => (FileState::Bad, None),
        () if torn > 0 => {
            let note =
                format!("{torn} bytes at its end are an incomplete record; the next start cuts them off");
            (FileState::Torn, Some(note))
        }
        () => (FileState::Well, None),
    };
    let (file, bytes, records) = (segment.path.clone(), segment.bytes, Some(segment.records));
    FileReport { file, kind, state, bytes, records, note }
}
