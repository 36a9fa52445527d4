//! What a check of a data directory says of files, and of what is wrong with them.
//!
//! # Place
//! Made by [`check`](super::check) and by what it is made of; shown by `timed db check`.

use std::path::PathBuf;

use serde::Serialize;

/// How a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// As it should be.
    Well,
    /// It ends with what a crash left, which the next start cuts off.
    Torn,
    /// Not there, and that is well too.
    Absent,
    /// Damaged, and of no consequence: the next start sets it aside.
    Useless,
    /// See the problems.
    Bad,
}

/// Which part of a node's data a file is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// The genesis document.
    Genesis,
    /// The lock of the data directory.
    Lock,
    /// The key that names the node among peers.
    IdentityKey,
    /// The key that votes.
    OperatorKey,
    /// The addresses of peers, which a node finds again without it.
    Peers,
    /// Who is banned, which a node does without.
    Bans,
    /// Payments that lost their coin, which a node does without.
    Conflicts,
    /// A file of the block log.
    BlockLog,
    /// A file of the vote journal.
    VoteJournal,
    /// The directory of the index.
    Index,
    /// The directory of a snapshot.
    Snapshot,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// Which one.
    pub file: PathBuf,
    /// What it holds.
    pub kind: FileKind,
    /// How it is.
    pub state: FileState,
    /// Its size, in bytes.
    pub bytes: u64,
    /// Blocks, frames of votes, or unspent outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// What else there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What kind of problem it is, which is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// Of another network, of another key, or of another version of the program.
    Foreign,
    /// Not what was written.
    Damaged,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// With which file.
    pub file: PathBuf,
    /// Where in it, in bytes; absent for a whole file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Which kind.
    pub kind: ProblemKind,
    /// What is wrong.
    pub what: String,
    /// What that means for the node.
    pub means: &'static str,
    /// The command that repairs it, or what to do where none does.
    pub repair: String,
}
