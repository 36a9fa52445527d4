//! The one place that prints.
//!
//! Answers go to standard output, everything else to standard error, so that scripts can use the answers as they are.

use std::fmt::Display;
use std::io;

use super::CliError;

/// Prints a line of a command's answer.
///
/// # Errors
/// When standard output can't be written. A reader that went away (`timed ... | head`) is none.
pub fn line(text: impl Display) -> Result<(), CliError> {
    write_to(io::stdout().lock(), text)
}

/// Tells something that is no part of the answer.
pub fn notice(text: impl Display) {
    // Nobody is left to tell when standard error is gone.
    let _ = write_to(io::stderr().lock(), text);
}

/// Tells why the command failed.
pub fn error(error: &CliError) {
    notice(format_args!("error: {error}"));
}

fn write_to(mut writer: impl io::Write, text: impl Display) -> Result<(), CliError> {
    match writeln!(writer, "{text}").and_then(|()| writer.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Output(error)),
        _ => Ok(()),
    }
}
