//! Passwords of keystores, and other secrets that a person or a script gives: never as an argument, where `ps` shows
//! them.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::CliError;
use crate::runtime::key_file::read_secret_file;

/// Bytes of a password, at most.
const PASSWORD_BYTES_MAX: u64 = 1_024;

/// Where the password comes from; without a flag it is asked for.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct PasswordArgs {
    /// Read the password from a file that only its owner can read (its first line).
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin")]
    password_file: Option<PathBuf>,
    /// Read the password from standard input (its first line).
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordArgs {
    /// Whether a flag says where the password comes from.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        self.password_file.is_some() || self.password_stdin
    }

    /// The password of a keystore that exists.
    ///
    /// # Errors
    /// When there is none, or its file can be read by others.
    pub fn read(&self) -> Result<Zeroizing<String>, CliError> {
        match &self.password_file {
            Some(path) => {
                let bytes = read_secret_file(path)?;
                let problem = || CliError::Usage(format!("{} does not hold UTF-8 text", path.display()));
                first_line(&bytes).ok_or_else(problem)
            }
            None if self.password_stdin => {
                read_first_line(std::io::stdin().lock()).map_err(|source| from_stdin(&source))
            }
            None => prompt("Password of the wallet: "),
        }
    }

    /// The password of a new keystore, asked for twice at a prompt.
    ///
    /// # Errors
    /// When there is none, or the second one differs.
    pub fn read_new(&self) -> Result<Zeroizing<String>, CliError> {
        let asked = self.password_file.is_none() && !self.password_stdin;
        let password = self.read()?;
        if asked && *prompt("The same password again: ")? != *password {
            return Err(CliError::Usage("the two passwords differ; nothing was written".to_owned()));
        }
        Ok(password)
    }
}

/// Asks for a secret on the terminal without showing it.
///
/// # Errors
/// When there is no terminal.
pub fn prompt(question: &str) -> Result<Zeroizing<String>, CliError> {
    if !std::io::stdin().is_terminal() {
        let hint = "there is no terminal to ask for a password; use --password-file or --password-stdin";
        return Err(CliError::Usage(hint.to_owned()));
    }
    rpassword::prompt_password(question).map(Zeroizing::new).map_err(|source| from_stdin(&source))
}

fn from_stdin(source: &std::io::Error) -> CliError {
    CliError::Usage(format!("no password could be read: {source}"))
}

fn read_first_line(reader: impl std::io::BufRead) -> std::io::Result<Zeroizing<String>> {
    // Reserved at once: a growing vector would leave copies of the password behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(PASSWORD_BYTES_MAX as usize + 1));
    reader.take(PASSWORD_BYTES_MAX + 1).read_until(b'\n', &mut bytes)?;
    if bytes.len() as u64 > PASSWORD_BYTES_MAX {
        return Err(std::io::Error::other("it is longer than 1,024 bytes"));
    }
    first_line(&bytes).ok_or_else(|| std::io::Error::other("it is not UTF-8 text"))
}

fn first_line(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let line = std::str::from_utf8(bytes).ok()?.split('\n').next().unwrap_or_default();
    Some(Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::runtime::key_file::{SecretFileError, create_secret_file};

    #[test]
    fn a_password_is_the_first_line_with_its_spaces() {
        for (input, password) in [("a b \n", "a b "), ("x", "x"), ("x\r\ny\n", "x"), ("", "")] {
            assert_eq!(*read_first_line(input.as_bytes()).unwrap(), password);
        }
        assert!(read_first_line([0xff, b'\n'].as_slice()).is_err());
        assert!(read_first_line([b'x'; 1_025].as_slice()).is_err());
    }

    #[test]
    fn a_password_file_must_be_private() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("password");
        create_secret_file(&path, b"secret\n").unwrap();
        let args = PasswordArgs { password_file: Some(path.clone()), password_stdin: false };
        assert_eq!(*args.read_new().unwrap(), "secret");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(args.read(), Err(CliError::SecretFile(SecretFileError::Exposed { .. }))));
    }
}
