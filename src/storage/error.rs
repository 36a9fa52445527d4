//! The one error of this floor: a variant for each rule that the disk or a caller broke.
//!
//! A message says what happened, where, and what to do next. Anything that a write or sync returns is fatal to the
//! node: after it, nobody knows what is on disk.

use std::io;
use std::path::PathBuf;

use crate::types::{ChainId, Height, PublicKey};

/// Why something could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The operating system refused an operation.
    #[error("cannot {operation} {}: {source}{}", path.display(), advice(source))]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// An earlier write or sync of this log failed.
    #[error("{} takes no more records since an earlier write or sync failed; check the disk and restart the node", path.display())]
    Poisoned {
        /// The log's directory.
        path: PathBuf,
    },
    /// Bytes that were acknowledged once don't have their checksum any more.
    #[error("{} is damaged at byte {offset} ({what}); {repair}", path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Where the damage was seen, in bytes from the file's start.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
        /// What to do about it.
        repair: &'static str,
    },
    /// A file of a log is missing between others.
    #[error("{} is missing; {repair}", path.display())]
    MissingSegment {
        /// The file that should exist.
        path: PathBuf,
        /// What to do about it.
        repair: &'static str,
    },
    /// A file of this kind that another version of the program wrote.
    #[error("{} has format version {found}, this program reads {expected}; {}", path.display(), version_advice(*expected, *found))]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// The version that this program writes.
        expected: u16,
        /// The file's.
        found: u16,
    },
    /// A block log where a vote journal is expected, or the other way round.
    #[error("{} is a file of another kind; was a directory exchanged? `timed db check` says which files are as they should be", path.display())]
    WrongKind {
        /// The file.
        path: PathBuf,
    },
    /// The data belongs to another network.
    #[error("{} belongs to chain {found}, the genesis document is of {expected}; choose the right network or another data directory (a devnet that was made anew is a new chain); `timed db check` names all files of another chain", path.display())]
    WrongChain {
        /// The file or directory.
        path: PathBuf,
        /// The chain of the genesis document.
        expected: ChainId,
        /// The chain of the file.
        found: ChainId,
    },
    /// The vote journal belongs to another operator key.
    #[error("the vote journal {} {}", path.display(), owner_text(found.as_ref(), expected.as_ref()))]
    WrongOperator {
        /// The file.
        path: PathBuf,
        /// The configured key.
        expected: Option<PublicKey>,
        /// The journal's.
        found: Option<PublicKey>,
    },
    /// A masternode may not sign without its journal, and it is never made silently.
    #[error("there is no vote journal in {}; if this operator key has voted on this chain before, bring its votes here: `timed votes import` of what `timed votes export` wrote where it voted, or a copy of that directory; if it never has, make a journal: `timed votes new`", path.display())]
    NoJournal {
        /// The journal's directory.
        path: PathBuf,
    },
    /// A journal is never overwritten.
    #[error("{} holds a vote journal already; it is never overwritten, move it away first if it is really not needed", path.display())]
    JournalExists {
        /// The journal's directory.
        path: PathBuf,
    },
    /// A record that is larger than any may be.
    #[error("a record of {bytes} bytes exceeds the limit of {limit}")]
    RecordTooLarge {
        /// Its size.
        bytes: usize,
        /// What it may be.
        limit: usize,
    },
    /// A block that does not follow the last one of the log.
    #[error("block {found} does not follow the log, which needs block {expected} next")]
    NotNext {
        /// The height that the log needs.
        expected: Height,
        /// The block's.
        found: Height,
    },
    /// A block with more spent outputs than inputs.
    #[error("block {height} has {inputs} inputs but comes with {spent} spent outputs, which is more")]
    SpentMismatch {
        /// The block.
        height: Height,
        /// Its inputs.
        inputs: usize,
        /// The entries that came with it.
        spent: usize,
    },
    /// The index can't be opened or read, and has to be made again from the block log.
    #[error("the index {} is unusable: {reason}; `timed db reindex` builds it again from the block log", path.display())]
    Unopenable {
        /// The index's directory.
        path: PathBuf,
        /// What the database said.
        reason: String,
    },
    /// The index database failed while it was in use.
    #[error(
        "the index failed: {reason}; check the disk and restart the node, which builds a damaged index again, as `timed db reindex` does"
    )]
    Index {
        /// What the database said.
        reason: String,
    },
    /// A change for the index that does not follow the one before it.
    #[error("the index was given height {found} after height {last}")]
    IndexOrder {
        /// The height before.
        last: Height,
        /// The change's.
        found: Height,
    },
    /// A value of the index that is not what its key promises.
    #[error(
        "the index holds a malformed value in {tree}; `timed db reindex` builds it again from the block log"
    )]
    IndexMalformed {
        /// In which tree.
        tree: &'static str,
    },
    /// The index's writer thread has ended, after an error that was reported to its owner, or because it was finished.
    #[error("the index writer has stopped")]
    IndexStopped,
    /// Long work was told to stop. What it has read or written so far is sound.
    #[error("stopped before all was read")]
    Interrupted,
    /// Another process has the data directory.
    #[error("the data directory {} is in use by {}; stop it, or choose another directory", path.display(), holder_text(*holder))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process that holds it, if it could be read.
        holder: Option<u32>,
    },
}

impl StorageError {
    /// Makes an [`StorageError::Io`] of the operating system's error.
    pub fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }
}

/// What to do about an answer of the operating system that is about the disk; nothing where the answer says it.
fn advice(source: &io::Error) -> &'static str {
    use rustix::io::Errno;
    let full = "; the disk is full, make room there and start again, nothing needs repair";
    let failing = "; the disk fails: see the system's log, replace it if it goes on, and have `timed db check` say what is \
                   damaged before the next start";
    let read_only = "; the disk takes no writes any more: see the system's log for the reason, mend it, and have `timed db \
                     check` say whether something is damaged before the next start";
    // Databases keep the kind alone.
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => full,
        io::ErrorKind::ReadOnlyFilesystem => read_only,
        _ if source.raw_os_error().map(Errno::from_raw_os_error) == Some(Errno::IO) => failing,
        _ => "",
    }
}

/// Whose a vote journal is, whose it should be, and what to do.
fn owner_text(found: Option<&PublicKey>, expected: Option<&PublicKey>) -> String {
    match (found, expected) {
        (Some(found), Some(expected)) => format!(
            "belongs to operator key {found}, configured is {expected}; if the key's file was exchanged or damaged, bring the \
             right one back; else move the directory aside and keep it, since it protects that key, then `timed votes import` the votes of this key, or `timed votes new` if it never voted"
        ),
        (Some(found), None) => format!(
            "belongs to operator key {found}, but this node is to vote with none; set [masternode] enabled = true and \
             operator_key, or move the directory aside and keep it, since it protects that key"
        ),
        (None, _) => {
            "is that of a node without an operator key, which holds no votes; `timed votes new` replaces it, \
                      or `timed votes import` if the key has voted on this chain before"
                .to_owned()
        }
    }
}

fn holder_text(holder: Option<u32>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// What to do about a file of another format.
const fn version_advice(expected: u16, found: u16) -> &'static str {
    if found > expected {
        "a newer timed wrote it: install that version or a later one (`timed --version` says which format a program writes), or \
         `timed db restore` a backup of this version's time"
    } else {
        "it is older than what any release wrote: start the timed that wrote it, or move it aside and sync again"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_disk_refuses_is_told_with_the_file_and_what_to_do_and_other_refusals_without() {
        let told = |code: i32| {
            StorageError::io("sync", "votes/00000001.seg")(io::Error::from_raw_os_error(code)).to_string()
        };
        for (code, part) in
            [(28, "make room"), (122, "make room"), (5, "`timed db check`"), (30, "`timed db check`")]
        {
            let told = told(code);
            assert!(told.starts_with("cannot sync votes/00000001.seg: ") && told.contains(part), "{told}");
        }
        assert!(!told(13).contains("disk"), "permissions are no matter of the disk");
    }
}
