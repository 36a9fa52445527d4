//! The file that keeps a wallet's entropy under a password.
//!
//! JSON with the parameters in the clear. The key is argon2id's (RFC 9106) of the password and a fresh salt, the
//! cipher ChaCha20-Poly1305 (RFC 8439). All that is in the clear is authenticated with it.
//!
//! # Invariants
//! - INV-KEYSTORE-1: changed parameters, salt, nonce, network or ciphertext are noticed, as a wrong password is.
//! - INV-KEYSTORE-2: a file can't ask for more memory or time than [`MEMORY_KIB_MAX`] and [`ITERATIONS_MAX`].
//! - INV-KEYSTORE-3: each file has its own key (fresh salt), so a nonce is never used twice with one key.

use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::runtime::key_file::{SecretFileError, create_secret_file, read_secret_file};
use crate::types::Network;

/// Memory that deriving a key may take, at most, in 1,024 bytes.
const MEMORY_KIB_MAX: u32 = 1 << 20;
/// Passes over it, at most.
const ITERATIONS_MAX: u32 = 64;
/// Lanes, at most.
const PARALLELISM_MAX: u32 = 16;
/// What new files use: RFC 9106's second recommendation.
const NEW: KeyDerivation = KeyDerivation { memory_kib: 64 << 10, iterations: 3, parallelism: 4 };
const FORMAT_VERSION: u32 = 1;
const KDF: &str = "argon2id";
const CIPHER: &str = "chacha20poly1305";
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;

/// Why a keystore can't be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// Its file can't be read or written.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// It is not JSON of this shape.
    #[error("{path} is no keystore: {problem}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It is of another version.
    #[error(
        "{path} has the keystore version {version}, this program knows {FORMAT_VERSION}; use the newer program"
    )]
    UnknownVersion {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// It asks for more work than a keystore needs.
    #[error("{path} asks for too much or too little work to open: not a keystore that this program wrote")]
    ExcessiveParameters {
        /// Which file.
        path: PathBuf,
    },
    /// The password is wrong, or the file was changed.
    #[error(
        "the password is wrong, or {path} is damaged; your written words restore the wallet: timed wallet restore"
    )]
    WrongPassword {
        /// Which file.
        path: PathBuf,
    },
    /// Nobody could open it again, or anybody could.
    #[error("an empty password protects nothing; choose one")]
    EmptyPassword,
    /// The operating system gave no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyDerivation {
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
}

/// All that is in the clear, and authenticated.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: u32,
    network: Network,
    kdf: String,
    kdf_parameters: KeyDerivation,
    salt: String,
    cipher: String,
    nonce: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keystore {
    head: Head,
    ciphertext: String,
}

/// Only this is read of a file of unknown version.
#[derive(Deserialize)]
struct VersionOnly {
    head: VersionHead,
}

#[derive(Deserialize)]
struct VersionHead {
    version: u32,
}

/// Writes a new file.
pub(super) fn save(
    path: &Path,
    password: &str,
    network: Network,
    entropy: &[u8],
) -> Result<(), KeystoreError> {
    save_with(path, password, network, entropy, NEW)
}

fn save_with(
    path: &Path,
    password: &str,
    network: Network,
    entropy: &[u8],
    kdf_parameters: KeyDerivation,
) -> Result<(), KeystoreError> {
    if password.is_empty() {
        return Err(KeystoreError::EmptyPassword);
    }
    let (mut salt, mut nonce) = ([0_u8; SALT_BYTES], [0_u8; NONCE_BYTES]);
    getrandom::fill(&mut salt)?;
    getrandom::fill(&mut nonce)?;
    let head = Head {
        version: FORMAT_VERSION,
        network,
        kdf: KDF.to_owned(),
        kdf_parameters,
        salt: hex::encode(salt),
        cipher: CIPHER.to_owned(),
        nonce: hex::encode(nonce),
    };
    let malformed = |problem: String| KeystoreError::Malformed { path: path.to_owned(), problem };
    let authenticated = serde_json::to_vec(&head).map_err(|error| malformed(error.to_string()))?;
    let cipher = cipher_of(path, password, &salt, kdf_parameters)?;
    let sealed = cipher
        .encrypt(Nonce::from_slice(&nonce), Payload { msg: entropy, aad: &authenticated })
        .map_err(|error| malformed(error.to_string()))?;
    let keystore = Keystore { head, ciphertext: hex::encode(sealed) };
    let mut text = serde_json::to_string_pretty(&keystore).map_err(|error| malformed(error.to_string()))?;
    text.push('\n');
    Ok(create_secret_file(path, text.as_bytes())?)
}

/// Reads a file: the network and the entropy.
pub(super) fn open(path: &Path, password: &str) -> Result<(Network, Zeroizing<Vec<u8>>), KeystoreError> {
    let bytes = read_secret_file(path)?;
    let malformed = |problem: String| KeystoreError::Malformed { path: path.to_owned(), problem };
    let probe: VersionOnly = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    if probe.head.version != FORMAT_VERSION {
        return Err(KeystoreError::UnknownVersion { path: path.to_owned(), version: probe.head.version });
    }
    let Keystore { head, ciphertext } =
        serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    if head.kdf != KDF || head.cipher != CIPHER {
        return Err(malformed(format!(
            "expected {KDF} and {CIPHER}, found {} and {}",
            head.kdf, head.cipher
        )));
    }
    let (mut salt, mut nonce) = ([0_u8; SALT_BYTES], [0_u8; NONCE_BYTES]);
    let hex_error = |error: hex::FromHexError| malformed(error.to_string());
    hex::decode_to_slice(&head.salt, &mut salt).map_err(hex_error)?;
    hex::decode_to_slice(&head.nonce, &mut nonce).map_err(hex_error)?;
    let sealed = hex::decode(&ciphertext).map_err(hex_error)?;
    let authenticated = serde_json::to_vec(&head).map_err(|error| malformed(error.to_string()))?;
    let cipher = cipher_of(path, password, &salt, head.kdf_parameters)?;
    let entropy = cipher
        .decrypt(Nonce::from_slice(&nonce), Payload { msg: &sealed, aad: &authenticated })
        .map_err(|_| KeystoreError::WrongPassword { path: path.to_owned() })?;
    Ok((head.network, Zeroizing::new(entropy)))
}

fn cipher_of(
    path: &Path,
    password: &str,
    salt: &[u8],
    parameters: KeyDerivation,
) -> Result<ChaCha20Poly1305, KeystoreError> {
    let KeyDerivation { memory_kib, iterations, parallelism } = parameters;
    let excessive = || KeystoreError::ExcessiveParameters { path: path.to_owned() };
    if memory_kib > MEMORY_KIB_MAX || iterations > ITERATIONS_MAX || parallelism > PARALLELISM_MAX {
        return Err(excessive());
    }
    let mut key = Zeroizing::new([0_u8; 32]);
    let params = Params::new(memory_kib, iterations, parallelism, Some(32)).map_err(|_| excessive())?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, key.as_mut_slice())
        .map_err(|_| excessive())?;
    Ok(ChaCha20Poly1305::new((&*key).into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const QUICK: KeyDerivation = KeyDerivation { memory_kib: 64, iterations: 1, parallelism: 1 };
    const ENTROPY: [u8; 32] = [0x42; 32];

    fn saved() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("wallet.json");
        save_with(&path, "secret", Network::Devnet, &ENTROPY, QUICK).unwrap();
        (home, path)
    }

    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn it_opens_with_its_password_alone() {
        let (_home, path) = saved();
        let (network, entropy) = open(&path, "secret").unwrap();
        assert_eq!((network, entropy.as_slice()), (Network::Devnet, ENTROPY.as_slice()));
        for wrong in ["", "Secret", "secret "] {
            assert!(matches!(open(&path, wrong), Err(KeystoreError::WrongPassword { .. })));
        }
        let empty = save(&path.with_extension("2"), "", Network::Devnet, &ENTROPY);
        assert!(matches!(empty, Err(KeystoreError::EmptyPassword)));
    }

    /// INV-KEYSTORE-3.
    #[test]
    fn no_two_files_share_a_salt_or_a_nonce() {
        let (home, path) = saved();
        let second = home.path().join("second.json");
        save_with(&second, "secret", Network::Devnet, &ENTROPY, QUICK).unwrap();
        // Every text of both files: what is fresh stands in one of them only.
        let fresh = |path: &Path, other: &Path| {
            let [own, other] = [path, other].map(|path| std::fs::read_to_string(path).unwrap());
            own.split('"').filter(|part| part.len() > 20 && !other.contains(part)).count()
        };
        // Salt, nonce and ciphertext.
        assert_eq!((fresh(&path, &second), fresh(&second, &path)), (3, 3));
    }

    #[test]
    fn new_files_use_the_recommended_work() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("wallet.json");
        save(&path, "secret", Network::Mainnet, &ENTROPY).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"memory_kib\": 65536") && text.contains("\"iterations\": 3"), "{text}");
        assert!(!text.contains(&hex::encode(ENTROPY)));
        assert_eq!(open(&path, "secret").unwrap().0, Network::Mainnet);
    }

    #[test]
    fn it_is_private_and_never_overwritten() {
        let (_home, path) = saved();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = save_with(&path, "other", Network::Devnet, &[1; 32], QUICK);
        assert!(matches!(again, Err(KeystoreError::File(SecretFileError::Exists { .. }))));
        assert_eq!(open(&path, "secret").unwrap().1.as_slice(), ENTROPY);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let exposed = open(&path, "secret");
        assert!(matches!(exposed, Err(KeystoreError::File(SecretFileError::Exposed { .. }))));
    }

    /// INV-KEYSTORE-1.
    #[test]
    fn every_change_is_noticed() {
        let (_home, path) = saved();
        let text = std::fs::read_to_string(&path).unwrap();
        let keystore: serde_json::Value = serde_json::from_str(&text).unwrap();
        let flip = |value: &str| {
            let first = if value.starts_with('0') { "1" } else { "0" };
            format!("{first}{}", &value[1..])
        };
        let mut changes = vec![
            text.replace("\"devnet\"", "\"mainnet\""),
            text.replace("\"memory_kib\": 64", "\"memory_kib\": 65"),
            text.replace("\"iterations\": 1", "\"iterations\": 2"),
        ];
        for pointer in ["/head/salt", "/head/nonce", "/ciphertext"] {
            let value = keystore.pointer(pointer).unwrap().as_str().unwrap();
            changes.push(text.replace(value, &flip(value)));
        }
        for changed in changes {
            assert_ne!(changed, text);
            write(&path, &changed);
            assert!(matches!(open(&path, "secret"), Err(KeystoreError::WrongPassword { .. })), "{changed}");
        }
    }

    /// INV-KEYSTORE-2.
    #[test]
    fn hostile_files_are_refused_before_any_work() {
        let (_home, path) = saved();
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to) in [
            ("\"memory_kib\": 64", "\"memory_kib\": 4294967295"),
            ("\"memory_kib\": 64", "\"memory_kib\": 0"),
            ("\"iterations\": 1", "\"iterations\": 4294967295"),
            ("\"iterations\": 1", "\"iterations\": 0"),
            ("\"parallelism\": 1", "\"parallelism\": 16777215"),
        ] {
            write(&path, &text.replace(from, to));
            assert!(matches!(open(&path, "secret"), Err(KeystoreError::ExcessiveParameters { .. })), "{to}");
        }
        write(&path, &text.replace("\"version\": 1", "\"version\": 2"));
        assert!(matches!(open(&path, "secret"), Err(KeystoreError::UnknownVersion { version: 2, .. })));
        for broken in ["", "{}", &text.replace("argon2id", "md5"), &text.replace("\"salt\"", "\"pepper\"")] {
            write(&path, broken);
            assert!(matches!(open(&path, "secret"), Err(KeystoreError::Malformed { .. })), "{broken}");
        }
    }
}
