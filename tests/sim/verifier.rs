//! Checks each signature once for all nodes of a world.

use std::collections::HashMap;
use std::sync::Mutex;

use curve25519_dalek::{EdwardsPoint, Scalar};
use sha2::{Digest as _, Sha512};
use timed::types::{PublicKey, SecretKey, Signature, SignatureCheck, SignatureVerifier};

/// All that is checked: digest, signature, key.
type Checked = ([u8; 32], [u8; 64], [u8; 32]);

/// One in so many signatures is also made anew and compared.
const MADE_ANEW_ONE_IN: u8 = 64;

#[derive(Default)]
pub struct CachingVerifier {
    verdicts: Mutex<HashMap<Checked, bool>>,
    secrets: HashMap<[u8; 32], Known>,
}

/// A secret key, as RFC 8032 uses it.
struct Known {
    secret: SecretKey,
    scalar: Scalar,
    prefix: [u8; 32],
}

fn hash(parts: [&[u8]; 3]) -> Scalar {
    let hasher = parts.iter().fold(Sha512::new(), Sha512::chain_update);
    Scalar::from_bytes_mod_order_wide(&hasher.finalize().into())
}

impl Known {
    fn new(secret: SecretKey) -> Self {
        let halves: [u8; 64] = Sha512::digest(*secret.seed()).into();
        let (scalar, prefix) = halves.split_at(32);
        let scalar: [u8; 32] = scalar.try_into().expect("half of it");
        let scalar = Scalar::from_bytes_mod_order(curve25519_dalek::scalar::clamp_integer(scalar));
        Self { secret, scalar, prefix: prefix.try_into().expect("half of it") }
    }

    /// Whether the signature is the one that follows from the key and the digest. Its `R` is not computed, at a tenth of
    /// the cost: its `S` is right for this `R` alone, and nobody here finds another one, without this key, that it would
    /// be right for.
    fn has_signed(&self, digest: &[u8; 32], signature: &Signature, key: &PublicKey) -> bool {
        let (r, s) = signature.0.split_at(32);
        let nonce = hash([&self.prefix, digest, &[]]);
        (nonce + hash([r, &key.0, digest]) * self.scalar).as_bytes().as_slice() == s
    }
}

impl Known {
    /// Another signature of the same digest, which is as good: its `R` is another one.
    fn sign_otherwise(&self, digest: &[u8; 32], key: &PublicKey, salt: u64) -> Signature {
        let nonce = hash([&self.prefix, digest, &salt.to_le_bytes()]);
        let r = EdwardsPoint::mul_base(&nonce).compress().to_bytes();
        let s = nonce + hash([&r, &key.0, digest]) * self.scalar;
        let mut signature = Signature::EMPTY;
        signature.0[..32].copy_from_slice(&r);
        signature.0[32..].copy_from_slice(s.as_bytes());
        signature
    }
}

impl CachingVerifier {
    /// What the owner of a known key could sign as well.
    pub fn other_signature(&self, key: &PublicKey, digest: &[u8; 32], salt: u64) -> Option<Signature> {
        self.secrets.get(&key.0).map(|known| known.sign_otherwise(digest, key, salt))
    }

    /// With these keys known. What their signatures are follows from key and digest (RFC 8032); what differs is checked
    /// as a node checks it.
    pub fn knowing(secrets: impl Iterator<Item = SecretKey>) -> Self {
        let secrets = secrets.map(|secret| (secret.public().0, Known::new(secret))).collect();
        Self { secrets, ..Self::default() }
    }

    fn holds(&self, check: &SignatureCheck) -> bool {
        let SignatureCheck { key, digest, signature } = check;
        let known = self.secrets.get(&key.0).filter(|known| known.has_signed(digest, signature, key));
        let Some(known) = known else { return check.holds() };
        assert!(
            !digest[0].is_multiple_of(MADE_ANEW_ONE_IN) || known.secret.sign(digest) == *signature,
            "a signature of {key} that is not as RFC 8032 makes it"
        );
        true
    }
}

impl SignatureVerifier for CachingVerifier {
    fn verify_all(&self, checks: &[SignatureCheck]) -> Result<(), usize> {
        let mut verdicts = self.verdicts.lock().expect("no panic while locked");
        // The key is all that was checked.
        let holds = |check: &SignatureCheck| {
            *verdicts
                .entry((check.digest, check.signature.0, check.key.0))
                .or_insert_with(|| self.holds(check))
        };
        checks.iter().map(holds).position(|holds| !holds).map_or(Ok(()), Err)
    }
}

#[test]
fn a_known_keys_signature_is_told_from_a_spoiled_one() {
    let secret = SecretKey::from_seed(&[7; 32]);
    let known = Known::new(secret.clone());
    let other = known.sign_otherwise(&[9; 32], &secret.public(), 1);
    assert!(other != secret.sign(&[9; 32]) && secret.public().verify(&[9; 32], &other));
    for first in 0..=u8::MAX {
        let digest = [first; 32];
        let signature = secret.sign(&digest);
        assert!(known.has_signed(&digest, &signature, &secret.public()));
        for bit in 0..512 {
            let mut spoiled = signature;
            spoiled.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!known.has_signed(&digest, &spoiled, &secret.public()));
        }
        assert!(!known.has_signed(&[!first; 32], &signature, &secret.public()));
    }
}
