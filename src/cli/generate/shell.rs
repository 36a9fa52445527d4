//! Completions and manual pages, from the command line as it is.

use std::path::PathBuf;

use clap_complete::Shell;

use crate::cli::{CliError, output};

/// Arguments of `timed generate completions`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Arguments of `timed generate man`.
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Write the pages of all commands into this directory, timed.1, timed-run.1 and so on; it has to exist.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

fn text_of(bytes: Vec<u8>) -> Result<String, CliError> {
    let no_text = |_| CliError::Failed("what was generated is no UTF-8 text".to_owned());
    String::from_utf8(bytes).map_err(no_text)
}

/// The completions' text.
///
/// # Errors
/// Those of writing it.
pub(super) fn completions(args: &CompletionsArgs, mut command: clap::Command) -> Result<String, CliError> {
    let (name, mut bytes) = (command.get_name().to_owned(), Vec::new());
    clap_complete::generate(args.shell, &mut command, name, &mut bytes);
    text_of(bytes)
}

/// The page of timed(1), or none when all pages were written into a directory.
///
/// # Errors
/// When the directory can't be written to.
pub(super) fn man(args: &ManArgs, command: clap::Command) -> Result<Option<String>, CliError> {
    match &args.dir {
        Some(directory) => {
            let failed = |source| CliError::Io { path: directory.clone(), source };
            clap_mangen::generate_to(command, directory).map_err(failed)?;
            output::notice(format_args!("wrote the pages into {}", directory.display()));
            Ok(None)
        }
        None => {
            let mut bytes = Vec::new();
            clap_mangen::Man::new(command).render(&mut bytes).map_err(CliError::Output)?;
            text_of(bytes).map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, ValueEnum as _};

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn each_shell_completes_every_command() {
        let names: Vec<String> =
            Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
        assert!(names.len() > 10);
        for shell in Shell::value_variants() {
            let text = completions(&CompletionsArgs { shell: *shell }, Cli::command()).unwrap();
            let missing: Vec<&String> = names.iter().filter(|name| !text.contains(name.as_str())).collect();
            assert!(missing.is_empty(), "{shell}: {missing:?}");
        }
    }

    #[test]
    fn there_is_a_page_for_each_command_of_each_command() {
        let home = tempfile::tempdir().unwrap();
        let args = ManArgs { dir: Some(home.path().to_owned()) };
        assert!(man(&args, Cli::command()).unwrap().is_none());
        for name in ["timed", "timed-run", "timed-votes-new", "timed-generate-systemd"] {
            let page = std::fs::read_to_string(home.path().join(format!("{name}.1"))).unwrap();
            assert!(page.contains(".SH NAME"), "{page}");
        }
        let first = man(&ManArgs { dir: None }, Cli::command()).unwrap().unwrap();
        assert!(first.contains("\\-\\-config") && first.contains("wallet"), "{first}");
        let nowhere = ManArgs { dir: Some(home.path().join("none")) };
        assert!(matches!(man(&nowhere, Cli::command()), Err(CliError::Io { .. })));
    }
}
