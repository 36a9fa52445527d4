//! Files that a command makes: one that is there is never overwritten.

use std::path::Path;

use super::CliError;

/// Refuses a name that is taken, before any work or question; `flag` is how another name is given.
pub(super) fn refuse_existing(path: Option<&Path>, flag: &str) -> Result<(), CliError> {
    match path {
        Some(path) if path.exists() => Err(CliError::Failed(format!(
            "{} exists already and is not overwritten; choose another name by {flag}",
            path.display()
        ))),
        _ => Ok(()),
    }
}
