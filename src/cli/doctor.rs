//! `timed doctor`: says in plain words why a node isn't syncing, voting or seeing blocks, each with the next step.
//!
//! [`facts`] asks the machine and the node, [`findings`] judges what they say and does nothing else.

mod facts;
mod findings;

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;

use self::facts::Facts;
use self::findings::{Finding, Severity, examine};
use super::new_file::refuse_existing;
use super::rpc_client::ConnectionArgs;
use super::{CliError, ExitKind, output};

/// Arguments of `timed doctor`.
#[derive(ClapArgs, Clone, Debug)]
pub struct Args {
    /// Which node; with --config its machine, disk and ports are looked at as well
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Write all that was found out to this file, for whoever helps; no key, cookie or password is in it
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
}

const fn mark(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "ok   ",
        Severity::Note => "note ",
        Severity::Warning => "WARN ",
        Severity::Error => "ERROR",
    }
}

/// The lines for people: what is wrong first, then what is well.
#[must_use]
fn lines(findings: &[Finding]) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in findings {
        lines.push(format!("{} {}", mark(finding.severity), finding.says));
        if !finding.next.is_empty() {
            lines.push(format!("      -> {}", finding.next));
        }
    }
    let bad = findings.iter().filter(|finding| finding.severity >= Severity::Warning).count();
    lines.push(String::new());
    lines.push(match bad {
        0 => "All is well.".to_owned(),
        1 => "One thing needs attention.".to_owned(),
        _ => format!("{bad} things need attention."),
    });
    lines
}

/// As the node itself would end for it.
fn kind_of(check: &str) -> ExitKind {
    match check {
        "config" => ExitKind::Usage,
        "journal" | "chain" => ExitKind::DataDirectory,
        _ => ExitKind::Failed,
    }
}

/// Looks at the node and its machine, and says what it found. Fails if anything is an error, so that scripts can ask.
///
/// # Errors
/// When anything is wrong that keeps the node from its work, or the bundle can't be written.
pub async fn run(args: Args) -> Result<(), CliError> {
    refuse_existing(args.bundle.as_deref(), "--bundle")?;
    let facts = Facts::gather(&args.connection).await;
    let findings = examine(&facts);
    if args.json {
        output::line(json!(findings))?;
    } else {
        lines(&findings).iter().try_for_each(output::line)?;
    }
    if let Some(path) = &args.bundle {
        let failed = |source| CliError::Io { path: path.clone(), source };
        let text = format!("{:#}\n", json!({ "findings": findings, "facts": facts }));
        let mut file = std::fs::File::create_new(path).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        output::notice(format_args!("wrote {}", path.display()));
    }
    let mut errors = findings.iter().filter(|finding| finding.severity == Severity::Error).peekable();
    match errors.peek().map(|first| kind_of(first.check)) {
        None => Ok(()),
        Some(kind) => Err(CliError::Ill { errors: errors.count(), kind }),
    }
}
