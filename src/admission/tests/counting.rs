//! A verifier that counts.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::types::keys::SequentialVerifier;
use crate::types::{SignatureCheck, SignatureVerifier};

/// Checks one by one, and counts how many signatures it was asked about.
#[derive(Default)]
pub(super) struct CountingVerifier(pub(super) AtomicUsize);

impl SignatureVerifier for CountingVerifier {
    fn verify_all(&self, checks: &[SignatureCheck]) -> Result<(), usize> {
        self.0.fetch_add(checks.len(), Ordering::SeqCst);
        SequentialVerifier.verify_all(checks)
    }
}
