//! What the commands of `timed db` say when they are done.
//!
//! # Place
//! [`super`] hands in what came of a command: answers go to standard output, advice to standard error.

use std::path::Path;

use serde::Serialize;

use super::super::progress::{amount, bytes_words};
use super::super::{CliError, output};
use super::command;
use crate::app::care::Unit;
use crate::app::care::backup::BackupReport;
use crate::app::care::check::CheckReport;
use crate::app::care::compact::CompactReport;
use crate::app::care::reindex::ReindexReport;
use crate::app::care::repair::RepairReport;
use crate::app::care::report::{FileKind, FileReport, FileState, Problem, ProblemKind};
use crate::app::care::restore::RestoreReport;
use crate::app::care::snapshot::SnapshotReport;

/// The answer as JSON, or as lines.
fn say(report: &impl Serialize, json: bool, lines: impl IntoIterator<Item = String>) -> Result<(), CliError> {
    if json {
        let text = serde_json::to_string_pretty(report);
        return output::line(text.map_err(|error| CliError::Failed(error.to_string()))?);
    }
    lines.into_iter().try_for_each(output::line)
}

const fn kind_words(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Genesis => "genesis document",
        FileKind::Lock => "lock",
        FileKind::IdentityKey => "identity key",
        FileKind::OperatorKey => "operator key",
        FileKind::Peers => "peers",
        FileKind::Bans => "bans",
        FileKind::Conflicts => "conflicts",
        FileKind::BlockLog => "block log",
        FileKind::VoteJournal => "vote journal",
        FileKind::Index => "index",
        FileKind::Snapshot => "snapshot",
    }
}

const fn state_words(state: FileState) -> &'static str {
    match state {
        FileState::Well => "well",
        FileState::Torn => "well, but for its end",
        FileState::Absent => "not there",
        FileState::Useless => "damaged, and not needed",
        FileState::Bad => "BAD",
    }
}

fn file_line(report: &FileReport) -> String {
    let records = match (report.kind, report.records) {
        (_, None) => String::new(),
        (FileKind::BlockLog, Some(count)) => format!(", {}", amount(Unit::Blocks, count)),
        (FileKind::Index | FileKind::Snapshot, Some(count)) => format!(", {count} unspent outputs"),
        (_, Some(count)) => format!(", {count} records"),
    };
    let note = report.note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
    let (kind, state) = (kind_words(report.kind), state_words(report.state));
    format!("  {kind:<17} {} ({}{records}): {state}{note}", report.file.display(), bytes_words(report.bytes))
}

fn problem_lines(problem: &Problem) -> Vec<String> {
    let place = problem.offset.map(|offset| format!(", byte {offset}")).unwrap_or_default();
    vec![
        format!("PROBLEM in {}{place}", problem.file.display()),
        format!("  What     {}", problem.what),
        format!("  Means    {}", problem.means),
        format!("  To do    {}", problem.repair),
    ]
}

fn check_lines(report: &CheckReport) -> Vec<String> {
    let mut lines = vec![format!("{} of chain {}", report.data_dir.display(), report.chain_id)];
    lines.extend(report.files.iter().map(file_line));
    lines.push(match (report.height, report.deep) {
        (0, _) => "no block yet".to_owned(),
        (height, false) => format!("blocks 1 to {height} follow from one another by their hashes"),
        (height, true) => {
            let from = match report.resumed_from {
                0 => String::new(),
                height => format!(" (an earlier check had come to block {height})"),
            };
            format!(
                "blocks 1 to {height} are valid, and {} signatures of their commits hold{from}",
                report.signatures
            )
        }
    });
    lines.extend(report.problems.iter().flat_map(problem_lines));
    if report.problems.is_empty() {
        lines.push("all is well".to_owned());
    }
    lines
}

/// Fails with the exit code of the worst that was found.
pub(super) fn tell_check(report: &CheckReport, json: bool) -> Result<(), CliError> {
    say(report, json, check_lines(report))?;
    let count = report.problems.len();
    let words = if count == 1 { "1 problem".to_owned() } else { format!("{count} problems") };
    match report.worst() {
        None => Ok(()),
        Some(ProblemKind::Damaged) => {
            Err(CliError::Damaged(format!("{words} in {}", report.data_dir.display())))
        }
        Some(ProblemKind::Foreign) => {
            Err(CliError::Foreign(format!("{words} in {}", report.data_dir.display())))
        }
    }
}

/// Fails if something else than the block log is wrong.
pub(super) fn tell_repair(report: &RepairReport, config: &Path, json: bool) -> Result<(), CliError> {
    let line = match &report.aside {
        Some(aside) => format!(
            "the block log ends at block {} now; what was behind it is in {}",
            report.height,
            aside.display()
        ),
        None => format!("there is nothing to cut: the block log is whole up to block {}", report.height),
    };
    say(report, json, [line])?;
    let rest: Vec<&Problem> =
        report.found.problems.iter().filter(|problem| !is_of_block_log(report, problem)).collect();
    if report.aside.is_some() {
        output::notice(format_args!(
            "start the node (timed --config {}): it builds its index again and fetches the missing blocks from its peers. \
             Remove the directory aside once it is synced.",
            config.display()
        ));
    }
    if rest.is_empty() {
        return Ok(());
    }
    rest.into_iter().flat_map(problem_lines).for_each(output::notice);
    let words = "this command repairs the block log alone; follow what is said above";
    Err(match report.found.worst() {
        Some(ProblemKind::Foreign) => CliError::Foreign(words.to_owned()),
        _ => CliError::Damaged(words.to_owned()),
    })
}

/// Whether the repair has taken care of it.
fn is_of_block_log(report: &RepairReport, problem: &Problem) -> bool {
    let of_file = |file: &FileReport| file.file == problem.file && file.kind == FileKind::BlockLog;
    report.aside.is_some() && report.found.files.iter().any(of_file)
}

pub(super) fn tell_reindex(report: &ReindexReport, json: bool) -> Result<(), CliError> {
    let from = match report.resumed_from {
        0 => String::new(),
        height => format!(" (an earlier call had come to block {height})"),
    };
    let line = format!(
        "built {} up to block {}{from}: {} unspent outputs, {} before, {} now",
        report.index.display(),
        report.height,
        report.unspent,
        bytes_words(report.bytes_before),
        bytes_words(report.bytes_after)
    );
    say(report, json, [line])
}

pub(super) fn tell_compact(report: &CompactReport, json: bool) -> Result<(), CliError> {
    let CompactReport { index, bytes_before, bytes_after, .. } = report;
    let given = match bytes_before.checked_sub(*bytes_after).filter(|bytes| *bytes > 0) {
        Some(given) => format!(
            "{} before, {} now, {} given back",
            bytes_words(*bytes_before),
            bytes_words(*bytes_after),
            bytes_words(given)
        ),
        None => format!("{}, and a copy would not be smaller", bytes_words(*bytes_before)),
    };
    let from = match report.resumed_from {
        0 => String::new(),
        entries => format!(" (an earlier call had copied {entries} entries)"),
    };
    let mut lines = vec![format!("{}: {given}{from}", index.display())];
    if !report.removed.is_empty() {
        let removed: Vec<String> = report.removed.iter().map(|path| path.display().to_string()).collect();
        lines.push(format!("removed {}: {}", removed.join(", "), bytes_words(report.bytes_removed)));
    }
    let unused = report.unused.iter().map(|path| {
        format!(
            "{} is of another storage.engine and not used; remove it, or keep it to change back",
            path.display()
        )
    });
    lines.extend(unused);
    say(report, json, lines)
}

pub(super) fn tell_backup(report: &BackupReport, json: bool) -> Result<(), CliError> {
    let node = if report.was_running { "running" } else { "stopped" };
    let line = format!(
        "wrote {} of the {node} node at block {}, {}, and read it again",
        report.file.display(),
        report.height,
        bytes_words(report.bytes)
    );
    say(report, json, [line])?;
    if report.first > 1 {
        output::notice(format_args!(
            "earlier blocks than {} are not in it, as they are not here; the node that is restored begins with its snapshot",
            report.first
        ));
    }
    output::notice(
        "the vote journal is not in it: a key that goes on with an old journal is slashed. To move a masternode, stop it \
         for good and use `timed votes export --move`.",
    );
    output::notice(if report.with_keys {
        "WARNING: the node's keys are in it; keep it where nobody else reads it, and never run two nodes with them"
    } else {
        "the keys are not in it (--with-keys); keep copies of them elsewhere"
    });
    Ok(())
}

pub(super) fn tell_snapshot(report: &SnapshotReport, what: &str, json: bool) -> Result<(), CliError> {
    let SnapshotReport { path, height, block_hash, outputs } = report;
    let line = format!("{what}: {}, block {height}:{block_hash}, {outputs} unspent outputs", path.display());
    say(report, json, [line])
}

pub(super) fn tell_restore(report: &RestoreReport, json: bool) -> Result<(), CliError> {
    let line = format!("{} holds the node up to block {}", report.home.display(), report.height);
    say(report, json, [line])?;
    restore_steps(report).iter().try_for_each(|step| {
        output::notice(step);
        Ok(())
    })
}

/// What an operator does next.
fn restore_steps(report: &RestoreReport) -> Vec<String> {
    let config = &report.config;
    let mut steps = vec!["Next:".to_owned()];
    if report.is_masternode {
        if !report.has_operator_key {
            steps.push(format!(
                "  bring the operator key back as {}, mode 600",
                report.home.join("operator.key").display()
            ));
        }
        steps.push("  make sure that no other node has this operator key, and never will".to_owned());
        steps.push(format!(
            "  if you have an export of the votes, made when the node was stopped for good: {}",
            command("votes import FILE", config)
        ));
        steps.push(format!(
            "  otherwise: {}, and the key signs from the next epoch on",
            command("votes new", config)
        ));
    }
    steps.push(format!("  timed --config {}", config.display()));
    steps.push("  it builds its index and fetches what came after the backup from its peers".to_owned());
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ChainId;

    /// A masternode that goes on without a journal is slashed: nobody may be left to guess.
    #[test]
    fn a_restored_masternode_is_told_of_its_journal_and_a_full_node_is_not() {
        let steps = |is_masternode, has_operator_key| {
            let (home, config) = ("home".into(), "home/config.toml".into());
            let chain_id = ChainId::ZERO;
            let report = RestoreReport { home, config, chain_id, height: 7, is_masternode, has_operator_key };
            restore_steps(&report).join("\n")
        };
        let told = steps(true, true);
        assert!(told.contains("timed votes new --config home/config.toml"), "{told}");
        assert!(told.contains("timed votes import FILE --config home/config.toml"), "{told}");
        assert!(!told.contains("bring the operator key"), "{told}");
        assert!(steps(true, false).contains("home/operator.key"));
        assert!(!steps(false, false).contains("votes"));
    }
}
