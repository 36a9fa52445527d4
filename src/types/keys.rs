//! Ed25519 keys and signatures, with one rule of verification everywhere.
//!
//! # Place
//! Signing is ed25519-dalek's. Verification is ed25519-zebra's by ZIP 215 (cofactored), which gives the same verdict
//! one at a time and in a batch; dalek's does not, so it never decides about consensus.
//!
//! # Invariants
//! - INV-KEYS-1: whatever is signed is a 32-byte digest with a domain and the chain id (see `hash.rs`); the exception is
//!   section 12 of [`super`].
//! - INV-KEYS-2: a verdict depends on key, digest and signature alone.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};
use ed25519_dalek::Signer as _;
use zeroize::ZeroizeOnDrop;

use super::hash::{Domain, DomainHasher, KeyHash, hash_type};

hash_type!(
    /// The encoding of an Ed25519 public key. It need not be a valid point: a signature by such a key is just invalid.
    PublicKey
);

impl PublicKey {
    /// The lock of outputs that this key can spend.
    #[must_use]
    pub fn key_hash(&self) -> KeyHash {
        KeyHash(DomainHasher::new(Domain::Key).bytes(&self.0).finish())
    }

    /// True for keys of small order and for encodings that are no point, or not the canonical one: signatures by them
    /// can be forged, don't exist, or the same point has another name; so no masternode and no peer may use one.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        let [first, middle @ .., last] = &self.0;
        // The y coordinate, without the sign bit, is at least p = 2^255 - 19.
        let exceeds_field = *first >= 0xed && middle.iter().all(|byte| *byte == 0xff) && last & 0x7f == 0x7f;
        exceeds_field || ed25519_dalek::VerifyingKey::from_bytes(&self.0).map_or(true, |key| key.is_weak())
    }

    /// The X25519 key of the same secret, to agree on a key with its owner; `None` for one that is weak.
    #[must_use]
    pub fn exchange_key(&self) -> Option<[u8; 32]> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0).ok().filter(|_| !self.is_weak())?;
        Some(key.to_montgomery().to_bytes())
    }

    /// Checks one signature by ZIP 215.
    #[must_use]
    pub fn verify(&self, digest: &[u8; 32], signature: &Signature) -> bool {
        ed25519_zebra::VerificationKey::try_from(self.0)
            .is_ok_and(|key| key.verify(&ed25519_zebra::Signature::from_bytes(&signature.0), digest).is_ok())
    }
}

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Signature(pub [u8; 64]);

impl Signature {
    /// A value that no key ever signed with: what stands where a signature comes later.
    pub const EMPTY: Self = Self([0; 64]);
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = hex::encode(self.0);
        text.truncate(8);
        write!(f, "Signature({text})")
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A private key, as its 32-byte seed. It is wiped when dropped and never printed.
#[derive(Clone, ZeroizeOnDrop)]
pub struct SecretKey(ed25519_dalek::SigningKey);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public().short())
    }
}

/// A text that is not a key of 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a private key of 64 hexadecimal digits")]
pub struct ParseKeyError;

impl FromStr for SecretKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let mut seed = zeroize::Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(text, seed.as_mut_slice()).map_err(|_| ParseKeyError)?;
        Ok(Self::from_seed(&seed))
    }
}

impl SecretKey {
    /// The key of a seed (RFC 8032).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The seed, to be written to a key file.
    #[must_use]
    pub fn seed(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.0.to_bytes())
    }

    /// Its public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The secret of [`PublicKey::exchange_key`]: the first half of the hash that RFC 8032 makes of the seed.
    #[must_use]
    pub fn exchange_secret(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.0.to_scalar_bytes())
    }

    /// Signs a digest.
    #[must_use]
    pub fn sign(&self, digest: &[u8; 32]) -> Signature {
        Signature(self.0.sign(digest).to_bytes())
    }
}

/// One signature that has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignatureCheck {
    /// Who signed.
    pub key: PublicKey,
    /// What was signed.
    pub digest: [u8; 32],
    /// The signature.
    pub signature: Signature,
}

impl SignatureCheck {
    /// Checks this one alone.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.key.verify(&self.digest, &self.signature)
    }
}

/// Checks many signatures; how (one at a time, in batches, on how many cores) is the implementor's choice, the
/// verdict is not.
pub trait SignatureVerifier {
    /// Checks all of them.
    ///
    /// # Errors
    /// The index of the first one that does not hold.
    fn verify_all(&self, checks: &[SignatureCheck]) -> Result<(), usize>;
}

/// Checks one signature after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct SequentialVerifier;

impl SignatureVerifier for SequentialVerifier {
    fn verify_all(&self, checks: &[SignatureCheck]) -> Result<(), usize> {
        checks.iter().position(|check| !check.holds()).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_key_and_digest_only() {
        let secret = SecretKey::from_seed(&[1; 32]);
        let other = SecretKey::from_seed(&[2; 32]);
        let signature = secret.sign(&[9; 32]);
        assert!(secret.public().verify(&[9; 32], &signature));
        assert!(!secret.public().verify(&[8; 32], &signature));
        assert!(!other.public().verify(&[9; 32], &signature));
        assert!(!secret.public().verify(&[9; 32], &Signature::EMPTY));
    }

    #[test]
    fn keys_of_small_order_and_non_points_are_weak() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(PublicKey(identity).is_weak());
        assert!(PublicKey([0; 32]).is_weak());
        assert!(PublicKey([0xff; 32]).is_weak());
        assert!(!SecretKey::from_seed(&[3; 32]).public().is_weak());
    }

    #[test]
    fn the_secret_is_not_printed() {
        let secret = SecretKey::from_seed(&[1; 32]);
        assert!(!format!("{secret:?}").contains(&hex::encode([1; 32])));
    }
}
