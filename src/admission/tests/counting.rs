//! A verifier that counts, and takes its time.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::types::keys::SequentialVerifier;
use crate::types::{SignatureCheck, SignatureVerifier};

/// Checks one by one, and counts how many signatures it was asked about.
#[derive(Default)]
pub(super) struct CountingVerifier {
    pub(super) asked: AtomicUsize,
    /// What another thread does while it checks, once.
    pub(super) meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl SignatureVerifier for CountingVerifier {
    fn verify_all(&self, checks: &[SignatureCheck]) -> Result<(), usize> {
        self.asked.fetch_add(checks.len(), Ordering::SeqCst);
        let meanwhile = self.meanwhile.lock().take();
        if let Some(happens) = meanwhile {
            happens();
        }
        SequentialVerifier.verify_all(checks)
    }
}
