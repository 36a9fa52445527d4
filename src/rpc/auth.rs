//! Who may call: a cookie file, configured users, HTTP Basic.
//!
//! # Place
//! `rpc/server.rs` makes one [`Authenticator`] at start; `rpc/http.rs` asks it about every request.
//!
//! # Invariants
//! - A comparison with a secret takes the same time whatever the secret is: both sides go through
//!   HMAC-SHA256 and the tags are compared in constant time.
//! - Neither secrets nor what callers presented reach a log or an error.
//! - INV-AUTH-3: the cookie file is readable by its owner alone from its first byte on.
//!
//! Users are configured as Bitcoin Core's `rpcauth`: `user:salt$hash`, the hash being HMAC-SHA256 of the password under
//! the salt, in hexadecimal. A plain password in a configuration file would leak with every copy of that file. Behind it a
//! role may stand, `user:salt$hash:wallet`; without one, and with the cookie, one may call everything.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::base64;
use crate::runtime::config::RpcRole;

/// The user name in a cookie file.
pub const COOKIE_USER: &str = "__cookie__";
/// Bytes of an `Authorization` header that are looked at, at most.
const AUTHORIZATION_BYTES_MAX: usize = 1_024;

/// A user, and what it may call.
#[derive(Clone, PartialEq, Eq)]
pub struct RpcUser {
    name: String,
    salt: String,
    hash: [u8; 32],
    role: RpcRole,
}

impl std::fmt::Debug for RpcUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RpcUser({})", self.name.escape_debug())
    }
}

/// A text that is no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an RPC user as name:salt$hash or name:salt$hash:role, the hash being HMAC-SHA256(salt, password) in \
     hexadecimal, the role read, wallet or admin"
)]
pub struct ParseRpcUserError;

impl FromStr for RpcUser {
    type Err = ParseRpcUserError;

    fn from_str(text: &str) -> Result<Self, ParseRpcUserError> {
        let (name, rest) = text.split_once(':').ok_or(ParseRpcUserError)?;
        let (salt, rest) = rest.split_once('$').ok_or(ParseRpcUserError)?;
        let (hash_text, role) = rest.split_once(':').unwrap_or((rest, RpcRole::Admin.name()));
        let role = RpcRole::of_name(role).ok_or(ParseRpcUserError)?;
        if name.is_empty() || salt.is_empty() || name == COOKIE_USER {
            return Err(ParseRpcUserError);
        }
        let mut hash = [0; 32];
        hex::decode_to_slice(hash_text, &mut hash).map_err(|_| ParseRpcUserError)?;
        Ok(Self { name: name.to_owned(), salt: salt.to_owned(), hash, role })
    }
}

fn tag(key: &[u8], message: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(message);
    Some(mac)
}

impl RpcUser {
    /// A user with a password, as it stands in a configuration.
    #[must_use]
    pub fn line(name: &str, salt: &str, password: &str, role: RpcRole) -> Option<String> {
        let hash = tag(salt.as_bytes(), password.as_bytes())?.finalize().into_bytes();
        Some(format!("{name}:{salt}${}:{}", hex::encode(hash), role.name()))
    }

    fn admits(&self, name: &str, password: &str) -> bool {
        let fits = tag(self.salt.as_bytes(), password.as_bytes())
            .is_some_and(|mac| mac.verify_slice(&self.hash).is_ok());
        fits & (self.name == name)
    }
}

/// Why no cookie could be made.
#[derive(Debug, thiserror::Error)]
pub enum CookieError {
    /// The operating system gave no randomness.
    #[error("the operating system gives no random bytes for the RPC cookie: {detail}")]
    Randomness {
        /// What it said.
        detail: String,
    },
    /// The file could not be written.
    #[error("can't write the RPC cookie {path}: {source}; check that the data directory is writable")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn random_bytes() -> Result<Zeroizing<[u8; 32]>, CookieError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut()).map_err(|error| CookieError::Randomness { detail: error.to_string() })?;
    Ok(bytes)
}

/// Writes `__cookie__:random` beside its place with mode 0600, then moves it there. Blocks on the disk.
fn write_cookie(path: &Path) -> Result<Zeroizing<String>, CookieError> {
    let failed = |source| CookieError::Write { path: path.to_owned(), source };
    let password = Zeroizing::new(hex::encode(random_bytes()?.as_ref()));
    let cookie = Zeroizing::new(format!("{COOKIE_USER}:{}", password.as_str()));
    let staged = path.with_extension("new");
    match std::fs::remove_file(&staged) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&staged)
        .and_then(|mut file| file.write_all(cookie.as_bytes()))
        .and_then(|()| std::fs::rename(&staged, path))
        .map_err(failed)?;
    Ok(cookie)
}

/// What a request's credentials are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// None were given.
    Absent,
    /// Someone known, and what that one may call.
    Valid(RpcRole),
    /// Given, and wrong.
    Wrong,
}

/// Knows the cookie and the users of a running server.
pub struct Authenticator {
    cookie: Option<(PathBuf, Zeroizing<String>)>,
    users: Vec<RpcUser>,
    /// Makes the tags that are compared unpredictable.
    key: Zeroizing<[u8; 32]>,
}

impl Authenticator {
    /// Writes a new cookie, where one is wanted. Blocks on the disk.
    ///
    /// # Errors
    /// When there is no randomness or the file can't be written.
    pub fn start(cookie_path: Option<PathBuf>, users: Vec<RpcUser>) -> Result<Self, CookieError> {
        let key = random_bytes()?;
        let cookie = match cookie_path {
            Some(path) => {
                let cookie = write_cookie(&path)?;
                Some((path, cookie))
            }
            None => None,
        };
        Ok(Self { cookie, users, key })
    }

    /// Removes the cookie file. Blocks on the disk.
    pub fn stop(&self) {
        if let Some((path, _)) = &self.cookie
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!(path = %path.display(), %error, "Could not remove the RPC cookie");
        }
    }

    /// Judges the value of an `Authorization` header.
    #[must_use]
    pub fn judge(&self, authorization: Option<&str>) -> Credentials {
        let Some(header) = authorization else {
            return Credentials::Absent;
        };
        let presented = (header.len() <= AUTHORIZATION_BYTES_MAX)
            .then_some(header)
            .and_then(|header| header.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            .and_then(|(_, token)| base64::decode(token.trim()))
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map(Zeroizing::new);
        match presented {
            Some(pair) => self.role_of(&pair).map_or(Credentials::Wrong, Credentials::Valid),
            None => Credentials::Wrong,
        }
    }

    fn role_of(&self, pair: &str) -> Option<RpcRole> {
        let cookie = self.cookie.as_ref().is_some_and(|(_, cookie)| {
            let expected = tag(self.key.as_ref(), cookie.as_bytes()).map(|mac| mac.finalize().into_bytes());
            match (tag(self.key.as_ref(), pair.as_bytes()), expected) {
                (Some(mac), Some(expected)) => mac.verify_slice(&expected).is_ok(),
                _ => false,
            }
        });
        let (name, password) = pair.split_once(':').unwrap_or((pair, ""));
        // All are asked, so that the time says nothing of who it was.
        self.users.iter().fold(cookie.then_some(RpcRole::Admin), |role, user| {
            role.max(user.admits(name, password).then_some(user.role))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn basic(pair: &str) -> String {
        format!("Basic {}", base64::encode(pair.as_bytes()))
    }

    #[test]
    fn a_user_is_what_bitcoins_rpcauth_makes_of_it() {
        // Computed with Python's hmac, as Bitcoin Core's share/rpcauth/rpcauth.py does.
        let line = RpcUser::line("alice", "f00d", "secret", RpcRole::Admin).unwrap();
        // As Bitcoin Core writes it, without a role.
        let line = line.strip_suffix(":admin").unwrap();
        assert_eq!(line.len(), "alice:f00d$".len() + 64);
        let users = vec![line.parse::<RpcUser>().unwrap()];
        let auth = Authenticator::start(None, users).unwrap();
        assert_eq!(auth.judge(Some(&basic("alice:secret"))), Credentials::Valid(RpcRole::Admin));
        for wrong in ["alice:Secret", "alice:", "alice", "bob:secret", ":secret", ""] {
            assert_eq!(auth.judge(Some(&basic(wrong))), Credentials::Wrong, "{wrong}");
        }
        assert_eq!(auth.judge(None), Credentials::Absent);
        for text in [
            "alice",
            "alice:x",
            "alice:$00",
            ":a$00",
            "alice:a$zz",
            "__cookie__:a$00",
            &format!("{line}:root"),
            &format!("{line}:"),
        ] {
            assert_eq!(text.parse::<RpcUser>(), Err(ParseRpcUserError), "{text}");
        }
    }

    #[test]
    fn users_have_the_role_that_stands_behind_them() {
        let users = [("reader", RpcRole::Read), ("shop", RpcRole::Wallet), ("boss", RpcRole::Admin)];
        let parsed =
            users.map(|(name, role)| RpcUser::line(name, "f00d", "x", role).unwrap().parse().unwrap());
        let auth = Authenticator::start(None, parsed.to_vec()).unwrap();
        for (name, role) in users {
            assert_eq!(auth.judge(Some(&basic(&format!("{name}:x")))), Credentials::Valid(role));
            assert_eq!(auth.judge(Some(&basic(&format!("{name}:y")))), Credentials::Wrong);
        }
    }

    #[test]
    fn a_password_may_have_colons() {
        let line = RpcUser::line("alice", "f00d", ":se:cret:", RpcRole::Admin).unwrap();
        let auth = Authenticator::start(None, vec![line.parse().unwrap()]).unwrap();
        assert_eq!(auth.judge(Some(&basic("alice::se:cret:"))), Credentials::Valid(RpcRole::Admin));
        for wrong in ["alice:se:cret:", "alice::se:cret", "alice::se", "alice:cret:"] {
            assert_eq!(auth.judge(Some(&basic(wrong))), Credentials::Wrong, "{wrong}");
        }
    }

    /// INV-AUTH-3.
    #[test]
    fn the_cookie_is_private_new_at_each_start_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".cookie");
        std::fs::write(&path, "left behind").unwrap();
        let auth = Authenticator::start(Some(path.clone()), Vec::new()).unwrap();
        let cookie = std::fs::read_to_string(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(cookie.starts_with("__cookie__:") && cookie.len() == COOKIE_USER.len() + 65);
        assert_eq!(auth.judge(Some(&basic(&cookie))), Credentials::Valid(RpcRole::Admin));
        assert_eq!(auth.judge(Some(&basic(&cookie[..cookie.len() - 1]))), Credentials::Wrong);
        let again = Authenticator::start(Some(path.clone()), Vec::new()).unwrap();
        assert_eq!(again.judge(Some(&basic(&cookie))), Credentials::Wrong);
        again.stop();
        assert!(!path.exists());
    }

    #[test]
    fn other_schemes_and_rubbish_are_wrong() {
        let auth = Authenticator::start(None, Vec::new()).unwrap();
        let long = basic(&"x".repeat(AUTHORIZATION_BYTES_MAX));
        for header in ["", "Basic", "Basic !!!!", "Bearer Zm9v", long.as_str(), "Basic Og=="] {
            assert_eq!(auth.judge(Some(header)), Credentials::Wrong, "{header}");
        }
    }

    #[test]
    fn an_unwritable_place_is_named() {
        let error = Authenticator::start(Some("/nonexistent/.cookie".into()), Vec::new()).err().unwrap();
        assert!(error.to_string().contains("/nonexistent/.cookie"));
    }

    /// INV-AUTH-3: else a node that was killed in a start would never start again.
    #[test]
    fn a_cookie_is_made_though_an_earlier_start_left_a_part_of_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".cookie");
        let part = path.with_extension("new");
        std::fs::write(&part, "__cookie__:12").unwrap();
        std::fs::set_permissions(&part, std::fs::Permissions::from_mode(0o644)).unwrap();
        let auth = Authenticator::start(Some(path.clone()), Vec::new()).unwrap();
        let cookie = std::fs::read_to_string(&path).unwrap();
        assert_eq!(auth.judge(Some(&basic(&cookie))), Credentials::Valid(RpcRole::Admin));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!part.exists());
    }
}
