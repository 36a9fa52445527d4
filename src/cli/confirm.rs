//! Asks a person before something happens that can't be taken back.

use std::io::{BufRead, IsTerminal as _};

use super::{CliError, output};

/// Bytes of an answer that are read, at most.
const ANSWER_BYTES_MAX: u64 = 64;

/// What a command does where nobody can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OffTerminal {
    /// The command line says all that matters: it goes on.
    GoesOn,
    /// A person has to look at it first: it wants `--yes`.
    WantsYes,
}

/// Goes on after a yes: that of `--yes`, or one that is typed at the terminal. `what` is what would happen, such as
/// "send it".
///
/// # Errors
/// When the answer is another one, or nobody can be asked and [`OffTerminal::WantsYes`] holds.
pub(super) fn confirm(what: &str, yes: bool, off_terminal: OffTerminal) -> Result<(), CliError> {
    let stdin = std::io::stdin();
    let is_terminal = stdin.is_terminal();
    if yes || !is_terminal && off_terminal == OffTerminal::GoesOn {
        return Ok(());
    }
    if !is_terminal {
        return Err(CliError::Usage(format!(
            "there is no terminal to ask whether to {what}; look at what is shown, and say --yes"
        )));
    }
    output::notice(format_args!("Type yes to {what}:"));
    if is_yes(stdin.lock()) {
        return Ok(());
    }
    Err(CliError::Failed(format!("did not {what}: the answer was not yes")))
}

fn is_yes(answer: impl BufRead) -> bool {
    let mut line = String::new();
    let read = answer.take(ANSWER_BYTES_MAX).read_line(&mut line);
    read.is_ok() && matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (answer, expected) in
            [("yes\n", true), (" Y \n", true), ("YES", true), ("", false), ("\n", false), ("no\n", false)]
        {
            assert_eq!(is_yes(answer.as_bytes()), expected, "{answer:?}");
        }
        assert!(!is_yes("yes, but\n".as_bytes()) && !is_yes([0xff, b'\n'].as_slice()));
        assert!(confirm("send it", true, OffTerminal::WantsYes).is_ok());
    }
}
