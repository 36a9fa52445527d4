//! Passwords of keystores, and other secrets that a person or a script gives: never as an argument, where `ps` shows
//! them.

use std::collections::BTreeSet;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::CliError;
use crate::runtime::key_file::read_secret_file;

/// Characters of a new password, at least.
const PASSWORD_LETTERS_MIN: usize = 8;
/// Different characters of a new password, at least.
const DISTINCT_LETTERS_MIN: usize = 4;
/// Words that lists of stolen passwords begin with; with digits and signs around them, too.
const COMMON: [&str; 20] = [
    "password",
    "passwort",
    "passphrase",
    "qwertyuiop",
    "qwerty",
    "qwertz",
    "qwertzuiop",
    "asdfghjkl",
    "iloveyou",
    "letmein",
    "welcome",
    "admin",
    "administrator",
    "changeme",
    "secret",
    "timecoin",
    "bitcoin",
    "wallet",
    "1q2w3e4r",
    "1qaz2wsx",
];
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
    /// When there is none, it is one that is guessed at once, or the second one differs.
    pub fn read_new(&self) -> Result<Zeroizing<String>, CliError> {
        let asked = self.password_file.is_none() && !self.password_stdin;
        let password = self.read()?;
        if let Some(weakness) = weakness(&password) {
            return Err(CliError::Usage(format!(
                "this password {weakness}; nothing was written. Take four or more words that have nothing to do with each other"
            )));
        }
        if asked && *prompt("The same password again: ")? != *password {
            return Err(CliError::Usage("the two passwords differ; nothing was written".to_owned()));
        }
        Ok(password)
    }
}

/// Why a password is guessed at once. That it is not among these does not make it a good one: a keystore's work for each
/// guess buys time against a thief of the file, and these would not need any.
fn weakness(password: &str) -> Option<&'static str> {
    let letters: Vec<char> = password.to_lowercase().chars().collect();
    let distinct: BTreeSet<char> = letters.iter().copied().collect();
    let rises = letters.windows(2).all(|pair| matches!(pair, [a, b] if is_next(*a, *b)));
    let falls = letters.windows(2).all(|pair| matches!(pair, [a, b] if is_next(*b, *a)));
    let core = password.to_lowercase();
    let core = core.trim_matches(|c: char| !c.is_alphabetic());
    if letters.len() < PASSWORD_LETTERS_MIN {
        Some("has fewer than 8 characters")
    } else if distinct.len() < DISTINCT_LETTERS_MIN {
        Some("repeats fewer than 4 different characters")
    } else if rises || falls {
        Some("is a row of letters or digits in their order")
    } else if COMMON.iter().any(|common| core == *common || password.eq_ignore_ascii_case(common)) {
        Some("is one of the first that everybody tries")
    } else {
        None
    }
}

/// Whether a letter or digit comes right after another one; after 9 comes 0.
fn is_next(from: char, to: char) -> bool {
    u32::from(from) + 1 == u32::from(to) || (from, to) == ('9', '0')
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
        create_secret_file(&path, b"seven green boats\n").unwrap();
        let args = PasswordArgs { password_file: Some(path.clone()), password_stdin: false };
        assert_eq!(*args.read_new().unwrap(), "seven green boats");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(args.read(), Err(CliError::SecretFile(SecretFileError::Exposed { .. }))));
    }

    #[test]
    fn a_new_password_that_is_guessed_at_once_is_refused_and_an_old_one_is_read() {
        for weak in [
            "",
            "a1b2c3d",
            "aaaaaaaaaa",
            "abababab",
            "12345678",
            "1234567890",
            "87654321",
            "abcdefgh",
            "Password",
            "password1!",
            "QWERTYuiop",
            "1q2w3e4r",
            "secret123",
            "2024welcome",
        ] {
            assert!(weakness(weak).is_some(), "{weak}");
        }
        for good in
            ["a1b2c3d4", "seven green boats", "passwords are hard", "12345687", "correct horse", "größer8x"]
        {
            assert_eq!(weakness(good), None, "{good}");
        }
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("password");
        create_secret_file(&path, b"12345678\n").unwrap();
        let args = PasswordArgs { password_file: Some(path), password_stdin: false };
        assert!(matches!(args.read_new(), Err(CliError::Usage(_))));
        assert_eq!(*args.read().unwrap(), "12345678", "wallets of before open as they did");
    }
}
