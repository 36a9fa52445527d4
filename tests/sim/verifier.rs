//! Checks each signature once for all nodes of a world.

use std::collections::HashMap;
use std::sync::Mutex;

use timed::types::{SecretKey, SignatureCheck, SignatureVerifier};

/// All that is checked: digest, signature, key.
type Checked = ([u8; 32], [u8; 64], [u8; 32]);

#[derive(Default)]
pub struct CachingVerifier {
    verdicts: Mutex<HashMap<Checked, bool>>,
    secrets: HashMap<[u8; 32], SecretKey>,
}

impl CachingVerifier {
    /// With these keys known. A signature follows from its key and digest (RFC 8032), and to make it anew costs a third
    /// of checking it; what differs is checked.
    pub fn knowing(secrets: impl Iterator<Item = SecretKey>) -> Self {
        let secrets = secrets.map(|secret| (secret.public().0, secret)).collect();
        Self { secrets, ..Self::default() }
    }

    fn holds(&self, check: &SignatureCheck) -> bool {
        let secret = self.secrets.get(&check.key.0);
        secret.is_some_and(|secret| secret.sign(&check.digest) == check.signature) || check.holds()
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
